//! What surrounds one attack on this host: marked files, sockets and ports that hear whether somebody calls, a terminal,
//! volumes. Everything is below a temporary folder or has a name of its own, and goes when the scene does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::{Kind, Level};
use crate::lab::docker::{attempt, docker};
use crate::lab::{quoted, test_image, tools_image, unique};

/// How long somebody who called may take to say something.
const ANSWER: Duration = Duration::from_millis(300);
/// Lines that lie ready in a terminal: each is read once.
const LINES: usize = 20;

/// The surroundings of one attack.
pub(super) struct Scene {
    pub(super) kind: Kind,
    /// The name of the pod's task container.
    pub(super) pod: String,
    /// A text that is nowhere else, in everything that no component may read.
    pub(super) token: String,
    /// Nothing is in the way: what the pod would do by and by is done beforehand.
    pub(super) control: bool,
    /// Nothing is made at the engine: a set is only asked what its control is.
    dry: bool,
    listeners: RefCell<Vec<Listener>>,
    terminals: RefCell<Vec<File>>,
    containers: RefCell<Vec<String>>,
    volumes: RefCell<Vec<String>>,
    images: RefCell<Vec<String>>,
    mounts: RefCell<Vec<String>>,
    /// Its content goes last.
    folder: TempDir,
}

/// How often somebody called.
#[derive(Clone)]
pub(super) struct Heard(Arc<AtomicUsize>);

impl Heard {
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

/// Ends its thread, which waits for the next call.
struct Listener {
    ends: Arc<AtomicBool>,
    wake: Box<dyn Fn()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        (self.wake)();
    }
}

