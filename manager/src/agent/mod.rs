//! `manager agent`: every pod of this node. Each pod is a bare pause container with labels, which Swarm, Compose or
//! `docker run` has started; the agent runs it as a manager outside does, in a task of its own.
//!
//! The agent keeps nothing: when it ends, the pods run on, and the next one finds them as they are. Of two with the same
//! name one waits ([`crate::agent::lock`]).

pub mod lock;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use pause::control::MAX_HOLD_SECS;
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, error, info, info_span, warn};

use crate::agent::lock::Lock;
use crate::checkpoint::{AGENT, Checkpoint};
use crate::cli::{AgentArgs, LogFormat, Placement, RunArgs, Which};
use crate::commands::run::{ShutdownSignals, serve};
use crate::error::Refusal;
use crate::garbage_collector::{sweep, sweep_forsaken, sweep_soon};
use crate::logs::output::{Form, Output};
use crate::pause_channel::Pause;
use crate::pod_run::{Logs, Means, PodRun};
use crate::reconcile::BACKOFF;
use crate::remote_pod;
use crate::request_pipe;
use crate::request_pipe::RequestLine;
use crate::startup::context;
use crate::startup::context::{ManagerContext, PreparedPod};
use crate::startup::own_container;
use crate::startup::retry::{Expected, retry_until_timeout};
use definition::labels::MANAGER;
use engine::node::Standing;
use engine::{Engine, EngineError};
use pod::exit_status::{STATUS_REFUSED, STATUS_UNAVAILABLE};
use pod::health::PodHealth;
use pod::identity::{LABEL_POD, LABEL_ROLE, short};
use pod::policy::Policy;
use pod::task_container::TaskContainer;

/// How labels begin that define a pod.
const LABELS: &str = "pod.";
/// How long the last lines may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long one that was asked to stop before it began looks for what to clean up.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// How long pods may take to be asked to stop, once the agent is. A node that is drained, or a stack that is removed, asks
/// both at the same moment, but Swarm takes a pod off its networks first, which is 2 s (moby: `defaultGossipConvergeDelay`).
const LINGER: Duration = Duration::from_secs(5);
/// How often it is looked whether a pod has begun to end.
const LOOK: Duration = Duration::from_millis(100);

/// The name of an agent that was given none, whose pods need no label that says so.
const NAME: &str = "agent";

/// What all pods share.
struct Agent {
    site: ManagerContext,
    args: RunArgs,
    name: String,
    policy: Policy,
    checkpoint: Checkpoint,
    pods: request_pipe::Pods,
    lock: Lock,
    /// Something of a pod that has ended is left.
    sweep: Notify,
}

/// Run pods until asked to stop. Returns the exit status.
pub async fn run(args: AgentArgs, output: Output) -> u8 {
    let result = match ShutdownSignals::listen() {
        Ok(stops) => work(args, &output, stops).await,
        Err(error) => {
            Err(Refusal { status: STATUS_REFUSED, words: format!("cannot listen to signals: {error}") })
        }
    };
    let status = match result {
        Ok(()) => {
            info!("the agent ends: pods that were not asked to stop run on");
            0
        }
        Err(refusal) => {
            error!("{}", refusal.words);
            refusal.status
        }
    };
    output.finish(LAST_WORDS).await;
    status
}

