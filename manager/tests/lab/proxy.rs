//! Between the manager and the engine: sees every call, and may hold it up, refuse it or lose it.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use engine::allowlist::{listed, without_version};
use serde_json::Value;
use tempfile::TempDir;

/// How long a part of a stream waits for the one that is to come before it.
const KEPT_BACK: Duration = Duration::from_millis(500);

/// A call that the manager makes.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query, without the version in front.
    pub(crate) path: String,
    /// How many calls that change something came before it.
    pub(crate) changes_before: usize,
    /// The body, where it is JSON.
    pub(crate) body: Value,
}

/// What becomes of a call.
#[allow(dead_code, reason = "`hostile_docker` gives them all, others some")]
pub(crate) enum Verdict {
    /// It goes to the engine.
    Pass,
    /// It goes to the engine after a while.
    Hold(Duration),
    /// It is answered here with this status and message.
    Refuse(u16, &'static str),
    /// It goes to the engine, and the answer comes after a while.
    Late(Duration),
    /// It is never answered.
    Hang,
    /// The connection is closed, and the engine hears nothing.
    Close,
    /// It goes to the engine, and its answer is lost.
    Lose,
    /// It goes to the engine, whose answer comes a few bytes at a time.
    Trickle,
    /// It is answered with what is no HTTP.
    Garbage,
    /// It goes to the engine, whose answer is cut off after its head.
    Cut,
    /// It goes to the engine, and each part of what that streams comes twice.
    Twice,
    /// It goes to the engine as one of its own version, and the answer is that of an engine of API 1.52: its version, and
    /// events without what that has removed.
    Newer,
    /// It goes to the engine, and of two parts of what that streams the later comes first.
    Swapped,
}

/// A call that was made, with its time on the way.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) seen: Seen,
    pub(crate) began: Instant,
    /// `None` while it is under way.
    pub(crate) ended: Option<Instant>,
}

/// The proxy; ends when dropped.
pub(crate) struct Proxy {
    folder: TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    engine: PathBuf,
    rule: Box<dyn Fn(&Seen) -> Verdict + Send + Sync>,
    calls: Mutex<Vec<Call>>,
    /// Calls that a filter by `engine::allowlist` would have refused.
    unlisted: Mutex<Vec<String>>,
    open: Mutex<Vec<UnixStream>>,
    ends: AtomicBool,
}

impl Seen {
    /// It changes something.
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD") && !self.path.contains("/attach")
    }

    /// It creates a container whose name ends like this.
    pub(crate) fn creates(&self, name: &str) -> bool {
        let asked = self.path.split_once("/containers/create?").map(|(_, query)| query);
        asked.is_some_and(|query| {
            query.split('&').any(|pair| pair.starts_with("name=") && pair.ends_with(name))
        })
    }
}

impl Proxy {
    /// Listen on a socket of its own.
    pub(crate) fn start(engine: &Path, rule: impl Fn(&Seen) -> Verdict + Send + Sync + 'static) -> Proxy {
        let folder = tempfile::tempdir().expect("a folder");
        let proxy = Proxy {
            folder,
            shared: Arc::new(Shared {
                engine: engine.to_owned(),
                rule: Box::new(rule),
                calls: Mutex::default(),
                unlisted: Mutex::default(),
                open: Mutex::default(),
                ends: AtomicBool::new(false),
            }),
        };
        // Those who may not use Docker cannot come here through the folder, which is its maker's alone.
        let listener = UnixListener::bind(proxy.socket()).expect("a socket");
        fs::set_permissions(proxy.socket(), Permissions::from_mode(0o666)).expect("set");
        let shared = Arc::clone(&proxy.shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ends.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { return };
                thread::spawn(move || shared.serve(stream));
            }
        });
        proxy
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Every call until now.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The calls that changed something, as `METHOD path`.
    pub(crate) fn changes(&self) -> Vec<String> {
        let calls = self.calls();
        let changes = calls.iter().filter(|call| call.seen.changes());
        changes.map(|call| format!("{} {}", call.seen.method, call.seen.path)).collect()
    }

    /// Break every connection there is.
    pub(crate) fn break_all(&self) {
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        let _ = UnixStream::connect(self.socket());
        self.break_all();
        let unlisted = self.shared.unlisted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(unlisted.is_empty() || thread::panicking(), "not in `engine::allowlist`: {unlisted:?}");
    }
}

