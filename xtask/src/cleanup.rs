//! What must be undone at the end: also after a failure, and after Ctrl-C.

use std::sync::{Mutex, PoisonError};

type Undo = Box<dyn FnOnce() + Send>;

static UNDO: Mutex<Vec<Undo>> = Mutex::new(Vec::new());

/// Do this at the end, before what was put down earlier.
pub(crate) fn later(undo: impl FnOnce() + Send + 'static) {
    UNDO.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(undo));
}

/// Undo everything, last first. A second call finds nothing left to do.
pub(crate) fn run() {
    loop {
        let next = UNDO.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match next {
            Some(undo) => undo(),
            None => return,
        }
    }
}

/// Clean up on SIGINT, SIGTERM and SIGHUP, then end as the signal would have.
pub(crate) fn on_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            eprintln!("\nxtask: stopped, cleaning up");
            run();
            std::process::exit(128 + signal);
        }
    });
}
