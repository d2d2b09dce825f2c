//! A task's limits, and what holds its pod to them: their sum where the engine's cgroups nest or the manager can limit
//! a parent of the pod's own, else each component by itself.

use std::fmt;
use std::time::Duration;

use super::spec::ContainerSpec;

/// The kernel's accounting period where nobody says another, microseconds.
const CPU_PERIOD: i64 = 100_000;
/// 10^-9 CPUs in one.
const NANOS: i64 = 1_000_000_000;

/// How much of the node a task may take; `None` is all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory, bytes.
    pub memory_bytes: Option<i64>,
    /// Memory and swap together, bytes. Without it, but with a limit of memory, swap is not limited.
    pub memory_swap: Option<i64>,
    /// CPU time, in 10^-9 CPUs.
    pub nano_cpus: Option<i64>,
    /// Processes and threads.
    pub pids: Option<i64>,
}

impl Limits {
    /// Nothing is limited.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of swap alone; `None` is no limit.
    pub fn swap_bytes(&self) -> Option<i64> {
        Some((self.memory_swap? - self.memory_bytes?).max(0))
    }

    /// Give a component that asks for no limit of its own the task's.
    pub(crate) fn cap(&self, container: &mut ContainerSpec) {
        let tuning = &mut container.tuning;
        if let Some(task) = self.memory_bytes {
            let own = *container.memory_bytes.get_or_insert(task);
            // Where nobody says it, the engine grants as much swap as memory.
            if let Some(most) = self.memory_swap
                && own.saturating_mul(2) > most
            {
                tuning.memory_swap.get_or_insert(most);
            }
        }
        if let Some(task) = self.nano_cpus
            && container.nano_cpus.is_none()
            && tuning.cpu_quota.is_none()
        {
            match tuning.cpu_period {
                // The engine takes no `NanoCpus` beside a period.
                Some(period) => tuning.cpu_quota = Some(share(task, period)),
                None => container.nano_cpus = Some(task),
            }
        }
        if let Some(task) = self.pids {
            container.pids_limit.get_or_insert(task);
        }
    }
}

/// For people: `memory 64 MiB, 0.5 CPUs, 100 processes`.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory_bytes.map(|bytes| format!("memory {}", size(bytes)));
        let parts = [memory, self.nano_cpus.map(cpus), self.pids.map(processes)];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// `nanos` of a CPU in each period.
fn share(nanos: i64, period: i64) -> i64 {
    i64::try_from(i128::from(nanos) * i128::from(period) / i128::from(NANOS)).unwrap_or(i64::MAX)
}

/// A quota and its period that are this much CPU time, microseconds.
pub fn cpu_quota(nanos: i64) -> (i64, i64) {
    (share(nanos, CPU_PERIOD), CPU_PERIOD)
}

/// CPU time from what a quota of each period is; `None` is no limit. Microseconds.
pub fn nano_cpus(quota: i64, period: Option<i64>) -> Option<i64> {
    let period = period.filter(|period| *period > 0).unwrap_or(CPU_PERIOD);
    let nanos = i128::from(quota) * i128::from(NANOS) / i128::from(period);
    (quota > 0).then(|| i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// As `docker stats` writes sizes.
pub fn size(bytes: i64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit && bytes % unit == 0) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

/// A number of CPUs for people.
pub fn cpus(nanos: i64) -> String {
    let text = format!("{}.{:09}", nanos / NANOS, nanos % NANOS);
    format!("{} CPUs", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A number of processes for people.
pub fn processes(pids: i64) -> String {
    if pids > 0 { format!("{pids} processes") } else { "any number of processes".to_owned() }
}

/// A duration for people, as Compose writes it: `1m30s`, `1.5s`, `500ms`.
pub fn duration(time: Duration) -> String {
    let (secs, millis) = (time.as_secs(), time.subsec_millis());
    match (secs / 60, secs % 60, millis) {
        (0, 0, millis) if millis > 0 => format!("{millis}ms"),
        (0, secs, 0) => format!("{secs}s"),
        (0, secs, millis) => format!("{}s", format!("{secs}.{millis:03}").trim_end_matches('0')),
        (minutes, 0, 0) => format!("{minutes}m"),
        (minutes, secs, _) => format!("{minutes}m{secs}s"),
    }
}

/// A key by which a component asks for more than its task has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// Which key of the component.
    pub key: &'static str,
    /// What was asked for, and what the task has.
    pub problem: String,
}

/// Every key by which a container asks for more than these limits.
pub fn excess(container: &ContainerSpec, limits: &Limits) -> Vec<Excess> {
    let tuning = &container.tuning;
    let mut all = Vec::new();
    // Of a number below one all of them mean that there is no limit.
    let mut compare = |key, asked: Option<i64>, has: Option<i64>, words: &dyn Fn(i64) -> String| {
        if let (Some(asked), Some(has)) = (asked, has)
            && (asked <= 0 || asked > has)
        {
            let asked = if asked > 0 { words(asked) } else { "no limit".to_owned() };
            all.push(Excess { key, problem: format!("found {asked}, and the task has {}", words(has)) });
        }
    };
    let quota = tuning.cpu_quota.map(|quota| nano_cpus(quota, tuning.cpu_period).unwrap_or_default());
    compare("mem_limit", container.memory_bytes, limits.memory_bytes, &size);
    compare("memswap_limit", tuning.memory_swap, limits.memory_swap, &size);
    // Up to its own limit, where it has one.
    let reservation = tuning.memory_reservation.filter(|_| container.memory_bytes.is_none());
    compare("mem_reservation", reservation, limits.memory_bytes, &size);
    compare("cpus", container.nano_cpus, limits.nano_cpus, &cpus);
    compare("cpu_quota", quota, limits.nano_cpus, &cpus);
    compare("pids_limit", container.pids_limit, limits.pids, &processes);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        memory_bytes: Some(64 << 20),
        memory_swap: Some(128 << 20),
        nano_cpus: Some(500_000_000),
        pids: Some(100),
    };

    #[test]
    fn durations_are_short() {
        for (millis, want) in
            [(500, "500ms"), (6000, "6s"), (1500, "1.5s"), (60_000, "1m"), (90_000, "1m30s"), (0, "0s")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), want);
        }
    }

    #[test]
    fn limits_read_as_people_write_them() {
        for (bytes, want) in [(1 << 30, "1 GiB"), (1536 << 20, "1536 MiB"), (1000, "1000 bytes")] {
            assert_eq!(size(bytes), want);
        }
        assert_eq!((cpus(1_500_000_000), cpus(2 * NANOS)), ("1.5 CPUs".into(), "2 CPUs".into()));
        assert_eq!(nano_cpus(50_000, None), Some(500_000_000));
        assert_eq!(nano_cpus(50_000, Some(25_000)), Some(2 * NANOS));
        assert_eq!(nano_cpus(-1, None), None);
        assert_eq!(LIMITS.swap_bytes(), Some(64 << 20));
    }
}
