//! `pre_start`: containers that run to completion before a component starts.

use std::collections::BTreeMap;

use super::compose;
use super::cursor::{Cursor, Place, Spanned};
use super::hooks;
use super::values::{boolean, text};
use pod::pre_start::PreStart;

/// Every key of an entry, as of Compose 5.3.
const KEYS: &[&str] =
    &["command", "environment", "image", "per_replica", "privileged", "user", "working_dir"];
/// Keys for which Compose takes an empty text as it takes nothing.
const EMPTY_IS_ABSENT: &[&str] = &["image", "user", "working_dir"];
const FORM: &str = "a mapping such as `{command: ./migrate, user: root}`";

/// An entry as it was written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) wanted: PreStart,
    /// Where the value of each key stands.
    pub(super) places: BTreeMap<&'static str, Place>,
}

/// The entries, in order.
pub(super) fn entries(cursor: &Cursor<'_>) -> Vec<Spanned<Entry>> {
    hooks::entries(cursor, "a list of containers such as `[{command: ./migrate}]`", FORM, entry)
}

fn entry(cursor: &Cursor<'_>) -> Option<Entry> {
    let (mut wanted, mut places) = (PreStart::default(), BTreeMap::new());
    for pair in cursor.known_pairs(KEYS, FORM)? {
        let value = &pair.value;
        // An empty text is what a variable that is not set leaves, as in a hook.
        if EMPTY_IS_ABSENT.contains(&pair.key) && value.is_empty() {
            continue;
        }
        if let Some(key) = KEYS.iter().find(|key| **key == pair.key) {
            places.insert(*key, value.place());
        }
        match pair.key {
            "command" => wanted.command = compose::words(value),
            "environment" => wanted.environment = hooks::environment(value),
            "image" => wanted.image = compose::image_name(value),
            "per_replica" => {
                if boolean(value) == Some(false) {
                    value.warn(
                        "`per_replica: false` has no effect here",
                        "each pod, so each replica of the pod's service, runs its own `pre_start`",
                    );
                }
            }
            "privileged" => wanted.privileged = boolean(value).unwrap_or_default(),
            "user" => wanted.user = text(value, hooks::USER),
            _ => wanted.working_dir = compose::folder(value),
        }
    }
    Some(Entry { wanted, places })
}
