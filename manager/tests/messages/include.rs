//! `include` and `extends.file`: what several Compose files mean together, and the exact words about what they cannot mean.

use std::collections::BTreeMap;

use definition::diagnostic::DiagnosticReport;
use definition::files::{FileFault, FileKind, Files};
use definition::labels::{Surroundings, read};
use pod::policy::manager_files::ManagerFiles;
use pod::policy::{Host, Policy};
use pod::spec::Definition;
use pod::task_container::{TaskContainer, TaskMount};

use crate::told;

/// Files of the task container.
struct World<'a>(BTreeMap<&'a str, &'a str>);

impl Files for World<'_> {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        match path {
            "/app/folder" => Ok(FileKind::Folder),
            _ => self.read(path).map(|_| FileKind::File),
        }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        match path {
            "/app/folder" => Err(FileFault::NotAFile),
            "/app/bytes.yml" => Ok(vec![0xff]),
            "/app/large.yml" => Err(FileFault::TooLarge),
            "/app/away.yml" => Err(FileFault::NotAvailable),
            _ => self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or(FileFault::Missing),
        }
    }
}

/// The definition of `/app/compose.yml` among these files, with its warnings.
fn defined(files: &[(&str, &str)]) -> Result<(Definition, Vec<String>), DiagnosticReport> {
    with_labels(files, &[])
}

fn with_labels(
    files: &[(&str, &str)],
    labels: &[(&str, &str)],
) -> Result<(Definition, Vec<String>), DiagnosticReport> {
    let labels = labels.iter().chain(&[("pod.compose.file", "/app/compose.yml")]);
    let socket = TaskMount {
        kind: "bind".into(),
        source: "/certs".into(),
        target: "/certs".into(),
        ..TaskMount::default()
    };
    let task = TaskContainer {
        name: "task".into(),
        labels: labels.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        mounts: vec![socket],
        ..TaskContainer::default()
    };
    let key = pod::policy::manager_files::certificates("/certs");
    let host = Host { manager: ManagerFiles::of(&task, key), ..Host::default() };
    let around = Surroundings {
        task: &task,
        files: &World(files.iter().copied().collect()),
        environment: &|name| (name == "OUTER").then(|| "environment".to_owned()),
        host: &host,
        share_volumes: false,
        policy: &Policy::default(),
    };
    let (definition, warnings) = read(&around)?;
    Ok((definition, warnings.iter().map(ToString::to_string).collect()))
}

