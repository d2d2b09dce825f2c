//! What a user writes, and what reaches the engine of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::lab::docker::{attempt, docker, socket};
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
    let pod = Pod::plan("keys").options(&["--cap-add=NET_ADMIN"]).component("app", &yaml).start();
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
fn a_volume_that_the_task_container_does_not_have_is_the_pods_own_and_is_found_again() {
    let written = crate::lab::unique("own");
    let app = format!("{}volumes: ['{written}:/data']\n", idle());
    let pod = Pod::plan("own-volume").component("app", &app).start();
    pod.wait_healthy();
    let own = format!("{}.podlike.{written}", pod.name());
    assert_eq!(pod.component("app")["Mounts"][0]["Name"], own.as_str());
    let owner = "{{index .Labels \"io.tandem.owner\"}}";
    let owner = docker(&["volume", "inspect", "--format", owner, &own]).text();
    assert_eq!(owner, format!("container:{}", pod.name()));
    assert_ne!(
        attempt(&["volume", "inspect", &written]).status,
        0,
        "no volume has the name that was written"
    );
    pod.exec("app", "echo kept >/data/file");
    docker(&["restart", "-t", "30", pod.id()]);
    pod.wait_healthy();
    assert_eq!(pod.exec("app", "cat /data/file"), "kept", "another component, in another run of the pod");
    pod.stop_clean();
    docker(&["volume", "inspect", &own]);
}

#[test]
fn a_volume_of_somebody_else_passes_only_where_the_operator_names_it() {
    // A volume without an owner, and a volume of another pod.
    let mut volumes = Volumes::default();
    let names = ["foreign", "owned"].map(crate::lab::unique);
    volumes.create(&names[0], &[]);
    volumes.create(&names[1], &["io.tandem.owner=container:somebody-else"]);
    for name in &names {
        let app = format!("{}volumes: ['{name}:/data']\n", idle());
        let plan = || Pod::plan("foreign-volume").component("app", &app);
        refused(plan(), &[&format!("--allow volumes={name}")]);
        let pod = plan().args(&[&format!("--allow=volumes={name}")]).start();
        pod.wait_running(&["app"]);
        assert_eq!(pod.component("app")["Mounts"][0]["Name"], name.as_str());
        pod.stop_clean();
    }
}

/// The pod with a path of the host that its operator typed, in either way: a flag, and a mount of the task container.
fn typed(plan: impl Fn() -> Plan, path: &str, mode: &str) -> [Plan; 2] {
    let (flag, mount) = (format!("--allow=host-paths={path}{mode}"), format!("{path}:/typed{mode}"));
    [plan().args(&[&flag]), plan().options(&["-v", &mount])]
}

#[test]
fn a_path_of_the_host_passes_as_the_operator_typed_it_and_no_other_path_does() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("below")).expect("made");
    std::fs::write(folder.path().join("note"), "from the host").expect("written");
    let host = folder.path().display().to_string();
    let plan = |source: &str, mode: &str| {
        let app = format!("{}volumes: ['{source}:/data{mode}']\n", idle());
        Pod::plan("typed").component("app", &app)
    };
    for plan in typed(|| plan(&host, ":ro"), &host, ":ro") {
        let pod = plan.start();
        pod.wait_running(&["app"]);
        assert_eq!(pod.exec("app", "cat /data/note"), "from the host");
        assert_eq!(attempt(&["exec", &pod.container("app"), "touch", "/data/x"]).status, 1, "read-only");
        pod.stop_clean();
    }
    // More than the typed mode gives, and a path below the typed one, where a component may have made a link.
    let below = format!("{host}/below");
    for (source, mode) in [(&host, ""), (&below, ":ro")] {
        for plan in typed(|| plan(source, mode), &host, ":ro") {
            refused(plan, &[&format!("--allow host-paths={source}")]);
        }
    }
    for source in [&*host, "/etc", "/dev/pts", "/root"] {
        refused(plan(source, ":ro"), &[&format!("--allow host-paths={source}")]);
    }
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
    let pod = Pod::plan("binds").options(&["-v", &format!("{host}:/conf")]).component("app", &yaml).start();
    pod.wait_running(&["app"]);
    assert_eq!(
        pod.exec("app", "cat /short/note /long/note; echo; echo $FROM_FILE $BOTH"),
        "from the hostfrom the host\nyes label"
    );
    assert_eq!(attempt(&["exec", &pod.container("app"), "touch", "/short/x"]).status, 1, "read-only");
    pod.stop_clean();
}

