//! Component states to pod health.

use std::time::Duration;

use super::completion::Ends;
use super::completion::next_init;
use super::observed::{ContainerState, Health, ObservedState, Status};
use super::restart::{restart_pause, restarts};
use super::spec::PodSpec;

/// The pod's health, as `pause health` tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PodHealth {
    /// Not everything is up yet, or no longer.
    #[default]
    Starting,
    /// All init components are done, all components run and their `post_start` hooks have, each that has a health
    /// check is healthy. Of those that are not essential it is enough that they were started.
    Healthy,
    /// An essential component's health check says unhealthy.
    Unhealthy,
    /// The pod ends.
    Stopping,
}

/// What ends again and again is noticed by who asks for the pod's health (three times, 2 s apart, where the image's own
/// check holds) once the pause before its next start is so long.
const UNHEALTHY_BACKOFF_THRESHOLD: Duration = Duration::from_secs(4);

/// It is not healthy, and not because it is only being started: a health check says so, or an essential component ends
/// again and again, or was started again and is not up yet.
pub fn is_failing(spec: &PodSpec, observed: &ObservedState, ends: &Ends<'_>) -> bool {
    pod_health(spec, observed, ends) == PodHealth::Unhealthy
        || spec.components.iter().filter(|one| one.essential).any(|one| {
            let fails = |member: &ContainerState| match member.status {
                Status::Exited(_) => {
                    restarts(one, observed) && restart_pause(member) >= UNHEALTHY_BACKOFF_THRESHOLD
                }
                Status::Running { health: Health::Starting } => member.restarts > 0,
                _ => false,
            };
            ends.seen(&one.name).is_some_and(fails)
        })
}

/// The health of a pod that is meant to run.
pub fn pod_health(spec: &PodSpec, observed: &ObservedState, ends: &Ends<'_>) -> PodHealth {
    let status = |name: &str| ends.seen(name).map(|member| member.status);
    let mut health = PodHealth::Healthy;
    if next_init(spec, observed).is_some() {
        health = PodHealth::Starting;
    }
    for component in &spec.components {
        match status(&component.name) {
            Some(status) if !component.essential && status != Status::Created => {}
            Some(Status::Running { health: Health::Unhealthy }) => return PodHealth::Unhealthy,
            _ if observed.is_to_restart(&component.name) => health = PodHealth::Starting,
            Some(Status::Running { health: Health::None | Health::Healthy }) if observed.up(component) => {}
            _ if ends.completed(&component.name) => {}
            _ => health = PodHealth::Starting,
        }
    }
    health
}
