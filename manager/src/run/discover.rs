//! Which container am I?
