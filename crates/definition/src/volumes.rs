//! `volumes` and `tmpfs` as they are written, short and long.

use std::collections::BTreeMap;

use super::cursor::{Cursor, Place};
use super::diagnostic::{found_text, quote, quote_all};
use super::values::{boolean, mode, size, text, tidy_path};
use pod::spec::{Mount, MountSource, Recursion};

const PROPAGATION: &[&str] = &["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// Words that Docker takes for other platforms, without an effect on Linux.
const CONSISTENCY: &[&str] = &["consistent", "cached", "delegated", "default"];

const SHORT: &str = "a volume such as `data:/var/lib/data`, `/host/path:/path:ro` or `/path`";

/// Options that the engine knows for a tmpfs: words, and names before a `=`.
const TMPFS_WORDS: &[&str] = &[
    "async",
    "atime",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "private",
    "relatime",
    "ro",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "sync",
    "unbindable",
];
const TMPFS_NAMES: &[&str] = &["gid", "huge", "mode", "mpol", "nr_blocks", "nr_inodes", "size", "uid"];

/// What the `volumes` of a Compose file declare, by the name in the file: the name at the engine.
pub(super) fn declared(cursor: &Cursor<'_>, ignored: &mut Vec<String>) -> BTreeMap<String, String> {
    const KEYS: &[&str] = &["driver", "driver_opts", "external", "labels", "name"];
    let mut declared = BTreeMap::new();
    for volume in cursor.pairs().unwrap_or_default().iter().filter(|pair| !pair.key.starts_with("x-")) {
        let (mut full, mut external, mut made) = (volume.key.to_owned(), false, None);
        let keys = match volume.value.is_null() {
            true => Vec::new(),
            false => {
                volume.value.known_pairs(KEYS, "a mapping such as `{external: true}`").unwrap_or_default()
            }
        };
        for pair in keys.iter().filter(|pair| !pair.value.is_null()) {
            let value = &pair.value;
            match pair.key {
                "name" => full = text(value, "the name of a volume").unwrap_or(full),
                // The older form of `external: true` with `name`.
                "external" if value.pairs().is_some() => {
                    external = true;
                    for pair in value.known_pairs(&["name"], "a boolean").unwrap_or_default() {
                        full = text(&pair.value, "the name of a volume").unwrap_or(full);
                    }
                }
                "external" => external = boolean(value).unwrap_or_default(),
                "labels" => ignored.push(format!("`volumes.{}.labels`", volume.key)),
                "driver" if matches!(value.scalar().as_deref(), Some("local" | "default")) => {}
                "driver_opts" if value.pairs().is_some_and(|pairs| pairs.is_empty()) => {}
                _ => made = Some(pair.key_place.clone()),
            }
        }
        if let Some(place) = made.filter(|_| !external) {
            cursor.faults.fault(
                &place,
                format!("a pod makes no volume in a way of its own, as {} asks", quote(volume.key)),
                "declare it in the stack's own `volumes`, mount it in the pod's own service, and set `external: true` \
                 here",
            );
        }
        declared.insert(volume.key.to_owned(), full);
    }
    declared
}

/// One entry of `volumes`; a named volume still under the name that was written.
pub(super) fn volume(cursor: &Cursor<'_>) -> Option<Mount> {
    if cursor.pairs().is_some() {
        return long(cursor);
    }
    match cursor.scalar() {
        Some(text) if !text.is_empty() => short(cursor, &text),
        _ => {
            cursor.expected(SHORT);
            None
        }
    }
}

/// One entry of `tmpfs`: path and options.
pub(super) fn tmpfs(cursor: &Cursor<'_>) -> Option<(String, String)> {
    let Some(text) = cursor.scalar() else {
        cursor.expected("a path such as `/run`, with options such as `/run:size=64m`");
        return None;
    };
    let (path, options) = text.split_once(':').unwrap_or((&text, ""));
    let path = target(cursor, path)?;
    for option in options.split(',').filter(|_| !options.is_empty()) {
        let known = match option.split_once('=') {
            Some((name, value)) => TMPFS_NAMES.contains(&name) && !value.is_empty(),
            None => TMPFS_WORDS.contains(&option),
        };
        if !known {
            let remedy =
                "valid are options of tmpfs such as `size=64m`, `mode=1777`, `uid=1000` and `noexec`";
            cursor.fault(found_text("the option", option), remedy);
            return None;
        }
    }
    Some((path, options.to_owned()))
}

fn short(cursor: &Cursor<'_>, text: &str) -> Option<Mount> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [path] => {
            Some(Mount { target: target(cursor, path)?, read_only: false, source: MountSource::volume(None) })
        }
        [from, to] => short_mount(cursor, from, to, ""),
        [from, to, mode] => short_mount(cursor, from, to, mode),
        _ => {
            let problem = format!("found {} with {} parts", quote(text), parts.len());
            cursor.fault(problem, "valid are `target`, `source:target` and `source:target:mode`");
            None
        }
    }
}

