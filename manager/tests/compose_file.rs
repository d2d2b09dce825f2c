//! `pod.compose.file`: what a Compose file means to a pod, and the exact words about what it cannot mean.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use manager::pod::spec::{ComponentSpec, FileSource, FileSpec, MountSource};
use manager::pod::task::TaskContainer;
use manager::source::labels::{Surroundings, read};
use manager::source::load::{FileFault, FileKind, Files};

/// `/app/compose.yml`, and `.env` and `more.env` beside it.
struct World<'a>(&'a str);

impl Files for World<'_> {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        self.read(path).map(|_| FileKind::File)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        match path {
            "/app/compose.yml" => Ok(self.0.as_bytes().to_vec()),
            "/app/.env" => Ok(b"TAG=from-file\nBOTH=file\n".to_vec()),
            "/app/more.env" => Ok(b"MORE=yes\n".to_vec()),
            "/app/key.pem" | "/srv/key.pem" | "/run/secrets/shop_db" | "/run/secrets/own" | "/app.conf" => {
                Ok(b"text".to_vec())
            }
            _ => Err(FileFault::Missing),
        }
    }
}

/// The components and the warnings, or the faults, each in words.
fn run(text: &str, labels: &[(&str, &str)]) -> Result<(Vec<ComponentSpec>, Vec<String>), Vec<String>> {
    let mut all = BTreeMap::from([("pod.compose.file".to_owned(), "/app/compose.yml".to_owned())]);
    all.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let task = TaskContainer { name: "task".into(), labels: all, ..TaskContainer::default() };
    let environment = |name: &str| match name {
        "BOTH" => Some("environment".to_owned()),
        "COMPOSE_PROFILES" => Some("one,two".to_owned()),
        _ => None,
    };
    let around = Surroundings {
        task: &task,
        files: &World(text),
        environment: &environment,
        host_socket: None,
        share_volumes: false,
        allow_engine_socket: false,
    };
    match read(&around) {
        Ok((definition, warnings)) => {
            Ok((definition.components, warnings.iter().map(ToString::to_string).collect()))
        }
        Err(report) => Err(report.faults.iter().map(ToString::to_string).collect()),
    }
}

const WHOLE: &str = "\
name: shop
version: '3.8'
x-base: &base
  tty: ${TTY:-true}
