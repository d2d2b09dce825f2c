//! `secrets` and `configs` as they are written, short and long, and where their content is.
//!
//! Swarm gives secrets and configs to the task container only, as files: a component gets some of those.

use super::cursor::{At, Cursor, Faults};
use super::fault::{nearest, quote, quote_all};
use super::load::{FileFault, FileKind, Files};
use super::raw::Raw;
use super::values::{mode, text, tidy_path, within};
use crate::pod::spec::FileSpec;

/// Where Swarm puts secrets.
const SECRETS: &str = "/run/secrets";
/// Swarm's permissions for secrets and configs.
const DEFAULT_MODE: u32 = 0o444;

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
    target: Option<String>,
    uid: u32,
    gid: u32,
    mode: u32,
}

/// Tells the file of the task container that stands for a name which the definition itself declares (the
/// `secrets` and `configs` of a Compose file); labels declare none.
pub(super) type Declared<'a> = &'a dyn Fn(Kind, &str) -> Option<String>;

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
pub(super) fn secrets(raw: &mut Raw, cursor: &Cursor<'_>) {
    list(raw, cursor, Kind::Secret);
}

/// Reads `configs`.
pub(super) fn configs(raw: &mut Raw, cursor: &Cursor<'_>) {
    list(raw, cursor, Kind::Config);
}

fn list(raw: &mut Raw, cursor: &Cursor<'_>, kind: Kind) {
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
    let short = RawFile { kind, source: String::new(), target: None, uid: 0, gid: 0, mode: DEFAULT_MODE };
    let word = kind.word();
    let valid = format!("the name of a {word}, or a mapping such as `{{source: name, target: /path}}`");
    if cursor.pairs().is_none() {
        let source = name(cursor, kind, &valid)?;
        return Some(RawFile { source, ..short });
    }
    // Every part is read before any is missed, so that all of them are judged.
    let mut file = short;
    let (mut sound, mut said) = (true, false);
    for pair in cursor.known_pairs(KEYS, &valid)? {
        let value = &pair.value;
        let read = match pair.key {
            "source" => {
                said = true;
                name(value, kind, &format!("the name of a {word}")).map(|source| file.source = source)
            }
            "target" => target(value, kind).map(|target| file.target = Some(target)),
            "uid" => id(value).map(|uid| file.uid = uid),
            "gid" => id(value).map(|gid| file.gid = gid),
            _ => mode(value).map(|mode| file.mode = mode),
        };
        sound &= read.is_some();
    }
    if !said {
        cursor.fault("`source` is missing", format!("valid is the name of a {word} of the task container"));
    }
    (sound && said).then_some(file)
}

fn name(cursor: &Cursor<'_>, kind: Kind, valid: &str) -> Option<String> {
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

/// What the component gets, where the task container has it.
pub(super) fn file(
    files: &dyn Files,
    faults: &Faults,
    declared: Declared<'_>,
    written: &At<RawFile>,
) -> Option<FileSpec> {
    let At { value: raw, place } = written;
    let word = raw.kind.word();
    let source = declared(raw.kind, &raw.source).or_else(|| raw.kind.path(&raw.source))?;
    match files.kind(&source) {
        Ok(FileKind::File) | Err(FileFault::Elsewhere) => {}
        Ok(FileKind::Folder | FileKind::Other) => {
            let remedy = format!("valid is a {word} of the task container");
            faults.fault(place, format!("{} is not a regular file", quote(&source)), remedy);
            return None;
        }
        Err(FileFault::Missing) => {
            let named = !raw.source.starts_with('/');
            let problem = match named {
                true => format!("the task container has no {word} {}", quote(&raw.source)),
                false => format!("{} {}", quote(&source), FileFault::Missing),
            };
            faults.fault(place, problem, missing(files, raw));
            return None;
        }
        Err(fault) => {
            let remedy = format!("valid is a {word} of the task container");
            faults.fault(place, format!("{} {fault}", quote(&source)), remedy);
            return None;
        }
    }
    Some(FileSpec {
        target: raw.target.clone().or_else(|| default_target(raw))?,
        source,
        uid: raw.uid,
        gid: raw.gid,
        mode: raw.mode,
    })
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
fn missing(files: &dyn Files, raw: &RawFile) -> String {
    let give = match raw.kind {
        Kind::Secret => "give it to the pod's own service (`secrets`)",
        Kind::Config => {
            "give it to the pod's own service (`configs`), with no `target` or with this name as one"
        }
    };
    if raw.kind == Kind::Config {
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
