//! What can be told of a task container that is not there yet: from a file of labels, or from the service of a stack
//! file that would become it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::compose::{self, assignments, one_or_more, words};
use super::compose_file::MOST_BYTES;
use super::cursor::{Cursor, Diagnostics, Pair};
use super::diagnostic::{DiagnosticReport, Origin, Warning, quote, suggest};
use super::env_file::{Value, parse_raw};
use super::files::{FileFault, Files};
use super::interpolate::{Dialect, Interpolation, SET_IT};
use super::labels::MANAGER;
use super::raw::RawComponent;
use super::resources;
use super::values::{Shortest, duration, nano_cpus};
use super::volumes;
use super::yaml::Kind;
use pod::limits::Limits;
use pod::spec::{ContainerSpec, Mount, MountSource};
use pod::task_container::{TaskContainer, TaskMount};

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
    /// `stop_grace_period` of the service: after this time Docker kills the task container.
    pub stop_grace: Option<Duration>,
}

/// A program of Tandem's, as the name of an image tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The bare `pause`, whose manager is in another container.
    Pause,
    /// `pause` with a manager.
    Manager,
}

impl Program {
    /// The program in an image, by the last part of its name: a copy may be in any registry.
    pub fn of(image: &str) -> Option<Self> {
        let path = image.split('@').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        match name {
            name if name.contains("pause") => Some(Self::Pause),
            name if name.contains("manager") || name.contains("tandem") => Some(Self::Manager),
            _ => None,
        }
    }
}

/// A service of a stack file, before it is read in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// A label of it, or of its `deploy`, begins with `pod.`.
    pub labelled: bool,
    /// `x-podlike` names it, or it has one of its own.
    pub templated: bool,
}

/// The labels in a text: a mapping, or a list of `name=value`.
///
/// # Errors
/// Where it is neither.
pub fn labels(path: &str, text: &str) -> Result<Planned, DiagnosticReport> {
    let faults = Diagnostics::default();
    let document = faults.document(Origin::File(path.to_owned()), text);
    let mut planned = Planned::default();
    if let Some(node) = faults.parse(&document) {
        planned.task.labels = pairs_of(&Cursor::root(&faults, &document, &node));
    }
    faults.finish().map(|_| planned)
}

/// The key of Podlike's templates.
const TEMPLATES: &str = "x-podlike";

/// The services of a stack file, in its order.
///
/// # Errors
/// Where it is not YAML, or has no service.
pub fn services(path: &str, text: &str) -> Result<Vec<Entry>, DiagnosticReport> {
    let faults = Diagnostics::default();
    let document = faults.document(Origin::File(path.to_owned()), text);
    let mut entries = Vec::new();
    if let Some(node) = faults.parse(&document) {
        let top = Cursor::root(&faults, &document, &node).pairs().unwrap_or_default();
        let section = |key: &str| {
            top.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.pairs()).unwrap_or_default()
        };
        let templates = section(TEMPLATES);
        for service in section("services") {
            let pairs = service.value.pairs().unwrap_or_default();
            let of = |key: &str| pairs.iter().find(|pair| pair.key == key).map(|pair| &pair.value);
            let deployed = of("deploy").and_then(Cursor::pairs).unwrap_or_default();
            let deployed = deployed.iter().find(|pair| pair.key == "labels").map(|pair| &pair.value);
            entries.push(Entry {
                name: service.key.to_owned(),
                labelled: of("labels").is_some_and(has_labels) || deployed.is_some_and(has_labels),
                templated: of(TEMPLATES).is_some() || templates.iter().any(|pair| pair.key == service.key),
            });
        }
        if entries.is_empty() {
            faults.fault(&document, "the file has no service", "valid is a stack file with `services`");
        }
    }
    faults.finish().map(|_| entries)
}

/// Labels of a pod are among these.
fn has_labels(labels: &Cursor<'_>) -> bool {
    let keys = labels.pairs().unwrap_or_default();
    let items = labels.items().unwrap_or_default();
    keys.iter().any(|pair| pair.key.starts_with("pod."))
        || items.iter().any(|item| item.scalar().is_some_and(|text| text.starts_with("pod.")))
}

