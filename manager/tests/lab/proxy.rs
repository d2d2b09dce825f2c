//! Between the manager and the engine: sees every call, and may hold it up, refuse it or lose it.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use manager::engine::calls::listed;
use serde_json::Value;
use tempfile::TempDir;

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
    /// Calls that a filter by `engine::calls` would have refused.
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
        assert!(unlisted.is_empty() || thread::panicking(), "not in `engine::calls`: {unlisted:?}");
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
        let path = match target.strip_prefix("/v").and_then(|rest| rest.split_once('/')) {
            Some((_, rest)) => format!("/{rest}"),
            None => target.to_owned(),
        };
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
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(client.try_clone()?);
        let mut late = Duration::ZERO;
        match (self.rule)(seen) {
            Verdict::Pass => {}
            Verdict::Hold(time) => thread::sleep(time),
            Verdict::Late(time) => late = time,
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
        io::copy(&mut engine, &mut client)?;
        client.shutdown(Shutdown::Both)
    }
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
