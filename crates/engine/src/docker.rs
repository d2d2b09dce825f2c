//! The Docker Engine: its API over HTTP, and what its answers mean. No policy.
//!
//! bollard makes and reads the ordinary calls; their requests travel through our own
//! `Transport`, which says why. Two things of bollard's are not used:
//! - **Its URLs.** bollard 0.21 negotiates a version of the API and then leaves it out of the path, so that
//!   each engine would answer in its newest dialect. `Transport` sees `/containers/...` and
//!   `versioned` puts `/v1.41` before it.
//! - **Its streams** (attach, events, pull). They are lazy, so that nobody can tell when the engine has
//!   begun to listen; the decoder of attached output takes a terminal's byte for a frame's header when it
//!   is below 3, and holds a whole frame in memory. Here the request is sent at once, and the body is what
//!   the engine wrote.
//!
//! Every call has a time limit that covers the body too; a stream has one until its first byte could come.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::models::{ContainerInspectResponse, HealthStatusEnum, HealthcheckResult};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use bollard::{BollardRequest, ClientVersion, Docker, body_full, body_try_stream};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::allowlist::{listed, without_version};
use super::convert::{self, EventMessage, ImageReference, PullMessage, PullProgress};
use super::event_broadcast::{EventFilter, Relay};
use super::node::converse;
use super::tls::TlsError;
use super::transport::{Transport, TransportError};
use super::{
    CreateRequest, Created, Engine, EngineAddress, EngineError, EngineInfo, Exec, FileStat, Finished, ended,
};
use pod::api_compat::ApiVersion;
use pod::identity::{LABEL_POD, short};
use pod::observed::{ContainerInfo, Event};
use pod::policy::mount_conflicts::{NodeContainer, Volumes};
use pod::registry_auth::Credentials;
use pod::spec::Hook;
use pod::task_container::TaskContainer;
use pod::volume::VolumeInfo;
use pod::words::foreign;

/// The newest API that Tandem was tried with: what bollard's types describe.
const NEWEST_API: ClientVersion = ClientVersion { major_version: 1, minor_version: 53 };
/// The oldest: Docker Engine 20.10.
const OLDEST_API: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// Limit of a call that only asks, or does what takes the engine a moment.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Limit of what an engine asks a volume's driver for: less than that of the call before it, so that it is known who
/// does not answer.
const VOLUME_DRIVER_TIMEOUT: Duration = Duration::from_secs(20);
/// Limit of a creation or start. A busy engine with a slow disk or a volume plug-in takes its time.
const CREATE_TIMEOUT: Duration = Duration::from_secs(120);
/// Limit of a removal: then it is asked for again, which an engine that is still at it says, since a pod that ends has
/// no time for an answer that is lost.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an engine may take nothing of an archive, or say nothing once it has all of it.
const COPY_STALLS: Duration = Duration::from_secs(60);
/// What a stop may take beyond the grace it was given: the kill, and the engine's own 10 s for it.
const STOP_SLACK: Duration = Duration::from_secs(20);
/// bollard wants one limit for all calls; ours are set here, call by call.
const NO_LIMIT_SECS: u64 = 365 * 24 * 3600;
/// Calls that one listing has open at a time.
const INSPECTIONS: usize = 8;
/// Longest line of an event or pull stream; an event carries all labels of its container.
const LINE_LIMIT: usize = 4 * 1024 * 1024;
/// Longest listing: of hundreds of containers, each with all its labels, which may hold a pod's whole definition.
pub(super) const LISTING_LIMIT: usize = 64 * 1024 * 1024;
/// How much of the path of a call is told that is too long to be one.
const MAX_PATH_IN_ERROR: usize = 60;
/// Longest error message that is read.
const ERROR_LIMIT: usize = 64 * 1024;
/// What is heard of the containers of a pod.
const POD_EVENTS: [&str; 7] = ["create", "start", "kill", "die", "oom", "health_status", "destroy"];
/// What is heard of a pod's own container, where that is another one than the manager's.
pub(super) const OWN_EVENTS: [&str; 3] = ["kill", "die", "destroy"];
/// How far a first subscription may look back.
const EVENT_LOOKBACK: Duration = Duration::from_millis(500);
/// Events whose repetition is noticed.
const RECENT_EVENTS: usize = 32;

/// A Docker Engine. Clones are the same one.
#[derive(Clone)]
pub struct DockerEngine {
    transport: Transport,
    /// Set once the engine has told its version of the API; forgotten when it does not answer, since it
    /// may come back as another version.
    api: Arc<Mutex<Option<Docker>>>,
    /// The engine's clock as it told it with what it is, and when that was.
    clock: Arc<Mutex<Option<(String, Instant)>>>,
    /// The engine's clock, nanoseconds since 1970, as it told it last, and when that was.
    told_clock: Arc<Mutex<Option<(i64, Instant)>>>,
    /// Who images are asked for as.
    credentials: Arc<Credentials>,
    /// Through which events come, where many pods are run.
    pub(super) relay: Option<Relay>,
}

impl DockerEngine {
    /// An engine at this address. It is not asked anything yet; certificates are read now.
    ///
    /// # Errors
    /// Where TLS is asked for and its files are of no use.
    pub fn new(address: &EngineAddress) -> Result<Self, TlsError> {
        let transport = Transport::new(address)?;
        Ok(Self {
            transport,
            api: Arc::default(),
            clock: Arc::default(),
            told_clock: Arc::default(),
            credentials: Arc::default(),
            relay: None,
        })
    }

