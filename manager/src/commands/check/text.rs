//! A pod as a person would want to read it. Pure; values that may be secrets do not appear.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::commands::check::Verdict;
use crate::commands::check::answer::{Answer, Plan};
use definition::diagnostic::one_line;
use pod::container_options::PullPolicy;
use pod::identity::Role;
use pod::limits::{Limits, cpus, duration as time, processes, size};
use pod::namespaces::Holder;
use pod::spec::{ComponentSpec, Condition, FileSource, HealthCheck, MountSource, Restart};

/// Characters of a program's name that are shown.
const MOST_OF_A_PROGRAM: usize = 60;

impl Answer {
    /// For people.
    pub(crate) fn text(&self) -> Verdict {
        let mut words: Vec<String> = Vec::new();
        let several = self.pods.len() > 1;
        for pod in &self.pods {
            let of_pod = pod.words();
            if several && !of_pod.is_empty() {
                words.push(format!("{}:", pod.title));
            }
            words.extend(of_pod);
        }
        words.extend(self.refusal().map(|(_, why)| why.to_owned()));
        let plans = self.pods.iter().filter_map(|pod| Some(of(&pod.title, pod.plan.as_ref()?)));
        let mut parts: Vec<String> = plans.collect();
        if !self.others.is_empty() {
            let width = self.others.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
            let lines = self.others.iter().map(|(name, why)| format!("  {name:<width$}  {why}\n"));
            parts.push(format!("No pods\n{}", lines.collect::<String>()));
        }
        Verdict { status: self.status(), plan: parts.join("\n"), words }
    }
}

