//! The manager can die at any instruction: restarted, it goes on; nothing is started twice, nothing is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::lab::docker::{Started, attempt, docker, labelled, on_host, try_inspect};
use crate::lab::pod::{Plan, Pod, Volumes};
use crate::lab::proxy::Verdict;
use crate::lab::{LONG, idle, script, test_image, wait};

/// Id and start of each container of the pod, by name.
fn world(pod: &Pod) -> BTreeMap<String, (String, String)> {
    pod.members()
        .iter()
        // One that was listed may be gone by now.
        .filter_map(|id| {
            let one = try_inspect(id)?;
            let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
            Some((text(&one["Name"]), (text(&one["Id"]), text(&one["State"]["StartedAt"]))))
        })
        .collect()
}

#[test]
fn a_crash_of_the_manager_leaves_the_components_running() {
    for signal in ["ABRT", "ILL", "KILL"] {
        let pod = Pod::plan("crash")
            .args(&["--logs"])
            .component("app", &script("n=0; while :; do n=$((n+1)); echo line $n; sleep 0.1; done"))
            .component("other", &idle())
            .start();
        pod.wait_running(&["app", "other"]);
        pod.wait_healthy();
        let before = world(&pod);
        let crashed = pod.crash_manager(signal);
        wait("another manager runs", LONG, || pod.manager_pid().filter(|pid| *pid != crashed));
        wait("the pod is healthy again", LONG, || pod.healthy_now().then_some(()));
        assert_eq!(world(&pod), before, "{signal}");
        // It follows the output again, and still ends the pod when a component ends.
        let lines = pod.logs().0.lines().count();
        wait("more output", LONG, || (pod.logs().0.lines().count() > lines + 3).then_some(()));
        if signal == "ABRT" {
            docker(&["kill", "-s", "KILL", &pod.container("other")]);
            assert_eq!(pod.wait_end().status, 137);
            pod.assert_nothing_left();
        } else {
            pod.stop_clean();
        }
    }
}

/// Run the pod over and over, the manager killed at its first change to the engine, at its second, and so
/// on until there are no more before the pod is up. `check` looks at what came up each time.
fn crash_at_each_change(plan: impl Fn() -> Plan, least: usize, check: impl Fn(&Pod, usize)) {
    for crash_at in 0.. {
        let plan = plan();
        let task = plan.name().to_owned();
        let crashed = Arc::new(AtomicBool::new(false));
        let rule_crashed = Arc::clone(&crashed);
        let pod = plan
            .proxied(move |seen| {
                let now = seen.changes() && seen.changes_before == crash_at;
                if now && !rule_crashed.swap(true, Ordering::SeqCst) {
                    let top = attempt(&["top", &task, "-eo", "pid,comm"]).text();
                    let pid = top.lines().find_map(|line| line.trim().strip_suffix("manager")).map(str::trim);
                    on_host(&format!("kill -KILL {}", pid.expect("there is a manager")));
                }
                // The engine acts on it; nobody hears the answer.
                Verdict::Pass
            })
            .start();
        pod.wait_healthy();
        if !crashed.load(Ordering::SeqCst) {
            assert!(crash_at >= least, "only {crash_at} changes were seen");
            pod.stop_clean();
            return;
        }
        let crashes = pod.logs().1.matches("killed by signal 9").count();
        assert_eq!(crashes, 1, "crash at change {crash_at}: {:?}", pod.logs());
        check(&pod, crash_at);
        pod.stop_clean();
    }
}

#[test]
fn a_crash_at_any_change_during_the_start_converges_without_duplicates() {
    // The sandbox and two components, each created and started.
    let plan = || Pod::plan("crash-start").component("a", &idle()).component("b", &idle());
    crash_at_each_change(plan, 6, |pod, crash_at| {
        let names: Vec<String> = world(pod).into_keys().collect();
        let want = [".pause", ".podlike.a", ".podlike.b"].map(|end| format!("/{}{end}", pod.name()));
        assert_eq!(names, want, "crash at change {crash_at}");
    });
}

#[test]
fn a_crash_at_any_change_runs_each_init_component_once_and_loses_no_copy() {
    let volume = Volumes::one("crash-init");
    let name = volume.name();
    let init = format!(
        "- image: {}\n  command: [sh, -c, 'echo ran >>/notes/$POD']\n  environment: {{POD: PODNAME}}\n  \
         volumes: ['{name}:/notes']\n",
        test_image()
    );
    let app = format!("{}volumes: ['{name}:/notes']\n", idle());
    let plan = || {
        let plan = Pod::plan("crash-init").options(&["-v", &format!("{name}:/notes")]);
        let init = init.replace("PODNAME", plan.name());
        plan.args(&["--pids=false", "--ipc=false"])
            .label("pod.init.components", &init)
            .label("pod.copy.app", "/pause:/copied")
            .component("app", &app)
    };
    crash_at_each_change(plan, 5, |pod, crash_at| {
        let ran = pod.exec("app", &format!("cat /notes/{}", pod.name()));
        assert_eq!(ran, "ran", "crash at change {crash_at}");
        assert_eq!(pod.exec("app", "test -s /copied && echo there"), "there", "crash at change {crash_at}");
    });
}

