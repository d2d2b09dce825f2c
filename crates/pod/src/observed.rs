//! What is true of a pod now, as far as the engine and the pod's own actions have told.
//!
//! [`ObservedState::apply`] is the only way in. It holds facts, not policy: what follows from them is
//! [`crate::plan`]'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::action::Termination;
use super::action::{Key, Target, Verb};
pub use super::exit_status::Exit;
use super::exit_status::STATUS_KILLED;
use super::failed_check::FailedCheck;
use super::identity::{Identity, LABEL_COMPONENT, LABEL_ROLE, LABEL_RUN, Labelled, Role};
use super::in_place::InPlace;
use super::spec::{ComponentSpec, DEFAULT_STOP_GRACE, HealthCheck, Image, PodSpec};

/// A container that ran for so long is no longer one that was started in vain: Docker's own measure.
pub const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(10);

/// Everything known of a pod. Times are counted from the manager's start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObservedState {
    /// A full listing has been seen; before that nothing is known to be absent.
    pub listed: bool,
    /// The sandbox, `None` where there is none.
    pub sandbox: Option<ContainerState>,
    /// The store, `None` where there is none.
    pub store: Option<ContainerState>,
    /// Containers of components and init components that are there, by component name.
    pub members: BTreeMap<String, ContainerState>,
    /// Containers of this pod that belong to an earlier run or to no component: id to name.
    pub orphans: BTreeMap<String, String>,
    /// Ids of [`Role::Debug`] containers of this run: left alone until the pod's end is decided, and then remains.
    pub debug_containers: BTreeSet<String>,
    /// What became known of images.
    pub images: BTreeMap<Image, ImageState>,
    /// Actions under way.
    pub in_flight: BTreeSet<Key>,
    /// Actions that failed and were not done since.
    pub failures: BTreeMap<Key, FailureRecord>,
    /// A stop was asked for.
    pub stop: Option<StopRequest>,
    /// The pod's end has been decided, and `pause` knows.
    pub concluded: Option<Termination>,
    /// Containers of this run that ran when last seen, and are gone: nobody told how they ended.
    pub removed_externally: BTreeSet<Target>,
    /// Components that had ended before they were removed, by us or `docker container prune` perhaps.
    pub exit_records: BTreeMap<String, ExitRecord>,
    /// [`ContainerState::life`] of containers whose `post_start` hooks have run, also for a manager before this one.
    pub post_start_done: BTreeSet<String>,
    /// Ids of the containers that existed when this manager last compared mounts with those of other pods;
    /// `None` if it has not compared them yet.
    pub mounts_checked: Option<BTreeSet<String>>,
    /// A creation ended without a clear answer: until the next listing there may be a container more
    /// than is known.
    pub create_unknown: bool,
    /// When it was found that a manager before this one was at work on this run of the pod: what it has asked for
    /// may still come about.
    pub took_over_at: Option<Duration>,
    /// A listing was asked for on that account: it comes, as soon as the engine answers.
    pub look_asked: bool,
    /// Since when the engine has not answered; what is known may be long past.
    pub silent_since: Option<Duration>,
    /// When the last listing that came to its end had begun.
    pub looked_at: Duration,
    /// Components that are to be started again since somebody asked this manager for it, by name: [`ContainerState::life`] that is
    /// to end.
    pub to_restart: BTreeMap<String, String>,
    /// Ids of containers that somebody else has started again since the mounts were last compared.
    pub unjudged: BTreeSet<String>,
    /// Those whose mounts the running comparison judges.
    judging: BTreeSet<String>,
    /// The engine's clock, nanoseconds since 1970, when it was told last.
    clock: Option<i64>,
    /// Ids of the containers that existed when the running comparison of mounts began.
    checking: BTreeSet<String>,
    /// The listing under way began after a creation had ended without a clear answer.
    relist_pending: bool,
    /// When the listing under way began.
    looking_since: Duration,
    /// Ids known when a listing began: only these can be missing from it.
    before_listing: BTreeSet<String>,
    /// Ids of containers that are gone for good, so that late news does not bring them back.
    gone: BTreeSet<String>,
}

