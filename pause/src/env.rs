//! What a supervised manager finds in its environment. Values that pause itself was started with under these
//! names are not passed on.
#![forbid(unsafe_code)]

use core::ffi::CStr;

/// `TANDEM_CONTROL`: the number of the file descriptor for [`crate::control`] frames; always [`CONTROL_FD`].
pub const CONTROL: &str = "TANDEM_CONTROL";

/// `TANDEM_LIFELINE`: the name of the abstract socket that a sandbox connects to (`pause --lifeline NAME`),
/// without the leading zero byte. It is set in every life of the manager, also after the one connection was
/// made or [`crate::control::Frame::CloseListener`] was sent.
pub const LIFELINE: &str = "TANDEM_LIFELINE";

/// `TANDEM_STOP`: `1` when a stop was requested, or an exit status given, before this launch: clean up and
/// exit. Absent otherwise.
pub const STOP: &str = "TANDEM_STOP";

/// `TANDEM_AGAIN`: `1` when this is not the first launch. A PID does not tell: the threads of the container runtime take
/// the first ones of the namespace. Absent in the first life.
pub const AGAIN: &str = "TANDEM_AGAIN";

/// `TANDEM_HELD=1`: what a manager starts a bare pause with that holds something of a pod beside its task container. It
/// has no health to show, and nobody will speak to it. A variable, and no argument: a pause of an earlier version, which
/// may be in the image of a pod, takes no notice of it, but refuses an argument that it does not know.
pub const HELD: (&str, &str) = ("TANDEM_HELD", "1");

/// [`HELD`] as it stands in the environment.
pub const HELD_ENTRY: &[u8] = b"TANDEM_HELD=1";

/// [`CONTROL`] with its value, as the child gets it.
pub const CONTROL_ENTRY: &CStr = c"TANDEM_CONTROL=3";

/// [`STOP`] with its value, as the child gets it.
pub const STOP_ENTRY: &CStr = c"TANDEM_STOP=1";

/// [`AGAIN`] with its value, as the child gets it.
pub const AGAIN_ENTRY: &CStr = c"TANDEM_AGAIN=1";

/// How the entry of [`LIFELINE`] begins; the name follows.
pub const LIFELINE_PREFIX: &[u8] = b"TANDEM_LIFELINE=";

/// The file descriptor of the control channel: the write end of a pipe, blocking.
pub const CONTROL_FD: i32 = 3;

/// Whether an entry `NAME=VALUE` of the environment is one of those above.
#[must_use]
pub fn is_ours(entry: &[u8]) -> bool {
    [CONTROL, LIFELINE, STOP, AGAIN]
        .iter()
        .any(|name| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_names_and_values() {
        assert_eq!(CONTROL_ENTRY.to_str(), Ok(format!("{CONTROL}={CONTROL_FD}").as_str()));
        assert_eq!(STOP_ENTRY.to_str(), Ok(format!("{STOP}=1").as_str()));
        assert_eq!(AGAIN_ENTRY.to_str(), Ok(format!("{AGAIN}=1").as_str()));
        assert_eq!(HELD_ENTRY, format!("{}={}", HELD.0, HELD.1).as_bytes());
        assert_eq!(LIFELINE_PREFIX, format!("{LIFELINE}=").as_bytes());
    }

    #[test]
    fn only_the_exact_names_are_ours() {
        let cases: [(&[u8], bool); 7] = [
            (b"TANDEM_CONTROL=3", true),
            (b"TANDEM_LIFELINE=", true),
            (b"TANDEM_STOP=1", true),
            (b"TANDEM_STOPPED=1", false),
            (b"TANDEM_STOP", false),
            (b"XTANDEM_STOP=1", false),
            (b"", false),
        ];
        for (entry, want) in cases {
            assert_eq!(is_ours(entry), want, "{}", String::from_utf8_lossy(entry));
        }
    }
}
