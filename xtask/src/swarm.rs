//! A Swarm of one node for the tests of stacks. The engine at hand is somebody's: it is not made a Swarm for a test, so
//! this one is a dockerd of its own.

use std::process::Command;

use anyhow::{Result, bail};

use crate::daemon::{Daemon, Settings};
use crate::engine::Engine;
use crate::packages;
use crate::process::{self, LONG, SHORT};
use crate::report::note;
use crate::workspace::Workspace;

/// An engine in swarm mode.
pub(crate) struct Swarm {
    /// `DOCKER_HOST` for it.
    pub(crate) host: String,
    /// Where ports that are published in host mode answer.
    pub(crate) address: String,
    /// Ours to stop.
    daemon: Option<Daemon>,
}

impl Swarm {
    /// Start one; where we may not, the engine at hand must be one.
    pub(crate) fn start(workspace: &Workspace, engine: &Engine) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() || !process::installed("dockerd") {
            return Self::at_hand(engine);
        }
        if !process::installed("ip") {
            packages::install(workspace, &["iproute2"], "the Swarm tests need `ip`: install iproute2")?;
        }
        let name = "swarm";
        let data = workspace.own(&format!("{name}-{}", std::process::id()))?;
        let settings = Settings { name, data, keep_data: false, apart: true };
        let daemon = Daemon::start(workspace, &settings)?;
        let address = connect(&daemon)?;
        let mut init = daemon.docker();
        process::captured(init.args(["swarm", "init", "--advertise-addr", &address]), SHORT)?;
        note(&format!("swarm: {} on {address}", daemon.host()));
        Ok(Swarm { host: daemon.host(), address, daemon: Some(daemon) })
    }

    /// `docker`, for this engine.
    pub(crate) fn docker<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut docker = process::command("docker");
        docker.args(args).env("DOCKER_HOST", &self.host);
        docker
    }

    /// Copy images from the engine at hand.
    pub(crate) fn load(&self, engine: &Engine, images: &[&str]) -> Result<()> {
        if self.daemon.is_none() {
            return Ok(());
        }
        let mut save = engine.docker(["save"]);
        process::piped(save.args(images), &mut self.docker(["load", "--quiet"]), LONG)
    }

    /// The engine at hand, which somebody has made a Swarm.
    fn at_hand(engine: &Engine) -> Result<Self> {
        let state = "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}";
        if engine.ask(["info", "--format", state])? != "active true" {
            bail!(
                "the tests of stacks need a Swarm: run this as root where `dockerd` is installed, or make the engine \
                 one with `docker swarm init`"
            );
        }
        note("swarm: the engine at hand is one");
        Ok(Swarm { host: engine.host.clone(), address: "127.0.0.1".to_owned(), daemon: None })
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            // A Swarm would start tasks again while the daemon removes them.
            crate::interrupt::shielded(|| {
                let _ = process::captured(&mut self.docker(["swarm", "leave", "--force"]), SHORT);
            });
        }
    }
}

/// Give the daemon's network namespace an address that this machine reaches. The link goes with the namespace.
fn connect(daemon: &Daemon) -> Result<String> {
    let pid = daemon.pid();
    // 198.18.0.0/15 is for tests (RFC 2544): nobody's network. A /30 of it for each of 16,384 processes.
    let third = pid / 64 % 256;
    let fourth = pid % 64 * 4;
    let (ours, theirs) = (format!("198.18.{third}.{}", fourth + 1), format!("198.18.{third}.{}", fourth + 2));
    let (here, there) = (format!("tdm{pid}"), "tdm0");
    let namespace = pid.to_string();
    let network = format!("--net=/proc/{pid}/ns/net");
    let outside = |args: &[&str]| process::captured(process::command("ip").args(args), SHORT);
    let inside = |args: &[&str]| {
        process::captured(process::command("nsenter").args([&network, "ip"]).args(args), SHORT)
    };
    inside(&["link", "set", "lo", "up"])?;
    outside(&["link", "add", &here, "type", "veth", "peer", "name", there, "netns", &namespace])?;
    outside(&["addr", "add", &format!("{ours}/30"), "dev", &here])?;
    outside(&["link", "set", &here, "up"])?;
    inside(&["addr", "add", &format!("{theirs}/30"), "dev", there])?;
    inside(&["link", "set", there, "up"])?;
    Ok(theirs)
}
