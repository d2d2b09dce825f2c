mod fleet;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::lab::example::{assert_serves, example};
use crate::lab::nodes::Node;
use crate::lab::swarm::UP;
use crate::lab::{manager_image, quoted, test_image, wait};
use fleet::{EXAMPLES, Fleet, Task};

/// Longer than a sweep waits between its two looks.
const SWEPT: Duration = Duration::from_secs(120);

/// A component that serves `text` on port 8080 of the pod, in `keys` more.
fn serves(text: &str, keys: &str) -> String {
    let script = format!("mkdir -p /www; echo {text} > /www/index.html; exec httpd -f -p 8080 -h /www");
    format!("{{image: {}, command: [sh, -c, {}]{keys}}}", test_image(), quoted(&script))
}

/// A component with a health check of which this is the command.
fn checked(text: &str, check: &str) -> String {
    serves(
        text,
        &format!(", healthcheck: {{test: {}, interval: 1s, timeout: 5s, retries: 3}}", quoted(check)),
    )
}

/// A stack with the service `web` of pods with the component `app`, a network `mesh`, and this below `deploy`.
fn stack(fleet: &Fleet, app: &str, deploy: &str) -> String {
    format!(
        "version: '3.8'\n\
         services:\n  \
           web:\n    \
             image: {}\n    \
             command: --logs\n    \
             networks: [mesh]\n    \
             volumes: ['{}:/var/run/docker.sock']\n    \
             healthcheck: {{test: [CMD, /pause, health], interval: 1s, retries: 3, start_period: 60s}}\n    \
             labels: {{pod.component.app: {}}}\n    \
             deploy: {{endpoint_mode: dnsrr, {deploy}}}\n\
         networks:\n  \
           mesh: {{driver: overlay, attachable: true}}\n",
        manager_image(),
        fleet.socket(),
        quoted(app),
    )
}

/// On which nodes tasks are, and how many.
fn spread(tasks: &[Task]) -> BTreeMap<usize, usize> {
    let mut nodes = BTreeMap::new();
    tasks.iter().for_each(|task| *nodes.entry(task.node).or_default() += 1);
    nodes
}

