//! What is true of a pod now, as far as the engine has told.

use std::collections::BTreeMap;

/// A container as the engine describes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerInfo {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// What it does.
    pub status: Status,
    /// It has a terminal.
    pub tty: bool,
}

/// What a container does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    /// Created, never started.
    #[default]
    Created,
    /// Its process runs (or is paused, or is being restarted).
    Running {
        /// What its health check says.
        health: Health,
    },
    /// Its process has ended, or could not be started.
    Exited(Exit),
    /// On its way out (`removing`, `dead`): only removal is left.
    Removing,
}

/// What a health check says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Health {
    /// There is no health check.
    #[default]
    None,
    /// No verdict yet.
    Starting,
    /// Healthy.
    Healthy,
    /// Unhealthy.
    Unhealthy,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit status, 128+n for a signal.
    pub status: i64,
    /// The kernel killed a process of it for memory.
    pub oom: bool,
    /// When, nanoseconds since 1970 by the engine's clock.
    pub at_nanos: i64,
}

