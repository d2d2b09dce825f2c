//! What is wrong with a definition, and where.

use std::fmt;

use pod::policy::Allowances;

/// How many faults a report prints: a reader mends the first ones and asks again, and finding the line of
/// each costs a pass over the text.
pub const MOST_FAULTS: usize = 100;

/// How much of what the user wrote is repeated in a fault.
const MOST_QUOTED: usize = 60;
/// How many valid names a fault lists.
const MOST_NAMES: usize = 80;
/// Characters of a sentence that are shown.
const MOST_OF_A_SENTENCE: usize = 1000;

/// The text that a fault is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The labels as a whole.
    Labels,
    /// The value of the label of this key.
    Label(String),
    /// The file at this path.
    File(String),
}

/// Where in a text, both counted from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One mistake in a definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The text it is in.
    pub origin: Origin,
    /// Where in that text, unless it is about the text as a whole.
    pub at: Option<Position>,
    /// The YAML path within the text (`healthcheck.interval`, `volumes[1]`), empty for its root.
    pub path: String,
    /// What was found.
    pub problem: String,
    /// What would be valid.
    pub remedy: String,
}

/// Something that works, but perhaps not as the user expects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// What to say.
    pub fault: Diagnostic,
    /// Name of the volume that the pod makes, where the warning is of that: one that the engine has already is used in
    /// silence.
    pub new_volume: Option<String>,
}

/// Every mistake of one definition, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct DiagnosticReport {
    /// The mistakes, at most [`MOST_FAULTS`] of them.
    pub faults: Vec<Diagnostic>,
    /// How many more there are.
    pub omitted: usize,
    /// What would have to be allowed for the definition to pass the policy.
    pub allowances: Allowances,
}

impl DiagnosticReport {
    fn text(&self) -> String {
        let count = self.faults.len() + self.omitted;
        let mut text = if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") }
            + " in the pod's definition";
        for fault in &self.faults {
            text.push_str(&format!("\n  {fault}"));
        }
        if self.omitted > 0 {
            text.push_str(&format!("\n  and {} more", self.omitted));
        }
        text
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        if let Some(Position { line, column }) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": `{}`", self.path)?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl From<Diagnostic> for Warning {
    fn from(fault: Diagnostic) -> Self {
        Warning { fault, new_volume: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Labels => f.write_str("labels"),
            Origin::Label(name) | Origin::File(name) => f.write_str(&shorten(name, 200)),
        }
    }
}

/// Text of the user between backticks, short and on one line whatever it holds.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", shorten(text, MOST_QUOTED))
}

/// The text of the user as what was found; an empty text is called an empty string.
pub(super) fn found_value(text: &str) -> String {
    match text.is_empty() {
        true => "found an empty string".to_owned(),
        false => format!("found {}", quote(text)),
    }
}

/// [`found_value`] where the reader must be told what it is for.
pub(super) fn found_text(noun: &str, text: &str) -> String {
    match text.is_empty() {
        true => format!("found an empty string for {noun}"),
        false => format!("found {noun} {}", quote(text)),
    }
}

/// Names between backticks, as a list: "`a`, `b` and `c`".
pub(super) fn quote_all<'a>(names: impl IntoIterator<Item = &'a str>, joint: &str) -> String {
    let mut names: Vec<String> = names.into_iter().map(quote).collect();
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} {joint} {last}", names.join(", ")),
    }
}

/// The candidate that `word` is probably a misspelling of.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer text than any candidate is near none, and the distance is quadratic in it.
    if word.len() > 128 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let allowed = match word.chars().count() {
        0..=1 => 0,
        2..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What to write instead of `word`: the nearest of the valid names, else all of them.
pub fn suggest<'a>(word: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, names.clone()) {
        return format!("did you mean {}?", quote(near));
    }
    let verb = if names.clone().nth(1).is_some() { "are" } else { "is" };
    match names.clone().skip(MOST_NAMES).count() {
        0 => format!("valid {verb} {}", quote_all(names, "and")),
        more => format!("valid are {}, and {more} more", quote_all(names.take(MOST_NAMES), "and")),
    }
}

/// A sentence about a definition on one line, and not without end, whatever the definition holds.
pub fn one_line(text: &str) -> String {
    shorten(text, MOST_OF_A_SENTENCE)
}

fn shorten(text: &str, most: usize) -> String {
    let mut short = String::new();
    for (count, char) in text.chars().enumerate() {
        if count == most {
            short.push('…');
            break;
        }
        // A terminal must not obey what a label holds.
        if char.is_control() {
            short.extend(char.escape_default());
        } else {
            short.push(char);
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let known = ["image", "command", "working_dir", "cap_add", "cap_drop"];
        for (word, expected) in [
            ("imag", Some("image")),
            ("imgae", Some("image")),
            ("working-dir", Some("working_dir")),
            ("WORKINGDIR", Some("working_dir")),
            ("comand", Some("command")),
            ("capadd", Some("cap_add")),
            ("x", None),
            ("", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest(&"i".repeat(100_000), known), None);
    }

    #[test]
    fn what_the_user_wrote_is_repeated_short_and_on_one_line() {
        assert_eq!(quote("a\nb\u{1b}[31m"), "`a\\nb\\u{1b}[31m`");
        assert_eq!(quote(&"x".repeat(1000)), format!("`{}…`", "x".repeat(60)));
    }

    #[test]
    fn a_report_counts_its_faults_and_prints_each_on_a_line() {
        let fault = |at, path: &str| Diagnostic {
            origin: Origin::Label("pod.component.app".into()),
            at,
            path: path.into(),
            problem: "found `x`".into(),
            remedy: "valid is `y`".into(),
        };
        let report =
            DiagnosticReport { faults: vec![fault(None, "")], omitted: 0, allowances: Allowances::default() };
        assert_eq!(
            report.to_string(),
            "1 fault in the pod's definition\n  pod.component.app: found `x`; valid is `y`"
        );
        let at = Some(Position { line: 2, column: 7 });
        let report = DiagnosticReport {
            faults: vec![fault(None, ""), fault(at, "tty")],
            omitted: 3,
            allowances: Allowances::default(),
        };
        assert_eq!(
            report.to_string(),
            "5 faults in the pod's definition\n  pod.component.app: found `x`; valid is `y`\n  \
             pod.component.app:2:7: `tty`: found `x`; valid is `y`\n  and 3 more"
        );
    }
}
