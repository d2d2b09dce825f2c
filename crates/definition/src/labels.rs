//! The `pod.*` labels: which there are, and the definition that they hold.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::compose;
use super::compose_file;
use super::cursor::{Cursor, Diagnostics, Place, Spanned};
use super::diagnostic::{
    DiagnosticReport, Origin, Warning, found_text, found_value, nearest, quote, suggest,
};
use super::files::{Files, LengthCheckedFiles, MOST_WRITTEN_BYTES};
use super::lower;
use super::raw::RawComponent;
use super::seccomp;
use super::tandem::PodSettings;
use super::variables::Variables;
use pod::owner::Owner;
use pod::policy::{Host, LARGEST_MAX_COMPONENTS, Policy};
use pod::pre_start;
use pod::spec::{CopySpec, Definition};
use pod::task_container::TaskContainer;

/// A component of this name.
pub const COMPONENT: &str = "pod.component.";
/// The older spelling of [`COMPONENT`].
pub const CONTAINER: &str = "pod.container.";
/// What is copied into the component of this name.
pub const COPY: &str = "pod.copy.";
/// The list of init components.
pub const INIT: &str = "pod.init.components";
/// The path of a Compose file.
pub const COMPOSE_FILE: &str = "pod.compose.file";
/// Volumes that come and go with the pod.
pub const SCRATCH: &str = "pod.scratch";
/// Time for the pod's whole stop.
pub const STOP_GRACE: &str = "pod.stop_grace_period";
/// Who runs the pod of this container: `sibling` where a manager beside it does, else the name of an agent.
pub const MANAGER: &str = "pod.manager";

/// Text can be the name of a container, a service or an agent: what the engine takes for one.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The longest name of a container that is asked for: the engine has no bound, but what logs, metrics and
/// files are named after it do.
const LONGEST_NAME: usize = 255;

/// What a definition is read from and checked against.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The container with the labels.
    pub task: &'a TaskContainer,
    /// Its files.
    pub files: &'a dyn Files,
    /// The environment of the task container, for what a definition takes of it: the variables of a Compose file, of
    /// `environment` and of env files.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The host, as far as it is known: what of it gives control of the engine, and what is the manager's.
    pub host: &'a Host,
    /// `--volumes`: components get the task container's mounts too.
    pub share_volumes: bool,
    /// What the operator allows components to have.
    pub policy: &'a Policy,
}

/// What one label is for.
enum Label<'a> {
    Component(&'a str),
    Copy(&'a str),
    Init,
    ComposeFile,
    ScratchVolume,
    StopGrace,
    Manager,
}

/// The Compose keys that a component can have, in alphabetical order.
pub fn component_keys() -> impl Iterator<Item = &'static str> {
    compose::keys()
}

/// [`read`] without `--volumes`, and with the policy that holds where the operator says nothing.
pub fn definition(
    task: &TaskContainer,
    files: &dyn Files,
    host_socket: Option<&str>,
) -> Result<(Definition, Vec<Warning>), DiagnosticReport> {
    read(&Surroundings {
        task,
        files,
        environment: &|_| None,
        host: &Host::with_socket(task, host_socket),
        share_volumes: false,
        policy: &Policy::default(),
    })
}

