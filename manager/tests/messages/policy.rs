//! Every refusal of the operator's policy, and what is proposed in it: with that, nothing is refused any more.
//!
//! A case is a sentence, the policy, what it allows, the labels, and the report without its first line.

use std::collections::BTreeMap;

use definition::diagnostic::DiagnosticReport;
use definition::files::{FileFault, FileKind, Files};
use definition::labels::{Surroundings, read};
use pod::identity::Identity;
use pod::namespaces::Namespaces;
use pod::policy::engine_paths::EnginePaths;
use pod::policy::manager_files::{CERTIFICATE, CREDENTIALS, ManagerFiles, POLICY, SOCKET, services};
use pod::policy::mount_conflicts::{Judged, Node, NodeContainer, NodeMount, conflicts};
use pod::policy::{Allowances, Bind, Host, Level, NodeNames, Policy};
use pod::spec::{ComponentSpec, ContainerSpec, CopySpec, Mount, MountSource, PodSpec, Recursion};
use pod::task_container::{TaskContainer, TaskMount};
use pod::volume::VolumeInfo;

use crate::told;
use Level::{Baseline, Default as Plain, Restricted};

/// Every path of the task container is an empty file.
struct World;

impl Files for World {
    fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
        Ok(FileKind::File)
    }

    fn read(&self, _: &str) -> Result<Vec<u8>, FileFault> {
        Ok(Vec::new())
    }
}

fn bind(source: &str, target: &str) -> TaskMount {
    TaskMount {
        kind: "bind".into(),
        source: source.into(),
        target: target.into(),
        writable: true,
        propagation: "rprivate".into(),
        ..TaskMount::default()
    }
}

/// A volume of the task container, mounted where it is named after.
fn volume(name: &str, driver: &str, options: &[(&str, &str)]) -> TaskMount {
    TaskMount {
        kind: "volume".into(),
        volume: Some(name.into()),
        source: format!("/data/docker/volumes/{name}/_data"),
        target: format!("/{name}"),
        writable: true,
        driver: driver.into(),
        options: named(options),
        ..TaskMount::default()
    }
}

