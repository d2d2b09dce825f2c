//! What a manager asks that is not in the container whose pod it runs: who runs there, what is in its files, and a line
//! to the `pause` in it.

use std::collections::BTreeMap;
use std::io;

use bollard::BollardRequest;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Deserializer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use super::convert;
use super::docker::{
    DockerEngine, LISTING_LIMIT, OWN_EVENTS, QUERY_TIMEOUT, chunks, empty_request, encoded, unreachable,
};
use super::event_broadcast::EventFilter;
use super::{Engine, EngineError, ended};
use crate::demux::Frames;
use crate::demux::Stream;
use pod::identity::{LABEL_POD, Labelled};
use pod::observed::ContainerInfo;
use pod::spec::Hook;
use pod::task_container::TaskContainer;
use pod::words::foreign;

/// Largest file that is read into memory: Swarm's secrets and configs are smaller.
pub const MOST_BYTES: usize = 1 << 20;

/// A container, as far as a listing tells.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    /// Full id.
    pub id: String,
    /// Those of its labels that mean something here: others may be of any size.
    #[serde(default, deserialize_with = "keep_known_labels")]
    pub labels: BTreeMap<String, String>,
    /// Its names, each behind a slash; more than one where others link to it.
    #[serde(default)]
    pub names: Vec<String>,
    /// The program and arguments that it runs, in one line.
    #[serde(default)]
    pub command: String,
    /// Its state in the engine's own word: `created`, `running`, `exited`, ...
    #[serde(default)]
    pub state: String,
    /// When it was created, in seconds since 1970, rounded down.
    #[serde(default)]
    pub created: i64,
    /// What it joins.
    #[serde(default)]
    pub host_config: Joins,
}

/// The fields of `HostConfig` that a listing contains.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase", default)]
pub struct Joins {
    /// `HostConfig.NetworkMode`.
    pub network_mode: String,
}

impl Summary {
    /// Reports whether the container is what its labels claim ([`Labelled::is_genuine`]).
    pub fn is_genuine(&self) -> bool {
        let Self { labels, command, host_config, .. } = self;
        let network = &host_config.network_mode;
        self.names.iter().any(|name| Labelled { labels, name, network, command }.is_genuine(None))
    }

    /// The facts of an inspection that a listing contains too: all but the state, the user and the mounts.
    pub fn info(&self) -> ContainerInfo {
        ContainerInfo {
            id: self.id.clone(),
            name: self.name().to_owned(),
            labels: self.labels.clone(),
            network: self.host_config.network_mode.clone(),
            command: self.command.clone(),
            ..ContainerInfo::default()
        }
    }

    /// The container's own name: the names that links give it have a second slash.
    pub fn name(&self) -> &str {
        let mut names = self.names.iter().filter_map(|name| name.strip_prefix('/'));
        names.find(|name| !name.contains('/')).unwrap_or_default()
    }
}

/// How labels begin that are asked for in a listing.
const KEPT_LABEL_PREFIXES: [&str; 4] = ["pod.", "io.tandem.", "com.docker.compose.", "com.docker.swarm."];

pub(super) fn keep_known_labels<'de, D: Deserializer<'de>>(
    labels: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    // `null` for a container that a client created without labels: it must not spoil the listing of the others.
    let mut labels = Option::<BTreeMap<String, String>>::deserialize(labels)?.unwrap_or_default();
    labels.retain(|key, _| KEPT_LABEL_PREFIXES.iter().any(|beginning| key.starts_with(beginning)));
    Ok(labels)
}

/// A container without its mounts, which takes no answer of a volume's driver. No pod can be judged by it: that takes
/// [`Engine::inspect_task`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// What it was started with.
    pub program: Vec<String>,
    /// It runs.
    pub running: bool,
    /// `State.StartedAt`, as the engine writes it: tells one run of the container from the next.
    pub started_at: String,
    /// The status with which it ended last, 0 while it runs.
    pub exit_status: i64,
}

impl Standing {
    /// It runs, and still in the run that began at `started_at`.
    pub fn goes_on(&self, started_at: &str) -> bool {
        self.running && self.started_at == started_at
    }
}

/// What happens to a container whose pod somebody else runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was sent this signal.
    Killed(u8),
    /// It ended, or is gone.
    Ended {
        /// Its exit status.
        status: u8,
    },
}

/// A connection that is no longer HTTP.
pub trait Line: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Line for S {}

impl DockerEngine {
    /// What a container does (`GET /containers/ID/json`).
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn standing(&self, id: &str) -> Result<Standing, EngineError> {
        let TaskContainer { id, name, labels, program, running, started_at, exit_status, .. } =
            convert::task_container(self.inspect_raw(id).await?);
        Ok(Standing { id, name, labels, program, running, started_at, exit_status })
    }

