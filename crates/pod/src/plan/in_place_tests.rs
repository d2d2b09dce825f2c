//! Components that others stop and start, restarts that somebody asks the manager for, and why one is unhealthy.

use super::tests::{check, key, pod_with, secs, seen};
use super::*;
use crate::failed_check::FailedCheck;
use crate::observed::ExitRecord;
use crate::observed::{StopRequest, restarted_with};
use crate::spec::Restart;
use crate::testing::pod;

fn restarting(restart: Restart) -> PodSpec {
    pod_with("app db", "app", |app| app.restart = restart)
}

/// `app` has ended with this status at 100 s, as somebody asked for.
fn stopped(status: i64) -> ObservedState {
    let mut observed = seen("app=created db=running");
    let app = observed.members.get_mut("app").expect("it is there");
    let exit = Exit { status, oom: false, at_nanos: 3 };
    (app.status, app.started_at, app.ended_at) = (Status::Exited(exit), 1, secs(100));
    app.in_place.signalled(15, 2);
    app.in_place.died(exit, secs(10), secs(100));
    observed
}

fn removed(status: i64) -> ObservedState {
    let mut observed = stopped(status);
    let app = observed.members.remove("app").expect("it is there");
    let exit = app.exit().expect("it has ended");
    observed.exit_records.insert("app".into(), ExitRecord { exit, restarts: 0, asked: true });
    observed
}

fn asked_to_stop(observed: ObservedState) -> ObservedState {
    observed.with(|this| this.stop = Some(StopRequest { at: secs(101), status: 0, resumed: false }))
}

#[test]
fn an_end_that_somebody_asked_for_counts_after_two_seconds_and_then_restart_decides() {
    let open = "starting; wake at 102s";
    let ends = "stopping; end with 143: component `app` ended with status 143 (SIGTERM) (a component ended)";
    let well = "stopping; end with 0: component `app` ended with status 0 (a component ended)";
    let again = "starting; start again `app` (it has ended)";
    let optional = || pod_with("app db", "app", |app| app.essential = false);
    let unless_stopped = || restarting(Restart::UnlessStopped);
    check([
        ("a start may follow", restarting(Restart::Never), stopped(143), 101, open),
        ("`no`: none has", restarting(Restart::Never), stopped(143), 102, ends),
        ("`unless-stopped` waits too", unless_stopped(), stopped(143), 101, open),
        ("and it is stopped", unless_stopped(), stopped(143), 102, ends),
        ("`always` waits", restarting(Restart::Always), stopped(0), 101, open),
        ("and heals", restarting(Restart::Always), stopped(0), 102, again),
        ("`on-failure` goes by the status", restarting(Restart::OnFailure(None)), stopped(143), 102, again),
        ("which may be good", restarting(Restart::OnFailure(None)), stopped(0), 102, well),
        ("one that is optional makes nobody wait", optional(), stopped(143), 101, "healthy; wake at 102s"),
        ("nor ends the pod", optional(), stopped(143), 102, "healthy; examine `app` (it failed)"),
        (
            "one whose completion others wait for has not completed yet",
            pod("app db<app:done"),
            stopped(0).with(|this| this.members.get_mut("db").expect("it is there").status = Status::Created),
            101,
            open,
        ),
        (
            "and then it has",
            pod("app db<app:done"),
            stopped(0).with(|this| this.members.get_mut("db").expect("it is there").status = Status::Created),
            102,
            "starting; start `db` (ready)",
        ),
    ]);
}

#[test]
fn what_cuts_the_wait_short() {
    let ends = "stopping; end with 143: component `app` ended with status 143 (SIGTERM) (a component ended)";
    check([
        ("TERM", restarting(Restart::Never), asked_to_stop(stopped(143)), 101, ends),
        (
            "which is the cause where it would be started again",
            restarting(Restart::Always),
            asked_to_stop(stopped(143)),
            101,
            "stopping; end with 0: a stop was requested (a stop was requested)",
        ),
        ("the removal of its container", restarting(Restart::Never), removed(143), 101, ends),
        ("of one that is stopped for good", restarting(Restart::UnlessStopped), removed(143), 101, ends),
        (
            "of one that comes back it is made anew",
            restarting(Restart::Always),
            removed(143),
            101,
            "starting; create `app` (wanted)",
        ),
        (
            "the end of another one",
            restarting(Restart::Never),
            stopped(143).with(|this| {
                let exit = Exit { status: 3, oom: false, at_nanos: 9 };
                this.members.get_mut("db").expect("it is there").status = Status::Exited(exit);
            }),
            101,
            "stopping; end with 3: component `db` ended with status 3 (a component ended)",
        ),
        (
            "the end of the pod",
            restarting(Restart::Never),
            stopped(143).with(|this| {
                let because = "it is so".into();
                this.concluded =
                    Some(Termination { status: 3, because, failed_component: None, at: secs(100) });
            }),
            101,
            "stopping; remove `app` (the pod ends, it has ended); stop `db` in 7s (the pod ends); wake at 108s",
        ),
    ]);
}

