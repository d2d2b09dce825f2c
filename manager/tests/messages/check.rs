#![expect(clippy::disallowed_methods, reason = "writes what is to be checked")]
//! `manager check` as a user meets it: what it prints, where, and how it ends.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

/// Run `manager check` in a folder with these files.
fn check(files: &[(&str, &str)], args: &[&str]) -> Said {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("it is written");
    }
    run(folder.path(), args, "")
}

fn run(folder: &Path, args: &[&str], input: &str) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_manager"))
        .arg("check")
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("TAG", "1.27")
        // A flag of this process is not one of the service.
        .env("TANDEM_PIDS", "false")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the manager starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    // The folder is called differently in each run.
    let err = text(output.stderr).replace(&folder.display().to_string(), "/folder");
    Said {
        status: output.status.code(),
        out: text(output.stdout).replace(&folder.display().to_string(), "/folder"),
        err,
    }
}

#[track_caller]
fn is(said: &Said, status: i32, out: &str, err: &str) {
    assert_eq!((said.out.as_str(), said.err.as_str(), said.status), (out, err, Some(status)));
}

const STACK: &str = r#"
x-socket: &socket /var/run/docker.sock:/var/run/docker.sock
services:
  web:
    image: tandem/manager
    command: -logs -pids=false
    environment:
      TANDEM_STOP_TIMEOUT: 20s
      TANDEM_PIDS: "true"
    secrets: [db_password, {source: key, target: tls.key}]
    configs: [{source: nginx, target: /etc/tandem/nginx.conf}, {source: env, target: /etc/tandem/app.env}]
    volumes: [*socket, "data:/data"]
    labels:
      pod.component.app: |
        image: example/app:${TAG}
        command: ["serve", "--token", "hunter2"]
        env_file: [/etc/tandem/app.env, /srv/other.env]
        environment: {PASSWORD: hunter2, SHELL: $$HOME}
        secrets: [db_password, {source: tls.key, uid: "1000", mode: 0400}]
        volumes: [shared:/data:ro, /srv/host:/host, /cache]
        tmpfs: /tmp
        deploy: {resources: {limits: {cpus: "0.5", memory: 64m, pids: 100}}}
        healthcheck: {test: "true", interval: 1m30s}
        stop_grace_period: 3s
        post_start: [{command: ./register --token hunter2}]
        user: app
        read_only: true
        cap_drop: [ALL]
        cap_add: [NET_ADMIN]
      pod.component.proxy: |
        image: nginx:${TAG}
        pull_policy: always
        depends_on: {app: {condition: service_healthy}}
      pod.copy.proxy: /etc/tandem/nginx.conf:/etc/nginx/nginx.conf
      other.label: is none of ours
volumes:
  data:
    labels: {com.github.rycus86.podlike.volume-ref: shared}
secrets:
  db_password: {external: true}
  key: {file: ./key.pem}
configs:
  nginx: {file: ./nginx.conf}
  env: {file: ./app.env}
"#;

#[test]
fn a_sound_stack_is_told_as_a_plan_without_what_may_be_secret() {
    let said = check(&[("stack.yml", STACK), ("app.env", "MODE=fast\n")], &["--stack", "stack.yml", "web"]);
    let want = "The pod of the service `web` in stack.yml

Namespaces
  network  the task container's
  PIDs     each component its own
  IPC      shared, a sandbox's

Start
  1.  app    image example/app:1.27
             health check every 1m30s
             post_start: ./register
             /run/secrets/db_password at /run/secrets/db_password, 0444 0:0
             /run/secrets/tls.key at /run/secrets/tls.key, 0400 1000:0
             volume data at /data, read-only
             /srv/host of the host at /host
             new volume at /cache
             memory at /tmp
             variables: MODE PASSWORD SHELL
             user: app
             limits: memory 64 MiB, 0.5 CPUs, 100 processes
             cap_add: NET_ADMIN
             cap_drop: ALL
             read-only root
  2.  proxy  image nginx:1.27, always pulled
             once app is healthy
             copy of /etc/tandem/nginx.conf at /etc/nginx/nginx.conf

Stop, within 20s
  proxy; then app (3s)

Not checked: files of the task container
  /srv/other.env
";
    is(&said, 0, want, "");
}

#[test]
fn every_fault_of_a_stack_is_told_at_once() {
    let stack = STACK
        .replace("-pids=false", "-volumes")
        .replace("secrets: [db_password, {source: key", "secrets: [{source: key")
        .replace("tmpfs: /tmp", "tmpfs: tmp");
    let said = check(&[("stack.yml", &stack), ("app.env", "=fast\n")], &["--stack", "stack.yml", "web"]);
    let want = "3 faults in the pod's definition
  pod.component.app:5:11: `secrets[0]`: the task container has no secret `db_password`; in `/run/secrets` there is \
                `tls.key`: give it to the pod's own service (`secrets`)
  pod.component.app:7:8: `tmpfs`: found the target `tmp`; valid is an absolute path of the component such as `/data`
  /etc/tandem/app.env:1:1: found no name of a variable; valid are lines such as `NAME=value`
";
    is(&said, 64, "", want);
}

