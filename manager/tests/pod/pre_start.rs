//! `pre_start` on the real engine.

use crate::lab::docker::{attempt, docker, labelled};
use crate::lab::pod::{Pod, Volumes};
use crate::lab::{LONG, idle, quoted, script, test_image, until_let_go, wait};

/// A `pre_start` of these shell scripts, each with more keys.
fn pre_start(steps: &[(&str, &str)]) -> String {
    let items = steps.iter().map(|(script, more)| format!("{{command: [sh, -c, {}]{more}}}", quoted(script)));
    format!("pre_start: [{}]\n", items.collect::<Vec<_>>().join(", "))
}

/// The exit status of a step that has ended; its container must be there.
fn status(pod: &Pod, step: &str) -> i64 {
    let state = pod.component(step)["State"].clone();
    assert_eq!(state["Status"], "exited", "{step}");
    state["ExitCode"].as_i64().expect("a status")
}

#[test]
fn pre_start_runs_in_order_before_its_component_with_what_that_has_and_once() {
    let notes = Volumes::one("steps");
    let image = format!(", image: {}", test_image());
    let other = format!("{image}, user: '1234', working_dir: /tmp, environment: {{OWN: step, GONE: ~}}");
    let steps = pre_start(&[
        (
            "umask 0; echo one >> /notes/all; touch /new/one; mkdir /notes/open; cat /run/conf > /notes/conf; test \
             ! -e /memory/app",
            "",
        ),
        (
            "sleep 0.2; id -u > /notes/open/two; echo \"$PWD:$OWN:${GONE-gone}:$KEPT\" >> /notes/open/two; ls /new >> \
          /notes/open/two",
            &other,
        ),
    ]);
    let app = script("echo app >> /notes/all; ls /new >> /notes/all; touch /memory/app; exec sleep 100000");
    // The engine cannot share the volumes of a container with a tmpfs of the long form.
    let volumes = format!(
        "volumes: [{}:/notes, /new, {{type: tmpfs, target: /memory, tmpfs: {{size: 1m}}}}]\n",
        notes.name()
    );
    let keys = "environment: {OWN: component, GONE: there, KEPT: kept}\nstop_signal: SIGKILL\nrestart: always\n\
                depends_on: [db]\nlabels: {mine: 'yes'}\n";
    let pod = Pod::plan("pre-start")
        .options(&["-v", &format!("{}:/notes", notes.name()), "-v", "/etc/hostname:/from:ro"])
        .args(&["--logs"])
        .label("pod.copy.app", "/from:/run/conf")
        .component("db", &idle())
        .component("app", &format!("{app}{volumes}{keys}{steps}"))
        .component("web", &format!("{}depends_on: [app]\n", idle()))
        .start();
    pod.wait_running(&["db", "app", "web"]);
    pod.wait_healthy();
    wait("all is written", LONG, || pod.exec("app", "cat /notes/all").contains("app\none").then_some(()));
    assert_eq!(pod.exec("app", "cat /notes/all").trim(), "one\napp\none", "also of a volume without a name");
    assert_eq!(pod.exec("app", "cat /notes/open/two").trim(), "1234\n/tmp:step:gone:kept\none");
    assert!(!pod.exec("app", "cat /notes/conf").trim().is_empty(), "what is copied into the component");
    for step in ["app.pre-1", "app.pre-2"] {
        assert_eq!(status(&pod, step), 0);
        let labels = pod.component(step)["Config"]["Labels"].clone();
        assert_eq!(labels["io.tandem.role"], "pre-start");
        assert_eq!(labels["io.tandem.component"], step);
        assert!(labels.get("mine").is_none(), "a component's own labels are for the component: {labels}");
    }
    let started = pod.component("app.pre-1")["State"]["StartedAt"].clone();

    // A restart in place runs none, nor does the next manager.
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    wait("it runs again", LONG, || {
        let count = attempt(&["exec", &pod.container("app"), "grep", "-c", "one", "/notes/all"]);
        (count.text() == "3").then_some(())
    });
    let crashed = pod.crash_manager("KILL");
    wait("another manager", LONG, || pod.manager_pid().filter(|pid| *pid != crashed));
    wait("healthy again", LONG, || pod.healthy_now().then_some(()));
    assert_eq!(pod.component("app.pre-1")["State"]["StartedAt"], started);
    assert_eq!(pod.exec("app", "grep -c one /notes/all").trim(), "3", "one step, and `ls` twice");
    let unnamed = pod.component("app")["Mounts"].clone();
    let unnamed = unnamed.as_array().expect("a list").iter().find(|mount| mount["Destination"] == "/new");
    let unnamed = unnamed.expect("a volume without a name")["Name"].as_str().expect("its name").to_owned();
    pod.stop_clean();
    let left = docker(&["volume", "ls", "-q"]).text();
    assert!(!left.lines().any(|name| name == unnamed), "the shared volume without a name is gone too");
}

