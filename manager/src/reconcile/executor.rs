//! One action to engine calls. No policy: what a failure means is the planner's to say.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::checkpoint::Checkpoint;
use crate::files;
use crate::files::{CopyError, CopySources, OwnedFiles};
use crate::logs::forward::Followers;
use crate::logs::tail::Tail;
use crate::reconcile::hooks;
use crate::reconcile::hooks::Hooks;
use crate::reconcile::{CANCELLED, LAST_OUTPUT};
use crate::security::mount_guard;
use crate::security::mount_guard::MountGuard;
use engine::{CreateRequest, Created, Engine, EngineError, STORE_FOLDER, convert};
use pod::action::{Action, Target};
use pod::bounds;
use pod::failed_check::FailedCheck;
use pod::identity::{LABEL_POD, short};
use pod::observed::{ActionResult, ContainerInfo, Event, EventKind, Failure, StateUpdate, Status};
use pod::path::{is_for_devices, is_kernels, within};
use pod::policy::Refusal;
use pod::spec::{ComponentSpec, Hook, Image, Mount, MountSource, PodSpec};
use pod::store::StoreLayout;

/// How long the last lines of a component that failed are waited for.
const LAST_LOGS_TIMEOUT: Duration = Duration::from_secs(1);

/// Creations of one pod that the engine is asked for at a time. More make it no faster (`cargo xtask bench start`), and
/// each takes memory here.
pub(crate) const MAX_PARALLEL_CREATES: usize = 8;
/// Exit status of a `pause` that does not know its first argument.
const STATUS_UNKNOWN_COMMAND: i64 = pause::status::USAGE as i64;
/// Exit status of a process that was killed, for instance at a limit of memory.
const STATUS_KILLED: i64 = 137;
/// What takes longer to create keeps nobody waiting: it may be stuck in a volume's plug-in.
const SLOT_TIMEOUT: Duration = Duration::from_secs(5);

/// What actions need to be carried out. Each is carried out in a task of its own.
pub struct Executor<E> {
    /// The engine.
    pub engine: Arc<E>,
    /// The pod.
    pub spec: Arc<PodSpec>,
    /// What the sandbox is to be: the image that holds `pause`, and the lifeline's name.
    pub sandbox: SandboxOrder,
    /// What `pod.copy` names, opened while that was allowed.
    pub copies: CopySources,
    /// Who prints the components' output, where it is asked for.
    pub followers: Option<Followers>,
    /// Whose `post_start` hooks have run.
    pub checkpoint: Checkpoint,
    /// Checks mounts and images against the policy.
    pub guard: MountGuard,
    /// Labels of the task container that components may repeat; empty if the policy does not compare them.
    pub task_labels: BTreeMap<String, String>,
    /// Asks the watch for a listing.
    pub doubt: Arc<Notify>,
    /// Where news goes that is more than the action's own end.
    pub news: UnboundedSender<StateUpdate>,
    /// Containers whose labels, user, volumes and health check from the image this manager has checked: by name the id, and
    /// the rate of the health check.
    pub verified: Mutex<BTreeMap<String, (String, i64)>>,
    /// Whose turn it is; closed once the pod's end is decided: what has not reached the engine yet must not.
    pub create_slots: Semaphore,
}

/// What a sandbox is made of.
#[derive(Debug, Clone, Default)]
pub struct SandboxOrder {
    /// Image that holds `/pause`: the task container's own.
    pub image: String,
    /// Name of the abstract socket that ties it to the task container.
    pub lifeline: String,
}

