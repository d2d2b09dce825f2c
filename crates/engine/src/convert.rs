//! Between our types and the engine's: what is asked of it, and what its answers mean. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine as _;
use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerInspectResponse, ContainerState, ContainerStateStatusEnum,
    DeviceMapping, DeviceRequest, Health as EngineHealth, HealthConfig, HealthStatusEnum, HostConfig,
    HostConfigLogConfig, MountBindOptions, MountBindOptionsPropagationEnum, MountPoint, MountTmpfsOptions,
    MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig, ResourcesBlkioWeightDevice,
    ResourcesUlimits, ThrottleDevice,
};
use serde::Deserialize;

use super::node::{Change, Joins, keep_known_labels};
use super::{CreateRequest, EngineError, EngineInfo, FileStat, SCRATCH_FOLDER, SCRATCH_ROOT, STORE_FOLDER};
use pod::container_options::Tuning;
use pod::failed_check::FailedCheck;
use pod::identity::{LABEL_ROLE, Labelled, Role};
use pod::in_place::signal_number;
use pod::limits::{self, Limits};
use pod::namespaces::Holder;
use pod::observed::{ContainerInfo, Event, EventKind, Exit, Health, Status};
use pod::owner::LABEL_OWNER;
use pod::path::tidy_path;
use pod::policy::mount_conflicts::{NodeContainer, NodeMount, whose};
use pod::registry_auth::Credential;
use pod::spec::{
    ComponentSpec, ContainerSpec, HealthCheck, Hook, Mount, MountSource, PodSpec, Recursion, ScratchVolume,
};
use pod::store::{MAX_STORE_BYTES, StoreLayout};
use pod::task_container::{TaskContainer, TaskMount};
use pod::volume::VolumeInfo;
use pod::words::foreign;

/// User and group of the sandbox. Neither a user of the host nor a common image has this ID (65532 is
/// distroless' `nonroot`). The kernel counts a user's limits over all containers, so the sandbox must not
/// share its user.
const SANDBOX_USER: &str = "65529:65529";
/// Processes in the sandbox's own cgroup. `pause` is one; the container runtime needs a few threads for a
/// moment before it becomes `pause`.
const SANDBOX_PIDS: i64 = 64;
/// What a sandbox may leave in its log: `pause` says one line at its end, or why it could not begin.
const SANDBOX_LOG_BYTES: &str = "64k";

/// What the engine is asked for a component or init component.
///
/// A container named in `container:<name>` must exist when the engine is asked (20.10 refuses
/// otherwise; it need not run before the start), and the engine puts its id in the place of the name. So
/// the sandbox's name will do, and a later container of that name is never joined by mistake.
pub fn create_request(pod: &PodSpec, member: &ComponentSpec) -> CreateRequest {
    let join = |holder: Holder| match holder {
        Holder::Task => format!("container:{}", pod.identity.pod),
        Holder::Sandbox => format!("container:{}", pod.identity.sandbox_container()),
    };
    let namespaces = &pod.namespaces;
    let mut container = member.container.clone();
    if namespaces.ipc.is_some() {
        // There is one /dev/shm, the holder's; the engine would ignore this one.
        container.shm_size_bytes = None;
    }
    if pod.components.iter().any(|one| one.pre_start_of.as_ref() == Some(&member.name)) {
        container.tmpfs.extend(container.mounts.extract_if(.., is_tmpfs).filter_map(tmpfs_option));
    }
    let mut labels = container.labels.clone();
    labels.extend(pod.identity.labels(pod.role(member), Some(&member.name)));
    CreateRequest {
        name: pod.identity.member_container(&member.name),
        container,
        labels,
        network_mode: format!("container:{}", pod.identity.pod),
        pid_mode: namespaces.pid.map(join).unwrap_or_default(),
        // Said, because the engine's default may be `shareable`.
        ipc_mode: namespaces.ipc.map_or_else(|| "private".into(), join),
        cgroup_parent: namespaces.cgroup_parent.clone(),
        security_opt: Vec::new(),
        stop_grace: member.stop_grace,
        store_bytes: None,
        scratch: Vec::new(),
        volumes_from: member.pre_start_of.as_ref().map(|lender| pod.identity.member_container(lender)),
        log: None,
    }
}

fn is_tmpfs(mount: &mut Mount) -> bool {
    matches!(mount.source, MountSource::Tmpfs { .. })
}

/// A tmpfs of the long form in the short one, which is the same to the runtime (moby: `TmpfsMounts`). A container that is to
/// share the volumes of another one cannot be created where that has one of the long form (moby#35194).
fn tmpfs_option(mount: Mount) -> Option<(String, String)> {
    let MountSource::Tmpfs { size_bytes, mode } = mount.source else { return None };
    let parts = [
        mount.read_only.then(|| "ro".to_owned()),
        mode.map(|mode| format!("mode={mode:o}")),
        size_bytes.map(|bytes| format!("size={bytes}")),
    ];
    Some((mount.target, parts.into_iter().flatten().collect::<Vec<_>>().join(",")))
}

/// What the engine is asked for the sandbox: `pause` alone, with nothing that it could do.
pub fn sandbox_request(pod: &PodSpec, image_id: &str, lifeline: &str) -> CreateRequest {
    let holds_ipc = pod.namespaces.ipc == Some(Holder::Sandbox);
    CreateRequest {
        name: pod.identity.sandbox_container(),
        container: ContainerSpec {
            image: image_id.into(),
            entrypoint: Some(vec!["/pause".into()]),
            // A manager elsewhere is told of the pod's end by the engine, and has nothing to tie it to.
            command: (!lifeline.is_empty()).then(|| vec!["--lifeline".into(), lifeline.into()]),
            environment: vec![(pause::env::HELD.0.into(), Some(pause::env::HELD.1.into()))],
            user: Some(SANDBOX_USER.into()),
            read_only: true,
            // The image's check asks for the health of a pod; this container has none to tell.
            healthcheck: Some(HealthCheck::Disabled),
            pids_limit: Some(SANDBOX_PIDS),
            cap_drop: vec!["ALL".into()],
            shm_size_bytes: if holds_ipc { pod.namespaces.shm_size_bytes } else { None },
            ..ContainerSpec::default()
        },
        labels: pod.identity.labels(Role::Sandbox, None),
        network_mode: format!("container:{}", pod.identity.pod),
        pid_mode: String::new(),
        ipc_mode: if holds_ipc { "shareable" } else { "private" }.into(),
        cgroup_parent: pod.namespaces.cgroup_parent.clone(),
        security_opt: vec!["no-new-privileges".into()],
        stop_grace: None,
        store_bytes: None,
        scratch: Vec::new(),
        volumes_from: None,
        // Not the engine's default: that may be a log service whose absence would keep pods from starting.
        log: Some((
            "json-file".into(),
            BTreeMap::from([("max-size".into(), SANDBOX_LOG_BYTES.into()), ("max-file".into(), "1".into())]),
        )),
    }
}

/// What the engine is asked for the store: `pause` alone once more, in namespaces that no component can join
/// or see into, around a volume of memory. The volume is the engine's to make, so that it can be bound into
/// components, and goes with the container.
pub fn store_request(pod: &PodSpec, image_id: &str) -> CreateRequest {
    let mut request = sandbox_request(pod, image_id, "");
    request.name = pod.identity.store_container();
    request.labels = pod.identity.labels(Role::Store, None);
    request.container.shm_size_bytes = None;
    request.network_mode = "none".into();
    request.ipc_mode = "private".into();
    // A tmpfs takes memory only for content that is written. A file that is written again is removed first.
    request.store_bytes = pod.members().any(|member| !member.files.is_empty()).then_some(MAX_STORE_BYTES);
    request.scratch.clone_from(&pod.scratch);
    request
}

/// What a component mounts of the store's, whose volumes lie at these paths of the host: its secrets and configs, and
/// scratch volumes. `None` where the store does not hold one of them.
pub fn store_mounts(
    held: &BTreeMap<String, String>,
    layout: &StoreLayout<'_>,
    member: &ComponentSpec,
) -> Option<Vec<Mount>> {
    let files = member.files.iter().map(|file| {
        let path = format!("{}/{}", held.get(STORE_FOLDER)?, layout.name(file)?);
        Some(Mount { target: file.target.clone(), read_only: true, source: MountSource::bind(path) })
    });
    let scratch = member.container.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::ScratchVolume(name) => Some(held.get(&format!("{SCRATCH_FOLDER}/{name}")).map(|path| {
            Mount { source: MountSource::bind(format!("{path}/{SCRATCH_ROOT}")), ..mount.clone() }
        })),
        _ => None,
    });
    files.chain(scratch).collect()
}

fn store_volume(bytes: u64) -> bollard::models::Mount {
    // Files are written by a process of each owner, which needs no capability for that. Nobody can list the names.
    let size = format!("size={bytes},mode=1733");
    new_volume(STORE_FOLDER.into(), &[("type", "tmpfs"), ("device", "tmpfs"), ("o", &size)])
}

fn scratch_volume(scratch: &ScratchVolume) -> bollard::models::Mount {
    let target = format!("{SCRATCH_FOLDER}/{}", scratch.name);
    let size = |before: &str| scratch.size_bytes.map(|bytes| format!("{before}{bytes}"));
    match scratch.memory {
        true => {
            let size = size("size=").unwrap_or_default();
            let tmpfs = [("type", "tmpfs"), ("device", "tmpfs"), ("o", size.as_str())];
            new_volume(target, &tmpfs[..if size.is_empty() { 2 } else { 3 }])
        }
        // Of the disk, it is an option of the driver's own: a project quota.
        false => {
            let size = size("");
            new_volume(target, &size.iter().map(|size| ("size", size.as_str())).collect::<Vec<_>>())
        }
    }
}

