//! `depends_on` on the real engine: what is waited for, and what comes of it where it does not come.

use crate::lab::docker::docker;
use crate::lab::pod::Pod;
use crate::lab::{idle, script, until_let_go};

fn waits(keys: &str, condition: &str) -> String {
    format!("{keys}depends_on: {{migrate: {condition}}}\n")
}

const DONE: &str = "{condition: service_completed_successfully}";

#[test]
fn a_component_whose_end_is_waited_for_ends_and_the_pod_goes_on() {
    let pod = Pod::plan("done")
        .component("migrate", &script(&until_let_go("0")))
        .component("app", &waits(&idle(), DONE))
        .start();
    pod.wait_running(&["migrate"]);
    assert_eq!(pod.component("app")["State"]["Status"], "created", "it waits");
    assert!(!pod.healthy_now());
    pod.let_go("migrate");
    pod.wait_running(&["app"]);
    pod.wait_healthy();
    // What has ended may be pruned, and does not run again: not by this manager, nor by the next one.
    docker(&["rm", &pod.container("migrate")]);
    let crashed = pod.crash_manager("KILL");
    crate::lab::wait("another manager", crate::lab::LONG, || pod.manager_pid().filter(|pid| *pid != crashed));
    pod.wait_said("the pod of");
    crate::lab::wait("healthy again", crate::lab::LONG, || pod.healthy_now().then_some(()));
    assert_eq!(pod.members().len(), 2, "the sandbox and `app`");
    pod.stop_clean();
}

#[test]
fn podlike_bug_11_a_dependency_that_fails_fails_the_pod_and_names_who_waits() {
    let (said, pod) = Pod::plan("failed")
        .component("migrate", &script("exit 3"))
        .component("app", &waits(&idle(), DONE))
        .component("web", &format!("{}depends_on: [app]\n", idle()))
        .run();
    assert_eq!(said.status, 3, "{}", said.error());
    let want = "`web` waits for `app`, which waits for `migrate`; component `migrate` ended with status 3";
    assert!(said.error().contains(want), "{}", said.error());
    pod.assert_nothing_left();
}

#[test]
fn podlike_bug_11_a_circle_and_a_dependency_on_nothing_are_refused_at_once() {
    let (said, pod) = Pod::plan("circle")
        .component("a", &format!("{}depends_on: [b]\n", idle()))
        .component("b", &format!("{}depends_on: [a, none]\n", idle()))
        .run();
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("components wait for each other: `a` -> `b` -> `a`"), "{}", said.error());
    assert!(said.error().contains("there is no component `none`"), "{}", said.error());
    pod.assert_nothing_left();
}

#[test]
fn a_dependency_that_is_not_required_may_fail() {
    let optional = "{condition: service_completed_successfully, required: false}";
    let pod = Pod::plan("optional")
        .component("migrate", &script("exit 3"))
        .component("app", &waits(&idle(), optional))
        .start();
    pod.wait_healthy();
    pod.stop_clean();
}