/// What would run.
pub(crate) fn of(title: &str, plan: &Plan) -> String {
    let Plan { spec, limits: task, .. } = plan;
    let network =
        if plan.host_network { "the host's, as the task container's" } else { "the task container's" };
    let mut text = format!("The pod of {title}\n\nNamespaces\n  network  {network}\n");
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

    if !task.to_string().is_empty() {
        text += &format!("\nLimits of the pod\n  {task}\n");
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
    let (sidecars, regular_components) = (staged(true), staged(false));
    let groups = sidecars.iter().cloned().chain(inits).chain(regular_components.iter().cloned());
    for (number, members) in groups.enumerate() {
        for (place, member) in members.iter().enumerate() {
            let number = if place == 0 { format!("{}.", number + 1) } else { String::new() };
            let mut head = format!("  {number:<3} {:<width$}  ", member.name);
            for line in about(member, spec.role(member), task) {
                text += &format!("{head}{line}\n");
                head = " ".repeat(head.chars().count());
            }
        }
    }

    let service = plan.service_grace.map(|grace| format!(" of the service's {}", time(grace)));
    text += &format!("\nStop, within {}{}\n  ", time(spec.stop_timeout), service.unwrap_or_default());
    let stop = sidecars.iter().chain(&regular_components).rev().map(|members| {
        let members = members.iter().copied().filter(|member| member.pre_start_of.is_none());
        let names: Vec<String> = members.map(stopped).collect();
        names.join(", ")
    });
    text += &stop.filter(|names| !names.is_empty()).collect::<Vec<_>>().join("; then ");
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

    if !plan.files.is_empty() {
        text += "\nNot checked: files of the task container\n";
        plan.files.iter().for_each(|path| text += &format!("  {path}\n"));
    }
    let unseen = plan.unseen_checks();
    if !unseen.is_empty() {
        text += "\nNot checked: health checks of images\n";
    }
    for (image, waiting) in unseen {
        let waiting = if waiting.is_empty() {
            String::new()
        } else {
            format!(", for which {} waits", waiting.join(", "))
        };
        text += &format!("  {image}{waiting}\n");
    }
    text
}

/// How many components in a row each one waits for.
fn stages(components: &[ComponentSpec]) -> BTreeMap<&str, usize> {
    let mut stages: BTreeMap<&str, usize> = components.iter().map(|one| (one.name.as_str(), 0)).collect();
    let mut waited_for_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
    for one in components {
        let known = one.depends_on.iter().map(|on| on.on.as_str()).filter(|on| stages.contains_key(on));
        let known: Vec<&str> = known.collect();
        missing.insert(&one.name, known.len());
        for on in known {
            waited_for_by.entry(on).or_default().push(&one.name);
        }
    }
    // There is no cycle: each component's turn comes once all that it waits for have had theirs.
    let mut ready: Vec<&str> =
        missing.iter().filter(|(_, left)| **left == 0).map(|(name, _)| *name).collect();
    while let Some(on) = ready.pop() {
        let stage = stages[on] + 1;
        for name in waited_for_by.get(on).into_iter().flatten() {
            stages.entry(name).and_modify(|known| *known = stage.max(*known));
            let left = missing.entry(name).or_default();
            *left -= 1;
            if *left == 0 {
                ready.push(name);
            }
        }
    }
    stages
}

/// What is worth to know of a component, a line each; the image first.
fn about(member: &ComponentSpec, role: Role, task: &Limits) -> Vec<String> {
    let container = &member.container;
    let mut lines = vec![format!("image {}{}", container.image, pulled(member))];
    for (key, words) in [("entrypoint", &container.entrypoint), ("command", &container.command)] {
        lines.extend(words.as_ref().map(|words| format!("{key}: {}", program(words))));
    }
    if role == Role::Init {
        lines.push("runs to its end before what follows".into());
    }
    if let Some(component) = &member.pre_start_of {
        lines.push(format!("pre_start: runs to its end before {component} starts"));
    } else if member.sidecar {
        lines.push("sidecar: before and after all others".into());
    }
    if !member.essential {
        lines.push("not essential: its end does not end the pod".into());
    }
    match member.restart {
        Restart::Never => {}
        Restart::Always => lines.push("restart: always".into()),
        Restart::UnlessStopped => lines.push("restart: unless stopped".into()),
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
    // That of a step is always off.
    if let Some(check) = container.healthcheck.as_ref().filter(|_| role != Role::PreStart) {
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
            MountSource::ScratchVolume(name) => format!("scratch volume {name}"),
            MountSource::Tmpfs { .. } => "memory".into(),
        };
        let read_only = if mount.read_only { ", read-only" } else { "" };
        lines.push(format!("{what} at {}{read_only}", mount.target));
    }
    lines.extend(container.tmpfs.keys().map(|path| format!("memory at {path}")));
    let variables: Vec<&str> = container.environment.iter().map(|(name, _)| name.as_str()).collect();
    let limits = limits(member, task);
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

/// The program that a command begins with. Arguments may be secrets, and so may what follows a `=`.
pub(crate) fn program(words: &[String]) -> String {
    let Some((first, arguments)) = words.split_first() else { return "none".to_owned() };
    let bare = first.split(|char: char| char == '=' || char.is_whitespace()).next().unwrap_or_default();
    let short: String = one_line(bare).chars().take(MOST_OF_A_PROGRAM).collect();
    let cut = if short == *first { "" } else { "…" };
    match arguments.len() {
        0 => format!("{short}{cut}"),
        1 => format!("{short}{cut} (and 1 argument)"),
        more => format!("{short}{cut} (and {more} arguments)"),
    }
}

/// Limits of a component, each beside the task's.
fn limits(member: &ComponentSpec, task: &Limits) -> Vec<String> {
    let container = &member.container;
    let beside = |own: Option<i64>, task: Option<i64>, words: fn(i64) -> String| {
        let task = task.map(|task| format!(" of {}", words(task))).unwrap_or_default();
        own.map(|own| format!("{}{task}", words(own)))
    };
    let memory = beside(container.memory_bytes, task.memory_bytes, size);
    let cpus = beside(container.nano_cpus, task.nano_cpus, cpus);
    let pids = beside(container.pids_limit, task.pids, processes);
    [memory.map(|memory| format!("memory {memory}")), cpus, pids].into_iter().flatten().collect()
}

fn stopped(member: &ComponentSpec) -> String {
    let grace = member.stop_grace.map(|grace| format!(" ({})", time(grace))).unwrap_or_default();
    format!("{}{grace}", member.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pod::spec::{PodSpec, ScratchVolume};
    use pod::testing::{pod, sandboxed};

    fn plan(spec: PodSpec) -> Plan {
        Plan {
            spec,
            limits: Limits::default(),
            service_grace: None,
            host_network: false,
            files: [].into(),
            asked_engine: true,
        }
    }

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
            source = ::pod::testing::SOURCE
        );
        let plan = Plan { files: ["/app.env".to_owned()].into(), ..plan(spec) };
        assert_eq!(of("a test", &plan), want);
    }

    #[test]
    fn sidecars_are_first_and_last_and_what_follows_an_end_is_said() {
        let mut spec = pod("init-1 | app<vpn log+restart+extra vpn+sidecar");
        spec.components[0].shutdown_delay = Duration::from_secs(5);
        spec.components[2].restart = Restart::OnFailure(Some(3));
        spec.scratch = vec![ScratchVolume { name: "tmp".into(), memory: true, size_bytes: Some(64 << 20) }];
        let text = of("a test", &plan(spec));
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
    fn the_steps_of_a_pre_start_are_said_before_their_component() {
        let text = of("a test", &plan(pod("app+step+step<db db web<app")));
        let want = "Start
  1.  db         image db
  2.  app.pre-1  image app.pre-1
                 pre_start: runs to its end before app starts
                 once db runs
  3.  app.pre-2  image app.pre-2
                 pre_start: runs to its end before app starts
                 once db runs
                 once app.pre-1 has ended with 0
  4.  app        image app
                 once db runs
                 once app.pre-2 has ended with 0
  5.  web        image web
                 once app runs

Stop, within 8s
  web; then app; then db
";
        assert!(text.ends_with(want), "{text}");
    }

    #[test]
    fn namespaces_of_their_own_are_said() {
        let text = of("a test", &plan(pod("app")));
        assert!(
            text.contains("  PIDs     each component its own\n  IPC      each component its own\n"),
            "{text}"
        );
    }

    #[test]
    fn a_program_is_named_and_its_arguments_are_counted() {
        let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        for (text, want) in [
            ("", "none"),
            ("serve", "serve"),
            ("serve --token", "serve (and 1 argument)"),
            ("serve --token hunter2", "serve (and 2 arguments)"),
            ("--token=hunter2 x", "--token… (and 1 argument)"),
        ] {
            let words: Vec<String> = words(text);
            assert_eq!(program(&words), want, "{text}");
        }
        assert_eq!(program(&["echo hunter2\nexit".to_owned()]), "echo…");
    }

    #[test]
    fn limits_and_times_stand_beside_those_of_the_pod() {
        let mut spec = pod("app web<app:healthy db");
        spec.components[0].container.memory_bytes = Some(64 << 20);
        spec.components[0].container.nano_cpus = Some(500_000_000);
        spec.components[0].container.pids_limit = Some(10);
        spec.components[0].stop_grace = Some(Duration::from_secs(3));
        let limits =
            Limits { memory_bytes: Some(256 << 20), nano_cpus: Some(2_000_000_000), ..Limits::default() };
        let service_grace = Some(Duration::from_secs(12));
        let whole = Plan { limits, service_grace, host_network: true, asked_engine: false, ..plan(spec) };
        let text = of("a test", &whole);
        for want in [
            "  network  the host's, as the task container's\n",
            "\nLimits of the pod\n  memory 256 MiB, 2 CPUs\n",
            "limits: memory 64 MiB of 256 MiB, 0.5 CPUs of 2 CPUs, 10 processes\n",
            "\nStop, within 8s of the service's 12s\n  web; then app (3s), db\n",
            "\nNot checked: health checks of images\n  app, for which web waits\n  db\n  web\n",
        ] {
            assert!(text.contains(want), "{want} in {text}");
        }
    }
}
