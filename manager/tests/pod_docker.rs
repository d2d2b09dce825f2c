//! Real pods on the real engine: the two-process image, run as its users run it, with the `docker` command.
//!
//! `cargo xtask test` builds the images first and says where things are:
//! - `DOCKER_HOST`: the engine, a unix socket (default `/var/run/docker.sock`)
//! - `TANDEM_ENGINE_SOCKET`: the socket by which pods reach it, where that is another one: `cargo xtask filtered`
//! - `TANDEM_DIST`: folder of the static programs `pause` and `manager` (default `target/dist`)
//! - `TANDEM_MANAGER_IMAGE`: the image under test (default `tandem/manager:latest`)
//! - `TANDEM_PAUSE_IMAGE`: the image of a bare `pause` (default `tandem/pause:latest`)
//! - `TANDEM_TEST_IMAGE`: a busybox with a shell (default `tandem-test/busybox:latest`)
//! - `TANDEM_SLOW`: limits are this many times as long (default 1)
//!
//! What is missing fails the tests: nothing is skipped. Everything that a test makes carries the label
//! `io.tandem.test=<name of the test's pod>`, or is a pod's, and is removed when the test ends, however it
//! ends. Several runs may share an engine.
#![cfg(feature = "docker-tests")]
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

mod lab;
mod pod;
