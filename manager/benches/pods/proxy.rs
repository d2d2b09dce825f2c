//! Stands between a manager and its engine, and writes down which calls pass. A manager makes one connection for each.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;

use crate::engine::Result;

/// When, and what: `POST /v1.41/containers/ID/start`.
type Calls = Arc<Mutex<Vec<(SystemTime, String)>>>;

/// A socket that leads to the engine.
pub(crate) struct Proxy {
    folder: tempfile::TempDir,
    calls: Calls,
    task: AbortHandle,
}

impl Proxy {
    pub(crate) fn to(engine: PathBuf) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let listener = UnixListener::bind(folder.path().join("docker.sock"))?;
        let calls = Calls::default();
        let log = Arc::clone(&calls);
        let accept = async move {
            while let Ok((client, _)) = listener.accept().await {
                let (engine, log) = (engine.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    let _ = pass(client, &engine, &log).await;
                });
            }
        };
        Ok(Proxy { folder, calls, task: tokio::spawn(accept).abort_handle() })
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Print what has passed, without the first so many.
    pub(crate) fn show(&self, but_for: usize) {
        for (_, call) in self.calls().iter().skip(but_for) {
            let call = call.split('?').next().unwrap_or_default();
            let words: Vec<&str> = call.split('/').map(|word| word.get(..12).unwrap_or(word)).collect();
            eprintln!("      {}", words.join("/"));
        }
    }

    /// What has passed.
    pub(crate) fn calls(&self) -> Vec<(SystemTime, String)> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: UnixStream, engine: &PathBuf, log: &Calls) -> std::io::Result<()> {
    let mut head = vec![0; 4096];
    let length = client.read(&mut head).await?;
    let line = String::from_utf8_lossy(&head[..length]);
    let words: Vec<&str> = line.lines().next().unwrap_or_default().split(' ').take(2).collect();
    log.lock().unwrap_or_else(PoisonError::into_inner).push((SystemTime::now(), words.join(" ")));
    let mut engine = UnixStream::connect(engine).await?;
    engine.write_all(&head[..length]).await?;
    copy_bidirectional(&mut client, &mut engine).await.map(drop)
}
