//! Floors and ceilings of what a pod takes of its node beside the limits of its task: work of the engine and of container
//! runtimes, which no limit of the pod bounds. A value beyond one is a fault; none is changed to fit.
//!
//! `docs/reference/limits.md` shows [`BOUNDS`] to users; `manager/tests/docs.rs` compares the two.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::size;
use super::policy::{Allowance, Allowed, Policy, Refusal};
use super::spec::{ComponentSpec, ContainerSpec, Definition, HealthCheck, Hook, MountSource};
use super::task_container::TaskContainer;

/// Bytes in units that a table can be read by.
const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
/// One hour in milliseconds.
const HOUR: i64 = 3_600_000;
/// Most descriptors of a process.
const MOST_OPEN_FILES: i64 = 1 << 20;
/// Shortest interval of a health check, in milliseconds.
const LEAST_INTERVAL: i64 = 500;
/// Docker's interval of a health check that names none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
/// Docker's interval of a health check within its `start_period`, from API 1.44 on.
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
/// Docker's buffer of a log that does not block, where nothing else is said.
const DEFAULT_LOG_BUFFER: i64 = MIB;
/// Most mounts of a component: volumes, binds, tmpfs, secrets and configs.
pub const MOST_MOUNTS: usize = 256;
/// Most volumes that come and go with the pod.
pub const MOST_SCRATCH: usize = 64;

/// One floor or ceiling.
pub struct Bound {
    /// The Compose key that breaks it.
    pub key: &'static str,
    /// What is counted.
    pub counted: &'static str,
    /// The number.
    pub limit: Limit,
    /// Why there is a limit.
    pub why: &'static str,
    /// What the operator can allow to lift it.
    pub lifted_by: Option<Allowance>,
    unit: Unit,
    measure: Measure,
}

/// A number that a value may reach.
#[derive(Clone, Copy)]
pub enum Limit {
    /// At least this.
    Least(i64),
    /// At most this.
    Most(i64),
    /// At least what this says of the task container, in words for people.
    LeastOfTask(fn(&TaskContainer) -> Option<i64>, &'static str),
    /// At most the same; no limit where it says nothing.
    MostOfTask(fn(&TaskContainer) -> Option<i64>, &'static str),
}

#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Count,
    Millis,
    /// In a thousand seconds.
    Rate,
}

/// How values are found.
#[derive(Clone, Copy)]
enum Measure {
    /// Every value in one component.
    Component(fn(&ComponentSpec, &TaskContainer) -> Vec<i64>),
    /// What each component adds to a sum over the pod.
    Sum(fn(&ComponentSpec, &TaskContainer) -> i64),
    /// Every value in the pod as a whole.
    Pod(fn(&Definition) -> Vec<i64>),
}

impl Bound {
    /// What is valid, as in `at most 64 KiB`.
    pub fn valid(&self) -> String {
        match self.limit {
            Limit::Least(least) => format!("at least {}", self.unit.text(least)),
            Limit::Most(most) => format!("at most {}", self.unit.text(most)),
            Limit::LeastOfTask(_, words) => format!("at least {words}"),
            Limit::MostOfTask(_, words) => format!("at most {words}"),
        }
    }

