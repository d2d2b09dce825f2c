//! What Compose has no key for: `x-tandem` of a component and of the pod; and `restart`, which a pod sees to itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cursor::{Cursor, Place};
use super::diagnostic::quote;
use super::raw::RawComponent;
use super::values::{Shortest, boolean, duration, size};
use crate::labels::{SCRATCH, STOP_GRACE, is_name};
use pod::bounds::MOST_SCRATCH;
use pod::spec::{Restart, ScratchVolume};

const KEYS: &[&str] = &["essential", "sidecar", "shutdown_delay"];
const POD_KEYS: &[&str] = &["scratch", "stop_grace_period"];
const SCRATCH_KEYS: &[&str] = &["name", "type", "size"];

/// `x-tandem` of a component.
pub(super) fn component(raw: &mut RawComponent, cursor: &Cursor<'_>) {
    for pair in cursor.known_pairs(KEYS, "a mapping such as `{essential: false}`").unwrap_or_default() {
        match pair.key {
            "essential" => raw.essential = boolean(&pair.value).unwrap_or(true),
            "sidecar" => raw.sidecar = boolean(&pair.value).unwrap_or_default(),
            _ => raw.shutdown_delay = duration(&pair.value, Shortest::Zero).unwrap_or_default(),
        }
    }
}

/// `restart`.
pub(super) fn restart(cursor: &Cursor<'_>) -> Restart {
    const VALID: &str = "`no`, `always`, `unless-stopped`, `on-failure` or such as `on-failure:3`";
    let text = cursor.scalar().unwrap_or_default();
    match text.as_str() {
        // YAML 1.1 takes `no` for a boolean.
        "no" | "false" => Restart::Never,
        "always" => Restart::Always,
        "unless-stopped" => Restart::UnlessStopped,
        "on-failure" => Restart::OnFailure(None),
        other => {
            let most = other.strip_prefix("on-failure:").and_then(|most| most.parse::<u32>().ok());
            if most.is_none() {
                cursor.expected(VALID);
            }
            // Docker's word for any number.
            Restart::OnFailure(most.filter(|most| *most > 0))
        }
    }
}

/// What a definition says of the pod as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct PodSettings {
    pub(super) scratch: Vec<ScratchVolume>,
    pub(super) stop_timeout: Option<Duration>,
    /// Where these stand, by the labels that say the same.
    pub(super) places: BTreeMap<&'static str, Place>,
    /// Volumes that a Compose file declares: their names at the engine, and those in the file.
    pub(super) declared_volumes: BTreeMap<String, String>,
    /// There is more in a file that could not be read, which is a fault already.
    pub(super) is_partial: bool,
}

impl PodSettings {
    /// `x-tandem` at the top of a Compose file.
    pub(super) fn read(&mut self, cursor: &Cursor<'_>) {
        let form = "a mapping such as `{stop_grace_period: 20s}`";
        for pair in cursor.known_pairs(POD_KEYS, form).unwrap_or_default() {
            match pair.key {
                "scratch" => self.scratch(&pair.value),
                _ => self.stop_grace(&pair.value),
            }
        }
    }

    /// Time for the pod's whole stop.
    pub(super) fn stop_grace(&mut self, cursor: &Cursor<'_>) {
        self.stop_timeout = duration(cursor, Shortest::Zero);
        self.places.insert(STOP_GRACE, cursor.place());
    }

    /// Volumes that come and go with the pod.
    pub(super) fn scratch(&mut self, cursor: &Cursor<'_>) {
        self.places.insert(SCRATCH, cursor.place());
        let Some(items) = cursor.items() else {
            return cursor.expected(
                "a list of volumes such as `[cache]` or `[{name: cache, type: memory, size: 64m}]`",
            );
        };
        // One more than are valid is enough to say so.
        for item in items.into_iter().take(MOST_SCRATCH + 1) {
            let Some(scratch) = scratch(&item) else { continue };
            if self.scratch.iter().any(|other| other.name == scratch.name) {
                item.fault(format!("found {} twice", quote(&scratch.name)), "valid is each volume once");
            } else {
                self.scratch.push(scratch);
            }
        }
    }
}

fn scratch(cursor: &Cursor<'_>) -> Option<ScratchVolume> {
    let mut scratch = ScratchVolume::default();
    let name = |cursor: &Cursor<'_>| {
        let name = cursor.scalar().filter(|name| is_name(name));
        if name.is_none() {
            cursor.expected("a name of letters, digits, `_`, `.` and `-`, such as `cache`");
        }
        name
    };
    if cursor.pairs().is_none() {
        scratch.name = name(cursor)?;
        return Some(scratch);
    }
    for pair in cursor.known_pairs(SCRATCH_KEYS, "")? {
        match pair.key {
            "name" => scratch.name = name(&pair.value)?,
            "type" => match pair.value.scalar().as_deref() {
                Some("disk") => scratch.memory = false,
                Some("memory") => scratch.memory = true,
                _ => pair.value.expected("`disk` or `memory`"),
            },
            _ => scratch.size_bytes = size(&pair.value).filter(|bytes| *bytes > 0),
        }
    }
    if scratch.name.is_empty() {
        cursor.missing("name", "valid is one such as `name: cache`", |key| SCRATCH_KEYS.contains(&key));
        return None;
    }
    Some(scratch)
}
