//! The loop on an engine in memory.

mod end_in_time;
mod harness;
mod in_place;
mod pre_start;
mod properties;
mod scenarios;
mod simulation;
