#![expect(clippy::disallowed_methods, reason = "reads what pause left in the environment")]
//! What a manager finds where it is started: `pause`, the engine, its own container; and what it gives up there.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{debug, error, warn};

use super::confine::confine;
use super::copy::CopySources;
use super::limits::Limiter;
use super::links::Shared;
use super::output::Output;
use super::outside::{self, files, line::Line};
use super::specify::{self, Reading, host_path, pod_of};
use super::{AFTER_STOP, discover, harden};
use crate::cli::{EngineArgs, Placement, RunArgs};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineAddress, EngineError, EngineInfo};
use crate::pod::placement::{Namespaces, Programs};
use crate::pod::plan::{ENGINE_PATIENCE, STATUS_REFUSED, STATUS_UNAVAILABLE, STATUS_USAGE};
use crate::pod::policy::Policy;
use crate::pod::registry::Credentials;
use crate::pod::spec::{Definition, PodSpec};
use crate::pod::task::TaskContainer;
use crate::source::{self, load::Disk, load::Files};

/// Bounds of the wait between two attempts to reach the engine at the start.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How long the last word to a `pause` in another container may take: as long as the engine may be away.
pub const LAST_WORD: Duration = ENGINE_PATIENCE;

/// Why a pod was not begun.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The exit status that says so.
    pub status: u8,
    /// Why, for people.
    pub words: String,
}

impl Refusal {
    /// Something is wrong with what was asked for.
    pub fn usage(words: impl ToString) -> Self {
        Refusal { status: STATUS_USAGE, words: words.to_string() }
    }
}

/// What `pause` handed to its child.
pub struct Handed {
    /// The pipe to `pause`.
    pub control: File,
    /// Name of the abstract socket for a sandbox.
    pub lifeline: String,
    /// The pod was ending already when this manager was started: only clean up. `pause` knows the status.
    pub ending: bool,
}

/// Where a manager is.
pub struct Site {
    /// The engine.
    pub engine: DockerEngine,
    /// Where it is.
    pub address: EngineAddress,
    /// Its unix socket, where it is one.
    pub socket: Option<PathBuf>,
    /// The manager's own container.
    pub own: TaskContainer,
    /// With what pods are held to their limits.
    pub limiter: Arc<Limiter>,
    info: EngineInfo,
}

/// A pod that can be begun.
pub struct Prepared {
    /// What is wanted.
    pub spec: PodSpec,
    /// Everything that it copies, open.
    pub copies: CopySources,
    /// The status where it is not to run but to be cleaned up: an earlier manager was ending it, or what an earlier one
    /// ran is no longer what can be run.
    pub ending: Option<u8>,
    /// Why what runs is no longer what can be run, for people.
    pub refusal: Option<String>,
}

impl Site {
    /// Look around.
    ///
    /// # Errors
    /// Where this is no place for a manager, or the engine does not answer.
    pub async fn arrive(args: &RunArgs) -> Result<Self, Refusal> {
        let id = discover::own_container().map_err(Refusal::usage)?;
        let (address, socket) = engine_of(args)?;
        let engine = DockerEngine::new(&address).map_err(Refusal::usage)?;
        let info = patiently(&address, || engine.info()).await?;
        let own = patiently(&address, || engine.inspect_task(&id)).await?;
        debug!("engine {} at {address}, own container `{}`", info.version, own.name);
        harden::raise_descriptor_limit()
            .map_err(|error| Refusal::usage(format!("cannot raise RLIMIT_NOFILE: {error}")))?;
        let limiter = Arc::new(Limiter::open(&info, &own).await);
        Ok(Site { engine, address, socket, own, limiter, info })
    }

    /// One with this engine, for tests.
    #[cfg(test)]
    pub async fn at(engine: DockerEngine, address: EngineAddress) -> Self {
        let info = EngineInfo { cgroup_version: 1, ..EngineInfo::default() };
        let own = TaskContainer { id: "own".into(), ..TaskContainer::default() };
        let limiter = Arc::new(Limiter::open(&info, &own).await);
        Site { engine, address, socket: None, own, limiter, info }
    }

