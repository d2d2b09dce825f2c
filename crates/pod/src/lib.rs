//! The core: what a pod is, what is true of it now, and what to do next. Pure: `std` and itself only.

pub mod action;
pub mod bounds;
pub mod ends;
pub mod exit;
pub mod failed_check;
pub mod health;
pub mod identity;
pub mod in_place;
pub mod limits;
pub mod needs;
pub mod observed;
pub mod order;
pub mod owner;
pub mod path;
pub mod placement;
pub mod plan;
pub mod policy;
pub mod pre_start;
pub mod registry;
#[cfg(any(test, feature = "testing"))]
pub mod sample;
pub mod spec;
pub mod store;
pub mod task;
pub mod tuning;
pub mod words;
