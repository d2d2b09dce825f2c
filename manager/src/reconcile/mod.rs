//! Runs a pod: tasks, time and signals.
//!
//! [`Runner::run`] is the loop. One task owns what is observed; everything else sends it messages.

pub mod executor;
pub mod hooks;
pub mod journal;
pub mod restart;
#[cfg(test)]
mod tests;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, debug, error, info, warn};

use crate::checkpoint::Checkpoint;
use crate::files;
use crate::logs::forward::Followers;
use crate::pause_channel::Pause;
use crate::reconcile::executor::{Executor, SandboxOrder};
use crate::reconcile::journal::{Journal, tell_end};
use crate::security::mount_guard::MountGuard;
use engine::Engine;
use pod::action::{Action, Key, Target, Verb};
use pod::health::PodHealth;
use pod::observed::{ActionResult, ContainerState, Event, EventKind, Failure, ObservedState, StateUpdate};
use pod::plan::{AFTER_STOP, Outcome, Plan, STALE_STATE_TIMEOUT, is_state_stale, line, plan};
use pod::spec::PodSpec;

/// Bounds of the wait between two attempts to reach an engine that was there before.
pub(crate) const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long the last output may take to come out when the pod is over.
pub(crate) const LAST_OUTPUT: Duration = Duration::from_secs(2);
/// So long at least: what is in a pipe already comes out.
pub(crate) const LEAST_OUTPUT: Duration = Duration::from_millis(100);
/// How much of [`AFTER_STOP`] is kept for the exit itself.
const EXIT: Duration = Duration::from_millis(250);

/// Why a pull, a copy or a hook failed that the pod's end made needless.
pub(crate) const CANCELLED: &str = "broken off";

/// What the loop needs beside the engine.
pub struct Surroundings {
    /// The line to `pause`.
    pub pause: Pause,
    /// What a sandbox is made of.
    pub sandbox: SandboxOrder,
    /// What `pod.copy` names.
    pub copies: files::CopySources,
    /// Who prints the components' output, where it is asked for.
    pub followers: Option<Followers>,
    /// Whose hooks have run.
    pub checkpoint: Checkpoint,
    /// Checks mounts and images against the policy.
    pub guard: MountGuard,
    /// Labels of the task container that components may repeat; empty if the policy does not compare them.
    pub task_labels: BTreeMap<String, String>,
    /// Where it is put down that the pod's end is decided.
    pub ending: Arc<AtomicBool>,
}

/// One pod being run.
pub struct Runner<E> {
    executor: Arc<Executor<E>>,
    pause: Pause,
    ending: Arc<AtomicBool>,
    observed: ObservedState,
    journal: Journal,
    /// Actions that may be broken off when the pod ends.
    breakable: BTreeMap<Key, AbortHandle>,
    news: UnboundedSender<StateUpdate>,
    inbox: UnboundedReceiver<StateUpdate>,
    /// Requests for restarts, and those that are under way.
    ask: UnboundedSender<restart::Message>,
    asked: UnboundedReceiver<restart::Message>,
    open: Vec<restart::Open>,
    began: Instant,
}

impl<E: Engine> Runner<E> {
    /// A pod that nothing is known of yet.
    pub fn new(engine: Arc<E>, spec: PodSpec, around: Surroundings) -> Self {
        let (news, inbox) = unbounded_channel();
        let (ask, asked) = unbounded_channel();
        let executor = Executor {
            engine,
            spec: Arc::new(spec),
            sandbox: around.sandbox,
            guard: around.guard,
            task_labels: around.task_labels,
            copies: around.copies,
            followers: around.followers,
            checkpoint: around.checkpoint,
            doubt: Arc::new(Notify::new()),
            verified: std::sync::Mutex::default(),
            news: news.clone(),
            create_slots: Semaphore::new(executor::MAX_PARALLEL_CREATES),
        };
        let (post_start_done, exit_records) = (
            executor.checkpoint.post_start_done(),
            executor.checkpoint.exit_records(&executor.spec.identity),
        );
        let mut runner = Runner {
            executor: Arc::new(executor),
            pause: around.pause,
            ending: around.ending,
            observed: ObservedState::default(),
            journal: Journal::default(),
            breakable: BTreeMap::new(),
            news,
            inbox,
            ask,
            asked,
            open: Vec::new(),
            began: Instant::now(),
        };
        runner.apply(StateUpdate::Restored { post_start_done, exit_records });
        runner
    }

