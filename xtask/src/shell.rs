//! Runs commands: with a word on what is done, and a limit where one could hang.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Say what is done, do it, say how long it took.
pub(crate) fn step<T>(what: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {what}");
    let began = Instant::now();
    let result = act().with_context(|| what.to_owned())?;
    eprintln!("    done in {:.1} s", began.elapsed().as_secs_f64());
    Ok(result)
}

/// A command from words.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Run it, its output passed through.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| words(command))?;
    if !status.success() {
        bail!("`{}` failed: {status}", words(command));
    }
    Ok(())
}

/// Run it, its output shown only when it fails.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    capture(command).map(drop)
}

/// Run it and take what it prints, without the last line's end.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| words(command))?;
    if !output.status.success() {
        bail!("`{}` failed: {}\n{}", words(command), output.status, both(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Like [`capture`], but killed after this time.
pub(crate) fn capture_within(command: &mut Command, limit: Duration) -> Result<String> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.with_context(|| words(command))?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    match wait.recv_timeout(limit) {
        Ok(output) => {
            let output = output?;
            if !output.status.success() {
                bail!("`{}` failed: {}\n{}", words(command), output.status, both(&output));
            }
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        }
        Err(_) => {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            bail!("`{}` did not end within {} s", words(command), limit.as_secs());
        }
    }
}

/// Ask until the answer is `Some`, at most this long.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if began.elapsed() >= limit {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// There is such a program.
pub(crate) fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// We are root on Debian or a child of it, so that packages can be installed.
pub(crate) fn can_install() -> bool {
    nix::unistd::geteuid().is_root() && have("apt-get")
}

/// Install Debian packages, saying so.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    step(&format!("install Debian's {}", packages.join(", ")), || {
        let apt = |args: &[&str]| {
            let mut command = command("apt-get", args);
            command.env("DEBIAN_FRONTEND", "noninteractive");
            quiet(&mut command)
        };
        apt(&["update", "-q"])?;
        apt(&[&["install", "-q", "-y", "--no-install-recommends"], packages].concat())
    })
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// `cargo` as it was called, in the workspace.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), args);
    command.current_dir(root());
    command
}

/// `docker`, for the engine in use.
pub(crate) fn docker(args: &[&str]) -> Command {
    let mut docker = command("docker", args);
    docker.envs(engine());
    docker
}

/// From here on this engine is used, instead of the one that the environment names.
pub(crate) fn use_engine(host: String) {
    // There is one engine in use at most; a second word on it would be a mistake in this program.
    let _ = ENGINE.set(host);
}

/// What the environment of everything that speaks to the engine needs.
pub(crate) fn engine() -> Option<(&'static str, &'static String)> {
    ENGINE.get().map(|host| ("DOCKER_HOST", host))
}

/// The private engine in use, if there is one.
static ENGINE: OnceLock<String> = OnceLock::new();

fn both(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

fn words(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}