#[test]
fn a_step_that_fails_ends_the_pod_with_its_status_and_its_last_words() {
    let steps = pre_start(&[("echo no such thing >&2; exit 3", ""), ("touch /never", "")]);
    let (said, pod) = Pod::plan("pre-failing")
        .component("db", &idle())
        .component("app", &format!("{}depends_on: [db]\n{steps}", idle()))
        .run();
    assert_eq!(said.status, 3, "{}", said.error());
    let want = "ending the pod with status 3: `app` waits for `app.pre-2`, which waits for `app.pre-1`; `pre_start` \
                container `app.pre-1` ended with status 3";
    assert!(said.error().contains(want), "{}", said.error());
    assert!(said.error().contains("no such thing"), "{}", said.error());
    for never in ["started `app`", "started `app.pre-2`"] {
        assert!(!said.error().contains(never), "{}", said.error());
    }
    pod.assert_nothing_left();
}

#[test]
fn a_manager_that_takes_over_waits_for_the_step_that_runs_and_runs_none_twice() {
    let steps = pre_start(&[("true", ""), (&until_let_go("0"), "")]);
    let pod = Pod::plan("pre-crash").component("app", &format!("{}{steps}", idle())).start();
    pod.wait_running(&["app.pre-2"]);
    assert_eq!(pod.component("app")["State"]["Status"], "created", "it waits");
    assert!(!pod.healthy_now());
    let started = |step: &str| pod.component(step)["State"]["StartedAt"].clone();
    let before = ["app.pre-1", "app.pre-2"].map(started);
    let crashed = pod.crash_manager("KILL");
    wait("another manager", LONG, || pod.manager_pid().filter(|pid| *pid != crashed));
    pod.let_go("app.pre-2");
    pod.wait_healthy();
    assert_eq!(["app.pre-1", "app.pre-2"].map(started), before);
    assert_eq!(status(&pod, "app.pre-2"), 0);
    pod.stop_clean();
}

#[test]
fn a_step_is_stopped_and_swept_with_its_pod() {
    let steps = pre_start(&[("exec sleep 100000", "")]);
    let app = format!("{}{steps}", idle());
    let pod = Pod::plan("pre-stop").args(&["--pids=false"]).component("app", &app).start();
    pod.wait_running(&["app.pre-1"]);
    pod.stop_clean();

    let dead = Pod::plan("pre-dead").component("app", &app).start();
    dead.wait_running(&["app.pre-1"]);
    let id = dead.id().to_owned();
    docker(&["rm", "-f", dead.name()]);
    let _next = Pod::plan("pre-next").component("app", &idle()).start();
    wait("all is swept", LONG, || labelled(&format!("io.tandem.pod={id}")).is_empty().then_some(()));
}

#[test]
fn a_new_container_of_a_component_gets_what_is_copied_into_its_unnamed_volume_though_no_step_runs_again() {
    let steps = pre_start(&[("test -e /new/copied && echo step > /new/copied", "")]);
    let app = script("echo \"found:$(cat /new/copied)\"; exit 1");
    let pod = Pod::plan("pre-anew")
        .options(&["-v", "/etc/hostname:/from:ro"])
        .label("pod.copy.app", "/from:/new/copied")
        .component("app", &format!("{app}volumes: [/new]\nrestart: always\n{steps}"))
        .component("db", &idle())
        .start();
    pod.wait_running(&["db"]);
    let name = pod.container("app");
    wait("it has run once", LONG, || attempt(&["logs", &name]).text().contains("found:").then_some(()));
    let said = attempt(&["logs", &name]).text();
    assert!(said.contains("found:step"), "the step wrote after the copy: {said}");
    let started = pod.component("app.pre-1")["State"]["StartedAt"].clone();

    // Possible only while it waits to be started again.
    let id = pod.component("app")["Id"].as_str().expect("an id").to_owned();
    wait("it is removed", LONG, || attempt(&["rm", "-v", &id]).text().starts_with(&id).then_some(()));
    wait("a new one has run", LONG, || attempt(&["logs", &name]).text().contains("found:").then_some(()));
    let said = attempt(&["logs", &name]).text();
    let line = said.lines().find(|line| line.starts_with("found:")).expect("a line");
    assert!(line.len() > "found:".len() && line != "found:step", "copied anew: {said}");
    assert_eq!(pod.component("app.pre-1")["State"]["StartedAt"], started, "no step runs twice");
}
