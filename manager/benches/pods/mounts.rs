//! What binds and volumes cost a pod, on a node with few containers and on a node with many. The pod's manager lists the node's
//! containers twice, and creates every container of the pod before it starts one.

use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::engine::{Engine, Result, heard};
use crate::proxy::Proxy;
use crate::start::{runs, timed};
use crate::stats::{Figure, Goal};
use crate::ways::{OWN, Shape, components, labels, manager};
use crate::{Bench, PAUSE};

/// Components of each pod.
const COMPONENTS: usize = 3;
/// Containers that the node has besides; fewer, where it only has to be shown that it runs.
const MANY: usize = 500;
const SOME: usize = 20;
/// How many of them are created or removed at once.
const AT_ONCE: usize = 8;
/// How many times as long a pod with binds may take: beside a pod without mounts, and among many containers beside few.
const BESIDE: f64 = 1.5;
/// The end of a call that lists the node's containers. A listing of the pod's own has a filter.
const LISTING: &str = "/containers/json?all=1";

/// The name of the pod with binds that does not run among many containers.
const ALONE: &str = "alone";

const HOW: &str = "from the request for the pod's own container to the last component's `start` event; each component mounts the \
                   same path or named volume as the pod's own container; all in turn";
const HOW_MANY: &str = "as above; the other containers are created and never started; the pod without them runs in as many turns, \
                        half of these before the others are created and half after they are removed";
const HOW_CALLS: &str =
    "a proxy before the engine, from the pod's start to its end; without those for the pod's own container";
const HOW_LISTINGS: &str = "a proxy before the engine, from the pod's start to its end: the requests that end in \
                            `/containers/json?all=1`";

/// What each component of a pod mounts.
#[derive(Clone, Copy, PartialEq)]
enum Mounts {
    Nothing,
    Bind,
    Volume,
}

impl Mounts {
    const ALL: [Mounts; 3] = [Mounts::Nothing, Mounts::Bind, Mounts::Volume];

    fn words(self) -> &'static str {
        match self {
            Mounts::Nothing => "without mounts",
            Mounts::Bind => "with binds",
            Mounts::Volume => "with volumes",
        }
    }

    /// The name of this side beside a pod with binds.
    fn way(self) -> &'static str {
        if self == Mounts::Bind { "tandem" } else { self.words() }
    }

    /// How often the pod's manager may list the node's containers.
    fn listings(self) -> f64 {
        if self == Mounts::Nothing { 0.0 } else { 2.0 }
    }
}

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let engine = &bench.engine;
    let folder = tempfile::tempdir()?;
    let volume = engine.unique("volume");
    engine.call("POST", "/volumes/create", Some(&json!({"Name": volume, "Labels": marks()}))).await?;
    let pods = Pods { bench, folder: folder.path(), volume: &volume };
    let many = if bench.whole() { MANY } else { SOME };
    let mut seen = Seen::new(many);

    let runs = runs(bench);
    // What changes on the machine meanwhile falls on both.
    let half = runs.div_ceil(2);
    for run in 0..half {
        seen.alone(&pods, run).await?;
    }
    seen.calls_alone(&pods).await?;
    let others = create_others(engine, many).await?;
    for run in 0..runs {
        seen.among_many(&pods, run).await?;
    }
    seen.calls_among_many(&pods).await?;
    remove_others(engine, others).await?;
    for run in half..runs {
        seen.alone(&pods, run).await?;
    }
    engine.call("DELETE", &format!("/volumes/{volume}"), None).await?;

    seen.alone.print(&[Goal::Times(BESIDE, Mounts::Nothing.way())]);
    seen.among_many.print(&[Goal::Times(BESIDE, ALONE)]);
    seen.calls.print(&[]);
    for (mounts, listings) in Mounts::ALL.into_iter().zip(&seen.listings) {
        listings.print(&[Goal::AtMost(mounts.listings())]);
    }
    Ok(())
}

/// What is looked at.
struct Seen {
    /// Starts on the node as it is, and among many containers.
    alone: Figure,
    among_many: Figure,
    calls: Figure,
    /// One figure for each of [`Mounts::ALL`].
    listings: [Figure; 3],
    /// The name of a side among many containers.
    beside: String,
}

