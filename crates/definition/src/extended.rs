//! `extends`: which service extends which, in the same file or in another one. How they are merged stands in `extends`.
//!
//! As compose-go has it (`loader/extends.go`): the path of a file begins at the folder of the project, or at the folder of the
//! file where that is itself there for `extends` alone; of such a file nothing counts but the services that are extended, and
//! its own `include` neither. Without a file, it is a service of the same YAML document.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::cursor::{Cursor, Diagnostics, Place};
use super::diagnostic::quote;
use super::documents;
use super::extends::merged;
use super::include::{Reader, Scope, make_absolute, parent};
use super::yaml::{Entry, Kind, Node};

/// How many services may extend one another in a row.
const MOST_EXTENDED: usize = 32;
/// Most nodes and keys that are copied from what is extended, and most bytes of text.
const MOST_COPIED: (usize, usize) = (400_000, 64 << 20);

/// Where the services of a file stand.
pub(super) struct FilePlace {
    document: Place,
    file: String,
    /// Where relative paths to other files begin.
    folder: String,
    /// So many files are in a row with this one, each included or extended by the one before.
    depth: usize,
}

/// The services of one file, or of one YAML document of it. What several services extend is merged once.
pub(super) struct Services {
    place: FilePlace,
    entries: Vec<Entry>,
    by_name: BTreeMap<String, usize>,
    /// Those that lack something of what they extend.
    partial: BTreeSet<String>,
    /// Services that were merged without a fault, and how many in a row they are.
    merged: RefCell<BTreeMap<usize, (Node, usize)>>,
}

/// What a service extends.
struct Base<'n> {
    service: String,
    file: Option<Cursor<'n>>,
}

impl Services {
    pub(super) fn place(document: &Place, file: &str, folder: &str, depth: usize) -> FilePlace {
        FilePlace { document: document.clone(), file: file.to_owned(), folder: folder.to_owned(), depth }
    }

    pub(super) fn new(place: FilePlace, entries: Vec<Entry>, partial: BTreeSet<String>) -> Self {
        let by_name = entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
        Services { place, entries, by_name, partial, merged: RefCell::default() }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn is_whole(&self, at: usize) -> bool {
        !self.partial.contains(&self.entries[at].key)
    }

    /// At a service as it was written.
    pub(super) fn cursor<'n>(&'n self, faults: &'n Diagnostics, at: usize) -> Cursor<'n> {
        let Entry { key, value, .. } = &self.entries[at];
        Cursor::root(faults, &self.place.document, value).below("services", value).below(key, value)
    }
}

impl Reader<'_> {
    /// A service with what it extends, and whether that is all of it; `None` where too much would be copied.
    pub(super) fn service(&self, scope: &Scope<'_>, services: &Services, at: usize) -> Option<(Node, bool)> {
        let (node, row) = self.with_base(scope, services, at, &mut Vec::new());
        self.may_copy().then_some((node, row.is_some()))
    }

    fn may_copy(&self) -> bool {
        let (nodes, bytes) = self.copied.get();
        nodes <= MOST_COPIED.0 && bytes <= MOST_COPIED.1
    }

    fn count(&self, node: &Node) {
        let (nodes, bytes) = self.copied.get();
        self.copied.set((nodes + node.count(), bytes + node.bytes()));
    }

