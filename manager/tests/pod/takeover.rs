//! A manager that takes over and finds that the pod cannot go on: nothing is left all the same (DESIGN.md,
//! rule 7).

use crate::lab::docker::docker;
use crate::lab::pod::Pod;
use crate::lab::{idle, wait};

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
    assert_eq!(pod.members().len(), 1, "the component runs on");
    std::fs::remove_file(&file).expect("removed");
    docker(&["start", pod.id()]);
    let end = pod.wait_end();
    assert_eq!(end.status, 64);
    pod.assert_nothing_left();
}