impl Scene {
    pub(super) fn new(kind: Kind, pod: &str, control: bool) -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("set");
        Scene {
            kind,
            pod: pod.to_owned(),
            token: format!("marked-{}", unique("text")),
            control,
            dry: false,
            listeners: RefCell::default(),
            terminals: RefCell::default(),
            containers: RefCell::default(),
            volumes: RefCell::default(),
            images: RefCell::default(),
            mounts: RefCell::default(),
            folder,
        }
    }

    /// The same of which nothing comes to the engine.
    pub(super) fn dry(kind: Kind, pod: &str) -> Scene {
        let mut scene = Scene::new(kind, pod, true);
        scene.dry = true;
        scene
    }

    /// A component's keys: it waits, and has what the policy demands of every component, but for what these say themselves.
    pub(super) fn keys(&self, more: &str) -> String {
        let image = tools_image();
        let mut base = vec![("image", &*image), ("command", "[sleep, infinity]"), ("stop_signal", "SIGKILL")];
        if self.kind.level == Level::Restricted {
            let no_gain = "['no-new-privileges:true']";
            base.extend([("user", "'1000'"), ("cap_drop", "[ALL]"), ("security_opt", no_gain)]);
        }
        let says = |key: &str| more.lines().any(|line| line.starts_with(&format!("{key}:")));
        let missing = base.iter().filter(|(key, _)| !says(key));
        let lines: String = missing.map(|(key, value)| format!("{key}: {value}\n")).collect();
        lines + more
    }

    /// The keys of a component that mounts these.
    pub(super) fn mounting(&self, volumes: &[&str]) -> String {
        let list: Vec<String> = volumes.iter().map(|volume| quoted(volume)).collect();
        self.keys(&format!("volumes: [{}]\n", list.join(", ")))
    }

    /// An init component that runs this script, as `pod.init.components` has it.
    pub(super) fn init(&self, script: &str, more: &str) -> String {
        let keys = self.keys(&format!("command: [sh, -c, {}]\n{more}", quoted(script)));
        let mut lines = keys.lines();
        let first = lines.next().unwrap_or_default();
        let rest: String = lines.map(|line| format!("  {line}\n")).collect();
        format!("- {first}\n{rest}")
    }

    /// A Compose file with the service `app`, and more at its end.
    pub(super) fn compose(&self, app: &str, more: &str) -> String {
        let lines: String = app.lines().map(|line| format!("    {line}\n")).collect();
        format!("services:\n  app:\n{lines}{more}")
    }

    /// A path in the scene's folder.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A file with this text that everybody may read.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        path
    }

    /// An empty folder, which everybody may write.
    pub(super) fn folder(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("set");
        path
    }

    /// A folder with the file `marker`.
    pub(super) fn marked(&self, name: &str) -> String {
        let path = self.folder(name);
        self.file(&format!("{name}/marker"), &self.token);
        path
    }

    pub(super) fn link(&self, name: &str, to: &str) -> String {
        let path = self.path(name);
        symlink(to, &path).expect("a link");
        path
    }

    /// A folder with what stands for a client's certificate and key.
    pub(super) fn certificates(&self) -> String {
        let path = self.folder("certs");
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            self.file(&format!("certs/{name}"), &format!("-- {}\n", self.token));
        }
        path
    }

    /// A volume of these driver options.
    pub(super) fn volume(&self, options: &[&str]) -> String {
        self.volume_with(&unique("definition"), options, &[])
    }

    /// A volume of this name.
    pub(super) fn volume_with(&self, name: &str, options: &[&str], labels: &[&str]) -> String {
        let mut line = vec!["volume", "create", "--label", "io.tandem.test=volume"];
        labels.iter().for_each(|label| line.extend(["--label", label]));
        options.iter().for_each(|option| line.extend(["--opt", option]));
        line.push(name);
        if !self.dry {
            self.removes_volume(name);
            docker(&line);
        }
        name.to_owned()
    }

    /// Whoever makes a volume of this name, it goes with the scene.
    pub(super) fn removes_volume(&self, name: &str) {
        self.volumes.borrow_mut().push(name.to_owned());
    }

    /// Whoever makes a container of this name, it goes with the scene.
    pub(super) fn removes_container(&self, name: &str) {
        self.containers.borrow_mut().push(name.to_owned());
    }

    /// Busybox as an image that says this of itself, each line as in a Dockerfile.
    pub(super) fn image(&self, lines: &[&str]) -> String {
        let (container, image) = (unique("hostile"), format!("tandem-test/hostile:{}", unique("image")));
        if self.dry {
            return image;
        }
        self.removes_container(&container);
        self.images.borrow_mut().push(image.clone());
        docker(&["create", "--name", &container, "--label", "io.tandem.test=image", &test_image()]);
        let changes = lines.iter().flat_map(|line| ["--change", line]);
        let words: Vec<&str> = ["commit"].into_iter().chain(changes).chain([&*container, &*image]).collect();
        docker(&words);
        image
    }

    /// A container that somebody has started, of this name and with these labels: its id.
    pub(super) fn stranger(&self, name: &str, labels: &[(String, String)]) -> String {
        if self.dry {
            return String::new();
        }
        self.removes_container(name);
        run_stranger(name, labels)
    }

    /// Does something in a volume that is at `/v`, as a pod has that is gone.
    pub(super) fn plant(&self, volume: &str, script: &str) {
        if self.dry {
            return;
        }
        let mount = format!("{volume}:/v");
        let (label, image) = ("io.tandem.test=plant", test_image());
        docker(&[
            "run",
            "--rm",
            "--label",
            label,
            "--network=none",
            "-v",
            &mount,
            &image,
            "sh",
            "-c",
            script,
        ]);
    }

    /// Mounts one folder of the scene over another.
    pub(super) fn mount(&self, from: &str, to: &str) {
        if self.dry {
            return;
        }
        let done = Command::new("mount").args(["--bind", from, to]).status().expect("`mount` can be run");
        assert!(done.success(), "cannot mount {from} at {to}");
        self.mounts.borrow_mut().push(to.to_owned());
    }

    /// A terminal of the host, into which somebody has typed the token: its name in `/dev/pts`.
    pub(super) fn terminal(&self) -> String {
        let mut name = [0_u8; 64];
        // SAFETY: the calls take numbers, and the buffer with its length.
        let master = unsafe {
            let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
            assert!(master >= 0, "a terminal");
            let ready = libc::grantpt(master) == 0 && libc::unlockpt(master) == 0;
            assert!(ready && libc::ptsname_r(master, name.as_mut_ptr().cast(), name.len()) == 0, "its name");
            OwnedFd::from_raw_fd(master)
        };
        let mut master = File::from(master);
        master.write_all(format!("{}\n", self.token).repeat(LINES).as_bytes()).expect("typed");
        self.terminals.borrow_mut().push(master);
        let name = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
        name.strip_prefix("/dev/pts/").expect("a terminal of this host").to_owned()
    }

    /// A port of the host's loopback: its number.
    pub(super) fn tcp(&self) -> (u16, Heard) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let next = move || listener.accept().is_ok_and(|(stream, _)| answer(stream));
        (port, self.listen(next, move || drop(TcpStream::connect(("127.0.0.1", port)))))
    }

    /// The same for datagrams.
    pub(super) fn udp(&self) -> (u16, Heard) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("an address").port();
        let next = move || socket.recv(&mut [0; 64]).is_ok();
        let wake = move || {
            let sent =
                UdpSocket::bind("127.0.0.1:0").and_then(|from| from.send_to(b"end", ("127.0.0.1", port)));
            drop(sent);
        };
        (port, self.listen(next, wake))
    }

    /// A unix socket for datagrams, as `/dev/log` is one.
    pub(super) fn datagrams(&self) -> (String, Heard) {
        let path = self.path("log.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let to = path.clone();
        let next = move || socket.recv(&mut [0; 64]).is_ok();
        let wake = move || drop(UnixDatagram::unbound().and_then(|from| from.send_to(b"end", &to)));
        (path, self.listen(next, wake))
    }

    /// A unix socket on which a service of the host answers.
    pub(super) fn stream(&self) -> (String, Heard) {
        let path = self.path("host.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("set");
        let to = path.clone();
        let next = move || listener.accept().is_ok_and(|(stream, _)| answer(stream));
        (path, self.listen(next, move || drop(UnixStream::connect(&to))))
    }

    fn listen(&self, mut next: impl FnMut() -> bool + Send + 'static, wake: impl Fn() + 'static) -> Heard {
        let (ends, heard) = (Arc::new(AtomicBool::new(false)), Heard(Arc::default()));
        let (over, count) = (Arc::clone(&ends), heard.clone());
        thread::spawn(move || {
            while next() && !over.load(Ordering::SeqCst) {
                count.0.fetch_add(1, Ordering::SeqCst);
            }
        });
        self.listeners.borrow_mut().push(Listener { ends, wake: Box::new(wake) });
        heard
    }
}

/// Answers as a web server that likes everything. Who says nothing has called all the same.
fn answer(mut stream: impl Read + Write + Timeout) -> bool {
    stream.answers_within(ANSWER);
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    true
}

/// What has a limit for each read.
trait Timeout {
    fn answers_within(&self, limit: Duration);
}

impl Timeout for TcpStream {
    fn answers_within(&self, limit: Duration) {
        let _ = self.set_read_timeout(Some(limit));
    }
}

impl Timeout for UnixStream {
    fn answers_within(&self, limit: Duration) {
        let _ = self.set_read_timeout(Some(limit));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.listeners.borrow_mut().clear();
        for name in self.containers.borrow().iter() {
            attempt(&["rm", "-fv", name]);
        }
        for name in self.images.borrow().iter() {
            attempt(&["rmi", "-f", name]);
        }
        for name in self.volumes.borrow().iter() {
            attempt(&["volume", "rm", "-f", name]);
        }
        for place in self.mounts.borrow().iter().rev() {
            // What still uses it keeps it, but no longer here.
            let _ = Command::new("umount").args(["--lazy", place]).status();
        }
    }
}

/// Starts a container of this name with these labels, which no manager has made: its id.
pub(super) fn run_stranger(name: &str, labels: &[(String, String)]) -> String {
    let test = format!("io.tandem.test={name}");
    let mut words = vec!["run".to_owned(), "-d".into(), "--name".into(), name.into(), "--label".into(), test];
    words.extend(labels.iter().flat_map(|(key, value)| ["--label".to_owned(), format!("{key}={value}")]));
    words.extend(["--network=none".to_owned(), test_image(), "sleep".into(), "100000".into()]);
    docker(&words).text()
}

/// A path in the folder in which the engine keeps its data.
pub(super) fn in_root(rest: &str) -> String {
    static ROOT: OnceLock<String> = OnceLock::new();
    let root = ROOT.get_or_init(|| docker(&["info", "--format", "{{.DockerRootDir}}"]).text());
    format!("{root}/{rest}").trim_end_matches('/').to_owned()
}

/// The folder of a volume on the host.
pub(super) fn data(volume: &str) -> String {
    in_root(&format!("volumes/{volume}/_data"))
}

/// Whether this host has these capabilities itself: what it lacks no flag gives.
pub(super) fn has_capabilities(numbers: &[u8]) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).expect("it is there");
    let set = u64::from_str_radix(set.trim(), 16).expect("a number");
    numbers.iter().all(|number| set >> number & 1 == 1)
}

