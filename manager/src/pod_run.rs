//! A pod that is ready to run, here or in another container, and its run to the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, error, info, warn};

use crate::cgroups::Limiter;
use crate::checkpoint::Checkpoint;
use crate::garbage_collector::sweep_forsaken;
use crate::logs::forward::Followers;
use crate::logs::output::{Form, Output};
use crate::pause_channel::Pause;
use crate::pause_channel::remote::RemotePause;
use crate::reconcile::executor::SandboxOrder;
use crate::reconcile::{LEAST_OUTPUT, Runner, Surroundings};
use crate::remote_pod::watch;
use crate::remote_pod::watch::End;
use crate::request_pipe::Pods;
use crate::startup::context::{LAST_WORD, ManagerContext, PreparedPod};
use engine::docker::DockerEngine;
use pod::exit_status::STATUS_UNAVAILABLE;
use pod::observed::StateUpdate;
use pod::plan::AFTER_STOP;
use pod::policy::{Level, Policy};
use pod::task_container::TaskContainer;

/// A pod that is ready to run.
pub struct PodRun {
    engine: DockerEngine,
    runner: Runner<DockerEngine>,
    /// Id and name of the task container, and who holds the pod to its limits.
    pod: String,
    name: String,
    /// Id of the container that the manager runs in.
    manager: String,
    limiter: Arc<Limiter>,
    ending: Option<u8>,
    end: End,
    /// Its pause container, where that is another one than the manager's, and the line to the `pause` there.
    outside: Option<(TaskContainer, RemotePause)>,
    output: Option<Output>,
    /// The pods that may be asked for restarts.
    pods: Pods,
}

/// Where a pod's threads lead.
struct Ends {
    lifeline: String,
    output: Option<Output>,
    outside: Option<(TaskContainer, RemotePause)>,
    asked_there: Arc<AtomicBool>,
}

/// With what a pod is run.
pub struct Means<'a> {
    /// What the operator allows.
    pub policy: &'a Policy,
    /// Where the components' output goes, where it is asked for.
    pub logs: Logs,
    /// Whose hooks have run.
    pub checkpoint: Checkpoint,
    /// Where it is put down that the pod's end is decided.
    pub ending: Arc<AtomicBool>,
    /// The pods that may be asked for restarts: this one will be among them.
    pub pods: Pods,
}

/// Where the components' output goes.
pub enum Logs {
    /// Nowhere.
    Off,
    /// To the manager's own output.
    Here(Output),
    /// To that of the pod's `pause`, in this form.
    There(Form),
}

/// How a pod ended.
pub struct Ended {
    /// Its exit status.
    pub status: u8,
    /// Until when the last output may take.
    pub last: Instant,
    /// A container of it could not be removed in time, or may be there.
    pub left: bool,
    /// The run of its pause container that is over, where that is not the manager's and somebody else has ended it.
    pub ended_there: Option<TaskContainer>,
}

impl PodRun {
    /// The pod of the manager's own container. `lifeline` is the socket that ties a sandbox to it.
    pub fn here(
        site: &ManagerContext,
        prepared: PreparedPod,
        mut pause: Pause,
        means: Means<'_>,
        lifeline: String,
    ) -> Self {
        if !prepared.spec.namespaces.sandbox() {
            pause.close_listener();
        }
        let output = match &means.logs {
            Logs::Here(output) => Some(output.clone()),
            Logs::Off | Logs::There(_) => None,
        };
        let ends = Ends { lifeline, output, outside: None, asked_there: Arc::default() };
        Self::of(site, &site.own, prepared, pause, means, ends)
    }

    /// The pod of another container. `pause` is the manager's own.
    pub fn outside(
        site: &ManagerContext,
        task: TaskContainer,
        prepared: PreparedPod,
        mut pause: Pause,
        means: Means<'_>,
    ) -> Self {
        let hold = prepared.spec.stop_timeout + AFTER_STOP;
        let line = RemotePause::open(site.engine.clone(), &task, hold, site.json);
        let asked_there = Arc::<AtomicBool>::default();
        pause.attach_remote(line.clone(), Arc::clone(&asked_there));
        if let Some(words) = &prepared.refusal {
            line.explain(words);
        }
        let output = match &means.logs {
            Logs::Here(output) => Some(output.clone()),
            Logs::There(form) => Some(Output::through(&line).in_form(*form)),
            Logs::Off => None,
        };
        let outside = Some((task.clone(), line));
        let ends = Ends { lifeline: String::new(), output, outside, asked_there };
        Self::of(site, &task, prepared, pause, means, ends)
    }

