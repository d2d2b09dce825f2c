//! Finds mounts with which one component could replace a path that another component binds.
//!
//! The engine follows links when it mounts. A component that may write above a bound path can put a link in
//! its place between two starts. The link leads the mount to any path of the host.
//!
//! So the manager refuses a bind whose source lies below a path that a component of any pod on the node may
//! write. The manager also refuses a later pod that would write above a path that another pod binds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::super::identity::{LABEL_POD, LABEL_ROLE, Role, short};
use super::super::namespaces::Holder;
use super::super::path::{canonical, meet, tidy_path};
use super::super::spec::{FileSource, MountSource, PodSpec, Recursion};
use super::super::task_container::{TaskContainer, TaskMount};
use super::super::volume::VolumeInfo;
use super::volumes::written_places;

/// A container of the node, with the facts that a listing contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeContainer {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Id of the task container of its pod ([`LABEL_POD`]).
    pub pod: Option<String>,
    /// Role in its pod ([`LABEL_ROLE`]).
    pub role: Option<String>,
    /// The container was created and never started.
    pub created: bool,
    /// `Path` and `Args` in one line.
    pub command: String,
    /// Its mounts.
    pub mounts: Vec<NodeMount>,
}

/// One mount of a container of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeMount {
    /// The volume's name, for a volume.
    pub volume: Option<String>,
    /// Path on the host; empty if the listing does not contain it.
    pub source: String,
    /// The mount is writable.
    pub writable: bool,
}

/// Volumes of the node by name.
pub type Volumes = BTreeMap<String, VolumeInfo>;

impl NodeContainer {
    /// Reports whether a user defined what the container runs: a component, an init component or a debug
    /// container.
    fn is_component(&self) -> bool {
        let held = [Role::Sandbox, Role::Store, Role::Lock].map(Role::as_str);
        self.pod.is_some() && self.role.as_deref().is_some_and(|role| !held.contains(&role))
    }

    /// Reports whether a manager runs in the container. A component may run the same command, so containers
    /// of a pod do not count.
    pub fn is_manager(&self) -> bool {
        self.pod.is_none() && self.command.starts_with("/pause -- /manager")
    }
}

/// A path of the host and the container that mounts it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// The path in its canonical spelling.
    path: String,
    /// The container, as messages name it.
    who: String,
}

/// A conflict between two mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What was found.
    pub problem: String,
    /// What to do instead.
    pub remedy: String,
    /// The conflict exists only if a component reaches into this task container, which the caller has to ask
    /// the engine.
    pub if_in_sight: Option<Sight>,
}

/// A task container of another pod, into which the pod's components may reach ([`reaches_task`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Id of the task container.
    pub task: String,
    /// Its pod's manager runs in it.
    pub manager: bool,
    /// Ids of the pod's components.
    pub components: Vec<String>,
}

/// The containers and volumes of the node.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// Its containers.
    pub containers: &'a [NodeContainer],
    /// Its volumes.
    pub volumes: &'a Volumes,
}

/// The pod whose mounts are checked.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Its spec.
    pub spec: &'a PodSpec,
    /// Its task container.
    pub task: &'a TaskContainer,
    /// Components can reach into the task container, so the mounts of the task container count too.
    pub exposed: bool,
    /// The manager is in another container. `pod.copy` then reads through the engine, which mounts the binds
    /// of the task container to read from them.
    pub elsewhere: bool,
    /// Every existing container of the pod is wanted. The mounts of these containers then count in addition
    /// to those of the spec.
    pub whole: bool,
}

/// Reports whether the pod's mounts must be checked. A bind must be checked, and so must a named volume,
/// because it may lie above a path that another pod binds. Copies from binds through the engine must be
/// checked too, and so must files of the task container's mounts, in which another manager may have its own.
/// If components can reach into the task container, its writable mounts count as theirs.
pub fn is_concerned(spec: &PodSpec, task: &TaskContainer, elsewhere: bool) -> bool {
    let mounts =
        spec.members().flat_map(|member| &member.container.mounts).any(|mount| match &mount.source {
            MountSource::Bind { .. } => true,
            MountSource::Volume { name, .. } => name.is_some(),
            MountSource::ScratchVolume(_) | MountSource::Tmpfs { .. } => false,
        });
    mounts
        || elsewhere && !copied_binds(spec, task).is_empty()
        || task_files(spec).any(|(_, path)| task.mounts.iter().any(|mount| meet(&path, &mount.target)))
        || reaches_task(spec, task, !elsewhere) && task.mounts.iter().any(is_written_folder)
}

