//! What a component may ask for that would pierce the pod, or the host: only what the operator allows. The
//! operator speaks on the manager's command line or in its environment, never in labels.

use std::collections::BTreeSet;
use std::fmt;

use super::devices::{is_harmless, opens_the_harmless};
use super::spec::{ContainerSpec, Mount, MountSource, Recursion};
use super::task::TaskContainer;

/// What an operator can allow (`--allow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// Capabilities that lead out of a container.
    Capabilities,
    /// A mount of the engine's socket.
    EngineSocket,
    /// A task container on the host's network.
    HostNetwork,
    /// Mounts of what the host is run by.
    HostPaths,
    /// The host's user namespace, where the engine maps users.
    HostUsers,
    /// Everything.
    Privileged,
    /// Devices but those that are known to be harmless.
    RawDevices,
    /// Protections of the kernel that are switched off.
    Unconfined,
}

impl Allowance {
    /// All of them, in alphabetical order.
    pub const ALL: [Allowance; 8] = [
        Self::Capabilities,
        Self::EngineSocket,
        Self::HostNetwork,
        Self::HostPaths,
        Self::HostUsers,
        Self::Privileged,
        Self::RawDevices,
        Self::Unconfined,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::EngineSocket => "engine-socket",
            Self::HostNetwork => "host-network",
            Self::HostPaths => "host-paths",
            Self::HostUsers => "host-users",
            Self::Privileged => "privileged",
            Self::RawDevices => "raw-devices",
            Self::Unconfined => "unconfined",
        }
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the operator of the manager allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Components get no path and no device of the host but what the task container has.
    pub strict: bool,
    /// What is allowed beyond.
    pub allowed: BTreeSet<Allowance>,
}

/// What a component may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The Compose key.
    pub key: &'static str,
    /// What was found, and what it would do.
    pub problem: String,
    /// What to do instead.
    pub remedy: String,
}