/// These files are the pod that the one file with this text is.
#[track_caller]
fn same(files: &[(&str, &str)], one: &str) {
    let all: Vec<_> = files.iter().copied().chain(ENV_FILES.iter().copied()).collect();
    let several = defined(&all).unwrap_or_else(|report| panic!("{report}"));
    let others = ENV_FILES.iter().copied().chain([("/app/compose.yml", one)]);
    let one = defined(&others.collect::<Vec<_>>()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(format!("{:#?}", several.0), format!("{:#?}", one.0));
    assert_eq!(several.1, one.1);
}

const ENV_FILES: &[(&str, &str)] = &[
    ("/app/a.env", "FROM=app\n"),
    ("/app/db/a.env", "FROM=db\n"),
    ("/app/db/key.pem", "key"),
    ("/app/7", "FROM=7\n"),
    ("/srv/a.env", "FROM=srv\n"),
];

#[test]
fn a_service_extends_one_of_another_file() {
    same(
        &[
            (
                "/app/compose.yml",
                "services:\n  web:\n    extends: {file: db/base.yml, service: base}\n    user: a\n    env_file: a.env\n  \
                 side: {extends: {file: ./db/../db/base.yml, service: lean}}\n",
            ),
            ("/app/.env", "TAG=7\n"),
            // Of such a file nothing else counts.
            (
                "/app/db/base.yml",
                "include: [none.yml]\nvolumes: {v: {}}\nservices:\n  lean: {image: 'base:${TAG}'}\n  base:\n    \
                 extends: {service: lean}\n    tty: true\n    env_file: [a.env, {path: ./a.env, required: false}]\n    \
                 labels: {a: b}\n    user: b\n    cap_drop: [ALL]\n  other: {imag: x}\n",
            ),
        ],
        "services:\n  web:\n    image: base:7\n    tty: true\n    env_file: [/app/db/a.env, /app/a.env]\n    labels: {a: b}\n    \
         user: a\n    cap_drop: [ALL]\n  side: {image: 'base:7'}\n",
    );
}

#[test]
fn a_file_may_have_a_number_for_its_name() {
    same(
        &[(
            "/app/compose.yml",
            "services: {a: {image: a, env_file: 7}, b: {image: b, env_file: [{path: 7}]}}\n",
        )],
        "services: {a: {image: a, env_file: /app/7}, b: {image: b, env_file: ./7}}\n",
    );
}

#[test]
fn files_are_extended_in_a_row_and_a_file_may_name_itself() {
    same(
        &[
            (
                "/app/compose.yml",
                "services:\n  one: {image: one, tty: true}\n  web: {extends: {file: compose.yml, service: one}}\n  \
                 far: {extends: {file: db/base.yml, service: base}}\n  \
                 again: {extends: {file: db/base.yml, service: base}, profiles: !reset []}\n",
            ),
            (
                "/app/db/base.yml",
                "services:\n  base: {extends: {file: ../far.yml, service: base}, user: a}\n",
            ),
            ("/app/far.yml", "services:\n  base: {image: far, env_file: db/a.env}\n"),
        ],
        "services:\n  one: {image: one, tty: true}\n  web: {image: one, tty: true}\n  \
         far: {image: far, user: a, env_file: db/a.env}\n  again: {image: far, user: a, env_file: db/a.env}\n",
    );
}

#[test]
fn an_included_project_has_its_own_folder_and_its_own_defaults() {
    same(
        &[
            (
                "/app/compose.yml",
                "include: [db/compose.yml]\nservices:\n  web: {image: web, depends_on: [db], volumes: ['data:/d'], secrets: [key]}\n",
            ),
            ("/app/.env", "BOTH=app\n"),
            ("/app/db/.env", "OUTER=file\nBOTH=db\nOWN=db\n"),
            (
                "/app/db/compose.yml",
                "name: other\nversion: '3'\nservices:\n  db:\n    image: db:$OUTER-$BOTH-$OWN\n    env_file: a.env\n    \
                 label_file: ./a.env\n    configs: [conf]\n  off: {image: off, profiles: [none]}\nvolumes: {data: {name: full}}\n\
                 secrets: {key: {file: ./key.pem}}\nconfigs: {conf: {content: 'is $OWN'}}\nnetworks: {n: {}}\n",
            ),
        ],
        "services:\n  web: {image: web, depends_on: [db], volumes: ['data:/d'], secrets: [key]}\n  \
         db: {image: 'db:environment-app-db', env_file: db/a.env, label_file: db/a.env, configs: [conf]}\n\
         volumes: {data: {name: full}}\nsecrets: {key: {file: db/key.pem}}\nconfigs: {conf: {content: is db}}\n",
    );
}

#[test]
fn an_include_in_the_long_form_has_several_files_a_folder_and_env_files() {
    same(
        &[
            (
                "/app/compose.yml",
                "include:\n- path: [db/compose.yml, db/more.yml]\n  project_directory: ../srv\n  env_file: [one.env, /app/two.env]\n\
                 - {path: db/plain.yml, env_file: /dev/null}\n- {path: '$WHERE/last.yml', env_file: [], project_directory: ''}\n",
            ),
            ("/app/.env", "WHERE=db\n"),
            ("/app/one.env", "A=one\nB=one\n"),
            ("/app/two.env", "B=two\n"),
            ("/app/db/.env", "A=never\nC=last\n"),
            ("/srv/.env", "C=never\n"),
            (
                "/app/db/compose.yml",
                "services:\n  db: {image: 'db:$A-$B', env_file: a.env, tty: true, user: a}\n",
            ),
            ("/app/db/more.yml", "services:\n  db: {user: b, tty: !reset null}\n  more: {image: more}\n"),
            ("/app/db/plain.yml", "services:\n  plain: {image: 'plain:${A-none}', env_file: a.env}\n"),
            ("/app/db/last.yml", "services:\n  last: {image: 'last:$C'}\n"),
        ],
        "services:\n  db: {image: 'db:one-two', env_file: /srv/a.env, user: b}\n  more: {image: more}\n  \
         plain: {image: 'plain:none', env_file: db/a.env}\n  last: {image: 'last:last'}\n",
    );
}

#[test]
fn includes_are_nested_and_what_includes_counts_more() {
    same(
        &[
            (
                "/app/compose.yml",
                "include: [db/compose.yml, other.yml]\nservices:\n  db: {user: main, environment: {A: main}}\n  \
                 heir: {extends: db, command: [a]}\nvolumes: {data: {name: main}}\n",
            ),
            (
                "/app/db/compose.yml",
                "include: [../deep.yml]\nservices:\n  db: {image: db, user: db, environment: [A=db, B=db], extends: {file: base.yml, service: b}}\n\
                 volumes: {data: {name: db}}\n",
            ),
            ("/app/db/base.yml", "services: {b: {env_file: a.env, image: never}}\n"),
            (
                "/app/deep.yml",
                "services: {deep: {image: deep, volumes: ['data:/d']}, db: {tty: true, user: deep}}\n",
            ),
            (
                "/app/other.yml",
                "include: [deep.yml]\nservices: {db: {user: other, init: true}}\nvolumes: {data: {name: other}}\n",
            ),
        ],
        "services:\n  db: &db {image: db, user: main, environment: {A: main, B: db}, env_file: db/a.env, tty: true, init: true}\n  \
         heir: {<<: *db, command: [a]}\n  deep: {image: deep, volumes: ['data:/d']}\nvolumes: {data: {name: main}}\n",
    );
}

#[test]
fn a_pod_may_be_what_is_included_and_nothing_else() {
    let files = [
        ("/app/compose.yml", "include: [db/compose.yml]\n"),
        ("/app/db/compose.yml", "services: {db: {image: db}}\nx-tandem: {stop_grace_period: 20s}\n"),
    ];
    let (definition, warnings) = defined(&files).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!((definition.components.len(), definition.stop_timeout), (1, None));
    assert_eq!(
        warnings,
        [
            "/app/db/compose.yml:2:1: `x-tandem`: has no effect in a file that another one includes; write it into the file that `pod.compose.file` names"
        ]
    );
}

#[test]
fn files_of_several_documents_include_and_are_included_and_extended() {
    same(
        &[
            (
                "/app/compose.yml",
                "include: [one.yml]\nservices:\n  web: {image: web, extends: {service: base}, tmpfs: [/a]}\n  base: {user: a}\n\
                 ---\ninclude: [db/two.yml]\nservices:\n  web: {tmpfs: [/b], depends_on: [two]}\n  base: {image: base, user: b}\n  \
                 heir: {extends: two, command: [a]}\n  all: {extends: {file: compose.yml, service: web}, depends_on: !reset []}\n",
            ),
            ("/app/one.yml", "services: {x-one: {image: one, extends: }}\nvolumes: {v: {name: one}}\n"),
            (
                "/app/db/two.yml",
                "services: {two: {image: two, user: a}}\n---\nservices: {two: {user: !reset null, env_file: a.env, extends: {file: more.yml, service: more}}}\nvolumes: {v: {name: two}}\n",
            ),
            // Merged first, extended then.
            (
                "/app/db/more.yml",
                "services: {more: {extends: less, tty: true}, less: {cap_drop: [CHOWN]}}\n---\nservices: {less: {cap_drop: [KILL]}}\n",
            ),
        ],
        "services:\n  web: {image: web, user: a, tmpfs: [/a, /b], depends_on: [two]}\n  base: {image: base, user: b}\n  \
         two: &two {image: two, env_file: db/a.env, tty: true, cap_drop: [CHOWN, KILL]}\n  heir: {<<: *two, command: [a]}\n  \
         x-one: {image: one}\n  all: {image: web, user: b, tmpfs: [/a, /b]}\nvolumes: {v: {name: one}}\n",
    );
}

#[test]
fn tags_of_a_later_file_hold_over_the_files_before_it_in_whichever_document_they_stand() {
    let first = "services:\n  db: {image: db, tty: true, user: a, cap_drop: [CHOWN], labels: {a: a, b: b}, tmpfs: [/a]}\n  \
                 gone: {image: gone, user: a}\n  new: {image: gone, user: a}\n  kept: {image: kept}\n";
    let tags = "services:\n  db: {tty: !reset null, cap_drop: !override [KILL], labels: {a: !reset null, c: c}}\n  \
                gone: !reset null\n  new: !override {image: new}\n";
    let more = "services:\n  db: {user: b, tmpfs: [/b]}\n";
    let want = "services:\n  db: {image: db, user: b, cap_drop: [KILL], labels: {b: b, c: c}, tmpfs: [/a, /b]}\n  \
                new: {image: new}\n  kept: {image: kept}\n";
    let (one, other) = (format!("{tags}---\n{more}"), format!("{more}---\n{tags}"));
    let compose = ("/app/compose.yml", "include: [{path: [a.yml, b.yml, c.yml]}]\n");
    for (middle, last) in [(one.as_str(), "x-a: b\n"), (&other, "x-a: b\n"), (more, tags), (tags, more)] {
        same(&[compose, ("/app/a.yml", first), ("/app/b.yml", middle), ("/app/c.yml", last)], want);
    }
    for whole in [
        "services: !override {db: {image: db}}\n",
        "services: !reset null\n---\nservices: {db: {image: db}}\n",
    ] {
        let last = format!("{whole}---\nvolumes: {{v: {{name: full}}}}\n");
        let files = [compose, ("/app/a.yml", first), ("/app/b.yml", more), ("/app/c.yml", &last)];
        same(&files, "services: {db: {image: db}}\nvolumes: {v: {name: full}}\n");
    }
}

#[test]
fn a_tag_in_a_file_that_is_extended_holds_over_what_its_service_extends() {
    same(
        &[
            ("/app/compose.yml", "services: {web: {extends: {file: base.yml, service: base}}}\n"),
            (
                "/app/base.yml",
                "services:\n  base: {extends: lean, tty: !reset null, cap_drop: !override [KILL]}\n  \
                 lean: {image: lean, tty: true, cap_drop: [CHOWN]}\n",
            ),
        ],
        "services: {web: {image: lean, cap_drop: [KILL]}}\n",
    );
}

#[test]
fn variables_of_included_files_are_as_complete_as_those_of_the_first() {
    same(
        &[
            (
                "/app/compose.yml",
                "name: Mine\ninclude:\n- db/compose.yml\n- {path: db/more.yml, env_file: [one.env, two.env]}\n\
                 services: {web: {image: web, environment: [ONLY=web]}}\n",
            ),
            ("/app/.env", "BOTH=app\n"),
            ("/app/one.env", "A=one$BOTH\nOUTER=never\n"),
            ("/app/two.env", "B=$A-$OUTER-'$A'\nOUTER\nC='$A'\n"),
            ("/app/db/.env", "ONLY=db\nOUTER=never\nBOTH=never\n"),
            (
                "/app/db/compose.yml",
                "name: other\nservices:\n  db: {image: 'db:$COMPOSE_PROJECT_NAME', environment: [ONLY, OUTER, BOTH, X=$ONLY]}\n  \
                 map: {image: map, environment: {ONLY: , OUTER: , BOTH: }}\n",
            ),
            ("/app/db/more.yml", "services: {more: {image: '$B', labels: {c: $C}}}\n"),
        ],
        "services:\n  web: {image: web, environment: [ONLY=web]}\n  \
         db: {image: 'db:mine', environment: [ONLY=db, OUTER=environment, BOTH=app, X=db]}\n  \
         map: {image: map, environment: {ONLY: db, OUTER: environment, BOTH: app}}\n  \
         more: {image: 'oneapp-environment-''oneapp''', labels: {c: $$A}}\n",
    );
}

#[test]
fn a_variable_that_is_not_set_is_told_once_in_all_files() {
    let files = [
        (
            "/app/compose.yml",
            "include: [db/compose.yml, db/set.yml]\nservices: {web: {image: web, labels: {a: $LACKING}}}\n",
        ),
        ("/app/db/compose.yml", "services: {db: {image: db, labels: {a: $LACKING}}}\n---\nx-a: $LACKING\n"),
        ("/app/db/set.yml", "services: {set: {image: set, extends: {file: base.yml, service: b}}}\n"),
        ("/app/db/base.yml", "services: {b: {labels: {a: '$LACKING${OTHER:-}'}}}\n"),
    ];
    let (_, warnings) = defined(&files).unwrap_or_else(|report| panic!("{report}"));
    let told = |warning: &String| warning.contains("the variable `LACKING` is not set");
    assert_eq!(
        (warnings.len(), warnings.iter().filter(|warning| told(warning)).count()),
        (1, 1),
        "{warnings:?}"
    );
}

#[test]
fn a_value_of_a_main_file_that_may_be_something_else_is_not_repeated() {
    for (text, told) in [
        ("a: ${hunter2", "1:1: found a mapping; valid is a Compose file with `services`"),
        (
            "password: {a: $hunter2}\nb: hunter2",
            "1:1: found a mapping; valid is a Compose file with `services`",
        ),
        (
            "name: ${hunter2",
            "1:7: `name`: found `${` without its closing brace; valid is one such as `${NAME:-default}`",
        ),
    ] {
        let Err(report) = defined(&[("/app/compose.yml", text)]) else { panic!("{text}") };
        let report = report.to_string();
        assert!(report.contains(told) && !report.contains("hunter"), "{report}");
    }
    let files = [
        ("/app/compose.yml", "include: [b.yml]\nservices: {a: {image: a}}\n"),
        ("/app/b.yml", "x-a: pass$hunter2\nvolumes: {data: }\n"),
    ];
    let (_, warnings) = defined(&files).unwrap_or_else(|report| panic!("{report}"));
    assert!(warnings[0].contains("a variable is not set") && !warnings[0].contains("hunter"), "{warnings:?}");
}

#[test]
fn paths_that_are_looked_at_are_counted_as_those_that_are_read() {
    let names = |count: usize| (0..count).map(|number| format!("{number}.env")).collect::<Vec<_>>();
    let report = |count: usize| {
        let names = names(count);
        let include = format!(
            "include: [{{path: a.yml, env_file: [{}]}}]\nservices: {{a: {{image: a}}}}\n",
            names.join(", ")
        );
        let Err(report) = defined(&[("/app/compose.yml", &include), ("/app/a.yml", "services: {}")]) else {
            panic!("no file is there")
        };
        report
    };
    // `.env` beside the file is one of them.
    let count = |report: &DiagnosticReport| report.faults.len() + report.omitted;
    let fits = report(999);
    assert_eq!(count(&fits), 999);
    assert!(!format!("{fits:?}").contains("one file more"));
    assert_eq!(count(&report(1000)), 1000);
    assert_eq!(count(&report(5000)), 1000, "one is told of all that are too many");
    // Those of `.env` are told too: one of them may be there.
    let files: Vec<(String, &str)> =
        (0..999).map(|number| (format!("/app/{number}/a.yml"), "services: {}")).collect();
    let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let main =
        format!("include: [{}]\nservices: {{a: {{image: a, secrets: [/app/none]}}}}\n", paths.join(", "));
    let all: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), *text))
        .chain([("/app/compose.yml", main.as_str())])
        .collect();
    let Err(report) = defined(&all) else { panic!("a path too many") };
    let words = "`/app/none` is one file more than the 1000 that a definition may name";
    assert!(report.to_string().contains(words), "{report}");
}

