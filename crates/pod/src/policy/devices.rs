//! Devices of the host that every component may have without a permission. The list is short because the
//! manager cannot see where a path leads. The engine follows links before it opens a device, and udev creates
//! links with any name.
//!
//! No device on the list gives access to a disk, memory, keyboard, screen, sound or another part of the
//! machine. For every other device the operator either gives it to the task container or names it (`--allow
//! devices=PATH`):
//! - USB (`/dev/bus/usb`), SCSI (`/dev/sg0`, `/dev/bsg`), `/dev/ng0n1` and `/dev/vfio` include disks;
//! - `/dev/uinput`, `/dev/uhid`, `/dev/input`, `/dev/hidraw0`, terminals and serial ports of the machine read
//!   a keyboard of the host or type on it;
//! - `/dev/mem`, `/dev/port`, `/dev/kmsg` and `/dev/vcio` give access to memory, or show addresses in it;
//! - `/dev/i2c-0`, `/dev/spidev0.0` and GPIO control parts of the machine, including its firmware and
//!   management;
//! - `/dev/tpm0` holds keys of the host's disks, `/dev/watchdog` can reset the host, `/dev/rfkill` can cut
//!   its network;
//! - `/dev/vhost-vsock` opens ports of the host that Docker's own seccomp profile blocks.

/// The allowed devices by path: devices that every container has, `net/tun` (it affects only the pod's
/// network) and FUSE.
const HARMLESS: &[&str] = &[
    "/dev/full",
    "/dev/fuse",
    "/dev/net/tun",
    "/dev/null",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];

/// The allowed character devices by major and minor number (Linux, `admin-guide/devices.txt`): null, zero,
/// full, random, urandom, tty, net/tun and fuse.
const NUMBERS: &[(u32, u32)] = &[(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (10, 200), (10, 229)];

/// Reports whether this tidy path is on the list.
pub(super) fn is_harmless(path: &str) -> bool {
    HARMLESS.contains(&path)
}

/// Reports whether this device rule (`c 1:3 mr`) gives access only to devices on the list. A component with a
/// rule can create the device node itself.
pub(super) fn opens_the_harmless(rule: &str) -> bool {
    let mut words = rule.split(' ');
    let (Some("c"), Some((major, minor))) =
        (words.next(), words.next().and_then(|word| word.split_once(':')))
    else {
        return false;
    };
    let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { return false };
    NUMBERS.contains(&(major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_harmless_where_its_path_is_on_the_list() {
        for path in HARMLESS {
            assert!(is_harmless(path), "{path}");
        }
        for path in [
            "/",
            "/dev",
            "/dev/block/8:0",
            "/dev/bus/usb/001/002",
            "/dev/dri",
            "/dev/fd/3",
            "/dev/hwrng",
            "/dev/input/event0",
            "/dev/kmsg",
            "/dev/kvm",
            "/dev/mem",
            "/dev/net",
            "/dev/null/x",
            "/dev/nvidia0",
            "/dev/nvme0n1",
            "/dev/port",
            "/dev/pts/0",
            "/dev/sda",
            "/dev/snd",
            "/dev/tty0",
            "/dev/tty1",
            "/dev/ttyUSB0",
            "/dev/vfio/1",
            "/dev/video0",
            "/devices/null",
            "/srv/null",
            "dev/null",
        ] {
            assert!(!is_harmless(path), "{path}");
        }
    }

    #[test]
    fn a_rule_is_harmless_where_all_that_it_opens_is() {
        for rule in ["c 1:3 mr", "c 01:08 r", "c 1:9 r", "c 5:0 rw", "c 10:200 rwm", "c 10:229 rwm"] {
            assert!(opens_the_harmless(rule), "{rule}");
        }
        for rule in [
            "",
            "c",
            "a *:* rwm",
            "a 1:3 r",
            "b 1:3 r",
            "c *:* r",
            "c *:3 r",
            "c 1:* r",
            "c 1:1 r",
            "c 01:1 r",
            "c 1:11 w",
            "c 4:1 rw",
            "c 10:* rw",
            "c 10:232 rw",
            "c 81:0 rw",
            "c 188:1 r",
            "c 226:128 rw",
            "c 4294967297:3 r",
        ] {
            assert!(!opens_the_harmless(rule), "{rule}");
        }
    }
}
