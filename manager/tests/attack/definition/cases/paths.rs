//! Paths of the host that the operator did not type, by every spelling and over every link.

use super::super::scene::{data, engine, in_root, processes, same};
use super::super::{Attack, always, case, simple};
use super::*;
use crate::lab::docker::socket;
use crate::lab::quoted;

/// A flag with such a path is not put into anybody's mouth.
pub(super) const ODD: [&str; 3] = ["no flag is proposed", "no flag is proposed", NO_BINDS];

/// No flag gives it either: propagation is the task's own.
const UNMOUNTED: [&str; 3] =
    ["which the task container does not mount", "which the task container does not mount", NO_BINDS];

pub(super) fn all() -> Vec<Case> {
    let mut all = folders();
    all.extend(engines());
    all.extend(spellings());
    all.extend(forms());
    all.extend(links());
    all
}

/// What a control needs where it is a path that this host may lack.
fn bound(attack: Attack, path: &str) -> Attack {
    match std::fs::metadata(path) {
        Ok(_) => attack.allow(&["host-paths", "engine-socket"]),
        Err(_) => attack.no_control("this host has no such path, or it is another one for everybody"),
    }
}

/// The paths of which it is shown that a bind reaches them: with the policy off there is no difference between paths.
const SHOWN: [&str; 10] = [
    "/etc",
    "/dev",
    "/etc/shadow",
    "/proc/sys/kernel/core_pattern",
    "/run",
    "/var/lib",
    "/sys",
    "/run/docker.sock",
    "/run/docker/containerd/containerd.sock",
    "/srv/../etc",
];

/// A bind of a path as it is written, which ends at another one.
fn written(path: &str, ends_at: &str, goal: &'static str, said: [&'static str; 3]) -> Case {
    let (path, ends_at) = (path.to_owned(), ends_at.to_owned());
    simple(format!("bind `{}`", path.escape_default()), goal, said, move |scene| {
        let attack = Attack::new(scene.mounting(&[&format!("{path}:/x")]));
        let attack = attack.probe(same(goal, "/x", &ends_at));
        match SHOWN.contains(&path.as_str()) {
            true => bound(attack, &ends_at),
            false => attack.no_control("those that are named in `SHOWN` show it"),
        }
    })
}

/// What passed before there was a list.
fn folders() -> Vec<Case> {
    let mut all: Vec<Case> = [
        "/etc",
        "/dev",
        "/root",
        "/usr",
        "/boot",
        "/lib",
        "/bin",
        "/sbin",
        "/home",
        "/opt",
        "/srv",
        "/var/log",
        "/var/spool/cron",
        "/run/udev",
        "/etc/shadow",
        "/etc/ld.so.preload",
        "/etc/ssl",
        "/sys/kernel",
        "/proc/sys",
        "/proc/sys/kernel/core_pattern",
    ]
    .into_iter()
    .map(|path| written(path, path, FOLDER, UNTYPED))
    .collect();
    all.push(simple("bind `/dev/pts` and read a terminal", TERMINAL, UNTYPED, |scene| {
        let number = scene.terminal();
        let read =
            format!("timeout 2 head -n1 /x/{number} | grep -qF {} && echo 'REACHED terminal'\n", scene.token);
        Attack::new(scene.mounting(&["/dev/pts:/x"])).probe(read).allow(&["host-paths"])
    }));
    all.push(simple("bind a socket of the host", SOCKET, UNTYPED, |scene| {
        let (path, heard) = scene.stream();
        let call = "curl -s --max-time 1 --unix-socket /x http://x/ >/dev/null\n";
        let attack = Attack::new(scene.mounting(&[&format!("{path}:/x")])).probe(call.into());
        attack.host(move |_| heard.any()).allow(&["host-paths"])
    }));
    all.push(simple("bind the folder of a marked file", FOLDER, UNTYPED, |scene| {
        let folder = scene.marked("m");
        let attack = Attack::new(scene.mounting(&[&format!("{folder}:/x:ro")]));
        attack.probe(same(FOLDER, "/x/marker", &format!("{folder}/marker"))).allow(&["host-paths"])
    }));
    // The five that need no typing are not writable, and not what lies above.
    for (path, mode) in
        [("/usr/share/zoneinfo", ""), ("/etc/ssl/certs", ""), ("/usr/share", ":ro"), ("/usr/lib", ":ro")]
    {
        let name = format!("bind `{path}{mode}`");
        all.push(simple(name, FOLDER, UNTYPED, move |scene| {
            let attack = Attack::new(scene.mounting(&[&format!("{path}:/x{mode}")]));
            bound(attack.probe(same(FOLDER, "/x", path)), path)
        }));
    }
    all.push(simple("bind a common path read-only", FOLDER, ["", TYPE_IT, NO_BINDS], |scene| {
        let there = |path: &&str| std::fs::metadata(path).is_ok();
        let path =
            ["/usr/share/zoneinfo", "/etc/ssl/certs"].into_iter().find(there).unwrap_or("/etc/ssl/certs");
        let attack = Attack::new(scene.mounting(&[&format!("{path}:/x:ro")])).probe(same(FOLDER, "/x", path));
        attack.given().no_control("it is given to everybody under `default`")
    }));
    all.push(simple("bind a common path with `rslave`", FOLDER, UNMOUNTED, |scene| {
        let attack = Attack::new(scene.mounting(&["/etc/ssl/certs:/x:ro,rslave"]));
        attack.no_control("it needs a host on which `/` is shared")
    }));
    all
}

