//! Restarts in place, components that may end, sidecars, scratch volumes, and the order of ends.

use std::time::Duration;

use crate::lab::docker::{attempt, docker, inspect};
use crate::lab::pod::{Pod, Volumes};
use crate::lab::{LONG, here, idle, script, until_let_go, wait};

/// A component that ends with 3 when it is let go, and this much is known of each of its lives: how many there were
/// is in its own file system.
fn lives() -> String {
    script(&format!("echo life >> /lives; {}", until_let_go("3")))
}

/// Wait for the n-th life of `app`. Not by a command in it: where one ends with its container, Docker Engine 20.10 may
/// never say so.
#[track_caller]
fn wait_life(pod: &Pod, number: usize) {
    wait(format!("life {number}"), LONG, || {
        let said = docker(&["logs", &pod.container("app")]).text();
        (said.lines().filter(|line| *line == "held").count() == number).then_some(())
    });
}

/// Let the n-th life of `app` end.
#[track_caller]
fn end_life(pod: &Pod, number: usize) {
    wait_life(pod, number);
    docker(&["kill", "-s", "USR1", &pod.container("app")]);
}

#[test]
fn a_component_is_started_again_in_place_with_its_files_and_joined_to_the_pod() {
    let pod = Pod::plan("again")
        .args(&["--logs", "--log=debug"])
        .component("app", &format!("{}restart: on-failure:2\n", lives()))
        .component(
            "web",
            &script("mkdir /www; echo there > /www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www"),
        )
        .start();
    pod.wait_healthy();
    let (before, address) = (pod.component("app"), pod.task()["NetworkSettings"].clone());
    let web = pod.component("web")["State"]["StartedAt"].clone();
    for number in 1..=2 {
        end_life(&pod, number);
    }
    wait_life(&pod, 3);
    pod.wait_healthy();
    assert_eq!(pod.exec("app", "grep -c life /lives"), "3", "its files stay");
    assert_eq!(pod.component("app")["Id"], before["Id"], "it is the same container");
    assert_eq!(pod.component("web")["State"]["StartedAt"], web, "the others run on");
    assert_eq!(pod.task()["NetworkSettings"], address, "the pod keeps its addresses");
    assert_eq!(
        pod.exec("app", "wget -qO- http://127.0.0.1:8080/"),
        "there",
        "it is in the pod's network again"
    );
    let pids = pod.exec("app", "ps -o args");
    assert!(pids.contains("/pause") && pids.contains("httpd"), "and sees the pod's processes again: {pids}");
    let said = pod.logs().1;
    assert!(said.contains("start again `app` (it has ended)"), "{said}");

    // The budget is spent.
    end_life(&pod, 3);
    assert_eq!(pod.wait_end().status, 3);
    let (out, said) = pod.logs();
    assert_eq!(out.matches("[out] app: held\n").count(), 3, "each life's output comes out: {out}");
    assert!(said.contains("`app` ended with status 3"), "{said}");
    pod.assert_nothing_left();
}

#[test]
fn a_component_that_is_always_started_again_outlives_a_crash_of_the_manager_and_a_kill() {
    let pod = Pod::plan("always").component("app", &format!("{}restart: always\n", lives())).start();
    pod.wait_healthy();
    pod.crash_manager("KILL");
    end_life(&pod, 1);
    wait_life(&pod, 2);
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    wait_life(&pod, 3);
    pod.wait_healthy();
    docker(&["kill", "-s", "KILL", &format!("{}.pause", pod.name())]);
    assert_eq!(pod.wait_end().status, 137, "nothing is started again without its namespaces");
    pod.assert_nothing_left();
}

#[test]
fn an_init_component_may_try_again() {
    let pod = Pod::plan("retry")
        .label(
            "pod.init.components",
            &format!(
                "- {}  restart: on-failure\n",
                script("[ -f /tried ] || { touch /tried; exit 7; }")
                    .replace('\n', "\n  ")
                    .trim_end_matches("  ")
            ),
        )
        .component("app", &idle())
        .start();
    pod.wait_healthy();
    assert_eq!(pod.component("init-1")["State"]["ExitCode"], 0);
    pod.stop_clean();
}

