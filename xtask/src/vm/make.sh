# make.sh RELEASE FOLDER [MIRROR]: makes FOLDER/root.img, FOLDER/vmlinuz and FOLDER/initrd, a Debian with an engine. Runs as
# root in a mount namespace of its own. What it boots into is `payload/begin` of the second disk, and then it ends.
set -eu
release=$1 folder=$2
shift 2
packages=systemd,systemd-sysv,dbus,udev,iproute2,iptables,apparmor,kmod,linux-image-cloud-amd64
packages=$packages,docker.io,docker-compose,ca-certificates,curl,procps,initramfs-tools-core
# A package of its own from Debian 13 on.
[ "$release" = bookworm ] || packages=$packages,docker-cli
# A debootstrap that is older than the release has no script of that name; they are all the same.
script=/usr/share/debootstrap/scripts/$release
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid

root=$folder/root
mkdir "$root"
# In memory: dpkg waits for the disk after every file, which on a slow one takes minutes.
mount -t tmpfs -o size=3g,mode=755 root "$root"
# What is mounted in there stays out of the image.
unshare --mount debootstrap --variant=minbase --include="$packages" "$release" "$root" \
    "${1:-http://deb.debian.org/debian}" "$script"

cat >"$root/etc/systemd/system/tandem.service" <<'UNIT'
[Unit]
Description=What the second disk says
After=basic.target containerd.service

[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh -c 'mkdir -p /payload && mount -o ro /dev/vdb /payload && exec sh /payload/begin >/dev/ttyS1 2>&1'
ExecStopPost=/bin/systemctl poweroff --force --force
UNIT
cd "$root/etc/systemd/system"
ln -s ../tandem.service multi-user.target.wants/tandem.service
# The engine is started once its settings are there. The others have nothing to do in a machine that lives for minutes, and
# without hardware that runs instructions they cost a minute together.
for unit in docker.service docker.socket; do rm -f -- *.wants/$unit; done
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service \
    systemd-tmpfiles-clean.timer systemd-logind.service systemd-hostnamed.socket systemd-user-sessions.service getty.target \
    systemd-hwdb-update.service systemd-journal-catalog-update.service; do
    ln -sf /dev/null "$unit"
done
# The engine brings its own profile, `docker-default`; these are for desktops.
find "$root/etc/apparmor.d" -maxdepth 1 -type f -delete
echo '/dev/vda / ext4 defaults 0 0' >"$root/etc/fstab"
echo vm >"$root/etc/hostname"
echo '127.0.0.1 localhost vm' >"$root/etc/hosts"
rm -f "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*_*

# Nothing but the disk is looked for.
ln -sf /dev/null systemd-udev-trigger.service
mkdir -p "$root/etc/initramfs-tools/conf.d"
printf "%s\n" virtio_pci virtio_blk ext4 >>"$root/etc/initramfs-tools/modules"
echo MODULES=list >"$root/etc/initramfs-tools/conf.d/tandem"
cp "$root"/boot/vmlinuz-* "$folder/vmlinuz"
# From Debian 14 on the kernel's own is made by dracut; one recipe serves all three here.
kernel=$(basename "$root"/lib/modules/*)
unshare --mount sh -c 'mount -t proc proc "$1/proc" && chroot "$1" mkinitramfs -o /tmp/initrd "$2"' sh "$root" "$kernel"
mv "$root/tmp/initrd" "$folder/initrd"
truncate -s 12G "$folder/root.img"
mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 -d "$root" "$folder/root.img"
cd /
umount "$root"
rmdir "$root"
