//! The command line: what may be written, nothing of what it means.
//!
//! Podlike took Go's spelling, a single dash before a long name (`-logs`, `-pids=false`); both mean the
//! same here. Where no subcommand is named it is `run`, so that a stack's `command: -logs` says what it
//! seems to.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use definition::labels::is_name;
use pod::policy::{
    Allowed, AllowedError, LARGEST_MAX_COMPONENTS, Level, REGISTRY_FORM, registry_entry, words,
};

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
    /// Restart a component in place, with its hooks and the checks of its mounts. By `docker exec`, in the container of the
    /// manager that runs the pod. Exit status 0 when it runs again, and is healthy where it has a health check.
    Restart(RestartArgs),
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
    /// How the manager writes its own log lines, and the components' with `--logs`.
    #[arg(long, env = "TANDEM_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Which of its own log lines the manager writes: `error`, `warn`, `info`, `debug`, `trace`, or one a
    /// module (`info,manager::engine=debug`).
    #[arg(long, env = "TANDEM_LOG", value_name = "LEVEL", default_value = "info")]
    pub log: String,
    /// Colours in the log, as text: on a terminal, always, or never. `NO_COLOR` is `never` where nothing is said here.
    #[arg(long, env = "TANDEM_COLOR", value_name = "WHEN", default_value = "auto")]
    pub color: Color,
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
    /// Share the task container's volumes and binds with the components, except those that hold a file of the manager's (the
    /// engine's socket among them) and those that the policy refuses. Under `restricted` no bind is shared.
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
    /// What components may have: `default` keeps the host and other pods from them, `baseline` and `restricted` follow
    /// the levels of these names of the Kubernetes Pod Security Standards.
    #[arg(long, env = "TANDEM_POLICY", value_name = "POLICY", default_value = "default",
          value_parser = level_parser())]
    pub policy: Level,
    /// Let components have more, one or more of these, with commas: `annotations`, `capabilities[=NAME]`, `devices=PATH`,
    /// `engine-socket` (the engine's socket and data, the manager's files), `host-network` (a task container there),
    /// `host-paths=PATH[:ro]` (a bind of this path; a last segment `*` is any one name), `host-paths` alone (a bind of
    /// any path: labels then have the host), `host-users`, `local-registries`, `log-drivers`, `privileged`,
    /// `raw-devices`, `runtimes`, `unconfined`, `volume-drivers=NAME`, `volumes=NAME`. `--allow-<WHAT>` is the same.
    #[arg(long, env = "TANDEM_ALLOW", value_name = "WHAT", value_delimiter = ',', value_parser = allowed_item)]
    pub allow: Vec<Allowed>,
    /// Where components' images may come from: registries, with commas, each a host or a host with the beginning of a
    /// path. Without it any, but under `baseline` and `restricted` docker.io and the registry of the task's own image.
    #[arg(long, env = "TANDEM_REGISTRIES", value_name = "LIST", value_delimiter = ',', value_parser = registry_item)]
    pub registries: Vec<String>,
    /// A file of the manager's container with `policy`, `allow`, `registries` and `services`, in YAML; flags and
    /// variables add to it.
    #[arg(long, env = "TANDEM_POLICY_FILE", value_name = "PATH")]
    pub policy_file: Option<String>,
    /// Most components of a pod, init components and entries of `pre_start` among them: 1000 at most. The shim of one
    /// container alone takes 13 MB of the node's memory.
    #[arg(long, env = "TANDEM_MAX_COMPONENTS", value_name = "NUMBER", default_value = "100",
          value_parser = component_count())]
    pub max_components: u16,
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
    /// As the manager's flag.
    #[arg(long, value_name = "POLICY", value_parser = level_parser())]
    pub policy: Option<Level>,
    /// As the manager's flag.
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = allowed_item)]
    pub allow: Vec<Allowed>,
    /// As the manager's flag.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = registry_item)]
    pub registries: Vec<String>,
    /// As the manager's flag.
    #[arg(long, value_name = "NUMBER", value_parser = component_count())]
    pub max_components: Option<u16>,
    /// The manager's policy file, as it is on this machine.
    #[arg(long, value_name = "PATH")]
    pub policy_file: Option<PathBuf>,
    /// How the answer is written: `text`, or `json`, one object on standard output with plans, warnings and faults.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: LogFormat,
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

