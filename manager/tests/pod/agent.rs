//! `manager agent`: every pod of the node, each a bare pause container without the socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::lab::docker::{Started, attempt, docker, inspect, on_host, socket, try_inspect};
use crate::lab::pod::{Agent, Pod, Volumes};
use crate::lab::proxy::{Proxy, Verdict};
use crate::lab::{LONG, here, idle, manager_image, pause_image, script, test_image, unique, wait};

/// What a waiting agent says.
const WAITS: &str = "this one runs no pods, and waits for its end";
/// What an agent says once it runs pods.
const RUNS: &str = "running the pods of this node";

#[test]
fn pods_that_are_there_and_pods_that_come_are_run_each_to_its_own_end() {
    // This one waits for its agent.
    let name = unique("agent-later");
    let first = Pod::plan("agent-first").agent(&name).component("app", &idle()).start();
    assert_eq!(first.health(), "starting");
    let agent = Agent::start_as(&name, &[], &["--logs"]);
    first.wait_healthy();
    agent.wait_healthy();
    let second =
        Pod::plan("agent-second").agent(agent.name()).component("app", &script("sleep 2; exit 7")).start();
    let third =
        Pod::plan("agent-third").agent(agent.name()).component("app", &script("echo said; exec sleep 1000"));
    let third = third.start();
    assert_eq!(second.wait_end().status, 7);
    second.assert_nothing_left();
    // Its components' output is its own, in the logs of its own container.
    wait("the component's line", LONG, || {
        docker(&["logs", third.id()]).text().contains("[out] app: said").then_some(())
    });
    assert!(!agent.logs().contains("[out]"), "{}", agent.logs());
    // The agent's lines say whose they are.
    assert!(agent.logs().contains(&format!("pod{{name={}}}", second.name())), "{}", agent.logs());
    third.stop_clean();
    first.stop_clean();
}

#[test]
fn an_agent_that_dies_or_is_replaced_leaves_its_pods_running_and_the_next_one_goes_on() {
    let agent = Agent::start(&[], &[]);
    let pod = Pod::plan("agent-crash").agent(agent.name()).component("app", &idle()).start();
    pod.wait_healthy();
    let before = pod.component("app")["Id"].clone();
    pod.crash_manager("KILL");
    wait("another manager", LONG, || pod.manager_pid());
    agent.wait_healthy();
    assert_eq!(pod.component("app")["Id"], before);
    // A new one, as an update of the service brings it.
    let end = docker(&["stop", "-t", "30", agent.name()]);
    assert_eq!(end.status, 0);
    assert_eq!(inspect(agent.name())["State"]["ExitCode"], 0);
    assert_eq!(pod.component("app")["State"]["Running"], true);
    assert_eq!(pod.health(), "healthy");
    docker(&["rm", agent.name()]);
    let next = Agent::start_as(agent.name(), &[], &[]);
    next.wait_healthy();
    wait("the pod is taken up", LONG, || next.logs().contains("the pod of").then_some(()));
    assert_eq!(pod.component("app")["Id"], before);
    pod.stop_clean();
}

#[test]
fn a_stop_that_is_asked_for_while_no_agent_is_there_is_done_in_order_by_the_next_one() {
    let agent = Agent::start(&[], &["--logs", "--stop-timeout=20s"]);
    let app = script("trap 'echo ended by TERM; exit 0' TERM; echo ready; while :; do sleep 0.1; done");
    let pod = Pod::plan("agent-late").agent(agent.name()).component("app", &app).start();
    pod.wait_healthy();
    docker(&["kill", agent.name()]);
    let stopped = std::thread::scope(|scope| {
        let stop = scope.spawn(|| pod.stop());
        wait("the stop is asked for", LONG, || {
            docker(&["logs", pod.id()]).error().contains("waiting").then_some(())
        });
        docker(&["start", agent.name()]);
        stop.join().expect("the thread of the stop")
    });
    assert_eq!(stopped.status, 0);
    assert!(
        docker(&["logs", pod.id()]).text().contains("ended by TERM"),
        "{:?}",
        docker(&["logs", pod.id()])
    );
    wait("nothing is left", LONG, || pod.members().is_empty().then_some(()));
}

