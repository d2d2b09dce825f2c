//! A walk over the trees of a definition that knows where it is and notes what is wrong.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::diagnostic::{
    Diagnostic, DiagnosticReport, MOST_FAULTS, Origin, Position, Warning, nearest, one_line, quote, suggest,
};
use pod::policy::{Allowances, Refusal};

use super::yaml::{self, Defect, DefectAt, Kind, Node, NodeId, Parsed};

/// A place in the texts of a definition, kept for what can be judged only later.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    document: usize,
    path: Path,
    at: DefectAt,
}

/// The longest key that a path shows whole.
const LONGEST_PLAIN_KEY: usize = 128;

/// A YAML path, from its end to the root, which is `None`. Its beginning is shared: a mapping with a long name and many
/// entries would else be copied once for each of them.
type Path = Option<Rc<Step>>;

#[derive(Debug, PartialEq)]
struct Step {
    above: Path,
    name: StepName,
}

#[derive(Debug, PartialEq)]
enum StepName {
    Key(String),
    Index(usize),
}

/// The path as text (`volumes[1].target`), empty for the root.
fn path_text(path: &Path) -> String {
    let Some(step) = path else { return String::new() };
    let above = path_text(&step.above);
    match &step.name {
        StepName::Index(index) => format!("{above}[{index}]"),
        StepName::Key(key) => {
            let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
            let plain = (1..=LONGEST_PLAIN_KEY).contains(&key.len()) && key.chars().all(plain);
            match (above.is_empty(), plain) {
                (true, true) => key.clone(),
                (false, true) => format!("{above}.{key}"),
                (_, false) => format!("{above}[{}]", quote(key).replace('`', "\"")),
            }
        }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What is wrong, collected from every step.
#[derive(Default)]
pub(super) struct Diagnostics {
    documents: RefCell<Vec<Document>>,
    /// As many as a report shows.
    faults: RefCell<Vec<Pending>>,
    /// How many more there are.
    omitted: Cell<usize>,
    warnings: RefCell<Vec<Pending>>,
    /// What would have to be allowed for this definition to pass the policy.
    allowances: RefCell<Allowances>,
    /// Bytes of the definition with aliases, variables and `extends` in place.
    expanded_bytes: Cell<usize>,
}

/// Most bytes that are read to find the lines of faults, of each fault the whole text.
const MOST_LOCATED_BYTES: usize = 2 << 20;

/// Most bytes of a definition with aliases, variables and `extends` in place, each env file as often as it is used, and what
/// each `pre_start` has of its component.
pub(super) const MOST_EXPANDED_BYTES: usize = 4 << 20;

struct Document {
    origin: Origin,
    text: String,
    /// Messages repeat no value of it.
    is_quiet: bool,
}

struct Pending {
    place: Place,
    problem: String,
    remedy: String,
    new_volume: Option<String>,
}

/// A node, where it stands, and where to note what is wrong with it.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) faults: &'a Diagnostics,
    pub(super) node: &'a Node,
    document: usize,
    path: Path,
}

/// An entry of a mapping.
pub(super) struct Pair<'a> {
    pub(super) key: &'a str,
    pub(super) key_place: Place,
    pub(super) value: Cursor<'a>,
}

impl Diagnostics {
    /// A text of the definition, to be named in faults.
    pub(super) fn document(&self, origin: Origin, text: &str) -> Place {
        let mut documents = self.documents.borrow_mut();
        documents.push(Document { origin, text: text.to_owned(), is_quiet: false });
        Place { document: documents.len() - 1, path: None, at: DefectAt::Place(None) }
    }

    /// Keeps values of this text out of messages: it may be something else than a definition, and secret.
    pub(super) fn keep_quiet(&self, document: &Place) {
        if let Some(document) = self.documents.borrow_mut().get_mut(document.document) {
            document.is_quiet = true;
        }
    }

    /// Adds bytes to the size of the definition with everything in place. False where it is too large, which is a fault
    /// here, once.
    pub(super) fn expand(&self, place: &Place, bytes: usize) -> bool {
        let before = self.expanded_bytes.get();
        let after = before.saturating_add(bytes);
        self.expanded_bytes.set(after);
        if before <= MOST_EXPANDED_BYTES && after > MOST_EXPANDED_BYTES {
            self.fault(
                place,
                "the definition is too large with its aliases, variables, `extends`, env files and `pre_start` in place",
                "valid are up to 4 MiB in all",
            );
        }
        after <= MOST_EXPANDED_BYTES
    }

    /// Reports whether the definition is too large with everything in place, which is a fault already.
    pub(super) fn is_too_large(&self) -> bool {
        self.expanded_bytes.get() > MOST_EXPANDED_BYTES
    }

    /// How many bytes more the definition may have with everything in place.
    pub(super) fn room(&self) -> usize {
        MOST_EXPANDED_BYTES.saturating_sub(self.expanded_bytes.get())
    }

