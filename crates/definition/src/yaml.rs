//! YAML text to a tree, with the place of each node to be had on demand.
//!
//! The library tells places only in its errors. So nodes are numbered as they are read, and the place of one
//! is found by reading the same text again and failing on purpose at its number ([`locate`]): reading is
//! deterministic, so the number means the same node, through anchors and merge keys too.
//!
//! Text comes from whoever can set labels. What a tree may grow to is bounded ([`Limits`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::diagnostic::{Position, quote};

/// A node or key: its document, and its number there in reading order. Nodes of several documents may be in one tree, since
/// a service can extend one of another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId {
    document: u32,
    number: u32,
}

impl NodeId {
    /// The document, as a number of [`super::cursor::Diagnostics`].
    pub(super) fn document(self) -> usize {
        self.document as usize
    }
}

/// A node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// As it was written: `1.10` is a version more often than 1.1, and what is larger than any number type
    /// is still to be quoted.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text, merge keys (`<<`) applied, each key once.
    Map(Vec<Entry>),
    /// Marked with a YAML tag of its own (`!name`), which nothing here gives a meaning to.
    Tagged,
    /// Marked `!reset`: in a Compose file, what is extended does not have it either.
    Reset,
    /// Marked `!override`: in a Compose file, takes the place of what is extended.
    Override(Box<Node>),
}

impl Node {
    /// How many nodes and keys there are in it.
    pub(super) fn count(&self) -> usize {
        1 + match &self.kind {
            Kind::List(items) => items.iter().map(Node::count).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| 1 + entry.value.count()).sum(),
            Kind::Override(content) => content.count(),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Tagged | Kind::Reset => 0,
        }
    }

    /// How many bytes of text there are in it.
    pub(super) fn bytes(&self) -> usize {
        match &self.kind {
            Kind::Text(text) | Kind::Number(text) => text.len(),
            Kind::List(items) => items.iter().map(Node::bytes).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.key.len() + entry.value.bytes()).sum(),
            Kind::Override(content) => content.bytes(),
            Kind::Null | Kind::Bool(_) | Kind::Tagged | Kind::Reset => 0,
        }
    }

    /// Takes a key out of it, where it is a mapping that has it.
    pub(super) fn remove(&mut self, key: &str) {
        if let Kind::Map(entries) = &mut self.kind {
            entries.retain(|entry| entry.key != key);
        }
    }
}

/// The value of a key.
pub(super) fn value_of<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

/// One entry of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_id: NodeId,
    pub(super) value: Node,
}

/// A mistake in the YAML itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defect {
    pub(super) at: DefectAt,
    pub(super) problem: String,
    pub(super) remedy: &'static str,
}

/// What was read, and what is wrong with it although it could be read.
pub(super) type Parsed<T> = Result<(T, Vec<Defect>), Defect>;

/// Where a [`Defect`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DefectAt {
    Node(NodeId),
    Place(Option<Position>),
}

/// What text may grow to.
struct Limits {
    /// Bytes of text. The library takes time with the square of some nestings.
    text_bytes: usize,
    /// Opening brackets and braces: a cap on the nesting that costs the library the most.
    brackets: usize,
    /// Nodes and keys, aliases counted each time they are used.
    nodes: u32,
    /// Bytes of scalars, likewise.
    scalar_bytes: usize,
}

const LIMITS: Limits = Limits { text_bytes: 256 << 10, brackets: 4096, nodes: 20_000, scalar_bytes: 4 << 20 };

/// The tree of the text of a document, and what is wrong with it although it could be read.
pub(super) fn parse(text: &str, document: usize) -> Parsed<Node> {
    read(
        text,
        document,
        |pass| Reader { pass }.deserialize(serde_yaml::Deserializer::from_str(text)),
        put_back,
    )
}

/// The tree of each YAML document of a text, one after the other. The limits are those of one text.
pub(super) fn parse_all(text: &str, document: usize) -> Parsed<Vec<Node>> {
    let documents = |pass: &mut Pass| {
        serde_yaml::Deserializer::from_str(text)
            .map(|document| Reader { pass: &mut *pass }.deserialize(document))
            .collect()
    };
    read(text, document, documents, |nodes: &mut Vec<Node>, texts| {
        nodes.iter_mut().for_each(|node| put_back(node, texts));
    })
}

