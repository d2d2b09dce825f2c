//! Finds the engine that answers, or starts a private one where there is none.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;

use crate::daemon::{self, Daemon, Settings};
use crate::packages;
use crate::process::{self, LONG, SHORT};
use crate::report::{note, step};
use crate::workspace::Workspace;

/// How long an engine may take to answer one question.
const ANSWER: Duration = Duration::from_secs(10);
/// How long another `cargo xtask` may keep the private engine.
const LOCKED: Duration = Duration::from_secs(60 * 60);
/// The one thing to do where we cannot do it.
const INSTALL: &str = "no Docker Engine answers: install Docker and start it, so that `docker version` names a server \
                       (https://docs.docker.com/engine/install/); as root on Debian this is done for you";

/// An engine to work with.
pub(crate) struct Engine {
    /// `DOCKER_HOST` for it, whatever way the `docker` command found it.
    pub(crate) host: String,
    /// Ours to stop: first the daemon, then the lock on its folder.
    private: Option<(Daemon, Flock<File>)>,
}

impl Engine {
    /// The engine that answers, else a private one.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self> {
        let chosen = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let mut refusal = match Self::that_answers()? {
            Ok(engine) => return Ok(engine),
            Err(refusal) => refusal,
        };
        if let Some(host) = chosen
            && process::installed("docker")
        {
            bail!(
                "`DOCKER_HOST` names an engine that does not answer, `{host}`: start it, or unset it\n{refusal}"
            );
        }
        if nix::unistd::geteuid().is_root() {
            // Before looking for a dockerd that runs: it may be one that an earlier run left.
            daemon::sweep();
        }
        if dockerd_beside_us() {
            // Its network would be torn down by another one.
            bail!(
                "a Docker Engine runs here, but does not answer: see to it that `docker version` does\n{refusal}"
            );
        }
        let missing = ["docker", "dockerd"].iter().any(|program| !process::installed(program));
        if missing {
            packages::install(workspace, &["docker.io"], &format!("{INSTALL}\n{refusal}"))?;
            if !process::installed("docker") {
                // From Debian 13 on it is a package of its own.
                packages::install(workspace, &["docker-cli"], INSTALL)?;
            }
            refusal = match Self::after_installation()? {
                Ok(engine) => return Ok(engine),
                Err(refusal) => refusal,
            };
        }
        if !nix::unistd::geteuid().is_root() {
            bail!("{INSTALL}\n{refusal}");
        }
        Self::start(workspace)
    }

    /// `docker`, for this engine.
    pub(crate) fn docker<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut docker = process::command("docker");
        docker.args(args).env("DOCKER_HOST", &self.host);
        docker
    }

    /// What a `docker` command prints.
    pub(crate) fn ask<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        process::captured(&mut self.docker(args), SHORT)
    }

    /// The path of the engine's socket on its own host, to mount into task containers.
    pub(crate) fn socket(&self) -> &str {
        let path = self.host.strip_prefix("unix://").filter(|_| cfg!(target_os = "linux"));
        // Docker Desktop's socket lies elsewhere on the desktop, and here where its containers run.
        path.unwrap_or("/var/run/docker.sock")
    }

    /// The engine has this image.
    pub(crate) fn has_image(&self, image: &str) -> Result<bool> {
        process::succeeds(&mut self.docker(["image", "inspect", image]), SHORT)
    }

    /// What the engine knows of an object.
    pub(crate) fn inspect(&self, kind: &str, name: &str) -> Result<Value> {
        let text = self.ask([kind, "inspect", name])?;
        let mut list: Vec<Value> = serde_json::from_str(&text).context("`docker inspect` prints no JSON")?;
        list.pop().with_context(|| format!("there is no {kind} `{name}`"))
    }

    /// Run a `docker build` command, quietly. The context (a folder, or `-`) is its last word.
    pub(crate) fn build(
        &self,
        workspace: &Workspace,
        image: &str,
        build: &mut Command,
        context: &str,
    ) -> Result<()> {
        // Behind a proxy the steps of a build need it as well; these arguments are always declared.
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"] {
            if std::env::var_os(name).is_some() {
                build.args(["--build-arg", name]);
            }
        }
        build.arg(context);
        process::logged(build, &workspace.log(&format!("build-{image}"))?, LONG)
    }

    /// Ask the engine that the `docker` command uses by itself. `Err` inside is what it says instead of an answer.
    fn that_answers() -> Result<std::result::Result<Self, String>> {
        if !process::installed("docker") {
            return Ok(Err("there is no `docker` command".to_owned()));
        }
        let mut version = process::command("docker");
        version.args(["version", "--format", "{{.Server.Version}} (API {{.Server.APIVersion}})"]);
        let version = match process::captured(&mut version, ANSWER) {
            Ok(version) => version,
            Err(error) => {
                crate::interrupt::check()?;
                return Ok(Err(format!("{error:#}")));
            }
        };
        // A context may name the engine; what does not read contexts must be told.
        let mut context = process::command("docker");
        context.args(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
        let host = process::captured(&mut context, ANSWER)?;
        note(&format!("engine: Docker {version}, {host}"));
        Ok(Ok(Engine { host, private: None }))
    }

    /// Where there is a service manager, Debian's package starts the engine, which takes a moment.
    fn after_installation() -> Result<std::result::Result<Self, String>> {
        let managed = fs::exists("/run/systemd/system").unwrap_or(false);
        let mut last = Self::that_answers()?;
        if managed && last.is_err() {
            let waited = process::until("the engine that was installed", SHORT, || {
                last = Self::that_answers()?;
                Ok(last.is_ok().then_some(()))
            });
            crate::interrupt::check()?;
            if let Err(error) = waited {
                note(&format!("{error:#}"));
            }
        }
        Ok(last)
    }

    /// A private engine. Its images stay for the next time: base images take a while to make.
    fn start(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.own("engine")?;
        let lock = lock(&folder.join("lock"))?;
        let settings =
            Settings { name: "engine", data: folder.join("data"), keep_data: true, ..Settings::default() };
        let daemon = step("no engine answers: start a private one (stopped at the end)", || {
            Daemon::start(workspace, &settings)
        })?;
        let engine = Engine { host: daemon.host(), private: Some((daemon, lock)) };
        let version = engine.ask(["version", "--format", "{{.Server.Version}}"])?;
        let driver = engine.ask(["info", "--format", "{{.Driver}}"])?;
        note(&format!("engine: Docker {version}, {}, storage in {}", engine.host, settings.data.display()));
        if driver == "vfs" {
            note("its storage driver is `vfs`, which copies every layer: slow, and large on disk");
        }
        Ok(engine)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some((daemon, lock)) = self.private.take() {
            note("stopping the private engine");
            drop(daemon);
            drop(lock);
        }
    }
}

/// Two daemons cannot share a data folder.
fn lock(path: &std::path::Path) -> Result<Flock<File>> {
    let mut file = File::create(path).with_context(|| path.display().to_string())?;
    let mut said = false;
    process::until("another `cargo xtask` to release the private engine", LOCKED, || {
        match Flock::lock(file.try_clone()?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((back, Errno::EWOULDBLOCK)) => file = back,
            Err((_, errno)) => bail!("{}: {errno}", path.display()),
        }
        if !said {
            note("another `cargo xtask` uses the private engine: waiting for it");
            said = true;
        }
        Ok(None)
    })
}

/// A dockerd runs in our network namespace.
fn dockerd_beside_us() -> bool {
    let network = |process: &str| fs::metadata(format!("/proc/{process}/ns/net")).ok().map(|data| data.ino());
    let Some(ours) = network("self") else { return false };
    fs::read_dir("/proc").into_iter().flatten().flatten().any(|entry| {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim_end() == "dockerd" && network(&pid) == Some(ours)
    })
}
