//! What an operator reads of one pod in the log: each fact once, as a sentence, and its parts as fields.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::reconcile::CANCELLED;
use pod::action::Termination;
use pod::action::{Key, Reason, Step, Target, Verb};
use pod::observed::{
    ActionResult, ContainerState, Event, EventKind, Exit, ExitRecord, Failure, Health, ObservedState,
    StateUpdate, Status,
};

/// The event of an end may come this much after a listing has told of the same end. The pause before a restart is longer.
const SAME_END: Duration = Duration::from_millis(50);

/// What was said of a pod, and what is to be said.
#[derive(Default)]
pub(crate) struct Journal {
    /// Actions under way: since when, and why.
    begun: BTreeMap<Key, (Instant, Reason)>,
    /// Failures of which it is not decided yet whether they end the pod.
    failed: Vec<(Key, Option<Reason>, String)>,
    /// Components that are unhealthy, and why, of which it is not decided yet whether they end the pod.
    unhealthy: Vec<(String, String)>,
    /// The failure that was warned of last, of each action that did not succeed since.
    warned: BTreeMap<Key, String>,
    /// Why the engine does not list the pod, as it was warned of last.
    silence: Option<String>,
}

impl Journal {
    /// An action begins.
    pub(crate) fn begin(&mut self, step: &Step) {
        self.begun.insert(step.action.key(), (Instant::now(), step.reason.clone()));
    }

    /// What an operator wants to know of the news, before they are taken in.
    pub(crate) fn tell(&mut self, observed: &ObservedState, news: &StateUpdate) {
        match news {
            StateUpdate::Event(event) => tell_event(observed, event),
            StateUpdate::ActionFinished(key, result) => {
                let begun = self.begun.remove(key);
                let (took, reason) = match begun {
                    Some((at, reason)) => (Some(millis(at.elapsed())), Some(reason)),
                    None => (None, None),
                };
                match result {
                    Ok(ActionResult::CheckRead(check)) => {
                        if let Some(name) = component(key) {
                            let why = check.as_ref().map(|check| format!(": {check}")).unwrap_or_default();
                            self.unhealthy.push((name.to_owned(), format!("`{name}` is unhealthy{why}")));
                        }
                    }
                    Ok(effect) => {
                        self.warned.remove(key);
                        tell_effect(key, effect, took, reason.as_ref());
                    }
                    Err(
                        Failure::Refused(words)
                        | Failure::Forbidden(words)
                        | Failure::Transient(words)
                        | Failure::Unreachable(words),
                    ) => match words.as_str() {
                        CANCELLED => {
                            info!(component = component(key), action = verb(key), "{CANCELLED}: {key}")
                        }
                        words => self.failed.push((key.clone(), reason, words.to_owned())),
                    },
                }
            }
            StateUpdate::EngineUnreachable(words) if observed.silent_since.is_some() => {
                debug!("the engine does not answer yet: {words}");
            }
            StateUpdate::EngineUnreachable(words) if observed.listed => {
                warn!("watching the engine broke off, trying again: {words}");
            }
            StateUpdate::EngineUnreachable(words) if self.silence.as_ref() == Some(words) => {
                debug!("the engine does not list the pod: {words}");
            }
            StateUpdate::EngineUnreachable(words) => {
                warn!("the engine does not list the pod: {words}");
                self.silence = Some(words.clone());
            }
            StateUpdate::Stop { .. } if observed.stop.is_none() => info!("asked to stop"),
            _ => {}
        }
    }

    /// Warn of the failures and of the unhealthy since the last plan, but not of what ends the pod: the decision says it. An
    /// action that fails again for the same reason is no news.
    pub(crate) fn settle(&mut self, conclusion: Option<&Termination>) {
        for (component, sentence) in std::mem::take(&mut self.unhealthy) {
            match conclusion {
                Some(conclusion) if conclusion.because.contains(&sentence) => {
                    debug!(component, "component {sentence}");
                }
                _ => warn!(component, "component {sentence}"),
            }
        }
        for (key, reason, words) in std::mem::take(&mut self.failed) {
            let sentence = format!("cannot {key}: {words}");
            let reason = reason.map(|reason| reason.to_string());
            let (component, action) = (component(&key), verb(&key));
            if conclusion.is_some_and(|conclusion| conclusion.because.ends_with(&sentence))
                || self.warned.get(&key) == Some(&words)
            {
                debug!(component, action, reason, "{sentence}");
            } else {
                warn!(component, action, reason, "{sentence}");
                self.warned.insert(key, words);
            }
        }
    }
}

/// The decision that the pod ends.
pub(crate) fn tell_end(conclusion: &Termination, reason: &Reason) {
    let Termination { status, because, failed_component, .. } = conclusion;
    let (component, why) = (failed_component.as_deref(), reason.to_string());
    match (status, reason) {
        // That a stop was asked for is in the log already.
        (0, Reason::StopRequested) => debug!(status, reason = why, "ending the pod: {because}"),
        (0, _) => info!(status, reason = why, "ending the pod: {because}"),
        _ => error!(component, status, reason = why, "ending the pod with status {status}: {because}"),
    }
}

