//! Components that others stop and start (`docker restart`), restarts that somebody asks the manager for, and why a
//! component is unhealthy.

use std::time::{Duration, Instant};

use crate::lab::docker::{Started, attempt, docker, inspect};
use crate::lab::pod::{Agent, Pod};
use crate::lab::{LONG, here, idle, quoted, script, test_image, wait};

/// Notes each of its lives in its own file system, and ends with 5 when it is told to by TERM.
fn lives() -> String {
    script("echo life >> /lives; trap 'exit 5' TERM; while :; do usleep 20000; done")
}

/// When its process was started last.
fn started(pod: &Pod, component: &str) -> String {
    pod.component(component)["State"]["StartedAt"].as_str().expect("a time").to_owned()
}

#[test]
fn docker_restart_of_a_component_restarts_it_in_place_whatever_its_restart_says() {
    let hooks = "post_start: [{command: [sh, -c, 'echo post >> /hooks']}]\npre_stop: [{command: [sh, -c, 'echo pre >> /hooks']}]\n";
    let restarts = ["no", "always", "unless-stopped", "on-failure:1"];
    let plan = restarts.iter().enumerate().fold(Pod::plan("in-place"), |plan, (number, restart)| {
        plan.component(&format!("app{number}"), &format!("{}restart: '{restart}'\n{hooks}", lives()))
    });
    // Its stop signal is not TERM, as that of many images.
    let quit = script("echo life >> /lives; trap 'exit 5' QUIT; while :; do usleep 20000; done");
    let pod =
        plan.component("quit", &format!("{quit}stop_signal: SIGQUIT\n")).component("web", &idle()).start();
    pod.wait_healthy();
    let web = started(&pod, "web");
    let mut names: Vec<String> = (0..restarts.len()).map(|number| format!("app{number}")).collect();
    names.push("quit".into());
    for name in &names {
        let before = pod.component(name)["Id"].clone();
        docker(&["restart", &pod.container(name)]);
        pod.wait_said(&format!("component `{name}` was started again from outside"));
        wait("the pod is healthy", LONG, || pod.healthy_now().then_some(()));
        assert_eq!(pod.component(name)["Id"], before, "it is the same container");
        assert_eq!(pod.exec(name, "grep -c life /lives"), "2", "{name}");
        if name != "quit" {
            wait("its hooks have run", LONG, || (pod.exec(name, "cat /hooks") == "post\npost").then_some(()));
        }
    }
    // A stop that takes its whole time ends with a kill.
    docker(&["restart", "-t", "1", &pod.container("web")]);
    pod.wait_said("component `web` was started again from outside");
    wait("the pod is healthy", LONG, || pod.healthy_now().then_some(()));
    assert_ne!(started(&pod, "web"), web);
    // So does a stop and a start by hand.
    docker(&["kill", "-s", "KILL", &pod.container("web")]);
    docker(&["start", &pod.container("web")]);
    wait("it is seen", LONG, || {
        (pod.logs().1.matches("`web` was started again from outside").count() == 2).then_some(())
    });
    wait("the pod is healthy", LONG, || pod.healthy_now().then_some(()));
    pod.stop_clean();
}

#[test]
fn the_log_has_all_that_a_component_writes_after_a_restart_by_others_and_nothing_twice() {
    let app = script("seq 1 200; trap exit TERM; while :; do usleep 20000; done");
    let pod =
        Pod::plan("first-lines").args(&["--logs"]).component("app", &app).component("web", &idle()).start();
    pod.wait_healthy();
    for life in 2..=4 {
        docker(&["restart", &pod.container("app")]);
        let lines = |text: &str| pod.logs().0.lines().filter(|line| line.ends_with(text)).count();
        wait("the last line is there", LONG, || (lines("app: 200") >= life).then_some(()));
        for line in ["app: 1", "app: 2", "app: 100", "app: 200"] {
            assert_eq!(lines(line), life, "{line}");
        }
    }
    pod.stop_clean();
}

