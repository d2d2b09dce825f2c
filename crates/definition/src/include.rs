//! The files of a Compose project: the one that `pod.compose.file` names, and those that it includes.
//!
//! As compose-go has it (`loader/include.go`, `loader/loader.go`): an included project is read with its own folder and its own
//! defaults of variables, what its services extend is in place, and its relative paths are absolute, before its services and
//! declarations come below those of the file that includes it. A file is read as any other that a definition names: through
//! [`Surroundings::files`], which refuses the manager's own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::compose::{OURS, one_or_more};
use super::compose_file::{MOST_BYTES, beside};
use super::cursor::{Cursor, Diagnostics, Pair, Place};
use super::diagnostic::{Origin, nearest, quote};
use super::documents::{self, MOST_DOCUMENTS, NAMED as SECTIONS};
use super::extended::{FilePlace, Services};
use super::extends::{merged, plain};
use super::files::{FileFault, FileKind, MOST_FILES};
use super::interpolate::{Dialect, Interpolation, Lookup};
use super::labels::Surroundings;
use super::secrets::{self, Declared};
use super::tandem::PodSettings;
use super::values::{text, tidy_path};
use super::variables::{UNSET_REMEDY, Variables};
use super::volumes;
use super::yaml::{Entry, Kind, Node};

/// The keys of a Compose file. Of these, `include`, `services`, `volumes`, `secrets` and `configs` mean something to a pod.
const TOP: &[&str] =
    &["configs", "include", "models", "name", "networks", "secrets", "services", "version", "volumes"];
/// What the file as a whole is.
const FORM: &str = "a Compose file with `services`";
/// A file that is included, or has a service that another one extends.
pub(super) const PART: &str = "the path of a Compose file in the task container";
/// Most unknown keys of a file that are compared with the known ones.
const MOST_COMPARED: usize = 100;
/// Most nodes and keys of all services with what they extend.
const MOST_NODES: usize = 100_000;
/// How many files may include one another, or extend one another's services, in a row. Files of a remote pod are read in
/// rounds (`remote_pod/files.rs`), of which each file in the row takes up to three.
pub(super) const MOST_NESTED: usize = 8;

/// Services and declarations of one or several files.
#[derive(Default)]
pub(super) struct Project {
    /// Without what they extend, which is in place.
    pub(super) services: Vec<Service>,
    /// The name at the engine of each volume.
    pub(super) volumes: BTreeMap<String, String>,
    pub(super) secrets: Declared,
    pub(super) configs: Declared,
    /// Keys without an effect.
    pub(super) ignored: Vec<String>,
    /// Something of it could not be read, which is a fault already.
    pub(super) is_partial: bool,
}

/// What the YAML documents of a file include, and lack.
#[derive(Default)]
struct Below {
    /// What is included, without its services, which are in the documents.
    project: Project,
    /// Services that lack something of what they extend.
    partial: BTreeSet<String>,
}

/// A service with what it extends.
pub(super) struct Service {
    pub(super) entry: Entry,
    /// All that it extends could be read.
    pub(super) is_whole: bool,
}

/// Where relative paths of some files begin, and what their variables are.
pub(super) struct Scope<'s> {
    folder: &'s str,
    pub(super) lookup: Lookup<'s>,
    /// Files that are there for the services in them alone, each read once.
    pub(super) bases: RefCell<BTreeMap<String, Option<Rc<Services>>>>,
}

/// Reads the files of a project. What all of them may grow to is bounded.
pub(super) struct Reader<'a> {
    pub(super) around: &'a Surroundings<'a>,
    pub(super) faults: &'a Diagnostics,
    pub(super) variables: &'a Variables<'a>,
    /// How many bytes more variables may make.
    left: Cell<usize>,
    /// Nodes and bytes that were copied from what is extended.
    pub(super) copied: Cell<(usize, usize)>,
    /// Nodes and keys of all services.
    nodes: Cell<usize>,
    /// How often a file was read as a part of another.
    parts: Cell<usize>,
}

