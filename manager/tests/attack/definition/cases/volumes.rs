//! Volumes: what the engine's own driver mounts for them, and whose they are.

use super::super::scene::{Scene, holds, processes, same};
use super::super::{Attack, always, case, simple, volume};
use super::*;
use crate::lab::docker::attempt;
use crate::lab::unique;

/// A volume of a type, or with an option, that is in no list.
const TYPE: &str = "which may show or change the host";
const OPTION: &str = "which is not known to be harmless";
const SERVER: &str = "which is the host itself";

pub(super) fn all() -> Vec<Case> {
    let mut all = types();
    all.extend(remote());
    all.extend(devices());
    all.extend(declared());
    all.extend(foreign());
    all
}

/// The volume is one that the operator named: what it stands for is judged all the same.
fn named(scene: &Scene, options: &[&str]) -> (String, Attack) {
    let volume = scene.volume(options);
    let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x")]));
    let attack = attack.args(&[&format!("--allow=volumes={volume}")]);
    (volume.clone(), attack.plain(&["-v", &format!("{volume}:/x")]))
}

fn types() -> Vec<Case> {
    let mut all = vec![
        volume("a volume of the type `proc`", PROC, always(TYPE), |scene| {
            let (_, attack) = named(scene, &["type=proc", "device=proc"]);
            attack.probe(processes("/x"))
        }),
        case("a volume of the type `proc`, made by the stack", PROC, always(TYPE), |scene| {
            // As `driver_opts` of a stack make it: the task container has it mounted.
            let volume = unique("definition");
            scene.removes_volume(&volume);
            let mount =
                format!("type=volume,source={volume},target=/t,volume-opt=type=proc,volume-opt=device=proc");
            let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x")])).task(&["--mount", &mount]);
            attack.probe(processes("/x")).plain(&["--mount", &mount.replace("/t,", "/x,")])
        }),
        case("a volume of the type `proc` that the stack calls a tmpfs", PROC, always(TYPE), |scene| {
            // The engine keeps the options of a volume that is there, and shows those that were asked for.
            let volume = scene.volume(&["type=proc", "device=proc"]);
            let lie = "volume-opt=type=tmpfs,volume-opt=device=tmpfs";
            let mount = format!("type=volume,source={volume},target=/t,{lie}");
            let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x")])).task(&["--mount", &mount]);
            attack.probe(processes("/x")).plain(&["--mount", &mount.replace("/t,", "/x,")])
        }),
    ];
    for (kind, options, host) in [
        ("sysfs", &["type=sysfs", "device=sysfs", "o=ro"][..], "/sys"),
        ("devtmpfs", &["type=devtmpfs", "device=devtmpfs"], "/dev"),
        ("cgroup", &["type=cgroup", "device=cgroup", "o=pids"], "/sys/fs/cgroup/pids"),
        ("cgroup2", &["type=cgroup2", "device=cgroup2"], "/sys/fs/cgroup/unified"),
        ("mqueue", &["type=mqueue", "device=mqueue"], "/nowhere"),
        ("devpts", &["type=devpts", "device=devpts"], "/nowhere"),
        ("debugfs", &["type=debugfs", "device=debugfs"], "/nowhere"),
        ("tracefs", &["type=tracefs", "device=tracefs"], "/nowhere"),
        ("bpf", &["type=bpf", "device=bpf"], "/nowhere"),
        ("securityfs", &["type=securityfs", "device=securityfs"], "/nowhere"),
        ("9p", &["type=9p", "device=host", "o=trans=virtio"], "/nowhere"),
        ("fuse", &["type=fuse", "device=fuse", "o=fd=3"], "/nowhere"),
        ("ext4", &["type=ext4", "device=/dev/vda"], "/nowhere"),
        ("squashfs", &["type=squashfs", "device=/dev/loop0"], "/nowhere"),
        ("PROC", &["type=PROC", "device=proc"], "/nowhere"),
        (" proc", &["type= proc", "device=proc"], "/nowhere"),
        ("proc\u{200b}", &["type=proc\u{200b}", "device=proc"], "/nowhere"),
    ] {
        let name = format!("a volume of the type `{}`", kind.escape_default());
        all.push(volume(name, KERNEL, always(TYPE), move |scene| {
            let (_, attack) = named(scene, options);
            match std::path::Path::new(host).exists() {
                true => attack.probe(same(KERNEL, "/x", host)),
                false => attack.no_control("`proc` shows it"),
            }
        }));
    }
    all.push(volume("a volume of the type `overlay`", FOLDER, always(TYPE), |scene| {
        let (lower, empty) = (scene.marked("lower"), scene.folder("empty"));
        let (_, attack) =
            named(scene, &["type=overlay", "device=overlay", &format!("o=lowerdir={lower}:{empty}")]);
        attack.probe(holds(FOLDER, "/x/marker", &scene.token))
    }));
    for (name, options) in [
        ("`bind`", &["type=tmpfs", "o=bind"][..]),
        ("`rbind`", &["type=tmpfs", "o=rbind,size=1m"]),
        ("`bind` among others", &["type=tmpfs", "o=size=1m,ro,bind,noexec"]),
        ("`bind` of an nfs", &["type=nfs", "o=addr=192.0.2.1,bind"]),
        ("`bind` of an ext4", &["type=ext4", "o=bind"]),
    ] {
        let said = if options[0] == "type=ext4" { TYPE } else { OPTION };
        all.push(volume(
            format!("a volume that is a bind by the word {name}"),
            FOLDER,
            always(said),
            move |scene| {
                let device = format!("device={}", scene.marked("m"));
                let (_, attack) = named(scene, &[options, &[device.as_str()]].concat());
                attack.probe(holds(FOLDER, "/x/marker", &scene.token))
            },
        ));
    }
    for (name, options, said) in [
        ("a tmpfs with the device `none`", &["type=tmpfs", "device=none"][..], "has the device `none`"),
        ("a tmpfs with `remount`", &["type=tmpfs", "device=tmpfs", "o=remount"], OPTION),
        ("a tmpfs with `shared`", &["type=tmpfs", "device=tmpfs", "o=shared"], OPTION),
        ("a tmpfs with `huge`", &["type=tmpfs", "device=tmpfs", "o=huge=always"], OPTION),
        ("a tmpfs with a label of SELinux", &["type=tmpfs", "device=tmpfs", "o=context=spc_t"], OPTION),
    ] {
        all.push(volume(format!("a volume that is {name}"), KERNEL, always(said), move |scene| {
            let (_, attack) = named(scene, options);
            attack.no_control("what it changes is no file of the host")
        }));
    }
    all.push(volume("a volume that is a tmpfs of an ordinary kind", KERNEL, always(""), |scene| {
        let (_, attack) = named(scene, &["type=tmpfs", "device=tmpfs", "o=size=1m,mode=0777,nosuid"]);
        attack.probe(same(KERNEL, "/x", "/tmp")).no_control("it is memory of its own")
    }));
    all
}

