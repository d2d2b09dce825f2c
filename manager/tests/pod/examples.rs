//! `examples/sidecar` as its users run it: with Compose, and as a Swarm stack.
//!
//! The Swarm is one that `cargo xtask test` starts: `TANDEM_SWARM_HOST` is its engine, and
//! `TANDEM_SWARM_ADDRESS` where its published ports answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::lab::docker::{attempt, docker, socket};
use crate::lab::swarm::{Swarm, UP};
use crate::lab::{unique, wait};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/sidecar")
}

/// A port that is free now.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Status, `X-Cache` and body of an answer; `None` where nobody answers.
fn request(address: &str, method: &str, path: &str) -> Option<(String, String, String)> {
    let to = address.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&to, ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: pod\r\nContent-Length: 0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let cache = head.lines().find_map(|line| line.strip_prefix("X-Cache: ")).unwrap_or_default();
    Some((head.split(' ').nth(1)?.to_owned(), cache.to_owned(), body.to_owned()))
}

/// The pod does what the example's README says.
fn assert_serves(address: &str) {
    let (_, _, body) = wait(format!("an answer of {address}"), UP, || {
        request(address, "GET", "/").filter(|(status, ..)| status == "200")
    });
    assert!(body.contains("seeded by init-1"), "the init component ran before the app: {body}");
    wait("an answer from the cache", ANSWER, || {
        request(address, "GET", "/").filter(|(_, cache, _)| cache == "HIT")
    });
    let (status, ..) = request(address, "POST", "/fail").expect("an answer");
    assert_eq!(status, "200");
    let (status, _, body) = wait("a stale answer", ANSWER, || {
        request(address, "GET", "/").filter(|(_, cache, _)| cache == "STALE")
    });
    assert_eq!(status, "200", "the last good answer, though the app fails: {body}");
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

/// Runs words at the end of the test, however it ends.
struct Finally(Vec<String>, String);

impl Drop for Finally {
    fn drop(&mut self) {
        let mut command = Command::new(&self.0[0]);
        command.args(&self.0[1..]).env("PORT", "1").env("DOCKER_SOCK", &self.1);
        let _ = command.stdin(Stdio::null()).output();
    }
}

#[test]
fn the_example_serves_with_compose_and_leaves_nothing() {
    let name = unique("compose");
    let file = example().join("compose.yml").display().to_string();
    let plugin = attempt(&["compose", "version"]).status == 0;
    let compose: &[&str] = if plugin { &["docker", "compose"] } else { &["docker-compose"] };
    let words = |more: &[&str]| -> Vec<String> {
        let all = [compose, &["-p", &name, "-f", &file], more].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let (port, socket) = (port(), socket().display().to_string());
    let go = |more: &[&str]| {
        let words = words(more);
        run(&words.iter().map(String::as_str).collect::<Vec<_>>(), None, port, &socket)
    };
    let down = words(&["down", "--volumes", "--timeout", "10"]);
    let _finally = Finally(down, socket.clone());
    go(&["up", "-d"]);
    assert_serves(&format!("127.0.0.1:{port}"));
    let pod =
        docker(&["ps", "-q", "--no-trunc", "--filter", &format!("label=com.docker.compose.project={name}")]);
    let ours = format!("label=io.tandem.pod={}", pod.text().trim());
    let members = docker(&["ps", "-aq", "--filter", &ours]).text();
    assert_eq!(members.lines().count(), 4, "init-1, app, proxy and the sandbox: {members}");
    go(&["down", "--volumes", "--timeout", "10"]);
    assert_eq!(docker(&["ps", "-aq", "--filter", &ours]).text().trim(), "", "of {name}");
    let volumes = format!("label=com.docker.compose.project={name}");
    assert_eq!(docker(&["volume", "ls", "-q", "--filter", &volumes]).text().trim(), "", "of {name}");
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
