//! How pods end: by a component, by a stop, and with which status.

use std::net::TcpListener;
use std::time::Duration;

use crate::lab::docker::{self, inspect, try_inspect};
use crate::lab::pod::{Pod, Volumes};
use crate::lab::{LONG, here, idle, script, test_image, unique, until_let_go, wait};

/// A stop that has nothing to wait for ends well before the grace period of Swarm.
const PROMPT: Duration = Duration::from_secs(8);

#[test]
fn the_pod_ends_with_the_status_of_the_component_that_ends() {
    let cases: &[(&str, &[&str])] = &[
        ("0", &[]),
        ("3", &[]),
        ("255", &[]),
        ("3", &["--pids=false", "--ipc=false"]),
        ("255", &["--ipc=false"]),
    ];
    for (status, args) in cases {
        let pod = Pod::plan("status")
            .args(args)
            .component("app", &script(&until_let_go(status)))
            .component("other", &idle())
            .start();
        pod.wait_running(&["app", "other"]);
        pod.let_go("app");
        let end = pod.wait_end();
        assert_eq!(end.status.to_string(), **status, "{args:?}");
        pod.assert_nothing_left();
    }
}

#[test]
fn a_component_killed_by_a_signal_ends_the_pod_with_128_and_the_signal() {
    let pod = Pod::plan("killed").component("app", &idle()).component("other", &idle()).start();
    pod.wait_running(&["app", "other"]);
    docker::docker(&["kill", "-s", "KILL", &pod.container("app")]);
    assert_eq!(pod.wait_end().status, 137);
    pod.assert_nothing_left();
}

#[test]
fn a_component_at_its_memory_limit_ends_the_pod_with_137_and_the_reason() {
    let hungry = format!(
        "{}mem_limit: 16m\n",
        script("exec awk 'BEGIN { x = \"0123456789abcdef\"; while (1) x = x x }'")
    );
    let (said, pod) = Pod::plan("oom").component("app", &hungry).component("other", &idle()).run();
    assert_eq!(said.status, 137, "{}", said.error());
    assert!(said.error().contains("memory"), "{}", said.error());
    pod.assert_nothing_left();
}

#[test]
fn init_components_run_one_after_the_other_before_the_components() {
    let volumes = Volumes::one("notes");
    let volume = volumes.name();
    let step = |text: &str| {
        format!(
            "- image: {}\n  command: [sh, -c, 'sleep 0.5; echo {text} >>/notes/order']\n  volumes: ['{volume}:/notes']\n",
            test_image()
        )
    };
    let pod = Pod::plan("init-order")
        .options(&["-v", &format!("{volume}:/notes")])
        .label("pod.init.components", &format!("{}{}{}", step("first"), step("second"), step("third")))
        .component("app", &format!("{}volumes: ['{volume}:/notes']\n", idle()))
        .start();
    pod.wait_running(&["app"]);
    assert_eq!(pod.exec("app", "cat /notes/order"), "first\nsecond\nthird");
    let at =
        |name: &str, key: &str| docker::time(pod.component(name)["State"][key].as_str().expect("a time"));
    assert!(at("init-1", "FinishedAt") <= at("init-2", "StartedAt"));
    assert!(at("init-2", "FinishedAt") <= at("init-3", "StartedAt"));
    assert!(at("init-3", "FinishedAt") <= at("app", "StartedAt"));
    pod.stop_clean();
}

#[test]
fn an_init_component_that_fails_ends_the_pod_with_its_status() {
    // 255 was 0 once: Podlike's bug 4.
    for status in ["1", "3", "255"] {
        let init = format!(
            "- image: {image}\n  command: ['true']\n- image: {image}\n  command: [sh, -c, 'exit {status}']\n\
             - image: {image}\n  command: ['true']\n",
            image = test_image()
        );
        let (said, pod) = Pod::plan("init-fails")
            .label("pod.init.components", &init)
            .component("app", &idle())
            .proxied(|_| crate::lab::proxy::Verdict::Pass)
            .run();
        assert_eq!(said.status.to_string(), status);
        assert!(said.error().contains("init-2"), "{}", said.error());
        let created = pod.proxy().changes().join("\n");
        assert!(created.contains("podlike.init-2"), "{created}");
        assert!(!created.contains("podlike.init-3") && !created.contains("podlike.app"), "{created}");
        pod.assert_nothing_left();
    }
}