    /// The same engine, asked for images with these credentials.
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self { credentials: Arc::new(credentials), ..self }
    }

    /// The same engine, whose events come by one stream for all who listen.
    pub fn with_one_stream(self) -> Self {
        Self { relay: Some(Relay::start(self.clone())), ..self }
    }

    /// The version of the API that is spoken with it.
    ///
    /// # Errors
    /// Where the engine does not answer, or is too old.
    pub async fn api_version(&self) -> Result<ApiVersion, EngineError> {
        let version = self.within(QUERY_TIMEOUT, self.api()).await?.client_version();
        Ok((version.major_version, version.minor_version))
    }

    /// A client of the version of the API that is spoken: the engine's, or [`NEWEST_API`] where the engine's is newer.
    async fn api(&self) -> Result<Docker, EngineError> {
        if let Some(docker) = self.negotiated().as_ref() {
            return Ok(docker.clone());
        }
        // The one path without a version; asked with a version that is too new, an engine refuses.
        let request = empty_request(Method::GET, "/_ping")?;
        let response = self.transport.send(request).await.map_err(not_sent)?;
        let response = accepted(response).await?;
        let words = response.headers().get("Api-Version").and_then(|value| value.to_str().ok());
        let version = negotiate(words)?;
        let docker = self.speak(&version)?;
        *self.negotiated() = Some(docker.clone());
        Ok(docker)
    }

    fn speak(&self, version: &ClientVersion) -> Result<Docker, EngineError> {
        let (transport, prefix) = (self.transport.clone(), prefix(version));
        let send = move |request: BollardRequest| {
            let (transport, prefix) = (transport.clone(), prefix.clone());
            async move {
                let request = versioned(request, &prefix)?;
                // bollard has no variant for another transport's errors; the words come through.
                transport.send(request).await.map_err(|error| std::io::Error::other(error).into())
            }
        };
        // The host only makes the URL complete; the transport knows where to go.
        Docker::connect_with_custom_transport(send, Some("http://engine"), NO_LIMIT_SECS, version)
            .map_err(translate)
    }

    fn negotiated(&self) -> MutexGuard<'_, Option<Docker>> {
        self.api.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call through bollard. Boxed, as the next one is: these kilobytes are needed for the time of a call, and would be
    /// part of every task that makes one, for as long as the task lives.
    async fn call<T, F>(&self, limit: Duration, call: impl FnOnce(Docker) -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, BollardError>>,
    {
        let work = Box::pin(async { call(self.api().await?).await.map_err(translate) });
        self.within(limit, work).await
    }

    /// A call of our own: sent at once; resolves with the head of the answer.
    pub(super) async fn send(
        &self,
        limit: Duration,
        request: BollardRequest,
    ) -> Result<Response<Incoming>, EngineError> {
        let work = Box::pin(async {
            let docker = self.api().await?;
            let request = versioned(request, &prefix(&docker.client_version())).map_err(translate)?;
            let response = self.transport.send(request).await.map_err(not_sent)?;
            accepted(response).await
        });
        self.within(limit, work).await
    }

    /// As [`Self::send`], with the body of the answer.
    pub(super) async fn open(
        &self,
        limit: Duration,
        request: BollardRequest,
    ) -> Result<Incoming, EngineError> {
        Ok(self.send(limit, request).await?.into_body())
    }

    /// A call of our own whose answer is one JSON value.
    pub(super) async fn ask<T: DeserializeOwned>(&self, request: BollardRequest) -> Result<T, EngineError> {
        self.ask_up_to(LINE_LIMIT, request).await
    }

    /// The same, of at most so many bytes.
    pub(super) async fn ask_up_to<T: DeserializeOwned>(
        &self,
        most: usize,
        request: BollardRequest,
    ) -> Result<T, EngineError> {
        let path = request.uri().path().to_owned();
        let answer = async {
            let body = self.open(QUERY_TIMEOUT, request).await?;
            let whole = Limited::new(body, most).collect().await;
            whole.map(|whole| whole.to_bytes()).map_err(|error| match error.is::<LengthLimitError>() {
                true => EngineError::Refused(format!("the answer to `{path}` has more than {most} bytes")),
                false => EngineError::Unreachable(error.to_string()),
            })
        };
        serde_json::from_slice(&self.within(QUERY_TIMEOUT, answer).await?).map_err(not_understood)
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let result = timeout(limit, work).await.unwrap_or_else(|_| {
            Err(EngineError::Unreachable(format!("no answer within {} s", limit.as_secs())))
        });
        if matches!(result, Err(EngineError::Unreachable(_) | EngineError::Untrusted(_))) {
            *self.negotiated() = None;
        }
        result
    }

    /// Creates a command in a container; returns its id.
    async fn create_exec(&self, id: &str, body: &serde_json::Value) -> Result<String, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Made {
            id: String,
        }
        let path = format!("/containers/{}/exec", encoded(id));
        let Made { id } = self.ask(json_request(&path, body)?).await?;
        Ok(id)
    }

    pub(super) async fn inspect_raw(&self, id: &str) -> Result<ContainerInspectResponse, EngineError> {
        self.call(QUERY_TIMEOUT, |docker| async move { docker.inspect_container(id, None).await }).await
    }

    /// The engine's health check of this container has failed. Checks that failed because the pod was stopping already
    /// (`pause health` prints that word) say nothing of what it was before.
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn is_unhealthy(&self, id: &str) -> Result<bool, EngineError> {
        let health = self.inspect_raw(id).await?.state.and_then(|state| state.health).unwrap_or_default();
        let stopping = pause::health::Health::Stopping.word();
        let meant = |check: &&HealthcheckResult| {
            check.output.as_deref().is_none_or(|output| output.trim() != stopping)
        };
        let last = health.log.as_ref().and_then(|log| log.iter().rev().find(meant));
        Ok(health.status == Some(HealthStatusEnum::UNHEALTHY)
            && last.is_some_and(|check| check.exit_code != Some(0)))
    }

    async fn system(&self) -> Result<convert::Info, EngineError> {
        let info: convert::Info = self.ask(empty_request(Method::GET, "/info")?).await?;
        if let Some(nanos) = convert::nanos(&info.system_time) {
            *self.told_clock.lock().unwrap_or_else(PoisonError::into_inner) = Some((nanos, Instant::now()));
        }
        Ok(info)
    }

    /// The engine's own time, as `/events` takes it. The engine sends the head of that answer and subscribes to the events
    /// only then (20.10 to 28: `getEvents`), so that one between the two would be lost. Asked for `since` a moment before
    /// by its own clock, it looks back and subscribes in one step.
    pub(super) async fn now(&self) -> Result<String, EngineError> {
        Ok(time_for_events(&self.system().await?.system_time))
    }

    /// The same, as it was told with [`Engine::info`] a moment ago, once. A pod's components may look back so far: what is
    /// older than their present life counts for nothing, and of that life the last news stands.
    async fn recent_engine_time(&self) -> Result<String, EngineError> {
        let told = self.clock.lock().unwrap_or_else(PoisonError::into_inner).take();
        match told {
            Some((time, at)) if at.elapsed() < EVENT_LOOKBACK => Ok(time_for_events(&time)),
            _ => self.now().await,
        }
    }

    /// Every event that anybody here listens to, of every container (`GET /events`).
    pub(super) async fn all_events(
        &self,
    ) -> Result<BoxStream<'static, Result<EventMessage, EngineError>>, EngineError> {
        let since = self.now().await?;
        let events: Vec<&str> = POD_EVENTS.iter().chain(&OWN_EVENTS).copied().collect();
        self.messages(&since, &serde_json::json!({"type": ["container"], "event": events})).await
    }

    /// What happens from now on to the containers of a pod.
    async fn pod_events(
        &self,
        pod: &str,
    ) -> Result<BoxStream<'static, Result<EventMessage, EngineError>>, EngineError> {
        if let Some(relay) = &self.relay {
            return relay.subscribe(EventFilter::Pod(pod.to_owned())).await;
        }
        let since = self.recent_engine_time().await?;
        let filters = serde_json::json!({
            "type": ["container"],
            "label": [format!("{LABEL_POD}={pod}")],
            "event": POD_EVENTS,
        });
        self.messages(&since, &filters).await
    }

    /// Events that pass these filters, looking back to `since` (`GET /events`), and none after `&until=TIME` behind it.
    pub(super) async fn messages<T: DeserializeOwned + Send + 'static>(
        &self,
        since: &str,
        filters: &serde_json::Value,
    ) -> Result<BoxStream<'static, Result<T, EngineError>>, EngineError> {
        let path = format!("/events?since={since}&filters={}", encoded(&filters.to_string()));
        Ok(json_lines(self.open(QUERY_TIMEOUT, empty_request(Method::GET, &path)?).await?).boxed())
    }

    async fn inspect_image(&self, image: &str) -> Result<convert::Image, EngineError> {
        ImageReference::parse(image)?;
        self.ask(empty_request(Method::GET, &format!("/images/{}/json", encoded(image)))?).await
    }

    async fn inspect_volume(&self, name: &str) -> Result<convert::Volume, EngineError> {
        let request = empty_request(Method::GET, &format!("/volumes/{}", encoded(name)))?;
        let secs = VOLUME_DRIVER_TIMEOUT.as_secs();
        let told = timeout(VOLUME_DRIVER_TIMEOUT, self.ask(request)).await.unwrap_or_else(|_| {
            Err(EngineError::Refused(format!("its driver does not answer within {secs} s")))
        });
        told.map_err(|error| match error {
            EngineError::Refused(words) => EngineError::Refused(format!("volume `{name}`: {words}")),
            other => other,
        })
    }

    /// The user that an image names, empty for root; `None` if the engine does not have the image.
    ///
    /// # Errors
    /// If the engine cannot inspect the image.
    pub async fn image_user(&self, image: &str) -> Result<Option<String>, EngineError> {
        match self.inspect_image(image).await {
            Ok(image) => Ok(Some(image.config.map(|config| config.user).unwrap_or_default())),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the image would run, for a container that clears the command only.
    async fn image_entrypoint(&self, image: &str) -> Result<Vec<String>, EngineError> {
        let image = self.inspect_image(image).await?;
        let entrypoint = image.config.and_then(|config| config.entrypoint).unwrap_or_default();
        // With none at all there is nothing to run, and `[""]` makes the engine say so.
        Ok(convert::cleared(entrypoint))
    }
}

fn time_for_events(written: &str) -> String {
    convert::seconds(convert::nanos(written).unwrap_or_default())
}

impl Engine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        let info = self.system().await?;
        let told = Some((info.system_time.clone(), Instant::now()));
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = told;
        Ok(convert::engine_info(info))
    }

    fn clock(&self) -> Option<i64> {
        let (nanos, at) = (*self.told_clock.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(nanos.saturating_add(i64::try_from(at.elapsed().as_nanos()).ok()?))
    }

    async fn inspect_task(&self, id: &str) -> Result<TaskContainer, EngineError> {
        let mut task = convert::task_container(self.inspect_raw(id).await?);
        for mount in &mut task.mounts {
            let Some(name) = mount.volume.as_deref() else { continue };
            match self.inspect_volume(name).await {
                Ok(volume) => convert::describe_volume(mount, volume),
                // Removed by force while it is mounted, or its plug-in has lost it: mounted it is still.
                Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(task)
    }

    async fn inspect(&self, id: &str) -> Result<ContainerInfo, EngineError> {
        self.inspect_raw(id).await.map(convert::container_info)
    }

    async fn list(&self, pod: &str) -> Result<Vec<ContainerInfo>, EngineError> {
        let label = format!("{LABEL_POD}={pod}");
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&[("label", vec![label])].into_iter().collect())
            .build();
        let listed = || async {
            let options = options.clone();
            let all =
                self.call(QUERY_TIMEOUT, |docker| async move { docker.list_containers(Some(options)).await });
            Ok::<Vec<String>, EngineError>(all.await?.into_iter().filter_map(|one| one.id).collect())
        };
        // The summaries lack what counts: health, the status of the end, whether a start failed.
        let inspections = listed().await?.into_iter().map(|id| async move {
            match self.inspect(&id).await {
                Ok(container) => Ok(Ok(container)),
                Err(EngineError::NotFound(words)) => Ok(Err((id, words))),
                Err(error) => Err(error),
            }
        });
        let found: Vec<_> = stream::iter(inspections).buffered(INSPECTIONS).try_collect().await?;
        let (there, gone): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
        let mut gone = gone.into_iter().filter_map(Result::err).peekable();
        if gone.peek().is_some() {
            // Gone between the two calls; else the engine contradicts itself, and none of it counts.
            let still = listed().await?;
            if let Some((id, words)) = gone.find(|(id, _)| still.contains(id)) {
                return Err(EngineError::Unreachable(format!("it lists {} and says: {words}", short(&id))));
            }
        }
        Ok(there.into_iter().filter_map(Result::ok).collect())
    }

    async fn events(&self, pod: &str) -> Result<BoxStream<'static, Result<Event, EngineError>>, EngineError> {
        let messages = self.pod_events(pod).await?;
        // An event of that moment may come twice, once looked back at and once live.
        let mut recent = VecDeque::with_capacity(RECENT_EVENTS);
        let events = messages.try_filter_map(move |message| {
            let key = message.key();
            let repeated = recent.contains(&key);
            if !repeated {
                recent.truncate(RECENT_EVENTS - 1);
                recent.push_front(key);
            }
            let event = if repeated { None } else { convert::event(message) };
            async { Ok(event) }
        });
        Ok(events.boxed())
    }

    async fn image_has_healthcheck(&self, image: &str) -> Result<Option<bool>, EngineError> {
        match self.inspect_image(image).await {
            Ok(image) => Ok(Some(convert::has_healthcheck(image))),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn volume(&self, name: &str) -> Result<Option<VolumeInfo>, EngineError> {
        match self.inspect_volume(name).await {
            Ok(volume) => Ok(Some(convert::volume_info(volume))),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn local_volumes(&self) -> Result<Volumes, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Told {
            volumes: Option<Vec<convert::Volume>>,
        }
        // Without this filter the engine asks every volume driver, and a driver may hang.
        let filters = serde_json::json!({ "driver": ["local"] }).to_string();
        let path = format!("/volumes?filters={}", encoded(&filters));
        let told: Told = self.ask_up_to(LISTING_LIMIT, empty_request(Method::GET, &path)?).await?;
        let volumes = told.volumes.unwrap_or_default().into_iter();
        Ok(volumes.map(|volume| (volume.name.clone(), convert::volume_info(volume))).collect())
    }

    async fn node_containers(&self) -> Result<Vec<NodeContainer>, EngineError> {
        let request = empty_request(Method::GET, "/containers/json?all=1")?;
        let all: Vec<convert::ListedContainer> = self.ask_up_to(LISTING_LIMIT, request).await?;
        Ok(all.into_iter().map(convert::node_container).collect())
    }

    fn pull(&self, image: &str, platform: Option<&str>) -> BoxStream<'static, Result<String, EngineError>> {
        let (engine, image) = (self.clone(), image.to_owned());
        let credential = self.credentials.of_image(&image).cloned();
        let who = credential.clone();
        let platform =
            platform.map(|platform| format!("&platform={}", encoded(platform))).unwrap_or_default();
        let messages = async move {
            let reference = ImageReference::parse(&image)?;
            let path = format!(
                "/images/create?fromImage={}&tag={}{platform}",
                encoded(&reference.name),
                encoded(&reference.tag)
            );
            // The engine answers when the registry has, and that may take as long as registries take:
            // whoever waits for it drops the stream to break it off. Connecting has its own limit.
            let mut request = empty_request(Method::POST, &path)?;
            if let Some(credential) = &credential {
                let mut value = HeaderValue::from_str(&convert::registry_auth(credential))
                    .expect("invariant: base64 makes a header");
                value.set_sensitive(true);
                request.headers_mut().insert("X-Registry-Auth", value);
            }
            let body = engine.open(Duration::MAX, request).await?;
            Ok(json_lines::<PullMessage>(body))
        };
        let (mut progress, began) = (PullProgress::default(), Instant::now());
        stream::once(messages)
            .try_flatten()
            .try_filter_map(move |message| {
                let line = progress.take(message, began.elapsed());
                async { line }
            })
            .map_err(move |error| match error {
                EngineError::Refused(words) => {
                    EngineError::Refused(convert::pull_refused(words, who.as_ref()))
                }
                EngineError::NotFound(words) => {
                    EngineError::NotFound(convert::pull_refused(words, who.as_ref()))
                }
                other => other,
            })
            .boxed()
    }

    async fn create(&self, request: &CreateRequest) -> Result<Created, EngineError> {
        let mut body = convert::create_body(request);
        if request.container.entrypoint.is_none()
            && request.container.command.as_ref().is_some_and(Vec::is_empty)
        {
            // To the engine an empty command is none, and the image's holds, unless the entrypoint is said.
            body.entrypoint = Some(self.image_entrypoint(&request.container.image).await?);
        }
        let options = CreateContainerOptionsBuilder::new().name(&request.name);
        let options = match &request.container.tuning.platform {
            Some(platform) => options.platform(platform),
            None => options,
        }
        .build();
        let created = self
            .call(CREATE_TIMEOUT, |docker| async move { docker.create_container(Some(options), body).await })
            .await
            .map_err(|error| match error {
                // A holder of namespaces that is gone (400 from 20.10, 404 elsewhere) is no fault of the
                // request, and not a missing image.
                EngineError::NotFound(words) | EngineError::Refused(words)
                    if words.to_ascii_lowercase().contains("no such container") =>
                {
                    EngineError::Conflict(words)
                }
                other => other,
            })?;
        Ok(Created { id: created.id, warnings: created.warnings })
    }

    async fn output_since(
        &self,
        id: &str,
        since: i64,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let (secs, nanos) = (since.div_euclid(1_000_000_000), since.rem_euclid(1_000_000_000));
        let path = format!(
            "/containers/{}/logs?follow=true&stdout=true&stderr=true&tail={MISSED_LINES}&since={secs}.{nanos:09}",
            encoded(id)
        );
        Ok(chunks(self.open(QUERY_TIMEOUT, empty_request(Method::GET, &path)?).await?).boxed())
    }

    async fn last_output(
        &self,
        id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let path = format!("/containers/{}/logs?stdout=true&stderr=true&tail={LAST_LINES}", encoded(id));
        Ok(chunks(self.open(QUERY_TIMEOUT, empty_request(Method::GET, &path)?).await?).boxed())
    }

    async fn copy_in(
        &self,
        id: &str,
        folder: &str,
        archive: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<(), EngineError> {
        // Without `copyUIDGID` the archive's owners are kept; with it all would belong to the user that the
        // container runs as. `noOverwriteDirNonDir`: a file never takes a folder's place, nor the reverse.
        let path =
            format!("/containers/{}/archive?noOverwriteDirNonDir=true&path={}", encoded(id), encoded(folder));
        // The archive's own error is the cause; of the request hyper only tells that its body failed, or the
        // engine that it was cut.
        let broken = Arc::new(Mutex::new(None));
        let note = Arc::clone(&broken);
        let moved = Arc::new(Notify::new());
        let moves = Arc::clone(&moved);
        let parts = archive.map(move |part| {
            moves.notify_one();
            part.inspect_err(|error| {
                let words = error.to_string();
                *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
            })
        });
        let mut request = addressed(Method::PUT, &path, Request::new(body_try_stream(parts)))?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
        // However large it is: as long as it goes on.
        let stalls = async {
            while timeout(COPY_STALLS, moved.notified()).await.is_ok() {}
            EngineError::Unreachable(format!("it took nothing of an archive for {} s", COPY_STALLS.as_secs()))
        };
        let sent = tokio::select! {
            sent = self.open(Duration::MAX, request) => sent.map(drop),
            error = stalls => Err(error),
        };
        match broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(words) => Err(EngineError::Refused(words)),
            None => sent,
        }
    }

    async fn attach(&self, id: &str) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        // No `Upgrade` is asked for: the engine takes over the connection all the same, answers 200 at
        // once, also for a container that is not started yet, and then the body is the raw stream until
        // the container ends.
        let path = format!("/containers/{}/attach?stream=1&stdout=1&stderr=1", encoded(id));
        let body = self.open(QUERY_TIMEOUT, empty_request(Method::POST, &path)?).await?;
        Ok(chunks(body).boxed())
    }

    async fn exec(&self, id: &str, hook: &Hook) -> Result<Exec, EngineError> {
        let id = self.create_exec(id, &convert::exec_body(hook)).await?;
        // As with `attach`, the answer's body is the raw stream.
        let path = format!("/exec/{}/start", encoded(&id));
        let body = self.open(QUERY_TIMEOUT, json_request(&path, &serde_json::json!({}))?).await?;
        Ok(Exec { id, output: chunks(body).boxed() })
    }

    async fn run(
        &self,
        id: &str,
        command: &Hook,
        input: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Option<Finished>, EngineError> {
        let mut body = convert::exec_body(command);
        body["AttachStdin"] = true.into();
        let exec = self.create_exec(id, &body).await?;
        let path = format!("/exec/{}/start", encoded(&exec));
        let request = json_request(&path, &serde_json::json!({}))?;
        let Some(line) = self.upgraded(request).await? else { return Ok(None) };
        let work = async {
            let stderr = converse(line, input).await?;
            Ok(Some(Finished { status: ended(self, &exec).await?, stderr }))
        };
        self.within(CREATE_TIMEOUT, work).await
    }

    async fn stat(&self, id: &str, path: &str) -> Result<Option<FileStat>, EngineError> {
        let path = format!("/containers/{}/archive?path={}", encoded(id), encoded(path));
        let answer = match self.send(QUERY_TIMEOUT, empty_request(Method::HEAD, &path)?).await {
            Ok(answer) => answer,
            Err(EngineError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let told = answer.headers().get("X-Docker-Container-Path-Stat").map(HeaderValue::as_bytes);
        told.and_then(convert::file_stat).map(Some).ok_or_else(|| not_understood("no word of the file"))
    }

    async fn exec_status(&self, exec: &str) -> Result<Option<i64>, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Told {
            running: bool,
            exit_code: Option<i64>,
        }
        let path = format!("/exec/{}/json", encoded(exec));
        let told: Told = self.ask(empty_request(Method::GET, &path)?).await?;
        Ok(told.exit_code.filter(|_| !told.running))
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        self.call(CREATE_TIMEOUT, |docker| async move { docker.start_container(id, None).await }).await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        let secs = i32::try_from(convert::whole_seconds(grace)).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(secs).build();
        let limit = grace.saturating_add(STOP_SLACK);
        self.call(limit, |docker| async move { docker.stop_container(id, Some(options)).await }).await
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self
            .call(REMOVE_TIMEOUT, |docker| async move { docker.remove_container(id, Some(options)).await })
            .await
        {
            // Nothing is to be left: what seems gone is looked for.
            Err(EngineError::NotFound(words)) => match self.inspect(id).await {
                Ok(_) => Err(EngineError::Conflict(words)),
                Err(EngineError::NotFound(_)) => Ok(()),
                Err(error) => Err(error),
            },
            // "removal of container X is already in progress".
            Err(EngineError::Conflict(words)) if words.contains("already in progress") => Ok(()),
            result => result,
        }
    }
}

/// A request to the engine, without the version of the API in its path; refused where that is longer than HTTP's
/// library has it (64 KiB): fixed text and [`encoded`] parts make a path, but not of any length.
fn addressed(method: Method, path: &str, mut request: BollardRequest) -> Result<BollardRequest, EngineError> {
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| {
        let beginning: String = path.chars().take(MAX_PATH_IN_ERROR).collect();
        let bytes = path.len();
        EngineError::Refused(format!("the path of a call would have {bytes} bytes, too many: `{beginning}…`"))
    })?;
    Ok(request)
}

pub(super) fn empty_request(method: Method, path: &str) -> Result<BollardRequest, EngineError> {
    addressed(method, path, Request::new(body_full(Bytes::new())))
}

pub(super) fn json_request(path: &str, body: &serde_json::Value) -> Result<BollardRequest, EngineError> {
    let mut request = addressed(Method::POST, path, Request::new(body_full(body.to_string().into())))?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(request)
}

/// How many lines of a container's log are enough to see how it ended.
const LAST_LINES: u32 = 20;
/// Lines that a component may have written before its output is followed again after a restart by others.
const MISSED_LINES: u32 = 10_000;

/// `/v1.41`.
fn prefix(version: &ClientVersion) -> String {
    format!("/v{}.{}", version.major_version, version.minor_version)
}

/// The version that both speak, from what the engine says in `Api-Version`.
fn negotiate(engine: Option<&str>) -> Result<ClientVersion, EngineError> {
    let said = engine.unwrap_or("nothing");
    let numbers =
        said.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let Some((major_version, minor_version)) = numbers else {
        return Err(EngineError::Refused(format!(
            "this is no Docker Engine: asked for its API version it says `{said}`"
        )));
    };
    let version = ClientVersion { major_version, minor_version };
    if version < OLDEST_API {
        return Err(EngineError::Refused(format!(
            "the engine's API is version {said}; Tandem needs 1.41 (Docker Engine 20.10) or newer"
        )));
    }
    Ok(if version < NEWEST_API { version } else { NEWEST_API })
}

/// The request with the version before its path, and without scheme and host: HTTP/1.1 sends the path only.
fn versioned<B>(mut request: Request<B>, prefix: &str) -> Result<Request<B>, BollardError> {
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    debug_assert!(listed(request.method().as_str(), path), "invariant: {path} is listed in `calls`");
    // A bollard that puts it there itself must not break this.
    let has_version = without_version(path) != path;
    let path = if has_version { path.to_owned() } else { format!("{prefix}{path}") };
    *request.uri_mut() = path.parse()?;
    Ok(request)
}

/// Text as a part of a path or query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The answer, unless the engine says no.
async fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, EngineError> {
    let status = response.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    #[derive(Deserialize)]
    struct Words {
        message: String,
    }
    let body = Limited::new(response.into_body(), ERROR_LIMIT).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let words = serde_json::from_slice(&body)
        .map(|words: Words| words.message)
        .unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
    Err(refusal(status.as_u16(), words))
}

/// What a status other than success means. The one place that knows.
fn refusal(status: u16, words: String) -> EngineError {
    // A registry's words and a plugin's are among them.
    let words = match foreign(&words) {
        words if words.is_empty() => format!("the engine answers with status {status}"),
        words => words,
    };
    match status {
        404 => EngineError::NotFound(words),
        409 => EngineError::Conflict(words),
        // A proxy before the engine that cannot reach it; the engine itself uses none of them here.
        502..=504 => EngineError::Unreachable(words),
        // The engine was replaced by one that no longer speaks what was negotiated: ask again.
        400 if words.starts_with("client version ") => EngineError::Unreachable(words),
        _ => EngineError::Refused(words),
    }
}

/// bollard's errors as ours.
fn translate(error: BollardError) -> EngineError {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => refusal(status_code, message),
        BollardError::RequestTimeoutError
        | BollardError::IOError { .. }
        | BollardError::HyperResponseError { .. } => unreachable(error),
        // An answer that is not what the API says, or a request that cannot be written.
        other => EngineError::Refused(format!("the engine is not understood: {}", causes(&other))),
    }
}

pub(super) fn not_understood(error: impl std::fmt::Display) -> EngineError {
    EngineError::Refused(format!("the engine is not understood: {error}"))
}

fn not_sent(error: TransportError) -> EngineError {
    match error {
        TransportError::Untrusted(words) => EngineError::Untrusted(words),
        error => unreachable(error),
    }
}

pub(super) fn unreachable(error: impl std::error::Error) -> EngineError {
    EngineError::Unreachable(causes(&error))
}

/// An error with its causes, each said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

/// The parts of a body as they come.
pub(super) fn chunks(
    body: Incoming,
) -> impl futures_util::Stream<Item = Result<Bytes, EngineError>> + Send + 'static {
    body.into_data_stream().map_err(unreachable)
}

