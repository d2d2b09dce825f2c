//! What came of a check: of each pod, and of services that are none. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::Refusal;
use definition::diagnostic::DiagnosticReport;
use pod::exit_status::STATUS_USAGE;
use pod::limits::Limits;
use pod::spec::{Condition, PodSpec};

/// Why there is nothing to check.
pub(crate) struct Trouble {
    status: u8,
    report: Option<DiagnosticReport>,
    words: String,
}

impl From<Refusal> for Trouble {
    fn from(Refusal { status, words }: Refusal) -> Self {
        Trouble { status, report: None, words }
    }
}

impl From<DiagnosticReport> for Trouble {
    fn from(report: DiagnosticReport) -> Self {
        Trouble { status: STATUS_USAGE, words: report.to_string(), report: Some(report) }
    }
}

/// The answer to a check.
#[derive(Default)]
pub(crate) struct Answer {
    /// The pods that were checked.
    pub(crate) pods: Vec<Checked>,
    /// Services that are no pods, and why.
    pub(crate) others: Vec<(String, String)>,
    /// What concerns no pod in particular.
    pub(crate) refusal: Option<Trouble>,
}

/// One pod that was checked.
#[derive(Default)]
pub(crate) struct Checked {
    /// As a person would call it.
    pub(crate) title: String,
    /// Its service, where it is one of a stack file.
    pub(crate) service: Option<String>,
    /// The exit status that it calls for.
    pub(crate) status: u8,
    /// What works, but perhaps not as the user expects.
    pub(crate) warnings: Vec<String>,
    /// What is wrong with the definition itself, each with its place; `faults` begins with its text.
    pub(crate) report: Option<DiagnosticReport>,
    /// Everything that is wrong, for people.
    pub(crate) faults: Vec<String>,
    /// The flag that allows all that can be allowed.
    pub(crate) allow: Option<String>,
    /// What would run, where nothing is wrong.
    pub(crate) plan: Option<Plan>,
}

/// What would run, and what it stands beside.
pub(crate) struct Plan {
    /// The pod.
    pub(crate) spec: PodSpec,
    /// Limits of the task.
    pub(crate) limits: Limits,
    /// Time after which Docker kills the task container, where that is known.
    pub(crate) service_grace: Option<Duration>,
    /// The task container is in the host's network.
    pub(crate) host_network: bool,
    /// Files of the task container that nobody could look at.
    pub(crate) files: BTreeSet<String>,
    /// An engine was asked: it has the images, or will say so.
    pub(crate) asked_engine: bool,
}

impl Plan {
    /// The images of which nobody has seen the health check, and the components that wait for it.
    pub(crate) fn unseen_checks(&self) -> Vec<(&str, Vec<&str>)> {
        let mut images: Vec<(&str, Vec<&str>)> = Vec::new();
        if self.asked_engine {
            return images;
        }
        for member in self.spec.components.iter().filter(|one| one.container.healthcheck.is_none()) {
            let waits = |other: &&pod::spec::ComponentSpec| {
                let mut on = other.depends_on.iter();
                on.any(|on| on.on == member.name && on.condition == Condition::Healthy)
            };
            let waiting = self.spec.components.iter().filter(waits).map(|other| other.name.as_str());
            let image = member.container.image.as_str();
            match images.iter_mut().find(|(known, _)| *known == image) {
                Some((_, known)) => known.extend(waiting),
                None => images.push((image, waiting.collect())),
            }
        }
        images
    }
}

impl Checked {
    /// A pod with these faults.
    pub(crate) fn of(title: String, faults: Vec<String>) -> Self {
        let status = if faults.is_empty() { 0 } else { STATUS_USAGE };
        Checked { title, status, faults, ..Checked::default() }
    }

    /// A pod that could not be read at all.
    pub(crate) fn troubled(title: String, trouble: Trouble) -> Self {
        let Trouble { status, report, words } = trouble;
        Checked { title, status, report, faults: vec![words], ..Checked::default() }
    }

    pub(crate) fn words(&self) -> Vec<String> {
        let warnings = self.warnings.iter().map(|warning| format!("warning: {warning}"));
        let allow = self.allow.iter().filter(|_| !self.faults.is_empty());
        let allow =
            allow.map(|flag| format!("one flag for the manager that allows all that can be allowed: {flag}"));
        warnings.chain(self.faults.iter().cloned()).chain(allow).collect()
    }
}

impl Answer {
    /// Of one definition.
    pub(crate) fn one(pod: Checked) -> Self {
        Answer { pods: vec![pod], ..Answer::default() }
    }

    /// Nothing could be checked.
    pub(crate) fn refused(trouble: Trouble) -> Self {
        Answer { refusal: Some(trouble), ..Answer::default() }
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        let refusal = self.refusal.as_ref().map(|trouble| trouble.status);
        refusal.or_else(|| self.pods.iter().map(|pod| pod.status).max()).unwrap_or(STATUS_USAGE)
    }

    /// What concerns no pod in particular: its report, and its text.
    pub(crate) fn refusal(&self) -> Option<(Option<&DiagnosticReport>, &str)> {
        self.refusal.as_ref().map(|trouble| (trouble.report.as_ref(), trouble.words.as_str()))
    }
}
