#![expect(
    clippy::disallowed_methods,
    reason = "reads the files it is given, and the environment of its caller"
)]
//! `manager check`: every fault of a definition, or what would run, before anything does.

pub mod answer;
pub mod files;
pub mod json;
pub mod stack_file;
pub mod text;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::commands::check::answer::{Answer, Checked, Plan, Trouble};
use crate::commands::check::files::OfflineFiles;

use crate::cli::{CheckArgs, EngineArgs, LogFormat, Placement, Which, run_args};
use crate::error::Refusal;
use crate::security::manager_files;
use crate::security::mount_guard::MountGuard;
use crate::startup::context::{address, host_of};
use crate::startup::retry::retry_until_timeout;
use crate::startup::spec;
use crate::startup::spec::{Reading, ask_engine, host_path, read};
use definition::files::{FileFault, Files, LocalFiles, MOST_FILE_BYTES};
use definition::labels::{COMPOSE_FILE, MANAGER, Surroundings};
use definition::stack::{self, Planned, Program, SOCKET};
use engine::docker::DockerEngine;
use engine::{Engine, EngineAddress, EngineError};
use pod::exit_status::STATUS_UNAVAILABLE;
use pod::limits::duration;
use pod::namespace_placement::Programs;
use pod::policy::Host;
use pod::policy::manager_files::ManagerFiles;
use pod::task_container::TaskContainer;

/// The grace period of a service that sets none, of the Swarm as of Compose.
const DEFAULT_SERVICE_GRACE: Duration = Duration::from_secs(10);
/// How much longer than the stop of the pod that grace period has to be, as `--help` of `--stop-timeout` says.
const GRACE_MARGIN: Duration = Duration::from_secs(4);

/// What came of a check.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The exit status.
    pub status: u8,
    /// The sound pods for people, or everything for programs. For standard output.
    pub plan: String,
    /// Warnings and faults. For standard error.
    pub words: Vec<String>,
}

/// Check the definition that these arguments name.
pub async fn check(args: CheckArgs) -> Verdict {
    let format = args.format;
    let answer = looked_up(args).await.unwrap_or_else(Answer::refused);
    match format {
        LogFormat::Text => answer.text(),
        LogFormat::Json => Verdict { status: answer.status(), plan: json::of(&answer), words: Vec::new() },
    }
}

/// What is checked.
#[derive(Default)]
struct Subject {
    /// As a person would call it.
    title: String,
    task: TaskContainer,
    warnings: Vec<String>,
    files: OfflineFiles,
    /// The environment of this process stands for the manager's.
    here: bool,
    /// Time after which Docker kills the task container, where that is known.
    service_grace: Option<Duration>,
    engine: Option<(DockerEngine, EngineAddress)>,
}

/// The operator's part of a check: flags that are not in the definition.
struct Operator {
    flags: Vec<String>,
    policy_file: Option<String>,
}

async fn looked_up(args: CheckArgs) -> Result<Answer, Trouble> {
    let CheckArgs {
        definition,
        engine,
        policy,
        allow,
        registries,
        max_components,
        policy_file,
        mut flags,
        format: _,
    } = args;
    flags.extend(policy.map(|level| format!("--policy={}", level.as_str())));
    flags.extend(allow.iter().map(|item| format!("--allow={item}")));
    flags.extend(registries.iter().map(|entry| format!("--registries={entry}")));
    flags.extend(max_components.map(|count| format!("--max-components={count}")));
    let policy_file = policy_file.map(|path| path.display().to_string());
    if let Some(path) = policy_file.as_deref().filter(|path| LocalFiles.kind(path) == Err(FileFault::Missing))
    {
        let words = format!("cannot read the policy file `{path}`: there is no such file");
        return Err(Refusal::usage(words).into());
    }
    let operator = Operator { flags, policy_file };
    let subject = if let Some(path) = &definition.labels {
        let (name, text) = read_file(path)?;
        let task = stack::labels(&name, &text)?.task;
        Subject { title: format!("the labels in {name}"), task, ..Subject::default() }
    } else if let Some(path) = &definition.compose {
        of_compose_file(path)?
    } else if let Some(name) = &definition.container {
        of_container(name, &engine).await?
    } else {
        match &*definition.stack {
            [path] => return stack_file::every_pod(path, &operator).await,
            [path, service] => of_service(&StackText::read(path)?, service)?,
            _ => return Err(Refusal::usage("`--stack` takes a file, and the name of a service").into()),
        }
    };
    Ok(Answer::one(judge(subject, &operator).await))
}

