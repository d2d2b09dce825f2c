//! What lies beside, above, below and behind what the operator typed.

use super::super::scene::{data, engine, holds, in_root, same};
use super::super::{Attack, case, simple};
use super::*;

/// The bind is wider than what was typed.
const READ_ONLY: [&str; 3] = ["given read-only", "given read-only", NO_BINDS];
const BELOW: [&str; 3] = ["the mounts below it", "the mounts below it", NO_BINDS];
const SPREADS: [&str; 3] = ["with the propagation `", "with the propagation `", NO_BINDS];

pub(super) fn all() -> Vec<Case> {
    let mut all = around();
    all.extend(wider());
    all.extend(patterns());
    all.extend(data_of_the_engine());
    all
}

/// The operator typed one folder; the definition names another one.
fn around() -> Vec<Case> {
    let mut all = Vec::new();
    let typed = |name: &'static str, typed: &'static str, bound: &'static str, ends_at: &'static str| {
        let by_flag = move |flag: bool| {
            let how = if flag { "a flag" } else { "a mount" };
            let found = case(format!("bind {name} of what {how} gives"), FOLDER, UNTYPED, move |scene| {
                scene.marked("t");
                scene.marked("t/sub");
                scene.marked("tx");
                scene.link("t/link", &scene.path("tx"));
                let attack = Attack::new(scene.mounting(&[&format!("{}:/x", scene.path(bound))]));
                let attack = match flag {
                    true => attack.args(&[&format!("--allow=host-paths={}", scene.path(typed))]),
                    false => attack.task(&["-v", &format!("{}:/t", scene.path(typed))]),
                };
                let probe = match ends_at {
                    "." => same(FOLDER, "/x", &scene.path("")),
                    "file" => holds(FOLDER, "/x", &scene.token),
                    _ => holds(FOLDER, "/x/marker", &scene.token),
                };
                attack.probe(probe).allow(&["host-paths"])
            });
            // What a flag gives lies in the scene's own folder, and is nothing to others.
            Case { simple: flag, ..found }
        };
        let by_mount = ["t/sub", "t/link", "t/../tx"].contains(&bound).then(|| by_flag(false));
        [by_flag(true)].into_iter().chain(by_mount)
    };
    all.extend(typed("the folder below", "t", "t/sub", ""));
    all.extend(typed("a link in it", "t", "t/link", ""));
    all.extend(typed("a file in it", "t", "t/marker", "file"));
    all.extend(typed("the folder above", "t", ".", "."));
    all.extend(typed("`..` out", "t", "t/../tx", ""));
    all.extend(typed("a name that begins alike", "t", "tx", ""));
    all.extend(typed("a name that is cut short", "tx", "t", ""));
    all.push(case("bind what the task has as a volume of the same path", FOLDER, UNTYPED, |scene| {
        let folder = scene.marked("m");
        let device = format!("device={folder}");
        let volume = scene.volume(&["type=none", "o=bind", &device]);
        let attack = Attack::new(scene.mounting(&[&format!("{folder}:/x")]));
        let attack = attack.task(&["-v", &format!("{volume}:/t")]);
        attack.probe(holds(FOLDER, "/x/marker", &scene.token)).allow(&["host-paths"])
    }));
    all.push(case("bind the target of the task's mount as a source", FOLDER, UNTYPED, |scene| {
        // In the task container this is a marked folder; on the host it is the host's own.
        let folder = scene.marked("m");
        let attack = Attack::new(scene.mounting(&["/root:/x"]));
        attack
            .task(&["-v", &format!("{folder}:/root")])
            .probe(same(FOLDER, "/x", "/root"))
            .allow(&["host-paths"])
    }));
    all.push(case("bind what only the manager's container has", FOLDER, UNTYPED, |scene| {
        let folder = scene.marked("m");
        let attack = Attack::new(scene.mounting(&[&format!("{folder}:/x")]));
        let attack = attack.manager(&["-v", &format!("{folder}:/t")]);
        attack.probe(holds(FOLDER, "/x/marker", &scene.token)).allow(&["host-paths"])
    }));
    all.push(case("bind exactly what a flag gives", FOLDER, ["", "", NO_BINDS], |scene| {
        let folder = scene.marked("m");
        let attack = Attack::new(scene.mounting(&[&format!("{folder}:/x")]));
        let attack = attack.args(&[&format!("--allow=host-paths={folder}")]);
        attack.probe(holds(FOLDER, "/x/marker", &scene.token)).given().no_control("the operator typed it")
    }));
    all.push(case(
        "bind exactly what a mount gives, by another spelling",
        FOLDER,
        ["", "", NO_BINDS],
        |scene| {
            let folder = scene.marked("m");
            let attack = Attack::new(scene.mounting(&[&format!("{folder}/../m//./:/x")]));
            let attack = attack.task(&["-v", &format!("{folder}:/t")]);
            attack
                .probe(holds(FOLDER, "/x/marker", &scene.token))
                .given()
                .no_control("the task container has it")
        },
    ));
    all
}