fn read<T>(
    text: &str,
    document: usize,
    trees: impl Fn(&mut Pass) -> Result<T, serde_yaml::Error>,
    put_back: impl Fn(&mut T, &mut BTreeMap<NodeId, String>),
) -> Parsed<T> {
    let whole = |problem: String, remedy| Defect { at: DefectAt::Place(None), problem, remedy };
    if text.len() > LIMITS.text_bytes {
        let problem = format!("the text has {} bytes", text.len());
        return Err(whole(problem, "valid are up to 262144"));
    }
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > LIMITS.brackets {
        return Err(whole(
            "the text opens too many brackets and braces".into(),
            "valid are up to 4096 of them",
        ));
    }
    // Far fewer than four billion fit into the labels and files of a definition.
    let document = u32::try_from(document).unwrap_or(u32::MAX);
    let mut pass = Pass { document, ..Pass::default() };
    let mut read = trees(&mut pass).map_err(|error| pass.defect(&error))?;
    if !pass.numbers.is_empty() {
        let mut again = Pass { document, verbatim: std::mem::take(&mut pass.numbers), ..Pass::default() };
        trees(&mut again).map_err(|error| again.defect(&error))?;
        put_back(&mut read, &mut again.texts);
    }
    Ok((read, pass.defects))
}

/// The place of a node of this text.
pub(super) fn locate(text: &str, node: NodeId) -> Option<Position> {
    let mut pass = Pass { document: node.document, stop_at: Some(node), ..Pass::default() };
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let error = documents.find_map(|document| Reader { pass: &mut pass }.deserialize(document).err())?;
    position(&error)
}

fn position(error: &serde_yaml::Error) -> Option<Position> {
    error.location().map(|location| Position { line: location.line(), column: location.column() })
}

/// Numbers get their text as it was written.
fn put_back(node: &mut Node, texts: &mut BTreeMap<NodeId, String>) {
    match &mut node.kind {
        Kind::Number(text) => {
            if let Some(written) = texts.remove(&node.id) {
                *text = written;
            }
        }
        Kind::List(items) => items.iter_mut().for_each(|item| put_back(item, texts)),
        Kind::Map(entries) => entries.iter_mut().for_each(|entry| put_back(&mut entry.value, texts)),
        Kind::Override(content) => put_back(content, texts),
        Kind::Null | Kind::Bool(_) | Kind::Text(_) | Kind::Tagged | Kind::Reset => {}
    }
}

/// One reading of a text.
#[derive(Default)]
struct Pass {
    document: u32,
    next: u32,
    scalar_bytes: usize,
    /// Fail at this node.
    stop_at: Option<NodeId>,
    /// Take these nodes as text, into `texts`.
    verbatim: BTreeSet<NodeId>,
    texts: BTreeMap<NodeId, String>,
    /// Which nodes were numbers.
    numbers: BTreeSet<NodeId>,
    defects: Vec<Defect>,
    /// The error came from here, not from the library.
    refusal: Option<(&'static str, &'static str)>,
}

impl Pass {
    fn enter<E: serde::de::Error>(&mut self) -> Result<NodeId, E> {
        let id = NodeId { document: self.document, number: self.next };
        self.next += 1;
        if self.next > LIMITS.nodes {
            self.refusal =
                Some(("the text holds too many values, or its aliases make them", "valid are up to 20000"));
            return Err(E::custom("too many nodes"));
        }
        Ok(id)
    }

    fn take<E: serde::de::Error>(&mut self, id: NodeId, text: &str) -> Result<String, E> {
        self.scalar_bytes += text.len();
        if self.scalar_bytes > LIMITS.scalar_bytes {
            self.refusal =
                Some(("the aliases of the text make it too large", "valid are up to 4194304 bytes"));
            return Err(E::custom("too much text"));
        }
        if text.contains('\0') {
            self.defects.push(Defect {
                at: DefectAt::Node(id),
                problem: "found a NUL character".into(),
                remedy: "valid is text without one, since the kernel ends every string at it",
            });
        }
        Ok(text.to_owned())
    }

