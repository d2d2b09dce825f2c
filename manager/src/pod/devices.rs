//! The devices of the host that a component may have without being asked why: a short list, since what a name leads to
//! cannot be seen from here. The engine follows links before it opens a device, and udev makes links of any name.
//!
//! None of them reads or writes a disk or memory of the host, or what is typed there. So these are not among them:
//! - USB (`/dev/bus/usb`), SCSI (`/dev/sg0`, `/dev/bsg`), `/dev/ng0n1` and `/dev/vfio`: disks are there too;
//! - `/dev/uinput`, `/dev/uhid`, `/dev/input`, `/dev/hidraw0`, terminals and serial ports of the machine: a keyboard of the
//!   host, to listen to or to type on;
//! - `/dev/mem`, `/dev/port`, `/dev/kmsg`, `/dev/vcio`: memory, or where things are in it;
//! - `/dev/i2c-0`, `/dev/spidev0.0`, GPIO: parts of the machine itself, its firmware and management among them;
//! - `/dev/tpm0`: keys of the host's disks; `/dev/watchdog`, `/dev/rfkill`: the end of the host, or of its network;
//! - `/dev/vhost-vsock`: ports of the host that Docker's own seccomp profile keeps away.

use super::policy::within;

/// Below `/dev`, by name. The network's (`net/tun`, `ppp`) do nothing to another network than the pod's.
const NAMED: &[&str] = &[
    "full",
    "fuse",
    "hwrng",
    "infiniband/rdma_cm",
    "kfd",
    "kvm",
    "net/tun",
    "null",
    "nvidia-modeset",
    "nvidia-uvm",
    "nvidia-uvm-tools",
    "nvidiactl",
    "ppp",
    "random",
    "sgx_enclave",
    "tty",
    "urandom",
    "vhost-net",
    "zero",
];

/// The same, each with a number at its end.
const NUMBERED: &[&str] =
    &["apex_", "cec", "infiniband/uverbs", "lirc", "media", "nvidia", "ttyACM", "ttyUSB", "usb/lp", "video"];

/// Folders that hold nothing else. `/dev/serial` has serial ports on USB alone.
const FOLDERS: &[&str] =
    &["/dev/accel", "/dev/dri", "/dev/dvb", "/dev/nvidia-caps", "/dev/serial", "/dev/snd", "/dev/v4l"];

/// The same character devices by major, and first and last minor, as far as Linux numbers them once and for all
/// (`admin-guide/devices.txt`).
const NUMBERS: &[(u32, u32, u32)] = &[
    // null, zero, full, random and urandom; 1, 2 and 4 are memory, 11 is the kernel's log.
    (1, 3, 3),
    (1, 5, 5),
    (1, 7, 9),
    // tty
    (5, 0, 0),
    // hwrng, net/tun, fuse, kvm, vhost-net
    (10, 183, 183),
    (10, 200, 200),
    (10, 229, 229),
    (10, 232, 232),
    (10, 238, 238),
    // video, v4l
    (81, 0, u32::MAX),
    // ppp
    (108, 0, 0),
    // snd
    (116, 0, u32::MAX),
    // ttyACM, ttyUSB
    (166, 0, u32::MAX),
    (188, 0, u32::MAX),
    // nvidia
    (195, 0, u32::MAX),
    // dvb
    (212, 0, u32::MAX),
    // dri
    (226, 0, u32::MAX),
    // infiniband/uverbs
    (231, 192, 223),
    // accel
    (261, 0, u32::MAX),
];

/// This path, tidy, is one of them, or a folder of which the engine hands out all that is in it.
pub fn is_harmless(path: &str) -> bool {
    let Some(name) = path.strip_prefix("/dev/") else { return false };
    let stem = name.trim_end_matches(|char: char| char.is_ascii_digit());
    NAMED.contains(&name)
        || stem.len() < name.len() && NUMBERED.contains(&stem)
        || FOLDERS.iter().any(|folder| within(path, folder))
}