/// The definition in the labels of a task container, or everything that is wrong with it.
pub fn read(around: &Surroundings<'_>) -> Result<(Definition, Vec<Warning>), DiagnosticReport> {
    let owner = Owner::of(&around.task.name, &around.task.labels);
    let policy = &around.policy.of_owner(&owner);
    let written_bytes = pod_labels(around.task).map(|(key, value)| key.len() + value.len()).sum();
    let files = &LengthCheckedFiles {
        files: around.files,
        task: around.task,
        host: around.host,
        policy,
        written_bytes: Cell::new(written_bytes),
        looked_at: RefCell::default(),
        contents: RefCell::default(),
    };
    let task = &TaskContainer {
        security_opt: around
            .task
            .security_opt
            .iter()
            .map(|option| seccomp::canonical_option(option))
            .collect(),
        ..around.task.clone()
    };
    let around = &Surroundings { task, files, policy, ..*around };
    let faults = Diagnostics::default();
    let whole = faults.document(Origin::Labels, "");
    if written_bytes > MOST_WRITTEN_BYTES {
        let problem = format!("the labels `pod.*` have {written_bytes} bytes in all");
        faults.fault(
            &whole,
            problem,
            format!("valid are up to {MOST_WRITTEN_BYTES}, with the files that they name"),
        );
        return Err(faults.report());
    }
    // Before any of them is parsed: each may take a reader its time.
    let most = usize::from(policy.max_components);
    let is = |wanted: fn(Label<'_>) -> bool| {
        move |(key, _): &(&String, &String)| classify(key).is_some_and(wanted)
    };
    let written = pod_labels(around.task).filter(is(|label| matches!(label, Label::Component(_)))).count();
    let copied = pod_labels(around.task).filter(is(|label| matches!(label, Label::Copy(_)))).count();
    if written > most {
        let inits = match around.task.labels.contains_key(INIT) {
            true => " beside its init components",
            false => ", init components among them",
        };
        let problem = format!("the pod has {written} components{inits}");
        faults.fault(&whole, problem, components_remedy(written, most));
        return Err(faults.report());
    }
    // One for each component, and for each init component.
    if copied > most {
        let problem = format!("there are {copied} labels `pod.copy.*`");
        faults.fault(&whole, problem, components_remedy(copied, most));
        return Err(faults.report());
    }
    let mut components: BTreeMap<String, RawComponent> = BTreeMap::new();
    let (mut init, mut copies, mut file) = (Vec::new(), Vec::new(), None);
    let mut pod = PodSettings::default();
    let mut variables = Variables::new(around.environment);
    // The label of the pod counts more than the file.
    let mut said = PodSettings::default();
    let labels: Vec<(&String, &String, Option<String>)> = pod_labels(around.task)
        .map(|(key, value)| (key, value, classify(key).is_none().then(|| meant(key)).flatten()))
        .collect();
    for (key, value, meant) in &labels {
        let (key, value) = (*key, *value);
        let document = faults.document(Origin::Label(key.clone()), value);
        let label = classify(key).or_else(|| {
            faults.fault(&document, "this label is unknown", unknown(key, meant.as_deref()));
            // It is read as what it was meant to be, so that nothing is said to be missing that is there.
            let meant = meant.as_deref().filter(|meant| !around.task.labels.contains_key(*meant));
            meant.filter(|_| components.len() < most).and_then(classify)
        });
        match label {
            Some(Label::Component(name)) if components.contains_key(name) && classify(key).is_none() => {}
            Some(Label::Component(name)) if components.contains_key(name) => faults.fault(
                &document,
                format!("{} has a label {} too", quote(name), quote(&format!("{COMPONENT}{name}"))),
                "valid is one label for each component",
            ),
            Some(Label::Component(name)) => {
                check_name(around.task, &faults, &document, name);
                components.insert(name.to_owned(), read_component(&faults, name.to_owned(), &document));
            }
            Some(Label::Init) => init = read_init(&faults, &document),
            Some(Label::Copy(name)) => copies.push((name, document)),
            Some(Label::ComposeFile) => file = Some((document, value)),
            Some(label @ (Label::ScratchVolume | Label::StopGrace)) => {
                let Some(node) = faults.parse_label(&document) else { continue };
                let cursor = Cursor::root(&faults, &document, &node);
                match label {
                    _ if cursor.is_null() => {}
                    Label::ScratchVolume => pod.scratch(&cursor),
                    _ => said.stop_grace(&cursor),
                }
            }
            Some(Label::Manager) if is_name(value) => {}
            Some(Label::Manager) => faults.fault(
                &document,
                found_value(value),
                "valid is `sibling`, `agent`, or the name that an agent was given (letters, digits, `_`, `.` and `-`)",
            ),
            None => {}
        }
    }
    match &file {
        Some((document, path)) => {
            if components.is_empty() {
                let found = compose_file::components(around, &faults, document, path, &mut pod, &mut variables);
                for raw in found {
                    check_name(around.task, &faults, &raw.place, &raw.name);
                    components.insert(raw.name.clone(), raw);
                }
            } else {
                faults.fault(
                    document,
                    "found a Compose file beside labels `pod.component.*`",
                    "valid is one or the other",
                );
            }
        }
        None if components.is_empty() => faults.fault(
            &whole,
            "the pod has no component",
            "valid is at least one label `pod.component.<name>` on the container itself (in a stack: `labels`, \
             not `deploy.labels`)",
        ),
        None => {}
    }
    let steps: usize = components.values().map(|raw| raw.pre_start.len()).sum();
    let count = init.len() + components.len() + steps;
    if count > most {
        let place = file.as_ref().map_or(&whole, |(document, _)| document);
        let among = if steps > 0 { "init components and entries of `pre_start`" } else { "init components" };
        let problem = format!("the pod has {count} components, {among} among them");
        faults.fault(place, problem, components_remedy(count, most));
        return Err(faults.report());
    }
    for raw in &init {
        if let Some(component) = components.get(raw.name.as_str()) {
            faults.fault(
                &component.place,
                format!("{} is the name of an init component", quote(&raw.name)),
                "valid is any other name",
            );
        }
    }
    for raw in components.values() {
        for (index, entry) in raw.pre_start.iter().enumerate() {
            let name = pre_start::name(&raw.name, index + 1);
            if let Some(component) = components.get(&name) {
                faults.fault(
                    &component.place,
                    format!(
                        "{} is the name of a `pre_start` container of {}",
                        quote(&name),
                        quote(&raw.name)
                    ),
                    "valid is any other name",
                );
            }
            check_length(around.task, &faults, &entry.place, &name);
        }
    }
    // Where the file could not be read, nobody knows which components it has.
    let unknown = file.is_some() && (components.is_empty() || pod.is_partial);
    for (name, document) in copies {
        let found = read_copies(&faults, &document);
        let raw = components.get_mut(name).or_else(|| init.iter_mut().find(|raw| raw.name == name));
        match raw {
            Some(raw) => raw.copies = found,
            None if unknown => {}
            None => {
                let names: Vec<&str> =
                    components.keys().map(String::as_str).chain(init.iter().map(|raw| &*raw.name)).collect();
                let remedy = match names.is_empty() {
                    true => "valid is the name of a component".into(),
                    false => suggest(name, names.iter().copied()),
                };
                faults.fault(&document, format!("there is no component {}", quote(name)), remedy);
            }
        }
    }
    pod.stop_timeout = said.stop_timeout.or(pod.stop_timeout);
    pod.places.extend(said.places);
    let components = components.into_values().collect();
    let definition = lower::definition(around, &variables, &faults, init, components, pod, &whole);
    faults.finish().map(|warnings| (definition, warnings))
}