#[test]
fn a_pod_that_is_started_again_is_run_again() {
    let agent = Agent::start(&[], &[]);
    let pod = Pod::plan("agent-again").agent(agent.name()).component("app", &idle()).start();
    pod.wait_healthy();
    let before = pod.component("app")["Id"].clone();
    docker(&["restart", "-t", "30", pod.id()]);
    pod.wait_healthy();
    pod.wait_running(&["app"]);
    assert_ne!(pod.component("app")["Id"], before, "a new one, in the new namespaces");
    pod.stop_clean();
}

#[test]
fn a_wrong_pod_ends_with_64_and_disturbs_no_other() {
    let agent = Agent::start(&[], &[]);
    let good = Pod::plan("agent-good").agent(agent.name()).component("app", &idle()).start();
    let wrong = Pod::plan("agent-wrong").agent(agent.name()).component("app", "imag: a\n").start();
    assert_eq!(wrong.wait_end().status, 64);
    let why = "`imag`: this key is unknown; did you mean `image`?";
    assert!(agent.logs().contains(why), "{}", agent.logs());
    // Whose pod it is may not see the agent's log.
    let own = docker(&["logs", wrong.id()]).error();
    assert!(own.contains("tandem: ") && own.contains(why), "{own}");
    good.wait_healthy();
    good.stop_clean();
}

#[test]
fn only_pods_that_are_the_agents_are_taken() {
    let agent = Agent::start(&[], &[]);
    agent.wait_healthy();
    let other = Pod::plan("agent-other").agent("somebody-else").component("app", &idle()).start();
    // A task container with a manager of its own has the same labels.
    let own = Pod::plan("agent-own").label("pod.manager", agent.name()).component("app", &idle()).start();
    own.wait_healthy();
    let mine = Pod::plan("agent-mine").agent(agent.name()).component("app", &idle()).start();
    mine.wait_healthy();
    assert_eq!(other.members(), Vec::<String>::new());
    assert!(!agent.logs().contains(other.name()) && !agent.logs().contains(own.name()), "{}", agent.logs());
    own.stop_clean();
    mine.stop_clean();
}

#[test]
fn why_a_pod_ends_is_in_its_own_log_too() {
    let agent = Agent::start(&[], &["--logs"]);
    // After more output than is on its way at once.
    let floods = script("seq 1 270000; exit 7");
    let pod = Pod::plan("agent-why").agent(agent.name()).component("app", &floods).start();
    assert_eq!(pod.wait_end().status, 7);
    agent.stop();
    let own = docker(&["logs", pod.id()]).error();
    assert!(
        own.contains("tandem: ending the pod with status 7: component `app` ended with status 7"),
        "{own}"
    );
    assert!(!agent.logs().contains("the pod's pause container"), "it was told to end: {}", agent.logs());
}

#[test]
fn what_is_in_a_pod_is_no_pod_whatever_its_labels_say() {
    // The agent allows what the nested definition asks for: nothing else may keep it from being run.
    let agent = Agent::start(&[], &["--allow=host-paths=/etc"]);
    let nested = format!(
        "image: {}\nstdin_open: true\nhealthcheck: {{disable: true}}\nlabels:\n  pod.manager: {}\n  pod.component.evil: '{{image: {}, command: [sleep, \
         \"1000\"], volumes: [\"/etc:/etc-of-the-host\"]}}'\n",
        pause_image(),
        agent.name(),
        test_image()
    );
    let outer =
        Pod::plan("agent-outer").args(&["--pids=false", "--ipc=false"]).component("sub", &nested).start();
    outer.wait_healthy();
    let mine = Pod::plan("agent-mine").agent(agent.name()).component("app", &idle()).start();
    // By then the other would be taken as well.
    mine.wait_healthy();
    let again = Agent::another(&agent);
    agent.stop();
    again.wait_said("the pod of `");
    assert!(!(agent.logs() + &again.logs()).contains(outer.name()), "{}{}", agent.logs(), again.logs());
    mine.stop_clean();
    outer.stop_clean();
}