/// A component that writes to this folder of the host, as another manager would have created it for the pod of `task`.
fn neighbour(task: &str, name: &str, folder: &str) {
    let (image, id) = (test_image(), inspect(task)["Id"].as_str().expect("an id").to_owned());
    let [pod, network] = [format!("io.tandem.pod={id}"), format!("container:{id}")];
    let mount = format!("{folder}:/host");
    let run = ["run", "-d", "--name", name, "--network", &network, "-v", &mount, "--label", &pod];
    let labels = ["io.tandem.role=component", "io.tandem.component=writer", "io.tandem.test=neighbour"]
        .map(|label| ["--label", label]);
    docker(&[&run[..], labels.as_flattened(), &[&image, "sleep", "1000000"]].concat());
}

#[test]
fn a_pod_ends_with_the_reason_where_its_mounts_hold_no_longer_after_a_restart_by_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let below = folder.path().join("below");
    std::fs::create_dir(&below).expect("made");
    let (whole, below) = (folder.path().display().to_string(), below.display().to_string());
    let app = format!("{}volumes: ['{below}:/data']\n", lives());
    let plan = || Pod::plan("mounts").args(&[&format!("--allow=host-paths={below}")]);
    let pod = plan().component("app", &app).component("web", &idle()).start();
    pod.wait_healthy();
    docker(&["restart", &pod.container("app")]);
    pod.wait_said("component `app` was started again from outside");
    wait("the pod is healthy", LONG, || pod.healthy_now().then_some(()));
    // No manager would have created this container beside the pod.
    let task = format!("{}-neighbour", pod.name());
    let name = format!("{task}.podlike.writer");
    let _removed = [Started(&name), Started(&task)];
    docker(&[
        "run",
        "-d",
        "--name",
        &task,
        "--label",
        "io.tandem.test=neighbour",
        &test_image(),
        "sleep",
        "1000000",
    ]);
    neighbour(&task, &name, &whole);
    docker(&["restart", &pod.container("app")]);
    assert_eq!(pod.wait_end().status, 64);
    let said = pod.logs().1;
    assert!(said.contains(&below) && said.contains(&whole), "{said}");
    pod.assert_nothing_left();
}

#[test]
fn docker_stop_of_a_component_ends_the_pod_with_its_status_but_where_restart_brings_it_back() {
    for (restart, removed) in [("no", false), ("unless-stopped", false), ("no", true)] {
        let app = format!("{}restart: '{restart}'\n", lives());
        let pod = Pod::plan("stopped").component("app", &app).component("web", &idle()).start();
        pod.wait_healthy();
        docker(&["stop", &pod.container("app")]);
        if removed {
            // It may be gone already: then the pod was quicker.
            attempt(&["rm", &pod.container("app")]);
        }
        assert_eq!(pod.wait_end().status, 5, "{restart}, {removed}");
        pod.assert_nothing_left();
    }
    let pod = Pod::plan("healed")
        .component("always", &format!("{}restart: always\n", lives()))
        .component("failure", &format!("{}restart: on-failure\n", lives()))
        .component("extra", &format!("{}x-tandem: {{essential: false}}\n", lives()))
        .start();
    pod.wait_healthy();
    for name in ["always", "failure"] {
        docker(&["stop", &pod.container(name)]);
        assert!(
            !pod.healthy_now() || pod.exec(name, "grep -c life /lives") == "2",
            "{name}: not until it is decided"
        );
        wait("it is back", LONG, || (pod.component(name)["State"]["Running"] == true).then_some(()));
        assert_eq!(pod.exec(name, "grep -c life /lives"), "2", "{name}");
        pod.wait_healthy();
    }
    docker(&["stop", &pod.container("extra")]);
    pod.wait_said("component `extra` ended with status 5");
    let began = Instant::now();
    wait("the time for a start is over", LONG, || (began.elapsed() > Duration::from_secs(3)).then_some(()));
    assert!(pod.healthy_now());
    assert_eq!(pod.component("extra")["State"]["Running"], false);
    pod.stop_clean();
}

#[test]
fn a_component_that_ends_by_itself_or_for_want_of_memory_is_not_waited_for() {
    let crash = script("trap 'kill -9 $$' USR1; echo held; while :; do usleep 50000; done");
    let pod = Pod::plan("crash").component("app", &crash).component("web", &idle()).start();
    pod.wait_healthy();
    pod.let_go("app");
    pod.wait_said("component `app` ended with status");
    let end = pod.wait_end();
    assert_ne!(end.status, 0);
    assert!(end.took < here(Duration::from_secs(6)), "{:?}", end.took);
    pod.assert_nothing_left();
}

