#![expect(clippy::disallowed_methods, reason = "looks at the engine's socket")]
//! A last look before a component starts: does one of its mounts lead to the engine after all? What a path of the
//! host is called tells nothing of the links in it; the engine follows them, and can be asked where they end.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use futures_util::future::try_join_all;

use crate::engine::{Engine, EngineError};
use crate::pod::spec::{Mount, MountSource};

/// Where a socket that gives the host away lies below a folder that somebody mounts.
const BELOW: &[&str] = &[
    "containerd.sock",
    "containerd/containerd.sock",
    "docker.sock",
    "docker/containerd/containerd.sock",
    "run/containerd/containerd.sock",
    "run/docker.sock",
];

/// Knows the engine's socket when it sees it.
#[derive(Debug, Clone, Default)]
pub struct Sentry {
    socket: Option<PathBuf>,
}

impl Sentry {
    /// Of the engine behind this socket, where it is one.
    pub fn new(socket: Option<&Path>) -> Self {
        Self { socket: socket.map(Path::to_owned) }
    }

    /// Why the container must not start with these mounts; `None` where it may.
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn against<E: Engine>(
        &self,
        engine: &E,
        id: &str,
        mounts: &[Mount],
    ) -> Result<Option<String>, EngineError> {
        // No other socket was made in the same nanosecond.
        let meta = self.socket.as_ref().and_then(|path| std::fs::metadata(path).ok());
        let made_at = meta.map(|meta| meta.mtime() * 1_000_000_000 + meta.mtime_nsec());
        let binds = mounts.iter().filter(|mount| matches!(mount.source, MountSource::Bind { .. }));
        let looks = binds.map(|mount| async {
            let found = leads_to_engine(engine, id, &mount.target, made_at).await?;
            Ok(found.then_some(&mount.target))
        });
        let found = try_join_all(looks).await?;
        Ok(found.into_iter().flatten().next().map(|target| {
            format!(
                "what is mounted at `{target}` leads to the engine's socket by a link on the host: no component may \
                 reach the engine, which would give it the whole node"
            )
        }))
    }
}

/// There is a socket that gives the host away at this path of a container, or below it. Looks into folders alone: the
/// engine has no answer for a path through a file.
async fn leads_to_engine<E: Engine>(
    engine: &E,
    id: &str,
    target: &str,
    made_at: Option<i64>,
) -> Result<bool, EngineError> {
    let mut folders = vec![String::new()];
    match engine.stat(id, target).await? {
        Some(file) if file.socket => return Ok(made_at == Some(file.changed_at)),
        Some(file) if file.folder => {}
        _ => return Ok(false),
    }
    while let Some(folder) = folders.pop() {
        let below = BELOW.iter().filter_map(|path| path.strip_prefix(&folder));
        let names: BTreeSet<&str> = below.filter_map(|rest| rest.split('/').next()).collect();
        let looks = names.into_iter().map(|name| {
            let path = format!("{folder}{name}");
            async move { Ok((engine.stat(id, &format!("{target}/{path}")).await?, path)) }
        });
        for (file, path) in try_join_all(looks).await? {
            match file {
                Some(file) if file.socket => return Ok(true),
                Some(file) if file.folder => folders.push(format!("{path}/")),
                _ => {}
            }
        }
    }
    Ok(false)
}