#[test]
fn a_component_that_cannot_start_brings_the_pod_down_with_the_shells_status() {
    for (command, status) in [("/no/such/program", 127), ("/etc", 126)] {
        let yaml = format!("image: {}\ncommand: [{command}]\n", test_image());
        let (said, pod) = Pod::plan("no-start").component("bad", &yaml).component("good", &idle()).run();
        assert_eq!(said.status, status, "{}", said.error());
        assert!(said.error().contains(command), "{}", said.error());
        pod.assert_nothing_left();
    }
}

#[test]
fn a_component_that_the_engine_refuses_brings_the_pod_down_with_its_words() {
    // Whether a path of the host is there only the engine can tell. Neither form makes it.
    let path = format!("/{}/folder", unique("no-such"));
    for volume in [format!("{{type: bind, source: {path}, target: /x}}"), format!("'{path}:/x'")] {
        let yaml = format!("{}volumes: [{volume}]\n", idle());
        let (said, pod) = Pod::plan("refused")
            .args(&[&format!("--allow=host-paths={path}")])
            .component("bad", &yaml)
            .component("good", &idle())
            .run();
        assert_eq!(said.status, 125, "{volume}: {}", said.error());
        for words in ["bind source path does not exist", path.as_str()] {
            assert!(said.error().contains(words), "{volume}: {}", said.error());
        }
        pod.assert_nothing_left();
    }
}

#[test]
fn a_stop_ends_with_0_and_leaves_nothing() {
    let anonymous = format!("{}volumes: [/data]\n", idle());
    let pod = Pod::plan("stop").component("app", &anonymous).component("other", &idle()).start();
    pod.wait_running(&["app", "other"]);
    let volume = pod.component("app")["Mounts"][0]["Name"].as_str().expect("a volume").to_owned();
    let end = pod.stop_clean();
    assert!(end.took < here(PROMPT), "took {:?}", end.took);
    assert_ne!(docker::attempt(&["volume", "inspect", &volume]).status, 0, "the anonymous volume is left");
    assert_eq!(pod.task()["State"]["OOMKilled"], false);
}

#[test]
fn an_interrupt_is_a_stop_too() {
    let pod = Pod::plan("interrupt").component("app", &idle()).start();
    pod.wait_running(&["app"]);
    docker::docker(&["kill", "-s", "INT", pod.id()]);
    assert_eq!(pod.wait_end().status, 0);
    pod.assert_nothing_left();
}

#[test]
fn a_stop_is_answered_while_an_init_component_runs() {
    let init = format!("- image: {}\n  command: [sleep, '100000']\n  stop_signal: SIGKILL\n", test_image());
    let pod = Pod::plan("stop-init").label("pod.init.components", &init).component("app", &idle()).start();
    pod.wait_running(&["init-1"]);
    let end = pod.stop_clean();
    assert!(end.took < here(PROMPT), "took {:?}", end.took);
}

#[test]
fn a_stop_is_answered_while_a_registry_does_not_answer() {
    // It accepts, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let image = format!("127.0.0.1:{}/x:1", listener.local_addr().expect("an address").port());
    let pod = Pod::plan("stop-pull")
        .args(&["--allow=local-registries"])
        .component("app", &format!("image: {image}\n"))
        .component("other", &idle())
        .start();
    pod.wait_said(&format!("pulling image `{image}`"));
    let end = pod.stop_clean();
    assert!(end.took < here(PROMPT), "took {:?}", end.took);
    drop(listener);
}

