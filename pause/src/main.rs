//! `pause`, PID 1 of a pod: the page to read. The map is in `lib.rs`.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod channel;
mod commands;
mod events;
mod launch;
mod lifeline;
mod log;
mod setup;
#[expect(unsafe_code, reason = "the first instruction comes from the kernel, not from Rust")]
mod start;
#[expect(unsafe_code, reason = "system calls")]
mod sys;

use pause::args::{self, Command, Mistake};
use pause::health::Health;
use pause::status;
use pause::step::Decision;

use channel::Buffers;
use log::Log;
use setup::Ready;
use start::Process;

/// All of it.
fn run(process: Process) -> ! {
    // The first act, for every use: a `pause health` beside components must not be looked into either. It
    // cannot fail on a kernel that has the call, and all of those do.
    let _ = sys::not_dumpable();
    let command = match args::parse(process.args.skip(1)) {
        Ok(command) => command,
        Err(mistake) => sys::exit(refuse(mistake)),
    };
    if !matches!(command, Command::Hold { .. } | Command::Supervise) {
        sys::exit(commands::run(command));
    }
    let mut buffers = Buffers::new();
    match &mut setup::set_up(command, process, &mut buffers) {
        Ok(ready) => sys::exit(serve(ready)),
        Err(failure) => {
            failure.tell();
            sys::exit(failure.code())
        }
    }
}

// ---------------------------------------------------------------------------------------------------------
// The boundary. Above it a failure ends pause with a status of its own. Below it, nothing ends pause but
// `Decision::Exit`: PID 1 that ends takes the pod with it.
// ---------------------------------------------------------------------------------------------------------

fn serve(Ready { state, events, launcher }: &mut Ready<'_>) -> u8 {
    let mut published = Health::Starting;
    loop {
        let (event, now_ms) = events.next(state.deadline_ms());
        let decision = state.step(event, now_ms);
        if state.health() != published {
            published = state.health();
            sys::set_name(published.comm());
        }
        let mut line = log::line();
        if decision.describe(&mut line) {
            launcher.log.say(&mut line);
        }
        match decision {
            Decision::Continue
            | Decision::Respawn { .. }
            | Decision::Wait { .. }
            | Decision::Unattended { .. } => {}
            Decision::Forward(signal) => {
                if let Err(errno) = events.forward(signal) {
                    launcher.log.say(log::line().text("cannot forward a signal to the child: ").errno(errno));
                }
            }
            Decision::Launch { stop } => events.watch(launcher.launch(stop)),
            Decision::CloseListener => events.lifeline.close_listener(),
            Decision::Exit { status, .. } => return status,
        }
    }
}

fn refuse(mistake: Mistake<'_>) -> u8 {
    let mut line = log::line();
    mistake.describe(&mut line);
    Log::STDERR.say(&mut line);
    let _ = sys::write(2, args::USAGE.as_bytes());
    status::USAGE
}