#[test]
fn pods_that_are_stopped_with_their_agent_end_in_order() {
    let agent = Agent::start(&[], &["--logs"]);
    let app =
        script("trap 'sleep 1; echo ended by TERM; exit 0' TERM; echo ready; while :; do sleep 0.1; done");
    let pod = Pod::plan("agent-drained").agent(agent.name()).component("app", &app).start();
    let stays = Pod::plan("agent-stays").agent(agent.name()).component("app", &idle()).start();
    pod.wait_healthy();
    stays.wait_healthy();
    std::thread::scope(|scope| {
        let ended = scope.spawn(|| agent.stop());
        agent.wait_said("asked to stop: waiting");
        // As a node is drained: the agent first, and the pod a moment later.
        let end = pod.stop();
        assert_eq!(end.status, 0);
        assert_eq!(ended.join().expect("the thread of the stop").status, 0);
    });
    pod.assert_nothing_left();
    assert!(docker(&["logs", pod.id()]).text().contains("ended by TERM"));
    assert_eq!(stays.component("app")["State"]["Running"], true, "nobody has asked that one to stop");
    let next = agent.another();
    next.wait_healthy();
    stays.stop_clean();
}

#[test]
fn an_agent_that_is_stopped_before_it_has_taken_up_its_pods_sees_off_those_that_stop() {
    let agent = Agent::start(&[], &["--logs"]);
    let app = script("trap 'echo ended by TERM; exit 0' TERM; echo ready; while :; do sleep 0.1; done");
    let pod = Pod::plan("agent-early").agent(agent.name()).component("app", &app).start();
    pod.wait_healthy();
    docker(&["kill", agent.name()]);
    docker(&["start", agent.name()]);
    std::thread::scope(|scope| {
        let ended = scope.spawn(|| agent.stop());
        let end = pod.stop();
        assert_eq!(end.status, 0, "{}", agent.logs());
        assert_eq!(ended.join().expect("the thread of the stop").status, 0);
    });
    pod.assert_nothing_left();
    assert!(docker(&["logs", pod.id()]).text().contains("ended by TERM"));
}

#[test]
fn a_pod_that_a_new_agent_may_not_run_is_told_why() {
    let agent = Agent::start(&[], &["--allow=capabilities"]);
    let app = format!("{}cap_add: [SYS_ADMIN]\n", idle());
    let pod = Pod::plan("agent-narrower").agent(agent.name()).component("app", &app).start();
    pod.wait_healthy();
    docker(&["rm", "-f", agent.name()]);
    let _stricter = Agent::start_as(agent.name(), &[], &[]);
    assert_eq!(pod.wait_end().status, 64);
    let own = docker(&["logs", pod.id()]).error();
    assert!(own.contains("tandem: ") && own.contains("SYS_ADMIN"), "{own}");
    wait("nothing is left", LONG, || pod.members().is_empty().then_some(()));
}

