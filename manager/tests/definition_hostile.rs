//! Labels are set by others: whatever they hold, there is a definition or a report, soon and in little memory.

use std::collections::BTreeMap;

use manager::pod::task::TaskContainer;
use manager::source::labels::definition;
use manager::source::load::{FileFault, FileKind, Files};
use proptest::prelude::*;

/// An env file with this text, and folders everywhere else.
struct World(String);

impl Files for World {
    fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
        Ok(FileKind::Folder)
    }

    fn read(&self, _: &str) -> Result<Vec<u8>, FileFault> {
        Ok(self.0.clone().into_bytes())
    }
}

/// A definition in which everything is said, to be damaged.
const WHOLE: &str = "\
x-base: &base {tty: yes, cap_add: [NET_ADMIN], cap_drop: [ALL]}
<<: *base
image: nginx:1.27
command: sh -c 'exec nginx'
entrypoint: [a, 5, true]
environment: {A: 1, B: , C: 1.5}
env_file: [/a.env]
working_dir: /srv
user: 1000
labels: [a=b, c]
volumes: ['a:/a:ro', /b, {type: bind, source: /c, target: /c, bind: {propagation: rslave}}]
tmpfs: /run:size=64m
read_only: true
healthcheck: {test: [CMD, a], interval: 1m30s, timeout: 5s, start_period: 1s, retries: 3}
depends_on: {web: {condition: service_healthy}}
stop_signal: SIGTERM
stop_grace_period: 10s
mem_limit: 64m
cpus: 0.5
pids_limit: 100
shm_size: 64m
";

fn read(labels: Vec<(String, String)>, env: String) -> Result<(), TestCaseError> {
    let task = TaskContainer {
        name: "task".into(),
        labels: labels.into_iter().collect(),
        ..TaskContainer::default()
    };
    if let Err(report) = definition(&task, &World(env), Some("/var/run/docker.sock")) {
        let text = report.to_string();
        prop_assert!(!report.faults.is_empty());
        prop_assert!(text.len() < 1 << 20, "a report of {} bytes", text.len());
        let unprintable = |char: char| char.is_control() && char != '\n';
        prop_assert!(!text.contains(unprintable), "{text:?}");
    }
    Ok(())
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("pod.component.app".to_owned()),
        Just("pod.container.web".to_owned()),
        Just("pod.init.components".to_owned()),
        Just("pod.copy.app".to_owned()),
        Just("pod.copy.init-1".to_owned()),
        Just("pod.compose.file".to_owned()),
        "pod\\.[a-z]{1,9}\\.[a-z]{0,3}",
        any::<String>().prop_map(|name| format!("pod.component.{name}")),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[-a&*<!:?{}\\[\\], \\n'\"#|>0-9%@.~]{0,80}",
        // A piece of the whole definition is another.
        (0..WHOLE.len(), 0..WHOLE.len(), any::<String>()).prop_map(|(from, to, with)| {
            let (from, to) = (from.min(to), from.max(to));
            format!("{}{with}{}", &WHOLE[..from], &WHOLE[to..])
        }),
        // One value is another.
        (0..30usize, "[-a0-9.:/=\\[\\]{}, ]{0,12}").prop_map(|(line, value)| {
            let with = |(at, text): (usize, &str)| match text.split_once(": ") {
                Some((key, _)) if at == line => format!("{key}: {value}\n"),
                _ => format!("{text}\n"),
            };
            WHOLE.lines().enumerate().map(with).collect()
        }),
    ]
}

#[test]
fn the_definition_that_is_damaged_here_is_sound() {
    let labels = [("pod.component.app", WHOLE), ("pod.component.web", "image: a")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let task = TaskContainer { labels: labels.into_iter().collect(), ..TaskContainer::default() };
    let sound = definition(&task, &World(String::new()), None);
    assert!(sound.is_ok(), "{}", sound.map(|_| String::new()).unwrap_or_else(|report| report.to_string()));
}

#[test]
fn a_word_of_any_length_is_soon_told_of_in_short() {
    // Each of its bytes is three in a call of the engine.
    for length in [256, 22_000, 66_000, 1 << 20] {
        let word = "%".repeat(length);
        let defined =
            format!("image: a\nvolumes: ['{word}:/a', '/{word}:/b', 'b:/{word}']\nenv_file: /{word}");
        for (key, value) in [
            ("pod.component.app", defined),
            ("pod.component.app", format!("image: a\nsecrets: ['{word}']")),
            ("pod.component.app", format!("image: '{}'", word.repeat(5))),
            ("pod.copy.app", format!("['/{word}:/a']")),
            ("pod.copy.app", format!("['/a:/{word}']")),
            ("pod.compose.file", format!("/{word}")),
        ] {
            let mut labels = BTreeMap::from([(key.to_owned(), value)]);
            if key.starts_with("pod.copy") {
                labels.insert("pod.component.app".to_owned(), "image: a".to_owned());
            }
            let task = TaskContainer { name: "task".into(), labels, ..TaskContainer::default() };
            let report = definition(&task, &World(String::new()), None).expect_err(key).to_string();
            assert!(report.contains(" bytes") && report.len() < 2000, "{report}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_labels_give_a_definition_or_a_report(
        labels in prop::collection::vec((key(), text()), 1..4),
        env in any::<String>(),
    ) {
        read(labels, env)?;
    }
}
