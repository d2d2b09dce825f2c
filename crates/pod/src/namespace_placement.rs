//! Where the shared namespaces live, and which choices would show the socket to components.

use std::fmt;

use super::namespaces::{Holder, Namespaces};
use super::task_container::TaskContainer;

/// Which container is to hold what is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A sandbox, where there is something to hold.
    Sandbox,
    /// The task container, in which the manager runs too.
    Task,
    /// The task container, a bare pause that holds nothing else: the manager is in a container of its own. A sandbox
    /// holds what the engine lets nobody join.
    Outside,
}

/// What the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// `--pause`.
    pub place: Place,
    /// `--pids`.
    pub pids: bool,
    /// `--ipc`.
    pub ipc: bool,
}

/// What is known of the programs in the task container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Programs {
    /// Both `pause` and the manager are files that can be executed and not read (mode 0111): processes
    /// made from them are not dumpable from their first instruction.
    pub unreadable: bool,
}

/// Why a wish is refused, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlacementError {
    /// Components would see processes that hold the socket, and could open it through `/proc`.
    SocketInSight {
        /// What would have to be different.
        missing: &'static str,
    },
    /// A component could look into them in spite of that.
    Piercing {
        /// The component.
        component: String,
        /// The capability.
        capability: String,
    },
    /// The engine lets nobody join it.
    IpcNotShareable {
        /// `HostConfig.IpcMode`.
        mode: String,
    },
}

impl std::error::Error for PlacementError {}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SocketInSight { missing } => write!(
                f,
                "`--pause task` with PIDs shared shows the manager's processes to the components: {missing}; \
                 use `--pause sandbox` (the default), or `--pids=false`"
            ),
            Self::Piercing { component, capability } => write!(
                f,
                "`--pause task` with PIDs shared shows the manager's processes to the components, and `{component}` \
                 could look into them by its `cap_add: {capability}`: use `--pause sandbox` (the default), or \
                 `--pids=false`"
            ),
            Self::IpcNotShareable { mode } => write!(
                f,
                "`--pause task` cannot share the IPC namespace of the task container, whose IPC mode is \
                 `{mode}`: use `--pause sandbox` (the default), `--ipc=false`, or start it with `ipc: shareable` \
                 (Swarm cannot)"
            ),
        }
    }
}

/// Capabilities that defeat what keeps a process from being looked into, or that lead around it.
const PIERCING: &[&str] =
    &["ALL", "SYS_PTRACE", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "PERFMON"];

