//! Which cgroup holds a pod to the limits of its task.

use std::fmt;

use super::identity::short;
use super::limits::{Limits, cpus, nano_cpus, processes, size};
use super::spec::{ComponentSpec, ContainerSpec, PodSpec};
use super::task_container::TaskContainer;

/// How the engine arranges cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroups {
    /// cgroup v1 with the cgroupfs driver: a component may be below its task, whose limits bind the sum.
    Nesting,
    /// The systemd driver: only a slice can be a parent, and only systemd makes, limits and removes one.
    Slices,
    /// cgroup v2 with the cgroupfs driver. Below the task's own cgroup the parent would turn `domain threaded`, and no
    /// component with a limit of memory could start: the pod gets a group of its own.
    Groups,
    /// A rootless engine without delegated cgroups limits nothing.
    None,
}

/// With what the manager can make, limit and remove a cgroup of the pod's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// systemd, over the host's D-Bus.
    Bus,
    /// The host's cgroup tree.
    Tree,
}

impl Cgroups {
    /// Of an engine that says this of itself.
    pub fn of(version: u8, driver: &str) -> Self {
        match (version, driver) {
            (_, "none") => Self::None,
            (_, "systemd") => Self::Slices,
            (1, _) => Self::Nesting,
            _ => Self::Groups,
        }
    }

    /// What it takes to hold a pod in a cgroup of its own; `None` where nothing does, or nothing need.
    pub fn means(self) -> Option<Means> {
        match self {
            Self::Slices => Some(Means::Bus),
            Self::Groups => Some(Means::Tree),
            Self::Nesting | Self::None => None,
        }
    }
}

/// What came of the attempt to make a cgroup of the pod's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It is there, with the task's limits: the parent for components.
    In(String),
    /// The operator has mounted nothing to make it with.
    NoMeans,
    /// It could not be made, and why.
    Failed(String),
}

/// How a pod is held to its task's limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// Parent cgroup of everything in the pod; `None` leaves it to the engine.
    pub parent: Option<String>,
    /// Components without a limit of their own get the task's.
    pub capped: bool,
    /// What does not hold, and what would make it hold.
    pub warning: Option<String>,
    /// Where nothing limits the sum: what the operator has to do so that something does, or why it cannot be done.
    pub missing: Option<Missing>,
}

/// Why nothing limits the sum of a pod's components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The operator has not mounted this.
    Mount(&'static str),
    /// The means are there, or cannot be, and fail for this reason.
    Failed(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Mount(words) => f.write_str(words),
            Missing::Failed(words) => f.write_str(words),
        }
    }
}

impl Arrangement {
    /// The components as they are asked of the engine.
    pub fn apply<'a>(&self, limits: &Limits, containers: impl Iterator<Item = &'a mut ContainerSpec>) {
        if self.capped {
            containers.for_each(|container| limits.cap(container));
        }
    }

    /// Describes every limit that the components exceed together, where nothing else limits their sum.
    pub fn sum_faults(&self, pod: &PodSpec, limits: &Limits) -> Vec<String> {
        let Some(missing) = &self.missing else { return Vec::new() };
        let remedy = match missing {
            Missing::Mount(words) => format!("or {words}"),
            Missing::Failed(words) => format!("the sum itself cannot be limited: {words}"),
        };
        sum_excess(pod, limits).iter().map(|excess| format!("{excess}, {remedy}")).collect()
    }
}

/// A limit in which components are added up.
struct Summed {
    key: &'static str,
    task: Option<i64>,
    own: fn(&ContainerSpec) -> Option<i64>,
    words: fn(i64) -> String,
}

