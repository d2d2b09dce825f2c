//! `manager run`: from the labels of the own task container to a pod that runs, and to its end.
//!
//! Everything that can be wrong is found before the engine is asked to change anything. What needs root
//! is opened first, then root is given up, then the pod begins.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info, warn};

use crate::checkpoint::{AGENT, Checkpoint};
use crate::cli::{Placement, RunArgs, Which};
use crate::error::Refusal;
use crate::garbage_collector::sweep;
use crate::logs::output::Output;
use crate::pause_channel::Pause;
use crate::pod_run::{Ended, Logs, Means, PodRun};
use crate::reconcile::LEAST_OUTPUT;
use crate::remote_pod;
use crate::request_pipe;
use crate::request_pipe::{Pods, RequestLine};
use crate::startup::context;
use crate::startup::context::{LAST_WORD, ManagerContext};
use crate::startup::own_container;
use crate::stop_status::{status_of_stop, stop_requested};
use engine::docker::DockerEngine;
use pod::exit_status::STATUS_REFUSED;
use pod::health::PodHealth;
use pod::namespaces::Holder;
use pod::plan::AFTER_STOP;
use pod::policy::Policy;
use pod::spec::PodSpec;
use pod::task_container::TaskContainer;

/// How long the last lines of a pod that was not begun may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a manager that was asked to stop before its pod began looks for something to clean up.
const LAST_LOOK: Duration = Duration::from_secs(3);

/// Run the pod of this container. Returns its exit status.
pub async fn run(args: RunArgs, output: Output) -> u8 {
    // Before anything else: a stop is answered at once in every state.
    let mut stops = match ShutdownSignals::listen() {
        Ok(stops) => stops,
        Err(error) => {
            error!("cannot listen to signals: {error}");
            return STATUS_REFUSED;
        }
    };
    let mut asked = None;
    let begun = {
        let mut begin = std::pin::pin!(begin(&args, &output));
        tokio::select! {
            biased;
            () = stops.next() => {
                info!("asked to stop before the pod began");
                asked = Some(Instant::now());
                // An earlier manager, or an earlier run, may have left something to clean up.
                timeout(args.pod.stop_timeout.min(LAST_LOOK), begin).await.ok()
            }
            begun = &mut begin => Some(begun),
        }
    };
    let (status, speak_until) = match begun {
        None => (own_status_of_stop(&args).await, Instant::now() + LAST_WORDS),
        Some(Err(_)) if asked.is_some() => {
            let status = own_status_of_stop(&args).await;
            (status, Instant::now() + LAST_WORDS)
        }
        Some(Err(refusal)) => refuse(&refusal),
        // A pod that an earlier manager of this run has begun waits for nobody's leftovers.
        Some(Ok((begun, base, is_first))) => base.run(begun, is_first, &mut stops, asked).await,
    };
    // Whoever was waited for before: the last words are due.
    let left = speak_until.saturating_duration_since(Instant::now());
    output.finish(left.max(LEAST_OUTPUT)).await;
    status
}

/// The end of a manager whose pod is not begun, and until when it may speak.
fn refuse(refusal: &Refusal) -> (u8, Instant) {
    error!("{}", refusal.words);
    (refusal.status, Instant::now() + LAST_WORDS)
}

/// Everything that outlives a run of the pod.
struct Base<'a> {
    args: &'a RunArgs,
    output: &'a Output,
    site: ManagerContext,
    policy: Policy,
    checkpoint: Checkpoint,
    pods: Pods,
    /// The pipe to the manager's own `pause`.
    control: Arc<File>,
}

impl Base<'_> {
    /// Run the pod to its end, and once more each time that somebody restarts its container, where that is not the
    /// manager's. Returns the exit status, and until when the last output may take.
    async fn run(
        &self,
        mut begun: PodRun,
        mut is_first: bool,
        stops: &mut ShutdownSignals,
        mut asked: Option<Instant>,
    ) -> (u8, Instant) {
        loop {
            if asked.is_none() && is_first {
                tokio::select! {
                    biased;
                    () = stops.next() => {
                        info!("asked to stop before the pod began");
                        asked = Some(Instant::now());
                    }
                    () = begun.clear_the_way() => {}
                }
            }
            if let Some(asked) = asked {
                let status = status_of_stop(&begun.engine(), begun.pod()).await;
                begun.only_clean_up(status, asked.elapsed());
            }
            let ended = to_its_end(begun, stops, &mut asked).await;
            let end = (ended.status, ended.last);
            let (Some(before), None, Placement::Outside(which)) =
                (&ended.ended_there, asked, &self.args.pod.placement)
            else {
                return end;
            };
            let next = tokio::select! {
                biased;
                () = stops.next() => None,
                next = self.next(which, before) => next,
            };
            match next {
                None => return end,
                Some(Err(refusal)) => return refuse(&refusal),
                Some(Ok(next)) => (begun, is_first) = (next, true),
            }
        }
    }

    /// The next run of the pod, where its pause container is restarted.
    async fn next(&self, which: &Which, before: &TaskContainer) -> Option<Result<PodRun, Refusal>> {
        let ManagerContext { engine, address, own, .. } = &self.site;
        if !remote_pod::restarted(engine, address, which, own, before, remote_pod::RESTART).await {
            return None;
        }
        info!("the pod's pause container `{}` was restarted: a new run of the pod", before.name);
        Some(self.begin_next(which).await)
    }

    async fn begin_next(&self, which: &Which) -> Result<PodRun, Refusal> {
        let site = &self.site;
        let mut pause = Pause::new(Arc::clone(&self.control));
        pause.publish(PodHealth::Starting);
        let task = remote_pod::find(&site.engine, &site.address, which, &site.own).await?;
        self.output.name_pod(&task.name);
        self.output.begin();
        let prepared = site.prepare(self.args, &task, Ok(&self.policy), None, None).await?;
        pause.hold(prepared.spec.stop_timeout + AFTER_STOP + LAST_WORD);
        Ok(PodRun::outside(site, task, prepared, pause, self.means()))
    }

    fn means(&self) -> Means<'_> {
        let logs = if self.args.logs { Logs::Here(self.output.clone()) } else { Logs::Off };
        let (checkpoint, pods) = (self.checkpoint.clone(), self.pods.clone());
        Means { policy: &self.policy, logs, checkpoint, ending: Arc::default(), pods }
    }
}