impl<E: Engine> Executor<E> {
    /// Carry out an action. `id` is the container's, where there is one, and `life` tells which run of it
    /// ([`pod::observed::ContainerState::life`]).
    pub async fn execute(
        &self,
        action: &Action,
        id: Option<String>,
        life: Option<String>,
    ) -> Result<ActionResult, Failure> {
        let result = match (action, id) {
            (Action::Look, _) => {
                self.doubt.notify_one();
                Ok(ActionResult::Asked)
            }
            (Action::Pull(image), _) => self.pull(image).await,
            (Action::Create(target), _) => return self.create(target).await,
            (Action::Copy(Target::Member(name)), Some(id)) => self.copy(name, &id).await,
            (Action::Copy(Target::Store), Some(id)) => self.fill_store(&id).await,
            (Action::CheckMounts, _) => {
                self.check_mounts().await?;
                Ok(ActionResult::MountsChecked)
            }
            (Action::Start(target), Some(id)) => {
                if let Some(member) = self.member(target) {
                    self.verify_adopted(member, &id).await?;
                }
                self.start(target, &id).await
            }
            (Action::Restart(target), Some(id)) => {
                if self.spec.checks_mounts {
                    self.check_mounts().await?;
                }
                if let Some(followers) = &self.followers {
                    followers.settle(&id, LAST_OUTPUT).await;
                }
                self.start(target, &id).await.inspect(|_| self.checkpoint.again(&id))
            }
            (Action::PostStart(target), Some(id)) => {
                self.post_start(target, &id, &life.unwrap_or_default()).await
            }
            (Action::PreStop(target, delay, limit), Some(id)) => {
                if let Some(member) = self.member(target) {
                    sleep(*delay).await;
                    let hooks = self.hooks(member, "pre_stop", &member.pre_stop);
                    hooks::before_stop(&hooks, &*self.engine, &id, *limit).await;
                }
                Ok(ActionResult::PreStopped)
            }
            (Action::Stop(_, grace), Some(id)) => {
                self.engine.stop(&id, *grace).await.map(|()| ActionResult::Stopped)
            }
            (Action::ReportLastLogs(target), Some(id)) => {
                self.examine(target, &id).await;
                Ok(ActionResult::Examined)
            }
            (Action::ReadCheck(_), Some(id)) => Ok(ActionResult::CheckRead(self.read_check(&id).await)),
            // The container may have changed since the listing or event that reported it, so it is inspected
            // before the removal.
            (Action::Remove(Target::Orphan(_)), Some(id)) if !self.is_of_this_pod(&id).await => {
                Ok(ActionResult::Removed)
            }
            (Action::Remove(_), Some(id)) => self
                .engine
                .remove(&id)
                .await
                .inspect(|()| self.checkpoint.forget(&id))
                .map(|()| ActionResult::Removed),
            // Gone between the plan and now: the next plan knows.
            _ => return Err(Failure::Transient("the container is gone".into())),
        };
        result.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: EngineError) -> Failure {
        // Whether the engine acted is open, or somebody else did: look before the next attempt.
        if !matches!(error, EngineError::Refused(_)) {
            self.doubt.notify_one();
        }
        match error {
            EngineError::Refused(words) => Failure::Refused(words),
            EngineError::NotFound(words) | EngineError::Conflict(words) => Failure::Transient(words),
            EngineError::Unreachable(words) | EngineError::Untrusted(words) => Failure::Unreachable(words),
        }
    }

    /// Reports whether the container belongs to this pod. If the engine cannot inspect the container, the
    /// answer is yes: the removal by id then returns the error.
    async fn is_of_this_pod(&self, id: &str) -> bool {
        let Ok(found) = self.engine.inspect(id).await else { return true };
        let pod = found.labels.get(LABEL_POD);
        found.is_genuine(&self.spec.identity.name) && pod == Some(&self.spec.identity.pod)
    }

    /// Fails if a mount of the pod conflicts with a mount of another pod on the node.
    pub(crate) async fn check_mounts(&self) -> Result<(), Failure> {
        let found =
            self.guard.check(&*self.engine, &self.spec, true).await.map_err(|error| self.failure(error))?;
        if found.is_empty() {
            return Ok(());
        }
        let sentences: Vec<String> = found.iter().map(mount_guard::sentence).collect();
        Err(Failure::Forbidden(sentences.join("\n")))
    }

