//! What the programs of a pod hold once it runs (DESIGN.md, rule 2), read from the kernel.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::lab::idle;
use crate::lab::pod::Pod;

/// A field of `/proc/<pid>/status`.
fn status(pid: u32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs, and we may look");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
    line.trim().to_owned()
}

/// Nobody but root may look into it: the kernel gives what is in `/proc/<pid>` of a process that is not
/// dumpable to root.
fn assert_not_dumpable(pid: u32) {
    let owner = fs::metadata(format!("/proc/{pid}/mem")).expect("the process runs").uid();
    assert_eq!(owner, 0, "{pid} is dumpable");
}

fn pid(container: &serde_json::Value) -> u32 {
    let pid = container["State"]["Pid"].as_u64().expect("it runs");
    u32::try_from(pid).expect("a pid")
}

const NONE: &str = "0000000000000000";
/// `CAP_KILL` alone: pause is root and signals a manager that is not.
const KILL: &str = "0000000000000020";

#[test]
fn the_manager_runs_as_nobody_without_capabilities() {
    let pod = Pod::plan("privileges").component("app", &idle()).start();
    pod.wait_healthy();
    let manager = pod.manager_pid().expect("the manager runs");
    assert_eq!(status(manager, "Uid:"), "65532\t65532\t65532\t65532");
    assert_eq!(status(manager, "Gid:"), "65532\t65532\t65532\t65532");
    assert!(status(manager, "Groups:").split_whitespace().count() == 1, "only the socket's group");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(status(manager, set), NONE, "{set}");
    }
    assert_eq!(status(manager, "NoNewPrivs:"), "1");
    assert_not_dumpable(manager);
    pod.stop_clean();
}

#[test]
fn a_supervising_pause_keeps_only_the_right_to_signal_in_effect() {
    let pod = Pod::plan("pause-privileges").component("app", &idle()).start();
    pod.wait_healthy();
    let pause = pid(&pod.task());
    assert_eq!(status(pause, "CapEff:"), KILL);
    assert_eq!(status(pause, "CapInh:"), NONE);
    assert_eq!(status(pause, "CapAmb:"), NONE);
    assert_eq!(status(pause, "NoNewPrivs:"), "1");
    pod.stop_clean();
}

#[test]
fn a_sandbox_runs_as_nobody_without_capabilities_and_no_file_to_write() {
    let pod = Pod::plan("sandbox-privileges").component("app", &idle()).start();
    pod.wait_healthy();
    let sandbox = pod.sandbox().expect("there is a sandbox");
    let pause = pid(&sandbox);
    assert_eq!(status(pause, "Uid:"), "65532\t65532\t65532\t65532");
    assert_eq!(status(pause, "CapPrm:"), NONE);
    assert_eq!(status(pause, "CapEff:"), NONE);
    assert_eq!(status(pause, "NoNewPrivs:"), "1");
    assert_not_dumpable(pause);
    assert_eq!(sandbox["HostConfig"]["ReadonlyRootfs"], true);
    assert_eq!(sandbox["Mounts"].as_array().map(Vec::len), Some(0));
    pod.stop_clean();
}

#[test]
fn a_task_container_without_any_capability_and_with_a_read_only_root_will_do() {
    let pod =
        Pod::plan("bare-bones").options(&["--cap-drop=ALL", "--read-only"]).component("app", &idle()).start();
    pod.wait_healthy();
    let manager = pod.manager_pid().expect("the manager runs");
    assert_eq!(status(manager, "CapEff:"), NONE);
    assert_eq!(status(manager, "NoNewPrivs:"), "1");
    pod.stop_clean();
}
