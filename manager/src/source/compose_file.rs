//! A Compose file as the definition of a pod: its services are the components.
//!
//! Only what concerns the file as a whole stands here; a service is read as a label is (`compose`).

use std::cell::Cell;
use std::collections::BTreeMap;

use super::compose;
use super::cursor::{Cursor, Faults, Pair, Place};
use super::env_file;
use super::extends;
use super::fault::{Origin, quote};
use super::interpolate::interpolate;
use super::labels::Surroundings;
use super::load::{FileFault, FileKind};
use super::lower::task_volume;
use super::raw::Raw;
use super::secrets;
use super::tandem::Whole;
use super::volumes;
use super::yaml::{Entry, Kind, Node};
use crate::pod::spec::MountSource;
use crate::pod::task::TaskContainer;

/// The keys of a Compose file. Of these, `services`, `volumes`, `secrets` and `configs` mean something to a pod.
const TOP: &[&str] =
    &["configs", "include", "models", "name", "networks", "secrets", "services", "version", "volumes"];
/// Those of them that are mappings of names.
const SECTIONS: &[&str] = &["configs", "models", "networks", "secrets", "services", "volumes"];
/// What all services may grow to by what they extend, nodes and keys.
const MOST_NODES: usize = 100_000;
/// What a file may grow to by its variables.
pub(super) const MOST_BYTES: usize = 4 << 20;

