//! The rarer keys of a component, which become its [`Tuning`](pod::container_options::Tuning).

use std::collections::BTreeMap;

use super::compose::assignments;
use super::cursor::{Cursor, Place};
use super::diagnostic::{found_text, quote, suggest};
use super::raw::RawComponent;
use super::seccomp;
use super::values::{Shortest, boolean, duration, integer, nano_cpus, size, text, tidy_path};
use pod::container_options::{Blkio, Device, DeviceRequest, PullPolicy};

/// Limits that the engine knows by name.
const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A whole number of at least zero, which means the default.
pub(super) fn above_zero(cursor: &Cursor<'_>, valid: &str) -> Option<i64> {
    integer(cursor, 0, i64::MAX, valid).filter(|number| *number > 0)
}

/// Microseconds, as a number or a duration such as `400ms`; `least` is -1 where that means no limit.
pub(super) fn micros(cursor: &Cursor<'_>, least: i64) -> Option<i64> {
    let with_unit = cursor.scalar().is_some_and(|text| text.ends_with('s'));
    let micros = if with_unit {
        i64::try_from(duration(cursor, Shortest::Zero)?.as_micros()).ok()
    } else {
        integer(cursor, least, i64::MAX, "a number of microseconds such as `50000`, or a time such as `50ms`")
    };
    micros.filter(|micros| *micros != 0)
}

/// Bytes, or -1 for no limit; zero is not said.
pub(super) fn memory_swap(cursor: &Cursor<'_>) -> Option<i64> {
    if cursor.scalar().as_deref() == Some("-1") {
        return Some(-1);
    }
    size(cursor).filter(|bytes| *bytes > 0)
}

pub(super) fn cpuset(cursor: &Cursor<'_>) -> Option<String> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let part = |part: &str| part.split_once('-').map_or(number(part), |(a, b)| number(a) && number(b));
    let set = cursor.scalar().filter(|text| text.split(',').all(part));
    if set.is_none() {
        cursor.expected("the numbers of CPUs such as `0-2,5`");
    }
    set
}

/// A list of texts that are not empty.
pub(super) fn texts(cursor: &Cursor<'_>, list: &str, item: &str) -> Vec<String> {
    let Some(items) = cursor.items() else {
        cursor.expected(list);
        return Vec::new();
    };
    items.iter().filter_map(|cursor| text(cursor, item)).collect()
}

/// `name: value` or `name=value`, each with a value.
pub(super) fn named(cursor: &Cursor<'_>, valid: &str) -> BTreeMap<String, String> {
    let found = assignments(cursor, valid);
    found.into_iter().map(|(name, value, _)| (name, value.unwrap_or_default())).collect()
}

pub(super) fn device_rules(cursor: &Cursor<'_>) -> Vec<String> {
    const RULE: &str = "a rule such as `c 1:3 mr`";
    let number =
        |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let sound = |rule: &str| {
        let parts: Vec<&str> = rule.split(' ').collect();
        let [kind, numbers, rights] = parts[..] else { return false };
        matches!(kind, "a" | "b" | "c")
            && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
            && permissions(rights)
    };
    let Some(items) = cursor.items() else {
        cursor.expected("a list of rules such as `[c 1:3 mr]`");
        return Vec::new();
    };
    let rule = |item: &Cursor<'_>| {
        let rule = item.scalar().filter(|rule| sound(rule));
        if rule.is_none() {
            item.expected(RULE);
        }
        rule
    };
    items.iter().filter_map(rule).collect()
}

fn permissions(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.chars().all(|char| "rwm".contains(char))
}