/// `manager restart` in a container: exit status and all that it says.
fn restart(container: &str, name: &str) -> (i32, String) {
    let said = attempt(&["exec", container, "/manager", "restart", name]);
    (said.status, (said.text() + &said.error()).trim().to_owned())
}

#[test]
fn manager_restart_restarts_in_place_with_hooks_and_those_who_ask_for_it() {
    let hook = |word: &str| format!("[{{command: [sh, -c, {}]}}]", quoted(&format!("echo {word} >> /hooks")));
    let db = format!("{}post_start: {}\npre_stop: {}\n", lives(), hook("post"), hook("pre"));
    let checked = "healthcheck: {test: 'sleep 2', interval: 1s, start_period: 60s}\n";
    let pod = Pod::plan("asked")
        // The root file system need not be writable.
        .options(&["--read-only"])
        .label("pod.init.components", &format!("- {}", script("exit 0").trim_end().replace('\n', "\n  ")))
        .component("db", &format!("{db}{checked}"))
        .component(
            "app",
            &format!("{}depends_on: {{db: {{condition: service_healthy, restart: true}}}}\n", lives()),
        )
        .component("web", &format!("{}depends_on: [db]\n", lives()))
        .start();
    pod.wait_healthy();
    let before = started(&pod, "web");
    let (status, said) = restart(pod.id(), "db");
    assert_eq!((status, said.as_str()), (0, "restarted `db`, and with it `app`"), "{:?}", pod.logs());
    assert_eq!(pod.component("db")["State"]["Health"]["Status"], "healthy", "the answer waits for it");
    assert!(started(&pod, "db") < started(&pod, "app"), "in order");
    assert_eq!(started(&pod, "web"), before, "the others run on");
    assert_eq!(pod.exec("db", "cat /hooks"), "post\npre\npost");
    for name in ["db", "app"] {
        assert_eq!(pod.exec(name, "grep -c life /lives"), "2", "{name}");
    }
    wait("the pod is healthy", LONG, || pod.healthy_now().then_some(()));
    for (name, words) in [
        ("dv", "there is no component `dv`: did you mean `db`?"),
        ("init-1", "`init-1` is an init component: it runs to its end once"),
    ] {
        assert_eq!(restart(pod.id(), name), (1, words.to_owned()));
    }
    assert_eq!(started(&pod, "web"), before);
    // The next manager takes requests too.
    let crashed = pod.crash_manager("KILL");
    wait("another manager", LONG, || pod.manager_pid().filter(|pid| *pid != crashed));
    pod.wait_healthy();
    let (status, said) = wait("it answers", LONG, || {
        let (status, said) = restart(pod.id(), "web");
        (!said.contains("no manager in this container")).then_some((status, said))
    });
    assert_eq!((status, said.as_str()), (0, "restarted `web`"));
    pod.stop_clean();
}

#[test]
fn manager_restart_tells_why_a_component_does_not_come_up_again() {
    // The second life is never healthy, so that the request waits until it ends.
    let once = script(
        "[ -f /once ] && { rm /ok; usleep 500000; exit 7; }; touch /once /ok; trap 'exit 0' TERM; while :; do usleep 20000; done",
    ) + "healthcheck: {test: 'test -f /ok', interval: 1s}\n";
    let pod = Pod::plan("asked-bad").component("app", &once).component("web", &idle()).start();
    pod.wait_healthy();
    let (status, said) = restart(pod.id(), "app");
    assert_eq!(status, 1);
    assert!(said.contains("`app` ended with status 7"), "{said}");
    assert_eq!(pod.wait_end().status, 7);
    pod.assert_nothing_left();
}

