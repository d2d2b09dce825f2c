//! Runs a pod: tasks, time and signals.

pub mod copy;
pub mod discover;
pub mod execute;
pub mod harden;
pub mod logs;
pub mod output;
pub mod serve_health;
pub mod watch;