fn tell_event(observed: &ObservedState, event: &Event) {
    let mut members = observed.members.iter();
    let Some((name, member)) = members.find(|(_, member)| member.id == event.id) else { return };
    let component = name.as_str();
    match event.kind {
        EventKind::Died(exit) => {
            let exit = Exit { oom: exit.oom || member.oom, ..exit };
            let later = overtakes(observed, name, member, exit);
            let ended =
                ExitRecord { exit, restarts: member.restarts.saturating_add(u32::from(later)), asked: false };
            // When the life began that has ended is known once the answer of its start is there.
            let ran =
                exit.at_nanos.checked_sub(member.started_at).filter(|_| member.started_at > 0 && !later);
            let duration_ms = ran.and_then(|nanos| u64::try_from(nanos / 1_000_000).ok());
            info!(component, status = exit.status, duration_ms, "component `{name}` ended with {ended}");
        }
        // The kernel may kill many processes of one container.
        EventKind::Oom if member.oom => {}
        EventKind::Oom => warn!(component, "component `{name}` ran out of memory"),
        EventKind::Health(Health::Healthy) => info!(component, "component `{name}` is healthy"),
        // That it is unhealthy is told with the reason ([`pod::action::Action::ReadCheck`]).
        EventKind::Health(_) | EventKind::Started => {}
        EventKind::Killed(signal) => debug!(component, "component `{name}` was sent signal {signal}"),
        EventKind::Destroyed => debug!(component, "component `{name}` is gone"),
        EventKind::DebugCreated => {}
    }
}

/// The end is that of a life whose start is still under way: a process that ends at once is heard of before the engine
/// has answered.
fn overtakes(observed: &ObservedState, name: &str, member: &ContainerState, exit: Exit) -> bool {
    let same = i64::try_from(SAME_END.as_nanos()).unwrap_or(i64::MAX);
    member.exit().is_some_and(|before| exit.at_nanos.saturating_sub(before.at_nanos) > same)
        && observed.starting(&Target::Member(name.to_owned()))
}

fn tell_effect(key: &Key, effect: &ActionResult, duration_ms: Option<u64>, reason: Option<&Reason>) {
    let (component, action) = (component(key), verb(key));
    let reason = reason.map(Reason::to_string);
    match (effect, &key.target, &key.verb) {
        (ActionResult::Started(container), Some(target), _)
            if matches!(container.status, Status::Running { .. }) =>
        {
            match target {
                Target::Member(_) => info!(component, action, reason, duration_ms, "started {target}"),
                _ => debug!(action, reason, duration_ms, "started {target}"),
            }
        }
        (ActionResult::Pulled, _, Verb::Pull(image)) => {
            debug!(action, reason, image = %image.reference, duration_ms, "pulled image {image}");
        }
        _ => debug!(component, action, reason, duration_ms, "done: {key}"),
    }
}

fn component(key: &Key) -> Option<&str> {
    match key.target.as_ref()? {
        Target::Member(name) => Some(name),
        _ => None,
    }
}

