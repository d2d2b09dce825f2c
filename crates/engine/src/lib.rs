//! The only door to the engine: what Tandem asks of it, in Tandem's own types.

mod address;
pub mod allowlist;
pub mod convert;
pub mod debug;
pub mod demux;
pub mod docker;
mod event_broadcast;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
pub mod node;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tls;
mod transport;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;

pub use address::{AddressError, DEFAULT_SOCKET, EngineAddress};
pub use tls::TlsError;

use pod::observed::{ContainerInfo, Event};
use pod::policy::mount_conflicts::{NodeContainer, Volumes};
use pod::spec::{ContainerSpec, Hook, ScratchVolume};
use pod::task_container::TaskContainer;
use pod::volume::VolumeInfo;

/// Where the memory of a store is mounted in it.
pub const STORE_FOLDER: &str = "/store";
/// Where the pod's scratch volumes are mounted in its store, each under its name.
pub const SCRATCH_FOLDER: &str = "/scratch";
/// The folder of a scratch volume that components get: its own is root's alone.
pub const SCRATCH_ROOT: &str = "data";

/// The engine calls that Tandem makes. Every call may be repeated.
pub trait Engine: Send + Sync + 'static {
    /// What kind of engine it is (`GET /info`).
    fn info(&self) -> impl Future<Output = Result<EngineInfo, EngineError>> + Send;
    /// The engine's clock, nanoseconds since 1970, as it told it last and as much later as it is since; `None` before that.
    /// Asks nothing.
    fn clock(&self) -> Option<i64>;
    /// The task container with the labels of its volumes (`GET /containers/ID/json`, `GET /volumes/NAME`).
    fn inspect_task(&self, id: &str) -> impl Future<Output = Result<TaskContainer, EngineError>> + Send;
    /// One container by id or name (`GET /containers/ID/json`).
    fn inspect(&self, id: &str) -> impl Future<Output = Result<ContainerInfo, EngineError>> + Send;
    /// Every container of a pod, stopped ones too (`GET /containers/json`, then each).
    fn list(&self, pod: &str) -> impl Future<Output = Result<Vec<ContainerInfo>, EngineError>> + Send;
    /// What happens to the containers of a pod from now on (`GET /events`), only what [`pod::observed::EventKind`] names.
    /// The future resolves when the engine has begun to listen. The stream ends or yields an error when
    /// the connection breaks; whoever reads it lists again then.
    fn events(
        &self,
        pod: &str,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Event, EngineError>>, EngineError>> + Send;
    /// Does the image have a health check of its own (`GET /images/NAME/json`)? `None`: no such image here.
    fn image_has_healthcheck(
        &self,
        image: &str,
    ) -> impl Future<Output = Result<Option<bool>, EngineError>> + Send;
    /// Inspect a volume (`GET /volumes/NAME`); `None` if no volume has this name.
    fn volume(&self, name: &str) -> impl Future<Output = Result<Option<VolumeInfo>, EngineError>> + Send;
    /// List the volumes of the driver `local`, by name (`GET /volumes`).
    fn local_volumes(&self) -> impl Future<Output = Result<Volumes, EngineError>> + Send;
    /// List all containers of the node, including stopped ones (`GET /containers/json?all=1`).
    fn node_containers(&self) -> impl Future<Output = Result<Vec<NodeContainer>, EngineError>> + Send;
    /// Pull an image (`POST /images/create`), of `platform` where one is asked for; each item is a line of progress
    /// worth a log line.
    fn pull(&self, image: &str, platform: Option<&str>) -> BoxStream<'static, Result<String, EngineError>>;
    /// Create a container (`POST /containers/create`). [`EngineError::NotFound`] means the image is missing.
    fn create(&self, request: &CreateRequest) -> impl Future<Output = Result<Created, EngineError>> + Send;
    /// Unpack a tar archive into a folder of a container (`PUT /containers/ID/archive`). An error in the archive
    /// breaks the call off, and is what it says.
    fn copy_in(
        &self,
        id: &str,
        folder: &str,
        archive: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Follow the output of a container, raw (`POST /containers/ID/attach`): resolves when attached, so
    /// that attaching before the start loses nothing. With a TTY the bytes are the terminal's, else
    /// Docker's frames (8 bytes of header each); see [`demux`].
    fn attach(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError>> + Send;
    /// The output of a container since this time, nanoseconds since 1970 by the engine's clock, and from now on, in the
    /// form of [`Engine::attach`] (`GET /containers/ID/logs`). Of what was written before now, the last 10,000 lines at
    /// most: the engine reads its log from the end.
    fn output_since(
        &self,
        id: &str,
        since: i64,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError>> + Send;
    /// What a container has written of late, in the form of [`Engine::attach`] (`GET /containers/ID/logs`).
    fn last_output(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError>> + Send;
    /// What is at a path of a container, mounts and links of the host included (`HEAD /containers/ID/archive`); `None`:
    /// nothing.
    fn stat(
        &self,
        id: &str,
        path: &str,
    ) -> impl Future<Output = Result<Option<FileStat>, EngineError>> + Send;
    /// Start a command in a running container (`POST /containers/ID/exec`, `POST /exec/ID/start`).
    /// [`EngineError::Conflict`]: the container does not run.
    fn exec(&self, id: &str, hook: &Hook) -> impl Future<Output = Result<Exec, EngineError>> + Send;
    /// Run a command in a running container with this standard input, and wait for its end. The input must tell the
    /// command where it ends: the connection stays open. An error in the input breaks the command off, and is returned.
    /// `None`: what is in front of the engine passes no input on, and the command has none.
    fn run(
        &self,
        id: &str,
        command: &Hook,
        input: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> impl Future<Output = Result<Option<Finished>, EngineError>> + Send;
    /// The exit status of a command, `None` while it runs (`GET /exec/ID/json`).
    fn exec_status(&self, exec: &str) -> impl Future<Output = Result<Option<i64>, EngineError>> + Send;
    /// Start a container; one that runs is left alone (`POST /containers/ID/start`).
    fn start(&self, id: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Send the stop signal, after `grace` (whole seconds, rounded up) the kill; returns when it has ended
    /// (`POST /containers/ID/stop`). One that does not run is left alone.
    fn stop(&self, id: &str, grace: Duration) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Kill and remove a container with its anonymous volumes (`DELETE /containers/ID?force&v`). One that
    /// is gone, or going, is left alone.
    fn remove(&self, id: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
}

/// What kind of engine it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// Engine version, e.g. `20.10.24`.
    pub version: String,
    /// Its id, of its own making: tells engines of one node apart.
    pub id: String,
    /// Where it keeps images, volumes and containers: a folder of the host.
    pub root: String,
    /// `cgroupfs` or `systemd`.
    pub cgroup_driver: String,
    /// 1 or 2.
    pub cgroup_version: u8,
    /// Root of containers is another user of the host (`userns-remap`).
    pub remaps_users: bool,
    /// It runs as an ordinary user of the host, who has a systemd of their own.
    pub rootless: bool,
    /// The engine applies a seccomp profile to every container that does not turn seccomp off.
    pub filters_calls: bool,
    /// The node's host name, and its address in the Swarm.
    pub names: Vec<String>,
}

/// A file of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileStat {
    /// It is a unix socket.
    pub socket: bool,
    /// It is a folder.
    pub folder: bool,
    /// It is a regular file.
    pub regular: bool,
    /// Its size in bytes.
    pub size: u64,
    /// Where it leads in the end, where it is a link.
    pub link_target: Option<String>,
    /// When its content changed last, nanoseconds since 1970; a socket's never does after it was made.
    pub changed_at: i64,
}

/// A container to create.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreateRequest {
    /// Its name.
    pub name: String,
    /// What it runs.
    pub container: ContainerSpec,
    /// All labels: the user's and Tandem's.
    pub labels: BTreeMap<String, String>,
    /// `HostConfig.NetworkMode`, `container:<id>`.
    pub network_mode: String,
    /// `HostConfig.PidMode`, empty for its own.
    pub pid_mode: String,
    /// `HostConfig.IpcMode`: `private`, `shareable` or `container:<id>`.
    pub ipc_mode: String,
    /// `HostConfig.CgroupParent`.
    pub cgroup_parent: Option<String>,
    /// `HostConfig.SecurityOpt`.
    pub security_opt: Vec<String>,
    /// `Config.StopTimeout`: what the engine itself grants on a stop that names no time.
    pub stop_grace: Option<Duration>,
    /// Give it a volume of memory at [`STORE_FOLDER`] that may hold so many bytes, in which every user can create files.
    pub store_bytes: Option<u64>,
    /// Give it these volumes below [`SCRATCH_FOLDER`], new ones.
    pub scratch: Vec<ScratchVolume>,
    /// `HostConfig.VolumesFrom`: the container whose volumes it shares; its own mounts come over them.
    pub volumes_from: Option<String>,
    /// `HostConfig.LogConfig`: driver and options; `None` is the engine's default.
    pub log: Option<(String, BTreeMap<String, String>)>,
}

/// What came of a creation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Created {
    /// Full id of the new container.
    pub id: String,
    /// What the engine warned of.
    pub warnings: Vec<String>,
}

/// A command that was started in a container.
pub struct Exec {
    /// Its id.
    pub id: String,
    /// What it writes, in Docker's frames; ends when nobody has its output open any more.
    pub output: BoxStream<'static, Result<Bytes, EngineError>>,
}

/// A command that has ended in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit status.
    pub status: i64,
    /// Its standard error, or the beginning of it.
    pub stderr: String,
}

/// Why a call did not do what it should.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    /// There is no such thing (404).
    #[error("{0}")]
    NotFound(String),
    /// It stands against something that is there, e.g. a name in use (409).
    #[error("{0}")]
    Conflict(String),
    /// The engine said no, in its own words (400, 403, 500, an error in a pull, ...).
    #[error("{0}")]
    Refused(String),
    /// No answer: whether the engine acted is unknown. Try again after a look.
    #[error("the engine does not answer: {0}")]
    Unreachable(String),
    /// One side does not let the other (certificates, the socket's mode), for people: nothing comes of trying again soon.
    #[error("{0}")]
    Untrusted(String),
}

/// Bounds of the wait between two looks at a command.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The exit status of a command in a container, waited for. Its output may end before it does, and the engine tells
/// nobody when that is.
///
/// # Errors
/// Where the engine does not tell.
pub async fn ended<E: Engine>(engine: &E, exec: &str) -> Result<i64, EngineError> {
    let mut again = LOOK_AGAIN.0;
    loop {
        if let Some(status) = engine.exec_status(exec).await? {
            return Ok(status);
        }
        tokio::time::sleep(again).await;
        again = (again * 2).min(LOOK_AGAIN.1);
    }
}
