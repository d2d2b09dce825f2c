//! The Compose keys of one component: which there are, and what may stand under each.

use std::collections::BTreeMap;

use super::cursor::{Cursor, Pair, Place, Spanned};
use super::diagnostic::{found_text, found_value, nearest, quote};
use super::hooks;
use super::pre_start;
use super::raw::{EnvFile, RawComponent};
use super::resources;
use super::secrets;
use super::tandem;
use super::values::{
    Shortest, boolean, capability, duration, integer, nano_cpus, signal, size, text, tidy_path,
};
use super::volumes;
use super::words::split;
use pod::policy::taken_label;
use pod::spec::{Condition, Dependency, HealthCheck};

/// The least memory that the engine gives a container.
const LEAST_MEMORY: i64 = 6 << 20;

/// The longest reference of an image: there is room for the longest host, name, tag and digest that a registry takes
/// (256, 255, 128 and 135 bytes).
const LONGEST_IMAGE: usize = 1024;

/// What Compose has no key for.
pub(super) const OURS: &str = "x-tandem";

/// What becomes of a key.
enum Key {
    /// It is read.
    Read(fn(&mut RawComponent, &Cursor<'_>)),
    /// A pod cannot have it: where to say it instead.
    Elsewhere(&'static str),
    /// A switch that must stay off: why, and what to do.
    Never(&'static str),
}

use Key::{Elsewhere, Never, Read};

const TASK_NETWORK: &str =
    "components share the network of the task container: set it on the pod's own service";
const WINDOWS: &str = "leave it out: it is for containers of Windows";
const ASSIGNMENTS: &str = "a mapping such as `name: value`, or a list of `name=value`";
const NAME_RESOLUTION: &str = "set it on the pod's own service: components resolve names as it does";

/// Every key of a service in Compose, and what a component does with it.
const KEYS: &[(&str, Key)] = &[
    (
        "annotations",
        Read(|raw, cursor| raw.container.tuning.annotations = resources::named(cursor, ASSIGNMENTS)),
    ),
    ("attach", Read(resources::attach)),
    ("blkio_config", Read(resources::blkio)),
    ("build", Elsewhere("build the image beforehand and name it with `image`")),
    ("cap_add", Read(|raw, cursor| raw.container.cap_add = capabilities(cursor))),
    ("cap_drop", Read(|raw, cursor| raw.container.cap_drop = capabilities(cursor))),
    ("cgroup", Elsewhere("leave it out: components are in the pod's cgroup")),
    ("cgroup_parent", Elsewhere("leave it out: components are in the pod's cgroup")),
    ("command", Read(|raw, cursor| raw.container.command = words(cursor))),
    ("configs", Read(secrets::configs)),
    (
        "container_name",
        Elsewhere("leave it out: a component's container is named after the task and the component"),
    ),
    ("cpu_count", Elsewhere(WINDOWS)),
    ("cpu_percent", Elsewhere(WINDOWS)),
    ("cpu_period", Read(|raw, cursor| raw.container.tuning.cpu_period = resources::micros(cursor, 0))),
    ("cpu_quota", Read(|raw, cursor| raw.container.tuning.cpu_quota = resources::micros(cursor, -1))),
    ("cpu_rt_period", Read(|raw, cursor| raw.container.tuning.cpu_rt_period = resources::micros(cursor, 0))),
    (
        "cpu_rt_runtime",
        Read(|raw, cursor| raw.container.tuning.cpu_rt_runtime = resources::micros(cursor, 0)),
    ),
    (
        "cpu_shares",
        Read(|raw, cursor| {
            raw.container.tuning.cpu_shares = resources::above_zero(cursor, "a whole number such as `512`")
        }),
    ),
    ("cpus", Read(|raw, cursor| raw.container.nano_cpus = nano_cpus(cursor))),
    ("cpuset", Read(|raw, cursor| raw.container.tuning.cpuset = resources::cpuset(cursor))),
    ("credential_spec", Elsewhere(WINDOWS)),
    ("depends_on", Read(depends_on)),
    ("deploy", Read(resources::deploy)),
    ("develop", Elsewhere("leave it out: it is for `docker compose watch`")),
    (
        "device_cgroup_rules",
        Read(|raw, cursor| raw.container.tuning.device_rules = resources::device_rules(cursor)),
    ),
    ("devices", Read(resources::devices)),
    ("dns", Elsewhere(NAME_RESOLUTION)),
    ("dns_opt", Elsewhere(NAME_RESOLUTION)),
    ("dns_search", Elsewhere(NAME_RESOLUTION)),
    ("domainname", Elsewhere("components have the task container's: set it on the pod's own service")),
    ("entrypoint", Read(|raw, cursor| raw.container.entrypoint = words(cursor))),
    ("env_file", Read(env_file)),
    ("environment", Read(environment)),
    ("expose", Elsewhere("leave it out: components reach each other on `localhost`")),
    (
        "extends",
        Elsewhere(
            "write the keys out: only in a Compose file (`pod.compose.file`) a service can extend another",
        ),
    ),
    ("external_links", Elsewhere(NAME_RESOLUTION)),
    ("extra_hosts", Elsewhere(NAME_RESOLUTION)),
    ("gpus", Read(resources::gpus)),
    (
        "group_add",
        Read(|raw, cursor| {
            raw.container.tuning.groups = resources::texts(
                cursor,
                "a list of groups such as `[audio]`",
                "a group such as `audio` or `1000`",
            )
        }),
    ),
    ("healthcheck", Read(|raw, cursor| raw.container.healthcheck = healthcheck(cursor))),
    ("hostname", Elsewhere("components have the task container's: set it on the pod's own service")),
    ("image", Read(image)),
    ("init", Elsewhere("leave it out: pause reaps the processes of the pod")),
    ("ipc", Elsewhere("it is the pod's to say: use the manager's flag `--ipc`")),
    ("isolation", Elsewhere(WINDOWS)),
    ("label_file", Read(label_file)),
    ("labels", Read(labels)),
    ("links", Elsewhere("leave it out: components reach each other on `localhost`")),
    ("logging", Read(resources::logging)),
    ("mac_address", Elsewhere(TASK_NETWORK)),
    ("mem_limit", Read(|raw, cursor| raw.container.memory_bytes = memory(cursor))),
    (
        "mem_reservation",
        Read(|raw, cursor| raw.container.tuning.memory_reservation = size(cursor).filter(|bytes| *bytes > 0)),
    ),
    (
        "mem_swappiness",
        Read(|raw, cursor| {
            raw.container.tuning.swappiness = integer(cursor, 0, 100, "a whole number from `0` to `100`")
        }),
    ),
    ("memswap_limit", Read(|raw, cursor| raw.container.tuning.memory_swap = resources::memory_swap(cursor))),
    ("models", Elsewhere("say in `environment` where the model is")),
    ("network_mode", Elsewhere(TASK_NETWORK)),
    ("networks", Elsewhere(TASK_NETWORK)),
    ("oom_kill_disable", Read(|raw, cursor| raw.container.tuning.oom_kill_disable = boolean(cursor))),
    (
        "oom_score_adj",
        Read(|raw, cursor| {
            raw.container.tuning.oom_score_adj =
                integer(cursor, -1000, 1000, "a whole number from `-1000` to `1000`")
        }),
    ),
    ("pid", Elsewhere("it is the pod's to say: use the manager's flag `--pids`")),
    ("pids_limit", Read(|raw, cursor| raw.container.pids_limit = pids(cursor))),
    ("platform", Read(|raw, cursor| raw.container.tuning.platform = resources::platform(cursor))),
    ("ports", Elsewhere("publish ports on the pod's own service: components share its network")),
    ("post_start", Read(|raw, cursor| raw.post_start = hooks::hooks(cursor))),
    ("pre_start", Read(|raw, cursor| raw.pre_start = pre_start::entries(cursor))),
    ("pre_stop", Read(|raw, cursor| raw.pre_stop = hooks::hooks(cursor))),
    ("privileged", Read(|raw, cursor| raw.container.privileged = boolean(cursor).unwrap_or_default())),
    ("profiles", Elsewhere("leave the component out instead")),
    ("provider", Elsewhere("use the `image` of a container")),
    ("pull_policy", Read(|raw, cursor| raw.container.tuning.pull = resources::pull_policy(cursor))),
    (
        "pull_refresh_after",
        Elsewhere("images do not grow old here: set `pull_policy: always`, or leave it out"),
    ),
    ("read_only", Read(|raw, cursor| raw.container.read_only = boolean(cursor).unwrap_or_default())),
    ("restart", Read(|raw, cursor| raw.restart = tandem::restart(cursor))),
    (
        "runtime",
        Read(|raw, cursor| {
            raw.container.tuning.runtime = text(cursor, "a runtime that the engine knows such as `runc`")
        }),
    ),
    ("scale", Elsewhere("set `deploy.replicas` on the pod's own service")),
    ("secrets", Read(secrets::secrets)),
    ("security_opt", Read(resources::security_opt)),
    ("services", Elsewhere(SERVICES)),
    ("shm_size", Read(|raw, cursor| raw.container.shm_size_bytes = size(cursor).filter(|bytes| *bytes > 0))),
    ("stdin_open", Read(|raw, cursor| raw.container.stdin_open = boolean(cursor).unwrap_or_default())),
    ("stop_grace_period", Read(|raw, cursor| raw.stop_grace = duration(cursor, Shortest::Zero))),
    ("stop_signal", Read(|raw, cursor| raw.container.stop_signal = signal(cursor))),
    (
        "storage_opt",
        Read(|raw, cursor| {
            raw.container.tuning.storage_opt = resources::named(cursor, "a mapping such as `size: 1G`")
        }),
    ),
    ("sysctls", Read(|raw, cursor| raw.container.tuning.sysctls = resources::named(cursor, ASSIGNMENTS))),
    ("tmpfs", Read(tmpfs)),
    ("tty", Read(|raw, cursor| raw.container.tty = boolean(cursor).unwrap_or_default())),
    ("ulimits", Read(resources::ulimits)),
    (
        "use_api_socket",
        Never("leave it out: no component may reach the engine, whose socket would give it the whole node"),
    ),
    ("user", Read(|raw, cursor| raw.container.user = text(cursor, hooks::USER))),
    ("userns_mode", Read(|raw, cursor| raw.container.tuning.userns_mode = resources::userns_mode(cursor))),
    ("uts", Elsewhere("components have the task container's: set it on the pod's own service")),
    ("volume_driver", Elsewhere("declare the volume with its driver in the stack's own `volumes`")),
    ("volumes", Read(volume_list)),
    ("volumes_from", Elsewhere(SHARED_VOLUMES)),
    ("working_dir", Read(|raw, cursor| raw.container.working_dir = folder(cursor))),
    (OURS, Read(tandem::component)),
];

/// Keys for which Compose takes an empty text as it takes nothing.
const EMPTY_IS_ABSENT: &[&str] =
    &["cpuset", "platform", "restart", "runtime", "stop_signal", "user", "userns_mode", "working_dir"];

const SERVICES: &str = "a label holds one component: write one label `pod.component.<name>` for each service";
const SHARED_VOLUMES: &str =
    "name the volume in `volumes`, or share those of the task container with `--volumes`";

/// Reads the keys of one component.
pub(super) fn component(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    read_keys(raw, cursor, true);
    for (_, place, instead) in raw.elsewhere.drain(..) {
        cursor.faults.fault(&place, "a component cannot have this key", instead);
    }
}

/// Reads the keys of one service of a Compose file; returns those that a component cannot have. A service that is not
/// `whole` lacks keys of what it extends, which is a fault already.
pub(super) fn service(raw: &mut RawComponent, cursor: &Cursor<'_>, whole: bool) -> Vec<String> {
    read_keys(raw, cursor, whole);
    raw.elsewhere.drain(..).map(|(key, ..)| key).collect()
}

/// Keys that stand for an image elsewhere, and what to do where there is no `image` beside them.
const INSTEAD_OF_AN_IMAGE: &[(&str, &str)] = &[
    ("build", "a pod builds no image: build it beforehand, and name it with `image`"),
    ("provider", "a pod runs containers alone: name the image of one with `image`"),
];

/// Notes that there is no image, unless that follows from a fault that is noted anyway. Returns a key that is in its
/// place, which needs no fault of its own.
fn no_image(cursor: &Cursor<'_>, pairs: &[Pair<'_>]) -> Option<&'static str> {
    let said = |key: &str| pairs.iter().find(|pair| pair.key == key && !pair.value.is_null());
    for (key, remedy) in INSTEAD_OF_AN_IMAGE {
        if let Some(pair) = said(key) {
            cursor.faults.fault(&pair.key_place, format!("found `{key}` and no `image`"), *remedy);
            return Some(key);
        }
    }
    let is_key = |key: &str| KEYS.binary_search_by_key(&key, |(name, _)| name).is_ok();
    cursor.missing("image", "valid is one such as `image: nginx:1.27`", is_key);
    None
}

fn read_keys(raw: &mut RawComponent, cursor: &Cursor<'_>, whole: bool) {
    let Some(pairs) = cursor.pairs() else {
        // The whole of it may hold secrets.
        cursor.expected_quietly("a mapping of Compose keys such as `image: nginx`");
        return;
    };
    let said = |key: &str| pairs.iter().find(|pair| pair.key == key && !pair.value.is_null());
    let mut instead = None;
    if said("image").is_none() && whole {
        if let Some(pair) = said("services") {
            // A whole Compose file: none of its keys is one of a component.
            raw.elsewhere.push(("services".to_owned(), pair.key_place.clone(), SERVICES.to_owned()));
            return;
        }
        instead = no_image(cursor, &pairs);
    }
    for pair in &pairs {
        if instead == Some(pair.key) {
            continue;
        }
        match KEYS.binary_search_by_key(&pair.key, |(name, _)| name) {
            // What is there without a value is not said, as in Compose.
            Ok(_) if pair.value.is_null() => {}
            // An empty text is what a variable that is not set leaves.
            Ok(_) if EMPTY_IS_ABSENT.contains(&pair.key) && pair.value.is_empty() => {}
            Ok(index) => match &KEYS[index].1 {
                Read(read) => {
                    raw.places.insert(KEYS[index].0, pair.value.place());
                    read(raw, &pair.value);
                }
                Elsewhere(instead) => {
                    raw.elsewhere.push((pair.key.to_owned(), pair.key_place.clone(), (*instead).to_owned()));
                }
                Never(instead) => {
                    if boolean(&pair.value) == Some(true) {
                        pair.value.fault("a component cannot have this", *instead);
                    }
                }
            },
            Err(_) if pair.key.starts_with("x-") => {}
            Err(_) => unknown(cursor, pair),
        }
    }
    resources::deployed(raw, cursor);
    resources::contradictions(raw, cursor);
}

/// The keys that a component can have.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|(_, key)| matches!(key, Read(_))).map(|(name, _)| *name)
}

fn unknown(cursor: &Cursor<'_>, pair: &Pair<'_>) {
    let read: Vec<&str> = keys().collect();
    // Any key of Compose may have been meant, and the next report says what becomes of it; only those that
    // can be used are listed.
    let near = || nearest(pair.key, KEYS.iter().map(|(name, _)| *name));
    let remedy = match (!cursor.faults.is_full()).then(near).flatten() {
        Some(near) => format!("did you mean `{near}`?"),
        None => cursor.faults.suggest(pair.key, read.iter().copied()),
    };
    cursor.faults.fault(&pair.key_place, "this key is unknown", remedy);
}

fn image(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    if let Some(image) = image_name(cursor) {
        raw.container.image = image;
    }
}

/// The name of an image.
pub(super) fn image_name(cursor: &Cursor<'_>) -> Option<String> {
    match cursor.scalar() {
        Some(image) if image.len() > LONGEST_IMAGE => cursor.fault(
            format!("found the name of an image with {} bytes", image.len()),
            format!("valid are up to {LONGEST_IMAGE}"),
        ),
        Some(image)
            if !image.is_empty()
                && !image.contains(|char: char| char.is_whitespace() || char.is_control()) =>
        {
            return Some(image);
        }
        _ => cursor.expected("the name of an image such as `nginx:1.27`"),
    }
    None
}

/// A command: a string in words as a shell would split it, or a list of words.
pub(super) fn words(cursor: &Cursor<'_>) -> Option<Vec<String>> {
    if let Some(items) = cursor.items() {
        let word = |item: &Cursor<'_>| {
            let word = item.scalar();
            if word.is_none() {
                item.expected_quietly("a string");
            }
            word
        };
        let words: Vec<_> = items.iter().map(word).collect();
        return words.into_iter().collect();
    }
    let Some(text) = cursor.scalar() else {
        cursor.expected_quietly("a string such as `nginx -g \"daemon off;\"`, or a list of strings");
        return None;
    };
    let words = split(&text);
    if words.is_none() {
        cursor.fault("found a quote that is never closed", "close it, or write a list of strings");
    }
    words
}

