//! The health: where it is kept, who can read it, and that nobody can forge it.

use std::ffi::OsString;
use std::process::Output;

use crate::stage::{Pod, SAY_HEALTHY, SAY_UNHEALTHY, Stage, program, run_program, switches_of};

fn probe(pod: &Pod) -> (i32, String, String) {
    let Output { status, stdout, stderr } = pod.exec(&[program().to_str().expect("a path"), "health"]);
    let text = |bytes| String::from_utf8(bytes).expect("words");
    (status.code().expect("it exited"), text(stdout), text(stderr))
}

fn said(status: i32, word: &str) -> (i32, String, String) {
    (status, format!("{word}\n"), String::new())
}

#[test]
fn only_healthy_is_a_success() {
    let script = format!(
        "up() {{ {SAY_HEALTHY}; }}; down() {{ {SAY_UNHEALTHY}; }}; trap up USR1; trap down USR2; trap : TERM; while :; do sleep 1000 & wait $!; done"
    );
    let pod = Stage::supervising(&script).start();
    assert_eq!(probe(&pod), said(1, "starting"));
    // The shell's traps stand once it waits.
    crate::stage::until("the child waits", || !crate::stage::children_of(pod.child()).is_empty());
    pod.signal(nix::sys::signal::SIGUSR1);
    pod.until_health("pause healthy");
    assert_eq!(probe(&pod), said(0, "healthy"));
    pod.signal(nix::sys::signal::SIGUSR2);
    pod.until_health("pause unhealthy");
    assert_eq!(probe(&pod), said(1, "unhealthy"));
    pod.signal(nix::sys::signal::SIGTERM);
    pod.until_health("pause stopping");
    assert_eq!(probe(&pod), said(1, "stopping"));
}

#[test]
fn a_pause_that_nobody_talks_to_is_not_healthy() {
    assert_eq!(probe(&Stage::new(&[]).start()), said(1, "starting"));
}

#[test]
fn another_pid_1_is_named_and_not_healthy() {
    let pod = Stage::of(["/bin/sleep", "1000"].map(OsString::from).to_vec()).start();
    let words = "pause: no pause is PID 1 here: `sleep`\n";
    assert_eq!(probe(&pod), (1, String::new(), words.into()));
    assert_eq!(run_program(&["health"]).status.code(), Some(1));
}

#[test]
fn a_read_only_root_file_system_does_not_matter() {
    let mount = "mount --rbind / /mnt && mount -o remount,bind,ro /mnt && exec chroot /mnt \"$@\"";
    let script = format!("(: > /forged) || {SAY_HEALTHY}; exec sleep 1000");
    let pod = Stage::supervising(&script).before(&["sh", "-c", mount, "sh"]).start();
    pod.until_health("pause healthy");
    assert_eq!(probe(&pod), said(0, "healthy"));
}

#[test]
fn nobody_else_can_write_it() {
    let script = "echo 'pause healthy' > /proc/1/comm; echo \"refused=$?\"; exec sleep 1000";
    let pod = Stage::supervising(script).start();
    pod.out.until_contains("refused=");
    assert!(!pod.out.text().contains("refused=0"), "{}", pod.out.text());
    // Root outside, with every capability, cannot either.
    assert!(std::fs::write(format!("/proc/{}/comm", pod.init()), "pause healthy").is_err());
    assert_eq!(probe(&pod), said(1, "starting"));
}

#[test]
fn asking_does_not_wake_pause() {
    let pod = Stage::supervising(&format!("{SAY_HEALTHY}; exec sleep 1000")).start();
    pod.until_health("pause healthy");
    // A first one, so that what comes before is over.
    assert_eq!(probe(&pod).0, 0);
    // `nsenter` is not below pause, so its end is no SIGCHLD there.
    let before = switches_of(pod.init());
    for _ in 0..20 {
        assert_eq!(probe(&pod).0, 0);
    }
    assert_eq!(switches_of(pod.init()), before);
}