async fn work(args: AgentArgs, output: &Output, mut stops: ShutdownSignals) -> Result<(), Refusal> {
    own_container::own_container().map_err(Refusal::usage)?;
    let handed = context::handed()?;
    let expected = handed.expected();
    info!("{}", looks_for(&args.name));
    let mut pause = Pause::new(handed.control);
    pause.publish(PodHealth::Starting);
    pause.close_listener();
    // Each pod ends in its own time, which is told to its own `pause`; the agent ends after the last one.
    pause.hold(Duration::from_secs(MAX_HOLD_SECS.into()));
    let mut asked = handed.ending;
    let begun = {
        let mut begin = std::pin::pin!(begin(args, output, expected));
        let stop = async {
            if !asked {
                stops.next().await;
            }
        };
        tokio::select! {
            biased;
            () = stop => {
                asked = true;
                // A manager before this one, which crashed, may have left its lock.
                timeout(LAST_LOOK, begin).await.ok()
            }
            begun = &mut begin => Some(begun),
        }
    };
    let agent = match begun {
        Some(Ok(agent)) => Rc::new(agent),
        Some(Err(refusal)) if !asked => return Err(refusal),
        Some(Err(_)) | None => return Ok(()),
    };
    // They go first, and the lock then: two must not run the same pod.
    let pods = LocalSet::new();
    let result = pods.run_until(Rc::clone(&agent).watch(pause, &mut stops, asked)).await;
    drop(pods);
    agent.lock.release().await;
    result
}

/// Which pods are an agent's.
pub fn looks_for(name: &str) -> String {
    match name {
        NAME => format!(
            "agent `{name}`: runs each pause container with labels of a pod and without the label `{MANAGER}`, or with `{MANAGER}: {name}`"
        ),
        name => format!(
            "agent `{name}`: runs each pause container with labels of a pod and with the label `{MANAGER}: {name}`"
        ),
    }
}

async fn begin(args: AgentArgs, output: &Output, expected: Expected) -> Result<Agent, Refusal> {
    let AgentArgs { name, run: args } = args;
    if args.pod.placement != Placement::Auto {
        return Err(Refusal::usage(
            "`--pause` says where one pod is, and an agent runs all of its node: leave it out, or use `manager run`",
        ));
    }
    let mut site = ManagerContext::arrive(&args, expected).await?;
    let (policy, credentials) = (context::policy(&args)?, context::credentials()?);
    let checkpoint = Checkpoint::kept(AGENT);
    let requests = RequestLine::open(Path::new(request_pipe::FOLDER));
    site.confine(output)?;
    let pods = request_pipe::Pods::default();
    serve(Some(requests), &pods);
    site.engine = site.engine.with_credentials(credentials).with_one_stream();
    let lock = Lock::new(&site, &name);
    Ok(Agent { site, args, name, policy, checkpoint, pods, lock, sweep: Notify::new() })
}

/// Pods that are run now.
#[derive(Default)]
struct Pods {
    /// By the id of their pause container.
    known: BTreeMap<String, Known>,
    /// Each ends with its id, and with when the run of the container began that it was.
    running: JoinSet<(String, Option<String>)>,
}

/// A pod that is run.
#[derive(Default)]
struct Known {
    /// Its container was heard or seen to run once more meanwhile: in the run that was taken, or a later one.
    again: bool,
    /// Its end is decided.
    ending: Arc<AtomicBool>,
}

impl Pods {
    fn any_ends(&self) -> bool {
        self.known.values().any(|pod| pod.ending.load(Ordering::Relaxed))
    }

    /// Nothing new is taken; those that are ending, or are asked to meanwhile, get to their end.
    async fn wait_for_stopping_pods(mut self) {
        let began = Instant::now();
        if !self.known.is_empty() {
            info!("asked to stop: waiting {} s for pods that are to stop as well", LINGER.as_secs());
        }
        while !self.known.is_empty() && (began.elapsed() < LINGER || self.any_ends()) {
            if let Ok(Some(Ok((id, _)))) = timeout(LOOK, self.running.join_next()).await {
                self.known.remove(&id);
            }
        }
    }
}

