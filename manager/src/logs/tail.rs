//! The end of what a container or a hook wrote, for the case that it failed.

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};

use engine::EngineError;
use engine::demux::Frames;
use engine::demux::Stream;

/// How much of each stream is kept, bytes.
const MOST_KEPT: usize = 4096;

/// The end of both streams.
#[derive(Default)]
pub struct Tail {
    frames: Frames,
    out: Kept,
    err: Kept,
}

impl Tail {
    /// Take in what comes in Docker's frames.
    pub fn take(&mut self, chunk: &[u8]) {
        let (out, err) = (&mut self.out, &mut self.err);
        // What is no frame cannot be shown; that is said where the output is printed.
        let _ = self.frames.split(chunk, |stream, part| match stream {
            Stream::Out => out.take(part),
            Stream::Err => err.take(part),
        });
    }

    /// Take in all of a container's output, as an engine streams it.
    ///
    /// # Errors
    /// Where it breaks off; what came before is kept.
    pub async fn read(
        &mut self,
        mut output: BoxStream<'static, Result<Bytes, EngineError>>,
        tty: bool,
    ) -> Result<(), EngineError> {
        while let Some(chunk) = output.next().await {
            match tty {
                true => self.out.take(&chunk?),
                false => self.take(&chunk?),
            }
        }
        Ok(())
    }

    /// Whole lines that are not empty, fit for a log; those of standard error last, since they say what is wrong
    /// and nobody knows the order of the two.
    pub fn lines(&self) -> Vec<String> {
        self.out.lines().chain(self.err.lines()).collect()
    }
}

/// The end of one stream.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Something was written before what is kept.
    cut: bool,
}

impl Kept {
    fn take(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
        if let Some(beyond) = self.bytes.len().checked_sub(MOST_KEPT).filter(|beyond| *beyond > 0) {
            self.bytes.drain(..beyond);
            self.cut = true;
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let plain = |char: char| if char.is_control() { ' ' } else { char };
        let whole = |line: &str| -> String { line.chars().map(plain).collect() };
        let lines = text.lines().skip(usize::from(self.cut)).map(whole);
        let mut lines: Vec<String> = lines.filter(|line| !line.trim().is_empty()).collect();
        // Of a line that is longer than all that is kept, its end says more than nothing.
        if let Some(end) = text.lines().next().filter(|_| self.cut && lines.is_empty()) {
            lines.push(format!("[...]{}", whole(end.trim_start_matches('\u{fffd}'))));
        }
        lines.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
        frame.extend(text.as_bytes());
        frame
    }

    #[test]
    fn the_last_lines_are_kept_whole_and_fit_for_a_log() {
        let mut tail = Tail::default();
        tail.take(&frame(2, "wrong\n"));
        tail.take(&frame(1, "one\n\n\x1b[31mtwo\x07\n"));
        assert_eq!(tail.lines(), ["one", " [31mtwo ", "wrong"]);
        for number in 0..2000 {
            tail.take(&frame(1, &format!("line {number}\n")));
        }
        let lines = tail.lines();
        assert!(lines.concat().len() <= MOST_KEPT);
        assert!(lines.iter().all(|line| line.starts_with("line ") || line == "wrong"), "{lines:?}");
        assert_eq!(lines[lines.len() - 2..], ["line 1999", "wrong"]);
    }

    #[test]
    fn of_a_line_that_is_too_long_the_end_is_kept() {
        let mut tail = Tail::default();
        tail.take(&frame(1, &format!("first\n{}the end\n", "é".repeat(5000))));
        let lines = tail.lines();
        let [line] = &lines[..] else { panic!("one line: {lines:?}") };
        assert!(line.starts_with("[...]é") && line.ends_with("éthe end"), "{line}");
    }
}
