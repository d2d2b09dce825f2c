//! An engine in memory, for the cases that a real one cannot be made to show: exact timing, and faults at
//! a chosen call. It keeps the life-cycle rules of the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use pause::store::Entry;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::{
    CreateRequest, Created, Engine, EngineError, EngineInfo, Exec, FileStat, Finished, SCRATCH_FOLDER,
    STORE_FOLDER,
};
use pod::failed_check::FailedCheck;
use pod::identity::LABEL_POD;
use pod::in_place::signal_number;
use pod::observed::{ContainerInfo, Event, EventKind, Exit, Health, Status};
use pod::policy::mount_conflicts::{NodeContainer, NodeMount, Volumes, whose};
use pod::spec::{Hook, MountSource};
use pod::task_container::TaskContainer;
use pod::volume::VolumeInfo;

/// How containers of one image behave.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Ends by itself after this time.
    pub runs_for: Option<Duration>,
    /// With this status.
    pub status: i64,
    /// How long each of its first lives lasts, and its status; what is above holds for those after them.
    pub lives: Vec<(Duration, i64)>,
    /// Has a health check that says healthy (or, with `false`, unhealthy) after this time.
    pub health: Option<(Duration, bool)>,
    /// How long it takes to end after its stop signal; `None` ignores the signal.
    pub stops_in: Option<Duration>,
    /// Its start is refused, and leaves this status.
    pub start_fails: Option<i64>,
    /// How long each of its hooks runs, and the hook's status.
    pub hook: (Duration, i64),
}

impl Script {
    /// Runs until it is stopped, and then ends at once.
    pub fn obeying() -> Self {
        Script { stops_in: Some(Duration::ZERO), ..Script::default() }
    }
}

/// What goes wrong with a call.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The call, as in the log of calls: `create pod.podlike.app`.
    pub call: String,
    /// How often.
    pub times: u32,
    /// The answer.
    pub error: EngineError,
    /// The engine acts all the same.
    pub acts: bool,
}

/// Something that happened, in the order in which it did.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When, since the engine began.
    pub at: Duration,
    /// What.
    pub what: What,
    /// What every container did right after it, by name.
    pub world: BTreeMap<String, Status>,
}

/// What happened. Containers are told by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A call came in: `create pod.podlike.app`.
    Called(String),
    /// The engine created a container.
    Created(String),
    /// Something was unpacked into a container.
    Copied(String),
    /// A container's process was started.
    Started(String),
    /// Somebody else than the manager is about to start a container.
    Outside(String),
    /// Somebody asks the manager to restart this container.
    Asked(String),
    /// A hook has run to its end: the container's name, and the hook's command.
    Hooked(String),
    /// A container's process ended with this status.
    Ended(String, i64),
    /// A container is gone.
    Removed(String),
    /// `pause` was told something.
    Told(String),
}

/// The engine, over one client's connection. Clones share that connection too.
#[derive(Clone, Default)]
pub struct Fake {
    inner: Arc<Mutex<Inner>>,
    line: Arc<Line>,
}

/// One client. When it dies, what it asked for is still done, and nobody hears of it.
#[derive(Default)]
pub struct Line {
    /// It dies in this call, counted from 1; 0 for never.
    dies_at: AtomicU32,
    /// The engine does what that call asks for.
    acts: AtomicBool,
    calls: AtomicU32,
    dead: AtomicBool,
    died: Notify,
}

#[derive(Default)]
struct Inner {
    containers: BTreeMap<String, Container>,
    images: BTreeSet<String>,
    scripts: BTreeMap<String, Script>,
    faults: Vec<Fault>,
    story: Vec<Moment>,
    watchers: Vec<UnboundedSender<Result<Event, EngineError>>>,
    created: u32,
    began: Option<Instant>,
    hang: BTreeSet<String>,
    slow: BTreeMap<String, Duration>,
    late: BTreeMap<String, Duration>,
    warnings: Vec<String>,
    /// Hooks that have ended, and how.
    hooks: BTreeMap<String, i64>,
    /// Files that were copied into containers: the container's id, and the path.
    files: BTreeSet<(String, String)>,
    /// Volumes by name.
    volumes: Volumes,
    /// Images, and where each of them asks for a volume.
    image_volumes: BTreeSet<(String, String)>,
    /// Containers of other pods on the node.
    others: Vec<NodeContainer>,
    /// Task containers with all their facts; any other task container is only an id.
    tasks: Vec<TaskContainer>,
    /// The task container's `/dev/shm`.
    shm: Option<tempfile::TempDir>,
}

