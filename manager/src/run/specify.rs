//! What pod is wanted, and every reason against it: from the definition and the flags, and then from the engine.

use std::path::Path;

use super::site::{Refusal, patiently};
use crate::cli::{self, Placement, PodArgs};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineAddress, EngineInfo};
use crate::pod::identity::Identity;
use crate::pod::needs::{TooOld, too_old};
use crate::pod::placement::{Namespaces, Place, Programs, Wish, place};
use crate::pod::policy::{self, Allowance, Policy};
use crate::pod::spec::{Condition, Definition, MountSource, PodSpec};
use crate::pod::task::TaskContainer;
use crate::source::{self, labels::Surroundings, load::Files};

/// What the operator allows: by these flags, and by the file that they name.
///
/// # Errors
/// Where there is no such file, or something is wrong with it, for people.
pub fn policy(args: &PodArgs, files: &dyn Files, warnings: &mut Vec<String>) -> Result<Policy, String> {
    let mut policy = Policy::default();
    if let Some(path) = &args.policy_file {
        match source::policy_file::read(files, path)? {
            Some(found) => policy = found,
            None => warnings.push(format!(
                "the policy file `{path}` is in the task container and cannot be seen from here: what it says does not \
                 count in this check"
            )),
        }
    }
    policy.strict |= args.policy == cli::Policy::Strict;
    policy.allowed.extend(&args.allow);
    Ok(policy)
}

/// What was read.
pub struct Reading {
    /// The pod, as far as there is no fault.
    pub spec: PodSpec,
    /// What works, but perhaps not as the user expects.
    pub warnings: Vec<String>,
    /// Every reason against it, each for people.
    pub faults: Vec<String>,
}

/// The pod of a task container, as far as it can be told without the engine.
pub fn read(args: &PodArgs, around: &Surroundings<'_>, programs: Programs) -> Reading {
    let (mut warnings, mut faults) = (Vec::new(), Vec::new());
    let definition = match source::labels::read(around) {
        Ok((definition, found)) => {
            warnings.extend(found.iter().map(ToString::to_string));
            definition
        }
        Err(report) => {
            faults.push(report.to_string());
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
    faults.extend(around.policy.against_task(around.task));
    let spec = pod_of(args, around.task, definition, namespaces);
    let hides = spec.members().any(|member| !member.files.is_empty());
    if hides && spec.namespaces.pid.is_some() && spec.components.len() > 1 {
        warnings.push(
            "components share PIDs: those that run as the same user, or as root, can read each other's secrets through \
             `/proc`; give them different users, or use `--pids=false`"
                .to_owned(),
        );
    }
    Reading { spec, warnings, faults }
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
            origin: Identity::origin_of(&task.labels),
        },
        namespaces,
        init: definition.init,
        components: definition.components,
        pull_always: args.pull,
        // What the pod says of itself counts more than what holds for all of a manager's.
        stop_timeout: definition.stop_timeout.unwrap_or(args.stop_timeout),
        scratch: definition.scratch,
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
) -> Result<(), Refusal> {
    let Reading { spec, warnings, faults } = reading;
    let TooOld { faults: unknown, warnings: ignored } =
        too_old(spec.members(), patiently(address, || engine.api_version()).await?);
    faults.extend(unknown);
    warnings.extend(ignored);
    if info.remaps_users && around.task.userns_mode == "host" {
        faults.push(HOST_USERS.to_owned());
    }
    faults.extend(volumes_of_the_host(spec, around, engine, address, &info.root).await?);
    faults.extend(waits_in_vain(spec, engine).await);
    Ok(())
}

/// The kernel lets nobody join a network of a user namespace above their own.
const HOST_USERS: &str = "the task container has the host's users (`userns_mode: host`), and this engine gives components \
                          users of their own (`userns-remap`): they cannot join its network; have a bare \
                          `tandem/pause` without it be the pod's container, and the manager beside it (`--pause`, or an \
                          agent)";

/// Volumes that stand for a path of the host which no component may have, and paths in what the engine keeps where
/// that is not in the usual place.
async fn volumes_of_the_host(
    spec: &PodSpec,
    around: &Surroundings<'_>,
    engine: &DockerEngine,
    address: &EngineAddress,
    root: &str,
) -> Result<Vec<String>, Refusal> {
    let mut faults = Vec::new();
    for member in spec.members() {
        for mount in &member.container.mounts {
            let name = match &mount.source {
                MountSource::Volume { name: Some(name), .. } => name,
                MountSource::Bind { path, .. } => {
                    let refusal = around.policy.against_device(path, mount.read_only, root);
                    faults.extend(refusal.map(|refusal| refused(&member.name, &refusal)));
                    continue;
                }
                _ => continue,
            };
            let device = patiently(address, || engine.volume_device(name)).await?;
            // One that is not there yet will be made, and holds nothing.
            let Some(device) = device else { continue };
            if let Some(why) = source::lower::leads_to_engine(around.task, around.host_socket, &device)
                && !around.policy.allows(Allowance::EngineSocket)
            {
                faults.push(format!(
                    "`{}`: the volume `{name}` stands for `{device}` of the host, which {why}: no component may have it",
                    member.name
                ));
            } else if let Some(refusal) = around.policy.against_device(&device, mount.read_only, root) {
                faults.push(refused(&member.name, &refusal));
            }
        }
    }
    Ok(faults)
}

fn refused(member: &str, refusal: &policy::Refusal) -> String {
    format!("`{member}`: `{}`: {}; {}", refusal.key, refusal.problem, refusal.remedy)
}

/// Components that wait for the health of one that has no health check, as far as the images that the
/// engine has tell.
async fn waits_in_vain(spec: &PodSpec, engine: &DockerEngine) -> Vec<String> {
    let mut faults = Vec::new();
    for component in &spec.components {
        for dependency in &component.depends_on {
            let Some(on) = spec.member(&dependency.on) else { continue };
            let healthy = dependency.condition == Condition::Healthy && dependency.required;
            let unsaid = healthy && on.container.healthcheck.is_none();
            if unsaid && let Ok(Some(false)) = engine.image_has_healthcheck(&on.container.image).await {
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
