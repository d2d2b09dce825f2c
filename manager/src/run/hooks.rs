//! Runs a component's `post_start` and `pre_stop` hooks: commands in its container, one after the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::sleep;
use tracing::{error, warn};

use super::follow::Followers;
use super::logs::Frames;
use super::output::Stream;
use crate::engine::{Engine, EngineError, Exec};
use crate::pod::observed::{HookFailure, Status};
use crate::pod::spec::Hook;

/// How much of what a hook writes is kept for the case that it fails, bytes.
const MOST_KEPT: usize = 4096;
/// How many characters of its last line are said with the failure itself.
const MOST_SAID: usize = 300;
/// Bounds of the wait between two looks at a hook whose output has ended.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

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
        // Its output may end before it does; the engine tells nobody when that is.
        let mut again = LOOK_AGAIN.0;
        loop {
            if let Some(status) = engine.exec_status(&exec).await? {
                return Ok(status);
            }
            sleep(again).await;
            again = (again * 2).min(LOOK_AGAIN.1);
        }
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

/// The end of what a hook writes, without the frames.
#[derive(Default)]
struct Tail {
    frames: Frames,
    out: Kept,
    err: Kept,
}

impl Tail {
    fn take(&mut self, chunk: &[u8]) {
        let (out, err) = (&mut self.out, &mut self.err);
        // What is no frame cannot be shown; that is said where the output is printed.
        let _ = self.frames.split(chunk, |stream, part| match stream {
            Stream::Out => out.take(part),
            Stream::Err => err.take(part),
        });
    }

    /// Whole lines that are not empty, fit for a log; those of standard error last, since they say what is wrong
    /// and nobody knows the order of the two.
    fn lines(&self) -> Vec<String> {
        self.out.lines().chain(self.err.lines()).collect()
    }
}

/// The end of one stream.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// Something was written before what is kept.
    cut: bool,
}

impl Kept {
    fn take(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
        if let Some(beyond) = self.bytes.len().checked_sub(MOST_KEPT).filter(|beyond| *beyond > 0) {
            self.bytes.drain(..beyond);
            self.cut = true;
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let plain = |char: char| if char.is_control() { ' ' } else { char };
        let lines = text.lines().skip(usize::from(self.cut)).map(|line| line.chars().map(plain).collect());
        let lines: Vec<String> = lines.filter(|line: &String| !line.trim().is_empty()).collect();
        lines.into_iter()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
        frame.extend(text.as_bytes());
        frame
    }

    #[test]
    fn the_last_lines_are_kept_whole_and_fit_for_a_log() {
        let mut tail = Tail::default();
        tail.take(&frame(2, "wrong\n"));
        tail.take(&frame(1, "one\n\n\x1b[31mtwo\x07\n"));
        assert_eq!(tail.lines(), ["one", " [31mtwo ", "wrong"]);
        for number in 0..2000 {
            tail.take(&frame(1, &format!("line {number}\n")));
        }
        let lines = tail.lines();
        assert!(lines.concat().len() <= MOST_KEPT);
        assert!(lines.iter().all(|line| line.starts_with("line ") || line == "wrong"), "{lines:?}");
        assert_eq!(lines[lines.len() - 2..], ["line 1999", "wrong"]);
    }
}
