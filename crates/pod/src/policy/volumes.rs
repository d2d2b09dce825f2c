//! Volumes: whose they are, and what the engine's `local` driver mounts for them.
//!
//! The driver calls `mount(2)` itself, as root and without a helper. Its `type` proves nothing: with `bind` among the words
//! of `o` every type is a bind of `device` (moby `volume/local/local_unix.go`, tried on 20.10). So every type has a list of
//! the words that it may have.

use super::super::path::{canonical, tidy_path};
use super::super::volume::VolumeInfo;
use super::host_paths::Bind;
use super::local_hosts::is_local_host;
use super::manager_files::SOCKET;
use super::{Allowance, Allowed, Host, Level, NodeNames, Policy, Refusal};
use crate::task_container::TaskContainer;

/// Words that change nothing but how files are read and written, of every file system.
const COMMON: &[&str] = &[
    "ro",
    "rw",
    "nosuid",
    "suid",
    "nodev",
    "noexec",
    "exec",
    "sync",
    "async",
    "dirsync",
    "noatime",
    "atime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "private",
    "rprivate",
];
const BIND: &[&str] = &["bind", "rbind"];
const TMPFS: &[&str] = &["size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks="];
/// Without `sec=krb5` (the host's own keys), `clientaddr=` and `mountaddr=` (addresses beside `addr=`), `fsc` and `source=`.
const NFS: &[&str] = &[
    "addr=",
    "vers=",
    "nfsvers=",
    "minorversion=",
    "v2",
    "v3",
    "v4",
    "v4.0",
    "v4.1",
    "v4.2",
    "proto=",
    "tcp",
    "udp",
    "port=",
    "nconnect=",
    "timeo=",
    "retrans=",
    "retry=",
    "hard",
    "soft",
    "softerr",
    "softreval",
    "intr",
    "nointr",
    "rsize=",
    "wsize=",
    "bsize=",
    "ac",
    "noac",
    "actimeo=",
    "acregmin=",
    "acregmax=",
    "acdirmin=",
    "acdirmax=",
    "cto",
    "nocto",
    "lookupcache=",
    "sharecache",
    "nosharecache",
    "rdirplus",
    "nordirplus",
    "lock",
    "nolock",
    "local_lock=",
    "acl",
    "noacl",
    "resvport",
    "noresvport",
    "mountport=",
    "mountproto=",
    "mountvers=",
    "sec=sys",
    "sec=none",
    "namlen=",
    "bg",
    "fg",
    "nfsvers",
];
/// Without `credentials=` (a file of the host, for those who mount with a helper), `sec=krb5`, `cruid=`, `multiuser` (keys of
/// the host's users) and `source=`, `unc=`, `prefixpath=` (another share than the device).
const CIFS: &[&str] = &[
    "addr=",
    "ip=",
    "username=",
    "user=",
    "password=",
    "pass=",
    "domain=",
    "dom=",
    "guest",
    "sec=ntlmssp",
    "sec=ntlmsspi",
    "sec=ntlmv2",
    "sec=ntlmv2i",
    "sec=none",
    "vers=",
    "uid=",
    "gid=",
    "forceuid",
    "noforceuid",
    "forcegid",
    "noforcegid",
    "file_mode=",
    "dir_mode=",
    "perm",
    "noperm",
    "dynperm",
    "nodynperm",
    "iocharset=",
    "nocase",
    "mapchars",
    "nomapchars",
    "mapposix",
    "unix",
    "nounix",
    "posix",
    "noposix",
    "posixpaths",
    "noposixpaths",
    "mfsymlinks",
    "serverino",
    "noserverino",
    "user_xattr",
    "nouser_xattr",
    "acl",
    "noacl",
    "cifsacl",
    "nobrl",
    "brl",
    "nodfs",
    "port=",
    "soft",
    "hard",
    "echo_interval=",
    "rsize=",
    "wsize=",
    "bsize=",
    "cache=",
    "actimeo=",
    "nolease",
    "seal",
    "sign",
    "nosharesock",
    "noblocksend",
    "persistenthandles",
    "resilienthandles",
    "snapshot=",
];