/// A component that reaches into the container may write in this mount. A socket is no folder.
fn is_written_folder(mount: &TaskMount) -> bool {
    mount.writable && !mount.source.ends_with(".sock")
}

/// Files and folders of the task container that components get, by `pod.copy`, `secrets` and `configs`: the
/// component's name and the path.
pub fn task_files(spec: &PodSpec) -> impl Iterator<Item = (&str, String)> {
    spec.members().flat_map(|member| {
        let files = member.files.iter().filter_map(|file| match &file.source {
            FileSource::Path(path) => Some(path),
            _ => None,
        });
        let paths = member.copies.iter().map(|copy| &copy.source).chain(files);
        paths.filter_map(|path| Some((member.name.as_str(), tidy_path(path)?)))
    })
}

/// Finds conflicts between the mounts of this pod, and between its mounts and those of other pods on the
/// node. If a component of this pod has started, containers of other pods that were only created do not
/// count.
pub fn conflicts(pod: Judged<'_>, node: Node<'_>) -> Vec<Conflict> {
    let Judged { spec, task, exposed, elsewhere, whole } = pod;
    let (mut binds, mut written) = own(spec, node.volumes);
    if elsewhere {
        binds.extend(copied_binds(spec, task));
    }
    if exposed {
        let writable = task.mounts.iter().filter(|mount| mount.writable);
        written.extend(writable.flat_map(|mount| task_places(&task.name, mount, node.volumes)));
    }
    let mine = |one: &&NodeContainer| one.pod.as_deref() == Some(&spec.identity.pod);
    let runs = node.containers.iter().filter(mine).any(|one| one.is_component() && !one.created);
    for one in node.containers.iter().filter(mine).filter(|one| whole && one.is_component()) {
        binds.extend(container_places(one, node.volumes, false));
        written.extend(container_places(one, node.volumes, true));
    }
    let others = || {
        let foreign = node.containers.iter().filter(|one| !mine(one) && one.is_component());
        foreign.filter(move |one| !(runs && one.created))
    };
    let others_write = index(others().flat_map(|one| container_places(one, node.volumes, true)));
    let others_bind = index(others().flat_map(|one| container_places(one, node.volumes, false)));
    let sights = in_sight(node, others().filter_map(|one| one.pod.as_deref()));
    let (binds, written) = (index(binds), index(written));
    let mut found = Vec::new();
    for bind in binds.values() {
        if let Some(place) = above(&written, &bind.path).or_else(|| above(&others_write, &bind.path)) {
            found.push(exchanged(bind, place));
            continue;
        }
        for (sight, places) in &sights {
            if let Some(place) = above(places, &bind.path) {
                found.push(Conflict { if_in_sight: Some(sight.clone()), ..exchanged(bind, place) });
            }
        }
    }
    for place in written.values() {
        if let Some(bind) = first_below(&others_bind, &place.path) {
            found.push(Conflict {
                problem: format!(
                    "{} mounts `{}` of the host for writing, and {} binds `{}` below it",
                    place.who, place.path, bind.who, bind.path
                ),
                remedy: "mount it read-only, or mount something else".to_owned(),
                if_in_sight: None,
            });
        }
    }
    found
}

/// Places by their path; each path occurs once.
type Places = BTreeMap<String, Place>;

fn index(places: impl IntoIterator<Item = Place>) -> Places {
    let mut index = Places::new();
    for place in places {
        index.entry(place.path.clone()).or_insert(place);
    }
    index
}

/// Finds the nearest place above this path.
fn above<'a>(places: &'a Places, path: &str) -> Option<&'a Place> {
    let mut folder = path;
    while let Some(slash) = folder.rfind('/').filter(|_| folder != "/") {
        folder = if slash == 0 { "/" } else { &folder[..slash] };
        if let Some(place) = places.get(folder) {
            return Some(place);
        }
    }
    None
}