#[test]
fn a_crash_during_the_stop_still_ends_with_0_and_leaves_nothing() {
    let slow = script("trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done");
    let pod = Pod::plan("crash-stop").component("app", &slow).component("other", &idle()).start();
    pod.wait_running(&["app", "other"]);
    pod.wait_healthy();
    let stopping = std::thread::spawn({
        let id = pod.id().to_owned();
        move || docker(&["stop", "-t", "60", &id])
    });
    pod.wait_said("asked to stop");
    pod.crash_manager("KILL");
    stopping.join().expect("stopped");
    assert_eq!(pod.wait_end().status, 0);
    pod.assert_nothing_left();
}

#[test]
fn a_component_that_ends_while_the_manager_is_away_still_ends_the_pod() {
    let pod = Pod::plan("crash-exit").component("app", &idle()).component("other", &idle()).start();
    pod.wait_running(&["app", "other"]);
    pod.wait_healthy();
    let manager = pod.manager_pid().expect("there is a manager");
    let app = pod.component("app")["State"]["Pid"].as_u64().expect("a pid");
    on_host(&format!("kill -KILL {manager}; kill -KILL {app}"));
    assert_eq!(pod.wait_end().status, 137);
    pod.assert_nothing_left();
}

#[test]
fn components_of_an_earlier_run_are_replaced_and_never_adopted() {
    for args in [&[][..], &["--pids=false", "--ipc=false"][..]] {
        let pod = Pod::plan("rerun").args(args).component("app", &idle()).component("other", &idle()).start();
        pod.wait_running(&["app", "other"]);
        pod.wait_healthy();
        let before = world(&pod);
        // Killed at once, it leaves its components behind.
        docker(&["kill", "-s", "KILL", pod.id()]);
        docker(&["start", pod.id()]);
        wait("every container is new", LONG, || {
            let now = world(&pod);
            let ids: Vec<&String> = before.values().map(|(id, _)| id).collect();
            (now.len() == before.len() && now.values().all(|(id, _)| !ids.contains(&id))).then_some(())
        });
        pod.wait_running(&["app", "other"]);
        let started = pod.task()["State"]["StartedAt"].clone();
        assert_eq!(pod.component("app")["Config"]["Labels"]["io.tandem.run"], started);
        // They live in the network of the new run, not of the old one that kept only `lo`.
        assert!(pod.exec("app", "ip -o addr").contains("eth0"), "{args:?}");
        pod.stop_clean();
    }
}

#[test]
fn a_restart_of_the_task_container_replaces_its_components() {
    let pod = Pod::plan("restart").component("app", &idle()).start();
    pod.wait_healthy();
    let before = world(&pod);
    docker(&["restart", "-t", "30", pod.id()]);
    pod.wait_running(&["app"]);
    let after = world(&pod);
    assert!(before.iter().all(|(name, (id, _))| after[name].0 != *id), "{before:?} {after:?}");
    pod.wait_healthy();
    pod.stop_clean();
}

#[test]
fn an_event_stream_that_breaks_is_followed_by_a_full_listing() {
    let pod = Pod::plan("events")
        .proxied(|_| Verdict::Pass)
        .component("app", &idle())
        .component("other", &idle())
        .start();
    pod.wait_healthy();
    let listings = |pod: &Pod| {
        pod.proxy().calls().iter().filter(|call| call.seen.path.starts_with("/containers/json")).count()
    };
    let before = listings(&pod);
    pod.proxy().break_all();
    wait("another listing", LONG, || (listings(&pod) > before).then_some(()));
    assert_eq!(pod.task()["State"]["Running"], true);
    // And what happens then is seen.
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    assert_eq!(pod.wait_end().status, 137);
    pod.assert_nothing_left();
}

#[test]
fn an_engine_that_is_away_for_a_moment_is_waited_for_and_what_happened_is_seen() {
    let away = Arc::new(AtomicBool::new(false));
    let rule = Arc::clone(&away);
    let pod = Pod::plan("away")
        .proxied(move |_| match rule.load(Ordering::SeqCst) {
            true => Verdict::Refuse(503, "the engine is away"),
            false => Verdict::Pass,
        })
        .component("app", &idle())
        .component("other", &idle())
        .start();
    pod.wait_healthy();
    away.store(true, Ordering::SeqCst);
    pod.proxy().break_all();
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    let calls = pod.proxy().calls().len();
    wait("the manager has tried again", LONG, || (pod.proxy().calls().len() > calls + 1).then_some(()));
    assert_eq!(pod.task()["State"]["Running"], true, "an engine that is away does not end a pod that runs");
    away.store(false, Ordering::SeqCst);
    assert_eq!(pod.wait_end().status, 137);
    pod.assert_nothing_left();
}

