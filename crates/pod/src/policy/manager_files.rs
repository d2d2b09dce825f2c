//! The manager's own files, which give it access to the engine, to registries and to the host's limits. No
//! component gets these files, under any name that they have in the manager's container, in the task
//! container or on the host.

use super::super::path::{canonical, meet, tidy_path, within};
use super::super::task_container::{TaskContainer, TaskMount};
use super::engine_paths::CGROUPS;

/// The folder in which Swarm puts every secret of a container.
const SECRETS: &str = "/run/secrets";
/// The files that the manager reads in the folder of `DOCKER_CERT_PATH`.
const CERTIFICATES: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];

/// Description of a file, as the end of a sentence.
pub type Purpose = &'static str;

/// The engine's socket.
pub const SOCKET: Purpose = "the engine's socket";
/// The folder of `DOCKER_CERT_PATH`.
pub const CERTIFICATE: Purpose = "the manager's certificates for the engine (`DOCKER_CERT_PATH`)";
/// Files with registry passwords.
pub const CREDENTIALS: Purpose = "the manager's credentials of registries";
/// `--policy-file`.
pub const POLICY: Purpose = "the operator's policy file";
/// The socket of D-Bus or systemd.
pub const BUS: Purpose = "the manager's socket of D-Bus or systemd";
/// A cgroup tree that is mounted for the manager.
pub const TREE: Purpose = "the manager's cgroup tree";

/// A file of a manager of another version. The file may be any of the above.
pub const UNKNOWN: Purpose = "perhaps its own files";

/// The files of one manager.
#[derive(Debug, Clone, Default)]
pub struct ManagerFiles {
    /// Id of the container that the manager runs in.
    container: String,
    /// Paths in that container.
    inside: Vec<(String, Purpose)>,
    /// The corresponding paths on the host, as far as mounts show them.
    on_host: Vec<(String, Purpose)>,
    /// Volumes that hold one of the files.
    volumes: Vec<(String, Purpose)>,
}

/// The files in the folder that `DOCKER_CERT_PATH` names. `/run/secrets` holds other secrets too, so there
/// only the three certificate files count.
pub fn certificates(folder: &str) -> Vec<(String, Purpose)> {
    let Some(folder) = tidy_path(folder) else { return Vec::new() };
    match canonical(&folder).as_str() {
        SECRETS | "/" => CERTIFICATES
            .iter()
            .map(|name| (format!("{}/{name}", folder.trim_end_matches('/')), CERTIFICATE))
            .collect(),
        _ => vec![(folder, CERTIFICATE)],
    }
}

/// Targets at which the sockets of D-Bus and systemd, and the cgroup tree, are mounted for a manager.
const SERVICES: [(&str, Purpose); 3] = [("/run/dbus", BUS), ("/run/systemd", BUS), (CGROUPS, TREE)];

/// Mounts of the manager's container through which the manager sets the limits of pods.
pub fn services(own: &TaskContainer) -> Vec<(String, Purpose)> {
    let service = |mount: &TaskMount| {
        let target = tidy_path(&mount.target)?;
        let place = canonical(&target);
        // A volume of the engine's own around the place of a socket does not hold the host's socket.
        let holds = |service: &str| {
            within(&place, service)
                || within(service, &place) && (mount.kind != "volume" || mount.device.is_some())
        };
        let known =
            SERVICES.iter().find(|(service, what)| holds(service) && (*what != TREE || mount.writable));
        // A cgroup tree at another target is recognised by its source.
        let tree = || mount.writable && tidy_path(&mount.source).is_some_and(|source| meet(&source, CGROUPS));
        let what = known.map(|(_, what)| *what).or_else(|| tree().then_some(TREE))?;
        Some((target, what))
    };
    own.mounts.iter().filter(|mount| !mount.source.is_empty()).filter_map(service).collect()
}

