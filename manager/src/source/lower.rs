//! Raw to definition: what must be compared with the task container, with files, and with other components.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::compose::{OURS, taken_label};
use super::cursor::{At, Faults, Place};
use super::doors::Doors;
use super::env_file;
use super::fault::{Origin, quote, quote_all, suggest};
use super::labels::Surroundings;
use super::load::{FileFault, FileKind, too_long};
use super::raw::{EnvFile, Raw};
use super::secrets;
use super::tandem::Whole;
use super::values::{parse_duration, tidy_path, within};
use crate::pod::limits;
use crate::pod::order;
use crate::pod::policy::{self, Allowance};
use crate::pod::spec::{
    ComponentSpec, Condition, ContainerSpec, CopySpec, Definition, FileSpec, HealthCheck, Mount, MountSource,
    Restart,
};
use crate::pod::task::{TaskContainer, TaskMount};

/// Podlike's label for the name by which components call a volume.
const VOLUME_REF: &str = "com.github.rycus86.podlike.volume-ref";
const STACK: &str = "com.docker.stack.namespace";
const COMPOSE_VOLUME: &str = "com.docker.compose.volume";

/// Folders that the engine puts its own mounts on when a component starts: a copy would lie unseen below.
const ENGINE_FOLDERS: &[&str] = &["/proc", "/sys", "/dev"];

/// Text that is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a duration; valid is a number with a unit such as `1m30s`, `10s` or `500ms`")]
pub struct BadDuration;

/// A duration as Compose writes it, for flags: the same spelling everywhere.
pub fn duration(text: &str) -> Result<Duration, BadDuration> {
    parse_duration(text).ok_or(BadDuration)
}

/// The definition, as far as it is sound; `init` in the order of their numbers, `components` by name.
pub(super) fn definition(
    around: &Surroundings<'_>,
    faults: &Faults,
    init: Vec<Raw>,
    components: Vec<Raw>,
    whole: Whole,
) -> Definition {
    let doors = Doors::of(around.task, around.host_socket);
    let shared =
        if around.share_volumes { shared_mounts(around.task, around.host_socket) } else { Vec::new() };
    for raw in &init {
        runs_to_its_end(faults, raw);
        for hook in raw.post_start.first().into_iter().chain(raw.pre_stop.first()) {
            faults.fault(
                &hook.place,
                "an init component cannot have hooks",
                "write the command into a component, or into one more init component",
            );
        }
        if let Some(dependency) = raw.depends_on.first() {
            // Podlike ignored it likewise.
            faults.warn(
                &dependency.place,
                "`depends_on` has no effect here",
                "init components run one after the other, in the order of the list",
            );
        }
    }
    if let Some(first) = components.first()
        && components.iter().all(|raw| !raw.essential)
    {
        let place = first.places.get(OURS).unwrap_or(&first.place);
        let remedy =
            "one component at least must be: the pod would be there, and healthy, with nothing in it";
        faults.fault(place, "no component is essential", remedy);
    }
    let components = without_missing(faults, &init, components);
    dependencies(faults, &init, &components);
    let lower = |raw: Raw| component(around, faults, &doors, &shared, &whole, raw);
    let init = init.into_iter().map(|raw| ComponentSpec { depends_on: Vec::new(), ..lower(raw) }).collect();
    let components = components.into_iter().map(lower).collect();
    Definition { init, components, scratch: whole.scratch, stop_timeout: whole.stop_timeout }
}

/// What an init component cannot be asked to do.
fn runs_to_its_end(faults: &Faults, raw: &Raw) {
    const WHY: &str = "an init component runs to its end before any component starts";
    if raw.restart == Restart::Always {
        let remedy = "valid are `no` and `on-failure`; what is to run beside the others is a component with \
                      `x-tandem: {sidecar: true}`";
        faults.fault(raw.places.get("restart").unwrap_or(&raw.place), WHY, remedy);
    }
    if raw.sidecar || !raw.essential || !raw.shutdown_delay.is_zero() {
        faults.fault(raw.places.get(OURS).unwrap_or(&raw.place), WHY, "leave it out, or make it a component");
    }
}

