//! One event stream of an engine for many who listen. An engine hands each event to every stream that is open and asks its
//! filters there, so that with two streams for each pod the work for all events would grow with the square of the pods.

use std::collections::BTreeMap;

use futures_util::stream::{BoxStream, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::EngineError;
use super::convert::EventMessage;
use super::docker::DockerEngine;

type Told = Result<EventMessage, EngineError>;

/// Whose events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventFilter {
    /// Those of the containers that belong to this pod.
    Pod(String),
    /// Those of this container itself.
    Container(String),
}

/// The stream that is shared. Clones are the same one.
#[derive(Clone)]
pub(super) struct Relay {
    to: UnboundedSender<Listener>,
}

/// One who listens.
struct Listener {
    whose: EventFilter,
    to: UnboundedSender<Told>,
    ready: oneshot::Sender<Result<(), EngineError>>,
}

impl Relay {
    /// Nothing is asked of the engine before somebody listens. `engine` itself does not go through a relay.
    pub(super) fn start(engine: DockerEngine) -> Self {
        let (to, listeners) = unbounded_channel();
        tokio::spawn(serve(engine, listeners));
        Relay { to }
    }

    /// What happens from now on; resolves when the engine has begun to tell. Ends when its stream does.
    pub(super) async fn subscribe(
        &self,
        whose: EventFilter,
    ) -> Result<BoxStream<'static, Told>, EngineError> {
        let (to, mut told) = unbounded_channel();
        let (ready, begun) = oneshot::channel();
        let gone = || EngineError::Unreachable("nobody listens to the engine's events".into());
        self.to.send(Listener { whose, to, ready }).map_err(|_| gone())?;
        begun.await.map_err(|_| gone())??;
        Ok(futures_util::stream::poll_fn(move |context| told.poll_recv(context)).boxed())
    }
}

/// One stream after the other, as long as somebody asks for it.
async fn serve(engine: DockerEngine, mut asked: UnboundedReceiver<Listener>) {
    while let Some(first) = asked.recv().await {
        match engine.all_events().await {
            Ok(events) => pass_on(events, first, &mut asked).await,
            Err(error) => {
                let _ = first.ready.send(Err(error.clone()));
                // For those who have asked meanwhile this was the attempt as well.
                while let Ok(next) = asked.try_recv() {
                    let _ = next.ready.send(Err(error.clone()));
                }
            }
        }
    }
}

/// One life of the stream.
async fn pass_on(
    mut events: BoxStream<'static, Told>,
    first: Listener,
    asked: &mut UnboundedReceiver<Listener>,
) {
    let mut all: BTreeMap<EventFilter, Vec<UnboundedSender<Told>>> = BTreeMap::new();
    let mut next = Some(first);
    loop {
        if let Some(Listener { whose, to, ready }) = next.take() {
            all.retain(|_, some| {
                some.retain(|one| !one.is_closed());
                !some.is_empty()
            });
            all.entry(whose).or_default().push(to);
            let _ = ready.send(Ok(()));
        }
        tokio::select! {
            // Who has asked hears what comes then.
            biased;
            listener = asked.recv() => match listener {
                Some(listener) => next = Some(listener),
                None => return,
            },
            event = events.next() => match event {
                Some(Ok(event)) => {
                    let pod = event.pod().map(|pod| EventFilter::Pod(pod.to_owned()));
                    for whose in pod.into_iter().chain([EventFilter::Container(event.container().to_owned())]) {
                        for one in all.get(&whose).into_iter().flatten() {
                            let _ = one.send(Ok(event.clone()));
                        }
                    }
                }
                Some(Err(error)) => {
                    for one in all.values().flatten() {
                        let _ = one.send(Err(error.clone()));
                    }
                    return;
                }
                None => return,
            },
        }
    }
}
