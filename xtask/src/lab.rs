//! Engines to try things on, each a node of its own on this machine, and what may happen to a node. For tests, which start
//! this program and talk to it, and for people.
//!
//! What it prints on standard output is for programs: one line of JSON when all is up, `{"nodes": [{"host": ...,
//! "address": ...}], "socket": ...}` (the path at which each node has the socket of its engine), and one line of `ok` or `error: ...` for each line that it reads. It ends with its input.

use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::daemon::{Daemon, RUN, Settings};
use crate::engine::Engine;
use crate::network::{Namespace, Switch};
use crate::process::{self, LONG, SHORT};
use crate::report::{note, step};
use crate::workspace::Workspace;
use crate::{interrupt, packages};

/// How often it looks whether it was told to end.
const LOOK: Duration = Duration::from_millis(100);
/// What can be said to it.
const HELP: &str = "restart N | crash N | fail N | start N | unplug N | plug N, N being a node from 1 on";

/// An engine with a network of its own. What is dropped first stands first.
pub(crate) struct Node {
    daemon: Daemon,
    _namespace: Namespace,
    /// Where the others and this machine reach it.
    pub(crate) address: String,
}

/// Nodes on one network.
pub(crate) struct Lab {
    /// In their order.
    pub(crate) nodes: Vec<Node>,
    switch: Switch,
    /// On each node this is the folder with its engine's socket, so that one stack file holds for all.
    folder: PathBuf,
}

/// What the nodes are like.
#[derive(Default)]
pub(crate) struct Kind<'a> {
    /// A word for names.
    pub(crate) name: &'a str,
    /// How many.
    pub(crate) nodes: u8,
    /// Containers run on while their engine is away.
    pub(crate) live_restore: bool,
    /// Engines make their sockets themselves, new ones at each start.
    pub(crate) own_sockets: bool,
    /// See [`Settings::remapped`].
    pub(crate) remapped: bool,
    /// See [`Settings::rootless`].
    pub(crate) rootless: bool,
    /// See [`Settings::tls`].
    pub(crate) tls: Option<(u16, &'a Path)>,
}

impl Lab {
    /// There may be one here.
    pub(crate) fn possible() -> bool {
        nix::unistd::geteuid().is_root() && process::installed("dockerd")
    }

    /// Start the engines.
    pub(crate) fn start(workspace: &Workspace, kind: &Kind) -> Result<Self> {
        if !Self::possible() {
            bail!("a lab needs root, and the program `dockerd`");
        }
        if !process::installed("ip") {
            packages::install(workspace, &["iproute2"], "a lab needs `ip`: install iproute2")?;
        }
        let folder = Path::new(RUN).join(format!("{}-{}", std::process::id(), kind.name));
        let mut lab = Lab { nodes: Vec::new(), switch: Switch::new()?, folder };
        for number in 1..=kind.nodes {
            let name = format!("{}{number}", kind.name);
            let namespace = Namespace::new(&name)?;
            let address = lab.switch.connect(&namespace)?;
            let data = format!("{name}-{}", std::process::id());
            // An ordinary user may not come into the workspace.
            let data = match kind.rootless {
                true => std::env::temp_dir().join(format!("tandem-xtask-{data}")),
                false => workspace.own(&data)?,
            };
            let settings = Settings {
                name: &name,
                data,
                apart: Some(&namespace),
                live_restore: kind.live_restore,
                remapped: kind.remapped,
                rootless: kind.rootless,
                activated: !kind.own_sockets,
                tls: kind.tls,
                ..Settings::default()
            };
            let daemon = Daemon::start(workspace, &settings)?;
            fs::create_dir_all(&lab.folder)?;
            namespace.bind(daemon.folder(), &lab.folder)?;
            lab.nodes.push(Node { daemon, _namespace: namespace, address });
        }
        Ok(lab)
    }

