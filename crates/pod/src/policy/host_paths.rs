//! Binds: a component binds what the operator typed, word for word.
//!
//! A path is judged by its text. Where it ends, the engine decides when it mounts: whoever can exchange a link on the way
//! leads the mount elsewhere. So nobody but the operator chooses paths, and [`super::mount_conflicts`] looks whether a
//! component could exchange one.

use super::super::path::{canonical, is_plain, tidy_path};
use super::super::spec::Recursion;
use super::super::task_container::{TaskContainer, TaskMount};
use super::engine_paths::has_mounts_below;
use super::{Allowance, Allowed, Host, HostPath, Level, Policy, Refusal};

/// What every component may bind read-only under `default` without being given it: names and certificates, the same on
/// every host of a kind, which nobody but the host's root writes.
const COMMON: [&str; 5] =
    ["/etc/localtime", "/etc/ssl/certs", "/etc/timezone", "/usr/lib/modules", "/usr/share/zoneinfo"];

/// A bind of a component.
#[derive(Debug, Clone, Copy)]
pub struct Bind<'a> {
    /// Tidy path of the host.
    pub path: &'a str,
    /// Where the component has it.
    pub target: &'a str,
    /// Mounted read-only.
    pub read_only: bool,
    /// What becomes of the mounts below the path.
    pub recursive: Recursion,
    /// `rslave` and the like; the engine's default (`rprivate`) where not said.
    pub propagation: Option<&'a str>,
}

impl Bind<'_> {
    /// Everything that is mounted there is read-only.
    fn wholly_read_only(&self) -> bool {
        let covered = matches!(self.recursive, Recursion::Disabled | Recursion::ReadOnly);
        self.read_only && (covered || !has_mounts_below(&canonical(self.path)))
    }
}

/// How a bind is wider than what the operator typed.
enum Wider {
    Writable,
    Recursive,
    Propagation(String),
}

/// The way to a folder in a volume.
const SUBPATH: &str = "mount the volume with `volume: {subpath: ...}` (Docker Engine 26 and newer)";

impl Policy {
    /// Why a component may not bind this; `None` where it may.
    pub fn check_bind(&self, bind: &Bind<'_>, task: &TaskContainer, host: &Host) -> Option<Refusal> {
        self.judge_bind(bind, task, host).map(|refusal| self.name_control(refusal))
    }

    /// The refusal of a path of the host, with the control of the level that refuses it.
    pub(super) fn name_control(&self, refusal: Refusal) -> Refusal {
        match self.level {
            Level::Baseline => {
                let problem = format!("{} (`--policy baseline`, control `hostPathVolumes`)", refusal.problem);
                Refusal { problem, ..refusal }
            }
            // `restricted` says so itself.
            Level::Default | Level::Restricted => refusal,
        }
    }

