//! Every form in which a definition may be written, and what it means.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use definition::files::{FileFault, FileKind, Files};
use definition::labels::{Surroundings, read};
use definition::lower::shared_mounts;
use pod::container_options::{Blkio, Device, DeviceRequest, PullPolicy, Tuning};
use pod::policy::{Allowance, Allowed, Host, Policy};
use pod::spec::{
    ComponentSpec, Condition, ContainerSpec, CopySpec, Definition, Dependency, FileSource, FileSpec,
    HealthCheck, Hook, Mount, MountSource, Recursion, Restart, ScratchVolume,
};
use pod::task_container::{TaskContainer, TaskMount};

const SOCKET: &str = "/srv/engine/docker.sock";

/// The files of the task container: everything named `/file...`, and two env files.
struct World;

impl Files for World {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        match path {
            "/folder" => Ok(FileKind::Folder),
            path if path.starts_with("/run/secrets/") || path == "/app.conf" => Ok(FileKind::File),
            path if path.starts_with("/file") || path.ends_with(".env") => Ok(FileKind::File),
            _ => Err(FileFault::Missing),
        }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        match path {
            "/one.env" => Ok(b"# first\nA=one\nexport B='one'\nC\n".to_vec()),
            "two.env" => Ok(b"B=two\nD=\"two\\nlines\"\n".to_vec()),
            _ => Err(FileFault::Missing),
        }
    }
}

fn mount(kind: &str, volume: Option<&str>, source: &str, target: &str, labels: &[(&str, &str)]) -> TaskMount {
    TaskMount {
        kind: kind.into(),
        volume: volume.map(str::to_owned),
        source: source.into(),
        target: target.into(),
        writable: target != "/read-only",
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..TaskMount::default()
    }
}

fn task(labels: &[(&str, &str)]) -> TaskContainer {
    let volume = |name: &str, target: &str, labels: &[(&str, &str)]| {
        mount("volume", Some(name), &format!("/var/lib/docker/volumes/{name}/_data"), target, labels)
    };
    TaskContainer {
        name: "stack_pod.1.abc".into(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        mounts: vec![
            mount("bind", None, SOCKET, "/var/run/docker.sock", &[]),
            volume("exact", "/exact", &[]),
            volume("v1", "/v1", &[("com.github.rycus86.podlike.volume-ref", "reference")]),
            volume("stack_data", "/data", &[("com.docker.stack.namespace", "stack")]),
            volume("proj_cache", "/cache", &[("com.docker.compose.volume", "cache")]),
            // Called `exact` in another way, which counts for less.
            volume("v2", "/v2", &[("com.github.rycus86.podlike.volume-ref", "exact")]),
            mount("bind", None, "/srv/site", "/read-only", &[]),
            mount("tmpfs", None, "", "/scratch", &[]),
        ],
        ..TaskContainer::default()
    }
}

static NOTHING: LazyLock<Policy> = LazyLock::new(Policy::default);
static HOST: LazyLock<Host> = LazyLock::new(|| Host::with_socket(&task(&[]), Some(SOCKET)));

fn around(task: &TaskContainer) -> Surroundings<'_> {
    Surroundings {
        task,
        files: &World,
        host: &HOST,
        share_volumes: false,
        policy: &NOTHING,
        environment: &|name| ["B", "C", "E"].contains(&name).then(|| "task's".to_owned()),
    }
}

/// The definition in these labels, which must be sound.
fn sound(labels: &[(&str, &str)]) -> Definition {
    let policy = Policy::everything();
    let task = task(labels);
    let around = Surroundings { policy: &policy, ..around(&task) };
    let (definition, mut warnings) = read(&around).unwrap_or_else(|it| panic!("{it}"));
    warnings.retain(|warning| warning.new_volume.is_none());
    assert_eq!(warnings, [], "{labels:?}");
    definition
}

/// The component `app` with these keys beside its image.
fn app(keys: &str) -> ComponentSpec {
    let text = format!("image: a\n{keys}");
    let mut definition = sound(&[("pod.component.app", &text)]);
    assert_eq!(definition.components.len(), 1);
    definition.components.remove(0)
}

/// Each text gives this value, taken out of the container.
fn each<T: PartialEq + std::fmt::Debug>(take: impl Fn(ContainerSpec) -> T, cases: Vec<(&str, T)>) {
    for (keys, expected) in cases {
        assert_eq!(take(app(keys).container), expected, "{keys}");
    }
}

