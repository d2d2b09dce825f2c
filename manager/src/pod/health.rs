//! Component states to pod health.

use super::observed::{Health, Observed, Status};
use super::plan::{completed, next_init};
use super::spec::PodSpec;

/// The pod's health, as `pause health` tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PodHealth {
    /// Not everything is up yet, or no longer.
    #[default]
    Starting,
    /// All init components are done, all components run and their `post_start` hooks have, each that has a health
    /// check is healthy.
    Healthy,
    /// A component's health check says unhealthy.
    Unhealthy,
    /// The pod ends.
    Stopping,
}

/// The health of a pod that is meant to run.
pub fn pod_health(spec: &PodSpec, observed: &Observed) -> PodHealth {
    let status = |name: &str| observed.members.get(name).map(|member| member.status);
    let mut health = PodHealth::Healthy;
    if next_init(spec, observed).is_some() {
        health = PodHealth::Starting;
    }
    for component in &spec.components {
        match status(&component.name) {
            Some(Status::Running { health: Health::Unhealthy }) => return PodHealth::Unhealthy,
            Some(Status::Running { health: Health::None | Health::Healthy }) if observed.up(component) => {}
            _ if completed(spec, observed, &component.name) => {}
            _ => health = PodHealth::Starting,
        }
    }
    health
}
