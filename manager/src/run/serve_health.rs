//! Tells pause the health.
