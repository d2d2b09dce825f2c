//! The policy of a supervising pause: when its child is launched, what becomes of a signal, and when pause
//! ends with what.
//!
//! A *life* is one process of the child. It *speaks* when it sends a frame, which it does once its signal
//! handlers stand. *Ending* means that a stop was requested (TERM or INT came) or a verdict given (an exit
//! frame came): what is launched from then on is only to clean up.
//!
//! | child | event | what happens |
//! |---|---|---|
//! | up | a signal of [`Signal::ALL`] | it is forwarded; TERM and INT are remembered as a stop, and wait up to [`YOUNG_MS`] for a young child to speak |
//! | down | TERM, INT | remembered as a stop; the child is launched at once, to clean up |
//! | down | another signal | nothing: there is nobody to tell |
//! | down | the deadline | it is launched |
//! | up | exits with N | pause ends with the verdict, else with N |
//! | up | cannot be executed, is not found | pause ends with 126, 127 |
//! | up | killed by a signal that a stop forwarded to this life | the end: 128 + signal, or the verdict; but a crash if an earlier life had spoken and this one had not: it died before it could have its handlers, and left what the earlier one made |
//! | up | killed by any other signal (a crash), or no process could be made | not ending: launched again after [`BACKOFF_MS`]; ending: at once; beyond [`Supervised::MOST_RESTARTS`] in any [`WINDOW_MS`]: the end, as above |
//! | any | health frame | published, unless ending: then the health is "stopping" |
//! | any | exit frame N | remembered as the verdict, unless there is one: a life that only cleans up knows less |
//! | any | hold frame N | the child has N seconds from the stop or the verdict, whichever came first; [`HOLD_SECS`] until then |
//! | any | this time is over | pause kills the child and ends with the verdict, else with 137 |
//!
//! A crash also takes the health back to "starting", until the next life speaks.
#![forbid(unsafe_code)]

use crate::health::Health;
use crate::signals::{Signal, SignalSet};
use crate::status::End;
use crate::step::{Decision, Event, Why};

/// A time that does not come, in milliseconds.
const NEVER: u64 = u64::MAX;

/// The status of a child that ends with pause: the kernel kills what is left when PID 1 ends.
const KILLED: u8 = 128 + 9;

/// How long the child stays down after each crash within [`WINDOW_MS`], in milliseconds.
pub const BACKOFF_MS: [u32; 5] = [100, 500, 1500, 3000, 5000];

/// How long TERM and INT wait for a young child to speak, in milliseconds: one that comes before its handlers
/// stand would kill it, and a stop that was asked for would look like a crash.
pub const YOUNG_MS: u64 = 500;

/// How long the child may take to end after a stop or a verdict, until it says how long, in seconds: the manager's default
/// `--stop-timeout` of 6 s, and 3 s to clean up. Swarm kills after 10 s by default.
pub const HOLD_SECS: u32 = 9;

/// How long a restart counts, in milliseconds.
pub const WINDOW_MS: u64 = 60_000;

/// The state of a supervising pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervised {
    child: Child,
    health: Health,
    /// TERM or INT came.
    stop: bool,
    /// The exit frame's status.
    verdict: Option<u8>,
    /// Whether an earlier life spoke.
    spoke_earlier: bool,
    /// How long the child may take to end after a stop or a verdict, in seconds.
    hold_secs: u32,
    /// When a stop was requested or a verdict given, in milliseconds; [`NEVER`] before.
    ending_since_ms: u64,
    /// When the last restarts were, in milliseconds.
    restarts_ms: [Option<u64>; BACKOFF_MS.len()],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Child {
    /// The first life is due.
    Unborn {
        launch_at_ms: u64,
    },
    Down {
        launch_at_ms: u64,
    },
    Up {
        /// Whether this life spoke.
        spoke: bool,
        /// What was forwarded to this life.
        forwarded: SignalSet,
        /// Until when a stop waits for this life to speak, in milliseconds.
        young_until_ms: u64,
        /// The stop that waits.
        held: Option<Signal>,
    },
}

