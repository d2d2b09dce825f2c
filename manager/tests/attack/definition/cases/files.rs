//! The manager's own files: the key, the socket, the policy file, passwords of registries. A definition names files of the task
//! container in many keys; each is tried by its name, and through a link in a volume that a component has written before.

use super::super::scene::{Scene, engine, holds, same};
use super::super::{Attack, Placement, always, case};
use super::*;
use crate::lab::docker::{socket, try_inspect};
use crate::lab::{quoted, unique};

/// A manager outside runs no pod whose task container has what is the manager's alone.
const TASK_HAS: &str = "only the manager's own container may have it";
const OUT: &str = "leads out of it, to `/certs/key.pem`";

/// Where the manager has its key.
const CERTS: &str = "/certs";

pub(super) fn all() -> Vec<Case> {
    let mut all = keys();
    all.extend(mounts());
    all.extend(others());
    all.extend(secrets_in_logs());
    all
}

/// The manager has certificates, from this folder of the host or volume; so has the task container where it is another one.
fn with_certificates(scene: &Scene, attack: Attack, source: &str) -> Attack {
    let mount = format!("{source}:{CERTS}:ro");
    let variable = format!("DOCKER_CERT_PATH={CERTS}");
    let attack = attack.task(&["-v", &mount]);
    match scene.kind.placement {
        Placement::Sandbox | Placement::Task => attack.task(&["-e", &variable]),
        Placement::Sibling | Placement::Agent => attack.manager(&["-v", &mount, "-e", &variable]),
    }
}

/// The same of a manager that no attacker is near: the task container has nothing of it, where it is another one.
fn with_own_certificates(scene: &Scene, attack: Attack, source: &str) -> Attack {
    match scene.kind.placement {
        Placement::Sandbox | Placement::Task => with_certificates(scene, attack, source),
        Placement::Sibling | Placement::Agent => attack.manager(&[
            "-v",
            &format!("{source}:{CERTS}:ro"),
            "-e",
            &format!("DOCKER_CERT_PATH={CERTS}"),
        ]),
    }
}

/// A volume that the task container has at `/v`, with the link `l` in it.
fn with_link(scene: &Scene, attack: Attack, to: &str) -> Attack {
    let volume = scene.volume(&[]);
    scene.plant(&volume, &format!("ln -s {to} /v/l"));
    attack.task(&["-v", &format!("{volume}:/v")])
}