    /// Why this value is beyond the limit, if it is.
    fn judge(&self, value: i64, task: &TaskContainer, policy: &Policy) -> Option<Refusal> {
        let (sound, limit) = match self.limit {
            Limit::Least(least) => (value >= least, least),
            Limit::Most(most) => (value <= most, most),
            Limit::LeastOfTask(of, _) => of(task).map(|least| (value >= least, least))?,
            Limit::MostOfTask(of, _) => of(task).map(|most| (value <= most, most))?,
        };
        if sound || self.lifted_by.is_some_and(|what| policy.allows(what)) {
            return None;
        }
        let valid = match self.limit {
            Limit::Least(_) | Limit::Most(_) => self.valid(),
            Limit::LeastOfTask(_, words) => format!("at least {} ({words})", self.unit.text(limit)),
            Limit::MostOfTask(_, words) => format!("at most {} ({words})", self.unit.text(limit)),
        };
        let problem = format!("found {} for {}", self.unit.text(value), self.counted);
        let remedy = format!("valid is {valid}: {}", self.why);
        Some(match self.lifted_by {
            Some(what) => Refusal::liftable(self.key, problem, &remedy, vec![Allowed::All(what)]),
            None => Refusal::absolute(self.key, problem, remedy),
        })
    }
}

impl Unit {
    fn text(self, value: i64) -> String {
        match self {
            _ if value == i64::MAX => "no limit".to_owned(),
            Unit::Bytes => size(value),
            Unit::Count => value.to_string(),
            Unit::Millis if value >= HOUR && value % HOUR == 0 => format!("{} h", value / HOUR),
            Unit::Millis => format!("{value} ms"),
            Unit::Rate => {
                let text = format!("{}.{:03}", value / 1000, value % 1000);
                format!("{} a second", text.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

/// A row for each component.
const fn each(
    key: &'static str,
    counted: &'static str,
    unit: Unit,
    limit: Limit,
    why: &'static str,
    measure: fn(&ComponentSpec, &TaskContainer) -> Vec<i64>,
) -> Bound {
    Bound { key, counted, limit, why, lifted_by: None, unit, measure: Measure::Component(measure) }
}

/// A row for the pod.
const fn whole(
    key: &'static str,
    counted: &'static str,
    unit: Unit,
    limit: Limit,
    why: &'static str,
    measure: Measure,
) -> Bound {
    Bound { key, counted, limit, why, lifted_by: None, unit, measure }
}

/// A row that `--allow log-drivers` lifts.
const fn log(bound: Bound) -> Bound {
    Bound { lifted_by: Some(Allowance::LogDrivers), ..bound }
}

use Limit::{Least, LeastOfTask, Most, MostOfTask};
use Unit::{Bytes, Count, Millis, Rate};

const CHECKS: &str = "each check is a process that the engine and the runtime start, for 50 to 100 ms of CPU outside of the \
                      pod's limits";
const ENGINE_LIST: &str =
    "the engine keeps, sends and stores the whole list with each change of the container";
const KERNEL_STRING: &str = "the kernel starts no program with a longer string";
const KERNEL_STRINGS: &str = "the kernel starts no program with more, and the engine stores them";
const PER_START: &str = "the runtime acts on each of them at every start, outside of the pod's limits";
const PER_HOOK: &str =
    "each hook is a process that the engine and the runtime start, outside of the pod's limits";
const SCHEDULING: &str =
    "with more a process can keep the CPU from all others of the node, without a capability";
const KERNEL_MEMORY: &str = "it bounds memory of the kernel that belongs to a user, not to a container";
const WITHIN_MEMORY: &str =
    "a component that fills it would be killed for its memory, and never see that the place is full";
const ENDS: &str = "the engine and the node wait for the end, an update of the service too";

const TASK_MEMORY: &str = "the memory limit of the task";
const TASK_OWN: &str = "what the task container has, else 0";
const TASK_WHERE_SET: &str = "what the task container has, where it has one";

/// All of them.
pub const BOUNDS: &[Bound] = &[
    log(each(
        "logging",
        "`max-size`",
        Bytes,
        Least(MIB),
        "the engine renames the files of a log each time that one is full",
        |it, task| log_option(it, task, "max-size"),
    )),
    log(each(
        "logging",
        "`max-file`",
        Count,
        Most(20),
        "the engine renames all files of a log each time that one is full",
        |it, task| log_option(it, task, "max-file"),
    )),
    log(each(
        "logging",
        "`max-buffer-size`",
        Bytes,
        Most(4 * MIB),
        "the buffer is memory of the engine",
        |it, task| log_option(it, task, "max-buffer-size"),
    )),
    log(whole(
        "logging",
        "the log buffers of all components",
        Bytes,
        Most(16 * MIB),
        "the buffers are memory of the engine",
        Measure::Sum(log_buffer),
    )),
    each("healthcheck", "`interval`", Millis, Least(LEAST_INTERVAL), CHECKS, |it, _| check_times(it).0),
    each("healthcheck", "`start_interval`", Millis, Least(LEAST_INTERVAL), CHECKS, |it, _| check_times(it).1),
    whole(
        "healthcheck",
        "the health checks of all components",
        Rate,
        Most(10_000),
        CHECKS,
        Measure::Sum(|it, _| check_rate(it.container.healthcheck.as_ref())),
    ),
    each(
        "healthcheck",
        "the size of `test`",
        Bytes,
        Most(64 * KIB),
        "the engine starts it at each check",
        |it, _| match &it.container.healthcheck {
            Some(HealthCheck::Check { test, .. }) => vec![strings(test)],
            _ => Vec::new(),
        },
    ),
    each(
        "oom_score_adj",
        "`oom_score_adj`",
        Count,
        LeastOfTask(|task| Some(task.oom_score_adj), TASK_OWN),
        "with less the kernel kills processes of other pods first",
        |it, _| it.container.tuning.oom_score_adj.into_iter().collect(),
    ),
    each(
        "ulimits",
        "`nofile`",
        Count,
        MostOfTask(
            |task| Some(ulimit(task, "nofile").unwrap_or_default().max(MOST_OPEN_FILES)),
            "1048576, or what the task container has beyond",
        ),
        "open files take memory of the kernel",
        |it, _| own_ulimit(it, "nofile"),
    ),
    each(
        "ulimits",
        "`rtprio`",
        Count,
        MostOfTask(|task| Some(ulimit(task, "rtprio").unwrap_or_default()), TASK_OWN),
        SCHEDULING,
        |it, _| own_ulimit(it, "rtprio"),
    ),
    each(
        "ulimits",
        "`nice`",
        Count,
        MostOfTask(|task| Some(ulimit(task, "nice").unwrap_or_default()), TASK_OWN),
        SCHEDULING,
        |it, _| own_ulimit(it, "nice"),
    ),
    each(
        "ulimits",
        "`msgqueue`",
        Bytes,
        MostOfTask(
            |task| Some(ulimit(task, "msgqueue").unwrap_or(16 * MIB)),
            "what the task container has, else 16 MiB",
        ),
        KERNEL_MEMORY,
        |it, _| own_ulimit(it, "msgqueue"),
    ),
    each(
        "ulimits",
        "`memlock`",
        Bytes,
        MostOfTask(|task| ulimit(task, "memlock"), TASK_WHERE_SET),
        "locked memory is never swapped",
        |it, _| own_ulimit(it, "memlock"),
    ),
    each(
        "ulimits",
        "`nproc`",
        Count,
        MostOfTask(|task| ulimit(task, "nproc"), TASK_WHERE_SET),
        "processes count for their user on the whole node",
        |it, _| own_ulimit(it, "nproc"),
    ),
    each(
        "ulimits",
        "`sigpending`",
        Count,
        MostOfTask(|task| ulimit(task, "sigpending"), TASK_WHERE_SET),
        KERNEL_MEMORY,
        |it, _| own_ulimit(it, "sigpending"),
    ),
    each(
        "shm_size",
        "`shm_size`",
        Bytes,
        MostOfTask(|task| task.limits.memory_bytes, TASK_MEMORY),
        WITHIN_MEMORY,
        |it, _| it.container.shm_size_bytes.into_iter().collect(),
    ),
    each(
        "tmpfs",
        "the size of a tmpfs",
        Bytes,
        MostOfTask(|task| task.limits.memory_bytes, TASK_MEMORY),
        WITHIN_MEMORY,
        |it, _| it.container.tmpfs.values().filter_map(|options| tmpfs_bytes(options)).collect(),
    ),
    each(
        "volumes",
        "the size of a tmpfs",
        Bytes,
        MostOfTask(|task| task.limits.memory_bytes, TASK_MEMORY),
        WITHIN_MEMORY,
        |it, _| {
            let tmpfs = it.container.mounts.iter().filter_map(|mount| match mount.source {
                MountSource::Tmpfs { size_bytes, .. } => size_bytes,
                _ => None,
            });
            tmpfs.collect()
        },
    ),
    each("stop_grace_period", "`stop_grace_period`", Millis, Most(HOUR), ENDS, |it, _| {
        it.stop_grace.into_iter().map(millis).collect()
    }),
    each("x-tandem", "`shutdown_delay`", Millis, Most(HOUR), ENDS, |it, _| vec![millis(it.shutdown_delay)]),
    each("labels", "the number of labels", Count, Most(128), ENGINE_LIST, |it, _| {
        vec![count(it.container.labels.len())]
    }),
    each("labels", "the size of all labels", Bytes, Most(64 * KIB), ENGINE_LIST, |it, _| {
        vec![pairs(&it.container.labels)]
    }),
    each("environment", "the number of variables", Count, Most(1024), ENGINE_LIST, |it, _| {
        vec![count(it.container.environment.len())]
    }),
    each("environment", "the size of one variable", Bytes, Most(128 * KIB), KERNEL_STRING, |it, _| {
        variables(&it.container.environment).collect()
    }),
    each("environment", "the size of all variables", Bytes, Most(MIB), KERNEL_STRINGS, |it, _| {
        vec![variables(&it.container.environment).sum()]
    }),
    each(
        "command",
        "the number of words of `entrypoint` and `command`",
        Count,
        Most(4096),
        ENGINE_LIST,
        |it, _| vec![count(words(it).count())],
    ),
    each(
        "command",
        "the size of one word of `entrypoint` and `command`",
        Bytes,
        Most(128 * KIB),
        KERNEL_STRING,
        |it, _| words(it).map(|word| count(word.len()) + 1).collect(),
    ),
    each("command", "the size of `entrypoint` and `command`", Bytes, Most(MIB), KERNEL_STRINGS, |it, _| {
        vec![words(it).map(|word| count(word.len()) + 1).sum()]
    }),
    each(
        "volumes",
        "the number of mounts: volumes, binds, tmpfs, secrets and configs",
        Count,
        Most(MOST_MOUNTS as i64),
        PER_START,
        |it, _| vec![mounts(it)],
    ),
    whole(
        "volumes",
        "the mounts of all components",
        Count,
        Most(1024),
        "the manager of every pod with mounts lists those of the whole node",
        Measure::Sum(|it, _| mounts(it)),
    ),
    whole(
        "post_start",
        "the hooks of all components, `pre_stop` among them",
        Count,
        Most(256),
        PER_HOOK,
        Measure::Sum(|it, _| count(it.post_start.len() + it.pre_stop.len())),
    ),
    each("post_start", "the number of hooks", Count, Most(32), PER_HOOK, |it, _| {
        vec![count(it.post_start.len())]
    }),
    each("pre_stop", "the number of hooks", Count, Most(32), PER_HOOK, |it, _| {
        vec![count(it.pre_stop.len())]
    }),
    each("post_start", "the size of one hook", Bytes, Most(MIB), KERNEL_STRINGS, |it, _| {
        it.post_start.iter().map(hook_bytes).collect()
    }),
    each("pre_stop", "the size of one hook", Bytes, Most(MIB), KERNEL_STRINGS, |it, _| {
        it.pre_stop.iter().map(hook_bytes).collect()
    }),
    each("devices", "the number of devices", Count, Most(64), PER_START, |it, _| {
        vec![count(it.container.tuning.devices.len())]
    }),
    each("device_cgroup_rules", "the number of rules", Count, Most(64), PER_START, |it, _| {
        vec![count(it.container.tuning.device_rules.len())]
    }),
    each(
        "gpus",
        "the number of requests, ids, capabilities and options",
        Count,
        Most(64),
        PER_START,
        |it, _| {
            let requests = it.container.tuning.device_requests.iter();
            vec![
                requests
                    .map(|one| count(1 + one.ids.len() + one.capabilities.len() + one.options.len()))
                    .sum(),
            ]
        },
    ),
    each("blkio_config", "the number of devices", Count, Most(64), PER_START, |it, _| {
        let blkio = &it.container.tuning.blkio;
        let lists =
            [blkio.read_bps.len(), blkio.write_bps.len(), blkio.read_iops.len(), blkio.write_iops.len()];
        vec![count(lists.iter().sum::<usize>() + blkio.weight_device.len())]
    }),
    each("group_add", "the number of groups", Count, Most(64), PER_START, |it, _| {
        vec![count(it.container.tuning.groups.len())]
    }),
    each("security_opt", "the number of options", Count, Most(32), PER_START, |it, _| {
        vec![count(it.container.tuning.security_opt.len())]
    }),
    each(
        "security_opt",
        "the size of all options",
        Bytes,
        Most(64 * KIB),
        "the runtime reads a seccomp profile at each start, check and hook",
        |it, _| vec![strings(&it.container.tuning.security_opt)],
    ),
    each("sysctls", "the number of settings", Count, Most(64), PER_START, |it, _| {
        vec![count(it.container.tuning.sysctls.len())]
    }),
    each("annotations", "the number of annotations", Count, Most(64), ENGINE_LIST, |it, _| {
        vec![count(it.container.tuning.annotations.len())]
    }),
    each("annotations", "the size of all annotations", Bytes, Most(64 * KIB), ENGINE_LIST, |it, _| {
        vec![pairs(&it.container.tuning.annotations)]
    }),
    each(
        "pod.copy",
        "the number of copies",
        Count,
        Most(64),
        "the engine unpacks an archive for each of them",
        |it, _| vec![count(it.copies.len())],
    ),
    whole(
        "pod.stop_grace_period",
        "`pod.stop_grace_period`",
        Millis,
        Most(HOUR),
        ENDS,
        Measure::Pod(|it| it.stop_timeout.into_iter().map(millis).collect()),
    ),
    whole(
        "pod.scratch",
        "the number of scratch volumes",
        Count,
        Most(MOST_SCRATCH as i64),
        "the engine makes a volume for each of them",
        Measure::Pod(|it| vec![count(it.scratch.len())]),
    ),
    Bound {
        limit: MostOfTask(|task| task.limits.memory_bytes, TASK_MEMORY),
        ..whole(
            "pod.scratch",
            "the size of a scratch volume in memory",
            Bytes,
            Most(0),
            WITHIN_MEMORY,
            Measure::Pod(|it| {
                it.scratch
                    .iter()
                    .filter(|scratch| scratch.memory)
                    .filter_map(|scratch| scratch.size_bytes)
                    .collect()
            }),
        )
    },
];

/// What of one component is beyond a floor or ceiling: one refusal for each row.
pub fn check_component(component: &ComponentSpec, task: &TaskContainer, policy: &Policy) -> Vec<Refusal> {
    let judge = |bound: &Bound| match bound.measure {
        Measure::Component(values) => {
            values(component, task).into_iter().find_map(|value| bound.judge(value, task, policy))
        }
        Measure::Sum(_) | Measure::Pod(_) => None,
    };
    BOUNDS.iter().filter_map(judge).collect()
}

/// What of a pod as a whole is beyond one.
pub fn check_pod(definition: &Definition, task: &TaskContainer, policy: &Policy) -> Vec<Refusal> {
    let members = || definition.init.iter().chain(&definition.components);
    let judge = |bound: &Bound| match bound.measure {
        Measure::Component(_) => None,
        Measure::Sum(part) => {
            let sum = members().fold(0_i64, |sum, member| sum.saturating_add(part(member, task)));
            bound.judge(sum, task, policy)
        }
        Measure::Pod(values) => {
            values(definition).into_iter().find_map(|value| bound.judge(value, task, policy))
        }
    };
    BOUNDS.iter().filter_map(judge).collect()
}

/// Why a container with this health check, which may be its image's, is not run beside others whose checks have this
/// [rate](check_rate) in all.
pub fn check_health(check: Option<&HealthCheck>, others: i64) -> Option<Refusal> {
    let container = ContainerSpec { healthcheck: check.cloned(), ..ContainerSpec::default() };
    let component = ComponentSpec { container, ..ComponentSpec::default() };
    let (task, policy) = (TaskContainer::default(), Policy::default());
    BOUNDS.iter().filter(|bound| bound.key == "healthcheck").find_map(|bound| match bound.measure {
        Measure::Component(values) => {
            values(&component, &task).into_iter().find_map(|value| bound.judge(value, &task, &policy))
        }
        Measure::Sum(part) => bound.judge(part(&component, &task).saturating_add(others), &task, &policy),
        Measure::Pod(_) => None,
    })
}

/// Why a container with so many mounts, and these labels that it got from its image, is not run.
pub fn check_image(mounts: usize, labels: &BTreeMap<String, String>) -> Option<Refusal> {
    let container = ContainerSpec { labels: labels.clone(), ..ContainerSpec::default() };
    let component = ComponentSpec { container, ..ComponentSpec::default() };
    let (task, policy) = (TaskContainer::default(), Policy::default());
    check_mount_count(mounts).or_else(|| check_component(&component, &task, &policy).into_iter().next())
}

/// Why no component has so many mounts.
pub fn check_mount_count(mounts: usize) -> Option<Refusal> {
    let is_it = |bound: &&Bound| {
        matches!(bound.limit, Most(most) if most == count(MOST_MOUNTS)) && bound.key == "volumes"
    };
    let bound = BOUNDS.iter().find(is_it)?;
    bound.judge(count(mounts), &TaskContainer::default(), &Policy::default())
}

/// Runs of a health check in a thousand seconds: by `interval`, or by the interval of its `start_period` where that is
/// shorter.
pub fn check_rate(check: Option<&HealthCheck>) -> i64 {
    let Some(HealthCheck::Check { interval, start_period, start_interval, .. }) = check else { return 0 };
    let starts = start_period.is_some_and(|period| !period.is_zero());
    let at_start = start_interval.or(starts.then_some(DEFAULT_START_INTERVAL)).unwrap_or(Duration::MAX);
    let every = interval.unwrap_or(DEFAULT_INTERVAL).min(at_start);
    // A shorter one is a fault of its own, which is not said once more.
    1_000_000 / millis(every).max(LEAST_INTERVAL)
}

/// The intervals that a health check says.
fn check_times(component: &ComponentSpec) -> (Vec<i64>, Vec<i64>) {
    let Some(HealthCheck::Check { interval, start_interval, .. }) = &component.container.healthcheck else {
        return (Vec::new(), Vec::new());
    };
    let said = |time: &Option<Duration>| time.map(millis).into_iter().collect();
    (said(interval), said(start_interval))
}

/// The driver and options of a component's log, unless they are the task container's.
fn own_log<'a>(
    component: &'a ComponentSpec,
    task: &TaskContainer,
) -> Option<&'a super::container_options::Logging> {
    component.container.tuning.logging.as_ref().filter(|log| task.log.as_ref() != Some(*log))
}

fn log_option(component: &ComponentSpec, task: &TaskContainer, name: &str) -> Vec<i64> {
    let value = own_log(component, task).and_then(|(_, options)| options.get(name));
    let number = |text: &String| match name {
        "max-file" => text.parse().ok(),
        _ => log_bytes(text),
    };
    value.and_then(number).into_iter().collect()
}

/// What the engine buffers of a log that does not block. Options that are the task container's count too: each component
/// has a buffer of its own.
fn log_buffer(component: &ComponentSpec, _: &TaskContainer) -> i64 {
    let Some((_, options)) = &component.container.tuning.logging else { return 0 };
    match (options.get("max-buffer-size"), options.get("mode").map(String::as_str)) {
        (Some(bytes), _) => log_bytes(bytes).unwrap_or(0),
        (None, Some("non-blocking")) => DEFAULT_LOG_BUFFER,
        (None, _) => 0,
    }
}

/// `10m`, `1048576`, as the engine reads sizes of logs. It takes `1m` for 1,000,000 in `max-size` (`units.FromHumanSize`) and
/// for 1 MiB in `max-buffer-size` (`units.RAMInBytes`): 1 MiB counts, so that `1m` is enough for both.
pub fn log_bytes(text: &str) -> Option<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let plain = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, factor) = match plain.chars().last()? {
        'k' => (&plain[..plain.len() - 1], 1024.0),
        'm' => (&plain[..plain.len() - 1], 1024.0 * 1024.0),
        'g' => (&plain[..plain.len() - 1], 1024.0 * 1024.0 * 1024.0),
        _ => (plain, 1.0),
    };
    let number: f64 =
        digits.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and fractions of a byte do not count"
    )]
    Some((number * factor) as i64)
}

