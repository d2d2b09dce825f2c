//! Finds an engine that answers, or starts a private one. And a second one that is a Swarm of one node:
//! the engine at hand may be somebody's, and is not made a Swarm for a test.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cleanup;
use crate::shell::{can_install, capture, capture_within, command, docker, have, install, quiet, step, use_engine, wait_for};

/// How long an engine may take to answer one question.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a private engine may take to start, and to stop.
const START: Duration = Duration::from_secs(60);

/// A private dockerd. It is stopped, and all it has is removed, at the end.
pub(crate) struct Private {
    /// `DOCKER_HOST` for it.
    pub(crate) host: String,
}

/// Make sure that `docker` has an engine: from here on it is found by the environment.
pub(crate) fn ready() -> Result<()> {
    if have("docker")
        && let Ok(version) = capture_within(&mut docker(&["version", "--format", "{{.Server.Version}}"]), ANSWER)
    {
        eprintln!("==> engine: Docker {version} answers");
        return Ok(());
    }
    if !can_install() {
        bail!(
            "no Docker Engine answers: install Docker, start it, and see to it that `docker version` works for you \
             (or run this as root on Debian, where it is done for you)"
        );
    }
    if !have("dockerd") || !have("docker") {
        install(&["docker.io", "iptables"])?;
        // Debian starts it where there is a service manager.
        if let Ok(version) =
            capture_within(&mut docker(&["version", "--format", "{{.Server.Version}}"]), ANSWER)
        {
            eprintln!("==> engine: Docker {version} answers");
            return Ok(());
        }
    }
    let private = step("no engine answers: start a private one", || start("engine", None))?;
    use_engine(private.host);
    Ok(())
}

/// A Swarm of one node: a dockerd of its own in a network namespace of its own.
///
/// # Errors
/// Where this cannot be had.
pub(crate) fn swarm() -> Result<Private> {
    if !can_install() || !have("dockerd") || !have("ip") {
        bail!(
            "the Swarm tests start a dockerd of their own, which takes root on Debian with `docker.io` and `iproute2` \
             installed"
        );
    }
    let namespace = format!("tandem-{}", std::process::id());
    quiet(&mut command("ip", &["netns", "add", &namespace]))?;
    let name = namespace.clone();
    cleanup::later(move || {
        let _ = quiet(&mut command("ip", &["netns", "delete", &name]));
    });
    quiet(&mut command("ip", &["-n", &namespace, "link", "set", "lo", "up"]))?;
    let private = start("swarm", Some(&namespace))?;
    let mut init = docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    quiet(init.env("DOCKER_HOST", &private.host))?;
    Ok(private)
}

/// Copy images from the engine at hand to another.
pub(crate) fn copy_images(images: &[&str], to: &Private) -> Result<()> {
    let mut save = docker(&[&["save"], images].concat());
    let mut save = save.stdout(Stdio::piped()).spawn()?;
    let from = save.stdout.take().context("docker save has no output")?;
    let mut load = docker(&["load", "--quiet"]);
    let status = load.env("DOCKER_HOST", &to.host).stdin(from).stdout(Stdio::null()).status()?;
    if !(status.success() && save.wait()?.success()) {
        bail!("the images could not be copied");
    }
    Ok(())
}

/// Start a dockerd with everything of its own.
fn start(name: &str, network: Option<&str>) -> Result<Private> {
    // Short, because a socket's path has room for 107 bytes; and not below /tmp, which may be memory.
    let base = PathBuf::from(format!("/var/lib/tandem-{name}-{}", std::process::id()));
    fs::create_dir_all(&base)?;
    let at = |part: &str| base.join(part).display().to_string();
    let socket = at("docker.sock");
    let log = fs::File::create(base.join("log"))?;
    let mut daemon = match network {
        Some(namespace) => {
            // Not `ip netns exec`, which hides the cgroup mounts.
            let entry = format!("--net=/run/netns/{namespace}");
            command("nsenter", &[&entry, "unshare", "-m", "dockerd"])
        }
        None => Command::new("dockerd"),
    };
    daemon.args(["--host", &format!("unix://{socket}")]);
    daemon.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")]);
    if network.is_some() {
        daemon.args(["--cgroup-parent", &format!("/tandem-{name}-{}", std::process::id())]);
    }
    daemon.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = daemon.spawn().context("dockerd")?;
    let (folder, cgroup) = (base.clone(), format!("tandem-{name}-{}", std::process::id()));
    cleanup::later(move || stop(child, &folder, &cgroup));
    let host = format!("unix://{socket}");
    let answers = wait_for("the private dockerd to answer", START, || {
        let mut version = docker(&["version", "--format", "{{.Server.Version}}"]);
        capture_within(version.env("DOCKER_HOST", &host), ANSWER).ok()
    });
    if let Err(error) = answers {
        let log = fs::read_to_string(base.join("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(15).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(error.context(format!("dockerd says:\n{}", tail.join("\n"))));
    }
    Ok(Private { host })
}

/// End a private dockerd and remove what it had.
fn stop(mut child: Child, folder: &PathBuf, cgroup: &str) {
    let host = format!("unix://{}/docker.sock", folder.display());
    let containers = capture(docker(&["ps", "-aq"]).env("DOCKER_HOST", &host)).unwrap_or_default();
    let ids: Vec<&str> = containers.split_whitespace().collect();
    if !ids.is_empty() {
        let _ = quiet(docker(&[&["rm", "-fv"], &ids[..]].concat()).env("DOCKER_HOST", &host));
    }
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let ended = wait_for("the private dockerd to end", START, || child.try_wait().ok().flatten());
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    // Its own containerd may leave mounts in our sight.
    let prefix = folder.display().to_string();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if mount.starts_with(&prefix) {
            let _ = nix::mount::umount2(mount, nix::mount::MntFlags::MNT_DETACH);
        }
    }
    if let Err(error) = fs::remove_dir_all(folder) {
        eprintln!("xtask: {prefix} could not be removed: {error}");
    }
    for controller in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        remove_cgroup(&controller.path().join(cgroup));
    }
    remove_cgroup(&PathBuf::from("/sys/fs/cgroup").join(cgroup));
}

/// A cgroup and those below it; only empty ones can be removed.
fn remove_cgroup(path: &PathBuf) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_cgroup(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}
