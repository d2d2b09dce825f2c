//! A walk over the trees of a definition that knows where it is and notes what is wrong.

use std::cell::RefCell;

use super::fault::{Fault, MOST_FAULTS, Origin, Position, Report, Warning, quote, suggest};
use super::yaml::{self, Defect, DefectAt, Kind, Node, NodeId};

/// A place in the texts of a definition, kept for what can be judged only later.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    document: usize,
    path: String,
    at: DefectAt,
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What is wrong, collected from every step.
#[derive(Default)]
pub(super) struct Faults {
    documents: RefCell<Vec<Document>>,
    faults: RefCell<Vec<Pending>>,
    warnings: RefCell<Vec<Pending>>,
}

struct Document {
    origin: Origin,
    text: String,
}

struct Pending {
    place: Place,
    problem: String,
    remedy: String,
}

/// A node, where it stands, and where to note what is wrong with it.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) faults: &'a Faults,
    pub(super) node: &'a Node,
    document: usize,
    path: String,
}

/// An entry of a mapping.
pub(super) struct Pair<'a> {
    pub(super) key: &'a str,
    pub(super) key_place: Place,
    pub(super) value: Cursor<'a>,
}

impl Faults {
    /// A text of the definition, to be named in faults.
    pub(super) fn document(&self, origin: Origin, text: &str) -> Place {
        let mut documents = self.documents.borrow_mut();
        documents.push(Document { origin, text: text.to_owned() });
        Place { document: documents.len() - 1, path: String::new(), at: DefectAt::Place(None) }
    }

    /// The tree of a text, its own faults noted; `None` where it is not YAML.
    pub(super) fn parse(&self, document: &Place) -> Option<Node> {
        let text = self.documents.borrow()[document.document].text.clone();
        let note = |defect: Defect| {
            self.fault(&Place { at: defect.at, ..document.clone() }, defect.problem, defect.remedy);
        };
        match yaml::parse(&text) {
            Ok((node, defects)) => {
                defects.into_iter().for_each(note);
                Some(node)
            }
            Err(defect) => {
                note(defect);
                None
            }
        }
    }

    /// Notes a fault.
    pub(super) fn fault(&self, place: &Place, problem: impl Into<String>, remedy: impl Into<String>) {
        let pending = Pending { place: place.clone(), problem: problem.into(), remedy: remedy.into() };
        self.faults.borrow_mut().push(pending);
    }

    /// Notes a warning.
    pub(super) fn warn(&self, place: &Place, problem: impl Into<String>, remedy: impl Into<String>) {
        let pending = Pending { place: place.clone(), problem: problem.into(), remedy: remedy.into() };
        self.warnings.borrow_mut().push(pending);
    }

    /// Notes a key that is none of the valid ones.
    pub(super) fn unknown_key(&self, pair: &Pair<'_>, known: &[&str]) {
        self.fault(&pair.key_place, "this key is unknown", suggest(pair.key, known.iter().copied()));
    }

    /// The warnings, or the report where there is any fault.
    pub(super) fn finish(self) -> Result<Vec<Warning>, Report> {
        let documents = self.documents.into_inner();
        let found = self.faults.into_inner();
        if found.is_empty() {
            let warnings = self.warnings.into_inner().into_iter().take(MOST_FAULTS);
            let mut warnings: Vec<_> = warnings.map(|pending| Warning(pending.settle(&documents))).collect();
            warnings.sort();
            return Ok(warnings);
        }
        let omitted = found.len().saturating_sub(MOST_FAULTS);
        let mut faults: Vec<_> =
            found.into_iter().take(MOST_FAULTS).map(|pending| pending.settle(&documents)).collect();
        faults.sort();
        // An env file that several components share has its faults once.
        faults.dedup();
        Err(Report { faults, omitted })
    }
}

impl Place {
    /// A place in the same text, for text that is not YAML.
    pub(super) fn line(&self, line: usize, column: usize) -> Place {
        Place { at: DefectAt::Place(Some(Position { line, column })), ..self.clone() }
    }
}

impl Pending {
    fn settle(self, documents: &[Document]) -> Fault {
        let document = &documents[self.place.document];
        let at = match self.place.at {
            DefectAt::Node(node) => yaml::locate(&document.text, node),
            DefectAt::Place(position) => position,
        };
        Fault {
            origin: document.origin.clone(),
            at,
            path: self.place.path,
            problem: self.problem,
            remedy: self.remedy,
        }
    }
}

