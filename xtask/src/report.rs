//! What is shown: a line when a step begins, one with its time when it ends. All of it goes to standard error, where
//! Cargo writes too, so that it stays in order.

use std::time::Instant;

use anyhow::{Context, Result};

/// Say what is done, do it, say how long it took. The name becomes part of the error.
pub(crate) fn step<T>(what: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {what}");
    let began = Instant::now();
    let result = act();
    let word = if result.is_ok() { "ok" } else { "FAILED" };
    eprintln!("    {word}: {what} ({:.1} s)", began.elapsed().as_secs_f64());
    result.with_context(|| what.to_owned())
}

/// Something to know, within a step.
pub(crate) fn note(text: &str) {
    for line in text.lines() {
        eprintln!("    {line}");
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
