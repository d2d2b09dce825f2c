//! Labels are set by others: whatever they hold, there is a definition or a report, soon and in little memory.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use definition::files::{FileFault, FileKind, Files};
use definition::labels::{Surroundings, definition, read as read_definition};
use pod::policy::{Host, Policy};
use pod::task_container::{TaskContainer, TaskMount};
use proptest::prelude::*;

/// How long a definition may take to be judged: in a build for tests, on a machine that others use too. What goes with the
/// square of a definition's size takes minutes.
const LONGEST_READING: Duration = Duration::from_secs(20);

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
volumes: ['a:/a:ro', /b, {type: bind, source: /c, target: /c, bind: {propagation: rprivate}}]
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

/// A task container with these labels, that has what the whole definition asks of the host.
fn task(labels: impl IntoIterator<Item = (String, String)>) -> TaskContainer {
    let bound = TaskMount {
        kind: "bind".into(),
        source: "/c".into(),
        target: "/c".into(),
        writable: true,
        ..TaskMount::default()
    };
    TaskContainer {
        name: "task".into(),
        labels: labels.into_iter().collect(),
        mounts: vec![bound],
        cap_add: vec!["NET_ADMIN".into()],
        ..TaskContainer::default()
    }
}

fn read(labels: Vec<(String, String)>, env: String) -> Result<(), TestCaseError> {
    let task = task(labels);
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
    let sound = definition(&task(labels), &World(String::new()), None);
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

/// The numbers from 0, each in this text, one after the other.
fn repeated(number: usize, text: impl Fn(usize) -> String) -> String {
    (0..number).map(text).collect()
}

/// Definitions that are as large as they may be, each in the way that costs a reader the most.
fn ceilings() -> Vec<(&'static str, BTreeMap<String, String>, String)> {
    let components = |number: usize, text: &dyn Fn(usize) -> String| -> BTreeMap<String, String> {
        (0..number).map(|number| (format!("pod.component.c{number:03}"), text(number))).collect()
    };
    let others = |number: usize| repeated(number, |other| format!("c{other:03},"));
    let compose = || BTreeMap::from([("pod.compose.file".to_owned(), "/app/compose.yml".to_owned())]);
    let none = String::new;
    let services = |number: usize, text: &str| repeated(number, |number| format!("  s{number}: {text}\n"));
    let variables = repeated(6000, |number| format!("K{number}: ,"));
    let chain = repeated(30, |number| {
        format!("  b{}: {{extends: b{number}, environment: {{A{number}: }}}}\n", number + 1)
    });
    vec![
        (
            "components with variables",
            components(1000, &|_| {
                format!("image: a\nenvironment: [{}]", repeated(110, |number| format!("V{number}=1,")))
            }),
            none(),
        ),
        (
            "each waits for all",
            components(400, &|_| format!("image: a\ndepends_on: [{}]", others(400))),
            none(),
        ),
        (
            "each waits for others that are missing",
            components(300, &|_| {
                format!("image: a\ndepends_on: [{}]", repeated(200, |other| format!("component_{other:03},")))
            }),
            none(),
        ),
        (
            "unknown keys",
            components(4, &|_| repeated(9000, |number| format!("unknwn_key_{number:04}: 1\n"))),
            none(),
        ),
        (
            "more mounts than there may be",
            components(4, &|_| {
                format!(
                    "image: a\ntmpfs: [{}]\nsecrets: [{}]",
                    repeated(6000, |number| format!("/m{number:05},")),
                    repeated(6000, |number| format!("{{source: s, target: /m{number:05}/a}},"))
                )
            }),
            none(),
        ),
        (
            "steps that repeat what their component has",
            components(2, &|_| {
                format!(
                    "image: a\ndevices: [{}]\npre_start: [{}]",
                    repeated(3000, |number| format!("/dev/{number},")),
                    repeated(490, |_| "{environment: [A=1]},".to_owned())
                )
            }),
            none(),
        ),
        (
            "steps with variables",
            components(2, &|_| {
                format!(
                    "image: a\nenvironment: [{}]\npre_start: [{{environment: [{}]}}, {}]",
                    repeated(900, |number| format!("V{number}=1,")),
                    repeated(9000, |number| format!("W{number}=1,")),
                    repeated(490, |_| "{},".to_owned())
                )
            }),
            none(),
        ),
        (
            "an env file that all have",
            components(1000, &|_| "image: a\nenv_file: /a.env".to_owned()),
            repeated(40_000, |number| format!("V{number}=1\n")),
        ),
        (
            "services with what they extend",
            compose(),
            format!(
                "services:\n  b0: {{image: a, environment: {{{variables}}}}}\n{chain}{}",
                services(900, "{extends: b30, environment: !override {}}")
            ),
        ),
        (
            "lists that are extended",
            compose(),
            format!(
                "services:\n  b0: {{image: a, volumes: [{}]}}\n{}",
                repeated(4000, |number| format!("'v:/{number}',")),
                services(900, "{extends: b0, volumes: ['v:/x']}")
            ),
        ),
        (
            "a service with a long name",
            compose(),
            format!("services:\n  {}: {{image: a, environment: {{{}}}}}\n", "a".repeat(150_000), variables),
        ),
        (
            "a variable that is never taken over",
            compose(),
            format!("services:\n  a:\n    image: a\n    user: \"{}\"\n", "${A:+}".repeat(40_000 - 2_000)),
        ),
        (
            "an env file whose values name a long variable",
            components(1000, &|_| "image: a\nenv_file: /a.env".to_owned()),
            repeated(40_000, |number| format!("V{number}=$A\n")),
        ),
        (
            "an env file whose values fail at their ends",
            components(10, &|_| "image: a\nenv_file: /a.env".to_owned()),
            repeated(6000, |number| format!("V{number}={}${{\n", "$A".repeat(31))),
        ),
        (
            "an env file whose values name one another",
            components(100, &|_| "image: a\nenv_file: /a.env".to_owned()),
            format!("V0=x\n{}", repeated(20_000, |number| format!("V{}=$V{number}$V{number}\n", number + 1))),
        ),
        (
            "an env file of names alone",
            components(10, &|_| "image: a\nenv_file: /a.env".to_owned()),
            format!("{}{}", repeated(30_000, |number| format!("V{number}\n")), "A\n".repeat(100)),
        ),
        (
            "variables that fail at their ends",
            compose(),
            format!(
                "services:\n  a:\n    image: a\n    labels:\n{}",
                repeated(3000, |number| format!("      l{number}: '{}${{'\n", "$A".repeat(31)))
            ),
        ),
        (
            "documents with what they extend",
            compose(),
            repeated(32, |number| {
                format!(
                    "---\nservices:\n  b{number}: {{image: a, tmpfs: [{}]}}\n{}",
                    repeated(200, |number| format!("/{number},")),
                    services(20, &format!("{{extends: b{number}, command: [a]}}"))
                )
            }),
        ),
        (
            "faults at the end of a long text",
            compose(),
            format!("services:\n  a: {{image: a, environment: {{{variables}}}}}\n{}", services(200, "{}")),
        ),
        (
            // Whatever the path, the file is this one.
            "files that include many",
            compose(),
            format!(
                "include: [{}]\nservices: {{a: {{image: a, environment: {{A: 1}}}}}}\n",
                repeated(400, |number| format!("f{number},"))
            ),
        ),
        (
            "files that include themselves very often",
            compose(),
            format!("include: [{}]\nservices: {{a: {{image: a}}}}\n", "f,".repeat(18_000)),
        ),
        (
            "a file that includes a small one as often as may be",
            compose(),
            format!(
                "include: [{}]\nservices: {{{}}}\n",
                "{path: [a, a, a], env_file: /dev/null},".repeat(40),
                repeated(20, |number| format!("s{number}: {{image: a}},"))
            ),
        ),
        (
            "services that extend those of another file",
            compose(),
            format!(
                "services:\n  b: {{image: a}}\n{}",
                repeated(1800, |number| format!(
                    "  s{number}: {{extends: {{file: f, service: s{}}}}}\n",
                    number + 1
                ))
            ),
        ),
        (
            "services that extend those of many files",
            compose(),
            format!(
                "services:\n  b: {{image: a}}\n{}",
                repeated(1500, |number| format!(
                    "  s{number}: {{extends: {{file: f{number}, service: b}}}}\n"
                ))
            ),
        ),
        (
            "one file for everything",
            compose(),
            format!(
                "services:\n{}",
                services(1000, "{image: a, depends_on: [s0], environment: {A: 1, B: 2}, tmpfs: [/a, /b]}")
            ),
        ),
    ]
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures how long it takes")]
fn definition_at_every_ceiling_is_judged_soon() {
    let policy = Policy { max_components: 1000, ..Policy::default() };
    let mut slow = Vec::new();
    for (what, labels, file) in ceilings() {
        let text = match labels.contains_key("pod.compose.file") {
            true => file,
            false => format!("{file}\n"),
        };
        let world = World(text);
        let task = task(labels);
        let host = Host::with_socket(&task, None);
        let around = Surroundings {
            task: &task,
            files: &world,
            environment: &|name| (name == "A").then(|| "x".repeat(128 << 10)),
            host: &host,
            share_volumes: false,
            policy: &policy,
        };
        let began = Instant::now();
        let read = read_definition(&around);
        let took = began.elapsed();
        let report = read.err().map(|report| report.to_string()).unwrap_or_default();
        println!("{took:?} {what}: {}", report.chars().take(300).collect::<String>());
        assert!(report.len() < 1 << 20, "{what}: a report of {} bytes", report.len());
        if took > LONGEST_READING {
            slow.push(format!("{what}: {took:?}"));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
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
