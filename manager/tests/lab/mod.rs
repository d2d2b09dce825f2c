//! What the tests on the real engine stand on.

pub(crate) mod docker;
pub(crate) mod example;
#[allow(dead_code, reason = "`lab_docker` uses it")]
pub(crate) mod nodes;
pub(crate) mod pod;
pub(crate) mod private;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod swarm;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Longest that anything on a busy machine with two cores should take.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The image under test.
pub(crate) fn manager_image() -> String {
    std::env::var("TANDEM_MANAGER_IMAGE").unwrap_or_else(|_| "tandem/manager:latest".into())
}

/// The image of a pause container whose manager is elsewhere.
pub(crate) fn pause_image() -> String {
    std::env::var("TANDEM_PAUSE_IMAGE").unwrap_or_else(|_| "tandem/pause:latest".into())
}

/// The image that components run: busybox.
pub(crate) fn test_image() -> String {
    std::env::var("TANDEM_TEST_IMAGE").unwrap_or_else(|_| "tandem-test/busybox:latest".into())
}

/// The image with an attacker's tools.
pub(crate) fn tools_image() -> String {
    std::env::var("TANDEM_TOOLS_IMAGE").unwrap_or_else(|_| "tandem-test/tools:latest".into())
}

/// A static program of this build.
pub(crate) fn program(name: &str) -> PathBuf {
    let dist = std::env::var_os("TANDEM_DIST")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/dist"), PathBuf::from);
    let path = dist.join(name);
    assert!(path.exists(), "{} is missing: `cargo xtask test` builds it", path.display());
    path
}

/// A name that nobody else uses.
pub(crate) fn unique(hint: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("tandem-test-{hint}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A limit, for the machine that this runs on: `TANDEM_SLOW=6` says that it is six times as slow as a real one, as a
/// virtual machine is whose processor is software.
pub(crate) fn here(limit: Duration) -> Duration {
    limit * slow()
}

/// See [`here`].
pub(crate) fn slow() -> u32 {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    let read =
        || std::env::var("TANDEM_SLOW").map_or(1, |text| text.parse().expect("TANDEM_SLOW is a number"));
    *FACTOR.get_or_init(read)
}

/// Wait until there is something to see, at most this long [`here`].
#[track_caller]
pub(crate) fn wait<T>(what: impl Display, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let (began, limit) = (Instant::now(), here(limit));
    loop {
        let look_began = Instant::now();
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        // Looking all the time would leave little for what is looked at.
        sleep((2 * look_began.elapsed()).max(Duration::from_millis(50)));
    }
}

/// Do something for each of so many, a few at a time: what came of each, in their order.
#[allow(dead_code, reason = "those that have many pods use it")]
pub(crate) fn each<T: Send>(count: usize, at_a_time: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    let done = act(number);
                    all.lock().expect("nobody panics").insert(number, done);
                }
            });
        }
    });
    all.into_inner().expect("nobody panics").into_values().collect()
}

/// Text as a YAML scalar on one line, whatever is in it.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text has a JSON form")
}

/// A component's keys: the test image with a shell script.
pub(crate) fn script(text: &str) -> String {
    format!("image: {}\ncommand: [sh, -c, {}]\n", test_image(), quoted(text))
}

/// A component's keys: runs until it is told to stop, and then ends at once.
pub(crate) fn idle() -> String {
    // Alone in its PID namespace it is PID 1, which TERM does not reach.
    format!("image: {}\ncommand: [sleep, '100000']\nstop_signal: SIGKILL\n", test_image())
}

/// A shell script that runs until [`pod::Pod::let_go`], and then ends with this status. By a signal: a command in a
/// container that ends while the engine is still busy with it may never return (Docker Engine 20.10).
pub(crate) fn until_let_go(status: &str) -> String {
    format!("trap 'exit {status}' USR1; echo {HELD}; while :; do usleep 50000; done")
}

/// What it says once it can be let go.
pub(crate) const HELD: &str = "held";
