//! Where the tests play: pause as PID 1 of a PID namespace of its own, watched from outside.
//!
//! Every wait is for a condition and has a limit. Everything that a test starts is killed when its guard is
//! dropped, also while a failed test unwinds.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use pause::control::{Frame, encode};

/// Longer than anything takes on a machine that is busy with something else.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Shell words for a child: what it sends over its control channel.
pub(crate) const SAY_HEALTHY: &str = r"printf '\000\003h\001\000' >&3";
pub(crate) const SAY_UNHEALTHY: &str = r"printf '\000\003h\002\000' >&3";
pub(crate) const SAY_EXIT_7: &str = r"printf '\000\003x\007\000' >&3";
pub(crate) const SAY_HOLD_1: &str = r"printf '\000\003H\001\001\001\001\000' >&3";
pub(crate) const SAY_CLOSE_LISTENER: &str = r"printf '\000\002l\000' >&3";

/// The release program: from `$TANDEM_DIST` (where `cargo xtask images` leaves it), else built here, once.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("TANDEM_DIST") {
        Some(dist) => {
            let program = PathBuf::from(dist).join("pause");
            assert!(program.is_file(), "`TANDEM_DIST` has no `pause`: {}", program.display());
            program
        }
        None => build(),
    })
}

/// Builds it in a target directory of its own: the one that `cargo test` uses may be locked.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--package", "pause", "--bin", "pause"])
        .args(["--features", "program", "--target-dir"])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CARGO_BUILD_TARGET")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "cargo could not build the program");
    target.join("release/pause")
}

/// Runs a command to its end.
pub(crate) fn run<S: Into<OsString> + Clone>(args: &[S]) -> Output {
    let mut args = args.iter().cloned().map(Into::into);
    let program = args.next().expect("a command");
    let child = Command::new(&program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {program:?}: {error}"));
    let pid = pid_of(&child);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(child.wait_with_output()));
    match told.recv_timeout(LIMIT) {
        Ok(output) => output.expect("its output"),
        Err(_) => {
            let _ = signal::kill(pid, Signal::SIGKILL);
            panic!("{program:?} did not end");
        }
    }
}

/// Runs the program itself, not as PID 1.
pub(crate) fn run_program(args: &[&str]) -> Output {
    let mut all = vec![program().as_os_str().to_os_string()];
    all.extend(args.iter().map(OsString::from));
    run(&all)
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    assert!(within(LIMIT, &mut holds), "waited in vain: {what}");
}

/// Whether a condition comes to hold within the limit.
pub(crate) fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        // Nobody unparks it: this is how often it looks, not how long it waits.
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// A value of `/proc/PID/status`, as it is written there.
pub(crate) fn status_of(pid: Pid, key: &str) -> String {
    let content = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    value_in(&content, key)
}

/// A value in text like `/proc/PID/status`.
pub(crate) fn value_in(content: &str, key: &str) -> String {
    let line = content.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no `{key}` in {content}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Voluntary and other context switches of a process so far.
pub(crate) fn switches_of(pid: Pid) -> u64 {
    ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"]
        .iter()
        .map(|key| status_of(pid, key).parse::<u64>().expect("a number"))
        .sum()
}

/// The children of a process, dead ones too.
pub(crate) fn children_of(pid: Pid) -> Vec<Pid> {
    let content = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    content.split_whitespace().map(|child| Pid::from_raw(child.parse().expect("a PID"))).collect()
}

/// Whether a process is dead and nobody has taken its status.
pub(crate) fn is_zombie(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|content| value_in(&content, "State").starts_with('Z'))
}

/// A new directory, removed when dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is to be started.
pub(crate) struct Stage {
    args: Vec<OsString>,
    before: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    blocked: Option<Signal>,
    terminal: bool,
}

impl Stage {
    /// The program with these arguments.
    pub(crate) fn new(args: &[&str]) -> Self {
        let args =
            std::iter::once(program().as_os_str().to_os_string()).chain(args.iter().map(OsString::from));
        Self::of(args.collect())
    }

    /// A supervised shell.
    pub(crate) fn supervising(script: &str) -> Self {
        Self::new(&["--", "/bin/sh", "-c", script])
    }

    /// Any program.
    pub(crate) fn of(args: Vec<OsString>) -> Self {
        Self { args, before: vec![], env: vec![], stdin: None, stdout: None, blocked: None, terminal: false }
    }

