//! A pod as the user asked for it, validated: whoever holds a [`PodSpec`] need not check it again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::container_options::Tuning;
use super::identity::{Identity, Role};
use super::namespaces::Namespaces;

/// How long a component may take to stop when nothing says otherwise: Docker's own default.
pub const DEFAULT_STOP_GRACE: Duration = Duration::from_secs(10);

/// The largest secret or config, bytes; Swarm's own are smaller.
pub const LARGEST_SECRET_BYTES: u64 = 1 << 20;

/// One pod: everything the planner needs to know of what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSpec {
    /// Whose pod it is, and which run of it.
    pub identity: Identity,
    /// Where the shared namespaces live.
    pub namespaces: Namespaces,
    /// Init components, in the order in which they run.
    pub init: Vec<ComponentSpec>,
    /// Components and the steps of their `pre_start`, sorted by name.
    pub components: Vec<ComponentSpec>,
    /// `--pull`: pull every image once before it is used, even where the engine has it.
    pub pull_always: bool,
    /// Time for the whole stop, from the decision to the kill.
    pub stop_timeout: Duration,
    /// Volumes that come and go with the pod.
    pub scratch: Vec<ScratchVolume>,
    /// All containers are created, and their mounts compared with those of other pods, before any of them starts.
    pub checks_mounts: bool,
}

/// What a definition (labels, Compose text) says, before the pod's surroundings are known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definition {
    /// Init components, in order, named `init-1`, `init-2`, ...
    pub init: Vec<ComponentSpec>,
    /// Components and the steps of their `pre_start`, sorted by name.
    pub components: Vec<ComponentSpec>,
    /// Volumes that come and go with the pod.
    pub scratch: Vec<ScratchVolume>,
    /// Time for the whole stop, where the definition says it (`stop_grace_period`).
    pub stop_timeout: Option<Duration>,
}

/// A volume that is made with the pod, shared by the components that mount it, and gone with the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScratchVolume {
    /// What components call it.
    pub name: String,
    /// In memory, not on disk.
    pub memory: bool,
    /// What it can hold, bytes.
    pub size_bytes: Option<i64>,
}

/// One component, init component or step of a `pre_start`.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentSpec {
    /// Its name within the pod: the `<name>` of `pod.component.<name>`, or `init-<n>`.
    pub name: String,
    /// What the engine is asked to run.
    pub container: ContainerSpec,
    /// What must be so before it starts; empty for init components.
    pub depends_on: Vec<Dependency>,
    /// What is copied into it after creation and before its start (`pod.copy.<name>`).
    pub copies: Vec<CopySpec>,
    /// Its secrets and configs, which the pod's store holds.
    pub files: Vec<FileSpec>,
    /// Time between its stop signal and the kill (`stop_grace_period`).
    pub stop_grace: Option<Duration>,
    /// What runs in it right after its start, one after the other; empty for init components.
    pub post_start: Vec<Hook>,
    /// What runs in it before its stop signal, one after the other; empty for init components.
    pub pre_stop: Vec<Hook>,
    /// What follows the end of its process.
    pub restart: Restart,
    /// Its end ends the pod, where it is not started again.
    pub essential: bool,
    /// It starts before all others, init components too, and stops after them.
    pub sidecar: bool,
    /// Time between the decision to stop it and its `pre_stop` hooks, in which it serves on.
    pub shutdown_delay: Duration,
    /// The component of whose `pre_start` it is a step ([`super::pre_start`]).
    pub pre_start_of: Option<String>,
}

impl Default for ComponentSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            container: ContainerSpec::default(),
            depends_on: Vec::new(),
            copies: Vec::new(),
            files: Vec::new(),
            stop_grace: None,
            post_start: Vec::new(),
            pre_stop: Vec::new(),
            restart: Restart::default(),
            essential: true,
            sidecar: false,
            shutdown_delay: Duration::ZERO,
            pre_start_of: None,
        }
    }
}

impl ComponentSpec {
    /// It mounts something that the store holds.
    pub fn needs_store(&self) -> bool {
        let scratch = |mount: &Mount| matches!(mount.source, MountSource::ScratchVolume(_));
        !self.files.is_empty() || self.container.mounts.iter().any(scratch)
    }

    /// Its container is started again after an end with this status that nobody asked for, having been started again so
    /// often before.
    pub fn restarts_after(&self, status: i64, restarts: u32) -> bool {
        match self.restart {
            Restart::Never => false,
            Restart::Always | Restart::UnlessStopped => true,
            Restart::OnFailure(most) => status != 0 && most.is_none_or(|most| restarts < most),
        }
    }
}

