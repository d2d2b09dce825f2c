//! Component output to lines.
