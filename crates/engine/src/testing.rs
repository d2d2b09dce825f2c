//! An engine that gives canned answers over a real socket.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use crate::EngineAddress;
use crate::docker::DockerEngine;

/// An engine that gives these answers, one a connection, and then the lines of the requests.
pub fn canned(answers: Vec<String>) -> (DockerEngine, JoinHandle<Vec<String>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("engine.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let engine = DockerEngine::new(&EngineAddress::Unix(path)).expect("no TLS");
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 65536];
            let length = stream.read(&mut request).await.expect("a request");
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            requests.push(text.lines().next().unwrap_or_default().to_owned());
            // Byte by byte, where that does not take for ever: what is read must not depend on how it is cut.
            for part in answer.as_bytes().chunks(1 + answer.len() / 65536) {
                if stream.write_all(part).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        drop(folder);
        requests
    });
    (engine, server)
}

/// The answer to a ping of an engine whose newest API version is this.
pub fn ping(version: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nApi-Version: {version}\r\nContent-Length: 2\r\n\r\nOK")
}

/// An answer with this status line and body.
pub fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
