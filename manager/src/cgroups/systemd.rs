//! systemd, over the host's D-Bus: slices for pods.
//!
//! The connection is made while the manager is root, and stays root's for the bus: systemd does what it is asked on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::warn;

use crate::cgroups::PodCgroup;
use crate::cgroups::dbus::{Answer, Args, Call, FIXED, Value, Values, answer, rest};
use pod::cgroups::{pod_of_slice, slice};
use pod::limits::Limits;
use pod::task_container::TaskContainer;

/// Where the socket is looked for, in the manager's container.
const SOCKETS: [&str; 2] = ["/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"];
/// How long an answer may take, as libdbus has it. systemd gives one at once, but for a `daemon-reload` on a large node;
/// a bus that hangs longer must not hold up a pod.
const PATIENCE: Duration = Duration::from_secs(25);
/// The longest line of an authentication.
const LONGEST_LINE: usize = 1024;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BusError {
    /// Somebody said no.
    #[error("{words}")]
    Refused {
        /// The error's name.
        name: String,
        /// Words for people.
        words: String,
    },
    /// There is no connection any more.
    #[error("the connection to the host's D-Bus is gone, and only a manager that starts can make one")]
    Gone,
}

/// A connection to the host's D-Bus.
pub(crate) struct Bus {
    /// `None` once it is gone: a manager that has given up root gets no other.
    line: Mutex<Option<Line>>,
    /// What slices of this engine's pods are described with.
    engine: String,
}

struct Line {
    stream: UnixStream,
    serial: u32,
}

/// The socket of the host's D-Bus, where the operator has mounted it into the manager's container, `own`.
pub fn socket(own: &TaskContainer) -> Option<PathBuf> {
    let mounted = own.mounts.iter().map(|mount| Path::new(&mount.target));
    let named = mounted.filter(|target| target.ends_with("system_bus_socket")).map(Path::to_owned);
    let usual = SOCKETS.iter().map(PathBuf::from);
    named.chain(usual).find(|path| path.exists())
}

impl Bus {
    /// Connect. `engine` is the id of the engine whose pods it is for.
    pub(crate) async fn open(socket: &Path, engine: &str) -> Result<Self, String> {
        let open = async {
            let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
            let mut line = Line { stream, serial: 0 };
            line.authenticate().await?;
            let bus = "org.freedesktop.DBus";
            let hello = Call {
                destination: bus,
                path: "/org/freedesktop/DBus",
                interface: bus,
                member: "Hello",
                signature: "",
                args: Args::default(),
            };
            match line.call(&hello).await.map_err(|error| error.to_string())? {
                Answer::Return(_) => Ok(line),
                Answer::Error(_, words) => Err(words),
            }
        };
        let line = timeout(PATIENCE, open).await.unwrap_or_else(|_| Err("no answer in time".into()));
        let line =
            line.map_err(|why| format!("the host's D-Bus at {} does not serve: {why}", socket.display()))?;
        Ok(Bus { line: Mutex::new(Some(line)), engine: engine.to_owned() })
    }

    /// A slice for this pod, with the limits of its task: its name. One that is there gets them anew.
    pub(crate) async fn hold(&self, task: &TaskContainer) -> Result<String, String> {
        match self.make(task).await {
            Ok(()) => Ok(slice(&task.id)),
            Err(BusError::Gone) => Err(BusError::Gone.to_string()),
            Err(error) => Err(format!("systemd does not make the slice `{}`: {error}", slice(&task.id))),
        }
    }

    async fn make(&self, task: &TaskContainer) -> Result<(), BusError> {
        let name = slice(&task.id);
        let description = format!("{} (a pod of {})", task.name, self.engine);
        let mut all = vec![("Description", Value::Text(&description))];
        all.extend(properties(&task.limits));
        // The slice above it, of the pods of this node, goes with the last of them.
        let above: &[(&str, &[_])] = &[("tandem.slice", &[("StopWhenUnneeded", Value::Switch(true))])];
        for besides in [above, &[]] {
            let mut args = Args::default();
            args.string(&name);
            args.string("fail");
            args.properties(&all);
            args.units(besides);
            match self.systemd("StartTransientUnit", "ssa(sv)a(sa(sv))", args).await {
                Err(BusError::Refused { name, .. }) if name.ends_with(".UnitExists") => {}
                made => return made.map(|_| ()),
            }
        }
        // Of an earlier manager of this pod. What is set is gone with the slice (`/run/systemd/transient`).
        let mut args = Args::default();
        args.string(&name);
        args.bool(true);
        args.properties(&all[1..]);
        self.systemd("SetUnitProperties", "sba(sv)", args).await.map(|_| ())
    }

    /// The pod's slice goes, with everything in it.
    pub(crate) async fn release(&self, pod: &str) -> Result<(), BusError> {
        let mut args = Args::default();
        args.string(&slice(pod));
        args.string("replace");
        match self.systemd("StopUnit", "ss", args).await {
            Err(BusError::Refused { name, .. }) if name.ends_with(".NoSuchUnit") => Ok(()),
            stopped => stopped.map(|_| ()),
        }
    }

