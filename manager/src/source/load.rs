//! Reads the files that a definition names.
