//! Stops and starts of a component that this manager did not ask for: `docker restart`, or a stop and a start by any
//! other tool. Whether an end was asked for, and whether a start may still follow it.

use std::time::Duration;

use super::exit_status::Exit;

/// A start so long after an end that was asked for is a restart in place, by the engine's clock. `docker restart` takes
/// a few hundredths of a second from one to the other.
pub const RESTART_WINDOW: Duration = Duration::from_secs(2);
/// A component may take so much longer than its stop timeout to end after its stop signal: the engine kills it then, and
/// waits so long for the kill.
pub const STOP_SLACK: Duration = Duration::from_secs(10);

/// The signal that stops a container which says nothing of it.
const SIGTERM: u8 = 15;
/// The signal that ends any process.
const SIGKILL: u8 = 9;
/// The first and the last signal of the kernel's that have no name of their own, as the engine counts them.
const REAL_TIME: (u8, u8) = (34, 64);

/// Names and numbers of signals, the same on x86_64 and aarch64.
const SIGNALS: [(&str, u8); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// What is known of stops and starts of one container from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InPlace {
    /// The number of its stop signal, once the engine has told it.
    pub stop_signal: Option<u8>,
    /// When it was last sent a signal that stops it, since its last start, nanoseconds since 1970 by the engine's clock.
    signalled_at: Option<i64>,
    /// When its last end was heard by an event, nanoseconds since 1970 by the engine's clock. The engine sends the event
    /// once it has the last output of that life (moby, `daemon/monitor.go`).
    pub ended_at: Option<i64>,
    /// Its present end was asked for.
    pub asked: bool,
    /// Until when a start may follow its present end: counted from the manager's start, and by the engine's clock.
    until: Option<(Duration, i64)>,
    /// When a start after its present end was heard, of which no listing tells yet; counted from the manager's start.
    started: Option<Duration>,
}

impl InPlace {
    /// Somebody else has sent it this signal.
    pub fn signalled(&mut self, signal: u8, at_nanos: i64) {
        if [self.stop_signal.unwrap_or(SIGTERM), SIGTERM, SIGKILL].contains(&signal) {
            self.signalled_at = Some(at_nanos);
        }
    }

    /// It has ended, as an event tells. `grace` is its stop timeout.
    pub fn died(&mut self, exit: Exit, grace: Duration, now: Duration) {
        self.asked = self.is_asked(exit, grace);
        self.started = None;
        self.ended_at = Some(exit.at_nanos);
        // A listing may have been quicker than the event.
        let until = (now + RESTART_WINDOW, exit.at_nanos.saturating_add(nanos(RESTART_WINDOW)));
        self.until = self.asked.then(|| self.until.unwrap_or(until));
    }

    /// It has ended, as a listing tells; `clock` is the engine's. What went before may have been missed.
    pub fn found_dead(&mut self, exit: Exit, grace: Duration, clock: Option<i64>, now: Duration) {
        self.asked = self.is_asked(exit, grace);
        // One whose start failed has no time of its end.
        let window = nanos(RESTART_WINDOW);
        let young = clock.filter(|_| exit.at_nanos > 0 && !exit.oom);
        let young = young.filter(|clock| clock.saturating_sub(exit.at_nanos) < window);
        self.until = young.map(|clock| (now + RESTART_WINDOW, clock.saturating_add(window)));
    }

    /// A start after its end was heard. One that comes too late changes nothing of the end.
    pub fn start_heard(&mut self, at_nanos: i64, now: Duration) {
        match self.until {
            Some((_, last)) if at_nanos > last => self.until = Some((now, last)),
            _ => self.started = Some(now),
        }
    }

    /// A listing that began at this time finds it ended all the same.
    pub fn listed_dead(&mut self, began: Duration) {
        if self.started.is_some_and(|heard| heard <= began) {
            (self.started, self.until) = (None, None);
        }
    }

    /// A life of it began then, by the engine's clock.
    pub fn began(&mut self, at_nanos: i64) {
        let signalled_at = self.signalled_at.filter(|signalled| *signalled >= at_nanos);
        let InPlace { stop_signal, ended_at, .. } = *self;
        *self = InPlace { stop_signal, signalled_at, ended_at, ..InPlace::default() };
    }

    /// Since when what it has written is of its present life, by the engine's clock: `began` is when that began, `before`
    /// when the life before did. An end that was not heard is of no use: what came after an earlier one is known already.
    pub fn written_since(&self, before: i64, began: i64) -> i64 {
        self.ended_at.filter(|ended| (before..=began).contains(ended)).unwrap_or(began)
    }

    /// A start may still follow its end, or has.
    pub fn is_open(&self, now: Duration) -> bool {
        self.started.is_some() || self.until.is_some_and(|(until, _)| now < until)
    }

    /// When it is decided, where nothing more comes.
    pub fn decided_at(&self) -> Option<Duration> {
        self.until.map(|(until, _)| until)
    }

