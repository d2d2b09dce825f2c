//! `post_start` and `pre_stop`: commands that run in a component beside its own.

use super::compose::{assignments, folder, words};
use super::cursor::{Cursor, Spanned};
use super::values::{boolean, text};
use pod::spec::Hook;

const KEYS: &[&str] = &["command", "environment", "privileged", "user", "working_dir"];
const FORM: &str = "a mapping such as `{command: ./register, user: root}`";
/// What is valid as a user.
pub(super) const USER: &str = "a user such as `1000`, `app` or `1000:1000`";

/// Variables beside those of a component.
pub(super) fn environment(cursor: &Cursor<'_>) -> Vec<(String, Option<String>)> {
    let found = assignments(cursor, "a mapping such as `NAME: value`, or a list of `NAME=value`");
    found.into_iter().map(|(name, value, _)| (name, value)).collect()
}

/// The mappings of a list, in order. They hold commands, which may hold secrets: what is none of them is not repeated.
pub(super) fn entries<T>(
    cursor: &Cursor<'_>,
    list: &str,
    form: &str,
    entry: fn(&Cursor<'_>) -> Option<T>,
) -> Vec<Spanned<T>> {
    let Some(items) = cursor.items() else {
        cursor.expected_quietly(list);
        return Vec::new();
    };
    let entry = |item: &Cursor<'_>| {
        if item.pairs().is_none() {
            item.expected_quietly(form);
            return None;
        }
        Some(item.at(entry(item)?))
    };
    items.iter().filter_map(entry).collect()
}

/// The hooks of one of these keys, in order.
pub(super) fn hooks(cursor: &Cursor<'_>) -> Vec<Spanned<Hook>> {
    entries(cursor, "a list of hooks such as `[{command: ./register}]`", FORM, hook)
}

fn hook(cursor: &Cursor<'_>) -> Option<Hook> {
    let mut hook = Hook::default();
    let mut said = false;
    for pair in cursor.known_pairs(KEYS, FORM)?.iter().filter(|pair| !pair.value.is_null()) {
        let value = &pair.value;
        if matches!(pair.key, "user" | "working_dir") && value.is_empty() {
            continue;
        }
        match pair.key {
            "command" => {
                said = true;
                match words(value) {
                    Some(command) if command.is_empty() => {
                        value.fault("found an empty command", "valid is one such as `./register --now`");
                    }
                    command => hook.command = command.unwrap_or_default(),
                }
            }
            "environment" => hook.environment = environment(value),
            "privileged" => {
                if boolean(value) == Some(true) {
                    value.fault(
                        "a component cannot have this",
                        "leave it out, and name what the component needs in `cap_add`: a privileged hook reaches the \
                         engine and owns the node",
                    );
                }
            }
            "user" => hook.user = text(value, USER),
            _ => hook.working_dir = folder(value),
        }
    }
    if !said {
        let valid = "valid is one such as `command: ./register --now`";
        cursor.missing("command", valid, |key| KEYS.contains(&key));
    }
    Some(hook)
}
