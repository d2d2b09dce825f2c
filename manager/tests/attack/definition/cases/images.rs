//! Images: where they come from, and what they say of themselves.

use super::super::scene::{Scene, same};
use super::super::{Attack, always, case, simple};
use super::*;
use crate::lab::docker::{attempt, docker};
use crate::lab::{manager_image, unique};

const LOCAL: &str = "--allow local-registries";
const LISTED: &str = "--registries";

pub(super) fn all() -> Vec<Case> {
    let mut all = registries();
    all.extend(lists());
    all.extend(labels());
    all.extend(users());
    all.extend(rest());
    all
}

/// A component of this image, with more keys.
fn of(scene: &Scene, image: &str, more: &str) -> Attack {
    Attack::new(scene.keys(&format!("image: {}\n{more}", crate::lab::quoted(image))))
}

/// The engine asks a registry from the host's own network.
fn registries() -> Vec<Case> {
    let mut all = Vec::new();
    for (host, works) in [
        ("127.0.0.1:PORT", true),
        ("127.8.9.1:PORT", false),
        ("0.0.0.0:PORT", true),
        ("0.1.2.3:PORT", false),
        ("localhost:PORT", true),
        ("LOCALHOST:PORT", false),
        ("x.localhost:PORT", false),
        ("localhost.:PORT", false),
        ("localhost.localdomain:PORT", false),
        ("127.1:PORT", false),
        ("0:PORT", false),
        ("2130706433:PORT", false),
        ("0x7f000001:PORT", false),
        ("0x7f.1:PORT", false),
        ("0177.0.0.1:PORT", false),
        ("127.0.0.1.:PORT", false),
        ("[::1]:PORT", false),
        ("[::]:PORT", false),
        ("[0:0:0:0:0:0:0:1]:PORT", false),
        ("[::ffff:127.0.0.1]:PORT", false),
        ("[::ffff:7f00:1]:PORT", false),
        ("[64:ff9b::7f00:1]:PORT", false),
        ("[fe80::1]:PORT", false),
        ("169.254.169.254", false),
        ("168.63.129.16", false),
        ("100.100.100.200", false),
        ("metadata.google.internal", false),
        ("host.docker.internal:PORT", false),
        ("NODE:PORT", false),
        // In capitals, a host needs neither a dot nor a port.
        ("NODE", false),
        ("127.0.0.1:PORT/", false),
    ] {
        all.push(simple(format!("an image of `{host}`"), PORT, always(LOCAL), move |scene| {
            let (port, heard) = scene.tcp();
            let node = docker(&["info", "--format", "{{.Name}}"]).text();
            let node = if host == "NODE" { node.to_uppercase() } else { node };
            let image = format!("{}/tandem-test/{}:1", host.replace("NODE", &node), unique("none"));
            // Where the name were to pass, nobody but this machine is asked.
            let never = if works { "" } else { "pull_policy: never\n" };
            let attack = of(scene, &image.replace("PORT", &port.to_string()), never);
            let attack = attack.host(move |_| heard.any());
            match works {
                true => attack.allow(&["local-registries"]),
                false => attack.no_control("`an image of 127.0.0.1` shows it"),
            }
        }));
    }
    all.push(simple("an image of loopback by its digest", PORT, always(LOCAL), |scene| {
        let (port, heard) = scene.tcp();
        let image = format!("127.0.0.1:{port}/tandem-test/none@sha256:{}", "0".repeat(64));
        of(scene, &image, "").host(move |_| heard.any()).allow(&["local-registries"])
    }));
    all.push(case("an image of loopback in an init component", PORT, always(LOCAL), |scene| {
        let (port, heard) = scene.tcp();
        let init = scene.init("true", &format!("image: 127.0.0.1:{port}/tandem-test/none:1\n"));
        let attack = Attack::new(scene.keys("")).label("pod.init.components", init);
        attack.host(move |_| heard.any()).allow(&["local-registries"])
    }));
    // No engine takes these for a name: nobody is asked.
    const NO_NAME: [&str; 3] = ["", LISTED, LISTED];
    for (image, said) in [
        ("user:pass@127.0.0.1:PORT/x", NO_NAME),
        ("http://127.0.0.1:PORT/x", NO_NAME),
        ("127\u{3002}0\u{3002}0\u{3002}1:PORT/x", NO_NAME),
        ("docker.io/../127.0.0.1:PORT/x", always("")),
        (" 127.0.0.1:PORT/x", always("valid is the name of an image")),
    ] {
        all.push(
            simple(format!("an image `{}`", image.escape_default()), PORT, said, move |scene| {
                let (port, heard) = scene.tcp();
                let attack = of(scene, &image.replace("PORT", &port.to_string()), "");
                attack.host(move |_| heard.any()).no_control("the engine takes it for no name")
            })
            .ends(),
        );
    }
    all
}

/// `--registries`, and where `baseline` lets images come from.
fn lists() -> Vec<Case> {
    let mut all = Vec::new();
    for image in ["ghcr.io/x/y:1", "registry.example.com:443/x:1"] {
        all.push(
            simple(format!("an image of `{image}`"), PORT, ["", LISTED, LISTED], move |scene| {
                of(scene, image, "pull_policy: never\n").no_control("nobody is to be asked")
            })
            .ends(),
        );
    }
    for (name, image) in [
        ("whose path begins alike", "docker.io/tandem-testing/x:1"),
        ("whose host is in its path", "example.com/docker.io/tandem-test/x:1"),
    ] {
        all.push(case(
            format!("an image {name}, where registries are listed"),
            PORT,
            always(LISTED),
            move |scene| {
                let attack =
                    of(scene, image, "pull_policy: never\n").args(&["--registries=docker.io/tandem-test"]);
                attack.no_control("nobody is to be asked")
            },
        ));
    }
    all
}