/// One container of the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerState {
    /// Full id.
    pub id: String,
    /// What it does.
    pub status: Status,
    /// When its process was started last, nanoseconds since 1970 by the engine's clock; 0 for never, as far as is
    /// known.
    pub started_at: i64,
    /// When its container was created, by the same clock, where a manager before this one created it; else 0.
    pub created_at: i64,
    /// How often it was started again, as far as this manager has seen.
    pub restarts: u32,
    /// How often it was started again since it last ran for [`BACKOFF_RESET_AFTER`].
    pub consecutive_restarts: u32,
    /// When it was seen to have ended, counted from the manager's start.
    pub ended_at: Duration,
    /// It ran when this manager first listed the pod's containers: the start that a manager before this one may have asked
    /// for has come about.
    pub found_running: bool,
    /// Its copies were made (the store: it was filled) since this manager started.
    pub copied: bool,
    /// The engine has answered that it is stopped; the event that says how it ended may be late.
    pub stopped: bool,
    /// The kernel killed one of its processes for memory.
    pub oom: bool,
    /// What it wrote last before it failed has been told.
    pub examined: bool,
    /// A `post_start` hook failed.
    pub hook_failure: Option<HookFailure>,
    /// When its `pre_stop` hooks were begun: its time for stopping runs from here.
    pub stopping_since: Option<Duration>,
    /// Its `pre_stop` hooks are over, whatever came of them.
    pub pre_stopped: bool,
    /// What an event said of its health last, and when, nanoseconds since 1970 by the engine's clock.
    pub last_health_event: Option<(i64, Health)>,
    /// Stops and starts of it from outside.
    pub in_place: InPlace,
    /// Why its health check fails, once the engine was asked; `Some(None)` where it does not tell.
    pub failed_check: Option<Option<FailedCheck>>,
}

/// How a `post_start` hook failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookFailure {
    /// Its exit status.
    pub status: i64,
    /// Which one, and what it wrote last, for people.
    pub words: String,
}

/// A container as the engine describes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerInfo {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// `HostConfig.NetworkMode`.
    pub network: String,
    /// `HostConfig.PidMode`.
    pub pid_mode: String,
    /// The program and arguments that it runs, in one line.
    pub command: String,
    /// The user of its process, set by the definition or by the image; empty for root.
    pub user: String,
    /// Its health check, set by the definition or by the image.
    pub healthcheck: Option<HealthCheck>,
    /// The number of its stop signal, set by the definition or by the image.
    pub stop_signal: Option<u8>,
    /// The last failure of its health check, where it is unhealthy.
    pub failed_check: Option<FailedCheck>,
    /// Targets of its mounts, including volumes of its image.
    pub targets: Vec<String>,
    /// What it does.
    pub status: Status,
    /// When its process was started last, nanoseconds since 1970 by the engine's clock; 0 for never.
    pub started_at: i64,
    /// When it was created, nanoseconds since 1970 by the engine's clock.
    pub created_at: i64,
    /// It has a terminal.
    pub tty: bool,
    /// What a store holds: where each of its volumes is mounted in it, and where that lies on the host.
    pub held: BTreeMap<String, String>,
}

impl ContainerInfo {
    /// Reports whether the container belongs to the pod of the task container `task`, as its labels claim
    /// ([`Labelled::is_genuine`]).
    pub fn is_genuine(&self, task: &str) -> bool {
        let Self { labels, name, network, command, .. } = self;
        Labelled { labels, name, network, command }.is_genuine(Some(task))
    }
}

/// What a container does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    /// Created, never started.
    #[default]
    Created,
    /// Its process runs (or is paused, or is being restarted).
    Running {
        /// What its health check says.
        health: Health,
    },
    /// Its process has ended, or could not be started.
    Exited(Exit),
    /// On its way out (`removing`, `dead`): only removal is left.
    Removing,
}

/// What a health check says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// There is no health check.
    #[default]
    None,
    /// No verdict yet.
    Starting,
    /// Healthy.
    Healthy,
    /// Unhealthy.
    Unhealthy,
}

/// How a container ended that is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExitRecord {
    /// Its last end.
    pub exit: Exit,
    /// See [`ContainerState::restarts`].
    pub restarts: u32,
    /// Its end was asked for.
    pub asked: bool,
}

/// In words: `status 3 (started again: 2)`.
impl std::fmt::Display for ExitRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.exit)?;
        match self.restarts {
            0 => Ok(()),
            times => write!(f, " (started again: {times})"),
        }
    }
}

/// Something that happened to a container of the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The container's full id.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// When, nanoseconds since 1970 by the engine's clock.
    pub at_nanos: i64,
}

/// What can happen that Tandem acts on; the engine is asked for these only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// `die`.
    Died(Exit),
    /// `kill`: somebody has sent it this signal; came before the `die` that follows from it.
    Killed(u8),
    /// `start`.
    Started,
    /// `oom`: came before the `die` it explains.
    Oom,
    /// `health_status`.
    Health(Health),
    /// `destroy`.
    Destroyed,
    /// `create` of a [`Role::Debug`] container.
    DebugCreated,
}

