//! Attackers in pods on the real engine. A program of its own: so many of them at once would slow down those tests that
//! measure time. What it needs is what `pod_docker` needs, and `TANDEM_TOOLS_IMAGE`, an image with an attacker's tools.
#![cfg(feature = "docker-tests")]
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

mod attack;
#[allow(dead_code, reason = "other tests use the rest")]
mod lab;
