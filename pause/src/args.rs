//! The command line: arguments -> what to do, or what is wrong with it.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::line::Line;

/// Where the command to supervise begins in `argv`: `pause -- CMD`.
pub const COMMAND_AT: usize = 2;

/// Longest name of an abstract socket in bytes: `sun_path` is 108 bytes, and one of them is the zero byte in
/// front (`unix(7)`).
pub const MAX_LIFELINE: usize = 107;

/// How pause is used.
pub const USAGE: &str = "\
usage:
  pause                   hold the namespaces, reap zombies, end at TERM or INT
  pause --lifeline NAME   the same; end when abstract socket NAME hangs up
  pause -- CMD [ARG...]   run CMD as a child and look after it
  pause health            exit status 0 when PID 1 says healthy
  pause cat PATH          write a regular file to standard output
  pause store             write files from standard input
  pause --version | --help
";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Hold the namespaces; with a lifeline, only as long as that holds.
    Hold {
        /// The name of an abstract socket, without the leading zero byte.
        lifeline: Option<&'a CStr>,
    },
    /// Look after the command that begins at [`COMMAND_AT`].
    Supervise,
    /// Say how the pod is.
    Health,
    /// Write a file to standard output.
    Cat(&'a CStr),
    /// Write the files that come on standard input.
    Store,
    /// Say which version this is.
    Version,
    /// Say how it is used.
    Help,
}

/// What is wrong with the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake<'a> {
    /// A first argument that means nothing.
    Unknown(&'a CStr),
    /// Something is missing behind this one.
    Missing {
        /// The argument that needs another.
        after: &'static CStr,
        /// What it needs.
        what: &'static str,
    },
    /// An argument too many.
    Extra(&'a CStr),
    /// A lifeline that no socket can be named.
    Lifeline(&'a CStr),
}

impl Mistake<'_> {
    /// Says it.
    pub fn describe(self, line: &mut Line) {
        match self {
            Self::Unknown(arg) => line.text("unknown argument ").quoted(arg.to_bytes()),
            Self::Missing { after, what } => line.quoted(after.to_bytes()).text(" needs ").text(what),
            Self::Extra(arg) => line.text("unexpected argument ").quoted(arg.to_bytes()),
            Self::Lifeline(name) => line.text("no socket can have the name ").quoted(name.to_bytes()),
        };
    }
}

/// The first arguments that there are, and what has to follow each.
const FIRST: [(&CStr, Option<&str>); 7] = [
    (c"--", Some("a command to run")),
    (c"--lifeline", Some("the name of an abstract socket")),
    (c"cat", Some("the path of a file")),
    (c"health", None),
    (c"store", None),
    (c"--version", None),
    (c"--help", None),
];

/// Reads the arguments behind the program's name.
///
/// # Errors
/// The first mistake in them.
pub fn parse<'a>(mut args: impl Iterator<Item = &'a CStr>) -> Result<Command<'a>, Mistake<'a>> {
    let Some(first) = args.next() else { return Ok(Command::Hold { lifeline: None }) };
    let at = FIRST.iter().position(|(word, _)| *word == first).ok_or(Mistake::Unknown(first))?;
    let (after, needs) = FIRST.get(at).ok_or(Mistake::Unknown(first))?;
    let operand = match needs {
        Some(what) => args.next().ok_or(Mistake::Missing { after, what })?,
        None => c"",
    };
    let command = match at {
        // Whatever follows is the command's own.
        0 => return Ok(Command::Supervise),
        1 if !(1..=MAX_LIFELINE).contains(&operand.count_bytes()) => return Err(Mistake::Lifeline(operand)),
        1 => Command::Hold { lifeline: Some(operand) },
        2 => Command::Cat(operand),
        3 => Command::Health,
        4 => Command::Store,
        5 => Command::Version,
        _ => Command::Help,
    };
    match args.next() {
        None => Ok(command),
        Some(extra) => Err(Mistake::Extra(extra)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_line_means_one_thing() {
        let long = std::ffi::CString::new([b'x'; MAX_LIFELINE + 1]).expect("invariant: no zero byte");
        let most = std::ffi::CString::new([b'x'; MAX_LIFELINE]).expect("invariant: no zero byte");
        let missing = |after, what| Err(Mistake::Missing { after, what });
        let hold = |lifeline| Ok(Command::Hold { lifeline });
        let cases: [(&str, &[&CStr], Result<Command<'_>, Mistake<'_>>); 22] = [
            ("nothing is the bare pause", &[], hold(None)),
            ("a lifeline", &[c"--lifeline", c"0001f"], hold(Some(c"0001f"))),
            ("the longest lifeline", &[c"--lifeline", &most], hold(Some(&most))),
            ("a lifeline too long", &[c"--lifeline", &long], Err(Mistake::Lifeline(&long))),
            ("an empty lifeline", &[c"--lifeline", c""], Err(Mistake::Lifeline(c""))),
            (
                "a lifeline without a name",
                &[c"--lifeline"],
                missing(c"--lifeline", "the name of an abstract socket"),
            ),
            ("a lifeline and more", &[c"--lifeline", c"x", c"--"], Err(Mistake::Extra(c"--"))),
            ("a command", &[c"--", c"/manager"], Ok(Command::Supervise)),
            ("a command with any arguments", &[c"--", c"sh", c"--help", c"health"], Ok(Command::Supervise)),
            ("no command", &[c"--"], missing(c"--", "a command to run")),
            ("health", &[c"health"], Ok(Command::Health)),
            ("health of what", &[c"health", c"me"], Err(Mistake::Extra(c"me"))),
            ("cat", &[c"cat", c"/run/secrets/x"], Ok(Command::Cat(c"/run/secrets/x"))),
            ("cat of a path like an option", &[c"cat", c"--help"], Ok(Command::Cat(c"--help"))),
            ("cat of nothing", &[c"cat"], missing(c"cat", "the path of a file")),
            ("cat of two", &[c"cat", c"a", c"b"], Err(Mistake::Extra(c"b"))),
            ("store", &[c"store"], Ok(Command::Store)),
            ("store of what", &[c"store", c"/x"], Err(Mistake::Extra(c"/x"))),
            ("version", &[c"--version"], Ok(Command::Version)),
            ("help", &[c"--help"], Ok(Command::Help)),
            ("a command without the dashes", &[c"/manager"], Err(Mistake::Unknown(c"/manager"))),
            ("an empty argument", &[c""], Err(Mistake::Unknown(c""))),
        ];
        for (case, args, want) in cases {
            assert_eq!(parse(args.iter().copied()), want, "{case}");
        }
    }

    #[test]
    fn a_mistake_names_what_was_found() {
        let cases: [(Mistake<'_>, &str); 4] = [
            (Mistake::Unknown(c"-x"), "unknown argument `-x`\n"),
            (Mistake::Extra(c"b"), "unexpected argument `b`\n"),
            (
                Mistake::Missing { after: c"cat", what: "the path of a file" },
                "`cat` needs the path of a file\n",
            ),
            (Mistake::Lifeline(c""), "no socket can have the name ``\n"),
        ];
        for (mistake, want) in cases {
            let mut line = Line::new();
            mistake.describe(&mut line);
            assert_eq!(String::from_utf8_lossy(line.end()), want);
        }
    }
}
