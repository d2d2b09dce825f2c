#![expect(
    clippy::disallowed_methods,
    reason = "reads the files it is given, and the environment of its caller"
)]
//! `manager check`: every fault of a definition, or what would run, before anything does.

mod text;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::{CheckArgs, EngineArgs, Placement, Which, run_args};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineAddress, EngineError};
use crate::pod::placement::Programs;
use crate::pod::plan::{STATUS_UNAVAILABLE, STATUS_USAGE};
use crate::pod::task::TaskContainer;
use crate::run::site::{Refusal, address, patiently};
use crate::run::specify::{self, Reading, ask_engine, host_path, read};
use crate::source::labels::{COMPOSE_FILE, MANAGER, Surroundings};
use crate::source::load::{Disk, FileFault, FileKind, Files, MOST_FILE_BYTES};
use crate::source::stack::{self, Planned, SOCKET};

/// What came of a check.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The exit status.
    pub status: u8,
    /// The pod for people; empty where there is a fault. For standard output.
    pub plan: String,
    /// Warnings and faults. For standard error.
    pub words: Vec<String>,
}

/// Check the definition that these arguments name.
pub async fn check(args: CheckArgs) -> Verdict {
    match looked_up(args).await {
        Ok(verdict) => verdict,
        Err(Refusal { status, words }) => Verdict { status, plan: String::new(), words: vec![words] },
    }
}

/// What is checked.
#[derive(Default)]
struct Subject {
    /// As a person would call it.
    title: String,
    task: TaskContainer,
    warnings: Vec<String>,
    files: Absent,
    /// The environment of this process stands for the manager's.
    here: bool,
    engine: Option<(DockerEngine, EngineAddress)>,
}

async fn looked_up(args: CheckArgs) -> Result<Verdict, Refusal> {
    let CheckArgs { definition, engine, flags } = args;
    let subject = if let Some(path) = &definition.labels {
        let (name, text) = read_file(path)?;
        let task = stack::labels(&name, &text).map_err(Refusal::usage)?.task;
        Subject { title: format!("the labels in {name}"), task, ..Subject::default() }
    } else if let Some(path) = &definition.compose {
        of_compose_file(path)?
    } else if let Some(name) = &definition.container {
        of_container(name, &engine).await?
    } else {
        of_stack(&definition.stack)?
    };
    judge(subject, &flags).await
}