/// The engine's socket, what contains it, and what else leads to an engine.
fn engines() -> Vec<Case> {
    let mut all = vec![
        simple("bind the engine's socket", ENGINE, EXPOSES, |scene| {
            let path = socket().display().to_string();
            let attack = Attack::new(scene.mounting(&[&format!("{path}:/x")])).probe(engine("/x"));
            attack.allow(&["host-paths", "engine-socket"])
        }),
        case("bind the engine's socket, typed by the operator", ENGINE, EXPOSES, |scene| {
            let path = socket().display().to_string();
            let attack = Attack::new(scene.mounting(&[&format!("{path}:/x")])).probe(engine("/x"));
            attack.args(&[&format!("--allow=host-paths={path}")]).allow(&["engine-socket"])
        }),
        case("bind the folder of the engine's socket, typed", ENGINE, EXPOSES, |scene| {
            let folder = socket().parent().expect("a folder").display().to_string();
            let name = socket().file_name().expect("a name").to_string_lossy().into_owned();
            let attack =
                Attack::new(scene.mounting(&[&format!("{folder}:/x")])).probe(engine(&format!("/x/{name}")));
            attack.args(&[&format!("--allow=host-paths={folder}")]).allow(&["engine-socket"])
        }),
        case("bind `/` with every path allowed", ENGINE, EXPOSES, |scene| {
            let path = socket().canonicalize().expect("it is there").display().to_string();
            let attack = Attack::new(scene.mounting(&["/:/x:ro"])).probe(engine(&format!("/x{path}")));
            attack.args(&["--allow=host-paths"]).allow(&["engine-socket"])
        }),
        simple("bind `/proc`", PROC, EXPOSES, |scene| {
            let attack = Attack::new(scene.mounting(&["/proc:/x:ro"])).probe(processes("/x"));
            attack.allow(&["host-paths", "engine-socket"])
        }),
    ];
    for path in [
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run",
        "/var/run",
        "/var",
        "/var/lib",
        "/run/docker",
        "/run/docker/plugins",
        "/run/docker/containerd/containerd.sock",
        "/var/run/docker/containerd",
        "/run/containerd/containerd.sock",
        "/run/buildkit/buildkitd.sock",
        "/run/crio/crio.sock",
        "/run/k3s",
        "/run/podman/podman.sock",
        "/run/user/0/docker.sock",
        "/run/user/0/podman",
        "/run/dbus/system_bus_socket",
        "/run/systemd/private",
        "/sys",
        "/sys/fs/cgroup",
        "/proc/1/root",
        "/proc/1/cwd",
    ] {
        all.push(written(path, path, OTHER, EXPOSES));
    }
    for path in ["/proc/self", "/proc/self/root", "/proc/thread-self/root", "/proc/self/fd/3"] {
        all.push(written(path, "/nowhere", OTHER, EXPOSES));
    }
    for (path, mode, said) in [
        ("", "", EXPOSES),
        ("volumes", "", EXPOSES),
        ("containers", "", EXPOSES),
        ("swarm", ":ro", EXPOSES),
        ("volumes", ":ro", UNTYPED),
        ("containers", ":ro", UNTYPED),
        ("image", ":ro", UNTYPED),
    ] {
        let name = format!("bind the engine's `/{path}{mode}`");
        all.push(simple(name, VOLUME, said, move |scene| {
            let path = in_root(path);
            let attack = Attack::new(scene.mounting(&[&format!("{path}:/x{mode}")]));
            bound(attack.probe(same(VOLUME, "/x", &path)), &path)
        }));
    }
    // Sockets of which nobody keeps a list: they are paths like any other.
    for path in ["/run/snapd.socket", "/run/libvirt/libvirt-sock", "/run/lxd.socket", "/run/host-agent.sock"]
    {
        all.push(written(path, path, OTHER, UNTYPED));
    }
    all
}