/// The lines of a body, each a JSON value.
fn json_lines<T: DeserializeOwned + Send + 'static>(
    body: Incoming,
) -> impl futures_util::Stream<Item = Result<T, EngineError>> + Send + 'static {
    let lines = Lines { body, buffer: BytesMut::new(), searched: 0, ended: false };
    stream::try_unfold(lines, |mut lines| async {
        let Some(line) = lines.next().await? else { return Ok(None) };
        let value = serde_json::from_slice(&line).map_err(not_understood)?;
        Ok(Some((value, lines)))
    })
}

/// Cuts a body into lines.
struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// How much of the buffer is known to have no line end.
    searched: usize,
    ended: bool,
}

impl Lines {
    /// The next line that is not empty; the last one need not end with a line end.
    async fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        loop {
            if let Some(line) = self.cut() {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.ended {
                let rest = self.buffer.split().freeze();
                return Ok((!rest.trim_ascii().is_empty()).then_some(rest));
            }
            if self.buffer.len() > LINE_LIMIT {
                return Err(EngineError::Refused(format!(
                    "the engine wrote a line of more than {LINE_LIMIT} bytes"
                )));
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.map_err(unreachable)?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                None => self.ended = true,
            }
        }
    }

    fn cut(&mut self) -> Option<Bytes> {
        let unsearched = self.buffer.get(self.searched..)?;
        match unsearched.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                let end = self.searched + at + 1;
                self.searched = 0;
                Some(self.buffer.split_to(end).freeze())
            }
            None => {
                self.searched = self.buffer.len();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::node::{Standing, Summary};
    use super::*;
    use crate::testing::{answer, canned, ping};
    use pod::observed::{EventKind, Health};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    /// As an attach is answered: no length, ended by the end of the connection.
    fn endless(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn command_with_input_takes_over_its_connection_and_reports_status_and_words() {
        let taken_over = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        let (engine, server) = canned(vec![
            ping("1.41"),
            answer("201 Created", r#"{"Id":"exec"}"#),
            format!("{taken_over}\x02\0\0\0\0\0\0\x03no\n"),
            answer("200 OK", r#"{"Running":false,"ExitCode":3}"#),
        ]);
        let command = Hook { command: vec!["/pause".into(), "store".into()], ..Hook::default() };
        let input = stream::iter([Ok(Bytes::from_static(b"x"))]).boxed();
        let finished = engine.run("app", &command, input).await;
        assert_eq!(finished, Ok(Some(Finished { status: 3, stderr: "no".into() })));
        let requests = server.await.expect("it ends");
        assert_eq!(
            requests[1..],
            [
                "POST /v1.41/containers/app/exec HTTP/1.1",
                "POST /v1.41/exec/exec/start HTTP/1.1",
                "GET /v1.41/exec/exec/json HTTP/1.1",
            ]
        );
    }

    #[tokio::test]
    async fn calls_are_made_in_the_older_of_both_versions() {
        for (engines, spoken) in [("1.41", "1.41"), ("1.53", "1.53"), ("1.99", "1.53"), ("2.0", "1.53")] {
            let info = r#"{"ServerVersion":"9","ID":"A:B","CgroupDriver":"systemd","CgroupVersion":"2","DockerRootDir":"/srv",
                "SecurityOptions":["name=seccomp,profile=default","name=userns","name=rootless"],
                "Name":"node1","Swarm":{"NodeAddr":"10.0.0.1"}}"#;
            let (engine, server) = canned(vec![ping(engines), answer("200 OK", info), endless("raw")]);
            let info = engine.info().await.expect("an answer");
            let (version, id, cgroup_driver) = ("9".into(), "A:B".into(), "systemd".into());
            let root = "/srv".into();
            let (remaps_users, rootless) = (true, true);
            let names = vec!["node1".into(), "10.0.0.1".into()];
            let (cgroup_version, filters_calls) = (2, true);
            let want = EngineInfo {
                version,
                id,
                root,
                cgroup_driver,
                cgroup_version,
                remaps_users,
                rootless,
                filters_calls,
                names,
            };
            let minor = spoken.trim_start_matches("1.").parse().expect("a number");
            assert_eq!(engine.api_version().await, Ok((1, minor)));
            assert_eq!(info, want);
            let output: Vec<_> = engine.attach("id").await.expect("attached").collect().await;
            assert_eq!(output.into_iter().collect::<Result<Vec<_>, _>>().expect("bytes").concat(), b"raw");
            let attach = format!("POST /v{spoken}/containers/id/attach?stream=1&stdout=1&stderr=1 HTTP/1.1");
            let want = ["GET /_ping HTTP/1.1".to_owned(), format!("GET /v{spoken}/info HTTP/1.1"), attach];
            assert_eq!(server.await.expect("served"), want);
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_too_old_or_none_at_all_is_refused() {
        for (says, want) in [("1.40", "Tandem needs 1.41"), ("later", "this is no Docker Engine")] {
            let (engine, _) = canned(vec![ping(says)]);
            let error = engine.info().await.expect_err(says);
            assert!(matches!(&error, EngineError::Refused(words) if words.contains(want)), "{error:?}");
        }
        let (engine, _) = canned(vec![answer("200 OK", "hello")]);
        let error = engine.info().await.expect_err("a web server");
        assert!(matches!(&error, EngineError::Refused(words) if words.contains("`nothing`")), "{error:?}");
    }

    #[tokio::test]
    async fn what_the_engine_says_is_passed_on_in_its_own_words() {
        let cases = [
            ("404 Not Found", EngineError::NotFound("words".into())),
            ("409 Conflict", EngineError::Conflict("words".into())),
            ("400 Bad Request", EngineError::Refused("words".into())),
            ("403 Forbidden", EngineError::Refused("words".into())),
            ("500 Internal Server Error", EngineError::Refused("words".into())),
            ("502 Bad Gateway", EngineError::Unreachable("words".into())),
        ];
        for (status, want) in cases {
            for body in [r#"{"message":"words"}"#, "words\n"] {
                // Ours and bollard's way of making a call.
                let (engine, _) = canned(vec![ping("1.41"), answer(status, body)]);
                assert_eq!(engine.attach("id").await.err(), Some(want.clone()), "{status}: {body}");
                let (engine, _) = canned(vec![ping("1.41"), answer(status, body)]);
                assert_eq!(engine.inspect("id").await, Err(want.clone()), "{status}: {body}");
            }
        }
        assert_eq!(
            refusal(418, String::new()),
            EngineError::Refused("the engine answers with status 418".into())
        );
        assert_eq!(
            refusal(500, "denied\x1b[2J\n2026-11-30T00:00:00Z  INFO forged".into()),
            EngineError::Refused("denied\\u{1b}[2J\n  2026-11-30T00:00:00Z  INFO forged".into())
        );
    }

    #[tokio::test]
    async fn already_so_is_done() {
        let words = r#"{"message":"removal of container x is already in progress"}"#;
        let mut answers = vec![ping("1.41"), "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned()];
        answers.push("HTTP/1.1 304 Not Modified\r\n\r\n".to_owned());
        // What is said to be gone is looked for: it is gone.
        let statuses = ["404 Not Found", "404 Not Found", "409 Conflict"];
        answers.extend(statuses.map(|status| answer(status, words)));
        let (engine, server) = canned(answers);
        assert_eq!(engine.start("x").await, Ok(()));
        assert_eq!(engine.stop("x", Duration::from_millis(1)).await, Ok(()));
        assert_eq!(engine.remove("x").await, Ok(()));
        assert_eq!(engine.remove("x").await, Ok(()));
        let requests = server.await.expect("served");
        assert_eq!(requests[2], "POST /v1.41/containers/x/stop?t=1 HTTP/1.1");
        assert_eq!(requests[3], "DELETE /v1.41/containers/x?v=true&force=true&link=false HTTP/1.1");
    }

    #[tokio::test]
    async fn no_connection_outlives_its_answer_or_the_interest_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let engine = DockerEngine::new(&EngineAddress::Unix(path)).expect("no TLS");
        let (tell, asked) = tokio::sync::oneshot::channel();
        // Unlike `canned`, this engine never closes: it waits until the other side does.
        let server = tokio::spawn(async move {
            let attached = "HTTP/1.1 200 OK\r\n\r\nfirst".to_owned();
            let refused = answer("409 Conflict", "{}");
            for text in
                [ping("1.41"), answer("200 OK", "{}"), answer("204 No Content", ""), refused, attached]
            {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                assert!(stream.read(&mut [0; 65536]).await.is_ok_and(|length| length > 0));
                stream.write_all(text.as_bytes()).await.expect("written");
                let end = timeout(Duration::from_secs(10), stream.read(&mut [0; 16])).await;
                assert!(end.is_ok_and(|end| end.is_ok_and(|length| length == 0)), "still open after {text}");
            }
            // The last request is never answered.
            let (mut stream, _) = listener.accept().await.expect("a connection");
            assert!(stream.read(&mut [0; 65536]).await.is_ok_and(|length| length > 0));
            tell.send(()).expect("somebody waits");
            let end = timeout(Duration::from_secs(10), stream.read(&mut [0; 16])).await;
            assert!(end.is_ok_and(|end| end.is_ok_and(|length| length == 0)), "the pull goes on");
        });
        engine.info().await.expect("an answer");
        engine.start("x").await.expect("started");
        engine.start("x").await.expect_err("a conflict");
        let mut output = engine.attach("x").await.expect("attached");
        assert_eq!(output.next().await, Some(Ok(Bytes::from_static(b"first"))));
        drop(output);
        let mut pull = engine.pull("image", None);
        tokio::select! {
            line = pull.next() => panic!("nobody answers a pull: {line:?}"),
            asked = asked => asked.expect("the engine lives"),
        }
        drop(pull);
        server.await.expect("every connection was closed");
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_says_nothing_is_unreachable_after_the_limit() {
        let (engine, _server) = canned(vec![String::new()]);
        // The connection stays open: this answer is never begun.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mute.sock");
        let _mute = UnixListener::bind(&path).expect("a socket");
        let mute = DockerEngine::new(&EngineAddress::Unix(path)).expect("no TLS");
        let error = mute.info().await.expect_err("no answer");
        assert_eq!(error, EngineError::Unreachable("no answer within 30 s".into()));
        let error = engine.info().await.expect_err("closed at once");
        assert!(matches!(error, EngineError::Unreachable(_)), "{error:?}");
    }

    #[tokio::test]
    async fn an_engine_that_came_back_as_another_version_is_asked_again() {
        let gone = r#"{"message":"client version 1.41 is too old. Minimum supported API version is 1.44"}"#;
        let (engine, server) = canned(vec![
            ping("1.41"),
            answer("400 Bad Request", gone),
            ping("1.52"),
            answer("204 No Content", ""),
        ]);
        assert!(matches!(engine.start("x").await, Err(EngineError::Unreachable(_))));
        assert_eq!(engine.start("x").await, Ok(()));
        assert_eq!(server.await.expect("served")[3], "POST /v1.52/containers/x/start HTTP/1.1");
    }

    #[tokio::test]
    async fn events_are_asked_for_since_a_moment_ago_and_told_once() {
        let died = r#"{"Type":"container","Action":"die","Actor":{"ID":"a","Attributes":{"exitCode":"7","x":"y"}},"time":5,"timeNano":5000000001}"#;
        let health = r#"{"Action":"health_status: healthy","Actor":{"ID":"b","Attributes":{}},"timeNano":6}"#;
        // As API 1.52 and newer write it, and without a line end at the last.
        let lines = format!("{died}\n\n{died}\n{health}\r\n{health}");
        let (engine, server) = canned(vec![
            ping("1.41"),
            answer("200 OK", r#"{"SystemTime":"1970-01-01T00:00:05.000000007+00:00"}"#),
            endless(&lines),
        ]);
        let events: Vec<_> = engine.events("pod").await.expect("a stream").collect().await;
        let events: Vec<Event> = events.into_iter().collect::<Result<_, _>>().expect("events");
        let exit = pod::observed::Exit { status: 7, oom: false, at_nanos: 5_000_000_001 };
        let want = [
            Event { id: "a".into(), kind: EventKind::Died(exit), at_nanos: 5_000_000_001 },
            Event { id: "b".into(), kind: EventKind::Health(Health::Healthy), at_nanos: 6 },
        ];
        assert_eq!(events, want);
        let request = &server.await.expect("served")[2];
        assert!(
            request.starts_with("GET /v1.41/events?since=5.000000007&filters=%7B%22event%22%3A%5B"),
            "{request}"
        );
        assert!(request.contains("io.tandem.pod%3Dpod"), "{request}");
    }

    #[tokio::test]
    async fn the_clock_that_came_with_what_the_engine_is_serves_one_subscription() {
        let at = |second| answer("200 OK", &format!(r#"{{"SystemTime":"1970-01-01T00:00:0{second}Z"}}"#));
        let (engine, server) = canned(vec![ping("1.41"), at(5), endless(""), at(6), endless("")]);
        assert_eq!(engine.clock(), None);
        engine.info().await.expect("an answer");
        let clock = engine.clock().expect("it has told") / 1_000_000_000;
        assert!((5..60).contains(&clock), "{clock}");
        for _ in 0..2 {
            drop(engine.events("pod").await.expect("a stream"));
        }
        let asked = server.await.expect("served");
        let asked: Vec<&str> = asked.iter().map(|line| line.split('&').next().unwrap_or(line)).collect();
        let info = "GET /v1.41/info HTTP/1.1";
        let events = |second| format!("GET /v1.41/events?since={second}.000000000");
        assert_eq!(asked, ["GET /_ping HTTP/1.1", info, &events(5), info, &events(6)]);
    }

    #[tokio::test]
    async fn many_listen_to_one_stream_and_hear_what_is_theirs() {
        let one = |action: &str, id: &str, pod: &str| {
            let labels = if pod.is_empty() { String::new() } else { format!(r#""io.tandem.pod":"{pod}""#) };
            format!(
                r#"{{"Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{{labels}}}}},"timeNano":7}}"#
            )
        };
        let all = [one("oom", "a1", "a"), one("die", "a", ""), one("oom", "b1", "b"), one("oom", "c1", "c")]
            .join("\n");
        let now = || answer("200 OK", r#"{"SystemTime":"1970-01-01T00:00:05+00:00"}"#);
        let (engine, server) = canned(vec![
            ping("1.41"),
            now(),
            endless(&all),
            now(),
            answer("500 Internal Server Error", "not now"),
            now(),
            endless(&one("oom", "a2", "a")),
        ]);
        let engine = engine.with_one_stream();
        let relay = engine.relay.clone().expect("invariant: made one line above");
        let (a, own, b) = tokio::join!(
            engine.events("a"),
            relay.subscribe(EventFilter::Container("a".into())),
            engine.events("b")
        );
        let ids = async |stream: BoxStream<'static, Result<Event, EngineError>>| {
            stream.map(|event| event.expect("an event").id).collect::<Vec<_>>().await
        };
        let own: Vec<_> =
            own.expect("a stream").map(|one| one.expect("an event").container().to_owned()).collect().await;
        assert_eq!(ids(a.expect("a stream")).await, ["a1"]);
        assert_eq!(own, ["a"]);
        assert_eq!(ids(b.expect("a stream")).await, ["b1"]);
        // It has ended: whoever asks next has a new one made, or hears why there is none.
        let (a, b) = tokio::join!(engine.events("a"), engine.events("b"));
        let refused = Some(EngineError::Refused("not now".into()));
        assert_eq!((a.err(), b.err()), (refused.clone(), refused));
        assert_eq!(ids(engine.events("a").await.expect("a stream")).await, ["a2"]);
        assert_eq!(server.await.expect("served").len(), 7, "one stream at a time");
    }

    #[tokio::test]
    async fn a_pull_ends_with_the_registrys_words() {
        let body = "{\"status\":\"Pulling from a/b\",\"id\":\"1\"}\r\n{\"errorDetail\":{\"message\":\"toomanyrequests\"},\"error\":\"toomanyrequests\"}\r\n";
        let (engine, server) = canned(vec![ping("1.41"), endless(body)]);
        let lines: Vec<_> = engine.pull("reg:5000/a/b:1", Some("linux/arm64")).collect().await;
        assert_eq!(
            lines,
            [Ok("Pulling from a/b".into()), Err(EngineError::Refused("toomanyrequests".into()))]
        );
        let want =
            "POST /v1.41/images/create?fromImage=reg%3A5000%2Fa%2Fb&tag=1&platform=linux%2Farm64 HTTP/1.1";
        assert_eq!(server.await.expect("served")[1], want);
        let (engine, _) = canned(Vec::new());
        let lines: Vec<_> = engine.pull("../../containers/x", None).collect().await;
        assert!(
            matches!(&lines[..], [Err(EngineError::Refused(words))] if words.contains("invalid reference"))
        );
    }

    #[tokio::test]
    async fn a_container_that_is_listed_and_not_there_is_gone_unless_it_is_listed_again() {
        let listed = r#"[{"Id": "0123456789abcdef"}]"#;
        let gone = || answer("404 Not Found", r#"{"message": "No such container"}"#);
        for (again, want) in [
            ("[]", Ok(Vec::new())),
            (
                listed,
                Err(EngineError::Unreachable("it lists 0123456789ab and says: No such container".into())),
            ),
        ] {
            let answers = vec![ping("1.41"), answer("200 OK", listed), gone(), answer("200 OK", again)];
            let (engine, _server) = canned(answers);
            assert_eq!(engine.list("pod").await, want);
        }
    }

    #[tokio::test]
    async fn what_a_container_does_is_told_whatever_its_volumes_drivers_say() {
        let mounted = r#"{"Id": "a", "Name": "/pod", "Path": "/pause", "State": {"Running": true, "StartedAt": "10"},
            "Config": {"Labels": {"a": "b"}}, "Mounts": [{"Type": "volume", "Name": "v", "Destination": "/v"}]}"#;
        let (engine, server) = canned(vec![
            ping("1.41"),
            answer("200 OK", mounted),
            answer("200 OK", mounted),
            answer("500 Internal Server Error", r#"{"message":"the driver is gone"}"#),
        ]);
        let want = Standing {
            id: "a".into(),
            name: "pod".into(),
            labels: BTreeMap::from([("a".into(), "b".into())]),
            program: vec!["/pause".into()],
            running: true,
            started_at: "10".into(),
            exit_status: 0,
        };
        assert_eq!(engine.standing("a").await, Ok(want));
        // What a pod is judged by is told in whole or not at all.
        let refused = EngineError::Refused("volume `v`: the driver is gone".into());
        assert_eq!(engine.inspect_task("a").await, Err(refused));
        let asked = server.await.expect("served");
        let container = "GET /v1.41/containers/a/json HTTP/1.1";
        assert_eq!(asked[1..], [container, container, "GET /v1.41/volumes/v HTTP/1.1"]);
    }

    #[tokio::test]
    async fn a_listing_may_be_long_and_other_peoples_labels_are_not_kept() {
        let long = "x".repeat(5 << 20);
        let listed = format!(
            r#"[{{"Id": "a", "Labels": {{"theirs": "{long}", "pod.manager": "agent"}}}}, {{"Id": "b", "Names": ["/b"], "Labels": null}}]"#
        );
        let (engine, _server) = canned(vec![ping("1.41"), answer("200 OK", &listed)]);
        let labels = BTreeMap::from([("pod.manager".into(), "agent".into())]);
        let want = [
            Summary { id: "a".into(), labels, ..Summary::default() },
            Summary { id: "b".into(), names: vec!["/b".into()], ..Summary::default() },
        ];
        assert_eq!(engine.running().await.expect("a listing"), want);
        // What has no such reason is not read without end.
        let (engine, _server) = canned(vec![ping("1.41"), answer("200 OK", &listed)]);
        let words = "the answer to `/info` has more than 4194304 bytes".to_owned();
        assert_eq!(engine.info().await, Err(EngineError::Refused(words)));
    }

    #[tokio::test]
    async fn a_stream_that_is_not_json_or_has_no_line_ends_is_an_error() {
        let (engine, _) = canned(vec![ping("1.41"), endless("<html>\n")]);
        let lines: Vec<_> = engine.pull("a", None).collect().await;
        assert!(matches!(&lines[..], [Err(EngineError::Refused(words))] if words.contains("not understood")));
    }

    #[test]
    fn a_path_gets_the_version_once() {
        for (path, want) in [
            ("/info", "/v1.41/info"),
            ("http://engine/containers/x/json?a=b", "/v1.41/containers/x/json?a=b"),
            ("/volumes/x", "/v1.41/volumes/x"),
            ("/v1.53/info", "/v1.53/info"),
        ] {
            let request =
                versioned(empty_request(Method::GET, path).expect("short"), "/v1.41").expect("a path");
            assert_eq!(request.uri(), want, "{path}");
        }
    }

    #[test]
    fn a_path_that_is_too_long_for_a_call_is_an_error() {
        for length in [60_000, 70_000] {
            let path = format!("/volumes/{}", "a".repeat(length - "/volumes/".len()));
            let told = empty_request(Method::GET, &path).map(|request| request.uri().path().len());
            let beginning = format!("/volumes/{}", "a".repeat(51));
            let words = format!("the path of a call would have {length} bytes, too many: `{beginning}…`");
            let want = if length < 65_535 { Ok(length) } else { Err(EngineError::Refused(words)) };
            assert_eq!(told, want);
        }
    }

    #[test]
    fn text_in_a_path_stays_one_part_of_it() {
        assert_eq!(encoded("a-._~Z9"), "a-._~Z9");
        assert_eq!(encoded("../?#%ü "), "..%2F%3F%23%25%C3%BC%20");
    }
}