/// The service `name` of a stack file, its variables taken from `lookup`, and its env files from `files`.
///
/// # Errors
/// Where there is no such service, or what matters to a pod is not what it should be.
pub fn service(
    path: &str,
    text: &str,
    name: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    files: &dyn Files,
) -> Result<(Planned, Vec<Warning>), DiagnosticReport> {
    let faults = Diagnostics::default();
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
                let shared = |name: &str| lookup(name).map(Into::into);
                // `docker stack deploy` reads the file, not Compose.
                let interpolation = Interpolation {
                    lookup: &shared,
                    unset: &|_, _| {},
                    dialect: Dialect::Stack,
                    left: Cell::new(MOST_BYTES),
                    failed: Cell::new(false),
                };
                let node = interpolation.tree(&service.value);
                let folder = Path::new(path).parent().unwrap_or(Path::new(""));
                let environment = |service: &Cursor<'_>| Environment { folder, files, lookup }.of(service);
                planned = read(&service.value.with_node(&node), &section, &environment);
                planned.task.name = name.to_owned();
                planned.task.stack_volumes =
                    section("volumes").iter().map(|volume| volume.key.to_owned()).collect();
                let own = service.value.pairs().unwrap_or_default();
                let templates = section(TEMPLATES);
                let pair = own.iter().find(|pair| pair.key == TEMPLATES);
                if let Some(pair) = pair.or_else(|| templates.iter().find(|pair| pair.key == name)) {
                    faults.warn(
                        &pair.key_place,
                        "found templates, which neither this check nor `docker stack deploy` renders",
                        format!(
                            "render them by `podlike template {path}`, and check the stack that it prints"
                        ),
                    );
                }
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
    let finished = faults.finish().map(|warnings| (planned, warnings));
    finished.map_err(|mut report| {
        // `docker stack deploy` reads the variables of its caller, and no `.env`.
        for fault in report.faults.iter_mut().filter(|fault| fault.remedy == SET_IT) {
            fault.remedy =
                "set it in the environment of the shell that runs this check and `docker stack deploy`"
                    .into();
        }
        report
    })
}

fn read<'a>(
    service: &Cursor<'_>,
    section: &dyn Fn(&str) -> Vec<Pair<'a>>,
    environment: &dyn Fn(&Cursor<'_>) -> Vec<String>,
) -> Planned {
    let Planned { mut task, mut files, mut stop_grace } = Planned::default();
    task.ipc_mode = "private".to_owned();
    task.environment = environment(service);
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
            "image" => task.image = value.scalar().unwrap_or_default(),
            "network_mode" => task.network_mode = value.scalar().unwrap_or_default(),
            // The Swarm's spelling of `network_mode: host`.
            "networks" if joins_host(value, &section("networks")) => task.network_mode = "host".to_owned(),
            "stop_grace_period" => stop_grace = quiet(value, |value| duration(value, Shortest::Zero)),
            "init" => task.init = value.node.kind == Kind::Bool(true),
            "tty" => task.tty = value.node.kind == Kind::Bool(true),
            "pid" => task.pid_mode = value.scalar().unwrap_or_default(),
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
    options(service, &mut task);
    // As the engine does where nobody says it.
    let swap = task.limits.memory_bytes.map(|bytes| bytes.saturating_mul(2));
    task.limits.memory_swap = task.limits.memory_swap.or(swap);
    if task.labels.keys().any(|key| key.starts_with("pod.")) {
        warn_of_container(service, &task);
    }
    Planned { task, files, stop_grace }
}

