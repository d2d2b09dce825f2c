//! `manager`: runs pods on the Docker Engine. One Swarm task, or any container with the labels of a pod,
//! becomes a group of containers that share its network.
//!
//! # Layout
//! `docs/architecture.md` has the data flow and the crates. The modules of this one:
//!
//! | module | | knows |
//! |---|---|---|
//! | [`cli`] | pure | the command line |
//! | [`commands`] | I/O | the subcommands: `run`, `check`, `status`, `debug`, `restart` |
//! | [`startup`] | I/O | from the environment to a pod that may begin: engine, own container, spec |
//! | [`pod_run`] | I/O | one pod, to its end |
//! | [`reconcile`] | I/O | the loop: observe, plan, act |
//! | [`agent`] | I/O | all pods of a node |
//! | [`remote_pod`], [`pause_channel`] | I/O | a pod whose task container is another one; frames to `pause` |
//! | [`logs`], [`log_format`] | I/O | output of components; lines of the manager itself |
//! | [`files`] | I/O | `pod.copy`, secrets and configs |
//! | [`cgroups`] | I/O | limits of the pod |
//! | [`security`] | I/O | privileges, system calls, mounts of other pods |
//! | [`checkpoint`], [`garbage_collector`] | I/O | what a restarted manager must know; what dead pods left |
//! | [`request_pipe`] | I/O | `manager restart`, from the command to the manager that runs |
//!
//! Arrows point one way, and the crates make the compiler hold it: `manager -> {definition, engine} -> pod`. A file that
//! touches files, the environment or the clock says so in its first line (`clippy.toml`).

#![forbid(unsafe_code)]

pub mod agent;
pub mod cgroups;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod error;
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
pub mod stop_status;
#[cfg(test)]
mod testing;