    fn defect(&self, error: &serde_yaml::Error) -> Defect {
        let at = DefectAt::Place(position(error));
        if let Some((problem, remedy)) = self.refusal {
            return Defect { at, problem: problem.into(), remedy };
        }
        let message = error.to_string();
        if message.contains("recursion limit exceeded") {
            return Defect { at, problem: "nested too deeply".into(), remedy: "valid are up to 128 levels" };
        }
        if message.contains("repetition limit exceeded") {
            let problem = "the aliases of the text make it too large".into();
            return Defect { at, problem, remedy: "valid are up to 20000 values" };
        }
        if message.contains("more than one document") {
            let problem = "found a second document after `---`".into();
            return Defect { at, problem, remedy: "valid is one document" };
        }
        // The place stands before the message already; others that it names stay.
        let here = match position(error) {
            Some(Position { line, column }) => format!(" at line {line} column {column}"),
            None => String::new(),
        };
        let problem = format!("not YAML: {}", message.replacen(&here, "", 1));
        let remedy = if message.contains("cannot start any token") {
            "valid is indentation with spaces, and quotes around text that starts with a special character"
        } else if message.contains("unknown anchor") {
            // go-yaml keeps those of the documents before, against YAML, and so does Compose.
            "valid is an anchor above it in the same document: anchors end with their document"
        } else {
            "valid is YAML, such as `image: nginx`"
        };
        Defect { at, problem, remedy }
    }

    /// The entries of a mapping with what `<<` brings: own keys win, then the earlier of what is merged.
    fn merge(&mut self, mut own: Vec<Entry>, merged: Option<Node>) -> Vec<Entry> {
        let Some(merged) = merged else { return own };
        let sources = match merged.kind {
            Kind::List(items) => items,
            _ => vec![merged],
        };
        let mut keys: BTreeSet<String> = own.iter().map(|entry| entry.key.clone()).collect();
        for source in sources {
            let Kind::Map(entries) = source.kind else {
                self.defects.push(Defect {
                    at: DefectAt::Node(source.id),
                    problem: "found something to merge with `<<` that is not a mapping".into(),
                    remedy: "valid is an alias to a mapping, such as `<<: *base`, or a list of them",
                });
                continue;
            };
            own.extend(entries.into_iter().filter(|entry| keys.insert(entry.key.clone())));
        }
        own
    }
}

/// Reads one node.
struct Reader<'a> {
    pass: &'a mut Pass,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let id = self.pass.enter()?;
        if self.pass.stop_at == Some(id) {
            return deserializer.deserialize_any(Nothing(PhantomData));
        }
        if self.pass.verbatim.contains(&id) {
            let text = deserializer.deserialize_str(Scalar)?;
            let text = self.pass.take(id, &text)?;
            self.pass.texts.insert(id, text);
            return Ok(Node { id, kind: Kind::Null });
        }
        let kind = deserializer.deserialize_any(Any { id, pass: self.pass })?;
        Ok(Node { id, kind })
    }
}

/// Reads one key. Keys are text whatever they look like: `1` and `true` are names.
struct KeyReader<'a> {
    pass: &'a mut Pass,
}

impl<'de> DeserializeSeed<'de> for KeyReader<'_> {
    type Value = (NodeId, String);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let id = self.pass.enter()?;
        if self.pass.stop_at == Some(id) {
            return deserializer.deserialize_any(Nothing(PhantomData));
        }
        self.pass.refusal = Some(("found a list or a mapping as a key", "valid is a word"));
        let text = deserializer.deserialize_str(Scalar)?;
        self.pass.refusal = None;
        let text = self.pass.take(id, &text)?;
        Ok((id, text))
    }
}

/// Refuses everything: what is left is the error with its place.
struct Nothing<T>(PhantomData<T>);

impl<T> Visitor<'_> for Nothing<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

/// Takes a scalar as it is written.
struct Scalar;