impl Supervised {
    /// Most restarts within any [`WINDOW_MS`].
    pub const MOST_RESTARTS: u8 = BACKOFF_MS.len() as u8;

    /// A pause whose child is to be launched at once.
    #[must_use]
    pub const fn new(now_ms: u64) -> Self {
        Self {
            child: Child::Unborn { launch_at_ms: now_ms },
            health: Health::Starting,
            stop: false,
            verdict: None,
            spoke_earlier: false,
            hold_secs: HOLD_SECS,
            ending_since_ms: NEVER,
            restarts_ms: [None; BACKOFF_MS.len()],
        }
    }

    /// Takes in what happened, and decides; see the table above.
    pub fn step(&mut self, event: Event, now_ms: u64) -> Decision {
        let speaks = matches!(event, Event::Health(_) | Event::Exit(_) | Event::CloseListener);
        if let (true, Child::Up { spoke, young_until_ms, .. }) = (speaks, &mut self.child) {
            *spoke = true;
            // What was held is due now.
            *young_until_ms = 0;
        }
        if now_ms >= self.hold_over_ms() {
            let status = self.verdict.unwrap_or(KILLED);
            return Decision::Exit { status, why: Why::HoldOver(self.hold_secs) };
        }
        match event {
            Event::Signal(signal) => return self.signal(signal, now_ms),
            Event::Ended(end) => return self.ended(end, now_ms),
            Event::Due => return self.due(now_ms),
            Event::CloseListener => return Decision::CloseListener,
            Event::Health(health) => self.health = health,
            Event::Exit(status) => {
                self.verdict = self.verdict.or(Some(status));
                self.ending_since_ms = self.ending_since_ms.min(now_ms);
            }
            Event::Hold(secs) => self.hold_secs = secs,
            Event::ChannelClosed | Event::LifelineGone => {}
        }
        Decision::Continue
    }

