//! Who follows which container's output.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{Instrument, warn};

use crate::logs::lines;
use crate::logs::output::Output;
use engine::{Engine, EngineError};

/// The followers of one pod's containers: at most one a container.
#[derive(Clone)]
pub struct Followers {
    output: Output,
    /// Containers that are followed now, by id. Not pod state: only whether a stream is open.
    open: Arc<Mutex<BTreeMap<String, Option<AbortHandle>>>>,
    closed: Arc<Notify>,
}

impl Followers {
    /// None yet; what comes goes to this output.
    pub fn new(output: Output) -> Self {
        Followers { output, open: Arc::default(), closed: Arc::default() }
    }

    /// Follow a container until its output ends, unless somebody does. Returns when the engine has
    /// attached. `since`: it runs already, and what it has written since then by the engine's clock is put out too,
    /// where the engine keeps its log.
    pub async fn follow<E: Engine>(
        &self,
        engine: &E,
        id: &str,
        component: &str,
        tty: bool,
        since: Option<i64>,
    ) -> Result<(), EngineError> {
        let followed = self.with_open(|open| match open.entry(id.to_owned()) {
            Entry::Occupied(_) => true,
            Entry::Vacant(place) => {
                place.insert(None);
                false
            }
        });
        if followed {
            return Ok(());
        }
        let written = match since {
            Some(since) => engine.output_since(id, since).await.ok(),
            None => None,
        };
        let stream = match written {
            Some(stream) => Ok(stream),
            None => engine.attach(id).await,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                self.with_open(|open| open.remove(id));
                return Err(error);
            }
        };
        let (this, id, component) = (self.clone(), id.to_owned(), component.to_owned());
        let place = id.clone();
        let pump = async move {
            if let Err(error) = lines::pump(stream, &component, tty, &this.output).await {
                warn!("the output of `{component}` broke off: {error}");
            }
            this.with_open(|open| open.remove(&id));
            this.closed.notify_waiters();
        };
        let task = tokio::spawn(pump.in_current_span());
        // The task has not run yet: there is one thread, and nothing was awaited since.
        self.with_open(|open| open.insert(place, Some(task.abort_handle())));
        Ok(())
    }

    /// Put out what a command in a component writes, as the component's, until it ends.
    pub async fn pass_on(&self, stream: BoxStream<'static, Result<Bytes, EngineError>>, component: &str) {
        if let Err(error) = lines::pump(stream, component, false, &self.output).await {
            warn!("the output of a hook of `{component}` broke off: {error}");
        }
    }

    /// Stop following a container that was not started after all: its stream would stay open.
    pub fn abandon(&self, id: &str) {
        if let Some(Some(task)) = self.with_open(|open| open.remove(id)) {
            task.abort();
            self.closed.notify_waiters();
        }
    }

    /// Its process is about to be started again: the output of the one before is put out first, or given up
    /// after this time.
    pub async fn settle(&self, id: &str, limit: Duration) {
        if timeout(limit, self.closed_down(|open| !open.contains_key(id))).await.is_err() {
            warn!("nobody takes the output of a component that is started again: the rest is dropped");
            self.abandon(id);
        }
    }

    /// The pod ends: nobody is waited for who does not read.
    pub fn ending(&self) {
        self.output.ending();
    }

    /// Wait until every followed output has ended, at most this long.
    pub async fn finish(&self, limit: Duration) {
        if timeout(limit, self.closed_down(|open| open.is_empty())).await.is_err() {
            warn!("the output of some components did not end within {limit:?}");
        }
    }

    async fn closed_down(&self, so: impl Fn(&BTreeMap<String, Option<AbortHandle>>) -> bool) {
        loop {
            let closed = self.closed.notified();
            if self.with_open(|open| so(open)) {
                return;
            }
            closed.await;
        }
    }

    fn with_open<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Option<AbortHandle>>) -> T) -> T {
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
