//! What several targets want to be true.

use definition::diagnostic::DiagnosticReport;

/// A report that a person can be shown.
pub fn sound(report: &DiagnosticReport) {
    let text = report.to_string();
    assert!(!report.faults.is_empty());
    assert!(text.len() < 1 << 20, "a report of {} bytes", text.len());
    assert!(!text.contains(|char: char| char.is_control() && char != '\n'), "{text:?}");
}
