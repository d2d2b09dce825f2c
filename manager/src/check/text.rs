//! A pod as a person would want to read it. Pure; values that may be secrets do not appear.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::pod::limits::{cpus, processes, size};
use crate::pod::placement::Holder;
use crate::pod::spec::{ComponentSpec, Condition, FileSource, HealthCheck, MountSource, PodSpec, Restart};
use crate::pod::tuning::PullPolicy;

/// The pod; `asked` are files of the task container that nobody could look at.
pub(super) fn of(title: &str, spec: &PodSpec, asked: &BTreeSet<String>) -> String {
    let mut text = format!("The pod of {title}\n\nNamespaces\n  network  the task container's\n");
    for (name, holder) in [("PIDs", spec.namespaces.pid), ("IPC", spec.namespaces.ipc)] {
        let whose = match holder {
            None => "each component its own",
            Some(Holder::Sandbox) => "shared, a sandbox's",
            Some(Holder::Task) => "shared, the task container's",
        };
        text += &format!("  {name:<7}  {whose}\n");
    }
    if let Some(bytes) = spec.namespaces.shm_size_bytes {
        text += &format!("  /dev/shm {}\n", size(bytes));
    }

    text += "\nStart\n";
    let width = spec.members().map(|member| member.name.chars().count()).max().unwrap_or_default();
    let stages = stages(&spec.components);
    let last = stages.values().max().map_or(0, |last| last + 1);
    let inits = spec.init.iter().map(|init| vec![init]);
    let staged = |sidecars: bool| {
        let components = spec.components.iter().filter(move |one| one.sidecar == sidecars);
        let at = |stage: usize| components.clone().filter(|one| stages[one.name.as_str()] == stage).collect();
        let all: Vec<Vec<&ComponentSpec>> = (0..last).map(at).filter(|at: &Vec<_>| !at.is_empty()).collect();
        all
    };
    let (sidecars, mains) = (staged(true), staged(false));
    let groups = sidecars.iter().cloned().chain(inits).chain(mains.iter().cloned());
    for (number, members) in groups.enumerate() {
        for (place, member) in members.iter().enumerate() {
            let number = if place == 0 { format!("{}.", number + 1) } else { String::new() };
            let mut head = format!("  {number:<3} {:<width$}  ", member.name);
            for line in about(member, spec.init.contains(member)) {
                text += &format!("{head}{line}\n");
                head = " ".repeat(head.chars().count());
            }
        }
    }

    text += &format!("\nStop, within {}\n  ", time(spec.stop_timeout));
    let stop = sidecars.iter().chain(&mains).rev().map(|members| {
        let names: Vec<String> = members.iter().copied().map(stopped).collect();
        names.join(", ")
    });
    text += &stop.collect::<Vec<_>>().join("; then ");
    text += "\n";

    if !spec.scratch.is_empty() {
        text += "\nScratch volumes\n";
        for scratch in &spec.scratch {
            let kind = if scratch.memory { "memory" } else { "disk" };
            let most =
                scratch.size_bytes.map(|bytes| format!(", {} at most", size(bytes))).unwrap_or_default();
            text += &format!("  {}  {kind}{most}\n", scratch.name);
        }
    }

    if !asked.is_empty() {
        text += "\nNot checked: files of the task container\n";
        asked.iter().for_each(|path| text += &format!("  {path}\n"));
    }
    text
}

/// How many components in a row each one waits for.
fn stages(components: &[ComponentSpec]) -> BTreeMap<&str, usize> {
    let mut stages: BTreeMap<&str, usize> = components.iter().map(|one| (one.name.as_str(), 0)).collect();
    // There is no cycle: after as many rounds as there are components nothing changes any more.
    for _ in components {
        for one in components {
            let behind = one.depends_on.iter().filter_map(|on| Some(stages.get(on.on.as_str())? + 1)).max();
            stages.insert(&one.name, behind.unwrap_or(0));
        }
    }
    stages
}

