//! Standard output and error.
