//! Every control of *baseline* and *restricted* with its passing and failing neighbours, named after the fixtures of
//! Kubernetes' own tests (`k8s.io/pod-security-admission/test/fixtures_*.go`, as of Kubernetes 1.37).
//!
//! A case is tried with nothing allowed and with every word of `--allow`: what fails must fail with both, and what passes
//! must pass with every word, so that nothing but the controls is asked.

use std::collections::{BTreeMap, BTreeSet};

use definition::files::{FileFault, FileKind, Files};
use definition::labels::{Surroundings, read};
use pod::container_options::{Device, DeviceRequest};
use pod::policy::{Bind, Host, Level, Policy, Refusal};
use pod::spec::{ComponentSpec, ContainerSpec, Hook, Recursion};
use pod::task_container::{TaskContainer, TaskMount};
use pod::testing::{BASELINE_CONTROLS, RESTRICTED_CONTROLS};
use pod::volume::VolumeInfo;

use Expected::{Fails, Passes};
use Level::{Baseline, Restricted};
use Subject::{Component, Label, Mount, Task, User, Volume};

/// Controls of `restricted` that stand for one of `baseline`.
const OVERRIDES: [(&str, &str); 4] = [
    ("capabilities_baseline", "capabilities_restricted"),
    ("hostPathVolumes", "restrictedVolumes"),
    ("procMount", "procMount_restricted"),
    ("seccompProfile_baseline", "seccompProfile_restricted"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Passes,
    Fails,
}

/// What a case changes.
enum Subject {
    /// A component, or an init component: one check is both's.
    Component(fn(&mut ComponentSpec)),
    /// The task container, whose namespaces components join.
    Task(fn(&mut TaskContainer)),
    /// A bind of this path; the task container has `/srv/own`.
    Mount(&'static str),
    /// A volume with this driver and these options, which the task container may have.
    Volume(&'static str, &'static [(&'static str, &'static str)], bool),
    /// The user of an image.
    User(&'static str),
    /// The keys of a component as text; no other form has what the control is about.
    Label(&'static str),
}

type Case = (&'static str, Level, &'static str, Expected, Subject);

/// A profile that the tests take for one that is stricter than Docker's.
const STRICTER: &str = r#"seccomp={"defaultAction":"SCMP_ACT_ERRNO"}"#;
/// One that allows everything.
const WIDE: &str = r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#;

/// What `seccompProfile.type: Localhost` is: somebody has put it on the node, and given it to the task container.
const LOCALHOST: &str = r#"seccomp={"defaultAction":"SCMP_ACT_ERRNO","names":["of the task"]}"#;

fn option(component: &mut ComponentSpec, option: &str) {
    component.container.tuning.security_opt.push(option.to_owned());
}

fn set_sysctl(component: &mut ComponentSpec, names: &[&str]) {
    let named = names.iter().map(|name| ((*name).to_owned(), "1".to_owned()));
    component.container.tuning.sysctls.extend(named);
}

fn add(component: &mut ComponentSpec, names: &[&str]) {
    component.container.cap_add.extend(names.iter().map(|name| (*name).to_owned()));
}

fn drop_capabilities(component: &mut ComponentSpec, names: &[&str]) {
    component.container.cap_drop = names.iter().map(|name| (*name).to_owned()).collect();
}

const THIRTEEN: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Every capability but `ALL` itself, as the fixture `capabilities_restricted2` drops them.
const ONE_BY_ONE: [&str; 36] = [
    "SYS_TIME",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "NET_ADMIN",
    "SYSLOG",
    "CHOWN",
    "NET_RAW",
    "DAC_OVERRIDE",
    "FOWNER",
    "DAC_READ_SEARCH",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_BOOT",
    "LEASE",
    "SETFCAP",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
];

/// By the version of Kubernetes that brought them.
const SAFE_SYSCTLS: [&[&str]; 5] = [
    &[
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    ],
    &["net.ipv4.ip_local_reserved_ports"],
    &[
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    ],
    &["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"],
    &["net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"],
];

#[rustfmt::skip]
fn cases() -> Vec<Case> { vec![
    ("appArmorProfile", Baseline, "not said", Passes, Component(|_| {})),
    ("appArmorProfile", Baseline, "runtime/default", Passes, Component(|one| option(one, "apparmor=docker-default"))),
    ("appArmorProfile", Baseline, "localhost/foo", Passes, Component(|one| option(one, "apparmor=foo"))),
    ("appArmorProfile", Baseline, "unconfined", Fails, Component(|one| option(one, "apparmor=unconfined"))),
    ("appArmorProfile", Baseline, "unconfined, as the kernel reads it", Fails, Component(|one| option(one, "apparmor= unconfined "))),
    ("appArmorProfile", Baseline, "unconfined, in the older spelling", Fails, Component(|one| option(one, "apparmor:unconfined"))),

    ("capabilities_baseline", Baseline, "all thirteen", Passes, Component(|one| add(one, &THIRTEEN))),
    ("capabilities_baseline", Baseline, "NET_RAW", Fails, Component(|one| add(one, &["NET_RAW"]))),
    ("capabilities_baseline", Baseline, "chown", Fails, Component(|one| add(one, &["chown"]))),
    ("capabilities_baseline", Baseline, "CAP_CHOWN", Fails, Component(|one| add(one, &["CAP_CHOWN"]))),
    ("capabilities_baseline", Baseline, "ALL", Fails, Component(|one| add(one, &["ALL"]))),
    ("capabilities_baseline", Baseline, "what is dropped is not looked at", Passes, Component(|one| drop_capabilities(one, &["KILL"]))),

    ("hostNamespaces", Baseline, "its own", Passes, Task(|task| task.network_mode = "pod_default".into())),
    ("hostNamespaces", Baseline, "shared among components", Passes, Task(|task| task.ipc_mode = "shareable".into())),
    ("hostNamespaces", Baseline, "hostIPC", Fails, Task(|task| task.ipc_mode = "host".into())),
    ("hostNamespaces", Baseline, "hostNetwork", Fails, Task(|task| task.network_mode = "host".into())),
    ("hostNamespaces", Baseline, "hostPID", Fails, Task(|task| task.pid_mode = "host".into())),
    // Beyond Kubernetes, whose `hostUsers` no control looks at.
    ("hostNamespaces", Baseline, "the host's users", Fails, Task(|task| task.userns_mode = "host".into())),
    ("hostNamespaces", Baseline, "the host's users for a component", Fails, Component(|one| one.container.tuning.userns_mode = Some("host".into()))),
    ("hostNamespaces", Baseline, "a component cannot say it", Fails, Label("pid: host")),

    ("hostPathVolumes", Baseline, "none", Passes, Volume("local", &[], false)),
    ("hostPathVolumes", Baseline, "emptyDir in memory", Passes, Volume("local", &[("type", "tmpfs"), ("device", "tmpfs")], false)),
    ("hostPathVolumes", Baseline, "hostPath", Fails, Mount("/a")),
    ("hostPathVolumes", Baseline, "a common path, which `default` has", Fails, Mount("/etc/localtime")),
    ("hostPathVolumes", Baseline, "the engine's socket", Fails, Mount("/run/docker.sock")),
    ("hostPathVolumes", Baseline, "a volume that stands for a path", Fails, Volume("local", &[("type", "none"), ("device", "/a"), ("o", "bind")], false)),
    // The deviation: what the operator of the node typed for the task container.
    ("hostPathVolumes", Baseline, "the task container's own", Passes, Mount("/srv/own")),
    ("hostPathVolumes", Baseline, "the task container's own volume", Passes, Volume("local", &[("type", "none"), ("device", "/a"), ("o", "bind")], true)),

    // Ports are the task container's: a component has no key for one.
    ("hostPorts", Baseline, "no port", Passes, Label("tty: true")),
    ("hostPorts", Baseline, "hostPort", Fails, Label("ports: ['12345:12345']")),
    ("hostPorts", Baseline, "containerPort", Fails, Label("expose: [12345]")),
    ("hostPorts", Baseline, "the host's network", Fails, Label("network_mode: host")),

    // The engine runs health checks and hooks in the container: they are commands, and have no host.
    ("hostProbesAndHostLifecycle", Baseline, "exec", Passes, Label("healthcheck: {test: [CMD, 'true']}\npost_start: [{command: a}]\npre_stop: [{command: a}]")),
    ("hostProbesAndHostLifecycle", Baseline, "httpGet.host of a probe", Fails, Label("healthcheck: {httpGet: {host: bad.host, port: 8080}}")),
    ("hostProbesAndHostLifecycle", Baseline, "host of a probe", Fails, Label("healthcheck: {test: 'true', host: 127.0.0.1}")),
    ("hostProbesAndHostLifecycle", Baseline, "host of postStart", Fails, Label("post_start: [{command: a, host: bad.host}]")),
    ("hostProbesAndHostLifecycle", Baseline, "host of preStop", Fails, Label("pre_stop: [{command: a, host: bad.host}]")),

    ("privileged", Baseline, "false", Passes, Component(|one| one.container.privileged = false)),
    ("privileged", Baseline, "true", Fails, Component(|one| one.container.privileged = true)),
    ("privileged", Baseline, "a hook", Fails, Label("post_start: [{command: a, privileged: true}]")),

    ("procMount", Baseline, "Default", Passes, Component(|_| {})),
    ("procMount", Baseline, "Unmasked", Fails, Component(|one| option(one, "systempaths=unconfined"))),

    ("seLinuxOptions", Baseline, "none", Passes, Component(|_| {})),
    ("seLinuxOptions", Baseline, "container_t", Passes, Component(|one| option(one, "label=type:container_t"))),
    ("seLinuxOptions", Baseline, "container_init_t", Passes, Component(|one| option(one, "label=type:container_init_t"))),
    ("seLinuxOptions", Baseline, "container_kvm_t", Passes, Component(|one| option(one, "label:type:container_kvm_t"))),
    ("seLinuxOptions", Baseline, "container_engine_t", Passes, Component(|one| option(one, "label=type:container_engine_t"))),
    ("seLinuxOptions", Baseline, "level", Passes, Component(|one| option(one, "label=level:s0:c1,c2"))),
    ("seLinuxOptions", Baseline, "another type", Fails, Component(|one| option(one, "label=type:spc_t"))),
    ("seLinuxOptions", Baseline, "user", Fails, Component(|one| option(one, "label=user:somevalue"))),
    ("seLinuxOptions", Baseline, "role", Fails, Component(|one| option(one, "label=role:somevalue"))),
    ("seLinuxOptions", Baseline, "no label at all", Fails, Component(|one| option(one, "label=disable"))),

    ("seccompProfile_baseline", Baseline, "not said", Passes, Component(|_| {})),
    ("seccompProfile_baseline", Baseline, "RuntimeDefault", Passes, Component(|one| option(one, "seccomp=builtin"))),
    ("seccompProfile_baseline", Baseline, "a stricter one", Passes, Component(|one| option(one, STRICTER))),
    ("seccompProfile_baseline", Baseline, "Localhost", Passes, Component(|one| option(one, LOCALHOST))),
    ("seccompProfile_baseline", Baseline, "Unconfined", Fails, Component(|one| option(one, "seccomp=unconfined"))),
    ("seccompProfile_baseline", Baseline, "one of a label, which allows everything", Fails, Component(|one| option(one, WIDE))),

    ("sysctls", Baseline, "none", Passes, Component(|_| {})),
    ("sysctls", Baseline, "those of 1.0", Passes, Component(|one| set_sysctl(one, SAFE_SYSCTLS[0]))),
    ("sysctls", Baseline, "those of 1.27", Passes, Component(|one| set_sysctl(one, SAFE_SYSCTLS[1]))),
    ("sysctls", Baseline, "those of 1.29", Passes, Component(|one| set_sysctl(one, SAFE_SYSCTLS[2]))),
    ("sysctls", Baseline, "those of 1.32", Passes, Component(|one| set_sysctl(one, SAFE_SYSCTLS[3]))),
    ("sysctls", Baseline, "those of 1.37", Passes, Component(|one| set_sysctl(one, SAFE_SYSCTLS[4]))),
    ("sysctls", Baseline, "othersysctl", Fails, Component(|one| set_sysctl(one, &["othersysctl"]))),
    ("sysctls", Baseline, "net.ipv4.tcp_mem", Fails, Component(|one| set_sysctl(one, &["net.ipv4.tcp_mem"]))),
    ("sysctls", Baseline, "net.ipv4.ip_forward", Fails, Component(|one| set_sysctl(one, &["net.ipv4.ip_forward"]))),
    ("sysctls", Baseline, "kernel.shmmax", Fails, Component(|one| set_sysctl(one, &["kernel.shmmax"]))),
    ("sysctls", Baseline, "kernel/shm_rmid_forced", Fails, Component(|one| set_sysctl(one, &["kernel/shm_rmid_forced"]))),

    // What a container of Windows is given by, a component has no key for.
    ("windowsHostProcess", Baseline, "a container of Linux", Passes, Label("tty: true")),
    ("windowsHostProcess", Baseline, "isolation", Fails, Label("isolation: process")),
    ("windowsHostProcess", Baseline, "a credential specification", Fails, Label("credential_spec: {file: a.json}")),

    ("allowPrivilegeEscalation", Restricted, "false", Passes, Component(|_| {})),
    ("allowPrivilegeEscalation", Restricted, "false, in the shorter spelling", Passes, Component(|one| one.container.tuning.security_opt = vec!["no-new-privileges".into()])),
    ("allowPrivilegeEscalation", Restricted, "nil", Fails, Component(|one| one.container.tuning.security_opt.clear())),
    ("allowPrivilegeEscalation", Restricted, "true", Fails, Component(|one| one.container.tuning.security_opt = vec!["no-new-privileges=false".into()])),
    // The engine takes the last.
    ("allowPrivilegeEscalation", Restricted, "false, and then true", Fails, Component(|one| option(one, "no-new-privileges=false"))),

    ("capabilities_restricted", Restricted, "NET_BIND_SERVICE", Passes, Component(|one| add(one, &["NET_BIND_SERVICE"]))),
    ("capabilities_restricted", Restricted, "nothing is dropped", Fails, Component(|one| drop_capabilities(one, &[]))),
    ("capabilities_restricted", Restricted, "all are dropped one by one", Fails, Component(|one| drop_capabilities(one, &ONE_BY_ONE))),
    ("capabilities_restricted", Restricted, "all, in another spelling", Fails, Component(|one| drop_capabilities(one, &["all"]))),
    ("capabilities_restricted", Restricted, "the thirteen of baseline", Fails, Component(|one| add(one, &THIRTEEN))),
    ("capabilities_restricted", Restricted, "CHOWN", Fails, Component(|one| add(one, &["CHOWN"]))),

    ("procMount_restricted", Restricted, "Default", Passes, Component(|_| {})),
    ("procMount_restricted", Restricted, "Unmasked", Fails, Component(|one| option(one, "systempaths=unconfined"))),

    ("restrictedVolumes", Restricted, "emptyDir, secret and configMap", Passes, Label("user: '1'\ncap_drop: [ALL]\nsecurity_opt: [no-new-privileges]\ntmpfs: /a\nvolumes: [/b, {type: tmpfs, target: /c}]\nsecrets: [a]\nconfigs: [{source: b, target: /d}]")),
    ("restrictedVolumes", Restricted, "persistentVolumeClaim", Passes, Volume("local", &[], false)),
    ("restrictedVolumes", Restricted, "persistentVolumeClaim that somebody made of NFS", Passes, Volume("local", &[("type", "nfs"), ("device", ":/a"), ("o", "addr=10.0.0.1")], false)),
    ("restrictedVolumes", Restricted, "hostPath", Fails, Mount("/dev/null")),
    ("restrictedVolumes", Restricted, "hostPath of the task container", Fails, Mount("/srv/own")),
    ("restrictedVolumes", Restricted, "a volume that stands for a path", Fails, Volume("local", &[("type", "none"), ("device", "/a"), ("o", "bind")], false)),
    ("restrictedVolumes", Restricted, "the same of the task container", Fails, Volume("local", &[("type", "none"), ("device", "/a"), ("o", "bind")], true)),
    // nfs, iscsi, cephfs and the like in the pod itself: a component's mount says no driver, and makes no volume of one.
    ("restrictedVolumes", Restricted, "nfs", Fails, Label("volumes: [{type: nfs, source: a, target: /a}]")),
    ("restrictedVolumes", Restricted, "a driver", Fails, Label("volume_driver: nfs")),
    // Beyond Kubernetes, which leaves devices to the plug-ins of a node.
    ("restrictedVolumes", Restricted, "a device", Fails, Component(|one| one.container.tuning.devices.push(Device { source: "/dev/null".into(), target: "/dev/null".into(), permissions: "r".into() }))),
    ("restrictedVolumes", Restricted, "a rule for devices", Fails, Component(|one| one.container.tuning.device_rules.push("c 1:3 r".into()))),
    ("restrictedVolumes", Restricted, "a GPU", Fails, Component(|one| one.container.tuning.device_requests.push(DeviceRequest::default()))),

    ("runAsNonRoot", Restricted, "true, by a number", Passes, Component(|one| one.container.user = Some("1000".into()))),
    ("runAsNonRoot", Restricted, "not said: the image decides", Passes, Component(|one| one.container.user = None)),
    ("runAsNonRoot", Restricted, "a name, which may be root in the image", Fails, Component(|one| one.container.user = Some("app".into()))),
    ("runAsNonRoot", Restricted, "a number with a sign", Fails, Component(|one| one.container.user = Some("+1000".into()))),
    ("runAsNonRoot", Restricted, "an image of a number", Passes, User("1000:1000")),
    ("runAsNonRoot", Restricted, "an image of nobody", Fails, User("")),
    ("runAsNonRoot", Restricted, "an image of a name", Fails, User("nonroot")),
    ("runAsNonRoot", Restricted, "an image of a group", Fails, User(":1000")),

    ("runAsUser", Restricted, "1000", Passes, Component(|one| one.container.user = Some("1000".into()))),
    ("runAsUser", Restricted, "groups are not looked at", Passes, Component(|one| one.container.user = Some("1000:0".into()))),
    ("runAsUser", Restricted, "0", Fails, Component(|one| one.container.user = Some("0".into()))),
    ("runAsUser", Restricted, "0 with a group", Fails, Component(|one| one.container.user = Some("0:1000".into()))),
    ("runAsUser", Restricted, "0 in another spelling", Fails, Component(|one| one.container.user = Some("000".into()))),
    ("runAsUser", Restricted, "an image of root", Fails, User("0")),
    ("runAsUser", Restricted, "a hook of the component's user", Passes, Component(|one| one.post_start.push(Hook::default()))),
    ("runAsUser", Restricted, "a hook of 1000", Passes, Component(|one| one.pre_stop.push(Hook { user: Some("1000".into()), ..Hook::default() }))),
    ("runAsUser", Restricted, "a postStart hook of root", Fails, Component(|one| one.post_start.push(Hook { user: Some("0".into()), ..Hook::default() }))),
    ("runAsUser", Restricted, "a preStop hook of root", Fails, Component(|one| one.pre_stop.push(Hook { user: Some("0:5".into()), ..Hook::default() }))),
    ("runAsNonRoot", Restricted, "a hook of a name", Fails, Component(|one| one.post_start.push(Hook { user: Some("app".into()), ..Hook::default() }))),

    ("seccompProfile_restricted", Restricted, "RuntimeDefault", Passes, Component(|_| {})),
    ("seccompProfile_restricted", Restricted, "RuntimeDefault, said", Passes, Component(|one| option(one, "seccomp=builtin"))),
    ("seccompProfile_restricted", Restricted, "Localhost", Passes, Component(|one| option(one, LOCALHOST))),
    ("seccompProfile_restricted", Restricted, "Unconfined", Fails, Component(|one| option(one, "seccomp=unconfined"))),
    ("seccompProfile_restricted", Restricted, "one of a label, which allows everything", Fails, Component(|one| option(one, WIDE))),
]}

/// The base pod of the fixtures.
fn base(level: Level) -> ComponentSpec {
    let mut component = ComponentSpec {
        name: "container1".into(),
        container: ContainerSpec { image: "pause".into(), ..ContainerSpec::default() },
        ..ComponentSpec::default()
    };
    if level == Restricted {
        component.container.user = Some("1000".into());
        component.container.cap_drop = vec!["ALL".into()];
        component.container.tuning.security_opt = vec!["no-new-privileges=true".into()];
    }
    component
}

fn task() -> TaskContainer {
    let own = TaskMount {
        kind: "bind".into(),
        source: "/srv/own".into(),
        target: "/own".into(),
        writable: true,
        ..TaskMount::default()
    };
    TaskContainer { mounts: vec![own], security_opt: vec![LOCALHOST.into()], ..TaskContainer::default() }
}

/// Every word of `--allow`, or none.
fn policies(level: Level) -> [Policy; 2] {
    [Policy { level, ..Policy::default() }, Policy { level, ..Policy::everything() }]
}

struct NoFiles;

impl Files for NoFiles {
    fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
        Ok(FileKind::File)
    }

    fn read(&self, _: &str) -> Result<Vec<u8>, FileFault> {
        Ok(Vec::new())
    }
}

/// The faults of a definition with these labels.
fn faults(policy: &Policy, labels: &[(&str, String)]) -> Vec<String> {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let around = Surroundings {
        task: &TaskContainer { name: "pod".into(), labels, ..task() },
        files: &NoFiles,
        environment: &|_| None,
        host: &Host::default(),
        share_volumes: false,
        policy,
    };
    read(&around)
        .err()
        .map(|report| report.faults.iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}

fn words(refusals: Vec<Refusal>) -> Vec<String> {
    refusals.into_iter().map(|refusal| format!("{}; {}", refusal.problem, refusal.remedy)).collect()
}

/// What the policy has against the base of the level with this change.
fn judged(policy: &Policy, subject: &Subject) -> Vec<String> {
    let (task, host) = (task(), Host::default());
    let bind =
        Bind { path: "", target: "/t", read_only: true, recursive: Recursion::Enabled, propagation: None };
    match subject {
        Component(change) => {
            let mut component = base(policy.level);
            change(&mut component);
            // The task container's own profile takes none beside it: `LOCALHOST` is tried with it, others without.
            let options = &component.container.tuning.security_opt;
            let own = options.iter().any(|option| option == LOCALHOST);
            let task = if own { task } else { TaskContainer::default() };
            words(policy.check_component(&component, &task, &host, &|profile| STRICTER.ends_with(profile)))
        }
        Task(change) => {
            let mut task = task;
            change(&mut task);
            policy.check_task(&task)
        }
        Mount(path) => words(policy.check_bind(&Bind { path, ..bind }, &task, &host).into_iter().collect()),
        Volume(driver, options, of_task) => {
            let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let volume =
                VolumeInfo { driver: (*driver).into(), options: options.collect(), ..VolumeInfo::default() };
            words(policy.check_volume("v", &volume, &bind, *of_task, &task, &host).into_iter().collect())
        }
        User(user) => words(policy.check_user(user, "user").into_iter().collect()),
        Label(keys) => faults(policy, &[("pod.component.app", format!("image: x\n{keys}"))]),
    }
}

#[test]
fn every_control_passes_and_fails_as_its_fixtures_do() {
    for (control, level, case, expected, subject) in cases() {
        let [nothing, everything] = policies(level);
        let about = format!("{control}, {case}");
        if expected == Passes {
            assert_eq!(judged(&everything, &subject), Vec::<String>::new(), "{about}");
            continue;
        }
        for policy in [nothing, everything] {
            let found = judged(&policy, &subject);
            assert!(!found.is_empty(), "{about}: passes with {}", policy.allowed.flag());
            let named = format!("`--policy {}`", level.as_str());
            let of = format!("control `{control}`");
            let names = match &subject {
                // Where there is no key for it, the reader says so, and no control is needed.
                Label(keys) => {
                    let key = format!("`{}", keys.split(':').next().unwrap_or_default());
                    found.iter().any(|words| words.contains(&key))
                }
                _ => found.iter().any(|words| words.contains(&of) && words.contains(&named)),
            };
            assert!(names, "{about}: {found:?}");
        }
    }
}

#[test]
fn every_control_has_a_passing_and_a_failing_case() {
    for (level, controls) in [(Baseline, &BASELINE_CONTROLS[..]), (Restricted, &RESTRICTED_CONTROLS)] {
        for expected in [Passes, Fails] {
            let cases = cases();
            let of_level = cases.iter().filter(|(_, of, _, what, _)| *of == level && *what == expected);
            let named: BTreeSet<&str> = of_level.map(|(control, ..)| *control).collect();
            let all: BTreeSet<&str> = controls.iter().copied().collect();
            assert_eq!(named, all, "{level:?} {expected:?}");
        }
    }
}

#[test]
fn what_fails_under_baseline_fails_under_restricted_by_the_same_control_or_the_one_in_its_place() {
    for (control, level, case, expected, subject) in cases() {
        if (level, expected) != (Baseline, Fails) || matches!(subject, Label(_)) {
            continue;
        }
        let place =
            OVERRIDES.into_iter().find(|(one, _)| *one == control).map_or(control, |(_, other)| other);
        for policy in policies(Restricted) {
            let found = judged(&policy, &subject);
            let of = format!("control `{place}`");
            assert!(found.iter().any(|words| words.contains(&of)), "{control}, {case}: {found:?}");
        }
    }
}

#[test]
fn default_has_none_of_the_controls() {
    let [_, everything] = policies(Level::Default);
    for (control, _, case, _, subject) in cases() {
        let found = judged(&everything, &subject);
        assert!(found.iter().all(|words| !words.contains("control `")), "{control}, {case}: {found:?}");
    }
}

#[test]
fn a_protection_of_the_task_container_is_its_components_and_passes_their_control() {
    let [nothing, _] = policies(Restricted);
    let text = "image: x\nuser: '1'\ncap_drop: [ALL]".to_owned();
    let labels = BTreeMap::from([("pod.component.app".to_owned(), text)]);
    let judged = |options: &[&str]| {
        let security_opt = options.iter().map(|option| (*option).to_owned()).collect();
        let around = Surroundings {
            task: &TaskContainer { security_opt, labels: labels.clone(), ..task() },
            files: &NoFiles,
            environment: &|_| None,
            host: &Host::default(),
            share_volumes: false,
            policy: &nothing,
        };
        read(&around).is_ok()
    };
    for options in [&["no-new-privileges"][..], &["no-new-privileges=true", LOCALHOST, "apparmor=mine"]] {
        assert!(judged(options), "{options:?}");
    }
    for options in [&[][..], &["no-new-privileges=false"], &[LOCALHOST]] {
        assert!(!judged(options), "{options:?}");
    }
}

#[test]
fn an_init_component_and_every_hook_are_held_to_restricted_as_a_component_is() {
    let safe = "image: x, cap_drop: [ALL], security_opt: [no-new-privileges]";
    let app = |more: &str| ("pod.component.app", format!("{{{safe}, user: '1'{more}}}"));
    let init = |text: &str| ("pod.init.components", format!("[{{{safe}, user: '1'}}, {{{text}}}]"));
    let [nothing, everything] = policies(Restricted);
    for policy in [nothing, everything] {
        assert_eq!(faults(&policy, &[app(""), init(&format!("{safe}, user: '5'"))]), Vec::<String>::new());
        for (labels, control, place) in [
            ([app(""), init(&format!("{safe}, user: '0'"))], "runAsUser", "`[1].user`"),
            ([app(""), init(&format!("{safe}, user: app"))], "runAsNonRoot", "`[1].user`"),
            (
                [app(""), init("image: x, user: '1', security_opt: [no-new-privileges]")],
                "capabilities_restricted",
                "`[1]`",
            ),
            ([app(""), init("image: x, user: '1', cap_drop: [ALL]")], "allowPrivilegeEscalation", "`[1]`"),
            (
                [app(""), init(&format!("{safe}, user: '1', volumes: ['/srv/own:/a']"))],
                "restrictedVolumes",
                "`[1].volumes[0]`",
            ),
            (
                [app(", post_start: [{command: a, user: root}]"), init(&format!("{safe}, user: '1'"))],
                "runAsNonRoot",
                "`post_start`",
            ),
            (
                [
                    app(", pre_stop: [{command: a}, {command: a, user: '0'}]"),
                    init(&format!("{safe}, user: '1'")),
                ],
                "runAsUser",
                "`pre_stop`",
            ),
        ] {
            let found = faults(&policy, &labels);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].contains(&format!("control `{control}`")) && found[0].contains(place),
                "{found:?}"
            );
        }
    }
}
