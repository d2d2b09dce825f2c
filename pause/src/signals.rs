//! Which signals are kernel faults, which are forwarded, which are pause's own. The numbers are those of
//! x86_64 and aarch64 (`asm-generic/signal.h`).
#![forbid(unsafe_code)]

/// A child ended.
pub const SIGCHLD: u8 = 17;

/// A write to a pipe that nobody reads. Blocked, so that a broken standard output never ends pause.
pub const SIGPIPE: u8 = 13;

/// What stands for a fault in the program itself: ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS. They are never
/// blocked, so that a fault ends the process under its own name.
pub const FAULTS: [u8; 7] = [4, 5, 6, 7, 8, 11, 31];

/// A signal that pause acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// Terminal gone, or: read the configuration again.
    Hup = 1,
    /// Ctrl-C: a request to stop.
    Int = 2,
    /// Ctrl-\.
    Quit = 3,
    /// Free for the child's use.
    Usr1 = 10,
    /// Free for the child's use.
    Usr2 = 12,
    /// A request to stop.
    Term = 15,
    /// The terminal's size changed.
    Winch = 28,
}

impl Signal {
    /// Each of them: all are forwarded to a supervised child.
    pub const ALL: [Self; 7] =
        [Self::Hup, Self::Int, Self::Quit, Self::Usr1, Self::Usr2, Self::Term, Self::Winch];

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The signal of this number, if pause acts on it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| u32::from(signal.number()) == number)
    }

    /// Whether it asks pause to stop.
    #[must_use]
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::Term | Self::Int)
    }
}

/// A set of signals as the kernel has it: bit `n - 1` for signal `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);

    /// What pause blocks: everything but kernel faults.
    pub const BLOCKED: Self = {
        let mut faults = Self::EMPTY;
        let mut at = 0;
        while at < FAULTS.len() {
            faults = faults.with(FAULTS[at]);
            at += 1;
        }
        Self(!faults.0)
    };

    /// What pause reads: the end of children, and what it acts on.
    pub const WATCHED: Self = {
        let mut watched = Self::EMPTY.with(SIGCHLD);
        let mut at = 0;
        while at < Signal::ALL.len() {
            watched = watched.with(Signal::ALL[at].number());
            at += 1;
        }
        watched
    };

    /// This set and a signal, numbered 1 to 64.
    #[must_use]
    pub const fn with(self, number: u8) -> Self {
        Self(self.0 | Self::bit(number))
    }

    /// Whether a signal is in it.
    #[must_use]
    pub const fn contains(self, number: u8) -> bool {
        self.0 & Self::bit(number) != 0
    }

    const fn bit(number: u8) -> u64 {
        match number {
            1..=64 => 1 << (number - 1),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc;

    #[test]
    fn the_numbers_are_those_of_the_c_library() {
        let cases = [
            (Signal::Hup, libc::SIGHUP),
            (Signal::Int, libc::SIGINT),
            (Signal::Quit, libc::SIGQUIT),
            (Signal::Usr1, libc::SIGUSR1),
            (Signal::Usr2, libc::SIGUSR2),
            (Signal::Term, libc::SIGTERM),
            (Signal::Winch, libc::SIGWINCH),
        ];
        for (signal, number) in cases {
            assert_eq!(i32::from(signal.number()), number, "{signal:?}");
            assert_eq!(Signal::from_number(u32::from(signal.number())), Some(signal));
        }
        assert_eq!(i32::from(SIGCHLD), libc::SIGCHLD);
        assert_eq!(i32::from(SIGPIPE), libc::SIGPIPE);
        let faults = [
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGSEGV,
            libc::SIGSYS,
        ];
        assert_eq!(FAULTS.map(i32::from), faults);
    }

    #[test]
    fn everything_but_faults_is_blocked() {
        let blocked = SignalSet::BLOCKED;
        for number in 1..=64 {
            assert_eq!(blocked.contains(number), !FAULTS.contains(&number), "signal {number}");
        }
    }

    #[test]
    fn all_that_is_watched_is_blocked_or_it_would_be_lost() {
        let (watched, blocked) = (SignalSet::WATCHED, SignalSet::BLOCKED);
        assert_eq!(watched.0 & !blocked.0, 0);
        assert!(watched.contains(SIGCHLD));
        assert!(!watched.contains(SIGPIPE));
    }

    #[test]
    fn a_number_outside_1_to_64_is_in_no_set() {
        for number in [0, 65, 255] {
            assert_eq!(SignalSet::EMPTY.with(number), SignalSet::EMPTY);
            assert!(!SignalSet(u64::MAX).contains(number));
        }
    }

    #[test]
    fn only_term_and_int_ask_to_stop() {
        let stops: Vec<_> = Signal::ALL.into_iter().filter(|signal| signal.is_stop()).collect();
        assert_eq!(stops, [Signal::Int, Signal::Term]);
    }
}
