//! Every example is a pod that Tandem accepts; what also runs them: `pod::examples`, `swarm_docker`, `ingress_docker`.
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use manager::pod::task::{TaskContainer, TaskMount};
use manager::source::labels;
use manager::source::load::{FileFault, FileKind, Files};
use serde_yaml::Value;

/// The folders below `examples/` that hold a pod in one form or the other.
fn examples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut folders: Vec<PathBuf> = fs::read_dir(root)
        .expect("examples/")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| ["stack.yml", "compose.yml"].iter().any(|form| path.join(form).exists()))
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

/// The services of a stack or Compose file that are pods: their labels and mounts.
fn pods(file: &Path) -> Vec<TaskContainer> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let stack: Value =
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let services = stack["services"].as_mapping().expect("services");
    let mut found = Vec::new();
    for service in services.values() {
        let labels: BTreeMap<String, String> =
            serde_yaml::from_value(service["labels"].clone()).unwrap_or_default();
        if !labels.keys().any(|key| key.starts_with("pod.")) {
            continue;
        }
        let volumes: Vec<String> = serde_yaml::from_value(service["volumes"].clone()).unwrap_or_default();
        let mounts = volumes.iter().filter_map(|volume| {
            let (source, rest) = volume.rsplit_once(":/")?;
            (!source.contains('/')).then(|| TaskMount {
                kind: "volume".into(),
                volume: Some(source.to_owned()),
                target: format!("/{rest}"),
                writable: true,
                ..TaskMount::default()
            })
        });
        found.push(TaskContainer { mounts: mounts.collect(), labels, ..TaskContainer::default() });
    }
    found
}

#[test]
fn every_form_of_every_example_is_a_valid_pod() {
    for folder in examples() {
        for form in ["stack.yml", "compose.yml", "compose.sibling.yml"] {
            let file = folder.join(form);
            if !file.exists() {
                continue;
            }
            let pods = pods(&file);
            assert!(!pods.is_empty(), "{}: no service of {form} is a pod", folder.display());
            for task in pods {
                let read = labels::definition(&task, &Anything, Some("/var/run/docker.sock"));
                read.unwrap_or_else(|report| panic!("{} {form}: {report}", folder.display()));
            }
        }
        assert!(folder.join("README.md").exists(), "{} has no README", folder.display());
    }
}

#[test]
fn both_forms_of_an_example_are_the_same_pod() {
    let both = |folder: &PathBuf| ["stack.yml", "compose.yml"].iter().all(|form| folder.join(form).exists());
    let folders: Vec<PathBuf> = examples().into_iter().filter(both).collect();
    assert!(!folders.is_empty());
    for folder in folders {
        let labels =
            |form: &str| -> Vec<_> { pods(&folder.join(form)).into_iter().map(|task| task.labels).collect() };
        assert_eq!(labels("stack.yml"), labels("compose.yml"), "{}", folder.display());
    }
}

/// Every file that a definition may name is there.
struct Anything;

impl Files for Anything {
    fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
        Ok(FileKind::File)
    }

    fn read(&self, _: &str) -> Result<Vec<u8>, FileFault> {
        Ok(Vec::new())
    }
}