    /// Reports whether there are more faults than a report shows: what costs time to say need not be said.
    pub(super) fn is_full(&self) -> bool {
        self.faults.borrow().len() >= MOST_FAULTS
    }

    /// The tree of a label's text, which counts for the size of the definition.
    pub(super) fn parse_label(&self, document: &Place) -> Option<Node> {
        let node = self.parse(document)?;
        self.expand(document, node.bytes()).then_some(node)
    }

    /// The tree of a text, its own faults noted; `None` where it is not YAML.
    pub(super) fn parse(&self, document: &Place) -> Option<Node> {
        self.parsed(document, yaml::parse)
    }

    /// The tree of each YAML document in a text.
    pub(super) fn parse_all(&self, document: &Place) -> Option<Vec<Node>> {
        self.parsed(document, yaml::parse_all)
    }

    fn parsed<T>(&self, document: &Place, parse: fn(&str, usize) -> Parsed<T>) -> Option<T> {
        let text = self.documents.borrow()[document.document].text.clone();
        let note = |defect: Defect| {
            self.fault(&Place { at: defect.at, ..document.clone() }, defect.problem, defect.remedy);
        };
        match parse(&text, document.document) {
            Ok((read, defects)) => {
                defects.into_iter().for_each(note);
                Some(read)
            }
            Err(defect) => {
                note(defect);
                None
            }
        }
    }

    /// Notes a fault.
    pub(super) fn fault(&self, place: &Place, problem: impl Into<String>, remedy: impl Into<String>) {
        if self.is_full() {
            self.omitted.set(self.omitted.get() + 1);
            return;
        }
        let (problem, remedy) = (problem.into(), remedy.into());
        let pending = Pending { place: place.clone(), problem, remedy, new_volume: None };
        self.faults.borrow_mut().push(pending);
    }

    /// Notes that the policy refuses something.
    pub(super) fn refuse(&self, place: &Place, refusal: Refusal) {
        self.allowances.borrow_mut().extend(refusal.allow);
        self.fault(place, one_line(&refusal.problem), one_line(&refusal.remedy));
    }

    /// Notes a warning.
    pub(super) fn warn(&self, place: &Place, problem: impl Into<String>, remedy: impl Into<String>) {
        // A file may name very many variables that are not set; no more than these are ever shown.
        let (problem, remedy) = (problem.into(), remedy.into());
        self.note_warning(Pending { place: place.clone(), problem, remedy, new_volume: None });
    }

    /// Warns, once for each volume, that the pod makes this one unless the engine has it.
    pub(super) fn warn_of_new_volume(&self, place: &Place, volume: &str, problem: String, remedy: String) {
        let new_volume = Some(volume.to_owned());
        let known = self.warnings.borrow().iter().any(|pending| pending.new_volume == new_volume);
        if !known {
            self.note_warning(Pending { place: place.clone(), problem, remedy, new_volume });
        }
    }

    fn note_warning(&self, pending: Pending) {
        // A file may name very many variables that are not set; no more than these are ever shown.
        if self.warnings.borrow().len() < MOST_FAULTS {
            self.warnings.borrow_mut().push(pending);
        }
    }

    /// Notes a key that is none of the valid ones.
    pub(super) fn unknown_key(&self, pair: &Pair<'_>, known: &[&str]) {
        self.fault(&pair.key_place, "this key is unknown", self.suggest(pair.key, known.iter().copied()));
    }

    /// What to write instead of `word` ([`suggest`]). The search for the nearest name takes time, so that a fault that no
    /// report shows has none.
    pub(super) fn suggest<'n>(&self, word: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
        if self.is_full() { "valid is another name".to_owned() } else { suggest(word, names) }
    }

    /// The warnings, or the report where there is any fault.
    pub(super) fn finish(self) -> Result<Vec<Warning>, DiagnosticReport> {
        if !self.faults.borrow().is_empty() {
            return Err(self.report());
        }
        let documents = self.documents.into_inner();
        let mut left = MOST_LOCATED_BYTES;
        let warnings = self.warnings.into_inner().into_iter();
        let settle = |mut pending: Pending| {
            let new_volume = pending.new_volume.take();
            Warning { fault: pending.settle(&documents, &mut left), new_volume }
        };
        let mut warnings: Vec<_> = warnings.map(settle).collect();
        warnings.sort();
        Ok(warnings)
    }

    /// The report on the faults.
    pub(super) fn report(self) -> DiagnosticReport {
        let documents = self.documents.into_inner();
        let found = self.faults.into_inner();
        let omitted = self.omitted.get();
        let mut left = MOST_LOCATED_BYTES;
        let mut faults: Vec<_> =
            found.into_iter().map(|pending| pending.settle(&documents, &mut left)).collect();
        faults.sort();
        // An env file that several components share has its faults once, and so has a text that others extend or stand for
        // by an alias: its place is the same on every path to it.
        faults.dedup_by(|later, first| {
            let same = |fault: &Diagnostic| {
                (fault.origin.clone(), fault.at, fault.problem.clone(), fault.remedy.clone())
            };
            later == first || (later.at.is_some() && same(later) == same(first))
        });
        DiagnosticReport { faults, omitted, allowances: self.allowances.into_inner() }
    }
}

