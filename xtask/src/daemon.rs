//! A dockerd of our own: with its own folders, socket and cgroup, and an end that leaves nothing of them, however we end.

use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupt::{self, Interrupted};
use crate::network::Namespace;
use crate::process::{self, SHORT};
use crate::workspace::Workspace;
use crate::{report, rootless};

/// Below it is one folder for each daemon. Short, because a socket's path has room for 107 bytes.
pub(crate) const RUN: &str = "/run/tandem-xtask";
/// How long a daemon may take until it answers.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end: it ends its containers first.
const STOP: Duration = Duration::from_secs(60);
/// How long it may think about one question.
const ANSWER: Duration = Duration::from_secs(10);

/// What distinguishes one daemon from another.
#[derive(Default)]
pub(crate) struct Settings<'a> {
    /// A word for names.
    pub(crate) name: &'a str,
    /// Where images and volumes are.
    pub(crate) data: PathBuf,
    /// The data stay for the next time.
    pub(crate) keep_data: bool,
    /// Beside another engine: in a namespace of its own, its containers in a cgroup of its own.
    pub(crate) apart: Option<&'a Namespace>,
    /// Its socket is made before it, and outlives its restarts, as systemd does it (`docker.socket`): a container that has
    /// the socket mounted reaches it again.
    pub(crate) activated: bool,
    /// Containers run on while it is away (`live-restore`).
    pub(crate) live_restore: bool,
    /// Users of containers are others on the host (`userns-remap`).
    pub(crate) remapped: bool,
    /// It runs as an ordinary user; its containers have no network but their own.
    pub(crate) rootless: bool,
    /// It answers on this port of every address as well, with TLS: the folder has its `ca.pem`, `cert.pem` and
    /// `key.pem`.
    pub(crate) tls: Option<(u16, &'a Path)>,
}

/// A running dockerd. Dropping it ends it and removes what it had.
pub(crate) struct Daemon {
    child: Child,
    /// What starts it.
    command: Command,
    folder: PathBuf,
    log: PathBuf,
}

impl Daemon {
    /// Start it and wait until it answers.
    pub(crate) fn start(workspace: &Workspace, settings: &Settings) -> Result<Self> {
        sweep();
        let folder = Path::new(RUN).join(format!("{}-{}", std::process::id(), settings.name));
        for path in [&folder, &settings.data] {
            fs::create_dir_all(path).with_context(|| path.display().to_string())?;
        }
        // What [`remove`] reads, also after we were killed.
        let note = if settings.keep_data { KEPT_NOTE } else { DATA_NOTE };
        fs::write(folder.join(note), settings.data.display().to_string())?;
        let cgroup = settings.apart.map(|_| cgroup_name(&folder));
        if let Some(cgroup) = &cgroup {
            fs::write(folder.join(CGROUP_NOTE), cgroup)?;
        }
        if settings.rootless
            && let Err(error) = rootless::prepare(workspace, &folder, &settings.data)
        {
            remove(&folder);
            return Err(error);
        }
        let log = workspace.log(&format!("dockerd-{}", settings.name))?;
        let started = dockerd(&folder, settings, cgroup.as_deref(), &log).and_then(|mut command| {
            let child = process::spawn(&mut command)?;
            // From here on it is ended also when the rest fails.
            Ok(Daemon { child, command, folder: folder.clone(), log: log.clone() })
        });
        let mut daemon = match started {
            Ok(daemon) => daemon,
            Err(error) => {
                remove(&folder);
                return Err(error);
            }
        };
        daemon.comes_up()?;
        // What a run that was killed left in data that stay.
        daemon.clear();
        Ok(daemon)
    }

