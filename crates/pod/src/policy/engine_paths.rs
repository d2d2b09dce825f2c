//! Paths of the host that give control of a container engine, of systemd or of the kernel's limits. The check
//! compares the text of paths, because the manager cannot see links on the host.

use super::super::path::{canonical, meet, tidy_path, within};

/// Default paths of sockets that give control of the host. containerd's socket gives control of all
/// containers without the engine.
const SOCKETS: &[&str] =
    &["/run/docker.sock", "/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock"];

/// Folders that belong to container engines. Access to any file in them is as good as access to the engine's
/// socket: Swarm's `control.sock`, the sockets of plug-ins and of containerd's shims, and runc's state of
/// every container.
const FOLDERS: &[&str] =
    &["/run/buildkit", "/run/containerd", "/run/crio", "/run/docker", "/run/k3s", "/run/podman"];

/// Names in `/run/user/UID` that belong to rootless engines.
const OF_A_USER: &[&str] =
    &["containerd", "containerd-rootless", "docker", "docker.sock", "dockerd-rootless", "podman"];

/// Default folders in which engines keep images, volumes and containers.
const ROOTS: &[&str] = &["/var/lib/docker", "/var/lib/containerd"];

/// Folder below the engine's root that holds the keys of the Swarm. All other nodes of the Swarm trust an
/// engine that has these keys.
const KEYS: &str = "swarm";

/// Folders with the sockets that control the host's services. A client of D-Bus can reach systemd, and
/// systemd runs any command as root.
const SERVICES: &[&str] = &["/run/dbus", "/run/systemd"];

/// Folders within [`SERVICES`] whose sockets only accept log lines or resolve names.
const HARMLESS: &[&str] = &["/run/systemd/journal", "/run/systemd/resolve"];

/// The cgroup tree of the host.
pub const CGROUPS: &str = "/sys/fs/cgroup";

const THE_ENGINE: &str = "is or contains the engine's socket";
const ENGINES_OWN: &str = "belongs to a container engine";
const SYSTEMD: &str = "is or contains a socket that controls systemd";

/// The paths of one host.
#[derive(Debug, Clone)]
pub struct EnginePaths {
    /// Sockets, in their canonical spelling.
    sockets: Vec<String>,
    /// Folders that belong to container engines.
    folders: Vec<String>,
    /// Folders in which engines keep their data.
    roots: Vec<String>,
}

impl Default for EnginePaths {
    fn default() -> Self {
        Self::of(None, &[])
    }
}

impl EnginePaths {
    /// The paths of a host whose engine listens on `socket`, a path of the host, and keeps its data in
    /// `roots`.
    pub fn of(socket: Option<&str>, roots: &[String]) -> Self {
        let listed = |list: &[&str]| list.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let mut paths =
            EnginePaths { sockets: listed(SOCKETS), folders: listed(FOLDERS), roots: listed(ROOTS) };
        if let Some(socket) = socket.and_then(tidy_path).filter(|path| path != "/") {
            let socket = canonical(&socket);
            // If the socket lies in a folder `docker/`, everything in that folder belongs to the engine.
            let folder = socket.rsplit_once('/').map(|(folder, _)| folder.to_owned());
            paths.folders.extend(folder.filter(|folder| folder.ends_with("/docker")));
            paths.sockets.push(socket);
        }
        let roots = roots.iter().filter_map(|root| tidy_path(root)).filter(|root| root != "/");
        paths.roots.extend(roots.map(|root| canonical(&root)));
        paths
    }

    /// Reports whether this path is the engine's socket itself.
    pub fn is_socket(&self, path: &str) -> bool {
        self.sockets.contains(&canonical(path))
    }

    /// Reports whether this path is the engine's socket or a folder that contains it.
    pub fn holds_socket(&self, path: &str) -> bool {
        let path = canonical(path);
        self.sockets.iter().any(|socket| within(socket, &path))
    }

    /// Reports whether the path lies below a folder in which an engine keeps its data, and does not hold keys
    /// of a Swarm.
    pub fn is_data(&self, path: &str) -> bool {
        let path = &canonical(path);
        self.roots
            .iter()
            .any(|root| within(path, root) && path != root && !within(path, &format!("{root}/{KEYS}")))
    }