/// Capabilities with which root in a container is root on the host, or nearly: they load code into the kernel,
/// mount what they like, or read any file of a disk.
const LEADING_OUT: &[&str] = &["ALL", "BPF", "DAC_READ_SEARCH", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO"];

/// Where an engine keeps everything that it has, unless it says otherwise.
const ENGINE_ROOTS: &[&str] = &["/var/lib/docker", "/var/lib/containerd"];

const UNKNOWN_DEVICE: &str =
    "is not known to be harmless: it may lead to disks, to memory or to a keyboard of the host";

/// Where the sockets are through which the host's services are run: D-Bus leads to systemd, and root there starts what
/// it likes.
const SERVICES: &[&str] = &["/run/dbus", "/run/systemd"];

/// What of that only takes log lines, or names.
const HARMLESS: &[&str] = &["/run/systemd/journal", "/run/systemd/resolve"];

/// The host's cgroups.
const CGROUPS: &str = "/sys/fs/cgroup";
/// File systems that hosts have mounted in those of the kernel, each a way to more than to look.
const MOUNTED: &[&str] = &[
    CGROUPS,
    "/proc/fs/nfsd",
    "/proc/sys/fs/binfmt_misc",
    "/sys/firmware/efi/efivars",
    "/sys/fs/bpf",
    "/sys/fs/fuse/connections",
    "/sys/fs/pstore",
    "/sys/kernel/config",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
];

impl Policy {
    /// It allows all that there is to allow.
    pub fn everything() -> Self {
        Self { strict: false, allowed: Allowance::ALL.into() }
    }

    /// It allows this.
    pub fn allows(&self, what: Allowance) -> bool {
        self.allowed.contains(&what)
    }

    /// Why a task container like this has no pod; `None` where it may.
    pub fn against_task(&self, task: &TaskContainer) -> Option<String> {
        let host = task.network_mode == "host" && !self.allows(Allowance::HostNetwork);
        host.then(|| {
            format!(
                "the task container is on the host's network, where components would reach every socket of the host, \
                 those of container runtimes among them: give it a network of its own, or start the manager with \
                 `--allow {}`",
                Allowance::HostNetwork
            )
        })
    }

    /// What of a container, beside its mounts, this does not allow.
    pub fn against_container(&self, container: &ContainerSpec) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let mut refuse = |what: Allowance, key, problem: String, instead: &str| {
            if !self.allows(what) {
                let remedy = format!("{instead}, or start the manager with `--allow {what}`");
                refusals.push(Refusal { key, problem, remedy });
            }
        };
        if container.privileged {
            let problem = "found `true`: a privileged component reaches the engine and owns the node".into();
            refuse(
                Allowance::Privileged,
                "privileged",
                problem,
                "name what it needs in `cap_add` and `devices`",
            );
        }
        for capability in container.cap_add.iter().filter(|name| LEADING_OUT.contains(&name.as_str())) {
            let problem = format!("found `{capability}`, which leads out of the container");
            refuse(Allowance::Capabilities, "cap_add", problem, "name less");
        }
        let tuning = &container.tuning;
        if tuning.userns_mode.as_deref() == Some("host") {
            let problem = "found `host`: root in the component would be root of the host".into();
            refuse(Allowance::HostUsers, "userns_mode", problem, "leave it out");
        }
        for option in &tuning.security_opt {
            if option.starts_with("seccomp={") {
                let problem = "found a seccomp profile, which may switch off what protects the host".into();
                refuse(Allowance::Unconfined, "security_opt", problem, "leave it out");
            } else if switches_off(option) {
                let problem = format!("found `{option}`, which switches off what protects the host");
                refuse(Allowance::Unconfined, "security_opt", problem, "leave it out, or name a profile");
            }
        }
        for device in tuning.devices.iter().filter(|device| !is_harmless(&device.source)) {
            let path = &device.source;
            let problem = format!("found `{path}`, which {UNKNOWN_DEVICE}");
            refuse(Allowance::RawDevices, "devices", problem, "leave it out");
        }
        for rule in tuning.device_rules.iter().filter(|rule| !opens_the_harmless(rule)) {
            let problem = format!("found `{rule}`, which opens what {UNKNOWN_DEVICE}");
            refuse(Allowance::RawDevices, "device_cgroup_rules", problem, "name less");
        }
        if self.strict {
            for (key, some) in [
                ("devices", !tuning.devices.is_empty()),
                ("device_cgroup_rules", !tuning.device_rules.is_empty()),
                ("gpus", !tuning.device_requests.is_empty()),
            ] {
                if some {
                    let problem =
                        "found a device of the host, and the manager runs with `--policy strict`".into();
                    refusals.push(Refusal { key, problem, remedy: "leave it out".into() });
                }
            }
        }
        refusals
    }

    /// Why a component may not have this mount of the host; `None` where it may. The engine's socket is a matter of
    /// its own.
    pub fn against_mount(&self, mount: &Mount, task: &TaskContainer) -> Option<Refusal> {
        let MountSource::Bind { path, recursive, .. } = &mount.source else { return None };
        let whole = matches!(recursive, Recursion::Disabled | Recursion::ReadOnly) || !writable_below(path);
        let read_only = mount.read_only && whole;
        let against =
            runs_the_host(path, read_only, ENGINE_ROOTS).or_else(|| for_the_manager(task, path, read_only));
        if let Some(refusal) = against.and_then(|why| self.against_host_path(path, why)) {
            return Some(refusal);
        }
        // What the task container has, its operator has given.
        if self.strict && !task.mounts.iter().any(|mount| within(path, &mount.source)) {
            return Some(Refusal {
                key: "volumes",
                problem: format!("found `{path}` of the host, and the manager runs with `--policy strict`"),
                remedy: "mount it in the pod's own service too, or use a named volume".into(),
            });
        }
        None
    }

    /// As [`Self::against_mount`], of a path that is mounted or that a volume stands for, at an engine that keeps what
    /// it has in `root`.
    pub fn against_device(&self, path: &str, read_only: bool, root: &str) -> Option<Refusal> {
        self.against_host_path(path, runs_the_host(path, read_only && !writable_below(path), &[root])?)
    }

    fn against_host_path(&self, path: &str, why: &str) -> Option<Refusal> {
        let what = Allowance::HostPaths;
        (!self.allows(what)).then(|| Refusal {
            key: "volumes",
            problem: format!("found `{path}` of the host, {why}"),
            remedy: format!("mount something below it, or start the manager with `--allow {what}`"),
        })
    }
}

/// A profile that protects nothing.
fn switches_off(option: &str) -> bool {
    // The kernel passes over blanks around the name of an AppArmor profile.
    let (name, value) = option.split_once('=').map_or((option, ""), |(name, value)| (name, value.trim()));
    matches!(
        (name, value),
        ("apparmor", "unconfined" | "docker-unconfined")
            | ("label", "disable")
            | ("seccomp" | "systempaths", "unconfined")
    ) || name == "label" && value.starts_with("type:spc_t")
}

