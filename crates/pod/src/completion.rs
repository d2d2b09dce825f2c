//! Which ends of components are as they should be. What is asked for each component is looked up here, so that a plan of
//! many takes no longer for each.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::observed::{ContainerState, Exit, ExitRecord, ObservedState, Status};
use super::restart::{again_after, restarts};
use super::spec::{ComponentSpec, Condition, PodSpec};

/// The members of a pod by name, and how they may end.
#[derive(Debug)]
pub struct Ends<'a> {
    observed: &'a ObservedState,
    now: Duration,
    members: HashMap<&'a str, (&'a ComponentSpec, Option<&'a ContainerState>)>,
    /// Those for whose end somebody waits, and whether it has to be a success.
    awaited: HashMap<&'a str, bool>,
    /// Those for whose end somebody waited who has been started since: what `docker container prune` removes must not
    /// run again.
    outlived: HashSet<&'a str>,
}

impl<'a> Ends<'a> {
    /// Look everything up.
    pub fn of(spec: &'a PodSpec, observed: &'a ObservedState, now: Duration) -> Self {
        let seen = |one: &'a ComponentSpec| (one.name.as_str(), (one, observed.members.get(&one.name)));
        let mut ends = Ends {
            observed,
            now,
            members: spec.members().map(seen).collect(),
            awaited: HashMap::new(),
            outlived: HashSet::new(),
        };
        for component in &spec.components {
            for dependency in &component.depends_on {
                if dependency.condition == Condition::Completed {
                    *ends.awaited.entry(&dependency.on).or_default() |= dependency.required;
                    if ends.ran(&component.name) {
                        ends.outlived.insert(&dependency.on);
                    }
                }
            }
        }
        // They are steps towards the component's first start, of which its end, or that of somebody who waited for it,
        // tells as well as the container itself.
        for step in &spec.components {
            let Some(component) = step.pre_start_of.as_deref() else { continue };
            let gone = || observed.exit_records.contains_key(component) || ends.outlived.contains(component);
            if ends.ran(component) || gone() {
                ends.outlived.insert(&step.name);
            }
        }
        ends
    }

    /// What is wanted of the member of this name.
    pub fn spec(&self, name: &str) -> Option<&'a ComponentSpec> {
        self.members.get(name).map(|(spec, _)| *spec)
    }

    /// The container of the member of this name, where it is there.
    pub fn seen(&self, name: &str) -> Option<&'a ContainerState> {
        self.members.get(name).and_then(|(_, member)| *member)
    }

    /// The member of this name has been started; it may have ended since.
    pub fn started(&self, name: &str) -> bool {
        self.seen(name).is_some_and(|member| member.status != Status::Created)
    }

    /// The container of this name runs, or has run. One that is being removed may never have.
    fn ran(&self, name: &str) -> bool {
        let status = self.seen(name).map(|member| member.status);
        matches!(status, Some(Status::Running { .. } | Status::Exited(_)))
    }

    /// The end of the member of this name does not count yet ([`ObservedState::is_undecided`]).
    pub fn is_undecided(&self, name: &str) -> bool {
        self.observed.is_undecided(name, self.now)
    }

    /// A component may end with this status and the pod goes on: others wait for its end, or it is not essential; and it
    /// is a success, or none of them requires it to be one.
    pub fn may_end(&self, name: &str, status: i64) -> bool {
        let essential = self.spec(name).is_none_or(|component| component.essential);
        let awaited = self.awaited.get(name);
        (awaited.is_some() || !essential) && (status == 0 || awaited != Some(&true))
    }

    /// The component has ended, as others wait for it to.
    ///
    /// One that is not there has ended where that was seen, or where somebody who waited for it has been started since.
    pub fn completed(&self, name: &str) -> bool {
        let may_end = |exit: &Exit| self.may_end(name, exit.status);
        if let Some(member) = self.seen(name) {
            // Created when it was no longer wanted: a creation may come about late.
            if member.status == Status::Created && self.outlived.contains(name) {
                return true;
            }
            let again = || self.spec(name).is_some_and(|component| restarts(component, self.observed));
            return member.exit().is_some_and(|exit| may_end(&exit) && !again()) && !self.is_undecided(name);
        }
        let for_good = |exit_records: &ExitRecord| {
            let again = |one: &ComponentSpec| again_after(one, exit_records);
            may_end(&exit_records.exit) && !self.spec(name).is_some_and(again)
        };
        self.observed.exit_records.get(name).is_some_and(for_good) || self.outlived.contains(name)
    }
}

/// The init component whose turn it is, `None` when all are done.
///
/// An init component without a container is done if a later member has a container. Each container is created
/// only after the end of the previous init component. `docker container prune` removes exited init
/// components, and the pod must not begin again.
///
/// If all containers are created first, the start of a later member or the success of the init component must
/// have been seen.
pub fn next_init<'a>(spec: &'a PodSpec, observed: &ObservedState) -> Option<&'a ComponentSpec> {
    let members = &observed.members;
    let seen = |one: &ComponentSpec| {
        let member = members.get(&one.name);
        member.is_some_and(|member| !spec.checks_mounts || member.status != Status::Created)
    };
    spec.init.iter().enumerate().find_map(|(place, init)| {
        let done = match members.get(&init.name) {
            Some(member) => member.exit().is_some_and(|exit| exit.status == 0),
            None => {
                observed.departed_well(&init.name)
                    || spec.init[place + 1..].iter().chain(spec.regular_components()).any(seen)
            }
        };
        (!done).then_some(init)
    })
}