#[test]
fn a_start_that_was_heard_is_waited_for_until_a_listing_tells_of_it() {
    let heard = stopped(143).with(|this| {
        let app = this.members.get_mut("app").expect("it is there");
        app.in_place.start_heard(4, secs(101));
    });
    check([("however long", restarting(Restart::Never), heard, 150, "starting")]);
}

#[test]
fn the_mounts_are_judged_again_when_somebody_else_has_started_a_component() {
    let spec = || PodSpec { checks_mounts: true, ..pod("app db") };
    let begun = || {
        seen("app=running db=running").with(|this| {
            this.mounts_checked = Some(["id-app".to_owned(), "id-db".to_owned()].into());
            this.unjudged.insert("id-app".into());
        })
    };
    let mounts = Key { verb: Verb::CheckMounts, target: None };
    check([
        (
            "at once",
            spec(),
            begun(),
            1,
            "healthy; check the pod's mounts (a component was started again from outside)",
        ),
        (
            "and where they hold no more the pod ends with the reason",
            spec(),
            begun().with(|this| {
                let failure = Failure::Forbidden("a pod has it".into());
                let setback = FailureRecord { failure, attempts: 1, since: secs(1), last: secs(1) };
                this.failures.insert(mounts.clone(), setback);
            }),
            1,
            "stopping; end with 64: cannot check the pod's mounts: a pod has it (it cannot run as defined)",
        ),
    ]);
}

/// A restart of `app` was asked for.
fn asked(spec: &PodSpec, text: &str) -> ObservedState {
    seen(text)
        .with(|this| this.apply(spec, crate::observed::StateUpdate::RestartAsked("app".into()), secs(1)))
}

#[test]
fn a_restart_that_is_asked_for_runs_hooks_and_takes_along_who_says_so() {
    // `web` asks for it, and `log` of `web`; `db` and `ui` do not.
    let spec = || pod("app+pre<db db web<app! log<web! ui<app");
    let all = "app=running db=running web=running log=running ui=running";
    assert_eq!(restarted_with(&spec(), "app").into_iter().collect::<Vec<_>>(), ["app", "log", "web"]);
    assert_eq!(restarted_with(&spec(), "ui").into_iter().collect::<Vec<_>>(), ["ui"]);
    let again = |observed: ObservedState, names: &[&str]| {
        observed.with(|this| {
            for name in names {
                let member = this.members.get_mut(*name).expect("it is there");
                (member.status, member.started_at) = (Status::Running { health: Health::None }, 9);
            }
        })
    };
    let done = |observed: ObservedState| {
        observed.with(|this| {
            let app = this.members.get_mut("app").expect("it is there");
            (app.pre_stopped, app.stopping_since) = (true, Some(secs(1)));
        })
    };
    check([
        (
            "the last one stops first",
            spec(),
            asked(&spec(), all),
            1,
            "starting; stop `log` in 10s (a restart was requested)",
        ),
        (
            "one after the other",
            spec(),
            asked(&spec(), "app=running db=running web=running log=exited(143) ui=running"),
            2,
            "starting; stop `web` in 10s (a restart was requested)",
        ),
        (
            "then hooks run",
            spec(),
            asked(&spec(), "app=running db=running web=exited(0) log=exited(143) ui=running"),
            3,
            "starting; prepare the stop of `app` in 8s (a restart was requested)",
        ),
        (
            "and the rest of its time is for the stop",
            spec(),
            done(asked(&spec(), "app=running db=running web=exited(0) log=exited(143) ui=running")),
            4,
            "starting; stop `app` in 7s (a restart was requested)",
        ),
        (
            "it starts first, without a pause, whatever its `restart` says",
            spec(),
            asked(&spec(), "app=exited(3) db=running web=exited(0) log=exited(143) ui=running"),
            5,
            "starting; start again `app` (a restart was requested)",
        ),
        (
            "then those who depend on it",
            spec(),
            again(
                asked(&spec(), "app=exited(3) db=running web=exited(0) log=exited(143) ui=running"),
                &["app"],
            ),
            6,
            "starting; start again `web` (a restart was requested)",
        ),
        ("and all is done", spec(), again(asked(&spec(), all), &["app", "web", "log"]), 7, "healthy"),
        (
            "a request to stop counts more, and blames none of those that the manager has stopped",
            spec(),
            asked_to_stop(asked(&spec(), "app=exited(3) db=running web=running log=running ui=running")),
            101,
            "stopping; end with 0: a stop was requested (a stop was requested)",
        ),
    ]);
}