/// Describes every limit of the task that the components exceed if each uses all that it may. A component without a
/// limit of its own may use what the task has.
///
/// Init components run one at a time, beside the sidecars, and are gone before the other components start. So the most
/// that can run at once are the sidecars with the largest init component, or all components.
fn sum_excess(pod: &PodSpec, limits: &Limits) -> Vec<String> {
    let swap = |container: &ContainerSpec| {
        // The engine grants as much swap as memory to a container that does not set it.
        container.tuning.memory_swap.or_else(|| container.memory_bytes.map(|own| own.saturating_mul(2)))
    };
    let quota = |container: &ContainerSpec| {
        let tuning = &container.tuning;
        container.nano_cpus.or_else(|| nano_cpus(tuning.cpu_quota?, tuning.cpu_period))
    };
    let all = [
        Summed { key: "mem_limit", task: limits.memory_bytes, own: |one| one.memory_bytes, words: size },
        Summed { key: "memswap_limit", task: limits.memory_swap, own: swap, words: size },
        Summed { key: "cpus", task: limits.nano_cpus, own: quota, words: cpus },
        Summed { key: "pids_limit", task: limits.pids, own: |one| one.pids_limit, words: processes },
    ];
    all.iter().filter_map(|summed| summed.excess(pod)).collect()
}

impl Summed {
    fn excess(&self, pod: &PodSpec) -> Option<String> {
        let task = self.task.filter(|task| *task > 0)?;
        // More than the task's is a fault of that component alone ([`excess`]); the swap that the engine would grant
        // beyond it is capped ([`Limits::cap`]).
        let most = |member: &ComponentSpec| match (self.own)(&member.container) {
            Some(own) if own > 0 => own.min(task),
            _ => task,
        };
        let sum = |members: &[&ComponentSpec]| {
            members.iter().fold(0_i64, |sum, member| sum.saturating_add(most(member)))
        };
        // A step of `pre_start` has the limits of its component, and runs before that does.
        let all: Vec<&ComponentSpec> =
            pod.components.iter().filter(|one| one.pre_start_of.is_none()).collect();
        let largest = pod.init.iter().max_by_key(|init| most(init));
        let sidecars = all.iter().copied().filter(|one| one.sidecar);
        let early: Vec<&ComponentSpec> = sidecars.chain(largest).collect();
        let members = if sum(&early) > sum(&all) { early } else { all };
        let asked = sum(&members);
        if asked <= task {
            return None;
        }
        let each: Vec<String> = members
            .iter()
            .map(|member| match (self.own)(&member.container) {
                Some(_) => format!("`{}` {}", member.name, (self.words)(most(member))),
                None => format!("`{}` {} (the task's)", member.name, (self.words)(task)),
            })
            .collect();
        Some(format!(
            "`{}`: found {} in all components that run at once, and the task has {}: {}; nothing limits their sum: give each \
             a `{}` so that together they have at most the task's",
            self.key,
            (self.words)(asked),
            (self.words)(task),
            each.join(", "),
            self.key
        ))
    }
}

/// How a task with these limits has its pod held to them. `nested` is the parent below the task.
///
/// A parent of the pod's own only ever where it is [`Held::In`] one: a slice that the engine makes by itself stays
/// after its last container, and so does its group on cgroup v2.
pub fn arrange(
    cgroups: Cgroups,
    nested: impl FnOnce() -> String,
    held: Held,
    limits: &Limits,
) -> Arrangement {
    let missing = match (cgroups, held) {
        (Cgroups::Nesting, _) => return Arrangement { parent: Some(nested()), ..Arrangement::default() },
        (_, Held::In(parent)) => return Arrangement { parent: Some(parent), ..Arrangement::default() },
        _ if limits.none() => return Arrangement::default(),
        (Cgroups::None, _) => {
            let words = format!("the task's limits ({limits}) have no effect: the engine has no cgroups");
            return Arrangement { warning: Some(words), ..Arrangement::default() };
        }
        (_, Held::Failed(why)) => Missing::Failed(why),
        (Cgroups::Slices, Held::NoMeans) => Missing::Mount(
            "mount the host's `/run/dbus/system_bus_socket` into the manager's \
             container, through which systemd can be asked for a slice",
        ),
        (Cgroups::Groups, Held::NoMeans) => Missing::Mount(
            "mount the host's `/sys/fs/cgroup` for writing at `/host/cgroup` of the manager's container",
        ),
    };
    let warning = format!(
        "the task's limits ({limits}) hold for each component by itself, not for their sum: {missing}"
    );
    Arrangement { parent: None, capped: true, warning: Some(warning), missing: Some(missing) }
}

