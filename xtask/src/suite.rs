//! Every test, and what CI runs.

use std::fs;

use anyhow::{Result, bail};

use crate::shell::{capture, cargo, command, docker, engine as engine_env, root, run, step};
use crate::{bases, cleanup, demo, engine, images};

/// Ceiling of the manager image in bytes (issue #2). `pause` has its own in `pause/properties.toml`.
const MANAGER_IMAGE: u64 = 5_000_000;

/// Every test: what they need is made first.
pub(crate) fn test(args: &[String]) -> Result<()> {
    engine::ready()?;
    let dist = images::build()?;
    bases::busybox()?;
    bases::examples()?;
    let swarm = step("start a Swarm of one node, for the tests of stacks", engine::swarm)?;
    step("copy the images to it", || {
        let mut names = vec!["tandem/manager:latest", "tandem/pause:latest", bases::BUSYBOX];
        names.extend(bases::example_images().into_keys());
        engine::copy_images(&names, &swarm)
    })?;
    let result = step("run the tests", || {
        let mut words = vec!["test", "--workspace", "--features", "manager/docker-tests"];
        words.extend(args.iter().map(String::as_str));
        let mut tests = cargo(&words);
        tests.env("TANDEM_DIST", &dist).env("TANDEM_TEST_IMAGE", bases::BUSYBOX);
        tests.env("TANDEM_SWARM_HOST", &swarm.host).envs(engine_env());
        run(&mut tests)
    });
    let left = capture(&mut docker(&["ps", "-a", "--filter", "label=io.tandem.test", "--format", "{{.Names}}"]))?;
    cleanup::run();
    result?;
    if !left.is_empty() {
        bail!("the tests left containers behind: {}", left.replace('\n', ", "));
    }
    Ok(())
}

/// What CI runs; the same steps a developer runs, nothing else.
pub(crate) fn ci() -> Result<()> {
    step("cargo fmt --check", || run(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("nothing is left open in the source", left_open)?;
    step("cargo clippy", || {
        run(&mut cargo(&[
            "clippy", "--workspace", "--all-targets", "--features", "manager/docker-tests", "--", "-D", "warnings",
        ]))?;
        // Its own step: a program without the standard library cannot be linked by a test profile.
        run(&mut cargo(&["clippy", "-p", "pause", "--bin", "pause", "--features", "program", "--", "-D", "warnings"]))
    })?;
    step("cargo doc", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    test(&[])?;
    step("binary sizes", sizes)?;
    demo::run()?;
    cleanup::run();
    engine::ready()?;
    images::from_dockerfiles(&[
        ("tandem-ci/pause:latest", "Dockerfile.pause"),
        ("tandem-ci/manager:latest", "Dockerfile.manager"),
    ])?;
    cleanup::run();
    eprintln!("\nci: all steps passed");
    Ok(())
}

fn sizes() -> Result<()> {
    let image = bases::size("tandem/manager:latest")?;
    if image > MANAGER_IMAGE {
        bail!("the manager image has {image} bytes, more than {MANAGER_IMAGE}");
    }
    eprintln!("    tandem/manager: {image} bytes, tandem/pause: {} bytes", bases::size("tandem/pause:latest")?);
    Ok(())
}

/// No notes to self, no test that is switched off.
fn left_open() -> Result<()> {
    let files = capture(command("git", &["ls-files", "*.rs"]).current_dir(root()))?;
    // Put together here, so that this file does not find itself.
    let words = ["TO", "FIX", "XX"].into_iter().zip(["DO", "ME", "X"]);
    let mut words: Vec<String> = words.map(|(a, b)| format!("{a}{b}")).collect();
    words.push(format!("#[{}", "ignore"));
    let mut found = Vec::new();
    for file in files.lines() {
        let text = fs::read_to_string(root().join(file))?;
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    if !found.is_empty() {
        bail!("left open:\n{}", found.join("\n"));
    }
    Ok(())
}