impl Policy {
    /// Why a component may not have a volume of the task container's as it asks for it: for writing, where the task container
    /// may only read it, or whole, where the task container has a part of it.
    pub fn check_part(
        &self,
        name: &str,
        subpath: Option<&str>,
        read_only: bool,
        task: &TaskContainer,
    ) -> Option<Refusal> {
        let given: Vec<_> =
            task.mounts.iter().filter(|mount| mount.volume.as_deref() == Some(name)).collect();
        let allow = Allowed::Volume(name.to_owned());
        if given.is_empty() || self.allowed.has(&allow) {
            return None;
        }
        let part = |given: &Option<String>| match given.as_deref() {
            None => true,
            // Exactly: below it whoever writes there can lead a path to any other part of the volume.
            Some(given) => subpath == Some(given.trim_matches('/')),
        };
        let refuse = |problem: &str, instead: &str| {
            let problem = format!("found the volume `{name}` {problem}");
            Some(Refusal::liftable("volumes", problem, instead, vec![allow.clone()]))
        };
        if !given.iter().any(|mount| part(&mount.subpath)) {
            return refuse("in another part than the task container has", "mount the same `subpath`");
        }
        if !read_only && !given.iter().any(|mount| mount.writable && part(&mount.subpath)) {
            return refuse("for writing, which the task container has read-only", "add `:ro`");
        }
        None
    }

    /// Why a component may not have a volume that the engine describes like this; `None` where it may. `of_task`: the task
    /// container has it mounted, so that its operator has given what it stands for.
    pub fn check_volume(
        &self,
        name: &str,
        volume: &VolumeInfo,
        mount: &Bind<'_>,
        of_task: bool,
        task: &TaskContainer,
        host: &Host,
    ) -> Option<Refusal> {
        let mountpoint = tidy_path(&volume.mountpoint);
        let below = || {
            let path = mountpoint.as_deref()?;
            let socket = || host.engine.holds_socket(path).then_some(SOCKET);
            host.manager.on_host(path).or_else(socket)
        };
        let held = host.manager.in_volume(name).or_else(below);
        if let Some(what) = held.filter(|_| !self.allows(Allowance::EngineSocket)) {
            let problem = format!("the volume `{name}` holds {what}");
            let allow = vec![Allowed::All(Allowance::EngineSocket)];
            return Some(Refusal::liftable("volumes", problem, "mount another volume", allow));
        }
        if !matches!(volume.driver.as_str(), "" | "local") {
            let allow = Allowed::VolumeDriver(volume.driver.clone());
            if self.allowed.has(&allow) {
                return None;
            }
            let problem =
                format!("the volume `{name}` is of the driver `{}`, which may mount anything", volume.driver);
            let instead = "use a volume of the driver `local`";
            return Some(Refusal::liftable("volumes", problem, instead, vec![allow]));
        }
        if let Some(problem) = unsound(volume, &host.node) {
            let remedy = "valid are volumes of the types `tmpfs`, `nfs`, `cifs` and `none` with `o=bind`, with the usual options";
            return Some(Refusal::absolute("volumes", format!("the volume `{name}` {problem}"), remedy));
        }
        let device = volume.device()?;
        let stands = format!("the volume `{name}` stands for `{}` of the host", device.path);
        // The kernel follows links before `..`: what such a path is nobody can tell from its text.
        let path = Some(device.path.trim_end_matches('/')).filter(|path| !path.is_empty()).unwrap_or("/");
        if tidy_path(path).as_deref() != Some(path) {
            let remedy = "valid is a device without `.`, `..` and repeated slashes";
            return Some(Refusal::absolute("volumes", stands, remedy));
        }
        let bind = Bind {
            path,
            read_only: mount.read_only || device.read_only,
            recursive: device.recursive,
            ..*mount
        };
        if of_task && self.level != Level::Restricted {
            // What its operator gave the task container passes, but not what is the engine's.
            let allowed = self.allowed.clone().with(Allowance::HostPaths);
            let everything = Policy { allowed, level: Level::Default, ..self.clone() };
            let refusal = self.name_control(everything.judge_bind(&bind, task, host)?);
            return Some(Refusal { problem: format!("{stands}: {}", refusal.problem), ..refusal });
        }
        let refusal = self.check_bind(&bind, task, host)?;
        Some(Refusal { problem: format!("{stands}: {}", refusal.problem), ..refusal })
    }
}

