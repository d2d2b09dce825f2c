//! A Compose file as the definition of a pod: its services are the components.
//!
//! Only what concerns the file as a whole stands here; a service is read as a label is (`compose`).

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::compose;
use super::cursor::{Cursor, Diagnostics, Place, Spanned};
use super::diagnostic::{Origin, found_value, quote};
use super::env_file;
use super::files::{FileFault, FileKind};
use super::include::{Project, Reader, Scope, Service};
use super::interpolate::{Interpolation, Lookup};
use super::labels::Surroundings;
use super::lower::STACK;
use super::raw::RawComponent;
use super::tandem::PodSettings;
use super::variables::{self, Bare, Variables};
use super::yaml::{Entry, Kind, Node};
use pod::spec::MountSource;
use pod::task_container::TaskContainer;

/// What a file may grow to by its variables.
pub(super) const MOST_BYTES: usize = 4 << 20;
/// Compose's variable for the name of the project.
const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";
const PROJECT: &str = "com.docker.compose.project";

/// The components that the file at the path in this label defines.
pub(super) fn components(
    around: &Surroundings<'_>,
    faults: &Diagnostics,
    label: &Place,
    path: &str,
    whole: &mut PodSettings,
    variables: &mut Variables<'_>,
) -> Vec<RawComponent> {
    if !path.starts_with('/') {
        faults.fault(label, found_value(path), "valid is an absolute path of the task container");
        return Vec::new();
    }
    let text = match text_of(around, path) {
        Ok(text) => text,
        Err(why) => {
            let valid = match (around.files.kind(path), around.files.read(path)) {
                (Err(FileFault::NotAvailable), _) => "check the file itself with `manager check --compose`",
                (_, Err(FileFault::TooMuch)) => FileFault::LESS,
                _ => "valid is the path of a Compose file",
            };
            faults.fault(label, format!("{} {why}", quote(path)), valid);
            return Vec::new();
        }
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut above = BTreeMap::new();
    beside(around, faults, &format!("{folder}/.env"), variables, &|name| variables.get(name), &mut above);
    variables.add(above);
    let variables = &*variables;
    let document = faults.document(Origin::File(path.to_owned()), &text);
    let reader = Reader::new(around, faults, variables);
    let Some(documents) = reader.documents(&document) else { return Vec::new() };
    let lookup = |name: &str| variables.get(name);
    let scope = Scope::new(folder, &lookup);
    let written = reader.interpolating(&scope, |interpolation| {
        let name = |node| name(&Cursor::root(faults, &document, node), interpolation);
        documents.iter().rev().find_map(name)
    });
    set_project(around.task, variables, written.flatten(), folder);
    let project = reader.main(path, (&document, documents), &scope, whole);
    let profiles = lookup("COMPOSE_PROFILES").as_deref().unwrap_or_default().to_owned();
    match project {
        Some(project) => File { faults, document: &document, profiles }.read(project, whole),
        None => Vec::new(),
    }
}

/// The `name` of a document, as far as it can be the name of a project.
fn name(root: &Cursor<'_>, interpolation: &Interpolation<'_>) -> Option<String> {
    let pairs = root.pairs()?;
    let node = interpolation.tree(&pairs.iter().find(|pair| pair.key == "name")?.value);
    let name = match node.kind {
        Kind::Text(name) | Kind::Number(name) => name,
        Kind::Bool(name) => name.to_string(),
        _ => return None,
    };
    Some(project_name(&name)).filter(|name| !name.is_empty())
}

/// The name of a project that Compose makes of a text.
fn project_name(text: &str) -> String {
    let lower = text.to_lowercase();
    let valid = |char: &char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '_' | '-');
    lower.chars().filter(valid).collect::<String>().trim_start_matches(['_', '-']).to_owned()
}

/// Sets the variable for the name of the project where it is not set: to the one that the file has, that of the stack or
/// project that the pod is of, or that of the folder.
fn set_project(task: &TaskContainer, variables: &Variables<'_>, written: Option<String>, folder: &str) {
    if variables.get(PROJECT_NAME).is_some_and(|name| !name.is_empty()) {
        return;
    }
    let label = |key: &str| task.labels.get(key).filter(|value| !value.is_empty()).cloned();
    let of_folder = || Some(project_name(folder.rsplit('/').next()?)).filter(|name| !name.is_empty());
    if let Some(name) = written.or_else(|| label(STACK)).or_else(|| label(PROJECT)).or_else(of_folder) {
        variables.set(PROJECT_NAME, &name);
    }
}

