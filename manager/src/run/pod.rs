#![expect(clippy::disallowed_methods, reason = "reads what pause left in the environment")]
//! `manager run`: from the labels of the own task container to a pod that runs, and to its end.
//!
//! Everything that can be wrong is found before the engine is asked to change anything. What needs root
//! is opened first, then root is given up, then the pod begins.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info, warn};

use super::copy::CopySources;
use super::execute::SandboxOrder;
use super::follow::Followers;
use super::marks::{self, Marks};
use super::output::Output;
use super::sentry::Sentry;
use super::serve_health::Pause;
use super::specify::{self, Reading, host_path, pod_of};
use super::{LEAST_OUTPUT, Runner, Surroundings, discover, harden};
use crate::cli::RunArgs;
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineAddress, EngineError, EngineInfo};
use crate::pod::observed::Observation;
use crate::pod::placement::{Holder, Namespaces, Programs};
use crate::pod::plan::{ENGINE_PATIENCE, STATUS_REFUSED, STATUS_UNAVAILABLE, STATUS_USAGE};
use crate::pod::policy::Allowance;
use crate::pod::registry::Credentials;
use crate::pod::spec::{Definition, PodSpec};
use crate::pod::task::TaskContainer;
use crate::source::{self, load::Disk};

/// How long the last lines of a pod that was not begun may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a manager that was asked to stop before its pod began looks for something to clean up.
const LAST_LOOK: Duration = Duration::from_secs(3);
/// Bounds of the wait between two attempts to reach the engine at the start.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Why a pod was not begun.
pub struct Refusal {
    /// The exit status that says so.
    pub status: u8,
    /// Why, for people.
    pub words: String,
}

/// What `pause` handed to its child.
struct Handed {
    /// The pipe to `pause`.
    control: File,
    /// Name of the abstract socket for a sandbox.
    lifeline: String,
    /// The pod was ending already when this manager was started: only clean up. `pause` knows the status.
    ending: bool,
}

/// Run the pod of this container. Returns its exit status.
pub async fn run(args: RunArgs, output: Output) -> u8 {
    // Before anything else: a stop is answered at once in every state.
    let mut stops = match Stops::listen() {
        Ok(stops) => stops,
        Err(error) => {
            error!("cannot listen to signals: {error}");
            return STATUS_REFUSED;
        }
    };
    let mut asked = false;
    let begun = {
        let mut begin = std::pin::pin!(begin(&args, &output));
        tokio::select! {
            biased;
            () = stops.next() => {
                info!("asked to stop before the pod began");
                asked = true;
                // An earlier manager, or an earlier run, may have left something to clean up.
                timeout(args.pod.stop_timeout.min(LAST_LOOK), begin).await.ok()
            }
            begun = &mut begin => Some(begun),
        }
    };
    let mut speak_until = Instant::now() + LAST_WORDS;
    let status = match begun {
        None => 0,
        Some(Err(_)) if asked => 0,
        Some(Err(refusal)) => {
            error!("{}", refusal.words);
            refusal.status
        }
        Some(Ok((runner, ending))) => {
            let news = runner.news();
            if let Some(status) = ending {
                let _ = news.send(Observation::Stop { status, resumed: true });
            } else if asked {
                let _ = news.send(Observation::Stop { status: 0, resumed: true });
            }
            tokio::spawn(async move {
                loop {
                    stops.next().await;
                    if news.send(Observation::Stop { status: 0, resumed: false }).is_err() {
                        return;
                    }
                }
            });
            let (outcome, last) = runner.run().await;
            speak_until = last;
            for name in &outcome.left {
                error!("left behind: container `{name}` could not be removed in time");
            }
            info!("the pod has ended with status {}", outcome.status);
            outcome.status
        }
    };
    // Whoever was waited for before: the last words are due.
    let left = speak_until.saturating_duration_since(Instant::now());
    output.finish(left.max(LEAST_OUTPUT)).await;
    status
}