#[test]
fn what_is_not_essential_may_end_and_the_pod_runs_on() {
    let pod = Pod::plan("extra")
        .component("app", &idle())
        .component("log", &format!("{}x-tandem: {{essential: false}}\n", script(&until_let_go("4"))))
        .start();
    pod.wait_running(&["app", "log"]);
    pod.wait_healthy();
    pod.let_go("log");
    wait("it has ended", LONG, || (pod.component("log")["State"]["ExitCode"] == 4).then_some(()));
    pod.wait_said("component `log` ended with status 4");
    docker(&["rm", &pod.container("log")]);
    assert!(pod.healthy_now());
    assert_eq!(pod.component("app")["State"]["Running"], true);
    pod.stop_clean();
}

/// A component that notes in a volume when it begins, when it was asked to stop, and when it ends.
fn noting(name: &str, takes: &str) -> String {
    let note = |word: &str| format!("echo {name} {word} >> /notes/all");
    let script = script(&format!(
        "{}; trap '{}; sleep {takes}; {}; exit 0' TERM; while :; do usleep 20000; done",
        note("begins"),
        note("asked"),
        note("ends"),
    ));
    format!("{script}volumes: [notes:/notes]\n")
}

#[test]
fn components_begin_and_end_in_their_order_with_sidecars_first_and_last() {
    let notes = Volumes::one("order");
    let volume = |yaml: String| yaml.replace("notes:/notes", &format!("{}:/notes", notes.name()));
    let init = script("echo init begins >> /notes/all");
    let init = volume(format!("{init}volumes: [notes:/notes]\n")).replace('\n', "\n  ");
    let vpn = "x-tandem: {sidecar: true}\nhealthcheck: {test: test -s /notes/all, interval: 1s}\n";
    let pod = Pod::plan("order")
        .options(&["-v", &format!("{}:/notes", notes.name())])
        .args(&[&format!("--stop-timeout={}s", here(Duration::from_secs(6)).as_secs())])
        .label("pod.init.components", &format!("- {}", init.trim_end()))
        .component("vpn", &volume(noting("vpn", "0") + vpn))
        .component("db", &volume(noting("db", "0.3")))
        .component("app", &volume(noting("app", "0.3") + "depends_on: [db]\n"))
        .component("web", &volume(noting("web", "0.3") + "depends_on: [app]\n"))
        .component("proof", &volume(format!("{}volumes: [notes:/notes]\n", idle())))
        .start();
    pod.wait_healthy();
    // One that writes nothing, to read what the others wrote; stopped by itself it is not in their order.
    let began = pod.exec("proof", "cat /notes/all");
    let places = |text: &str, words: &[&str]| -> Vec<usize> {
        let place = |word: &&str| text.lines().position(|line| line == *word);
        words.iter().map(|word| place(word).unwrap_or_else(|| panic!("no `{word}` in\n{text}"))).collect()
    };
    let order = places(&began, &["vpn begins", "init begins", "db begins", "app begins", "web begins"]);
    assert!(order.is_sorted(), "{began}");
    pod.stop_clean();
    let all = docker(&[
        "run",
        "--rm",
        "-v",
        &format!("{}:/notes:ro", notes.name()),
        &crate::lab::test_image(),
        "cat",
        "/notes/all",
    ]);
    let all = all.text();
    let words =
        ["web asked", "web ends", "app asked", "app ends", "db asked", "db ends", "vpn asked", "vpn ends"];
    assert!(places(&all, &words).is_sorted(), "{all}");
}

#[test]
fn a_component_that_does_not_stop_is_killed_at_the_pods_own_deadline() {
    let pod = Pod::plan("deadline")
        .args(&["--stop-timeout=100s"])
        .label("pod.stop_grace_period", "2s")
        .component("app", &script("trap '' TERM; while :; do usleep 20000; done"))
        .component("db", &format!("{}depends_on: [app]\n", idle()))
        .start();
    pod.wait_healthy();
    let end = pod.stop_clean();
    // The other flag would be 100 s; the machine is busy.
    assert!(end.took >= Duration::from_secs(2) && end.took < here(Duration::from_secs(30)), "{:?}", end.took);
    pod.wait_said("`app` ended with status 137");
}