/// What of its options a volume of the driver `local` may not have.
fn unsound(volume: &VolumeInfo, node: &NodeNames) -> Option<String> {
    const KEYS: [&str; 4] = ["device", "o", "size", "type"];
    if let Some(key) = volume.options.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Some(format!("has the driver option `{key}`, which is not known to be harmless"));
    }
    let kind = volume.option("type");
    let valid: &[&str] = match kind {
        "" if volume.option("device").is_empty() && volume.option("o").is_empty() => return None,
        "none" | "" | "bind" if volume.device().is_some() => BIND,
        "tmpfs" => TMPFS,
        "nfs" | "nfs4" => NFS,
        "cifs" | "smb3" => CIFS,
        _ => return Some(format!("is of the type `{kind}`, which may show or change the host")),
    };
    let fits = |word: &str| {
        let known = |entry: &&&str| **entry == word || entry.ends_with('=') && word.starts_with(**entry);
        COMMON.iter().chain(valid).any(|entry| known(&entry))
    };
    if let Some(word) = volume.words().find(|word| !fits(word)) {
        // The value may be a password.
        let name = word.split('=').next().unwrap_or_default();
        return Some(format!("has the mount option `{name}`, which is not known to be harmless"));
    }
    // `device: none` makes the engine leave the mount out, and the volume a folder of the disk.
    if kind == "tmpfs" && volume.option("device") == "none" {
        return Some("has the device `none`, with which the engine mounts nothing".into());
    }
    // Of several the kernel takes the last one, and the engine resolves the first.
    let servers: Vec<&str> = volume
        .words()
        .filter_map(|word| word.strip_prefix("addr=").or_else(|| word.strip_prefix("ip=")))
        .collect();
    let remote = matches!(kind, "nfs" | "nfs4" | "cifs" | "smb3");
    let device = volume.option("device");
    // `host:/path` of NFS, `//host/share` of CIFS, each with a name, an address or `[address]`.
    let unc = device.trim_start_matches(['/', '\\']).split(['/', '\\']).next().unwrap_or_default();
    let named = [unc.trim_end_matches(':'), unc.split(':').next().unwrap_or_default()];
    let mut hosts = if servers.is_empty() { named.to_vec() } else { servers };
    hosts.retain(|host| remote && is_local_host(host, node));
    hosts.first().map(|host| format!("is of the server `{host}`, which is the host itself"))
}

