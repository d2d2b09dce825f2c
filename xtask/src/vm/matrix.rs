//! The core suite on every Debian with both drivers, and the table of what came of it.

use std::fs;
use std::path::Path;

use anyhow::{Error, Result, bail};
use clap::ValueEnum;

use super::{Driver, Heard, Release, Suite, found, test};
use crate::report::note;
use crate::workspace::Workspace;

/// Where the table is.
const TABLE: &str = "xtask/src/vm/matrix.md";

/// What stands above its lines.
const HEAD: &str = "\
# Today's hosts

What `cargo xtask lab all` saw last: the core suite in a virtual machine of each Debian, with each driver of cgroups. Every
line is of the commit that it names.

| Debian | driver | Linux | Docker (API) | Compose | cgroups | AppArmor | tests passed | took | commit |
|---|---|---|---|---|---|---|---|---|---|
";

/// Run the core suite on these releases, with these drivers, and note each result in the table. What fails does not keep the
/// rest from being tried.
pub(crate) fn run(
    workspace: &Workspace,
    releases: &[Release],
    drivers: &[Driver],
    build: bool,
) -> Result<()> {
    let engine = found(workspace, build)?;
    let table = workspace.file(TABLE);
    let commit = workspace.commit(TABLE)?;
    let mut failed = Vec::new();
    for release in releases {
        for driver in drivers {
            let place = place(*release, *driver);
            let heard = test(workspace, &engine, *release, *driver, &Suite::of(false, &[]));
            crate::interrupt::check()?;
            let line = match &heard {
                Ok(heard) => heard.line(&commit),
                Err(error) => format!("| | | | | | {} | | {commit} |", one_line(error)),
            };
            keep(&table, &place, &line)?;
            if let Err(error) = heard.and_then(|heard| heard.verdict()) {
                note(&format!("{place}: {error:#}"));
                failed.push(place);
            }
        }
    }
    note(&format!("the table is `{TABLE}`"));
    if !failed.is_empty() {
        bail!("not every test passed on {}", failed.join("; "));
    }
    Ok(())
}

/// What a line begins with.
fn place(release: Release, driver: Driver) -> String {
    format!("{} | {}", release.name(), driver.name())
}

/// What is said of it first, as a table can have it.
fn one_line(error: &Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().replace('|', "/")
}

/// Put a line in its place, and leave the others as they are.
fn keep(table: &Path, place: &str, line: &str) -> Result<()> {
    let before = fs::read_to_string(table).unwrap_or_default();
    let ours = format!("| {place} {line}\n");
    let mut text = HEAD.to_owned();
    for release in Release::value_variants() {
        for driver in Driver::value_variants() {
            let start = format!("| {} ", self::place(*release, *driver));
            if ours.starts_with(&start) {
                text += &ours;
            } else if let Some(old) = before.lines().find(|line| line.starts_with(&start)) {
                text += &format!("{old}\n");
            }
        }
    }
    Ok(fs::write(table, text)?)
}

impl Heard {
    /// Its line of the table, without its place.
    fn line(&self, commit: &str) -> String {
        let fact = |name: &str| self.facts.get(name).map_or("", String::as_str);
        let passed = match self.verdict() {
            Ok(()) => format!("all {}", self.passed),
            Err(error) => format!("{}: {}", self.passed, one_line(&error)),
        };
        format!(
            "| {} | {} ({}) | {} | v{} | {} | {passed} | {:.0} s | {commit} |",
            fact("kernel"),
            fact("engine"),
            fact("api"),
            fact("compose"),
            fact("cgroups"),
            fact("apparmor"),
            self.took.as_secs_f64(),
        )
    }
}
