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
use crate::source::labels::is_name;

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
    /// Run every pod of this node whose pause container has no manager of its own.
    Agent(AgentArgs),
    /// Check the definition of a pod: every fault (exit status 64), or what would run (exit status 0).
    Check(CheckArgs),
    /// Show the pods of this node, or one of them: what each component does, or how it ended.
    Status(StatusArgs),
    /// Look around in a pod: a container of the image that you name, in the pod's network and, where they are shared,
    /// its PIDs and IPC; removed when you leave, or the pod ends. Where this is in a terminal it has one, too.
    Debug(DebugArgs),
    /// Exit status 0 when the pod is healthy, 1 when it is not.
    Healthcheck,
    /// Print the version.
    Version,
}

/// Flags of `manager run`; each is also an environment variable.
#[derive(Debug, Clone, Args)]
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
    /// Run no pod: print what the manager and pause hold while one runs, as the kernel tells, and why.
    #[arg(long)]
    pub explain_privileges: bool,
    /// Where the engine is.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Flags of `manager agent`: those of `run`, which hold for every pod, and its own.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Which pods are this agent's: those whose label `pod.manager` says this, or that have no such label where it is
    /// `agent`.
    #[arg(long, env = "TANDEM_NAME", value_name = "NAME", default_value = "agent", value_parser = agent_name)]
    pub name: String,
    /// What holds for every pod.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Flags that change what a pod is.
#[derive(Debug, Clone, Args)]
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
    /// Share every volume of the task container with the components, except the engine's socket, the sockets of D-Bus and
    /// systemd, and a cgroup tree that is mounted for writing.
    #[arg(long, env = "TANDEM_VOLUMES", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new(),
          action = ArgAction::Set)]
    pub volumes: bool,
    /// Where the shared PID and IPC namespaces live: `sandbox`, `task`, or `auto`, which is `sandbox` where they are
    /// shared at all. Or the pause container of a pod that this manager, in a container of its own, is to run: its name,
    /// or `service:NAME` for that of the same Compose project or Swarm node.
    #[arg(long = "pause", env = "TANDEM_PAUSE", value_name = "WHICH", default_value = "auto",
          value_parser = placement)]
    pub placement: Placement,
    /// What of the host components may have: `strict` leaves them named volumes and what the task container has
    /// mounted.
    #[arg(long, env = "TANDEM_POLICY", value_name = "POLICY", default_value = "default")]
    pub policy: Policy,
    /// Let components have what would give them the host: one or more of these, with commas. `--allow-<WHAT>` is the
    /// same.
    #[arg(long, env = "TANDEM_ALLOW", value_name = "WHAT", value_delimiter = ',')]
    pub allow: Vec<Allowance>,
    /// A file of the task container with `policy` and `allow`, in YAML; flags and variables add to it.
    #[arg(long, env = "TANDEM_POLICY_FILE", value_name = "PATH")]
    pub policy_file: Option<String>,
    /// Time for the whole stop, e.g. `6s`; then what still runs is killed. Keep it 4s below the grace period
    /// of the stack (Swarm's default is 10s): the engine may take 3s to be done with what is killed.
    #[arg(long, env = "TANDEM_STOP_TIMEOUT", value_name = "DURATION", default_value = "6s",
          value_parser = duration)]
    pub stop_timeout: Duration,
}

/// Where the engine is.
#[derive(Debug, Clone, Args)]
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

/// Flags of `manager status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// A pod: its name, its service's, or the beginning of its task container's id; all of the node where not said.
    #[arg(value_name = "POD")]
    pub pod: Option<String>,
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,
    /// Where the engine is.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Flags of `manager debug`.
#[derive(Debug, Args)]
pub struct DebugArgs {
    /// The pod: its name, its service's, or the beginning of its task container's id.
    #[arg(value_name = "POD")]
    pub pod: String,
    /// The image with your tools; pulled where the node does not have it.
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// What to run; what the image says where nothing is said.
    #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// See the processes of this component, where PIDs are not shared.
    #[arg(long, value_name = "NAME")]
    pub component: Option<String>,
    /// Where the engine is.
    #[command(flatten)]
    pub engine: EngineArgs,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// `sandbox` where PIDs or IPC are shared, else `task`.
    Auto,
    /// A pause container of its own, which no component can see the socket from.
    Sandbox,
    /// The task container itself.
    Task,
    /// A pause container that somebody else has started; the pod is that one's.
    Outside(Which),
}

