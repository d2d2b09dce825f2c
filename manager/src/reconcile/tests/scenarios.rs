//! The whole loop, from the first listing to the last removal, told as stories.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::reconcile::tests::harness::{
    Manager, NODE, PAUSE_IMAGE, all_gone, at, engine_for, script, tellings,
};
use crate::testing::Written;
use engine::fake::{Fake, Script, What};
use engine::{CreateRequest, Engine, EngineError, convert};
use pod::identity::LABEL_RUN;
use pod::observed::{Exit, Health, Status};
use pod::plan::{AFTER_STOP, CLEANUP_PATIENCE};
use pod::policy::mount_conflicts::{NodeContainer, NodeMount};
use pod::spec::{Mount, MountSource, PodSpec, Restart};
use pod::testing::{pod, sandboxed};

const SECOND: Duration = Duration::from_secs(1);
/// More than all calls of a story together take.
const MOMENT: Duration = Duration::from_millis(200);

fn unreachable() -> EngineError {
    EngineError::Unreachable("connection reset".into())
}

fn called(call: &str) -> What {
    What::Called(call.into())
}

fn told(words: &str) -> What {
    What::Told(words.into())
}

/// A container of an earlier run of this pod.
fn leftover(spec: &PodSpec, name: &str) -> CreateRequest {
    let member = spec.member(name).expect("a member");
    let mut request = convert::create_request(spec, member);
    request.labels.insert(LABEL_RUN.into(), "2024-05-01T09:00:00Z".into());
    request
}