#[test]
fn a_stop_is_answered_while_a_dependency_is_waited_for() {
    let never =
        format!("{}healthcheck: {{test: [CMD, 'false'], interval: 1s, start_period: 1000s}}\n", idle());
    let waits = format!("{}depends_on: {{never: {{condition: service_healthy}}}}\n", idle());
    let pod = Pod::plan("stop-waits").component("never", &never).component("waits", &waits).start();
    pod.wait_running(&["never"]);
    let end = pod.stop_clean();
    assert!(end.took < here(PROMPT), "took {:?}", end.took);
}

#[test]
fn a_stop_is_answered_at_the_very_beginning() {
    let pod = Pod::plan("stop-early").component("app", &idle()).component("other", &idle()).start();
    let end = pod.stop();
    // A manager that had no time for its first word dies of the signal, and pause cannot tell it from any
    // other program that does.
    let before_its_first_word = end.status == 143 && pod.logs().1.contains("killed by signal 15");
    assert!(end.status == 0 || before_its_first_word, "status {}: {:?}", end.status, pod.logs());
    assert!(end.took < here(PROMPT), "took {:?}", end.took);
    pod.assert_nothing_left();
}

#[test]
fn a_stop_during_creation_leaves_nothing() {
    for late in ["podlike.app", ".pause"] {
        let pod = Pod::plan("stop-create")
            .proxied(move |seen| match seen.creates(late) {
                true => crate::lab::proxy::Verdict::Late(Duration::from_secs(2)),
                false => crate::lab::proxy::Verdict::Pass,
            })
            .component("app", &idle())
            .component("other", &idle())
            .start();
        wait("the creation is under way", LONG, || {
            pod.proxy().calls().iter().any(|call| call.seen.creates(late)).then_some(())
        });
        pod.stop_clean();
    }
}

/// Says when it is told to stop, and ends after a while.
fn leaving(dependencies: &str) -> String {
    let body = "trap 'echo told; sleep 1; echo gone; exit 0' TERM; echo up; while :; do sleep 0.1; done";
    format!("{}{dependencies}", script(body))
}

#[test]
fn a_stop_runs_in_reverse_order_of_dependencies() {
    for args in [&["--logs"][..], &["--logs", "--pids=false", "--ipc=false"][..]] {
        let pod = Pod::plan("stop-order")
            .args(args)
            .component("a-front", &leaving("depends_on: [m-middle]\n"))
            .component("m-middle", &leaving("depends_on: [z-back]\n"))
            .component("z-back", &leaving(""))
            .start();
        pod.wait_running(&["a-front", "m-middle", "z-back"]);
        wait("all are up", LONG, || (pod.logs().0.matches(": up\n").count() == 3).then_some(()));
        pod.stop_clean();
        let out = pod.logs().0;
        let lines: Vec<&str> = out.lines().filter(|line| !line.ends_with(": up")).collect();
        let want = [
            "[out] a-front: told",
            "[out] a-front: gone",
            "[out] m-middle: told",
            "[out] m-middle: gone",
            "[out] z-back: told",
            "[out] z-back: gone",
        ];
        assert_eq!(lines, want, "{args:?}");
    }
}

#[test]
fn independent_components_stop_side_by_side() {
    let pod = Pod::plan("stop-beside")
        .args(&["--logs"])
        .component("one", &leaving(""))
        .component("two", &leaving(""))
        .component("three", &leaving(""))
        .start();
    wait("all are up", LONG, || (pod.logs().0.matches(": up\n").count() == 3).then_some(()));
    pod.stop_clean();
    let out = pod.logs().0;
    let (told, gone) = (out.rfind(": told"), out.find(": gone"));
    assert!(told.is_some() && told < gone, "{out}");
}

#[test]
fn a_component_that_ignores_the_stop_is_killed_within_the_time_for_stopping() {
    let stubborn = script("trap '' TERM; echo up; while :; do sleep 0.1; done");
    // Without any time of its own it would have Docker's 10 seconds.
    let pod = Pod::plan("stubborn")
        .args(&["--logs", "--stop-timeout", "3s"])
        .component("back", &format!("{stubborn}stop_grace_period: 3s\n"))
        .component("front", &format!("{stubborn}depends_on: [back]\n"))
        .start();
    wait("both are up", LONG, || (pod.logs().0.matches(": up\n").count() == 2).then_some(()));
    let end = pod.stop_clean();
    assert!(end.took >= Duration::from_secs(2), "not killed at once: {:?}", end.took);
    assert!(end.took < here(Duration::from_secs(7)), "took {:?}", end.took);
}

