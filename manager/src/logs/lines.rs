//! Component output to lines: `[out] app: hello` on standard output, `[err] app: oops` on standard error; or JSON
//! objects, `{"component":"app","stream":"out","line":"hello"}`.
//!
//! Byte-exact: what a component writes comes out as it is, whatever the encoding, behind a prefix a line.
//! A line is whole up to 2 MiB; a longer one comes in pieces, each but the first marked `[continued]`
//! behind its prefix, each but the last ended by `[continues]`. A last line without an end gets one. In JSON a piece
//! has `"continued":true` and `"continues":true` instead, it ends between two characters, and what is not UTF-8 is
//! replaced by U+FFFD.

use std::io;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::logs::json::quoted;
use crate::logs::output::{Form, MAX_LINE, Output};
use engine::EngineError;
use engine::demux::{Frames, Stream, UnknownStream};

/// What ends a piece that is not the last of its line.
const CONTINUES: &[u8] = b" [continues]";
/// What begins a piece that is not the first of its line.
const CONTINUED: &[u8] = b"[continued] ";

/// Why a container's output cannot be followed further.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The connection broke.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What came is not what Docker sends.
    #[error(transparent)]
    Stream(#[from] UnknownStream),
    /// Our own output is closed.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Put out what this stream brings, until it ends.
///
/// # Errors
/// When it breaks; what came until then is put out.
pub async fn pump(
    mut stream: BoxStream<'static, Result<Bytes, EngineError>>,
    component: &str,
    tty: bool,
    output: &Output,
) -> Result<(), FollowError> {
    let mut out = Lines::new("out", component, output.form());
    let mut err = Lines::new("err", component, output.form());
    let mut frames = Frames::default();
    let mut result = Ok(());
    while let Some(chunk) = stream.next().await {
        result = match chunk {
            Ok(chunk) if tty => {
                out.push(&chunk);
                Ok(())
            }
            Ok(chunk) => {
                let split = frames.split(&chunk, |stream, bytes| match stream {
                    Stream::Out => out.push(bytes),
                    Stream::Err => err.push(bytes),
                });
                split.map_err(FollowError::from)
            }
            Err(error) => Err(error.into()),
        };
        output.write(Stream::Out, out.take()).await?;
        output.write(Stream::Err, err.take()).await?;
        if result.is_err() {
            break;
        }
    }
    out.finish();
    err.finish();
    output.write(Stream::Out, out.take()).await?;
    output.write(Stream::Err, err.take()).await?;
    result
}

/// Makes lines of one stream of a component.
#[derive(Debug)]
pub struct Lines {
    prefix: Vec<u8>,
    form: Form,
    /// The line that has not ended yet, without prefix.
    partial: Vec<u8>,
    /// A piece of this line is out already.
    continued: bool,
    ready: Vec<u8>,
}

impl Lines {
    /// Lines of `out` or `err` of a component.
    pub fn new(stream: &str, component: &str, form: Form) -> Self {
        let prefix = match form {
            Form::Text => format!("[{stream}] {component}: "),
            Form::Color => format!("\x1b[{}m[{stream}] {component}:\x1b[0m ", color(component)),
            Form::Json => {
                format!("{{\"component\":{},\"stream\":{},\"line\":", quoted(component), quoted(stream))
            }
        };
        Lines { prefix: prefix.into_bytes(), form, partial: Vec::new(), continued: false, ready: Vec::new() }
    }

    /// Take in bytes, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.grow(end);
                    self.end_line();
                }
                None => self.grow(piece),
            }
        }
    }

    /// No more will come: a line without an end is ended.
    pub fn finish(&mut self) {
        if !self.partial.is_empty() || self.continued {
            self.end_line();
        }
    }

    /// What is ready to be put out: whole lines.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ready)
    }

    fn grow(&mut self, mut bytes: &[u8]) {
        while self.partial.len() + bytes.len() > MAX_LINE {
            let (now, later) = bytes.split_at(MAX_LINE - self.partial.len());
            self.partial.extend_from_slice(now);
            bytes = later;
            // In JSON the beginning of a character waits for its end. That is shorter than a piece: this comes to an end.
            let begun = if self.form == Form::Json { begun_character(&self.partial) } else { 0 };
            let rest = self.partial.split_off(self.partial.len() - begun);
            self.put(true);
            self.partial.extend_from_slice(&rest);
            self.continued = true;
        }
        self.partial.extend_from_slice(bytes);
    }

    fn end_line(&mut self) {
        self.put(false);
        self.continued = false;
        // One long line is no reason to hold 2 MiB for the rest of the component's life.
        self.partial.shrink_to(4096);
    }

    /// Move the partial line, behind its prefix, to what is ready.
    fn put(&mut self, continues: bool) {
        self.ready.extend_from_slice(&self.prefix);
        if self.form == Form::Json {
            let line = quoted(&String::from_utf8_lossy(&self.partial));
            self.partial.clear();
            self.ready.extend_from_slice(line.as_bytes());
            for (is_so, key) in [(self.continued, "continued"), (continues, "continues")] {
                if is_so {
                    self.ready.extend_from_slice(format!(",\"{key}\":true").as_bytes());
                }
            }
            self.ready.extend_from_slice(b"}\n");
            return;
        }
        if self.continued {
            self.ready.extend_from_slice(CONTINUED);
        }
        self.ready.append(&mut self.partial);
        if continues {
            self.ready.extend_from_slice(CONTINUES);
        }
        self.ready.push(b'\n');
    }
}

