//! `secrets` and `configs` as they are written, short and long, and where their content is.
//!
//! Swarm gives secrets and configs to the task container only, as files: a component gets some of those.

use std::collections::BTreeMap;

use super::cursor::{Cursor, Diagnostics, Pair, Spanned};
use super::diagnostic::{nearest, quote, quote_all};
use super::files::{FileFault, FileKind, Files};
use super::interpolate::Lookup;
use super::raw::RawComponent;
use super::values::{boolean, mode, text, tidy_path, within};
use pod::spec::{FileSource, FileSpec, LARGEST_SECRET_BYTES};

/// Where Swarm puts secrets.
const SECRETS: &str = "/run/secrets";
/// Swarm's permissions for secrets and configs.
const DEFAULT_MODE: u32 = 0o444;

/// Keys of an entry for which Compose takes an empty text as it takes nothing; an empty `mode` it refuses.
const EMPTY_IS_ABSENT: &[&str] = &["gid", "target", "uid"];

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Secret,
    Config,
}

/// A secret or config as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawFile {
    kind: Kind,
    source: String,
    origin: Option<Origin>,
    target: Option<String>,
    uid: u32,
    gid: u32,
    mode: u32,
}

/// Where the content of a secret or config is, as the definition declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The task container has it, by this name.
    Given(String),
    /// The file at this path of the task container.
    File(String),
    /// Said in the definition.
    Content(FileSource),
    /// It would be the value of this variable, which is not set.
    Unset(String),
    /// The declaration is a fault, and nothing more need be said.
    Faulty,
}

/// What the top-level `secrets` or `configs` of a Compose file declare, by name; labels declare none.
pub(super) type Declared = BTreeMap<String, Origin>;

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Secret => "secret",
            Kind::Config => "config",
        }
    }

    /// The folder below which a name is, and a target without a leading slash.
    fn folder(self) -> &'static str {
        match self {
            Kind::Secret => SECRETS,
            Kind::Config => "/",
        }
    }

    /// A path, or a name below the folder of its kind; `None` where it leads out of it, or is no file.
    fn path(self, text: &str) -> Option<String> {
        let folder = self.folder();
        let path = match text.starts_with('/') {
            true => tidy_path(text)?,
            false => tidy_path(&format!("{folder}/{text}")).filter(|path| within(path, folder))?,
        };
        (path != folder && path != "/" && !text.ends_with('/')).then_some(path)
    }
}

/// Reads `secrets`.
pub(super) fn secrets(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    list(raw, cursor, Kind::Secret);
}

/// Reads `configs`.
pub(super) fn configs(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    list(raw, cursor, Kind::Config);
}

fn list(raw: &mut RawComponent, cursor: &Cursor<'_>, kind: Kind) {
    let Some(items) = cursor.items() else {
        let word = kind.word();
        cursor.expected(&format!("a list of {word}s of the task container, each a name or a mapping"));
        return;
    };
    for item in items {
        raw.files.extend(entry(&item, kind).map(|file| item.at(file)));
    }
}

fn entry(cursor: &Cursor<'_>, kind: Kind) -> Option<RawFile> {
    const KEYS: &[&str] = &["source", "target", "uid", "gid", "mode"];
    let short = RawFile {
        kind,
        source: String::new(),
        origin: None,
        target: None,
        uid: 0,
        gid: 0,
        mode: DEFAULT_MODE,
    };
    let word = kind.word();
    let valid = format!("the name of a {word}, or a mapping such as `{{source: name, target: /path}}`");
    if cursor.pairs().is_none() {
        let source = called(cursor, kind, &valid)?;
        return Some(RawFile { source, ..short });
    }
    // Every part is read before any is missed, so that all of them are judged.
    let mut file = short;
    let (mut sound, mut said) = (true, false);
    for pair in cursor.known_pairs(KEYS, &valid)? {
        let value = &pair.value;
        // An empty text is what a variable that is not set leaves: Compose takes its own default then.
        if EMPTY_IS_ABSENT.contains(&pair.key) && value.is_empty() {
            continue;
        }
        let read = match pair.key {
            "source" => {
                said = true;
                called(value, kind, &format!("the name of a {word}")).map(|source| file.source = source)
            }
            "target" => target(value, kind).map(|target| file.target = Some(target)),
            "uid" => id(value).map(|uid| file.uid = uid),
            "gid" => id(value).map(|gid| file.gid = gid),
            _ => mode(value).map(|mode| file.mode = mode),
        };
        sound &= read.is_some();
    }
    if !said {
        let valid = format!("valid is the name of a {word} of the task container");
        cursor.missing("source", valid, |key| KEYS.contains(&key));
    }
    (sound && said).then_some(file)
}

