//! Components that wait for each other, and pods that share PIDs and IPC.

use std::path::Path;
use std::time::UNIX_EPOCH;

use serde_json::json;
use tokio::time::timeout;

use crate::Bench;
use crate::engine::{LIMIT, Result};
use crate::proxy::Proxy;
use crate::start::{BESIDE_RAW, Sides, best, calls, sides};
use crate::stats::{Figure, Goal};
use crate::ways::{Shape, Way, idle, labels, manager};

/// How long from a dependency's event to the start of what waited for it, milliseconds.
const REACTION: f64 = 50.0;
const SIZES: [usize; 3] = [1, 5, 10];

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let sizes = if bench.whole() { &SIZES[..] } else { &SIZES[..1] };
    for &components in sizes {
        let shape = Shape { components, sandbox: true, chain: false };
        for (what, shape) in
            [("pod with sandbox", shape), ("chain with sandbox", Shape { chain: true, ..shape })]
        {
            let raw = best(bench, shape).await?;
            let ways: &[Way] = match shape.chain {
                true => &[Way::Tandem, Way::Raw(raw)],
                false => &[Way::Tandem, Way::Raw(raw), Way::Unordered(raw)],
            };
            sides(bench, shape, &Sides { part: "chain", what, ways, goals: &[BESIDE_RAW] }).await?;
            calls(bench, "chain", what, shape).await?;
        }
    }
    let mut figure = Figure::new(
        "chain",
        "a healthy dependency is acted on".to_owned(),
        "ms",
        "from the engine's event, by its own time, to the request that starts what waited for it, seen by a proxy on the same \
         machine",
    );
    for _ in 0..bench.runs {
        figure.add("tandem", reaction(bench).await?);
    }
    figure.print(&[Goal::AtMost(REACTION)]);
    Ok(())
}

/// Milliseconds from the event that one is healthy to the call that starts the next.
async fn reaction(bench: &Bench) -> Result<f64> {
    let proxy = Proxy::to(bench.socket.clone())?;
    let name = bench.engine.unique("healthy");
    let mut events = bench.engine.events(&name).await?;
    healthy(bench, &proxy.socket(), &name).await?;
    let (mut at, mut next) = (None, String::new());
    loop {
        let event = timeout(LIMIT, events.recv()).await?.ok_or("the events ended")?;
        let is = |component: &str| event.name.ends_with(component);
        match event.action.as_str() {
            "create" if is(".c1") => next = event.id,
            "health_status: healthy" if is(".c0") => at = Some(event.nanos),
            "start" if is(".c1") => break,
            _ => {}
        }
    }
    let at = at.ok_or("it was started before its dependency was healthy")?;
    let calls = proxy.calls();
    let wanted = format!("/containers/{next}/start");
    let call = calls.iter().find(|(_, call)| call.ends_with(&wanted)).ok_or("nothing asked for the start")?;
    bench.engine.end(&name).await?;
    let asked = call.0.duration_since(UNIX_EPOCH)?.as_nanos();
    let took = asked.checked_sub(at).ok_or("it was asked for before its dependency was healthy")?;
    Ok(took as f64 / 1e6)
}

async fn healthy(bench: &Bench, socket: &Path, name: &str) -> Result<()> {
    let check = json!({"test": ["CMD", "true"], "interval": "1s", "timeout": "5s", "retries": 3});
    let (mut first, mut second) = (idle(), idle());
    first["healthcheck"] = check;
    second["depends_on"] = json!({"c0": {"condition": "service_healthy"}});
    let labels = labels([("c0".to_owned(), first), ("c1".to_owned(), second)]);
    let id = bench.engine.create(name, &manager(socket, labels, &[])).await?;
    bench.engine.start(&id).await
}
