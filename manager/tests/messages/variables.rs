//! The variables of a Compose file and of its env files, value for value as compose-go, and what is said where one is not
//! set.
#![allow(clippy::unwrap_used)]

use definition::files::{FileFault, FileKind, Files};
use definition::labels::{Surroundings, read};
use pod::policy::{Host, Policy};
use pod::spec::{ComponentSpec, HealthCheck};
use pod::task_container::TaskContainer;

/// Files of the folder `/app`, by name.
struct World<'a>(&'a [(&'a str, &'a str)]);

impl Files for World<'_> {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        self.read(path).map(|_| FileKind::File)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        let found = self.0.iter().find(|(name, _)| path.strip_prefix("/app/") == Some(*name));
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or(FileFault::Missing)
    }
}

/// What the task container has in its environment.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "SET" => "task",
        "BOTH" => "the task's",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

type Pairs<'a> = &'a [(&'a str, &'a str)];
type Read = Result<(Vec<ComponentSpec>, Vec<String>), Vec<String>>;

fn read_labelled(labels: &[(&str, &str)], files: &[(&str, &str)]) -> Read {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let task = TaskContainer { name: "task".into(), labels, ..TaskContainer::default() };
    let around = Surroundings {
        task: &task,
        files: &World(files),
        environment: &environment,
        host: &Host::default(),
        share_volumes: false,
        policy: &Policy::everything(),
    };
    let (definition, warnings) =
        read(&around).map_err(|report| report.faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok((definition.components, warnings.iter().map(ToString::to_string).collect()))
}

fn read_files(files: &[(&str, &str)]) -> Read {
    read_labelled(&[("pod.compose.file", "/app/compose.yml")], files)
}

/// The components and the warnings of these services.
fn sound(services: &str, files: &[(&str, &str)]) -> (Vec<ComponentSpec>, Vec<String>) {
    let text = format!("services:\n{services}");
    let all: Vec<(&str, &str)> = [("compose.yml", &*text)].iter().chain(files).copied().collect();
    read_files(&all).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"))
}

/// The variables of a component, as `NAME=value`.
fn variables(component: &ComponentSpec) -> Vec<String> {
    let text = |(name, value): &(String, Option<String>)| format!("{name}={}", value.as_deref().unwrap());
    component.container.environment.iter().map(text).collect()
}

const LEFT_OUT: &str = "it is left out: set it in the task container's environment, or write `NAME=value`";

#[test]
fn a_variable_without_a_value_has_that_of_the_task_container_or_of_the_file_beside() {
    let env = ("more.env", "SET\nNONE # why\nFILE\nOWN\n");
    let unset = |place: &str, name: &str| {
        vec![format!("/app/compose.yml:{place}: the variable `{name}` has no value; {LEFT_OUT}")]
    };
    let cases: &[(&str, &[&str], Vec<String>)] = &[
        (
            "environment: [SET, FILE, BOTH, EMPTY, NONE, A=1]",
            &["SET=task", "FILE=file", "BOTH=the task's", "EMPTY=", "A=1"],
            unset("4:18: `services.a.environment`", "NONE"),
        ),
        (
            "environment: {SET: , NONE: ~, FILE: null, A: ''}",
            &["SET=task", "FILE=file", "A="],
            unset("4:18: `services.a.environment`", "NONE"),
        ),
        (
            "env_file: more.env",
            &["SET=task", "FILE=file"],
            vec![
                format!("/app/more.env:2:1: the variable has no value; {LEFT_OUT}"),
                format!("/app/more.env:4:1: the variable has no value; {LEFT_OUT}"),
            ],
        ),
        // Those of `environment` are variables of an env file too, and what stands there counts.
        (
            "env_file: more.env\n    environment: {NONE: 1, OWN: 2}",
            &["SET=task", "NONE=1", "FILE=file", "OWN=2"],
            vec![],
        ),
        // What is left out there is not taken from a file either.
        (
            "env_file: some.env\n    environment: [NONE]",
            &["A=1"],
            unset("5:18: `services.a.environment`", "NONE"),
        ),
        // A name without a value does not hide what an earlier file says.
        ("env_file: [some.env, again.env]", &["NONE=some", "A=1"], vec![]),
        ("env_file: [{path: raw.env, format: raw}]", &["SET=task", "A='$SET' \"x\" # y", "B=$$"], vec![]),
    ];
    for (keys, expected, warnings) in cases {
        let files = [
            (".env", "BOTH=file\nFILE=file\nSET\nNOBODY\n"),
            env,
            ("some.env", "NONE=some\nA=1\n"),
            ("again.env", "NONE\n"),
            ("raw.env", "SET\nA='$SET' \"x\" # y\nB=$$\n"),
        ];
        let (components, found) = sound(&format!("  a:\n    image: a\n    {keys}\n"), &files);
        assert_eq!(variables(&components[0]), *expected, "{keys}");
        assert_eq!(found, *warnings, "{keys}");
    }
}

#[test]
fn components_in_labels_take_variables_of_the_task_container_too() {
    let text = "image: a\nenvironment: [SET, NONE]\nenv_file: [/app/more.env]";
    let labels = [("pod.component.a", text), ("pod.init.components", "[{image: a, environment: [SET]}]")];
    let files = [(".env", "NONE=file\n"), ("more.env", "URL=http://$SET/${NONE:-none}\nBOTH\n")];
    let (components, warnings) = read_labelled(&labels, &files).unwrap();
    assert_eq!(variables(&components[0]), ["URL=http://task/none", "BOTH=the task's", "SET=task"]);
    let told = format!("pod.component.a:2:14: `environment`: the variable `NONE` has no value; {LEFT_OUT}");
    assert_eq!(warnings, [told]);
}

#[test]
fn values_of_env_files_are_interpolated_as_in_compose() {
    let env = "\
A=${SET}/a
B='${SET} $A'
C=\"$A \\$A $$A\" # $NO
D=$NONE-${NONE:-d}${EMPTY:-e}${EMPTY-f}
E=$(date) ^x$ $1
F=$OWN ${FILE}
SET=other
G=$SET$A
";
    let services = "  a: {image: a, env_file: [a.env, b.env], environment: {OWN: own, SET: mine}}\n";
    let files = [(".env", "FILE=file\n"), ("a.env", env), ("b.env", "H=$A $F\n")];
    let (components, warnings) = sound(services, &files);
    let expected = [
        "A=task/a",
        "B=${SET} $A",
        "C=task/a $A $A",
        "D=-de",
        "E=$(date) ^x$ $1",
        "F=own file",
        "SET=mine",
        "G=tasktask/a",
        "H=task/a own file",
        "OWN=own",
    ];
    assert_eq!(variables(&components[0]), expected);
    let told = "/app/a.env:4:1: a variable that the value names is not set; it counts as empty: set it in the task \
                container's environment, or write `$$` for a dollar sign, or single quotes around the value";
    assert_eq!(warnings, [told]);

    let env = "HUB=hub:5000\nIMG=${HUB}/a\nQUOTED='${HUB}'\nSET=file\nWHO=$SET\nGONE=x$GONE_TOO\n";
    let services = "  a: {image: '${IMG}', environment: {A: '$QUOTED $WHO ${GONE}'}}\n";
    let (components, warnings) = sound(services, &[(".env", env)]);
    assert_eq!(components[0].container.image, "hub:5000/a");
    assert_eq!(variables(&components[0]), ["A=${HUB} task x"]);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("/app/.env:6:1: a variable that the value names is not set;"),
        "{warnings:?}"
    );

    // Labels see labels alone.
    let services = "  a: {image: a, label_file: [a.env, b.env], labels: {own: $SET}}\n";
    let files = [("a.env", "a=1\nb=$a-${SET:-none}\nc='$a'\n"), ("b.env", "d=$b\nown=x\ne\n")];
    let (components, warnings) = sound(services, &files);
    let labels = &components[0].container.labels;
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(labels, ["a=1", "b=1-none", "c=$a", "d=1-none", "e=", "own=task"]);
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn a_variable_that_is_not_set_is_warned_of_once() {
    let services = "  a: {image: 'a${NONE}', labels: {a: '$NONE $OTHER', b: '${THIRD:-}${SET}${EMPTY}'}}\n  \
                    b: {image: b, environment: [NONE, 'A=$NONE'], env_file: a.env}\n  \
                    c: {image: c, environment: [NONE], profiles: [off]}\n  \
                    d: {image: d, environment: [NONE], env_file: a.env}\n";
    let (_, warnings) = sound(services, &[("a.env", "X=$NONE\nY=$LAST\nNONE\n")]);
    let remedy = "it counts as empty: set it in the task container's environment or in `.env` beside the file, or write \
                  a default such as `${NAME:-value}`";
    assert_eq!(
        warnings,
        [
            "/app/a.env:2:1: a variable that the value names is not set; it counts as empty: set it in the task \
             container's environment, or write `$$` for a dollar sign, or single quotes around the value",
            &format!("/app/compose.yml:2:14: `services.a.image`: the variable `NONE` is not set; {remedy}"),
            &format!(
                "/app/compose.yml:2:38: `services.a.labels.a`: the variable `OTHER` is not set; {remedy}"
            ),
            &format!(
                "/app/compose.yml:3:30: `services.b.environment`: the variable `NONE` has no value; {LEFT_OUT}"
            ),
        ]
    );
}

#[test]
fn the_name_of_the_project_is_a_variable() {
    let compose = |name: &str| {
        format!("{name}\nservices: {{a: {{image: a, environment: {{P: $COMPOSE_PROJECT_NAME}}}}}}")
    };
    let stack = ("com.docker.stack.namespace", "shop");
    let project = ("com.docker.compose.project", "project");
    let cases: &[(&str, &str, Pairs<'_>, &str)] = &[
        ("name: mine", "", &[stack, project], "mine"),
        ("name: _My Shop.$SET", "", &[stack], "myshoptask"),
        ("name: ${NO:-}", "", &[stack], "shop"),
        ("name: 5", "", &[], "5"),
        ("", "", &[stack, project], "shop"),
        ("", "", &[project], "project"),
        ("", "", &[], "app"),
        ("name: mine", "COMPOSE_PROJECT_NAME=own\n", &[stack], "own"),
        ("name: mine", "COMPOSE_PROJECT_NAME=\n", &[stack], "mine"),
        ("name: a\n---\nname: b\n---", "", &[], "b"),
    ];
    for (name, env, labels, expected) in cases {
        let labels: Vec<_> =
            labels.iter().copied().chain([("pod.compose.file", "/app/compose.yml")]).collect();
        let text = compose(name);
        let (components, warnings) =
            read_labelled(&labels, &[("compose.yml", &text), (".env", env)]).unwrap();
        assert_eq!(variables(&components[0]), [format!("P={expected}")], "{text}");
        assert_eq!(warnings, [""; 0], "{text}");
    }
}

#[test]
fn what_an_unset_variable_leaves_empty_is_absent_where_compose_takes_it_so() {
    let keys =
        ["cpuset", "platform", "restart", "runtime", "stop_signal", "user", "userns_mode", "working_dir"];
    let empty: String = keys.iter().map(|key| format!("    {key}: ${{NONE}}\n")).collect();
    let (components, warnings) = sound(&format!("  a:\n    image: a\n{empty}"), &[]);
    assert_eq!(components, sound("  a:\n    image: a\n", &[]).0);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    // Also where it stands deeper.
    let deep = |steps: &str, files: &str| {
        let services = format!(
            "  a:\n    image: a\n    pre_start: [{{command: x{steps}}}]\n    post_start: [{{command: x}}]\n    configs: \
             [{{source: c{files}}}]\n    secrets: [{{source: s{files}}}]\nconfigs: {{c: {{content: x}}}}\nsecrets: {{s: \
             {{environment: SET}}}}\n"
        );
        sound(&services, &[]).0
    };
    let empty = |keys: &[&str]| keys.iter().map(|key| format!(", {key}: '${{NONE}}'")).collect::<String>();
    let steps = empty(&["image", "user", "working_dir"]);
    assert_eq!(deep(&steps, &empty(&["target", "uid", "gid"])), deep("", ""));
    let text = "services: {a: {image: a, secrets: [{source: s, mode: '$NONE'}]}}\nsecrets: {s: {environment: SET}}\n";
    assert_eq!(
        read_files(&[("compose.yml", text)]).unwrap_err(),
        [
            "/app/compose.yml:1:54: `services.a.secrets[0].mode`: found an empty string; valid is an octal number such as `0755` or `\"1777\"`"
        ]
    );
    // It is a fault where Compose has one too.
    let faults =
        read_files(&[("compose.yml", "services: {a: {image: '$NONE', mem_limit: '$NONE'}}")]).unwrap_err();
    assert_eq!(
        faults,
        [
            "/app/compose.yml:1:23: `services.a.image`: found an empty string; valid is the name of an image such as `nginx:1.27`",
            "/app/compose.yml:1:43: `services.a.mem_limit`: found an empty string; valid is a size such as `64m`, `1.5g` or a number of bytes",
        ]
    );
}

#[test]
fn a_dollar_sign_before_neither_a_name_nor_a_brace_is_itself() {
    let services = "  a: {image: a, command: [sh, -c, 'echo $(date) $1 $$SET $SET$'], labels: {a: '^x$'}}\n";
    let (components, warnings) = sound(services, &[]);
    let container = &components[0].container;
    assert_eq!(container.command.as_ref().unwrap()[2], "echo $(date) $1 $SET task$");
    assert_eq!((container.labels["a"].as_str(), warnings), ("^x$", vec![]));
}

/// A file of several documents, and one document that says the same.
#[rustfmt::skip]
const DOCUMENTS: &[(&str, &str)] = &[
    ("services: {a: {image: a, tty: true}}\n---\nservices: {a: {image: b}}", "services: {a: {image: b, tty: true}}"),
    ("services: {a: {image: a}}\n---\nservices: {b: {image: b}}\n---\n", "services: {a: {image: a}, b: {image: b}}"),
    ("services: {a: {image: a, command: [x], environment: {A: 1, B: 1}}}\n---\nservices: {a: {command: , environment: [B=2]}}", "services: {a: {image: a, environment: {A: 1, B: 2}}}"),
    ("services: {a: {image: a, tmpfs: [/a]}}\n---\nservices: {a: {tmpfs: [/b]}}", "services: {a: {image: a, tmpfs: [/a, /b]}}"),
    ("services: {a: {image: a, tmpfs: [/a], user: x}}\n---\nservices: {a: {tmpfs: !override [/b], user: !reset null}}", "services: {a: {image: a, tmpfs: [/b]}}"),
    ("services: {a: {image: a, depends_on: [b, c]}, b: {image: b}, c: {image: c}}\n---\nservices: {a: {depends_on: {b: !reset null}}}", "services: {a: {image: a, depends_on: [c]}, b: {image: b}, c: {image: c}}"),
    ("services: {a: {image: a, environment: [A=1, B=2]}}\n---\nservices: {a: {environment: {A: !reset null}}}", "services: {a: {image: a, environment: [B=2]}}"),
    ("services: {a: {image: a}, b: {image: b, user: x}}\n---\nservices: {a: !reset null, b: !override {image: c}}", "services: {b: {image: c}}"),
    ("services: {a: {image: a}}\n---\nservices: !override {b: {image: b}}", "services: {b: {image: b}}"),
    ("services: {a: {image: a}}\n---\nservices:\n---\nservices: {a: }", "services: {a: {image: a}}"),
    // What is extended is in the same document, as it is there.
    ("services: {a: {image: a, user: x}, b: {extends: a}}\n---\nservices: {a: {user: y}}", "services: {a: {image: a, user: y}, b: {image: a, user: x}}"),
    ("services: {b: {image: b, tty: true}}\n---\nservices: {a: {image: a, user: x}, b: {extends: a, image: c}}", "services: {a: {image: a, user: x}, b: {image: c, user: x, tty: true}}"),
    // Names that are keys of services too.
    ("services: {command: {image: a, tty: true}, test: {image: t, tty: true}}\n---\nservices: {command: {image: b}, test: {image: u}}", "services: {command: {image: b, tty: true}, test: {image: u, tty: true}}"),
    ("x-tandem: {stop_grace_period: 5s, scratch: [a]}\nservices: {a: {image: a}}\n---\nx-tandem: {scratch: [b]}", "x-tandem: {stop_grace_period: 5s, scratch: [a, b]}\nservices: {a: {image: a}}"),
    ("configs: {command: {content: a}}\nservices: {a: {image: a, configs: [command]}}\n---\nconfigs: {command: {content: b}}", "configs: {command: {content: b}}\nservices: {a: {image: a, configs: [command]}}"),
    ("services: {a: &a {image: a, user: x}, b: *a}\n---\nservices: {c: &a {image: c}, d: *a}", "services: {a: {image: a, user: x}, b: {image: a, user: x}, c: {image: c}, d: {image: c}}"),
];

#[test]
fn several_documents_in_a_file_are_merged_as_compose_merges_them() {
    for (several, one) in DOCUMENTS {
        let read = |text: &str| {
            read_files(&[("compose.yml", text)]).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"))
        };
        assert_eq!(read(several), read(one), "{several}");
    }
    let many = "services: {a: {image: a}}\n---\n".repeat(32);
    assert!(read_files(&[("compose.yml", &many)]).is_ok());
    let faults = read_files(&[("compose.yml", &format!("{many}x-a: b"))]).unwrap_err();
    assert_eq!(faults, ["/app/compose.yml: the file has 33 YAML documents; valid are up to 32"]);
}

#[test]
fn services_that_begin_with_x_are_services() {
    let (components, warnings) =
        sound("  x-a: {image: a}\n  b: {image: b, depends_on: [x-a]}\n  c: {extends: x-a}\n", &[]);
    let names: Vec<&str> = components.iter().map(|component| &*component.name).collect();
    assert_eq!((names, warnings), (vec!["b", "c", "x-a"], vec![]));
}

#[test]
fn a_dependency_that_is_not_required_is_dropped_where_its_profile_is_not_active() {
    let services = "  a: {image: a, depends_on: {b: {condition: service_healthy, required: false}}}\n  \
                    b: {image: b, profiles: [off]}\n";
    let (components, warnings) = sound(services, &[]);
    assert_eq!((components.len(), &*components[0].depends_on, warnings), (1, &[][..], vec![]));
}

#[test]
fn numbers_and_times_are_those_of_compose() {
    let services = "  a: {image: a, mem_limit: 1.5e9, shm_size: '1e8', healthcheck: {interval: 1d, timeout: 1w, \
                    start_period: 1d12h, retries: 3.0}}\n";
    let (components, warnings) = sound(services, &[]);
    let container = &components[0].container;
    assert_eq!((container.memory_bytes, container.shm_size_bytes), (Some(1_500_000_000), Some(100_000_000)));
    let Some(HealthCheck::Check { interval, timeout, start_period, retries, .. }) = &container.healthcheck
    else {
        panic!("a check")
    };
    let hours = [interval, timeout, start_period].map(|time| time.unwrap().as_secs() / 3600);
    assert_eq!((hours, *retries, warnings), ([24, 168, 36], Some(3), vec![]));
}

#[test]
fn a_variable_that_stands_very_often_is_bounded() {
    let big = "x".repeat(100 << 10);
    let env = |text: &str| format!("BIG={big}\n{text}");
    let many = "N=$BIG\n".repeat(100);
    let doubled: String = (0..40).map(|number| format!("A{}=$A{number}$A{number}\n", number + 1)).collect();
    let doubled = format!("A0=0123456789\n{doubled}");
    let services = "  a: {image: a, env_file: a.env}\n";
    let inherits: String =
        (0..100).map(|number| format!("  a{number}: {{image: a, environment: [BIG]}}\n")).collect();
    let whole = "the definition is too large with its aliases, variables, `extends`, env files and `pre_start` in place; \
                 valid are up to 4 MiB in all";
    let values = "the values of its variables make the text too large; valid are up to 4194304 bytes";
    for (services, env_file, beside, told) in [
        (services, env(&many), String::new(), values),
        (services, doubled.clone(), String::new(), values),
        (services, String::new(), doubled, values),
        (&inherits, String::new(), env(""), whole),
    ] {
        let text = format!("services:\n{services}");
        let files = [("compose.yml", &*text), ("a.env", &*env_file), (".env", &*beside)];
        let faults = read_files(&files).unwrap_err();
        assert!(faults.iter().any(|fault| fault.contains(told)), "{faults:?}");
        assert!(!format!("{faults:?}").contains("0123456789"));
    }
}