/// The typed path, but writable, with more below it, or spreading.
fn wider() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, flag) in [("a flag", true), ("a mount", false)] {
        all.push(case(format!("write what {name} gives read-only"), FOLDER, READ_ONLY, move |scene| {
            let folder = scene.marked("m");
            let attack = Attack::new(scene.mounting(&[&format!("{folder}:/x")]));
            let attack = match flag {
                true => attack.args(&[&format!("--allow=host-paths={folder}:ro")]),
                false => attack.task(&["-v", &format!("{folder}:/t:ro")]),
            };
            let write = "touch /x/marker && echo 'REACHED host folder'\n";
            attack.probe(write.into()).allow(&["host-paths"])
        }));
        all.push(case(format!("spread what {name} gives"), FOLDER, SPREADS, move |scene| {
            let folder = scene.marked("m");
            let attack = Attack::new(scene.mounting(&[&format!("{folder}:/x:rshared")]));
            let attack = match flag {
                true => attack.args(&[&format!("--allow=host-paths={folder}")]),
                false => attack.task(&["-v", &format!("{folder}:/t")]),
            };
            attack.no_control("it needs a host on which `/` is shared")
        }));
    }
    all.push(case(
        "write what a mount gives read-only, by a long form without `read_only`",
        FOLDER,
        READ_ONLY,
        |scene| {
            let folder = scene.marked("m");
            let keys =
                format!("volumes:\n- {{type: bind, source: {folder}, target: /x, read_only: false}}\n");
            let attack = Attack::new(scene.keys(&keys)).task(&["-v", &format!("{folder}:/t:ro")]);
            let write = "touch /x/marker && echo 'REACHED host folder'\n";
            attack.probe(write.into()).allow(&["host-paths"])
        },
    ));
    all.push(case("see what is mounted below, where the task does not", FOLDER, BELOW, |scene| {
        let (top, hidden) = (scene.folder("m"), scene.marked("hidden"));
        scene.folder("m/sub");
        scene.mount(&hidden, &scene.path("m/sub"));
        let given = format!("type=bind,source={top},target=/t,bind-nonrecursive");
        let attack = Attack::new(scene.mounting(&[&format!("{top}:/x")])).task(&["--mount", &given]);
        attack.probe(holds(FOLDER, "/x/sub/marker", &scene.token)).allow(&["host-paths"])
    }));
    all.push(case("write what is mounted below, as the task can", FOLDER, ["", "", NO_BINDS], |scene| {
        let (top, below) = (scene.folder("m"), scene.marked("below"));
        scene.folder("m/sub");
        scene.mount(&below, &scene.path("m/sub"));
        let attack = Attack::new(scene.mounting(&[&format!("{top}:/x:ro")]));
        let attack = attack.task(&["-v", &format!("{top}:/t:ro")]);
        let write = "touch /x/sub/marker && echo 'REACHED host folder'\n";
        attack.probe(write.into()).given().no_control("the task container has the same")
    }));
    all.push(case("keep what is mounted below a read-only path writable", FOLDER, BELOW, |scene| {
        let folder = scene.marked("m");
        let keys = "read_only: true, bind: {recursive: writable}";
        let attack = Attack::new(
            scene.keys(&format!("volumes:\n- {{type: bind, source: {folder}, target: /x, {keys}}}\n")),
        );
        let attack = attack.args(&[&format!("--allow=host-paths={folder}:ro")]);
        attack.no_control("engines before 25.0 leave it writable by themselves")
    }));
    all.push(case(
        "write a volume that the task has read-only",
        VOLUME,
        ["which the task container has read-only"; 3],
        |scene| {
            let volume = scene.volume(&[]);
            scene.plant(&volume, &format!("echo {} >/v/marker; chmod 666 /v/marker", scene.token));
            let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x")]));
            let attack = attack.task(&["-v", &format!("{volume}:/t:ro")]);
            let write = "echo more >>/x/marker && echo \"REACHED another pod's volume\"\n";
            attack.probe(write.into()).plain(&["-v", &format!("{volume}:/x")])
        },
    ));
    all.push(case("share the task's mounts, read-only ones too", FOLDER, [""; 3], |scene| {
        let folder = scene.marked("m");
        let attack = Attack::new(scene.keys("")).args(&["--volumes"]);
        let attack = attack.task(&["-v", &format!("{folder}:/t:ro")]);
        let write = "touch /t/marker && echo 'REACHED host folder'\n";
        attack.probe(write.into()).no_control("`write what a mount gives read-only` shows it")
    }));
    all
}

