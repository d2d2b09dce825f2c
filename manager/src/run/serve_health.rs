//! The line to `pause`: the pod's health, its verdict, and that no lifeline is wanted.

use std::io::Write;

use pause::control::{self, Frame};
use tracing::warn;

use crate::pod::health::PodHealth;

/// What `pause` is told. Frames are small and `pause` reads them at once, so writing does not block.
pub struct Pause {
    to: Box<dyn Write + Send>,
    health: Option<PodHealth>,
    broken: bool,
}

impl Pause {
    /// Speak through this writer: the control pipe, or a test's.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        Pause { to: Box::new(to), health: None, broken: false }
    }

    /// The pod's health, told when it changes.
    pub fn publish(&mut self, health: PodHealth) {
        if self.health.replace(health) == Some(health) {
            return;
        }
        self.send(&Frame::Health(match health {
            PodHealth::Starting => pause::health::Health::Starting,
            PodHealth::Healthy => pause::health::Health::Healthy,
            PodHealth::Unhealthy => pause::health::Health::Unhealthy,
            PodHealth::Stopping => pause::health::Health::Stopping,
        }));
    }

    /// The pod's exit status: from now on a crash of the manager cannot lose it.
    pub fn conclude(&mut self, status: u8) {
        self.send(&Frame::Exit(status));
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
