//! Runs programs. Each has a time limit, is a process group of its own (so that all of it can be ended), reads nothing
//! from our standard input, and ends when we are told to end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::{interrupt, report};

/// For what answers at once, on a machine that is busy with something else.
pub(crate) const SHORT: Duration = Duration::from_secs(60);
/// For what downloads or builds.
pub(crate) const LONG: Duration = Duration::from_secs(30 * 60);

/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(20);
/// What a program has to end by itself, once it was told to.
const GRACE: Duration = Duration::from_secs(10);
/// How much of a log is shown when a program failed.
const TAIL_LINES: usize = 40;

/// A program to run, with arguments still to come.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// Run it, its output passed through.
pub(crate) fn shown(command: &mut Command, limit: Duration) -> Result<()> {
    let status = finish(command, limit)?;
    if !status.success() {
        bail!("`{}` failed: {status}", words(command));
    }
    Ok(())
}

/// Run it and return what it printed, without the end of the last line. When it fails, the error says what it wrote.
pub(crate) fn captured(command: &mut Command, limit: Duration) -> Result<String> {
    // Files, not pipes: what a program left running in the background cannot keep us waiting, and nothing can block.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdout(out.try_clone()?).stderr(err.try_clone()?);
    let status = finish(command, limit)?;
    let out = contents(&mut out)?;
    if !status.success() {
        let said = format!("{out}\n{}", contents(&mut err)?);
        bail!("`{}` failed: {status}\n{}", words(command), report::tail(said.trim_start(), TAIL_LINES));
    }
    Ok(out.trim_end().to_owned())
}

/// Run it, its output kept in a file of which the end is shown when it fails.
pub(crate) fn logged(command: &mut Command, log: &Path, limit: Duration) -> Result<()> {
    let file = File::create(log).with_context(|| log.display().to_string())?;
    command.stdout(file.try_clone()?).stderr(file);
    let status = finish(command, limit).with_context(|| format!("its output is in {}", log.display()))?;
    if !status.success() {
        let said = fs::read(log)?;
        let said = report::tail(&String::from_utf8_lossy(&said), TAIL_LINES);
        bail!("`{}` failed: {status}; {} ends with:\n{said}", words(command), log.display());
    }
    Ok(())
}

/// Whether it ends well. Not being there counts as not ending well; an interrupt is an error.
pub(crate) fn succeeds(command: &mut Command, limit: Duration) -> Result<bool> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let result = finish(command, limit);
    interrupt::check()?;
    Ok(result.is_ok_and(|status| status.success()))
}

/// Run two programs, the first one's output being the second one's input.
pub(crate) fn piped(from: &mut Command, to: &mut Command, limit: Duration) -> Result<()> {
    let (mut from_err, mut to_err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut source = spawn(from.stdout(Stdio::piped()).stderr(from_err.try_clone()?))?;
    let output = source.stdout.take().context("invariant: the output was asked for")?;
    let sink = spawn(to.stdin(output).stdout(Stdio::null()).stderr(to_err.try_clone()?));
    // Our end of the pipe: it must not outlive the reader, or the writer would wait for ever.
    to.stdin(Stdio::null());
    let mut sink = match sink {
        Ok(sink) => sink,
        Err(error) => {
            end(&mut source);
            return Err(error);
        }
    };
    let received = wait(&mut sink, to, limit);
    let sent = wait(&mut source, from, GRACE);
    for (command, status, said) in [(to, received, &mut to_err), (from, sent, &mut from_err)] {
        let status = status?;
        if !status.success() {
            bail!("`{}` failed: {status}\n{}", words(command), report::tail(&contents(said)?, TAIL_LINES));
        }
    }
    Ok(())
}

/// Start it, to be waited for later.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    interrupt::check()?;
    command.spawn().with_context(|| format!("`{}` cannot be started", words(command)))
}

/// Wait for a program's end, at most this long; then, and when we are told to end, its process group is ended.
pub(crate) fn wait(child: &mut Child, command: &Command, limit: Duration) -> Result<ExitStatus> {
    let ended = until(&format!("the end of `{}`", words(command)), limit, || Ok(child.try_wait()?));
    if ended.is_err() {
        end(child);
    }
    ended
}

/// End a program's process group: by TERM, and after a while by KILL.
pub(crate) fn end(child: &mut Child) {
    let Ok(group) = i32::try_from(child.id()).map(Pid::from_raw) else { return };
    interrupt::shielded(|| {
        let _ = killpg(group, Signal::SIGTERM);
        let ended = until("its end", GRACE, || Ok(child.try_wait()?));
        // Also when the program itself has ended: others of its group may not have.
        let _ = killpg(group, Signal::SIGKILL);
        if ended.is_err() {
            let _ = child.wait();
        }
    });
}

/// Ask until there is an answer, at most this long. An error ends the wait too.
pub(crate) fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        interrupt::check()?;
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if began.elapsed() >= limit {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        sleep(LOOK);
    }
}

/// The search path has such a program.
pub(crate) fn installed(program: &str) -> bool {
    found(program).is_some()
}

/// Where the search path has it.
pub(crate) fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A command as it would be typed.
pub(crate) fn words(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let args = command.get_args().map(OsStr::to_string_lossy);
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}

/// Start it and wait for its end.
fn finish(command: &mut Command, limit: Duration) -> Result<ExitStatus> {
    let mut child = spawn(command)?;
    wait(&mut child, command, limit)
}

/// A file from its beginning, as text.
fn contents(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