/// A key that names a file, and a pod with it.
type Reader = (&'static str, fn(&Scene, &str) -> Attack);

/// Every key that names a file, with what the component sees of it.
fn readers() -> [Reader; 7] {
    [
        ("secrets", |scene, path| {
            let keys = format!("secrets: [{{source: {path}, target: /tmp/k, mode: 0444}}]\n");
            Attack::new(scene.keys(&keys)).probe(holds(KEY, "/tmp/k", &scene.token))
        }),
        ("configs", |scene, path| {
            let keys = format!("configs: [{{source: {path}, target: /tmp/k, mode: 0444}}]\n");
            Attack::new(scene.keys(&keys)).probe(holds(KEY, "/tmp/k", &scene.token))
        }),
        ("env_file", |scene, path| {
            Attack::new(scene.keys(&format!("env_file: ['{path}']\n"))).probe(holds(
                KEY,
                "/proc/self/environ",
                &scene.token,
            ))
        }),
        ("label_file", |scene, path| {
            let token = scene.token.clone();
            Attack::new(scene.keys(&format!("label_file: ['{path}']\n"))).host(move |pod| {
                let app = try_inspect(&pod.container("app"));
                app.is_some_and(|app| app["Config"]["Labels"].to_string().contains(&token))
            })
        }),
        ("pod.compose.file", |_, path| Attack::bare().label("pod.compose.file", path).runs("app")),
        ("pod.copy", |scene, path| {
            let attack = Attack::new(scene.keys("")).label("pod.copy.app", format!("{path}:/tmp/k"));
            attack.probe(format!("ls /tmp/k >/dev/null; {}", holds(KEY, "-r /tmp/k", &scene.token)))
        }),
        ("a seccomp profile", |scene, path| {
            Attack::new(scene.keys(&format!("security_opt: ['seccomp={path}', 'no-new-privileges:true']\n")))
        }),
    ]
}

fn keys() -> Vec<Case> {
    let mut all = Vec::new();
    for (key, read) in readers() {
        // A profile is the text itself: a path is none, whatever it leads to.
        let said = if key == "a seccomp profile" { "pod.component.app" } else { MANAGERS };
        all.push(case(format!("the engine's key by `{key}`"), KEY, always(said), move |scene| {
            let attack = read(scene, &format!("{CERTS}/key.pem"));
            // The policy is not asked whether its own files are to be read.
            shown(with_certificates(scene, attack, &scene.certificates()), key)
        }));
        if ["configs", "a seccomp profile"].contains(&key) {
            continue;
        }
        all.push(case(
            format!("the engine's key by `{key}`, through a link"),
            KEY,
            always(if said == MANAGERS { OUT } else { said }),
            move |scene| {
                let attack = with_link(scene, read(scene, "/v/l"), &format!("{CERTS}/key.pem"));
                let attack = with_certificates(scene, attack, &scene.certificates());
                attack.no_control("the key by its name shows it")
            },
        ));
    }
    for (name, source) in [("its folder", CERTS), ("what contains it", "/"), ("`..`", "/etc/../certs")] {
        all.push(case(
            format!("the engine's key by `pod.copy` of {name}"),
            KEY,
            always(MANAGERS),
            move |scene| {
                let attack = Attack::new(scene.keys("")).label("pod.copy.app", format!("{source}:/tmp/k"));
                let attack = with_certificates(scene, attack, &scene.certificates());
                let attack = attack.probe(holds(KEY, "-r /tmp/k", &scene.token));
                attack.no_control("the key by its name shows it")
            },
        ));
    }
    for path in ["/proc/self/root/certs/key.pem", "/proc/self/environ"] {
        let name = format!("the engine's key by `pod.copy` of `{path}`");
        all.push(case(name, KEY, always("pod.copy.app"), move |scene| {
            let attack = Attack::new(scene.keys("")).label("pod.copy.app", format!("{path}:/tmp/k"));
            let attack = with_certificates(scene, attack, &scene.certificates());
            let attack = attack.probe(holds(KEY, "-r /tmp/k", &scene.token));
            attack.no_control("the key by its name shows it")
        }));
    }
    for (name, key, file) in [
        ("a secret of a Compose file", "secrets: [k]", "secrets: {k: {file: /certs/key.pem}}\n"),
        ("a config of a Compose file, relative", "configs: [k]", "configs: {k: {file: ../certs/key.pem}}\n"),
        (
            "a secret of a Compose file, by a variable",
            "secrets: [k]",
            "secrets: {k: {file: '${DOCKER_CERT_PATH:-/certs}/key.pem'}}\n",
        ),
    ] {
        all.push(case(format!("the engine's key by {name}"), KEY, always(MANAGERS), move |scene| {
            let folder = scene.folder("conf");
            scene.file("conf/compose.yml", &scene.compose(&scene.keys(&format!("{key}\n")), file));
            let attack = Attack::bare().label("pod.compose.file", "/conf/compose.yml").runs("app");
            let attack = with_certificates(scene, attack, &scene.certificates());
            let attack = attack.task(&["-v", &format!("{folder}:/conf:ro")]);
            attack.no_control("the key by its name shows it")
        }));
    }
    for (name, linked, file) in [
        ("`extends.file`", false, "services:\n  app: {extends: {file: /certs/key.pem, service: app}}\n"),
        ("`extends.file`, through a link", true, "services:\n  app: {extends: {file: /v/l, service: app}}\n"),
        ("`include`", false, "include: [/certs/key.pem]\nservices:\n  app: {image: busybox}\n"),
        (
            "`include`, relative",
            false,
            "include: [{path: ../certs/key.pem}]\nservices:\n  app: {image: busybox}\n",
        ),
        ("`include`, through a link", true, "include: [/v/l]\nservices:\n  app: {image: busybox}\n"),
        (
            "`env_file` of an `include`",
            false,
            "include: [{path: more.yml, env_file: /certs/key.pem}]\nservices:\n  app: {image: busybox}\n",
        ),
    ] {
        let said = if linked { OUT } else { MANAGERS };
        all.push(case(format!("the engine's key by {name}"), KEY, always(said), move |scene| {
            let folder = scene.folder("conf");
            scene.file("conf/compose.yml", file);
            scene.file("conf/more.yml", "services: {}\n");
            let attack = Attack::bare().label("pod.compose.file", "/conf/compose.yml").runs("app");
            let attack = match linked {
                true => with_link(scene, attack, &format!("{CERTS}/key.pem")),
                false => attack,
            };
            let attack = with_certificates(scene, attack, &scene.certificates());
            attack.task(&["-v", &format!("{folder}:/conf:ro")]).no_control("the key by its name shows it")
        }));
    }
    // A link that leads out is no file of variables: it is as if there were none.
    let env = case("the engine's key by a link called `.env`", KEY, always(""), |scene| {
        let (volume, folder) = (scene.volume(&[]), scene.certificates());
        scene.file("certs/key.pem", &format!("SECRET={}\n", scene.token));
        let app = scene.keys("environment: {FOUND: '${SECRET:-none}'}\n");
        let file = quoted(&scene.compose(&app, ""));
        scene.plant(&volume, &format!("ln -s {CERTS}/key.pem /v/.env; printf '%b' {file} >/v/compose.yml"));
        let attack = Attack::bare().label("pod.compose.file", "/v/compose.yml").runs("app");
        let attack = with_certificates(scene, attack, &folder);
        let attack = attack.probe(holds(KEY, "/proc/self/environ", &scene.token));
        attack.task(&["-v", &format!("{volume}:/v")]).no_control("the key by its name shows it")
    });
    all.push(env.outside(always(TASK_HAS)));
    all
}

/// The control of a key that names a file: the same of a file that is not the manager's.
fn shown(attack: Attack, key: &str) -> Attack {
    match key {
        "secrets" | "configs" | "pod.copy" => attack.allow(&["engine-socket"]),
        _ => attack.no_control("what it reads is no text of that kind"),
    }
}

/// The key by what is mounted.
fn mounts() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, typed) in [("", false), (", typed by the operator", true)] {
        all.push(case(format!("bind the folder of the engine's key{name}"), KEY, EXPOSES, move |scene| {
            let folder = scene.certificates();
            let attack = Attack::new(scene.mounting(&[&format!("{folder}:/x:ro")]));
            let attack = if typed { attack.args(&[&format!("--allow=host-paths={folder}")]) } else { attack };
            let attack =
                with_certificates(scene, attack, &folder).probe(holds(KEY, "/x/key.pem", &scene.token));
            attack.allow(&["engine-socket", "host-paths"])
        }));
    }
    all.push(case("bind what contains the folder of the engine's key", KEY, EXPOSES, |scene| {
        let folder = scene.certificates();
        let attack = Attack::new(scene.mounting(&[&format!("{}:/x:ro", scene.path("."))]));
        let attack =
            with_certificates(scene, attack, &folder).probe(holds(KEY, "/x/certs/key.pem", &scene.token));
        attack
            .args(&[&format!("--allow=host-paths={}", scene.path("."))])
            .allow(&["engine-socket", "host-paths"])
    }));
    all.push(case("the volume of the engine's key", KEY, always(SOCKET_TOO), |scene| {
        let volume = scene.volume(&[]);
        scene.plant(&volume, &format!("echo {} >/v/key.pem", scene.token));
        let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x:ro")]));
        let attack = with_certificates(scene, attack, &volume).probe(holds(KEY, "/x/key.pem", &scene.token));
        attack.allow(&["engine-socket"])
    }));
    for (name, args) in [
        ("`--volumes`", &["--volumes"][..]),
        ("`--volumes` and every path", &["--volumes", "--allow=host-paths"]),
    ] {
        let shared = case(format!("the engine's key by {name}"), KEY, always(""), move |scene| {
            let attack = Attack::new(scene.keys("")).args(args);
            let attack = with_certificates(scene, attack, &scene.certificates());
            let attack = attack.probe(holds(KEY, "/certs/key.pem", &scene.token));
            attack.allow(&["engine-socket"])
        });
        all.push(shared.outside(always(TASK_HAS)));
    }
    let shared = case("the engine's socket by `--volumes`", ENGINE, always(""), |scene| {
        let folder = socket().parent().expect("a folder").display().to_string();
        let name = socket().file_name().expect("a name").to_string_lossy().into_owned();
        let attack = Attack::new(scene.keys("")).args(&["--volumes"]).task(&["-v", &format!("{folder}:/r")]);
        let attack = attack.probe(engine(&format!("/r/{name}"))).probe(engine("/var/run/docker.sock"));
        attack.allow(&["engine-socket"])
    });
    all.push(shared.outside(always(TASK_HAS)));
    all.push(case("the engine's socket by `pod.copy`", ENGINE, always("pod.copy.app"), |scene| {
        let attack = Attack::new(scene.keys("")).label("pod.copy.app", "/var/run/docker.sock:/tmp/s");
        attack.probe(engine("/tmp/s")).no_control("no archive carries a socket")
    }));
    all.push(case("the engine's socket by `use_api_socket`", ENGINE, always("pod.component.app"), |scene| {
        let attack = Attack::new(scene.keys("use_api_socket: true\n")).probe(engine("/var/run/docker.sock"));
        attack.no_control("nobody gives it")
    }));
    all.push(case("the cgroup tree that the manager limits with", KERNEL, EXPOSES, |scene| {
        let tree = "/sys/fs/cgroup:/sys/fs/cgroup";
        let attack = Attack::new(scene.mounting(&["/sys/fs/cgroup:/x"]));
        let attack = match scene.kind.placement {
            Placement::Sandbox | Placement::Task => attack.task(&["-v", tree]),
            Placement::Sibling | Placement::Agent => attack.manager(&["-v", tree]),
        };
        attack.probe(same(KERNEL, "/x", "/sys/fs/cgroup")).allow(&["engine-socket", "host-paths"])
    }));
    all
}

