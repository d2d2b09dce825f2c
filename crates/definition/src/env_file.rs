//! The format of env files, as Compose reads them. Their variables are put in place elsewhere (`variables`).

use std::iter::Peekable;
use std::str::Chars;

/// One variable of an env file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// A name without `=` has none.
    pub(super) value: Option<Value>,
    /// Where it begins.
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The value of a variable as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// It holds variables, and `$$` for a dollar sign.
    Template(String),
    /// It is what it is.
    Literal(String),
}

/// One line of an env file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) problem: &'static str,
    pub(super) remedy: &'static str,
}

const NAMELESS: (&str, &str) = ("found no name of a variable", "valid are lines such as `NAME=value`");
const NUL: (&str, &str) =
    ("found a NUL character", "valid is text without one, since the kernel ends every string at it");

/// The variables of a file of `format: raw`, in order: each line as it is, from its name to its end.
pub(super) fn parse_raw(text: &str) -> (Vec<Variable>, Vec<BadLine>) {
    let (mut variables, mut bad) = (Vec::new(), Vec::new());
    for (index, whole) in without_mark(text).lines().enumerate() {
        let text = whole.trim_start();
        let (line, column) = (index + 1, whole.chars().count() - text.chars().count() + 1);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(Value::Literal(value.to_owned()))),
            None => (text, None),
        };
        let wrong = match () {
            () if name.is_empty() => Some(NAMELESS),
            () if name.contains([' ', '\t']) => {
                Some(("found a space in the name of a variable", "valid are lines such as `NAME=value`"))
            }
            () if text.contains('\0') => Some(NUL),
            () => None,
        };
        match wrong {
            Some((problem, remedy)) => bad.push(BadLine { line, column, problem, remedy }),
            None => variables.push(Variable { name: name.to_owned(), value, line, column }),
        }
    }
    (variables, bad)
}

/// The text behind a byte order mark, which editors of Windows write.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The variables of a file, in order.
pub(super) fn parse(text: &str) -> (Vec<Variable>, Vec<BadLine>) {
    let mut scanner = Scanner { chars: without_mark(text).chars().peekable(), line: 1, column: 1 };
    let (mut variables, mut bad) = (Vec::new(), Vec::new());
    while scanner.skip_blank() {
        match scanner.variable() {
            Ok(variable) => variables.push(variable),
            Err(line) => bad.push(line),
        }
        scanner.skip_line();
    }
    (variables, bad)
}