pub(super) fn devices(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    const DEVICE: &str = "a device such as `/dev/fuse` or `/dev/sda:/dev/xvda:r`";
    let Some(items) = cursor.items() else {
        cursor.expected("a list of devices such as `[/dev/fuse]`");
        return;
    };
    for item in items {
        let (mut source, mut target, mut rights) = (None, None, None);
        if item.pairs().is_some() {
            for pair in item.known_pairs(&["source", "target", "permissions"], DEVICE).unwrap_or_default() {
                match pair.key {
                    "source" => source = pair.value.scalar(),
                    "target" => target = pair.value.scalar(),
                    _ => rights = pair.value.scalar(),
                }
            }
        } else if let Some(text) = item.scalar() {
            if !text.starts_with('/') && text.contains('=') {
                // A name of the Container Device Interface, as the command line takes it.
                let request =
                    DeviceRequest { driver: Some("cdi".into()), ids: vec![text], ..DeviceRequest::default() };
                raw.container.tuning.device_requests.push(request);
                continue;
            }
            let parts: Vec<&str> = text.split(':').collect();
            match parts[..] {
                [from] => source = Some(from.to_owned()),
                [from, to] if permissions(to) => {
                    source = Some(from.to_owned());
                    rights = Some(to.to_owned());
                }
                [from, to] => (source, target) = (Some(from.to_owned()), Some(to.to_owned())),
                [from, to, last] => {
                    (source, target) = (Some(from.to_owned()), Some(to.to_owned()));
                    rights = Some(last.to_owned());
                }
                _ => {}
            }
        }
        let Some(source) = source.as_deref().and_then(tidy_path) else {
            item.expected(DEVICE);
            continue;
        };
        let Some(target) = tidy_path(target.as_ref().unwrap_or(&source)) else {
            let problem = found_text("the target", &target.unwrap_or_default());
            item.fault(problem, "valid is an absolute path of the component such as `/dev/fuse`");
            continue;
        };
        let permissions_said = rights.unwrap_or_else(|| "rwm".into());
        if !permissions(&permissions_said) {
            let problem = found_text("the permissions", &permissions_said);
            item.fault(problem, "valid are some of `r`, `w` and `m`, such as `rwm`");
            continue;
        }
        raw.container.tuning.devices.push(Device { source, target, permissions: permissions_said });
    }
}

/// `all`, or a list of what is wanted of each kind of GPU.
pub(super) fn gpus(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    if cursor.scalar().as_deref() == Some("all") {
        let all =
            DeviceRequest { count: Some(-1), capabilities: vec!["gpu".into()], ..DeviceRequest::default() };
        raw.container.tuning.device_requests.push(all);
        return;
    }
    device_requests(raw, cursor, true);
}

fn device_requests(raw: &mut RawComponent, cursor: &Cursor<'_>, gpus: bool) {
    const KEYS: &[&str] = &["driver", "count", "device_ids", "capabilities", "options"];
    let (list, item_form) = match gpus {
        true => ("`all`, or a list such as `[{driver: nvidia, count: 2}]`", "a mapping such as `{count: 2}`"),
        false => (
            "a list such as `[{capabilities: [gpu], count: 2}]`",
            "a mapping such as `{capabilities: [gpu], count: 2}`",
        ),
    };
    let Some(items) = cursor.items() else {
        cursor.expected(list);
        return;
    };
    for item in items {
        let (mut request, mut faulty) = (DeviceRequest::default(), false);
        let Some(pairs) = item.known_pairs(KEYS, item_form) else { continue };
        for pair in pairs {
            let value = &pair.value;
            match pair.key {
                "driver" => request.driver = text(value, "a driver such as `nvidia`"),
                "count" if value.scalar().as_deref() == Some("all") => request.count = Some(-1),
                "count" => {
                    request.count = integer(value, -1, i64::MAX, "a whole number such as `1`, or `all`");
                }
                "device_ids" => {
                    request.ids = texts(value, "a list of devices such as `['0']`", "the id of a device");
                }
                "capabilities" => {
                    faulty = value.items().is_none_or(|items| !items.is_empty());
                    request.capabilities =
                        texts(value, "a list of capabilities such as `[gpu]`", "a capability such as `gpu`");
                }
                _ => request.options = named(value, "a mapping such as `name: value`"),
            }
        }
        if request.count.is_some() && !request.ids.is_empty() {
            item.fault("found `count` beside `device_ids`", "leave one of them out");
            continue;
        }
        if gpus && !request.capabilities.iter().any(|word| word == "gpu") {
            request.capabilities.push("gpu".into());
        }
        if request.capabilities.is_empty() {
            // Something was said, none of which is one.
            if !faulty {
                item.missing("capabilities", "valid is a list such as `[gpu]`", |key| KEYS.contains(&key));
            }
            continue;
        }
        if request.count.is_none() && request.ids.is_empty() {
            request.count = Some(-1);
        }
        raw.container.tuning.device_requests.push(request);
    }
}