/// Servers: the engine's host mounts them, from its own network.
fn remote() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, options, said) in [
        ("nfs at loopback", &["type=nfs", "device=:/x", "o=addr=127.0.0.1,port=PORT"][..], SERVER),
        ("nfs at `127.1`", &["type=nfs", "device=:/x", "o=addr=127.1,port=PORT"], SERVER),
        ("nfs at a decimal address", &["type=nfs", "device=:/x", "o=addr=2130706433"], SERVER),
        ("nfs at `localhost`", &["type=nfs", "device=:/x", "o=addr=localhost"], SERVER),
        ("nfs at `0.0.0.0`", &["type=nfs", "device=:/x", "o=addr=0.0.0.0"], SERVER),
        ("nfs at `::1`", &["type=nfs4", "device=[::1]:/x", "o=addr=::1"], SERVER),
        ("nfs at a mapped address", &["type=nfs4", "device=:/x", "o=addr=::ffff:127.0.0.1"], SERVER),
        ("nfs at the metadata address", &["type=nfs", "device=:/x", "o=addr=169.254.169.254"], SERVER),
        ("nfs at two addresses", &["type=nfs", "device=:/x", "o=addr=192.0.2.1,addr=127.0.0.1"], SERVER),
        ("nfs without an address", &["type=nfs", "device=127.0.0.1:/x", "o=ro"], SERVER),
        ("nfs with `mountaddr`", &["type=nfs", "device=:/x", "o=addr=192.0.2.1,mountaddr=127.0.0.1"], OPTION),
        (
            "nfs with `clientaddr`",
            &["type=nfs4", "device=:/x", "o=addr=192.0.2.1,clientaddr=127.0.0.1"],
            OPTION,
        ),
        ("nfs with the host's keys", &["type=nfs4", "device=:/x", "o=addr=192.0.2.1,sec=krb5"], OPTION),
        ("nfs with the host's cache", &["type=nfs4", "device=:/x", "o=addr=192.0.2.1,fsc"], OPTION),
        (
            "nfs with another `source`",
            &["type=nfs4", "device=:/x", "o=addr=192.0.2.1,source=127.0.0.1:/x"],
            OPTION,
        ),
        ("cifs at loopback", &["type=cifs", "device=//127.0.0.1/x", "o=username=a,password=b"], SERVER),
        ("cifs at loopback by `ip`", &["type=cifs", "device=//192.0.2.1/x", "o=ip=127.0.0.1"], SERVER),
        (
            "cifs at loopback by a second address",
            &["type=cifs", "device=//192.0.2.1/x", "o=ip=192.0.2.1,addr=127.0.0.1"],
            SERVER,
        ),
        (
            "cifs at loopback with other slashes",
            &["type=cifs", "device=\\\\127.0.0.1\\x", "o=username=a"],
            SERVER,
        ),
        (
            "cifs with `credentials`",
            &["type=cifs", "device=//192.0.2.1/x", "o=credentials=/etc/shadow"],
            OPTION,
        ),
        ("cifs with `cred`", &["type=cifs", "device=//192.0.2.1/x", "o=cred=/etc/shadow"], OPTION),
        (
            "cifs with the keys of a user",
            &["type=cifs", "device=//192.0.2.1/x", "o=sec=krb5,cruid=0"],
            OPTION,
        ),
        ("cifs with `multiuser`", &["type=cifs", "device=//192.0.2.1/x", "o=multiuser"], OPTION),
        (
            "cifs with another `source`",
            &["type=cifs", "device=//192.0.2.1/x", "o=source=//127.0.0.1/x"],
            OPTION,
        ),
        ("cifs with `unc`", &["type=cifs", "device=//192.0.2.1/x", "o=unc=//127.0.0.1/x"], OPTION),
        ("smb3 with `rootfs`", &["type=smb3", "device=//192.0.2.1/x", "o=rootfs"], OPTION),
    ] {
        all.push(volume(format!("a volume of {name}"), PORT, always(said), move |scene| {
            let (port, heard) = scene.tcp();
            let options: Vec<String> =
                options.iter().map(|option| option.replace("PORT", &port.to_string())).collect();
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let (_, attack) = named(scene, &options);
            attack.host(move |_| heard.any()).no_control("the kernel of this host has no such file system")
        }));
    }
    all
}