/// A volume without a name, which is removed with the container.
fn new_volume(target: String, options: &[(&str, &str)]) -> bollard::models::Mount {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    bollard::models::Mount {
        target: Some(target),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".into()),
                options: Some(options.into_iter().collect()),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Converts the answer of `GET /volumes/NAME`.
pub fn volume_info(volume: Volume) -> VolumeInfo {
    VolumeInfo {
        driver: volume.driver,
        options: volume.options.unwrap_or_default(),
        labels: volume.labels.unwrap_or_default(),
        mountpoint: volume.mountpoint,
    }
}

/// One container in the answer of `GET /containers/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListedContainer {
    id: String,
    names: Vec<String>,
    command: String,
    state: String,
    #[serde(deserialize_with = "keep_known_labels")]
    labels: BTreeMap<String, String>,
    mounts: Vec<ListedMount>,
    host_config: Joins,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ListedMount {
    #[serde(rename = "Type")]
    kind: String,
    name: String,
    source: String,
    #[serde(rename = "RW")]
    writable: bool,
}

/// Converts a listed container. Tandem's labels are kept only if the container is genuine
/// ([`Labelled::is_genuine`]).
pub fn node_container(listed: ListedContainer) -> NodeContainer {
    let ListedContainer { id, names, command, state, labels, mounts, host_config } = listed;
    // A name with more than one slash is a legacy link from another container (`/other/alias`).
    let bare = |name: &String| name.strip_prefix('/').filter(|name| !name.contains('/')).map(str::to_owned);
    let name = names.iter().find_map(bare).unwrap_or_default();
    let network = &host_config.network_mode;
    let genuine = Labelled { labels: &labels, name: &name, network, command: &command }.is_genuine(None);
    let (pod, role) = if genuine { whose(&labels) } else { (None, None) };
    let mount = |mount: ListedMount| NodeMount {
        volume: Some(mount.name).filter(|name| mount.kind == "volume" && !name.is_empty()),
        source: mount.source,
        writable: mount.writable,
    };
    let mounts = mounts.into_iter().map(mount).collect();
    NodeContainer { id, name, pod, role, created: state == "created", command, mounts }
}

/// What counts of `GET /info`; bollard's type has all hundred fields of it, and the code to read each.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Info {
    /// Engine version.
    pub server_version: String,
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// `cgroupfs` or `systemd`.
    pub cgroup_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// The engine's clock.
    pub system_time: String,
    /// Where it keeps images, volumes and containers.
    pub docker_root_dir: String,
    /// `name=userns`, `name=seccomp,profile=default`, ...
    pub security_options: Vec<String>,
    /// The node's name.
    pub name: String,
    /// The node's Swarm.
    pub swarm: InfoSwarm,
}

/// The fields of `Swarm` in `GET /info` that are used.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InfoSwarm {
    /// The node's address in the Swarm.
    pub node_addr: String,
}

/// What counts of `GET /images/NAME/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Image {
    /// What its containers run.
    pub config: Option<ImageConfig>,
}

/// What the containers of an image run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// Program.
    pub entrypoint: Option<Vec<String>>,
    /// The user that its containers run as.
    pub user: String,
    /// Its own health check.
    pub healthcheck: Option<ImageCheck>,
}

/// The health check of an image.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageCheck {
    /// `["CMD", ...]`, `["NONE"]`.
    pub test: Option<Vec<String>>,
}

/// What counts of `GET /volumes/NAME`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// The path at which the engine mounts it.
    pub mountpoint: String,
    /// Options of its driver.
    pub options: Option<BTreeMap<String, String>>,
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// The body of `POST /containers/create`.
pub fn create_body(request: &CreateRequest) -> ContainerCreateBody {
    let container = &request.container;
    // `HostConfig.Binds` is never used: with `Binds` the engine creates a host path that is missing.
    let mounts: Vec<_> = container.mounts.iter().map(engine_mount).collect();
    let mut mounts = (!mounts.is_empty()).then_some(mounts);
    if let Some(bytes) = request.store_bytes {
        mounts.get_or_insert_default().push(store_volume(bytes));
    }
    if !request.scratch.is_empty() {
        mounts.get_or_insert_default().extend(request.scratch.iter().map(scratch_volume));
    }
    let filled = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    // Docker's command line knows this one, the engine does not.
    let own = container.tuning.security_opt.iter().filter(|option| *option != OPEN_SYSTEM_PATHS);
    let security_opt: Vec<String> = request.security_opt.iter().chain(own).cloned().collect();
    ContainerCreateBody {
        image: Some(container.image.clone()),
        entrypoint: container.entrypoint.clone().map(cleared),
        cmd: container.command.clone(),
        env: (!container.environment.is_empty()).then(|| environment(&container.environment)),
        working_dir: container.working_dir.clone(),
        user: container.user.clone(),
        labels: Some(request.labels.clone().into_iter().collect()),
        healthcheck: container.healthcheck.as_ref().map(health_config),
        stop_signal: container.stop_signal.clone(),
        stop_timeout: request.stop_grace.map(whole_seconds),
        tty: container.tty.then_some(true),
        open_stdin: container.stdin_open.then_some(true),
        host_config: Some(HostConfig {
            network_mode: Some(request.network_mode.clone()),
            pid_mode: (!request.pid_mode.is_empty()).then(|| request.pid_mode.clone()),
            ipc_mode: Some(request.ipc_mode.clone()),
            cgroup_parent: request.cgroup_parent.clone(),
            security_opt: filled(&security_opt),
            log_config: request.log.as_ref().or(container.tuning.logging.as_ref()).map(
                |(driver, options)| HostConfigLogConfig {
                    typ: (!driver.is_empty()).then(|| driver.clone()),
                    config: Some(options.clone().into_iter().collect()),
                },
            ),
            mounts,
            volumes_from: request.volumes_from.as_ref().map(|lender| vec![lender.clone()]),
            tmpfs: (!container.tmpfs.is_empty())
                .then(|| container.tmpfs.clone().into_iter().collect::<HashMap<_, _>>()),
            readonly_rootfs: container.read_only.then_some(true),
            privileged: container.privileged.then_some(true),
            memory: container.memory_bytes,
            nano_cpus: container.nano_cpus,
            pids_limit: container.pids_limit,
            cap_add: filled(&container.cap_add),
            cap_drop: filled(&container.cap_drop),
            shm_size: container.shm_size_bytes,
            ..tuned(&container.tuning)
        }),
        ..ContainerCreateBody::default()
    }
}

/// `/proc` and `/sys` without the engine's masks.
const OPEN_SYSTEM_PATHS: &str = "systempaths=unconfined";

/// The part of the body that the rarer keys make.
fn tuned(tuning: &Tuning) -> HostConfig {
    fn filled<T: Clone>(list: &[T]) -> Option<Vec<T>> {
        (!list.is_empty()).then(|| list.to_vec())
    }
    let entries = |map: &BTreeMap<String, String>| {
        (!map.is_empty()).then(|| map.clone().into_iter().collect::<HashMap<_, _>>())
    };
    let throttled = |list: &[(String, i64)]| {
        let device =
            |(path, rate): &(String, i64)| ThrottleDevice { path: Some(path.clone()), rate: Some(*rate) };
        (!list.is_empty()).then(|| list.iter().map(device).collect::<Vec<_>>())
    };
    let weights: Vec<_> = tuning
        .blkio
        .weight_device
        .iter()
        .map(|(path, weight)| ResourcesBlkioWeightDevice {
            path: Some(path.clone()),
            weight: Some(usize::from(*weight)),
        })
        .collect();
    let devices: Vec<_> = tuning
        .devices
        .iter()
        .map(|device| DeviceMapping {
            path_on_host: Some(device.source.clone()),
            path_in_container: Some(device.target.clone()),
            cgroup_permissions: Some(device.permissions.clone()),
        })
        .collect();
    let requests: Vec<_> = tuning
        .device_requests
        .iter()
        .map(|request| DeviceRequest {
            driver: request.driver.clone(),
            count: request.count,
            device_ids: filled(&request.ids),
            capabilities: filled(&request.capabilities).map(|all| vec![all]),
            options: entries(&request.options),
        })
        .collect();
    let ulimits: Vec<_> = tuning
        .ulimits
        .iter()
        .map(|(name, (soft, hard))| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(*soft),
            hard: Some(*hard),
        })
        .collect();
    let open = tuning.security_opt.iter().any(|option| option == OPEN_SYSTEM_PATHS);
    HostConfig {
        annotations: entries(&tuning.annotations),
        blkio_weight: tuning.blkio.weight,
        blkio_weight_device: filled(&weights),
        blkio_device_read_bps: throttled(&tuning.blkio.read_bps),
        blkio_device_write_bps: throttled(&tuning.blkio.write_bps),
        blkio_device_read_iops: throttled(&tuning.blkio.read_iops),
        blkio_device_write_iops: throttled(&tuning.blkio.write_iops),
        cpu_period: tuning.cpu_period,
        cpu_quota: tuning.cpu_quota,
        cpu_realtime_period: tuning.cpu_rt_period,
        cpu_realtime_runtime: tuning.cpu_rt_runtime,
        cpu_shares: tuning.cpu_shares,
        cpuset_cpus: tuning.cpuset.clone(),
        device_cgroup_rules: filled(&tuning.device_rules),
        devices: filled(&devices),
        device_requests: filled(&requests),
        group_add: filled(&tuning.groups),
        memory_reservation: tuning.memory_reservation,
        memory_swappiness: tuning.swappiness,
        memory_swap: tuning.memory_swap,
        oom_kill_disable: tuning.oom_kill_disable,
        oom_score_adj: tuning.oom_score_adj,
        runtime: tuning.runtime.clone(),
        storage_opt: entries(&tuning.storage_opt),
        sysctls: entries(&tuning.sysctls),
        ulimits: filled(&ulimits),
        userns_mode: tuning.userns_mode.clone(),
        masked_paths: open.then(Vec::new),
        readonly_paths: open.then(Vec::new),
        ..HostConfig::default()
    }
}

/// An entrypoint that is cleared is sent as `[""]`, as Docker's command line does: after `[]` the image's
/// command would still hold, which was written for the image's entrypoint.
pub fn cleared(entrypoint: Vec<String>) -> Vec<String> {
    if entrypoint.is_empty() { vec![String::new()] } else { entrypoint }
}