type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("files that cannot be read", &[
        ("/app/compose.yml", "include: [none.yml, folder, bytes.yml, large.yml, /proc/self/environ, /certs/key.pem, ../certs/key.pem]\nservices:\n  a: {image: a, extends: {file: none.yml, service: a}}\n  b: {extends: {file: /certs/key.pem, service: a}}\n  c: {extends: {file: /certs, service: a}}\n"),
    ], &[
        "/app/compose.yml:1:11: `include[0]`: `/app/none.yml` does not exist in the task container; valid is the path of a Compose file in the task container",
        "/app/compose.yml:1:21: `include[1]`: `/app/folder` is not a regular file; valid is the path of a Compose file in the task container",
        "/app/compose.yml:1:29: `include[2]`: `/app/bytes.yml` is not UTF-8 text; valid is the path of a Compose file in the task container",
        "/app/compose.yml:1:40: `include[3]`: `/app/large.yml` is larger than 1 MiB; valid is the path of a Compose file in the task container",
        "/app/compose.yml:1:51: `include[4]`: `/proc/self/environ` is in a folder of the kernel, in which no component has a file; valid is the path of a Compose file in the task container",
        "/app/compose.yml:1:71: `include[5]`: `/certs/key.pem` is, contains or lies in the manager's certificates for the engine (`DOCKER_CERT_PATH`), which no component may have; valid is the path of a Compose file in the task container",
        "/app/compose.yml:1:87: `include[6]`: `/certs/key.pem` is, contains or lies in the manager's certificates for the engine (`DOCKER_CERT_PATH`), which no component may have; valid is the path of a Compose file in the task container",
        "/app/compose.yml:3:33: `services.a.extends.file`: `/app/none.yml` does not exist in the task container; valid is the path of a Compose file in the task container",
        "/app/compose.yml:4:23: `services.b.extends.file`: `/certs/key.pem` is, contains or lies in the manager's certificates for the engine (`DOCKER_CERT_PATH`), which no component may have; valid is the path of a Compose file in the task container",
        "/app/compose.yml:5:23: `services.c.extends.file`: `/certs` is, contains or lies in the manager's certificates for the engine (`DOCKER_CERT_PATH`), which no component may have; valid is the path of a Compose file in the task container",
    ]),
    ("a file that is not at hand", &[
        ("/app/compose.yml", "include: [away.yml]\nservices: {a: {image: a}}\n"),
    ], &["/app/compose.yml:1:11: `include[0]`: `/app/away.yml` is not at hand; put it where the check finds it: in the folder of the Compose file, or below"]),
    ("files of other machines, whose names may hold a password", &[
        ("/app/compose.yml", "include: ['https://me:hunter2@example.com/a.git', 'git@example.com:a/b.git', {path: 'oci://example.com/a:1'}]\nservices:\n  a: {image: a, extends: {file: 'https://hunter2@example.com', service: a}}\n"),
    ], &[
        "/app/compose.yml:1:11: `include[0]`: found a file of another machine (`https`); write a path in the task container; a Swarm config can put the file there",
        "/app/compose.yml:1:51: `include[1]`: found a file of another machine (`git`); write a path in the task container; a Swarm config can put the file there",
        "/app/compose.yml:1:85: `include[2].path`: found a file of another machine (`oci`); write a path in the task container; a Swarm config can put the file there",
        "/app/compose.yml:3:33: `services.a.extends.file`: found a file of another machine (`https`); write a path in the task container; a Swarm config can put the file there",
    ]),
    ("forms that are none", &[
        ("/app/compose.yml", "include:\n- {pth: a.yml}\n- {env_file: a.env}\n- [a.yml]\n- ''\n- {path: [], project_directory: [a]}\n- {path: [a.yml, {}], env_file: {}}\n- {path: , env_file: [none.env]}\nservices: {a: {image: a, extends: {file: , service: b}}, b: {image: b, extends: {file: [a], service: b}}}\n"),
    ], &[
        "/app/compose.yml:2:4: `include[0].pth`: this key is unknown; did you mean `path`?",
        "/app/compose.yml:3:3: `include[1]`: `path` is missing; valid is the path of a Compose file in the task container",
        "/app/compose.yml:4:3: `include[2]`: found a list; valid is the path of a Compose file in the task container",
        "/app/compose.yml:5:3: `include[3]`: found an empty string; valid is the path of a Compose file in the task container",
        "/app/compose.yml:6:10: `include[4].path`: found a list; valid is the path of a Compose file in the task container, or a list of them",
        "/app/compose.yml:6:33: `include[4].project_directory`: found a list; valid is a folder of the task container",
        "/app/compose.yml:7:18: `include[5].path[1]`: found a mapping; valid is the path of a Compose file in the task container",
        "/app/compose.yml:7:33: `include[5].env_file`: found a mapping; valid is the path of a file in the task container, or a list of them",
        "/app/compose.yml:8:3: `include[6]`: `path` is missing; valid is the path of a Compose file in the task container",
        "/app/compose.yml:9:88: `services.b.extends.file`: found a list; valid is the path of a Compose file in the task container",
    ]),
    ("one file instead of a list", &[
        ("/app/compose.yml", "include: a.yml\nservices: {a: {image: a}}\n"),
    ], &["/app/compose.yml:1:10: `include`: found `a.yml`; valid is a list of Compose files such as `[other.yml]`"]),
    ("env files that are not there", &[
        ("/app/compose.yml", "include: [{path: a.yml, env_file: [none.env, folder, /certs/key.pem, bad.env]}]\nservices: {a: {image: a}}\n"),
        ("/app/a.yml", "services: {}\n"),
        ("/app/bad.env", "A B"),
    ], &[
        "/app/bad.env:1:3: found something after a name that is not `=`; valid are lines such as `NAME=value`",
        "/app/compose.yml:1:36: `include[0].env_file[0]`: `/app/none.env` does not exist in the task container; valid is a file of `NAME=value` lines",
        "/app/compose.yml:1:46: `include[0].env_file[1]`: `/app/folder` is not a regular file; valid is a file of `NAME=value` lines",
        "/app/compose.yml:1:54: `include[0].env_file[2]`: `/certs/key.pem` is, contains or lies in the manager's certificates for the engine (`DOCKER_CERT_PATH`), which no component may have; valid is a file of `NAME=value` lines",
    ]),
    ("files that include themselves, and one another in a circle", &[
        ("/app/compose.yml", "include: [compose.yml, b.yml]\nservices: {a: {image: a}}\n"),
        ("/app/b.yml", "include: [db/c.yml]\n"),
        ("/app/db/c.yml", "include: [../b.yml, ../compose.yml]\n"),
    ], &[
        "/app/compose.yml:1:11: `include[0]`: the files include one another in a circle: `/app/compose.yml` -> `/app/compose.yml`; leave one `include` out",
        "/app/db/c.yml:1:11: `include[0]`: the files include one another in a circle: `/app/b.yml` -> `/app/db/c.yml` -> `/app/b.yml`; leave one `include` out",
        "/app/db/c.yml:1:21: `include[1]`: the files include one another in a circle: `/app/compose.yml` -> `/app/b.yml` -> `/app/db/c.yml` -> `/app/compose.yml`; leave one `include` out",
    ]),
    ("services that extend one another in a circle, from file to file", &[
        ("/app/compose.yml", "services:\n  a: {extends: {file: b.yml, service: b}}\n  c: {extends: {file: compose.yml, service: c}}\n"),
        ("/app/b.yml", "services:\n  b: {extends: {file: compose.yml, service: a}}\n"),
    ], &[
        "/app/b.yml:2:16: `services.b.extends`: the services `a` of `/app/compose.yml`, `b` of `/app/b.yml` extend one another in a circle; leave one `extends` out",
        "/app/compose.yml:3:16: `services.c.extends`: the services `c` extend one another in a circle; leave one `extends` out",
    ]),
    ("a mistake in a file that is extended by itself", &[
        ("/app/compose.yml", "services: {a: {image: a}, b: {extends: {file: compose.yml, service: a}}}\nvolume: {}\n"),
    ], &["/app/compose.yml:2:1: `volume`: this key is unknown; did you mean `volumes`?"]),
    ("documents and lines of an included project that are none", &[
        ("/app/compose.yml", "include: [{path: b.yml, env_file: [b.env, b.env]}]\nservices: {a: {image: a}}\n"),
        ("/app/b.yml", "services: {a: {image: b}}\n---\n1\n"),
        ("/app/b.env", "A=${A:?no}\n"),
    ], &[
        "/app/b.env:1:1: a variable is required that is not set; set it in the task container's environment, or in `.env` beside the file",
        "/app/b.yml:3:1: found a number; valid is a Compose file with `services`",
    ]),
    ("services that other files do not have", &[
        ("/app/compose.yml", "services:\n  a: {extends: {file: b.yml, service: wbe}}\n  c: {extends: {file: empty.yml, service: d}}\n  d: {extends: {file: wrong.yml, service: d}}\n  e: {extends: {file: wrong.yml, service: e}}\n"),
        ("/app/b.yml", "services:\n  web: {image: b}\n"),
        ("/app/empty.yml", "volumes: {}\n"),
        ("/app/wrong.yml", "services: [a]\nvolume: {}\n"),
    ], &[
        "/app/compose.yml:2:16: `services.a.extends`: there is no service `wbe` in `/app/b.yml`; did you mean `web`?",
        "/app/compose.yml:3:16: `services.c.extends`: there is no service `d` in `/app/empty.yml`; valid is the name of a service of that file",
        "/app/wrong.yml:1:11: `services`: found a list; valid is a mapping of names",
        "/app/wrong.yml:2:1: `volume`: this key is unknown; did you mean `volumes`?",
    ]),
    ("files that are none of Compose, of which nothing is repeated", &[
        ("/app/compose.yml", "include: [key, list.yml]\nservices: {a: {image: a, extends: {file: key, service: a}}}\n"),
        ("/app/key", "hunter2"),
        ("/app/list.yml", "[hunter2]"),
    ], &[
        "/app/key:1:1: found a string; valid is a Compose file with `services`",
        "/app/list.yml:1:1: found a list; valid is a Compose file with `services`",
    ]),
    ("mappings that are none of Compose, of which no variable is looked for", &[
        ("/app/compose.yml", "include: [a.txt, b.txt, c.txt]\nservices: {a: {image: a, extends: {file: d.txt, service: a}}}\n"),
        ("/app/a.txt", "a: $(x) ${hunter15!} ${hunter16:hunter17}"),
        ("/app/b.txt", "password: ab${hunter2"),
        ("/app/c.txt", "volumes: {}\n---\npassword: ${hunter5:?hunter6}"),
        ("/app/d.txt", "key: $hunter7 ${hunter8"),
    ], &[
        "/app/a.txt:1:1: found a mapping; valid is a Compose file with `services`",
        "/app/b.txt:1:1: found a mapping; valid is a Compose file with `services`",
        "/app/c.txt:1:1: found a mapping; valid is a Compose file with `services`",
        "/app/d.txt:1:1: found a mapping; valid is a Compose file with `services`",
    ]),
    ("files that may be of Compose or not, of which no value is repeated", &[
        ("/app/compose.yml", "include: [a.yml, b.yml, c.yml, d.yml]\nservices: {a: {image: a}}\n"),
        ("/app/a.yml", "name: ab${hunter2\nx-a: '${hunter5:?hunter6}'\nversion: '${hunter7!}'"),
        ("/app/b.yml", "volumes:\n  a: hunter2\n  b: {name: [hunter3], external: hunter4}"),
        ("/app/c.yml", "secrets: {a: hunter2, b: {external: hunter3}}\nconfigs: {c: {name: 'hunter 4/'}, d: {environment: [hunter5]}}"),
        ("/app/d.yml", "servces: {a: {image: hunter2}}\npassword: ${hunter3"),
    ], &[
        "/app/a.yml:1:7: `name`: found `${` without its closing brace; valid is one such as `${NAME:-default}`",
        "/app/a.yml:2:6: `x-a`: a variable is required that is not set; set it in the task container's environment, or in `.env` beside the file",
        "/app/a.yml:3:10: `version`: found `${` before what is no variable; valid are `${NAME}`, and after the name `:-default`, `-default`, `:?error`, `?error`, `:+other` and `+other`",
        "/app/b.yml:2:6: `volumes.a`: found a string; valid is a mapping such as `{external: true}`",
        "/app/b.yml:3:13: `volumes.b.name`: found a list; valid is the name of a volume",
        "/app/b.yml:3:34: `volumes.b.external`: found a string; valid is `true` or `false`",
        "/app/c.yml:1:14: `secrets.a`: found a string; valid is a mapping such as `{file: ./name}`",
        "/app/c.yml:1:37: `secrets.b.external`: found a string; valid is `true` or `false`",
        "/app/c.yml:2:21: `configs.c.name`: found a string; valid is the name of a config",
        "/app/c.yml:2:52: `configs.d.environment`: found a list; valid is the name of a variable",
        "/app/d.yml:1:1: `servces`: this key is unknown; did you mean `services`?",
    ]),
    ("what is wrong in another file, in its own place", &[
        ("/app/compose.yml", "include: [b.yml, c.yml, d.yml]\nservices:\n  a: {extends: {file: base.yml, service: base}}\n"),
        ("/app/base.yml", "services:\n  base:\n    image: a\n    tty: perhaps\n    env_file: none.env\n"),
        ("/app/b.yml", "services:\n  b: {image: b, user: [], depends_on: [c, nobody]}\nvolume: {}\n"),
        ("/app/c.yml", "services:\n  c: {image: '${NO:?}'}\n"),
        ("/app/d.yml", "services: {d: {image: d\n"),
    ], &[
        "/app/b.yml:2:23: `services.b.user`: found a list; valid is a user such as `1000`, `app` or `1000:1000`",
        "/app/b.yml:3:1: `volume`: this key is unknown; did you mean `volumes`?",
        "/app/base.yml:4:10: `services.a.tty`: found `perhaps`; valid is `true` or `false`",
        "/app/base.yml:5:15: `services.a.env_file`: `/app/none.env` does not exist in the task container; valid is the path of a file in the task container",
        "/app/c.yml:2:14: `services.c.image`: the variable `NO` is required; set it in the task container's environment, or in `.env` beside the file",
        "/app/d.yml:2:1: not YAML: did not find expected ',' or '}', while parsing a flow mapping at line 1 column 15; valid is YAML, such as `image: nginx`",
    ]),
    ("what a file that is not there may have", &[
        ("/app/compose.yml", "include: [none.yml]\nservices:\n  a: {image: a, depends_on: [db], secrets: [key], tty: 7}\n"),
    ], &[
        "/app/compose.yml:1:11: `include[0]`: `/app/none.yml` does not exist in the task container; valid is the path of a Compose file in the task container",
        "/app/compose.yml:3:56: `services.a.tty`: found `7`; valid is `true` or `false`",
    ]),
    ("nothing but a file that is not there", &[
        ("/app/compose.yml", "include: [none.yml]\n"),
    ], &["/app/compose.yml:1:11: `include[0]`: `/app/none.yml` does not exist in the task container; valid is the path of a Compose file in the task container"]),
    ("a copy for a component of a file that is not there", &[
        ("/app/compose.yml", "include: [none.yml]\nservices: {a: {image: a}}\n"),
        ("pod.copy.db", "/app/compose.yml:/x"),
    ], &["/app/compose.yml:1:11: `include[0]`: `/app/none.yml` does not exist in the task container; valid is the path of a Compose file in the task container"]),
];

