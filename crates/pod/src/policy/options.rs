//! Options of a component beside its mounts: each by a list of what is good. What the task container has, its operator has
//! given.

use std::collections::BTreeMap;

use super::super::bounds;
use super::super::container_options::{DeviceRequest, Tuning};
use super::super::path::{is_kernels, tidy_path};
use super::super::spec::ContainerSpec;
use super::super::task_container::TaskContainer;
use super::devices::{is_harmless, opens_the_harmless};
use super::{Allowance, Allowed, Level, Policy, Refusal};

/// The capabilities that Docker gives a container by itself.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Namespaced kernel settings (Docker's list, `docker run --sysctl`): each changes the pod alone. A `*` is any rest.
const SYSCTLS: &[&str] = &[
    "fs.mqueue.*",
    "kernel.domainname",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "net.core.optmem_max",
    "net.core.somaxconn",
    "net.ipv4.*",
    "net.ipv6.*",
    "net.unix.max_dgram_qlen",
];

/// Log drivers that write files of the engine's own, or nothing.
const LOG_DRIVERS: [&str; 3] = ["json-file", "local", "none"];
/// What they may be asked for; how much of it, [`bounds::BOUNDS`] says.
const LOG_OPTIONS: [&str; 5] = ["compress", "max-buffer-size", "max-file", "max-size", "mode"];

/// Drivers of GPUs, with the empty one that the engine picks by the capability `gpu`.
const GPU_DRIVERS: [&str; 3] = ["", "amd", "nvidia"];
/// What may be asked of them.
const GPU_CAPABILITIES: [&str; 8] =
    ["compat32", "compute", "display", "gpu", "graphics", "ngx", "utility", "video"];
/// Kinds of devices by the Container Device Interface that are GPUs.
const CDI_GPUS: [&str; 4] = ["amd.com/gpu=", "gpu.intel.com/gpu=", "intel.com/gpu=", "nvidia.com/gpu="];

/// Beginnings of labels that only inform people, of which `restricted` lets a component have any.
const INFORMING: [&str; 2] = ["org.label-schema.", "org.opencontainers."];

/// What to do about a label that is refused for its effect on other tools.
pub const LABEL_REMEDY: &str = "give the pod's own service the same label, or leave it out";

/// Beginnings of labels by which others find their containers, and what would come of them.
const TAKEN_LABELS: &[(&str, &str)] = &[
    ("io.tandem.", "valid is any other name: Tandem finds its containers by these"),
    ("com.docker.swarm.", "valid is any other name: Swarm would count the component as a task of its own"),
    (
        "com.docker.stack.",
        "valid is any other name: `docker stack` would count the component as a part of a stack",
    ),
    (
        "com.docker.compose.",
        "valid is any other name: Compose would count the component as a service and remove it",
    ),
    ("com.docker.", "valid is any other name: Docker's own tools find their containers by these"),
];

/// Why no component may have a label of this name, as what to do instead; `None` where it may.
pub fn taken_label(name: &str) -> Option<&'static str> {
    TAKEN_LABELS.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, remedy)| *remedy)
}

