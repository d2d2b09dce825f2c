//! Every test, with all that they need: an engine, a Swarm, images, and the static binaries.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::engine::Engine;
use crate::interrupt::{self, Interrupted};
use crate::process::{self, LONG};
use crate::report::step;
use crate::swarm::Swarm;
use crate::workspace::Workspace;
use crate::{bases, compose, dist, examples, images, packages};

/// How long what the last test removed may take to be gone.
const GONE: Duration = Duration::from_secs(15);
/// Labels of what pods and tests make.
const LABELS: [&str; 2] = ["io.tandem.pod", "io.tandem.test"];

/// Find an engine, then test.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let engine = Engine::find(workspace)?;
    test(workspace, &engine, args)
}

/// Every test. Arguments go to `cargo test`.
pub(crate) fn test(workspace: &Workspace, engine: &Engine, args: &[String]) -> Result<()> {
    // Others may use the engine as well: what is theirs is not left by us.
    let before = labelled(engine)?;
    let swarm = prepare(workspace, engine, args)?;
    step("run the tests", || {
        let mut tests = cargo_test(workspace, args, &[]);
        tests.env("TANDEM_DIST", workspace.dist()).env("TANDEM_TEST_IMAGE", bases::BUSYBOX);
        tests.env("TANDEM_TOOLS_IMAGE", bases::TOOLS);
        tests.env("DOCKER_HOST", &engine.host);
        tests.env("TANDEM_SWARM_HOST", &swarm.host).env("TANDEM_SWARM_ADDRESS", &swarm.address);
        process::shown(&mut tests, LONG)
    })?;
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
    registry(workspace)?;
    bases::busybox(workspace, engine)?;
    bases::tools(workspace, engine)?;
    examples::build(workspace, engine)?;
    let swarm = step("start a Swarm of one node", || Swarm::start(workspace, engine))?;
    step("copy the test images to the Swarm", || {
        let mut names = examples::names();
        names.push(bases::BUSYBOX);
        swarm.load(engine, &names)
    })?;
    Ok(swarm)
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