#[test]
fn a_name_in_the_way_for_a_moment_is_waited_out() {
    let plan = Pod::plan("conflict");
    let taken = format!("{}.podlike.app", plan.name());
    docker(&[
        "create",
        "--name",
        &taken,
        "--label",
        "io.tandem.test=conflict",
        &crate::lab::test_image(),
        "true",
    ]);
    let pod = plan.component("app", &idle()).start();
    pod.wait_said(&format!("the container `{taken}` ("));
    docker(&["rm", &taken]);
    pod.wait_running(&["app"]);
    pod.stop_clean();
}

#[test]
fn a_name_that_a_foreign_container_keeps_ends_the_pod_with_125_and_that_containers_name_and_id() {
    let plan = Pod::plan("taken");
    let taken = format!("{}.podlike.app", plan.name());
    // Faked labels make it no component: it is not in the pod's network.
    let pod = format!("io.tandem.pod={}", "0".repeat(64));
    let labels =
        [pod.as_str(), "io.tandem.role=component", "io.tandem.component=app", "io.tandem.test=taken"];
    let mut line = vec!["create", "--name", &taken];
    labels.iter().for_each(|label| line.extend(["--label", label]));
    let image = crate::lab::test_image();
    line.extend([image.as_str(), "true"]);
    let id = docker(&line).text();
    let foreign = crate::lab::docker::Started(&taken);
    let (said, pod) = plan.component("app", &idle()).run();
    assert_eq!(said.status, 125, "{}", said.error());
    let words = format!(
        "the container `{taken}` ({}), which is not of this pod, has its name: remove or rename that container",
        &id[..12]
    );
    assert!(said.error().contains(&words), "{}", said.error());
    assert_eq!(docker(&["inspect", "--format", "{{.Id}}", &taken]).text(), id, "it is left alone");
    drop(foreign);
    pod.assert_nothing_left();
}

#[test]
fn a_pod_leaves_the_containers_of_others_alone() {
    let other = Pod::plan("others").component("app", &idle()).start();
    other.wait_healthy();
    let before = world(&other);
    let pod = Pod::plan("mine").component("app", &idle()).start();
    pod.wait_running(&["app"]);
    pod.crash_manager("ABRT");
    pod.wait_running(&["app"]);
    pod.stop_clean();
    assert_eq!(world(&other), before);
    assert_eq!(labelled(&format!("io.tandem.pod={}", other.id())).len(), before.len());
    other.stop_clean();
}

#[test]
fn who_has_inherited_the_labels_of_a_component_is_neither_taken_for_it_nor_touched() {
    let pod = Pod::plan("inherited").component("app", &idle()).start();
    pod.wait_healthy();
    let before = world(&pod);
    // An image of a container has its labels, and hands them on.
    let (image, stranger) = (format!("{}-image", pod.name()), format!("{}-stranger", pod.name()));
    let _started = Started(&stranger);
    let _image = Image(&image);
    docker(&["commit", &pod.container("app"), &image]);
    let id = docker(&["run", "-d", "--name", &stranger, &image, "sleep", "100000"]).text();
    assert_eq!(try_inspect(&id).expect("it is there")["Config"]["Labels"]["io.tandem.pod"], pod.id());
    let crashed = pod.crash_manager("KILL");
    wait("another manager runs", LONG, || pod.manager_pid().filter(|pid| *pid != crashed));
    pod.wait_healthy();
    // What the new manager has taken for the component is what it stops.
    docker(&["stop", "-t", "60", pod.id()]);
    assert_eq!(pod.task()["State"]["ExitCode"], 0);
    assert_eq!(pod.members().join(" "), id, "nothing but the stranger is there");
    assert!(before.values().all(|(member, _)| *member != id));
    // A pod that starts again, and the sweep of one more manager, leave it alone, too.
    docker(&["start", pod.id()]);
    pod.wait_healthy();
    assert_eq!(try_inspect(&id).expect("it is there")["State"]["Running"], true);
    docker(&["stop", "-t", "60", pod.id()]);
}

/// An image that a test made.
struct Image<'a>(&'a str);

impl Drop for Image<'_> {
    fn drop(&mut self) {
        attempt(&["rmi", "-f", self.0]);
    }
}

#[test]
fn a_component_that_is_done_is_not_run_again_though_its_container_and_the_manager_are_gone() {
    let pod = Pod::plan("pruned")
        .args(&["--logs"])
        .component("once", &format!("{}x-tandem: {{essential: false}}\n", script("echo it ran; exit 4")))
        .component("app", &idle())
        .start();
    pod.wait_healthy();
    pod.wait_said("component `once` ended with status 4");
    // As `docker container prune` does.
    docker(&["rm", &pod.container("once")]);
    let crashed = pod.crash_manager("KILL");
    wait("another manager runs", LONG, || pod.manager_pid().filter(|pid| *pid != crashed));
    pod.wait_healthy();
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    assert_eq!(pod.wait_end().status, 137);
    let said = pod.logs();
    assert_eq!(said.0.matches("it ran").count(), 1, "{said:?}");
    pod.assert_nothing_left();
}
