#![expect(clippy::disallowed_methods, reason = "reads what the kernel tells of this process")]
//! Which container am I? Not by the cgroup path: on cgroup v2 it is `0::/` from inside.
//!
//! Docker mounts `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` from a folder named after the
//! container's id, and `/proc/self/mountinfo` tells from where.

use std::fs;
use std::io;

/// Why this is no place for a pod.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// No mount tells of a container.
    #[error(
        "this is not a container of the engine: `manager run` is started by the image `tandem/manager` as the task container of a pod (`docker run`, Compose or Swarm), with the labels that define the pod"
    )]
    NotInContainer,
    /// `/proc` cannot be read.
    #[error("cannot read `/proc/self/mountinfo`: {0}")]
    Unreadable(#[from] io::Error),
}

/// The id of the container that this process is in.
///
/// # Errors
/// When it is in none.
pub fn own_container() -> Result<String, DiscoverError> {
    container_in(&fs::read_to_string("/proc/self/mountinfo")?).ok_or(DiscoverError::NotInContainer)
}

/// The cgroup file of this process, empty where there is none.
pub fn own_cgroups() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

/// The container id in a mountinfo text: the folder named by 64 hexadecimal digits that Docker's own
/// mounts in `/etc` come from.
fn container_in(mountinfo: &str) -> Option<String> {
    mountinfo.lines().find_map(|line| {
        // proc(5): id, parent, major:minor, root, mount point, ...
        let mut fields = line.split(' ').skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        if !matches!(mount_point, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf") {
            return None;
        }
        // The last: an engine inside a container may itself live on a volume with a name like that.
        root.split('/').rfind(|part| is_id(part)).map(str::to_owned)
    })
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn mountinfo(root: &str) -> String {
        format!(
            "22 1 0:20 / / rw,relatime - overlay overlay rw\n\
             30 22 254:1 {root}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda1 rw\n\
             31 22 254:1 {root}/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw\n"
        )
    }

    #[test]
    fn the_id_is_found_wherever_the_engine_keeps_its_containers() {
        let roots = [
            format!("/var/lib/docker/containers/{ID}"),
            format!("/containers/{ID}"),
            format!("/home/user/.local/share/docker/containers/{ID}"),
            format!("/var/lib/containers/storage/overlay-containers/{ID}/userdata"),
            format!("/var/lib/docker/volumes/{}/_data/containers/{ID}", "f".repeat(64)),
        ];
        for root in roots {
            assert_eq!(container_in(&mountinfo(&root)).as_deref(), Some(ID), "{root}");
        }
    }

    #[test]
    fn a_host_is_no_container() {
        assert_eq!(container_in("22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n"), None);
        assert_eq!(container_in(""), None);
    }

    #[test]
    fn an_id_elsewhere_than_in_etc_is_not_ours() {
        let line = format!("30 22 254:1 /var/lib/docker/containers/{ID}/x /data rw - ext4 /dev/vda1 rw\n");
        assert_eq!(container_in(&line), None);
    }
}