#[test]
fn a_pod_that_is_not_healthy_when_it_is_stopped_is_no_success() {
    let checked = ["--health-interval=1s", "--health-retries=1", "--health-start-period=1ms"];
    let ill = |pod: &Pod| {
        wait("the engine calls it unhealthy", LONG, || (pod.health() == "unhealthy").then_some(()))
    };
    // Nobody has ever run it.
    let alone =
        Pod::plan("agent-none").agent("nobody-at-all").options(&checked).component("app", &idle()).start();
    ill(&alone);
    assert_eq!(alone.stop().status, 1);
    // Its manager cannot find what it is to run.
    let lost = Pod::plan("never-begun").options(&checked).args(&["--pause=nothing-of-this-name"]).start();
    ill(&lost);
    assert_eq!(lost.stop().status, 1, "{:?}", lost.logs());
    // Its manager crashes again and again.
    let crashing = Pod::plan("crashes").options(&checked).component("app", &idle()).start();
    crashing.wait_running(&["app"]);
    for _ in 0..4 {
        wait("a manager", LONG, || crashing.manager_pid());
        crashing.crash_manager("KILL");
    }
    ill(&crashing);
    assert_eq!(crashing.stop().status, 1, "{:?}", crashing.logs());
    crashing.assert_nothing_left();
    // It never came up, with a manager of its own and with an agent.
    let slow = format!("{}healthcheck: {{test: 'false', interval: 1s, start_period: 1000s}}\n", idle());
    let own = Pod::plan("never-up").options(&checked).component("app", &slow).start();
    let agent = Agent::start(&[], &[]);
    let with_agent =
        Pod::plan("agent-never-up").agent(agent.name()).options(&checked).component("app", &slow).start();
    for pod in [&own, &with_agent] {
        pod.wait_running(&["app"]);
        ill(pod);
        assert_eq!(pod.stop().status, 1, "{:?}", pod.logs());
        pod.assert_nothing_left();
    }
    assert!(own.logs().1.contains("a stop was requested while the pod was not healthy"), "{:?}", own.logs());
}

#[test]
fn who_ends_pause_from_within_fails_the_pod() {
    let agent = Agent::start(&[], &["--stop-timeout=1s"]);
    let pod = Pod::plan("agent-within").agent(agent.name()).component("app", &idle()).start();
    pod.wait_healthy();
    // Root there may end every process whose PIDs it shares; the engine tells nobody of that signal.
    docker(&["exec", &pod.container("app"), "kill", "-TERM", "1"]);
    assert_ne!(pod.wait_end().status, 0);
    wait("nothing is left", LONG, || pod.members().is_empty().then_some(()));
}

#[test]
fn an_agent_is_told_where_no_pod_is() {
    let name = unique("agent-pause");
    let label = format!("--label=io.tandem.test={name}");
    let socket = format!("{}:/var/run/docker.sock", crate::lab::docker::socket().display());
    let image = manager_image();
    let said =
        attempt(&["run", "--rm", "--name", &name, &label, "-v", &socket, &image, "agent", "--pause", "x"]);
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("an agent runs all of its node"), "{}", said.error());
}

#[test]
fn of_two_agents_with_one_name_the_second_waits_and_takes_over_when_the_first_stops() {
    let first = Agent::start(&[], &[]);
    first.wait_healthy();
    let before = Pod::plan("agent-two").agent(first.name()).component("app", &idle()).start();
    before.wait_healthy();
    let second = first.another();
    // Swarm goes on with an update only once the new one is healthy.
    second.wait_healthy();
    let id = inspect(first.container())["Id"].as_str().expect("an id").to_owned();
    let words = format!("container `{}` ({}) runs an agent `{}`", first.container(), &id[..12], first.name());
    assert!(second.logs().contains(&words) && second.logs().contains(WAITS), "{}", second.logs());
    let meanwhile = Pod::plan("agent-two").agent(first.name()).component("app", &idle()).start();
    meanwhile.wait_healthy();
    // Its component and its sandbox, once each.
    assert_eq!(meanwhile.members().len(), 2);
    assert!(!second.logs().contains("the pod of `") && !second.logs().contains(RUNS), "{}", second.logs());
    let ids = || [&before, &meanwhile].map(|pod| pod.component("app")["Id"].clone());
    let were = ids();

    assert_eq!(first.stop().status, 0);
    second.wait_said(RUNS);
    second.wait_said(&format!("the pod of `{}`", meanwhile.name()));
    second.wait_said(&format!("the pod of `{}`", before.name()));
    let after = Pod::plan("agent-two").agent(first.name()).component("app", &idle()).start();
    after.wait_healthy();
    assert_eq!(ids(), were, "nothing was started again");
    assert_eq!(second.logs().matches(WAITS).count(), 1, "it is said once");
    // A lock is no pod.
    let status = docker(&["exec", second.container(), "/manager", "status"]).text();
    assert!(status.contains(after.name()) && !status.contains(second.container()), "{status}");
    assert!(!status.contains("lock"), "{status}");
    for pod in [before, meanwhile, after] {
        pod.stop_clean();
    }
    assert_eq!(second.stop().status, 0);
    assert_eq!(second.lock(), None, "nothing is left");
}

