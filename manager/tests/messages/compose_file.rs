//! `pod.compose.file`: what a Compose file means to a pod, and the exact words about what it cannot mean.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use definition::diagnostic::DiagnosticReport;
use definition::files::{FileFault, FileKind, Files};
use definition::labels::{Surroundings, read};
use pod::policy::Policy;
use pod::spec::{ComponentSpec, FileSource, FileSpec, MountSource};
use pod::task_container::{TaskContainer, TaskMount};

use crate::told;

/// `/app/compose.yml`, and `.env` and `more.env` beside it.
struct World<'a> {
    file: &'a [u8],
    env: &'a [u8],
}

impl Files for World<'_> {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        self.read(path).map(|_| FileKind::File)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        match path {
            "/app/compose.yml" => Ok(self.file.to_vec()),
            "/app/.env" => Ok(self.env.to_vec()),
            "/app/a.env" => Ok(b"FROM=a\n".to_vec()),
            "/app/more.env" => Ok(b"FROM=more\nMORE=yes\n".to_vec()),
            "/app/key.pem" | "/srv/key.pem" | "/run/secrets/shop_db" | "/run/secrets/own" | "/app.conf" => {
                Ok(b"text".to_vec())
            }
            _ => Err(FileFault::Missing),
        }
    }
}

/// The components and the warnings, or the faults, each in words.
fn run(text: &str) -> Result<(Vec<ComponentSpec>, Vec<String>), Vec<String>> {
    read_file("/app/compose.yml", text.as_bytes(), ENV)
        .map_err(|report| report.faults.iter().map(ToString::to_string).collect())
}

const ENV: &[u8] = b"TAG=from-file\nBOTH=file\n";

/// The components and the warnings of a file at this path, with this `.env` beside it.
fn read_file(
    path: &str,
    file: &[u8],
    env: &[u8],
) -> Result<(Vec<ComponentSpec>, Vec<String>), DiagnosticReport> {
    read_under(&Policy::default(), path, file, env)
}

fn read_under(
    policy: &Policy,
    path: &str,
    file: &[u8],
    env: &[u8],
) -> Result<(Vec<ComponentSpec>, Vec<String>), DiagnosticReport> {
    let labels = BTreeMap::from([("pod.compose.file".to_owned(), path.to_owned())]);
    let theirs = TaskMount {
        kind: "volume".into(),
        volume: Some("stack_theirs".into()),
        labels: BTreeMap::from([("com.docker.stack.namespace".to_owned(), "stack".to_owned())]),
        target: "/x".into(),
        writable: true,
        ..TaskMount::default()
    };
    let bound = |path: &str| TaskMount {
        kind: "bind".into(),
        source: path.into(),
        target: path.into(),
        writable: true,
        ..TaskMount::default()
    };
    // What its services ask of the host, the pod's own service has.
    let task = TaskContainer {
        name: "task".into(),
        labels,
        mounts: vec![theirs, bound("/srv/a"), bound("/srv/b")],
        cap_add: vec!["NET_ADMIN".into()],
        ..TaskContainer::default()
    };
    let environment = |name: &str| match name {
        "BOTH" => Some("environment".to_owned()),
        "COMPOSE_PROFILES" => Some("one,two".to_owned()),
        _ => None,
    };
    let around = Surroundings {
        task: &task,
        files: &World { file, env },
        environment: &environment,
        host: &pod::policy::Host::default(),
        share_volumes: false,
        policy,
    };
    let (definition, warnings) = read(&around)?;
    Ok((definition.components, warnings.iter().map(ToString::to_string).collect()))
}

const WHOLE: &str = "\
name: shop
version: '3.8'
x-base: &base
  tty: ${TTY:-true}
