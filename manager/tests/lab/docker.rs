//! The `docker` command, as users have it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

/// Longest that one command may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

impl Said {
    /// Standard output as text, without white space around it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).trim().to_owned()
    }

    /// Standard error as text.
    pub(crate) fn error(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }
}

/// Is there anything to test with? Asked once a run.
#[track_caller]
pub(crate) fn ready() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        for image in [super::manager_image(), super::test_image()] {
            let output = Command::new("docker")
                .args(["image", "inspect", "--format", "{{.Id}}", &image])
                .output()
                .expect("the command `docker` can be run: install it (Debian: docker.io)");
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{words}`cargo xtask test` brings what these tests need");
        }
    });
}

/// Run it, whatever comes of it; nothing where it does not end within this time [`super::here`].
pub(crate) fn within<S: AsRef<OsStr>>(limit: Duration, args: &[S]) -> Option<Said> {
    let limit = super::here(limit).as_secs();
    let output = Command::new("timeout")
        .args(["--kill-after=5", &limit.to_string(), "docker"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("`timeout` of coreutils can be run");
    let status = output.status.code().unwrap_or(-1);
    (status != 124).then_some(Said { status, out: output.stdout, err: output.stderr })
}

/// Run it, whatever comes of it.
#[track_caller]
pub(crate) fn attempt<S: AsRef<OsStr>>(args: &[S]) -> Said {
    within(LIMIT, args).unwrap_or_else(|| {
        let words: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
        panic!("`docker {}` did not end within {:?}", words.join(" "), super::here(LIMIT))
    })
}

/// Run it, and it must succeed.
#[track_caller]
pub(crate) fn docker<S: AsRef<OsStr>>(args: &[S]) -> Said {
    ready();
    let said = attempt(args);
    let words: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy().into_owned()).collect();
    assert_eq!(said.status, 0, "`docker {}` failed: {}", words.join(" "), said.error());
    said
}

/// `docker inspect` of one container, if there is such a one.
#[track_caller]
pub(crate) fn try_inspect(container: &str) -> Option<Value> {
    let said = attempt(&["container", "inspect", container]);
    if said.status != 0 {
        assert!(said.error().contains("No such"), "cannot inspect `{container}`: {}", said.error());
        return None;
    }
    let mut found: Vec<Value> = serde_json::from_slice(&said.out).expect("inspect prints JSON");
    found.pop()
}

/// `docker inspect` of one container.
#[track_caller]
pub(crate) fn inspect(container: &str) -> Value {
    try_inspect(container).unwrap_or_else(|| panic!("there is no container `{container}`"))
}

/// Ids of the containers with this label.
#[track_caller]
pub(crate) fn labelled(label: &str) -> Vec<String> {
    let filter = format!("label={label}");
    docker(&["ps", "-aq", "--no-trunc", "--filter", &filter]).text().lines().map(str::to_owned).collect()
}

/// A container that a test started by hand, by its name; gone when this is.
pub(crate) struct Started<'a>(pub(crate) &'a str);

impl Drop for Started<'_> {
    fn drop(&mut self) {
        attempt(&["rm", "-fv", self.0]);
    }
}

/// The socket on this host by which pods reach the engine: the engine's own, or that of a filter in front of it.
pub(crate) fn socket() -> PathBuf {
    if let Some(filter) = std::env::var_os("TANDEM_ENGINE_SOCKET") {
        return filter.into();
    }
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
    let path = host.strip_prefix("unix://").unwrap_or_else(|| {
        panic!("these tests mount the engine's unix socket into pods, and `DOCKER_HOST` is `{host}`")
    });
    PathBuf::from(path)
}

/// `cgroupfs` or `systemd`, and the version of cgroups.
pub(crate) fn cgroups() -> (String, u8) {
    let text = docker(&["info", "--format", "{{.CgroupDriver}} {{.CgroupVersion}}"]).text();
    let (driver, version) = text.split_once(' ').expect("two words");
    (driver.to_owned(), version.parse().expect("a version"))
}

/// Run a shell script in a container that sees all processes of the engine's host, root among them.
#[track_caller]
pub(crate) fn on_host(script: &str) -> String {
    let image = super::test_image();
    docker(&["run", "--rm", "--pid=host", "--label", "io.tandem.test=host", &image, "sh", "-c", script])
        .text()
}

/// Run a shell script in a container that has the host's cgroups at `/tree`, to read.
#[track_caller]
pub(crate) fn in_cgroups(script: &str) -> String {
    let image = super::test_image();
    let tree = "/sys/fs/cgroup:/tree:ro";
    docker(&["run", "--rm", "-v", tree, "--label", "io.tandem.test=tree", &image, "sh", "-c", script]).text()
}

/// RFC 3339, as the engine writes it, to a time since midnight of some day; tests do not run for a day.
pub(crate) fn time(stamp: &str) -> Duration {
    let clock = stamp.split_once('T').expect("a time").1.trim_end_matches('Z');
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().expect("a number")).collect();
    Duration::from_secs_f64(parts[0] * 3600.0 + parts[1] * 60.0 + parts[2])
}