/// The policy file, passwords of registries, and what another manager of the node has.
fn others() -> Vec<Case> {
    let mut all = Vec::new();
    for (key, read) in readers().into_iter().filter(|(key, _)| ["secrets", "pod.copy"].contains(key)) {
        all.push(case(format!("the policy file by `{key}`"), KEY, always(MANAGERS), move |scene| {
            let file = scene.file("policy.yml", &format!("# {}\npolicy: default\n", scene.token));
            let mount = format!("{file}:/policy.yml:ro");
            let attack =
                read(scene, "/policy.yml").task(&["-v", &mount]).args(&["--policy-file=/policy.yml"]);
            let attack = match scene.kind.placement {
                Placement::Sandbox | Placement::Task => attack,
                Placement::Sibling | Placement::Agent => attack.manager(&["-v", &mount]),
            };
            attack.no_control("the key by its name shows it")
        }));
        if key != "secrets" {
            continue;
        }
        all.push(case(format!("passwords of registries by `{key}`"), KEY, always(MANAGERS), move |scene| {
            let text = format!(
                "{{\"auths\":{{\"reg.example.com\":{{\"username\":\"u\",\"password\":\"{}\"}}}}}}",
                scene.token
            );
            let mount = format!("{}:/run/secrets/tandem/config.json:ro", scene.file("config.json", &text));
            let attack = read(scene, "/run/secrets/tandem/config.json").task(&["-v", &mount]);
            let attack = match scene.kind.placement {
                Placement::Sandbox | Placement::Task => attack,
                Placement::Sibling | Placement::Agent => attack.manager(&["-v", &mount]),
            };
            attack.no_control("the key by its name shows it")
        }));
    }
    all.push(case("the volume of another manager's key", KEY, always(SOCKET_TOO), |scene| {
        let volume = scene.volume(&[]);
        scene.plant(&volume, &format!("echo {} >/v/key.pem", scene.token));
        let other = with_own_certificates(scene, Attack::new(scene.keys("")), &volume);
        let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x")]));
        let attack = attack.args(&[&format!("--allow=volumes={volume}")]).after(other);
        attack.probe(holds(KEY, "/x/key.pem", &scene.token)).allow(&["engine-socket"])
    }));
    all.push(case("the folder of another manager's key", KEY, EXPOSES, |scene| {
        let folder = scene.certificates();
        let other = with_own_certificates(scene, Attack::new(scene.keys("")), &folder);
        let attack = Attack::new(scene.mounting(&[&format!("{folder}:/x:ro")]));
        let attack = attack.args(&[&format!("--allow=host-paths={folder}:ro")]).after(other);
        attack.probe(holds(KEY, "/x/key.pem", &scene.token)).allow(&["engine-socket"])
    }));
    all.push(case("a variable of the manager's environment", KEY, always(""), |scene| {
        // Of the task container's it may have every one.
        let folder = scene.folder("conf");
        let app = scene.keys("environment: {FOUND: '${SECRET:-none}'}\n");
        scene.file("conf/compose.yml", &scene.compose(&app, ""));
        let attack = Attack::bare().label("pod.compose.file", "/conf/compose.yml").runs("app");
        let attack = attack.task(&["-v", &format!("{folder}:/conf:ro")]);
        let attack = match scene.kind.placement {
            Placement::Sandbox | Placement::Task => attack,
            Placement::Sibling | Placement::Agent => {
                attack.manager(&["-e", &format!("SECRET={}", scene.token)])
            }
        };
        attack.probe(holds(KEY, "/proc/self/environ", &scene.token)).no_control("the manager is elsewhere")
    }));
    let by_name = "a variable of the manager's environment by its name alone";
    all.push(case(by_name, KEY, always(""), |scene| {
        let folder = scene.folder("conf");
        scene.file("conf/names.env", "SECRET\nFOUND=$SECRET\n");
        let app = scene.keys("environment: [SECRET]\nenv_file: /conf/names.env\n");
        let attack = Attack::new(app).task(&["-v", &format!("{folder}:/conf:ro")]);
        let attack = match scene.kind.placement {
            Placement::Sandbox | Placement::Task => attack,
            Placement::Sibling | Placement::Agent => {
                attack.manager(&["-e", &format!("SECRET={}", scene.token)])
            }
        };
        attack.probe(holds(KEY, "/proc/self/environ", &scene.token)).no_control("the manager is elsewhere")
    }));
    all
}

