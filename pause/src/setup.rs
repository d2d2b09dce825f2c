//! Set-up: all that can fail. Each step has an exit status of its own, and a line that says why.
#![forbid(unsafe_code)]

use core::cell::Cell;
use core::ffi::CStr;

use pause::args::Command;
use pause::bare::Bare;
use pause::env;
use pause::errno::Errno;
use pause::health::{HOLDING, Health};
use pause::signals::SignalSet;
use pause::status::{self, Step};
use pause::step::State;
use pause::supervise::Supervised;

use crate::channel::{Buffers, Channel, Outputs, Writer};
use crate::events::Events;
use crate::launch::Launcher;
use crate::lifeline::{Entry, Lifeline};
use crate::log::{self, Log};
use crate::start::Process;
use crate::sys::{self, Fd, Kind, Pid};

/// Whom a bare pause becomes when it is started as root: "nonroot" as distroless images have it; it owns
/// nothing.
const NOBODY: usize = 65529;

/// `linux/capability.h`.
const CAP_DAC_OVERRIDE: u32 = 1 << 1;
const CAP_DAC_READ_SEARCH: u32 = 1 << 2;
const CAP_KILL: u32 = 1 << 5;
const CAP_SETGID: u32 = 1 << 6;
const CAP_SETUID: u32 = 1 << 7;
const CAP_SETPCAP: u32 = 1 << 8;

/// What a manager may use to open what needs root, before it becomes another user. A restarted one needs them
/// again, and can only have what pause still permits (`no_new_privs`).
const FOR_A_MANAGER: u32 =
    CAP_KILL | CAP_SETUID | CAP_SETGID | CAP_SETPCAP | CAP_DAC_OVERRIDE | CAP_DAC_READ_SEARCH;

/// A pause that is set up.
pub(crate) struct Ready<'b> {
    pub(crate) state: State,
    pub(crate) events: Events<'b>,
    pub(crate) launcher: Launcher,
}

/// Why set-up ended.
pub(crate) enum Failure {
    /// A step could not be done.
    At(Step, Errno),
    /// It was to look after a command, and is not PID 1.
    NotInit(Pid),
}

impl Failure {
    /// The exit status that says so.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::At(step, _) => step.code(),
            Self::NotInit(_) => status::USAGE,
        }
    }

    pub(crate) fn tell(&self) {
        let mut line = log::line();
        match self {
            Self::At(step, errno) => line.text(step.text()).text(": ").errno(*errno),
            Self::NotInit(pid) => line
                .text("must be PID 1 to look after a command, and is PID ")
                .number(pid.unsigned_abs())
                .text(": remove `init: true` (`--init`), or what else is in front"),
        };
        Log::STDERR.say(&mut line);
    }
}

/// Sets up a pause that holds namespaces, a sandbox if it has a lifeline; or one that looks after a child.
pub(crate) fn set_up<'b>(
    command: Command<'_>,
    process: Process,
    buffers: &'b mut Buffers,
) -> Result<Ready<'b>, Failure> {
    let supervise = command == Command::Supervise;
    let pid = sys::pid();
    if supervise && pid != 1 {
        return Err(Failure::NotInit(pid));
    }
    // First of all: what comes from here on waits until it is read.
    let mask = sys::set_mask(SignalSet::BLOCKED);
    // Whoever started pause may have left SIGCHLD ignored, and then there is nothing to reap, nor a status to
    // take over.
    sys::default_dispositions();
    for fd in 0..3 {
        if !sys::is_open(fd) {
            sys::occupy_lowest_fd().map_err(at(Step::Descriptors))?;
        }
    }
    sys::close_inherited();
    let signals = sys::signal_fd(SignalSet::WATCHED).map_err(at(Step::Signals))?;
    // What a manager has started has no health of a pod to show.
    let mut environment = process.env;
    let held = matches!(command, Command::Hold { lifeline: Some(_) })
        || environment.any(|entry| entry.to_bytes() == env::HELD_ENTRY);
    sys::set_name(if held { HOLDING } else { Health::Starting.comm() });
    let outputs =
        Outputs { out: without_waiting(1, c"/proc/self/fd/1"), err: without_waiting(2, c"/proc/self/fd/2") };
    let log = Log::to(outputs.err);
    if pid != 1 {
        log.say(log::line().text("not PID 1: no zombies of others are reaped here"));
    }

    let mut channel = Channel::new(if supervise { Writer::Child } else { Writer::Outside }, outputs, buffers);
    // Anything else has nothing to say: a terminal, /dev/null, a file.
    let line = !supervise && matches!(sys::kind(0), Ok(Kind::Pipe | Kind::Socket));
    if line {
        channel.open(Fd::stdin());
    }
    let mut entry = Entry::EMPTY;
    let lifeline = match command {
        Command::Supervise => Lifeline::listen(&mut entry).map_err(at(Step::Listener))?,
        Command::Hold { lifeline: Some(name) } => Lifeline::tie(name).map_err(at(Step::Lifeline))?,
        _ => Lifeline::None,
    };
    give_up_privileges(supervise, log).map_err(at(Step::Privileges))?;

    Ok(Ready {
        state: if supervise {
            State::Supervised(Supervised::new(sys::now_ms()))
        } else if held {
            State::Bare(Bare::new(line))
        } else {
            State::Bare(Bare::new(line).expecting(sys::now_ms()))
        },
        events: Events::new(signals, channel, lifeline),
        launcher: Launcher { process, mask, lifeline: entry, log, again: Cell::new(false) },
    })
}

/// What leads where `fd` leads and never makes pause wait. O_NONBLOCK on `fd` itself would belong to
/// everybody who shares it, so the same pipe or terminal is opened once more. Where that is refused (a
/// socket, no `/proc`), asking for room before each write has to do.
fn without_waiting(fd: i32, path: &CStr) -> i32 {
    // A regular file never waits, and opened once more it would be written from its beginning.
    match sys::kind(fd) {
        Ok(Kind::Pipe | Kind::Character) => sys::open_write_nonblocking(path).map_or(fd, Fd::keep),
        _ => fd,
    }
}

/// A bare pause needs no privilege at all, and becomes nobody.
///
/// A child starts with pause's privileges, so a supervising pause keeps what a manager opens with. None of it
/// works on pause's own behalf but KILL, for a child that became another user. Without DAC_* in effect the
/// kernel also makes a child whose file its user cannot read (mode 0111) not dumpable from its first
/// instruction on.
fn give_up_privileges(supervise: bool, log: Log) -> sys::Result<()> {
    sys::no_new_privileges()?;
    if !supervise && sys::is_root() {
        sys::drop_bounding();
        // A user namespace may forbid it, and then gives nothing that would matter.
        let _ = sys::drop_groups();
        if let Err(errno) = sys::become_user(NOBODY) {
            log.cannot("leave root for user ", b"65529", errno);
        }
    }
    sys::drop_ambient();
    let permitted = if supervise { sys::permitted_capabilities()? & FOR_A_MANAGER } else { 0 };
    sys::set_capabilities(permitted & CAP_KILL, permitted)?;
    // A change of user may have set it anew (`fs.suid_dumpable`).
    sys::not_dumpable()
}

fn at(step: Step) -> impl FnOnce(Errno) -> Failure {
    move |errno| Failure::At(step, errno)
}