    async fn pull(&self, image: &Image) -> Result<ActionResult, EngineError> {
        info!(action = "pull", image = %image.reference, "pulling image {image}");
        let mut progress = self.engine.pull(&image.reference, image.platform.as_deref());
        while let Some(line) = progress.next().await {
            // What the registry does not have is refused, not missing at the engine.
            let line = line.map_err(|error| match error {
                EngineError::NotFound(words) | EngineError::Conflict(words) => EngineError::Refused(words),
                other => other,
            })?;
            debug!(action = "pull", image = %image.reference, "pulling image {image}: {line}");
        }
        Ok(ActionResult::Pulled)
    }

    async fn create(&self, target: &Target) -> Result<ActionResult, Failure> {
        let Some((mut request, image)) = self.request(target) else {
            return Err(Failure::Transient(format!("{target} is not in the definition")));
        };
        if let Some(member) = self.member(target).filter(|member| member.needs_store()) {
            request.container.mounts.retain(|mount| !matches!(mount.source, MountSource::ScratchVolume(_)));
            let mounts = self.store_mounts(member).await.map_err(|error| self.failure(error))?;
            request.container.mounts.extend(mounts);
        }
        let created = match self.created(&request).await {
            Ok(created) => created,
            // Engines call a container whose volumes are to be shared, and that is gone, a bad request.
            Err(EngineError::NotFound(words) | EngineError::Refused(words))
                if self.lender_is_gone(&request).await =>
            {
                return Err(self.failure(EngineError::NotFound(words)));
            }
            Err(EngineError::NotFound(_)) => return Ok(ActionResult::ImageMissing(image)),
            Err(error) => return Err(self.failure(error)),
        };
        for warning in &created.warnings {
            warn!("creating {target}: the engine warns: {warning}");
        }
        if self.member(target).is_none() {
            return Ok(ActionResult::Created(created.id));
        }
        self.verified(request, created.id).await
    }

    /// Reports whether the container whose volumes the new one was to share is gone, as `docker container prune` removes it.
    async fn lender_is_gone(&self, request: &CreateRequest) -> bool {
        match &request.volumes_from {
            // What is broken off has not asked the engine.
            Some(lender) if !self.create_slots.is_closed() => {
                matches!(self.engine.inspect(lender).await, Err(EngineError::NotFound(_)))
            }
            _ => false,
        }
    }

    async fn created(&self, request: &CreateRequest) -> Result<Created, EngineError> {
        let result = self.create_in_turn(request).await;
        if let Err(EngineError::Conflict(words)) = &result
            && words.contains("already in use")
            && let Ok(other) = self.engine.inspect(&request.name).await
            && !other.is_genuine(&self.spec.identity.name)
        {
            return Err(EngineError::Conflict(format!(
                "the container `{}` ({}), which is not of this pod, has its name: remove or rename that container",
                other.name,
                short(&other.id)
            )));
        }
        result
    }

    /// Checks what a created container got from its image: labels that its definition may not set, and a user
    /// that the policy refuses.
    ///
    /// The image may change between the check of the image and the creation, so this function inspects the
    /// created container. If labels are wrong, it removes the container and creates it again with empty
    /// values for these labels. A container cannot drop a label of its image.
    async fn verified(&self, mut request: CreateRequest, id: String) -> Result<ActionResult, Failure> {
        // The container exists by now. A refusal becomes a conflict here, so that the next listing finds the
        // container.
        let there = |error: EngineError| match error {
            EngineError::Refused(words) => self.failure(EngineError::Conflict(words)),
            error => self.failure(error),
        };
        let container = self.engine.inspect(&id).await.map_err(there)?;
        self.check_image(&container, &request.container.mounts)?;
        let labels = self.labels_of_the_image(&container, &request.labels);
        if labels.is_empty() {
            self.note_verified(&container);
            return Ok(ActionResult::Created(id));
        }
        warn!(
            "the image of `{}` has labels of its own, which it does not get: {}",
            container.name,
            labels.join(", ")
        );
        request.labels.extend(labels.into_iter().map(|name| (name, String::new())));
        self.engine.remove(&id).await.map_err(there)?;
        let again = self.created(&request).await.map_err(there)?;
        let container = self.engine.inspect(&again.id).await.map_err(there)?;
        self.check_image(&container, &request.container.mounts)?;
        if self.labels_of_the_image(&container, &request.labels).is_empty() {
            self.note_verified(&container);
            return Ok(ActionResult::Created(again.id));
        }
        // The image changed once more. The next attempt starts over.
        self.engine.remove(&again.id).await.map_err(there)?;
        self.doubt.notify_one();
        Err(Failure::Transient(format!("the image of `{}` changed while it was used", container.name)))
    }

