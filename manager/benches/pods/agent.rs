//! Many pods of one node: one agent for all, beside a manager in each.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use crate::engine::{Engine, Event, LIMIT, Result, heard, last};
use crate::process::{child, idle, resident, share};
use crate::proxy::Proxy;
use crate::start::least_calls;
use crate::stats::{Figure, Goal};
use crate::ways::{Shape, components, labels, manager, tandem};
use crate::{Bench, PAUSE};

const SIZES: [usize; 3] = [1, 10, 100];
/// Components of each pod.
const COMPONENTS: usize = 2;
/// Calls of the engine at once.
pub(crate) const AT_ONCE: usize = 8;
/// How often one more pod is started beside so many.
const MORE: usize = 5;
/// How long idle programs are watched.
const IDLE: Duration = Duration::from_secs(10);
/// kB for each pod, and milliseconds to take up a hundred.
const MEMORY: f64 = 150.0;
const ADOPTED: f64 = 5_000.0;

/// How much more each of a hundred may cost than each of ten: what is quadratic costs ten times as much.
const LINEAR: f64 = 1.25;

const HOW_MEMORY: &str = "what the agent's `VmRSS` grew by, and the `Pss` of each pause and sandbox; with its base: all of the \
                          agent's `Pss`; of managers, their `Pss`";

const HOW_IDLE: &str = "over 10 s (1 s with `--quick`), all managers together";
const HOW_START: &str = "from the first creation to the last component's `start` event, divided by the number of pods; eight \
                         creations at once";
const HOW_MORE: &str = "from the creation of a pod to its last component's `start` event, while so many others run; five times, \
                        one after the other";
/// What an agent says of each pod that it finds as it is to be, once it has seen its containers.
const TAKEN_UP: &str = "taken up, running: c0, c1";
const HOW_ADOPTED: &str = "from the agent's start to its word that it has seen the last pod's components and they run; two seconds \
                           later each is still the same process";
const HOW_LINEAR: &str = "each of a hundred, as above, beside each of ten";

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let sizes = if bench.whole() { &SIZES[..] } else { &SIZES[..1] };
    calls(bench).await?;
    let mut all = Vec::new();
    for &pods in sizes {
        let mut seen = Seen::new(pods);
        for run in 0..bench.runs.min(if pods > 10 { 2 } else { 4 }) {
            // Another one first each time.
            if run % 2 == 0 {
                with_agent(bench, pods, &mut seen).await?;
                with_managers(bench, pods, &mut seen).await?;
            } else {
                with_managers(bench, pods, &mut seen).await?;
                with_agent(bench, pods, &mut seen).await?;
            }
        }
        seen.memory.print(if pods == 100 { &[Goal::AtMost(MEMORY)] } else { &[] });
        seen.busy.print(&[]);
        seen.woke.print(&[Goal::AtMost(0.0)]);
        seen.start.print(&[]);
        seen.more.print(&[Goal::Times(1.0, "managers")]);
        seen.worst.print(&[]);
        seen.adopted.print(if pods == 100 { &[Goal::AtMost(ADOPTED)] } else { &[] });
        all.push(seen);
    }
    let [.., ten, hundred] = &all[..] else { return Ok(()) };
    for (what, of, each) in [
        ("memory", (|seen| &seen.memory) as fn(&Seen) -> &Figure, false),
        ("start", |seen| &seen.start, false),
        ("start of one more", |seen| &seen.more, false),
        ("taken up", |seen| &seen.adopted, true),
    ] {
        let (Some(few), Some(many)) = (of(ten).of("agent"), of(hundred).of("agent")) else { continue };
        let mut linear =
            Figure::new("agent", format!("a hundred pods beside ten: {what}, each"), "", HOW_LINEAR);
        // What is of all of them is divided among them.
        linear.add("agent", many / few / if each { 10.0 } else { 1.0 });
        linear.print(&[Goal::AtMost(LINEAR)]);
    }
    Ok(())
}

/// What is looked at.
struct Seen {
    memory: Figure,
    busy: Figure,
    woke: Figure,
    start: Figure,
    more: Figure,
    worst: Figure,
    adopted: Figure,
}

