//! Many pods up and down, some of them killed, beside one that stays and whose component ends again and again, on the real
//! engine: what the node holds is back where it was. A program of its own, so that nothing else comes and goes meanwhile.
//! What it needs is what `pod_docker` needs.
//!
//! `TANDEM_CHURN=1000` is so many pods, 100 where nothing is said; `TANDEM_SOAK=60` goes on with such rounds for so many
//! minutes, and prints what is held after each.
#![cfg(feature = "docker-tests")]
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

#[allow(dead_code, reason = "other tests use the rest")]
mod lab;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use lab::docker::docker;
use lab::pod::{Agent, Pod};
use lab::{LONG, each, idle, script, test_image, wait};

/// Pods in a run of all tests.
const PODS: usize = 100;
/// Pods before the first look: what an engine and an agent keep once they have done everything.
const WARM_UP: usize = 16;
/// Pods at once.
const SIDE_BY_SIDE: usize = 8;
/// What a manager may hold more than before, kB: its allocator's own.
const MORE_MEMORY: i64 = 512;

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    containers: i64,
    volumes: i64,
    networks: i64,
    cgroups: i64,
    mounts: i64,
    /// The agent, and the manager of the pod that stays.
    managers: Vec<Process>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    /// Files that it has open.
    files: i64,
    /// What of it is in memory, kB.
    memory: i64,
}

impl Node {
    /// Of a pause container that was killed cgroup v1 keeps the empty cgroup: the engine removes it while the components'
    /// are still below it.
    fn look(managers: &[i64], killed: &[String]) -> Node {
        let lines = |args: &[&str]| i64::try_from(docker(args).text().lines().count()).expect("not so many");
        let killed: String = killed.iter().map(|id| format!(" -e {id}")).collect();
        let each = |pid: &i64| {
            format!("ls /proc/{pid}/fd | wc -l; grep VmRSS /proc/{pid}/status | tr -dc '0-9\\n'; ")
        };
        let script = format!(
            "find /cgroups -type d | grep -c -v -F -e none {killed}; cat /proc/1/mounts | wc -l; {}",
            managers.iter().map(each).collect::<String>()
        );
        let host = ["run", "--rm", "--pid=host", "-v", "/sys/fs/cgroup:/cgroups:ro", "--cap-add=SYS_PTRACE"];
        let said = docker(&[&host[..], &[&test_image(), "sh", "-c", &script]].concat()).text();
        let numbers: Vec<i64> = said.lines().map(|line| line.trim().parse().expect("a number")).collect();
        let [cgroups, mounts, processes @ ..] = &numbers[..] else { panic!("numbers: {said}") };
        let of = |pair: &[i64]| Process { files: pair[0], memory: pair[1] };
        Node {
            containers: lines(&["ps", "-aq"]),
            volumes: lines(&["volume", "ls", "-q"]),
            networks: lines(&["network", "ls", "-q"]),
            cgroups: *cgroups,
            mounts: *mounts,
            managers: processes.chunks_exact(2).map(of).collect(),
        }
    }

    /// Nothing more is held than before.
    fn within(&self, before: &Node) -> bool {
        let process = |(now, before): (&Process, &Process)| {
            now.files <= before.files && now.memory <= before.memory + MORE_MEMORY
        };
        self.containers <= before.containers
            && self.volumes <= before.volumes
            && self.networks <= before.networks
            && self.cgroups <= before.cgroups
            && self.mounts <= before.mounts
            && self.managers.iter().zip(&before.managers).all(process)
    }
}

/// The manager in a container, as the host counts.
fn manager_of(container: &str) -> i64 {
    let pause = lab::docker::inspect(container)["State"]["Pid"].as_i64().expect("a process");
    // `pause` is PID 1 there, and the manager its child.
    let child = lab::docker::on_host(&format!("cat /proc/{pause}/task/{pause}/children"));
    child.trim().parse().expect("one child")
}

/// Up and down, so many of them. The ids of pause containers that were killed are added.
fn churn(agent: &Agent, pods: usize, killed: &mut Vec<String>) {
    let ids = Mutex::new(Vec::new());
    each(pods, SIDE_BY_SIDE, |number| {
        let pod = Pod::plan("churn")
            .agent(agent.name())
            .label("pod.scratch", "[{name: cache, type: memory}]")
            .component("app", &format!("{}volumes: ['cache:/cache']\n", idle()))
            .start();
        pod.wait_healthy();
        match number % 5 {
            // What the agent is to clean up after.
            0 => {
                ids.lock().expect("nobody panics").push(pod.id().to_owned());
                docker(&["kill", "-s", "KILL", pod.id()]);
            }
            1 => _ = docker(&["kill", "-s", "KILL", &pod.container("app")]),
            2 => _ = docker(&["kill", "-s", "KILL", &format!("{}.pause", pod.name())]),
            _ => _ = docker(&["kill", "-s", "TERM", pod.id()]),
        }
        pod.wait_end();
        wait("nothing of it is left", LONG, || pod.members().is_empty().then_some(()));
    });
    killed.extend(ids.into_inner().expect("nobody panics"));
}

#[test]
fn many_pods_come_and_go_and_the_node_holds_what_it_held() {
    let number = |name: &str, otherwise: usize| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (pods, minutes) = (number("TANDEM_CHURN", PODS), number("TANDEM_SOAK", 0));
    let soak = Duration::from_secs(60 * u64::try_from(minutes).expect("not for ever"));
    let agent = Agent::start(&[], &[]);
    agent.wait_healthy();
    // It runs long enough not to wait before it is started again.
    let ends = "echo one life; n=0; while [ $n -lt 21 ]; do usleep 500000; n=$((n+1)); done; exit 3";
    let stays = Pod::plan("stays")
        .args(&["--logs"])
        .component("ends", &format!("{}restart: always\npost_start: [{{command: 'true'}}]\n", script(ends)))
        .component("app", &format!("{}healthcheck: {{test: 'true', interval: 1s}}\n", idle()))
        .start();
    stays.wait_healthy();
    let managers = [manager_of(agent.name()), manager_of(stays.id())];
    let mut killed = Vec::new();
    churn(&agent, WARM_UP, &mut killed);
    let before = Node::look(&managers, &killed);
    println!("{WARM_UP} pods: {before:?}");
    let (began, mut all) = (Instant::now(), 0);
    loop {
        churn(&agent, pods, &mut killed);
        all += pods;
        // An engine may still be at the last one.
        let (looked, mut after) = (Instant::now(), Node::look(&managers, &killed));
        while !after.within(&before) {
            assert!(looked.elapsed() < LONG, "{all} pods:\nbefore {before:?}\nafter  {after:?}");
            after = Node::look(&managers, &killed);
        }
        println!("{all} pods more, {} min: {after:?}", began.elapsed().as_secs() / 60);
        if began.elapsed() >= soak {
            break;
        }
    }
    assert!(stays.logs().1.contains("(started again: "), "its component was started again all the time");
    stays.stop_clean();
}
