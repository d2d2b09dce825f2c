//! Runs pods on the Docker Engine.

#![forbid(unsafe_code)]

pub mod cli;
pub mod engine;
pub mod exit;
pub mod pod;
pub mod run;
pub mod source;