    /// Where its socket is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `DOCKER_HOST` for it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.display())
    }

    /// `docker`, for this engine.
    pub(crate) fn docker(&self) -> Command {
        let mut docker = process::command("docker");
        docker.env("DOCKER_HOST", self.host());
        docker
    }

    /// End it, and nothing else, with TERM or KILL.
    pub(crate) fn end(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            bail!("it does not run");
        }
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        process::until("the end of dockerd", STOP, || Ok(self.child.try_wait()?))?;
        if signal == Signal::SIGKILL {
            // Its containerd was killed with it (moby: `Pdeathsig`). Where PID 1 does not reap, dockerd would take that for
            // alive.
            let _ = fs::remove_file(self.folder.join("exec/containerd/containerd.pid"));
        }
        Ok(())
    }

    /// Everything of it at once, its containers too, as when the power fails.
    pub(crate) fn fail(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        end_processes_of(&self.folder, &[Signal::SIGKILL]);
        if let Ok(cgroup) = fs::read_to_string(self.folder.join(CGROUP_NOTE)) {
            hierarchies(&cgroup).for_each(|cgroup| kill_in_cgroup(&cgroup));
        }
        // What is in memory is lost as well: the processes that its numbers name may be anybody's by now.
        let _ = fs::remove_dir_all(self.folder.join("exec"));
        let _ = fs::remove_file(self.folder.join("docker.pid"));
    }

    /// Start it again after it has ended, and wait until it answers.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            bail!("it runs");
        }
        self.child = process::spawn(&mut self.command)?;
        self.comes_up()
    }

    fn comes_up(&mut self) -> Result<()> {
        self.answers().map_err(|error| {
            if error.is::<Interrupted>() {
                return error;
            }
            let said = fs::read(&self.log).unwrap_or_default();
            let said = report::tail(&String::from_utf8_lossy(&said), 20);
            error.context(format!("dockerd does not come up; {} ends with:\n{said}", self.log.display()))
        })
    }

    /// Remove everything but images: nothing here is anybody else's.
    fn clear(&self) {
        let kinds: [(&[&str], &[&str]); 2] = [
            (&["ps", "-aq"], &["rm", "--force", "--volumes"]),
            (&["volume", "ls", "-q"], &["volume", "rm", "--force"]),
        ];
        for (list, remove) in kinds {
            let listed = process::captured(self.docker().args(list), ANSWER).unwrap_or_default();
            if !listed.is_empty() {
                let _ = process::captured(self.docker().args(remove).args(listed.lines()), SHORT);
            }
        }
        let _ = process::captured(self.docker().args(["network", "prune", "--force"]), SHORT);
    }

    fn answers(&mut self) -> Result<()> {
        process::until("the private dockerd to answer", START, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended: {status}");
            }
            // `version` answers early; `info` wants all of the engine.
            Ok(process::succeeds(self.docker().arg("info"), ANSWER)?.then_some(()))
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        interrupt::shielded(|| {
            // Containers that are removed first need no grace period from the daemon.
            self.clear();
            if let Ok(pid) = i32::try_from(self.child.id()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            let ended = process::until("its end", STOP, || Ok(self.child.try_wait()?));
            if ended.is_err() {
                process::end(&mut self.child);
            }
            remove(&self.folder);
        });
    }
}

/// Names the data folder that stays.
const KEPT_NOTE: &str = "data-root-kept";
/// Names the data folder to remove at the end.
const DATA_NOTE: &str = "data-root";
/// Names the cgroup to remove at the end.
const CGROUP_NOTE: &str = "cgroup";

/// The command line of a daemon.
fn dockerd(folder: &Path, settings: &Settings, cgroup: Option<&str>, log: &Path) -> Result<Command> {
    let at = |part: &str| folder.join(part).display().to_string();
    // Its own settings file: the machine's may name the data folder of another daemon.
    fs::write(folder.join("daemon.json"), "{}\n")?;
    let mut command = match (settings.apart, settings.activated) {
        (Some(namespace), _) if settings.rootless => namespace.command(rootless::PROGRAM),
        (None, _) if settings.rootless => process::command(rootless::PROGRAM),
        (Some(namespace), true) => namespace.command("sh"),
        (Some(namespace), false) => namespace.command("dockerd"),
        (None, true) => process::command("sh"),
        (None, false) => process::command("dockerd"),
    };
    let socket = folder.join("docker.sock");
    if settings.rootless {
        rootless::arguments(&mut command, folder)?;
    }
    let host = if settings.activated && !settings.rootless {
        // sd_listen_fds(3): sockets from 3 on, told to this process alone.
        command.args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec dockerd \"$@\"", "sh"]);
        let listener = UnixListener::bind(&socket).with_context(|| socket.display().to_string())?;
        fs::set_permissions(&socket, Permissions::from_mode(0o660))?;
        command.stdin(OwnedFd::from(listener));
        "fd://".to_owned()
    } else {
        format!("unix://{}", socket.display())
    };
    if settings.remapped {
        // The engine makes the user `dockremap` where there is none.
        command.arg("--userns-remap=default");
    }
    if settings.live_restore {
        command.arg("--live-restore");
    }
    command.args(["--config-file", &at("daemon.json"), "--host", &host]);
    command.args(["--pidfile", &at("docker.pid"), "--exec-root", &at("exec")]);
    command.arg("--data-root").arg(&settings.data);
    // Where the machine runs a containerd, dockerd uses that one, and must not take another engine's containers for
    // its own.
    let namespace = format!("tandem-xtask-{}-{}", std::process::id(), settings.name);
    command.args(["--containerd-namespace", &namespace]);
    command.args(["--containerd-plugins-namespace", &format!("{namespace}-plugins")]);
    if let Some(cgroup) = cgroup.filter(|_| !settings.rootless) {
        command.args(["--cgroup-parent", cgroup]);
    }
    if let Some((port, certificates)) = settings.tls {
        command.args(["--host", &format!("tcp://0.0.0.0:{port}"), "--tlsverify"]);
        for (flag, file) in [("--tlscacert", "ca.pem"), ("--tlscert", "cert.pem"), ("--tlskey", "key.pem")] {
            command.arg(flag).arg(certificates.join(file));
        }
    }
    if let Some(mtu) = mtu() {
        command.args(["--mtu", &mtu]);
    }
    let log = File::create(log).with_context(|| log.display().to_string())?;
    command.stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