impl Seen {
    fn new(pods: usize) -> Self {
        let figure = |what: &str, unit: &'static str, how: &str| {
            Figure::new("agent", format!("{pods} pods of {COMPONENTS}: {what}"), unit, how)
        };
        Seen {
            memory: figure("memory of each", "kB", HOW_MEMORY).grows("memory of each pod, kB by pods", pods),
            busy: figure("CPU while idle", "ms", HOW_IDLE),
            woke: figure("wake-ups while idle", "", HOW_IDLE),
            start: figure("start, each", "ms", HOW_START)
                .grows("start of many pods, ms of each by pods", pods),
            more: figure("start of one more", "ms", HOW_MORE)
                .grows("start of one more pod, ms by pods", pods),
            worst: figure("start of one more, the slowest", "ms", HOW_MORE),
            adopted: figure("taken up after a crash", "ms", HOW_ADOPTED)
                .grows("pods taken up after a crash, ms by pods", pods),
        }
    }

    /// CPU and context switches of these processes while nothing happens.
    async fn idle(&mut self, way: &str, pids: &[u32], time: Duration) -> Result<()> {
        let (busy, woke) = idle(pids, time).await?;
        self.busy.add(way, busy);
        self.woke.add(way, woke);
        Ok(())
    }

    /// One pod more, and away with it, a few times.
    async fn more(
        &mut self,
        way: &str,
        engine: &Engine,
        begin: impl AsyncFn(&String) -> Result<()>,
        events: &mut UnboundedReceiver<Event>,
        base: &str,
    ) -> Result<()> {
        let mut slowest: f64 = 0.0;
        for number in 0..MORE {
            let name = vec![format!("{base}-more{number}")];
            let took = all_begun(&name, &begin, events).await?;
            self.more.add(way, took);
            slowest = slowest.max(took);
            end(engine, &name).await?;
        }
        self.worst.add(way, slowest);
        Ok(())
    }
}

/// Start an agent: its name, which is its container's too.
async fn agent(engine: &Engine, socket: &Path) -> Result<String> {
    let agent = engine.unique("operator");
    let body = manager(socket, json!({}), &["agent", "--name", &agent]);
    engine.create(&agent, &body).await?;
    engine.start(&agent).await?;
    Ok(agent)
}

/// What a container is made of whose pod this agent runs.
pub(crate) fn bare(agent: &str) -> Value {
    let mut labels = labels(components(Shape { components: COMPONENTS, sandbox: true, chain: false }));
    labels["pod.manager"] = json!(agent);
    json!({
        "Image": PAUSE, "Labels": labels, "Healthcheck": {"Test": ["NONE"]}, "OpenStdin": true,
        "HostConfig": {"ReadonlyRootfs": true, "CapDrop": ["ALL"]},
    })
}

/// The calls of one more pod, from its start to its end, beside those of a manager of its own.
async fn calls(bench: &Bench) -> Result<()> {
    let (engine, how) =
        (&bench.engine, "a proxy before the engine; those for the pod's own container are in neither");
    let mut figure = Figure::new("agent", format!("a pod of {COMPONENTS}: calls of the engine"), "", how);
    let proxy = Proxy::to(bench.socket.clone())?;
    let agent = agent(engine, &proxy.socket()).await?;
    let name = vec![engine.unique("calls")];
    let mut events = engine.events(&name[0]).await?;
    // It looks around when it starts, and twice for what dead pods left.
    sleep(IDLE / 5).await;
    let before = proxy.calls().len();
    engine.start(&engine.create(&name[0], &bare(&agent)).await?).await?;
    heard(&mut events, "start", COMPONENTS).await?;
    end(engine, &name).await?;
    figure.add("agent", (proxy.calls().len() - before) as f64);
    proxy.show(before);
    engine.end(&agent).await?;

    let proxy = Proxy::to(bench.socket.clone())?;
    let shape = Shape { components: COMPONENTS, sandbox: true, chain: false };
    tandem(engine, &proxy.socket(), &name[0], shape).await?;
    heard(&mut events, "start", COMPONENTS).await?;
    end(engine, &name).await?;
    figure.add("managers", proxy.calls().len() as f64);
    figure.add("raw client", least_calls(shape));
    figure.print(&[]);
    Ok(())
}

