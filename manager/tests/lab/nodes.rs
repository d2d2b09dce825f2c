//! Engines beside the one at hand: `cargo xtask lab`, started and ended by a test.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::docker::{LIMIT, Said, within};
use super::{LONG, here, manager_image, pause_image, test_image};

/// How long engines may take to come up, with images.
const UP: Duration = Duration::from_secs(180);

/// Nodes, each an engine of its own on one network. They end when this does.
pub(crate) struct Nodes {
    lab: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
    /// In their order.
    pub(crate) all: Vec<Node>,
    /// The path at which each node has the socket of its engine.
    pub(crate) socket: String,
}

/// One of them.
pub(crate) struct Node {
    /// `DOCKER_HOST` for it.
    pub(crate) host: String,
    /// Where the others and this machine reach it.
    pub(crate) address: String,
}

impl Nodes {
    /// Start what `cargo xtask lab` calls this, with the images under test on each.
    #[track_caller]
    pub(crate) fn start(words: &[&str], more_images: &[&str]) -> Nodes {
        let program = std::env::var("TANDEM_XTASK")
            .expect("TANDEM_XTASK names the program that starts engines: `cargo xtask test` sets it");
        let mut command = Command::new(program);
        command.arg("lab").args(words);
        let images = [manager_image(), pause_image(), test_image()];
        let images = images.iter().map(String::as_str).chain(more_images.iter().copied());
        images.for_each(|image| _ = command.args(["--image", image]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut lab = command.spawn().expect("it can be run");
        let output = BufReader::new(lab.stdout.take().expect("a pipe"));
        let (to_here, answers) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| to_here.send(line)));
        let input = lab.stdin.take();
        let mut nodes = Nodes { lab, input, answers, all: Vec::new(), socket: String::new() };
        let told = nodes.answer(UP);
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let text = |of: &Value, key: &str| of[key].as_str().expect("text").to_owned();
        nodes.socket = text(&told, "socket");
        let all = told["nodes"].as_array().expect("nodes").iter();
        nodes.all =
            all.map(|node| Node { host: text(node, "host"), address: text(node, "address") }).collect();
        nodes
    }

    /// Let something happen to a node, as `restart 1`.
    #[track_caller]
    pub(crate) fn happen(&mut self, words: &str) {
        let input = self.input.as_mut().expect("it is there until the end");
        writeln!(input, "{words}").expect("it listens");
        assert_eq!(self.answer(UP), "ok", "{words}");
    }

    #[track_caller]
    fn answer(&self, limit: Duration) -> String {
        self.answers.recv_timeout(limit).expect("`cargo xtask lab` answers: what it said is above")
    }
}

impl Node {
    /// Run `docker` there. Where that does not end, the panic says what the engine waits for.
    #[track_caller]
    pub(crate) fn attempt(&self, words: &[&str]) -> Said {
        self.within(LIMIT, words).unwrap_or_else(|| {
            let words = words.join(" ");
            panic!("`docker {words}` did not end within {:?}; its engine:\n{}", here(LIMIT), self.stacks())
        })
    }

    /// Run `docker` there; nothing where it does not end within this time.
    pub(crate) fn within(&self, limit: Duration, words: &[&str]) -> Option<Said> {
        within(limit, &[&["-H", &self.host], words].concat())
    }

    /// What the engine has waited for, for a minute or more. dockerd writes what it does into a file when it is sent USR1
    /// (Docker's documentation, "Force a stack trace to be logged").
    fn stacks(&self) -> String {
        let folder = Path::new(self.socket()).parent().expect("a folder");
        let dumps = || {
            let files = fs::read_dir(folder.join("exec")).into_iter().flatten().flatten();
            let files = files.map(|file| file.path());
            files.filter(|file| file.to_string_lossy().contains("goroutine-stacks")).collect::<Vec<_>>()
        };
        let before = dumps().len();
        let pid = fs::read_to_string(folder.join("docker.pid")).unwrap_or_default();
        let Ok(pid) = pid.trim().parse() else { return "it does not run".to_owned() };
        if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGUSR1) {
            return error.to_string();
        }
        let began = Instant::now();
        while dumps().len() == before && began.elapsed() < LONG {
            thread::sleep(Duration::from_millis(50));
        }
        let text = dumps().iter().max().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let waits = |one: &&str| one.lines().next().is_some_and(|head| head.contains(" minutes"));
        // The functions are enough: each one's arguments and its line follow.
        let functions = |one: &str| {
            let lines = one.lines().filter(|line| !line.starts_with('\t'));
            lines.map(|line| line.split("(0x").next().unwrap_or(line)).collect::<Vec<_>>().join(" < ")
        };
        text.split("\n\n").filter(waits).map(functions).collect::<Vec<_>>().join("\n")
    }

    /// Run `docker` there, which must work: what it prints.
    #[track_caller]
    pub(crate) fn docker(&self, words: &[&str]) -> String {
        let said = self.attempt(words);
        assert_eq!(said.status, 0, "`docker {}`: {}", words.join(" "), said.error());
        said.text()
    }

    /// The engine's socket on its host.
    pub(crate) fn socket(&self) -> &str {
        self.host.strip_prefix("unix://").expect("a unix socket")
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        drop(self.input.take());
        // It stops its engines, and removes what they had.
        let began = std::time::Instant::now();
        while began.elapsed() < LONG * 2 {
            if let Ok(Some(_)) = self.lab.try_wait() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.lab.kill();
        let _ = self.lab.wait();
    }
}
