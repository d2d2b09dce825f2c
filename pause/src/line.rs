//! One line of text in a fixed buffer: what pause says, without formatting machinery.
#![forbid(unsafe_code)]

use crate::errno::Errno;

/// A line that is being made. What does not fit is left out; the end of the line never is. Control characters
/// from outside (a path may hold any) become `?`, so that one line stays one line.
#[derive(Debug)]
pub struct Line {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl Line {
    /// Longest line in bytes, the line feed included: below `PIPE_BUF`, so that it is never torn.
    pub const CAPACITY: usize = 512;

    /// An empty line.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], len: 0 }
    }

    /// Adds words.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds what came from outside, in backticks.
    pub fn quoted(&mut self, bytes: &[u8]) -> &mut Self {
        self.text("`").bytes(bytes).text("`")
    }

    /// Adds a number.
    pub fn number(&mut self, number: u32) -> &mut Self {
        // u32::MAX has ten digits.
        let mut digits = [0; 10];
        let mut rest = number;
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        let start = digits.len() - used;
        self.bytes(digits.get(start..).unwrap_or_default())
    }

    /// Adds the words for an error of the kernel, or its number.
    pub fn errno(&mut self, errno: Errno) -> &mut Self {
        match errno.text() {
            Some(text) => self.text(text),
            None => self.text("error ").number(errno.0.unsigned_abs()),
        }
    }

    /// Ends the line and returns it.
    pub fn end(&mut self) -> &[u8] {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = b'\n';
        }
        self.bytes.get(..=self.len).unwrap_or_default()
    }

    // Many callers, none in a hurry.
    #[inline(never)]
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        // The last place is kept for the line feed.
        let room = self.bytes.iter_mut().take(Self::CAPACITY - 1).skip(self.len);
        self.len += room
            .zip(bytes)
            .map(|(slot, &byte)| *slot = if byte.is_ascii_control() { b'?' } else { byte })
            .count();
        self
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 65_535, 1_000_000_000, u32::MAX] {
            assert_eq!(Line::new().number(number).end(), format!("{number}\n").as_bytes());
        }
    }

    #[test]
    fn a_line_stays_one_line_whatever_it_is_told() {
        assert_eq!(Line::new().quoted(b"a\nb\x1b[0m\0").end(), b"`a?b?[0m?`\n");
    }

    #[test]
    fn what_does_not_fit_is_left_out_but_for_the_line_feed() {
        let mut line = Line::new();
        for _ in 0..100 {
            line.text("0123456789");
        }
        let bytes = line.end();
        assert_eq!(bytes.len(), Line::CAPACITY);
        assert!(bytes.ends_with(b"0\n"));
    }

    #[test]
    fn an_unknown_error_keeps_its_number() {
        assert_eq!(Line::new().errno(Errno::NOENT).end(), b"no such file or directory\n");
        assert_eq!(Line::new().errno(Errno(95)).end(), b"error 95\n");
    }
}