impl Shared {
    fn serve(&self, mut client: UnixStream) {
        let Ok((head, mut body)) = read_head(&mut client) else { return };
        let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        // An archive may be of any size, and is nobody's business here.
        let json = header(&head, "content-type").is_some_and(|kind| kind.starts_with("application/json"));
        if json && length > body.len() {
            let read = body.len();
            body.resize(length, 0);
            if client.read_exact(&mut body[read..]).is_err() {
                return;
            }
        }
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !listed(method, target) {
            let call = format!("{method} {target}");
            self.unlisted.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        }
        let path = without_version(target).to_owned();
        let number;
        let seen;
        {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let changes_before = calls.iter().filter(|call| call.seen.changes()).count();
            let body = if json { serde_json::from_slice(&body).unwrap_or_default() } else { Value::Null };
            seen = Seen { method: method.to_owned(), path, changes_before, body };
            number = calls.len();
            calls.push(Call { seen: seen.clone(), began: Instant::now(), ended: None });
        }
        let _ = self.forward(&seen, client, &head, &body);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls[number].ended = Some(Instant::now());
    }

    fn forward(&self, seen: &Seen, mut client: UnixStream, head: &str, body: &[u8]) -> io::Result<()> {
        let mut head = head.to_owned();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(client.try_clone()?);
        let (mut late, mut answer) = (Duration::ZERO, Answer::Whole);
        match (self.rule)(seen) {
            Verdict::Pass => {}
            Verdict::Hold(time) => thread::sleep(time),
            Verdict::Late(time) => late = time,
            Verdict::Close => return client.shutdown(Shutdown::Both),
            Verdict::Garbage => {
                client.write_all(b"\0\xff what is no HTTP\r\n\r\n")?;
                return client.shutdown(Shutdown::Both);
            }
            Verdict::Lose => answer = Answer::Lost,
            Verdict::Trickle => answer = Answer::Trickles,
            Verdict::Cut => answer = Answer::Cut,
            Verdict::Twice => {
                answer = Answer::Parts(|parts, part| {
                    parts.extend([part.clone(), part]);
                    std::mem::take(parts)
                })
            }
            Verdict::Swapped => {
                answer = Answer::Parts(|parts, part| {
                    parts.insert(0, part);
                    if parts.len() == 2 { std::mem::take(parts) } else { Vec::new() }
                })
            }
            Verdict::Newer => {
                head = of_known_version(&head);
                answer = match seen.path.split('?').next() {
                    Some("/_ping") => Answer::Version,
                    Some("/events") => Answer::Parts(|_, part| vec![without_the_removed(&part)]),
                    _ => Answer::Whole,
                };
            }
            Verdict::Hang => {
                io::copy(&mut client, &mut io::sink())?;
                return Ok(());
            }
            Verdict::Refuse(status, message) => {
                let body = format!("{{\"message\":\"{message}\"}}");
                write!(
                    client,
                    "HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                )?;
                return client.shutdown(Shutdown::Both);
            }
        }
        let mut engine = UnixStream::connect(&self.engine)?;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(engine.try_clone()?);
        // One call a connection: the next one can be told apart without reading every body.
        let upgrade = head.to_ascii_lowercase().contains("\r\nupgrade:");
        let head = match head.split_once("\r\n") {
            Some((first, rest)) if !upgrade => {
                format!("{first}\r\nConnection: close\r\n{}", without_connection(rest))
            }
            _ => head.to_owned(),
        };
        engine.write_all(head.as_bytes())?;
        engine.write_all(body)?;
        let (mut from_client, mut to_engine) = (client.try_clone()?, engine.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from_client, &mut to_engine);
            let _ = to_engine.shutdown(Shutdown::Write);
        });
        if !late.is_zero() {
            let mut first = [0; 1];
            engine.read_exact(&mut first)?;
            thread::sleep(late);
            client.write_all(&first)?;
        }
        answer.pass(&mut engine, &mut client)?;
        client.shutdown(Shutdown::Both)
    }
}