    /// The reason, as the end of a sentence, why no component may have this tidy path of the host; `None` if
    /// the path gives no control of the engine. `read_only` means that every file system mounted at or below
    /// the path is read-only.
    pub fn exposed_by(&self, path: &str, read_only: bool) -> Option<&'static str> {
        let path = canonical(path);
        match path.as_str() {
            "/" => return Some("is the whole host"),
            _ if self.holds_socket(&path) => return Some(THE_ENGINE),
            // `/proc/PID/root` is the root file system of a process, including the manager's.
            _ if path == "/proc" || is_process(&path) => {
                return Some("shows the processes that hold the engine's socket");
            }
            _ if of_a_user(&path) || self.folders.iter().any(|folder| meet(&path, folder)) => {
                return Some(ENGINES_OWN);
            }
            _ if SERVICES.iter().any(|folder| meet(&path, folder))
                && !HARMLESS.iter().any(|folder| within(&path, folder)) =>
            {
                return Some(SYSTEMD);
            }
            _ if within(&path, "/run/user") => return user_session(&path),
            _ if self.roots.iter().any(|root| within(root, &path)) => {
                return Some("is or contains the folder in which the engine keeps its data");
            }
            _ if self.roots.iter().any(|root| within(&path, &format!("{root}/{KEYS}"))) => {
                return Some("holds keys of the Swarm");
            }
            _ => {}
        }
        if self.is_data(&path) && !read_only {
            return Some("lies in the folder in which the engine keeps its data, and is mounted for writing");
        }
        if meet(&path, CGROUPS) && !read_only {
            return Some(
                "is or contains the cgroup tree, through which every limit of the host can be changed",
            );
        }
        None
    }
}

/// Reports whether other file systems are mounted below this path of the host.
///
/// A read-only bind covers only the bound file system before Docker Engine 25, and on every kernel before
/// Linux 5.12. File systems that are mounted below the path then stay writable.
pub fn has_mounts_below(path: &str) -> bool {
    // On cgroup v1 each controller is a mount of its own below the tree.
    meet(path, CGROUPS) && within(CGROUPS, path) || path == "/proc/sys" || path == "/proc/sys/fs"
}

