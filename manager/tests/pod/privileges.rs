//! What the programs of a pod hold once it runs (DESIGN.md, rule 2), read from the kernel.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::lab::docker::{Started, attempt, docker, inspect};
use crate::lab::pod::Pod;
use crate::lab::proxy::Verdict;
use crate::lab::{LONG, idle, script, tools_image, unique, wait};

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
/// `DAC_OVERRIDE`, `KILL`, `SETGID`, `SETUID`, `SETPCAP`: of what Docker gives by default, what a manager opens with.
const FOR_A_MANAGER: &str = "00000000000001e2";

/// Nobody may read the program, root without `DAC_OVERRIDE` included: a process of it is not dumpable from its first
/// instruction on.
fn assert_unreadable(pid: u32, program: &str) {
    let file = fs::metadata(format!("/proc/{pid}/root/{program}")).expect("the program is there");
    assert_eq!((file.mode() & 0o7777, file.uid()), (0o111, 0), "/{program}");
}

/// A program that it started would find nothing open but the three that every program has.
fn assert_closed_on_exec(pid: u32) {
    let folder = format!("/proc/{pid}/fdinfo");
    let open: Vec<u32> = fs::read_dir(&folder)
        .expect("it runs, and we may look")
        .map(|entry| entry.expect("listed").file_name().to_string_lossy().parse().expect("a number"))
        .collect();
    assert!(open.iter().any(|number| *number > 2), "nothing is open: {open:?}");
    for number in open.into_iter().filter(|number| *number > 2) {
        // One that was closed in between is none.
        let Ok(text) = fs::read_to_string(format!("{folder}/{number}")) else { continue };
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).expect("proc(5) has it").trim();
        let flags = i32::from_str_radix(flags, 8).expect("octal");
        assert_ne!(
            flags & nix::libc::O_CLOEXEC,
            0,
            "descriptor {number} of {pid} stays open on exec: {text}"
        );
    }
}

#[test]
fn the_manager_runs_as_nobody_without_capabilities() {
    let pod = Pod::plan("privileges").component("app", &idle()).start();
    pod.wait_healthy();
    let manager = pod.manager_pid().expect("the manager runs");
    assert_eq!(status(manager, "Uid:"), "65529\t65529\t65529\t65529");
    assert_eq!(status(manager, "Gid:"), "65529\t65529\t65529\t65529");
    assert!(status(manager, "Groups:").split_whitespace().count() == 1, "only the socket's group");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(status(manager, set), NONE, "{set}");
    }
    assert_eq!(status(manager, "NoNewPrivs:"), "1");
    assert_not_dumpable(manager);
    assert_unreadable(manager, "manager");
    assert_closed_on_exec(manager);
    // Its own filter of system calls, beside the engine's, which pause is under too.
    let filters = |pid| status(pid, "Seccomp_filters:").parse::<u32>().expect("a number");
    assert_eq!(filters(manager), filters(pid(&pod.task())) + 1);
    pod.stop_clean();
}

#[test]
fn a_supervising_pause_keeps_only_the_right_to_signal_in_effect() {
    let pod = Pod::plan("pause-privileges").component("app", &idle()).start();
    pod.wait_healthy();
    let pause = pid(&pod.task());
    assert_eq!(status(pause, "CapEff:"), KILL);
    assert_eq!(status(pause, "CapPrm:"), FOR_A_MANAGER);
    assert_eq!(status(pause, "CapInh:"), NONE);
    assert_eq!(status(pause, "CapAmb:"), NONE);
    assert_eq!(status(pause, "NoNewPrivs:"), "1");
    assert_not_dumpable(pause);
    assert_unreadable(pause, "pause");
    assert_closed_on_exec(pause);
    pod.stop_clean();
}

#[test]
fn a_sandbox_runs_as_nobody_without_capabilities_and_no_file_to_write() {
    let pod = Pod::plan("sandbox-privileges").component("app", &idle()).start();
    pod.wait_healthy();
    let sandbox = pod.sandbox().expect("there is a sandbox");
    let pause = pid(&sandbox);
    assert_eq!(status(pause, "Uid:"), "65529\t65529\t65529\t65529");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(status(pause, set), NONE, "{set}");
    }
    assert_eq!(status(pause, "NoNewPrivs:"), "1");
    assert_not_dumpable(pause);
    assert_unreadable(pause, "pause");
    assert_closed_on_exec(pause);
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

