//! Which ends of components are as they should be. What is asked for each component is looked up here, so that a plan of
//! many takes no longer for each.

use std::collections::{HashMap, HashSet};

use super::observed::{Departed, Exit, Member, Observed, Status};
use super::plan::restarts;
use super::spec::{ComponentSpec, Condition, PodSpec};

/// The members of a pod by name, and how they may end.
#[derive(Debug)]
pub struct Ends<'a> {
    observed: &'a Observed,
    members: HashMap<&'a str, (&'a ComponentSpec, Option<&'a Member>)>,
    /// Those for whose end somebody waits, and whether it has to be a success.
    awaited: HashMap<&'a str, bool>,
    /// Those for whose end somebody waited who has been started since: what `docker container prune` removes must not
    /// run again.
    outlived: HashSet<&'a str>,
}

impl<'a> Ends<'a> {
    /// Look everything up.
    pub fn of(spec: &'a PodSpec, observed: &'a Observed) -> Self {
        let seen = |one: &'a ComponentSpec| (one.name.as_str(), (one, observed.members.get(&one.name)));
        let mut ends = Ends {
            observed,
            members: spec.members().map(seen).collect(),
            awaited: HashMap::new(),
            outlived: HashSet::new(),
        };
        for component in &spec.components {
            for dependency in &component.depends_on {
                if dependency.condition == Condition::Completed {
                    *ends.awaited.entry(&dependency.on).or_default() |= dependency.required;
                    if ends.started(&component.name) {
                        ends.outlived.insert(&dependency.on);
                    }
                }
            }
        }
        ends
    }

    /// What is wanted of the member of this name.
    pub fn spec(&self, name: &str) -> Option<&'a ComponentSpec> {
        self.members.get(name).map(|(spec, _)| *spec)
    }

    /// The container of the member of this name, where it is there.
    pub fn seen(&self, name: &str) -> Option<&'a Member> {
        self.members.get(name).and_then(|(_, member)| *member)
    }

    /// The member of this name has been started; it may have ended since.
    pub fn started(&self, name: &str) -> bool {
        self.seen(name).is_some_and(|member| member.status != Status::Created)
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
            let again = || self.spec(name).is_some_and(|component| restarts(component, self.observed));
            return member.exit().is_some_and(|exit| may_end(&exit) && !again());
        }
        let for_good = |departed: &Departed| {
            let again = |one: &ComponentSpec| one.restarts_after(departed.exit.status, departed.restarts);
            may_end(&departed.exit) && !self.spec(name).is_some_and(again)
        };
        self.observed.departed.get(name).is_some_and(for_good) || self.outlived.contains(name)
    }
}
