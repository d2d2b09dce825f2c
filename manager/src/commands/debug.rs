#![expect(clippy::disallowed_methods, reason = "names its container by the time")]
//! `manager debug`: a container of somebody's choice that looks around in a pod, as `kubectl debug` does. The pod takes no
//! notice of it, but takes it along when it ends.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Read, Write};
use std::thread;
use std::time::{Duration, SystemTime};

use futures_util::{FutureExt, StreamExt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use crate::cli::DebugArgs;
use crate::commands::status::{Member, Pod, called};
use crate::error::Refusal;
use crate::startup::context::address;
use engine::debug::DebugContainer;
use engine::demux::Frames;
use engine::demux::Stream;
use engine::docker::DockerEngine;
use engine::node::Line;
use engine::{Engine, EngineError};
use pod::exit_status::{STATUS_KILLED, STATUS_REFUSED, STATUS_UNAVAILABLE};
use pod::identity::{LABEL_POD, LABEL_ROLE, LABEL_RUN, Role};

/// How long a pod may take to end once its namespaces have.
const PODS_END: Duration = Duration::from_secs(2);
/// What was typed and is not sent yet may be so many reads.
const TYPED_AHEAD: usize = 8;
/// How long the engine may take to remove a container that has ended.
const REMOVED: Duration = Duration::from_secs(30);

/// Join the pod until the command ends: its exit status.
///
/// # Errors
/// Where there is no such pod, or the engine does not do it.
pub async fn debug(args: DebugArgs) -> Result<u8, Refusal> {
    let address = address(&args.engine)?;
    let engine = DockerEngine::new(&address).map_err(Refusal::usage)?;
    let pods = called(&engine, &address, Some(&args.pod)).await?;
    let pod = one(&args.pod, &pods)?;
    let guest = guest(&engine, &args, pod).await?;
    let id = match engine.create_guest(&guest).await {
        Err(EngineError::NotFound(_)) => {
            pull(&engine, &guest.image).await?;
            engine.create_guest(&guest).await
        }
        created => created,
    };
    let id = id.map_err(|error| refused(&format!("cannot create `{}`", guest.name), &error))?;
    let looked = look(&engine, pod, &guest, &id).await;
    // The engine has done so where the command ended by itself.
    if let Err(error) = engine.remove(&id).await {
        eprintln!("the container `{}` is left: {error}", guest.name);
    }
    looked.map_err(|error| refused(&format!("`{}`", guest.name), &error))
}

/// The one that runs.
fn one<'a>(wanted: &str, pods: &'a [Pod]) -> Result<&'a Pod, Refusal> {
    let running: Vec<&Pod> = pods.iter().filter(|pod| pod.runs()).collect();
    match running[..] {
        [pod] => Ok(pod),
        [] => Err(Refusal { status: 1, words: format!("the pod `{wanted}` does not run") }),
        _ => {
            let names: Vec<&str> = running.iter().filter_map(|pod| pod.name.as_deref()).collect();
            Err(Refusal::usage(format!("`{wanted}` may be any of {}: name one", names.join(", "))))
        }
    }
}

/// A container that joins what the pod's components have joined.
async fn guest(engine: &DockerEngine, args: &DebugArgs, pod: &Pod) -> Result<DebugContainer, Refusal> {
    let parts = || pod.members.iter().filter(|one| one.info.labels.contains_key(LABEL_RUN));
    let is = |one: &Member, role: Role| one.role == role.as_str();
    let roles = [Role::Component, Role::Init, Role::PreStart];
    let components = || parts().filter(|one| roles.iter().any(|role| is(one, *role)));
    let wanted = args.component.as_ref().map(|name| {
        let found = components().find(|one| one.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = components().map(Member::name).collect();
            Refusal::usage(format!("the pod has no component `{name}`: it has {}", names.join(", ")))
        })
    });
    let wanted = wanted.transpose()?;
    // A component that hangs cannot be inspected: any other one has joined the same.
    let Some(like) = wanted.or_else(|| components().min_by_key(|one| !one.is_known())) else {
        let words = format!("the pod `{}` has no component yet: there is nothing to join", args.pod);
        return Err(Refusal { status: 1, words });
    };
    let joined = engine.joined(&like.info.id).await;
    let mut joins = joined.map_err(|error| refused(&format!("the pod `{}`", args.pod), &error))?;
    if let Some(component) = wanted.filter(|_| joins.pid_mode.is_empty()) {
        joins.pid_mode = format!("container:{}", component.info.id);
    }
    // A component that keeps its own to itself cannot be joined in it.
    if !joins.ipc_mode.starts_with("container:") {
        joins.ipc_mode.clear();
    }
    let run = like.info.labels.get(LABEL_RUN).cloned().unwrap_or_default();
    let labels = [(LABEL_POD, pod.id.clone()), (LABEL_RUN, run), (LABEL_ROLE, Role::Debug.as_str().into())];
    let labels: BTreeMap<String, String> =
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(DebugContainer {
        name: format!("{}.debug-{:x}", pod.name.as_deref().unwrap_or(&pod.id), now.as_micros()),
        image: args.image.clone(),
        command: args.command.clone(),
        tty: io::stdin().is_terminal() && io::stdout().is_terminal(),
        labels,
        joins,
    })
}

