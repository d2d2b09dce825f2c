#![expect(clippy::disallowed_methods, reason = "makes, limits and removes cgroups")]
//! The host's cgroup tree (v2): groups for pods, beside those of containers.
//!
//! The folder of all pods' groups is made while the manager is root, and given to the user that it becomes; what is
//! removed later, and made by an agent, lies in it ([`crate::security::confine`]).

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, setfsgid};

use crate::cgroups::PodCgroup;
use crate::security::privileges::USER;
use pod::cgroups::{GROUPS, group, pod_of_group};
use pod::limits::{Limits, cpu_quota};
use pod::task_container::TaskContainer;

/// What limits take.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
const SWITCHES: &str = "cgroup.subtree_control";

/// The folder with the groups of all pods.
pub(crate) struct Tree {
    groups: PathBuf,
    /// Id of the engine whose pods it is for.
    engine: String,
}

/// The root of the host's cgroups, where the operator has mounted it for writing.
pub fn mounted() -> Option<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // Every group but the root has a type; a limit below any other one would bind nothing.
    let is_root =
        |path: &PathBuf| path.join("cgroup.controllers").exists() && !path.join("cgroup.type").exists();
    writable_trees(&mountinfo).map(PathBuf::from).find(is_root)
}

/// Where cgroups v2 are mounted for writing.
fn writable_trees(mountinfo: &str) -> impl Iterator<Item = &str> {
    mountinfo.lines().filter_map(|line| {
        // proc(5): id, parent, major:minor, root, mount point, options, optional fields, `-`, type, ...
        let (mount, of) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(4);
        let (point, options) = (fields.next()?, fields.next()?);
        let writable = options.split(',').next() == Some("rw");
        (writable && of.split(' ').next() == Some("cgroup2")).then_some(point)
    })
}

/// The folder of a tree that the manager is left.
pub fn groups_in(tree: &Path) -> PathBuf {
    tree.join(GROUPS)
}

impl Tree {
    /// Make the folder ready. `engine` is the id of the engine whose pods it is for.
    pub(crate) fn open(tree: &Path, engine: &str) -> Result<Self, String> {
        let groups = groups_in(tree);
        let prepare = || {
            make_for(&groups, USER)?;
            for folder in [tree, &groups] {
                // One by one: of several the kernel takes all or none.
                for controller in CONTROLLERS {
                    write(&folder.join(SWITCHES), &format!("+{controller}"))?;
                }
            }
            // Also where the manager has to stay root, which is then without the right to write what is not root's.
            fs::set_permissions(&groups, Permissions::from_mode(0o775))
        };
        prepare()
            .map_err(|error: io::Error| format!("`{}` cannot be made ready: {error}", groups.display()))?;
        Ok(Tree { groups, engine: engine.to_owned() })
    }

    /// Where the groups are.
    pub(crate) fn folder(&self) -> &Path {
        &self.groups
    }

    /// A group for this pod, with the limits of its task: its path for the engine. One that is there gets them anew.
    pub(crate) fn hold(&self, task: &TaskContainer) -> Result<String, String> {
        let name = group(&task.id, &self.engine);
        let folder = self.groups.join(&name);
        let limit = || {
            make(&folder)?;
            for (file, value) in files(&task.limits) {
                match write(&folder.join(file), &value) {
                    // The kernel has no swap.
                    Err(error) if error.kind() == ErrorKind::NotFound && file == "memory.swap.max" => {}
                    written => written?,
                }
            }
            Ok(())
        };
        match limit() {
            Ok(()) => Ok(format!("/{GROUPS}/{name}")),
            Err(error) => {
                let _ = fs::remove_dir(&folder);
                let error: io::Error = error;
                Err(format!("the cgroup `/{GROUPS}/{name}` cannot be limited: {error}"))
            }
        }
    }

