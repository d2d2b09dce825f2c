//! The tests on today's hosts: a Debian of your choice with systemd, cgroup v2 and AppArmor, its own kernel and engine, in a
//! virtual machine that needs no hardware for it.

mod image;
mod machine;
pub(crate) mod matrix;
mod payload;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use self::image::Image;
use self::payload::Run;
use crate::engine::Engine;
use crate::process;
use crate::report::{note, step};
use crate::workspace::Workspace;
use crate::{bases, images, packages, suite};

/// The test programs that run there. What they need of Swarm needs one node.
const PROGRAMS: [&str; 3] = ["pod_docker", "engine_docker", "ingress_docker"];

/// The core suite, by what the names of its tests begin with: what depends on the host's kernel, engine and Compose, and
/// little else, as a container takes seconds to start where no hardware helps.
const CORE: [&str; 9] = [
    "pod::limits::an_agent_holds_each",
    "pod::limits::what_a_killed_pod_leaves",
    "pod::examples::the_example_serves_with_compose",
    "pod::limits::components_that_together",
    "pod::limits::the_pods_cgroup_has_the_tasks_limits",
    "pod::limits::where_nothing_holds_the_sum",
    "pod::limits::under_baseline_limits_of_components_add_up",
    "pods_answer_through_the_ingress_mesh",
    "the_example_of_limits_is_held_to_them",
];

/// Tests that need large images, by what their names begin with: unpacking those takes a minute.
const ON_TOOLS: [&str; 2] = ["pod::engine", "pod::privileges"];
/// The same, for the images of `examples/sidecar`.
const ON_EXAMPLES: &str = "pod::examples";

/// How long the core suite may take, from power-on to power-off, on a machine that is all software.
const CORE_LIMIT: Duration = Duration::from_secs(30 * 60);
/// The same for other tests, or all of them.
const LIMIT: Duration = Duration::from_secs(6 * 60 * 60);

/// A Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Release {
    /// Debian 12: Docker 20.10.
    Bookworm,
    /// Debian 13: Docker 26.1.
    Trixie,
    /// Debian 14 in the making: Docker 28.
    Forky,
}

impl Release {
    /// As Debian calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Release::Bookworm => "bookworm",
            Release::Trixie => "trixie",
            Release::Forky => "forky",
        }
    }
}

/// Who makes the engine's cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Driver {
    /// systemd, the default on cgroup v2.
    Systemd,
    /// The engine itself.
    Cgroupfs,
}

impl Driver {
    /// As the engine calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Driver::Systemd => "systemd",
            Driver::Cgroupfs => "cgroupfs",
        }
    }
}

/// Which tests.
pub(crate) struct Suite {
    /// The arguments of the test programs.
    args: Vec<String>,
    limit: Duration,
}

impl Suite {
    /// Those that the arguments name; the core suite where they name none, or all.
    pub(crate) fn of(all: bool, args: &[String]) -> Self {
        let named = args.iter().any(|arg| !arg.starts_with('-'));
        let core = !named && !all;
        let names = CORE.iter().filter(|_| core).map(|name| (*name).to_owned());
        let limit = if core { CORE_LIMIT } else { LIMIT };
        Suite { args: names.chain(args.iter().cloned()).collect(), limit }
    }
}

/// What a machine and the tests in it said.
#[derive(Default)]
pub(crate) struct Heard {
    /// What it is.
    facts: BTreeMap<String, String>,
    passed: usize,
    failed: usize,
    /// Programs that ended, and how.
    ended: Vec<(String, String)>,
    /// What the tests left behind.
    left: Vec<String>,
    /// What could not be brought up.
    broken: Option<String>,
    /// It came to its end.
    done: bool,
    /// How many programs it was to run.
    programs: usize,
    /// What the console showed last.
    shown: String,
    /// From power-on to power-off.
    took: Duration,
}

/// Find an engine for the images, then test. With `build` the images are those of what the sources are now.
pub(crate) fn run(
    workspace: &Workspace,
    release: Release,
    driver: Driver,
    build: bool,
    suite: &Suite,
) -> Result<()> {
    let engine = found(workspace, build)?;
    test(workspace, &engine, release, driver, suite)?.verdict()
}

/// An engine that has the images.
fn found(workspace: &Workspace, build: bool) -> Result<Engine> {
    let engine = Engine::find(workspace)?;
    if build {
        suite::surroundings(workspace, &engine)?;
        images::build(workspace, &engine)?;
    }
    Ok(engine)
}

