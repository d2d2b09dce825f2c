#![expect(clippy::disallowed_methods, reason = "the health check reads what pause calls itself")]
//! `manager`: see the library. Five beats: privacy, command line, logging, runtime, exit status.

use std::process::ExitCode;

use manager::cli::{self, CheckArgs, Command, DebugArgs, LogFormat, RunArgs, StatusArgs};
use manager::pod::plan::STATUS_USAGE;
use manager::run::{agent, explain, harden, output::Output, pod, site::Refusal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    if let Err(error) = harden::unobserved() {
        eprintln!("manager: {error}");
        return ExitCode::from(STATUS_USAGE);
    }
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { STATUS_USAGE } else { 0 });
        }
    };
    match cli.command {
        Command::Run(args) if args.explain_privileges => explain(&args),
        Command::Agent(args) if args.run.explain_privileges => explain(&args.run),
        Command::Run(args) => manage(&args.clone(), |output| pod::run(args, output)),
        Command::Agent(args) => manage(&args.run.clone(), |output| agent::run(args, output)),
        Command::Check(args) => check(args),
        Command::Status(args) => status(args),
        Command::Debug(args) => debug(args),
        Command::Healthcheck => healthcheck(),
        Command::Version => {
            println!("manager {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

/// Run a pod, or all of a node.
fn manage<F: Future<Output = u8>>(args: &RunArgs, work: impl FnOnce(Output) -> F) -> ExitCode {
    let output = Output::default();
    if let Err(words) = log(args, &output) {
        eprintln!("manager: {words}");
        return ExitCode::from(STATUS_USAGE);
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    let status = runtime.block_on(work(output));
    // A writer that nobody reads must not keep the pod from ending.
    runtime.shutdown_background();
    ExitCode::from(status)
}

fn explain(args: &RunArgs) -> ExitCode {
    answer(explain::explain(args))
}

/// Print what was asked for, or why there is nothing.
fn answer(answer: Result<String, Refusal>) -> ExitCode {
    match answer {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("{}", refusal.words);
            ExitCode::from(refusal.status)
        }
    }
}

/// One thread: the work is waiting, and privileges are given up by the thread.
fn runtime() -> Result<tokio::runtime::Runtime, ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        eprintln!("manager: cannot start: {error}");
        ExitCode::FAILURE
    })
}

fn check(args: CheckArgs) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    let verdict = runtime.block_on(manager::check::check(args));
    for words in verdict.words {
        eprintln!("{words}");
    }
    print!("{}", verdict.plan);
    ExitCode::from(verdict.status)
}

fn status(args: StatusArgs) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    answer(runtime.block_on(manager::status::status(args)))
}

fn debug(args: DebugArgs) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    match runtime.block_on(manager::debug::debug(args)) {
        Ok(status) => ExitCode::from(status),
        Err(refusal) => {
            eprintln!("{}", refusal.words);
            ExitCode::from(refusal.status)
        }
    }
}

fn log(args: &RunArgs, output: &Output) -> Result<(), String> {
    // A word that is no level would be taken for a module, and everything else be silent.
    let stray = args.log.split(',').find(|part| !part.contains('=') && part.parse::<LevelFilter>().is_err());
    let levels = match stray {
        Some(_) => Err("it is neither a level nor `module=level`".to_owned()),
        None => args.log.parse::<Targets>().map_err(|error| error.to_string()),
    };
    let levels = levels
        .map_err(|why| format!("`--log` (`TANDEM_LOG`) is `{}`: {why}; valid is e.g. `info`", args.log))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(output.clone()).with_ansi(false);
    let registry = tracing_subscriber::registry().with(levels);
    match args.log_format {
        LogFormat::Text => registry.with(lines.with_target(false)).init(),
        LogFormat::Json => registry.with(lines.json()).init(),
    }
    Ok(())
}

fn healthcheck() -> ExitCode {
    let comm = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    let word = comm.trim_end().strip_prefix("pause ").unwrap_or("unknown");
    println!("Healthcheck result: {word}");
    ExitCode::from(u8::from(word != "healthy"))
}
