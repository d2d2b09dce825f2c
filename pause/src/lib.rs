//! `pause`: PID 1 of the container whose namespaces a pod shares. This library is its pure half; it is also
//! what a manager needs to talk to it: [`control`], [`health`], [`mod@env`].
//!
//! # Layout
//! ```text
//! kernel --sys--> events --Event--> step(state, event) --Decision--> main performs via sys, launch, lifeline
//!                   ^                 bare | supervise                 |
//!                   '---------------- waits for the next <-------------'
//! ```
//! | file | | knows |
//! |---|---|---|
//! | `args` | pure | the command line |
//! | `bare`, `supervise` | pure | all policy: (state, event) -> decision |
//! | `step` | pure | what events and decisions there are |
//! | `control` | pure | the frames that a manager sends |
//! | `store` | pure | the stream of files that `pause store` writes |
//! | `health`, `env`, `status`, `signals`, `errno`, `line` | pure | names, numbers, words |
//! | `main` | I/O | the page to read: set up, then event, step, perform |
//! | `setup` | I/O | what can still fail: descriptors, signals, privileges |
//! | `events` | I/O | the one blocking wait; reaping |
//! | `channel` | I/O | bytes -> frames; log text to the outputs, without ever blocking |
//! | `lifeline` | I/O | the abstract socket that ties a sandbox to its task container |
//! | `launch` | I/O | how the child is started |
//! | `commands` | I/O | `health`, `cat`, `store` and the rest that run and end |
//! | `log` | I/O | one line to standard error |
//! | `sys`, `start` | I/O | system calls, the first instruction: the only `unsafe` |
//!
//! The I/O files belong to the program, which is built with the feature `program` (see `Cargo.toml` for why):
//! no standard library, no C library, no allocator.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod args;
pub mod bare;
pub mod control;
pub mod env;
pub mod errno;
pub mod health;
pub mod line;
pub mod signals;
pub mod status;
pub mod step;
pub mod store;
pub mod supervise;
