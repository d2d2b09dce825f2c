//! Pods for tests, written as short text.

use std::time::Duration;

use super::identity::Identity;
use super::namespaces::{Holder, Namespaces};
use super::pre_start::{self, CopyPlace, PreStart};
use super::spec::{
    ComponentSpec, Condition, ContainerSpec, CopySpec, Dependency, FileSource, FileSpec, Hook, PodSpec,
    Restart,
};

/// The controls of the level *baseline* (`k8s.io/pod-security-admission`, `policy/check_*.go`).
pub const BASELINE_CONTROLS: [&str; 12] = [
    "appArmorProfile",
    "capabilities_baseline",
    "hostNamespaces",
    "hostPathVolumes",
    "hostPorts",
    "hostProbesAndHostLifecycle",
    "privileged",
    "procMount",
    "seLinuxOptions",
    "seccompProfile_baseline",
    "sysctls",
    "windowsHostProcess",
];

/// The controls that the level *restricted* adds.
pub const RESTRICTED_CONTROLS: [&str; 7] = [
    "allowPrivilegeEscalation",
    "capabilities_restricted",
    "procMount_restricted",
    "restrictedVolumes",
    "runAsNonRoot",
    "runAsUser",
    "seccompProfile_restricted",
];

/// A file that is there, for copies and secrets.
pub const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
/// Id of the task container of [`pod`].
const POD_ID: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

/// A pod from text like `init-1 init-2 | app db+copy web+secret<app,db:healthy`: init components before the
/// bar; what a component waits for after `<` (`db:healthy`, `db:done`, with a `?` where it is not
/// required, and with a `!` where it is restarted along); `+copy`, `+post`, `+pre` and `+secret`, in this order, give it
/// one such; then `+restart` (always), `+sidecar`, `+extra` (not essential), and a `+step` for each step of its
/// `pre_start`; images are called as what runs them. The task container is called `pod`, and the time for stopping is 8 s.
pub fn pod(text: &str) -> PodSpec {
    let (init, components) = text.split_once('|').unwrap_or(("", text));
    let parse = |text: &str| text.split_whitespace().flat_map(component).collect::<Vec<_>>();
    let mut components = parse(components);
    components.sort_by(|one, other| one.name.cmp(&other.name));
    PodSpec {
        identity: Identity {
            pod: POD_ID.into(),
            name: "pod".into(),
            run: "2024-05-01T10:00:00Z".into(),
            manager: "manager".into(),
            origin: Default::default(),
        },
        namespaces: Namespaces::default(),
        init: parse(init),
        components,
        pull_always: false,
        stop_timeout: Duration::from_secs(8),
        scratch: Vec::new(),
        checks_mounts: false,
    }
}

/// The same with PIDs and IPC held by a sandbox.
pub fn sandboxed(text: &str) -> PodSpec {
    let namespaces =
        Namespaces { pid: Some(Holder::Sandbox), ipc: Some(Holder::Sandbox), ..Namespaces::default() };
    PodSpec { namespaces, ..pod(text) }
}

fn component(text: &str) -> Vec<ComponentSpec> {
    let (mut name, on) = text.split_once('<').unwrap_or((text, ""));
    let mut steps = 0;
    while let Some(rest) = name.strip_suffix("+step") {
        (name, steps) = (rest, steps + 1);
    }
    let (name, essential) = name.strip_suffix("+extra").map_or((name, true), |name| (name, false));
    let (name, sidecar) = name.strip_suffix("+sidecar").map_or((name, false), |name| (name, true));
    let (name, restart) = name.strip_suffix("+restart").map_or((name, false), |name| (name, true));
    let (name, secret) = name.strip_suffix("+secret").map_or((name, false), |name| (name, true));
    let (name, pre) = name.strip_suffix("+pre").map_or((name, false), |name| (name, true));
    let (name, post) = name.strip_suffix("+post").map_or((name, false), |name| (name, true));
    let (name, copy) = name.strip_suffix("+copy").map_or((name, false), |name| (name, true));
    let depends_on = on.split(',').filter(|on| !on.is_empty()).map(|on| {
        let (on, restart) = on.strip_suffix('!').map_or((on, false), |on| (on, true));
        let (on, required) = on.strip_suffix('?').map_or((on, true), |on| (on, false));
        let (on, condition) = match on.split_once(':') {
            Some((on, "healthy")) => (on, Condition::Healthy),
            Some((on, "done")) => (on, Condition::Completed),
            _ => (on, Condition::Started),
        };
        Dependency { on: on.into(), condition, required, restart }
    });
    let hook = |word: &str, wanted: bool| {
        let hook = Hook { command: vec![word.into()], ..Hook::default() };
        wanted.then_some(hook).into_iter().collect::<Vec<_>>()
    };
    let mut component = ComponentSpec {
        name: name.into(),
        container: ContainerSpec { image: name.into(), ..ContainerSpec::default() },
        depends_on: depends_on.collect(),
        copies: copy
            .then(|| CopySpec { source: SOURCE.into(), target: "/copied".into() })
            .into_iter()
            .collect(),
        files: secret
            .then(|| FileSpec {
                source: FileSource::Path(SOURCE.into()),
                target: "/run/secrets/one".into(),
                uid: 0,
                gid: 0,
                mode: 0o444,
            })
            .into_iter()
            .collect(),
        stop_grace: None,
        post_start: hook("post", post),
        pre_stop: hook("pre", pre),
        restart: if restart { Restart::Always } else { Restart::Never },
        essential,
        sidecar,
        shutdown_delay: Duration::ZERO,
        pre_start_of: None,
    };
    let entry = |number| PreStart { image: Some(pre_start::name(name, number)), ..PreStart::default() };
    let entries: Vec<PreStart> = (1..=steps).map(entry).collect();
    let steps = pre_start::steps(&mut component, &entries, |_| CopyPlace::Container);
    [component].into_iter().chain(steps).collect()
}
