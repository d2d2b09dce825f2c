//! What the user wrote, to a [`crate::pod::spec::Definition`].

pub mod compose;
pub mod fault;
pub mod labels;
pub mod load;
pub mod lower;
