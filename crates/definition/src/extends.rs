//! A service with what it extends, or with one of the same name that is included: merged as Compose merges (compose-go's
//! `override`): mappings by key, lists one after the other, the rest replaced, and the exceptions below.

use std::collections::BTreeMap;

use super::values::tidy_path;
use super::yaml::{Entry, Kind, Node, NodeId, value_of};

/// `own` over `base`, both the value of this key in a service, or in something of it.
pub(super) fn merged(base: Node, own: Node, key: &str) -> Node {
    let id = own.id;
    let kind = match (key, base.kind, own.kind) {
        (_, _, Kind::Override(new)) => new.kind,
        // Nothing in their place takes them away, which it does nowhere else.
        ("command" | "entrypoint" | "test", _, own) => own,
        (_, base, Kind::Null) => base,
        // The options of one driver mean nothing to another.
        ("logging", Kind::Map(base), Kind::Map(own)) if differ(&base, &own, "driver") => Kind::Map(own),
        ("ulimits", Kind::Map(base), Kind::Map(own)) => Kind::Map(by_key(base, own, replaced)),
        ("depends_on", base, own) => {
            let name = |item, name: &str| (name.to_owned(), started(item));
            // The keys are names of services, which may be those of keys.
            as_mappings(base, own, name, |base, own, _| merged(base, own, ""))
        }
        ("annotations" | "environment" | "labels" | "sysctls", base, own) => {
            as_mappings(base, own, assignment, replaced)
        }
        (_, Kind::Map(base), Kind::Map(own)) => Kind::Map(by_key(base, own, merged)),
        ("env_file" | "label_file" | "tmpfs", base, own) => {
            Kind::List(appended(key, sequence(base, id), sequence(own, id)))
        }
        (_, Kind::List(base), Kind::List(own)) => Kind::List(appended(key, base, own)),
        (_, _, own) => own,
    };
    Node { id, kind }
}

pub(super) fn by_key(
    entries: Vec<Entry>,
    own: Vec<Entry>,
    merge: fn(Node, Node, &str) -> Node,
) -> Vec<Entry> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        places.entry(entry.key.clone()).or_insert(at);
    }
    let mut slots: Vec<Option<Entry>> = entries.into_iter().map(Some).collect();
    for entry in own {
        let known = places.get(&entry.key).copied();
        match known.and_then(|at| slots[at].take().map(|known| (at, known))) {
            Some(_) if matches!(entry.value.kind, Kind::Reset) => _ = places.remove(&entry.key),
            Some((at, known)) => {
                let value = merge(known.value, entry.value, &entry.key);
                slots[at] = Some(Entry { key: known.key, key_id: entry.key_id, value });
            }
            None => {
                places.insert(entry.key.clone(), slots.len());
                slots.push(Some(entry));
            }
        }
    }
    slots.into_iter().flatten().collect()
}

/// The later of two, also where it is nothing: a variable without a value has none of what is extended.
fn replaced(_: Node, own: Node, _: &str) -> Node {
    own
}

/// What may be a mapping or a list of texts that say the same.
fn as_mappings(
    base: Kind,
    own: Kind,
    entry: fn(NodeId, &str) -> (String, Node),
    merge: fn(Node, Node, &str) -> Node,
) -> Kind {
    let mapping = |kind| match kind {
        Kind::Map(entries) => Ok(entries),
        Kind::List(items) => {
            let texts = items.iter().map(|item| match &item.kind {
                Kind::Text(text) => {
                    let (key, value) = entry(item.id, text);
                    Some(Entry { key, key_id: item.id, value })
                }
                _ => None,
            });
            texts.collect::<Option<Vec<_>>>().ok_or(Kind::List(items))
        }
        other => Err(other),
    };
    match (mapping(base), mapping(own)) {
        (Ok(base), Ok(own)) => Kind::Map(by_key(by_key(Vec::new(), base, merge), own, merge)),
        // One of them is wrong; whoever reads it will say so.
        (Err(wrong), _) | (_, Err(wrong)) => wrong,
    }
}

