//! The manager and its engine: how it is found, and what is asked of it.

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::lab::docker::{Started, docker, socket};
use crate::lab::pod::{Agent, Pod};
use crate::lab::proxy::{Call, Proxy, Verdict};
use crate::lab::{LONG, here, idle, program, script, tools_image, unique, until_let_go, wait};

#[test]
fn on_a_host_the_manager_says_where_it_belongs() {
    let output = Command::new(program("manager")).arg("run").output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{err}");
    assert!(err.contains("not a container") && err.contains("tandem/manager"), "{err}");
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn an_engine_that_does_not_answer_ends_the_pod_with_69_after_half_a_minute() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nobody listens on a socket that was left behind; nobody answers on one whose listener is stuck.
    drop(UnixListener::bind(folder.path().join("dead.sock")).expect("a socket"));
    let stuck = UnixListener::bind(folder.path().join("stuck.sock")).expect("a socket");
    let began = Instant::now();
    let plan = || Pod::plan("no-engine").component("app", &idle());
    let pods = [
        ("not mounted", plan().socket(None).start()),
        ("dead", plan().socket(Some(folder.path().join("dead.sock"))).start()),
        ("stuck", plan().socket(Some(folder.path().join("stuck.sock"))).start()),
    ];
    for (case, pod) in &pods {
        let end = pod.wait_end_within(LONG);
        assert_eq!(end.status, 69, "{case}: {:?}", pod.logs());
        assert!(pod.logs().1.contains("docker.sock"), "{case}: {:?}", pod.logs());
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(25) && took < here(Duration::from_secs(50)), "took {took:?}");
    drop(stuck);
}

#[test]
fn an_engine_that_no_longer_has_what_older_ones_had_runs_pods_all_the_same() {
    let pod = Pod::plan("newer")
        .proxied(|_| Verdict::Newer)
        .args(&["--logs"])
        .component("app", &format!("{}healthcheck: {{test: 'true', interval: 1s}}\n", idle()))
        .component("again", &format!("{}restart: on-failure:1\n", script(&until_let_go("3"))))
        .component("db", &format!("{}depends_on: {{app: {{condition: service_healthy}}}}\n", idle()))
        .start();
    pod.wait_healthy();
    pod.let_go("again");
    pod.wait_said("component `again` ended with status 3");
    wait("it is started again", LONG, || {
        (docker(&["logs", &pod.container("again")]).text().matches("held").count() == 2).then_some(())
    });
    pod.let_go("again");
    assert_eq!(pod.wait_end().status, 3, "{:?}", pod.logs());
    pod.assert_nothing_left();
    let asked = pod.proxy().calls();
    assert!(asked.iter().any(|call| call.seen.path.starts_with("/events")), "it was watched");
}

#[test]
fn an_agent_needs_none_of_it_either() {
    let proxy = Proxy::start(&socket(), |_| Verdict::Newer);
    let name = unique("agent-newer");
    let agent = Agent::start_in(&name, &name, &proxy.socket(), &[], &[]);
    agent.wait_healthy();
    let pod = Pod::plan("newer-agent")
        .agent(&name)
        .component("app", &format!("{}healthcheck: {{test: 'true', interval: 1s}}\n", idle()))
        .start();
    pod.wait_healthy();
    pod.stop_clean();
    let failing = Pod::plan("newer-fails").agent(&name).component("app", &script("exit 3")).start();
    assert_eq!(failing.wait_end().status, 3);
}

#[test]
fn a_stop_is_answered_while_the_engine_does_not_answer() {
    let pod = Pod::plan("stop-no-engine").socket(None).component("app", &idle()).start();
    wait("there is a manager", LONG, || pod.manager_pid());
    let end = pod.stop();
    assert_eq!(end.status, 0, "{:?}", pod.logs());
    assert!(end.took < here(Duration::from_secs(8)), "took {:?}", end.took);
}

#[test]
fn a_plain_tcp_engine_is_refused() {
    let (said, _pod) =
        Pod::plan("tcp").options(&["-e", "DOCKER_HOST=tcp://127.0.0.1:2375"]).component("app", &idle()).run();
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("TLS"), "{}", said.error());
}

/// Calls of one kind that were under way at the same time, at most.
fn most_at_once(calls: &[&Call]) -> usize {
    let under_way = |call: &Call, at: Instant| call.began <= at && call.ended.is_none_or(|end| end > at);
    let beginnings = calls.iter().map(|call| call.began);
    beginnings.map(|at| calls.iter().filter(|call| under_way(call, at)).count()).max().unwrap_or(0)
}

#[test]
fn independent_components_are_created_and_started_at_once() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut plan = Pod::plan("at-once").proxied(|seen| {
        // Long enough that those under way at once are seen to be, however busy the machine.
        if seen.path.contains("/create?") || seen.path.ends_with("/start") {
            Verdict::Hold(Duration::from_secs(2))
        } else {
            Verdict::Pass
        }
    });
    for name in names {
        plan = plan.component(name, &idle());
    }
    let pod = plan.start();
    pod.wait_running(&names);
    let calls = pod.proxy().calls();
    let kind = |test: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| test(call)).collect::<Vec<_>>();
    let creates = kind(&|call| call.seen.creates("") && !call.seen.creates(".pause"));
    let starts = kind(&|call| call.seen.path.ends_with("/start"));
    assert_eq!((creates.len(), starts.len()), (6, 7), "six components, and the sandbox is started too");
    assert_eq!(most_at_once(&creates), 6);
    assert_eq!(most_at_once(&starts), 6);
    // The creation of components overlaps with the start of the sandbox.
    let mut first = creates.clone();
    first.push(starts[0]);
    assert_eq!(most_at_once(&first), 7, "creation does not wait for the sandbox's start");
    pod.stop_clean();
}

