//! `--logs`: what components write comes out byte by byte, a prefix a line.

use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::lab::docker::{attempt, docker, on_host, time};
use crate::lab::pod::{Agent, Pod};
use crate::lab::{LONG, here, idle, quoted, script, test_image, wait};

/// Swarm's default grace period.
const GRACE: Duration = Duration::from_secs(10);

/// Run a pod with these components to its end: standard output and standard error, without the manager's own lines.
fn output(components: &[(&str, &str)], options: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let mut plan = Pod::plan("logs").args(&["--logs"]).options(options);
    for (name, yaml) in components {
        plan = plan.component(name, yaml);
    }
    let (said, pod) = plan.run();
    assert_eq!(said.status, 0, "{}", said.error());
    pod.assert_nothing_left();
    let err: Vec<u8> = said
        .err
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"[err] "))
        .flatten()
        .copied()
        .collect();
    (said.out, err)
}

#[test]
fn every_byte_passes_unchanged() {
    let bytes: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
    let (out, err) =
        output(&[("app", &script(&format!("printf '{octal}\\n'; printf '{octal}\\n' >&2")))], &[]);
    let line = |stream: &str| [format!("[{stream}] app: ").as_bytes(), &bytes, b"\n"].concat();
    assert_eq!(out, line("out"));
    assert_eq!(err, line("err"));
}

#[test]
fn a_last_line_without_an_end_is_put_out() {
    let (out, _) = output(&[("app", &script("echo one; printf two"))], &[]);
    assert_eq!(String::from_utf8_lossy(&out), "[out] app: one\n[out] app: two\n");
}

#[test]
fn empty_lines_and_lines_of_any_small_length_pass() {
    // Ten bytes were torn by Podlike: its bug 13.
    let (out, _) =
        output(&[("app", &script("i=0; l=; while [ $i -lt 20 ]; do echo $l; l=x$l; i=$((i+1)); done"))], &[]);
    let want: String = (0..20).map(|length| format!("[out] app: {}\n", "x".repeat(length))).collect();
    assert_eq!(String::from_utf8_lossy(&out), want);
}

#[test]
fn a_character_written_in_two_halves_comes_out_whole() {
    let (out, _) = output(&[("app", &script("printf 'gr\\303'; sleep 0.5; printf '\\274n\\n'"))], &[]);
    assert_eq!(String::from_utf8_lossy(&out), "[out] app: grün\n");
}

#[test]
fn a_hundred_thousand_lines_come_out_all_and_in_order() {
    let (out, _) = output(&[("app", &script("seq 1 100000"))], &[]);
    let want: String = (1..=100_000).map(|number| format!("[out] app: {number}\n")).collect();
    assert!(String::from_utf8_lossy(&out) == want, "{} bytes instead of {}", out.len(), want.len());
}

#[test]
fn a_line_of_three_megabytes_comes_in_marked_pieces() {
    const MIB: usize = 1024 * 1024;
    let long = "head -c 3145728 /dev/zero | tr '\\0' x; echo; echo next";
    let (out, _) = output(&[("app", &script(long))], &[]);
    let want = format!(
        "[out] app: {} [continues]\n[out] app: [continued] {}\n[out] app: next\n",
        "x".repeat(2 * MIB),
        "x".repeat(MIB)
    );
    assert!(String::from_utf8_lossy(&out) == want, "{} bytes instead of {}", out.len(), want.len());
}

#[test]
fn a_line_of_two_megabytes_stays_whole() {
    let long = "head -c 2097152 /dev/zero | tr '\\0' x; echo";
    let (out, _) = output(&[("app", &script(long))], &[]);
    let want = format!("[out] app: {}\n", "x".repeat(2 * 1024 * 1024));
    assert!(String::from_utf8_lossy(&out) == want, "{} bytes instead of {}", out.len(), want.len());
}

#[test]
fn a_terminals_output_is_passed_as_it_is() {
    let (out, err) = output(
        &[("app", &format!("{}tty: true\n", script("echo one; echo two >&2; [ -t 1 ] && echo three")))],
        &[],
    );
    assert_eq!(String::from_utf8_lossy(&out), "[out] app: one\r\n[out] app: two\r\n[out] app: three\r\n");
    assert!(err.is_empty());
}

#[test]
fn output_and_errors_stay_apart_in_docker_logs() {
    let pod = Pod::plan("apart")
        .args(&["-logs"])
        .component("app", &script("echo fine; echo bad >&2; sleep 100000"))
        .component("other", &idle())
        .start();
    // The manager's own lines are on standard error, too; the engine may tell of the start after the component has written.
    wait("all lines", LONG, || {
        let (out, err) = pod.logs();
        (out.contains("fine") && err.contains("bad") && err.contains("started `app`")).then_some(())
    });
    let (out, err) = pod.logs();
    assert_eq!(out, "[out] app: fine\n");
    assert!(err.lines().any(|line| line == "[err] app: bad"), "{err}");
    pod.stop();
}