impl ManagerFiles {
    /// Collects the files at these paths of `own`, the container in which the manager runs.
    pub fn of(own: &TaskContainer, paths: impl IntoIterator<Item = (String, Purpose)>) -> Self {
        let mut files = ManagerFiles { container: own.id.clone(), ..Self::default() };
        for (path, what) in paths {
            let Some(path) = tidy_path(&path).filter(|path| path != "/") else { continue };
            let path = canonical(&path);
            let targets: Vec<(&TaskMount, String)> = own
                .mounts
                .iter()
                .filter_map(|mount| Some((mount, canonical(&tidy_path(&mount.target)?))))
                .filter(|(_, target)| meet(&path, target))
                .collect();
            // The innermost mount that covers the path hides the mounts around it.
            let covering = targets.iter().filter(|(_, target)| within(&path, target));
            let innermost = covering.map(|(_, target)| target.len()).max().unwrap_or_default();
            for (mount, target) in targets.into_iter().filter(|(_, target)| target.len() >= innermost) {
                // If the path contains the mount, the whole mount counts.
                let rest = path.strip_prefix(&target).unwrap_or_default();
                files.volumes.extend(mount.volume.clone().map(|volume| (volume, what)));
                let sources = [Some(&mount.source), mount.typed_source.as_ref(), mount.device.as_ref()];
                let sources = sources.into_iter().flatten().filter_map(|source| tidy_path(source));
                files.on_host.extend(
                    sources
                        .filter(|source| source != "/" || !rest.is_empty())
                        .map(|source| (canonical(&format!("{}{rest}", source.trim_end_matches('/'))), what)),
                );
            }
            files.inside.push((path, what));
        }
        files.on_host.sort();
        files.on_host.dedup();
        files
    }

    /// Adds the host paths at which the engine keeps the Swarm secrets of the container, below its `roots`
    /// (`<root>/containers/<id>/mounts/secrets`). The engine does not list these mounts.
    pub fn with_secrets(mut self, own: &TaskContainer, roots: &[String]) -> Self {
        let in_no_mount = |path: &&(String, Purpose)| {
            within(&path.0, SECRETS)
                && !own.mounts.iter().any(|mount| within(&path.0, &canonical(&mount.target)))
        };
        if let Some((_, what)) = self.inside.iter().find(in_no_mount).filter(|_| !own.id.is_empty()) {
            let what = *what;
            self.on_host
                .extend(roots.iter().map(|root| (canonical(&format!("{root}/containers/{}", own.id)), what)));
        }
        self
    }

    /// The file that a path of the host is, contains or lies in.
    pub fn on_host(&self, path: &str) -> Option<Purpose> {
        let path = canonical(path);
        self.on_host.iter().find(|(file, _)| meet(&path, file)).map(|(_, what)| *what)
    }

    /// The file that a volume holds.
    pub fn in_volume(&self, name: &str) -> Option<Purpose> {
        self.volumes.iter().find(|(volume, _)| volume == name).map(|(_, what)| *what)
    }

    /// The file that a mount of a container holds.
    pub fn in_mount(&self, mount: &TaskMount) -> Option<Purpose> {
        let volume = mount.volume.as_deref().and_then(|name| self.in_volume(name));
        let sources = [Some(&mount.source), mount.device.as_ref()].into_iter().flatten();
        volume.or_else(|| sources.filter_map(|path| tidy_path(path)).find_map(|path| self.on_host(&path)))
    }

    /// The file that a path of the task container is, contains or lies in.
    pub fn in_task(&self, task: &TaskContainer, path: &str) -> Option<Purpose> {
        let path = canonical(&tidy_path(path)?);
        let own = task.id == self.container || task.id.is_empty();
        // In another container, a path that no listed mount covers may still be the manager's file. The
        // engine does not list the mounts of Swarm's secrets.
        let covered = task.mounts.iter().filter(|mount| within(&path, &canonical(&mount.target)));
        let covered = covered.max_by_key(|mount| mount.target.len());
        if own || covered.is_none() {
            let same = self.inside.iter().find(|(file, _)| meet(&path, file));
            if let Some((_, what)) = same {
                return Some(what);
            }
        }
        let by_mount = |mount: &TaskMount| {
            let target = canonical(&mount.target);
            let rest = path.strip_prefix(&target).unwrap_or_default();
            let sources = [Some(&mount.source), mount.device.as_ref()].into_iter().flatten();
            let mut on_host = sources.filter_map(|source| tidy_path(&format!("{source}/{rest}")));
            on_host.find_map(|path| self.on_host(&path))
        };
        let below = task.mounts.iter().filter(|mount| within(&canonical(&mount.target), &path));
        covered.into_iter().chain(below).find_map(by_mount)
    }

