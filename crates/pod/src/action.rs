//! What to do next, as plain data, each with the reason.

use std::fmt;
use std::time::Duration;

use super::identity::short;
use super::spec::Image;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Pull an image.
    Pull(Image),
    /// Create a container.
    Create(Target),
    /// Copy into a created container what `pod.copy` names; into the store the secrets and configs.
    Copy(Target),
    /// Compare the mounts of all containers of the pod with those of other pods, before any of them is started.
    CheckMounts,
    /// Start a created container.
    Start(Target),
    /// Start a container again whose process has ended.
    Restart(Target),
    /// Run a component's `post_start` hooks.
    PostStart(Target),
    /// Let a component serve on for the first time, its `shutdown_delay`, then run its `pre_stop` hooks for at most the
    /// second.
    PreStop(Target, Duration, Duration),
    /// Stop a running container: its stop signal, and the kill after this time.
    Stop(Target, Duration),
    /// Tell people what a component that failed has written last.
    ReportLastLogs(Target),
    /// Ask the engine why a component's health check fails, and tell people.
    ReadCheck(Target),
    /// Kill and remove a container.
    Remove(Target),
    /// List the pod's containers once more.
    Look,
    /// Decide the pod's end: from here on nothing is started.
    Terminate(Termination),
}

/// Whom an action concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The sandbox.
    Sandbox,
    /// The store.
    Store,
    /// The component or init component of this name.
    Member(String),
    /// A container of an earlier run, by id.
    Orphan(String),
}

/// Tells one action from another: no two with the same key are under way at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What is done.
    pub verb: Verb,
    /// To whom, `None` for what concerns no container.
    pub target: Option<Target>,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// [`Action::Pull`] of this image.
    Pull(Image),
    /// [`Action::Create`].
    Create,
    /// [`Action::Copy`].
    Copy,
    /// [`Action::CheckMounts`].
    CheckMounts,
    /// [`Action::Start`].
    Start,
    /// [`Action::Restart`].
    Restart,
    /// [`Action::PostStart`].
    PostStart,
    /// [`Action::PreStop`].
    PreStop,
    /// [`Action::Stop`].
    Stop,
    /// [`Action::ReportLastLogs`].
    ReportLastLogs,
    /// [`Action::ReadCheck`].
    ReadCheck,
    /// [`Action::Remove`].
    Remove,
    /// [`Action::Terminate`].
    Terminate,
    /// [`Action::Look`], and what the watch does by itself.
    List,
}

impl Verb {
    /// It begins a life of a container.
    pub fn starts(&self) -> bool {
        matches!(self, Verb::Start | Verb::Restart)
    }
}

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An earlier run of the task container, or an earlier definition, left it.
    Orphaned,
    /// `--pull`, or `pull_policy: always`.
    PullAsked,
    /// A creation found it missing.
    ImageMissing,
    /// The pod shares namespaces that a sandbox holds.
    HoldsNamespaces,
    /// Members have secrets or configs, which it holds in memory.
    HoldsSecrets,
    /// The init components before it are done.
    InitsTurn,
    /// The definition has it, and it is not there.
    Wanted,
    /// `pod.copy` names it.
    HasCopies,
    /// It is created whole, and mounts something that another pod may have too.
    HasMounts,
    /// All that it waits for is so.
    Ready,
    /// It has ended, and its `restart` says so.
    RestartAsked,
    /// It runs, and has hooks for that.
    Started,
    /// A hook failed.
    HookFailed,
    /// A stop was asked for.
    StopRequested,
    /// A component ended, and with it the pod.
    ComponentEnded,
    /// An init component failed.
    InitFailed,
    /// The sandbox ended.
    SandboxEnded,
    /// The store ended.
    StoreEnded,
    /// The pod cannot be what was asked for.
    Impossible,
    /// The pod ends, and none that depends on it runs.
    Ending,
    /// The time for stopping is over.
    OutOfTime,
    /// It has ended, and the pod with it.
    Completed,
    /// It failed.
    Failed,
    /// It is unhealthy.
    Unhealthy,
    /// Somebody asked this manager to restart it.
    RestartRequested,
    /// Somebody else has started it again.
    StartedOutside,
    /// What a manager before this one has asked for may have come about meanwhile.
    Takeover,
}