    /// Slices of this engine's pods.
    pub(crate) async fn slices(&self) -> Result<Vec<PodCgroup>, BusError> {
        let mut args = Args::default();
        args.strings(&[]);
        args.strings(&["tandem-*.slice"]);
        let body = self.systemd("ListUnitsByPatterns", "asas", args).await?;
        let of_engine = format!("(a pod of {})", self.engine);
        let mut slices = Vec::new();
        for [name, description, object] in Values::of(&body).units().unwrap_or_default() {
            let Some(pod) = pod_of_slice(name).filter(|_| description.ends_with(&of_engine)) else {
                continue;
            };
            let mut args = Args::default();
            args.string("org.freedesktop.systemd1.Slice");
            args.string("TasksCurrent");
            let get = Call {
                destination: SYSTEMD,
                path: object,
                interface: "org.freedesktop.DBus.Properties",
                member: "Get",
                signature: "ss",
                args,
            };
            // Without a cgroup there is no number either, which is the largest one then.
            let tasks = Values::of(&self.call(&get).await?).number();
            let empty = matches!(tasks, Some(0 | u64::MAX));
            slices.push(PodCgroup { pod: pod.to_owned(), empty });
        }
        Ok(slices)
    }

    async fn systemd(&self, member: &str, signature: &str, args: Args) -> Result<Vec<u8>, BusError> {
        let (destination, path, interface) = (SYSTEMD, MANAGER_PATH, MANAGER);
        self.call(&Call { destination, path, interface, member, signature, args }).await
    }