/// What follows the end of a component's process (`restart`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restart {
    /// `no`: its end is the end.
    #[default]
    Never,
    /// `always`: it is started again.
    Always,
    /// `unless-stopped`: the same, but not where somebody else has stopped it.
    UnlessStopped,
    /// `on-failure[:N]`: it is started again where its status is not 0, so often at most.
    OnFailure(Option<u32>),
}

impl Restart {
    /// It never comes to an end by itself.
    pub fn is_endless(self) -> bool {
        matches!(self, Restart::Always | Restart::UnlessStopped)
    }
}

/// A command that runs beside a component's own, in its container (Compose's `post_start` and `pre_stop`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hook {
    /// Program and arguments.
    pub command: Vec<String>,
    /// User; the component's where not said.
    pub user: Option<String>,
    /// Working directory; the component's where not said.
    pub working_dir: Option<String>,
    /// Variables beside the component's own; one without a value is removed.
    pub environment: Vec<(String, Option<String>)>,
}

/// A component that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The component waited for.
    pub on: String,
    /// What is waited for.
    pub condition: Condition,
    /// False (`required: false`): where it cannot be, the dependent starts all the same.
    pub required: bool,
    /// `restart: true`: `manager restart` of the dependency restarts the dependent too.
    pub restart: bool,
}

/// The state that a dependency must reach (Compose `depends_on.<name>.condition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// `service_started`: its container runs.
    Started,
    /// `service_healthy`: its health check says healthy.
    Healthy,
    /// `service_completed_successfully`: it has ended with status 0.
    Completed,
}

/// A file or folder of the task container that is copied into a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySpec {
    /// Absolute path in the task container.
    pub source: String,
    /// Absolute path in the component, without `.` and `..`; as with `docker cp`, a name for the copy unless it ends with
    /// `/` (then the folder it is put into).
    pub target: String,
}

/// A secret or config of a component, which the component sees read-only, from memory (`secrets`, `configs`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// What is in it.
    pub source: FileSource,
    /// Absolute path in the component.
    pub target: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permissions, e.g. `0o444`.
    pub mode: u32,
}

/// Where the content of a secret or config is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileSource {
    /// A file of the task container, by its absolute path.
    Path(String),
    /// In the definition itself: a variable, or the text in a Compose file.
    Content(String),
}

/// The path; never the content.
impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileSource::Path(path) => write!(f, "Path({path:?})"),
            FileSource::Content(content) => write!(f, "Content({} bytes)", content.len()),
        }
    }
}

/// What the engine is asked to run, in Docker's terms.
///
/// `None`, or empty, means: not said, the image's or the engine's default holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerSpec {
    /// Image reference as the user wrote it.
    pub image: String,
    /// Replaces the image's entrypoint; `Some(vec![])` clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command; `Some(vec![])` clears it.
    pub command: Option<Vec<String>>,
    /// Variables in order: env files first, then `environment`, so that the latter wins. Every name
    /// stands once; a variable without a value is the name alone removed from the image's (Docker's
    /// `-e NAME` with no such variable).
    pub environment: Vec<(String, Option<String>)>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// User (`uid`, `name`, `uid:gid`, ...).
    pub user: Option<String>,
    /// The user's own labels; Tandem's are added at creation.
    pub labels: BTreeMap<String, String>,
    /// Binds, volumes and tmpfs mounts of the long form.
    pub mounts: Vec<Mount>,
    /// `tmpfs:` entries: path to mount options (`size=64m`, may be empty).
    pub tmpfs: BTreeMap<String, String>,
    /// Read-only root file system.
    pub read_only: bool,
    /// Health check, where the user gave one.
    pub healthcheck: Option<HealthCheck>,
    /// Signal that stops it (`SIGTERM`, `15`, ...).
    pub stop_signal: Option<String>,
    /// Memory limit, bytes.
    pub memory_bytes: Option<i64>,
    /// CPU limit in 10^-9 CPUs.
    pub nano_cpus: Option<i64>,
    /// Highest number of processes and threads; -1 is unlimited.
    pub pids_limit: Option<i64>,
    /// Capabilities added, without `CAP_`.
    pub cap_add: Vec<String>,
    /// Capabilities dropped, without `CAP_`; `ALL` drops every one.
    pub cap_drop: Vec<String>,
    /// Size of `/dev/shm`, bytes. Where IPC is shared the sandbox gets the largest asked for.
    pub shm_size_bytes: Option<i64>,
    /// A pseudo terminal as standard streams.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin_open: bool,
    /// Every capability and device of the host, and no confinement; only where the policy allows it.
    pub privileged: bool,
    /// The rarer wishes.
    pub tuning: Tuning,
}

