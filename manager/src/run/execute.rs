//! One action to engine calls. No policy: what a failure means is the planner's to say.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::copy::{self, CopySources};
use super::follow::Followers;
use super::hooks::{self, Hooks};
use super::marks::Marks;
use super::sentry::Sentry;
use super::tail::Tail;
use super::{BROKEN_OFF, LAST_OUTPUT};
use crate::engine::{CreateRequest, Created, Engine, EngineError, convert};
use crate::pod::action::{Action, Target};
use crate::pod::identity::Role;
use crate::pod::observed::{Effect, Event, EventKind, Failure, Observation, Status};
use crate::pod::spec::{ComponentSpec, Hook, Image, Mount, MountSource, PodSpec};

/// How long the last lines of a component that failed are waited for.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Creations of one pod that the engine is asked for at a time. More make it no faster (`cargo xtask bench start`), and
/// each takes memory here.
pub(super) const AT_ONCE: usize = 8;
/// What takes longer to create keeps nobody waiting: it may be stuck in a volume's plug-in.
const TURN: Duration = Duration::from_secs(5);

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
    pub marks: Marks,
    /// Who looks at mounts before a component starts.
    pub sentry: Sentry,
    /// Asks the watch for a listing.
    pub doubt: Arc<Notify>,
    /// Where news goes that is more than the action's own end.
    pub news: UnboundedSender<Observation>,
    /// Whose turn it is; closed once the pod's end is decided: what has not reached the engine yet must not.
    pub turns: Semaphore,
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
    /// ([`crate::pod::observed::Member::life`]).
    pub async fn execute(
        &self,
        action: &Action,
        id: Option<String>,
        life: Option<String>,
    ) -> Result<Effect, Failure> {
        let result = match (action, id) {
            (Action::Look, _) => {
                self.doubt.notify_one();
                Ok(Effect::Asked)
            }
            (Action::Pull(image), _) => self.pull(image).await,
            (Action::Create(target), _) => self.create(target).await,
            (Action::Copy(Target::Member(name)), Some(id)) => self.copy(name, &id).await,
            (Action::Copy(Target::Vault), Some(id)) => self.fill_vault(&id).await,
            (Action::Start(target), Some(id)) => self.start(target, &id).await,
            (Action::Restart(target), Some(id)) => {
                if let Some(followers) = &self.followers {
                    followers.settle(&id, LAST_OUTPUT).await;
                }
                self.start(target, &id).await.inspect(|_| self.marks.again(&id))
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
                Ok(Effect::PreStopped)
            }
            (Action::Stop(_, grace), Some(id)) => {
                self.engine.stop(&id, *grace).await.map(|()| Effect::Stopped)
            }
            (Action::Examine(target), Some(id)) => {
                self.examine(target, &id).await;
                Ok(Effect::Examined)
            }
            (Action::Remove(_), Some(id)) => {
                self.engine.remove(&id).await.inspect(|()| self.marks.forget(&id)).map(|()| Effect::Removed)
            }
            // Gone between the plan and now: the next plan knows.
            _ => return Err(Failure::Unsettled("the container is gone".into())),
        };
        result.map_err(|error| {
            // Whether the engine acted is open, or somebody else did: look before the next attempt.
            if !matches!(error, EngineError::Refused(_)) {
                self.doubt.notify_one();
            }
            match error {
                EngineError::Refused(words) => Failure::Refused(words),
                EngineError::NotFound(words) | EngineError::Conflict(words) => Failure::Unsettled(words),
                EngineError::Unreachable(words) | EngineError::Untrusted(words) => {
                    Failure::Unreachable(words)
                }
            }
        })
    }

    async fn pull(&self, image: &Image) -> Result<Effect, EngineError> {
        info!("pulling image {image}");
        let mut progress = self.engine.pull(&image.reference, image.platform.as_deref());
        while let Some(line) = progress.next().await {
            // What the registry does not have is refused, not missing at the engine.
            let line = line.map_err(|error| match error {
                EngineError::NotFound(words) | EngineError::Conflict(words) => EngineError::Refused(words),
                other => other,
            })?;
            info!("pulling image {image}: {line}");
        }
        Ok(Effect::Pulled)
    }

    async fn create(&self, target: &Target) -> Result<Effect, EngineError> {
        let Some((mut request, image)) = self.request(target) else {
            return Err(EngineError::NotFound(format!("{target} is not in the definition")));
        };
        if let Some(member) = self.member(target).filter(|member| member.needs_vault()) {
            request.container.mounts.retain(|mount| !matches!(mount.source, MountSource::Scratch(_)));
            request.container.mounts.extend(self.vault_mounts(member).await?);
        }
        match self.create_in_turn(&request).await {
            Ok(created) => {
                for warning in created.warnings {
                    warn!("creating {target}: the engine warns: {warning}");
                }
                Ok(Effect::Created(created.id))
            }
            Err(EngineError::NotFound(_)) => Ok(Effect::ImageMissing(image)),
            Err(error) => Err(error),
        }
    }

    fn request(&self, target: &Target) -> Option<(CreateRequest, Image)> {
        let own = || Image { reference: self.sandbox.image.clone(), platform: None };
        match target {
            Target::Sandbox => {
                let request =
                    convert::sandbox_request(&self.spec, &self.sandbox.image, &self.sandbox.lifeline);
                Some((request, own()))
            }
            Target::Vault => {
                let request = convert::vault_request(&self.spec, &self.sandbox.image);
                Some((request, own()))
            }
            Target::Member(name) => {
                let member = self.spec.member(name)?;
                let init = self.spec.init.iter().any(|init| init.name == *name);
                let role = if init { Role::Init } else { Role::Component };
                Some((convert::create_request(&self.spec, member, role), member.container.wanted_image()))
            }
            Target::Remains(_) => None,
        }
    }

    async fn copy(&self, name: &str, id: &str) -> Result<Effect, EngineError> {
        let Some(member) = self.spec.member(name) else { return Ok(Effect::Copied) };
        for copy in &member.copies {
            info!("copying `{}` to `{}` in `{name}`", copy.source, copy.target);
            let archive = self
                .copies
                .archive(copy, &member.container.mounts)
                .map_err(|error| EngineError::Refused(error.to_string()))?;
            self.engine.copy_in(id, &archive.folder, archive.stream).await?;
        }
        Ok(Effect::Copied)
    }

    async fn fill_vault(&self, id: &str) -> Result<Effect, EngineError> {
        let files = self.spec.members().any(|member| !member.files.is_empty());
        let archive = files.then(|| self.copies.vault_archive(&self.spec)).transpose();
        let archive = archive.map_err(|error| EngineError::Refused(error.to_string()))?;
        for archive in archive.into_iter().chain(self.spec.scratch.iter().map(copy::scratch_archive)) {
            self.engine.copy_in(id, &archive.folder, archive.stream).await?;
        }
        Ok(Effect::Copied)
    }

    /// What a member mounts of what the vault holds.
    async fn vault_mounts(&self, member: &ComponentSpec) -> Result<Vec<Mount>, EngineError> {
        let vault = self.engine.inspect(&self.spec.identity.vault_container()).await;
        // Missing, it is no missing image.
        let vault = vault.map_err(|error| match error {
            EngineError::NotFound(words) => EngineError::Conflict(words),
            other => other,
        })?;
        convert::vault_mounts(&vault.held, member)
            .ok_or_else(|| EngineError::Conflict("the vault does not hold it".into()))
    }

    async fn create_in_turn(&self, request: &CreateRequest) -> Result<Created, EngineError> {
        let turn = self.turns.acquire().await.map_err(|_| EngineError::Refused(BROKEN_OFF.into()))?;
        let mut created = pin!(self.engine.create(request));
        match timeout(TURN, &mut created).await {
            Ok(created) => created,
            Err(_) => {
                drop(turn);
                created.await
            }
        }
    }

    async fn start(&self, target: &Target, id: &str) -> Result<Effect, EngineError> {
        if let Some(member) = self.member(target)
            && let Some(words) = self.sentry.against(&*self.engine, id, &member.container.mounts).await?
        {
            return Err(EngineError::Refused(words));
        }
        // Attached before the start, so that not a byte is lost.
        if let (Some(followers), Some(member)) = (&self.followers, self.member(target)) {
            followers.follow(&*self.engine, id, &member.name, member.container.tty).await?;
        }
        if self.turns.is_closed() {
            if let Some(followers) = &self.followers {
                followers.abandon(id);
            }
            return Err(EngineError::Refused(BROKEN_OFF.into()));
        }
        if let Err(error) = self.engine.start(id).await {
            // The engine writes down with which status the start failed.
            if let Ok(container) = self.engine.inspect(id).await
                && let Status::Exited(exit) = container.status
            {
                let kind = EventKind::Died(exit);
                let event = Event { id: id.to_owned(), kind, at_nanos: exit.at_nanos };
                let _ = self.news.send(Observation::Event(event));
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
        seen.map(Effect::Started).map_err(|error| EngineError::Conflict(error.to_string()))
    }

    async fn post_start(&self, target: &Target, id: &str, life: &str) -> Result<Effect, EngineError> {
        let Some(member) = self.member(target) else { return Ok(Effect::PostStarted) };
        let hooks = self.hooks(member, "post_start", &member.post_start);
        Ok(match hooks.run(&*self.engine, id).await? {
            Some(failure) => Effect::HookFailed(failure),
            None => {
                self.marks.add(life);
                Effect::PostStarted
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
        match timeout(LAST_LOOK, read).await {
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

    fn hooks<'a>(&'a self, member: &'a ComponentSpec, key: &'static str, hooks: &'a [Hook]) -> Hooks<'a> {
        Hooks { component: &member.name, key, hooks, followers: self.followers.as_ref() }
    }

    fn member(&self, target: &Target) -> Option<&ComponentSpec> {
        match target {
            Target::Member(name) => self.spec.member(name),
            Target::Sandbox | Target::Vault | Target::Remains(_) => None,
        }
    }
}
