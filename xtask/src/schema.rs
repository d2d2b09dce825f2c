//! `cargo xtask schema FILE`: what a newer schema of Compose has that this code does not know, and what to do about it.
//!
//! The list of known keys is `crates/definition/tests/schema_keys.txt`; `crates/definition/tests/schema.rs` holds the code to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::report::note;
use crate::workspace::Workspace;

/// The list of known keys.
const LIST: &str = "crates/definition/tests/schema_keys.txt";
/// Deepest nesting of a schema, references followed: one that names itself ends here.
const DEEPEST: usize = 24;

/// Which file reads what is below a key of a service; all others are read by `compose.rs`.
const READERS: &[(&[&str], &str)] = &[
    (&["configs", "secrets"], "secrets.rs"),
    (&["blkio_config", "deploy", "devices", "gpus", "logging", "ulimits"], "resources.rs"),
    (&["extends"], "extended.rs"),
    (&["post_start", "pre_stop"], "hooks.rs"),
    (&["volumes"], "volumes.rs"),
];

/// Compares the schema in this file with the list. An error where a key is new or gone.
pub(crate) fn run(workspace: &Workspace, file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let schema: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    let new = keys(&schema);
    if !new.contains("services") {
        bail!("{} is no schema of Compose: it has no key `services`", file.display());
    }
    let list = fs::read_to_string(workspace.file(LIST))?;
    let known: BTreeSet<String> =
        list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let told = compared(&known, &new);
    if told.is_empty() {
        note(&format!("{LIST} has all {} keys of this schema, and no other", new.len()));
        return Ok(());
    }
    for line in &told {
        println!("{line}");
    }
    bail!(
        "{} keys differ; when the code knows them, put them into {LIST}, with the schema's date",
        told.len()
    )
}

/// A line for each key that is new or gone.
fn compared(known: &BTreeSet<String>, new: &BTreeSet<String>) -> Vec<String> {
    let added = new.difference(known).map(|key| format!("new   `{key}`: {}", todo(key, known)));
    let gone = known.difference(new).map(|key| {
        format!(
            "gone  `{key}`: files still have it, so the code goes on reading it; take its line out of {LIST}"
        )
    });
    added.chain(gone).collect()
}

/// What to do about a new key.
fn todo(key: &str, known: &BTreeSet<String>) -> String {
    let above =
        key.rsplit_once('.').map_or("", |(above, _)| above).trim_end_matches("[]").trim_end_matches(".*");
    if !above.is_empty() && !known.contains(above) {
        return format!("part of `{above}`, which is new too");
    }
    let steps: Vec<&str> = key.split('.').map(|step| step.trim_end_matches("[]")).collect();
    match steps[..] {
        [_] => "say in `TOP` of crates/definition/src/include.rs that it is a key of a file; read it there, or leave it \
                without an effect and say so in docs/guides/compose.md"
            .to_owned(),
        ["services", "*", name] => format!(
            "give `{name}` a row in `KEYS` of crates/definition/src/compose.rs: read it (and document it in \
             docs/reference/components.md), say where else it belongs (`Elsewhere`, ignored with a warning in a Compose file), \
             or refuse it (`Refused`) where a pod would not work without; then a row in manager/tests/pod/keys.rs"
        ),
        ["services", "*", name, ..] => {
            let reader = READERS.iter().find(|(names, _)| names.contains(&name)).map_or("compose.rs", |(_, file)| file);
            format!(
                "if a component has `{name}`: read it in crates/definition/src/{reader}, or refuse it there in words of its own; \
                 nothing to do where `{name}` is not read (`NOT_READ` in crates/definition/tests/schema.rs)"
            )
        }
        ["include", ..] => "read it in crates/definition/src/include.rs".to_owned(),
        [section @ ("configs" | "secrets"), ..] => {
            format!("read it where crates/definition/src/secrets.rs reads what `{section}` declares (`origin`)")
        }
        ["volumes", ..] => {
            "read it where crates/definition/src/volumes.rs reads what is declared (`declared`), or refuse it there".to_owned()
        }
        _ => "nothing to do where its section is not read (`NOT_READ` in crates/definition/tests/schema.rs)".to_owned(),
    }
}

