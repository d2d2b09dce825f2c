//! Whoever is killed, halted or starved: the pod ends with the right status or runs on, and nothing is left.

use std::time::Duration;

use crate::lab::docker::{attempt, docker, inspect, on_host, time, try_inspect};
use crate::lab::pod::Pod;
use crate::lab::{LONG, here, idle, script, wait};

fn pid(container: &str) -> i64 {
    inspect(container)["State"]["Pid"].as_i64().expect("a process")
}

#[test]
fn what_ends_while_the_manager_is_halted_is_seen_afterwards() {
    let pod = Pod::plan("halted").component("app", &idle()).component("db", &idle()).start();
    pod.wait_healthy();
    let manager = pod.manager_pid().expect("a manager");
    on_host(&format!("kill -STOP {manager}"));
    docker(&["kill", "-s", "KILL", &pod.container("db")]);
    assert_eq!(pod.component("app")["State"]["Running"], true);
    on_host(&format!("kill -CONT {manager}"));
    assert_eq!(pod.wait_end().status, 137);
    pod.wait_said("component `db` ended with status 137 (SIGKILL)");
    pod.assert_nothing_left();
}

#[test]
fn a_pod_that_was_paused_runs_on() {
    let pod = Pod::plan("paused")
        .args(&["--log=debug"])
        .component("app", &format!("{}restart: always\n", idle()))
        .start();
    pod.wait_healthy();
    docker(&["pause", pod.id()]);
    assert_eq!(pod.task()["State"]["Status"], "paused");
    docker(&["unpause", pod.id()]);
    pod.wait_healthy();
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    pod.wait_said("start again `app`");
    pod.wait_healthy();
    pod.stop_clean();
}

#[test]
fn a_shim_that_is_killed_takes_its_component_and_the_pod_along() {
    let pod = Pod::plan("shim").component("app", &idle()).component("db", &idle()).start();
    pod.wait_healthy();
    let id = inspect(&pod.container("app"))["Id"].as_str().expect("an id").to_owned();
    let find = format!("tr '\\0' ' ' < $file 2>/dev/null | grep -q '^[^ ]*containerd-shim[^ ]* .*-id {id}'");
    let killed = on_host(&format!(
        "for file in /proc/[0-9]*/cmdline; do if {find}; then kill -KILL $(echo $file | cut -d/ -f3) && echo killed; fi; done"
    ));
    assert_eq!(killed, "killed");
    let end = pod.wait_end();
    assert_ne!(end.status, 0, "it did not end as asked");
    pod.assert_nothing_left();
}

#[test]
fn a_pod_that_takes_more_memory_than_its_task_may_ends_and_leaves_nothing() {
    let hungry = script(
        "until [ -f /dev/shm/go ]; do usleep 20000; done; exec awk 'BEGIN { x = \"0123456789abcdef\"; while (1) x = x x }'",
    );
    let pod = Pod::plan("hunger")
        .options(&["--memory=64m"])
        .component("app", &hungry)
        .component("db", &idle())
        .start();
    pod.wait_healthy();
    pod.exec("db", "touch /dev/shm/go");
    let end = pod.wait_end();
    assert_eq!(end.status, 137);
    wait("nothing is left", LONG, || pod.members().is_empty().then_some(()));
}

#[test]
fn when_all_are_killed_at_once_the_processes_end_and_the_next_run_begins_anew() {
    let pod = Pod::plan("massacre")
        .component("app", &idle())
        .component("shell", &script("sleep 100000 & sleep 100000 & wait"))
        .start();
    pod.wait_healthy();
    let before = inspect(&pod.container("app"))["Id"].clone();
    let sandbox = format!("{}.pause", pod.name());
    let manager = pod.manager_pid().expect("a manager");
    on_host(&format!("kill -KILL {} {manager} {}", pid(pod.id()), pid(&sandbox)));
    let killed = wait("it ends", LONG, || {
        let state = pod.task()["State"].clone();
        (state["Running"] == false).then(|| time(state["FinishedAt"].as_str().expect("a time")))
    });
    for component in ["app", "shell"] {
        let name = pod.container(component);
        // Removed by the manager of another pod that has begun meanwhile: then it has ended too.
        let ended = wait(format!("`{name}` ends"), LONG, || {
            let Some(found) = try_inspect(&name) else { return Some(killed) };
            let state = &found["State"];
            (state["Running"] == false).then(|| time(state["FinishedAt"].as_str().expect("a time")))
        });
        let after = ended.saturating_sub(killed);
        assert!(after <= here(Duration::from_secs(1)), "`{name}` ended {after:?} after its task container");
    }
    docker(&["start", pod.id()]);
    pod.wait_healthy();
    assert_ne!(inspect(&pod.container("app"))["Id"], before, "what only keeps `lo` is never adopted");
    pod.stop_clean();
}

#[test]
fn a_copy_that_finds_no_room_fails_in_words_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let large = folder.path().join("large");
    std::fs::write(&large, vec![7; 2 << 20]).expect("written");
    let (said, pod) = Pod::plan("full")
        .options(&["-v", &format!("{}:/large:ro", large.display())])
        .label("pod.scratch", "[{name: small, type: memory, size: 1m}]")
        .label("pod.copy.app", "/large:/small/large")
        .component("app", &format!("{}volumes: ['small:/small']\n", idle()))
        .run();
    assert_eq!(said.status, 125, "{}", said.error());
    assert!(said.error().contains("no space left on device"), "{}", said.error());
    pod.assert_nothing_left();
    assert_ne!(attempt(&["inspect", &format!("{}.store", pod.name())]).status, 0);
}
