//! What the manager gives up, and what it looks at before it mounts.

pub mod confine;
pub mod manager_files;
pub mod mount_guard;
pub mod privileges;