/// Every volume and bind of the task container (`--volumes`), except what is or contains the engine's socket, or what the
/// manager has to limit the pod with.
///
/// `host_socket` is the socket's path on the host, where the manager reaches the engine by one.
pub fn shared_mounts(task: &TaskContainer, host_socket: Option<&str>) -> Vec<Mount> {
    let doors = Doors::of(task, host_socket);
    task.mounts
        .iter()
        .filter(|mount| !doors.held_by(mount) && !managers_alone(task, mount))
        .filter_map(|mount| {
            let source = match mount.kind.as_str() {
                "bind" => MountSource::bind(mount.source.clone()),
                // What the volume holds was settled when the task container got it.
                "volume" => {
                    MountSource::Volume { name: Some(mount.volume.clone()?), no_copy: true, subpath: None }
                }
                _ => return None,
            };
            Some(Mount { target: tidy_path(&mount.target)?, read_only: !mount.writable, source })
        })
        .collect()
}

/// A mount of the task container is there for its manager.
fn managers_alone(task: &TaskContainer, mount: &TaskMount) -> bool {
    let sources = [Some(&mount.source), mount.device.as_ref()].into_iter().flatten();
    let mut paths = sources.filter_map(|path| tidy_path(path));
    paths.any(|path| policy::managers_alone(task, &path, !mount.writable).is_some())
}

/// Why a component must not get this path of the host, which a volume may stand for; `None` where it may.
pub fn leads_to_engine(task: &TaskContainer, host_socket: Option<&str>, path: &str) -> Option<&'static str> {
    Doors::of(task, host_socket).behind_path(path)
}

/// Gives a container these mounts too, except where it has its own at the same target.
pub fn add_mounts(container: &mut ContainerSpec, mounts: &[Mount]) {
    for mount in mounts {
        let taken = container.tmpfs.contains_key(&mount.target)
            || container.mounts.iter().any(|own| own.target == mount.target);
        if !taken {
            container.mounts.push(mount.clone());
        }
    }
}

