//! Ways to have so many components share a network: Tandem's, the least calls that there can be, and what users have.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::watch;

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
    /// Nothing but the calls that must be: what the pod's own container brings up when it runs, and that ends last.
    Raw(Raw),
    /// The same calls where nothing waits: all is created while the pod's own container starts, and it ends beside the others.
    Unordered(Raw),
    /// The two-process image, by `docker run`.
    TandemRun,
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
    pub(crate) order: Order,
}

/// When each goes on from its first call (create, stop) to its second (start, remove).
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Order {
    /// At once, and the next one begins when it is done.
    OneGo,
    /// At once, and the next one begins meanwhile: the limit is that of first calls alone.
    Apart,
    /// When all have had the first.
    Phased,
}

/// No limit.
const ALL: usize = 1_000;

impl Pace {
    /// For people. Components of a chain start and stop one after the other: what can be chosen there is how many are
    /// created or removed at once, and when.
    pub(crate) fn words(self, chain: bool, down: bool) -> String {
        let at_once = self.at_once;
        match (chain, down, self.order) {
            (true, false, Order::Phased) => {
                format!("with {at_once} creations at once, before the first start")
            }
            (true, false, _) => format!("with {at_once} creations at once, while others start"),
            (true, true, Order::Phased) => "with removals after the last stop".to_owned(),
            (true, true, _) => "with removals while the next one stops".to_owned(),
            (false, _, Order::OneGo) => format!("with {at_once} at once, each in one go"),
            (false, _, Order::Phased) => format!("with {at_once} at once, one step of all after the other"),
            (false, false, Order::Apart) => {
                format!("with {at_once} creations at once, and starts without a limit")
            }
            (false, true, Order::Apart) => {
                format!("with {at_once} stops at once, and removals without a limit")
            }
        }
    }
}

/// Two calls for each of these, `limits` of the first and of the second at once.
async fn both<A, B, First, Second>(
    all: Vec<A>,
    first: impl Fn(A) -> First,
    second: impl Fn(B) -> Second,
    order: Order,
    limits: (usize, usize),
) -> Result<()>
where
    First: Future<Output = Result<B>>,
    Second: Future<Output = Result<()>>,
{
    if order == Order::OneGo {
        let both = all.into_iter().map(|one| {
            let first = first(one);
            async { second(first.await?).await }
        });
        return stream::iter(both).buffer_unordered(limits.0).try_collect().await;
    }
    let (to, mut from) = unbounded_channel();
    let firsts = async {
        // In their order, which is that of a chain.
        let mut done = std::pin::pin!(stream::iter(all).map(first).buffered(limits.0));
        while let Some(one) = done.next().await {
            to.send(one?).map_err(|_| "nobody takes it on")?;
        }
        drop(to);
        Ok(())
    };
    let seconds = stream::poll_fn(|context| from.poll_recv(context))
        .map(second)
        .buffer_unordered(limits.1)
        .try_collect();
    match order {
        Order::Phased => {
            firsts.await?;
            seconds.await
        }
        Order::OneGo | Order::Apart => tokio::try_join!(firsts, seconds).map(drop),
    }
}

/// Ended by the kernel at once: what is measured is who asks for it.
const STOP_SIGNAL: &str = "SIGKILL";
const COMMAND: [&str; 2] = ["sleep", "1000000"];
/// What a manager is told where PIDs and IPC are not shared.
pub(crate) const OWN: [&str; 2] = ["--pids=false", "--ipc=false"];

impl Way {
    pub(crate) fn name(self) -> String {
        match self {
            Way::Tandem | Way::TandemRun => "tandem",
            Way::Raw(_) => "raw client",
            Way::Unordered(_) => "without order",
            Way::Compose => "compose",
            Way::Run => "docker run",
        }
        .to_owned()
    }

    /// Bring it up. Whether all of it runs, the engine's events tell.
    pub(crate) async fn up(self, bench: &Bench, socket: &Path, name: &str, shape: Shape) -> Result<()> {
        let engine = &bench.engine;
        match self {
            Way::Tandem => tandem(engine, socket, name, shape).await.map(drop),
            Way::Raw(raw) => raw_up(engine, name, shape, raw.up).await,
            Way::Unordered(raw) => unordered_up(engine, name, shape, raw.up).await,
            Way::TandemRun => tandem_run(socket, name, shape).await,
            Way::Compose => {
                let file = compose_path(name);
                std::fs::write(&file, compose_file(shape).to_string())?;
                tool(bench.compose(name, &file, &["up", "-d"])).await
            }
            Way::Run => run_up(name, shape).await,
        }
    }