/// `NAME=value` lists and mappings, as of `environment` and `labels`; the last of a name counts.
pub(super) fn assignments(cursor: &Cursor<'_>, valid: &str) -> Vec<(String, Option<String>, Option<Place>)> {
    let mut found = Vec::new();
    if let Some(pairs) = cursor.pairs() {
        for pair in pairs {
            let value = pair.value.scalar();
            if value.is_none() && !pair.value.is_null() {
                pair.value.expected_quietly("a string, a number or a boolean");
            } else if pair.key.is_empty() || pair.key.contains('=') {
                let problem = found_text("the name", pair.key);
                cursor.faults.fault(&pair.key_place, problem, "valid is a name without `=`");
            } else {
                found.push((pair.key.to_owned(), value, Some(pair.key_place)));
            }
        }
    } else if let Some(items) = cursor.items() {
        for item in items {
            let Some(text) = item.scalar() else {
                item.expected_quietly("a string such as `NAME=value`");
                continue;
            };
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (text, None),
            };
            if name.is_empty() {
                item.fault("found no name before the `=`", "valid is a string such as `NAME=value`");
            } else {
                found.push((name, value, Some(item.place())));
            }
        }
    } else {
        cursor.expected_quietly(valid);
    }
    found
}

fn environment(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    raw.environment = hooks::environment(cursor);
}