/// What a file is, as the engine puts it into the header of an answer: JSON in base64.
pub fn file_stat(header: &[u8]) -> Option<FileStat> {
    /// Go's `fs.ModeSocket` and `fs.ModeDir`.
    const SOCKET: u32 = 1 << 24;
    const FOLDER: u32 = 1 << 31;
    /// Go's `fs.ModeType`: every kind but a regular file.
    const KINDS: u32 = FOLDER | 1 << 27 | 1 << 25 | SOCKET | 1 << 26 | 1 << 21 | 1 << 19;
    #[derive(Deserialize)]
    struct Told {
        mode: u32,
        mtime: String,
        size: u64,
        #[serde(rename = "linkTarget")]
        link_target: String,
    }
    let json = base64::engine::general_purpose::STANDARD.decode(header).ok()?;
    let told: Told = serde_json::from_slice(&json).ok()?;
    let is = |kind| told.mode & kind != 0;
    Some(FileStat {
        socket: is(SOCKET),
        folder: is(FOLDER),
        regular: told.mode & KINDS == 0,
        size: told.size,
        link_target: Some(told.link_target).filter(|target| !target.is_empty()),
        changed_at: nanos(&told.mtime)?,
    })
}

/// What the engine is asked for a hook (`POST /containers/ID/exec`).
pub fn exec_body(hook: &Hook) -> serde_json::Value {
    serde_json::json!({
        "AttachStdout": true,
        "AttachStderr": true,
        "Cmd": hook.command,
        "Env": environment(&hook.environment),
        "User": hook.user.as_deref().unwrap_or_default(),
        "WorkingDir": hook.working_dir.as_deref().unwrap_or_default(),
    })
}

/// `NAME=value`, and `NAME` alone for what is to be taken out of the image's.
fn environment(variables: &[(String, Option<String>)]) -> Vec<String> {
    variables
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        })
        .collect()
}

fn engine_mount(mount: &Mount) -> bollard::models::Mount {
    let mut out = bollard::models::Mount {
        target: Some(mount.target.clone()),
        read_only: mount.read_only.then_some(true),
        ..Default::default()
    };
    match &mount.source {
        MountSource::Bind { path, propagation, recursive } => {
            out.typ = Some(MountType::BIND);
            out.source = Some(path.clone());
            let options = MountBindOptions {
                propagation: propagation.as_deref().and_then(propagation_mode),
                create_mountpoint: None,
                non_recursive: (*recursive == Recursion::Disabled).then_some(true),
                read_only_non_recursive: (*recursive == Recursion::Writable).then_some(true),
                read_only_force_recursive: (*recursive == Recursion::ReadOnly).then_some(true),
            };
            out.bind_options = (options != MountBindOptions::default()).then_some(options);
        }
        MountSource::Volume { name, no_copy, subpath, owner } => {
            out.typ = Some(MountType::VOLUME);
            out.source.clone_from(name);
            let options = MountVolumeOptions {
                no_copy: no_copy.then_some(true),
                subpath: subpath.clone(),
                // If a volume with this name exists, the engine ignores these labels.
                labels: owner.clone().map(|owner| [(LABEL_OWNER.to_owned(), owner)].into()),
                ..Default::default()
            };
            out.volume_options = (options != MountVolumeOptions::default()).then_some(options);
        }
        // The store's: a bind has come in its place ([`store_mounts`]).
        MountSource::ScratchVolume(_) => {}
        MountSource::Tmpfs { size_bytes, mode } => {
            out.typ = Some(MountType::TMPFS);
            out.tmpfs_options = (size_bytes.is_some() || mode.is_some()).then(|| MountTmpfsOptions {
                size_bytes: *size_bytes,
                mode: mode.map(i64::from),
                ..Default::default()
            });
        }
    }
    out
}

/// Words that a definition may hold have been checked before; another leaves the engine's default.
fn propagation_mode(word: &str) -> Option<MountBindOptionsPropagationEnum> {
    use MountBindOptionsPropagationEnum as Mode;
    Some(match word {
        "private" => Mode::PRIVATE,
        "rprivate" => Mode::RPRIVATE,
        "shared" => Mode::SHARED,
        "rshared" => Mode::RSHARED,
        "slave" => Mode::SLAVE,
        "rslave" => Mode::RSLAVE,
        _ => return None,
    })
}

fn health_config(check: &HealthCheck) -> HealthConfig {
    match check {
        HealthCheck::Disabled => HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() },
        HealthCheck::Check { test, interval, timeout, start_period, start_interval, retries } => {
            HealthConfig {
                // None sent: the image's test with our times.
                test: (!test.is_empty()).then(|| test.clone()),
                interval: interval.map(nanos_of),
                timeout: timeout.map(nanos_of),
                start_period: start_period.map(nanos_of),
                start_interval: start_interval.map(nanos_of),
                retries: retries.map(i64::from),
            }
        }
    }
}

/// The health check that a container has, by its definition and its image.
fn health_check(config: HealthConfig) -> Option<HealthCheck> {
    let test = config.test.unwrap_or_default();
    if test.first().is_none_or(|first| first.is_empty() || first == "NONE") {
        return None;
    }
    // Zero is Docker's default.
    let time = |nanos: Option<i64>| {
        let nanos = nanos.and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0);
        nanos.map(Duration::from_nanos)
    };
    Some(HealthCheck::Check {
        test,
        interval: time(config.interval),
        timeout: time(config.timeout),
        start_period: time(config.start_period),
        start_interval: time(config.start_interval),
        retries: config.retries.and_then(|retries| u32::try_from(retries).ok()),
    })
}

fn nanos_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Whole seconds, rounded up: rounded down, half a second of grace would be none.
pub fn whole_seconds(duration: Duration) -> i64 {
    let secs = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    i64::try_from(secs).unwrap_or(i64::MAX)
}

/// What `GET /info` tells.
pub fn engine_info(info: Info) -> EngineInfo {
    let option = |name: &str| info.security_options.iter().any(|option| option == name);
    let (remaps_users, rootless) = (option("name=userns"), option("name=rootless"));
    let confines = |option: &String| {
        let mut words = option.split(',');
        words.next() == Some("name=seccomp") && !words.any(|word| word == "profile=unconfined")
    };
    let filters_calls = info.security_options.iter().any(confines);
    EngineInfo {
        version: info.server_version,
        id: info.id,
        root: info.docker_root_dir,
        cgroup_driver: info.cgroup_driver,
        // Engines before cgroup v2 do not say.
        cgroup_version: info.cgroup_version.parse().unwrap_or(1),
        remaps_users,
        rootless,
        filters_calls,
        names: vec![info.name, info.swarm.node_addr],
    }
}

/// Does the image have a health check of its own?
pub fn has_healthcheck(image: Image) -> bool {
    let test = image.config.and_then(|config| config.healthcheck).and_then(|check| check.test);
    test.is_some_and(|test| test.first().is_some_and(|first| !first.is_empty() && first != "NONE"))
}

/// What `GET /containers/ID/json` tells of a container of the pod.
pub fn container_info(inspect: ContainerInspectResponse) -> ContainerInfo {
    let config = inspect.config.unwrap_or_default();
    let role = config.labels.as_ref().and_then(|labels| labels.get(LABEL_ROLE));
    let is_store = role.is_some_and(|role| role == Role::Store.as_str());
    let host = inspect.host_config.unwrap_or_default();
    let state = inspect.state.unwrap_or_default();
    ContainerInfo {
        id: inspect.id.unwrap_or_default(),
        name: bare_name(inspect.name),
        labels: labels(&config),
        network: host.network_mode.unwrap_or_default(),
        pid_mode: host.pid_mode.unwrap_or_default(),
        command: inspect
            .path
            .into_iter()
            .chain(inspect.args.unwrap_or_default())
            .collect::<Vec<_>>()
            .join(" "),
        user: config.user.clone().unwrap_or_default(),
        healthcheck: config.healthcheck.and_then(health_check),
        stop_signal: config.stop_signal.as_deref().and_then(signal_number),
        failed_check: state.health.as_ref().and_then(failed_check),
        targets: inspect.mounts.iter().flatten().filter_map(|mount| mount.destination.clone()).collect(),
        status: status(&state),
        started_at: state.started_at.as_deref().and_then(nanos).unwrap_or_default(),
        created_at: inspect.created.as_deref().and_then(nanos).unwrap_or_default(),
        tty: config.tty.unwrap_or_default(),
        held: inspect
            .mounts
            .unwrap_or_default()
            .into_iter()
            .filter(|_| is_store)
            .filter_map(|mount| Some((mount.destination?, mount.source?)))
            .collect(),
    }
}