#[test]
fn not_a_line_of_a_short_life_is_lost() {
    // All of it is written before anybody could have asked for it after the start.
    let init: String = (0..5)
        .map(|number| format!("- image: {}\n  command: [echo, 'hello {number}']\n", test_image()))
        .collect();
    let pod = Pod::plan("short")
        .args(&["--logs"])
        .label("pod.init.components", &init)
        .component("app", &script("echo done"))
        .start();
    assert_eq!(pod.wait_end().status, 0);
    let want: String = (0..5).map(|number| format!("[out] init-{}: hello {number}\n", number + 1)).collect();
    assert_eq!(pod.logs().0, format!("{want}[out] app: done\n"));
    pod.assert_nothing_left();
}

#[test]
fn what_components_say_while_they_stop_comes_out() {
    let pod = Pod::plan("last-words")
        .args(&["--logs"])
        .component(
            "app",
            &script("trap 'echo bye; seq 1 1000; exit 0' TERM; echo up; while :; do sleep 0.1; done"),
        )
        .start();
    wait("it is up", LONG, || pod.logs().0.contains(": up\n").then_some(()));
    pod.stop_clean();
    let want: String = (1..=1000).map(|number| format!("[out] app: {number}\n")).collect();
    assert_eq!(pod.logs().0, format!("[out] app: up\n[out] app: bye\n{want}"));
}

#[test]
fn without_the_flag_components_are_not_printed() {
    let (said, _pod) = Pod::plan("silent").component("app", &script("echo secret; echo secret >&2")).run();
    assert_eq!(said.status, 0);
    assert!(!said.error().contains("secret") && said.text().is_empty(), "{}{}", said.text(), said.error());
}

#[test]
fn a_component_that_floods_its_output_does_not_hold_up_the_stop() {
    let pod = Pod::plan("flood")
        .args(&["--logs"])
        .options(&["--log-opt", "max-size=1m", "--log-opt", "max-file=1"])
        .component("app", &script("exec yes"))
        .start();
    wait("it floods", LONG, || pod.logs().0.contains("[out] app: y\n").then_some(()));
    let end = pod.stop_clean();
    // Without a bound it took 42 s. Not much less than this: the machine is busy with other tests.
    assert!(end.took < here(3 * GRACE), "took {:?}", end.took);
}

#[test]
fn a_component_that_floods_and_does_not_stop_is_gone_before_its_pod_would_be_killed() {
    // What is shown here is that what comes after this time (the engine's 2 s for a killed component's output, and the
    // last lines) has a bound of its own. This machine is busy with other tests, so the bound is a wide one.
    let pod = Pod::plan("stubborn")
        .args(&["--logs", "--stop-timeout=3s"])
        .options(&["--log-opt", "max-size=1m", "--log-opt", "max-file=1"])
        .component("app", &script("trap '' TERM; yes"))
        .start();
    wait("it floods", LONG, || pod.logs().0.contains("[out] app: y\n").then_some(()));
    // As Swarm does it: after its grace period it would kill, and the status would be 137.
    docker(&["stop", "-t", &here(3 * GRACE).as_secs().to_string(), pod.id()]);
    assert_eq!(pod.task()["State"]["ExitCode"], 0, "{}", pod.logs().1);
    // An engine that is busy with other tests may need longer than the pod has: then the next manager removes it.
    let next = (!pod.members().is_empty()).then(|| Agent::start(&[], &[]));
    wait("nothing is left", 2 * LONG, || pod.members().is_empty().then_some(()));
    drop(next);
    pod.assert_nothing_left();
}

#[test]
fn a_reader_who_does_not_read_does_not_hold_up_the_stop() {
    let (mut unread, pod) = Pod::plan("unread")
        .args(&["--logs", "--pids=false", "--ipc=false"])
        .component("app", &script("exec yes"))
        .run_unread();
    let pipe = unread.stdout.take().expect("a pipe");
    let held = || {
        let mut bytes: nix::libc::c_int = 0;
        // SAFETY: FIONREAD writes one `int`, which outlives the call.
        let done = unsafe { nix::libc::ioctl(pipe.as_raw_fd(), nix::libc::FIONREAD, &mut bytes) };
        assert_eq!(done, 0, "the pipe can be asked");
        bytes
    };
    let capacity = nix::fcntl::fcntl(&pipe, nix::fcntl::FcntlArg::F_GETPIPE_SZ).expect("a size");
    // Pages that are written in part hold less than they could: full is less than the capacity.
    wait("the pipe fills up", LONG, || (held() > capacity / 2).then_some(()));
    let manager = pod.manager_pid().expect("a manager");
    let now = || time(&docker(&["info", "--format", "{{.SystemTime}}"]).text());
    let asked = now();
    docker(&["kill", "-s", "TERM", pod.id()]);
    // Not asked of the engine, which answers nothing on this container until somebody reads, or the reader is gone.
    let there = format!("[ -d /proc/{manager} ] && echo there || echo gone");
    wait("the manager is gone", LONG, || (on_host(&there) == "gone").then_some(()));
    drop(pipe);
    let _ = unread.kill();
    let _ = unread.wait();
    assert_eq!(pod.wait_end().status, 0);
    let state = &pod.task()["State"];
    let took = time(state["FinishedAt"].as_str().expect("a time")).saturating_sub(asked);
    // Without a bound it took 42 s. Not much less than this: the machine is busy with other tests.
    assert!(took < 3 * GRACE, "took {took:?}");
    pod.assert_nothing_left();
}