/// The parent below the task, where cgroups nest. `own_cgroups` is the manager's `/proc/self/cgroup`, with the task's id.
pub fn nested(own_cgroups: &str, task: &TaskContainer) -> String {
    let own = own_cgroups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == "memory").then_some(path)
    });
    match own {
        // From inside a private cgroup namespace the path is not to be seen.
        Some("/") | None => {
            let parent = if task.cgroup_parent.is_empty() { "/docker" } else { &task.cgroup_parent };
            format!("{parent}/{}", task.id)
        }
        Some(path) => path.to_owned(),
    }
}

/// The slice of a pod.
pub fn slice(pod: &str) -> String {
    format!("tandem-{}.slice", short(pod))
}

/// The pod, by its short id, of a slice.
pub fn pod_of_slice(name: &str) -> Option<&str> {
    name.strip_prefix("tandem-")?.strip_suffix(".slice").filter(|id| is_short(id))
}

/// The folder of the cgroup tree with the groups of all pods.
pub const GROUPS: &str = "tandem";

/// The group of a pod within [`GROUPS`]. `engine` is the id of its engine: there may be another one on the node, and
/// only who knows the task can tell that a group is nobody's.
pub fn group(pod: &str, engine: &str) -> String {
    format!("{}.{}", short(pod), engine_word(engine))
}

/// The pod, by its short id, of a group, where it is one of this engine.
pub fn pod_of_group<'a>(name: &'a str, engine: &str) -> Option<&'a str> {
    let (pod, of) = name.split_once('.')?;
    (is_short(pod) && of == engine_word(engine)).then_some(pod)
}

/// Enough of an engine's id to tell engines of one node apart.
fn engine_word(engine: &str) -> String {
    let plain = engine.chars().filter(char::is_ascii_alphanumeric);
    plain.take(8).map(|char| char.to_ascii_lowercase()).collect()
}