fn named(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn local(kind: &str, device: &str, words: &str) -> VolumeInfo {
    let options = named(&[("type", kind), ("device", device), ("o", words)]);
    VolumeInfo { driver: "local".into(), options, ..VolumeInfo::default() }
}

/// The task container, in which the manager runs.
fn task() -> TaskContainer {
    let read_only = |mount: TaskMount| TaskMount { writable: false, ..mount };
    let of_path = |name: &str, device: &str| {
        let words = [("type", "none"), ("o", "bind"), ("device", device)];
        TaskMount { device: Some(device.into()), ..volume(name, "local", &words) }
    };
    TaskContainer {
        id: "own".into(),
        name: "shop".into(),
        image: "registry.example.com/tandem/manager".into(),
        mounts: vec![
            bind("/srv/engine/docker.sock", "/var/run/docker.sock"),
            bind("/run/dbus/system_bus_socket", "/run/dbus/system_bus_socket"),
            bind("/sys/fs/cgroup", "/sys/fs/cgroup"),
            bind("/root/login.json", "/root/.docker/config.json"),
            bind("/srv/tandem", "/conf"),
            volume("certs", "local", &[]),
            bind("/home/rw", "/rw"),
            read_only(bind("/home/ro", "/ro")),
            read_only(TaskMount { recursive: Recursion::Disabled, ..bind("/home/alone", "/alone") }),
            bind("/dev/log", "/dev/log"),
            of_path("etc", "/etc"),
            of_path("images", "/data/docker/image"),
            of_path("dots", "/srv/a/../../etc"),
            volume("proc", "local", &[("type", "proc"), ("device", "proc")]),
            volume("odd", "local", &[("mountpoint", "/etc")]),
            volume("keys", "local", &[("type", "cifs"), ("device", "//h/x"), ("o", "credentials=/etc/p")]),
            volume("here", "local", &[("type", "nfs"), ("device", ":/x"), ("o", "addr=127.0.0.1")]),
            volume("node", "local", &[("type", "nfs"), ("device", ":/x"), ("o", "addr=10.0.0.5")]),
            volume("nothing", "local", &[("type", "tmpfs"), ("device", "none")]),
            volume("persist", "local-persist", &[]),
            read_only(volume("read", "local", &[])),
            TaskMount { subpath: Some("a".into()), ..volume("part", "local", &[]) },
        ],
        cap_add: vec!["SYS_TIME".into()],
        devices: vec!["/dev/kvm".into()],
        device_rules: vec!["c 10:232 rwm".into()],
        runtime: "kata".into(),
        log: Some(("syslog".into(), named(&[("tag", "x")]))),
        labels: named(&[("traefik.enable", "true")]),
        ..TaskContainer::default()
    }
}

fn host(task: &TaskContainer) -> Host {
    let paths = [
        ("/var/run/docker.sock", SOCKET),
        ("/certs", CERTIFICATE),
        ("/root/.docker/config.json", CREDENTIALS),
        ("/conf/policy.yml", POLICY),
    ];
    let paths = paths.map(|(path, what)| (path.to_owned(), what));
    Host {
        engine: EnginePaths::of(Some("/srv/engine/docker.sock"), &["/data/docker".into()]),
        manager: ManagerFiles::of(task, paths.into_iter().chain(services(task))),
        node: NodeNames::of(["node1.example.com".into(), "10.0.0.5".into()]),
    }
}

type Labels = Vec<(&'static str, String)>;

/// The component `app` with these keys, from line 2 on.
fn app(keys: &str) -> Labels {
    vec![("pod.component.app", format!("image: x\n{keys}"))]
}

/// The same as `restricted` has it.
fn safe(keys: &str) -> Labels {
    vec![("pod.component.app", format!("{{image: x, {SAFE}, {keys}}}"))]
}

const SAFE: &str = "user: '1', cap_drop: [ALL], security_opt: [no-new-privileges:true]";

fn and(mut labels: Labels, key: &'static str, value: &str) -> Labels {
    labels.push((key, value.to_owned()));
    labels
}

type Case = (&'static str, Level, &'static str, Labels, &'static [&'static str]);

#[rustfmt::skip]
fn cases() -> Vec<Case> { vec![

    // paths of the host
    ("a path that nobody typed", Plain, "", app("volumes: ['/srv/x:/x', '/srv/y:/y:ro', '/etc:/z:ro']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/srv/x` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/srv/x:/x']`), or start the manager with `--allow host-paths=/srv/x`",
        "pod.component.app:2:24: `volumes[1]`: found `/srv/y` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/srv/y:/y:ro']`), or start the manager with `--allow host-paths=/srv/y:ro`",
        "pod.component.app:2:40: `volumes[2]`: found `/etc` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/etc:/z:ro']`), or start the manager with `--allow host-paths=/etc:ro`",
    ]),
    ("a path above and one below what the task container has", Plain, "", app("volumes: ['/home:/x', '/home/rw/sub:/y']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/home` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/home:/x']`), or start the manager with `--allow host-paths=/home`",
        "pod.component.app:2:23: `volumes[1]`: found `/home/rw/sub` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/home/rw/sub:/y']`), or start the manager with `--allow host-paths=/home/rw/sub`",
    ]),
    ("what the operator gave read-only", Plain, "host-paths=/opt/ro:ro", app("volumes: ['/home/ro:/x', '/opt/ro:/y']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/home/ro` of the host for writing, which is given read-only; add `:ro`, or start the manager with `--allow host-paths=/home/ro`",
        "pod.component.app:2:26: `volumes[1]`: found `/opt/ro` of the host for writing, which is given read-only; add `:ro`, or start the manager with `--allow host-paths=/opt/ro`",
    ]),
    ("mounts below it that the operator did not give", Plain, "", app("volumes: ['/home/alone:/x:ro', {type: bind, source: /home/ro, target: /y, read_only: true, bind: {recursive: writable}}]"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/home/alone` of the host with the mounts below it, which are not given like that; mount it with the same `bind.recursive` as the pod's own service, or start the manager with `--allow host-paths=/home/alone:ro`",
        "pod.component.app:2:32: `volumes[1]`: found `/home/ro` of the host with the mounts below it, which are not given like that; mount it with the same `bind.recursive` as the pod's own service, or start the manager with `--allow host-paths=/home/ro`",
    ]),
    ("writable mounts below a path that nobody typed", Plain, "", app("volumes: [{type: bind, source: /srv/x, target: /x, read_only: true, bind: {recursive: writable}}]"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/srv/x` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/srv/x:/x']`), or start the manager with `--allow host-paths=/srv/x`",
    ]),
    ("a propagation that the operator did not give", Plain, "host-paths=/opt/a", app("volumes: ['/home/rw:/x:rshared', '/opt/a:/y:rslave', '/srv/x:/z:ro,rslave']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/home/rw` of the host with the propagation `rshared`, which is not given; leave it out, or give the same mount of the pod's own service `rshared`",
        "pod.component.app:2:34: `volumes[1]`: found `/opt/a` of the host with the propagation `rslave`, which is not given; leave it out, or give the same mount of the pod's own service `rslave`",
        "pod.component.app:2:54: `volumes[2]`: found `/srv/x` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/srv/x:/z:ro,rslave']`)",
    ]),
    ("more than one name for a pattern", Plain, "host-paths=/opt/*", app("volumes: ['/opt/a:/w', '/opt:/x', '/opt/a/b:/y']"), &[
        "pod.component.app:2:24: `volumes[1]`: found `/opt` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/opt:/x']`), or start the manager with `--allow host-paths=/opt`",
        "pod.component.app:2:35: `volumes[2]`: found `/opt/a/b` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/opt/a/b:/y']`), or start the manager with `--allow host-paths=/opt/a/b`",
    ]),
    ("a common path for writing", Plain, "", app("volumes: ['/etc/localtime:/etc/localtime']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/etc/localtime` of the host for writing; add `:ro`, or start the manager with `--allow host-paths=/etc/localtime`",
    ]),
    ("a common path under `baseline`", Baseline, "", app("volumes: ['/etc/localtime:/etc/localtime:ro', '/home/rw:/x']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/etc/localtime` of the host, which the task container does not mount (`--policy baseline`, control `hostPathVolumes`); mount it into the pod's own service (`volumes: ['/etc/localtime:/etc/localtime:ro']`), or start the manager with `--allow host-paths=/etc/localtime:ro`",
    ]),
    ("every path, which `baseline` does not take", Baseline, "host-paths", app("volumes: ['/srv/x:/x']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/srv/x` of the host, which the task container does not mount (`--policy baseline`, control `hostPathVolumes`); mount it into the pod's own service (`volumes: ['/srv/x:/x']`), or start the manager with `--allow host-paths=/srv/x`",
    ]),
    ("a volume's folder on the host", Plain, "", app("volumes: ['/data/docker/volumes/x/_data:/x:ro', '/data/docker/containers:/y:ro']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/data/docker/volumes/x/_data` of the host, which the task container does not mount; mount the volume with `volume: {subpath: ...}` (Docker Engine 26 and newer), or start the manager with `--allow host-paths=/data/docker/volumes/x/_data:ro`",
        "pod.component.app:2:49: `volumes[1]`: found `/data/docker/containers` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/data/docker/containers:/y:ro']`), or start the manager with `--allow host-paths=/data/docker/containers:ro`",
    ]),
    ("what the engine keeps, by a pattern", Plain, "host-paths=/data/docker/*", app("volumes: ['/data/docker/containers:/y:ro']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/data/docker/containers` of the host, which the task container does not mount; mount it into the pod's own service (`volumes: ['/data/docker/containers:/y:ro']`), or start the manager with `--allow host-paths=/data/docker/containers:ro`",
    ]),
    ("paths that give control of the engine", Plain, "host-paths", app("volumes: ['/:/a:ro', '/srv/engine/docker.sock:/b', '/proc/self:/c:ro', '/run/podman:/d', '/run/dbus:/e', '/run/user/0:/f', '/data:/g:ro', '/data/docker/swarm:/h:ro', '/data/docker/containers:/i', '/sys/fs/cgroup/x:/j']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/` of the host, which is the whole host; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:22: `volumes[1]`: found `/srv/engine/docker.sock` of the host, which is or contains the engine's socket; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:52: `volumes[2]`: found `/proc/self` of the host, which shows the processes that hold the engine's socket; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:72: `volumes[3]`: found `/run/podman` of the host, which belongs to a container engine; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:90: `volumes[4]`: found `/run/dbus` of the host, which is or contains a socket that controls systemd; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:106: `volumes[5]`: found `/run/user/0` of the host, which is or contains a socket that controls systemd; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:124: `volumes[6]`: found `/data` of the host, which is or contains the folder in which the engine keeps its data; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:139: `volumes[7]`: found `/data/docker/swarm` of the host, which holds keys of the Swarm; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:167: `volumes[8]`: found `/data/docker/containers` of the host, which lies in the folder in which the engine keeps its data, and is mounted for writing; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:197: `volumes[9]`: found `/sys/fs/cgroup/x` of the host, which is or contains the cgroup tree, through which every limit of the host can be changed; mount something else, or start the manager with `--allow engine-socket`",
    ]),
    ("paths that would put more into a flag, into YAML or into a terminal", Plain, "", app("volumes: [\"/srv/a,engine-socket:/x\", '/srv/*:/y', '/srv/$(id):/z', '/srv/it''s:/w', \"/srv/\\u001b[2J\\nv:/v\"]"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/srv/a,engine-socket` of the host, which the task container does not mount; mount it into the pod's own service; no flag is proposed for a name with such characters",
        "pod.component.app:2:38: `volumes[1]`: found `/srv/*` of the host, which the task container does not mount; mount it into the pod's own service; no flag is proposed for a name with such characters",
        "pod.component.app:2:51: `volumes[2]`: found `/srv/$(id)` of the host, which the task container does not mount; mount it into the pod's own service; no flag is proposed for a name with such characters",
        "pod.component.app:2:68: `volumes[3]`: found `/srv/it's` of the host, which the task container does not mount; mount it into the pod's own service; no flag is proposed for a name with such characters",
        "pod.component.app:2:85: `volumes[4]`: found `/srv/\\u{1b}[2J\\nv` of the host, which the task container does not mount; mount it into the pod's own service; no flag is proposed for a name with such characters",
    ]),
    ("other names that would", Plain, "", app("runtime: \"a\\nb\"\nlogging: {driver: \"a\\u001bb\"}\ndevices: ['/dev/a,privileged']"), &[
        "pod.component.app:2:10: `runtime`: found `a\\nb`, which is not the runtime of the task container; valid is `runc`, or the runtime of the pod's own service, or start the manager with `--allow runtimes`",
        "pod.component.app:3:10: `logging`: found the driver `a\\u{1b}b`, which may send lines to sockets of the host; valid are `json-file`, `local` and `none` with `max-size` (1m at least), `max-file` (20 at most), `compress`, `mode` and `max-buffer-size` (4m at most), or exactly what the pod's own service has, or start the manager with `--allow log-drivers`",
        "pod.component.app:4:10: `devices`: found `/dev/a,privileged`, which the task container does not have; give it to the pod's own service; no flag is proposed for a name with such characters",
    ]),
    ("a volume's folder on the host, for writing", Plain, "", app("volumes: ['/data/docker/volumes/x/_data:/x']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/data/docker/volumes/x/_data` of the host, which lies in the folder in which the engine keeps its data, and is mounted for writing; mount the volume with `volume: {subpath: ...}` (Docker Engine 26 and newer), or start the manager with `--allow engine-socket,host-paths=/data/docker/volumes/x/_data`",
    ]),
    ("the same under `baseline`", Baseline, "", app("volumes: ['/run:/a']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/run` of the host, which is or contains the engine's socket (`--policy baseline`, control `hostPathVolumes`); mount something else, or start the manager with `--allow engine-socket,host-paths=/run`",
    ]),
    ("every bind under `restricted`", Restricted, "host-paths,engine-socket,host-paths=/opt/a", safe("volumes: ['/home/rw:/x', '/opt/a:/y', '/etc/localtime:/z:ro']"), &[
        "pod.component.app:1:90: `volumes[0]`: found `/home/rw` of the host, and `--policy restricted` has no binds (control `restrictedVolumes`); use a named volume, a tmpfs, a secret or a config",
        "pod.component.app:1:105: `volumes[1]`: found `/opt/a` of the host, and `--policy restricted` has no binds (control `restrictedVolumes`); use a named volume, a tmpfs, a secret or a config",
        "pod.component.app:1:118: `volumes[2]`: found `/etc/localtime` of the host, and `--policy restricted` has no binds (control `restrictedVolumes`); use a named volume, a tmpfs, a secret or a config",
    ]),

    // the manager's files
    ("the manager's files by a bind", Plain, "host-paths", app("volumes: ['/root/login.json:/a:ro', '/srv/tandem:/b:ro']"), &[
        "pod.component.app:2:11: `volumes[0]`: found `/root/login.json` of the host, which is, contains or lies in the manager's credentials of registries; mount something else, or start the manager with `--allow engine-socket`",
        "pod.component.app:2:37: `volumes[1]`: found `/srv/tandem` of the host, which is, contains or lies in the operator's policy file; mount something else, or start the manager with `--allow engine-socket`",
    ]),
    ("the manager's files by a volume", Plain, "", app("volumes: ['certs:/a:ro']"), &[
        "pod.component.app:2:11: `volumes[0]`: the volume `certs` holds the manager's certificates for the engine (`DOCKER_CERT_PATH`); mount another volume, or start the manager with `--allow engine-socket`",
    ]),
    ("the manager's files by their paths", Plain, "", and(app("env_file: /conf/policy.yml\nlabel_file: /var/run/docker.sock\nsecrets: [{source: /certs/key.pem, target: a}]\nconfigs: [{source: /root/.docker/config.json, target: /b}]"), "pod.copy.app", "[/certs:/c, /conf:/d, /sys/fs/cgroup:/e, /run/dbus/system_bus_socket:/f, /:/g]"), &[
        "pod.component.app:2:11: `env_file`: `/conf/policy.yml` is, contains or lies in the operator's policy file, which no component may have; valid is the path of a file in the task container",
        "pod.component.app:3:13: `label_file`: `/var/run/docker.sock` is, contains or lies in the engine's socket, which no component may have; valid is the path of a file in the task container",
        "pod.component.app:4:11: `secrets[0]`: `/certs/key.pem` is, contains or lies in the manager's certificates for the engine (`DOCKER_CERT_PATH`), which no component may have; valid is a secret of the task container",
        "pod.component.app:5:11: `configs[0]`: `/root/.docker/config.json` is, contains or lies in the manager's credentials of registries, which no component may have; valid is a config of the task container",
        "pod.copy.app:1:2: `[0]`: `/certs` is, contains or lies in the manager's certificates for the engine (`DOCKER_CERT_PATH`), which no component may have; valid is a file or a folder of the task container",
        "pod.copy.app:1:13: `[1]`: `/conf` is, contains or lies in the operator's policy file, which no component may have; valid is a file or a folder of the task container",
        "pod.copy.app:1:23: `[2]`: `/sys/fs/cgroup` is in a folder of the kernel, in which no component has a file; valid is a file or a folder of the task container",
        "pod.copy.app:1:42: `[3]`: `/run/dbus/system_bus_socket` is, contains or lies in the manager's socket of D-Bus or systemd, which no component may have; valid is a file or a folder of the task container",
        "pod.copy.app:1:74: `[4]`: `/` is, contains or lies in the engine's socket, which no component may have; valid is a file or a folder of the task container",
    ]),
    ("the manager's files as the definition", Plain, "", vec![("pod.compose.file", "/certs/key.pem".into())], &[
        "pod.compose.file: `/certs/key.pem` is, contains or lies in the manager's certificates for the engine (`DOCKER_CERT_PATH`), which no component may have; valid is the path of a Compose file",
    ]),

    // volumes
    ("a volume of the task container that it may only read", Plain, "", app("volumes: ['read:/a']"), &[
        "pod.component.app:2:11: `volumes[0]`: found the volume `read` for writing, which the task container has read-only; add `:ro`, or start the manager with `--allow volumes=read`",
    ]),
    ("a volume of which the task container has a part", Plain, "", app("volumes: ['part:/a']"), &[
        "pod.component.app:2:11: `volumes[0]`: found the volume `part` in another part than the task container has; mount the same `subpath`, or start the manager with `--allow volumes=part`",
    ]),
    ("a volume that stands for a path of the engine's", Plain, "", app("volumes: ['etc:/a', 'images:/b']"), &[
        "pod.component.app:2:21: `volumes[1]`: the volume `images` stands for `/data/docker/image` of the host: found `/data/docker/image` of the host, which lies in the folder in which the engine keeps its data, and is mounted for writing; mount something else, or start the manager with `--allow engine-socket`",
    ]),
    ("a volume that stands for a path, under `baseline`", Baseline, "", app("volumes: ['etc:/a', 'images:/b']"), &[
        "pod.component.app:2:21: `volumes[1]`: the volume `images` stands for `/data/docker/image` of the host: found `/data/docker/image` of the host, which lies in the folder in which the engine keeps its data, and is mounted for writing (`--policy baseline`, control `hostPathVolumes`); mount something else, or start the manager with `--allow engine-socket`",
    ]),
    ("a volume that stands for a path, under `restricted`", Restricted, "", safe("volumes: ['etc:/a']"), &[
        "pod.component.app:1:90: `volumes[0]`: the volume `etc` stands for `/etc` of the host: found `/etc` of the host, and `--policy restricted` has no binds (control `restrictedVolumes`); use a named volume, a tmpfs, a secret or a config",
    ]),
    ("a volume of a path that is none", Plain, "", app("volumes: ['dots:/a']"), &[
        "pod.component.app:2:11: `volumes[0]`: the volume `dots` stands for `/srv/a/../../etc` of the host; valid is a device without `.`, `..` and repeated slashes",
    ]),
    ("a volume of another driver", Plain, "", app("volumes: ['persist:/a']"), &[
        "pod.component.app:2:11: `volumes[0]`: the volume `persist` is of the driver `local-persist`, which may mount anything; use a volume of the driver `local`, or start the manager with `--allow volume-drivers=local-persist`",
    ]),
    ("volumes that may show the host or change it", Plain, "", app("volumes: ['proc:/a', 'odd:/b', 'keys:/c', 'here:/d', 'nothing:/e', 'node:/f']"), &[
        "pod.component.app:2:11: `volumes[0]`: the volume `proc` is of the type `proc`, which may show or change the host; valid are volumes of the types `tmpfs`, `nfs`, `cifs` and `none` with `o=bind`, with the usual options",
        "pod.component.app:2:22: `volumes[1]`: the volume `odd` has the driver option `mountpoint`, which is not known to be harmless; valid are volumes of the types `tmpfs`, `nfs`, `cifs` and `none` with `o=bind`, with the usual options",
        "pod.component.app:2:32: `volumes[2]`: the volume `keys` has the mount option `credentials`, which is not known to be harmless; valid are volumes of the types `tmpfs`, `nfs`, `cifs` and `none` with `o=bind`, with the usual options",
        "pod.component.app:2:43: `volumes[3]`: the volume `here` is of the server `127.0.0.1`, which is the host itself; valid are volumes of the types `tmpfs`, `nfs`, `cifs` and `none` with `o=bind`, with the usual options",
        "pod.component.app:2:54: `volumes[4]`: the volume `nothing` has the device `none`, with which the engine mounts nothing; valid are volumes of the types `tmpfs`, `nfs`, `cifs` and `none` with `o=bind`, with the usual options",
        "pod.component.app:2:68: `volumes[5]`: the volume `node` is of the server `10.0.0.5`, which is the host itself; valid are volumes of the types `tmpfs`, `nfs`, `cifs` and `none` with `o=bind`, with the usual options",
    ]),

    // options
    ("`privileged`", Plain, "", app("privileged: true"), &[
        "pod.component.app:2:13: `privileged`: found `true`: a privileged component reaches the engine and owns the node; name what it needs in `cap_add` and `devices`, or start the manager with `--allow privileged`",
    ]),
    ("a capability that neither Docker nor the task container has", Plain, "", app("cap_add: [SYS_TIME, NET_RAW, SYS_NICE]"), &[
        "pod.component.app:2:10: `cap_add`: found `SYS_NICE`, which is none of Docker's default capabilities, nor the task container's; add it to `cap_add` of the pod's own service, or start the manager with `--allow capabilities=SYS_NICE`",
    ]),
    ("the host's users", Plain, "", app("userns_mode: host"), &[
        "pod.component.app:2:14: `userns_mode`: found `host`: root in the component would be root of the host; leave it out, or start the manager with `--allow host-users`",
    ]),
    ("options that switch off what protects the host", Plain, "", app("security_opt: ['seccomp:unconfined', 'apparmor:unconfined', 'apparmor:other', 'label:disable', 'systempaths:unconfined', 'writable-cgroups:true', 'no-new-privileges:false']"), &[
        "pod.component.app:2:15: `security_opt`: found `apparmor=unconfined`, which switches off or replaces what protects the host; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`",
        "pod.component.app:2:15: `security_opt`: found `label=disable`, which switches off or replaces what protects the host; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`",
        "pod.component.app:2:15: `security_opt`: found `no-new-privileges=false`, which takes back a protection that may be the engine's default; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`",
        "pod.component.app:2:15: `security_opt`: found `seccomp=unconfined`, which switches off or replaces what protects the host; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`",
        "pod.component.app:2:15: `security_opt`: found `systempaths=unconfined`, which switches off or replaces what protects the host; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`",
        "pod.component.app:2:15: `security_opt`: found `writable-cgroups=true`, which switches off or replaces what protects the host; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`",
        "pod.component.app:2:15: `security_opt`: found the AppArmor profile `other`, which the task container does not have; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`",
    ]),
    ("a seccomp profile that may be wider", Plain, "", app("security_opt: ['seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}']"), &[
        "pod.component.app:2:15: `security_opt`: found a seccomp profile that may allow what Docker's default profile does not; leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`",
    ]),
    ("a device that the task container does not have", Plain, "", app("devices: [/dev/kvm, /dev/null, '/dev/sda:/dev/x:r']"), &[
        "pod.component.app:2:10: `devices`: found `/dev/sda`, which the task container does not have; give it to the pod's own service, or start the manager with `--allow devices=/dev/sda`",
    ]),
    ("a device where the kernel's files are", Plain, "", app("devices: ['/dev/null:/proc/x', '/dev/null:/sys/x']"), &[
        "pod.component.app:2:10: `devices`: found the target `/proc/x`; valid is a path below `/dev`, or start the manager with `--allow raw-devices`",
        "pod.component.app:2:10: `devices`: found the target `/sys/x`; valid is a path below `/dev`, or start the manager with `--allow raw-devices`",
    ]),
    ("a rule for devices that the task container does not have", Plain, "", app("device_cgroup_rules: ['c 10:232 rwm', 'c 1:3 r', 'b 8:0 r']"), &[
        "pod.component.app:2:22: `device_cgroup_rules`: found `b 8:0 r`, which opens devices that the task container does not have; name less, or start the manager with `--allow raw-devices`",
    ]),
    ("what is no GPU", Plain, "", app("gpus: [{driver: other}, {driver: nvidia, options: {a: b}}, {capabilities: [gpu, tpu]}]\ndevices: [vendor.com/net=eth0, nvidia.com/gpu=0]"), &[
        "pod.component.app:2:7: `gpus`: found `vendor.com/net=eth0`, which is not known to be a GPU; leave it out, or start the manager with `--allow raw-devices`",
        "pod.component.app:2:7: `gpus`: found the capability `tpu`, which is none of a GPU; leave it out, or start the manager with `--allow raw-devices`",
        "pod.component.app:2:7: `gpus`: found the driver `other`, which is not known to be one of GPUs; leave it out, or start the manager with `--allow raw-devices`",
        "pod.component.app:2:7: `gpus`: found the option `a`, which is not known to be harmless; leave it out, or start the manager with `--allow raw-devices`",
    ]),
    ("another runtime", Plain, "", app("runtime: runsc"), &[
        "pod.component.app:2:10: `runtime`: found `runsc`, which is not the runtime of the task container; valid is `runc`, or the runtime of the pod's own service, or start the manager with `--allow runtimes`",
    ]),
    ("annotations", Plain, "", app("annotations: {a: b}"), &[
        "pod.component.app:2:14: `annotations`: found `a`: container runtimes act on annotations; leave it out, or start the manager with `--allow annotations`",
    ]),
    ("another log driver", Plain, "", app("logging: {driver: syslog, options: {tag: other}}"), &[
        "pod.component.app:2:10: `logging`: found the driver `syslog`, which may send lines to sockets of the host; valid are `json-file`, `local` and `none` with `max-size` (1m at least), `max-file` (20 at most), `compress`, `mode` and `max-buffer-size` (4m at most), or exactly what the pod's own service has, or start the manager with `--allow log-drivers`",
    ]),
    ("an option of a log driver", Plain, "", app("logging: {options: {labels: a}}"), &[
        "pod.component.app:2:10: `logging`: found the option `labels`; valid are `json-file`, `local` and `none` with `max-size` (1m at least), `max-file` (20 at most), `compress`, `mode` and `max-buffer-size` (4m at most), or exactly what the pod's own service has, or start the manager with `--allow log-drivers`",
    ]),
    ("a log file that is too small", Plain, "", app("logging: {options: {max-size: 100k}}"), &[
        "pod.component.app:2:10: `logging`: found 100 KiB for `max-size`; valid is at least 1 MiB: the engine renames the files of a log each time that one is full, or start the manager with `--allow log-drivers`",
    ]),
    ("kernel settings of the host", Plain, "", app("sysctls: {kernel.core_pattern: a, net.ipv4.ip_forward: 1}"), &[
        "pod.component.app:2:10: `sysctls`: found `kernel.core_pattern`, which is not known to be the pod's alone; valid are `net.ipv4.*`, `net.ipv6.*`, `fs.mqueue.*` and the `kernel.msg*`, `kernel.sem` and `kernel.shm*`",
    ]),
    ("an option of the storage driver", Plain, "", app("storage_opt: {size: 1G, a: b}"), &[
        "pod.component.app:2:14: `storage_opt`: found `a`; valid is `size`",
    ]),
    ("registries on the node and in its link-local network", Plain, "", vec![
        ("pod.component.a", "image: 127.0.0.1:5000/x".into()), ("pod.component.b", "image: node1:5000/x".into()), ("pod.component.c", "image: 169.254.169.254/x".into()),
    ], &[
        "pod.component.a:1:8: `image`: found the registry `127.0.0.1:5000`, which the engine would ask for from the node's own network; name a registry elsewhere, or start the manager with `--allow local-registries`",
        "pod.component.b:1:8: `image`: found the registry `node1:5000`, which the engine would ask for from the node's own network; name a registry elsewhere, or start the manager with `--allow local-registries`",
        "pod.component.c:1:8: `image`: found the registry `169.254.169.254`, which the engine would ask for from the node's own network; name a registry elsewhere, or start the manager with `--allow local-registries`",
    ]),

    // where nothing is mounted
    ("targets in the kernel's folders and among the devices", Plain, "", app("volumes: ['a:/proc/x', '/home/rw:/sys', '/home/rw:/dev/a', '/dev/log:/dev/log', {type: tmpfs, target: /dev/shm}]\ntmpfs: [/dev/b]"), &[
        "pod.component.app:2:11: `volumes[0]`: found the target `/proc/x`, where the engine hides what belongs to the kernel; valid is a path outside of `/proc` and `/sys`",
        "pod.component.app:2:24: `volumes[1]`: found the target `/sys`, where the engine hides what belongs to the kernel; valid is a path outside of `/proc` and `/sys`",
        "pod.component.app:2:41: `volumes[2]`: found the target `/dev/a`, where the engine makes the devices; valid are `/dev/shm`, `/dev/mqueue` and what the task container has mounted at the same path",
        "pod.component.app:3:9: `tmpfs[0]`: found the target `/dev/b`, where the engine makes the devices; valid are `/dev/shm`, `/dev/mqueue` and what the task container has mounted at the same path",
    ]),

    // `baseline`
    ("`privileged` under `baseline`", Baseline, "privileged", app("privileged: true"), &[
        "pod.component.app:2:13: `privileged`: found `true` (`--policy baseline`, control `privileged`); leave it out",
    ]),
    ("a capability under `baseline`", Baseline, "capabilities", app("cap_add: [CHOWN, NET_RAW]"), &[
        "pod.component.app:2:10: `cap_add`: found `NET_RAW` (`--policy baseline`, control `capabilities_baseline`); valid are `AUDIT_WRITE`, `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`, `KILL`, `MKNOD`, `NET_BIND_SERVICE`, `SETFCAP`, `SETGID`, `SETPCAP`, `SETUID`, `SYS_CHROOT`",
    ]),
    ("the host's users under `baseline`", Baseline, "host-users", app("userns_mode: host"), &[
        "pod.component.app:2:14: `userns_mode`: found `host` (`--policy baseline`, control `hostNamespaces`); leave it out",
    ]),
    ("profiles under `baseline`", Baseline, "unconfined", app("security_opt: ['apparmor:unconfined', 'seccomp:unconfined', 'systempaths:unconfined', 'label:type:spc_t', 'label:type:container_t']"), &[
        "pod.component.app:2:15: `security_opt`: found `apparmor=unconfined` (`--policy baseline`, control `appArmorProfile`); leave it out, or name a profile",
        "pod.component.app:2:15: `security_opt`: found `label=type:spc_t` (`--policy baseline`, control `seLinuxOptions`); valid are `label:level:...` and `label:type:` with `container_t`, `container_init_t`, `container_kvm_t` or `container_engine_t`",
        "pod.component.app:2:15: `security_opt`: found `seccomp=unconfined` (`--policy baseline`, control `seccompProfile_baseline`); leave it out, or give a profile that is stricter than Docker's",
        "pod.component.app:2:15: `security_opt`: found `systempaths=unconfined` (`--policy baseline`, control `procMount`); leave it out",
    ]),
    ("a seccomp profile under `baseline`", Baseline, "unconfined", app("security_opt: ['seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}']"), &[
        "pod.component.app:2:15: `security_opt`: found a seccomp profile that may allow what Docker's default profile does not (`--policy baseline`, control `seccompProfile_baseline`); leave it out, or give a profile that is stricter than Docker's",
    ]),
    ("a kernel setting under `baseline`", Baseline, "", app("sysctls: {net.ipv4.ip_forward: 1, kernel.shm_rmid_forced: 0}"), &[
        "pod.component.app:2:10: `sysctls`: found `net.ipv4.ip_forward` (`--policy baseline`, control `sysctls`); valid are `kernel.shm_rmid_forced`, `net.ipv4.ip_local_port_range`, `net.ipv4.ip_local_reserved_ports`, `net.ipv4.ip_unprivileged_port_start`, `net.ipv4.ping_group_range`, `net.ipv4.tcp_fin_timeout`, `net.ipv4.tcp_keepalive_intvl`, `net.ipv4.tcp_keepalive_probes`, `net.ipv4.tcp_keepalive_time`, `net.ipv4.tcp_notsent_lowat`, `net.ipv4.tcp_rmem`, `net.ipv4.tcp_slow_start_after_idle`, `net.ipv4.tcp_syncookies`, `net.ipv4.tcp_wmem`",
    ]),
    ("a device under `baseline`", Baseline, "", app("devices: [/dev/null, /dev/kvm]\ndevice_cgroup_rules: ['c 1:3 r']"), &[
        "pod.component.app:2:10: `devices`: found `/dev/null`, which the task container does not have; give it to the pod's own service, or start the manager with `--allow devices=/dev/null`",
        "pod.component.app:3:22: `device_cgroup_rules`: found `c 1:3 r`, which opens devices that the task container does not have; name less, or start the manager with `--allow raw-devices`",
    ]),
    ("a GPU under `baseline`", Baseline, "", app("gpus: all"), &[
        "pod.component.app:2:7: `gpus`: found a GPU, and the manager runs with `--policy baseline`; leave it out, or start the manager with `--allow raw-devices`",
    ]),
    ("what may be the id of an image", Baseline, "", vec![("pod.component.a", "image: cafe00".into()), ("pod.component.b", "image: cafe".into())], &[
        "pod.component.a:1:8: `image`: found `cafe00`, which may be the id of any image that the node has; name the image by its registry, name and tag, such as `docker.io/library/debian:13`",
        "pod.component.b:1:8: `image`: found `cafe`, which may be the id of any image that the node has; name the image by its registry, name and tag, such as `docker.io/library/debian:13`",
    ]),
    ("another registry under `baseline`", Baseline, "", vec![("pod.component.a", "image: quay.io/a".into()), ("pod.component.b", "image: registry.example.com/b".into())], &[
        "pod.component.a:1:8: `image`: found the registry `quay.io`, from which no image of a component may come; under `--policy baseline` images come from `docker.io` and from the registry of the task's own image: start the manager with `--registries docker.io,registry.example.com,quay.io`",
    ]),

    // `restricted`
    ("nothing that `restricted` asks for", Restricted, "", app("tty: false"), &[
        "pod.component.app: it keeps Docker's default capabilities (`--policy restricted`, control `capabilities_restricted`); valid is `cap_drop: [ALL]`",
        "pod.component.app: it may gain privileges (`--policy restricted`, control `allowPrivilegeEscalation`); valid is `security_opt: [no-new-privileges:true]`, here or in the pod's own service",
    ]),
    ("users that may be root", Restricted, "", and(app(&format!("<<: {{{SAFE}}}\nuser: '0'\npost_start: [{{command: a, user: app}}]\npre_stop: [{{command: a, user: 0:5}}, {{command: a}}, {{command: a, user: '5'}}]")), "pod.init.components", &format!("[{{image: x, cap_drop: [ALL], security_opt: [no-new-privileges], user: root}}, {{image: x, {SAFE}}}]")), &[
        "pod.component.app:3:7: `user`: found the user `0`, which is root (`--policy restricted`, control `runAsUser`); valid is a number other than 0, such as `user: '1000'`",
        "pod.component.app:4:13: `post_start`: found the user `app`, which may be root in its image (`--policy restricted`, control `runAsNonRoot`); valid is a number other than 0, such as `user: '1000'`",
        "pod.component.app:5:11: `pre_stop`: found the user `0:5`, which is root (`--policy restricted`, control `runAsUser`); valid is a number other than 0, such as `user: '1000'`",
        "pod.init.components:1:71: `[0].user`: found the user `root`, which may be root in its image (`--policy restricted`, control `runAsNonRoot`); valid is a number other than 0, such as `user: '1000'`",
    ]),
    ("steps of a `pre_start` that may be root, or come from anywhere", Restricted, "", safe("pre_start: [{command: a}, {command: a, user: '0'}, {image: 'example.org/b', user: '5'}]"), &[
        "pod.component.app:1:125: `pre_start[1].user`: found the user `0`, which is root (`--policy restricted`, control `runAsUser`); valid is a number other than 0, such as `user: '1000'`",
        "pod.component.app:1:139: `pre_start[2].image`: found the registry `example.org`, from which no image of a component may come; under `--policy restricted` images come from `docker.io` and from the registry of the task's own image: start the manager with `--registries docker.io,registry.example.com,example.org`",
    ]),
    ("capabilities under `restricted`", Restricted, "capabilities", safe("cap_add: [NET_BIND_SERVICE, CHOWN]"), &[
        "pod.component.app:1:89: `cap_add`: found `CHOWN` (`--policy restricted`, control `capabilities_restricted`); valid is `NET_BIND_SERVICE`",
    ]),
    ("privileges that are taken back under `restricted`", Restricted, "unconfined", app("user: '1'\ncap_drop: [ALL]\nsecurity_opt: ['no-new-privileges:true', 'no-new-privileges:false']"), &[
        "pod.component.app:4:15: `security_opt`: it may gain privileges (`--policy restricted`, control `allowPrivilegeEscalation`); valid is `security_opt: [no-new-privileges:true]`, here or in the pod's own service",
    ]),
    ("profiles under `restricted`", Restricted, "unconfined", app("user: '1'\ncap_drop: [ALL]\nsecurity_opt: [no-new-privileges, 'seccomp:unconfined', 'systempaths:unconfined']"), &[
        "pod.component.app:4:15: `security_opt`: found `seccomp=unconfined` (`--policy restricted`, control `seccompProfile_restricted`); leave it out, or give a profile that is stricter than Docker's",
        "pod.component.app:4:15: `security_opt`: found `systempaths=unconfined` (`--policy restricted`, control `procMount_restricted`); leave it out",
    ]),
    ("devices under `restricted`", Restricted, "raw-devices", safe("devices: [/dev/kvm], device_cgroup_rules: ['c 1:3 r'], gpus: all"), &[
        "pod.component.app:1:89: `devices`: found a device of the host (`--policy restricted`, control `restrictedVolumes`); leave it out",
        "pod.component.app:1:122: `device_cgroup_rules`: found a device of the host (`--policy restricted`, control `restrictedVolumes`); leave it out",
        "pod.component.app:1:141: `gpus`: found a device of the host (`--policy restricted`, control `restrictedVolumes`); leave it out",
    ]),
    ("labels that other tools act upon", Restricted, "", safe("labels: {traefik.enable: 'true', com.centurylinklabs.watchtower.enable: 'true', org.opencontainers.image.title: a}"), &[
        "pod.component.app:1:88: `labels`: found `com.centurylinklabs.watchtower.enable`, on which other tools may act (`--policy restricted`); give the pod's own service the same label, or leave it out",
    ]),
]}

fn policy(level: Level, allowed: &str) -> Policy {
    let items = allowed.split(',').filter(|item| !item.is_empty());
    let allowed = items.map(|item| item.parse().expect(item)).collect();
    Policy { level, allowed, ..Policy::default() }
}

fn report(
    policy: &Policy,
    labels: &[(&str, String)],
    change: impl Fn(&mut TaskContainer),
) -> Option<DiagnosticReport> {
    let mut task = task();
    task.labels.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    change(&mut task);
    let around = Surroundings {
        task: &task,
        files: &World,
        host: &host(&task),
        share_volumes: false,
        policy,
        environment: &|_| None,
    };
    read(&around).err()
}

#[test]
fn every_refusal_of_the_policy_is_in_these_words() {
    let reports = cases().into_iter().map(|(sentence, level, allowed, labels, expected)| {
        (sentence, report(&policy(level, allowed), &labels, |_| {}), expected)
    });
    told(reports);
}

/// What passes: the policy, what it allows, and the labels.
fn accepted() -> Vec<(Level, &'static str, Labels)> {
    let of_task = "volumes: ['/home/rw:/a', '/home/ro:/b:ro', {type: bind, source: /home/alone, target: /c, read_only: \
                   true, bind: {recursive: disabled}}, '/dev/log:/dev/log', 'etc:/e:ro', 'read:/f:ro', {type: volume, \
                   source: part, target: /g, volume: {subpath: a}}]\ncap_add: [SYS_TIME, NET_RAW]\ndevices: \
                   [/dev/kvm]\ndevice_cgroup_rules: [c 10:232 rwm]\nruntime: kata\nlogging: {driver: syslog, options: \
                   {tag: x}}\nlabels: {traefik.enable: 'true', other.tool: a}";
    let common = "volumes: ['/etc/localtime:/a:ro', '/lib/modules:/b:ro', own:/c, /d]\ndevices: [/dev/fuse, \
                  nvidia.com/gpu=0]\ngpus: all\ntmpfs: [/dev/shm, /run]\nsysctls: {net.ipv4.ip_forward: 1}";
    let typed = "volumes: ['/opt/a:/a', '/opt/b:/b:ro', '/opt/sites/x:/c', 'foreign:/d']";
    let items = "host-paths=/opt/a,host-paths=/opt/b:ro,host-paths=/opt/sites/*,volumes=foreign";
    let standards = "cap_add: [CHOWN]\nsecurity_opt: ['seccomp={\"defaultAction\":\"SCMP_ACT_ERRNO\"}', \
                     'apparmor:docker-default']\nsysctls: {net.ipv4.tcp_syncookies: 0}";
    let least = "cap_add: [NET_BIND_SERVICE], volumes: [own:/a, 'read:/b:ro', {type: tmpfs, target: /c}], secrets: \
                 [db], labels: {traefik.enable: 'true', org.opencontainers.image.title: a}, post_start: [{command: a}]";
    vec![
        (Plain, "", app(of_task)),
        (Plain, "", app(common)),
        (Plain, items, app(typed)),
        (Plain, "host-paths", app("volumes: ['/srv/x:/a:rslave', '/etc:/b']")),
        (Plain, "engine-socket", app("volumes: ['/srv/engine/docker.sock:/var/run/docker.sock']")),
        (Plain, "engine-socket,host-paths=/", app("volumes: ['/:/host:ro']")),
        (Plain, "local-registries", vec![("pod.component.a", "image: 127.0.0.1:5000/x".into())]),
        (Plain, "", vec![("pod.component.a", "image: quay.io/a".into())]),
        (Baseline, "", app(&of_task.replace("SYS_TIME, NET_RAW", "CHOWN"))),
        (Baseline, items, app(typed)),
        (Baseline, "", app(standards)),
        (Restricted, "", safe(least)),
    ]
}

#[test]
fn what_the_task_container_has_and_what_the_operator_names_passes_as_it_is() {
    for (level, allowed, labels) in accepted() {
        let report = report(&policy(level, allowed), &labels, |_| {});
        assert!(
            report.is_none(),
            "{level:?} {labels:?}: {}",
            report.map(|it| it.to_string()).unwrap_or_default()
        );
    }
}

#[test]
fn profiles_beside_those_of_the_task_container_are_refused_in_these_words() {
    let profiled = |task: &mut TaskContainer| {
        let options = [r#"seccomp={"defaultAction":"SCMP_ACT_ERRNO"}"#, "apparmor=mine", "no-new-privileges"];
        task.security_opt = options.map(str::to_owned).into();
    };
    let labels =
        app("security_opt: ['seccomp:builtin', 'apparmor:docker-default', 'no-new-privileges:false']");
    let instead = "leave it out, or give the pod's own service the same option, or start the manager with `--allow unconfined`";
    let want = [
        "found `no-new-privileges=false`, which takes back a protection that may be the engine's default",
        "found a seccomp profile beside that of the task container, which holds for components too",
        "found an AppArmor profile beside that of the task container, which holds for components too",
    ];
    let want = want.map(|problem| format!("pod.component.app:2:15: `security_opt`: {problem}; {instead}"));
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    told([("profiles", report(&policy(Plain, ""), &labels, profiled), &want[..])].into_iter());
    assert!(report(&policy(Restricted, ""), &safe("tty: true"), profiled).is_none());
    // Whatever the spelling, the same profile is the task container's.
    let same = app(
        "security_opt: ['seccomp:{ \"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [] }', 'apparmor:mine']",
    );
    let profiled = |task: &mut TaskContainer| {
        let options = [r#"seccomp:{"architectures":[],"defaultAction":"SCMP_ACT_ALLOW"}"#, "apparmor=mine"];
        task.security_opt = options.map(str::to_owned).into();
    };
    for level in [Plain, Baseline] {
        assert!(report(&policy(level, ""), &same, profiled).is_none());
    }
}

#[test]
fn a_list_of_registries_is_kept_to_in_these_words() {
    let images = [("a", "ghcr.io/team/a"), ("b", "nginx"), ("c", "ghcr.io/other/c")];
    let labels: BTreeMap<_, _> =
        images.map(|(name, image)| (format!("pod.component.{name}"), format!("image: {image}"))).into();
    let labels: Vec<(&str, String)> =
        labels.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let listed = |level| Policy {
        registries: vec!["ghcr.io/team".into(), "registry.example.com".into()],
        ..policy(level, "")
    };
    let of = "from which no image of a component may come; valid are those of `--registries ghcr.io/team,registry.example.com`";
    let want = [
        format!("pod.component.b:1:8: `image`: found the registry `docker.io`, {of}"),
        format!("pod.component.c:1:8: `image`: found the registry `ghcr.io`, {of}"),
    ];
    let want: Vec<&str> = want.iter().map(String::as_str).collect();
    for level in Level::ALL {
        let found = report(&listed(level), &labels, |_| {}).expect("two of them are refused");
        let images = found.faults.iter().map(ToString::to_string).filter(|fault| fault.contains("`image`"));
        assert_eq!(images.collect::<Vec<_>>(), want, "{level:?}");
    }
}

#[test]
fn what_the_task_container_breaks_is_told_in_these_words() {
    let host = |mode: &str| mode.to_owned();
    let network = TaskContainer { network_mode: host("host"), ..TaskContainer::default() };
    let all = TaskContainer {
        pid_mode: host("host"),
        ipc_mode: host("host"),
        userns_mode: host("host"),
        ..network.clone()
    };
    let own = TaskContainer { network_mode: host("pod_default"), ..TaskContainer::default() };
    let want = "the task container is on the host's network, where components would reach every socket of the host, those \
                of container runtimes among them: give it a network of its own, or start the manager with `--allow \
                host-network`";
    for task in [&network, &all] {
        assert_eq!(policy(Plain, "").check_task(task), [want]);
        assert_eq!(policy(Plain, "host-network").check_task(task), Vec::<String>::new());
    }
    for level in [Baseline, Restricted] {
        let of = |key: &str| {
            format!(
                "the task container has `{key}: host`, and components join its namespaces (`--policy {}`, control \
                 `hostNamespaces`): leave it out",
                level.as_str()
            )
        };
        for allowed in ["", "host-network,host-users"] {
            let found = policy(level, allowed).check_task(&all);
            assert_eq!(found, ["network", "pid", "ipc", "userns_mode"].map(of));
        }
    }
    for level in Level::ALL {
        assert_eq!(policy(level, "").check_task(&own), Vec::<String>::new());
    }
}

/// Of a volume that the task container does not have, the engine tells what it is.
#[test]
fn volumes_of_the_engine_are_refused_in_these_words() {
    let driver = |name: &str| VolumeInfo { driver: name.into(), ..VolumeInfo::default() };
    let mounted = |path: &str| VolumeInfo { mountpoint: path.into(), ..driver("local") };
    let types = "valid are volumes of the types `tmpfs`, `nfs`, `cifs` and `none` with `o=bind`, with the usual options";
    let node = "mount something else, or start the \
                manager with `--allow engine-socket,host-paths=/run`";
    let (task, read_only) = (task(), false);
    for (level, volume, want) in [
        (Plain, local("", "", ""), String::new()),
        (Plain, local("none", "/opt/a", "bind,ro"), String::new()),
        (Plain, local("none", "/home/rw", "rbind"), String::new()),
        (
            Plain,
            local("none", "/etc", "bind"),
            "the volume `v` stands for `/etc` of the host: found `/etc` of the host, which the task container does not \
             mount; mount it into the pod's own service (`volumes: ['/etc:/t']`), or start the manager with `--allow \
             host-paths=/etc`"
                .into(),
        ),
        (
            Baseline,
            local("none", "/etc", "bind,ro"),
            "the volume `v` stands for `/etc` of the host: found `/etc` of the host, which the task container does not \
             mount (`--policy baseline`, control `hostPathVolumes`); mount it into the pod's own service (`volumes: \
             ['/etc:/t:ro']`), or start the manager with `--allow host-paths=/etc:ro`"
                .into(),
        ),
        (
            Restricted,
            local("none", "/home/rw", "bind"),
            "the volume `v` stands for `/home/rw` of the host: found `/home/rw` of the host, and `--policy restricted` has \
             no binds (control `restrictedVolumes`); use a named volume, a tmpfs, a secret or a config"
                .into(),
        ),
        (
            Plain,
            local("none", "/run", "rbind"),
            format!(
                "the volume `v` stands for `/run` of the host: found `/run` of the host, which is or contains the engine's \
                 socket; {node}"
            ),
        ),
        (Plain, local("devtmpfs", "devtmpfs", ""), format!("the volume `v` is of the type `devtmpfs`, which may show or change the host; {types}")),
        (Plain, local("cifs", "//h/x", "cruid=0"), format!("the volume `v` has the mount option `cruid`, which is not known to be harmless; {types}")),
        (Plain, local("nfs", "localhost:/x", ""), format!("the volume `v` is of the server `localhost`, which is the host itself; {types}")),
        (
            Plain,
            driver("rclone"),
            "the volume `v` is of the driver `rclone`, which may mount anything; use a volume of the driver `local`, or \
             start the manager with `--allow volume-drivers=rclone`"
                .into(),
        ),
        (
            Plain,
            mounted("/srv/engine"),
            "the volume `v` holds the engine's socket; mount another volume, or start the manager \
             with `--allow engine-socket`"
                .into(),
        ),
    ] {
        let policy = policy(level, "host-paths=/opt/a:ro");
        let bind = Bind { path: "", target: "/t", read_only, recursive: Recursion::Enabled, propagation: None };
        let refusal = policy.check_volume("v", &volume, &bind, false, &task, &host(&task));
        let words = refusal.map(|refusal| format!("{}; {}", refusal.problem, refusal.remedy)).unwrap_or_default();
        assert_eq!(words, want, "{level:?} {volume:?}");
    }
}

/// What pods of one node may do to each other's binds.
#[test]
fn mounts_that_do_not_go_together_are_told_in_these_words() {
    let spec = |mounts: &[(&str, bool)]| {
        let mount = |(source, read_only): &(&str, bool)| Mount {
            target: "/t".into(),
            read_only: *read_only,
            source: MountSource::bind(*source),
        };
        let container =
            ContainerSpec { mounts: mounts.iter().map(mount).collect(), ..ContainerSpec::default() };
        PodSpec {
            identity: Identity {
                pod: "mine".into(),
                name: "mine".into(),
                run: "1".into(),
                manager: "manager".into(),
                origin: BTreeMap::new(),
            },
            namespaces: Namespaces::default(),
            init: Vec::new(),
            components: vec![ComponentSpec { name: "app".into(), container, ..ComponentSpec::default() }],
            pull_always: false,
            stop_timeout: std::time::Duration::ZERO,
            scratch: Vec::new(),
            checks_mounts: true,
        }
    };
    let other = |source: &str, writable| NodeContainer {
        id: "0123456789abcdef".repeat(4),
        name: "other.podlike.web".into(),
        pod: Some("other".into()),
        role: Some("component".into()),
        mounts: vec![NodeMount { volume: None, source: source.into(), writable }],
        ..NodeContainer::default()
    };
    let found = |mounts: &[(&str, bool)], others: &[NodeContainer]| {
        let node = Node { containers: others, volumes: &BTreeMap::new() };
        let (spec, task) = (&spec(mounts), &TaskContainer::default());
        let conflicts =
            conflicts(Judged { spec, task, exposed: false, elsewhere: false, whole: false }, node);
        conflicts
            .into_iter()
            .map(|conflict| format!("{}; {}", conflict.problem, conflict.remedy))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found(&[("/srv/a/b", true)], &[other("/srv/a", true)]),
        [
            "`app` binds `/srv/a/b` of the host, which lies below `/srv/a`, and the component `other.podlike.web` \
             (0123456789ab) may write there: it could put a link in its place; mount `/srv/a` itself, or have it read-only \
             there"
        ]
    );
    assert_eq!(
        found(&[("/srv", false), ("/srv/x", true)], &[]),
        [
            "`app` binds `/srv/x` of the host, which lies below `/srv`, and `app` may write there: it could put a link in its \
             place; mount `/srv` itself, or have it read-only there"
        ]
    );
    assert_eq!(
        found(&[("/srv", false)], &[other("/srv/a", false)]),
        [
            "`app` mounts `/srv` of the host for writing, and the component `other.podlike.web` (0123456789ab) binds `/srv/a` \
             below it; mount it read-only, or mount something else"
        ]
    );
    assert_eq!(found(&[("/srv/a", false)], &[other("/srv/a", true)]), Vec::<String>::new());
    // A manager elsewhere copies through the engine, which mounts the task container's binds for that.
    let mut spec = spec(&[]);
    spec.components[0].copies = vec![CopySpec { source: "/conf/app".into(), target: "/app".into() }];
    let task = &TaskContainer { mounts: vec![bind("/srv/conf", "/conf")], ..TaskContainer::default() };
    let judged = Judged { spec: &spec, task, exposed: false, elsewhere: true, whole: false };
    let containers = [other("/srv", true)];
    let words = conflicts(judged, Node { containers: &containers, volumes: &BTreeMap::new() });
    assert_eq!(
        words
            .into_iter()
            .map(|conflict| format!("{}; {}", conflict.problem, conflict.remedy))
            .collect::<Vec<_>>(),
        [
            "`pod.copy.app` binds `/srv/conf` of the host, which lies below `/srv`, and the component `other.podlike.web` \
             (0123456789ab) may write there: it could put a link in its place; mount `/srv` itself, or have it read-only there"
        ]
    );
}

#[test]
fn a_refusal_that_proposes_a_flag_is_none_with_that_flag() {
    for (sentence, level, allowed, labels, _) in cases() {
        let mut policy = policy(level, allowed);
        let mut last = Allowances::default();
        // A path of the engine's is typed after the engine was allowed.
        for _ in 0..3 {
            let Some(report) = report(&policy, &labels, |_| {}) else { break };
            last = report.allowances.clone();
            policy.allowed.extend_with(&last);
        }
        let Some(report) = report(&policy, &labels, |_| {}) else { continue };
        let text = report.to_string();
        assert!(!text.contains("--allow"), "{sentence}, {}: {text}", last.flag());
    }
}

#[test]
fn every_refusal_keeps_the_style_of_the_house() {
    for (sentence, .., expected) in cases() {
        for line in expected {
            assert!(!line.ends_with('.'), "{sentence}: a full stop: {line}");
            assert!(line.contains("; "), "{sentence}: nothing about what is valid: {line}");
            assert_eq!(line.matches('`').count() % 2, 0, "{sentence}: an open backtick: {line}");
        }
    }
}
