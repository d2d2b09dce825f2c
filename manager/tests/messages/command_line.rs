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
        said(&["restart", help], 0, &["Usage: manager restart", "<NAME>", "POD/NAME"], &[]);
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
        (&["--policy", "strictest"], "invalid value 'strictest' for '--policy <POLICY>'"),
        (
            &["--allow", "host-path"],
            "`host-path` cannot be allowed; valid are annotations, capabilities, engine-socket,",
        ),
        (&["--allow", "volumes"], "`volumes` needs a value: the name of a volume"),
        (
            &["--allow-devices=kvm"],
            "`devices=kvm`: valid is the absolute path of a device such as `/dev/kvm`",
        ),
        (
            &["--allow", "host-paths=/*"],
            "`host-paths=/*`: valid is an absolute path such as `/srv/data` or `/srv/data:ro`; its last segment may be `*`",
        ),
        (&["check"], "--labels <FILE>|--stack <FILE> [SERVICE]|--compose <FILE>|--container <NAME>"),
        (&["restart"], "<NAME>"),
        (&["restart", "app", "db"], "unexpected argument 'db'"),
        (&["restart", "a b"], "valid is the name of a component, or `POD/NAME`"),
        (&["check", "--labels", "a", "--compose", "b"], "cannot be used with"),
        (&["check", "--stack"], "a value is required for '--stack <FILE> [SERVICE]'"),
        (&["check", "--stack", "a", "b", "c"], "unexpected argument 'c'"),
        (&["check", "--labels", "a", "--format", "yaml"], "invalid value 'yaml' for '--format <FORMAT>'"),
        (&["--color", "pink"], "invalid value 'pink' for '--color <WHEN>'"),
        (
            &["--log", "loud"],
            "`--log` (`TANDEM_LOG`) is `loud`: it is neither a level nor `module=level`; valid is e.g. `info`",
        ),
    ] {
        said(args, 64, &[], &[words]);
    }
}

#[test]
fn with_json_what_is_wrong_is_one_object_on_one_line() {
    for (args, status, words) in [
        (&["run", "--log-format", "json", "--nope"][..], 64, "unexpected argument '--nope' found"),
        (&["-log-format=json", "--stop-timeout", "8"], 64, "`8` is not a duration"),
        (&["--log-format=json", "--log", "loud"], 64, "`--log` (`TANDEM_LOG`) is `loud`"),
        // Its own words, since this is no task container.
        (&["--log-format=json"], 64, ""),
    ] {
        let output = manager(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text.lines().count()), (Some(status), 1), "{args:?}: {text}");
        let line: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(line["level"], "ERROR", "{text}");
        assert!(line["message"].as_str().is_some_and(|message| message.contains(words)), "{text}");
        assert!(line["timestamp"].is_string() && !text.contains("error: "), "{text}");
    }
    // Help is for people.
    said(&["--log-format=json", "--help"], 0, &["Usage: manager run"], &[]);
}

#[test]
fn colours_are_asked_for_or_not_there() {
    for (args, coloured) in [(&["--color=always"][..], true), (&["--color", "never"], false), (&[], false)] {
        let output = manager(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text.contains("\x1b[31mERROR\x1b[0m "), coloured, "{args:?}: {text}");
    }
}

#[test]
fn a_restart_without_a_manager_says_where_it_is_to_be_run_and_ends_with_69() {
    let words = "no manager in this container takes requests: `manager restart` is for `docker exec` in the container of \
                 the manager that runs the pod, and has no way to it where components share this container's `/dev/shm` \
                 (`--pause=task` with `--ipc`); `docker restart` of the component's container works there too";
    said(&["restart", "app"], 69, &[], &[words]);
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