fn short_mount(cursor: &Cursor<'_>, from: &str, to: &str, words: &str) -> Option<Mount> {
    let source = source(cursor, from);
    let target = target(cursor, to);
    let mut mount = Mount { target: target?, read_only: false, source: source? };
    mode_words(cursor, words, &mut mount)?;
    Some(mount)
}

/// The third part of a short form, `ro,rshared` and the like.
fn mode_words(cursor: &Cursor<'_>, words: &str, mount: &mut Mount) -> Option<()> {
    for word in words.split(',').filter(|word| !word.is_empty()) {
        match (&mut mount.source, word) {
            (_, "ro") => mount.read_only = true,
            (_, "rw") => {}
            (_, word) if CONSISTENCY.contains(&word) => {}
            (_, "z" | "Z") => selinux(cursor, word),
            (MountSource::Volume { no_copy, .. }, "nocopy") => *no_copy = true,
            (MountSource::Bind { propagation, .. }, word) if PROPAGATION.contains(&word) => {
                *propagation = Some(word.to_owned());
            }
            (MountSource::Bind { .. }, "nocopy") => {
                cursor.fault("found the mode `nocopy` for a path of the host", "only a volume can have it");
                return None;
            }
            (MountSource::Volume { .. }, word) if PROPAGATION.contains(&word) => {
                cursor.fault(
                    format!("found the propagation `{word}` for a volume"),
                    "only a path of the host can have it",
                );
                return None;
            }
            (_, word) => {
                let valid = ["ro", "rw", "z", "Z", "nocopy"].iter().chain(PROPAGATION).copied();
                cursor.fault(
                    format!("found the mode {}", quote(word)),
                    format!("valid are {}", quote_all(valid, "and")),
                );
                return None;
            }
        }
    }
    Some(())
}

