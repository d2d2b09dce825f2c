//! What a user writes, and what reaches the engine of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::lab::docker::{Said, attempt, docker, socket};
use crate::lab::pod::{Plan, Pod, Volumes};
use crate::lab::proxy::Verdict;
use crate::lab::{idle, quoted, script, test_image};

fn strings(value: &Value) -> Vec<String> {
    let words = value.as_array().map(Vec::as_slice).unwrap_or_default();
    words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

#[test]
fn every_key_arrives_at_the_engine() {
    let yaml = format!(
        r#"
image: {image}
entrypoint: [sh, -c]
command: ["exec sleep 100000"]
environment: {{PORT: 8080, DEBUG: true, NAME: "a b"}}
working_dir: /tmp
user: "1234:5678"
labels: {{com.example.team: web}}
tmpfs: [/scratch]
read_only: true
healthcheck: {{test: [CMD, "true"], interval: 1s, timeout: 2s, retries: 4, start_period: 3s}}
stop_signal: SIGKILL
stop_grace_period: 2s
mem_limit: 32m
cpus: 0.5
pids_limit: 64
cap_add: [NET_ADMIN]
cap_drop: [CHOWN, MKNOD]
"#,
        image = test_image()
    );
    let pod = Pod::plan("keys").component("app", &yaml).start();
    pod.wait_running(&["app"]);
    let app = pod.component("app");
    let (config, host) = (&app["Config"], &app["HostConfig"]);
    assert_eq!(config["Image"], test_image().as_str());
    assert_eq!(config["Entrypoint"], json!(["sh", "-c"]));
    assert_eq!(config["Cmd"], json!(["exec sleep 100000"]));
    let env = strings(&config["Env"]);
    for entry in ["PORT=8080", "DEBUG=true", "NAME=a b"] {
        assert!(env.iter().any(|have| have == entry), "`{entry}` is not in {env:?}");
    }
    assert_eq!(config["WorkingDir"], "/tmp");
    assert_eq!(config["User"], "1234:5678");
    assert_eq!(config["Labels"]["com.example.team"], "web");
    assert_eq!(host["Tmpfs"], json!({"/scratch": ""}));
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "true"]));
    assert_eq!(config["Healthcheck"]["Interval"], 1_000_000_000_i64);
    assert_eq!(config["Healthcheck"]["Timeout"], 2_000_000_000_i64);
    assert_eq!(config["Healthcheck"]["StartPeriod"], 3_000_000_000_i64);
    assert_eq!(config["Healthcheck"]["Retries"], 4);
    assert_eq!(config["StopSignal"], "SIGKILL");
    assert_eq!(host["Memory"], 32 * 1024 * 1024);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["PidsLimit"], 64);
    let caps = |key: &str| strings(&host[key]).iter().map(|cap| cap.replace("CAP_", "")).collect::<Vec<_>>();
    assert_eq!(caps("CapAdd"), ["NET_ADMIN"]);
    assert_eq!(caps("CapDrop"), ["CHOWN", "MKNOD"]);
    // And holds inside.
    assert_eq!(pod.exec("app", "echo $(id -u):$(id -g) $(pwd) $PORT"), "1234:5678 /tmp 8080");
    assert_eq!(attempt(&["exec", &pod.container("app"), "touch", "/x"]).status, 1, "read-only");
    pod.wait_healthy();
    pod.stop_clean();
}

#[test]
fn strings_and_lists_mean_what_compose_says() {
    let yaml = format!(
        "image: {}\ncommand: sh -c 'echo \"$$ARG is $ARG\"; exec sleep 100000'\nenvironment:\n  - ARG=a=b\n  - EMPTY=\n\
         stop_signal: SIGKILL\n",
        test_image()
    );
    let pod = Pod::plan("strings").component("app", &yaml).start();
    pod.wait_running(&["app"]);
    let app = pod.component("app");
    assert_eq!(app["Config"]["Cmd"][0], "sh");
    assert_eq!(app["Config"]["Cmd"].as_array().map(Vec::len), Some(3));
    let env = strings(&app["Config"]["Env"]);
    assert!(env.contains(&"ARG=a=b".to_owned()) && env.contains(&"EMPTY=".to_owned()), "{env:?}");
    pod.stop_clean();
}

