//! Ways to have so many components share a network: Tandem's, the least calls that there can be, and what users have.

use std::path::Path;
use std::pin::pin;
use std::process::Command;

use futures_util::stream::{self, FuturesUnordered};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::engine::{Engine, Result};
use crate::{BUSYBOX, Bench, MANAGER, PAUSE};

/// What is wanted of a pod.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) components: usize,
    /// PIDs and IPC are shared, too.
    pub(crate) sandbox: bool,
    /// Each component depends on the one before it.
    pub(crate) chain: bool,
}

/// How it is done.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    /// The two-process image.
    Tandem,
    /// Nothing but the calls that must be.
    Raw(Raw),
    /// `docker-compose up`, or `docker compose up`.
    Compose,
    /// `docker run`, all at once.
    Run,
}

/// How the raw client goes about it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Raw {
    /// While they come up.
    pub(crate) up: Pace,
    /// While they are stopped.
    pub(crate) down: Pace,
}

/// How many components have a call under way, and in which order.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Pace {
    /// So many at once.
    pub(crate) at_once: usize,
    /// All are created, and then all started; all stopped, and then all removed. Else each goes all its way.
    pub(crate) phased: bool,
}

impl Pace {
    /// For people. Components of a chain start and stop one after the other: what can be chosen there is how many are
    /// created at once, and when they are removed.
    pub(crate) fn words(self, chain: bool, down: bool) -> String {
        match (chain, down, self.phased) {
            (true, false, _) => format!("with {} creations at once", self.at_once),
            (true, true, true) => "with removals after the last stop".to_owned(),
            (true, true, false) => "with removals while the next one stops".to_owned(),
            (false, _, true) => format!("with {} at once, one step of all after the other", self.at_once),
            (false, _, false) => format!("with {} at once, each in one go", self.at_once),
        }
    }
}

/// Ended by the kernel at once: what is measured is who asks for it.
const STOP_SIGNAL: &str = "SIGKILL";
const COMMAND: [&str; 2] = ["sleep", "1000000"];

impl Way {
    pub(crate) fn name(self) -> String {
        match self {
            Way::Tandem => "tandem".to_owned(),
            Way::Raw(_) => "raw client".to_owned(),
            Way::Compose => "compose".to_owned(),
            Way::Run => "docker run".to_owned(),
        }
    }

    /// Bring it up. Whether all of it runs, the engine's events tell.
    pub(crate) async fn up(self, bench: &Bench, socket: &Path, name: &str, shape: Shape) -> Result<()> {
        let engine = &bench.engine;
        match self {
            Way::Tandem => tandem(engine, socket, name, shape).await.map(drop),
            Way::Raw(raw) => raw_up(engine, name, shape, raw).await,
            Way::Compose => {
                let file = std::env::temp_dir().join(format!("{name}.yml"));
                std::fs::write(&file, compose_file(shape).to_string())?;
                tool(bench.compose(name, &file, &["up", "-d"])).await
            }
            Way::Run => run_up(name, shape).await,
        }
    }

    /// Until nothing of it is left.
    pub(crate) async fn down(self, bench: &Bench, name: &str, shape: Shape) -> Result<()> {
        let components: Vec<String> =
            (0..shape.components).map(|number| format!("{name}-c{number}")).collect();
        let engine = &bench.engine;
        match self {
            Way::Tandem => engine.end(name).await,
            Way::Raw(raw) => {
                let gone = async |id: &str| engine.end(id).await;
                if shape.chain {
                    // Stopped in reverse. A removal keeps no stop waiting.
                    let mut removals = FuturesUnordered::new();
                    for id in components.iter().rev() {
                        let mut stop = pin!(engine.stop(id));
                        loop {
                            tokio::select! {
                                stopped = &mut stop => break stopped?,
                                Some(removed) = removals.next(), if !raw.down.phased => removed?,
                            }
                        }
                        removals.push(engine.remove(id));
                    }
                    removals.try_collect::<()>().await?;
                } else if raw.down.phased {
                    let stops = stream::iter(components.iter().rev()).map(async |id| engine.stop(id).await);
                    stops.buffer_unordered(raw.down.at_once).try_collect::<()>().await?;
                    let removals =
                        stream::iter(components.iter().rev()).map(async |id| engine.remove(id).await);
                    removals.buffer_unordered(raw.down.at_once).try_collect::<()>().await?;
                } else {
                    let ends = stream::iter(components.iter().rev()).map(async |id| gone(id).await);
                    ends.buffer_unordered(raw.down.at_once).try_collect::<()>().await?;
                }
                if shape.sandbox {
                    gone(&format!("{name}-sandbox")).await?;
                }
                gone(name).await
            }
            Way::Compose => {
                let file = std::env::temp_dir().join(format!("{name}.yml"));
                let ended = bench.compose_down(name, &file).await;
                std::fs::remove_file(&file)?;
                ended
            }
            Way::Run => {
                let all: Vec<&str> = components.iter().map(String::as_str).chain([name]).collect();
                tool(docker(&[&["stop"], &all[..]].concat())).await?;
                tool(docker(&[&["rm", "-v"], &all[..]].concat())).await
            }
        }
    }
}