    /// So much of its time for stopping has passed already.
    pub fn shorten_stop(&mut self, passed: Duration) {
        if let Some(executor) = Arc::get_mut(&mut self.executor) {
            let spec = Arc::make_mut(&mut executor.spec);
            spec.stop_timeout = spec.stop_timeout.saturating_sub(passed);
        }
    }

    /// Where news from outside goes: a request to stop.
    pub fn news(&self) -> UnboundedSender<StateUpdate> {
        self.news.clone()
    }

    /// Run the pod to its end: observe, plan, act, and again. Also says until when the last output, which
    /// components' and our own share, may take: a stop is one time, all told.
    pub async fn run(mut self) -> (Outcome, Instant) {
        let executor = Arc::clone(&self.executor);
        let watch = watch::watch(
            Arc::clone(&executor.engine),
            executor.spec.identity.pod.clone(),
            Arc::clone(&executor.doubt),
            self.news.clone(),
        );
        let watch = tokio::spawn(watch.in_current_span());
        let mut said = String::new();
        let outcome = loop {
            self.answer_requests();
            let now = self.began.elapsed();
            let plan = plan(&executor.spec, &self.observed, now);
            let changed = self.pause.publish(plan.health);
            if changed && plan.health == PodHealth::Unhealthy && is_state_stale(&self.observed, now) {
                error!(
                    "the engine has not answered for {} s: how the components are is not known, so the pod is not healthy",
                    STALE_STATE_TIMEOUT.as_secs()
                );
            }
            let conclusion = plan.steps.iter().find_map(|step| match &step.action {
                Action::Terminate(conclusion) => Some(conclusion),
                _ => None,
            });
            self.journal.settle(conclusion);
            if let Some(outcome) = plan.outcome {
                break outcome;
            }
            // Logged before anything is touched; the same again would only be noise.
            let words = line(&plan.steps);
            if !words.is_empty() && words != said {
                debug!("plan: {words}");
                said = words;
            }
            let wake_at = plan.wake_at;
            // What was concluded changes what is planned, at once.
            if self.act(plan) {
                continue;
            }
            self.wait(wake_at).await;
        };
        watch.abort();
        executor.checkpoint.end(&executor.spec.identity.pod);
        let ends: Vec<String> =
            self.observed.exit_records.iter().map(|(name, one)| format!("`{name}` {one}")).collect();
        // Of one component its end is in the log already.
        if ends.len() > 1 {
            info!("how the components ended: {}", ends.join(", "));
        }
        let last = self.last_output(executor.spec.stop_timeout);
        if let Some(followers) = &executor.followers {
            followers.finish(last.saturating_duration_since(Instant::now())).await;
        }
        (outcome, last)
    }

    /// Until when output may take to come out.
    fn last_output(&self, stop_timeout: Duration) -> Instant {
        let now = self.began.elapsed();
        let end = self.observed.concluded.as_ref().map_or(now, |conclusion| conclusion.at);
        let left = (end + stop_timeout + AFTER_STOP - EXIT).saturating_sub(now);
        self.began + now + left.clamp(LEAST_OUTPUT, LAST_OUTPUT)
    }

    /// Begin every action of the plan. True when the pod's end was concluded.
    fn act(&mut self, plan: Plan) -> bool {
        let mut concluded = false;
        for step in plan.steps {
            let key = step.action.key();
            if let Action::Terminate(conclusion) = step.action {
                let (status, because) = (conclusion.status, &conclusion.because);
                tell_end(&conclusion, &step.reason);
                if status != 0 {
                    self.pause.explain(&format!("ending the pod with status {status}: {because}"));
                }
                self.pause.conclude(conclusion.status);
                self.ending.store(true, Ordering::Relaxed);
                self.executor.create_slots.close();
                if let Some(followers) = &self.executor.followers {
                    followers.ending();
                }
                self.apply(StateUpdate::ActionFinished(key, Ok(ActionResult::Concluded(conclusion))));
                // A stop does not wait for a registry, nor for a large copy or a hook.
                for (key, handle) in std::mem::take(&mut self.breakable) {
                    handle.abort();
                    self.apply(StateUpdate::ActionFinished(key, Err(Failure::Transient(CANCELLED.into()))));
                }
                concluded = true;
                continue;
            }
            let member = key.target.as_ref().and_then(|target| self.observed.member(target));
            let life = member.map(ContainerState::life);
            let id = match &key.target {
                Some(Target::Orphan(id)) => Some(id.clone()),
                _ => member.map(|member| member.id.clone()),
            };
            self.journal.begin(&step);
            self.apply(StateUpdate::ActionStarted(key.clone()));
            let (executor, news, done) = (Arc::clone(&self.executor), self.news.clone(), key.clone());
            let work = async move {
                let result = executor.execute(&step.action, id, life).await;
                let _ = news.send(StateUpdate::ActionFinished(done, result));
            };
            let task = tokio::spawn(work.in_current_span());
            if matches!(
                key.verb,
                Verb::Pull(_) | Verb::Copy | Verb::PostStart | Verb::PreStop | Verb::ReadCheck
            ) {
                self.breakable.insert(key, task.abort_handle());
            }
        }
        concluded
    }

