//! What runs and ends: `health`, `cat`, `store`, `--version`, `--help`.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use pause::args::{Command, USAGE};
use pause::errno::Errno;
use pause::health::{COMM_PATH, Health, PREFIX};
use pause::status::FAILURE;
use pause::store::{Entry, HEADER_LEN};

use crate::log::{self, Log};
use crate::sys::{self, Kind, Poll};

const STDIN: i32 = 0;
const STDOUT: i32 = 1;

/// Does it; returns the exit status.
pub(crate) fn run(command: Command<'_>) -> u8 {
    match command {
        Command::Health => health(),
        Command::Cat(path) => cat(path),
        Command::Store => store(),
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
    let _ = write_all(STDOUT, health.comm().to_bytes().strip_prefix(PREFIX).unwrap_or_default())
        .and_then(|()| write_all(STDOUT, b"\n"));
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
    match pass(file.raw(), STDOUT, usize::MAX) {
        Ok(_) => 0,
        Err(Side::Read(errno)) => fail("read ", path, errno),
        Err(Side::Write(errno)) => fail("write out ", path, errno),
    }
}

/// Writes the files that come on standard input, as the user that it runs as: the memory of a file in a tmpfs is
/// charged to the cgroup of the process that writes it.
fn store() -> u8 {
    let mut header = [0; HEADER_LEN];
    loop {
        if let Err(errno) = read_header(&mut header) {
            return fail("read ", c"standard input", errno);
        }
        let entry = Entry::parse(&header);
        if entry.path.is_empty() {
            return 0;
        }
        if let Err(errno) = store_one(&header, &entry) {
            Log::STDERR.cannot("write ", entry.path, errno);
            return FAILURE;
        }
    }
}

fn read_header(mut rest: &mut [u8]) -> sys::Result<()> {
    while !rest.is_empty() {
        let length = read(STDIN, rest)?;
        if length == 0 {
            return Err(Errno::IO);
        }
        rest = rest.get_mut(length..).unwrap_or_default();
    }
    Ok(())
}

/// Writes a new file in the place of any of that name. Nobody else can open it before it is whole.
fn store_one(header: &[u8], entry: &Entry<'_>) -> sys::Result<()> {
    // The zero byte behind the path.
    let file = sys::replace_private(header.get(..=entry.path.len()).unwrap_or_default())?;
    match pass(STDIN, file.raw(), entry.length as usize) {
        Ok(0) => sys::set_mode(&file, entry.mode),
        Ok(_) => Err(Errno::IO),
        Err(Side::Read(errno) | Side::Write(errno)) => Err(errno),
    }
}

/// Where it failed.
enum Side {
    Read(Errno),
    Write(Errno),
}

/// Passes on what there is to read, and at most so much; returns how much is missing.
#[inline(never)]
fn pass(from: i32, to: i32, mut left: usize) -> Result<usize, Side> {
    let mut buffer = [0; 4096];
    while left > 0 {
        let room = buffer.len().min(left);
        let length = read(from, buffer.get_mut(..room).unwrap_or_default()).map_err(Side::Read)?;
        if length == 0 {
            break;
        }
        write_all(to, buffer.get(..length).unwrap_or_default()).map_err(Side::Write)?;
        left = left.saturating_sub(length);
    }
    Ok(left)
}

/// Reads what is there, at most what fits; 0 at the end.
#[inline(never)]
fn read(fd: i32, buffer: &mut [u8]) -> sys::Result<usize> {
    loop {
        match sys::read(fd, buffer) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

fn print(text: &str) -> u8 {
    match write_all(STDOUT, text.as_bytes()) {
        Ok(()) => 0,
        Err(_) => FAILURE,
    }
}

fn fail(what: &str, path: &CStr, errno: Errno) -> u8 {
    Log::STDERR.cannot(what, path.to_bytes(), errno);
    FAILURE
}

fn write_all(fd: i32, mut bytes: &[u8]) -> sys::Result<()> {
    while !bytes.is_empty() {
        match sys::write(fd, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Somebody who shares standard output does not wait for room; this one does.
            Err(Errno::AGAIN) => sys::poll(&mut [Poll::output(fd)], None),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
