//! The operator's policy as a file: what `--policy` and `--allow` say, for a node or an image of one's own.

use std::fmt::Display;

use super::cursor::{Cursor, Diagnostics};
use super::diagnostic::{Origin, quote, suggest};
use super::files::{FileFault, Files};
use super::values::text;
use pod::policy::{Allowed, AllowedError, Level, Policy, REGISTRY_FORM, registry_entry, words};

const KEYS: &[&str] = &["allow", "policy", "registries", "services"];

/// The policy in this file of the task container; `None` where that container is not at hand.
///
/// # Errors
/// Every fault of it, for people.
pub fn read(files: &dyn Files, path: &str) -> Result<Option<Policy>, String> {
    let unusable = |why: &dyn Display| format!("the policy file `{path}` {why}");
    let bytes = match files.read(path) {
        Ok(bytes) => bytes,
        Err(FileFault::NotAvailable) => return Ok(None),
        Err(fault) => return Err(unusable(&fault)),
    };
    let content = String::from_utf8(bytes).map_err(|_| unusable(&"is not UTF-8 text"))?;
    let faults = Diagnostics::default();
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
    for pair in root
        .known_pairs(KEYS, "a mapping with `policy`, `allow`, `registries` and `services`")
        .into_iter()
        .flatten()
    {
        match pair.key {
            "policy" => {
                let Some(word) = text(&pair.value, "`default`, `baseline` or `restricted`") else { continue };
                match Level::of(&word) {
                    Some(level) => policy.level = level,
                    None => {
                        let words = Level::ALL.map(Level::as_str);
                        pair.value
                            .fault(format!("found {}", quote(&word)), suggest(&word, words.into_iter()));
                    }
                }
            }
            "registries" => {
                let Some(items) = pair.value.items() else {
                    pair.value.expected("a list, such as `[docker.io, registry.example.com/team]`");
                    continue;
                };
                let hosts = items.iter().filter_map(|item| {
                    let word = text(item, REGISTRY_FORM)?;
                    let entry = registry_entry(&word);
                    if entry.is_none() {
                        item.fault(format!("found {}", quote(&word)), format!("valid is {REGISTRY_FORM}"));
                    }
                    entry
                });
                policy.registries.extend(hosts);
            }
            "services" => services(policy, &pair.value),
            _ => policy.allowed.extend(allowances(&pair.value)),
        }
    }
}

/// Reads the permissions that only the pods of one service have.
fn services(policy: &mut Policy, cursor: &Cursor<'_>) {
    let form = "a mapping of services such as `{shop_web: {allow: [capabilities]}}`";
    let Some(pairs) = cursor.pairs() else {
        cursor.expected(form);
        return;
    };
    for service in pairs {
        let keys = service.value.known_pairs(&["allow"], "a mapping such as `{allow: [capabilities]}`");
        for pair in keys.into_iter().flatten() {
            policy.services.entry(service.key.to_owned()).or_default().extend(allowances(&pair.value));
        }
    }
}

fn allowances(cursor: &Cursor<'_>) -> Vec<Allowed> {
    let Some(items) = cursor.items() else {
        cursor.expected("a list, such as `[capabilities, 'host-paths=/srv/data:ro']`");
        return Vec::new();
    };
    let read = |item: &Cursor<'_>| {
        let word = text(item, "one of what can be allowed")?;
        match word.parse() {
            Ok(allowed) => Some(allowed),
            Err(AllowedError::Unknown(_)) => {
                let words: Vec<String> = words().collect();
                item.fault(
                    format!("found {}", quote(&word)),
                    suggest(&word, words.iter().map(String::as_str)),
                );
                None
            }
            Err(AllowedError::Value { valid, .. } | AllowedError::Missing { valid, .. }) => {
                item.fault(format!("found {}", quote(&word)), format!("valid is {valid}"));
                None
            }
        }
    };
    items.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileKind;

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
        let items = |items: &[&str]| items.iter().map(|item| item.parse().expect("an item")).collect();
        let baseline = Policy {
            level: Level::Baseline,
            allowed: items(&["capabilities", "host-paths=/srv:ro"]),
            registries: vec!["docker.io".into()],
            services: [("shop_web".to_owned(), items(&["volumes=db"]))].into(),
            ..Policy::default()
        };
        let text = "policy: baseline\nallow: ['host-paths=/srv:ro', capabilities]\nregistries: [docker.io]\n\
                    services: {shop_web: {allow: [volumes=db]}}\n";
        assert_eq!(of(text), Ok(Some(baseline)));
        assert_eq!(
            of("policy: strict\n").map(|policy| policy.map(|policy| policy.level)),
            Ok(Some(Level::Baseline))
        );
        assert_eq!(of("allow: []\npolicy: default\n"), Ok(Some(Policy::default())));
        assert_eq!(of("x-why: nothing is allowed here\n"), Ok(Some(Policy::default())));
    }

    #[test]
    fn a_wrong_file_is_refused_whole_with_every_place() {
        let wrong = |text| of(text).expect_err(text);
        let words = wrong(
            "policy: basline\nallow: [host-path, [1], volumes, devices=kvm]\nalow: []\nservices: {a: {alow: []}}\n",
        );
        for part in [
            "the operator's policy cannot be read:\n",
            "/etc/policy.yml:1:9: `policy`: found `basline`; did you mean `baseline`?",
            "`allow[0]`: found `host-path`; did you mean `host-paths`?",
            "`allow[1]`: found a list",
            "`allow[2]`: found `volumes`; valid is the name of a volume",
            "`allow[3]`: found `devices=kvm`; valid is the absolute path of a device",
            "`alow`: this key is unknown; did you mean `allow`?",
            "`services.a.alow`: this key is unknown; did you mean `allow`?",
        ] {
            assert!(words.contains(part), "no `{part}` in {words}");
        }
        assert!(wrong("allow: privileged\n").contains("valid is a list"));
        assert!(
            wrong("- a\n").contains("valid is a mapping with `policy`, `allow`, `registries` and `services`")
        );
        assert!(
            wrong("registries: ['https://docker.io']\n")
                .contains("found `https://docker.io`; valid is a host")
        );
        assert!(wrong("a: [\n").contains("/etc/policy.yml:2:1"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_policy() {
        let words = "the policy file `/etc/policy.yml` does not exist in the task container";
        assert_eq!(read(&One(Err(FileFault::Missing)), "/etc/policy.yml"), Err(words.into()));
        assert_eq!(read(&One(Err(FileFault::NotAvailable)), "/etc/policy.yml"), Ok(None));
    }
}