#[test]
fn a_component_serves_on_for_its_shutdown_delay_while_the_pod_says_that_it_stops() {
    let pod = Pod::plan("delay")
        .args(&["--stop-timeout=40s", "--log=debug"])
        .component("app", &format!("{}x-tandem: {{shutdown_delay: 30s}}\n", script(&until_let_go("0"))))
        .start();
    pod.wait_healthy();
    docker(&["kill", "-s", "TERM", pod.id()]);
    pod.wait_said("prepare the stop of `app`");
    assert!(!pod.healthy_now(), "nothing new is sent to it");
    assert_eq!(pod.component("app")["State"]["Running"], true, "and what is under way is served");
    // It is done before its time.
    pod.let_go("app");
    assert_eq!(pod.wait_end_within(Duration::from_secs(25)).status, 0);
    pod.assert_nothing_left();
}

#[test]
fn scratch_volumes_are_shared_by_those_that_mount_them_and_gone_with_the_pod() {
    let user = "user: '1234:1234'\nrestart: always\n";
    let mounts = "volumes: ['disk:/disk', 'memory:/memory']\n";
    let pod = Pod::plan("scratch")
        .label("pod.scratch", "[disk, {name: memory, type: memory, size: 1m}]")
        .component("app", &format!("{}{user}{mounts}", lives().replace("/lives", "/memory/lives")))
        .component(
            "other",
            &format!(
                "{}volumes: ['memory:/there:ro', {{type: volume, source: disk, target: /here}}]\n",
                idle()
            ),
        )
        .component("none", &idle())
        .start();
    pod.wait_healthy();
    pod.exec("app", "echo one > /disk/file; echo two > /memory/file");
    assert_eq!(pod.exec("other", "cat /here/file /there/file"), "one\ntwo");
    assert_eq!(attempt(&["exec", &pod.container("other"), "touch", "/there/x"]).status, 1, "read-only is");
    let full = attempt(&[
        "exec",
        &pod.container("app"),
        "dd",
        "if=/dev/zero",
        "of=/memory/big",
        "bs=64k",
        "count=32",
    ]);
    assert!(full.error().contains("No space left"), "{}", full.error());
    assert_eq!(pod.exec("none", "ls / | grep -c -e disk -e memory -e here || true"), "0");
    // Who is started again finds them as they were, though it was the only one that wrote.
    pod.exec("app", "rm /memory/big");
    end_life(&pod, 1);
    wait("a second life", LONG, || {
        let said = attempt(&["exec", &pod.container("other"), "grep", "-c", "life", "/there/lives"]);
        (said.text() == "2").then_some(())
    });
    assert_eq!(pod.exec("other", "cat /there/file"), "two");

    let store = inspect(&format!("{}.store", pod.name()));
    let volumes: Vec<&str> = store["Mounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .filter_map(|mount| mount["Name"].as_str())
        .collect();
    assert_eq!(volumes.len(), 2);
    pod.stop_clean();
    for volume in volumes {
        assert_ne!(attempt(&["volume", "inspect", volume]).status, 0, "{volume} is left");
    }
}

#[test]
fn what_a_dead_pod_left_is_swept_by_any_manager_and_nothing_else_is_touched() {
    let dead = Pod::plan("dead")
        .args(&["--pids=false", "--ipc=false"])
        .label("pod.scratch", "[cache]")
        .component("app", &format!("{}volumes: ['cache:/cache']\n", idle()))
        .start();
    dead.wait_healthy();
    let gone = Pod::plan("gone").component("app", &idle()).start();
    gone.wait_healthy();
    let live = Pod::plan("live").component("app", &idle()).start();
    live.wait_healthy();
    let left = [dead.members(), gone.members()].concat();
    assert_eq!(left.len(), 4, "{left:?}");
    let before = live.members();
    docker(&["kill", "-s", "KILL", dead.id()]);
    docker(&["rm", "-f", gone.id()]);

    let sweeper = Pod::plan("sweeper").component("app", &idle()).start();
    wait("all is swept", LONG, || (dead.members().is_empty() && gone.members().is_empty()).then_some(()));
    assert_eq!(live.members(), before);
    assert!(live.healthy_now());
    sweeper.wait_healthy();
    assert_eq!(attempt(&["inspect", dead.id()]).status, 0, "the task container itself is Swarm's");
}

#[test]
fn a_pod_starts_at_once_under_the_name_of_one_that_was_removed_by_force() {
    let plan = || Pod::plan("again").args(&["--pids=false", "--ipc=false"]).component("app", &idle());
    let first = plan().start();
    first.wait_healthy();
    let app = first.component("app");
    assert_eq!(app["Config"]["Labels"]["io.tandem.manager"], first.id());
    docker(&["rm", "-f", first.id()]);
    let second = plan().named_as(&first).start();
    second.wait_healthy();
    assert_ne!(second.component("app")["Id"], app["Id"]);
    assert!(!second.logs().1.contains("in use"), "{}", second.logs().1);
    wait("the first pod is gone", LONG, || first.members().is_empty().then_some(()));
    second.stop_clean();
}

#[test]
fn short_pods_of_which_a_third_is_killed_leave_nothing_once_the_next_manager_has_begun() {
    let pods: Vec<Pod> = std::thread::scope(|scope| {
        let rounds: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn(move || {
                    let mut pods = Vec::new();
                    for round in 0..10 {
                        let pod = Pod::plan(&format!("short-{number}-{round}"))
                            .args(&["--pids=false", "--ipc=false"])
                            .component("app", &idle())
                            .start();
                        pod.wait_running(&["app"]);
                        if round % 3 == 0 {
                            docker(&["kill", "-s", "KILL", pod.id()]);
                        } else {
                            pod.stop_clean();
                        }
                        pods.push(pod);
                    }
                    pods
                })
            })
            .collect();
        rounds.into_iter().flat_map(|round| round.join().expect("ten pods")).collect()
    });
    let next = Pod::plan("next").component("app", &idle()).start();
    next.wait_running(&["app"]);
    wait("nothing is left", here(Duration::from_secs(1)), || {
        pods.iter().all(|pod| pod.members().is_empty()).then_some(())
    });
    next.stop_clean();
}