#[test]
fn manager_restart_of_an_agents_pod_names_the_pod_and_is_no_way_for_components() {
    let agent = Agent::start(&[], &[]);
    let pod = Pod::plan("asked-agent").agent(agent.name()).component("app", &lives()).start();
    let other = Pod::plan("asked-other").agent(agent.name()).component("app", &lives()).start();
    pod.wait_healthy();
    other.wait_healthy();
    let (status, said) = restart(agent.name(), "app");
    assert_eq!(status, 1);
    assert!(said.starts_with("this manager runs several pods: name one, such as `"), "{said}");
    let before = started(&other, "app");
    let said = restart(agent.name(), &format!("{}/app", pod.name()));
    assert_eq!(said, (0, "restarted `app`".to_owned()));
    assert_eq!(pod.exec("app", "grep -c life /lives"), "2");
    assert_eq!(started(&other, "app"), before);
    // In the pod's own container there is no manager, and a component sees no pipe.
    let own = attempt(&["exec", pod.id(), "/pause", "cat", "/dev/shm/.tandem-requests/requests"]);
    assert_ne!(own.status, 0, "{own:?}");
    assert_eq!(pod.exec("app", "ls -A /dev/shm"), "");
    pod.stop_clean();
    other.stop_clean();
}

#[test]
fn where_components_share_the_managers_memory_there_is_no_way_for_requests() {
    let pod = Pod::plan("asked-shared")
        .options(&["--ipc=shareable", "--cap-drop=DAC_OVERRIDE", "--cap-drop=DAC_READ_SEARCH"])
        .args(&["--pause=task", "--pids=false"])
        .component("app", &lives())
        .start();
    pod.wait_healthy();
    assert_eq!(pod.exec("app", "ls -A /dev/shm"), "");
    let (status, said) = restart(pod.id(), "app");
    assert_eq!(status, 69);
    assert!(said.starts_with("no manager in this container takes requests"), "{said}");
    pod.stop_clean();
}

#[test]
fn of_two_managers_that_share_their_memory_the_second_says_that_it_cannot_be_asked() {
    let plan = |name: &str, ipc: &str| {
        let drop = ["--cap-drop=DAC_OVERRIDE", "--cap-drop=DAC_READ_SEARCH"];
        Pod::plan(name).options(&[&[ipc][..], &drop].concat()).component("app", &lives()).start()
    };
    let first = plan("asked-first", "--ipc=shareable");
    first.wait_healthy();
    let second = plan("asked-second", &format!("--ipc=container:{}", first.id()));
    second.wait_healthy();
    second.wait_said(
        "`manager restart` cannot reach this manager: /dev/shm/.tandem-requests: another manager takes",
    );
    let (status, said) = restart(second.id(), "app");
    assert_eq!(status, 69);
    assert!(said.contains("is another container's"), "{said}");
    assert_eq!(restart(first.id(), "app"), (0, "restarted `app`".to_owned()));
    second.stop_clean();
    first.stop_clean();
}

#[test]
fn an_unhealthy_component_says_why_in_the_log_in_status_and_at_the_end() {
    let check = "healthcheck: {test: 'echo cannot reach it; exit 1', interval: 1s, retries: 1}\n";
    let checked = idle() + check;
    let why = "is unhealthy: its check ended with status 1: cannot reach it";
    let pod = Pod::plan("why").component("db", &checked).component("app", &idle()).start();
    pod.wait_said(&format!("component `db` {why}"));
    let status = docker(&["exec", pod.id(), "/manager", "status", pod.name()]).text();
    assert!(status.contains(&format!("`db` of {} {why}", pod.name())), "{status}");
    let json = docker(&["exec", pod.id(), "/manager", "status", "--json", pod.name()]);
    let json: serde_json::Value = serde_json::from_slice(&json.out).expect("JSON");
    let members = json[0]["members"].as_array().expect("members");
    let db = members.iter().find(|one| one["name"] == "db").expect("it is there");
    assert_eq!(db["failed_check"], serde_json::json!({"exit_status": 1, "output": ["cannot reach it"]}));
    assert_eq!(pod.stop().status, 1);
    let said = pod.logs().1;
    assert!(said.contains(&format!("while the pod was not healthy; `db` {why}")), "{said}");
    pod.assert_nothing_left();

    let waits = format!("{}depends_on: {{db: {{condition: service_healthy}}}}\n", idle());
    let pod = Pod::plan("why-waits").component("db", &checked).component("app", &waits).start();
    assert_eq!(pod.wait_end().status, 1);
    let said = pod.logs().1;
    assert!(said.contains(&format!("`app` waits for `db` to be healthy, but `db` {why}")), "{said}");
    assert_eq!(said.matches(why).count(), 1, "one line says why: {said}");
    pod.assert_nothing_left();
}
