//! What is true of a pod now, as far as the engine and the pod's own actions have told.
//!
//! [`Observed::apply`] is the only way in. It holds facts, not policy: what follows from them is
//! [`crate::pod::plan`]'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::action::{Key, Target, Verb};
use super::identity::{Identity, LABEL_COMPONENT, LABEL_ROLE, LABEL_RUN, Role};
use super::plan::Conclusion;
use super::spec::{ComponentSpec, Image, PodSpec};

/// Everything known of a pod. Times are counted from the manager's start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// A full listing has been seen; before that nothing is known to be absent.
    pub listed: bool,
    /// The sandbox, `None` where there is none.
    pub sandbox: Option<Member>,
    /// The vault, `None` where there is none.
    pub vault: Option<Member>,
    /// Containers of components and init components that are there, by component name.
    pub members: BTreeMap<String, Member>,
    /// Containers of this pod that belong to an earlier run or to no component: id to name.
    pub remains: BTreeMap<String, String>,
    /// What became known of images.
    pub images: BTreeMap<Image, Known>,
    /// Actions under way.
    pub in_flight: BTreeSet<Key>,
    /// Actions that failed and were not done since.
    pub setbacks: BTreeMap<Key, Setback>,
    /// A stop was asked for.
    pub stop: Option<StopRequest>,
    /// The pod's end has been decided, and `pause` knows.
    pub concluded: Option<Conclusion>,
    /// Containers of this run that ran when last seen, and are gone: nobody told how they ended.
    pub vanished: BTreeSet<Target>,
    /// Components that had ended before they were removed, `docker container prune` perhaps, and how.
    pub departed: BTreeMap<String, Exit>,
    /// Ids of containers whose `post_start` hooks have run, also for a manager before this one.
    pub hooked: BTreeSet<String>,
    /// A creation ended without a clear answer: until the next listing there may be a container more
    /// than is known.
    pub unsure: bool,
    /// The listing under way began after that.
    resolving: bool,
    /// Ids known when a listing began: only these can be missing from it.
    before_listing: BTreeSet<String>,
    /// Ids of containers that are gone for good, so that late news does not bring them back.
    gone: BTreeSet<String>,
}

/// One container of the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Full id.
    pub id: String,
    /// What it does.
    pub status: Status,
    /// Its copies were made (the vault: it was filled) since this manager started.
    pub copied: bool,
    /// The engine has answered that it is stopped; the event that says how it ended may be late.
    pub stopped: bool,
    /// The kernel killed one of its processes for memory.
    pub oom: bool,
    /// A `post_start` hook failed.
    pub hook_failure: Option<HookFailure>,
    /// When its `pre_stop` hooks were begun: its time for stopping runs from here.
    pub stopping_since: Option<Duration>,
    /// Its `pre_stop` hooks are over, whatever came of them.
    pub pre_stopped: bool,
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
    /// What it does.
    pub status: Status,
    /// It has a terminal.
    pub tty: bool,
    /// Where on the host the memory of a vault is mounted.
    pub vault_path: Option<String>,
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

/// How a container ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit status, 128+n for a signal.
    pub status: i64,
    /// The kernel killed a process of it for memory.
    pub oom: bool,
    /// When, nanoseconds since 1970 by the engine's clock.
    pub at_nanos: i64,
}

/// Something that happened to a container of the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The container's full id.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen that Tandem acts on; the engine is asked for these only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// `die`.
    Died(Exit),
    /// `oom`: came before the `die` it explains.
    Oom,
    /// `health_status`.
    Health(Health),
    /// `destroy`.
    Destroyed,
}

/// What is known of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
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
    /// The status that the pod ends with: 0 for a stop from outside, the pod's verdict where `pause`
    /// started a crashed manager again to clean up.
    pub status: u8,
    /// It was asked for in an earlier life of the manager: whatever ended since is its effect.
    pub resumed: bool,
}

/// An action that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
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
    /// Something was in the way, or gone: worth another look.
    Unsettled(String),
    /// The engine did not answer.
    Unreachable(String),
}