    pub(super) fn judge_bind(&self, bind: &Bind<'_>, task: &TaskContainer, host: &Host) -> Option<Refusal> {
        let path = bind.path;
        let found = format!("found `{path}` of the host");
        if self.level == Level::Restricted {
            let problem =
                format!("{found}, and `--policy restricted` has no binds (control `restrictedVolumes`)");
            let remedy = "use a named volume, a tmpfs, a secret or a config";
            return Some(Refusal::absolute("volumes", problem, remedy));
        }
        let in_a_volume = host.engine.is_data(path) && path.contains("/volumes/");
        if !self.allows(Allowance::EngineSocket) {
            let exposed = host.engine.exposed_by(path, bind.wholly_read_only()).map(str::to_owned);
            let managers =
                || host.manager.on_host(path).map(|what| format!("is, contains or lies in {what}"));
            if let Some(why) = exposed.or_else(managers) {
                // What it would take beside that.
                let allowed = self.allowed.clone().with(Allowance::EngineSocket);
                let more = Policy { allowed, ..self.clone() }.judge_bind(bind, task, host);
                let word = Allowed::All(Allowance::EngineSocket);
                let allow: Vec<Allowed> =
                    [word].into_iter().chain(more.into_iter().flat_map(|more| more.allow)).collect();
                let instead = if in_a_volume { SUBPATH } else { "mount something else" };
                return Some(Refusal::liftable("volumes", format!("{found}, which {why}"), instead, allow));
            }
        } else if self.level == Level::Default && host.engine.is_socket(path) {
            return None;
        }
        if self.allows_every_path() {
            return None;
        }
        let own = task
            .mounts
            .iter()
            .filter(|mount| is_source(mount, path))
            .map(|mount| wider_than_task(bind, mount));
        let typed = self.allowed.host_paths().filter(|typed| {
            // What the engine keeps is given by its full name alone.
            typed.names(path) && (typed.is_exact() || !host.engine.is_data(path))
        });
        let allowed = typed.map(|typed| wider_than_flag(bind, typed));
        let mut best: Option<Wider> = None;
        for wider in own.chain(allowed) {
            match wider {
                None => return None,
                Some(wider) => best = Some(wider),
            }
        }
        if self.level == Level::Default && is_common(bind) {
            return None;
        }
        // Where mounts below it stay writable, a path that is given read-only is not enough.
        let read_only = bind.read_only && bind.recursive != Recursion::Writable;
        let flag = Allowed::HostPath(HostPath { path: path.to_owned(), read_only });
        let propagation = bind.propagation.filter(|word| *word != "rprivate");
        let words: Vec<&str> = read_only.then_some("ro").into_iter().chain(propagation).collect();
        let mode = if words.is_empty() { String::new() } else { format!(":{}", words.join(",")) };
        let (problem, first) = match best {
            None if in_a_volume => {
                (format!("{found}, which the task container does not mount"), SUBPATH.to_owned())
            }
            None if self.level == Level::Default && is_common(&Bind { read_only: true, ..*bind }) => {
                (format!("{found} for writing"), "add `:ro`".to_owned())
            }
            None if is_plain(path) && is_plain(bind.target) => (
                format!("{found}, which the task container does not mount"),
                format!("mount it into the pod's own service (`volumes: ['{path}:{}{mode}']`)", bind.target),
            ),
            None => (
                format!("{found}, which the task container does not mount"),
                "mount it into the pod's own service".to_owned(),
            ),
            Some(Wider::Writable) => {
                (format!("{found} for writing, which is given read-only"), "add `:ro`".to_owned())
            }
            Some(Wider::Recursive) => (
                format!("{found} with the mounts below it, which are not given like that"),
                "mount it with the same `bind.recursive` as the pod's own service".to_owned(),
            ),
            Some(Wider::Propagation(word)) => {
                let problem = format!("{found} with the propagation `{word}`, which is not given");
                let remedy =
                    format!("leave it out, or give the same mount of the pod's own service `{word}`");
                return Some(Refusal::absolute("volumes", problem, remedy));
            }
        };
        if propagation.is_some() {
            return Some(Refusal::absolute("volumes", problem, first));
        }
        Some(Refusal::liftable("volumes", problem, &first, vec![flag]))
    }
}

/// The mount binds this tidy path of the host, as the operator typed it or as the engine shows it.
fn is_source(mount: &TaskMount, path: &str) -> bool {
    let sources = [Some(&mount.source), mount.typed_source.as_ref()].into_iter().flatten();
    mount.kind == "bind" && sources.filter_map(|source| tidy_path(source)).any(|source| source == path)
}

fn wider_than_task(bind: &Bind<'_>, given: &TaskMount) -> Option<Wider> {
    use Recursion::{Disabled, Enabled, ReadOnly, Writable};
    if !given.writable && !bind.read_only {
        return Some(Wider::Writable);
    }
    let as_strict = match (given.writable, given.recursive) {
        (_, Disabled) => bind.recursive == Disabled,
        (true, _) | (false, Writable) => true,
        (false, Enabled) => bind.recursive != Writable,
        (false, ReadOnly) => matches!(bind.recursive, ReadOnly | Disabled),
    };
    if !as_strict {
        return Some(Wider::Recursive);
    }
    wider_propagation(bind, &given.propagation)
}

fn wider_than_flag(bind: &Bind<'_>, given: &HostPath) -> Option<Wider> {
    match given.read_only {
        true if !bind.read_only => Some(Wider::Writable),
        true if bind.recursive == Recursion::Writable => Some(Wider::Recursive),
        _ => wider_propagation(bind, ""),
    }
}

fn wider_propagation(bind: &Bind<'_>, given: &str) -> Option<Wider> {
    let word = bind.propagation.unwrap_or("rprivate");
    (word != "rprivate" && word != given).then(|| Wider::Propagation(word.to_owned()))
}