impl Agent {
    /// Run the node's pods once no other agent of this name does: until it is asked to stop, or another one does all the
    /// same, and why this one must not.
    async fn watch(
        self: Rc<Self>,
        mut pause: Pause,
        stops: &mut ShutdownSignals,
        mut asked: bool,
    ) -> Result<(), Refusal> {
        let held = {
            let mut take = std::pin::pin!(self.lock.take(&mut pause));
            let stop = async {
                if !asked {
                    stops.next().await;
                    asked = true;
                }
                // Where the lock can be had at once there may be pods that are asked to stop with it.
                sleep(LAST_LOOK).await;
            };
            tokio::select! {
                held = &mut take => held?,
                () = stop => return Ok(()),
            }
        };
        if asked {
            self.drain_pods(Pods::default()).await;
            return Ok(());
        }
        info!("agent `{}`: running the pods of this node", self.name);
        let (engine, limiter) = (&self.site.engine, &self.site.limiter);
        tokio::select! {
            () = sweep_forsaken(engine, &self.site.own.id, None) => {}
            () = stops.next() => {
                self.drain_pods(Pods::default()).await;
                return Ok(());
            }
        }
        let sweeps = async {
            let mut work: LocalBoxFuture<'_, ()> = sweep(engine.clone(), Arc::clone(limiter)).boxed_local();
            loop {
                tokio::select! {
                    () = &mut work => work = std::future::pending().boxed_local(),
                    () = self.sweep.notified() => {
                        work = sweep_soon(engine.clone(), Arc::clone(limiter)).boxed_local();
                    }
                }
            }
        };
        tokio::select! {
            refusal = self.lock.lost(held) => Err(refusal),
            () = self.serve(pause, stops) => Ok(()),
            () = sweeps => Ok(()),
        }
    }