struct Container {
    request: CreateRequest,
    /// Where it has mounts: its own, those of its image, and those that it shares.
    targets: Vec<String>,
    status: Status,
    running: watch::Sender<bool>,
    /// When it was started last, by the engine's clock; 0 for never.
    started_at: i64,
    /// How often it was started.
    lives: usize,
}

impl Inner {
    fn note(&mut self, what: What) {
        let world = self.containers.values().map(|one| (one.request.name.clone(), one.status)).collect();
        let at = self.began.map_or(Duration::ZERO, |began| began.elapsed());
        self.story.push(Moment { at, what, world });
    }
}

impl Fake {
    /// An engine that has these images, whose containers run until they are stopped, at once.
    pub fn with_images(images: &[&str]) -> Self {
        let fake = Fake::default();
        {
            let mut inner = fake.lock();
            inner.began = Some(Instant::now());
            inner.images = images.iter().map(|image| (*image).to_owned()).collect();
        }
        fake
    }

    /// Containers of this image behave so.
    pub fn script(&self, image: &str, script: Script) {
        self.lock().scripts.insert(image.to_owned(), script);
    }

    /// This goes wrong.
    pub fn fault(&self, call: &str, times: u32, error: EngineError, acts: bool) {
        self.lock().faults.push(Fault { call: call.to_owned(), times, error, acts });
    }

    /// Every creation comes with this warning.
    pub fn warn(&self, words: &str) {
        self.lock().warnings.push(words.to_owned());
    }

    /// Adds a container of another pod to the node.
    pub fn neighbour(&self, other: NodeContainer) {
        self.lock().others.push(other);
    }

    /// Adds a volume with this name.
    pub fn has_volume(&self, name: &str, volume: VolumeInfo) {
        self.lock().volumes.insert(name.to_owned(), volume);
    }

    /// Containers of this image have a volume there.
    pub fn has_image_volume(&self, image: &str, target: &str) {
        self.lock().image_volumes.insert((image.to_owned(), target.to_owned()));
    }

    /// Adds a task container that `inspect_task` returns.
    pub fn has_task(&self, task: TaskContainer) {
        self.lock().tasks.push(task);
    }

    /// This call never comes back; a verb alone is every call of it.
    pub fn hang(&self, call: &str) {
        self.lock().hang.insert(call.to_owned());
    }

    /// This call takes so long before the engine acts.
    pub fn slow(&self, call: &str, takes: Duration) {
        self.lock().slow.insert(call.to_owned(), takes);
    }

    /// The answer of this look at a container takes so long to arrive.
    pub fn late(&self, call: &str, takes: Duration) {
        self.lock().late.insert(call.to_owned(), takes);
    }

    /// A connection of its own, for another client that dies in its n-th call (0: never), which the
    /// engine may carry out all the same.
    pub fn connect(&self, dies_at: u32, acts: bool) -> Fake {
        let line = Line { dies_at: AtomicU32::new(dies_at), acts: AtomicBool::new(acts), ..Line::default() };
        Fake { inner: Arc::clone(&self.inner), line: Arc::new(line) }
    }

    /// The client on this connection died.
    pub async fn died(&self) {
        self.line.died.notified().await;
    }

    /// Every container is gone, which must come to pass.
    #[track_caller]
    pub fn emptied(&self) -> impl Future<Output = ()> {
        let this = self.clone();
        async move {
            let empty = async {
                while !this.names().is_empty() {
                    sleep(Duration::from_millis(100)).await;
                }
            };
            let in_time = timeout(Duration::from_secs(300), empty).await.is_ok();
            assert!(in_time, "{:?} are left\n{:#?}", this.names(), this.calls());
        }
    }

    /// Everything that happened, in order.
    pub fn story(&self) -> Vec<Moment> {
        self.lock().story.clone()
    }