#[test]
fn an_agent_that_is_killed_is_followed_by_the_one_that_waits() {
    let first = Agent::start(&[], &[]);
    let pod = Pod::plan("agent-killed").agent(first.name()).component("app", &idle()).start();
    pod.wait_healthy();
    let second = first.another();
    second.wait_said(WAITS);
    let before = pod.component("app")["Id"].clone();
    docker(&["kill", "-s", "KILL", first.container()]);
    second.wait_said(RUNS);
    second.wait_said(&format!("the pod of `{}`", pod.name()));
    let next = Pod::plan("agent-killed").agent(first.name()).component("app", &idle()).start();
    next.wait_healthy();
    assert_eq!(pod.component("app")["Id"], before);
    // Started again, it is the one that waits.
    docker(&["start", first.container()]);
    first.wait_said(WAITS);
    let end = first.stop();
    assert!(end.status == 0 && end.took < here(Duration::from_secs(5)), "at once: {end:?}");
    assert!(second.lock().is_some(), "the other one's stays");
    pod.stop_clean();
    next.stop_clean();
    second.stop();
    assert_eq!(second.lock(), None, "nothing is left");
}

#[test]
fn an_agent_goes_on_with_its_own_lock_and_gets_it_again_but_never_that_of_its_earlier_run() {
    let agent = Agent::start(&[], &[]);
    agent.wait_healthy();
    let other = Agent::start(&[], &[]);
    other.wait_healthy();
    let lock = || agent.lock().map(|lock| lock["Id"].clone());
    let was = lock().expect("a lock");
    // Its manager crashes: `pause` starts another one in the same container.
    let pid = |container: &str| {
        let pause = inspect(container)["State"]["Pid"].as_i64().expect("a process");
        on_host(&format!("cat /proc/{pause}/task/{pause}/children")).trim().to_owned()
    };
    on_host(&format!("kill -KILL {}", pid(agent.container())));
    wait("it runs pods again", LONG, || (agent.logs().matches(RUNS).count() == 2).then_some(()));
    assert_eq!(lock(), Some(was.clone()));
    // `docker container prune` removes what does not run.
    docker(&["rm", was.as_str().expect("an id")]);
    agent.wait_said("took it again");
    let again = lock().expect("a lock");
    assert_ne!(again, was);
    // Killed with all of its container and started again, it is another run.
    docker(&["kill", "-s", "KILL", agent.container()]);
    docker(&["start", agent.container()]);
    wait("it runs pods again", LONG, || (agent.logs().matches(RUNS).count() == 3).then_some(()));
    assert_ne!(lock(), Some(again));
    // Another name is another agent.
    assert!(!agent.logs().contains(WAITS) && !other.logs().contains(WAITS));
    assert_eq!(other.logs().matches(RUNS).count(), 1);
    for agent in [agent, other] {
        assert_eq!(agent.stop().status, 0);
        assert_eq!(agent.lock(), None, "nothing is left");
    }
}

#[test]
fn a_container_that_has_the_name_of_the_lock_and_is_none_is_left_alone() {
    let name = unique("agent-foreign");
    let foreign = format!("tandem-agent.{name}");
    docker(&["create", "--name", &foreign, &format!("--label=io.tandem.test={name}"), &test_image()]);
    let _foreign = Started(&foreign);
    let agent = Agent::start_as(&name, &[], &[]);
    assert_eq!(docker(&["wait", agent.container()]).text(), "64");
    let words = format!("the container `{foreign}`");
    assert!(
        agent.logs().contains(&words) && agent.logs().contains("io.tandem.role=lock"),
        "{}",
        agent.logs()
    );
    assert_eq!(inspect(&foreign)["State"]["Status"], "created");
}

