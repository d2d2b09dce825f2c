//! A pod for one test, gone when the test is.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::docker::{self, Said, attempt, docker, inspect, labelled, try_inspect};
use super::proxy::{Proxy, Seen, Verdict};
use super::{HELD, LONG, here, manager_image, pause_image, slow, unique, wait};

/// A pod to be started.
pub(crate) struct Plan {
    name: String,
    options: Vec<String>,
    args: Vec<String>,
    socket: Option<PathBuf>,
    proxy: Option<Proxy>,
    /// The manager, where it is in another container.
    outside: Option<Manager>,
    /// What `--pause` says there, if not the task container's name.
    named: Option<String>,
}

/// A manager in another container.
enum Manager {
    /// Started beside the pod, with these options.
    Own(Vec<String>),
    /// An agent, by the name of its container, which is its own name too.
    Agent(String),
}

/// A pod that was started.
pub(crate) struct Pod {
    id: String,
    name: String,
    /// The container in which the manager is.
    manager: String,
    proxy: Option<Arc<Proxy>>,
}

/// Volumes of a test. Declared before the pod that uses them, they go after it.
#[derive(Default)]
pub(crate) struct Volumes(Vec<String>);

/// Options of `docker run`: how often the engine asks for a pod's health, and how long each answer may take.
fn checks() -> [String; 2] {
    let seconds = |time| here(Duration::from_secs(time)).as_secs();
    [format!("--health-interval={}s", seconds(1)), format!("--health-timeout={}s", seconds(3))]
}

/// What came of a pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) status: i64,
    pub(crate) took: Duration,
}

impl Plan {
    /// A label of the task container.
    pub(crate) fn label(self, key: &str, value: &str) -> Self {
        let label = format!("{key}={value}");
        self.options(&["--label", &label])
    }

    /// A component with these keys; [`super::script`] and [`super::idle`] make some.
    pub(crate) fn component(self, name: &str, yaml: &str) -> Self {
        self.label(&format!("pod.component.{name}"), yaml)
    }

    /// Options of `docker run`.
    pub(crate) fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    /// Arguments of the manager.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Another socket than the engine's own; `None` for none at all.
    pub(crate) fn socket(mut self, socket: Option<PathBuf>) -> Self {
        self.socket = socket;
        self
    }

    /// The manager's calls to the engine go through a proxy, which may interfere.
    pub(crate) fn proxied(mut self, rule: impl Fn(&Seen) -> Verdict + Send + Sync + 'static) -> Self {
        let proxy = Proxy::start(&docker::socket(), rule);
        self.socket = Some(proxy.socket());
        self.proxy = Some(proxy);
        self
    }

    /// Reach the engine by this socket of the host.
    pub(crate) fn engine(mut self, socket: PathBuf) -> Self {
        self.socket = Some(socket);
        self
    }

    /// The manager is in a container of its own, with these options; the task container is a bare `pause` without the
    /// socket.
    pub(crate) fn outside(mut self, options: &[&str]) -> Self {
        self.outside = Some(Manager::Own(options.iter().map(|option| (*option).to_owned()).collect()));
        self
    }

    /// An agent is to run it; the task container is a bare `pause` without the socket.
    pub(crate) fn agent(mut self, agent: &str) -> Self {
        self.outside = Some(Manager::Agent(agent.to_owned()));
        self
    }

    /// What a manager outside is told of where its pod is.
    pub(crate) fn named(mut self, which: &str) -> Self {
        self.named = Some(which.to_owned());
        self
    }

    /// The task container gets the name of this one, which is gone.
    pub(crate) fn named_as(mut self, earlier: &Pod) -> Self {
        earlier.name().clone_into(&mut self.name);
        self
    }

