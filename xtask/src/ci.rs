//! What CI runs: the steps that a developer runs, and nothing else. The quick ones come first.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::engine::Engine;
use crate::process::{self, LONG, SHORT};
use crate::report::{note, step};
use crate::workspace::Workspace;
use crate::{bench, demo, fuzz, images, suite, vm};

/// The test command that the README gives; it is the one that is run here.
const README_COMMAND: &str = "cargo xtask test";

/// The tests of pods that CI runs once more behind the filter, for every kind of call of the engine one that makes it (the
/// list is `crates/engine/src/allowlist.rs`); `cargo xtask filtered` runs all.
const FILTERED: [&str; 15] = [
    "pod::agent::pods_that_are_there_and_pods_that_come_are_run_each_to_its_own_end",
    "pod::agent::why_a_pod_ends_is_in_its_own_log_too",
    "pod::copy::files_and_folders_keep_mode_and_owner",
    "pod::debug::in_a_terminal_it_has_one_of_the_same_size",
    "pod::debug::it_is_in_the_pods_network_and_among_its_processes_and_the_pod_takes_no_notice",
    "pod::hooks::others_wait_for_post_start_and_it_runs_as_it_is_asked_to",
    "pod::life::a_component_is_started_again_in_place_with_its_files_and_joined_to_the_pod",
    "pod::life::components_begin_and_end_in_their_order_with_sidecars_first_and_last",
    "pod::life::what_a_component_that_failed_wrote_last_is_in_the_log",
    "pod::life::what_a_dead_pod_left_is_swept_by_any_manager_and_nothing_else_is_touched",
    "pod::life::what_the_pods_of_a_node_do_can_be_asked",
    "pod::outside::a_manager_that_is_killed_leaves_the_pod_running_and_takes_it_up_again",
    "pod::outside::its_files_secrets_and_copies_are_read_through_it",
    "pod::registries::an_image_of_a_private_registry_is_pulled_with_the_password_from_either_file",
    "pod::secrets::a_component_sees_its_own_files_with_the_mode_and_owner_that_were_asked_for",
];

/// How long CI fuzzes each target; `cargo xtask fuzz --seconds N` goes on from there.
const FUZZ: Duration = Duration::from_secs(10);

/// Run all of it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let cargo = |args: &[&str]| process::shown(&mut workspace.cargo(args.iter().copied()), LONG);
    step("cargo fmt --check", || {
        cargo(&["fmt", "--all", "--check"])?;
        cargo(&["fmt", "--manifest-path", "manager/fuzz/Cargo.toml", "--check"])
    })?;
    step("look whether the fuzz targets' Cargo.lock fits", || {
        let tree =
            ["tree", "--quiet", "--locked", "--manifest-path", "manager/fuzz/Cargo.toml", "--depth", "0"];
        process::captured(&mut workspace.cargo(tree), LONG)
    })?;
    step("look for notes to self and tests that are switched off", || nothing_open(workspace))?;
    step(&format!("look for `{README_COMMAND}` in the README"), || {
        if !fs::read_to_string(workspace.file("README.md"))?.contains(README_COMMAND) {
            bail!("the README does not say `{README_COMMAND}`");
        }
        Ok(())
    })?;
    step("cargo clippy", || {
        let all =
            ["clippy", "--locked", "--workspace", "--all-targets", "--features", "manager/docker-tests"];
        cargo(&[&all[..], &["--", "-D", "warnings"]].concat())?;
        // Not among all targets: this test runs by its name alone.
        let features = "manager/docker-tests";
        let ingress =
            ["clippy", "--locked", "--workspace", "--features", features, "--test", "ingress_docker"];
        cargo(&[&ingress[..], &["--", "-D", "warnings"]].concat())?;
        // On its own: no test profile can have a program without the standard library.
        let pause = ["clippy", "--locked", "--package", "pause", "--features", "program", "--bin", "pause"];
        cargo(&[&pause[..], &["--", "-D", "warnings"]].concat())
    })?;
    step("cargo doc", || {
        let mut doc =
            workspace.cargo(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
        process::shown(doc.env("RUSTDOCFLAGS", "-D warnings"), LONG)
    })?;
    let engine = Engine::find(workspace)?;
    suite::test(workspace, &engine, &[])?;
    suite::filtered(workspace, &engine, &FILTERED)?;
    fuzz::run(workspace, None, FUZZ)?;
    bench::measure(
        workspace,
        &engine,
        &bench::Order { parts: Vec::new(), quick: true, runs: 1, keep: false },
    )?;
    // From here on with the images that the Dockerfiles make, as a user would have them.
    images::build_in_docker(workspace, &engine)?;
    demo::show(workspace, &engine)?;
    // And on a host as they are today, with these images.
    vm::test(workspace, &engine, vm::Release::Trixie, vm::Driver::Systemd, &vm::Suite::of(false, &[]))?
        .verdict()?;
    note("ci: all steps passed");
    Ok(())
}

/// No notes to self, no test that is switched off.
fn nothing_open(workspace: &Workspace) -> Result<()> {
    let files = process::captured(
        &mut workspace.git(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]),
        SHORT,
    )?;
    // Put together here, so that this file does not find itself.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let switched_off = ["#[", "ignore"].concat();
    let mut found = Vec::new();
    let is_source = |file: &&str| {
        [".rs", ".py", ".yml", ".toml", ".conf", ".ld"].iter().any(|end| file.ends_with(end))
            || file.contains("Dockerfile")
            || file.starts_with(".ci/")
    };
    for file in files.split('\0').filter(is_source) {
        // Listed, but deleted in the working tree.
        let Ok(text) = fs::read_to_string(workspace.file(file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let mut tokens = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            if tokens.any(|token| words.iter().any(|word| word == token)) || line.contains(&switched_off) {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    if !found.is_empty() {
        bail!("left open:\n{}", found.join("\n"));
    }
    Ok(())
}