#[tokio::test(start_paused = true)]
async fn a_pod_comes_up_in_order_is_healthy_not_a_moment_early_and_goes_down_in_reverse() {
    let spec = sandboxed("init-1 init-2 | app<db:healthy db+copy web<app");
    let engine = engine_for(&spec);
    let init = Script { runs_for: Some(SECOND), ..Script::obeying() };
    engine.script("init-1", init.clone());
    engine.script("init-2", init);
    engine.script("db", Script { health: Some((3 * SECOND, true)), ..Script::obeying() });
    engine.script("web", Script { health: Some((2 * SECOND, true)), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    assert!(engine.story().last().is_some_and(|last| last.at >= 7 * SECOND), "two inits, then two checks");
    manager.stop();
    let outcome = manager.end().await;
    assert_eq!((outcome.status, outcome.left), (0, vec![]));

    let story = engine.story();
    assert_eq!(tellings(&story), ["starting", "healthy", "stopping", "exit 0"]);
    let order = [
        What::Created("pod.pause".into()),
        What::Started("pod.pause".into()),
        What::Started("pod.podlike.init-1".into()),
        What::Ended("pod.podlike.init-1".into(), 0),
        What::Created("pod.podlike.init-2".into()),
        What::Ended("pod.podlike.init-2".into(), 0),
        What::Copied("pod.podlike.db".into()),
        What::Started("pod.podlike.db".into()),
        What::Started("pod.podlike.app".into()),
        What::Started("pod.podlike.web".into()),
        told("healthy"),
        told("exit 0"),
        What::Ended("pod.podlike.web".into(), 143),
        What::Ended("pod.podlike.app".into(), 143),
        What::Ended("pod.podlike.db".into(), 143),
        called("remove pod.pause"),
    ];
    let places: Vec<usize> = order.iter().map(|what| at(&story, what)).collect();
    assert!(places.is_sorted(), "{places:?}\n{}", script(&story));
    let overlaps =
        at(&story, &called("create pod.podlike.init-1")) < at(&story, &What::Started("pod.pause".into()));
    assert!(overlaps, "creation overlaps with the start of the sandbox\n{}", script(&story));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_pod_gets_healthy_though_the_verdict_overtakes_the_answer_of_the_start() {
    let mut spec = pod("app");
    spec.components[0].restart = Restart::Always;
    let engine = engine_for(&spec);
    let script = Script { health: Some((SECOND, true)), lives: vec![(5 * SECOND, 3)], ..Script::obeying() };
    engine.script("app", script);
    engine.late("inspect pod.podlike.app", 2 * SECOND);
    let manager = Manager::start(&engine, &spec);
    sleep(20 * SECOND).await;
    // Also that of a start in place.
    assert_eq!(tellings(&engine.story()), ["starting", "healthy", "starting", "healthy"]);
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_crashes_takes_the_pod_down_with_its_status() {
    for status in [1, 3, 137, 255, 0] {
        let spec = sandboxed("app<db db web");
        let engine = engine_for(&spec);
        engine.script("app", Script { runs_for: Some(5 * SECOND), status, ..Script::obeying() });
        let manager = Manager::start(&engine, &spec);
        let outcome = manager.end().await;
        assert_eq!(i64::from(outcome.status), status);
        let exit = format!("exit {status}");
        assert_eq!(tellings(&engine.story()), ["starting", "healthy", "stopping", &exit]);
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn an_init_component_that_fails_ends_the_pod_before_any_component_is_created() {
    let spec = sandboxed("init-1 init-2 | app");
    let engine = engine_for(&spec);
    engine.script("init-1", Script { runs_for: Some(SECOND), status: 255, ..Script::obeying() });
    let outcome = Manager::start(&engine, &spec).end().await;
    assert_eq!(outcome.status, 255);
    let calls = engine.calls();
    assert!(
        !calls.iter().any(|call| call.starts_with("create pod.podlike.app") || call.contains("init-2")),
        "{calls:?}"
    );
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_not_there_ends_the_pod_with_127_and_the_engines_words() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    engine.script("app", Script { start_fails: Some(127), ..Script::obeying() });
    let outcome = Manager::start(&engine, &spec).end().await;
    assert_eq!(outcome.status, 127);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_refused_creation_rolls_everything_back() {
    let spec = sandboxed("app db<app web");
    let engine = engine_for(&spec);
    engine.fault("create pod.podlike.db", 1, EngineError::Refused("invalid mount".into()), false);
    let outcome = Manager::start(&engine, &spec).end().await;
    assert_eq!(outcome.status, 125);
    assert!(!tellings(&engine.story()).contains(&"healthy"));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_missing_image_is_pulled_and_one_that_cannot_be_had_ends_the_pod() {
    let spec = sandboxed("app db");
    let engine = Fake::with_images(&[PAUSE_IMAGE, "db"]);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    assert_eq!(engine.calls().iter().filter(|call| call.starts_with("pull")).count(), 1);
    all_gone(&engine, &spec);

    for words in [EngineError::Refused("denied".into()), EngineError::NotFound("manifest unknown".into())] {
        let engine = Fake::with_images(&[PAUSE_IMAGE, "db"]);
        engine.fault("pull app", 1, words, false);
        assert_eq!(Manager::start(&engine, &spec).end().await.status, 125);
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn pull_pulls_every_image_once() {
    let spec = PodSpec { pull_always: true, ..sandboxed("init-1 | app db") };
    let engine = engine_for(&spec);
    engine.script("init-1", Script { runs_for: Some(SECOND), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let mut pulls: Vec<String> = engine.calls().into_iter().filter(|call| call.starts_with("pull")).collect();
    pulls.sort();
    assert_eq!(pulls, ["pull app", "pull db", "pull init-1"]);
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_pull_that_hangs_is_over_at_once() {
    let spec = sandboxed("app db");
    let engine = Fake::with_images(&[PAUSE_IMAGE, "db"]);
    engine.hang("pull app");
    let manager = Manager::start(&engine, &spec);
    sleep(60 * SECOND).await;
    let asked = Instant::now();
    manager.stop();
    let outcome = manager.end().await;
    assert_eq!((outcome.status, outcome.left), (0, vec![]));
    assert!(asked.elapsed() < MOMENT, "{:?}", asked.elapsed());
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_stop_breaks_a_pull_off() {
    let spec = sandboxed("app db");
    let engine = Fake::with_images(&[PAUSE_IMAGE, "db"]);
    engine.slow("pull app", 3 * SECOND);
    engine.script("db", Script { stops_in: Some(5 * SECOND), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    sleep(SECOND).await;
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    assert!(engine.story().last().is_some_and(|last| last.at > 4 * SECOND), "it would have come");
    assert_eq!(engine.image_has_healthcheck("app").await, Ok(None));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_creation_that_hangs_is_answered_at_once_and_bounded() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    engine.hang("create pod.podlike.app");
    let manager = Manager::start(&engine, &spec);
    sleep(60 * SECOND).await;
    let asked = Instant::now();
    manager.stop();
    manager.told("exit 0").await;
    assert!(asked.elapsed() < MOMENT, "{:?}", asked.elapsed());
    let outcome = manager.end().await;
    assert_eq!(outcome.status, 0);
    assert_eq!(outcome.left, ["pod.podlike.app"], "it may yet come to be");
    assert!(asked.elapsed() < 39 * SECOND, "{:?}", asked.elapsed());
    let story = engine.story();
    let gone = &story[at(&story, &What::Removed("pod.pause".into()))];
    assert!(gone.at < 61 * SECOND, "what can be removed is removed at once\n{}", script(&story));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn the_engine_is_asked_for_a_few_containers_at_a_time_and_one_that_hangs_keeps_nobody_waiting() {
    // Those that the engine was asked for may yet come to be.
    for (stopped_after, asked) in [(3, crate::reconcile::executor::MAX_PARALLEL_CREATES), (8, 10)] {
        let names = "c0 c1 c2 c3 c4 c5 c6 c7 c8 c9";
        let spec = sandboxed(names);
        let engine = engine_for(&spec);
        names.split(' ').for_each(|name| engine.hang(&format!("create pod.podlike.{name}")));
        let manager = Manager::start(&engine, &spec);
        sleep(stopped_after * SECOND).await;
        manager.stop();
        let outcome = manager.end().await;
        assert_eq!(outcome.status, 0);
        assert_eq!(outcome.left.len(), asked, "{:?}", outcome.left);
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_hangs_does_not_keep_the_pod_past_its_time() {
    let spec = sandboxed("app<db db");
    let engine = engine_for(&spec);
    engine.hang("start pod.podlike.app");
    let manager = Manager::start(&engine, &spec);
    sleep(60 * SECOND).await;
    let asked = Instant::now();
    manager.stop();
    let outcome = manager.end().await;
    assert_eq!((outcome.status, outcome.left), (0, vec![]));
    assert!(asked.elapsed() < spec.stop_timeout + MOMENT, "{:?}", asked.elapsed());
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_hangs_is_given_up_and_named() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    engine.hang("remove pod.podlike.app");
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let asked = Instant::now();
    manager.stop();
    let outcome = manager.end().await;
    assert_eq!((outcome.status, outcome.left), (0, vec!["pod.podlike.app".to_owned()]));
    let (took, most) = (asked.elapsed(), spec.stop_timeout + AFTER_STOP);
    assert!(took >= spec.stop_timeout + CLEANUP_PATIENCE && took < most, "{took:?}");
    assert_eq!(engine.names(), ["pod.podlike.app"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_an_init_component_ends_it_and_nothing_comes_after_it() {
    let spec = sandboxed("init-1 init-2 | app");
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    sleep(10 * SECOND).await;
    let asked = Instant::now();
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    assert!(asked.elapsed() < MOMENT, "{:?}", asked.elapsed());
    let calls = engine.calls();
    assert!(calls.contains(&"stop pod.podlike.init-1 8000ms".to_owned()), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("create") && call.ends_with("app")), "{calls:?}");
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_listing_still_finds_what_an_earlier_manager_made() {
    let spec = sandboxed("app");
    let engine = engine_for(&spec);
    let first = Manager::start(&engine, &spec);
    first.told("healthy").await;
    first.kill();
    let second = Manager::start(&engine, &spec);
    second.stop();
    assert_eq!(second.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn an_exit_that_a_broken_event_stream_missed_is_found_by_the_listing_that_follows() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    sleep(60 * SECOND).await;
    engine.cut_events();
    engine.kill_by_name("pod.podlike.app");
    let killed = Instant::now();
    assert_eq!(manager.end().await.status, 137);
    // Nobody has told whether it was asked for.
    assert!(killed.elapsed() < 3 * SECOND, "{:?}", killed.elapsed());
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_running_component_that_is_removed_unseen_ends_the_pod_and_is_not_made_again() {
    for name in ["pod.podlike.app", "pod.pause"] {
        let spec = PodSpec { namespaces: ipc_only(), ..sandboxed("app db") };
        let engine = engine_for(&spec);
        let manager = Manager::start(&engine, &spec);
        manager.told("healthy").await;
        engine.cut_events();
        engine.remove_by_name(name);
        assert_eq!(manager.end().await.status, 137, "{name}");
        let story = engine.story();
        let made = story.iter().filter(|moment| moment.what == What::Created(name.into())).count();
        assert_eq!(made, 1, "{name}\n{}", script(&story));
        all_gone(&engine, &spec);
    }
}

/// A sandbox whose end takes no process along.
fn ipc_only() -> pod::namespaces::Namespaces {
    let mut namespaces = sandboxed("app").namespaces;
    namespaces.pid = None;
    namespaces
}

#[tokio::test(start_paused = true)]
async fn a_prune_of_ended_init_components_leaves_the_pod_alone_also_for_the_next_manager() {
    let spec = sandboxed("init-1 init-2 | app");
    let engine = engine_for(&spec);
    for init in ["init-1", "init-2"] {
        engine.script(init, Script { runs_for: Some(SECOND), ..Script::obeying() });
    }
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    engine.remove_by_name("pod.podlike.init-1");
    engine.remove_by_name("pod.podlike.init-2");
    sleep(60 * SECOND).await;
    assert_eq!(tellings(&engine.story()), ["starting", "healthy"]);
    manager.kill();
    let next = Manager::start(&engine, &spec);
    sleep(60 * SECOND).await;
    assert_eq!(tellings(&engine.story()), ["starting", "healthy", "starting", "healthy"]);
    next.stop();
    assert_eq!(next.end().await.status, 0);
    let story = engine.story();
    let inits =
        story.iter().filter(|moment| matches!(&moment.what, What::Started(name) if name.contains("init")));
    assert_eq!(inits.count(), 2, "\n{}", script(&story));
    assert_eq!(engine.names(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_be_reached_at_the_start_ends_the_pod_with_69_after_30_seconds() {
    for call in ["events", "list"] {
        let spec = sandboxed("app");
        let engine = engine_for(&spec);
        engine.fault(call, u32::MAX, unreachable(), false);
        let began = Instant::now();
        let outcome = Manager::start(&engine, &spec).end().await;
        assert_eq!((outcome.status, outcome.left), (69, vec![]), "{call}");
        assert!(
            began.elapsed() >= 30 * SECOND && began.elapsed() < 30 * SECOND + MOMENT,
            "{:?}",
            began.elapsed()
        );

        let engine = engine_for(&spec);
        engine.hang(call);
        let began = Instant::now();
        assert_eq!(Manager::start(&engine, &spec).end().await.status, 69, "{call} hangs");
        assert!(
            began.elapsed() >= 30 * SECOND && began.elapsed() < 30 * SECOND + MOMENT,
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_comes_back_within_30_seconds_is_waited_for() {
    let spec = sandboxed("app");
    let engine = engine_for(&spec);
    // 100 ms, doubling to 5 s: the ninth attempt comes after 22 s.
    engine.fault("events", 8, unreachable(), false);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    assert!(engine.story().last().is_some_and(|last| last.at > 15 * SECOND));
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_one_call_for_30_seconds_ends_the_pod_with_69() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    engine.fault("create pod.podlike.app", u32::MAX, unreachable(), false);
    let began = Instant::now();
    assert_eq!(Manager::start(&engine, &spec).end().await.status, 69);
    assert!(began.elapsed() >= 30 * SECOND && began.elapsed() < 33 * SECOND, "{:?}", began.elapsed());
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_running_pod_outlives_an_engine_that_is_away_for_long() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    engine.fault("events", 40, unreachable(), false);
    engine.cut_events();
    sleep(600 * SECOND).await;
    // What was heard last counts for a minute.
    assert_eq!(tellings(&engine.story()), ["starting", "healthy", "unhealthy", "healthy"]);
    engine.kill_by_name("pod.podlike.app");
    assert_eq!(manager.end().await.status, 137, "and it is watched again");
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_ignores_its_stop_signal_is_killed_at_the_deadline() {
    let spec = sandboxed("app<db db web<app");
    let engine = engine_for(&spec);
    for image in ["web", "app"] {
        engine.script(image, Script { stops_in: None, ..Script::obeying() });
    }
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let asked = Instant::now();
    manager.stop();
    let outcome = manager.end().await;
    assert_eq!((outcome.status, outcome.left), (0, vec![]));
    let took = asked.elapsed();
    assert!(took >= 8 * SECOND && took < 8 * SECOND + MOMENT, "{took:?}");
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_start_under_way_before_it_touches_what_that_depends_on() {
    let spec = sandboxed("app<db db");
    let engine = engine_for(&spec);
    engine.slow("start pod.podlike.app", 2 * SECOND);
    let manager = Manager::start(&engine, &spec);
    sleep(SECOND).await;
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    let story = engine.story();
    let app = at(&story, &What::Ended("pod.podlike.app".into(), 143));
    assert!(app < at(&story, &What::Ended("pod.podlike.db".into(), 143)), "\n{}", script(&story));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_component_with_a_grace_of_its_own_leaves_time_to_those_after_it() {
    let mut spec = sandboxed("db web<db");
    spec.components[1].stop_grace = Some(2 * SECOND);
    let engine = engine_for(&spec);
    engine.script("web", Script { stops_in: None, ..Script::obeying() });
    engine.script("db", Script { stops_in: Some(3 * SECOND), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let asked = Instant::now();
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    let took = asked.elapsed();
    assert!(took >= 5 * SECOND && took < 5 * SECOND + MOMENT, "{took:?}");
    let story = engine.story();
    at(&story, &What::Ended("pod.podlike.web".into(), 137));
    at(&story, &What::Ended("pod.podlike.db".into(), 143));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn hooks_run_after_the_start_and_before_the_stop_and_others_wait_for_them() {
    let spec = sandboxed("app<db db+post+pre");
    let engine = engine_for(&spec);
    engine.script("db", Script { hook: (2 * SECOND, 0), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    let story = engine.story();
    let order = [
        What::Started("pod.podlike.db".into()),
        What::Hooked("pod.podlike.db post".into()),
        What::Started("pod.podlike.app".into()),
        told("healthy"),
        told("exit 0"),
        What::Ended("pod.podlike.app".into(), 143),
        What::Hooked("pod.podlike.db pre".into()),
        What::Ended("pod.podlike.db".into(), 143),
    ];
    let places: Vec<usize> = order.iter().map(|what| at(&story, what)).collect();
    assert!(places.is_sorted(), "{places:?}\n{}", script(&story));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_ends_the_pod_with_its_status_and_pre_stop_all_the_same() {
    let spec = sandboxed("app<db db+post+pre");
    let engine = engine_for(&spec);
    engine.script("db", Script { hook: (SECOND, 3), ..Script::obeying() });
    assert_eq!(Manager::start(&engine, &spec).end().await.status, 3);
    assert!(!engine.has(&What::Started("pod.podlike.app".into())));
    // It fails too, and holds nothing up.
    assert!(engine.has(&What::Hooked("pod.podlike.db pre".into())));
    assert!(engine.has(&What::Ended("pod.podlike.db".into(), 143)));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_ends_while_its_hook_runs_ends_the_pod_with_its_own_status() {
    let spec = sandboxed("db+post");
    let engine = engine_for(&spec);
    let ends = Script { runs_for: Some(SECOND), status: 7, ..Script::obeying() };
    engine.script("db", Script { hook: (5 * SECOND, 0), ..ends });
    assert_eq!(Manager::start(&engine, &spec).end().await.status, 7);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_post_start_and_bounds_pre_stop() {
    let spec = sandboxed("db+post+pre");
    let engine = engine_for(&spec);
    engine.script("db", Script { hook: (100 * SECOND, 0), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    sleep(SECOND).await;
    let asked = Instant::now();
    manager.stop();
    let outcome = manager.end().await;
    assert_eq!((outcome.status, outcome.left), (0, vec![]));
    let took = asked.elapsed();
    assert!(took >= 6 * SECOND && took < 6 * SECOND + MOMENT, "all but 2 s of 8 s: {took:?}");
    assert!(engine.has(&What::Ended("pod.podlike.db".into(), 143)), "it heard its signal");
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn the_next_manager_runs_a_hook_again_only_where_it_was_not_through() {
    for (dies_after, times) in [(SECOND, 2), (10 * SECOND, 1)] {
        let spec = sandboxed("db+post");
        let engine = engine_for(&spec);
        engine.script("db", Script { hook: (3 * SECOND, 0), ..Script::obeying() });
        let first = engine.connect(0, false);
        let manager = Manager::start(&first, &spec);
        sleep(dies_after).await;
        manager.kill();
        let next = engine.connect(0, false);
        let manager = Manager::start(&next, &spec);
        sleep(10 * SECOND).await;
        manager.stop();
        assert_eq!(manager.end().await.status, 0);
        let asked = engine.calls().into_iter().filter(|call| call == "exec pod.podlike.db post").count();
        assert_eq!(asked, times, "\n{}", script(&engine.story()));
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_any_call_whether_the_engine_acted_or_not_changes_nothing_in_the_end() {
    let calls = [
        "events",
        "list",
        "pull web",
        "create pod.pause",
        "start pod.pause",
        "inspect pod.pause",
        "create pod.podlike.init-1",
        "start pod.podlike.init-1",
        "inspect pod.podlike.init-1",
        "create pod.podlike.app",
        "copy pod.podlike.app /",
        "start pod.podlike.app",
        "inspect pod.podlike.app",
        "exec pod.podlike.app post",
        "look at a hook",
        "create pod.podlike.web",
        "exec pod.podlike.app pre",
        "stop pod.podlike.web 8000ms",
        "remove pod.podlike.web",
        "remove pod.podlike.init-1",
        "remove pod.pause",
    ];
    for call in calls {
        for acts in [true, false] {
            for times in [1, 2] {
                let spec = sandboxed("init-1 | app+copy+post+pre web<app");
                let engine = Fake::with_images(&[PAUSE_IMAGE, "init-1", "app"]);
                engine.script("init-1", Script { runs_for: Some(SECOND), ..Script::obeying() });
                engine.fault(call, times, unreachable(), acts);
                let manager = Manager::start(&engine, &spec);
                manager.told("healthy").await;
                // Long enough for a setback that was not forgotten to do harm.
                sleep(100 * SECOND).await;
                engine.cut_events();
                sleep(100 * SECOND).await;
                manager.stop();
                let outcome = manager.end().await;
                let case = format!("{call}, acts: {acts}, {times} times");
                assert_eq!((outcome.status, outcome.left), (0, vec![]), "{case}");
                let story = engine.story();
                at(&story, &called(call));
                assert_eq!(tellings(&story), ["starting", "healthy", "stopping", "exit 0"], "{case}");
                all_gone(&engine, &spec);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_is_lost_while_the_pod_ends_leaves_nothing() {
    let spec = pod("app");
    let engine = engine_for(&spec);
    engine.fault("create pod.podlike.app", 1, unreachable(), true);
    let manager = Manager::start(&engine, &spec);
    while !engine.has(&called("create pod.podlike.app")) {
        sleep(Duration::from_micros(100)).await;
    }
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_kill_of_the_sandbox_by_hand_ends_the_pod_with_its_status() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    engine.kill_by_name("pod.pause");
    assert_eq!(manager.end().await.status, 137);
    assert_eq!(tellings(&engine.story()), ["starting", "healthy", "stopping", "exit 137"]);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_left_is_removed_before_anything_is_created() {
    let spec = pod("app db");
    let engine = engine_for(&spec);
    let ended = Status::Exited(Exit { status: 0, ..Exit::default() });
    engine.plant(leftover(&spec, "app"), Status::Running { health: Health::None });
    engine.plant(leftover(&spec, "db"), ended);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let story = engine.story();
    let create = |what: &What| matches!(what, What::Called(call) if call.starts_with("create"));
    let created = story.iter().position(|moment| create(&moment.what));
    for name in ["pod.podlike.app", "pod.podlike.db"] {
        assert!(Some(at(&story, &What::Removed(name.into()))) < created, "{name}\n{}", script(&story));
    }
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    assert_eq!(engine.names(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_a_stranger_holds_ends_the_pod_with_125_and_the_stranger_stays() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    let mut stranger = leftover(&spec, "app");
    stranger.labels.clear();
    engine.plant(stranger, Status::Running { health: Health::None });
    let outcome = Manager::start(&engine, &spec).end().await;
    assert_eq!((outcome.status, outcome.left), (125, vec![]));
    assert_eq!(engine.names(), ["pod.podlike.app"]);
    assert_eq!(engine.calls().iter().filter(|call| *call == "create pod.podlike.app").count(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_component_makes_the_pod_unhealthy_and_keeps_it_running() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    engine.script("app", Script { health: Some((SECOND, false)), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("unhealthy").await;
    sleep(60 * SECOND).await;
    assert_eq!(tellings(&engine.story()), ["starting", "unhealthy"]);
    manager.stop();
    assert_eq!(manager.end().await.status, 1, "what Swarm stops for its ill health is to be replaced");
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_component_that_turns_unhealthy_ends_the_pod_with_1() {
    let spec = sandboxed("app<db:healthy db");
    let engine = engine_for(&spec);
    engine.script("db", Script { health: Some((SECOND, false)), ..Script::obeying() });
    assert_eq!(Manager::start(&engine, &spec).end().await.status, 1);
    assert!(!engine.has(&called("start pod.podlike.app")));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_health_of_one_without_a_check_ends_the_pod_with_64() {
    let spec = sandboxed("app<db:healthy db");
    let engine = engine_for(&spec);
    assert_eq!(Manager::start(&engine, &spec).end().await.status, 64);
    assert!(!engine.has(&called("start pod.podlike.app")));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_outlives_the_manager_that_gave_it() {
    let spec = sandboxed("app db");
    let engine = engine_for(&spec);
    engine.script("app", Script { runs_for: Some(SECOND), status: 3, ..Script::obeying() });
    engine.hang("stop pod.podlike.db 8000ms");
    let first = Manager::start(&engine, &spec);
    first.told("exit 3").await;
    first.kill();
    let second = Manager::start(&engine, &spec);
    second.resume_stop(3);
    assert_eq!(second.end().await.status, 3);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn podlike_bug_14_what_the_engine_warns_of_is_logged() {
    let log = Written::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let spec = pod("app");
    let engine = engine_for(&spec);
    engine.warn("memory limited without swap");
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    let text = log.text();
    let want =
        "WARN manager::reconcile::executor: creating `app`: the engine warns: memory limited without swap";
    assert_eq!(text.matches(want).count(), 1, "{text}");
}

#[tokio::test(start_paused = true)]
async fn secrets_are_in_the_store_before_who_needs_them_is_created_and_go_with_it() {
    let spec = sandboxed("app<db db+secret");
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let story = engine.story();
    let order =
        ["create pod.store", "start pod.store", "run pod.store /pause store", "create pod.podlike.db"];
    let places = order.map(|call| at(&story, &called(call)));
    assert!(places.is_sorted(), "{places:?}\n{}", script(&story));
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn an_older_pause_image_has_the_engine_write_the_secrets() {
    let spec = sandboxed("app+secret");
    let engine = engine_for(&spec);
    engine.script(PAUSE_IMAGE, Script { hook: (Duration::ZERO, 64), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    let story = engine.story();
    let places = ["run pod.store /pause store", "copy pod.store /store", "create pod.podlike.app"]
        .map(|call| at(&story, &called(call)));
    assert!(places.is_sorted(), "{places:?}\n{}", script(&story));
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
}

#[tokio::test(start_paused = true)]
async fn secrets_that_cannot_be_written_end_the_pod_with_the_words_of_pause() {
    let spec = sandboxed("app+secret");
    let engine = engine_for(&spec);
    engine.script(PAUSE_IMAGE, Script { hook: (Duration::ZERO, 1), ..Script::obeying() });
    let outcome = Manager::start(&engine, &spec).end().await;
    assert_eq!(outcome.status, 125);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_restarts_does_not_write_the_secrets_again() {
    let spec = sandboxed("app+secret db+secret");
    let engine = engine_for(&spec);
    let first = Manager::start(&engine, &spec);
    first.told("healthy").await;
    first.kill();
    // The next manager needs the store for this component.
    engine.remove_by_name("pod.podlike.db");
    let second = Manager::start(&engine, &spec);
    sleep(60 * SECOND).await;
    let story = engine.story();
    let count = |what: What| story.iter().filter(|moment| moment.what == what).count();
    assert_eq!(count(What::Created("pod.podlike.db".into())), 2, "\n{}", script(&story));
    assert_eq!(count(What::Copied("pod.store".into())), 1, "\n{}", script(&story));
    second.stop();
    assert_eq!(second.end().await.status, 0);
    assert_eq!(engine.names(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_store_ends_the_pod() {
    let spec = sandboxed("app db+secret");
    let engine = engine_for(&spec);
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    engine.kill_by_name("pod.store");
    assert_eq!(manager.end().await.status, 137);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_crashes_is_started_again_in_place_with_growing_pauses() {
    let mut spec = sandboxed("app+post web<app");
    spec.components[0].restart = Restart::OnFailure(Some(3));
    let engine = engine_for(&spec);
    let short = (SECOND, 3);
    engine.script("app", Script { lives: vec![short, short, (20 * SECOND, 4)], ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    sleep(30 * SECOND).await;
    assert_eq!(tellings(&engine.story()).last(), Some(&"healthy"));
    manager.stop();
    let outcome = manager.end().await;
    assert_eq!((outcome.status, outcome.left), (0, vec![]));
    let story = engine.story();
    let when = |what: &What| -> Vec<Duration> {
        story.iter().filter(|moment| moment.what == *what).map(|moment| moment.at).collect()
    };
    let app = "pod.podlike.app";
    let (starts, hooks) = (when(&What::Started(app.into())), when(&What::Hooked(format!("{app} post"))));
    assert_eq!((starts.len(), hooks.len()), (4, 4), "its hooks run in each life\n{}", script(&story));
    let lives = [SECOND, SECOND, 20 * SECOND];
    let pauses: Vec<u128> =
        starts.windows(2).zip(lives).map(|(pair, life)| (pair[1] - pair[0] - life).as_millis()).collect();
    let near = |pause: u128, want: u128| (want..want + 30).contains(&pause);
    let grown = near(pauses[0], 100) && near(pauses[1], 200) && near(pauses[2], 100);
    assert!(grown, "twice as long, and short again after a long life: {pauses:?}");
    assert_eq!(when(&What::Created(app.into())).len(), 1, "it is the same container");
    assert_eq!(when(&What::Started("pod.podlike.web".into())).len(), 1, "others run on");
    assert!(
        tellings(&story).iter().filter(|told| **told == "starting").count() > 1,
        "it is not well meanwhile"
    );
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_spent_ends_the_pod_with_the_components_status() {
    let mut spec = sandboxed("app web");
    spec.components[0].restart = Restart::OnFailure(Some(2));
    let engine = engine_for(&spec);
    engine.script("app", Script { runs_for: Some(SECOND), status: 9, ..Script::obeying() });
    let outcome = Manager::start(&engine, &spec).end().await;
    assert_eq!(outcome.status, 9);
    let starts = engine.calls().iter().filter(|call| *call == "start pod.podlike.app").count();
    assert_eq!(starts, 3);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_takes_over_starts_again_what_ended_meanwhile() {
    let spec = sandboxed("app+restart web");
    let engine = engine_for(&spec);
    engine.script("app", Script { lives: vec![(5 * SECOND, 1)], ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    manager.kill();
    sleep(6 * SECOND).await;
    let manager = Manager::start(&engine.connect(0, false), &spec);
    // What only a listing tells may have been asked for: a start might have followed.
    sleep(3 * SECOND).await;
    let starts = engine.calls().iter().filter(|call| *call == "start pod.podlike.app").count();
    assert_eq!(starts, 2);
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_essential_ends_alone_and_a_sidecar_goes_last() {
    let spec = sandboxed("init-1 | app log+extra vpn+sidecar");
    let engine = engine_for(&spec);
    engine.script("init-1", Script { runs_for: Some(SECOND), ..Script::obeying() });
    engine.script("log", Script { runs_for: Some(SECOND), status: 1, ..Script::obeying() });
    engine.script("vpn", Script { health: Some((SECOND, true)), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    sleep(10 * SECOND).await;
    assert_eq!(tellings(&engine.story()), ["starting", "healthy"]);
    manager.stop();
    let outcome = manager.end().await;
    assert_eq!((outcome.status, outcome.left), (0, vec![]));
    let story = engine.story();
    let order = [
        What::Started("pod.podlike.vpn".into()),
        What::Started("pod.podlike.init-1".into()),
        What::Started("pod.podlike.app".into()),
        What::Ended("pod.podlike.app".into(), 143),
        What::Ended("pod.podlike.vpn".into(), 143),
    ];
    let places: Vec<usize> = order.iter().map(|what| at(&story, what)).collect();
    assert!(places.is_sorted(), "{places:?}\n{}", script(&story));
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_component_serves_on_for_its_delay_unless_it_ends_or_time_is_over() {
    for (delay, runs_for, want) in [(3, None, 3), (3, Some(4 * SECOND), 1), (60, None, 4)] {
        let mut spec = pod("app");
        spec.components[0].shutdown_delay = delay * SECOND;
        let engine = engine_for(&spec);
        engine.script("app", Script { runs_for, ..Script::obeying() });
        let manager = Manager::start(&engine, &spec);
        sleep(3 * SECOND).await;
        let asked = Instant::now();
        manager.stop();
        assert_eq!(manager.end().await.status, 0);
        let took = asked.elapsed();
        assert!(took >= want * SECOND && took < want * SECOND + MOMENT, "{delay} s: {took:?}");
        all_gone(&engine, &spec);
    }
}

/// Adds binds to the pod. Each bind is the component's name, the path, and whether the bind is read-only.
fn binding(mut spec: PodSpec, binds: &[(&str, &str, bool)]) -> PodSpec {
    spec.checks_mounts = true;
    for (name, path, read_only) in binds {
        let member = spec.components.iter_mut().find(|one| one.name == *name).expect("a component");
        let source = MountSource::bind(*path);
        member.container.mounts.push(Mount { target: "/t".into(), read_only: *read_only, source });
    }
    spec
}

/// A component of another pod that mounts this path writable.
fn writer(path: &str, created: bool) -> NodeContainer {
    NodeContainer {
        id: "ee".repeat(32),
        name: "other.podlike.writer".into(),
        pod: Some("ff".repeat(32)),
        role: Some("component".into()),
        created,
        command: "sleep".into(),
        mounts: vec![NodeMount { volume: None, source: path.into(), writable: true }],
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_binds_below_what_a_neighbour_writes_ends_with_64_before_anything_is_started() {
    for created in [true, false] {
        let spec = binding(pod("init-1 | app db<app"), &[("app", "/srv/a/b", true)]);
        let engine = engine_for(&spec);
        engine.neighbour(writer("/srv/a", created));
        let outcome = Manager::start(&engine, &spec).end().await;
        assert_eq!((outcome.status, outcome.left), (64, vec![]));
        let story = engine.story();
        assert_eq!(tellings(&story), ["starting", "stopping", "exit 64"]);
        for name in ["init-1", "app", "db"] {
            let created = at(&story, &What::Created(format!("pod.podlike.{name}")));
            assert!(created < at(&story, &called(NODE)), "all are created by then\n{}", script(&story));
        }
        let calls = engine.calls();
        assert!(!calls.iter().any(|call| call.starts_with("start ")), "{calls:#?}");
        all_gone(&engine, &spec);
    }
    // No conflict: the other pod mounts a path beside the bind, the bound path itself, or a path below it.
    for (path, other) in [("/srv/a/b", "/srv/c"), ("/srv/a", "/srv/a"), ("/srv/a", "/srv/a/b")] {
        let spec = binding(pod("init-1 | app db<app"), &[("app", path, true)]);
        let engine = engine_for(&spec);
        engine.script("init-1", Script { runs_for: Some(SECOND), ..Script::obeying() });
        engine.neighbour(writer(other, false));
        let manager = Manager::start(&engine, &spec);
        manager.told("healthy").await;
        manager.stop();
        assert_eq!(manager.end().await.status, 0);
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_pods_that_come_at_once_and_do_not_go_together_at_most_one_starts() {
    for wait in [0, 1, 2, 3, 4, 5, 6, 50] {
        let writes = binding(pod("app"), &[("app", "/srv", false)]);
        let mut binds = binding(pod("web"), &[("web", "/srv/a", true)]);
        (binds.identity.pod, binds.identity.name) = ("bb".repeat(32), "second".into());
        let engine = Fake::with_images(&[PAUSE_IMAGE, "app", "web"]);
        let first = Manager::start(&engine, &writes);
        sleep(Duration::from_millis(wait)).await;
        let second = Manager::start(&engine, &binds);
        sleep(5 * SECOND).await;
        let started =
            ["pod.podlike.app", "second.podlike.web"].map(|name| engine.has(&What::Started(name.into())));
        assert_ne!(started, [true, true], "{wait} ms\n{}", script(&engine.story()));
        assert!(started[0] || wait < 50, "what runs is let be");
        for (manager, started) in [(first, started[0]), (second, started[1])] {
            if started {
                manager.stop();
            }
            assert_eq!(manager.end().await.status, if started { 0 } else { 64 });
        }
        assert_eq!(engine.names(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_runs_is_not_ended_by_who_comes_later_but_what_is_started_again_is_checked() {
    let mut spec = binding(pod("app"), &[("app", "/srv/a/b", true)]);
    spec.components[0].restart = Restart::Always;
    for (created, status) in [(true, 0), (false, 64)] {
        let engine = engine_for(&spec);
        engine.script("app", Script { lives: vec![(10 * SECOND, 1)], ..Script::obeying() });
        let manager = Manager::start(&engine, &spec);
        manager.told("healthy").await;
        engine.neighbour(writer("/srv/a", created));
        sleep(5 * SECOND).await;
        assert_eq!(tellings(&engine.story()), ["starting", "healthy"], "nobody is ended for it");
        sleep(20 * SECOND).await;
        if status == 0 {
            manager.stop();
        }
        let outcome = manager.end().await;
        assert_eq!((outcome.status, outcome.left), (status, vec![]), "\n{}", script(&engine.story()));
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn what_docker_container_prune_takes_away_is_checked_once_more_when_it_is_made_again() {
    for neighbour in [false, true] {
        let spec = binding(pod("init-1 init-2 | app db"), &[("app", "/srv/a/b", true)]);
        let engine = engine_for(&spec);
        for init in ["init-1", "init-2"] {
            engine.script(init, Script { runs_for: Some(10 * SECOND), ..Script::obeying() });
        }
        let manager = Manager::start(&engine, &spec);
        sleep(15 * SECOND).await;
        // The second init component runs now. All other containers are removed.
        for name in ["init-1", "app", "db"] {
            engine.remove_by_name(&format!("pod.podlike.{name}"));
        }
        if neighbour {
            engine.neighbour(writer("/srv/a", false));
        }
        sleep(10 * SECOND).await;
        let story = engine.story();
        let starts = |name: &str| {
            let start = What::Started(format!("pod.podlike.{name}"));
            story.iter().filter(|moment| moment.what == start).count()
        };
        assert_eq!(["init-1", "init-2"].map(starts), [1, 1], "none runs twice\n{}", script(&story));
        let status = if neighbour { 64 } else { 0 };
        assert_eq!(
            ["app", "db"].map(starts),
            if neighbour { [0, 0] } else { [1, 1] },
            "\n{}",
            script(&story)
        );
        if !neighbour {
            manager.stop();
        }
        let outcome = manager.end().await;
        assert_eq!((outcome.status, outcome.left), (status, vec![]));
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_takes_over_checks_mounts_before_it_starts_what_is_left() {
    for neighbour in [false, true] {
        let spec = binding(pod("init-1 | app db"), &[("app", "/srv/a/b", true)]);
        let engine = engine_for(&spec);
        engine.script("init-1", Script { runs_for: Some(10 * SECOND), ..Script::obeying() });
        let first = Manager::start(&engine, &spec);
        sleep(5 * SECOND).await;
        first.kill();
        if neighbour {
            engine.neighbour(writer("/srv/a", false));
        }
        let second = Manager::start(&engine, &spec);
        sleep(10 * SECOND).await;
        let looks = engine.calls().iter().filter(|call| *call == NODE).count();
        assert_eq!(looks, 2, "each of them looks\n{}", script(&engine.story()));
        let started = engine.has(&What::Started("pod.podlike.app".into()));
        assert_eq!(started, !neighbour, "\n{}", script(&engine.story()));
        if !neighbour {
            second.stop();
        }
        let outcome = second.end().await;
        assert_eq!((outcome.status, outcome.left), (if neighbour { 64 } else { 0 }, vec![]));
        all_gone(&engine, &spec);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_binds_and_volumes_never_asks_for_other_pods() {
    let spec = sandboxed("init-1 | app db<app");
    let engine = engine_for(&spec);
    engine.script("init-1", Script { runs_for: Some(SECOND), ..Script::obeying() });
    engine.neighbour(writer("/", false));
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    assert!(!engine.calls().contains(&NODE.to_owned()), "{:#?}", engine.calls());
    all_gone(&engine, &spec);
}
