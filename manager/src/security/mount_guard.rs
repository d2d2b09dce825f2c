//! Checks that a pod's mounts do not conflict with those of any other pod on the node. The manager checks the
//! mounts before it accepts the definition, and again after it created all containers of the pod and before
//! it starts any. The manager also checks them before it restarts a component.
//!
//! The engine follows links when it mounts, and its API cannot fix the path at which a mount must end. So the
//! guard makes sure that no component can replace a path between the operator's configuration and the mount
//! ([`pod::policy::mount_conflicts`]). A check after the start would come too late.

use crate::security::manager_files::files_of_manager;
use definition::diagnostic::one_line;
use engine::{Engine, EngineError};
use pod::identity::short;
use pod::owner::{LABEL_OWNER, Owner};
use pod::path::{canonical, is_plain, meet, tidy_path};
use pod::policy::mount_conflicts::{
    Conflict, Judged, Node, NodeContainer, Sight, Volumes, conflicts, device_of, reaches_task, task_files,
    traces,
};
use pod::policy::{Allowance, Allowed, Bind, Host, Policy, Refusal};
use pod::spec::{Mount, MountSource, PodSpec, Recursion};
use pod::task_container::TaskContainer;

/// Checks mounts and images of one pod.
#[derive(Debug, Clone, Default)]
pub struct MountGuard {
    /// The operator's policy for this pod.
    pub policy: Policy,
    /// The host's paths and names.
    pub host: Host,
    /// The task container, without its labels.
    pub task: TaskContainer,
    /// Prefix of the names of volumes that the pod creates.
    pub owner: String,
    /// Components can reach into the task container.
    pub exposed: bool,
    /// The manager is in another container.
    pub elsewhere: bool,
    /// Id of the container that the manager runs in.
    pub own: String,
}

impl MountGuard {
    /// The guard of the pod of this task container, under the policy for all pods of the manager that runs in
    /// the container `own`. `elsewhere`: that is another container.
    pub fn of(
        spec: &PodSpec,
        task: &TaskContainer,
        (own, elsewhere): (&str, bool),
        policy: &Policy,
        host: Host,
    ) -> Self {
        let owner = Owner::of(&task.name, &task.labels);
        MountGuard {
            policy: policy.of_owner(&owner),
            host,
            exposed: reaches_task(spec, task, !elsewhere),
            task: TaskContainer {
                id: task.id.clone(),
                name: task.name.clone(),
                mounts: task.mounts.clone(),
                ..TaskContainer::default()
            },
            owner: owner.name(),
            elsewhere,
            own: own.to_owned(),
        }
    }

    /// Checks the pod's mounts. Each refusal comes with the name of the component that has the mount; the
    /// name is empty for a conflict between mounts. `whole`: every existing container of the pod is wanted,
    /// and none is from an earlier run.
    ///
    /// # Errors
    /// If the engine does not answer a query.
    pub async fn check<E: Engine>(
        &self,
        engine: &E,
        spec: &PodSpec,
        whole: bool,
    ) -> Result<Vec<(String, Refusal)>, EngineError> {
        let (containers, mut volumes) =
            futures_util::try_join!(engine.node_containers(), engine.local_volumes())?;
        let mut found = self.check_volumes(engine, spec, &mut volumes).await?;
        found.extend(self.check_managers(engine, spec, &containers, &volumes).await?);
        // A definition that may bind every path controls the host already. It gains nothing if it replaces a
        // path.
        if !self.policy.allows_every_path() {
            let node = Node { containers: &containers, volumes: &volumes };
            let (task, exposed, elsewhere) = (&self.task, self.exposed, self.elsewhere);
            let judged = Judged { spec, task, exposed, elsewhere, whole };
            for Conflict { problem, remedy, if_in_sight } in conflicts(judged, node) {
                if let Some(sight) = if_in_sight
                    && !is_reached(engine, &sight).await?
                {
                    continue;
                }
                found.push((String::new(), Refusal::absolute("volumes", problem, remedy)));
            }
        }
        Ok(found)
    }

