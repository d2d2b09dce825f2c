//! The language of the policies: what can happen, and what pause does about it.
//!
//! Both policies, [`crate::bare`] and [`crate::supervise`], are state machines without effects: the loop in
//! `main.rs` brings an [`Event`] and the time, performs the [`Decision`], publishes the health, and waits for
//! the next event or the deadline.
#![forbid(unsafe_code)]

use crate::bare::Bare;
use crate::health::Health;
use crate::line::Line;
use crate::signals::Signal;
use crate::status::End;
use crate::supervise::Supervised;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// pause was sent a signal.
    Signal(Signal),
    /// The child ended, or could not be launched. All its frames came before.
    Ended(End),
    /// A frame: the pod's health.
    Health(Health),
    /// A frame: the pod's exit status.
    Exit(u8),
    /// A frame: a stop waits so many seconds at most, for the exit status or for the child's end.
    Hold(u32),
    /// A frame: no sandbox will come.
    CloseListener,
    /// Nobody can write to the control channel any more.
    ChannelClosed,
    /// The task container that this sandbox lives for is gone.
    LifelineGone,
    /// The deadline was reached.
    Due,
}

/// What pause does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Continue,
    /// Send the signal to the child, and to nothing else.
    Forward(Signal),
    /// Launch the child now.
    Launch {
        /// Whether it is only to clean up (`TANDEM_STOP=1`).
        stop: bool,
    },
    /// Nothing yet: the child is launched again at the deadline. To be said.
    Respawn {
        /// How it ended.
        end: End,
        /// How long it stays down, in milliseconds.
        after_ms: u32,
        /// Which of the restarts that the window allows this is, from 1.
        attempt: u8,
    },
    /// Nothing yet: a stop waits for the exit status. To be said.
    Wait {
        /// How long at most, in seconds.
        secs: u32,
    },
    /// Nothing: nobody runs the pod. To be said.
    Unattended {
        /// Whether somebody could speak to this pause, and has not.
        line: bool,
    },
    /// Stop listening for a sandbox.
    CloseListener,
    /// End with this status. Nothing else ends pause once it is set up.
    Exit {
        /// The exit status.
        status: u8,
        /// The reason.
        why: Why,
    },
}

/// Why pause ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was asked to.
    Stop,
    /// It was given the exit status.
    Verdict,
    /// The child came to an end that counts.
    Ended(End),
    /// The child crashed once more than it may.
    GaveUp(End),
    /// No exit status came within so many seconds; or the child, which ends with pause, did not end.
    HoldOver(u32),
    /// The task container is gone.
    LifelineGone,
}

impl Decision {
    /// Says what a user should know of it. False: nothing.
    pub fn describe(self, line: &mut Line) -> bool {
        match self {
            Self::Respawn { end, after_ms, attempt } => {
                describe_end(end, line)
                    .text(": starting it again in ")
                    .number(after_ms)
                    .text(" ms (")
                    .number(u32::from(attempt))
                    .text(" of ")
                    .text(BOUND)
                    .text(")");
            }
            Self::Exit { why: Why::GaveUp(end), .. } => {
                describe_end(end, line).text(" once more than ").text(BOUND).text(" can mend: ending");
            }
            Self::Exit { why: Why::Ended(end @ End::Killed(_)), .. } => {
                describe_end(end, line).text(": ending");
            }
            Self::Wait { secs } => {
                line.text("asked to stop: waiting for the exit status, up to ").number(secs).text(" s");
            }
            Self::Exit { why: Why::HoldOver(secs), .. } => {
                line.text("no exit status within ").number(secs).text(" s: ending");
            }
            Self::Unattended { line: true } => {
                line.text("no manager has spoken for 10 s: does one run here for the label `pod.manager`?");
            }
            Self::Unattended { line: false } => {
                line.text("no standard input for a manager: set `stdin_open: true` (`-i`)");
            }
            Self::Exit { why: Why::LifelineGone, .. } => {
                line.text("the task container has hung up: ending");
            }
            Self::Continue
            | Self::Forward(_)
            | Self::Launch { .. }
            | Self::CloseListener
            | Self::Exit { why: Why::Stop | Why::Verdict | Why::Ended(_), .. } => return false,
        }
        true
    }
}