/// What is worth to know of a component, a line each; the image first.
fn about(member: &ComponentSpec, init: bool) -> Vec<String> {
    let container = &member.container;
    let mut lines = vec![format!("image {}{}", container.image, pulled(member))];
    if init {
        lines.push("runs to its end before what follows".into());
    }
    if member.sidecar {
        lines.push("sidecar: before and after all others".into());
    }
    if !member.essential {
        lines.push("not essential: its end does not end the pod".into());
    }
    match member.restart {
        Restart::Never => {}
        Restart::Always => lines.push("restart: always".into()),
        Restart::OnFailure(None) => lines.push("restart: on failure".into()),
        Restart::OnFailure(Some(most)) => lines.push(format!("restart: on failure, {most} times at most")),
    }
    if !member.shutdown_delay.is_zero() {
        lines.push(format!("serves on for {} before it is stopped", time(member.shutdown_delay)));
    }
    for on in &member.depends_on {
        let state = match on.condition {
            Condition::Started => "runs",
            Condition::Healthy => "is healthy",
            Condition::Completed => "has ended with 0",
        };
        let unless = if on.required { "" } else { ", or cannot be" };
        lines.push(format!("once {} {state}{unless}", on.on));
    }
    if let Some(check) = &container.healthcheck {
        lines.push(health(check));
    }
    let hooks = [("post_start", &member.post_start), ("pre_stop", &member.pre_stop)];
    for (key, hooks) in hooks.into_iter().filter(|(_, hooks)| !hooks.is_empty()) {
        // Arguments may be secrets.
        let programs = hooks.iter().filter_map(|hook| hook.command.first().map(String::as_str));
        lines.push(format!("{key}: {}", programs.collect::<Vec<_>>().join(", ")));
    }
    for copy in &member.copies {
        lines.push(format!("copy of {} at {}", copy.source, copy.target));
    }
    for file in &member.files {
        let (mode, uid, gid) = (file.mode, file.uid, file.gid);
        let source = match &file.source {
            FileSource::Path(path) => path,
            FileSource::Content(_) => "what the definition says",
        };
        lines.push(format!("{source} at {}, {mode:04o} {uid}:{gid}", file.target));
    }
    for mount in &container.mounts {
        let what = match &mount.source {
            MountSource::Bind { path, .. } => format!("{path} of the host"),
            MountSource::Volume { name: Some(name), .. } => format!("volume {name}"),
            MountSource::Volume { name: None, .. } => "new volume".into(),
            MountSource::Scratch(name) => format!("scratch volume {name}"),
            MountSource::Tmpfs { .. } => "memory".into(),
        };
        let read_only = if mount.read_only { ", read-only" } else { "" };
        lines.push(format!("{what} at {}{read_only}", mount.target));
    }
    lines.extend(container.tmpfs.keys().map(|path| format!("memory at {path}")));
    let variables: Vec<&str> = container.environment.iter().map(|(name, _)| name.as_str()).collect();
    let limits = limits(member);
    for (key, values) in [
        ("variables", variables.join(" ")),
        ("user", container.user.clone().unwrap_or_default()),
        ("limits", limits.join(", ")),
        ("cap_add", container.cap_add.join(" ")),
        ("cap_drop", container.cap_drop.join(" ")),
    ] {
        if !values.is_empty() {
            lines.push(format!("{key}: {values}"));
        }
    }
    if container.read_only {
        lines.push("read-only root".into());
    }
    lines
}

fn pulled(member: &ComponentSpec) -> &'static str {
    match member.container.tuning.pull {
        Some(PullPolicy::Always) => ", always pulled",
        Some(PullPolicy::Never) => ", never pulled",
        _ => "",
    }
}

fn health(check: &HealthCheck) -> String {
    match check {
        HealthCheck::Disabled => "health check off".into(),
        // The engine's default.
        HealthCheck::Check { interval, .. } => {
            format!("health check every {}", time(interval.unwrap_or(Duration::from_secs(30))))
        }
    }
}