/// `type=none` with `o=bind`: a bind of its device.
fn devices() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, device, said) in [
        ("`/etc`", "/etc", UNTYPED),
        ("`etc`, from the engine's working directory", "etc", UNTYPED),
        ("the engine's root", "/var/lib/docker", EXPOSES),
        ("the sockets", "/run", EXPOSES),
        ("the whole host", "/", EXPOSES),
        ("the terminals", "/dev/pts", UNTYPED),
    ] {
        all.push(volume(format!("a volume that stands for {name}"), FOLDER, said, move |scene| {
            let (_, attack) = named(scene, &["type=none", "o=bind", &format!("device={device}")]);
            let host = format!("/{}", device.trim_start_matches('/'));
            attack.probe(same(FOLDER, "/x", &host))
        }));
    }
    for (name, device) in [
        ("`..`", "/srv/../etc"),
        ("`..` behind a link", "/proc/self/cwd/../etc"),
        ("`//`", "//etc"),
        ("`.`", "./etc"),
    ] {
        // The kernel follows links before `..`: what such a path is cannot be told.
        let said = if name == "`//`" { UNTYPED } else { always("valid is a device without") };
        all.push(volume(
            format!("a volume that stands for a path with {name}"),
            FOLDER,
            said,
            move |scene| {
                let (_, attack) = named(scene, &["type=none", "o=bind", &format!("device={device}")]);
                attack.probe(same(FOLDER, "/x", "/etc"))
            },
        ));
    }
    for (name, option) in [("a type of another name", "type=ext4"), ("no type", "type=")] {
        let said = if option == "type=" { UNTYPED } else { always(TYPE) };
        all.push(volume(
            format!("a volume that stands for a marked folder under {name}"),
            FOLDER,
            said,
            move |scene| {
                let device = format!("device={}", scene.marked("m"));
                let (_, attack) = named(scene, &[option, "o=bind", &device]);
                attack.probe(holds(FOLDER, "/x/marker", &scene.token))
            },
        ));
    }
    all.push(case(
        "a volume that stands for `/etc`, made by the stack",
        FOLDER,
        ["", "", NO_BINDS],
        |scene| {
            let volume = unique("definition");
            scene.removes_volume(&volume);
            let options = "volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/etc";
            let mount = format!("type=volume,source={volume},target=/t,{options}");
            let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x")])).task(&["--mount", &mount]);
            attack.probe(same(FOLDER, "/x", "/etc")).given().no_control("the task container has it")
        },
    ));
    all.push(case("a volume that stands for the sockets, made by the stack", OTHER, EXPOSES, |scene| {
        let volume = unique("definition");
        scene.removes_volume(&volume);
        let options = "volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/run";
        let mount = format!("type=volume,source={volume},target=/t,{options}");
        let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x")])).task(&["--mount", &mount]);
        attack.probe(same(OTHER, "/x", "/run")).plain(&["--mount", &mount.replace("/t,", "/x,")])
    }));
    let shared = case("a volume that stands for the sockets, shared with all", OTHER, always(""), |scene| {
        let volume = scene.volume(&["type=none", "o=bind", "device=/run"]);
        let attack = Attack::new(scene.keys("")).args(&["--volumes"]).task(&["-v", &format!("{volume}:/t")]);
        attack.probe(same(OTHER, "/t", "/run")).plain(&["-v", &format!("{volume}:/t")])
    });
    all.push(shared.outside(always("only the manager's own container may have it")));
    all.push(case("a volume of the type `proc`, shared with all", PROC, always(""), |scene| {
        let volume = scene.volume(&["type=proc", "device=proc"]);
        let attack = Attack::new(scene.keys("")).args(&["--volumes"]).task(&["-v", &format!("{volume}:/t")]);
        attack.probe(processes("/t")).plain(&["-v", &format!("{volume}:/t")])
    }));
    all
}

