//! Attackers in pods, and every fault of a pod's connection to the engine, on the real one. A program of its own: so many
//! attackers at once would slow down those tests that measure time; the faults mostly wait. What it needs is what
//! `pod_docker` needs, and `TANDEM_TOOLS_IMAGE`, an image with an attacker's tools.
#![cfg(feature = "docker-tests")]
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

mod attack;
mod chaos;
#[allow(dead_code, reason = "other tests use the rest")]
mod lab;