/// What is known of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageState {
    /// The engine does not have it.
    Missing,
    /// It was pulled by this manager.
    Pulled,
}

/// A stop that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopRequest {
    /// When.
    pub at: Duration,
    /// The status that the pod ends with: for a stop from outside 0, or 1 where the engine's health check has failed; the
    /// pod's verdict where `pause` started a crashed manager again to clean up.
    pub status: u8,
    /// It was asked for in an earlier life of the manager: whatever ended since is its effect.
    pub resumed: bool,
}

/// An action that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRecord {
    /// How.
    pub failure: Failure,
    /// Failures in a row.
    pub attempts: u32,
    /// When the first of these came.
    pub since: Duration,
    /// When the last of these came.
    pub last: Duration,
}

/// How an action failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The engine said no, in its own words: trying again would not help.
    Refused(String),
    /// The policy forbids the action.
    Forbidden(String),
    /// Something was in the way, or gone: worth another look.
    Transient(String),
    /// The engine did not answer.
    Unreachable(String),
}

/// News: the only thing that changes an [`ObservedState`].
#[derive(Debug, Clone, PartialEq)]
pub enum StateUpdate {
    /// A listing begins.
    Listing,
    /// The engine's clock, nanoseconds since 1970.
    Clock(i64),
    /// Somebody asks for a restart in place of this component.
    RestartAsked(String),
    /// The listing: every container that carries the pod's label.
    Listed(Vec<ContainerInfo>),
    /// An event.
    Event(Event),
    /// An action was begun.
    ActionStarted(Key),
    /// An action came to an end.
    ActionFinished(Key, Result<ActionResult, Failure>),
    /// A stop was asked for.
    Stop {
        /// The status that the pod is to end with.
        status: u8,
        /// See [`StopRequest::resumed`].
        resumed: bool,
        /// How long ago.
        ago: Duration,
    },
    /// The engine cannot be listed.
    EngineUnreachable(String),
    /// What a manager before this one knew, and the engine does not.
    Restored {
        /// The `post_start` hooks of these have run, by [`ContainerState::life`].
        post_start_done: Vec<String>,
        /// How components ended whose containers are gone.
        exit_records: BTreeMap<String, ExitRecord>,
    },
}

/// What an action brought about.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionResult {
    /// A listing was asked for.
    Asked,
    /// An image was pulled.
    Pulled,
    /// A creation found that the image is missing.
    ImageMissing(Image),
    /// A container of this id was created.
    Created(String),
    /// Everything was copied in.
    Copied,
    /// No mount of the pod conflicts with a mount of another pod.
    MountsChecked,
    /// It was started, and looked like this afterwards.
    Started(Box<ContainerInfo>),
    /// Its `post_start` hooks have run.
    PostStarted,
    /// One of its `post_start` hooks failed.
    HookFailed(HookFailure),
    /// Its `pre_stop` hooks are over.
    PreStopped,
    /// What it wrote last was told, as far as the engine knows it.
    Examined,
    /// Why its health check fails was told, as far as the engine knows it.
    CheckRead(Option<FailedCheck>),
    /// It is stopped.
    Stopped,
    /// It is gone.
    Removed,
    /// The pod's end is decided and written down where a crash of the manager cannot lose it.
    Concluded(Termination),
}

