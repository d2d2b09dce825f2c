//! Restarts, components that are not essential, sidecars, and the delay before a stop.

use super::tests::{check, key, pod_with, secs, seen};
use super::*;
use crate::observed::{Exit, ExitRecord};
use crate::spec::Restart;
use crate::testing::{pod, sandboxed};

fn restarting(text: &str, restart: Restart) -> PodSpec {
    pod_with(text, "app", |app| app.restart = restart)
}

/// `app` has ended with this status, seen at 100 s, having been started again so often before.
fn ended(status: i64, restarts: u32) -> ObservedState {
    let mut observed = seen("app=created db=running");
    let app = observed.members.get_mut("app").expect("it is there");
    app.status = Status::Exited(Exit { status, oom: false, at_nanos: 2 });
    (app.started_at, app.ended_at, app.restarts, app.consecutive_restarts) =
        (1, secs(100), restarts, restarts);
    observed
}

#[test]
fn a_component_is_started_again_as_its_policy_says_with_longer_pauses() {
    let again = "starting; start again `app` (it has ended)";
    let on_failure = |most| restarting("app db", Restart::OnFailure(most));
    let ends = |status| match status {
        0 => "stopping; end with 0: component `app` ended with status 0 (a component ended)",
        _ => "stopping; end with 3: component `app` ended with status 3 (a component ended)",
    };
    let always = || restarting("app db", Restart::Always);
    check([
        ("`no` ends the pod", restarting("app db", Restart::Never), ended(3, 0), 100, ends(3)),
        ("`always` waits a moment", always(), ended(3, 0), 100, "starting; wake at 100.1s"),
        ("and starts it again", always(), ended(3, 0), 101, again),
        ("also after a success", always(), ended(0, 0), 101, again),
        ("each time it waits twice as long", always(), ended(3, 5), 100, "starting; wake at 103.2s"),
        ("up to a minute", always(), ended(3, 50), 100, "starting; wake at 160s"),
        ("`on-failure` starts it again", on_failure(None), ended(3, 90), 160, again),
        ("but not after a success", on_failure(None), ended(0, 0), 101, ends(0)),
        ("as often as it may", on_failure(Some(2)), ended(3, 1), 101, again),
        ("then the pod ends with its status", on_failure(Some(2)), ended(3, 2), 101, ends(3)),
        (
            "not where it is under way already",
            always(),
            ended(3, 0).with(|this| _ = this.in_flight.insert(key(Verb::Restart, "app"))),
            101,
            "starting",
        ),
        (
            "not in a pod that ends",
            always(),
            ended(3, 0).with(|this| {
                let because = "it is so".into();
                this.concluded =
                    Some(Termination { status: 0, because, failed_component: None, at: secs(100) });
            }),
            101,
            "stopping; remove `app` (the pod ends, it has ended); stop `db` in 7s (the pod ends); wake at 108s",
        ),
    ]);
}

#[test]
fn one_that_ran_for_long_is_started_again_at_once() {
    let mut observed = ended(3, 8);
    let app = observed.members.get_mut("app").expect("it is there");
    app.status = Status::Exited(Exit { status: 3, oom: false, at_nanos: 10_000_000_001 });
    let spec = restarting("app db", Restart::Always);
    check([("ten seconds are long", spec, observed, 100, "starting; wake at 100.1s")]);
}

#[test]
fn an_init_component_may_try_again() {
    let spec = || {
        let mut spec = pod("init-1 | app");
        spec.init[0].restart = Restart::OnFailure(Some(1));
        spec
    };
    let init = |status, restarts| {
        let mut observed = seen("init-1=created");
        let init = observed.members.get_mut("init-1").expect("it is there");
        init.status = Status::Exited(Exit { status, oom: false, at_nanos: 2 });
        init.restarts = restarts;
        observed
    };
    check([
        ("it does", spec(), init(1, 0), 1, "starting; start again `init-1` (it has ended)"),
        (
            "once",
            spec(),
            init(1, 1),
            1,
            "stopping; end with 1: init component `init-1` ended with status 1 (an init component failed)",
        ),
        ("and is done when it succeeds", spec(), init(0, 1), 1, "starting; create `app` (wanted)"),
    ]);
}

