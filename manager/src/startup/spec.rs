//! What pod is wanted, and every reason against it: from the definition and the flags, and then from the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::cli::{Placement, PodArgs};
use crate::error::Refusal;
use crate::security::mount_guard;
use crate::security::mount_guard::MountGuard;
use crate::startup::retry::retry_until_timeout;
use definition::{
    self, diagnostic::DiagnosticReport, diagnostic::MOST_FAULTS, files::Files, labels::Surroundings,
};
use engine::docker::DockerEngine;
use engine::{Engine, EngineAddress, EngineInfo};
use pod::api_compat::{TooOld, too_old};
use pod::identity::Identity;
use pod::limits::duration;
use pod::namespace_placement::{Place, Programs, Wish, place};
use pod::namespaces::Namespaces;
use pod::owner::Owner;
use pod::policy::mount_conflicts::is_concerned;
use pod::policy::{Allowances, Level, Policy};
use pod::spec::{ComponentSpec, Condition, Definition, FileSource, MountSource, PodSpec};
use pod::store;
use pod::task_container::TaskContainer;

/// What the operator allows: by these flags, and by the file that they name.
///
/// # Errors
/// Where there is no such file, or something is wrong with it, for people.
pub fn policy(args: &PodArgs, files: &dyn Files, warnings: &mut Vec<String>) -> Result<Policy, String> {
    let mut policy = Policy::default();
    if let Some(path) = &args.policy_file {
        match definition::policy_file::read(files, path)? {
            Some(found) => policy = found,
            None => warnings.push(format!(
                "the policy file `{path}` is in the task container and cannot be seen from here: what it says does not \
                 count in this check"
            )),
        }
    }
    policy.level = policy.level.max(args.policy);
    policy.allowed.extend(args.allow.iter().cloned());
    policy.registries.extend(args.registries.iter().cloned());
    policy.max_components = args.max_components;
    Ok(policy)
}

/// What was read.
pub struct Reading {
    /// The pod, as far as there is no fault.
    pub spec: PodSpec,
    /// What works, but perhaps not as the user expects.
    pub warnings: Vec<String>,
    /// Volumes that the pod makes unless the engine has them, each with what to say then.
    pub new_volumes: Vec<(String, String)>,
    /// What is wrong with the definition itself, each with its place; [`Reading::faults`] begins with its text.
    pub report: Option<DiagnosticReport>,
    /// Every reason against it, each for people.
    pub faults: Vec<String>,
    /// Permissions that the pod needs to pass the policy.
    pub allowances: Allowances,
}

/// The pod of a task container, as far as it can be told without the engine.
pub fn read(args: &PodArgs, around: &Surroundings<'_>, programs: Programs) -> Reading {
    let (mut warnings, mut faults, mut allowances) = (Vec::new(), Vec::new(), Allowances::default());
    let (mut wrong, mut new_volumes) = (None, Vec::new());
    let definition = match definition::labels::read(around) {
        Ok((definition, found)) => {
            for warning in found {
                match &warning.new_volume {
                    Some(volume) => new_volumes.push((volume.clone(), warning.to_string())),
                    None => warnings.push(warning.to_string()),
                }
            }
            definition
        }
        Err(report) => {
            faults.push(report.to_string());
            allowances.extend_with(&report.allowances);
            wrong = Some(report);
            Definition::default()
        }
    };
    let wish = Wish {
        place: match args.placement {
            Placement::Auto | Placement::Sandbox => Place::Sandbox,
            Placement::Task => Place::Task,
            Placement::Outside(_) => Place::Outside,
        },
        pids: args.pids,
        ipc: args.ipc,
    };
    let members = || definition.components.iter().chain(&definition.init);
    let shm_sizes = members().filter_map(|member| member.container.shm_size_bytes);
    let added = members()
        .flat_map(|member| member.container.cap_add.iter().map(|cap| (member.name.as_str(), cap.as_str())));
    let namespaces = match place(wish, around.task, programs, shm_sizes, added) {
        Ok(namespaces) => namespaces,
        Err(reasons) => {
            faults.extend(reasons.iter().map(ToString::to_string));
            Namespaces::default()
        }
    };
    let policy = around.policy.of_owner(&Owner::of(&around.task.name, &around.task.labels));
    faults.extend(policy.check_task(around.task));
    let mut spec = pod_of(args, around.task, definition, namespaces);
    faults.extend(spec.components.iter().filter_map(|component| grace_fault(component, spec.stop_timeout)));
    let components = spec.components.iter().filter(|one| one.pre_start_of.is_none());
    let hides = spec.members().any(|member| !member.files.is_empty());
    if hides && spec.namespaces.pid.is_some() && components.count() > 1 {
        warnings.push(
            "components share PIDs: those that run as the same user, or as root, can read each other's secrets through \
             `/proc`; give them different users, or use `--pids=false`"
                .to_owned(),
        );
    }
    // The sizes of files are known once the manager has opened them.
    faults.extend(store::excess(spec.members(), |source| match source {
        FileSource::Path(_) => None,
        FileSource::Content(content) => Some(content.len() as u64),
    }));
    let elsewhere = matches!(args.placement, Placement::Outside(_));
    spec.checks_mounts = is_concerned(&spec, around.task, elsewhere);
    if spec.checks_mounts {
        keep_what_inits_write(&mut spec);
        fill_only_own_volumes(&mut spec, around.task);
    }
    Reading { spec, warnings, new_volumes, report: wrong, faults, allowances }
}