impl ObservedState {
    /// Take in one piece of news. `now` is the time since the manager's start.
    pub fn apply(&mut self, spec: &PodSpec, news: StateUpdate, now: Duration) {
        match news {
            StateUpdate::Listing => {
                self.relist_pending = self.create_unknown;
                self.looking_since = now;
                self.before_listing = self.ids().map(str::to_owned).collect();
            }
            StateUpdate::Clock(nanos) => self.clock = Some(nanos),
            StateUpdate::RestartAsked(name) => self.restart_asked(spec, &name),
            StateUpdate::Listed(containers) => self.listed(spec, containers, now),
            StateUpdate::Event(event) => self.event(spec, &event, now),
            StateUpdate::ActionStarted(key) => {
                if key.verb == Verb::PreStop
                    && let Some(member) = self.target_mut(&key)
                {
                    member.stopping_since.get_or_insert(now);
                }
                if key.verb == Verb::CheckMounts {
                    self.checking = self.members.values().map(|member| member.id.clone()).collect();
                    self.judging = std::mem::take(&mut self.unjudged);
                }
                self.in_flight.insert(key);
            }
            StateUpdate::ActionFinished(key, result) => {
                self.in_flight.remove(&key);
                if key.verb == Verb::CheckMounts && result.is_err() {
                    self.unjudged.append(&mut self.judging);
                }
                self.ended(key, result, now);
            }
            StateUpdate::Stop { status, resumed, ago } => {
                if resumed {
                    self.took_over_at.get_or_insert(now);
                }
                let at = now.saturating_sub(ago);
                self.stop.get_or_insert(StopRequest { at, status, resumed });
            }
            // Once the pod is known it may run on while the engine is away.
            StateUpdate::EngineUnreachable(words) if !self.listed => {
                self.setback(Key { verb: Verb::List, target: None }, Failure::Unreachable(words), now);
            }
            StateUpdate::EngineUnreachable(_) => _ = self.silent_since.get_or_insert(now),
            StateUpdate::Restored { post_start_done, exit_records } => {
                self.post_start_done.extend(post_start_done);
                self.exit_records.extend(exit_records);
            }
        }
    }

    /// The component runs, and its `post_start` hooks have run: others may count on it.
    pub fn up(&self, component: &ComponentSpec) -> bool {
        self.members.get(&component.name).is_some_and(|member| {
            matches!(member.status, Status::Running { .. })
                && (component.post_start.is_empty() || self.post_start_done.contains(&member.life()))
        })
    }

    /// Reports whether the component exited with status 0 and its container is removed, for example by
    /// `docker container prune`.
    pub fn departed_well(&self, name: &str) -> bool {
        self.exit_records.get(name).is_some_and(|exit_records| exit_records.exit.status == 0)
    }

    /// The container of a target, where it is there.
    pub fn member(&self, target: &Target) -> Option<&ContainerState> {
        match target {
            Target::Sandbox => self.sandbox.as_ref(),
            Target::Store => self.store.as_ref(),
            Target::Member(name) => self.members.get(name),
            Target::Orphan(_) => None,
        }
    }

    /// Something is under way with these.
    pub fn busy(&self) -> BTreeSet<&Target> {
        self.in_flight.iter().filter_map(|key| key.target.as_ref()).collect()
    }

