//! A pod ends in its time, whatever the engine does: every pair of calls that hang, from the beginning or once the pod is
//! healthy, over the engine in memory. A manager elsewhere and an agent run the same loop.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::reconcile::tests::harness::{Manager, NODE, engine_for, script, tellings};
use engine::fake::Script;
use pod::plan::{AFTER_STOP, ENGINE_TIMEOUT};
use pod::testing::sandboxed;

/// Every call of a pod. `look` is the end of a hook, `none` hangs nothing.
const CALLS: [&str; 15] = [
    "pull", "create", "copy", "run", "stat", "start", "exec", "look", "stop", "remove", "inspect", "events",
    "list", NODE, "none",
];
/// What no hang of the beginning may outlast by itself: the limit of a pod whose engine does not answer.
const LIMIT: Duration = Duration::from_secs(ENGINE_TIMEOUT.as_secs() * 4);

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    /// The first call on.
    TheBeginning,
    /// The pod is healthy.
    Healthy,
    /// Its stop is asked for, and the first components are being stopped.
    TheStop,
}

/// Run a pod of every feature whose calls of these kinds hang; a stop is asked for in the end. Says what is wrong.
async fn play(hangs: [&str; 2], from: From) -> Option<String> {
    let mut spec = sandboxed("init-1 | app+copy+post+pre+secret db+post+pre<app:healthy web+pre<db");
    spec.checks_mounts = true;
    spec.pull_always = true;
    let engine = engine_for(&spec);
    engine.script("init-1", Script { runs_for: Some(Duration::from_secs(1)), ..Script::default() });
    let app = Script { health: Some((Duration::from_secs(1), true)), ..Script::default() };
    engine.script("app", app);
    let hang = || hangs.iter().for_each(|call| engine.hang(call));
    if from == From::TheBeginning {
        hang();
    }
    let mut manager = Manager::start(&engine, &spec);
    if from == From::TheBeginning {
        sleep(Duration::from_secs(5)).await;
    } else {
        manager.told("healthy").await;
    }
    if from == From::Healthy {
        hang();
        sleep(Duration::from_secs(5)).await;
    }
    let asked = Instant::now();
    manager.stop();
    if from == From::TheStop {
        sleep(Duration::from_millis(500)).await;
        hang();
    }
    let outcome = timeout(LIMIT, manager.ended()).await;
    let took = asked.elapsed();
    let story = engine.story();
    let wrong = |words: String| Some(format!("{hangs:?} from {from:?}: {words}\n{}", script(&story)));
    let Ok(outcome) = outcome else { return wrong("no end".into()) };
    if took > spec.stop_timeout + AFTER_STOP {
        return wrong(format!("it took {took:?}"));
    }
    let told = tellings(&story).iter().find_map(|told| told.strip_prefix("exit ").map(str::to_owned));
    if told != Some(outcome.status.to_string()) {
        return wrong(format!("`pause` was told {told:?}, and the status is {}", outcome.status));
    }
    let unnamed: Vec<String> =
        engine.names().into_iter().filter(|name| !outcome.left.contains(name)).collect();
    if !unnamed.is_empty() {
        return wrong(format!("{unnamed:?} are left, named are {:?}", outcome.left));
    }
    None
}

#[test]
fn a_pod_ends_in_its_time_with_its_status_and_names_what_is_left_whatever_two_calls_hang() {
    let mut wrong = Vec::new();
    for (place, one) in CALLS.iter().enumerate() {
        for other in &CALLS[place + 1..] {
            for from in [From::TheBeginning, From::Healthy, From::TheStop] {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
                wrong.extend(runtime.expect("a runtime").block_on(play([one, other], from)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n----\n"));
}
