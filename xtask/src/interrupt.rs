//! Ctrl-C and TERM: a flag that every wait looks at. Whoever waits gives up with [`Interrupted`], and what must be
//! undone is undone on the way out.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The signal that came; 0 for none.
static SIGNAL: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);
/// Another thread failed: what this one does is of no use any more.
static ABANDONED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This thread is cleaning up, which is to be finished.
    static SHIELDED: Cell<bool> = const { Cell::new(false) };
}

/// We were told to end.
#[derive(Debug)]
pub(crate) struct Interrupted {
    signal: usize,
}

impl Interrupted {
    /// The exit status, as shells count: 128 and the signal's number.
    pub(crate) fn status(&self) -> u8 {
        u8::try_from(128 + self.signal).unwrap_or(1)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal {
            0 => write!(f, "given up, because something beside it failed"),
            _ => write!(f, "interrupted; what was started is stopped and removed"),
        }
    }
}

impl std::error::Error for Interrupted {}

/// Listen for the signals that mean "end".
pub(crate) fn listen() -> Result<()> {
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        let number = usize::try_from(signal).unwrap_or_default();
        signal_hook::flag::register_usize(signal, Arc::clone(&SIGNAL), number)
            .context("cannot listen for signals")?;
    }
    Ok(())
}

/// An error once we were told to end, except while [`shielded`].
pub(crate) fn check() -> Result<()> {
    let signal = SIGNAL.load(Ordering::Relaxed);
    let told = signal != 0 || ABANDONED.load(Ordering::Relaxed);
    if told && !SHIELDED.get() { Err(Interrupted { signal }.into()) } else { Ok(()) }
}

/// Let every thread give up: one of them failed.
pub(crate) fn abandon() {
    ABANDONED.store(true, Ordering::Relaxed);
}

/// Clean up: it runs to its end, whatever signal comes. All of it must be bounded.
pub(crate) fn shielded<T>(clean_up: impl FnOnce() -> T) -> T {
    let before = SHIELDED.replace(true);
    let result = clean_up();
    SHIELDED.set(before);
    result
}
