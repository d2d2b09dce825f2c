//! The least client of the engine that there can be: hyper over its socket, as the manager has it, and nothing around it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Longest that anything here may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// An engine behind a socket.
#[derive(Clone)]
pub(crate) struct Engine {
    socket: PathBuf,
    /// What the names of our containers begin with.
    prefix: String,
}

/// What happened to one of our containers.
#[derive(Debug)]
pub(crate) struct Event {
    /// When it was heard.
    pub(crate) at: Instant,
    /// The engine's own time for it, nanoseconds since 1970.
    pub(crate) nanos: u128,
    /// `start`, `destroy`, `health_status: healthy`, ...
    pub(crate) action: String,
    /// The container's name.
    pub(crate) name: String,
    /// And its id.
    pub(crate) id: String,
}

impl Engine {
    pub(crate) fn at(socket: &str, prefix: &str) -> Self {
        Engine { socket: socket.into(), prefix: prefix.to_owned() }
    }

    /// A name that nobody has.
    pub(crate) fn unique(&self, hint: &str) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        format!("{}{hint}-{}", self.prefix, NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Send a request, and have the head of the answer.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let content = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("host", "engine");
        let request =
            request.header("content-type", "application/json").body(Full::new(Bytes::from(content)))?;
        let answer = sender.send_request(request).await?;
        if answer.status().as_u16() >= 400 {
            let status = answer.status();
            let said = answer.into_body().collect().await?.to_bytes();
            return Err(
                format!("{method} {path}: {status}: {}", String::from_utf8_lossy(&said).trim()).into()
            );
        }
        Ok(answer)
    }

    /// Send a request, and have the answer.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.send(method, path, body).await?.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// Create a container; its id.
    pub(crate) async fn create(&self, name: &str, body: &Value) -> Result<String> {
        let made = self.call("POST", &format!("/containers/create?name={name}"), Some(body)).await?;
        Ok(made["Id"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn start(&self, id: &str) -> Result<()> {
        self.call("POST", &format!("/containers/{id}/start"), None).await.map(drop)
    }

    pub(crate) async fn stop(&self, id: &str) -> Result<()> {
        self.call("POST", &format!("/containers/{id}/stop?t=60"), None).await.map(drop)
    }

    pub(crate) async fn remove(&self, id: &str) -> Result<()> {
        self.call("DELETE", &format!("/containers/{id}?v=1&force=1"), None).await.map(drop)
    }

    /// Stop it, and remove it.
    pub(crate) async fn end(&self, id: &str) -> Result<()> {
        self.stop(id).await?;
        self.remove(id).await
    }

    /// What the engine tells of a container.
    async fn inspect(&self, id: &str) -> Result<Value> {
        self.call("GET", &format!("/containers/{id}/json"), None).await
    }

    /// The process of a container, on this machine.
    pub(crate) async fn pid(&self, id: &str) -> Result<u32> {
        let pid = self.inspect(id).await?["State"]["Pid"].as_u64();
        Ok(u32::try_from(pid.ok_or("it does not run")?)?)
    }

    /// Id of the container whose network this one shares.
    pub(crate) async fn network_of(&self, id: &str) -> Result<String> {
        let about = self.inspect(id).await?;
        let mode = about["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
        Ok(mode.strip_prefix("container:").ok_or("it has a network of its own")?.to_owned())
    }

    /// What happens from now on to containers whose names begin with this.
    pub(crate) async fn events(&self, prefix: &str) -> Result<UnboundedReceiver<Event>> {
        let filters =
            json!({"type": ["container"], "event": ["create", "start", "die", "destroy", "health_status"]});
        let filters: String = filters.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
        let mut body = self.send("GET", &format!("/events?filters={filters}"), None).await?.into_body();
        let (to, from) = unbounded_channel();
        let prefix = prefix.to_owned();
        tokio::spawn(async move {
            let mut rest = Vec::new();
            loop {
                // Where nobody listens any more the engine is to be asked no longer: it would tell of each container.
                let frame = tokio::select! {
                    () = to.closed() => return,
                    frame = body.frame() => frame,
                };
                let Some(Ok(frame)) = frame else { return };
                let at = Instant::now();
                rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    let Ok(said) = serde_json::from_slice::<Value>(&line) else { continue };
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    let name = text(&said["Actor"]["Attributes"]["name"]);
                    let id = text(&said["Actor"]["ID"]);
                    let nanos = u128::from(said["timeNano"].as_u64().unwrap_or_default());
                    let event = Event { at, nanos, action: text(&said["Action"]), name, id };
                    if event.name.starts_with(&prefix) && to.send(event).is_err() {
                        return;
                    }
                }
            }
        });
        Ok(from)
    }
}

/// Wait until so many of the components of these containers have had this: those events.
pub(crate) async fn heard(
    events: &mut UnboundedReceiver<Event>,
    action: &str,
    count: usize,
) -> Result<Vec<Event>> {
    let mut found = Vec::new();
    while found.len() < count {
        let waited = timeout(LIMIT, events.recv()).await;
        let event =
            waited.map_err(|_| format!("{} of {count} `{action}` were heard in time", found.len()))?;
        let event = event.ok_or("the events ended")?;
        if event.action == action && is_component(&event.name) {
            found.push(event);
        }
    }
    Ok(found)
}

/// When the last of them was heard.
pub(crate) fn last(events: &[Event]) -> Result<Instant> {
    Ok(events.last().ok_or("nothing was waited for")?.at)
}

/// Components are called `c0`, `c1`, ..., whatever stands before and behind that.
pub(crate) fn is_component(name: &str) -> bool {
    let mut words = name.split(|letter: char| !letter.is_alphanumeric());
    words.any(|word| word.strip_prefix('c').is_some_and(|rest| rest.parse::<u32>().is_ok()))
}
