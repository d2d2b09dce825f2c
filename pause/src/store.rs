//! The stream that `pause store` reads: files, each behind a header of fixed length.
//!
//! # Format
//! | bytes | meaning |
//! |---|---|
//! | 0 to 39 | absolute path, then zero bytes, at least one |
//! | 40 to 43 | permissions, little-endian |
//! | 44 to 47 | length of the content, little-endian |
//! | from 48 on | the content |
//!
//! A header with an empty path ends the stream. So a stream that breaks off is never taken for a whole one, and
//! nobody has to close one half of a connection.
#![forbid(unsafe_code)]

/// Length of a header in bytes.
pub const HEADER_LEN: usize = 48;
/// Longest path in bytes.
pub const MAX_PATH: usize = PATH_LEN - 1;

const PATH_LEN: usize = 40;

/// A file to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Absolute path, without zero bytes.
    pub path: &'a [u8],
    /// Permissions.
    pub mode: u32,
    /// Length of the content in bytes.
    pub length: u32,
}

impl<'a> Entry<'a> {
    /// Reads a header. A path that does not end is longer than [`MAX_PATH`].
    #[must_use]
    pub fn parse(header: &'a [u8; HEADER_LEN]) -> Self {
        let [path @ .., a, b, c, d, e, f, g, h] = header;
        Self {
            path: path.split(|byte| *byte == 0).next().unwrap_or_default(),
            mode: u32::from_le_bytes([*a, *b, *c, *d]),
            length: u32::from_le_bytes([*e, *f, *g, *h]),
        }
    }

    /// Writes the header; `None` if the path is too long.
    #[must_use]
    pub fn header(&self) -> Option<[u8; HEADER_LEN]> {
        let mut header = [0; HEADER_LEN];
        let (path, numbers) = header.split_at_mut(PATH_LEN);
        path.get_mut(..MAX_PATH)?.get_mut(..self.path.len())?.copy_from_slice(self.path);
        let (mode, length) = numbers.split_at_mut(size_of::<u32>());
        mode.copy_from_slice(&self.mode.to_le_bytes());
        length.copy_from_slice(&self.length.to_le_bytes());
        Some(header)
    }
}

/// The header that ends the stream.
pub const END: [u8; HEADER_LEN] = [0; HEADER_LEN];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_read_as_it_was_written() {
        let long = [b'x'; MAX_PATH + 1];
        for path in [&b""[..], b"/store/x.0", &long[1..]] {
            let entry = Entry { path, mode: 0o4755, length: u32::MAX };
            assert_eq!(Entry::parse(&entry.header().expect("it fits")), entry);
        }
        assert_eq!(Entry { path: &long, mode: 0, length: 0 }.header(), None);
        assert_eq!(Entry::parse(&[b'x'; HEADER_LEN]).path, long);
        assert_eq!(Entry::parse(&END), Entry { path: b"", mode: 0, length: 0 });
    }
}
