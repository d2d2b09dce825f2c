//! The `pod.*` labels.