/// A component that does nothing, as Tandem and Compose read it.
pub(crate) fn idle() -> Value {
    json!({"image": BUSYBOX, "command": COMMAND, "stop_signal": STOP_SIGNAL})
}

/// The components of a shape, by name.
pub(crate) fn components(shape: Shape) -> impl Iterator<Item = (String, Value)> {
    (0..shape.components).map(move |number| {
        let mut component = idle();
        if shape.chain && number > 0 {
            component["depends_on"] = json!([format!("c{}", number - 1)]);
        }
        (format!("c{number}"), component)
    })
}

/// Labels that define these components.
pub(crate) fn labels(components: impl IntoIterator<Item = (String, Value)>) -> Value {
    let label =
        |(name, component): (String, Value)| (format!("pod.component.{name}"), component.to_string().into());
    Value::Object(components.into_iter().map(label).collect())
}

/// A container of the two-process image, for which nobody asks whether it is healthy.
pub(crate) fn manager(socket: &Path, labels: Value, command: &[&str]) -> Value {
    json!({
        "Image": MANAGER, "Labels": labels, "Cmd": command, "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {"Binds": [format!("{}:/var/run/docker.sock", socket.display())]},
    })
}

/// A pod of Tandem's: the id of its own container.
pub(crate) async fn tandem(engine: &Engine, socket: &Path, name: &str, shape: Shape) -> Result<String> {
    let command: &[&str] = if shape.sandbox { &[] } else { &["--pids=false", "--ipc=false"] };
    let id = engine.create(name, &manager(socket, labels(components(shape)), command)).await?;
    engine.start(&id).await?;
    Ok(id)
}

async fn raw_up(engine: &Engine, name: &str, shape: Shape, raw: Raw) -> Result<()> {
    let pause = |host: Value| json!({"Image": PAUSE, "Healthcheck": {"Test": ["NONE"]}, "HostConfig": host});
    let pod = engine.create(name, &pause(json!({}))).await?;
    engine.start(&pod).await?;
    let mut host = json!({"NetworkMode": format!("container:{pod}")});
    if shape.sandbox {
        let join = json!({"NetworkMode": format!("container:{pod}"), "IpcMode": "shareable"});
        let sandbox = engine.create(&format!("{name}-sandbox"), &pause(join)).await?;
        engine.start(&sandbox).await?;
        host["PidMode"] = format!("container:{sandbox}").into();
        host["IpcMode"] = format!("container:{sandbox}").into();
    }
    let body = json!({"Image": BUSYBOX, "Cmd": COMMAND, "StopSignal": STOP_SIGNAL, "HostConfig": host});
    let create = async |number: usize| engine.create(&format!("{name}-c{number}"), &body).await;
    let numbers = stream::iter(0..shape.components);
    if shape.chain {
        let ids: Vec<String> = numbers.map(create).buffered(raw.up.at_once).try_collect().await?;
        for id in ids {
            engine.start(&id).await?;
        }
        return Ok(());
    }
    if raw.up.phased {
        let ids: Vec<String> = numbers.map(create).buffer_unordered(raw.up.at_once).try_collect().await?;
        let start = async |id: String| engine.start(&id).await;
        return stream::iter(ids).map(start).buffer_unordered(raw.up.at_once).try_collect().await;
    }
    let both = async |number: usize| -> Result<()> { engine.start(&create(number).await?).await };
    numbers.map(both).buffer_unordered(raw.up.at_once).try_collect().await
}

pub(crate) fn compose_file(shape: Shape) -> Value {
    let mut services = json!({"pod": {"image": PAUSE, "healthcheck": {"disable": true}}});
    for (name, mut service) in components(shape) {
        service["network_mode"] = "service:pod".into();
        services[name] = service;
    }
    json!({"version": "3.7", "services": services})
}

async fn run_up(name: &str, shape: Shape) -> Result<()> {
    tool(docker(&["run", "-d", "--no-healthcheck", "--name", name, PAUSE])).await?;
    let network = format!("--network=container:{name}");
    let run = |number: usize| {
        let own = format!("--name={name}-c{number}");
        let head = ["run", "-d", &own, &network, "--stop-signal", STOP_SIGNAL, BUSYBOX];
        tool(docker(&[&head[..], &COMMAND].concat()))
    };
    stream::iter(0..shape.components).map(run).buffer_unordered(shape.components).try_collect().await
}

impl Bench {
    /// Compose.
    pub(crate) fn compose(&self, project: &str, file: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(&self.compose[0]);
        command.args(&self.compose[1..]).args(["-p", project, "-f"]).arg(file).args(words);
        command
    }

    /// Nothing of a project is left.
    pub(crate) async fn compose_down(&self, project: &str, file: &Path) -> Result<()> {
        tool(self.compose(project, file, &["down", "-t", "60"])).await
    }
}

pub(crate) fn docker(words: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(words);
    command
}

/// Run it to its end, on a thread, so that others can run meanwhile.
pub(crate) async fn tool(mut command: Command) -> Result<()> {
    let output = tokio::task::spawn_blocking(move || (command.output(), format!("{command:?}"))).await?;
    let (output, words) = (output.0?, output.1);
    if !output.status.success() {
        return Err(format!("{words}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(())
}
