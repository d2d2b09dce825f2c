//! The variables that a definition may name, and the values of files of variables.
//!
//! They are those of the task container, then those of `.env` beside a Compose file; never those of a manager elsewhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::cursor::{Diagnostics, Place, Spanned};
use super::diagnostic::{Origin, quote};
use super::env_file::{self, BadLine, Value, Variable};
use super::files::{FileFault, Files};
use super::interpolate::{Dialect, Lookup, Problem, Scope, interpolate};
use super::raw::EnvFile;

/// What to do about a variable that is not set.
pub(super) const UNSET_REMEDY: &str = "it counts as empty: set it in the task container's environment or in `.env` beside \
                                       the file, or write a default such as `${NAME:-value}`";

/// The variables of a pod's definition.
pub(super) struct Variables<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    /// Those of `.env`.
    beside: BTreeMap<String, Rc<str>>,
    /// What was looked up: a value may be long, and its name stand there often.
    known: RefCell<BTreeMap<String, Option<Rc<str>>>>,
    /// What was warned of: variables that are not set, and those that are left out.
    warned: RefCell<[BTreeSet<String>; 2]>,
}

impl<'a> Variables<'a> {
    /// Those of the task container alone.
    pub(super) fn new(environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Variables {
            environment,
            beside: BTreeMap::new(),
            known: RefCell::default(),
            warned: RefCell::default(),
        }
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<Rc<str>> {
        if let Some(known) = self.known.borrow().get(name) {
            return known.clone();
        }
        let value = (self.environment)(name).map(Rc::from).or_else(|| self.beside.get(name).cloned());
        self.known.borrow_mut().insert(name.to_owned(), value.clone());
        value
    }

    /// Adds those of `.env`, which count less.
    pub(super) fn add(&mut self, beside: BTreeMap<String, Rc<str>>) {
        self.beside = beside;
        self.known.borrow_mut().clear();
    }

    /// Sets a variable, whatever it is elsewhere.
    pub(super) fn set(&self, name: &str, value: &str) {
        self.known.borrow_mut().insert(name.to_owned(), Some(value.into()));
    }

    /// Reports whether this is the first time that this variable is found not to be set.
    pub(super) fn is_first_unset(&self, name: &str) -> bool {
        self.warned.borrow_mut()[0].insert(name.to_owned())
    }

    /// The value for a variable that stands in `environment` without one; a warning, once, where there is none.
    pub(super) fn inherited(&self, faults: &Diagnostics, place: &Place, name: &str) -> Option<Rc<str>> {
        let value = self.get(name);
        if value.is_none() && self.warned.borrow_mut()[1].insert(name.to_owned()) {
            faults.warn(
                place,
                format!("the variable {} has no value", quote(name)),
                "it is left out: set it in the task container's environment, or write `NAME=value`",
            );
        }
        value
    }
}

/// What a name without a value means in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bare {
    /// The value of the variable with this name; a warning where there is none.
    Variable,
    /// The same without a warning.
    QuietVariable,
    /// A value that is empty.
    Empty,
}

/// A file of variables, and how it is read.
pub(super) struct File<'a> {
    pub(super) variables: &'a Variables<'a>,
    pub(super) faults: &'a Diagnostics,
    /// The file.
    pub(super) document: &'a Place,
    /// Where the file is named: there the bytes of its values count.
    pub(super) named: &'a Place,
    /// What values may name, before what stands above them.
    pub(super) lookup: Lookup<'a>,
    pub(super) bare: Bare,
}

impl File<'_> {
    /// Notes the lines that cannot be read, and puts the variables of the others in place. `above` is what stands above, in
    /// the files before it too. No message holds anything of the file, which may be a secret that is no file of variables.
    pub(super) fn read(
        &self,
        (lines, bad): (Vec<Variable>, Vec<BadLine>),
        above: &mut BTreeMap<String, Rc<str>>,
    ) -> Vec<(String, Rc<str>)> {
        for bad in bad {
            self.faults.fault(&self.document.line(bad.line, bad.column), bad.problem, bad.remedy);
        }
        let mut read = Vec::new();
        for Variable { name, value, line, column } in lines {
            let place = self.document.line(line, column);
            let value: Option<Rc<str>> = match value {
                Some(Value::Template(text)) if text.contains('$') => self.interpolated(&text, &place, above),
                Some(Value::Template(text) | Value::Literal(text)) => Some(text.into()),
                None => self.bare(&name, &place, above),
            };
            if self.faults.is_too_large() {
                break;
            }
            if let Some(value) = value {
                above.insert(name.clone(), Rc::clone(&value));
                read.push((name, value));
            }
        }
        read
    }

    fn interpolated(&self, text: &str, place: &Place, above: &BTreeMap<String, Rc<str>>) -> Option<Rc<str>> {
        let unset = |name: &str| {
            if self.variables.is_first_unset(name) {
                let problem = "a variable that the value names is not set";
                let remedy = "it counts as empty: set it in the task container's environment, or write `$$` for a dollar \
                              sign, or single quotes around the value";
                self.faults.warn(place, problem, remedy);
            }
        };
        let lookup = |name: &str| (self.lookup)(name).or_else(|| above.get(name).cloned());
        let scope = Scope { lookup: &lookup, unset: &unset, dialect: Dialect::Compose };
        let room = self.faults.room();
        let mut left = room;
        let new = interpolate(text, scope, &mut left);
        let fits = self.faults.expand(self.named, room - left);
        match new {
            Ok(new) => fits.then(|| new.into()),
            Err(Problem { quiet, remedy, .. }) => {
                self.faults.fault(place, quiet, remedy);
                None
            }
        }
    }

    fn bare(&self, name: &str, place: &Place, above: &BTreeMap<String, Rc<str>>) -> Option<Rc<str>> {
        if self.bare == Bare::Empty {
            return Some("".into());
        }
        let value = (self.lookup)(name);
        // What a file before it says is still there, as in Compose.
        let warn = value.is_none() && self.bare == Bare::Variable && !above.contains_key(name);
        if warn && self.variables.warned.borrow_mut()[1].insert(name.to_owned()) {
            self.faults.warn(
                place,
                "the variable has no value",
                "it is left out: set it in the task container's environment, or write `NAME=value`",
            );
        }
        value.filter(|value| self.faults.expand(self.named, value.len()))
    }
}

