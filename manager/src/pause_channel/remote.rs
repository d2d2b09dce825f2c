//! The line to a `pause` in another container: its standard input, kept open as long as the pod is run.

use std::time::Duration;

use pause::control::{self, Frame};
use pause::health::Health;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::time::{sleep, timeout};
use tracing::{Instrument, Level, debug, warn};

use crate::logs::json::json_line;
use crate::pause_channel::whole_secs;
use crate::reconcile::BACKOFF;
use engine::EngineError;
use engine::demux::Stream;
use engine::docker::DockerEngine;
use engine::node;
use pod::task_container::TaskContainer;

/// Texts that may wait.
const TEXTS: usize = 2;

/// The line. Clones are the same one.
#[derive(Clone)]
pub struct RemotePause {
    to: UnboundedSender<Command>,
    text: Sender<(Stream, Vec<u8>)>,
    /// What the pod's owner should know is written as a JSON object.
    json: bool,
}

/// What `pause` is told.
enum Command {
    Health(Health),
    /// A line for people.
    Words(String),
    /// The last word.
    Exit(u8, tokio::sync::oneshot::Sender<()>),
}

impl RemotePause {
    /// Open a line to the `pause` in this run of the container, which then waits so long on TERM for its exit status.
    pub fn open(engine: DockerEngine, task: &TaskContainer, hold: Duration, json: bool) -> RemotePause {
        let (to, told) = unbounded_channel();
        let (text, texts) = channel(TEXTS);
        let hold = whole_secs(hold);
        let (container, started_at) = (task.id.clone(), task.started_at.clone());
        let talk = Connection {
            engine,
            container,
            started_at,
            hold,
            health: Health::Starting,
            exit: None,
            told,
            texts,
        };
        tokio::spawn(talk.run().in_current_span());
        RemotePause { to, text, json }
    }

    /// Text for its standard output or error; waits for room.
    ///
    /// # Errors
    /// When nobody will ever hear it.
    pub async fn text(&self, stream: Stream, text: Vec<u8>) -> std::io::Result<()> {
        self.text.send((stream, text)).await.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    /// What the pod's owner should know, for its standard error; not lost among much output.
    pub fn explain(&self, words: &str) {
        let line = match self.json {
            true => json_line(Level::ERROR, words),
            false => format!("tandem: {words}\n"),
        };
        let _ = self.to.send(Command::Words(line));
    }

    /// The pod's health.
    pub fn health(&self, health: Health) {
        let _ = self.to.send(Command::Health(health));
    }

    /// The pod has ended, everything of it is gone: `pause` ends with this status. Returns when it was told, or cannot be
    /// within this time.
    pub async fn exit(&self, status: u8, limit: Duration) {
        let (sent, done) = tokio::sync::oneshot::channel();
        if self.to.send(Command::Exit(status, sent)).is_ok()
            && !matches!(timeout(limit, done).await, Ok(Ok(())))
        {
            warn!("pause could not be told that the pod has ended");
        }
    }
}

struct Connection {
    engine: DockerEngine,
    container: String,
    started_at: String,
    hold: u32,
    health: Health,
    /// The last word, until it is said: a connection may break off meanwhile.
    exit: Option<(u8, tokio::sync::oneshot::Sender<()>)>,
    told: UnboundedReceiver<Command>,
    texts: Receiver<(Stream, Vec<u8>)>,
}

impl Connection {
    /// Until the last word is said, or nobody is there to hear it.
    async fn run(mut self) {
        let mut backoff = BACKOFF.0;
        loop {
            let error = match self.connect().await {
                // Another run of it is another pod: the last word of this one would end that.
                Ok(None) => return self.said(),
                Ok(Some(stream)) => {
                    backoff = BACKOFF.0;
                    match self.talk(stream).await {
                        Ok(()) => return,
                        Err(error) => error.to_string(),
                    }
                }
                // It is gone, or has ended: there is nobody to talk to.
                Err(EngineError::NotFound(_) | EngineError::Conflict(_)) => return self.said(),
                Err(error) => error.to_string(),
            };
            debug!("the line to pause: {error}; next attempt in {backoff:?}");
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// The last word is said, or there is nobody left to hear it.
    fn said(&mut self) {
        if let Some((_, said)) = self.exit.take() {
            let _ = said.send(());
        }
    }

    /// To this run of the container, where it goes on. The line first, then a look: who has it was there before the look.
    async fn connect(&self) -> Result<Option<Box<dyn node::Line>>, EngineError> {
        let stream = self.engine.attach_stdin(&self.container).await?;
        let now = self.engine.standing(&self.container).await?;
        Ok(now.goes_on(&self.started_at).then_some(stream))
    }

    /// Over one connection. What was told before is told again: who listens may be new.
    async fn talk(&mut self, mut stream: Box<dyn node::Line>) -> std::io::Result<()> {
        say(&mut stream, &[Frame::Hold(self.hold), Frame::Health(self.health)]).await?;
        let mut nothing = [0; 64];
        loop {
            if let Some((status, _)) = self.exit {
                // Not before what was written until then.
                while let Ok((to, text)) = self.texts.try_recv() {
                    say(&mut stream, &[frame(to, &text)]).await?;
                }
                say(&mut stream, &[Frame::Exit(status)]).await?;
                stream.shutdown().await?;
                self.said();
                return Ok(());
            }
            tokio::select! {
                told = self.told.recv() => match told {
                    None => return Ok(()),
                    Some(Command::Health(health)) => {
                        self.health = health;
                        say(&mut stream, &[Frame::Health(health)]).await?;
                    }
                    Some(Command::Words(words)) => {
                        say(&mut stream, &[Frame::Err(words.as_bytes())]).await?;
                    }
                    Some(Command::Exit(status, sent)) => self.exit = Some((status, sent)),
                },
                Some((to, text)) = self.texts.recv() => say(&mut stream, &[frame(to, &text)]).await?,
                // Nothing is ever said here but that the connection is over.
                read = stream.read(&mut nothing) => {
                    if read? == 0 {
                        return Err(std::io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }
}

fn frame(to: Stream, text: &[u8]) -> Frame<'_> {
    match to {
        Stream::Out => Frame::Out(text),
        Stream::Err => Frame::Err(text),
    }
}

async fn say(stream: &mut Box<dyn node::Line>, frames: &[Frame<'_>]) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    for frame in frames {
        control::encode(frame, |piece| bytes.extend_from_slice(piece));
    }
    stream.write_all(&bytes).await?;
    stream.flush().await
}
