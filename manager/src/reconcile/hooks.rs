//! Runs a component's `post_start` and `pre_stop` hooks: commands in its container, one after the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tracing::{error, warn};

use crate::logs::forward::Followers;
use crate::logs::tail::Tail;
use engine::{Engine, EngineError, Exec, ended};
use pod::observed::{HookFailure, Status};
use pod::spec::Hook;

/// How many characters of its last line are said with the failure itself.
const MOST_SAID: usize = 300;

/// Hooks of one component.
pub struct Hooks<'a> {
    /// The component.
    pub component: &'a str,
    /// `post_start` or `pre_stop`.
    pub key: &'static str,
    /// What is run.
    pub hooks: &'a [Hook],
    /// Who prints what they write, where the components' output is printed.
    pub followers: Option<&'a Followers>,
}

impl Hooks<'_> {
    /// Run them in a container, until one fails.
    ///
    /// # Errors
    /// Where the engine does not do it; [`EngineError::Conflict`] where the component ends meanwhile, whose own
    /// end counts more than that of the hook which it took along.
    pub async fn run<E: Engine>(&self, engine: &E, id: &str) -> Result<Option<HookFailure>, EngineError> {
        for (number, hook) in self.hooks.iter().enumerate() {
            let name = format!("{}[{number}]", self.key);
            let mut last = Tail::default();
            let status = self.run_one(engine, id, hook, &mut last).await?;
            if status == 0 {
                continue;
            }
            if !matches!(engine.inspect(id).await?.status, Status::Running { .. }) {
                return Err(EngineError::Conflict(format!("it ended while `{name}` ran")));
            }
            return Ok(Some(self.failure(&name, status, &last.lines())));
        }
        Ok(None)
    }

    async fn run_one<E: Engine>(
        &self,
        engine: &E,
        id: &str,
        hook: &Hook,
        last: &mut Tail,
    ) -> Result<i64, EngineError> {
        let Exec { id: exec, output } = engine.exec(id, hook).await?;
        match self.followers {
            Some(followers) => {
                let kept = Arc::new(Mutex::new(std::mem::take(last)));
                let keep = Arc::clone(&kept);
                let output = output.inspect(move |chunk| {
                    if let Ok(chunk) = chunk {
                        keep.lock().unwrap_or_else(PoisonError::into_inner).take(chunk);
                    }
                });
                followers.pass_on(output.boxed(), self.component).await;
                *last = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
            }
            None => {
                let mut output = output;
                // Broken off, its status tells all the same.
                while let Some(Ok(chunk)) = output.next().await {
                    last.take(&chunk);
                }
            }
        }
        ended(engine, &exec).await
    }

    fn failure(&self, name: &str, status: i64, last: &[String]) -> HookFailure {
        if self.followers.is_none() {
            for line in last {
                error!("`{name}` of `{}` wrote: {line}", self.component);
            }
        }
        let line: String = last.last().map_or("", String::as_str).chars().take(MOST_SAID).collect();
        let wrote = if line.is_empty() { String::new() } else { format!(": {line}") };
        HookFailure {
            status,
            words: format!("`{name}` of `{}` ended with status {status}{wrote}", self.component),
        }
    }
}

/// `pre_stop` hooks, whatever comes of them: a pod that ends is not held up.
pub async fn before_stop<E: Engine>(hooks: &Hooks<'_>, engine: &E, id: &str, limit: Duration) {
    let component = hooks.component;
    match tokio::time::timeout(limit, hooks.run(engine, id)).await {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(failure))) => warn!("stopping `{component}` all the same: {}", failure.words),
        Ok(Err(error)) => warn!("cannot run `pre_stop` of `{component}`: {error}"),
        Err(_) => warn!(
            "`pre_stop` of `{component}` takes longer than the {} s it has: stopping the component all the same",
            limit.as_secs_f32()
        ),
    }
}