struct Scanner<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    column: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let char = self.chars.next()?;
        if char == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(char)
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let char = *self.chars.peek()?;
        wanted(char).then(|| self.next()).flatten()
    }

    fn while_true(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(char) = self.next_if(&wanted) {
            text.push(char);
        }
        text
    }

    /// To the next variable, past blank lines and comments; false at the end.
    fn skip_blank(&mut self) -> bool {
        loop {
            self.while_true(char::is_whitespace);
            match self.chars.peek() {
                None => return false,
                Some('#') => self.skip_line(),
                Some(_) => return true,
            }
        }
    }

    /// To the end of the line.
    fn skip_line(&mut self) {
        self.while_true(|char| char != '\n');
    }

    fn skip_spaces(&mut self) -> bool {
        !self.while_true(|char| char == ' ' || char == '\t' || char == '\r').is_empty()
    }

    fn bad(&self, problem: &'static str, remedy: &'static str) -> BadLine {
        BadLine { line: self.line, column: self.column, problem, remedy }
    }

    fn name(&mut self) -> String {
        self.while_true(|char| !char.is_whitespace() && !matches!(char, '=' | ':' | '#' | '\'' | '"'))
    }

    fn variable(&mut self) -> Result<Variable, BadLine> {
        let start = self.bad(NAMELESS.0, NAMELESS.1);
        let BadLine { line, column, .. } = start;
        let mut name = self.name();
        let mut spaces = self.skip_spaces();
        // Files are written to be sourced by a shell too.
        if name == "export" && spaces && !matches!(self.chars.peek(), Some('=' | ':')) {
            name = self.name();
            spaces = self.skip_spaces();
        }
        if name.is_empty() {
            return Err(start);
        }
        match self.chars.peek().copied() {
            None | Some('\n') => Ok(Variable { name, value: None, line, column }),
            Some('#') if spaces => Ok(Variable { name, value: None, line, column }),
            Some('=' | ':') => {
                self.next();
                self.skip_spaces();
                let value = self.value()?;
                let (Value::Template(text) | Value::Literal(text)) = &value;
                if text.contains('\0') || name.contains('\0') {
                    return Err(BadLine { problem: NUL.0, remedy: NUL.1, ..start });
                }
                Ok(Variable { name, value: Some(value), line, column })
            }
            Some(_) => Err(self
                .bad("found something after a name that is not `=`", "valid are lines such as `NAME=value`")),
        }
    }

    fn value(&mut self) -> Result<Value, BadLine> {
        let Some(quote) = self.next_if(|char| char == '"' || char == '\'') else {
            return Ok(Value::Template(self.plain()));
        };
        let open = BadLine {
            line: self.line,
            column: self.column - 1,
            problem: "found a quote that is never closed",
            remedy: "close it, or put the value between quotes of the other kind",
        };
        let mut value = String::new();
        loop {
            match self.next().ok_or_else(|| open.clone())? {
                char if char == quote => break,
                '\\' if quote == '"' => match self.next().ok_or_else(|| open.clone())? {
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    't' => value.push('\t'),
                    char @ ('"' | '\\') => value.push(char),
                    '$' => value.push_str("$$"),
                    char => value.extend(['\\', char]),
                },
                // It keeps its backslash, unless it is the quote, and escapes nothing after it: `'\\'` is two backslashes.
                '\\' => match self.next().ok_or_else(|| open.clone())? {
                    char if char == quote => value.push(char),
                    char => value.extend(['\\', char]),
                },
                char => value.push(char),
            }
        }
        self.skip_spaces();
        match self.chars.peek() {
            None | Some('\n' | '#') if quote == '\'' => Ok(Value::Literal(value)),
            None | Some('\n' | '#') => Ok(Value::Template(value)),
            Some(_) => Err(self
                .bad("found something after the closing quote", "valid is a comment or the end of the line")),
        }
    }

    /// A value without quotes: to the end of the line, or to a space and a `#` within it. As in Compose, one that begins with
    /// `#` is no comment, such as the colour `#fff`, nor is what follows a tab.
    fn plain(&mut self) -> String {
        let line = self.while_true(|char| char != '\n');
        let value = line.split_once(" #").map_or(line.as_str(), |(value, _)| value);
        value.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Name and value, marked where it is not a template.
    fn read(variables: Vec<Variable>) -> Vec<(String, Option<String>)> {
        let value = |value| match value {
            Value::Template(text) => text,
            Value::Literal(text) => format!("={text}"),
        };
        variables.into_iter().map(|variable| (variable.name, variable.value.map(value))).collect()
    }

    #[test]
    fn every_form_of_a_line_is_read_as_compose_reads_it() {
        for (text, expected) in [
            ("A=1", &[("A", Some("1"))][..]),
            ("A=1\nB=2\n", &[("A", Some("1")), ("B", Some("2"))]),
            ("A=1\r\nB=2\r\n", &[("A", Some("1")), ("B", Some("2"))]),
            ("# comment\n\n   \nA=1", &[("A", Some("1"))]),
            ("export A=1", &[("A", Some("1"))]),
            ("export=1", &[("export", Some("1"))]),
            ("export", &[("export", None)]),
            ("A", &[("A", None)]),
            ("A # comment", &[("A", None)]),
            ("A=", &[("A", Some(""))]),
            ("A = 1", &[("A", Some("1"))]),
            ("A: 1", &[("A", Some("1"))]),
            ("A=a b  # c", &[("A", Some("a b"))]),
            ("A=a#b", &[("A", Some("a#b"))]),
            ("A=#b", &[("A", Some("#b"))]),
            ("A=#fff #000", &[("A", Some("#fff"))]),
            ("A= #b", &[("A", Some("#b"))]),
            ("A: # b", &[("A", Some("# b"))]),
            ("A=\t#b\r\nB=1", &[("A", Some("#b")), ("B", Some("1"))]),
            ("A=a\t#b", &[("A", Some("a\t#b"))]),
            ("A=a \t#b", &[("A", Some("a \t#b"))]),
            ("A=a  #b #c", &[("A", Some("a"))]),
            ("A=a=b", &[("A", Some("a=b"))]),
            ("A=$B ${C}", &[("A", Some("$B ${C}"))]),
            ("A='a # \"b\" \\n $B'", &[("A", Some("=a # \"b\" \\n $B"))]),
            ("A='it\\'s'", &[("A", Some("=it's"))]),
            (r"A='\\'", &[("A", Some(r"=\\"))]),
            (r"A='\\\'b\\c' # d", &[("A", Some(r"=\\'b\\c"))]),
            ("A=\"$B ${C} \\$D $$E\"", &[("A", Some("$B ${C} $$D $$E"))]),
            ("A=\"a # 'b' \\n \\\" \\\\ \\x\" # c", &[("A", Some("a # 'b' \n \" \\ \\x"))]),
            ("A=\"two\nlines\"\nB=1", &[("A", Some("two\nlines")), ("B", Some("1"))]),
            ("\u{feff}A=1", &[("A", Some("1"))]),
            ("a.b-c=1", &[("a.b-c", Some("1"))]),
            ("", &[]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
            let (variables, bad) = parse(text);
            assert_eq!((read(variables), bad), (expected, vec![]), "{text:?}");
        }
    }

    #[test]
    fn lines_of_a_raw_file_are_taken_as_they_are() {
        let text = "\u{feff}# a\n\n  A='$B' \\n # c \nB\r\n\tC=\nD==\r\nexport=1";
        let (variables, bad) = parse_raw(text);
        let places: Vec<_> = variables.iter().map(|variable| (variable.line, variable.column)).collect();
        assert_eq!(places, [(3, 3), (4, 1), (5, 2), (6, 1), (7, 1)]);
        let expected = [
            ("A", Some("='$B' \\n # c ")),
            ("B", None),
            ("C", Some("=")),
            ("D", Some("==")),
            ("export", Some("=1")),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!((read(variables), bad), (expected.to_vec(), vec![]));
        let (variables, bad) = parse_raw("=1\n A B=2\nC=\0\nexport D=1\nE=1");
        assert_eq!(read(variables), [("E".to_owned(), Some("=1".to_owned()))]);
        let places: Vec<_> = bad.iter().map(|bad| (bad.line, bad.column, bad.problem)).collect();
        assert_eq!(
            places,
            [
                (1, 1, "found no name of a variable"),
                (2, 2, "found a space in the name of a variable"),
                (3, 1, "found a NUL character"),
                (4, 1, "found a space in the name of a variable"),
            ]
        );
    }

    #[test]
    fn a_bad_line_is_told_with_its_place_and_the_rest_is_read() {
        let (variables, bad) = parse("A=1\n =2\nB C\nD='x\n");
        assert_eq!(read(variables), [("A".to_owned(), Some("1".to_owned()))]);
        let places: Vec<_> = bad.iter().map(|bad| (bad.line, bad.column, bad.problem)).collect();
        assert_eq!(
            places,
            [
                (2, 2, "found no name of a variable"),
                (3, 3, "found something after a name that is not `=`"),
                (4, 3, "found a quote that is never closed"),
            ]
        );
        // Compose takes the rest of the line for another variable, or loses it.
        for (text, column) in [("A='x' y", 7), ("A='x'y", 6), ("A=\"a\" b=c", 7)] {
            let (variables, bad) = parse(text);
            let places: Vec<_> = bad.iter().map(|bad| (bad.line, bad.column, bad.problem)).collect();
            assert_eq!(places, [(1, column, "found something after the closing quote")], "{text}");
            assert_eq!(variables, [], "{text}");
        }
        let (_, bad) = parse("A='x\\");
        assert_eq!(bad[0].problem, "found a quote that is never closed");
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in any::<String>()) {
            let _ = (parse(&text), parse_raw(&text));
        }
    }
}