/// A container of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By its name or id.
    Container(String),
    /// By the service that it belongs to.
    Service(String),
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Container(name) => write!(f, "the container `{name}`"),
            Self::Service(name) => write!(f, "a container of the service `{name}`"),
        }
    }
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
            Self::EngineSocket => "mounts of the engine's socket, and of what else is an engine's own",
            Self::HostNetwork => "a task container on the host's network",
            Self::HostPaths => "mounts of `/`, `/proc`, `/sys`, `/run`, of the sockets of D-Bus and systemd, and of what the engine keeps",
            Self::HostUsers => "`userns_mode: host`",
            Self::Privileged => "`privileged: true`",
            Self::RawDevices => {
                "disks, memory and other devices of the host that are not known to be harmless"
            }
            Self::Unconfined => "`security_opt` that switches a protection off, or has a seccomp profile",
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
    let mut args = args.into_iter().peekable();
    let mut normal: Vec<OsString> = vec![args.next().unwrap_or_else(|| "manager".into())];
    // Podlike had no such thing, and what follows is somebody else's command line.
    if args.peek().is_some_and(|first| first == "debug") {
        normal.extend(args);
        return normal;
    }
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

/// The name of an agent.
fn agent_name(text: &str) -> Result<String, String> {
    match text {
        "sibling" => Err("that is what the label says of a pod with a manager of its own".to_owned()),
        _ if is_name(text) => Ok(text.to_owned()),
        _ => Err("valid are letters, digits, `_`, `.` and `-`, the first a letter or digit".to_owned()),
    }
}

/// Where namespaces live, as `--pause` says.
fn placement(text: &str) -> Result<Placement, String> {
    match (text, text.strip_prefix("service:")) {
        ("auto", _) => Ok(Placement::Auto),
        ("sandbox", _) => Ok(Placement::Sandbox),
        ("task", _) => Ok(Placement::Task),
        (_, Some(service)) if is_name(service) => Ok(Placement::Outside(Which::Service(service.to_owned()))),
        (_, None) if is_name(text) => Ok(Placement::Outside(Which::Container(text.to_owned()))),
        _ => Err("valid are `auto`, `sandbox`, `task`, the name of a pause container, and `service:NAME`"
            .to_owned()),
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
    fn an_agent_has_the_flags_of_run_and_a_name() {
        let agent = |args: &[&str]| {
            let args = ["/manager", "agent"].iter().chain(args).map(OsString::from);
            match parse(args).map(|cli| cli.command) {
                Ok(Command::Agent(agent)) => Some((agent.name, agent.run.logs)),
                _ => None,
            }
        };
        assert_eq!(agent(&[]), Some(("agent".into(), false)));
        assert_eq!(agent(&["-logs", "--name", "strict.1"]), Some(("strict.1".into(), true)));
        assert_eq!(agent(&["--name", "sibling"]), None);
        assert_eq!(agent(&["--name", "a b"]), None);
    }

    #[test]
    fn a_pause_elsewhere_is_named_or_found_by_its_service() {
        for (text, want) in [
            ("web_pod.1", Which::Container("web_pod.1".into())),
            ("service:pod", Which::Service("pod".into())),
        ] {
            assert_eq!(run(&["--pause", text]).pod.placement, Placement::Outside(want));
        }
        for text in ["", "service:", "a b", "/name", "-x", "service:a:b"] {
            assert!(parse(["/manager".into(), format!("--pause={text}").into()]).is_err(), "{text}");
        }
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
    fn what_is_run_to_debug_keeps_its_own_flags() {
        let line = ["/manager", "debug", "--component", "app", "web", "busybox", "ls", "-la", "--color"];
        match parse(line.map(OsString::from)).expect("valid").command {
            Command::Debug(args) => {
                assert_eq!((args.pod.as_str(), args.image.as_str()), ("web", "busybox"));
                assert_eq!(args.command, ["ls", "-la", "--color"]);
                assert_eq!(args.component.as_deref(), Some("app"));
            }
            other => panic!("not `debug`: {other:?}"),
        }
    }

    #[test]
    fn a_stray_word_and_an_unknown_flag_are_refused() {
        for args in [["/manager", "-logs", "stray"], ["/manager", "run", "--nope"]] {
            assert!(parse(args.map(OsString::from)).is_err(), "{args:?}");
        }
    }
}