const TO_SERVICES: &str = "through which systemd is told what to run";

fn runs_services(path: &str) -> bool {
    let path = if within(path, "/var/run") { &path["/var".len()..] } else { path };
    let below = |folders: &[&str]| folders.iter().any(|folder| within(path, folder));
    below(SERVICES) && !below(HARMLESS) || of_a_user(path)
}

/// Every user may have a systemd and a D-Bus of their own, root too; all of them are below the user's folder.
fn of_a_user(path: &str) -> bool {
    // `/run/user/UID/...`: the folder itself holds them all.
    within(path, "/run/user")
        && path.split('/').nth(4).is_none_or(|word| matches!(word, "bus" | "systemd" | "dbus-1"))
}

/// Read-only is not all of this path: what is mounted below it stays writable. A bind of the engine's is read-only for
/// itself alone before Docker Engine 25, and where the kernel cannot do more (before Linux 5.12).
fn writable_below(path: &str) -> bool {
    // On cgroup v1 the tree is a folder of mounts.
    path == CGROUPS || MOUNTED.iter().any(|place| *place != path && within(place, path))
}

/// Why no component may have this path of the host though the task container has it: it is there for the manager, to
/// hold the pod to its limits. `None` for any other. `read_only` as it is mounted, which is not all of some paths.
pub fn managers_alone(task: &TaskContainer, path: &str, read_only: bool) -> Option<&'static str> {
    for_the_manager(task, path, read_only && !writable_below(path))
}

/// As [`managers_alone`], where `read_only` holds for all that is mounted there.
fn for_the_manager(task: &TaskContainer, path: &str, read_only: bool) -> Option<&'static str> {
    // What stands where the socket is looked for is one, whatever it is called on the host.
    let stands_for_it = task.mounts.iter().any(|mount| {
        runs_services(&mount.target)
            && !mount.source.is_empty()
            && (within(path, &mount.source) || within(&mount.source, path))
    });
    match path {
        _ if stands_for_it || runs_services(path) => Some(TO_SERVICES),
        _ if SERVICES.iter().any(|folder| within(folder, path)) => Some(TO_SERVICES),
        _ if !read_only && (within(path, CGROUPS) || within(CGROUPS, path)) => {
            Some("through which every limit of the host can be changed")
        }
        _ => None,
    }
}

/// Why whoever has this path of the host, tidy, is close to being root there; `None` for any other. `read_only` holds for
/// all that is mounted there.
fn runs_the_host(path: &str, read_only: bool, roots: &[&str]) -> Option<&'static str> {
    let kernel = |folder: &str| path == folder || (within(path, folder) && !read_only);
    match path {
        "/" => Some("which is all of it"),
        "/run" | "/var/run" => Some("which holds the sockets of everything that runs there"),
        _ if runs_services(path) => Some(TO_SERVICES),
        _ if kernel("/proc") || kernel("/sys") => Some("through which the kernel is told what to do"),
        _ if roots.iter().any(|root| {
            within(root, path) || (within(path, root) && !within(path, &format!("{root}/volumes")))
        }) =>
        {
            Some("which holds or is in what the engine keeps")
        }
        _ => None,
    }
}

