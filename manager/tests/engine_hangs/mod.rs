//! Pods on an engine that hangs: it is stopped for a while in each phase of a pod, or one of its log drivers holds it up.
//! Each engine is the test's own, and ended by it.

mod driver;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use self::driver::Driver;
use super::{SWEPT, health, inspect, members, pod};
use crate::lab::docker::ready;
use crate::lab::nodes::{Node, Nodes};
use crate::lab::{LONG, here, idle, manager_image, script, wait};

/// How long the engine stands still.
const STILL: Duration = Duration::from_secs(20);
/// `--stop-timeout` by default, and 3 s.
const ENDS: Duration = Duration::from_secs(9);
/// What the engine and a busy machine add: the signal is delivered, the end of the process noticed.
const SLACK: Duration = Duration::from_secs(4);

/// An engine that stands still, until this is dropped.
struct Still(Pid);

impl Still {
    fn of(node: &Node) -> Still {
        let file = Path::new(node.socket()).with_file_name("docker.pid");
        let pid = fs::read_to_string(file).expect("the engine runs").trim().parse().expect("a number");
        kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("it runs");
        Still(Pid::from_raw(pid))
    }

    /// Until it has stood still for so long.
    fn for_its_time(self) {
        let began = Instant::now();
        wait("the engine has stood still for its time", 2 * STILL, || {
            (began.elapsed() > STILL).then_some(())
        });
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// The process that is PID 1 of a container, on the host.
fn process(node: &Node, name: &str) -> String {
    format!("/proc/{}", inspect(node, name)["State"]["Pid"])
}

/// The exit status of the pod, which has ended in its time; `asked` is when it was asked to.
fn ended(node: &Node, name: &str, process: &str, asked: Instant) {
    wait(format!("`{name}` ends"), LONG, || (!Path::new(process).exists()).then_some(()));
    assert!(asked.elapsed() < here(ENDS + SLACK), "`{name}` took {:?}: {}", asked.elapsed(), log(node, name));
}

fn log(node: &Node, name: &str) -> String {
    node.within(LONG, &["logs", "--tail", "60", name]).map(|said| said.error()).unwrap_or_default()
}

/// The next manager on the node removes what the pod left.
fn next_manager_removes(node: &Node, name: &str, left: &[String]) {
    pod(node, name);
    wait("what the pod left is removed", SWEPT, || {
        let all = members(node, &["-a"]);
        left.iter().all(|id| !all.contains(id)).then_some(())
    });
    node.docker(&["stop", name]);
    assert_eq!(inspect(node, name)["State"]["ExitCode"], 0, "{}", log(node, name));
    assert_eq!(members(node, &["-a"]), Vec::<String>::new(), "the node is as before");
}

/// Ask a pod to stop as the engine does, also where that cannot.
fn ask_to_stop(process: &str) {
    let pid = process.trim_start_matches("/proc/").parse().expect("a number");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
}

#[test]
fn a_pod_bears_an_engine_that_stands_still_and_ends_in_its_time_where_it_is_asked_to() {
    ready();
    let nodes = Nodes::start(&["engine"], &[]);
    let node = &nodes.all[0];

    // While it starts: its init component runs.
    let mount = format!("{}:/var/run/docker.sock", node.socket());
    let app = format!("pod.component.app={}", idle());
    let db = format!("pod.component.db={}depends_on: [app]\n", idle());
    let init = script("sleep 3").replace('\n', "\n  ");
    let init = format!("pod.init.components=- {}", init.trim_end());
    let labels = ["--label", &app, "--label", &db, "--label", &init];
    let head = ["run", "-d", "--health-interval=1s", "--name", "starting", "-v", &mount];
    node.docker(&[&head[..], &labels, &[&manager_image()]].concat());
    wait("its init component runs", LONG, || {
        let filters = ["--filter", "name=starting.podlike.init-1", "--filter", "status=running"];
        (!node.docker(&[&["ps", "-q"][..], &filters].concat()).is_empty()).then_some(())
    });
    Still::of(node).for_its_time();
    wait("it is healthy", LONG, || (health(node, "starting") == "healthy").then_some(()));

    // While it runs.
    let before = members(node, &[]);
    Still::of(node).for_its_time();
    assert_eq!(members(node, &[]), before, "all of them run on");

    // While it stops.
    let process = process(node, "starting");
    let still = Still::of(node);
    let asked = Instant::now();
    ask_to_stop(&process);
    ended(node, "starting", &process, asked);
    still.for_its_time();
    let ended = || {
        let state = inspect(node, "starting")["State"].clone();
        (state["Status"] == "exited").then(|| state["ExitCode"].as_i64())
    };
    assert_eq!(wait("the engine has seen the end", LONG, ended), Some(0), "{}", log(node, "starting"));
    let said = log(node, "starting");
    assert!(said.contains("left behind: container `starting.podlike.app`"), "{said}");
    // What it was asked for before, it may do now.
    let left = members(node, &["-a"]);
    next_manager_removes(node, "next", &left);
}

#[test]
fn a_pod_whose_volume_is_never_mounted_ends_in_its_time() {
    ready();
    let nodes = Nodes::start(&["engine"], &[]);
    let node = &nodes.all[0];
    let driver = Driver::for_engine_of(node);
    node.docker(&["volume", "create", "--driver", driver::NAME, driver::NAME]);
    let app = format!("pod.component.app={}volumes: ['{}:/data']\n", idle(), driver::NAME);
    let db = format!("pod.component.db={}", idle());
    let mount = format!("{}:/var/run/docker.sock", node.socket());
    let head = ["run", "-d", "--name", "stuck", "-v", &mount, "--label", &app, "--label", &db];
    let allow = format!("--allow=volumes={0},volume-drivers={0}", driver::NAME);
    node.docker(&[&head[..], &[&manager_image(), &allow]].concat());
    wait("the start of its component is asked for", LONG, || {
        let said = log(node, "stuck");
        assert!(!said.contains("ERROR"), "{said}");
        said.contains("started `db`").then_some(())
    });
    let process = process(node, "stuck");
    let asked = Instant::now();
    ask_to_stop(&process);
    ended(node, "stuck", &process, asked);
    let said = log(node, "stuck");
    assert!(said.contains("left behind: container `stuck.podlike.app`"), "{said}");
    // Once the driver answers, the engine can do what it was asked for.
    drop(driver);
    let left = members(node, &["-a"]);
    next_manager_removes(node, "next", &left);
}

#[test]
fn a_pod_whose_log_driver_holds_up_the_engine_ends_in_its_time() {
    ready();
    let mut nodes = Nodes::start(&["engine"], &[]);
    // The engine renames 20,000 files for each line.
    let logging = "logging: {driver: json-file, options: {max-size: '1', max-file: '20000'}}\n";
    let app = format!("pod.component.app={}{logging}", script("while :; do echo y; done"));
    let mount = format!("{}:/var/run/docker.sock", nodes.all[0].socket());
    let node = &nodes.all[0];
    let head = ["run", "-d", "--name", "flood", "-v", &mount, "--label", &app];
    node.docker(&[&head[..], &[&manager_image(), "--allow=log-drivers"]].concat());
    wait("its component runs", LONG, || {
        let listed =
            node.docker(&["ps", "-q", "--filter", "name=flood.podlike.app", "--filter", "status=running"]);
        (!listed.is_empty()).then_some(())
    });
    let process = process(node, "flood");
    let began = Instant::now();
    wait("the engine has renamed for a while", LONG, || (began.elapsed() > STILL / 4).then_some(()));
    let asked = Instant::now();
    ask_to_stop(&process);
    ended(node, "flood", &process, asked);
    // An engine that holds its own lock is mended by its restart.
    nodes.happen("crash 1");
    let node = &nodes.all[0];
    let left = members(node, &["-a"]);
    next_manager_removes(node, "next", &left);
}
