//! What Tandem costs, beside what else a user would take. The pods and the planner are measured by `manager/benches`,
//! `pause` and sizes here; all of it becomes one table, one file of JSON and a picture of what grows.

mod peers;
mod plot;
mod report;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::process::{self, LONG, until};
use crate::report::{note, step};
use crate::workspace::Workspace;
use crate::{bases, compose, images, interrupt};
use report::{Figure, Goal};

/// Components of the pod whose sizes are measured.
const COMPONENTS: usize = 10;
/// How long idle programs are watched.
const IDLE: Duration = Duration::from_secs(10);
/// How long the pod may take to become healthy.
const HEALTHY: Duration = Duration::from_secs(120);
/// How often it is looked for what is left.
const ROUNDS: usize = 3;
/// How many of them one command removes: a command for each of hundreds takes minutes.
const AT_ONCE: usize = 50;
/// The page that shows the most telling figures.
const PAGE: &str = "docs/benchmarks.md";
/// Where the last results are kept.
const KEPT: &str = "xtask/src/bench/results";

/// What [`PAGE`] shows of them, between [`SHOWN_FROM`] and [`SHOWN_TO`].
const SHOWN: [&str; 29] = [
    "pause: file",
    "pause: resident memory",
    "pause: TERM to exit",
    "manager: image",
    "manager of 1: resident memory",
    "manager of 30: resident memory",
    "manager of 10: wake-ups while idle",
    "pod of 1: start",
    "pod of 1: stop",
    "pod of 10: start",
    "pod of 10: stop",
    "pod of 30: start",
    "pod of 30: stop",
    "pod by command of 1: start",
    "pod by command of 1: stop",
    "pod by command of 10: start",
    "pod by command of 10: stop",
    "pod with sandbox of 5: start",
    "chain with sandbox of 10: start",
    "a healthy dependency is acted on",
    "logs of 4, lines of 100 bytes, 16 MB: until the last line",
    "logs of 4, lines of 100 bytes, 16 MB: CPU for a GB",
    "logs of 4, lines of 100 bytes, 16 MB: CPU of the engine for a GB",
    "logs of 4, lines of 10000 bytes, 64 MB: until the last line",
    "100 pods of 2: memory of each",
    "100 pods of 2: start, each",
    "100 pods of 2: taken up after a crash",
    "plan of a pod that runs, 100 components",
    "plan of a pod that runs: a thousand beside ten times a hundred",
];
const SHOWN_FROM: &str = "<!-- by cargo xtask bench --keep -->\n";
const SHOWN_TO: &str = "<!-- to here -->\n";

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Sizes of files and images, memory and wake-ups, each with its ceiling.
    Sizes,
    /// `pause` beside what else is PID 1.
    Pause,
    /// What a manager holds while nothing happens.
    Memory,
    /// Start and stop of pods.
    Start,
    /// Pods with a sandbox, and chains of dependencies.
    Chain,
    /// Output of components.
    Logs,
    /// Many pods on one agent.
    Agent,
    /// Labels to a definition, and plans.
    Planner,
}

impl Part {
    /// As it is asked for, and as its figures call it.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Measured by `manager/benches/pods`.
    fn makes_pods(self) -> bool {
        match self {
            Part::Sizes | Part::Pause | Part::Planner => false,
            Part::Memory | Part::Start | Part::Chain | Part::Logs | Part::Agent => true,
        }
    }
}

/// Which of it, and how thoroughly.
pub(crate) struct Order {
    /// All where none is named.
    pub(crate) parts: Vec<Part>,
    /// Only to see that it runs: little of each, once.
    pub(crate) quick: bool,
    /// How often each thing is measured.
    pub(crate) runs: usize,
    /// Keep the results in the repository.
    pub(crate) keep: bool,
}

/// Build everything, then measure.
pub(crate) fn run(workspace: &Workspace, order: &Order) -> Result<()> {
    if order.keep && order.runs < 2 {
        bail!("results are kept of two runs or more");
    }
    let engine = Engine::find(workspace)?;
    images::build(workspace, &engine)?;
    measure(workspace, &engine, order)
}