fn of_compose_file(path: &Path) -> Result<Subject, Refusal> {
    let path = std::path::absolute(path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
    let name = path.display().to_string();
    read_file(&path)?;
    let task = TaskContainer {
        labels: [(COMPOSE_FILE.to_owned(), name.clone())].into(),
        ..TaskContainer::default()
    };
    let files = Absent { beside: path.parent().map(Path::to_owned), ..Absent::default() };
    Ok(Subject { title: format!("the Compose file {name}"), task, files, here: true, ..Subject::default() })
}

fn of_stack(stack: &[String]) -> Result<Subject, Refusal> {
    let [path, service] = stack else {
        return Err(Refusal::usage("`--stack` takes a file and the name of a service"));
    };
    let (name, text) = read_file(Path::new(path))?;
    let lookup = |name: &str| std::env::var(name).ok();
    let (Planned { task, files }, warnings) =
        stack::service(&name, &text, service, &lookup).map_err(Refusal::usage)?;
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let local = |(path, file): (String, Option<String>)| (path, file.map(|file| folder.join(file)));
    Ok(Subject {
        title: format!("the service `{service}` in {name}"),
        task,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        files: Absent { given: Some(files.into_iter().map(local).collect()), ..Absent::default() },
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

/// As its own manager would see it; but nobody looks into the files of a container from outside.
async fn judge(subject: Subject, flags: &[String]) -> Result<Verdict, Refusal> {
    let Subject { title, task, mut warnings, files, here, engine } = subject;
    let elsewhere = run_args(&task.command, &task.environment).map(|args| args.pod.placement);
    if let Ok(Placement::Outside(which)) = elsewhere {
        return Err(Refusal::usage(format!(
            "{title} runs no pod of its own, but that of {which} (`--pause`), whose labels define it: check that one, with \
             the flags behind `--`"
        )));
    }
    let command: Vec<String> = task.command.iter().chain(flags).cloned().collect();
    let mut args = run_args(&command, &task.environment)
        .map_err(|words| Refusal::usage(format!("the manager's flags for {title}: {words}")))?;
    // A bare `pause`: its manager is elsewhere, and joins it.
    if args.pod.placement == Placement::Auto && (task.stdin_open || task.labels.contains_key(MANAGER)) {
        args.pod.placement = Placement::Outside(Which::Container(task.name.clone()));
    }
    let host_socket = host_path(&task, Path::new(SOCKET));
    let policy = specify::policy(&args.pod, &files, &mut warnings).map_err(Refusal::usage)?;
    let around = Surroundings {
        task: &task,
        files: &files,
        environment: &|name| task.variable(name).or_else(|| std::env::var(name).ok().filter(|_| here)),
        host_socket: Some(&host_socket),
        share_volumes: args.pod.volumes,
        policy: &policy,
    };
    let mut reading = read(&args.pod, &around, Programs { unreadable: true });
    if let Some((engine, address)) = &engine {
        let info = patiently(address, || engine.info()).await?;
        ask_engine(&mut reading, &around, engine, address, &info).await?;
    }
    let Reading { spec, warnings: found, faults } = reading;
    warnings.extend(found);
    let words = warnings.into_iter().map(|warning| format!("warning: {warning}"));
    if faults.is_empty() {
        let plan = text::of(&title, &spec, &files.asked.into_inner());
        return Ok(Verdict { status: 0, plan, words: words.collect() });
    }
    Ok(Verdict { status: STATUS_USAGE, plan: String::new(), words: words.chain(faults).collect() })
}

/// The files of a task container that is not at hand.
#[derive(Default)]
struct Absent {
    /// Secrets and configs that it will have, where that is known, and what they are made of.
    given: Option<BTreeMap<String, Option<PathBuf>>>,
    /// The folder of a Compose file: what is in it is taken for what the task container will have.
    beside: Option<PathBuf>,
    /// What was asked for in vain.
    asked: RefCell<BTreeSet<String>>,
}

impl Absent {
    /// Where a file of the task container is here.
    fn here(&self, path: &str) -> Option<String> {
        let given = self.given.as_ref().and_then(|given| given.get(path)?.clone());
        let beside = self.beside.as_ref().filter(|folder| Path::new(path).starts_with(folder));
        given.or_else(|| beside.map(|_| path.into())).and_then(|path| path.to_str().map(str::to_owned))
    }

    fn unknown<T>(&self, path: &str) -> Result<T, FileFault> {
        self.asked.borrow_mut().insert(path.to_owned());
        Err(FileFault::Elsewhere)
    }
}

impl Files for Absent {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        if let Some(given) = &self.given {
            if given.contains_key(path) {
                return Ok(FileKind::File);
            }
            // Swarm alone puts something there.
            if path.starts_with("/run/secrets/") {
                return Err(FileFault::Missing);
            }
        }
        match self.here(path).map(|here| Disk.kind(&here)) {
            Some(Ok(kind)) => Ok(kind),
            // It may be there in the end; `.env` beside a Compose file only may be.
            _ if path.ends_with("/.env") => Err(FileFault::Missing),
            _ => self.unknown(path),
        }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        match self.here(path).map(|here| Disk.read(&here)) {
            Some(Err(FileFault::Missing)) | None => self.unknown(path),
            Some(read) => read,
        }
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let below = |path: &String| path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
        self.given.iter().flat_map(BTreeMap::keys).filter_map(below).collect()
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
    let bytes = Disk.read(&name).map_err(|fault| match fault {
        FileFault::Missing => unreadable(&name, &"there is no such file"),
        fault => unreadable(&name, &format!("it {fault}")),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable(&name, &"it is not UTF-8 text"))?;
    Ok((name, text))
}

fn unreadable(name: &str, why: &dyn Display) -> Refusal {
    Refusal::usage(format!("cannot check `{name}`: {why}"))
}