fn is_process(path: &str) -> bool {
    path.strip_prefix("/proc/").and_then(|rest| rest.split('/').next()).is_some_and(|name| {
        matches!(name, "self" | "thread-self") || name.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Reports whether the path is `/run/user/UID/docker` or the folder of another rootless engine, or lies in
/// it.
fn of_a_user(path: &str) -> bool {
    within(path, "/run/user") && path.split('/').nth(4).is_some_and(|word| OF_A_USER.contains(&word))
}

/// Returns [`SYSTEMD`] for a path that leads to a user's systemd or D-Bus. Every user, including root, may
/// have both in `/run/user/UID`.
fn user_session(path: &str) -> Option<&'static str> {
    // `/run/user/UID` itself contains the sockets of both.
    path.split('/').nth(4).is_none_or(|word| matches!(word, "bus" | "systemd" | "dbus-1")).then_some(SYSTEMD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(paths: &EnginePaths, path: &str) -> Option<&'static str> {
        paths.exposed_by(&tidy_path(path).expect("absolute"), true)
    }

    #[test]
    fn the_usual_sockets_and_the_folders_above_them_expose_the_engine() {
        let paths = EnginePaths::default();
        for path in [
            "/var/run/docker.sock",
            "/run/docker.sock",
            "/run/../run//docker.sock/",
            "/run/containerd/containerd.sock",
            "/run",
            "/var/run",
            "/run/docker",
        ] {
            assert_eq!(why(&paths, path), Some(THE_ENGINE), "{path}");
        }
        assert_eq!(why(&paths, "/a/.."), Some("is the whole host"));
        for path in ["/proc", "/proc/1/root", "/proc/self"] {
            assert_eq!(
                why(&paths, path),
                Some("shows the processes that hold the engine's socket"),
                "{path}"
            );
        }
        for path in ["/process", "/running", "/srv", "/proc/sys/net", "/run/systemd/journal/dev-log"] {
            assert_eq!(why(&paths, path), None, "{path}");
        }
    }

    #[test]
    fn a_socket_at_another_place_exposes_the_engine_with_its_folder() {
        let paths = EnginePaths::of(Some("/srv/engine/docker/d.sock"), &[]);
        assert!(paths.is_socket("/srv/engine/docker/d.sock") && paths.is_socket("/var/run/docker.sock"));
        for path in ["/srv/engine/docker/d.sock", "/srv/engine", "/srv"] {
            assert_eq!(why(&paths, path), Some(THE_ENGINE), "{path}");
        }
        assert_eq!(why(&paths, "/srv/engine/docker/swarm"), Some(ENGINES_OWN));
        assert_eq!(why(&paths, "/srv/engine/other"), None);
    }

    #[test]
    fn what_is_an_engines_own_is_with_all_that_is_in_it() {
        for path in [
            "/run/containerd/containerd.sock.ttrpc",
            "/run/containerd/io.containerd.runtime.v2.task/moby",
            "/run/docker/plugins",
            "/run/docker/swarm/control.sock",
            "/run/podman",
            "/run/user/0/docker",
            "/run/user/1000/docker.sock",
            "/run/user/1000/podman/podman.sock",
        ] {
            for path in [path.to_owned(), format!("/var{path}"), format!("/run/..{path}/.")] {
                assert_eq!(why(&EnginePaths::default(), &path), Some(ENGINES_OWN), "{path}");
            }
        }
        for path in [
            "/run/app",
            "/run/containerd2",
            "/run/docker-app",
            "/run/user/1000/app/docker",
            "/run/user/1000/dockers",
        ] {
            assert_eq!(why(&EnginePaths::default(), path), None, "{path}");
        }
    }

    #[test]
    fn systemd_is_exposed_by_its_sockets_and_those_of_dbus() {
        for path in [
            "/run/dbus",
            "/run/dbus/system_bus_socket",
            "/var/run/systemd/private",
            "/run/systemd",
            "/run/user/0",
            "/run/user/0/bus",
            "/run/user/1000/systemd/private",
        ] {
            assert_eq!(why(&EnginePaths::default(), path), Some(SYSTEMD), "{path}");
        }
        for path in ["/run/user/1000/app", "/run/systemd/resolve/resolv.conf", "/run/dbusx"] {
            assert_eq!(why(&EnginePaths::default(), path), None, "{path}");
        }
    }

    #[test]
    fn the_engines_data_may_be_read_below_its_root_and_its_keys_may_not() {
        let paths = EnginePaths::of(None, &["/data/docker".into()]);
        for path in
            ["/data", "/data/docker", "/var/lib", "/var/lib/docker", "/data/docker/swarm/certificates"]
        {
            assert!(paths.exposed_by(path, true).is_some(), "{path}");
        }
        for path in ["/data/docker/containers", "/var/lib/docker/volumes/v/_data"] {
            assert!(paths.is_data(path), "{path}");
            assert_eq!(paths.exposed_by(path, true), None, "{path}");
            assert!(paths.exposed_by(path, false).is_some(), "{path}");
        }
        assert_eq!(paths.exposed_by("/data/other", false), None);
    }

    #[test]
    fn the_cgroup_tree_may_be_read_and_not_written() {
        let paths = EnginePaths::default();
        for path in ["/sys", "/sys/fs", CGROUPS, "/sys/fs/cgroup/memory"] {
            assert_eq!(paths.exposed_by(path, true), None, "{path}");
            assert!(paths.exposed_by(path, false).is_some(), "{path}");
        }
        assert_eq!(paths.exposed_by("/sys/class", false), None);
        assert!(has_mounts_below("/sys") && has_mounts_below(CGROUPS) && !has_mounts_below("/sys/class"));
        assert!(!has_mounts_below("/sys/fs/cgroup/memory"));
    }
}
