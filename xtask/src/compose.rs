//! Docker Compose, in whichever form there is, with the example's file.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::engine::Engine;
use crate::interrupt;
use crate::packages;
use crate::process::{self, SHORT};
use crate::report::note;
use crate::workspace::Workspace;

/// How long a stop may take.
const DOWN: Duration = Duration::from_secs(60);

/// A Compose project. Dropping it takes it down.
pub(crate) struct Project<'a> {
    workspace: &'a Workspace,
    engine: &'a Engine,
    /// `docker compose`, or its first form.
    words: &'static [&'static str],
    /// The project's name; several runs may share an engine.
    pub(crate) name: String,
    /// The port to publish.
    pub(crate) port: u16,
    up: bool,
}

impl<'a> Project<'a> {
    /// Find Compose, or install it.
    pub(crate) fn find(workspace: &'a Workspace, engine: &'a Engine, port: u16) -> Result<Self> {
        let plugin = || process::succeeds(&mut engine.docker(["compose", "version"]), SHORT);
        let first = || process::succeeds(process::command("docker-compose").arg("version"), SHORT);
        let mut words: Option<&[&str]> = None;
        for attempt in 0..2 {
            if plugin()? {
                words = Some(&["docker", "compose"]);
            } else if first()? {
                words = Some(&["docker-compose"]);
            }
            if words.is_some() || attempt == 1 {
                break;
            }
            let otherwise = "the demo starts the pod with Compose: install Docker's Compose plugin, so that `docker \
                             compose version` works";
            packages::install(workspace, &["docker-compose"], otherwise)?;
        }
        let words = words.ok_or_else(|| anyhow::anyhow!("Debian's docker-compose does not work"))?;
        let name = format!("tandem-demo-{}", std::process::id());
        Ok(Project { workspace, engine, words, name, port, up: false })
    }

    /// What a user types.
    pub(crate) fn typed(&self) -> String {
        self.words.join(" ")
    }

    /// Start it.
    pub(crate) fn up(&mut self) -> Result<()> {
        // Also when it fails half-way.
        self.up = true;
        process::captured(&mut self.command(&["up", "-d"]), SHORT).map(drop)
    }

    /// The container of a service.
    pub(crate) fn container(&self, service: &str) -> Result<String> {
        process::captured(&mut self.command(&["ps", "-q", service]), SHORT)
    }

    /// What its containers wrote.
    pub(crate) fn logs(&self) -> Result<String> {
        process::captured(&mut self.command(&["logs", "--no-color"]), SHORT)
    }

    /// Stop it and remove it with its volumes and networks.
    pub(crate) fn down(&mut self) -> Result<()> {
        process::captured(&mut self.command(&["down", "--volumes", "--timeout", "10"]), DOWN)?;
        self.up = false;
        Ok(())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = process::command(self.words[0]);
        command.args(&self.words[1..]).args(["-p", &self.name]).args(args);
        command.current_dir(self.workspace.file("examples/sidecar"));
        command.env("DOCKER_HOST", &self.engine.host).env("DOCKER_SOCK", self.engine.socket());
        command.env("COMPOSE_FILE", "compose.yml").env("PORT", self.port.to_string());
        command
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        if self.up {
            interrupt::shielded(|| {
                if let Err(error) = self.down() {
                    note(&format!("{error:#}"));
                }
            });
        }
    }
}