#[test]
fn labels_where_swarm_does_not_look_for_them_are_found() {
    let stack = "services:\n  web:\n    image: a\n    deploy:\n      labels:\n        pod.component.app: 'image: a'\n  \
                 list:\n    deploy: {labels: ['pod.component.app=image: a']}\n";
    let files = [("stack.yml", stack)];
    let remedy = "write it under the service's own `labels`, beside `image`: those are its containers'";
    is(
        &check(&files, &["--stack", "stack.yml", "web"]),
        64,
        "",
        &format!(
            "1 fault in the pod's definition\n  stack.yml:6:9: `services.web.deploy.labels[\"pod.component.app\"]`: found the \
             label `pod.component.app`, which is one of the service alone; {remedy}\n"
        ),
    );
    is(
        &check(&files, &["--stack", "stack.yml", "list"]),
        64,
        "",
        &format!(
            "1 fault in the pod's definition\n  stack.yml:8:23: `services.list.deploy.labels[0]`: found the label \
             `pod.component.app`, which is one of the service alone; {remedy}\n"
        ),
    );
}

#[test]
fn what_else_can_be_wrong_with_a_stack() {
    let pod = "    labels: {pod.component.app: 'image: a'}\n";
    let with = |keys: &str| format!("services:\n  web:\n{keys}{pod}");
    for (stack, service, status, err) in [
        (
            "services: {}".to_owned(),
            "web",
            64,
            "1 fault in the pod's definition\n  stack.yml: the file has no service; valid is a stack file with `services`\n",
        ),
        (
            with(""),
            "wep",
            64,
            "1 fault in the pod's definition\n  stack.yml: there is no service `wep`; did you mean `web`?\n",
        ),
        (
            with("    command: [--pidz]\n"),
            "web",
            64,
            "the manager's flags for the service `web` in stack.yml: unexpected argument '--pidz' found\n",
        ),
        (
            with("    command: healthcheck\n"),
            "web",
            64,
            "the manager's flags for the service `web` in stack.yml: it runs no pod\n",
        ),
        (
            with("    environment: [TANDEM_PAUSE=moon]\n"),
            "web",
            64,
            "the service `web` in stack.yml runs no pod of its own, but that of the container `moon` (`--pause`), whose labels define it: check that one, with the flags behind `--`\n",
        ),
        (
            with("    environment: ['TANDEM_PAUSE=service:']\n"),
            "web",
            64,
            "the manager's flags for the service `web` in stack.yml: invalid value 'service:' for '--pause <WHICH>': valid are `auto`, `sandbox`, `task`, the name of a pause container, and `service:NAME`\n",
        ),
        (
            with("    command: $ALAS${\n"),
            "web",
            64,
            "1 fault in the pod's definition\n  stack.yml:3:14: `services.web.command`: found `${` without its closing brace; valid is one such as `${NAME:-default}`\n",
        ),
        (
            with("    command: --pause task\n    volumes: ['/run:/var/run']\n"),
            "web",
            64,
            "`--pause task` with PIDs shared shows the manager's processes to the components: the task container must run as a user other than root, or with `cap_drop: [DAC_OVERRIDE]`; use `--pause sandbox` (the default), or `--pids=false`\n`--pause task` cannot share the IPC namespace of the task container, whose IPC mode is `private`: use `--pause sandbox` (the default), `--ipc=false`, or start it with `ipc: shareable` (Swarm cannot)\n",
        ),
        (
            with(""),
            "web",
            0,
            "warning: stack.yml:3:5: `services.web`: the engine's socket is not mounted; the manager needs it: add `/var/run/docker.sock:/var/run/docker.sock` to the service's `volumes`, or set `DOCKER_HOST`\n",
        ),
    ] {
        let said = check(&[("stack.yml", &stack)], &["--stack", "stack.yml", service]);
        assert_eq!((said.err.as_str(), said.status), (err, Some(status)), "{stack}");
        assert_eq!(said.out.is_empty(), status != 0, "{}", said.out);
    }
}