/// Whether the engine can give a container this device, or all of them: where it runs in a container itself, it may not.
pub(super) fn gives_devices(path: Option<&'static str>) -> bool {
    static KNOWN: Mutex<BTreeMap<Option<&'static str>, bool>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(path).or_insert_with(|| {
        let (option, script) = match path {
            Some(path) => (format!("--device={path}:/dev/evil:r"), "[ $(head -c1 /dev/evil | wc -c) = 1 ]"),
            None => ("--privileged".to_owned(), "true"),
        };
        let label = "--label=io.tandem.test=devices";
        attempt(&["run", "--rm", label, "--network=none", &option, &test_image(), "sh", "-c", script]).status
            == 0
    })
}

/// Says that the goal is reached where a path of the component is the same file as one of the host. Nothing has to be written
/// on the host for it.
pub(super) fn same(goal: &str, inside: &str, host: &str) -> String {
    let Ok(there) = fs::metadata(host) else { return String::new() };
    let number = format!("{}:{}", there.dev(), there.ino());
    format!("[ \"$(stat -Lc %d:%i {inside} 2>/dev/null)\" = {number} ] && echo \"REACHED {goal}\"\n")
}

/// Says that the goal is reached where a file has the token in it.
pub(super) fn holds(goal: &str, inside: &str, token: &str) -> String {
    format!("timeout 2 grep -qsF -m1 {token} {inside} && echo \"REACHED {goal}\"\n")
}

/// Says that the engine is reached where one answers at a path.
pub(super) fn engine(inside: &str) -> String {
    let call = format!("curl -s -i --max-time 2 --unix-socket {inside} http://engine/_ping");
    format!("{call} | grep -qi api-version && echo 'REACHED engine'\n")
}

/// Says that the host's processes are reached where this test is one of those in a folder.
pub(super) fn processes(inside: &str) -> String {
    let pid = std::process::id();
    let name = fs::read_to_string("/proc/self/comm").expect("its name").trim().to_owned();
    format!("grep -qsF {} {inside}/{pid}/comm && echo 'REACHED /proc'\n", quoted(&name))
}

/// Says that the capability of this number is had.
pub(super) fn capability(number: u8) -> String {
    format!(
        "c=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status); [ $((0x$c >> {number} & 1)) = 1 ] && echo 'REACHED \
         capability'\n"
    )
}
