//! `post_start` and `pre_stop`: commands that run in a component beside its own.

use super::compose::{assignments, words};
use super::cursor::{At, Cursor};
use super::values::{boolean, text, tidy_path};
use crate::pod::spec::Hook;

const KEYS: &[&str] = &["command", "environment", "privileged", "user", "working_dir"];
const FORM: &str = "a mapping such as `{command: ./register, user: root}`";

/// The hooks of one of these keys, in order.
pub(super) fn hooks(cursor: &Cursor<'_>) -> Vec<At<Hook>> {
    let Some(items) = cursor.items() else {
        cursor.expected_quietly("a list of hooks such as `[{command: ./register}]`");
        return Vec::new();
    };
    items.iter().filter_map(|item| Some(item.at(hook(item)?))).collect()
}

fn hook(cursor: &Cursor<'_>) -> Option<Hook> {
    if cursor.pairs().is_none() {
        // A command may hold secrets.
        cursor.expected_quietly(FORM);
        return None;
    }
    let mut hook = Hook::default();
    let mut said = false;
    for pair in cursor.known_pairs(KEYS, FORM)?.iter().filter(|pair| !pair.value.is_null()) {
        let value = &pair.value;
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
            "environment" => {
                let found = assignments(value, "a mapping such as `NAME: value`, or a list of `NAME=value`");
                hook.environment = found.into_iter().map(|(name, value, _)| (name, value)).collect();
            }
            "privileged" => {
                if boolean(value) == Some(true) {
                    value.fault(
                        "a component cannot have this",
                        "leave it out, and name what the component needs in `cap_add`: a privileged hook reaches the \
                         engine and owns the node",
                    );
                }
            }
            "user" => hook.user = text(value, "a user such as `1000`, `app` or `1000:1000`"),
            _ => match value.scalar().as_deref().and_then(tidy_path) {
                Some(path) => hook.working_dir = Some(path),
                None => value.expected("an absolute path such as `/srv/app`"),
            },
        }
    }
    if !said {
        cursor.fault("`command` is missing", "valid is one such as `command: ./register --now`");
    }
    Some(hook)
}
