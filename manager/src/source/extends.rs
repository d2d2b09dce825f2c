//! `extends` within a Compose file: a service with what it extends, merged as Compose merges (compose-go's
//! `override`): mappings by key, lists one after the other, the rest replaced, and the exceptions below.

use super::cursor::{Cursor, Pair};
use super::fault::{quote, suggest};
use super::values::tidy_path;
use super::yaml::{Entry, Kind, Node, NodeId, value_of};

/// How many services may extend one another in a row.
const MOST_EXTENDED: usize = 32;

/// A service with what it extends.
pub(super) fn extended<'n>(all: &'n [Pair<'n>], service: &'n Pair<'n>) -> Node {
    let node = merged_with_base(all, service, &mut Vec::new());
    plain(node).unwrap_or(Node { id: service.value.node.id, kind: Kind::Null })
}

fn merged_with_base<'n>(all: &'n [Pair<'n>], service: &'n Pair<'n>, seen: &mut Vec<&'n str>) -> Node {
    let mut own = service.value.node.clone();
    let pairs = service.value.pairs().unwrap_or_default();
    let Some(extends) = pairs.iter().find(|pair| pair.key == "extends") else { return own };
    own.remove("extends");
    if extends.value.is_null() {
        return own;
    }
    seen.push(service.key);
    let Some(name) = base_of(&extends.value) else { return own };
    if seen.contains(&&*name) {
        let problem = format!("the services `{}` extend one another in a circle", seen.join("`, `"));
        extends.value.fault(problem, "leave one `extends` out");
        return own;
    }
    if seen.len() >= MOST_EXTENDED {
        let valid = format!("valid are up to {MOST_EXTENDED} in a row");
        extends.value.fault("too many services extend one another", valid);
        return own;
    }
    let Some(base) = all.iter().find(|pair| pair.key == name) else {
        let remedy = suggest(&name, all.iter().map(|pair| pair.key));
        extends.value.fault(format!("there is no service {}", quote(&name)), remedy);
        return own;
    };
    merged(merged_with_base(all, base, seen), own, "")
}

/// The name of the service that is extended.
fn base_of(extends: &Cursor<'_>) -> Option<String> {
    if let Some(name) = extends.scalar() {
        return Some(name);
    }
    let valid = "the name of a service, or a mapping such as `{service: base}`";
    let pairs = extends.known_pairs(&["file", "service"], valid)?;
    if let Some(file) = pairs.iter().find(|pair| pair.key == "file") {
        file.value
            .fault("a pod is defined by one file", "write the other service into it, and leave `file` out");
        return None;
    }
    let name = pairs.iter().find(|pair| pair.key == "service").and_then(|pair| pair.value.scalar());
    if name.is_none() {
        extends.fault("`service` is missing", "valid is one such as `{service: base}`");
    }
    name
}

/// `own` over `base`, both the value of this key in a service, or in something of it.
fn merged(base: Node, own: Node, key: &str) -> Node {
    let id = own.id;
    let kind = match (key, base.kind, own.kind) {
        (_, base, Kind::Null) => base,
        (_, _, Kind::Override(new)) => new.kind,
        ("command" | "entrypoint" | "test", _, own) => own,
        // The options of one driver mean nothing to another.
        ("logging", Kind::Map(base), Kind::Map(own)) if differ(&base, &own, "driver") => Kind::Map(own),
        ("ulimits", Kind::Map(base), Kind::Map(own)) => Kind::Map(by_key(base, own, |_, own, _| own)),
        ("depends_on", base, own) => as_mappings(base, own, |item, name| (name.to_owned(), started(item))),
        ("annotations" | "environment" | "labels" | "sysctls", base, own) => {
            as_mappings(base, own, assignment)
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

fn by_key(mut entries: Vec<Entry>, own: Vec<Entry>, merge: fn(Node, Node, &str) -> Node) -> Vec<Entry> {
    for entry in own {
        match entries.iter().position(|known| known.key == entry.key) {
            Some(at) if matches!(entry.value.kind, Kind::Reset) => drop(entries.remove(at)),
            Some(at) => {
                let known = &mut entries[at];
                let before = std::mem::replace(&mut known.value, Node { id: entry.key_id, kind: Kind::Null });
                known.value = merge(before, entry.value, &entry.key);
                known.key_id = entry.key_id;
            }
            None => entries.push(entry),
        }
    }
    entries
}

/// What may be a mapping or a list of texts that say the same.
fn as_mappings(base: Kind, own: Kind, entry: fn(NodeId, &str) -> (String, Node)) -> Kind {
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
        (Ok(base), Ok(own)) => Kind::Map(by_key(by_key(Vec::new(), base, merged), own, merged)),
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
    let value = Node { id: item, kind: Kind::Text("service_started".into()) };
    Node { id: item, kind: Kind::Map(vec![Entry { key: "condition".into(), key_id: item, value }]) }
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
    for item in own {
        match items.iter_mut().find(|known| same(key, known, &item)) {
            Some(known) => *known = item,
            None => items.push(item),
        }
    }
    items
}

/// Both are the same entry of this list.
fn same(key: &str, one: &Node, other: &Node) -> bool {
    let place = |node| match key {
        "volumes" | "devices" => {
            part(node, "target", |text| text.split(':').nth(1).unwrap_or(text)).map(tidy)
        }
        "tmpfs" => part(node, "", |text| text.split(':').next().unwrap_or(text)).map(tidy),
        "secrets" => mounted(node, "/run/secrets"),
        "configs" => mounted(node, ""),
        "env_file" => part(node, "path", |text| text).map(str::to_owned),
        _ => None,
    };
    match (place(one), place(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.kind == other.kind,
    }
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
fn plain(node: Node) -> Option<Node> {
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