impl Project {
    /// Where each service is.
    fn places(&self) -> BTreeMap<String, usize> {
        self.services.iter().enumerate().map(|(at, service)| (service.entry.key.clone(), at)).collect()
    }

    /// Puts another one below this one: what both have is merged, and what stands here counts more.
    ///
    /// `places` are those of the services by their names, kept for the next one.
    fn put_below(&mut self, other: Project, places: &mut BTreeMap<String, usize>) {
        for Service { entry, is_whole } in other.services {
            match places.get(&entry.key).and_then(|at| self.services.get_mut(*at)) {
                Some(own) => {
                    let node = Node { id: own.entry.value.id, kind: Kind::Null };
                    own.entry.value = merged(entry.value, std::mem::replace(&mut own.entry.value, node), "");
                    own.is_whole &= is_whole;
                }
                None => {
                    places.insert(entry.key.clone(), self.services.len());
                    self.services.push(Service { entry, is_whole });
                }
            }
        }
        for (name, volume) in other.volumes {
            self.volumes.entry(name).or_insert(volume);
        }
        for (own, other) in [(&mut self.secrets, other.secrets), (&mut self.configs, other.configs)] {
            for (name, origin) in other {
                own.entry(name).or_insert(origin);
            }
        }
        self.ignored.extend(other.ignored);
        self.is_partial |= other.is_partial;
    }
}

impl Below {
    /// Puts what a document includes below its services, and the rest below what was included before.
    fn add(
        &mut self,
        included: Vec<Option<Project>>,
        services: &mut Project,
        places: &mut BTreeMap<String, usize>,
    ) {
        for included in included {
            let Some(mut included) = included else {
                self.project.is_partial = true;
                continue;
            };
            let own = std::mem::take(&mut included.services);
            services.put_below(Project { services: own, ..Project::default() }, places);
            self.project.put_below(included, &mut BTreeMap::new());
        }
    }
}

impl<'s> Scope<'s> {
    pub(super) fn new(folder: &'s str, lookup: Lookup<'s>) -> Self {
        Scope { folder, lookup, bases: RefCell::default() }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        around: &'a Surroundings<'a>,
        faults: &'a Diagnostics,
        variables: &'a Variables<'a>,
    ) -> Self {
        Reader {
            around,
            faults,
            variables,
            left: Cell::new(MOST_BYTES),
            copied: Cell::default(),
            nodes: Cell::default(),
            parts: Cell::default(),
        }
    }

    /// The project of the file that the pod's label names.
    pub(super) fn main(
        &self,
        path: &str,
        file: (&Place, Vec<Node>),
        scope: &Scope<'_>,
        whole: &mut PodSettings,
    ) -> Option<Project> {
        // A path of the label may be untidy, those that are compared with it never are.
        let mut chain = vec![tidy_path(path).unwrap_or_else(|| path.to_owned())];
        self.file(file, Project::default(), scope, &mut chain, Some(whole))
    }

    /// One file with what it includes, over the files of the same project before it. `chain` are the files that include one
    /// another, this one the last.
    fn file(
        &self,
        (document, documents): (&Place, Vec<Node>),
        mut before: Project,
        scope: &Scope<'_>,
        chain: &mut Vec<String>,
        mut whole: Option<&mut PodSettings>,
    ) -> Option<Project> {
        let trees = self.trees(document, scope, documents)?;
        let earlier = std::mem::take(&mut before.services);
        let mut below = Below::default();
        below.partial.extend(partial(&earlier));
        let is_first = earlier.is_empty();
        let earlier = earlier.into_iter().map(|service| service.entry).collect();
        let complete = |node| self.complete(node, document, scope, chain, &mut below);
        let node = documents::merge(earlier, trees, complete)?;
        let root = Cursor::root(self.faults, document, &node);
        let mut project = Project::default();
        for pair in self.sections(&root) {
            if pair.value.pairs().is_none() && SECTIONS.contains(&pair.key) {
                project.is_partial |= pair.key == "services";
                continue;
            }
            match pair.key {
                "volumes" => project.volumes = volumes::declared(&pair.value, &mut project.ignored),
                "secrets" => {
                    let kind = secrets::Kind::Secret;
                    project.secrets = secrets::declared(&pair.value, kind, scope.folder, scope.lookup);
                }
                "configs" => {
                    let kind = secrets::Kind::Config;
                    project.configs = secrets::declared(&pair.value, kind, scope.folder, scope.lookup);
                }
                OURS => match &mut whole {
                    Some(whole) => whole.read(&pair.value),
                    None => self.faults.warn(
                        &pair.key_place,
                        "has no effect in a file that another one includes",
                        "write it into the file that `pod.compose.file` names",
                    ),
                },
                _ => {}
            }
        }
        if let Some(services) = take_services(node) {
            let service = |Entry { key, key_id, value }| {
                // Its tags are about what was before it.
                let nothing = Node { id: value.id, kind: Kind::Null };
                let value = if is_first { plain(value).unwrap_or(nothing) } else { value };
                Service { is_whole: !below.partial.contains(&key), entry: Entry { key, key_id, value } }
            };
            project.services = services.into_iter().map(service).collect();
        }
        project.put_below(below.project, &mut BTreeMap::new());
        project.put_below(before, &mut BTreeMap::new());
        Some(project)
    }