fn labels(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    let mut labels = BTreeMap::new();
    for (name, value, place) in
        assignments(cursor, "a mapping such as `name: value`, or a list of `name=value`")
    {
        match taken_label(&name) {
            Some(remedy) => {
                if let Some(place) = place {
                    cursor.faults.fault(&place, found_text("the label", &name), remedy);
                }
            }
            None => {
                labels.insert(name, value.unwrap_or_default());
            }
        }
    }
    raw.container.labels = labels;
}

/// A string, or a list of them.
pub(super) fn one_or_more<'a>(cursor: &Cursor<'a>) -> Vec<Cursor<'a>> {
    cursor.items().unwrap_or_else(|| vec![cursor.clone()])
}

fn env_file(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    for item in one_or_more(cursor) {
        if let Some(pairs) = item.pairs() {
            env_file_long(raw, &item, &pairs);
        } else if let Some(path) = text(&item, "the path of a file in the task container, or a list of them")
        {
            raw.env_files.push(item.at(EnvFile { path, required: true, raw: false }));
        }
    }
}

fn env_file_long(raw: &mut RawComponent, item: &Cursor<'_>, pairs: &[Pair<'_>]) {
    let (mut required, mut verbatim) = (true, false);
    let known = &["path", "required", "format"];
    for pair in item.known_pairs(known, "the path of a file").unwrap_or_default() {
        match pair.key {
            "required" => required = boolean(&pair.value).unwrap_or(true),
            "format" => match pair.value.scalar().as_deref() {
                Some("raw") => verbatim = true,
                Some("" | ".env") => {}
                _ => pair.value.expected("`raw`; leave it out for env files of the usual form"),
            },
            _ => {}
        }
    }
    match pairs.iter().find(|pair| pair.key == "path" && !pair.value.is_null()) {
        Some(pair) => {
            if let Some(path) = text(&pair.value, "the path of a file in the task container") {
                raw.env_files.push(pair.value.at(EnvFile { path, required, raw: verbatim }));
            }
        }
        None => {
            let valid = "valid is the path of a file in the task container";
            item.missing("path", valid, |key| known.contains(&key));
        }
    }
}