/// What it tells of the task container; the labels of volumes are added by who has asked for them.
pub fn task_container(inspect: ContainerInspectResponse) -> TaskContainer {
    let config = inspect.config.unwrap_or_default();
    let host = inspect.host_config.unwrap_or_default();
    let state = inspect.state.unwrap_or_default();
    let limits = limits(&host);
    TaskContainer {
        id: inspect.id.unwrap_or_default(),
        name: bare_name(inspect.name),
        started_at: state.started_at.unwrap_or_default(),
        image_id: inspect.image.unwrap_or_default(),
        image: config.image.clone().unwrap_or_default(),
        labels: labels(&config),
        stack_volumes: Vec::new(),
        command: config.cmd.unwrap_or_default(),
        program: inspect.path.into_iter().chain(inspect.args.unwrap_or_default()).collect(),
        stdin_open: config.open_stdin.unwrap_or_default(),
        stdin_once: config.stdin_once.unwrap_or_default(),
        tty: config.tty.unwrap_or_default(),
        init: host.init.unwrap_or_default(),
        running: state.running.unwrap_or_default(),
        exit_status: state.exit_code.unwrap_or_default(),
        environment: config.env.unwrap_or_default(),
        mounts: {
            let typed = typed_sources(&host);
            inspect.mounts.unwrap_or_default().into_iter().map(|mount| task_mount(mount, &typed)).collect()
        },
        security_opt: host.security_opt.unwrap_or_default(),
        devices: host
            .devices
            .unwrap_or_default()
            .into_iter()
            .filter_map(|device| device.path_on_host)
            .collect(),
        device_rules: host.device_cgroup_rules.unwrap_or_default(),
        runtime: host.runtime.unwrap_or_default(),
        log: host
            .log_config
            .map(|log| (log.typ.unwrap_or_default(), log.config.unwrap_or_default().into_iter().collect())),
        gateways: {
            let networks =
                inspect.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
            let addresses = networks.into_values().flat_map(|one| [one.gateway, one.ipv6_gateway]);
            addresses.flatten().filter(|address| !address.is_empty()).collect()
        },
        layers: inspect
            .graph_driver
            .map(|driver| driver.data)
            .unwrap_or_default()
            .into_values()
            .flat_map(|paths| paths.split(':').map(str::to_owned).collect::<Vec<_>>())
            .filter(|path| path.starts_with('/'))
            .collect(),
        ipc_mode: host.ipc_mode.unwrap_or_default(),
        pid_mode: host.pid_mode.unwrap_or_default(),
        network_mode: host.network_mode.unwrap_or_default(),
        userns_mode: host.userns_mode.unwrap_or_default(),
        cgroup_parent: host.cgroup_parent.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        cap_drop: capabilities(host.cap_drop),
        cap_add: capabilities(host.cap_add),
        privileged: host.privileged.unwrap_or_default(),
        oom_score_adj: host.oom_score_adj.unwrap_or_default(),
        ulimits: {
            let named = host.ulimits.unwrap_or_default().into_iter();
            named.filter_map(|one| Some((one.name?, (one.soft?, one.hard?)))).collect()
        },
        limits,
    }
}

/// What is not limited the engine writes as nothing, 0 or -1.
fn limits(host: &HostConfig) -> Limits {
    let limited = |value: Option<i64>| value.filter(|value| *value > 0);
    let memory_bytes = limited(host.memory);
    Limits {
        memory_bytes,
        memory_swap: memory_bytes.and(limited(host.memory_swap)),
        nano_cpus: limited(host.nano_cpus)
            .or_else(|| limits::nano_cpus(host.cpu_quota.unwrap_or_default(), host.cpu_period)),
        pids: limited(host.pids_limit),
    }
}

/// A mount of the task container as its author wrote it.
#[derive(Default)]
struct TypedMount {
    source: String,
    recursive: Recursion,
    subpath: Option<String>,
}

/// The written mounts by their target.
type Typed = BTreeMap<String, TypedMount>;

/// Reads the written mounts (`HostConfig.Binds` and `Mounts`) by their target.
fn typed_sources(host: &HostConfig) -> Typed {
    let mut typed = Typed::new();
    for bind in host.binds.iter().flatten() {
        let mut parts = bind.split(':');
        if let (Some(source), Some(target)) = (parts.next(), parts.next().and_then(tidy_path)) {
            typed.insert(target, TypedMount { source: source.to_owned(), ..TypedMount::default() });
        }
    }
    for mount in host.mounts.iter().flatten() {
        let Some(target) = mount.target.as_deref().and_then(tidy_path) else { continue };
        let options = mount.bind_options.clone().unwrap_or_default();
        let set = |option: Option<bool>| option == Some(true);
        let recursive = match () {
            () if set(options.non_recursive) => Recursion::Disabled,
            () if set(options.read_only_force_recursive) => Recursion::ReadOnly,
            () if set(options.read_only_non_recursive) => Recursion::Writable,
            () => Recursion::Enabled,
        };
        let source = mount.source.clone().unwrap_or_default();
        let subpath = mount.volume_options.as_ref().and_then(|options| options.subpath.clone());
        let subpath = subpath.filter(|subpath| !subpath.is_empty());
        typed.insert(target, TypedMount { source, recursive, subpath });
    }
    typed
}

fn task_mount(mount: MountPoint, typed: &Typed) -> TaskMount {
    let kind = mount.typ.map(|kind| kind.to_string()).unwrap_or_default();
    let source = mount.source.unwrap_or_default();
    let target = mount.destination.unwrap_or_default();
    let typed = tidy_path(&target).and_then(|target| typed.get(&target));
    let bind = typed.filter(|_| kind == "bind");
    TaskMount {
        volume: mount.name.filter(|name| kind == "volume" && !name.is_empty()),
        typed_source: bind.map(|typed| typed.source.clone()).filter(|typed| *typed != source),
        recursive: bind.map(|typed| typed.recursive).unwrap_or_default(),
        subpath: typed.filter(|_| kind == "volume").and_then(|typed| typed.subpath.clone()),
        kind,
        propagation: mount.propagation.unwrap_or_default(),
        source,
        target,
        writable: mount.rw.unwrap_or_default(),
        ..TaskMount::default()
    }
}

/// Copies the engine's facts about a volume into the mount.
pub fn describe_volume(mount: &mut TaskMount, volume: Volume) {
    let info = volume_info(volume);
    mount.device = info.device().map(|device| device.path);
    (mount.driver, mount.options, mount.labels) = (info.driver, info.options, info.labels);
}

/// Without `CAP_`: engines keep what they were sent, and clients send both spellings.
fn capabilities(list: Option<Vec<String>>) -> Vec<String> {
    let bare = |name: String| {
        let upper = name.to_ascii_uppercase();
        upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
    };
    list.unwrap_or_default().into_iter().map(bare).collect()
}

fn bare_name(name: Option<String>) -> String {
    let name = name.unwrap_or_default();
    name.strip_prefix('/').map(str::to_owned).unwrap_or(name)
}

fn labels(config: &ContainerConfig) -> BTreeMap<String, String> {
    config.labels.clone().unwrap_or_default().into_iter().collect()
}

fn status(state: &ContainerState) -> Status {
    use ContainerStateStatusEnum as Engine;
    let exit = || Exit {
        status: state.exit_code.unwrap_or_default(),
        oom: state.oom_killed.unwrap_or_default(),
        at_nanos: state.finished_at.as_deref().and_then(nanos).unwrap_or_default(),
    };
    let failed_to_start = state.exit_code.unwrap_or_default() != 0
        && state.error.as_deref().is_some_and(|error| !error.is_empty());
    match state.status.unwrap_or(Engine::EMPTY) {
        // The engine keeps `created` when a start failed, with the status that a shell would give (127
        // where there is no such program, 126 where it cannot run, else 128) and no time of its end.
        Engine::CREATED if failed_to_start => Status::Exited(exit()),
        Engine::CREATED | Engine::EMPTY => Status::Created,
        Engine::RUNNING | Engine::PAUSED | Engine::RESTARTING | Engine::STOPPING => {
            let health = state.health.as_ref().and_then(|health| health.status);
            Status::Running { health: health.map(health_of).unwrap_or_default() }
        }
        Engine::EXITED => Status::Exited(exit()),
        Engine::REMOVING | Engine::DEAD => Status::Removing,
    }
}

/// Why it is unhealthy: the last of the runs that the engine keeps, of which it keeps five.
fn failed_check(health: &EngineHealth) -> Option<FailedCheck> {
    health.status.filter(|status| *status == HealthStatusEnum::UNHEALTHY)?;
    let mut runs = health.log.iter().flatten().rev();
    let failed = runs.find(|run| run.exit_code != Some(0))?;
    Some(FailedCheck::new(failed.exit_code.unwrap_or(-1), failed.output.as_deref().unwrap_or_default()))
}

fn health_of(status: HealthStatusEnum) -> Health {
    match status {
        HealthStatusEnum::STARTING => Health::Starting,
        HealthStatusEnum::HEALTHY => Health::Healthy,
        HealthStatusEnum::UNHEALTHY => Health::Unhealthy,
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => Health::None,
    }
}

/// One line of `GET /events`, as far as it is read. Engines from API 1.52 on have no `status` and `id`
/// any more; `Action` and `Actor` are in all of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventMessage {
    action: String,
    actor: EventActor,
    #[serde(default, rename = "timeNano")]
    time_nano: i64,
}

#[derive(Debug, Clone, Deserialize)]
struct EventActor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default, rename = "Attributes")]
    attributes: EventAttributes,
}

/// Only these of them: the others are the container's labels, of any size.
#[derive(Debug, Clone, Default, Deserialize)]
struct EventAttributes {
    #[serde(default, rename = "exitCode")]
    exit_code: Option<String>,
    #[serde(default)]
    signal: Option<String>,
    #[serde(default, rename = "io.tandem.role")]
    role: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "io.tandem.pod")]
    pod: Option<String>,
}

impl EventMessage {
    /// Tells one event from another.
    pub fn key(&self) -> (i64, String, String) {
        (self.time_nano, self.actor.id.clone(), self.action.clone())
    }

    /// When, nanoseconds since 1970 by the engine's clock.
    pub fn at(&self) -> i64 {
        self.time_nano
    }

    /// Id of the container.
    pub fn container(&self) -> &str {
        &self.actor.id
    }

    /// Id of the pod that it belongs to.
    pub fn pod(&self) -> Option<&str> {
        self.actor.attributes.pod.as_deref()
    }
}

/// What an event means to us, `None` for nothing.
pub fn event(message: EventMessage) -> Option<Event> {
    let kind = match message.action.as_str() {
        "die" => EventKind::Died(Exit {
            // An engine that does not say how it ended has not seen it end well.
            status: message.actor.attributes.exit_code.and_then(|code| code.parse().ok()).unwrap_or(255),
            oom: false,
            at_nanos: message.time_nano,
        }),
        "kill" => EventKind::Killed(message.actor.attributes.signal?.parse().ok()?),
        "start" => EventKind::Started,
        "oom" => EventKind::Oom,
        "destroy" => EventKind::Destroyed,
        "create" if visits(&message.actor.attributes) => EventKind::DebugCreated,
        action => EventKind::Health(match action.strip_prefix("health_status:")?.trim() {
            "healthy" => Health::Healthy,
            "unhealthy" => Health::Unhealthy,
            "starting" => Health::Starting,
            _ => return None,
        }),
    };
    Some(Event { id: message.actor.id, kind, at_nanos: message.time_nano })
}

