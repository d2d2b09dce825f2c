//! The heart: what to do next, from what is wanted and what is true. Pure, and without memory: the same
//! arguments give the same plan, in this manager or in the one that takes over after a crash.
//!
//! A pod goes through two phases. Until its end is concluded, what is missing is created and started,
//! in the order that dependencies ask for. From then on everything is stopped and removed, in reverse.
//! Rolling back a failed start, stopping on request and cleaning up after a component's exit are all
//! this second phase.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::action::{Action, Key, Reason, Step, Target, Termination, Verb};
use super::completion::Ends;
use super::completion::next_init;
use super::container_options::PullPolicy;
use super::dependency_graph::dependents;
use super::exit_status::{STATUS_KILLED, STATUS_REFUSED, STATUS_UNAVAILABLE, STATUS_USAGE};
use super::health::{PodHealth, is_failing, pod_health};
use super::observed::{
    ContainerState, Exit, Failure, FailureRecord, Health, HookFailure, ImageState, ObservedState, Status,
};
use super::restart::{again_after, restart_pause, restarts};
use super::spec::{ComponentSpec, Condition, DEFAULT_STOP_GRACE, Dependency, Image, PodSpec};

/// How long an engine that does not answer is waited for.
pub const ENGINE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a pod is as healthy as it was when the engine was last heard: a restart of the engine is done by then.
pub const STALE_STATE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often something unsettled (a name still in use, a container gone) is looked at again.
const MAX_TRANSIENT_RETRIES: u32 = 10;
/// How long after a manager's death what it asked the engine for may take to come about, as far as is waited for.
const TAKEOVER_SETTLE_TIME: Duration = Duration::from_secs(2);
/// A pod has ended so long after its time for stopping, whatever the engine does; `pause` ends it then.
pub const AFTER_STOP: Duration = Duration::from_secs(3);
/// How much of [`AFTER_STOP`] removals get. The engine needs 2 s for a killed component that floods its output (moby:
/// `StreamConfig.Wait`); what is left of `AFTER_STOP` is for the last output and the exit.
pub const CLEANUP_PATIENCE: Duration = Duration::from_millis(2700);

/// What `pre_stop` hooks leave of a component's time for stopping, so that it hears its stop signal before it
/// is killed; half, where the whole is less than twice this.
const AFTER_HOOKS: Duration = Duration::from_secs(2);

/// What to do next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Actions that may begin at once and side by side, each with its reason.
    pub steps: Vec<Step>,
    /// The pod's health now.
    pub health: PodHealth,
    /// Plan again at this time, if nothing happens before.
    pub wake_at: Option<Duration>,
    /// The pod is over: end with this.
    pub outcome: Option<Outcome>,
}

/// How a pod ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status of the manager, and so of the pod.
    pub status: u8,
    /// What could not be removed in time.
    pub left: Vec<String>,
}

/// What to do next for this pod.
pub fn plan(spec: &PodSpec, observed: &ObservedState, now: Duration) -> Plan {
    let mut draft = Planner {
        spec,
        observed,
        now,
        ends: Ends::of(spec, observed, now),
        busy: observed.busy(),
        sidecars_ready: true,
        held: false,
        planned: BTreeSet::new(),
        plan: Plan::default(),
    };
    match &observed.concluded {
        Some(conclusion) => {
            draft.plan.health = PodHealth::Stopping;
            draft.plan_stop(conclusion);
        }
        None => match draft.conclusion() {
            Some((conclusion, reason)) => {
                draft.plan.health = PodHealth::Stopping;
                draft.add(Action::Terminate(conclusion), reason);
            }
            None if observed.listed => {
                draft.look_into();
                draft.plan_start();
                draft.plan.health = pod_health(spec, observed, &draft.ends);
                if let Some(since) = observed.silent_since {
                    let mut open = observed.failures.iter();
                    if let Some(at) = open.find_map(|(key, setback)| draft.given_up_at(key, setback)) {
                        draft.wake(at);
                    }
                    match is_state_stale(observed, now) {
                        // Whoever asks reaches the engine, so it is this manager that does not.
                        true => draft.plan.health = PodHealth::Unhealthy,
                        false => draft.wake(since + STALE_STATE_TIMEOUT),
                    }
                }
            }
            None => draft.wake(ENGINE_TIMEOUT),
        },
    }
    draft.plan
}

/// A plan in the making.
struct Planner<'a> {
    spec: &'a PodSpec,
    observed: &'a ObservedState,
    now: Duration,
    ends: Ends<'a>,
    /// Something is under way with these.
    busy: BTreeSet<&'a Target>,
    /// Every sidecar is ready; known once the pod is brought up.
    sidecars_ready: bool,
    /// Nothing may start before the pod's mounts are compared with those of other pods; set when the start is
    /// planned.
    held: bool,
    /// What the plan has already.
    planned: BTreeSet<Key>,
    plan: Plan,
}

