//! Every test, with all that they need: an engine, a Swarm, images, and the static binaries.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::engine::Engine;
use crate::filter::Filter;
use crate::interrupt::{self, Interrupted};
use crate::process::{self, LONG};
use crate::report::step;
use crate::swarm::Swarm;
use crate::workspace::Workspace;
use crate::{bases, compose, dist, examples, images, packages};

/// How long what the last test removed may take to be gone.
const GONE: Duration = Duration::from_secs(15);
/// Labels of what pods and tests make; volumes that are a pod's own outlive it.
const LABELS: [&str; 3] = ["io.tandem.pod", "io.tandem.owner", "io.tandem.test"];

/// Find an engine, then test.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let engine = Engine::find(workspace)?;
    test(workspace, &engine, args)
}

/// Attackers in every kind of pod, and every hostile definition in each, where the tests try it in one.
pub(crate) fn attack(workspace: &Workspace) -> Result<()> {
    let engine = Engine::find(workspace)?;
    let settings = [("TANDEM_ATTACK", "all".to_owned())];
    let args = ["--test", "hostile_docker", "--", "attack::"].map(str::to_owned);
    test_through(workspace, &engine, &args, &Way { settings: &settings, ..Way::default() })
}

/// Faults of every kind, for longer than the tests have them.
pub(crate) fn chaos(workspace: &Workspace, seeds: u64) -> Result<()> {
    let engine = Engine::find(workspace)?;
    let settings = [("TANDEM_CHAOS", "always".to_owned()), ("TANDEM_SEEDS", seeds.to_string())];
    let args =
        ["--lib", "--test", "hostile_docker", "--", "--nocapture", "--skip", "attack::"].map(str::to_owned);
    test_through(workspace, &engine, &args, &Way { settings: &settings, limit: LONG * 8, ..Way::default() })
}

/// Pods come and go for so long, and what the node holds is looked at after each round.
pub(crate) fn soak(workspace: &Workspace, minutes: u64) -> Result<()> {
    let engine = Engine::find(workspace)?;
    let settings = [("TANDEM_SOAK", minutes.to_string())];
    let args = ["--test", "churn_docker", "--", "--nocapture"].map(str::to_owned);
    let limit = LONG + Duration::from_secs(60 * minutes);
    test_through(workspace, &engine, &args, &Way { settings: &settings, limit, ..Way::default() })
}

/// Every test. Arguments go to `cargo test`.
pub(crate) fn test(workspace: &Workspace, engine: &Engine, args: &[String]) -> Result<()> {
    test_through(workspace, engine, args, &Way::default())
}

/// The tests of pods, their managers behind the filter of `examples/socket-proxy`; those with these names, all where none
/// is named.
pub(crate) fn filtered(workspace: &Workspace, engine: &Engine, names: &[&str]) -> Result<()> {
    let way = Way { filtered: true, ..Way::default() };
    let mut args: Vec<String> = ["--test", "pod_docker"].map(str::to_owned).into();
    if !names.is_empty() {
        step("look for these tests", || there_are(workspace, &args, names))?;
        args.extend(["--", "--exact"].map(str::to_owned));
        args.extend(names.iter().map(|name| (*name).to_owned()));
    }
    test_through(workspace, engine, &args, &way)
}

/// Each of these names is one of a test: one that is not would be passed over without a word.
fn there_are(workspace: &Workspace, args: &[String], names: &[&str]) -> Result<()> {
    let list = ["--", "--list", "--format", "terse"].map(str::to_owned);
    let mut tests = cargo_test(workspace, &[args, &list].concat(), &["--quiet"]);
    let tests = process::captured(&mut tests, LONG)?;
    let is = |name: &str| tests.lines().any(|line| line.strip_suffix(": test") == Some(name));
    let missing: Vec<&str> = names.iter().copied().filter(|name| !is(name)).collect();
    if !missing.is_empty() {
        bail!("there is no test `{}`", missing.join("`, nor `"));
    }
    Ok(())
}

/// How tests are run.
struct Way<'a> {
    /// Managers reach the engine through the filter.
    filtered: bool,
    /// What the tests find in their environment.
    settings: &'a [(&'a str, String)],
    /// How long all of them may take.
    limit: Duration,
}

impl Default for Way<'_> {
    fn default() -> Self {
        Way { filtered: false, settings: &[], limit: LONG * 2 }
    }
}