/// This rule (`c 1:3 mr`) opens nothing but these. With one, a component makes the device itself.
pub fn opens_the_harmless(rule: &str) -> bool {
    let mut words = rule.split(' ');
    let (Some("c"), Some((major, minor))) =
        (words.next(), words.next().and_then(|word| word.split_once(':')))
    else {
        return false;
    };
    let Ok(major) = major.parse::<u32>() else { return false };
    let minors =
        if minor == "*" { Some((0, u32::MAX)) } else { minor.parse().ok().map(|minor| (minor, minor)) };
    let Some((low, high)) = minors else { return false };
    NUMBERS.iter().any(|(known, first, last)| *known == major && *first <= low && high <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_harmless_where_its_name_is_known() {
        for path in [
            "/dev/accel/accel0",
            "/dev/apex_0",
            "/dev/dri",
            "/dev/dri/renderD128",
            "/dev/fuse",
            "/dev/infiniband/uverbs0",
            "/dev/kvm",
            "/dev/net/tun",
            "/dev/null",
            "/dev/nvidia-caps/nvidia-cap2",
            "/dev/nvidia-uvm",
            "/dev/nvidia10",
            "/dev/nvidiactl",
            "/dev/serial/by-id/usb-Silicon_Labs-if00-port0",
            "/dev/snd",
            "/dev/tty",
            "/dev/ttyACM1",
            "/dev/ttyUSB0",
            "/dev/usb/lp0",
            "/dev/video0",
        ] {
            assert!(is_harmless(path), "{path}");
        }
        for path in [
            "/",
            "/dev",
            "/dev/block/8:0",
            "/dev/bcache0",
            "/dev/bsg/0:0:0:0",
            "/dev/bus/usb/001/002",
            "/dev/char/21:0",
            "/dev/cpu/0/msr",
            "/dev/disk/by-id/ata-1",
            "/dev/drbd0",
            "/dev/fd/3",
            "/dev/hda",
            "/dev/hidraw0",
            "/dev/infiniband",
            "/dev/infiniband/umad0",
            "/dev/input/event0",
            "/dev/kmem",
            "/dev/kmsg",
            "/dev/mapper/vg-root",
            "/dev/md0",
            "/dev/mem",
            "/dev/mtdblock0",
            "/dev/net",
            "/dev/ng0n1",
            "/dev/nvidia",
            "/dev/nvme0n1",
            "/dev/pmem0",
            "/dev/port",
            "/dev/pts/0",
            "/dev/sda",
            "/dev/sg0",
            "/dev/tty0",
            "/dev/tty1",
            "/dev/ttyS0",
            "/dev/ttyUSB",
            "/dev/ttyUSB0/x",
            "/dev/ubuntu-vg/ubuntu-lv",
            "/dev/uinput",
            "/dev/usb",
            "/dev/vfio/1",
            "/dev/video0x",
            "/devices/null",
            "/srv/null",
            "dev/null",
        ] {
            assert!(!is_harmless(path), "{path}");
        }
    }

    #[test]
    fn a_rule_is_harmless_where_all_that_it_opens_is() {
        for rule in
            ["c 1:3 mr", "c 01:08 r", "c 10:200 rwm", "c 81:* rw", "c 188:* rwm", "c 188:1 r", "c 226:128 rw"]
        {
            assert!(opens_the_harmless(rule), "{rule}");
        }
        for rule in [
            "",
            "c",
            "a *:* rwm",
            "a 1:3 r",
            "b 1:3 r",
            "b 8:0 r",
            "c *:* r",
            "c *:3 r",
            "c 1:* r",
            "c 1:1 r",
            "c 01:1 r",
            "c 1:01 r",
            "c 001:004 r",
            "c 1:11 w",
            "c 4:1 rw",
            "c 10:* rw",
            "c 10:223 w",
            "c 10:237 rw",
            "c 13:64 r",
            "c 21:0 rw",
            "c 231:* rw",
            "c 4294967297:3 r",
            "c 188:4294967296 r",
        ] {
            assert!(!opens_the_harmless(rule), "{rule}");
        }
    }
}
