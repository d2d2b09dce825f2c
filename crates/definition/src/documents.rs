//! Several YAML documents in one Compose file, or in several that are one project: each is merged over those before it, as by
//! compose-go. What a document includes, and what a service extends, is put in place in each of them alone.

use std::collections::BTreeMap;

use super::extends::{by_key, merged, plain};
use super::yaml::{Entry, Kind, Node};

/// Most documents of a file: each merge costs as much as all that was merged before.
pub(super) const MOST_DOCUMENTS: usize = 32;
/// The mappings of names.
pub(super) const NAMED: &[&str] = &["configs", "models", "networks", "secrets", "services", "volumes"];

/// The file that these documents are together, over the services of the files before it (`earlier`). `complete` puts in place
/// what a document includes and its services extend; `None` where that is too much, which is a fault.
pub(super) fn merge(
    earlier: Vec<Entry>,
    mut documents: Vec<Node>,
    mut complete: impl FnMut(Node) -> Option<Node>,
) -> Option<Node> {
    let id = documents.first()?.id;
    let mut whole = match earlier.is_empty() {
        true if documents.len() == 1 => return complete(documents.pop()?),
        true => None,
        false => {
            let value = Node { id, kind: Kind::Map(earlier) };
            let services = Entry { key: "services".to_owned(), key_id: id, value };
            Some(Node { id, kind: Kind::Map(vec![services]) })
        }
    };
    for tagged in documents {
        let mut node = tagged.clone();
        if let Kind::Map(entries) = &mut node.kind {
            // What is marked as a whole is read like any other.
            for entry in entries.iter_mut().filter(|entry| entry.key == "services") {
                if let Kind::Override(services) = &mut entry.value.kind {
                    entry.value = (**services).clone();
                }
            }
        }
        let Some(node) = plain(complete(node)?) else { continue };
        whole = Some(match whole {
            Some(mut before) => {
                clear(&mut before, &tagged);
                together(before, node)
            }
            None => node,
        });
    }
    whole
}

/// Takes out of a tree what another one marks `!reset` or `!override`.
fn clear(node: &mut Node, tagged: &Node) {
    let Kind::Map(tagged) = &tagged.kind else { return };
    let tagged: BTreeMap<&str, &Node> =
        tagged.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect();
    let is_cleared =
        |key: &str| tagged.get(key).is_some_and(|node| matches!(node.kind, Kind::Reset | Kind::Override(_)));
    match &mut node.kind {
        Kind::Map(entries) => {
            entries.retain(|entry| !is_cleared(&entry.key));
            for entry in entries {
                if let Some(tagged) = tagged.get(entry.key.as_str()) {
                    clear(&mut entry.value, tagged);
                }
            }
        }
        // The short form of a mapping: `[db]`, `[A=1]`.
        Kind::List(items) => items.retain(|item| match &item.kind {
            Kind::Text(text) => !text.split('=').next().is_some_and(is_cleared),
            _ => true,
        }),
        _ => {}
    }
}

/// The later document over the ones before.
fn together(before: Node, later: Node) -> Node {
    let id = before.id;
    let kind = match (before.kind, later.kind) {
        (Kind::Map(before), Kind::Map(later)) => Kind::Map(by_key(before, later, section)),
        (_, later) => later,
    };
    Node { id, kind }
}

/// One key of the file. Names in it may be those of keys of a service, which are merged in ways of their own.
fn section(before: Node, later: Node, key: &str) -> Node {
    if !NAMED.contains(&key) {
        return merged(before, later, "");
    }
    let id = later.id;
    let kind = match (before.kind, later.kind) {
        (before, Kind::Null) => before,
        (Kind::Map(before), Kind::Map(later)) => {
            Kind::Map(by_key(before, later, |before, later, _| merged(before, later, "")))
        }
        (_, later) => later,
    };
    Node { id, kind }
}