fn component(
    around: &Surroundings<'_>,
    faults: &Faults,
    doors: &Doors,
    shared: &[Mount],
    whole: &Whole,
    raw: Raw,
) -> ComponentSpec {
    let mut container = raw.container;
    for refusal in around.policy.against_container(&container) {
        let place = raw.places.get(refusal.key).unwrap_or(&raw.place);
        faults.fault(place, refusal.problem, refusal.remedy);
    }
    for excess in limits::excess(&container, &around.task.limits) {
        let place = raw.places.get(excess.key).unwrap_or(&raw.place);
        let remedy =
            "a component is within its task: ask for less, or raise the limit of the pod's own service";
        faults.fault(place, excess.problem, remedy);
    }
    let mut from_files = BTreeMap::new();
    container.environment = variables(around, faults, &raw.env_files, raw.environment);
    for (name, value, place) in
        raw.label_files.iter().flat_map(|file| file_entries(around, faults, file, true))
    {
        match taken_label(&name) {
            Some(remedy) => faults.fault(&place, format!("found the label {}", quote(&name)), remedy),
            // A later file counts more; what `labels` says, most.
            None => _ = from_files.insert(name, value.unwrap_or_default()),
        }
    }
    from_files.append(&mut container.labels);
    container.labels = from_files;
    let mut targets = BTreeSet::new();
    let mut claim = |target: &str, place: &Place| {
        let free = targets.insert(target.to_owned());
        if !free {
            faults.fault(
                place,
                format!("found the target {} twice", quote(target)),
                "valid is one mount at each path",
            );
        }
        free
    };
    for At { value: mut mount, place } in raw.volumes {
        let (source, part) = match &mount.source {
            MountSource::Bind { path, .. } => (path.as_str(), ""),
            MountSource::Volume { name: Some(name), subpath, .. } => {
                (name.as_str(), subpath.as_deref().unwrap_or_default())
            }
            _ => ("", ""),
        };
        let words = [source, part, &mount.target];
        if words.into_iter().filter(|path| !fits(faults, &place, path)).count() > 0 {
            continue;
        }
        let of_the_pod = |name: &str| whole.scratch.iter().any(|scratch| scratch.name == name);
        if let MountSource::Volume { name: Some(name), subpath, .. } = &mount.source
            && of_the_pod(name)
        {
            if subpath.is_some() {
                faults.fault(
                    &place,
                    format!("{} is a scratch volume", quote(name)),
                    "valid is the whole of it, without `subpath`",
                );
            }
            mount.source = MountSource::Scratch(name.clone());
        }
        if let MountSource::Volume { name: Some(name), .. } = &mut mount.source {
            match task_volume(around.task, name) {
                Ok(Some(found)) => *name = found,
                // None of the task container's: a volume of that name at the engine, as Podlike had it.
                Ok(None) => {}
                Err(candidates) => {
                    let all = quote_all(candidates.iter().map(String::as_str), "or");
                    faults.fault(
                        &place,
                        format!("the volume {} may be {all}", quote(name)),
                        "valid is the full name of one of them",
                    );
                    continue;
                }
            }
        }
        if let Some(reason) =
            doors.behind(&mount.source).filter(|_| !around.policy.allows(Allowance::EngineSocket))
        {
            let source = match &mount.source {
                MountSource::Bind { path, .. } => path,
                MountSource::Volume { name: Some(name), .. } => name,
                _ => "",
            };
            faults.fault(
                &place,
                format!("{} {reason}", quote(source)),
                "no component may reach the engine, which would give it the whole node: mount something else, or start \
                 the manager with `--allow engine-socket`",
            );
        } else if let Some(refusal) = around.policy.against_mount(&mount, around.task) {
            faults.fault(&place, refusal.problem, refusal.remedy);
        } else if claim(&mount.target, &place) {
            container.mounts.push(mount);
        }
    }
    for At { value: (path, options), place } in raw.tmpfs {
        if fits(faults, &place, &path) && claim(&path, &place) {
            container.tmpfs.insert(path, options);
        }
    }
    let mut files = Vec::new();
    for written in &raw.files {
        let Some(file) = secrets::file(around.files, faults, written) else { continue };
        if fits(faults, &written.place, &file.target)
            && claim(&file.target, &written.place)
            && placed(faults, &container, &files, &file.target, &written.place)
        {
            files.push(file);
        }
    }
    let shared: Vec<Mount> = shared
        .iter()
        .filter(|mount| !files.iter().any(|file: &FileSpec| file.target == mount.target))
        .cloned()
        .collect();
    add_mounts(&mut container, &shared);
    for copy in &raw.copies {
        let target = tidy_path(&copy.value.target);
        if files.iter().any(|file| Some(&file.target) == target.as_ref()) {
            faults.fault(
                &copy.place,
                format!("the target {} is a secret or config of the component", quote(&copy.value.target)),
                "valid is another path",
            );
        }
        check_copy(around, faults, &container, copy);
    }
    ComponentSpec {
        name: raw.name,
        depends_on: raw.depends_on.into_iter().map(|dependency| dependency.value).collect(),
        copies: raw.copies.into_iter().map(|copy| tidied(copy.value)).collect(),
        files,
        stop_grace: raw.stop_grace,
        post_start: raw.post_start.into_iter().map(|hook| hook.value).collect(),
        pre_stop: raw.pre_stop.into_iter().map(|hook| hook.value).collect(),
        restart: raw.restart,
        essential: raw.essential,
        sidecar: raw.sidecar,
        shutdown_delay: raw.shutdown_delay,
        container,
    }
}

/// Something can have this name, or be at this path.
fn fits(faults: &Faults, place: &Place, path: &str) -> bool {
    let fits = !too_long(path);
    if !fits {
        faults.fault(place, format!("{} {}", quote(path), FileFault::TooLong), "valid is a shorter one");
    }
    fits
}

