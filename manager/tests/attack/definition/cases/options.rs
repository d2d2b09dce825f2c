//! Options of a component that the kernel and the engine act upon: rights, profiles, devices, settings, logs.

use std::os::unix::fs::MetadataExt;

use super::super::scene::{Heard, Scene, capability, gives_devices, has_capabilities};
use super::super::{Attack, Level, always, case, simple};
use super::*;
use crate::lab::quoted;

const CAPABLE: [&str; 3] =
    ["--allow capabilities=", "control `capabilities_baseline`", "control `capabilities_restricted`"];
/// Under `restricted` no device at all.
const DEVICES: [&str; 3] = ["--allow devices=", "--allow devices=", NO_BINDS];
const RAW: [&str; 3] = ["--allow raw-devices", "--allow raw-devices", NO_BINDS];
const LOGS: &str = "--allow log-drivers";
const APP: &str = "pod.component.app";

pub(super) fn all() -> Vec<Case> {
    let mut all = rights();
    all.extend(profiles());
    all.extend(devices());
    all.extend(settings());
    all.extend(logging());
    all
}

/// Capabilities, each with its number.
fn rights() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, number) in [
        ("ALL", 21),
        ("SYS_ADMIN", 21),
        ("CAP_SYS_ADMIN", 21),
        ("cap_sys_admin", 21),
        ("sys_admin", 21),
        ("SYS_PTRACE", 19),
        ("SYS_MODULE", 16),
        ("SYS_RAWIO", 17),
        ("SYS_RESOURCE", 24),
        ("SYS_NICE", 23),
        ("SYS_TIME", 25),
        ("SYS_BOOT", 22),
        ("SYSLOG", 34),
        ("NET_ADMIN", 12),
        ("DAC_READ_SEARCH", 2),
        ("MAC_ADMIN", 33),
        ("AUDIT_CONTROL", 30),
    ] {
        all.push(simple(format!("the capability `{name}`"), RIGHTS, CAPABLE, move |scene| {
            let keys = scene.keys(&format!("cap_add: [{name}]\n"));
            let attack = Attack::new(keys).probe(capability(number));
            let wanted: Vec<u8> = if name == "ALL" { (0..=40).collect() } else { vec![number] };
            match has_capabilities(&wanted) {
                true if !["ALL", "cap_sys_admin", "SYS_PTRACE", "NET_ADMIN"].contains(&name) => {
                    attack.no_control("`the capability cap_sys_admin` shows it")
                }
                true => attack.allow(&["capabilities"]),
                false => attack.no_control("this host has not got it to give"),
            }
        }));
    }
    let few = ["", "control `capabilities_baseline`", "control `capabilities_restricted`"];
    all.push(simple("the capability `NET_RAW`", RIGHTS, few, |scene| {
        Attack::new(scene.keys("cap_add: [NET_RAW]\n")).no_control("it is one of Docker's default ones")
    }));
    all.push(simple("a capability that is dropped as a whole and added again", RIGHTS, CAPABLE, |scene| {
        let keys = scene.keys("cap_drop: [ALL]\ncap_add: [SYS_ADMIN]\n");
        Attack::new(keys).probe(capability(21)).no_control("`the capability SYS_ADMIN` shows it")
    }));
    all.push(simple(
        "`privileged`",
        RIGHTS,
        ["--allow privileged", "control `privileged`", "control `privileged`"],
        |scene| {
            let attack = Attack::new(scene.keys("privileged: true\n")).probe(capability(21));
            match has_capabilities(&(0..=40).collect::<Vec<_>>()) && gives_devices(None) {
                true => attack.allow(&["privileged"]),
                false => attack.no_control("this host has not got everything to give"),
            }
        },
    ));
    all.push(simple("a privileged hook", RIGHTS, always("a privileged hook"), |scene| {
        let keys = scene.keys("post_start: [{command: [sleep, '1'], user: root, privileged: true}]\n");
        Attack::new(keys).no_control("nobody gives it")
    }));
    all.push(simple("a hook, with what its component has", RIGHTS, always(""), |scene| {
        let keys = scene.keys("post_start: [{command: [sh, -c, 'cat /proc/self/status >/tmp/s']}]\n");
        let attack = Attack::new(keys).probe(capability(21).replace("/proc/self/status", "/tmp/s"));
        attack.no_control("nobody gives it")
    }));
    all.push(simple(
        "the host's users",
        RIGHTS,
        ["--allow host-users", "control `hostNamespaces`", "control `hostNamespaces`"],
        |scene| Attack::new(scene.keys("userns_mode: host\n")).no_control("this engine maps no users"),
    ));
    all
}