#[test]
fn a_pod_that_runs_asks_nothing_of_the_engine() {
    let pod = Pod::plan("quiet").proxied(|_| Verdict::Pass).component("app", &idle()).start();
    pod.wait_healthy();
    let before = pod.proxy().calls().len();
    // Health checks go on; the manager sleeps.
    wait("two more health checks", LONG, || {
        let log = pod.task()["State"]["Health"]["Log"].as_array().map_or(0, Vec::len);
        (log >= 4).then_some(())
    });
    assert_eq!(pod.proxy().calls().len(), before, "{:?}", &pod.proxy().calls()[before..]);
    pod.stop_clean();
}

#[test]
fn a_creation_that_is_refused_leaves_nothing_of_the_others() {
    let pod = Pod::plan("create-refused")
        .proxied(|seen| match seen.creates("podlike.bad") {
            true => Verdict::Refuse(500, "no space left on device"),
            false => Verdict::Pass,
        })
        .component("bad", &idle())
        .component("good", &idle())
        .start();
    assert_eq!(pod.wait_end().status, 125);
    assert!(pod.logs().1.contains("no space left on device"), "{:?}", pod.logs());
    pod.assert_nothing_left();
}

#[test]
fn a_call_that_is_never_answered_does_not_hold_up_the_stop() {
    let pod = Pod::plan("hang")
        .args(&["--stop-timeout", "3s"])
        .proxied(|seen| match seen.creates("podlike.app") {
            true => Verdict::Hang,
            false => Verdict::Pass,
        })
        .component("app", &idle())
        .component("other", &idle())
        .start();
    wait("the creation hangs", LONG, || {
        pod.proxy().calls().iter().any(|call| call.seen.creates("podlike.app")).then_some(())
    });
    let end = pod.stop();
    assert_eq!(end.status, 0);
    assert!(end.took < here(Duration::from_secs(45)), "took {:?}", end.took);
    pod.assert_nothing_left();
}

#[test]
fn behind_a_filter_that_knows_only_the_listed_calls_a_pod_does_all_it_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/socket-proxy/haproxy.cfg");
    let name = unique("filter");
    let _filter = Started(&name);
    let mounts = [
        format!("{rules}:/haproxy.cfg:ro"),
        format!("{}:/var/run/docker.sock", socket().display()),
        format!("{}:/run/tandem", folder.path().display()),
    ];
    let label = format!("io.tandem.test={name}");
    let mut line = vec!["run", "-d", "--name", &name, "--label", &label, "--network=none", "--user=0"];
    mounts.iter().for_each(|mount| line.extend(["-v", mount]));
    let tools = tools_image();
    line.extend([&*tools, "haproxy", "-f", "/haproxy.cfg"]);
    docker(&line);
    let filter = folder.path().join("docker.sock");
    wait("the filter listens", LONG, || filter.exists().then_some(()));

    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hidden").expect("written");
    let app = format!(
        "{}secrets: [key]\npost_start: [{{command: 'sh -c \"echo hooked >/tmp/h\"'}}]\nhealthcheck: {{test: test -f /tmp/h, interval: \
         1s}}\nvolumes: ['/etc:/host:ro']\n",
        script("echo said; exec sleep 100000").replace("command", "stop_signal: SIGKILL\ncommand")
    );
    let pod = Pod::plan("filtered")
        .engine(filter.clone())
        .args(&["--logs"])
        .options(&["-v", &format!("{}:/run/secrets/key:ro", secret.display()), "-v", "/etc:/host:ro"])
        .label("pod.init.components", &format!("- {}", script("true").replace('\n', "\n  ")))
        .label("pod.copy.app", "/run/secrets/key:/tmp/copied")
        .component("app", &app)
        .start();
    pod.wait_healthy();
    assert_eq!(pod.exec("app", "cat /run/secrets/key /tmp/copied /tmp/h"), "hiddenhiddenhooked");
    assert!(pod.logs().0.contains("[out] app: said"), "{}", pod.logs().0);
    pod.crash_manager("KILL");
    pod.wait_healthy();
    pod.stop_clean();
    // What is not on the list is refused, also of what looks like it.
    let filter = filter.display().to_string();
    for (method, path, status) in [
        ("GET", "/v1.41/info", "200"),
        ("GET", "/v1.41/containers/x/top", "403"),
        ("POST", "/v1.41/build", "403"),
        ("POST", "/v1.41/containers/x/update", "403"),
        ("GET", "/v1.41/containers/../images/json", "403"),
        ("DELETE", "/v1.41/volumes/x", "403"),
    ] {
        let url = format!("http://engine{path}");
        let words =
            ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "--path-as-is", "--unix-socket"];
        let mount = format!("{}:{}", folder.path().display(), folder.path().display());
        let head = ["run", "--rm", "--label", &label, "--network=none", "-v", &mount, &tools, "curl"];
        assert_eq!(docker(&[&head[..], &words, &[&filter, &url]].concat()).text(), status, "{method} {path}");
    }
}
