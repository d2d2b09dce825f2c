//! Signals, and what else a process inherits: what reaches the child, and what it starts with.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::stage::{SAY_HEALTHY, Stage, status_of, until, value_in};

const CAP_KILL: u64 = 1 << 5;
/// KILL, SETUID, SETGID, SETPCAP, DAC_OVERRIDE, DAC_READ_SEARCH.
const FOR_A_MANAGER: u64 = 1 << 5 | 1 << 7 | 1 << 6 | 1 << 8 | 1 << 1 | 1 << 2;

fn set_of(pid: Pid, key: &str) -> u64 {
    u64::from_str_radix(&status_of(pid, key), 16).expect("a set")
}

#[test]
fn every_forwarded_signal_reaches_the_child() {
    for signal in pause::signals::Signal::ALL {
        let number = signal.number();
        let script = format!("trap 'exit 99' {number}; {SAY_HEALTHY}; while :; do sleep 1000 & wait; done");
        let mut pod = Stage::supervising(&script).start();
        pod.until_health("pause healthy");
        pod.signal(Signal::try_from(i32::from(number)).expect("a signal"));
        assert_eq!(pod.wait(), 99, "{signal:?}");
    }
}

#[test]
fn a_signal_reaches_the_child_and_nothing_else_of_its_group() {
    let script = format!(
        "(trap 'echo group' USR1; echo ready; while :; do sleep 1000 & wait; done) & \
         trap 'echo child' USR1; {SAY_HEALTHY}; while :; do sleep 1000 & wait $!; done"
    );
    let pod = Stage::supervising(&script).start();
    pod.until_health("pause healthy");
    pod.out.until_contains("ready\n");
    for count in 1..=3 {
        pod.signal(Signal::SIGUSR1);
        pod.out.until("the child has it", |bytes| {
            String::from_utf8_lossy(bytes).matches("child\n").count() == count
        });
    }
    assert!(!pod.out.text().contains("group"), "{}", pod.out.text());
}

#[test]
fn ctrl_c_on_a_terminal_reaches_the_child_once() {
    let script = format!(
        "n=0; trap 'n=$((n+1))' INT; trap 'echo counted $n; exit 0' USR1; {SAY_HEALTHY}; while :; do sleep 1000 & wait; done"
    );
    let (stage, terminal) = Stage::supervising(&script).on_a_terminal();
    let mut pod = stage.start();
    pod.until_health("pause healthy");
    let child = pod.child();
    let mut terminal = fs::File::from(terminal);
    terminal.write_all(b"\x03").expect("it is typed");
    pod.until_health("pause stopping");
    until("the child has no signal before it", || set_of(child, "ShdPnd") == 0);
    assert_eq!(set_of(child, "SigPnd"), 0);
    pod.signal(Signal::SIGUSR1);
    assert_eq!(pod.wait(), 0);
    let mut screen = [0; 256];
    let length = terminal.read(&mut screen).expect("the screen");
    assert!(String::from_utf8_lossy(&screen[..length]).contains("counted 1\r\n"), "{:?}", &screen[..length]);
}

#[test]
fn the_child_starts_as_a_fresh_process_expects() {
    let mut pod = Stage::supervising("cat /proc/self/status").start();
    assert_eq!(pod.wait(), 0);
    let status = pod.out.at_end();
    for (key, want) in [("SigBlk", "0000000000000000"), ("SigIgn", "0000000000000000"), ("NoNewPrivs", "1")] {
        assert_eq!(value_in(&status, key), want, "{key}");
    }
}

#[test]
fn the_child_gets_the_mask_that_pause_was_started_with() {
    let mut pod = Stage::new(&["--", "cat", "/proc/self/status"]).blocking(Signal::SIGUSR2).start();
    assert_eq!(pod.wait(), 0);
    let usr2 = 1_u64 << (Signal::SIGUSR2 as i32 - 1);
    assert_eq!(value_in(&pod.out.at_end(), "SigBlk"), format!("{usr2:016x}"));
}

#[test]
fn the_child_ignores_nothing_even_where_pause_was_started_so() {
    // With SIGCHLD ignored there would be no status to take over either.
    let script = "trap '' HUP CHLD USR1 PIPE; exec \"$@\"";
    let mut pod =
        Stage::supervising("cat /proc/self/status; exit 5").before(&["sh", "-c", script, "sh"]).start();
    assert_eq!(pod.wait(), 5);
    assert_eq!(value_in(&pod.out.at_end(), "SigIgn"), "0000000000000000");
}

#[test]
fn the_child_has_a_session_of_its_own_and_four_descriptors() {
    // What pause itself was given beyond the standard three is not passed on.
    let script = "exec 9</proc/self/stat; exec \"$@\"";
    let pod = Stage::new(&["--", "sleep", "1000"]).before(&["sh", "-c", script, "sh"]).start();
    let child = pod.child();
    assert_eq!(nix::unistd::getsid(Some(child)), Ok(child));
    assert_eq!(nix::unistd::getpgid(Some(child)), Ok(child));
    // While it is being loaded it opens more by itself.
    until("it has these four", || {
        let entries = fs::read_dir(format!("/proc/{child}/fd")).expect("its descriptors");
        let mut fds: Vec<_> = entries.map(|entry| entry.expect("one of them").file_name()).collect();
        fds.sort();
        fds == ["0", "1", "2", "3"]
    });
}