/// Flags of `manager restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// The component; where the manager runs several pods `POD/NAME`, the pod by its name, its service's, or the short id of
    /// its task container.
    #[arg(value_name = "NAME")]
    pub component: String,
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
    /// A stack file, and the service in it whose labels define the pod; every pod of the file where no service is
    /// named. Its `command` and `environment` count as they would in the Swarm.
    #[arg(long, num_args = 1..=2, value_names = ["FILE", "SERVICE"])]
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

/// The words of `--policy`; `strict` is what `baseline` was called before.
fn level_parser() -> impl TypedValueParser<Value = Level> {
    let [default, baseline, restricted] = Level::ALL.map(|level| PossibleValue::new(level.as_str()));
    let words = [default, baseline, restricted, PossibleValue::new("strict").hide(true)];
    PossibleValuesParser::new(words).map(|word| Level::of(&word).unwrap_or_default())
}

/// A number for `--max-components`.
fn component_count() -> impl TypedValueParser<Value = u16> {
    clap::value_parser!(u16).range(1..=i64::from(LARGEST_MAX_COMPONENTS))
}

/// Where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless the variable `NO_COLOR` has a value.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl Color {
    /// Reports whether this output has colours. `no_color` is the variable of that name (<https://no-color.org>).
    pub fn on(self, is_terminal: bool, no_color: Option<&str>) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && no_color.is_none_or(str::is_empty),
        }
    }
}

/// A command line that cannot be read asks for JSON all the same, by its flag or by the variable.
pub fn asks_for_json<'a>(args: impl Iterator<Item = &'a str>, variable: Option<&str>) -> bool {
    const FLAG: &str = "log-format";
    let mut asked = None;
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let Some(rest) = arg.trim_start_matches('-').strip_prefix(FLAG).filter(|_| arg.starts_with('-'))
        else {
            continue;
        };
        asked = rest.strip_prefix('=').or_else(|| args.peek().copied().filter(|_| rest.is_empty())).or(asked);
    }
    asked.or(variable) == Some("json")
}

/// How the manager writes: its own log lines, and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line of a log, one for an answer.
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
    match elsewhere(command, environment)? {
        Command::Run(args) => Ok(args),
        _ => Err("it runs no pod".to_owned()),
    }
}

/// The flags of a manager that runs in another container, of `agent` as of `run`.
///
/// # Errors
/// What is wrong with them, for people.
pub fn manager_args(command: &[String], environment: &[String]) -> Result<RunArgs, String> {
    match elsewhere(command, environment)? {
        Command::Run(args) => Ok(args),
        Command::Agent(args) => Ok(args.run),
        _ => Err("it runs no pod".to_owned()),
    }
}

/// The subcommand of a manager that runs in another container, where its command line is valid.
pub fn command_of(command: &[String], environment: &[String]) -> Option<&'static str> {
    match elsewhere(command, environment).ok()? {
        Command::Run(_) => Some("run"),
        Command::Agent(_) => Some("agent"),
        Command::Check(_) => Some("check"),
        Command::Status(_) => Some("status"),
        Command::Debug(_) => Some("debug"),
        Command::Restart(_) => Some("restart"),
        Command::Healthcheck => Some("healthcheck"),
        Command::Version => Some("version"),
    }
}