impl Policy {
    /// Options of a container that this policy refuses, beside its mounts. `is_stricter` says whether a seccomp profile in
    /// JSON allows nothing that Docker's default profile does not.
    pub(super) fn check_options(
        &self,
        container: &ContainerSpec,
        task: &TaskContainer,
        is_stricter: &dyn Fn(&str) -> bool,
    ) -> Vec<Refusal> {
        let tuning = &container.tuning;
        let mut refusals = Vec::new();
        let mut refuse = |allow: Allowed, key, problem: String, instead: &str| {
            let given = match &allow {
                Allowed::Capability(_) => self.allows(Allowance::Capabilities) || self.allowed.has(&allow),
                Allowed::Device(_) => self.allows(Allowance::RawDevices) || self.allowed.has(&allow),
                _ => self.allowed.has(&allow),
            };
            if !given {
                refusals.push(Refusal::liftable(key, problem, instead, vec![allow]));
            }
        };
        let all = Allowed::All;
        if container.privileged {
            let problem = "found `true`: a privileged component reaches the engine and owns the node".into();
            refuse(
                all(Allowance::Privileged),
                "privileged",
                problem,
                "name what it needs in `cap_add` and `devices`",
            );
        }
        let given = |name: &String| {
            DEFAULT_CAPABILITIES.contains(&name.as_str())
                || task.cap_add.iter().any(|given| given == name || given == "ALL")
        };
        for name in container.cap_add.iter().filter(|name| !given(name)) {
            let problem = format!(
                "found `{name}`, which is none of Docker's default capabilities, nor the task container's"
            );
            refuse(
                Allowed::Capability(name.clone()),
                "cap_add",
                problem,
                "add it to `cap_add` of the pod's own service",
            );
        }
        if tuning.userns_mode.as_deref() == Some("host") && task.userns_mode != "host" {
            let problem = "found `host`: root in the component would be root of the host".into();
            refuse(all(Allowance::HostUsers), "userns_mode", problem, "leave it out");
        }
        for option in &tuning.security_opt {
            if let Some(problem) = security_problem(option, tuning, task, is_stricter) {
                refuse(
                    all(Allowance::Unconfined),
                    "security_opt",
                    problem,
                    "leave it out, or give the pod's own service the same option",
                );
            }
        }
        for device in &tuning.devices {
            let path = &device.source;
            let own = task.devices.iter().filter_map(|own| tidy_path(own)).any(|own| own == *path);
            let harmless = self.level == Level::Default && is_harmless(path);
            if !own && !harmless {
                refuse(
                    Allowed::Device(path.clone()),
                    "devices",
                    format!("found `{path}`, which the task container does not have"),
                    "give it to the pod's own service",
                );
            }
            if is_kernels(&device.target) {
                let problem = format!("found the target `{}`", device.target);
                refuse(all(Allowance::RawDevices), "devices", problem, "valid is a path below `/dev`");
            }
        }
        for rule in &tuning.device_rules {
            let own = task.device_rules.contains(rule);
            let harmless = self.level == Level::Default && opens_the_harmless(rule);
            if !own && !harmless {
                let problem =
                    format!("found `{rule}`, which opens devices that the task container does not have");
                refuse(all(Allowance::RawDevices), "device_cgroup_rules", problem, "name less");
            }
        }
        for request in &tuning.device_requests {
            if let Some(problem) = self.gpu_problem(request) {
                refuse(all(Allowance::RawDevices), "gpus", problem, "leave it out");
            }
        }
        if let Some(runtime) =
            tuning.runtime.as_ref().filter(|name| **name != "runc" && **name != task.runtime)
        {
            let problem = format!("found `{runtime}`, which is not the runtime of the task container");
            refuse(
                all(Allowance::Runtimes),
                "runtime",
                problem,
                "valid is `runc`, or the runtime of the pod's own service",
            );
        }
        if let Some(name) = tuning.annotations.keys().next() {
            let problem = format!("found `{name}`: container runtimes act on annotations");
            refuse(all(Allowance::Annotations), "annotations", problem, "leave it out");
        }
        if let Some((driver, options)) = &tuning.logging
            && task.log.as_ref() != Some(&(driver.clone(), options.clone()))
            && let Some(problem) = log_problem(driver, options)
        {
            refuse(
                all(Allowance::LogDrivers),
                "logging",
                problem,
                "valid are `json-file`, `local` and `none` with `max-size` (1m at least), `max-file` (20 at most), \
                 `compress`, `mode` and `max-buffer-size` (4m at most), or exactly what the pod's own service has",
            );
        }
        let mut never = |key, problem: String, remedy: &str| {
            refusals.push(Refusal::absolute(key, problem, remedy));
        };
        for name in tuning.sysctls.keys().filter(|name| !is_namespaced(name)) {
            never(
                "sysctls",
                format!("found `{name}`, which is not known to be the pod's alone"),
                "valid are `net.ipv4.*`, `net.ipv6.*`, `fs.mqueue.*` and the `kernel.msg*`, `kernel.sem` and `kernel.shm*`",
            );
        }
        if let Some(name) = tuning.storage_opt.keys().find(|name| *name != "size") {
            never("storage_opt", format!("found `{name}`"), "valid is `size`");
        }
        for (name, value) in &container.labels {
            if !self.may_have_label(name, value, &task.labels) {
                never(
                    "labels",
                    format!("found `{name}`, on which other tools may act (`--policy restricted`)"),
                    LABEL_REMEDY,
                );
            }
        }
        refusals
    }