fn limits(member: &ComponentSpec) -> Vec<String> {
    let container = &member.container;
    let memory = container.memory_bytes.map(|bytes| format!("memory {}", size(bytes)));
    let (cpus, pids) = (container.nano_cpus.map(cpus), container.pids_limit.map(processes));
    [memory, cpus, pids].into_iter().flatten().collect()
}

fn stopped(member: &ComponentSpec) -> String {
    let grace = member.stop_grace.map(|grace| format!(" ({})", time(grace))).unwrap_or_default();
    format!("{}{grace}", member.name)
}

/// As Compose writes durations.
fn time(time: Duration) -> String {
    let (secs, millis) = (time.as_secs(), time.subsec_millis());
    match (secs / 60, secs % 60, millis) {
        (0, 0, millis) if millis > 0 => format!("{millis}ms"),
        (0, secs, 0) => format!("{secs}s"),
        (0, secs, millis) => format!("{}s", format!("{secs}.{millis:03}").trim_end_matches('0')),
        (minutes, 0, 0) => format!("{minutes}m"),
        (minutes, secs, _) => format!("{minutes}m{secs}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::sample::{pod, sandboxed};
    use crate::pod::spec::Scratch;

    #[test]
    fn a_pod_reads_in_the_order_in_which_it_starts_and_stops() {
        let mut spec = sandboxed("init-1 | app<db:healthy,cache? cache db+copy+post+pre+secret web<app");
        spec.components[2].stop_grace = Some(Duration::from_millis(1500));
        spec.components[2].container.memory_bytes = Some(64 << 20);
        spec.components[2].container.nano_cpus = Some(500_000_000);
        let want = format!(
            "The pod of a test

Namespaces
  network  the task container's
  PIDs     shared, a sandbox's
  IPC      shared, a sandbox's

Start
  1.  init-1  image init-1
              runs to its end before what follows
  2.  cache   image cache
      db      image db
              post_start: post
              pre_stop: pre
              copy of {source} at /copied
              {source} at /run/secrets/one, 0444 0:0
              limits: memory 64 MiB, 0.5 CPUs
  3.  app     image app
              once db is healthy
              once cache runs, or cannot be
  4.  web     image web
              once app runs

Stop, within 8s
  web; then app; then cache, db (1.5s)

Not checked: files of the task container
  /app.env
",
            source = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")
        );
        let asked = BTreeSet::from(["/app.env".to_owned()]);
        assert_eq!(of("a test", &spec, &asked), want);
    }

    #[test]
    fn sidecars_are_first_and_last_and_what_follows_an_end_is_said() {
        let mut spec = pod("init-1 | app<vpn log+restart+extra vpn+sidecar");
        spec.components[0].shutdown_delay = Duration::from_secs(5);
        spec.components[2].restart = Restart::OnFailure(Some(3));
        spec.scratch = vec![Scratch { name: "tmp".into(), memory: true, size_bytes: Some(64 << 20) }];
        let text = of("a test", &spec, &BTreeSet::new());
        let want = "Start
  1.  vpn     image vpn
              sidecar: before and after all others
              restart: on failure, 3 times at most
  2.  init-1  image init-1
              runs to its end before what follows
  3.  log     image log
              not essential: its end does not end the pod
              restart: always
  4.  app     image app
              serves on for 5s before it is stopped
              once vpn runs

Stop, within 8s
  app; then log; then vpn

Scratch volumes
  tmp  memory, 64 MiB at most
";
        assert!(text.ends_with(want), "{text}");
    }

    #[test]
    fn namespaces_of_their_own_are_said() {
        let text = of("a test", &pod("app"), &BTreeSet::new());
        assert!(
            text.contains("  PIDs     each component its own\n  IPC      each component its own\n"),
            "{text}"
        );
    }

    #[test]
    fn times_are_short() {
        for (millis, want) in
            [(500, "500ms"), (6000, "6s"), (1500, "1.5s"), (60_000, "1m"), (90_000, "1m30s"), (0, "0s")]
        {
            assert_eq!(time(Duration::from_millis(millis)), want);
        }
    }
}
