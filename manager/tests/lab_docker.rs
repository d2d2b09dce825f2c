//! Pods on engines that are restarted, fail, remap users, or have no root. A program of its own, with engines of its own: what happens to
//! them is nobody else's. What it needs is what `pod_docker` needs, and:
//! - `TANDEM_XTASK`: the program that starts engines (`cargo xtask lab`), which needs root and `dockerd`
#![cfg(feature = "docker-tests")]
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

mod engine_hangs;
#[allow(dead_code, reason = "other tests use the rest")]
mod lab;

use std::time::Duration;

use serde_json::Value;

use lab::docker::ready;
use lab::nodes::{Node, Nodes};
use lab::{LONG, idle, manager_image, pause_image, script, wait};

/// Longer than a sweep waits between its two looks.
const SWEPT: Duration = Duration::from_secs(90);

/// Longer than a pod counts on what it heard last, and then some health checks.
const STALE_STATE_TIMEOUT: Duration = Duration::from_secs(120);

/// Start a pod of two components there.
fn pod(node: &Node, name: &str) {
    let mount = format!("{}:/var/run/docker.sock", node.socket());
    let (app, db) = (format!("pod.component.app={}", idle()), format!("pod.component.db={}", idle()));
    let head =
        ["run", "-d", "--health-interval=1s", "--name", name, "-v", &mount, "--label", &app, "--label", &db];
    node.docker(&[&head[..], &[&manager_image()]].concat());
    wait(format!("`{name}` is healthy"), LONG, || (health(node, name) == "healthy").then_some(()));
}

fn inspect(node: &Node, name: &str) -> Value {
    let said = node.docker(&["container", "inspect", name]);
    let mut all: Vec<Value> = serde_json::from_str(&said).expect("inspect prints JSON");
    all.pop().expect("one")
}

fn health(node: &Node, name: &str) -> String {
    inspect(node, name)["State"]["Health"]["Status"].as_str().unwrap_or("none").to_owned()
}

/// What the health check would find.
fn healthy_now(node: &Node, name: &str) -> bool {
    let said = node.attempt(&["exec", name, "/pause", "health"]);
    assert!(said.status <= 1, "{}", said.error());
    said.status == 0
}

/// Ids of the containers that belong to some pod, sorted.
fn members(node: &Node, more: &[&str]) -> Vec<String> {
    let said = node.docker(&[&["ps", "-q", "--no-trunc", "--filter", "label=io.tandem.pod"], more].concat());
    let mut ids: Vec<String> = said.lines().map(str::to_owned).collect();
    ids.sort();
    ids
}

/// It runs on as it was, and the manager acts on what happens from now on.
fn goes_on(node: &Node, name: &str, before: &[String]) {
    assert!(healthy_now(node, name));
    assert_eq!(members(node, &["-a"]), before, "the same containers");
    assert_eq!(members(node, &[]), before, "all of them run");
    // The manager hears again of what ends.
    node.docker(&["kill", "-s", "KILL", &format!("{name}.podlike.db")]);
    let status = wait("the pod ends with its component", LONG, || {
        let state = inspect(node, name)["State"].clone();
        (state["Status"] == "exited").then(|| state["ExitCode"].as_i64())
    });
    assert_eq!(status, Some(137));
    assert_eq!(members(node, &["-a"]), Vec::<String>::new(), "and nothing is left");
}

#[test]
fn a_pod_runs_on_while_an_engine_with_live_restore_is_restarted_or_crashes() {
    ready();
    let mut nodes = Nodes::start(&["engine", "--live-restore"], &[]);
    for happens in ["restart 1", "crash 1"] {
        let name = format!("pod-{}", happens.replace(' ', "-"));
        pod(&nodes.all[0], &name);
        let before = members(&nodes.all[0], &["-a"]);
        assert_eq!(before.len(), 3, "two components and the sandbox");
        nodes.happen(happens);
        goes_on(&nodes.all[0], &name, &before);
    }
}

#[test]
fn a_pod_whose_engine_comes_back_with_another_socket_says_that_it_knows_nothing() {
    ready();
    // What the pod has mounted is the socket that is gone.
    let mut nodes = Nodes::start(&["engine", "--live-restore", "--own-socket"], &[]);
    pod(&nodes.all[0], "pod");
    nodes.happen("restart 1");
    let node = &nodes.all[0];
    // Docker Engine 20.10 itself runs no health checks any more after such a restart.
    wait("it is not called healthy any more", STALE_STATE_TIMEOUT, || {
        (!healthy_now(node, "pod")).then_some(())
    });
    let said = node.attempt(&["logs", "pod"]).error();
    assert!(said.contains("the engine has not answered for 60 s"), "{said}");
    // As Swarm does with a task that is not healthy.
    node.attempt(&["kill", "-s", "KILL", "pod"]);
    wait("no process of it is left", LONG, || members(node, &[]).is_empty().then_some(()));
}