    fn gpu_problem(&self, request: &DeviceRequest) -> Option<String> {
        if self.level != Level::Default {
            return Some(format!(
                "found a GPU, and the manager runs with `--policy {}`",
                self.level.as_str()
            ));
        }
        let driver = request.driver.as_deref().unwrap_or_default();
        if driver == "cdi" {
            let known = |id: &&String| CDI_GPUS.iter().any(|kind| id.starts_with(kind));
            let foreign = request.ids.iter().find(|id| !known(id));
            return foreign.map(|id| format!("found `{id}`, which is not known to be a GPU"));
        }
        if !GPU_DRIVERS.contains(&driver) {
            return Some(format!("found the driver `{driver}`, which is not known to be one of GPUs"));
        }
        let mut words = request.capabilities.iter();
        if let Some(word) = words.find(|word| !GPU_CAPABILITIES.contains(&word.as_str())) {
            return Some(format!("found the capability `{word}`, which is none of a GPU"));
        }
        let option = request.options.keys().next()?;
        Some(format!("found the option `{option}`, which is not known to be harmless"))
    }

    /// A component, or its image, may have this label. `of_task` are the labels of the task container.
    pub fn may_have_label(&self, name: &str, value: &str, of_task: &BTreeMap<String, String>) -> bool {
        if taken_label(name).is_some() {
            return false;
        }
        self.level != Level::Restricted
            || value.is_empty()
            || name == "maintainer"
            || INFORMING.iter().any(|prefix| name.starts_with(prefix))
            || of_task.get(name).is_some_and(|given| given == value)
    }
}

/// The name and value of a security option, which the engine takes with `=` and with `:`.
pub(super) fn split_option(option: &str) -> (&str, &str) {
    let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
    // The kernel passes over blanks around the name of an AppArmor profile.
    (name, value.trim())
}

/// The profile of this kind that the task container has, where it is one of its own.
fn task_profile<'a>(task: &'a TaskContainer, kind: &str) -> Option<&'a str> {
    let profiles = task.security_opt.iter().map(|option| split_option(option));
    profiles
        .filter(|(name, value)| *name == kind && *value != "unconfined")
        .map(|(_, value)| value)
        .next_back()
}

fn security_problem(
    option: &str,
    tuning: &Tuning,
    task: &TaskContainer,
    is_stricter: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let (name, value) = split_option(option);
    // Of several of one kind the engine takes the last; labels add up.
    let mut given = task.security_opt.iter().rev().map(|given| split_option(given));
    let has = match name {
        "label" => given.any(|given| given == (name, value)),
        _ => given.find(|(given, _)| *given == name) == Some((name, value)),
    };
    if has {
        return None;
    }
    if matches!(name, "seccomp" | "apparmor") && task_profile(task, name).is_some() {
        let profile = if name == "apparmor" { "an AppArmor profile" } else { "a seccomp profile" };
        return Some(format!(
            "found {profile} beside that of the task container, which holds for components too"
        ));
    }
    match (name, value) {
        ("no-new-privileges", "" | "true") | ("seccomp", "builtin") | ("apparmor", "docker-default") => None,
        ("writable-cgroups" | "systempaths", "false" | "") => None,
        ("no-new-privileges", _) if !tuning.security_opt.is_empty() => {
            Some(format!("found `{option}`, which takes back a protection that may be the engine's default"))
        }
        ("seccomp", profile) if profile.starts_with('{') => (!is_stricter(profile)).then(|| {
            "found a seccomp profile that may allow what Docker's default profile does not".to_owned()
        }),
        ("apparmor", profile) if profile != "unconfined" => {
            Some(format!("found the AppArmor profile `{profile}`, which the task container does not have"))
        }
        _ => Some(format!("found `{name}={value}`, which switches off or replaces what protects the host")),
    }
}

/// Protections of the task container that its components have as well: floors, which a definition cannot take away.
pub fn apply_floors(tuning: &mut Tuning, task: &TaskContainer) {
    // Of several of one kind the engine takes the last.
    for (name, value) in task.security_opt.iter().rev().map(|option| split_option(option)) {
        let floor = match (name, value) {
            ("no-new-privileges", "" | "true") => "no-new-privileges=true".to_owned(),
            ("seccomp" | "apparmor", profile) if profile != "unconfined" => format!("{name}={profile}"),
            _ => continue,
        };
        if !tuning.security_opt.iter().any(|option| split_option(option).0 == name) {
            tuning.security_opt.push(floor);
        }
    }
    if task.oom_score_adj > 0 {
        tuning.oom_score_adj.get_or_insert(task.oom_score_adj);
    }
    // A limit that the task has not is the engine's default, which may be none.
    for (name, limits) in &task.ulimits {
        if INHERITED_ULIMITS.contains(&name.as_str()) && limits.1 >= 0 {
            tuning.ulimits.entry(name.clone()).or_insert(*limits);
        }
    }
}