#[test]
fn a_path_below_sys_that_the_operator_typed_to_be_read_is_read_and_not_written() {
    let plan = |mode: &str| {
        let app = format!("{}volumes: ['/sys/class:/host{mode}']\n", idle());
        Pod::plan("sys").component("app", &app)
    };
    let typed = ["--allow=host-paths=/sys/class:ro"];
    let pod = plan(":ro").args(&typed).start();
    pod.wait_running(&["app"]);
    assert!(pod.exec("app", "ls /host").contains("net"));
    pod.stop_clean();
    refused(plan("").args(&typed), &["`/sys/class`", "--allow host-paths=/sys/class"]);
    refused(plan(":ro"), &["`/sys/class`", "--allow host-paths=/sys/class"]);
}

#[test]
fn a_volume_that_nobody_declares_is_warned_of_until_the_pod_has_made_it() {
    let plan = || Pod::plan("own").component("app", &format!("{}volumes: ['data:/data']\n", idle()));
    let first = plan().start();
    first.wait_healthy();
    let name = format!("{}.podlike.data", first.name());
    let _volume = BoundVolume(name.clone());
    let warning = format!("nobody declares the volume `data`: the pod makes one of its own, `{name}`");
    assert!(first.logs().1.contains(&warning), "{}", first.logs().1);
    first.stop_clean();
    docker(&["rm", first.id()]);
    let second = plan().named_as(&first).start();
    second.wait_healthy();
    assert!(!second.logs().1.contains("nobody declares"), "{}", second.logs().1);
    second.stop_clean();
}

/// A volume that stands for a path of the host.
fn bound(hint: &str, device: &str) -> BoundVolume {
    let (volume, device) = (crate::lab::unique(hint), format!("device={device}"));
    let mut create = vec!["volume", "create", "--label", "io.tandem.test=volume"];
    create.extend(["-o", "type=none", "-o", "o=bind", "-o", &device, &volume]);
    docker(&create);
    BoundVolume(volume)
}

/// The name of a volume, which is removed when this is dropped.
struct BoundVolume(String);

impl Drop for BoundVolume {
    fn drop(&mut self) {
        attempt(&["volume", "rm", "-f", &self.0]);
    }
}

#[test]
fn a_volume_that_stands_for_the_sockets_folder_is_refused_whoever_names_it() {
    let folder = socket().parent().expect("a folder").display().to_string();
    let refused = |volume: &BoundVolume, args: &[&str], options: &[&str]| {
        let app = format!("{}volumes: ['{}:/door']\n", idle(), volume.0);
        let (said, pod) = Pod::plan("door").args(args).options(options).component("app", &app).run();
        let error = said.error();
        assert_eq!(said.status, 64, "{args:?}, {options:?}: {error}");
        assert!(error.contains(&volume.0), "{args:?}, {options:?}: {error}");
        // The name alone is enough for the first refusal: the device need not be in it.
        let explained = args.is_empty() || error.contains(folder.trim_start_matches('/'));
        assert!(explained, "the device is not named: {args:?}: {error}");
        assert_eq!(pod.members(), Vec::<String>::new());
    };
    // The engine resolves a relative device from its own working directory, `/`.
    for device in [folder.as_str(), folder.trim_start_matches('/')] {
        let volume = bound("door", device);
        let named = format!("--allow=volumes={}", volume.0);
        refused(&volume, &[], &[]);
        refused(&volume, &[&named], &[]);
        refused(&volume, &[&named, &format!("--allow=host-paths={folder}")], &[]);
    }
    // A volume that the task container has for its manager is the manager's alone.
    let volume = bound("door", &folder);
    refused(&volume, &[], &["-v", &format!("{}:/door", volume.0)]);
}