/// A file of the task container as text, or what is wrong with it.
fn text_of(around: &Surroundings<'_>, path: &str) -> Result<String, String> {
    let bytes = around.files.read(path).map_err(|fault| fault.to_string())?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

/// Reads the variables of a file such as `.env`, where it is there. `lookup` is what their values may name, before `above`:
/// that of the files before this one, to which its own are added.
pub(super) fn beside(
    around: &Surroundings<'_>,
    faults: &Diagnostics,
    path: &str,
    variables: &Variables<'_>,
    lookup: Lookup<'_>,
    above: &mut BTreeMap<String, Rc<str>>,
) {
    let kind = around.files.kind(path);
    if !matches!(kind, Ok(FileKind::File) | Err(FileFault::TooMany)) {
        return;
    }
    let document = faults.document(Origin::File(path.to_owned()), "");
    if kind == Err(FileFault::TooMany) {
        // It may be there, and its variables would be missing.
        faults.fault(&document, format!("the file {}", FileFault::TooMany), "name fewer");
        return;
    }
    match text_of(around, path) {
        Ok(text) => {
            let (named, bare) = (&document, Bare::QuietVariable);
            let file = variables::File { variables, faults, document: &document, named, lookup, bare };
            file.read(env_file::parse(&text), above);
        }
        Err(why) => {
            faults.fault(&document, format!("the file {why}"), "valid is a file of `NAME=value` lines");
        }
    }
}

struct File<'a> {
    faults: &'a Diagnostics,
    document: &'a Place,
    profiles: String,
}

impl File<'_> {
    fn read(&self, project: Project, whole: &mut PodSettings) -> Vec<RawComponent> {
        let Project { services, volumes: names, secrets, configs, mut ignored, is_partial } = project;
        whole.is_partial = is_partial;
        whole.declared_volumes = names.iter().map(|(name, full)| (full.clone(), name.clone())).collect();
        if services.is_empty() && !is_partial {
            self.faults.fault(
                self.document,
                "the file has no service",
                "valid is at least one in `services`",
            );
        }
        let (mut raws, mut inactive) = (Vec::new(), Vec::new());
        for Service { entry: Entry { key, value: node, .. }, is_whole } in &services {
            let mut node = node.clone();
            let place = self.service(key, &node).place();
            if !self.faults.expand(&place, node.bytes()) {
                return Vec::new();
            }
            if !self.active(&self.service(key, &node)) {
                inactive.push(key.as_str());
                continue;
            }
            node.remove("profiles");
            let mut raw = RawComponent::new(key.clone(), place);
            let keys = compose::service(&mut raw, &self.service(key, &node), *is_whole);
            ignored.extend(keys.iter().map(|ignored| format!("`{key}.{ignored}`")));
            for Spanned { value: file, place } in &mut raw.files {
                if !self.faults.expand(place, file.declare(&secrets, &configs, is_partial)) {
                    return Vec::new();
                }
            }
            for volume in &mut raw.volumes {
                let MountSource::Volume { name: Some(name), .. } = &mut volume.value.source else { continue };
                if whole.scratch.iter().any(|scratch| scratch.name == *name) {
                    continue;
                }
                if let Some(full) = names.get(name) {
                    name.clone_from(full);
                }
            }
            raws.push(raw);
        }
        let known: BTreeSet<String> = raws.iter().map(|raw| raw.name.clone()).collect();
        for raw in &mut raws {
            raw.depends_on.retain(|dependency| {
                let left_out = inactive.contains(&&*dependency.value.on);
                if left_out && dependency.value.required {
                    self.faults.fault(
                        &dependency.place,
                        format!("none of the profiles of {} is active", quote(&dependency.value.on)),
                        "set `COMPOSE_PROFILES`, or leave the dependency out",
                    );
                }
                // It may be in what could not be read.
                !left_out && (!is_partial || known.contains(&dependency.value.on))
            });
        }
        if !services.is_empty() && raws.is_empty() && !is_partial {
            self.faults.fault(
                self.document,
                "no service has an active profile",
                "set `COMPOSE_PROFILES`, or leave `profiles` out",
            );
        }
        if !ignored.is_empty() {
            self.faults.warn(
                self.document,
                format!("ignored: {}", ignored.join(", ")),
                "a component cannot have these keys; those that it needs are the pod's own service's to have",
            );
        }
        raws
    }

    /// At a service with what it extends.
    fn service<'n>(&'n self, name: &str, node: &'n Node) -> Cursor<'n> {
        Cursor::root(self.faults, self.document, node).below("services", node).below(name, node)
    }

    fn active(&self, service: &Cursor<'_>) -> bool {
        let profiles = service.pairs().unwrap_or_default().into_iter().find(|pair| pair.key == "profiles");
        let Some(profiles) = profiles.filter(|pair| !pair.value.is_null()) else { return true };
        let Some(items) = profiles.value.items() else {
            profiles.value.expected("a list of profiles such as `[debug]`");
            return true;
        };
        let wanted: Vec<&str> = self.profiles.split(',').map(str::trim).collect();
        let named = |item: &Cursor<'_>| match item.scalar() {
            Some(name) => wanted.contains(&&*name),
            None => {
                item.expected("the name of a profile");
                true
            }
        };
        items.is_empty() || wanted.contains(&"*") || items.iter().any(named)
    }
}