impl Place {
    /// A place in the same text, for text that is not YAML.
    pub(super) fn line(&self, line: usize, column: usize) -> Place {
        Place { at: DefectAt::Place(Some(Position { line, column })), ..self.clone() }
    }
}

impl Pending {
    /// The fault with its place. The text is read once more for it, within `left` bytes of all texts; after those the YAML
    /// path alone tells the place.
    fn settle(self, documents: &[Document], left: &mut usize) -> Diagnostic {
        let document = &documents[self.place.document];
        let at = match self.place.at {
            DefectAt::Node(node) => {
                let within = left.checked_sub(document.text.len());
                *left = within.unwrap_or(0);
                within.and_then(|_| yaml::locate(&document.text, node))
            }
            DefectAt::Place(position) => position,
        };
        Diagnostic {
            origin: document.origin.clone(),
            at,
            path: path_text(&self.place.path),
            problem: self.problem,
            remedy: self.remedy,
        }
    }
}

impl<'a> Cursor<'a> {
    /// At the root of a text.
    pub(super) fn root(faults: &'a Diagnostics, document: &Place, node: &'a Node) -> Cursor<'a> {
        Cursor { faults, node, document: document.document, path: None }
    }

    /// Another node in the place of this one.
    pub(super) fn with_node<'b>(&self, node: &'b Node) -> Cursor<'b>
    where
        'a: 'b,
    {
        Cursor { faults: self.faults, node, document: self.document, path: self.path.clone() }
    }

    /// A node that stands under this key, as it is with what it extends or includes.
    pub(super) fn below<'b>(&self, key: &str, node: &'b Node) -> Cursor<'b>
    where
        'a: 'b,
    {
        Cursor { path: self.path_to(StepName::Key(key.to_owned())), ..self.with_node(node) }
    }

    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        self.place_of(self.node.id, self.path.clone())
    }

    /// A value with this place.
    pub(super) fn at<T>(&self, value: T) -> Spanned<T> {
        Spanned { value, place: self.place() }
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

    /// Notes that this mapping has no such key, unless one that `is_key` does not know is a misspelling of it: that key is a
    /// fault already.
    pub(super) fn missing(&self, key: &str, valid: impl Into<String>, is_key: impl Fn(&str) -> bool) {
        let misspelled = |pair: &Pair<'_>| !is_key(pair.key) && nearest(pair.key, [key]).is_some();
        if !self.pairs().unwrap_or_default().iter().any(misspelled) {
            self.fault(format!("`{key}` is missing"), valid);
        }
    }

    /// Nothing was written here, which means: not said.
    pub(super) fn is_null(&self) -> bool {
        self.node.kind == Kind::Null
    }

    /// An empty text.
    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.node.kind, Kind::Text(text) if text.is_empty())
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
        let cursor = |(index, node)| {
            let path = self.path_to(StepName::Index(index));
            Cursor { faults: self.faults, node, document: self.document, path }
        };
        Some(items.iter().enumerate().map(cursor).collect())
    }

    /// The entries of a mapping.
    pub(super) fn pairs(&self) -> Option<Vec<Pair<'a>>> {
        let Kind::Map(entries) = &self.node.kind else { return None };
        let pair = |entry: &'a yaml::Entry| {
            let path = self.path_to(StepName::Key(entry.key.clone()));
            Pair {
                key: &entry.key,
                key_place: self.place_of(entry.key_id, path.clone()),
                value: Cursor { faults: self.faults, node: &entry.value, document: self.document, path },
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
            _ if self.is_quiet() => self.kind().into(),
            Kind::Text(text) | Kind::Number(text) if !text.is_empty() => quote(text),
            Kind::Bool(value) => format!("`{value}`"),
            _ => self.kind().into(),
        }
    }

    /// Reports whether messages repeat no value of this text.
    pub(super) fn is_quiet(&self) -> bool {
        self.faults.documents.borrow().get(self.document).is_some_and(|document| document.is_quiet)
    }

    fn kind(&self) -> &'static str {
        match &self.node.kind {
            Kind::Null if self.is_all_of_an_empty_text() => "an empty string",
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(text) if text.is_empty() => "an empty string",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Tagged | Kind::Reset | Kind::Override(_) => "a value with a YAML tag",
        }
    }

    /// Nothing was written here, nor anywhere else in the text.
    fn is_all_of_an_empty_text(&self) -> bool {
        let documents = self.faults.documents.borrow();
        self.path.is_none() && documents.get(self.document).is_some_and(|document| document.text.is_empty())
    }

    fn place_of(&self, node: NodeId, path: Path) -> Place {
        Place { document: node.document(), path, at: DefectAt::Node(node) }
    }

    fn path_to(&self, name: StepName) -> Path {
        Some(Rc::new(Step { above: self.path.clone(), name }))
    }
}