    /// The service, and how many are in a row; `None` for the number where there is a fault. `seen` are the files and services
    /// that extend one another until here.
    fn with_base(
        &self,
        scope: &Scope<'_>,
        services: &Services,
        at: usize,
        seen: &mut Vec<(String, String)>,
    ) -> (Node, Option<usize>) {
        if let Some((node, row)) = services.merged.borrow().get(&at)
            && seen.len() + row <= MOST_EXTENDED
        {
            self.count(node);
            return (node.clone(), Some(*row));
        }
        let cursor = services.cursor(self.faults, at);
        let mut own = cursor.node.clone();
        self.count(&own);
        let row = services.is_whole(at).then_some(1);
        let pairs = cursor.pairs().unwrap_or_default();
        let Some(extends) = pairs.iter().find(|pair| pair.key == "extends") else { return (own, row) };
        own.remove("extends");
        if extends.value.is_null() {
            return (own, row);
        }
        let extends = &extends.value;
        seen.push((services.place.file.clone(), services.entries[at].key.clone()));
        let Some(base) = base_of(extends) else { return (own, None) };
        let other = match &base.file {
            Some(file) => match self.base_file(scope, services, file) {
                Some(other) => Some(other),
                None => return (own, None),
            },
            None => None,
        };
        let there = other.as_deref().unwrap_or(services);
        if seen.iter().any(|(file, name)| *file == there.place.file && *name == base.service) {
            let problem = format!("the services {} extend one another in a circle", circle(seen));
            extends.fault(problem, "leave one `extends` out");
            return (own, None);
        }
        if seen.len() >= MOST_EXTENDED {
            let valid = format!("valid are up to {MOST_EXTENDED} in a row");
            extends.fault("too many services extend one another", valid);
            return (own, None);
        }
        let Some(at_base) = there.by_name.get(&base.service).copied() else {
            // No service extends itself.
            let itself = &services.entries[at].key;
            let is_own = |name: &&str| there.place.file == services.place.file && name == itself;
            let names = there.entries.iter().map(|entry| entry.key.as_str()).filter(|name| !is_own(name));
            let place =
                other.as_ref().map_or(String::new(), |other| format!(" in {}", quote(&other.place.file)));
            let problem = format!("there is no service {}{place}", quote(&base.service));
            let remedy = match (names.clone().next(), &other) {
                (Some(_), _) => self.faults.suggest(&base.service, names),
                (None, Some(_)) => "valid is the name of a service of that file".to_owned(),
                (None, None) => "valid is another service, of which there is none".to_owned(),
            };
            extends.fault(problem, remedy);
            return (own, None);
        };
        if !self.may_copy() {
            return (own, None);
        }
        let (base, base_row) = self.with_base(scope, there, at_base, seen);
        let node = merged(base, own, "");
        let row = row.and(base_row).map(|row| row + 1);
        if let Some(row) = row {
            self.count(&node);
            services.merged.borrow_mut().insert(at, (node.clone(), row));
        }
        (node, row)
    }

    /// The services of another file. `None` where it cannot be read, which is a fault once.
    fn base_file(&self, scope: &Scope<'_>, services: &Services, cursor: &Cursor<'_>) -> Option<Rc<Services>> {
        let path = self.part(cursor, &services.place.folder)?;
        if let Some(known) = scope.bases.borrow().get(&path) {
            return known.clone();
        }
        let read = self.services_of(scope, cursor, &path, services.place.depth).map(Rc::new);
        scope.bases.borrow_mut().insert(path, read.clone());
        read
    }

    fn services_of(
        &self,
        scope: &Scope<'_>,
        cursor: &Cursor<'_>,
        path: &str,
        depth: usize,
    ) -> Option<Services> {
        self.one_more(cursor, path)?;
        let document = self.read(cursor, path, depth)?;
        let trees = self.trees(&document, scope, self.documents(&document)?)?;
        let node = documents::merge(Vec::new(), trees, Some)?;
        let root = Cursor::root(self.faults, &document, &node);
        let pairs = self.sections(&root);
        let mut entries =
            match pairs.iter().find(|pair| pair.key == "services").map(|pair| &pair.value.node.kind) {
                Some(Kind::Map(entries)) => entries.clone(),
                Some(_) => return None,
                None => Vec::new(),
            };
        let folder = parent(path);
        for entry in &mut entries {
            make_absolute(&mut entry.value, folder);
        }
        Some(Services::new(Services::place(&document, path, folder, depth + 1), entries, BTreeSet::new()))
    }
}

/// The services in a row, with their files where they are in several.
fn circle(seen: &[(String, String)]) -> String {
    let several = seen.iter().any(|(file, _)| Some(file) != seen.first().map(|(file, _)| file));
    let named = |(file, name): &(String, String)| match several {
        true => format!("{} of {}", quote(name), quote(file)),
        false => quote(name),
    };
    seen.iter().map(named).collect::<Vec<_>>().join(", ")
}

fn base_of<'n>(extends: &Cursor<'n>) -> Option<Base<'n>> {
    if let Some(service) = extends.scalar().filter(|service| !service.is_empty()) {
        return Some(Base { service, file: None });
    }
    let valid = "the name of a service, or a mapping such as `{service: base}`";
    let pairs = extends.known_pairs(&["file", "service"], valid)?;
    let Some(service) = pairs.iter().find(|pair| pair.key == "service") else {
        let is_key = |key: &str| ["file", "service"].contains(&key);
        extends.missing("service", "valid is one such as `{service: base}`", is_key);
        return None;
    };
    let file = pairs.iter().find(|pair| pair.key == "file").map(|pair| pair.value.clone());
    let Some(service) = service.value.scalar().filter(|service| !service.is_empty()) else {
        service.value.expected("the name of a service");
        return None;
    };
    Some(Base { service, file })
}