impl<'a> Planner<'a> {
    /// Why the pod must end, if it must; the earliest cause counts.
    fn conclusion(&self) -> Option<(Termination, Reason)> {
        let conclude = |status: u8, because: String, reason: Reason| {
            Some((Termination { status, because, failed_component: None, at: self.now }, reason))
        };
        if let Some(stop) = self.observed.stop.filter(|stop| stop.resumed) {
            return conclude(stop.status, "the pod was ending already".into(), Reason::StopRequested);
        }
        // Nothing was begun, and nothing is known: an engine that hangs is as good as none.
        if !self.observed.listed && self.now >= ENGINE_TIMEOUT {
            let words = self.observed.failures.values().find_map(|setback| match &setback.failure {
                Failure::Unreachable(words) => Some(words.as_str()),
                _ => None,
            });
            let because = words.unwrap_or("the engine does not answer").to_owned();
            return conclude(STATUS_UNAVAILABLE, because, Reason::Impossible);
        }
        if let Some((key, setback)) =
            self.observed.failures.iter().find(|(key, setback)| self.final_setback(key, setback))
        {
            let (Failure::Unreachable(words)
            | Failure::Refused(words)
            | Failure::Forbidden(words)
            | Failure::Transient(words)) = &setback.failure;
            let status = match &setback.failure {
                Failure::Unreachable(_) => STATUS_UNAVAILABLE,
                Failure::Forbidden(_) => STATUS_USAGE,
                _ if self.given_up_at(key, setback).is_some() => STATUS_UNAVAILABLE,
                Failure::Refused(_) | Failure::Transient(_) => self.refusal(key),
            };
            let chain = match &key.target {
                Some(Target::Member(name)) => self.chain(name),
                _ => String::new(),
            };
            return conclude(status, format!("{chain}cannot {key}: {words}"), Reason::Impossible);
        }
        // Its end ends all the others, so it is the cause even where their ends were told first.
        if let Some(exit) = self.observed.sandbox.as_ref().and_then(ContainerState::exit) {
            let status = passed_on(exit.status).max(1);
            return conclude(
                status,
                format!("the sandbox ended with status {}", exit.status),
                Reason::SandboxEnded,
            );
        }
        if self.observed.removed_externally.contains(&Target::Sandbox) {
            return conclude(STATUS_KILLED, "the sandbox was removed".into(), Reason::SandboxEnded);
        }
        if let Some(conclusion) = self.store_ended() {
            return Some(conclusion);
        }
        if let Some((name, exit, init)) = self.first_exit() {
            let step = self.ends.spec(name).is_some_and(|one| one.pre_start_of.is_some());
            let kind = match init {
                true => "init component",
                false if step => "`pre_start` container",
                false => "component",
            };
            let chain = if init { String::new() } else { self.chain(name) };
            let because = format!("{chain}{kind} `{name}` ended with {exit}");
            let reason = if init { Reason::InitFailed } else { Reason::ComponentEnded };
            let failed_component = Some(name.to_owned()).filter(|_| exit.status != 0);
            let status = passed_on(exit.status);
            return Some((Termination { status, because, failed_component, at: self.now }, reason));
        }
        let essential = |target: &&Target| match target {
            Target::Member(name) => self.spec.member(name).is_none_or(|member| member.essential),
            _ => true,
        };
        if let Some(target) = self.observed.removed_externally.iter().find(essential) {
            return conclude(
                STATUS_KILLED,
                format!("{target} was removed while it ran"),
                Reason::ComponentEnded,
            );
        }
        if let Some((name, failure)) = self.failed_hook() {
            let because = format!("{}{}", self.chain(name), failure.words);
            return conclude(passed_on(failure.status).max(1), because, Reason::HookFailed);
        }
        if let Some(stop) = self.observed.stop {
            // Swarm stops what is not healthy, and takes a task that ends with 0 then for done: with `condition: on-failure`
            // nothing would come in its place. The status says what the engine's own health check has found.
            let ill = stop.status != 0
                || is_state_stale(self.observed, self.now)
                || is_failing(self.spec, self.observed, &self.ends);
            let because = match ill {
                true => format!("a stop was requested while the pod was not healthy{}", self.failed_checks()),
                false => "a stop was requested".to_owned(),
            };
            let status = stop.status.max(u8::from(ill));
            // The time for stopping runs from the request, not from the answer of the engine about the pod's health.
            return Some((
                Termination { status, because, failed_component: None, at: stop.at },
                Reason::StopRequested,
            ));
        }
        if let Some((name, image)) = self.image_not_to_be_pulled() {
            let because = format!(
                "{}cannot create `{name}`: the engine does not have its image {image}, and `pull_policy` is `never`: load \
                 it on the node beforehand",
                self.chain(name)
            );
            return conclude(STATUS_REFUSED, because, Reason::Impossible);
        }
        let (component, dependency, status, why) = self.hopeless_dependency()?;
        let chain = self.chain(component);
        let failed = self.ends.seen(dependency).and_then(|member| member.failed_check.as_ref());
        let check = failed.and_then(Option::as_ref).map_or_else(String::new, |check| format!(": {check}"));
        let because = format!(
            "{chain}`{component}` waits for `{dependency}` to be healthy, but `{dependency}` {why}{check}"
        );
        conclude(status, because, Reason::Impossible)
    }