    /// Refuses volumes that belong to another pod, and volumes whose device no component may have.
    async fn check_volumes<E: Engine>(
        &self,
        engine: &E,
        spec: &PodSpec,
        volumes: &mut Volumes,
    ) -> Result<Vec<(String, Refusal)>, EngineError> {
        let mut found = Vec::new();
        for (member, mount, name, owner) in named_volumes(spec) {
            let of_task = self.task.mounts.iter().find(|mount| mount.volume.as_deref() == Some(name));
            let info = match volumes.get(name) {
                Some(info) => Some(info.clone()),
                // The volume has another driver, or it does not exist.
                None => match of_task {
                    Some(mount) => Some(mount.volume_info()),
                    None => engine.volume(name).await?,
                },
            };
            // The listing has only volumes of the driver `local`. A volume of another driver is added here,
            // because it may also stand for a path of the host.
            if let Some(info) = &info {
                volumes.entry(name.to_owned()).or_insert_with(|| info.clone());
            }
            let refused = match (&info, owner) {
                (Some(info), Some(owner)) if info.labels.get(LABEL_OWNER) != Some(owner) => {
                    Some(foreign(name, &mount.target))
                }
                // A volume that a stack creates can have the owner label too: the author of the stack can set
                // any label.
                (Some(info), Some(_)) if made_by_a_stack(&info.labels) => Some(foreign(name, &mount.target)),
                (None, Some(_)) => self.taken(engine, name, mount, &*volumes).await?,
                (None, None) => Some(Refusal::absolute(
                    "volumes",
                    format!("there is no volume `{name}`, which `--allow volumes={name}` names"),
                    format!("make it (`docker volume create {name}`)"),
                )),
                _ => None,
            };
            let bind = Bind {
                path: "",
                target: &mount.target,
                read_only: mount.read_only,
                recursive: Recursion::default(),
                propagation: None,
            };
            let refused = refused.or_else(|| {
                self.policy.check_volume(name, &info?, &bind, of_task.is_some(), &self.task, &self.host)
            });
            found.extend(refused.map(|refusal| (member.to_owned(), refusal)));
        }
        Ok(found)
    }

    /// Refuses a volume that the pod would create if the engine already has a volume with the name that the
    /// component wrote. That volume belongs to another owner.
    async fn taken<E: Engine>(
        &self,
        engine: &E,
        name: &str,
        mount: &Mount,
        volumes: &Volumes,
    ) -> Result<Option<Refusal>, EngineError> {
        let Some(written) = name.strip_prefix(&format!("{}.podlike.", self.owner)) else { return Ok(None) };
        let there = volumes.contains_key(written) || engine.volume(written).await?.is_some();
        Ok(there.then(|| foreign(written, &mount.target)))
    }

    /// Refuses volumes and paths in which another manager of the node has its own files.
    async fn check_managers<E: Engine>(
        &self,
        engine: &E,
        spec: &PodSpec,
        containers: &[NodeContainer],
        volumes: &Volumes,
    ) -> Result<Vec<(String, Refusal)>, EngineError> {
        if self.policy.allows(Allowance::EngineSocket) {
            return Ok(Vec::new());
        }
        let sources: Vec<(&str, Source<'_>)> = spec
            .mounting()
            .flat_map(|member| {
                let sources = member.container.mounts.iter().filter_map(|mount| Source::of(mount, volumes));
                sources.map(|source| (member.name.as_str(), source))
            })
            .chain(task_files(spec).flat_map(|(member, path)| {
                Source::of_task(&self.task, &path).into_iter().map(move |source| (member, source))
            }))
            .collect();
        let mut found = Vec::new();
        let others = containers.iter().filter(|one| one.is_manager() && one.id != self.own);
        for other in others.filter(|other| sources.iter().any(|(_, source)| source.is_in(other, volumes))) {
            let files = match engine.inspect_task(&other.id).await {
                Ok(task) => files_of_manager(&task),
                // The container was removed meanwhile.
                Err(EngineError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            for (member, source) in &sources {
                let in_volume = source.volume.and_then(|volume| files.in_volume(volume));
                let on_host = || source.path.as_deref().and_then(|path| files.on_host(path));
                let Some(what) = in_volume.or_else(on_host) else { continue };
                let word = Allowed::All(Allowance::EngineSocket);
                let problem = format!(
                    "found `{}`, in which the manager in `{}` ({}) has {what}",
                    source.volume.or(source.path.as_deref()).unwrap_or_default(),
                    other.name,
                    short(&other.id)
                );
                let refusal = Refusal::liftable("volumes", problem, "mount something else", vec![word]);
                found.push(((*member).to_owned(), refusal));
            }
        }
        Ok(found)
    }
}

/// The source of a component's mount.
struct Source<'a> {
    volume: Option<&'a str>,
    /// A path of the host, in its canonical spelling.
    path: Option<String>,
}

impl<'a> Source<'a> {
    /// The mounts of the task container in which a path lies, and those that lie in it.
    fn of_task(task: &'a TaskContainer, path: &str) -> Vec<Self> {
        let read = task.mounts.iter().filter(|mount| meet(path, &mount.target));
        read.map(|mount| {
            let rest = path.strip_prefix(mount.target.trim_end_matches('/')).unwrap_or_default();
            let path = mount.host_path().and_then(|source| tidy_path(&format!("{source}{rest}")));
            Source { volume: mount.volume.as_deref(), path: path.map(|path| canonical(&path)) }
        })
        .collect()
    }

    fn of(mount: &'a Mount, volumes: &Volumes) -> Option<Self> {
        match &mount.source {
            MountSource::Bind { path, .. } => Some(Source { volume: None, path: Some(canonical(path)) }),
            MountSource::Volume { name: Some(name), .. } => {
                Some(Source { volume: Some(name), path: device_of(name, volumes) })
            }
            _ => None,
        }
    }

    /// Reports whether the container mounts this source, a folder that contains it, or a path in it.
    fn is_in(&self, other: &NodeContainer, volumes: &Volumes) -> bool {
        other.mounts.iter().any(|mount| {
            let same = mount.volume.is_some() && mount.volume.as_deref() == self.volume;
            let theirs = match &mount.volume {
                Some(volume) => device_of(volume, volumes),
                None => Some(canonical(&mount.source)),
            };
            same || self.path.as_ref().zip(theirs).is_some_and(|(own, theirs)| meet(own, &theirs))
        })
    }
}

/// The refusal of a volume that does not belong to the pod.
fn foreign(name: &str, target: &str) -> Refusal {
    let allow = Allowed::Volume(name.to_owned());
    let problem = format!("found the volume `{name}` of the engine, which is not this pod's");
    let example = if is_plain(target) { format!(" (`volumes: ['{name}:{target}']`)") } else { String::new() };
    let instead = format!("mount it into the pod's own service{example}");
    Refusal::liftable("volumes", problem, &instead, vec![allow])
}

fn made_by_a_stack(labels: &std::collections::BTreeMap<String, String>) -> bool {
    ["com.docker.stack.namespace", "com.docker.compose.project"]
        .iter()
        .any(|label| labels.contains_key(*label))
}

/// Every mount of a named volume: the component's name, the mount, the volume's name, and the owner if the
/// pod creates the volume.
fn named_volumes(spec: &PodSpec) -> impl Iterator<Item = (&str, &Mount, &str, Option<&String>)> {
    spec.mounting().flat_map(|member| {
        member.container.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { name: Some(name), owner, .. } => {
                Some((member.name.as_str(), mount, name.as_str(), owner.as_ref()))
            }
            _ => None,
        })
    })
}