    async fn call(&self, call: &Call<'_>) -> Result<Vec<u8>, BusError> {
        let mut kept = self.line.lock().await;
        // Out of its place until the answer is whole: what is broken off in the middle cannot go on.
        let mut line = kept.take().ok_or(BusError::Gone)?;
        let why = match timeout(PATIENCE, line.call(call)).await {
            Ok(Ok(answer)) => {
                *kept = Some(line);
                return match answer {
                    Answer::Return(body) => Ok(body),
                    Answer::Error(name, words) => Err(BusError::Refused { name, words }),
                };
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        warn!("{} ({why}): new pods are not held to the sum of their limits", BusError::Gone);
        Err(BusError::Gone)
    }
}

impl Line {
    /// By the credentials of this process, which the kernel tells the bus.
    async fn authenticate(&mut self) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        self.stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\n").await.map_err(failed)?;
        loop {
            let line = self.line().await.map_err(failed)?;
            match line.split(' ').next() {
                Some("DATA") => {}
                Some("OK") => break,
                _ => return Err(format!("it does not let us in: {line}")),
            }
        }
        self.stream.write_all(b"BEGIN\r\n").await.map_err(failed)
    }

    async fn line(&mut self) -> std::io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > LONGEST_LINE {
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            line.push(self.stream.read_u8().await?);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn call(&mut self, call: &Call<'_>) -> std::io::Result<Answer> {
        self.serial += 1;
        self.stream.write_all(&call.bytes(self.serial)).await?;
        loop {
            let mut fixed = [0; FIXED];
            self.stream.read_exact(&mut fixed).await?;
            let length = rest(&fixed).ok_or(std::io::ErrorKind::InvalidData)?;
            let mut after = vec![0; length];
            self.stream.read_exact(&mut after).await?;
            match answer(&fixed, &after) {
                Some((serial, answer)) if serial == self.serial => return Ok(answer),
                // A signal: the bus tells us our name.
                _ => {}
            }
        }
    }
}

/// A task's limits as systemd calls them (systemd.resource-control(5)); what is not limited is said too, in case it was.
fn properties(limits: &Limits) -> [(&'static str, Value<'static>); 4] {
    let most = |limit: Option<i64>| {
        Value::Number(limit.map_or(u64::MAX, |limit| u64::try_from(limit).unwrap_or(u64::MAX)))
    };
    [
        ("MemoryMax", most(limits.memory_bytes)),
        ("MemorySwapMax", most(limits.swap_bytes())),
        // Microseconds in each second.
        ("CPUQuotaPerSecUSec", most(limits.nano_cpus.map(|nanos| nanos / 1000))),
        ("TasksMax", most(limits.pids)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    const TASK_ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn task() -> TaskContainer {
        let limits = Limits {
            memory_bytes: Some(1 << 20),
            memory_swap: Some(3 << 20),
            nano_cpus: Some(250_000_000),
            pids: None,
        };
        TaskContainer { id: TASK_ID.into(), name: "web".into(), limits, ..TaskContainer::default() }
    }

    /// A bus that answers each call with one of these, and tells what was called.
    async fn bus(answers: Vec<Result<Vec<u8>, &'static str>>) -> (Bus, tokio::task::JoinHandle<Vec<String>>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bus");
        let listener = UnixListener::bind(&path).expect("a socket");
        let served = tokio::spawn(async move {
            let _kept = folder;
            let (stream, _) = listener.accept().await.expect("a client");
            let mut line = Line { stream, serial: 0 };
            assert_eq!(line.line().await.expect("a line"), "\0AUTH EXTERNAL");
            assert_eq!(line.line().await.expect("a line"), "DATA");
            line.stream.write_all(b"DATA\r\nOK 1234\r\n").await.expect("written");
            assert_eq!(line.line().await.expect("a line"), "BEGIN");
            let mut called = Vec::new();
            for answer in std::iter::once(Ok(Vec::new())).chain(answers) {
                let mut fixed = [0; FIXED];
                line.stream.read_exact(&mut fixed).await.expect("a call");
                let mut after = vec![0; rest(&fixed).expect("a message")];
                line.stream.read_exact(&mut after).await.expect("a call");
                called.push(String::from_utf8_lossy(&after).into_owned());
                let serial = u32::from_le_bytes(fixed[8..12].try_into().expect("four"));
                // A signal first, which answers nothing.
                line.stream.write_all(&reply(4, 0, &[])).await.expect("written");
                let bytes = match answer {
                    Ok(body) => reply(2, serial, &body),
                    Err(name) => failure(name, serial),
                };
                line.stream.write_all(&bytes).await.expect("written");
            }
            called
        });
        let bus = Bus::open(&path, "ENGINE").await.expect("connected");
        (bus, served)
    }

    fn reply(kind: u8, serial: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("short").to_le_bytes();
        let fields = [&b"\x05\x01u\x00"[..], &serial.to_le_bytes()].concat();
        [&[b'l', kind, 0, 1][..], &length, &1_u32.to_le_bytes(), &8_u32.to_le_bytes(), &fields, body].concat()
    }

    fn failure(name: &str, serial: u32) -> Vec<u8> {
        let mut fields = [&b"\x05\x01u\x00"[..], &serial.to_le_bytes(), b"\x04\x01s\x00"].concat();
        fields.extend(u32::try_from(name.len()).expect("short").to_le_bytes());
        fields.extend(name.bytes().chain([0]));
        let length = u32::try_from(fields.len()).expect("short").to_le_bytes();
        fields.resize(fields.len().next_multiple_of(8), 0);
        [&[b'l', 3, 0, 1, 0, 0, 0, 0][..], &1_u32.to_le_bytes(), &length, &fields].concat()
    }

    #[tokio::test]
    async fn a_pod_is_held_in_a_slice_and_one_that_is_there_is_limited_anew() {
        let exists = || Err("org.freedesktop.systemd1.UnitExists");
        let (bus, served) = bus(vec![Ok(Vec::new()), exists(), exists(), Ok(Vec::new())]).await;
        for _ in 0..2 {
            assert_eq!(bus.hold(&task()).await.as_deref(), Ok("tandem-0123456789ab.slice"));
        }
        let called = served.await.expect("served");
        assert!(called[0].contains("Hello"));
        assert!(!called[3].contains("tandem.slice"), "that one may be there already");
        for (call, words) in [
            (1, &["StartTransientUnit", "web (a pod of ENGINE)", "MemoryMax", "CPUQuotaPerSecUSec"][..]),
            (2, &["StartTransientUnit", "tandem.slice", "StopWhenUnneeded"][..]),
            (3, &["StartTransientUnit"][..]),
            (4, &["SetUnitProperties", "MemorySwapMax", "TasksMax"][..]),
        ] {
            assert!(words.iter().all(|word| called[call].contains(word)), "{call}: {}", called[call]);
        }
    }

    #[tokio::test]
    async fn a_slice_that_is_not_there_is_released_and_other_errors_are_told() {
        let gone = Err("org.freedesktop.systemd1.NoSuchUnit");
        let denied = || Err("org.freedesktop.DBus.Error.AccessDenied");
        let (bus, served) = bus(vec![gone, denied(), denied()]).await;
        assert!(bus.release(TASK_ID).await.is_ok());
        assert!(bus.release(TASK_ID).await.is_err());
        let why = bus.hold(&task()).await.expect_err("denied");
        assert!(why.starts_with("systemd does not make the slice `tandem-0123456789ab.slice`"), "{why}");
        served.await.expect("served");
        // Now the bus is gone, for good.
        for _ in 0..2 {
            assert!(matches!(bus.release(TASK_ID).await, Err(BusError::Gone)));
        }
    }

    #[test]
    fn limits_are_told_in_systemds_units() {
        let want = [
            ("MemoryMax", Value::Number(1 << 20)),
            ("MemorySwapMax", Value::Number(2 << 20)),
            ("CPUQuotaPerSecUSec", Value::Number(250_000)),
            ("TasksMax", Value::Number(u64::MAX)),
        ];
        assert_eq!(properties(&task().limits), want);
    }
}