    /// No container of the pod is left, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.sandbox.is_none() && self.store.is_none() && self.members.is_empty() && self.orphans.is_empty()
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        let holders = self.sandbox.iter().chain(&self.store);
        let members = holders.chain(self.members.values()).map(|member| member.id.as_str());
        members.chain(self.orphans.keys().chain(&self.debug_containers).map(String::as_str))
    }

    fn slot(&mut self, id: &str) -> Option<&mut ContainerState> {
        let holders = self.sandbox.iter_mut().chain(&mut self.store);
        holders.chain(self.members.values_mut()).find(|member| member.id == id)
    }

    fn listed(&mut self, spec: &PodSpec, containers: Vec<ContainerInfo>, now: Duration) {
        let present: BTreeSet<&str> = containers.iter().map(|container| container.id.as_str()).collect();
        let missing: Vec<String> =
            self.before_listing.iter().filter(|id| !present.contains(id.as_str())).cloned().collect();
        for id in missing {
            self.forget(&id);
        }
        for container in containers {
            if !self.gone.contains(&container.id) && container.is_genuine(&spec.identity.name) {
                self.seen(spec, container, now);
            }
        }
        for member in self.members.values_mut().filter(|member| member.exit().is_some()) {
            member.in_place.listed_dead(self.looking_since);
        }
        let holders = self.sandbox.iter().chain(&self.store);
        if !self.listed && holders.chain(self.members.values()).next().is_some() {
            self.took_over_at.get_or_insert(now);
        }
        self.looked_at = self.looking_since;
        self.listed = true;
        self.silent_since = None;
        if std::mem::take(&mut self.relist_pending) {
            self.create_unknown = false;
        }
        self.failures.remove(&Key { verb: Verb::List, target: None });
    }

    /// Put a container that is there in its place.
    fn seen(&mut self, spec: &PodSpec, container: ContainerInfo, now: Duration) {
        if self.slot(&container.id).is_some() {
            return self.seen_again(spec, &container, now);
        }
        let label = |key: &str| container.labels.get(key).map(String::as_str);
        if label(LABEL_RUN) == Some(&spec.identity.run) && label(LABEL_ROLE) == Some(Role::Debug.as_str()) {
            self.guest(container.id);
            return;
        }
        let place = place(spec, &container);
        let mut member = self.successor(place.as_ref(), &container.id);
        member.in_place.stop_signal = container.stop_signal;
        member.look(container.status, container.started_at, now);
        member.found_running = !self.listed && member.runs();
        member.created_at = container.created_at;
        if let (Some(Target::Member(name)), Some(exit)) = (&place, member.exit()) {
            member.in_place.found_dead(exit, grace_of(spec, name), self.clock, now);
        }
        match place {
            Some(Target::Sandbox) if self.sandbox.is_none() => self.sandbox = Some(member),
            Some(Target::Store) if self.store.is_none() => self.store = Some(member),
            Some(Target::Member(name)) if !self.members.contains_key(&name) => {
                self.members.insert(name, member);
            }
            _ => {
                self.orphans.insert(container.id, container.name);
            }
        }
    }

    /// A container that is known already, as a listing tells of it.
    fn seen_again(&mut self, spec: &PodSpec, container: &ContainerInfo, now: Duration) {
        let clock = self.clock;
        let name = self.name_of(&container.id);
        let ours = name.as_ref().is_some_and(|name| self.starting(&Target::Member(name.clone())));
        let Some(member) = self.slot(&container.id) else { return };
        member.in_place.stop_signal = container.stop_signal.or(member.in_place.stop_signal);
        let (status, started_at) = (member.status, member.started_at);
        member.look(container.status, container.started_at, now);
        let again = started_at != 0 && member.started_at > started_at;
        if let (Some(name), Some(exit)) = (&name, member.exit())
            && member.status != status
        {
            member.in_place.found_dead(exit, grace_of(spec, name), clock, now);
        }
        let Some(name) = name.filter(|_| again && !ours) else { return };
        if spec.checks_mounts {
            self.unjudged.insert(container.id.clone());
        }
        // What did not come about in the life before may in this one.
        self.failures.remove(&Key { verb: Verb::PostStart, target: Some(Target::Member(name)) });
    }

    /// The component, or init component, whose container this is.
    fn name_of(&self, id: &str) -> Option<String> {
        self.members.iter().find(|(_, member)| member.id == id).map(|(name, _)| name.clone())
    }

    /// The end of this member does not count yet: somebody restarts it, or may be about to. The end of the pod, and a
    /// request for it, cut that short.
    pub fn is_undecided(&self, name: &str, now: Duration) -> bool {
        let open = |member: &ContainerState| member.exit().is_some() && member.in_place.is_open(now);
        self.stop.is_none()
            && self.concluded.is_none()
            && (self.members.get(name).is_some_and(open) || self.is_to_restart(name))
    }

    /// The present life of this component is to end, and it is to be started again.
    pub fn is_to_restart(&self, name: &str) -> bool {
        let life = self.members.get(name).map(ContainerState::life);
        life.is_some() && self.to_restart.get(name) == life.as_ref()
    }

    /// A container was started of which this manager knows only the event: a listing tells more.
    pub fn is_news(&self, event: &Event) -> bool {
        let member = self.members.iter().find(|(_, member)| member.id == event.id);
        member.is_some_and(|(name, member)| {
            let ended = member.exit().is_none_or(|exit| event.at_nanos > exit.at_nanos);
            event.kind == EventKind::Started
                && !matches!(member.status, Status::Running { .. })
                && ended
                && !self.starting(&Target::Member(name.clone()))
        })
    }

    /// The component, and those that are restarted along with it.
    fn restart_asked(&mut self, spec: &PodSpec, name: &str) {
        for name in restarted_with(spec, name) {
            if let Some(member) = self.members.get(&name).filter(|member| member.status != Status::Created) {
                self.to_restart.insert(name, member.life());
            }
        }
    }

    /// A new container for this place. Where there was one that has ended and is gone, the new one is a restart too: its
    /// budget must not begin anew with every `docker container prune`.
    fn successor(&self, place: Option<&Target>, id: &str) -> ContainerState {
        let before = match place {
            Some(Target::Member(name)) => self.exit_records.get(name),
            _ => None,
        };
        let restarts = before.map_or(0, |before| before.restarts.saturating_add(1));
        ContainerState {
            id: id.to_owned(),
            restarts,
            consecutive_restarts: restarts,
            ..ContainerState::default()
        }
    }

    /// Somebody looks around in the pod, for as long as there is one.
    fn guest(&mut self, id: String) {
        if self.gone.contains(&id) {
            return;
        }
        match self.concluded {
            None => _ = self.debug_containers.insert(id),
            Some(_) => _ = self.orphans.insert(id, "a debug container".to_owned()),
        }
    }

    fn event(&mut self, spec: &PodSpec, event: &Event, now: Duration) {
        match event.kind {
            EventKind::Destroyed => return self.forget(&event.id),
            EventKind::DebugCreated => return self.guest(event.id.clone()),
            _ => {}
        }
        let name = self.name_of(&event.id);
        let target = name.clone().map(Target::Member);
        let ours = |verb: Verb| self.in_flight.contains(&Key { verb, target: target.clone() });
        let (stopping, news) = (ours(Verb::Stop) || ours(Verb::Remove), self.is_news(event));
        let Some(member) = self.slot(&event.id) else { return };
        // Late news of an earlier life.
        if event.at_nanos < member.started_at {
            return;
        }
        match event.kind {
            EventKind::Died(exit) => {
                let oom = std::mem::take(&mut member.oom);
                let exit = Exit { oom: exit.oom || oom, ..exit };
                member.look(Status::Exited(exit), member.started_at, now);
                if let Some(name) = name {
                    member.in_place.died(exit, grace_of(spec, &name), now);
                }
            }
            EventKind::Killed(signal) if !stopping => member.in_place.signalled(signal, event.at_nanos),
            EventKind::Started if news => {
                if member.exit().is_some() {
                    member.in_place.start_heard(event.at_nanos, now);
                }
            }
            EventKind::Oom => member.oom = true,
            EventKind::Health(health) => {
                member.last_health_event = Some((event.at_nanos, health));
                member.failed_check = None;
                if let Status::Running { health: current } = &mut member.status {
                    *current = health;
                }
            }
            EventKind::Killed(_) | EventKind::Started | EventKind::Destroyed | EventKind::DebugCreated => {}
        }
    }

    fn ended(&mut self, key: Key, result: Result<ActionResult, Failure>, now: Duration) {
        let failure = match result {
            Err(failure) => failure,
            Ok(ActionResult::ImageMissing(image)) if self.images.get(&image) == Some(&ImageState::Pulled) => {
                Failure::Refused(format!("image {image} was pulled, but the engine does not find it"))
            }
            // Only components' images are pulled: sandbox and store are made of the one the task container runs.
            Ok(ActionResult::ImageMissing(image))
                if matches!(key.target, Some(Target::Sandbox | Target::Store)) =>
            {
                Failure::Refused(format!("image {image} is not there"))
            }
            Ok(effect) => {
                self.failures.remove(&key);
                if key.verb == Verb::Restart {
                    // What did not come about in the life before may in this one.
                    self.failures.remove(&Key { verb: Verb::PostStart, target: key.target.clone() });
                }
                self.effect(&key, effect, now);
                return;
            }
        };
        // A forbidden creation leaves a container, because the policy is checked on the created container.
        if key.verb == Verb::Create && !matches!(failure, Failure::Refused(_)) {
            self.create_unknown = true;
            self.relist_pending = false;
        }
        self.setback(key, failure, now);
    }

    fn setback(&mut self, key: Key, failure: Failure, now: Duration) {
        let setback = self.failures.entry(key).or_insert(FailureRecord {
            failure: failure.clone(),
            attempts: 0,
            since: now,
            last: now,
        });
        setback.failure = failure;
        setback.attempts += 1;
        setback.last = now;
    }

    fn effect(&mut self, key: &Key, effect: ActionResult, now: Duration) {
        match effect {
            ActionResult::Asked => self.look_asked = true,
            ActionResult::Pulled => {
                if let Verb::Pull(image) = &key.verb {
                    self.images.insert(image.clone(), ImageState::Pulled);
                }
            }
            ActionResult::ImageMissing(image) => {
                self.images.insert(image, ImageState::Missing);
            }
            ActionResult::Created(id) => {
                // The listing may have been quicker, or somebody has removed it already.
                if self.gone.contains(&id) || self.slot(&id).is_some() {
                    return;
                }
                let member = self.successor(key.target.as_ref(), &id);
                match &key.target {
                    Some(Target::Sandbox) => self.sandbox = Some(member),
                    Some(Target::Store) => self.store = Some(member),
                    Some(Target::Member(name)) => {
                        self.members.insert(name.clone(), member);
                    }
                    Some(Target::Orphan(_)) | None => {}
                }
            }
            ActionResult::MountsChecked => {
                self.mounts_checked = Some(std::mem::take(&mut self.checking));
                self.judging.clear();
            }
            ActionResult::Copied => {
                if let Some(member) = self.target_mut(key) {
                    member.copied = true;
                }
            }
            ActionResult::Started(container) => {
                if let Some(member) = self.slot(&container.id) {
                    member.in_place.stop_signal = container.stop_signal.or(member.in_place.stop_signal);
                    member.look(container.status, container.started_at, now);
                }
            }
            ActionResult::PostStarted => {
                let ran = self.target_mut(key).map(|member| (member.id.clone(), member.life()));
                if let Some((id, life)) = ran {
                    self.clear_post_start(&id);
                    self.post_start_done.insert(life);
                }
            }
            ActionResult::HookFailed(failure) => {
                if let Some(member) = self.target_mut(key) {
                    member.hook_failure = Some(failure);
                }
            }
            ActionResult::PreStopped => {
                if let Some(member) = self.target_mut(key) {
                    member.pre_stopped = true;
                }
            }
            ActionResult::Examined => {
                if let Some(member) = self.target_mut(key) {
                    member.examined = true;
                }
            }
            ActionResult::CheckRead(failed) => {
                if let Some(member) = self.target_mut(key) {
                    member.failed_check = Some(failed);
                }
            }
            ActionResult::Stopped => {
                if let Some(member) = self.target_mut(key) {
                    member.stopped = true;
                }
            }
            ActionResult::Removed => {
                let id = match &key.target {
                    Some(Target::Orphan(id)) => Some(id.clone()),
                    Some(target) => self.member(target).map(|member| member.id.clone()),
                    None => None,
                };
                if let Some(id) = id {
                    self.forget(&id);
                }
            }
            ActionResult::Concluded(conclusion) => {
                self.concluded.get_or_insert(conclusion);
                std::mem::take(&mut self.debug_containers).into_iter().for_each(|id| self.guest(id));
            }
        }
    }

    /// A start of this container is under way.
    pub fn starting(&self, target: &Target) -> bool {
        let starts = |verb| self.in_flight.contains(&Key { verb, target: Some(target.clone()) });
        starts(Verb::Start) || starts(Verb::Restart)
    }

    fn target_mut(&mut self, key: &Key) -> Option<&mut ContainerState> {
        match key.target.as_ref()? {
            Target::Sandbox => self.sandbox.as_mut(),
            Target::Store => self.store.as_mut(),
            Target::Member(name) => self.members.get_mut(name),
            Target::Orphan(_) => None,
        }
    }

    /// Nobody asks any more what this container did in earlier lives.
    fn clear_post_start(&mut self, id: &str) {
        self.post_start_done.retain(|life| life.split(' ').next() != Some(id));
    }

    fn forget(&mut self, id: &str) {
        self.clear_post_start(id);
        self.gone.insert(id.to_owned());
        self.orphans.remove(id);
        self.debug_containers.remove(id);
        let ran =
            |member: &ContainerState| member.id == id && matches!(member.status, Status::Running { .. });
        if self.sandbox.as_ref().is_some_and(ran) {
            self.removed_externally.insert(Target::Sandbox);
        }
        if self.store.as_ref().is_some_and(ran) {
            self.removed_externally.insert(Target::Store);
        }
        let members = self.members.iter().filter(|(_, member)| ran(member));
        self.removed_externally.extend(members.map(|(name, _)| Target::Member(name.clone())));
        let ended = self.members.iter().filter(|(_, member)| member.id == id);
        self.exit_records.extend(ended.filter_map(|(name, member)| {
            let killed = ran(member).then_some(Exit { status: STATUS_KILLED.into(), ..Exit::default() });
            let exit = member.exit().or(killed)?;
            let asked = member.in_place.asked;
            Some((name.clone(), ExitRecord { exit, restarts: member.restarts, asked }))
        }));
        self.members.retain(|_, member| member.id != id);
        if self.sandbox.as_ref().is_some_and(|sandbox| sandbox.id == id) {
            self.sandbox = None;
        }
        if self.store.as_ref().is_some_and(|store| store.id == id) {
            self.store = None;
        }
    }
}