    /// Every call, in order.
    pub fn calls(&self) -> Vec<String> {
        let calls = self.story().into_iter().filter_map(|moment| match moment.what {
            What::Called(call) => Some(call),
            _ => None,
        });
        calls.collect()
    }

    /// This has happened.
    pub fn has(&self, what: &What) -> bool {
        self.lock().story.iter().any(|moment| moment.what == *what)
    }

    /// The memory of the task container that outlives a manager.
    pub fn shm(&self) -> std::path::PathBuf {
        let shm = &mut self.lock().shm;
        shm.get_or_insert_with(|| tempfile::tempdir().expect("a folder")).path().to_owned()
    }

    /// Put something into the story.
    pub fn note(&self, what: What) {
        self.lock().note(what);
    }

    /// Names of the containers that are there.
    pub fn names(&self) -> Vec<String> {
        self.lock().containers.values().map(|container| container.request.name.clone()).collect()
    }

    /// The event stream breaks.
    pub fn cut_events(&self) {
        self.lock().watchers.clear();
    }

    /// Kill a container, as a person would.
    pub fn kill_by_name(&self, name: &str) {
        if let Some(id) = self.id_of(name) {
            self.end(&id, 137);
        }
    }

    /// Send a container a signal and let it end with this status, as a person would; false where it does not run.
    pub fn signal_by_name(&self, name: &str, signal: u8, status: i64) -> bool {
        let Some(id) = self.id_of(name) else { return false };
        {
            let mut inner = self.lock();
            let running = |one: &Container| matches!(one.status, Status::Running { .. });
            if !inner.containers.get(&id).is_some_and(running) {
                return false;
            }
            Self::emit(&mut inner, &id, EventKind::Killed(signal));
        }
        self.end(&id, status);
        true
    }

    /// Start a container, as a person would.
    pub fn start_by_name(&self, name: &str) {
        let Some(id) = self.id_of(name) else { return };
        self.note(What::Outside(name.to_owned()));
        // One that cannot be started stays as it is.
        let _ = self.begin(&id);
    }

    fn id_of(&self, name: &str) -> Option<String> {
        let inner = self.lock();
        inner.containers.iter().find(|(_, one)| one.request.name == name).map(|(id, _)| id.clone())
    }

    /// Remove a container, as a person would: `docker rm -f`, or `docker container prune`.
    pub fn remove_by_name(&self, name: &str) {
        self.kill_by_name(name);
        let mut inner = self.lock();
        let Some(id) =
            inner.containers.iter().find(|(_, one)| one.request.name == name).map(|(id, _)| id.clone())
        else {
            return;
        };
        inner.containers.remove(&id);
        inner.note(What::Removed(name.to_owned()));
        Self::emit(&mut inner, &id, EventKind::Destroyed);
    }

    /// Put a container there that an earlier run left.
    pub fn plant(&self, request: CreateRequest, status: Status) -> String {
        let mut inner = self.lock();
        inner.created += 1;
        let id = format!("{:064x}", inner.created);
        let running = watch::Sender::new(matches!(status, Status::Running { .. }));
        let mut targets: BTreeSet<String> =
            request.container.mounts.iter().map(|mount| mount.target.clone()).collect();
        let of_image = inner.image_volumes.iter().filter(|(image, _)| *image == request.container.image);
        targets.extend(of_image.map(|(_, target)| target.clone()));
        let lender = request.volumes_from.as_ref();
        let lender = inner.containers.values().find(|one| Some(&one.request.name) == lender);
        targets.extend(lender.into_iter().flat_map(|lender| lender.targets.clone()));
        let targets = targets.into_iter().collect();
        let one = Container { request, targets, status, running, started_at: 0, lives: 0 };
        inner.containers.insert(id.clone(), one);
        id
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, id: &str) -> String {
        self.lock().containers.get(id).map(|one| one.request.name.clone()).unwrap_or_default()
    }

