//! Zombies: none stays, however many end at once.

use std::ffi::OsString;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::stage::{Pod, Stage, children_of, is_zombie, until};

/// Makes orphans inside: each is the child of a process that ends at once, so that PID 1 inherits it.
fn make_orphans(pod: &Pod, count: usize) {
    let script = format!("i=0; while [ $i -lt {count} ]; do (:&); i=$((i+1)); done");
    let output = pod.exec(&["sh", "-c", &script]);
    assert!(output.status.success(), "{output:?}");
}

fn zombies_of(init: Pid) -> usize {
    children_of(init).into_iter().filter(|&child| is_zombie(child)).count()
}

#[test]
fn a_bare_pause_leaves_none_of_10000_orphans() {
    let mut pod = Stage::new(&[]).start();
    make_orphans(&pod, 10_000);
    until("no child is left", || children_of(pod.init()).is_empty());
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 0);
}

#[test]
fn a_supervising_pause_leaves_none_of_10000_orphans_and_still_knows_its_child() {
    let mut pod = Stage::supervising("trap 'exit 42' TERM; while :; do sleep 1000 & wait; done").start();
    let child = pod.child();
    make_orphans(&pod, 10_000);
    until("only the child is left", || children_of(pod.init()) == [child]);
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 42);
}

#[test]
fn one_signal_for_many_ends_is_enough() {
    const COUNT: usize = 1000;
    let pod = Stage::new(&[]).start();
    // While it is stopped its SIGCHLDs become one.
    pod.signal(Signal::SIGSTOP);
    make_orphans(&pod, COUNT);
    until("all of them are zombies", || zombies_of(pod.init()) == COUNT);
    pod.signal(Signal::SIGCONT);
    until("none is left", || children_of(pod.init()).is_empty());
}

/// The tests above could not fail otherwise.
#[test]
fn zombies_pile_up_below_a_pid_1_that_does_not_reap() {
    const COUNT: usize = 200;
    let pod = Stage::of(["/bin/sleep", "1000"].map(OsString::from).to_vec()).start();
    make_orphans(&pod, COUNT);
    until("all of them are zombies", || zombies_of(pod.init()) == COUNT);
}
