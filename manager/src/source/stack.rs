//! What can be told of a task container that is not there yet: from a file of labels, or from the service of a stack
//! file that would become it.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::compose::{self, assignments, words};
use super::compose_file::{MOST_BYTES, interpolated};
use super::cursor::{Cursor, Faults, Pair};
use super::fault::{Origin, Report, Warning, quote, suggest};
use super::labels::MANAGER;
use super::resources;
use super::values::nano_cpus;
use super::volumes;
use super::yaml::Kind;
use crate::pod::limits::Limits;
use crate::pod::spec::{Mount, MountSource};
use crate::pod::task::{TaskContainer, TaskMount};

/// Where the engine's socket is, in the task container and, unless moved, on the host.
pub const SOCKET: &str = "/var/run/docker.sock";
const SECRETS: &str = "/run/secrets";

/// A task container to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Planned {
    /// The container; of the engine's own words those are missing that only it can say.
    pub task: TaskContainer,
    /// Paths of the secrets and configs that Swarm will put into it, and the files that they are made of, relative to
    /// the stack file, where it says so.
    pub files: BTreeMap<String, Option<String>>,
}

/// The labels in a text: a mapping, or a list of `name=value`.
///
/// # Errors
/// Where it is neither.
pub fn labels(path: &str, text: &str) -> Result<Planned, Report> {
    let faults = Faults::default();
    let document = faults.document(Origin::File(path.to_owned()), text);
    let mut planned = Planned::default();
    if let Some(node) = faults.parse(&document) {
        planned.task.labels = pairs_of(&Cursor::root(&faults, &document, &node));
    }
    faults.finish().map(|_| planned)
}

/// The service `name` of a stack file, its variables taken from `lookup`.
///
/// # Errors
/// Where there is no such service, or what matters to a pod is not what it should be.
pub fn service(
    path: &str,
    text: &str,
    name: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(Planned, Vec<Warning>), Report> {
    let faults = Faults::default();
    let document = faults.document(Origin::File(path.to_owned()), text);
    let mut planned = Planned::default();
    if let Some(node) = faults.parse(&document) {
        let root = Cursor::root(&faults, &document, &node);
        let top = root.pairs().unwrap_or_default();
        let section = |key: &str| {
            let pair = top.iter().find(|pair| pair.key == key);
            pair.and_then(|pair| pair.value.pairs()).unwrap_or_default()
        };
        let services = section("services");
        match services.iter().find(|service| service.key == name) {
            Some(service) => {
                let left = Cell::new(Some(MOST_BYTES));
                let node = interpolated(&service.value, lookup, &left);
                planned = read(&service.value.with_node(&node), &section);
                planned.task.name = name.to_owned();
            }
            None if services.is_empty() => {
                faults.fault(&document, "the file has no service", "valid is a stack file with `services`");
            }
            None => faults.fault(
                &document,
                format!("there is no service {}", quote(name)),
                suggest(name, services.iter().map(|service| service.key)),
            ),
        }
    }
    faults.finish().map(|warnings| (planned, warnings))
}

fn read<'a>(service: &Cursor<'_>, section: &dyn Fn(&str) -> Vec<Pair<'a>>) -> Planned {
    let Planned { mut task, mut files } = Planned::default();
    task.ipc_mode = "private".to_owned();
    for pair in service.pairs().unwrap_or_default().iter().filter(|pair| !pair.value.is_null()) {
        let value = &pair.value;
        match pair.key {
            "labels" => task.labels = pairs_of(value),
            "deploy" => {
                for pair in value.pairs().unwrap_or_default() {
                    match pair.key {
                        "labels" => misplaced(&pair.value),
                        "resources" => deployed(&pair.value, &mut task.limits),
                        _ => {}
                    }
                }
            }
            "mem_limit" | "memswap_limit" | "cpus" | "pids_limit" => limit(pair.key, value, &mut task.limits),
            "command" => task.command = words(value).unwrap_or_default(),
            "environment" => {
                let named = pairs_of(value).into_iter();
                task.environment = named.map(|(name, value)| format!("{name}={value}")).collect();
            }
            "stdin_open" => task.stdin_open = value.node.kind == Kind::Bool(true),
            "user" => task.user = value.scalar().unwrap_or_default(),
            "cap_add" => task.cap_add = capabilities(value),
            "cap_drop" => task.cap_drop = capabilities(value),
            "ipc" => task.ipc_mode = value.scalar().unwrap_or_default(),
            "volumes" => task.mounts = mounts(value, &section("volumes")),
            "secrets" => files.extend(given(value, SECRETS, &section("secrets"))),
            "configs" => files.extend(given(value, "", &section("configs"))),
            _ => {}
        }
    }
    // As the engine does where nobody says it.
    let swap = task.limits.memory_bytes.map(|bytes| bytes.saturating_mul(2));
    task.limits.memory_swap = task.limits.memory_swap.or(swap);
    if task.labels.keys().any(|key| key.starts_with("pod.")) && !reaches_engine(&task) {
        service.warn(
            "the engine's socket is not mounted",
            format!("the manager needs it: add `{SOCKET}:{SOCKET}` to the service's `volumes`, or set `DOCKER_HOST`"),
        );
    }
    Planned { task, files }
}