/// Where the variables of a service come from, as with `docker stack deploy` (docker/cli's `compose/loader`).
struct Environment<'a> {
    /// The folder of the stack file.
    folder: &'a Path,
    files: &'a dyn Files,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Environment<'_> {
    /// Those of `env_file`, over them those of `environment`, as `NAME=value`. One that is empty, or has no value, has that
    /// of the shell.
    fn of(&self, service: &Cursor<'_>) -> Vec<String> {
        let pairs = service.pairs().unwrap_or_default();
        let of = |key: &str| {
            pairs.iter().find(|pair| pair.key == key && !pair.value.is_null()).map(|pair| &pair.value)
        };
        let mut all = BTreeMap::new();
        for item in of("env_file").map(one_or_more).unwrap_or_default() {
            all.extend(self.file(&item).into_iter().map(|(name, value)| (name, Some(value))));
        }
        if let Some(own) = of("environment") {
            all.extend(assigned(own));
        }
        let value = |(name, value): (String, Option<String>)| {
            let said = value.as_ref().is_some_and(|value| !value.is_empty());
            let value = if said { value } else { (self.lookup)(&name).or(value) };
            value.map(|value| format!("{name}={value}"))
        };
        all.into_iter().filter_map(value).collect()
    }

    /// The variables of an env file, each line as it is. No message holds anything of it.
    fn file(&self, item: &Cursor<'_>) -> Vec<(String, String)> {
        let pairs = item.pairs().unwrap_or_default();
        let of = |key: &str| pairs.iter().find(|pair| pair.key == key).map(|pair| &pair.value);
        if !pairs.is_empty() {
            let problem = "found a mapping, which Compose takes and `docker stack deploy` refuses";
            item.warn(problem, "write the path alone");
        }
        let required = of("required").is_none_or(|value| value.node.kind != Kind::Bool(false));
        // What else stands there is the stack's own.
        let Some(path) = item.scalar().or_else(|| of("path").and_then(Cursor::scalar)) else {
            return Vec::new();
        };
        let path = self.folder.join(path).display().to_string();
        let content = match self.files.read(&path) {
            Ok(content) => content,
            Err(FileFault::Missing) if !required => return Vec::new(),
            Err(fault) => {
                let problem = match fault {
                    FileFault::Missing => format!("there is no file {}", quote(&path)),
                    fault => format!("{} {fault}", quote(&path)),
                };
                let remedy = "`docker stack deploy` needs it; this check goes on without its variables";
                item.warn(problem, remedy);
                return Vec::new();
            }
        };
        let Ok(text) = String::from_utf8(content) else {
            item.fault(format!("{} is not text", quote(&path)), "valid is a file in UTF-8");
            return Vec::new();
        };
        if !item.faults.expand(&item.place(), text.len()) {
            return Vec::new();
        }
        let (variables, bad) = parse_raw(&text);
        let document = item.faults.document(Origin::File(path), "");
        for bad in bad {
            item.faults.fault(&document.line(bad.line, bad.column), bad.problem, bad.remedy);
        }
        let value = |value| match value {
            Some(Value::Literal(text) | Value::Template(text)) => Some(text),
            None => None,
        };
        let read = variables.into_iter().map(|variable| (variable.name, value(variable.value)));
        read.filter_map(|(name, value)| Some((name.clone(), value.or_else(|| (self.lookup)(&name))?)))
            .collect()
    }
}

/// Warns of a service whose labels no manager would read, or whose manager could not run its pod.
fn warn_of_container(service: &Cursor<'_>, task: &TaskContainer) {
    match Program::of(&task.image) {
        None if !task.image.is_empty() => service.warn(
            format!("found labels `pod.*` and the image {}, which is none of Tandem's by its name", quote(&task.image)),
            "the labels take effect where the image is `tandem/manager`, or `tandem/pause` with a manager elsewhere",
        ),
        Some(Program::Pause) => {
            if !task.stdin_open {
                service.warn(
                    "found a bare `pause` without `stdin_open`",
                    "the manager speaks to `pause` through its standard input, and refuses the pod without it: add \
                     `stdin_open: true`",
                );
            }
            for (set, key) in [(task.tty, "tty"), (task.init, "init")] {
                if set {
                    service.warn(
                        format!("found a bare `pause` with `{key}: true`, with which no manager can speak to it"),
                        format!("leave `{key}` out"),
                    );
                }
            }
        }
        _ if !reaches_engine(task) => service.warn(
            "the engine's socket is not mounted",
            format!("the manager needs it: add `{SOCKET}:{SOCKET}` to the service's `volumes`, or set `DOCKER_HOST`"),
        ),
        _ => {}
    }
}

