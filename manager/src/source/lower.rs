//! Raw to spec.