#[test]
fn the_operators_policy_counts_from_a_file_too() {
    let stack = |flags: &str, configs: &str| {
        format!(
            "services:\n  web:\n    image: tandem/manager\n    command: {flags}\n    volumes: \
             ['/var/run/docker.sock:/var/run/docker.sock']\n    configs: [{configs}]\n    labels:\n      \
             pod.component.app: '{{image: a, privileged: true}}'\nconfigs:\n  policy: {{file: policy.yml}}\n"
        )
    };
    let given = "{source: policy, target: /etc/policy.yml}";
    for (flags, configs, policy, status, words) in [
        ("--policy-file /etc/policy.yml", given, "allow: [privileged]\n", 0, ""),
        (
            "--policy-file /etc/policy.yml",
            given,
            "policy: strict\n",
            64,
            "start the manager with `--allow privileged`",
        ),
        ("--policy-file /etc/policy.yml --allow-privileged", given, "policy: strict\n", 0, ""),
        (
            "--policy-file /etc/policy.yml",
            given,
            "allow: [everything]\n",
            64,
            "/etc/policy.yml:1:9: `allow[0]`: found `everything`; valid are `capabilities`, `engine-socket`,",
        ),
        ("--policy-file /etc/policy.yml", "", "", 64, "the policy file `/etc/policy.yml` "),
        ("--policy-file /etc/policy.yml --allow-privileged", "", "", 0, "cannot be seen from here"),
    ] {
        let files = [("stack.yml", &*stack(flags, configs)), ("policy.yml", policy)];
        let said = check(&files, &["--stack", "stack.yml", "web"]);
        assert_eq!(said.status, Some(status), "{flags} {policy}: {}", said.err);
        assert!(said.err.contains(words), "{flags} {policy}: {}", said.err);
        assert_eq!(said.err.is_empty(), words.is_empty(), "{flags} {policy}: {}", said.err);
    }
}

#[test]
fn a_pod_whose_manager_is_elsewhere_is_checked_as_that_one_would() {
    let stack = "services:\n  pod:\n    image: tandem/pause\n    stdin_open: true\n    labels: {pod.component.app: 'image: a'}\n";
    let said = check(&[("stack.yml", stack)], &["--stack", "stack.yml", "pod"]);
    let plan = "The pod of the service `pod` in stack.yml

Namespaces
  network  the task container's
  PIDs     shared, the task container's
  IPC      shared, a sandbox's

Start
  1.  app  image a

Stop, within 6s
  app
";
    is(&said, 0, plan, "");
    let flags = ["--stack", "stack.yml", "pod", "--", "--pause", "service:pod", "--ipc=false"];
    let said = check(&[("stack.yml", stack)], &flags);
    is(&said, 0, &plan.replace("shared, a sandbox's", "each component its own"), "");
}

