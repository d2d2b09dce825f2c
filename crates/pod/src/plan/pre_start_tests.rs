//! `pre_start`: steps that run to completion, once, before their component starts.

use super::tests::{check, pod_with, seen};
use super::*;
use crate::observed::{Exit, ExitRecord};
use crate::spec::Restart;
use crate::testing::{pod, sandboxed};

/// How the container of this name ended that is gone.
fn exit_records(observed: ObservedState, name: &str, status: i64) -> ObservedState {
    let exit = Exit { status, ..Exit::default() };
    observed.with(|this| {
        _ = this.exit_records.insert(name.into(), ExitRecord { exit, restarts: 0, asked: false })
    })
}

#[test]
fn steps_run_one_after_the_other_once_the_component_is_created() {
    let two = || pod("app+step+step<db:healthy db");
    let state = |text: &str| seen(&format!("db=healthy {text}"));
    check([
        (
            "the component is created first: its steps share its volumes",
            two(),
            seen(""),
            1,
            "starting; create `app` (wanted); create `db` (wanted)",
        ),
        (
            "then its steps, which wait for what the component depends on",
            two(),
            seen("app=created db=starting"),
            1,
            "starting; create `app.pre-1` (wanted); create `app.pre-2` (wanted)",
        ),
        (
            "all are there",
            two(),
            seen("app=created app.pre-1=created app.pre-2=created db=starting"),
            1,
            "starting",
        ),
        (
            "the first step is started",
            two(),
            state("app=created app.pre-1=created app.pre-2=created"),
            1,
            "starting; start `app.pre-1` (ready)",
        ),
        ("it is awaited", two(), state("app=created app.pre-1=running app.pre-2=created"), 1, "starting"),
        (
            "then the second one",
            two(),
            state("app=created app.pre-1=exited(0) app.pre-2=created"),
            1,
            "starting; start `app.pre-2` (ready)",
        ),
        (
            "then the component",
            two(),
            state("app=created app.pre-1=exited(0) app.pre-2=exited(0)"),
            1,
            "starting; start `app` (ready)",
        ),
        (
            "and the pod is healthy",
            two(),
            state("app=running app.pre-1=exited(0) app.pre-2=exited(0)"),
            1,
            "healthy",
        ),
        (
            "a manager that takes over creates what is missing of a run that was broken off",
            two(),
            state("app=created app.pre-1=exited(0)"),
            1,
            "starting; create `app.pre-2` (wanted)",
        ),
    ]);
}

#[test]
fn a_step_starts_once_the_volumes_of_its_component_are_filled() {
    let spec = || pod_with("app+copy+step", "app.pre-1", |step| step.copies.clear());
    let all = |app: &str| seen(&format!("app={app} app.pre-1=created"));
    check([
        (
            "the component is filled first",
            spec(),
            all("created"),
            1,
            "starting; copy files into `app` (pod.copy)",
        ),
        ("no start meanwhile", spec(), all("created").doing(Verb::Copy, "app"), 1, "starting"),
        ("then the step starts", spec(), all("copied"), 1, "starting; start `app.pre-1` (ready)"),
        (
            "a new container of the component is filled too, and the step does not run again",
            spec(),
            seen("app=created app.pre-1=exited(0)"),
            1,
            "starting; copy files into `app` (pod.copy)",
        ),
        (
            "after a takeover nothing is copied over what a step has written since",
            spec(),
            taken_up(5, 7),
            1,
            "starting; start `app` (ready)",
        ),
        (
            "nor while the step writes",
            spec(),
            taken_up(5, 7).with(|this| this.members.get_mut("app.pre-1").expect("it").status = running()),
            1,
            "starting",
        ),
        (
            "a container that was created after the step is filled",
            spec(),
            taken_up(9, 7),
            1,
            "starting; copy files into `app` (pod.copy)",
        ),
    ]);
}

/// A component created and its step started at these times, by an earlier manager.
fn taken_up(created_at: i64, started_at: i64) -> ObservedState {
    seen("app=created app.pre-1=exited(0)").with(|this| {
        this.members.get_mut("app").expect("it").created_at = created_at;
        this.members.get_mut("app.pre-1").expect("it").started_at = started_at;
    })
}

fn running() -> Status {
    Status::Running { health: Health::None }
}

#[test]
fn a_step_that_fails_ends_the_pod_with_its_status() {
    let spec = || pod("app+step+step db web<app");
    let state = |text: &str| seen(&format!("app=created db=running web=created {text}"));
    check([
        (
            "the first",
            spec(),
            state("app.pre-1=exited(3) app.pre-2=created"),
            1,
            "stopping; end with 3: `web` waits for `app`, which waits for `app.pre-2`, which waits for `app.pre-1`; \
             `pre_start` container `app.pre-1` ended with status 3 (a component ended)",
        ),
        (
            "the last",
            spec(),
            state("app.pre-1=exited(0) app.pre-2=exited(255)"),
            1,
            "stopping; end with 255: `web` waits for `app`, which waits for `app.pre-2`; `pre_start` container \
             `app.pre-2` ended with status 255 (a component ended)",
        ),
        (
            "also of a component that is not essential",
            pod("app+extra+step db"),
            seen("app=created app.pre-1=exited(1) db=running"),
            1,
            "stopping; end with 1: `app` waits for `app.pre-1`; `pre_start` container `app.pre-1` ended with status 1 \
             (a component ended)",
        ),
        (
            "one that cannot be what it waits for",
            pod("app+step<db:healthy db"),
            seen("app=created app.pre-1=created db=unhealthy"),
            1,
            "stopping; end with 1: `app` waits for `db` to be healthy, but `db` is unhealthy (it cannot run as defined)",
        ),
    ]);
}

