//! Sizes, memory and wake-ups as measured on this machine, each with its ceiling.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::engine::Engine;
use crate::process::until;
use crate::report::{note, step};
use crate::workspace::Workspace;
use crate::{bases, images, interrupt};

/// Components of the pod that is measured.
const COMPONENTS: usize = 10;
/// How long idle programs are watched.
const IDLE: Duration = Duration::from_secs(10);
/// How long the pod may take to become healthy.
const HEALTHY: Duration = Duration::from_secs(120);

/// One measurement.
struct Figure {
    what: &'static str,
    unit: &'static str,
    value: u64,
    ceiling: Option<u64>,
}

/// Build everything, then measure.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let engine = Engine::find(workspace)?;
    images::build(workspace, &engine)?;
    bases::busybox(workspace, &engine)?;
    measure(workspace, &engine)
}

/// Measure what is built: print a table, write `target/bench.json`, fail above a ceiling.
pub(crate) fn measure(workspace: &Workspace, engine: &Engine) -> Result<()> {
    let figures = step("measure sizes, memory and wake-ups", || figures(workspace, engine))?;
    println!("\n| what | measured | at most |\n|---|---|---|");
    for figure in &figures {
        let ceiling = figure.ceiling.map_or_else(String::new, |ceiling| format!("{ceiling} {}", figure.unit));
        println!("| {} | {} {} | {ceiling} |", figure.what, figure.value, figure.unit);
    }
    println!();
    let list: Vec<_> = figures
        .iter()
        .map(|figure| {
            json!({"what": figure.what, "unit": figure.unit, "value": figure.value, "ceiling": figure.ceiling})
        })
        .collect();
    let path = workspace.target.join("bench.json");
    fs::write(&path, serde_json::to_string_pretty(&list)? + "\n")?;
    note(&format!("written to {}", path.display()));
    let above: Vec<&str> = figures
        .iter()
        .filter(|figure| figure.ceiling.is_some_and(|ceiling| figure.value > ceiling))
        .map(|figure| figure.what)
        .collect();
    if !above.is_empty() {
        bail!("above the ceiling: {}", above.join("; "));
    }
    Ok(())
}

fn figures(workspace: &Workspace, engine: &Engine) -> Result<Vec<Figure>> {
    let bare = Container::run(engine, "bare", &["tandem/pause:latest"])?;
    let mut words = vec![format!("--volume={}:/var/run/docker.sock", engine.socket())];
    for number in 0..COMPONENTS {
        let component = format!("{{image: \"{}\", command: [sleep, \"1000000\"]}}", bases::BUSYBOX);
        words.push(format!("--label=pod.component.c{number}={component}"));
    }
    words.push(images::MANAGER.name.to_owned());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let pod = Container::run(engine, "pod", &words)?;
    pod.healthy().inspect_err(|_| note(&pod.logs()))?;

    let pause = bare.process()?;
    let supervisor = pod.process()?;
    let manager = supervisor.child()?;
    let watched = [&pause, &supervisor, &manager];
    let before = watched.iter().map(|process| process.switches()).collect::<Result<Vec<_>>>()?;
    interrupt::check()?;
    // What is measured is time: the one sleep that is not a wait for something.
    sleep(IDLE);
    let after = watched.iter().map(|process| process.switches()).collect::<Result<Vec<_>>>()?;
    let woke: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();

    let file = |name: &str| -> Result<u64> { Ok(fs::metadata(workspace.dist().join(name))?.len()) };
    let image = |name: &str| engine.inspect("image", name)?["Size"].as_u64().context("the image has no size");
    let figure = |what, unit, value, ceiling| Figure { what, unit, value, ceiling };
    Ok(vec![
        figure("pause: file", "bytes", file("pause")?, Some(16 * 1024)),
        figure("pause: image", "bytes", image(images::PAUSE.name)?, Some(images::PAUSE.ceiling)),
        figure("pause: resident", "kB", pause.resident()?, Some(48)),
        figure("pause: context switches in 10 s", "", woke[0], Some(0)),
        figure("pause that supervises: resident", "kB", supervisor.resident()?, Some(48)),
        figure("pause that supervises: context switches in 10 s", "", woke[1], None),
        figure("manager: file", "bytes", file("manager")?, None),
        figure("manager: image", "bytes", image(images::MANAGER.name)?, Some(images::MANAGER.ceiling)),
        figure("manager: resident, 10 components", "kB", manager.resident()?, Some(5_000)),
        figure("manager: context switches in 10 s, 10 components", "", woke[2], None),
    ])
}

/// A container to measure. Dropping it stops and removes it.
struct Container<'a> {
    engine: &'a Engine,
    id: String,
}

impl<'a> Container<'a> {
    fn run(engine: &'a Engine, name: &str, words: &[&str]) -> Result<Self> {
        let name = format!("tandem-bench-{}-{name}", std::process::id());
        let begin = ["run", "--detach", "--label", "io.tandem.test=bench", "--name", &name];
        let id = engine.ask(begin.iter().chain(words).copied());
        // It may exist also where it did not start.
        let container = Container { engine, id: name.clone() };
        id?;
        Ok(container)
    }

    fn healthy(&self) -> Result<()> {
        until("a healthy pod", HEALTHY, || {
            let state = self.field("{{.State.Status}} {{.State.Health.Status}}")?;
            match state.as_str() {
                "running healthy" => Ok(Some(())),
                state if state.starts_with("running") => Ok(None),
                other => bail!("the pod is {other}"),
            }
        })
    }

    fn logs(&self) -> String {
        let mut logs = self.engine.docker(["logs", "--tail", "40", &self.id]);
        logs.output().map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default()
    }

    /// PID 1 of it, as this machine sees it.
    fn process(&self) -> Result<Process> {
        let folder = PathBuf::from("/proc").join(self.field("{{.State.Pid}}")?);
        if !folder.exists() {
            bail!("memory is measured in `/proc`: this takes an engine on this machine");
        }
        Ok(Process { folder })
    }

    fn field(&self, format: &str) -> Result<String> {
        self.engine.ask(["inspect", "--format", format, &self.id])
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        interrupt::shielded(|| {
            // A pod takes its components down when it is told to stop.
            let _ = self.engine.ask(["stop", &self.id]);
            if let Err(error) = self.engine.ask(["rm", "--force", "--volumes", &self.id]) {
                note(&format!("{error:#}"));
            }
        });
    }
}

/// A process of this machine.
struct Process {
    folder: PathBuf,
}

impl Process {
    /// Its first child.
    fn child(&self) -> Result<Process> {
        let pid = self.folder.file_name().context("invariant: /proc/PID")?.to_owned();
        let children = fs::read_to_string(self.folder.join("task").join(pid).join("children"))?;
        let child = children.split_whitespace().next().context("pause has no child")?;
        Ok(Process { folder: PathBuf::from("/proc").join(child) })
    }

    /// Resident memory in kB.
    fn resident(&self) -> Result<u64> {
        number(&fs::read_to_string(self.folder.join("status"))?, "VmRSS:")
    }

    /// Context switches of all its threads so far.
    fn switches(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in fs::read_dir(self.folder.join("task"))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            sum += number(&status, "voluntary_ctxt_switches:")?;
            sum += number(&status, "nonvoluntary_ctxt_switches:")?;
        }
        Ok(sum)
    }
}

/// A number of `/proc/PID/status`.
fn number(status: &str, key: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let word = line.and_then(|rest| rest.split_whitespace().next()).with_context(|| format!("no `{key}`"))?;
    Ok(word.parse()?)
}