    /// Those that wait in vain for a component, for people: "`a` waits for `b`, which waits for `c`; ".
    fn chain(&self, name: &str) -> String {
        let mut names = vec![name];
        // It ends: the graph has no cycle.
        while let Some(last) = names.last()
            && let Some(next) =
                dependents(&self.spec.components, last).find(|one| !self.ends.started(&one.name))
        {
            names.push(&next.name);
        }
        let mut waiting = names.iter().rev();
        let Some(first) = waiting.next().filter(|_| names.len() > 1) else { return String::new() };
        let rest: Vec<String> = waiting.map(|name| format!("waits for `{name}`")).collect();
        format!("`{first}` {}; ", rest.join(", which "))
    }

    /// What runs keeps the files that it has, but what starts later would miss them: a pod is not to run on
    /// by halves.
    fn store_ended(&self) -> Option<(Termination, Reason)> {
        let (status, because) = match self.observed.store.as_ref().and_then(ContainerState::exit) {
            Some(exit) => {
                (passed_on(exit.status).max(1), format!("the store ended with status {}", exit.status))
            }
            None if self.observed.removed_externally.contains(&Target::Store) => {
                (STATUS_KILLED, "the store was removed".to_owned())
            }
            None => return None,
        };
        Some((Termination { status, because, failed_component: None, at: self.now }, Reason::StoreEnded))
    }

    /// Trying again is over.
    fn final_setback(&self, key: &Key, setback: &FailureRecord) -> bool {
        if self.given_up_at(key, setback).is_some_and(|at| self.now >= at) {
            return true;
        }
        match setback.failure {
            Failure::Refused(_) | Failure::Forbidden(_) => true,
            _ if self.observed.silent_since.is_some() && self.again(key) => false,
            Failure::Transient(_) => setback.attempts >= MAX_TRANSIENT_RETRIES,
            // By its own attempts, not by the clock: one that failed once, and was found done by a look
            // at the engine, is over.
            Failure::Unreachable(_) => setback.last.saturating_sub(setback.since) >= ENGINE_TIMEOUT,
        }
    }

    /// When an action is given up of which nobody knows whether it was done: only a listing tells, and the engine answers
    /// none.
    fn given_up_at(&self, key: &Key, setback: &FailureRecord) -> Option<Duration> {
        let open = !matches!(setback.failure, Failure::Refused(_) | Failure::Forbidden(_))
            && self.observed.looked_at < setback.last
            && !self.again(key);
        self.observed.silent_since.filter(|_| open).map(|since| since + ENGINE_TIMEOUT)
    }

    /// It is for a component that ran before: the pod was up, and outlives an engine that is away.
    fn again(&self, key: &Key) -> bool {
        let member = key.target.as_ref().and_then(|target| self.observed.member(target));
        let mut members = self.observed.members.values();
        match key.verb {
            Verb::Restart => true,
            Verb::CheckMounts => members.any(|member| member.status != Status::Created),
            _ => member.is_some_and(|member| member.restarts > 0),
        }
    }

    /// The status of a pod of which this was refused: where a start failed, the engine has put down
    /// what a shell would say (126, 127), as `docker run` passes it on.
    fn refusal(&self, key: &Key) -> u8 {
        let target = key.target.as_ref().filter(|_| key.verb.starts());
        let exit = target.and_then(|target| self.observed.member(target)).and_then(ContainerState::exit);
        exit.map_or(STATUS_REFUSED, |exit| passed_on(exit.status).max(1))
    }

    /// The component, or failed init component, that ended first.
    fn first_exit(&self) -> Option<(&str, Exit, bool)> {
        // What is to be restarted was stopped by this manager: also where the pod ends before its start, that is nobody's
        // failure.
        let open = |name: &str| self.ends.is_undecided(name) || self.observed.is_to_restart(name);
        let ended = |name: &str| self.ends.seen(name).and_then(ContainerState::exit).filter(|_| !open(name));
        let inits = self.spec.init.iter().filter_map(|init| {
            let exit = ended(&init.name).filter(|exit| exit.status != 0 && !self.restarts(init))?;
            Some((init.name.as_str(), exit, true))
        });
        let components = self.spec.components.iter().filter_map(|one| {
            let exit = ended(&one.name)
                .filter(|exit| !self.ends.may_end(&one.name, exit.status) && !self.restarts(one))?;
            Some((one.name.as_str(), exit, false))
        });
        inits
            .chain(components)
            .chain(self.removed_after_their_end())
            .min_by_key(|(_, exit, _)| (exit.at_nanos, exit.status == 0))
    }

