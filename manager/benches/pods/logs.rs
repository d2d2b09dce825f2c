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
use crate::engine::{Result, heard};
use crate::process::{child, ran, resident, tree};
use crate::stats::{Figure, Goal};
use crate::ways::{docker, idle, labels, manager, tool};

/// Bytes of a line, and of all components together.
const LINES: [(usize, usize); 3] = [(20, 4 << 20), (100, 16 << 20), (10_000, 64 << 20)];
const SIZES: [usize; 3] = [1, 4, 16];
/// The last line of each.
const END: &[u8] = b"END\n";
/// How long each may take.
const SETTLE: Duration = Duration::from_secs(120);

const HOW: &str = "from the file that lets components write until the last line of the last one is read: of Tandem at the \
                   pod's own container, attached";
const HOW_CPU: &str =
    "of the manager; of `docker logs -f`, one for each component; of compose, all its processes";

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let (sizes, lines) = if bench.whole() { (&SIZES[..], &LINES[..]) } else { (&SIZES[..1], &LINES[1..2]) };
    for &components in sizes {
        for &(line, bytes) in lines {
            cell(bench, components, line, bytes).await?;
        }
    }
    Ok(())
}

async fn cell(bench: &Bench, components: usize, line: usize, bytes: usize) -> Result<()> {
    let figure = |what: &str, unit: &'static str, how: &'static str| {
        let lines = format!("{components} components, lines of {line} bytes, {} MB: {what}", bytes >> 20);
        Figure::new("logs", lines, unit, how)
    };
    let mut wall = figure("until the last line", "ms", HOW);
    let mut cpu = figure("CPU for a GB", "s", HOW_CPU);
    let mut memory =
        figure("memory that came with it", "kB", "`VmRSS` of the manager after it, and before it");
    let gigabytes = bytes as f64 / 1e9;
    for _ in 0..bench.runs.min(2) {
        let tandem = tandem(bench, components, line, bytes).await?;
        wall.add("tandem", tandem.wall.as_secs_f64() * 1e3);
        cpu.add("tandem", tandem.cpu / 1e9 / gigabytes);
        memory.add("tandem", tandem.grown);
        for way in ["docker logs", "compose"] {
            let read = others(bench, way, components, line, bytes).await?;
            wall.add(way, read.wall.as_secs_f64() * 1e3);
            cpu.add(way, read.cpu / 1e9 / gigabytes);
        }
    }
    wall.print(&Goal::Times(1.0, "docker logs"));
    cpu.print(&Goal::Times(0.5, "compose"));
    memory.print(&Goal::None);
    Ok(())
}

/// What reading took.
struct Reading {
    wall: Duration,
    /// Nanoseconds.
    cpu: f64,
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
        (format!("c{number}"), component)
    })
}

async fn tandem(bench: &Bench, components: usize, line: usize, bytes: usize) -> Result<Reading> {
    let engine = &bench.engine;
    let (name, go) = (engine.unique("logs"), tempfile::tempdir()?);
    let writers = components_that_write(components, line, bytes, go.path());
    let command = ["--logs", "--pids=false", "--ipc=false", "--allow=host-paths"];
    let mut body = manager(&bench.socket, labels(writers), &command);
    // Nobody keeps what comes out: the reader has it.
    body["HostConfig"]["LogConfig"] = json!({"Type": "none"});
    let mut events = engine.events(&name).await?;
    let id = engine.create(&name, &body).await?;
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
    let (before, held) = (ran(manager)?, resident(manager)?);
    let began = Instant::now();
    std::fs::write(go.path().join("go"), "")?;
    let ended = all_ends(&mut ends, components).await?;
    let reading = Reading {
        wall: ended.duration_since(began),
        cpu: ran(manager)? - before,
        grown: resident(manager)? - held,
    };
    engine.end(&id).await?;
    Ok(reading)
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
    let mut children = Vec::new();
    for reader in &mut readers {
        children.push(follow(reader, to.clone())?);
    }
    // Compose takes a second until it reads.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let pids = tree(children.iter().map(Child::id))?;
    let sum = || pids.iter().map(|pid| ran(*pid)).sum::<Result<f64>>();
    let before = sum()?;
    let began = Instant::now();
    std::fs::write(go.path().join("go"), "")?;
    let ended = all_ends(&mut ends, components).await?;
    let reading = Reading { wall: ended.duration_since(began), cpu: sum()? - before, grown: 0.0 };
    for child in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
    bench.compose_down(&project, file.path()).await?;
    Ok(reading)
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