    /// Note the call and let go wrong what shall. `Ok(Some)` acts, and then answers with the error.
    async fn call(&self, call: String) -> Result<Option<EngineError>, EngineError> {
        if self.line.dead.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        let (hangs, takes) = {
            let mut inner = self.lock();
            inner.note(What::Called(call.clone()));
            // Every call gives the others a turn, as the real thing does.
            let takes = inner.slow.get(&call).copied().unwrap_or(Duration::from_millis(1));
            let verb = call.split(' ').next().unwrap_or_default();
            (inner.hang.contains(&call) || inner.hang.contains(verb), takes)
        };
        if self.line.calls.fetch_add(1, Relaxed) + 1 == self.line.dies_at.load(Relaxed) {
            self.line.dead.store(true, Relaxed);
            self.line.died.notify_one();
            if !self.line.acts.load(Relaxed) {
                std::future::pending::<()>().await;
            }
        }
        if hangs {
            std::future::pending::<()>().await;
        }
        sleep(takes).await;
        let mut inner = self.lock();
        let Some(fault) = inner.faults.iter_mut().find(|fault| fault.times > 0 && fault.call == call) else {
            return Ok(None);
        };
        fault.times -= 1;
        if fault.acts { Ok(Some(fault.error.clone())) } else { Err(fault.error.clone()) }
    }

    fn emit(inner: &mut Inner, id: &str, kind: EventKind) {
        let at_nanos = Self::now(inner) + 2;
        inner
            .watchers
            .retain(|watcher| watcher.send(Ok(Event { id: id.to_owned(), kind, at_nanos })).is_ok());
    }

    fn now(inner: &Inner) -> i64 {
        inner.began.map_or(0, |began| i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }

    /// The container's process ends; a holder of PIDs takes the others along.
    fn end(&self, id: &str, status: i64) {
        let mut inner = self.lock();
        let Some(container) = inner.containers.get_mut(id) else { return };
        if !matches!(container.status, Status::Running { .. }) {
            return;
        }
        let name = container.request.name.clone();
        container.running.send_replace(false);
        let exit = Exit { status, oom: false, at_nanos: Self::now(&inner) + 2 };
        if let Some(container) = inner.containers.get_mut(id) {
            container.status = Status::Exited(exit);
        }
        inner.note(What::Ended(name.clone(), status));
        let joined = [format!("container:{name}"), format!("container:{id}")];
        let members: Vec<String> = inner
            .containers
            .iter()
            .filter(|(_, one)| joined.contains(&one.request.pid_mode))
            .map(|(id, _)| id.clone())
            .collect();
        Self::emit(&mut inner, id, EventKind::Died(exit));
        drop(inner);
        for member in members {
            self.end(&member, 137);
        }
    }

    fn begin(&self, id: &str) -> Result<(), EngineError> {
        let (script, life) = {
            let mut guard = self.lock();
            let inner = &mut *guard;
            let joins = match inner.containers.get(id) {
                None => return Err(EngineError::NotFound("No such container".into())),
                Some(one) if matches!(one.status, Status::Running { .. }) => return Ok(()),
                Some(one) => one.request.pid_mode.clone(),
            };
            if let Some(holder) = joins.strip_prefix("container:") {
                let runs = inner.containers.iter().any(|(id, one)| {
                    (one.request.name == holder || id == holder)
                        && matches!(one.status, Status::Running { .. })
                });
                if !runs {
                    return Err(EngineError::Conflict(format!(
                        "cannot join PID of a non running container: {holder}"
                    )));
                }
            }
            // No two moments of a real clock are the same.
            let now = Self::now(inner) + 1;
            let container = inner.containers.get_mut(id).expect("invariant: looked up above");
            let script = inner
                .scripts
                .get(&container.request.container.image)
                .cloned()
                .unwrap_or(Script { stops_in: Some(Duration::ZERO), ..Script::default() });
            if let Some(status) = script.start_fails {
                container.status = Status::Exited(Exit { status, oom: false, at_nanos: now });
                return Err(EngineError::Refused("exec: \"nope\": executable file not found".into()));
            }
            let health = if script.health.is_some() { Health::Starting } else { Health::None };
            container.status = Status::Running { health };
            container.running.send_replace(true);
            container.started_at = now;
            container.lives += 1;
            let life = container.lives;
            let name = container.request.name.clone();
            inner.note(What::Started(name));
            Self::emit(inner, id, EventKind::Started);
            (script, life)
        };
        if let Some((after, healthy)) = script.health {
            let (this, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                sleep(after).await;
                let verdict = if healthy { Health::Healthy } else { Health::Unhealthy };
                let mut inner = this.lock();
                if let Some(Container { status: Status::Running { health }, lives, .. }) =
                    inner.containers.get_mut(&id)
                    && *lives == life
                {
                    *health = verdict;
                    Self::emit(&mut inner, &id, EventKind::Health(verdict));
                }
            });
        }
        let short = script.lives.get(life - 1).copied();
        if let Some((after, status)) = short.or(script.runs_for.map(|after| (after, script.status))) {
            let (this, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                sleep(after).await;
                let same = this.lock().containers.get(&id).is_some_and(|one| one.lives == life);
                if same {
                    this.end(&id, status);
                }
            });
        }
        Ok(())
    }

    fn info_of(id: &str, one: &Container) -> ContainerInfo {
        ContainerInfo {
            id: id.to_owned(),
            name: one.request.name.clone(),
            labels: one.request.labels.clone(),
            network: one.request.network_mode.clone(),
            pid_mode: one.request.pid_mode.clone(),
            command: {
                let program = &one.request.container;
                let words = program.entrypoint.iter().chain(&program.command).flatten();
                words.cloned().collect::<Vec<_>>().join(" ")
            },
            user: one.request.container.user.clone().unwrap_or_default(),
            healthcheck: one.request.container.healthcheck.clone(),
            stop_signal: one.request.container.stop_signal.as_deref().and_then(signal_number),
            failed_check: (one.status == Status::Running { health: Health::Unhealthy })
                .then(|| FailedCheck::new(1, "refused")),
            targets: one.targets.clone(),
            status: one.status,
            tty: one.request.container.tty,
            started_at: one.started_at,
            created_at: 0,
            held: one
                .request
                .store_bytes
                .map(|_| STORE_FOLDER.to_owned())
                .into_iter()
                .chain(one.request.scratch.iter().map(|scratch| format!("{SCRATCH_FOLDER}/{}", scratch.name)))
                .map(|target| (target.clone(), format!("/volumes/{id}{target}")))
                .collect(),
        }
    }
}