    /// Components that had ended, and were removed before that could count as the pod's end.
    fn removed_after_their_end(&self) -> impl Iterator<Item = (&str, Exit, bool)> {
        self.spec.components.iter().filter_map(|one| {
            let removed_externally =
                self.observed.removed_externally.contains(&Target::Member(one.name.clone()));
            if removed_externally || self.ends.seen(&one.name).is_some() {
                return None;
            }
            let exit_records = self.observed.exit_records.get(&one.name)?;
            let counts =
                !self.ends.may_end(&one.name, exit_records.exit.status) && !again_after(one, exit_records);
            counts.then_some((one.name.as_str(), exit_records.exit, false))
        })
    }

    /// Why components are unhealthy, as the end of a sentence.
    fn failed_checks(&self) -> String {
        let unhealthy = self.observed.members.iter().filter_map(|(name, member)| {
            let Status::Running { health: Health::Unhealthy } = member.status else { return None };
            Some(format!("; `{name}` is unhealthy: {}", member.failed_check.as_ref()?.as_ref()?))
        });
        unhealthy.collect()
    }

    /// A member whose image is missing, and none of those that use it may pull it.
    fn image_not_to_be_pulled(&self) -> Option<(&str, Image)> {
        let never = |member: &&ComponentSpec| member.container.tuning.pull == Some(PullPolicy::Never);
        self.spec.members().filter(never).find_map(|member| {
            let image = member.container.wanted_image();
            let mut users = self.spec.members().filter(|other| other.container.wanted_image() == image);
            let missing = self.observed.images.get(&image) == Some(&ImageState::Missing);
            (missing && users.all(|user| never(&user))).then_some((member.name.as_str(), image))
        })
    }

    fn failed_hook(&self) -> Option<(&str, &HookFailure)> {
        let mut members = self.observed.members.iter();
        members.find_map(|(name, member)| Some((name.as_str(), member.hook_failure.as_ref()?)))
    }

    /// A component that waits for the health of one that will not become healthy, that one, the pod's status
    /// and the reason.
    fn hopeless_dependency(&self) -> Option<(&str, &str, u8, &'static str)> {
        let unstarted = self.spec.components.iter().filter(|one| !self.ends.started(&one.name));
        let mut later = self
            .spec
            .init
            .iter()
            .chain(self.spec.regular_components())
            .filter(|one| !self.ends.started(&one.name));
        let ill = |one: &&ComponentSpec| {
            let status = self.ends.seen(&one.name).map(|member| member.status);
            one.essential
                && status == Some(Status::Running { health: Health::Unhealthy })
                && self.is_explained(&one.name)
        };
        if let (Some(waits), Some(sidecar)) = (later.next(), self.spec.sidecars().find(ill)) {
            return Some((&waits.name, &sidecar.name, 1, "is unhealthy"));
        }
        unstarted
            .flat_map(|one| one.depends_on.iter().map(move |dependency| (one, dependency)))
            .filter(|(_, dependency)| dependency.condition == Condition::Healthy && dependency.required)
            .find_map(|(one, dependency)| {
                let on = dependency.on.as_str();
                let (status, why) = match self.ends.seen(on).map(|member| member.status) {
                    Some(Status::Running { health: Health::None }) => {
                        (STATUS_USAGE, "has no health check: give it one, or wait for `service_started`")
                    }
                    Some(Status::Running { health: Health::Unhealthy }) if self.is_explained(on) => {
                        (1, "is unhealthy")
                    }
                    _ if self.ends.completed(on) => (1, "has ended"),
                    _ => return None,
                };
                Some((one.name.as_str(), on, status, why))
            })
    }

    /// The engine was asked why this member's health check fails.
    fn is_explained(&self, name: &str) -> bool {
        self.ends.seen(name).is_none_or(|member| member.failed_check.is_some())
    }

    /// What is to be found out of containers that changed by themselves, or by others.
    fn look_into(&mut self) {
        for (name, member) in &self.observed.members {
            if member.status == (Status::Running { health: Health::Unhealthy }) && !self.is_explained(name) {
                self.add(Action::ReadCheck(Target::Member(name.clone())), Reason::Unhealthy);
            }
            if let Some(at) = member.in_place.decided_at().filter(|at| self.now < *at) {
                self.wake(at);
            }
        }
        if !self.observed.unjudged.is_empty() {
            self.add(Action::CheckMounts, Reason::StartedOutside);
        }
    }

