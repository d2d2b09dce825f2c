//! An attacker in a component: tries everything that could lead to the engine, the manager or `pause`, and prints what
//! succeeded. The suite in `tests/attack/mod.rs` runs it in every kind of pod, and against a holder that does nothing to
//! protect itself, where each attempt must succeed.
//!
//! ```text
//! attacker scan [--setuid UID] [--bare] [--ports]   every attack once
//! attacker spin SECONDS [--setuid UID] [--bare]   the quick ones, on every process that appears
//! attacker hold SOCKET                       the naive holder
//! attacker nap | wait                        a process to be found
//! ```
//! With `--bare` PID 1, and whatever is called `pause`, is in a container that holds nothing: what succeeds there is
//! `bare`, not `SUCCESS`, unless it leads to the engine.
#![allow(clippy::disallowed_methods, missing_docs, reason = "an attacker keeps no rules")]

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{IoSliceMut, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// How long somebody who was connected to may take to say something.
const ANSWER: Duration = Duration::from_millis(300);
/// Files that one walk looks at.
const MOST_FILES: usize = 20_000;
/// The naive holder's abstract socket and port.
const NAIVE: &str = "tandem-naive";
const NAIVE_PORT: u16 = 2375;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize| args.get(index).map(String::as_str).unwrap_or_default();
    let after = |flag: &str| args.iter().position(|arg| arg == flag).map(|at| word(at + 1));
    if let Some(user) = after("--setuid") {
        become_user(user.parse().expect("a user id"));
    }
    let bare = args.iter().any(|arg| arg == "--bare");
    match word(0) {
        "scan" => scan(bare, args.iter().any(|arg| arg == "--ports")),
        "spin" => spin(Duration::from_secs(word(1).parse().expect("seconds")), bare),
        "hold" => hold(word(1)),
        "nap" => std::thread::sleep(ANSWER),
        _ => loop {
            std::thread::park();
        },
    }
}

fn become_user(id: u32) {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    setgroups(&[]).expect("no groups");
    setresgid(gid, gid, gid).expect("another group");
    setresuid(uid, uid, uid).expect("another user");
}

/// Attackers and what they start.
const OURS: &[&str] = &["attacker", "curl", "gdb", "iconv", "strace", "timeout"];

/// What was tried on one process; told at the end, since it may turn out to be an attacker that was on its way.
struct Trial {
    pid: u32,
    who: String,
    bare: bool,
    lines: Vec<(bool, String, String, bool)>,
}

impl Trial {
    fn on(pid: u32, bare: bool) -> Trial {
        Trial { pid, who: format!("{pid}:{}", name_of(pid).replace(' ', "_")), bare, lines: Vec::new() }
    }

    fn note(&mut self, kind: &str, success: bool) {
        let who = self.who.clone();
        self.note_at(kind, who, success);
    }

    fn note_at(&mut self, kind: &str, what: String, success: bool) {
        self.lines.push((self.bare, kind.to_owned(), what, success));
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let names = [self.who.split_once(':').map(|(_, name)| name.to_owned()), Some(name_of(self.pid))];
        if names.iter().flatten().any(|name| OURS.contains(&name.as_str())) {
            return;
        }
        for (bare, kind, what, success) in &self.lines {
            told(*bare, kind, what, *success);
        }
    }
}

/// It is the `pause` that holds namespaces, or a health check in its container.
fn holds_nothing(pid: u32) -> bool {
    pid == 1 || name_of(pid).starts_with("pause")
}

fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Tells what one attack came to.
fn told(bare: bool, kind: &str, what: &str, success: bool) {
    match success {
        true if bare && !["engine", "curl"].contains(&kind) => println!("bare {kind} {what}"),
        true => println!("SUCCESS {kind} {what}"),
        false => println!("failed {kind} {what}"),
    }
}