pub(super) fn blkio(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    const KEYS: &[&str] = &[
        "weight",
        "weight_device",
        "device_read_bps",
        "device_write_bps",
        "device_read_iops",
        "device_write_iops",
    ];
    let mut blkio = Blkio::default();
    for pair in cursor.known_pairs(KEYS, "a mapping such as `{weight: 300}`").unwrap_or_default() {
        let value = &pair.value;
        match pair.key {
            "weight" => blkio.weight = weight(value),
            "weight_device" => blkio.weight_device = per_device(value, "weight", weight),
            "device_read_bps" => blkio.read_bps = per_device(value, "rate", rate_in_bytes),
            "device_write_bps" => blkio.write_bps = per_device(value, "rate", rate_in_bytes),
            "device_read_iops" => blkio.read_iops = per_device(value, "rate", rate),
            _ => blkio.write_iops = per_device(value, "rate", rate),
        }
    }
    raw.container.tuning.blkio = blkio;
}

fn weight(cursor: &Cursor<'_>) -> Option<u16> {
    integer(cursor, 10, 1000, "a weight from `10` to `1000`").and_then(|number| u16::try_from(number).ok())
}

fn rate_in_bytes(cursor: &Cursor<'_>) -> Option<i64> {
    size(cursor)
}

fn rate(cursor: &Cursor<'_>) -> Option<i64> {
    integer(cursor, 0, i64::MAX, "a number of operations per second such as `120`")
}