/// A network of the service is the host's: `external`, with the name `host`.
fn joins_host(networks: &Cursor<'_>, declared: &[Pair<'_>]) -> bool {
    let keys = networks.pairs().unwrap_or_default().into_iter().map(|pair| pair.key.to_owned());
    let items = networks.items().unwrap_or_default().into_iter().filter_map(|item| item.scalar());
    let named = |key: String| {
        let pairs = declared.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.pairs());
        let pairs = pairs.unwrap_or_default();
        let of = |key: &str| pairs.iter().find(|pair| pair.key == key).map(|pair| &pair.value);
        let external = of("external")?;
        // The older form is `external: {name: host}`.
        let inner = external.pairs().unwrap_or_default();
        let inner = inner.iter().find(|pair| pair.key == "name").and_then(|pair| pair.value.scalar());
        let is_external = external.node.kind == Kind::Bool(true) || inner.is_some();
        is_external.then(|| inner.or_else(|| of("name").and_then(Cursor::scalar)).unwrap_or(key))
    };
    keys.chain(items).filter_map(named).any(|name| name == "host")
}

/// A value of the service; what is wrong with it is the stack's own.
fn quiet<T>(cursor: &Cursor<'_>, read: impl FnOnce(&Cursor<'_>) -> T) -> T {
    let aside = Diagnostics::default();
    let document = aside.document(Origin::Labels, "");
    read(&Cursor::root(&aside, &document, cursor.node))
}

/// What components may have since the service has it; what is wrong with it is the stack's own.
fn options(service: &Cursor<'_>, task: &mut TaskContainer) {
    let aside = Diagnostics::default();
    let document = aside.document(Origin::Labels, "");
    let cursor = Cursor::root(&aside, &document, service.node);
    let mut raw = RawComponent::new(String::new(), document);
    compose::service(&mut raw, &cursor, true);
    let ContainerSpec { privileged, tuning, .. } = raw.container;
    task.privileged = privileged;
    task.devices = tuning.devices.into_iter().map(|device| device.source).collect();
    task.device_rules = tuning.device_rules;
    task.log = tuning.logging;
    task.oom_score_adj = tuning.oom_score_adj.unwrap_or_default();
    task.ulimits = tuning.ulimits;
    task.runtime = tuning.runtime.unwrap_or_default();
    task.security_opt = tuning.security_opt;
    task.userns_mode = tuning.userns_mode.unwrap_or_default();
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
    quiet(cursor, |value| match key {
        "mem_limit" => limits.memory_bytes = compose::memory(value),
        "memswap_limit" => {
            let swap = resources::memory_swap(value);
            limits.memory_swap = swap.map(|bytes| if bytes > 0 { bytes } else { i64::MAX });
        }
        "cpus" => limits.nano_cpus = nano_cpus(value),
        "pids_limit" => limits.pids = compose::pids(value).filter(|pids| *pids > 0),
        _ => {}
    });
}

fn pairs_of(cursor: &Cursor<'_>) -> BTreeMap<String, String> {
    assigned(cursor).map(|(name, value)| (name, value.unwrap_or_default())).collect()
}

fn assigned(cursor: &Cursor<'_>) -> impl Iterator<Item = (String, Option<String>)> {
    let found = assignments(cursor, "a mapping such as `name: value`, or a list of `name=value`");
    found.into_iter().map(|(name, value, _)| (name, value))
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
    let aside = Diagnostics::default();
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
        MountSource::Bind { path, propagation, recursive } => {
            (mount.kind, mount.source) = ("bind".into(), path);
            (mount.propagation, mount.recursive) = (propagation.unwrap_or_default(), recursive);
        }
        MountSource::Volume { name, subpath, .. } => {
            (mount.kind, mount.subpath) = ("volume".into(), subpath);
            let declared = volumes.iter().find(|pair| Some(pair.key) == name.as_deref());
            let keys = declared.and_then(|pair| pair.value.pairs()).unwrap_or_default();
            let said = |key: &str| keys.iter().find(|pair| pair.key == key && !pair.value.is_null());
            let named = |key: &str| said(key).map(|pair| pairs_of(&pair.value)).unwrap_or_default();
            (mount.labels, mount.options) = (named("labels"), named("driver_opts"));
            mount.driver = said("driver").and_then(|pair| pair.value.scalar()).unwrap_or_default();
            mount.device = mount.volume_info().device().map(|device| device.path);
            mount.volume = name;
        }
        MountSource::Tmpfs { .. } | MountSource::ScratchVolume(_) => mount.kind = "tmpfs".into(),
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