fn is_short(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container_options::Tuning;
    use crate::limits::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const LIMITS: Limits = Limits {
        memory_bytes: Some(64 << 20),
        memory_swap: Some(128 << 20),
        nano_cpus: Some(500_000_000),
        pids: Some(100),
    };

    #[test]
    fn the_sum_is_held_where_something_can_hold_it_and_else_each_with_one_warning() {
        let kinds = [(1, "cgroupfs"), (1, "systemd"), (2, "systemd"), (2, "cgroupfs"), (2, "none")];
        for (version, driver) in kinds {
            for offered in [Some(Means::Bus), Some(Means::Tree), None] {
                for limits in [LIMITS, Limits::default()] {
                    let cgroups = Cgroups::of(version, driver);
                    let can = offered.is_some() && cgroups.means() == offered;
                    let held = if can { Held::In("own".into()) } else { Held::NoMeans };
                    let got = arrange(cgroups, || "nested".into(), held, &limits);
                    let limited = !limits.none();
                    let want = match (version, driver, offered) {
                        (1, "cgroupfs", _) => (Some("nested"), false, false),
                        (_, "systemd", Some(Means::Bus)) => (Some("own"), false, false),
                        (2, "cgroupfs", Some(Means::Tree)) => (Some("own"), false, false),
                        (_, "none", _) => (None, false, limited),
                        _ => (None, limited, limited),
                    };
                    let is = (got.parent.as_deref(), got.capped, got.warning.is_some());
                    assert_eq!(is, want, "v{version} {driver} {offered:?} {limits:?}");
                }
            }
        }
    }

    /// A pod of components like `app=64,50,100`: memory in MiB, hundredths of a CPU, processes; a `-` is no limit.
    fn limited(text: &str) -> PodSpec {
        let names: Vec<&str> = text.split(' ').map(|word| word.split('=').next().expect("a name")).collect();
        let mut pod = crate::testing::pod(&names.join(" "));
        for word in text.split(' ').filter(|word| *word != "|") {
            let (name, limits) = word.split_once('=').expect("limits");
            let name = name.split('+').next().expect("a name");
            let mut numbers = limits.split(',').map(|number| number.parse::<i64>().ok());
            let mut next = |unit: i64| numbers.next().flatten().map(|number| number * unit);
            let member = pod.init.iter_mut().chain(&mut pod.components).find(|member| member.name == name);
            let container = &mut member.expect("a component").container;
            container.memory_bytes = next(1 << 20);
            container.nano_cpus = next(10_000_000);
            container.pids_limit = next(1);
        }
        pod
    }

    #[test]
    fn components_may_have_together_what_the_task_has() {
        let keys = |text: &str, limits: &Limits| -> Vec<String> {
            let faults = sum_excess(&limited(text), limits);
            faults.iter().map(|fault| fault.split('`').nth(1).expect("a key").to_owned()).collect()
        };
        let memory = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
        let every = ["mem_limit", "memswap_limit", "cpus", "pids_limit"];
        let cases: [(&str, &Limits, &[&str]); 19] = [
            ("a=-,-,-", &LIMITS, &[]),
            ("a=-,-,- b=-,-,-", &LIMITS, &every),
            ("a=-,-,- b=-,-,-", &memory, &["mem_limit"]),
            ("a=-,-,- b=-,-,-", &Limits::default(), &[]),
            ("a=32,25,50 b=32,25,50", &LIMITS, &[]),
            ("a=32,25,50 b=33,25,50", &LIMITS, &["mem_limit", "memswap_limit"]),
            ("a=32,25,50 b=32,26,50", &LIMITS, &["cpus"]),
            ("a=32,25,50 b=32,25,51", &LIMITS, &["pids_limit"]),
            ("a=32,25,50 b=32,25,-", &LIMITS, &["pids_limit"]),
            ("i=-,-,- j=-,-,- | a=32,25,50 b=32,25,50", &LIMITS, &[]),
            ("i=-,-,- | a=32,25,50 b+sidecar=32,25,50", &LIMITS, &every),
            ("i=32,25,50 j=32,25,50 | a=32,25,50 b+sidecar=32,25,50", &LIMITS, &[]),
            (
                "i=8,25,50 j=48,25,50 | a=32,25,50 b+sidecar=32,25,50",
                &LIMITS,
                &["mem_limit", "memswap_limit"],
            ),
            // The largest init component is another one for each limit.
            ("i=48,1,1 j=1,48,1 | b+sidecar=32,25,50", &LIMITS, &["mem_limit", "memswap_limit", "cpus"]),
            ("i=64,50,100 | a=64,50,100", &LIMITS, &[]),
            // A step runs before its component, with the same limits.
            ("a+step+step=64,50,100", &LIMITS, &[]),
            ("i=32,25,50 | b+sidecar+step=32,25,50", &LIMITS, &[]),
            ("a=-1,-1,-1", &LIMITS, &[]),
            ("a=999999,1,1 b=999999,1,1", &LIMITS, &["mem_limit", "memswap_limit"]),
        ];
        for (text, limits, want) in cases {
            assert_eq!(keys(text, limits), want, "{text} {limits}");
        }
        let mut quota = limited("a=32,-,50 b=32,-,50");
        let tuning = Tuning { cpu_quota: Some(12_500), cpu_period: Some(50_000), ..Tuning::default() };
        for component in &mut quota.components {
            component.container.tuning = tuning.clone();
        }
        assert_eq!(sum_excess(&quota, &LIMITS), Vec::<String>::new(), "a quota is CPU time as well");
        let no_swap = Limits { memory_swap: Some(64 << 20), ..memory };
        let mut swap = limited("a=32,-,- b=32,-,-");
        assert_eq!(sum_excess(&swap, &no_swap).len(), 1, "the engine grants swap as well");
        for component in &mut swap.components {
            component.container.tuning.memory_swap = Some(32 << 20);
        }
        assert_eq!(sum_excess(&swap, &no_swap), Vec::<String>::new());
    }

    #[test]
    fn fault_of_a_sum_names_each_component_and_both_ways_out() {
        let faults = |cgroups, held, text: &str| {
            let limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
            arrange(cgroups, String::new, held, &limits).sum_faults(&limited(text), &limits)
        };
        let too_much = "a=48,-,- b=-,-,-";
        assert_eq!(
            faults(Cgroups::Slices, Held::NoMeans, too_much),
            [
                "`mem_limit`: found 112 MiB in all components that run at once, and the task has 64 MiB: `a` 48 MiB, `b` 64 MiB \
              (the task's); nothing limits their sum: give each a `mem_limit` so that together they have at most the \
              task's, or mount the host's `/run/dbus/system_bus_socket` into the manager's container, through which \
              systemd can be asked for a slice"
            ]
        );
        assert!(
            faults(Cgroups::Groups, Held::NoMeans, too_much)[0]
                .contains("or mount the host's `/sys/fs/cgroup`")
        );
        let failed = faults(Cgroups::Slices, Held::Failed("systemd says no".into()), too_much);
        assert!(failed[0].ends_with("the sum itself cannot be limited: systemd says no"), "{failed:?}");
        for (cgroups, held, text) in [
            (Cgroups::Slices, Held::NoMeans, "a=32,-,- b=32,-,-"),
            (Cgroups::Slices, Held::In("own".into()), too_much),
            (Cgroups::Nesting, Held::NoMeans, too_much),
            (Cgroups::None, Held::NoMeans, too_much),
        ] {
            assert_eq!(faults(cgroups, held, text), Vec::<String>::new(), "{cgroups:?} {text}");
        }
    }

    #[test]
    fn the_warning_says_what_is_missing() {
        let warning =
            |cgroups, held| arrange(cgroups, String::new, held, &LIMITS).warning.expect("a warning");
        let slices = warning(Cgroups::Slices, Held::NoMeans);
        assert!(
            slices.starts_with("the task's limits (memory 64 MiB, 0.5 CPUs, 100 processes) hold for each"),
            "{slices}"
        );
        assert!(slices.contains("`/run/dbus/system_bus_socket`"), "{slices}");
        assert!(warning(Cgroups::Groups, Held::NoMeans).contains("`/sys/fs/cgroup`"));
        assert!(
            warning(Cgroups::Slices, Held::Failed("systemd says no".into())).ends_with(": systemd says no")
        );
        assert!(warning(Cgroups::None, Held::NoMeans).contains("no cgroups"));
    }

    #[test]
    fn a_component_without_a_limit_gets_the_task_s_and_a_smaller_one_stays() {
        let capped = |mut container: ContainerSpec, limits: Limits| {
            limits.cap(&mut container);
            container
        };
        let tuned = |tuning| ContainerSpec { tuning, ..ContainerSpec::default() };
        let got = capped(ContainerSpec::default(), LIMITS);
        assert_eq!(
            (got.memory_bytes, got.nano_cpus, got.pids_limit),
            (Some(64 << 20), Some(500_000_000), Some(100))
        );
        assert_eq!(got.tuning, Tuning::default(), "the engine grants as much swap as the task has");
        let small = ContainerSpec {
            memory_bytes: Some(8 << 20),
            nano_cpus: Some(1),
            pids_limit: Some(5),
            ..ContainerSpec::default()
        };
        assert_eq!(capped(small.clone(), LIMITS), small);
        // Half a CPU in a period of its own, since the engine takes one or the other.
        let period = Tuning { cpu_period: Some(50_000), ..Tuning::default() };
        let got = capped(tuned(period), LIMITS);
        assert_eq!((got.nano_cpus, got.tuning.cpu_quota), (None, Some(25_000)));
        let quota = Tuning { cpu_quota: Some(10_000), ..Tuning::default() };
        assert_eq!(capped(tuned(quota), LIMITS).nano_cpus, None);
        let no_swap = Limits { memory_swap: Some(64 << 20), ..LIMITS };
        assert_eq!(capped(ContainerSpec::default(), no_swap).tuning.memory_swap, Some(64 << 20));
        assert_eq!(capped(small, no_swap).tuning.memory_swap, None);
        assert_eq!(capped(ContainerSpec::default(), Limits::default()), ContainerSpec::default());
    }

    #[test]
    fn whoever_asks_for_more_than_the_task_has_is_told_for_each_key() {
        let keys = |container: &ContainerSpec| -> Vec<&str> {
            excess(container, &LIMITS).iter().map(|excess| excess.key).collect()
        };
        let mut much = ContainerSpec {
            memory_bytes: Some(65 << 20),
            nano_cpus: Some(500_000_001),
            pids_limit: Some(-1),
            ..ContainerSpec::default()
        };
        much.tuning.memory_swap = Some(-1);
        much.tuning.memory_reservation = Some(65 << 20);
        assert_eq!(keys(&much), ["mem_limit", "memswap_limit", "cpus", "pids_limit"]);
        assert!(excess(&much, &Limits::default()).is_empty(), "no limit, no excess");
        let tuning = Tuning {
            cpu_quota: Some(26_000),
            cpu_period: Some(50_000),
            memory_reservation: Some(65 << 20),
            ..Tuning::default()
        };
        let mut other = ContainerSpec { tuning, ..ContainerSpec::default() };
        assert_eq!(keys(&other), ["mem_reservation", "cpu_quota"]);
        other.tuning.cpu_quota = Some(-1);
        let quota = &excess(&other, &LIMITS)[1];
        assert_eq!(quota.problem, "found no limit, and the task has 0.5 CPUs");
        let all = ContainerSpec {
            memory_bytes: LIMITS.memory_bytes,
            nano_cpus: LIMITS.nano_cpus,
            pids_limit: LIMITS.pids,
            ..ContainerSpec::default()
        };
        assert_eq!(keys(&all), Vec::<&str>::new(), "all that the task has is not too much");
    }

    #[test]
    fn the_parent_below_the_task_is_the_manager_s_own_cgroup() {
        let task = TaskContainer { id: ID.into(), ..TaskContainer::default() };
        let own = format!("12:pids:/docker/{ID}\n9:cpu,memory:/lab/docker/{ID}\n0::/\n");
        assert_eq!(nested(&own, &task), format!("/lab/docker/{ID}"));
        assert_eq!(nested("9:memory:/\n0::/\n", &task), format!("/docker/{ID}"));
        let placed = TaskContainer { cgroup_parent: "/p".into(), ..task };
        assert_eq!(nested("", &placed), format!("/p/{ID}"));
    }

    #[test]
    fn slices_and_groups_name_their_pod() {
        assert_eq!(slice(ID), "tandem-0123456789ab.slice");
        assert_eq!(pod_of_slice(&slice(ID)), Some("0123456789ab"));
        for other in ["tandem.slice", "tandem-x.slice", "tandem-0123456789ab.service", "system.slice"] {
            assert_eq!(pod_of_slice(other), None, "{other}");
        }
        let engine = "6PBF:R6WU:2JYX";
        assert_eq!(group(ID, engine), "0123456789ab.6pbfr6wu");
        assert_eq!(pod_of_group("0123456789ab.6pbfr6wu", engine), Some("0123456789ab"));
        for other in ["0123456789ab.0", "0123456789ab", "x.6pbfr6wu", "cgroup.procs"] {
            assert_eq!(pod_of_group(other, engine), None, "{other}");
        }
    }
}
