//! `pre_start` as stories: once for each run of the pod, whatever becomes of the manager.

use std::time::Duration;

use tokio::time::sleep;

use crate::reconcile::tests::harness::{Manager, all_gone, at, engine_for, script, tellings};
use engine::fake::{Fake, Moment, Script, What};
use pod::pre_start;
use pod::spec::{PodSpec, Restart};
use pod::testing::sandboxed;

const SECOND: Duration = Duration::from_secs(1);

fn step() -> Script {
    Script { runs_for: Some(SECOND), ..Script::obeying() }
}

/// An engine with the images of the pod, and the steps of `app` in it, each of a second.
fn engine(spec: &PodSpec) -> Fake {
    let engine = engine_for(spec);
    for number in 1..=2 {
        engine.script(&pre_start::name("app", number), step());
    }
    engine
}

fn starts(story: &[Moment], name: &str) -> usize {
    let started = What::Started(format!("pod.podlike.{name}"));
    story.iter().filter(|moment| moment.what == started).count()
}

#[tokio::test(start_paused = true)]
async fn steps_run_in_order_between_what_the_component_depends_on_and_the_component() {
    let spec = sandboxed("app+copy+secret+step+step<db:healthy db web<app");
    let engine = engine(&spec);
    engine.script("db", Script { health: Some((3 * SECOND, true)), ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    manager.told("healthy").await;
    assert!(engine.names().contains(&"pod.podlike.app.pre-1".to_owned()), "kept until the pod ends");
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    let story = engine.story();
    let order = [
        What::Started("pod.podlike.db".into()),
        What::Started("pod.podlike.app.pre-1".into()),
        What::Ended("pod.podlike.app.pre-1".into(), 0),
        What::Started("pod.podlike.app.pre-2".into()),
        What::Ended("pod.podlike.app.pre-2".into(), 0),
        What::Started("pod.podlike.app".into()),
        What::Started("pod.podlike.web".into()),
        What::Told("healthy".into()),
    ];
    let places: Vec<usize> = order.iter().map(|what| at(&story, what)).collect();
    assert!(places.is_sorted(), "{places:?}\n{}", script(&story));
    for name in ["app", "app.pre-1", "app.pre-2"] {
        at(&story, &What::Copied(format!("pod.podlike.{name}")));
    }
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_ends_the_pod_with_its_status_before_anything_waits_on() {
    let spec = sandboxed("app+step+step db web<app");
    let engine = engine(&spec);
    engine.script("app.pre-1", Script { runs_for: Some(SECOND), status: 7, ..Script::obeying() });
    assert_eq!(Manager::start(&engine, &spec).end().await.status, 7);
    let story = engine.story();
    assert_eq!(["app.pre-1", "app.pre-2", "app", "web"].map(|name| starts(&story, name)), [1, 0, 0, 0]);
    assert_eq!(tellings(&story), ["starting", "stopping", "exit 7"]);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn each_step_runs_once_whichever_call_the_manager_dies_in_and_whether_the_engine_acted() {
    for acts in [true, false] {
        for call in 1.. {
            let spec = sandboxed("init-1 | app+copy+post+secret+step+step<db db");
            let engine = engine(&spec);
            engine.script("init-1", step());
            let first = engine.connect(call, acts);
            let manager = Manager::start(&first, &spec);
            let died = tokio::select! {
                () = manager.told("healthy") => false,
                () = first.died() => true,
            };
            manager.kill();
            // The next one comes while a step runs, and when it has ended.
            sleep(if call % 2 == 0 { SECOND / 10 } else { 3 * SECOND }).await;
            let second = engine.connect(0, false);
            let manager = Manager::start(&second, &spec);
            sleep(60 * SECOND).await;
            let story = engine.story();
            let case = format!("call {call}, acts: {acts}");
            assert_eq!(tellings(&story).last(), Some(&"healthy"), "{case}\n{}", script(&story));
            let starts = ["app.pre-1", "app.pre-2", "app"].map(|name| starts(&story, name));
            assert_eq!(starts, [1, 1, 1], "{case}\n{}", script(&story));
            manager.stop();
            assert_eq!(manager.end().await.status, 0, "{case}");
            all_gone(&engine, &spec);
            if !died {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_copied_into_a_volume_of_the_components_image_is_not_copied_with_a_step() {
    // With two managers, of which the second cannot know what the first one copied into the second step's container.
    for (image, want) in [("app", [0, 0]), ("app.pre-1", [1, 2]), ("db", [1, 2])] {
        let spec = sandboxed("app+copy+step+step db");
        let engine = engine(&spec);
        engine.has_image_volume(image, "/copied");
        let manager = Manager::start(&engine, &spec);
        sleep(SECOND / 2).await;
        assert_eq!(starts(&engine.story(), "app.pre-1"), 1, "{image}\n{}", script(&engine.story()));
        manager.kill();
        let manager = Manager::start(&engine, &spec);
        manager.told("healthy").await;
        let story = engine.story();
        let copied = ["app.pre-1", "app.pre-2"].map(|name| {
            let copied = What::Copied(format!("pod.podlike.{name}"));
            story.iter().filter(|moment| moment.what == copied).count()
        });
        assert!(
            at(&story, &What::Copied("pod.podlike.app".into()))
                < at(&story, &What::Started("pod.podlike.app.pre-1".into()))
        );
        assert_eq!(copied, want, "{image}\n{}", script(&story));
        manager.stop();
        assert_eq!(manager.end().await.status, 0);
        assert_eq!(engine.names(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_component_runs_no_step_also_where_its_containers_were_removed() {
    let mut spec = sandboxed("app+step+step db");
    spec.components[0].restart = Restart::Always;
    let engine = engine(&spec);
    engine.script("app", Script { lives: vec![(5 * SECOND, 3), (5 * SECOND, 3)], ..Script::obeying() });
    let manager = Manager::start(&engine, &spec);
    sleep(8 * SECOND).await;
    // What `docker container prune` removes.
    for name in ["app.pre-1", "app.pre-2"] {
        engine.remove_by_name(&format!("pod.podlike.{name}"));
    }
    sleep(30 * SECOND).await;
    manager.kill();
    let manager = Manager::start(&engine, &spec);
    sleep(60 * SECOND).await;
    let story = engine.story();
    assert_eq!(tellings(&story).last(), Some(&"healthy"), "\n{}", script(&story));
    assert_eq!(["app.pre-1", "app.pre-2", "app"].map(|name| starts(&story, name)), [1, 1, 3]);
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    all_gone(&engine, &spec);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_is_removed_before_its_step_is_created_is_created_again() {
    let spec = sandboxed("app+step");
    let engine = engine(&spec);
    engine.slow("create pod.podlike.app.pre-1", SECOND);
    let manager = Manager::start(&engine, &spec);
    while !engine.has(&What::Called("create pod.podlike.app.pre-1".into())) {
        sleep(Duration::from_micros(100)).await;
    }
    engine.remove_by_name("pod.podlike.app");
    manager.told("healthy").await;
    let creations = engine.calls().into_iter().filter(|call| call == "create pod.podlike.app").count();
    assert_eq!(creations, 2, "\n{}", script(&engine.story()));
    manager.stop();
    assert_eq!(manager.end().await.status, 0);
    assert_eq!(engine.names(), Vec::<String>::new());
}
