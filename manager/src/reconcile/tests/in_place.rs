//! Components that others stop and start, and restarts that somebody asks the manager for, told as stories.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::reconcile::tests::harness::{Manager, NODE, all_gone, at, engine_for, script, tellings};
use engine::fake::{Fake, Script, What};
use engine::{Engine, EngineError};
use pod::policy::mount_conflicts::{NodeContainer, NodeMount};
use pod::spec::{Mount, MountSource, PodSpec, Restart};
use pod::testing::{pod, sandboxed};

const SECOND: Duration = Duration::from_secs(1);
const APP: &str = "pod.podlike.app";

fn times(engine: &Fake, what: &What) -> usize {
    engine.story().iter().filter(|moment| moment.what == *what).count()
}

fn started(engine: &Fake, name: &str) -> usize {
    times(engine, &What::Started(name.into()))
}

#[tokio::test(start_paused = true)]
async fn a_restart_by_others_leaves_the_pod_as_it_is_and_its_hooks_run_again() {
    for (restart, gap) in [
        (Restart::Never, SECOND / 10),
        (Restart::Never, 19 * SECOND / 10),
        (Restart::Always, 19 * SECOND / 10),
        (Restart::OnFailure(Some(1)), SECOND / 10),
        (Restart::UnlessStopped, SECOND / 10),
    ] {
        let mut spec = sandboxed("app+post+pre web<app");
        spec.components[0].restart = restart;
        let engine = engine_for(&spec);
        let manager = Manager::start(&engine, &spec);
        manager.told("healthy").await;
        engine.signal_by_name(APP, 15, 143);
        sleep(gap).await;
        assert_eq!(tellings(&engine.story()).last(), Some(&"starting"), "{restart:?}: until it is decided");
        engine.start_by_name(APP);
        sleep(10 * SECOND).await;
        assert_eq!(tellings(&engine.story()), ["starting", "healthy", "starting", "healthy"], "{restart:?}");
        assert_eq!((started(&engine, APP), started(&engine, "pod.podlike.web")), (2, 1), "{restart:?}");
        assert_eq!(times(&engine, &What::Hooked(format!("{APP} post"))), 2, "{restart:?}");
        assert_eq!(
            times(&engine, &What::Hooked(format!("{APP} pre"))),
            0,
            "{restart:?}: it is the engine's own"
        );
        let calls = engine.calls().iter().filter(|call| **call == format!("start {APP}")).count();
        assert_eq!(calls, 1, "{restart:?}: the manager starts nothing");
        manager.stop();
        assert_eq!(manager.end().await.status, 0);
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_by_others_ends_the_pod_after_two_seconds_but_where_restart_brings_it_back() {
    for (restart, status, back) in [
        (Restart::Never, 0, false),
        (Restart::UnlessStopped, 143, false),
        (Restart::OnFailure(None), 0, false),
        (Restart::OnFailure(None), 143, true),
        (Restart::Always, 0, true),
    ] {
        let mut spec = sandboxed("app web");
        spec.components[0].restart = restart;
        let engine = engine_for(&spec);
        let manager = Manager::start(&engine, &spec);
        manager.told("healthy").await;
        let stopped = Instant::now();
        engine.signal_by_name(APP, 15, status);
        if back {
            sleep(3 * SECOND).await;
            assert_eq!(
                tellings(&engine.story()),
                ["starting", "healthy", "starting", "healthy"],
                "{restart:?}"
            );
            assert_eq!(started(&engine, APP), 2);
            manager.stop();
            assert_eq!(manager.end().await.status, 0);
        } else {
            assert_eq!(i64::from(manager.end().await.status), status, "{restart:?}");
            let took = stopped.elapsed();
            assert!((2 * SECOND..3 * SECOND).contains(&took), "{restart:?}: {took:?}");
        }
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_comes_too_late_saves_nothing() {
    let spec = sandboxed("app web");
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    engine.signal_by_name(APP, 9, 137);
    sleep(2 * SECOND + Duration::from_millis(1)).await;
    engine.start_by_name(APP);
    assert_eq!(manager.end().await.status, 137);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn term_and_the_removal_of_the_container_end_the_wait() {
    for removed in [false, true] {
        let spec = sandboxed("app web");
        let engine = engine_for(&spec);
        let manager = Manager::start(&engine, &spec);
        manager.told("healthy").await;
        let stopped = Instant::now();
        engine.signal_by_name(APP, 9, 137);
        sleep(SECOND).await;
        match removed {
            true => engine.remove_by_name(APP),
            false => manager.stop(),
        }
        assert_eq!(manager.end().await.status, 137, "{removed}");
        assert!(stopped.elapsed() < 2 * SECOND, "{removed}: {:?}", stopped.elapsed());
        assert_eq!(started(&engine, APP), 1, "{removed}");
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_a_broken_stream_hides_is_found_and_judged() {
    let spec = with_bind(sandboxed("app web"));
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let judged = times(&engine, &What::Called(NODE.into()));
    engine.cut_events();
    engine.signal_by_name(APP, 15, 143);
    sleep(SECOND / 10).await;
    engine.start_by_name(APP);
    sleep(5 * SECOND).await;
    assert_eq!(times(&engine, &What::Called(NODE.into())), judged + 1);
    assert_eq!(tellings(&engine.story()).last(), Some(&"healthy"));
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

fn with_bind(mut spec: PodSpec) -> PodSpec {
    spec.checks_mounts = true;
    let source = MountSource::bind("/srv/app");
    spec.components[0].container.mounts.push(Mount { target: "/srv".into(), read_only: false, source });
    spec
}

/// A container of another pod, which has made its mount meanwhile.
fn neighbour() -> NodeContainer {
    NodeContainer {
        id: "other".into(),
        name: "other.podlike.app".into(),
        pod: Some("other".into()),
        role: Some("component".into()),
        created: false,
        command: "sh".into(),
        mounts: vec![NodeMount { volume: None, source: "/srv".into(), writable: true }],
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_mounts_hold_no_more_after_a_restart_by_others_ends_with_the_reason() {
    let spec = with_bind(sandboxed("app web"));
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    engine.neighbour(neighbour());
    engine.signal_by_name(APP, 15, 143);
    sleep(SECOND / 10).await;
    engine.start_by_name(APP);
    assert_eq!(manager.end().await.status, 64);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_requested_restart_runs_its_hooks_and_takes_along_who_asks_for_it() {
    let spec = sandboxed("app+post+pre db web<app! ui<app");
    let engine = engine_for(&spec);
    engine.script("app", Script { health: Some((3 * SECOND, true)), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let (asked, calls) = (Instant::now(), engine.story().len());
    assert_eq!(manager.restart("app").await, Ok("restarted `app`, and with it `web`".into()));
    assert!(asked.elapsed() >= 3 * SECOND, "the answer waits for the health check");
    let counts =
        [APP, "pod.podlike.web", "pod.podlike.ui", "pod.podlike.db"].map(|name| started(&engine, name));
    assert_eq!(counts, [2, 2, 1, 1]);
    let story = engine.story().split_off(calls);
    let order = [
        What::Ended("pod.podlike.web".into(), 143),
        What::Hooked(format!("{APP} pre")),
        What::Ended(APP.into(), 143),
        What::Started(APP.into()),
        What::Hooked(format!("{APP} post")),
        What::Started("pod.podlike.web".into()),
    ];
    let places: Vec<usize> = order.iter().map(|what| at(&story, what)).collect();
    assert!(places.is_sorted(), "{places:?}\n{}", script(&story));
    sleep(5 * SECOND).await;
    assert_eq!(tellings(&engine.story()), ["starting", "healthy", "starting", "healthy"]);
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_met_says_why_and_touches_nothing() {
    let spec = with_bind(sandboxed("init-1 | app web"));
    let engine = engine_for(&spec);
    engine.script("init-1", Script { runs_for: Some(SECOND), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    let early = manager.restart("app").await.expect_err("it does not run");
    assert_eq!(early, "`app` has not been started yet");
    manager.told("healthy").await;
    engine.neighbour(neighbour());
    for (name, words) in [
        ("apx", "there is no component `apx`: did you mean `app`?"),
        ("", "there is no component ``: valid are `app` and `web`"),
        ("init-1", "`init-1` is an init component: it runs to its end once"),
    ] {
        assert_eq!(manager.restart(name).await, Err(words.into()));
    }
    let words = manager.restart("app").await.expect_err("its mount is another pod's too");
    assert!(words.starts_with("`app` is left as it is: ") && words.contains("/srv"), "{words}");
    sleep(5 * SECOND).await;
    assert_eq!(started(&engine, APP), 1);
    assert_eq!(tellings(&engine.story()), ["starting", "healthy"]);
    manager.stop();
    let refused = manager.restart("app").await.expect_err("the pod ends");
    assert!(refused == "the pod is ending" || refused == "nobody answers", "{refused}");
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn the_answer_tells_of_a_component_that_does_not_come_up_again() {
    let spec = sandboxed("app+extra web");
    let engine = engine_for(&spec);
    let lives = vec![(600 * SECOND, 0), (Duration::ZERO, 3)];
    engine.script("app", Script { lives, ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    assert_eq!(manager.restart("app").await, Err("`app` ended with status 3 after its restart".into()));
    // Somebody asks while one is under way, and when the pod ends.
    engine.script("web", Script { stops_in: Some(2 * SECOND), ..Script::default() });
    let first = manager.restart("web");
    let second = manager.restart("web").await;
    assert_eq!(second, Err("`web` is being restarted already".into()));
    manager.stop();
    assert_eq!(first.await, Err("the pod ends: a stop was requested".into()));
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_the_end_of_an_earlier_restart_of_what_restarts_along() {
    let spec = sandboxed("db web<db!");
    let engine = engine_for(&spec);
    engine.script("web", Script { stops_in: Some(2 * SECOND), ..Script::default() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let first = manager.restart("web");
    let words = "`web`, which restarts along with it, is being restarted already";
    assert_eq!(manager.restart("db").await, Err(words.into()));
    assert_eq!(first.await, Ok("restarted `web`".into()));
    assert_eq!(manager.restart("db").await, Ok("restarted `db`, and with it `web`".into()));
    assert_eq!(["db", "web"].map(|name| started(&engine, &format!("pod.podlike.{name}"))), [2, 3]);
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_the_engine_refuses_answers_the_request_with_the_pods_end() {
    let spec = sandboxed("app web");
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    engine.fault(&format!("start {APP}"), 1, EngineError::Refused("no".into()), false);
    let words = manager.restart("app").await.expect_err("it does not start");
    assert_eq!(words, "the pod ends: cannot start again `app`: no");
    assert_eq!(manager.end().await.status, 143);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_restart_asked_for_again_and_again_counts_for_the_budget() {
    let mut spec = pod("app web");
    spec.components[0].restart = Restart::OnFailure(Some(2));
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    for _ in 0..2 {
        assert_eq!(manager.restart("app").await, Ok("restarted `app`".into()));
    }
    engine.kill_by_name(APP);
    assert_eq!(manager.end().await.status, 137, "none is left for a crash");
    assert_eq!(started(&engine, APP), 3);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn why_a_component_is_unhealthy_is_asked_once() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    engine.script("db", Script { health: Some((SECOND, false)), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("unhealthy").await;
    sleep(SECOND).await;
    let inspections = |engine: &Fake| times(engine, &What::Called("inspect pod.podlike.db".into()));
    let asked = inspections(&engine);
    sleep(60 * SECOND).await;
    assert_eq!(inspections(&engine), asked);
    let db = engine.inspect("pod.podlike.db").await.expect("it is there");
    assert_eq!(
        db.failed_check.map(|check| check.to_string()),
        Some("its check ended with status 1: refused".into())
    );
    manager.stop();
    assert_eq!(manager.end().await.status, 1);
    all_gone(&engine, &spec);
}

/// A step that takes a second.
fn short() -> Script {
    Script { runs_for: Some(SECOND), ..Script::obeying() }
}

#[tokio::test(start_paused = true)]
async fn a_requested_restart_runs_no_step_of_pre_start_again() {
    let spec = sandboxed("app+step<db! db");
    let engine = engine_for(&spec);
    engine.script("app.pre-1", short());
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    assert_eq!(manager.restart("db").await, Ok("restarted `db`, and with it `app`".into()));
    assert_eq!(manager.restart("app").await, Ok("restarted `app`".into()));
    sleep(5 * SECOND).await;
    let counts = ["pod.podlike.db", APP, "pod.podlike.app.pre-1"].map(|name| started(&engine, name));
    assert_eq!(counts, [2, 3, 1]);
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_completion_is_restarted_after_the_one_that_completes() {
    let spec = sandboxed("app<migrate:done! migrate<db! db");
    let engine = engine_for(&spec);
    engine.script("migrate", short());
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let before = engine.story().len();
    let _ = manager.restart("db").await;
    sleep(5 * SECOND).await;
    let story = engine.story().split_off(before);
    let order = [
        What::Ended(APP.into(), 143),
        What::Ended("pod.podlike.db".into(), 143),
        What::Started("pod.podlike.db".into()),
        What::Started("pod.podlike.migrate".into()),
        What::Ended("pod.podlike.migrate".into(), 0),
        What::Started(APP.into()),
    ];
    let places: Vec<usize> = order.iter().map(|what| at(&story, what)).collect();
    assert!(places.is_sorted(), "{places:?}\n{}", script(&story));
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_step_of_pre_start_is_not_restarted_on_request() {
    let spec = sandboxed("app+step db");
    let engine = engine_for(&spec);
    engine.script("app.pre-1", short());
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    for (name, words) in [
        ("app.pre-1", "`app.pre-1` is a `pre_start` container of `app`: it runs to its end once"),
        ("", "there is no component ``: valid are `app` and `db`"),
    ] {
        assert_eq!(manager.restart(name).await, Err(words.into()));
    }
    sleep(5 * SECOND).await;
    assert_eq!(started(&engine, "pod.podlike.app.pre-1"), 1);
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn term_during_a_requested_restart_blames_nobody() {
    for early in [true, false] {
        let spec = sandboxed("app web<app!");
        let engine = engine_for(&spec);
        let health = (!early).then_some((5 * SECOND, true));
        let stops_in = Some(if early { 5 * SECOND } else { Duration::ZERO });
        engine.script("app", Script { health, stops_in, ..Script::default() });
        let manager = Manager::start(&engine, &spec);
        manager.told("healthy").await;
        let answer = manager.restart("app");
        sleep(2 * SECOND).await;
        // `web` has been stopped and not been started again; `app` is being stopped, or waits for its health.
        manager.stop();
        let answer = answer.await.expect_err("the pod ends");
        assert!(answer.starts_with("the pod ends: a stop was requested"), "{answer}");
        assert_eq!(started(&engine, "pod.podlike.web"), 1, "{early}");
        // One that was started again and is not healthy yet ails, as after any restart.
        assert_eq!(manager.end().await.status, u8::from(!early), "{early}");
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn a_one_shot_component_that_ends_well_after_its_restart_is_up() {
    let at_once = || Script { lives: vec![(SECOND, 0), (Duration::ZERO, 0)], ..Script::obeying() };
    for (text, job, name, words) in [
        ("app<job:done! db job<db!", short(), "db", "restarted `db`, and with it `app`, `job`"),
        ("app<job:done job", at_once(), "job", "restarted `job`"),
        ("app job+extra", at_once(), "job", "restarted `job`"),
    ] {
        let spec = sandboxed(text);
        let engine = engine_for(&spec);
        engine.script("job", job);
        let manager = Manager::start(&engine, &spec);
        manager.told("healthy").await;
        sleep(2 * SECOND).await;
        assert_eq!(manager.restart(name).await, Ok(words.into()), "{text}");
        assert_eq!(started(&engine, "pod.podlike.job"), 2, "{text}");
        manager.stop();
        assert_eq!(manager.end().await.status, 0, "{text}");
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn what_ran_at_a_takeover_and_was_stopped_since_holds_up_nothing() {
    let spec = sandboxed("app<db db");
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    manager.kill();
    let manager = Manager::start(&engine, &spec);
    sleep(SECOND / 10).await;
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    let story = engine.story();
    let ended = |name: &str| story[at(&story, &What::Ended(name.into(), 143))].at;
    let took = ended("pod.podlike.db").saturating_sub(ended(APP));
    assert!(took < SECOND, "{took:?}\n{}", script(&story));
    all_gone(&engine, &spec);
}