fn describe_end(end: End, line: &mut Line) -> &mut Line {
    match end {
        End::Killed(signal) => line.text("the child was killed by signal ").number(u32::from(signal)),
        _ => line.text("the child could not be started"),
    }
}

/// [`Supervised::MOST_RESTARTS`] and [`WINDOW_MS`](crate::supervise::WINDOW_MS) in words.
const BOUND: &str = "5 restarts within 60 s";

/// A pause that is set up.
#[derive(Debug)]
pub enum State {
    /// It holds namespaces, and no more.
    Bare(Bare),
    /// It looks after a child.
    Supervised(Supervised),
}

impl State {
    /// Takes in what happened, and decides. `now_ms`: milliseconds of a clock that only goes forward.
    pub fn step(&mut self, event: Event, now_ms: u64) -> Decision {
        match self {
            Self::Bare(bare) => bare.step(event, now_ms),
            Self::Supervised(supervised) => supervised.step(event, now_ms),
        }
    }

    /// When [`Event::Due`] is to come, on the clock of [`State::step`]; `None`: wait for ever.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        match self {
            Self::Bare(bare) => bare.deadline_ms(),
            Self::Supervised(supervised) => supervised.deadline_ms(),
        }
    }

    /// The health to publish.
    #[must_use]
    pub fn health(&self) -> Health {
        match self {
            Self::Bare(bare) => bare.health(),
            Self::Supervised(supervised) => supervised.health(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silence_in_words_is_the_silence() {
        let mut line = Line::new();
        Decision::Unattended { line: true }.describe(&mut line);
        let secs = format!("for {} s:", crate::bare::SILENCE_MS / 1000);
        assert!(String::from_utf8_lossy(line.end()).contains(&secs));
    }

    #[test]
    fn the_bound_in_words_is_the_bound() {
        let secs = crate::supervise::WINDOW_MS / 1000;
        assert_eq!(BOUND, format!("{} restarts within {secs} s", Supervised::MOST_RESTARTS));
    }

    #[test]
    fn what_a_user_should_know_is_one_clear_line() {
        let killed = End::Killed(9);
        let exit = |why| Decision::Exit { status: 0, why };
        let cases = [
            (
                Decision::Respawn { end: killed, after_ms: 100, attempt: 1 },
                "the child was killed by signal 9: starting it again in 100 ms (1 of 5 restarts within 60 s)\n",
            ),
            (
                Decision::Respawn { end: End::NotStarted, after_ms: 5000, attempt: 5 },
                "the child could not be started: starting it again in 5000 ms (5 of 5 restarts within 60 s)\n",
            ),
            (
                exit(Why::GaveUp(killed)),
                "the child was killed by signal 9 once more than 5 restarts within 60 s can mend: ending\n",
            ),
            (exit(Why::Ended(killed)), "the child was killed by signal 9: ending\n"),
            (Decision::Wait { secs: 8 }, "asked to stop: waiting for the exit status, up to 8 s\n"),
            (exit(Why::HoldOver(8)), "no exit status within 8 s: ending\n"),
            (exit(Why::LifelineGone), "the task container has hung up: ending\n"),
            (
                Decision::Unattended { line: true },
                "no manager has spoken for 10 s: does one run here for the label `pod.manager`?\n",
            ),
            (
                Decision::Unattended { line: false },
                "no standard input for a manager: set `stdin_open: true` (`-i`)\n",
            ),
        ];
        for (decision, want) in cases {
            let mut line = Line::new();
            assert!(decision.describe(&mut line), "{decision:?}");
            assert_eq!(String::from_utf8_lossy(line.end()), want);
        }
    }

    #[test]
    fn the_ordinary_is_not_worth_a_line() {
        let exit = |why| Decision::Exit { status: 0, why };
        let cases = [
            Decision::Continue,
            Decision::Forward(Signal::Hup),
            Decision::Launch { stop: false },
            Decision::CloseListener,
            exit(Why::Stop),
            exit(Why::Verdict),
            exit(Why::Ended(End::Exited(3))),
        ];
        for decision in cases {
            assert!(!decision.describe(&mut Line::new()), "{decision:?}");
        }
    }
}