/// A cgroup that only this daemon's containers are in, as the engine's cgroup driver wants it named.
fn cgroup_name(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().replace('-', "");
    let systemd =
        Path::new("/run/systemd/system").exists() && Path::new("/sys/fs/cgroup/cgroup.procs").exists();
    if systemd { format!("tandemxtask{name}.slice") } else { format!("/tandemxtask{name}") }
}

/// The default route's packet size: containers that send larger packets than the way out takes hang in mid-download.
fn mtu() -> Option<String> {
    let routes = fs::read_to_string("/proc/net/route").ok()?;
    let mut fields = routes.lines().skip(1).map(|line| line.split('\t'));
    let interface = fields.find_map(|mut route| {
        let interface = route.next()?;
        (route.next()? == "00000000").then(|| interface.to_owned())
    })?;
    Some(fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).ok()?.trim().to_owned())
}

/// Remove what daemons left whose `cargo xtask` was killed.
pub(crate) fn sweep() {
    for entry in fs::read_dir(RUN).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_string_lossy();
        let owner = owner.split('-').next().unwrap_or_default().to_owned();
        let alive = fs::read(format!("/proc/{owner}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains("xtask"));
        if !alive {
            report::note(&format!("removing what an earlier run left in {}", entry.path().display()));
            interrupt::shielded(|| remove(&entry.path()));
        }
    }
}

/// Everything of a daemon: what still runs of it, its cgroup, mounts and folders.
fn remove(folder: &Path) {
    end_processes_of(folder, &[Signal::SIGTERM, Signal::SIGKILL]);
    rootless::remove(folder);
    let note = |name: &str| fs::read_to_string(folder.join(name)).ok().filter(|text| !text.is_empty());
    if let Some(cgroup) = note(CGROUP_NOTE) {
        hierarchies(&cgroup).for_each(|cgroup| remove_cgroup(&cgroup));
    }
    if let Some(kept) = note(KEPT_NOTE) {
        unmount_below(Path::new(&kept));
    }
    let data = note(DATA_NOTE).map(PathBuf::from);
    for path in [Some(folder.to_path_buf()), data].into_iter().flatten() {
        unmount_below(&path);
        if let Err(error) = fs::remove_dir_all(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            report::note(&format!("{} cannot be removed: {error}", path.display()));
        }
    }
    // The last one out; it fails while there are others.
    let _ = fs::remove_dir(RUN);
}

/// End what was started with a path below the folder on its command line: dockerd, its containerd, and its shims.
fn end_processes_of(folder: &Path, signals: &[Signal]) {
    let mark = format!("{}/", folder.display());
    let found = || -> Vec<Pid> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = pids.filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&mark))
        });
        ours.map(Pid::from_raw).collect()
    };
    for signal in signals {
        for pid in found() {
            let _ = kill(pid, *signal);
        }
        let gone = process::until("their end", ANSWER, || Ok(found().is_empty().then_some(())));
        if gone.is_ok() {
            return;
        }
    }
}

/// Where a cgroup is: a folder in each hierarchy.
fn hierarchies(cgroup: &str) -> impl Iterator<Item = PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let hierarchies = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
    hierarchies.map(move |hierarchy| hierarchy.join(cgroup.trim_start_matches('/')))
}

/// Kill whatever runs in a cgroup and those below it.
fn kill_in_cgroup(path: &Path) {
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    below
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .for_each(|entry| kill_in_cgroup(&entry.path()));
    let members = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse().ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// A cgroup and those below it, what runs in them being killed.
fn remove_cgroup(path: &Path) {
    if !path.exists() {
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    kill_in_cgroup(path);
    let members = || fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    let _ = process::until("an empty cgroup", ANSWER, || Ok(members().is_empty().then_some(())));
    if let Err(error) = fs::remove_dir(path) {
        report::note(&format!("{} cannot be removed: {error}", path.display()));
    }
}

/// Unmount everything below a folder, what was mounted last first.
fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(mount).starts_with(folder) {
            let mut umount = process::command("umount");
            let _ = process::captured(umount.args(["--lazy", mount]), ANSWER);
        }
    }
}
