//! What the user wrote, to a [`pod::spec::Definition`].
//!
//! ```text
//! label text --yaml--> Node --compose--> Raw --lower--> Definition
//!                        '------- faults --------'--> Report (line and column found again at the end)
//! ```
//!
//! [`labels::definition`] is the entrance. Each step goes on after a fault, so that one report holds every fault
//! of a definition. Everything is pure except [`files`], which reads the files that a definition names.
//!
//! A new Compose key is a row in `compose::KEYS` and a function beside it; what it must be checked against
//! (the task container, other components, files) stands in `lower`.

pub mod diagnostic;
pub mod files;
pub mod labels;
pub mod lower;
pub mod policy_file;
pub mod registry_config;
pub mod stack;

mod compose;
mod compose_file;
mod cursor;
mod documents;
mod env_file;
mod extended;
mod extends;
mod hooks;
mod include;
mod interpolate;
mod pre_start;
mod raw;
mod resources;
mod seccomp;
mod secrets;
mod tandem;
mod values;
mod variables;
mod volumes;
mod words;
mod yaml;