/// `inner` is `outer` or below it; both tidy. Nothing is within no path at all.
pub fn within(inner: &str, outer: &str) -> bool {
    outer == "/"
        || !outer.is_empty()
            && inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::task::TaskMount;
    use crate::pod::tuning::{Device, DeviceRequest, Tuning};

    fn keys(policy: &Policy, container: &ContainerSpec) -> Vec<&'static str> {
        policy.against_container(container).iter().map(|refusal| refusal.key).collect()
    }

    fn tuned(change: impl FnOnce(&mut Tuning)) -> ContainerSpec {
        let mut container = ContainerSpec::default();
        change(&mut container.tuning);
        container
    }

    #[test]
    fn what_leads_to_the_host_is_refused_until_it_alone_is_allowed() {
        let device = |source: &str| {
            let device = Device { source: source.into(), target: source.into(), permissions: "r".into() };
            tuned(|tuning| tuning.devices.push(device))
        };
        let rule = |rule: &str| tuned(|tuning| tuning.device_rules.push(rule.into()));
        let option = |option: &str| tuned(|tuning| tuning.security_opt.push(option.into()));
        let capability =
            |name: &str| ContainerSpec { cap_add: vec![name.into()], ..ContainerSpec::default() };
        let users = |mode: &str| tuned(|tuning| tuning.userns_mode = Some(mode.into()));
        let privileged = ContainerSpec { privileged: true, ..ContainerSpec::default() };
        use Allowance as A;
        let refused = [
            (privileged, A::Privileged, "privileged"),
            (capability("ALL"), A::Capabilities, "cap_add"),
            (capability("SYS_MODULE"), A::Capabilities, "cap_add"),
            (users("host"), A::HostUsers, "userns_mode"),
            (option("seccomp=unconfined"), A::Unconfined, "security_opt"),
            (option(r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#), A::Unconfined, "security_opt"),
            (option("seccomp={}"), A::Unconfined, "security_opt"),
            (option("apparmor= unconfined"), A::Unconfined, "security_opt"),
            (option("label=disable"), A::Unconfined, "security_opt"),
            (device("/dev/nvme0n1p1"), A::RawDevices, "devices"),
            (device("/dev/ubuntu-vg/ubuntu-lv"), A::RawDevices, "devices"),
            (device("/dev"), A::RawDevices, "devices"),
            (device("/srv/null"), A::RawDevices, "devices"),
            (rule("a *:* rwm"), A::RawDevices, "device_cgroup_rules"),
            (rule("b 8:0 r"), A::RawDevices, "device_cgroup_rules"),
            (rule("c 01:1 r"), A::RawDevices, "device_cgroup_rules"),
            (rule("c *:* r"), A::RawDevices, "device_cgroup_rules"),
        ];
        for (container, what, key) in refused {
            let only = |allowed| Policy { strict: false, allowed };
            assert_eq!(keys(&Policy::default(), &container), [key], "{container:?}");
            assert!(keys(&only([what].into()), &container).is_empty(), "{container:?}");
            let others = Allowance::ALL.into_iter().filter(|other| *other != what).collect();
            assert_eq!(keys(&only(others), &container), [key], "{container:?}");
        }
        for container in [
            capability("NET_ADMIN"),
            capability("SYS_PTRACE"),
            users("private"),
            option("seccomp=builtin"),
            option("apparmor=docker-default"),
            option("no-new-privileges=true"),
            device("/dev/net/tun"),
            device("/dev/fuse"),
            rule("c 10:200 rwm"),
            rule("c 1:3 r"),
        ] {
            assert!(keys(&Policy::default(), &container).is_empty(), "{container:?}");
        }
    }

    #[test]
    fn strict_leaves_named_volumes_and_what_the_task_container_has() {
        let strict = Policy { strict: true, ..Policy::default() };
        let own = TaskMount { kind: "bind".into(), source: "/srv/data".into(), ..TaskMount::default() };
        let task = TaskContainer { mounts: vec![own], ..TaskContainer::default() };
        let refused = |source: MountSource| {
            let mount = Mount { target: "/t".into(), read_only: true, source };
            strict.against_mount(&mount, &task).is_some()
        };
        assert!(refused(MountSource::bind("/srv")));
        assert!(refused(MountSource::bind("/srv/data2")));
        assert!(!refused(MountSource::bind("/srv/data")));
        assert!(!refused(MountSource::bind("/srv/data/app")));
        assert!(!refused(MountSource::volume(Some("any".into()))));
        assert!(!refused(MountSource::Tmpfs { size_bytes: None, mode: None }));
        let allowed = Policy { strict: true, allowed: [Allowance::HostPaths].into() };
        let mount = Mount { target: "/t".into(), read_only: false, source: MountSource::bind("/sys") };
        assert!(allowed.against_mount(&mount, &task).is_some(), "what is allowed makes nothing less strict");
        let gpu = tuned(|tuning| tuning.device_requests.push(DeviceRequest::default()));
        assert_eq!(keys(&strict, &gpu), ["gpus"]);
        assert!(keys(&Policy::default(), &gpu).is_empty());
        let everything = Policy { strict: true, ..Policy::everything() };
        assert_eq!(keys(&everything, &gpu), ["gpus"], "what is strict stays so");
    }

    #[test]
    fn paths_that_run_the_host_are_refused_and_others_are_not() {
        let refused = |path: &str, read_only: bool| {
            let mount = Mount { target: "/t".into(), read_only, source: MountSource::bind(path) };
            Policy::default().against_mount(&mount, &TaskContainer::default()).is_some()
        };
        for path in ["/", "/proc", "/sys", "/run", "/var/run", "/var/lib", "/var/lib/docker", "/var"] {
            assert!(refused(path, true) && refused(path, false), "{path}");
        }
        for path in ["/var/lib/docker/containers", "/var/lib/containerd/x"] {
            assert!(refused(path, true), "{path}");
        }
        assert!(refused("/sys/fs/cgroup", false) && !refused("/sys/class/hwmon", true));
        // Read-only for the path itself, and not for what is mounted below it.
        for path in ["/sys/fs", "/sys/fs/cgroup", "/sys/kernel", "/proc/sys", "/proc/sys/fs"] {
            assert!(refused(path, true), "{path}");
            for recursive in [Recursion::Disabled, Recursion::ReadOnly] {
                let source =
                    MountSource::Bind { path: path.into(), create: false, propagation: None, recursive };
                let mount = Mount { target: "/t".into(), read_only: true, source };
                assert!(
                    Policy::default().against_mount(&mount, &TaskContainer::default()).is_none(),
                    "{mount:?}"
                );
            }
        }
        assert!(!refused("/sys/fs/cgroup/memory", true) && !refused("/proc/sys/net", true));
        for path in ["/run/dbus", "/run/dbus/system_bus_socket", "/run/systemd", "/run/systemd/private"] {
            assert!(refused(path, true) && refused(path, false), "{path}");
            assert!(refused(&format!("/var{path}"), true), "/var{path}");
        }
        for path in ["/run/user", "/run/user/0", "/run/user/0/bus", "/run/user/1000/systemd/private"] {
            assert!(refused(path, true) && refused(path, false), "{path}");
        }
        for path in ["/run/systemd/journal/dev-log", "/run/systemd/resolve/resolv.conf", "/run/dbusx"] {
            assert!(!refused(path, false), "{path}");
        }
        for path in [
            "/etc",
            "/srv",
            "/run/user/1000/app",
            "/run/users",
            "/home/run",
            "/var/lib/docker/volumes/a/_data",
            "/procs",
        ] {
            assert!(!refused(path, false), "{path}");
        }
        let device = |policy: Policy, path, read_only| {
            policy.against_device(path, read_only, "/data/docker").is_some()
        };
        assert!(device(Policy::default(), "/data/docker/containers", true));
        assert!(!device(Policy::default(), "/data/other", false));
        assert!(
            !device(Policy::default(), "/sys/class", true) && device(Policy::default(), "/sys/class", false)
        );
        assert!(!device(Policy::everything(), "/", false));
    }

    #[test]
    fn what_the_manager_limits_with_is_the_managers_alone() {
        let mount = |source: &str, target: &str| TaskMount {
            source: source.into(),
            target: target.into(),
            ..TaskMount::default()
        };
        let mounts = vec![
            mount("/srv/bus", "/var/run/dbus/system_bus_socket"),
            mount("/srv/data", "/data"),
            mount("", "/run/dbus"),
        ];
        let task = TaskContainer { mounts, ..TaskContainer::default() };
        let alone = |path: &str, read_only| managers_alone(&task, path, read_only).is_some();
        for path in
            ["/srv/bus", "/srv", "/run/dbus/system_bus_socket", "/var/run/systemd/private", "/run", "/"]
        {
            assert!(alone(path, true) && alone(path, false), "{path}");
        }
        assert!(alone("/sys/fs/cgroup/unified", false) && !alone("/sys/fs/cgroup/unified", true));
        for path in ["/sys/fs/cgroup", "/sys/fs", "/sys"] {
            assert!(alone(path, false) && alone(path, true), "{path}");
            assert!(for_the_manager(&task, path, true).is_none(), "{path}");
        }
        for path in ["/srv/data", "/srv/other", "/etc", "/run/systemd/journal", "/sys/class"] {
            assert!(!alone(path, false), "{path}");
        }
        let bind = Mount { target: "/t".into(), read_only: true, source: MountSource::bind("/srv/bus") };
        assert!(Policy::default().against_mount(&bind, &task).is_some());
        assert!(Policy::everything().against_mount(&bind, &task).is_none());
    }

    #[test]
    fn a_task_container_on_the_hosts_network_has_no_pod_unless_that_is_allowed() {
        let on = |mode: &str| TaskContainer { network_mode: mode.into(), ..TaskContainer::default() };
        assert!(Policy::default().against_task(&on("host")).is_some());
        assert!(Policy::default().against_task(&on("bridge")).is_none());
        assert!(Policy::everything().against_task(&on("host")).is_none());
    }
}
