//! A pod whose pause container somebody else starts, with the manager in a container of its own: labels, files, health,
//! status and stop go from one to the other.

use std::fs;

use crate::lab::docker::{attempt, docker, inspect, try_inspect};
use crate::lab::pod::{Pod, Volumes};
use crate::lab::{LONG, idle, script, test_image, unique, wait};

/// The namespace of a running container.
fn namespace(pid: &serde_json::Value, kind: &str) -> String {
    let path = format!("/proc/{}/ns/{kind}", pid["State"]["Pid"]);
    fs::read_link(&path).unwrap_or_else(|error| panic!("{path}: {error}")).display().to_string()
}

#[test]
fn a_pod_runs_in_the_namespaces_of_a_pause_that_holds_nothing_else() {
    for (ipc, sandbox) in [("--ipc=shareable", false), ("--ipc=private", true)] {
        let pod = Pod::plan("outside")
            .outside(&[])
            .options(&[ipc])
            .component("app", &idle())
            .component("db", &idle())
            .start();
        pod.wait_healthy();
        let (app, db, pause) = (pod.component("app"), pod.component("db"), pod.task());
        let manager = inspect(pod.manager());
        for kind in ["net", "pid"] {
            assert_eq!(namespace(&app, kind), namespace(&pause, kind), "{kind}");
            assert_ne!(namespace(&app, kind), namespace(&manager, kind), "{kind}");
        }
        assert_eq!(namespace(&app, "ipc"), namespace(&db, "ipc"));
        assert_eq!(pod.sandbox().is_some(), sandbox, "{ipc}");
        assert_eq!(namespace(&app, "ipc") == namespace(&pause, "ipc"), !sandbox, "{ipc}");
        assert_eq!(pause["Mounts"].as_array().map(Vec::len), Some(0), "nothing is mounted into it");
        // The manager's own container tells the same.
        wait("the manager's container is healthy", LONG, || {
            (inspect(pod.manager())["State"]["Health"]["Status"] == "healthy").then_some(())
        });
        pod.stop_clean();
        let manager = wait("the manager ends", LONG, || {
            let state = inspect(pod.manager())["State"].clone();
            (state["Status"] == "exited").then_some(state)
        });
        assert_eq!(manager["ExitCode"], 0);
    }
}

#[test]
fn its_files_secrets_and_copies_are_read_through_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("tree")).expect("made");
    fs::create_dir(at("tree/below")).expect("made");
    for (name, text) in [
        ("env", "FROM_FILE=yes\n"),
        ("secret", "hidden"),
        ("one", "one file"),
        ("tree/a", "in a tree"),
        ("tree/below/b", "deeper"),
    ] {
        fs::write(at(name), text).expect("written");
    }
    std::os::unix::fs::symlink("a", at("tree/link")).expect("a link");
    // In this order: a change of owner takes such a mode away.
    std::os::unix::fs::chown(at("one"), Some(1234), Some(4321)).expect("set");
    fs::set_permissions(at("one"), std::os::unix::fs::PermissionsExt::from_mode(0o4750)).expect("set");
    // As Swarm mounts secrets, so that the engine's archive call finds a file with nothing in it.
    let mounts = [
        format!("{}:/etc/app.env:ro", at("env").display()),
        format!("{}:/run/secrets/key:ro", at("secret").display()),
        format!("{}:/conf/one:ro", at("one").display()),
        format!("{}:/conf/tree:ro", at("tree").display()),
    ];
    let mounts: Vec<&str> = mounts.iter().flat_map(|mount| ["-v", mount]).collect();
    let app = format!(
        "{}env_file: /etc/app.env\nsecrets: [key]\n",
        script("echo said; exec sleep 100000").replace("command", "stop_signal: SIGKILL\ncommand")
    );
    let pod = Pod::plan("outside-files")
        .outside(&[])
        .options(&mounts)
        .args(&["--logs"])
        .label("pod.copy.app", "[/conf/one:/copied/one, '/conf/tree:/copied/tree']")
        .component("app", &app)
        .start();
    pod.wait_healthy();
    assert_eq!(pod.exec("app", "echo $FROM_FILE; cat /run/secrets/key"), "yes\nhidden");
    assert_eq!(
        pod.exec(
            "app",
            "cd /copied; cat one tree/a tree/below/b; readlink tree/link; stat -c '%a %u %g' one"
        ),
        "one filein a treedeepera\n4750 1234 4321"
    );
    wait("its output", LONG, || pod.logs().0.contains("[out] app: said").then_some(()));
    pod.stop_clean();
}