impl ContainerState {
    /// It was seen to do this, in the life that began at `started_at` (0: whichever it is in). News may come out
    /// of order (an event overtakes the answer of a call), so a life that has ended stays so, and a verdict on its
    /// health is not taken back by an older look.
    fn look(&mut self, status: Status, started_at: i64, now: Duration) {
        let begins = started_at > self.started_at;
        if begins {
            self.begin_life(started_at);
        } else if started_at < self.started_at && started_at != 0 {
            return;
        }
        let before = self.status;
        self.status = match (self.status, status) {
            (Status::Removing, _) => Status::Removing,
            (Status::Exited(exit), Status::Created) => Status::Exited(exit),
            // The end of this very life was told before its beginning.
            (Status::Exited(exit), Status::Running { .. }) if exit.at_nanos >= self.started_at => {
                Status::Exited(exit)
            }
            // The event comes a moment after the end that a listing tells of.
            (Status::Exited(exit), Status::Exited(other)) if other.at_nanos < exit.at_nanos => {
                Status::Exited(exit)
            }
            (Status::Running { health }, Status::Created) => Status::Running { health },
            (Status::Running { health }, Status::Running { health: Health::Starting })
                if health != Health::None && !begins =>
            {
                Status::Running { health }
            }
            // The engine tells only changes: a verdict that overtook the answer of the start is not told again.
            (_, Status::Running { health: Health::Starting }) => {
                let last_health_event =
                    self.last_health_event.filter(|(at_nanos, _)| *at_nanos >= self.started_at);
                Status::Running { health: last_health_event.map_or(Health::Starting, |(_, health)| health) }
            }
            (_, seen) => seen,
        };
        if self.exit().is_some() && self.status != before {
            self.ended_at = now;
        }
    }

