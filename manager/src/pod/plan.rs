//! The heart: what to do next.