    /// One YAML document of a file with the services that it includes, and what its services extend. The rest of what is
    /// included goes to `below`.
    fn complete(
        &self,
        mut node: Node,
        document: &Place,
        scope: &Scope<'_>,
        chain: &mut Vec<String>,
        below: &mut Below,
    ) -> Option<Node> {
        let included = {
            let root = Cursor::root(self.faults, document, &node);
            let pairs = root.pairs().unwrap_or_default();
            let include = pairs.iter().find(|pair| pair.key == "include" && !pair.value.is_null());
            include.map(|pair| self.include(&pair.value, scope, chain)).unwrap_or_default()
        };
        let Kind::Map(entries) = &mut node.kind else { return Some(node) };
        let mut project = Project::default();
        let at = entries.iter().position(|entry| entry.key == "services");
        let own = match at.and_then(|at| entries.get_mut(at)).map(|entry| &mut entry.value.kind) {
            Some(Kind::Map(services)) => std::mem::take(services),
            Some(Kind::Null) | None => Vec::new(),
            Some(_) => {
                // What they are is told where the file is read; what is included is there all the same.
                below.add(included, &mut project, &mut BTreeMap::new());
                return Some(node);
            }
        };
        let count = own.len();
        project.services = own.into_iter().map(|entry| Service { entry, is_whole: true }).collect();
        for service in &mut project.services {
            make_absolute(&mut service.entry.value, scope.folder);
        }
        let mut places = project.places();
        below.add(included, &mut project, &mut places);
        let path = chain.last().map_or("", String::as_str);
        let place = Services::place(document, path, scope.folder, chain.len());
        self.extend(&mut project, count, place, scope)?;
        let mut services = Vec::new();
        for Service { entry, is_whole } in project.services {
            if !is_whole {
                below.partial.insert(entry.key.clone());
            }
            services.push(entry);
        }
        match at.and_then(|at| entries.get_mut(at)) {
            Some(entry) if matches!(entry.value.kind, Kind::Map(_)) || !services.is_empty() => {
                entry.value.kind = Kind::Map(services);
            }
            Some(_) => {}
            None if services.is_empty() => {}
            None => entries.push(Entry {
                key: "services".to_owned(),
                key_id: node.id,
                value: Node { id: node.id, kind: Kind::Map(services) },
            }),
        }
        Some(node)
    }

