//! The one table of exit statuses; that of `docs/reference/exit-codes.md` is tested against it.

/// The status of a pod whose definition turns out to be wrong (`EX_USAGE` of sysexits.h).
pub const STATUS_USAGE: u8 = 64;

/// The status of a pod whose engine cannot be reached (`EX_UNAVAILABLE` of sysexits.h).
pub const STATUS_UNAVAILABLE: u8 = 69;

/// The status of a pod that the engine refuses to run; `docker run` uses the same.
pub const STATUS_REFUSED: u8 = 125;

/// The status of a pod of which a running container was removed: what a kill gives (128 + 9).
pub const STATUS_KILLED: u8 = 137;

/// How a container ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit status, 128+n for a signal.
    pub status: i64,
    /// The kernel killed a process of it for memory.
    pub oom: bool,
    /// When, nanoseconds since 1970 by the engine's clock.
    pub at_nanos: i64,
}

/// The signals that end a process as a rule, from 1 on.
const SIGNALS: [&str; 15] = [
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
    "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM",
];

impl Exit {
    /// The signal that ended it, as a shell would say: a program may end with such a status by itself.
    pub fn signal(&self) -> Option<&'static str> {
        let number = usize::try_from(self.status - 129).ok()?;
        SIGNALS.get(number).copied()
    }
}

/// In words: `status 137 (SIGKILL, out of memory)`.
impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}", self.status)?;
        match (self.signal(), self.oom) {
            (Some(signal), true) => write!(f, " ({signal}, out of memory)"),
            (Some(signal), false) => write!(f, " ({signal})"),
            (None, true) => f.write_str(" (out of memory)"),
            (None, false) => Ok(()),
        }
    }
}

/// Each status that the manager and `pause` give of their own, and what it means. Any other is a component's or a hook's.
pub const TABLE: &[(u8, &str)] = &[
    (0, "the pod ended as asked: a stop was requested, or the first component to end ended with 0"),
    (
        1,
        "a stop was requested while the pod was not healthy, also where it never came up: Swarm does so, and replaces what did not end with 0; or a component that others wait for turned unhealthy, or ended",
    ),
    (STATUS_USAGE, "the definition or the command line is wrong, or this is no place to run a pod"),
    (STATUS_UNAVAILABLE, "the engine does not answer"),
    (111, "`pause`: cannot open the standard descriptors"),
    (112, "`pause`: cannot take over signals"),
    (113, "`pause`: cannot give up privileges"),
    (114, "`pause`: cannot listen for the lifeline of a sandbox"),
    (115, "`pause`: cannot connect to the lifeline of the task container"),
    (
        116,
        "`pause`: the kernel has no process for the manager, also after five more attempts within a minute",
    ),
    (STATUS_REFUSED, "the engine refused: an image that cannot be had, a container that cannot be created"),
    (126, "a component's command, or the one behind `/pause --`, cannot be executed"),
    (127, "a component's command, or the one behind `/pause --`, was not found"),
    (128, "the engine could not start a component, and says no better: the log has its reason"),
    (130, "the manager was asked to stop by SIGINT before it could listen to signals"),
    (134, "the manager crashed by SIGABRT (128 + signal number) more than five times within a minute"),
    (
        137,
        "a component, the sandbox or the store was killed (128 + signal number); or the manager did not end in time after a stop",
    ),
    (143, "the manager was asked to stop by SIGTERM before it could listen to signals"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statuses_of_pause_are_in_the_table() {
        let words = |status: u8| TABLE.iter().find(|(known, _)| *known == status).map(|(_, words)| *words);
        for step in pause::status::Step::ALL {
            assert_eq!(words(step.code()), Some(format!("`pause`: {}", step.text()).as_str()));
        }
        use pause::status::{End, FAILURE, USAGE};
        let ends = [End::NotFound, End::NotExecutable, End::NotStarted, End::Killed(2), End::Killed(6)];
        let ends = ends.into_iter().chain([End::Killed(9), End::Killed(15)]).map(End::code);
        for status in ends.chain([USAGE, FAILURE, 0]) {
            assert!(words(status).is_some(), "{status}");
        }
        assert!(TABLE.is_sorted_by(|one, next| one.0 < next.0), "each stands once, in order");
    }
}
