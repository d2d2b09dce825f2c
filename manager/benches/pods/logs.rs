//! Output of components on its way to whoever reads it.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::Bench;
use crate::engine::{Event, Result, heard};
use crate::process::{child, named, ran, resident, tree};
use crate::stats::{Figure, Goal};
use crate::ways::{docker, idle, labels, manager, tool};

/// Bytes of a line, and of all components together.
const LINES: [(usize, usize); 3] = [(20, 1 << 20), (100, 16 << 20), (10_000, 64 << 20)];
const SIZES: [usize; 3] = [1, 4, 16];
/// Who reads.
const READERS: [&str; 4] = ["tandem", "attached", "docker logs", "compose"];
/// The last line of each.
const END: &[u8] = b"END\n";
/// Compose takes a second until it reads.
const READING: Duration = Duration::from_secs(2);
/// How long each may take.
const SETTLE: Duration = Duration::from_secs(120);

const HOW: &str = "from the file that lets components write until the last line of the last one is read, by `docker logs -f` of the pod, \
                   of each component, and `compose logs -f`; attached: by the bench itself, at a pod of Tandem whose output nobody keeps";
/// What grows with volume would show in what one has of this and not of that, in bytes.
const VOLUMES: [usize; 2] = [16 << 20, 128 << 20];
/// kB that so much more may leave behind.
const FLAT: f64 = 100.0;
/// How many times as long reading may take beside one who does not read.
const BESIDE_STUCK: f64 = 1.5;

const HOW_CPU: &str = "of the manager and `docker logs -f` (attached: of the manager); of `docker logs -f`, one for each component; of \
                       compose, all its processes";
const HOW_ENGINE: &str = "of dockerd, containerd and its shims meanwhile";

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let (sizes, lines) = if bench.whole() { (&SIZES[..], &LINES[..]) } else { (&SIZES[..1], &LINES[1..2]) };
    for &components in sizes {
        for &(line, bytes) in lines {
            cell(bench, components, line, bytes).await?;
        }
    }
    if bench.whole() {
        flat(bench).await?;
    }
    unread(bench).await
}

/// Does memory grow with volume?
async fn flat(bench: &Bench) -> Result<()> {
    let how = "`VmRSS` of the manager after that of 128 MB, less that after 16 MB, four components, lines of 100 bytes";
    let mut more = Figure::new("logs", "memory that 112 MB more leave behind".to_owned(), "kB", how);
    for _ in 0..bench.runs {
        let [few, many] = VOLUMES;
        let few = attached(bench, 4, 100, few).await?.grown;
        more.add("tandem", attached(bench, 4, 100, many).await?.grown - few);
    }
    more.print(&[Goal::AtMost(FLAT)]);
    Ok(())
}

/// Somebody who follows the pod's log and does not read, beside somebody who does.
async fn unread(bench: &Bench) -> Result<()> {
    let how = "by `docker logs -f` of a pod of four, 16 MB in lines of 100 bytes; beside another one whose output nobody reads";
    let mut wall =
        Figure::new("logs", "until the last line, beside a reader who is stuck".to_owned(), "ms", how);
    for _ in 0..bench.runs {
        for (way, stuck) in [("tandem", true), ("alone", false)] {
            let read = by_docker_logs(bench, 4, 100, 16 << 20, stuck).await?;
            wall.add(way, read.wall.as_secs_f64() * 1e3);
        }
    }
    wall.print(&[Goal::Times(BESIDE_STUCK, "alone")]);
    Ok(())
}

async fn cell(bench: &Bench, components: usize, line: usize, bytes: usize) -> Result<()> {
    let figure = |what: &str, unit: &'static str, how: &'static str| {
        let lines = format!("logs of {components}, lines of {line} bytes, {} MB: {what}", bytes >> 20);
        Figure::new("logs", lines, unit, how)
    };
    let grows = |what: &str| format!("{what} of {} MB in lines of {line} bytes, by components", bytes >> 20);
    let mut wall = figure("until the last line", "ms", HOW).grows(grows("the last line, ms,"), components);
    let mut cpu = figure("CPU for a GB", "s", HOW_CPU).grows(grows("CPU, s for a GB,"), components);
    let mut engine = figure("CPU of the engine for a GB", "s", HOW_ENGINE);
    let mut memory =
        figure("memory that came with it", "kB", "`VmRSS` of the manager after it, and before it");
    let gigabytes = bytes as f64 / 1e9;
    for run in 0..bench.runs.min(3) {
        for turn in 0..READERS.len() {
            let way = READERS[(run + turn) % READERS.len()];
            let read = match way {
                "tandem" => by_docker_logs(bench, components, line, bytes, false).await?,
                "attached" => attached(bench, components, line, bytes).await?,
                _ => others(bench, way, components, line, bytes).await?,
            };
            wall.add(way, read.wall.as_secs_f64() * 1e3);
            cpu.add(way, read.cpu / 1e9 / gigabytes);
            engine.add(way, read.engine / 1e9 / gigabytes);
            if way == "tandem" {
                memory.add(way, read.grown);
            }
        }
    }
    wall.print(&[Goal::Times(1.0, "docker logs"), Goal::Times(1.0, "compose")]);
    cpu.print(&[Goal::Times(0.5, "compose")]);
    engine.print(&[]);
    memory.print(&[]);
    Ok(())
}

