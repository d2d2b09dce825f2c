//! Actions to engine calls.