/// Finds the first place below this path.
fn first_below<'a>(places: &'a Places, path: &str) -> Option<&'a Place> {
    let start = format!("{}/", path.trim_end_matches('/'));
    let next = places.range::<str, _>((Bound::Excluded(start.as_str()), Bound::Unbounded)).next();
    next.filter(|(place, _)| place.starts_with(&start)).map(|(_, place)| place)
}

/// The binds of the task container from which `pod.copy` reads.
fn copied_binds(spec: &PodSpec, task: &TaskContainer) -> Vec<Place> {
    let copies = spec.members().flat_map(|member| member.copies.iter().map(|copy| (&member.name, copy)));
    let mut binds = Vec::new();
    for (member, source) in copies.filter_map(|(member, copy)| Some((member, tidy_path(&copy.source)?))) {
        let read = task.mounts.iter().filter(|mount| meet(&source, &mount.target));
        let paths = read.filter_map(TaskMount::host_path).filter_map(tidy_path).map(|path| canonical(&path));
        binds.extend(paths.map(|path| Place { path, who: format!("`pod.copy.{member}`") }));
    }
    binds
}

fn exchanged(bind: &Place, place: &Place) -> Conflict {
    let problem = format!(
        "{} binds `{}` of the host, which lies below `{}`, and {} may write there: it could put a link in its place",
        bind.who, bind.path, place.path, place.who
    );
    let remedy = format!("mount `{}` itself, or have it read-only there", place.path);
    Conflict { problem, remedy, if_in_sight: None }
}

/// The paths that members of the pod bind, and the paths that they may write.
fn own(spec: &PodSpec, volumes: &Volumes) -> (Vec<Place>, Vec<Place>) {
    let (mut binds, mut written) = (Vec::new(), Vec::new());
    for member in spec.mounting() {
        for mount in &member.container.mounts {
            let who = format!("`{}`", member.name);
            let places: Vec<Place> = match &mount.source {
                MountSource::Bind { path, .. } => vec![Place { path: canonical(path), who }],
                MountSource::Volume { name: Some(name), .. } => {
                    let Some(volume) = volumes.get(name) else { continue };
                    written_places(volume).map(|path| Place { path, who: who.clone() }).collect()
                }
                _ => continue,
            };
            let is_bind = |place: &&Place| match &mount.source {
                MountSource::Volume { name: Some(name), .. } => {
                    device_of(name, volumes).as_ref() == Some(&place.path)
                }
                _ => true,
            };
            binds.extend(places.iter().filter(is_bind).cloned());
            // File systems that are mounted below the source stay writable if the definition asks for that.
            let writable_below =
                matches!(mount.source, MountSource::Bind { recursive: Recursion::Writable, .. });
            if !mount.read_only || writable_below {
                written.extend(places);
            }
        }
    }
    (binds, written)
}

/// The path of the host that a volume stands for, in its canonical spelling. The folder at which the engine
/// mounts the volume does not count.
pub fn device_of(name: &str, volumes: &Volumes) -> Option<String> {
    let device = volumes.get(name)?.device()?;
    tidy_path(&device.path).map(|path| canonical(&path))
}

/// The paths that a container may write (`written`), or the paths that it binds.
fn container_places(container: &NodeContainer, volumes: &Volumes, written: bool) -> Vec<Place> {
    let who = match &container.pod {
        Some(_) => format!("the component `{}` ({})", container.name, short(&container.id)),
        None => format!("the container `{}` ({})", container.name, short(&container.id)),
    };
    let mut places = Vec::new();
    for mount in container.mounts.iter().filter(|mount| mount.writable || !written) {
        let mut paths: Vec<String> = Vec::new();
        if let Some(name) = &mount.volume {
            let known = volumes.get(name).into_iter().flat_map(written_places);
            paths.extend(known.filter(|path| written || device_of(name, volumes).as_ref() == Some(path)));
        }
        // The source of a volume is the folder at which the engine mounts it.
        if mount.volume.is_none() || written {
            paths.extend(tidy_path(&mount.source).map(|path| canonical(&path)));
        }
        let keep = |path: &String| path != "/" || mount.volume.is_none();
        places.extend(paths.into_iter().filter(keep).map(|path| Place { path, who: who.clone() }));
    }
    places
}

