//! A pod whose pause container somebody else has started: the manager, in a container of its own, finds it, reads its
//! labels and files, and has a line to the `pause` in it.

pub mod files;
pub mod watch;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use crate::cli::Which;
use crate::error::Refusal;
use crate::startup::retry::retry_until_timeout;
use engine::docker::DockerEngine;
use engine::{Engine, EngineAddress, EngineError};
use pod::exit_status::{STATUS_UNAVAILABLE, STATUS_USAGE};
use pod::path::tidy_path;
use pod::plan::ENGINE_TIMEOUT;
use pod::policy::Host;
use pod::task_container::TaskContainer;

/// Bounds of the wait between two looks for a pause container that is not there yet.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// How long somebody who has ended a pause container may take to start it again (`docker restart`), and then to stop the
/// manager as well. Compose restarts a service after those that it depends on, and a stop of a manager whose run has begun
/// stops the pod once more.
pub const RESTART: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3));

/// Labels by which Compose and Swarm say which service a container belongs to, and of which project.
const SERVICE_LABELS: [(&str, Option<&str>); 2] = [
    ("com.docker.compose.service", Some("com.docker.compose.project")),
    ("com.docker.swarm.service.name", None),
];

/// The pause container that is meant, running. `own` is the manager's own container.
///
/// # Errors
/// Where it does not come in time, there is more than one, or it is none.
pub async fn find(
    engine: &DockerEngine,
    address: &EngineAddress,
    which: &Which,
    own: &TaskContainer,
) -> Result<TaskContainer, Refusal> {
    let began = Instant::now();
    let mut wait = LOOK_AGAIN.0;
    loop {
        let name = match which {
            Which::Container(name) => Some(name.clone()),
            Which::Service(service) => of_service(engine, address, service, own).await?,
        };
        if let Some(name) = name {
            match retry_until_timeout(address, || found(engine, &name)).await? {
                Some(task) if task.running => return Ok(task),
                _ => {}
            }
        }
        if began.elapsed() + wait >= ENGINE_TIMEOUT {
            return Err(Refusal {
                status: STATUS_UNAVAILABLE,
                words: format!(
                    "{which} does not run, and it is to be the pod's pause container (`--pause`): start it first, from the \
                     image `tandem/pause`. `--pause` also takes `auto`, `sandbox` and `task`"
                ),
            });
        }
        if wait == LOOK_AGAIN.0 {
            info!("waiting for {which}, the pod's pause container");
        }
        sleep(wait).await;
        wait = (wait * 2).min(LOOK_AGAIN.1);
    }
}

/// Whether the pause container that is meant runs again, or another one in its place, soon after its run `before` was ended
/// by somebody else. `limits` are [`RESTART`]; a manager that is to be restarted too is stopped before this returns.
pub async fn restarted(
    engine: &DockerEngine,
    address: &EngineAddress,
    which: &Which,
    own: &TaskContainer,
    before: &TaskContainer,
    limits: (Duration, Duration),
) -> bool {
    let look = async {
        loop {
            let name = match which {
                Which::Container(name) => Some(name.clone()),
                Which::Service(service) => {
                    of_service(engine, address, service, own).await.unwrap_or_default()
                }
            };
            if let Some(name) = name
                && let Ok(now) = engine.standing(&name).await
                && now.running
                && (&now.id, &now.started_at) != (&before.id, &before.started_at)
            {
                return;
            }
            sleep(LOOK_AGAIN.0).await;
        }
    };
    let runs = timeout(limits.0, look).await.is_ok();
    if runs {
        sleep(limits.1).await;
    }
    runs
}