/// `--allow host-paths=/x/*`: one name, whichever.
fn patterns() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, bound, said) in [
        ("what is deeper", "t/a/b", UNTYPED),
        ("the folder itself", "t", UNTYPED),
        ("`..`", "t/..", UNTYPED),
        ("`..` behind a name", "t/a/../../other", UNTYPED),
        ("the pattern itself", "t/*", ["", "", NO_BINDS]),
        ("a pattern behind a name", "t/a/*", super::paths::ODD),
    ] {
        all.push(
            simple(format!("bind {name}, of which a flag gives `*`"), FOLDER, said, move |scene| {
                scene.marked("t");
                scene.marked("t/a");
                scene.marked("t/a/b");
                scene.marked("other");
                let attack = Attack::new(scene.mounting(&[&format!("{}:/x", scene.path(bound))]));
                let attack = attack.args(&[&format!("--allow=host-paths={}/*", scene.path("t"))]);
                let attack =
                    attack.probe(format!("[ -d /x ] && {}", holds(FOLDER, "/x/marker", &scene.token)));
                match bound {
                    "t/*" | "t/a/*" => attack.no_control("there is no such path"),
                    "t/.." => attack.no_control("nothing is marked there"),
                    _ => attack.allow(&["host-paths"]),
                }
            })
            .ends(),
        );
    }
    all.push(case("bind a link that a pod left below `*`", FOLDER, ["", "", NO_BINDS], |scene| {
        // Nobody writes there any more; that somebody did before, no path tells.
        scene.folder("t");
        let hidden = scene.marked("hidden");
        scene.link("t/left", &hidden);
        let attack = Attack::new(scene.mounting(&[&format!("{}:/x", scene.path("t/left"))]));
        let attack = attack.args(&[&format!("--allow=host-paths={}/*", scene.path("t"))]);
        attack.probe(holds(FOLDER, "/x/marker", &scene.token)).remains().no_control("the operator typed it")
    }));
    all.push(simple("bind a link below `*`, given the manager read-only", FOLDER, READ_ONLY, |scene| {
        scene.folder("t");
        let hidden = scene.marked("hidden");
        scene.link("t/left", &hidden);
        let attack = Attack::new(scene.mounting(&[&format!("{}:/x", scene.path("t/left"))]));
        let attack = attack.args(&[&format!("--allow=host-paths={}/*:ro", scene.path("t"))]);
        let write = "touch /x/marker && echo 'REACHED host folder'\n";
        attack.probe(write.into()).allow(&["host-paths"])
    }));
    all.push(case("bind what a component may write above, below `*`", FOLDER, EXCHANGES, |scene| {
        let folder = scene.folder("t");
        scene.marked("t/a");
        let attack = Attack::new(scene.mounting(&[&format!("{folder}/a:/x")]));
        let attack = attack.and("writer", scene.mounting(&[&format!("{folder}:/w")]));
        let typed = format!("--allow=host-paths={folder}/*,host-paths={folder}");
        attack.args(&[&typed]).probe(holds(FOLDER, "/x/marker", &scene.token)).allow(&["host-paths"])
    }));
    all.push(case("bind a socket of the host below `*`", ENGINE, EXPOSES, |scene| {
        let attack =
            Attack::new(scene.mounting(&["/run/docker.sock:/x"])).args(&["--allow=host-paths=/run/*"]);
        let attack = attack.probe(engine("/x"));
        match std::path::Path::new("/run/docker.sock").exists() {
            true => attack.allow(&["engine-socket"]),
            false => attack.no_control("this host has it elsewhere"),
        }
    }));
    all
}