/// What to do about so many components where so many are valid.
fn components_remedy(count: usize, most: usize) -> String {
    match count <= usize::from(LARGEST_MAX_COMPONENTS) {
        true => format!("valid are up to {most}, or start the manager with `--max-components {count}`"),
        false => format!("valid are up to {most}; the operator can allow {LARGEST_MAX_COMPONENTS}"),
    }
}

/// The labels that define the pod.
fn pod_labels(task: &TaskContainer) -> impl Iterator<Item = (&String, &String)> {
    task.labels.iter().filter(|(key, _)| key.starts_with("pod."))
}

fn classify(key: &str) -> Option<Label<'_>> {
    match key {
        INIT => return Some(Label::Init),
        COMPOSE_FILE => return Some(Label::ComposeFile),
        MANAGER => return Some(Label::Manager),
        SCRATCH => return Some(Label::ScratchVolume),
        STOP_GRACE => return Some(Label::StopGrace),
        _ => {}
    }
    if let Some(name) = key.strip_prefix(COMPONENT).or_else(|| key.strip_prefix(CONTAINER)) {
        return Some(Label::Component(name));
    }
    key.strip_prefix(COPY).map(Label::Copy)
}

/// The label that an unknown one was probably meant to be.
fn meant(key: &str) -> Option<String> {
    // Only the part that is not the user's own can be misspelled.
    let name = key.splitn(3, '.').nth(2).filter(|name| !name.is_empty())?;
    let named = [COMPONENT, CONTAINER, COPY].map(|prefix| format!("{prefix}{name}"));
    let known = named.iter().map(String::as_str).chain([INIT, COMPOSE_FILE, SCRATCH, STOP_GRACE, MANAGER]);
    nearest(key, known).map(str::to_owned)
}