/// Measure what is built: print a table, write `target/bench.json` and pictures, fail above a ceiling of sizes.
pub(crate) fn measure(workspace: &Workspace, engine: &Engine, order: &Order) -> Result<()> {
    bases::busybox(workspace, engine)?;
    let wanted: BTreeSet<Part> = match order.parts.is_empty() {
        true => Part::value_variants().iter().copied().collect(),
        false => order.parts.iter().copied().collect(),
    };
    let (runs, idle) = if order.quick { (1, Duration::from_secs(1)) } else { (order.runs, IDLE / 3) };
    let compose = match wanted.iter().any(|part| part.makes_pods()) {
        true => compose::find(workspace, engine)?.join(" "),
        false => String::new(),
    };
    let machine = machine(workspace, engine)?;
    let _leftovers = Leftovers { engine };
    let (mut figures, mut above) = (Vec::new(), Vec::new());
    for part in wanted {
        interrupt::check()?;
        let name = part.name();
        figures.extend(match part {
            Part::Sizes => {
                let sizes = step("measure sizes, memory and wake-ups", || sizes(workspace, engine))?;
                // What is counted over a time, which has no unit, is shown and fails nothing: a machine may be busy.
                let missed = |figure: &&Figure| {
                    !figure.unit.is_empty() && figure.verdicts().iter().any(|(_, met)| !met)
                };
                above.extend(sizes.iter().filter(missed).map(|figure| figure.what.clone()));
                sizes
            }
            Part::Pause => peers::measure(workspace, runs, idle.as_secs())?,
            Part::Planner => {
                let mut planner = program(workspace, engine, "planner", order, &[])?;
                for _ in 1..runs {
                    let more = program(workspace, engine, "planner", order, &[])?;
                    planner.iter_mut().zip(&more).for_each(|(figure, more)| figure.add_all(more));
                }
                if !order.quick {
                    beside_kept(workspace, &machine, &mut planner);
                }
                planner
            }
            Part::Memory | Part::Start | Part::Chain | Part::Logs | Part::Agent => {
                let args = [&*prefix(), engine.socket(), &compose, &runs.to_string(), &name];
                program(workspace, engine, "pods", order, &args)?
            }
        });
    }
    println!("\n{}", report::table(&figures));
    let mut machine = machine;
    if order.keep && !order.parts.is_empty() {
        figures = with_kept(workspace, &mut machine, &order.parts, figures)?;
    }
    let table = report::table(&figures);
    let list: Vec<Value> = figures.iter().map(Figure::json).collect();
    let results = json!({"machine": machine, "figures": list});
    let text = serde_json::to_string_pretty(&results)? + "\n";
    let path = workspace.target.join("bench.json");
    fs::write(&path, &text)?;
    note(&format!("written to {}", path.display()));
    let pictures = plot::plots(&figures);
    let folder = match order.keep {
        true => workspace.file(KEPT),
        false => workspace.own("bench")?,
    };
    fs::create_dir_all(&folder)?;
    for (name, picture) in &pictures {
        fs::write(folder.join(name), picture)?;
    }
    if order.keep {
        fs::write(folder.join("results.json"), text)?;
        fs::write(folder.join("README.md"), page(&machine, &table, &pictures))?;
        show(workspace, &figures)?;
    }
    note(&format!("pictures are in {}", folder.display()));
    if !above.is_empty() {
        bail!("above the ceiling: {}", above.join("; "));
    }
    Ok(())
}

/// What was kept last, with these parts measured anew.
fn with_kept(
    workspace: &Workspace,
    machine: &mut Value,
    parts: &[Part],
    figures: Vec<Figure>,
) -> Result<Vec<Figure>> {
    let kept = kept(workspace)?;
    if !is_like(&kept["machine"], machine) {
        bail!("what was kept last is of another machine than this one: keep all parts, with none named");
    }
    let names: Vec<String> = parts.iter().map(|part| part.name()).collect();
    let mut all = figures;
    for line in kept["figures"].as_array().context("nothing was kept")? {
        let figure = Figure::read(&line.to_string())?;
        if !names.contains(&figure.part) {
            all.push(figure);
        }
    }
    all.sort_by_key(|figure| Part::value_variants().iter().position(|part| part.name() == figure.part));
    let commit = |of: &Value| of["commit"].as_str().unwrap_or_default().to_owned();
    machine["commit"] =
        format!("{}; {} of {}", commit(&kept["machine"]), names.join(" and "), commit(machine)).into();
    Ok(all)
}