    /// The pod's group goes; it is empty.
    pub(crate) fn release(&self, pod: &str) -> io::Result<()> {
        match fs::remove_dir(self.groups.join(group(pod, &self.engine))) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Groups of this engine's pods.
    pub(crate) fn groups(&self) -> io::Result<Vec<PodCgroup>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.groups)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Some(pod) = pod_of_group(&name, &self.engine) else { continue };
            let events =
                fs::read_to_string(self.groups.join(&name).join("cgroup.events")).unwrap_or_default();
            let empty = events.lines().any(|line| line == "populated 0");
            found.push(PodCgroup { pod: pod.to_owned(), empty });
        }
        Ok(found)
    }
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The same, of this group. The kernel gives a cgroup to the file system's ids of whoever makes it (`cgroup_mkdir`), and to
/// give one away afterwards takes `CAP_CHOWN`, which a manager below `pause` has not.
fn make_for(folder: &Path, group: u32) -> io::Result<()> {
    let own = setfsgid(Gid::from_raw(group));
    let made = make(folder);
    setfsgid(own);
    made?;
    match fs::metadata(folder)?.gid() {
        of if of == group => Ok(()),
        of => Err(io::Error::other(format!("it is of the group {of}: remove it while no pod is in it"))),
    }
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

/// A task's limits as the kernel takes them; what is not limited is said too, in case it was.
fn files(limits: &Limits) -> [(&'static str, String); 4] {
    let most = |limit: Option<i64>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
    let (quota, period) = limits.nano_cpus.map(cpu_quota).unzip();
    let period = period.map(|period| format!(" {period}")).unwrap_or_default();
    [
        ("memory.max", most(limits.memory_bytes)),
        ("memory.swap.max", most(limits.swap_bytes())),
        ("cpu.max", most(quota) + &period),
        ("pids.max", most(limits.pids)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_found_where_it_is_mounted_for_writing() {
        // As a container of Docker 26 has them, its own and the host's.
        let own = "110 109 0:26 / /sys/fs/cgroup ro,nosuid,nodev - cgroup2 cgroup rw,nsdelegate\n";
        let host =
            "116 105 0:26 /../.. /host/cgroup rw,nosuid,nodev master:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let other = "117 105 254:1 / /data rw,relatime - ext4 /dev/vda1 rw\n";
        let found = |text: &str| writable_trees(text).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(found(&[own, other, host].concat()), ["/host/cgroup"]);
        assert_eq!(found(own), Vec::<String>::new());
        assert_eq!(found(&host.replace(" rw,nosuid", " ro,nosuid")), Vec::<String>::new());
    }

    #[test]
    fn a_group_is_made_limited_listed_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree { groups: folder.path().to_owned(), engine: "E:1".into() };
        let limits = Limits { memory_bytes: Some(5), nano_cpus: Some(250_000_000), ..Limits::default() };
        let task = TaskContainer { id: "0123456789abcdef".into(), limits, ..TaskContainer::default() };
        // A folder that is no cgroup has nothing to be written to: and stays not.
        assert!(tree.hold(&task).is_err());
        let group = folder.path().join("0123456789ab.e1");
        assert!(!group.exists());

        fs::create_dir(&group).expect("made");
        for file in ["memory.max", "cpu.max", "pids.max"] {
            fs::write(group.join(file), "").expect("made");
        }
        assert_eq!(tree.hold(&task).as_deref(), Ok("/tandem/0123456789ab.e1"));
        let read = |file| fs::read_to_string(group.join(file)).expect("it is there");
        assert_eq!(
            (read("memory.max"), read("cpu.max"), read("pids.max")),
            ("5".into(), "25000 100000".into(), "max".into())
        );
        assert!(!group.join("memory.swap.max").exists(), "where the kernel has no swap, nothing is made");

        fs::create_dir(folder.path().join("0123456789ab.other")).expect("made");
        let listed = |empty| vec![PodCgroup { pod: "0123456789ab".into(), empty }];
        fs::write(group.join("cgroup.events"), "populated 1\nfrozen 0\n").expect("made");
        assert_eq!(tree.groups().expect("listed"), listed(false));
        fs::write(group.join("cgroup.events"), "populated 0\nfrozen 0\n").expect("made");
        assert_eq!(tree.groups().expect("listed"), listed(true));

        assert!(tree.release(&task.id).is_err(), "there is something in it");
        fs::remove_dir_all(&group).expect("removed");
        fs::create_dir(&group).expect("made");
        tree.release(&task.id).expect("removed");
        tree.release(&task.id).expect("gone already");
        assert!(!group.exists());
    }
}
