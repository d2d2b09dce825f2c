//! The event stream of one pod. Whenever it begins, and whenever somebody is in doubt, a full listing
//! follows, so that an event that was missed is made up for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc::UnboundedSender};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::reconcile::BACKOFF;
use engine::Engine;
use pod::observed::StateUpdate;

/// Watch until the receiver is gone. `doubt` asks for a listing out of turn.
pub async fn watch<E: Engine>(
    engine: Arc<E>,
    pod: String,
    doubt: Arc<Notify>,
    news: UnboundedSender<StateUpdate>,
) {
    let mut backoff = BACKOFF.0;
    while !news.is_closed() {
        let words = match follow(&*engine, &pod, &doubt, &news, &mut backoff).await {
            Ok(()) => "the event stream ended".to_owned(),
            Err(error) => error.to_string(),
        };
        debug!("watching the engine: {words}; next attempt in {backoff:?}");
        if news.send(StateUpdate::EngineUnreachable(words)).is_err() {
            return;
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

/// One life of the event stream.
async fn follow<E: Engine>(
    engine: &E,
    pod: &str,
    doubt: &Notify,
    news: &UnboundedSender<StateUpdate>,
    backoff: &mut Duration,
) -> Result<(), engine::EngineError> {
    // First the stream, then the listing: what happens in between is told twice rather than never.
    let mut events = engine.events(pod).await?;
    loop {
        let _ = news.send(StateUpdate::Listing);
        let containers = engine.list(pod).await?;
        if let Some(clock) = engine.clock() {
            let _ = news.send(StateUpdate::Clock(clock));
        }
        if news.send(StateUpdate::Listed(containers)).is_err() {
            return Ok(());
        }
        if *backoff > BACKOFF.0 {
            warn!("the engine answers again");
        }
        *backoff = BACKOFF.0;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => {
                        if news.send(StateUpdate::Event(event?)).is_err() {
                            return Ok(());
                        }
                    }
                    None => return Ok(()),
                },
                () = doubt.notified() => break,
            }
        }
    }
}
