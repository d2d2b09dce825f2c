//! Many pods at once on one agent, on the real engine: all become healthy, all outlive the agent, one that fails is alone in
//! it, and nothing is left. A program of its own, so that nothing else is up meanwhile. What it needs is what `pod_docker`
//! needs.
//!
//! `TANDEM_SCALE=300` is so many pods, 100 where nothing is said. How long things took and what the agent holds is printed.
#![cfg(feature = "docker-tests")]
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

#[allow(dead_code, reason = "other tests use the rest")]
mod lab;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lab::docker::{docker, inspect, on_host};
use lab::pod::{Agent, Pod};
use lab::{LONG, each, idle, wait};

/// Pods in a run of all tests.
const PODS: usize = 100;
/// Containers that Tandem makes of each: two components and the sandbox.
const MEMBERS: usize = 3;
/// Calls of `docker` at once.
const SIDE_BY_SIDE: usize = 8;
/// How long each pod may take of what happens to all of them: a busy machine with two cores, and some.
const EACH: Duration = Duration::from_secs(10);
/// What the agent may hold for each pod in the end, kB.
const MEMORY: i64 = 1024;

/// How many of these containers' `pause` say that their pod is healthy. What a health check reads, without a process in
/// each of them.
fn healthy(pids: &[String]) -> usize {
    on_host(&format!("cd /proc; for pid in {}; do cat $pid/comm; done", pids.join(" ")))
        .lines()
        .filter(|line| *line == "pause healthy")
        .count()
}

/// The containers of these pods that run: their ids, by pod.
fn running(pods: &[Pod]) -> BTreeMap<String, Vec<String>> {
    let format = "{{.Label \"io.tandem.pod\"}} {{.ID}}";
    let said = docker(&["ps", "--no-trunc", "--filter", "label=io.tandem.pod", "--format", format]).text();
    let mut found: BTreeMap<String, Vec<String>> =
        pods.iter().map(|pod| (pod.id().to_owned(), Vec::new())).collect();
    for (pod, id) in said.lines().filter_map(|line| line.split_once(' ')) {
        if let Some(ids) = found.get_mut(pod) {
            ids.push(id.to_owned());
        }
    }
    found.values_mut().for_each(|ids| ids.sort());
    found
}

/// What the agent's manager holds: memory in kB, open files.
fn held(agent: &Agent) -> (i64, i64) {
    let pause = inspect(agent.container())["State"]["Pid"].as_i64().expect("a process");
    let script = format!(
        "cd /proc/$(cat /proc/{pause}/task/{pause}/children); grep VmRSS status | tr -dc '0-9\\n'; ls fd | wc -l"
    );
    let host = ["run", "--rm", "--pid=host", "--cap-add=SYS_PTRACE", &lab::test_image(), "sh", "-c", &script];
    let said = docker(&host).text();
    let numbers: Vec<i64> = said.lines().map(|line| line.trim().parse().expect("a number")).collect();
    (numbers[0], numbers[1])
}

#[test]
fn many_pods_on_one_agent_start_outlive_it_fail_alone_and_leave_nothing() {
    let count = std::env::var("TANDEM_SCALE").map_or(PODS, |text| text.parse().expect("a number"));
    let pods_number = u32::try_from(count).expect("not so many");
    let limit = LONG + EACH * pods_number;
    let agent = Agent::start(&[], &[]);
    agent.wait_healthy();
    let empty = held(&agent);

    let began = Instant::now();
    let pods = each(count, SIDE_BY_SIDE, |_| {
        Pod::plan("scale")
            .agent(agent.name())
            // A hundred probes a second would be all that this machine does.
            .options(&["--health-interval=1h"])
            .component("app", &idle())
            .component("db", &idle())
            .start()
    });
    let started = began.elapsed();
    let pids: Vec<String> = pods.iter().map(|pod| pod.task()["State"]["Pid"].to_string()).collect();
    wait("every pod is healthy", limit, || (healthy(&pids) == count).then_some(()));
    let before = running(&pods);
    assert!(before.values().all(|ids| ids.len() == MEMBERS), "{before:?}");
    println!("{count} pods: started in {started:.1?}, healthy in {:.1?}", began.elapsed());
    let tell = |when: &str| {
        let now = held(&agent);
        let (memory, files) = (now.0 - empty.0, now.1 - empty.1);
        let count = i64::from(pods_number);
        println!(
            "{when} the agent holds {} kB and {} files: {} kB and {} a pod",
            now.0,
            now.1,
            memory / count,
            files / count
        );
        assert!(memory / count <= MEMORY, "{memory} kB for {count} pods");
    };
    tell("with all of them");

    // Killed with its container, and started again.
    docker(&["kill", "-s", "KILL", agent.container()]);
    let began = Instant::now();
    docker(&["start", agent.container()]);
    wait("every pod is taken up", limit, || {
        (agent.logs().matches("taken up, running: ").count() == count).then_some(())
    });
    assert!(!agent.logs().contains("were dropped"), "so much at once is no loss in its log");
    println!("taken up in {:.1?}", began.elapsed());
    tell("after that");
    assert_eq!(running(&pods), before, "nothing was started again");
    assert_eq!(healthy(&pids), count);

    let (failing, others) = pods.split_first().expect("some pods");
    docker(&["kill", "-s", "KILL", &failing.container("db")]);
    let end = failing.wait_end();
    println!("one that failed has ended in {:.1?}", end.took);
    assert_eq!(end.status, 137);
    wait("nothing of it is left", LONG, || failing.members().is_empty().then_some(()));
    let after = running(others);
    assert!(after.iter().all(|(pod, ids)| before.get(pod) == Some(ids)), "only that pod ended");
    assert_eq!(healthy(&pids[1..]), count - 1);

    let began = Instant::now();
    each(others.len(), SIDE_BY_SIDE, |number| others[number].stop_clean());
    println!("the others are stopped in {:.1?}", began.elapsed());
    agent.stop();
    assert_eq!(agent.lock(), None, "nothing is left");
}