/// The size in the options of a tmpfs, as the kernel reads them (`memparse`): a share of the node's memory, and zero, are no
/// limit; `None` where none is said.
fn tmpfs_bytes(options: &str) -> Option<i64> {
    let mut bytes = None;
    for (name, value) in options.split(',').filter_map(|option| option.split_once('=')) {
        let factor = match name {
            "size" => 1,
            "nr_blocks" => 4 * KIB,
            _ => continue,
        };
        let lower = value.to_ascii_lowercase();
        let digits = lower.trim_end_matches(['k', 'm', 'g', 't', 'p', 'e', '%']);
        let shift = match &lower[digits.len()..] {
            "" => Some(0),
            "k" => Some(10),
            "m" => Some(20),
            "g" => Some(30),
            "t" => Some(40),
            "p" => Some(50),
            _ => None,
        };
        let number = shift.zip(digits.parse::<i64>().ok()).filter(|(_, number)| *number > 0);
        let number = number.and_then(|(shift, number)| number.checked_mul(1 << shift)?.checked_mul(factor));
        bytes = Some(number.unwrap_or(i64::MAX));
    }
    bytes
}

/// The hard limit of the task container by this name.
fn ulimit(task: &TaskContainer, name: &str) -> Option<i64> {
    task.ulimits.get(name).map(|(_, hard)| endless(*hard))
}

