//! The command line: what may be written, nothing of what it means.
//!
//! Podlike took Go's spelling, a single dash before a long name (`-logs`, `-pids=false`); both mean the
//! same here. Where no subcommand is named it is `run`, so that a stack's `command: -logs` says what it
//! seems to.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValue};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::pod::policy::Allowance;

/// Pods for Docker Swarm: runs the components of a pod beside its task container.
#[derive(Debug, Parser)]
#[command(name = "manager", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the pod that the labels of this container define (the default).
    Run(RunArgs),
    /// Check the definition of a pod: every fault (exit status 64), or what would run (exit status 0).
    Check(CheckArgs),
    /// Exit status 0 when the pod is healthy, 1 when it is not.
    Healthcheck,
    /// Print the version.
    Version,
}

/// Flags of `manager run`; each is also an environment variable.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Print the components' output, each line marked with its component.
    #[arg(long, env = "TANDEM_LOGS", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new(),
          action = ArgAction::Set)]
    pub logs: bool,
    /// What the pod is to be.
    #[command(flatten)]
    pub pod: PodArgs,
    /// How the manager writes its own log lines.
    #[arg(long, env = "TANDEM_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Which of its own log lines the manager writes: `error`, `warn`, `info`, `debug`, `trace`, or one a
    /// module (`info,manager::engine=debug`).
    #[arg(long, env = "TANDEM_LOG", value_name = "LEVEL", default_value = "info")]
    pub log: String,
    /// Where the engine is.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Flags that change what a pod is.
#[derive(Debug, Args)]
pub struct PodArgs {
    /// Pull every image before it is used.
    #[arg(long, env = "TANDEM_PULL", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new(),
          action = ArgAction::Set)]
    pub pull: bool,
    /// Share one PID namespace among the components.
    #[arg(long, env = "TANDEM_PIDS", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", value_parser = BoolishValueParser::new(),
          action = ArgAction::Set)]
    pub pids: bool,
    /// Share one IPC namespace among the components.
    #[arg(long, env = "TANDEM_IPC", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", value_parser = BoolishValueParser::new(),
          action = ArgAction::Set)]
    pub ipc: bool,
    /// Share every volume of the task container with the components, except the engine's socket.
    #[arg(long, env = "TANDEM_VOLUMES", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new(),
          action = ArgAction::Set)]
    pub volumes: bool,
    /// Where the shared PID and IPC namespaces live.
    #[arg(long = "pause", env = "TANDEM_PAUSE", value_name = "WHICH", default_value = "auto")]
    pub placement: Placement,
    /// What of the host components may have: `strict` leaves them named volumes and what the task container has
    /// mounted.
    #[arg(long, env = "TANDEM_POLICY", value_name = "POLICY", default_value = "default")]
    pub policy: Policy,
    /// Let components have what would give them the host: one or more of these, with commas. `--allow-<WHAT>` is the
    /// same.
    #[arg(long, env = "TANDEM_ALLOW", value_name = "WHAT", value_delimiter = ',')]
    pub allow: Vec<Allowance>,
    /// Time for the whole stop, e.g. `6s`; then what still runs is killed. Keep it 4s below the grace period
    /// of the stack (Swarm's default is 10s): the engine may take 3s to be done with what is killed.
    #[arg(long, env = "TANDEM_STOP_TIMEOUT", value_name = "DURATION", default_value = "6s",
          value_parser = duration)]
    pub stop_timeout: Duration,
}

/// Where the engine is.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// The engine: `unix:///var/run/docker.sock`, or `tcp://host:port` with TLS.
    #[arg(long, env = "DOCKER_HOST", value_name = "URL", default_value = "unix:///var/run/docker.sock")]
    pub docker_host: String,
    /// Use TLS for a `tcp://` engine, with certificates of both sides.
    #[arg(long, env = "DOCKER_TLS_VERIFY", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "", default_missing_value = "1", hide_default_value = true)]
    pub docker_tls_verify: String,
    /// Folder of `ca.pem`, `cert.pem` and `key.pem`.
    #[arg(
        long,
        env = "DOCKER_CERT_PATH",
        value_name = "PATH",
        default_value = "",
        hide_default_value = true
    )]
    pub docker_cert_path: String,
}