fn called(cursor: &Cursor<'_>, kind: Kind, valid: &str) -> Option<String> {
    let written = text(cursor, valid)?;
    if kind.path(&written).is_none() {
        cursor.expected(valid);
        return None;
    }
    Some(written)
}

fn target(cursor: &Cursor<'_>, kind: Kind) -> Option<String> {
    let path = cursor.scalar().and_then(|text| kind.path(&text));
    if path.is_none() {
        cursor.expected(match kind {
            Kind::Secret => "an absolute path of a file, or one below `/run/secrets` such as `key.pem`",
            Kind::Config => "an absolute path of a file such as `/etc/app.conf`",
        });
    }
    path
}

fn id(cursor: &Cursor<'_>) -> Option<u32> {
    // The kernel's -1 means: nobody.
    let digits = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = cursor.scalar().filter(digits).and_then(|text| text.parse().ok()).filter(|id| *id < u32::MAX);
    if id.is_none() {
        cursor.expected("the number of a user or group such as `1000`");
    }
    id
}

impl RawFile {
    /// Takes what a Compose file declares for this name, and returns how many bytes of content that is.
    /// A declaration that is not there may be in what could not be read of a file of which this `is_partial`.
    pub(super) fn declare(&mut self, secrets: &Declared, configs: &Declared, is_partial: bool) -> usize {
        let declared = match self.kind {
            Kind::Secret => secrets,
            Kind::Config => configs,
        };
        self.origin = declared.get(&self.source).cloned().or(is_partial.then_some(Origin::Faulty));
        match &self.origin {
            Some(Origin::Content(FileSource::Content(text))) => text.len(),
            _ => 0,
        }
    }
}

/// Reads the top-level `secrets` or `configs` of a Compose file in this folder.
pub(super) fn declared(cursor: &Cursor<'_>, kind: Kind, folder: &str, lookup: Lookup<'_>) -> Declared {
    let pairs = cursor.pairs().unwrap_or_default();
    let declare = |pair: &Pair<'_>| {
        let origin = origin(pair, kind, folder, lookup).unwrap_or(Origin::Faulty);
        (pair.key.to_owned(), origin)
    };
    pairs.iter().filter(|pair| !pair.key.starts_with("x-")).map(declare).collect()
}

fn origin(declared: &Pair<'_>, kind: Kind, folder: &str, lookup: Lookup<'_>) -> Option<Origin> {
    const KEYS: &[&str] = &[
        "content",
        "driver",
        "driver_opts",
        "environment",
        "external",
        "file",
        "labels",
        "name",
        "template_driver",
    ];
    let given = Origin::Given(declared.key.to_owned());
    // The task container's own, as Swarm gives it.
    if declared.value.is_null() {
        return Some(given);
    }
    let valid = format!("the name of a {}", kind.word());
    let (mut name, mut external, mut said) = (None, false, Vec::new());
    let form = "a mapping such as `{file: ./name}`";
    if declared.value.pairs().is_none() {
        declared.value.expected_quietly(form);
        return None;
    }
    for pair in declared.value.known_pairs(KEYS, form)? {
        let value = &pair.value;
        let origin = match pair.key {
            "file" => text(value, "the path of a file in the task container").map(|path| {
                let relative = path.strip_prefix("./").unwrap_or(&path);
                Origin::File(if path.starts_with('/') { path } else { format!("{folder}/{relative}") })
            }),
            "environment" => {
                let name = text(value, "the name of a variable");
                name.map(|name| match lookup(&name) {
                    Some(text) if value.faults.expand(&value.place(), text.len()) => {
                        content(text.as_ref().to_owned())
                    }
                    _ => Origin::Unset(name),
                })
            }
            "content" if kind == Kind::Secret => {
                let problem = "a secret has no `content`, as in Compose";
                declared.value.faults.fault(&pair.key_place, problem, "valid are `file` and `environment`");
                continue;
            }
            "content" => match value.scalar() {
                Some(text) => Some(content(text)),
                None => {
                    value.expected_quietly("the text of the config");
                    None
                }
            },
            "external" => {
                // An older form has the name below it.
                external = match value.pairs() {
                    Some(pairs) => {
                        let named = pairs.iter().find(|pair| pair.key == "name" && !pair.value.is_null());
                        name = named.and_then(|pair| called(&pair.value, kind, &valid));
                        true
                    }
                    None => boolean(value)?,
                };
                continue;
            }
            "name" => {
                name = called(value, kind, &valid);
                continue;
            }
            "labels" => continue,
            _ => {
                value.warn("has no effect", "no object of the engine is made for it");
                continue;
            }
        };
        if let Some((before, _)) = said.first() {
            let problem = format!("found `{}` beside `{before}`", pair.key);
            declared.value.faults.fault(&pair.key_place, problem, "valid is one of them");
        }
        said.push((pair.key, origin?));
    }
    if external && let Some((before, _)) = said.first() {
        declared.value.fault(format!("found `external` beside `{before}`"), "valid is one of them");
    }
    match said.into_iter().next() {
        Some((_, origin)) => Some(origin),
        None => Some(name.filter(|_| external).map_or(given, Origin::Given)),
    }
}