/// Which words an option of `security_opt` meets: those of the control that it breaks, where there is one.
fn unconfined(option: &str) -> [&'static str; 3] {
    const BY_FLAG: &str = "--allow unconfined";
    let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
    match (name, value.trim()) {
        ("seccomp", _) => {
            [BY_FLAG, "control `seccompProfile_baseline`", "control `seccompProfile_restricted`"]
        }
        ("apparmor", "unconfined") => [BY_FLAG, "control `appArmorProfile`", "control `appArmorProfile`"],
        ("label", _) => [BY_FLAG, "control `seLinuxOptions`", "control `seLinuxOptions`"],
        ("systempaths", _) => [BY_FLAG, "control `procMount`", "control `procMount_restricted`"],
        ("no-new-privileges", _) => [BY_FLAG, BY_FLAG, "control `allowPrivilegeEscalation`"],
        _ => [BY_FLAG; 3],
    }
}

/// A component with this option, and with what `restricted` demands before it.
fn secured(scene: &Scene, option: &str) -> Attack {
    let demanded = if scene.kind.level == Level::Restricted { "'no-new-privileges:true', " } else { "" };
    Attack::new(scene.keys(&format!("security_opt: [{demanded}{}]\n", quoted(option))))
}

/// What `security_opt` takes away.
fn profiles() -> Vec<Case> {
    // The default profile has no new namespaces of users without `SYS_ADMIN`.
    const ESCAPES: &str = "unshare -U true 2>/dev/null && echo 'REACHED kernel'\n";
    let mut all = Vec::new();
    for option in [
        "seccomp=unconfined",
        "seccomp:unconfined",
        r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#,
        r#"seccomp={"defaultAction":"SCMP_ACT_ERRNO","defaultaction":"SCMP_ACT_ALLOW"}"#,
        r#"seccomp={"defaultAction":"SCMP_ACT_ERRNO","defaultAction":"SCMP_ACT_ALLOW"}"#,
        r#"seccomp={"defaultAction":"SCMP_ACT_ERRNO","DEFAULTACTION":"SCMP_ACT_ALLOW"}"#,
        r#"seccomp={"defaultAction":"SCMP_ACT_LOG"}"#,
        r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ERRNO"}]}"#,
    ] {
        let name = format!("the option `{}`", option.replace('|', ""));
        all.push(simple(name, KERNEL, unconfined(option), move |scene| {
            let attack = secured(scene, option).probe(ESCAPES.into());
            match option.contains("ERRNO") || option == "seccomp:unconfined" {
                true => attack.no_control("`seccomp=unconfined` shows it"),
                false => attack.allow(&["unconfined"]),
            }
        }));
    }
    for option in [
        r#"seccomp={"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["mount"],"action":"SCMP_ACT_ALLOW"}]}"#,
        r#"seccomp={"defaultAction":"SCMP_ACT_ERRNO","sy\u017fcalls":[{"names":["mount"],"action":"SCMP_ACT_ALLOW"}]}"#,
        r#"seccomp={"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/run/x.sock"}"#,
        r#"seccomp={"defaultAction":"SCMP_ACT_TRACE"}"#,
        "seccomp={}",
        "apparmor=unconfined",
        "apparmor:unconfined",
        "apparmor= unconfined",
        "apparmor=docker-unconfined",
        "apparmor=docker-default//&unconfined",
        "apparmor=usr.sbin.cupsd",
        "label=disable",
        "label:disable",
        "label=type:spc_t",
        "label=user:system_u",
        "label=role:unconfined_r",
        "systempaths=unconfined",
        "writable-cgroups=true",
        "no-new-privileges=false",
        "no-new-privileges:false",
    ] {
        let name = format!("the option `{}`", option.replace('|', ""));
        all.push(simple(name, KERNEL, unconfined(option), move |scene| {
            secured(scene, option).probe(ESCAPES.into()).no_control("`seccomp=unconfined` shows it")
        }));
    }
    for option in [
        "seccomp=/etc/passwd",
        "seccomp={",
        "credentialspec=file://x",
        "proc-opts=hidepid=0",
        "mask=/x",
        "unmask=ALL",
    ] {
        all.push(simple(format!("the option `{option}`"), KERNEL, always(APP), move |scene| {
            secured(scene, option).no_control("no engine of Docker's takes it")
        }));
    }
    all.push(case("the task's own floor taken away", KERNEL, unconfined("seccomp"), |scene| {
        let keys = scene.keys("security_opt: ['no-new-privileges:true', 'seccomp=unconfined']\n");
        let attack = Attack::new(keys).task(&["--security-opt=no-new-privileges"]);
        attack.probe(ESCAPES.into()).no_control("`seccomp=unconfined` shows it")
    }));
    all
}

