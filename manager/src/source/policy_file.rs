//! The operator's policy as a file: what `--policy` and `--allow` say, for a node or an image of one's own.

use std::fmt::Display;

use super::cursor::{Cursor, Faults};
use super::fault::{Origin, quote, suggest};
use super::load::{FileFault, Files};
use super::values::text;
use crate::pod::policy::{Allowance, Policy};

const KEYS: &[&str] = &["allow", "policy"];
const POLICIES: &[&str] = &["default", "strict"];

/// The policy in this file of the task container; `None` where that container is not at hand.
///
/// # Errors
/// Every fault of it, for people.
pub fn read(files: &dyn Files, path: &str) -> Result<Option<Policy>, String> {
    let unusable = |why: &dyn Display| format!("the policy file `{path}` {why}");
    let bytes = match files.read(path) {
        Ok(bytes) => bytes,
        Err(FileFault::Elsewhere) => return Ok(None),
        Err(fault) => return Err(unusable(&fault)),
    };
    let content = String::from_utf8(bytes).map_err(|_| unusable(&"is not UTF-8 text"))?;
    let faults = Faults::default();
    let document = faults.document(Origin::File(path.to_owned()), &content);
    let mut policy = Policy::default();
    if let Some(node) = faults.parse(&document) {
        fill(&mut policy, &Cursor::root(&faults, &document, &node));
    }
    // It has no warnings.
    faults.finish().map_err(|report| {
        let lines = report.faults.iter().map(|fault| format!("\n  {fault}"));
        format!("the operator's policy cannot be read:{}", lines.collect::<String>())
    })?;
    Ok(Some(policy))
}

fn fill(policy: &mut Policy, root: &Cursor<'_>) {
    for pair in root.known_pairs(KEYS, "a mapping with `policy` and `allow`").into_iter().flatten() {
        if pair.key == "policy" {
            match text(&pair.value, "`default` or `strict`").as_deref() {
                Some("strict") => policy.strict = true,
                Some("default") | None => {}
                Some(other) => unknown(&pair.value, other, POLICIES.iter().copied()),
            }
            continue;
        }
        let Some(items) = pair.value.items() else {
            pair.value.expected("a list, such as `[capabilities, host-paths]`");
            continue;
        };
        for item in items {
            let Some(word) = text(&item, "one of what can be allowed") else { continue };
            match Allowance::ALL.into_iter().find(|what| what.as_str() == word) {
                Some(what) => {
                    policy.allowed.insert(what);
                }
                None => unknown(&item, &word, Allowance::ALL.into_iter().map(Allowance::as_str)),
            }
        }
    }
}

fn unknown<'a>(cursor: &Cursor<'_>, word: &str, known: impl Iterator<Item = &'a str> + Clone) {
    cursor.fault(format!("found {}", quote(word)), suggest(word, known));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::load::FileKind;

    struct One(Result<&'static str, FileFault>);

    impl Files for One {
        fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
            Ok(FileKind::File)
        }

        fn read(&self, _: &str) -> Result<Vec<u8>, FileFault> {
            self.0.clone().map(|text| text.as_bytes().to_owned())
        }
    }

    fn of(text: &'static str) -> Result<Option<Policy>, String> {
        read(&One(Ok(text)), "/etc/policy.yml")
    }

    #[test]
    fn a_file_says_what_the_flags_say() {
        let strict = Policy { strict: true, allowed: [Allowance::Capabilities, Allowance::HostPaths].into() };
        assert_eq!(of("policy: strict\nallow: [host-paths, capabilities]\n"), Ok(Some(strict)));
        assert_eq!(of("allow: []\npolicy: default\n"), Ok(Some(Policy::default())));
        assert_eq!(of("x-why: nothing is allowed here\n"), Ok(Some(Policy::default())));
    }

    #[test]
    fn a_wrong_file_is_refused_whole_with_every_place() {
        let wrong = |text| of(text).expect_err(text);
        let words = wrong("policy: strickt\nallow: [host-path, [1]]\nalow: []\n");
        for part in [
            "the operator's policy cannot be read:\n",
            "/etc/policy.yml:1:9: `policy`: found `strickt`; did you mean `strict`?",
            "`allow[0]`: found `host-path`; did you mean `host-paths`?",
            "`allow[1]`: found a list",
            "`alow`: this key is unknown; did you mean `allow`?",
        ] {
            assert!(words.contains(part), "no `{part}` in {words}");
        }
        assert!(wrong("allow: privileged\n").contains("valid is a list"));
        assert!(wrong("- a\n").contains("valid is a mapping with `policy` and `allow`"));
        assert!(wrong("a: [\n").contains("/etc/policy.yml:2:1"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_policy() {
        let words = "the policy file `/etc/policy.yml` does not exist in the task container";
        assert_eq!(read(&One(Err(FileFault::Missing)), "/etc/policy.yml"), Err(words.into()));
        assert_eq!(read(&One(Err(FileFault::Elsewhere)), "/etc/policy.yml"), Ok(None));
    }
}
