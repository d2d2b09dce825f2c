//! What a component says of itself, and places within it: labels, users, mount targets, working directories, keys.

use super::super::scene::{Scene, engine, same};
use super::super::{Attack, always, case, simple};
use super::*;
use crate::lab::docker::attempt;
use crate::lab::pod::Pod;
use crate::lab::{quoted, unique};

const OURS: &str = "valid is any other name";
const TOOLS: [&str; 3] = ["", "", "on which other tools may act"];
const APP: &str = "pod.component.app";

pub(super) fn all() -> Vec<Case> {
    let mut all = labels();
    all.extend(users());
    all.extend(targets());
    all.extend(folders());
    all.extend(keys());
    all
}

/// Labels by which the engine's tools, and others, find their containers.
fn labels() -> Vec<Case> {
    let mut all = Vec::new();
    // Somebody's container is one that answers to a label which Tandem reads.
    let found = |victim: String| {
        move |_: &Pod| {
            let filter = format!("label=io.tandem.pod={victim}");
            !attempt(&["ps", "-aq", "--filter", &filter]).text().is_empty()
        }
    };
    for name in [
        "io.tandem.pod",
        "io.tandem.role",
        "io.tandem.owner",
        "com.docker.compose.project",
        "com.docker.compose.oneoff",
        "com.docker.swarm.task.id",
        "com.docker.stack.namespace",
        "com.docker.desktop.extension",
    ] {
        all.push(simple(format!("the label `{name}`"), CONTAINER, always(OURS), move |scene| {
            let victim = unique("victim");
            let keys = scene.keys(&format!("labels: {{{name}: {victim}}}\n"));
            Attack::new(keys).host(found(victim)).no_control("nobody gives it")
        }));
    }
    all.push(simple(
        "the label `io.tandem.pod`, with a blank behind it",
        CONTAINER,
        always(OURS),
        move |scene| {
            let keys = scene.keys("labels: {'io.tandem.pod ': victim}\n");
            Attack::new(keys).no_control("it is another label")
        },
    ));
    for (name, label) in [
        ("in capitals", "IO.TANDEM.POD"),
        ("with a blank before it", " io.tandem.pod"),
        ("cut short", "io.tandem"),
        ("with another letter", "i\u{43e}.tandem.pod"),
    ] {
        all.push(simple(format!("the label `io.tandem.pod`, {name}"), CONTAINER, TOOLS, move |scene| {
            let victim = unique("victim");
            let keys = scene.keys(&format!("labels: {{{}: {victim}}}\n", quoted(label)));
            Attack::new(keys).host(found(victim)).no_control("it is another label")
        }));
    }
    for label in [
        "traefik.http.routers.x.rule: Host(`victim`)",
        "ofelia.job-local.x.command: sh",
        "com.centurylinklabs.watchtower.lifecycle.pre-update: sh",
        "org.example.anything: x",
    ] {
        let name = label.split(':').next().unwrap_or_default();
        all.push(simple(format!("the label `{name}`"), CONTAINER, TOOLS, move |scene| {
            Attack::new(scene.keys(&format!("labels:\n  {label}\n"))).no_control("no such tool runs here")
        }));
    }
    for (name, said, text) in [
        ("for Tandem", always(OURS), "io.tandem.pod=VICTIM\n"),
        ("for Tandem, exported", always(OURS), "export io.tandem.pod=VICTIM\n"),
        ("for Tandem, in capitals", TOOLS, "IO.TANDEM.POD=VICTIM\n"),
    ] {
        let found_there = case(format!("a file of labels {name}"), CONTAINER, said, move |scene| {
            let victim = unique("victim");
            let file = scene.file("labels", &text.replace("VICTIM", &victim));
            let attack = Attack::new(scene.keys("label_file: /labels\n"));
            let attack = attack.task(&["-v", &format!("{file}:/labels:ro")]);
            attack.host(found(victim)).no_control("nobody gives it")
        });
        all.push(found_there);
    }
    all
}