services:
  base:
    image: base:${TAG}
    profiles: [one]
    command: [a]
    cap_add: [NET_ADMIN]
    environment: {A: base, B: base}
    volumes: [\"data:/data\", \"/srv/a:/a\"]
  web:
    extends: {service: base}
    build: .
    ports: [\"80:80\"]
    deploy: {replicas: 2, resources: {limits: {memory: 64m}, reservations: {cpus: '1', memory: 32m}}}
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
    let (components, warnings) = run(WHOLE).unwrap();
    let names: Vec<&str> = components.iter().map(|component| &*component.name).collect();
    assert_eq!(names, ["base", "side", "web"]);
    let (side, web) = (&components[1].container, &components[2].container);
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
    assert_eq!(sources, ["task.podlike.full-name", "/srv/b"]);
    assert_eq!(
        warnings,
        [
            "/app/compose.yml: ignored: `web.build`, `web.ports`, `web.deploy.replicas`, `web.deploy.resources.reservations.cpus`, `side.networks`; a component cannot have these keys; \
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
                "/app/compose.yml:7:30: `services.a.secrets[1]`: the secret `b` is the variable `NONE`, which is not set; set it in the task container's `environment`, or in `.env` beside the file",
                "/app/compose.yml:7:33: `services.a.secrets[2]`: the task container has no secret `c`; there is none in `/run/secrets`: give it to the pod's own service (`secrets`)",
            ],
        ),
        (
            "secrets:\n  a: {content: hunter2}\n  b: {file: []}\n  c: text\n  d: {environment: 7, external: true}\n  e: {external: perhaps}\n  \
             f: {external: true, name: ../x}\nconfigs:\n  g: {content: [hunter2]}\n  h: {fil: a}\nservices: {a: {image: a}}",
            &[
                "/app/compose.yml:2:7: `secrets.a.content`: a secret has no `content`, as in Compose; valid are `file` and `environment`",
                "/app/compose.yml:3:13: `secrets.b.file`: found a list; valid is the path of a file in the task container",
                "/app/compose.yml:4:6: `secrets.c`: found a string; valid is a mapping such as `{file: ./name}`",
                "/app/compose.yml:5:6: `secrets.d`: found `external` beside `environment`; valid is one of them",
                "/app/compose.yml:6:17: `secrets.e.external`: found `perhaps`; valid is `true` or `false`",
                "/app/compose.yml:7:29: `secrets.f.name`: found `../x`; valid is the name of a secret",
                "/app/compose.yml:9:16: `configs.g.content`: found a list; valid is the text of the config",
                "/app/compose.yml:10:7: `configs.h.fil`: this key is unknown; did you mean `file`?",
            ],
        ),
        (
            "secrets:\n  a: {file: []}\n  b: text\nservices:\n  a: {image: a, secrets: [a, b]}",
            &[
                "/app/compose.yml:2:13: `secrets.a.file`: found a list; valid is the path of a file in the task container",
                "/app/compose.yml:3:6: `secrets.b`: found a string; valid is a mapping such as `{file: ./name}`",
            ],
        ),
        (
            "services:\n  a: {build: .}\n  b: {provider: {type: model}}\n  c: {extends: a}\n  d: {extends: none}\n  e: {extends: d, image: e, tty: 7}",
            &[
                "/app/compose.yml:2:7: `services.a.build`: found `build` and no `image`; a pod builds no image: build it beforehand, and name it with `image`",
                "/app/compose.yml:3:7: `services.b.provider`: found `provider` and no `image`; a pod runs containers alone: name the image of one with `image`",
                "/app/compose.yml:5:16: `services.d.extends`: there is no service `none`; valid are `a`, `b`, `c` and `e`",
                "/app/compose.yml:6:34: `services.e.tty`: found `7`; valid is `true` or `false`",
            ],
        ),
        ("services: {}", &["/app/compose.yml: the file has no service; valid is at least one in `services`"]),
        (
            "services:\n  a: {image: '${NO:?say}', imag: b}",
            &[
                "/app/compose.yml:2:14: `services.a.image`: the variable `NO` is required: `say`; set it in the task container's environment, or in `.env` beside the file",
            ],
        ),
        (
            "service: {}\nservices:\n  a:\n    tty: true\n    imag: b",
            &[
                "/app/compose.yml:1:1: `service`: this key is unknown; did you mean `services`?",
                "/app/compose.yml:5:5: `services.a.imag`: this key is unknown; did you mean `image`?",
            ],
        ),
        (
            "include: [other.yml]\nservices:\n  a: {image: a, extends: {file: b.yml, service: b}}\n  c: {image: c, extends: d}\n  e: {image: e, extends: e}",
            &[
                "/app/compose.yml:1:11: `include[0]`: `/app/other.yml` does not exist in the task container; valid is the path of a Compose file in the task container",
                "/app/compose.yml:3:33: `services.a.extends.file`: `/app/b.yml` does not exist in the task container; valid is the path of a Compose file in the task container",
                "/app/compose.yml:4:26: `services.c.extends`: there is no service `d`; valid are `a` and `e`",
                "/app/compose.yml:5:26: `services.e.extends`: the services `e` extend one another in a circle; leave one `extends` out",
            ],
        ),
        (
            "services:\n  a: {image: a, extends: {}}\n  b: {image: b, extends: [a]}\n  c: {image: c, extends: {servce: a}}\n  d: {image: d, extends: {service: [a]}}",
            &[
                "/app/compose.yml:2:26: `services.a.extends`: `service` is missing; valid is one such as `{service: base}`",
                "/app/compose.yml:3:26: `services.b.extends`: found a list; valid is the name of a service, or a mapping such as `{service: base}`",
                "/app/compose.yml:4:27: `services.c.extends.servce`: this key is unknown; did you mean `service`?",
                "/app/compose.yml:5:36: `services.d.extends.service`: found a list; valid is the name of a service",
            ],
        ),
        (
            "services:\n  web: {image: a, extends: wbe}\n  b: {image: b, extends: ''}\n  c: {image: c, extends: {service: ''}}\n  d: {image: d, depends_on: ['']}\n  e: {image: e, depends_on: {'': {}}}\n  wbee: {image: f, extends: wbe}",
            &[
                "/app/compose.yml:2:28: `services.web.extends`: there is no service `wbe`; did you mean `wbee`?",
                "/app/compose.yml:3:26: `services.b.extends`: found an empty string; valid is the name of a service, or a mapping such as `{service: base}`",
                "/app/compose.yml:4:36: `services.c.extends.service`: found an empty string; valid is the name of a service",
                "/app/compose.yml:5:30: `services.d.depends_on[0]`: found an empty string; valid is the name of a component",
                "/app/compose.yml:6:30: `services.e.depends_on[\"\"]`: found an empty string; valid is the name of a component",
                "/app/compose.yml:7:29: `services.wbee.extends`: there is no service `wbe`; did you mean `web`?",
            ],
        ),
        (
            "services:\n  a: {image: a, profiles: off}\n  b: {image: b, profiles: [[one]]}",
            &[
                "/app/compose.yml:2:27: `services.a.profiles`: found `off`; valid is a list of profiles such as `[debug]`",
                "/app/compose.yml:3:28: `services.b.profiles[0]`: found a list; valid is the name of a profile",
            ],
        ),
        (
            "services:\n  a: {image: a, profiles: [off]}",
            &[
                "/app/compose.yml: no service has an active profile; set `COMPOSE_PROFILES`, or leave `profiles` out",
            ],
        ),
        (
            "services: [a]\nvolumes: a\nsecrets: [b]\nconfigs: 5\nnetworks: c\nmodels: true",
            &[
                "/app/compose.yml:1:11: `services`: found a list; valid is a mapping of names",
                "/app/compose.yml:2:10: `volumes`: found a string; valid is a mapping of names",
                "/app/compose.yml:3:10: `secrets`: found a list; valid is a mapping of names",
                "/app/compose.yml:4:10: `configs`: found a number; valid is a mapping of names",
                "/app/compose.yml:5:11: `networks`: found a string; valid is a mapping of names",
                "/app/compose.yml:6:9: `models`: found a boolean; valid is a mapping of names",
            ],
        ),
        (
            "services:\n  a: text\n  b: [c]\n  d:",
            &[
                "/app/compose.yml:2:6: `services.a`: found a string; valid is a mapping of Compose keys such as `image: nginx`",
                "/app/compose.yml:3:6: `services.b`: found a list; valid is a mapping of Compose keys such as `image: nginx`",
                "/app/compose.yml:4:5: `services.d`: found nothing; valid is a mapping of Compose keys such as `image: nginx`",
            ],
        ),
        (
            "services:\n  x-a: {tty: true}\n  a: {image: a, depends_on: {b: {required: false}, c: {}}}\n  b: {image: b, profiles: [off]}\n  c: {image: c, profiles: [off]}",
            &[
                "/app/compose.yml:2:8: `services.x-a`: `image` is missing; valid is one such as `image: nginx:1.27`",
                "/app/compose.yml:3:52: `services.a.depends_on.c`: none of the profiles of `c` is active; set `COMPOSE_PROFILES`, or leave the dependency out",
            ],
        ),
        (
            "services:\n  a: {image: a}\n---\nservices:\n  b: {image: b, extends: a}\n---\nservices: {a: {tty: 5}}\nsevices: {}",
            &[
                "/app/compose.yml:5:26: `services.b.extends`: there is no service `a`; valid is another service, of which there is none",
                "/app/compose.yml:7:21: `services.a.tty`: found `5`; valid is `true` or `false`",
                "/app/compose.yml:8:1: `sevices`: this key is unknown; did you mean `services`?",
            ],
        ),
        (
            "services: {a: {image: a}}\n--- secret",
            &["/app/compose.yml:2:5: found a string; valid is a Compose file with `services`"],
        ),
        ("---\n---\n", &["/app/compose.yml:2:1: found nothing; valid is a Compose file with `services`"]),
        (
            "services: {a: {image: a}}\n---\nservices: {a: {image: [}}",
            &[
                "/app/compose.yml:3:24: not YAML: did not find expected node content, while parsing a flow node; valid is YAML, such as `image: nginx`",
            ],
        ),
        (
            "x-a: &a {image: a}\nservices: {a: *a}\n---\nservices:\n  b: *a",
            &[
                "/app/compose.yml:5:6: not YAML: unknown anchor; valid is an anchor above it in the same document: anchors end with their document",
            ],
        ),
        ("text", &["/app/compose.yml:1:1: found a string; valid is a Compose file with `services`"]),
        ("", &["/app/compose.yml:1:1: found an empty string; valid is a Compose file with `services`"]),
        (
            "services:\n  a: {image: a\n",
            &[
                "/app/compose.yml:3:1: not YAML: did not find expected ',' or '}', while parsing a flow mapping at line 2 column 6; valid is YAML, such as `image: nginx`",
            ],
        ),
        (
            "services:\n  a: {image: !custom a, tty: !reset true}",
            &[
                "/app/compose.yml:2:14: `services.a.image`: found a value with a YAML tag; valid is the name of an image such as `nginx:1.27`",
            ],
        ),
        (
            "volumes:\n  a: {driver: nfs}\n  b: {driver_opts: {o: bind}, driver: local}\n  c: {name: [c]}\n  d: text\n  e: {extrenal: true}\n  f: {external: perhaps}\n  g: {external: {nam: x}}\n  \
             h: {external: true, driver: nfs}\n  i:\n  j: {driver: local, driver_opts: {}}\nservices: {a: {image: a}}",
            &[
                "/app/compose.yml:2:7: `volumes.a.driver`: a pod makes no volume in a way of its own, as `a` asks; declare it in the stack's own `volumes`, mount it in the pod's own service, and set `external: true` here",
                "/app/compose.yml:3:7: `volumes.b.driver_opts`: a pod makes no volume in a way of its own, as `b` asks; declare it in the stack's own `volumes`, mount it in the pod's own service, and set `external: true` here",
                "/app/compose.yml:4:13: `volumes.c.name`: found a list; valid is the name of a volume",
                "/app/compose.yml:5:6: `volumes.d`: found `text`; valid is a mapping such as `{external: true}`",
                "/app/compose.yml:6:7: `volumes.e.extrenal`: this key is unknown; did you mean `external`?",
                "/app/compose.yml:7:17: `volumes.f.external`: found `perhaps`; valid is `true` or `false`",
                "/app/compose.yml:8:18: `volumes.g.external.nam`: this key is unknown; did you mean `name`?",
            ],
        ),
        (
            "services:\n  a: {image: '$', user: '${', working_dir: '${A', command: '${A!b}', labels: {a: '${:-b}', b: '$1'}}",
            &[
                "/app/compose.yml:2:25: `services.a.user`: found `${` without its closing brace; valid is one such as `${NAME:-default}`",
                "/app/compose.yml:2:44: `services.a.working_dir`: found `${A` without its closing brace; valid is one such as `${NAME:-default}`",
                "/app/compose.yml:2:60: `services.a.command`: found `${A!b}`; valid are `${NAME}`, and after the name `:-default`, `-default`, `:?error`, `?error`, `:+other` and `+other`",
                "/app/compose.yml:2:82: `services.a.labels.a`: found `${:-b}`; valid are `${NAME}`, and after the name `:-default`, `-default`, `:?error`, `?error`, `:+other` and `+other`",
            ],
        ),
        (
            "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, profiles: [off]}",
            &[
                "/app/compose.yml:2:30: `services.a.depends_on[0]`: none of the profiles of `b` is active; set `COMPOSE_PROFILES`, or leave the dependency out",
            ],
        ),
    ];
    let report = |text: &str| read_file("/app/compose.yml", text.as_bytes(), ENV).err();
    told(cases.iter().map(|(text, expected)| (*text, report(text), *expected)));
}