#[test]
fn who_is_restarted_along_waits_for_the_health_of_the_one_before() {
    let spec = || pod("app web<app:healthy!");
    let state = |health: Health| {
        asked(&spec(), "app=exited(3) web=exited(0)").with(|this| {
            let app = this.members.get_mut("app").expect("it is there");
            (app.status, app.started_at, app.failed_check) = (Status::Running { health }, 9, Some(None));
        })
    };
    check([
        ("which is open", spec(), state(Health::Starting), 1, "starting"),
        (
            "or good",
            spec(),
            state(Health::Healthy),
            1,
            "starting; start again `web` (a restart was requested)",
        ),
        (
            "or bad: it is not left stopped",
            spec(),
            state(Health::Unhealthy),
            1,
            "unhealthy; start again `web` (a restart was requested)",
        ),
    ]);
}

#[test]
fn an_unhealthy_component_says_why() {
    let why = |check: Option<Option<FailedCheck>>| {
        move |this: &mut ObservedState| this.members.get_mut("db").expect("it is there").failed_check = check
    };
    let refused = || Some(Some(FailedCheck::new(7, "connect:\nrefused")));
    let waits = || pod("app<db:healthy db");
    let ill = || seen("app=created db=unhealthy");
    let asked = || {
        let stop = StopRequest { at: secs(1), status: 1, resumed: false };
        seen("app=running db=unhealthy").with(|this| this.stop = Some(stop))
    };
    check([
        (
            "the engine is asked",
            pod("app db"),
            seen("app=running db=unhealthy").with(why(None)),
            1,
            "unhealthy; read the health check of `db` (it is unhealthy)",
        ),
        ("once", pod("app db"), seen("app=running db=unhealthy").with(why(refused())), 1, "unhealthy"),
        (
            "before the pod ends for it",
            waits(),
            ill().with(why(None)),
            1,
            "unhealthy; read the health check of `db` (it is unhealthy)",
        ),
        (
            "no longer than the engine is asked",
            waits(),
            ill().with(why(None)).with(|this| _ = this.in_flight.insert(key(Verb::ReadCheck, "db"))),
            1,
            "unhealthy",
        ),
        (
            "the sentence that ends the pod has it",
            waits(),
            ill().with(why(refused())),
            1,
            "stopping; end with 1: `app` waits for `db` to be healthy, but `db` is unhealthy: its check ended with status 7: \
             connect: refused (it cannot run as defined)",
        ),
        (
            "or goes without",
            waits(),
            ill().with(why(Some(None))),
            1,
            "stopping; end with 1: `app` waits for `db` to be healthy, but `db` is unhealthy (it cannot run as defined)",
        ),
        (
            "so has that of a stop",
            pod("app db"),
            asked().with(why(refused())),
            1,
            "stopping; end with 1: a stop was requested while the pod was not healthy; `db` is unhealthy: its check ended \
             with status 7: connect: refused (a stop was requested)",
        ),
    ]);
}

#[test]
fn a_step_of_pre_start_is_not_restarted_along() {
    let mut spec = pod("app+step<db! db");
    let step = spec.components.iter_mut().find(|one| one.pre_start_of.is_some()).expect("it is there");
    step.depends_on.iter_mut().for_each(|on| on.restart = true);
    assert_eq!(restarted_with(&spec, "db"), ["app", "db"].map(str::to_owned).into());
}
