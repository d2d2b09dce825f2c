//! Three Swarms that all these tests share, one after the other.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::lab::docker::Said;
use crate::lab::nodes::{Node, Nodes};
use crate::lab::swarm::UP;
use crate::lab::{unique, wait};

/// Those that no test has. Each takes part of the tests, which mostly wait. Nobody drops them, and their nodes end with their
/// input, which is this process.
static FREE: Mutex<[Lab; 3]> = Mutex::new([const { Lab::ToBeStarted }; 3]);
static FREED: Condvar = Condvar::new();
/// Longest that Swarm may take to tell a log.
const LOGS: Duration = Duration::from_secs(20);

/// The images of `examples/sidecar`; the one of its app has Python in it.
pub(super) const EXAMPLES: [&str; 2] = ["tandem-example/sidecar-app", "tandem-example/sidecar-proxy"];

/// A place for a Swarm.
enum Lab {
    ToBeStarted,
    Free(Nodes),
    Taken,
}

/// The Swarm, for one test. What the test made in it goes when this does.
pub(super) struct Fleet {
    /// Until it is dropped.
    lab: Option<Nodes>,
    /// Swarm's ids of the nodes.
    ids: Vec<String>,
    stacks: Vec<String>,
}

/// A task, as Swarm reports it.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: String,
    /// Id of its container, empty before there is one.
    pub(super) container: String,
    /// Where it is, from 0 on.
    pub(super) node: usize,
    pub(super) state: String,
    pub(super) wanted: String,
    pub(super) status: Option<i64>,
}

impl Fleet {
    /// Start it, or wait until whoever has it is done, and every node is as it should be.
    #[track_caller]
    pub(super) fn take() -> Fleet {
        crate::lab::docker::ready();
        let taken = |lab: &Lab| matches!(lab, Lab::Taken);
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            FREED.wait_while(free, |labs| labs.iter().all(taken)).unwrap_or_else(PoisonError::into_inner);
        let place = free.iter_mut().find(|lab| !taken(lab)).expect("one is free");
        let lab = std::mem::replace(place, Lab::Taken);
        drop(free);
        // Dropped where the start fails, it gives its place back.
        let mut fleet = Fleet { lab: None, ids: Vec::new(), stacks: Vec::new() };
        fleet.lab = Some(match lab {
            Lab::Free(nodes) => nodes,
            Lab::ToBeStarted | Lab::Taken => Nodes::start(&["swarm", "--nodes", "3"], &EXAMPLES),
        });
        fleet.all_ready();
        let id = |node: &Node| node.docker(&["info", "--format", "{{.Swarm.NodeID}}"]);
        fleet.ids = fleet.nodes().iter().map(id).collect();
        fleet
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.lab().all
    }

    fn lab(&self) -> &Nodes {
        self.lab.as_ref().expect("it was started")
    }

    /// The path at which each node has the socket of its engine.
    pub(super) fn socket(&self) -> &str {
        &self.lab().socket
    }

    /// Let something happen to a node.
    #[track_caller]
    pub(super) fn happen(&mut self, words: &str) {
        self.lab.as_mut().expect("it was started").happen(words);
    }

    /// Ask the manager of the Swarm.
    #[track_caller]
    pub(super) fn docker(&self, words: &[&str]) -> String {
        self.nodes()[0].docker(words)
    }

    /// Swarm's name of a node.
    pub(super) fn name(&self, node: usize) -> String {
        format!("lab{}", node + 1)
    }

    /// Every node is there, and takes tasks.
    #[track_caller]
    pub(super) fn all_ready(&self) {
        wait("three nodes are ready", UP, || {
            let said = self.docker(&["node", "ls", "--format", "{{.Status}} {{.Availability}}"]);
            (said.lines().filter(|line| *line == "Ready Active").count() == 3).then_some(())
        });
    }

    /// Deploy this text under a name of its own, or over what has that name.
    #[track_caller]
    pub(super) fn deploy(&mut self, name: &str, text: &str) {
        let file = tempfile::Builder::new().suffix(".yml").tempfile().expect("a file");
        fs::write(file.path(), text).expect("written");
        self.deploy_file(name, &file.path().display().to_string());
    }

    /// Deploy this file.
    #[track_caller]
    pub(super) fn deploy_file(&mut self, name: &str, file: &str) {
        if !self.stacks.iter().any(|stack| stack == name) {
            self.stacks.push(name.to_owned());
        }
        let mut deploy = Command::new("docker");
        deploy.args([
            "-H",
            &self.nodes()[0].host,
            "stack",
            "deploy",
            "--resolve-image",
            "never",
            "-c",
            file,
            name,
        ]);
        deploy.env("PORT", "8080").env("DOCKER_SOCK", self.socket()).stdin(Stdio::null());
        let said = deploy.output().expect("`docker` can be run");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }

    /// A name for a stack.
    pub(super) fn stack(hint: &str) -> String {
        unique(hint)
    }