/// Labels of the image, which the engine gives to its containers.
fn labels() -> Vec<Case> {
    let mut all = Vec::new();
    all.push(case(
        "an image with the labels of Compose, Swarm, Tandem and an agent",
        CONTAINER,
        always(""),
        |scene| {
            let victim = unique("victim");
            let labels: Vec<String> = [
                "com.docker.compose.project=VICTIM",
                "com.docker.compose.service=web",
                "com.docker.compose.oneoff=False",
                "com.docker.swarm.service.name=VICTIM",
                "com.docker.swarm.task.id=VICTIM",
                "com.docker.stack.namespace=VICTIM",
                "io.tandem.pod=VICTIM",
                "io.tandem.role=component",
                "io.tandem.component=app",
                "io.tandem.owner=VICTIM",
                "pod.manager=agent",
            ]
            .iter()
            .map(|label| label.replace("VICTIM", &victim))
            .collect();
            let lines: Vec<String> = labels.iter().map(|label| format!("LABEL {label}")).collect();
            let image = scene.image(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            let attack = of(scene, &image, "").host(move |_| {
                labels.iter().filter(|label| label.contains(&victim)).any(|label| {
                    !attempt(&["ps", "-aq", "--filter", &format!("label={label}")]).text().is_empty()
                })
            });
            attack.no_control("the engine gives an image's labels to every container")
        },
    ));
    all.push(case("an image with the labels of a tool", CONTAINER, always(""), |scene| {
        let image = scene.image(&["LABEL traefik.enable=victim"]);
        let pod = format!("name={}.podlike.app", scene.pod);
        let restricted = scene.kind.level == super::super::Level::Restricted;
        let attack = of(scene, &image, "").host(move |_| {
            let said = attempt(&["ps", "-aq", "--filter", "label=traefik.enable=victim", "--filter", &pod]);
            restricted && !said.text().is_empty()
        });
        attack.no_control("under `default` a component may have it by its own labels")
    }));
    all
}

/// Whom the image runs as.
fn users() -> Vec<Case> {
    let mut all = Vec::new();
    for (user, control) in [("games", "control `runAsNonRoot`"), ("0:1000", "control `runAsUser`")] {
        all.push(case(format!("an image of the user `{user}`"), RIGHTS, ["", "", control], move |scene| {
            let image = scene.image(&[&format!("USER {user}")]);
            let keys = scene.keys(&format!("image: '{image}'\n")).replace("user: '1000'\n", "");
            Attack::new(keys).late().no_control("a user of a container is nobody on the host")
        }));
    }
    all.push(case("an image of the user `1000`", RIGHTS, always(""), |scene| {
        let image = scene.image(&["USER 1000"]);
        let keys = scene.keys(&format!("image: '{image}'\n")).replace("user: '1000'\n", "");
        Attack::new(keys).no_control("it is what is asked for")
    }));
    all
}

/// Volumes, health checks, working directories, and images of Tandem's own.
fn rest() -> Vec<Case> {
    let mut all = Vec::new();
    all.push(case(
        "an image with a health check, volumes at the sockets and a variable for the engine's client",
        OTHER,
        always(""),
        |scene| {
            let image = scene.image(&[
                "VOLUME /run/docker /var/run/docker.sock",
                "HEALTHCHECK --interval=1s CMD cat /run/docker.sock",
                "ENV DOCKER_HOST=tcp://127.0.0.1:2375",
            ]);
            let attack = of(scene, &image, "").probe(same(OTHER, "/run/docker", "/run/docker"));
            attack.no_control("a volume of an image is empty")
        },
    ));
    for place in ["/proc/evil", "/dev/pts"] {
        let said = always("the image has a volume at");
        all.push(case(format!("an image with a volume at `{place}`"), KERNEL, said, move |scene| {
            let image = scene.image(&[&format!("VOLUME {place}")]);
            of(scene, &image, "").late().no_control("a volume of an image is empty")
        }));
    }
    all.push(case("an image whose working directory is `/proc/self/fd/8`", FOLDER, always(""), |scene| {
        let image = scene.image(&["WORKDIR /proc/self/fd/8"]);
        let attack = of(scene, &image, "").probe(same(FOLDER, "../../../../../../../../..", "/"));
        attack.no_control("runc from 1.1.12 on refuses it, as Debian's does")
    }));
    all.push(case("the manager's own image as a component", ENGINE, always(""), |scene| {
        // An agent in a component would run pods, had it the socket.
        let keys = scene.keys(&format!(
            "image: '{}'\nentrypoint: [/pause, --, /manager, agent]\ncommand: [--name, evil]\n",
            manager_image()
        ));
        // `pause` looks after nobody where it is not PID 1.
        let attack = Attack::new(keys)
            .args(&["--pids=false"])
            .host(|_| !attempt(&["ps", "-aq", "--filter", "name=tandem-agent.evil"]).text().is_empty());
        attack.no_control("it has no socket")
    }));
    all
}