    /// The name that the task container will have.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn command_line(&self, detached: bool) -> Vec<String> {
        if self.outside.is_some() {
            return self.manager_line(detached);
        }
        let mut line = self.line(&self.name, detached);
        line.extend(self.mount());
        line.extend(self.options.iter().cloned());
        line.push(manager_image());
        line.extend(self.args.iter().cloned());
        line
    }

    fn line(&self, name: &str, detached: bool) -> Vec<String> {
        let mut line: Vec<String> = vec!["run".into()];
        if detached {
            line.push("-d".into());
        }
        let test = format!("io.tandem.test={}", self.name);
        line.extend(["--name", name, "--label", &test].map(str::to_owned));
        if slow() > 1 {
            // The image's own come faster than they end there.
            line.extend(checks());
        }
        line
    }

    fn mount(&self) -> Vec<String> {
        let mount = self.socket.as_ref().map(|path| format!("{}:/var/run/docker.sock", path.display()));
        mount.into_iter().flat_map(|mount| ["-v".to_owned(), mount]).collect()
    }

    /// A bare `pause`, as a stack for an agent would have it.
    fn pause_line(&self) -> Vec<String> {
        let mut line = self.line(&self.name, true);
        line.extend(["-i", "--read-only", "--cap-drop=ALL"].map(str::to_owned));
        line.extend(checks());
        let whose = if let Some(Manager::Agent(name)) = &self.outside { name } else { "sibling" };
        line.push(format!("--label=pod.manager={whose}"));
        line.extend(self.options.iter().cloned());
        line.push(pause_image());
        line
    }

    fn manager_line(&self, detached: bool) -> Vec<String> {
        let mut line = self.line(&self.manager(), detached);
        line.extend(self.mount());
        if let Some(Manager::Own(options)) = &self.outside {
            line.extend(options.iter().cloned());
        }
        let which = self.named.clone().unwrap_or_else(|| self.name.clone());
        line.extend([manager_image(), "--pause".into(), which]);
        line.extend(self.args.iter().cloned());
        line
    }

    /// The container in which the manager will be.
    fn manager(&self) -> String {
        match &self.outside {
            Some(Manager::Own(_)) => format!("{}-manager", self.name),
            Some(Manager::Agent(name)) => name.clone(),
            None => self.name.clone(),
        }
    }

    /// The guard is there before a container is: a `docker run` that fails may leave one.
    fn guard(&mut self) -> Pod {
        let (name, manager) = (self.name.clone(), self.manager());
        Pod { id: String::new(), name, manager, proxy: self.proxy.take().map(Arc::new) }
    }

    /// Start it.
    #[track_caller]
    pub(crate) fn start(mut self) -> Pod {
        let mut pod = self.guard();
        if self.outside.is_some() {
            pod.id = docker(&self.pause_line()).text();
            if let Some(Manager::Own(_)) = self.outside {
                docker(&self.manager_line(true));
            }
        } else {
            pod.id = docker(&self.command_line(true)).text();
        }
        pod
    }

    /// Run it attached to a pipe that nobody reads. The child is `docker run`.
    #[track_caller]
    pub(crate) fn run_unread(mut self) -> (Child, Pod) {
        let line = self.command_line(false);
        let mut pod = self.guard();
        let mut run = Command::new("docker");
        run.args(&line).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = run.spawn().expect("`docker` can be run");
        let id = wait("the task container is there", LONG, || try_inspect(&pod.name));
        pod.id = id["Id"].as_str().expect("an id").to_owned();
        (child, pod)
    }

    /// Run it attached to its end: what it said, byte by byte, past every log driver.
    #[track_caller]
    pub(crate) fn run(mut self) -> (Said, Pod) {
        let line = self.command_line(false);
        let mut pod = self.guard();
        if self.outside.is_some() {
            docker(&self.pause_line());
        }
        let said = attempt(&line);
        pod.id = inspect(&pod.name)["Id"].as_str().expect("an id").to_owned();
        (said, pod)
    }
}

impl Pod {
    /// A pod with the two-process image and the engine's socket, as a stack would have it.
    #[track_caller]
    pub(crate) fn plan(hint: &str) -> Plan {
        docker::ready();
        Plan {
            name: unique(hint),
            options: Vec::new(),
            args: Vec::new(),
            socket: Some(docker::socket()),
            proxy: None,
            outside: None,
            named: None,
        }
    }