#[test]
fn an_engine_without_live_restore_ends_pods_when_it_is_restarted_and_what_is_left_is_swept() {
    ready();
    let mut nodes = Nodes::start(&["engine"], &[]);
    for happens in ["restart 1", "crash 1"] {
        let name = format!("pod-{}", happens.replace(' ', "-"));
        pod(&nodes.all[0], &name);
        nodes.happen(happens);
        let node = &nodes.all[0];
        assert_eq!(members(node, &[]), Vec::<String>::new(), "`{happens}`: nothing of the pod runs");
        assert_ne!(inspect(node, &name)["State"]["Status"], "running");
        // Started again, it is a new run, which takes what the earlier one left for what it is.
        node.docker(&["start", &name]);
        wait("it is healthy again", LONG, || (health(node, &name) == "healthy").then_some(()));
        assert_eq!(members(node, &["-a"]), members(node, &[]), "and nothing is left of the earlier run");
        nodes.happen(happens);
        let node = &nodes.all[0];
        // As Swarm does: another container for the same task. Its manager sweeps.
        let left = members(node, &["-a"]);
        let other = format!("other-{}", happens.replace(' ', "-"));
        pod(node, &other);
        wait("what is left of the dead pod is swept", SWEPT, || {
            let all = members(node, &["-a"]);
            left.iter().all(|id| !all.contains(id)).then_some(())
        });
        assert_eq!(members(node, &[]).len(), 3, "the other pod runs on");
        node.docker(&["stop", &other]);
        assert_eq!(inspect(node, &other)["State"]["ExitCode"], 0);
        assert_eq!(members(node, &["-a"]), Vec::<String>::new());
    }
}

/// A pod of two with a scratch volume: one says who its root is on the host, the other reads what that one wrote and ends
/// with 3.
fn sharing() -> [String; 6] {
    let component =
        |name: &str, text: &str| format!("pod.component.{name}={}volumes: ['shared:/s']\n", script(text));
    let app = component("app", "cat /proc/self/uid_map; echo from app > /s/it; exec sleep 1000");
    let other = component("other", "until cat /s/it; do usleep 50000; done; exit 3");
    let label = || "--label".to_owned();
    [label(), "pod.scratch=[shared]".to_owned(), label(), app, label(), other]
}

/// What that pod printed is right, and its root is not the host's.
fn shared_as_strangers(output: &str) {
    assert!(output.contains("[out] other: from app"), "{output}");
    let map = output.lines().find_map(|line| line.strip_prefix("[out] app: ")).expect("its map of users");
    let first: Vec<&str> = map.split_whitespace().collect();
    assert!(first[0] == "0" && first[1] != "0", "root of a component is not the host's: {map}");
}

#[test]
fn where_users_are_remapped_a_pod_runs_beside_its_manager_and_every_other_way_says_why_not() {
    ready();
    let nodes = Nodes::start(&["engine", "--userns-remap"], &[]);
    let node = &nodes.all[0];
    let mount = format!("{}:/var/run/docker.sock", node.socket());
    let run = |name: &str, more: &[&str], command: &[&str]| {
        let head = ["run", "--name", name, "-v", &mount];
        node.attempt(&[&head[..], more, &[&manager_image()], command].concat())
    };
    let pod = sharing();
    let pod = pod.each_ref().map(String::as_str);

    // Its root is a stranger to the socket.
    let said = run("alone", &pod, &[]);
    assert_eq!(said.status, 69, "{}", said.error());
    assert!(said.error().contains("may not be used by user 0 of this container"), "{}", said.error());
    assert!(said.error().contains("userns_mode: host"), "it says what to do: {}", said.error());

    // Components could not join its network.
    let said = run("host", &[&["--userns=host"], &pod[..]].concat(), &[]);
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("they cannot join its network"), "{}", said.error());

    // A pause with all of the pod's labels, and the manager beside it.
    let head = ["run", "-d", "-i", "--name", "pod", "--label", "pod.manager=sibling"];
    node.docker(&[&head[..], &pod, &[&pause_image()]].concat());
    let said = run("beside", &["--userns=host"], &["--pause", "pod", "--logs"]);
    assert_eq!(said.status, 3, "{}", said.error());
    assert_eq!(inspect(node, "pod")["State"]["ExitCode"], 3);
    shared_as_strangers(&said.text());
    assert_eq!(members(node, &["-a"]), Vec::<String>::new(), "and nothing is left");
}

#[test]
fn a_rootless_engine_runs_pods_with_a_manager_among_them_or_beside_them() {
    ready();
    let nodes = Nodes::start(&["engine", "--rootless"], &[]);
    let node = &nodes.all[0];
    assert!(node.docker(&["info", "--format", "{{.SecurityOptions}}"]).contains("name=rootless"));
    let mount = format!("{}:/var/run/docker.sock", node.socket());
    let pod = sharing();
    let pod = pod.each_ref().map(String::as_str);
    let run = |name: &str, more: &[&str], command: &[&str]| {
        // `rootlesskit` without a network of its own has none to give to containers.
        let head = ["run", "--name", name, "--network=none", "-v", &mount];
        let said = node.attempt(&[&head[..], more, &[&manager_image(), "--logs"], command].concat());
        assert_eq!(said.status, 3, "{}", said.error());
        shared_as_strangers(&said.text());
        assert_eq!(members(node, &["-a"]), Vec::<String>::new(), "and nothing is left");
    };
    run("alone", &pod, &[]);
    let head = ["run", "-d", "-i", "--name", "pod", "--network=none", "--label", "pod.manager=sibling"];
    node.docker(&[&head[..], &pod, &[&pause_image()]].concat());
    run("beside", &[], &["--pause", "pod"]);
    assert_eq!(inspect(node, "pod")["State"]["ExitCode"], 3);
}
