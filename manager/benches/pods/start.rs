//! From nothing to every component running, and back to nothing.

use std::time::Instant;

use crate::Bench;
use crate::engine::{Result, heard, last};
use crate::proxy::Proxy;
use crate::stats::{Figure, Goal, median};
use crate::ways::{Shape, Way};

/// How many components; the first ones, where it only has to be shown that it runs.
const SIZES: [usize; 4] = [1, 3, 10, 30];
/// How many at once the raw client may have under way.
const AT_ONCE: [usize; 5] = [1, 2, 4, 8, 32];
/// What Tandem may take beside the raw client.
pub(crate) const TIMES: f64 = 1.10;

const HOW_UP: &str = "from the creation of the pod's own container to the last component's `start` event; each of its own \
                      process, `sleep`, joined to the pod's network";
const HOW_DOWN: &str = "from the request to stop until the pod's own container is removed, the components before it; they \
                        end by KILL at once";

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let sizes = if bench.whole() { &SIZES[..] } else { &SIZES[..2] };
    for &components in sizes {
        let shape = Shape { components, sandbox: false, chain: false };
        let best = best(bench, shape).await?;
        sides(bench, shape, &[Way::Tandem, Way::Raw(best), Way::Compose, Way::Run], "pod").await?;
        calls(bench, shape).await?;
    }
    Ok(())
}

/// Up and down, each way in turn, again and again.
pub(crate) async fn sides(bench: &Bench, shape: Shape, ways: &[Way], what: &str) -> Result<()> {
    let count = shape.components;
    let mut up = Figure::new("start", format!("{what} of {count}: start"), "ms", HOW_UP);
    let mut down = Figure::new("start", format!("{what} of {count}: stop"), "ms", HOW_DOWN);
    if !shape.sandbox {
        up = up.grows("start of a pod, ms by components", count);
        down = down.grows("stop of a pod, ms by components", count);
    }
    for _ in 0..bench.runs {
        for way in ways {
            let (began, ended) = once(bench, shape, *way).await?;
            up.add(&way.name(), began);
            down.add(&way.name(), ended);
        }
    }
    for figure in [up, down] {
        figure.print(&Goal::Times(TIMES, "raw client"));
    }
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
    let down = began.elapsed();
    heard(&mut events, "destroy", shape.components).await?;
    Ok((up.as_secs_f64() * 1e3, down.as_secs_f64() * 1e3))
}

/// How many at once the engine takes best.
async fn best(bench: &Bench, shape: Shape) -> Result<usize> {
    if !bench.whole() || shape.components == 1 {
        return Ok(shape.components);
    }
    let choice: Vec<usize> =
        AT_ONCE.into_iter().filter(|at_once| *at_once <= shape.components.max(2)).collect();
    let mut took = vec![Vec::new(); choice.len()];
    for _ in 0..bench.runs.div_ceil(2) {
        for (at_once, took) in choice.iter().zip(&mut took) {
            took.push(once(bench, shape, Way::Raw(*at_once)).await?.0);
        }
    }
    let medians: Vec<f64> = took.iter().map(|took| median(took)).collect();
    let best = (0..choice.len()).min_by(|one, other| medians[*one].total_cmp(&medians[*other])).unwrap_or(0);
    let said: Vec<String> =
        choice.iter().zip(&medians).map(|(at, took)| format!("{at}: {took:.0} ms")).collect();
    eprintln!("    raw client, {} components, so many at once: {}", shape.components, said.join(", "));
    Ok(choice[best])
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
    figure.print(&Goal::None);
    if shape.components == 1 {
        for (_, call) in &calls {
            let call = call.split('?').next().unwrap_or_default();
            let words: Vec<&str> = call.split('/').map(|word| word.get(..12).unwrap_or(word)).collect();
            eprintln!("      {}", words.join("/"));
        }
    }
    Ok(())
}
