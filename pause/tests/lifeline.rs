//! The lifeline: a sandbox ends with its task container, however that ends.

use std::fs;

use nix::sys::signal::{self, Signal};

use crate::stage::{Pod, SAY_CLOSE_LISTENER, SAY_HEALTHY, Stage, until};

/// A task container's pause, whose child says the name and then does this.
fn task(then: &str) -> (Pod, String) {
    let pod = Stage::supervising(&format!("echo $TANDEM_LIFELINE; {then}; exec sleep 1000")).start();
    pod.out.until("the name", |bytes| bytes.ends_with(b"\n"));
    let name = pod.out.text().trim().to_owned();
    (pod, name)
}

fn sandbox(name: &str) -> Pod {
    Stage::new(&["--lifeline", name]).start()
}

/// How many sockets of the network namespace have this abstract name: the listener, and each accepted end.
fn sockets(name: &str) -> usize {
    let table = fs::read_to_string("/proc/net/unix").expect("the table");
    table.lines().filter(|line| line.ends_with(&format!(" @{name}"))).count()
}

fn listens(name: &str) -> bool {
    // Flags 00010000 (`__SO_ACCEPTCON`): it listens.
    let table = fs::read_to_string("/proc/net/unix").expect("the table");
    table.lines().any(|line| line.ends_with(&format!(" @{name}")) && line.contains(" 00010000 "))
}

#[test]
fn a_sandbox_ends_when_its_task_container_is_killed() {
    let (task, name) = task(":");
    let mut sandbox = sandbox(&name);
    until("it is accepted", || !listens(&name));
    signal::kill(task.init(), Signal::SIGKILL).expect("it runs");
    assert_eq!(sandbox.wait(), 0);
    assert_eq!(sandbox.err.at_end(), "pause: the task container has hung up: ending\n");
}

#[test]
fn a_sandbox_ends_when_its_task_container_ends_by_itself() {
    let (mut task, name) = task(":");
    let mut sandbox = sandbox(&name);
    until("it is accepted", || !listens(&name));
    task.signal(Signal::SIGTERM);
    assert_eq!(task.wait(), 143);
    assert_eq!(sandbox.wait(), 0);
}

#[test]
fn a_sandbox_that_nobody_accepted_ends_with_the_task_container_too() {
    let (task, name) = task(":");
    task.signal(Signal::SIGSTOP);
    let mut sandbox = sandbox(&name);
    signal::kill(task.init(), Signal::SIGKILL).expect("it is there");
    assert_eq!(sandbox.wait(), 0);
}

#[test]
fn the_door_is_closed_behind_the_first() {
    let (task, name) = task(":");
    let first = sandbox(&name);
    until("it is accepted", || !listens(&name));
    let mut second = sandbox(&name);
    assert_eq!(second.wait(), 115);
    assert_eq!(first.health(), "pause holding", "a sandbox has no health to show");
    assert_eq!(task.health(), "pause starting");
}

#[test]
fn the_child_can_close_the_door() {
    let (_task, name) = task(&format!("{SAY_CLOSE_LISTENER}; {SAY_HEALTHY}"));
    until("it is closed", || sockets(&name) == 0);
    let mut late = sandbox(&name);
    assert_eq!(late.wait(), 115);
}

#[test]
fn a_task_container_outlives_its_sandbox() {
    let (mut task, name) = task(SAY_HEALTHY);
    let sandbox = sandbox(&name);
    until("it is accepted", || !listens(&name));
    drop(sandbox);
    until("its own end is closed", || sockets(&name) == 0);
    task.until_health("pause healthy");
    task.signal(Signal::SIGTERM);
    assert_eq!(task.wait(), 143);
}

#[test]
fn a_sandbox_still_ends_at_term() {
    let (_task, name) = task(":");
    let mut sandbox = sandbox(&name);
    sandbox.signal(Signal::SIGTERM);
    assert_eq!(sandbox.wait(), 0);
}

#[test]
fn the_door_stays_open_over_a_crash_of_the_child() {
    let pod = Stage::supervising("echo $TANDEM_LIFELINE; exec sleep 1000").start();
    let child = pod.child();
    pod.out.until("the name", |bytes| bytes.ends_with(b"\n"));
    signal::kill(child, Signal::SIGKILL).expect("it runs");
    pod.out.until("the name, again", |bytes| bytes.iter().filter(|byte| **byte == b'\n').count() == 2);
    let text = pod.out.text();
    let names: Vec<_> = text.lines().collect();
    assert_eq!(names[0], names[1]);
    let sandbox = sandbox(names[0]);
    until("it is accepted", || !listens(names[0]));
    assert_eq!(sandbox.health(), "pause holding");
}
