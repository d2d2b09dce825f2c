//! Between our types and the engine's.
