//! `manager`: runs pods on the Docker Engine. One Swarm task, or any container with the labels of a pod,
//! becomes a group of containers that share its network.
//!
//! # Layout
//! One direction, one loop:
//! ```text
//! labels --definition::files--> Raw --definition::lower--> PodSpec (desired) --.
//!                                                                             v
//! engine --list + events--> run::watch --Observation--> Observed --> plan(now) --> Plan --execute--> engine
//!    ^                                                               |                              |
//!    '------------- results come back only as new observations <-----|------------------------------'
//!                                                                    '--> health (to pause), wake_at (timer),
//!                                                                         outcome (exit status)
//! ```
//! | crate or module | | knows |
//! |---|---|---|
//! | [`::pod`] | pure | the core: what a pod is, what is true of it, what to do next. `std` and itself only |
//! | [`definition`] | pure, but `load` | what the user wrote, to a [`::pod::spec::Definition`] |
//! | [`engine`] | I/O | the only way to Docker; `bollard` is named nowhere else |
//! | [`cli`] | pure | the command line |
//! | [`check`] | I/O | `manager check`: a definition for people, before anything runs |
//! | [`debug`] | I/O | `manager debug`: a container of somebody's choice that looks around in a pod |
//! | [`restart`] | I/O | `manager restart`: asks the manager of this container to restart a component |
//! | [`status`] | I/O | `manager status`: what the engine tells of pods, for people |
//! | [`run`] | I/O | tasks, time, signals, privileges |
//!
//! Arrows point one way, and the crates make the compiler hold it: `manager -> {definition, engine} -> pod`; within the
//! manager `check -> run`, `debug -> status -> run`, `restart -> run`. A file that touches files, the environment or the
//! clock says so in its first line (`clippy.toml`).

#![forbid(unsafe_code)]

pub mod agent;
pub mod cgroups;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod files;
pub mod garbage_collector;
pub mod log_format;
pub mod logs;
pub mod pause_channel;
pub mod pod_run;
pub mod reconcile;
pub mod remote_pod;
pub mod request_pipe;
pub mod security;
pub mod startup;
#[cfg(test)]
mod testing;