    /// Its process was started, perhaps once more.
    fn begin_life(&mut self, started_at: i64) {
        if self.started_at != 0 {
            self.consecutive_restarts =
                if self.ran_long() { 1 } else { self.consecutive_restarts.saturating_add(1) };
            self.restarts = self.restarts.saturating_add(1);
            self.stopped = false;
            self.hook_failure = None;
            self.examined = false;
            (self.pre_stopped, self.stopping_since) = (false, None);
        }
        self.failed_check = None;
        // The end of this life may have been told before its beginning.
        if self.exit().is_none_or(|exit| exit.at_nanos < started_at) {
            self.in_place.began(started_at);
        }
        self.started_at = started_at;
    }

    /// Tells this run of its process from those before and after it.
    pub fn life(&self) -> String {
        format!("{} {}", self.id, self.started_at)
    }

    /// It ran long enough before it ended that what was before counts no more.
    pub fn ran_long(&self) -> bool {
        self.exit().is_none_or(|exit| {
            let ran = exit.at_nanos.saturating_sub(self.started_at);
            u64::try_from(ran).is_ok_and(|ran| Duration::from_nanos(ran) >= BACKOFF_RESET_AFTER)
        })
    }

    /// Its process runs, as far as is known.
    pub fn runs(&self) -> bool {
        matches!(self.status, Status::Running { .. }) && !self.stopped
    }