/// What reading took.
struct Reading {
    wall: Duration,
    /// Nanoseconds.
    cpu: f64,
    /// The same of the engine.
    engine: f64,
    /// kB.
    grown: f64,
}

/// What each component runs: it waits for a file, writes, and stays.
fn script(line: usize, bytes: usize) -> String {
    let text = "x".repeat(line - 1);
    format!(
        "while [ ! -e /go/go ]; do sleep 0.05; done; yes {text} | head -c {}; echo END; exec sleep 1000000",
        bytes / line * line
    )
}

/// One file that takes all: where an engine's default is to begin another one, `docker logs -f` misses what comes then
/// (20.10).
fn log_options() -> Value {
    json!({"max-size": "1g", "max-file": "1"})
}

/// Components that write so much together once the file is there, as Tandem and Compose read them.
fn components_that_write(
    components: usize,
    line: usize,
    bytes: usize,
    go: &Path,
) -> impl Iterator<Item = (String, Value)> {
    let (script, mount) = (script(line, bytes / components), format!("{}:/go:ro", go.display()));
    (0..components).map(move |number| {
        let mut component = idle();
        component["command"] = json!(["sh", "-c", script]);
        component["volumes"] = json!([mount]);
        component["logging"] = json!({"driver": "json-file", "options": log_options()});
        (format!("c{number}"), component)
    })
}

/// A pod whose components wait for a file. `kept`: its output is, in the engine's usual way.
async fn waiting(
    bench: &Bench,
    components: usize,
    line: usize,
    bytes: usize,
    go: &Path,
    kept: bool,
) -> Result<(String, UnboundedReceiver<Event>)> {
    let engine = &bench.engine;
    let name = engine.unique("logs");
    let writers = components_that_write(components, line, bytes, go);
    let typed = format!("--allow=host-paths={}:ro", go.display());
    let command = ["--logs", "--pids=false", "--ipc=false", &typed];
    let mut body = manager(&bench.socket, labels(writers), &command);
    body["HostConfig"]["LogConfig"] = match kept {
        true => json!({"Type": "json-file", "Config": log_options()}),
        false => json!({"Type": "none"}),
    };
    let events = engine.events(&name).await?;
    Ok((engine.create(&name, &body).await?, events))
}

/// Let them write, and wait for the last line of each.
async fn written(
    pids: &[u32],
    manager: u32,
    go: &Path,
    ends: &mut UnboundedReceiver<Instant>,
    components: usize,
) -> Result<Reading> {
    let sum = || pids.iter().map(|pid| ran(*pid)).sum::<Result<f64>>();
    let (before, engine_before, held) = (sum()?, engine_ran(), resident(manager)?);
    let began = Instant::now();
    std::fs::write(go.join("go"), "")?;
    let ended = all_ends(ends, components).await?;
    Ok(Reading {
        wall: ended.duration_since(began),
        cpu: sum()? - before,
        engine: engine_ran() - engine_before,
        grown: resident(manager)? - held,
    })
}

async fn attached(bench: &Bench, components: usize, line: usize, bytes: usize) -> Result<Reading> {
    let (engine, go) = (&bench.engine, tempfile::tempdir()?);
    let (id, mut events) = waiting(bench, components, line, bytes, go.path(), false).await?;
    let path = format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1");
    let mut output = engine.send("POST", &path, None).await?.into_body();
    let (to, mut ends) = unbounded_channel();
    tokio::spawn(async move {
        let mut counter = Counter::default();
        while let Some(Ok(frame)) = output.frame().await {
            counter.take(frame.data_ref().map_or(&[][..], |data| data), &to);
        }
    });
    engine.start(&id).await?;
    heard(&mut events, "start", components).await?;
    let manager = child(engine.pid(&id).await?)?;
    let reading = written(&[manager], manager, go.path(), &mut ends, components).await?;
    engine.end(&id).await?;
    Ok(reading)
}

