#![expect(clippy::disallowed_methods, reason = "the health check reads what pause calls itself")]
//! `manager`: see the library. Five beats: privacy, command line, logging, runtime, exit status.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use manager::cli::{self, CheckArgs, Command, DebugArgs, LogFormat, RestartArgs, RunArgs, StatusArgs};
use manager::commands::{explain, run};
use manager::error::Refusal;
use manager::logs::output::{Form, Output};
use manager::security::privileges;
use manager::{agent, log_format};
use pod::exit_status::STATUS_USAGE;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    if let Err(error) = privileges::set_not_dumpable() {
        eprintln!("manager: {error}");
        return ExitCode::from(STATUS_USAGE);
    }
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let args: Vec<String> =
                std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
            let variable = std::env::var("TANDEM_LOG_FORMAT").ok();
            if cli::asks_for_json(args.iter().map(String::as_str), variable.as_deref()) {
                complain(LogFormat::Json, error.to_string().trim().trim_start_matches("error: "));
            } else {
                let _ = error.print();
            }
            return ExitCode::from(STATUS_USAGE);
        }
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    match cli.command {
        Command::Run(args) if args.explain_privileges => explain(&args),
        Command::Agent(args) if args.run.explain_privileges => explain(&args.run),
        Command::Run(args) => manage(&args.clone(), |output| run::run(args, output)),
        Command::Agent(args) => manage(&args.run.clone(), |output| agent::run(args, output)),
        Command::Check(args) => check(args),
        Command::Status(args) => status(args),
        Command::Debug(args) => debug(args),
        Command::Restart(args) => restart(args),
        Command::Healthcheck => healthcheck(),
        Command::Version => {
            println!("manager {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

/// Run a pod, or all of a node.
fn manage<F: Future<Output = u8>>(args: &RunArgs, work: impl FnOnce(Output) -> F) -> ExitCode {
    let no_color = std::env::var("NO_COLOR").ok();
    let color = |is_terminal: bool| args.color.on(is_terminal, no_color.as_deref());
    let form = match args.log_format {
        LogFormat::Json => Form::Json,
        LogFormat::Text if color(io::stdout().is_terminal() && io::stderr().is_terminal()) => Form::Color,
        LogFormat::Text => Form::Text,
    };
    let output = Output::default().in_form(form);
    if let Err(words) = log(args, &output, color(io::stderr().is_terminal())) {
        complain(args.log_format, &words);
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

/// Say what is wrong before there is a log.
fn complain(format: LogFormat, words: &str) {
    match format {
        LogFormat::Text => eprintln!("manager: {words}"),
        LogFormat::Json => eprint!("{}", manager::logs::json::json_line(Level::ERROR, words)),
    }
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
    let verdict = runtime.block_on(manager::commands::check::check(args));
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
    answer(runtime.block_on(manager::commands::status::status(args)))
}

fn restart(args: RestartArgs) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    answer(runtime.block_on(manager::commands::restart::restart(args)))
}

fn debug(args: DebugArgs) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    match runtime.block_on(manager::commands::debug::debug(args)) {
        Ok(status) => ExitCode::from(status),
        Err(refusal) => {
            eprintln!("{}", refusal.words);
            ExitCode::from(refusal.status)
        }
    }
}

fn log(args: &RunArgs, output: &Output, color: bool) -> Result<(), String> {
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
        LogFormat::Text => registry.with(lines.event_format(log_format::Text { color })).init(),
        LogFormat::Json => {
            registry.with(lines.event_format(log_format::Json { output: output.clone() })).init()
        }
    }
    Ok(())
}

fn healthcheck() -> ExitCode {
    let comm = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    let word = comm.trim_end().strip_prefix("pause ").unwrap_or("unknown");
    println!("Healthcheck result: {word}");
    ExitCode::from(u8::from(word != "healthy"))
}