    /// Take every pod that is there, and that comes, until asked to stop.
    async fn serve(self: &Rc<Self>, mut pause: Pause, stops: &mut ShutdownSignals) {
        let (mut pods, mut backoff) = (Pods::default(), BACKOFF.0);
        loop {
            let broke = tokio::select! {
                biased;
                () = stops.next() => return self.drain_pods(pods).await,
                broke = self.follow(&mut pods, &mut pause, &mut backoff) => broke,
            };
            let Err(error) = broke;
            warn!("watching the engine broke off, trying again: {error}");
            pause.publish(PodHealth::Unhealthy);
            let mut wait = std::pin::pin!(sleep(backoff));
            loop {
                tokio::select! {
                    () = stops.next() => return self.drain_pods(pods).await,
                    () = &mut wait => break,
                    // It will be looked for again.
                    Some(Ok((id, _))) = pods.running.join_next() => {
                        pods.known.remove(&id);
                    }
                }
            }
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// Asked to stop: pods that are asked to as well get to their end, also those that were not taken up yet.
    async fn drain_pods(self: &Rc<Self>, mut pods: Pods) {
        if !matches!(timeout(LAST_LOOK, self.take_all(&mut pods)).await, Ok(Ok(()))) {
            warn!("asked to stop, and the engine does not say which pods there are");
        }
        pods.wait_for_stopping_pods().await;
    }

    /// One life of the event stream.
    async fn follow(
        self: &Rc<Self>,
        pods: &mut Pods,
        pause: &mut Pause,
        backoff: &mut Duration,
    ) -> Result<Infallible, EngineError> {
        // First the stream, then the listing: what happens in between is seen twice rather than never.
        let mut starts = self.site.engine.starts(LABELS).await?;
        self.take_all(pods).await?;
        *backoff = BACKOFF.0;
        pause.publish(PodHealth::Healthy);
        loop {
            tokio::select! {
                Some(Ok((id, run))) = pods.running.join_next() => {
                    // Its container may run again already.
                    if pods.known.remove(&id).is_some_and(|pod| pod.again) {
                        self.take(pods, id, run);
                    }
                }
                start = starts.next() => match start {
                    Some(id) => self.take(pods, id?, None),
                    None => return Err(EngineError::Unreachable("the event stream ended".into())),
                },
            }
        }
    }

    /// Take every pod that is there.
    async fn take_all(self: &Rc<Self>, pods: &mut Pods) -> Result<(), EngineError> {
        for container in self.site.engine.running().await? {
            if self.is_ours(&container.labels) {
                self.take(pods, container.id, None);
            }
        }
        Ok(())
    }

    /// Take this container's pod, if it has one that is ours; not in the run that began at `before`, which is over. One
    /// that is taken already is looked at once more when it has ended: its container may run again by now, and while
    /// nobody listened nobody has heard of that.
    fn take(self: &Rc<Self>, pods: &mut Pods, id: String, before: Option<String>) {
        if let Some(known) = pods.known.get_mut(&id) {
            known.again = true;
            return;
        }
        let ending = Arc::clone(&pods.known.entry(id.clone()).or_default().ending);
        let agent = Rc::clone(self);
        // Here, on the one thread that there is: what a definition is read from knows no other.
        pods.running.spawn_local(async move {
            let run = agent.run_when_ready(&id, before, ending).await;
            (id, run)
        });
    }

    /// Run this container's pod, as [`Self::take`] says, to its end: when the run began that is over. Whatever the engine
    /// does not tell of it is waited for here, where no other pod is held up.
    async fn run_when_ready(
        &self,
        id: &str,
        before: Option<String>,
        ending: Arc<AtomicBool>,
    ) -> Option<String> {
        let (name, started_at) = loop {
            match self.site.engine.standing(id).await {
                // Others have such labels too: task containers with a manager of their own.
                Ok(Standing { name, labels, program, running: true, started_at, .. })
                    if remote_pod::runs_pause(&program) && self.is_ours(&labels) =>
                {
                    break (name, started_at);
                }
                Ok(_) | Err(EngineError::NotFound(_)) => return before,
                Err(error) => warn!("container {} is not told of, trying again: {error}", short(id)),
            }
            sleep(BACKOFF.1).await;
        };
        if before.as_ref() != Some(&started_at) {
            let span = info_span!("pod", name = %name);
            self.run_pod(id, &started_at, ending).instrument(span).await;
        }
        Some(started_at)
    }

    fn is_ours(&self, labels: &BTreeMap<String, String>) -> bool {
        let defined = labels.keys().any(|key| key.starts_with(LABELS) && key != MANAGER);
        // What is in a pod is no pod: its labels are the word of whom a policy holds.
        let within = [LABEL_POD, LABEL_ROLE].iter().any(|key| labels.contains_key(*key));
        defined && !within && labels.get(MANAGER).map_or(NAME, String::as_str) == self.name
    }

    async fn run_pod(&self, id: &str, started_at: &str, ending: Arc<AtomicBool>) {
        let mut args = self.args.clone();
        args.pod.placement = Placement::Outside(Which::Container(id.to_owned()));
        let mut warned = String::new();
        let (task, prepared) = loop {
            match self.prepare(&args, id, started_at).await {
                Ok(Some(ready)) => break ready,
                Ok(None) => return self.given_up(),
                // The pod is not at fault: as long as it is there it is tried again.
                Err(refusal) if refusal.status == STATUS_UNAVAILABLE => {
                    // The same once more is no news.
                    if refusal.words != warned {
                        warn!("{}; trying again", refusal.words);
                        warned.clone_from(&refusal.words);
                    }
                    sleep(BACKOFF.1).await;
                    if !self.still_runs(id, started_at).await {
                        return self.given_up();
                    }
                }
                Err(refusal) => return error!("{}", refusal.words),
            }
        };
        let form = if args.log_format == LogFormat::Json { Form::Json } else { Form::Text };
        let logs = if args.logs { Logs::There(form) } else { Logs::Off };
        let (checkpoint, pods) = (self.checkpoint.clone(), self.pods.clone());
        let means = Means { policy: &self.policy, logs, checkpoint, ending, pods };
        // Its health is not the agent's.
        let pause = Pause::new(std::io::sink());
        if PodRun::outside(&self.site, task, prepared, pause, means).run().await.left {
            self.sweep.notify_one();
        }
    }

    /// A run has ended before it could be taken up: what an agent before this one has made of it is swept.
    fn given_up(&self) {
        self.sweep.notify_one();
    }

    /// The pod of this run of the container, judged with what its volumes stand for; nothing where the run is over.
    async fn prepare(
        &self,
        args: &RunArgs,
        id: &str,
        started_at: &str,
    ) -> Result<Option<(TaskContainer, PreparedPod)>, Refusal> {
        let ManagerContext { engine, address, .. } = &self.site;
        let task = retry_until_timeout(address, || engine.inspect_task(id)).await?;
        if !task.running || task.started_at != started_at {
            return Ok(None);
        }
        let prepared = self.site.prepare(args, &task, Ok(&self.policy), None, None).await?;
        // A pod that runs is not ended for what the engine does not tell just now.
        if let (Some(status @ STATUS_UNAVAILABLE), Some(words)) = (prepared.ending, &prepared.refusal) {
            return Err(Refusal { status, words: words.clone() });
        }
        Ok(Some((task, prepared)))
    }

    /// This run of the container goes on, as far as the engine tells.
    async fn still_runs(&self, id: &str, started_at: &str) -> bool {
        match self.site.engine.standing(id).await {
            Ok(now) => now.goes_on(started_at),
            Err(error) => !matches!(error, EngineError::NotFound(_)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::sync::atomic::AtomicU32;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::{Notify, Semaphore, watch};

    use super::*;
    use crate::cli::{Command, parse};
    use engine::EngineAddress;
    use engine::docker::DockerEngine;
    use engine::testing::{answer, ping};

    /// An engine with two containers, each of a pod that is refused, so that its run is a few questions. `ill` has a
    /// volume whose driver is gone.
    struct Script {
        /// Every call, by its path.
        asked: watch::Sender<Vec<String>>,
        /// How often the containers were started.
        started: AtomicU32,
        /// The last question of a run, what is left of its pod, is answered so often.
        ends: Semaphore,
        /// The event streams break off.
        breaks: Notify,
    }

    impl Script {
        async fn serve(&self, mut stream: UnixStream) {
            let mut request = vec![0; 65536];
            let length = stream.read(&mut request).await.expect("a request");
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = text.split(' ').nth(1).expect("a path").trim_start_matches("/v1.41").to_owned();
            self.asked.send_modify(|asked| asked.push(path.clone()));
            let started = self.started.load(Ordering::SeqCst);
            let state =
                format!(r#""Path": "/pause", "State": {{"Running": true, "StartedAt": "{started}"}}"#);
            let defined = r#""Labels": {"pod.component.app": "imag: a"}"#;
            let said = match path.as_str() {
                "/_ping" => ping("1.41"),
                "/info" => answer("200 OK", r#"{"SystemTime": "1970-01-01T00:00:05Z"}"#),
                "/containers/json" => {
                    answer("200 OK", &format!(r#"[{{"Id": "ill", {defined}}}, {{"Id": "well", {defined}}}]"#))
                }
                "/containers/ill/json" => {
                    let mounts = r#""Mounts": [{"Type": "volume", "Name": "v"}]"#;
                    let told = format!(r#"{{"Id": "ill", {state}, "Config": {{{defined}}}, {mounts}}}"#);
                    answer("200 OK", &told)
                }
                "/containers/well/json" => {
                    answer("200 OK", &format!(r#"{{"Id": "well", {state}, "Config": {{{defined}}}}}"#))
                }
                path if path.starts_with("/containers/json?") => {
                    self.ends.acquire().await.expect("open").forget();
                    answer("200 OK", "[]")
                }
                path if path.starts_with("/events") => {
                    let broken = self.breaks.notified();
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("written");
                    return broken.await;
                }
                _ => answer("500 Internal Server Error", r#"{"message": "the driver is gone"}"#),
            };
            let _ = stream.write_all(said.as_bytes()).await;
        }

        /// Returns when a path with this in it was asked for so often.
        async fn asked(&self, part: &str, times: usize) {
            let mut asked = self.asked.subscribe();
            let enough = |all: &Vec<String>| all.iter().filter(|path| path.contains(part)).count() >= times;
            asked.wait_for(enough).await.expect("the sender is here");
        }
    }

    /// An agent of such an engine, which is served as long as the test's local tasks are.
    async fn agent(folder: &std::path::Path) -> (Rc<Agent>, Rc<Script>) {
        let path = folder.join("engine.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let script = Rc::new(Script {
            asked: watch::Sender::default(),
            started: AtomicU32::new(1),
            ends: Semaphore::new(0),
            breaks: Notify::new(),
        });
        let serving = Rc::clone(&script);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = Rc::clone(&serving);
                tokio::task::spawn_local(async move { script.serve(stream).await });
            }
        });
        let address = EngineAddress::Unix(path);
        let site = ManagerContext::at(DockerEngine::new(&address).expect("no TLS"), address).await;
        let command = parse(["manager", "agent"].map(OsString::from)).expect("a command").command;
        let Command::Agent(AgentArgs { name, run: args }) = command else { panic!("{command:?}") };
        let lock = Lock::new(&site, &name);
        let (policy, checkpoint) = (Policy::default(), Checkpoint::default());
        let pods = request_pipe::Pods::default();
        (Rc::new(Agent { site, args, name, policy, checkpoint, pods, lock, sweep: Notify::new() }), script)
    }

    /// What an agent does with such an engine, within a time.
    async fn story(told: impl AsyncFnOnce(Rc<Agent>, Rc<Script>)) {
        let folder = tempfile::tempdir().expect("a folder");
        let story = async {
            let (agent, script) = agent(folder.path()).await;
            told(agent, script).await;
        };
        let in_time = timeout(Duration::from_secs(20), LocalSet::new().run_until(story)).await;
        assert!(in_time.is_ok(), "it never comes to its end");
    }

    #[tokio::test]
    async fn a_pod_that_cannot_be_judged_holds_up_no_other() {
        story(async |agent, script| {
            let (mut pods, mut pause) = (Pods::default(), Pause::new(std::io::sink()));
            let mut backoff = BACKOFF.0;
            tokio::select! {
                Err(error) = agent.follow(&mut pods, &mut pause, &mut backoff) => panic!("{error}"),
                () = async {
                    script.asked("/volumes/v", 1).await;
                    script.asked("pod%3Dwell", 1).await;
                } => {}
            }
            assert!(!script.asked.borrow().iter().any(|path| path.contains("pod%3Dill")), "it was judged");
        })
        .await;
    }

    #[tokio::test]
    async fn a_run_that_is_over_is_not_begun_again() {
        story(async |agent, script| {
            let run = agent.run_when_ready("well", Some("1".into()), Arc::default()).await;
            assert_eq!(run.as_deref(), Some("1"));
            assert_eq!(*script.asked.borrow(), ["/_ping", "/containers/well/json"]);
        })
        .await;
    }

    #[tokio::test]
    async fn a_pod_that_is_started_again_unheard_is_run_again() {
        story(async |agent, script| {
            let (mut pods, mut pause) = (Pods::default(), Pause::new(std::io::sink()));
            let mut backoff = BACKOFF.0;
            let broken = async {
                script.asked("pod%3Dwell", 1).await;
                script.breaks.notify_waiters();
            };
            let (Err(_), ()) = tokio::join!(agent.follow(&mut pods, &mut pause, &mut backoff), broken);
            script.started.store(2, Ordering::SeqCst);
            tokio::select! {
                Err(error) = agent.follow(&mut pods, &mut pause, &mut backoff) => panic!("{error}"),
                () = async {
                    script.asked("/events", 2).await;
                    let listings = |all: &[String]| all.iter().filter(|path| *path == "/containers/json").count();
                    script.asked.subscribe().wait_for(|all| listings(all) == 2).await.expect("it is here");
                    // Only now the run before comes to its end.
                    script.ends.add_permits(1);
                    script.asked("pod%3Dwell", 2).await;
                } => {}
            }
        })
        .await;
    }
}