/// News: the only thing that changes an [`Observed`].
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// A listing begins.
    Listing,
    /// The listing: every container that carries the pod's label.
    Listed(Vec<ContainerInfo>),
    /// An event.
    Event(Event),
    /// An action was begun.
    Begun(Key),
    /// An action came to an end.
    Ended(Key, Result<Effect, Failure>),
    /// A stop was asked for.
    Stop {
        /// The status that the pod is to end with.
        status: u8,
        /// See [`StopRequest::resumed`].
        resumed: bool,
    },
    /// The engine cannot be listed.
    Silent(String),
    /// The `post_start` hooks of these containers, by id, have run: a manager before this one says so.
    Hooked(Vec<String>),
}

/// What an action brought about.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An image was pulled.
    Pulled,
    /// A creation found that the image is missing.
    ImageMissing(Image),
    /// A container of this id was created.
    Created(String),
    /// Everything was copied in.
    Copied,
    /// It was started, and looked like this afterwards.
    Started(ContainerInfo),
    /// Its `post_start` hooks have run.
    PostStarted,
    /// One of its `post_start` hooks failed.
    HookFailed(HookFailure),
    /// Its `pre_stop` hooks are over.
    PreStopped,
    /// It is stopped.
    Stopped,
    /// It is gone.
    Removed,
    /// The pod's end is decided and written down where a crash of the manager cannot lose it.
    Concluded(Conclusion),
}

impl Observed {
    /// Take in one piece of news. `now` is the time since the manager's start.
    pub fn apply(&mut self, spec: &PodSpec, news: Observation, now: Duration) {
        match news {
            Observation::Listing => {
                self.resolving = self.unsure;
                self.before_listing = self.ids().map(str::to_owned).collect();
            }
            Observation::Listed(containers) => self.listed(spec, containers),
            Observation::Event(event) => self.event(&event),
            Observation::Begun(key) => {
                if key.verb == Verb::PreStop
                    && let Some(member) = self.target_mut(&key)
                {
                    member.stopping_since.get_or_insert(now);
                }
                self.in_flight.insert(key);
            }
            Observation::Ended(key, result) => {
                self.in_flight.remove(&key);
                self.ended(key, result, now);
            }
            Observation::Stop { status, resumed } => {
                self.stop.get_or_insert(StopRequest { at: now, status, resumed });
            }
            // Once the pod is known it may run on while the engine is away.
            Observation::Silent(words) if !self.listed => {
                self.setback(Key { verb: Verb::List, target: None }, Failure::Unreachable(words), now);
            }
            Observation::Silent(_) => {}
            Observation::Hooked(ids) => self.hooked.extend(ids),
        }
    }

    /// The component runs, and its `post_start` hooks have run: others may count on it.
    pub fn up(&self, component: &ComponentSpec) -> bool {
        self.members.get(&component.name).is_some_and(|member| {
            matches!(member.status, Status::Running { .. })
                && (component.post_start.is_empty() || self.hooked.contains(&member.id))
        })
    }

    /// The container of a target, where it is there.
    pub fn member(&self, target: &Target) -> Option<&Member> {
        match target {
            Target::Sandbox => self.sandbox.as_ref(),
            Target::Vault => self.vault.as_ref(),
            Target::Member(name) => self.members.get(name),
            Target::Remains(_) => None,
        }
    }

    /// Something is under way with this target.
    pub fn busy(&self, target: &Target) -> bool {
        self.in_flight.iter().any(|key| key.target.as_ref() == Some(target))
    }