/// A disk of this host.
fn disk() -> Option<&'static str> {
    let known = ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0"];
    known.into_iter().find(|path| std::fs::metadata(path).is_ok())
}

fn devices() -> Vec<Case> {
    let mut all = Vec::new();
    let path = disk().unwrap_or("/dev/sda");
    for (name, device) in [
        ("a disk", "DISK:/dev/evil:r"),
        ("a disk under a harmless name", "DISK:/dev/null:r"),
        ("a disk by `..`", "/dev/null/..NAME:/dev/evil:r"),
        ("a disk by another spelling", "/dev/./NAME:/dev/evil:r"),
    ] {
        let bare = path.trim_start_matches("/dev/");
        let device =
            device.replace("DISK", path).replace("..NAME", &format!("../{bare}")).replace("NAME", bare);
        all.push(simple(format!("{name} as a device"), DEVICE, DEVICES, move |scene| {
            let target = device.split(':').nth(1).unwrap_or_default();
            let probe = format!("timeout 2 head -c1 {target} | wc -c | grep -q 1 && echo 'REACHED device'\n");
            let attack = Attack::new(scene.keys(&format!("devices: ['{device}']\n"))).probe(probe);
            // Below a task container that has no disk, cgroups of version 1 let nobody have one: a flag does not give it there.
            match disk().is_some_and(|disk| gives_devices(Some(disk))) && name == "a disk" {
                true => attack.plain(&[&format!("--device={device}")]),
                false => attack.no_control("`a disk` shows it, where this host has one to give"),
            }
        }));
    }
    all.push(simple("a disk by a link as a device", DEVICE, DEVICES, |scene| {
        let link = scene.link("null", disk().unwrap_or("/dev/sda"));
        let keys = scene.keys(&format!("devices: ['{link}:/dev/evil:r']\n"));
        Attack::new(keys).no_control("`a disk` shows it")
    }));
    all.push(simple("a terminal of the host as a device", TERMINAL, DEVICES, |scene| {
        let number = scene.terminal();
        let keys = scene.keys(&format!("devices: ['/dev/pts/{number}:/dev/evil']\n"));
        Attack::new(keys).no_control("the kernel gives a terminal only below `/dev/pts`")
    }));
    for path in [
        "/dev",
        "/dev/mem",
        "/dev/kmsg",
        "/dev/port",
        "/dev/kvm",
        "/dev/uinput",
        "/dev/console",
        "/dev/ptmx",
        "/dev/tty0",
        "/dev/vsock",
        "/dev/loop-control",
        "/dev/mapper",
        "/dev/dri",
        "/srv/null",
        "/DEV/NULL",
    ] {
        all.push(simple(format!("the device `{path}`"), DEVICE, DEVICES, move |scene| {
            Attack::new(scene.keys(&format!("devices: ['{path}']\n"))).no_control("`a disk` shows it")
        }));
    }
    for target in ["/proc/evil", "/sys/evil", "/dev/../proc/evil"] {
        all.push(simple(format!("a harmless device at `{target}`"), DEVICE, RAW, move |scene| {
            Attack::new(scene.keys(&format!("devices: ['/dev/null:{target}']\n")))
                .no_control("it leads nowhere")
        }));
    }
    all.push(simple("a harmless device", DEVICE, ["", DEVICES[1], NO_BINDS], |scene| {
        Attack::new(scene.keys("devices: ['/dev/null:/dev/evil']\n")).no_control("it leads nowhere")
    }));
    all.push(simple("a rule for all disks, and a node", DEVICE, RAW, |scene| {
        let number = disk().and_then(|path| std::fs::metadata(path).ok()).map_or(0, |meta| meta.rdev());
        let (major, minor) = (libc::major(number), libc::minor(number));
        let keys = scene.keys("device_cgroup_rules: ['b *:* rwm']\n");
        let node =
            format!("rm -f /tmp/d; mknod /tmp/d b {major} {minor} && head -c1 /tmp/d | wc -c | grep -q 1");
        let attack = Attack::new(keys).probe(format!("{node} && echo 'REACHED device'\n"));
        match disk().is_some() && gives_devices(None) {
            true => attack.allow(&["raw-devices"]),
            false => attack.no_control("this host has no disk to give"),
        }
    }));
    for rule in [
        "a *:* rwm",
        "c *:* rwm",
        "c 1:1 r",
        "c 01:1 r",
        "c 5:* rwm",
        "c 136:* rw",
        "c 10:* m",
        "b 8:0 r",
        "b 253:* r",
    ] {
        all.push(simple(format!("the rule `{rule}`"), DEVICE, RAW, move |scene| {
            let keys = scene.keys(&format!("device_cgroup_rules: ['{rule}']\n"));
            Attack::new(keys).no_control("`a rule for all disks` shows it")
        }));
    }
    for (name, keys, said) in [
        ("a device by the Container Device Interface", "devices: ['vendor.com/evil=all']", RAW),
        (
            "a GPU by the Container Device Interface",
            "devices: ['nvidia.com/gpu=all']",
            ["", RAW[1], NO_BINDS],
        ),
        ("all GPUs", "gpus: all", ["", RAW[1], NO_BINDS]),
        ("a GPU of an unknown driver", "gpus: [{driver: evil, count: 1}]", RAW),
        ("a GPU with an option", "gpus: [{driver: nvidia, count: 1, options: {mount: /etc}}]", RAW),
        (
            "a reserved device of an unknown driver",
            "deploy: {resources: {reservations: {devices: [{driver: evil, capabilities: [gpu], count: 1}]}}}",
            RAW,
        ),
        (
            "a reserved device by the Container Device Interface",
            "deploy: {resources: {reservations: {devices: [{driver: cdi, capabilities: [gpu], device_ids: ['vendor.com/evil=all']}]}}}",
            RAW,
        ),
    ] {
        all.push(
            simple(name, DEVICE, said, move |scene| {
                Attack::new(scene.keys(&format!("{keys}\n"))).no_control("this engine has no such driver")
            })
            .ends(),
        );
    }
    all
}