/// A secret of the task container, named where something else is expected: nothing of it may be repeated.
fn secrets_in_logs() -> Vec<Case> {
    let mut all = Vec::new();
    // A line without `=` is a variable of the task's, of which there is none, and a label without a value.
    const LABEL: [&str; 3] = ["", "", "/run/secrets/app"];
    for (key, said) in [
        ("pod.compose.file", "a Compose file with `services`"),
        ("env_file", "/run/secrets/app"),
        ("label_file", "/run/secrets/app"),
    ] {
        for (name, text) in [("a word", "-- SECRET"), ("a list", "[SECRET, 'x']"), ("no YAML", "{SECRET: [")]
        {
            if name == "a list" && key != "pod.compose.file" {
                continue;
            }
            let said = match (name, key) {
                ("no YAML", "env_file") => always(""),
                ("no YAML", "label_file") => LABEL,
                ("no YAML", _) => always("/run/secrets/app"),
                _ => always(said),
            };
            let found = case(format!("a secret as `{key}`: {name}"), LOG, said, move |scene| {
                let file =
                    scene.file(&unique("secret"), &format!("{}\n", text.replace("SECRET", &scene.token)));
                let attack = match key {
                    "pod.compose.file" => Attack::bare().label(key, "/run/secrets/app").runs("app"),
                    key => Attack::new(scene.keys(&format!("{key}: /run/secrets/app\n"))),
                };
                attack
                    .task(&["-v", &format!("{file}:/run/secrets/app:ro")])
                    .no_control("the log is read in each run")
            });
            all.push(found);
        }
    }
    all
}