#[test]
fn a_lock_is_taken_waited_for_and_given_up_however_the_engine_answers() {
    // What was created and is not known of, and a wait that breaks off.
    let (creations, waits) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let proxy = Proxy::start(&socket(), move |seen| match () {
        () if seen.path.contains("/containers/create") => match creations.fetch_add(1, Ordering::SeqCst) {
            0 => Verdict::Lose,
            _ => Verdict::Pass,
        },
        () if seen.path.contains("/wait") => match waits.fetch_add(1, Ordering::SeqCst) {
            0 => Verdict::Close,
            1 => Verdict::Cut,
            _ => Verdict::Pass,
        },
        () => Verdict::Pass,
    });
    let name = unique("agent-answers");
    let lost = Agent::start_in(&name, &name, &proxy.socket(), &[], &[]);
    lost.wait_said(RUNS);
    lost.stop();
    assert_eq!(lost.lock(), None, "nothing is left");

    let (first, waits) = (Agent::start(&[], &[]), AtomicUsize::new(0));
    first.wait_healthy();
    let proxy = Proxy::start(&socket(), move |seen| match seen.path.contains("/wait") {
        true => match waits.fetch_add(1, Ordering::SeqCst) {
            0 => Verdict::Close,
            1 => Verdict::Cut,
            2 => Verdict::Garbage,
            _ => Verdict::Pass,
        },
        false => Verdict::Pass,
    });
    let second = first.another_through(&proxy.socket());
    wait("it waits all the same", LONG, || {
        let calls = proxy.calls();
        (calls.iter().filter(|call| call.seen.path.contains("/wait")).count() > 3).then_some(())
    });
    assert!(!second.logs().contains(RUNS), "{}", second.logs());
    second.wait_healthy();
    first.stop();
    second.wait_said(RUNS);
    second.stop();
    assert_eq!(second.lock(), None, "nothing is left");

    // A stop that comes while the engine is at it.
    let proxy = Proxy::start(&socket(), |seen| match seen.path.contains("/containers/create") {
        true => Verdict::Hold(Duration::from_millis(1500)),
        false => Verdict::Pass,
    });
    let name = unique("agent-stopped");
    let early = Agent::start_in(&name, &name, &proxy.socket(), &[], &[]);
    wait("the creation has begun", LONG, || {
        proxy.calls().iter().any(|call| call.seen.path.contains("/containers/create")).then_some(())
    });
    assert_eq!(early.stop().status, 0);
    assert!(!early.logs().contains(RUNS), "{}", early.logs());
    assert_eq!(early.lock(), None, "nothing is left");
}

#[test]
fn all_pods_are_watched_through_one_stream_and_all_survive_its_end() {
    let proxy = Proxy::start(&socket(), |_| Verdict::Pass);
    let name = unique("agent-stream");
    let agent = Agent::start_in(&name, &name, &proxy.socket(), &[], &[]);
    let pods: Vec<Pod> =
        (0..3).map(|_| Pod::plan("agent-stream").agent(&name).component("app", &idle()).start()).collect();
    pods.iter().for_each(Pod::wait_healthy);
    // One tells of starts, the other of all the rest. What ends by itself only looks back.
    let streams = || {
        let calls = proxy.calls();
        calls.iter().filter(|call| call.seen.path.starts_with("/events?") && call.ended.is_none()).count()
    };
    wait("two streams", LONG, || (streams() == 2).then_some(()));
    proxy.break_all();
    wait("two streams again", LONG, || (streams() == 2).then_some(()));
    assert_eq!(inspect(agent.container())["State"]["Running"], true);
    // What happened in between is made up for, and what comes is heard: an end, and a stop.
    docker(&["kill", "-s", "KILL", &pods[0].container("app")]);
    assert_eq!(pods[0].wait_end().status, 137);
    pods[1].stop_clean();
    assert_eq!(pods[2].component("app")["State"]["Running"], true);
    proxy.break_all();
    pods[2].stop_clean();
    wait("two streams again", LONG, || (streams() == 2).then_some(()));
    agent.stop();
}