#[test]
fn a_compose_file_has_the_variables_of_its_own_container_and_none_of_the_managers() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write(
        "compose.yml",
        "services:
  app:
    image: ${IMAGE}
    command: sleep 100000
    stop_signal: SIGKILL
    environment: {MANAGERS: '${MANAGERS:-nothing}', BOTH: , BESIDE: '${BESIDE}', ONLY_MANAGERS: }
    env_file: app.env
    secrets: [both, beside]
secrets: {both: {environment: BOTH}, beside: {environment: BESIDE}}
",
    );
    write(".env", "BESIDE=the file\n");
    write("app.env", "ONLY_MANAGERS\nFROM_FILE=<$ONLY_MANAGERS$BOTH>\n");
    let mount = format!("{}:/etc/shop:ro", folder.path().display());
    let image = format!("IMAGE={}", test_image());
    let pod = Pod::plan("outside-variables")
        .outside(&[
            "-e",
            "MANAGERS=secret",
            "-e",
            "ONLY_MANAGERS=secret",
            "-e",
            "BOTH=the manager",
            "-e",
            "BESIDE=the manager",
        ])
        .options(&["-v", &mount, "-e", &image, "-e", "BOTH=the pod"])
        .label("pod.compose.file", "/etc/shop/compose.yml")
        .start();
    pod.wait_healthy();
    let said = "echo $MANAGERS, $BOTH, $BESIDE, $FROM_FILE, ${ONLY_MANAGERS-none}; cat /run/secrets/both \
                /run/secrets/beside";
    assert_eq!(pod.exec("app", said), "nothing, the pod, the file, <the pod>, none\nthe podthe file");
    pod.stop_clean();

    write(
        "compose.yml",
        "services: {app: {image: a, secrets: [x]}}\nsecrets: {x: {environment: MANAGERS}}\n",
    );
    let (said, pod) = Pod::plan("outside-variables-none")
        .outside(&["-e", "MANAGERS=secret"])
        .options(&["-v", &mount])
        .label("pod.compose.file", "/etc/shop/compose.yml")
        .run();
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("is the variable `MANAGERS`, which is not set"), "{}", said.error());
    assert_eq!(pod.members(), Vec::<String>::new());
}

#[test]
fn a_component_that_ends_ends_both_with_its_status() {
    let pod = Pod::plan("outside-ends").outside(&[]).component("app", &script("sleep 1; exit 7")).start();
    assert_eq!(pod.wait_end().status, 7);
    pod.assert_nothing_left();
    wait("the manager ends with it", LONG, || {
        let state = inspect(pod.manager())["State"].clone();
        (state["Status"] == "exited" && state["ExitCode"] == 7).then_some(())
    });
}

#[test]
fn either_container_may_be_stopped_and_the_other_follows() {
    for manager_first in [true, false] {
        let app = script("trap 'echo ended by TERM; exit 0' TERM; while :; do sleep 0.1; done");
        let pod = Pod::plan("outside-stop").outside(&[]).args(&["--logs"]).component("app", &app).start();
        pod.wait_healthy();
        let first = if manager_first { pod.manager() } else { pod.id() };
        docker(&["stop", "-t", "60", first]);
        assert_eq!(pod.wait_end().status, 0, "{:?}", pod.logs());
        wait("the manager ends", LONG, || {
            let state = inspect(pod.manager())["State"].clone();
            (state["Status"] == "exited" && state["ExitCode"] == 0).then_some(())
        });
        assert!(pod.logs().0.contains("ended by TERM"), "{:?}", pod.logs());
        pod.assert_nothing_left();
    }
}

#[test]
fn a_pause_that_is_killed_takes_the_pod_along() {
    for ipc in ["--ipc=shareable", "--ipc=private"] {
        let pod = Pod::plan("outside-killed").outside(&[]).options(&[ipc]).component("app", &idle()).start();
        pod.wait_healthy();
        docker(&["kill", pod.id()]);
        wait("the manager ends", LONG, || {
            let state = inspect(pod.manager())["State"].clone();
            (state["Status"] == "exited").then(|| assert_eq!(state["ExitCode"], 137))
        });
        pod.assert_nothing_left();
    }
}

