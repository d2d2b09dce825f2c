//! The control channel: what a manager tells pause, as frames on a byte stream.
//!
//! One format serves both ends: a supervised manager writes to file descriptor [`crate::env::CONTROL_FD`], a
//! manager outside writes to the standard input of a bare pause. Nothing flows back.
//!
//! # Format
//! `0x00 COBS(payload) 0x00`. [COBS](https://en.wikipedia.org/wiki/Consistent_Overhead_Byte_Stuffing) leaves
//! no zero byte inside a frame, so a zero byte is always a border, whatever came before it. Every frame
//! begins with one too: what an earlier writer left half done when it died is ended there and dropped, and
//! cannot poison the next frame.
//!
//! | payload | meaning |
//! |---|---|
//! | `h`, one byte (0 starting, 1 healthy, 2 unhealthy, 3 stopping) | [`Frame::Health`] |
//! | `x`, one byte | [`Frame::Exit`] |
//! | `l` | [`Frame::CloseListener`]; supervised only |
//! | `H`, 4 bytes, little-endian seconds | [`Frame::Hold`] |
//! | `o` or `e`, 0 to [`MAX_TEXT`] bytes | [`Frame::Out`], [`Frame::Err`]; standard input only |
//!
//! There is no checksum, on purpose. A frame that was cut off acts never: a payload of fixed length no longer
//! has it, and nothing shorter begins alike. Only log text may come out as its own beginning, which is what
//! its writer managed to say.
#![forbid(unsafe_code)]

use core::iter::once;

use crate::health::Health;

/// Longest text of one [`Frame::Out`] or [`Frame::Err`] in bytes: `PIPE_BUF`, which a pipe with room takes
/// whole. [`encode`] cuts longer ones into several frames.
pub const MAX_TEXT: usize = 4096;

/// Longest encoded frame in bytes, both zero bytes included.
pub const MAX_ENCODED: usize = 1 + MAX_PAYLOAD + MAX_PAYLOAD / GROUP + 1 + 1;

/// Longest time that a [`Frame::Hold`] can ask a bare pause for, in seconds; more is taken as this. A pod's time for stopping is an hour
/// at most.
pub const MAX_HOLD_SECS: u32 = 2 * 3600;

/// Longest payload in bytes: one byte of kind and the text.
const MAX_PAYLOAD: usize = 1 + MAX_TEXT;

/// Longest run of bytes other than zero that one COBS code byte can announce.
const GROUP: usize = 254;

/// One message from a manager to pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The pod's health, for `pause health`. Any frame also tells a supervising pause that this manager is
    /// far enough to clean up after itself, so the first one belongs after its signal handlers.
    Health(Health),
    /// Text for the standard output of the pause container.
    Out(&'a [u8]),
    /// Text for the standard error of the pause container.
    Err(&'a [u8]),
    /// To a bare pause: from now on TERM and INT wait for the [`Frame::Exit`], at most so many seconds; 0 ends this. To a
    /// supervising one: its child ends at most so many seconds after TERM, INT or [`Frame::Exit`], or is killed.
    Hold(u32),
    /// The pod's exit status. A bare pause ends with it at once. A supervising one remembers the first, and
    /// ends with it when its child has ended: a manager that crashes on the way, and the one that then cleans
    /// up, cannot lose it.
    Exit(u8),
    /// No sandbox will connect to the lifeline: stop listening.
    CloseListener,
}

/// Why a frame was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ended before its time: its writer died, or another began.
    CutOff,
    /// It is longer than any frame can be.
    TooLong,
    /// It is whole, and none of the known ones.
    Unknown,
}

impl Malformed {
    /// The fault in words, for a log line.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::CutOff => "it was cut off",
            Self::TooLong => "it is too long",
            Self::Unknown => "its kind or its length is unknown",
        }
    }
}