    /// Puts in place what the services extend; the first `own` of them are the file's, and the others are those that it
    /// includes. `None` where there is too much of it.
    fn extend(&self, project: &mut Project, own: usize, place: FilePlace, scope: &Scope<'_>) -> Option<()> {
        let partial = partial(&project.services).collect();
        let entries =
            std::mem::take(&mut project.services).into_iter().map(|service| service.entry).collect();
        let services = Services::new(place, entries, partial);
        for (at, Entry { key, key_id, value }) in services.entries().iter().enumerate() {
            let found = match at < own {
                true => self.service(scope, &services, at),
                // Included ones were counted where they were read.
                false => Some((value.clone(), services.is_whole(at))),
            };
            let count =
                found.as_ref().map_or(MOST_NODES + 1, |(node, _)| if at < own { node.count() } else { 0 });
            let before = self.nodes.replace(self.nodes.get().saturating_add(count));
            let Some((node, is_whole)) = found.filter(|_| self.nodes.get() <= MOST_NODES) else {
                if before <= MOST_NODES {
                    let problem = "the services hold too many values by what they extend";
                    services
                        .cursor(self.faults, at)
                        .fault(problem, format!("valid are up to {MOST_NODES} in all"));
                }
                return None;
            };
            let entry = Entry { key: key.clone(), key_id: *key_id, value: node };
            project.services.push(Service { entry, is_whole });
        }
        Some(())
    }

    /// The YAML documents of a file that say something, each a mapping; `None` after a fault.
    pub(super) fn documents(&self, document: &Place) -> Option<Vec<Node>> {
        let mut nodes = self.faults.parse_all(document)?;
        if nodes.iter().any(|node| node.kind != Kind::Null) {
            nodes.retain(|node| node.kind != Kind::Null);
        }
        if nodes.len() > MOST_DOCUMENTS {
            let problem = format!("the file has {} YAML documents", nodes.len());
            self.faults.fault(document, problem, format!("valid are up to {MOST_DOCUMENTS}"));
            return None;
        }
        if let Some(node) = nodes.iter().find(|node| !matches!(node.kind, Kind::Map(_))) {
            // Whatever it is, a secret perhaps: nothing of it is repeated, its variables neither.
            Cursor::root(self.faults, document, node).expected_quietly(FORM);
            return None;
        }
        self.is_of_compose(document, &nodes).then_some(nodes)
    }

    /// Reports whether the file can be one of Compose by its keys, which is a fault otherwise. It is decided before any value
    /// is looked at: a file that is none may be a secret. A file without a key that says what it is may be one too.
    fn is_of_compose(&self, document: &Place, nodes: &[Node]) -> bool {
        let roots: Vec<_> = nodes.iter().map(|node| Cursor::root(self.faults, document, node)).collect();
        let pairs: Vec<_> = roots.iter().flat_map(|root| root.pairs().unwrap_or_default()).collect();
        if pairs.iter().any(|pair| ["include", "services", OURS].contains(&pair.key)) {
            return true;
        }
        self.faults.keep_quiet(document);
        let is_unknown = |pair: &&Pair<'_>| !TOP.contains(&pair.key) && !pair.key.starts_with("x-");
        let unknown: Vec<_> = pairs.iter().filter(is_unknown).collect();
        // The search takes time for each of them.
        let first = unknown.iter().take(MOST_COMPARED);
        let misspelled: Vec<_> =
            first.filter(|pair| nearest(pair.key, TOP.iter().copied()).is_some()).collect();
        misspelled.iter().for_each(|pair| self.faults.unknown_key(pair, TOP));
        if let Some(root) = roots.first().filter(|_| misspelled.is_empty() && !unknown.is_empty()) {
            root.expected_quietly(FORM);
        }
        unknown.is_empty()
    }

    /// The documents of a file with their variables in place.
    pub(super) fn trees(
        &self,
        document: &Place,
        scope: &Scope<'_>,
        documents: Vec<Node>,
    ) -> Option<Vec<Node>> {
        self.interpolating(scope, |interpolation| {
            let tree = |node| interpolation.tree(&Cursor::root(self.faults, document, node));
            documents.iter().map(tree).collect()
        })
    }

    /// What is made with the variables of this scope; `None` after a fault in one of them: what it would have said, nobody
    /// knows, and reading on would find faults that are none. Other files are read.
    pub(super) fn interpolating<T>(
        &self,
        scope: &Scope<'_>,
        make: impl FnOnce(&Interpolation<'_>) -> T,
    ) -> Option<T> {
        let unset = |cursor: &Cursor<'_>, name: &str| {
            if self.variables.is_first_unset(name) {
                let problem = match cursor.is_quiet() {
                    true => "a variable is not set".to_owned(),
                    false => format!("the variable {} is not set", quote(name)),
                };
                cursor.warn(problem, UNSET_REMEDY);
            }
        };
        let interpolation = Interpolation {
            lookup: scope.lookup,
            unset: &unset,
            dialect: Dialect::Compose,
            left: Cell::new(self.left.get()),
            failed: Cell::new(false),
        };
        let made = make(&interpolation);
        self.left.set(interpolation.left.get());
        (!interpolation.failed.get()).then_some(made)
    }

