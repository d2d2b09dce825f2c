//! Output of components, and of the manager.

pub mod forward;
pub mod json;
pub mod lines;
pub mod output;
pub mod tail;