/// One part of what is streamed.
type Part = Vec<u8>;

/// How the engine's answer comes to the client.
enum Answer {
    Whole,
    Lost,
    Trickles,
    Cut,
    /// Of a ping: it tells of API 1.52.
    Version,
    /// What becomes of one more part of a stream, with those that were kept back.
    Parts(fn(&mut Vec<Part>, Part) -> Vec<Part>),
}

impl Answer {
    fn pass(self, engine: &mut UnixStream, client: &mut UnixStream) -> io::Result<()> {
        match self {
            Answer::Whole => io::copy(engine, client).map(drop),
            Answer::Lost => io::copy(engine, &mut io::sink()).map(drop),
            Answer::Trickles => {
                let mut some = [0; 256];
                loop {
                    let read = engine.read(&mut some)?;
                    if read == 0 {
                        return Ok(());
                    }
                    client.write_all(&some[..read])?;
                    thread::sleep(Duration::from_millis(10));
                }
            }
            Answer::Cut => {
                let (head, _) = read_head(engine)?;
                client.write_all(head.as_bytes())
            }
            Answer::Version => {
                let (head, rest) = read_head(engine)?;
                let lines = head.split("\r\n").map(|line| match line.split_once(':') {
                    Some((name, _)) if name.eq_ignore_ascii_case("api-version") => format!("{name}: {NEWER}"),
                    _ => line.to_owned(),
                });
                client.write_all(lines.collect::<Vec<_>>().join("\r\n").as_bytes())?;
                client.write_all(&rest)?;
                io::copy(engine, client).map(drop)
            }
            Answer::Parts(with) => {
                let (head, first) = read_head(engine)?;
                client.write_all(head.as_bytes())?;
                let mut stream = io::BufReader::new(io::Cursor::new(first).chain(engine.try_clone()?));
                let (to_here, parts) = mpsc::channel();
                thread::spawn(move || {
                    while let Ok(part) = read_chunk(&mut stream) {
                        if to_here.send(part).is_err() {
                            return;
                        }
                    }
                });
                let mut kept = Vec::new();
                loop {
                    let passed = match parts.recv_timeout(KEPT_BACK) {
                        Ok(part) => with(&mut kept, part),
                        // Out of order is not lost: nothing may come after it.
                        Err(RecvTimeoutError::Timeout) => std::mem::take(&mut kept),
                        Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    };
                    for part in passed {
                        write!(client, "{:x}\r\n", part.len())?;
                        client.write_all(&part)?;
                        client.write_all(b"\r\n")?;
                    }
                }
            }
        }
    }
}

/// The version that [`Verdict::Newer`] tells.
const NEWER: &str = "1.52";

/// The head of a request to API 1.52 as one to 1.41, which every engine here speaks.
fn of_known_version(head: &str) -> String {
    let asked = format!(" /v{NEWER}/");
    assert!(
        head.contains(" /_ping ") || head.contains(&asked),
        "what is asked is what was negotiated: {head}"
    );
    head.replacen(&asked, " /v1.41/", 1)
}

/// An event without `status`, `id` and `from`, which API 1.52 no longer has.
fn without_the_removed(part: &[u8]) -> Part {
    let mut event: Value = serde_json::from_slice(part).expect("one event a part");
    let fields = event.as_object_mut().expect("an object");
    for field in ["status", "id", "from"] {
        assert!(fields.remove(field).is_some(), "an older engine has it");
    }
    let mut part = event.to_string().into_bytes();
    part.push(b'\n');
    part
}

/// One part of a chunked body.
fn read_chunk(stream: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let mut size = String::new();
    stream.read_line(&mut size)?;
    let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
    if size == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut part = vec![0; size + 2];
    stream.read_exact(&mut part)?;
    part.truncate(size);
    Ok(part)
}

fn without_connection(headers: &str) -> String {
    let kept = headers.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    kept.collect::<Vec<_>>().join("\r\n")
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The head of a request with its end, and what was read of the body.
pub(crate) fn read_head(stream: &mut impl Read) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
        let read = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..read]);
        // A handshake of TLS is no request either.
        if read == 0 || bytes.len() > 64 * 1024 || bytes.first() == Some(&0x16) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
