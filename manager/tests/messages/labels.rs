//! Every fault that labels can have.
//!
//! A case is a sentence, the labels, and the report without its first line. [`keys`] are the Compose keys of
//! one component `app`, from line 2 on; line 1 is its image.

use std::collections::BTreeMap;

use definition::files::{FileFault, FileKind, Files};
use definition::labels::definition;
use pod::task_container::{TaskContainer, TaskMount};

use crate::told;

/// The files of the task container in these tests.
struct World;

impl Files for World {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        match path {
            "/file" | "/binary" | "/bad.env" | "/braces.env" | "/good.env" => Ok(FileKind::File),
            "/run/secrets/db_password" | "/app.conf" => Ok(FileKind::File),
            "/folder" | "/run/secrets/folder" => Ok(FileKind::Folder),
            "/socket" => Ok(FileKind::Other),
            _ => Err(FileFault::Missing),
        }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        match path {
            "/binary" => Ok(vec![0xff, 0xfe]),
            "/bad.env" => Ok(b"A=1\n=2\nB = 'open\n".to_vec()),
            "/braces.env" => Ok(b"A=secret${B\nC=${secret!}\nD=\"${E:?secret}\"\nF='${'\n".to_vec()),
            "/good.env" => Ok(b"A=file\nexport B='two words' # why\n".to_vec()),
            _ if self.kind(path)? == FileKind::Folder => Err(FileFault::NotAFile),
            _ => Ok(Vec::new()),
        }
    }

    fn names(&self, folder: &str) -> Vec<String> {
        match folder {
            "/run/secrets" => vec!["db_password".into(), "folder".into()],
            _ => Vec::new(),
        }
    }
}

fn volume(name: &str, labels: &[(&str, &str)]) -> TaskMount {
    TaskMount {
        kind: "volume".into(),
        volume: Some(name.into()),
        source: format!("/var/lib/docker/volumes/{name}/_data"),
        target: format!("/mnt/{name}"),
        writable: true,
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..TaskMount::default()
    }
}

fn task(labels: BTreeMap<String, String>) -> TaskContainer {
    let reference = "com.github.rycus86.podlike.volume-ref";
    let socket = TaskMount {
        kind: "bind".into(),
        source: "/srv/engine/docker.sock".into(),
        target: "/var/run/docker.sock".into(),
        ..TaskMount::default()
    };
    let bound = TaskMount {
        kind: "bind".into(),
        source: "/a".into(),
        target: "/a".into(),
        writable: true,
        ..TaskMount::default()
    };
    let mut sockets = volume("stack_sockets", &[("com.docker.stack.namespace", "stack")]);
    sockets.source = "/srv/engine".into();
    TaskContainer {
        name: "stack_pod.1.abc".into(),
        labels,
        mounts: vec![
            socket,
            bound,
            sockets,
            volume("one", &[(reference, "shared")]),
            volume("two", &[(reference, "shared")]),
        ],
        ..TaskContainer::default()
    }
}
fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// So many components.
fn many(number: usize) -> BTreeMap<String, String> {
    (0..number).map(|number| (format!("pod.component.c{number}"), "image: a".to_owned())).collect()
}

/// The same labels and one more.
fn more(mut all: BTreeMap<String, String>, key: &str, value: &str) -> BTreeMap<String, String> {
    all.insert(key.to_owned(), value.to_owned());
    all
}

/// A component whose aliases make 1.5 MB of it.
fn laughing() -> String {
    format!("image: a\nx-a: &a {}\nx-b: [{}]", "x".repeat(150_000), "*a, ".repeat(9))
}

/// A word that is too long for anything.
fn long() -> String {
    "a".repeat(22_000)
}

fn keys(text: &str) -> BTreeMap<String, String> {
    labels(&[("pod.component.app", &format!("image: a\n{text}"))])
}