/// A source below which somebody could put a link.
pub(super) const EXCHANGES: [&str; 3] =
    ["could put a link in its place", "could put a link in its place", NO_BINDS];

/// What the engine keeps, typed.
fn data_of_the_engine() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, typed, bound, said) in [
        ("by `*`", "*", "containers:/x:ro", UNTYPED),
        ("for writing", "containers", "containers:/x", EXPOSES),
        ("as a whole", "", ":/x:ro", EXPOSES),
        ("with the keys of a Swarm", "swarm", "swarm:/x:ro", EXPOSES),
    ] {
        all.push(case(format!("bind the engine's data, typed, {name}"), VOLUME, said, move |scene| {
            let attack = Attack::new(scene.mounting(&[&in_root(bound).replace("/:/", ":/")]));
            let attack = attack.args(&[&format!("--allow=host-paths={}", in_root(typed))]);
            let path = in_root(bound.split(':').next().unwrap_or_default());
            let attack = attack.probe(same(VOLUME, "/x", &path));
            match std::fs::metadata(&path) {
                Ok(_) => attack.allow(&["host-paths", "engine-socket"]),
                Err(_) => attack.no_control("this engine is in no Swarm"),
            }
        }));
    }
    all.push(case("bind the engine's logs, typed, read-only", VOLUME, ["", "", NO_BINDS], |scene| {
        let attack = Attack::new(scene.mounting(&[&format!("{}:/x:ro", in_root("containers"))]));
        let attack = attack.args(&[&format!("--allow=host-paths={}:ro", in_root("containers"))]);
        attack.probe(same(VOLUME, "/x", &in_root("containers"))).given().no_control("the operator typed it")
    }));
    all.push(case(
        "bind a link in a volume, typed, that a component may exchange",
        FOLDER,
        EXCHANGES,
        |scene| {
            let volume = scene.volume(&[]);
            scene.plant(&volume, "ln -s /etc /v/l");
            let path = format!("{}/l", data(&volume));
            let attack = Attack::new(scene.mounting(&[&format!("{path}:/x:ro")]));
            let attack = attack.and("writer", scene.mounting(&[&format!("{volume}:/v")]));
            let attack = attack
                .task(&["-v", &format!("{volume}:/v")])
                .args(&[&format!("--allow=host-paths={path}:ro")]);
            attack.probe(same(FOLDER, "/x", "/etc")).allow(&["host-paths"])
        },
    ));
    all
}
