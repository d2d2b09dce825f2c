//! What people are told before a pod begins, in the exact words: read it through to judge their tone. What a pod says
//! at its end stands in `crates/pod/src/plan/tests.rs`.

mod check;
mod command_line;
mod compose_file;
mod credentials;
mod engine;
mod include;
mod labels;
mod policy;
mod variables;

use definition::diagnostic::DiagnosticReport;

/// Each report is in these words, without its first line.
#[track_caller]
fn told<'a>(cases: impl Iterator<Item = (&'a str, Option<DiagnosticReport>, &'a [&'a str])>) {
    let mut wrong = Vec::new();
    for (sentence, report, expected) in cases {
        let Some(report) = report else {
            wrong.push(format!("{sentence}: accepted"));
            continue;
        };
        let text = report.to_string();
        let mut lines = text.lines();
        let count = expected.len();
        let first = if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") };
        let counted = lines.next().is_some_and(|line| line.starts_with(&format!("{first} in ")));
        let found: Vec<&str> = lines.map(|line| &line[2..]).collect();
        if !counted || found != expected {
            wrong.push(format!("{sentence}:\n  expected {expected:#?}\n  found {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