/// Where the namespaces live. `added` is every component's name with each capability it adds.
///
/// # Errors
/// Every reason against the wish, where there is one.
pub fn place<'a>(
    wish: Wish,
    task: &TaskContainer,
    programs: Programs,
    shm_sizes: impl Iterator<Item = i64>,
    added: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Namespaces, Vec<PlacementError>> {
    let mut faults = Vec::new();
    if wish.place == Place::Task {
        if wish.pids
            && let Some(missing) = socket_in_sight(task, programs)
        {
            faults.push(PlacementError::SocketInSight { missing });
        }
        if wish.pids {
            faults.extend(added.filter(|(_, cap)| PIERCING.contains(cap)).map(|(component, cap)| {
                PlacementError::Piercing { component: component.into(), capability: cap.into() }
            }));
        }
        if wish.ipc && !shareable(task) {
            faults.push(PlacementError::IpcNotShareable { mode: task.ipc_mode.clone() });
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let (pid, ipc) = match wish.place {
        Place::Sandbox => (Holder::Sandbox, Holder::Sandbox),
        Place::Task => (Holder::Task, Holder::Task),
        // A task of a Swarm can never be joined there.
        Place::Outside => (Holder::Task, if shareable(task) { Holder::Task } else { Holder::Sandbox }),
    };
    let ipc = wish.ipc.then_some(ipc);
    // One /dev/shm for all: the largest that anybody asked for.
    let shm_size_bytes = if ipc == Some(Holder::Sandbox) { shm_sizes.max() } else { None };
    Ok(Namespaces { pid: wish.pids.then_some(pid), ipc, shm_size_bytes, cgroup_parent: None })
}

fn shareable(task: &TaskContainer) -> bool {
    task.ipc_mode == "shareable"
}

/// What lets components that see the task container's processes reach the socket. Every health check and
/// exec there is a fresh process, dumpable until its first `prctl` unless its file cannot be read; and who
/// may read every file (root with DAC_OVERRIDE or DAC_READ_SEARCH) can read that one too.
fn socket_in_sight(task: &TaskContainer, programs: Programs) -> Option<&'static str> {
    let dropped = |name: &str| task.cap_drop.iter().any(|cap| cap == "ALL" || cap == name);
    let added = |name: &str| task.cap_add.iter().any(|cap| cap == "ALL" || cap == name);
    // Docker's default set has DAC_OVERRIDE and not DAC_READ_SEARCH.
    let has_override = task.privileged || !dropped("DAC_OVERRIDE") || added("DAC_OVERRIDE");
    let has_search = task.privileged || added("DAC_READ_SEARCH");
    if !programs.unreadable {
        Some("`/pause` and `/manager` must be files of mode 0111")
    } else if task.is_root() && (has_override || has_search) {
        Some("the task container must run as a user other than root, or with `cap_drop: [DAC_OVERRIDE]`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK_WISH: Wish = Wish { place: Place::Task, pids: true, ipc: false };
    const UNREADABLE: Programs = Programs { unreadable: true };

    fn task(user: &str, drop: &[&str], add: &[&str]) -> TaskContainer {
        let caps = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        TaskContainer {
            user: user.into(),
            cap_drop: caps(drop),
            cap_add: caps(add),
            ipc_mode: "private".into(),
            ..TaskContainer::default()
        }
    }

    #[test]
    fn by_default_a_sandbox_holds_what_is_shared_with_the_largest_shm() {
        let wish = Wish { place: Place::Sandbox, pids: true, ipc: true };
        let got =
            place(wish, &task("", &[], &[]), UNREADABLE, [64, 256, 128].into_iter(), std::iter::empty())
                .expect("valid");
        assert_eq!((got.pid, got.ipc), (Some(Holder::Sandbox), Some(Holder::Sandbox)));
        assert_eq!(got.shm_size_bytes, Some(256));
        assert!(got.sandbox());
    }

    #[test]
    fn a_pod_that_shares_only_the_network_needs_no_sandbox() {
        for place_wished in [Place::Sandbox, Place::Task, Place::Outside] {
            let wish = Wish { place: place_wished, pids: false, ipc: false };
            let got = place(wish, &task("", &[], &[]), UNREADABLE, [64].into_iter(), std::iter::empty())
                .expect("valid");
            assert!(!got.sandbox(), "{place_wished:?}");
            assert_eq!(got.shm_size_bytes, None);
        }
    }

    #[test]
    fn pids_of_the_task_container_are_shared_only_where_nothing_there_can_be_looked_into() {
        let readable = Programs { unreadable: false };
        let cases = [
            ("root with Docker's capabilities", task("", &[], &[]), UNREADABLE, false),
            ("root by number", task("0:0", &[], &[]), UNREADABLE, false),
            ("root without DAC_OVERRIDE", task("", &["DAC_OVERRIDE"], &[]), UNREADABLE, true),
            ("root without any", task("root", &["ALL"], &[]), UNREADABLE, true),
            ("root that got it back", task("", &["ALL"], &["DAC_OVERRIDE"]), UNREADABLE, false),
            ("root that may search", task("", &["DAC_OVERRIDE"], &["DAC_READ_SEARCH"]), UNREADABLE, false),
            ("another user", task("65529", &[], &[]), UNREADABLE, true),
            ("another user with readable programs", task("65529", &["ALL"], &[]), readable, false),
        ];
        for (case, task, programs, want) in cases {
            assert_eq!(
                place(TASK_WISH, &task, programs, std::iter::empty(), std::iter::empty()).is_ok(),
                want,
                "{case}"
            );
        }
        let mut privileged = task("", &["ALL"], &[]);
        privileged.privileged = true;
        assert!(place(TASK_WISH, &privileged, UNREADABLE, std::iter::empty(), std::iter::empty()).is_err());
    }

    #[test]
    fn ipc_of_the_task_container_is_shared_only_where_the_engine_lets_it() {
        let wish = Wish { place: Place::Task, pids: false, ipc: true };
        let mut task = task("65529", &[], &[]);
        let faults =
            place(wish, &task, UNREADABLE, std::iter::empty(), std::iter::empty()).expect_err("private");
        assert!(faults[0].to_string().contains("`--ipc=false`"), "{faults:?}");
        task.ipc_mode = "shareable".into();
        assert!(place(wish, &task, UNREADABLE, std::iter::empty(), std::iter::empty()).is_ok());
    }

    #[test]
    fn pids_of_the_task_container_are_not_shared_with_one_who_may_trace() {
        let task = task("65529", &["ALL"], &[]);
        let added = [("app", "NET_ADMIN"), ("app", "SYS_PTRACE"), ("init-1", "ALL")];
        let faults =
            place(TASK_WISH, &task, UNREADABLE, std::iter::empty(), added.into_iter()).expect_err("two");
        let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(words[0].contains("`app`") && words[0].contains("SYS_PTRACE"), "{words:?}");
        assert!(words[1].contains("`init-1`"), "{words:?}");
        let sandboxed = Wish { place: Place::Sandbox, ..TASK_WISH };
        assert!(place(sandboxed, &task, UNREADABLE, std::iter::empty(), added.into_iter()).is_ok());
    }

    #[test]
    fn a_pause_elsewhere_holds_pids_and_of_ipc_what_the_engine_lets_it() {
        let wish = Wish { place: Place::Outside, pids: true, ipc: true };
        let mut task = task("", &[], &[]);
        // Whoever may trace finds nothing there.
        let traces = [("app", "SYS_PTRACE")];
        let got = place(wish, &task, UNREADABLE, [64].into_iter(), traces.into_iter()).expect("valid");
        assert_eq!((got.pid, got.ipc), (Some(Holder::Task), Some(Holder::Sandbox)));
        assert_eq!(got.shm_size_bytes, Some(64));
        task.ipc_mode = "shareable".into();
        let got = place(wish, &task, UNREADABLE, [64].into_iter(), std::iter::empty()).expect("valid");
        assert_eq!((got.pid, got.ipc), (Some(Holder::Task), Some(Holder::Task)));
        assert_eq!((got.sandbox(), got.shm_size_bytes), (false, None));
    }

    #[test]
    fn every_reason_is_given_at_once() {
        let wish = Wish { place: Place::Task, pids: true, ipc: true };
        let faults = place(wish, &task("", &[], &[]), UNREADABLE, std::iter::empty(), std::iter::empty())
            .expect_err("both");
        assert_eq!(faults.len(), 2);
    }
}
