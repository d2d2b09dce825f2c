//! The task container as the engine describes it: what a definition is read from and checked against.

use std::collections::BTreeMap;

use super::limits::Limits;

/// The container that Swarm, Compose or `docker run` started for the pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskContainer {
    /// Full id, 64 hexadecimal digits.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// `State.StartedAt`, as the engine writes it: tells one run of the container from the next.
    pub started_at: String,
    /// Id of the image it runs (`sha256:...`).
    pub image_id: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// `Config.Cmd`: the manager's flags.
    pub command: Vec<String>,
    /// `Path` and `Args`: what it was started with.
    pub program: Vec<String>,
    /// `Config.OpenStdin`: somebody can write to its standard input.
    pub stdin_open: bool,
    /// `Config.StdinOnce`: its standard input closes with the first who wrote to it.
    pub stdin_once: bool,
    /// `Config.Tty`: its standard input is a terminal.
    pub tty: bool,
    /// `HostConfig.Init`: the engine put an init of its own in front.
    pub init: bool,
    /// `State.Running`.
    pub running: bool,
    /// `State.ExitCode`, 0 while it runs.
    pub exit_status: i64,
    /// `Config.Env`, as `NAME=value`.
    pub environment: Vec<String>,
    /// What is mounted into it.
    pub mounts: Vec<TaskMount>,
    /// `HostConfig.IpcMode`: `private`, `shareable`, ...
    pub ipc_mode: String,
    /// `HostConfig.PidMode`, empty for a namespace of its own.
    pub pid_mode: String,
    /// `HostConfig.NetworkMode`.
    pub network_mode: String,
    /// `HostConfig.UsernsMode`: `host`, or empty.
    pub userns_mode: String,
    /// `HostConfig.CgroupParent`, empty where the daemon's default holds.
    pub cgroup_parent: String,
    /// `Config.User`, empty for the image's default (root in the manager image).
    pub user: String,
    /// `HostConfig.CapDrop`, without `CAP_`.
    pub cap_drop: Vec<String>,
    /// `HostConfig.CapAdd`, without `CAP_`.
    pub cap_add: Vec<String>,
    /// `HostConfig.Privileged`.
    pub privileged: bool,
    /// `HostConfig.Memory`, `MemorySwap`, `NanoCpus` (or `CpuQuota` and `CpuPeriod`) and `PidsLimit`.
    pub limits: Limits,
}

impl TaskContainer {
    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = self.environment.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
        value.map(str::to_owned)
    }
}

/// One mount of the task container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskMount {
    /// `bind`, `volume` or `tmpfs`.
    pub kind: String,
    /// The volume's name at the engine, for `volume`.
    pub volume: Option<String>,
    /// Path on the host.
    pub source: String,
    /// Path in the task container.
    pub target: String,
    /// Mounted for writing.
    pub writable: bool,
    /// The path of the host that the volume stands for, where its driver binds one (`-o device=/path`).
    pub device: Option<String>,
    /// The volume's labels, for `volume`: what `volume-ref`, stack and Compose names are read from.
    pub labels: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_told_by_its_whole_name() {
        let environment = ["TAG=1.2=x", "TAGS=3", "EMPTY="].map(str::to_owned).to_vec();
        let task = TaskContainer { environment, ..TaskContainer::default() };
        let cases =
            [("TAG", Some("1.2=x")), ("TAGS", Some("3")), ("EMPTY", Some("")), ("TA", None), ("PATH", None)];
        for (name, value) in cases {
            assert_eq!(task.variable(name).as_deref(), value, "{name}");
        }
    }
}
