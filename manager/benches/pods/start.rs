//! From nothing to every component running, and back to nothing.

use std::time::Instant;

use crate::Bench;
use crate::engine::{Result, heard, last};
use crate::proxy::Proxy;
use crate::stats::{Figure, Goal, median};
use crate::ways::{Pace, Raw, Shape, Way};

/// How many components; the first ones, where it only has to be shown that it runs.
const SIZES: [usize; 4] = [1, 3, 10, 30];
/// How many at once the raw client may have under way.
const AT_ONCE: [usize; 5] = [1, 2, 4, 8, 32];
/// What Tandem may take beside the raw client.
pub(crate) const TIMES: f64 = 1.10;

const HOW_UP: &str = "from the creation of the pod's own container to the last component's `start` event; each of its own \
                      process, `sleep`, joined to the pod's network";
const HOW_DOWN: &str = "from the request to stop until the pod's own container is removed and the last component's `destroy` \
                        event is heard; they end by KILL at once";

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let sizes = if bench.whole() { &SIZES[..] } else { &SIZES[..2] };
    for &components in sizes {
        let shape = Shape { components, sandbox: false, chain: false };
        let best = best(bench, shape).await?;
        let others = ["compose", "docker run"];
        sides(bench, shape, &[Way::Tandem, Way::Raw(best), Way::Compose, Way::Run], &others, "pod").await?;
        calls(bench, shape).await?;
    }
    Ok(())
}

/// Up and down, each way in turn, again and again, another one first each time; Tandem is to be ahead of `others`.
pub(crate) async fn sides(
    bench: &Bench,
    shape: Shape,
    ways: &[Way],
    others: &[&'static str],
    what: &str,
) -> Result<()> {
    let count = shape.components;
    let raw = ways.iter().find_map(|way| if let Way::Raw(raw) = way { Some(*raw) } else { None });
    let how = |how: &str, down: bool| match raw {
        // With one there is nothing to choose.
        Some(raw) if count > 1 => {
            let pace = if down { raw.down } else { raw.up };
            format!("{how}; the raw client {}", pace.words(shape.chain, down))
        }
        _ => how.to_owned(),
    };
    let mut up = Figure::new("start", format!("{what} of {count}: start"), "ms", how(HOW_UP, false));
    let mut down = Figure::new("start", format!("{what} of {count}: stop"), "ms", how(HOW_DOWN, true));
    if !shape.sandbox {
        up = up.grows("start of a pod, ms by components", count);
        down = down.grows("stop of a pod, ms by components", count);
    }
    for run in 0..bench.runs {
        for turn in 0..ways.len() {
            let way = ways[(run + turn) % ways.len()];
            let (began, ended) = once(bench, shape, way).await?;
            up.add(&way.name(), began);
            down.add(&way.name(), ended);
        }
    }
    let raw = [Goal::Times(TIMES, "raw client")];
    let goals: Vec<Goal> =
        raw.into_iter().chain(others.iter().map(|other| Goal::Times(1.0, other))).collect();
    up.print(&goals);
    down.print(&goals);
    Ok(())
}

/// Milliseconds for up, and for down.
async fn once(bench: &Bench, shape: Shape, way: Way) -> Result<(f64, f64)> {
    let name = bench.engine.unique("pod");
    let mut events = bench.engine.events(&name).await?;
    let began = Instant::now();
    let (up, all) = tokio::join!(
        way.up(bench, &bench.socket, &name, shape),
        heard(&mut events, "start", shape.components)
    );
    up?;
    let up = last(&all?)?.duration_since(began);
    let began = Instant::now();
    way.down(bench, &name, shape).await?;
    let removed = Instant::now();
    let gone = last(&heard(&mut events, "destroy", shape.components).await?)?;
    let down = removed.max(gone).duration_since(began);
    Ok((up.as_secs_f64() * 1e3, down.as_secs_f64() * 1e3))
}

/// How the raw client is fastest with this engine, up and down.
pub(crate) async fn best(bench: &Bench, shape: Shape) -> Result<Raw> {
    let count = shape.components;
    if !bench.whole() || count == 1 {
        let pace = Pace { at_once: count, phased: false };
        return Ok(Raw { up: pace, down: pace });
    }
    let mut paces: Vec<Pace> = Vec::new();
    for at_once in AT_ONCE.into_iter().filter(|at_once| *at_once < 2 * count) {
        paces.extend([false, true].map(|phased| Pace { at_once, phased }));
    }
    let mut took = vec![(Vec::new(), Vec::new()); paces.len()];
    for _ in 0..bench.runs.div_ceil(2) {
        for (pace, took) in paces.iter().zip(&mut took) {
            let (up, down) = once(bench, shape, Way::Raw(Raw { up: *pace, down: *pace })).await?;
            took.0.push(up);
            took.1.push(down);
        }
    }
    let least = |of: &dyn Fn(usize) -> f64| {
        let numbers = 0..paces.len();
        numbers.min_by(|one, other| of(*one).total_cmp(&of(*other))).map_or(paces[0], |found| paces[found])
    };
    let best = Raw { up: least(&|pace| median(&took[pace].0)), down: least(&|pace| median(&took[pace].1)) };
    eprintln!("    {count} components, the raw client's start and stop:");
    for (pace, took) in paces.iter().zip(&took) {
        let (up, down) = (median(&took.0), median(&took.1));
        eprintln!("      {}, phased {}: {up:.0} and {down:.0} ms", pace.at_once, pace.phased);
    }
    Ok(best)
}

/// The calls that a pod takes, from its start to its end, beside the fewest that there can be.
async fn calls(bench: &Bench, shape: Shape) -> Result<()> {
    let proxy = Proxy::to(bench.socket.clone())?;
    let name = bench.engine.unique("calls");
    let mut events = bench.engine.events(&name).await?;
    Way::Tandem.up(bench, &proxy.socket(), &name, shape).await?;
    heard(&mut events, "start", shape.components).await?;
    Way::Tandem.down(bench, &name, shape).await?;
    let calls = proxy.calls();
    let mut figure = Figure::new(
        "start",
        format!("pod of {}: calls of the engine", shape.components),
        "",
        "a proxy before the engine; the raw client's are create, start, stop and remove of each component",
    );
    figure.add("tandem", calls.len() as f64);
    figure.add("raw client", 4.0 * shape.components as f64);
    figure.print(&[]);
    if shape.components == 1 {
        for (_, call) in &calls {
            let call = call.split('?').next().unwrap_or_default();
            let words: Vec<&str> = call.split('/').map(|word| word.get(..12).unwrap_or(word)).collect();
            eprintln!("      {}", words.join("/"));
        }
    }
    Ok(())
}
