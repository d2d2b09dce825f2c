//! Functions on absolute paths as text. They do not access a file system.

/// Removes `.`, `..`, and repeated and trailing slashes from an absolute path; `None` for a relative path.
/// The result is a tidy path.
pub fn tidy_path(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    Some(format!("/{}", steps.join("/")))
}

/// Reports whether the path contains no special character of quoted YAML strings, of a mount's short form or
/// of a shell.
pub fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./@+".contains(&byte))
}

/// Reports whether `inner` is `outer` or lies below it. Both paths are tidy. No path is within an empty path.
pub fn within(inner: &str, outer: &str) -> bool {
    outer == "/"
        || !outer.is_empty()
            && inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reports whether one of the paths contains the other, or both are equal.
pub fn meet(one: &str, other: &str) -> bool {
    within(one, other) || within(other, one)
}

/// Reports whether the kernel shows its own state at this tidy path.
pub fn is_kernels(path: &str) -> bool {
    within(path, "/proc") || within(path, "/sys")
}

/// Reports whether the engine makes devices of a container at this tidy path. `/dev/shm` and `/dev/mqueue` are
/// file systems for the container's own files.
pub fn is_for_devices(path: &str) -> bool {
    within(path, "/dev") && !["/dev/mqueue", "/dev/shm"].contains(&path)
}

/// Folders that are links to other folders on every current distribution: `/var/run` to `/run`, and the
/// merged `/usr` (`file-hierarchy(7)`). Each entry is the link and its target.
const LINKED_FOLDERS: [(&str, &str); 9] = [
    ("/var/run", "/run"),
    ("/var/lock", "/run/lock"),
    ("/bin", "/usr/bin"),
    ("/sbin", "/usr/sbin"),
    ("/lib", "/usr/lib"),
    ("/lib32", "/usr/lib32"),
    ("/lib64", "/usr/lib64"),
    ("/libx32", "/usr/libx32"),
    ("/usr/tmp", "/var/tmp"),
];

/// Resolves the usual links (`LINKED_FOLDERS`) in a path of a host, so that two spellings of a folder compare
/// as equal.
pub fn canonical(path: &str) -> String {
    let linked = LINKED_FOLDERS.iter().find(|(link, _)| within(path, link));
    linked.map_or_else(|| path.to_owned(), |(link, folder)| format!("{folder}{}", &path[link.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_within_itself_and_its_parents_alone() {
        assert!(within("/a/b", "/a") && within("/a", "/a") && within("/a", "/"));
        assert!(!within("/ab", "/a") && !within("/a", "/a/b") && !within("/a", ""));
        assert!(meet("/a", "/a/b") && meet("/a/b", "/a") && !meet("/a", "/b"));
    }

    #[test]
    fn places_of_the_kernel_and_of_devices_are_told_from_others() {
        assert!(is_kernels("/proc") && is_kernels("/sys/fs/cgroup") && !is_kernels("/process"));
        assert!(is_for_devices("/dev") && is_for_devices("/dev/pts") && is_for_devices("/dev/shm/x"));
        assert!(!is_for_devices("/dev/shm") && !is_for_devices("/dev/mqueue") && !is_for_devices("/devices"));
    }

    #[test]
    fn two_spellings_of_one_folder_compare_as_equal() {
        for (path, same) in [
            ("/var/run/docker.sock", "/run/docker.sock"),
            ("/var/run", "/run"),
            ("/lib/modules", "/usr/lib/modules"),
            ("/library", "/library"),
            ("/var/runner", "/var/runner"),
            ("/srv", "/srv"),
        ] {
            assert_eq!(canonical(path), same, "{path}");
        }
    }
}
