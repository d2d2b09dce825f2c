//! The manager can die at any instruction: restarted, it goes on; nothing is started twice, nothing is left.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::lab::docker::{attempt, docker, labelled, on_host, try_inspect};
use crate::lab::pod::Pod;
use crate::lab::proxy::Verdict;
use crate::lab::{LONG, idle, script, wait};

/// Id and start of each container of the pod, by name.
fn world(pod: &Pod) -> BTreeMap<String, (String, String)> {
    pod.members()
        .iter()
        // One that was listed may be gone by now.
        .filter_map(|id| {
            let one = try_inspect(id)?;
            let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
            Some((text(&one["Name"]), (text(&one["Id"]), text(&one["State"]["StartedAt"]))))
        })
        .collect()
}

#[test]
fn a_crash_of_the_manager_leaves_the_components_running() {
    for signal in ["ABRT", "ILL", "KILL"] {
        let pod = Pod::plan("crash")
            .args(&["--logs"])
            .component("app", &script("n=0; while :; do n=$((n+1)); echo line $n; sleep 0.1; done"))
            .component("other", &idle())
            .start();
        pod.wait_running(&["app", "other"]);
        pod.wait_healthy();
        let before = world(&pod);
        let crashed = pod.crash_manager(signal);
        wait("another manager runs", LONG, || pod.manager_pid().filter(|pid| *pid != crashed));
        wait("the pod is healthy again", LONG, || pod.healthy_now().then_some(()));
        assert_eq!(world(&pod), before, "{signal}");
        // It follows the output again, and still ends the pod when a component ends.
        let lines = pod.logs().0.lines().count();
        wait("more output", LONG, || (pod.logs().0.lines().count() > lines + 3).then_some(()));
        if signal == "ABRT" {
            docker(&["kill", "-s", "KILL", &pod.container("other")]);
            assert_eq!(pod.wait_end().status, 137);
            pod.assert_nothing_left();
        } else {
            pod.stop_clean();
        }
    }
}

#[test]
fn a_crash_at_any_change_during_the_start_converges_without_duplicates() {
    // Sandbox and two components: six changes to the engine, one of them at each crash.
    for crash_at in 0..6 {
        let name: Arc<Mutex<Option<String>>> = Arc::default();
        let crashed = Arc::new(AtomicBool::new(false));
        let (rule_name, rule_crashed) = (Arc::clone(&name), Arc::clone(&crashed));
        let plan = Pod::plan("crash-start");
        *name.lock().expect("mine") = Some(plan.name().to_owned());
        let pod = plan
            .proxied(move |seen| {
                if seen.changes()
                    && seen.changes_before == crash_at
                    && !rule_crashed.swap(true, Ordering::SeqCst)
                {
                    let task = rule_name.lock().expect("mine").clone().expect("a name");
                    let top = attempt(&["top", &task, "-eo", "pid,comm"]).text();
                    let pid = top.lines().find_map(|line| line.trim().strip_suffix("manager")).map(str::trim);
                    on_host(&format!("kill -KILL {}", pid.expect("there is a manager")));
                }
                // The engine acts on it; nobody hears the answer.
                Verdict::Pass
            })
            .component("a", &idle())
            .component("b", &idle())
            .start();
        wait(format!("the manager crashes at change {crash_at}"), LONG, || {
            crashed.load(Ordering::SeqCst).then_some(())
        });
        pod.wait_running(&["a", "b"]);
        pod.wait_healthy();
        let names: Vec<String> = world(&pod).into_keys().collect();
        let want = [
            format!("/{}.pause", pod.name()),
            format!("/{}.podlike.a", pod.name()),
            format!("/{}.podlike.b", pod.name()),
        ];
        assert_eq!(names, want, "crash at change {crash_at}");
        pod.stop_clean();
    }
}

#[test]
fn a_crash_during_the_stop_still_ends_with_0_and_leaves_nothing() {
    let slow = script("trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done");
    let pod = Pod::plan("crash-stop").component("app", &slow).component("other", &idle()).start();
    pod.wait_running(&["app", "other"]);
    pod.wait_healthy();
    let stopping = std::thread::spawn({
        let id = pod.id().to_owned();
        move || docker(&["stop", "-t", "60", &id])
    });
    pod.wait_said("asked to stop");
    pod.crash_manager("KILL");
    stopping.join().expect("stopped");
    assert_eq!(pod.wait_end().status, 0);
    pod.assert_nothing_left();
}

#[test]
fn a_component_that_ends_while_the_manager_is_away_still_ends_the_pod() {
    let pod = Pod::plan("crash-exit").component("app", &idle()).component("other", &idle()).start();
    pod.wait_running(&["app", "other"]);
    pod.wait_healthy();
    let manager = pod.manager_pid().expect("there is a manager");
    let app = pod.component("app")["State"]["Pid"].as_u64().expect("a pid");
    on_host(&format!("kill -KILL {manager}; kill -KILL {app}"));
    assert_eq!(pod.wait_end().status, 137);
    pod.assert_nothing_left();
}