    /// Towards everything running.
    fn plan_start(&mut self) {
        for id in self.observed.orphans.keys() {
            self.add(Action::Remove(Target::Orphan(id.clone())), Reason::Orphaned);
        }
        // They hold the names that ours need.
        if !self.observed.orphans.is_empty() {
            return;
        }
        let spec = self.spec;
        if spec.namespaces.sandbox() {
            match &self.observed.sandbox {
                None => {
                    self.add(Action::Create(Target::Sandbox), Reason::HoldsNamespaces);
                    // A component is created with the sandbox's id in hand.
                    return;
                }
                Some(sandbox) if sandbox.status == Status::Created => {
                    self.add(Action::Start(Target::Sandbox), Reason::HoldsNamespaces);
                }
                Some(_) => {}
            }
        }
        if spec.store() {
            match &self.observed.store {
                None => self.add(Action::Create(Target::Store), Reason::HoldsSecrets),
                Some(store) if store.status == Status::Created => {
                    self.add(Action::Start(Target::Store), Reason::HoldsSecrets);
                }
                Some(_) => {}
            }
        }
        self.held = self.holds_starts();
        self.sidecars_ready = spec.sidecars().all(|sidecar| self.sidecar_ready(sidecar));
        // One at a time, created when its turn comes: what an engine copies from an image into an empty
        // volume at creation must not come before what an earlier init component wrote there.
        spec.sidecars().for_each(|sidecar| self.next_start_step(sidecar, Reason::Wanted));
        if self.held {
            // All containers are created first: another pod's manager must see all mounts of this pod before
            // a container starts.
            spec.init.iter().for_each(|init| self.next_start_step(init, Reason::Wanted));
            spec.regular_components().for_each(|component| self.next_start_step(component, Reason::Wanted));
            // A restart compares the mounts itself, so only containers that never started need this action.
            let waits = self.observed.members.values().any(|member| member.status == Status::Created);
            if waits && self.all_created() {
                self.add(Action::CheckMounts, Reason::HasMounts);
            }
            return;
        }
        match next_init(spec, self.observed) {
            Some(init) => self.next_start_step(init, Reason::InitsTurn),
            None => spec
                .regular_components()
                .for_each(|component| self.next_start_step(component, Reason::Wanted)),
        }
    }

    /// Reports whether starts have to wait for the comparison of the pod's mounts with those of other pods. A
    /// container that did not exist at the last comparison makes another one necessary: after `docker
    /// container prune` removed it, another pod may have started.
    fn holds_starts(&self) -> bool {
        let unknown = |checked: &BTreeSet<String>| {
            let mut members = self.observed.members.values();
            members.any(|member| member.status == Status::Created && !checked.contains(&member.id))
        };
        self.spec.checks_mounts && self.observed.mounts_checked.as_ref().is_none_or(unknown)
    }

    /// Reports whether every member has a container, or had one and is done with it.
    fn all_created(&self) -> bool {
        let done = |one: &ComponentSpec| {
            self.ends.seen(&one.name).is_some() || self.ends.completed(&one.name) || self.is_past(one)
        };
        self.spec.members().all(done)
    }

    /// Reports whether an init component is done and its container is removed. Its success was seen, or a
    /// later member was started.
    fn is_past(&self, init: &ComponentSpec) -> bool {
        let Some(place) = self.spec.init.iter().position(|one| one.name == init.name) else { return false };
        let mut later = self.spec.init[place + 1..].iter().chain(self.spec.regular_components());
        self.observed.departed_well(&init.name) || later.any(|one| self.ends.started(&one.name))
    }

    /// The next step of one component towards running.
    fn next_start_step(&mut self, component: &ComponentSpec, wanted: Reason) {
        let target = Target::Member(component.name.clone());
        if self.busy.contains(&target) {
            return;
        }
        let Some(member) = self.ends.seen(&component.name) else {
            if self.ends.completed(&component.name) || self.is_past(component) {
                return;
            }
            if component.needs_store() && !self.store_filled() {
                return self.fill_store();
            }
            let image = component.container.wanted_image();
            // It shares the volumes of the component's container, and what that fills them with comes first.
            let lender = component.pre_start_of.as_deref();
            let waits = lender.is_some_and(|component| self.ends.seen(component).is_none());
            return match self.observed.images.get(&image) {
                Some(ImageState::Missing) => self.add(Action::Pull(image), Reason::ImageMissing),
                None if pulls_first(self.spec, component) => self.add(Action::Pull(image), Reason::PullAsked),
                _ if waits => {}
                Some(ImageState::Pulled) | None => self.add(Action::Create(target), wanted),
            };
        };
        if self.observed.is_to_restart(&component.name) {
            return self.restart_on_request(component, member, target);
        }
        if self.ends.is_undecided(&component.name) {
            return;
        }
        if member.status != Status::Created {
            if member.runs() && !self.observed.up(component) {
                self.add(Action::PostStart(target), Reason::Started);
            } else if self.restarts(component) && self.sandbox_ready() {
                let at = member.ended_at + restart_pause(member);
                match self.now < at {
                    true => self.wake(at),
                    false => self.add(Action::Restart(target), Reason::RestartAsked),
                }
            } else if member.exit().is_some_and(|exit| exit.status != 0) && !member.examined {
                self.add(Action::ReportLastLogs(target), Reason::Failed);
            }
            return;
        }
        if self.ends.completed(&component.name) {
            // It would run once more.
        } else if self.held {
            // A copy into a container mounts the same volumes as a start, so the copy waits for the
            // comparison too.
        } else if self.is_to_be_filled(component, member) {
            self.add(Action::Copy(target), Reason::HasCopies);
        } else if component.pre_start_of.as_deref().is_some_and(|lender| self.lacks_copies(lender)) {
            // It would miss what is copied into the component's volumes, or write there before the copy.
        } else if component.needs_store() && self.busy.contains(&Target::Store) {
            // Filled again for another one, its files are gone for a moment.
        } else if self.sandbox_ready() && self.dependencies_met(component) {
            self.add(Action::Start(target), Reason::Ready);
        }
    }