    /// Until nothing of it is left.
    pub(crate) async fn down(self, bench: &Bench, name: &str, shape: Shape) -> Result<()> {
        let components: Vec<String> =
            (0..shape.components).rev().map(|number| format!("{name}-c{number}")).collect();
        let engine = &bench.engine;
        match self {
            Way::Tandem => engine.end(name).await,
            Way::Raw(raw) => {
                let at_once = raw.down.at_once;
                let limits = match (shape.chain, raw.down.order) {
                    // Stopped in reverse, one after the other.
                    (true, _) => (1, ALL),
                    (false, Order::Apart) => (at_once, ALL),
                    (false, _) => (at_once, at_once),
                };
                ended(engine, components, raw.down.order, limits).await?;
                if shape.sandbox {
                    engine.remove(&format!("{name}-sandbox")).await?;
                }
                engine.end(name).await
            }
            Way::Unordered(raw) => {
                let sandbox = shape.sandbox.then(|| format!("{name}-sandbox"));
                let all: Vec<String> =
                    components.into_iter().chain(sandbox).chain([name.to_owned()]).collect();
                let limits = (raw.down.at_once, ALL);
                ended(engine, all, Order::Phased, limits).await
            }
            Way::TandemRun => {
                tool(docker(&["stop", name])).await?;
                tool(docker(&["rm", "-v", name])).await
            }
            Way::Compose => {
                let file = compose_path(name);
                bench.compose_down(name, &file).await?;
                Ok(std::fs::remove_file(&file)?)
            }
            Way::Run => {
                let all: Vec<&str> = components.iter().map(String::as_str).chain([name]).collect();
                tool(docker(&[&["stop"], &all[..]].concat())).await?;
                tool(docker(&[&["rm", "-v"], &all[..]].concat())).await
            }
        }
    }
}

/// Stop and remove these.
async fn ended(engine: &Engine, all: Vec<String>, order: Order, limits: (usize, usize)) -> Result<()> {
    let stop = async |id: String| -> Result<String> {
        engine.stop(&id).await?;
        Ok(id)
    };
    let remove = async |id: String| engine.remove(&id).await;
    both(all, stop, remove, order, limits).await
}

fn compose_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{name}.yml"))
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
    let command: &[&str] = if shape.sandbox { &[] } else { &OWN };
    let id = engine.create(name, &manager(socket, labels(components(shape)), command)).await?;
    engine.start(&id).await?;
    Ok(id)
}

/// The same by the `docker` command.
async fn tandem_run(socket: &Path, name: &str, shape: Shape) -> Result<()> {
    let mount = format!("--volume={}:/var/run/docker.sock", socket.display());
    let mut words = vec!["run", "-d", "--no-healthcheck", "--name", name, &mount];
    let labels: Vec<String> = components(shape)
        .map(|(component, definition)| format!("--label=pod.component.{component}={definition}"))
        .collect();
    words.extend(labels.iter().map(String::as_str));
    words.push(MANAGER);
    words.extend(OWN);
    tool(docker(&words)).await
}

/// A container of the bare pause.
fn pause(host: &Value) -> Value {
    json!({"Image": PAUSE, "Healthcheck": {"Test": ["NONE"]}, "HostConfig": host})
}

/// Create the sandbox of a pod, where it has one, and say what its components share.
async fn sandbox(engine: &Engine, name: &str, pod: &str, shape: Shape) -> Result<(Option<String>, Value)> {
    let mut host = json!({"NetworkMode": format!("container:{pod}")});
    if !shape.sandbox {
        return Ok((None, host));
    }
    let join = json!({"NetworkMode": format!("container:{pod}"), "IpcMode": "shareable"});
    let sandbox = engine.create(&format!("{name}-sandbox"), &pause(&join)).await?;
    host["PidMode"] = format!("container:{sandbox}").into();
    host["IpcMode"] = format!("container:{sandbox}").into();
    Ok((Some(sandbox), host))
}

/// What the raw client makes of a component that shares this.
fn component(host: &Value) -> Value {
    json!({"Image": BUSYBOX, "Cmd": COMMAND, "StopSignal": STOP_SIGNAL, "HostConfig": host})
}

async fn raw_up(engine: &Engine, name: &str, shape: Shape, pace: Pace) -> Result<()> {
    let pod = engine.create(name, &pause(&json!({}))).await?;
    engine.start(&pod).await?;
    let (sandbox, host) = sandbox(engine, name, &pod, shape).await?;
    // Components may be created before it runs, and not started.
    let (runs, running) = watch::channel(sandbox.is_none());
    let begun = async {
        if let Some(sandbox) = sandbox {
            engine.start(&sandbox).await?;
            runs.send_replace(true);
        }
        Ok(())
    };
    let body = component(&host);
    let create = async |number: usize| engine.create(&format!("{name}-c{number}"), &body).await;
    let start = async |id: String| {
        running.clone().wait_for(|runs| *runs).await?;
        engine.start(&id).await
    };
    let limits = match (shape.chain, pace.order) {
        (true, _) => (pace.at_once, 1),
        (false, Order::Apart) => (pace.at_once, ALL),
        (false, _) => (pace.at_once, pace.at_once),
    };
    let components = both((0..shape.components).collect(), create, start, pace.order, limits);
    tokio::try_join!(begun, components).map(drop)
}

/// All is created while the pod's own container starts.
async fn unordered_up(engine: &Engine, name: &str, shape: Shape, pace: Pace) -> Result<()> {
    let pod = engine.create(name, &pause(&json!({}))).await?;
    let created = async {
        let (sandbox, host) = sandbox(engine, name, &pod, shape).await?;
        let body = component(&host);
        let create = async |number: usize| engine.create(&format!("{name}-c{number}"), &body).await;
        let all = stream::iter(0..shape.components).map(create).buffered(pace.at_once);
        let all: Vec<String> = all.try_collect().await?;
        Ok((sandbox, all))
    };
    let ((), (sandbox, components)) = tokio::try_join!(engine.start(&pod), created)?;
    if let Some(sandbox) = sandbox {
        engine.start(&sandbox).await?;
    }
    let at_once = if shape.chain { 1 } else { ALL };
    let starts = stream::iter(components).map(async |id: String| engine.start(&id).await);
    starts.buffer_unordered(at_once).try_collect().await
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