/// How many bytes at the end of these begin a character in UTF-8 that is not whole.
fn begun_character(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(3).position(|byte| !(0x80..0xc0).contains(byte));
    let Some(back) = last.map(|back| back + 1) else { return 0 };
    let needs = match bytes[bytes.len() - back] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    if needs > back { back } else { 0 }
}

/// A colour of a component's own: the same each time, and none that means an error.
fn color(component: &str) -> u8 {
    const COLORS: [u8; 8] = [36, 33, 32, 35, 34, 96, 92, 95];
    let sum = component.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    COLORS[sum % COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("small");
        [&[kind, 0, 0, 0], &length.to_be_bytes()[..], payload].concat()
    }

    fn lines(pushes: &[&[u8]]) -> Vec<u8> {
        lines_in(Form::Text, pushes)
    }

    fn lines_in(form: Form, pushes: &[&[u8]]) -> Vec<u8> {
        let mut lines = Lines::new("out", "app", form);
        pushes.iter().for_each(|bytes| lines.push(bytes));
        lines.finish();
        lines.take()
    }

    #[test]
    fn each_line_gets_its_prefix_and_an_empty_one_too() {
        assert_eq!(lines(&[b"one\n\ntwo\n"]), b"[out] app: one\n[out] app: \n[out] app: two\n");
    }

    #[test]
    fn a_last_line_without_end_is_put_out_with_one() {
        assert_eq!(lines(&[b"one\ntw", b"o"]), b"[out] app: one\n[out] app: two\n");
        assert_eq!(lines(&[]), b"");
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let all: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
        assert_eq!(lines(&[&all, b"\n"]), [b"[out] app: ", &all[..], b"\n"].concat());
        let (first, second) = "ü".as_bytes().split_at(1);
        assert_eq!(lines(&[first, second, b"\r\n"]), "[out] app: ü\r\n".as_bytes());
    }

    #[test]
    fn a_line_of_the_longest_length_stays_whole_and_one_more_byte_makes_a_piece() {
        let longest = vec![b'x'; MAX_LINE];
        assert_eq!(lines(&[&longest, b"\n"]), [b"[out] app: ", &longest[..], b"\n"].concat());
        let want = [b"[out] app: ", &longest[..], CONTINUES, b"\n[out] app: [continued] y\n"].concat();
        assert_eq!(lines(&[&longest, b"y\n"]), want);
    }

    #[test]
    fn in_json_each_line_is_an_object_whatever_is_in_it() {
        let objects = |pushes: &[&[u8]]| -> Vec<serde_json::Value> {
            let text = String::from_utf8(lines_in(Form::Json, pushes)).expect("UTF-8");
            text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
        };
        let text = String::from_utf8(lines_in(Form::Json, &[b"hello\n"])).expect("UTF-8");
        assert_eq!(text, "{\"component\":\"app\",\"stream\":\"out\",\"line\":\"hello\"}\n");
        let said = objects(&[b"a \"b\" \\ \x1b[1m\r\n\n\xff", b"end"]);
        let lines: Vec<&str> = said.iter().filter_map(|line| line["line"].as_str()).collect();
        assert_eq!(lines, ["a \"b\" \\ \u{1b}[1m\r", "", "\u{fffd}end"]);

        let long = vec![b'x'; MAX_LINE];
        let pieces = objects(&[&long, b"y\n"]);
        assert_eq!(
            (&pieces[0]["continues"], &pieces[0]["continued"]),
            (&true.into(), &serde_json::Value::Null)
        );
        assert_eq!((&pieces[1]["continued"], &pieces[1]["line"]), (&true.into(), &"y".into()));
        assert_eq!(pieces.len(), 2);
    }

    #[test]
    fn in_json_a_long_line_is_cut_between_characters_and_nothing_is_lost() {
        for (before, char) in
            [("a", "é"), ("a", "€"), ("ab", "€"), ("a", "😀"), ("ab", "😀"), ("abc", "😀"), ("", "😀")]
        {
            let line = before.to_owned() + &char.repeat(2 * MAX_LINE / char.len() + 1);
            let cut = [&line.as_bytes()[..MAX_LINE - 1], &line.as_bytes()[MAX_LINE - 1..], b"\n"];
            let text = String::from_utf8(lines_in(Form::Json, &cut)).expect("UTF-8");
            let pieces: Vec<serde_json::Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
            let said: Vec<&str> = pieces.iter().filter_map(|piece| piece["line"].as_str()).collect();
            assert!(said.concat() == line, "{before:?} {char}: something is lost or replaced");
            assert!(said.len() == 3 && said.iter().all(|piece| piece.len() <= MAX_LINE), "{before:?} {char}");
        }
        // What is no character is not waited for longer than a piece.
        let odd = vec![0xf0; MAX_LINE + 3];
        let text = String::from_utf8(lines_in(Form::Json, &[&odd, b"\n"])).expect("UTF-8");
        assert_eq!((text.lines().count(), text.matches('\u{fffd}').count()), (2, MAX_LINE + 3));
    }

    #[test]
    fn in_colour_the_prefix_is_coloured_and_the_line_is_not() {
        let text = String::from_utf8(lines_in(Form::Color, &[b"hello\n"])).expect("UTF-8");
        assert!(text.starts_with("\x1b[") && text.ends_with("m[out] app:\x1b[0m hello\n"), "{text:?}");
    }

    #[test]
    fn memory_stays_bounded_however_long_a_line_is() {
        let mut lines = Lines::new("out", "app", Form::Text);
        let chunk = vec![b'x'; 64 * 1024];
        for _ in 0..256 {
            lines.push(&chunk);
            lines.take();
        }
        assert!(lines.partial.capacity() <= 2 * MAX_LINE, "{}", lines.partial.capacity());
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut_the_lines_are_the_same(
            payloads in prop::collection::vec((1u8..=2, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in prop::collection::vec(1usize..20, 0..60),
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
            let run = |chunks: Vec<&[u8]>| {
                let (mut out, mut err) = (Lines::new("out", "a", Form::Text), Lines::new("err", "a", Form::Text));
                let mut frames = Frames::default();
                for chunk in chunks {
                    frames.split(chunk, |stream, bytes| match stream {
                        Stream::Out => out.push(bytes),
                        Stream::Err => err.push(bytes),
                    }).expect("valid frames");
                }
                out.finish();
                err.finish();
                (out.take(), err.take())
            };
            let mut rest = &bytes[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = later;
            }
            pieces.push(rest);
            prop_assert_eq!(run(pieces), run(vec![&bytes]));
        }
    }
}