/// Reports whether a component of another pod reaches into its task container
/// ([`pod::policy::mount_conflicts::reaches_task`]).
async fn is_reached<E: Engine>(engine: &E, sight: &Sight) -> Result<bool, EngineError> {
    let open = match engine.inspect_task(&sight.task).await {
        Ok(task) => sight.manager || task.is_root(),
        Err(EngineError::NotFound(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    for component in &sight.components {
        match engine.inspect_task(component).await {
            Ok(found) => {
                let shares = found.pid_mode.strip_prefix("container:") == Some(&sight.task);
                if shares && (open || traces(found.privileged, &found.cap_add)) {
                    return Ok(true);
                }
            }
            Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Formats a refusal as one sentence.
pub fn sentence((member, refusal): &(String, Refusal)) -> String {
    let (key, problem, remedy) = (refusal.key, one_line(&refusal.problem), one_line(&refusal.remedy));
    match member.as_str() {
        "" => format!("{problem}; {remedy}"),
        member => format!("`{member}`: `{key}`: {problem}; {remedy}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::fake::Fake;
    use pod::policy::mount_conflicts::NodeMount;
    use pod::task_container::TaskMount;
    use pod::testing::pod;
    use pod::volume::VolumeInfo;

    fn mounting(source: MountSource) -> PodSpec {
        let mut spec = pod("app");
        spec.components[0].container.mounts = vec![Mount { target: "/t".into(), read_only: false, source }];
        spec
    }

    fn named(name: &str, owner: Option<&str>) -> PodSpec {
        let source = MountSource::Volume {
            name: Some(name.into()),
            no_copy: false,
            subpath: None,
            owner: owner.map(str::to_owned),
        };
        mounting(source)
    }

    fn labelled(labels: &[(&str, &str)]) -> VolumeInfo {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        VolumeInfo { driver: "local".into(), labels, ..VolumeInfo::default() }
    }

    fn judged(guard: &MountGuard, engine: &Fake, spec: &PodSpec) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let found = runtime.expect("a runtime").block_on(guard.check(engine, spec, false));
        found.expect("the engine tells").iter().map(sentence).collect()
    }

    #[test]
    fn a_volume_of_the_engine_is_the_pods_by_its_owner_or_by_its_name() {
        let guard = MountGuard { owner: "shop".into(), ..MountGuard::default() };
        let own = named("shop.podlike.data", Some("container:shop"));
        let given = named("given", None);
        let owner = (LABEL_OWNER, "container:shop");
        let foreign = |name: &str| {
            vec![format!(
                "`app`: `volumes`: found the volume `{name}` of the engine, which is not this pod's; mount it into the pod's \
                 own service (`volumes: ['{name}:/t']`), or start the manager with `--allow volumes={name}`"
            )]
        };
        for (spec, there, want) in [
            (&own, None, Vec::new()),
            (&own, Some(("shop.podlike.data", labelled(&[owner]))), Vec::new()),
            (&own, Some(("shop.podlike.data", labelled(&[]))), foreign("shop.podlike.data")),
            (
                &own,
                Some(("shop.podlike.data", labelled(&[(LABEL_OWNER, "service:shop")]))),
                foreign("shop.podlike.data"),
            ),
            (
                &own,
                Some(("shop.podlike.data", labelled(&[owner, ("com.docker.stack.namespace", "a")]))),
                foreign("shop.podlike.data"),
            ),
            (
                &own,
                Some(("shop.podlike.data", labelled(&[owner, ("com.docker.compose.project", "a")]))),
                foreign("shop.podlike.data"),
            ),
            (&own, Some(("data", labelled(&[]))), foreign("data")),
            (&given, Some(("given", labelled(&[]))), Vec::new()),
            (
                &given,
                None,
                vec![
                    "`app`: `volumes`: there is no volume `given`, which `--allow volumes=given` names; make it (`docker \
                     volume create given`)"
                        .to_owned(),
                ],
            ),
        ] {
            let engine = Fake::default();
            if let Some((name, volume)) = there.clone() {
                engine.has_volume(name, volume);
            }
            assert_eq!(judged(&guard, &engine, spec), want, "{there:?}");
        }
    }

    #[test]
    fn a_volume_that_the_task_container_has_is_judged_by_what_the_engine_tells_now() {
        let of_task = TaskMount {
            kind: "volume".into(),
            volume: Some("v".into()),
            target: "/v".into(),
            ..TaskMount::default()
        };
        let task = TaskContainer { mounts: vec![of_task], ..TaskContainer::default() };
        let guard = MountGuard { task, ..MountGuard::default() };
        let spec = named("v", None);
        assert_eq!(judged(&guard, &Fake::default(), &spec), Vec::<String>::new());
        let engine = Fake::default();
        let options = [("type", "none"), ("o", "bind"), ("device", "/run")];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        engine.has_volume("v", VolumeInfo { driver: "local".into(), options, ..VolumeInfo::default() });
        let words = judged(&guard, &engine, &spec);
        assert!(words.len() == 1 && words[0].contains("stands for `/run` of the host"), "{words:?}");
    }

    #[test]
    fn what_another_manager_of_the_node_has_for_itself_is_refused() {
        let bound = |source: &str, target: &str| TaskMount {
            kind: "bind".into(),
            source: source.into(),
            target: target.into(),
            ..TaskMount::default()
        };
        let id = "ab".repeat(32);
        let other = TaskContainer {
            id: id.clone(),
            program: ["/pause", "--", "/manager", "--policy-file", "/conf/policy.yml"]
                .map(str::to_owned)
                .into(),
            mounts: vec![bound("/srv/conf", "/conf")],
            ..TaskContainer::default()
        };
        let listed = NodeContainer {
            id,
            name: "agent".into(),
            command: "/pause -- /manager --policy-file /conf/policy.yml".into(),
            mounts: vec![NodeMount { volume: None, source: "/srv/conf".into(), writable: false }],
            ..NodeContainer::default()
        };
        let engine = Fake::default();
        engine.has_task(other);
        engine.neighbour(listed);
        let allowing = |items: &[&str]| {
            let allowed = items.iter().map(|item| item.parse().expect("an item")).collect();
            MountGuard { policy: Policy { allowed, ..Policy::default() }, ..MountGuard::default() }
        };
        for (path, refused) in
            [("/srv/conf", true), ("/srv", true), ("/srv/conf/policy.yml", true), ("/srv/other", false)]
        {
            let spec = mounting(MountSource::bind(path));
            let words = judged(&allowing(&["host-paths"]), &engine, &spec);
            let want = format!(
                "`app`: `volumes`: found `{path}`, in which the manager in `agent` (abababababab) has the operator's policy \
                 file; mount something else, or start the manager with `--allow engine-socket`"
            );
            assert_eq!(words, if refused { vec![want] } else { Vec::new() }, "{path}");
            let lifted = allowing(&["host-paths", "engine-socket"]);
            assert_eq!(judged(&lifted, &engine, &spec), Vec::<String>::new());
            // The same through a mount of the task container, by `pod.copy`.
            let mut copies = pod("app");
            let copy = pod::spec::CopySpec { source: "/d".into(), target: "/k".into() };
            copies.components[0].copies = vec![copy];
            let task = TaskContainer { mounts: vec![bound(path, "/d")], ..TaskContainer::default() };
            let words = judged(&MountGuard { task, ..allowing(&[]) }, &engine, &copies);
            assert_eq!(words.len(), usize::from(refused), "{path}: {words:?}");
        }
    }
}