#[test]
fn what_a_component_that_failed_wrote_last_is_in_the_log() {
    let app = script("echo early; seq 2000; usleep 500000; echo to stderr >&2; echo last word; exit 9");
    let (said, pod) = Pod::plan("last").component("app", &app).component("db", &idle()).run();
    assert_eq!(said.status, 9);
    let text = said.error();
    assert!(text.contains("`app` wrote last:\n  1983\n"), "{text}");
    assert!(text.contains("\n  last word\n  to stderr\n"), "{text}");
    assert!(text.contains("how the components ended: `app` status 9, `db` status 137 (SIGKILL)"), "{text}");
    pod.assert_nothing_left();

    let (said, _pod) =
        Pod::plan("printed").args(&["--logs"]).component("app", &script("echo last word; exit 9")).run();
    assert!(!said.error().contains("wrote last"), "with `--logs` it is there already: {}", said.error());
}

#[test]
fn what_the_pods_of_a_node_do_can_be_asked() {
    let pod = Pod::plan("status")
        .component("app", &format!("{}restart: always\n", lives()))
        .component("log", &format!("{}x-tandem: {{essential: false}}\n", script("echo no more >&2; exit 4")))
        .start();
    pod.wait_healthy();
    end_life(&pod, 1);
    wait_life(&pod, 2);
    pod.wait_healthy();
    let asked = |args: &[&str]| docker(&[&["exec", pod.id(), "/manager", "status"], args].concat()).text();
    let text = asked(&[pod.name()]);
    let row = |first: &str| {
        let row = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = row.into_iter().find(|row| row.first() == Some(&first));
        found.unwrap_or_else(|| panic!("no `{first}` in\n{text}")).join(" ")
    };
    let short = |container: &str| inspect(container)["Id"].as_str().expect("an id")[..12].to_owned();
    assert_eq!(row(pod.name()), format!("{} running healthy {}", pod.name(), &pod.id()[..12]));
    assert_eq!(row("app"), format!("app running 1 {}", short(&pod.container("app"))));
    assert_eq!(row("log"), format!("log exited status 4 0 {}", short(&pod.container("log"))));
    assert!(text.ends_with(&format!("\n`log` of {} wrote last:\n  no more", pod.name())), "{text}");

    let all: serde_json::Value = serde_json::from_str(&asked(&["--json"])).expect("JSON");
    let ours = all.as_array().expect("a list").iter().find(|one| one["id"] == pod.id()).expect("our pod");
    let log =
        ours["members"].as_array().expect("a list").iter().find(|one| one["name"] == "log").expect("log");
    assert_eq!(
        (&log["exit_status"], &log["last_output"]),
        (&4.into(), &serde_json::json!(["no more"])),
        "{log}"
    );

    let none = attempt(&["exec", pod.id(), "/manager", "status", "nowhere"]);
    assert_eq!((none.status, none.error().trim()), (1, "there is no pod `nowhere` on this node"));
}
