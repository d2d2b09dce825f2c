//! An engine connection with every fault at every kind of call, on the real engine. A program of its own: it runs for
//! minutes, `cargo xtask chaos` for longer. What it needs is what `pod_docker` needs.
#![cfg(feature = "docker-tests")]
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

mod chaos;
#[allow(dead_code, reason = "other tests use the rest")]
mod lab;