impl ContainerSpec {
    /// The image that the engine must have for it.
    pub fn wanted_image(&self) -> Image {
        Image { reference: self.image.clone(), platform: self.tuning.platform.clone() }
    }
}

/// An image, as it is pulled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// Its name, as the user wrote it.
    pub reference: String,
    /// For this platform (`linux/arm64`); the engine's own where not said.
    pub platform: Option<String>,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.reference)?;
        match &self.platform {
            Some(platform) => write!(f, " for {platform}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
impl From<&str> for Image {
    fn from(reference: &str) -> Self {
        Self { reference: reference.into(), platform: None }
    }
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path in the component.
    pub target: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// What is mounted.
    pub source: MountSource,
}

/// What a [`Mount`] mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A path of the host.
    Bind {
        /// Absolute path on the host, which is never made.
        path: String,
        /// `rprivate`, `rshared`, ...; the engine's default where not said.
        propagation: Option<String>,
        /// What becomes of the mounts below the path.
        recursive: Recursion,
    },
    /// A volume.
    Volume {
        /// Its name at the engine; `None` is a new anonymous volume that goes with the component.
        name: Option<String>,
        /// Do not fill an empty volume with what the image has at the target.
        no_copy: bool,
        /// The folder or file of it that is mounted, relative; all of it where not said.
        subpath: Option<String>,
        /// The owner of pods whose volume it is ([`super::owner::LABEL_OWNER`]), where the pod makes it; `None` for one
        /// that somebody else made.
        owner: Option<String>,
    },
    /// The pod's [`ScratchVolume`] volume of this name.
    ScratchVolume(String),
    /// Memory.
    Tmpfs {
        /// Limit in bytes.
        size_bytes: Option<i64>,
        /// Permissions of its root folder, e.g. `0o1777`.
        mode: Option<u32>,
    },
}

impl MountSource {
    /// A path of the host, as the long form mounts it when nothing more is said.
    pub fn bind(path: impl Into<String>) -> Self {
        Self::Bind { path: path.into(), propagation: None, recursive: Recursion::default() }
    }

    /// A volume, as it is mounted when nothing more is said.
    pub fn volume(name: Option<String>) -> Self {
        Self::Volume { name, no_copy: false, subpath: None, owner: None }
    }
}

/// What becomes of the mounts below a path of the host (Compose's `bind.recursive`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recursion {
    /// They are there too; read-only like the path itself where the kernel can do it.
    #[default]
    Enabled,
    /// They are not there.
    Disabled,
    /// They are there, and writable below a path that is read-only.
    Writable,
    /// They are there and read-only, or the component does not start.
    ReadOnly,
}

/// A health check in Docker's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// `disable: true` or `test: [NONE]`: also the image's own is off.
    Disabled,
    /// A check; what is `None` is the image's or Docker's default.
    Check {
        /// `["CMD", ...]` or `["CMD-SHELL", "..."]`; empty takes the image's.
        test: Vec<String>,
        /// Time between two runs.
        interval: Option<Duration>,
        /// Time one run may take.
        timeout: Option<Duration>,
        /// Time in which failures do not count.
        start_period: Option<Duration>,
        /// Time between two runs within `start_period` (API 1.44; older engines ignore it).
        start_interval: Option<Duration>,
        /// Failures in a row that make it unhealthy.
        retries: Option<u32>,
    },
}

impl PodSpec {
    /// Every component, init components first.
    pub fn members(&self) -> impl Iterator<Item = &ComponentSpec> {
        self.init.iter().chain(&self.components)
    }

    /// Every member but the steps of `pre_start`, which mount nothing that their component does not.
    pub fn mounting(&self) -> impl Iterator<Item = &ComponentSpec> {
        self.members().filter(|member| member.pre_start_of.is_none())
    }

    /// Components that start before all others.
    pub fn sidecars(&self) -> impl Iterator<Item = &ComponentSpec> {
        self.components.iter().filter(|component| component.sidecar)
    }

    /// Components that start after the init components.
    pub fn regular_components(&self) -> impl Iterator<Item = &ComponentSpec> {
        self.components.iter().filter(|component| !component.sidecar)
    }

    /// There is something that a store holds: secrets and configs of a member, or scratch volumes.
    pub fn store(&self) -> bool {
        !self.scratch.is_empty() || self.members().any(ComponentSpec::needs_store)
    }

    /// What the container of a member is in the pod.
    pub fn role(&self, member: &ComponentSpec) -> Role {
        match &member.pre_start_of {
            Some(_) => Role::PreStart,
            None if self.init.iter().any(|init| init.name == member.name) => Role::Init,
            None => Role::Component,
        }
    }

    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<&ComponentSpec> {
        self.members().find(|member| member.name == name)
    }
}