    /// Every task of a service, old ones too.
    #[track_caller]
    pub(super) fn tasks(&self, service: &str) -> Vec<Task> {
        let ids = self.docker(&["service", "ps", "-q", "--no-trunc", service]);
        let ids: Vec<&str> = ids.lines().collect();
        if ids.is_empty() {
            return Vec::new();
        }
        // One that Swarm has just dropped from its history fails the others' answer as well.
        let said = self.nodes()[0].attempt(&[&["inspect", "--type", "task"], &ids[..]].concat());
        let Ok(all) = serde_json::from_slice::<Vec<Value>>(&said.out) else { return Vec::new() };
        let task = |one: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let container = &one["Status"]["ContainerStatus"];
            let node = text(&one["NodeID"]);
            Task {
                id: text(&one["ID"]),
                container: text(&container["ContainerID"]),
                node: self.ids.iter().position(|name| *name == node).unwrap_or(usize::MAX),
                state: text(&one["Status"]["State"]),
                wanted: text(&one["DesiredState"]),
                status: container["ExitCode"].as_i64(),
            }
        };
        all.iter().map(task).collect()
    }

    /// The tasks that run, and are meant to.
    #[track_caller]
    pub(super) fn running(&self, service: &str) -> Vec<Task> {
        let tasks = self.tasks(service).into_iter();
        tasks.filter(|task| task.state == "running" && task.wanted == "running").collect()
    }

    /// Wait until just so many run: those.
    #[track_caller]
    pub(super) fn wait_running(&self, service: &str, count: usize) -> Vec<Task> {
        wait(format!("{count} tasks of `{service}` run"), UP, || {
            let running = self.running(service);
            (running.len() == count).then_some(running)
        })
    }

    /// What Swarm has of the log of a service or a task: nothing where it can't tell at the moment. A node that has just
    /// come back is `Ready` before its log stream is open again ("node ... is not available"); now and then a stream does
    /// not end (docker/cli 4678). A later answer is whole.
    pub(super) fn logs(&self, of: &str) -> Said {
        let said = self.nodes()[0].within(LOGS, &["service", "logs", "--raw", of]);
        said.unwrap_or_else(|| Said { status: 124, out: Vec::new(), err: Vec::new() })
    }

    /// Containers of the pods of a service on a node: id of the pod's own container, and name.
    #[track_caller]
    pub(super) fn members(&self, node: usize, service: &str) -> Vec<(String, String)> {
        let ours = format!("label=io.tandem.service={service}");
        let format = "{{.Label \"io.tandem.pod\"}} {{.Names}}";
        let said = self.nodes()[node].docker(&["ps", "-a", "--filter", &ours, "--format", format]);
        let pairs = said.lines().filter_map(|line| line.split_once(' '));
        pairs.map(|(pod, name)| (pod.to_owned(), name.to_owned())).collect()
    }

    /// Wait until nothing of the service's pods is left on this node.
    #[track_caller]
    pub(super) fn wait_nothing_on(&self, node: usize, service: &str) {
        wait(format!("nothing of `{service}` is left on node {node}"), UP, || {
            self.members(node, service).is_empty().then_some(())
        });
    }

    /// Wait until nothing of the service's pods is left anywhere.
    #[track_caller]
    pub(super) fn wait_nothing(&self, service: &str) {
        (0..3).for_each(|node| self.wait_nothing_on(node, service));
    }

    /// Remove a stack; nothing of its pods stays.
    #[track_caller]
    pub(super) fn remove(&mut self, stack: &str, service: &str) {
        // Swarm refuses to remove a network for as long as it has not yet told its tasks to end ("in use by task").
        wait(format!("the stack `{stack}` is removed"), UP, || {
            let said = self.nodes()[0].attempt(&["stack", "rm", stack]);
            assert!(said.status == 0 || said.error().contains("in use by task"), "{}", said.error());
            (said.status == 0).then_some(())
        });
        self.wait_nothing(service);
        wait(format!("nothing of the stack `{stack}` is left"), UP, || {
            let ours = format!("label=com.docker.stack.namespace={stack}");
            let left = |node: &Node| {
                let of = |list: &[&str]| node.docker(&[list, &["-q", "--filter", &ours]].concat());
                of(&["ps", "-a"]).is_empty() && of(&["network", "ls"]).is_empty()
            };
            self.nodes().iter().all(left).then_some(())
        });
        self.stacks.retain(|one| one != stack);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // A second panic here would end every other test with this one.
        let ask = |words: &[&str]| {
            let said = self.nodes()[0].within(LOGS * 3, words);
            said.map_or_else(
                || format!("`docker {}` does not end", words.join(" ")),
                |said| said.text() + &said.error(),
            )
        };
        for stack in &self.stacks {
            if std::thread::panicking() {
                eprintln!("---- {stack}\n{}", ask(&["stack", "ps", "--no-trunc", stack]));
                for service in ask(&["stack", "services", "-q", stack]).lines() {
                    eprintln!("{}", ask(&["service", "logs", "--tail", "40", service]));
                }
            }
            ask(&["stack", "rm", stack]);
        }
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = free.iter_mut().find(|lab| matches!(lab, Lab::Taken)) {
            *place = self.lab.take().map_or(Lab::ToBeStarted, Lab::Free);
            FREED.notify_one();
        }
    }
}