/// The filter must let the manager do all that it does: what it refuses shows as a call that the kernel does not have.
#[test]
fn no_system_call_that_the_manager_makes_is_refused() {
    let watched = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&watched);
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "hidden").expect("written");
    let app = format!(
        "{}secrets: [key]\npost_start: [{{command: [touch, /tmp/hooked]}}]\nhealthcheck: {{test: test -f /tmp/hooked, \
         interval: 1s}}\n",
        script("yes said | head -200; exec sleep 100000").replace("command", "stop_signal: SIGKILL\ncommand"),
    );
    let pod = Pod::plan("system-calls")
        // Nothing is done until somebody watches.
        .proxied(move |seen| {
            let began = Instant::now();
            while seen.changes() && !gate.load(Ordering::SeqCst) && began.elapsed() < LONG {
                sleep(Duration::from_millis(10));
            }
            Verdict::Pass
        })
        .args(&["--logs"])
        .options(&["-v", &format!("{}:/run/secrets/key:ro", secret.display())])
        .label("pod.copy.app", "/run/secrets/key:/tmp/copied")
        .component("app", &app)
        .component("ends", &script("exec sleep 100000"))
        .start();
    let confined = |pid: u32| status(pid, "CapBnd:") == NONE;
    let manager = wait("the manager is confined", LONG, || pod.manager_pid().filter(|pid| confined(*pid)));
    let name = unique("strace");
    let _strace = Started(&name);
    let label = format!("io.tandem.test={name}");
    let head =
        ["run", "-d", "--name", &name, "--label", &label, "--pid=host", "--user=0", "--cap-add=SYS_PTRACE"];
    docker(&[&head[..], &[&tools_image(), "strace", "-f", "-p", &manager.to_string()]].concat());
    let said = || attempt(&["logs", &name]).error();
    wait("strace is there", LONG, || said().contains("attached").then_some(()));
    watched.store(true, Ordering::SeqCst);
    pod.wait_healthy();
    pod.proxy().break_all();
    pod.stop_clean();
    wait("strace has seen the end", LONG, || (inspect(&name)["State"]["Status"] == "exited").then_some(()));
    let calls = said();
    for call in ["clone(", "connect(", "pread64(", "sendto(", "epoll_", "exited with 0"] {
        assert!(calls.contains(call), "no `{call}` was seen: {calls}");
    }
    // Threads come by the older `clone`, whose flags a filter can see. (`<... clone3 resumed>` where two threads cross.)
    let refused = calls.lines().filter(|line| line.contains("ENOSYS") && !line.contains("clone3"));
    let refused: Vec<&str> = refused.collect();
    assert_eq!(refused, Vec::<&str>::new());
}

#[test]
fn what_is_held_can_be_asked_for_and_is_what_the_kernel_says() {
    let pod = Pod::plan("explain").args(&["--explain-privileges"]);
    let (said, pod) = pod.run();
    assert_eq!(said.status, 0, "{}", said.error());
    let text = said.text();
    let value = |what: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(what)).unwrap_or_default();
        line.trim_start().split("  ").next().unwrap_or_default().to_owned()
    };
    let group = fs::metadata(crate::lab::docker::socket()).expect("the socket").gid().to_string();
    for (what, want) in [
        ("user", "65529 (group 65529)"),
        ("groups", &group),
        ("capabilities", "none"),
        ("no_new_privs", "1"),
        ("dumpable", "0"),
        ("files", "none"),
    ] {
        assert_eq!(value(what), want, "{text}");
    }
    assert!(value("system calls").parse::<u32>().is_ok_and(|count| count < 100), "{text}");
    let pause = "in effect: KILL; permitted: DAC_OVERRIDE, KILL, SETGID, SETPCAP, SETUID; no_new_privs: 1";
    assert!(text.contains(pause), "{text}");
    pod.assert_nothing_left();
}
