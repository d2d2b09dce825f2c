#![expect(clippy::disallowed_methods, reason = "looks whether the engine's socket is there")]
//! How long a manager waits for an engine that does not answer, and what it says meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::site::Refusal;
use engine::{EngineAddress, EngineError};
use pod::limits::duration;
use pod::plan::{ENGINE_PATIENCE, STATUS_UNAVAILABLE};

/// Bounds of the wait between two attempts to reach the engine at the start.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How long the first manager of a run waits for a socket that is not there: most likely nobody has mounted it.
pub const MISSING_PATIENCE: Duration = Duration::from_secs(3);

/// What is known of an engine that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing yet: this is the first manager of a run.
    Perhaps,
    /// It was there, for a manager before this one at least: it may be restarting.
    Surely,
}

/// Ask until the engine answers, within limits, an engine that was there before.
///
/// # Errors
/// Where it does not within [`ENGINE_PATIENCE`], or does not serve.
pub async fn patiently<T, F>(address: &EngineAddress, ask: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, EngineError>>,
{
    patiently_for(address, Expected::Surely, ask).await
}

/// Ask until the engine answers, within limits.
///
/// # Errors
/// Where it does not within [`ENGINE_PATIENCE`], or does not serve; where it is not known that there is one, and its
/// socket is not there, within [`MISSING_PATIENCE`].
pub async fn patiently_for<T, F>(
    address: &EngineAddress,
    expected: Expected,
    mut ask: impl FnMut() -> F,
) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, EngineError>>,
{
    let began = Instant::now();
    let mut backoff = BACKOFF.0;
    let unavailable = |words| Refusal { status: STATUS_UNAVAILABLE, words };
    loop {
        let left = ENGINE_PATIENCE.saturating_sub(began.elapsed());
        let words = match tokio::time::timeout(left, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(EngineError::Unreachable(words))) => words,
            Ok(Err(EngineError::Untrusted(words))) => return Err(unavailable(words)),
            Ok(Err(other)) => {
                return Err(unavailable(format!("the engine at {address} does not serve: {other}")));
            }
            Err(_) => "no answer in time".to_owned(),
        };
        // Looked at each time: a socket may come, or go. Only before there is a pod: later no file can be looked at.
        let missing = expected == Expected::Perhaps && is_missing(address);
        let limit = if missing { MISSING_PATIENCE } else { ENGINE_PATIENCE };
        let left = limit.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(unavailable(given_up(address, &words, limit)));
        }
        if backoff == BACKOFF.0 {
            warn!("{}", waiting(address, &words, missing, limit));
        }
        sleep(backoff.min(left)).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

/// The address is that of a socket, and there is no such file.
fn is_missing(address: &EngineAddress) -> bool {
    let EngineAddress::Unix(path) = address else { return false };
    std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// What is said at the first attempt that fails: the cause, how long is waited, and what to do.
pub fn waiting(address: &EngineAddress, words: &str, missing: bool, limit: Duration) -> String {
    let remedy = match address {
        EngineAddress::Unix(path) if missing => {
            let path = path.display();
            format!(
                "mount the socket of the engine into the task container: `-v {path}:{path}`, or `volumes` of its service"
            )
        }
        EngineAddress::Unix(_) => "is the engine running, and this its socket?".to_owned(),
        EngineAddress::Tls { .. } | EngineAddress::Tcp { .. } => {
            "is the engine running, and does it listen there?".to_owned()
        }
    };
    let cause = if missing { "the engine's socket is not there".to_owned() } else { placed(address, words) };
    format!("waiting up to {} for the engine: {cause}; {remedy}", duration(limit))
}

/// What is said at the end.
pub fn given_up(address: &EngineAddress, words: &str, limit: Duration) -> String {
    format!("the engine has not answered for {}: {}", duration(limit), placed(address, words))
}

/// The words about an engine, with its address once.
fn placed(address: &EngineAddress, words: &str) -> String {
    let place = address.to_string();
    if words.contains(&place) { words.to_owned() } else { format!("{place}: {words}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a manager waits for an engine that never answers, and what it says in the end.
    async fn waits(address: &EngineAddress, expected: Expected) -> (Duration, Refusal) {
        let began = Instant::now();
        let ask = || async { Err::<(), _>(EngineError::Unreachable("Connection refused".into())) };
        let refusal = patiently_for(address, expected, ask).await.expect_err("it never answers");
        (began.elapsed(), refusal)
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_is_not_there_is_waited_for_less_only_by_the_first_manager() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = folder.path().join("there.sock");
        std::fs::write(&there, "").expect("a file");
        let (there, missing) =
            (EngineAddress::Unix(there), EngineAddress::Unix(folder.path().join("missing.sock")));
        for (address, expected, limit) in [
            (&missing, Expected::Perhaps, MISSING_PATIENCE),
            (&missing, Expected::Surely, ENGINE_PATIENCE),
            (&there, Expected::Perhaps, ENGINE_PATIENCE),
            (&there, Expected::Surely, ENGINE_PATIENCE),
        ] {
            let (took, refusal) = waits(address, expected).await;
            assert!(took <= limit && took + BACKOFF.1 >= limit, "{address} {expected:?}: {took:?}");
            assert_eq!(refusal.status, STATUS_UNAVAILABLE);
            assert_eq!(refusal.words, given_up(address, "Connection refused", limit));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_comes_in_time_is_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("late.sock");
        let began = Instant::now();
        let ask = || async {
            if began.elapsed() < Duration::from_secs(1) {
                return Err(EngineError::Unreachable("No such file".into()));
            }
            Ok(())
        };
        let answer = patiently_for(&EngineAddress::Unix(path), Expected::Perhaps, ask).await;
        assert!(answer.is_ok(), "{:?}", answer.err());
    }
}