    /// Checks a container that an earlier manager created before it crashed. This manager has not checked it
    /// yet.
    async fn verify_adopted(&self, member: &ComponentSpec, id: &str) -> Result<(), Failure> {
        if self.is_verified(id) {
            return Ok(());
        }
        let container = self.engine.inspect(id).await.map_err(|error| self.failure(error))?;
        self.check_image(&container, &member.container.mounts)?;
        let mut own = self.spec.identity.labels(self.spec.role(member), Some(&member.name));
        own.extend(member.container.labels.clone());
        let labels = self.labels_of_the_image(&container, &own);
        if labels.is_empty() {
            self.note_verified(&container);
            return Ok(());
        }
        // The earlier manager crashed before it could create the container again without these labels.
        self.engine.remove(id).await.map_err(|error| self.failure(error))?;
        self.doubt.notify_one();
        Err(Failure::Transient(format!(
            "the image of `{}` has labels of its own, which it does not get: {}; it is made again",
            container.name,
            labels.join(", ")
        )))
    }

    fn is_verified(&self, id: &str) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.values().any(|(known, _)| known == id)
    }

    fn note_verified(&self, container: &ContainerInfo) {
        let noted = (container.id.clone(), bounds::check_rate(container.healthcheck.as_ref()));
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).insert(container.name.clone(), noted);
    }

    /// Refuses a health check that runs too often, which may be the image's, or too often together with those of the pod's
    /// other containers.
    fn check_health(&self, container: &ContainerInfo) -> Option<Refusal> {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let others = verified.iter().filter(|(name, _)| **name != container.name).map(|(_, (_, rate))| *rate);
        bounds::check_health(container.healthcheck.as_ref(), others.sum())
    }

    /// Fails if the container got a user, a volume or a health check from its image that the policy refuses. A
    /// volume of the image must not lie below `/dev`, where the engine creates devices, or hide the kernel's
    /// files below `/proc` and `/sys`.
    fn check_image(&self, container: &ContainerInfo, mounts: &[Mount]) -> Result<(), Failure> {
        let refusal = match taken_target(&container.targets, mounts) {
            Some(target) => Some(Refusal::absolute(
                "image",
                format!("the image has a volume at `{target}`"),
                "valid is an image without volumes below `/dev`, `/proc` and `/sys`",
            )),
            None => {
                let user = self.guard.policy.check_user(&container.user, "user");
                user.or_else(|| self.check_health(container)).or_else(|| {
                    let own = |name: &String| name.starts_with("io.tandem.");
                    let labels = container.labels.iter().filter(|(name, _)| !own(name));
                    let labels = labels.map(|(name, value)| (name.clone(), value.clone())).collect();
                    bounds::check_image(container.targets.len(), &labels)
                })
            }
        };
        let Some(refusal) = refusal else { return Ok(()) };
        self.doubt.notify_one();
        Err(Failure::Forbidden(mount_guard::sentence(&(container.name.clone(), refusal))))
    }

    /// Names of the labels that the container got from its image and that its definition may not set.
    fn labels_of_the_image(
        &self,
        container: &ContainerInfo,
        given: &BTreeMap<String, String>,
    ) -> Vec<String> {
        let foreign = |name: &str, value: &str| {
            !given.contains_key(name)
                && !value.is_empty()
                && !self.guard.policy.may_have_label(name, value, &self.task_labels)
        };
        let labels = container.labels.iter().filter(|(name, value)| foreign(name, value));
        labels.map(|(name, _)| name.clone()).collect()
    }

    fn request(&self, target: &Target) -> Option<(CreateRequest, Image)> {
        let own = || Image { reference: self.sandbox.image.clone(), platform: None };
        match target {
            Target::Sandbox => {
                let request =
                    convert::sandbox_request(&self.spec, &self.sandbox.image, &self.sandbox.lifeline);
                Some((request, own()))
            }
            Target::Store => {
                let request = convert::store_request(&self.spec, &self.sandbox.image);
                Some((request, own()))
            }
            Target::Member(name) => {
                let member = self.spec.member(name)?;
                Some((convert::create_request(&self.spec, member), member.container.wanted_image()))
            }
            Target::Orphan(_) => None,
        }
    }

    async fn copy(&self, name: &str, id: &str) -> Result<ActionResult, EngineError> {
        let Some(member) = self.spec.member(name) else { return Ok(ActionResult::Copied) };
        let lent = self.lent(member).await?;
        for copy in member.copies.iter().filter(|copy| !lies_in_image_volume(&copy.target, &lent)) {
            debug!(component = %name, action = "copy", "copying `{}` to `{}` in `{name}`", copy.source, copy.target);
            let archive = self
                .copies
                .archive(copy, &member.container.mounts)
                .map_err(|error| EngineError::Refused(error.to_string()))?;
            self.engine.copy_in(id, &archive.folder, archive.stream).await?;
        }
        Ok(ActionResult::Copied)
    }

    /// The mounts that a step of `pre_start` shares with its component, each after whether the component's image alone asks
    /// for it, which the definition cannot know. What is copied there the component has, and no step starts before: another
    /// copy would undo what an earlier step wrote.
    async fn lent(&self, member: &ComponentSpec) -> Result<Vec<(bool, String)>, EngineError> {
        let lender = member.pre_start_of.as_deref().and_then(|lender| self.spec.member(lender));
        let Some(lender) = lender.filter(|_| !member.copies.is_empty()) else { return Ok(Vec::new()) };
        let found = match self.engine.inspect(&self.spec.identity.member_container(&lender.name)).await {
            Ok(container) => container.targets,
            // It is gone, and no container shares its volumes but this one.
            Err(EngineError::NotFound(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        let of_image = |target: &String| !lender.container.mounts.iter().any(|mount| mount.target == *target);
        Ok(found.into_iter().map(|target| (of_image(&target), target)).collect())
    }

    async fn fill_store(&self, id: &str) -> Result<ActionResult, EngineError> {
        self.fill_files(id).await?;
        self.copies.forget_secrets();
        for archive in self.spec.scratch.iter().map(files::scratch_archive) {
            self.engine.copy_in(id, &archive.folder, archive.stream).await?;
        }
        Ok(ActionResult::Copied)
    }

    /// Writes the secrets and configs, unless the store has them already.
    ///
    /// A process in the store writes them, one for each owner, so that their memory is charged to the pod's cgroup; the
    /// memory of an archive would be charged to the engine. A manager that restarts must not write them again: running
    /// components keep the replaced files in memory, and the volume holds
    /// [`MAX_STORE_BYTES`](pod::store::MAX_STORE_BYTES) in all.
    async fn fill_files(&self, id: &str) -> Result<(), EngineError> {
        let layout = StoreLayout::of(&self.spec);
        if layout.is_empty() {
            return Ok(());
        }
        let complete = format!("{STORE_FOLDER}/{}", layout.complete());
        if self.engine.stat(id, &complete).await?.is_some() {
            return Ok(());
        }
        let unknown = |error: CopyError| EngineError::Refused(error.to_string());
        for OwnedFiles { owner: (user, group), stream } in
            self.copies.store_streams(&layout).map_err(unknown)?
        {
            let store = Hook {
                command: vec!["/pause".into(), "store".into()],
                user: Some(format!("{user}:{group}")),
                ..Hook::default()
            };
            let finished = self.engine.run(id, &store, stream).await?;
            let status = finished.as_ref().map(|finished| finished.status);
            match status {
                Some(0) => {}
                Some(STATUS_UNKNOWN_COMMAND) | None => {
                    let why = match status {
                        Some(_) => format!(
                            "the pause image `{}` is older than this manager: update it",
                            self.sandbox.image
                        ),
                        None => "what is in front of the engine passes no input to a command".to_owned(),
                    };
                    warn!("the memory of secrets and configs is not charged to the pod: {why}");
                    let archive = self.copies.store_archive(&layout).map_err(unknown)?;
                    return self.engine.copy_in(id, &archive.folder, archive.stream).await;
                }
                Some(status) => {
                    let words = finished.as_ref().map_or("", |finished| &finished.stderr);
                    let words = words.trim_start_matches("pause: ");
                    let why = if status == STATUS_KILLED { "killed, as for want of memory" } else { words };
                    return Err(EngineError::Refused(format!(
                        "cannot write secrets and configs as user {user}:{group}: status {status}: {why}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// What a member mounts of what the store holds.
    async fn store_mounts(&self, member: &ComponentSpec) -> Result<Vec<Mount>, EngineError> {
        let store = self.engine.inspect(&self.spec.identity.store_container()).await;
        // Missing, it is no missing image.
        let store = store.map_err(|error| match error {
            EngineError::NotFound(words) => EngineError::Conflict(words),
            other => other,
        })?;
        convert::store_mounts(&store.held, &StoreLayout::of(&self.spec), member)
            .ok_or_else(|| EngineError::Conflict("the store does not hold it".into()))
    }

    async fn create_in_turn(&self, request: &CreateRequest) -> Result<Created, EngineError> {
        let turn = self.create_slots.acquire().await.map_err(|_| EngineError::Refused(CANCELLED.into()))?;
        let mut created = pin!(self.engine.create(request));
        match timeout(SLOT_TIMEOUT, &mut created).await {
            Ok(created) => created,
            Err(_) => {
                drop(turn);
                created.await
            }
        }
    }

    async fn start(&self, target: &Target, id: &str) -> Result<ActionResult, EngineError> {
        // Attached before the start, so that not a byte is lost.
        if let (Some(followers), Some(member)) = (&self.followers, self.member(target)) {
            followers.follow(&*self.engine, id, &member.name, member.container.tty, None).await?;
        }
        if self.create_slots.is_closed() {
            if let Some(followers) = &self.followers {
                followers.abandon(id);
            }
            return Err(EngineError::Refused(CANCELLED.into()));
        }
        if let Err(error) = self.engine.start(id).await {
            // The engine writes down with which status the start failed.
            if let Ok(container) = self.engine.inspect(id).await
                && let Status::Exited(exit) = container.status
            {
                let kind = EventKind::Died(exit);
                let event = Event { id: id.to_owned(), kind, at_nanos: exit.at_nanos };
                let _ = self.news.send(StateUpdate::Event(event));
            }
            if let (Some(followers), EngineError::Conflict(_) | EngineError::NotFound(_)) =
                (&self.followers, &error)
            {
                followers.abandon(id);
            }
            return Err(error);
        }
        // It is started, whatever the engine says of this question.
        let seen = self.engine.inspect(id).await;
        seen.map(|container| ActionResult::Started(Box::new(container)))
            .map_err(|error| EngineError::Conflict(error.to_string()))
    }

    async fn post_start(&self, target: &Target, id: &str, life: &str) -> Result<ActionResult, EngineError> {
        let Some(member) = self.member(target) else { return Ok(ActionResult::PostStarted) };
        let hooks = self.hooks(member, "post_start", &member.post_start);
        Ok(match hooks.run(&*self.engine, id).await? {
            Some(failure) => ActionResult::HookFailed(failure),
            None => {
                self.checkpoint.add(life);
                ActionResult::PostStarted
            }
        })
    }

    /// Put what a component wrote last into the log, unless all of it is there already.
    async fn examine(&self, target: &Target, id: &str) {
        let (None, Some(member)) = (&self.followers, self.member(target)) else { return };
        let mut last = Tail::default();
        let read = async {
            let output = self.engine.last_output(id).await?;
            last.read(output, member.container.tty).await
        };
        match timeout(LAST_LOGS_TIMEOUT, read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!("what {target} wrote last is not known: {error}"),
            Err(_) => warn!("the engine does not tell in time what {target} wrote last"),
        }
        // At once: so many lines one by one would be more than the writer of log lines keeps.
        let lines = last.lines();
        if !lines.is_empty() {
            error!("{target} wrote last:\n  {}", lines.join("\n  "));
        }
    }

    /// Why the health check of a component fails, as far as the engine tells in time.
    async fn read_check(&self, id: &str) -> Option<FailedCheck> {
        match timeout(LAST_LOGS_TIMEOUT, self.engine.inspect(id)).await {
            Ok(Ok(container)) => container.failed_check,
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn hooks<'a>(&'a self, member: &'a ComponentSpec, key: &'static str, hooks: &'a [Hook]) -> Hooks<'a> {
        Hooks { component: &member.name, key, hooks, followers: self.followers.as_ref() }
    }

    fn member(&self, target: &Target) -> Option<&ComponentSpec> {
        match target {
            Target::Member(name) => self.spec.member(name),
            Target::Sandbox | Target::Store | Target::Orphan(_) => None,
        }
    }
}

/// The first of these mount targets of a container that its image alone asks for and where nothing may be
/// mounted.
fn taken_target<'a>(targets: &'a [String], mounts: &[Mount]) -> Option<&'a String> {
    let mut of_image = targets.iter().filter(|target| !mounts.iter().any(|own| own.target == **target));
    of_image.find(|target| is_kernels(target) || is_for_devices(target))
}

/// Reports whether a path lies in a volume of an image: the innermost of the mounts, each after whether it is one, has it.
fn lies_in_image_volume(path: &str, mounts: &[(bool, String)]) -> bool {
    let around = mounts.iter().filter(|(_, target)| within(path, target));
    around.max_by_key(|(_, target)| target.len()).is_some_and(|(is_of_image, _)| *is_of_image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_in_the_innermost_mount() {
        let mounts = [(true, "/data"), (false, "/data/named"), (true, "/data/named/deep"), (false, "/named")];
        let mounts = mounts.map(|(is_of_image, target)| (is_of_image, target.to_owned()));
        for (path, expected) in [
            ("/data", true),
            ("/data/", true),
            ("/data/file", true),
            ("/data/named/file", false),
            ("/data/named/deep/file", true),
            ("/named/file", false),
            ("/database", false),
        ] {
            assert_eq!(lies_in_image_volume(path, &mounts), expected, "{path}");
        }
    }

    #[test]
    fn a_volume_of_an_image_hides_no_place_of_the_kernel_or_of_devices_behind_one_that_is_sound() {
        let own =
            Mount { target: "/dev/log".into(), read_only: false, source: MountSource::bind("/dev/log") };
        for (targets, taken) in [
            (&["/data", "/dev/shm", "/dev/mqueue", "/dev/log"][..], None),
            (&["/dev/shm", "/sys/fs"], Some("/sys/fs")),
            (&["/dev/mqueue", "/dev/pts"], Some("/dev/pts")),
            (&["/proc"], Some("/proc")),
        ] {
            let all: Vec<String> = targets.iter().map(|target| (*target).to_owned()).collect();
            let found = taken_target(&all, std::slice::from_ref(&own));
            assert_eq!(found.map(String::as_str), taken, "{targets:?}");
        }
    }
}
