//! The pure half of `pause`, PID 1 of a pod; also what a manager needs to talk to it: [`control`], [`health`], [`env`].
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod control;
pub mod env;
pub mod health;