#[test]
fn the_managers_own_lines_and_the_components_are_json_where_asked_for() {
    // It lives until the answer to its start is there.
    let app = script(&format!("echo {}; echo bad >&2; sleep 2; exit 3", quoted("hello \"you\"")));
    let (said, pod) =
        Pod::plan("json").args(&["--log-format", "json", "--logs"]).component("app", &app).run();
    assert_eq!(said.status, 3, "{}", said.error());
    assert_eq!(said.text(), "{\"component\":\"app\",\"stream\":\"out\",\"line\":\"hello \\\"you\\\"\"}");
    let text = said.error();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}")))
        .collect();
    assert!(text.contains("{\"component\":\"app\",\"stream\":\"err\",\"line\":\"bad\"}\n"), "{text}");
    let own: Vec<_> = lines.iter().filter(|line| line["line"].is_null()).collect();
    assert!(own.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()), "{text}");
    assert!(own.iter().all(|line| line["pod"] == pod.name() || line["level"] != "INFO"), "{text}");
    let line = |words: &str| {
        let found = own.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains(words)));
        found.unwrap_or_else(|| panic!("no `{words}` in {text}"))
    };
    let started = line("started `app`");
    assert_eq!((&started["component"], &started["action"]), (&"app".into(), &"start".into()));
    assert!(started["reason"].is_string() && started["duration_ms"].is_u64(), "{text}");
    assert_eq!(line("component `app` ended with status 3")["status"], 3);
    assert_eq!(line("ending the pod with status 3")["level"], "ERROR");
    assert_eq!(line("the pod has ended with status 3")["status"], 3);
    assert!(!text.contains("plan: "), "plans are for `--log=debug`: {text}");
}

#[test]
fn every_line_but_those_of_pause_is_json_also_where_the_manager_crashes() {
    let pod = Pod::plan("json-crash").args(&["--log-format", "json"]).component("app", &idle()).start();
    pod.wait_healthy();
    pod.crash_manager("KILL");
    pod.wait_said("taken up, running: app");
    pod.stop_clean();
    let text = pod.logs().1;
    let plain: Vec<&str> =
        text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err()).collect();
    assert!(!plain.is_empty() && plain.iter().all(|line| line.starts_with("pause: ")), "{text}");
}

#[test]
fn a_start_and_a_stop_of_one_component_take_three_lines_each() {
    let health = "healthcheck: {test: 'true', interval: 1s}\n";
    let pod = Pod::plan("lines").component("app", &format!("{}{health}", idle())).start();
    pod.wait_said("component `app` is healthy");
    // What a dead pod of another test left is another matter.
    let own = |line: &&str| line.contains(" INFO ") && !line.contains("dead pod");
    let infos = || pod.logs().1.lines().filter(own).count();
    let before = infos();
    assert!(before <= 3, "{}", pod.logs().1);
    pod.stop_clean();
    let after = infos();
    assert!(after - before <= 3, "{}", pod.logs().1);
}

#[test]
fn the_level_of_the_managers_lines_can_be_set() {
    let run = |level: &str| {
        let variable = format!("TANDEM_LOG={level}");
        let (said, _pod) =
            Pod::plan("level").options(&["-e", &variable]).component("app", &script("exit 0")).run();
        assert_eq!(said.status, 0, "{}", said.error());
        said.error()
    };
    assert_eq!(run("error"), "");
    assert!(run("debug").contains("DEBUG"));
}

#[test]
fn a_flag_may_be_a_variable() {
    let pod = Pod::plan("variable")
        .options(&["-e", "TANDEM_LOGS=true", "-e", "TANDEM_PIDS=false", "-e", "TANDEM_IPC=false"])
        .component("app", &script(&format!("echo {}; sleep 100000", quoted("hello"))))
        .start();
    wait("the line", LONG, || pod.logs().0.contains("[out] app: hello\n").then_some(()));
    assert!(pod.sandbox().is_none());
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    assert_eq!(pod.wait_end().status, 137);
    assert_eq!(attempt(&["inspect", &pod.container("app")]).status, 1);
}