    /// When the child is to be launched, a stop that was held back is to be forwarded, or the time to end is over.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let child = match self.child {
            Child::Unborn { launch_at_ms } | Child::Down { launch_at_ms } => launch_at_ms,
            Child::Up { held: Some(_), young_until_ms, .. } => young_until_ms,
            Child::Up { .. } => NEVER,
        };
        let first = child.min(self.hold_over_ms());
        (first < NEVER).then_some(first)
    }

    /// When the time to end is over.
    fn hold_over_ms(&self) -> u64 {
        self.ending_since_ms.saturating_add(u64::from(self.hold_secs) * 1000)
    }

    /// The health to publish.
    #[must_use]
    pub const fn health(&self) -> Health {
        if self.ending() { Health::Stopping } else { self.health }
    }

    const fn ending(&self) -> bool {
        self.ending_since_ms < NEVER
    }

    fn signal(&mut self, signal: Signal, now_ms: u64) -> Decision {
        if signal.is_stop() {
            self.stop = true;
            self.ending_since_ms = self.ending_since_ms.min(now_ms);
        }
        match &mut self.child {
            Child::Up { held, young_until_ms, .. } if signal.is_stop() && now_ms < *young_until_ms => {
                *held = Some(signal);
                Decision::Continue
            }
            Child::Up { forwarded, .. } => {
                *forwarded = forwarded.with(signal.number());
                Decision::Forward(signal)
            }
            Child::Unborn { launch_at_ms } | Child::Down { launch_at_ms } => {
                if signal.is_stop() {
                    *launch_at_ms = now_ms;
                }
                Decision::Continue
            }
        }
    }

    fn due(&mut self, now_ms: u64) -> Decision {
        if let Child::Up { forwarded, held, young_until_ms, .. } = &mut self.child {
            if now_ms < *young_until_ms {
                return Decision::Continue;
            }
            let Some(signal) = held.take() else { return Decision::Continue };
            *forwarded = forwarded.with(signal.number());
            return Decision::Forward(signal);
        }
        match self.child {
            Child::Unborn { launch_at_ms } if now_ms >= launch_at_ms => {}
            Child::Down { launch_at_ms } if now_ms >= launch_at_ms => self.remember_restart(now_ms),
            Child::Unborn { .. } | Child::Down { .. } | Child::Up { .. } => return Decision::Continue,
        }
        self.child = Child::Up {
            spoke: false,
            forwarded: SignalSet::EMPTY,
            young_until_ms: now_ms.saturating_add(YOUNG_MS),
            held: None,
        };
        Decision::Launch { stop: self.ending() }
    }

    fn ended(&mut self, end: End, now_ms: u64) -> Decision {
        let Child::Up { spoke, forwarded, .. } = self.child else { return Decision::Continue };
        // A life that died before it could have its handlers left what an earlier one made.
        let unready = self.spoke_earlier && !spoke;
        self.spoke_earlier |= spoke;
        self.health = Health::Starting;
        let attempt = self.restarts_within_window(now_ms);
        match end {
            End::Exited(_) => Decision::Exit { status: self.last_word(end), why: Why::Ended(end) },
            End::NotFound | End::NotExecutable => Decision::Exit { status: end.code(), why: Why::Ended(end) },
            End::Killed(signal) if self.stop && forwarded.contains(signal) && !unready => {
                Decision::Exit { status: self.last_word(end), why: Why::Ended(end) }
            }
            End::Killed(_) | End::NotStarted => match BACKOFF_MS.get(usize::from(attempt)) {
                None => Decision::Exit { status: self.last_word(end), why: Why::GaveUp(end) },
                Some(&backoff_ms) => {
                    let after_ms = if self.ending() { 0 } else { backoff_ms };
                    self.child = Child::Down { launch_at_ms: now_ms.saturating_add(u64::from(after_ms)) };
                    Decision::Respawn { end, after_ms, attempt: attempt + 1 }
                }
            },
        }
    }

    /// The status to end with: the verdict, if one was given.
    fn last_word(&self, end: End) -> u8 {
        self.verdict.unwrap_or(end.code())
    }

    fn restarts_within_window(&self, now_ms: u64) -> u8 {
        self.restarts_ms.iter().filter(|at| counts(at, now_ms)).count() as u8
    }

    fn remember_restart(&mut self, now_ms: u64) {
        // There is one: `ended` lets no restart begin while all of them count.
        if let Some(forgotten) = self.restarts_ms.iter_mut().find(|at| !counts(at, now_ms)) {
            *forgotten = Some(now_ms);
        }
    }
}