    /// Reports whether the created container of this component lacks something that is copied into it.
    fn lacks_copies(&self, component: &str) -> bool {
        let (spec, member) = (self.ends.spec(component), self.ends.seen(component));
        let created = member.filter(|member| member.status == Status::Created);
        spec.zip(created).is_some_and(|(spec, member)| self.is_to_be_filled(spec, member))
    }

    /// Something is still to be copied into this created container. A manager before this one has copied where a step of
    /// its `pre_start` was started since: another copy would undo what the step wrote.
    fn is_to_be_filled(&self, component: &ComponentSpec, member: &ContainerState) -> bool {
        let mut steps =
            self.spec.components.iter().filter(|one| one.pre_start_of.as_ref() == Some(&component.name));
        let step_began = |step: &ComponentSpec| {
            self.ends.seen(&step.name).is_some_and(|step| step.started_at > member.created_at)
        };
        let copies = !component.copies.is_empty() && !member.copied;
        copies && (member.created_at == 0 || !steps.any(step_began))
    }

    /// The next step of a restart that was asked for: those that are restarted along with it end before it, and start
    /// after it.
    fn restart_on_request(&mut self, component: &ComponentSpec, member: &ContainerState, target: Target) {
        let along = |name: &str| self.observed.is_to_restart(name);
        if member.runs() {
            let mut dependents = dependents(&self.spec.components, &component.name);
            let waits = dependents.any(|one| {
                along(&one.name) && self.ends.seen(&one.name).is_some_and(|one| one.exit().is_none())
            });
            if !waits {
                let grace = component.stop_grace.unwrap_or(DEFAULT_STOP_GRACE);
                let delay = component.shutdown_delay;
                let end = member.stopping_since.unwrap_or(self.now) + delay + grace;
                let first = !component.pre_stop.is_empty() || !delay.is_zero();
                let action = match first && !member.pre_stopped {
                    true => Action::PreStop(target, delay, grace - AFTER_HOOKS.min(grace / 2)),
                    false => Action::Stop(target, end.saturating_sub(self.now)),
                };
                self.add(action, Reason::RestartRequested);
            }
            return;
        }
        let mut on = component.depends_on.iter().filter(|on| self.observed.to_restart.contains_key(&on.on));
        let ready = |dependency: &Dependency| {
            let on = dependency.on.as_str();
            !along(on)
                && match self.ends.seen(on).map(|member| member.status) {
                    Some(_) if dependency.condition == Condition::Completed => self.ends.completed(on),
                    Some(Status::Running { health }) => {
                        health != Health::Starting && self.ends.spec(on).is_none_or(|on| self.observed.up(on))
                    }
                    _ => true,
                }
        };
        if member.exit().is_some() && self.sandbox_ready() && on.all(ready) {
            self.add(Action::Restart(target), Reason::RestartRequested);
        }
    }

    /// The store holds everything, as far as this manager knows: one before it may have died half way.
    fn store_filled(&self) -> bool {
        self.observed.store.as_ref().is_some_and(|store| store.runs() && store.copied)
    }

    /// Its memory is there only while it runs.
    fn fill_store(&mut self) {
        if self.observed.store.as_ref().is_some_and(ContainerState::runs) {
            self.add(Action::Copy(Target::Store), Reason::HoldsSecrets);
        }
    }

    fn sandbox_ready(&self) -> bool {
        !self.spec.namespaces.sandbox() || self.observed.sandbox.as_ref().is_some_and(ContainerState::runs)
    }

    fn restarts(&self, component: &ComponentSpec) -> bool {
        restarts(component, self.observed)
    }

    /// Sidecars come before all others.
    fn sidecar_ready(&self, sidecar: &ComponentSpec) -> bool {
        let health = match self.ends.seen(&sidecar.name).map(|member| member.status) {
            Some(Status::Running { health }) if self.observed.up(sidecar) => Some(health),
            _ => None,
        };
        matches!(health, Some(Health::None | Health::Healthy))
            || health == Some(Health::Unhealthy) && !sidecar.essential
            || self.ends.completed(&sidecar.name)
    }

    fn dependencies_met(&self, component: &ComponentSpec) -> bool {
        (component.sidecar || self.sidecars_ready)
            && component.depends_on.iter().all(|dependency| {
                let on = self.ends.spec(&dependency.on);
                let up = || on.is_some_and(|on| self.observed.up(on));
                let status = self.ends.seen(&dependency.on).map(|member| member.status);
                let completed = || self.ends.completed(&dependency.on);
                match (dependency.condition, status) {
                    (Condition::Started, Some(Status::Running { .. })) => up(),
                    (Condition::Started | Condition::Completed, _) => completed(),
                    (Condition::Healthy, Some(Status::Running { health })) => {
                        let never = matches!(health, Health::None | Health::Unhealthy);
                        (health == Health::Healthy || (never && !dependency.required)) && up()
                    }
                    (Condition::Healthy, _) => completed() && !dependency.required,
                }
            })
    }