fn label_file(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    for item in one_or_more(cursor) {
        if let Some(path) = text(&item, "the path of a file in the task container, or a list of them") {
            raw.label_files.push(item.at(path));
        }
    }
}

/// A working directory.
pub(super) fn folder(cursor: &Cursor<'_>) -> Option<String> {
    let path = cursor.scalar().as_deref().and_then(tidy_path);
    if path.is_none() {
        cursor.expected("an absolute path such as `/srv/app`");
    }
    path
}

fn volume_list(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    let Some(items) = cursor.items() else {
        cursor.expected("a list of volumes such as `data:/var/lib/data`");
        return;
    };
    for item in items {
        raw.volumes.extend(volumes::volume(&item).map(|mount| item.at(mount)));
    }
}

fn tmpfs(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    for item in one_or_more(cursor) {
        raw.tmpfs.extend(volumes::tmpfs(&item).map(|tmpfs| item.at(tmpfs)));
    }
}

fn healthcheck(cursor: &Cursor<'_>) -> Option<HealthCheck> {
    const KEYS: &[&str] =
        &["test", "interval", "timeout", "start_period", "retries", "disable", "start_interval"];
    let mut start_interval = None;
    let mut disabled = false;
    let (mut test, mut interval, mut timeout, mut start_period, mut retries) =
        (Vec::new(), None, None, None, None);
    for pair in cursor.known_pairs(KEYS, "a mapping such as `{test: curl -f localhost, interval: 10s}`")? {
        let value = &pair.value;
        match pair.key {
            "test" => match health_test(value) {
                Some(HealthTest::Off) => disabled = true,
                Some(HealthTest::Run(run)) => test = run,
                None => {}
            },
            "interval" => interval = duration(value, Shortest::Millisecond),
            "timeout" => timeout = duration(value, Shortest::Millisecond),
            "start_period" => start_period = duration(value, Shortest::Millisecond),
            "retries" => {
                // Zero is the engine's word for its default.
                retries = integer(value, 0, i64::from(i32::MAX), "a whole number such as `3`")
                    .and_then(|number| u32::try_from(number).ok())
                    .filter(|number| *number > 0);
            }
            // It counts more than a `test`, as in Compose: a service may extend one that has a test.
            "disable" => disabled |= boolean(value) == Some(true),
            _ => start_interval = duration(value, Shortest::Millisecond),
        }
    }
    if disabled {
        return Some(HealthCheck::Disabled);
    }
    Some(HealthCheck::Check { test, interval, timeout, start_period, start_interval, retries })
}

