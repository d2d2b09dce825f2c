//! One line to standard error. Never waits: a line that standard error has no room for is lost, because a PID
//! 1 that waits for a reader of its log answers no signal.
#![forbid(unsafe_code)]

use pause::errno::Errno;
use pause::line::Line;

use crate::sys::{self, Poll};

/// Where lines go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    fd: i32,
}

impl Log {
    /// Standard error as it was inherited.
    pub(crate) const STDERR: Self = Self::to(2);

    pub(crate) const fn to(fd: i32) -> Self {
        Self { fd }
    }

    /// Says a line that [`line`] began.
    pub(crate) fn say(self, line: &mut Line) {
        let mut room = [Poll::output(self.fd)];
        sys::poll(&mut room, Some(0));
        if room.iter().all(|poll| poll.ready()) {
            // Whether anybody reads it is not for pause to mend.
            let _ = sys::write(self.fd, line.end());
        }
    }

    /// Says what could not be done to what, and why.
    pub(crate) fn cannot(self, what: &str, name: &[u8], errno: Errno) {
        self.say(line().text("cannot ").text(what).quoted(name).text(": ").errno(errno));
    }
}

/// Begins a line.
#[inline(never)]
pub(crate) fn line() -> Line {
    let mut line = Line::new();
    line.text("pause: ");
    line
}