fn scan(bare: bool, all: bool) {
    for pid in others() {
        let bare = bare && holds_nothing(pid);
        quick(pid, bare);
        // What is on its way into a container is an attacker soon.
        if !name_of(pid).starts_with("runc:") {
            thorough(pid, bare);
        }
    }
    sockets_of_files();
    abstract_sockets();
    shared_memory();
    if all {
        ports();
    }
}

fn spin(time: Duration, bare: bool) {
    let began = Instant::now();
    let mut seen = BTreeSet::new();
    let mut count = 0;
    while began.elapsed() < time {
        // Under another name it runs another program.
        let now: BTreeSet<(u32, String)> = others().into_iter().map(|pid| (pid, name_of(pid))).collect();
        for (pid, _) in now.difference(&seen) {
            // Some are gone before they have been looked at, and that is the point.
            quick(*pid, bare && holds_nothing(*pid));
            count += 1;
        }
        seen = now;
    }
    println!("spun {count}");
}

/// Every process in sight that is not an attacker's.
fn others() -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let name = name_of(*pid);
        !name.is_empty() && !OURS.contains(&name.as_str())
    })
    .collect()
}

/// What takes a moment.
fn quick(pid: u32, bare: bool) {
    let mut trial = Trial::on(pid, bare);
    let of = |path: &str| format!("/proc/{pid}/{path}");
    for path in ["root/var/run/docker.sock", "root/run/docker.sock", "cwd/var/run/docker.sock"] {
        if is_engine(Path::new(&of(path))) {
            trial.note_at("engine", of(path), true);
        }
    }
    // On its way into a container, perhaps this one: what it leads to counts, not that it can be looked into.
    if trial.who.contains(":runc:") {
        return;
    }
    for name in ["root", "cwd"] {
        trial.note(name, fs::read_dir(of(&format!("{name}/"))).is_ok());
    }
    // Their numbers alone say nothing.
    let mut descriptors = fs::read_dir(of("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
    trial.note("fd", descriptors.any(|path| fs::read_link(&path).is_ok() || File::open(&path).is_ok()));
    let environ = fs::read(of("environ"));
    trial.note("environ", environ.is_ok_and(|bytes| !bytes.is_empty()));
    let mem = OpenOptions::new().read(true).write(true).open(of("mem"));
    trial.note("mem", mem.is_ok());
    trial.note("pidfd_getfd", stolen_descriptor(pid));
}

fn thorough(pid: u32, bare: bool) {
    let mut trial = Trial::on(pid, bare);
    let of = |path: &str| format!("/proc/{pid}/{path}");
    let maps = fs::read_to_string(of("maps")).unwrap_or_default();
    trial.note("maps", !maps.is_empty());
    let files = fs::read_dir(of("map_files")).map(|entries| entries.flatten().count());
    trial.note("map_files", files.is_ok_and(|count| count > 0));
    trial.note("process_vm_readv", may_touch_memory(pid, false));
    trial.note("process_vm_writev", may_touch_memory(pid, true));
    trial.note("ptrace", seized(pid));
    // SAFETY: no pointers.
    trial.note("signal", unsafe { libc::kill(libc::pid_t::try_from(pid).expect("a pid"), 0) } == 0);
    let number = pid.to_string();
    let gdb = ["-p", &number, "-batch", "-nx", "-ex", "info registers rip"];
    trial.note("gdb", says("gdb", &gdb, "rip "));
    trial.note("strace", says("timeout", &["1", "strace", "-p", &number], "attached"));
    let socket = of("root/var/run/docker.sock");
    let curl = ["-s", "-i", "--max-time", "2", "--unix-socket", &socket, "http://engine/_ping"];
    trial.note("curl", says("curl", &curl, "Api-Version"));
}

/// An engine answers there.
fn is_engine(path: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(path) else { return false };
    let _ = stream.set_read_timeout(Some(ANSWER));
    answers(&mut stream)
}

fn answers(stream: &mut (impl Read + Write)) -> bool {
    if stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").is_err() {
        return false;
    }
    let mut text = Vec::new();
    let _ = stream.take(4096).read_to_end(&mut text);
    String::from_utf8_lossy(&text).contains("Api-Version")
}

/// One of its descriptors can be had.
fn stolen_descriptor(pid: u32) -> bool {
    // SAFETY: system calls with numbers only; what they return is a descriptor or -1.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if process < 0 {
            return false;
        }
        let stolen = (0..64).any(|number| {
            let stolen = libc::syscall(libc::SYS_pidfd_getfd, process, number, 0);
            if stolen >= 0 {
                libc::close(i32::try_from(stolen).unwrap_or(-1));
            }
            stolen >= 0
        });
        libc::close(i32::try_from(process).unwrap_or(-1));
        stolen
    }
}

