//! How the child is started: the only file that knows.
//!
//! The child gets what a fresh process expects: default dispositions, the signal mask that pause itself was
//! started with, and pause's own standard input, output and error, of which a supervising pause never reads
//! the first. It gets a session of its own, so that Ctrl-C on a terminal reaches it once, forwarded; and the
//! control channel as descriptor 3. Nothing else.
#![forbid(unsafe_code)]

use core::cell::Cell;

use pause::env;
use pause::errno::Errno;
use pause::signals::SignalSet;
use pause::status::End;

use crate::lifeline::Entry;
use crate::log::{self, Log};
use crate::start::Process;
use crate::sys::{self, Array, Fd, Pid, Strings};

/// Where commands without a slash are looked for when the environment does not say: as container engines have
/// it.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Longest path of a file in bytes, the zero byte at its end included (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// Everything that a launch needs.
pub(crate) struct Launcher {
    pub(crate) process: Process,
    /// The mask that pause was started with.
    pub(crate) mask: SignalSet,
    /// Where a sandbox connects.
    pub(crate) lifeline: Entry,
    pub(crate) log: Log,
    /// There was a launch before.
    pub(crate) again: Cell<bool>,
}

/// A child that runs.
pub(crate) struct Child {
    pub(crate) pid: Pid,
    /// The read end of its control channel.
    pub(crate) control: Fd,
}

/// The descriptors that the child gets, and the one through which it tells why it could not become the
/// command.
struct Ends {
    control: Fd,
    report: Fd,
}

impl Launcher {
    /// Starts the command. Returns when the kernel has taken it, or refused.
    ///
    /// # Errors
    /// Why there is no child; that was said.
    pub(crate) fn launch(&self, stop: bool) -> Result<Child, End> {
        let (pid, control, report) = self.start(stop).map_err(|errno| {
            self.log.say(log::line().text("cannot make a process for the child: ").errno(errno));
            End::NotStarted
        })?;
        // The other end closes when the kernel has taken the command.
        let mut errno = [0; 4];
        match sys::read(report.raw(), &mut errno) {
            Ok(4) => {}
            _ => return Ok(Child { pid, control }),
        }
        let errno = Errno(i32::from_ne_bytes(errno));
        self.log.cannot("run ", self.command().next().unwrap_or_default().to_bytes(), errno);
        // As a shell does: 127 for what is not there, 126 for what is there and is no program.
        Err(match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => End::NotFound,
            _ => End::NotExecutable,
        })
    }

    fn start(&self, stop: bool) -> sys::Result<(Pid, Fd, Fd)> {
        let (control, control_end) = sys::pipe()?;
        let (report, report_end) = sys::pipe()?;
        sys::never_wait(&control)?;
        match sys::fork()? {
            Some(pid) => {
                self.again.set(true);
                Ok((pid, control, report))
            }
            None => {
                let ends = Ends { control: control_end, report: report_end };
                let errno = self.become_child(&ends, stop).err().unwrap_or(Errno::NOENT);
                let _ = sys::write(ends.report.raw(), &errno.0.to_ne_bytes());
                sys::exit(End::NotFound.code())
            }
        }
    }

    /// In the new process. Whatever else is open closes at `execve`.
    fn become_child(&self, ends: &Ends, stop: bool) -> sys::Result<()> {
        sys::new_session()?;
        // Nothing of ours that is still needed has this number: the first descriptor that set-up opened has
        // it.
        sys::duplicate(&ends.control, env::CONTROL_FD)?;

        let ours: [(bool, &[u8]); 4] = [
            (true, env::CONTROL_ENTRY.to_bytes_with_nul()),
            (true, self.lifeline.as_bytes_with_nul()),
            (stop, env::STOP_ENTRY.to_bytes_with_nul()),
            (self.again.get(), env::AGAIN_ENTRY.to_bytes_with_nul()),
        ];
        let mut environment = Array::with_room(self.process.env.count() + ours.len())?;
        for entry in self.process.env {
            if !env::is_ours(entry.to_bytes()) {
                environment.push(entry.to_bytes_with_nul());
            }
        }
        for (wanted, entry) in ours {
            if wanted {
                environment.push(entry);
            }
        }

        // Last: from here on a signal may end it.
        sys::set_mask(self.mask);
        Err(self.execute(environment.strings()))
    }

    /// Becomes the command, or says why not: as `execvp` looks for it.
    fn execute(&self, environment: Strings<'_>) -> Errno {
        let args = self.command();
        let Some(command) = self.command().next() else { return Errno::NOENT };
        if command.is_empty() || command.to_bytes().contains(&b'/') {
            return sys::execute(command.to_bytes_with_nul(), args, environment);
        }
        let mut inherited = self.process.env;
        let path = inherited.find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
        let mut why = Errno::NOENT;
        for directory in path.unwrap_or(DEFAULT_PATH).split(|&byte| byte == b':') {
            let mut file = [0; MAX_PATH];
            match sys::execute(join(&mut file, directory, command.to_bytes()), args, environment) {
                // Not here. What was found elsewhere and refused is worth more in the end.
                Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => {}
                Errno::ACCES => why = Errno::ACCES,
                errno => return errno,
            }
        }
        why
    }

    /// The command and its arguments.
    fn command(&self) -> Strings<'static> {
        let mut args = self.process.args;
        for _ in 0..pause::args::COMMAND_AT {
            args.next();
        }
        args
    }
}

/// The path of a file in a directory, and a zero byte; an empty one is the current directory. Nothing, if it
/// is too long for a path. `buffer` is all zero.
fn join<'a>(buffer: &'a mut [u8], directory: &[u8], file: &[u8]) -> &'a [u8] {
    let directory = if directory.is_empty() { b"." } else { directory };
    let mut room = buffer.iter_mut();
    for byte in directory.iter().chain(b"/").chain(file) {
        match room.next() {
            Some(place) => *place = *byte,
            None => return &[],
        }
    }
    buffer
}