/// Every key of a JSON schema, by its path: `*` is any name, `[]` an item of a list. Extensions (`x-`) are none.
fn keys(schema: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    walk(schema, schema, "", DEEPEST, &mut keys);
    keys
}

fn walk(whole: &Value, node: &Value, path: &str, left: usize, keys: &mut BTreeSet<String>) {
    let Some(left) = left.checked_sub(1).filter(|_| node.is_object()) else { return };
    let referred = node["$ref"].as_str().and_then(|name| whole.pointer(name.strip_prefix('#')?));
    if let Some(node) = referred {
        walk(whole, node, path, left, keys);
    }
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, node) in node["properties"].as_object().into_iter().flatten() {
        walk(whole, node, &join(name), left, keys);
        keys.insert(join(name));
    }
    let named = node["patternProperties"].as_object().into_iter().flatten();
    let named = named.filter(|(pattern, _)| *pattern != "^x-").map(|(_, node)| node);
    for node in named.chain([&node["additionalProperties"]]) {
        walk(whole, node, &join("*"), left, keys);
    }
    walk(whole, &node["items"], &format!("{path}[]"), left, keys);
    for form in ["oneOf", "anyOf", "allOf"] {
        for node in node[form].as_array().into_iter().flatten() {
            walk(whole, node, path, left, keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn keys_of_a_schema_are_found_through_references_forms_names_and_lists() {
        let schema = json!({
            "properties": {
                "services": {"patternProperties": {"^[a-z]+$": {"$ref": "#/$defs/service"}, "^x-": {}}},
                "secrets": {"additionalProperties": {"properties": {"file": {}}}},
            },
            "$defs": {
                "service": {"properties": {
                    "image": {"type": "string"},
                    "hooks": {"type": "array", "items": {"$ref": "#/$defs/hook"}},
                    "health": {"oneOf": [{"type": "string"}, {"anyOf": [{"properties": {"test": {}}}]}]},
                }},
                "hook": {"properties": {"command": {}}, "additionalProperties": false},
            },
        });
        let found = set(&[
            "secrets",
            "secrets.*.file",
            "services",
            "services.*.health",
            "services.*.health.test",
            "services.*.hooks",
            "services.*.hooks[].command",
            "services.*.image",
        ]);
        assert_eq!(keys(&schema), found);
    }

    #[test]
    fn a_schema_that_names_itself_has_an_end() {
        let schema = json!({"properties": {"a": {"$ref": "#"}}});
        assert_eq!(keys(&schema).len(), DEEPEST / 2);
    }

    #[test]
    fn each_new_key_is_told_with_what_to_do_and_each_that_is_gone() {
        let known = set(&["services", "services.*.volumes", "services.*.links", "secrets", "volumes"]);
        let new = set(&[
            "images",
            "secrets",
            "secrets.*.store",
            "services",
            "services.*.post",
            "services.*.post[].command",
            "services.*.volumes",
            "services.*.volumes[].disk",
            "volumes",
        ]);
        let told = compared(&known, &new);
        let places = [
            ("new   `images`: ", "`TOP` of crates/definition/src/include.rs"),
            ("new   `secrets.*.store`: ", "crates/definition/src/secrets.rs"),
            ("new   `services.*.post`: ", "`KEYS` of crates/definition/src/compose.rs"),
            ("new   `services.*.post[].command`: ", "part of `services.*.post`, which is new too"),
            ("new   `services.*.volumes[].disk`: ", "crates/definition/src/volumes.rs"),
            ("gone  `services.*.links`: ", "take its line out"),
        ];
        assert_eq!(told.len(), places.len(), "{told:#?}");
        for (line, (start, part)) in told.iter().zip(places) {
            assert!(line.starts_with(start) && line.contains(part), "{line}");
        }
        assert!(compared(&known, &known).is_empty());
    }

    #[test]
    fn the_files_that_are_named_are_there() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/definition/src/");
        for (_, file) in READERS.iter().chain([&(&[][..], "include.rs")]) {
            assert!(Path::new(&format!("{source}{file}")).exists(), "{file}");
        }
    }
}