/// A definition makes no volume in a way of its own.
fn declared() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, keys) in [
        ("driver options", "driver_opts: {type: none, o: bind, device: /etc}"),
        ("a foreign driver", "driver: local-persist\n    driver_opts: {mountpoint: /etc}"),
    ] {
        let said = always("a pod makes no volume in a way of its own");
        all.push(case(
            format!("a Compose file that declares a volume with {name}"),
            FOLDER,
            said,
            move |scene| {
                let folder = scene.folder("conf");
                let file =
                    scene.compose(&scene.mounting(&["v:/x"]), &format!("volumes:\n  v:\n    {keys}\n"));
                scene.file("conf/compose.yml", &file);
                let attack = Attack::bare().label("pod.compose.file", "/conf/compose.yml").runs("app");
                let attack = attack.task(&["-v", &format!("{folder}:/conf:ro")]);
                attack.no_control("nobody makes the volume")
            },
        ));
    }
    all.push(case("a Compose file that calls a foreign volume its own", VOLUME, always(NAME_IT), |scene| {
        let volume = marked(scene, &[]);
        let folder = scene.folder("conf");
        let more = format!("volumes: {{v: {{external: true, name: {volume}}}}}\n");
        scene.file("conf/compose.yml", &scene.compose(&scene.mounting(&["v:/x"]), &more));
        let attack = Attack::bare().label("pod.compose.file", "/conf/compose.yml").runs("app");
        let attack = attack.task(&["-v", &format!("{folder}:/conf:ro")]);
        let probe = holds(VOLUME, "/x/marker", &scene.token);
        attack.probe(probe).allow(&[&format!("volumes={volume}")])
    }));
    for (name, keys) in [
        ("`volume_driver`", "volume_driver: local-persist\nvolumes: ['v:/x']"),
        ("`volumes_from`", "volumes_from: ['container:other']"),
        (
            "labels of its own",
            "volumes: [{type: volume, source: v, target: /x, volume: {labels: {io.tandem.owner: a}}}]",
        ),
    ] {
        all.push(simple(
            format!("a component with {name}"),
            VOLUME,
            always("pod.component.app"),
            move |scene| {
                Attack::new(scene.keys(&format!("{keys}\n"))).no_control("the key is refused as it is")
            },
        ));
    }
    all
}