/// The kernel refuses with `EPERM` before it looks at the address.
fn may_touch_memory(pid: u32, write: bool) -> bool {
    let mut byte = [0_u8; 1];
    let local = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(0x1000), iov_len: 1 };
    let pid = libc::pid_t::try_from(pid).expect("a pid");
    // SAFETY: the local buffer lives; the kernel checks the remote one.
    let done = unsafe {
        match write {
            true => libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0),
            false => libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0),
        }
    };
    done >= 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

fn seized(pid: u32) -> bool {
    let pid = libc::pid_t::try_from(pid).expect("a pid");
    // SAFETY: no pointers.
    unsafe {
        let seized = libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) == 0;
        if seized {
            libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
            libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL);
            libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
        }
        seized
    }
}

/// A program says this word.
fn says(program: &str, args: &[&str], word: &str) -> bool {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    output.is_ok_and(|output| {
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).contains(word)
    })
}

/// Every socket file in sight, in every mount.
fn sockets_of_files() {
    let mut folders = vec![std::path::PathBuf::from("/")];
    let (mut looked, mut found) = (0, false);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            // Not what the folder says: a mount may lie on it.
            let Ok(kind) = fs::symlink_metadata(&path).map(|meta| meta.file_type()) else { continue };
            looked += 1;
            if looked > MOST_FILES {
                return told(false, "socket_file", "too many files", true);
            }
            if kind.is_dir() && !path.starts_with("/proc") && !path.starts_with("/sys") {
                folders.push(path);
            } else if kind.is_socket() && is_engine(&path) {
                found = true;
                told(false, "socket_file", &path.display().to_string(), true);
            } else if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".tandem-")) {
                // What the manager keeps for the next one.
                told(false, "marks", &path.display().to_string(), true);
            }
        }
    }
    if !found {
        told(false, "socket_file", &format!("{looked} files"), false);
    }
}

/// Every abstract socket of the network namespace: connects, and takes what is handed over.
fn abstract_sockets() {
    let text = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let names: BTreeSet<&str> =
        text.lines().filter_map(|line| line.split_whitespace().nth(7)?.strip_prefix('@')).collect();
    let mut connected = 0;
    for name in &names {
        let Ok(address) = UnixAddr::from_abstract_name(name.as_bytes()) else { continue };
        let Ok(stream) = UnixStream::connect_addr(&address) else { continue };
        connected += 1;
        told(false, "abstract", name, true);
        if let Some(descriptor) = received(&stream) {
            told(false, "scm_rights", &format!("{name} gave {descriptor}"), true);
        }
    }
    if connected == 0 {
        told(false, "abstract", &format!("{} names", names.len()), false);
    }
}

fn received(stream: &UnixStream) -> Option<i32> {
    let _ = stream.set_read_timeout(Some(ANSWER));
    let mut bytes = [0; 64];
    let mut space = nix::cmsg_space!([i32; 4]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).ok()?;
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    })
}