#[test]
fn the_example_serves_on_every_node() {
    let mut fleet = Fleet::take();
    let name = Fleet::stack("example");
    let service = format!("{name}_pod");
    let file = example().join("stack.yml").display().to_string();
    fleet.deploy_file(&name, &file);
    // Its port is the host's own: no two of them on one node.
    fleet.docker(&["service", "scale", "--detach", &format!("{service}=3")]);
    let tasks = fleet.wait_running(&service, 3);
    assert_eq!(spread(&tasks), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    for task in &tasks {
        let node = &fleet.nodes()[task.node];
        assert_serves(&format!("{}:8080", node.address));

        // From a component's container, the service, the task and the node can be told; Swarm's own labels are not copied,
        // or other tools would count it as the task.
        let ours = format!("label=io.tandem.task={}", task.id);
        let labels =
            ["io.tandem.service", "io.tandem.node", "io.tandem.component", "com.docker.swarm.task.id"];
        let format = labels.map(|label| format!("{{{{.Label \"{label}\"}}}}")).join(" ");
        let role = "label=io.tandem.role=component";
        let said = node.docker(&["ps", "--filter", &ours, "--filter", role, "--format", &format]);
        let id = node.docker(&["info", "--format", "{{.Swarm.NodeID}}"]);
        let want = |component: &str| format!("{service} {id} {component}");
        let got: BTreeSet<&str> = said.lines().map(str::trim_end).collect();
        assert_eq!(got, BTreeSet::from([&*want("app"), &*want("proxy")]));
        let own = node.docker(&["inspect", "--format", "{{.Name}}", &task.container]);
        let app = format!("{}.podlike.app", own.trim_start_matches('/'));
        assert!(fleet.members(task.node, &service).contains(&(task.container.clone(), app.clone())));

        // Names of the overlay network, from inside a component: every task, on whatever node.
        let look = "import socket; print(*sorted(socket.gethostbyname_ex('tasks.pod')[2]))";
        let found = wait("every task is found by name", UP, || {
            let said = node.attempt(&["exec", &app, "python3", "-c", look]).text();
            (said.split(' ').count() == 3).then_some(said)
        });
        for address in found.split(' ') {
            let get = format!(
                "import urllib.request as u; print(u.urlopen('http://{address}/', timeout=10).status)"
            );
            assert_eq!(node.docker(&["exec", &app, "python3", "-c", &get]), "200", "{address}");
        }
    }
    wait("the service's log has lines of every task's app", UP, || {
        let log = fleet.logs(&service).text();
        (log.lines()
            .filter(|line| line.starts_with("[err] app: ") || line.starts_with("[out] app: "))
            .count()
            >= 3)
            .then_some(())
    });
    fleet.remove(&name, &service);
}

/// Every container that a pod is made of, its own first: what the engine tells of them.
fn containers(fleet: &Fleet, task: &Task, service: &str) -> Vec<serde_json::Value> {
    let members = fleet.members(task.node, service);
    let members = members.iter().filter(|(pod, _)| *pod == task.container).map(|(_, name)| name.as_str());
    let names: Vec<&str> = std::iter::once(task.container.as_str()).chain(members).collect();
    let said = fleet.nodes()[task.node].docker(&[&["inspect"], &names[..]].concat());
    serde_json::from_str(&said).expect("JSON")
}

#[test]
fn the_agents_run_pods_that_have_no_socket_on_every_node() {
    let mut fleet = Fleet::take();
    let folder = example().join("../agent");
    let file = |name: &str| folder.join(name).display().to_string();
    let (operator, name) = (Fleet::stack("operator"), Fleet::stack("agent-pods"));
    let (agents, service) = (format!("{operator}_agent"), format!("{name}_pod"));
    fleet.deploy_file(&operator, &file("agent.yml"));
    fleet.deploy_file(&name, &file("stack.yml"));
    let before = fleet.wait_running(&agents, 3);
    assert_eq!(spread(&before), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    let tasks = fleet.wait_running(&service, 3);
    let ids = |fleet: &Fleet, tasks: &[Task]| -> BTreeSet<String> {
        let all = tasks.iter().flat_map(|task| containers(fleet, task, &service));
        all.map(|one| one["Id"].as_str().expect("an id").to_owned()).collect()
    };
    for task in &tasks {
        let node = &fleet.nodes()[task.node];
        assert_serves(&format!("{}:8080", node.address));
        let all = containers(&fleet, task, &service);
        // The pod's own, the two components, the sandbox for IPC.
        assert!(all.len() >= 4, "{all:#?}");
        for one in &all {
            assert!(!one["Mounts"].to_string().contains("docker.sock"), "{one:#}");
        }
        let own = &all[0];
        assert_eq!(own["Config"]["User"], "65529:65529");
        assert_eq!(own["HostConfig"]["ReadonlyRootfs"], true);
        assert_eq!(own["HostConfig"]["CapDrop"].to_string(), "[\"ALL\"]");
        let app = format!("{}.podlike.app", own["Name"].as_str().expect("a name").trim_start_matches('/'));
        let secret = node.docker(&["exec", &app, "cat", "/run/secrets/token"]);
        assert_eq!(secret, "an example is no place for a real one");
        // Their output is their pod's, not their agent's.
        wait("the app's lines in its own task's log", UP, || {
            let log = fleet.logs(&task.id).text();
            (log.contains("[err] app: ") || log.contains("[out] app: ")).then_some(())
        });
    }
    let pods = ids(&fleet, &tasks);

    // Another agent on every node: no pod notices.
    fleet.docker(&["service", "update", "--detach", "--force", &agents]);
    wait("three other agents run", UP, || {
        let now = fleet.running(&agents);
        let new = now.iter().all(|task| before.iter().all(|old| old.id != task.id));
        (now.len() == 3 && new).then_some(())
    });
    wait("they have taken up the pods", UP, || {
        let log = fleet.logs(&agents).error();
        (log.matches("taken up, running: ").count() == 3).then_some(())
    });
    assert_eq!(ids(&fleet, &tasks), pods, "nothing was started again");

    // Swarm hears of a component's end, and replaces that pod alone.
    let failing = &tasks[0];
    let own = &containers(&fleet, failing, &service)[0];
    let app = format!("{}.podlike.app", own["Name"].as_str().expect("a name").trim_start_matches('/'));
    fleet.nodes()[failing.node].docker(&["kill", "--signal", "KILL", &app]);
    wait("its task has failed with the component's status", UP, || {
        let tasks = fleet.tasks(&service);
        tasks.iter().any(|task| task.id == failing.id && task.status == Some(137)).then_some(())
    });
    let now = fleet.wait_running(&service, 3);
    let others = |tasks: &[Task]| -> BTreeSet<String> {
        let others = tasks.iter().filter(|task| task.node != failing.node);
        others.map(|task| task.id.clone()).collect()
    };
    assert_eq!(others(&now), others(&tasks));

    // A drain asks the agent of that node to stop at the same moment as its pods.
    let drained = fleet.name(2);
    fleet.docker(&["node", "update", "--availability", "drain", &drained]);
    fleet.wait_nothing_on(2, &service);
    wait("no agent runs there", UP, || {
        let ours = format!("label=com.docker.swarm.service.name={agents}");
        fleet.nodes()[2].docker(&["ps", "-q", "--filter", &ours]).is_empty().then_some(())
    });
    fleet.docker(&["node", "update", "--availability", "active", &drained]);
    let now = fleet.wait_running(&service, 3);

    // In order, within Swarm's time: the pod's end is 0 and not that of a kill.
    fleet.docker(&["service", "scale", "--detach", &format!("{service}=0")]);
    fleet.wait_nothing(&service);
    wait("every container of the pods has ended", UP, || {
        let ours = format!("label=com.docker.swarm.service.name={service}");
        let ended = |node: &Node| node.docker(&["ps", "-q", "--filter", &ours]).is_empty();
        fleet.nodes().iter().all(ended).then_some(())
    });
    for task in &now {
        let node = &fleet.nodes()[task.node];
        // Swarm may have removed it.
        let said = node.attempt(&["inspect", "--format", "{{.State.ExitCode}}", &task.container]);
        assert!(said.status != 0 || said.text().trim() == "0", "{}: {}", task.id, said.text());
    }
    fleet.remove(&name, &service);
    fleet.remove(&operator, &agents);
    for node in fleet.nodes() {
        assert_eq!(node.docker(&["ps", "-aq", "--filter", "label=io.tandem.role=lock"]), "", "no lock stays");
    }
}

#[test]
fn a_global_service_has_one_pod_on_each_node_with_its_secrets_and_configs() {
    let mut fleet = Fleet::take();
    let name = Fleet::stack("global");
    let service = format!("{name}_web");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |kind: &str, text: &str| {
        let path = folder.path().join(kind);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (secret, config) = (file("secret", "hidden-1\n"), file("config", "shown-1\n"));
    let script = "cat /run/secrets/key /etc/app.conf; exec sleep 100000";
    let app = format!(
        "{{image: {}, command: [sh, -c, {}], secrets: [key], configs: [{{source: app.conf, target: /etc/app.conf}}]}}",
        test_image(),
        quoted(script)
    );
    let text = stack(&fleet, &app, "mode: global")
        .replace("    networks:", "    secrets: [key]\n    configs: [app.conf]\n    networks:")
        + &format!("secrets: {{key: {{file: {secret}}}}}\nconfigs: {{app.conf: {{file: {config}}}}}\n");
    fleet.deploy(&name, &text);
    let tasks = fleet.wait_running(&service, 3);
    assert_eq!(spread(&tasks), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    for task in &tasks {
        let said = wait("what the component read", UP, || {
            let said = fleet.logs(&task.id).text();
            said.contains("[out] app: shown").then_some(said)
        });
        assert!(said.contains("[out] app: hidden-1\n[out] app: shown-1"), "{said}");
    }
    fleet.remove(&name, &service);
}

#[test]
fn from_one_to_nine_to_none_and_nothing_is_left_on_any_node() {
    let mut fleet = Fleet::take();
    let name = Fleet::stack("scale");
    let service = format!("{name}_web");
    let app = checked("here", "wget -q -O - http://127.0.0.1:8080/");
    fleet.deploy(&name, &stack(&fleet, &app, "replicas: 1"));
    fleet.wait_running(&service, 1);
    let scale = |count: u8| fleet.docker(&["service", "scale", "--detach", &format!("{service}={count}")]);
    scale(9);
    let tasks = fleet.wait_running(&service, 9);
    assert_eq!(spread(&tasks), BTreeMap::from([(0, 3), (1, 3), (2, 3)]));
    // Swarm calls a task running once its health check says so.
    for task in &tasks {
        let format = "{{.State.Health.Status}}";
        let health = fleet.nodes()[task.node].docker(&["inspect", "--format", format, &task.container]);
        assert_eq!(health, "healthy");
        let of = fleet.members(task.node, &service);
        assert_eq!(of.iter().filter(|(pod, _)| *pod == task.container).count(), 2, "app and sandbox: {of:?}");
    }
    scale(0);
    fleet.wait_running(&service, 0);
    fleet.wait_nothing(&service);
    fleet.remove(&name, &service);
}

/// Asks the service by its name, again and again: each time one of its tasks must answer. Ends when it is told to, and
/// says how often it asked, how often nobody answered, and what it read.
const CLIENT: &str = r#"
import json, signal, socket, sys, time, urllib.request
asked, failed, seen, go = 0, [], {}, True
def stop(*_):
    global go
    go = False
signal.signal(signal.SIGTERM, stop)
while go:
    asked += 1
    words = []
    try:
        for address in socket.gethostbyname_ex("web")[2]:
            try:
                body = urllib.request.urlopen("http://%s:8080/" % address, timeout=3).read().decode().strip()
                seen[body] = seen.get(body, 0) + 1
                break
            except Exception as error:
                words.append("%s %s" % (address, error))
        else:
            failed.append(words)
    except Exception as error:
        failed.append(str(error))
    time.sleep(0.05)
print(json.dumps({"asked": asked, "failed": failed, "seen": seen}))
"#;

#[test]
fn a_service_answers_throughout_a_rolling_update() {
    let mut fleet = Fleet::take();
    for order in ["start-first", "stop-first"] {
        let name = Fleet::stack(order);
        let service = format!("{name}_web");
        let deploy =
            format!("replicas: 3, update_config: {{order: {order}, parallelism: 1, delay: 1s, monitor: 2s}}");
        let app = |text: &str| checked(text, "wget -q -O - http://127.0.0.1:8080/");
        fleet.deploy(&name, &stack(&fleet, &app("one"), &deploy));
        let old = fleet.wait_running(&service, 3);
        let (network, client) = (format!("{name}_mesh"), format!("{name}-client"));
        let head = ["run", "-d", "--name", &client, "--network", &network, "--entrypoint", "python3"];
        fleet.docker(&[&head[..], &[EXAMPLES[0], "-u", "-c", CLIENT]].concat());
        let _client = Gone(&fleet.nodes()[0].host.clone(), &client);
        fleet.deploy(&name, &stack(&fleet, &app("two"), &deploy));
        let state = [
            "service",
            "inspect",
            "--format",
            "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}",
            &service,
        ];
        wait(format!("the update is completed, {order}"), UP, || {
            (fleet.docker(&state) == "completed").then_some(())
        });
        let new = fleet.wait_running(&service, 3);
        assert!(new.iter().all(|task| old.iter().all(|old| old.id != task.id)), "every task is another one");
        let said = ended(&fleet, &client);
        assert!(said["asked"].as_u64().is_some_and(|asked| asked > 50), "{said}");
        assert_eq!(said["failed"], serde_json::json!([]), "{order}: {said}");
        assert!(said["seen"]["one"].is_u64() && said["seen"]["two"].is_u64(), "{said}");
        // Asked of the node: Swarm's own word is now and then -1, of its wait that the stop has called off.
        for task in &old {
            let format = "{{.State.Status}} {{.State.ExitCode}}";
            let of = ["inspect", "--format", format, &task.container];
            let end = wait("the pod of the old task has ended", UP, || {
                let said = fleet.nodes()[task.node].docker(&of);
                said.starts_with("exited").then_some(said)
            });
            assert_eq!(end, "exited 0", "a stop that was asked for");
        }
        fleet.remove(&name, &service);
    }
}

/// What the client says at its end.
fn ended(fleet: &Fleet, client: &str) -> serde_json::Value {
    fleet.docker(&["kill", "-s", "TERM", client]);
    fleet.docker(&["wait", client]);
    let said = fleet.docker(&["logs", client]);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A container of the first node that goes at the end.
struct Gone<'a>(&'a str, &'a str);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        crate::lab::docker::attempt(&["-H", self.0, "rm", "-fv", self.1]);
    }
}

#[test]
fn an_update_whose_component_never_gets_healthy_is_rolled_back() {
    let mut fleet = Fleet::take();
    let name = Fleet::stack("rollback");
    let service = format!("{name}_web");
    let deploy = "replicas: 2, update_config: {order: start-first, parallelism: 1, failure_action: rollback, monitor: 5s}, \
                  restart_policy: {condition: none}";
    let good = checked("one", "wget -q -O - http://127.0.0.1:8080/");
    fleet.deploy(&name, &stack(&fleet, &good, deploy));
    let old = fleet.wait_running(&service, 2);
    // The pod's own health check gives up after a while as well.
    let bad =
        stack(&fleet, &checked("two", "false"), deploy).replace("start_period: 60s", "start_period: 2s");
    fleet.deploy(&name, &bad);
    let state =
        ["service", "inspect", "--format", "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}", &service];
    wait("the update is rolled back", UP, || (fleet.docker(&state) == "rollback_completed").then_some(()));
    let now = fleet.wait_running(&service, 2);
    let ids = |tasks: &[Task]| tasks.iter().map(|task| task.id.clone()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&now), ids(&old), "those that answered before are still there");
    let pods: BTreeSet<String> = now.iter().map(|task| task.container.clone()).collect();
    wait("of those that never got healthy nothing is left", UP, || {
        let of = (0..3).flat_map(|node| fleet.members(node, &service));
        of.map(|(pod, _)| pod).all(|pod| pods.contains(&pod)).then_some(())
    });
    fleet.remove(&name, &service);
}

#[test]
fn constraints_and_preferences_decide_where_pods_go() {
    let mut fleet = Fleet::take();
    let name = Fleet::stack("placed");
    let service = format!("{name}_web");
    for (node, zone) in [(0, "a"), (1, "b"), (2, "b")] {
        fleet.docker(&["node", "update", "--label-add", &format!("zone={zone}"), &fleet.name(node)]);
    }
    let app = serves("here", "");
    let only = "replicas: 4, placement: {constraints: ['node.labels.zone == b']}";
    fleet.deploy(&name, &stack(&fleet, &app, only));
    assert_eq!(spread(&fleet.wait_running(&service, 4)), BTreeMap::from([(1, 2), (2, 2)]));
    for task in fleet.running(&service) {
        wait("whole pods are there", UP, || {
            let of = fleet.members(task.node, &service).into_iter();
            (of.filter(|(pod, _)| *pod == task.container).count() == 2).then_some(())
        });
    }
    fleet.wait_nothing_on(0, &service);
    fleet.remove(&name, &service);
    let spreads = "replicas: 4, placement: {preferences: [{spread: node.labels.zone}]}";
    fleet.deploy(&name, &stack(&fleet, &app, spreads));
    assert_eq!(spread(&fleet.wait_running(&service, 4)), BTreeMap::from([(0, 2), (1, 1), (2, 1)]));
    fleet.remove(&name, &service);
}

#[test]
fn swarm_acts_on_a_components_exit_status_and_on_its_health() {
    let mut fleet = Fleet::take();
    let name = Fleet::stack("ends");
    let service = format!("{name}_web");
    let app = |script: &str| format!("{{image: {}, command: [sh, -c, {}]}}", test_image(), quoted(script));
    let deploy = "replicas: 1, restart_policy: {condition: on-failure, delay: 1s}";
    fleet.deploy(&name, &stack(&fleet, &app("sleep 2; exit 3"), deploy));
    let failed = wait("a task has failed with the component's status, and another one runs", UP, || {
        let tasks = fleet.tasks(&service);
        let failed = tasks.iter().find(|task| task.state == "failed").cloned()?;
        tasks.iter().any(|task| task.wanted == "running" && task.id != failed.id).then_some(failed)
    });
    assert_eq!(failed.status, Some(3));
    fleet.remove(&name, &service);

    fleet.deploy(&name, &stack(&fleet, &app("sleep 2; exit 0"), deploy));
    let done = wait("a task is complete", UP, || {
        fleet.tasks(&service).into_iter().find(|task| task.state == "complete")
    });
    assert_eq!((done.status, done.wanted.as_str()), (Some(0), "shutdown"));
    assert_eq!(fleet.tasks(&service).len(), 1, "and no other one is started");
    fleet.remove(&name, &service);

    // Never up: Swarm stops it, and goes on trying.
    let never = checked("never", "false").replace("retries: 3", "retries: 3, start_period: 1000s");
    let text = stack(&fleet, &never, deploy).replace("start_period: 60s", "start_period: 2s");
    fleet.deploy(&name, &text);
    wait("what never came up has failed, and another one is tried", UP, || {
        let tasks = fleet.tasks(&service);
        let failed = tasks.iter().find(|task| task.state == "failed")?;
        tasks.iter().any(|task| task.wanted == "running" && task.id != failed.id).then_some(())
    });
    assert!(fleet.tasks(&service).iter().all(|task| task.state != "complete"));
    fleet.remove(&name, &service);

    // Healthy at first, then not: the pod's health follows the component's, and Swarm replaces the task.
    let turns =
        checked("turns", "test ! -e /ill").replace("mkdir -p /www", "(sleep 15; touch /ill) & mkdir -p /www");
    let text = stack(&fleet, &turns, deploy).replace("start_period: 60s", "start_period: 0s");
    fleet.deploy(&name, &text.replace("retries: 3,", "retries: 8,"));
    let first = fleet.wait_running(&service, 1).remove(0);
    let after = wait("the task that is not healthy is replaced", UP, || {
        let tasks = fleet.tasks(&service);
        let old = tasks.iter().find(|task| task.id == first.id).cloned()?;
        (old.state != "running" && tasks.iter().any(|task| task.id != first.id)).then_some(old)
    });
    assert_eq!(after.state, "failed");
    fleet.remove(&name, &service);
}

#[test]
fn pods_leave_a_node_that_is_drained() {
    let mut fleet = Fleet::take();
    let name = Fleet::stack("drained");
    let service = format!("{name}_web");
    fleet.deploy(&name, &stack(&fleet, &serves("here", ""), "replicas: 3"));
    assert_eq!(spread(&fleet.wait_running(&service, 3)).len(), 3);
    let node = fleet.name(2);
    fleet.docker(&["node", "update", "--availability", "drain", &node]);
    wait("three run on the other two", UP, || {
        let tasks = fleet.running(&service);
        (tasks.len() == 3 && tasks.iter().all(|task| task.node != 2)).then_some(())
    });
    fleet.wait_nothing_on(2, &service);
    fleet.docker(&["node", "update", "--availability", "active", &node]);
    fleet.remove(&name, &service);
}

#[test]
fn a_node_that_dies_comes_back_and_nothing_of_its_dead_pods_stays() {
    let mut fleet = Fleet::take();
    let name = Fleet::stack("dies");
    let service = format!("{name}_web");
    fleet.deploy(&name, &stack(&fleet, &serves("here", ""), "replicas: 3"));
    let before = fleet.wait_running(&service, 3);
    let lost = before.iter().find(|task| task.node == 2).expect("one a node").clone();
    fleet.happen("fail 3");
    wait("Swarm has replaced what was there", UP, || {
        let tasks = fleet.docker(&[
            "service",
            "ps",
            "--filter",
            "desired-state=running",
            "--format",
            "{{.Node}} {{.CurrentState}}",
            &service,
        ]);
        let running = tasks.lines().filter(|line| line.contains(" Running ")).count();
        (running == 3 && !tasks.contains(&fleet.name(2))).then_some(())
    });
    fleet.happen("start 3");
    fleet.all_ready();
    let of_lost = |fleet: &Fleet| {
        fleet.members(2, &service).into_iter().filter(|(pod, _)| *pod == lost.container).count()
    };
    // The next manager on the node sweeps; Swarm moves no task back by itself.
    fleet.docker(&["service", "update", "--detach", "--force", &service]);
    wait("a pod runs there again", UP, || {
        fleet.running(&service).iter().any(|task| task.node == 2 && task.id != lost.id).then_some(())
    });
    wait("what the dead pod left is swept", SWEPT, || (of_lost(&fleet) == 0).then_some(()));
    fleet.remove(&name, &service);
}

#[test]
fn a_node_that_is_cut_off_ends_its_pods_when_it_is_back() {
    let mut fleet = Fleet::take();
    let name = Fleet::stack("cut");
    let service = format!("{name}_web");
    fleet.deploy(&name, &stack(&fleet, &serves("here", ""), "replicas: 3"));
    assert_eq!(spread(&fleet.wait_running(&service, 3)).len(), 3);
    fleet.happen("unplug 3");
    wait("Swarm takes the node for dead", UP, || {
        let said = fleet.docker(&["node", "ls", "--format", "{{.Hostname}} {{.Status}}"]);
        said.contains(&format!("{} Down", fleet.name(2))).then_some(())
    });
    assert_eq!(fleet.members(2, &service).len(), 2, "a pod that nobody has stopped runs on");
    fleet.happen("plug 3");
    fleet.all_ready();
    fleet.wait_nothing_on(2, &service);
    assert_eq!(fleet.wait_running(&service, 3).len(), 3);
    fleet.remove(&name, &service);
}