#[test]
fn components_of_an_earlier_run_are_replaced_and_never_adopted() {
    for args in [&[][..], &["--pids=false", "--ipc=false"][..]] {
        let pod = Pod::plan("rerun").args(args).component("app", &idle()).component("other", &idle()).start();
        pod.wait_running(&["app", "other"]);
        pod.wait_healthy();
        let before = world(&pod);
        // Killed at once, it leaves its components behind.
        docker(&["kill", "-s", "KILL", pod.id()]);
        assert_eq!(world(&pod).len(), before.len(), "{args:?}");
        docker(&["start", pod.id()]);
        wait("every container is new", LONG, || {
            let now = world(&pod);
            let ids: Vec<&String> = before.values().map(|(id, _)| id).collect();
            (now.len() == before.len() && now.values().all(|(id, _)| !ids.contains(&id))).then_some(())
        });
        pod.wait_running(&["app", "other"]);
        let started = pod.task()["State"]["StartedAt"].clone();
        assert_eq!(pod.component("app")["Config"]["Labels"]["io.tandem.run"], started);
        // They live in the network of the new run, not of the old one that kept only `lo`.
        assert!(pod.exec("app", "ip -o addr").contains("eth0"), "{args:?}");
        pod.stop_clean();
    }
}

#[test]
fn a_restart_of_the_task_container_replaces_its_components() {
    let pod = Pod::plan("restart").component("app", &idle()).start();
    pod.wait_healthy();
    let before = world(&pod);
    docker(&["restart", "-t", "30", pod.id()]);
    pod.wait_running(&["app"]);
    let after = world(&pod);
    assert!(before.iter().all(|(name, (id, _))| after[name].0 != *id), "{before:?} {after:?}");
    pod.wait_healthy();
    pod.stop_clean();
}

#[test]
fn an_event_stream_that_breaks_is_followed_by_a_full_listing() {
    let pod = Pod::plan("events")
        .proxied(|_| Verdict::Pass)
        .component("app", &idle())
        .component("other", &idle())
        .start();
    pod.wait_healthy();
    let listings = |pod: &Pod| {
        pod.proxy().calls().iter().filter(|call| call.seen.path.starts_with("/containers/json")).count()
    };
    let before = listings(&pod);
    pod.proxy().break_all();
    wait("another listing", LONG, || (listings(&pod) > before).then_some(()));
    assert_eq!(pod.task()["State"]["Running"], true);
    // And what happens then is seen.
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    assert_eq!(pod.wait_end().status, 137);
    pod.assert_nothing_left();
}

#[test]
fn an_engine_that_is_away_for_a_moment_is_waited_for_and_what_happened_is_seen() {
    let away = Arc::new(AtomicBool::new(false));
    let rule = Arc::clone(&away);
    let pod = Pod::plan("away")
        .proxied(move |_| match rule.load(Ordering::SeqCst) {
            true => Verdict::Refuse(503, "the engine is away"),
            false => Verdict::Pass,
        })
        .component("app", &idle())
        .component("other", &idle())
        .start();
    pod.wait_healthy();
    away.store(true, Ordering::SeqCst);
    pod.proxy().break_all();
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    let calls = pod.proxy().calls().len();
    wait("the manager has tried again", LONG, || (pod.proxy().calls().len() > calls + 1).then_some(()));
    assert_eq!(pod.task()["State"]["Running"], true, "an engine that is away does not end a pod that runs");
    away.store(false, Ordering::SeqCst);
    assert_eq!(pod.wait_end().status, 137);
    pod.assert_nothing_left();
}

#[test]
fn a_name_in_the_way_for_a_moment_is_waited_out() {
    let plan = Pod::plan("conflict");
    let taken = format!("{}.podlike.app", plan.name());
    docker(&[
        "create",
        "--name",
        &taken,
        "--label",
        "io.tandem.test=conflict",
        &crate::lab::test_image(),
        "true",
    ]);
    let pod = plan.component("app", &idle()).start();
    pod.wait_said("is already in use");
    docker(&["rm", &taken]);
    pod.wait_running(&["app"]);
    pod.stop_clean();
}

#[test]
fn a_pod_leaves_the_containers_of_others_alone() {
    let other = Pod::plan("others").component("app", &idle()).start();
    other.wait_healthy();
    let before = world(&other);
    let pod = Pod::plan("mine").component("app", &idle()).start();
    pod.wait_running(&["app"]);
    pod.crash_manager("ABRT");
    pod.wait_running(&["app"]);
    pod.stop_clean();
    assert_eq!(world(&other), before);
    assert_eq!(labelled(&format!("io.tandem.pod={}", other.id())).len(), before.len());
    other.stop_clean();
}