enum HealthTest {
    Off,
    Run(Vec<String>),
}

fn health_test(cursor: &Cursor<'_>) -> Option<HealthTest> {
    const LIST: &str = "valid is a command for the shell as a string, or a list that starts with `CMD`, `CMD-SHELL` or `NONE`";
    let Some(items) = cursor.items() else {
        return match cursor.scalar() {
            Some(text) if !text.trim().is_empty() => {
                // To Compose, `docker stack` and Podlike any text is a command.
                if text == "NONE" {
                    cursor.warn(
                        "found `NONE` as text, which is a command of this name, as in Compose",
                        "write `disable: true` or `test: [NONE]` for no health check",
                    );
                }
                Some(HealthTest::Run(vec!["CMD-SHELL".into(), text]))
            }
            _ => {
                cursor.fault(format!("found {}", cursor.describe()), LIST);
                None
            }
        };
    };
    let Some(first) = items.first() else {
        cursor.fault("found an empty list", LIST);
        return None;
    };
    match first.scalar().as_deref() {
        Some("NONE") if items.len() == 1 => Some(HealthTest::Off),
        Some("NONE") => {
            cursor.fault("found something after `NONE`", "valid is `[NONE]`");
            None
        }
        Some("CMD") if items.len() > 1 => words(cursor).map(HealthTest::Run),
        Some("CMD-SHELL") if items.len() == 2 => words(cursor).map(HealthTest::Run),
        Some("CMD") => {
            cursor.fault(
                "found no command after `CMD`",
                "valid is a list such as `[CMD, curl, -f, localhost]`",
            );
            None
        }
        Some("CMD-SHELL") if items.len() > 2 => {
            cursor.warn(
                format!("found {} strings after `CMD-SHELL`", items.len() - 1),
                "the shell runs the first alone, and has the others as `$0`, `$1` and so on: write one string",
            );
            words(cursor).map(HealthTest::Run)
        }
        Some("CMD-SHELL") => {
            cursor.fault(
                "found no command after `CMD-SHELL`",
                "valid is one string, the command for the shell",
            );
            None
        }
        _ => {
            first.fault(format!("found {} at the start of the list", first.describe()), LIST);
            None
        }
    }
}