type Case = (&'static str, BTreeMap<String, String>, &'static [&'static str]);

#[rustfmt::skip]
fn cases() -> Vec<Case> { vec![

    // labels
    ("no component at all", labels(&[]), &["labels: the pod has no component; valid is at least one label `pod.component.<name>` on the container itself (in a stack: `labels`, not `deploy.labels`)"]),
    ("only an init component", labels(&[("pod.init.components", "- image: a")]), &["labels: the pod has no component; valid is at least one label `pod.component.<name>` on the container itself (in a stack: `labels`, not `deploy.labels`)"]),
    ("a misspelled label", labels(&[("pod.component.app", "image: a"), ("pod.componet.web", "image: a")]), &["pod.componet.web: this label is unknown; did you mean `pod.component.web`?"]),
    ("a label without a name", labels(&[("pod.component.app", "image: a"), ("pod.component", "image: a")]), &["pod.component: this label is unknown; did you mean `pod.component.<name>`?"]),
    ("an unknown label", labels(&[("pod.component.app", "image: a"), ("pod.colour", "blue")]), &["pod.colour: this label is unknown; valid are `pod.component.<name>`, `pod.copy.<name>`, `pod.init.components`, `pod.compose.file`, `pod.scratch`, `pod.stop_grace_period` and `pod.manager`"]),
    ("a misspelled label of fixed name", labels(&[("pod.component.app", "image: a"), ("pod.init.component", "- image: a")]), &["pod.init.component: this label is unknown; did you mean `pod.init.components`?"]),
    ("both spellings for one component", labels(&[("pod.component.app", "image: a"), ("pod.container.app", "image: a")]), &["pod.container.app: `app` has a label `pod.component.app` too; valid is one label for each component"]),
    ("an empty component name", labels(&[("pod.component.", "image: a")]), &["pod.component.: found an empty string for the component name; valid are letters, digits, `_`, `.` and `-`, with a letter or digit first, since it is part of the container's name"]),
    ("a component name with a slash", labels(&[("pod.component.a/b", "image: a")]), &["pod.component.a/b: found the component name `a/b`; valid are letters, digits, `_`, `.` and `-`, with a letter or digit first, since it is part of the container's name"]),
    ("a component name that starts with a dash", labels(&[("pod.component.-a", "image: a")]), &["pod.component.-a: found the component name `-a`; valid are letters, digits, `_`, `.` and `-`, with a letter or digit first, since it is part of the container's name"]),
    ("a component name that is too long", labels(&[(&format!("pod.component.{}", "x".repeat(250)), "image: a")]), &["pod.component.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…: the container's name would have 274 characters; valid are up to 255"]),
    ("a component named like an init component", labels(&[("pod.component.init-1", "image: a"), ("pod.init.components", "- image: a")]), &["pod.component.init-1: `init-1` is the name of an init component; valid is any other name"]),
    ("another manager", labels(&[("pod.component.app", "image: a"), ("pod.manager", "me too")]), &["pod.manager: found `me too`; valid is `sibling`, `agent`, or the name that an agent was given (letters, digits, `_`, `.` and `-`)"]),
    ("a Compose file that is not there", labels(&[("pod.compose.file", "/compose.yml")]), &["pod.compose.file: `/compose.yml` does not exist in the task container; valid is the path of a Compose file"]),
    ("a Compose file beside components", labels(&[("pod.component.app", "image: a"), ("pod.compose.file", "/compose.yml")]), &["pod.compose.file: found a Compose file beside labels `pod.component.*`; valid is one or the other"]),
    ("init components as a mapping", labels(&[("pod.component.app", "image: a"), ("pod.init.components", "image: a")]), &["pod.init.components:1:1: found a mapping; valid is a list of init components such as `- image: busybox`"]),
    ("an init component without an image", labels(&[("pod.component.app", "image: a"), ("pod.init.components", "- image: a\n- command: b")]), &["pod.init.components:2:3: `[1]`: `image` is missing; valid is one such as `image: nginx:1.27`"]),

    // YAML
    ("bad indentation", labels(&[("pod.component.app", "image: a\n  tty: true")]), &["pod.component.app:2:6: not YAML: mapping values are not allowed in this context; valid is YAML, such as `image: nginx`"]),
    ("a tab", labels(&[("pod.component.app", "image: a\nlabels:\n\ta: b")]), &["pod.component.app:3:1: not YAML: found character that cannot start any token, while scanning for the next token; valid is indentation with spaces, and quotes around text that starts with a special character"]),
    ("an open quote", labels(&[("pod.component.app", r#"image: "a"#)]), &["pod.component.app:1:10: not YAML: found unexpected end of stream, while scanning a quoted scalar at line 1 column 8; valid is YAML, such as `image: nginx`"]),
    ("an open list", labels(&[("pod.component.app", "image: a\ncommand: [a, b")]), &["pod.component.app:3:1: not YAML: did not find expected ',' or ']', while parsing a flow sequence at line 2 column 10; valid is YAML, such as `image: nginx`"]),
    ("an unknown anchor", labels(&[("pod.component.app", "image: a\nuser: *me")]), &["pod.component.app:2:7: not YAML: unknown anchor; valid is an anchor above it in the same document: anchors end with their document"]),
    ("a second document", labels(&[("pod.component.app", "image: a\n---\nimage: b")]), &["pod.component.app: found a second document after `---`; valid is one document"]),
    ("a list as a key", labels(&[("pod.component.app", "image: a\n? [b]\n: c")]), &["pod.component.app:2:3: found a list or a mapping as a key; valid is a word"]),
    ("a key twice", keys("tty: true\ntty: false"), &["pod.component.app:3:1: found the key `tty` twice; valid is each key once"]),
    ("a merge of a scalar", keys("<<: b"), &["pod.component.app:2:5: found something to merge with `<<` that is not a mapping; valid is an alias to a mapping, such as `<<: *base`, or a list of them"]),
    ("a tag", keys("user: !secret root"), &["pod.component.app:2:7: `user`: found a value with a YAML tag; valid is a user such as `1000`, `app` or `1000:1000`"]),
    ("a NUL character", keys("user: \"a\\0b\""), &["pod.component.app:2:7: found a NUL character; valid is text without one, since the kernel ends every string at it"]),
    ("an empty label", labels(&[("pod.component.app", "")]), &["pod.component.app:1:1: found an empty string; valid is a mapping of Compose keys such as `image: nginx`"]),
    ("a string for a component", labels(&[("pod.component.app", "password")]), &["pod.component.app:1:1: found a string; valid is a mapping of Compose keys such as `image: nginx`"]),
    ("a list for a component", labels(&[("pod.component.app", "- image: a")]), &["pod.component.app:1:1: found a list; valid is a mapping of Compose keys such as `image: nginx`"]),
    ("nesting without end", keys(&format!("x-a: {}{}", "[".repeat(200), "]".repeat(200))), &["pod.component.app:2:133: nested too deeply; valid are up to 128 levels"]),
    ("a billion laughs", labels(&[("pod.component.app", "image: a\nx-a: &a [1,1,1,1,1,1,1,1,1]\nx-b: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nx-c: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nx-d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\nx-e: &e [*d,*d,*d,*d,*d,*d,*d,*d]")]), &["pod.component.app:2:6: the text holds too many values, or its aliases make them; valid are up to 20000"]),
    ("a text without end", keys(&format!("x-a: {}", "x".repeat(300_000))), &["pod.component.app: the text has 300014 bytes; valid are up to 262144"]),
    ("brackets without end", labels(&[("pod.component.app", &"[{".repeat(5000))]), &["pod.component.app: the text opens too many brackets and braces; valid are up to 4096 of them"]),
    ("a fault behind a merge key", labels(&[("pod.component.app", "x-base: &base\n  tty: perhaps\nimage: a\n<<: *base")]), &["pod.component.app:2:8: `tty`: found `perhaps`; valid is `true` or `false`"]),

    // the rarer keys
    ("letters for a CPU set", keys("cpuset: a-b"), &["pod.component.app:2:9: `cpuset`: found `a-b`; valid is the numbers of CPUs such as `0-2,5`"]),
    ("a CPU period without a unit", keys("cpu_period: soon"), &["pod.component.app:2:13: `cpu_period`: found `soon`; valid is a number of microseconds such as `50000`, or a time such as `50ms`"]),
    ("shares of nothing", keys("cpu_shares: -1"), &["pod.component.app:2:13: `cpu_shares`: found `-1`; valid is a whole number such as `512`"]),
    ("a swappiness above a hundred", keys("mem_swappiness: 101"), &["pod.component.app:2:17: `mem_swappiness`: found `101`; valid is a whole number from `0` to `100`"]),
    ("a health check that runs all the time", keys("healthcheck: {test: a, interval: 1ms, start_interval: 499ms}"), &[
        "pod.component.app:2:14: `healthcheck`: found 1 ms for `interval`; valid is at least 500 ms: each check is a process that the engine and the runtime start, for 50 to 100 ms of CPU outside of the pod's limits",
        "pod.component.app:2:14: `healthcheck`: found 499 ms for `start_interval`; valid is at least 500 ms: each check is a process that the engine and the runtime start, for 50 to 100 ms of CPU outside of the pod's limits",
    ]),
    ("a score that makes the kernel kill others", keys("oom_score_adj: -1"), &["pod.component.app:2:16: `oom_score_adj`: found -1 for `oom_score_adj`; valid is at least 0 (what the task container has, else 0): with less the kernel kills processes of other pods first"]),
    ("more open files than a process may have", keys("ulimits: {nofile: -1}"), &["pod.component.app:2:10: `ulimits`: found no limit for `nofile`; valid is at most 1048576 (1048576, or what the task container has beyond): open files take memory of the kernel"]),
    ("a pod that takes days to stop", labels(&[("pod.component.app", "image: a"), ("pod.stop_grace_period", "25h")]), &["pod.stop_grace_period:1:1: found 25 h for `pod.stop_grace_period`; valid is at most 1 h: the engine and the node wait for the end, an update of the service too"]),
    ("a hundred and one components", many(101), &["labels: the pod has 101 components, init components among them; valid are up to 100, or start the manager with `--max-components 101`"]),
    ("a thousand and one components", many(1001), &["labels: the pod has 1001 components, init components among them; valid are up to 100; the operator can allow 1000"]),
    ("a hundred and one components beside an init component", more(many(101), "pod.init.components", "- image: a"), &["labels: the pod has 101 components beside its init components; valid are up to 100, or start the manager with `--max-components 101`"]),
    ("more copies than there may be components", (0..101).fold(many(1), |all, number| more(all, &format!("pod.copy.c{number}"), "/a: /b")), &["labels: there are 101 labels `pod.copy.*`; valid are up to 100, or start the manager with `--max-components 101`"]),
    ("labels that are too large in all", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", &"x".repeat(1 << 20))]), &["labels: the labels `pod.*` have 1048613 bytes in all; valid are up to 1048576, with the files that they name"]),
    ("aliases that are too large in all", labels(&["a", "b", "c"].map(|name| (format!("pod.component.{name}"), laughing())).each_ref().map(|(key, text)| (key.as_str(), text.as_str()))), &["pod.component.c: the definition is too large with its aliases, variables, `extends`, env files and `pre_start` in place; valid are up to 4 MiB in all"]),
    ("an OOM score out of bounds", keys("oom_score_adj: 1001"), &["pod.component.app:2:16: `oom_score_adj`: found `1001`; valid is a whole number from `-1000` to `1000`"]),
    ("a text for a weight", keys("blkio_config: {weight: heavy}"), &["pod.component.app:2:24: `blkio_config.weight`: found `heavy`; valid is a weight from `10` to `1000`"]),
    ("a device without a rate", keys("blkio_config: {device_read_bps: [{path: /dev/a}]}"), &["pod.component.app:2:34: `blkio_config.device_read_bps[0]`: `rate` is missing; valid is a mapping such as `{path: /dev/sda, rate: 300}`"]),
    ("a rate without a device", keys("blkio_config: {device_write_iops: [{rate: 5}]}"), &["pod.component.app:2:36: `blkio_config.device_write_iops[0]`: `path` is missing; valid is a mapping such as `{path: /dev/sda, rate: 300}`"]),
    ("a relative device of blkio", keys("blkio_config: {weight_device: [{path: sda, weight: 20}]}"), &["pod.component.app:2:39: `blkio_config.weight_device[0].path`: found `sda`; valid is the path of a device such as `/dev/sda`"]),
    ("a mapping for a list of rates", keys("blkio_config: {device_read_iops: {path: /dev/a}}"), &["pod.component.app:2:34: `blkio_config.device_read_iops`: found a mapping; valid is a list such as `[{path: /dev/sda, rate: 300}]`"]),
    ("a text for blkio", keys("blkio_config: 5"), &["pod.component.app:2:15: `blkio_config`: found `5`; valid is a mapping such as `{weight: 300}`"]),
    ("a device rule of three words in a wrong order", keys("device_cgroup_rules: ['1:3 c mr']"), &["pod.component.app:2:23: `device_cgroup_rules[0]`: found `1:3 c mr`; valid is a rule such as `c 1:3 mr`"]),
    ("a text for device rules", keys("device_cgroup_rules: c 1:3 mr"), &["pod.component.app:2:22: `device_cgroup_rules`: found `c 1:3 mr`; valid is a list of rules such as `[c 1:3 mr]`"]),
    ("a relative device", keys("devices: [fuse]"), &["pod.component.app:2:11: `devices[0]`: found `fuse`; valid is a device such as `/dev/fuse` or `/dev/sda:/dev/xvda:r`"]),
    ("a text for devices", keys("devices: /dev/fuse"), &["pod.component.app:2:10: `devices`: found `/dev/fuse`; valid is a list of devices such as `[/dev/fuse]`"]),
    ("a relative device target", keys("devices: ['/dev/a:b']"), &["pod.component.app:2:11: `devices[0]`: found the target `b`; valid is an absolute path of the component such as `/dev/fuse`"]),
    ("unknown permissions of a device", keys("devices: ['/dev/a:/dev/b:rx']"), &["pod.component.app:2:11: `devices[0]`: found the permissions `rx`; valid are some of `r`, `w` and `m`, such as `rwm`"]),
    ("a text for groups", keys("group_add: audio"), &["pod.component.app:2:12: `group_add`: found `audio`; valid is a list of groups such as `[audio]`"]),
    ("a list for logging", keys("logging: [json-file]"), &["pod.component.app:2:10: `logging`: found a list; valid is a mapping such as `{driver: json-file, options: {max-size: 10m}}`"]),
    ("a soft limit above the hard one", keys("ulimits: {nofile: {soft: 5, hard: 4}}"), &["pod.component.app:2:19: `ulimits.nofile`: found the soft limit `5` above the hard limit `4`; valid is a soft limit up to the hard one"]),
    ("a limit without a hard one", keys("ulimits: {nofile: {soft: 5}}"), &["pod.component.app:2:19: `ulimits.nofile`: `hard` is missing; valid is `{soft: 1024, hard: 2048}`"]),
    ("an unknown limit", keys("ulimits: {nofiles: 5}"), &["pod.component.app:2:11: `ulimits.nofiles`: found the limit `nofiles`; did you mean `nofile`?"]),
    ("a list for limits", keys("ulimits: [nofile=5]"), &["pod.component.app:2:10: `ulimits`: found a list; valid is a mapping such as `{nofile: 1024}`"]),
    ("a list for a limit", keys("ulimits: {nofile: [5]}"), &["pod.component.app:2:19: `ulimits.nofile`: found a list; valid is a whole number such as `1024`, or `{soft: 1024, hard: 2048}`"]),
    ("an unknown security option", keys("security_opt: ['selinux:off']"), &["pod.component.app:2:16: `security_opt[0]`: found `selinux:off`; valid is an option such as `no-new-privileges:true` or `apparmor:unconfined`"]),
    ("a seccomp profile in a file", keys("security_opt: ['seccomp:/p.json']"), &["pod.component.app:2:16: `security_opt[0]`: found the seccomp profile `/p.json`; valid are `unconfined`, `builtin`, and a profile in JSON itself: there is no folder of the node to read it from"]),
    ("a seccomp profile that is none", keys("security_opt: ['seccomp:{']"), &["pod.component.app:2:16: `security_opt[0]`: found a seccomp profile that is not JSON; valid is an object of JSON"]),
    ("a text for security options", keys("security_opt: no-new-privileges"), &["pod.component.app:2:15: `security_opt`: found `no-new-privileges`; valid is a list of options such as `[no-new-privileges:true]`"]),
    ("another user namespace", keys("userns_mode: private"), &["pod.component.app:2:14: `userns_mode`: found `private`; valid is `host`"]),
    ("an image to be built", keys("pull_policy: build"), &["pod.component.app:2:14: `pull_policy`: found `build`, but a node builds no image; valid are `always`, `missing`, `if_not_present` and `never`"]),
    ("a daily pull", keys("pull_policy: daily"), &["pod.component.app:2:14: `pull_policy`: found `daily`, but a pod pulls only when it starts; valid are `always`, `missing`, `if_not_present` and `never`"]),
    ("an unknown pull policy", keys("pull_policy: sometimes"), &["pod.component.app:2:14: `pull_policy`: found `sometimes`; valid are `always`, `missing`, `if_not_present` and `never`"]),
    ("a platform of four parts", keys("platform: a/b/c/d"), &["pod.component.app:2:11: `platform`: found `a/b/c/d`; valid is a platform such as `linux/amd64`"]),
    ("a word for GPUs", keys("gpus: some"), &["pod.component.app:2:7: `gpus`: found `some`; valid is `all`, or a list such as `[{driver: nvidia, count: 2}]`"]),
    ("a count beside ids", keys("gpus: [{count: 1, device_ids: ['0']}]"), &["pod.component.app:2:8: `gpus[0]`: found `count` beside `device_ids`; leave one of them out"]),
    ("a count that is no number", keys("gpus: [{count: some}]"), &["pod.component.app:2:16: `gpus[0].count`: found `some`; valid is a whole number such as `1`, or `all`"]),
    ("devices without a capability", keys("deploy: {resources: {reservations: {devices: [{count: 1}]}}}"), &["pod.component.app:2:47: `deploy.resources.reservations.devices[0]`: `capabilities` is missing; valid is a list such as `[gpu]`"]),
    ("replicas of a component", keys("deploy: {replicas: 2}"), &["pod.component.app:2:10: `deploy.replicas`: a component cannot have this key; Swarm deploys the pod as a whole: set `deploy.replicas` on the pod's own service"]),
    ("CPUs reserved for a component", keys("deploy: {resources: {reservations: {cpus: '1'}}}"), &["pod.component.app:2:37: `deploy.resources.reservations.cpus`: a component cannot have this key; Swarm reserves for the pod as a whole: set it on the pod's own service"]),
    ("memory said twice", keys("mem_limit: 32m\ndeploy: {resources: {limits: {memory: 64m}}}"), &["pod.component.app:3:31: `deploy.resources.limits.memory`: found another value than under `mem_limit`; leave one of them out"]),
    ("CPUs said in two ways", keys("cpus: 1\ncpu_quota: 5000\ncpu_period: 10ms"), &["pod.component.app:3:12: `cpu_quota`: found `cpu_quota` beside `cpus`; leave one of them out: both say how much CPU", "pod.component.app:4:13: `cpu_period`: found `cpu_period` beside `cpus`; leave one of them out: both say how much CPU"]),
    ("a limit of swap alone", keys("memswap_limit: 64m"), &["pod.component.app:2:16: `memswap_limit`: found a limit of memory and swap alone; set `mem_limit` too"]),
    ("less swap than memory", keys("mem_limit: 64m\nmemswap_limit: 32m"), &["pod.component.app:3:16: `memswap_limit`: found `33554432` bytes, less than `mem_limit`; valid is the sum of memory and swap"]),
    ("more reserved than there may be", keys("mem_limit: 64m\nmem_reservation: 1g"), &["pod.component.app:3:18: `mem_reservation`: found `1073741824` bytes, more than `mem_limit`; valid is up to the limit"]),
    ("a text for deploy", keys("deploy: global"), &["pod.component.app:2:9: `deploy`: found `global`; valid is a mapping such as `{resources: {limits: {memory: 64m}}}`"]),
    ("a key for Windows", keys("isolation: hyperv"), &["pod.component.app:2:1: `isolation`: a component cannot have this key; leave it out: it is for containers of Windows"]),
    ("a model", keys("models: [llm]"), &["pod.component.app:2:1: `models`: a component cannot have this key; say in `environment` where the model is"]),
    ("an env file without a path", keys("env_file: [{required: false}]"), &["pod.component.app:2:12: `env_file[0]`: `path` is missing; valid is the path of a file in the task container"]),
    ("an env file in another format", keys("env_file: [{path: /good.env, format: ini}]"), &["pod.component.app:2:38: `env_file[0].format`: found `ini`; valid is `raw`; leave it out for env files of the usual form"]),
    ("an env file that is required", keys("env_file: [{path: /b.env, required: true}]"), &["pod.component.app:2:19: `env_file[0].path`: `/b.env` does not exist in the task container; valid is the path of a file in the task container"]),
    ("a label file that is missing", keys("label_file: /b.env"), &["pod.component.app:2:13: `label_file`: `/b.env` does not exist in the task container; valid is the path of a file in the task container"]),
    ("a blank text for a runtime", keys("runtime: ' '"), &["pod.component.app:2:10: `runtime`: found ` `; valid is a runtime that the engine knows such as `runc`"]),
    ("a list for annotations", keys("annotations: [[a]]"), &["pod.component.app:2:15: `annotations[0]`: found a list; valid is a string such as `NAME=value`"]),
    ("a text for an attachment", keys("attach: perhaps"), &["pod.component.app:2:9: `attach`: found `perhaps`; valid is `true` or `false`"]),

    // which keys there are
    ("a misspelled key", keys("comand: b"), &["pod.component.app:2:1: `comand`: this key is unknown; did you mean `command`?"]),
    ("a key in another spelling", keys("workingDir: /b"), &["pod.component.app:2:1: `workingDir`: this key is unknown; did you mean `working_dir`?"]),
    ("an unknown key", keys("colour: blue"), &["pod.component.app:2:1: `colour`: this key is unknown; valid are `annotations`, `attach`, `blkio_config`, `cap_add`, `cap_drop`, `command`, `configs`, `cpu_period`, `cpu_quota`, `cpu_rt_period`, `cpu_rt_runtime`, `cpu_shares`, `cpus`, `cpuset`, `depends_on`, `deploy`, `device_cgroup_rules`, `devices`, `entrypoint`, `env_file`, `environment`, `gpus`, `group_add`, `healthcheck`, `image`, `label_file`, `labels`, `logging`, `mem_limit`, `mem_reservation`, `mem_swappiness`, `memswap_limit`, `oom_kill_disable`, `oom_score_adj`, `pids_limit`, `platform`, `post_start`, `pre_start`, `pre_stop`, `privileged`, `pull_policy`, `read_only`, `restart`, `runtime`, `secrets`, `security_opt`, `shm_size`, `stdin_open`, `stop_grace_period`, `stop_signal`, `storage_opt`, `sysctls`, `tmpfs`, `tty`, `ulimits`, `user`, `userns_mode`, `volumes`, `working_dir` and `x-tandem`"]),
    ("no image", labels(&[("pod.component.app", "command: b")]), &["pod.component.app:1:1: `image` is missing; valid is one such as `image: nginx:1.27`"]),
    ("a build and no image", labels(&[("pod.component.app", "build: .\nuser: []")]), &["pod.component.app:1:1: `build`: found `build` and no `image`; a pod builds no image: build it beforehand, and name it with `image`", "pod.component.app:2:7: `user`: found a list; valid is a user such as `1000`, `app` or `1000:1000`"]),
    ("a provider and no image", labels(&[("pod.component.app", "provider: {type: model}")]), &["pod.component.app:1:1: `provider`: found `provider` and no `image`; a pod runs containers alone: name the image of one with `image`"]),
    ("a build that says nothing, and no image", labels(&[("pod.component.app", "build:\ntty: true")]), &["pod.component.app:1:1: `image` is missing; valid is one such as `image: nginx:1.27`"]),
    ("a misspelled image", labels(&[("pod.component.app", "imgae: a\ntty: true")]), &["pod.component.app:1:1: `imgae`: this key is unknown; did you mean `image`?"]),
    ("an empty image", labels(&[("pod.component.app", "image: ''")]), &["pod.component.app:1:8: `image`: found an empty string; valid is the name of an image such as `nginx:1.27`"]),
    ("misspelled parts that must be there", keys("env_file: [{pth: /good.env}]\nvolumes: [{source: b, targt: /x}, {type: bind, sorce: /a, target: /y}]\nsecrets: [{sourc: db_password}]\npost_start: [{comand: b}]\nulimits: {nofile: {sft: 1, hard: 2}}\nblkio_config: {device_read_bps: [{pth: /dev/a, rate: 1}]}\ngpus: [{count: 1, device_ids: ['0']}]"), &[
        "pod.component.app:2:13: `env_file[0].pth`: this key is unknown; did you mean `path`?",
        "pod.component.app:3:23: `volumes[0].targt`: this key is unknown; did you mean `target`?",
        "pod.component.app:3:48: `volumes[1].sorce`: this key is unknown; did you mean `source`?",
        "pod.component.app:4:12: `secrets[0].sourc`: this key is unknown; did you mean `source`?",
        "pod.component.app:5:15: `post_start[0].comand`: this key is unknown; did you mean `command`?",
        "pod.component.app:6:20: `ulimits.nofile.sft`: this key is unknown; did you mean `soft`?",
        "pod.component.app:7:35: `blkio_config.device_read_bps[0].pth`: this key is unknown; did you mean `path`?",
        "pod.component.app:8:8: `gpus[0]`: found `count` beside `device_ids`; leave one of them out",
    ]),
    ("empty strings", keys("environment: {'': a}\nlabels: {'': a}\nhealthcheck: {interval: ''}\nvolumes: ['a:', {type: '', target: /x}]\ndevices: ['/dev/fuse::r']\nulimits: {'': 1}\ncommand: ''\nworking_dir: ''\ncap_add: ['']"), &[
        "pod.component.app:2:15: `environment[\"\"]`: found an empty string for the name; valid is a name without `=`",
        "pod.component.app:3:10: `labels[\"\"]`: found an empty string for the name; valid is a name without `=`",
        "pod.component.app:4:25: `healthcheck.interval`: found an empty string; valid is a duration such as `1m30s`, `10s` or `500ms`",
        "pod.component.app:5:11: `volumes[0]`: found an empty string for the target; valid is an absolute path of the component such as `/data`",
        "pod.component.app:5:24: `volumes[1].type`: found an empty string; valid is one of `volume`, `bind` and `tmpfs`",
        "pod.component.app:6:11: `devices[0]`: found an empty string for the target; valid is an absolute path of the component such as `/dev/fuse`",
        "pod.component.app:7:11: `ulimits[\"\"]`: found an empty string for the limit; valid are `core`, `cpu`, `data`, `fsize`, `locks`, `memlock`, `msgqueue`, `nice`, `nofile`, `nproc`, `rss`, `rtprio`, `rttime`, `sigpending` and `stack`",
        "pod.component.app:10:11: `cap_add[0]`: found an empty string; valid is a capability of Linux such as `NET_ADMIN`, or `ALL`",
    ]),
    ("empty strings in other labels", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "':'"), ("pod.init.components", ""), ("pod.manager", ""), ("pod.stop_grace_period", "''")]), &[
        "pod.copy.app:1:1: found an empty string for the source; valid is an absolute path of the task container",
        "pod.copy.app:1:1: found an empty string for the target; valid is an absolute path of the component",
        "pod.manager: found an empty string; valid is `sibling`, `agent`, or the name that an agent was given (letters, digits, `_`, `.` and `-`)",
        "pod.stop_grace_period:1:1: found an empty string; valid is a duration such as `1m30s`, `10s` or `500ms`",
    ]),
    ("a misspelled label that others need", labels(&[("pod.componet.web", "image: a\ntty: perhaps"), ("pod.copy.web", "/file:/file"), ("pod.component.app", "image: a\ndepends_on: [web]")]), &[
        "pod.componet.web: this label is unknown; did you mean `pod.component.web`?",
        "pod.componet.web:2:6: `tty`: found `perhaps`; valid is `true` or `false`",
    ]),
    ("a misspelled label that is the only one", labels(&[("pod.componet.web", "image: a")]), &["pod.componet.web: this label is unknown; did you mean `pod.component.web`?"]),
    ("a misspelled label of init components that others need", labels(&[("pod.component.app", "image: a"), ("pod.init.component", "- image: a"), ("pod.copy.init-1", "/file:/file")]), &["pod.init.component: this label is unknown; did you mean `pod.init.components`?"]),
    ("a misspelled label beside the right one", labels(&[("pod.component.app", "image: a"), ("pod.componet.app", "image: [")]), &["pod.componet.app: this label is unknown; did you mean `pod.component.app`?"]),
    ("a mistake that many share by an alias", keys("x-env: &env {A: [b]}\nenvironment: *env\npost_start: [{command: a, environment: *env}]"), &["pod.component.app:2:17: `environment.A`: found a list; valid is a string, a number or a boolean"]),
    ("capabilities of a device that are none", keys("gpus: [{capabilities: 7}]"), &["pod.component.app:2:23: `gpus[0].capabilities`: found `7`; valid is a list of capabilities such as `[gpu]`"]),
    ("an image without a value", labels(&[("pod.component.app", "image:")]), &["pod.component.app:1:1: `image` is missing; valid is one such as `image: nginx:1.27`"]),
    ("a key that is the pod's", keys("ports: ['80:80']"), &["pod.component.app:2:1: `ports`: a component cannot have this key; publish ports on the pod's own service: components share its network"]),
    ("the network", keys("network_mode: host"), &["pod.component.app:2:1: `network_mode`: a component cannot have this key; components share the network of the task container: set it on the pod's own service"]),
    ("the networks", keys("networks: [a]"), &["pod.component.app:2:1: `networks`: a component cannot have this key; components share the network of the task container: set it on the pod's own service"]),
    ("the host name", keys("hostname: b"), &["pod.component.app:2:1: `hostname`: a component cannot have this key; components have the task container's: set it on the pod's own service"]),
    ("the domain name", keys("domainname: b"), &["pod.component.app:2:1: `domainname`: a component cannot have this key; components have the task container's: set it on the pod's own service"]),
    ("the MAC address", keys("mac_address: '02:42:ac:11:65:43'"), &["pod.component.app:2:1: `mac_address`: a component cannot have this key; components share the network of the task container: set it on the pod's own service"]),
    ("name servers", keys("dns: 8.8.8.8"), &["pod.component.app:2:1: `dns`: a component cannot have this key; set it on the pod's own service: components resolve names as it does"]),
    ("hosts", keys("extra_hosts: ['a:1.2.3.4']"), &["pod.component.app:2:1: `extra_hosts`: a component cannot have this key; set it on the pod's own service: components resolve names as it does"]),
    ("links", keys("links: [b]"), &["pod.component.app:2:1: `links`: a component cannot have this key; leave it out: components reach each other on `localhost`"]),
    ("exposed ports", keys("expose: [80]"), &["pod.component.app:2:1: `expose`: a component cannot have this key; leave it out: components reach each other on `localhost`"]),
    ("the PID namespace", keys("pid: host"), &["pod.component.app:2:1: `pid`: a component cannot have this key; it is the pod's to say: use the manager's flag `--pids`"]),
    ("the IPC namespace", keys("ipc: host"), &["pod.component.app:2:1: `ipc`: a component cannot have this key; it is the pod's to say: use the manager's flag `--ipc`"]),
    ("the UTS namespace", keys("uts: host"), &["pod.component.app:2:1: `uts`: a component cannot have this key; components have the task container's: set it on the pod's own service"]),
    ("the name of the container", keys("container_name: b"), &["pod.component.app:2:1: `container_name`: a component cannot have this key; leave it out: a component's container is named after the task and the component"]),
    ("a build", keys("build: ."), &["pod.component.app:2:1: `build`: a component cannot have this key; build the image beforehand and name it with `image`"]),
    ("the parent cgroup", keys("cgroup_parent: /b"), &["pod.component.app:2:1: `cgroup_parent`: a component cannot have this key; leave it out: components are in the pod's cgroup"]),
    ("a restart policy that is none", keys("restart: sometimes"), &["pod.component.app:2:10: `restart`: found `sometimes`; valid is `no`, `always`, `unless-stopped`, `on-failure` or such as `on-failure:3`"]),
    ("a number of restarts that is none", keys("restart: on-failure:-1"), &["pod.component.app:2:10: `restart`: found `on-failure:-1`; valid is `no`, `always`, `unless-stopped`, `on-failure` or such as `on-failure:3`"]),
    ("a list for a restart policy", keys("restart: [always]"), &["pod.component.app:2:10: `restart`: found a list; valid is `no`, `always`, `unless-stopped`, `on-failure` or such as `on-failure:3`"]),
    ("an init component that is started again for ever", labels(&[("pod.component.app", "image: a"), ("pod.init.components", "- image: a\n  restart: always")]), &["pod.init.components:2:12: `[0].restart`: an init component runs to its end before any component starts; valid are `no` and `on-failure`; what is to run beside the others is a component with `x-tandem: {sidecar: true}`"]),
    ("an init component that is a sidecar", labels(&[("pod.component.app", "image: a"), ("pod.init.components", "- image: a\n  x-tandem: {sidecar: true}")]), &["pod.init.components:2:13: `[0].x-tandem`: an init component runs to its end before any component starts; leave it out, or make it a component"]),
    ("a wait for the end of what never ends", labels(&[("pod.component.a", "image: a\ndepends_on: {b: {condition: service_completed_successfully}}"), ("pod.component.b", "image: b\nrestart: always")]), &["pod.component.a:2:14: `depends_on.b`: `b` never completes: its `restart` starts it again; valid is `condition: service_started`, or another `restart` there"]),
    ("a sidecar that waits for what comes after it", labels(&[("pod.component.a", "image: a\ndepends_on: [b]\nx-tandem: {sidecar: true}"), ("pod.component.b", "image: b")]), &["pod.component.a:2:14: `depends_on[0]`: `a` is a sidecar and `b` is not; sidecars start before all others: leave it out, or make the other one a sidecar too"]),
    ("an unknown key of ours", keys("x-tandem: {esential: false}"), &["pod.component.app:2:12: `x-tandem.esential`: this key is unknown; did you mean `essential`?"]),
    ("text for a switch of ours", keys("x-tandem: {essential: perhaps}"), &["pod.component.app:2:23: `x-tandem.essential`: found `perhaps`; valid is `true` or `false`"]),
    ("a delay without a unit", keys("x-tandem: {shutdown_delay: 5}"), &["pod.component.app:2:28: `x-tandem.shutdown_delay`: found `5` without a unit; write `5s`"]),
    ("no component is essential", keys("x-tandem: {essential: false}"), &["pod.component.app:2:11: `x-tandem`: no component is essential; one component at least must be: the pod would be there, and healthy, with nothing in it"]),
    ("a list for our keys", keys("x-tandem: [sidecar]"), &["pod.component.app:2:11: `x-tandem`: found a list; valid is a mapping such as `{essential: false}`"]),
    ("scratch volumes that are no list", labels(&[("pod.component.app", "image: a"), ("pod.scratch", "cache: {}")]), &["pod.scratch:1:1: found a mapping; valid is a list of volumes such as `[cache]` or `[{name: cache, type: memory, size: 64m}]`"]),
    ("scratch volumes that are wrong", labels(&[("pod.component.app", "image: a"), ("pod.scratch", "[a, a, {type: tape, name: b}, {size: 1x, name: c}, {type: disk}, '-d']")]), &[
        "pod.scratch:1:5: `[1]`: found `a` twice; valid is each volume once",
        "pod.scratch:1:15: `[2].type`: found `tape`; valid is `disk` or `memory`",
        "pod.scratch:1:38: `[3].size`: found `1x`; valid is a size such as `64m`, `1.5g` or a number of bytes",
        "pod.scratch:1:52: `[4]`: `name` is missing; valid is one such as `name: cache`",
        "pod.scratch:1:66: `[5]`: found `-d`; valid is a name of letters, digits, `_`, `.` and `-`, such as `cache`",
    ]),
    ("a part of a scratch volume", labels(&[("pod.component.app", "image: a\nvolumes: [{type: volume, source: s, target: /s, volume: {subpath: a}}]"), ("pod.scratch", "[s]")]), &["pod.component.app:2:11: `volumes[0]`: `s` is a scratch volume; valid is the whole of it, without `subpath`"]),
    ("a time for the stop that is none", labels(&[("pod.component.app", "image: a"), ("pod.stop_grace_period", "soon")]), &["pod.stop_grace_period:1:1: found `soon`; valid is a duration such as `1m30s`, `10s` or `500ms`"]),
    ("a number of replicas", keys("scale: 3"), &["pod.component.app:2:1: `scale`: a component cannot have this key; set `deploy.replicas` on the pod's own service"]),
    ("an init process", keys("init: true"), &["pod.component.app:2:1: `init`: a component cannot have this key; leave it out: pause reaps the processes of the pod"]),
    ("volumes of another container", keys("volumes_from: [b]"), &["pod.component.app:2:1: `volumes_from`: a component cannot have this key; name the volume in `volumes`, or share those of the task container with `--volumes`"]),
    ("a volume driver", keys("volume_driver: nfs"), &["pod.component.app:2:1: `volume_driver`: a component cannot have this key; declare the volume with its driver in the stack's own `volumes`"]),
    ("a profile", keys("profiles: [debug]"), &["pod.component.app:2:1: `profiles`: a component cannot have this key; leave the component out instead"]),
    ("several services in one label", labels(&[("pod.component.app", "services:\n  app:\n    image: a")]), &["pod.component.app:1:1: `services`: a component cannot have this key; a label holds one component: write one label `pod.component.<name>` for each service"]),
    ("the engine's socket by Compose's own key", keys("use_api_socket: true"), &["pod.component.app:2:17: `use_api_socket`: a component cannot have this; leave it out: no component may reach the engine, whose socket would give it the whole node"]),
    ("a provider", keys("provider: {type: b}"), &["pod.component.app:2:1: `provider`: a component cannot have this key; use the `image` of a container"]),
    ("settings for development", keys("develop: {}"), &["pod.component.app:2:1: `develop`: a component cannot have this key; leave it out: it is for `docker compose watch`"]),
    // secrets and configs
    ("a secret that is none of the task container's", keys("secrets: [elsewhere]"), &["pod.component.app:2:11: `secrets[0]`: the task container has no secret `elsewhere`; in `/run/secrets` there is `db_password` and `folder`: give it to the pod's own service (`secrets`)"]),
    ("a misspelled secret", keys("secrets: [db_pasword]"), &["pod.component.app:2:11: `secrets[0]`: the task container has no secret `db_pasword`; did you mean `db_password`? else give it to the pod's own service (`secrets`)"]),
    ("a secret at a path where nothing is", keys("secrets: [/none]"), &["pod.component.app:2:11: `secrets[0]`: `/none` does not exist in the task container; in `/run/secrets` there is `db_password` and `folder`: give it to the pod's own service (`secrets`)"]),
    ("a folder as a secret", keys("secrets: [folder]"), &["pod.component.app:2:11: `secrets[0]`: `/run/secrets/folder` is not a regular file; valid is a secret of the task container"]),
    ("a config that is none of the task container's", keys("configs: [other.conf]"), &["pod.component.app:2:11: `configs[0]`: the task container has no config `other.conf`; give it to the pod's own service (`configs`), with no `target` or with this name as one"]),
    ("a secret that is no list", keys("secrets: db_password"), &["pod.component.app:2:10: `secrets`: found `db_password`; valid is a list of secrets of the task container, each a name or a mapping"]),
    ("configs that are no list", keys("configs: {app.conf: {}}"), &["pod.component.app:2:10: `configs`: found a mapping; valid is a list of configs of the task container, each a name or a mapping"]),
    ("a secret that is a list", keys("secrets: [[db_password]]"), &["pod.component.app:2:11: `secrets[0]`: found a list; valid is the name of a secret, or a mapping such as `{source: name, target: /path}`"]),
    ("a secret outside of the folder of secrets", keys("secrets: [../db_password]"), &["pod.component.app:2:11: `secrets[0]`: found `../db_password`; valid is the name of a secret, or a mapping such as `{source: name, target: /path}`"]),
    ("a secret without a source", keys("secrets: [{target: /a}]"), &["pod.component.app:2:11: `secrets[0]`: `source` is missing; valid is the name of a secret of the task container"]),
    ("an unknown key of a secret", keys("secrets: [{source: db_password, file: ./a}]"), &["pod.component.app:2:33: `secrets[0].file`: this key is unknown; valid are `source`, `target`, `uid`, `gid` and `mode`"]),
    ("each part of a secret", keys("secrets: [{source: {}, target: ../a, uid: root, gid: -1, mode: 440}]"), &["pod.component.app:2:20: `secrets[0].source`: found a mapping; valid is the name of a secret", "pod.component.app:2:32: `secrets[0].target`: found `../a`; valid is an absolute path of a file, or one below `/run/secrets` such as `key.pem`", "pod.component.app:2:43: `secrets[0].uid`: found `root`; valid is the number of a user or group such as `1000`", "pod.component.app:2:54: `secrets[0].gid`: found `-1`; valid is the number of a user or group such as `1000`", "pod.component.app:2:64: `secrets[0].mode`: found `440`; valid is an octal number such as `0755` or `\"1777\"`"]),
    ("a config with a folder as its target", keys("configs: [{source: app.conf, target: /etc/}]"), &["pod.component.app:2:38: `configs[0].target`: found `/etc/`; valid is an absolute path of a file such as `/etc/app.conf`"]),
    ("two at the same target", keys("secrets: [db_password, {source: db_password}]"), &["pod.component.app:2:24: `secrets[1]`: found the target `/run/secrets/db_password` twice; valid is one mount at each path"]),
    ("a secret at the target of a volume", keys("volumes: [data:/run/secrets/db_password]\nsecrets: [db_password]"), &["pod.component.app:3:11: `secrets[0]`: found the target `/run/secrets/db_password` twice; valid is one mount at each path"]),
    ("a secret over a mount", keys("tmpfs: /a/b\nsecrets: [{source: db_password, target: /a}]"), &["pod.component.app:3:11: `secrets[0]`: the target `/a` is a file, and `/a/b` is mounted below it; valid is a path of its own"]),
    ("a secret below another one", keys("secrets: [{source: db_password, target: /a}, {source: db_password, target: /a/b}]"), &["pod.component.app:2:46: `secrets[1]`: the target `/a/b` lies in `/a`, which is mounted read-only; valid is a path outside of it"]),
    ("a secret in a volume that is read-only", keys("volumes: [data:/a:ro]\nsecrets: [{source: db_password, target: /a/b}]"), &["pod.component.app:3:11: `secrets[0]`: the target `/a/b` lies in `/a`, which is mounted read-only; valid is a path outside of it"]),
    ("a secret in a folder of the engine", keys("secrets: [{source: db_password, target: /dev/key}]"), &["pod.component.app:2:11: `secrets[0]`: the target `/dev/key` lies in `/dev`, which is the engine's; valid is a path outside of it"]),
    ("a copy to where a secret is", labels(&[("pod.component.app", "image: a\nsecrets: [db_password]"), ("pod.copy.app", "/file:/run/secrets/db_password")]), &["pod.copy.app:1:1: the target `/run/secrets/db_password` is a secret or config of the component; valid is another path"]),

    ("a component that extends another", keys("extends: {service: b}"), &["pod.component.app:2:1: `extends`: a component cannot have this key; write the keys out: only in a Compose file (`pod.compose.file`) a service can extend another"]),

    // post_start, pre_stop
    ("hooks that are no list", keys("post_start: touch /a"), &["pod.component.app:2:13: `post_start`: found a string; valid is a list of hooks such as `[{command: ./register}]`"]),
    ("a hook that is no mapping", keys("pre_stop: [touch /a]"), &["pod.component.app:2:12: `pre_stop[0]`: found a string; valid is a mapping such as `{command: ./register, user: root}`"]),
    ("a hook without a command", keys("post_start: [{user: root}]"), &["pod.component.app:2:14: `post_start[0]`: `command` is missing; valid is one such as `command: ./register --now`"]),
    ("a hook with an empty command", keys("post_start: [{command: []}, {command: ''}]"), &["pod.component.app:2:24: `post_start[0].command`: found an empty command; valid is one such as `./register --now`", "pod.component.app:2:39: `post_start[1].command`: found an empty command; valid is one such as `./register --now`"]),
    ("each part of a hook", keys("post_start: [{command: {}, user: [], working_dir: a, environment: 1, privileged: 2}]"), &["pod.component.app:2:24: `post_start[0].command`: found a mapping; valid is a string such as `nginx -g \"daemon off;\"`, or a list of strings", "pod.component.app:2:34: `post_start[0].user`: found a list; valid is a user such as `1000`, `app` or `1000:1000`", "pod.component.app:2:51: `post_start[0].working_dir`: found `a`; valid is an absolute path such as `/srv/app`", "pod.component.app:2:67: `post_start[0].environment`: found a number; valid is a mapping such as `NAME: value`, or a list of `NAME=value`", "pod.component.app:2:82: `post_start[0].privileged`: found `2`; valid is `true` or `false`"]),
    ("a privileged hook", keys("pre_stop: [{command: a, privileged: true}]"), &["pod.component.app:2:37: `pre_stop[0].privileged`: a component cannot have this; leave it out, and name what the component needs in `cap_add`: a privileged hook reaches the engine and owns the node"]),
    ("an unknown key of a hook", keys("pre_stop: [{command: a, timeout: 3s}]"), &["pod.component.app:2:25: `pre_stop[0].timeout`: this key is unknown; valid are `command`, `environment`, `privileged`, `user` and `working_dir`"]),
    ("hooks of an init component", labels(&[("pod.component.app", "image: a"), ("pod.init.components", "- image: a\n  post_start: [{command: b}]\n  pre_stop: [{command: c}]")]), &["pod.init.components:2:16: `[0].post_start[0]`: an init component cannot have hooks; write the command into a component, or into one more init component", "pod.init.components:3:14: `[0].pre_stop[0]`: an init component cannot have hooks; write the command into a component, or into one more init component"]),

    // pre_start
    ("a `pre_start` that is no list", keys("pre_start: ./migrate"), &["pod.component.app:2:12: `pre_start`: found a string; valid is a list of containers such as `[{command: ./migrate}]`"]),
    ("an entry that is no mapping", keys("pre_start: [./migrate]"), &["pod.component.app:2:13: `pre_start[0]`: found a string; valid is a mapping such as `{command: ./migrate, user: root}`"]),
    ("each part of an entry", keys("pre_start: [{command: {}, image: a b, user: [], working_dir: a, environment: 1, privileged: 2, per_replica: 3}]"), &["pod.component.app:2:23: `pre_start[0].command`: found a mapping; valid is a string such as `nginx -g \"daemon off;\"`, or a list of strings", "pod.component.app:2:34: `pre_start[0].image`: found `a b`; valid is the name of an image such as `nginx:1.27`", "pod.component.app:2:45: `pre_start[0].user`: found a list; valid is a user such as `1000`, `app` or `1000:1000`", "pod.component.app:2:62: `pre_start[0].working_dir`: found `a`; valid is an absolute path such as `/srv/app`", "pod.component.app:2:78: `pre_start[0].environment`: found a number; valid is a mapping such as `NAME: value`, or a list of `NAME=value`", "pod.component.app:2:93: `pre_start[0].privileged`: found `2`; valid is `true` or `false`", "pod.component.app:2:109: `pre_start[0].per_replica`: found `3`; valid is `true` or `false`"]),
    ("an unknown key of an entry", keys("pre_start: [{command: a, entrypoint: b}]"), &["pod.component.app:2:26: `pre_start[0].entrypoint`: this key is unknown; valid are `command`, `environment`, `image`, `per_replica`, `privileged`, `user` and `working_dir`"]),
    ("a privileged entry", keys("pre_start: [{command: a}, {command: b, privileged: true}]"), &["pod.component.app:2:52: `pre_start[1].privileged`: found `true`: a privileged component reaches the engine and owns the node; name what it needs in `cap_add` and `devices`, or start the manager with `--allow privileged`"]),
    ("a fault of a component is not said once more for each entry", keys("cap_add: [SYS_ADMIN]\npre_start: [{command: a}]"), &["pod.component.app:2:10: `cap_add`: found `SYS_ADMIN`, which is none of Docker's default capabilities, nor the task container's; add it to `cap_add` of the pod's own service, or start the manager with `--allow capabilities=SYS_ADMIN`"]),
    ("an entry whose variables are too many with its component's", keys(&format!("environment: [{}]\npre_start: [{{environment: {{MORE: ''}}}}]", (0..1024).map(|number| format!("v{number}=")).collect::<Vec<_>>().join(", "))), &["pod.component.app:3:27: `pre_start[0].environment`: found 1025 for the number of variables; valid is at most 1024: the engine keeps, sends and stores the whole list with each change of the container"]),
    ("a `pre_start` of an init component", labels(&[("pod.component.app", "image: a"), ("pod.init.components", "- image: a\n  pre_start: [{command: b}]")]), &["pod.init.components:2:15: `[0].pre_start[0]`: an init component cannot have hooks; write the command into a component, or into one more init component"]),
    ("a component with the name of an entry's container", labels(&[("pod.component.app", "image: a\npre_start: [{}, {}]"), ("pod.component.app.pre-2", "image: b"), ("pod.component.app.pre-3", "image: b")]), &["pod.component.app.pre-2: `app.pre-2` is the name of a `pre_start` container of `app`; valid is any other name"]),
    ("an entry's container with a name that is too long", BTreeMap::from([(format!("pod.component.{}", "x".repeat(228)), "image: a\npre_start: [{}]".to_owned())]), &["pod.component.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…:2:13: `pre_start[0]`: the container's name would have 258 characters; valid are up to 255"]),
    ("a hundred containers with those of `pre_start`", more(many(99), "pod.component.last", "image: a\npre_start: [{}]"), &["labels: the pod has 101 components, init components and entries of `pre_start` among them; valid are up to 100, or start the manager with `--max-components 101`"]),
    ("what entries repeat of their component", keys(&format!("environment: {{A: '{}', B: '{}'}}\npre_start: [{}]", "x".repeat(120_000), "x".repeat(120_000), vec!["{}"; 40].join(", "))), &["pod.component.app:3:77: `pre_start[16]`: the definition is too large with its aliases, variables, `extends`, env files and `pre_start` in place; valid are up to 4 MiB in all"]),
    ("a privileged component", keys("privileged: true"), &["pod.component.app:2:13: `privileged`: found `true`: a privileged component reaches the engine and owns the node; name what it needs in `cap_add` and `devices`, or start the manager with `--allow privileged`"]),

    // image, command, entrypoint, user, folders, flags
    ("a list for an image", labels(&[("pod.component.app", "image: [a]")]), &["pod.component.app:1:8: `image`: found a list; valid is the name of an image such as `nginx:1.27`"]),
    ("an image with a space", labels(&[("pod.component.app", "image: a b")]), &["pod.component.app:1:8: `image`: found `a b`; valid is the name of an image such as `nginx:1.27`"]),
    ("an open quote in a command", keys("command: sh -c 'a"), &["pod.component.app:2:10: `command`: found a quote that is never closed; close it, or write a list of strings"]),
    ("a mapping for a command", keys("command: {a: b}"), &[r#"pod.component.app:2:10: `command`: found a mapping; valid is a string such as `nginx -g "daemon off;"`, or a list of strings"#]),
    ("a list within a command", keys("command: [sh, [-c]]"), &["pod.component.app:2:15: `command[1]`: found a list; valid is a string"]),
    ("nothing in an entrypoint", keys("entrypoint: [sh, ~]"), &["pod.component.app:2:18: `entrypoint[1]`: found nothing; valid is a string"]),
    ("a blank user", keys("user: ' '"), &["pod.component.app:2:7: `user`: found ` `; valid is a user such as `1000`, `app` or `1000:1000`"]),
    ("a relative working folder", keys("working_dir: srv"), &["pod.component.app:2:14: `working_dir`: found `srv`; valid is an absolute path such as `/srv/app`"]),
    ("an unknown boolean", keys("read_only: maybe"), &["pod.component.app:2:12: `read_only`: found `maybe`; valid is `true` or `false`"]),
    ("a number for a boolean", keys("tty: 1"), &["pod.component.app:2:6: `tty`: found `1`; valid is `true` or `false`"]),

    // environment and labels
    ("a string for the environment, which may be a secret", keys("environment: PASSWORD=x"), &["pod.component.app:2:14: `environment`: found a string; valid is a mapping such as `NAME: value`, or a list of `NAME=value`"]),
    ("a list for a variable, which may be a secret", keys("environment: {PASSWORD: [x]}"), &["pod.component.app:2:25: `environment.PASSWORD`: found a list; valid is a string, a number or a boolean"]),
    ("a mapping in a list of variables", keys("environment: [{PASSWORD: x}]"), &["pod.component.app:2:15: `environment[0]`: found a mapping; valid is a string such as `NAME=value`"]),
    ("a variable without a name", keys("environment: ['=x']"), &["pod.component.app:2:15: `environment[0]`: found no name before the `=`; valid is a string such as `NAME=value`"]),
    ("a name with an equals sign", keys("environment: {A=B: x}"), &[r#"pod.component.app:2:15: `environment["A=B"]`: found the name `A=B`; valid is a name without `=`"#]),
    ("an env file that is not there", keys("env_file: /none.env"), &["pod.component.app:2:11: `env_file`: `/none.env` does not exist in the task container; valid is the path of a file in the task container"]),
    ("an env file that is a folder", keys("env_file: /folder"), &["pod.component.app:2:11: `env_file`: `/folder` is not a regular file; valid is the path of a file in the task container"]),
    ("an env file that is not text", keys("env_file: /binary"), &["pod.component.app:2:11: `env_file`: `/binary` is not text; valid is a file in UTF-8"]),
    ("an env file in which a variable is not closed, of which nothing is told", keys("env_file: /braces.env"), &["/braces.env:1:1: found `${` without its closing brace; valid is one such as `${NAME:-default}`", "/braces.env:2:1: found `${` before what is no variable; valid are `${NAME}`, and after the name `:-default`, `-default`, `:?error`, `?error`, `:+other` and `+other`", "/braces.env:3:1: a variable is required that is not set; set it in the task container's environment, or in `.env` beside the file"]),
    ("a raw env file with bad lines", keys("env_file: [{path: /bad.env, format: raw}]"), &["/bad.env:2:1: found no name of a variable; valid are lines such as `NAME=value`", "/bad.env:3:1: found a space in the name of a variable; valid are lines such as `NAME=value`"]),
    ("an env file with bad lines", keys("env_file: [/bad.env, /good.env]"), &["/bad.env:2:1: found no name of a variable; valid are lines such as `NAME=value`", "/bad.env:3:5: found a quote that is never closed; close it, or put the value between quotes of the other kind"]),
    ("a bad env file of two components, told once", labels(&[("pod.component.app", "image: a\nenv_file: /bad.env"), ("pod.component.web", "image: a\nenv_file: /bad.env")]), &["/bad.env:2:1: found no name of a variable; valid are lines such as `NAME=value`", "/bad.env:3:5: found a quote that is never closed; close it, or put the value between quotes of the other kind"]),
    ("a label of Tandem's own", keys("labels: {io.tandem.pod: b}"), &[r#"pod.component.app:2:10: `labels["io.tandem.pod"]`: found the label `io.tandem.pod`; valid is any other name: Tandem finds its containers by these"#]),
    ("a label of Swarm's", keys("labels: [com.docker.swarm.task=b]"), &["pod.component.app:2:10: `labels[0]`: found the label `com.docker.swarm.task`; valid is any other name: Swarm would count the component as a task of its own"]),
    ("a label of a stack", keys("labels: {com.docker.stack.namespace: b}"), &[r#"pod.component.app:2:10: `labels["com.docker.stack.namespace"]`: found the label `com.docker.stack.namespace`; valid is any other name: `docker stack` would count the component as a part of a stack"#]),
    ("a label of Compose's", keys("labels: {com.docker.compose.project: b}"), &[r#"pod.component.app:2:10: `labels["com.docker.compose.project"]`: found the label `com.docker.compose.project`; valid is any other name: Compose would count the component as a service and remove it"#]),

    ("a label of another tool of Docker's", keys("labels: {com.docker.desktop.x: b}"), &[r#"pod.component.app:2:10: `labels["com.docker.desktop.x"]`: found the label `com.docker.desktop.x`; valid is any other name: Docker's own tools find their containers by these"#]),

    // volumes and tmpfs
    ("a string for volumes", keys("volumes: data:/data"), &["pod.component.app:2:10: `volumes`: found `data:/data`; valid is a list of volumes such as `data:/var/lib/data`"]),
    ("a volume of four parts", keys("volumes: ['a:/b:ro:z']"), &["pod.component.app:2:11: `volumes[0]`: found `a:/b:ro:z` with 4 parts; valid are `target`, `source:target` and `source:target:mode`"]),
    ("a relative bind", keys("volumes: ['./data:/data']"), &["pod.component.app:2:11: `volumes[0]`: found the relative path `./data`; valid is a volume's name, or an absolute path of the host: there is no folder on the node that it could be relative to"]),
    ("a folder below the home", keys("volumes: ['~/data:/data']"), &["pod.component.app:2:11: `volumes[0]`: found the relative path `~/data`; valid is a volume's name, or an absolute path of the host: there is no folder on the node that it could be relative to"]),
    ("a relative path without a dot", keys("volumes: ['data/sub:/data']"), &["pod.component.app:2:11: `volumes[0]`: found the relative path `data/sub`; valid is a volume's name, or an absolute path of the host: there is no folder on the node that it could be relative to"]),
    ("no source", keys("volumes: [':/data']"), &["pod.component.app:2:11: `volumes[0]`: found no source before the `:`; valid is a volume's name, or an absolute path of the host"]),
    ("a relative target", keys("volumes: ['data:data']"), &["pod.component.app:2:11: `volumes[0]`: found the target `data`; valid is an absolute path of the component such as `/data`"]),
    ("a volume of a name that is too long for one", keys(&format!("volumes: ['{}:/data']", long())), &["pod.component.app:2:11: `volumes[0]`: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is a shorter one"]),
    ("paths that are too long for mounts", keys(&format!("volumes: ['/{0}:/b', 'c:/{0}']\ntmpfs: /{0}", long())), &["pod.component.app:2:11: `volumes[0]`: `/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is a shorter one", "pod.component.app:2:22019: `volumes[1]`: `/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is a shorter one", "pod.component.app:3:8: `tmpfs`: `/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is a shorter one"]),
    ("files at paths that are too long for one", keys(&format!("env_file: /{0}\nlabel_file: /{0}\nsecrets: [{{source: {0}, target: /{0}}}]", long())), &["pod.component.app:2:11: `env_file`: `/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is the path of a file in the task container", "pod.component.app:3:13: `label_file`: `/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is the path of a file in the task container", "pod.component.app:4:11: `secrets[0]`: `/run/secrets/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is a secret of the task container"]),
    ("a secret at a path that is too long for one", keys(&format!("secrets: [{{source: db_password, target: /{}}}]", long())), &["pod.component.app:2:11: `secrets[0]`: `/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is a shorter one"]),
    ("an image with a name that is too long for one", labels(&[("pod.component.app", &format!("image: {}", long()))]), &["pod.component.app:1:8: `image`: found the name of an image with 22000 bytes; valid are up to 1024"]),
    ("a copy between paths that are too long for one", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", &format!("/{0}:/{0}", long()))]), &["pod.copy.app:1:1: `/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is a file or a folder of the task container", "pod.copy.app:1:1: `/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…` is too long: a path has at most 4095 bytes, and each name in it 255; valid is a shorter one"]),
    ("a root target", keys("volumes: ['data:/']"), &["pod.component.app:2:11: `volumes[0]`: found the target `/`; valid is a path below it such as `/data`"]),
    ("an unknown mode", keys("volumes: ['data:/data:rx']"), &["pod.component.app:2:11: `volumes[0]`: found the mode `rx`; valid are `ro`, `rw`, `z`, `Z`, `nocopy`, `private`, `rprivate`, `shared`, `rshared`, `slave` and `rslave`"]),
    ("propagation of a volume", keys("volumes: ['data:/data:rshared']"), &["pod.component.app:2:11: `volumes[0]`: found the propagation `rshared` for a volume; only a path of the host can have it"]),
    ("no copy into a bind", keys("volumes: ['/data:/data:nocopy']"), &["pod.component.app:2:11: `volumes[0]`: found the mode `nocopy` for a path of the host; only a volume can have it"]),
    ("an empty entry", keys("volumes: [~]"), &["pod.component.app:2:11: `volumes[0]`: found nothing; valid is a volume such as `data:/var/lib/data`, `/host/path:/path:ro` or `/path`"]),
    ("an unknown key of a volume", keys("volumes: [{type: volume, source: a, target: /a, readonly: true}]"), &["pod.component.app:2:49: `volumes[0].readonly`: this key is unknown; did you mean `read_only`?"]),
    ("an unknown type", keys("volumes: [{type: nfs, source: a, target: /a}]"), &["pod.component.app:2:11: `volumes[0]`: found the type `nfs`; valid are `volume`, `bind` and `tmpfs`"]),
    ("no target", keys("volumes: [{type: volume, source: a}]"), &["pod.component.app:2:11: `volumes[0]`: `target` is missing; valid is an absolute path of the component such as `/data`"]),
    ("a bind without a source", keys("volumes: [{type: bind, target: /a}]"), &["pod.component.app:2:11: `volumes[0]`: `source` is missing; valid is an absolute path of the host"]),
    ("a bind of a name", keys("volumes: [{type: bind, source: a, target: /a}]"), &["pod.component.app:2:32: `volumes[0].source`: found `a`; valid is an absolute path of the host for `type: bind`"]),
    ("a volume of a path", keys("volumes: [{type: volume, source: /a, target: /a}]"), &["pod.component.app:2:34: `volumes[0].source`: found `/a`; valid is a volume's name for `type: volume`"]),
    ("a tmpfs with a source", keys("volumes: [{type: tmpfs, source: a, target: /a}]"), &["pod.component.app:2:33: `volumes[0].source`: found a `source` for `type: tmpfs`; valid is a tmpfs without one"]),
    ("options of another type", keys("volumes: [{type: volume, source: a, target: /a, bind: {propagation: shared}}]"), &["pod.component.app:2:49: `volumes[0].bind`: found `bind` for `type: volume`; only `type: bind` can have it"]),
    ("an unknown propagation", keys("volumes: [{type: bind, source: /a, target: /a, bind: {propagation: all}}]"), &["pod.component.app:2:68: `volumes[0].bind.propagation`: found `all`; valid is `private`, `rprivate`, `shared`, `rshared`, `slave` or `rslave`"]),
    ("parts of a volume that are none", keys("volumes:\n- {type: volume, source: a, target: /a, volume: {subpath: /b}}\n- {type: volume, source: a, target: /b, volume: {subpath: b/../..}}\n- {type: volume, source: a, target: /c, volume: {subpath: ./}}"), &["pod.component.app:3:59: `volumes[0].volume.subpath`: found `/b`; valid is a relative path within the volume such as `data/app`", "pod.component.app:4:59: `volumes[1].volume.subpath`: found `b/../..`; valid is a relative path within the volume such as `data/app`", "pod.component.app:5:59: `volumes[2].volume.subpath`: found `./`; valid is a relative path within the volume such as `data/app`"]),
    ("labels of a volume", keys("volumes: [{type: volume, source: a, target: /a, volume: {labels: [a=b]}}]"), &["pod.component.app:2:58: `volumes[0].volume.labels`: a mount cannot label its volume; set the labels where the volume is made: in the stack's own `volumes`, or by `docker volume create`"]),
    ("options of an image for a bind", keys("volumes: [{type: bind, source: /a, target: /a, image: {subpath: b}}]"), &["pod.component.app:2:48: `volumes[0].image`: found `image` for `type: bind`; only `type: image` can have it"]),
    ("an image as a volume", keys("volumes: [{type: image, source: a, target: /a}]"), &["pod.component.app:2:11: `volumes[0]`: found the type `image`, which Docker Engine 28.0 and newer have (API 1.48); a component cannot mount an image: fill a volume from it with an init component"]),
    ("no such wish for the mounts below", keys("volumes: [{type: bind, source: /a, target: /a, bind: {recursive: yes}}]"), &["pod.component.app:2:66: `volumes[0].bind.recursive`: found `yes`; valid is `enabled`, `disabled`, `writable` or `readonly`"]),
    ("mounts below a path that is writable", keys("volumes: [{type: bind, source: /a, target: /a, bind: {recursive: readonly}}]"), &["pod.component.app:2:66: `volumes[0].bind.recursive`: found `readonly` for a path that is not mounted read-only; valid with `read_only: true`"]),
    ("read-only below with a propagation", keys("volumes: [{type: bind, source: /a, target: /a, read_only: true, bind: {recursive: readonly, propagation: shared}}]"), &["pod.component.app:2:83: `volumes[0].bind.recursive`: found `readonly` with the propagation `shared`; valid is `rprivate`, or no propagation"]),
    ("a bad size of a tmpfs", keys("volumes: [{type: tmpfs, target: /a, tmpfs: {size: 64q}}]"), &["pod.component.app:2:51: `volumes[0].tmpfs.size`: found `64q`; valid is a size such as `64m`, `1.5g` or a number of bytes"]),
    ("decimal permissions", keys("volumes: [{type: tmpfs, target: /a, tmpfs: {mode: 755}}]"), &[r#"pod.component.app:2:51: `volumes[0].tmpfs.mode`: found `755`; valid is an octal number such as `0755` or `"1777"`"#]),
    ("an unknown key of a bind", keys("volumes: [{type: bind, source: /a, target: /a, bind: {propagaton: shared}}]"), &["pod.component.app:2:55: `volumes[0].bind.propagaton`: this key is unknown; did you mean `propagation`?"]),
    ("a target twice", keys("volumes: ['a:/data', 'b:/data/']\ntmpfs: [/data]"), &["pod.component.app:2:22: `volumes[1]`: found the target `/data` twice; valid is one mount at each path", "pod.component.app:3:9: `tmpfs[0]`: found the target `/data` twice; valid is one mount at each path"]),
    ("a volume of two that are called so", keys("volumes: ['shared:/data']"), &["pod.component.app:2:11: `volumes[0]`: the volume `shared` may be `one` or `two`; valid is the full name of one of them"]),
    ("a relative tmpfs", keys("tmpfs: run"), &["pod.component.app:2:8: `tmpfs`: found the target `run`; valid is an absolute path of the component such as `/data`"]),
    ("an unknown option of a tmpfs", keys("tmpfs: /run:size=64m,colour=blue"), &["pod.component.app:2:8: `tmpfs`: found the option `colour=blue`; valid are options of tmpfs such as `size=64m`, `mode=1777`, `uid=1000` and `noexec`"]),
    ("a mapping for a tmpfs", keys("tmpfs: {a: b}"), &["pod.component.app:2:8: `tmpfs`: found a mapping; valid is a path such as `/run`, with options such as `/run:size=64m`"]),

    // where nothing is mounted
    ("targets in the kernel's folders", keys("volumes: ['a:/proc/x', '/a:/sys/..//sys/fs', {type: tmpfs, target: /proc}]\ntmpfs: [/sys/fs/cgroup]"), &[
        "pod.component.app:2:11: `volumes[0]`: found the target `/proc/x`, where the engine hides what belongs to the kernel; valid is a path outside of `/proc` and `/sys`",
        "pod.component.app:2:24: `volumes[1]`: found the target `/sys/fs`, where the engine hides what belongs to the kernel; valid is a path outside of `/proc` and `/sys`",
        "pod.component.app:2:46: `volumes[2]`: found the target `/proc`, where the engine hides what belongs to the kernel; valid is a path outside of `/proc` and `/sys`",
        "pod.component.app:3:9: `tmpfs[0]`: found the target `/sys/fs/cgroup`, where the engine hides what belongs to the kernel; valid is a path outside of `/proc` and `/sys`",
    ]),
    ("targets among the devices", keys("volumes: ['a:/dev', 'b:/dev/log', '/a:/dev/a']\ntmpfs: [/dev/shm, /dev/x]"), &[
        "pod.component.app:2:11: `volumes[0]`: found the target `/dev`, where the engine makes the devices; valid are `/dev/shm`, `/dev/mqueue` and what the task container has mounted at the same path",
        "pod.component.app:2:21: `volumes[1]`: found the target `/dev/log`, where the engine makes the devices; valid are `/dev/shm`, `/dev/mqueue` and what the task container has mounted at the same path",
        "pod.component.app:2:35: `volumes[2]`: found the target `/dev/a`, where the engine makes the devices; valid are `/dev/shm`, `/dev/mqueue` and what the task container has mounted at the same path",
        "pod.component.app:3:19: `tmpfs[1]`: found the target `/dev/x`, where the engine makes the devices; valid are `/dev/shm`, `/dev/mqueue` and what the task container has mounted at the same path",
    ]),

    // what the operator must allow
    ("capabilities that Docker gives no container by itself", keys("cap_add: [SYS_ADMIN, NET_ADMIN, ALL]"), &["pod.component.app:2:10: `cap_add`: found `ALL`, which is none of Docker's default capabilities, nor the task container's; add it to `cap_add` of the pod's own service, or start the manager with `--allow capabilities=ALL`", "pod.component.app:2:10: `cap_add`: found `NET_ADMIN`, which is none of Docker's default capabilities, nor the task container's; add it to `cap_add` of the pod's own service, or start the manager with `--allow capabilities=NET_ADMIN`", "pod.component.app:2:10: `cap_add`: found `SYS_ADMIN`, which is none of Docker's default capabilities, nor the task container's; add it to `cap_add` of the pod's own service, or start the manager with `--allow capabilities=SYS_ADMIN`"]),
    ("the host's users", keys("userns_mode: host"), &["pod.component.app:2:14: `userns_mode`: found `host`: root in the component would be root of the host; leave it out, or start the manager with `--allow host-users`"]),
    ("protection switched off", keys("security_opt: ['seccomp:unconfined', 'systempaths=unconfined']"), &["pod.component.app:2:15: `security_opt`: found `seccomp=unconfined`, which switches off or replaces what protects the host; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`", "pod.component.app:2:15: `security_opt`: found `systempaths=unconfined`, which switches off or replaces what protects the host; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`"]),
    ("a seccomp profile", keys(r#"security_opt: ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']"#), &["pod.component.app:2:15: `security_opt`: found a seccomp profile that may allow what Docker's default profile does not; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`"]),
    ("a disk", keys("devices: [/dev/fuse, '/dev/sda1:/dev/x', '/dev/disk/by-id/ata-1:/dev/y:r']"), &["pod.component.app:2:10: `devices`: found `/dev/disk/by-id/ata-1`, which the task container does not have; give it to the pod's own service, or start the manager with `--allow devices=/dev/disk/by-id/ata-1`", "pod.component.app:2:10: `devices`: found `/dev/sda1`, which the task container does not have; give it to the pod's own service, or start the manager with `--allow devices=/dev/sda1`"]),
    ("a disk, by a way around", keys("devices: ['/dev/dri/..//./mapper/root:/dev/x']"), &["pod.component.app:2:10: `devices`: found `/dev/mapper/root`, which the task container does not have; give it to the pod's own service, or start the manager with `--allow devices=/dev/mapper/root`"]),
    ("a folder of devices", keys("devices: [/dev/dri/, /dev/bus/usb]"), &["pod.component.app:2:10: `devices`: found `/dev/bus/usb`, which the task container does not have; give it to the pod's own service, or start the manager with `--allow devices=/dev/bus/usb`", "pod.component.app:2:10: `devices`: found `/dev/dri`, which the task container does not have; give it to the pod's own service, or start the manager with `--allow devices=/dev/dri`"]),
    ("a rule for disks", keys("device_cgroup_rules: ['c 1:3 r', 'c 01:1 r', 'b *:* rwm']"), &["pod.component.app:2:22: `device_cgroup_rules`: found `b *:* rwm`, which opens devices that the task container does not have; name less, or start the manager with `--allow raw-devices`", "pod.component.app:2:22: `device_cgroup_rules`: found `c 01:1 r`, which opens devices that the task container does not have; name less, or start the manager with `--allow raw-devices`"]),
    ("the kernel's folders", keys("volumes: ['/sys:/sys:ro', '/proc/sys:/x']"), &["pod.component.app:2:11: `volumes[0]`: found `/sys` of the host, which is or contains the cgroup tree, through which every limit of the host can be changed; mount something else, or start the manager with `--allow engine-socket,host-paths=/sys:ro`", "pod.component.app:2:11: `volumes[0]`: found the target `/sys`, where the engine hides what belongs to the kernel; valid is a path outside of `/proc` and `/sys`", "pod.component.app:2:27: `volumes[1]`: found `/proc/sys` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/proc/sys:/x']`), or start the manager with `--allow host-paths=/proc/sys`"]),
    ("what the engine keeps", keys("volumes: ['/var/lib/docker:/x']"), &["pod.component.app:2:11: `volumes[0]`: found `/var/lib/docker` of the host, which is or contains the folder in which the engine keeps its data; mount something else, or start the manager with `--allow engine-socket,host-paths=/var/lib/docker`"]),

    // the engine's socket
    ("the socket itself", keys("volumes: ['/var/run/docker.sock:/var/run/docker.sock:ro']"), &["pod.component.app:2:11: `volumes[0]`: found `/var/run/docker.sock` of the host, which is or contains the engine's socket; mount something else, or start the manager with `--allow engine-socket`"]),
    ("a folder of it", keys("volumes: ['/var/run:/host']"), &["pod.component.app:2:11: `volumes[0]`: found `/var/run` of the host, which is or contains the engine's socket; mount something else, or start the manager with `--allow engine-socket,host-paths=/var/run`"]),
    ("the root of the host", keys("volumes: [{type: bind, source: /, target: /host, read_only: true}]"), &["pod.component.app:2:11: `volumes[0]`: found `/` of the host, which is the whole host; mount something else, or start the manager with `--allow engine-socket,host-paths=/:ro`"]),
    ("the processes of the host", keys("volumes: ['/proc:/host/proc:ro']"), &["pod.component.app:2:11: `volumes[0]`: found `/proc` of the host, which shows the processes that hold the engine's socket; mount something else, or start the manager with `--allow engine-socket,host-paths=/proc:ro`"]),
    ("the socket elsewhere on the host", keys("volumes: ['/srv/engine:/engine']"), &["pod.component.app:2:11: `volumes[0]`: found `/srv/engine` of the host, which is or contains the engine's socket; mount something else, or start the manager with `--allow engine-socket,host-paths=/srv/engine`"]),
    ("what is the engine's too", keys("volumes: ['/var/run/docker/swarm/control.sock:/x']"), &["pod.component.app:2:11: `volumes[0]`: found `/var/run/docker/swarm/control.sock` of the host, which belongs to a container engine; mount something else, or start the manager with `--allow engine-socket,host-paths=/var/run/docker/swarm/control.sock`"]),
    ("a volume that holds it", keys("volumes: ['sockets:/sockets']"), &["pod.component.app:2:11: `volumes[0]`: the volume `stack_sockets` holds the engine's socket; mount another volume, or start the manager with `--allow engine-socket`"]),

    // health checks
    ("a string for a health check", keys("healthcheck: curl localhost"), &["pod.component.app:2:14: `healthcheck`: found `curl localhost`; valid is a mapping such as `{test: curl -f localhost, interval: 10s}`"]),
    ("a misspelled key of a health check", keys("healthcheck: {intervall: 10s}"), &["pod.component.app:2:15: `healthcheck.intervall`: this key is unknown; did you mean `interval`?"]),
    ("a duration without a unit", keys("healthcheck:\n  test: 'true'\n  interval: 10"), &["pod.component.app:4:13: `healthcheck.interval`: found `10` without a unit; write `10s`"]),
    ("a duration in years", keys("healthcheck: {timeout: 1y}"), &["pod.component.app:2:24: `healthcheck.timeout`: found `1y`; valid is a duration such as `1m30s`, `10s` or `500ms`"]),
    ("a negative duration", keys("healthcheck: {timeout: -1s}"), &["pod.component.app:2:24: `healthcheck.timeout`: found `-1s`; valid is a duration such as `1m30s`, `10s` or `500ms`"]),
    ("a boolean for a duration", keys("healthcheck: {timeout: true}"), &["pod.component.app:2:24: `healthcheck.timeout`: found `true`; valid is a duration such as `1m30s`, `10s` or `500ms`"]),
    ("a duration below the engine's least", keys("healthcheck: {start_period: 10us}"), &["pod.component.app:2:29: `healthcheck.start_period`: found `10us`; valid is at least `1ms`"]),
    ("a list that starts with a program", keys("healthcheck: {test: [curl, localhost]}"), &["pod.component.app:2:22: `healthcheck.test[0]`: found `curl` at the start of the list; valid is a command for the shell as a string, or a list that starts with `CMD`, `CMD-SHELL` or `NONE`"]),
    ("an empty list", keys("healthcheck: {test: []}"), &["pod.component.app:2:21: `healthcheck.test`: found an empty list; valid is a command for the shell as a string, or a list that starts with `CMD`, `CMD-SHELL` or `NONE`"]),
    ("an empty test", keys("healthcheck: {test: ''}"), &["pod.component.app:2:21: `healthcheck.test`: found an empty string; valid is a command for the shell as a string, or a list that starts with `CMD`, `CMD-SHELL` or `NONE`"]),
    ("nothing after CMD", keys("healthcheck: {test: [CMD]}"), &["pod.component.app:2:21: `healthcheck.test`: found no command after `CMD`; valid is a list such as `[CMD, curl, -f, localhost]`"]),
    ("nothing after CMD-SHELL", keys("healthcheck: {test: [CMD-SHELL]}"), &["pod.component.app:2:21: `healthcheck.test`: found no command after `CMD-SHELL`; valid is one string, the command for the shell"]),
    ("something after NONE", keys("healthcheck: {test: [NONE, a]}"), &["pod.component.app:2:21: `healthcheck.test`: found something after `NONE`; valid is `[NONE]`"]),
    ("a command with an open quote", keys("command: bot 'a"), &["pod.component.app:2:10: `command`: found a quote that is never closed; close it, or write a list of strings"]),
    ("a negative number of retries", keys("healthcheck: {retries: -1}"), &["pod.component.app:2:24: `healthcheck.retries`: found `-1`; valid is a whole number such as `3`"]),
    ("a fraction of a retry", keys("healthcheck: {retries: 1.5}"), &["pod.component.app:2:24: `healthcheck.retries`: found `1.5`; valid is a whole number such as `3`"]),

    // limits and signals
    ("an unknown unit of memory", keys("mem_limit: 64q"), &["pod.component.app:2:12: `mem_limit`: found `64q`; valid is a size such as `64m`, `1.5g` or a number of bytes"]),
    ("less memory than the engine gives", keys("mem_limit: 4m"), &["pod.component.app:2:12: `mem_limit`: found `4m`; valid is at least `6m`, the engine's minimum"]),
    ("negative memory", keys("mem_limit: -1"), &["pod.component.app:2:12: `mem_limit`: found `-1`; valid is a size such as `64m`, `1.5g` or a number of bytes"]),
    ("memory of a fraction of a byte", keys("mem_limit: 1.5"), &["pod.component.app:2:12: `mem_limit`: found `1.5`; valid is a size such as `64m`, `1.5g` or a number of bytes"]),
    ("more memory than there are numbers for", keys("mem_limit: 99999999999999999999g"), &["pod.component.app:2:12: `mem_limit`: found `99999999999999999999g`; valid is a size such as `64m`, `1.5g` or a number of bytes"]),
    ("a word for CPUs", keys("cpus: half"), &["pod.component.app:2:7: `cpus`: found `half`; valid is a number of CPUs such as `0.5`, at least `0.01`"]),
    ("too small a part of a CPU", keys("cpus: 0.001"), &["pod.component.app:2:7: `cpus`: found `0.001`; valid is a number of CPUs such as `0.5`, at least `0.01`"]),
    ("a negative number of CPUs", keys("cpus: -1"), &["pod.component.app:2:7: `cpus`: found `-1`; valid is a number of CPUs such as `0.5`, at least `0.01`"]),
    ("a word for a number of processes", keys("pids_limit: many"), &["pod.component.app:2:13: `pids_limit`: found `many`; valid is a whole number such as `100`, or `-1` for no limit"]),
    ("a negative number of processes", keys("pids_limit: -2"), &["pod.component.app:2:13: `pids_limit`: found `-2`; valid is a whole number such as `100`, or `-1` for no limit"]),
    ("a bad size of shared memory", keys("shm_size: big"), &["pod.component.app:2:11: `shm_size`: found `big`; valid is a size such as `64m`, `1.5g` or a number of bytes"]),
    ("a misspelled capability", keys("cap_add: [NET_ADMN]"), &["pod.component.app:2:11: `cap_add[0]`: found `NET_ADMN`; did you mean `NET_ADMIN`?"]),
    ("an unknown capability", keys("cap_drop: [CAP_FLY]"), &["pod.component.app:2:12: `cap_drop[0]`: found `CAP_FLY`; valid is a capability of Linux such as `NET_ADMIN`, or `ALL`"]),
    ("a string for capabilities", keys("cap_add: NET_ADMIN"), &["pod.component.app:2:10: `cap_add`: found `NET_ADMIN`; valid is a list of capabilities such as `[NET_ADMIN]`"]),
    ("a misspelled signal", keys("stop_signal: SIGTREM"), &["pod.component.app:2:14: `stop_signal`: found `SIGTREM`; did you mean `SIGTERM`?"]),
    ("an unknown signal", keys("stop_signal: 65"), &["pod.component.app:2:14: `stop_signal`: found `65`; valid is a signal such as `SIGTERM`, or its number from 1 to 64"]),
    ("a grace period without a unit", keys("stop_grace_period: 90"), &["pod.component.app:2:20: `stop_grace_period`: found `90` without a unit; write `90s`"]),

    // dependencies
    ("on nothing", labels(&[("pod.component.app", "image: a\ndepends_on: [databse]"), ("pod.component.database", "image: b")]), &["pod.component.app:2:14: `depends_on[0]`: there is no component `databse`; did you mean `database`?"]),
    ("on nothing near", labels(&[("pod.component.app", "image: a\ndepends_on: [cache]"), ("pod.component.database", "image: b")]), &["pod.component.app:2:14: `depends_on[0]`: there is no component `cache`; valid is `database`"]),
    ("on nothing where there is only one component", keys("depends_on: [b]"), &["pod.component.app:2:14: `depends_on[0]`: there is no component `b`; valid is another component, of which there is none"]),
    ("on itself", keys("depends_on: [app]"), &["pod.component.app:2:14: `depends_on[0]`: `app` depends on itself; valid are other components"]),
    ("on an init component", labels(&[("pod.component.app", "image: a\ndepends_on: [init-1]"), ("pod.init.components", "- image: b")]), &["pod.component.app:2:14: `depends_on[0]`: `init-1` is an init component; leave it out: all init components are done before any component starts"]),
    ("in a circle", labels(&[("pod.component.a", "image: a\ndepends_on: [b]"), ("pod.component.b", "image: a\ndepends_on: {c: {condition: service_healthy}}"), ("pod.component.c", "image: a\ndepends_on: [a]")]), &["pod.component.a:2:14: `depends_on[0]`: components wait for each other: `a` -> `b` -> `c` -> `a`; leave one of these dependencies out"]),
    ("in two circles", labels(&[("pod.component.a", "image: a\ndepends_on: [b]"), ("pod.component.b", "image: a\ndepends_on: [a]"), ("pod.component.c", "image: a\ndepends_on: [d]"), ("pod.component.d", "image: a\ndepends_on: [c]")]), &["pod.component.a:2:14: `depends_on[0]`: components wait for each other: `a` -> `b` -> `a`; leave one of these dependencies out", "pod.component.c:2:14: `depends_on[0]`: components wait for each other: `c` -> `d` -> `c`; leave one of these dependencies out"]),
    ("on the health of what has none", labels(&[("pod.component.app", "image: a\ndepends_on: {b: {condition: service_healthy}}"), ("pod.component.b", "image: b\nhealthcheck: {disable: true}")]), &["pod.component.app:2:14: `depends_on.b`: `b` can never be healthy, since its health check is disabled; valid is `condition: service_started`, or a health check there"]),
    ("on one twice", labels(&[("pod.component.app", "image: a\ndepends_on: [b, b]"), ("pod.component.b", "image: b")]), &["pod.component.app:2:17: `depends_on[1]`: found `b` twice; valid is each component once"]),
    ("an unknown condition", labels(&[("pod.component.app", "image: a\ndepends_on: {b: {condition: healthy}}"), ("pod.component.b", "image: b")]), &["pod.component.app:2:29: `depends_on.b.condition`: found `healthy`; valid are `service_started`, `service_healthy` and `service_completed_successfully`"]),
    ("a required that is no boolean", labels(&[("pod.component.app", "image: a\ndepends_on: {b: {required: maybe}}"), ("pod.component.b", "image: b")]), &["pod.component.app:2:28: `depends_on.b.required`: found `maybe`; valid is `true` or `false`"]),
    ("an unknown key of a dependency", labels(&[("pod.component.app", "image: a\ndepends_on: {b: {conditon: service_started}}"), ("pod.component.b", "image: b")]), &["pod.component.app:2:18: `depends_on.b.conditon`: this key is unknown; did you mean `condition`?"]),
    ("a string for dependencies", keys("depends_on: b"), &["pod.component.app:2:13: `depends_on`: found `b`; valid is a list of components, or a mapping such as `db: {condition: service_healthy}`"]),
    ("a list for a condition", labels(&[("pod.component.app", "image: a\ndepends_on: {b: [service_started]}"), ("pod.component.b", "image: b")]), &["pod.component.app:2:17: `depends_on.b`: found a list; valid is a mapping such as `{condition: service_healthy}`"]),

    // copies
    ("for a component that is not there", labels(&[("pod.component.app", "image: a"), ("pod.copy.ap", "/file:/file")]), &["pod.copy.ap: there is no component `ap`; did you mean `app`?"]),
    ("without a target", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "/file")]), &["pod.copy.app:1:1: found `/file`; valid is a source and a target such as `/source:/target`"]),
    ("of three parts", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "- /file:/file:ro")]), &["pod.copy.app:1:3: `[0]`: found `/file:/file:ro`; valid is a source and a target such as `/source:/target`"]),
    ("of a mapping in a list", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "- {/file: /file}")]), &["pod.copy.app:1:3: `[0]`: found a mapping; valid is `/source:/target`, a list of those, or a mapping of sources to targets"]),
    ("to no path", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "{/file: [/a]}")]), &[r#"pod.copy.app:1:9: `["/file"]`: found a list; valid is an absolute path of the component"#]),
    ("of a relative source", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "file:/file")]), &["pod.copy.app:1:1: found the source `file`; valid is an absolute path of the task container"]),
    ("of what is not there", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "/none:/file")]), &["pod.copy.app:1:1: `/none` does not exist in the task container; valid is a file or a folder of the task container"]),
    ("of a socket", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "/socket:/file")]), &["pod.copy.app:1:1: `/socket` is neither a file nor a folder; valid is a regular file or a folder of the task container"]),
    ("to a relative target", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "/file:file")]), &["pod.copy.app:1:1: found the target `file`; valid is an absolute path of the component"]),
    ("into a tmpfs", labels(&[("pod.component.app", "image: a\ntmpfs: /run"), ("pod.copy.app", "/file:/run/file")]), &["pod.copy.app:1:1: the target `/run/file` lies in a tmpfs, which hides what is copied; valid is a path outside of it, or in a volume"]),
    ("into a tmpfs within a volume", labels(&[("pod.component.app", "image: a\nvolumes: ['b:/b', {type: tmpfs, target: /b/c}]"), ("pod.copy.app", "/file:/b/c/d")]), &["pod.copy.app:1:1: the target `/b/c/d` lies in a tmpfs, which hides what is copied; valid is a path outside of it, or in a volume"]),
    ("into what the engine mounts", labels(&[("pod.component.app", "image: a"), ("pod.copy.app", "/file:/dev/shm/file")]), &["pod.copy.app:1:1: the target `/dev/shm/file` lies in `/dev`, which the engine mounts over what is copied; valid is a path outside of it"]),
    ("into a read-only root", labels(&[("pod.component.app", "image: a\nread_only: true\nvolumes: ['b:/b']"), ("pod.copy.app", "[/file:/b/file, /file:/c/file]")]), &["pod.copy.app:1:17: `[1]`: the target `/c/file` lies in a root file system that is read-only; valid is a path in a volume of the component, or `read_only: false`"]),
    ("into a read-only volume", labels(&[("pod.component.app", "image: a\nvolumes: ['b:/b:ro']"), ("pod.copy.app", "/file:/b/file")]), &["pod.copy.app:1:1: the target `/b/file` lies in a volume that is mounted read-only; valid is a path that the component may write to"]),

    // one report
    ("a fault hides no other, in whatever label", labels(&[("pod.component.app", "comand: a\nhealthcheck:\n  interval: 10\n  test: [curl]\nvolumes:\n  - ./a:/a\n  - b:/b\ndepends_on:\n  - web"), ("pod.component.web", "image: a: b"), ("pod.copy.wbe", "/file:/file"), ("pod.init.components", "- command: x")]), &["pod.component.app:1:1: `image` is missing; valid is one such as `image: nginx:1.27`", "pod.component.app:1:1: `comand`: this key is unknown; did you mean `command`?", "pod.component.app:3:13: `healthcheck.interval`: found `10` without a unit; write `10s`", "pod.component.app:4:10: `healthcheck.test[0]`: found `curl` at the start of the list; valid is a command for the shell as a string, or a list that starts with `CMD`, `CMD-SHELL` or `NONE`", "pod.component.app:6:5: `volumes[0]`: found the relative path `./a`; valid is a volume's name, or an absolute path of the host: there is no folder on the node that it could be relative to", "pod.component.web:1:9: not YAML: mapping values are not allowed in this context; valid is YAML, such as `image: nginx`", "pod.copy.wbe: there is no component `wbe`; did you mean `web`?", "pod.init.components:1:3: `[0]`: `image` is missing; valid is one such as `image: nginx:1.27`"]),
]}

#[test]
fn every_fault_is_told_in_these_words() {
    let report = |labels| definition(&task(labels), &World, Some("/srv/engine/docker.sock"));
    told(cases().into_iter().map(|(sentence, labels, expected)| (sentence, report(labels).err(), expected)));
}

#[test]
fn every_fault_keeps_the_style_of_the_house() {
    for (sentence, _, expected) in cases() {
        for line in expected {
            assert!(!line.ends_with('.'), "{sentence}: a full stop: {line}");
            assert!(line.contains("; "), "{sentence}: nothing about what is valid: {line}");
            assert_eq!(line.matches('`').count() % 2, 0, "{sentence}: an open backtick: {line}");
        }
    }
}

#[test]
fn a_report_of_very_many_faults_prints_the_first_hundred_and_counts_the_rest() {
    let text: String = (0..1000).map(|number| format!("key-{number}: a\n")).collect();
    let report = definition(&task(keys(&text)), &World, None).expect_err("a thousand unknown keys");
    let text = report.to_string();
    assert!(text.starts_with("1000 faults in the pod's definition\n"), "{text}");
    assert!(text.ends_with("\n  and 900 more"), "{text}");
    assert_eq!(text.lines().count(), 102);
}
