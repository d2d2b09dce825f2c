//! The real program as PID 1 of real namespaces. One test program, because every file needs the same stage.
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

mod cat;
mod channel;
mod exit_codes;
mod health;
mod idle;
mod lifeline;
mod properties;
mod reaping;
mod respawn;
mod signals;
mod stage;
mod store;