    fn of(
        site: &ManagerContext,
        task: &TaskContainer,
        prepared: PreparedPod,
        pause: Pause,
        means: Means<'_>,
        ends: Ends,
    ) -> Self {
        let Ends { lifeline, output, outside, asked_there } = ends;
        let PreparedPod { mut spec, copies, ending, refusal: _ } = prepared;
        spec.identity.manager.clone_from(&site.own.id);
        let names: Vec<&str> = spec.members().map(|member| member.name.as_str()).collect();
        info!(pod = %task.name, "the pod of `{}`: {}", task.name, names.join(", "));
        let guard = site.mount_guard(&spec, task, means.policy);
        let task_labels = match guard.policy.level {
            Level::Restricted => task.labels.clone(),
            // These levels do not compare labels with those of the task container.
            Level::Default | Level::Baseline => BTreeMap::new(),
        };
        let around = Surroundings {
            pause,
            sandbox: SandboxOrder { image: task.image_id.clone(), lifeline },
            guard,
            task_labels,
            copies,
            followers: output.clone().map(Followers::new),
            checkpoint: means.checkpoint,
            ending: means.ending,
        };
        let end = End { decided: Arc::clone(&around.ending), asked_there };
        let runner = Runner::new(Arc::new(site.engine.clone()), spec, around);
        let (pod, limiter) = (task.id.clone(), Arc::clone(&site.limiter));
        let (engine, name, pods) = (site.engine.clone(), task.name.clone(), means.pods);
        let manager = site.own.id.clone();
        PodRun { engine, runner, pod, name, manager, limiter, ending, end, outside, output, pods }
    }

    /// It was asked to stop so long before it began: what an earlier manager left is cleaned up, and nothing more.
    pub fn only_clean_up(&mut self, status: u8, ago: Duration) {
        self.ending.get_or_insert(status);
        self.runner.shorten_stop(ago);
    }

    /// Remove what dead pods left and nobody looks after. Returns when nothing of it has a name that this pod needs.
    pub async fn clear_the_way(&self) {
        sweep_forsaken(&self.engine, &self.manager, Some(&self.name)).await;
    }

    /// Id of the pod's own container.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// The engine that runs it.
    pub fn engine(&self) -> DockerEngine {
        self.engine.clone()
    }

    /// Where a request to stop goes.
    pub fn news(&self) -> UnboundedSender<StateUpdate> {
        self.runner.news()
    }

    /// Run it to its end.
    pub async fn run(self) -> Ended {
        let PodRun { engine, runner, pod, name, manager: _, limiter, ending, end, outside, output, pods } =
            self;
        let news = runner.news();
        let entry = pods.enter(&pod, &name, runner.requests());
        if let Some(status) = ending {
            let _ = news.send(StateUpdate::Stop { status, resumed: true, ago: Duration::ZERO });
        }
        let line = outside.map(|(task, line)| {
            // As long as the pod runs its labels, which are the whole definition, are not held once more.
            let TaskContainer { id, name, started_at, .. } = task;
            let task = TaskContainer { id, name, started_at, ..TaskContainer::default() };
            tokio::spawn(watch::watch(engine, task.clone(), news, end.clone()).in_current_span());
            (task, line)
        });
        let (outcome, last) = runner.run().await;
        drop(entry);
        for name in &outcome.left {
            error!(component = %name, "left behind: container `{name}` could not be removed in time");
        }
        let time_left = || last.saturating_duration_since(Instant::now()).max(LEAST_OUTPUT);
        if outcome.left.is_empty() && timeout(time_left(), limiter.release(&pod)).await.is_err() {
            warn!("the cgroup of the pod is left: it could not be removed in time");
        }
        info!(status = outcome.status, "the pod has ended with status {}", outcome.status);
        let mut ended_there = None;
        if let Some((task, line)) = line {
            if let Some(output) = output {
                output.finish(time_left()).await;
            }
            line.exit(outcome.status, LAST_WORD).await;
            ended_there = end.asked_there.load(Ordering::Relaxed).then_some(task);
        }
        // Of an engine that does not answer nobody knows what it still has.
        let left = !outcome.left.is_empty() || outcome.status == STATUS_UNAVAILABLE;
        Ended { status: outcome.status, last, left, ended_there }
    }
}
