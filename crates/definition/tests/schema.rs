//! The code knows every key of the newest schema of Compose, whose list is `schema_keys.txt`.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use definition::files::{FileFault, FileKind, Files};
use definition::labels::{Surroundings, read};
use pod::policy::{Host, Policy};
use pod::task_container::TaskContainer;

const LIST: &str = include_str!("schema_keys.txt");

/// Mappings in which a key that nobody knows is no fault: a pod does not have what they are for, or they are an older form.
const NOT_READ: &[&str] = &[
    "configs.*.external",
    "models",
    "networks",
    "secrets.*.external",
    "services.*.build",
    "services.*.credential_spec",
    "services.*.deploy.placement",
    "services.*.deploy.resources.reservations.generic_resources",
    "services.*.deploy.restart_policy",
    "services.*.deploy.rollback_config",
    "services.*.deploy.update_config",
    "services.*.develop",
    "services.*.models",
    "services.*.networks",
    "services.*.ports",
    "services.*.provider",
    "services.*.volumes[].image",
];

/// One Compose file.
struct OneFile(String);

impl Files for OneFile {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        self.read(path).map(|_| FileKind::File)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        match path {
            "/compose.yml" => Ok(self.0.clone().into_bytes()),
            _ => Err(FileFault::Missing),
        }
    }
}

fn keys() -> impl Iterator<Item = &'static str> {
    LIST.lines().filter(|line| !line.starts_with('#'))
}

/// A Compose file in which this key says nothing.
fn file_with(key: &str) -> String {
    let mut yaml = "~".to_owned();
    for step in key.split('.').rev() {
        let lists = step.matches("[]").count();
        // Names are free, but for those of `ulimits`.
        let name = if step == "*" { "nofile" } else { step.trim_end_matches("[]") };
        yaml = format!("{{{name}: {}{yaml}{}}}", "[".repeat(lists), "]".repeat(lists));
    }
    yaml
}

/// A key of a file is refused as one that nobody knows.
fn is_unknown(key: &str) -> bool {
    let task = TaskContainer {
        labels: BTreeMap::from([("pod.compose.file".to_owned(), "/compose.yml".to_owned())]),
        ..TaskContainer::default()
    };
    let around = Surroundings {
        task: &task,
        files: &OneFile(file_with(key)),
        environment: &|_| None,
        host: &Host::default(),
        share_volumes: false,
        policy: &Policy::default(),
    };
    let faults = read(&around).map_or_else(|report| report.faults, |_| Vec::new());
    faults.iter().any(|fault| fault.problem == "this key is unknown")
}

fn is_read(parent: &str) -> bool {
    !NOT_READ.iter().any(|not| {
        parent.strip_prefix(not).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

#[test]
fn every_key_of_the_schema_is_known() {
    let unknown: Vec<&str> = keys().filter(|key| is_unknown(key)).collect();
    assert!(unknown.is_empty(), "unknown: {unknown:#?}");
}

#[test]
fn every_mapping_of_the_schema_is_read_or_named_here_as_one_that_is_not() {
    let parents: BTreeSet<&str> = keys().filter_map(|key| Some(key.rsplit_once('.')?.0)).collect();
    // Below `services` and the like there are names.
    let mappings = parents.iter().filter(|parent| {
        keys().any(|key| key.starts_with(&format!("{parent}.")) && !key.starts_with(&format!("{parent}.*")))
    });
    let wrong: Vec<String> = mappings
        .filter(|parent| is_unknown(&format!("{parent}.zzz")) != is_read(parent))
        .map(|parent| format!("`{parent}` is {}read", if is_read(parent) { "not " } else { "" }))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let stale: Vec<_> =
        NOT_READ.iter().filter(|not| !keys().any(|key| key == not.trim_end_matches("[]"))).collect();
    assert!(stale.is_empty(), "not in the schema: {stale:?}");
}

#[test]
fn the_list_says_its_date_and_is_sorted() {
    let date = LIST.lines().next().unwrap().split_whitespace().last().unwrap().trim_end_matches('.');
    let parts: Vec<usize> = date.split('-').map(str::len).collect();
    assert_eq!(parts, [4, 2, 2], "{date}");
    assert!(keys().count() > 300);
    assert!(keys().collect::<Vec<_>>().is_sorted(), "the list is not sorted");
}
