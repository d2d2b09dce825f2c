//! The Docker Engine through bollard.