/// Links of the host to these, by `a`, `b`, ... in a folder of their own.
fn links(folder: &std::path::Path, to: &[&std::path::Path]) -> Vec<String> {
    let link = |(name, to): (char, &&std::path::Path)| {
        let path = folder.join(name.to_string());
        std::os::unix::fs::symlink(to, &path).expect("a link");
        path.display().to_string()
    };
    ('a'..).zip(to).map(link).collect()
}

#[test]
fn a_link_of_the_host_is_refused_wherever_it_leads_until_the_operator_has_typed_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = socket();
    let other = folder.path().join("other.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&other).expect("a socket");
    let sockets = engine.parent().expect("a folder");
    let links = links(folder.path(), &[&engine, sockets, &other]);
    // Links in a folder that is bound as a whole lead nowhere in a component.
    let whole = folder.path().display().to_string();
    let plan = |path: &str| {
        let keys = format!("{}volumes: ['{path}:/x']\n", script("ls -R /x; exit 3"));
        Pod::plan("link").component("app", &keys)
    };
    for path in links.iter().chain([&whole]) {
        refused(plan(path), &[path, &format!("--allow host-paths={path}")]);
    }
    // A folder that the operator typed does not give the links in it.
    for path in &links {
        let above = plan(path).args(&[&format!("--allow=host-paths={whole}")]);
        refused(above, &[path, &format!("--allow host-paths={path}")]);
    }
    for path in [&links[2], &whole] {
        for plan in typed(|| plan(path), path, "") {
            let (said, _pod) = plan.run();
            assert_eq!(said.status, 3, "{path}: {}", said.error());
        }
    }
    let (said, _pod) = plan(&links[1]).args(&["--allow-engine-socket", "--allow", "host-paths"]).run();
    assert_eq!(said.status, 3, "allowed: {}", said.error());
}

#[test]
fn a_volume_that_stands_for_a_link_is_judged_as_a_bind_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let real = tempfile::tempdir().expect("a folder");
    let links = links(folder.path(), &[socket().parent().expect("a folder"), real.path()]);
    let plan = |volume: &BoundVolume| {
        let keys = format!("{}volumes: ['{}:/x']\n", script("ls -R /x; exit 3"), volume.0);
        Pod::plan("link-volume").component("app", &keys).args(&["--logs"])
    };
    let volumes: Vec<BoundVolume> = links.iter().map(|link| bound("link-volume", link)).collect();
    for (volume, link) in volumes.iter().zip(&links) {
        let named = format!("--allow volumes={}", volume.0);
        refused(plan(volume), &[&named]);
        refused(plan(volume).args(&named.split(' ').collect::<Vec<_>>()), &[link, "--allow host-paths="]);
    }
    let allowed = format!("volumes={},host-paths={}", volumes[1].0, links[1]);
    let (said, _pod) = plan(&volumes[1]).args(&["--allow", &allowed]).run();
    assert_eq!(said.status, 3, "the operator typed both: {}", said.error());
}

#[test]
fn the_engines_socket_and_the_folder_of_it_are_refused_though_the_operator_typed_them() {
    for source in [socket().display().to_string(), "/var/run".to_owned()] {
        let yaml = format!("{}volumes: ['{source}:/x']\n", idle());
        let path = format!("--allow=host-paths={source}");
        for args in [&[&*path][..], &["--allow=host-paths"], &[]] {
            let (said, pod) = Pod::plan("socket-volume").args(args).component("app", &yaml).run();
            assert_eq!(said.status, 64, "{source}, {args:?}: {}", said.error());
            assert!(said.error().contains("--allow engine-socket"), "{source}, {args:?}: {}", said.error());
            pod.assert_nothing_left();
        }
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
