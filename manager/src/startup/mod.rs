//! From the environment and the command line to a pod that may begin.

pub mod context;
pub mod own_container;
pub mod retry;
pub mod spec;