/// The fault of a component whose grace period is longer than the time for the stop of the whole pod, after which
/// the manager kills what still runs.
fn grace_fault(component: &ComponentSpec, stop_timeout: Duration) -> Option<String> {
    let grace = component.stop_grace.filter(|grace| *grace > stop_timeout)?;
    Some(format!(
        "`{}`: `stop_grace_period` is {}, and the whole pod is killed {} after the begin of its stop: ask for less, or \
         raise the pod's time (`pod.stop_grace_period`, or `--stop-timeout` of the manager) and the `stop_grace_period` of \
         the pod's own service, which has to be 4s longer",
        component.name,
        duration(grace),
        duration(stop_timeout)
    ))
}

/// Sets `nocopy` on volumes that an earlier init component writes to.
///
/// An engine copies an image's files into an empty volume when it creates a container. If mounts are
/// compared, the manager creates all containers before it starts any. Without `nocopy` the copy would come
/// before the init component writes, and its files would mix with the image's.
fn keep_what_inits_write(spec: &mut PodSpec) {
    let mut written: BTreeSet<String> = BTreeSet::new();
    for member in spec.init.iter_mut().chain(&mut spec.components) {
        let init = member.name.starts_with("init-");
        for mount in &mut member.container.mounts {
            let MountSource::Volume { name: Some(name), no_copy, .. } = &mut mount.source else { continue };
            if written.contains(name) {
                *no_copy = true;
            } else if init && !mount.read_only {
                written.insert(name.clone());
            }
        }
    }
}

/// Sets `nocopy` on volumes that the pod does not own and must not fill. These volumes are mounted read-only,
/// stand for a path of the host, or are not mounted by the task container.
///
/// An engine fills an empty volume with the image's files at the target when it creates a container. That is
/// before the second check of the mounts, and it also happens to a read-only mount. If the task container
/// does not mount the volume, the manager does not know what the volume stands for.
fn fill_only_own_volumes(spec: &mut PodSpec, task: &TaskContainer) {
    for member in spec.init.iter_mut().chain(&mut spec.components) {
        for mount in &mut member.container.mounts {
            let MountSource::Volume { name: Some(name), no_copy, owner: None, .. } = &mut mount.source else {
                continue;
            };
            let given = task.mounts.iter().find(|given| given.volume.as_ref() == Some(name));
            *no_copy |= mount.read_only || given.is_none_or(|given| given.device.is_some());
        }
    }
}

/// The pod of this task container with this definition.
pub fn pod_of(
    args: &PodArgs,
    task: &TaskContainer,
    definition: Definition,
    namespaces: Namespaces,
) -> PodSpec {
    PodSpec {
        identity: Identity {
            pod: task.id.clone(),
            name: task.name.clone(),
            run: task.started_at.clone(),
            manager: String::new(),
            origin: Identity::origin_of(&task.labels),
        },
        namespaces,
        init: definition.init,
        components: definition.components,
        pull_always: args.pull,
        // What the pod says of itself counts more than what holds for all of a manager's.
        stop_timeout: definition.stop_timeout.unwrap_or(args.stop_timeout),
        scratch: definition.scratch,
        checks_mounts: false,
    }
}

