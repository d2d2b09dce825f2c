//! Fuzzing: the targets of `manager/fuzz`, each for a bounded time, on the toolchain at hand.
//!
//! libFuzzer needs code with counters in it. `cargo fuzz` asks rustc for them by the codegen flags below, and beyond
//! them only for a sanitizer, which needs a nightly toolchain and finds little in code without `unsafe`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, LONG};
use crate::report::{note, step};
use crate::workspace::Workspace;
use crate::{dist, packages};

/// What puts the counters in.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=16";
/// Memory that one target may take, MiB: what a manager may be made to take by labels and output, and more.
const MOST_MEMORY_MIB: u32 = 512;
/// How long one input may take, seconds.
const LONGEST_RUN_SECS: u32 = 10;
/// The longest input, bytes.
const LONGEST_INPUT: u32 = 64 * 1024;

/// Run every target, or the one of this name, for so long each.
pub(crate) fn run(workspace: &Workspace, only: Option<&str>, each: Duration) -> Result<()> {
    if !process::installed("c++") {
        packages::install(workspace, &["g++"], "install a C++ compiler: libFuzzer is built here")?;
    }
    let triple = dist::triple()?.context("fuzzing needs a glibc Linux on x86_64 or aarch64")?;
    let home = workspace.file("manager/fuzz");
    let mut targets: Vec<String> = fs::read_dir(home.join("fuzz_targets"))?
        .map(|entry| Ok(entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    targets.sort();
    if let Some(only) = only {
        if !targets.iter().any(|target| target == only) {
            bail!("there is no target `{only}`; valid are {}", targets.join(", "));
        }
        targets.retain(|target| target == only);
    }
    let built = workspace.target.join("fuzz");
    step("build the fuzz targets", || {
        let mut build = workspace.cargo(["build", "--quiet", "--locked", "--release", "--target", &triple]);
        build.arg("--target-dir").arg(&built).current_dir(&home).env("RUSTFLAGS", FLAGS);
        process::shown(&mut build, LONG)
    })?;
    for target in &targets {
        step(&format!("fuzz `{target}` for {} s", each.as_secs()), || {
            // What is found is kept: the next run begins with it.
            let found = workspace.own(&format!("fuzz/{target}"))?;
            let log = workspace.log(&format!("fuzz-{target}"))?;
            let mut fuzz = process::command(built.join(&triple).join("release").join(target));
            fuzz.arg(format!("-max_total_time={}", each.as_secs()))
                .arg(format!("-rss_limit_mb={MOST_MEMORY_MIB}"))
                .arg(format!("-timeout={LONGEST_RUN_SECS}"))
                .arg(format!("-max_len={LONGEST_INPUT}"))
                .arg(format!("-artifact_prefix={}/", workspace.own("fuzz-crashes")?.display()))
                .args(["-print_final_stats=1", "-use_value_profile=1"])
                .arg(&found)
                .arg(home.join("corpus").join(target));
            process::logged(&mut fuzz, &log, each + LONG)?;
            let said = fs::read_to_string(&log).unwrap_or_default();
            let stat = |name: &str| {
                let line = said.lines().find_map(|line| line.strip_prefix(&format!("stat::{name}:")));
                line.unwrap_or("?").trim().to_owned()
            };
            note(&format!("{} inputs, at most {} MB", stat("number_of_executed_units"), stat("peak_rss_mb")));
            Ok(())
        })?;
    }
    Ok(())
}
