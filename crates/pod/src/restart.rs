//! Which components are started again after their end, and when.

use std::time::Duration;

use super::observed::{ContainerState, ExitRecord, ObservedState};
use super::spec::{ComponentSpec, Restart};

/// Bounds of the wait before a component is started again, which doubles each time: Docker's own.
const RESTART_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// The component has ended and is to be started again.
pub fn restarts(component: &ComponentSpec, observed: &ObservedState) -> bool {
    observed.members.get(&component.name).is_some_and(|member| {
        let (restarts, asked) = (member.restarts, member.in_place.asked);
        member.exit().is_some_and(|exit| again_after(component, &ExitRecord { exit, restarts, asked }))
    })
}

/// The component is started again after this end.
pub fn again_after(component: &ComponentSpec, end: &ExitRecord) -> bool {
    component.restarts_after(end.exit.status, end.restarts)
        && !(end.asked && component.restart == Restart::UnlessStopped)
}

/// How long to wait after its end until it is started again.
pub fn restart_pause(member: &ContainerState) -> Duration {
    let doublings = if member.ran_long() { 0 } else { member.consecutive_restarts.min(10) };
    (RESTART_PAUSE.0 * (1 << doublings)).min(RESTART_PAUSE.1)
}