async fn found(engine: &DockerEngine, name: &str) -> Result<Option<TaskContainer>, EngineError> {
    match engine.inspect_task(name).await {
        Ok(task) => Ok(Some(task)),
        Err(EngineError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The id of the one running container of this service.
async fn of_service(
    engine: &DockerEngine,
    address: &EngineAddress,
    service: &str,
    own: &TaskContainer,
) -> Result<Option<String>, Refusal> {
    let running = retry_until_timeout(address, || engine.running()).await?;
    let belongs = |labels: &std::collections::BTreeMap<String, String>| {
        SERVICE_LABELS.iter().any(|(name, project)| {
            let same = |project: &str| labels.get(project) == own.labels.get(project);
            labels.get(*name).is_some_and(|value| value == service) && project.is_none_or(same)
        })
    };
    let mut ids =
        running.into_iter().filter(|one| one.id != own.id && belongs(&one.labels)).map(|one| one.id);
    match (ids.next(), ids.next()) {
        (Some(_), Some(_)) => Err(Refusal {
            status: STATUS_USAGE,
            words: format!(
                "more than one container of the service `{service}` runs here: a manager runs one pod; start one for each \
                 with `--pause NAME`, or keep the service at one"
            ),
        }),
        (first, _) => Ok(first),
    }
}

/// Lists, for users, the reasons why a container cannot be a pod's pause container. `own` is the manager's
/// container.
pub fn against(task: &TaskContainer, own: &TaskContainer, host: &Host) -> Vec<String> {
    let name = &task.name;
    let mut faults = Vec::new();
    if task.id == own.id {
        faults.push(format!(
            "`--pause` names `{name}`, the manager's own container: leave `--pause` out to run the pod of this container"
        ));
        return faults;
    }
    if !runs_pause(&task.program) {
        faults.push(format!(
            "`{name}` runs `{}`: the pause container of a pod whose manager is elsewhere runs the image `tandem/pause`, with \
             nothing beside it",
            task.program.join(" ")
        ));
    }
    if !task.stdin_open {
        faults.push(format!(
            "`{name}` has no standard input: the manager speaks to its `pause` there; start it with `stdin_open: true` \
             (`docker run -i`)"
        ));
    }
    if task.stdin_open && task.stdin_once {
        faults.push(format!(
            "the standard input of `{name}` closes with the first who writes to it, and a manager that is started again \
             must find it open: start it in the background (`docker run -d -i`)"
        ));
    }
    for (set, key) in [(task.tty, "tty: true"), (task.init, "init: true")] {
        if set {
            faults
                .push(format!("`{name}` has `{key}`, with which `pause` cannot be spoken to: leave it out"));
        }
    }
    if !task.pid_mode.is_empty() {
        faults.push(format!(
            "`{name}` has the PID namespace `{}`, and components that join it would see the processes there: leave `pid` out",
            task.pid_mode
        ));
    }
    if task.privileged {
        faults.push(format!("`{name}` is privileged: it only holds namespaces; leave `privileged` out"));
    }
    for mount in task.mounts.iter().filter(|mount| !mount.source.is_empty()) {
        let source = mount.device.as_deref().unwrap_or(&mount.source);
        // A plain volume always lies in the engine's data folder, so only binds and volumes with a device are
        // checked. A log shipper binds a folder of the engine's data read-only, and `exposed_by` allows that.
        let bound = mount.device.is_some() || mount.volume.is_none();
        let path = tidy_path(source).filter(|_| bound);
        let exposed = path.and_then(|path| host.engine.exposed_by(&path, !mount.writable));
        let managers = || host.manager.in_mount(mount).map(|what| format!("is, contains or lies in {what}"));
        if let Some(why) = exposed.map(str::to_owned).or_else(managers) {
            faults.push(format!(
                "`{name}` has `{source}` mounted at `{}`, which {why}: only the manager's own container may have it",
                mount.target
            ));
        }
    }
    faults
}

/// This is `pause` as the image runs it, with nothing beside it.
pub fn runs_pause(program: &[String]) -> bool {
    program == ["/pause"]
}

/// There is a `pause` in it that a manager can speak to.
pub fn listens(task: &TaskContainer) -> bool {
    runs_pause(&task.program) && task.stdin_open && !task.tty
}

/// The parent cgroup where the manager's own is known and the pod is another container's: the same with the id exchanged.
pub fn cgroups_of(own_cgroups: &str, own: &TaskContainer, task: &TaskContainer) -> String {
    if own.id.is_empty() { own_cgroups.to_owned() } else { own_cgroups.replace(&own.id, &task.id) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::testing::{answer, canned, ping};
    use pod::task_container::TaskMount;

    fn pause() -> TaskContainer {
        TaskContainer {
            id: "pause-id".into(),
            name: "pod".into(),
            program: vec!["/pause".into()],
            stdin_open: true,
            ..TaskContainer::default()
        }
    }

    fn own() -> TaskContainer {
        TaskContainer { id: "own-id".into(), name: "manager".into(), ..TaskContainer::default() }
    }

    #[test]
    fn a_bare_pause_with_an_open_line_may_hold_a_pod_and_nothing_else_may() {
        let host = &Host::with_socket(&own(), Some("/run/docker.sock"));
        assert_eq!(against(&pause(), &own(), host), Vec::<String>::new());
        let mount = |source: &str, device: Option<&str>| {
            let device = device.map(str::to_owned);
            vec![TaskMount { source: source.into(), target: "/x".into(), device, ..TaskMount::default() }]
        };
        let data = TaskContainer { mounts: mount("/srv/data", None), ..pause() };
        assert_eq!(against(&data, &own(), host), Vec::<String>::new());
        // As the engine tells of a tmpfs.
        let memory = TaskContainer { mounts: mount("", None), ..pause() };
        assert_eq!(against(&memory, &own(), host), Vec::<String>::new());
        let cases = [
            (
                TaskContainer { program: vec!["/pause".into(), "--".into(), "/x".into()], ..pause() },
                "runs `/pause -- /x`",
            ),
            (TaskContainer { stdin_open: false, ..pause() }, "has no standard input"),
            (TaskContainer { stdin_once: true, ..pause() }, "closes with the first who writes to it"),
            (TaskContainer { tty: true, ..pause() }, "`tty: true`"),
            (TaskContainer { init: true, ..pause() }, "`init: true`"),
            (TaskContainer { pid_mode: "host".into(), ..pause() }, "has the PID namespace `host`"),
            (
                TaskContainer { pid_mode: "container:own-id".into(), ..pause() },
                "the PID namespace `container:own-id`",
            ),
            (TaskContainer { privileged: true, ..pause() }, "is privileged"),
            (
                TaskContainer { mounts: mount("/var/run/docker.sock", None), ..pause() },
                "only the manager's own",
            ),
            (TaskContainer { mounts: mount("/run", None), ..pause() }, "only the manager's own"),
            (
                TaskContainer { mounts: mount("/run/dbus/system_bus_socket", None), ..pause() },
                "mounted at `/x`, which is or contains a socket that controls systemd: only the",
            ),
            (
                TaskContainer { mounts: mount("/data/v/_data", Some("/run")), ..pause() },
                "only the manager's own",
            ),
            (TaskContainer { id: "own-id".into(), ..pause() }, "the manager's own container"),
        ];
        for (task, words) in cases {
            let faults = against(&task, &own(), host);
            assert_eq!(faults.len(), 1, "{words}: {faults:?}");
            assert!(faults[0].contains(words), "{words}: {faults:?}");
        }
        let everything = TaskContainer { stdin_open: false, tty: true, privileged: true, ..pause() };
        assert_eq!(against(&everything, &own(), host).len(), 3, "every reason at once");
    }

    #[tokio::test]
    async fn a_pause_container_is_restarted_only_where_another_run_begins_soon() {
        let before = TaskContainer { id: "a".into(), started_at: "10".into(), ..TaskContainer::default() };
        let state =
            |id: &str, state: &str| answer("200 OK", &format!(r#"{{"Id": "{id}", "State": {{{state}}}}}"#));
        let over = || state("a", r#""StartedAt": "10""#);
        let not_yet = || state("a", r#""Running": true, "StartedAt": "10""#);
        let gone = || answer("404 Not Found", r#"{"message": "No such container: pod"}"#);
        for (answers, want) in [
            (vec![over(), state("a", r#""Running": true, "StartedAt": "11""#)], true),
            (vec![not_yet(), over(), gone(), state("b", r#""Running": true, "StartedAt": "10""#)], true),
            // Nobody answers any more.
            (vec![over(), not_yet()], false),
        ] {
            let (engine, _server) = canned([vec![ping("1.41")], answers].concat());
            let address = EngineAddress::Unix("/nowhere.sock".into());
            let which = Which::Container("pod".into());
            let limits = (Duration::from_secs(if want { 30 } else { 1 }), Duration::from_millis(1));
            assert_eq!(restarted(&engine, &address, &which, &own(), &before, limits).await, want);
        }
    }

    #[test]
    fn the_cgroup_of_another_container_is_told_from_the_managers_own() {
        let own_cgroups = "9:memory:/lab/own-id\n0::/lab/own-id\n";
        assert_eq!(cgroups_of(own_cgroups, &own(), &pause()), "9:memory:/lab/pause-id\n0::/lab/pause-id\n");
        assert_eq!(cgroups_of("0::/\n", &own(), &pause()), "0::/\n");
    }
}
