//! Exit statuses: how a child's end becomes pause's own, and what pause ends with by itself.
#![forbid(unsafe_code)]

/// A command line that pause does not understand, or cannot follow where it is (`EX_USAGE`).
pub const USAGE: u8 = 64;

/// A file that could not be read, or a pod that is not healthy.
pub const FAILURE: u8 = 1;

/// How the life of a child ended, or why it never began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It exited by itself.
    Exited(u8),
    /// A signal of this number killed it.
    Killed(u8),
    /// No such command: 127, as in a shell.
    NotFound,
    /// The command is there and cannot be executed: 126, as in a shell.
    NotExecutable,
    /// The kernel had no process to give, for instance at the limit of PIDs.
    NotStarted,
}

impl End {
    /// Reads what `wait4` reports for a child that ended (`wait(2)`, `WIFEXITED` and its kin): the low seven
    /// bits are the signal, 0 for none; bits 8 to 15 the exit status.
    #[must_use]
    pub const fn from_wait(status: i32) -> Self {
        let [low, high, ..] = status.to_le_bytes();
        match low & 0x7f {
            0 => Self::Exited(high),
            signal => Self::Killed(signal),
        }
    }

    /// The exit status that says the same: a child's own, or 128 and the signal, as in a shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Exited(status) => status,
            Self::Killed(signal) => 128 | signal,
            Self::NotFound => 127,
            Self::NotExecutable => 126,
            Self::NotStarted => 116,
        }
    }
}

/// A step of the set-up that can fail; each ends pause with a status of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Standard descriptors: those that are missing are filled, inherited others closed.
    Descriptors,
    /// Dispositions, mask, and the descriptor that signals are read from.
    Signals,
    /// Users, capabilities, `no_new_privs`, dumpable.
    Privileges,
    /// The abstract socket that a sandbox connects to.
    Listener,
    /// The connection to the abstract socket of the task container.
    Lifeline,
}

impl Step {
    /// Each of them.
    pub const ALL: [Self; 5] =
        [Self::Descriptors, Self::Signals, Self::Privileges, Self::Listener, Self::Lifeline];

    /// The exit status when this step fails.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Descriptors => 111,
            Self::Signals => 112,
            Self::Privileges => 113,
            Self::Listener => 114,
            Self::Lifeline => 115,
        }
    }

    /// What could not be done, for the one line about it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Descriptors => "cannot open the standard descriptors",
            Self::Signals => "cannot take over signals",
            Self::Privileges => "cannot give up privileges",
            Self::Listener => "cannot listen for the lifeline of a sandbox",
            Self::Lifeline => "cannot connect to the lifeline of the task container",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_status_is_its_own_code() {
        for status in 0..=255_u8 {
            let end = End::from_wait(i32::from(status) << 8);
            assert_eq!(end, End::Exited(status));
            assert_eq!(end.code(), status);
        }
    }

    #[test]
    fn death_by_a_signal_is_128_and_its_number_with_or_without_a_core() {
        for signal in 1..=64_u8 {
            for core in [0, 0x80] {
                let end = End::from_wait(i32::from(signal) | core);
                assert_eq!(end, End::Killed(signal));
                assert_eq!(end.code(), 128 + signal);
            }
        }
    }

    #[test]
    fn the_codes_of_pause_itself_are_all_different() {
        let mut codes: Vec<u8> = Step::ALL.iter().map(|step| step.code()).collect();
        codes.extend([End::NotFound, End::NotExecutable, End::NotStarted].map(End::code));
        codes.extend([USAGE, FAILURE, 0]);
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