    /// Wait for news or the time, and take in all the news there is.
    async fn wait(&mut self, wake_at: Option<Duration>) {
        let alarm = async {
            match wake_at {
                Some(at) => sleep_until(self.began + at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            news = self.inbox.recv() => {
                if let Some(news) = news {
                    self.apply(news);
                }
            }
            request = self.asked.recv() => {
                if let Some(request) = request {
                    self.take_request(request);
                }
            }
            () = alarm => {}
        }
        while let Ok(news) = self.inbox.try_recv() {
            self.apply(news);
        }
    }

    fn apply(&mut self, news: StateUpdate) {
        self.journal.tell(&self.observed, &news);
        if let StateUpdate::ActionFinished(key, _) = &news {
            self.breakable.remove(key);
        }
        let listed = matches!(news, StateUpdate::Listed(_));
        let first = listed && !self.observed.listed;
        match &news {
            StateUpdate::Event(Event { id, kind: EventKind::Destroyed, .. }) => {
                self.executor.checkpoint.forget(id)
            }
            StateUpdate::Event(event) if self.observed.is_news(event) => self.executor.doubt.notify_one(),
            _ => {}
        }
        let lives = if listed { self.lives() } else { BTreeMap::new() };
        self.observed.apply(&self.executor.spec, news, self.began.elapsed());
        if self.observed.concluded.is_none() {
            self.executor.checkpoint.depart(&self.executor.spec.identity, &self.observed.exit_records);
        }
        self.break_off_needless();
        if first {
            self.tell_taken_up();
        }
        if listed {
            let again = self.started_outside(&lives);
            self.follow_running(&again);
        }
    }

    /// What would still serve a component that has ended meanwhile.
    fn break_off_needless(&mut self) {
        let ended = |key: &Key| {
            let member = key.target.as_ref().and_then(|target| self.observed.member(target));
            key.verb == Verb::PreStop && !member.is_some_and(ContainerState::runs)
        };
        let needless: Vec<Key> = self.breakable.keys().filter(|key| ended(key)).cloned().collect();
        for key in needless {
            if let Some(handle) = self.breakable.remove(&key) {
                handle.abort();
                self.apply(StateUpdate::ActionFinished(key, Ok(ActionResult::PreStopped)));
            }
        }
    }

    /// After a listing, follow the output of whatever runs and is not followed: a manager before this one
    /// did, or the engine was away. `again`: see [`Runner::started_outside`].
    fn follow_running(&self, again: &BTreeMap<String, i64>) {
        let Some(followers) = &self.executor.followers else { return };
        for (name, member) in self.observed.members.iter().filter(|(_, member)| member.runs()) {
            let (executor, followers) = (Arc::clone(&self.executor), followers.clone());
            let (id, name) = (member.id.clone(), name.clone());
            let since = again.get(&name).copied();
            let follow = async move {
                // The output of its life before comes first.
                if since.is_some() {
                    followers.settle(&id, LAST_OUTPUT).await;
                }
                let tty = executor.spec.member(&name).is_some_and(|member| member.container.tty);
                if let Err(error) = followers.follow(&*executor.engine, &id, &name, tty, since).await {
                    warn!("cannot follow the output of `{name}`: {error}");
                }
            };
            tokio::spawn(follow.in_current_span());
        }
    }

    /// Log what an earlier manager of this pod has left running: it is ours from now on.
    fn tell_taken_up(&self) {
        let members = self.observed.members.iter();
        let running: Vec<&str> =
            members.filter(|(_, member)| member.runs()).map(|(name, _)| name.as_str()).collect();
        if !running.is_empty() {
            info!("taken up, running: {}", running.join(", "));
        }
    }
}
