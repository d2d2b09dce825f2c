//! One HTTP request, to see what a pod answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What came back.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: String,
    /// The `X-Cache` header: what the proxy's cache had to do with it.
    pub(crate) cache: String,
    /// The body.
    pub(crate) body: String,
}

/// Ask, on this machine's loopback.
pub(crate) fn request(port: u16, method: &str, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("port {port}"))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    // HTTP/1.0: the body ends where the connection does.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").context("what came back is not HTTP")?;
    let header = |name: &str| {
        let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    Ok(Answer {
        status: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        cache: header("x-cache").unwrap_or_default(),
        body: body.trim().to_owned(),
    })
}