    /// Every container that runs (`GET /containers/json`).
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn running(&self) -> Result<Vec<Summary>, EngineError> {
        self.ask_up_to(LISTING_LIMIT, empty_request(Method::GET, "/containers/json")?).await
    }

    /// Lists all containers of the node, including stopped ones (`GET /containers/json?all=1`).
    ///
    /// # Errors
    /// If the engine cannot list its containers.
    pub async fn containers(&self) -> Result<Vec<Summary>, EngineError> {
        self.ask_up_to(LISTING_LIMIT, empty_request(Method::GET, "/containers/json?all=1")?).await
    }

    /// Every container that belongs to some pod, whether it runs or not (`GET /containers/json`).
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn of_pods(&self) -> Result<Vec<Summary>, EngineError> {
        let filters = serde_json::json!({ "label": [LABEL_POD] }).to_string();
        let path = format!("/containers/json?all=1&filters={}", encoded(&filters));
        let mut all: Vec<Summary> = self.ask_up_to(LISTING_LIMIT, empty_request(Method::GET, &path)?).await?;
        all.retain(Summary::is_genuine);
        Ok(all)
    }

    /// The ids of containers that are started from now on, and have a label that begins like this (`GET /events`).
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn starts(
        &self,
        label: &'static str,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Message {
            actor: Actor,
        }
        #[derive(Deserialize)]
        struct Actor {
            #[serde(rename = "ID")]
            id: String,
            /// The container's labels among them.
            #[serde(default, rename = "Attributes")]
            attributes: BTreeMap<String, String>,
        }
        let since = self.now().await?;
        let filters = serde_json::json!({"type": ["container"], "event": ["start"]});
        let messages = self.messages::<Message>(&since, &filters).await?;
        let starts = messages.try_filter_map(move |message| async move {
            let Actor { id, attributes } = message.actor;
            Ok(attributes.keys().any(|key| key.starts_with(label)).then_some(id))
        });
        Ok(starts.boxed())
    }

    /// What happens to one container in the run that began at `started_at`, from its beginning on as far as the engine
    /// remembers (`GET /events`): a stop that was asked for while nobody listened counts.
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn changes(
        &self,
        id: &str,
        started_at: &str,
    ) -> Result<BoxStream<'static, Result<Change, EngineError>>, EngineError> {
        let began = convert::nanos(started_at).unwrap_or_default();
        let since = convert::seconds(began);
        let filters = serde_json::json!({"type": ["container"], "container": [id], "event": OWN_EVENTS});
        let messages = match &self.relay {
            Some(relay) => {
                // First what is to come, then what was: what happens in between is told twice rather than never.
                let live = relay.subscribe(EventFilter::Container(id.to_owned())).await?;
                let past = format!("{since}&until={}", self.now().await?);
                self.messages(&past, &filters).await?.chain(live).boxed()
            }
            None => self.messages(&since, &filters).await?,
        };
        // What is shared may still tell of the run before.
        let changes = messages.try_filter_map(move |message| async move {
            Ok((message.at() >= began).then(|| convert::change(message)).flatten())
        });
        Ok(changes.boxed())
    }

    /// A file of a running container that has `/pause`, as root there (`POST /containers/ID/exec`). The archive call
    /// will not do: what Swarm mounts as a secret or config it answers with nothing in it.
    ///
    /// # Errors
    /// [`EngineError::Refused`] where it cannot be read. One that is larger than [`MOST_BYTES`] comes in part, and is
    /// larger than that.
    pub async fn read_file(&self, id: &str, path: &str) -> Result<Vec<u8>, EngineError> {
        let cat = Hook {
            command: vec!["/pause".into(), "cat".into(), path.into()],
            user: Some("0:0".into()),
            working_dir: None,
            environment: Vec::new(),
        };
        let mut exec = self.exec(id, &cat).await?;
        let (mut frames, mut content, mut words) = (Frames::default(), Vec::new(), Vec::new());
        while let Some(chunk) = exec.output.next().await {
            let sink = |stream: Stream, bytes: &[u8]| match stream {
                Stream::Out => content.extend_from_slice(bytes),
                Stream::Err => words.extend_from_slice(bytes),
            };
            frames.split(&chunk?, sink).map_err(|error| EngineError::Refused(error.to_string()))?;
            // One byte more is enough to know.
            if content.len() > MOST_BYTES || words.len() > MOST_BYTES {
                return Ok(content);
            }
        }
        match ended(self, &exec.id).await? {
            0 => Ok(content),
            _ => Err(EngineError::Refused(foreign(&String::from_utf8_lossy(&words)))),
        }
    }

    /// A file or folder of a container as a tar archive (`GET /containers/ID/archive`); the first name in it is the last
    /// one of the path.
    ///
    /// # Errors
    /// Where the engine has no such file.
    pub async fn copy_out(
        &self,
        id: &str,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let path = format!("/containers/{}/archive?path={}", encoded(id), encoded(path));
        let body = self.open(QUERY_TIMEOUT, empty_request(Method::GET, &path)?).await?;
        Ok(chunks(body).boxed())
    }

    /// The standard input of a container (`POST /containers/ID/attach`). It stays open for the container when this ends.
    ///
    /// # Errors
    /// Where there is no such container, or none that takes input.
    pub async fn attach_stdin(&self, id: &str) -> Result<Box<dyn Line>, EngineError> {
        self.line(id, "stream=1&stdin=1").await
    }

    /// Standard input of a container and more, as the query says, over a connection that is no longer HTTP.
    pub(super) async fn line(&self, id: &str, query: &str) -> Result<Box<dyn Line>, EngineError> {
        let path = format!("/containers/{}/attach?{query}", encoded(id));
        let line = self.upgraded(empty_request(Method::POST, &path)?).await?;
        line.ok_or_else(|| {
            EngineError::Unreachable(
                "what is in front of the engine passes no input on to a container".into(),
            )
        })
    }

    /// The connection of a request that takes it over: no longer HTTP, and open in both directions. `None` where it does not
    /// become that: HAProxy drops the upgrade of a request with a body.
    pub(super) async fn upgraded(
        &self,
        mut request: BollardRequest,
    ) -> Result<Option<Box<dyn Line>>, EngineError> {
        // Without these two the engine takes the connection over all the same, but HTTP would not let us write.
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static("tcp"));
        let answer = self.send(QUERY_TIMEOUT, request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(None);
        }
        let upgraded = hyper::upgrade::on(answer).await;
        upgraded.map(|line| Some(Box::new(TokioIo::new(line)) as Box<dyn Line>)).map_err(unreachable)
    }
}

