//! The words of a command that is one text.
//!
//! Compose splits by the Go library shellwords, which stands for a shell. Tandem has no shell either, and splits as one
//! would. The words differ in these cases, in which the library loses or refuses text:
//!
//! - `;`, `&`, `|`, `<` and `>` without quotes: the library drops them and all that follows. Here they are characters of
//!   a word, so that no part of a command is lost.
//! - `(`, `)` and backquotes: the library refuses a `(` that follows no `$`, and what is not closed, and keeps the spaces
//!   between them. Here they are characters of a word, and spaces end words.
//! - A backslash within double quotes: the library removes each. Here, as in a shell, only those before `$`, a backquote,
//!   `"`, a backslash or the end of a line, so that `"\\n"` keeps its backslash.
//! - A backslash at the end of a line goes on with the next line, as in a shell. The library keeps the end of the line.
//! - A backslash at the end of the text: the library refuses it. Here it is itself.

/// The words of a text, or `None` where a quote is never closed. `#` begins no comment, as in Compose.
pub(super) fn split(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        char => word.push(char),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            '\n' => {}
                            char @ ('$' | '`' | '"' | '\\') => word.push(char),
                            char => word.extend(['\\', char]),
                        },
                        char => word.push(char),
                    }
                }
            }
            '\\' => match chars.next() {
                Some('\n') => {}
                char => word.get_or_insert_default().push(char.unwrap_or('\\')),
            },
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_those_of_a_shell_without_comments() {
        for (text, expected) in [
            ("", &[][..]),
            (" \t\n\r ", &[]),
            ("bot --room #lobby", &["bot", "--room", "#lobby"]),
            ("# not a comment", &["#", "not", "a", "comment"]),
            ("a#b c", &["a#b", "c"]),
            ("a 'b c'\"d e\"f", &["a", "b cd ef"]),
            ("'' \"\"", &["", ""]),
            ("'a\\n\"'", &["a\\n\""]),
            (r#""\$A \` \" \\ \n""#, &[r#"$A ` " \ \n"#]),
            (r"a\ b \\ \'", &["a b", r"\", "'"]),
            ("a\\\n b\\\nc", &["a", "bc"]),
            ("\"a\\\nb\"", &["ab"]),
            ("a\\", &["a\\"]),
            ("\\", &["\\"]),
            ("a; b | c & d > e", &["a;", "b", "|", "c", "&", "d", ">", "e"]),
            ("$(date +%s) `x y` (z)", &["$(date", "+%s)", "`x", "y`", "(z)"]),
        ] {
            assert_eq!(
                split(text).as_deref(),
                Some(&*expected.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()),
                "{text}"
            );
        }
        for text in ["'", "a \"b", "\"\\", "\"\\\""] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_word_is_itself(words in prop::collection::vec("[^']{0,9}", 0..5)) {
            let text: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            prop_assert_eq!(split(&text.join(" ")), Some(words));
        }
    }
}