async fn pull(engine: &DockerEngine, image: &str) -> Result<(), Refusal> {
    eprintln!("pulling `{image}`");
    let mut progress = engine.pull(image, None);
    while let Some(line) = progress.next().await {
        let line = line.map_err(|error| refused(&format!("cannot pull `{image}`"), &error))?;
        eprintln!("{line}");
    }
    Ok(())
}

/// Start it, and be its terminal until it ends: its exit status.
async fn look(engine: &DockerEngine, pod: &Pod, guest: &DebugContainer, id: &str) -> Result<u8, EngineError> {
    let end = engine.waits(id, "removed").await?;
    let pods_end = engine.waits(&pod.id, "not-running").await?.shared();
    let line = engine.join(id).await?;
    let shared = [("network", true), ("PIDs", !guest.joins.pid_mode.is_empty())];
    let shared = shared.into_iter().chain([("IPC", !guest.joins.ipc_mode.is_empty())]);
    let shared: Vec<&str> = shared.filter(|(_, shared)| *shared).map(|(name, _)| name).collect();
    eprintln!("in the pod {}: its {}", pod.name.as_deref().unwrap_or(&pod.id), shared.join(", "));
    let terminal = Terminal::taken(guest.tty);
    let [mut term, mut hup, mut int] =
        [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(on);
    engine.start(id).await?;
    tokio::select! {
        done = talk(engine, guest, id, line) => done?,
        number = came(&mut term) => return Ok(128 + number),
        number = came(&mut hup) => return Ok(128 + number),
        number = came(&mut int) => return Ok(128 + number),
        _ = pods_end.clone() => engine.remove(id).await?,
    }
    drop(terminal);
    let ended = timeout(REMOVED, end).await;
    let status =
        ended.unwrap_or_else(|_| Err(EngineError::Unreachable("it does not tell the end".into())))?;
    // The end of the PIDs that it shared is a moment before the pod's own.
    if status == i64::from(STATUS_KILLED) && timeout(PODS_END, pods_end).await.is_ok() {
        eprintln!("the pod has ended");
    }
    Ok(u8::try_from(status).unwrap_or(u8::MAX))
}

/// Bytes in both directions until it has ended.
async fn talk(
    engine: &DockerEngine,
    guest: &DebugContainer,
    id: &str,
    line: Box<dyn Line>,
) -> Result<(), EngineError> {
    let broken = |error: io::Error| EngineError::Unreachable(error.to_string());
    let (mut from, mut to) = tokio::io::split(line);
    // On its own: a command that does not read may write all the same.
    let typing = tokio::spawn(async move {
        let mut typed = typed();
        while let Some(bytes) = typed.recv().await {
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    });
    let mut resized = on(SignalKind::window_change());
    if guest.tty {
        fit(engine, id).await;
    }
    let (mut frames, mut bytes) = (Frames::default(), [0; 4096]);
    let done = loop {
        tokio::select! {
            read = from.read(&mut bytes) => match read {
                Ok(0) => break Ok(()),
                Ok(read) if guest.tty => put(Stream::Out, &bytes[..read]),
                Ok(read) => {
                    if let Err(error) = frames.split(&bytes[..read], put) {
                        break Err(EngineError::Refused(error.to_string()));
                    }
                }
                Err(error) => break Err(broken(error)),
            },
            _ = came(&mut resized), if guest.tty => fit(engine, id).await,
        }
    };
    typing.abort();
    done
}

/// What is typed here, as it comes; ends when that does.
fn typed() -> Receiver<Vec<u8>> {
    let (to, typed) = channel(TYPED_AHEAD);
    // A read of a terminal cannot be broken off: this thread ends with the process.
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        loop {
            match io::stdin().read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    if to.blocking_send(bytes[..read].to_vec()).is_err() {
                        return;
                    }
                }
            }
        }
    });
    typed
}

/// Nobody may be listening any more: that ends nothing but the listening.
fn put(stream: Stream, bytes: &[u8]) {
    let _ = match stream {
        Stream::Out => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        Stream::Err => io::stderr().write_all(bytes),
    };
}

/// Make its terminal as large as ours. It shows nothing worse than a wrong size where that fails.
async fn fit(engine: &DockerEngine, id: &str) {
    if let Ok(size) = tcgetwinsize(io::stdout()) {
        let _ = engine.resize(id, size.ws_row, size.ws_col).await;
    }
}

/// `None` where the kernel does not grant it: then it does what it does by itself.
fn on(kind: SignalKind) -> Option<(Signal, u8)> {
    let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
    Some((signal(kind).ok()?, number))
}

/// When it comes; its number.
async fn came(signal: &mut Option<(Signal, u8)>) -> u8 {
    match signal {
        Some((signal, number)) => {
            signal.recv().await;
            *number
        }
        None => std::future::pending().await,
    }
}

/// Our terminal, every key of which goes to the other side; as it was before when dropped.
struct Terminal(Option<Termios>);

impl Terminal {
    fn taken(tty: bool) -> Terminal {
        let before = tcgetattr(io::stdin()).ok().filter(|_| tty);
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &raw);
        }
        Terminal(before)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn refused(what: &str, error: &EngineError) -> Refusal {
    let away = matches!(error, EngineError::Unreachable(_) | EngineError::Untrusted(_));
    let status = if away { STATUS_UNAVAILABLE } else { STATUS_REFUSED };
    Refusal { status, words: format!("{what}: {error}") }
}