    /// Towards nothing.
    fn plan_stop(&mut self, conclusion: &Termination) {
        let deadline = conclusion.at + self.spec.stop_timeout;
        let give_up = deadline + CLEANUP_PATIENCE;
        // Of an engine that was never heard there is nothing to wait for any more.
        let is_state_stale = !self.observed.listed && conclusion.at >= ENGINE_TIMEOUT;
        let gone = self.observed.listed && self.observed.is_empty() && self.quiet(deadline);
        let settled = self.observed.took_over_at.map(|at| at + TAKEOVER_SETTLE_TIME);
        let over = gone && settled.is_none_or(|at| self.observed.looked_at >= at);
        if over || is_state_stale || self.now >= give_up {
            self.plan.outcome = Some(Outcome { status: conclusion.status, left: self.left() });
            return;
        }
        self.wake(if self.now < deadline { deadline } else { give_up });
        let waits = gone || self.spec.members().any(|one| self.may_begin(one));
        if let Some(settled) = settled.filter(|_| waits) {
            match self.now < settled {
                true => self.wake(settled),
                false if !self.observed.look_asked => self.add(Action::Look, Reason::Takeover),
                false => {}
            }
        }
        for id in self.observed.orphans.keys() {
            self.add(Action::Remove(Target::Orphan(id.clone())), Reason::Orphaned);
        }
        let needed = self.needed();
        for (name, member) in &self.observed.members {
            self.next_stop_step(name, member, needed.contains(name.as_str()), deadline);
        }
        // Its end is the end of every process in the pod: not before these had their chance.
        let any_runs = self.observed.members.values().any(ContainerState::runs);
        let starting = self.observed.members.keys().any(|name| self.starting(name));
        if self.observed.sandbox.is_some() && (self.now >= deadline || !any_runs && !starting) {
            self.remove(Target::Sandbox, if any_runs { Reason::OutOfTime } else { Reason::Ending });
        }
        if self.observed.store.is_some() && (self.now >= deadline || !any_runs && !starting) {
            self.remove(Target::Store, if any_runs { Reason::OutOfTime } else { Reason::Ending });
        }
    }

    /// Nothing is under way that could still bring a container, or leave one.
    fn quiet(&self, deadline: Duration) -> bool {
        let matters = |key: &Key| self.now < deadline || matches!(key.verb, Verb::Create | Verb::Remove);
        !self.observed.create_unknown && !self.observed.in_flight.iter().any(matters)
    }