/// Reports whether a new container is a debug container.
fn visits(attributes: &EventAttributes) -> bool {
    // The event shows neither the network nor the command. The next listing checks both, and so does the
    // removal ([`Labelled::is_genuine`]).
    attributes.role.as_deref() == Some(Role::Debug.as_str()) && attributes.name.contains(".debug-")
}

/// Nanoseconds since 1970 as `/events` takes a time.
pub fn seconds(nanos: i64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// What an event of a container means whose pod is run from elsewhere.
pub fn change(message: EventMessage) -> Option<Change> {
    let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok());
    let attributes = message.actor.attributes;
    match message.action.as_str() {
        "kill" => Some(Change::Killed(u8::try_from(number(attributes.signal)?).ok()?)),
        "die" => Some(Change::Ended { status: exit_status(number(attributes.exit_code).unwrap_or(255)) }),
        "destroy" => Some(Change::Ended { status: 0 }),
        _ => None,
    }
}

/// An exit status as a process can have it.
fn exit_status(status: i64) -> u8 {
    u8::try_from(status).unwrap_or(u8::MAX)
}

/// One line of `POST /images/create`, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PullMessage {
    id: Option<String>,
    status: String,
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    error_detail: Option<PullError>,
    #[serde(rename = "progressDetail")]
    progress: PullBytes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PullError {
    message: String,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct PullBytes {
    current: u64,
    total: u64,
}

/// Of a pull's hundreds of messages those that are worth a line of log: what the engine says of the image
/// as a whole, and how far the layers are, now and then.
#[derive(Debug, Default)]
pub struct PullProgress {
    layers: BTreeMap<String, Layer>,
    told_at: Option<Duration>,
    told: String,
}

#[derive(Debug, Default)]
struct Layer {
    downloaded: PullBytes,
    done: bool,
}

impl PullProgress {
    /// Least time between two lines about layers.
    const EVERY: Duration = Duration::from_secs(5);

    /// Take in a message that came at `now`; the line to log, if any.
    ///
    /// # Errors
    /// The registry's own words where the message is an error: a pull fails with status 200 and the error
    /// in the stream.
    pub fn take(&mut self, message: PullMessage, now: Duration) -> Result<Option<String>, EngineError> {
        if let Some(words) = message.error_detail.map(|detail| detail.message).or(message.error) {
            return Err(EngineError::Refused(foreign(&words)));
        }
        let layer = match message.id {
            // `Pulling from library/nginx` has the tag as its id.
            Some(id) if !message.status.starts_with("Pulling from ") => self.layers.entry(id).or_default(),
            _ => return Ok((!message.status.is_empty()).then(|| foreign(&message.status))),
        };
        match message.status.as_str() {
            "Downloading" => layer.downloaded = message.progress,
            "Download complete" => layer.downloaded.current = layer.downloaded.total,
            "Pull complete" | "Already exists" => layer.done = true,
            _ => {}
        }
        // The first line comes when the first interval is over: most pulls are done by then.
        let since = *self.told_at.get_or_insert(now);
        if now.saturating_sub(since) < Self::EVERY {
            return Ok(None);
        }
        let line = self.line();
        if line == self.told {
            return Ok(None);
        }
        self.told_at = Some(now);
        self.told.clone_from(&line);
        Ok(Some(line))
    }

    fn line(&self) -> String {
        let done = self.layers.values().filter(|layer| layer.done).count();
        let (current, total) = self.layers.values().fold((0, 0), |(current, total), layer| {
            (current + layer.downloaded.current, total + layer.downloaded.total)
        });
        let megabytes = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
        format!(
            "{done} of {} layers, downloaded {} of {} MB",
            self.layers.len(),
            megabytes(current),
            megabytes(total)
        )
    }
}

/// An image reference in the two parts that a pull wants, as Docker's command line splits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// `fromImage`: registry and repository.
    pub name: String,
    /// `tag`: a tag, or a digest, which wins over a tag.
    pub tag: String,
}

impl ImageReference {
    /// `name`, `name:tag`, `name@digest`, `name:tag@digest`. Without either the tag is `latest`: a pull
    /// without tag would fetch every one there is.
    ///
    /// # Errors
    /// [`EngineError::Refused`] where it could be no reference, in the engine's words. The engine knows
    /// the whole grammar; this keeps out what would make another request of the URL.
    pub fn parse(text: &str) -> Result<Self, EngineError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/@+".contains(c);
        let dots = |part: &str| part == "." || part == ".." || part.is_empty();
        if text.is_empty() || !text.chars().all(plain) || text.split('/').any(dots) {
            return Err(EngineError::Refused(format!("invalid reference format: `{text}`")));
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        // The colon of a tag stands behind the last slash; before it, it is the registry's port.
        let from = named.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match named.get(from..).and_then(|last| last.find(':')) {
            Some(colon) => (&named[..from + colon], Some(&named[from + colon + 1..])),
            None => (named, None),
        };
        Ok(Self { name: name.to_owned(), tag: digest.or(tag).unwrap_or("latest").to_owned() })
    }
}

/// The header `X-Registry-Auth`: JSON in base64, of the alphabet for URLs.
pub fn registry_auth(credential: &Credential) -> String {
    let fields = [
        ("username", &credential.user),
        ("password", &credential.password),
        ("identitytoken", &credential.identity_token),
        ("registrytoken", &credential.registry_token),
        ("serveraddress", &credential.server),
    ];
    let set = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let json: serde_json::Map<String, serde_json::Value> =
        set.map(|(key, value)| (key.to_owned(), value.as_str().into())).collect();
    base64::engine::general_purpose::URL_SAFE.encode(serde_json::Value::Object(json).to_string())
}

/// Words of a pull that was refused; where it was for who asked, with who that was.
pub fn pull_refused(words: String, credential: Option<&Credential>) -> String {
    let about_who = ["unauthorized", "no basic auth", "denied", "authentication required"];
    let lower = words.to_ascii_lowercase();
    if !about_who.iter().any(|sign| lower.contains(sign)) {
        return words;
    }
    match credential {
        Some(Credential { server, user, .. }) if user.is_empty() => {
            format!("{words} (asked with the token for `{server}`)")
        }
        Some(Credential { server, user, .. }) => {
            format!("{words} (asked as `{user}`, the credentials for `{server}`)")
        }
        None => format!("{words} (asked without credentials)"),
    }
}

/// Nanoseconds since 1970 of a time as the engine writes it (RFC 3339, up to nine digits of a second, any
/// offset). `None` for what is no such time, or the zero time of Go, `0001-01-01T00:00:00Z`.
pub fn nanos(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| text.as_bytes().get(*at) != Some(byte))
        || !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' '))
    {
        return None;
    }
    let days = days_since_1970(number(0..4)?, number(5..7)?, number(8..10)?);
    let time = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("", rest),
    };
    let nanos: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let offset = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            match zone.as_bytes().first()? {
                b'+' => offset,
                b'-' => -offset,
                _ => return None,
            }
        }
    };
    let seconds = days * 86_400 + time - offset;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos).filter(|nanos| *nanos > 0)
}