#[test]
fn every_fault_of_several_files_is_told_in_these_words() {
    let report = |files: &[(&str, &str)]| {
        let (labels, files): (Vec<_>, Vec<_>) =
            files.iter().copied().partition(|(name, _)| name.starts_with("pod."));
        with_labels(&files, &labels).err()
    };
    told(CASES.iter().map(|(sentence, files, expected)| (*sentence, report(files), *expected)));
}

#[test]
fn what_variables_of_an_included_project_make_is_bounded() {
    let value = "x".repeat(100_000);
    for environment in ["[A]", "{A: }"] {
        let service = |number: usize| format!("  s{number}: {{image: a, environment: {environment}}}\n");
        let read = |services: usize| {
            let services: String = (0..services).map(service).collect();
            let files = [
                ("/app/compose.yml", "include: [db/compose.yml]\n"),
                ("/app/db/.env", &format!("A={value}\n")),
                ("/app/db/compose.yml", &format!("services:\n{services}")),
            ];
            defined(&files)
                .map(|(definition, _)| definition.components.len())
                .map_err(|report| report.faults.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(read(30), Ok(30));
        assert_eq!(
            read(60),
            Err(vec![
                "/app/compose.yml:1:11: `include[0]`: the values of its variables make the text too large; valid are up to 4194304 bytes"
                    .to_owned()
            ])
        );
    }
}

#[test]
fn files_in_a_row_are_bounded() {
    for (word, of_next) in [
        ("include", "include: [NEXT]\nservices: {NAME: {image: a}}\n"),
        ("extends", "services: {s: {image: a, extends: {file: NEXT, service: s}}}\n"),
    ] {
        let files = |most: usize| {
            let text = |number: usize| match number == most {
                true => "services: {s: {image: a}}\n".to_owned(),
                false => of_next
                    .replace("NEXT", &format!("f{}.yml", number + 1))
                    .replace("NAME", &format!("s{number}")),
            };
            let name = |number: usize| {
                if number == 1 { "/app/compose.yml".to_owned() } else { format!("/app/f{number}.yml") }
            };
            (1..=most).map(|number| (name(number), text(number))).collect::<Vec<_>>()
        };
        let read = |most| {
            let files = files(most);
            let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            defined(&files).map(|(definition, _)| definition.components.len()).map_err(|report| report.faults)
        };
        assert_eq!(read(8), Ok(if word == "include" { 8 } else { 1 }));
        let faults = read(9).expect_err(word);
        let told = faults.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("/app/f8.yml:1:")
                && told[0]
                    .ends_with("too many files include or extend one another; valid are up to 8 in a row"),
            "{told:?}"
        );
    }
}