/// A service `b` with the second keys that extends one with the first, as if it had been written with the third.
#[rustfmt::skip]
const EXTENDED: &[(&str, &str, &str)] = &[
    ("tty: true", "user: a", "{tty: true, user: a}"),
    ("user: a", "user: b", "{user: b}"),
    ("user: a", "user:", "{user: a}"),
    ("command: [a, b]", "command: [c]", "{command: [c]}"),
    ("command: [a, b]", "command:", "{}"),
    ("entrypoint: a", "entrypoint: ~", "{}"),
    ("healthcheck: {test: a, interval: 5s}", "healthcheck: {test: , interval: }", "{healthcheck: {interval: 5s}}"),
    ("healthcheck: {test: a}", "healthcheck:", "{healthcheck: {test: a}}"),
    ("healthcheck: {test: a}", "healthcheck: {disable: true}", "{healthcheck: {disable: true}}"),
    ("environment: {BOTH: 1, B: 1}", "environment: {BOTH: }", "{environment: {BOTH: environment, B: 1}}"),
    ("environment: {BOTH: 1, B: 1}", "environment: [BOTH]", "{environment: {BOTH: environment, B: 1}}"),
    ("environment: {A: 1}", "environment:", "{environment: {A: 1}}"),
    ("labels: {a: 1}", "labels: {a: }", "{labels: {a: ''}}"),
    ("tty: true", "extends: {file: compose.yml, service: a}", "{tty: true}"),
    ("tty: true", "extends: {file: ./compose.yml, service: a}", "{tty: true}"),
    ("tty: true", "extends: {file: /app/../app/compose.yml, service: a}", "{tty: true}"),
    ("entrypoint: [a, b]", "entrypoint: c", "{entrypoint: c}"),
    ("healthcheck: {test: [CMD, a], interval: 5s}", "healthcheck: {test: [CMD, b]}", "{healthcheck: {test: [CMD, b], interval: 5s}}"),
    ("cap_add: [SYS_TIME]", "cap_add: [SYS_TIME, NET_ADMIN]", "{cap_add: [SYS_TIME, NET_ADMIN]}"),
    ("security_opt: ['label=user:a']", "security_opt: ['label=user:b']", "{security_opt: ['label=user:a', 'label=user:b']}"),
    ("environment: {A: 1, B: 1}", "environment: [B=2, C=3]", "{environment: {A: 1, B: 2, C: 3}}"),
    ("environment: [A=1, B=1]", "environment: [B=2, C=3]", "{environment: [A=1, B=2, C=3]}"),
    ("environment: [A=1, B=1]", "environment: {B: 2}", "{environment: [A=1, B=2]}"),
    ("labels: [a=1]", "labels: {a: 2}", "{labels: [a=2]}"),
    ("annotations: {a: 1}", "annotations: {b: 2}", "{annotations: {a: 1, b: 2}}"),
    ("sysctls: {net.core.somaxconn: 1}", "sysctls: [net.core.somaxconn=2]", "{sysctls: {net.core.somaxconn: 2}}"),
    ("env_file: a.env", "env_file: more.env", "{env_file: [a.env, more.env]}"),
    ("env_file: [a.env, more.env]", "env_file: [{path: a.env}]", "{env_file: [a.env, more.env]}"),
    ("label_file: a.env", "label_file: [more.env]", "{label_file: [a.env, more.env]}"),
    ("tmpfs: /run", "tmpfs: ['/tmp:size=1m', '/run/:size=2m']", "{tmpfs: ['/run:size=2m', '/tmp:size=1m']}"),
    ("volumes: ['a:/x', 'b:/y']", "volumes: ['c:/x/', '/z']", "{volumes: ['c:/x', 'b:/y', '/z']}"),
    ("volumes: ['a:/x']", "volumes: [{source: c, target: /x}]", "{volumes: [{source: c, target: /x}]}"),
    ("devices: ['/dev/null:/dev/a']", "devices: ['/dev/zero:/dev/a:r']", "{devices: ['/dev/zero:/dev/a:r']}"),
    ("secrets: [own]", "secrets: [{source: shop_db, target: /run/secrets/own}]", "{secrets: [{source: shop_db, target: own}]}"),
    ("configs: [app.conf]", "configs: [{source: app.conf, target: /app.conf, mode: 0400}]", "{configs: [{source: app.conf, mode: 0400}]}"),
    ("ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}", "ulimits: {nofile: 5}", "{ulimits: {nofile: 5, nproc: 3}}"),
    ("logging: {driver: json-file, options: {max-size: 1m}}", "logging: {options: {max-file: '2'}}", "{logging: {driver: json-file, options: {max-size: 1m, max-file: '2'}}}"),
    ("logging: {driver: json-file, options: {max-size: 1m}}", "logging: {driver: syslog}", "{logging: {driver: syslog}}"),
    ("deploy: {resources: {limits: {cpus: '1', memory: 64m}}}", "deploy: {resources: {limits: {memory: 32m}}}", "{deploy: {resources: {limits: {cpus: '1', memory: 32m}}}}"),
    ("depends_on: [other]", "depends_on: {other: {condition: service_healthy}}", "{depends_on: {other: {condition: service_healthy}}}"),
    ("depends_on: {other: {condition: service_healthy, required: false}}", "depends_on: [other]", "{depends_on: [other]}"),
    ("depends_on: {test: {condition: service_healthy}}", "depends_on: {test: {restart: true}}", "{depends_on: {test: {condition: service_healthy, restart: true}}}"),
    ("depends_on: [other]", "depends_on: [other]", "{depends_on: [other]}"),
    ("cap_add: [SYS_TIME]\n    tty: true", "cap_add: !reset []\n    tty: !reset null", "{}"),
    ("cap_add: [SYS_TIME]", "cap_add: !override [NET_ADMIN]", "{cap_add: [NET_ADMIN]}"),
    ("healthcheck: {test: a, interval: 5s}", "healthcheck: {test: !override b, interval: !reset 1s}", "{healthcheck: {test: b}}"),
    ("profiles: [one]", "profiles: [off]", "{}"),
    ("profiles: [off]", "profiles: !reset []", "{}"),
    ("user: a", "extends: ~\n    tty: !override ${YES:-true}", "{tty: true}"),
];

