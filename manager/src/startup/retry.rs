#![expect(clippy::disallowed_methods, reason = "looks whether the engine's socket is there")]
//! How long a manager waits for an engine that does not answer, and what it says meanwhile.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::warn;

use crate::error::Refusal;
use engine::{EngineAddress, EngineError};
use pod::exit_status::STATUS_UNAVAILABLE;
use pod::limits::duration;
use pod::plan::ENGINE_TIMEOUT;

/// Bounds of the wait between two attempts to reach the engine at the start.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How long the first manager of a run waits for a socket that is not there: most likely nobody has mounted it.
pub const MISSING_PATIENCE: Duration = Duration::from_secs(3);

/// How long the engine may take for an answer before it is said that the manager waits.
pub const QUIET: Duration = Duration::from_secs(3);

/// What is known of an engine that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing yet: this is the first manager of a run.
    Perhaps,
    /// It was there, for a manager before this one at least: it may be restarting.
    Surely,
}

/// The reason why no engine can answer at a unix socket's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSocket {
    /// Nothing is there.
    Missing,
    /// A folder: the engine makes one where the host has no such path (`docker run -v`).
    Folder,
}

/// Ask until the engine answers, within limits, an engine that was there before.
///
/// # Errors
/// Where it does not within [`ENGINE_TIMEOUT`], or does not serve.
pub async fn retry_until_timeout<T, F>(address: &EngineAddress, ask: impl FnMut() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, EngineError>>,
{
    patiently_for(address, Expected::Surely, ask).await
}

/// Ask until the engine answers, within limits.
///
/// # Errors
/// Where it does not within [`ENGINE_TIMEOUT`], or does not serve; where it is not known that there is one, and there
/// is no file, or a folder, in place of its socket, within [`MISSING_PATIENCE`].
pub async fn patiently_for<T, F>(
    address: &EngineAddress,
    expected: Expected,
    mut ask: impl FnMut() -> F,
) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, EngineError>>,
{
    let began = Instant::now();
    let (mut backoff, mut warned) = (BACKOFF.0, false);
    let unavailable = |words| Refusal { status: STATUS_UNAVAILABLE, words };
    loop {
        let mut answer = std::pin::pin!(timeout_at(began + ENGINE_TIMEOUT, ask()));
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            () = sleep_until(began + QUIET), if !warned => {
                warned = true;
                let words = format!("no answer for {}", duration(QUIET));
                warn!("{}", waiting(address, &words, None, ENGINE_TIMEOUT));
                answer.await
            }
        };
        let words = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(EngineError::Unreachable(words))) => words,
            Ok(Err(EngineError::Untrusted(words))) => return Err(unavailable(words)),
            Ok(Err(other)) => {
                return Err(unavailable(format!("the engine at {address} does not serve: {other}")));
            }
            Err(_) => "no answer in time".to_owned(),
        };
        // Looked at each time: a socket may come, or go. Only before there is a pod: later no file can be looked at.
        let lack = if expected == Expected::Perhaps { lacks_socket(address) } else { None };
        let limit = if lack.is_some() { MISSING_PATIENCE } else { ENGINE_TIMEOUT };
        let left = limit.saturating_sub(began.elapsed());
        if left.is_zero() {
            let words = if lack == Some(NoSocket::Folder) { A_FOLDER } else { &words };
            return Err(unavailable(given_up(address, words, limit)));
        }
        if !warned {
            warned = true;
            warn!("{}", waiting(address, &words, lack, limit));
        }
        sleep(backoff.min(left)).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

/// The cause where a folder is in place of a socket; the kernel refuses such a connection as it does a closed socket's.
pub const A_FOLDER: &str = "a folder is there instead of a socket";

/// Why there is no socket at an address that is that of one.
fn lacks_socket(address: &EngineAddress) -> Option<NoSocket> {
    let EngineAddress::Unix(path) = address else { return None };
    match std::fs::metadata(path) {
        Ok(there) => there.is_dir().then_some(NoSocket::Folder),
        Err(error) => (error.kind() == std::io::ErrorKind::NotFound).then_some(NoSocket::Missing),
    }
}

/// What is said once, at the first attempt that fails or takes long: the cause, how long is waited, and what to do.
pub fn waiting(address: &EngineAddress, words: &str, lack: Option<NoSocket>, limit: Duration) -> String {
    let remedy = match address {
        EngineAddress::Unix(path) if lack.is_some() => {
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
    let cause = match lack {
        Some(NoSocket::Missing) => "the engine's socket is not there".to_owned(),
        Some(NoSocket::Folder) => {
            "a folder is there instead of the engine's socket, as `-v` makes one for a path that the host does not have"
                .to_owned()
        }
        None => placed(address, words),
    };
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
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::log_format::Text;
    use crate::testing::Written;

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
        let made = EngineAddress::Unix(folder.path().into());
        for (address, expected, limit, words) in [
            (&missing, Expected::Perhaps, MISSING_PATIENCE, "Connection refused"),
            (&missing, Expected::Surely, ENGINE_TIMEOUT, "Connection refused"),
            (&made, Expected::Perhaps, MISSING_PATIENCE, A_FOLDER),
            (&made, Expected::Surely, ENGINE_TIMEOUT, "Connection refused"),
            (&there, Expected::Perhaps, ENGINE_TIMEOUT, "Connection refused"),
            (&there, Expected::Surely, ENGINE_TIMEOUT, "Connection refused"),
        ] {
            let (took, refusal) = waits(address, expected).await;
            assert!(took <= limit && took + BACKOFF.1 >= limit, "{address} {expected:?}: {took:?}");
            assert_eq!(refusal.status, STATUS_UNAVAILABLE);
            assert_eq!(refusal.words, given_up(address, words, limit));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_accepts_and_says_nothing_is_warned_of_once_after_three_seconds() {
        let address = EngineAddress::Unix("/nowhere.sock".into());
        let written = Written::default();
        let to = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .event_format(Text { color: false })
            .with_writer(move || to.clone());
        let _lines = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
        let quiet = format!("WARN {}\n", waiting(&address, "no answer for 3s", None, ENGINE_TIMEOUT));
        let began = Instant::now();
        let silent = || std::future::pending::<Result<(), EngineError>>();
        let mut asked = std::pin::pin!(retry_until_timeout(&address, silent));
        for (at, warnings) in [(QUIET - BACKOFF.0, 0), (QUIET + BACKOFF.0, 1), (ENGINE_TIMEOUT / 2, 1)] {
            assert!(timeout_at(began + at, &mut asked).await.is_err(), "{at:?}");
            assert_eq!(written.text().matches(&quiet).count(), warnings, "{at:?}: {}", written.text());
        }
        let refusal = asked.await.expect_err("it never answers");
        assert_eq!(began.elapsed(), ENGINE_TIMEOUT);
        assert_eq!(refusal.words, given_up(&address, "no answer in time", ENGINE_TIMEOUT));
        assert_eq!(written.text().lines().count(), 1, "{}", written.text());
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
