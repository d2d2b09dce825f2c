//! The control channel of a bare pause: standard input.

use std::fs::OpenOptions;
use std::io::{Read, Write, pipe};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pause::control::{Frame, MAX_TEXT};
use pause::health::Health;

use crate::stage::{Pod, Stage, bytes_of, program, switches_of, until, within};

fn bare() -> Pod {
    Stage::new(&[]).stdin(Stdio::piped()).start()
}

/// A pause that was told to hold, and has understood.
fn holding(secs: u32) -> Pod {
    let mut pod = bare();
    pod.send(Frame::Hold(secs));
    pod.send(Frame::Health(Health::Healthy));
    pod.until_health("pause healthy");
    pod
}

/// Waits until nothing has woken pause for a while.
fn until_idle(pod: &Pod) {
    until("it is idle", || {
        let before = switches_of(pod.init());
        !within(Duration::from_millis(200), || switches_of(pod.init()) != before)
    });
}

#[test]
fn a_pod_that_nobody_runs_says_so_once() {
    let line = "pause: no manager has spoken for 10 s: does one run here for the label `pod.manager`?\n";
    let deaf = "pause: no standard input for a manager: set `stdin_open: true` (`-i`)\n";
    let without = Stage::new(&[]).start();
    without.err.until_contains(deaf);
    let began = Instant::now();
    let alone = bare();
    let mut attended = bare();
    attended.send(Frame::Hold(600));
    let held = Stage::new(&[]).env("TANDEM_HELD", "1").start();
    let held_with_line = Stage::new(&[]).env("TANDEM_HELD", "1").stdin(Stdio::piped()).start();
    until("it is set up", || alone.health() == "pause starting");
    assert_eq!(alone.err.text(), "", "not at once");
    alone.err.until_contains(line);
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(!within(Duration::from_secs(1), || alone.err.text() != line), "once");
    for (case, mut pod, want) in [
        ("without a line", without, deaf),
        ("alone", alone, line),
        ("held", held, ""),
        ("held, with a line", held_with_line, ""),
    ] {
        pod.signal(Signal::SIGTERM);
        pod.wait();
        assert_eq!(pod.err.at_end(), want, "{case}");
    }
    attended.send(Frame::Exit(0));
    assert_eq!(attended.wait(), 0);
    assert_eq!(attended.err.at_end(), "");
}

#[test]
fn one_that_a_manager_started_shows_no_health() {
    let held = Stage::new(&[]).env("TANDEM_HELD", "1").start();
    assert_eq!(held.health(), "pause holding");
}

#[test]
fn every_health_is_shown() {
    let mut pod = bare();
    assert_eq!(pod.health(), "pause starting");
    for health in [Health::Healthy, Health::Unhealthy, Health::Stopping, Health::Starting, Health::Healthy] {
        pod.send(Frame::Health(health));
        pod.until_health(&format!("pause {}", health.word()));
    }
}

#[test]
fn an_exit_frame_ends_it_with_any_status() {
    for status in [0, 1, 42, 255] {
        let mut pod = bare();
        pod.send(Frame::Exit(status));
        assert_eq!(pod.wait(), i32::from(status));
    }
}

#[test]
fn without_a_hold_term_ends_it_at_once() {
    let mut pod = bare();
    pod.send(Frame::Health(Health::Healthy));
    pod.until_health("pause healthy");
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 0);
}

#[test]
fn a_hold_makes_term_wait_for_the_exit_frame() {
    for stop in [Signal::SIGTERM, Signal::SIGINT] {
        let mut pod = holding(600);
        pod.signal(stop);
        pod.until_health("pause stopping");
        pod.err.until_contains("pause: asked to stop: waiting for the exit status, up to 600 s\n");
        pod.send(Frame::Out(b"last words\n"));
        pod.send(Frame::Exit(3));
        assert_eq!(pod.wait(), 3);
        assert_eq!(pod.out.at_end(), "last words\n");
    }
}

#[test]
fn a_hold_has_a_limit() {
    let mut pod = holding(1);
    let asked = Instant::now();
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 1, "whoever asked for time has not settled it");
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(pod.err.at_end().ends_with("pause: no exit status within 1 s: ending\n"));
}

#[test]
fn a_hold_of_0_releases() {
    let mut pod = holding(600);
    pod.send(Frame::Hold(0));
    pod.send(Frame::Health(Health::Unhealthy));
    pod.until_health("pause unhealthy");
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 1, "a pod that is not healthy is no success");
}

