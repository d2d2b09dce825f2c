//! Ways to the engine that a mount would open.
//!
//! No component may reach the engine. What a host path leads to is judged by its text, and by what the task
//! container has mounted: links and other namespaces of the host cannot be seen from here.

use super::values::{tidy_path, within};
use crate::pod::spec::MountSource;
use crate::pod::task::{TaskContainer, TaskMount};

/// Sockets that give their holder the host, where engines put them. containerd's is the engine's back door.
const KNOWN: &[&str] =
    &["/run/docker.sock", "/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock"];

/// Folders in which everything is an engine's own, and as good as its socket: Swarm's `control.sock`, the sockets of
/// plugins and of the processes between containerd and its containers, runc's account of every container.
const FOLDERS: &[&str] = &["/run/containerd", "/run/docker", "/run/podman"];

/// The same of engines without root, beside their user's socket in `/run/user/UID`.
const OF_A_USER: &[&str] =
    &["containerd", "containerd-rootless", "docker", "docker.sock", "dockerd-rootless", "podman"];

/// Where the engine's sockets are, as far as can be seen.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    /// Paths on the host.
    paths: Vec<String>,
    /// Folders of the host that are doors with all that is in them.
    folders: Vec<String>,
    /// Volumes that hold one.
    volumes: Vec<String>,
}

impl Doors {
    /// The doors of the host of `task`, where the manager reaches the engine at `host_socket`.
    pub(super) fn of(task: &TaskContainer, host_socket: Option<&str>) -> Doors {
        let listed = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let (mut paths, mut folders) = (listed(KNOWN), listed(FOLDERS));
        if let Some(socket) = host_socket.and_then(tidy_path) {
            // Where `docker/` is the engine's, the rest of it is too.
            let folder = socket.rsplit_once('/').map(|(folder, _)| aliased(folder));
            folders.extend(folder.filter(|folder| folder.ends_with("/docker")));
            paths.push(socket);
        }
        // What stands where a socket is looked for is one, whatever it is called on the host.
        let known = |mount: &&TaskMount| {
            tidy_path(&mount.target).is_some_and(|target| {
                let target = aliased(&target);
                KNOWN.contains(&target.as_str()) || FOLDERS.iter().any(|folder| within(&target, folder))
            })
        };
        let standing = task.mounts.iter().filter(known).filter_map(|mount| tidy_path(&mount.source));
        // A source that is unknown (`/` stands for nothing here) would make everything a door.
        let standing: Vec<String> = standing.filter(|path| path != "/").collect();
        paths.retain(|path| path != "/");
        folders.extend(standing.iter().map(|path| aliased(path)));
        paths.extend(standing);
        let mut doors = Doors { paths, folders, volumes: Vec::new() };
        let holds = |mount: &TaskMount| {
            let folder = tidy_path(&mount.source)?;
            let volume = mount.volume.clone()?;
            let bound = mount.device.as_deref().is_some_and(|device| doors.behind_path(device).is_some());
            (bound || doors.paths.iter().any(|door| within(door, &folder))).then_some(volume)
        };
        doors.volumes = task.mounts.iter().filter_map(holds).collect();
        doors
    }

