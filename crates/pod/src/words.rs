//! Words that somebody else wrote, such as a registry's refusal, on their way to people: a terminal must not obey them.

/// With escapes in place of what a terminal obeys (C0, DEL and C1). Ends of lines and tabs stay: our own reports have
/// several lines.
pub fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\t' => plain.push(char),
            char if char.is_control() => plain.extend(char.escape_default()),
            char => plain.push(char),
        }
    }
    plain
}

/// As [`printable`], for what somebody else wrote: each line but the first is indented, so that none passes for a line
/// of the log.
pub fn foreign(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    printable(&lines.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_foreign_lines_are_indented() {
        assert_eq!(
            printable("a\n\tb \u{1b}]0;x\u{7}\r\u{7f}\u{9b}2J ü"),
            r"a
	b \u{1b}]0;x\u{7}\r\u{7f}\u{9b}2J ü"
        );
        assert_eq!(
            foreign(" denied\r\n2026-11-30T00:00:00Z  INFO forged\r\n\n"),
            "denied\n  2026-11-30T00:00:00Z  INFO forged"
        );
        assert_eq!(foreign("one line"), "one line");
    }
}