/// Kernel settings, runtimes, annotations, storage.
fn settings() -> Vec<Case> {
    let mut all = Vec::new();
    for name in [
        "kernel.core_pattern",
        "kernel/core_pattern",
        "kernel.modprobe",
        "kernel.shm_next_id",
        "vm.overcommit_memory",
        "fs.file-max",
        "user.max_user_namespaces",
        "net.core.bpf_jit_enable",
        "net.ipv4/../../kernel/core_pattern",
        "net.ipv4...kernel.core_pattern",
        "net.ipv4//../kernel",
        "fs.mqueue.",
        "Kernel.shmmax",
        "",
    ] {
        all.push(simple(format!("the setting `{name}`"), KERNEL, always("sysctls"), move |scene| {
            let keys = scene.keys(&format!("sysctls: {{{}: '1'}}\n", quoted(name)));
            Attack::new(keys).no_control("the engine refuses it as well")
        }));
    }
    for (name, keys, said) in [
        ("another runtime", "runtime: io.containerd.runc.v2", "--allow runtimes"),
        ("a runtime by its path", "runtime: /tmp/evil", "--allow runtimes"),
        ("a runtime that begins alike", "runtime: runc2", "--allow runtimes"),
        (
            "an annotation for systemd",
            "annotations: {org.systemd.property.ExecStartPre: \"['/bin/sh']\"}",
            "--allow annotations",
        ),
        ("an annotation for crun", "annotations: {run.oci.handler: wasm}", "--allow annotations"),
        (
            "an annotation for Kata",
            "annotations: [io.katacontainers.config.hypervisor.path=/tmp/evil]",
            "--allow annotations",
        ),
        (
            "an option of the storage driver",
            "storage_opt: {overlay2.override_kernel_check: '1'}",
            "storage_opt",
        ),
        (
            "an option of another storage driver",
            "storage_opt: {dm.thinpooldev: /dev/sda, size: 1G}",
            "storage_opt",
        ),
    ] {
        all.push(simple(name, KERNEL, always(said), move |scene| {
            Attack::new(scene.keys(&format!("{keys}\n"))).no_control("this host has no such thing")
        }));
    }
    all
}

/// Who hears what a log driver says.
enum Ear {
    Unix,
    Stream,
    Tcp,
    Udp,
    Nobody,
}

