//! Many pods of one node: one agent for all, beside a manager in each.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use crate::engine::{Engine, Event, LIMIT, Result, heard, last};
use crate::process::{child, ran, resident, share};
use crate::stats::{Figure, Goal};
use crate::ways::{Shape, components, labels, manager, tandem};
use crate::{Bench, PAUSE};

const SIZES: [usize; 3] = [1, 10, 100];
/// Components of each pod.
const COMPONENTS: usize = 2;
/// Calls of the engine at once.
const AT_ONCE: usize = 8;
/// How long idle programs are watched.
const IDLE: Duration = Duration::from_secs(10);
/// kB for each pod, and milliseconds to take up a hundred.
const MEMORY: f64 = 150.0;
const ADOPTED: f64 = 5_000.0;

const HOW_MEMORY: &str = "what the agent's `VmRSS` grew by, and the `Pss` of each pause and sandbox; with its base: all of the \
                          agent's `Pss`; of managers, their `Pss`";

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let sizes = if bench.whole() { &SIZES[..] } else { &SIZES[..1] };
    for &pods in sizes {
        let figure = |what: &str, unit: &'static str, how: &'static str| {
            Figure::new("agent", format!("{pods} pods of {COMPONENTS}: {what}"), unit, how)
        };
        let mut memory =
            figure("memory of each", "kB", HOW_MEMORY).grows("memory of each pod, kB by pods", pods);
        let mut busy = figure("CPU while idle", "ms", "over 10 s, all managers together");
        let mut start = figure(
            "start, each",
            "ms",
            "from the first creation to the last component's `start` event, divided by the number of pods; eight creations at \
             once",
        );
        let mut adopted =
            figure("taken up after a crash", "ms", "from the agent's start to its word on the last pod");
        for _ in 0..bench.runs.min(if pods > 10 { 1 } else { 3 }) {
            with_agent(bench, pods, (&mut memory, &mut busy, &mut start, &mut adopted)).await?;
            with_managers(bench, pods, (&mut memory, &mut busy, &mut start)).await?;
        }
        memory.print(if pods == 100 { &[Goal::AtMost(MEMORY)] } else { &[] });
        busy.print(&[]);
        start.print(&[]);
        adopted.print(if pods == 100 { &[Goal::AtMost(ADOPTED)] } else { &[] });
    }
    Ok(())
}

type Figures<'a> = (&'a mut Figure, &'a mut Figure, &'a mut Figure, &'a mut Figure);

async fn with_agent(bench: &Bench, pods: usize, to: Figures<'_>) -> Result<()> {
    let (memory, busy, start, adopted) = to;
    let engine = &bench.engine;
    let agent = engine.unique("operator");
    let body = manager(&bench.socket, json!({}), &["agent", "--name", &agent]);
    engine.create(&agent, &body).await?;
    engine.start(&agent).await?;
    let pid = child(engine.pid(&agent).await?)?;
    sleep(IDLE / 5).await;
    let empty = resident(pid)?;

    let base = engine.unique("agent");
    let mut events = engine.events(&base).await?;
    let mut labels = labels(components(Shape { components: COMPONENTS, sandbox: true, chain: false }));
    labels["pod.manager"] = json!(agent);
    let pod = json!({
        "Image": PAUSE, "Labels": labels, "Healthcheck": {"Test": ["NONE"]}, "OpenStdin": true,
        "HostConfig": {"ReadonlyRootfs": true, "CapDrop": ["ALL"]},
    });
    let names: Vec<String> = (0..pods).map(|number| format!("{base}-p{number}")).collect();
    let begin = async |name: &String| -> Result<()> { engine.start(&engine.create(name, &pod).await?).await };
    start.add("agent", all_begun(&names, begin, &mut events).await?);
    sleep(IDLE / 5).await;
    let pauses = pauses(engine, &names).await?;
    memory.add("agent", ((resident(pid)? - empty) + pauses) / pods as f64);
    memory.add("agent, its base too", (share(pid)? + pauses) / pods as f64);
    let before = ran(pid)?;
    sleep(IDLE).await;
    busy.add("agent", (ran(pid)? - before) / 1e6);

    let ran_before = first_components(engine, &names).await?;
    engine.call("POST", &format!("/containers/{agent}/kill"), None).await?;
    let began = Instant::now();
    engine.start(&agent).await?;
    while said(engine, &agent, "the pod of `").await? < 2 * pods {
        if began.elapsed() > LIMIT {
            return Err("the agent does not take up its pods".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
    adopted.add("agent", began.elapsed().as_secs_f64() * 1e3);
    if first_components(engine, &names).await? != ran_before {
        return Err("a component was started again".into());
    }
    end(engine, &names).await?;
    engine.end(&agent).await
}

async fn with_managers(
    bench: &Bench,
    pods: usize,
    to: (&mut Figure, &mut Figure, &mut Figure),
) -> Result<()> {
    let (memory, busy, start) = to;
    let engine = &bench.engine;
    let base = engine.unique("each");
    let mut events = engine.events(&base).await?;
    let shape = Shape { components: COMPONENTS, sandbox: true, chain: false };
    let names: Vec<String> = (0..pods).map(|number| format!("{base}-p{number}")).collect();
    let begin = async |name: &String| tandem(engine, &bench.socket, name, shape).await.map(drop);
    start.add("managers", all_begun(&names, begin, &mut events).await?);
    sleep(IDLE / 5).await;
    let mut managers = Vec::new();
    for name in &names {
        managers.push(child(engine.pid(name).await?)?);
    }
    let own = managers.iter().map(|manager| share(*manager)).sum::<Result<f64>>()?;
    memory.add("managers", (own + pauses(engine, &names).await?) / pods as f64);
    let sum = || managers.iter().map(|manager| ran(*manager)).sum::<Result<f64>>();
    let before = sum()?;
    sleep(IDLE).await;
    busy.add("managers", (sum()? - before) / 1e6);
    end(engine, &names).await
}

/// Begin all of these pods: milliseconds for each until the last component has started.
async fn all_begun(
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

async fn end(engine: &Engine, pods: &[String]) -> Result<()> {
    let gone = async |name: &String| engine.end(name).await;
    stream::iter(pods).map(gone).buffer_unordered(AT_ONCE).try_collect().await
}

/// How often this is in a container's log.
async fn said(engine: &Engine, container: &str, words: &str) -> Result<usize> {
    let path = format!("/containers/{container}/logs?stdout=1&stderr=1");
    let log = engine.send("GET", &path, None).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&log).matches(words).count())
}
