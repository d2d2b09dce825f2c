//! What a confined manager can still do, tried by a process that confines itself as the manager does. The same is tried
//! without: what nobody could do anyway proves nothing.
#![allow(clippy::disallowed_methods, reason = "tests try everything")]

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use manager::security::confine::{EngineTransport, Landlock, confine};
use nix::libc;

/// How the child is told what it is, and with what to try.
const ROLE: &str = "TANDEM_TEST_CONFINED";
const PORTS: &str = "TANDEM_TEST_PORTS";
const SOCKETS: &str = "TANDEM_TEST_SOCKETS";

/// Everything that is tried, in order: what it is, and whether it was done.
fn attempts(ports: [u16; 2], path: &str, name: &str) -> Vec<(&'static str, bool)> {
    let abstract_name = SocketAddr::from_abstract_name(name).expect("a name");
    let map = |protection| {
        let (none, flags) = (std::ptr::null_mut(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, at an address of the kernel's choosing, that nobody uses.
        unsafe { libc::mmap(none, 4096, protection, flags, -1, 0) != libc::MAP_FAILED }
    };
    // SAFETY: the signal 0 only asks whether there is such a process.
    let signal = || unsafe { libc::kill(libc::getppid(), 0) == 0 };
    vec![
        (
            "a thread is started",
            thread::Builder::new().spawn(|| ()).is_ok_and(|thread| thread.join().is_ok()),
        ),
        ("memory is taken", map(libc::PROT_READ | libc::PROT_WRITE)),
        ("the engine's unix socket is reached", UnixStream::connect(path).is_ok()),
        ("the engine's port is reached", TcpStream::connect(("127.0.0.1", ports[0])).is_ok()),
        ("another port is reached", TcpStream::connect(("127.0.0.1", ports[1])).is_ok()),
        ("an abstract socket is reached", UnixStream::connect_addr(&abstract_name).is_ok()),
        ("the resolver's file is read", File::open("/etc/hosts").is_ok()),
        ("another file is read", File::open("/proc/self/status").is_ok()),
        ("a file is made", File::create(format!("{path}.new")).is_ok()),
        ("a cgroup is made, limited, listed and removed", handle_group(&groups(path)).is_ok()),
        ("a program is started", Command::new("/bin/true").status().is_ok()),
        ("a port is listened on", TcpListener::bind("127.0.0.1:0").is_ok()),
        ("a datagram socket is made", UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("another process is signalled", signal()),
        ("memory is made that can be executed", map(libc::PROT_READ | libc::PROT_EXEC)),
    ]
}

/// The folder that stands for that of the cgroups, beside the socket.
fn groups(path: &str) -> PathBuf {
    Path::new(path).with_file_name("groups")
}

fn handle_group(groups: &Path) -> std::io::Result<()> {
    fs::create_dir(groups.join("pod"))?;
    File::options().write(true).open(groups.join("limit"))?.write_all(b"1")?;
    fs::read_to_string(groups.join("limit"))?;
    fs::read_dir(groups)?.for_each(drop);
    fs::remove_dir(groups.join("pod"))
}

/// Not a test by itself: the process that confines itself and tries.
#[test]
fn confined_child() {
    let Ok(role) = env::var(ROLE) else { return };
    let list = |variable| env::var(variable).expect("the parent sets it");
    let ports: Vec<u16> = list(PORTS).split(' ').map(|port| port.parse().expect("a port")).collect();
    let sockets = list(SOCKETS);
    let (path, name) = sockets.split_once(' ').expect("two");
    let way = match role.as_str() {
        "unix" | "groups" => Some(EngineTransport::Unix),
        "address" => Some(EngineTransport::Tcp { port: ports[0], named: false }),
        "name" => Some(EngineTransport::Tcp { port: ports[0], named: true }),
        _ => None,
    };
    let landlock = way.map(|way| {
        let groups = groups(path);
        let confinement = confine(way, (role == "groups").then_some(groups.as_path()));
        assert!(confinement.system_calls.is_ok(), "{confinement:?}");
        confinement.landlock
    });
    println!("landlock: {}", landlock.map_or("no".to_owned(), |landlock| format!("{landlock:?}")));
    for (what, done) in attempts([ports[0], ports[1]], path, name) {
        println!("{}: {what}", if done { "done" } else { "refused" });
    }
}

/// What a process in this role is refused, and what it says of Landlock.
fn refused(role: &str) -> (Vec<String>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("docker.sock");
    let name = format!("tandem-test-{}-{role}", std::process::id());
    let _socket = UnixListener::bind(&path).expect("a socket");
    let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
    let _abstract = UnixListener::bind_addr(&abstract_name).expect("a socket");
    fs::create_dir(folder.path().join("groups")).expect("a folder");
    File::create(folder.path().join("groups/limit")).expect("a file");
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let numbers = ports.iter().map(|port| port.local_addr().expect("bound").port().to_string());
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "confined_child", "--nocapture"])
        .env(ROLE, role)
        .env(PORTS, numbers.collect::<Vec<_>>().join(" "))
        .env(SOCKETS, format!("{} {name}", path.display()))
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines = |prefix: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    assert_eq!(lines("done: ").len() + lines("refused: ").len(), 15, "{text}");
    (lines("refused: "), lines("landlock: ").pop().unwrap_or_default())
}

/// Refused by the filter of system calls, whatever kernel.
const ALWAYS: [&str; 6] = [
    "a cgroup is made, limited, listed and removed",
    "a file is made",
    "a program is started",
    "a port is listened on",
    "another process is signalled",
    "memory is made that can be executed",
];

#[test]
fn without_confinement_nothing_is_refused() {
    assert_eq!(refused("free"), (Vec::new(), "no".to_owned()));
}

#[test]
fn with_a_unix_socket_no_file_and_no_port_is_left() {
    let (refused, landlock) = refused("unix");
    let mut want = vec![
        "the engine's port is reached",
        "another port is reached",
        "the resolver's file is read",
        "another file is read",
        "a datagram socket is made",
    ];
    want.extend(ALWAYS);
    if landlock == format!("{:?}", Landlock::Whole) {
        want.push("an abstract socket is reached");
    }
    assert_same(refused, want);
}

#[test]
fn with_a_cgroup_tree_its_folder_is_left_and_nothing_beside_it() {
    let (refused, landlock) = refused("groups");
    let mut want =
        vec!["the engine's port is reached", "another port is reached", "a datagram socket is made"];
    let of_files = ["a file is made", "the resolver's file is read", "another file is read"];
    let cgroup = "a cgroup is made, limited, listed and removed";
    want.extend(ALWAYS.into_iter().filter(|what| !of_files.contains(what) && *what != cgroup));
    // Which files is for Landlock alone to say.
    if landlock == format!("{:?}", Landlock::Whole) || landlock == format!("{:?}", Landlock::Partly) {
        want.extend(of_files);
    }
    if landlock == format!("{:?}", Landlock::Whole) {
        want.push("an abstract socket is reached");
    }
    assert_same(refused, want);
}

#[test]
fn with_an_address_only_the_engines_port_is_left() {
    let (refused, landlock) = refused("address");
    let mut want = vec![
        "the engine's unix socket is reached",
        "an abstract socket is reached",
        "the resolver's file is read",
        "another file is read",
        "a datagram socket is made",
    ];
    want.extend(ALWAYS);
    if landlock == format!("{:?}", Landlock::Whole) {
        want.push("another port is reached");
    }
    assert_same(refused, want);
}

#[test]
fn with_a_name_the_resolvers_files_and_datagrams_are_left() {
    let (refused, landlock) = refused("name");
    // Files and ports are for Landlock alone to tell from one another here.
    let whole = landlock == format!("{:?}", Landlock::Whole);
    let partly = landlock == format!("{:?}", Landlock::Partly);
    let mut want = Vec::new();
    let of_files = ["a file is made", "another file is read"];
    let of_ports = ["a port is listened on", "another port is reached", "an abstract socket is reached"];
    want.extend(ALWAYS.into_iter().filter(|what| !of_files.contains(what) && !of_ports.contains(what)));
    if whole || partly {
        want.extend(of_files);
    }
    if whole {
        want.extend(of_ports);
    }
    assert_same(refused, want);
}

#[track_caller]
fn assert_same(mut found: Vec<String>, mut want: Vec<&str>) {
    found.sort();
    want.sort_unstable();
    assert_eq!(found, want);
}
