//! The attached output of a component: frames cut anywhere, to lines. Nothing is lost, nothing is held beyond a line.
//! The first byte of the input says how its rest is cut.
#![no_main]

use engine::demux::{Frames, Stream};
use libfuzzer_sys::fuzz_target;
use manager::logs::lines::Lines;
use manager::logs::output::Form;

/// The payload of both streams, and the lines made of it, with the input in pieces of this size.
fn read(bytes: &[u8], piece: usize) -> ([Vec<u8>; 2], [Vec<u8>; 2], bool) {
    let mut frames = Frames::default();
    let mut payload = [Vec::new(), Vec::new()];
    let mut lines = [Lines::new("out", "app", Form::Text), Lines::new("err", "app", Form::Text)];
    let mut sound = true;
    for chunk in bytes.chunks(piece) {
        let sink = |stream: Stream, bytes: &[u8]| {
            payload[stream as usize].extend_from_slice(bytes);
            lines[stream as usize].push(bytes);
        };
        if frames.split(chunk, sink).is_err() {
            sound = false;
            break;
        }
    }
    let text = lines.map(|mut lines| {
        lines.finish();
        lines.take()
    });
    (payload, text, sound)
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first() else { return };
    let (payload, lines, sound) = read(bytes, usize::from(*cut).max(1));
    let whole = read(bytes, usize::MAX);
    assert!((&payload, &lines, sound) == (&whole.0, &whole.1, whole.2), "how it is cut makes a difference");
    for (name, (payload, lines)) in ["out", "err"].iter().zip(payload.iter().zip(&lines)) {
        let prefix = format!("[{name}] app: ").into_bytes();
        let mut stripped = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            stripped.extend_from_slice(line.strip_prefix(&prefix[..]).expect("each line has its prefix"));
        }
        // A last line without an end got one.
        if !payload.is_empty() && payload.last() != Some(&b'\n') {
            assert_eq!(stripped.pop(), Some(b'\n'));
        }
        assert_eq!(&stripped, payload);
    }
});
