//! What pause ends with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use nix::sys::signal::Signal;

use crate::stage::{Directory, SAY_HEALTHY, Stage, program, run, run_program, until};

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it exited"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_status_of_the_child_is_passed_on() {
    for status in 0..=255 {
        let mut pod = Stage::supervising(&format!("exit {status}")).start();
        assert_eq!(pod.wait(), status);
        assert_eq!(pod.err.at_end(), "", "an exit status needs no words");
    }
}

#[test]
fn a_child_that_leaves_a_stop_to_the_kernel_ends_the_pod_with_128_and_the_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut pod = Stage::new(&["--", "sleep", "1000"]).start();
        pod.child();
        pod.signal(signal);
        assert_eq!(pod.wait(), 128 + signal as i32);
        let words = format!("pause: the child was killed by signal {}: ending\n", signal as i32);
        assert_eq!(pod.err.at_end(), words);
    }
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let directory = Directory::new();
    let file = |name: &str, content: &str, mode| {
        let path = directory.join(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        path.to_str().expect("a path").to_owned()
    };
    let plain = file("plain", "text", 0o644);
    let text = file("text", "no program at all", 0o755);
    let below = format!("{plain}/below");
    let cases = [
        ("/nowhere/at-all", 127, "no such file or directory"),
        ("not-in-the-path", 127, "no such file or directory"),
        ("", 127, "no such file or directory"),
        (below.as_str(), 127, "not a directory"),
        ("/etc", 126, "permission denied"),
        (plain.as_str(), 126, "permission denied"),
        (text.as_str(), 126, "not a program for this machine"),
    ];
    for (command, status, why) in cases {
        let mut pod = Stage::new(&["--", command, "argument"]).start();
        assert_eq!(pod.wait(), status, "{command}");
        assert_eq!(pod.err.at_end(), format!("pause: cannot run `{command}`: {why}\n"));
    }
}

#[test]
fn a_command_without_a_slash_is_looked_for_in_the_path() {
    let directory = Directory::new();
    let refused = directory.join("refused");
    fs::create_dir(&refused).expect("a directory");
    fs::write(refused.join("greet"), "").expect("a file");
    let here = directory.join("here");
    fs::create_dir(&here).expect("a directory");
    fs::write(here.join("greet"), "#!/bin/sh\necho hello $1\n").expect("a file");
    fs::set_permissions(here.join("greet"), fs::Permissions::from_mode(0o755)).expect("its mode");
    let unshare = fs::canonicalize("/usr/bin/unshare").expect("unshare");
    let tools = unshare.parent().expect("its directory").display();

    let path = format!("/nowhere:{}:{}:{tools}", refused.display(), here.display());
    let mut pod = Stage::new(&["--", "greet", "you"]).env("PATH", &path).start();
    assert_eq!(pod.wait(), 0, "{}", pod.err.text());
    assert_eq!(pod.out.at_end(), "hello you\n");

    let path = format!("/nowhere:{}:{tools}", refused.display());
    let mut pod = Stage::new(&["--", "greet", "you"]).env("PATH", &path).start();
    assert_eq!(pod.wait(), 126, "found, and refused");
}

#[test]
fn a_command_that_is_gone_at_a_restart_is_127_and_not_tried_again() {
    let directory = Directory::new();
    let command = directory.join("command");
    fs::copy("/bin/sleep", &command).expect("a copy");
    let mut pod = Stage::new(&["--", command.to_str().expect("a path"), "1000"]).start();
    let child = pod.child();
    fs::remove_file(&command).expect("removed");
    nix::sys::signal::kill(child, Signal::SIGKILL).expect("it runs");
    assert_eq!(pod.wait(), 127);
}

#[test]
fn a_bare_pause_ends_with_0_at_term_and_at_int() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut pod = Stage::new(&[]).start();
        pod.signal(signal);
        assert_eq!(pod.wait(), 0);
    }
}

#[test]
fn a_wrong_command_line_is_64_with_one_line_and_the_usage() {
    let cases: [(&[&str], &str); 6] = [
        (&["run"], "unknown argument `run`"),
        (&["--"], "`--` needs a command to run"),
        (&["--lifeline"], "`--lifeline` needs the name of an abstract socket"),
        (&["cat"], "`cat` needs the path of a file"),
        (&["health", "me"], "unexpected argument `me`"),
        (&["a\nb"], "unknown argument `a?b`"),
    ];
    for (args, why) in cases {
        let (status, out, err) = said(&run_program(args));
        assert_eq!((status, out.as_str()), (64, ""), "{args:?}");
        assert_eq!(err, format!("pause: {why}\n{}", pause::args::USAGE), "{args:?}");
    }
}

#[test]
fn version_and_help_go_to_standard_output() {
    let version = concat!("pause ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(said(&run_program(&["--version"])), (0, version.into(), String::new()));
    assert_eq!(said(&run_program(&["--help"])), (0, pause::args::USAGE.into(), String::new()));
}

#[test]
fn looking_after_a_command_is_refused_when_not_pid_1() {
    let (status, out, err) = said(&run_program(&["--", "echo", "ran"]));
    assert_eq!((status, out.as_str()), (64, ""));
    assert!(err.starts_with("pause: must be PID 1 to look after a command, and is PID "), "{err}");
    assert!(err.contains("remove `init: true`"), "{err}");
}

#[test]
fn an_init_in_front_is_named_as_the_reason() {
    let script = "\"$0\" -- echo ran; exit $?";
    let program = program().to_str().expect("a path");
    let (status, out, err) = said(&run(&[
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "sh",
        "-c",
        script,
        program,
    ]));
    assert_eq!((status, out.as_str()), (64, ""), "{err}");
    assert!(err.contains("is PID 2: remove `init: true` (`--init`)"), "{err}");
}

#[test]
fn a_lifeline_that_nobody_holds_is_115() {
    let mut pod = Stage::new(&["--lifeline", "no such socket"]).start();
    assert_eq!(pod.wait(), 115);
    let err = pod.err.at_end();
    assert_eq!(err, "pause: cannot connect to the lifeline of the task container: connection refused\n");
}

#[test]
fn closed_standard_descriptors_do_not_stop_it() {
    let script = "exec \"$@\" <&- >&- 2>&-";
    let mut pod =
        Stage::supervising(&format!("{SAY_HEALTHY}; exit 9")).before(&["sh", "-c", script, "sh"]).start();
    assert_eq!(pod.wait(), 9);
    let mut pod = Stage::new(&[]).before(&["sh", "-c", script, "sh"]).start();
    until("it is set up", || pod.health() == "pause starting");
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 0);
}