/// A volume of somebody else's, with a marked file in it.
fn marked(scene: &Scene, labels: &[&str]) -> String {
    let name = unique("otherstack_db");
    scene.volume_with(&name, &[], labels);
    scene.plant(&name, &format!("echo {} >/v/marker; chmod 644 /v/marker", scene.token));
    name
}

/// Volumes that are not the pod's.
fn foreign() -> Vec<Case> {
    let mut all = Vec::new();
    let reads = |scene: &Scene, volume: &str| {
        let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x")]));
        let attack = attack.probe(holds(VOLUME, "/x/marker", &scene.token));
        attack.allow(&[&format!("volumes={volume}")])
    };
    for (name, label) in [
        ("without labels", ""),
        ("of another owner", "io.tandem.owner=service:shop_web"),
        ("of a stack", "com.docker.stack.namespace=otherstack"),
        ("of a Compose project", "com.docker.compose.project=otherstack"),
    ] {
        all.push(volume(format!("a foreign volume {name}"), VOLUME, always(NAME_IT), move |scene| {
            let labels: Vec<&str> = [label].into_iter().filter(|label| !label.is_empty()).collect();
            let volume = marked(scene, &labels);
            reads(scene, &volume)
        }));
    }
    all.push(volume("a foreign volume, read-only", VOLUME, always(NAME_IT), move |scene| {
        let volume = marked(scene, &[]);
        let attack = Attack::new(scene.mounting(&[&format!("{volume}:/x:ro,nocopy")]));
        let attack = attack.probe(holds(VOLUME, "/x/marker", &scene.token));
        attack.allow(&[&format!("volumes={volume}")])
    }));
    all.push(case(
        "a foreign volume that the stack says is its own",
        VOLUME,
        always(NAME_IT),
        move |scene| {
            // Whoever makes a stack writes labels of volumes too: the pod's owner, beside the stack's name.
            let name = format!("{}.podlike.db", scene.pod);
            let owner = format!("io.tandem.owner=container:{}", scene.pod);
            scene.volume_with(&name, &[], &[&owner, "com.docker.stack.namespace=other"]);
            scene.plant(&name, &format!("echo {} >/v/marker; chmod 644 /v/marker", scene.token));
            let attack =
                Attack::new(scene.mounting(&["db:/x"])).probe(holds(VOLUME, "/x/marker", &scene.token));
            attack.no_control("`a foreign volume without labels` shows it")
        },
    ));
    all.push(volume("another pod's own volume, by its full name", VOLUME, always(NAME_IT), move |scene| {
        let name = format!("{}.podlike.db", unique("shop"));
        scene.volume_with(&name, &[], &["io.tandem.owner=service:shop"]);
        scene.plant(&name, &format!("echo {} >/v/marker; chmod 644 /v/marker", scene.token));
        reads(scene, &name)
    }));
    all.push(case("the volume of a pod whose name begins alike", VOLUME, always(NAME_IT), move |scene| {
        // `a` calls `b.podlike.db` what `a.podlike.b` calls `db`.
        let name = format!("{}.podlike.b.podlike.db", scene.pod);
        let owner = format!("io.tandem.owner=container:{}.podlike.b", scene.pod);
        scene.volume_with(&name, &[], &[&owner]);
        scene.plant(&name, &format!("echo {} >/v/marker; chmod 644 /v/marker", scene.token));
        let attack = Attack::new(scene.mounting(&["b.podlike.db:/x"]));
        let attack = attack.probe(holds(VOLUME, "/x/marker", &scene.token));
        attack.no_control("`another pod's own volume` shows it")
    }));
    for (name, labels, owner) in [
        (
            "a Swarm service",
            &[
                "com.docker.swarm.service.name=VICTIM",
                "com.docker.swarm.task.id=t",
                "com.docker.swarm.node.id=n",
            ][..],
            "service:VICTIM",
        ),
        (
            "a Compose project",
            &[
                "com.docker.compose.project=VICTIM",
                "com.docker.compose.service=web",
                "com.docker.compose.container-number=1",
            ],
            "project:VICTIM/web",
        ),
    ] {
        all.push(case(
            format!("a pod whose labels say that it is of {name}"),
            VOLUME,
            always(""),
            move |scene| {
                let victim = unique("victim");
                for volume in [
                    format!("{victim}.podlike.db"),
                    format!("{victim}-web.podlike.db"),
                    format!("{victim}_db"),
                ] {
                    let owner = format!("io.tandem.owner={}", owner.replace("VICTIM", &victim));
                    scene.volume_with(&volume, &[], &[&owner]);
                    scene.plant(&volume, &format!("echo {} >/v/marker; chmod 644 /v/marker", scene.token));
                }
                let mut attack = Attack::new(scene.mounting(&["db:/x"]));
                for label in labels {
                    attack = attack.task(&["--label", &label.replace("VICTIM", &victim)]);
                }
                let attack = attack.probe(holds(VOLUME, "/x/marker", &scene.token));
                attack.no_control("`another pod's own volume` shows it")
            },
        ));
    }
    all.push(volume("the name of a volume that is to come", VOLUME, always(""), |scene| {
        // Were it made under this name, the stack that comes later would take it for its own.
        let name = unique("otherstack_db");
        scene.removes_volume(&name);
        let look = name.clone();
        let attack = Attack::new(scene.mounting(&[&format!("{name}:/x")]));
        let attack = attack.host(move |_| attempt(&["volume", "inspect", &look]).status == 0);
        attack.no_control("nobody is to make it")
    }));
    all.push(volume("a volume under the name of another pod's to come", VOLUME, always(""), |scene| {
        let victim = unique("victim");
        let name = format!("{victim}.podlike.db");
        scene.removes_volume(&name);
        let look = name.clone();
        let attack = Attack::new(scene.mounting(&[&format!("{name}:/x")]));
        let attack = attack.host(move |_| attempt(&["volume", "inspect", &look]).status == 0);
        attack.no_control("nobody is to make it")
    }));
    for (name, said) in [
        ("a/../b", "pod.component.app"),
        ("..", "pod.component.app"),
        (".hidden", "pod.component.app"),
        ("a:b:c:d", "pod.component.app"),
        ("io.tandem.owner=x", ""),
    ] {
        let shown = name.escape_default();
        all.push(
            simple(format!("a volume with the name `{shown}`"), VOLUME, always(said), move |scene| {
                Attack::new(scene.mounting(&[&format!("{name}:/x")]))
                    .no_control("the engine takes no such name")
            })
            .ends(),
        );
    }
    all
}
