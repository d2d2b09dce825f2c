//! What happens to the pause container of a pod that is run from elsewhere: it is asked to stop, or is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use nix::libc::{SIGINT, SIGTERM};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::reconcile::BACKOFF;
use crate::stop_status::stop_requested;
use engine::EngineError;
use engine::docker::DockerEngine;
use engine::node::Change;
use pod::observed::StateUpdate;
use pod::task_container::TaskContainer;

/// What is known of a pod's end.
#[derive(Debug, Clone, Default)]
pub struct End {
    /// It is decided.
    pub decided: Arc<AtomicBool>,
    /// Its pause container was asked to stop, or was ended, by somebody else, before anything else decided it.
    pub asked_there: Arc<AtomicBool>,
}

impl End {
    /// Somebody else ends the pause container.
    fn ask(&self) {
        if !self.decided.swap(true, Ordering::Relaxed) {
            self.asked_there.store(true, Ordering::Relaxed);
        }
    }
}

/// Watch until it has ended, or the receiver is gone; `end` is written as soon as that is known.
pub async fn watch(engine: DockerEngine, task: TaskContainer, news: UnboundedSender<StateUpdate>, end: End) {
    let mut backoff = BACKOFF.0;
    while !news.is_closed() {
        match follow(&engine, &task, &news, &end, &mut backoff).await {
            // Told to by us.
            Ok(Some(_)) if news.is_closed() => return,
            Ok(Some(status)) => {
                warn!("the pod's pause container `{}` has ended with status {status}", task.name);
                end.ask();
                // Its components are to be removed, whatever became of them.
                let _ = news.send(StateUpdate::Stop { status, resumed: true, ago: Duration::ZERO });
                return;
            }
            Ok(None) => {}
            Err(error) => debug!("watching `{}`: {error}; next attempt in {backoff:?}", task.name),
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

/// One life of the event stream: the status with which it ended, where it did.
async fn follow(
    engine: &DockerEngine,
    task: &TaskContainer,
    news: &UnboundedSender<StateUpdate>,
    end: &End,
    backoff: &mut Duration,
) -> Result<Option<u8>, EngineError> {
    // First the stream, then a look: what happens in between is seen twice rather than never.
    let mut changes = engine.changes(&task.id, &task.started_at).await?;
    if let Some(status) = ended(engine, task).await? {
        return Ok(Some(status));
    }
    *backoff = BACKOFF.0;
    while let Some(change) = changes.next().await {
        match change? {
            Change::Ended { status } => return Ok(Some(status)),
            Change::Killed(signal) if [SIGTERM, SIGINT].contains(&i32::from(signal)) => {
                info!("the pod's pause container `{}` is asked to stop", task.name);
                end.ask();
                let _ = news.send(stop_requested(engine, &task.id).await);
            }
            Change::Killed(_) => {}
        }
    }
    Ok(None)
}

/// The status with which this run of the container ended, where it did.
async fn ended(engine: &DockerEngine, task: &TaskContainer) -> Result<Option<u8>, EngineError> {
    let now = match engine.standing(&task.id).await {
        Ok(now) => now,
        Err(EngineError::NotFound(_)) => return Ok(Some(0)),
        Err(error) => return Err(error),
    };
    if now.goes_on(&task.started_at) {
        return Ok(None);
    }
    // Started again, it ended in between, and nobody knows how.
    Ok(Some(if now.running { 0 } else { u8::try_from(now.exit_status).unwrap_or(u8::MAX) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::testing::{answer, canned, ping};

    #[test]
    fn a_pod_that_was_ending_already_was_not_ended_by_its_pause_container() {
        let end = End::default();
        end.ask();
        end.ask();
        assert!(end.asked_there.load(Ordering::Relaxed));
        let end = End { decided: Arc::new(true.into()), ..End::default() };
        end.ask();
        assert!(!end.asked_there.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn whether_the_run_goes_on_is_no_affair_of_its_volumes() {
        let task = TaskContainer { id: "a".into(), started_at: "10".into(), ..TaskContainer::default() };
        for (state, want) in [
            (r#""Running": true, "StartedAt": "10""#, None),
            (r#""Running": true, "StartedAt": "11""#, Some(0)),
            (r#""StartedAt": "10", "ExitCode": 7"#, Some(7)),
        ] {
            let mounts = r#"[{"Type": "volume", "Name": "v"}]"#;
            let told = format!(r#"{{"Id": "a", "State": {{{state}}}, "Mounts": {mounts}}}"#);
            // Nobody answers for the volume.
            let (engine, _server) = canned(vec![ping("1.41"), answer("200 OK", &told)]);
            assert_eq!(ended(&engine, &task).await, Ok(want), "{state}");
        }
    }
}