/// Makes frames of bytes as they come in, in pieces of any size. Its memory is fixed.
#[derive(Debug)]
pub struct Decoder {
    payload: [u8; MAX_PAYLOAD],
    len: usize,
    /// Bytes that the current group still has to bring.
    group: u8,
    /// Whether a zero byte stands between the current group and the next, if one comes.
    zero_after: bool,
    frame: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Between,
    Inside,
    TooLong,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { payload: [0; MAX_PAYLOAD], len: 0, group: 0, zero_after: false, frame: Progress::Between }
    }

    /// Takes bytes off the front of `input` up to the end of a frame, and returns that frame, or why it was
    /// dropped. `None`: `input` is used up.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Result<Frame<'_>, Malformed>> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            if byte != 0 {
                self.take(byte);
                continue;
            }
            match core::mem::replace(&mut self.frame, Progress::Between) {
                Progress::Between => {}
                Progress::TooLong => return Some(Err(Malformed::TooLong)),
                Progress::Inside if self.group > 0 => return Some(Err(Malformed::CutOff)),
                Progress::Inside => return Some(parse(self.payload.get(..self.len).unwrap_or_default())),
            }
        }
        None
    }

    /// The text of the [`Frame::Out`] or [`Frame::Err`] that [`Decoder::next`] returned last, until it is
    /// called again.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.payload.get(1..self.len).unwrap_or_default()
    }

    fn take(&mut self, byte: u8) {
        if self.frame == Progress::Between {
            (self.len, self.group, self.zero_after) = (0, 0, false);
            self.frame = Progress::Inside;
        }
        if self.group > 0 {
            self.group -= 1;
            self.push(byte);
        } else {
            if self.zero_after {
                self.push(0);
            }
            self.group = byte - 1;
            self.zero_after = usize::from(self.group) < GROUP;
        }
    }

    fn push(&mut self, byte: u8) {
        match self.payload.get_mut(self.len) {
            Some(slot) => {
                *slot = byte;
                self.len += 1;
            }
            None => self.frame = Progress::TooLong,
        }
    }
}

/// Hands the encoded frame to `sink`, piece by piece. Collect them and write them at once: a write of at most
/// `PIPE_BUF` bytes cannot be torn by another writer of the same pipe.
///
/// Text longer than [`MAX_TEXT`] becomes several frames, no text none.
///
/// ```
/// use pause::control::{Frame, encode};
/// let mut bytes = Vec::new();
/// encode(&Frame::Exit(0), |piece| bytes.extend_from_slice(piece));
/// assert_eq!(bytes, [0, 2, b'x', 1, 0]);
/// ```
pub fn encode(frame: &Frame<'_>, mut sink: impl FnMut(&[u8])) {
    match *frame {
        Frame::Health(health) => put(b'h', &[health.to_byte()], &mut sink),
        Frame::Hold(secs) => put(b'H', &secs.to_le_bytes(), &mut sink),
        Frame::Exit(status) => put(b'x', &[status], &mut sink),
        Frame::CloseListener => put(b'l', &[], &mut sink),
        Frame::Out(text) => text.chunks(MAX_TEXT).for_each(|piece| put(b'o', piece, &mut sink)),
        Frame::Err(text) => text.chunks(MAX_TEXT).for_each(|piece| put(b'e', piece, &mut sink)),
    }
}

/// One frame: a border, the groups, a border.
fn put(kind: u8, body: &[u8], sink: &mut impl FnMut(&[u8])) {
    let mut group = [0; 1 + GROUP];
    let mut code = 1_u8;
    sink(&[0]);
    for &byte in once(&kind).chain(body) {
        if byte != 0 {
            group[usize::from(code)] = byte;
            code += 1;
        }
        if byte == 0 || code == u8::MAX {
            group[0] = code;
            sink(&group[..usize::from(code)]);
            code = 1;
        }
    }
    group[0] = code;
    sink(&group[..usize::from(code)]);
    sink(&[0]);
}