/// Sends the input of a command, and returns what the command writes to its standard error.
pub(super) async fn converse(
    line: Box<dyn Line>,
    mut input: BoxStream<'static, io::Result<Bytes>>,
) -> Result<String, EngineError> {
    let (mut from, mut to) = split(line);
    let send = async {
        while let Some(part) = input.next().await {
            let part = part.map_err(|error| EngineError::Refused(error.to_string()))?;
            // A command that has ended takes no more input; its status and its words tell why.
            if to.write_all(&part).await.is_err() {
                break;
            }
        }
        let _ = to.flush().await;
        Ok(())
    };
    let receive = async {
        let (mut frames, mut words, mut buffer) = (Frames::default(), Vec::new(), [0; 4096]);
        // A connection that breaks has ended as well: whether the command has is asked next.
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let sink = |stream: Stream, bytes: &[u8]| {
                if stream == Stream::Err && words.len() < MOST_BYTES {
                    words.extend_from_slice(bytes);
                }
            };
            let part = buffer.get(..length).unwrap_or_default();
            frames.split(part, sink).map_err(|error| EngineError::Refused(error.to_string()))?;
        }
        Ok(String::from_utf8_lossy(&words).trim().to_owned())
    };
    let ((), words) = tokio::try_join!(send, receive)?;
    Ok(words)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::io::duplex;

    use super::*;

    fn input(parts: &[io::Result<&'static str>]) -> BoxStream<'static, io::Result<Bytes>> {
        let parts: Vec<_> = parts
            .iter()
            .map(|part| match part {
                Ok(text) => Ok(Bytes::from_static(text.as_bytes())),
                Err(error) => Err(io::Error::other(error.to_string())),
            })
            .collect();
        stream::iter(parts).boxed()
    }

    #[tokio::test]
    async fn input_of_a_command_is_sent_while_its_output_is_read() {
        let (ours, mut theirs) = duplex(4);
        let command = async {
            let mut got = [0; 10];
            theirs.read_exact(&mut got).await.expect("all of it");
            theirs.write_all(b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x06 no!\n ").await.expect("read");
            drop(theirs);
            got
        };
        let (said, got) = tokio::join!(converse(Box::new(ours), input(&[Ok("01234"), Ok("56789")])), command);
        assert_eq!((said, &got), (Ok("no!".to_owned()), b"0123456789"));
    }

    #[tokio::test]
    async fn command_that_ends_early_still_has_its_words() {
        let (ours, mut theirs) = duplex(64);
        theirs.write_all(b"\x02\0\0\0\0\0\0\x02no").await.expect("read");
        drop(theirs);
        assert_eq!(converse(Box::new(ours), input(&[Ok("much"), Ok("more")])).await, Ok("no".to_owned()));
    }

    #[tokio::test]
    async fn input_that_breaks_off_breaks_off_the_command() {
        let (ours, mut theirs) = duplex(64);
        let said = converse(Box::new(ours), input(&[Ok("a"), Err(io::Error::other("shorter"))])).await;
        assert_eq!(said, Err(EngineError::Refused("shorter".into())));
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).await.expect("the connection is closed");
        assert_eq!(got, b"a");
    }
}