/// The results that were kept last.
fn kept(workspace: &Workspace) -> Result<Value> {
    let path = workspace.file(KEPT).join("results.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Results of these two can be told beside each other.
fn is_like(one: &Value, other: &Value) -> bool {
    ["processor", "memory", "Linux"].iter().all(|fact| one[fact] == other[fact])
}

/// What has nothing else to be measured beside: the results that were kept last, where they are of a machine like this one.
fn beside_kept(workspace: &Workspace, machine: &Value, figures: &mut [Figure]) {
    let Ok(kept) = kept(workspace) else { return };
    if !is_like(&kept["machine"], machine) {
        return;
    }
    let commit = kept["machine"]["commit"].as_str().unwrap_or_default();
    for figure in figures {
        let before =
            kept["figures"].as_array().and_then(|all| all.iter().find(|one| one["what"] == *figure.what));
        if let Some(value) = before.and_then(|before| before["median"]["tandem"].as_f64()) {
            figure.add(&format!("as of {commit}"), value);
        }
    }
}

/// The results for people.
fn page(machine: &Value, table: &str, pictures: &[(String, String)]) -> String {
    let facts: Vec<String> = machine
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or_default()))
        .collect();
    let pictures: String = pictures.iter().map(|(name, _)| format!("![{name}]({name})\n")).collect();
    format!(
        "# What was measured last\n\nBy `cargo xtask bench --keep`: medians of interleaved runs (each line says how many), and the least and \
         the most in parentheses; {}. What matters are the ratios: all ways were measured in turn, on one machine, within one \
         run, and each ratio is the middle of what it was in each turn. \"as of\" is the planner of an earlier commit, as kept \
         then. All values are in [`results.json`](results.json).\n\n{table}\n{pictures}",
        facts.join(", ")
    )
}

/// Puts the most telling figures into [`PAGE`].
fn show(workspace: &Workspace, figures: &[Figure]) -> Result<()> {
    let path = workspace.file(PAGE);
    let text = fs::read_to_string(&path)?;
    let (before, rest) =
        text.split_once(SHOWN_FROM).with_context(|| format!("{PAGE} has no place for the results"))?;
    let (_, after) = rest
        .split_once(SHOWN_TO)
        .with_context(|| format!("the place for the results in {PAGE} has no end"))?;
    let named = |name: &str| {
        let found = figures.iter().find(|figure| figure.what == name);
        found.with_context(|| format!("`{name}` was not measured"))
    };
    let shown = report::rows(SHOWN.into_iter().map(named).collect::<Result<Vec<_>>>()?.into_iter());
    fs::write(path, format!("{before}{SHOWN_FROM}{shown}{SHOWN_TO}{after}"))?;
    Ok(())
}

/// What all of it was measured on.
fn machine(workspace: &Workspace, engine: &Engine) -> Result<Value> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = || cpus.lines().filter(|line| line.starts_with("model name"));
    let model = models().next().and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().replace("MemTotal:", "");
    let format = "{{.ServerVersion}}, storage {{.Driver}}, cgroup v{{.CgroupVersion}} ({{.CgroupDriver}})";
    Ok(json!({
        "processor": format!("{} x {model}", models().count()),
        "memory": memory.trim(),
        "Linux": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "Docker": engine.ask(["info", "--format", format])?,
        "Docker command": engine.ask(["version", "--format", "{{.Client.Version}}"])?,
        "Compose": compose::version(engine)?,
        "commit": workspace.commit(KEPT)?,
    }))
}

/// What the names of all that this run makes begin with: several may share an engine.
fn prefix() -> String {
    format!("tandem-bench-{}-", std::process::id())
}