fn parse(payload: &[u8]) -> Result<Frame<'_>, Malformed> {
    match *payload {
        [b'h', byte] => Health::from_byte(byte).map(Frame::Health).ok_or(Malformed::Unknown),
        [b'x', status] => Ok(Frame::Exit(status)),
        [b'l'] => Ok(Frame::CloseListener),
        [b'H', a, b, c, d] => Ok(Frame::Hold(u32::from_le_bytes([a, b, c, d]))),
        [b'o', ref text @ ..] => Ok(Frame::Out(text)),
        [b'e', ref text @ ..] => Ok(Frame::Err(text)),
        _ => Err(Malformed::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame without a lifetime, to collect.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Got {
        Fixed(Frame<'static>),
        Out(Vec<u8>),
        Err(Vec<u8>),
        Bad(Malformed),
    }

    fn bytes_of(frame: &Frame<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(frame, |piece| bytes.extend_from_slice(piece));
        bytes
    }

    fn decode_with(decoder: &mut Decoder, bytes: &[u8], step: usize) -> Vec<Got> {
        let mut got = Vec::new();
        for mut piece in bytes.chunks(step) {
            while let Some(result) = decoder.next(&mut piece) {
                got.push(match result {
                    Ok(Frame::Out(text)) => Got::Out(text.to_vec()),
                    Ok(Frame::Err(text)) => Got::Err(text.to_vec()),
                    Ok(Frame::Health(health)) => Got::Fixed(Frame::Health(health)),
                    Ok(Frame::Hold(secs)) => Got::Fixed(Frame::Hold(secs)),
                    Ok(Frame::Exit(status)) => Got::Fixed(Frame::Exit(status)),
                    Ok(Frame::CloseListener) => Got::Fixed(Frame::CloseListener),
                    Err(why) => Got::Bad(why),
                });
            }
        }
        got
    }

    fn decode(bytes: &[u8]) -> Vec<Got> {
        decode_with(&mut Decoder::new(), bytes, usize::MAX)
    }

    /// xorshift64: the same numbers in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize % limit
        }
    }

    fn fixed_frames() -> Vec<Frame<'static>> {
        let mut frames: Vec<_> = (0..=255).map(Frame::Exit).collect();
        frames.extend(Health::ALL.map(Frame::Health));
        frames.extend([0, 1, 255, 256, 3600, u32::MAX].map(Frame::Hold));
        frames.push(Frame::CloseListener);
        frames
    }

    #[test]
    fn the_bytes_on_the_wire_are_these() {
        let cases: [(&str, Frame<'_>, &[u8]); 6] = [
            ("starting is a zero byte, which is stuffed", Frame::Health(Health::Starting), b"\0\x02h\x01\0"),
            ("healthy", Frame::Health(Health::Healthy), b"\0\x03h\x01\0"),
            ("an exit status", Frame::Exit(7), b"\0\x03x\x07\0"),
            ("a hold is little-endian", Frame::Hold(10), b"\0\x03H\x0a\x01\x01\x01\0"),
            ("a kind alone", Frame::CloseListener, b"\0\x02l\0"),
            ("text", Frame::Out(b"hi\n"), b"\0\x05ohi\n\0"),
        ];
        for (case, frame, bytes) in cases {
            assert_eq!(bytes_of(&frame), bytes, "{case}");
        }
    }

    #[test]
    fn every_fixed_frame_comes_back_in_pieces_of_any_size() {
        let frames = fixed_frames();
        let bytes: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
        for step in [1, 2, 3, 7, 64, usize::MAX] {
            let got = decode_with(&mut Decoder::new(), &bytes, step);
            assert_eq!(got, frames.iter().copied().map(Got::Fixed).collect::<Vec<_>>(), "pieces of {step}");
        }
    }

    #[test]
    fn text_of_every_length_around_a_border_comes_back_whole() {
        let lengths = (1..3).chain(250..260).chain(505..512).chain(MAX_TEXT - 2..=MAX_TEXT);
        for length in lengths {
            for fill in [0_u8, 1, 255] {
                let text = vec![fill; length];
                let bytes = bytes_of(&Frame::Out(&text));
                assert!(bytes.len() <= MAX_ENCODED, "{length} bytes of {fill}: {} encoded", bytes.len());
                assert!(!bytes[1..bytes.len() - 1].contains(&0), "{length} bytes of {fill}: a border inside");
                assert_eq!(decode(&bytes), [Got::Out(text)], "{length} bytes of {fill}");
            }
        }
    }

    #[test]
    fn longer_text_becomes_several_frames_and_none_becomes_none() {
        let text: Vec<u8> = (0..MAX_TEXT * 2 + 5).map(|i| i as u8).collect();
        let want: Vec<_> = text.chunks(MAX_TEXT).map(|piece| Got::Err(piece.to_vec())).collect();
        assert_eq!(decode(&bytes_of(&Frame::Err(&text))), want);
        assert_eq!(bytes_of(&Frame::Err(b"")), b"");
    }

    #[test]
    fn the_text_stays_readable_until_the_next_bytes() {
        let mut decoder = Decoder::new();
        let bytes = bytes_of(&Frame::Out(b"hello"));
        assert!(matches!(decoder.next(&mut bytes.as_slice()), Some(Ok(Frame::Out(b"hello")))));
        assert_eq!(decoder.text(), b"hello");
    }

    #[test]
    fn a_bad_frame_is_named_and_the_next_one_is_read() {
        let long = [[2].repeat(1 + MAX_PAYLOAD * 2), vec![0]].concat();
        let cases: [(&str, &[u8], Malformed); 9] = [
            ("a group that ends early", b"\0\x05x\0", Malformed::CutOff),
            ("a code byte alone", b"\x02\0", Malformed::CutOff),
            ("a frame that never ends", &long, Malformed::TooLong),
            ("an empty payload", b"\x01\0", Malformed::Unknown),
            ("a health that does not exist", b"\x03h\x04\0", Malformed::Unknown),
            ("an exit without its status", b"\x02x\0", Malformed::Unknown),
            ("an exit with too much", b"\x04x\x01\x01\0", Malformed::Unknown),
            ("a hold of three bytes", b"\x05H\x01\x01\x01\0", Malformed::Unknown),
            ("an unknown kind", b"\x03q\x01\0", Malformed::Unknown),
        ];
        for (case, bytes, why) in cases {
            let all = [bytes, &bytes_of(&Frame::Exit(3))].concat();
            for step in [1, usize::MAX] {
                let got = decode_with(&mut Decoder::new(), &all, step);
                assert_eq!(got, [Got::Bad(why), Got::Fixed(Frame::Exit(3))], "{case}");
            }
        }
    }

    #[test]
    fn a_frame_cut_anywhere_never_acts_and_never_hurts_the_next() {
        for frame in fixed_frames() {
            let bytes = bytes_of(&frame);
            for cut in 0..bytes.len() - 1 {
                let all = [&bytes[..cut], &bytes_of(&Frame::Exit(42))].concat();
                let got = decode(&all);
                assert_eq!(got.last(), Some(&Got::Fixed(Frame::Exit(42))), "{frame:?} cut at {cut}");
                for earlier in &got[..got.len() - 1] {
                    assert!(matches!(earlier, Got::Bad(_)), "{frame:?} cut at {cut} acted: {earlier:?}");
                }
            }
        }
    }

    #[test]
    fn cut_log_text_is_at_most_its_own_beginning() {
        let text = [b"one\0two\0three".as_slice(), &[7; 300]].concat();
        let bytes = bytes_of(&Frame::Out(&text));
        for cut in 0..bytes.len() - 1 {
            let all = [&bytes[..cut], &bytes_of(&Frame::Exit(42))].concat();
            let got = decode(&all);
            assert_eq!(got.last(), Some(&Got::Fixed(Frame::Exit(42))), "cut at {cut}");
            for earlier in &got[..got.len() - 1] {
                match earlier {
                    Got::Out(piece) => assert!(text.starts_with(piece), "cut at {cut}"),
                    Got::Bad(_) => {}
                    other => panic!("cut at {cut} acted: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn random_bytes_never_confuse_the_frames_that_follow() {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let mut decoder = Decoder::new();
        for round in 0..3000 {
            let size = if dice.below(20) == 0 { 6000 } else { 40 };
            let noise: Vec<u8> = (0..dice.below(size)).map(|_| dice.below(256) as u8).collect();
            let step = 1 + dice.below(50);
            decode_with(&mut decoder, &noise, step);
            let status = dice.below(256) as u8;
            let got = decode_with(&mut decoder, &bytes_of(&Frame::Exit(status)), step);
            assert_eq!(got.last(), Some(&Got::Fixed(Frame::Exit(status))), "round {round}");
            assert!(got.len() <= 2, "round {round}: {got:?}");
        }
    }

    #[test]
    fn random_frames_come_back_in_order() {
        let mut dice = Dice(0x2545_f491_4f6c_dd1d);
        for round in 0..200 {
            let texts: Vec<Vec<u8>> = (0..1 + dice.below(8))
                .map(|_| (0..1 + dice.below(MAX_TEXT)).map(|_| dice.below(3) as u8).collect())
                .collect();
            let bytes: Vec<u8> = texts.iter().flat_map(|text| bytes_of(&Frame::Out(text))).collect();
            let got = decode_with(&mut Decoder::new(), &bytes, 1 + dice.below(5000));
            assert_eq!(got, texts.into_iter().map(Got::Out).collect::<Vec<_>>(), "round {round}");
        }
    }
}