    /// No container of the pod is left, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.sandbox.is_none() && self.vault.is_none() && self.members.is_empty() && self.remains.is_empty()
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        let holders = self.sandbox.iter().chain(&self.vault);
        let members = holders.chain(self.members.values()).map(|member| member.id.as_str());
        members.chain(self.remains.keys().map(String::as_str))
    }

    fn slot(&mut self, id: &str) -> Option<&mut Member> {
        let holders = self.sandbox.iter_mut().chain(&mut self.vault);
        holders.chain(self.members.values_mut()).find(|member| member.id == id)
    }

    fn listed(&mut self, spec: &PodSpec, containers: Vec<ContainerInfo>) {
        let present: BTreeSet<&str> = containers.iter().map(|container| container.id.as_str()).collect();
        let missing: Vec<String> =
            self.before_listing.iter().filter(|id| !present.contains(id.as_str())).cloned().collect();
        for id in missing {
            self.forget(&id);
        }
        for container in containers {
            if !self.gone.contains(&container.id) {
                self.seen(spec, container);
            }
        }
        self.listed = true;
        if std::mem::take(&mut self.resolving) {
            self.unsure = false;
        }
        self.setbacks.remove(&Key { verb: Verb::List, target: None });
    }

    /// Put a container that is there in its place.
    fn seen(&mut self, spec: &PodSpec, container: ContainerInfo) {
        if let Some(member) = self.slot(&container.id) {
            member.look(container.status);
            return;
        }
        let member = Member { id: container.id.clone(), status: container.status, ..Member::default() };
        match place(spec, &container) {
            Some(Target::Sandbox) if self.sandbox.is_none() => self.sandbox = Some(member),
            Some(Target::Vault) if self.vault.is_none() => self.vault = Some(member),
            Some(Target::Member(name)) if !self.members.contains_key(&name) => {
                self.members.insert(name, member);
            }
            _ => {
                self.remains.insert(container.id, container.name);
            }
        }
    }

    fn event(&mut self, event: &Event) {
        if event.kind == EventKind::Destroyed {
            self.forget(&event.id);
            return;
        }
        let Some(member) = self.slot(&event.id) else { return };
        match event.kind {
            EventKind::Died(exit) => {
                let exit = Exit { oom: exit.oom || member.oom, ..exit };
                member.look(Status::Exited(exit));
            }
            EventKind::Oom => member.oom = true,
            EventKind::Health(health) => {
                if let Status::Running { health: current } = &mut member.status {
                    *current = health;
                }
            }
            EventKind::Destroyed => {}
        }
    }

    fn ended(&mut self, key: Key, result: Result<Effect, Failure>, now: Duration) {
        let failure = match result {
            Err(failure) => failure,
            Ok(Effect::ImageMissing(image)) if self.images.get(&image) == Some(&Known::Pulled) => {
                Failure::Refused(format!("image {image} was pulled, but the engine does not find it"))
            }
            // Only components' images are pulled: sandbox and vault are made of the one the task container runs.
            Ok(Effect::ImageMissing(image))
                if matches!(key.target, Some(Target::Sandbox | Target::Vault)) =>
            {
                Failure::Refused(format!("image {image} is not there"))
            }
            Ok(effect) => {
                self.setbacks.remove(&key);
                self.effect(&key, effect);
                return;
            }
        };
        if key.verb == Verb::Create && !matches!(failure, Failure::Refused(_)) {
            self.unsure = true;
            self.resolving = false;
        }
        self.setback(key, failure, now);
    }

    fn setback(&mut self, key: Key, failure: Failure, now: Duration) {
        let setback = self.setbacks.entry(key).or_insert(Setback {
            failure: failure.clone(),
            attempts: 0,
            since: now,
            last: now,
        });
        setback.failure = failure;
        setback.attempts += 1;
        setback.last = now;
    }

    fn effect(&mut self, key: &Key, effect: Effect) {
        match effect {
            Effect::Pulled => {
                if let Verb::Pull(image) = &key.verb {
                    self.images.insert(image.clone(), Known::Pulled);
                }
            }
            Effect::ImageMissing(image) => {
                self.images.insert(image, Known::Missing);
            }
            Effect::Created(id) => {
                // The listing may have been quicker, or somebody has removed it already.
                if self.gone.contains(&id) || self.slot(&id).is_some() {
                    return;
                }
                let member = Member { id, ..Member::default() };
                match &key.target {
                    Some(Target::Sandbox) => self.sandbox = Some(member),
                    Some(Target::Vault) => self.vault = Some(member),
                    Some(Target::Member(name)) => {
                        self.members.insert(name.clone(), member);
                    }
                    Some(Target::Remains(_)) | None => {}
                }
            }
            Effect::Copied => {
                if let Some(member) = self.target_mut(key) {
                    member.copied = true;
                }
            }
            Effect::Started(container) => {
                if let Some(member) = self.slot(&container.id) {
                    member.look(container.status);
                }
            }
            Effect::PostStarted => {
                let id = self.target_mut(key).map(|member| member.id.clone());
                self.hooked.extend(id);
            }
            Effect::HookFailed(failure) => {
                if let Some(member) = self.target_mut(key) {
                    member.hook_failure = Some(failure);
                }
            }
            Effect::PreStopped => {
                if let Some(member) = self.target_mut(key) {
                    member.pre_stopped = true;
                }
            }
            Effect::Stopped => {
                if let Some(member) = self.target_mut(key) {
                    member.stopped = true;
                }
            }
            Effect::Removed => {
                let id = match &key.target {
                    Some(Target::Remains(id)) => Some(id.clone()),
                    Some(target) => self.member(target).map(|member| member.id.clone()),
                    None => None,
                };
                if let Some(id) = id {
                    self.forget(&id);
                }
            }
            Effect::Concluded(conclusion) => {
                self.concluded.get_or_insert(conclusion);
            }
        }
    }

    fn target_mut(&mut self, key: &Key) -> Option<&mut Member> {
        match key.target.as_ref()? {
            Target::Sandbox => self.sandbox.as_mut(),
            Target::Vault => self.vault.as_mut(),
            Target::Member(name) => self.members.get_mut(name),
            Target::Remains(_) => None,
        }
    }

    fn forget(&mut self, id: &str) {
        self.gone.insert(id.to_owned());
        self.remains.remove(id);
        let ran = |member: &Member| member.id == id && matches!(member.status, Status::Running { .. });
        if self.sandbox.as_ref().is_some_and(ran) {
            self.vanished.insert(Target::Sandbox);
        }
        if self.vault.as_ref().is_some_and(ran) {
            self.vanished.insert(Target::Vault);
        }
        let members = self.members.iter().filter(|(_, member)| ran(member));
        self.vanished.extend(members.map(|(name, _)| Target::Member(name.clone())));
        let ended = self.members.iter().filter(|(_, member)| member.id == id);
        self.departed.extend(ended.filter_map(|(name, member)| Some((name.clone(), member.exit()?))));
        self.members.retain(|_, member| member.id != id);
        if self.sandbox.as_ref().is_some_and(|sandbox| sandbox.id == id) {
            self.sandbox = None;
        }
        if self.vault.as_ref().is_some_and(|vault| vault.id == id) {
            self.vault = None;
        }
    }
}

impl Member {
    /// It was seen to do this. News may come out of order (an event overtakes the answer of a call),
    /// so a container that has ended stays so, and a verdict on its health is not taken back by an
    /// older look.
    fn look(&mut self, status: Status) {
        self.status = match (self.status, status) {
            (Status::Removing, _) => Status::Removing,
            (Status::Exited(exit), Status::Created | Status::Running { .. }) => Status::Exited(exit),
            (Status::Running { health }, Status::Created) => Status::Running { health },
            (Status::Running { health }, Status::Running { health: Health::Starting })
                if health != Health::None =>
            {
                Status::Running { health }
            }
            (_, seen) => seen,
        };
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
    if role == Role::Vault.as_str() {
        return spec.vault().then_some(Target::Vault);
    }
    let name = label(LABEL_COMPONENT)?;
    let members = if role == Role::Init.as_str() { &spec.init } else { &spec.components };
    members.iter().any(|member| member.name == name).then(|| Target::Member(name.to_owned()))
}

#[cfg(test)]
mod tests;
