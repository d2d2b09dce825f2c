//! Two pods at once, and containers that say they are another pod's.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::scene::{Scene, data, holds, run_stranger};
use super::super::{Attack, Placement, always, case};
use super::*;
use crate::lab::docker::{inspect, try_inspect};
use crate::lab::pod::Pod;
use crate::lab::{LONG, quoted, wait};

/// The pod that binds is refused, or the pod that writes.
const BINDER: [&str; 3] = super::typed::EXCHANGES;
const WRITER: [&str; 3] = ["for writing, and ", "for writing, and ", NO_BINDS];
/// Whichever of them.
const EITHER: [&str; 3] = ["binds `", "binds `", NO_BINDS];

pub(super) fn all() -> Vec<Case> {
    let mut all = exchanges();
    all.extend(in_sight());
    all.extend(adoption());
    all.extend(names());
    all
}

/// How one pod may write above what another one binds.
type Way = (&'static str, fn(&Scene, &str) -> Attack);

/// The folder `t` of the scene, in which `b` is bound; the writer puts a link in its place.
fn ways() -> [Way; 6] {
    [
        ("the folder above", |scene, keys| {
            let folder = scene.path("t");
            let attack = Attack::new(writing(scene, keys, &format!("{folder}:/w")));
            attack.args(&[&format!("--allow=host-paths={folder}")])
        }),
        ("the folder above, from its task", |scene, keys| {
            let folder = scene.path("t");
            let attack = Attack::new(writing(scene, keys, &format!("{folder}:/w")));
            attack.task(&["-v", &format!("{folder}:/t")])
        }),
        ("the folder above, by `--volumes`", |scene, keys| {
            let attack = Attack::new(scene.keys(keys)).args(&["--volumes"]);
            attack.task(&["-v", &format!("{}:/w", scene.path("t"))])
        }),
        ("the folder above, by `*`", |scene, keys| {
            let attack = Attack::new(writing(scene, keys, &format!("{}:/w", scene.path("t"))));
            let above = scene.path("*");
            attack.args(&[&format!("--allow=host-paths={above}")])
        }),
        ("the folder two above", |scene, keys| {
            let above = scene.path(".");
            let attack = Attack::new(writing(scene, &keys.replace("/w", "/w/t"), &format!("{above}:/w")));
            attack.args(&[&format!("--allow=host-paths={above}")])
        }),
        ("a volume that stands for it", |scene, keys| {
            let device = format!("device={}", scene.path("t"));
            let volume = scene.volume(&["type=none", "o=bind", &device]);
            let attack = Attack::new(writing(scene, keys, &format!("{volume}:/w")));
            attack.args(&[&format!("--allow=volumes={volume},host-paths={}", scene.path("t"))])
        }),
    ]
}

/// Exchanges what another pod binds.
fn exchange(scene: &Scene) -> String {
    let to = scene.path("hidden");
    let script = format!("rm -rf /w/b; ln -sfn {to} /w/b; exec sleep infinity");
    format!("command: [sh, -c, {}]\n", quoted(&script))
}

fn writing(scene: &Scene, keys: &str, mount: &str) -> String {
    scene.keys(&format!("{keys}volumes: [{}]\n", quoted(mount)))
}

/// The pod that binds the folder below.
fn binder(scene: &Scene) -> Attack {
    let bound = scene.path("t/b");
    let attack = Attack::new(scene.mounting(&[&format!("{bound}:/x")]));
    let attack = attack.args(&[&format!("--allow=host-paths={bound}")]);
    attack.probe(holds(FOLDER, "/x/marker", &scene.token))
}

fn exchanges() -> Vec<Case> {
    let mut all = Vec::new();
    let place = |scene: &Scene| {
        scene.folder("t");
        scene.folder("t/b");
        scene.marked("hidden");
    };
    for (name, way) in ways() {
        all.push(case(format!("bind below what another pod writes, {name}"), FOLDER, BINDER, move |scene| {
            place(scene);
            binder(scene).after(way(scene, &exchange(scene))).allow(&["host-paths"])
        }));
        if ["the folder above", "the folder above, from its task", "a volume that stands for it"]
            .contains(&name)
        {
            all.push(case(
                format!("write above what another pod binds, {name}"),
                FOLDER,
                WRITER,
                move |scene| {
                    place(scene);
                    // What the link leads to the other pod sees when it starts again.
                    let attack = way(scene, &exchange(scene)).after(binder(scene));
                    attack.no_control("`bind below what another pod writes` shows it")
                },
            ));
        }
        if !["the folder above", "a volume that stands for it"].contains(&name) {
            continue;
        }
        all.push(case(format!("write and bind at once, {name}"), FOLDER, EITHER, move |scene| {
            place(scene);
            let attack = binder(scene).at_once_with(way(scene, &exchange(scene))).late();
            attack.no_control("`bind below what another pod writes` shows it")
        }));
    }
    all.push(case("bind below what the same pod writes", FOLDER, BINDER, move |scene| {
        place(scene);
        let folder = scene.path("t");
        let attack = binder(scene).and("writer", writing(scene, &exchange(scene), &format!("{folder}:/w")));
        let attack = attack.args(&[&format!("--allow=host-paths={folder}")]);
        attack.no_control("`bind below what another pod writes` shows it")
    }));
    all.push(case(
        "bind below what an init component of the same pod writes",
        FOLDER,
        BINDER,
        move |scene| {
            place(scene);
            let folder = scene.path("t");
            let script = format!("rm -rf /w/b; ln -sfn {} /w/b", scene.path("hidden"));
            let init = scene.init(&script, &format!("volumes: ['{folder}:/w']\n"));
            let attack = binder(scene).label("pod.init.components", init);
            let attack = attack.args(&[&format!("--allow=host-paths={folder}")]);
            attack.no_control("`bind below what another pod writes` shows it")
        },
    ));
    all.push(case(
        "bind below what another pod's init component wrote and still may",
        FOLDER,
        BINDER,
        move |scene| {
            place(scene);
            let folder = scene.path("t");
            let script = format!("rm -rf /w/b; ln -sfn {} /w/b", scene.path("hidden"));
            let init = scene.init(&script, &format!("volumes: ['{folder}:/w']\n"));
            let other = Attack::new(scene.keys("")).label("pod.init.components", init);
            let other = other.args(&[&format!("--allow=host-paths={folder}")]);
            binder(scene).after(other).allow(&["host-paths"])
        },
    ));
    all.push(case("rename above what another component binds, all the time", FOLDER, BINDER, move |scene| {
        place(scene);
        let folder = scene.path("t");
        let race = "while :; do mv /w/b /w/c; ln -s / /w/b; rm -f /w/b; mv /w/c /w/b; done";
        let keys = format!("command: [sh, -c, {}]\n", quoted(race));
        let attack = binder(scene).and("writer", writing(scene, &keys, &format!("{folder}:/w")));
        let attack = attack.args(&[&format!("--allow=host-paths={folder}")]);
        attack.no_control("it hits in few of many starts")
    }));
    all.push(case("bind below a volume that another pod writes", FOLDER, BINDER, |scene| {
        let hidden = scene.marked("hidden");
        let volume = scene.volume(&[]);
        scene.plant(&volume, "mkdir /v/b; chmod 777 /v /v/b");
        let bound = format!("{}/b", data(&volume));
        let keys = format!(
            "command: [sh, -c, {}]\n",
            quoted(&format!("rm -rf /w/b; ln -sfn {hidden} /w/b; exec sleep infinity"))
        );
        let other = Attack::new(writing(scene, &keys, &format!("{volume}:/w")));
        let other = other.args(&[&format!("--allow=volumes={volume}")]);
        let attack = Attack::new(scene.mounting(&[&format!("{bound}:/x:ro")]));
        let attack = attack.args(&[&format!("--allow=host-paths={bound}:ro")]).after(other);
        attack.probe(holds(FOLDER, "/x/marker", &scene.token)).allow(&["host-paths"])
    }));
    all.push(case("bind below what another pod only reads", FOLDER, ["", "", NO_BINDS], move |scene| {
        place(scene);
        scene.file("t/b/marker", &scene.token);
        let folder = scene.path("t");
        let other = Attack::new(scene.mounting(&[&format!("{folder}:/w:ro")]));
        let other = other.args(&[&format!("--allow=host-paths={folder}:ro")]);
        binder(scene).after(other).given().no_control("the operator typed it, and nobody exchanges it")
    }));
    all.push(case(
        "bind below what another pod writes by a link of the operator's",
        FOLDER,
        ["", "", NO_BINDS],
        move |scene| {
            // Two names of one folder, typed both: no text tells that they are one.
            place(scene);
            let alias = scene.link("alias", &scene.path("t"));
            let other = Attack::new(writing(scene, &exchange(scene), &format!("{alias}:/w")));
            let other = other.args(&[&format!("--allow=host-paths={alias}")]);
            binder(scene).after(other).remains().no_control("the operator typed the link")
        },
    ));
    all.push(case("the same folder, written by two pods", FOLDER, ["", "", NO_BINDS], move |scene| {
        place(scene);
        scene.file("t/b/marker", &scene.token);
        binder(scene).after(binder(scene)).given().no_control("the operator typed it")
    }));
    all
}

/// Task containers hold only `pause` and the manager, but components may see their processes.
fn in_sight() -> Vec<Case> {
    let of_task = |scene: &Scene| {
        scene.folder("t");
        scene.folder("t/b");
        scene.file("t/b/marker", &scene.token);
        let other = Attack::new(scene.keys("")).task(&["-v", &format!("{}:/t", scene.path("t"))]);
        binder(scene).after(other)
    };
    let seen = case(
        "bind below what another pod's task container writes",
        FOLDER,
        ["", "", NO_BINDS],
        move |scene| of_task(scene).given().no_control("the operator typed it"),
    );
    // The processes of a bare `pause` that runs as root are open to components that are root.
    let of_root =
        case("bind below what another pod's task container writes, as root", FOLDER, BINDER, move |scene| {
            scene.folder("t");
            scene.folder("t/b");
            scene.file("t/b/marker", &scene.token);
            let mount = format!("{}:/t", scene.path("t"));
            let other = Attack::new(scene.keys("")).task(&["-v", &mount, "--user", "0"]);
            binder(scene).after(other).given().no_control("the operator typed it")
        });
    vec![seen.at(Placement::Task, BINDER), of_root.at(Placement::Sandbox, ["", "", NO_BINDS])]
}

/// What the manager finds again after it was killed.
fn adoption() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, form, component) in [
        ("whose name ends right", "evil-POD.podlike.app", "app"),
        ("whose name begins right", "POD.podlike.app-evil", "app"),
        ("for a component that there is not", "POD.podlike.other", "other"),
        ("that says it is the sandbox", "evil-POD.pause", ""),
    ] {
        let goal = CONTAINER;
        all.push(case(
            format!("a stranger {name}, after a crash of the manager"),
            goal,
            always(""),
            move |scene| {
                let stranger = form.replace("POD", &scene.pod);
                scene.removes_container(&stranger);
                let before: Rc<RefCell<Vec<(String, String)>>> = Rc::default();
                let (kept, named) = (Rc::clone(&before), stranger.clone());
                // An agent of its own, since it is killed.
                let attack = Attack::new(scene.keys("")).manager(&["--label=io.tandem.test.crash=yes"]);
                let attack = attack.then(move |pod| {
                    run_stranger(&named, &claims(pod, component));
                    for name in [pod.container("app"), named.clone()] {
                        kept.borrow_mut().push((name.clone(), id(&name)));
                    }
                    pod.crash_manager("KILL");
                    wait("another manager", LONG, || pod.manager_pid());
                    pod.wait_healthy();
                });
                let attack = attack.host(move |pod| {
                    let same = |(name, before): &(String, String)| {
                        try_inspect(name).is_some_and(|now| now["Id"] == **before)
                    };
                    let Some((_, id)) = before.borrow().get(1).cloned() else { return false };
                    let kept = before.borrow().iter().all(same);
                    // Nor does it go with the pod.
                    pod.stop();
                    !kept || !same(&(stranger.clone(), id))
                });
                attack.no_control("no flag lets a stranger in")
            },
        ));
    }
    all
}