    /// Make a Swarm of them, every one a worker but the first.
    pub(crate) fn swarm(&self) -> Result<()> {
        let [first, others @ ..] = &self.nodes[..] else { return Ok(()) };
        first.ask(&["swarm", "init", "--advertise-addr", &first.address])?;
        let token = first.ask(&["swarm", "join-token", "--quiet", "worker"])?;
        for node in others {
            let manager = format!("{}:2377", first.address);
            node.ask(&["swarm", "join", "--advertise-addr", &node.address, "--token", &token, &manager])?;
        }
        Ok(())
    }

    /// Copy images from another engine to each.
    pub(crate) fn load(&self, engine: &Engine, images: &[String]) -> Result<()> {
        for node in &self.nodes {
            let mut save = engine.docker(["save"]);
            process::piped(save.args(images), node.docker().args(["load", "--quiet"]), LONG)?;
        }
        Ok(())
    }

    /// Let something happen to a node.
    fn happen(&mut self, words: &str) -> Result<()> {
        let said = words.split_once(' ').and_then(|(what, number)| Some((what, number.trim().parse().ok()?)));
        let known = said.filter(|(_, number)| (1..=self.nodes.len()).contains(&usize::from(*number)));
        let (what, number): (&str, u8) = known.with_context(|| format!("`{words}`: there is {HELP}"))?;
        let node = &mut self.nodes[usize::from(number) - 1];
        match what {
            "restart" => {
                node.daemon.end(Signal::SIGTERM)?;
                node.daemon.start_again()
            }
            "crash" => {
                node.daemon.end(Signal::SIGKILL)?;
                node.daemon.start_again()
            }
            "fail" => {
                node.daemon.fail();
                Ok(())
            }
            "start" => node.daemon.start_again(),
            "unplug" => self.switch.set_plugged(number, false),
            "plug" => self.switch.set_plugged(number, true),
            _ => bail!("`{words}`: there is {HELP}"),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A Swarm would start tasks again while a daemon removes them.
        interrupt::shielded(|| {
            for node in self.nodes.iter().rev() {
                let _ = node.ask(&["swarm", "leave", "--force"]);
            }
            let _ = fs::remove_dir(&self.folder);
        });
    }
}

impl Node {
    /// `DOCKER_HOST` for it.
    pub(crate) fn host(&self) -> String {
        self.daemon.host()
    }

    /// `docker`, for it.
    pub(crate) fn docker(&self) -> Command {
        self.daemon.docker()
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        process::captured(self.docker().args(words), SHORT)
    }
}

/// Start what was asked for, say where it is, and do what is said until there is nothing more to hear.
pub(crate) fn run(workspace: &Workspace, kind: &Kind, swarm: bool, images: &[String]) -> Result<()> {
    let mut lab = step(&format!("start {} engines on a network of their own", kind.nodes), || {
        let lab = Lab::start(workspace, kind)?;
        if swarm {
            lab.swarm()?;
        }
        Ok(lab)
    })?;
    if !images.is_empty() {
        let engine = Engine::find(workspace)?;
        step("copy images to each", || lab.load(&engine, images))?;
    }
    for (number, node) in (1..).zip(&lab.nodes) {
        note(&format!("node {number}, {}: DOCKER_HOST={}", node.address, node.host()));
    }
    note(&format!("on each node its own engine is at {}/docker.sock", lab.folder.display()));
    note(&format!("it ends with its input (Ctrl-D); there is {HELP}"));
    let nodes = lab.nodes.iter().map(|node| json!({"host": node.host(), "address": node.address}));
    let socket = lab.folder.join("docker.sock");
    say(&json!({ "nodes": nodes.collect::<Vec<_>>(), "socket": socket }).to_string())?;
    let (to_here, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if to_here.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        interrupt::check()?;
        match lines.recv_timeout(LOOK) {
            Ok(line) => match lab.happen(line.trim()) {
                Ok(()) => say("ok")?,
                Err(error) => say(&format!("error: {error:#}").replace('\n', " "))?,
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
