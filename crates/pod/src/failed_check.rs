//! Why a component is unhealthy: the last failure of its health check, in the words that the check itself wrote.

use std::fmt;

/// How much of what a check wrote is kept: its end.
const MOST_OUTPUT: usize = 1024;

/// One run of a health check that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedCheck {
    /// Its exit status; -1 where it did not end, or could not be run.
    pub status: i64,
    /// The last 1 KiB of what it wrote, or what the engine says where it did not end; without control characters, each
    /// line apart.
    pub lines: Vec<String>,
}

impl FailedCheck {
    /// A run with this status that has written this.
    pub fn new(status: i64, output: &str) -> Self {
        let mut begin = output.len().saturating_sub(MOST_OUTPUT);
        while !output.is_char_boundary(begin) {
            begin += 1;
        }
        let plain = |char: char| if char.is_control() { ' ' } else { char };
        let lines = output[begin..].lines().map(|line| line.chars().map(plain).collect::<String>());
        let lines = lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        FailedCheck { status, lines }
    }
}

/// In one line: `its check ended with status 1: connection refused`.
impl fmt::Display for FailedCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            0.. => write!(f, "its check ended with status {}", self.status)?,
            _ => f.write_str("its check failed")?,
        }
        match self.lines.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.lines.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_says_its_status_and_the_end_of_its_output_on_one_line() {
        let long = format!("first\n{}end", "é".repeat(600));
        let kept = format!("its check ended with status 2: {}end", "é".repeat(510));
        for (status, output, words) in [
            (1, "", "its check ended with status 1"),
            (1, "curl: (7)\n\x1b[31mrefused\r\n\n", "its check ended with status 1: curl: (7) [31mrefused"),
            (
                -1,
                "Health check exceeded timeout (3s)",
                "its check failed: Health check exceeded timeout (3s)",
            ),
            (2, &long, &kept),
        ] {
            let check = FailedCheck::new(status, output);
            assert_eq!(check.to_string(), words);
            assert!(check.lines.concat().len() <= MOST_OUTPUT);
        }
    }
}