fn task_places(name: &str, mount: &TaskMount, volumes: &Volumes) -> Vec<Place> {
    let who = format!("the task container `{name}`, whose processes components see,");
    let paths = match &mount.volume {
        Some(volume) => volumes.get(volume).into_iter().flat_map(written_places).collect(),
        None => tidy_path(&mount.source).map(|path| canonical(&path)).into_iter().collect::<Vec<_>>(),
    };
    paths.into_iter().map(|path| Place { path, who: who.clone() }).collect()
}

/// Writable paths of the task containers of these pods.
fn in_sight<'a>(node: Node<'a>, pods: impl Iterator<Item = &'a str>) -> Vec<(Sight, Places)> {
    let pods: BTreeSet<&str> = pods.collect();
    let mut components: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in node.containers.iter().filter(|one| one.is_component()) {
        if let Some(pod) = one.pod.as_deref().filter(|pod| pods.contains(pod)) {
            components.entry(pod).or_default().push(one.id.clone());
        }
    }
    let sights = node.containers.iter().filter_map(|task| {
        let components = components.remove(task.id.as_str())?;
        let places = index(container_places(task, node.volumes, true));
        Some((Sight { task: task.id.clone(), manager: task.is_manager(), components }, places))
    });
    sights.filter(|(_, places)| !places.is_empty()).collect()
}

/// Capabilities with which a process reaches into any other of its PID namespace.
const INTO_PROCESSES: [&str; 3] = ["ALL", "SYS_ADMIN", "SYS_PTRACE"];

/// A container with these options can trace any process that it sees.
pub fn traces(privileged: bool, cap_add: &[String]) -> bool {
    privileged || cap_add.iter().any(|name| INTO_PROCESSES.contains(&name.trim_start_matches("CAP_")))
}

/// Reports whether components can reach into the task container. They can if they share its PID namespace and
/// its manager runs there, its processes are root's, or a component may trace any process.
pub fn reaches_task(spec: &PodSpec, task: &TaskContainer, manager_is_there: bool) -> bool {
    let tracer = || {
        let mut containers = spec.members().map(|member| &member.container);
        containers.any(|container| traces(container.privileged, &container.cap_add))
    };
    spec.namespaces.pid == Some(Holder::Task) && (manager_is_there || task.is_root() || tracer())
}

