//! Healthy means: all init components done, all components started, each that has a health check healthy.

use std::time::Duration;

use crate::lab::docker::{docker, inspect};
use crate::lab::pod::Pod;
use crate::lab::{LONG, idle, script, until_let_go, wait};

/// Healthy when the file `/good` is there.
fn checked() -> String {
    format!(
        "{}healthcheck: {{test: [CMD, test, -f, /good], interval: 500ms, retries: 1, start_period: 1s}}\n",
        idle()
    )
}

#[test]
fn the_image_checks_health_with_time_for_a_slow_start() {
    let said = docker(&[
        "image",
        "inspect",
        &crate::lab::manager_image(),
        "--format",
        "{{json .Config.Healthcheck}}",
    ]);
    let check: serde_json::Value = serde_json::from_slice(&said.out).expect("JSON");
    assert_eq!(check["Interval"], 2_000_000_000_i64);
    assert_eq!(check["Timeout"], 3_000_000_000_i64);
    assert_eq!(check["StartPeriod"], 300_000_000_000_i64);
    assert_eq!(check["Retries"], 3);
}

#[test]
fn a_pod_is_healthy_exactly_while_its_components_are() {
    let pod = Pod::plan("health").component("checked", &checked()).component("unchecked", &idle()).start();
    pod.wait_running(&["checked", "unchecked"]);
    // The check has run and said no: the pod is not healthy, whatever else is up.
    let status =
        || pod.component("checked")["State"]["Health"]["Status"].as_str().expect("a word").to_owned();
    wait("the component is unhealthy", LONG, || (status() == "unhealthy").then_some(()));
    assert!(!pod.healthy_now());
    assert_ne!(pod.health(), "healthy");
    pod.exec("checked", "touch /good");
    wait("the pod is healthy", LONG, || {
        let (pod_first, component_then) = (pod.healthy_now(), status());
        assert!(!pod_first || component_then == "healthy", "healthy before its component");
        pod_first.then_some(())
    });
    pod.wait_healthy();
    pod.exec("checked", "rm /good");
    wait("the pod is not healthy", LONG, || (!pod.healthy_now()).then_some(()));
    wait("the engine knows", LONG, || (pod.health() == "unhealthy").then_some(()));
    pod.exec("checked", "touch /good");
    pod.wait_healthy();
    pod.stop_clean();
}

#[test]
fn a_pod_is_not_healthy_before_its_init_components_are_done() {
    let init = format!("- {}", script(&until_let_go("0")).trim_end().replace('\n', "\n  "));
    let pod = Pod::plan("health-init").label("pod.init.components", &init).component("app", &idle()).start();
    pod.wait_running(&["init-1"]);
    wait("the health check has run", LONG, || {
        let log = pod.task()["State"]["Health"]["Log"].as_array().map_or(0, Vec::len);
        (log >= 1).then_some(())
    });
    assert!(!pod.healthy_now());
    assert_eq!(pod.health(), "starting");
    pod.let_go("init-1");
    pod.wait_healthy();
    pod.stop_clean();
}

#[test]
fn a_dependency_is_waited_for_until_it_is_healthy() {
    let waits = format!("{}depends_on: {{checked: {{condition: service_healthy}}}}\n", idle());
    let after = format!("{}depends_on: [waits]\n", idle());
    let pod = Pod::plan("depends")
        .component("checked", &checked().replace("start_period: 1s", "start_period: 60s"))
        .component("waits", &waits)
        .component("after", &after)
        .start();
    pod.wait_running(&["checked"]);
    wait("the check has run", LONG, || {
        pod.component("checked")["State"]["Health"]["Log"]
            .as_array()
            .is_some_and(|log| log.len() >= 2)
            .then_some(())
    });
    for name in ["waits", "after"] {
        let state = crate::lab::docker::try_inspect(&pod.container(name));
        assert!(state.is_none_or(|state| state["State"]["Running"] == false), "`{name}` did not wait");
    }
    assert!(!pod.healthy_now());
    pod.exec("checked", "touch /good");
    pod.wait_running(&["waits", "after"]);
    let started =
        |name| crate::lab::docker::time(pod.component(name)["State"]["StartedAt"].as_str().expect("a time"));
    assert!(started("checked") < started("waits") && started("waits") < started("after"));
    pod.wait_healthy();
    pod.stop_clean();
}

#[test]
fn a_dependency_that_becomes_unhealthy_ends_the_pod() {
    let waits = format!("{}depends_on: {{checked: {{condition: service_healthy}}}}\n", idle());
    let pod = Pod::plan("depends-bad").component("checked", &checked()).component("waits", &waits).start();
    let end = pod.wait_end();
    assert_eq!(end.status, 1);
    assert!(pod.logs().1.contains("unhealthy"), "{:?}", pod.logs());
    pod.assert_nothing_left();
}

#[test]
fn a_health_check_that_is_off_is_not_waited_for() {
    // Podlike's bug 5.
    for off in ["healthcheck: {disable: true}\n", "healthcheck: {test: [NONE]}\n"] {
        let pod = Pod::plan("health-off").component("app", &format!("{}{off}", idle())).start();
        pod.wait_healthy();
        assert!(pod.component("app")["State"]["Health"].is_null(), "{off}");
        pod.stop_clean();
    }
}

#[test]
fn health_needs_no_writable_file_and_cannot_be_forged_by_one() {
    let pod = Pod::plan("health-read-only")
        .options(&["--read-only", "--tmpfs", "/run:mode=1777"])
        .component("checked", &checked())
        .component("forger", &script("printf 'pause healthy' >/proc/1/comm; exec sleep 100000"))
        .start();
    pod.wait_running(&["checked", "forger"]);
    wait("a check has run", LONG, || {
        pod.task()["State"]["Health"]["Log"].as_array().is_some_and(|log| !log.is_empty()).then_some(())
    });
    assert!(!pod.healthy_now());
    pod.exec("checked", "touch /good");
    pod.wait_healthy();
    assert_eq!(pod.stop().status, 0);
    pod.assert_nothing_left();
}

#[test]
fn health_is_taken_back_when_the_pod_ends() {
    let slow = script("trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done");
    let pod = Pod::plan("health-stop").component("app", &slow).start();
    pod.wait_healthy();
    let stopping = std::thread::spawn({
        let id = pod.id().to_owned();
        move || docker(&["stop", "-t", "60", &id])
    });
    pod.wait_said("asked to stop");
    if inspect(pod.id())["State"]["Running"] == true {
        assert!(!pod.healthy_now());
    }
    stopping.join().expect("stopped");
    pod.assert_nothing_left();
    // A stop of two seconds and not of eight: what ends by itself is not waited for longer.
    assert!(pod.wait_end_within(Duration::from_secs(5)).status == 0);
}