#[test]
fn a_stop_is_a_success_where_the_pod_is_healthy_or_there_is_no_pod() {
    let mut never_begun = bare();
    never_begun.signal(Signal::SIGTERM);
    assert_eq!(never_begun.wait(), 1);
    let mut healthy = bare();
    healthy.send(Frame::Health(Health::Healthy));
    healthy.until_health("pause healthy");
    healthy.signal(Signal::SIGTERM);
    assert_eq!(healthy.wait(), 0);
}

#[test]
fn the_channels_end_releases_a_hold() {
    let mut before = holding(600);
    before.close_input();
    let mut during = holding(600);
    during.signal(Signal::SIGTERM);
    during.until_health("pause stopping");
    during.close_input();
    assert_eq!(during.wait(), 0);
    // Nothing shows that it has seen the end, but that it sleeps again.
    until_idle(&before);
    before.signal(Signal::SIGTERM);
    assert_eq!(before.wait(), 0);
}

#[test]
fn a_half_frame_of_a_dead_writer_does_not_spoil_the_next_ones() {
    let whole = bytes_of(Frame::Out(b"never said"));
    for cut in 1..whole.len() - 1 {
        let mut pod = bare();
        pod.write(&whole[..cut]);
        pod.send(Frame::Health(Health::Healthy));
        pod.until_health("pause healthy");
        pod.send(Frame::Exit(5));
        assert_eq!(pod.wait(), 5, "cut at {cut}");
        assert_eq!(pod.out.at_end(), "");
    }
}

#[test]
fn a_run_of_bad_frames_is_one_complaint() {
    let mut pod = bare();
    pod.write(b"\0\x05x\0\0\x03q\x01\0");
    pod.write(&[&[7; 9000], b"\0".as_slice()].concat());
    pod.send(Frame::Health(Health::Healthy));
    // A supervised child's word: it means nothing here.
    pod.send(Frame::CloseListener);
    pod.send(Frame::Exit(0));
    assert_eq!(pod.wait(), 0);
    let complaint = "pause: dropped a control frame: ";
    assert_eq!(
        pod.err.at_end(),
        format!("{complaint}it was cut off\n{complaint}its kind or its length is unknown\n")
    );
}

#[test]
fn log_text_comes_out_byte_for_byte_on_both_outputs() {
    let mut pod = bare();
    let text: Vec<u8> = (0..MAX_TEXT * 100).map(|at| (at * 7 + at / 251) as u8).collect();
    let mut input = pod.take_input();
    let (to_out, to_err) = (bytes_of(Frame::Out(&text)), bytes_of(Frame::Err(&text)));
    let writer = thread::spawn(move || {
        input.write_all(&to_out).expect("pause reads");
        input.write_all(&to_err).expect("pause reads");
        input.write_all(&bytes_of(Frame::Exit(1))).expect("pause reads");
    });
    assert_eq!(pod.wait(), 1);
    writer.join().expect("all is written");
    pod.out.at_end();
    pod.err.at_end();
    assert!(pod.out.bytes() == text, "{} bytes came out, of {}", pod.out.bytes().len(), text.len());
    assert!(pod.err.bytes() == text, "{} bytes came out, of {}", pod.err.bytes().len(), text.len());
}

/// Fills standard output, which nobody reads, until the channel is held up.
fn stick(pod: &mut Pod) {
    let mut input = pod.take_input();
    let frame = bytes_of(Frame::Out(&[b'x'; MAX_TEXT]));
    let (tell, told) = mpsc::channel();
    // Blocks for good once both pipes are full, and ends with pause.
    thread::spawn(move || while input.write_all(&frame).is_ok() && tell.send(()).is_ok() {});
    until("the channel is held up", || told.recv_timeout(Duration::from_millis(300)).is_err());
    // It blocks in its write now, with `tell` still open.
    std::mem::forget(told);
}

#[test]
fn a_reader_that_is_stuck_holds_up_neither_term_nor_reaping() {
    let (reader, writer) = pipe().expect("a pipe");
    let mut pod = Stage::new(&[]).stdin(Stdio::piped()).stdout(writer).start();
    stick(&mut pod);
    let output = pod.exec(&["sh", "-c", "(:&); (:&); (:&)"]);
    assert!(output.status.success());
    until("the orphans are reaped", || crate::stage::children_of(pod.init()).is_empty());
    let asked = Instant::now();
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 1);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    drop(reader);
}