/// Flags of `manager check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Where the definition is.
    #[command(flatten)]
    pub definition: DefinitionArgs,
    /// Where the engine is, for `--container`.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Flags of the manager, as `command` has them; of a stack's service or a container they are known.
    #[arg(last = true, value_name = "FLAGS")]
    pub flags: Vec<String>,
}

/// What is checked: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct DefinitionArgs {
    /// The labels of a task container: a YAML mapping, a list of `name=value`, or what `docker inspect --format
    /// '{{json .Config.Labels}}'` prints; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// A stack file, and the service in it whose labels define the pod. Its `command` and `environment` count as
    /// they would in the Swarm.
    #[arg(long, num_args = 2, value_names = ["FILE", "SERVICE"])]
    pub stack: Vec<String>,
    /// A Compose file as `pod.compose.file` names one: its services are the components.
    #[arg(long, value_name = "FILE")]
    pub compose: Option<PathBuf>,
    /// A container that is there: asks the engine.
    #[arg(long, value_name = "NAME")]
    pub container: Option<String>,
}

/// Where the shared PID and IPC namespaces live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Placement {
    /// `sandbox` where PIDs or IPC are shared, else `task`.
    Auto,
    /// A pause container of its own, which no component can see the socket from.
    Sandbox,
    /// The task container itself.
    Task,
}

/// What of the host components may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// What does not give them the host.
    Default,
    /// Nothing but named volumes and what the task container has mounted.
    Strict,
}

impl ValueEnum for Allowance {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()).help(match self {
            Self::Capabilities => "`cap_add` of what leads out of a container, such as SYS_ADMIN",
            Self::EngineSocket => "mounts of the engine's socket",
            Self::HostNetwork => "a task container on the host's network",
            Self::HostPaths => "mounts of `/`, `/proc`, `/sys`, `/run` and of what the engine keeps",
            Self::HostUsers => "`userns_mode: host`",
            Self::Privileged => "`privileged: true`",
            Self::RawDevices => "disks and memory of the host in `devices` and `device_cgroup_rules`",
            Self::Unconfined => "`security_opt` that switches a protection off",
        }))
    }
}

/// How the manager writes its own log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Read the command line. `Err` is what clap has to say: help and version too.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(normalized(args))
}

