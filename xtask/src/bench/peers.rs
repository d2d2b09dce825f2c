//! `pause` beside what else is taken for PID 1: a C pause of the Kubernetes kind, tini, catatonit and dumb-init.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::report::{Figure, Goal};
use crate::packages;
use crate::process::{self, LONG};
use crate::report::step;
use crate::workspace::Workspace;

/// A pause as Kubernetes has it.
const PAUSE: &str = include_str!("pause.c");
/// Starts a program as PID 1 of a namespace, again and again, and says what that took.
const MEASURE: &str = include_str!("measure.c");

/// How often a program is started and ended.
const ENDS: usize = 200;
/// How many orphans it is given to reap.
const ORPHANS: usize = 4_000;
/// So often at least, unless it is only to be shown that it runs: what takes microseconds differs from time to time.
const AT_LEAST: usize = 7;

/// Something to be PID 1.
struct Peer {
    name: &'static str,
    program: PathBuf,
    /// What stands behind it: most want something to start.
    args: &'static [&'static str],
}

/// Measure them all, so many times each.
pub(super) fn measure(workspace: &Workspace, runs: usize, idle_seconds: u64) -> Result<Vec<Figure>> {
    let (runs, orphans) = if runs == 1 { (1, ORPHANS / 8) } else { (runs.max(AT_LEAST), ORPHANS) };
    if !nix::unistd::geteuid().is_root() {
        bail!("`pause` and its peers are measured as PID 1 of a namespace: run this part as root");
    }
    let wanted = ["gcc", "libc6-dev", "musl-tools", "tini", "catatonit", "dumb-init"];
    if ["gcc", "musl-gcc", "tini", "catatonit", "dumb-init"]
        .iter()
        .any(|program| !process::installed(program))
    {
        packages::install(
            workspace,
            &wanted,
            &format!("the peers of pause are Debian's {}: install them", wanted.join(", ")),
        )?;
    }
    let folder = workspace.own("peers")?;
    let compile = |compiler: &str, source: &str, name: &str| -> Result<PathBuf> {
        let (from, to) = (folder.join(format!("{name}.c")), folder.join(name));
        fs::write(&from, source)?;
        let mut compile = process::command(compiler);
        compile.args(["-Os", "-static", "-s", "-Wall", "-Werror", "-o"]).arg(&to).arg(&from);
        process::captured(&mut compile, LONG)?;
        Ok(to)
    };
    let (glibc, musl, driver) = step("compile a C pause with glibc and with musl", || {
        Ok((
            compile("gcc", PAUSE, "pause-glibc")?,
            compile("musl-gcc", PAUSE, "pause-musl")?,
            compile("gcc", MEASURE, "measure")?,
        ))
    })?;
    let debian = |name: &str| -> Result<PathBuf> {
        Ok(process::found(name).with_context(|| format!("there is no `{name}`"))?.canonicalize()?)
    };
    let peers = [
        Peer { name: "tandem", program: workspace.dist().join("pause"), args: &[] },
        Peer { name: "C (glibc)", program: glibc, args: &[] },
        Peer { name: "C (musl)", program: musl, args: &[] },
        Peer { name: "catatonit", program: debian("catatonit")?, args: &["-P"] },
        Peer { name: "tini", program: debian("tini")?, args: &["--", "sleep", "1000000"] },
        Peer { name: "dumb-init", program: debian("dumb-init")?, args: &["--", "sleep", "1000000"] },
    ];
    step(&format!("measure pause beside {} others, {runs} times each", peers.len() - 1), || {
        figures(&driver, &peers, (runs, orphans), idle_seconds)
    })
}

fn figures(
    driver: &Path,
    peers: &[Peer],
    (runs, orphans): (usize, usize),
    idle_seconds: u64,
) -> Result<Vec<Figure>> {
    let figure = |key: &'static str, what: &str, unit: &'static str, how: &'static str| {
        (key, Figure::new("pause", &format!("pause: {what}"), unit, how))
    };
    let mut all = [
        figure("resident_kb", "resident memory", "kB", "`VmRSS` as PID 1 of a namespace"),
        figure("private_kb", "private memory", "kB", "`Private_Clean` and `Private_Dirty` of `smaps_rollup`"),
        figure(
            "switches",
            "context switches while idle",
            "",
            "over 3 s (1 s with `--quick`) in which nothing happens to it, all of them at once",
        ),
        figure(
            "ready_us",
            "start to ready",
            "µs",
            "from `execve` as PID 1 until the kernel says that TERM is caught or blocked, and so not lost; the middle of 200, each \
             time in another order of the peers",
        ),
        figure(
            "exit_us",
            "TERM to exit",
            "µs",
            "from the signal until its parent has waited for it; the middle of 200, as above",
        ),
        figure(
            "orphans_per_s",
            "orphans reaped",
            "1/s",
            "zombies whose parents are gone, made while it is stopped (SIGSTOP); from SIGCONT until none is left, the middle of fifteen rounds",
        ),
    ];
    let mut file = Figure::new(
        "pause",
        "pause: file",
        "bytes",
        "the program; tini and dumb-init are linked dynamically or not as Debian does",
    );
    for peer in peers {
        let size = fs::metadata(&peer.program).with_context(|| peer.program.display().to_string())?.len();
        file.add(peer.name, size as f64);
    }
    for _ in 0..runs {
        let mut measure = process::command(driver);
        measure.args([ENDS.to_string(), orphans.to_string(), idle_seconds.to_string()]);
        for (place, peer) in peers.iter().enumerate() {
            measure.args((place > 0).then_some(",")).arg(&peer.program).args(peer.args);
        }
        let said = process::captured(&mut measure, LONG)?;
        if said.lines().count() != peers.len() {
            bail!("of {} programs that were to be measured it says:\n{said}", peers.len());
        }
        for (peer, line) in peers.iter().zip(said.lines()) {
            let said: BTreeMap<String, Value> = serde_json::from_str(line)?;
            for (key, figure) in &mut all {
                let value = said.get(*key).and_then(Value::as_f64);
                figure.add(peer.name, value.with_context(|| format!("no {key}"))?);
            }
        }
    }
    file.goals = vec![Goal::AtMost(18.0 * 1024.0), Goal::Times(1.0 / 37.0, "C (glibc)".to_owned())];
    for (key, figure) in &mut all {
        figure.goals = match *key {
            "resident_kb" | "private_kb" => vec![Goal::Times(1.0, "C (musl)".to_owned())],
            "switches" => vec![Goal::AtMost(0.0)],
            "exit_us" => vec![Goal::BestTimes(1.0)],
            "ready_us" => vec![Goal::BestTimes(1.0 / 0.95)],
            "orphans_per_s" => vec![Goal::BestShare(0.95)],
            _ => Vec::new(),
        };
    }
    Ok(std::iter::once(file).chain(all.into_iter().map(|(_, figure)| figure)).collect())
}
