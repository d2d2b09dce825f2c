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
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is made");
        fs::write(path, text).expect("it is written");
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
    stop_grace_period: 24s
    environment:
      TANDEM_STOP_TIMEOUT: 20s
      TANDEM_PIDS: "true"
    secrets: [db_password, {source: key, target: tls.key}]
    configs: [{source: nginx, target: /etc/tandem/nginx.conf}, {source: env, target: /etc/tandem/app.env}]
    volumes: [*socket, "data:/data", "/srv/host:/mnt"]
    cap_add: [NET_ADMIN]
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
             command: serve (and 2 arguments)
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

Stop, within 20s of the service's 24s
  proxy; then app (3s)

Not checked: files of the task container
  /srv/other.env

Not checked: health checks of images
  nginx:1.27
";
    is(&said, 0, want, "");
}

#[test]
fn every_fault_of_a_stack_is_told_at_once() {
    let stack = STACK
        .replace("-pids=false", "-volumes")
        .replace("secrets: [db_password, {source: key", "secrets: [{source: key")
        .replace("tmpfs: /tmp", "tmpfs: tmp")
        // What the pod's own service has no more.
        .replace(", \"/srv/host:/mnt\"]", "]")
        .replacen("    cap_add: [NET_ADMIN]\n", "", 1);
    let said = check(&[("stack.yml", &stack), ("app.env", "=fast\n")], &["--stack", "stack.yml", "web"]);
    let want = "5 faults in the pod's definition
  pod.component.app:5:11: `secrets[0]`: the task container has no secret `db_password`; in `/run/secrets` there is \
                `tls.key`: give it to the pod's own service (`secrets`)
  pod.component.app:6:28: `volumes[1]`: found `/srv/host` of the host, which the task container does not mount; mount it \
                into the pod's own service (`volumes: ['/srv/host:/host']`), or start the manager with `--allow \
                host-paths=/srv/host`
  pod.component.app:7:8: `tmpfs`: found the target `tmp`; valid is an absolute path of the component such as `/data`
  pod.component.app:15:10: `cap_add`: found `NET_ADMIN`, which is none of Docker's default capabilities, nor the task \
                container's; add it to `cap_add` of the pod's own service, or start the manager with `--allow \
                capabilities=NET_ADMIN`
  /etc/tandem/app.env:1:1: found no name of a variable; valid are lines such as `NAME=value`
one flag for the manager that allows all that can be allowed: --allow capabilities=NET_ADMIN,host-paths=/srv/host
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
            "policy: default\n",
            64,
            "start the manager with `--allow privileged`",
        ),
        ("--policy-file /etc/policy.yml --allow-privileged", given, "policy: default\n", 0, ""),
        (
            "--policy-file /etc/policy.yml --allow-privileged",
            given,
            "policy: strict\n",
            64,
            "`privileged`: found `true` (`--policy baseline`, control `privileged`); leave it out\n",
        ),
        (
            "--policy-file /etc/policy.yml --policy restricted",
            given,
            "policy: baseline\n",
            64,
            "(`--policy restricted`, control `allowPrivilegeEscalation`); ",
        ),
        (
            "--policy-file /etc/policy.yml",
            given,
            "allow: [everything]\n",
            64,
            "/etc/policy.yml:1:9: `allow[0]`: found `everything`; valid are `annotations`, `capabilities`, `engine-socket`, `host-network`, `host-paths`, `host-users`, `local-registries`, `log-drivers`, `privileged`, `raw-devices`, `runtimes`, `unconfined`, `capabilities=NAME`, `devices=PATH`, `host-paths=PATH[:ro]`, `volume-drivers=NAME` and `volumes=NAME`\n",
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

/// What the pod's own service has in a Compose file, its components may have: the check says so as the run does.
#[test]
fn what_the_service_has_its_components_may_have() {
    let stack = r#"
services:
  web:
    image: registry.example.com/tandem/manager
    volumes:
    - "/var/run/docker.sock:/var/run/docker.sock"
    - {type: bind, source: /srv/a, target: /srv/a, bind: {propagation: rslave, recursive: disabled}}
    devices: [/dev/kvm]
    device_cgroup_rules: ["c 10:232 rwm"]
    security_opt: ["label:type:container_kvm_t"]
    runtime: runsc
    logging: {driver: syslog, options: {tag: x}}
    labels:
      pod.component.app: |
        image: registry.example.com/app
        volumes: [{type: bind, source: /srv/a, target: /a, bind: {propagation: rslave, recursive: disabled}}]
        devices: [/dev/kvm]
        device_cgroup_rules: ["c 10:232 rwm"]
        security_opt: ["label:type:container_kvm_t"]
        runtime: runsc
        logging: {driver: syslog, options: {tag: x}}
"#;
    for level in ["default", "baseline"] {
        let args = ["--stack", "stack.yml", "web", "--", "--policy", level];
        let said = check(&[("stack.yml", stack)], &args);
        assert_eq!((said.err.as_str(), said.status), ("", Some(0)), "{level}");
    }
    let without = |keys: &[&str]| {
        let (own, pod) = stack.split_once("    labels:").expect("labels");
        let kept = own.lines().filter(|line| !keys.iter().any(|key| line.trim().starts_with(key)));
        format!("{}\n    labels:{pod}", kept.collect::<Vec<_>>().join("\n"))
    };
    let bare = without(&["- {type", "devices", "device_cgroup_rules", "security_opt", "runtime", "logging"]);
    let said = check(&[("stack.yml", &bare)], &["--stack", "stack.yml", "web"]);
    let want = "6 faults in the pod's definition
  pod.component.app:2:11: `volumes[0]`: found `/srv/a` of the host, which the task container does not mount; mount it into \
                the pod's own service (`volumes: ['/srv/a:/a:rslave']`)
  pod.component.app:3:10: `devices`: found `/dev/kvm`, which the task container does not have; give it to the pod's own \
                service, or start the manager with `--allow devices=/dev/kvm`
  pod.component.app:4:22: `device_cgroup_rules`: found `c 10:232 rwm`, which opens devices that the task container does not \
                have; name less, or start the manager with `--allow raw-devices`
  pod.component.app:5:15: `security_opt`: found `label=type:container_kvm_t`, which switches off or replaces what protects \
                the host; leave it out, or give the pod's own service the same option, or start the manager with `--allow \
                unconfined`
  pod.component.app:6:10: `runtime`: found `runsc`, which is not the runtime of the task container; valid is `runc`, or the \
                runtime of the pod's own service, or start the manager with `--allow runtimes`
  pod.component.app:7:10: `logging`: found the driver `syslog`, which may send lines to sockets of the host; valid are \
                `json-file`, `local` and `none` with `max-size` (1m at least), `max-file` (20 at most), `compress`, `mode` and \
                `max-buffer-size` (4m at most), or exactly what the pod's own service has, or start the manager with `--allow \
                log-drivers`
one flag for the manager that allows all that can be allowed: --allow log-drivers,raw-devices,runtimes,unconfined,devices=/dev/kvm
";
    is(&said, 64, "", want);
    let shared =
        stack.replace("runtime: runsc\n    logging", "network_mode: host\n    pid: host\n    logging");
    let said = check(
        &[("stack.yml", &shared.replace("        runtime: runsc\n", ""))],
        &["--stack", "stack.yml", "web", "--", "--policy", "baseline"],
    );
    let of = |key: &str| {
        format!(
            "the task container has `{key}: host`, and components join its namespaces (`--policy baseline`, control \
             `hostNamespaces`): leave it out\n"
        )
    };
    is(&said, 64, "", &["network", "pid"].map(of).concat());
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

Stop, within 6s of the service's 10s
  app

Not checked: health checks of images
  a
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

Not checked: health checks of images
  a
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
            "1 fault in the pod's definition\n  pod.component.app:1:1: `imag`: this key is unknown; did you mean `image`?\n",
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

Not checked: health checks of images
  app:7
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
fn files_that_a_compose_file_includes_or_extends_are_checked_with_it() {
    let compose = "include: [db/compose.yml]\nservices:\n  app:\n    extends: {file: base.yml, service: base}\n    depends_on: [db]\n";
    let files = [
        ("compose.yml", compose),
        ("base.yml", "services: {base: {image: app}}\n"),
        ("db/compose.yml", "services: {db: {image: 'db:$LABEL', env_file: db.env}}\n"),
        ("db/.env", "LABEL=7\n"),
        ("db/db.env", "MODE=fast\n"),
    ];
    let said = check(&files, &["--compose", "compose.yml"]);
    assert_eq!((said.err.as_str(), said.status), ("", Some(0)), "{}", said.out);
    for part in ["1.  db   image db:7\n", "variables: MODE\n", "2.  app  image app\n"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    let said = check(&[("compose.yml", "include: [/elsewhere/db.yml]\n")], &["--compose", "compose.yml"]);
    let want = "1 fault in the pod's definition\n  /folder/compose.yml:1:11: `include[0]`: `/elsewhere/db.yml` is not at \
                hand; put it where the check finds it: in the folder of the Compose file, or below\n";
    is(&said, 64, "", want);
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
fn each_plan_in_the_documentation_is_that_of_its_stack() {
    let block = |page: &str, fence: &str, after: &str| {
        let text = page.split(after).nth(1).and_then(|rest| rest.split(fence).nth(1)).expect("a block");
        text.split("```").next().expect("its end").to_owned()
    };
    let swarm = include_str!("../../../docs/guides/swarm.md");
    let stack = block(swarm, "```yaml\n", "## A stack to copy");
    let said = check(&[("stack.yml", &stack)], &["--stack", "stack.yml", "web"]);
    let page = include_str!("../../../docs/guides/check.md");
    is(&said, 0, &block(page, "```text\n", "# Check before you deploy"), "");

    let readme = include_str!("../../../README.md");
    let stack = block(readme, "```yaml\n", "## The same on Swarm");
    let said = check(&[("stack.yml", &stack)], &["--stack", "stack.yml"]);
    let plan = block(readme, "```text\n", "## Check before you deploy");
    is(&said, 0, &plan.replace("/w/stack.yml", "stack.yml"), "");
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

#[test]
fn a_grace_period_that_cannot_hold_is_a_fault() {
    let stack = |keys: &str, label: &str, component: &str| {
        format!(
            "services:\n  web:\n    image: tandem/manager\n    volumes: ['/var/run/docker.sock:/var/run/docker.sock']\n\
             {keys}    labels:\n{label}      pod.component.app: '{{image: a{component}}}'\n"
        )
    };
    let long = "      pod.stop_grace_period: 20s\n";
    let of_service = |stop: &str, grace: &str| {
        format!(
            "the stop of the pod takes up to {stop} (`pod.stop_grace_period`, or `--stop-timeout` of the manager), and \
             Docker kills the service after {grace} (its `stop_grace_period`, 10s by default): "
        )
    };
    let of_component = "`app`: `stop_grace_period` is 1m, and the whole pod is killed 6s after the begin of its stop: ask for \
                        less, or raise the pod's time (`pod.stop_grace_period`, or `--stop-timeout` of the manager) and the \
                        `stop_grace_period` of the pod's own service, which has to be 4s longer\n";
    for (stack, status, err) in [
        (stack("", "", ""), 0, String::new()),
        (stack("    stop_grace_period: 24s\n", long, ", stop_grace_period: 20s"), 0, String::new()),
        (
            stack("", long, ""),
            64,
            of_service("20s", "10s") + "set the latter to 24s, or the former to less\n",
        ),
        (
            stack("    stop_grace_period: 22s\n", long, ""),
            0,
            "warning: ".to_owned()
                + &of_service("20s", "22s")
                + "set the latter to 24s, so that the manager can remove what it killed\n",
        ),
        (stack("", "", ", stop_grace_period: 1m"), 64, of_component.to_owned()),
    ] {
        let said = check(&[("stack.yml", &stack)], &["--stack", "stack.yml", "web"]);
        assert_eq!((said.err.as_str(), said.status), (err.as_str(), Some(status)), "{stack}");
    }
    // Without a stack nobody knows the grace period of the service, but the pod's own.
    let labels = "pod.stop_grace_period: 20s\npod.component.app: '{image: a, stop_grace_period: 1m}'\n";
    let said = check(&[("labels.yml", labels)], &["--labels", "labels.yml"]);
    is(&said, 64, "", &of_component.replace("killed 6s", "killed 20s"));
}

/// Several pods and services that are none, each for another reason.
const MANY: &str = r#"
x-podlike:
  old: {pod: {inline: "x"}}
services:
  web:
    image: tandem/manager:1
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
    labels: ["pod.component.app=image: a"]
  bare:
    image: registry.example.com/tandem/pause
    labels: {pod.component.app: 'image: b'}
  broken:
    image: tandem/manager
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
    labels: {pod.component.app: 'imag: a'}
  foreign:
    image: nginx:1.27
    labels: {pod.component.app: 'image: c'}
  hosted:
    image: tandem/pause
    stdin_open: true
    networks: [outside]
    labels: {pod.component.app: 'image: d'}
  empty:
    image: tandem/manager
  agent: {image: tandem/manager, command: agent --logs}
  sibling: {image: tandem/manager, command: "--pause service:bare"}
  holder: {image: tandem/pause}
  old: {image: demo/old}
  db: {image: "postgres:17"}
networks:
  outside: {external: true, name: host}
"#;

const OTHERS: &str = "No pods
  agent    a manager, of the pods of its node (`agent`)
  sibling  a manager, of the pod of a container of the service `bare`
  holder   a bare `pause` without labels `pod.*`
  old      its pod is made of `x-podlike` by `podlike template`: check the stack that it prints
  db       no label `pod.*`
";

#[test]
fn without_a_service_every_pod_of_the_stack_is_checked_and_the_rest_is_listed() {
    let said = check(&[("stack.yml", MANY)], &["--stack", "stack.yml"]);
    let titles: Vec<&str> = said.out.lines().filter(|line| line.starts_with("The pod of")).collect();
    let title = |name: &str| format!("The pod of the service `{name}` in stack.yml");
    assert_eq!(titles, ["web", "bare", "foreign"].map(title), "{}", said.out);
    assert!(said.out.ends_with(&format!("\n\n{OTHERS}")), "{}", said.out);
    let faults = "the service `bare` in stack.yml:
warning: stack.yml:10:5: `services.bare`: found a bare `pause` without `stdin_open`; the manager speaks to `pause` through \
                  its standard input, and refuses the pod without it: add `stdin_open: true`
the service `broken` in stack.yml:
1 fault in the pod's definition
  pod.component.app:1:1: `imag`: this key is unknown; did you mean `image`?
the service `foreign` in stack.yml:
warning: stack.yml:17:5: `services.foreign`: found labels `pod.*` and the image `nginx:1.27`, which is none of Tandem's by \
                  its name; the labels take effect where the image is `tandem/manager`, or `tandem/pause` with a manager \
                  elsewhere
the service `hosted` in stack.yml:
the task container is on the host's network, where components would reach every socket of the host, those of container \
                  runtimes among them: give it a network of its own, or start the manager with `--allow host-network`
the service `empty` in stack.yml:
1 fault in the pod's definition
  labels: the pod has no component; valid is at least one label `pod.component.<name>` on the container itself (in a stack: \
                  `labels`, not `deploy.labels`)
";
    assert_eq!((said.err.as_str(), said.status), (faults, Some(64)));

    let allowed = ["--stack", "stack.yml", "hosted", "--allow", "host-network"];
    let said = check(&[("stack.yml", MANY)], &allowed);
    assert!(
        said.out.contains("  network  the host's, as the task container's\n"),
        "{}{}",
        said.out,
        said.err
    );

    let none = check(&[("stack.yml", "services: {db: {image: a}}")], &["--stack", "stack.yml"]);
    let words = "there is no pod in stack.yml: no service of it has labels `pod.*`\n";
    is(&none, 64, "No pods\n  db  no label `pod.*`\n", words);
    let none = check(&[("stack.yml", "services: {}")], &["--stack", "stack.yml"]);
    let words = "1 fault in the pod's definition\n  stack.yml: the file has no service; valid is a stack file with `services`\n";
    is(&none, 64, "", words);
}

#[test]
fn a_required_variable_of_a_stack_and_a_template_name_what_to_do() {
    let stack = "services:\n  web:\n    image: tandem/manager:${RELEASE:?}\n    labels: {pod.component.app: 'image: a'}\n";
    let said = check(&[("stack.yml", stack)], &["--stack", "stack.yml", "web"]);
    let want = "1 fault in the pod's definition\n  stack.yml:3:12: `services.web.image`: the variable `RELEASE` is required; \
                set it in the environment of the shell that runs this check and `docker stack deploy`\n";
    is(&said, 64, "", want);

    let own = "services:\n  web:\n    image: demo\n    x-podlike: {pod: {inline: x}}\n";
    let said = check(&[("stack.yml", own)], &["--stack", "stack.yml", "web"]);
    let want = "warning: stack.yml:4:5: `services.web.x-podlike`: found templates, which neither this check nor `docker stack \
                deploy` renders; render them by `podlike template stack.yml`, and check the stack that it prints\n";
    assert!(said.err.starts_with(want), "{}", said.err);
}

/// A pod of a Compose file that a config holds, and the keys of its service.
fn with_compose(image: &str, keys: &str) -> [(String, String); 2] {
    let stack = format!(
        "services:\n  web:\n    image: tandem/manager\n    volumes: ['/var/run/docker.sock:/var/run/docker.sock']\n    \
         configs: [{{source: c, target: /c.yml}}]\n    labels: {{pod.compose.file: /c.yml}}\n{keys}configs: {{c: {{file: \
         c.yml}}}}\n"
    );
    let compose = format!("services:\n  app:\n    image: {image}\n    environment: [A]\n");
    [("s/stack.yml".to_owned(), stack), ("s/c.yml".to_owned(), compose)]
}

/// What is said of the service, whose env files are in the folder of its stack file.
#[track_caller]
fn with_env_files(image: &str, keys: &str, env: &[(&str, &str)]) -> Said {
    let written = with_compose(image, keys);
    let files = written.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let files: Vec<_> = files.chain(env.iter().copied()).collect();
    check(&files, &["--stack", "s/stack.yml", "web"])
}

#[test]
fn variables_of_a_services_env_files_are_those_of_its_pod() {
    let both = [("s/svc.env", "# why\nA=file #1\nTAG\nB\n"), ("s/b.env", "A=later\n")];
    for (keys, image) in [
        ("    env_file: svc.env\n", "file #1"),
        ("    env_file: ./svc.env\n", "file #1"),
        ("    env_file: [svc.env, b.env]\n", "later"),
        ("    env_file: [b.env, svc.env]\n", "file #1"),
        ("    env_file: [b.env]\n    environment: {A: own}\n", "own"),
        ("    environment: [A=own]\n    env_file: [b.env]\n", "own"),
    ] {
        let said = with_env_files("\"${A:?}\"", keys, &both);
        // The image's name tells the value; one with a space is a fault of its own.
        let told = match image {
            "file #1" => said.err.contains("found `file #1`"),
            image => said.out.contains(&format!("image {image}\n")),
        };
        assert!(told, "{keys}: {} {}", said.out, said.err);
        assert!(!said.err.contains("has no value"), "{keys}: {}", said.err);
    }
    // A name alone, and an empty value, are those of the shell, as of `docker stack deploy`.
    for keys in ["    env_file: svc.env\n", "    environment: [TAG]\n", "    environment: {TAG: ''}\n"] {
        let said = with_env_files("\"x:${TAG:?}\"", keys, &[("s/svc.env", "TAG\n")]);
        assert!(said.out.contains("image x:1.27\n"), "{keys}: {} {}", said.out, said.err);
    }
    let keys = "    environment: [A]\n    env_file: svc.env\n";
    let said = with_env_files("x", keys, &[("s/svc.env", "A=1\n")]);
    assert!(said.err.contains("the variable `A` has no value"), "{}", said.err);
}

#[test]
fn flags_of_the_manager_in_an_env_file_count() {
    let keys = "    env_file: svc.env\n";
    let said = with_env_files("x", keys, &[("s/svc.env", "TANDEM_POLICY=restricted\nA=\n")]);
    assert_eq!(said.status, Some(64), "{}", said.err);
    assert!(said.err.contains("`--policy restricted`"), "{}", said.err);
    let said = with_env_files("x", keys, &[("s/svc.env", "TANDEM_PIDS=false\nA=\n")]);
    assert!(said.out.contains("PIDs     each component its own"), "{}", said.out);
}

#[test]
fn an_env_file_of_the_service_that_cannot_be_read_is_told() {
    let needed = "`docker stack deploy` needs it; this check goes on without its variables";
    for (keys, env, told) in [
        (
            "    env_file: [svc.env]\n",
            &[][..],
            format!("warning: s/stack.yml:7:16: `services.web.env_file[0]`: there is no file `s/svc.env`; {needed}\n"),
        ),
        (
            "    env_file: ../s\n",
            &[],
            format!("warning: s/stack.yml:7:15: `services.web.env_file`: `s/../s` is not a regular file; {needed}\n"),
        ),
        (
            "    env_file: svc.env\n",
            &[("s/svc.env", "A=1\nexport B=secret\n")],
            "s/svc.env:2:1: found a space in the name of a variable; valid are lines such as `NAME=value`\n".to_owned(),
        ),
        (
            "    env_file: [{path: none.env, required: false}]\n",
            &[],
            "warning: s/stack.yml:7:16: `services.web.env_file[0]`: found a mapping, which Compose takes and `docker stack \
             deploy` refuses; write the path alone\n"
                .to_owned(),
        ),
    ] {
        let said = with_env_files("x", keys, env);
        assert!(said.err.contains(&told), "{keys}: {}", said.err);
        assert!(!said.err.contains("secret"), "{}", said.err);
        assert_eq!(said.status, Some(if told.starts_with("warning") { 0 } else { 64 }), "{keys}: {}", said.err);
    }
    let keys = "    env_file: [{path: none.env, required: false}, {path: svc.env}]\n";
    let said = with_env_files("\"${A:?}\"", keys, &[("s/svc.env", "A=x\n")]);
    assert!(said.out.contains("image x\n") && !said.err.contains("there is no file"), "{}", said.err);
}

#[test]
fn the_answer_is_one_json_object_where_it_is_asked_for() {
    let json = |said: &Said| -> serde_json::Value {
        assert_eq!(said.err, "");
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
    };
    let said =
        check(&[("stack.yml", STACK), ("app.env", "")], &["--stack", "stack.yml", "web", "--format", "json"]);
    assert!(!said.out.contains("hunter2"), "{}", said.out);
    let sound = json(&said);
    let plan = &sound["pods"][0]["plan"];
    assert_eq!((&sound["status"], said.status, &plan["stop_ms"]), (&0.into(), Some(0), &20_000.into()));
    assert_eq!(plan["components"][0]["command"], "serve (and 2 arguments)");
    assert_eq!(plan["components"][1]["depends_on"][0]["condition"], "service_healthy");
    assert_eq!(plan["components"][0]["limits"]["memory_bytes"], 64 << 20);
    assert_eq!(plan["not_checked"]["files"][0], "/srv/other.env");
    assert_eq!(plan["not_checked"]["health_checks"][0], "nginx:1.27");

    let said = check(&[("stack.yml", MANY)], &["--stack", "stack.yml", "--format=json"]);
    let many = json(&said);
    assert_eq!((&many["status"], said.status), (&64.into(), Some(64)));
    let broken = many["pods"].as_array().expect("pods").iter().find(|pod| pod["service"] == "broken");
    let fault = &broken.expect("the pod")["faults"][0];
    assert_eq!(
        (&fault["place"], &fault["line"], &fault["path"]),
        (&"pod.component.app".into(), &1.into(), &"imag".into())
    );
    assert_eq!(fault["remedy"], "did you mean `image`?");
    assert_eq!(many["no_pods"][4]["service"], "db");
    assert!(
        many["pods"][1]["warnings"][0].as_str().is_some_and(|text| text.contains("stdin_open")),
        "{}",
        said.out
    );

    let said = check(&[], &["--stack", "none.yml", "--format", "json"]);
    let none = json(&said);
    // A fault has the same keys, whatever is known of it.
    let keys = |fault: &serde_json::Value| -> Vec<String> {
        fault.as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(keys(&none["faults"][0]), ["column", "line", "path", "place", "problem", "remedy"]);
    assert_eq!(keys(&none["faults"][0]), keys(fault));
    assert!(none["faults"][0]["remedy"].is_null(), "{}", said.out);
    assert_eq!(
        (said.status, &none["faults"][0]["problem"]),
        (Some(64), &"cannot check `none.yml`: there is no such file".into())
    );
}

#[test]
fn the_json_tells_a_pre_start_from_its_component_and_how_both_are_restarted() {
    let labels = "pod.component.app: '{image: a, restart: \"on-failure:3\", depends_on: {db: {condition: service_started, \
                  restart: true}}, pre_start: [{command: ./migrate}]}'\npod.component.db: '{image: b, restart: always}'\n";
    let said = check(&[("labels.yml", labels)], &["--labels", "labels.yml", "--format", "json"]);
    let answer: serde_json::Value =
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out));
    let components = answer["pods"][0]["plan"]["components"].as_array().expect("components");
    let named = |name: &str| {
        components.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{}", said.out))
    };
    let (app, step, db) = (named("app"), named("app.pre-1"), named("db"));
    assert_eq!((&app["pre_start_of"], &step["pre_start_of"]), (&serde_json::Value::Null, &"app".into()));
    assert_eq!(
        (&app["restart"], &step["restart"], &db["restart"]),
        (&"on-failure:3".into(), &"no".into(), &"always".into())
    );
    let on = |one: &serde_json::Value, other: &str| {
        let all = one["depends_on"].as_array().expect("a list");
        all.iter().find(|on| on["component"] == other).map(|on| on["restart"].clone())
    };
    assert_eq!((on(app, "db"), on(app, "app.pre-1")), (Some(true.into()), Some(false.into())));
}

#[test]
fn a_policy_file_of_this_machine_is_read_and_one_that_is_missing_is_told_as_such() {
    let labels = ("labels.yml", "pod.component.app: '{image: a, privileged: true}'\n");
    let with =
        |files: &[(&str, &str)]| check(files, &["--labels", "labels.yml", "--policy-file", "policy.yml"]);
    assert_eq!(with(&[labels, ("policy.yml", "allow: [privileged]\n")]).status, Some(0));
    let said = with(&[labels]);
    assert_eq!((said.status, said.out.as_str()), (Some(64), ""));
    assert_eq!(said.err, "cannot read the policy file `policy.yml`: there is no such file\n");
}

#[test]
fn more_components_than_the_default_are_checked_with_the_flag_of_the_manager() {
    let labels: String = (0..101).map(|number| format!("pod.component.c{number}: 'image: a'\n")).collect();
    let files = [("labels.yml", labels.as_str())];
    let refused = check(&files, &["--labels", "labels.yml"]);
    assert_eq!(refused.status, Some(64), "{}", refused.err);
    assert!(refused.err.contains("start the manager with `--max-components 101`"), "{}", refused.err);
    for flags in [&["--max-components", "101"][..], &["--", "--max-components=1000"]] {
        let said = check(&files, &[&["--labels", "labels.yml"][..], flags].concat());
        assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "{flags:?}");
    }
    let said = check(&files, &["--labels", "labels.yml", "--max-components", "1001"]);
    assert!(said.err.contains("1001 is not in 1..=1000"), "{}", said.err);
}