/// `NAME=value`.
fn assignment(item: NodeId, text: &str) -> (String, Node) {
    let (key, kind) = match text.split_once('=') {
        Some((key, value)) => (key, Kind::Text(value.to_owned())),
        None => (text, Kind::Null),
    };
    (key.to_owned(), Node { id: item, kind })
}

/// What a name alone in `depends_on` means.
fn started(item: NodeId) -> Node {
    let entry = |key: &str, kind| Entry { key: key.into(), key_id: item, value: Node { id: item, kind } };
    let condition = entry("condition", Kind::Text("service_started".into()));
    Node { id: item, kind: Kind::Map(vec![condition, entry("required", Kind::Bool(true))]) }
}

fn differ(base: &[Entry], own: &[Entry], key: &str) -> bool {
    matches!((value_of(base, key), value_of(own, key)), (Some(base), Some(own)) if base.kind != own.kind)
}

/// One thing is a list of one.
fn sequence(kind: Kind, id: NodeId) -> Vec<Node> {
    match kind {
        Kind::List(items) => items,
        Kind::Null => Vec::new(),
        one => vec![Node { id, kind: one }],
    }
}

/// One list after the other; what is there already takes the later one's content.
fn appended(key: &str, mut items: Vec<Node>, own: Vec<Node>) -> Vec<Node> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        if let Some(name) = identity(key, item) {
            places.entry(name).or_insert(at);
        }
    }
    for item in own {
        let name = identity(key, &item);
        match name.as_ref().and_then(|name| places.get(name)) {
            Some(&at) => items[at] = item,
            None => {
                if let Some(name) = name {
                    places.insert(name, items.len());
                }
                items.push(item);
            }
        }
    }
    items
}

/// By which two entries of this list are the same one; `None` for one that is like no other.
fn identity(key: &str, node: &Node) -> Option<String> {
    let place = match key {
        "volumes" | "devices" => {
            part(node, "target", |text| text.split(':').nth(1).unwrap_or(text)).map(tidy)
        }
        "tmpfs" => part(node, "", |text| text.split(':').next().unwrap_or(text)).map(tidy),
        "secrets" => mounted(node, "/run/secrets"),
        "configs" => mounted(node, ""),
        "env_file" => part(node, "path", |text| text).map(str::to_owned),
        _ => None,
    };
    let scalar = || match &node.kind {
        Kind::Null => Some("null".to_owned()),
        Kind::Bool(value) => Some(format!("boolean {value}")),
        Kind::Number(text) => Some(format!("number {text}")),
        Kind::Text(text) => Some(format!("text {text}")),
        Kind::List(_) | Kind::Map(_) | Kind::Tagged | Kind::Reset | Kind::Override(_) => None,
    };
    place.map(|place| format!("place {place}")).or_else(scalar)
}

/// A part of a text, or the value of this key.
fn part<'n>(node: &'n Node, key: &str, of_text: fn(&str) -> &str) -> Option<&'n str> {
    match &node.kind {
        Kind::Text(text) => Some(of_text(text)),
        Kind::Map(entries) => match &value_of(entries, key)?.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Where a secret or config is mounted.
fn mounted(node: &Node, folder: &str) -> Option<String> {
    let target = part(node, "target", |text| text).or_else(|| part(node, "source", |text| text))?;
    Some(tidy_path(target).unwrap_or_else(|| format!("{folder}/{target}")))
}

fn tidy(path: &str) -> String {
    tidy_path(path).unwrap_or_else(|| path.to_owned())
}

/// Without Compose's tags: what is reset is not there, and what overrides is what it is.
pub(super) fn plain(node: Node) -> Option<Node> {
    let kind = match node.kind {
        Kind::Reset => return None,
        Kind::Override(new) => return plain(*new),
        Kind::List(items) => Kind::List(items.into_iter().filter_map(plain).collect()),
        Kind::Map(entries) => Kind::Map(
            entries
                .into_iter()
                .filter_map(|Entry { key, key_id, value }| Some(Entry { key, key_id, value: plain(value)? }))
                .collect(),
        ),
        other => other,
    };
    Some(Node { id: node.id, kind })
}