/// One folder by other names.
fn spellings() -> Vec<Case> {
    let mut all: Vec<Case> = [
        ("/etc/", "/etc", UNTYPED),
        ("//etc", "/etc", UNTYPED),
        ("/./etc", "/etc", UNTYPED),
        ("/srv/../etc", "/etc", UNTYPED),
        ("/../../etc", "/etc", UNTYPED),
        ("/etc/../etc/.", "/etc", UNTYPED),
        ("/usr/share/zoneinfo/../../../etc", "/etc", UNTYPED),
        ("/proc/self/root/etc", "/nowhere", EXPOSES),
        ("/proc/1/root/etc", "/etc", EXPOSES),
        ("/proc/thread-self/cwd", "/nowhere", EXPOSES),
        ("/var/run/../run/docker.sock", "/run/docker.sock", EXPOSES),
        ("/run//docker.sock", "/run/docker.sock", EXPOSES),
        ("/run/docker.sock/.", "/run/docker.sock", EXPOSES),
        ("/var/lock/../docker.sock", "/nowhere", UNTYPED),
        ("/dev/fd/3", "/nowhere", UNTYPED),
    ]
    .into_iter()
    .map(|(path, ends_at, said)| written(path, ends_at, FOLDER, said))
    .collect();
    // Not the same path for anybody, and typed by nobody.
    for path in [
        "/ETC",
        "/VAR/RUN",
        "/\u{ff45}tc",
        "/etc\u{200b}",
        "/e\u{301}tc",
        "/etc ",
        "/\u{202e}cte/",
        "/etc\\..\\root",
        "/*",
        "/etc*",
    ] {
        let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/');
        all.push(written(path, "/nowhere", FOLDER, if plain { UNTYPED } else { ODD }));
    }
    for (source, said) in [
        ("~/x", "pod.component.app"),
        ("./etc", "pod.component.app"),
        ("../etc", "pod.component.app"),
        ("etc/../../etc", "pod.component.app"),
        ("C:\\etc", "pod.component.app"),
        // Names of volumes, which the engine refuses.
        ("\\etc", ""),
    ] {
        let name = format!("bind `{}`", source.escape_default());
        all.push(
            simple(name, FOLDER, always(said), move |scene| {
                Attack::new(scene.mounting(&[&format!("{source}:/x")]))
                    .no_control("the engine takes no such source")
            })
            .ends(),
        );
    }
    all.push(simple("bind a path with a zero byte", FOLDER, always("pod.component.app"), |scene| {
        let keys = scene.keys("volumes: [\"/srv\\0/../etc:/x\"]\n");
        Attack::new(keys).no_control("no path of Linux has one")
    }));
    all.push(simple("bind a path that is longer than any", FOLDER, always("pod.component.app"), |scene| {
        let path = format!("/etc/{}", "a/".repeat(3000));
        Attack::new(scene.mounting(&[&format!("{path}:/x")])).no_control("no path of Linux is as long")
    }));
    all
}