/// A secret or config can be at this path of the component.
fn placed(
    faults: &Faults,
    container: &ContainerSpec,
    others: &[FileSpec],
    target: &str,
    place: &Place,
) -> bool {
    if let Some(folder) = ENGINE_FOLDERS.iter().find(|folder| within(target, folder)) {
        faults.fault(
            place,
            format!("the target {} lies in `{folder}`, which is the engine's", quote(target)),
            "valid is a path outside of it",
        );
        return false;
    }
    let mounts = container.mounts.iter().map(|mount| (mount.target.as_str(), mount.read_only));
    let memory = container.tmpfs.keys().map(|path| (path.as_str(), false));
    let others = others.iter().map(|file| (file.target.as_str(), true));
    let all: Vec<(&str, bool)> = mounts.chain(memory).chain(others).collect();
    if let Some((below, _)) = all.iter().find(|(path, _)| within(path, target)) {
        faults.fault(
            place,
            format!("the target {} is a file, and {} is mounted below it", quote(target), quote(below)),
            "valid is a path of its own",
        );
        return false;
    }
    let around = all.iter().filter(|(path, _)| within(target, path)).max_by_key(|(path, _)| path.len());
    if let Some((path, true)) = around {
        faults.fault(
            place,
            format!("the target {} lies in {}, which is mounted read-only", quote(target), quote(path)),
            "valid is a path outside of it",
        );
        return false;
    }
    true
}

/// Env files in order, then `environment`: the later wins, at the place where the name first stood.
fn variables(
    around: &Surroundings<'_>,
    faults: &Faults,
    files: &[At<EnvFile>],
    own: Vec<(String, Option<String>)>,
) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for At { value: file, place } in files {
        let path = At { value: file.path.clone(), place: place.clone() };
        let entries = file_entries(around, faults, &path, file.required);
        all.extend(entries.into_iter().map(|(name, value, _)| (name, value)));
    }
    all.extend(own);
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    let mut once: Vec<(String, Option<String>)> = Vec::new();
    for (name, value) in all {
        match index.get(&name) {
            Some(&at) => once[at].1 = value,
            None => {
                index.insert(name.clone(), once.len());
                once.push((name, value));
            }
        }
    }
    once
}

/// What an env file or label file says, with the place of the file.
fn file_entries(
    around: &Surroundings<'_>,
    faults: &Faults,
    At { value: path, place }: &At<String>,
    required: bool,
) -> Vec<(String, Option<String>, Place)> {
    let content = match around.files.read(path) {
        Ok(content) => content,
        Err(FileFault::Missing) if !required => return Vec::new(),
        Err(FileFault::Elsewhere) => return Vec::new(),
        Err(fault) => {
            let remedy = "valid is the path of a file in the task container";
            faults.fault(place, format!("{} {fault}", quote(path)), remedy);
            return Vec::new();
        }
    };
    let Ok(text) = String::from_utf8(content) else {
        faults.fault(place, format!("{} is not text", quote(path)), "valid is a file in UTF-8");
        return Vec::new();
    };
    let (variables, bad) = env_file::parse(&text);
    let document = faults.document(Origin::File(path.clone()), "");
    for bad in bad {
        faults.fault(&document.line(bad.line, bad.column), bad.problem, bad.remedy);
    }
    variables.into_iter().map(|(name, value)| (name, value, place.clone())).collect()
}