/// The components that the file at the path in this label defines.
pub(super) fn components(
    around: &Surroundings<'_>,
    faults: &Faults,
    label: &Place,
    path: &str,
    whole: &mut Whole,
) -> Vec<Raw> {
    if !path.starts_with('/') {
        faults.fault(
            label,
            if path.is_empty() { "found nothing".to_owned() } else { format!("found {}", quote(path)) },
            "valid is an absolute path of the task container",
        );
        return Vec::new();
    }
    let text = match text_of(around, path) {
        Ok(text) => text,
        Err(why) => {
            let valid = match around.files.kind(path) {
                Err(FileFault::Elsewhere) => "check the file itself with `manager check --compose`",
                _ => "valid is the path of a Compose file",
            };
            faults.fault(label, format!("{} {why}", quote(path)), valid);
            return Vec::new();
        }
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = beside(around, faults, &format!("{folder}/.env"));
    let lookup = |name: &str| (around.environment)(name).or_else(|| beside.get(name).cloned());
    let document = faults.document(Origin::File(path.to_owned()), &text);
    let Some(node) = faults.parse(&document) else { return Vec::new() };
    let left = Cell::new(Some(MOST_BYTES));
    let node = interpolated(&Cursor::root(faults, &document, &node), &lookup, &left);
    // What a variable would have said, nobody knows: reading on would find faults that are none.
    if left.get().is_none() {
        return Vec::new();
    }
    let profiles = lookup("COMPOSE_PROFILES").unwrap_or_default();
    File { faults, task: around.task, document: &document, folder, profiles, lookup: &lookup }
        .read(&Cursor::root(faults, &document, &node), whole)
}

/// A file of the task container as text, or what is wrong with it.
fn text_of(around: &Surroundings<'_>, path: &str) -> Result<String, String> {
    let bytes = around.files.read(path).map_err(|fault| fault.to_string())?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

/// The variables of `.env` beside the file.
fn beside(around: &Surroundings<'_>, faults: &Faults, path: &str) -> BTreeMap<String, String> {
    if around.files.kind(path) != Ok(FileKind::File) {
        return BTreeMap::new();
    }
    let document = faults.document(Origin::File(path.to_owned()), "");
    match text_of(around, path) {
        Ok(text) => {
            let (variables, bad) = env_file::parse(&text);
            for bad in bad {
                faults.fault(&document.line(bad.line, bad.column), bad.problem, bad.remedy);
            }
            variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
        }
        Err(why) => {
            faults.fault(&document, format!("the file {why}"), "valid is a file of `NAME=value` lines");
            BTreeMap::new()
        }
    }
}

/// The same tree with the variables of its strings in place; keys stay as they are, as in Compose. `left` is how
/// many bytes more there may be, nothing after a fault.
pub(super) fn interpolated(
    cursor: &Cursor<'_>,
    lookup: &dyn Fn(&str) -> Option<String>,
    left: &Cell<Option<usize>>,
) -> Node {
    let kind = match &cursor.node.kind {
        Kind::Text(text) if text.contains('$') => {
            match interpolate(text, lookup, left.get().unwrap_or(MOST_BYTES)) {
                Ok(new) => {
                    left.set(left.get().map(|left| left.saturating_sub(new.len())));
                    match new.as_str() {
                        // `tty: ${TTY}` is to be a switch.
                        "true" | "false" => Kind::Bool(new == "true"),
                        _ => Kind::Text(new),
                    }
                }
                Err((problem, remedy)) => {
                    cursor.fault(problem, remedy);
                    left.set(None);
                    Kind::Null
                }
            }
        }
        Kind::List(_) => {
            let items = cursor.items().unwrap_or_default();
            Kind::List(items.iter().map(|item| interpolated(item, lookup, left)).collect())
        }
        Kind::Map(entries) => {
            let pairs = cursor.pairs().unwrap_or_default();
            let entry = |(pair, entry): (&Pair<'_>, &Entry)| Entry {
                value: interpolated(&pair.value, lookup, left),
                key: entry.key.clone(),
                key_id: entry.key_id,
            };
            Kind::Map(pairs.iter().zip(entries).map(entry).collect())
        }
        Kind::Override(content) => {
            Kind::Override(Box::new(interpolated(&cursor.with_node(content), lookup, left)))
        }
        other => other.clone(),
    };
    Node { id: cursor.node.id, kind }
}

struct File<'a> {
    faults: &'a Faults,
    task: &'a TaskContainer,
    document: &'a Place,
    folder: &'a str,
    profiles: String,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl File<'_> {
    fn read(&self, root: &Cursor<'_>, whole: &mut Whole) -> Vec<Raw> {
        let Some(pairs) =
            root.known_pairs(&[TOP, &[compose::OURS]].concat(), "a Compose file with `services`")
        else {
            return Vec::new();
        };
        let (mut services, mut names, mut ignored) = (None, BTreeMap::new(), Vec::new());
        let (mut secrets, mut configs) = Default::default();
        let mut wrong = false;
        for pair in &pairs {
            let mapping = pair.value.pairs();
            if mapping.is_none() && SECTIONS.contains(&pair.key) {
                if !pair.value.is_null() {
                    pair.value.expected_quietly("a mapping of names");
                    wrong |= pair.key == "services";
                }
                continue;
            }
            match pair.key {
                "include" => self.faults.fault(
                    &pair.key_place,
                    "a pod is defined by one file",
                    "write the services of the other files into it (`docker compose config` does)",
                ),
                "services" => services = mapping,
                "volumes" => names = volumes::declared(&pair.value, &mut ignored),
                "secrets" => {
                    secrets = secrets::declared(&pair.value, secrets::Kind::Secret, self.folder, self.lookup);
                }
                "configs" => {
                    configs = secrets::declared(&pair.value, secrets::Kind::Config, self.folder, self.lookup);
                }
                compose::OURS => whole.read(&pair.value),
                _ => {}
            }
        }
        let services = services.unwrap_or_default();
        if services.is_empty() && !wrong {
            self.faults.fault(
                self.document,
                "the file has no service",
                "valid is at least one in `services`",
            );
        }
        let (mut raws, mut inactive) = (Vec::new(), Vec::new());
        let mut nodes = 0;
        for service in services.iter().filter(|service| !service.key.starts_with("x-")) {
            let mut node = extends::extended(&services, service);
            nodes += node.count();
            if nodes > MOST_NODES {
                let problem = "the services hold too many values by what they extend";
                service.value.fault(problem, format!("valid are up to {MOST_NODES} in all"));
                return Vec::new();
            }
            if !self.active(&service.value.with_node(&node)) {
                inactive.push(service.key);
                continue;
            }
            node.remove("profiles");
            let mut raw = Raw::new(service.key.to_owned(), service.value.place());
            let keys = compose::service(&mut raw, &service.value.with_node(&node));
            ignored.extend(keys.iter().map(|key| format!("`{}.{key}`", service.key)));
            raw.files.iter_mut().for_each(|file| file.value.declare(&secrets, &configs));
            let files = raw.env_files.iter_mut().map(|file| &mut file.value.path);
            let files = files.chain(raw.label_files.iter_mut().map(|file| &mut file.value));
            for path in files.filter(|path| !path.starts_with('/')) {
                let relative = path.strip_prefix("./").unwrap_or(path);
                *path = format!("{}/{relative}", self.folder);
            }
            for volume in &mut raw.volumes {
                let MountSource::Volume { name: Some(name), .. } = &mut volume.value.source else { continue };
                if whole.scratch.iter().any(|scratch| scratch.name == *name) {
                    continue;
                }
                match names.get(name) {
                    Some(full) => name.clone_from(full),
                    None if !matches!(task_volume(self.task, name), Ok(None)) => {}
                    None => {
                        self.faults.warn(
                            &volume.place,
                            format!("the volume {} is not declared", quote(name)),
                            "the engine's of that name is mounted, and made where it is missing: declare it in the \
                             file's `volumes`",
                        );
                        names.insert(name.clone(), name.clone());
                    }
                }
            }
            raws.push(raw);
        }
        for raw in &mut raws {
            raw.depends_on.retain(|dependency| {
                let left_out = inactive.contains(&&*dependency.value.on);
                if left_out {
                    self.faults.fault(
                        &dependency.place,
                        format!("none of the profiles of {} is active", quote(&dependency.value.on)),
                        "set `COMPOSE_PROFILES`, or leave the dependency out",
                    );
                }
                !left_out
            });
        }
        if !services.is_empty() && raws.is_empty() {
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
