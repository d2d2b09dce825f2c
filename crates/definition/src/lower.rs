//! Raw to definition: what must be compared with the task container, with files, and with other components.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::compose::OURS;
use super::cursor::{Diagnostics, Place, Spanned};
use super::diagnostic::{found_text, nearest, quote, quote_all};
use super::files::{FileFault, FileKind, too_long};
use super::labels::Surroundings;
use super::raw::RawComponent;
use super::seccomp;
use super::secrets;
use super::tandem::PodSettings;
use super::values::{parse_duration, tidy_path, within};
use super::variables::{Reader, Variables};
use pod::bounds;
use pod::dependency_graph;
use pod::limits;
use pod::owner::Owner;
use pod::path::{is_for_devices, is_kernels};
use pod::policy::{Allowance, Allowed, Bind, Host, LABEL_REMEDY, Policy, Refusal, apply_floors, taken_label};
use pod::pre_start::{self, CopyPlace, PreStart};
use pod::spec::{
    ComponentSpec, Condition, ContainerSpec, CopySpec, Definition, FileSpec, HealthCheck, Mount, MountSource,
    Recursion,
};
use pod::task_container::{TaskContainer, TaskMount};

/// Podlike's label for the name by which components call a volume.
const VOLUME_REF: &str = "com.github.rycus86.podlike.volume-ref";
pub(super) const STACK: &str = "com.docker.stack.namespace";
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
    variables: &Variables<'_>,
    faults: &Diagnostics,
    init: Vec<RawComponent>,
    components: Vec<RawComponent>,
    whole: PodSettings,
    whole_place: &Place,
) -> Definition {
    let shared = if around.share_volumes {
        shared_mounts(around.task, around.policy, around.host)
    } else {
        Vec::new()
    };
    for raw in &init {
        runs_to_its_end(faults, raw);
        let steps = raw.pre_start.first().map(|entry| &entry.place);
        let hooks = raw.post_start.first().into_iter().chain(raw.pre_stop.first()).map(|hook| &hook.place);
        for place in hooks.chain(steps) {
            faults.fault(
                place,
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
    let lower = |raw: RawComponent| component(around, variables, faults, &shared, &whole, raw);
    let init =
        init.into_iter().map(|raw| RawComponent { depends_on: Vec::new(), pre_start: Vec::new(), ..raw });
    let init = init.flat_map(lower).collect();
    let mut components: Vec<ComponentSpec> = components.into_iter().flat_map(lower).collect();
    components.sort_by(|one, other| one.name.cmp(&other.name));
    let PodSettings { scratch, stop_timeout, places, declared_volumes: _, is_partial: _ } = whole;
    let definition = Definition { init, components, scratch, stop_timeout };
    for refusal in bounds::check_pod(&definition, around.task, around.policy) {
        faults.refuse(places.get(refusal.key).unwrap_or(whole_place), refusal);
    }
    definition
}

/// What an init component cannot be asked to do.
fn runs_to_its_end(faults: &Diagnostics, raw: &RawComponent) {
    const WHY: &str = "an init component runs to its end before any component starts";
    if raw.restart.is_endless() {
        let remedy = "valid are `no` and `on-failure`; what is to run beside the others is a component with \
                      `x-tandem: {sidecar: true}`";
        faults.fault(raw.places.get("restart").unwrap_or(&raw.place), WHY, remedy);
    }
    if raw.sidecar || !raw.essential || !raw.shutdown_delay.is_zero() {
        faults.fault(raw.places.get(OURS).unwrap_or(&raw.place), WHY, "leave it out, or make it a component");
    }
}

/// Every volume and bind of the task container (`--volumes`) that this policy lets components have: none that holds a file
/// of the manager's, or gives control of the engine.
pub fn shared_mounts(task: &TaskContainer, policy: &Policy, host: &Host) -> Vec<Mount> {
    let shared = task.mounts.iter().filter_map(|mount| {
        let source = match mount.kind.as_str() {
            "bind" => MountSource::Bind {
                path: tidy_path(&mount.source)?,
                propagation: None,
                recursive: mount.recursive,
            },
            // What the volume holds was settled when the task container got it.
            "volume" => MountSource::Volume {
                name: Some(mount.volume.clone()?),
                no_copy: true,
                subpath: mount.subpath.clone(),
                owner: None,
            },
            _ => return None,
        };
        Some((mount, Mount { target: tidy_path(&mount.target)?, read_only: !mount.writable, source }))
    });
    let allowed = |(given, mount): &(&TaskMount, Mount)| {
        let guarded = !policy.allows(Allowance::EngineSocket) && host.manager.in_mount(given).is_some();
        !guarded
            && target_problem(&mount.target, bound(mount), task).is_none()
            && check_source(policy, mount, task, host).is_none()
    };
    shared.filter(allowed).map(|(_, mount)| mount).collect()
}

/// Why this policy refuses the source of a mount, as far as can be told without the engine.
fn check_source(policy: &Policy, mount: &Mount, task: &TaskContainer, host: &Host) -> Option<Refusal> {
    let bind = Bind {
        path: "",
        target: &mount.target,
        read_only: mount.read_only,
        recursive: Recursion::default(),
        propagation: None,
    };
    match &mount.source {
        MountSource::Bind { path, propagation, recursive } => {
            let propagation = propagation.as_deref();
            policy.check_bind(&Bind { path, recursive: *recursive, propagation, ..bind }, task, host)
        }
        MountSource::Volume { name: Some(name), subpath, .. } => {
            let mounted = task.mounts.iter().find(|mount| mount.volume.as_ref() == Some(name));
            let info = mounted.map(TaskMount::volume_info).unwrap_or_default();
            let narrower = policy.check_part(name, subpath.as_deref(), mount.read_only, task);
            narrower.or_else(|| policy.check_volume(name, &info, &bind, mounted.is_some(), task, host))
        }
        MountSource::Volume { .. } | MountSource::ScratchVolume(_) | MountSource::Tmpfs { .. } => None,
    }
}

/// Why nothing may be mounted at this path of a component, and what to do instead: the engine hides parts of `/proc` and
/// `/sys` by mounts of its own, and makes the devices in `/dev`. `bound` is the path of the host, for a bind.
fn target_problem(
    target: &str,
    bound: Option<&str>,
    task: &TaskContainer,
) -> Option<(&'static str, &'static str)> {
    // What the task container has at the same place, such as `/dev/log`.
    let of_task = || {
        task.mounts
            .iter()
            .any(|given| given.kind == "bind" && Some(&*given.source) == bound && given.target == target)
    };
    if is_kernels(target) {
        let remedy = "valid is a path outside of `/proc` and `/sys`";
        return Some(("where the engine hides what belongs to the kernel", remedy));
    }
    (is_for_devices(target) && !of_task()).then_some((
        "where the engine makes the devices",
        "valid are `/dev/shm`, `/dev/mqueue` and what the task container has mounted at the same path",
    ))
}

/// The path of the host that a mount binds.
fn bound(mount: &Mount) -> Option<&str> {
    match &mount.source {
        MountSource::Bind { path, .. } => Some(path),
        _ => None,
    }
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

/// A component, and the steps of its `pre_start`.
fn component(
    around: &Surroundings<'_>,
    variables: &Variables<'_>,
    faults: &Diagnostics,
    shared: &[Mount],
    whole: &PodSettings,
    mut raw: RawComponent,
) -> Vec<ComponentSpec> {
    let mut container = raw.container;
    // Mounts are compared with one another: too many are not even looked at.
    let mounts = raw.volumes.len() + raw.tmpfs.len() + raw.files.len();
    if let Some(refusal) = bounds::check_mount_count(mounts) {
        faults.refuse(raw.places.get(refusal.key).unwrap_or(&raw.place), refusal);
        raw.volumes.clear();
        raw.tmpfs.clear();
        raw.files.clear();
    }
    for excess in limits::excess(&container, &around.task.limits) {
        let place = raw.places.get(excess.key).unwrap_or(&raw.place);
        let remedy =
            "a component is within its task: ask for less, or raise the limit of the pod's own service";
        faults.fault(place, excess.problem, remedy);
    }
    let place = raw.places.get("environment").unwrap_or(&raw.place);
    let reader = Reader { files: around.files, variables, faults };
    container.environment = reader.environment(&raw.env_files, raw.environment, place);
    let mut from_files = BTreeMap::new();
    // The file may be a secret that is no file of labels: its names are not repeated in messages.
    for (name, value, Spanned { value: path, place }) in reader.labels(&raw.label_files) {
        if let Some(remedy) = taken_label(&name) {
            faults.fault(place, format!("{} has a label that is taken", quote(path)), remedy);
        } else if !around.policy.may_have_label(&name, &value, &around.task.labels) {
            let problem = "a label on which other tools may act (`--policy restricted`)";
            faults.fault(place, format!("{} has {problem}", quote(path)), LABEL_REMEDY);
        } else {
            // A later file counts more; what `labels` says, most.
            from_files.insert(name, value.as_ref().to_owned());
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
    let mountable = |target: &str, bound: Option<&str>, place: &Place| {
        let problem = target_problem(target, bound, around.task);
        if let Some((why, remedy)) = problem {
            faults.fault(place, format!("found the target {}, {why}", quote(target)), remedy);
        }
        problem.is_none()
    };
    for Spanned { value: mut mount, place } in raw.volumes {
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
            mount.source = MountSource::ScratchVolume(name.clone());
        }
        if let MountSource::Volume { name: Some(name), owner, .. } = &mut mount.source {
            match task_volume(around.task, name) {
                Ok(Some(found)) => *name = found,
                // None of the task container's: one that the operator names, or else the pod's own.
                Ok(None) if around.policy.allowed.has(&Allowed::Volume(name.clone())) => {}
                Ok(None) => {
                    let own = Owner::of(&around.task.name, &around.task.labels);
                    let written = std::mem::replace(name, own.volume(name));
                    // By its whole name it may be given as any other.
                    let given = around.policy.allowed.has(&Allowed::Volume(name.clone()))
                        || around.task.mounts.iter().any(|mount| mount.volume.as_ref() == Some(name));
                    *owner = (!given).then(|| own.to_string());
                    if !fits(faults, &place, name) {
                        continue;
                    }
                    if owner.is_some() && written != *name && !whole.declared_volumes.contains_key(&written) {
                        let (problem, remedy) = undeclared(&written, name, whole, around.task);
                        faults.warn_of_new_volume(&place, name, problem, remedy);
                    }
                }
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
        let source = check_source(around.policy, &mount, around.task, around.host);
        let sound = mountable(&mount.target, bound(&mount), &place) & source.is_none();
        if let Some(refusal) = source {
            faults.refuse(&place, refusal);
        }
        if sound && claim(&mount.target, &place) {
            container.mounts.push(mount);
        }
    }
    for Spanned { value: (path, options), place } in raw.tmpfs {
        if !mountable(&path, None, &place) {
            continue;
        }
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
    apply_floors(&mut container.tuning, around.task);
    let mut component = ComponentSpec {
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
        pre_start_of: None,
        container,
    };
    let check = |component: &ComponentSpec| {
        let mut refusals =
            around.policy.check_component(component, around.task, around.host, &seccomp::is_stricter);
        refusals.extend(bounds::check_component(component, around.task, around.policy));
        refusals
    };
    let refusals = check(&component);
    // Each repeats what the component has.
    let inherited = if raw.pre_start.is_empty() { 0 } else { pre_start::inherited_bytes(&component) };
    raw.pre_start.retain(|entry| faults.expand(&entry.place, inherited));
    let wanted: Vec<PreStart> = raw.pre_start.iter().map(|entry| entry.value.wanted.clone()).collect();
    let volumes = component.container.clone();
    let steps = pre_start::steps(&mut component, &wanted, |copy| {
        let lies = tidy_path(&copy.target).and_then(|path| mount_at(&volumes, &path));
        match lies {
            Some(MountKind::Volume { own: true, .. }) => CopyPlace::OwnVolume,
            Some(MountKind::Volume { own: false, .. }) => CopyPlace::Volume,
            Some(MountKind::Memory | MountKind::Engine(_)) | None => CopyPlace::Container,
        }
    });
    for (step, Spanned { value: entry, place }) in steps.iter().zip(&raw.pre_start) {
        // What it has of the component is refused there.
        for refusal in check(step).into_iter().filter(|refusal| !refusals.contains(refusal)) {
            faults.refuse(entry.places.get(refusal.key).unwrap_or(place), refusal);
        }
    }
    for refusal in refusals {
        faults.refuse(raw.places.get(refusal.key).unwrap_or(&raw.place), refusal);
    }
    [component].into_iter().chain(steps).collect()
}

/// Something can have this name, or be at this path.
fn fits(faults: &Diagnostics, place: &Place, path: &str) -> bool {
    let fits = !too_long(path);
    if !fits {
        faults.fault(place, format!("{} {}", quote(path), FileFault::TooLong), "valid is a shorter one");
    }
    fits
}

/// A secret or config can be at this path of the component.
fn placed(
    faults: &Diagnostics,
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

/// What to say of a volume that nobody declares, and that the pod therefore makes as `name`; and what to do.
fn undeclared(written: &str, name: &str, whole: &PodSettings, task: &TaskContainer) -> (String, String) {
    let makes = format!("the pod makes one of its own, {}", quote(name));
    if task.stack_volumes.iter().any(|volume| volume == written) {
        let problem = format!(
            "the stack declares the volume {}, which the pod's own service does not mount",
            quote(written)
        );
        return (format!("{problem}: {makes}"), "mount it in the service, too, to share it".to_owned());
    }
    let called = |mount: &TaskMount| {
        let label = |key: &str| mount.labels.get(key).cloned();
        let in_stack = || {
            Some(mount.volume.as_ref()?.strip_prefix(label(STACK)?.as_str())?.strip_prefix('_')?.to_owned())
        };
        [label(VOLUME_REF), in_stack(), label(COMPOSE_VOLUME), mount.volume.clone()]
            .into_iter()
            .flatten()
            .next()
    };
    let mounted: Vec<String> = task.mounts.iter().filter_map(called).collect();
    let declared = mounted.iter().chain(whole.declared_volumes.values()).chain(&task.stack_volumes);
    let remedy = match nearest(written, declared.map(String::as_str)) {
        Some(near) => format!("did you mean {}?", quote(near)),
        None => "to share a volume with others, declare it, and mount it in the pod's own service".to_owned(),
    };
    (format!("nobody declares the volume {}: {makes}", quote(written)), remedy)
}

/// The copy to the path that was judged. A target that can only be a folder ends with a slash.
fn tidied(mut copy: CopySpec) -> CopySpec {
    let folder = matches!(copy.target.rsplit('/').next(), Some("" | "." | ".."));
    if let Some(path) = tidy_path(&copy.target) {
        copy.target = if folder && path != "/" { path + "/" } else { path };
    }
    copy
}

fn check_copy(
    around: &Surroundings<'_>,
    faults: &Diagnostics,
    container: &ContainerSpec,
    copy: &Spanned<CopySpec>,
) {
    let CopySpec { source, target } = &copy.value;
    let place = &copy.place;
    match tidy_path(source) {
        None => faults.fault(
            place,
            found_text("the source", source),
            "valid is an absolute path of the task container",
        ),
        Some(_) => match around.files.kind(source) {
            Ok(FileKind::File | FileKind::Folder) | Err(FileFault::NotAvailable) => {}
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
        faults.fault(place, found_text("the target", target), remedy);
        return;
    };
    if !fits(faults, place, &path) {
        return;
    }
    // The engine copies into the container before its start, when only volumes and binds are there.
    match mount_at(container, &path) {
        Some(MountKind::Volume { read_only: false, .. }) => {}
        Some(MountKind::Volume { read_only: true, .. }) => faults.fault(
            place,
            format!("the target {} lies in a volume that is mounted read-only", quote(target)),
            "valid is a path that the component may write to",
        ),
        Some(MountKind::Memory) => faults.fault(
            place,
            format!("the target {} lies in a tmpfs, which hides what is copied", quote(target)),
            "valid is a path outside of it, or in a volume",
        ),
        Some(MountKind::Engine(folder)) => faults.fault(
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
enum MountKind {
    Volume {
        read_only: bool,
        /// It has no name, and goes with the component's container.
        own: bool,
    },
    Memory,
    Engine(&'static str),
}

fn mount_at(container: &ContainerSpec, path: &str) -> Option<MountKind> {
    let mounts = container.mounts.iter().map(|mount| {
        let lies = match &mount.source {
            MountSource::Tmpfs { .. } => MountKind::Memory,
            MountSource::Bind { .. } | MountSource::Volume { .. } | MountSource::ScratchVolume(_) => {
                MountKind::Volume {
                    read_only: mount.read_only,
                    own: matches!(mount.source, MountSource::Volume { name: None, .. }),
                }
            }
        };
        (mount.target.as_str(), lies)
    });
    let tmpfs = container.tmpfs.keys().map(|target| (target.as_str(), MountKind::Memory));
    let engine = ENGINE_FOLDERS.iter().map(|target| (*target, MountKind::Engine(target)));
    // Of nested mounts the innermost holds the path; the user's own come after the engine's of the same path.
    engine
        .chain(tmpfs)
        .chain(mounts)
        .filter(|(target, _)| within(path, target))
        .max_by_key(|(target, _)| target.len())
        .map(|(_, lies)| lies)
}

/// Dependencies on what is not there, where it is not required: they are passed over, and said so.
fn without_missing(
    faults: &Diagnostics,
    init: &[RawComponent],
    mut components: Vec<RawComponent>,
) -> Vec<RawComponent> {
    let names: BTreeSet<String> = components.iter().chain(init).map(|raw| raw.name.clone()).collect();
    for raw in &mut components {
        raw.depends_on.retain(|Spanned { value: dependency, place }| {
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
fn dependencies(faults: &Diagnostics, init: &[RawComponent], components: &[RawComponent]) {
    let by_name: BTreeMap<&str, &RawComponent> =
        components.iter().map(|raw| (raw.name.as_str(), raw)).collect();
    let names: Vec<&str> = components.iter().map(|raw| raw.name.as_str()).collect();
    let init: BTreeSet<&str> = init.iter().map(|raw| raw.name.as_str()).collect();
    let mut graph: Vec<ComponentSpec> = Vec::new();
    for raw in components {
        let mut node = ComponentSpec { name: raw.name.clone(), ..ComponentSpec::default() };
        for Spanned { value: dependency, place } in &raw.depends_on {
            let on = dependency.on.as_str();
            let fault = |problem: String, remedy: String| faults.fault(place, problem, remedy);
            let Some(target) = by_name.get(on) else {
                if init.contains(on) {
                    fault(
                        format!("{} is an init component", quote(on)),
                        "leave it out: all init components are done before any component starts".into(),
                    );
                } else {
                    let others = names.iter().copied().filter(|name| *name != raw.name);
                    let remedy = match names.len() {
                        1 => "valid is another component, of which there is none".into(),
                        _ => faults.suggest(on, others),
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
            if dependency.condition == Condition::Completed && target.restart.is_endless() {
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
    // One after the other: each circle is a mistake of its own. The search costs as much as the whole graph each time.
    while !faults.is_full()
        && let Some(circle) = dependency_graph::cycle(&graph)
    {
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