fn ports() {
    let mut open = 0;
    for host in ["127.0.0.1", "[::1]"] {
        for port in 1..=u16::MAX {
            let address: SocketAddr = format!("{host}:{port}").parse().expect("an address");
            if let Ok(mut stream) = TcpStream::connect_timeout(&address, ANSWER) {
                // The kernel connects a socket with itself now and then.
                if stream.local_addr().ok() == stream.peer_addr().ok() {
                    continue;
                }
                open += 1;
                let _ = stream.set_read_timeout(Some(ANSWER));
                let kind = if answers(&mut stream) { "engine_port" } else { "port" };
                told(false, kind, &address.to_string(), true);
            }
        }
    }
    if open == 0 {
        told(false, "port", "131070 ports", false);
    }
}

/// Shared memory and message queues that are not the attacker's: files, and what System V has.
fn shared_memory() {
    for (kind, folder) in [("shared_memory", "/dev/shm"), ("mqueue", "/dev/mqueue")] {
        let mut found = false;
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if OpenOptions::new().write(true).open(entry.path()).is_ok() {
                found = true;
                told(false, kind, &entry.path().display().to_string(), true);
            }
        }
        if !found {
            told(false, kind, folder, false);
        }
    }
    for kind in ["msg", "sem", "shm"] {
        // A line of heads, and then one for each.
        let table = fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let ids = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect::<Vec<_>>();
        told(false, &format!("sysv_{kind}"), &ids.join(","), !ids.is_empty());
    }
}

/// Holds the engine's socket as somebody would who does not think of neighbours.
fn hold(socket: &str) {
    let engine = UnixStream::connect(socket).expect("the engine");
    let kept = File::open("/").expect("a folder");
    fs::write("/dev/shm/naive", "secret").expect("written");
    // SAFETY: the name lives, and no attributes are given; the rest are numbers.
    unsafe {
        let flags = libc::O_CREAT | libc::O_RDWR;
        let none = std::ptr::null_mut::<libc::mq_attr>();
        assert!(libc::mq_open(c"/naive".as_ptr(), flags, 0o600, none) >= 0, "a message queue");
        assert!(libc::msgget(libc::IPC_PRIVATE, 0o600) >= 0, "messages");
        assert!(libc::semget(libc::IPC_PRIVATE, 1, 0o600) >= 0, "semaphores");
        assert!(libc::shmget(libc::IPC_PRIVATE, 4096, 0o600) >= 0, "memory");
    }
    // What one manager leaves for the next, within reach.
    fs::write("/dev/shm/.tandem-naive", "id").expect("written");
    let address = UnixAddr::from_abstract_name(NAIVE.as_bytes()).expect("a name");
    let listener = UnixListener::bind_addr(&address).expect("a socket");
    let port = TcpListener::bind(("127.0.0.1", NAIVE_PORT)).expect("a port");
    let target = socket.to_owned();
    std::thread::spawn(move || {
        for mut client in port.incoming().flatten() {
            let Ok(mut engine) = UnixStream::connect(&target) else { continue };
            let mut bytes = [0; 4096];
            let read = client.read(&mut bytes).unwrap_or(0);
            let _ = engine.write_all(&bytes[..read]);
            let _ = engine.set_read_timeout(Some(ANSWER));
            let _ = std::io::copy(&mut engine, &mut client);
        }
    });
    println!("holding {} {}", engine.as_raw_fd(), fs::metadata(socket).map_or(0, |meta| meta.ino()));
    for client in listener.incoming().flatten() {
        let _ = give(&client, kept.as_raw_fd());
    }
}

/// Hands a descriptor over.
fn give(client: &UnixStream, descriptor: i32) -> nix::Result<()> {
    use nix::sys::socket::{ControlMessage, sendmsg};
    let parts = [std::io::IoSlice::new(b"x")];
    let rights = [descriptor];
    let message = [ControlMessage::ScmRights(&rights)];
    sendmsg::<()>(client.as_raw_fd(), &parts, &message, MsgFlags::empty(), None).map(drop)
}