#[test]
fn what_is_extended_is_merged_as_compose_merges_it() {
    for (base, own, same) in EXTENDED {
        let extends = if own.starts_with("extends") { "" } else { "extends: a\n    " };
        let merged = format!(
            "services:\n  a:\n    image: a\n    profiles: [one]\n    {base}\n  b:\n    image: b\n    {extends}{own}\n  other: &other {{image: o, healthcheck: {{test: x}}}}\n  test: *other\n"
        );
        let merged = merged.replacen("    profiles: [one]\n", "", usize::from(base.starts_with("profiles")));
        let said = format!(
            "services:\n  b:\n    image: b\n    <<: {same}\n  other: &other {{image: o, healthcheck: {{test: x}}}}\n  test: *other\n"
        );
        let of = |text: &str| {
            let everything = Policy::everything();
            let read = read_under(&everything, "/app/compose.yml", text.as_bytes(), ENV);
            let (components, warnings) = read.unwrap_or_else(|report| panic!("{text}\n{report}"));
            let odd = warnings.iter().any(|warning| !warning.contains("nobody declares the volume"));
            assert!(!odd, "{text}\n{warnings:?}");
            components.into_iter().find(|component| component.name == "b").unwrap_or_else(|| panic!("{text}"))
        };
        assert_eq!(of(&merged), of(&said), "{merged}");
    }
}