    /// Id of the task container.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The container in which the manager is.
    pub(crate) fn manager(&self) -> &str {
        &self.manager
    }

    /// Name of the task container.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The proxy, where there is one.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("this pod was planned with a proxy")
    }

    /// The task container as the engine describes it.
    #[track_caller]
    pub(crate) fn task(&self) -> Value {
        inspect(&self.id)
    }

    /// Name of a component's container.
    pub(crate) fn container(&self, component: &str) -> String {
        format!("{}.podlike.{component}", self.name)
    }

    /// A component's container as the engine describes it.
    #[track_caller]
    pub(crate) fn component(&self, component: &str) -> Value {
        inspect(&self.container(component))
    }

    /// The sandbox as the engine describes it, if there is one.
    #[track_caller]
    pub(crate) fn sandbox(&self) -> Option<Value> {
        try_inspect(&format!("{}.pause", self.name))
    }

    /// Ids of all containers that the manager made.
    #[track_caller]
    pub(crate) fn members(&self) -> Vec<String> {
        labelled(&format!("io.tandem.pod={}", self.id))
    }

    /// What it has put out until now: standard output, standard error.
    #[track_caller]
    pub(crate) fn logs(&self) -> (String, String) {
        let said = docker(&["logs", &self.manager]);
        (String::from_utf8_lossy(&said.out).into_owned(), said.error())
    }

    /// Wait until this stands in its standard error, where the manager's own lines go.
    #[track_caller]
    pub(crate) fn wait_said(&self, words: &str) {
        wait(format!("the manager says `{words}`"), LONG, || self.logs().1.contains(words).then_some(()));
    }

    /// Wait until these components run.
    #[track_caller]
    pub(crate) fn wait_running(&self, components: &[&str]) {
        for component in components {
            wait(format!("component `{component}` runs"), LONG, || {
                let state = &try_inspect(&self.container(component))?["State"];
                (state["Running"] == true).then_some(())
            });
        }
    }

    /// Wait until the engine calls the pod healthy.
    #[track_caller]
    pub(crate) fn wait_healthy(&self) {
        wait("the pod is healthy", LONG, || (self.health() == "healthy").then_some(()));
    }

    /// The health of the task container, as the engine has it.
    #[track_caller]
    pub(crate) fn health(&self) -> String {
        self.task()["State"]["Health"]["Status"].as_str().unwrap_or("none").to_owned()
    }

    /// The health right now, as the health check would find it.
    #[track_caller]
    pub(crate) fn healthy_now(&self) -> bool {
        let said = attempt(&["exec", &self.id, "/pause", "health"]);
        assert!(said.status <= 1, "`pause health`: status {}: {}", said.status, said.error());
        said.status == 0
    }

    /// Run a shell script in a component: its standard output.
    #[track_caller]
    pub(crate) fn exec(&self, component: &str, script: &str) -> String {
        docker(&["exec", &self.container(component), "sh", "-c", script]).text()
    }

    /// Let a component end that runs [`super::until_let_go`].
    #[track_caller]
    pub(crate) fn let_go(&self, component: &str) {
        let container = self.container(component);
        wait(format!("`{component}` can be let go"), LONG, || {
            docker(&["logs", &container]).text().contains(HELD).then_some(())
        });
        docker(&["kill", "-s", "USR1", &container]);
    }

    /// Wait until the pod has ended: its exit status.
    #[track_caller]
    pub(crate) fn wait_end(&self) -> End {
        self.wait_end_within(LONG)
    }

    /// Wait until the pod has ended, at most this long: its exit status.
    #[track_caller]
    pub(crate) fn wait_end_within(&self, limit: Duration) -> End {
        let began = Instant::now();
        let status = wait("the pod ends", limit, || {
            let state = self.task()["State"].clone();
            (state["Status"] == "exited").then(|| state["ExitCode"].as_i64().expect("a status"))
        });
        End { status, took: began.elapsed() }
    }

    /// `docker stop`, with more patience than the pod should need.
    #[track_caller]
    pub(crate) fn stop(&self) -> End {
        let began = Instant::now();
        docker(&["stop", "-t", &here(LONG).as_secs().to_string(), &self.id]);
        let status = self.task()["State"]["ExitCode"].as_i64().expect("a status");
        End { status, took: began.elapsed() }
    }

    /// Stop it: it must end with 0 and leave nothing.
    #[track_caller]
    pub(crate) fn stop_clean(&self) -> End {
        let end = self.stop();
        assert_eq!(end.status, 0, "a requested stop ends with 0");
        self.assert_nothing_left();
        end
    }

    /// No container of the pod is left, the task container aside.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.members(), Vec::<String>::new(), "containers with the pod's label are left");
        let filter = format!("name={}\\.", self.name);
        let named = docker(&["ps", "-a", "--format", "{{.Names}}", "--filter", &filter]).text();
        assert_eq!(named, "", "containers named after the pod are left");
    }

    /// Process id of the manager, as the engine's host counts.
    #[track_caller]
    pub(crate) fn manager_pid(&self) -> Option<u32> {
        let said = attempt(&["top", &self.manager, "-eo", "pid,comm"]);
        // A manager that ends just now may make `ps` find nothing.
        said.text().lines().find_map(|line| line.trim().strip_suffix("manager")?.trim().parse().ok())
    }

    /// Kill the manager, and only it. SEGV and BUS would not do: Rust's handler for stack overflows lets the
    /// first one pass when no access to memory caused it.
    #[track_caller]
    pub(crate) fn crash_manager(&self, signal: &str) -> u32 {
        let pid = wait("there is a manager", LONG, || self.manager_pid());
        docker::on_host(&format!("kill -{signal} {pid}"));
        wait(format!("the manager dies of {signal}"), LONG, || {
            (self.manager_pid() != Some(pid)).then_some(())
        });
        pid
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = attempt(&["logs", "--timestamps", "--tail", "80", &self.manager]);
            eprintln!("---- logs of {}\n{}{}----", self.name, said.text(), said.error());
        }
        // First the manager, which would go on making what is removed here.
        // An agent has other pods as well, and is not this one's to remove.
        if self.manager.starts_with(&self.name) {
            attempt(&["rm", "-fv", &self.manager]);
        }
        attempt(&["rm", "-fv", &self.name]);
        let label = format!("label=io.tandem.pod={}", self.id);
        let mut left = String::new();
        if !self.id.is_empty() {
            // A creation that the engine was busy with may still come to its end.
            for _ in 0..5 {
                left = attempt(&["ps", "-aq", "--filter", &label]).text();
                if left.is_empty() {
                    break;
                }
                let mut line = vec!["rm", "-fv"];
                line.extend(left.lines());
                attempt(&line);
            }
        }
        if !left.is_empty() {
            let words = format!("cannot remove what is left of {}: {left}", self.name);
            assert!(std::thread::panicking(), "{words}");
            eprintln!("{words}");
        }
        // Volumes that the pod made for itself outlive it, as those of a stack do.
        let owner = format!("label=io.tandem.owner=container:{}", self.name);
        for volume in attempt(&["volume", "ls", "-q", "--filter", &owner]).text().lines() {
            attempt(&["volume", "rm", "-f", volume]);
        }
    }
}