fn users() -> Vec<Case> {
    let mut all = Vec::new();
    let (number, name) = (["", "", "control `runAsUser`"], ["", "", "control `runAsNonRoot`"]);
    for (user, said) in [("0", number), ("nobody", name)] {
        all.push(simple(format!("a hook of the user `{user}`"), RIGHTS, said, move |scene| {
            let keys = scene.keys(&format!("post_start: [{{command: ['true'], user: {}}}]\n", quoted(user)));
            Attack::new(keys).no_control("a user of a container is nobody on the host")
        }));
    }
    for (user, said) in [
        ("0", number),
        ("00", number),
        ("0:1000", number),
        ("root", name),
        ("nobody", name),
        ("4294967296", name),
        ("\u{0661}", name),
    ] {
        let found = simple(format!("the user `{}`", user.escape_default()), RIGHTS, said, move |scene| {
            let keys = scene.keys(&format!("user: {}\n", quoted(user)));
            Attack::new(keys).no_control("a user of a container is nobody on the host")
        });
        all.push(if ["4294967296", "\u{0661}"].contains(&user) { found.ends() } else { found });
    }
    all.push(case("an init component of root", RIGHTS, number, |scene| {
        let attack = Attack::new(scene.keys(""));
        let attack = attack.label("pod.init.components", scene.init("true", "user: '0'\n"));
        attack.no_control("a user of a container is nobody on the host")
    }));
    all.push(case("a user whom only the image names", RIGHTS, name, |scene| {
        let keys = scene.keys("").replace("user: '1000'\n", "");
        Attack::new(keys).late().no_control("a user of a container is nobody on the host")
    }));
    all.push(simple("groups of the host", RIGHTS, always(""), |scene| {
        let keys = scene.keys("group_add: ['0', '998', '999']\n");
        let attack = Attack::new(keys).probe(engine("/var/run/docker.sock"));
        attack.no_control("there is nothing for the group")
    }));
    all
}

/// Places in a component that are the kernel's or the engine's.
fn targets() -> Vec<Case> {
    const HIDES: &str = "where the engine hides";
    const MAKES: &str = "where the engine makes the devices";
    let mut all = Vec::new();
    for (target, said) in [
        ("/proc", HIDES),
        ("/proc/", HIDES),
        ("//proc", HIDES),
        ("/x/../proc", HIDES),
        ("/proc/1", HIDES),
        ("/proc/self/attr", HIDES),
        ("/proc/sys/kernel", HIDES),
        ("/sys", HIDES),
        ("/sys/fs/cgroup", HIDES),
        ("/sys/kernel/security", HIDES),
        ("/dev", MAKES),
        ("/dev/pts", MAKES),
        ("/dev/null", MAKES),
        ("/dev/console", MAKES),
        ("/dev/fd", MAKES),
        ("/dev/shm/x", MAKES),
        ("/dev/./pts", MAKES),
        ("/", "found the target `/`"),
        ("/..", "found the target `/`"),
    ] {
        all.push(simple(format!("a volume at `{target}`"), KERNEL, always(said), move |scene| {
            Attack::new(scene.mounting(&[&format!("v:{target}")]))
                .no_control("runc refuses most of them as well")
        }));
    }
    for (name, keys, said) in [
        ("a tmpfs over `/dev`", "tmpfs: [/dev]", MAKES),
        ("a tmpfs over `/proc/acpi`", "tmpfs: ['/proc/acpi:size=1m']", HIDES),
        ("a tmpfs over `/sys`, long", "volumes: [{type: tmpfs, target: /sys/firmware}]", HIDES),
        ("a tmpfs over `/dev/pts`, long", "volumes: [{type: tmpfs, target: /dev/pts}]", MAKES),
        ("a secret at `/proc`", "secrets: [{source: k, target: /proc/x}]", APP),
        ("a secret at `/dev`", "secrets: [{source: k, target: /dev/x}]", APP),
        ("a config at `/sys`", "configs: [{source: k, target: /sys/x}]", APP),
        ("a volume at a relative path", "volumes: ['v:proc']", APP),
    ] {
        all.push(simple(name, KERNEL, always(said), move |scene| {
            Attack::new(scene.keys(&format!("{keys}\n"))).no_control("runc refuses most of them as well")
        }));
    }
    for target in ["/dev/shm", "/dev/mqueue", "/procx", "/system", "/device"] {
        all.push(simple(format!("a volume at `{target}`"), KERNEL, always(""), move |scene| {
            Attack::new(scene.mounting(&[&format!("v:{target}")])).no_control("it is the component's own")
        }));
    }
    // Where a mount ends is for runc to find out: within the component.
    for (name, to) in [("to `/proc`", "/proc"), ("upwards", "../../../../../../..")] {
        all.push(case(format!("a volume behind a link in another volume {name}"), KERNEL, always(""), move |scene| {
            let volume = scene.volume(&[]);
            scene.plant(&volume, &format!("ln -s {to} /v/l"));
            let attack = Attack::new(scene.mounting(&[&format!("{volume}:/v"), "own:/v/l/1"]));
            let found = r#"awk '$5 ~ "^/(proc|sys)/" && $4 ~ "volumes" {print "REACHED kernel"}' /proc/self/mountinfo"#;
            let attack = attack.task(&["-v", &format!("{volume}:/v")]).probe(format!("{found}\n"));
            attack.no_control("runc follows no such link")
        }));
    }
    for (name, target) in [("to `/proc`", "/proc/x"), ("to `/dev`", "/dev/x")] {
        all.push(case(format!("`pod.copy` {name}"), KERNEL, always("pod.copy.app"), move |scene| {
            let folder = scene.marked("m");
            let attack = Attack::new(scene.keys("")).label("pod.copy.app", format!("/data:{target}"));
            let attack = attack.task(&["-v", &format!("{folder}:/data:ro")]);
            attack.no_control("the engine mounts over it")
        }));
    }
    all.push(case("`pod.copy` through a link in a volume", FOLDER, always(""), |scene| {
        let (data, written) = (scene.marked("m"), scene.folder("w"));
        let volume = scene.volume(&[]);
        scene.plant(&volume, &format!("ln -s {written} /v/l"));
        let attack = Attack::new(scene.mounting(&[&format!("{volume}:/v")]));
        let attack = attack.label("pod.copy.app", "/data/marker:/v/l/copied");
        let attack = attack.task(&["-v", &format!("{data}:/data:ro"), "-v", &format!("{volume}:/v")]);
        let path = format!("{written}/copied");
        attack
            .host(move |_| std::fs::metadata(&path).is_ok())
            .no_control("the engine follows links within a component")
    }));
    all
}