    /// Why this source must not be mounted; `None` where it may.
    pub(super) fn behind(&self, source: &MountSource) -> Option<&'static str> {
        match source {
            MountSource::Bind { path, .. } => self.behind_path(path),
            MountSource::Volume { name: Some(name), .. } if self.volumes.contains(name) => {
                Some("holds the engine's socket")
            }
            MountSource::Volume { .. } | MountSource::Scratch(_) | MountSource::Tmpfs { .. } => None,
        }
    }

    /// A mount of the task container leads to a door.
    pub(super) fn held_by(&self, mount: &TaskMount) -> bool {
        mount.volume.as_ref().is_some_and(|volume| self.volumes.contains(volume))
            || self.behind_path(&mount.source).is_some()
    }

    /// Why this path of the host must not be mounted; `None` where it may.
    pub(super) fn behind_path(&self, path: &str) -> Option<&'static str> {
        let path = tidy_path(path)?;
        // The root file system of every process is below /proc, that of the manager among them.
        if path == "/proc" || process_folder(&path) {
            return Some("shows the processes that hold the engine's socket");
        }
        let alias = aliased(&path);
        let hit = self.paths.iter().any(|door| {
            within(door, &path) || within(&aliased(door), &alias) || within(&unaliased(door), &path)
        });
        match hit {
            true if self.paths.iter().any(|door| aliased(door) == alias) => Some("is the engine's socket"),
            true => Some("contains the engine's socket"),
            false if self.in_a_folder(&alias) => Some("belongs to a container engine"),
            false => None,
        }
    }

    fn in_a_folder(&self, path: &str) -> bool {
        // Volumes may be mounted by name, and so by path.
        let own = |folder: &String| within(path, folder) && !within(path, &format!("{folder}/volumes"));
        of_a_user(path) || self.folders.iter().any(own)
    }
}

/// `/run/user/UID/docker` and the like, or what is in it.
fn of_a_user(path: &str) -> bool {
    within(path, "/run/user") && path.split('/').nth(4).is_some_and(|word| OF_A_USER.contains(&word))
}

/// `/var/run` is a link to `/run` everywhere that matters.
fn aliased(path: &str) -> String {
    if within(path, "/var/run") { path["/var".len()..].to_owned() } else { path.to_owned() }
}

/// The other way round, for hosts where `/var/run` is no link: then `/var` contains what is in it.
fn unaliased(path: &str) -> String {
    if within(path, "/run") { format!("/var{path}") } else { path.to_owned() }
}