/// An action and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

impl Action {
    /// This action's key.
    pub fn key(&self) -> Key {
        let (verb, target) = match self {
            Action::Pull(image) => (Verb::Pull(image.clone()), None),
            Action::Create(target) => (Verb::Create, Some(target)),
            Action::Copy(target) => (Verb::Copy, Some(target)),
            Action::CheckMounts => (Verb::CheckMounts, None),
            Action::Start(target) => (Verb::Start, Some(target)),
            Action::Restart(target) => (Verb::Restart, Some(target)),
            Action::PostStart(target) => (Verb::PostStart, Some(target)),
            Action::PreStop(target, ..) => (Verb::PreStop, Some(target)),
            Action::Stop(target, _) => (Verb::Stop, Some(target)),
            Action::ReportLastLogs(target) => (Verb::ReportLastLogs, Some(target)),
            Action::ReadCheck(target) => (Verb::ReadCheck, Some(target)),
            Action::Remove(target) => (Verb::Remove, Some(target)),
            Action::Look => (Verb::List, None),
            Action::Terminate(_) => (Verb::Terminate, None),
        };
        Key { verb, target: target.cloned() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Sandbox => f.write_str("the sandbox"),
            Target::Store => f.write_str("the store"),
            Target::Member(name) => write!(f, "`{name}`"),
            Target::Orphan(id) => write!(f, "container {}", short(id)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match &self.verb {
            Verb::Pull(image) => return write!(f, "pull {image}"),
            Verb::Terminate => return f.write_str("end the pod"),
            Verb::List => return f.write_str("list the pod's containers"),
            Verb::Create => "create",
            Verb::CheckMounts => return f.write_str("check the pod's mounts"),
            Verb::Copy => "copy files into",
            Verb::Start => "start",
            Verb::Restart => "start again",
            Verb::PostStart => "run post_start of",
            Verb::PreStop => "prepare the stop of",
            Verb::Stop => "stop",
            Verb::ReportLastLogs => "examine",
            Verb::ReadCheck => "read the health check of",
            Verb::Remove => "remove",
        };
        match &self.target {
            Some(target) => write!(f, "{verb} {target}"),
            None => f.write_str(verb),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Orphaned => "it is no part of this run",
            Reason::PullAsked => "asked for",
            Reason::ImageMissing => "the engine does not have it",
            Reason::HoldsNamespaces => "holds the shared namespaces",
            Reason::HoldsSecrets => "holds secrets, configs and scratch volumes",
            Reason::InitsTurn => "its turn",
            Reason::Wanted => "wanted",
            Reason::HasCopies => "pod.copy",
            Reason::HasMounts => "all containers are created",
            Reason::Ready => "ready",
            Reason::RestartAsked => "it has ended",
            Reason::Started => "started",
            Reason::HookFailed => "a hook failed",
            Reason::StopRequested => "a stop was requested",
            Reason::ComponentEnded => "a component ended",
            Reason::InitFailed => "an init component failed",
            Reason::SandboxEnded => "the sandbox ended",
            Reason::StoreEnded => "the store ended",
            Reason::Impossible => "it cannot run as defined",
            Reason::Ending => "the pod ends",
            Reason::OutOfTime => "out of time",
            Reason::Completed => "the pod ends, it has ended",
            Reason::Failed => "it failed",
            Reason::Unhealthy => "it is unhealthy",
            Reason::RestartRequested => "a restart was requested",
            Reason::StartedOutside => "a component was started again from outside",
            Reason::Takeover => "an earlier manager was at work",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::Terminate(conclusion) => write!(f, "end the pod with status {}", conclusion.status)?,
            action => write!(f, "{}", action.key())?,
        }
        write!(f, " ({})", self.reason)
    }
}

/// The decision that the pod ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// The pod's exit status.
    pub status: u8,
    /// Why, as a sentence for people.
    pub because: String,
    /// The component whose failure it is.
    pub failed_component: Option<String>,
    /// When, counted from the manager's start: the time for stopping runs from here.
    pub at: Duration,
}