/// The engine's name of the task container's volume that a component calls `name`, if there is one; the candidates
/// where there are several.
pub(super) fn task_volume(task: &TaskContainer, name: &str) -> Result<Option<String>, BTreeSet<String>> {
    let is =
        |labels: &BTreeMap<String, String>, key: &str| labels.get(key).is_some_and(|value| value == name);
    // Which of the ways to call a volume it is: a surer one hides the others.
    let way = |volume: &str, labels: &BTreeMap<String, String>| {
        let in_stack = || volume.strip_prefix(labels.get(STACK)?.as_str())?.strip_prefix('_');
        match () {
            () if volume == name => Some(0),
            () if is(labels, VOLUME_REF) => Some(1),
            () if in_stack() == Some(name) => Some(2),
            () if is(labels, COMPOSE_VOLUME) => Some(3),
            () => None,
        }
    };
    let mut found: BTreeMap<u8, BTreeSet<String>> = BTreeMap::new();
    for mount in &task.mounts {
        if let Some(volume) = &mount.volume
            && let Some(way) = way(volume, &mount.labels)
        {
            found.entry(way).or_default().insert(volume.clone());
        }
    }
    match found.pop_first() {
        Some((_, surest)) if surest.len() > 1 => Err(surest),
        Some((_, mut surest)) => Ok(surest.pop_first()),
        None => Ok(None),
    }
}

/// The copy to the path that was judged. A target that can only be a folder ends with a slash.
fn tidied(mut copy: CopySpec) -> CopySpec {
    let folder = matches!(copy.target.rsplit('/').next(), Some("" | "." | ".."));
    if let Some(path) = tidy_path(&copy.target) {
        copy.target = if folder && path != "/" { path + "/" } else { path };
    }
    copy
}

fn check_copy(around: &Surroundings<'_>, faults: &Faults, container: &ContainerSpec, copy: &At<CopySpec>) {
    let CopySpec { source, target } = &copy.value;
    let place = &copy.place;
    match tidy_path(source) {
        None => faults.fault(
            place,
            format!("found the source {}", quote(source)),
            "valid is an absolute path of the task container",
        ),
        Some(_) => match around.files.kind(source) {
            Ok(FileKind::File | FileKind::Folder) | Err(FileFault::Elsewhere) => {}
            Ok(FileKind::Other) => faults.fault(
                place,
                format!("{} is neither a file nor a folder", quote(source)),
                "valid is a regular file or a folder of the task container",
            ),
            Err(fault) => faults.fault(
                place,
                format!("{} {fault}", quote(source)),
                "valid is a file or a folder of the task container",
            ),
        },
    }
    let Some(path) = tidy_path(target) else {
        let remedy = "valid is an absolute path of the component";
        faults.fault(place, format!("found the target {}", quote(target)), remedy);
        return;
    };
    if !fits(faults, place, &path) {
        return;
    }
    // The engine copies into the container before its start, when only volumes and binds are there.
    match mount_at(container, &path) {
        Some(Lies::Volume { read_only: false }) => {}
        Some(Lies::Volume { read_only: true }) => faults.fault(
            place,
            format!("the target {} lies in a volume that is mounted read-only", quote(target)),
            "valid is a path that the component may write to",
        ),
        Some(Lies::Memory) => faults.fault(
            place,
            format!("the target {} lies in a tmpfs, which hides what is copied", quote(target)),
            "valid is a path outside of it, or in a volume",
        ),
        Some(Lies::Engine(folder)) => faults.fault(
            place,
            format!(
                "the target {} lies in `{folder}`, which the engine mounts over what is copied",
                quote(target)
            ),
            "valid is a path outside of it",
        ),
        None if container.read_only => faults.fault(
            place,
            format!("the target {} lies in a root file system that is read-only", quote(target)),
            "valid is a path in a volume of the component, or `read_only: false`",
        ),
        None => {}
    }
}