    /// How it ended, if it did.
    pub fn exit(&self) -> Option<Exit> {
        match self.status {
            Status::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}

/// How long the engine waits between the stop signal of this member and the kill, where nobody says otherwise.
fn grace_of(spec: &PodSpec, name: &str) -> Duration {
    spec.member(name).and_then(|member| member.stop_grace).unwrap_or(DEFAULT_STOP_GRACE)
}

/// This component, and those that name it, or one of these, as a dependency with `restart: true`; no `pre_start` container,
/// which runs to its end once.
pub fn restarted_with(spec: &PodSpec, name: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::from([name.to_owned()]);
    loop {
        let along = |one: &&ComponentSpec| {
            let mut on = one.depends_on.iter();
            one.pre_start_of.is_none()
                && !names.contains(&one.name)
                && on.any(|on| on.restart && names.contains(&on.on))
        };
        let Some(next) = spec.components.iter().find(along) else { return names };
        names.insert(next.name.clone());
    }
}

/// What a container is in this run of this pod; `None` for what an earlier run, or nobody, left.
fn place(spec: &PodSpec, container: &ContainerInfo) -> Option<Target> {
    let Identity { run, .. } = &spec.identity;
    let label = |key: &str| container.labels.get(key).map(String::as_str);
    if label(LABEL_RUN) != Some(run) {
        return None;
    }
    let role = label(LABEL_ROLE)?;
    if role == Role::Sandbox.as_str() {
        return spec.namespaces.sandbox().then_some(Target::Sandbox);
    }
    if role == Role::Store.as_str() {
        return spec.store().then_some(Target::Store);
    }
    let name = label(LABEL_COMPONENT)?;
    let found = spec.member(name).filter(|member| role == spec.role(member).as_str());
    found.map(|_| Target::Member(name.to_owned()))
}

#[cfg(test)]
mod tests;
