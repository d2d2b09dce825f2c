//! The only build tool: `cargo xtask demo | test | attack | images | bench | fuzz | ci`.
//!
//! It drives Docker as its users do, by the `docker` command, and needs nothing but Cargo: on Debian as root it
//! installs what is missing and says so, anywhere else it says the one thing to do.
//!
//! # Layout
//! | file | does |
//! |---|---|
//! | `demo`, `suite`, `ci`, `bench`, `fuzz`, `images` | one command each |
//! | `dist` | the static release binaries, in `target/dist/` |
//! | `bases` | base images: pulled where a registry answers, made here where none does |
//! | `examples` | the images of `examples/` |
//! | `context` | what is sent to `docker build`, as an archive |
//! | `engine` | finds an engine, or starts a private one |
//! | `swarm` | a Swarm of one node, for the tests |
//! | `daemon` | a dockerd of our own, and the end of it |
//! | `compose`, `http` | what the demo looks at the pod with |
//! | `packages` | Debian's packages |
//! | `workspace` | where things are |
//! | `report` | one line when a step begins, one when it ends |
//! | `process` | runs programs: every one has a time limit, and ends when we are told to end |
//! | `interrupt` | Ctrl-C and TERM |
//!
//! Whatever must be undone is undone when its owner is dropped, on success, failure and Ctrl-C alike. So nothing in here
//! panics (the workspace aborts on panic, which drops nothing), and an interrupt is an error like any other.
#![allow(
    clippy::disallowed_methods,
    reason = "a build tool acts: files, clock and environment are its business"
)]

mod bases;
mod bench;
mod ci;
mod compose;
mod context;
mod daemon;
mod demo;
mod dist;
mod engine;
mod examples;
mod fuzz;
mod http;
mod images;
mod interrupt;
mod packages;
mod process;
mod report;
mod suite;
mod swarm;
mod workspace;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::engine::Engine;
use crate::interrupt::Interrupted;
use crate::workspace::Workspace;

/// Builds, tests and shows Tandem.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand)]
enum Command {
    /// Run the example pod as a user would, show it working, and show that it leaves nothing behind.
    Demo,
    /// Run every test. What stands behind `--` goes to `cargo test`.
    Test {
        /// Arguments for `cargo test`, e.g. `--test pod_docker a_component`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Let attackers loose in every kind of pod, and write what they reached to `target/attack.md`.
    Attack,
    /// Build the static binaries (`target/dist/`) and the images `tandem/pause` and `tandem/manager`.
    Images {
        /// Build the Dockerfiles inside Docker, from a clean clone of the last commit.
        #[arg(long)]
        in_docker: bool,
    },
    /// Measure sizes, memory and wake-ups; fail where one is above its ceiling.
    Bench,
    /// Feed the manager what strangers may send it, labels and output of components, and see that it bears it.
    Fuzz {
        /// One target of `manager/fuzz/fuzz_targets`; all where none is named.
        target: Option<String>,
        /// Time for each target, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// What CI runs: formatting, clippy, rustdoc, every test, fuzzing, the ceilings, the Dockerfiles, the demo.
    Ci,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match interrupt::listen().and_then(|()| run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::from(error.downcast_ref::<Interrupted>().map_or(1, Interrupted::status))
        }
    }
}

/// Everything between the command line and the exit status.
fn run(command: Command) -> Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Demo => demo::run(&workspace),
        Command::Test { args } => suite::run(&workspace, &args),
        Command::Attack => suite::run(&workspace, &["--test", "attack_docker"].map(str::to_owned)),
        Command::Images { in_docker } => {
            let engine = Engine::find(&workspace)?;
            if in_docker {
                images::build_in_docker(&workspace, &engine)
            } else {
                images::build(&workspace, &engine)
            }
        }
        Command::Bench => bench::run(&workspace),
        Command::Fuzz { target, seconds } => {
            fuzz::run(&workspace, target.as_deref(), Duration::from_secs(seconds))
        }
        Command::Ci => ci::run(&workspace),
    }
}
