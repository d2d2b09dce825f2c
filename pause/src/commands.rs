//! What runs and ends: `health`, `cat`, `--version`, `--help`.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use pause::args::{Command, USAGE};
use pause::errno::Errno;
use pause::health::{COMM_PATH, Health, PREFIX};
use pause::status::FAILURE;

use crate::log::{self, Log};
use crate::sys::{self, Kind, Poll};

const STDOUT: i32 = 1;

/// Does it; returns the exit status.
pub(crate) fn run(command: Command<'_>) -> u8 {
    match command {
        Command::Health => health(),
        Command::Cat(path) => cat(path),
        Command::Help => print(USAGE),
        Command::Version => print(concat!("pause ", env!("CARGO_PKG_VERSION"), "\n")),
        // They run for ever, and are set up elsewhere.
        Command::Hold { .. } | Command::Supervise => FAILURE,
    }
}

/// Says how the pod is: what PID 1 named itself.
fn health() -> u8 {
    let mut content = [0; 64];
    let length = match sys::open_read(COMM_PATH).and_then(|file| sys::read(file.raw(), &mut content)) {
        Ok(length) => length,
        Err(errno) => return fail("read ", COMM_PATH, errno),
    };
    let content = content.get(..length).unwrap_or_default();
    let Some(health) = Health::from_comm(content) else {
        let name = content.split(|&byte| byte == b'\n').next().unwrap_or_default();
        Log::STDERR.say(log::line().text("no pause is PID 1 here: ").quoted(name));
        return FAILURE;
    };
    // Docker keeps the output of a health check: without a line feed it reads as one word. A probe whose
    // output nobody takes still has its status.
    let _ = write_all(health.comm().to_bytes().strip_prefix(PREFIX).unwrap_or_default())
        .and_then(|()| write_all(b"\n"));
    if health == Health::Healthy { 0 } else { FAILURE }
}

/// Writes a regular file to standard output. Anything else is refused: a FIFO would wait for a writer, a
/// device do something.
fn cat(path: &CStr) -> u8 {
    let file = match sys::open_read(path) {
        Ok(file) => file,
        Err(errno) => return fail("open ", path, errno),
    };
    match sys::kind(file.raw()) {
        Ok(Kind::Regular) => {}
        Ok(_) => {
            Log::STDERR
                .say(log::line().text("cannot read ").quoted(path.to_bytes()).text(": not a regular file"));
            return FAILURE;
        }
        Err(errno) => return fail("read ", path, errno),
    }
    let mut buffer = [0; 4096];
    loop {
        let length = match sys::read(file.raw(), &mut buffer) {
            Ok(0) => return 0,
            Ok(length) => length,
            Err(Errno::INTR) => continue,
            Err(errno) => return fail("read ", path, errno),
        };
        if let Err(errno) = write_all(buffer.get(..length).unwrap_or_default()) {
            return fail("write out ", path, errno);
        }
    }
}

fn print(text: &str) -> u8 {
    match write_all(text.as_bytes()) {
        Ok(()) => 0,
        Err(_) => FAILURE,
    }
}

fn fail(what: &str, path: &CStr, errno: Errno) -> u8 {
    Log::STDERR.cannot(what, path.to_bytes(), errno);
    FAILURE
}

fn write_all(mut bytes: &[u8]) -> sys::Result<()> {
    while !bytes.is_empty() {
        match sys::write(STDOUT, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Somebody who shares standard output does not wait for room; this one does.
            Err(Errno::AGAIN) => sys::poll(&mut [Poll::output(STDOUT)], None),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
