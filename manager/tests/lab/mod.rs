//! What the tests on the real engine stand on.

pub(crate) mod docker;
pub(crate) mod pod;
pub(crate) mod private;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod swarm;

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest that anything on a busy machine with two cores should take.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The image under test.
pub(crate) fn manager_image() -> String {
    std::env::var("TANDEM_MANAGER_IMAGE").unwrap_or_else(|_| "tandem/manager:latest".into())
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

/// Wait until there is something to see, at most this long.
#[track_caller]
pub(crate) fn wait<T>(what: impl Display, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(50));
    }
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
