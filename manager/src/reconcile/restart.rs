//! Restarts in place that somebody asks the running manager for, from the question to the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tracing::{Instrument, info};

use crate::reconcile::Runner;
use definition::diagnostic;
use engine::Engine;
use pod::completion::Ends;
use pod::observed::{Exit, Failure, Health, StateUpdate, Status, restarted_with};

/// What became of it, in words.
pub type Answer = Result<String, String>;

/// Somebody asks for a restart of a component.
pub struct Request {
    /// The component's name.
    pub name: String,
    /// Where the answer goes, once the component runs again, and is healthy where it has a health check.
    pub answer: oneshot::Sender<Answer>,
}

/// What comes to a pod's loop.
pub enum Message {
    /// A request.
    Asked(Request),
    /// A request, and whether the pod's mounts go with those of other pods.
    Judged(Request, Result<(), Failure>),
}

/// A restart under way.
pub(crate) struct Open {
    name: String,
    /// All that are restarted: the component, and those that are restarted along with it.
    names: Vec<String>,
    answer: oneshot::Sender<Answer>,
}

impl<E: Engine> Runner<E> {
    /// Where requests go.
    pub fn requests(&self) -> UnboundedSender<Message> {
        self.ask.clone()
    }

    /// Take a request in. Nothing is stopped before it is known that it may be started again.
    pub(crate) fn take_request(&mut self, message: Message) {
        let (request, judged) = match message {
            Message::Asked(request) => (request, None),
            Message::Judged(request, judged) => (request, Some(judged)),
        };
        if let Some(words) = self.refusal(&request.name) {
            let _ = request.answer.send(Err(words));
            return;
        }
        match judged {
            None if self.executor.spec.checks_mounts => {
                let (executor, ask) = (Arc::clone(&self.executor), self.ask.clone());
                let judge = async move {
                    let judged = executor.check_mounts().await;
                    let _ = ask.send(Message::Judged(request, judged));
                };
                tokio::spawn(judge.in_current_span());
            }
            None | Some(Ok(())) => self.begin_restart(request),
            Some(Err(
                Failure::Refused(words)
                | Failure::Forbidden(words)
                | Failure::Transient(words)
                | Failure::Unreachable(words),
            )) => {
                let words = format!("`{}` is left as it is: {words}", request.name);
                let _ = request.answer.send(Err(words));
            }
        }
    }

    /// Why this component is not restarted.
    fn refusal(&self, name: &str) -> Option<String> {
        let (spec, observed) = (&self.executor.spec, &self.observed);
        let components = || spec.components.iter().filter(|one| one.pre_start_of.is_none());
        let names = || components().map(|one| one.name.as_str());
        if observed.concluded.is_some() || observed.stop.is_some() {
            return Some("the pod is ending".into());
        }
        if spec.init.iter().any(|init| init.name == name) {
            return Some(format!("`{name}` is an init component: it runs to its end once"));
        }
        if let Some(of) = spec.member(name).and_then(|step| step.pre_start_of.as_deref()) {
            return Some(format!("`{name}` is a `pre_start` container of `{of}`: it runs to its end once"));
        }
        if !names().any(|one| one == name) {
            return Some(format!("there is no component `{name}`: {}", diagnostic::suggest(name, names())));
        }
        match observed.members.get(name).map(|member| member.status) {
            None if observed.exit_records.contains_key(name) => {
                Some(format!("the container of `{name}` was removed"))
            }
            None | Some(Status::Created) => Some(format!("`{name}` has not been started yet")),
            Some(Status::Removing) => Some(format!("the container of `{name}` is being removed")),
            Some(_) if observed.is_to_restart(name) => Some(format!("`{name}` is being restarted already")),
            // Its start may be under way: before that of the component it would not count.
            Some(Status::Running { .. } | Status::Exited(_)) => restarted_with(spec, name)
                .iter()
                .find(|along| observed.is_to_restart(along))
                .map(|along| format!("`{along}`, which restarts along with it, is being restarted already")),
        }
    }

    fn begin_restart(&mut self, Request { name, answer }: Request) {
        info!("asked to restart `{name}`");
        self.apply(StateUpdate::RestartAsked(name.clone()));
        let names = restarted_with(&self.executor.spec, &name).into_iter();
        let names = names.filter(|name| self.observed.is_to_restart(name)).collect();
        self.open.push(Open { name, names, answer });
    }

    /// Answer the requests that are decided.
    pub(crate) fn answer_requests(&mut self) {
        for open in std::mem::take(&mut self.open) {
            match self.answer(&open) {
                Some(answer) => _ = open.answer.send(answer),
                None => self.open.push(open),
            }
        }
    }

    fn answer(&self, open: &Open) -> Option<Answer> {
        if let Some(conclusion) = &self.observed.concluded {
            return Some(Err(format!("the pod ends: {}", conclusion.because)));
        }
        // Its end is about to be decided.
        if self.observed.stop.is_some() {
            return None;
        }
        let ends = Ends::of(&self.executor.spec, &self.observed, self.began.elapsed());
        for name in &open.names {
            let Some(member) = self.observed.members.get(name) else {
                return Some(Err(format!("the container of `{name}` was removed")));
            };
            if ends.is_undecided(name) {
                return None;
            }
            let up = || self.executor.spec.member(name).is_some_and(|one| self.observed.up(one));
            match member.status {
                Status::Running { health: Health::None | Health::Healthy } if up() => {}
                Status::Running { health: Health::Unhealthy } => {
                    return Some(Err(match member.failed_check.as_ref()? {
                        Some(check) => format!("`{name}` is unhealthy: {check}"),
                        None => format!("`{name}` is unhealthy"),
                    }));
                }
                // It runs to its end by itself, and has.
                Status::Exited(Exit { status: 0, .. }) if ends.completed(name) => {}
                Status::Exited(exit) => {
                    return Some(Err(format!("`{name}` ended with {exit} after its restart")));
                }
                Status::Created | Status::Running { .. } | Status::Removing => return None,
            }
        }
        let along = open.names.iter().filter(|name| **name != open.name).map(|name| format!("`{name}`"));
        let along: Vec<String> = along.collect();
        Some(Ok(match along.is_empty() {
            true => format!("restarted `{}`", open.name),
            false => format!("restarted `{}`, and with it {}", open.name, along.join(", ")),
        }))
    }

    /// When each component that runs or ran was started, and that was not this manager's doing a moment ago.
    pub(crate) fn lives(&self) -> BTreeMap<String, i64> {
        use pod::action::{Key, Target, Verb};
        let lives = self.observed.members.iter().filter(|(name, member)| {
            let target = Target::Member((*name).clone());
            let ours = self.observed.starting(&target);
            let key = Key { verb: Verb::Restart, target: Some(target) };
            member.started_at != 0 && !ours && !self.observed.failures.contains_key(&key)
        });
        lives.map(|(name, member)| (name.clone(), member.started_at)).collect()
    }

    /// Components that somebody else has started again since they were in these lives, and since when what each has written
    /// is of its present life; they are told of, and counted.
    pub(crate) fn started_outside(&self, lives: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
        let again = self.observed.members.iter().filter_map(|(name, member)| {
            let before = *lives.get(name).filter(|before| member.started_at > **before)?;
            info!("component `{name}` was started again from outside");
            self.executor.checkpoint.again(&member.id);
            Some((name.clone(), member.in_place.written_since(before, member.started_at)))
        });
        again.collect()
    }
}