#[test]
fn containers_are_named_and_labelled_after_their_pod() {
    let pod = Pod::plan("names")
        .label("com.docker.swarm.service.name", "shop_web")
        .label("com.docker.swarm.task.id", "task1")
        .label("com.docker.swarm.node.id", "node1")
        .label("com.docker.compose.project", "shop")
        .label("pod.container.old", &idle())
        .component("app", &format!("{}labels: {{team: web}}\n", idle()))
        .label("pod.init.components", &format!("- image: {}\n  command: ['true']\n", test_image()))
        .start();
    pod.wait_running(&["app", "old"]);
    let started = pod.task()["State"]["StartedAt"].clone();
    let wanted = [
        (pod.container("app"), "component", Some("app")),
        (pod.container("old"), "component", Some("old")),
        (pod.container("init-1"), "init", Some("init-1")),
        (format!("{}.pause", pod.name()), "sandbox", None),
    ];
    assert_eq!(pod.members().len(), wanted.len());
    for (name, role, component) in wanted {
        let container = crate::lab::docker::inspect(&name);
        let labels: BTreeMap<String, String> =
            serde_json::from_value(container["Config"]["Labels"].clone()).expect("labels are text");
        let label = |key: &str| labels.get(key).map(String::as_str);
        assert_eq!(label("io.tandem.pod"), Some(pod.id()), "{name}");
        assert_eq!(label("io.tandem.role"), Some(role), "{name}");
        assert_eq!(label("io.tandem.component"), component, "{name}");
        assert_eq!(label("io.tandem.run"), started.as_str(), "{name}");
        assert_eq!(label("io.tandem.service"), Some("shop_web"), "{name}");
        assert_eq!(label("io.tandem.task"), Some("task1"), "{name}");
        assert_eq!(label("io.tandem.node"), Some("node1"), "{name}");
        assert_eq!(label("team"), (component == Some("app")).then_some("web"), "{name}");
        assert!(!labels.keys().any(|key| key.starts_with("com.docker.")), "{name}: {labels:?}");
    }
    pod.stop_clean();
}

#[test]
fn volumes_are_found_by_each_name_that_they_go_by() {
    // Declared first, so that it goes after the pod.
    let mut volumes = Volumes::default();
    let plan = Pod::plan("volume-names");
    let unique = plan.name().to_owned();
    let named = |what: &str| format!("{unique}_{what}");
    volumes.create(&named("ref"), &["com.github.rycus86.podlike.volume-ref=by-ref"]);
    volumes.create(&named("stacked"), &[&format!("com.docker.stack.namespace={unique}")]);
    volumes.create(&named("composed"), &["com.docker.compose.volume=by-compose"]);
    volumes.create(&named("plain"), &[]);
    let mut plan = plan;
    for (what, target) in [("ref", "/r"), ("stacked", "/s"), ("composed", "/c"), ("plain", "/p")] {
        plan = plan.options(&["-v", &format!("{}:{target}", named(what))]);
    }
    let yaml = format!(
        "{}volumes:\n  - by-ref:/ref\n  - stacked:/stacked:ro\n  - type: volume\n    source: by-compose\n    \
         target: /composed\n    read_only: true\n  - {}:/plain\n  - /anonymous\n  - type: tmpfs\n    target: /memory\n    \
         tmpfs: {{size: 1048576}}\n",
        idle(),
        named("plain")
    );
    let pod = plan.component("app", &yaml).start();
    pod.wait_running(&["app"]);
    let app = pod.component("app");
    let mounts: BTreeMap<String, (String, bool)> = app["Mounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .map(|mount| {
            let text = |key: &str| mount[key].as_str().unwrap_or_default().to_owned();
            (text("Destination"), (text("Name"), mount["RW"] == true))
        })
        .collect();
    assert_eq!(mounts["/ref"], (named("ref"), true));
    assert_eq!(mounts["/stacked"], (named("stacked"), false));
    assert_eq!(mounts["/composed"], (named("composed"), false));
    assert_eq!(mounts["/plain"], (named("plain"), true));
    let anonymous = mounts["/anonymous"].0.clone();
    assert_eq!(pod.exec("app", "df -k /memory | awk 'END { print $2 }'"), "1024");
    pod.stop_clean();
    assert_ne!(
        attempt(&["volume", "inspect", &anonymous]).status,
        0,
        "an anonymous volume goes with its component"
    );
    docker(&["volume", "inspect", &named("ref")]);
}