    /// The pod of a task container, or what there is to clean up where it cannot run. `besides` is one more reason
    /// against it, and `ending` the status of one that an earlier manager was ending.
    ///
    /// # Errors
    /// Where it cannot run, with every reason in one report, and there is nothing to clean up.
    pub async fn prepare(
        &self,
        args: &RunArgs,
        task: &TaskContainer,
        policy: Result<&Policy, &Refusal>,
        besides: Option<&Refusal>,
        ending: Option<u8>,
    ) -> Result<Prepared, Refusal> {
        let wanted = match policy {
            Ok(policy) => self.wanted(args, task, policy).await,
            Err(refusal) => Err(refusal.clone()),
        };
        let refusal = match (wanted, besides) {
            (Ok((mut spec, copies)), None) => {
                if ending.is_none() {
                    self.limit(&mut spec, task).await;
                }
                return Ok(Prepared { spec, copies, ending, refusal: None });
            }
            (Ok(_), Some(refusal)) => refusal.clone(),
            (Err(refusal), None) => refusal,
            (Err(refusal), Some(other)) => {
                Refusal { words: format!("{}\n{}", refusal.words, other.words), ..refusal }
            }
        };
        let left = patiently(&self.address, || self.engine.list(&task.id)).await?;
        if ending.is_none() && left.is_empty() {
            if task.id != self.own.id && outside::listens(task) {
                let line = Line::open(self.engine.clone(), task, AFTER_STOP);
                line.explain(&refusal.words);
                line.exit(refusal.status, LAST_WORD).await;
            }
            return Err(refusal);
        }
        error!("{}", refusal.words);
        Ok(Prepared {
            spec: pod_of(&args.pod, task, Definition::default(), Namespaces::default()),
            copies: CopySources::default(),
            ending: ending.or(Some(refusal.status)),
            refusal: Some(refusal.words),
        })
    }

    /// Where the engine's unix socket is on the host, where it is one.
    pub fn host_socket(&self) -> Option<String> {
        self.socket.as_deref().map(|path| host_path(&self.own, path))
    }

    /// Hold the pod to the limits of its task.
    async fn limit(&self, spec: &mut PodSpec, task: &TaskContainer) {
        let arrangement = self.limiter.arrange(&self.own, task).await;
        if let Some(words) = &arrangement.warning {
            warn!("{words}");
        }
        let members = spec.init.iter_mut().chain(&mut spec.components);
        arrangement.apply(&task.limits, members.map(|member| &mut member.container));
        spec.namespaces.cgroup_parent = arrangement.parent;
    }

    async fn wanted(
        &self,
        args: &RunArgs,
        task: &TaskContainer,
        policy: &Policy,
    ) -> Result<(PodSpec, CopySources), Refusal> {
        let host_socket = self.host_socket();
        let elsewhere = matches!(args.pod.placement, Placement::Outside(_));
        let environment = |name: &str| variable(elsewhere, task, name);
        // An agent opens no file any more.
        let here = match elsewhere {
            true => Ok(Shared::before(&[])),
            false => Shared::before(&task.mounts).here(),
        };
        let here =
            here.map_err(|error| Refusal::usage(format!("cannot read /proc/self/mountinfo: {error}")))?;
        let around = source::labels::Surroundings {
            task,
            files: &here,
            environment: &environment,
            host_socket: host_socket.as_deref(),
            share_volumes: args.pod.volumes,
            policy,
        };
        let programs = Programs { unreadable: harden::programs_unreadable() };
        let mut reading = if elsewhere {
            let read = |files: &dyn Files| {
                specify::read(&args.pod, &source::labels::Surroundings { files, ..around }, programs)
            };
            let shared = Shared::before(&task.mounts);
            let ask = || files::reading(&self.engine, &task.id, &shared, read);
            let mut reading = patiently(&self.address, ask).await?;
            reading.faults.extend(outside::against(task, &self.own, host_socket.as_deref()));
            reading
        } else {
            specify::read(&args.pod, &around, programs)
        };
        specify::ask_engine(&mut reading, &around, &self.engine, &self.address, &self.info).await?;
        let Reading { spec, warnings, faults } = reading;
        for warning in warnings {
            warn!("{warning}");
        }
        if !faults.is_empty() {
            return Err(Refusal::usage(faults.join("\n")));
        }
        let copies = if elsewhere {
            patiently(&self.address, || CopySources::open_elsewhere(&spec, &self.engine, task)).await?
        } else {
            CopySources::open(&spec, &task.mounts)
        };
        let copies = copies.map_err(|errors| {
            let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Refusal::usage(words.join("\n"))
        })?;
        Ok((spec, copies))
    }