    /// Words of a command that runs the program in its own place.
    pub(crate) fn before(mut self, words: &[&str]) -> Self {
        self.before = words.iter().map(ToString::to_string).collect();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// It is started on a terminal of its own: what is returned is the keyboard and the screen.
    pub(crate) fn on_a_terminal(mut self) -> (Self, OwnedFd) {
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        self.terminal = true;
        let again = terminal.slave.try_clone().expect("a descriptor");
        (self.stdin(terminal.slave).stdout(again), terminal.master)
    }

    /// It is started with this signal blocked.
    pub(crate) fn blocking(mut self, signal: Signal) -> Self {
        self.blocked = Some(signal);
        self
    }

    /// Starts it as PID 1 and waits until it is there.
    pub(crate) fn start(self) -> Pod {
        let mut command = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"]);
        command.args(&self.before).args(&self.args).envs(self.env);
        command.stdin(self.stdin.unwrap_or_else(Stdio::null));
        command.stdout(self.stdout.unwrap_or_else(Stdio::piped)).stderr(Stdio::piped());
        // It says where the program is found, and only to the tests.
        command.env_remove("TANDEM_DIST");
        let (blocked, terminal) = (self.blocked, self.terminal);
        // SAFETY: only system calls that a signal handler may make, too.
        unsafe {
            command.pre_exec(move || {
                if let Some(signal) = blocked {
                    let set = nix::sys::signal::SigSet::from(signal);
                    set.thread_block()?;
                }
                if terminal {
                    nix::unistd::setsid()?;
                    Errno::result(libc::ioctl(1, libc::TIOCSCTTY, 0))?;
                }
                Ok(())
            });
        }
        let mut unshare = command.spawn().expect("unshare runs");
        let out = unshare.stdout.take().map_or_else(Text::default, Text::collect);
        let err = unshare.stderr.take().map_or_else(Text::default, Text::collect);
        let input = unshare.stdin.take();
        let front = pid_of(&unshare);
        let (tell, ended) = mpsc::channel();
        thread::spawn(move || tell.send(unshare.wait().expect("its status")));
        let mut pod = Pod { front, init: None, ended, status: None, out, err, input };
        let name = self.args[0].to_str().and_then(|path| path.rsplit('/').next()).expect("a name").to_owned();
        until("PID 1 is there", || {
            pod.look_for_init(&name);
            pod.init.is_some() || pod.ended()
        });
        pod
    }
}

/// PID 1 and all that runs below it.
pub(crate) struct Pod {
    front: Pid,
    init: Option<Pid>,
    ended: mpsc::Receiver<ExitStatus>,
    status: Option<ExitStatus>,
    pub(crate) out: Text,
    pub(crate) err: Text,
    input: Option<std::process::ChildStdin>,
}

impl Pod {
    /// PID 1, as it is called outside.
    pub(crate) fn init(&self) -> Pid {
        self.init.unwrap_or_else(|| panic!("PID 1 has ended: {}", self.err.text()))
    }

    /// The supervised child: the one in a session of its own making.
    pub(crate) fn child(&self) -> Pid {
        let mut found = None;
        until("there is a child", || {
            found = self.living_child();
            found.is_some()
        });
        found.expect("just found")
    }

    /// The supervised child, if it runs now.
    pub(crate) fn living_child(&self) -> Option<Pid> {
        let init = self.init?;
        children_of(init).into_iter().find(|&child| {
            // Before `execve` it is still a copy of pause.
            let is_command = fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|exe| exe != program());
            is_command && nix::unistd::getsid(Some(child)) == Ok(child) && !is_zombie(child)
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal::kill(self.init(), signal).expect("PID 1 is there");
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("standard input is a pipe");
        input.write_all(bytes).expect("PID 1 reads");
    }

    pub(crate) fn send(&mut self, frame: Frame<'_>) {
        self.write(&bytes_of(frame));
    }

    /// The writer of the control channel that can be moved to a thread.
    pub(crate) fn take_input(&mut self) -> std::process::ChildStdin {
        self.input.take().expect("standard input is a pipe")
    }

    pub(crate) fn close_input(&mut self) {
        drop(self.take_input());
    }

    /// Waits for its end: the exit status.
    pub(crate) fn wait(&mut self) -> i32 {
        match self.wait_for(LIMIT) {
            Some(status) => status,
            None => panic!("it did not end; it said: {}", self.err.text()),
        }
    }

    /// Its exit status, if it ends within the limit.
    pub(crate) fn wait_for(&mut self, limit: Duration) -> Option<i32> {
        if self.status.is_none() {
            self.status = self.ended.recv_timeout(limit).ok();
        }
        let status = self.status?;
        self.init = None;
        Some(status.code().unwrap_or_else(|| panic!("killed by {:?}: {}", status.signal(), self.err.text())))
    }

    /// The health that it shows.
    pub(crate) fn health(&self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.init())).expect("PID 1 is there").trim().to_owned()
    }

