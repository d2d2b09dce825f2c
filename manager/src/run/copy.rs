//! What is copied into components.
