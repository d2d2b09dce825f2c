//! The policy of a bare pause: it ends when it is asked to, unless a manager outside asked for time to clean
//! up (a hold).
//!
//! | state | event | what happens |
//! |---|---|---|
//! | any | exit frame N | ends with N |
//! | any | the lifeline has ended | ends with 0 |
//! | running, no hold | TERM, INT | ends with 0, or 1 |
//! | running, hold | TERM, INT | stopping: says so, waits up to the limit |
//! | running | hold frame N | the hold is N seconds; 0: none |
//! | running | channel closed | no hold, and no line: nobody can speak to it any more |
//! | stopping | hold frame N | the limit is N seconds after the stop was asked for; 0: ends with 0, or 1 |
//! | stopping | TERM, INT | nothing: it is asked for already |
//! | stopping | the limit is reached | ends with 1: whoever asked for time has not settled it |
//! | stopping | channel closed | ends with 0 |
//! | running, nothing came over the channel | [`SILENCE_MS`] after the start | says so, once |
//!
//! One that a manager has started (`TANDEM_HELD`, or with a lifeline) expects nobody, and says nothing. One without a
//! channel says at once that nobody can speak to it.
//!
//! It is 1 where it has a line (it is a pod's, and no sandbox) and was not told last that the pod is healthy.
//! Why not 0: Swarm stops a task that does not get healthy, and takes one that ends with 0 for complete. Nothing would come
//! in its place.
#![forbid(unsafe_code)]

use crate::control::MAX_HOLD_SECS;
use crate::health::Health;
use crate::step::{Decision, Event, Why};

/// How long a pause waits for a word of its manager before it says that there is none, in milliseconds.
pub const SILENCE_MS: u64 = 10_000;

/// A time that does not come, in milliseconds.
const NEVER: u64 = u64::MAX;

/// The state of a bare pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bare {
    health: Health,
    /// What a stop ends with.
    status: u8,
    /// How long a stop waits for the exit status, in seconds.
    hold_secs: u32,
    /// When a stop was asked for that waits now, in milliseconds.
    stopping_since_ms: Option<u64>,
    /// When it is said that nobody has spoken, in milliseconds; [`NEVER`] where somebody has, or nobody will.
    silent_until_ms: u64,
}

impl Bare {
    /// A bare pause that was told nothing yet; `line` where somebody can tell it something.
    #[must_use]
    pub const fn new(line: bool) -> Self {
        Self {
            health: Health::Starting,
            status: line as u8,
            hold_secs: 0,
            stopping_since_ms: None,
            silent_until_ms: NEVER,
        }
    }

    /// The same, of a pod that a manager is to run: it says when nobody does.
    #[must_use]
    pub const fn expecting(mut self, now_ms: u64) -> Self {
        let line = self.status != 0;
        self.silent_until_ms = now_ms + if line { SILENCE_MS } else { 0 };
        self
    }

    /// Takes in what happened, and decides; see the table above.
    pub fn step(&mut self, event: Event, now_ms: u64) -> Decision {
        if matches!(event, Event::Health(_) | Event::Hold(_)) {
            self.silent_until_ms = NEVER;
        }
        match event {
            Event::Exit(status) => return Decision::Exit { status, why: Why::Verdict },
            Event::LifelineGone => return Decision::Exit { status: 0, why: Why::LifelineGone },
            Event::Health(health) => {
                self.health = health;
                self.status = u8::from(!matches!(health, Health::Healthy));
            }
            Event::Hold(secs) => self.hold_secs = secs.min(MAX_HOLD_SECS),
            Event::ChannelClosed => (self.hold_secs, self.status) = (0, 0),
            Event::Signal(signal) if signal.is_stop() && self.stopping_since_ms.is_none() => {
                self.stopping_since_ms = Some(now_ms);
                if self.hold_secs > 0 {
                    return Decision::Wait { secs: self.hold_secs };
                }
            }
            Event::Due if now_ms >= self.silent_until_ms => {
                self.silent_until_ms = NEVER;
                return Decision::Unattended { line: self.status != 0 };
            }
            Event::Due => {
                if self.hold_over_ms().is_some_and(|deadline| now_ms >= deadline) {
                    return Decision::Exit { status: 1, why: Why::HoldOver(self.hold_secs) };
                }
            }
            Event::Signal(_) | Event::Ended(_) | Event::CloseListener => {}
        }
        match self.stopping_since_ms {
            Some(_) if self.hold_secs == 0 => Decision::Exit { status: self.status, why: Why::Stop },
            _ => Decision::Continue,
        }
    }