#[test]
fn a_bind_of_the_hosts_folder_and_variables_from_a_file_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("note"), "from the host").expect("written");
    std::fs::write(folder.path().join("app.env"), "# comment\nFROM_FILE=yes\nBOTH=file\n").expect("written");
    let host = folder.path().display();
    let yaml = format!(
        "{}env_file: /conf/app.env\nenvironment: {{BOTH: label}}\nvolumes:\n  - {host}:/short:ro\n  - {{type: bind, source: {host}, target: /long}}\n",
        idle()
    );
    let pod =
        Pod::plan("binds").options(&["-v", &format!("{host}:/conf:ro")]).component("app", &yaml).start();
    pod.wait_running(&["app"]);
    assert_eq!(
        pod.exec("app", "cat /short/note /long/note; echo; echo $FROM_FILE $BOTH"),
        "from the hostfrom the host\nyes label"
    );
    assert_eq!(attempt(&["exec", &pod.container("app"), "touch", "/short/x"]).status, 1, "read-only");
    pod.stop_clean();
}

#[test]
fn a_path_below_sys_may_be_read_and_not_written() {
    let app = |mode: &str| format!("{}volumes: ['/sys/class:/host{mode}']\n", idle());
    let pod = Pod::plan("sys").component("app", &app(":ro")).start();
    pod.wait_running(&["app"]);
    assert!(pod.exec("app", "ls /host").contains("net"));
    pod.stop_clean();
    refused(Pod::plan("sys").component("app", &app("")), &["found `/sys/class` of the host", "host-paths"]);
}

/// A volume that stands for a path of the host.
fn bound(hint: &str, device: &str) -> String {
    let (volume, device) = (crate::lab::unique(hint), format!("device={device}"));
    let mut create = vec!["volume", "create", "--label", "io.tandem.test=volume"];
    create.extend(["-o", "type=none", "-o", "o=bind", "-o", &device, &volume]);
    docker(&create);
    volume
}

/// What is mounted at `/x` was looked at, and the component never ran.
#[track_caller]
fn assert_kept_from_the_socket(said: &Said, pod: &Pod) {
    assert_eq!(said.status, 125, "{}", said.error());
    let words =
        "cannot start `app`: what is mounted at `/x` leads to the engine's socket by a link on the host";
    assert!(said.error().contains(words), "{}", said.error());
    assert_eq!(said.text(), "", "it never ran");
    assert_eq!(pod.members(), Vec::<String>::new());
}

#[test]
fn a_volume_that_stands_for_the_sockets_folder_is_refused() {
    let socket = crate::lab::docker::socket();
    let folder = socket.parent().expect("a folder").display().to_string();
    // The engine resolves a relative device from its own working directory, `/`.
    for device in [folder.as_str(), folder.trim_start_matches('/')] {
        let volume = bound("door", device);
        let yaml = format!("{}volumes: ['{volume}:/door']\n", idle());
        let (said, pod) = Pod::plan("door").component("app", &yaml).run();
        let removed = attempt(&["volume", "rm", "-f", &volume]);
        assert_eq!(said.status, 64, "{}", said.error());
        assert!(said.error().contains(&format!("stands for `{folder}` of the host")), "{}", said.error());
        pod.assert_nothing_left();
        assert_eq!(removed.status, 0);
    }
}

#[test]
fn a_link_of_the_host_to_the_socket_or_to_its_folder_is_refused_before_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = socket();
    let link = |name: &str, to: &std::path::Path| {
        let path = folder.path().join(name);
        std::os::unix::fs::symlink(to, &path).expect("a link");
        path.display().to_string()
    };
    let other = folder.path().join("other.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&other).expect("a socket");
    let links = [link("a", &engine), link("b", engine.parent().expect("a folder")), link("c", &other)];
    // A path through a file is none that the engine can look at.
    std::fs::write(folder.path().join("docker"), "a file").expect("written");
    let plan = |path: &str| {
        let keys = format!("{}volumes: ['{path}:/x']\n", script("ls -R /x; exit 3"));
        Pod::plan("link").component("app", &keys)
    };
    for path in &links[..2] {
        let (said, pod) = plan(path).args(&["--logs"]).run();
        assert_kept_from_the_socket(&said, &pod);
    }
    let (said, _pod) = plan(&links[2]).run();
    assert_eq!(said.status, 3, "another socket is none of it: {}", said.error());
    let (said, _pod) = plan(&folder.path().display().to_string()).run();
    assert_eq!(
        said.status,
        3,
        "a folder with links in it, which lead nowhere in the component: {}",
        said.error()
    );
    let (said, _pod) = plan(&links[1]).args(&["--allow-engine-socket", "--allow", "host-paths"]).run();
    assert_eq!(said.status, 3, "allowed: {}", said.error());
}