/// Add what only the engine can tell against a pod.
///
/// # Errors
/// Where it does not tell.
pub async fn ask_engine(
    reading: &mut Reading,
    around: &Surroundings<'_>,
    engine: &DockerEngine,
    address: &EngineAddress,
    info: &EngineInfo,
    guard: &MountGuard,
) -> Result<(), Refusal> {
    let Reading { spec, warnings, new_volumes, report: _, faults, allowances } = reading;
    for (volume, words) in std::mem::take(new_volumes) {
        if retry_until_timeout(address, || engine.volume(&volume)).await?.is_none() {
            warnings.push(words);
        }
    }
    let TooOld { faults: unknown, warnings: ignored } =
        too_old(spec.mounting(), retry_until_timeout(address, || engine.api_version()).await?);
    faults.extend(unknown);
    warnings.extend(ignored);
    if info.remaps_users && around.task.userns_mode == "host" {
        faults.push(HOST_USERS.to_owned());
    }
    if guard.policy.level == Level::Restricted && !info.filters_calls {
        faults.push(NO_SECCOMP.to_owned());
    }
    if spec.checks_mounts {
        for found in retry_until_timeout(address, || guard.check(engine, spec, false)).await? {
            faults.push(mount_guard::sentence(&found));
            allowances.extend(found.1.allow);
        }
    }
    faults.extend(users_of_images(spec, &guard.policy, engine).await);
    faults.extend(waits_in_vain(spec, engine).await);
    Ok(())
}

/// The kernel lets nobody join a network of a user namespace above their own.
const HOST_USERS: &str = "the task container has the host's users (`userns_mode: host`), and this engine gives components \
                          users of their own (`userns-remap`): they cannot join its network; have a bare \
                          `tandem/pause` without it be the pod's container, and the manager beside it (`--pause`, or an \
                          agent)";

const NO_SECCOMP: &str = "this engine does not filter the system calls of containers (`--policy restricted`, control \
                          `seccompProfile_restricted`): start it with a seccomp profile";

/// Lists the images whose user the policy refuses, among the images that the engine already has. The manager
/// checks the user again when it creates the container.
async fn users_of_images(spec: &PodSpec, policy: &Policy, engine: &DockerEngine) -> Vec<String> {
    let mut faults = Vec::new();
    if policy.level != Level::Restricted {
        return faults;
    }
    for member in spec.members().filter(|member| member.container.user.is_none()) {
        if let Ok(Some(user)) = engine.image_user(&member.container.image).await
            && let Some(refusal) = policy.check_user(&user, "user")
        {
            faults.push(mount_guard::sentence(&(member.name.clone(), refusal)));
        }
    }
    faults
}

/// Components that wait for the health of one that has no health check, as far as the images that the
/// engine has tell.
async fn waits_in_vain(spec: &PodSpec, engine: &DockerEngine) -> Vec<String> {
    let mut faults = Vec::new();
    // Each image is asked for once, however many components wait for those that run it.
    let mut asked: BTreeMap<&str, bool> = BTreeMap::new();
    // A step waits for what its component waits for.
    for component in spec.mounting() {
        for dependency in &component.depends_on {
            if faults.len() >= MOST_FAULTS {
                return faults;
            }
            let Some(on) = spec.member(&dependency.on) else { continue };
            let healthy = dependency.condition == Condition::Healthy && dependency.required;
            let unsaid = healthy && on.container.healthcheck.is_none();
            if !unsaid {
                continue;
            }
            let image = on.container.image.as_str();
            let is_bare = match asked.get(image) {
                Some(is_bare) => *is_bare,
                None => matches!(engine.image_has_healthcheck(image).await, Ok(Some(false))),
            };
            asked.insert(image, is_bare);
            if is_bare {
                faults.push(format!(
                    "`pod.component.{}`: `depends_on.{}.condition` is `service_healthy`, but neither `{}` nor its image \
                     `{}` has a health check: give it a `healthcheck`, or wait for `service_started`",
                    component.name, on.name, on.name, on.container.image
                ));
            }
        }
    }
    faults
}

/// Where a path of the task container is on the host, as its mounts tell.
pub fn host_path(task: &TaskContainer, path: &Path) -> String {
    let covering = task.mounts.iter().filter_map(|mount| {
        let rest = path.strip_prefix(&mount.target).ok()?;
        Some((mount.target.len(), Path::new(&mount.source).join(rest)))
    });
    let host = covering.max_by_key(|(length, _)| *length).map_or_else(|| path.to_owned(), |(_, host)| host);
    host.to_string_lossy().trim_end_matches('/').to_owned()
}
