//! The one place where pause waits, and everything that can wake it. Nothing does while nothing happens: no
//! timer runs but the policy's own deadline.
#![forbid(unsafe_code)]

use pause::signals::{SIGCHLD, Signal};
use pause::status::End;
use pause::step::Event;

use crate::channel::Channel;
use crate::launch::Child;
use crate::lifeline::Lifeline;
use crate::sys::{self, Fd, Pid, Poll};

/// Reads of the channel after the child's end: all that a pipe holds (64 KiB, `pipe(7)`). What a grandchild
/// goes on writing is not waited for.
const LAST_READS: u8 = 64;

/// Where events come from.
#[derive(Debug)]
pub(crate) struct Events<'b> {
    signals: Fd,
    /// The control channel.
    pub(crate) channel: Channel<'b>,
    /// The tie to a sandbox, or to the task container.
    pub(crate) lifeline: Lifeline,
    child: Option<Pid>,
    /// How the child ended, while what it wrote before is still being read.
    ended: Option<(End, u8)>,
    /// A child ended since the last look. SIGCHLD is one signal for any number of them.
    reaping: bool,
}

impl<'b> Events<'b> {
    pub(crate) const fn new(signals: Fd, channel: Channel<'b>, lifeline: Lifeline) -> Self {
        Self { signals, channel, lifeline, child: None, ended: None, reaping: false }
    }

    /// From now on this child's end is an event; or its launch failed, which is one too.
    pub(crate) fn watch(&mut self, child: Result<Child, End>) {
        match child {
            Ok(Child { pid, control }) => {
                self.child = Some(pid);
                self.channel.open(control);
            }
            Err(end) => self.ended = Some((end, 0)),
        }
    }

    /// Sends the child a signal. Its number is its own until it is reaped, which happens here and nowhere
    /// else.
    pub(crate) fn forward(&self, signal: Signal) -> sys::Result<()> {
        self.child.map_or(Ok(()), |pid| sys::kill(pid, signal.number()))
    }

    /// Waits for the next event, and says when it came.
    pub(crate) fn next(&mut self, deadline_ms: Option<u64>) -> (Event, u64) {
        loop {
            if let Some(event) = self.at_hand() {
                return (event, sys::now_ms());
            }
            let now_ms = sys::now_ms();
            if deadline_ms.is_some_and(|deadline| now_ms >= deadline) {
                return (Event::Due, now_ms);
            }
            if let Some(event) = self.wait(deadline_ms.map(|deadline| deadline - now_ms)) {
                return (event, sys::now_ms());
            }
        }
    }

    /// What can be told without waiting.
    fn at_hand(&mut self) -> Option<Event> {
        while core::mem::take(&mut self.reaping) {
            while let Some((pid, status)) = sys::reap() {
                if self.child == Some(pid) {
                    self.child = None;
                    self.ended = Some((End::from_wait(status), LAST_READS));
                }
            }
        }
        loop {
            if let Some(event) = self.channel.next() {
                return Some(event);
            }
            // What the child said before it ended comes first: the exit status of the pod may be in it.
            match &mut self.ended {
                Some((_, reads @ 1..)) if self.channel.fill() => *reads -= 1,
                Some((end, _)) => {
                    let end = *end;
                    self.ended = None;
                    self.channel.close();
                    return Some(Event::Ended(end));
                }
                None => return None,
            }
        }
    }

    fn wait(&mut self, limit_ms: Option<u64>) -> Option<Event> {
        let mut polls = [
            Poll::input(&self.signals),
            self.channel.poll_source(),
            self.channel.poll_output(),
            self.lifeline.poll(),
        ];
        sys::poll(&mut polls, limit_ms);
        // What was read is told at the next call; the others come first.
        let [signals, source, output, lifeline] = polls.map(Poll::ready);
        if source {
            self.channel.fill();
        }
        if output {
            self.channel.flush();
        }
        let event = if lifeline { self.lifeline.ready() } else { None };
        event.or_else(|| if signals { self.signal() } else { None })
    }

    fn signal(&mut self) -> Option<Event> {
        let number = sys::next_signal(&self.signals)?;
        self.reaping |= number == u32::from(SIGCHLD);
        Signal::from_number(number).map(Event::Signal)
    }
}