/// Where a path of a component lies, if not in its root file system.
enum Lies {
    Volume { read_only: bool },
    Memory,
    Engine(&'static str),
}

fn mount_at(container: &ContainerSpec, path: &str) -> Option<Lies> {
    let mounts = container.mounts.iter().map(|mount| {
        let lies = match mount.source {
            MountSource::Tmpfs { .. } => Lies::Memory,
            MountSource::Bind { .. } | MountSource::Volume { .. } | MountSource::Scratch(_) => {
                Lies::Volume { read_only: mount.read_only }
            }
        };
        (mount.target.as_str(), lies)
    });
    let tmpfs = container.tmpfs.keys().map(|target| (target.as_str(), Lies::Memory));
    let engine = ENGINE_FOLDERS.iter().map(|target| (*target, Lies::Engine(target)));
    // Of nested mounts the innermost holds the path; the user's own come after the engine's of the same path.
    engine
        .chain(tmpfs)
        .chain(mounts)
        .filter(|(target, _)| within(path, target))
        .max_by_key(|(target, _)| target.len())
        .map(|(_, lies)| lies)
}

/// Dependencies on what is not there, where it is not required: they are passed over, and said so.
fn without_missing(faults: &Faults, init: &[Raw], mut components: Vec<Raw>) -> Vec<Raw> {
    let names: BTreeSet<String> = components.iter().chain(init).map(|raw| raw.name.clone()).collect();
    for raw in &mut components {
        raw.depends_on.retain(|At { value: dependency, place }| {
            let keep = dependency.required || names.contains(&dependency.on);
            if !keep {
                let problem = format!("there is no component {}", quote(&dependency.on));
                faults.warn(place, problem, "it is not required, and not waited for");
            }
            keep
        });
    }
    components
}

/// Dependencies on what is not there, on itself, on what can never be, and in circles.
fn dependencies(faults: &Faults, init: &[Raw], components: &[Raw]) {
    let names: Vec<&str> = components.iter().map(|raw| raw.name.as_str()).collect();
    let mut graph: Vec<ComponentSpec> = Vec::new();
    for raw in components {
        let mut node = ComponentSpec { name: raw.name.clone(), ..ComponentSpec::default() };
        for At { value: dependency, place } in &raw.depends_on {
            let on = dependency.on.as_str();
            let fault = |problem: String, remedy: String| faults.fault(place, problem, remedy);
            let Some(target) = components.iter().find(|raw| raw.name == on) else {
                if init.iter().any(|raw| raw.name == on) {
                    fault(
                        format!("{} is an init component", quote(on)),
                        "leave it out: all init components are done before any component starts".into(),
                    );
                } else {
                    let others = names.iter().copied().filter(|name| *name != raw.name);
                    let remedy = match names.len() {
                        1 => "valid is another component, of which there is none".into(),
                        _ => suggest(on, others),
                    };
                    fault(format!("there is no component {}", quote(on)), remedy);
                }
                continue;
            };
            if target.name == raw.name {
                fault(format!("{} depends on itself", quote(on)), "valid are other components".into());
                continue;
            }
            if raw.sidecar && !target.sidecar {
                fault(
                    format!("{} is a sidecar and {} is not", quote(&raw.name), quote(on)),
                    "sidecars start before all others: leave it out, or make the other one a sidecar too"
                        .into(),
                );
                continue;
            }
            if dependency.condition == Condition::Completed && target.restart == Restart::Always {
                fault(
                    format!("{} never completes: its `restart` starts it again", quote(on)),
                    "valid is `condition: service_started`, or another `restart` there".into(),
                );
            }
            if dependency.condition == Condition::Healthy
                && dependency.required
                && target.container.healthcheck == Some(HealthCheck::Disabled)
            {
                fault(
                    format!("{} can never be healthy, since its health check is disabled", quote(on)),
                    "valid is `condition: service_started`, or a health check there".into(),
                );
            }
            node.depends_on.push(dependency.clone());
        }
        graph.push(node);
    }
    // One after the other: each circle is a mistake of its own.
    while let Some(circle) = order::cycle(&graph) {
        let (Some(first), Some(second)) = (circle.first(), circle.get(1)) else { return };
        let written = components
            .iter()
            .filter(|raw| raw.name == *first)
            .flat_map(|raw| &raw.depends_on)
            .find(|dependency| dependency.value.on == *second);
        if let Some(dependency) = written {
            let way: Vec<String> = circle.iter().map(|name| quote(name)).collect();
            faults.fault(
                &dependency.place,
                format!("components wait for each other: {}", way.join(" -> ")),
                "leave one of these dependencies out",
            );
        }
        for node in graph.iter_mut().filter(|node| node.name == *first) {
            node.depends_on.retain(|dependency| dependency.on != *second);
        }
    }
}
