//! `manager`: runs pods on the Docker Engine. One Swarm task, or any container with the labels of a pod,
//! becomes a group of containers that share its network.
//!
//! # Layout
//! `docs/architecture.md` has the data flow and the crates. The modules of this one:
//!
//! | module | | knows |
//! |---|---|---|
//! | [`cli`] | pure | the command line |
//! | [`check`] | I/O | `manager check`: a definition for people, before anything runs |
//! | [`debug`] | I/O | `manager debug`: a container of somebody's choice that looks around in a pod |
//! | [`restart`] | I/O | `manager restart`: asks the manager of this container to restart a component |
//! | [`status`] | I/O | `manager status`: what the engine tells of pods, for people |
//! | [`run`] | I/O | tasks, time, signals, privileges |
//!
//! Arrows point one way: `check -> run`, `debug -> status -> run`, `restart -> run`. A file that touches files, the
//! environment or the clock says so in its first line (`clippy.toml`).

#![forbid(unsafe_code)]

pub mod check;
pub mod cli;
pub mod debug;
pub mod restart;
pub mod run;
pub mod status;
