//! Output of components on its way to whoever reads it.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming;
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
/// What grows with volume would show in what one has of this and not of that, in bytes.
const VOLUMES: [usize; 2] = [16 << 20, 128 << 20];
/// kB that so much more may leave behind.
const FLAT: f64 = 100.0;
/// Milliseconds that a stop may take longer where nobody reads: the last output is waited for, within the ten seconds that
/// the engine gives.
const UNREAD: f64 = 5_000.0;
/// A manager that did not run for so long has nothing to do.
const QUIET: Duration = Duration::from_millis(500);

const HOW_CPU: &str =
    "of the manager; of `docker logs -f`, one for each component; of compose, all its processes";

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let (sizes, lines) = if bench.whole() { (&SIZES[..], &LINES[..]) } else { (&SIZES[..1], &LINES[1..2]) };
    for &components in sizes {
        for &(line, bytes) in lines {
            cell(bench, components, line, bytes).await?;
        }
    }
    flat(bench).await?;
    unread(bench).await
}

/// Does memory grow with volume?
async fn flat(bench: &Bench) -> Result<()> {
    let how = "`VmRSS` of the manager after that of 128 MB, less that after 16 MB, four components, lines of 100 bytes";
    let mut more = Figure::new("logs", "memory that 112 MB more leave behind".to_owned(), "kB", how);
    for _ in 0..bench.runs {
        let [few, many] = VOLUMES;
        let few = tandem(bench, 4, 100, few).await?.grown;
        more.add("tandem", tandem(bench, 4, 100, many).await?.grown - few);
    }
    more.print(&Goal::AtMost(FLAT));
    Ok(())
}

/// Somebody who is attached and does not read.
async fn unread(bench: &Bench) -> Result<()> {
    let what = |what: &str| format!("output that nobody reads: {what}");
    let how = "four components with 64 MB to write, once the manager has nothing to do any more";
    let mut held = Figure::new("logs", what("memory that came with it"), "kB", how);
    let how = "from the request to stop until the manager has ended, less the same where all was read";
    let mut late = Figure::new("logs", what("what a stop takes longer"), "ms", how);
    for _ in 0..bench.runs {
        let read = stop_of(bench, true).await?;
        let unread = stop_of(bench, false).await?;
        if unread.cpu > read.cpu / 2.0 {
            return Err("somebody read what nobody should".into());
        }
        held.add("tandem", unread.grown);
        held.add("read", read.grown);
        late.add("tandem", (unread.wall.as_secs_f64() - read.wall.as_secs_f64()) * 1e3);
    }
    held.print(&Goal::None);
    late.print(&Goal::AtMost(UNREAD));
    Ok(())
}

/// A pod that writes to somebody who reads, or does not, and its stop.
async fn stop_of(bench: &Bench, read: bool) -> Result<Reading> {
    let (pod, mut output, _go) = writing(bench, 4, 100, 64 << 20).await?;
    // Kept where it is not read: dropped, the engine would take it for gone.
    let (reader, kept) = match read {
        true => (Some(tokio::spawn(async move { while let Some(Ok(_)) = output.frame().await {} })), None),
        false => (None, Some(output)),
    };
    let began = Instant::now();
    let (mut last, mut since) = (0.0, began);
    while since.elapsed() < QUIET {
        if began.elapsed() > SETTLE {
            return Err("the manager does not come to rest".into());
        }
        tokio::time::sleep(QUIET / 10).await;
        let now = ran(pod.manager)?;
        if now > last {
            (last, since) = (now, Instant::now());
        }
    }
    let grown = resident(pod.manager)? - pod.held;
    let began = Instant::now();
    let ended = async {
        while Path::new(&format!("/proc/{}", pod.manager)).exists() {
            if began.elapsed() > SETTLE {
                return Err("the manager does not end".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The engine has a container that ended run on until whoever is attached has read all (20.10).
        drop(kept);
        Result::Ok(began.elapsed())
    };
    let (wall, removed) = tokio::join!(ended, bench.engine.end(&pod.id));
    removed?;
    reader.inspect(tokio::task::JoinHandle::abort);
    Ok(Reading { wall: wall?, cpu: last - pod.ran, grown })
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

/// A pod whose components write from now on.
struct Writing {
    id: String,
    manager: u32,
    /// Nanoseconds, and kB, before.
    ran: f64,
    held: f64,
    began: Instant,
}

/// Let a pod write: what it is, its output, and the folder with the file that its components waited for.
async fn writing(
    bench: &Bench,
    components: usize,
    line: usize,
    bytes: usize,
) -> Result<(Writing, Incoming, tempfile::TempDir)> {
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
    let output = engine.send("POST", &path, None).await?.into_body();
    engine.start(&id).await?;
    heard(&mut events, "start", components).await?;
    let manager = child(engine.pid(&id).await?)?;
    let (ran, held) = (ran(manager)?, resident(manager)?);
    let began = Instant::now();
    std::fs::write(go.path().join("go"), "")?;
    Ok((Writing { id, manager, ran, held, began }, output, go))
}

async fn tandem(bench: &Bench, components: usize, line: usize, bytes: usize) -> Result<Reading> {
    let (pod, mut output, _go) = writing(bench, components, line, bytes).await?;
    let (to, mut ends) = unbounded_channel();
    tokio::spawn(async move {
        let mut counter = Counter::default();
        while let Some(Ok(frame)) = output.frame().await {
            counter.take(frame.data_ref().map_or(&[][..], |data| data), &to);
        }
    });
    let ended = all_ends(&mut ends, components).await?;
    let reading = Reading {
        wall: ended.duration_since(pod.began),
        cpu: ran(pod.manager)? - pod.ran,
        grown: resident(pod.manager)? - pod.held,
    };
    bench.engine.end(&pod.id).await?;
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