/// The working directory by a file that runc has open (CVE-2024-21626).
fn folders() -> Vec<Case> {
    let mut all = Vec::new();
    let above = "../../../../../../../../..";
    for number in [7, 8] {
        let path = format!("/proc/self/fd/{number}");
        let keys = format!("working_dir: {path}\n");
        all.push(
            simple(format!("the working directory `{path}`"), FOLDER, always(""), move |scene| {
                let attack = Attack::new(scene.keys(&keys)).probe(same(FOLDER, above, "/"));
                attack.no_control("runc from 1.1.12 on refuses it, as Debian's does")
            })
            .ends(),
        );
    }
    all.push(case("a hook's working directory `/proc/self/fd/8`", FOLDER, always(""), move |scene| {
        let look = format!("stat -Lc %d:%i {above} >/tmp/found");
        let keys =
            format!("post_start: [{{command: [sh, -c, {}], working_dir: /proc/self/fd/8}}]\n", quoted(&look));
        let probe = same(FOLDER, above, "/").replace(&format!("stat -Lc %d:%i {above}"), "cat /tmp/found");
        Attack::new(scene.keys(&keys))
            .probe(probe)
            .no_control("runc from 1.1.12 on refuses it, as Debian's does")
    }));
    all
}

/// Keys that no component has.
fn keys() -> Vec<Case> {
    let mut all = Vec::new();
    let key = |keys: &'static str| {
        simple(format!("the key `{keys}`"), ENGINE, always(APP), move |scene: &Scene| {
            Attack::new(scene.keys(&format!("{keys}\n"))).no_control("the key is refused as it is")
        })
    };
    for keys in [
        "pid: host",
        "pid: 'container:victim'",
        "ipc: host",
        "network_mode: host",
        "network_mode: 'container:victim'",
        "networks: [host]",
        "uts: host",
        "cgroup: host",
        "cgroup_parent: /",
        "build: /",
        "provider: {type: sh}",
        "develop: {watch: [{path: /etc, action: sync, target: /x}]}",
        "extra_hosts: ['engine:127.0.0.1']",
        "ports: ['2375:2375']",
        "container_name: victim",
        "credential_spec: {file: /etc/shadow}",
        "extends: {file: /etc/shadow, service: x}",
        "HostConfig: {Privileged: true}",
        "use_api_socket: yes",
    ] {
        all.push(key(keys));
    }
    all
}