/// Reads the variables and the labels of a component.
pub(super) struct Reader<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) variables: &'a Variables<'a>,
    pub(super) faults: &'a Diagnostics,
}

impl Reader<'_> {
    /// Env files in order, then `environment`, which stands at `place`: the later wins, at the place where the name first
    /// stood. A name without a value has that of the pod's variables, or is left out.
    pub(super) fn environment(
        &self,
        files: &[Spanned<EnvFile>],
        own: Vec<(String, Option<String>)>,
        place: &Place,
    ) -> Vec<(String, Option<String>)> {
        let value = |(name, value): (String, Option<String>)| {
            let inherited = || {
                let value = self.variables.inherited(self.faults, place, &name);
                value.filter(|value| self.faults.expand(place, value.len()))
            };
            let value = value.map(Rc::from).or_else(inherited);
            (name, value)
        };
        let own: Vec<(String, Option<Rc<str>>)> = own.into_iter().map(value).collect();
        let said: BTreeMap<&str, &Option<Rc<str>>> = match files.is_empty() {
            true => BTreeMap::new(),
            false => own.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        };
        let lookup = |name: &str| {
            let own = || said.get(name).copied().cloned().flatten();
            self.variables.get(name).or_else(own)
        };
        let mut all: Vec<(String, Option<Rc<str>>)> = Vec::new();
        let mut above = BTreeMap::new();
        for Spanned { value: EnvFile { path, required, raw }, place } in files {
            let form = if *raw { env_file::parse_raw } else { env_file::parse };
            let read = self.file(path, place, *required, form, (&lookup, Bare::Variable), &mut above);
            all.extend(read.into_iter().map(|(name, value)| (name, Some(value))));
        }
        drop(said);
        all.extend(own);
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        let mut once: Vec<(String, Option<Rc<str>>)> = Vec::new();
        for (name, value) in all {
            match index.get(&name) {
                Some(&at) => once[at].1 = value,
                None => {
                    index.insert(name.clone(), once.len());
                    once.push((name, value));
                }
            }
        }
        once.into_iter().filter_map(|(name, value)| Some((name, Some(value?.as_ref().to_owned())))).collect()
    }

    /// What label files say, each with its file. Their values may name the labels above them, and nothing else, as in
    /// Compose.
    pub(super) fn labels<'f>(
        &self,
        files: &'f [Spanned<String>],
    ) -> Vec<(String, Rc<str>, &'f Spanned<String>)> {
        let mut above = BTreeMap::new();
        let mut labels = Vec::new();
        for file in files {
            let lookup = |_: &str| None;
            let form = env_file::parse;
            let read = self.file(&file.value, &file.place, true, form, (&lookup, Bare::Empty), &mut above);
            labels.extend(read.into_iter().map(|(name, value)| (name, value, file)));
        }
        labels
    }

    fn file(
        &self,
        path: &str,
        place: &Place,
        required: bool,
        form: fn(&str) -> (Vec<Variable>, Vec<BadLine>),
        (lookup, bare): (Lookup<'_>, Bare),
        above: &mut BTreeMap<String, Rc<str>>,
    ) -> Vec<(String, Rc<str>)> {
        let content = match self.files.read(path) {
            Ok(content) => content,
            Err(FileFault::Missing) if !required => return Vec::new(),
            Err(FileFault::NotAvailable) => return Vec::new(),
            Err(fault) => {
                let remedy = match fault {
                    FileFault::TooMuch => FileFault::LESS,
                    _ => "valid is the path of a file in the task container",
                };
                self.faults.fault(place, format!("{} {fault}", quote(path)), remedy);
                return Vec::new();
            }
        };
        let Ok(text) = String::from_utf8(content) else {
            self.faults.fault(place, format!("{} is not text", quote(path)), "valid is a file in UTF-8");
            return Vec::new();
        };
        // The text may be shared by many components, and each gets all of it.
        if !self.faults.expand(place, text.len()) {
            return Vec::new();
        }
        let document = self.faults.document(Origin::File(path.to_owned()), "");
        let Reader { variables, faults, .. } = *self;
        File { variables, faults, document: &document, named: place, lookup, bare }.read(form(&text), above)
    }
}