#[test]
fn too_many_services_in_a_row_are_refused() {
    let chain: String =
        (0..40).map(|number| format!("  s{number}: {{extends: s{}}}\n", number + 1)).collect();
    let faults = run(&format!("services:\n{chain}  s40: {{image: a}}\n")).unwrap_err();
    let told = "/app/compose.yml:33:18: `services.s31.extends`: too many services extend one another; valid are up to 32 in a row";
    assert!(faults.contains(&told.to_owned()), "{faults:?}");
    let chain: String =
        (0..31).map(|number| format!("  s{number}: {{extends: s{}}}\n", number + 1)).collect();
    assert!(run(&format!("services:\n{chain}  s31: {{image: a}}\n")).is_ok());
}

#[test]
#[rustfmt::skip]
fn a_file_that_cannot_be_read_is_told_at_the_label() {
    let cases: &[(&str, &[u8], [&str; 1])] = &[
        (
            "compose.yml",
            b"",
            ["pod.compose.file: found `compose.yml`; valid is an absolute path of the task container"],
        ),
        ("", b"", ["pod.compose.file: found an empty string; valid is an absolute path of the task container"]),
        (
            "/app/none.yml",
            b"",
            ["pod.compose.file: `/app/none.yml` does not exist in the task container; valid is the path of a Compose file"],
        ),
        (
            "/app/compose.yml",
            b"\xff",
            ["pod.compose.file: `/app/compose.yml` is not UTF-8 text; valid is the path of a Compose file"],
        ),
    ];
    told(cases.iter().map(|(path, text, expected)| (*path, read_file(path, text, b"").err(), &expected[..])));
    let good = b"services: {a: {image: a}}";
    assert!(read_file("/app/compose.yml", good, b"A").is_ok());
    let cases: &[(&str, &[u8], [&str; 1])] = &[
        ("words", b"A=1\nB C=2\n", ["/app/.env:2:3: found something after a name that is not `=`; valid are lines such as `NAME=value`"]),
        ("an open quote", b"A='1", ["/app/.env:1:3: found a quote that is never closed; close it, or put the value between quotes of the other kind"]),
        ("bytes", b"\xff", ["/app/.env: the file is not UTF-8 text; valid is a file of `NAME=value` lines"]),
        ("no name", b"=1", ["/app/.env:1:1: found no name of a variable; valid are lines such as `NAME=value`"]),
    ];
    told(cases.iter().map(|(sentence, env, expected)| {
        (*sentence, read_file("/app/compose.yml", good, env).err(), &expected[..])
    }));
}

