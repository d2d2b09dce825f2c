//! What it costs to be there: memory, and nothing else.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::Pid;
use pause::control::Frame;
use pause::health::Health;

use crate::stage::{Pod, SAY_HEALTHY, Stage, switches_of, until, value_in, within};

/// Resident memory in kB, counted page by page (`/proc/PID/status` is only near it).
fn resident(pid: Pid) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it is there");
    value_in(&rollup, "Rss").trim_end_matches(" kB").parse().expect("a number")
}

/// Every kind of pause, in the state in which it spends its life.
fn kinds() -> [(&'static str, Pod); 5] {
    let plain = Stage::new(&[]).start();
    let held = Stage::new(&[]).env("TANDEM_HELD", "1").start();
    let mut attached = Stage::new(&[]).stdin(Stdio::piped()).start();
    attached.send(Frame::Hold(10));
    attached.send(Frame::Out(&[b'x'; 4096]));
    attached.send(Frame::Health(Health::Healthy));
    attached.until_health("pause healthy");
    let script = format!("echo $TANDEM_LIFELINE; {SAY_HEALTHY}; exec sleep 1000");
    let task = Stage::supervising(&script).start();
    task.until_health("pause healthy");
    task.out.until("the lifeline's name", |bytes| bytes.ends_with(b"\n"));
    let sandbox = Stage::new(&["--lifeline", task.out.text().trim()]).start();
    [
        ("bare", plain),
        ("held", held),
        ("bare, attached", attached),
        ("supervising", task),
        ("sandbox", sandbox),
    ]
}

#[test]
fn nothing_wakes_an_idle_pause_for_ten_seconds() {
    let kinds = kinds();
    let counts = || kinds.each_ref().map(|(_, pod)| switches_of(pod.init()));
    until("all of them are idle", || {
        let before = counts();
        !within(Duration::from_millis(500), || counts() != before)
    });
    let before = counts();
    assert!(!within(Duration::from_secs(10), || counts() != before), "{before:?}, then {:?}", counts());
}

#[test]
fn a_pause_takes_at_most_48_kb() {
    let kinds = kinds();
    let sizes = kinds.each_ref().map(|(kind, pod)| (*kind, resident(pod.init())));
    println!("resident memory in kB: {sizes:?}");
    assert!(sizes.iter().all(|(_, size)| *size <= 48), "{sizes:?}");
}
