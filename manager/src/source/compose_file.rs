//! A Compose file as the definition of a pod: its services are the components.
//!
//! Only what concerns the file as a whole stands here; a service is read as a label is (`compose`).

use std::cell::Cell;
use std::collections::BTreeMap;

use super::compose;
use super::cursor::{Cursor, Faults, Pair, Place};
use super::env_file;
use super::fault::{Origin, quote, suggest};
use super::interpolate::interpolate;
use super::labels::Surroundings;
use super::load::{FileFault, FileKind};
use super::raw::Raw;
use super::secrets;
use super::yaml::{Entry, Kind, Node};
use crate::pod::spec::MountSource;

/// The keys of a Compose file. Of these, `services`, `volumes`, `secrets` and `configs` mean something to a pod.
const TOP: &[&str] =
    &["configs", "include", "models", "name", "networks", "secrets", "services", "version", "volumes"];
/// What a file may grow to by its variables.
pub(super) const MOST_BYTES: usize = 4 << 20;
/// How many services may extend one another in a row.
const MOST_EXTENDED: usize = 32;

/// The components that the file at the path in this label defines.
pub(super) fn components(around: &Surroundings<'_>, faults: &Faults, label: &Place, path: &str) -> Vec<Raw> {
    if !path.starts_with('/') {
        faults.fault(
            label,
            format!("found {}", quote(path)),
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
    File { faults, document: &document, folder, profiles, lookup: &lookup }
        .read(&Cursor::root(faults, &document, &node))
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
        other => other.clone(),
    };
    Node { id: cursor.node.id, kind }
}

struct File<'a> {
    faults: &'a Faults,
    document: &'a Place,
    folder: &'a str,
    profiles: String,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl File<'_> {
    fn read(&self, root: &Cursor<'_>) -> Vec<Raw> {
        let Some(pairs) = root.known_pairs(TOP, "a Compose file with `services`") else { return Vec::new() };
        let (mut services, mut names) = (None, BTreeMap::new());
        let (mut secrets, mut configs) = Default::default();
        for pair in &pairs {
            match pair.key {
                "include" => self.faults.fault(
                    &pair.key_place,
                    "a pod is defined by one file",
                    "write the services of the other files into it (`docker compose config` does)",
                ),
                "services" => services = pair.value.pairs().or_else(|| not_a_mapping(&pair.value)),
                "volumes" => names = engine_names(&pair.value),
                "secrets" if pair.value.pairs().is_some() => {
                    secrets = secrets::declared(&pair.value, secrets::Kind::Secret, self.folder, self.lookup);
                }
                "configs" if pair.value.pairs().is_some() => {
                    configs = secrets::declared(&pair.value, secrets::Kind::Config, self.folder, self.lookup);
                }
                "configs" | "networks" | "secrets" | "models" if pair.value.pairs().is_none() => {
                    let _: Option<()> = not_a_mapping(&pair.value);
                }
                _ => {}
            }
        }
        let services = services.unwrap_or_default();
        if services.is_empty() {
            self.faults.fault(
                self.document,
                "the file has no service",
                "valid is at least one in `services`",
            );
        }
        let (mut raws, mut inactive, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
        for service in services.iter().filter(|service| !service.key.starts_with("x-")) {
            let mut node = self.extended(&services, service, &mut Vec::new());
            if !self.active(&service.value.with_node(&node)) {
                inactive.push(service.key);
                continue;
            }
            without(&mut node, &["extends", "profiles"]);
            let mut raw = Raw::new(service.key.to_owned(), service.value.place());
            let mut keys = Vec::new();
            compose::service(&mut raw, &service.value.with_node(&node), &mut keys);
            ignored.extend(keys.iter().map(|key| format!("`{}.{key}`", service.key)));
            raw.files.iter_mut().for_each(|file| file.value.declare(&secrets, &configs));
            let files = raw.env_files.iter_mut().map(|file| &mut file.value.path);
            let files = files.chain(raw.label_files.iter_mut().map(|file| &mut file.value));
            for path in files.filter(|path| !path.starts_with('/')) {
                let relative = path.strip_prefix("./").unwrap_or(path);
                *path = format!("{}/{relative}", self.folder);
            }
            for volume in &mut raw.volumes {
                if let MountSource::Volume { name: Some(name), .. } = &mut volume.value.source
                    && let Some(full) = names.get(name)
                {
                    name.clone_from(full);
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
        let named = |item: &Cursor<'_>| item.scalar().is_some_and(|name| wanted.contains(&&*name));
        items.is_empty() || wanted.contains(&"*") || items.iter().any(named)
    }

    /// A service with what it extends.
    fn extended<'n>(&self, all: &'n [Pair<'n>], service: &'n Pair<'n>, seen: &mut Vec<&'n str>) -> Node {
        let own = service.value.node.clone();
        let extends = service.value.pairs().unwrap_or_default().into_iter();
        let Some(extends) = extends.filter(|pair| !pair.value.is_null()).find(|pair| pair.key == "extends")
        else {
            return own;
        };
        seen.push(service.key);
        let mut name = extends.value.scalar();
        if name.is_none() {
            let valid = "the name of a service, or a mapping such as `{service: base}`";
            let pairs = extends.value.known_pairs(&["file", "service"], valid);
            let Some(pairs) = pairs else { return own };
            if let Some(file) = pairs.iter().find(|pair| pair.key == "file") {
                file.value.fault(
                    "a pod is defined by one file",
                    "write the other service into it, and leave `file` out",
                );
                return own;
            }
            name = pairs.iter().find(|pair| pair.key == "service").and_then(|pair| pair.value.scalar());
        }
        let Some(name) = name else {
            extends.value.fault("`service` is missing", "valid is one such as `{service: base}`");
            return own;
        };
        if seen.contains(&&*name) {
            let chain = seen.join("`, `");
            extends.value.fault(
                format!("the services `{chain}` extend one another in a circle"),
                "leave one `extends` out",
            );
            return own;
        }
        if seen.len() >= MOST_EXTENDED {
            extends.value.fault("too many services extend one another", "valid are up to 32 in a row");
            return own;
        }
        match all.iter().find(|pair| pair.key == name) {
            Some(base) => {
                let mut node = self.extended(all, base, seen);
                // Which profiles a service has is not inherited.
                without(&mut node, &["profiles"]);
                merged(node, own, "")
            }
            None => {
                let names: Vec<&str> = all.iter().map(|pair| pair.key).collect();
                let remedy = suggest(&name, names.iter().copied());
                extends.value.fault(format!("there is no service {}", quote(&name)), remedy);
                own
            }
        }
    }
}

fn not_a_mapping<T>(cursor: &Cursor<'_>) -> Option<T> {
    if !cursor.is_null() {
        cursor.expected_quietly("a mapping of names");
    }
    None
}

/// The names of volumes at the engine, where the file says them.
fn engine_names(cursor: &Cursor<'_>) -> BTreeMap<String, String> {
    let volumes = cursor.pairs().or_else(|| not_a_mapping(cursor)).unwrap_or_default();
    let full = |volume: Pair<'_>| {
        let keys = volume.value.pairs()?;
        let name = keys.iter().find(|pair| pair.key == "name" && !pair.value.is_null())?;
        match name.value.scalar() {
            Some(full) => Some((volume.key.to_owned(), full)),
            None => {
                name.value.expected("the name of a volume");
                None
            }
        }
    };
    volumes.into_iter().filter_map(full).collect()
}

fn without(node: &mut Node, keys: &[&str]) {
    if let Kind::Map(entries) = &mut node.kind {
        entries.retain(|entry| !keys.contains(&&*entry.key));
    }
}

/// Compose's merge: mappings by key, lists one after the other, everything else replaced.
fn merged(base: Node, own: Node, key: &str) -> Node {
    let id = own.id;
    match (base.kind, own.kind) {
        (base, Kind::Null) => Node { id, kind: base },
        (_, own) if matches!(key, "command" | "entrypoint" | "test") => Node { id, kind: own },
        (Kind::Map(mut entries), Kind::Map(own)) => {
            for entry in own {
                match entries.iter_mut().find(|known| known.key == entry.key) {
                    Some(known) => {
                        let before = std::mem::replace(&mut known.value, Node { id, kind: Kind::Null });
                        known.value = merged(before, entry.value, &entry.key);
                        known.key_id = entry.key_id;
                    }
                    None => entries.push(entry),
                }
            }
            Node { id, kind: Kind::Map(entries) }
        }
        (Kind::List(mut items), Kind::List(own)) => {
            let replaced = |item: &Node| match key {
                "volumes" => own.iter().any(|other| target(other) == target(item)),
                _ => own.iter().any(|other| other.kind == item.kind),
            };
            items.retain(|item| !replaced(item));
            items.extend(own);
            Node { id, kind: Kind::List(items) }
        }
        // `NAME=value` lists and mappings of the same.
        (Kind::List(items), Kind::Map(own)) => {
            merged(Node { id, kind: mapping(items) }, Node { id, kind: Kind::Map(own) }, key)
        }
        (Kind::Map(entries), Kind::List(items)) => {
            merged(Node { id, kind: Kind::Map(entries) }, Node { id, kind: mapping(items) }, key)
        }
        (_, own) => Node { id, kind: own },
    }
}

fn mapping(items: Vec<Node>) -> Kind {
    let entry = |item: Node| match item.kind {
        Kind::Text(text) => {
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (key.to_owned(), Kind::Text(value.to_owned())),
                None => (text, Kind::Null),
            };
            Some(Entry { key, key_id: item.id, value: Node { id: item.id, kind: value } })
        }
        _ => None,
    };
    Kind::Map(items.into_iter().filter_map(entry).collect())
}

/// Where a volume is mounted.
fn target(item: &Node) -> Option<&str> {
    match &item.kind {
        Kind::Text(text) => text.split(':').nth(1).or(Some(text)),
        Kind::Map(entries) => {
            entries.iter().find(|entry| entry.key == "target").and_then(|entry| match &entry.value.kind {
                Kind::Text(text) => Some(&**text),
                _ => None,
            })
        }
        _ => None,
    }
}
