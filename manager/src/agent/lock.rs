//! One agent of a name at an engine. Its lock is a container that is created and never started: the engine gives a name
//! once, in one step. The lock's labels say whose it is, so that whoever comes next, and the sweep, tells a live owner
//! from a dead one.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::error::Refusal;
use crate::pause_channel::Pause;
use crate::reconcile::BACKOFF;
use crate::startup::context::ManagerContext;
use engine::docker::DockerEngine;
use engine::{CreateRequest, Created, Engine, EngineError};
use pod::exit_status::STATUS_REFUSED;
use pod::health::PodHealth;
use pod::identity::{Identity, LABEL_POD, LABEL_ROLE, LABEL_RUN, Labelled, Role, short};
use pod::observed::ContainerInfo;
use pod::spec::{ContainerSpec, HealthCheck};

/// How long the removal of the own lock may take of the time that an agent has to end; what is left then is for the
/// next agent or sweep.
const RELEASE: Duration = Duration::from_secs(3);

/// The lock of this agent, whether it has it or not.
pub struct Lock {
    engine: DockerEngine,
    /// Name of the agent.
    agent: String,
    /// Who takes it: the agent's own container, in this run of it.
    own: Identity,
    request: CreateRequest,
    /// Begun, and what came of it is not known yet.
    creation: RefCell<Option<Creation>>,
}

type Creation = Shared<BoxFuture<'static, Result<Created, EngineError>>>;

/// What came of an attempt to take it.
enum Attempt {
    /// Ours: the lock's id.
    Taken(String),
    /// Another agent's.
    Held(Owner),
    /// Just gone.
    Gone,
    /// What has its name is no lock.
    Foreign(Box<ContainerInfo>),
}

/// The container of an agent that has it.
struct Owner {
    id: String,
    name: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container `{}` ({})", self.name, short(&self.id))
    }
}

impl Lock {
    /// The lock of the agent with this name.
    pub fn new(site: &ManagerContext, agent: &str) -> Self {
        let own = Identity {
            pod: site.own.id.clone(),
            name: site.own.name.clone(),
            run: site.own.started_at.clone(),
            manager: site.own.id.clone(),
            origin: Identity::origin_of(&site.own.labels),
        };
        let request = request(agent, &own, &site.own.image_id);
        Lock {
            engine: site.engine.clone(),
            agent: agent.to_owned(),
            own,
            request,
            creation: RefCell::default(),
        }
    }

