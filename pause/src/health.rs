//! The pod's health, as pause keeps it: in its own name.
//!
//! pause sets the name of its only thread (`PR_SET_NAME`), and `pause health` reads it from `/proc/1/comm`.
//! Nothing else can write it: the kernel's `comm_write` refuses every process but the one that is named, root
//! included. It needs no file, so a read-only root file system does not matter, and reading it does not wake
//! pause.
#![forbid(unsafe_code)]

/// Where PID 1's name is read.
pub const COMM_PATH: &core::ffi::CStr = c"/proc/1/comm";

/// How every name begins; the word for the health follows.
pub const PREFIX: &[u8] = b"pause ";

/// The name of a pause that holds something of a pod beside its task container, and has no health to show.
pub const HOLDING: &core::ffi::CStr = c"pause holding";

/// How a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Not all there yet. The state at the start, and again when a manager crashed, until the next one
    /// speaks.
    Starting = 0,
    /// All init components done, all components started, and healthy where they say so. The only one that is
    /// a success.
    Healthy = 1,
    /// A component says that it is not.
    Unhealthy = 2,
    /// A stop was asked for, or the pod has come to its end.
    Stopping = 3,
}

impl Health {
    /// Each of them, by the byte that stands for it in a frame.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Healthy, Self::Unhealthy, Self::Stopping];

    /// The byte that stands for it in a frame.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self as u8
    }

    /// What a byte in a frame stands for.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// What `pause health` prints.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
        }
    }

    /// The name that pause gives itself. The kernel keeps 15 bytes (`TASK_COMM_LEN` - 1).
    #[must_use]
    pub const fn comm(self) -> &'static core::ffi::CStr {
        match self {
            Self::Starting => c"pause starting",
            Self::Healthy => c"pause healthy",
            Self::Unhealthy => c"pause unhealthy",
            Self::Stopping => c"pause stopping",
        }
    }

    /// What the content of [`COMM_PATH`] says; `None`: PID 1 is not a pause.
    #[must_use]
    pub fn from_comm(content: &[u8]) -> Option<Self> {
        let name = content.strip_suffix(b"\n").unwrap_or(content);
        Self::ALL.into_iter().find(|health| health.comm().to_bytes() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_health_survives_its_byte_and_its_name() {
        for health in Health::ALL {
            assert_eq!(Health::from_byte(health.to_byte()), Some(health));
            assert_eq!(Health::from_comm(health.comm().to_bytes()), Some(health));
            assert_eq!(health.comm().to_str(), Ok(format!("pause {}", health.word()).as_str()));
        }
    }

    #[test]
    fn every_name_fits_what_the_kernel_keeps() {
        for health in Health::ALL {
            assert!(health.comm().to_bytes().len() <= 15, "{health:?}");
        }
    }

    #[test]
    fn only_the_exact_name_counts() {
        let cases: [(&str, &[u8], Option<Health>); 7] = [
            ("as the kernel gives it", b"pause healthy\n", Some(Health::Healthy)),
            ("a pause of another kind", b"pause\n", None),
            ("another program", b"docker-init\n", None),
            ("nothing", b"", None),
            ("a beginning", b"pause health\n", None),
            ("a continuation", b"pause healthy!\n", None),
            ("two lines", b"pause healthy\n\n", None),
        ];
        for (case, content, want) in cases {
            assert_eq!(Health::from_comm(content), want, "{case}");
        }
    }

    #[test]
    fn an_unknown_byte_is_no_health() {
        assert_eq!(Health::from_byte(4), None);
        assert_eq!(Health::from_byte(255), None);
    }
}