fn content(text: String) -> Origin {
    Origin::Content(FileSource::Content(text))
}

/// What the component gets, where the task container or the definition has it.
pub(super) fn file(files: &dyn Files, faults: &Diagnostics, written: &Spanned<RawFile>) -> Option<FileSpec> {
    let Spanned { value: raw, place } = written;
    let word = raw.kind.word();
    let spec = |source| {
        let target = raw.target.clone().or_else(|| default_target(raw))?;
        Some(FileSpec { source, target, uid: raw.uid, gid: raw.gid, mode: raw.mode })
    };
    let source = match &raw.origin {
        None => raw.kind.path(&raw.source)?,
        Some(Origin::Faulty) => return None,
        Some(Origin::Given(name)) => raw.kind.path(name)?,
        Some(Origin::File(path)) => path.clone(),
        Some(Origin::Content(FileSource::Content(text))) if text.len() as u64 > LARGEST_SECRET_BYTES => {
            let problem = format!("the {word} {} is larger than 1 MiB", quote(&raw.source));
            faults.fault(place, problem, "mount it, or use `pod.copy`");
            return None;
        }
        Some(Origin::Content(content)) => return spec(content.clone()),
        Some(Origin::Unset(variable)) => {
            faults.fault(
                place,
                format!(
                    "the {word} {} is the variable {}, which is not set",
                    quote(&raw.source),
                    quote(variable)
                ),
                "set it in the task container's `environment`, or in `.env` beside the file",
            );
            return None;
        }
    };
    match files.kind(&source) {
        Ok(FileKind::File) | Err(FileFault::NotAvailable) => {}
        Ok(FileKind::Folder | FileKind::Other) => {
            let remedy = format!("valid is a {word} of the task container");
            faults.fault(place, format!("{} is not a regular file", quote(&source)), remedy);
            return None;
        }
        Err(FileFault::Missing) => {
            let named = match &raw.origin {
                None if raw.source.starts_with('/') => None,
                Some(Origin::Given(name)) => Some(name),
                None => Some(&raw.source),
                Some(_) => None,
            };
            let problem = match named {
                Some(name) => format!("the task container has no {word} {}", quote(name)),
                None => format!("{} {}", quote(&source), FileFault::Missing),
            };
            let remedy = match &raw.origin {
                Some(Origin::File(_)) => {
                    "the file must be in the task container: give it to the pod's own service as a secret, a config or a \
                     volume"
                        .to_owned()
                }
                _ => missing(files, faults, raw),
            };
            faults.fault(place, problem, remedy);
            return None;
        }
        Err(fault) => {
            let remedy = format!("valid is a {word} of the task container");
            faults.fault(place, format!("{} {fault}", quote(&source)), remedy);
            return None;
        }
    }
    spec(FileSource::Path(source))
}

/// As Swarm has it; what is written as a path is called by the file's name, or stays where it is.
fn default_target(raw: &RawFile) -> Option<String> {
    let path = raw.kind.path(&raw.source)?;
    let strange = raw.kind == Kind::Secret && !within(&path, SECRETS);
    match path.rsplit('/').next() {
        Some(name) if strange => Some(format!("{SECRETS}/{name}")),
        _ => Some(path),
    }
}

/// What to do about a secret or config that is not there.
fn missing(files: &dyn Files, faults: &Diagnostics, raw: &RawFile) -> String {
    let give = match raw.kind {
        Kind::Secret => "give it to the pod's own service (`secrets`)",
        Kind::Config => {
            "give it to the pod's own service (`configs`), with no `target` or with this name as one"
        }
    };
    if raw.kind == Kind::Config || faults.is_full() {
        return give.to_owned();
    }
    let there = files.names(SECRETS);
    match nearest(&raw.source, there.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {}? else {give}", quote(near)),
        None if there.is_empty() => format!("there is none in `{SECRETS}`: {give}"),
        None => {
            let all = quote_all(there.iter().map(String::as_str), "and");
            format!("in `{SECRETS}` there is {all}: {give}")
        }
    }
}