/// What to do about an unknown label.
fn unknown(key: &str, meant: Option<&str>) -> String {
    let prefixes = [COMPONENT, CONTAINER, COPY];
    if let Some(prefix) =
        prefixes.iter().find(|prefix| prefix.trim_end_matches('.') == key.trim_end_matches('.'))
    {
        return format!("did you mean {}?", quote(&format!("{prefix}<name>")));
    }
    match meant {
        Some(near) => format!("did you mean {}?", quote(near)),
        None => format!(
            "valid are `{COMPONENT}<name>`, `{COPY}<name>`, `{INIT}`, `{COMPOSE_FILE}`, `{SCRATCH}`, `{STOP_GRACE}` \
             and `{MANAGER}`"
        ),
    }
}

fn check_name(task: &TaskContainer, faults: &Diagnostics, document: &Place, name: &str) {
    if !is_name(name) {
        faults.fault(
            document,
            found_text("the component name", name),
            "valid are letters, digits, `_`, `.` and `-`, with a letter or digit first, since it is part of the \
             container's name",
        );
        return;
    }
    check_length(task, faults, document, name);
}

/// The container of this name can be created.
fn check_length(task: &TaskContainer, faults: &Diagnostics, document: &Place, name: &str) {
    let length = task.name.len() + ".podlike.".len() + name.len();
    if length > LONGEST_NAME {
        faults.fault(
            document,
            format!("the container's name would have {length} characters"),
            format!("valid are up to {LONGEST_NAME}"),
        );
    }
}

fn read_component(faults: &Diagnostics, name: String, document: &Place) -> RawComponent {
    let mut raw = RawComponent::new(name, document.clone());
    if let Some(node) = faults.parse_label(document) {
        compose::component(&mut raw, &Cursor::root(faults, document, &node));
    }
    raw
}

fn read_init(faults: &Diagnostics, document: &Place) -> Vec<RawComponent> {
    let Some(node) = faults.parse_label(document) else { return Vec::new() };
    let cursor = Cursor::root(faults, document, &node);
    if cursor.is_null() {
        return Vec::new();
    }
    let Some(items) = cursor.items() else {
        cursor.expected_quietly("a list of init components such as `- image: busybox`");
        return Vec::new();
    };
    let read = |(index, item): (usize, &Cursor<'_>)| {
        let mut raw = RawComponent::new(format!("init-{}", index + 1), item.place());
        compose::component(&mut raw, item);
        raw
    };
    items.iter().enumerate().map(read).collect()
}

fn read_copies(faults: &Diagnostics, document: &Place) -> Vec<Spanned<CopySpec>> {
    const VALID: &str = "`/source:/target`, a list of those, or a mapping of sources to targets";
    let Some(node) = faults.parse_label(document) else { return Vec::new() };
    let cursor = Cursor::root(faults, document, &node);
    if cursor.is_null() {
        return Vec::new();
    }
    if let Some(pairs) = cursor.pairs() {
        let mut copies = Vec::new();
        for pair in pairs {
            match pair.value.scalar() {
                Some(target) => {
                    copies.push(pair.value.at(CopySpec { source: pair.key.to_owned(), target }));
                }
                None => pair.value.expected("an absolute path of the component"),
            }
        }
        return copies;
    }
    let items = cursor.items().unwrap_or_else(|| vec![cursor.clone()]);
    let copy = |item: &Cursor<'_>| {
        let Some(text) = item.scalar() else {
            item.expected(VALID);
            return None;
        };
        match text.split(':').collect::<Vec<_>>()[..] {
            [source, target] => Some(item.at(CopySpec { source: source.into(), target: target.into() })),
            _ => {
                item.expected("a source and a target such as `/source:/target`");
                None
            }
        }
    };
    items.iter().filter_map(copy).collect()
}