#[test]
fn a_manager_that_is_killed_leaves_the_pod_running_and_takes_it_up_again() {
    let pod = Pod::plan("outside-crash").outside(&[]).component("app", &idle()).start();
    pod.wait_healthy();
    let before = pod.component("app")["Id"].clone();
    pod.crash_manager("KILL");
    pod.wait_said("the pod of");
    wait("another manager", LONG, || pod.manager_pid());
    pod.wait_healthy();
    assert_eq!(pod.component("app")["Id"], before);
    // Its container too: who comes next finds the pod as it is.
    docker(&["kill", pod.manager()]);
    assert!(try_inspect(&pod.container("app")).is_some_and(|app| app["State"]["Running"] == true));
    docker(&["start", pod.manager()]);
    wait("the manager's container is healthy again", LONG, || {
        (inspect(pod.manager())["State"]["Health"]["Status"] == "healthy").then_some(())
    });
    assert_eq!(pod.component("app")["Id"], before);
    pod.stop_clean();
}

#[test]
fn a_restart_of_the_pods_container_alone_is_a_new_run_of_the_same_manager() {
    let app = idle() + "post_start: [{command: [sh, -c, 'echo ran >> /hooks']}]\n";
    let pod = Pod::plan("outside-restart").outside(&[]).component("app", &app).start();
    pod.wait_healthy();
    let manager = inspect(pod.manager())["State"]["StartedAt"].clone();
    let mut before = pod.component("app")["Id"].clone();
    // Stopped in order, and killed; and again.
    for time in ["10", "0", "10"] {
        docker(&["restart", "-t", time, pod.id()]);
        before = wait("the app of another run", LONG, || {
            let app = try_inspect(&pod.container("app")).filter(|app| app["State"]["Running"] == true)?;
            (app["Id"] != before).then(|| app["Id"].clone())
        });
        pod.wait_healthy();
        assert_eq!(pod.exec("app", "cat /hooks").trim(), "ran");
        assert_eq!(inspect(pod.manager())["State"]["StartedAt"], manager, "one manager runs them all");
    }
    // A crash is one of this run.
    pod.crash_manager("KILL");
    wait("another manager", LONG, || pod.manager_pid());
    pod.wait_healthy();
    assert_eq!(pod.component("app")["Id"], before);
    assert_eq!(pod.exec("app", "cat /hooks").trim(), "ran");
    pod.stop_clean();
    let manager = wait("the manager ends", LONG, || {
        let state = inspect(pod.manager())["State"].clone();
        (state["Status"] == "exited").then_some(state)
    });
    assert_eq!(manager["ExitCode"], 0);
}

#[test]
fn a_manager_that_is_restarted_after_its_pods_container_runs_the_pod_again() {
    let pod = Pod::plan("outside-both").outside(&[]).component("app", &idle()).start();
    pod.wait_healthy();
    let before = pod.component("app")["Id"].clone();
    docker(&["restart", pod.id()]);
    docker(&["restart", pod.manager()]);
    wait("the app of another run", LONG, || {
        let app = try_inspect(&pod.container("app")).filter(|app| app["State"]["Running"] == true)?;
        (app["Id"] != before).then_some(())
    });
    pod.wait_healthy();
    pod.stop_clean();
}

#[test]
fn a_pod_that_ends_by_itself_ends_a_manager_outside_also_where_its_container_is_started_again() {
    let app = script("sleep 3; exit 5");
    let pod = Pod::plan("outside-over").outside(&[]).component("app", &app).start();
    assert_eq!(pod.wait_end().status, 5);
    docker(&["start", pod.id()]);
    let manager = wait("the manager ends", LONG, || {
        let state = inspect(pod.manager())["State"].clone();
        (state["Status"] == "exited").then_some(state)
    });
    assert_eq!(manager["ExitCode"], 5);
    assert_eq!(pod.members(), Vec::<String>::new());
}