/// The hard limit of a component, and the soft one.
fn own_ulimit(component: &ComponentSpec, name: &str) -> Vec<i64> {
    let limits = component.container.tuning.ulimits.get(name);
    limits.into_iter().flat_map(|(soft, hard)| [endless(*hard), endless(*soft)]).collect()
}

/// A negative limit is none.
fn endless(limit: i64) -> i64 {
    if limit < 0 { i64::MAX } else { limit }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Bytes of names and values.
fn pairs(map: &BTreeMap<String, String>) -> i64 {
    map.iter().map(|(name, value)| count(name.len() + value.len())).sum()
}

/// Bytes of strings with the zero at the end of each.
fn strings(list: &[String]) -> i64 {
    list.iter().map(|text| count(text.len()) + 1).sum()
}

/// Bytes of each `NAME=value` with the zero at its end.
fn variables(list: &[(String, Option<String>)]) -> impl Iterator<Item = i64> {
    list.iter().map(|(name, value)| count(name.len() + value.as_ref().map_or(0, |value| value.len() + 1)) + 1)
}

fn words(component: &ComponentSpec) -> impl Iterator<Item = &String> {
    component.container.entrypoint.iter().chain(&component.container.command).flatten()
}

fn mounts(component: &ComponentSpec) -> i64 {
    let ComponentSpec { container, files, .. } = component;
    count(container.mounts.len() + container.tmpfs.len() + files.len())
}

fn hook_bytes(hook: &Hook) -> i64 {
    strings(&hook.command) + variables(&hook.environment).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container_options::{Device, DeviceRequest};
    use crate::limits::Limits;
    use crate::spec::{CopySpec, Mount, ScratchVolume};

    /// A task container with a limit of memory and some of what components may have as far as it has it.
    fn task() -> TaskContainer {
        let ulimits =
            ["rtprio", "nice", "memlock", "nproc", "sigpending"].map(|name| (name.to_owned(), (5, 10)));
        TaskContainer {
            oom_score_adj: 100,
            ulimits: ulimits.into(),
            limits: Limits { memory_bytes: Some(64 * MIB), ..Limits::default() },
            ..TaskContainer::default()
        }
    }

    fn only(change: impl FnOnce(&mut ComponentSpec)) -> Definition {
        let mut component = ComponentSpec { name: "app".into(), ..ComponentSpec::default() };
        change(&mut component);
        Definition { components: vec![component], ..Definition::default() }
    }

    fn option(name: &str, value: i64) -> (String, BTreeMap<String, String>) {
        ("json-file".into(), [(name.to_owned(), value.to_string())].into())
    }

    fn checked(interval: i64, start_interval: Option<i64>) -> HealthCheck {
        let time = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        HealthCheck::Check {
            test: Vec::new(),
            interval: Some(time(interval)),
            timeout: None,
            start_period: None,
            start_interval: start_interval.map(time),
            retries: None,
        }
    }

    fn text(bytes: i64) -> String {
        "x".repeat(usize::try_from(bytes).expect("a size"))
    }

    fn texts(number: i64) -> Vec<String> {
        (0..number).map(|number| number.to_string()).collect()
    }

    fn named(number: i64) -> BTreeMap<String, String> {
        texts(number).into_iter().map(|name| (name, String::new())).collect()
    }

    fn variable(bytes: i64) -> (String, Option<String>) {
        ("A".to_owned(), Some(text(bytes - 3)))
    }

    /// Words or variables that have this size together, none of them too long by itself.
    fn pieces(bytes: i64) -> Vec<i64> {
        let piece = 64 * KIB;
        let mut sizes = vec![piece; usize::try_from(bytes / piece - 1).expect("a number")];
        sizes.push(bytes - piece * (bytes / piece - 1));
        sizes
    }

    fn volumes(number: i64) -> Vec<Mount> {
        let volume =
            |name| Mount { target: format!("/{name}"), read_only: true, source: MountSource::volume(None) };
        texts(number).into_iter().map(volume).collect()
    }

    fn ulimited(name: &str, hard: i64) -> Definition {
        only(|it| _ = it.container.tuning.ulimits.insert(name.to_owned(), (0, hard)))
    }

    /// A pod in which what this row counts is this much.
    fn pod_with(bound: &Bound, value: i64) -> Definition {
        let hook = |command: Vec<String>| Hook { command, ..Hook::default() };
        let word = |size: &i64| text(size - 1);
        match (bound.key, bound.counted) {
            ("logging", "the log buffers of all components") => {
                let part = |bytes: i64| {
                    only(|it| it.container.tuning.logging = Some(option("max-buffer-size", bytes)))
                };
                let parts = [4 * MIB, 4 * MIB, 4 * MIB, value - 12 * MIB - 1, 1];
                let components = parts.into_iter().flat_map(|bytes| part(bytes).components);
                Definition { components: components.collect(), ..Definition::default() }
            }
            ("logging", name) => {
                only(|it| it.container.tuning.logging = Some(option(name.trim_matches('`'), value)))
            }
            ("healthcheck", "`interval`") => only(|it| it.container.healthcheck = Some(checked(value, None))),
            ("healthcheck", "`start_interval`") => {
                only(|it| it.container.healthcheck = Some(checked(1000, Some(value))))
            }
            ("healthcheck", "the size of `test`") => only(|it| {
                let mut check = checked(1000, None);
                if let HealthCheck::Check { test, .. } = &mut check {
                    test.push(text(value - 1));
                }
                it.container.healthcheck = Some(check);
            }),
            ("healthcheck", _) => {
                // Each 500 ms are 2000 in a thousand seconds, each thousand seconds are one.
                let mut checks = vec![checked(500, None); usize::try_from(value / 2000).expect("a number")];
                checks.extend((0..value % 2000).map(|_| checked(1_000_000, None)));
                let components = checks
                    .into_iter()
                    .flat_map(|check| only(|it| it.container.healthcheck = Some(check)).components);
                Definition { components: components.collect(), ..Definition::default() }
            }
            ("oom_score_adj", _) => only(|it| it.container.tuning.oom_score_adj = Some(value)),
            ("ulimits", name) => ulimited(name.trim_matches('`'), value),
            ("shm_size", _) => only(|it| it.container.shm_size_bytes = Some(value)),
            ("tmpfs", _) => {
                only(|it| _ = it.container.tmpfs.insert("/t".into(), format!("mode=1777,size={value}")))
            }
            ("volumes", "the size of a tmpfs") => only(|it| {
                let source = MountSource::Tmpfs { size_bytes: Some(value), mode: None };
                it.container.mounts.push(Mount { target: "/t".into(), read_only: false, source });
            }),
            ("volumes", "the mounts of all components") => {
                let part = |number: i64| only(|it| it.container.mounts = volumes(number)).components;
                let parts = [256, 256, 256, 255, value - 1023];
                Definition { components: parts.into_iter().flat_map(part).collect(), ..Definition::default() }
            }
            ("post_start", "the hooks of all components, `pre_stop` among them") => {
                let hooks = |number: i64| -> Vec<Hook> {
                    texts(number).into_iter().map(|word| hook(vec![word])).collect()
                };
                let part = |[post, pre]: [i64; 2]| {
                    only(|it| (it.post_start, it.pre_stop) = (hooks(post), hooks(pre))).components
                };
                let parts = [[32, 32], [32, 32], [32, 32], [32, 31], [value - 255, 0]];
                Definition { components: parts.into_iter().flat_map(part).collect(), ..Definition::default() }
            }
            ("security_opt", "the size of all options") => {
                only(|it| it.container.tuning.security_opt = vec![text(value - 1)])
            }
            ("volumes", _) => only(|it| {
                it.container.tmpfs.insert("/t".into(), String::new());
                it.container.mounts = volumes(value - 1);
            }),
            ("stop_grace_period", _) => {
                only(|it| it.stop_grace = Some(Duration::from_millis(value.unsigned_abs())))
            }
            ("x-tandem", _) => only(|it| it.shutdown_delay = Duration::from_millis(value.unsigned_abs())),
            ("labels", "the number of labels") => only(|it| it.container.labels = named(value)),
            ("labels", _) => only(|it| _ = it.container.labels.insert("a".into(), text(value - 1))),
            ("environment", "the number of variables") => only(|it| {
                it.container.environment = texts(value).into_iter().map(|name| (name, None)).collect()
            }),
            ("environment", "the size of one variable") => {
                only(|it| it.container.environment = vec![variable(value)])
            }
            ("environment", _) => {
                only(|it| it.container.environment = pieces(value).into_iter().map(variable).collect())
            }
            ("command", "the number of words of `entrypoint` and `command`") => only(|it| {
                it.container.entrypoint = Some(vec!["a".into()]);
                it.container.command = Some(texts(value - 1));
            }),
            ("command", "the size of one word of `entrypoint` and `command`") => {
                only(|it| it.container.command = Some(vec![word(&value)]))
            }
            ("command", _) => {
                only(|it| it.container.command = Some(pieces(value).iter().map(word).collect()))
            }
            ("post_start", "the number of hooks") => {
                only(|it| it.post_start = texts(value).into_iter().map(|word| hook(vec![word])).collect())
            }
            ("pre_stop", "the number of hooks") => {
                only(|it| it.pre_stop = texts(value).into_iter().map(|word| hook(vec![word])).collect())
            }
            ("post_start", _) => {
                only(|it| it.post_start = vec![hook(pieces(value).iter().map(word).collect())])
            }
            ("pre_stop", _) => only(|it| it.pre_stop = vec![hook(pieces(value).iter().map(word).collect())]),
            ("devices", _) => only(|it| {
                let device =
                    |path: String| Device { source: path.clone(), target: path, permissions: "r".into() };
                it.container.tuning.devices = texts(value).into_iter().map(device).collect();
            }),
            ("device_cgroup_rules", _) => only(|it| it.container.tuning.device_rules = texts(value)),
            ("gpus", _) => only(|it| {
                let request = DeviceRequest { ids: texts(value - 1), ..DeviceRequest::default() };
                it.container.tuning.device_requests = vec![request];
            }),
            ("blkio_config", _) => only(|it| {
                it.container.tuning.blkio.weight_device = vec![("/dev/a".into(), 20)];
                it.container.tuning.blkio.read_bps =
                    texts(value - 1).into_iter().map(|path| (path, 1)).collect();
            }),
            ("group_add", _) => only(|it| it.container.tuning.groups = texts(value)),
            ("security_opt", _) => only(|it| it.container.tuning.security_opt = texts(value)),
            ("sysctls", _) => only(|it| it.container.tuning.sysctls = named(value)),
            ("annotations", "the number of annotations") => {
                only(|it| it.container.tuning.annotations = named(value))
            }
            ("annotations", _) => {
                only(|it| _ = it.container.tuning.annotations.insert("a".into(), text(value - 1)))
            }
            ("pod.copy", _) => only(|it| {
                let copy = |source: String| CopySpec { target: source.clone(), source };
                it.copies = texts(value).into_iter().map(copy).collect();
            }),
            ("pod.stop_grace_period", _) => Definition {
                stop_timeout: Some(Duration::from_millis(value.unsigned_abs())),
                ..Definition::default()
            },
            ("pod.scratch", "the number of scratch volumes") => {
                let scratch = |name: String| ScratchVolume { name, ..ScratchVolume::default() };
                Definition {
                    scratch: texts(value).into_iter().map(scratch).collect(),
                    ..Definition::default()
                }
            }
            ("pod.scratch", _) => {
                let scratch = ScratchVolume { name: "a".into(), memory: true, size_bytes: Some(value) };
                Definition { scratch: vec![scratch], ..Definition::default() }
            }
            (key, counted) => panic!("no test for `{key}`, {counted}"),
        }
    }

    fn judged(definition: &Definition, task: &TaskContainer, policy: &Policy) -> Vec<Refusal> {
        let components = definition.components.iter().flat_map(|it| check_component(it, task, policy));
        components.chain(check_pod(definition, task, policy)).collect()
    }

    #[test]
    fn each_row_passes_at_its_number_and_is_refused_one_beyond() {
        let (task, policy) = (task(), Policy::default());
        for bound in BOUNDS {
            let row = format!("`{}`, {}", bound.key, bound.counted);
            let (at, beyond) = match bound.limit {
                Least(least) => (least, least - 1),
                Most(most) => (most, most + 1),
                LeastOfTask(of, _) => of(&task).map(|least| (least, least - 1)).expect("the task has it"),
                MostOfTask(of, _) => of(&task).map(|most| (most, most + 1)).expect("the task has it"),
            };
            assert_eq!(judged(&pod_with(bound, at), &task, &policy), [], "{row}");
            let refused = judged(&pod_with(bound, beyond), &task, &policy);
            assert_eq!(refused.len(), 1, "{row}: {refused:?}");
            assert_eq!(refused[0].key, bound.key, "{row}");
            let found = format!("found {} for {}", bound.unit.text(beyond), bound.counted);
            assert_eq!(refused[0].problem, found, "{row}");
            assert!(refused[0].remedy.contains(bound.why), "{row}: {}", refused[0].remedy);
            assert_eq!(refused[0].allow.is_empty(), bound.lifted_by.is_none(), "{row}");
            let lifted = judged(&pod_with(bound, beyond), &task, &Policy::everything());
            assert_eq!(lifted.is_empty(), bound.lifted_by.is_some(), "{row}");
        }
    }

    #[test]
    fn no_limit_counts_as_the_most_and_a_task_without_a_limit_sets_none() {
        let (limited, free, policy) = (task(), TaskContainer::default(), Policy::default());
        for name in ["nofile", "rtprio", "nice", "msgqueue", "memlock", "nproc", "sigpending"] {
            let refused = judged(&ulimited(name, -1), &limited, &policy);
            assert!(refused[0].problem.starts_with("found no limit for"), "{name}: {refused:?}");
        }
        for name in ["memlock", "nproc", "sigpending"] {
            assert_eq!(judged(&ulimited(name, -1), &free, &policy), [], "{name}");
        }
        for name in ["rtprio", "nice"] {
            assert_eq!(judged(&ulimited(name, 1), &free, &policy).len(), 1, "{name}");
        }
        let open =
            TaskContainer { ulimits: [("nofile".to_owned(), (-1, -1))].into(), ..TaskContainer::default() };
        assert_eq!(judged(&ulimited("nofile", -1), &open, &policy), []);
        for options in ["size=50%", "size=0", "size=1g", "nr_blocks=16385", "size=1m,size=65m", "size=soon"] {
            let pod = only(|it| _ = it.container.tmpfs.insert("/t".into(), options.into()));
            assert_eq!(judged(&pod, &limited, &policy).len(), 1, "{options}");
            assert_eq!(judged(&pod, &free, &policy), [], "{options}");
        }
        for options in ["", "mode=1777", "size=64m", "nr_blocks=16384", "size=65536k"] {
            let pod = only(|it| _ = it.container.tmpfs.insert("/t".into(), options.into()));
            assert_eq!(judged(&pod, &limited, &policy), [], "{options}");
        }
    }

    #[test]
    fn the_log_of_the_task_container_is_not_bounded() {
        let log = option("max-size", 1);
        let pod = only(|it| it.container.tuning.logging = Some(log.clone()));
        let task = TaskContainer { log: Some(log), ..TaskContainer::default() };
        assert_eq!(judged(&pod, &task, &Policy::default()), []);
        assert_eq!(judged(&pod, &TaskContainer::default(), &Policy::default()).len(), 1);
    }

    #[test]
    fn a_health_check_of_an_image_is_held_to_the_same_floor() {
        assert_eq!(check_health(None, 0), None);
        assert_eq!(check_health(Some(&checked(500, None)), 8000), None);
        let refused = check_health(Some(&checked(1, None)), 0).expect("a refusal");
        assert!(refused.problem.starts_with("found 1 ms for `interval`"), "{refused:?}");
        let refused = check_health(Some(&checked(500, None)), 8001).expect("a refusal");
        assert_eq!(refused.problem, "found 10.001 a second for the health checks of all components");
    }
}