    /// What others still rely on that run, or are as good as running: they were just told to start.
    fn needed(&self) -> HashSet<&'a str> {
        let runs = |one: &ComponentSpec| {
            self.ends.seen(&one.name).is_some_and(ContainerState::runs) || self.starting(&one.name)
        };
        let spec = self.spec;
        let users = spec.components.iter().filter(|one| runs(one)).flat_map(|one| &one.depends_on);
        let mut needed: HashSet<&'a str> = users.map(|dependency| dependency.on.as_str()).collect();
        if self.spec.sidecars().next().is_some()
            && self.spec.init.iter().chain(self.spec.regular_components()).any(runs)
        {
            needed.extend(self.spec.sidecars().map(|sidecar| sidecar.name.as_str()));
        }
        needed
    }

    /// The next step of one component towards nothing.
    fn next_stop_step(&mut self, name: &str, member: &ContainerState, needed: bool, deadline: Duration) {
        let target = Target::Member(name.to_owned());
        let unsettled = self.busy.contains(&target) || self.starting(name);
        if self.now >= deadline && (member.runs() || unsettled) {
            self.remove(target, Reason::OutOfTime);
            return;
        }
        if !member.runs() {
            // One that was just told to start is settled first, or it would run on unseen.
            let failed_component =
                self.observed.concluded.as_ref().and_then(|end| end.failed_component.as_deref());
            if !unsettled && failed_component == Some(name) && !member.examined {
                self.add(Action::ReportLastLogs(target), Reason::Failed);
            } else if !unsettled {
                let created = member.status == Status::Created;
                self.remove(target, if created { Reason::Ending } else { Reason::Completed });
            }
            return;
        }
        let component = self.ends.spec(name);
        if !needed && !unsettled {
            let grace = component.and_then(|one| one.stop_grace).unwrap_or(DEFAULT_STOP_GRACE);
            let delay = component.map_or(Duration::ZERO, |one| one.shutdown_delay);
            let end = deadline.min(member.stopping_since.unwrap_or(self.now) + delay + grace);
            let left = end.saturating_sub(self.now);
            let first = component.is_some_and(|one| !one.pre_stop.is_empty() || !delay.is_zero());
            let action = match first && !member.pre_stopped {
                true => {
                    // A delay that is longer than the pod has leaves half of that for the stop itself.
                    let delay = delay.min(left - grace.min(left / 2));
                    let rest = left - delay;
                    Action::PreStop(target, delay, rest - AFTER_HOOKS.min(rest / 2))
                }
                false => Action::Stop(target, left),
            };
            self.add(action, Reason::Ending);
        }
    }

    /// A manager before this one may have asked for a start of it, which comes about now; also of one that has ended, since
    /// each of two managers may have asked. Not of one that ran when this manager came, and was stopped since.
    fn may_begin(&self, component: &ComponentSpec) -> bool {
        let settled = self.observed.took_over_at.map(|at| at + TAKEOVER_SETTLE_TIME);
        let rests = self.ends.seen(&component.name).is_some_and(|member| match member.status {
            Status::Created => true,
            Status::Exited(_) => !member.found_running,
            Status::Running { .. } | Status::Removing => false,
        });
        rests && settled.is_some_and(|at| self.observed.looked_at < at)
    }

    /// A component is being started, or may have been.
    fn starting(&self, name: &str) -> bool {
        let target = Target::Member(name.to_owned());
        let late = self.ends.spec(name).is_some_and(|one| self.may_begin(one));
        self.observed.starting(&target) || self.in_doubt(&target) || late
    }

    /// A start that failed in the middle may have begun the container, which may even have ended since: only a
    /// listing tells.
    fn in_doubt(&self, target: &Target) -> bool {
        self.observed.failures.iter().any(|(key, setback)| {
            let open = !matches!(setback.failure, Failure::Refused(_) | Failure::Forbidden(_))
                && self.observed.looked_at < setback.last;
            key.verb.starts() && key.target.as_ref() == Some(target) && open
        })
    }

    fn remove(&mut self, target: Target, reason: Reason) {
        self.add(Action::Remove(target), reason);
    }

    /// What is still there, for people.
    fn left(&self) -> Vec<String> {
        let ours = [Target::Sandbox, Target::Store]
            .into_iter()
            .chain(self.spec.members().map(|one| Target::Member(one.name.clone())));
        let identity = &self.spec.identity;
        // A creation without an answer may yet come to pass.
        let creating = |target: &Target| {
            self.observed.in_flight.contains(&Key { verb: Verb::Create, target: Some(target.clone()) })
        };
        let left = ours.filter(|target| self.observed.member(target).is_some() || creating(target));
        let names = left.filter_map(|target| match target {
            Target::Sandbox => Some(identity.sandbox_container()),
            Target::Store => Some(identity.store_container()),
            Target::Member(name) => Some(identity.member_container(&name)),
            Target::Orphan(_) => None,
        });
        names.chain(self.observed.orphans.values().cloned()).collect()
    }

    /// Add a step, unless it is under way, was added already, or failed a moment ago.
    fn add(&mut self, action: Action, reason: Reason) {
        let key = action.key();
        if self.planned.contains(&key) || self.observed.in_flight.contains(&key) {
            return;
        }
        if let Some(setback) = self.observed.failures.get(&key) {
            let starts = matches!(key.verb, Verb::Start | Verb::Restart);
            if starts && key.target.as_ref().is_some_and(|target| self.in_doubt(target)) {
                return;
            }
            let again = setback.last + pause_after(setback.attempts);
            if self.now < again {
                self.wake(again);
                return;
            }
        }
        self.planned.insert(key);
        self.plan.steps.push(Step { action, reason });
    }

    fn wake(&mut self, at: Duration) {
        self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// The engine has been silent for so long ([`STALE_STATE_TIMEOUT`]) that what it said last counts no more.
pub fn is_state_stale(observed: &ObservedState, now: Duration) -> bool {
    observed.silent_since.is_some_and(|since| now >= since + STALE_STATE_TIMEOUT)
}

/// How long to wait after the n-th failure in a row: doubling from 100 ms to 2 s.
fn pause_after(attempts: u32) -> Duration {
    Duration::from_millis(100 << attempts.saturating_sub(1).min(5)).min(Duration::from_secs(2))
}

/// A component's exit status as the pod's. The engine's are 0 to 255; anything else it may ever say is
/// a failure all the same.
fn passed_on(status: i64) -> u8 {
    u8::try_from(status).unwrap_or(255)
}

/// The plan as one line for the log.
pub fn line(steps: &[Step]) -> String {
    steps.iter().map(Step::to_string).collect::<Vec<_>>().join(", ")
}

/// The component's own word counts more than the pod's.
fn pulls_first(spec: &PodSpec, component: &ComponentSpec) -> bool {
    match component.container.tuning.pull {
        Some(policy) => policy == PullPolicy::Always,
        None => spec.pull_always,
    }
}

#[cfg(test)]
mod in_place_tests;
#[cfg(test)]
mod pre_start_tests;
#[cfg(test)]
mod restart_tests;
#[cfg(test)]
mod tests;