/// The flags of a manager that is somewhere else: the command of its container, and the environment, which counts
/// where the command is silent.
///
/// # Errors
/// What is wrong with them, for people.
pub fn run_args(command: &[String], environment: &[String]) -> Result<RunArgs, String> {
    let given = normalized(["manager".to_owned()].iter().chain(command).map(OsString::from));
    // No flag of this process's own environment may come in between.
    let grammar = Cli::command().mut_subcommand("run", |run| run.mut_args(|arg| arg.env(None)));
    let mut words = given.clone();
    let flags = Cli::command();
    for arg in flags.find_subcommand("run").into_iter().flat_map(clap::Command::get_arguments) {
        let (Some(variable), Some(long)) = (arg.get_env().and_then(|name| name.to_str()), arg.get_long())
        else {
            continue;
        };
        let value =
            environment.iter().rev().find_map(|entry| entry.strip_prefix(variable)?.strip_prefix('='));
        let flag = format!("--{long}");
        let said = given.iter().filter_map(|word| word.to_str()).any(|word| {
            word.strip_prefix(&flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        });
        if let Some(value) = value.filter(|_| !said && given.get(1).is_some_and(|word| word == "run")) {
            words.insert(2, format!("{flag}={value}").into());
        }
    }
    let parsed = grammar.try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(Cli { command: Command::Run(args) }) => Ok(args),
        Ok(_) => Err("it runs no pod".to_owned()),
        Err(error) => {
            let text = error.to_string();
            Err(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
        }
    }
}

/// Podlike's spellings made today's: a dash added, `run` put in.
fn normalized(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut normal: Vec<OsString> = vec![args.next().unwrap_or_else(|| "manager".into())];
    let mut rest = args.map(double_dashed).map(allowed).peekable();
    let named = rest.peek().and_then(|first| first.to_str()).is_some_and(|first| {
        let top_level = ["--help", "-h", "--version", "-V", "help"];
        !first.starts_with('-') || top_level.contains(&first)
    });
    if !named {
        normal.push("run".into());
    }
    normal.extend(rest);
    normal
}

/// `-logs` to `--logs`; one letter after the dash is a short flag and stays.
fn double_dashed(arg: OsString) -> OsString {
    match arg.to_str().and_then(|text| text.strip_prefix('-')) {
        Some(name) if name.len() > 1 && !name.starts_with('-') => format!("--{name}").into(),
        _ => arg,
    }
}

/// `--allow-engine-socket` to `--allow=engine-socket`.
fn allowed(arg: OsString) -> OsString {
    match arg.to_str().and_then(|text| text.strip_prefix("--allow-")) {
        Some(what) => format!("--allow={what}").into(),
        None => arg,
    }
}

/// A duration as Compose writes it: `8s`, `1m30s`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    crate::source::lower::duration(text)
        .map_err(|_| format!("`{text}` is not a duration: write a number with a unit, for example `8s`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> RunArgs {
        let args = ["/manager"].iter().chain(args).map(OsString::from);
        match parse(args).expect("this command line is valid").command {
            Command::Run(run) => run,
            other => panic!("not `run`: {other:?}"),
        }
    }

    #[test]
    fn without_arguments_it_runs_with_pids_and_ipc_shared() {
        let args = run(&[]);
        assert_eq!(
            (args.pod.pids, args.pod.ipc, args.pod.volumes, args.logs, args.pod.pull),
            (true, true, false, false, false)
        );
        assert_eq!((args.pod.placement, args.pod.stop_timeout), (Placement::Auto, Duration::from_secs(6)));
    }

    #[test]
    fn podlikes_spellings_mean_the_same() {
        let args = run(&["-logs", "-pids=false", "-ipc=0", "-volumes", "-pull=true"]);
        assert_eq!(
            (args.pod.pids, args.pod.ipc, args.pod.volumes, args.logs, args.pod.pull),
            (false, false, true, true, true)
        );
    }

    #[test]
    fn what_is_allowed_is_a_list_or_a_flag_of_its_own() {
        let allowed = |args: &[&str]| run(args).pod.allow;
        assert_eq!(
            allowed(&["-allow", "host-paths,privileged"]),
            [Allowance::HostPaths, Allowance::Privileged]
        );
        assert_eq!(
            allowed(&["--allow-engine-socket", "--allow=unconfined"]),
            [Allowance::EngineSocket, Allowance::Unconfined]
        );
        assert_eq!(run(&["--policy", "strict"]).pod.policy, Policy::Strict);
    }

    #[test]
    fn the_subcommand_may_be_named() {
        let args = run(&["run", "--logs", "--pause", "task", "--stop-timeout=1m30s"]);
        assert!(args.logs);
        assert_eq!((args.pod.placement, args.pod.stop_timeout), (Placement::Task, Duration::from_secs(90)));
    }

    #[test]
    fn other_subcommands_are_not_run() {
        for (word, want) in [("version", "Version"), ("healthcheck", "Healthcheck")] {
            let cli = parse(["/manager", word].map(OsString::from)).expect("valid");
            assert_eq!(format!("{:?}", cli.command), want);
        }
    }

    #[test]
    fn a_stray_word_and_an_unknown_flag_are_refused() {
        for args in [["/manager", "-logs", "stray"], ["/manager", "run", "--nope"]] {
            assert!(parse(args.map(OsString::from)).is_err(), "{args:?}");
        }
    }
}