/// SIGTERM and SIGINT; and the signals that would end us but mean nothing here, so that none of them is
/// taken for a crash.
struct Stops {
    term: Signal,
    int: Signal,
    others: [(&'static str, Signal); 4],
}

impl Stops {
    fn listen() -> std::io::Result<Self> {
        Ok(Stops {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            others: [
                ("HUP", signal(SignalKind::hangup())?),
                ("QUIT", signal(SignalKind::quit())?),
                ("USR1", signal(SignalKind::user_defined1())?),
                ("USR2", signal(SignalKind::user_defined2())?),
            ],
        })
    }

    async fn next(&mut self) {
        let Stops { term, int, others: [hup, quit, usr1, usr2] } = self;
        loop {
            let name = tokio::select! {
                _ = term.recv() => return,
                _ = int.recv() => return,
                _ = hup.1.recv() => hup.0,
                _ = quit.1.recv() => quit.0,
                _ = usr1.1.recv() => usr1.0,
                _ = usr2.1.recv() => usr2.0,
            };
            info!("signal {name} has no effect: TERM and INT stop the pod");
        }
    }
}

/// Everything up to the first change. The status is there where the pod is not to run but to be cleaned up:
/// an earlier manager was ending it, or what an earlier one ran is no longer what can be run.
async fn begin(args: &RunArgs, output: &Output) -> Result<(Runner<DockerEngine>, Option<u8>), Refusal> {
    let usage = |words: String| Refusal { status: STATUS_USAGE, words };
    // First of all: only then does pause know that a stop can be handled here.
    let id = discover::own_container().map_err(|error| usage(error.to_string()))?;
    let handed = handed()?;
    let mut pause = Pause::new(handed.control);
    pause.publish(crate::pod::health::PodHealth::Starting);

    let address = EngineAddress::parse(
        Some(&args.engine.docker_host),
        Some(&args.engine.docker_tls_verify),
        Some(&args.engine.docker_cert_path),
    )
    .map_err(|error| usage(error.to_string()))?;
    let socket = socket_of(&address)?;
    let engine = DockerEngine::new(&address).map_err(|error| usage(error.to_string()))?;
    let info = patiently(&address, || engine.info()).await?;
    let task = patiently(&address, || engine.inspect_task(&id)).await?;
    debug!("engine {} at {address}, task container `{}`", info.version, task.name);

    harden::raise_descriptor_limit()
        .map_err(|error| usage(format!("cannot raise RLIMIT_NOFILE: {error}")))?;
    let mut ending = handed.ending.then_some(0);
    let prepared = prepare(args, &task, &info, &engine, &address, socket.as_deref()).await;
    let (prepared, credentials) = with_credentials(prepared);
    let (spec, copies) = match prepared {
        Ok(prepared) => prepared,
        Err(refusal) => {
            let left = patiently(&address, || engine.list(&task.id)).await?;
            if ending.is_none() && left.is_empty() {
                return Err(refusal);
            }
            error!("{}", refusal.words);
            ending.get_or_insert(refusal.status);
            let nothing = pod_of(&args.pod, &task, Definition::default(), Namespaces::default());
            (nothing, CopySources::default())
        }
    };
    let marks = marks_of(&spec);
    let watched = !specify::policy(&args.pod).allows(Allowance::EngineSocket);
    let sentry = watched.then(|| Sentry::new(socket.as_deref()));
    let standing = harden::give_up(socket.as_deref())
        .map_err(|error| Refusal { status: STATUS_REFUSED, words: error.to_string() })?;
    match standing.still_root {
        Some(why) => warn!("the manager stays root, without capabilities: {why}"),
        None => debug!("the manager is user {} without capabilities", standing.user),
    }
    output.start().map_err(|error| Refusal {
        status: STATUS_REFUSED,
        words: format!("cannot start a thread: {error}"),
    })?;

    if !spec.namespaces.sandbox() {
        pause.close_listener();
    }
    let names: Vec<&str> = spec.members().map(|member| member.name.as_str()).collect();
    info!("the pod of `{}`: {}", task.name, names.join(", "));
    let around = Surroundings {
        pause,
        sandbox: SandboxOrder { image: task.image_id.clone(), lifeline: handed.lifeline },
        sentry,
        copies,
        followers: args.logs.then(|| Followers::new(output.clone())),
        marks,
    };
    let engine = Arc::new(engine.with_credentials(credentials));
    Ok((Runner::new(engine, spec, around), ending))
}

/// Whose `post_start` hooks a manager before this one has run.
fn marks_of(spec: &PodSpec) -> Marks {
    let none = spec.components.iter().all(|component| component.post_start.is_empty());
    // There, components can write too.
    let shared = spec.namespaces.ipc == Some(Holder::Task);
    if none || shared {
        return Marks::default();
    }
    Marks::open(Path::new(marks::FOLDER), &spec.identity.pod).unwrap_or_else(|error| {
        debug!("no marks of hooks can be kept in {}: {error}", marks::FOLDER);
        Marks::default()
    })
}

/// What is prepared, and the credentials of registries; a fault in those is one more reason against the pod.
fn with_credentials<T>(prepared: Result<T, Refusal>) -> (Result<T, Refusal>, Credentials) {
    match source::credentials::read(&Disk) {
        Ok((credentials, warnings)) => {
            for warning in warnings {
                warn!("{warning}");
            }
            (prepared, credentials)
        }
        Err(report) => {
            let before = prepared.err().map(|refusal| refusal.words);
            let words: Vec<String> = before.into_iter().chain([report.to_string()]).collect();
            (Err(Refusal { status: STATUS_USAGE, words: words.join("\n") }), Credentials::default())
        }
    }
}

/// The pod that is wanted, with every reason against it in one report, and everything that it copies, open.
async fn prepare(
    args: &RunArgs,
    task: &TaskContainer,
    info: &EngineInfo,
    engine: &DockerEngine,
    address: &EngineAddress,
    socket: Option<&Path>,
) -> Result<(PodSpec, CopySources), Refusal> {
    let host_socket = socket.map(|path| host_path(task, path));
    let policy = specify::policy(&args.pod);
    let around = source::labels::Surroundings {
        task,
        files: &Disk,
        environment: &|name| std::env::var(name).ok(),
        host_socket: host_socket.as_deref(),
        share_volumes: args.pod.volumes,
        policy: &policy,
    };
    let programs = Programs { unreadable: harden::programs_unreadable() };
    let mut reading = specify::read(&args.pod, &around, programs);
    specify::ask_engine(&mut reading, &around, engine, address).await?;
    let Reading { mut spec, warnings, faults } = reading;
    for warning in warnings {
        warn!("{warning}");
    }
    spec.namespaces.cgroup_parent = discover::cgroup_parent(info, &discover::own_cgroups(), task);
    if !faults.is_empty() {
        return Err(Refusal { status: STATUS_USAGE, words: faults.join("\n") });
    }
    let copies = CopySources::open(&spec).map_err(|errors| {
        let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Refusal { status: STATUS_USAGE, words: words.join("\n") }
    })?;
    Ok((spec, copies))
}

/// What `pause` handed over.
fn handed() -> Result<Handed, Refusal> {
    let usage = |words: &str| Refusal { status: STATUS_USAGE, words: words.to_owned() };
    let number = std::env::var(pause::env::CONTROL).map_err(|_| {
        usage(
            "the manager is not looked after by pause: start it as `/pause -- /manager`, which is the entrypoint of \
             the image `tandem/manager`",
        )
    })?;
    // Opened anew rather than taken over: so it closes on exec, and no unsafe code is needed.
    let control = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{number}"))
        .map_err(|error| usage(&format!("cannot open the control pipe to pause: {error}")))?;
    if let Ok(number) = number.parse::<i32>() {
        let _ = nix::unistd::close(number);
    }
    Ok(Handed {
        control,
        lifeline: std::env::var(pause::env::LIFELINE).unwrap_or_default(),
        ending: std::env::var_os(pause::env::STOP).is_some(),
    })
}

/// The unix socket of an engine that components will not be able to reach.
fn socket_of(address: &EngineAddress) -> Result<Option<PathBuf>, Refusal> {
    match address {
        EngineAddress::Unix(path) => Ok(Some(path.clone())),
        EngineAddress::Tls { .. } => Ok(None),
        EngineAddress::Tcp { .. } => Err(Refusal {
            status: STATUS_USAGE,
            words: format!(
                "the engine at {address} has no protection, and components share the manager's network: every one of \
                 them could use it; mount a unix socket, or use TLS with client certificates (`DOCKER_TLS_VERIFY`, \
                 `DOCKER_CERT_PATH`)"
            ),
        }),
    }
}

/// Ask until the engine answers, within limits.
///
/// # Errors
/// Where it does not within [`ENGINE_PATIENCE`], or does not serve.
pub async fn patiently<T, F>(address: &EngineAddress, mut ask: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, EngineError>>,
{
    let began = Instant::now();
    let mut backoff = BACKOFF.0;
    loop {
        let left = ENGINE_PATIENCE.saturating_sub(began.elapsed());
        let words = match tokio::time::timeout(left, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(EngineError::Unreachable(words))) => words,
            Ok(Err(other)) => {
                return Err(Refusal {
                    status: STATUS_UNAVAILABLE,
                    words: format!("the engine at {address} does not serve: {other}"),
                });
            }
            Err(_) => "no answer in time".to_owned(),
        };
        if began.elapsed() + backoff >= ENGINE_PATIENCE {
            return Err(Refusal {
                status: STATUS_UNAVAILABLE,
                words: format!(
                    "the engine at {address} does not answer ({words}): is its socket mounted into the task container, \
                     and the engine running?"
                ),
            });
        }
        if backoff == BACKOFF.0 {
            warn!("waiting for the engine at {address}: {words}");
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}