/// The pod and the role from a container's labels.
pub fn whose(labels: &BTreeMap<String, String>) -> (Option<String>, Option<String>) {
    (labels.get(LABEL_POD).cloned(), labels.get(LABEL_ROLE).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::namespaces::Namespaces;
    use crate::pre_start::{self, CopyPlace, PreStart};
    use crate::spec::{ComponentSpec, ContainerSpec, Mount};

    fn spec(components: &[(&str, &[(&str, bool)])]) -> PodSpec {
        let mount = |(source, read_only): &(&str, bool)| Mount {
            target: "/t".into(),
            read_only: *read_only,
            source: match source.starts_with('/') {
                true => MountSource::bind(*source),
                false => MountSource::volume(Some((*source).into())),
            },
        };
        let component = |(name, mounts): &(&str, &[(&str, bool)])| ComponentSpec {
            name: (*name).into(),
            container: ContainerSpec {
                mounts: mounts.iter().map(mount).collect(),
                ..ContainerSpec::default()
            },
            ..ComponentSpec::default()
        };
        PodSpec {
            identity: Identity {
                pod: "mine".into(),
                name: "mine".into(),
                run: "1".into(),
                manager: "manager".into(),
                origin: BTreeMap::new(),
            },
            namespaces: Namespaces::default(),
            init: Vec::new(),
            components: components.iter().map(component).collect(),
            pull_always: false,
            stop_timeout: std::time::Duration::ZERO,
            scratch: Vec::new(),
            checks_mounts: true,
        }
    }

    fn container(pod: &str, role: &str, mounts: &[(&str, bool)]) -> NodeContainer {
        let mount = |(source, writable): &(&str, bool)| NodeMount {
            volume: (!source.starts_with('/')).then(|| (*source).into()),
            source: if source.starts_with('/') { (*source).into() } else { String::new() },
            writable: *writable,
        };
        NodeContainer {
            id: format!("{pod}-{role}"),
            name: format!("{pod}.podlike.{role}"),
            pod: Some(pod.into()),
            role: Some(role.into()),
            mounts: mounts.iter().map(mount).collect(),
            ..NodeContainer::default()
        }
    }

    fn volumes() -> Volumes {
        let bound = |device: &str, name: &str| VolumeInfo {
            driver: "local".into(),
            options: [("type", "none"), ("o", "bind"), ("device", device)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            mountpoint: format!("/var/lib/docker/volumes/{name}/_data"),
            ..VolumeInfo::default()
        };
        let plain =
            VolumeInfo { mountpoint: "/var/lib/docker/volumes/plain/_data".into(), ..VolumeInfo::default() };
        [("bound".into(), bound("/srv", "bound")), ("plain".into(), plain)].into()
    }

    fn judged<'a>(spec: &'a PodSpec, task: &'a TaskContainer) -> Judged<'a> {
        Judged { spec, task, exposed: false, elsewhere: false, whole: false }
    }

    fn found(spec: &PodSpec, node: &[NodeContainer]) -> Vec<String> {
        let task = TaskContainer { id: "mine".into(), ..TaskContainer::default() };
        let node = Node { containers: node, volumes: &volumes() };
        conflicts(judged(spec, &task), node).into_iter().map(|conflict| conflict.problem).collect()
    }

    #[test]
    fn a_bind_below_what_a_component_of_any_pod_writes_is_refused() {
        let bind = spec(&[("app", &[("/srv/a/b", true)])]);
        for (other, refused) in [
            (container("other", "component", &[("/srv/a", true)]), true),
            (container("other", "init", &[("/srv", true)]), true),
            (container("other", "component", &[("bound", true)]), true),
            (container("other", "component", &[("/srv/a", false)]), false),
            (container("other", "component", &[("/srv/a/b", true)]), false),
            (container("other", "component", &[("/srv/a/b/c", false)]), false),
            (container("other", "component", &[("/srv/ab", true)]), false),
            (container("other", "component", &[("plain", true)]), false),
            (container("other", "sandbox", &[("/srv/a", true)]), false),
            (container("mine", "component", &[("/srv/a", true)]), false),
        ] {
            let words = found(&bind, std::slice::from_ref(&other));
            assert_eq!(!words.is_empty(), refused, "{other:?}: {words:?}");
            assert!(words.iter().all(|words| words.contains(&other.name)), "{words:?}");
        }
        let task = NodeContainer { pod: None, role: None, ..container("x", "component", &[("/srv", true)]) };
        assert_eq!(found(&bind, &[task]), Vec::<String>::new(), "a task container does not count");
    }

    #[test]
    fn two_spellings_of_one_folder_are_one() {
        let bind = spec(&[("app", &[("/var/run/app/x", true)])]);
        assert_eq!(found(&bind, &[container("other", "component", &[("/run/app", true)])]).len(), 1);
    }

    #[test]
    fn components_of_one_pod_are_judged_against_each_other() {
        let both = spec(&[("a", &[("/srv", false)]), ("b", &[("/srv/x", true)])]);
        assert_eq!(found(&both, &[]).len(), 1);
        let same = spec(&[("a", &[("/srv", false), ("/srv/x", true)])]);
        assert_eq!(found(&same, &[]).len(), 1, "each mount counts by itself");
        let volume = spec(&[("a", &[("bound", false)]), ("b", &[("/srv/x", true)])]);
        assert_eq!(found(&volume, &[]).len(), 1);
        let in_volume =
            spec(&[("a", &[("plain", false)]), ("b", &[("/var/lib/docker/volumes/plain/_data/l", true)])]);
        assert_eq!(found(&in_volume, &[]).len(), 1);
        let readers = spec(&[("a", &[("/srv", true)]), ("b", &[("/srv/x", true)])]);
        assert_eq!(found(&readers, &[]), Vec::<String>::new());
    }

    #[test]
    fn who_comes_later_and_writes_above_a_bind_is_refused_and_never_the_one_that_runs() {
        let writer = spec(&[("app", &[("/srv", false)])]);
        let bound = container("other", "component", &[("/srv/a", false)]);
        assert_eq!(found(&writer, std::slice::from_ref(&bound)).len(), 1);
        let reader = spec(&[("app", &[("/srv/a", true)])]);
        let late = NodeContainer { created: true, ..container("late", "component", &[("/srv", true)]) };
        assert_eq!(found(&reader, std::slice::from_ref(&late)).len(), 1, "neither runs");
        let running = container("mine", "component", &[("/srv/a", false)]);
        assert_eq!(found(&reader, &[late, running]), Vec::<String>::new());
    }

    #[test]
    fn the_tasks_own_mounts_count_where_components_could_reach_them() {
        let bind = spec(&[("app", &[("/srv/a", true)])]);
        let mount =
            TaskMount { kind: "bind".into(), source: "/srv".into(), writable: true, ..TaskMount::default() };
        let task = TaskContainer { id: "mine".into(), mounts: vec![mount], ..TaskContainer::default() };
        let node = Node { containers: &[], volumes: &Volumes::new() };
        assert_eq!(conflicts(Judged { exposed: true, ..judged(&bind, &task) }, node).len(), 1);
        assert_eq!(conflicts(judged(&bind, &task), node), []);
        let command = "/pause -- /manager --pause task".to_owned();
        let other = NodeContainer {
            id: "other".into(),
            pod: None,
            role: None,
            command,
            ..container("other", "x", &[("/srv", true)])
        };
        let component = container("other", "component", &[]);
        let containers = [other, component.clone()];
        let node = Node { containers: &containers, volumes: &Volumes::new() };
        let found = conflicts(judged(&bind, &TaskContainer::default()), node);
        assert_eq!(found.len(), 1);
        let sight = |manager| Sight { task: "other".into(), manager, components: vec![component.id.clone()] };
        assert_eq!(found[0].if_in_sight, Some(sight(true)));
        // A bare `pause`, whose manager is elsewhere; one of two such pods may be out of sight.
        let bare = NodeContainer { command: "/pause".into(), ..containers[0].clone() };
        let second = NodeContainer { id: "second".into(), ..bare.clone() };
        let of_second = container("second", "component", &[]);
        let all = [bare, component.clone(), second, of_second];
        let node = Node { containers: &all, volumes: &Volumes::new() };
        let found = conflicts(judged(&bind, &TaskContainer::default()), node);
        assert_eq!(found.len(), 2);
        assert!(found.iter().any(|conflict| conflict.if_in_sight == Some(sight(false))));
    }

    #[test]
    fn a_pod_without_mounts_is_checked_if_it_reaches_mounts_of_the_task_container() {
        let mount = |source: &str, target: &str, writable| TaskMount {
            kind: "bind".into(),
            source: source.into(),
            target: target.into(),
            writable,
            ..TaskMount::default()
        };
        let task = |user: &str, mounts: Vec<TaskMount>| TaskContainer {
            user: user.into(),
            mounts,
            ..TaskContainer::default()
        };
        let plain = spec(&[("app", &[])]);
        let mut traces = plain.clone();
        traces.components[0].container.cap_add = vec!["SYS_PTRACE".into()];
        let shared = |spec: &PodSpec| {
            let mut spec = spec.clone();
            spec.namespaces.pid = Some(Holder::Task);
            spec
        };
        let folder = || vec![mount("/srv", "/d", true)];
        for (spec, task, elsewhere, want) in [
            (shared(&traces), task("65529", folder()), true, true),
            (shared(&plain), task("65529", folder()), true, false),
            (shared(&plain), task("0:0", folder()), true, true),
            (shared(&plain), task("", folder()), true, true),
            (shared(&plain), task("65529", folder()), false, true),
            (shared(&traces), task("65529", vec![mount("/srv", "/d", false)]), true, false),
            (shared(&plain), task("", vec![mount("/run/docker.sock", "/s", true)]), false, false),
            (traces, task("0", folder()), true, false),
        ] {
            assert_eq!(is_concerned(&spec, &task, elsewhere), want, "{task:?} {elsewhere}");
        }
        let mut reads = plain;
        reads.components[0].files = vec![crate::spec::FileSpec {
            source: FileSource::Path("/d/key".into()),
            target: "/run/secrets/k".into(),
            uid: 0,
            gid: 0,
            mode: 0o444,
        }];
        assert!(is_concerned(&reads, &task("65529", vec![mount("/srv", "/d", false)]), false));
        assert!(!is_concerned(&reads, &task("65529", vec![mount("/srv", "/e", false)]), false));
    }

    #[test]
    fn a_copy_through_the_engine_counts_as_a_bind_of_what_it_reads_from() {
        let mut pod = spec(&[("w", &[("/srv/a", false)]), ("app", &[])]);
        pod.components[1].copies =
            vec![crate::spec::CopySpec { source: "/b/file".into(), target: "/k".into() }];
        let mount = |source: &str, target: &str| TaskMount {
            kind: "bind".into(),
            source: source.into(),
            target: target.into(),
            ..TaskMount::default()
        };
        let task = TaskContainer {
            mounts: vec![mount("/srv/a", "/a"), mount("/srv/a/b", "/b")],
            ..TaskContainer::default()
        };
        let node = Node { containers: &[], volumes: &Volumes::new() };
        let elsewhere = Judged { elsewhere: true, ..judged(&pod, &task) };
        assert_eq!(conflicts(elsewhere, node).len(), 1);
        assert_eq!(conflicts(judged(&pod, &task), node), [], "here it is opened before anything starts");
        let reads = spec(&[("app", &[])]);
        assert!(!is_concerned(&reads, &task, true) && is_concerned(&pod, &task, true));
    }

    #[test]
    fn what_the_pods_own_containers_mount_counts_whatever_is_wanted_by_now() {
        let writer = spec(&[("a", &[("/srv", false)])]);
        let before = container("mine", "component", &[("/srv/x", false)]);
        let task = TaskContainer::default();
        let containers = [before];
        let node = Node { containers: &containers, volumes: &Volumes::new() };
        assert_eq!(conflicts(judged(&writer, &task), node), []);
        assert_eq!(conflicts(Judged { whole: true, ..judged(&writer, &task) }, node).len(), 1);
    }

    #[test]
    fn who_only_calls_itself_a_manager_is_none() {
        let command = "/pause -- /manager run".to_owned();
        let component = NodeContainer { command: command.clone(), ..container("x", "component", &[]) };
        let task = NodeContainer { pod: None, role: None, ..component.clone() };
        assert!(!component.is_manager() && task.is_manager());
    }

    #[test]
    fn many_binds_beside_many_containers_are_judged_at_once() {
        let paths: Vec<String> = (0..2_000).map(|number| format!("/srv/x/{number}")).collect();
        let mounts: Vec<(&str, bool)> = paths.iter().map(|path| (path.as_str(), true)).collect();
        let pod = spec(&[("app", &mounts)]);
        let other = |number| NodeContainer {
            id: format!("other-{number}"),
            ..container(&format!("p{number}"), "component", &[("/data", true)])
        };
        let mut node: Vec<NodeContainer> = (0..2_000).map(other).collect();
        assert_eq!(found(&pod, &node), Vec::<String>::new());
        node.push(container("last", "component", &[("/srv", true)]));
        assert_eq!(found(&pod, &node).len(), 2_000);
    }

    #[test]
    fn a_step_of_a_pre_start_binds_and_writes_no_more_than_its_component() {
        let places = |pod: &PodSpec| own(pod, &volumes());
        let mut pod = spec(&[("app", &[("/srv/a", false)]), ("web", &[("/srv", false)])]);
        let alone = places(&pod);
        assert_eq!((alone.0.len(), alone.1.len()), (2, 2));
        let steps =
            pre_start::steps(&mut pod.components[0], &[PreStart::default()], |_| CopyPlace::Container);
        pod.components.extend(steps);
        assert_eq!(places(&pod), alone);
    }
}