    /// The keys of a file that say something. What is no mapping of names and should be one is a fault.
    pub(super) fn sections<'n>(&self, root: &Cursor<'n>) -> Vec<Pair<'n>> {
        let pairs = root.known_pairs(&[TOP, &[OURS]].concat(), FORM).unwrap_or_default();
        for pair in pairs.iter().filter(|pair| SECTIONS.contains(&pair.key) && pair.value.pairs().is_none()) {
            pair.value.expected_quietly("a mapping of names");
        }
        pairs
    }

    /// What stands under `include`: a project for each item, nothing where it has a fault.
    fn include(
        &self,
        cursor: &Cursor<'_>,
        scope: &Scope<'_>,
        chain: &mut Vec<String>,
    ) -> Vec<Option<Project>> {
        let Some(items) = cursor.items() else {
            cursor.expected("a list of Compose files such as `[other.yml]`");
            return vec![None];
        };
        items.iter().map(|item| self.included(item, scope, chain)).collect()
    }

    /// One item of `include`, of which several files are one project, each over those before it.
    fn included(&self, item: &Cursor<'_>, scope: &Scope<'_>, chain: &mut Vec<String>) -> Option<Project> {
        const KEYS: &[&str] = &["path", "project_directory", "env_file"];
        let (mut paths, mut folder, mut env_files) = (Vec::new(), None, Vec::new());
        if item.pairs().is_some() {
            let mut sound = true;
            for pair in item.known_pairs(KEYS, "a mapping such as `{path: other.yml}`")? {
                let value = &pair.value;
                match pair.key {
                    "path" => {
                        let found = one_or_more(value)
                            .into_iter()
                            .map(|file| Some((self.part(&file, scope.folder)?, file)));
                        let found: Vec<_> = found.collect();
                        sound &= !found.is_empty() && found.iter().all(Option::is_some);
                        if found.is_empty() {
                            value.expected(&format!("{PART}, or a list of them"));
                        }
                        paths = found.into_iter().flatten().collect();
                    }
                    // As in Compose: a variable that is not set leaves it out.
                    "project_directory" if value.is_empty() => {}
                    "project_directory" => {
                        folder = text(value, "a folder of the task container")
                            .map(|path| joined(scope.folder, &path));
                        sound &= folder.is_some();
                    }
                    _ => {
                        for file in one_or_more(value) {
                            let path =
                                text(&file, "the path of a file in the task container, or a list of them");
                            sound &= path.is_some();
                            env_files.extend(path.map(|path| (joined(scope.folder, &path), file)));
                        }
                    }
                }
            }
            if !item.pairs()?.iter().any(|pair| pair.key == "path" && !pair.value.is_null()) {
                item.missing("path", format!("valid is {PART}"), |key| KEYS.contains(&key));
                sound = false;
            }
            if !sound {
                return None;
            }
        } else {
            paths.push((self.part(item, scope.folder)?, item.clone()));
        }
        let folder = folder
            .unwrap_or_else(|| paths.first().map_or(String::new(), |(path, _)| parent(path).to_owned()));
        // Each has variables of its own, from files that are looked for as often.
        for (path, cursor) in &paths {
            self.one_more(cursor, path)?;
        }
        let defaults = self.defaults(scope, &folder, &env_files);
        // What the including file's variables are counts more.
        let lookup = |name: &str| (scope.lookup)(name).or_else(|| defaults.get(name).cloned());
        let own = |name: &str| match (scope.lookup)(name) {
            Some(_) => None,
            None => defaults.get(name).cloned(),
        };
        let scope = Scope::new(&folder, &lookup);
        let mut project = Project::default();
        for (path, cursor) in paths {
            let document = self.open(&cursor, &path, chain)?;
            chain.push(path);
            let file = self
                .documents(&document)
                .and_then(|documents| self.file((&document, documents), project, &scope, chain, None));
            chain.pop();
            project = file?;
        }
        for service in &mut project.services {
            self.inherit(&mut service.entry.value, item, &own)?;
        }
        Some(project)
    }

    /// The path of a file that is read as a part of another one.
    pub(super) fn part(&self, cursor: &Cursor<'_>, folder: &str) -> Option<String> {
        let path = text(cursor, PART)?;
        let scheme = path.split_once("://").map(|(scheme, _)| scheme);
        // The text may hold a password.
        if let Some(scheme) = scheme.or(path.starts_with("git@").then_some("git")) {
            let problem = format!("found a file of another machine ({})", quote(scheme));
            cursor
                .fault(problem, "write a path in the task container; a Swarm config can put the file there");
            return None;
        }
        Some(joined(folder, &path))
    }

    /// Variables that an included project has unless the including one has them: of these files, or of `.env` in its folder.
    fn defaults(
        &self,
        scope: &Scope<'_>,
        folder: &str,
        files: &[(String, Cursor<'_>)],
    ) -> BTreeMap<String, Rc<str>> {
        let mut variables = BTreeMap::new();
        let read = |path: &str, above: &mut _| {
            beside(self.around, self.faults, path, self.variables, scope.lookup, above);
        };
        if files.is_empty() {
            read(&joined(folder, ".env"), &mut variables);
        }
        // As Compose has it, this one stands for no file.
        for (path, cursor) in files.iter().filter(|(path, _)| path != "/dev/null") {
            match self.around.files.kind(path) {
                Ok(FileKind::File) | Err(FileFault::NotAvailable) => {
                    read(path, &mut variables);
                }
                Ok(_) => {
                    self.refuse(cursor, path, &FileFault::NotAFile, "valid is a file of `NAME=value` lines")
                }
                Err(FileFault::TooMany) => {
                    self.refuse(cursor, path, &FileFault::TooMany, "name fewer");
                    // The others are too many as well.
                    break;
                }
                Err(fault) => self.refuse(cursor, path, &fault, "valid is a file of `NAME=value` lines"),
            }
        }
        variables
    }

    /// Gives the variables that stand in `environment` without a value those that the included project alone has (`own`):
    /// where its services end up, nobody knows them any more. `None` where that is too much, which is a fault.
    fn inherit(&self, service: &mut Node, item: &Cursor<'_>, own: Lookup<'_>) -> Option<()> {
        let Kind::Map(entries) = &mut service.kind else { return Some(()) };
        let value_of = |name: &str| match own(name) {
            Some(value) => self.take(item, value.len() + name.len() + 1).map(|()| Some(value)),
            None => Some(None),
        };
        for entry in entries.iter_mut().filter(|entry| entry.key == "environment") {
            match &mut entry.value.kind {
                Kind::Map(variables) => {
                    for variable in variables.iter_mut().filter(|variable| variable.value.kind == Kind::Null)
                    {
                        if let Some(value) = value_of(&variable.key)? {
                            variable.value.kind = Kind::Text(value.as_ref().to_owned());
                        }
                    }
                }
                Kind::List(items) => {
                    for item in items {
                        let Kind::Text(name) = &mut item.kind else { continue };
                        if let Some(value) = value_of(name)? {
                            *name = format!("{name}={value}");
                        }
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    /// Takes bytes from those that variables may make.
    fn take(&self, cursor: &Cursor<'_>, bytes: usize) -> Option<()> {
        let left = self.left.get().checked_sub(bytes);
        if left.is_none() {
            let problem = "the values of its variables make the text too large";
            cursor.fault(problem, format!("valid are up to {MOST_BYTES} bytes"));
        }
        self.left.set(left.unwrap_or_default());
        left.map(|_| ())
    }

    /// Opens a file that is included and counted, unless that goes round in a circle.
    fn open(&self, cursor: &Cursor<'_>, path: &str, chain: &[String]) -> Option<Place> {
        if let Some(from) = chain.iter().position(|above| above == path) {
            let circle: Vec<String> =
                chain.iter().skip(from).map(|path| quote(path)).chain([quote(path)]).collect();
            let problem = format!("the files include one another in a circle: {}", circle.join(" -> "));
            cursor.fault(problem, "leave one `include` out");
            return None;
        }
        self.read(cursor, path, chain.len())
    }

    /// Counts a file that is a part of another one. There are too many once.
    pub(super) fn one_more(&self, cursor: &Cursor<'_>, path: &str) -> Option<()> {
        let before = self.parts.replace(self.parts.get().saturating_add(1));
        if before == MOST_FILES {
            self.refuse(cursor, path, &FileFault::TooMany, "name fewer");
        }
        (before < MOST_FILES).then_some(())
    }

    /// Reads a file that is a part of another one; `depth` files are above it.
    pub(super) fn read(&self, cursor: &Cursor<'_>, path: &str, depth: usize) -> Option<Place> {
        if depth >= MOST_NESTED {
            let remedy = format!("valid are up to {MOST_NESTED} in a row");
            cursor.fault("too many files include or extend one another", remedy);
            return None;
        }
        let valid = format!("valid is {PART}");
        let text = match self.around.files.read(path).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => {
                cursor.fault(format!("{} is not UTF-8 text", quote(path)), valid);
                return None;
            }
            Err(fault) => {
                self.refuse(cursor, path, &fault, &valid);
                return None;
            }
        };
        // Read as often as it is named, it is there as often.
        if !self.faults.expand(&cursor.place(), text.len()) {
            return None;
        }
        Some(self.faults.document(Origin::File(path.to_owned()), &text))
    }

    fn refuse(&self, cursor: &Cursor<'_>, path: &str, fault: &FileFault, valid: &str) {
        let remedy = match fault {
            FileFault::TooMuch => FileFault::LESS,
            FileFault::NotAvailable => {
                "put it where the check finds it: in the folder of the Compose file, or below"
            }
            _ => valid,
        };
        cursor.fault(format!("{} {fault}", quote(path)), remedy);
    }
}

/// The services of a file.
fn take_services(node: Node) -> Option<Vec<Entry>> {
    let Kind::Map(entries) = node.kind else { return None };
    match entries.into_iter().find(|entry| entry.key == "services")?.value.kind {
        Kind::Map(services) => Some(services),
        _ => None,
    }
}

/// The names of the services that lack something of what they extend.
fn partial(services: &[Service]) -> impl Iterator<Item = String> {
    services.iter().filter(|service| !service.is_whole).map(|service| service.entry.key.clone())
}

/// The folder of a file.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path as it is, or below this folder, tidy as Compose makes it.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    tidy_path(&whole).unwrap_or(whole)
}

/// Puts the folder before the relative paths of a service: those of `env_file` and `label_file`.
pub(super) fn make_absolute(service: &mut Node, folder: &str) {
    let Kind::Map(entries) = &mut service.kind else { return };
    for entry in entries.iter_mut().filter(|entry| ["env_file", "label_file"].contains(&entry.key.as_str())) {
        begin_paths(&mut entry.value, folder);
    }
}

fn begin_paths(node: &mut Node, folder: &str) {
    let below = |path: &str| format!("{folder}/{}", path.strip_prefix("./").unwrap_or(path));
    match &mut node.kind {
        Kind::Text(path) if !path.starts_with('/') && !path.trim().is_empty() => *path = below(path),
        // A file may be called `7`.
        Kind::Number(name) => node.kind = Kind::Text(below(name)),
        Kind::Bool(name) => node.kind = Kind::Text(below(&name.to_string())),
        Kind::List(items) => items.iter_mut().for_each(|item| begin_paths(item, folder)),
        Kind::Map(entries) => {
            for entry in entries.iter_mut().filter(|entry| entry.key == "path") {
                begin_paths(&mut entry.value, folder);
            }
        }
        Kind::Override(content) => begin_paths(content, folder),
        _ => {}
    }
}