fn words(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

fn variables(variables: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn nothing_but_an_image_leaves_everything_to_the_engine() {
    let expected = ComponentSpec {
        name: "app".into(),
        container: ContainerSpec { image: "a".into(), ..ContainerSpec::default() },
        ..ComponentSpec::default()
    };
    assert_eq!(app(""), expected);
    // A key without a value is not said, and extensions are the user's own.
    let silent = "command:\nentrypoint: ~\nenvironment: null\nvolumes:\ntmpfs:\nhealthcheck:\ndepends_on:\ncpus:\n\
                  mem_limit:\ntty:\nlabels:\nports:\nprivileged:\nx-note: {a: [1]}\n";
    assert_eq!(app(silent), expected);
}

#[test]
fn both_spellings_of_the_label_name_components_in_order() {
    let labels = &[
        ("pod.component.web", "image: a"),
        ("pod.container.App_1.x-y", "{image: b}"),
        ("pod.component.0", "image: c"),
        ("pod.manager", "sibling"),
        ("other.label", "{{{"),
        ("podium", "x"),
    ];
    let names: Vec<_> =
        sound(labels).components.into_iter().map(|it| (it.name, it.container.image)).collect();
    assert_eq!(
        names,
        [("0".into(), "c".into()), ("App_1.x-y".into(), "b".into()), ("web".into(), "a".into())]
            as [(String, String); 3]
    );
}

#[test]
fn init_components_are_numbered_in_their_order_and_wait_for_nothing() {
    let definition = sound(&[
        ("pod.component.app", "image: a"),
        ("pod.init.components", "- image: b\n  command: one\n- {image: c}\n"),
        ("pod.copy.init-2", "/file:/file"),
    ]);
    let init: Vec<_> = definition
        .init
        .iter()
        .map(|it| (it.name.as_str(), it.container.image.as_str(), it.copies.len()))
        .collect();
    assert_eq!(init, [("init-1", "b", 0), ("init-2", "c", 1)]);
    assert_eq!(sound(&[("pod.component.app", "image: a"), ("pod.init.components", "")]).init, []);

    let labels =
        [("pod.component.app", "image: a"), ("pod.init.components", "- image: b\n  depends_on: [app]")];
    let (definition, warnings) = definition_of(&labels);
    assert_eq!(definition.init[0].depends_on, []);
    assert_eq!(
        warnings,
        [
            "pod.init.components:2:16: `[0].depends_on[0]`: `depends_on` has no effect here; init components run one \
          after the other, in the order of the list"
        ]
    );
}

fn definition_of(labels: &[(&str, &str)]) -> (Definition, Vec<String>) {
    let policy = Policy::everything();
    let task = task(labels);
    let around = Surroundings { policy: &policy, ..around(&task) };
    let (definition, warnings) = read(&around).unwrap_or_else(|it| panic!("{it}"));
    (definition, warnings.iter().map(ToString::to_string).collect())
}

#[test]
fn anchors_and_merge_keys_hold_within_a_label() {
    let text = "x-base: &base\n  tty: yes\n  environment: &env {A: 1}\nimage: b\n<<: *base\nlabels: *env\n";
    let definition = sound(&[("pod.component.app", text)]);
    let container = &definition.components[0].container;
    assert!(container.tty);
    assert_eq!(container.environment, variables(&[("A", Some("1"))]));
    assert_eq!(container.labels, map(&[("A", "1")]));
}

#[test]
fn commands_are_split_like_a_shell_s_words_or_taken_as_a_list() {
    for key in ["command", "entrypoint"] {
        let cases: Vec<(&str, Option<Vec<String>>)> = vec![
            ("sh -c \"echo 'a b'\" c\\ d $HOME", words(&["sh", "-c", "echo 'a b'", "c d", "$HOME"])),
            (
                "[sh, -c, 'a b', 8080, 1.10, true, '']",
                words(&["sh", "-c", "a b", "8080", "1.10", "true", ""]),
            ),
            ("5", words(&["5"])),
            ("'bot --room #lobby'", words(&["bot", "--room", "#lobby"])),
            ("'a; b | c'", words(&["a;", "b", "|", "c"])),
            ("''", words(&[])),
            ("[]", words(&[])),
            ("", None),
        ];
        for (text, expected) in cases {
            let container = app(&format!("{key}: {text}")).container;
            let found = if key == "command" { container.command } else { container.entrypoint };
            assert_eq!(found, expected, "{key}: {text}");
        }
    }
}

#[test]
fn environment_is_a_list_or_a_map_whose_numbers_keep_their_text() {
    each(
        |it| it.environment,
        vec![
            (
                "environment: {A: text, B: 8080, C: 1.10, D: true, E: , F: '', G: 0x1F, H: 0644, I: yes}",
                variables(&[
                    ("A", Some("text")),
                    ("B", Some("8080")),
                    ("C", Some("1.10")),
                    ("D", Some("true")),
                    ("E", Some("task's")),
                    ("F", Some("")),
                    ("G", Some("0x1F")),
                    ("H", Some("0644")),
                    ("I", Some("yes")),
                ]),
            ),
            (
                "environment: [A=1=2, B, C=, 'D=$X', 'A=3']",
                variables(&[("A", Some("3")), ("B", Some("task's")), ("C", Some("")), ("D", Some("$X"))]),
            ),
            ("environment: {1: a, true: b}", variables(&[("1", Some("a")), ("true", Some("b"))])),
            // A number keeps its spelling, where Compose writes it anew: 1.1, 8, 1000.
            (
                "environment: {V: 1.10, M: 010, E: 1e3}",
                variables(&[("V", Some("1.10")), ("M", Some("010")), ("E", Some("1e3"))]),
            ),
            ("environment: {}", vec![]),
            ("environment: []", vec![]),
        ],
    );
}

#[test]
fn later_env_files_win_and_environment_wins_over_them() {
    each(
        |it| it.environment,
        vec![
            (
                "env_file: /one.env",
                variables(&[("A", Some("one")), ("B", Some("one")), ("C", Some("task's"))]),
            ),
            (
                "env_file: [/one.env, two.env]\nenvironment: {A: own, E: own}",
                variables(&[
                    ("A", Some("own")),
                    ("B", Some("two")),
                    ("C", Some("task's")),
                    ("D", Some("two\nlines")),
                    ("E", Some("own")),
                ]),
            ),
        ],
    );
}

#[test]
fn labels_are_a_list_or_a_map() {
    each(
        |it| it.labels,
        vec![
            ("labels: {a.b: c, d: 5, e: }", map(&[("a.b", "c"), ("d", "5"), ("e", "")])),
            (
                "labels: {a: 1.10, b: 0x1F, c: 010, d: 1e3}",
                map(&[("a", "1.10"), ("b", "0x1F"), ("c", "010"), ("d", "1e3")]),
            ),
            ("labels: [a.b=c, d]", map(&[("a.b", "c"), ("d", "")])),
            (
                "labels: {com.dockerhub.a: a, io.tandemic: b}",
                map(&[("com.dockerhub.a", "a"), ("io.tandemic", "b")]),
            ),
        ],
    );
}

#[test]
fn switches_take_the_booleans_of_yaml_1_1_too() {
    for (text, expected) in [
        ("true", true),
        ("True", true),
        ("yes", true),
        ("On", true),
        ("y", true),
        ("'true'", true),
        ("false", false),
        ("NO", false),
        ("off", false),
        ("n", false),
    ] {
        let container = app(&format!("read_only: {text}\ntty: {text}\nstdin_open: {text}")).container;
        assert_eq!([container.read_only, container.tty, container.stdin_open], [expected; 3], "{text}");
    }
    app("privileged: false\nuse_api_socket: no");
}

#[test]
fn user_and_folder_and_signal_and_times() {
    each(
        |it| it.user,
        vec![
            ("user: 1000", Some("1000".into())),
            ("user: '1000:1000'", Some("1000:1000".into())),
            ("user: app", Some("app".into())),
        ],
    );
    each(
        |it| it.working_dir,
        vec![("working_dir: /srv//app/", Some("/srv/app".into())), ("working_dir: /", Some("/".into()))],
    );
    each(
        |it| it.stop_signal,
        vec![
            ("stop_signal: SIGQUIT", Some("SIGQUIT".into())),
            ("stop_signal: usr1", Some("SIGUSR1".into())),
            ("stop_signal: 15", Some("15".into())),
            ("stop_signal: '64'", Some("64".into())),
            ("stop_signal: SIGRTMIN+3", Some("SIGRTMIN+3".into())),
        ],
    );
    for (text, expected) in
        [("1m30s", Duration::from_secs(90)), ("0s", Duration::ZERO), ("1.5s", Duration::from_millis(1500))]
    {
        assert_eq!(app(&format!("stop_grace_period: {text}")).stop_grace, Some(expected), "{text}");
    }
}

#[test]
fn hooks_in_every_form() {
    let hook = |command: &[&str]| Hook {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        ..Hook::default()
    };
    let whole = Hook {
        user: Some("1000".into()),
        working_dir: Some("/srv".into()),
        environment: vec![("A".into(), Some("1".into())), ("B".into(), None)],
        ..hook(&["./register", "a b"])
    };
    for (text, expected) in [
        ("[]", vec![]),
        (
            "[{command: './register --now'}, {command: [sh, -c, 'a b']}]",
            vec![hook(&["./register", "--now"]), hook(&["sh", "-c", "a b"])],
        ),
        (
            "[{command: './register \"a b\"', user: 1000, working_dir: /srv/, environment: {A: 1, B: }, privileged: no}]",
            vec![whole.clone()],
        ),
        ("[{command: ./a, user: ~, environment: [], x-mine: 1}]", vec![hook(&["./a"])]),
        (
            "[{command: ['./register', a b], user: '1000', working_dir: /srv, environment: [A=1, B]}]",
            vec![whole],
        ),
    ] {
        assert_eq!(app(&format!("post_start: {text}")).post_start, expected, "{text}");
        assert_eq!(app(&format!("pre_stop: {text}")).pre_stop, expected, "{text}");
    }
}

#[test]
fn pre_start_in_every_form() {
    let names = |definition: &Definition| -> Vec<String> {
        definition.components.iter().map(|one| one.name.clone()).collect()
    };
    let steps = |keys: &str| {
        let definition = sound(&[
            ("pod.component.app", &format!("image: a\n{keys}")),
            ("pod.component.app-2", "image: b"),
        ]);
        definition.components
    };
    assert_eq!(steps("pre_start: []").len(), 2);
    assert_eq!(steps("pre_start:").len(), 2);
    let all = sound(&[
        ("pod.component.app", "image: a\npre_start: [{}, {command: ./b}]"),
        ("pod.component.app-2", "image: b"),
    ]);
    assert_eq!(names(&all), ["app", "app-2", "app.pre-1", "app.pre-2"]);
    assert_eq!(all.components[2].pre_start_of.as_deref(), Some("app"));

    let base = "user: app\nworking_dir: /srv\nenvironment: {A: 1, B: 2}\n";
    let whole = ContainerSpec {
        image: "b:1".into(),
        command: words(&["./migrate", "a b"]),
        user: Some("1000".into()),
        working_dir: Some("/srv/db".into()),
        environment: variables(&[("A", Some("1")), ("B", None), ("C", Some("3"))]),
        privileged: true,
        healthcheck: Some(HealthCheck::Disabled),
        ..ContainerSpec::default()
    };
    let own = ContainerSpec {
        image: "a".into(),
        command: None,
        user: Some("app".into()),
        working_dir: Some("/srv".into()),
        environment: variables(&[("A", Some("1")), ("B", Some("2"))]),
        privileged: false,
        ..whole.clone()
    };
    for (text, expected) in [
        ("{}", own.clone()),
        ("{command: ~, image: , user: ~, per_replica: yes, privileged: 'false', x-mine: 1}", own.clone()),
        ("{command: []}", ContainerSpec { command: words(&[]), ..own.clone() }),
        ("{image: b:1}", ContainerSpec { image: "b:1".into(), user: None, ..own }),
        (
            "{command: './migrate \"a b\"', image: 'b:1', user: 1000, working_dir: /srv/db/, environment: {B: , C: 3}, \
             privileged: yes, per_replica: 'true'}",
            whole.clone(),
        ),
        (
            "{command: [./migrate, a b], image: b:1, user: '1000', working_dir: /srv/db, environment: [B, C=3], \
             privileged: 'true'}",
            whole,
        ),
    ] {
        let found = steps(&format!("{base}pre_start: [{text}]"));
        assert_eq!(found[2].container, expected, "{text}");
    }
    let (_, warnings) = definition_of(&[("pod.component.app", "image: a\npre_start: [{per_replica: no}]")]);
    let want = "pod.component.app:2:27: `pre_start[0].per_replica`: `per_replica: false` has no effect here; each pod, so \
                each replica of the pod's service, runs its own `pre_start`";
    assert_eq!(warnings, [want]);
}

#[test]
fn a_step_gets_the_volumes_copies_and_secrets_of_its_component() {
    let definition = sound(&[
        ("pod.component.app", "image: a\nvolumes: [exact:/data, /new]\nsecrets: [db]\npre_start: [{}, {}]"),
        ("pod.copy.app", "[/file:/data/a, /file:/b, /file:/new/c]"),
    ]);
    let [app, one, two] = &definition.components[..] else { panic!("{definition:?}") };
    let targets =
        |one: &ComponentSpec| -> Vec<String> { one.copies.iter().map(|copy| copy.target.clone()).collect() };
    assert_eq!(targets(app), ["/b", "/new/c"], "a new container of it has a new volume without a name");
    assert_eq!(targets(one), ["/data/a", "/b"], "into volumes once");
    assert_eq!(targets(two), ["/b"]);
    assert_eq!((&one.files, &two.files), (&app.files, &app.files));
    assert_eq!(app.container.mounts.len(), 2);
    let mounts: Vec<&str> = one.container.mounts.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(mounts, ["/data"], "the engine shares those without a name");
}

#[test]
fn limits_in_every_form() {
    each(
        |it| it.memory_bytes,
        vec![
            ("mem_limit: 64m", Some(64 << 20)),
            ("mem_limit: 1.5G", Some(3 << 29)),
            ("mem_limit: 67108864", Some(64 << 20)),
            ("mem_limit: '67108864'", Some(64 << 20)),
            ("mem_limit: 6m", Some(6 << 20)),
            ("mem_limit: 0", None),
        ],
    );
    each(
        |it| it.nano_cpus,
        vec![
            ("cpus: 0.5", Some(500_000_000)),
            ("cpus: '0.5'", Some(500_000_000)),
            ("cpus: 2", Some(2_000_000_000)),
            ("cpus: 0.01", Some(10_000_000)),
            ("cpus: 0", None),
        ],
    );
    each(
        |it| it.pids_limit,
        vec![
            ("pids_limit: 5", Some(5)),
            ("pids_limit: '5'", Some(5)),
            ("pids_limit: -1", Some(-1)),
            ("pids_limit: 0", Some(-1)),
        ],
    );
    each(
        |it| it.shm_size_bytes,
        vec![("shm_size: 1g", Some(1 << 30)), ("shm_size: 1024", Some(1024)), ("shm_size: 0", None)],
    );
}

#[test]
fn capabilities_with_or_without_their_prefix() {
    each(
        |it| (it.cap_add, it.cap_drop),
        vec![(
            "cap_add: [NET_ADMIN, cap_sys_time, CAP_NET_ADMIN]\ncap_drop: [all]",
            (vec!["NET_ADMIN".into(), "SYS_TIME".into()], vec!["ALL".into()]),
        )],
    );
}

#[test]
fn health_checks_in_every_form() {
    let check = |test: &[&str]| HealthCheck::Check {
        test: test.iter().map(|word| (*word).to_owned()).collect(),
        interval: None,
        timeout: None,
        start_period: None,
        start_interval: None,
        retries: None,
    };
    each(
        |it| it.healthcheck.unwrap(),
        vec![
            (
                "healthcheck: {test: curl -f localhost || exit 1}",
                check(&["CMD-SHELL", "curl -f localhost || exit 1"]),
            ),
            ("healthcheck: {test: [CMD, curl, -p, 80]}", check(&["CMD", "curl", "-p", "80"])),
            ("healthcheck: {test: [CMD-SHELL, 'a b']}", check(&["CMD-SHELL", "a b"])),
            ("healthcheck: {test: [NONE]}", HealthCheck::Disabled),
            ("healthcheck: {test: none}", check(&["CMD-SHELL", "none"])),
            ("healthcheck: {disable: true}", HealthCheck::Disabled),
            ("healthcheck: {disable: true, test: 'true'}", HealthCheck::Disabled),
            ("healthcheck: {test: [CMD, a], disable: true}", HealthCheck::Disabled),
            ("healthcheck: {disable: false, test: 'true'}", check(&["CMD-SHELL", "true"])),
            ("healthcheck: {interval: 0s, retries: 0}", check(&[])),
            (
                "healthcheck: {interval: 1d, timeout: 1w, retries: 3.0}",
                HealthCheck::Check {
                    test: vec![],
                    interval: Some(Duration::from_secs(86_400)),
                    timeout: Some(Duration::from_secs(604_800)),
                    start_period: None,
                    start_interval: None,
                    retries: Some(3),
                },
            ),
            (
                "healthcheck: {interval: 1m30s, timeout: 500ms, start_period: 1h, retries: '3'}",
                HealthCheck::Check {
                    test: vec![],
                    interval: Some(Duration::from_secs(90)),
                    timeout: Some(Duration::from_millis(500)),
                    start_period: Some(Duration::from_secs(3600)),
                    start_interval: None,
                    retries: Some(3),
                },
            ),
        ],
    );
}

#[test]
fn a_health_check_that_is_the_text_none_is_a_command_with_a_warning() {
    let (definition, warnings) =
        definition_of(&[("pod.component.app", "image: a\nhealthcheck: {test: NONE}")]);
    let Some(HealthCheck::Check { test, .. }) = &definition.components[0].container.healthcheck else {
        panic!("a check")
    };
    // As of compose-go and of docker/cli (`transformHealthCheckTest`).
    assert_eq!(test, &["CMD-SHELL", "NONE"]);
    let told = "pod.component.app:2:21: `healthcheck.test`: found `NONE` as text, which is a command of this name, as in \
                Compose; write `disable: true` or `test: [NONE]` for no health check";
    assert_eq!(warnings, [told]);
}

#[test]
fn words_after_that_of_the_shell_pass_with_a_warning() {
    let (definition, warnings) =
        definition_of(&[("pod.component.app", "image: a\nhealthcheck: {test: [CMD-SHELL, a, b]}")]);
    let Some(HealthCheck::Check { test, .. }) = &definition.components[0].container.healthcheck else {
        panic!("a check")
    };
    assert_eq!(test, &["CMD-SHELL", "a", "b"]);
    let told = "pod.component.app:2:21: `healthcheck.test`: found 2 strings after `CMD-SHELL`; the shell runs the first \
                alone, and has the others as `$0`, `$1` and so on: write one string";
    assert_eq!(warnings, [told]);
}

#[test]
fn empty_texts_are_absent_where_compose_takes_them_so() {
    let keys =
        ["cpuset", "platform", "restart", "runtime", "stop_signal", "user", "userns_mode", "working_dir"];
    let empty: String = keys.iter().map(|key| format!("{key}: ''\n")).collect();
    assert_eq!(app(&empty), app(""));
    let hook = app("post_start: [{command: a, user: '', working_dir: ''}]").post_start;
    assert_eq!((&hook[0].user, &hook[0].working_dir), (&None, &None));
}

/// A path of the host, which no form of the definition makes where it is missing.
fn bind(path: &str, propagation: Option<&str>) -> MountSource {
    below(path, propagation, Recursion::Enabled)
}

/// The same, with a wish for the mounts below it.
fn below(path: &str, mode: Option<&str>, recursion: Recursion) -> MountSource {
    let mut source = MountSource::bind(path);
    if let MountSource::Bind { propagation, recursive, .. } = &mut source {
        (*propagation, *recursive) = (mode.map(str::to_owned), recursion);
    }
    source
}

/// The task container's volume of this name at the engine.
fn named(name: &str) -> MountSource {
    MountSource::volume(Some(name.into()))
}

/// The pod's own volume that its components call so.
fn own(name: &str) -> MountSource {
    MountSource::Volume {
        name: Some(format!("stack_pod.1.abc.podlike.{name}")),
        no_copy: false,
        subpath: None,
        owner: Some("container:stack_pod.1.abc".into()),
    }
}

fn own_with(name: &str, uncopied: bool, part: Option<&str>) -> MountSource {
    let mut source = own(name);
    if let MountSource::Volume { no_copy, subpath, .. } = &mut source {
        (*no_copy, *subpath) = (uncopied, part.map(str::to_owned));
    }
    source
}

#[test]
fn volumes_short_and_long() {
    let anonymous = MountSource::volume(None);
    let uncopied = own_with("other", true, None);
    let memory = |size_bytes, mode| MountSource::Tmpfs { size_bytes, mode };
    for (text, read_only, source) in [
        ("/t", false, anonymous.clone()),
        ("/h:/t", false, bind("/h", None)),
        ("/h/../i/:/t/", false, bind("/i", None)),
        ("/h:/t:ro", true, bind("/h", None)),
        ("/h:/t:rw,rslave", false, bind("/h", Some("rslave"))),
        ("/h:/t:ro,cached", true, bind("/h", None)),
        ("other:/t", false, own("other")),
        ("other:/t:ro", true, own("other")),
        ("exact:/t", false, named("exact")),
        ("other:/t:nocopy", false, uncopied.clone()),
        ("{target: /t}", false, anonymous.clone()),
        ("{type: volume, target: /t}", false, anonymous),
        ("{type: volume, source: other, target: /t, read_only: true}", true, own("other")),
        ("{source: other, target: /t, mode: ro}", true, own("other")),
        ("{type: volume, source: other, target: /t, volume: {nocopy: true}}", false, uncopied),
        ("{source: /h, target: /t}", false, bind("/h", None)),
        ("{type: bind, source: /h, target: /t, consistency: cached}", false, bind("/h", None)),
        (
            "{type: bind, source: /h, target: /t, bind: {propagation: rshared, create_host_path: true}}",
            false,
            bind("/h", Some("rshared")),
        ),
        (
            "{type: volume, source: other, target: /t, volume: {subpath: ./a//b/}}",
            false,
            own_with("other", false, Some("a/b")),
        ),
        ("{type: bind, source: /h, target: /t, bind: {recursive: enabled}}", false, bind("/h", None)),
        (
            "{type: bind, source: /h, target: /t, bind: {recursive: disabled}}",
            false,
            below("/h", None, Recursion::Disabled),
        ),
        (
            "{type: bind, source: /h, target: /t, read_only: true, bind: {recursive: writable}}",
            true,
            below("/h", None, Recursion::Writable),
        ),
        (
            "{type: bind, source: /h, target: /t, mode: ro, bind: {recursive: readonly}}",
            true,
            below("/h", Some("rprivate"), Recursion::ReadOnly),
        ),
        ("{type: tmpfs, target: /t}", false, memory(None, None)),
        (
            "{type: tmpfs, target: /t, tmpfs: {size: 64m, mode: 0755}}",
            false,
            memory(Some(64 << 20), Some(0o755)),
        ),
        (
            "{type: tmpfs, target: /t, tmpfs: {size: 1048576, mode: 0o1777}}",
            false,
            memory(Some(1 << 20), Some(0o1777)),
        ),
        ("{type: tmpfs, target: /t, tmpfs: {size: 0, mode: '700'}}", false, memory(None, Some(0o700))),
    ] {
        let expected = Mount { target: "/t".into(), read_only, source };
        let entry = if text.starts_with('{') { text.to_owned() } else { format!("'{text}'") };
        assert_eq!(app(&format!("volumes: [{entry}]")).container.mounts, [expected], "{text}");
    }
}

#[test]
fn a_relabelling_mode_is_taken_with_a_warning() {
    let (definition, warnings) = definition_of(&[("pod.component.app", "image: a\nvolumes: ['/h:/t:ro,z']")]);
    assert!(definition.components[0].container.mounts[0].read_only);
    assert_eq!(
        warnings,
        [
            "pod.component.app:2:11: `volumes[0]`: the mode `z` has no effect; files keep their SELinux label: set it on \
          the node where SELinux is on"
        ]
    );
}

#[test]
fn a_volume_is_found_by_exact_name_reference_stack_name_or_compose_name() {
    for (written, expected) in [
        ("exact", "exact"),
        ("reference", "v1"),
        ("data", "stack_data"),
        ("stack_data", "stack_data"),
        ("cache", "proj_cache"),
    ] {
        let mounts = app(&format!("volumes: ['{written}:/t']")).container.mounts;
        assert_eq!(mounts[0].source, named(expected), "{written}");
    }
}

#[test]
fn a_volume_that_the_task_container_does_not_have_is_the_pods_own_or_one_that_the_operator_names() {
    for written in ["unknown", "stack_pod.1.abc.podlike.unknown"] {
        assert_eq!(app(&format!("volumes: ['{written}:/t']")).container.mounts[0].source, own("unknown"));
    }
    let task = task(&[("pod.component.app", "image: a\nvolumes: ['unknown:/t', 'exact:/u', 'other:/v']")]);
    let allowed = ["volumes=unknown", "volumes=v2"].map(|item| item.parse().unwrap());
    let policy = Policy { allowed: allowed.into_iter().collect(), ..Policy::default() };
    let (definition, _) =
        read(&Surroundings { policy: &policy, ..around(&task) }).unwrap_or_else(|it| panic!("{it}"));
    let mounts = &definition.components[0].container.mounts;
    let sources: Vec<_> = mounts.iter().map(|mount| mount.source.clone()).collect();
    assert_eq!(sources, [named("unknown"), named("exact"), own("other")]);
}

#[test]
fn a_volume_that_nobody_declares_is_warned_of_once_with_the_nearest_that_somebody_does() {
    let app = "image: a\nvolumes: ['dat:/a', 'refrence:/b', 'other:/c', 'mine:/d', 'stack_pod.1.abc.podlike.own:/e']";
    let mut task = task(&[("pod.component.app", app), ("pod.component.db", "image: a\nvolumes: ['dat:/a']")]);
    task.stack_volumes = vec!["mine".into()];
    let (_, warnings) = read(&around(&task)).unwrap_or_else(|it| panic!("{it}"));
    let told: Vec<_> = warnings
        .iter()
        .map(|warning| {
            (
                warning.new_volume.as_deref().expect("a volume"),
                &*warning.fault.problem,
                &*warning.fault.remedy,
            )
        })
        .collect();
    let own = |name: &str| {
        format!(
            "nobody declares the volume `{name}`: the pod makes one of its own, `stack_pod.1.abc.podlike.{name}`"
        )
    };
    assert_eq!(
        told,
        [
            ("stack_pod.1.abc.podlike.dat", &*own("dat"), "did you mean `data`?"),
            ("stack_pod.1.abc.podlike.refrence", &*own("refrence"), "did you mean `reference`?"),
            (
                "stack_pod.1.abc.podlike.other",
                &*own("other"),
                "to share a volume with others, declare it, and mount it in the pod's own service"
            ),
            (
                "stack_pod.1.abc.podlike.mine",
                "the stack declares the volume `mine`, which the pod's own service does not mount: the pod makes one of its \
                 own, `stack_pod.1.abc.podlike.mine`",
                "mount it in the service, too, to share it"
            ),
        ]
    );
}

#[test]
fn volumes_are_named_after_the_service_or_the_compose_service_that_the_pod_is_of() {
    let labels = |prefix: &str, labels: &[(&str, &str)]| -> BTreeMap<String, String> {
        let component = ("pod.component.app".to_owned(), "image: a\nvolumes: ['data:/t']".to_owned());
        let labels = labels.iter().map(|(key, value)| (format!("{prefix}.{key}"), (*value).to_owned()));
        labels.chain([component]).collect()
    };
    let swarm = labels(
        "com.docker.swarm",
        &[("service.name", "shop_web"), ("task.id", "t1"), ("node.id", "n1"), ("task.name", "shop_web.1.t1")],
    );
    let compose = labels("com.docker.compose", &[("project", "shop"), ("service", "web")]);
    for (name, labels, volume, owner) in [
        ("shop_web.1.t1", &swarm, "shop_web.podlike.data", "service:shop_web"),
        ("shop-web-1", &compose, "shop-web.podlike.data", "project:shop/web"),
        ("mine", &compose, "mine.podlike.data", "container:mine"),
    ] {
        let task = TaskContainer { name: name.into(), labels: labels.clone(), ..TaskContainer::default() };
        let (definition, _) = read(&around(&task)).unwrap_or_else(|it| panic!("{it}"));
        let MountSource::Volume { name: at_engine, owner: found, .. } =
            &definition.components[0].container.mounts[0].source
        else {
            panic!("{definition:?}");
        };
        assert_eq!((at_engine.as_deref(), found.as_deref()), (Some(volume), Some(owner)));
    }
}

#[test]
fn tmpfs_is_a_string_or_a_list_and_keeps_its_options() {
    each(
        |it| it.tmpfs,
        vec![
            ("tmpfs: /run", map(&[("/run", "")])),
            ("tmpfs: /run:size=64m", map(&[("/run", "size=64m")])),
            ("tmpfs: [/run, '/tmp/:noexec,mode=1777']", map(&[("/run", ""), ("/tmp", "noexec,mode=1777")])),
        ],
    );
}

#[test]
fn dependencies_as_a_list_and_as_a_map() {
    let on = |on: &str, condition| Dependency { on: on.into(), condition, required: true, restart: false };
    for (text, expected) in [
        ("[b, c]", vec![on("b", Condition::Started), on("c", Condition::Started)]),
        (
            "{b: {condition: service_healthy}, c: {condition: service_started}}",
            vec![on("b", Condition::Healthy), on("c", Condition::Started)],
        ),
        ("{b: {}, c: }", vec![on("b", Condition::Started), on("c", Condition::Started)]),
        (
            "{b: {condition: service_completed_successfully, restart: true}, c: {required: no}}",
            vec![
                Dependency { restart: true, ..on("b", Condition::Completed) },
                Dependency { required: false, ..on("c", Condition::Started) },
            ],
        ),
        ("[]", vec![]),
    ] {
        let text = format!("image: a\ndepends_on: {text}");
        let definition = sound(&[
            ("pod.component.a", &text),
            ("pod.component.b", "image: b"),
            ("pod.component.c", "image: c"),
        ]);
        assert_eq!(definition.components[0].depends_on, expected, "{text}");
    }
}

#[test]
fn restarts_and_what_compose_has_no_key_for() {
    for (text, restart) in [
        ("no", Restart::Never),
        ("\"no\"", Restart::Never),
        ("always", Restart::Always),
        ("unless-stopped", Restart::UnlessStopped),
        ("on-failure", Restart::OnFailure(None)),
        ("on-failure:0", Restart::OnFailure(None)),
        ("on-failure:3", Restart::OnFailure(Some(3))),
    ] {
        let definition = sound(&[("pod.component.app", &format!("image: a\nrestart: {text}"))]);
        assert_eq!(definition.components[0].restart, restart, "{text}");
    }
    let plain = &sound(&[("pod.component.app", "image: a")]).components[0];
    assert_eq!((plain.restart, plain.essential, plain.sidecar), (Restart::Never, true, false));
    let text = "image: a\nx-tandem: {essential: no, sidecar: yes, shutdown_delay: 1m, x-note: b}";
    let app = &sound(&[("pod.component.app", text), ("pod.component.other", "image: a")]).components[0];
    assert_eq!((app.essential, app.sidecar, app.shutdown_delay), (false, true, Duration::from_secs(60)));
}

#[test]
fn what_is_the_pods_is_in_labels() {
    let definition = sound(&[
        ("pod.component.app", "image: a\nvolumes: ['cache:/c:ro', 'other:/o', 'tmp:/t']"),
        ("pod.scratch", "[cache, {name: tmp, type: memory, size: 64m}, {name: rest, type: disk}]"),
        ("pod.stop_grace_period", "1m30s"),
    ]);
    let scratch = |name: &str, memory, size_bytes| ScratchVolume { name: name.into(), memory, size_bytes };
    let expected =
        [scratch("cache", false, None), scratch("tmp", true, Some(64 << 20)), scratch("rest", false, None)];
    assert_eq!(definition.scratch, expected);
    assert_eq!(definition.stop_timeout, Some(Duration::from_secs(90)));
    let mount = |target: &str, read_only, source| Mount { target: target.into(), read_only, source };
    assert_eq!(
        definition.components[0].container.mounts,
        [
            mount("/c", true, MountSource::ScratchVolume("cache".into())),
            mount("/o", false, own("other")),
            mount("/t", false, MountSource::ScratchVolume("tmp".into())),
        ]
    );
    let nothing =
        sound(&[("pod.component.app", "image: a"), ("pod.scratch", ""), ("pod.stop_grace_period", "")]);
    assert_eq!((nothing.scratch, nothing.stop_timeout), (vec![], None));
}

#[test]
fn a_dependency_that_is_not_there_is_passed_over_where_it_is_not_required() {
    let (definition, warnings) =
        definition_of(&[("pod.component.app", "image: a\ndepends_on: {db: {required: false}}")]);
    assert_eq!(definition.components[0].depends_on, []);
    assert_eq!(
        warnings,
        [
            "pod.component.app:2:14: `depends_on.db`: there is no component `db`; it is not required, and not waited for"
        ]
    );
}

#[test]
fn copies_in_their_three_forms() {
    let copy = |source: &str, target: &str| CopySpec { source: source.into(), target: target.into() };
    for (text, expected) in [
        ("/file:/a", vec![copy("/file", "/a")]),
        ("- /file:/a\n- /folder:/b/\n", vec![copy("/file", "/a"), copy("/folder", "/b/")]),
        ("/file: /a\n/folder: /b/\n", vec![copy("/file", "/a"), copy("/folder", "/b/")]),
        ("/file:/data/../etc//a", vec![copy("/file", "/etc/a")]),
        (
            "[/file:/b/../c/, /file:/c/., /file:/c/d/.., /file:/]",
            ["/c/", "/c/", "/c/", "/"].map(|to| copy("/file", to)).to_vec(),
        ),
        ("", vec![]),
    ] {
        let definition = sound(&[("pod.component.app", "image: a"), ("pod.copy.app", text)]);
        assert_eq!(definition.components[0].copies, expected, "{text}");
    }
    // A volume takes what a read-only root refuses, and shows what the tmpfs above it would hide.
    let keys = "image: a\nread_only: true\nvolumes: ['v:/data', '/h:/run/host']\ntmpfs: /run";
    sound(&[("pod.component.app", keys), ("pod.copy.app", "[/file:/data/a, /file:/run/host/b]")]);
}

#[test]
fn shared_mounts_are_all_of_the_task_container_s_but_the_socket() {
    let task = task(&[
        ("pod.component.app", "image: a\nvolumes: ['own:/data']\ntmpfs: /v1\nread_only: true"),
        ("pod.copy.app", "/file:/exact/file"),
    ]);
    let shared = shared_mounts(&task, &NOTHING, &HOST);
    let targets: Vec<_> = shared.iter().map(|mount| (mount.target.as_str(), mount.read_only)).collect();
    assert_eq!(
        targets,
        [
            ("/exact", false),
            ("/v1", false),
            ("/data", false),
            ("/cache", false),
            ("/v2", false),
            ("/read-only", true)
        ]
    );
    assert_eq!(
        shared[0].source,
        MountSource::Volume { name: Some("exact".into()), no_copy: true, subpath: None, owner: None }
    );
    assert_eq!(shared[5].source, bind("/srv/site", None));

    let policy = Policy::default();
    let around = Surroundings { share_volumes: true, policy: &policy, ..around(&task) };
    let (definition, _) = read(&around).unwrap_or_else(|it| panic!("{it}"));
    let mounts = &definition.components[0].container.mounts;
    let targets: Vec<_> = mounts.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(targets, ["/data", "/exact", "/cache", "/v2", "/read-only"], "its own mounts win, tmpfs too");
    assert_eq!(mounts[0].source, own("own"));
}

#[test]
fn the_socket_in_a_shared_volume_or_folder_is_never_shared() {
    let mut task = TaskContainer::default();
    for (mount, socket) in [
        (mount("bind", None, "/var/run", "/host", &[]), None),
        (mount("bind", None, "/", "/host", &[]), None),
        (mount("bind", None, "/srv/d.sock", "/run/docker.sock", &[]), None),
        (mount("bind", None, "/run/docker/plugins", "/plugins", &[]), None),
        (
            mount("volume", Some("s"), "/var/lib/docker/volumes/s/_data", "/s", &[]),
            Some("/var/lib/docker/volumes/s/_data/d.sock"),
        ),
    ] {
        task.mounts = vec![mount];
        assert_eq!(
            shared_mounts(&task, &NOTHING, &Host::with_socket(&task, socket)),
            [],
            "{:?}",
            task.mounts
        );
    }
    // Nor what the manager limits the pod with.
    for (source, target) in [
        ("/run/dbus/system_bus_socket", "/run/dbus/system_bus_socket"),
        ("/srv/bus", "/var/run/dbus/system_bus_socket"),
        ("/sys/fs/cgroup", "/host/cgroup"),
    ] {
        task.mounts = vec![mount("bind", None, source, target, &[])];
        assert_eq!(shared_mounts(&task, &NOTHING, &Host::with_socket(&task, None)), [], "{source}");
    }
    task.mounts = vec![mount("bind", None, "/srv", "/srv", &[])];
    assert_eq!(shared_mounts(&task, &NOTHING, &Host::with_socket(&task, None)).len(), 1);
}

#[test]
fn an_operator_may_allow_the_socket() {
    // Its path on the host, as the task container has it mounted.
    let volume = format!("image: a\nvolumes: ['{SOCKET}:/var/run/docker.sock']");
    let task = task(&[("pod.component.app", &volume)]);
    let allowed = [Allowed::All(Allowance::EngineSocket)].into_iter().collect();
    let policy = Policy { allowed, ..Policy::default() };
    let (definition, _) =
        read(&Surroundings { policy: &policy, ..around(&task) }).unwrap_or_else(|it| panic!("{it}"));
    assert_eq!(definition.components[0].container.mounts[0].source, bind(SOCKET, None));
    assert!(read(&around(&task)).is_err());
}

#[test]
fn secrets_and_configs_are_files_of_the_task_container_as_swarm_would_give_them() {
    let file = |source: &str, target: &str| FileSpec {
        source: FileSource::Path(source.into()),
        target: target.into(),
        uid: 0,
        gid: 0,
        mode: 0o444,
    };
    let db = |target: &str| file("/run/secrets/db", target);
    let conf = |target: &str| file("/app.conf", target);
    let owned = |uid, gid, mode| FileSpec { uid, gid, mode, ..db("/run/secrets/db") };
    for (keys, expected) in [
        ("secrets: []\nconfigs:", vec![]),
        ("secrets: [db]", vec![db("/run/secrets/db")]),
        ("secrets: [tandem/a.json]", vec![file("/run/secrets/tandem/a.json", "/run/secrets/tandem/a.json")]),
        ("secrets: [{source: db}]", vec![db("/run/secrets/db")]),
        ("secrets: [{source: db, target: key.pem}]", vec![db("/run/secrets/key.pem")]),
        ("secrets: [{source: db, target: /etc//key.pem}]", vec![db("/etc/key.pem")]),
        ("secrets: [/file]", vec![file("/file", "/run/secrets/file")]),
        ("secrets: [/run/secrets/x/y]", vec![file("/run/secrets/x/y", "/run/secrets/x/y")]),
        ("secrets: [{source: db, uid: '1', gid: 2, mode: 0400}]", vec![owned(1, 2, 0o400)]),
        ("secrets: [{source: db, mode: \"440\"}]", vec![owned(0, 0, 0o440)]),
        ("secrets: [{source: db, mode: 0o400, uid: , x-note: 1}]", vec![owned(0, 0, 0o400)]),
        ("configs: [app.conf]", vec![conf("/app.conf")]),
        ("configs: [{source: app.conf, target: etc/conf}]", vec![conf("/etc/conf")]),
        ("configs: [{source: /file/deep}]", vec![file("/file/deep", "/file/deep")]),
        ("configs: [app.conf]\nsecrets: [db]", vec![conf("/app.conf"), db("/run/secrets/db")]),
        ("tmpfs: /run\nsecrets: [db]", vec![db("/run/secrets/db")]),
    ] {
        assert_eq!(app(keys).files, expected, "{keys}");
    }
    let definition =
        sound(&[("pod.component.app", "image: a"), ("pod.init.components", "- {image: a, secrets: [db]}")]);
    assert_eq!(definition.init[0].files, [db("/run/secrets/db")]);
}

/// Each text gives this tuning.
fn tuned(cases: Vec<(&str, Tuning)>) {
    for (keys, expected) in cases {
        assert_eq!(app(keys).container.tuning, expected, "{keys}");
    }
}

#[test]
fn numbers_of_the_rarer_keys_are_numbers_or_strings() {
    let base = Tuning::default;
    tuned(vec![
        ("cpu_period: 50000", Tuning { cpu_period: Some(50_000), ..base() }),
        ("cpu_period: '50ms'", Tuning { cpu_period: Some(50_000), ..base() }),
        ("cpu_quota: '-1'", Tuning { cpu_quota: Some(-1), ..base() }),
        ("cpu_rt_runtime: 400ms", Tuning { cpu_rt_runtime: Some(400_000), ..base() }),
        ("cpu_rt_period: '1400us'", Tuning { cpu_rt_period: Some(1400), ..base() }),
        ("cpu_shares: '73'", Tuning { cpu_shares: Some(73), ..base() }),
        ("cpu_shares: 0", base()),
        ("cpuset: 0", Tuning { cpuset: Some("0".into()), ..base() }),
        ("cpuset: 0-2,5", Tuning { cpuset: Some("0-2,5".into()), ..base() }),
        ("mem_reservation: 32m", Tuning { memory_reservation: Some(32 << 20), ..base() }),
        ("mem_swappiness: '0'", Tuning { swappiness: Some(0), ..base() }),
        ("memswap_limit: -1", Tuning { memory_swap: Some(-1), ..base() }),
        ("memswap_limit: '-1'", Tuning { memory_swap: Some(-1), ..base() }),
        ("mem_limit: 64m\nmemswap_limit: 1g", Tuning { memory_swap: Some(1 << 30), ..base() }),
        ("oom_kill_disable: 'yes'", Tuning { oom_kill_disable: Some(true), ..base() }),
        ("oom_score_adj: '500'", Tuning { oom_score_adj: Some(500), ..base() }),
        ("attach: false", base()),
    ]);
}

#[test]
fn lists_and_maps_of_the_rarer_keys() {
    let base = Tuning::default;
    let strings = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let device = |source: &str, target: &str, permissions: &str| Device {
        source: source.into(),
        target: target.into(),
        permissions: permissions.into(),
    };
    let gpus = |request| Tuning { device_requests: vec![request], ..base() };
    let gpu = DeviceRequest { count: Some(-1), capabilities: strings(&["gpu"]), ..DeviceRequest::default() };
    tuned(vec![
        ("annotations: {a.b: 1}", Tuning { annotations: map(&[("a.b", "1")]), ..base() }),
        ("annotations: [a.b=c=d]", Tuning { annotations: map(&[("a.b", "c=d")]), ..base() }),
        (
            "sysctls: {net.core.somaxconn: 1024}",
            Tuning { sysctls: map(&[("net.core.somaxconn", "1024")]), ..base() },
        ),
        (
            "sysctls: [net.core.somaxconn=1024]",
            Tuning { sysctls: map(&[("net.core.somaxconn", "1024")]), ..base() },
        ),
        ("storage_opt: {size: 1G}", Tuning { storage_opt: map(&[("size", "1G")]), ..base() }),
        (
            "logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}",
            Tuning {
                logging: Some(("json-file".into(), map(&[("max-file", "3"), ("max-size", "10m")]))),
                ..base()
            },
        ),
        ("logging: {driver: none}", Tuning { logging: Some(("none".into(), map(&[]))), ..base() }),
        ("group_add: [audio, 1000]", Tuning { groups: strings(&["audio", "1000"]), ..base() }),
        (
            "security_opt: [no-new-privileges, 'apparmor:unconfined', label=disable, 'seccomp={}']",
            Tuning {
                security_opt: strings(&[
                    "no-new-privileges",
                    "apparmor=unconfined",
                    "label=disable",
                    "seccomp={}",
                ]),
                ..base()
            },
        ),
        (
            "device_cgroup_rules: ['c 1:3 mr', 'a 7:* rmw']",
            Tuning { device_rules: strings(&["c 1:3 mr", "a 7:* rmw"]), ..base() },
        ),
        (
            "devices: [/dev/fuse, '/dev/a:/dev/b', '/dev/a:r', '/dev/a:/dev/b:rw', {source: /dev/a, target: /dev/c, permissions: m}, {source: /dev/a}]",
            Tuning {
                devices: vec![
                    device("/dev/fuse", "/dev/fuse", "rwm"),
                    device("/dev/a", "/dev/b", "rwm"),
                    device("/dev/a", "/dev/a", "r"),
                    device("/dev/a", "/dev/b", "rw"),
                    device("/dev/a", "/dev/c", "m"),
                    device("/dev/a", "/dev/a", "rwm"),
                ],
                ..base()
            },
        ),
        (
            "devices: [vendor.com/class=name]",
            gpus(DeviceRequest {
                driver: Some("cdi".into()),
                ids: strings(&["vendor.com/class=name"]),
                ..DeviceRequest::default()
            }),
        ),
        ("gpus: all", gpus(gpu.clone())),
        ("gpus: [{}]", gpus(gpu.clone())),
        (
            "gpus: [{driver: nvidia, count: 2, options: {a: b}}]",
            gpus(DeviceRequest {
                driver: Some("nvidia".into()),
                count: Some(2),
                options: map(&[("a", "b")]),
                ..gpu.clone()
            }),
        ),
        (
            "gpus: [{device_ids: ['0', '3'], capabilities: [utility]}]",
            gpus(DeviceRequest {
                ids: strings(&["0", "3"]),
                count: None,
                capabilities: strings(&["utility", "gpu"]),
                ..gpu.clone()
            }),
        ),
        ("deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: all}]}}}", gpus(gpu)),
        (
            "ulimits: {nofile: '1024', nproc: {soft: 5, hard: -1}, core: -1}",
            Tuning {
                ulimits: [("nofile", (1024, 1024)), ("nproc", (5, -1)), ("core", (-1, -1))]
                    .map(|(name, it)| (name.to_owned(), it))
                    .into(),
                ..base()
            },
        ),
        (
            "blkio_config: {weight: '300', weight_device: [{path: /dev/a, weight: 400}], device_read_bps: [{path: /dev/a, rate: 12mb}], device_write_bps: [{path: /dev/b, rate: 1024}], device_read_iops: [{path: /dev/a, rate: '120'}], device_write_iops: [{path: /dev/b, rate: 30}]}",
            Tuning {
                blkio: Blkio {
                    weight: Some(300),
                    weight_device: vec![("/dev/a".into(), 400)],
                    read_bps: vec![("/dev/a".into(), 12 << 20)],
                    write_bps: vec![("/dev/b".into(), 1024)],
                    read_iops: vec![("/dev/a".into(), 120)],
                    write_iops: vec![("/dev/b".into(), 30)],
                },
                ..base()
            },
        ),
        ("platform: linux/arm64/v8", Tuning { platform: Some("linux/arm64/v8".into()), ..base() }),
        ("runtime: runsc", Tuning { runtime: Some("runsc".into()), ..base() }),
        ("userns_mode: host", Tuning { userns_mode: Some("host".into()), ..base() }),
        ("pull_policy: always", Tuning { pull: Some(PullPolicy::Always), ..base() }),
        ("pull_policy: missing", Tuning { pull: Some(PullPolicy::Missing), ..base() }),
        ("pull_policy: if_not_present", Tuning { pull: Some(PullPolicy::Missing), ..base() }),
        ("pull_policy: never", Tuning { pull: Some(PullPolicy::Never), ..base() }),
    ]);
}

#[test]
fn limits_may_stand_under_deploy() {
    let keys = "pids_limit: 5\ndeploy: {resources: {limits: {cpus: '0.5', memory: 64m, pids: 5}, reservations: {memory: 32m}}}";
    let it = app(keys).container;
    assert_eq!((it.nano_cpus, it.memory_bytes, it.pids_limit), (Some(500_000_000), Some(64 << 20), Some(5)));
    assert_eq!(it.tuning.memory_reservation, Some(32 << 20));
}

#[test]
fn env_files_may_be_missing_where_they_are_not_required() {
    let environment =
        app("env_file: [{path: /one.env}, {path: /none.env, required: false}]").container.environment;
    assert_eq!(environment, variables(&[("A", Some("one")), ("B", Some("one")), ("C", Some("task's"))]));
}

#[test]
fn labels_of_a_file_count_less_than_labels() {
    let labels = app("label_file: /one.env\nlabels: {A: own}").container.labels;
    assert_eq!(labels, map(&[("A", "own"), ("B", "one"), ("C", "")]));
    assert_eq!(app("label_file: [/one.env, two.env]").container.labels["B"], "two");
}

#[test]
fn a_health_check_may_start_faster() {
    let check = app("healthcheck: {test: x, start_interval: 1s}").container.healthcheck;
    let Some(HealthCheck::Check { start_interval, .. }) = check else { panic!("a check") };
    assert_eq!(start_interval, Some(Duration::from_secs(1)));
}