#[test]
fn a_pod_that_is_started_again_while_its_agent_hears_nothing_is_run_again() {
    let (deaf, slow) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (is_deaf, is_slow) = (Arc::clone(&deaf), Arc::clone(&slow));
    let proxy = Proxy::start(&socket(), move |seen| match () {
        () if is_deaf.load(Ordering::SeqCst) && seen.path.starts_with("/events") => Verdict::Close,
        // The run before is still at its end when the agent has looked around.
        () if is_slow.load(Ordering::SeqCst) && seen.method == "DELETE" => {
            Verdict::Hold(Duration::from_secs(5))
        }
        () => Verdict::Pass,
    });
    let name = unique("agent-deaf");
    let agent = Agent::start_in(&name, &name, &proxy.socket(), &[], &[]);
    let pod = Pod::plan("agent-deaf").agent(&name).component("app", &idle()).start();
    pod.wait_healthy();
    let before = pod.component("app")["Id"].clone();
    for flag in [&deaf, &slow] {
        flag.store(true, Ordering::SeqCst);
    }
    proxy.break_all();
    docker(&["restart", "-t", "0", pod.id()]);
    deaf.store(false, Ordering::SeqCst);
    wait("a new component, in the new namespaces", LONG, || {
        let app = try_inspect(&pod.container("app"))?;
        (app["Id"] != before && app["State"]["Running"] == true).then_some(())
    });
    slow.store(false, Ordering::SeqCst);
    pod.wait_healthy();
    pod.stop_clean();
    agent.stop();
}

#[test]
fn a_pod_whose_volume_is_not_told_of_holds_up_no_other_and_is_run_once_it_is() {
    let volume = Volumes::one("agent-volume");
    let lost = Arc::new(AtomicBool::new(true));
    let is_lost = Arc::clone(&lost);
    let proxy = Proxy::start(&socket(), move |seen| {
        match is_lost.load(Ordering::SeqCst) && seen.path.starts_with("/volumes/") {
            true => Verdict::Refuse(500, "the driver is gone"),
            false => Verdict::Pass,
        }
    });
    let name = unique("agent-volume");
    let agent = Agent::start_in(&name, &name, &proxy.socket(), &[], &[]);
    let mount = format!("{}:/data", volume.name());
    let plan = Pod::plan("agent-volume").agent(&name).options(&["-v", &mount]);
    let ill = plan.component("app", &idle()).start();
    agent.wait_said("the driver is gone");
    let other = Pod::plan("agent-volume").agent(&name).component("app", &idle()).start();
    other.wait_healthy();
    agent.wait_healthy();
    assert_eq!(ill.members(), Vec::<String>::new(), "it cannot be judged");
    lost.store(false, Ordering::SeqCst);
    ill.wait_healthy();
    // Its stop is heard all the same.
    lost.store(true, Ordering::SeqCst);
    proxy.break_all();
    ill.stop_clean();
    other.stop_clean();
    agent.stop();
}

#[test]
fn the_lock_of_a_dead_agent_is_swept_and_that_of_a_live_one_is_not() {
    let (live, dead, gone) = (Agent::start(&[], &[]), Agent::start(&[], &[]), Agent::start(&[], &[]));
    [&live, &dead, &gone].into_iter().for_each(Agent::wait_healthy);
    let was = live.lock().map(|lock| lock["Id"].clone());
    docker(&["kill", "-s", "KILL", dead.container()]);
    docker(&["rm", "-f", gone.container()]);
    let _sweeper = Agent::start(&[], &[]);
    wait("both are swept", LONG, || (dead.lock().is_none() && gone.lock().is_none()).then_some(()));
    assert_eq!(live.lock().map(|lock| lock["Id"].clone()), was);
}