services:
  base:
    image: base:${TAG}
    profiles: [never]
    command: [a]
    cap_add: [NET_ADMIN]
    environment: {A: base, B: base}
    volumes: [\"data:/data\", \"/srv/a:/a\"]
  web:
    extends: {service: base}
    build: .
    ports: [\"80:80\"]
    command: [b, $$HOME]
    env_file: ./more.env
    environment: [\"B=$BOTH\"]
    volumes: [\"/srv/b:/a\"]
    depends_on: [side]
  side:
    <<: *base
    image: side
    profiles: [two]
    networks: [inner]
networks: {inner: {}}
volumes: {data: {name: full-name, external: true}}
secrets: {s: {external: true}}
configs: {}
";

#[test]
fn a_compose_file_runs_as_it_is_and_what_a_pod_cannot_have_is_one_warning() {
    let (components, warnings) = run(WHOLE, &[]).unwrap();
    let names: Vec<&str> = components.iter().map(|component| &*component.name).collect();
    assert_eq!(names, ["side", "web"]);
    let (side, web) = (&components[0].container, &components[1].container);
    assert!(side.tty, "a variable may be a switch, and merge keys are read");
    assert_eq!(web.image, "base:from-file");
    assert_eq!(web.command, Some(vec!["b".to_owned(), "$HOME".to_owned()]));
    assert_eq!(web.cap_add, ["NET_ADMIN"]);
    let environment = format!("{:?}", web.environment);
    for said in ["base", "environment", "MORE"] {
        assert!(environment.contains(said), "{said} in {environment}");
    }
    let sources: Vec<&str> = web
        .mounts
        .iter()
        .map(|mount| match &mount.source {
            MountSource::Volume { name: Some(name), .. } => &**name,
            MountSource::Bind { path, .. } => path,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sources, ["full-name", "/srv/b"]);
    assert_eq!(
        warnings,
        [
            "/app/compose.yml: ignored: `web.build`, `web.ports`, `side.networks`; a component cannot have these keys; \
             those that it needs are the pod's own service's to have"
        ]
    );
}

#[test]
fn each_fault_of_a_compose_file_has_its_place() {
    let cases: &[(&str, &[&str])] = &[
        (
            "secrets:\n  a: {file: none}\n  b: {environment: NONE}\n  c: {external: true}\n  d: {file: a, environment: b}\nservices:\n  \
             a: {image: a, secrets: [a, b, c]}",
            &[
                "/app/compose.yml:5:16: `secrets.d.environment`: found `environment` beside `file`; valid is one of them",
                "/app/compose.yml:7:27: `services.a.secrets[0]`: `/app/none` does not exist in the task container; the file must be in the task container: give it to the pod's own service as a secret, a config or a volume",
                "/app/compose.yml:7:30: `services.a.secrets[1]`: the secret `b` is the variable `NONE`, which is not set; set it in the manager's `environment`, or in `.env` beside the file",
                "/app/compose.yml:7:33: `services.a.secrets[2]`: the task container has no secret `c`; there is none in `/run/secrets`: give it to the pod's own service (`secrets`)",
            ],
        ),
        (
            "secrets:\n  a: {content: hunter2}\n  b: {file: []}\n  c: text\n  d: {environment: 7, external: true}\n  e: {external: perhaps}\n  \
             f: {external: true, name: ../x}\nconfigs:\n  g: {content: [hunter2]}\n  h: {fil: a}\nservices: {a: {image: a}}",
            &[
                "/app/compose.yml:10:7: `configs.h.fil`: this key is unknown; did you mean `file`?",
                "/app/compose.yml:2:7: `secrets.a.content`: a secret has no `content`, as in Compose; valid are `file` and `environment`",
                "/app/compose.yml:3:13: `secrets.b.file`: found a list; valid is the path of a file in the task container",
                "/app/compose.yml:4:6: `secrets.c`: found a string; valid is a mapping such as `{file: ./name}`",
                "/app/compose.yml:5:6: `secrets.d`: found `external` beside `environment`; valid is one of them",
                "/app/compose.yml:6:17: `secrets.e.external`: found `perhaps`; valid is `true` or `false`",
                "/app/compose.yml:7:29: `secrets.f.name`: found `../x`; valid is the name of a secret",
                "/app/compose.yml:9:16: `configs.g.content`: found a list; valid is the text of the config",
            ],
        ),
        ("services: {}", &["/app/compose.yml: the file has no service; valid is at least one in `services`"]),
        (
            "services:\n  a: {image: '${NO:?say}', imag: b}",
            &[
                "/app/compose.yml:2:14: `services.a.image`: the variable `NO` is required: `say`; set it in the manager's environment, or in `.env` beside the file",
            ],
        ),
        (
            "service: {}\nservices:\n  a:\n    tty: true\n    imag: b",
            &[
                "/app/compose.yml:1:1: `service`: this key is unknown; did you mean `services`?",
                "/app/compose.yml:4:5: `services.a`: `image` is missing; valid is one such as `image: nginx:1.27`",
                "/app/compose.yml:5:5: `services.a.imag`: this key is unknown; did you mean `image`?",
            ],
        ),
        (
            "include: [other.yml]\nservices:\n  a: {image: a, extends: {file: b.yml, service: b}}\n  c: {image: c, extends: d}\n  e: {image: e, extends: e}",
            &[
                "/app/compose.yml:1:1: `include`: a pod is defined by one file; write the services of the other files into it (`docker compose config` does)",
                "/app/compose.yml:3:33: `services.a.extends.file`: a pod is defined by one file; write the other service into it, and leave `file` out",
                "/app/compose.yml:4:26: `services.c.extends`: there is no service `d`; valid are `a`, `c` and `e`",
                "/app/compose.yml:5:26: `services.e.extends`: the services `e` extend one another in a circle; leave one `extends` out",
            ],
        ),
        (
            "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, profiles: [off]}",
            &[
                "/app/compose.yml:2:30: `services.a.depends_on[0]`: none of the profiles of `b` is active; set `COMPOSE_PROFILES`, or leave the dependency out",
            ],
        ),
    ];
    for (text, expected) in cases {
        let mut faults = run(text, &[]).unwrap_err();
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        faults.sort();
        expected.sort();
        assert_eq!(faults, expected, "{text}");
    }
}

#[test]
fn podlike_bug_23_a_relative_bind_is_refused_in_words() {
    let faults = run("services:\n  a:\n    image: a\n    volumes: ['./rel:/x']", &[]).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0]
            .starts_with("/app/compose.yml:4:15: `services.a.volumes[0]`: found the relative path `./rel`"),
        "{faults:?}"
    );
}

#[test]
fn declared_secrets_and_configs_are_files_variables_text_or_those_of_the_task_container() {
    let path = |path: &str| FileSource::Path(path.into());
    let text = |text: &str| FileSource::Content(text.into());
    let cases = [
        ("secrets: {s: {file: ./key.pem}}", "secrets: [s]", path("/app/key.pem"), "/run/secrets/s"),
        (
            "secrets: {s: {file: key.pem, name: ours, labels: {a: b}}}",
            "secrets: [s]",
            path("/app/key.pem"),
            "/run/secrets/s",
        ),
        (
            "secrets: {s: {file: /srv/key.pem}}",
            "secrets: [{source: s, target: k}]",
            path("/srv/key.pem"),
            "/run/secrets/k",
        ),
        ("secrets: {s: {environment: BOTH}}", "secrets: [s]", text("environment"), "/run/secrets/s"),
        ("secrets: {s: {environment: TAG}}", "secrets: [s]", text("from-file"), "/run/secrets/s"),
        (
            "secrets: {s: {external: true, name: shop_db}}",
            "secrets: [s]",
            path("/run/secrets/shop_db"),
            "/run/secrets/s",
        ),
        (
            "secrets: {s: {external: {name: shop_db}}}",
            "secrets: [s]",
            path("/run/secrets/shop_db"),
            "/run/secrets/s",
        ),
        ("secrets: {own: {external: true}}", "secrets: [own]", path("/run/secrets/own"), "/run/secrets/own"),
        ("secrets: {own: }", "secrets: [own]", path("/run/secrets/own"), "/run/secrets/own"),
        ("secrets: {other: {file: none}}", "secrets: [own]", path("/run/secrets/own"), "/run/secrets/own"),
        ("configs: {c: {content: \"port=${PORT:-80}\"}}", "configs: [c]", text("port=80"), "/c"),
        (
            "configs: {c: {environment: BOTH}}",
            "configs: [{source: c, target: /etc/c}]",
            text("environment"),
            "/etc/c",
        ),
        ("configs: {c: {file: ./key.pem}}", "configs: [c]", path("/app/key.pem"), "/c"),
        ("configs: {c: {external: true, name: app.conf}}", "configs: [c]", path("/app.conf"), "/c"),
    ];
    for (top, keys, source, target) in cases {
        let file = format!("{top}\nservices:\n  a:\n    image: a\n    {keys}\n");
        let (components, warnings) = run(&file, &[]).unwrap_or_else(|faults| panic!("{file}\n{faults:#?}"));
        let want = FileSpec { source, target: target.into(), uid: 0, gid: 0, mode: 0o444 };
        assert_eq!((components[0].files.as_slice(), warnings.as_slice()), (&[want][..], &[][..]), "{file}");
    }
    // What nobody asks for may be missing.
    let file = "secrets: {a: {file: none}, b: {environment: NONE}}\nservices: {a: {image: a}}";
    assert_eq!(run(file, &[]).unwrap().0[0].files, []);
}

#[test]
fn what_is_secret_is_not_shown_by_accident() {
    assert_eq!(format!("{:?}", FileSource::Content("hunter2".into())), "Content(7 bytes)");
}