#[test]
fn labels_are_read_in_every_form() {
    let plan = "The pod of NAME

Namespaces
  network  the task container's
  PIDs     shared, a sandbox's
  IPC      each component its own

Start
  1.  app  image a

Stop, within 6s
  app
";
    let plan = |name: &str| plan.replace("NAME", name);
    for text in [
        "pod.component.app: |\n  image: a\nother: b\n",
        "- \"pod.component.app=image: a\"\n- other=b\n",
        r#"{"pod.component.app": "image: a\n", "other": "b"}"#,
    ] {
        let said = check(&[("labels.yml", text)], &["--labels", "labels.yml", "--", "-ipc=false"]);
        is(&said, 0, &plan("the labels in labels.yml"), "");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let said = run(folder.path(), &["--labels", "-", "--", "-ipc=false"], "{pod.component.app: 'image: a'}");
    is(&said, 0, &plan("the labels in standard input"), "");
}

#[test]
fn faults_of_labels() {
    for (text, err) in [
        (
            "pod.component.app: 'imag: a'",
            "2 faults in the pod's definition\n  pod.component.app:1:1: `image` is missing; valid is one such as `image: nginx:1.27`\n  pod.component.app:1:1: `imag`: this key is unknown; did you mean `image`?\n",
        ),
        (
            "a: b",
            "1 fault in the pod's definition\n  labels: the pod has no component; valid is at least one label `pod.component.<name>` on the container itself (in a stack: `labels`, not `deploy.labels`)\n",
        ),
        (
            "a: [",
            "1 fault in the pod's definition\n  labels.yml:2:1: not YAML: did not find expected node content, while parsing a flow node; valid is YAML, such as `image: nginx`\n",
        ),
        (
            "text",
            "1 fault in the pod's definition\n  labels.yml:1:1: found a string; valid is a mapping such as `name: value`, or a list of `name=value`\n",
        ),
    ] {
        is(&check(&[("labels.yml", text)], &["--labels", "labels.yml"]), 64, "", err);
    }
    is(&check(&[], &["--labels", "none.yml"]), 64, "", "cannot check `none.yml`: there is no such file\n");
}

#[test]
fn a_compose_file_is_checked_with_what_lies_beside_it() {
    let compose =
        "services:\n  app:\n    image: app:${VERSION}\n    env_file: [app.env, later.env]\n    ports: [80]\n";
    let files = [("compose.yml", compose), (".env", "VERSION=7\n"), ("app.env", "MODE=fast\n")];
    let said = check(&files, &["--compose", "compose.yml"]);
    let want = "The pod of the Compose file /folder/compose.yml

Namespaces
  network  the task container's
  PIDs     shared, a sandbox's
  IPC      shared, a sandbox's

Start
  1.  app  image app:7
           variables: MODE

Stop, within 6s
  app

Not checked: files of the task container
  /folder/later.env
";
    let warning = "warning: /folder/compose.yml: ignored: `app.ports`; a component cannot have these keys; those that it \
                   needs are the pod's own service's to have\n";
    is(&said, 0, want, warning);

    let broken = [("compose.yml", "services: {app: {imag: a}}")];
    let said = check(&broken, &["--compose", "compose.yml"]);
    assert_eq!((said.out.as_str(), said.status), ("", Some(64)));
    assert!(
        said.err.contains("/folder/compose.yml:1:18: `services.app.imag`: this key is unknown; did you mean"),
        "{}",
        said.err
    );
}

#[test]
fn a_compose_file_in_the_task_container_is_checked_by_itself() {
    let labels = [("labels.yml", "pod.compose.file: /app/compose.yml")];
    let want = "1 fault in the pod's definition\n  pod.compose.file: `/app/compose.yml` is not at hand; check the file \
                itself with `manager check --compose`\n";
    is(&check(&labels, &["--labels", "labels.yml"]), 64, "", want);
}

#[test]
fn an_engine_that_is_not_there_is_said_at_once() {
    let said = check(&[], &["--container", "pod", "--docker-host", "unix:///none.sock"]);
    let want = "the engine does not answer: unix:///none.sock: No such file or directory (os error 2)\n";
    is(&said, 69, "", want);
}

#[test]
fn the_examples_are_sound() {
    let examples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/sidecar"));
    for file in ["stack.yml", "compose.yml"] {
        let said = run(examples, &["--stack", file, "pod"], "");
        assert_eq!((said.err.as_str(), said.status), ("", Some(0)), "{}", said.out);
        assert!(said.out.contains("once app is healthy"), "{}", said.out);
    }
}

#[test]
fn the_plan_in_the_readme_is_that_of_its_stack() {
    let readme = include_str!("../../../README.md");
    let block = |fence: &str, after: &str| {
        let text = readme.split(after).nth(1).and_then(|rest| rest.split(fence).nth(1)).expect("a block");
        text.split("```").next().expect("its end").to_owned()
    };
    let stack = block("```yaml\n", "## A stack to copy");
    let said = check(&[("stack.yml", &stack)], &["--stack", "stack.yml", "web"]);
    is(&said, 0, &block("```text\n", "## Check before you deploy"), "");
}

#[test]
fn a_component_that_asks_for_more_than_its_task_has_is_told_for_each_key() {
    let stack = r#"
services:
  web:
    image: tandem/manager
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
    deploy: {resources: {limits: {cpus: "0.5", memory: 64m, pids: 100}}}
    labels:
      pod.component.app: |
        image: app
        mem_limit: 128m
        cpus: 0.75
        pids_limit: -1
      pod.component.log: |
        image: log
        deploy: {resources: {limits: {memory: 64m, pids: 101}}}
        memswap_limit: 129m
      pod.init.components: |
        - image: init
          mem_reservation: 65m
          cpu_quota: 80ms
"#;
    let said = check(&[("stack.yml", stack)], &["--stack", "stack.yml", "web"]);
    let want = "7 faults in the pod's definition
  pod.component.app:2:12: `mem_limit`: found 128 MiB, and the task has 64 MiB; REST
  pod.component.app:3:7: `cpus`: found 0.75 CPUs, and the task has 0.5 CPUs; REST
  pod.component.app:4:13: `pids_limit`: found no limit, and the task has 100 processes; REST
  pod.component.log:2:44: `deploy.resources.limits.pids`: found 101 processes, and the task has 100 processes; REST
  pod.component.log:3:16: `memswap_limit`: found 129 MiB, and the task has 128 MiB; REST
  pod.init.components:2:20: `[0].mem_reservation`: found 65 MiB, and the task has 64 MiB; REST
  pod.init.components:3:14: `[0].cpu_quota`: found 0.8 CPUs, and the task has 0.5 CPUs; REST
";
    let rest = "a component is within its task: ask for less, or raise the limit of the pod's own service";
    is(&said, 64, "", &want.replace("REST", rest));
}