/// One bind in other forms.
fn forms() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, keys) in [
        ("long", "{type: bind, source: /etc, target: /x}"),
        ("long, without a type", "{source: /etc, target: /x}"),
        ("long, to be made", "{type: bind, source: /etc, target: /x, bind: {create_host_path: true}}"),
        ("long, relabelled", "{type: bind, source: /etc, target: /x, bind: {selinux: Z}}"),
        ("long, with a mode", "{type: bind, source: /etc, target: /x, mode: 'z,cached'}"),
        (
            "long, without what is mounted below",
            "{type: bind, source: /etc, target: /x, bind: {recursive: disabled}}",
        ),
        ("as an alias", "&evil {type: bind, source: /etc, target: /x}"),
        ("by a tag", "!!str /etc:/x"),
        ("folded", ">-\n  /etc:/x"),
    ] {
        all.push(simple(format!("bind `/etc`, {name}"), FOLDER, UNTYPED, move |scene| {
            let attack =
                Attack::new(scene.keys(&format!("volumes:\n- {keys}\n"))).probe(same(FOLDER, "/x", "/etc"));
            attack.allow(&["host-paths"])
        }));
    }
    for (name, keys) in [
        ("as a volume", "{type: volume, source: /etc, target: /x}"),
        ("as a tmpfs", "{type: tmpfs, source: /etc, target: /x}"),
        ("as an image", "{type: image, source: /etc, target: /x}"),
        ("as a named pipe", "{type: npipe, source: /etc, target: /x}"),
        ("as a cluster volume", "{type: cluster, source: group:x, target: /x}"),
        (
            "with driver options",
            "{type: volume, source: v, target: /x, volume: {driver_config: {options: {device: /etc}}}}",
        ),
        ("as a merge", "{<<: {type: bind, source: /etc}, target: /x, source: ''}"),
        ("twice", "{type: bind, source: /srv, source: /etc, target: /x}"),
    ] {
        all.push(simple(format!("mount `/etc` {name}"), FOLDER, always("pod.component.app"), move |scene| {
            let attack =
                Attack::new(scene.keys(&format!("volumes:\n- {keys}\n"))).probe(same(FOLDER, "/x", "/etc"));
            attack.no_control("no engine takes it")
        }));
    }
    all.push(case("bind `/etc` in an init component", FOLDER, UNTYPED, |scene| {
        let init = scene.init("true", "volumes: ['/etc:/x']\n");
        let attack = Attack::new(scene.keys("")).label("pod.init.components", init);
        attack.no_control("a component shows the same")
    }));
    all.push(case("bind `/etc` in the older spelling of the label", FOLDER, UNTYPED, |scene| {
        let attack = Attack::bare().label("pod.container.app", scene.mounting(&["/etc:/x"])).runs("app");
        attack.probe(same(FOLDER, "/x", "/etc")).allow(&["host-paths"])
    }));
    for (name, file) in [
        (
            "by what is extended",
            "services:\n  base: {image: IMAGE, volumes: ['/etc:/x'], command: [sleep, infinity], stop_signal: SIGKILL}\n  app:\n    extends: base\n",
        ),
        ("by a variable of `.env`", "services:\n  app:\n    volumes: ['${FROM_FILE}:/x']\n"),
        ("by `!override`", "services:\n  app:\n    volumes: !override ['/etc:/x']\n"),
    ] {
        all.push(case(format!("bind `/etc` in a Compose file, {name}"), FOLDER, UNTYPED, move |scene| {
            let folder = scene.folder("conf");
            scene.file("conf/.env", "FROM_FILE=/etc\n");
            let keys: String = scene.keys("").lines().map(|line| format!("    {line}\n")).collect();
            let file = file.replace("IMAGE", &crate::lab::tools_image());
            // The keys of the service that is to run come behind its own.
            scene.file("conf/compose.yml", &format!("{file}{keys}"));
            let attack = Attack::bare().label("pod.compose.file", "/conf/compose.yml").runs("app");
            let attack =
                attack.task(&["-v", &format!("{folder}:/conf:ro")]).probe(same(FOLDER, "/x", "/etc"));
            attack.allow(&["host-paths"])
        }));
    }
    all
}

