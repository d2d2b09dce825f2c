//! What a manager holds, and how often it wakes while nothing happens to its pod, beside what stays for a user who takes
//! Compose or the `docker` command.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::engine::{Result, heard};
use crate::process::{child, idle, resident, share, tree};
use crate::stats::{Figure, Goal};
use crate::ways::{Shape, components as parts, compose_file, docker, labels, manager};
use crate::{BUSYBOX, Bench, PAUSE};

const SIZES: [usize; 3] = [1, 10, 30];
/// How long idle programs are watched.
const IDLE: Duration = Duration::from_secs(5);

/// kB that a manager of ten components may hold, and what each one more may cost.
const AT_TEN: f64 = 5_750.0;
const GROWTH: f64 = 50.0;

const HOW: &str = "`VmRSS` of the manager";
const HOW_SHARE: &str = "`Pss` of all processes together: of Tandem manager and `pause`, without and with `--logs`; of compose and \
                         `docker run`, which stay in the foreground, all of theirs and `pause`";
const HOW_IDLE: &str =
    "over 5 s (1 s with `--quick`), while another container's health check runs every second";

/// Tandem, and whether its components' output passes through the manager.
const WAYS: [(&str, bool); 2] = [("tandem", false), ("tandem --logs", true)];

/// Processes in the foreground. Dropping them ends them.
struct Foreground(Vec<Child>);

impl Drop for Foreground {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let engine = &bench.engine;
    let noise = engine.unique("noise");
    let check = json!({"Test": ["CMD", "true"], "Interval": 1_000_000_000_u64});
    engine
        .create(&noise, &json!({"Image": BUSYBOX, "Cmd": ["sleep", "1000000"], "Healthcheck": check}))
        .await?;
    engine.start(&noise).await?;
    let sizes = if bench.whole() { &SIZES[..] } else { &SIZES[..1] };
    let mut held = Vec::new();
    for &components in sizes {
        let mut seen = Seen::new(components);
        for _ in 0..bench.runs.min(2) {
            once(bench, components, &mut seen).await?;
        }
        held.push((components, WAYS.map(|(way, _)| seen.resident.of(way))));
        seen.resident.print(if components == 10 { &[Goal::AtMost(AT_TEN)] } else { &[] });
        seen.share.print(&[]);
        seen.busy.print(&[]);
        seen.woke.print(&[Goal::AtMost(0.0)]);
    }
    if let (Some(first), Some(last)) = (held.first(), held.last())
        && last.0 > first.0
    {
        let what = format!("manager: what one component more costs, {} to {}", first.0, last.0);
        let mut growth = Figure::new("memory", what, "kB", HOW);
        for (number, (way, _)) in WAYS.iter().enumerate() {
            let (Some(few), Some(many)) = (first.1[number], last.1[number]) else { continue };
            growth.add(way, (many - few) / (last.0 - first.0) as f64);
        }
        growth.print(&[Goal::AtMost(GROWTH)]);
    }
    engine.remove(&noise).await
}

/// What is looked at.
struct Seen {
    resident: Figure,
    share: Figure,
    busy: Figure,
    woke: Figure,
}

impl Seen {
    fn new(components: usize) -> Self {
        let figure = |what: &str, unit: &'static str, how: &'static str| {
            Figure::new("memory", format!("manager of {components}: {what}"), unit, how)
        };
        Seen {
            resident: figure("resident memory", "kB", HOW)
                .grows("manager, resident kB by components", components),
            share: figure("memory of all processes", "kB", HOW_SHARE)
                .grows("memory of all processes, kB by components", components),
            busy: figure("CPU while idle", "ms", HOW_IDLE),
            woke: figure("wake-ups while idle", "", HOW_IDLE),
        }
    }

    /// Memory now; CPU and context switches while nothing happens.
    async fn look(&mut self, pids: &[u32], pause: u32, way: &str, time: Duration) -> Result<()> {
        // A moment to settle.
        sleep(time / 3).await;
        let (busy, woke) = idle(pids, time).await?;
        self.busy.add(way, busy);
        self.woke.add(way, woke);
        let held = pids.iter().map(|pid| share(*pid)).sum::<Result<f64>>()?;
        self.share.add(way, held + share(pause)?);
        Ok(())
    }
}

async fn once(bench: &Bench, components: usize, seen: &mut Seen) -> Result<()> {
    let (engine, time) = (&bench.engine, bench.idle(IDLE));
    let shape = Shape { components, sandbox: false, chain: false };
    for (way, logs) in WAYS {
        let name = engine.unique("held");
        let mut events = engine.events(&name).await?;
        let mut words = vec!["--pids=false", "--ipc=false"];
        words.extend(logs.then_some("--logs"));
        let id = engine.create(&name, &manager(&bench.socket, labels(parts(shape)), &words)).await?;
        engine.start(&id).await?;
        heard(&mut events, "start", components).await?;
        let pause = engine.pid(&id).await?;
        let manager = child(pause)?;
        seen.look(&[manager], pause, way, time).await?;
        seen.resident.add(way, resident(manager)?);
        engine.end(&id).await?;
    }

    let name = engine.unique("held");
    let mut events = engine.events(&name).await?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), compose_file(shape).to_string())?;
    let up = Foreground(vec![quiet(bench.compose(&name, file.path(), &["up"]))?]);
    let started = heard(&mut events, "start", components).await?;
    let pause = engine.network_of(&started[0].id).await?;
    seen.look(&tree(up.0.iter().map(Child::id))?, engine.pid(&pause).await?, "compose", time).await?;
    bench.compose_down(&name, file.path()).await?;
    drop(up);

    let name = engine.unique("held");
    let mut events = engine.events(&name).await?;
    engine.create(&name, &json!({"Image": PAUSE, "Healthcheck": {"Test": ["NONE"]}})).await?;
    engine.start(&name).await?;
    let mut up = Foreground(Vec::new());
    for number in 0..components {
        let (own, network) = (format!("--name={name}-c{number}"), format!("--network=container:{name}"));
        up.0.push(quiet(docker(&["run", &own, &network, BUSYBOX, "sleep", "1000000"]))?);
    }
    heard(&mut events, "start", components).await?;
    seen.look(&tree(up.0.iter().map(Child::id))?, engine.pid(&name).await?, "docker run", time).await?;
    for number in 0..components {
        engine.remove(&format!("{name}-c{number}")).await?;
    }
    engine.remove(&name).await
}

fn quiet(mut command: Command) -> Result<Child> {
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}