/// An agent for one test: it takes only pods that name it.
pub(crate) struct Agent {
    name: String,
    container: String,
}

impl Agent {
    /// Start one with these options of `docker run` and arguments.
    #[track_caller]
    pub(crate) fn start(options: &[&str], args: &[&str]) -> Agent {
        Self::start_as(&unique("agent"), options, args)
    }

    /// Start one with this name.
    #[track_caller]
    pub(crate) fn start_as(name: &str, options: &[&str], args: &[&str]) -> Agent {
        Self::start_in(name, name, &docker::socket(), options, args)
    }

    /// Start another one with this one's name.
    #[track_caller]
    pub(crate) fn another(&self) -> Agent {
        self.another_through(&docker::socket())
    }

    /// The same, which reaches the engine by this socket.
    #[track_caller]
    pub(crate) fn another_through(&self, socket: &Path) -> Agent {
        Self::start_in(&self.name, &unique("agent"), socket, &[], &[])
    }

    /// Start one with this name in a container with that one, which reaches the engine by this socket.
    #[track_caller]
    pub(crate) fn start_in(
        name: &str,
        container: &str,
        socket: &Path,
        options: &[&str],
        args: &[&str],
    ) -> Agent {
        docker::ready();
        let agent = Agent { name: name.to_owned(), container: container.to_owned() };
        let label = format!("--label=io.tandem.test={container}");
        let mount = format!("--volume={}:/var/run/docker.sock", socket.display());
        let [interval, timeout] = checks();
        let head = ["run", "-d", "--name", container, &label, &mount, &interval, &timeout];
        docker(&[&head[..], options, &[&manager_image(), "agent", "--name", name], args].concat());
        agent
    }