fn process_folder(path: &str) -> bool {
    path.strip_prefix("/proc/").and_then(|rest| rest.split('/').next()).is_some_and(|name| {
        matches!(name, "self" | "thread-self") || name.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &str) -> MountSource {
        MountSource::bind(path)
    }

    fn task(mounts: &[(&str, &str, &str)]) -> TaskContainer {
        let mount = |(volume, source, target): &(&str, &str, &str)| TaskMount {
            kind: if volume.is_empty() { "bind" } else { "volume" }.into(),
            volume: (!volume.is_empty()).then(|| (*volume).to_owned()),
            source: (*source).into(),
            target: (*target).into(),
            ..TaskMount::default()
        };
        TaskContainer { mounts: mounts.iter().map(mount).collect(), ..TaskContainer::default() }
    }

    #[test]
    fn a_volume_that_stands_for_a_folder_with_a_door_is_one() {
        let mut task = task(&[("v", "/var/lib/docker/volumes/v/_data", "/hostrun")]);
        let named = MountSource::volume(Some("v".into()));
        assert_eq!(Doors::of(&task, None).behind(&named), None);
        task.mounts[0].device = Some("/var/run".into());
        let doors = Doors::of(&task, None);
        assert_eq!(doors.behind(&named), Some("holds the engine's socket"));
        assert!(doors.held_by(&task.mounts[0]), "not shared by `--volumes` either");
    }

    #[test]
    fn the_usual_places_of_the_socket_and_the_folders_above_are_doors() {
        let doors = Doors::of(&task(&[]), None);
        for (path, expected) in [
            ("/var/run/docker.sock", Some("is the engine's socket")),
            ("/run/docker.sock", Some("is the engine's socket")),
            ("/run/../run//docker.sock/", Some("is the engine's socket")),
            ("/run/containerd/containerd.sock", Some("is the engine's socket")),
            ("/run", Some("contains the engine's socket")),
            ("/var/run", Some("contains the engine's socket")),
            ("/var/run/", Some("contains the engine's socket")),
            ("/var", Some("contains the engine's socket")),
            ("/", Some("contains the engine's socket")),
            ("/a/..", Some("contains the engine's socket")),
            ("/run/docker", Some("contains the engine's socket")),
            ("/proc", Some("shows the processes that hold the engine's socket")),
            ("/proc/1/root", Some("shows the processes that hold the engine's socket")),
            ("/proc/self", Some("shows the processes that hold the engine's socket")),
            ("/proc/sys", None),
            ("/process", None),
            ("/running", None),
            ("/var/lib", None),
            ("/run/user", None),
            ("/srv", None),
        ] {
            assert_eq!(doors.behind(&bind(path)), expected, "{path}");
        }
    }

    #[test]
    fn the_socket_elsewhere_is_found_through_the_task_container_s_mounts() {
        let doors = Doors::of(&task(&[("", "/srv/engine/d.sock", "/var/run/docker.sock")]), None);
        assert_eq!(doors.behind(&bind("/srv/engine/d.sock")), Some("is the engine's socket"));
        assert_eq!(doors.behind(&bind("/srv/engine")), Some("contains the engine's socket"));
        assert_eq!(doors.behind(&bind("/srv/other")), None);

        let doors = Doors::of(&task(&[("", "/srv/engine", "/engine")]), Some("/srv/engine/sub/d.sock"));
        assert_eq!(doors.behind(&bind("/srv/engine/sub")), Some("contains the engine's socket"));
        assert_eq!(doors.behind(&bind("/srv/engine/other")), None);
    }

    #[test]
    fn what_is_an_engines_own_is_a_door_with_all_that_is_in_it() {
        let doors = Doors::of(&task(&[]), Some("/srv/docker/d.sock"));
        for path in [
            "/run/containerd/containerd.sock.ttrpc",
            "/run/containerd/io.containerd.runtime.v2.task/moby",
            "/run/containerd/s",
            "/run/docker/plugins",
            "/run/docker/runtime-runc/moby",
            "/run/docker/swarm/control.sock",
            "/run/podman",
            "/run/user/0/docker",
            "/run/user/1000/docker.sock",
            "/run/user/1000/docker/containerd/containerd.sock",
            "/run/user/1000/dockerd-rootless/api.sock",
            "/run/user/1000/podman/podman.sock",
        ] {
            for path in [path.to_owned(), format!("/var{path}"), format!("/run/..{path}/.")] {
                assert_eq!(doors.behind(&bind(&path)), Some("belongs to a container engine"), "{path}");
            }
        }
        assert_eq!(doors.behind(&bind("/srv/docker")), Some("contains the engine's socket"));
        assert_eq!(doors.behind(&bind("/srv/docker/swarm")), Some("belongs to a container engine"));
        for path in [
            "/run/app",
            "/run/containerd2",
            "/run/docker-app",
            "/run/user/1000/app/docker",
            "/run/user/1000/dockers",
            "/srv/docker/volumes/v/_data",
            "/srv/dockers",
            "/var/lib/docker/volumes/v/_data",
        ] {
            assert_eq!(doors.behind(&bind(path)), None, "{path}");
        }

        let doors = Doors::of(&task(&[("", "/srv/x", "/var/run/docker/swarm")]), Some("/srv/engine/d.sock"));
        assert_eq!(doors.behind(&bind("/srv/x/control.sock")), Some("belongs to a container engine"));
        assert_eq!(doors.behind(&bind("/srv/engine/other")), None, "no folder that is called so");

        let mut standing = task(&[("v", "/var/lib/docker/volumes/v/_data", "/v")]);
        standing.mounts[0].device = Some("/var/run/docker/plugins".into());
        let volume = MountSource::volume(Some("v".into()));
        assert_eq!(Doors::of(&standing, None).behind(&volume), Some("holds the engine's socket"));
    }

    #[test]
    fn a_volume_with_the_socket_is_a_door_by_name_and_by_path() {
        let doors = Doors::of(
            &task(&[("sock", "/var/lib/docker/volumes/sock/_data", "/engine")]),
            Some("/var/lib/docker/volumes/sock/_data/d.sock"),
        );
        let volume = |name: &str| MountSource::volume(Some(name.into()));
        assert_eq!(doors.behind(&volume("sock")), Some("holds the engine's socket"));
        assert_eq!(doors.behind(&volume("other")), None);
        let below = bind("/var/lib/docker/volumes");
        assert_eq!(doors.behind(&below), Some("contains the engine's socket"));
    }
}