/// The places of the host that somebody changes who may write into a volume like this.
pub(super) fn written_places(volume: &VolumeInfo) -> impl Iterator<Item = String> {
    let device = volume.device().map(|device| device.path);
    let places = [Some(volume.mountpoint.clone()), device].into_iter().flatten();
    places.filter_map(|place| tidy_path(&place)).filter(|place| place != "/").map(|place| canonical(&place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Recursion;
    use crate::task_container::TaskMount;

    fn volume(options: &[(&str, &str)]) -> VolumeInfo {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        VolumeInfo { driver: "local".into(), options, ..VolumeInfo::default() }
    }

    fn judged(policy: &Policy, volume: &VolumeInfo, of_task: bool) -> Option<String> {
        let mount = Bind {
            path: "",
            target: "/t",
            read_only: false,
            recursive: Recursion::Enabled,
            propagation: None,
        };
        let task = TaskContainer::default();
        let refusal = policy.check_volume("v", volume, &mount, of_task, &task, &Host::default());
        refusal.map(|refusal| format!("{}; {}", refusal.problem, refusal.remedy))
    }

    #[test]
    fn file_systems_pass_by_list_with_options_by_list() {
        for options in [
            &[][..],
            &[("size", "1G")],
            &[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,uid=1,noexec")],
            &[("type", "nfs"), ("device", ":/data"), ("o", "addr=10.0.0.1,rw,vers=4,sec=sys")],
            &[("type", "nfs4"), ("device", "files.example.com:/data"), ("o", "")],
            &[("type", "cifs"), ("device", "//files.example.com/x"), ("o", "username=a,password=b,vers=3.0")],
        ] {
            assert_eq!(judged(&Policy::default(), &volume(options), false), None, "{options:?}");
        }
        for options in [
            &[("type", "proc"), ("device", "proc")][..],
            &[("type", "sysfs"), ("device", "sysfs")],
            &[("type", "cgroup"), ("device", "cgroup"), ("o", "memory")],
            &[("type", "devtmpfs"), ("device", "devtmpfs")],
            &[("type", "overlay"), ("device", "overlay"), ("o", "lowerdir=/etc:/srv")],
            &[("type", "ext4"), ("device", "/dev/sda1")],
            &[("type", "tmpfs"), ("device", "tmpfs"), ("o", "shared")],
            &[("type", "tmpfs"), ("device", "none"), ("o", "")],
            &[("type", "tmpfs"), ("device", "/etc"), ("o", "bind,remount")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=127.0.0.1")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=10.0.0.1,addr=127.0.0.1")],
            &[("type", "cifs"), ("device", "//10.0.0.1/x"), ("o", "addr=10.0.0.1,ip=127.0.0.1")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "rw")],
            &[("type", "nfs"), ("device", "localhost:/x"), ("o", "rw")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=10.0.0.1,sec=krb5")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=10.0.0.1,clientaddr=10.0.0.9")],
            &[("type", "cifs"), ("device", "//h/x"), ("o", "credentials=/etc/secret")],
            &[("type", "cifs"), ("device", "//h/x"), ("o", "source=//other/y")],
            &[("type", "cifs"), ("device", "//127.1/x"), ("o", "guest")],
            &[("type", "cifs"), ("device", "//fe80::1/x"), ("o", "guest")],
            &[("type", "nfs"), ("device", "[::1]:/x"), ("o", "rw")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=localhost.")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=127.0.0.1.")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=::1%lo")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=fe80::1%eth0")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=64:ff9b::7f00:1")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=::7f00:1")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=ip6-localhost")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=host.docker.internal")],
            &[("type", "nfs"), ("device", ":/x"), ("o", "addr=100.100.100.200")],
            &[("mountpoint", "/etc")],
        ] {
            for policy in [Policy::default(), Policy::everything()] {
                assert!(judged(&policy, &volume(options), true).is_some(), "{options:?}");
            }
        }
    }

    #[test]
    fn a_password_is_in_no_message() {
        let volume = volume(&[("type", "cifs"), ("device", "//h/x"), ("o", "secretpass=hunter2")]);
        let words = judged(&Policy::default(), &volume, false).expect("refused");
        assert!(words.contains("`secretpass`") && !words.contains("hunter2"), "{words}");
    }

    #[test]
    fn a_volume_that_stands_for_a_path_is_judged_as_a_bind_of_it_whatever_its_type() {
        for kind in ["none", "", "tmpfs", "nfs"] {
            for (device, path) in [("/etc", "/etc"), ("etc", "/etc")] {
                let volume = volume(&[("type", kind), ("device", device), ("o", "bind")]);
                let words = judged(&Policy::default(), &volume, false).expect("refused");
                if matches!(kind, "none" | "") {
                    assert!(
                        words.starts_with(&format!("the volume `v` stands for `{path}` of the host")),
                        "{words}"
                    );
                    assert!(words.contains("--allow host-paths=/etc"), "{words}");
                    assert_eq!(judged(&Policy::default(), &volume, true), None, "the task container has it");
                }
            }
        }
        let typed = |allow: &str| Policy {
            allowed: [allow.parse().expect(allow)].into_iter().collect(),
            ..Policy::default()
        };
        let etc = volume(&[("type", "none"), ("device", "/etc"), ("o", "bind,ro")]);
        assert_eq!(judged(&typed("host-paths=/etc:ro"), &etc, false), None);
        assert!(judged(&typed("host-paths=/srv"), &etc, false).is_some());
        for device in ["/srv/x/../../etc", "/srv//x", "srv/./x"] {
            let volume = volume(&[("type", "none"), ("device", device), ("o", "bind")]);
            assert!(judged(&typed("host-paths"), &volume, true).is_some(), "{device}");
        }
        for device in ["/", "/var/run", "/run/docker.sock", "/var/lib/docker", "/proc"] {
            let volume = volume(&[("type", "none"), ("device", device), ("o", "rbind")]);
            let words = judged(&Policy::default(), &volume, true).expect("the engine's");
            assert!(words.contains("engine-socket"), "{words}");
        }
        let restricted = Policy { level: Level::Restricted, ..Policy::default() };
        assert!(judged(&restricted, &etc, true).is_some_and(|words| words.contains("restrictedVolumes")));
    }

    #[test]
    fn a_volume_of_the_task_passes_no_wider_than_the_task_has_it() {
        let mount = |writable, subpath: Option<&str>| TaskMount {
            kind: "volume".into(),
            volume: Some("v".into()),
            writable,
            subpath: subpath.map(str::to_owned),
            ..TaskMount::default()
        };
        let judged = |given: &[TaskMount], subpath, read_only, policy: &Policy| {
            let task = TaskContainer { mounts: given.to_vec(), ..TaskContainer::default() };
            policy.check_part("v", subpath, read_only, &task).is_none()
        };
        let none = Policy::default();
        assert!(
            judged(&[mount(true, None)], None, false, &none)
                && judged(&[mount(false, None)], None, true, &none)
        );
        assert!(!judged(&[mount(false, None)], None, false, &none));
        assert!(judged(&[mount(false, None), mount(true, None)], None, false, &none));
        let part = [mount(true, Some("a/b"))];
        assert!(judged(&part, Some("a/b"), false, &none) && !judged(&part, Some("a/b/c"), true, &none));
        assert!(!judged(&part, None, true, &none) && !judged(&part, Some("a"), true, &none));
        assert!(!judged(&part, Some("a/bc"), true, &none));
        assert!(judged(&[], None, false, &none), "another rule judges what the task does not have");
        let allowed = ["volumes=v".parse().expect("an item")].into_iter().collect();
        assert!(judged(&part, None, false, &Policy { allowed, ..Policy::default() }));
    }

    #[test]
    fn another_driver_passes_by_its_name() {
        let foreign = VolumeInfo { driver: "local-persist".into(), ..VolumeInfo::default() };
        let words = judged(&Policy::default(), &foreign, true).expect("refused");
        assert!(words.contains("--allow volume-drivers=local-persist"), "{words}");
        let allowed = ["volume-drivers=local-persist".parse().expect("an item")].into_iter().collect();
        assert_eq!(judged(&Policy { allowed, ..Policy::default() }, &foreign, false), None);
    }
}