/// Days of the civil calendar, by Howard Hinnant's `days_from_civil`: years begin in March, so that the
/// leap day is their last. <https://howardhinnant.github.io/date_algorithms.html>
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use pod::identity::Identity;
    use pod::namespaces::Namespaces;
    use serde_json::{Value, from_value, json};

    fn pod(pid: Option<Holder>, ipc: Option<Holder>) -> PodSpec {
        PodSpec {
            identity: Identity {
                pod: "id".into(),
                name: "web.1".into(),
                run: "now".into(),
                manager: "manager".into(),
                origin: BTreeMap::from([("io.tandem.service".into(), "web".into())]),
            },
            namespaces: Namespaces {
                pid,
                ipc,
                shm_size_bytes: Some(7),
                cgroup_parent: Some("/parent".into()),
            },
            init: Vec::new(),
            components: Vec::new(),
            pull_always: false,
            stop_timeout: Duration::from_secs(8),
            scratch: Vec::new(),
            checks_mounts: false,
        }
    }

    fn component(container: ContainerSpec) -> ComponentSpec {
        ComponentSpec { name: "app".into(), container, ..ComponentSpec::default() }
    }

    /// What is sent for a component in a pod of its own namespaces; the parts that are always the same are
    /// taken out.
    fn sent(container: ContainerSpec) -> Value {
        let request = create_request(&pod(None, None), &component(container));
        let mut body = serde_json::to_value(create_body(&request)).expect("JSON");
        let map = body.as_object_mut().expect("an object");
        map.remove("Labels");
        map.remove("Image");
        let host = map.get_mut("HostConfig").and_then(Value::as_object_mut).expect("an object");
        for always in ["NetworkMode", "IpcMode", "CgroupParent"] {
            assert!(host.remove(always).is_some(), "{always}");
        }
        if host.is_empty() {
            map.remove("HostConfig");
        }
        body
    }

    #[test]
    fn a_component_is_sent_with_what_was_said_and_no_more() {
        let member = component(ContainerSpec {
            image: "nginx".into(),
            labels: BTreeMap::from([("a".into(), "b".into()), ("io.tandem.pod".into(), "forged".into())]),
            shm_size_bytes: Some(1),
            ..ContainerSpec::default()
        });
        let mut pod = pod(Some(Holder::Sandbox), Some(Holder::Sandbox));
        pod.init = vec![member.clone()];
        let request = create_request(&pod, &member);
        assert_eq!(request.name, "web.1.podlike.app");
        let want = json!({
            "Image": "nginx",
            "Labels": {
                "a": "b",
                "io.tandem.pod": "id",
                "io.tandem.role": "init",
                "io.tandem.component": "app",
                "io.tandem.manager": "manager",
                "io.tandem.run": "now",
                "io.tandem.service": "web",
            },
            "HostConfig": {
                "NetworkMode": "container:id",
                "PidMode": "container:web.1.pause",
                "IpcMode": "container:web.1.pause",
                "CgroupParent": "/parent",
            },
        });
        assert_eq!(serde_json::to_value(create_body(&request)).expect("JSON"), want);
    }

    #[test]
    fn a_step_of_a_pre_start_shares_the_volumes_of_its_component_which_has_no_tmpfs_of_the_long_form() {
        let tmpfs = |target: &str, read_only, size_bytes, mode| Mount {
            target: target.into(),
            read_only,
            source: MountSource::Tmpfs { size_bytes, mode },
        };
        let volume = Mount {
            target: "/data".into(),
            read_only: false,
            source: MountSource::volume(Some("data".into())),
        };
        let mounts =
            vec![tmpfs("/a", true, Some(1 << 20), Some(0o1777)), volume, tmpfs("/b", false, None, None)];
        let mut app = component(ContainerSpec { mounts, ..ContainerSpec::default() });
        let mut pod = pod(None, None);
        let alone = create_request(&pod, &app);
        assert_eq!((alone.container.mounts.len(), alone.volumes_from), (3, None));

        let steps =
            pod::pre_start::steps(&mut app, &[Default::default()], |_| pod::pre_start::CopyPlace::Container);
        pod.components = [vec![app], steps].concat();
        let body = |number: usize| {
            let body = create_body(&create_request(&pod, &pod.components[number]));
            serde_json::to_value(body).expect("JSON")
        };
        let (lender, step) = (body(0), body(1));
        assert_eq!(lender["HostConfig"]["Tmpfs"], json!({"/a": "ro,mode=1777,size=1048576", "/b": ""}));
        let mounts = lender["HostConfig"]["Mounts"].as_array().expect("a list");
        let targets: Vec<&Value> = mounts.iter().map(|mount| &mount["Target"]).collect();
        assert_eq!(targets, ["/data"]);
        assert_eq!(lender["HostConfig"].get("VolumesFrom"), None);
        assert_eq!(step["HostConfig"]["VolumesFrom"], json!(["web.1.podlike.app"]));
        assert_eq!(step["Labels"]["io.tandem.role"], "pre-start");
        assert_eq!(step["Labels"]["io.tandem.component"], "app.pre-1");
        assert_eq!(step["HostConfig"]["NetworkMode"], "container:id");
        assert_eq!(step["Healthcheck"], json!({"Test": ["NONE"]}));
    }

    #[test]
    fn namespaces_are_the_tasks_the_sandboxs_or_its_own() {
        use Holder::{Sandbox, Task};
        for (pid, ipc, want) in [
            (None, None, ("", "private", Some(1))),
            (Some(Task), None, ("container:id", "private", Some(1))),
            (None, Some(Task), ("", "container:id", None)),
            (Some(Sandbox), Some(Sandbox), ("container:web.1.pause", "container:web.1.pause", None)),
        ] {
            let member = component(ContainerSpec { shm_size_bytes: Some(1), ..ContainerSpec::default() });
            let got = create_request(&pod(pid, ipc), &member);
            let shm = got.container.shm_size_bytes;
            assert_eq!((got.pid_mode.as_str(), got.ipc_mode.as_str(), shm), want, "{pid:?} {ipc:?}");
            assert_eq!(got.network_mode, "container:id");
        }
    }

    #[test]
    fn the_sandbox_is_pause_and_can_do_nothing() {
        let request = sandbox_request(&pod(Some(Holder::Sandbox), Some(Holder::Sandbox)), "sha256:1", "life");
        let want = json!({
            "Image": "sha256:1",
            "Entrypoint": ["/pause"],
            "Cmd": ["--lifeline", "life"],
            "Env": ["TANDEM_HELD=1"],
            "User": "65529:65529",
            "Healthcheck": { "Test": ["NONE"] },
            "Labels": {
                "io.tandem.pod": "id",
                "io.tandem.role": "sandbox",
                "io.tandem.manager": "manager",
                "io.tandem.run": "now",
                "io.tandem.service": "web",
            },
            "HostConfig": {
                "NetworkMode": "container:id",
                "IpcMode": "shareable",
                "ShmSize": 7,
                "CgroupParent": "/parent",
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "ReadonlyRootfs": true,
                "PidsLimit": 64,
                "LogConfig": { "Type": "json-file", "Config": { "max-size": "64k", "max-file": "1" } },
            },
        });
        assert_eq!(serde_json::to_value(create_body(&request)).expect("JSON"), want);
        assert_eq!(request.name, "web.1.pause");
        let request = sandbox_request(&pod(Some(Holder::Sandbox), None), "sha256:1", "life");
        assert_eq!((request.ipc_mode.as_str(), request.container.shm_size_bytes), ("private", None));
    }

    #[test]
    fn the_store_is_pause_alone_around_memory() {
        let mut pod = pod(Some(Holder::Sandbox), Some(Holder::Sandbox));
        let file = pod::testing::pod("a+secret").components.remove(0).files.remove(0);
        pod.components = vec![ComponentSpec { files: vec![file], ..component(ContainerSpec::default()) }];
        let request = store_request(&pod, "sha256:1");
        let want = json!({
            "Image": "sha256:1",
            "Entrypoint": ["/pause"],
            "Env": ["TANDEM_HELD=1"],
            "User": "65529:65529",
            "Healthcheck": { "Test": ["NONE"] },
            "Labels": {
                "io.tandem.pod": "id",
                "io.tandem.role": "store",
                "io.tandem.manager": "manager",
                "io.tandem.run": "now",
                "io.tandem.service": "web",
            },
            "HostConfig": {
                "NetworkMode": "none",
                "IpcMode": "private",
                "CgroupParent": "/parent",
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "ReadonlyRootfs": true,
                "PidsLimit": 64,
                "LogConfig": { "Type": "json-file", "Config": { "max-size": "64k", "max-file": "1" } },
                "Mounts": [{
                    "Target": "/store",
                    "Type": "volume",
                    "VolumeOptions": {
                        "NoCopy": true,
                        "DriverConfig": {
                            "Name": "local",
                            "Options": { "type": "tmpfs", "device": "tmpfs", "o": "size=16777216,mode=1733" },
                        },
                    },
                }],
            },
        });
        assert_eq!(serde_json::to_value(create_body(&request)).expect("JSON"), want);
        assert_eq!(request.name, "web.1.store");
    }

    #[test]
    fn every_field_of_a_container_is_sent() {
        let secs = |secs| Some(Duration::from_secs(secs));
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let spec = ContainerSpec::default;
        let cases = [
            (
                ContainerSpec { entrypoint: Some(words(&["/a", "b"])), ..spec() },
                json!({ "Entrypoint": ["/a", "b"] }),
            ),
            (ContainerSpec { entrypoint: Some(Vec::new()), ..spec() }, json!({ "Entrypoint": [""] })),
            (ContainerSpec { command: Some(words(&["a"])), ..spec() }, json!({ "Cmd": ["a"] })),
            (ContainerSpec { command: Some(Vec::new()), ..spec() }, json!({ "Cmd": [] })),
            (
                ContainerSpec {
                    environment: vec![
                        ("A".into(), Some("1".into())),
                        ("B".into(), None),
                        ("C".into(), Some(String::new())),
                    ],
                    ..spec()
                },
                json!({ "Env": ["A=1", "B", "C="] }),
            ),
            (ContainerSpec { working_dir: Some("/w".into()), ..spec() }, json!({ "WorkingDir": "/w" })),
            (ContainerSpec { user: Some("1:2".into()), ..spec() }, json!({ "User": "1:2" })),
            (
                ContainerSpec { tmpfs: BTreeMap::from([("/t".into(), "size=1m".into())]), ..spec() },
                json!({ "HostConfig": { "Tmpfs": { "/t": "size=1m" } } }),
            ),
            (
                ContainerSpec { read_only: true, ..spec() },
                json!({ "HostConfig": { "ReadonlyRootfs": true } }),
            ),
            (
                ContainerSpec { healthcheck: Some(HealthCheck::Disabled), ..spec() },
                json!({ "Healthcheck": { "Test": ["NONE"] } }),
            ),
            (
                ContainerSpec {
                    healthcheck: Some(HealthCheck::Check {
                        test: words(&["CMD", "true"]),
                        interval: secs(1),
                        timeout: secs(2),
                        start_period: secs(3),
                        start_interval: None,
                        retries: Some(4),
                    }),
                    ..spec()
                },
                json!({ "Healthcheck": {
                    "Test": ["CMD", "true"], "Interval": 1_000_000_000, "Timeout": 2_000_000_000,
                    "StartPeriod": 3_000_000_000_u64, "Retries": 4,
                } }),
            ),
            (
                ContainerSpec {
                    healthcheck: Some(HealthCheck::Check {
                        test: Vec::new(),
                        interval: secs(1),
                        timeout: None,
                        start_period: None,
                        start_interval: None,
                        retries: None,
                    }),
                    ..spec()
                },
                json!({ "Healthcheck": { "Interval": 1_000_000_000 } }),
            ),
            (
                ContainerSpec { stop_signal: Some("SIGINT".into()), ..spec() },
                json!({ "StopSignal": "SIGINT" }),
            ),
            (ContainerSpec { memory_bytes: Some(1), ..spec() }, json!({ "HostConfig": { "Memory": 1 } })),
            (ContainerSpec { nano_cpus: Some(1), ..spec() }, json!({ "HostConfig": { "NanoCpus": 1 } })),
            (ContainerSpec { pids_limit: Some(-1), ..spec() }, json!({ "HostConfig": { "PidsLimit": -1 } })),
            (
                ContainerSpec { cap_add: words(&["A"]), ..spec() },
                json!({ "HostConfig": { "CapAdd": ["A"] } }),
            ),
            (
                ContainerSpec { cap_drop: words(&["ALL"]), ..spec() },
                json!({ "HostConfig": { "CapDrop": ["ALL"] } }),
            ),
            (ContainerSpec { shm_size_bytes: Some(1), ..spec() }, json!({ "HostConfig": { "ShmSize": 1 } })),
            (ContainerSpec { tty: true, ..spec() }, json!({ "Tty": true })),
            (ContainerSpec { stdin_open: true, ..spec() }, json!({ "OpenStdin": true })),
            (ContainerSpec { privileged: true, ..spec() }, json!({ "HostConfig": { "Privileged": true } })),
        ];
        for (container, want) in cases {
            assert_eq!(sent(container.clone()), want, "{container:?}");
        }
    }

    #[test]
    fn what_happens_to_a_pause_elsewhere_is_read_from_its_events() {
        let change = |action: &str, attributes: &str| {
            let text = format!(r#"{{"Action":"{action}","Actor":{{"ID":"x","Attributes":{attributes}}}}}"#);
            change(serde_json::from_str(&text).expect("an event"))
        };
        assert_eq!(change("kill", r#"{"signal":"15","a.label":"b"}"#), Some(Change::Killed(15)));
        assert_eq!(change("die", r#"{"exitCode":"3"}"#), Some(Change::Ended { status: 3 }));
        assert_eq!(change("die", "{}"), Some(Change::Ended { status: 255 }));
        assert_eq!(change("destroy", "{}"), Some(Change::Ended { status: 0 }));
        assert_eq!(change("kill", r#"{"signal":"TERM"}"#), None);
        assert_eq!(change("start", "{}"), None);
    }

    #[test]
    fn a_file_is_read_from_its_header() {
        let header = |json: &str| base64::engine::general_purpose::STANDARD.encode(json);
        let socket = r#"{"name":"docker.sock","size":0,"mode":16777648,"mtime":"1970-01-01T00:00:02.000000005Z","linkTarget":""}"#;
        let folder =
            r#"{"name":"x","size":4096,"mode":2147484141,"mtime":"1970-01-01T00:00:02Z","linkTarget":""}"#;
        let link =
            r#"{"name":"x","size":3,"mode":134218239,"mtime":"1970-01-01T00:00:02Z","linkTarget":"/y"}"#;
        let file = r#"{"name":"x","size":3,"mode":8389028,"mtime":"1970-01-01T00:00:02Z","linkTarget":""}"#;
        let stat = |json: &str| file_stat(header(json).as_bytes());
        let other = FileStat {
            socket: false,
            folder: false,
            regular: false,
            size: 0,
            link_target: None,
            changed_at: 2_000_000_000,
        };
        let want = FileStat { socket: true, changed_at: 2_000_000_005, ..other.clone() };
        assert_eq!(stat(socket), Some(want));
        assert_eq!(stat(folder), Some(FileStat { folder: true, size: 4096, ..other.clone() }));
        let want = FileStat { link_target: Some("/y".into()), size: 3, ..other.clone() };
        assert_eq!(stat(link), Some(want));
        assert_eq!(stat(file), Some(FileStat { regular: true, size: 3, ..other }), "setuid is no kind");
        assert_eq!(stat("{}"), None);
        assert_eq!(file_stat(b"?"), None);
    }

    #[test]
    fn every_kind_of_mount_is_sent() {
        let bind = |path: &str, propagation: Option<&str>| MountSource::Bind {
            path: path.into(),
            propagation: propagation.map(str::to_owned),
            recursive: Recursion::Enabled,
        };
        let below = |recursive| MountSource::Bind { path: "/h".into(), propagation: None, recursive };
        let own = MountSource::Volume {
            name: Some("web.podlike.v".into()),
            no_copy: false,
            subpath: None,
            owner: Some("service:web".into()),
        };
        let options = |options| {
            let mount = json!({ "Type": "bind", "Source": "/h", "Target": "/t", "ReadOnly": true,
                                "BindOptions": options });
            json!({ "Mounts": [mount] })
        };
        let cases = [
            // `Binds` must not appear: with it the engine creates a host path that is missing.
            (
                false,
                bind("/h", None),
                json!({ "Mounts": [{ "Type": "bind", "Source": "/h", "Target": "/t" }] }),
            ),
            (
                true,
                bind("/h", Some("rslave")),
                json!({ "Mounts": [{ "Type": "bind", "Source": "/h", "Target": "/t", "ReadOnly": true,
                                     "BindOptions": { "Propagation": "rslave" } }] }),
            ),
            (
                false,
                own,
                json!({ "Mounts": [{ "Type": "volume", "Source": "web.podlike.v", "Target": "/t",
                                     "VolumeOptions": { "Labels": { "io.tandem.owner": "service:web" } } }] }),
            ),
            (true, below(Recursion::Disabled), options(json!({ "NonRecursive": true }))),
            (true, below(Recursion::Writable), options(json!({ "ReadOnlyNonRecursive": true }))),
            (true, below(Recursion::ReadOnly), options(json!({ "ReadOnlyForceRecursive": true }))),
            (
                false,
                MountSource::Volume {
                    name: Some("v".into()),
                    no_copy: true,
                    subpath: Some("a/b".into()),
                    owner: None,
                },
                json!({ "Mounts": [{ "Type": "volume", "Source": "v", "Target": "/t",
                                     "VolumeOptions": { "NoCopy": true, "Subpath": "a/b" } }] }),
            ),
            (
                true,
                MountSource::volume(None),
                json!({ "Mounts": [{ "Type": "volume", "Target": "/t", "ReadOnly": true }] }),
            ),
            (
                false,
                MountSource::Tmpfs { size_bytes: Some(9), mode: Some(0o1777) },
                json!({ "Mounts": [{ "Type": "tmpfs", "Target": "/t",
                                     "TmpfsOptions": { "SizeBytes": 9, "Mode": 0o1777 } }] }),
            ),
        ];
        for (read_only, source, want) in cases {
            let mounts = vec![Mount { target: "/t".into(), read_only, source }];
            let got = sent(ContainerSpec { mounts, ..ContainerSpec::default() });
            assert_eq!(got, json!({ "HostConfig": want }));
        }
    }

    #[test]
    fn the_grace_of_a_stop_is_whole_seconds_rounded_up() {
        for (millis, want) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), want, "{millis} ms");
        }
        let mut member = component(ContainerSpec::default());
        member.stop_grace = Some(Duration::from_millis(1500));
        let body = create_body(&create_request(&pod(None, None), &member));
        assert_eq!(body.stop_timeout, Some(2));
    }

    #[test]
    fn a_containers_state_is_read_as_what_it_does() {
        let exited = |status, oom, at_nanos| Status::Exited(Exit { status, oom, at_nanos });
        let running = |health| Status::Running { health };
        let never = "0001-01-01T00:00:00Z";
        let cases = [
            (
                json!({ "Status": "created", "ExitCode": 0, "Error": "", "FinishedAt": never }),
                Status::Created,
            ),
            (
                json!({ "Status": "created", "ExitCode": 127, "Error": "not found", "FinishedAt": never }),
                exited(127, false, 0),
            ),
            (json!({ "Status": "running" }), running(Health::None)),
            (json!({ "Status": "paused", "Health": { "Status": "starting" } }), running(Health::Starting)),
            (json!({ "Status": "restarting", "Health": { "Status": "healthy" } }), running(Health::Healthy)),
            (json!({ "Status": "running", "Health": { "Status": "unhealthy" } }), running(Health::Unhealthy)),
            (json!({ "Status": "running", "Health": { "Status": "none" } }), running(Health::None)),
            (
                json!({ "Status": "exited", "ExitCode": 137, "OOMKilled": true, "FinishedAt": "1970-01-01T00:00:01.5Z" }),
                exited(137, true, 1_500_000_000),
            ),
            (json!({ "Status": "removing" }), Status::Removing),
            (json!({ "Status": "dead", "ExitCode": 1 }), Status::Removing),
        ];
        for (state, want) in cases {
            let state: ContainerState = from_value(state.clone()).expect("a state");
            assert_eq!(status(&state), want, "{state:?}");
        }
    }

    #[test]
    fn why_a_container_is_unhealthy_is_the_last_of_its_checks_that_failed() {
        let log = json!([
            { "ExitCode": 1, "Output": "first" }, { "ExitCode": 7, "Output": "refused\n" }, { "ExitCode": 0, "Output": "" },
        ]);
        let of = |status: &str, log: serde_json::Value| {
            let state = json!({ "Status": "running", "Health": { "Status": status, "Log": log } });
            let inspect = json!({ "Id": "id", "Config": { "StopSignal": "SIGQUIT" }, "State": state });
            let info = container_info(from_value(inspect).expect("an inspection"));
            assert_eq!(info.stop_signal, Some(3));
            info.failed_check
        };
        assert_eq!(of("unhealthy", log.clone()), Some(FailedCheck::new(7, "refused")));
        assert_eq!(of("unhealthy", json!([{ "ExitCode": -1 }])), Some(FailedCheck::new(-1, "")));
        assert_eq!(of("healthy", log), None, "it has come right since");
        assert_eq!(of("unhealthy", json!(null)), None);
    }

    #[test]
    fn the_task_container_is_read_whole_and_with_nulls() {
        let task = task_container(
            from_value(json!({
                "Id": "id", "Name": "/web.1.x", "Image": "sha256:1",
                "State": { "StartedAt": "2026-01-01T00:00:00.123456789Z" },
                "Config": { "User": "65529", "Labels": { "a": "b" } },
                "HostConfig": {
                    "IpcMode": "private", "NetworkMode": "default", "CgroupParent": "/p", "Privileged": true,
                    "CapAdd": ["CAP_KILL", "net_admin"], "CapDrop": ["ALL"], "Memory": 5,
                    "MemorySwap": -1, "NanoCpus": 0, "CpuQuota": 25000, "CpuPeriod": 50000, "PidsLimit": 0,
                    "OomScoreAdj": 300, "Ulimits": [{ "Name": "nofile", "Soft": 5, "Hard": -1 }],
                },
                "Mounts": [
                    { "Type": "volume", "Name": "v", "Source": "/host/v", "Destination": "/data", "RW": true },
                    { "Type": "bind", "Source": "/run", "Destination": "/var/run", "RW": false },
                ],
            }))
            .expect("an inspection"),
        );
        assert_eq!((task.name.as_str(), task.image_id.as_str()), ("web.1.x", "sha256:1"));
        assert_eq!(task.started_at, "2026-01-01T00:00:00.123456789Z");
        assert_eq!(task.cap_add, ["KILL", "NET_ADMIN"]);
        assert_eq!((task.cgroup_parent.as_str(), task.privileged), ("/p", true));
        assert_eq!(task.oom_score_adj, 300);
        assert_eq!(task.ulimits, BTreeMap::from([("nofile".to_owned(), (5, -1))]));
        let limits = Limits { memory_bytes: Some(5), nano_cpus: Some(500_000_000), ..Limits::default() };
        assert_eq!(task.limits, limits, "what is -1 or 0 is not limited");
        assert_eq!((task.mounts[0].volume.as_deref(), task.mounts[0].writable), (Some("v"), true));
        assert_eq!((task.mounts[1].volume.as_deref(), task.mounts[1].target.as_str()), (None, "/var/run"));

        let bare = json!({ "Id": "id", "Config": { "Labels": null }, "HostConfig": { "CapAdd": null }, "Mounts": null });
        let bare = task_container(from_value(bare).expect("an inspection"));
        assert_eq!(bare, TaskContainer { id: "id".into(), ..TaskContainer::default() });
    }

    #[test]
    fn an_image_has_a_health_check_or_has_none() {
        for (config, want) in [
            (json!(null), false),
            (json!({}), false),
            (json!({ "Healthcheck": { "Test": ["NONE"] } }), false),
            (json!({ "Healthcheck": { "Test": [] } }), false),
            (json!({ "Healthcheck": { "Test": ["CMD-SHELL", "true"] } }), true),
        ] {
            let image = from_value(json!({ "Config": config })).expect("an image");
            assert_eq!(has_healthcheck(image), want, "{config}");
        }
    }

    #[test]
    fn events_are_read_from_action_and_actor() {
        let died = |status| Some(EventKind::Died(Exit { status, oom: false, at_nanos: 9 }));
        for (action, attributes, want) in [
            ("die", json!({ "exitCode": "255" }), died(255)),
            ("die", json!({}), died(255)),
            ("oom", json!({}), Some(EventKind::Oom)),
            ("kill", json!({ "signal": "15" }), Some(EventKind::Killed(15))),
            ("kill", json!({ "signal": "TERM" }), None),
            ("kill", json!({}), None),
            ("start", json!({}), Some(EventKind::Started)),
            ("stop", json!({}), None),
            ("restart", json!({}), None),
            ("destroy", json!({}), Some(EventKind::Destroyed)),
            ("create", json!({ "io.tandem.role": "component" }), None),
            (
                "create",
                json!({ "io.tandem.role": "debug", "name": "web.debug-1" }),
                Some(EventKind::DebugCreated),
            ),
            ("create", json!({ "io.tandem.role": "debug", "name": "made-of-its-image" }), None),
            ("health_status: healthy", json!({}), Some(EventKind::Health(Health::Healthy))),
            ("health_status: unhealthy", json!({}), Some(EventKind::Health(Health::Unhealthy))),
            ("health_status: starting", json!({}), Some(EventKind::Health(Health::Starting))),
            ("health_status: running", json!({}), None),
            ("exec_die", json!({ "exitCode": "1" }), None),
        ] {
            // `status` and `id` are older engines'; they must not be needed, nor looked at.
            let message = json!({
                "status": "start", "id": "other", "Type": "container", "Action": action,
                "Actor": { "ID": "id", "Attributes": attributes }, "time": 1, "timeNano": 9,
            });
            let got = event(from_value(message).expect("an event"));
            assert_eq!(got, want.map(|kind| Event { id: "id".into(), kind, at_nanos: 9 }), "{action}");
        }
    }

    #[test]
    fn a_pull_tells_what_is_worth_a_line() {
        let mut progress = PullProgress::default();
        let mut take = |secs: u64, message: Value| {
            progress.take(from_value(message).expect("a message"), Duration::from_secs(secs))
        };
        let layer = |id: &str, status: &str, current: u64, total: u64| json!({ "id": id, "status": status, "progressDetail": { "current": current, "total": total } });
        let cases = [
            (
                0,
                json!({ "status": "Pulling from library/nginx", "id": "1.27" }),
                Some("Pulling from library/nginx"),
            ),
            (1, json!({ "status": "Pulling fs layer", "progressDetail": {}, "id": "a" }), None),
            (2, layer("b", "Already exists", 0, 0), None),
            (3, layer("a", "Downloading", 1_000_000, 4_500_000), None),
            (
                7,
                layer("a", "Downloading", 2_000_000, 4_500_000),
                Some("1 of 2 layers, downloaded 2.0 of 4.5 MB"),
            ),
            (8, layer("a", "Download complete", 0, 0), None),
            (12, layer("a", "Extracting", 1, 2), Some("1 of 2 layers, downloaded 4.5 of 4.5 MB")),
            (60, layer("a", "Extracting", 2, 2), None),
            (61, layer("a", "Pull complete", 0, 0), Some("2 of 2 layers, downloaded 4.5 of 4.5 MB")),
            (61, json!({ "status": "Digest: sha256:1" }), Some("Digest: sha256:1")),
        ];
        for (secs, message, want) in cases {
            assert_eq!(take(secs, message.clone()), Ok(want.map(str::to_owned)), "{message}");
        }
        for message in [
            json!({ "errorDetail": { "message": "denied" }, "error": "denied" }),
            json!({ "error": "denied" }),
        ] {
            assert_eq!(take(62, message), Err(EngineError::Refused("denied".into())));
        }
        let hostile = "x\u{1b}]0;y\u{7}\nforged";
        let plain = "x\\u{1b}]0;y\\u{7}\n  forged";
        assert_eq!(take(63, json!({ "error": hostile })), Err(EngineError::Refused(plain.into())));
        assert_eq!(take(64, json!({ "status": hostile })), Ok(Some(plain.into())));
    }

    #[test]
    fn credentials_are_sent_as_docker_sends_them_and_a_refusal_says_whose_they_were() {
        let password = Credential {
            server: "reg.io:5000".into(),
            user: "me".into(),
            // What makes `+` and `/` in the ordinary alphabet.
            password: "\u{fb}\u{fe}\u{ff}???>>>\"".into(),
            ..Credential::default()
        };
        let token = Credential {
            server: "reg.io".into(),
            identity_token: "a".into(),
            registry_token: "b".into(),
            ..Credential::default()
        };
        for (credential, want) in [
            (
                &password,
                json!({"username": "me", "password": "\u{fb}\u{fe}\u{ff}???>>>\"", "serveraddress": "reg.io:5000"}),
            ),
            (&token, json!({"identitytoken": "a", "registrytoken": "b", "serveraddress": "reg.io"})),
        ] {
            let header = registry_auth(credential);
            // Padded, and of this alphabet: what `base64.URLEncoding` of the engine takes.
            let sent = base64::engine::general_purpose::URL_SAFE.decode(&header).expect("base64");
            assert_eq!(serde_json::from_slice::<Value>(&sent).expect("JSON"), want);
        }

        let refused = |words: &str, who| pull_refused(words.to_owned(), who);
        let words = "unauthorized: authentication required";
        assert_eq!(refused(words, None), format!("{words} (asked without credentials)"));
        assert_eq!(
            refused(words, Some(&password)),
            format!("{words} (asked as `me`, the credentials for `reg.io:5000`)")
        );
        assert_eq!(refused(words, Some(&token)), format!("{words} (asked with the token for `reg.io`)"));
        assert_eq!(refused("manifest unknown", Some(&password)), "manifest unknown");
    }

    #[test]
    fn an_image_reference_is_split_as_dockers_command_line_does() {
        for (text, name, tag) in [
            ("nginx", "nginx", "latest"),
            ("nginx:1.27", "nginx", "1.27"),
            ("reg.io:5000/a/b", "reg.io:5000/a/b", "latest"),
            ("reg.io:5000/a/b:x", "reg.io:5000/a/b", "x"),
            ("a@sha256:12", "a", "sha256:12"),
            ("reg:5000/a:x@sha256:12", "reg:5000/a", "sha256:12"),
        ] {
            let want = ImageReference { name: name.into(), tag: tag.into() };
            assert_eq!(ImageReference::parse(text), Ok(want), "{text}");
        }
        for text in ["", "a b", "../containers/json", "a/../b", "a?b", "a#b", "a%2e", "/a", "a/", "\u{fc}"] {
            assert!(matches!(ImageReference::parse(text), Err(EngineError::Refused(_))), "{text}");
        }
    }

    #[test]
    fn times_are_read_to_the_nanosecond() {
        for (text, want) in [
            ("1970-01-01T00:00:00.000000001Z", Some(1)),
            ("1970-01-02T00:00:00Z", Some(86_400_000_000_000)),
            ("2000-02-29T12:30:15.5Z", Some(951_827_415_500_000_000)),
            ("2026-11-21T08:44:07.648916751Z", Some(1_795_250_647_648_916_751)),
            ("2026-11-21T10:44:07.648916751+02:00", Some(1_795_250_647_648_916_751)),
            ("2026-11-21T03:14:07.648916751-05:30", Some(1_795_250_647_648_916_751)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400_000_000_000)),
            ("0001-01-01T00:00:00Z", None),
            ("9999-12-31T23:59:59Z", None),
            ("2026-11-21 08:44", None),
            ("2026-11-21T08:44:07", None),
            ("2026-11-21T08:44:07.Z7", None),
            ("2026-1\u{fc}-21T08:44:07Z", None),
            ("", None),
        ] {
            assert_eq!(nanos(text), want, "{text}");
        }
    }
}