    fn is_asked(&self, exit: Exit, grace: Duration) -> bool {
        let took = self.signalled_at.map(|at| exit.at_nanos.saturating_sub(at));
        !exit.oom && took.is_some_and(|took| (0..=nanos(grace + STOP_SLACK)).contains(&took))
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// The number of a signal as the engine writes one: `SIGQUIT`, `QUIT`, `3`, `SIGRTMIN+3`.
pub fn signal_number(text: &str) -> Option<u8> {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = SIGNALS.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<u8>().ok().filter(|offset| *offset <= 15),
    };
    match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => Some(REAL_TIME.0 + offset(rest, '+')?),
        (_, Some(rest)) => Some(REAL_TIME.1 - offset(rest, '-')?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn exit(at: i64) -> Exit {
        Exit { status: 143, oom: false, at_nanos: at * SECOND }
    }

    #[test]
    fn signals_are_read_as_an_engine_writes_them() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("37", Some(37)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("RTMIN", Some(34)),
            ("0", None),
            ("65", None),
            ("RTMIN+99", None),
            ("SIGNAL", None),
            ("", None),
        ] {
            assert_eq!(signal_number(text), number, "{text}");
        }
    }

    #[test]
    fn an_end_is_asked_for_by_a_signal_that_stops_the_component_in_its_time() {
        let quit = Some(3);
        for (case, stop_signal, signal, sent, died, asked) in [
            ("15", None, 15, 100, 101, true),
            ("9", None, 9, 100, 100, true),
            ("its own stop signal", quit, 3, 100, 101, true),
            ("15 stops it too", quit, 15, 100, 101, true),
            ("another's stop signal does not", None, 3, 100, 101, false),
            ("nor does one that only tells it something", None, 1, 100, 101, false),
            ("its stop timeout and ten seconds", None, 15, 100, 120, true),
            ("not later", None, 15, 100, 121, false),
            ("not before the signal", None, 15, 100, 99, false),
        ] {
            let mut one = InPlace { stop_signal, ..InPlace::default() };
            one.signalled(signal, sent * SECOND);
            one.died(exit(died), secs(10), secs(5));
            assert_eq!(
                (one.asked, one.is_open(secs(6)), one.is_open(secs(7))),
                (asked, asked, false),
                "{case}"
            );
        }
        let mut one = InPlace::default();
        one.died(exit(100), secs(10), secs(5));
        assert!(!one.asked && !one.is_open(secs(5)), "a crash");
        let mut one = InPlace::default();
        one.signalled(9, 100 * SECOND);
        one.died(Exit { oom: true, ..exit(100) }, secs(10), secs(5));
        assert!(!one.asked && !one.is_open(secs(5)), "the kernel's end of it counts at once");
        let mut one = InPlace::default();
        one.signalled(15, 100 * SECOND);
        one.began(100 * SECOND + 1);
        assert_eq!(one.ended_at, None);
        one.died(exit(101), secs(10), secs(5));
        assert!(!one.asked, "the signal was the life before's");
        one.began(102 * SECOND);
        assert_eq!(one.ended_at, Some(101 * SECOND), "what it writes from now on came later");
        assert_eq!(one.written_since(100 * SECOND + 1, 102 * SECOND), 101 * SECOND);
        one.began(105 * SECOND);
        let missed = "of the life before nobody has heard the end";
        assert_eq!(one.written_since(102 * SECOND, 105 * SECOND), 105 * SECOND, "{missed}");
    }

    #[test]
    fn an_end_that_a_listing_finds_gets_two_seconds_where_it_is_younger() {
        for (case, clock, end, open) in [
            ("young", Some(101), exit(100), true),
            ("ahead of the clock", Some(99), exit(100), true),
            ("old", Some(102), exit(100), false),
            ("no clock is known", None, exit(100), false),
            ("out of memory", Some(101), Exit { oom: true, ..exit(100) }, false),
            ("a start that failed", Some(1), exit(0), false),
        ] {
            let mut one = InPlace::default();
            one.found_dead(end, secs(10), clock.map(|clock| clock * SECOND), secs(50));
            assert_eq!((one.is_open(secs(51)), one.is_open(secs(52))), (open, false), "{case}");
        }
        let mut one = InPlace::default();
        one.found_dead(exit(100), secs(10), Some(100 * SECOND), secs(50));
        one.died(exit(100), secs(10), secs(50));
        assert!(!one.is_open(secs(50)), "the event that follows tells that nobody asked");
    }

    #[test]
    fn a_start_counts_by_the_engines_clock_until_a_listing_says_otherwise() {
        let ended = || {
            let mut one = InPlace::default();
            one.signalled(15, 100 * SECOND);
            one.died(exit(100), secs(10), secs(5));
            one
        };
        let mut late = ended();
        late.start_heard(102 * SECOND + 1, secs(6));
        assert!(!late.is_open(secs(6)), "too late");
        let mut in_time = ended();
        in_time.start_heard(102 * SECOND, secs(9));
        assert!(in_time.is_open(secs(60)), "told late, but in time");
        in_time.listed_dead(secs(8));
        assert!(in_time.is_open(secs(60)), "a listing from before knows nothing of it");
        in_time.listed_dead(secs(9));
        assert!(!in_time.is_open(secs(9)), "it has not come to be");
        for (at, open) in [(103, true), (104, false)] {
            let mut found = InPlace::default();
            found.found_dead(exit(100), secs(10), Some(101 * SECOND), secs(5));
            found.start_heard(at * SECOND, secs(6));
            assert_eq!(found.is_open(secs(6)), open, "two seconds from the listing: {at}");
        }
    }
}