#[test]
fn the_end_of_one_that_is_not_essential_does_not_end_the_pod() {
    check([
        (
            "whatever its status",
            pod("app log+extra"),
            seen("app=running log=exited(3)"),
            1,
            "healthy; examine `log` (it failed)",
        ),
        ("nor counts its health", pod("app log+extra"), seen("app=running log=unhealthy"), 1, "healthy"),
        (
            "but it is started",
            pod("app log+extra"),
            seen("app=running log=created"),
            1,
            "starting; start `log` (ready)",
        ),
        (
            "who waits for its start may go on",
            pod("app<log log+extra"),
            seen("app=created log=exited(3)").with(|this| {
                this.members.get_mut("log").expect("it is there").examined = true;
            }),
            1,
            "starting; start `app` (ready)",
        ),
        (
            "who needs its success does not",
            pod("app<log:done log+extra"),
            seen("app=created log=exited(3)"),
            1,
            "stopping; end with 3: `app` waits for `log`; component `log` ended with status 3 (a component ended)",
        ),
        (
            "nor who needs its health",
            pod("app<log:healthy log+extra"),
            seen("app=created log=exited(3)"),
            1,
            "stopping; end with 1: `app` waits for `log` to be healthy, but `log` has ended (it cannot run as defined)",
        ),
        (
            "it may be removed",
            pod("app log+extra"),
            seen("app=running").with(|this| {
                this.removed_externally.insert(Target::Member("log".into()));
                this.exit_records.insert(
                    "log".into(),
                    ExitRecord { exit: Exit { status: 137, ..Exit::default() }, restarts: 0, asked: false },
                );
            }),
            1,
            "healthy",
        ),
    ]);
}

#[test]
fn a_sidecar_comes_before_all_others_and_goes_after_them() {
    let spec = || pod("init-1 | app vpn+sidecar");
    let ending = |text: &str| {
        seen(text).with(|this| {
            let because = "it is so".into();
            this.concluded = Some(Termination { status: 0, because, failed_component: None, at: secs(100) });
        })
    };
    check([
        (
            "both are created",
            spec(),
            seen(""),
            1,
            "starting; create `vpn` (wanted); create `init-1` (its turn)",
        ),
        ("it starts first", spec(), seen("vpn=created init-1=created"), 1, "starting; start `vpn` (ready)"),
        ("and is to be healthy", spec(), seen("vpn=starting init-1=created"), 1, "starting"),
        (
            "then the init components",
            spec(),
            seen("vpn=healthy init-1=created"),
            1,
            "starting; start `init-1` (ready)",
        ),
        (
            "its container is no sign that they are done",
            spec(),
            seen("vpn=running"),
            1,
            "starting; create `init-1` (its turn)",
        ),
        (
            "then the components",
            spec(),
            seen("vpn=running init-1=exited(0) app=created"),
            1,
            "starting; start `app` (ready)",
        ),
        (
            "one that is ill ends a pod that waits for it",
            spec(),
            seen("vpn=unhealthy init-1=created"),
            1,
            "stopping; end with 1: `init-1` waits for `vpn` to be healthy, but `vpn` is unhealthy (it cannot run as \
          defined)",
        ),
        (
            "unless it is not essential",
            pod("app vpn+sidecar+extra"),
            seen("vpn=unhealthy app=created"),
            1,
            "starting; start `app` (ready)",
        ),
        (
            "or has ended",
            pod("app vpn+sidecar+extra"),
            seen("vpn=exited(1) app=created"),
            1,
            "starting; examine `vpn` (it failed); start `app` (ready)",
        ),
        (
            "it is stopped after them",
            spec(),
            ending("vpn=running app=running"),
            100,
            "stopping; stop `app` in 8s (the pod ends); wake at 108s",
        ),
        (
            "also after an init component",
            spec(),
            ending("vpn=running init-1=running"),
            100,
            "stopping; stop `init-1` in 8s (the pod ends); wake at 108s",
        ),
        (
            "when they are gone",
            spec(),
            ending("vpn=running app=exited(0)"),
            101,
            "stopping; remove `app` (the pod ends, it has ended); stop `vpn` in 7s (the pod ends); wake at 108s",
        ),
    ]);
}

#[test]
fn a_sandbox_is_not_left_for_a_restart() {
    let spec = pod_with("app", "app", |_| {});
    let sandboxed = PodSpec { namespaces: sandboxed("app").namespaces, ..spec };
    let mut observed = seen("sandbox=exited(0)@1 app=exited(137)@2");
    observed.members.get_mut("app").expect("it is there").ended_at = secs(0);
    let sandboxed = PodSpec {
        components: sandboxed
            .components
            .iter()
            .map(|one| ComponentSpec { restart: Restart::Always, ..one.clone() })
            .collect(),
        ..sandboxed
    };
    check([(
        "its end is the pod's",
        sandboxed,
        observed,
        9,
        "stopping; end with 1: the sandbox ended with status 0 (the sandbox ended)",
    )]);
}

