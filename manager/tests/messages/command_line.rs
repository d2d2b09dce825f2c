//! The command line as a user meets it: the real program, its exact exit status, its words.

use std::process::{Command, Output};

fn manager(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_manager")).args(args).env_clear().output().expect("the manager starts")
}

#[track_caller]
fn said(args: &[&str], status: i32, out: &[&str], err: &[&str]) {
    let output = manager(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (have_out, have_err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{args:?}\n{have_out}{have_err}");
    for (have, want) in [(have_out, out), (have_err, err)] {
        assert_eq!(have.is_empty(), want.is_empty(), "{args:?}: {have}");
        want.iter().for_each(|words| assert!(have.contains(words), "{args:?}: no `{words}` in\n{have}"));
    }
}

#[test]
fn help_of_everything_ends_with_0() {
    for help in ["-h", "--help", "-help"] {
        said(&[help], 0, &["Usage: manager <COMMAND>", "run", "check", "healthcheck", "version"], &[]);
        said(
            &["run", help],
            0,
            &["Usage: manager run", "--logs", "--pids", "--stop-timeout", "TANDEM_PAUSE"],
            &[],
        );
        said(
            &["check", help],
            0,
            &["Usage: manager check", "--labels", "--stack", "--compose", "--container"],
            &[],
        );
        said(&["healthcheck", help], 0, &["Usage: manager healthcheck"], &[]);
        said(&["version", help], 0, &["Usage: manager version"], &[]);
    }
    said(&["help", "run"], 0, &["Usage: manager run"], &[]);
    for version in [&["version"][..], &["--version"], &["-V"]] {
        said(version, 0, &[concat!("manager ", env!("CARGO_PKG_VERSION"))], &[]);
    }
}

#[test]
fn what_nobody_knows_is_said_and_ends_with_64() {
    for (args, words) in [
        (&["--nope"][..], "unexpected argument '--nope'"),
        (&["-nope"], "unexpected argument '--nope'"),
        (&["run", "--volume"], "a similar argument exists: '--volumes'"),
        (&["-logs", "stray"], "unexpected argument 'stray'"),
        (&["stray"], "unrecognized subcommand 'stray'"),
        (&["healthcheck", "stray"], "unexpected argument 'stray'"),
        (&["version", "--logs"], "unexpected argument '--logs'"),
        (&["-pids=perhaps"], "invalid value 'perhaps' for '--pids[=<BOOL>]'"),
        (
            &["--pause", "else where"],
            "valid are `auto`, `sandbox`, `task`, the name of a pause container, and `service:NAME`",
        ),
        (&["--stop-timeout", "8"], "`8` is not a duration: write a number with a unit, for example `8s`"),
        (&["--pause"], "a value is required for '--pause <WHICH>'"),
        (&["check"], "--labels <FILE>|--stack <FILE> <SERVICE>|--compose <FILE>|--container <NAME>"),
        (&["check", "--labels", "a", "--compose", "b"], "cannot be used with"),
        (&["check", "--stack", "a"], "2 values required for '--stack <FILE> <SERVICE>'"),
        (
            &["--log", "loud"],
            "`--log` (`TANDEM_LOG`) is `loud`: it is neither a level nor `module=level`; valid is e.g. `info`",
        ),
    ] {
        said(args, 64, &[], &[words]);
    }
}

#[test]
fn both_spellings_are_read_and_outside_of_a_task_container_there_is_no_pod() {
    for args in [
        &[][..],
        &["run"],
        &["-logs", "-pids=false", "-ipc=0"],
        &["--logs", "--pids=false"],
        &["run", "--pull"],
    ] {
        // Its own words, not those of the command line.
        said(args, 64, &[], &[" ERROR th"]);
    }
}