/// A link that the pod itself makes in a volume, bound by the volume's folder on the host: what it ends at, how it is made.
fn links() -> Vec<Case> {
    const MADE: &str = "rm -rf /v/l; ln -s ";
    let mut all = Vec::new();
    let made =
        |name: &'static str, goal: &'static str, script: String, below: &'static str, ends_at: String| {
            case(format!("bind a link in a volume, {name}"), goal, EXPOSES, move |scene| {
                let volume = scene.volume(&[]);
                if scene.control {
                    scene.plant(&volume, &script);
                }
                let bind = format!("{}/{below}:/x", data(&volume));
                let attack = Attack::new(scene.mounting(&[&bind]));
                let attack = attack.task(&["-v", &format!("{volume}:/v")]);
                let probe = match goal {
                    PROC => processes("/x"),
                    ENGINE => engine("/x"),
                    _ => same(goal, "/x", &ends_at),
                };
                let attack = match scene.control {
                    true => attack,
                    false => {
                        let mounted = format!("volumes: [{}]\n", quoted(&format!("{volume}:/v")));
                        attack.label("pod.init.components", scene.init(&script, &mounted))
                    }
                };
                bound(attack.probe(probe), &ends_at)
            })
        };
    let docker_sock = socket().canonicalize().unwrap_or_else(|_| socket()).display().to_string();
    for (name, goal, to) in
        [("to `/proc`", PROC, "/proc"), ("to containerd", OTHER, "/run/docker/containerd/containerd.sock")]
    {
        all.push(made(name, goal, format!("{MADE}{to} /v/l"), "l", to.to_owned()));
    }
    all.push(made(
        "to the engine's socket",
        ENGINE,
        format!("{MADE}{docker_sock} /v/l"),
        "l",
        docker_sock.clone(),
    ));
    for (name, script, below) in [
        ("relative", format!("{MADE}../../../../../../../../../../etc /v/l"), "l"),
        ("through `..`", format!("{MADE}/etc/ssl/../../etc /v/l"), "l"),
        ("a chain of three", format!("{MADE}m /v/l; ln -sfn ./n /v/m; ln -sfn /etc /v/n"), "l"),
        ("above what is bound", format!("{MADE}/ /v/l"), "l/etc"),
        ("dangling first", format!("{MADE}/nowhere /v/l; ln -sfn /etc /v/l"), "l"),
    ] {
        all.push(made(name, FOLDER, script, below, "/etc".into()));
    }
    all.push(case("bind a link in a volume, read-only", FOLDER, UNTYPED, |scene| {
        let volume = scene.volume(&[]);
        scene.plant(&volume, "ln -s /etc /v/l");
        let attack = Attack::new(scene.mounting(&[&format!("{}/l:/x:ro", data(&volume))]));
        attack.task(&["-v", &format!("{volume}:/v")]).probe(same(FOLDER, "/x", "/etc")).allow(&["host-paths"])
    }));
    all.push(case("bind a link in a volume through a second volume", FOLDER, EXPOSES, |scene| {
        let (first, second) = (scene.volume(&[]), scene.volume(&[]));
        scene.plant(&first, &format!("ln -s {}/m /v/l", data(&second)));
        scene.plant(&second, "ln -s /etc /v/m");
        let attack = Attack::new(scene.mounting(&[&format!("{}/l:/x", data(&first))]));
        let attack = attack.task(&["-v", &format!("{first}:/v"), "-v", &format!("{second}:/w")]);
        attack.probe(same(FOLDER, "/x", "/etc")).allow(&["host-paths", "engine-socket"])
    }));
    all.push(case("bind a link in the pod's own volume", FOLDER, EXPOSES, |scene| {
        let volume = format!("{}.podlike.own", scene.pod);
        if scene.control {
            let owner = format!("io.tandem.owner=container:{}", scene.pod);
            scene.volume_with(&volume, &[], &[&owner]);
            scene.plant(&volume, "ln -s /etc /v/l");
        }
        let attack = Attack::new(scene.mounting(&[&format!("{}/l:/x", data(&volume))]));
        let attack = attack.and("other", scene.mounting(&["own:/v"]));
        attack.probe(same(FOLDER, "/x", "/etc")).allow(&["host-paths", "engine-socket"])
    }));
    all.push(case("bind a link that another component exchanges all the time", FOLDER, EXPOSES, |scene| {
        let volume = scene.volume(&[]);
        let race = "while :; do rm -rf /v/l; mkdir /v/l; rm -rf /v/l; ln -s /run /v/l; done";
        let keys = format!("command: [sh, -c, {}]\nvolumes: ['{volume}:/v']\n", quoted(race));
        let binds = format!("restart: always\nvolumes: ['{}/l:/x']\n", data(&volume));
        let attack = Attack::new(scene.keys(&binds)).and("race", scene.keys(&keys));
        let attack = attack.task(&["-v", &format!("{volume}:/v")]);
        attack.no_control("it hits in few of many starts; `bind a link in a volume` shows where it ends")
    }));
    all.push(case("bind the folder of the task's own volume", VOLUME, UNTYPED, |scene| {
        let volume = scene.volume(&[]);
        let attack = Attack::new(scene.mounting(&[&format!("{}:/x:ro", data(&volume))]));
        let attack = attack.task(&["-v", &format!("{volume}:/v")]);
        attack.probe(same(VOLUME, "/x", &data(&volume))).allow(&["host-paths"])
    }));
    all.push(case(
        "a part of a volume through a link",
        FOLDER,
        always("needs Docker Engine 26.0"),
        |scene| {
            let volume = scene.volume(&[]);
            scene.plant(&volume, "ln -s /etc /v/l");
            let part = format!("{{type: volume, source: {volume}, target: /x, volume: {{subpath: l}}}}");
            let attack = Attack::new(scene.keys(&format!("volumes:\n- {part}\n")));
            attack.task(&["-v", &format!("{volume}:/v")]).no_control("this engine knows no part of a volume")
        },
    ));
    all.push(case("a part of a volume by `..`", FOLDER, always("pod.component.app"), |scene| {
        let volume = scene.volume(&[]);
        let part =
            format!("{{type: volume, source: {volume}, target: /x, volume: {{subpath: ../../../etc}}}}");
        let attack = Attack::new(scene.keys(&format!("volumes:\n- {part}\n")));
        attack.task(&["-v", &format!("{volume}:/v")]).no_control("this engine knows no part of a volume")
    }));
    all
}
