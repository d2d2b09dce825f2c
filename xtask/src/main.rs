//! The only build tool: `cargo xtask demo | test | attack | chaos | soak | filtered | images | bench | fuzz | schema | lab | ci`.
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
//! | `schema` | a newer schema of Compose against what the code knows |
//! | `examples` | the images of `examples/` |
//! | `context` | what is sent to `docker build`, as an archive |
//! | `engine` | finds an engine, or starts a private one |
//! | `certificates` | for the engine with TLS that the tests speak to |
//! | `filter` | the socket proxy of `examples/` in front of the engine |
//! | `swarm` | a Swarm of one node, for the tests |
//! | `daemon` | a dockerd of our own, and the end of it |
//! | `rootless` | what makes it rootless |
//! | `lab`, `network` | several of them on one network, and what may happen to them |
//! | `vm` | the tests in a virtual machine: today's hosts |
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
mod certificates;
mod ci;
mod compose;
mod context;
mod daemon;
mod demo;
mod dist;
mod engine;
mod examples;
mod filter;
mod fuzz;
mod http;
mod images;
mod interrupt;
mod lab;
mod network;
mod packages;
mod process;
mod report;
mod rootless;
mod schema;
mod suite;
mod swarm;
mod vm;
mod workspace;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

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
    /// Let attackers loose in every kind of pod, from within and by its definition, and write what they reached to
    /// `target/attack.md` and `target/definition.md`.
    Attack,
    /// Give pods every fault of their connection to the engine, once and again and again, and play histories from
    /// seeds.
    Chaos {
        /// How many histories.
        #[arg(long, default_value_t = 100_000)]
        seeds: u64,
    },
    /// Let pods come and go for as long as you say, some of them killed, and print after each round what the node holds;
    /// fail where it is more than before.
    Soak {
        /// So many minutes.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Run the tests of pods through the socket proxy of `examples/`, which lets through the listed calls alone.
    Filtered {
        /// The whole names of tests; all where none is named.
        names: Vec<String>,
    },
    /// Build the static binaries (`target/dist/`) and the images `tandem/pause` and `tandem/manager`.
    Images {
        /// Build the Dockerfiles inside Docker, from a clean clone of the last commit.
        #[arg(long)]
        in_docker: bool,
    },
    /// Measure what Tandem costs, beside what else a user would take: print a table, write JSON and pictures. Fails where a
    /// size is above its ceiling.
    Bench {
        /// Which of it; all where none is named.
        #[arg(value_enum)]
        parts: Vec<bench::Part>,
        /// Little of each, once: only to see that it runs.
        #[arg(long)]
        quick: bool,
        /// How often most things are measured: starts and `pause` seven times at least, logs three times and agents four times
        /// at most, memory and a hundred pods twice. Once is as quick.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
        runs: u8,
        /// Keep the results in `xtask/src/bench/results` and in `docs/benchmarks.md`: of the parts that are named, beside what was
        /// kept of the others.
        #[arg(long, conflicts_with = "quick")]
        keep: bool,
    },
    /// Feed the manager what strangers may send it, labels and output of components, and see that it bears it.
    Fuzz {
        /// One target of `manager/fuzz/fuzz_targets`; all where none is named.
        target: Option<String>,
        /// Time for each target, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Compare a newer schema of Compose with the keys that the code knows, and say for each new key what to do. Fails where
    /// any differ.
    Schema {
        /// `compose-spec.json`, as the repositories compose-spec and compose-go have it.
        file: std::path::PathBuf,
    },
    /// Engines to try things on, beside the one at hand, which end with their input; and the tests on today's hosts, in a
    /// virtual machine.
    Lab {
        #[command(subcommand)]
        what: LabWhat,
    },
    /// What CI runs: formatting, clippy, rustdoc, every test, fuzzing, the ceilings, the Dockerfiles, the demo, and the core suite
    /// in a virtual machine.
    Ci,
}

/// Which engines.
#[derive(Subcommand)]
enum LabWhat {
    /// One engine, which may be restarted.
    Engine {
        /// Containers run on while it is away.
        #[arg(long)]
        live_restore: bool,
        /// It makes its socket itself, a new one at each start, as without systemd.
        #[arg(long)]
        own_socket: bool,
        /// Users of its containers are others on the host.
        #[arg(long)]
        userns_remap: bool,
        /// It runs as an ordinary user; its containers have no network but their own.
        #[arg(long)]
        rootless: bool,
        /// Images of the engine at hand to copy there.
        #[arg(long = "image")]
        images: Vec<String>,
    },
    /// A Swarm; the first node is its manager.
    Swarm {
        /// How many nodes.
        #[arg(long, default_value_t = 3)]
        nodes: u8,
        /// Images of the engine at hand to copy to each.
        #[arg(long = "image")]
        images: Vec<String>,
    },
    /// Run the core suite on every Debian with both drivers of cgroups, each in a virtual machine, and write
    /// `xtask/src/vm/matrix.md`.
    All {
        /// Which of them; all where none is named.
        #[arg(value_enum)]
        releases: Vec<vm::Release>,
        /// With this driver alone.
        #[arg(long, value_enum)]
        driver: Option<vm::Driver>,
        /// With the images that the engine has: nothing but the tests is built.
        #[arg(long)]
        no_build: bool,
    },
    /// Run the tests of pods on a Debian with systemd, cgroup v2, AppArmor and its own engine, in a virtual machine: a core
    /// suite where you name none.
    Vm {
        /// Which Debian.
        #[arg(value_enum, default_value = "trixie")]
        release: vm::Release,
        /// Who makes the engine's cgroups.
        #[arg(long, value_enum, default_value = "systemd")]
        driver: vm::Driver,
        /// With the images that the engine has: nothing but the tests is built.
        #[arg(long)]
        no_build: bool,
        /// Every test instead of the core suite: hours, where no hardware helps.
        #[arg(long)]
        all: bool,
        /// Arguments for the test programs, e.g. `pod::life`.
        #[arg(last = true)]
        args: Vec<String>,
    },
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
        Command::Filtered { names } => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            suite::filtered(&workspace, &Engine::find(&workspace)?, &names)
        }
        Command::Attack => suite::attack(&workspace),
        Command::Chaos { seeds } => suite::chaos(&workspace, seeds),
        Command::Soak { minutes } => suite::soak(&workspace, minutes),
        Command::Images { in_docker } => {
            let engine = Engine::find(&workspace)?;
            if in_docker {
                images::build_in_docker(&workspace, &engine)
            } else {
                images::build(&workspace, &engine)
            }
        }
        Command::Bench { parts, quick, runs, keep } => {
            bench::run(&workspace, &bench::Order { parts, quick, runs: runs.into(), keep })
        }
        Command::Fuzz { target, seconds } => {
            fuzz::run(&workspace, target.as_deref(), Duration::from_secs(seconds))
        }
        Command::Schema { file } => schema::run(&workspace, &file),
        Command::Lab {
            what: LabWhat::Engine { live_restore, own_socket, userns_remap, rootless, images },
        } => {
            let kind = lab::Kind {
                name: "lab",
                nodes: 1,
                live_restore,
                own_sockets: own_socket,
                remapped: userns_remap,
                rootless,
                ..lab::Kind::default()
            };
            lab::run(&workspace, &kind, false, &images)
        }
        Command::Lab { what: LabWhat::Swarm { nodes, images } } => {
            lab::run(&workspace, &lab::Kind { name: "lab", nodes, ..lab::Kind::default() }, true, &images)
        }
        Command::Lab { what: LabWhat::Vm { release, driver, no_build, all, args } } => {
            vm::run(&workspace, release, driver, !no_build, &vm::Suite::of(all, &args))
        }
        Command::Lab { what: LabWhat::All { releases, driver, no_build } } => {
            let releases =
                if releases.is_empty() { vm::Release::value_variants() } else { releases.as_slice() };
            let drivers = driver.as_ref().map_or(vm::Driver::value_variants(), std::slice::from_ref);
            vm::matrix::run(&workspace, releases, drivers, !no_build)
        }
        Command::Ci => ci::run(&workspace),
    }
}