#[test]
fn a_reader_that_is_stuck_does_not_outlast_the_hold() {
    let (reader, writer) = pipe().expect("a pipe");
    let mut pod = Stage::new(&[]).stdin(Stdio::piped()).stdout(writer).start();
    pod.send(Frame::Hold(1));
    pod.send(Frame::Health(Health::Healthy));
    pod.until_health("pause healthy");
    stick(&mut pod);
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 1);
    assert!(pod.err.at_end().ends_with("pause: no exit status within 1 s: ending\n"));
    drop(reader);
}

#[test]
fn a_reader_that_wakes_up_misses_nothing() {
    let (mut reader, writer) = pipe().expect("a pipe");
    let mut pod = Stage::new(&[]).stdin(Stdio::piped()).stdout(writer).start();
    let text: Vec<u8> = (0..MAX_TEXT * 64).map(|at| (at % 253) as u8).collect();
    let frames = [bytes_of(Frame::Out(&text)), bytes_of(Frame::Exit(0))].concat();
    let mut input = pod.take_input();
    let writer = thread::spawn(move || input.write_all(&frames));
    // 64 KiB fill the pipe; four times as much is to come through it.
    until_idle(&pod);
    let mut read = vec![];
    reader.read_to_end(&mut read).expect("it reads");
    assert!(read == text, "{} bytes came out, of {}", read.len(), text.len());
    assert_eq!(pod.wait(), 0);
    writer.join().expect("no panic").expect("all is written");
}

#[test]
fn an_output_that_nobody_reads_any_more_drops_the_text_and_nothing_else() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let mut pod = Stage::new(&[]).stdin(Stdio::piped()).stdout(writer).start();
    for _ in 0..50 {
        pod.send(Frame::Out(b"to nobody\n"));
    }
    pod.send(Frame::Health(Health::Healthy));
    pod.until_health("pause healthy");
    pod.send(Frame::Exit(0));
    assert_eq!(pod.wait(), 0);
}

/// PID 1 is spared by SIGPIPE anyway; one that is not has to block it.
#[test]
fn an_output_that_nobody_reads_any_more_does_not_kill_one_that_is_not_pid_1() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let (input, mut to_input) = pipe().expect("a pipe");
    to_input.write_all(&bytes_of(Frame::Out(b"to nobody\n"))).expect("there is room");
    to_input.write_all(&bytes_of(Frame::Exit(6))).expect("there is room");
    let output = Command::new(program()).stdin(input).stdout(writer).output().expect("it runs");
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let words = "pause: not PID 1: no zombies of others are reaped here\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), words);
}

#[test]
fn a_terminal_that_is_stuck_does_not_hold_up_term() {
    let (stage, terminal) = Stage::new(&[]).on_a_terminal();
    let mut pod = stage.stdin(Stdio::piped()).start();
    stick(&mut pod);
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 1);
    drop(terminal);
}

#[test]
fn a_terminal_as_input_is_no_channel() {
    let (stage, terminal) = Stage::new(&[]).on_a_terminal();
    let mut pod = stage.start();
    let mut keyboard = std::fs::File::from(terminal);
    until_idle(&pod);
    let before = switches_of(pod.init());
    keyboard.write_all(b"typed\n").expect("it is typed");
    assert!(!within(Duration::from_millis(300), || switches_of(pod.init()) != before), "it looked");
    // Ctrl-C.
    keyboard.write_all(b"\x03").expect("it is typed");
    assert_eq!(pod.wait(), 0);
}

#[test]
fn a_file_as_output_is_appended_to() {
    let directory = crate::stage::Directory::new();
    let path = directory.join("log");
    std::fs::write(&path, "before\n").expect("a file");
    let file = OpenOptions::new().append(true).open(&path).expect("a file");
    let mut pod = Stage::new(&[]).stdin(Stdio::piped()).stdout(file).start();
    pod.send(Frame::Out(b"after\n"));
    pod.send(Frame::Exit(0));
    assert_eq!(pod.wait(), 0);
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "before\nafter\n");
}

#[test]
fn an_input_that_is_at_its_end_is_left_alone() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(writer);
    let mut pod = Stage::new(&[]).stdin(reader).start();
    until_idle(&pod);
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 0);
}
