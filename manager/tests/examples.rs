//! Every example is a pod that Tandem accepts, under the policies and with the flags that its page names; so are the examples
//! of Podlike. What also runs the project's: `pod::examples`, `swarm_docker`, `ingress_docker`.
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use definition::files::{FileFault, FileKind, Files};
use definition::labels;
use pod::policy::Level;
use pod::task_container::{TaskContainer, TaskMount};
use serde_yaml::Value;

/// The files of an example that may hold a pod.
const FORMS: [&str; 3] = ["stack.yml", "compose.yml", "compose.sibling.yml"];

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

/// The services of a stack or Compose file that are pods: their names, labels and mounts.
fn pods(file: &Path) -> Vec<TaskContainer> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let stack: Value =
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let services = stack["services"].as_mapping().expect("services");
    let mut found = Vec::new();
    for (name, service) in services {
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
        let name = name.as_str().expect("a name").to_owned();
        found.push(TaskContainer { name, mounts: mounts.collect(), labels, ..TaskContainer::default() });
    }
    found
}

#[test]
fn every_form_of_every_example_is_a_valid_pod() {
    for folder in examples() {
        for form in FORMS {
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

/// What `manager check` prints and the status with which it ends.
struct Checked {
    plan: String,
    words: String,
    status: Option<i32>,
}

/// Run `manager check` for a service of a stack or Compose file, with these flags of the manager.
fn check(file: &Path, service: &str, flags: &[&str]) -> Checked {
    let output = Command::new(env!("CARGO_BIN_EXE_manager"))
        .args(["check", "--stack", &file.display().to_string(), service, "--"])
        .args(flags)
        .env_clear()
        .output()
        .expect("the manager starts");
    let text = |bytes| String::from_utf8(bytes).expect("it writes UTF-8");
    Checked { plan: text(output.stdout), words: text(output.stderr), status: output.status.code() }
}

/// The controls that refused a pod.
fn controls(words: &str) -> BTreeSet<&str> {
    words.split("control `").skip(1).filter_map(|rest| rest.split('`').next()).collect()
}

/// The words of a text that are set as code.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_form_of_every_example_is_accepted_under_each_policy_with_the_flags_of_its_page() {
    for folder in examples() {
        let page = fs::read_to_string(folder.join("README.md")).expect("its page");
        let (_, table) = page
            .split_once("| `--policy` | flags of the manager |\n|---|---|\n")
            .unwrap_or_else(|| panic!("{}: its page names no flags", folder.display()));
        let rows = table.lines().take_while(|line| line.starts_with('|'));
        let rows: Vec<Vec<&str>> =
            rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
        let levels: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        assert_eq!(levels, Level::ALL.map(Level::as_str), "{}", folder.display());
        for (form, row) in FORMS.iter().flat_map(|form| rows.iter().map(move |row| (form, row))) {
            let file = folder.join(form);
            for task in fs::exists(&file).expect("the folder").then(|| pods(&file)).into_iter().flatten() {
                let (level, said) = (row[0].trim_matches('`'), row[1]);
                let place = format!("{} {}, {level}", file.display(), task.name);
                let named = code(said);
                let refused = said.starts_with("refused: ");
                let given = named.iter().filter(|_| !refused).flat_map(|flag| flag.split(' '));
                let flags: Vec<&str> = ["--policy", level].into_iter().chain(given).collect();
                let Checked { plan, words, status } = check(&file, &task.name, &flags);
                if refused {
                    assert_eq!((plan.as_str(), status), ("", Some(64)), "{place}: {words}");
                    assert_eq!(controls(&words), named.into_iter().collect(), "{place}: {words}");
                } else {
                    assert!(said == "none" || !named.is_empty(), "{place}: {said}");
                    assert_eq!(status, Some(0), "{place}: {words}");
                    assert!(!words.contains("not mounted"), "{place}: {words}");
                }
            }
        }
    }
}

/// An example of Podlike's in our words: the labels, mounts, flags and forms that it has; shorter programs.
struct Podlike {
    name: &'static str,
    stack: &'static str,
    /// The services that are pods, each with lines of its plan.
    pods: &'static [(&'static str, &'static [&'static str])],
}