/// Run a program of `manager/benches`, and have what it measured.
fn program(
    workspace: &Workspace,
    engine: &Engine,
    name: &str,
    order: &Order,
    args: &[&str],
) -> Result<Vec<Figure>> {
    let what = args.last().map_or(name, |part| part);
    step(&format!("measure {what}"), || {
        let mut bench = workspace.cargo(["bench", "--quiet", "--locked", "--bench", name]);
        match order.quick {
            // As the tests are built, which are there.
            true => bench.args(["--profile", "dev", "--workspace", "--features", "manager/docker-tests"]),
            false => bench.args(["--package", "manager"]),
        };
        let log = workspace.log(&format!("bench-{what}"))?;
        // Ours, so that nothing stays where it is interrupted; not below `target`, where a socket's path may be too long.
        let scratch = tempfile::tempdir()?;
        bench.env("TMPDIR", scratch.path());
        bench.arg("--").args(args).env("DOCKER_HOST", &engine.host).stdout(File::create(&log)?);
        process::shown(&mut bench, LONG * 2)?;
        report::read(&fs::read_to_string(&log)?)
    })
}

/// What a program of `manager/benches` leaves where it fails. Dropping this removes it.
struct Leftovers<'a> {
    engine: &'a Engine,
}

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        interrupt::shielded(|| {
            let name = format!("name=^/?{}", prefix());
            let removed = |list: &[&str], remove: &[&str]| {
                let ids = self.engine.ask([list, &["--quiet", "--filter", &name]].concat());
                let ids = ids.unwrap_or_default();
                let ids: Vec<&str> = ids.lines().collect();
                for some in ids.chunks(AT_ONCE) {
                    if let Err(error) = self.engine.ask([remove, some].concat()) {
                        note(&format!("{error:#}"));
                    }
                }
                ids.is_empty()
            };
            // Managers go last of a listing, and may make something until then.
            for _ in 0..ROUNDS {
                if removed(&["ps", "--all"], &["rm", "--force", "--volumes"]) {
                    break;
                }
            }
            removed(&["volume", "ls"], &["volume", "rm"]);
            // Compose's.
            removed(&["network", "ls"], &["network", "rm"]);
        });
    }
}

/// Sizes and memory, each with its ceiling.
fn sizes(workspace: &Workspace, engine: &Engine) -> Result<Vec<Figure>> {
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
    let figure = |what: &str, unit: &str, value: u64, ceiling: Option<u64>| {
        let how =
            "`VmRSS`, the file, the image as the engine counts it; the manager's is that of a pod of ten";
        let mut figure = Figure::new("sizes", what, unit, how);
        figure.add("tandem", value as f64);
        figure.goals.extend(ceiling.map(|ceiling| Goal::AtMost(ceiling as f64)));
        figure
    };
    Ok(vec![
        figure("pause: program", "bytes", file("pause")?, Some(images::PAUSE.ceiling)),
        figure("pause: image", "bytes", image(images::PAUSE.name)?, Some(images::PAUSE.ceiling)),
        figure("pause: resident", "kB", pause.resident()?, Some(48)),
        figure("pause: context switches in 10 s", "", woke[0], Some(0)),
        figure("pause that supervises: resident", "kB", supervisor.resident()?, Some(48)),
        figure("pause that supervises: context switches in 10 s", "", woke[1], None),
        figure("manager: program", "bytes", file("manager")?, None),
        figure("manager: image", "bytes", image(images::MANAGER.name)?, Some(images::MANAGER.ceiling)),
        figure("manager: resident, 10 components", "kB", manager.resident()?, Some(5_750)),
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
        let name = prefix() + name;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_benchmarks_has_one_place_for_the_results() {
        let page = include_str!("../../../docs/benchmarks.md");
        let (before, rest) = page.split_once(SHOWN_FROM).expect("where it begins");
        let (_, after) = rest.split_once(SHOWN_TO).expect("where it ends");
        assert!(!before.contains(SHOWN_TO) && !after.contains(SHOWN_FROM) && !after.contains(SHOWN_TO));
    }
}