/// Whether a restart is less than a window old.
fn counts(at_ms: &Option<u64>, now_ms: u64) -> bool {
    at_ms.is_some_and(|at| now_ms.saturating_sub(at) < WINDOW_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Event = Event::Signal(Signal::Term);
    const INT: Event = Event::Signal(Signal::Int);
    const HUP: Event = Event::Signal(Signal::Hup);
    const SPEAK: Event = Event::Health(Health::Healthy);
    const SEGV: Event = Event::Ended(End::Killed(11));
    const BY_TERM: Event = Event::Ended(End::Killed(15));
    const BY_KILL: Event = Event::Ended(End::Killed(9));

    fn exited(status: u8) -> Event {
        Event::Ended(End::Exited(status))
    }

    fn forward(signal: Signal) -> Decision {
        Decision::Forward(signal)
    }

    fn launch(stop: bool) -> Decision {
        Decision::Launch { stop }
    }

    fn respawn(signal: u8, after_ms: u32, attempt: u8) -> Decision {
        Decision::Respawn { end: End::Killed(signal), after_ms, attempt }
    }

    fn end(status: u8, end: End) -> Decision {
        Decision::Exit { status, why: Why::Ended(end) }
    }

    fn gave_up(status: u8, signal: u8) -> Decision {
        Decision::Exit { status, why: Why::GaveUp(End::Killed(signal)) }
    }

    /// Plays a story that begins with the first launch at 0.
    fn play(case: &str, story: &[(u64, Event, Decision)]) -> Supervised {
        let mut pause = Supervised::new(0);
        assert_eq!(pause.deadline_ms(), Some(0), "{case}");
        assert_eq!(pause.step(Event::Due, 0), launch(false), "{case}");
        for &(now, event, want) in story {
            // Told from the moment when the first life is no longer young.
            assert_eq!(pause.step(event, YOUNG_MS + now), want, "{case}: {event:?} at {now}");
            let idle = matches!(pause.child, Child::Up { held: None, .. }) && !pause.ending();
            assert_eq!(
                pause.deadline_ms().is_none(),
                idle,
                "{case}: a deadline exactly while the child is down, a stop is held back, or it ends"
            );
        }
        pause
    }

    #[test]
    fn an_exit_status_is_the_end_and_passed_on() {
        for status in 0..=255 {
            let want = end(status, End::Exited(status));
            play("by itself", &[(1, exited(status), want)]);
            play("asked to stop", &[(1, TERM, forward(Signal::Term)), (2, exited(status), want)]);
        }
    }

    #[test]
    fn what_cannot_run_is_never_tried_again() {
        for (failure, status) in [(End::NotFound, 127), (End::NotExecutable, 126)] {
            play("at first", &[(0, Event::Ended(failure), end(status, failure))]);
            play(
                "after a crash",
                &[
                    (0, SEGV, respawn(11, 100, 1)),
                    (100, Event::Due, launch(false)),
                    (100, Event::Ended(failure), end(status, failure)),
                ],
            );
        }
    }

    #[test]
    fn a_stop_waits_until_a_young_child_speaks_or_is_no_longer_young() {
        use Decision::Continue;
        let born = |story: &[(u64, Event, Decision)]| {
            let mut pause = Supervised::new(0);
            assert_eq!(pause.step(Event::Due, 0), launch(false));
            for &(now, event, want) in story {
                assert_eq!(pause.step(event, now), want, "{event:?} at {now}");
            }
            pause
        };
        let held = born(&[(1, TERM, Continue), (2, Event::Due, Continue)]);
        assert_eq!(held.deadline_ms(), Some(YOUNG_MS));
        assert_eq!(held.health(), Health::Stopping);
        let grown = born(&[(1, INT, Continue), (YOUNG_MS, Event::Due, forward(Signal::Int))]);
        assert_eq!(grown.deadline_ms(), Some(1 + u64::from(HOLD_SECS) * 1000));
        let spoke = born(&[(1, TERM, Continue), (2, SPEAK, Continue)]);
        assert_eq!(spoke.deadline_ms(), Some(0), "due at once");
        born(&[(1, TERM, Continue), (2, SPEAK, Continue), (2, Event::Due, forward(Signal::Term))]);
        born(&[(1, SPEAK, Continue), (2, TERM, forward(Signal::Term))]);
        born(&[(1, HUP, forward(Signal::Hup))]);
        born(&[(1, TERM, Continue), (2, exited(3), end(3, End::Exited(3)))]);
        born(&[(1, TERM, Continue), (2, SEGV, respawn(11, 0, 1)), (2, Event::Due, launch(true))]);
    }

    #[test]
    fn every_signal_is_forwarded_to_a_child_that_is_up() {
        for signal in Signal::ALL {
            play("up", &[(1, Event::Signal(signal), forward(signal))]);
        }
    }

    #[test]
    fn a_crash_is_restarted_after_a_back_off_five_times_a_minute() {
        play(
            "five crashes in a row, and one more",
            &[
                (0, SEGV, respawn(11, 100, 1)),
                (100, Event::Due, launch(false)),
                (100, SEGV, respawn(11, 500, 2)),
                (600, Event::Due, launch(false)),
                (600, SEGV, respawn(11, 1500, 3)),
                (2100, Event::Due, launch(false)),
                (2100, SEGV, respawn(11, 3000, 4)),
                (5100, Event::Due, launch(false)),
                (5100, SEGV, respawn(11, 5000, 5)),
                (10_100, Event::Due, launch(false)),
                (10_100, BY_KILL, gave_up(128 + 9, 9)),
            ],
        );
    }

    #[test]
    fn a_restart_is_forgotten_after_a_minute() {
        play(
            "a crash a minute goes on for ever",
            &[
                (0, SEGV, respawn(11, 100, 1)),
                (100, Event::Due, launch(false)),
                (60_099, SEGV, respawn(11, 500, 2)),
                (60_599, Event::Due, launch(false)),
                (120_599, SEGV, respawn(11, 100, 1)),
            ],
        );
        play(
            "the sixth crash is restarted once the first restart is a minute old",
            &[
                (0, SEGV, respawn(11, 100, 1)),
                (100, Event::Due, launch(false)),
                (100, SEGV, respawn(11, 500, 2)),
                (600, Event::Due, launch(false)),
                (600, SEGV, respawn(11, 1500, 3)),
                (2100, Event::Due, launch(false)),
                (2100, SEGV, respawn(11, 3000, 4)),
                (5100, Event::Due, launch(false)),
                (5100, SEGV, respawn(11, 5000, 5)),
                (10_100, Event::Due, launch(false)),
                (60_100, SEGV, respawn(11, 5000, 5)),
                (65_100, Event::Due, launch(false)),
                (65_100, SEGV, respawn(11, 1500, 3)),
            ],
        );
    }

    #[test]
    fn a_deadline_that_comes_too_early_launches_nothing() {
        play("early", &[(0, SEGV, respawn(11, 100, 1)), (99, Event::Due, Decision::Continue)]);
        play("not down at all", &[(5, Event::Due, Decision::Continue)]);
    }

    #[test]
    fn a_stop_ends_as_the_table_says() {
        use Decision::Continue;
        type Story<'a> = &'a [(u64, Event, Decision)];
        let cases: [(&str, Story<'_>); 14] = [
            (
                "a child without a handler dies by the TERM that was forwarded: final",
                &[(1, TERM, forward(Signal::Term)), (2, BY_TERM, end(143, End::Killed(15)))],
            ),
            (
                "so does one that spoke",
                &[
                    (0, SPEAK, Continue),
                    (1, TERM, forward(Signal::Term)),
                    (2, BY_TERM, end(143, End::Killed(15))),
                ],
            ),
            (
                "so does one that dies by QUIT, forwarded after a stop",
                &[
                    (1, TERM, forward(Signal::Term)),
                    (2, Event::Signal(Signal::Quit), forward(Signal::Quit)),
                    (3, Event::Ended(End::Killed(3)), end(131, End::Killed(3))),
                ],
            ),
            ("TERM that nobody forwarded is a crash", &[(1, BY_TERM, respawn(15, 100, 1))]),
            (
                "HUP that was forwarded without a stop is a crash",
                &[(1, HUP, forward(Signal::Hup)), (2, Event::Ended(End::Killed(1)), respawn(1, 100, 1))],
            ),
            (
                "INT was forwarded, TERM came from elsewhere: a crash, and the next life cleans up at once",
                &[
                    (1, INT, forward(Signal::Int)),
                    (2, BY_TERM, respawn(15, 0, 1)),
                    (2, Event::Due, launch(true)),
                ],
            ),
            (
                "a crash while stopping: the next life cleans up at once",
                &[
                    (1, TERM, forward(Signal::Term)),
                    (2, SEGV, respawn(11, 0, 1)),
                    (2, Event::Due, launch(true)),
                    (3, exited(0), end(0, End::Exited(0))),
                ],
            ),
            (
                "TERM while it is down launches it at once, to clean up",
                &[
                    (0, SEGV, respawn(11, 100, 1)),
                    (50, TERM, Continue),
                    (50, Event::Due, launch(true)),
                    (60, exited(0), end(0, End::Exited(0))),
                ],
            ),
            (
                "so does INT",
                &[(0, SEGV, respawn(11, 100, 1)), (50, INT, Continue), (50, Event::Due, launch(true))],
            ),
            (
                "HUP while it is down does nothing",
                &[(0, SEGV, respawn(11, 100, 1)), (50, HUP, Continue), (50, Event::Due, Continue)],
            ),
            (
                "a life that dies of TERM before it could have a handler leaves what the earlier one made: once more",
                &[
                    (0, SPEAK, Continue),
                    (1, SEGV, respawn(11, 100, 1)),
                    (101, Event::Due, launch(false)),
                    (601, TERM, forward(Signal::Term)),
                    (602, BY_TERM, respawn(15, 0, 2)),
                    (602, Event::Due, launch(true)),
                    (603, exited(0), end(0, End::Exited(0))),
                ],
            ),
            (
                "but not if it had spoken: then it chose to have no handler",
                &[
                    (0, SPEAK, Continue),
                    (1, SEGV, respawn(11, 100, 1)),
                    (101, Event::Due, launch(false)),
                    (102, SPEAK, Continue),
                    (103, TERM, forward(Signal::Term)),
                    (104, BY_TERM, end(143, End::Killed(15))),
                ],
            ),
            (
                "what was forwarded to an earlier life does not count for the next",
                &[
                    (1, TERM, forward(Signal::Term)),
                    (2, SEGV, respawn(11, 0, 1)),
                    (2, Event::Due, launch(true)),
                    (3, BY_TERM, respawn(15, 0, 2)),
                ],
            ),
            (
                "crashing while stopping is bounded too",
                &[
                    (1, TERM, forward(Signal::Term)),
                    (2, SEGV, respawn(11, 0, 1)),
                    (2, Event::Due, launch(true)),
                    (3, SEGV, respawn(11, 0, 2)),
                    (3, Event::Due, launch(true)),
                    (4, SEGV, respawn(11, 0, 3)),
                    (4, Event::Due, launch(true)),
                    (5, SEGV, respawn(11, 0, 4)),
                    (5, Event::Due, launch(true)),
                    (6, SEGV, respawn(11, 0, 5)),
                    (6, Event::Due, launch(true)),
                    (7, SEGV, gave_up(139, 11)),
                ],
            ),
        ];
        for (case, story) in cases {
            play(case, story);
        }
    }

    #[test]
    fn a_verdict_is_the_status_whatever_becomes_of_the_child() {
        use Decision::Continue;
        type Story<'a> = &'a [(u64, Event, Decision)];
        let cases: [(&str, Story<'_>); 4] = [
            (
                "a crash after the verdict: the next life cleans up at once, and need not know the status",
                &[
                    (1, Event::Exit(7), Continue),
                    (2, SEGV, respawn(11, 0, 1)),
                    (2, Event::Due, launch(true)),
                    (3, exited(9), end(7, End::Exited(9))),
                ],
            ),
            (
                "killed by a forwarded TERM: the verdict",
                &[
                    (1, Event::Exit(7), Continue),
                    (2, TERM, forward(Signal::Term)),
                    (3, BY_TERM, end(7, End::Killed(15))),
                ],
            ),
            (
                "the first verdict counts",
                &[
                    (1, Event::Exit(7), Continue),
                    (1, Event::Exit(8), Continue),
                    (2, TERM, forward(Signal::Term)),
                    (3, BY_TERM, end(7, End::Killed(15))),
                ],
            ),
            (
                "all restarts spent: the verdict",
                &[
                    (1, Event::Exit(7), Continue),
                    (2, SEGV, respawn(11, 0, 1)),
                    (2, Event::Due, launch(true)),
                    (3, SEGV, respawn(11, 0, 2)),
                    (3, Event::Due, launch(true)),
                    (4, SEGV, respawn(11, 0, 3)),
                    (4, Event::Due, launch(true)),
                    (5, SEGV, respawn(11, 0, 4)),
                    (5, Event::Due, launch(true)),
                    (6, SEGV, respawn(11, 0, 5)),
                    (6, Event::Due, launch(true)),
                    (7, SEGV, gave_up(7, 11)),
                ],
            ),
        ];
        for (case, story) in cases {
            play(case, story);
        }
    }

    #[test]
    fn a_process_that_cannot_be_made_is_tried_again_like_a_crash() {
        play(
            "at first",
            &[
                (
                    0,
                    Event::Ended(End::NotStarted),
                    Decision::Respawn { end: End::NotStarted, after_ms: 100, attempt: 1 },
                ),
                (100, Event::Due, launch(false)),
            ],
        );
    }

    #[test]
    fn a_stop_before_the_first_launch_is_told_to_the_first_life() {
        let mut pause = Supervised::new(0);
        assert_eq!(pause.step(TERM, 0), Decision::Continue);
        assert_eq!(pause.step(Event::Due, 0), launch(true));
    }

    #[test]
    fn health_falls_back_at_a_crash_and_is_stopping_once_it_ends() {
        let mut pause = play("spoke", &[(1, SPEAK, Decision::Continue)]);
        assert_eq!(pause.health(), Health::Healthy);
        pause.step(SEGV, 2);
        assert_eq!(pause.health(), Health::Starting);
        pause.step(Event::Due, 102);
        assert_eq!(pause.health(), Health::Starting);
        pause.step(SPEAK, 103);
        assert_eq!(pause.health(), Health::Healthy);
        let mut with_verdict = pause;
        pause.step(TERM, 104);
        with_verdict.step(Event::Exit(1), 104);
        for mut pause in [pause, with_verdict] {
            assert_eq!(pause.health(), Health::Stopping);
            pause.step(SPEAK, 105);
            assert_eq!(pause.health(), Health::Stopping);
            pause.step(SEGV, 106);
            assert_eq!(pause.health(), Health::Stopping);
        }
    }

    #[test]
    fn the_listener_is_closed_when_the_child_says_so() {
        play("network only", &[(1, Event::CloseListener, Decision::CloseListener)]);
    }

    #[test]
    fn a_child_that_does_not_end_in_time_is_killed_and_the_verdict_stands() {
        use Decision::Continue;
        let over = |status, secs| Decision::Exit { status, why: Why::HoldOver(secs) };
        let start = |story: &[(u64, Event, Decision)]| {
            let mut pause = Supervised::new(0);
            assert_eq!(pause.step(Event::Due, 0), launch(false));
            for &(now, event, want) in story {
                assert_eq!(pause.step(event, now), want, "{event:?} at {now}");
            }
            pause
        };
        let term = (1000, TERM, forward(Signal::Term));
        let default = start(&[term, (9999, Event::Due, Continue)]);
        assert_eq!(default.deadline_ms(), Some(10_000));
        start(&[term, (10_000, Event::Due, over(137, 9))]);
        start(&[term, (2000, Event::Exit(3), Continue), (10_000, Event::Due, over(3, 9))]);
        // The verdict comes first: its time counts.
        start(&[
            (0, Event::Hold(20), Continue),
            (500, Event::Exit(3), Continue),
            (9000, TERM, forward(Signal::Term)),
            (20_499, Event::Due, Continue),
            (20_500, Event::Due, over(3, 20)),
        ]);
        // A child that speaks all the time, or crashes all the time, has no more time.
        start(&[term, (10_000, SPEAK, over(137, 9))]);
        start(&[
            term,
            (2000, SEGV, respawn(11, 0, 1)),
            (2000, Event::Due, launch(true)),
            (10_000, SEGV, over(137, 9)),
        ]);
    }

    #[test]
    fn what_belongs_to_a_bare_pause_means_nothing() {
        for event in [Event::ChannelClosed, Event::LifelineGone] {
            play("up", &[(1, event, Decision::Continue)]);
        }
    }
}
