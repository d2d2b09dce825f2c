//! Docker Compose, in whichever form there is, with the example's file.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

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

/// The words that call Compose, which is installed where it is missing: `docker compose`, or its first form.
pub(crate) fn find(workspace: &Workspace, engine: &Engine) -> Result<&'static [&'static str]> {
    if let Some(words) = installed(engine)? {
        return Ok(words);
    }
    let otherwise = "the example is started with Compose: install Docker's Compose plugin, so that `docker compose \
                     version` works";
    packages::install(workspace, &["docker-compose"], otherwise)?;
    installed(engine)?.context("Debian's docker-compose does not work")
}

/// Which Compose is there, if any.
pub(crate) fn version(engine: &Engine) -> Result<String> {
    match installed(engine)? {
        Some(words) => {
            let mut version = process::command(words[0]);
            process::captured(version.args(&words[1..]).args(["version", "--short"]), SHORT)
        }
        None => Ok("none".to_owned()),
    }
}

/// The form of Compose that is there.
fn installed(engine: &Engine) -> Result<Option<&'static [&'static str]>> {
    if process::succeeds(&mut engine.docker(["compose", "version"]), SHORT)? {
        return Ok(Some(&["docker", "compose"]));
    }
    let first = process::succeeds(process::command("docker-compose").arg("version"), SHORT)?;
    Ok(first.then_some(&["docker-compose"]))
}

impl<'a> Project<'a> {
    /// A project of its own name.
    pub(crate) fn new(workspace: &'a Workspace, engine: &'a Engine, port: u16) -> Result<Self> {
        let words = find(workspace, engine)?;
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