    /// When the hold of a stop is over, or it is to be said that nobody has spoken.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let first = self.hold_over_ms().unwrap_or(NEVER).min(self.silent_until_ms);
        (first < NEVER).then_some(first)
    }

    fn hold_over_ms(&self) -> Option<u64> {
        self.stopping_since_ms.map(|since| since.saturating_add(u64::from(self.hold_secs) * 1000))
    }

    /// The health to publish.
    #[must_use]
    pub const fn health(&self) -> Health {
        match self.stopping_since_ms {
            Some(_) => Health::Stopping,
            None => self.health,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Signal;
    use crate::status::End;

    const TERM: Event = Event::Signal(Signal::Term);
    const INT: Event = Event::Signal(Signal::Int);

    fn exit(status: u8, why: Why) -> Decision {
        Decision::Exit { status, why }
    }

    #[test]
    fn every_story_ends_as_the_table_says() {
        use Decision::{Continue, Wait};
        type Story<'a> = &'a [(u64, Event, Decision)];
        let cases: [(&str, Story<'_>); 19] = [
            (
                "TERM ends it at once, and a pod that nobody has begun is no success",
                &[(0, TERM, exit(1, Why::Stop))],
            ),
            ("so does INT", &[(0, INT, exit(1, Why::Stop))]),
            (
                "a pod that was healthy is one",
                &[(0, Event::Health(Health::Healthy), Continue), (1, TERM, exit(0, Why::Stop))],
            ),
            (
                "one that was not is none",
                &[(0, Event::Health(Health::Unhealthy), Continue), (1, TERM, exit(1, Why::Stop))],
            ),
            (
                "no other signal does",
                &[
                    (0, Event::Signal(Signal::Hup), Continue),
                    (0, Event::Signal(Signal::Quit), Continue),
                    (0, Event::Signal(Signal::Usr1), Continue),
                    (0, Event::Signal(Signal::Usr2), Continue),
                    (0, Event::Signal(Signal::Winch), Continue),
                ],
            ),
            ("an exit frame ends it with its status", &[(0, Event::Exit(255), exit(255, Why::Verdict))]),
            ("the lifeline's end ends it", &[(0, Event::LifelineGone, exit(0, Why::LifelineGone))]),
            (
                "a closed channel does not end it, and TERM then does at once",
                &[(0, Event::ChannelClosed, Continue), (1, TERM, exit(0, Why::Stop))],
            ),
            (
                "a hold makes TERM wait for the exit status",
                &[
                    (0, Event::Hold(10), Continue),
                    (5, TERM, Wait { secs: 10 }),
                    (6, Event::Health(Health::Healthy), Continue),
                    (9, Event::Exit(3), exit(3, Why::Verdict)),
                ],
            ),
            (
                "the wait has a limit",
                &[
                    (0, Event::Hold(10), Continue),
                    (5, INT, Wait { secs: 10 }),
                    (10_005, Event::Due, exit(1, Why::HoldOver(10))),
                ],
            ),
            (
                "coming too early is not reaching the limit",
                &[
                    (0, Event::Hold(10), Continue),
                    (5, TERM, Wait { secs: 10 }),
                    (10_004, Event::Due, Continue),
                ],
            ),
            (
                "a second TERM does not make the limit later",
                &[
                    (0, Event::Hold(10), Continue),
                    (5, TERM, Wait { secs: 10 }),
                    (9000, TERM, Continue),
                    (10_005, Event::Due, exit(1, Why::HoldOver(10))),
                ],
            ),
            (
                "a hold of 0 releases",
                &[
                    (0, Event::Hold(10), Continue),
                    (0, Event::Health(Health::Healthy), Continue),
                    (1, Event::Hold(0), Continue),
                    (2, TERM, exit(0, Why::Stop)),
                ],
            ),
            (
                "a hold of 0 while it waits ends it",
                &[
                    (0, Event::Hold(10), Continue),
                    (1, TERM, Wait { secs: 10 }),
                    (2, Event::Hold(0), exit(1, Why::Stop)),
                ],
            ),
            (
                "a new hold while it waits moves the limit, counted from the stop",
                &[
                    (0, Event::Hold(10), Continue),
                    (1000, TERM, Wait { secs: 10 }),
                    (5000, Event::Hold(20), Continue),
                    (11_000, Event::Due, Continue),
                    (21_000, Event::Due, exit(1, Why::HoldOver(20))),
                ],
            ),
            (
                "the channel's end releases the hold",
                &[
                    (0, Event::Hold(10), Continue),
                    (1, Event::ChannelClosed, Continue),
                    (2, TERM, exit(0, Why::Stop)),
                ],
            ),
            (
                "the channel's end while it waits ends it",
                &[
                    (0, Event::Hold(10), Continue),
                    (1, TERM, Wait { secs: 10 }),
                    (2, Event::ChannelClosed, exit(0, Why::Stop)),
                ],
            ),
            (
                "no hold is longer than the longest",
                &[(0, Event::Hold(u32::MAX), Continue), (1, TERM, Wait { secs: MAX_HOLD_SECS })],
            ),
            (
                "what belongs to a child means nothing",
                &[(0, Event::Ended(End::Exited(1)), Continue), (0, Event::CloseListener, Continue)],
            ),
        ];
        for (case, story) in cases {
            let mut bare = Bare::new(true);
            for &(now, event, want) in story {
                assert_eq!(bare.step(event, now), want, "{case}: {event:?} at {now}");
            }
        }
    }

    #[test]
    fn that_nobody_runs_the_pod_is_said_once() {
        let unattended = |line| Decision::Unattended { line };
        let mut silent = Bare::new(true).expecting(5);
        assert_eq!(silent.deadline_ms(), Some(5 + SILENCE_MS));
        assert_eq!(silent.step(Event::Due, 4 + SILENCE_MS), Decision::Continue);
        assert_eq!(silent.step(Event::Due, 5 + SILENCE_MS), unattended(true));
        assert_eq!((silent.deadline_ms(), silent.step(Event::Due, NEVER - 1)), (None, Decision::Continue));
        assert_eq!(silent.step(TERM, NEVER - 1), exit(1, Why::Stop));

        for word in [Event::Hold(10), Event::Health(Health::Starting)] {
            let mut attended = Bare::new(true).expecting(0);
            attended.step(word, 1);
            assert_eq!(attended.deadline_ms(), None, "{word:?}");
        }
        // Without a line nobody can ever speak.
        let mut deaf = Bare::new(false).expecting(7);
        assert_eq!((deaf.deadline_ms(), deaf.step(Event::Due, 7)), (Some(7), unattended(false)));
        assert_eq!((deaf.deadline_ms(), deaf.step(TERM, 8)), (None, exit(0, Why::Stop)));
    }

    #[test]
    fn one_without_a_line_is_no_pods_and_ends_with_0() {
        assert_eq!(Bare::new(false).step(TERM, 0), exit(0, Why::Stop));
    }

    #[test]
    fn it_waits_for_ever_unless_a_stop_waits() {
        let mut bare = Bare::new(true);
        assert_eq!(bare.deadline_ms(), None);
        bare.step(Event::Hold(10), 0);
        assert_eq!(bare.deadline_ms(), None);
        bare.step(TERM, 7);
        assert_eq!(bare.deadline_ms(), Some(10_007));
    }

    #[test]
    fn health_is_what_was_said_last_and_stopping_from_the_stop_on() {
        let mut bare = Bare::new(true);
        assert_eq!(bare.health(), Health::Starting);
        bare.step(Event::Hold(10), 0);
        for health in Health::ALL {
            bare.step(Event::Health(health), 0);
            assert_eq!(bare.health(), health);
        }
        bare.step(TERM, 0);
        bare.step(Event::Health(Health::Healthy), 0);
        assert_eq!(bare.health(), Health::Stopping);
    }
}