fn long(cursor: &Cursor<'_>) -> Option<Mount> {
    const KEYS: &[&str] =
        &["type", "source", "target", "read_only", "mode", "bind", "volume", "tmpfs", "image", "consistency"];
    // Every part is read before any is missed, so that all of them are judged.
    let (mut kind, mut from, mut to, mut read_only, mut words) = (None, None, None, false, None);
    let (mut bind, mut volume, mut tmpfs, mut image) = (None, None, None, None);
    let mut sound = true;
    for pair in cursor.known_pairs(KEYS, SHORT)? {
        let value = pair.value;
        match pair.key {
            "type" => {
                kind = text(&value, "one of `volume`, `bind` and `tmpfs`");
                sound &= kind.is_some();
            }
            "source" => from = Some(value),
            "target" => to = Some(value),
            "read_only" => read_only = boolean(&value).unwrap_or_default(),
            "mode" => words = Some(value),
            "bind" => bind = Some((pair.key_place, bind_options(&value))),
            "volume" => volume = Some((pair.key_place, volume_options(&value))),
            "tmpfs" => tmpfs = Some((pair.key_place, tmpfs_options(&value))),
            "image" => image = Some((pair.key_place, Some(Options::Image))),
            // Accepted for files shared with other platforms; nothing on Linux.
            _ => {
                let known = value.scalar().is_some_and(|word| CONSISTENCY.contains(&word.as_str()));
                if !known {
                    value.expected(&quote_all(CONSISTENCY.iter().copied(), "or"));
                }
            }
        }
    }
    let target = match &to {
        Some(to) => match to.scalar() {
            Some(path) => target(to, &path),
            None => {
                to.expected("an absolute path such as `/data`");
                None
            }
        },
        None => {
            let valid = "valid is an absolute path of the component such as `/data`";
            cursor.missing("target", valid, |key| KEYS.contains(&key));
            None
        }
    };
    let source = match &from {
        Some(from) => match text(from, "a volume's name, or an absolute path of the host") {
            Some(written) => source(from, &written).map(|source| Some((from, source))),
            None => None,
        },
        None => Some(None),
    };
    let (target, source) = (target?, source?);
    if !sound {
        return None;
    }
    // Podlike's default: what looks like a path is one.
    let kind = kind.unwrap_or_else(|| match &source {
        Some((_, MountSource::Bind { .. })) => "bind".into(),
        _ => "volume".into(),
    });
    let source = match (kind.as_str(), source) {
        ("bind", Some((_, source @ MountSource::Bind { .. }))) => source,
        ("bind", Some((from, _))) => {
            from.expected("an absolute path of the host for `type: bind`");
            return None;
        }
        ("bind", None) => {
            cursor.missing("source", "valid is an absolute path of the host", |key| KEYS.contains(&key));
            return None;
        }
        ("volume", Some((_, source @ MountSource::Volume { .. }))) => source,
        ("volume", Some((from, _))) => {
            from.expected("a volume's name for `type: volume`");
            return None;
        }
        ("volume", None) => MountSource::volume(None),
        ("tmpfs", None) => MountSource::Tmpfs { size_bytes: None, mode: None },
        ("tmpfs", Some((from, _))) => {
            from.fault("found a `source` for `type: tmpfs`", "valid is a tmpfs without one");
            return None;
        }
        ("image", _) => {
            // Docs of Docker, "Image mounts"; API 1.48 has `ImageOptions`.
            cursor.fault(
                "found the type `image`, which Docker Engine 28.0 and newer have (API 1.48)",
                "a component cannot mount an image: fill a volume from it with an init component",
            );
            return None;
        }
        (other, _) => {
            cursor.fault(found_text("the type", other), "valid are `volume`, `bind` and `tmpfs`");
            return None;
        }
    };
    let mut mount = Mount { target, read_only, source };
    let mut recursion = None;
    for (place, options) in [bind, volume, tmpfs, image].into_iter().flatten() {
        match (options, &mut mount.source) {
            (None, _) => return None,
            (Some(Options::Bind(said)), MountSource::Bind { propagation, .. }) => {
                *propagation = said.propagation;
                recursion = said.recursive;
            }
            (Some(Options::Volume(said, part)), MountSource::Volume { no_copy, subpath, .. }) => {
                (*no_copy, *subpath) = (said, part);
            }
            (Some(Options::Tmpfs(bytes, said)), MountSource::Tmpfs { size_bytes, mode }) => {
                (*size_bytes, *mode) = (bytes, said);
            }
            (Some(options), _) => {
                let name = options.name();
                cursor.faults.fault(
                    &place,
                    format!("found `{name}` for `type: {kind}`"),
                    format!("only `type: {name}` can have it"),
                );
                return None;
            }
        }
    }
    if let Some(words) = words {
        let Some(text) = words.scalar() else {
            words.expected("a mode such as `ro`");
            return None;
        };
        mode_words(&words, &text, &mut mount)?;
    }
    match recursion {
        Some((place, recursion)) => recursed(cursor, &place, recursion, mount),
        None => Some(mount),
    }
}

/// The mount with this wish for the mounts below it, where the engine would take it.
fn recursed(cursor: &Cursor<'_>, place: &Place, wish: Recursion, mut mount: Mount) -> Option<Mount> {
    let MountSource::Bind { recursive, propagation, .. } = &mut mount.source else { return Some(mount) };
    *recursive = wish;
    let word = match wish {
        Recursion::Writable => "writable",
        Recursion::ReadOnly => "readonly",
        Recursion::Enabled | Recursion::Disabled => return Some(mount),
    };
    if !mount.read_only {
        let problem = format!("found `{word}` for a path that is not mounted read-only");
        cursor.faults.fault(place, problem, "valid with `read_only: true`");
        return None;
    }
    if wish == Recursion::ReadOnly {
        let word = propagation.get_or_insert_with(|| "rprivate".to_owned());
        if word != "rprivate" {
            let problem = format!("found `readonly` with the propagation `{word}`");
            cursor.faults.fault(place, problem, "valid is `rprivate`, or no propagation");
            return None;
        }
    }
    Some(mount)
}

/// The keys of a long form that only one type has.
enum Options {
    Bind(BindOptions),
    /// No copy, and the part of it.
    Volume(bool, Option<String>),
    Tmpfs(Option<i64>, Option<u32>),
    Image,
}

#[derive(Default)]
struct BindOptions {
    propagation: Option<String>,
    recursive: Option<(Place, Recursion)>,
}

impl Options {
    fn name(&self) -> &'static str {
        match self {
            Options::Bind(..) => "bind",
            Options::Volume(..) => "volume",
            Options::Tmpfs(..) => "tmpfs",
            Options::Image => "image",
        }
    }
}

