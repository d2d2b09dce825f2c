//! Pods on the real engine, beside what a user would take instead and beside the engine's own limit. `cargo xtask bench` runs
//! this and reads the lines of JSON that it prints, one figure each; alone it is of no use.
//!
//! `pods PREFIX SOCKET COMPOSE RUNS PART...`: each part is measured so many times, the ways of doing it one after the other within each
//! time, so that a busy moment of the machine falls on all of them.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark acts, and reads the clock")]

mod agent;
mod chain;
mod engine;
mod logs;
mod memory;
mod mounts;
mod neighbours;
mod process;
mod proxy;
mod start;
mod stats;
mod ways;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use engine::{Engine, Result};

/// The small image.
const BUSYBOX: &str = "tandem-test/busybox:latest";
/// The bare pause.
const PAUSE: &str = "tandem/pause:latest";
/// The two-process image.
const MANAGER: &str = "tandem/manager:latest";

/// Where and how often.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    /// The engine's socket on its own host.
    pub(crate) socket: PathBuf,
    /// The words that call Compose.
    pub(crate) compose: Vec<String>,
    pub(crate) runs: usize,
}

impl Bench {
    /// How long idle programs are watched: so long, or a second where it only has to be shown that it runs.
    pub(crate) fn idle(&self, long: Duration) -> Duration {
        if self.whole() { long } else { Duration::from_secs(1) }
    }

    /// A long run, not one that only shows that it runs.
    pub(crate) fn whole(&self) -> bool {
        self.runs > 1
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [prefix, socket, compose, runs, parts @ ..] = &words[..] else { return usage() };
    let Ok(runs) = runs.parse() else { return usage() };
    let compose = compose.split(' ').map(str::to_owned).collect();
    let bench = Bench { engine: Engine::at(socket, prefix), socket: PathBuf::from(socket), compose, runs };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&bench, parts)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("pods PREFIX SOCKET COMPOSE RUNS PART...: run by `cargo xtask bench`");
    ExitCode::from(64)
}

async fn run(bench: &Bench, parts: &[String]) -> Result<()> {
    for part in parts {
        match part.as_str() {
            "start" => start::measure(bench).await?,
            "chain" => chain::measure(bench).await?,
            "memory" => memory::measure(bench).await?,
            "logs" => logs::measure(bench).await?,
            "agent" => {
                agent::measure(bench).await?;
                neighbours::measure(bench).await?;
            }
            other => return Err(format!("there is no part `{other}`").into()),
        }
    }
    Ok(())
}