#[test]
fn a_components_own_grace_period_is_kept_to() {
    let stubborn = script("trap '' TERM; echo up; while :; do sleep 0.1; done");
    let pod = Pod::plan("grace")
        .args(&["--logs", "--stop-timeout", "60s"])
        .component("app", &format!("{stubborn}stop_grace_period: 1s\n"))
        .start();
    wait("it is up", LONG, || pod.logs().0.contains(": up\n").then_some(()));
    let end = pod.stop_clean();
    assert!(
        end.took >= Duration::from_secs(1) && end.took < here(Duration::from_secs(6)),
        "took {:?}",
        end.took
    );
}

#[test]
fn a_component_is_told_to_stop_by_its_own_signal() {
    let yaml = format!(
        "{}stop_signal: SIGUSR1\n",
        script(
            "trap 'echo usr1; exit 0' USR1; trap 'echo term; exit 1' TERM; echo up; while :; do sleep 0.1; done"
        )
    );
    let pod = Pod::plan("signal").args(&["--logs"]).component("app", &yaml).start();
    wait("it is up", LONG, || pod.logs().0.contains(": up\n").then_some(()));
    pod.stop_clean();
    assert!(pod.logs().0.contains("[out] app: usr1\n"), "{:?}", pod.logs());
}

#[test]
fn a_failure_during_the_stop_is_still_a_requested_stop() {
    let pod = Pod::plan("stop-fails")
        .args(&["--logs"])
        .component("app", &script("trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done"))
        .start();
    wait("it is up", LONG, || pod.logs().0.contains(": up\n").then_some(()));
    pod.stop_clean();
}

#[test]
fn a_sandbox_that_is_killed_ends_the_pod() {
    let pod = Pod::plan("sandbox-dies").component("app", &idle()).start();
    pod.wait_running(&["app"]);
    docker::docker(&["kill", "-s", "KILL", &format!("{}.pause", pod.name())]);
    let end = pod.wait_end();
    assert_eq!(end.status, 137, "{:?}", pod.logs());
    assert!(pod.logs().1.contains("sandbox"), "{:?}", pod.logs());
    pod.assert_nothing_left();
}

#[test]
fn a_component_that_somebody_removes_ends_the_pod() {
    let pod = Pod::plan("removed").component("app", &idle()).component("other", &idle()).start();
    pod.wait_running(&["app", "other"]);
    docker::docker(&["rm", "-f", &pod.container("app")]);
    let end = pod.wait_end();
    assert_eq!(end.status, 137, "{:?}", pod.logs());
    pod.assert_nothing_left();
}

#[test]
fn all_processes_end_when_the_task_container_is_killed() {
    let pod = Pod::plan("lifeline")
        .component("app", &idle())
        .component("shell", &script("sleep 100000 & sleep 100000 & wait"))
        .start();
    pod.wait_running(&["app", "shell"]);
    pod.wait_healthy();
    docker::docker(&["kill", "-s", "KILL", pod.id()]);
    let killed = docker::time(inspect(pod.id())["State"]["FinishedAt"].as_str().expect("a time"));
    for name in [pod.container("app"), pod.container("shell"), format!("{}.pause", pod.name())] {
        let ended = wait(format!("`{name}` ends"), Duration::from_secs(10), || {
            // The manager of another test may have removed it by now.
            let Some(found) = try_inspect(&name) else { return Some(killed) };
            let state = found["State"].clone();
            (state["Running"] == false).then(|| docker::time(state["FinishedAt"].as_str().expect("a time")))
        });
        let after = ended.saturating_sub(killed);
        assert!(after <= here(Duration::from_secs(1)), "`{name}` ended {after:?} after its task container");
    }
}