#[test]
fn volumes_that_are_not_declared_and_keys_that_mean_nothing_are_warned_of() {
    let text = "services: {a: {image: a, volumes: ['data:/a', 'dat:/b', 'theirs:/c']}}\nvolumes: {data: {labels: {a: b}, name: d}}";
    let (_, warnings) = run(text).unwrap();
    let told = [
        "/app/compose.yml: ignored: `volumes.data.labels`; a component cannot have these keys; those that it needs are the pod's own service's to have",
        "/app/compose.yml:1:47: `services.a.volumes[1]`: nobody declares the volume `dat`: the pod makes one of its own, `task.podlike.dat`; did you mean `data`?",
    ];
    assert_eq!(warnings, told);
}

#[test]
fn what_is_wrong_in_a_service_that_is_extended_is_told_though_it_does_not_run_itself() {
    let text = "services:\n  a: {image: a, profiles: [off], labels: [[b]], depends_on: [[c]]}\n  \
                b: {extends: a, profiles: !reset , labels: {d: e}, depends_on: {f: {}}}";
    let told = [
        "/app/compose.yml:2:43: `services.b.labels[0]`: found a list; valid is a string such as `NAME=value`",
        "/app/compose.yml:2:62: `services.b.depends_on[0]`: found a list; valid is the name of a component",
    ];
    assert_eq!(run(text).unwrap_err(), told);
}

