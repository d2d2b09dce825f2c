//! `examples/sidecar` as its users run it: with Compose, and as a Swarm stack.
//!
//! The Swarm is one that `cargo xtask test` starts: `TANDEM_SWARM_HOST` is its engine, and
//! `TANDEM_SWARM_ADDRESS` where its published ports answer.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::lab::docker::{attempt, docker, socket};
use crate::lab::example::{ANSWER, assert_serves, example};
use crate::lab::swarm::{Swarm, UP};
use crate::lab::{unique, wait};

/// A port that is free now.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Runs a command that is expected to succeed, with what the example's files ask of the environment.
fn run(words: &[&str], host: Option<&str>, port: u16, socket: &str) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("PORT", port.to_string()).env("DOCKER_SOCK", socket).stdin(Stdio::null());
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", words[0]));
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{}: {text}", words.join(" "));
    text
}

/// A Compose project, which is gone at the end of the test, however it ends.
struct Project {
    /// Compose, with the project's name and file.
    compose: Vec<String>,
    socket: String,
}

impl Project {
    fn attempt(&self, more: &[&str]) -> Option<String> {
        let mut command = Command::new(&self.compose[0]);
        command.args(&self.compose[1..]).args(more).env("PORT", "1").env("DOCKER_SOCK", &self.socket);
        let output = command.stdin(Stdio::null()).output().ok()?;
        Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for words in [&["ps"][..], &["logs", "--tail", "60"]] {
                eprintln!("---- {}\n{}", words[0], self.attempt(words).unwrap_or_default());
            }
        }
        self.attempt(&DOWN);
    }
}

/// Nothing of a project stays.
const DOWN: [&str; 4] = ["down", "--volumes", "--timeout", "10"];

#[test]
fn the_example_serves_with_compose_and_leaves_nothing() {
    serves_with_compose("compose.yml", &[], &["init-1", "app", "proxy", "the sandbox"]);
}

#[test]
fn the_example_serves_under_baseline_with_a_manager_that_is_a_service_of_its_own() {
    // The manager is the operator's, and so is its environment.
    let baseline = tempfile::Builder::new().suffix(".yml").tempfile().expect("a file");
    let text = "version: '3.7'\nservices: {manager: {environment: [TANDEM_POLICY=baseline]}}\n";
    std::fs::write(baseline.path(), text).expect("written");
    let file = baseline.path().display().to_string();
    serves_with_compose("compose.sibling.yml", &["-f", &file], &["init-1", "app", "proxy"]);
}

/// `more` are options of Compose.
fn serves_with_compose(file: &str, more: &[&str], containers: &[&str]) {
    let name = unique("compose");
    let file = example().join(file).display().to_string();
    let plugin = attempt(&["compose", "version"]).status == 0;
    let compose: &[&str] = if plugin { &["docker", "compose"] } else { &["docker-compose"] };
    let words: Vec<&str> = [compose, &["-p", &name, "-f", &file], more].concat();
    let (port, socket) = (port(), socket().display().to_string());
    let go = |more: &[&str]| run(&[&words[..], more].concat(), None, port, &socket);
    let compose = words.iter().map(|word| (*word).to_owned()).collect();
    let _project = Project { compose, socket: socket.clone() };
    go(&["up", "-d"]);
    assert_serves(&format!("127.0.0.1:{port}"));
    wait("the app's lines in the log", ANSWER, || go(&["logs"]).contains("] app: ").then_some(()));
    let project = format!("label=com.docker.compose.project={name}");
    let service = "label=com.docker.compose.service=pod";
    let pod = docker(&["ps", "-q", "--no-trunc", "--filter", &project, "--filter", service]);
    let ours = format!("label=io.tandem.pod={}", pod.text().trim());
    let members = || docker(&["ps", "-aq", "--filter", &ours]).text();
    let mut before = members();
    assert_eq!(before.lines().count(), containers.len(), "{containers:?}: {before}");
    // What Compose restarts is the pod's own container, with its manager's or alone: a new run of the whole pod.
    for service in [&[][..], &["pod"]] {
        go(&[&["restart", "--timeout", "10"], service].concat());
        wait("every container is a new one", UP, || {
            let again = members();
            let kept = again.lines().any(|id| before.lines().any(|earlier| earlier == id));
            (again.lines().count() == containers.len() && !kept).then(|| before = again)
        });
        assert_serves(&format!("127.0.0.1:{port}"));
    }
    go(&DOWN);
    assert_eq!(docker(&["ps", "-aq", "--filter", &ours]).text().trim(), "", "of {name}");
    assert_eq!(docker(&["volume", "ls", "-q", "--filter", &project]).text().trim(), "", "of {name}");
}

#[test]
fn the_example_serves_as_a_swarm_stack_and_leaves_nothing() {
    let mut swarm = Swarm::new();
    let address = std::env::var("TANDEM_SWARM_ADDRESS").unwrap_or_else(|_| "127.0.0.1".into());
    let name = swarm.stack("stack");
    let file = example().join("stack.yml").display().to_string();
    let port = port();
    let ask = |words: &[&str]| swarm.docker(words);
    let deploy = ["docker", "stack", "deploy", "-c", &file, &name];
    run(&deploy, Some(swarm.host()), port, swarm.socket());
    assert_serves(&format!("{address}:{port}"));

    // The service, the task and the node can be told from a component; Swarm's own labels are not copied.
    let service = format!("{name}_pod");
    let ours = format!("label=io.tandem.service={service}");
    let format = "{{.Label \"io.tandem.task\"}} {{.Label \"com.docker.swarm.task.id\"}}.";
    let labels =
        ask(&["ps", "--filter", &ours, "--filter", "label=io.tandem.role=component", "--format", format]);
    let task = ask(&["service", "ps", "-q", "--no-trunc", &service]);
    let want = format!("{} .", task.trim());
    assert_eq!(labels.lines().collect::<Vec<_>>(), [&want, &want]);
    wait("the service's log of the app", ANSWER, || {
        let log = ask(&["service", "logs", "--raw", &service]);
        log.contains("] app: ").then_some(())
    });

    ask(&["stack", "rm", &name]);
    swarm.assert_gone(&service);
}
