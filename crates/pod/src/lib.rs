//! The core: what a pod is, what is true of it now, and what to do next. Pure: `std` and itself only.

pub mod action;
pub mod api_compat;
pub mod bounds;
pub mod cgroups;
pub mod completion;
pub mod container_options;
pub mod dependency_graph;
pub mod exit_status;
pub mod failed_check;
pub mod health;
pub mod identity;
pub mod in_place;
pub mod limits;
pub mod namespace_placement;
pub mod namespaces;
pub mod observed;
pub mod owner;
pub mod path;
pub mod plan;
pub mod policy;
pub mod pre_start;
pub mod registry_auth;
pub mod restart;
pub mod spec;
pub mod store;
pub mod task_container;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod volume;
pub mod words;