fn bind_options(cursor: &Cursor<'_>) -> Option<Options> {
    let mut options = BindOptions::default();
    let known = &["propagation", "create_host_path", "recursive", "selinux"];
    for pair in cursor.known_pairs(known, "a mapping such as `{propagation: rslave}`")? {
        let value = pair.value;
        match pair.key {
            // A path of the host is never made: where it is missing the component does not start.
            "create_host_path" => _ = boolean(&value)?,
            "recursive" => {
                let wish = match value.scalar().as_deref() {
                    Some("enabled") => Recursion::Enabled,
                    Some("disabled") => Recursion::Disabled,
                    Some("writable") => Recursion::Writable,
                    Some("readonly") => Recursion::ReadOnly,
                    _ => {
                        value.expected("`enabled`, `disabled`, `writable` or `readonly`");
                        continue;
                    }
                };
                options.recursive = Some((value.place(), wish));
            }
            "selinux" => match value.scalar().as_deref() {
                Some(word @ ("z" | "Z")) => selinux(&value, word),
                _ => value.expected("`z` or `Z`"),
            },
            _ => match value.scalar().filter(|word| PROPAGATION.contains(&word.as_str())) {
                Some(word) => options.propagation = Some(word),
                None => value.expected(&quote_all(PROPAGATION.iter().copied(), "or")),
            },
        }
    }
    Some(Options::Bind(options))
}

fn volume_options(cursor: &Cursor<'_>) -> Option<Options> {
    let (mut no_copy, mut subpath) = (false, None);
    let known = &["labels", "nocopy", "subpath"];
    for pair in cursor.known_pairs(known, "a mapping such as `{nocopy: true}`")? {
        match pair.key {
            "nocopy" => no_copy = boolean(&pair.value)?,
            "subpath" => subpath = Some(part(&pair.value)?),
            _ => cursor.faults.fault(
                &pair.key_place,
                "a mount cannot label its volume",
                "set the labels where the volume is made: in the stack's own `volumes`, or by `docker volume create`",
            ),
        }
    }
    Some(Options::Volume(no_copy, subpath))
}

/// A path within a volume, as the engine takes it: relative, and never up.
fn part(cursor: &Cursor<'_>) -> Option<String> {
    let valid = "a relative path within the volume such as `data/app`";
    let path = text(cursor, valid)?;
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty() && *step != ".").collect();
    if path.starts_with('/') || steps.is_empty() || steps.contains(&"..") {
        cursor.expected(valid);
        return None;
    }
    Some(steps.join("/"))
}

fn tmpfs_options(cursor: &Cursor<'_>) -> Option<Options> {
    let (mut bytes, mut permissions) = (None, None);
    for pair in cursor.known_pairs(&["size", "mode"], "a mapping such as `{size: 64m}`")? {
        match pair.key {
            "size" => bytes = Some(size(&pair.value)?).filter(|bytes| *bytes > 0),
            _ => permissions = Some(mode(&pair.value)?),
        }
    }
    Some(Options::Tmpfs(bytes, permissions))
}

/// The path or name before the first colon.
fn source(cursor: &Cursor<'_>, text: &str) -> Option<MountSource> {
    if let Some(path) = tidy_path(text) {
        return Some(MountSource::bind(path));
    }
    if text.is_empty() {
        cursor.fault(
            "found no source before the `:`",
            "valid is a volume's name, or an absolute path of the host",
        );
        return None;
    }
    if text.starts_with(['.', '~']) || text.contains('/') {
        cursor.fault(
            format!("found the relative path {}", quote(text)),
            "valid is a volume's name, or an absolute path of the host: there is no folder on the node that it \
             could be relative to",
        );
        return None;
    }
    Some(MountSource::volume(Some(text.to_owned())))
}

/// The path in the component.
fn target(cursor: &Cursor<'_>, text: &str) -> Option<String> {
    match tidy_path(text) {
        Some(path) if path != "/" => Some(path),
        Some(_) => {
            cursor.fault("found the target `/`", "valid is a path below it such as `/data`");
            None
        }
        None => {
            let problem = found_text("the target", text);
            cursor.fault(problem, "valid is an absolute path of the component such as `/data`");
            None
        }
    }
}

fn selinux(cursor: &Cursor<'_>, word: &str) {
    cursor.warn(
        format!("the mode `{word}` has no effect"),
        "files keep their SELinux label: set it on the node where SELinux is on",
    );
}