fn test_through(workspace: &Workspace, engine: &Engine, args: &[String], way: &Way) -> Result<()> {
    // Others may use the engine as well: what is theirs is not left by us.
    let before = labelled(engine)?;
    let swarm = prepare(workspace, engine, args)?;
    let filter = if way.filtered { Some(Filter::start(workspace, engine)?) } else { None };
    step("run the tests", || {
        let mut tests = cargo_test(workspace, args, &[]);
        tests.env("TANDEM_DIST", workspace.dist()).env("TANDEM_TEST_IMAGE", bases::BUSYBOX);
        tests.env("TANDEM_TOOLS_IMAGE", bases::TOOLS);
        tests.envs(way.settings.iter().map(|(name, value)| (name, value)));
        if std::env::var_os("RUST_TEST_THREADS").is_none() {
            // Those on the real engine mostly wait.
            let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
            tests.env("RUST_TEST_THREADS", (2 * cores).to_string());
        }
        tests.env("DOCKER_HOST", &engine.host).env("TANDEM_XTASK", std::env::current_exe()?);
        tests.env("TANDEM_SWARM_HOST", &swarm.host).env("TANDEM_SWARM_ADDRESS", &swarm.address);
        if let Some(folder) = &swarm.certificates {
            tests.env("TANDEM_TLS_CERTIFICATES", folder);
        }
        if let Some(filter) = &filter {
            tests.env("TANDEM_ENGINE_SOCKET", filter.socket());
        }
        process::shown(&mut tests, way.limit)
    })?;
    drop(filter);
    step("look for anything that the tests left", || {
        let left =
            || -> Result<BTreeSet<String>> { Ok(labelled(engine)?.difference(&before).cloned().collect()) };
        let gone = process::until("an empty list", GONE, || Ok(left()?.is_empty().then_some(())));
        interrupt::check()?;
        if gone.is_err() {
            bail!("the tests left behind:\n{}", left()?.into_iter().collect::<Vec<_>>().join("\n"));
        }
        Ok(())
    })?;
    step("stop the Swarm", || {
        drop(swarm);
        Ok(())
    })
}

/// Compile here, while the engine makes images and a Swarm starts.
fn prepare(workspace: &Workspace, engine: &Engine, args: &[String]) -> Result<Swarm> {
    let failed = |_: &anyhow::Error| interrupt::abandon();
    let (aside, built) = thread::scope(|scope| {
        let aside = scope.spawn(|| things(workspace, engine).inspect_err(failed));
        let built = programs(workspace, engine, args).inspect_err(failed);
        (aside.join(), built)
    });
    let aside = aside.map_err(|_| anyhow!("invariant: a thread of this tool does not panic"))?;
    // Where one failed, the other one was given up: the cause is what to tell.
    let swarm = match (aside, built) {
        (Ok(swarm), Ok(())) => swarm,
        (Err(error), Ok(())) | (Ok(_), Err(error)) => return Err(error),
        (Err(error), Err(other)) => {
            return Err(if error.downcast_ref::<Interrupted>().is_some() { other } else { error });
        }
    };
    step("copy tandem's images to the Swarm", || {
        swarm.load(engine, &[images::PAUSE.name, images::MANAGER.name])
    })?;
    Ok(swarm)
}

/// What the tests run on.
fn things(workspace: &Workspace, engine: &Engine) -> Result<Swarm> {
    compose::find(workspace, engine)?;
    surroundings(workspace, engine)?;
    let swarm = step("start a Swarm of one node", || Swarm::start(workspace, engine))?;
    step("copy the test images to the Swarm", || {
        let mut names = examples::names();
        names.push(bases::BUSYBOX);
        swarm.load(engine, &names)
    })?;
    Ok(swarm)
}

/// What the tests find beside the images under test: a registry, and images for components.
pub(crate) fn surroundings(workspace: &Workspace, engine: &Engine) -> Result<()> {
    registry(workspace)?;
    bases::busybox(workspace, engine)?;
    bases::tools(workspace, engine)?;
    examples::build(workspace, engine)
}

/// A real registry, for images that need a password.
fn registry(workspace: &Workspace) -> Result<()> {
    if process::installed("docker-registry") {
        return Ok(());
    }
    let otherwise = "private registries are tested with a real one: install the program `docker-registry` (Debian's \
                     package of that name)";
    packages::install(workspace, &["docker-registry"], otherwise)
}

/// What the tests run, and the tests themselves.
fn programs(workspace: &Workspace, engine: &Engine, args: &[String]) -> Result<()> {
    images::build(workspace, engine)?;
    dist::attacker(workspace)?;
    step("compile the tests", || {
        let mut compile = cargo_test(workspace, args, &["--no-run"]);
        process::shown(&mut compile, LONG)
    })
}

/// `cargo test`, of everything unless the arguments name a package.
fn cargo_test(workspace: &Workspace, args: &[String], more: &[&str]) -> std::process::Command {
    let (ours, theirs) = match args.iter().position(|arg| arg == "--") {
        Some(at) => args.split_at(at),
        None => (args, &[][..]),
    };
    let mut test = workspace.cargo(["test", "--locked"]);
    if !ours.iter().any(|arg| arg == "-p" || arg.starts_with("--package")) {
        // Not all features: a program without the standard library, `pause`, cannot be linked by the test profile.
        test.args(["--workspace", "--features", "manager/docker-tests"]);
    }
    test.args(more).args(ours).args(theirs);
    test
}

/// Containers, volumes and networks that a pod or a test made.
fn labelled(engine: &Engine) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for label in LABELS {
        let filter = format!("label={label}");
        for (kind, list, name) in [
            ("container", &["container", "ls", "-a"][..], "{{.Names}}"),
            ("volume", &["volume", "ls"], "{{.Name}}"),
            ("network", &["network", "ls"], "{{.Name}}"),
        ] {
            let words = list.iter().copied().chain(["--filter", &filter, "--format", name]);
            found.extend(engine.ask(words)?.lines().map(|name| format!("{kind} {name}")));
        }
    }
    Ok(found)
}
