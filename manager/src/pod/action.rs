//! What to do next, as plain data.