/// The command line of another container's manager, with that container's environment.
fn elsewhere(command: &[String], environment: &[String]) -> Result<Command, String> {
    let given = normalized(["manager".to_owned()].iter().chain(command).map(OsString::from));
    // No flag of this process's own environment may come in between.
    let without = |command: clap::Command| command.mut_args(|arg| arg.env(None));
    let grammar = Cli::command().mut_subcommand("run", without).mut_subcommand("agent", without);
    let mut words = given.clone();
    let flags = Cli::command();
    let name = given.get(1).and_then(|word| word.to_str()).filter(|name| ["agent", "run"].contains(name));
    let named = name.and_then(|name| flags.find_subcommand(name));
    for arg in named.into_iter().flat_map(clap::Command::get_arguments) {
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
        if let Some(value) = value.filter(|_| !said) {
            words.insert(2, format!("{flag}={value}").into());
        }
    }
    let parsed = grammar.try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map(|cli| cli.command).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
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

/// One item of `--allow`.
fn allowed_item(text: &str) -> Result<Allowed, String> {
    text.parse().map_err(|error: AllowedError| match error {
        AllowedError::Unknown(_) => {
            let words: Vec<String> = words().collect();
            format!("{error}; valid are {}", words.join(", "))
        }
        error => error.to_string(),
    })
}

fn registry_item(text: &str) -> Result<String, String> {
    registry_entry(text).ok_or_else(|| format!("`{text}` is no registry; valid is {REGISTRY_FORM}"))
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
    definition::lower::duration(text)
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
    fn colours_are_for_terminals_unless_somebody_says_otherwise() {
        for (color, terminal, no_color, want) in [
            (Color::Auto, true, None, true),
            (Color::Auto, true, Some(""), true),
            (Color::Auto, true, Some("1"), false),
            (Color::Auto, false, None, false),
            (Color::Always, false, Some("1"), true),
            (Color::Never, true, None, false),
        ] {
            assert_eq!(color.on(terminal, no_color), want, "{color:?} {terminal} {no_color:?}");
        }
        assert_eq!(run(&["-color=never"]).color, Color::Never);
    }

    #[test]
    fn a_command_line_that_is_wrong_may_ask_for_json() {
        for (args, variable, want) in [
            (&["run", "--log-format", "json", "--nope"][..], None, true),
            (&["-log-format=json", "--nope"], None, true),
            (&["--nope"], Some("json"), true),
            (&["--log-format=text"], Some("json"), false),
            (&["--log-format"], None, false),
            (&["log-format", "json"], None, false),
            (&["--log-formats=json"], None, false),
        ] {
            assert_eq!(asks_for_json(args.iter().copied(), variable), want, "{args:?}");
        }
    }

    #[test]
    fn what_is_allowed_is_a_list_or_a_flag_of_its_own() {
        let allowed = |args: &[&str]| run(args).pod.allow;
        let items = |items: &[&str]| -> Vec<Allowed> {
            items.iter().map(|item| item.parse().expect("an item")).collect()
        };
        assert_eq!(
            allowed(&["-allow", "host-paths=/srv:ro,privileged"]),
            items(&["host-paths=/srv:ro", "privileged"])
        );
        assert_eq!(
            allowed(&["--allow-engine-socket", "--allow=unconfined", "--allow-volumes=db"]),
            items(&["engine-socket", "unconfined", "volumes=db"])
        );
        assert_eq!(run(&["--policy", "strict"]).pod.policy, Level::Baseline);
        assert_eq!(run(&["--policy", "restricted"]).pod.policy, Level::Restricted);
        assert_eq!(run(&["--registries", "docker.io,ghcr.io/a"]).pod.registries, ["docker.io", "ghcr.io/a"]);
        assert_eq!(
            run(&["--registries", "Docker.io,index.docker.io/library"]).pod.registries,
            ["docker.io", "docker.io/library"]
        );
        for wrong in ["", "https://docker.io", "docker.io/", "team", "a.b:x", "a.b/../c", "a.b/x:1"] {
            assert!(parse(["/manager".into(), format!("--registries={wrong}").into()]).is_err(), "{wrong}");
        }
        assert!(parse(["/manager".into(), "--allow=volumes".into()]).is_err());
    }

    #[test]
    fn the_number_of_components_is_at_most_a_thousand() {
        assert_eq!(run(&[]).pod.max_components, 100);
        assert_eq!(run(&["--max-components", "1000"]).pod.max_components, 1000);
        for wrong in ["0", "1001", "-1", "many", "70000"] {
            let args = ["/manager".into(), format!("--max-components={wrong}").into()];
            assert!(parse(args).is_err(), "{wrong}");
        }
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