    /// The paths in the manager's own container.
    pub fn inside(&self) -> impl Iterator<Item = (&str, Purpose)> {
        self.inside.iter().map(|(path, what)| (path.as_str(), *what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(volume: Option<&str>, source: &str, target: &str) -> TaskMount {
        TaskMount {
            kind: if volume.is_some() { "volume" } else { "bind" }.into(),
            volume: volume.map(str::to_owned),
            source: source.into(),
            target: target.into(),
            ..TaskMount::default()
        }
    }

    fn container(id: &str, mounts: Vec<TaskMount>) -> TaskContainer {
        TaskContainer { id: id.into(), mounts, ..TaskContainer::default() }
    }

    fn files() -> ManagerFiles {
        let own = container(
            "own",
            vec![
                mount(None, "/srv/engine/d.sock", "/var/run/docker.sock"),
                mount(Some("certs"), "/var/lib/docker/volumes/certs/_data", "/certs"),
                mount(None, "/etc/tandem", "/conf"),
                mount(Some("data"), "/var/lib/docker/volumes/data/_data", "/data"),
            ],
        );
        let paths = [("/var/run/docker.sock", SOCKET), ("/certs", CERTIFICATE), ("/conf/policy.yml", POLICY)];
        ManagerFiles::of(&own, paths.map(|(path, what)| (path.to_owned(), what)))
    }

    #[test]
    fn a_file_is_known_by_its_path_on_the_host_and_by_its_volume() {
        let files = files();
        for (path, want) in [
            ("/srv/engine/d.sock", Some(SOCKET)),
            ("/srv/engine", Some(SOCKET)),
            ("/var/lib/docker/volumes/certs/_data/key.pem", Some(CERTIFICATE)),
            ("/etc/tandem/policy.yml", Some(POLICY)),
            ("/etc/tandem", Some(POLICY)),
            ("/etc/tandem/other.yml", None),
            ("/var/lib/docker/volumes/data/_data", None),
        ] {
            assert_eq!(files.on_host(path), want, "{path}");
        }
        assert_eq!(files.in_volume("certs"), Some(CERTIFICATE));
        assert_eq!(files.in_volume("data"), None);
    }

    #[test]
    fn a_file_is_known_in_the_managers_own_container_by_its_path() {
        let (files, own) = (files(), container("own", Vec::new()));
        for (path, want) in [
            ("/run/docker.sock", Some(SOCKET)),
            ("/certs/key.pem", Some(CERTIFICATE)),
            ("/conf", Some(POLICY)),
            ("/conf/other", None),
            ("/", Some(SOCKET)),
        ] {
            assert_eq!(files.in_task(&own, path), want, "{path}");
        }
    }

    /// Podlike's example `volume` mounts the socket inside a volume that its components share.
    #[test]
    fn a_volume_around_the_mount_of_a_file_does_not_hold_it() {
        let own = container(
            "own",
            vec![
                mount(None, "/var/run/docker.sock", "/var/run/docker.sock"),
                mount(Some("pids"), "/var/lib/docker/volumes/pids/_data", "/var/run"),
            ],
        );
        let mut paths = vec![("/var/run/docker.sock".to_owned(), SOCKET)];
        paths.extend(services(&own));
        let files = ManagerFiles::of(&own, paths);
        assert_eq!(files.in_volume("pids"), None);
        assert_eq!(files.on_host("/run/docker.sock"), Some(SOCKET));
        assert_eq!(files.in_task(&own, "/run/docker.sock"), Some(SOCKET));
        assert_eq!(files.in_task(&own, "/run"), Some(SOCKET), "it contains the socket");
        for mount in [
            mount(None, "/run", "/run"),
            mount(Some("bus"), "/var/lib/docker/volumes/bus/_data", "/run/dbus"),
        ] {
            assert_eq!(services(&container("own", vec![mount])).len(), 1);
        }
    }

    #[test]
    fn a_file_is_known_in_another_container_by_what_is_mounted_there() {
        let files = files();
        let task = container(
            "task",
            vec![
                mount(Some("certs"), "/var/lib/docker/volumes/certs/_data", "/other"),
                mount(Some("mine"), "/var/lib/docker/volumes/mine/_data", "/certs"),
            ],
        );
        assert_eq!(files.in_task(&task, "/other/key.pem"), Some(CERTIFICATE));
        assert_eq!(files.in_task(&task, "/certs/key.pem"), None, "another volume has that place");
        assert_eq!(files.in_task(&task, "/conf/policy.yml"), Some(POLICY), "perhaps the same secret");
        assert_eq!(files.in_task(&task, "/data"), None);
    }

    #[test]
    fn a_folder_with_all_secrets_is_the_managers_for_its_certificates_alone() {
        let paths = certificates("/run/secrets");
        let files = ManagerFiles::of(&container("own", Vec::new()), paths);
        let own = container("own", Vec::new());
        assert_eq!(files.in_task(&own, "/run/secrets/key.pem"), Some(CERTIFICATE));
        assert_eq!(files.in_task(&own, "/run/secrets"), Some(CERTIFICATE));
        assert_eq!(files.in_task(&own, "/run/secrets/app"), None);
        assert_eq!(certificates("/certs"), [("/certs".to_owned(), CERTIFICATE)]);
    }
}
