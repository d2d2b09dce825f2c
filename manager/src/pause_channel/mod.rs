//! The line to `pause`: the pod's health, its verdict, and that no lifeline is wanted.

pub mod remote;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pause::control::{self, Frame};
use tracing::warn;

use crate::pause_channel::remote::RemotePause;
use pod::health::PodHealth;

/// The seconds of a [`Frame::Hold`]: not less than this time.
pub fn whole_secs(limit: Duration) -> u32 {
    u32::try_from(limit.as_millis().div_ceil(1000)).unwrap_or(control::MAX_HOLD_SECS)
}

/// What `pause` is told. Frames are small and `pause` reads them at once, so writing does not block.
pub struct Pause {
    to: Box<dyn Write + Send>,
    /// The `pause` of the pod, where that is another one.
    beside: Option<RemotePause>,
    /// That one was asked to stop, or was ended, by somebody else.
    asked_there: Arc<AtomicBool>,
    health: Option<PodHealth>,
    broken: bool,
}

impl Pause {
    /// Speak through this writer: the control pipe, or a test's.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        Pause { to: Box::new(to), beside: None, asked_there: Arc::default(), health: None, broken: false }
    }

    /// The `pause` of the pod is another one: it is told of the pod's health too. `asked_there` says whether it was asked
    /// to stop, or was ended, by somebody else.
    pub fn attach_remote(&mut self, line: RemotePause, asked_there: Arc<AtomicBool>) {
        self.beside = Some(line);
        self.asked_there = asked_there;
    }

    /// The pod's health, told when it changes: whether it did.
    pub fn publish(&mut self, health: PodHealth) -> bool {
        if self.health.replace(health) == Some(health) {
            return false;
        }
        let health = match health {
            PodHealth::Starting => pause::health::Health::Starting,
            PodHealth::Healthy => pause::health::Health::Healthy,
            PodHealth::Unhealthy => pause::health::Health::Unhealthy,
            PodHealth::Stopping => pause::health::Health::Stopping,
        };
        self.send(&Frame::Health(health));
        if let Some(line) = &self.beside {
            line.health(health);
        }
        true
    }

    /// The pod's exit status: from now on a crash of the manager cannot lose it.
    pub fn conclude(&mut self, status: u8) {
        // After its exit status `pause` lets no further run begin, and a container that somebody stops may be restarted.
        // A manager that takes over after a crash hears of that stop again.
        if !self.asked_there.load(Ordering::Relaxed) {
            self.send(&Frame::Exit(status));
        }
    }

    /// From a request to stop, or the exit status, on this process may take so long: then `pause` kills it and ends. It
    /// counts whole seconds.
    pub fn hold(&mut self, limit: Duration) {
        self.send(&Frame::Hold(whole_secs(limit)));
    }

    /// What the pod's owner should know, where the pod's log is not ours.
    pub fn explain(&self, words: &str) {
        if let Some(line) = &self.beside {
            line.explain(words);
        }
    }

    /// No sandbox will call: nothing need listen in the network namespace that components share.
    pub fn close_listener(&mut self) {
        self.send(&Frame::CloseListener);
    }

    fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        control::encode(frame, |part| bytes.extend_from_slice(part));
        self.write(&bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        if let Err(error) = self.to.write_all(bytes).and_then(|()| self.to.flush()) {
            self.broken = true;
            warn!("cannot tell pause about the pod: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Written;

    #[test]
    fn an_exit_status_is_kept_from_pause_only_while_its_pod_elsewhere_is_stopped_by_somebody_else() {
        let written = Written::default();
        let mut pause = Pause::new(written.clone());
        pause.conclude(0);
        let one = written.text().len();
        assert!(one > 0);
        pause.asked_there.store(true, Ordering::Relaxed);
        pause.conclude(0);
        assert_eq!(written.text().len(), one);
    }
}
