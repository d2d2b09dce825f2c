//! A pod that is ready to run, here or in another container, and its run to the end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tracing::{Instrument, error, info};

use super::execute::SandboxOrder;
use super::follow::Followers;
use super::limits::Limiter;
use super::marks::Marks;
use super::output::Output;
use super::outside::{line::Line, watch};
use super::sentry::Sentry;
use super::serve_health::Pause;
use super::site::{LAST_WORD, Prepared, Site};
use super::{AFTER_STOP, LEAST_OUTPUT, Runner, Surroundings};
use crate::engine::docker::DockerEngine;
use crate::pod::observed::Observation;
use crate::pod::policy::Policy;
use crate::pod::task::TaskContainer;

/// A pod that is ready to run.
pub struct Begun {
    engine: DockerEngine,
    runner: Runner<DockerEngine>,
    /// Id of the task container, and who holds the pod to its limits.
    pod: String,
    limiter: Arc<Limiter>,
    ending: Option<u8>,
    decided: Arc<AtomicBool>,
    /// Its pause container, where that is another one than the manager's, and the line to the `pause` there.
    outside: Option<(TaskContainer, Line)>,
    output: Option<Output>,
}

/// Where a pod's threads lead.
struct Ends {
    lifeline: String,
    output: Option<Output>,
    outside: Option<(TaskContainer, Line)>,
}

/// With what a pod is run.
pub struct Means<'a> {
    /// What the operator allows.
    pub policy: &'a Policy,
    /// Where the components' output goes, where it is asked for.
    pub logs: Logs,
    /// Whose hooks have run.
    pub marks: Marks,
    /// Where it is put down that the pod's end is decided.
    pub ending: Arc<AtomicBool>,
}

/// Where the components' output goes.
pub enum Logs {
    /// Nowhere.
    Off,
    /// To the manager's own output.
    Here(Output),
    /// To that of the pod's `pause`.
    There,
}

impl Begun {
    /// The pod of the manager's own container. `lifeline` is the socket that ties a sandbox to it.
    pub fn here(
        site: &Site,
        prepared: Prepared,
        mut pause: Pause,
        means: Means<'_>,
        lifeline: String,
    ) -> Self {
        if !prepared.spec.namespaces.sandbox() {
            pause.close_listener();
        }
        let output = match &means.logs {
            Logs::Here(output) => Some(output.clone()),
            Logs::Off | Logs::There => None,
        };
        Self::of(site, &site.own, prepared, pause, means, Ends { lifeline, output, outside: None })
    }

    /// The pod of another container. `pause` is the manager's own.
    pub fn outside(
        site: &Site,
        task: TaskContainer,
        prepared: Prepared,
        mut pause: Pause,
        means: Means<'_>,
    ) -> Self {
        let hold = prepared.spec.stop_timeout + AFTER_STOP;
        let line = Line::open(site.engine.clone(), &task, hold);
        pause.tell_also(line.clone());
        if let Some(words) = &prepared.refusal {
            line.explain(words);
        }
        let output = match &means.logs {
            Logs::Here(output) => Some(output.clone()),
            Logs::There => Some(Output::through(&line)),
            Logs::Off => None,
        };
        let outside = Some((task.clone(), line));
        Self::of(site, &task, prepared, pause, means, Ends { lifeline: String::new(), output, outside })
    }

    fn of(
        site: &Site,
        task: &TaskContainer,
        prepared: Prepared,
        pause: Pause,
        means: Means<'_>,
        ends: Ends,
    ) -> Self {
        let Ends { lifeline, output, outside } = ends;
        let Prepared { spec, copies, ending, refusal: _ } = prepared;
        let names: Vec<&str> = spec.members().map(|member| member.name.as_str()).collect();
        info!("the pod of `{}`: {}", task.name, names.join(", "));
        let host_socket = site.host_socket();
        let sentry = Sentry::new(
            means.policy,
            site.socket.as_deref(),
            host_socket.as_deref(),
            site.limiter.bus_socket(),
        );
        let around = Surroundings {
            pause,
            sandbox: SandboxOrder { image: task.image_id.clone(), lifeline },
            sentry,
            copies,
            followers: output.clone().map(Followers::new),
            marks: means.marks,
            ending: means.ending,
        };
        let decided = Arc::clone(&around.ending);
        let runner = Runner::new(Arc::new(site.engine.clone()), spec, around);
        let (pod, limiter) = (task.id.clone(), Arc::clone(&site.limiter));
        Begun { engine: site.engine.clone(), runner, pod, limiter, ending, decided, outside, output }
    }

    /// It was asked to stop before it began: what an earlier manager left is cleaned up, and nothing more.
    pub fn only_clean_up(&mut self, status: u8) {
        self.ending.get_or_insert(status);
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
    pub fn news(&self) -> UnboundedSender<Observation> {
        self.runner.news()
    }

    /// Run it to its end: its exit status, and until when the last output may take.
    pub async fn run(self) -> (u8, Instant) {
        let Begun { engine, runner, pod, limiter, ending, decided, outside, output } = self;
        let news = runner.news();
        if let Some(status) = ending {
            let _ = news.send(Observation::Stop { status, resumed: true });
        }
        let line = outside.map(|(task, line)| {
            // As long as the pod runs its labels, which are the whole definition, are not held once more.
            let TaskContainer { id, name, started_at, .. } = task;
            let task = TaskContainer { id, name, started_at, ..TaskContainer::default() };
            tokio::spawn(watch::watch(engine, task, news, decided).in_current_span());
            line
        });
        let (outcome, last) = runner.run().await;
        for name in &outcome.left {
            error!("left behind: container `{name}` could not be removed in time");
        }
        if outcome.left.is_empty() {
            limiter.release(&pod).await;
        }
        info!("the pod has ended with status {}", outcome.status);
        if let Some(line) = line {
            if let Some(output) = output {
                output.finish(last.saturating_duration_since(Instant::now()).max(LEAST_OUTPUT)).await;
            }
            line.exit(outcome.status, LAST_WORD).await;
        }
        (outcome.status, last)
    }
}