    /// Its name, and that of its container unless it is [`Agent::another`].
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name of its container.
    pub(crate) fn container(&self) -> &str {
        &self.container
    }

    /// What says at the engine that an agent of this name runs: its container, if there is one.
    #[track_caller]
    pub(crate) fn lock(&self) -> Option<Value> {
        try_inspect(&format!("tandem-agent.{}", self.name))
    }

    /// Wait until the engine calls it healthy.
    #[track_caller]
    pub(crate) fn wait_healthy(&self) {
        wait("the agent is healthy", LONG, || {
            (inspect(&self.container)["State"]["Health"]["Status"] == "healthy").then_some(())
        });
    }

    /// Wait until it has said this.
    #[track_caller]
    pub(crate) fn wait_said(&self, words: &str) {
        wait(format!("the agent says `{words}`"), LONG, || self.logs().contains(words).then_some(()));
    }

    /// `docker stop`, with more patience than it should need: its exit status, and how long it took.
    #[track_caller]
    pub(crate) fn stop(&self) -> End {
        let began = Instant::now();
        docker(&["stop", "-t", &here(LONG).as_secs().to_string(), &self.container]);
        let took = began.elapsed();
        End { status: inspect(&self.container)["State"]["ExitCode"].as_i64().expect("a status"), took }
    }

    /// What it has said until now, on both of its streams.
    #[track_caller]
    pub(crate) fn logs(&self) -> String {
        let said = docker(&["logs", &self.container]);
        said.text() + &said.error()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = attempt(&["logs", "--timestamps", "--tail", "80", &self.container]);
            eprintln!("---- logs of {}\n{}{}----", self.container, said.text(), said.error());
        }
        let id = attempt(&["inspect", "--format", "{{.Id}}", &self.container]).text();
        attempt(&["rm", "-fv", &self.container]);
        // One that was killed leaves its lock.
        if !id.is_empty() {
            let label = format!("label=io.tandem.pod={id}");
            let locks = attempt(&["ps", "-aq", "--filter", &label]).text();
            for lock in locks.lines() {
                attempt(&["rm", "-fv", lock]);
            }
        }
    }
}

impl Volumes {
    /// One without labels of its own.
    #[track_caller]
    pub(crate) fn one(hint: &str) -> Volumes {
        let mut volumes = Volumes::default();
        volumes.create(&unique(hint), &[]);
        volumes
    }

    /// Make a volume with these labels.
    #[track_caller]
    pub(crate) fn create(&mut self, name: &str, labels: &[&str]) {
        let mut line = vec!["volume", "create", "--label", "io.tandem.test=volume"];
        labels.iter().for_each(|label| line.extend(["--label", label]));
        line.push(name);
        docker(&line);
        self.0.push(name.to_owned());
    }

    /// Name of the first one.
    pub(crate) fn name(&self) -> String {
        self.0[0].clone()
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        for name in &self.0 {
            attempt(&["volume", "rm", "-f", name]);
        }
    }
}
