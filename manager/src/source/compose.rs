//! Compose keys.