    /// Take it, as soon as no other agent has it: its id.
    ///
    /// # Errors
    /// Where something else has its name.
    pub async fn take(&self, pause: &mut Pause) -> Result<String, Refusal> {
        let (mut backoff, mut told) = (BACKOFF.0, None);
        loop {
            let result = match self.attempt().await {
                Ok(Attempt::Taken(id)) => return Ok(id),
                Ok(Attempt::Foreign(other)) => return Err(self.foreign(&other)),
                Ok(Attempt::Gone) => Ok(()),
                Ok(Attempt::Held(owner)) => {
                    if told.as_ref() != Some(&owner.id) {
                        warn!(
                            "{owner} runs an agent `{}` on this node already: this one runs no pods, and waits for its end",
                            self.agent
                        );
                        told = Some(owner.id.clone());
                    }
                    // It does what it is to do. Were it not healthy, an update that starts the new agent before it stops
                    // the old one would never come to its end.
                    pause.publish(PodHealth::Healthy);
                    match self.passed(&owner.id, "not-running").await {
                        Ok(()) => backoff = BACKOFF.0,
                        // A filter may refuse the wait: then it is looked at again and again.
                        Err(error) => debug!("waiting for {owner}: {error}"),
                    }
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                warn!("cannot take the lock `{}`, trying again: {error}", self.request.name);
                pause.publish(PodHealth::Unhealthy);
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// Returns when it is another's: why this agent must end. One that was only removed (`docker container prune` takes
    /// every container that does not run) is taken again.
    pub async fn lost(&self, mut id: String) -> Refusal {
        let mut backoff = BACKOFF.0;
        loop {
            // Where the wait is refused, by a filter perhaps, it is looked at again and again.
            let passed = self.passed(&id, "removed").await;
            if let Err(error) = &passed {
                debug!("the lock `{}` is not watched: {error}", self.request.name);
            }
            match passed {
                Err(EngineError::Unreachable(_)) => {}
                _ => match self.attempt().await {
                    Ok(Attempt::Taken(new)) if new == id => {}
                    Ok(Attempt::Taken(new)) => {
                        warn!("somebody has removed the lock `{}`: took it again", self.request.name);
                        (id, backoff) = (new, BACKOFF.0);
                    }
                    Ok(Attempt::Held(owner)) => {
                        let words = format!(
                            "somebody has removed the lock `{}`, and {owner} has taken it: this agent ends",
                            self.request.name
                        );
                        return Refusal { status: STATUS_REFUSED, words };
                    }
                    Ok(Attempt::Foreign(other)) => return self.foreign(&other),
                    Ok(Attempt::Gone) => {}
                    Err(error) => {
                        warn!("cannot take the lock `{}`, trying again: {error}", self.request.name)
                    }
                },
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// Give it up, where this agent has it.
    pub async fn release(&self) {
        let release = async {
            // One that was broken off may still come to its end at the engine.
            let begun = self.creation.take();
            if let Some(creation) = begun {
                let _ = creation.await;
            }
            match self.engine.inspect(&self.request.name).await {
                Ok(found) if self.is_own(&found) => self.engine.remove(&found.id).await,
                Ok(_) | Err(EngineError::NotFound(_)) => Ok(()),
                Err(error) => Err(error),
            }
        };
        let words = match timeout(RELEASE, release).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        warn!("the lock `{}` is left, for the next agent to remove: {words}", self.request.name);
    }

    async fn attempt(&self) -> Result<Attempt, EngineError> {
        match self.create().await {
            Ok(created) => return Ok(Attempt::Taken(created.id)),
            Err(EngineError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        let found = match self.engine.inspect(&self.request.name).await {
            Ok(found) => found,
            Err(EngineError::NotFound(_)) => return Ok(Attempt::Gone),
            Err(error) => return Err(error),
        };
        let owner = match found.labels.get(LABEL_POD) {
            Some(owner) if is_lock(&found) => owner,
            _ => return Ok(Attempt::Foreign(Box::new(found))),
        };
        // A manager before this one took it, and crashed.
        if self.is_own(&found) {
            return Ok(Attempt::Taken(found.id));
        }
        match self.engine.standing(owner).await {
            Ok(other) if found.labels.get(LABEL_RUN).is_some_and(|run| other.goes_on(run)) => {
                return Ok(Attempt::Held(Owner { id: other.id, name: other.name }));
            }
            Ok(_) | Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        info!("the agent in container {} has ended: removing its lock", short(owner));
        // By its id: another one may have done so, and have its own there by now.
        self.engine.remove(&found.id).await?;
        Ok(Attempt::Gone)
    }

    async fn create(&self) -> Result<Created, EngineError> {
        let (engine, request) = (self.engine.clone(), self.request.clone());
        let creation = async move { engine.create(&request).await }.boxed().shared();
        self.creation.replace(Some(creation.clone()));
        let created = creation.await;
        self.creation.take();
        created
    }

    fn is_own(&self, found: &ContainerInfo) -> bool {
        let label = |key: &str| found.labels.get(key);
        is_lock(found) && label(LABEL_POD) == Some(&self.own.pod) && label(LABEL_RUN) == Some(&self.own.run)
    }

    /// Returns when the container is in this condition, or gone.
    async fn passed(&self, id: &str, condition: &str) -> Result<(), EngineError> {
        let passed = async { self.engine.waits(id, condition).await?.await };
        match passed.await {
            Ok(_) | Err(EngineError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn foreign(&self, other: &ContainerInfo) -> Refusal {
        Refusal::usage(format!(
            "the container `{}` ({}) has the name of this agent's lock and is none (it has no label `{LABEL_ROLE}={}`): \
             remove or rename it, or give the agent another `--name`",
            other.name,
            short(&other.id),
            Role::Lock.as_str()
        ))
    }
}

fn is_lock(found: &ContainerInfo) -> bool {
    let ContainerInfo { labels, name, network, command, .. } = found;
    let role = labels.get(LABEL_ROLE).map(String::as_str);
    role == Some(Role::Lock.as_str()) && Labelled { labels, name, network, command }.is_genuine(None)
}

fn request(agent: &str, own: &Identity, image: &str) -> CreateRequest {
    CreateRequest {
        name: format!("tandem-agent.{agent}"),
        // The one image that is here for certain.
        container: ContainerSpec {
            image: image.to_owned(),
            healthcheck: Some(HealthCheck::Disabled),
            ..ContainerSpec::default()
        },
        labels: own.labels(Role::Lock, None),
        network_mode: "none".to_owned(),
        ipc_mode: "private".to_owned(),
        ..CreateRequest::default()
    }
}
