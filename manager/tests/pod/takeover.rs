//! A manager that takes over and finds that the pod cannot go on: nothing is left all the same (DESIGN.md,
//! rule 7).

use crate::lab::docker::docker;
use crate::lab::pod::Pod;
use crate::lab::{LONG, here, idle, wait};

#[test]
fn a_definition_that_no_longer_holds_after_a_crash_ends_the_pod_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "content").expect("written");
    let mount = format!("-v={}:/cfg", folder.path().display());
    // With PIDs unshared nothing but the manager would end the component.
    let pod = Pod::plan("takeover")
        .options(&[&mount])
        .args(&["--pids=false", "--ipc=false"])
        .component("app", &idle())
        .label("pod.copy.app", "/cfg/file:/tmp/file")
        .start();
    pod.wait_healthy();
    std::fs::remove_file(&file).expect("removed");
    pod.crash_manager("KILL");
    let end = pod.wait_end();
    assert_eq!(end.status, 64);
    pod.assert_nothing_left();
}

#[test]
fn a_stop_that_comes_while_the_manager_is_started_again_ends_with_0_and_leaves_nothing() {
    // A stop that meets a manager which is down, young, or looking for what an earlier one left.
    for (round, args) in [&["--pids=false", "--ipc=false"][..], &[]].iter().cycle().take(8).enumerate() {
        let pod = Pod::plan("takeover-stop").args(args).component("app", &idle()).start();
        pod.wait_healthy();
        pod.crash_manager("KILL");
        // The first rounds at once, the others when the next manager has just begun.
        if round >= 4 {
            wait("the next manager", LONG, || pod.manager_pid());
        }
        let end = pod.stop_clean();
        assert!(end.took < here(std::time::Duration::from_secs(8)), "round {round}: took {:?}", end.took);
    }
}

#[test]
fn signals_that_mean_nothing_are_no_crash() {
    let pod = Pod::plan("signals").component("app", &idle()).start();
    pod.wait_healthy();
    let manager = pod.manager_pid();
    for signal in ["HUP", "QUIT", "USR1", "USR2"] {
        docker(&["kill", "-s", signal, pod.id()]);
        pod.wait_said(&format!("signal {signal} has no effect"));
    }
    assert_eq!(pod.manager_pid(), manager, "the same manager runs on");
    pod.stop_clean();
}

#[test]
fn an_earlier_run_is_removed_also_when_this_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "content").expect("written");
    let mount = format!("-v={}:/cfg", folder.path().display());
    let pod = Pod::plan("refused-run")
        .options(&[&mount])
        .args(&["--pids=false", "--ipc=false"])
        .component("app", &idle())
        .label("pod.copy.app", "/cfg/file:/tmp/file")
        .start();
    pod.wait_healthy();
    docker(&["kill", pod.id()]);
    wait("the task container is down", crate::lab::LONG, || {
        (pod.task()["State"]["Status"] == "exited").then_some(())
    });
    std::fs::remove_file(&file).expect("removed");
    docker(&["start", pod.id()]);
    let end = pod.wait_end();
    assert_eq!(end.status, 64);
    pod.assert_nothing_left();
}