/// Run the tests in a machine of this release, with the images that the engine has.
pub(crate) fn test(
    workspace: &Workspace,
    engine: &Engine,
    release: Release,
    driver: Driver,
    suite: &Suite,
) -> Result<Heard> {
    if !cfg!(target_arch = "x86_64") {
        bail!(
            "the virtual machine is one of x86_64, and so must be the programs that run in it: run this there"
        );
    }
    for (program, package) in [("qemu-system-x86_64", "qemu-system-x86"), ("mkfs.ext4", "e2fsprogs")] {
        if !process::installed(program) {
            let otherwise = format!("a virtual machine needs `{program}`: install it (Debian: {package})");
            packages::install(workspace, &[package], &otherwise)?;
        }
    }
    let image = Image::of(workspace, release)?;
    let (runs, images) = choose(workspace, &suite.args)?;
    let scratch = workspace.scratch()?;
    let disk = step("put programs and images on a disk", || {
        payload::make(workspace, engine, scratch.path(), driver, &images, &runs)
    })?;
    let how = if machine::accelerated() { "KVM" } else { "no KVM here, so it takes its time" };
    let title =
        format!("run the tests on {}, {}, in a virtual machine ({how})", release.name(), driver.name());
    step(&title, || {
        let began = Instant::now();
        let mut heard = Heard { programs: runs.len(), ..Heard::default() };
        heard.shown = machine::run(&image, &disk, scratch.path(), suite.limit, |line, ours| {
            if ours {
                if let Some(what) = line.strip_prefix("step ") {
                    note(&format!("{:.0} s: {what}", began.elapsed().as_secs_f64()));
                }
                heard.hear(line);
            } else {
                heard.read(line);
                println!("{line}");
            }
        })?;
        heard.took = began.elapsed();
        let facts: Vec<String> = heard.facts.iter().map(|(name, value)| format!("{name} {value}")).collect();
        note(&facts.join(", "));
        Ok(heard)
    })
}

/// Programs, what is said to each, and where it is; and the images that they need.
type Chosen = (Vec<(Run, PathBuf)>, Vec<&'static str>);

/// Compile the programs, and choose those that have such tests. Words that choose no test are a mistake.
fn choose(workspace: &Workspace, args: &[String]) -> Result<Chosen> {
    let paths = payload::compile(workspace, &PROGRAMS)?;
    let mut runs = Vec::new();
    let mut images = vec![images::PAUSE.name, images::MANAGER.name, bases::BUSYBOX];
    let (mut tools, mut examples) = (false, false);
    for (program, path) in PROGRAMS.into_iter().zip(paths) {
        let tests = payload::tests_of(&path, args)?;
        tools |= tests.iter().any(|test| ON_TOOLS.iter().any(|start| test.starts_with(start)));
        examples |= tests.iter().any(|test| test.starts_with(ON_EXAMPLES));
        if !tests.is_empty() {
            runs.push((Run { program: program.to_owned(), args: args.to_vec() }, path));
        }
    }
    if runs.is_empty() {
        bail!("there is no such test in {}", PROGRAMS.join(" or "));
    }
    if tools {
        images.push(bases::TOOLS);
    }
    if examples {
        images.extend(crate::examples::names());
    }
    Ok((runs, images))
}

impl Heard {
    /// A line for us.
    fn hear(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let pair = || rest.split_once(' ').map(|(one, other)| (one.to_owned(), other.to_owned()));
        match word {
            "fact" => self.facts.extend(pair()),
            "ended" => self.ended.extend(pair()),
            "left" => self.left.push(rest.to_owned()),
            "failed" => self.broken = Some(rest.to_owned()),
            "done" => self.done = true,
            _ => {}
        }
    }

    /// A line of the tests. The last one of each program has the sum.
    fn read(&mut self, line: &str) {
        let Some(sums) = line.strip_prefix("test result: ") else { return };
        let sum = |word: &str| {
            let part = sums.split([';', '.']).find_map(|part| part.trim().strip_suffix(word));
            part.and_then(|number| number.trim().parse::<usize>().ok()).unwrap_or_default()
        };
        self.passed += sum("passed");
        self.failed += sum("failed");
    }

    /// Good is only what every test said in there.
    pub(crate) fn verdict(&self) -> Result<()> {
        let shown = &self.shown;
        if let Some(what) = &self.broken {
            bail!("in the virtual machine {what} could not be had; its console ends with:\n{shown}");
        }
        if !self.done || self.ended.len() != self.programs {
            bail!("the virtual machine ended before its tests did; its console ends with:\n{shown}");
        }
        let failed: Vec<&str> =
            self.ended.iter().filter(|(status, _)| status != "0").map(|(_, program)| &**program).collect();
        if self.failed > 0 || !failed.is_empty() {
            bail!(
                "{} of {} tests failed, of {}",
                self.failed,
                self.failed + self.passed,
                failed.join(" and ")
            );
        }
        if self.passed == 0 {
            bail!("no test ran in the virtual machine");
        }
        if !self.left.is_empty() {
            bail!("the tests left behind:\n{}", self.left.join("\n"));
        }
        Ok(())
    }
}