#[test]
fn a_step_that_is_gone_is_not_run_again() {
    let two = || pod("app+step+step");
    let restarting = || pod_with("app+step db", "app", |app| app.restart = Restart::Always);
    check([
        ("the component runs", two(), seen("app=running"), 1, "healthy"),
        ("a later step runs", two(), seen("app=created app.pre-2=running"), 1, "starting"),
        (
            "its success was seen",
            two(),
            exit_records(seen("app=created app.pre-2=created"), "app.pre-1", 0),
            1,
            "starting; start `app.pre-2` (ready)",
        ),
        (
            "but one that was only created is made again",
            two(),
            seen("app=created app.pre-1=exited(0)"),
            1,
            "starting; create `app.pre-2` (wanted)",
        ),
        (
            "a component whose container is removed tells nothing of its steps",
            two(),
            seen("app=removing app.pre-1=created app.pre-2=created"),
            1,
            "starting; start `app.pre-1` (ready)",
        ),
        (
            "the component is started again in place",
            restarting(),
            seen("app=exited(1) db=running"),
            100,
            "starting; start again `app` (it has ended)",
        ),
        (
            "and in a new container, where both were removed",
            restarting(),
            exit_records(seen("app=created db=running"), "app", 1),
            100,
            "starting; start `app` (ready)",
        ),
        (
            "nobody makes them again for that",
            restarting(),
            exit_records(seen("db=running"), "app", 1),
            100,
            "starting; create `app` (wanted)",
        ),
        (
            "a creation that came about late is not started",
            two(),
            seen("app=running app.pre-1=created app.pre-2=exited(0)"),
            1,
            "healthy",
        ),
        (
            "one that others waited for to complete, and that is gone with its steps",
            pod("job+step web<job:done"),
            seen("web=running"),
            1,
            "healthy",
        ),
    ]);
}

#[test]
fn steps_come_after_init_components_and_sidecars_and_a_sidecars_own_come_before_these() {
    let spec = || sandboxed("init-1 | app+step vpn+sidecar+step");
    let state = |text: &str| seen(&format!("sandbox=running {text}"));
    check([
        (
            "the sidecar's steps are first",
            spec(),
            state("vpn=created vpn.pre-1=created init-1=created"),
            1,
            "starting; start `vpn.pre-1` (ready)",
        ),
        (
            "then the sidecar",
            spec(),
            state("vpn=created vpn.pre-1=exited(0) init-1=created"),
            1,
            "starting; start `vpn` (ready)",
        ),
        (
            "then the init component",
            spec(),
            state("vpn=running vpn.pre-1=exited(0) init-1=created"),
            1,
            "starting; start `init-1` (ready)",
        ),
        (
            "then the component",
            spec(),
            state("vpn=running vpn.pre-1=exited(0) init-1=exited(0)"),
            1,
            "starting; create `app` (wanted)",
        ),
        (
            "a step that runs tells that init components are done",
            spec(),
            state("vpn=running app.pre-1=running"),
            1,
            "starting; create `app` (wanted)",
        ),
    ]);
}

#[test]
fn all_containers_are_there_before_the_first_start_where_mounts_are_compared() {
    let spec = || PodSpec { checks_mounts: true, ..pod("app+step") };
    check([
        ("the component", spec(), seen(""), 1, "starting; create `app` (wanted)"),
        ("its step", spec(), seen("app=created"), 1, "starting; create `app.pre-1` (wanted)"),
        (
            "then the comparison",
            spec(),
            seen("app=created app.pre-1=created"),
            1,
            "starting; check the pod's mounts (all containers are created)",
        ),
    ]);
}

#[test]
fn a_stop_ends_the_step_before_what_it_depends_on_and_removes_those_that_are_done() {
    let ending = |observed: ObservedState| {
        let because = "it is so".into();
        let end = Termination { status: 0, because, failed_component: None, at: Duration::from_secs(1) };
        observed.with(|this| this.concluded = Some(end))
    };
    check([
        (
            "the step that runs",
            pod("app+step+step<db db"),
            ending(seen("app=created app.pre-1=exited(0) app.pre-2=running db=running")),
            1,
            "stopping; remove `app` (the pod ends); remove `app.pre-1` (the pod ends, it has ended); stop `app.pre-2` in \
             8s (the pod ends); wake at 9s",
        ),
        (
            "then what it depends on",
            pod("app+step<db db"),
            ending(seen("app=created app.pre-1=exited(143) db=running")),
            1,
            "stopping; remove `app` (the pod ends); remove `app.pre-1` (the pod ends, it has ended); stop `db` in 8s \
             (the pod ends); wake at 9s",
        ),
    ]);
}

#[test]
fn the_image_of_a_step_is_pulled_early() {
    let spec = || PodSpec { pull_always: true, ..pod("app+step") };
    check([(
        "beside the component's",
        spec(),
        seen(""),
        1,
        "starting; pull `app` (asked for); pull `app.pre-1` (asked for)",
    )]);
}