async fn with_agent(bench: &Bench, pods: usize, seen: &mut Seen) -> Result<()> {
    let engine = &bench.engine;
    let agent = agent(engine, &bench.socket).await?;
    let pid = child(engine.pid(&agent).await?)?;
    sleep(bench.idle(IDLE) / 5).await;
    let empty = resident(pid)?;

    let base = engine.unique("agent");
    let mut events = engine.events(&base).await?;
    let pod = bare(&agent);
    let names: Vec<String> = (0..pods).map(|number| format!("{base}-p{number}")).collect();
    let begin = async |name: &String| -> Result<()> { engine.start(&engine.create(name, &pod).await?).await };
    seen.start.add("agent", all_begun(&names, begin, &mut events).await?);
    sleep(bench.idle(IDLE) / 5).await;
    let pauses = pauses(engine, &names).await?;
    seen.memory.add("agent", ((resident(pid)? - empty) + pauses) / pods as f64);
    seen.memory.add("agent with its base", (share(pid)? + pauses) / pods as f64);
    seen.idle("agent", &[pid], bench.idle(IDLE)).await?;
    seen.more("agent", engine, begin, &mut events, &base).await?;

    let ran_before = first_components(engine, &names).await?;
    engine.call("POST", &format!("/containers/{agent}/kill"), None).await?;
    let began = Instant::now();
    engine.start(&agent).await?;
    while said(engine, &agent, TAKEN_UP).await? < pods {
        if began.elapsed() > LIMIT {
            return Err("the agent does not take up its pods".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    seen.adopted.add("agent", began.elapsed().as_secs_f64() * 1e3);
    // What it would do wrong it would do then.
    sleep(bench.idle(IDLE) / 5).await;
    if first_components(engine, &names).await? != ran_before {
        return Err("a component was started again".into());
    }
    end(engine, &names).await?;
    engine.end(&agent).await
}

async fn with_managers(bench: &Bench, pods: usize, seen: &mut Seen) -> Result<()> {
    let engine = &bench.engine;
    let base = engine.unique("each");
    let mut events = engine.events(&base).await?;
    let shape = Shape { components: COMPONENTS, sandbox: true, chain: false };
    let names: Vec<String> = (0..pods).map(|number| format!("{base}-p{number}")).collect();
    let begin = async |name: &String| tandem(engine, &bench.socket, name, shape).await.map(drop);
    seen.start.add("managers", all_begun(&names, begin, &mut events).await?);
    sleep(bench.idle(IDLE) / 5).await;
    let mut managers = Vec::new();
    for name in &names {
        managers.push(child(engine.pid(name).await?)?);
    }
    let own = managers.iter().map(|manager| share(*manager)).sum::<Result<f64>>()?;
    seen.memory.add("managers", (own + pauses(engine, &names).await?) / pods as f64);
    seen.idle("managers", &managers, bench.idle(IDLE)).await?;
    seen.more("managers", engine, begin, &mut events, &base).await?;
    end(engine, &names).await
}

/// Begin all of these pods: milliseconds for each until the last component has started.
pub(crate) async fn all_begun(
    names: &[String],
    begin: impl AsyncFn(&String) -> Result<()>,
    events: &mut UnboundedReceiver<Event>,
) -> Result<f64> {
    let began = Instant::now();
    let all =
        stream::iter(names).map(async |name| begin(name).await).buffer_unordered(AT_ONCE).try_collect::<()>();
    let (all, started) = tokio::join!(all, heard(events, "start", COMPONENTS * names.len()));
    all?;
    Ok(last(&started?)?.duration_since(began).as_secs_f64() * 1e3 / names.len() as f64)
}

/// The processes of the first component of each.
async fn first_components(engine: &Engine, pods: &[String]) -> Result<Vec<u32>> {
    let pid = async |pod: &String| engine.pid(&format!("{pod}.podlike.c0")).await;
    stream::iter(pods).map(pid).buffered(AT_ONCE).try_collect().await
}

/// kB of what holds the namespaces of these pods.
async fn pauses(engine: &Engine, pods: &[String]) -> Result<f64> {
    let mut sum = 0.0;
    for pod in pods {
        sum += share(engine.pid(pod).await?)? + share(engine.pid(&format!("{pod}.pause")).await?)?;
    }
    Ok(sum)
}

pub(crate) async fn end(engine: &Engine, pods: &[String]) -> Result<()> {
    let gone = async |name: &String| engine.end(name).await;
    stream::iter(pods).map(gone).buffer_unordered(AT_ONCE).try_collect().await
}

/// How often this is in a container's log.
async fn said(engine: &Engine, container: &str, words: &str) -> Result<usize> {
    let path = format!("/containers/{container}/logs?stdout=1&stderr=1");
    let log = engine.send("GET", &path, None).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&log).matches(words).count())
}