/// Run a pod to its end. `asked` is when this manager was asked to stop.
async fn to_its_end(begun: PodRun, stops: &mut ShutdownSignals, asked: &mut Option<Instant>) -> Ended {
    let (news, engine, pod) = (begun.news(), begun.engine(), begun.pod().to_owned());
    let mut run = std::pin::pin!(begun.run());
    loop {
        tokio::select! {
            biased;
            () = stops.next() => {
                asked.get_or_insert_with(Instant::now);
                let (news, engine, pod) = (news.clone(), engine.clone(), pod.clone());
                tokio::spawn(async move { news.send(stop_requested(&engine, &pod).await) });
            }
            ended = &mut run => return ended,
        }
    }
}

/// The same of a pod that has not begun.
async fn own_status_of_stop(args: &RunArgs) -> u8 {
    let engine = context::engine_of(args).ok().and_then(|(address, _)| DockerEngine::new(&address).ok());
    match (engine, own_container::own_container()) {
        (Some(engine), Ok(own)) => status_of_stop(&engine, &own).await,
        _ => 0,
    }
}

/// SIGTERM and SIGINT; and the signals that would end us but mean nothing here, so that none of them is
/// taken for a crash.
pub(crate) struct ShutdownSignals {
    term: Signal,
    int: Signal,
    others: [(&'static str, Signal); 4],
}

impl ShutdownSignals {
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(ShutdownSignals {
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

    pub(crate) async fn next(&mut self) {
        let ShutdownSignals { term, int, others: [hup, quit, usr1, usr2] } = self;
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

/// Everything up to the first change. Also reports whether no manager has been in this run of the container before.
async fn begin<'a>(args: &'a RunArgs, output: &'a Output) -> Result<(PodRun, Base<'a>, bool), Refusal> {
    // First of all: only then does pause know that a stop can be handled here.
    own_container::own_container().map_err(Refusal::usage)?;
    let handed = context::handed()?;
    let expected = handed.expected();
    let control = Arc::new(handed.control);
    let mut pause = Pause::new(Arc::clone(&control));
    pause.publish(PodHealth::Starting);

    let mut site = ManagerContext::arrive(args, expected).await?;
    let outside = match &args.pod.placement {
        Placement::Outside(which) => {
            Some(remote_pod::find(&site.engine, &site.address, which, &site.own).await?)
        }
        Placement::Auto | Placement::Sandbox | Placement::Task => None,
    };
    let task = outside.as_ref().unwrap_or(&site.own);
    output.name_pod(&task.name);
    let (policy, credentials) = (context::policy(args), context::credentials());
    let ending = match handed.ending {
        true => Some(status_of_stop(&site.engine, &task.id).await),
        false => None,
    };
    let prepared = site.prepare(args, task, policy.as_ref(), credentials.as_ref().err(), ending).await?;
    // Its own `pause` does not wait for ever for this process either. The end of a pod elsewhere is told to the `pause`
    // there, for which an engine that is restarted may take its time.
    let more = if outside.is_some() { LAST_WORD } else { Duration::ZERO };
    pause.hold(prepared.spec.stop_timeout + AFTER_STOP + more);
    let policy = policy.unwrap_or_default();
    let private = is_private(&prepared.spec, outside.is_some());
    // A container that is made anew in place of the pod's has another id.
    let name = if outside.is_some() { AGENT } else { &prepared.spec.identity.pod };
    let checkpoint = if private { Checkpoint::kept(name) } else { Checkpoint::default() };
    let requests = private.then(|| RequestLine::open(Path::new(request_pipe::FOLDER)));
    site.confine(output)?;
    site.engine = site.engine.with_credentials(credentials.unwrap_or_default());

    tokio::spawn(sweep(site.engine.clone(), Arc::clone(&site.limiter)));
    let pods = Pods::default();
    serve(requests, &pods);
    let base = Base { args, output, site, policy, checkpoint, pods, control };
    let is_first = !handed.again && !handed.ending;
    let begun = match outside {
        // A sandbox elsewhere is tied to nothing here.
        Some(task) => {
            pause.close_listener();
            PodRun::outside(&base.site, task, prepared, pause, base.means())
        }
        None => PodRun::here(&base.site, prepared, pause, base.means(), handed.lifeline),
    };
    Ok((begun, base, is_first))
}

/// Take requests for restarts, where there is a way for them.
pub(crate) fn serve(requests: Option<std::io::Result<RequestLine>>, pods: &Pods) {
    match requests {
        Some(Ok(line)) => _ = tokio::spawn(line.serve(pods.clone())),
        Some(Err(error)) => {
            warn!("`manager restart` cannot reach this manager: {}: {error}", request_pipe::FOLDER)
        }
        None => debug!("`manager restart` cannot reach this manager: components share its `/dev/shm`"),
    }
}

/// Only this container has its `/dev/shm`: what the manager keeps there is written by nobody else.
fn is_private(spec: &PodSpec, outside: bool) -> bool {
    outside || spec.namespaces.ipc != Some(Holder::Task)
}
