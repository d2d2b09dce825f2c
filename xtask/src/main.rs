//! The only build tool: `cargo xtask demo | test | images | bench | ci`.
//!
//! # Layout
//! | file | does |
//! |---|---|
//! | `shell` | runs commands, with progress and limits |
//! | `cleanup` | what must be undone at the end, also after a failure or Ctrl-C |
//! | `engine` | finds an engine, or starts a private one; a second one for Swarm |
//! | `bases` | base images, made here where none can be pulled |
//! | `images` | the binaries and the two images |
//! | `demo` | the example pod, shown working |
//! | `suite` | `test` and `ci` |
//! | `bench` | sizes and memory |

mod bases;
mod bench;
mod cleanup;
mod demo;
mod engine;
mod images;
mod shell;
mod suite;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests and shows Tandem.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, run the example pod, show it working, and clean up.
    Demo,
    /// Run every test. What stands behind `--` goes to `cargo test`.
    Test {
        /// Arguments for `cargo test`, e.g. `--test pod_docker a_component`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build the static binaries (`target/dist/`) and the images `tandem/pause` and `tandem/manager`.
    Images {
        /// Build from a clean clone inside Docker, by the Dockerfiles alone.
        #[arg(long)]
        in_docker: bool,
    },
    /// Print sizes and memory.
    Bench,
    /// What CI runs: formatting, clippy, rustdoc, tests, Dockerfiles, demo.
    Ci,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    cleanup::on_signals();
    let result = match cli.command {
        Command::Demo => demo::run(),
        Command::Test { args } => suite::test(&args),
        Command::Images { in_docker: true } => {
            engine::ready().and_then(|_| images::from_dockerfiles(&images::all()))
        }
        Command::Images { in_docker: false } => engine::ready().and_then(|_| images::build().map(drop)),
        Command::Bench => bench::run(),
        Command::Ci => suite::ci(),
    };
    cleanup::run();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
