//! The subcommands of `manager`.

pub mod check;
pub mod debug;
pub mod explain;
pub mod restart;
pub mod run;
pub mod status;