    /// Give up, for good, everything that is not needed once all is open; then start the threads that write.
    ///
    /// # Errors
    /// When the kernel does not let go of something.
    pub fn confine(&self, output: &Output) -> Result<(), Refusal> {
        let refused = |words: String| Refusal { status: STATUS_REFUSED, words };
        let standing = harden::give_up(self.socket.as_deref()).map_err(|error| refused(error.to_string()))?;
        match standing.still_root {
            Some(why) => warn!("the manager stays root, without capabilities: {why}"),
            None => debug!("the manager is user {} without capabilities", standing.user),
        }
        let confinement = confine((&self.address).into(), self.limiter.groups());
        if let Err(error) = &confinement.system_calls {
            warn!("the manager's system calls are not filtered: {error}");
        }
        debug!("confined: {confinement:?}");
        output.start().map_err(|error| refused(format!("cannot start a thread: {error}")))
    }
}

/// A variable for a Compose file. In a container of its own the manager's are its operator's, not those of whoever
/// defines a pod.
fn variable(elsewhere: bool, task: &TaskContainer, name: &str) -> Option<String> {
    if elsewhere { task.variable(name) } else { std::env::var(name).ok() }
}

/// What the operator allows, by flags and by a file.
///
/// # Errors
/// Where the file cannot be read.
pub fn policy(args: &RunArgs) -> Result<Policy, Refusal> {
    // Every file of this container can be seen: there is nothing to warn of.
    specify::policy(&args.pod, &Disk, &mut Vec::new()).map_err(Refusal::usage)
}

/// Credentials of registries.
///
/// # Errors
/// Where their file is broken.
pub fn credentials() -> Result<Credentials, Refusal> {
    let (credentials, warnings) = source::credentials::read(&Disk).map_err(Refusal::usage)?;
    for warning in warnings {
        warn!("{warning}");
    }
    Ok(credentials)
}

/// What `pause` handed over.
///
/// # Errors
/// Where there is no `pause`.
pub fn handed() -> Result<Handed, Refusal> {
    let number = std::env::var(pause::env::CONTROL).map_err(|_| {
        Refusal::usage(
            "the manager is not looked after by pause: start it as `/pause -- /manager`, which is the entrypoint of \
             the image `tandem/manager`",
        )
    })?;
    // Opened anew rather than taken over: so it closes on exec, and no unsafe code is needed.
    let control = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{number}"))
        .map_err(|error| Refusal::usage(format!("cannot open the control pipe to pause: {error}")))?;
    if let Ok(number) = number.parse::<i32>() {
        let _ = nix::unistd::close(number);
    }
    Ok(Handed {
        control,
        lifeline: std::env::var(pause::env::LIFELINE).unwrap_or_default(),
        ending: std::env::var_os(pause::env::STOP).is_some(),
    })
}

/// Where these flags say that the engine is.
///
/// # Errors
/// Where they name none.
pub fn address(args: &EngineArgs) -> Result<EngineAddress, Refusal> {
    let said = (&args.docker_host, &args.docker_tls_verify, &args.docker_cert_path);
    EngineAddress::parse(Some(said.0), Some(said.1), Some(said.2)).map_err(Refusal::usage)
}

/// Where the engine is, and its unix socket, where it is one.
///
/// # Errors
/// Where there is no such address, or components could reach it.
pub fn engine_of(args: &RunArgs) -> Result<(EngineAddress, Option<PathBuf>), Refusal> {
    let address = address(&args.engine)?;
    let socket = socket_of(&address)?;
    Ok((address, socket))
}

/// The unix socket of an engine that components will not be able to reach.
fn socket_of(address: &EngineAddress) -> Result<Option<PathBuf>, Refusal> {
    match address {
        EngineAddress::Unix(path) => Ok(Some(path.clone())),
        EngineAddress::Tls { .. } => Ok(None),
        EngineAddress::Tcp { .. } => Err(Refusal::usage(format!(
            "the engine at {address} has no protection, and components share the manager's network: every one of \
             them could use it; mount a unix socket, or use TLS with client certificates (`DOCKER_TLS_VERIFY`, \
             `DOCKER_CERT_PATH`)"
        ))),
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
            Ok(Err(EngineError::Untrusted(words))) => {
                return Err(Refusal { status: STATUS_UNAVAILABLE, words });
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_elsewhere_sees_no_variable_of_its_manager() {
        let task = TaskContainer { environment: vec!["TAG=1.2".into()], ..TaskContainer::default() };
        assert_eq!(variable(true, &task, "TAG").as_deref(), Some("1.2"));
        assert_eq!((variable(true, &task, "PATH"), variable(false, &task, "PATH").is_some()), (None, true));
    }
}
