//! Other spellings of what the table has in one: the reader refuses each, without an engine.

use std::collections::BTreeMap;

use definition::files::{FileFault, FileKind, Files};
use definition::labels::{Surroundings, read};
use pod::policy::{Host, Level, Policy};
use pod::task_container::TaskContainer;

/// One file, and no other.
struct One(String);

const PLACE: &str = "/conf/compose.yml";

impl Files for One {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        if path == PLACE { Ok(FileKind::File) } else { Err(FileFault::Missing) }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        assert_eq!(path, PLACE, "no other file is read");
        Ok(self.0.clone().into_bytes())
    }
}

/// What is said of this label, and of this file.
fn said(level: Level, registries: &[&str], label: (&str, &str), file: &str) -> String {
    let labels = BTreeMap::from([(label.0.to_owned(), label.1.to_owned())]);
    let task = TaskContainer { name: "pod".into(), labels, ..TaskContainer::default() };
    let registries = registries.iter().map(|name| (*name).to_owned()).collect();
    let around = Surroundings {
        task: &task,
        files: &One(file.to_owned()),
        environment: &|_| None,
        host: &Host::with_socket(&task, Some("/run/docker.sock")),
        share_volumes: false,
        policy: &Policy { level, registries, ..Policy::default() },
    };
    match read(&around) {
        Ok(_) => "accepted".to_owned(),
        Err(report) => report.to_string(),
    }
}

#[test]
fn other_spellings_of_a_hostile_definition_are_refused_as_well() {
    let component = "pod.component.app";
    let mut all = Vec::new();
    for volume in [
        "/etc:/x",
        "/./etc:/x",
        "/srv/../etc:/x",
        "/proc/self/cwd/etc:/x",
        "/proc/1/root/etc:/x",
        "/run:/x",
        "/run/user/0/docker.sock:/x",
        "/var/lib/docker/volumes/other/_data/l:/x",
        "/var/lib/docker/volumes/other/_data/d/l:/x:ro",
    ] {
        let keys = format!("image: busybox\nvolumes: ['{volume}']\n");
        all.push((Level::Default, &[][..], component.to_owned(), keys, "--allow "));
    }
    for service in [
        "<<: *evil",
        "volumes: ['${EVIL:-/etc}:/x']",
        "volumes: ['${EVIL-/etc}:/x']",
        "volumes: [*bind]",
        "volumes: [{<<: *long, target: /y}]",
    ] {
        let file = format!(
            "x-evil: &evil\n  volumes: ['/etc:/x']\nx-bind: &bind /etc:/x\nx-long: &long {{type: bind, source: /etc}}\n\
             services:\n  app:\n    image: busybox\n    {service}\n"
        );
        all.push((Level::Default, &[], "pod.compose.file".to_owned(), file, "--allow host-paths=/etc"));
    }
    for image in [
        "busybox:1",
        "docker.io/busybox",
        "DOCKER.IO/tandem-test/x:1",
        "example.com/tandem-test/x:1",
        "example.com:443/docker.io/tandem-test/x:1",
        "docker.io/tandem-testing/x:1",
    ] {
        let keys = format!("image: '{image}'\n");
        all.push((Level::Default, &["docker.io/tandem-test"], component.to_owned(), keys, "--registries"));
    }
    let hardened = "image: busybox\ncap_drop: [ALL]\nsecurity_opt: ['no-new-privileges:true']\n";
    for user in ["-1", "0x0", "+0", "00:0", "root", "nobody:0", "\u{661}"] {
        let keys = format!("{hardened}user: '{user}'\n");
        all.push((Level::Restricted, &[], component.to_owned(), keys, "control `runAs"));
        let keys = format!("{hardened}user: '1000'\npost_start: [{{command: ['true'], user: '{user}'}}]\n");
        all.push((Level::Restricted, &[], component.to_owned(), keys, "control `runAs"));
    }
    for name in ["a/b", "a b", "-x", ".hidden", "\u{430}pp", "..", "a\nb", "a\0b"] {
        let label = format!("pod.component.{name}");
        all.push((Level::Default, &[], label, "image: busybox\n".to_owned(), "pod.component"));
    }
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|(level, registries, label, text, want)| {
            let value = if label == "pod.compose.file" { PLACE } else { text };
            let said = said(*level, registries, (label, value), text);
            let right = said != "accepted" && said.contains(want);
            (!right).then(|| format!("{label}: {text}\n{said}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}

#[test]
fn nothing_of_a_file_is_repeated_that_is_none_of_settings() {
    let secret = "hunter2";
    let mut leaks = Vec::new();
    for text in [
        "SECRET",
        "SECRET word",
        "SECRET=${a",
        "${SECRET",
        "$SECRET",
        "a=${SECRET:?}",
        "a=${SECRET-",
        "SECRET='x",
        "\"SECRET",
        "export SECRET",
        "=SECRET",
        "SECRET=\0",
        "[SECRET, x]",
        "{SECRET: [",
        "'SECRET",
        "%SECRET",
        "- SECRET",
        "*SECRET",
        "&SECRET",
        "!SECRET x",
        "\tSECRET",
        "SECRET\n\tx: y",
        "a: b\nSECRET",
        "\u{feff}SECRET",
    ] {
        let text = text.replace("SECRET", secret);
        let keys =
            "image: busybox\ncap_drop: [ALL]\nsecurity_opt: ['no-new-privileges:true']\nuser: '1000'\n";
        for key in ["env_file", "label_file", "pod.compose.file"] {
            for level in [Level::Default, Level::Baseline, Level::Restricted] {
                let said = match key {
                    "pod.compose.file" => said(level, &[], (key, PLACE), &text),
                    _ => said(level, &[], ("pod.component.app", &format!("{keys}{key}: {PLACE}\n")), &text),
                };
                if said.contains(secret) {
                    leaks.push(format!("{key}, {level:?}: {text:?}\n{said}"));
                }
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n----\n"));
}