/// `[{path: /dev/sda, rate: 1m}]`.
fn per_device<T>(
    cursor: &Cursor<'_>,
    what: &str,
    read: impl Fn(&Cursor<'_>) -> Option<T>,
) -> Vec<(String, T)> {
    let form = format!("a mapping such as `{{path: /dev/sda, {what}: 300}}`");
    let Some(items) = cursor.items() else {
        cursor.expected(&format!("a list such as `[{{path: /dev/sda, {what}: 300}}]`"));
        return Vec::new();
    };
    let mut all = Vec::new();
    for item in items {
        let (mut path, mut value, mut said) = (None, None, (false, false));
        let Some(pairs) = item.known_pairs(&["path", what], &form) else { continue };
        for pair in pairs {
            if pair.key == "path" {
                said.0 = true;
                path = pair.value.scalar().as_deref().and_then(tidy_path);
                if path.is_none() {
                    pair.value.expected("the path of a device such as `/dev/sda`");
                }
            } else {
                said.1 = true;
                value = read(&pair.value);
            }
        }
        if !said.0 || !said.1 {
            let missing = if said.0 { what } else { "path" };
            item.missing(missing, format!("valid is {form}"), |key| ["path", what].contains(&key));
        }
        all.extend(path.zip(value));
    }
    all
}

pub(super) fn ulimits(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    const NUMBER: &str = "a whole number such as `1024`, or `-1` for no limit";
    let Some(pairs) = cursor.pairs() else {
        cursor.expected("a mapping such as `{nofile: 1024}`");
        return;
    };
    for pair in pairs {
        let value = &pair.value;
        if !ULIMITS.contains(&pair.key) {
            let remedy = suggest(pair.key, ULIMITS.iter().copied());
            cursor.faults.fault(&pair.key_place, found_text("the limit", pair.key), remedy);
            continue;
        }
        let limits = if value.pairs().is_some() {
            let (mut soft, mut hard, mut sound) = (None, None, true);
            for pair in value.known_pairs(&["soft", "hard"], NUMBER).unwrap_or_default() {
                let number = integer(&pair.value, -1, i64::MAX, NUMBER);
                sound &= number.is_some();
                if pair.key == "soft" { soft = number } else { hard = number }
            }
            if sound && soft.zip(hard).is_none() {
                let missing = if soft.is_none() { "soft" } else { "hard" };
                let is_key = |key: &str| ["soft", "hard"].contains(&key);
                value.missing(missing, "valid is `{soft: 1024, hard: 2048}`", is_key);
            }
            soft.zip(hard)
        } else if let Some(number) = value.scalar().map(|_| integer(value, -1, i64::MAX, NUMBER)) {
            number.map(|number| (number, number))
        } else {
            value.expected("a whole number such as `1024`, or `{soft: 1024, hard: 2048}`");
            None
        };
        match limits {
            Some((soft, hard)) if hard != -1 && (soft == -1 || soft > hard) => {
                let problem = format!("found the soft limit `{soft}` above the hard limit `{hard}`");
                value.fault(problem, "valid is a soft limit up to the hard one");
            }
            Some(limits) => _ = raw.container.tuning.ulimits.insert(pair.key.to_owned(), limits),
            None => {}
        }
    }
}

pub(super) fn logging(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    let (mut driver, mut options) = (String::new(), BTreeMap::new());
    let form = "a mapping such as `{driver: json-file, options: {max-size: 10m}}`";
    let Some(pairs) = cursor.known_pairs(&["driver", "options"], form) else { return };
    for pair in pairs {
        match pair.key {
            "driver" => driver = text(&pair.value, "a log driver such as `json-file`").unwrap_or_default(),
            _ => options = named(&pair.value, "a mapping such as `max-size: 10m`"),
        }
    }
    raw.container.tuning.logging = Some((driver, options));
}

/// As the command line sends them: `name=value`; of seccomp the profile itself, since the engine reads no file.
pub(super) fn security_opt(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    const OPTION: &str = "an option such as `no-new-privileges:true` or `apparmor:unconfined`";
    for (item, option) in cursor
        .items()
        .unwrap_or_else(|| {
            cursor.expected("a list of options such as `[no-new-privileges:true]`");
            Vec::new()
        })
        .into_iter()
        .filter_map(|item| text(&item, OPTION).map(|option| (item, option)))
    {
        let split = option.split_once('=').or_else(|| option.split_once(':'));
        match split {
            None if option == "no-new-privileges" => raw.container.tuning.security_opt.push(option),
            Some(("seccomp", profile))
                if !matches!(profile, "unconfined" | "builtin") && !profile.starts_with('{') =>
            {
                item.fault(
                    format!("found the seccomp profile {}", quote(profile)),
                    "valid are `unconfined`, `builtin`, and a profile in JSON itself: there is no folder of the \
                     node to read it from",
                );
            }
            Some(("seccomp", profile)) if profile.starts_with('{') => match seccomp::canonical(profile) {
                Some(profile) => raw.container.tuning.security_opt.push(format!("seccomp={profile}")),
                None => item.fault("found a seccomp profile that is not JSON", "valid is an object of JSON"),
            },
            Some((
                name @ ("apparmor" | "label" | "no-new-privileges" | "seccomp" | "systempaths"
                | "writable-cgroups"),
                value,
            )) => {
                raw.container.tuning.security_opt.push(format!("{name}={value}"));
            }
            _ => item.expected(OPTION),
        }
    }
}

pub(super) fn userns_mode(cursor: &Cursor<'_>) -> Option<String> {
    let mode = cursor.scalar().filter(|mode| mode == "host");
    if mode.is_none() {
        cursor.expected("`host`");
    }
    mode
}

pub(super) fn pull_policy(cursor: &Cursor<'_>) -> Option<PullPolicy> {
    const VALID: &str = "valid are `always`, `missing`, `if_not_present` and `never`";
    match cursor.scalar().as_deref() {
        Some("always") => Some(PullPolicy::Always),
        Some("missing" | "if_not_present") => Some(PullPolicy::Missing),
        Some("never") => Some(PullPolicy::Never),
        Some("build") => {
            cursor.fault("found `build`, but a node builds no image", VALID);
            None
        }
        Some(word)
            if word == "refresh" || word == "daily" || word == "weekly" || word.starts_with("every_") =>
        {
            let problem = format!("found {}, but a pod pulls only when it starts", quote(word));
            cursor.fault(problem, VALID);
            None
        }
        _ => {
            cursor.fault(format!("found {}", cursor.describe()), VALID);
            None
        }
    }
}

pub(super) fn platform(cursor: &Cursor<'_>) -> Option<String> {
    let plain = |part: &str| {
        !part.is_empty() && part.chars().all(|char| char.is_ascii_alphanumeric() || "._-".contains(char))
    };
    let platform = cursor.scalar().filter(|text| text.split('/').count() <= 3 && text.split('/').all(plain));
    if platform.is_none() {
        cursor.expected("a platform such as `linux/amd64`");
    }
    platform
}

/// What `deploy.resources` says, with the place of each, for a comparison with the keys of their own.
#[derive(Debug, Clone, Default)]
pub(super) struct Deployed {
    cpus: Option<(i64, Place)>,
    memory: Option<(i64, Place)>,
    pids: Option<(i64, Place)>,
    reservation: Option<(i64, Place)>,
}

pub(super) fn deploy(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    const KEYS: &[&str] = &[
        "resources",
        "endpoint_mode",
        "labels",
        "mode",
        "placement",
        "replicas",
        "restart_policy",
        "rollback_config",
        "update_config",
    ];
    let form = "a mapping such as `{resources: {limits: {memory: 64m}}}`";
    for pair in cursor.known_pairs(KEYS, form).unwrap_or_default() {
        if pair.key == "resources" {
            resources(raw, &pair.value);
        } else {
            let key = format!("deploy.{}", pair.key);
            let instead = format!("Swarm deploys the pod as a whole: set `{key}` on the pod's own service");
            raw.elsewhere.push((key, pair.key_place, instead));
        }
    }
}

fn resources(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    const SWARM: &str = "Swarm reserves for the pod as a whole: set it on the pod's own service";
    let form = "a mapping such as `{limits: {memory: 64m}}`";
    for part in cursor.known_pairs(&["limits", "reservations"], form).unwrap_or_default() {
        let limits = part.key == "limits";
        let known: &[&str] = match limits {
            true => &["cpus", "memory", "pids"],
            false => &["cpus", "memory", "devices", "generic_resources"],
        };
        for pair in part.value.known_pairs(known, "a mapping such as `{memory: 64m}`").unwrap_or_default() {
            let (value, place) = (&pair.value, pair.key_place.clone());
            match (limits, pair.key) {
                (true, "cpus") => raw.deployed.cpus = nano_cpus(value).map(|it| (it, place)),
                (true, "memory") => {
                    raw.deployed.memory = super::compose::memory(value).map(|it| (it, place));
                }
                (true, _) => raw.deployed.pids = super::compose::pids(value).map(|it| (it, place)),
                (false, "memory") => {
                    raw.deployed.reservation = size(value).filter(|it| *it > 0).map(|it| (it, place));
                }
                (false, "devices") => device_requests(raw, value, false),
                (false, key) => {
                    let key = format!("deploy.resources.reservations.{key}");
                    raw.elsewhere.push((key, place, SWARM.to_owned()));
                }
            }
        }
    }
}

/// Puts what `deploy.resources` says where the keys of their own would.
pub(super) fn deployed(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    let said = std::mem::take(&mut raw.deployed);
    let container = &mut raw.container;
    let slots = [
        ("cpus", said.cpus, &mut container.nano_cpus),
        ("mem_limit", said.memory, &mut container.memory_bytes),
        ("pids_limit", said.pids, &mut container.pids_limit),
        ("mem_reservation", said.reservation, &mut container.tuning.memory_reservation),
    ];
    for (key, said, slot) in slots {
        let Some((value, place)) = said else { continue };
        if slot.is_some_and(|other| other != value) {
            cursor.faults.fault(
                &place,
                format!("found another value than under `{key}`"),
                "leave one of them out",
            );
        }
        *slot = Some(value);
        raw.places.entry(key).or_insert(place);
    }
}

/// What the engine would refuse of keys that are right each by itself.
pub(super) fn contradictions(raw: &RawComponent, cursor: &Cursor<'_>) {
    let (container, tuning) = (&raw.container, &raw.container.tuning);
    let fault = |key: &str, problem: String, remedy: &str| {
        cursor.faults.fault(raw.places.get(key).unwrap_or(&raw.place), problem, remedy);
    };
    for (key, said) in [("cpu_period", tuning.cpu_period), ("cpu_quota", tuning.cpu_quota)] {
        if container.nano_cpus.is_some() && said.is_some() {
            fault(
                key,
                format!("found `{key}` beside `cpus`"),
                "leave one of them out: both say how much CPU",
            );
        }
    }
    let limit = container.memory_bytes;
    if let Some(swap) = tuning.memory_swap.filter(|swap| *swap > 0) {
        match limit {
            None => {
                fault("memswap_limit", "found a limit of memory and swap alone".into(), "set `mem_limit` too")
            }
            Some(limit) if swap < limit => {
                let problem = format!("found `{swap}` bytes, less than `mem_limit`");
                fault("memswap_limit", problem, "valid is the sum of memory and swap");
            }
            Some(_) => {}
        }
    }
    if let (Some(limit), Some(reserved)) = (limit, tuning.memory_reservation)
        && reserved > limit
    {
        let problem = format!("found `{reserved}` bytes, more than `mem_limit`");
        fault("mem_reservation", problem, "valid is up to the limit");
    }
}

/// Accepted, since it is for `docker compose up`; without an effect.
pub(super) fn attach(_: &mut RawComponent, cursor: &Cursor<'_>) {
    boolean(cursor);
}