#[test]
fn who_is_to_be_started_again_is_so_though_its_container_was_pruned() {
    use crate::observed::{Exit, ExitRecord};
    let spec = |restart: Restart| {
        pod_with("app db", "app", move |app| (app.restart, app.essential) = (restart, false))
    };
    let pruned = |restarts: u32| {
        seen("db=running").with(|this| {
            let exit = Exit { status: 3, ..Exit::default() };
            this.exit_records.insert("app".into(), ExitRecord { exit, restarts, asked: false });
        })
    };
    check([
        ("it is made anew", spec(Restart::Always), pruned(0), 0, "starting; create `app` (wanted)"),
        (
            "within its budget",
            spec(Restart::OnFailure(Some(2))),
            pruned(1),
            0,
            "starting; create `app` (wanted)",
        ),
        ("which is spent", spec(Restart::OnFailure(Some(2))), pruned(2), 0, "healthy"),
        ("one that is not started again is done", spec(Restart::Never), pruned(0), 0, "healthy"),
    ]);
}

#[test]
fn what_a_manager_before_this_one_may_have_started_again_is_not_killed_before_that_is_known() {
    let spec = || pod_with("app", "app", |app| app.restart = Restart::Always);
    let ending = |looked_at: u64| {
        seen("app=exited(3)").with(|this| {
            let because = "it is so".into();
            this.concluded = Some(Termination { status: 0, because, failed_component: None, at: secs(100) });
            this.took_over_at = Some(secs(99));
            this.looked_at = secs(looked_at);
        })
    };
    check([
        ("it may come about", spec(), ending(99), 100, "stopping; wake at 101s"),
        (
            "one more look tells",
            spec(),
            ending(99),
            101,
            "stopping; list the pod's containers (an earlier manager was at work); wake at 108s",
        ),
        (
            "and then it is known to rest",
            spec(),
            ending(101),
            102,
            "stopping; remove `app` (the pod ends, it has ended); wake at 108s",
        ),
        (
            "there is no time for that at the end",
            spec(),
            ending(99),
            108,
            "stopping; list the pod's containers (an earlier manager was at work); remove `app` (out of time); wake at 110.7s",
        ),
    ]);
}

#[test]
fn a_component_serves_on_for_its_shutdown_delay() {
    let spec = || pod_with("app", "app", |app| app.shutdown_delay = secs(3));
    let ending = |change: fn(&mut ContainerState)| {
        seen("app=running").with(|this| {
            let because = "it is so".into();
            this.concluded = Some(Termination { status: 0, because, failed_component: None, at: secs(100) });
            change(this.members.get_mut("app").expect("it is there"));
        })
    };
    check([
        (
            "first",
            spec(),
            ending(|_| {}),
            100,
            "stopping; prepare the stop of `app` in 3s and 3s (the pod ends); wake at 108s",
        ),
        (
            "a delay that the pod has no time for leaves half of that",
            pod_with("app", "app", |app| app.shutdown_delay = secs(60)),
            ending(|_| {}),
            100,
            "stopping; prepare the stop of `app` in 4s and 2s (the pod ends); wake at 108s",
        ),
        (
            "its own short time is not the delay's",
            pod_with("app", "app", |app| (app.shutdown_delay, app.stop_grace) = (secs(4), Some(secs(2)))),
            ending(|_| {}),
            100,
            "stopping; prepare the stop of `app` in 4s and 1s (the pod ends); wake at 108s",
        ),
        (
            "then it is stopped",
            spec(),
            ending(|app| {
                app.pre_stopped = true;
                app.stopping_since = Some(secs(100));
            }),
            103,
            "stopping; stop `app` in 5s (the pod ends); wake at 108s",
        ),
    ]);
}

#[test]
fn what_the_component_at_fault_wrote_last_is_told_before_it_is_removed() {
    let ending = |text: &str, examined: bool| {
        seen(text).with(|this| {
            let (because, failed_component) = ("it is so".into(), Some("app".into()));
            this.concluded = Some(Termination { status: 3, because, failed_component, at: secs(100) });
            this.members.get_mut("app").expect("it is there").examined = examined;
        })
    };
    let two = || pod("app db");
    check([
        (
            "once",
            two(),
            ending("app=exited(3) db=exited(143)", false),
            100,
            "stopping; examine `app` (it failed); remove `db` (the pod ends, it has ended); wake at 108s",
        ),
        (
            "and then it goes",
            two(),
            ending("app=exited(3)", true),
            100,
            "stopping; remove `app` (the pod ends, it has ended); wake at 108s",
        ),
    ]);
}