impl<'a> Cursor<'a> {
    /// At the root of a text.
    pub(super) fn root(faults: &'a Faults, document: &Place, node: &'a Node) -> Cursor<'a> {
        Cursor { faults, node, document: document.document, path: String::new() }
    }

    /// Another node in the place of this one.
    pub(super) fn with_node<'b>(&self, node: &'b Node) -> Cursor<'b>
    where
        'a: 'b,
    {
        Cursor { faults: self.faults, node, document: self.document, path: self.path.clone() }
    }

    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        self.place_of(self.node.id, self.path.clone())
    }

    /// A value with this place.
    pub(super) fn at<T>(&self, value: T) -> At<T> {
        At { value, place: self.place() }
    }

    /// Notes a fault here.
    pub(super) fn fault(&self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.faults.fault(&self.place(), problem, remedy);
    }

    /// Notes a warning here.
    pub(super) fn warn(&self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.faults.warn(&self.place(), problem, remedy);
    }

    /// Notes that what stands here is not what belongs here.
    pub(super) fn expected(&self, valid: &str) {
        self.fault(format!("found {}", self.describe()), format!("valid is {valid}"));
    }

    /// [`Cursor::expected`] where the value may be a secret, so that only its kind is told.
    pub(super) fn expected_quietly(&self, valid: &str) {
        self.fault(format!("found {}", self.kind()), format!("valid is {valid}"));
    }

    /// Nothing was written here, which means: not said.
    pub(super) fn is_null(&self) -> bool {
        self.node.kind == Kind::Null
    }

    /// The text of a scalar; numbers and booleans are text here.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.node.kind {
            Kind::Text(text) | Kind::Number(text) => Some(text.clone()),
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Null | Kind::List(_) | Kind::Map(_) | Kind::Tagged | Kind::Reset | Kind::Override(_) => {
                None
            }
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Option<Vec<Cursor<'a>>> {
        let Kind::List(items) = &self.node.kind else { return None };
        let cursor = |(index, node)| Cursor { node, path: format!("{}[{index}]", self.path), ..self.clone() };
        Some(items.iter().enumerate().map(cursor).collect())
    }

    /// The entries of a mapping.
    pub(super) fn pairs(&self) -> Option<Vec<Pair<'a>>> {
        let Kind::Map(entries) = &self.node.kind else { return None };
        let pair = |entry: &'a yaml::Entry| {
            let path = self.child_path(&entry.key);
            Pair {
                key: &entry.key,
                key_place: self.place_of(entry.key_id, path.clone()),
                value: Cursor { node: &entry.value, path, ..self.clone() },
            }
        };
        Some(entries.iter().map(pair).collect())
    }

    /// The entries of a mapping that may have only these keys, without those that say nothing (null) and
    /// without extensions (`x-...`).
    pub(super) fn known_pairs(&self, known: &[&str], valid: &str) -> Option<Vec<Pair<'a>>> {
        let Some(pairs) = self.pairs() else {
            self.expected(valid);
            return None;
        };
        let keep = |pair: &Pair<'a>| {
            if known.contains(&pair.key) {
                return !pair.value.is_null();
            }
            if !pair.key.starts_with("x-") {
                self.faults.unknown_key(pair, known);
            }
            false
        };
        Some(pairs.into_iter().filter(keep).collect())
    }

    /// What stands here, in words.
    pub(super) fn describe(&self) -> String {
        match &self.node.kind {
            Kind::Text(text) if text.is_empty() => "an empty string".into(),
            Kind::Text(text) | Kind::Number(text) => quote(text),
            Kind::Bool(value) => format!("`{value}`"),
            _ => self.kind().into(),
        }
    }

    fn kind(&self) -> &'static str {
        match &self.node.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Tagged | Kind::Reset | Kind::Override(_) => "a value with a YAML tag",
        }
    }

    fn place_of(&self, node: NodeId, path: String) -> Place {
        Place { document: self.document, path, at: DefectAt::Node(node) }
    }

    fn child_path(&self, key: &str) -> String {
        let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        match (self.path.is_empty(), !key.is_empty() && key.chars().all(plain)) {
            (true, true) => key.to_owned(),
            (false, true) => format!("{}.{key}", self.path),
            (_, false) => format!("{}[{}]", self.path, quote(key).replace('`', "\"")),
        }
    }
}