#[test]
fn the_childs_input_is_pauses_own_and_a_restarted_child_reads_on() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let script = "read line; echo got $line; [ $line = first ] && kill -9 $$; cat; exit 4";
    let mut pod = Stage::supervising(script).stdin(reader).start();
    writer.write_all(b"first\nsecond\nthe rest\n").expect("somebody reads");
    drop(writer);
    assert_eq!(pod.wait(), 4);
    assert_eq!(pod.out.at_end(), "got first\ngot second\nthe rest\n");
}

#[test]
fn a_child_reads_the_terminal_that_pause_was_started_on() {
    let (stage, terminal) = Stage::supervising("read line; [ $line = typed ] && exit 4").on_a_terminal();
    let mut pod = stage.start();
    fs::File::from(terminal.try_clone().expect("a descriptor")).write_all(b"typed\n").expect("it is typed");
    assert_eq!(pod.wait(), 4);
}

#[test]
fn pause_blocks_everything_but_faults_and_ignores_nothing() {
    let pod = Stage::new(&[]).start();
    // The kernel keeps KILL (9) and STOP (19) out of every mask.
    let never = 1 << 8 | 1 << 18;
    assert_eq!(set_of(pod.init(), "SigBlk"), pause::signals::SignalSet::BLOCKED.0 & !never);
    assert_eq!(set_of(pod.init(), "SigIgn"), 0);
    assert_eq!(set_of(pod.init(), "SigCgt"), 0);
}

#[test]
fn a_bare_pause_started_as_root_becomes_nobody_without_any_capability() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("needs root, to see it given up");
        return;
    }
    let pod = Stage::new(&[]).start();
    let pid = pod.init();
    until("it gave up its user", || status_of(pid, "CapPrm") == "0000000000000000");
    assert_eq!(status_of(pid, "Uid"), "65529 65529 65529 65529");
    assert_eq!(status_of(pid, "Gid"), "65529 65529 65529 65529");
    assert_eq!(status_of(pid, "Groups"), "");
    assert_eq!(status_of(pid, "NoNewPrivs"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(set_of(pid, set), 0, "{set}");
    }
}

#[test]
fn a_bare_pause_that_cannot_leave_root_still_gives_up_every_capability() {
    let map = ["unshare", "--user", "--map-root-user"];
    let mut pod = Stage::new(&[]).before(&map).start();
    let pid = pod.init();
    until("it gave them up", || status_of(pid, "CapPrm") == "0000000000000000");
    pod.err.until_contains("pause: cannot leave root for user `65529`: invalid argument\n");
    assert_eq!(set_of(pid, "CapEff"), 0);
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 0);
}

#[test]
fn a_supervising_pause_keeps_only_what_a_manager_opens_with() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("needs root, to see it kept");
        return;
    }
    let mut pod = Stage::supervising("cat /proc/self/status; exec sleep 1000").start();
    pod.out.until_contains("nonvoluntary");
    let (pid, child) = (pod.init(), pod.out.text());
    let expected = set_of(Pid::this(), "CapPrm") & FOR_A_MANAGER;
    assert_eq!(set_of(pid, "CapPrm"), expected);
    assert_eq!(set_of(pid, "CapEff"), expected & CAP_KILL);
    assert_eq!(set_of(pid, "CapInh"), 0);
    assert_eq!(set_of(pid, "CapAmb"), 0);
    assert_eq!(status_of(pid, "NoNewPrivs"), "1");
    assert_eq!(status_of(pid, "Uid"), "0 0 0 0");
    assert_eq!(value_in(&child, "CapPrm"), format!("{expected:016x}"), "as root's `execve` gives it");
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 143);
}

#[test]
fn a_stop_reaches_a_child_that_became_another_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("needs root, to become another user");
        return;
    }
    let mut pod =
        Stage::new(&["--", "setpriv", "--reuid", "65534", "--clear-groups", "sleep", "1000"]).start();
    let child = pod.child();
    until("it became another user", || status_of(child, "Uid") == "65534 65534 65534 65534");
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 143);
}

/// The kernel gives the files in `/proc/PID` of a process that is not dumpable to root, whoever it runs as
/// (`proc(5)`).
#[test]
fn nobody_looks_into_pause_whoever_it_runs_as() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("needs root, to start it as another user");
        return;
    }
    let owner = |pid: Pid| fs::metadata(format!("/proc/{pid}/environ")).expect("it is there").uid();
    let as_user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    for args in [&[] as &[&str], &["--", "/bin/sleep", "1000"]] {
        let pod = Stage::new(args).before(&as_user).start();
        assert_eq!(status_of(pod.init(), "Uid"), "65534 65534 65534 65534");
        assert_eq!(owner(pod.init()), 0, "{args:?}");
        if !args.is_empty() {
            // The control: another process of the same user belongs to it.
            let child = pod.child();
            until("the child is another program", || owner(child) == 65534);
        }
    }
    let pod = Stage::new(&[]).start();
    until("it became nobody", || status_of(pod.init(), "Uid").starts_with("65529"));
    until("nobody looks into it", || owner(pod.init()) == 0);
}