#[test]
fn a_definition_that_is_wrong_ends_both_with_64() {
    let (said, pod) = Pod::plan("outside-wrong").outside(&[]).component("app", "imag: a\n").run();
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("`imag`: this key is unknown; did you mean `image`?"), "{}", said.error());
    assert_eq!(pod.wait_end().status, 64);
    assert_eq!(pod.members(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_a_pods_pause_is_refused_with_every_reason() {
    let plan = || Pod::plan("outside-refused").outside(&[]).component("app", &idle());
    let socket = format!("{}:/var/run/docker.sock", crate::lab::docker::socket().display());
    for (options, words) in [
        (&["-v", &*socket][..], "only the manager's own container may have it"),
        (&["-v", "/var/run:/host"], "only the manager's own container may have it"),
        (&["--pid=host"], "has the PID namespace `host`"),
        (&["--privileged"], "is privileged"),
        (&["--init"], "has `init: true`"),
        (&["-t"], "has `tty: true`"),
        (&["--entrypoint=/pause", "--health-cmd=none"], ""),
    ] {
        // The last one is none of them: it shows that the others are refused for what they are.
        let pod = plan().options(options).start();
        if words.is_empty() {
            pod.wait_running(&["app"]);
            continue;
        }
        let end = wait("the manager ends", LONG, || {
            let state = inspect(pod.manager())["State"].clone();
            (state["Status"] == "exited").then_some(state)
        });
        assert_eq!(end["ExitCode"], 64, "{options:?}: {:?}", pod.logs());
        assert!(pod.logs().1.contains(words), "{options:?}: {:?}", pod.logs());
        assert_eq!(pod.members(), Vec::<String>::new());
    }
}

#[test]
fn one_that_runs_something_else_or_has_no_input_is_refused() {
    let other = unique("outside-other");
    let label = format!("--label=io.tandem.test={other}");
    let image = crate::lab::test_image();
    docker(&["run", "-d", "--name", &other, &label, &image, "sleep", "100000"]);
    let _other = crate::lab::docker::Started(&other);
    let manager = format!("{other}-manager");
    let _manager = crate::lab::docker::Started(&manager);
    let socket = format!("{}:/var/run/docker.sock", crate::lab::docker::socket().display());
    let run = |which: &str| {
        attempt(&[
            "run",
            "--rm",
            "--name",
            &manager,
            &label,
            "-v",
            &socket,
            &crate::lab::manager_image(),
            "--pause",
            which,
        ])
    };
    let said = run(&other);
    assert_eq!(said.status, 64, "{}", said.error());
    for words in [
        format!(
            "`{other}` runs `sleep 100000`: the pause container of a pod whose manager is elsewhere runs the image"
        ),
        format!("`{other}` has no standard input"),
    ] {
        assert!(said.error().contains(&words), "{}", said.error());
    }
    let said = run(&manager);
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("the manager's own container"), "{}", said.error());
    let said = run("service:nobody");
    assert_eq!(said.status, 69, "{}", said.error());
    assert!(said.error().contains("a container of the service `nobody` does not run"), "{}", said.error());
}

#[test]
fn a_service_of_the_same_project_is_found_and_not_that_of_another() {
    let project = |name: &str| format!("--label=com.docker.compose.project={name}");
    let (mine, theirs) = (project(&unique("project")), project(&unique("project")));
    let service = "--label=com.docker.compose.service=pod";
    let other = unique("outside-stranger");
    let _other = crate::lab::docker::Started(&other);
    let label = format!("--label=io.tandem.test={other}");
    docker(&["run", "-d", "-i", "--name", &other, &label, service, &theirs, &crate::lab::pause_image()]);
    let pod = Pod::plan("outside-service")
        .outside(&[&mine, "--label=com.docker.compose.service=manager"])
        .options(&[&mine, service])
        .named("service:pod")
        .component("app", &idle())
        .start();
    pod.wait_healthy();
    // A second one of the same service: whose pod is meant, nobody knows.
    let second = unique("outside-second");
    let _second = crate::lab::docker::Started(&second);
    let label = format!("--label=io.tandem.test={second}");
    docker(&["run", "-d", "-i", "--name", &second, &label, service, &mine, &crate::lab::pause_image()]);
    let manager = unique("outside-third");
    let _manager = crate::lab::docker::Started(&manager);
    let socket = format!("{}:/var/run/docker.sock", crate::lab::docker::socket().display());
    let label = format!("--label=io.tandem.test={manager}");
    let image = crate::lab::manager_image();
    let said =
        attempt(&["run", "--name", &manager, &label, &mine, "-v", &socket, &image, "--pause", "service:pod"]);
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(
        said.error().contains("more than one container of the service `pod` runs here"),
        "{}",
        said.error()
    );
    pod.stop_clean();
}

#[test]
fn volumes_of_the_pause_container_are_shared_when_asked() {
    let volumes = Volumes::one("outside");
    let pod = Pod::plan("outside-volumes")
        .outside(&[])
        .options(&["-v", &format!("{}:/data", volumes.name())])
        .args(&["--volumes"])
        .component("a", &idle())
        .component("b", &idle())
        .start();
    pod.wait_healthy();
    pod.exec("a", "echo shared > /data/file");
    assert_eq!(pod.exec("b", "cat /data/file"), "shared");
    pod.stop_clean();
}
