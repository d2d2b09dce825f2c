//! From nothing to every component running, and back to nothing.

use std::time::Instant;

use crate::Bench;
use crate::engine::{Result, heard, last};
use crate::mounts;
use crate::proxy::Proxy;
use crate::stats::{Figure, Goal, median};
use crate::ways::{Order, Pace, Raw, Shape, Way};

/// How many components; the first ones, where it only has to be shown that it runs.
const SIZES: [usize; 4] = [1, 3, 10, 30];
/// How many at once the raw client may have under way.
const AT_ONCE: [usize; 5] = [1, 2, 4, 8, 32];
/// How often each way is gone, at least: what takes half a second differs by a tenth.
const AT_LEAST: usize = 7;
/// How often each pace of the raw client is tried, how many of them go on, and how often these are tried then.
const TRIES: usize = 2;
const FINALISTS: usize = 4;
const MORE_TRIES: usize = 5;
/// What Tandem may take beside the raw client.
pub(crate) const BESIDE_RAW: Goal = Goal::Times(1.10, "raw client");

const HOW_UP: &str = "from the request for the pod's own container to the last component's `start` event; each of its own process, \
                      `sleep`, joined to the pod's network, and made when the pod's own container runs; \"without order\": all \
                      created while that one starts, which no manager can that starts with it";
const HOW_DOWN: &str = "from the request to stop until the pod's own container is removed and the last component's `destroy` \
                        event is heard; they end by KILL at once, and the pod's own container last, whose network they have; \
                        \"without order\": it ends beside them";
const HOW_RUN: &str = "from the start of the first program to the last component's `start` event: `docker run -d` of the pod; `up -d`; \
                       `docker run -d` of the bare pause, and then of all components at once";
const HOW_STOP: &str = "until the last program has ended and the last component's `destroy` event is heard: `docker stop` and \
                        `docker rm` of the pod; `down`; `docker stop` of all names at once, and `docker rm`";

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let sizes = if bench.whole() { &SIZES[..] } else { &SIZES[..2] };
    for &components in sizes {
        let shape = Shape { components, sandbox: false, chain: false };
        let best = best(bench, shape).await?;
        let pod = Sides {
            part: "start",
            what: "pod",
            ways: &[Way::Tandem, Way::Raw(best), Way::Unordered(best)],
            goals: &[BESIDE_RAW],
        };
        sides(bench, shape, &pod).await?;
        let ahead = [Goal::Times(1.0, "compose"), Goal::Times(1.0, "docker run")];
        let command = Sides {
            part: "start",
            what: "pod by command",
            ways: &[Way::TandemRun, Way::Compose, Way::Run],
            goals: &ahead,
        };
        sides(bench, shape, &command).await?;
        calls(bench, "start", "pod", shape).await?;
    }
    mounts::measure(bench).await
}

/// How often each way is gone.
pub(crate) fn runs(bench: &Bench) -> usize {
    if bench.whole() { bench.runs.max(AT_LEAST) } else { 1 }
}

/// What is measured side by side.
pub(crate) struct Sides<'a> {
    pub(crate) part: &'static str,
    pub(crate) what: &'static str,
    pub(crate) ways: &'a [Way],
    pub(crate) goals: &'a [Goal],
}

/// Up and down, each way in turn, again and again, another one first each time.
pub(crate) async fn sides(bench: &Bench, shape: Shape, sides: &Sides<'_>) -> Result<()> {
    let (Sides { part, what, ways, goals }, count) = (sides, shape.components);
    let raw = ways.iter().find_map(|way| if let Way::Raw(raw) = way { Some(*raw) } else { None });
    let how = |api: &str, command: &str, down: bool| match raw {
        None => command.to_owned(),
        // With one there is nothing to choose.
        Some(_) if count == 1 => api.to_owned(),
        Some(raw) => {
            let pace = if down { raw.down } else { raw.up };
            format!("{api}; the raw client {}", pace.words(shape.chain, down))
        }
    };
    let figure = |what: String, how: String| Figure::new(part, what, "ms", how);
    let mut up = figure(format!("{what} of {count}: start"), how(HOW_UP, HOW_RUN, false))
        .grows(format!("start of a {what}, ms by components"), count);
    let mut down = figure(format!("{what} of {count}: stop"), how(HOW_DOWN, HOW_STOP, true))
        .grows(format!("stop of a {what}, ms by components"), count);
    for run in 0..runs(bench) {
        for turn in 0..ways.len() {
            let way = ways[(run + turn) % ways.len()];
            let (began, ended) = once(bench, shape, way).await?;
            up.add(&way.name(), began);
            down.add(&way.name(), ended);
        }
    }
    up.print(goals);
    down.print(goals);
    Ok(())
}