#[test]
fn services_that_extend_a_large_one_are_bounded() {
    let large = "x,".repeat(9000);
    let many: String = (0..2000).map(|number| format!("  s{number}: {{extends: a}}\n")).collect();
    let text = format!("services:\n  a: {{image: a, command: [{large}]}}\n{many}");
    let told = "/app/compose.yml:13:8: `services.s10`: the services hold too many values by what they extend; valid are up to 100000 in all";
    assert_eq!(run(&text).unwrap_err(), [told]);
}

#[test]
fn podlike_bug_23_a_relative_bind_is_refused_in_words() {
    let faults = run("services:\n  a:\n    image: a\n    volumes: ['./rel:/x']").unwrap_err();
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
        let (components, warnings) = run(&file).unwrap_or_else(|faults| panic!("{file}\n{faults:#?}"));
        let want = FileSpec { source, target: target.into(), uid: 0, gid: 0, mode: 0o444 };
        assert_eq!((components[0].files.as_slice(), warnings.as_slice()), (&[want][..], &[][..]), "{file}");
    }
    // What nobody asks for may be missing.
    let file = "secrets: {a: {file: none}, b: {environment: NONE}}\nservices: {a: {image: a}}";
    assert_eq!(run(file).unwrap().0[0].files, []);
}

#[test]
fn what_is_secret_is_not_shown_by_accident() {
    assert_eq!(format!("{:?}", FileSource::Content("hunter2".into())), "Content(7 bytes)");
}