#[test]
fn a_volume_that_stands_for_a_link_to_the_sockets_folder_is_refused_before_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(socket().parent().expect("a folder"), &link).expect("a link");
    let volume = bound("link-volume", &link.display().to_string());
    let keys = format!("{}volumes: ['{volume}:/x']\n", script("ls -R /x; exit 3"));
    let (said, pod) = Pod::plan("link-volume").component("app", &keys).args(&["--logs"]).run();
    let removed = attempt(&["volume", "rm", "-f", &volume]);
    assert_kept_from_the_socket(&said, &pod);
    assert_eq!(removed.status, 0);
}

#[test]
fn an_engine_socket_as_a_volume_is_refused() {
    let socket = crate::lab::docker::socket();
    for source in [socket.display().to_string(), "/var/run".to_owned()] {
        let yaml = format!("{}volumes: ['{source}:/x']\n", idle());
        let (said, pod) = Pod::plan("socket-volume").component("app", &yaml).run();
        assert_eq!(said.status, 64, "{source}: {}", said.error());
        pod.assert_nothing_left();
    }
}

fn refused(plan: Plan, want: &[&str]) {
    let (said, pod) = plan.proxied(|_| Verdict::Pass).run();
    assert_eq!(said.status, 64, "{}", said.error());
    for words in want {
        assert!(said.error().contains(words), "`{words}` is not in: {}", said.error());
    }
    assert_eq!(pod.proxy().changes(), Vec::<String>::new(), "nothing was changed");
}

#[test]
fn a_wrong_definition_is_refused_whole_before_anything_is_created() {
    let image = test_image();
    refused(
        Pod::plan("wrong")
            .component("fine", &idle())
            .component("typo", &format!("image: {image}\ncomand: [x]\n"))
            .component("type", &format!("image: {image}\nread_only: [1]\n"))
            .component("imageless", "command: [x]\n")
            .component("waits", &format!("image: {image}\ndepends_on: [nobody]\n"))
            .component("one", &format!("image: {image}\ndepends_on: [two]\n"))
            .component("two", &format!("image: {image}\ndepends_on: [one]\n"))
            .component("unit", &format!("image: {image}\nmem_limit: 12 parsecs\n"))
            .component("yaml", "image: [unclosed\n"),
        &[
            "pod.component.typo",
            "`comand`",
            "`command`",
            "pod.component.type",
            "`read_only`",
            "pod.component.imageless",
            "`image`",
            "pod.component.waits",
            "`nobody`",
            "pod.component.unit",
            "12 parsecs",
            "pod.component.yaml",
            "`one`",
            "`two`",
        ],
    );
}

#[test]
fn a_pod_without_components_is_refused() {
    refused(Pod::plan("empty"), &["pod.component."]);
}

#[test]
fn an_unknown_flag_is_refused() {
    let (said, _pod) = Pod::plan("flag").args(&["--nope"]).component("app", &idle()).run();
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("--nope"), "{}", said.error());
}

#[test]
fn a_copy_for_nobody_and_an_unknown_pod_label_are_refused() {
    refused(
        Pod::plan("labels")
            .component("app", &idle())
            .label("pod.copy.nobody", "/a:/b")
            .label("pod.componet.x", "image: x"),
        &["pod.copy.nobody", "pod.componet.x", "pod.component"],
    );
}

#[test]
fn a_dependency_on_health_that_cannot_come_is_refused_or_ends_the_pod() {
    let waits = format!("{}depends_on: {{app: {{condition: service_healthy}}}}\n", idle());
    let (said, pod) = Pod::plan("no-health").component("app", &idle()).component("waits", &waits).run();
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("health check"), "{}", said.error());
    pod.assert_nothing_left();
}

#[test]
fn values_of_any_text_arrive_unchanged() {
    let value = "päis \"quoted\" 'single' $HOME $$ \\ ${X} #no comment: yes";
    let yaml = format!("{}environment: {{TEXT: {}}}\n", script("exec sleep 100000"), quoted(value));
    let pod = Pod::plan("text").component("app", &format!("{yaml}stop_signal: SIGKILL\n")).start();
    pod.wait_running(&["app"]);
    assert_eq!(pod.exec("app", "printf %s \"$TEXT\""), value);
    pod.stop_clean();
}
