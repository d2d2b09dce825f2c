//! The task container as the engine describes it: what a definition is read from and checked against.

use std::collections::BTreeMap;

use super::limits::Limits;
use super::spec::Recursion;
use super::volume::VolumeInfo;

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
    /// `Config.Image`: the reference by which its image was asked for.
    pub image: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// Names in the `volumes` of its stack, where the file of that is at hand (`manager check --stack`).
    pub stack_volumes: Vec<String>,
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
    /// `HostConfig.SecurityOpt`.
    pub security_opt: Vec<String>,
    /// `HostConfig.Devices`: their paths on the host.
    pub devices: Vec<String>,
    /// `HostConfig.DeviceCgroupRules`.
    pub device_rules: Vec<String>,
    /// `HostConfig.Runtime`.
    pub runtime: String,
    /// `HostConfig.LogConfig`: driver and options.
    pub log: Option<(String, BTreeMap<String, String>)>,
    /// Gateways of its networks: addresses of the host.
    pub gateways: Vec<String>,
    /// Folders in which the engine keeps its file system (`GraphDriver.Data`).
    pub layers: Vec<String>,
    /// `HostConfig.OomScoreAdj`.
    pub oom_score_adj: i64,
    /// `HostConfig.Ulimits` by name: soft and hard; -1 is no limit.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// `HostConfig.Memory`, `MemorySwap`, `NanoCpus` (or `CpuQuota` and `CpuPeriod`) and `PidsLimit`.
    pub limits: Limits,
}

impl TaskContainer {
    /// A variable of its environment.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = self.environment.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
        value.map(str::to_owned)
    }

    /// Reports whether its processes are root's, by `Config.User`.
    pub fn is_root(&self) -> bool {
        let user = self.user.split(':').next().unwrap_or_default();
        matches!(user, "" | "root") || user.parse() == Ok(0)
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
    /// The same as the operator typed it, where that is another text (`HostConfig.Binds` and `Mounts`).
    pub typed_source: Option<String>,
    /// Path in the task container.
    pub target: String,
    /// Mounted for writing.
    pub writable: bool,
    /// The part of the volume that is mounted, where it is not all of it.
    pub subpath: Option<String>,
    /// What becomes of the mounts below the path, for a bind.
    pub recursive: Recursion,
    /// `rprivate`, `rshared`, ..., for a bind.
    pub propagation: String,
    /// The path of the host that the volume stands for, where its driver binds one (`-o device=/path`).
    pub device: Option<String>,
    /// The volume's driver.
    pub driver: String,
    /// Options of the volume's driver.
    pub options: BTreeMap<String, String>,
    /// The volume's labels, for `volume`: what `volume-ref`, stack and Compose names are read from.
    pub labels: BTreeMap<String, String>,
}

impl TaskMount {
    /// The path of the host that is mounted: of a volume, the one that it stands for.
    pub fn host_path(&self) -> Option<&str> {
        match &self.volume {
            Some(_) => self.device.as_deref(),
            None => Some(&self.source),
        }
    }

    /// What the engine said of the volume.
    pub fn volume_info(&self) -> VolumeInfo {
        VolumeInfo {
            driver: self.driver.clone(),
            options: self.options.clone(),
            labels: self.labels.clone(),
            mountpoint: self.source.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_who_is_named_so_or_has_its_number_or_is_not_named() {
        for (user, root) in [
            ("", true),
            ("root", true),
            ("0", true),
            ("0:5", true),
            ("00", true),
            ("65529:0", false),
            ("app", false),
        ] {
            assert_eq!(
                TaskContainer { user: user.into(), ..TaskContainer::default() }.is_root(),
                root,
                "{user}"
            );
        }
    }

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