impl Visitor<'_> for Scalar {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// Takes anything.
struct Any<'a> {
    id: NodeId,
    pass: &'a mut Pass,
}

impl Any<'_> {
    fn number<E>(self, number: impl fmt::Display) -> Result<Kind, E> {
        self.pass.numbers.insert(self.id);
        Ok(Kind::Number(number.to_string()))
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        self.number(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        self.number(value)
    }

    fn visit_i128<E>(self, value: i128) -> Result<Kind, E> {
        self.number(value)
    }

    fn visit_u128<E>(self, value: u128) -> Result<Kind, E> {
        self.number(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        self.number(value)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Text(self.pass.take(self.id, text)?))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element_seed(Reader { pass: &mut *self.pass })? {
            nodes.push(node);
        }
        Ok(Kind::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        let mut keys = BTreeSet::new();
        let mut merged = None;
        while let Some((key_id, key)) = map.next_key_seed(KeyReader { pass: &mut *self.pass })? {
            let value = map.next_value_seed(Reader { pass: &mut *self.pass })?;
            if !keys.insert(key.clone()) {
                self.pass.defects.push(Defect {
                    at: DefectAt::Node(key_id),
                    problem: format!("found the key {} twice", quote(&key)),
                    remedy: "valid is each key once",
                });
            } else if key == "<<" {
                merged = Some(value);
            } else {
                entries.push(Entry { key, key_id, value });
            }
        }
        Ok(Kind::Map(self.pass.merge(entries, merged)))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Kind, A::Error> {
        let (tag, content) = tagged.variant::<String>()?;
        if tag == "override" {
            let node = content.newtype_variant_seed(Reader { pass: self.pass })?;
            return Ok(Kind::Override(Box::new(node)));
        }
        content.newtype_variant::<IgnoredAny>()?;
        Ok(if tag == "reset" { Kind::Reset } else { Kind::Tagged })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// The node at a path of keys and indexes.
    fn at<'a>(node: &'a Node, path: &str) -> &'a Node {
        path.split('.').filter(|step| !step.is_empty()).fold(node, |node, step| match &node.kind {
            Kind::Map(entries) => &entries.iter().find(|entry| entry.key == step).unwrap().value,
            Kind::List(items) => &items[step.parse::<usize>().unwrap()],
            other => panic!("{other:?} has no {step}"),
        })
    }

    fn parse(text: &str) -> Parsed<Node> {
        super::parse(text, 0)
    }

    fn parse_all(text: &str) -> Parsed<Vec<Node>> {
        super::parse_all(text, 0)
    }

    fn place(text: &str, id: NodeId) -> (usize, usize) {
        let position = locate(text, id).unwrap();
        (position.line, position.column)
    }

    #[test]
    fn the_place_of_every_kind_of_node_is_exact() {
        let text = "\
a: one
b:
  - two
  -   'three'
  - {x: 4, y: [5, 6]}
c: |
  block
  text
d:
    e:   true
\u{e9}\u{4e16}: ~
f: [ ]
g: \"q\"
";
        let (root, defects) = parse(text).unwrap();
        assert_eq!(defects, []);
        for (path, expected) in [
            ("", (1, 1)),
            ("a", (1, 4)),
            ("b", (3, 3)),
            ("b.0", (3, 5)),
            ("b.1", (4, 7)),
            ("b.2", (5, 5)),
            ("b.2.x", (5, 9)),
            ("b.2.y", (5, 15)),
            ("b.2.y.1", (5, 19)),
            ("c", (6, 4)),
            ("d", (10, 5)),
            ("d.e", (10, 10)),
            ("\u{e9}\u{4e16}", (11, 5)),
            ("f", (12, 4)),
            ("g", (13, 4)),
        ] {
            assert_eq!(place(text, at(&root, path).id), expected, "{path}");
        }
        let Kind::Map(entries) = &root.kind else { panic!() };
        let keys: Vec<_> = entries.iter().map(|entry| place(text, entry.key_id)).collect();
        assert_eq!(keys, [(1, 1), (2, 1), (6, 1), (9, 1), (11, 1), (12, 1), (13, 1)]);
    }

    #[test]
    fn through_anchors_and_merge_keys_the_place_is_where_the_text_stands() {
        let text = "\
x-base: &base
  tty: nope
  user: &me root
y: &other {user: other, shm_size: 5}
app:
  <<: [*base, *other]
  image: a
  name: *me
deep:
  <<: {<<: *base, extra: 1}
";
        let (root, defects) = parse(text).unwrap();
        assert_eq!(defects, []);
        assert_eq!(place(text, at(&root, "app.tty").id), (2, 8));
        assert_eq!(place(text, at(&root, "app.shm_size").id), (4, 35));
        assert_eq!(
            at(&root, "app.user").kind,
            Kind::Text("root".into()),
            "the earlier source of a merge wins"
        );
        assert_eq!(place(text, at(&root, "app.name").id), (3, 9), "a node starts with its anchor");
        assert_eq!(place(text, at(&root, "app.image").id), (7, 10));
        assert_eq!(at(&root, "deep.tty").kind, Kind::Text("nope".into()), "merges nest");
        assert_eq!(place(text, at(&root, "deep.extra").id), (10, 26));
        let Kind::Map(entries) = &at(&root, "app").kind else { panic!() };
        let key = entries.iter().find(|entry| entry.key == "tty").unwrap();
        assert_eq!(place(text, key.key_id), (2, 3));
    }

    #[test]
    fn each_document_of_a_text_is_read_and_its_places_are_exact() {
        let text = "a: &x 1.10\n--- # two\nb: [2.50]\n...\n---\n---\nc: {d: e}\n";
        let (roots, defects) = parse_all(text).unwrap();
        assert_eq!((roots.len(), defects), (4, vec![]));
        assert_eq!(at(&roots[0], "a").kind, Kind::Number("1.10".into()));
        assert_eq!(at(&roots[1], "b.0").kind, Kind::Number("2.50".into()));
        assert_eq!(place(text, at(&roots[1], "b.0").id), (3, 5));
        assert_eq!(roots[2].kind, Kind::Null);
        assert_eq!(place(text, at(&roots[3], "c.d").id), (7, 8));
        assert_eq!(parse_all("").unwrap().0.len(), 1);
        for (text, problem) in [
            ("a: &x 1\n---\nb: *x", "not YAML: unknown anchor"),
            ("a: b\n---\n[", "not YAML: did not find expected node content, while parsing a flow node"),
            (&"---\n- a\n".repeat(20_000), "the text holds too many values, or its aliases make them"),
        ] {
            assert_eq!(parse_all(text).unwrap_err().problem, problem);
        }
    }

    #[test]
    fn own_keys_win_over_merged_ones_wherever_they_stand() {
        for text in ["b: &b {k: 1}\na: {<<: *b, k: 2}", "b: &b {k: 1}\na: {k: 2, <<: *b}"] {
            assert_eq!(at(&parse(text).unwrap().0, "a.k").kind, Kind::Number("2".into()), "{text}");
        }
    }

    #[test]
    fn scalars_are_what_yaml_1_2_says_and_numbers_keep_their_text() {
        let number = |text: &str| Kind::Number(text.into());
        let word = |text: &str| Kind::Text(text.into());
        for (text, expected) in [
            ("1.10", number("1.10")),
            ("0x1F", number("0x1F")),
            ("0o17", number("0o17")),
            ("+5", number("+5")),
            ("1e3", number("1e3")),
            ("99999999999999999999999999", number("99999999999999999999999999")),
            (".inf", number(".inf")),
            ("0755", word("0755")),
            ("1_000", word("1_000")),
            ("12:30:45", word("12:30:45")),
            ("yes", word("yes")),
            ("'5'", word("5")),
            ("!!str 5", word("5")),
            ("true", Kind::Bool(true)),
            ("False", Kind::Bool(false)),
            ("", Kind::Null),
            ("~", Kind::Null),
            ("null", Kind::Null),
            ("!custom 5", Kind::Tagged),
            ("!custom {a: 5}", Kind::Tagged),
            ("!custom [5]", Kind::Tagged),
            ("!reset", Kind::Reset),
            ("!reset []", Kind::Reset),
            ("!reset null", Kind::Reset),
            (
                "!override 1.10",
                Kind::Override(Box::new(Node {
                    id: NodeId { document: 0, number: 1 },
                    kind: number("1.10"),
                })),
            ),
            (
                "!override []",
                Kind::Override(Box::new(Node {
                    id: NodeId { document: 0, number: 1 },
                    kind: Kind::List(Vec::new()),
                })),
            ),
        ] {
            assert_eq!(parse(text).unwrap().0.kind, expected, "{text}");
        }
        let text = "a: &v 1.10\nb: *v\nc: !override [1, 2]\nd: 2.50";
        let (root, _) = parse(text).unwrap();
        assert_eq!(at(&root, "b").kind, number("1.10"));
        assert_eq!(at(&root, "d").kind, number("2.50"));
        assert_eq!(place(text, at(&root, "c").id), (3, 4));
        assert_eq!(place(text, at(&root, "d").id), (4, 4));
    }

    #[test]
    fn a_duplicate_key_is_a_defect_at_the_second_one() {
        let text = "a: 1\nb: {c: 1, 'c': 2}\na: 3\n";
        let (_, defects) = parse(text).unwrap();
        let places: Vec<_> = defects
            .iter()
            .map(|defect| match defect.at {
                DefectAt::Node(id) => (place(text, id), defect.problem.as_str()),
                DefectAt::Place(_) => panic!(),
            })
            .collect();
        assert_eq!(places, [((2, 11), "found the key `c` twice"), ((3, 1), "found the key `a` twice")]);
    }

    #[test]
    fn hostile_text_is_refused_in_bounded_time() {
        let laughs = (0..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
            let m = n + 1;
            text + &format!(
                "a{m}: &a{m} [*a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}]\n"
            )
        });
        let long = format!("a: &a {}\nb:\n{}", "x".repeat(100_000), "  - *a\n".repeat(10_000));
        let many = format!("a: &a [{}]\nb:\n{}", "1,".repeat(15_000), "  - *a\n".repeat(10_000));
        for (name, text, problem) in [
            ("billion laughs", laughs, "the text holds too many values, or its aliases make them"),
            ("a long text repeated", long, "the aliases of the text make it too large"),
            ("a long list repeated", many, "the text holds too many values, or its aliases make them"),
            ("flow nesting", "[".repeat(100_000), "the text opens too many brackets and braces"),
            ("less of it", format!("{}{}", "[".repeat(4000), "]".repeat(4000)), "nested too deeply"),
            ("maps", "{a: ".repeat(4000), "nested too deeply"),
            ("block nesting", "- ".repeat(100_000), "nested too deeply"),
            ("an alias of itself", "&a [*a]".to_owned(), "nested too deeply"),
            ("too long", "a".repeat(300_000), "the text has 300000 bytes"),
            ("a list as a key", "? [a]\n: b".to_owned(), "found a list or a mapping as a key"),
            ("two documents", "a\n---\nb".to_owned(), "found a second document after `---`"),
            ("an unknown anchor", "*a".to_owned(), "not YAML: unknown anchor"),
        ] {
            assert_eq!(parse(&text).unwrap_err().problem, problem, "{name}");
        }
    }

    #[test]
    fn bad_yaml_tells_its_place_once() {
        let defect = parse("a: b\n  c: d\n").unwrap_err();
        assert_eq!(defect.at, DefectAt::Place(Some(Position { line: 2, column: 4 })));
        assert_eq!(defect.problem, "not YAML: mapping values are not allowed in this context");
        let defect = parse("a:\n\t- b").unwrap_err();
        assert_eq!(defect.at, DefectAt::Place(Some(Position { line: 2, column: 1 })));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-a&*<!:?{}\\[\\], \n'\"#|>0-9%@.~]{0,60}") {
            if let Ok((root, _)) = parse(&text) {
                prop_assert!(locate(&text, root.id).is_some());
            }
        }

        #[test]
        fn any_characters_are_read_or_refused(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