impl Seen {
    fn new(many: usize) -> Self {
        let beside = format!("beside {many} containers");
        let figure = |mounts: Mounts, what: &str, unit: &'static str, how: &str| {
            Figure::new("start", format!("pod {} of {COMPONENTS}{what}", mounts.words()), unit, how)
        };
        Seen {
            alone: figure(Mounts::Bind, ": start", "ms", HOW),
            among_many: figure(Mounts::Bind, &format!(" {beside}: start"), "ms", HOW_MANY),
            calls: figure(Mounts::Bind, ": calls of the engine", "", HOW_CALLS),
            listings: Mounts::ALL
                .map(|mounts| figure(mounts, ": listings of the node's containers", "", HOW_LISTINGS)),
            beside,
        }
    }

    async fn alone(&mut self, pods: &Pods<'_>, run: usize) -> Result<()> {
        for turn in 0..Mounts::ALL.len() {
            let mounts = Mounts::ALL[(run + turn) % Mounts::ALL.len()];
            let took = pods.start(mounts).await?;
            self.alone.add(mounts.way(), took);
            if mounts == Mounts::Bind {
                self.among_many.add(ALONE, took);
            }
        }
        Ok(())
    }

    async fn among_many(&mut self, pods: &Pods<'_>, run: usize) -> Result<()> {
        let sides = [Mounts::Nothing, Mounts::Bind];
        for turn in 0..sides.len() {
            let mounts = sides[(run + turn) % sides.len()];
            self.among_many.add(mounts.way(), pods.start(mounts).await?);
        }
        Ok(())
    }

    async fn calls_alone(&mut self, pods: &Pods<'_>) -> Result<()> {
        for (mounts, listings) in Mounts::ALL.into_iter().zip(&mut self.listings) {
            let (calls, listed) = pods.calls(mounts).await?;
            self.calls.add(mounts.way(), calls);
            listings.add("tandem", listed);
        }
        Ok(())
    }

    async fn calls_among_many(&mut self, pods: &Pods<'_>) -> Result<()> {
        for (mounts, listings) in Mounts::ALL.into_iter().zip(&mut self.listings) {
            let (calls, listed) = pods.calls(mounts).await?;
            if mounts == Mounts::Bind {
                self.calls.add(&self.beside, calls);
            }
            listings.add(&self.beside, listed);
        }
        Ok(())
    }
}

/// Pods, and what they mount.
struct Pods<'a> {
    bench: &'a Bench,
    folder: &'a Path,
    volume: &'a str,
}

impl Pods<'_> {
    /// Milliseconds of a start.
    async fn start(&self, mounts: Mounts) -> Result<f64> {
        let engine = &self.bench.engine;
        let name = engine.unique("mounts");
        let (up, down) = (self.up(&self.bench.socket, &name, mounts), engine.end(&name));
        Ok(timed(self.bench, &name, COMPONENTS, up, down).await?.0)
    }

    /// The calls that a pod takes, from its start to its end, and how many of them list the node's containers.
    async fn calls(&self, mounts: Mounts) -> Result<(f64, f64)> {
        let engine = &self.bench.engine;
        let proxy = Proxy::to(self.bench.socket.clone())?;
        let name = engine.unique("calls");
        let mut events = engine.events(&name).await?;
        self.up(&proxy.socket(), &name, mounts).await?;
        heard(&mut events, "start", COMPONENTS).await?;
        engine.end(&name).await?;
        let calls = proxy.calls();
        let listings = calls.iter().filter(|(_, call)| call.ends_with(LISTING)).count();
        Ok((calls.len() as f64, listings as f64))
    }

    async fn up(&self, socket: &Path, name: &str, mounts: Mounts) -> Result<()> {
        let mount = match mounts {
            Mounts::Nothing => None,
            Mounts::Bind => Some(format!("{}:/data", self.folder.display())),
            Mounts::Volume => Some(format!("{}:/data", self.volume)),
        };
        let shape = Shape { components: COMPONENTS, sandbox: false, chain: false };
        let components = components(shape).map(|(component, mut definition)| {
            if let Some(mount) = &mount {
                definition["volumes"] = json!([mount]);
            }
            (component, definition)
        });
        let mut pod = manager(socket, labels(components), &OWN);
        if let Some(binds) = pod["HostConfig"]["Binds"].as_array_mut() {
            binds.extend(mount.map(Value::from));
        }
        let id = self.bench.engine.create(name, &pod).await?;
        self.bench.engine.start(&id).await
    }
}

/// By which what this makes can be found.
fn marks() -> Value {
    json!({"io.tandem.test": "bench"})
}

/// Create so many containers that never start: their ids.
async fn create_others(engine: &Engine, count: usize) -> Result<Vec<String>> {
    let body = json!({"Image": PAUSE, "Labels": marks()});
    let create = async |_: usize| engine.create(&engine.unique("other"), &body).await;
    stream::iter(0..count).map(create).buffer_unordered(AT_ONCE).try_collect().await
}

async fn remove_others(engine: &Engine, others: Vec<String>) -> Result<()> {
    let remove = async |id: String| engine.remove(&id).await;
    stream::iter(others).map(remove).buffer_unordered(AT_ONCE).try_collect().await
}