fn is_common(bind: &Bind<'_>) -> bool {
    let path = canonical(bind.path);
    COMMON.contains(&path.as_str())
        && bind.read_only
        && bind.recursive != Recursion::Writable
        && wider_propagation(bind, "").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &str) -> Bind<'_> {
        Bind { path, target: "/t", read_only: true, recursive: Recursion::Enabled, propagation: None }
    }

    fn task(mounts: &[(&str, bool)]) -> TaskContainer {
        let mount = |(source, writable): &(&str, bool)| TaskMount {
            kind: "bind".into(),
            source: (*source).into(),
            target: "/m".into(),
            writable: *writable,
            ..TaskMount::default()
        };
        TaskContainer { mounts: mounts.iter().map(mount).collect(), ..TaskContainer::default() }
    }

    fn policy(level: Level, allow: &[&str]) -> Policy {
        let allowed = allow.iter().map(|text| text.parse().expect("an item")).collect();
        Policy { level, allowed, ..Policy::default() }
    }

    #[track_caller]
    fn judged(policy: &Policy, bind: &Bind<'_>, task: &TaskContainer) -> Option<String> {
        policy
            .check_bind(bind, task, &Host::default())
            .map(|refusal| format!("{}; {}", refusal.problem, refusal.remedy))
    }

    #[test]
    fn a_path_that_the_operator_did_not_type_is_refused_with_both_ways_out() {
        let none = TaskContainer::default();
        assert_eq!(
            judged(&Policy::default(), &bind("/srv/data"), &none).as_deref(),
            Some(
                "found `/srv/data` of the host, which the task container does not mount; mount it into the pod's own \
                 service (`volumes: ['/srv/data:/t:ro']`), or start the manager with `--allow host-paths=/srv/data:ro`"
            )
        );
        for path in [
            "/etc",
            "/dev",
            "/dev/pts",
            "/root",
            "/usr",
            "/boot",
            "/lib",
            "/bin",
            "/var/spool/cron",
            "/run/udev",
        ] {
            for level in [Level::Default, Level::Baseline] {
                assert!(judged(&policy(level, &[]), &bind(path), &none).is_some(), "{path}");
            }
        }
    }

    #[test]
    fn the_tasks_own_source_passes_word_for_word_and_no_wider() {
        let given = task(&[("/srv/data/", false), ("/srv/rw", true)]);
        for level in [Level::Default, Level::Baseline] {
            let policy = policy(level, &[]);
            assert_eq!(judged(&policy, &bind("/srv/data"), &given), None);
            assert_eq!(judged(&policy, &Bind { read_only: false, ..bind("/srv/rw") }, &given), None);
            for path in ["/srv", "/srv/data/sub", "/srv/data2", "/srv/rw/sub"] {
                assert!(judged(&policy, &bind(path), &given).is_some(), "{path}");
            }
            let words = judged(&policy, &Bind { read_only: false, ..bind("/srv/data") }, &given);
            let words = words.unwrap_or_default();
            assert!(words.contains("given read-only") && words.contains("; add `:ro`, or"), "{words}");
            assert_eq!(words.contains("control `hostPathVolumes`"), level == Level::Baseline, "{words}");
            for recursive in [Recursion::Disabled, Recursion::ReadOnly] {
                assert_eq!(judged(&policy, &Bind { recursive, ..bind("/srv/data") }, &given), None);
            }
            let writable = Bind { recursive: Recursion::Writable, ..bind("/srv/data") };
            assert!(judged(&policy, &writable, &given).is_some());
            let shared = Bind { propagation: Some("rshared"), ..bind("/srv/data") };
            assert!(judged(&policy, &shared, &given).is_some_and(|words| words.contains("`rshared`")));
        }
        let mut slave = task(&[("/srv", true)]);
        slave.mounts[0].propagation = "rslave".into();
        slave.mounts[0].recursive = Recursion::Disabled;
        let asked = |recursive, propagation| Bind { recursive, propagation, ..bind("/srv") };
        let policy = Policy::default();
        assert_eq!(judged(&policy, &asked(Recursion::Disabled, Some("rslave")), &slave), None);
        assert!(judged(&policy, &asked(Recursion::Enabled, None), &slave).is_some());
        assert!(judged(&policy, &asked(Recursion::Disabled, Some("rshared")), &slave).is_some());
    }

    #[test]
    fn a_volume_of_the_task_is_no_typed_path() {
        let mut volume = task(&[("/var/lib/docker/volumes/v/_data", true)]);
        volume.mounts[0].kind = "volume".into();
        assert!(judged(&Policy::default(), &bind("/var/lib/docker/volumes/v/_data"), &volume).is_some());
    }

    #[test]
    fn the_flag_gives_a_path_or_what_is_right_below_it() {
        let none = TaskContainer::default();
        for level in [Level::Default, Level::Baseline] {
            let policy = policy(level, &["host-paths=/srv/a:ro", "host-paths=/data/*"]);
            assert_eq!(judged(&policy, &bind("/srv/a"), &none), None);
            assert!(judged(&policy, &Bind { read_only: false, ..bind("/srv/a") }, &none).is_some());
            assert_eq!(judged(&policy, &Bind { read_only: false, ..bind("/data/x") }, &none), None);
            for path in ["/data", "/data/x/y", "/srv/a/b", "/srv"] {
                assert!(judged(&policy, &bind(path), &none).is_some(), "{path}");
            }
        }
        let every = judged(&policy(Level::Baseline, &["host-paths"]), &bind("/etc"), &none);
        assert!(every.is_some_and(|words| words.contains("`--allow host-paths=/etc:ro`")));
        let all = policy(Level::Default, &["host-paths"]);
        assert_eq!(judged(&all, &Bind { read_only: false, ..bind("/etc") }, &none), None);
        assert!(judged(&all, &bind("/"), &none).is_some_and(|words| words.contains("engine-socket")));
        assert_eq!(
            judged(&policy(Level::Default, &["host-paths", "engine-socket"]), &bind("/"), &none),
            None
        );
    }

    #[test]
    fn what_exposes_the_engine_is_refused_though_it_was_typed() {
        let sources = [
            "/",
            "/var",
            "/var/run/docker.sock",
            "/run",
            "/proc",
            "/run/dbus",
            "/var/lib/docker",
            "/run/containerd",
        ];
        for path in sources {
            let given = task(&[(path, true)]);
            let words = judged(&Policy::default(), &bind(path), &given).unwrap_or_default();
            assert!(words.contains("`--allow engine-socket`"), "{path}: {words}");
            assert_eq!(
                judged(&policy(Level::Default, &["engine-socket"]), &bind(path), &given),
                None,
                "{path}"
            );
        }
        let socket = bind("/run/docker.sock");
        assert_eq!(
            judged(&policy(Level::Default, &["engine-socket"]), &socket, &TaskContainer::default()),
            None
        );
    }

    #[test]
    fn the_engines_data_passes_typed_in_full_and_read_only() {
        let logs = "/var/lib/docker/containers";
        let none = TaskContainer::default();
        for allow in [format!("host-paths={logs}:ro"), format!("host-paths={logs}")] {
            let policy = policy(Level::Default, &[&allow]);
            assert_eq!(judged(&policy, &bind(logs), &none), None);
            assert!(judged(&policy, &Bind { read_only: false, ..bind(logs) }, &none).is_some());
        }
        assert_eq!(judged(&Policy::default(), &bind(logs), &task(&[(logs, false)])), None);
        let pattern = policy(Level::Default, &["host-paths=/var/lib/docker/*"]);
        assert!(judged(&pattern, &bind(logs), &none).is_some());
    }

    #[test]
    fn the_cgroup_tree_is_read_only_with_all_that_is_mounted_below() {
        let given = task(&[("/sys/fs/cgroup", true)]);
        assert!(judged(&Policy::default(), &bind("/sys/fs/cgroup"), &given).is_some());
        let whole = Bind { recursive: Recursion::ReadOnly, ..bind("/sys/fs/cgroup") };
        assert_eq!(judged(&Policy::default(), &whole, &given), None);
    }

    #[test]
    fn five_common_paths_pass_read_only_under_default_alone() {
        let none = TaskContainer::default();
        for path in COMMON.into_iter().chain(["/lib/modules"]) {
            assert_eq!(judged(&Policy::default(), &bind(path), &none), None, "{path}");
            assert!(judged(&policy(Level::Baseline, &[]), &bind(path), &none).is_some(), "{path}");
            assert!(
                judged(&Policy::default(), &Bind { read_only: false, ..bind(path) }, &none).is_some(),
                "{path}"
            );
        }
        assert!(judged(&Policy::default(), &bind("/etc/ssl"), &none).is_some());
    }

    #[test]
    fn restricted_has_no_binds_whatever_is_given() {
        let given = task(&[("/srv", true)]);
        let policy = policy(Level::Restricted, &["host-paths", "engine-socket", "host-paths=/srv"]);
        assert!(
            judged(&policy, &bind("/srv"), &given).is_some_and(|words| words.contains("restrictedVolumes"))
        );
    }
}
