//! The rarer wishes of a component: limits, devices, kernel settings, in Docker's terms.

use std::collections::BTreeMap;

/// What a component asks of the engine beside the everyday keys; `None`, or empty, means: not said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tuning {
    /// `annotations`, for the container runtime.
    pub annotations: BTreeMap<String, String>,
    /// `blkio_config`.
    pub blkio: Blkio,
    /// `cpu_period`, microseconds.
    pub cpu_period: Option<i64>,
    /// `cpu_quota`, microseconds in each period; -1 is no limit.
    pub cpu_quota: Option<i64>,
    /// `cpu_rt_period`, microseconds.
    pub cpu_rt_period: Option<i64>,
    /// `cpu_rt_runtime`, microseconds.
    pub cpu_rt_runtime: Option<i64>,
    /// `cpu_shares`, relative weight.
    pub cpu_shares: Option<i64>,
    /// `cpuset`, e.g. `0-2,5`.
    pub cpuset: Option<String>,
    /// `device_cgroup_rules`, e.g. `c 1:3 mr`.
    pub device_rules: Vec<String>,
    /// `devices`.
    pub devices: Vec<Device>,
    /// `gpus`, devices that a driver picks.
    pub device_requests: Vec<DeviceRequest>,
    /// `group_add`.
    pub groups: Vec<String>,
    /// `logging`: driver (empty is the engine's default) and options.
    pub logging: Option<Logging>,
    /// `mem_reservation`, bytes.
    pub memory_reservation: Option<i64>,
    /// `mem_swappiness`, 0 to 100.
    pub swappiness: Option<i64>,
    /// `memswap_limit`, bytes of memory and swap together; -1 is no limit.
    pub memory_swap: Option<i64>,
    /// `oom_kill_disable`.
    pub oom_kill_disable: Option<bool>,
    /// `oom_score_adj`, -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// `platform`, e.g. `linux/arm64`.
    pub platform: Option<String>,
    /// `pull_policy`.
    pub pull: Option<PullPolicy>,
    /// `runtime`.
    pub runtime: Option<String>,
    /// `security_opt`, as `name=value`.
    pub security_opt: Vec<String>,
    /// `storage_opt`.
    pub storage_opt: BTreeMap<String, String>,
    /// `sysctls`.
    pub sysctls: BTreeMap<String, String>,
    /// `ulimits`: soft and hard; -1 is no limit.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// `userns_mode`.
    pub userns_mode: Option<String>,
}

/// The driver of a log, and its options.
pub type Logging = (String, BTreeMap<String, String>);

/// `blkio_config`: weights and limits of block devices, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blkio {
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// Weight for each device.
    pub weight_device: Vec<(String, u16)>,
    /// Bytes per second read.
    pub read_bps: Vec<(String, i64)>,
    /// Bytes per second written.
    pub write_bps: Vec<(String, i64)>,
    /// Reads per second.
    pub read_iops: Vec<(String, i64)>,
    /// Writes per second.
    pub write_iops: Vec<(String, i64)>,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Path on the host.
    pub source: String,
    /// Path in the component.
    pub target: String,
    /// Some of `r`, `w` and `m`.
    pub permissions: String,
}

/// Devices that a driver picks (`gpus`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The driver; the engine finds one where not said.
    pub driver: Option<String>,
    /// How many; -1 is all.
    pub count: Option<i64>,
    /// Which.
    pub ids: Vec<String>,
    /// What they must be able to do.
    pub capabilities: Vec<String>,
    /// For the driver.
    pub options: BTreeMap<String, String>,
}

/// When the image of a component is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Once in each run.
    Always,
    /// Where the engine does not have it.
    Missing,
    /// Never: what the engine does not have cannot run.
    Never,
}