fn logging() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, goal, ear, keys) in [
        (
            "syslog at a unix socket",
            SOCKET,
            Ear::Unix,
            "driver: syslog, options: {syslog-address: 'unixgram://PATH', tag: evil}",
        ),
        (
            "syslog at a port, datagrams",
            PORT,
            Ear::Udp,
            "driver: syslog, options: {syslog-address: 'udp://127.0.0.1:PORT'}",
        ),
        (
            "syslog at a port",
            PORT,
            Ear::Tcp,
            "driver: syslog, options: {syslog-address: 'tcp://127.0.0.1:PORT'}",
        ),
        (
            "gelf at a port, datagrams",
            PORT,
            Ear::Udp,
            "driver: gelf, options: {gelf-address: 'udp://127.0.0.1:PORT'}",
        ),
        ("gelf at a port", PORT, Ear::Tcp, "driver: gelf, options: {gelf-address: 'tcp://127.0.0.1:PORT'}"),
        (
            "fluentd at a unix socket",
            SOCKET,
            Ear::Stream,
            "driver: fluentd, options: {fluentd-address: 'unix://PATH'}",
        ),
        (
            "fluentd at a port",
            PORT,
            Ear::Tcp,
            "driver: fluentd, options: {fluentd-address: '127.0.0.1:PORT'}",
        ),
        (
            "splunk at a port",
            PORT,
            Ear::Tcp,
            "driver: splunk, options: {splunk-url: 'http://127.0.0.1:PORT', splunk-token: x}",
        ),
        (
            "awslogs at a port",
            PORT,
            Ear::Nobody,
            "driver: awslogs, options: {awslogs-endpoint: 'http://127.0.0.1:1', awslogs-region: x}",
        ),
        ("gcplogs", PORT, Ear::Nobody, "driver: gcplogs"),
        ("journald", SOCKET, Ear::Nobody, "driver: journald, options: {tag: sshd}"),
        ("a plug-in", SOCKET, Ear::Nobody, "driver: 'evil/plugin:latest'"),
        ("a driver in capitals", SOCKET, Ear::Nobody, "driver: SYSLOG"),
        ("json-file with a tag", LOG, Ear::Nobody, "driver: json-file, options: {tag: evil}"),
        (
            "json-file with labels",
            LOG,
            Ear::Nobody,
            "driver: json-file, options: {labels-regex: '.*', env-regex: '.*'}",
        ),
        ("json-file with small files", LOG, Ear::Nobody, "driver: json-file, options: {max-size: 1k}"),
        (
            "json-file with many files",
            LOG,
            Ear::Nobody,
            "driver: json-file, options: {max-size: 1m, max-file: '100000'}",
        ),
        (
            "json-file with a size that is none",
            LOG,
            Ear::Nobody,
            "driver: json-file, options: {max-size: nan}",
        ),
        (
            "json-file with a large buffer",
            LOG,
            Ear::Nobody,
            "driver: json-file, options: {mode: non-blocking, max-buffer-size: 1g}",
        ),
        ("local with another option", LOG, Ear::Nobody, "driver: local, options: {path: /etc}"),
        (
            "no driver, with an address",
            SOCKET,
            Ear::Nobody,
            "options: {syslog-address: 'unixgram:///dev/log'}",
        ),
    ] {
        all.push(simple(format!("the log driver {name}"), goal, always(LOGS), move |scene| {
            let (mut path, mut port, mut heard) = (String::new(), 0, None);
            match ear {
                Ear::Unix => (path, heard) = keep(scene.datagrams()),
                Ear::Stream => (path, heard) = keep(scene.stream()),
                Ear::Tcp => (port, heard) = keep(scene.tcp()),
                Ear::Udp => (port, heard) = keep(scene.udp()),
                Ear::Nobody => {}
            }
            let keys = keys.replace("PATH", &path).replace("PORT", &port.to_string());
            let says = format!("while :; do echo {}; sleep 0.2; done", scene.token);
            let says = format!("command: [sh, -c, {}]\nlogging: {{{keys}}}\n", quoted(&says));
            let attack = Attack::new(scene.keys(&says));
            match heard {
                Some(heard) => attack.host(move |_| heard.any()).allow(&["log-drivers"]),
                None => attack.no_control("nobody listens here"),
            }
        }));
    }
    all.push(case("the task's log driver with another tag", LOG, always(LOGS), |scene| {
        let keys = scene.keys("logging: {driver: json-file, options: {tag: other}}\n");
        let attack = Attack::new(keys).task(&["--log-driver=json-file", "--log-opt=tag=own"]);
        attack.no_control("nobody reads it")
    }));
    all.push(case("the task's log driver, as it has it", LOG, always(""), |scene| {
        // The engine fills in its own sizes where a container names none.
        let keys =
            scene.keys("logging: {driver: json-file, options: {max-size: 7m, max-file: '2', tag: own}}\n");
        let options = ["--log-opt=max-size=7m", "--log-opt=max-file=2", "--log-opt=tag=own"];
        let attack = Attack::new(keys).task(&["--log-driver=json-file"]).task(&options);
        attack.no_control("the task container has it")
    }));
    all
}

/// Where somebody hears, and who.
fn keep<T>((place, heard): (T, Heard)) -> (T, Option<Heard>) {
    (place, Some(heard))
}