/// Limits of the task container that are ceilings for its components, and theirs where they name none.
const INHERITED_ULIMITS: [&str; 4] = ["memlock", "msgqueue", "nproc", "sigpending"];

fn is_namespaced(name: &str) -> bool {
    // The engine takes both spellings.
    let name = name.replace('/', ".");
    // No name of a kernel setting has an empty step or a step upwards.
    let sound = name.split('.').all(|step| !step.is_empty());
    sound
        && SYSCTLS.iter().any(|entry| match entry.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => *entry == name,
        })
}

fn log_problem(driver: &str, options: &BTreeMap<String, String>) -> Option<String> {
    if !driver.is_empty() && !LOG_DRIVERS.contains(&driver) {
        return Some(format!("found the driver `{driver}`, which may send lines to sockets of the host"));
    }
    for (name, value) in options {
        if !LOG_OPTIONS.contains(&name.as_str()) {
            return Some(format!("found the option `{name}`"));
        }
        let sound = match name.as_str() {
            "max-size" | "max-buffer-size" => bounds::log_bytes(value).is_some(),
            "max-file" => value.parse().is_ok_and(|count: i64| count > 0),
            "mode" => matches!(value.as_str(), "blocking" | "non-blocking"),
            _ => matches!(value.as_str(), "true" | "false"),
        };
        if !sound {
            return Some(format!("found `{name}: {value}`"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::container_options::Device;

    fn tuned(change: impl FnOnce(&mut Tuning)) -> ContainerSpec {
        let mut container = ContainerSpec::default();
        change(&mut container.tuning);
        container
    }

    fn judged(policy: &Policy, container: &ContainerSpec, task: &TaskContainer) -> Vec<Refusal> {
        policy.check_options(container, task, &|profile| profile.contains("stricter"))
    }

    fn allow(text: &str) -> Policy {
        Policy { allowed: [text.parse().expect(text)].into_iter().collect(), ..Policy::default() }
    }

    fn device(source: &str) -> ContainerSpec {
        let device = Device { source: source.into(), target: source.into(), permissions: "r".into() };
        tuned(|tuning| tuning.devices.push(device))
    }

    fn rule(rule: &str) -> ContainerSpec {
        tuned(|tuning| tuning.device_rules.push(rule.into()))
    }

    fn option(option: &str) -> ContainerSpec {
        tuned(|tuning| tuning.security_opt.push(option.into()))
    }

    fn capability(name: &str) -> ContainerSpec {
        ContainerSpec { cap_add: vec![name.into()], ..ContainerSpec::default() }
    }

    fn logging(driver: &str, options: &[(&str, &str)]) -> ContainerSpec {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        tuned(|tuning| tuning.logging = Some((driver.into(), options)))
    }

    fn sysctl(name: &str) -> ContainerSpec {
        tuned(|tuning| _ = tuning.sysctls.insert(name.into(), "1".into()))
    }

    #[test]
    fn what_is_on_no_list_is_refused_until_it_alone_is_allowed() {
        let none = TaskContainer::default();
        let privileged = ContainerSpec { privileged: true, ..ContainerSpec::default() };
        let host_users = tuned(|tuning| tuning.userns_mode = Some("host".into()));
        let runtime = tuned(|tuning| tuning.runtime = Some("kata".into()));
        let annotated = tuned(|tuning| _ = tuning.annotations.insert("a".into(), "b".into()));
        let gpu = |driver: &str| {
            let request = DeviceRequest {
                driver: Some(driver.into()),
                capabilities: vec!["gpu".into()],
                ..DeviceRequest::default()
            };
            tuned(|tuning| tuning.device_requests.push(request))
        };
        let refused = [
            (privileged, "privileged", "privileged"),
            (capability("ALL"), "capabilities=ALL", "cap_add"),
            (capability("SYS_MODULE"), "capabilities=SYS_MODULE", "cap_add"),
            (capability("NET_ADMIN"), "capabilities=NET_ADMIN", "cap_add"),
            (capability("SYS_PTRACE"), "capabilities", "cap_add"),
            (host_users, "host-users", "userns_mode"),
            (option("seccomp=unconfined"), "unconfined", "security_opt"),
            (option(r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#), "unconfined", "security_opt"),
            (option("apparmor= unconfined"), "unconfined", "security_opt"),
            (option("apparmor=other"), "unconfined", "security_opt"),
            (option("apparmor=docker-default//&unconfined"), "unconfined", "security_opt"),
            (option("label=disable"), "unconfined", "security_opt"),
            (option("label=type:spc_t"), "unconfined", "security_opt"),
            (option("systempaths=unconfined"), "unconfined", "security_opt"),
            (option("writable-cgroups=true"), "unconfined", "security_opt"),
            (option("no-new-privileges=false"), "unconfined", "security_opt"),
            (device("/dev/nvme0n1p1"), "devices=/dev/nvme0n1p1", "devices"),
            (device("/dev/kvm"), "devices=/dev/kvm", "devices"),
            (device("/dev"), "raw-devices", "devices"),
            (device("/srv/null"), "raw-devices", "devices"),
            (rule("a *:* rwm"), "raw-devices", "device_cgroup_rules"),
            (rule("b 8:0 r"), "raw-devices", "device_cgroup_rules"),
            (rule("c *:* r"), "raw-devices", "device_cgroup_rules"),
            (gpu("other"), "raw-devices", "gpus"),
            (gpu("cdi"), "", ""),
            (runtime, "runtimes", "runtime"),
            (annotated, "annotations", "annotations"),
            (logging("syslog", &[]), "log-drivers", "logging"),
            (logging("journald", &[]), "log-drivers", "logging"),
            (logging("", &[("syslog-address", "unix:///run/x")]), "log-drivers", "logging"),
            (logging("json-file", &[("tag", "x")]), "log-drivers", "logging"),
            (logging("json-file", &[("max-size", "nan")]), "log-drivers", "logging"),
            (logging("json-file", &[("max-file", "0")]), "log-drivers", "logging"),
            (logging("local", &[("max-buffer-size", "-1")]), "log-drivers", "logging"),
        ];
        for (container, word, key) in refused {
            let found: Vec<&str> =
                judged(&Policy::default(), &container, &none).iter().map(|one| one.key).collect();
            if word.is_empty() {
                assert!(found.is_empty(), "{container:?}");
                continue;
            }
            assert_eq!(found, [key], "{container:?}");
            assert!(judged(&allow(word), &container, &none).is_empty(), "{word}: {container:?}");
            let others = Allowance::ALL.into_iter().map(Allowed::All).filter(|other| {
                let wide = match word.split('=').next() {
                    Some("capabilities") => "capabilities",
                    Some("devices") => "raw-devices",
                    _ => word,
                };
                other.to_string() != wide
            });
            let policy = Policy { allowed: others.collect(), ..Policy::default() };
            assert_eq!(judged(&policy, &container, &none).len(), 1, "{container:?}");
        }
        for container in [
            sysctl("kernel.core_pattern"),
            sysctl("vm.swappiness"),
            sysctl("net..x"),
            sysctl("net.core.rmem_max"),
        ] {
            assert_eq!(judged(&Policy::everything(), &container, &none).len(), 1, "{container:?}");
        }
    }

    #[test]
    fn what_is_on_a_list_passes() {
        for container in [
            capability("NET_RAW"),
            capability("CHOWN"),
            option("seccomp=builtin"),
            option(r#"seccomp={"stricter":1}"#),
            option("apparmor=docker-default"),
            option("no-new-privileges"),
            option("no-new-privileges=true"),
            device("/dev/net/tun"),
            device("/dev/fuse"),
            rule("c 10:200 rwm"),
            rule("c 1:3 r"),
            logging("json-file", &[("max-size", "10m"), ("max-file", "20"), ("compress", "true")]),
            logging("local", &[("mode", "non-blocking"), ("max-buffer-size", "4m")]),
            logging("none", &[]),
            logging("", &[("max-size", "1m")]),
            sysctl("net.ipv4.ip_local_port_range"),
            sysctl("net/ipv4/ip_forward"),
            sysctl("kernel.shmmax"),
            tuned(|tuning| tuning.runtime = Some("runc".into())),
            tuned(|tuning| _ = tuning.storage_opt.insert("size".into(), "1G".into())),
        ] {
            assert_eq!(
                judged(&Policy::default(), &container, &TaskContainer::default()),
                [],
                "{container:?}"
            );
        }
    }

    #[test]
    fn what_the_task_container_has_passes() {
        let task = TaskContainer {
            cap_add: vec!["SYS_PTRACE".into()],
            devices: vec!["/dev/kvm".into()],
            device_rules: vec!["c 10:232 rwm".into()],
            security_opt: vec!["label:type:container_kvm_t".into(), "apparmor=mine".into()],
            runtime: "kata".into(),
            userns_mode: "host".into(),
            log: Some(("syslog".into(), BTreeMap::from([("tag".into(), "x".into())]))),
            ..TaskContainer::default()
        };
        for container in [
            capability("SYS_PTRACE"),
            device("/dev/kvm"),
            rule("c 10:232 rwm"),
            option("label=type:container_kvm_t"),
            option("apparmor=mine"),
            tuned(|tuning| tuning.runtime = Some("kata".into())),
            tuned(|tuning| tuning.userns_mode = Some("host".into())),
            logging("syslog", &[("tag", "x")]),
        ] {
            assert_eq!(judged(&Policy::default(), &container, &task), [], "{container:?}");
        }
        for container in [
            capability("SYS_ADMIN"),
            device("/dev/sda"),
            option("apparmor=docker-default"),
            option("apparmor=unconfined"),
            logging("syslog", &[("tag", "y")]),
            logging("syslog", &[]),
        ] {
            assert_eq!(judged(&Policy::default(), &container, &task).len(), 1, "{container:?}");
        }
    }

    #[test]
    fn protections_of_the_task_are_floors_for_its_components() {
        let profile = r#"seccomp={"defaultAction":"SCMP_ACT_ERRNO"}"#;
        let task = TaskContainer {
            security_opt: ["no-new-privileges", profile, "apparmor=mine", "label=disable"]
                .map(str::to_owned)
                .into(),
            ..TaskContainer::default()
        };
        let mut tuning = Tuning::default();
        apply_floors(&mut tuning, &task);
        assert_eq!(tuning.security_opt, ["apparmor=mine", profile, "no-new-privileges=true"]);
        for option in [r#"seccomp={"stricter":1}"#, "seccomp=builtin"] {
            let container = tuned(|tuning| tuning.security_opt.push(option.into()));
            assert_eq!(judged(&Policy::default(), &container, &task).len(), 1, "{option}");
        }
        let ulimits = [("nproc", (5, 9)), ("memlock", (-1, -1)), ("nofile", (1, 1))];
        let ulimits: BTreeMap<_, _> = ulimits.map(|(name, limits)| (name.to_owned(), limits)).into();
        let task = TaskContainer { oom_score_adj: 300, ulimits, ..TaskContainer::default() };
        let mut tuning = Tuning::default();
        apply_floors(&mut tuning, &task);
        assert_eq!((tuning.oom_score_adj, tuning.ulimits.get("nproc")), (Some(300), Some(&(5, 9))));
        assert_eq!(tuning.ulimits.len(), 1);
        let open =
            TaskContainer { security_opt: vec!["seccomp=unconfined".into()], ..TaskContainer::default() };
        let mut tuning = Tuning::default();
        apply_floors(&mut tuning, &open);
        assert_eq!(tuning.security_opt, Vec::<String>::new());
    }

    #[test]
    fn restricted_lets_a_component_have_labels_that_inform_or_that_the_task_has() {
        let restricted = Policy { level: Level::Restricted, ..Policy::default() };
        let labels = BTreeMap::from([("traefik.enable".to_owned(), "true".to_owned())]);
        let task = TaskContainer { labels: labels.clone(), ..TaskContainer::default() };
        let container = ContainerSpec { labels, ..ContainerSpec::default() };
        assert_eq!(judged(&restricted, &container, &task), []);
        assert_eq!(judged(&restricted, &container, &TaskContainer::default()).len(), 1);
        assert_eq!(judged(&Policy::default(), &container, &TaskContainer::default()), []);
        assert!(restricted.may_have_label("org.opencontainers.image.title", "x", &task.labels));
        for name in ["io.tandem.pod", "com.docker.compose.project"] {
            assert!(!Policy::everything().may_have_label(name, "x", &task.labels), "{name}");
        }
    }
}