/// All of Podlike's `examples/` that need no template. Of `sidecar-init` it is what the template makes.
const PODLIKE: [Podlike; 9] = [
    Podlike {
        name: "healthz",
        stack: r#"
version: '3.5'
services:
  pod:
    image: rycus86/podlike
    healthcheck: {start_period: 15s}
    ports: ["8080:8080"]
    volumes: ["shared:/var/shared", "/var/run/docker.sock:/var/run/docker.sock"]
    labels:
      pod.component.app: |
        image: rycus86/sample-jmx-app
        environment:
          - OUTPUT_TARGET=/var/shared/progress.txt
      pod.component.exporter: |
        image: rycus86/sample-jmx-exporter
        command: 5556 /var/conf/exporter.yml
      pod.component.goss: |
        image: rycus86/sample-jmx-healthz
volumes: {shared: }
"#,
        pods: &[("pod", &["image rycus86/sample-jmx-app", "variables: OUTPUT_TARGET"])],
    },
    Podlike {
        name: "logging",
        stack: r#"
version: '3.5'
services:
  pod:
    image: rycus86/podlike
    command: -logs -volumes=true
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro", "logs:/var/log"]
    labels:
      pod.component.logger: |
        image: python:2.7-alpine
        command: |
          python -c "
          import time

          with open('/var/log/example.log', 'a') as log:
              while True:
                  log.write('running')
                  time.sleep(1)
          "
      pod.component.tail: |
        image: alpine
        command: tail -F /var/log/example.log
volumes:
  logs: {name: 'app_logs_{{.Task.ID}}'}
"#,
        pods: &[("pod", &["volume logs at /var/log"])],
    },
    Podlike {
        name: "modernized",
        stack: r#"
version: '3.5'
services:
  aggregator:
    image: rycus86/podlike
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro", "logs:/var/log/apps"]
    labels:
      pod.component.app: |
        image: rycus86/sample-flask-base
        command: |
          python -c 'print("{% for name in names %}{{ name }}{% endfor %}")'
      pod.component.proxy: |
        image: traefik
        command: >
          --accesslog --accesslog.filepath=/var/log/apps/access.log
          --consulcatalog.constraints='tag==aggregated'
          --consulcatalog.frontendrule='PathPrefix: /{{.ServiceName}}'
      pod.component.tracing: |
        image: jaegertracing/jaeger-agent
        environment:
          COLLECTOR_HOST_PORT: jaeger-collector:14267
      pod.component.sd: |
        image: consul
        command: agent -join=sd-server -enable-script-checks
        environment:
          CONSUL_BIND_INTERFACE: eth0
          CONSUL_LOCAL_CONFIG: |
            {"services": [{"name": "local", "tags": ["rule=PathPrefix: /kv; ReplacePathRegex: ^/kv/(.*) /v1/$$1"]}]}
      pod.component.logging: |
        image: fluent/fluent-bit
        command: >
          /fluent-bit/bin/fluent-bit
            -i tail -p 'path=/var/log/apps/app.log' -t 'aggregator.app'
            -o forward -p 'host=logging-server' -m '*' -v
  static-files:
    image: rycus86/podlike
    command: -logs
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
    configs: [{source: config, target: /tmp/config.json}, {source: styles, target: /tmp/styles.css}]
    labels:
      pod.component.server: |
        image: nginx
      pod.copy.server: |
        /tmp/config.json: /usr/share/nginx/html/config.json
        /tmp/styles.css:  /usr/share/nginx/html/styles.css
volumes: {logs: }
configs: {config: {file: ./config.json}, styles: {file: ./styles.css}}
"#,
        pods: &[
            ("aggregator", &["image jaegertracing/jaeger-agent", "image fluent/fluent-bit"]),
            ("static-files", &["copy of /tmp/styles.css at /usr/share/nginx/html/styles.css"]),
        ],
    },
    Podlike {
        name: "service-mesh",
        stack: r#"
version: '3.5'
services:
  calc:
    image: rycus86/podlike
    command: -logs
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
    configs: [{source: app, target: /etc/apps/app.py}, {source: conf, target: /etc/conf/conf.json}]
    labels:
      pod.copy.app: /etc/apps/app.py:/app-server.py
      pod.component.app: |
        image: python:2.7-alpine
        command: python /app-server.py
      pod.component.traefik: |
        image: traefik
        command: >
          --consulcatalog.frontendrule='PathPrefix: /{{.ServiceName}}'
          --tracing.zipkin.httpendpoint=http://zipkin:9411/api/v1/spans
      pod.copy.consul-agent: /etc/conf/conf.json:/consul/config/conf.json
      pod.component.consul-agent: |
        image: consul
        command: agent -join=consul -enable-script-checks
        environment:
          CONSUL_BIND_INTERFACE: eth0
configs: {app: {file: ./app.py}, conf: {file: ./conf.json}}
"#,
        pods: &[("calc", &["copy of /etc/conf/conf.json at /consul/config/conf.json"])],
    },
    Podlike {
        name: "sidecar",
        stack: r#"
version: '3.5'
services:
  pod:
    image: rycus86/podlike
    command: -logs
    ports: ["8080:80"]
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
    configs: [{source: nginx, target: /var/conf/nginx.conf}]
    labels:
      pod.container.app: |
        image: rycus86/demo-site
        environment: [HTTP_HOST=127.0.0.1, HTTP_PORT=12000]
      pod.container.proxy: |
        image: nginx:1.13.10
      pod.copy.proxy: /var/conf/nginx.conf:/etc/nginx/conf.d/default.conf
configs: {nginx: {file: ./nginx.conf}}
"#,
        pods: &[("pod", &["copy of /var/conf/nginx.conf at /etc/nginx/conf.d/default.conf"])],
    },
    Podlike {
        name: "sidecar-init with an init component",
        stack: r#"
version: '3.5'
services:
  site:
    image: rycus86/podlike
    command: -logs
    ports: ["8080:80"]
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
    labels:
      pod.component.app: |
        image: rycus86/demo-site
        environment: [HTTP_HOST=127.0.0.1, HTTP_PORT=12000]
      pod.component.proxy: |
        image: nginx:1.13.10
        volumes: ["nginx-config:/etc/nginx/conf.d"]
      pod.init.components: |
        - image: rycus86/write
          depends_on: [testing]
          volumes: ["nginx-config:/etc/nginx/conf.d"]
          environment:
            NO_WAIT: "1"
            TARGET: /etc/nginx/conf.d/default.conf
            DATA: |
              server { location / { proxy_set_header Host $$host; } }
volumes: {nginx-config: }
"#,
        // The task container does not mount the volume: it is the pod's own.
        pods: &[("site", &["podlike.nginx-config at /etc/nginx/conf.d"])],
    },
    Podlike {
        name: "sidecar-init with depends_on",
        stack: r#"
version: '3.5'
services:
  site:
    image: rycus86/podlike
    command: -logs
    ports: ["8080:80"]
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
    labels:
      pod.component.proxy: |
        image: nginx:1.13.10
        volumes: ["nginx-config:/etc/nginx/conf.d"]
        depends_on:
          config-writer:
            condition: service_healthy
      pod.component.config-writer: |
        image: rycus86/write
        volumes: ["nginx-config:/etc/nginx/conf.d"]
        environment:
          TARGET: /etc/nginx/conf.d/default.conf
volumes: {nginx-config: }
"#,
        pods: &[("site", &["once config-writer is healthy"])],
    },
    Podlike {
        name: "signal",
        stack: r#"
version: '3.5'
services:
  pod:
    image: rycus86/podlike
    command: -logs -pids=true
    volumes: ["/var/run/docker.sock:/var/run/docker.sock", "pids:/var/pids"]
    labels:
      pod.component.hello: |
        image: python:2.7-alpine
        environment: [PYTHONUNBUFFERED=1]
        command: |
          python -c "
          import os
          open('/var/pids/hello', 'w').write(str(os.getpid()))
          "
        volumes:
          - hello-pids:/var/pids
volumes:
  pids:
    name: 'pids_{{.Task.ID}}'
    labels: {com.github.rycus86.podlike.volume-ref: hello-pids}
"#,
        pods: &[("pod", &["volume pids at /var/pids", "PIDs     shared"])],
    },
    Podlike {
        name: "volume",
        stack: r#"
version: '3.5'
services:
  pod:
    image: rycus86/podlike
    command: -logs -pids=true -volumes=true
    ports: ["8000:80", "5000:5000"]
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
      - pids:/var/run
      - nginx-config:/etc/nginx/conf.d
    labels:
      pod.component.webserver: |
        image: nginx:1.13.10
      pod.component.reloader: |
        image: python:2.7-alpine
        command: |
          python -c "
          import os, signal
          os.kill(int(open('/var/run/nginx.pid').read()), signal.SIGHUP)
          "
volumes: {pids: , nginx-config: }
"#,
        pods: &[("pod", &["volume pids at /var/run", "volume nginx-config at /etc/nginx/conf.d"])],
    },
];

#[test]
fn podlikes_examples_are_accepted_under_default_and_baseline_without_a_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stack.yml");
    for Podlike { name, stack, pods } in PODLIKE {
        fs::write(&file, stack).expect("written");
        for (service, lines) in pods {
            for level in ["default", "baseline"] {
                let Checked { plan, words, status } = check(&file, service, &["--policy", level]);
                assert_eq!(status, Some(0), "{name}, {service}, {level}: {words}");
                for line in *lines {
                    assert!(plan.contains(line), "{name}, {service}, {level}: `{line}` in {plan}{words}");
                }
                assert!(!plan.contains("docker.sock"), "{name}, {service}, {level}: {plan}");
            }
        }
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
