//! `examples/sidecar`: where it is, and what it does when it serves.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use super::swarm::UP;
use super::wait;

/// How long one answer may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// The example's folder.
pub(crate) fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/sidecar")
}

/// Status, `X-Cache` and body of an answer; `None` where nobody answers.
fn request(address: &str, method: &str, path: &str) -> Option<(String, String, String)> {
    let to = address.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&to, ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: pod\r\nContent-Length: 0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let cache = head.lines().find_map(|line| line.strip_prefix("X-Cache: ")).unwrap_or_default();
    Some((head.split(' ').nth(1)?.to_owned(), cache.to_owned(), body.to_owned()))
}

/// The body of an answer with 200.
#[allow(dead_code, reason = "`ingress_docker` uses it")]
pub(crate) fn get(address: &str) -> Option<String> {
    request(address, "GET", "/").filter(|(status, ..)| status == "200").map(|(_, _, body)| body)
}

/// The pod does what the example's README says.
pub(crate) fn assert_serves(address: &str) {
    let (_, _, body) = wait(format!("an answer of {address}"), UP, || {
        request(address, "GET", "/").filter(|(status, ..)| status == "200")
    });
    assert!(body.contains("seeded by init-1"), "the init component ran before the app: {body}");
    wait("an answer from the cache", ANSWER, || {
        request(address, "GET", "/").filter(|(_, cache, _)| cache == "HIT")
    });
    let (status, ..) = request(address, "POST", "/fail").expect("an answer");
    assert_eq!(status, "200");
    let (status, _, body) = wait("a stale answer", ANSWER, || {
        request(address, "GET", "/").filter(|(_, cache, _)| cache == "STALE")
    });
    assert_eq!(status, "200", "the last good answer, though the app fails: {body}");
}