    pub(crate) fn until_health(&self, want: &str) {
        until(&format!("it says `{want}`"), || self.health() == want);
    }

    /// Runs a command among the pod's processes.
    pub(crate) fn exec(&self, args: &[&str]) -> Output {
        let target = self.init().to_string();
        let mut all = vec!["nsenter", "--target", &target, "--pid", "--mount", "--"];
        if !nix::unistd::geteuid().is_root() {
            all.splice(3..3, ["--user", "--preserve-credentials"]);
        }
        all.extend(args);
        run(&all)
    }

    fn ended(&mut self) -> bool {
        self.status = self.status.or_else(|| self.ended.try_recv().ok());
        self.status.is_some()
    }

    /// It is there once it has its own name: pause gives itself one as soon as signals are safe with it.
    fn look_for_init(&mut self, name: &str) {
        let pause = program().file_name().is_some_and(|program| program == name);
        self.init = children_of(self.front).into_iter().find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| match pause {
                true => comm.starts_with("pause "),
                false => comm.trim_end() == name,
            })
        });
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if self.ended() {
            return;
        }
        // PID 1 first: its namespace dies with it. `unshare` could not kill one that changed its user
        // (`prctl(2)`, PR_SET_PDEATHSIG).
        for pid in children_of(self.front).into_iter().chain([self.front]) {
            let _ = signal::kill(pid, Signal::SIGKILL);
        }
        let _ = self.ended.recv_timeout(LIMIT);
    }
}

/// What a process writes, as it comes.
#[derive(Clone, Default)]
pub(crate) struct Text(Arc<Shared>);

#[derive(Default)]
struct Shared {
    so_far: Mutex<SoFar>,
    changed: Condvar,
}

#[derive(Default)]
struct SoFar {
    bytes: Vec<u8>,
    ended: bool,
}

impl Text {
    fn collect(mut from: impl Read + Send + 'static) -> Self {
        let text = Self::default();
        let shared = text.clone();
        thread::spawn(move || {
            let mut piece = [0; 65536];
            loop {
                let length = from.read(&mut piece).unwrap_or(0);
                let mut so_far = shared.lock();
                so_far.bytes.extend_from_slice(&piece[..length]);
                so_far.ended |= length == 0;
                shared.0.changed.notify_all();
                if length == 0 {
                    return;
                }
            }
        });
        text
    }

    fn lock(&self) -> MutexGuard<'_, SoFar> {
        // A test that failed while it looked has changed nothing.
        self.0.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; what came so far is left locked. False: in vain.
    fn wait_while(&self, mut goes_on: impl FnMut(&SoFar) -> bool) -> (MutexGuard<'_, SoFar>, bool) {
        let waited = self.0.changed.wait_timeout_while(self.lock(), LIMIT, |so_far| goes_on(so_far));
        let (so_far, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        (so_far, !timeout.timed_out())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits until what came so far is enough.
    pub(crate) fn until(&self, what: &str, mut enough: impl FnMut(&[u8]) -> bool) {
        let (so_far, came) = self.wait_while(|so_far| !enough(&so_far.bytes));
        assert!(came, "waited in vain for {what}; it said: {}", String::from_utf8_lossy(&so_far.bytes));
    }

    /// Waits until this was written.
    pub(crate) fn until_contains(&self, words: &str) {
        self.until(words, |bytes| String::from_utf8_lossy(bytes).contains(words));
    }

    /// All of it, once the last writer is gone.
    pub(crate) fn at_end(&self) -> String {
        let (so_far, came) = self.wait_while(|so_far| !so_far.ended);
        assert!(came, "the output did not end");
        String::from_utf8_lossy(&so_far.bytes).into_owned()
    }
}

/// A frame on the wire.
pub(crate) fn bytes_of(frame: Frame<'_>) -> Vec<u8> {
    let mut bytes = vec![];
    encode(&frame, |piece| bytes.extend_from_slice(piece));
    bytes
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a PID"))
}