/// `deploy.resources`.
fn deployed(resources: &Cursor<'_>, limits: &mut Limits) {
    let pairs = resources.pairs().unwrap_or_default();
    let said = pairs.iter().find(|pair| pair.key == "limits").and_then(|pair| pair.value.pairs());
    for pair in said.unwrap_or_default() {
        match pair.key {
            "memory" => limit("mem_limit", &pair.value, limits),
            "pids" => limit("pids_limit", &pair.value, limits),
            key => limit(key, &pair.value, limits),
        }
    }
}

/// One limit of the service; what is wrong with it is the stack's own.
fn limit(key: &str, cursor: &Cursor<'_>, limits: &mut Limits) {
    let aside = Faults::default();
    let document = aside.document(Origin::Labels, "");
    let value = Cursor::root(&aside, &document, cursor.node);
    match key {
        "mem_limit" => limits.memory_bytes = compose::memory(&value),
        "memswap_limit" => {
            let swap = resources::memory_swap(&value);
            limits.memory_swap = swap.map(|bytes| if bytes > 0 { bytes } else { i64::MAX });
        }
        "cpus" => limits.nano_cpus = nano_cpus(&value),
        "pids_limit" => limits.pids = compose::pids(&value).filter(|pids| *pids > 0),
        _ => {}
    }
}

fn pairs_of(cursor: &Cursor<'_>) -> BTreeMap<String, String> {
    let found = assignments(cursor, "a mapping such as `name: value`, or a list of `name=value`");
    found.into_iter().map(|(name, value, _)| (name, value.unwrap_or_default())).collect()
}

/// Labels of the service are not those of its containers.
fn misplaced(labels: &Cursor<'_>) {
    let words = |name: &str| format!("found the label {}, which is one of the service alone", quote(name));
    let remedy = "write it under the service's own `labels`, beside `image`: those are its containers'";
    for pair in labels.pairs().unwrap_or_default().iter().filter(|pair| pair.key.starts_with("pod.")) {
        labels.faults.fault(&pair.key_place, words(pair.key), remedy);
    }
    for item in labels.items().unwrap_or_default() {
        if let Some(text) = item.scalar().filter(|text| text.starts_with("pod.")) {
            item.fault(words(text.split('=').next().unwrap_or_default()), remedy);
        }
    }
}

fn capabilities(cursor: &Cursor<'_>) -> Vec<String> {
    let names = cursor.items().unwrap_or_default().into_iter().filter_map(|item| item.scalar());
    let bare = |name: String| {
        let upper = name.to_ascii_uppercase();
        upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
    };
    names.map(bare).collect()
}

/// The mounts of the service, as far as they are ones that a component could have; the rest is the stack's own.
fn mounts(cursor: &Cursor<'_>, volumes: &[Pair<'_>]) -> Vec<TaskMount> {
    let aside = Faults::default();
    let document = aside.document(Origin::Labels, "");
    let items = cursor.items().unwrap_or_default();
    let mounts = items.iter().filter_map(|item| {
        volumes::volume(&Cursor::root(&aside, &document, item.node)).map(|mount| task_mount(mount, volumes))
    });
    mounts.collect()
}

fn task_mount(mount: Mount, volumes: &[Pair<'_>]) -> TaskMount {
    let Mount { target, read_only, source } = mount;
    let mut mount = TaskMount { target, writable: !read_only, ..TaskMount::default() };
    match source {
        MountSource::Bind { path, .. } => (mount.kind, mount.source) = ("bind".into(), path),
        MountSource::Volume { name, .. } => {
            mount.kind = "volume".into();
            let declared = volumes.iter().find(|pair| Some(pair.key) == name.as_deref());
            let keys = declared.and_then(|pair| pair.value.pairs()).unwrap_or_default();
            let labels = keys.iter().find(|pair| pair.key == "labels" && !pair.value.is_null());
            mount.labels = labels.map(|pair| pairs_of(&pair.value)).unwrap_or_default();
            mount.volume = name;
        }
        MountSource::Tmpfs { .. } | MountSource::Scratch(_) => mount.kind = "tmpfs".into(),
    }
    mount
}

/// Where the secrets or configs of the service will be, and what they are made of.
fn given(cursor: &Cursor<'_>, folder: &str, declared: &[Pair<'_>]) -> Vec<(String, Option<String>)> {
    let part = |value: &Cursor<'_>, key: &str| {
        let pairs = value.pairs().unwrap_or_default();
        pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.scalar())
    };
    let file = |item: &Cursor<'_>| {
        let source = item.scalar().or_else(|| part(item, "source"))?;
        let name = part(item, "target").unwrap_or_else(|| source.clone());
        let path = if name.starts_with('/') { name } else { format!("{folder}/{name}") };
        let declared = declared.iter().find(|pair| pair.key == source);
        Some((path, declared.and_then(|pair| part(&pair.value, "file"))))
    };
    cursor.items().unwrap_or_default().iter().filter_map(file).collect()
}

fn reaches_engine(task: &TaskContainer) -> bool {
    let socket = |mount: &TaskMount| {
        let target = mount.target.trim_end_matches('/');
        target.ends_with(".sock") || ["/var/run", "/run", "/var/run/docker", "/run/docker"].contains(&target)
    };
    let named = |entry: &String| entry.starts_with("DOCKER_HOST=");
    // Its manager is elsewhere: a label says so, or an open line for it.
    task.labels.contains_key(MANAGER)
        || task.stdin_open
        || task.mounts.iter().any(socket)
        || task.environment.iter().any(named)
        || task.command.iter().any(|word| word.contains("-docker-host"))
}