impl Engine for Fake {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        Ok(EngineInfo {
            version: "0".into(),
            id: "FAKE".into(),
            root: "/var/lib/docker".into(),
            cgroup_driver: "cgroupfs".into(),
            cgroup_version: 1,
            remaps_users: false,
            rootless: false,
            filters_calls: true,
            names: Vec::new(),
        })
    }

    fn clock(&self) -> Option<i64> {
        Some(Self::now(&self.lock()))
    }

    async fn inspect_task(&self, id: &str) -> Result<TaskContainer, EngineError> {
        let known = self.lock().tasks.iter().find(|task| task.id == id).cloned();
        Ok(known.unwrap_or_else(|| TaskContainer { id: id.to_owned(), ..TaskContainer::default() }))
    }

    async fn inspect(&self, id: &str) -> Result<ContainerInfo, EngineError> {
        let name = Some(self.name(id)).filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_owned());
        let call = format!("inspect {name}");
        if let Some(error) = self.call(call.clone()).await? {
            return Err(error);
        }
        let (found, late) = {
            let inner = self.lock();
            let found = inner.containers.iter().find(|(key, one)| *key == id || one.request.name == id);
            (found.map(|(id, one)| Self::info_of(id, one)), inner.late.get(&call).copied())
        };
        sleep(late.unwrap_or_default()).await;
        found.ok_or_else(|| EngineError::NotFound(format!("No such container: {id}")))
    }

    async fn list(&self, pod: &str) -> Result<Vec<ContainerInfo>, EngineError> {
        if let Some(error) = self.call("list".into()).await? {
            return Err(error);
        }
        let inner = self.lock();
        let ours = inner
            .containers
            .iter()
            .filter(|(_, one)| one.request.labels.get(LABEL_POD).is_some_and(|label| label == pod));
        Ok(ours.map(|(id, one)| Self::info_of(id, one)).collect())
    }

    async fn events(
        &self,
        _pod: &str,
    ) -> Result<BoxStream<'static, Result<Event, EngineError>>, EngineError> {
        if let Some(error) = self.call("events".into()).await? {
            return Err(error);
        }
        let (sender, receiver) = unbounded_channel();
        self.lock().watchers.push(sender);
        Ok(stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) })
            .boxed())
    }

    async fn image_has_healthcheck(&self, image: &str) -> Result<Option<bool>, EngineError> {
        let inner = self.lock();
        let has = inner.scripts.get(image).is_some_and(|script| script.health.is_some());
        Ok(inner.images.contains(image).then_some(has))
    }

    async fn volume(&self, name: &str) -> Result<Option<VolumeInfo>, EngineError> {
        Ok(self.lock().volumes.get(name).cloned())
    }

    async fn local_volumes(&self) -> Result<Volumes, EngineError> {
        Ok(self.lock().volumes.clone())
    }

    async fn node_containers(&self) -> Result<Vec<NodeContainer>, EngineError> {
        if let Some(error) = self.call("list the node".into()).await? {
            return Err(error);
        }
        let inner = self.lock();
        let own = inner.containers.iter().map(|(id, one)| {
            let info = Self::info_of(id, one);
            let (pod, role) = whose(&info.labels);
            let created = info.status == Status::Created;
            let mounts = one.request.container.mounts.iter().filter_map(|mount| match &mount.source {
                MountSource::Bind { path, .. } => {
                    Some(NodeMount { volume: None, source: path.clone(), writable: !mount.read_only })
                }
                _ => None,
            });
            let mounts = mounts.collect();
            NodeContainer { id: info.id, name: info.name, pod, role, created, command: info.command, mounts }
        });
        Ok(own.chain(inner.others.iter().cloned()).collect())
    }

    fn pull(&self, image: &str, _: Option<&str>) -> BoxStream<'static, Result<String, EngineError>> {
        let (this, image) = (self.clone(), image.to_owned());
        stream::once(async move {
            if let Some(error) = this.call(format!("pull {image}")).await? {
                return Err(error);
            }
            this.lock().images.insert(image);
            Ok("done".to_owned())
        })
        .boxed()
    }

    async fn create(&self, request: &CreateRequest) -> Result<Created, EngineError> {
        let late = self.call(format!("create {}", request.name)).await?;
        {
            let inner = self.lock();
            if inner.containers.values().any(|one| one.request.name == request.name) {
                return Err(EngineError::Conflict(format!("the name {} is in use", request.name)));
            }
            if let Some(lender) = &request.volumes_from
                && !inner.containers.values().any(|one| one.request.name == *lender)
            {
                return Err(EngineError::Refused(format!("No such container: {lender}")));
            }
            if !inner.images.contains(&request.container.image) {
                return Err(EngineError::NotFound(format!("No such image: {}", request.container.image)));
            }
        }
        let id = self.plant(request.clone(), Status::Created);
        self.note(What::Created(request.name.clone()));
        let warnings = self.lock().warnings.clone();
        late.map_or(Ok(Created { id, warnings }), Err)
    }

    async fn copy_in(
        &self,
        id: &str,
        folder: &str,
        archive: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), EngineError> {
        let late = self.call(format!("copy {} {folder}", self.name(id))).await?;
        let whole: std::io::Result<Vec<Bytes>> = archive.try_collect().await;
        let refused = |error: std::io::Error| EngineError::Refused(error.to_string());
        let bytes = whole.map_err(refused)?.concat();
        for entry in tar::Archive::new(&bytes[..]).entries().map_err(refused)? {
            let entry = entry.map_err(refused)?;
            let path = format!("{folder}/{}", entry.path().map_err(refused)?.display());
            self.lock().files.insert((id.to_owned(), path));
        }
        self.note(What::Copied(self.name(id)));
        late.map_or(Ok(()), Err)
    }

    async fn attach(&self, _id: &str) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        Ok(stream::empty().boxed())
    }

    async fn output_since(
        &self,
        _id: &str,
        _since: i64,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        Ok(stream::empty().boxed())
    }

    async fn last_output(
        &self,
        _id: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        Ok(stream::empty().boxed())
    }

    async fn exec(&self, id: &str, hook: &Hook) -> Result<Exec, EngineError> {
        let words = hook.command.join(" ");
        let late = self.call(format!("exec {} {words}", self.name(id))).await?;
        let (takes, status, mut running) = {
            let inner = self.lock();
            let Some(one) = inner.containers.get(id) else {
                return Err(EngineError::NotFound("No such container".into()));
            };
            if !matches!(one.status, Status::Running { .. }) {
                return Err(EngineError::Conflict(format!("Container {id} is not running")));
            }
            let script = inner.scripts.get(&one.request.container.image);
            let (takes, status) = script.map_or((Duration::ZERO, 0), |script| script.hook);
            (takes, status, one.running.subscribe())
        };
        let exec = format!("exec-{}-{}", self.name(id), self.story().len());
        let (this, told, ended) = (self.clone(), format!("{} {words}", self.name(id)), exec.clone());
        let output = stream::once(async move {
            let killed = tokio::select! {
                () = sleep(takes) => false,
                _ = running.wait_for(|running| !running) => true,
            };
            if !killed {
                this.note(What::Hooked(told));
            }
            this.lock().hooks.insert(ended, if killed { 137 } else { status });
            Ok(Bytes::new())
        });
        late.map_or(Ok(Exec { id: exec, output: output.boxed() }), Err)
    }

    async fn run(
        &self,
        id: &str,
        command: &Hook,
        input: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<Option<Finished>, EngineError> {
        let late = self.call(format!("run {} {}", self.name(id), command.command.join(" "))).await?;
        let status = {
            let inner = self.lock();
            let Some(one) = inner.containers.get(id) else {
                return Err(EngineError::NotFound("No such container".into()));
            };
            if !matches!(one.status, Status::Running { .. }) {
                return Err(EngineError::Conflict(format!("Container {id} is not running")));
            }
            inner.scripts.get(&one.request.container.image).map_or(0, |script| script.hook.1)
        };
        let whole: std::io::Result<Vec<Bytes>> = input.try_collect().await;
        let bytes = whole.map_err(|error| EngineError::Refused(error.to_string()))?.concat();
        if status == 0 {
            let mut rest = &bytes[..];
            while let Some((header, content)) = rest.split_first_chunk() {
                let entry = Entry::parse(header);
                let path = String::from_utf8_lossy(entry.path).into_owned();
                self.lock().files.insert((id.to_owned(), path));
                rest = &content[entry.length as usize..];
            }
            self.note(What::Copied(self.name(id)));
        }
        let finished = Finished { status, stderr: if status == 0 { "" } else { "no" }.into() };
        late.map_or(Ok(Some(finished)), Err)
    }

    async fn stat(&self, id: &str, path: &str) -> Result<Option<FileStat>, EngineError> {
        if let Some(error) = self.call(format!("stat {} {path}", self.name(id))).await? {
            return Err(error);
        }
        let known = self.lock().files.contains(&(id.to_owned(), path.to_owned()));
        Ok(known.then(|| FileStat { regular: true, ..FileStat::default() }))
    }

    async fn exec_status(&self, exec: &str) -> Result<Option<i64>, EngineError> {
        if let Some(error) = self.call("look at a hook".into()).await? {
            return Err(error);
        }
        Ok(self.lock().hooks.get(exec).copied())
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        let late = self.call(format!("start {}", self.name(id))).await?;
        self.begin(id)?;
        late.map_or(Ok(()), Err)
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        let late = self.call(format!("stop {} {}ms", self.name(id), grace.as_millis())).await?;
        let (stops_in, mut running) = {
            let inner = self.lock();
            let Some(one) = inner.containers.get(id) else {
                return Err(EngineError::NotFound("No such container".into()));
            };
            let script = inner.scripts.get(&one.request.container.image);
            (script.map_or(Some(Duration::ZERO), |script| script.stops_in), one.running.subscribe())
        };
        if let Some(stops_in) = stops_in.filter(|stops_in| *stops_in <= grace) {
            let (this, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                sleep(stops_in).await;
                this.end(&id, 143);
            });
        }
        if timeout(grace, running.wait_for(|running| !running)).await.is_err() {
            self.end(id, 137);
        }
        late.map_or(Ok(()), Err)
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let late = self.call(format!("remove {}", self.name(id))).await?;
        self.end(id, 137);
        let mut inner = self.lock();
        if let Some(container) = inner.containers.remove(id) {
            inner.note(What::Removed(container.request.name));
            Self::emit(&mut inner, id, EventKind::Destroyed);
        }
        late.map_or(Ok(()), Err)
    }
}