fn depends_on(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    let mut add = |cursor: &Cursor<'_>, place, on: String, (condition, required, restart)| {
        if raw.depends_on.iter().any(|dependency: &Spanned<Dependency>| dependency.value.on == on) {
            cursor.fault(format!("found {} twice", quote(&on)), "valid is each component once");
        } else {
            raw.depends_on.push(Spanned { value: Dependency { on, condition, required, restart }, place });
        }
    };
    let short = (Condition::Started, true, false);
    if let Some(items) = cursor.items() {
        for item in items {
            match item.scalar().filter(|on| !on.is_empty()) {
                Some(on) => add(&item, item.place(), on, short),
                None => item.expected("the name of a component"),
            }
        }
    } else if let Some(pairs) = cursor.pairs() {
        for pair in pairs {
            // Nothing under a name is the short form in another spelling.
            let said = if pair.value.is_null() { Some(short) } else { condition(&pair.value) };
            if pair.key.is_empty() {
                let valid = "valid is the name of a component";
                cursor.faults.fault(&pair.key_place, found_value(pair.key), valid);
            } else if let Some(said) = said {
                add(&pair.value, pair.key_place, pair.key.to_owned(), said);
            }
        }
    } else {
        cursor.expected("a list of components, or a mapping such as `db: {condition: service_healthy}`");
    }
}

