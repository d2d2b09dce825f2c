//! Docker's multiplexed stream: the output of a container without a terminal, as frames of standard output and standard
//! error. Moby's name for it is `stdcopy`.

use std::fmt;

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stream::Out => "standard output",
            Stream::Err => "standard error",
        })
    }
}

/// The stream has a frame of a kind that Docker does not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine sent a frame of unknown kind {0}")]
pub struct UnknownStream(pub u8);

/// Takes Docker's frames apart: 8 bytes of header (kind, three zeros, length as big-endian u32), then the
/// payload. Payload is passed on as it comes, so a length, however large, costs nothing.
#[derive(Debug, Default)]
pub struct Frames {
    header: [u8; 8],
    /// Bytes of the header that are there.
    have: usize,
    /// Bytes of the payload that are to come.
    rest: usize,
}

impl Frames {
    /// Take in a chunk, cut anywhere, and pass on the payload in it.
    ///
    /// # Errors
    /// When a frame is of a kind that Docker does not have; nothing behind it can be trusted.
    pub fn split(
        &mut self,
        mut chunk: &[u8],
        mut sink: impl FnMut(Stream, &[u8]),
    ) -> Result<(), UnknownStream> {
        while !chunk.is_empty() {
            if self.rest == 0 {
                let part = chunk.len().min(8 - self.have);
                self.header[self.have..self.have + part].copy_from_slice(&chunk[..part]);
                self.have += part;
                chunk = &chunk[part..];
                if self.have < 8 {
                    return Ok(());
                }
                self.have = 0;
                self.kind()?;
                let [_, _, _, _, a, b, c, d] = self.header;
                self.rest = u32::from_be_bytes([a, b, c, d]) as usize;
                continue;
            }
            let part = chunk.len().min(self.rest);
            sink(self.kind()?, &chunk[..part]);
            self.rest -= part;
            chunk = &chunk[part..];
        }
        Ok(())
    }

    fn kind(&self) -> Result<Stream, UnknownStream> {
        match self.header[0] {
            // 0 is standard input, which older engines used for standard output.
            0 | 1 => Ok(Stream::Out),
            2 => Ok(Stream::Err),
            other => Err(UnknownStream(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("small");
        [&[kind, 0, 0, 0], &length.to_be_bytes()[..], payload].concat()
    }

    #[test]
    fn a_ten_byte_line_is_not_torn_by_its_own_length() {
        // Podlike's bug 13: the length byte 0x0a of the header was taken for the end of a line.
        let mut frames = Frames::default();
        let mut got = Vec::new();
        frames.split(&frame(1, b"123456789\n"), |_, bytes| got.extend_from_slice(bytes)).expect("valid");
        assert_eq!(got, b"123456789\n");
    }

    #[test]
    fn a_frame_of_no_known_kind_is_an_error() {
        let error = Frames::default().split(b"\x09\0\0\0\0\0\0\x01x", |_, _| {}).expect_err("kind 9");
        assert_eq!(error.to_string(), "the engine sent a frame of unknown kind 9");
    }

    #[test]
    fn an_empty_frame_is_passed_over() {
        let mut got = Vec::new();
        let bytes = [frame(1, b""), frame(2, b"x")].concat();
        Frames::default().split(&bytes, |stream, bytes| got.push((stream, bytes.to_vec()))).expect("valid");
        assert_eq!(got, [(Stream::Err, b"x".to_vec())]);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frames::default().split(&bytes, |_, _| {});
        }
    }
}