/// Milliseconds for up, and for down.
async fn once(bench: &Bench, shape: Shape, way: Way) -> Result<(f64, f64)> {
    let name = bench.engine.unique("pod");
    let (up, down) = (way.up(bench, &bench.socket, &name, shape), way.down(bench, &name, shape));
    timed(bench, &name, shape.components, up, down).await
}

/// Milliseconds until so many components of this name have started, and until nothing of it is left.
pub(crate) async fn timed(
    bench: &Bench,
    name: &str,
    components: usize,
    up: impl Future<Output = Result<()>>,
    down: impl Future<Output = Result<()>>,
) -> Result<(f64, f64)> {
    let mut events = bench.engine.events(name).await?;
    let began = Instant::now();
    let (up, all) = tokio::join!(up, heard(&mut events, "start", components));
    up?;
    let up = last(&all?)?.duration_since(began);
    let began = Instant::now();
    down.await?;
    let removed = Instant::now();
    let gone = last(&heard(&mut events, "destroy", components).await?)?;
    let down = removed.max(gone).duration_since(began);
    Ok((up.as_secs_f64() * 1e3, down.as_secs_f64() * 1e3))
}

/// How the raw client is fastest with this engine, up and down.
pub(crate) async fn best(bench: &Bench, shape: Shape) -> Result<Raw> {
    let count = shape.components;
    if !bench.whole() || count == 1 {
        let pace = Pace { at_once: count, order: Order::Apart };
        return Ok(Raw { up: pace, down: pace });
    }
    // In a chain the second call of one is never before that of another.
    let orders: &[Order] = if shape.chain {
        &[Order::Apart, Order::Phased]
    } else {
        &[Order::OneGo, Order::Apart, Order::Phased]
    };
    let at_once = AT_ONCE.into_iter().filter(|at_once| *at_once < 2 * count);
    let paces: Vec<Pace> =
        at_once.flat_map(|at_once| orders.iter().map(move |order| Pace { at_once, order: *order })).collect();
    let mut took = vec![(Vec::new(), Vec::new()); paces.len()];
    let mut tried: Vec<usize> = (0..paces.len()).collect();
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for tries in [TRIES, MORE_TRIES] {
        for _ in 0..tries {
            for &pace in &tried {
                let raw = Raw { up: paces[pace], down: paces[pace] };
                let took_now = once(bench, shape, Way::Raw(raw)).await?;
                took[pace].0.push(took_now.0);
                took[pace].1.push(took_now.1);
            }
        }
        // What was lucky is not the best: those that were soon up or down are tried again.
        up = ranked(&tried, |pace| median(&took[pace].0));
        down = ranked(&tried, |pace| median(&took[pace].1));
        tried = [&up[..], &down].concat();
        tried.sort_unstable();
        tried.dedup();
    }
    let best = Raw { up: paces[up[0]], down: paces[down[0]] };
    eprintln!("    {count} components, the raw client's start and stop:");
    for (pace, took) in paces.iter().zip(&took) {
        let (up, down) = (median(&took.0), median(&took.1));
        eprintln!("      {:?}, {} at once: {up:.0} and {down:.0} ms", pace.order, pace.at_once);
    }
    Ok(best)
}

/// Those of them that took least, the best first.
fn ranked(tried: &[usize], took: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut ranked = tried.to_vec();
    ranked.sort_by(|one, other| took(*one).total_cmp(&took(*other)));
    ranked.truncate(FINALISTS / 2);
    ranked
}

/// The fewest calls that components of this shape take.
pub(crate) fn least_calls(shape: Shape) -> f64 {
    (4 * shape.components + if shape.sandbox { 3 } else { 0 }) as f64
}

/// The calls that a pod takes, from its start to its end, beside the fewest that there can be.
pub(crate) async fn calls(bench: &Bench, part: &'static str, what: &str, shape: Shape) -> Result<()> {
    let proxy = Proxy::to(bench.socket.clone())?;
    let name = bench.engine.unique("calls");
    let mut events = bench.engine.events(&name).await?;
    Way::Tandem.up(bench, &proxy.socket(), &name, shape).await?;
    heard(&mut events, "start", shape.components).await?;
    Way::Tandem.down(bench, &name, shape).await?;
    let calls = proxy.calls();
    let how = "a proxy before the engine; the raw client's are create, start, stop and remove of each component, and of the \
               sandbox but for the stop; those that make and end the pod's own container are in neither";
    let mut figure =
        Figure::new(part, format!("{what} of {}: calls of the engine", shape.components), "", how)
            .grows(format!("calls of the engine for a {what}, by components"), shape.components);
    figure.add("tandem", calls.len() as f64);
    figure.add("raw client", least_calls(shape));
    figure.print(&[]);
    if shape.components == 1 && !shape.chain {
        proxy.show(0);
    }
    Ok(())
}