/// What one dependency must come to, whether it must, and whether the dependent is restarted along with it.
fn condition(cursor: &Cursor<'_>) -> Option<(Condition, bool, bool)> {
    const VALID: &str = "valid are `service_started`, `service_healthy` and `service_completed_successfully`";
    let known = &["condition", "restart", "required"];
    let (mut condition, mut required, mut restart) = (Some(Condition::Started), true, false);
    for pair in cursor.known_pairs(known, "a mapping such as `{condition: service_healthy}`")? {
        match pair.key {
            "condition" => {
                condition = match pair.value.scalar().as_deref() {
                    Some("service_started") => Some(Condition::Started),
                    Some("service_healthy") => Some(Condition::Healthy),
                    Some("service_completed_successfully") => Some(Condition::Completed),
                    _ => {
                        pair.value.fault(format!("found {}", pair.value.describe()), VALID);
                        None
                    }
                };
            }
            "required" => required = boolean(&pair.value).unwrap_or(true),
            _ => restart = boolean(&pair.value).unwrap_or_default(),
        }
    }
    condition.map(|condition| (condition, required, restart))
}

fn capabilities(cursor: &Cursor<'_>) -> Vec<String> {
    let Some(items) = cursor.items() else {
        cursor.expected("a list of capabilities such as `[NET_ADMIN]`");
        return Vec::new();
    };
    let mut names: Vec<String> = Vec::new();
    for name in items.iter().filter_map(capability) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

pub(super) fn memory(cursor: &Cursor<'_>) -> Option<i64> {
    match size(cursor)? {
        // Docker's word for no limit of its own.
        0 => None,
        bytes if bytes >= LEAST_MEMORY => Some(bytes),
        _ => {
            cursor.expected("at least `6m`, the engine's minimum");
            None
        }
    }
}

pub(super) fn pids(cursor: &Cursor<'_>) -> Option<i64> {
    // Zero and -1 are both Docker's words for no limit.
    integer(cursor, -1, i64::MAX, "a whole number such as `100`, or `-1` for no limit")
        .map(|number| if number == 0 { -1 } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_keys_is_sorted_since_it_is_searched() {
        assert!(KEYS.is_sorted_by(|(left, _), (right, _)| left < right));
    }

    #[test]
    fn every_key_of_the_schemas_is_known() {
        let lines = include_str!("../tests/schema_keys.txt").lines();
        let keys =
            lines.filter_map(|line| line.strip_prefix("services.*.")).filter(|key| !key.contains(['.', '[']));
        // `services` is no key of a service, but a whole file in the place of one; `volume_driver` is of schema 2.4.
        let others = ["services", "volume_driver", OURS];
        let known = KEYS.iter().map(|(name, _)| *name).filter(|name| !others.contains(name));
        assert_eq!(known.collect::<Vec<_>>(), keys.collect::<Vec<_>>());
    }
}
