//! One action to engine calls. No policy: what a failure means is the planner's to say.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{info, warn};

use super::copy::CopySources;
use super::follow::Followers;
use super::hooks::{self, Hooks};
use super::marks::Marks;
use super::sentry::Sentry;
use crate::engine::{CreateRequest, Engine, EngineError, convert};
use crate::pod::action::{Action, Target};
use crate::pod::identity::Role;
use crate::pod::observed::{Effect, Event, EventKind, Failure, Observation, Status};
use crate::pod::spec::{ComponentSpec, Hook, Image, Mount, PodSpec};

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
    pub sentry: Option<Sentry>,
    /// Asks the watch for a listing.
    pub doubt: Arc<Notify>,
    /// Where news goes that is more than the action's own end.
    pub news: UnboundedSender<Observation>,
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
    /// Carry out an action. `id` is the container's, where there is one.
    pub async fn execute(&self, action: &Action, id: Option<String>) -> Result<Effect, Failure> {
        let result = match (action, id) {
            (Action::Pull(image), _) => self.pull(image).await,
            (Action::Create(target), _) => self.create(target).await,
            (Action::Copy(Target::Member(name)), Some(id)) => self.copy(name, &id).await,
            (Action::Copy(Target::Vault), Some(id)) => self.fill_vault(&id).await,
            (Action::Start(target), Some(id)) => self.start(target, &id).await,
            (Action::PostStart(target), Some(id)) => self.post_start(target, &id).await,
            (Action::PreStop(target, limit), Some(id)) => {
                if let Some(member) = self.member(target) {
                    let hooks = self.hooks(member, "pre_stop", &member.pre_stop);
                    hooks::before_stop(&hooks, &*self.engine, &id, *limit).await;
                }
                Ok(Effect::PreStopped)
            }
            (Action::Stop(_, grace), Some(id)) => {
                self.engine.stop(&id, *grace).await.map(|()| Effect::Stopped)
            }
            (Action::Remove(_), Some(id)) => self.engine.remove(&id).await.map(|()| Effect::Removed),
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
                EngineError::Unreachable(words) => Failure::Unreachable(words),
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
        if let Some(member) = self.member(target).filter(|member| !member.files.is_empty()) {
            request.container.mounts.extend(self.vault_mounts(member).await?);
        }
        match self.engine.create(&request).await {
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
        let archive =
            self.copies.vault_archive(&self.spec).map_err(|error| EngineError::Refused(error.to_string()))?;
        self.engine.copy_in(id, &archive.folder, archive.stream).await?;
        Ok(Effect::Copied)
    }

    /// A member's secrets and configs as mounts of the vault's memory.
    async fn vault_mounts(&self, member: &ComponentSpec) -> Result<Vec<Mount>, EngineError> {
        let vault = self.engine.inspect(&self.spec.identity.vault_container()).await;
        // Missing, it is no missing image.
        let vault = vault.map_err(|error| match error {
            EngineError::NotFound(words) => EngineError::Conflict(words),
            other => other,
        })?;
        let Some(path) = vault.vault_path else {
            return Err(EngineError::Conflict("the vault has no memory".into()));
        };
        let files = member.files.iter().enumerate();
        Ok(files
            .map(|(number, file)| convert::vault_mount(&path, &member.name, number, &file.target))
            .collect())
    }

    async fn start(&self, target: &Target, id: &str) -> Result<Effect, EngineError> {
        if let (Some(sentry), Some(member)) = (&self.sentry, self.member(target))
            && let Some(words) = sentry.against(&*self.engine, id, &member.container.mounts).await?
        {
            return Err(EngineError::Refused(words));
        }
        // Attached before the start, so that not a byte is lost.
        if let (Some(followers), Some(member)) = (&self.followers, self.member(target)) {
            followers.follow(&*self.engine, id, &member.name, member.container.tty).await?;
        }
        if let Err(error) = self.engine.start(id).await {
            // The engine writes down with which status the start failed.
            if let Ok(container) = self.engine.inspect(id).await
                && let Status::Exited(exit) = container.status
            {
                let event = Event { id: id.to_owned(), kind: EventKind::Died(exit) };
                let _ = self.news.send(Observation::Event(event));
            }
            if let (Some(followers), EngineError::Conflict(_) | EngineError::NotFound(_)) =
                (&self.followers, &error)
            {
                followers.abandon(id);
            }
            return Err(error);
        }
        Ok(Effect::Started(self.engine.inspect(id).await?))
    }

    async fn post_start(&self, target: &Target, id: &str) -> Result<Effect, EngineError> {
        let Some(member) = self.member(target) else { return Ok(Effect::PostStarted) };
        let hooks = self.hooks(member, "post_start", &member.post_start);
        Ok(match hooks.run(&*self.engine, id).await? {
            Some(failure) => Effect::HookFailed(failure),
            None => {
                self.marks.add(id);
                Effect::PostStarted
            }
        })
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