fn of_compose_file(path: &Path) -> Result<Subject, Refusal> {
    let path = std::path::absolute(path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
    let name = path.display().to_string();
    read_file(&path)?;
    let task = TaskContainer {
        labels: [(COMPOSE_FILE.to_owned(), name.clone())].into(),
        ..TaskContainer::default()
    };
    let files = OfflineFiles { beside: path.parent().map(Path::to_owned), ..OfflineFiles::default() };
    Ok(Subject { title: format!("the Compose file {name}"), task, files, here: true, ..Subject::default() })
}

/// A stack file.
struct StackText {
    /// Its name for people.
    name: String,
    text: String,
    folder: PathBuf,
}

impl StackText {
    fn read(path: &str) -> Result<Self, Refusal> {
        let path = Path::new(path);
        let (name, text) = read_file(path)?;
        Ok(StackText { name, text, folder: path.parent().unwrap_or(Path::new("")).to_owned() })
    }
}

fn of_service(file: &StackText, service: &str) -> Result<Subject, Trouble> {
    let lookup = |name: &str| std::env::var(name).ok();
    let (Planned { task, files, stop_grace }, warnings) =
        stack::service(&file.name, &file.text, service, &lookup, &LocalFiles)?;
    let local = |(path, made): (String, Option<String>)| (path, made.map(|made| file.folder.join(made)));
    Ok(Subject {
        title: format!("the service `{service}` in {}", file.name),
        task,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        files: OfflineFiles {
            given: Some(files.into_iter().map(local).collect()),
            ..OfflineFiles::default()
        },
        service_grace: Some(stop_grace.unwrap_or(DEFAULT_SERVICE_GRACE)),
        ..Subject::default()
    })
}

async fn of_container(name: &str, engine: &EngineArgs) -> Result<Subject, Refusal> {
    let address = address(engine)?;
    let engine = DockerEngine::new(&address).map_err(Refusal::usage)?;
    // Somebody waits for the answer: an engine that is not there now is not waited for.
    let task = engine.inspect_task(name).await.map_err(|error| match error {
        EngineError::NotFound(_) => {
            Refusal::usage(format!("the engine at {address} has no container `{name}`"))
        }
        EngineError::Unreachable(words) => {
            Refusal { status: STATUS_UNAVAILABLE, words: format!("the engine does not answer: {words}") }
        }
        EngineError::Untrusted(words) => Refusal { status: STATUS_UNAVAILABLE, words },
        error => {
            let words = format!("the engine at {address} does not serve: {error}");
            Refusal { status: STATUS_UNAVAILABLE, words }
        }
    })?;
    let title = format!("the container `{}`", task.name);
    Ok(Subject { title, task, engine: Some((engine, address)), ..Subject::default() })
}

/// The check of one pod, whatever comes of it.
async fn judge(subject: Subject, operator: &Operator) -> Checked {
    let title = subject.title.clone();
    judged(subject, operator).await.unwrap_or_else(|refusal| Checked::troubled(title, refusal.into()))
}

/// As its own manager would see it; but nobody looks into the files of a container from outside.
async fn judged(subject: Subject, operator: &Operator) -> Result<Checked, Refusal> {
    let Subject { title, task, mut warnings, files, here, service_grace, engine } = subject;
    let elsewhere = run_args(&task.command, &task.environment).map(|args| args.pod.placement);
    if let Ok(Placement::Outside(which)) = elsewhere {
        return Err(Refusal::usage(format!(
            "{title} runs no pod of its own, but that of {which} (`--pause`), whose labels define it: check that one, with \
             the flags behind `--`"
        )));
    }
    let command: Vec<String> = task.command.iter().chain(&operator.flags).cloned().collect();
    let mut args = run_args(&command, &task.environment)
        .map_err(|words| Refusal::usage(format!("the manager's flags for {title}: {words}")))?;
    // A bare `pause`: its manager is elsewhere, and joins it.
    let bare = task.stdin_open
        || task.labels.contains_key(MANAGER)
        || Program::of(&task.image) == Some(Program::Pause);
    if args.pod.placement == Placement::Auto && bare {
        args.pod.placement = Placement::Outside(Which::Container(task.name.clone()));
    }
    let host_socket = host_path(&task, Path::new(SOCKET));
    let local = !matches!(args.pod.placement, Placement::Outside(_));
    // Files of the manager's image are not seen from here: what Swarm, or the operator, puts there is.
    let there = |path: &str| {
        files.given.as_ref().is_some_and(|given: &BTreeMap<_, _>| given.contains_key(path))
            || task.mounts.iter().any(|mount| mount.target == path)
    };
    let manager = if local { manager_files::of(&task, &args, there) } else { ManagerFiles::default() };
    let info = match &engine {
        Some((engine, address)) => Some(retry_until_timeout(address, || engine.info()).await?),
        None => None,
    };
    let host = match &info {
        Some(info) => host_of(info, Some(&host_socket), &task, &task, manager),
        None => Host { manager, ..Host::with_socket(&task, Some(&host_socket)) },
    };
    let policy_files: &dyn Files = if operator.policy_file.is_some() { &LocalFiles } else { &files };
    args.pod.policy_file = operator.policy_file.clone().or(args.pod.policy_file);
    let policy = spec::policy(&args.pod, policy_files, &mut warnings).map_err(Refusal::usage)?;
    let around = Surroundings {
        task: &task,
        files: &files,
        environment: &|name| task.variable(name).or_else(|| std::env::var(name).ok().filter(|_| here)),
        host: &host,
        share_volumes: args.pod.volumes,
        policy: &policy,
    };
    let mut reading = read(&args.pod, &around, Programs { unreadable: true });
    if let (Some((engine, address)), Some(info)) = (&engine, &info) {
        let guard = MountGuard::of(&reading.spec, &task, (&task.id, !local), &policy, host.clone());
        ask_engine(&mut reading, &around, engine, address, info, &guard).await?;
    }
    let Reading { spec, warnings: found, new_volumes, report, mut faults, allowances } = reading;
    warnings.extend(found);
    // The engine, where it is asked, has taken those that it has.
    warnings.extend(new_volumes.into_iter().map(|(_, words)| words));
    // Of a definition that is wrong it is not known how long its stop takes.
    if let Some(grace) = service_grace.filter(|_| report.is_none()) {
        match grace_of_service(spec.stop_timeout, grace) {
            Some(Err(fault)) => faults.push(fault),
            Some(Ok(warning)) => warnings.push(warning),
            None => {}
        }
    }
    let plan = faults.is_empty().then(|| Plan {
        spec,
        limits: task.limits,
        service_grace,
        host_network: task.network_mode == "host",
        files: files.asked.into_inner(),
        asked_engine: engine.is_some(),
    });
    let allow = Some(allowances.flag()).filter(|flag| !flag.is_empty());
    Ok(Checked { allow, report, plan, warnings, ..Checked::of(title, faults) })
}

/// A fault where the stop of the pod is longer than the grace period of its service, a warning where the rest is short.
fn grace_of_service(stop: Duration, grace: Duration) -> Option<Result<String, String>> {
    let times = format!(
        "the stop of the pod takes up to {} (`pod.stop_grace_period`, or `--stop-timeout` of the manager), and Docker kills \
         the service after {} (its `stop_grace_period`, {} by default)",
        duration(stop),
        duration(grace),
        duration(DEFAULT_SERVICE_GRACE)
    );
    let longer = duration(stop + GRACE_MARGIN);
    match grace {
        _ if grace < stop => Some(Err(format!("{times}: set the latter to {longer}, or the former to less"))),
        _ if grace < stop + GRACE_MARGIN => Some(Ok(format!(
            "{times}: set the latter to {longer}, so that the manager can remove what it killed"
        ))),
        _ => None,
    }
}

/// A file by the name for faults, and its text.
fn read_file(path: &Path) -> Result<(String, String), Refusal> {
    let name = path.display().to_string();
    if name == "-" {
        let text = std::io::read_to_string(std::io::stdin().take(MOST_FILE_BYTES));
        return Ok((
            "standard input".to_owned(),
            text.map_err(|error| unreadable("standard input", &error))?,
        ));
    }
    let bytes = LocalFiles.read(&name).map_err(|fault| match fault {
        FileFault::Missing => unreadable(&name, &"there is no such file"),
        fault => unreadable(&name, &format!("it {fault}")),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable(&name, &"it is not UTF-8 text"))?;
    Ok((name, text))
}

fn unreadable(name: &str, why: &dyn Display) -> Refusal {
    Refusal::usage(format!("cannot check `{name}`: {why}"))
}