fn id(container: &str) -> String {
    inspect(container)["Id"].as_str().expect("an id").to_owned()
}

/// The labels of the pod's own component, said of another one where that is named.
fn claims(pod: &Pod, component: &str) -> Vec<(String, String)> {
    let labels = pod.component("app")["Config"]["Labels"].clone();
    let labels = labels.as_object().expect("labels").clone();
    let claimed = labels.into_iter().filter_map(|(key, value)| {
        let value = value.as_str()?.to_owned();
        match (key.as_str(), component) {
            ("io.tandem.test", _) => None,
            ("io.tandem.component", "") => None,
            ("io.tandem.component", name) => Some((key, name.to_owned())),
            ("io.tandem.role", "") => Some((key, "sandbox".to_owned())),
            _ => Some((key, value)),
        }
    });
    claimed.collect()
}

/// Names that a container of somebody else's has already.
fn names() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, form) in [("a component's", "POD.podlike.app"), ("a sandbox'", "POD.pause")] {
        all.push(case(format!("{name} name that a stranger has"), CONTAINER, always(""), move |scene| {
            let stranger = form.replace("POD", &scene.pod);
            let before = scene.stranger(&stranger, &[]);
            // Nobody waits until the component runs: what runs is the stranger.
            let attack = Attack::bare().label("pod.component.app", scene.keys(""));
            let attack = if form == "POD.pause" { attack.runs("app") } else { attack };
            let attack = attack.host(move |_| try_inspect(&stranger).is_none_or(|now| now["Id"] != *before));
            attack.no_control("no flag gives a stranger's container")
        }));
    }
    for name in ["../victim", ""] {
        let key = format!("pod.component.{name}");
        let shown = format!("the component name `{}`", name.escape_default());
        all.push(case(shown, CONTAINER, always("pod.component"), move |scene| {
            Attack::bare().label(&key, scene.keys("")).no_control("no container has such a name")
        }));
    }
    all.push(case("a component named as another pod's would be", CONTAINER, always(""), |scene| {
        // The pod `a` with `b.podlike.c` and the pod `a.podlike.b` with `c` have containers of one name.
        let stranger = format!("{}.podlike.b.podlike.c", scene.pod);
        let pod = format!("{}.podlike.b", scene.pod);
        let before = scene.stranger(
            &stranger,
            &[("io.tandem.pod".into(), pod), ("io.tandem.role".into(), "component".into())],
        );
        let attack = Attack::bare().label("pod.component.b.podlike.c", scene.keys(""));
        let attack = attack.host(move |_| try_inspect(&stranger).is_none_or(|now| now["Id"] != *before));
        attack.no_control("no flag gives a stranger's container")
    }));
    all
}
