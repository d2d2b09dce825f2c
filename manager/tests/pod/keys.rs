//! Every key of a service in Compose (schema 2.4 and the Compose Specification), and what becomes of it: what the
//! engine says of the component, what the body of its creation says, or the words of its refusal.

use std::collections::BTreeMap;
use std::fs;

use definition::files::{FileFault, FileKind, Files};
use definition::labels::definition;
use engine::CreateRequest;
use engine::convert::create_body;
use pod::task_container::TaskContainer;
use serde_json::{Value, from_str, to_value};

use crate::lab::docker::docker;
use crate::lab::pod::Pod;
use crate::lab::proxy::Verdict;
use crate::lab::{idle, test_image, unique};

enum Becomes {
    /// `docker inspect` of the component says this there. Keys that exclude each other go to different components.
    Inspected(&'static str, &'static str, &'static str, &'static str),
    /// The body of the creation that reaches the engine says this there: what the engine makes of it depends on its
    /// version, its kernel's cgroups (`cpu_rt_*`, `mem_swappiness`, ...), its storage or its hardware.
    Sent(&'static str, &'static str, &'static str),
    /// Refused for this reason.
    Refused(&'static str, &'static str),
    /// A test of its own proves it.
    Proven,
}

use Becomes::{Inspected, Proven, Refused, Sent};

const POD_NETWORK: &str =
    "components share the network of the task container: set it on the pod's own service";
const NAMES: &str = "set it on the pod's own service: components resolve names as it does";
const HOST: &str = "components have the task container's: set it on the pod's own service";
const LOCALHOST: &str = "leave it out: components reach each other on `localhost`";
const CGROUP: &str = "leave it out: components are in the pod's cgroup";
const WINDOWS: &str = "leave it out: it is for containers of Windows";

#[rustfmt::skip]
const KEYS: &[(&str, Becomes)] = &[
    ("annotations", Sent("annotations: {a.b: c}", "/HostConfig/Annotations", r#"{"a.b": "c"}"#)),
    ("attach", Proven), // accepted, without an effect
    ("blkio_config", Sent("blkio_config: {weight: 300}", "/HostConfig/BlkioWeight", "300")),
    ("build", Refused("build: .", "build the image beforehand and name it with `image`")),
    ("cap_add", Inspected("a", "cap_add: [NET_ADMIN]", "/HostConfig/CapAdd", r#"["NET_ADMIN"]"#)),
    ("cap_drop", Inspected("a", "cap_drop: [MKNOD]", "/HostConfig/CapDrop", r#"["MKNOD"]"#)),
    ("cgroup", Refused("cgroup: host", CGROUP)),
    ("cgroup_parent", Refused("cgroup_parent: x", CGROUP)),
    ("command", Inspected("a", "command: ['exec sleep 100000']", "/Config/Cmd", r#"["exec sleep 100000"]"#)),
    ("configs", Proven), // a component's own configs
    ("container_name", Refused("container_name: x", "leave it out: a component's container is named after the task and the component")),
    ("cpu_count", Refused("cpu_count: 1", WINDOWS)),
    ("cpu_percent", Refused("cpu_percent: 1", WINDOWS)),
    ("cpu_period", Inspected("b", "cpu_period: 50ms", "/HostConfig/CpuPeriod", "50000")),
    ("cpu_quota", Inspected("b", "cpu_quota: '25000'", "/HostConfig/CpuQuota", "25000")),
    ("cpu_rt_period", Sent("cpu_rt_period: 1400us", "/HostConfig/CpuRealtimePeriod", "1400")),
    ("cpu_rt_runtime", Sent("cpu_rt_runtime: 400", "/HostConfig/CpuRealtimeRuntime", "400")),
    ("cpu_shares", Inspected("a", "cpu_shares: '73'", "/HostConfig/CpuShares", "73")),
    ("cpus", Inspected("a", "cpus: '0.5'", "/HostConfig/NanoCpus", "500000000")),
    ("cpuset", Inspected("a", "cpuset: 0", "/HostConfig/CpusetCpus", "\"0\"")),
    ("credential_spec", Refused("credential_spec: {file: a}", WINDOWS)),
    ("depends_on", Proven), // the order of components
    ("deploy", Inspected("b", "deploy: {resources: {limits: {memory: 48m}}}", "/HostConfig/Memory", "50331648")),
    ("develop", Refused("develop: {}", "leave it out: it is for `docker compose watch`")),
    ("device_cgroup_rules", Inspected("a", "device_cgroup_rules: ['c 1:3 mr']", "/HostConfig/DeviceCgroupRules", r#"["c 1:3 mr"]"#)),
    ("devices", Inspected("a", "devices: ['/dev/null:/dev/nothing']", "/HostConfig/Devices", r#"[{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "rwm"}]"#)),
    ("dns", Refused("dns: 9.9.9.9", NAMES)),
    ("dns_opt", Refused("dns_opt: [a]", NAMES)),
    ("dns_search", Refused("dns_search: a", NAMES)),
    ("domainname", Refused("domainname: a", HOST)),
    ("entrypoint", Inspected("a", "entrypoint: [sh, -c]", "/Config/Entrypoint", r#"["sh", "-c"]"#)),
    ("env_file", Inspected("a", "env_file: [{path: /task.env, required: true}]", "/Config/Env", r#"["FROM_FILE=1"]"#)),
    ("environment", Inspected("a", "environment: {PORT: 8080}", "/Config/Env", r#"["PORT=8080"]"#)),
    ("expose", Refused("expose: [80]", LOCALHOST)),
    ("extends", Proven), // services of a Compose file
    ("external_links", Refused("external_links: [a]", NAMES)),
    ("extra_hosts", Refused("extra_hosts: ['a:1.1.1.1']", NAMES)),
    ("gpus", Sent("gpus: all", "/HostConfig/DeviceRequests", r#"[{"Count": -1, "Capabilities": [["gpu"]]}]"#)),
    ("group_add", Inspected("a", "group_add: [1000]", "/HostConfig/GroupAdd", r#"["1000"]"#)),
    ("healthcheck", Inspected("a", "healthcheck: {test: [CMD, 'true'], interval: 1s}", "/Config/Healthcheck", r#"{"Test": ["CMD", "true"], "Interval": 1000000000}"#)),
    ("hostname", Refused("hostname: a", HOST)),
    ("image", Proven), // every component has one
    ("init", Refused("init: true", "leave it out: pause reaps the processes of the pod")),
    ("ipc", Refused("ipc: host", "it is the pod's to say: use the manager's flag `--ipc`")),
    ("isolation", Refused("isolation: default", WINDOWS)),
    ("label_file", Inspected("a", "label_file: /task.env", "/Config/Labels", r#"{"FROM_FILE": "1"}"#)),
    ("labels", Inspected("a", "labels: [team=web]", "/Config/Labels", r#"{"team": "web"}"#)),
    ("links", Refused("links: [a]", LOCALHOST)),
    ("logging", Inspected("a", "logging: {driver: json-file, options: {max-size: 1m}}", "/HostConfig/LogConfig", r#"{"Type": "json-file", "Config": {"max-size": "1m"}}"#)),
    ("mac_address", Refused("mac_address: a", POD_NETWORK)),
    ("mem_limit", Inspected("a", "mem_limit: 64m", "/HostConfig/Memory", "67108864")),
    ("mem_reservation", Inspected("a", "mem_reservation: 32m", "/HostConfig/MemoryReservation", "33554432")),
    ("mem_swappiness", Sent("mem_swappiness: '0'", "/HostConfig/MemorySwappiness", "0")),
    ("memswap_limit", Inspected("a", "memswap_limit: -1", "/HostConfig/MemorySwap", "-1")),
    ("models", Refused("models: [a]", "say in `environment` where the model is")),
    ("network_mode", Refused("network_mode: host", POD_NETWORK)),
    ("networks", Refused("networks: [a]", POD_NETWORK)),
    ("oom_kill_disable", Sent("oom_kill_disable: true", "/HostConfig/OomKillDisable", "true")),
    ("oom_score_adj", Inspected("a", "oom_score_adj: 500", "/HostConfig/OomScoreAdj", "500")),
    ("pid", Refused("pid: host", "it is the pod's to say: use the manager's flag `--pids`")),
    ("pids_limit", Inspected("a", "pids_limit: 64", "/HostConfig/PidsLimit", "64")),
    ("platform", Proven), // a_platform_is_asked_for_at_the_creation
    ("ports", Refused("ports: [80]", "publish ports on the pod's own service: components share its network")),
    ("post_start", Proven), // hooks
    ("pre_start", Proven), // pre_start
    ("pre_stop", Proven), // hooks
    ("privileged", Sent("privileged: true", "/HostConfig/Privileged", "true")),
    ("profiles", Proven), // services of a Compose file
    ("provider", Refused("provider: {}", "use the `image` of a container")),
    ("pull_policy", Proven), // an_image_that_may_never_be_pulled_fails_the_pod_in_words
    ("pull_refresh_after", Refused("pull_refresh_after: 1d", "images do not grow old here: set `pull_policy: always`, or leave it out")),
    ("read_only", Inspected("a", "read_only: true", "/HostConfig/ReadonlyRootfs", "true")),
    ("restart", Proven), // life
    ("runtime", Inspected("a", "runtime: runc", "/HostConfig/Runtime", "\"runc\"")),
    ("scale", Refused("scale: 2", "set `deploy.replicas` on the pod's own service")),
    ("secrets", Proven), // a component's own secrets
    ("security_opt", Inspected("a", "security_opt: ['no-new-privileges:true']", "/HostConfig/SecurityOpt", r#"["no-new-privileges=true"]"#)),
    ("shm_size", Inspected("a", "shm_size: 8m", "/HostConfig/ShmSize", "8388608")),
    ("stdin_open", Inspected("b", "stdin_open: true", "/Config/OpenStdin", "true")),
    ("stop_grace_period", Inspected("a", "stop_grace_period: 2s", "/Config/StopTimeout", "2")),
    ("stop_signal", Inspected("a", "stop_signal: KILL", "/Config/StopSignal", "\"SIGKILL\"")),
    ("storage_opt", Sent("storage_opt: {size: 1G}", "/HostConfig/StorageOpt", r#"{"size": "1G"}"#)),
    ("sysctls", Inspected("a", "sysctls: {net.core.somaxconn: 1024}", "/HostConfig/Sysctls", r#"{"net.core.somaxconn": "1024"}"#)),
    ("tmpfs", Inspected("a", "tmpfs: /scratch:size=64m", "/HostConfig/Tmpfs", r#"{"/scratch": "size=64m"}"#)),
    ("tty", Inspected("b", "tty: yes", "/Config/Tty", "true")),
    ("ulimits", Inspected("a", "ulimits: {nofile: {soft: 512, hard: 1024}}", "/HostConfig/Ulimits", r#"[{"Name": "nofile", "Soft": 512, "Hard": 1024}]"#)),
    ("use_api_socket", Refused("use_api_socket: true", "leave it out: no component may reach the engine, whose socket would give it the whole node")),
    ("user", Inspected("a", "user: 1234", "/Config/User", "\"1234\"")),
    ("userns_mode", Inspected("a", "userns_mode: host", "/HostConfig/UsernsMode", "\"host\"")),
    ("uts", Refused("uts: host", HOST)),
    ("volume_driver", Refused("volume_driver: local", "declare the volume with its driver in the stack's own `volumes`")),
    ("volumes", Inspected("a", "volumes: [/data]", "/Mounts", r#"[{"Destination": "/data"}]"#)),
    ("volumes_from", Refused("volumes_from: [a]", "name the volume in `volumes`, or share those of the task container with `--volumes`")),
    ("working_dir", Inspected("a", "working_dir: /tmp", "/Config/WorkingDir", "\"/tmp\"")),
];

/// `want` is there: of a mapping and a list of the engine's, among other entries.
fn holds(have: &Value, want: &Value) -> bool {
    match (have, want) {
        (Value::Object(have), Value::Object(want)) => {
            want.iter().all(|(key, want)| have.get(key).is_some_and(|have| holds(have, want)))
        }
        (Value::Array(have), Value::Array(want)) => {
            want.iter().all(|want| have.iter().any(|have| holds(have, want)))
        }
        // Engines write capabilities in either spelling.
        (Value::String(have), Value::String(want)) => {
            have == want || have.strip_prefix("CAP_") == Some(want.as_str())
        }
        _ => have == want,
    }
}

struct NoFiles;

impl Files for NoFiles {
    fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
        Err(FileFault::Missing)
    }

    fn read(&self, _: &str) -> Result<Vec<u8>, FileFault> {
        Err(FileFault::Missing)
    }
}

/// The body of the creation of a component with these keys.
fn sent(keys: &str) -> Value {
    let labels = BTreeMap::from([("pod.component.app".to_owned(), format!("image: a\n{keys}\n"))]);
    let task = TaskContainer { labels, ..TaskContainer::default() };
    let (mut definition, _) = definition(&task, &NoFiles, None).unwrap_or_else(|report| panic!("{report}"));
    let request = CreateRequest {
        name: "app".into(),
        container: definition.components.remove(0).container,
        ..CreateRequest::default()
    };
    to_value(create_body(&request)).expect("a body is JSON")
}

fn json(text: &str) -> Value {
    from_str(text).expect("the table holds JSON")
}

#[test]
fn every_key_of_the_schema_is_in_the_table() {
    let table: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
    let lines = include_str!("../../../crates/definition/tests/schema_keys.txt").lines();
    let schema =
        lines.filter_map(|line| line.strip_prefix("services.*.")).filter(|key| !key.contains(['.', '[']));
    // Of schema 2.4 alone.
    let mut schema: Vec<&str> = schema.chain(["volume_driver"]).collect();
    schema.sort_unstable();
    assert_eq!(table, schema);
}

#[test]
fn every_key_that_a_component_can_have_reaches_the_engine() {
    let file = std::env::temp_dir().join(unique("keys"));
    fs::write(&file, "FROM_FILE=1\n").expect("a file");
    let mut yaml = BTreeMap::from([("a", format!("image: {}\n", test_image())), ("b", idle())]);
    for (_, becomes) in KEYS {
        if let Inspected(component, keys, ..) = becomes {
            let text = yaml.get_mut(component).expect("a component of the table");
            text.push_str(keys);
            text.push('\n');
        }
    }
    let bind = format!("{}:/task.env:ro", file.display());
    let allowed = "--allow=capabilities=NET_ADMIN,host-users";
    let mut plan = Pod::plan("schema").options(&["-v", &bind]).args(&["--ipc=false", allowed]);
    for (name, text) in &yaml {
        plan = plan.component(name, text);
    }
    let pod = plan.start();
    pod.wait_running(&["a", "b"]);
    let said = ["a", "b"].map(|name| (name, pod.component(name)));
    let said = BTreeMap::from(said);
    let mut wrong = Vec::new();
    for (key, becomes) in KEYS {
        let Inspected(component, _, pointer, want) = becomes else { continue };
        let have = said[component].pointer(pointer).unwrap_or(&Value::Null);
        if !holds(have, &json(want)) {
            wrong.push(format!("`{key}`: {pointer} is {have}, not {want}"));
        }
    }
    pod.stop_clean();
    fs::remove_file(&file).expect("the file goes");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_depends_on_the_engine_reaches_it_as_it_was_written() {
    for (key, becomes) in KEYS {
        let Sent(keys, pointer, want) = becomes else { continue };
        // Whatever the engine makes of it, this pod ends.
        let yaml = format!("image: {}\ncommand: ['true']\n{keys}\n", test_image());
        let (said, pod) = Pod::plan("sent")
            .args(&["--allow-privileged", "--allow=annotations,raw-devices"])
            .proxied(|_| Verdict::Pass)
            .component("app", &yaml)
            .run();
        let calls = pod.proxy().calls();
        let created = calls.iter().find(|call| call.seen.creates(".app"));
        let body = &created.unwrap_or_else(|| panic!("`{key}`: never created: {}", said.error())).seen.body;
        let have = body.pointer(pointer).unwrap_or(&Value::Null);
        assert!(holds(have, &json(want)), "`{key}`: {pointer} is {have}, not {want}");
    }
}

#[test]
fn what_an_engine_is_too_old_for_is_refused_or_warned_of() {
    let part = "volumes: [{source: a, target: /a, volume: {subpath: b}}]";
    let yaml = format!("{}{part}\nannotations: {{a: b}}\n", idle());
    let (said, pod) = Pod::plan("old").args(&["--allow=annotations"]).component("app", &yaml).run();
    let api = docker(&["version", "-f", "{{.Server.APIVersion}}"]).text();
    let minor: u32 = api.trim().rsplit('.').next().and_then(|minor| minor.parse().ok()).expect("a version");
    let told = |words: &str| said.error().contains(words);
    assert_eq!(
        told("`app`: `volume.subpath` needs Docker Engine 26.0 or newer"),
        minor < 45,
        "{}",
        said.error()
    );
    assert_eq!(
        told("`app`: `annotations` needs Docker Engine 24.0 or newer"),
        minor < 43,
        "{}",
        said.error()
    );
    if minor < 45 {
        assert_eq!(said.status, 64);
        assert_eq!(pod.members(), Vec::<String>::new());
    }
}

#[test]
fn every_key_that_a_component_cannot_have_is_refused_with_what_to_do_instead() {
    let refused = KEYS.iter().filter_map(|(key, becomes)| match becomes {
        Refused(keys, reason) => Some((key, keys, reason)),
        _ => None,
    });
    let refused: Vec<_> = refused.collect();
    // A report holds so many faults and no more.
    for some in refused.chunks(10) {
        let mut yaml = idle();
        for (_, keys, _) in some {
            yaml.push_str(keys);
            yaml.push('\n');
        }
        let (said, pod) = Pod::plan("refused").component("app", &yaml).run();
        assert_eq!(said.status, 64, "{}", said.error());
        for (key, _, reason) in some {
            let told = said
                .error()
                .lines()
                .any(|line| line.contains(&format!("`{key}`: ")) && line.ends_with(*reason));
            assert!(told, "`{key}` is not refused with `{reason}`: {}", said.error());
        }
        assert_eq!(pod.members(), Vec::<String>::new());
    }
}

#[test]
fn a_platform_is_asked_for_at_the_creation() {
    let pod = Pod::plan("platform")
        .proxied(|_| Verdict::Pass)
        .component("app", &format!("{}platform: linux/amd64\n", idle()))
        .start();
    pod.wait_running(&["app"]);
    let calls = pod.proxy().calls();
    let asked = calls.iter().any(|call| {
        call.seen.path.starts_with("/containers/create")
            && format!("{:?}", call.seen).contains("platform=linux%2Famd64")
    });
    assert!(asked, "{:?}", calls.iter().map(|call| format!("{:?}", call.seen)).collect::<Vec<_>>());
    pod.stop_clean();
}

#[test]
fn an_image_that_may_never_be_pulled_fails_the_pod_in_words() {
    let (said, pod) =
        Pod::plan("never").component("app", "image: tandem-test/nothing:1\npull_policy: never\n").run();
    assert_ne!(said.status, 0);
    let words = "the engine does not have its image `tandem-test/nothing:1`, and `pull_policy` is `never`: load it on the node beforehand";
    assert!(said.error().contains(words), "{}", said.error());
    assert_eq!(pod.members(), Vec::<String>::new());
}

#[test]
fn podlike_bug_5_a_health_check_that_is_off_holds_no_pod_up() {
    for off in ["{disable: true}", "{test: [NONE]}"] {
        let pod = Pod::plan("off").component("app", &format!("{}healthcheck: {off}\n", idle())).start();
        pod.wait_healthy();
        assert_eq!(pod.component("app")["Config"]["Healthcheck"]["Test"], json(r#"["NONE"]"#));
        pod.stop_clean();
    }
}

#[test]
fn podlike_bug_6_rates_of_block_devices_are_not_swapped() {
    let body = sent(
        "blkio_config: {device_read_bps: [{path: /dev/a, rate: 1}], device_write_bps: [{path: /dev/a, rate: 2}], \
         device_read_iops: [{path: /dev/a, rate: 3}], device_write_iops: [{path: /dev/a, rate: 4}]}",
    );
    for (name, rate) in [
        ("BlkioDeviceReadBps", 1),
        ("BlkioDeviceWriteBps", 2),
        ("BlkioDeviceReadIOps", 3),
        ("BlkioDeviceWriteIOps", 4),
    ] {
        assert_eq!(
            body["HostConfig"][name],
            json(&format!(r#"[{{"Path": "/dev/a", "Rate": {rate}}}]"#)),
            "{name}"
        );
    }
}