/// As users read: `docker logs -f` of the pod; `stuck`: beside one who does not read.
async fn by_docker_logs(
    bench: &Bench,
    components: usize,
    line: usize,
    bytes: usize,
    stuck: bool,
) -> Result<Reading> {
    let (engine, go) = (&bench.engine, tempfile::tempdir()?);
    let (id, mut events) = waiting(bench, components, line, bytes, go.path(), true).await?;
    engine.start(&id).await?;
    heard(&mut events, "start", components).await?;
    let manager = child(engine.pid(&id).await?)?;
    let (to, mut ends) = unbounded_channel();
    let mut readers = Readers(vec![follow(&mut docker(&["logs", "-f", &id]), to)?]);
    let pids = [manager, readers.0[0].id()];
    if stuck {
        let mut command = docker(&["logs", "-f", &id]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        readers.0.push(child);
    }
    tokio::time::sleep(READING).await;
    let reading = written(&pids, manager, go.path(), &mut ends, components).await?;
    drop(readers);
    engine.end(&id).await?;
    Ok(reading)
}

/// Nanoseconds that the engine's processes have run.
fn engine_ran() -> f64 {
    // A shim may end meanwhile.
    named(&["dockerd", "containerd", "containerd-shim"]).into_iter().filter_map(|pid| ran(pid).ok()).sum()
}

async fn others(bench: &Bench, way: &str, components: usize, line: usize, bytes: usize) -> Result<Reading> {
    let engine = &bench.engine;
    let (project, go) = (engine.unique("logs"), tempfile::tempdir()?);
    let mut services = json!({});
    for (name, mut service) in components_that_write(components, line, bytes, go.path()) {
        service["network_mode"] = "none".into();
        services[name] = service;
    }
    let file = tempfile::NamedTempFile::new()?;
    let text: Value = json!({"version": "3.7", "services": services});
    std::fs::write(file.path(), text.to_string())?;
    let mut events = engine.events(&project).await?;
    let up = tool(bench.compose(&project, file.path(), &["up", "-d"]));
    let (up, started) = tokio::join!(up, heard(&mut events, "start", components));
    up?;
    let started = started?;
    let mut readers = match way {
        "compose" => vec![bench.compose(&project, file.path(), &["logs", "--no-color", "-f"])],
        _ => started.iter().map(|event| docker(&["logs", "-f", &event.name])).collect(),
    };
    let (to, mut ends) = unbounded_channel();
    let mut children = Readers(Vec::new());
    for reader in &mut readers {
        children.0.push(follow(reader, to.clone())?);
    }
    tokio::time::sleep(READING).await;
    let pids = tree(children.0.iter().map(Child::id))?;
    let reading = written(&pids, pids[0], go.path(), &mut ends, components).await?;
    drop(children);
    bench.compose_down(&project, file.path()).await?;
    Ok(reading)
}

/// Programs that read logs. Dropping them ends them.
struct Readers(Vec<Child>);

impl Drop for Readers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Read what a program writes, on a thread of its own.
fn follow(command: &mut Command, to: UnboundedSender<Instant>) -> Result<Child> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut output = child.stdout.take().ok_or("no output")?;
    std::thread::spawn(move || {
        let (mut counter, mut buffer) = (Counter::default(), vec![0; 1 << 16]);
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            counter.take(&buffer[..length], &to);
        }
    });
    Ok(child)
}

async fn all_ends(ends: &mut UnboundedReceiver<Instant>, count: usize) -> Result<Instant> {
    let mut last = Instant::now();
    for _ in 0..count {
        last = timeout(SETTLE, ends.recv())
            .await
            .map_err(|_| "the last line did not come")?
            .ok_or("the output ended")?;
    }
    Ok(last)
}

/// Finds the last lines.
#[derive(Default)]
struct Counter {
    seen: usize,
}

impl Counter {
    fn take(&mut self, bytes: &[u8], to: &UnboundedSender<Instant>) {
        for byte in bytes {
            // Nothing of `END` occurs in it twice.
            self.seen = if *byte == END[self.seen] { self.seen + 1 } else { usize::from(*byte == END[0]) };
            if self.seen == END.len() {
                self.seen = 0;
                let _ = to.send(Instant::now());
            }
        }
    }
}