/// The action of a key as one word for programs.
fn verb(key: &Key) -> &'static str {
    match key.verb {
        Verb::Pull(_) => "pull",
        Verb::Create => "create",
        Verb::Copy => "copy",
        Verb::CheckMounts => "check_mounts",
        Verb::Start => "start",
        Verb::Restart => "restart",
        Verb::ReadCheck => "read_check",
        Verb::PostStart => "post_start",
        Verb::PreStop => "pre_stop",
        Verb::Stop => "stop",
        Verb::ReportLastLogs => "examine",
        Verb::Remove => "remove",
        Verb::Terminate => "end",
        Verb::List => "list",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::log_format::Text;
    use crate::testing::Written;
    use pod::action::Action;
    use pod::failed_check::FailedCheck;
    use pod::identity::Role;
    use pod::observed::ContainerInfo;
    use pod::testing::pod;

    /// The lines of level `info` and above that are written meanwhile, without their times.
    fn said(work: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let to = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .event_format(Text { color: false })
            .with_writer(move || to.clone());
        let level = tracing_subscriber::filter::LevelFilter::INFO;
        with_default(tracing_subscriber::registry().with(level).with(lines), work);
        let text = written.text();
        text.lines()
            .map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest.trim()).to_owned())
            .collect()
    }

    fn start() -> Step {
        Step { action: Action::Start(Target::Member("app".into())), reason: Reason::Ready }
    }

    fn failed(words: &str) -> StateUpdate {
        StateUpdate::ActionFinished(start().action.key(), Err(Failure::Unreachable(words.into())))
    }

    #[tokio::test]
    async fn a_failure_is_warned_of_once_and_not_where_the_end_of_the_pod_says_it() {
        let observed = ObservedState::default();
        let mut journal = Journal::default();
        let ended = |because: &str| Termination {
            status: 125,
            because: because.to_owned(),
            failed_component: None,
            at: Duration::ZERO,
        };
        let mut fail = |words: &str, conclusion: Option<Termination>| {
            said(|| {
                journal.begin(&start());
                journal.tell(&observed, &failed(words));
                journal.settle(conclusion.as_ref());
            })
        };
        assert_eq!(fail("no route", None), ["WARN cannot start `app`: no route"]);
        assert_eq!(fail("no route", None), [""; 0], "the same is no news");
        assert_eq!(fail("refused", None), ["WARN cannot start `app`: refused"], "another cause is");
        let because = "`web` waits for `app`; cannot start `app`: no such file";
        assert_eq!(fail("no such file", Some(ended(because))), [""; 0], "the error that follows says it");
        assert_eq!(
            fail("no such file", Some(ended("a stop was requested"))),
            ["WARN cannot start `app`: no such file"]
        );
        let error = said(|| tell_end(&ended(because), &Reason::Impossible));
        assert_eq!(error, [format!("ERROR ending the pod with status 125: {because}")]);
    }

    #[tokio::test]
    async fn a_warning_of_an_unhealthy_component_is_not_repeated_by_the_end_of_the_pod() {
        let observed = ObservedState::default();
        let mut journal = Journal::default();
        let key = Key { verb: Verb::ReadCheck, target: Some(Target::Member("db".into())) };
        let mut read = |check: Option<FailedCheck>, because: Option<&str>| {
            let conclusion = because.map(|because| Termination {
                status: 1,
                because: because.to_owned(),
                failed_component: None,
                at: Duration::ZERO,
            });
            said(|| {
                journal.tell(
                    &observed,
                    &StateUpdate::ActionFinished(key.clone(), Ok(ActionResult::CheckRead(check))),
                );
                journal.settle(conclusion.as_ref());
                if let Some(conclusion) = &conclusion {
                    tell_end(conclusion, &Reason::Impossible);
                }
            })
        };
        let refused = || Some(FailedCheck::new(7, "refused"));
        let why = "`db` is unhealthy: its check ended with status 7: refused";
        assert_eq!(read(refused(), None), [format!("WARN component {why}")]);
        assert_eq!(read(None, None), ["WARN component `db` is unhealthy"]);
        let because = format!("`app` waits for `db` to be healthy, but {why}");
        assert_eq!(
            read(refused(), Some(&because)),
            [format!("ERROR ending the pod with status 1: {because}")]
        );
        assert_eq!(
            read(refused(), Some("component `web` ended with status 3")),
            [
                format!("WARN component {why}"),
                "ERROR ending the pod with status 1: component `web` ended with status 3".to_owned(),
            ]
        );
    }

    #[tokio::test]
    async fn the_count_of_restarts_is_that_of_the_end_beside_it() {
        let spec = pod("app+restart");
        let mut observed = ObservedState::default();
        let mut journal = Journal::default();
        let target = Target::Member("app".into());
        const SECOND: i64 = 1_000_000_000;
        let info = |started_at: i64| ContainerInfo {
            id: "one".into(),
            name: spec.identity.member_container("app"),
            network: format!("container:{}", spec.identity.pod),
            command: "sh".into(),
            labels: spec.identity.labels(Role::Component, Some("app")),
            status: Status::Running { health: Health::None },
            started_at,
            ..ContainerInfo::default()
        };
        let died = |at_nanos: i64| {
            let exit = Exit { status: 3, at_nanos, ..Exit::default() };
            StateUpdate::Event(Event { id: "one".into(), kind: EventKind::Died(exit), at_nanos })
        };
        let restart = Key { verb: Verb::Restart, target: Some(target) };
        let started =
            |at| StateUpdate::ActionFinished(restart.clone(), Ok(ActionResult::Started(Box::new(info(at)))));
        let mut hear = |news: StateUpdate| {
            let lines = said(|| journal.tell(&observed, &news));
            observed.apply(&spec, news, Duration::ZERO);
            lines
        };
        hear(StateUpdate::Listed(vec![info(SECOND)]));
        assert_eq!(hear(died(2 * SECOND)), ["INFO component `app` ended with status 3"]);
        hear(StateUpdate::ActionStarted(restart.clone()));
        // The end of the second life is heard of before the answer of its start.
        assert_eq!(hear(died(4 * SECOND)), ["INFO component `app` ended with status 3 (started again: 1)"]);
        hear(started(3 * SECOND));
        hear(StateUpdate::ActionStarted(restart.clone()));
        hear(started(6 * SECOND));
        assert_eq!(hear(died(7 * SECOND)), ["INFO component `app` ended with status 3 (started again: 2)"]);
    }
}
