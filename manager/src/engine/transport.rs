//! Connections to the engine: HTTP/1.1 over a unix socket, TCP, or TCP with TLS, one connection for each request.
//!
//! Why not the connections that bollard makes itself:
//! - bollard 0.21 loads the client's key anew for each TLS handshake; the manager has given up the right
//!   to read it by then. It also trusts the machine's certificate authorities (and fails where there are
//!   none, as in an image from scratch) where `ca.pem` alone should count.
//! - It hides what answers to `attach` and `events` look like on the wire, and both matter (see
//!   [`super::docker`]).
//!
//! There is no pool: bollard keeps no idle connections either. A connect costs some 20 µs on a unix
//! socket, an idle connection costs memory here and in the engine, and one that the engine closed between
//! two requests leaves open whether a `create` was done. Dropping a request or its answer closes its
//! connection, which tells the engine to give up, too: that is how a pull ends at once on TERM.
#![expect(clippy::disallowed_methods, reason = "reads the TLS key and certificates")]

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address::{EngineAddress, authority};

/// Time for connecting: name look-up, TCP and TLS together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Most that one connection buffers, each way. hyper's default grows to 400 KiB for each stream.
const BUFFER_BYTES: usize = 64 * 1024;
/// Silence after which TCP asks whether the engine still lives, and the time between asking again.
/// Without it a stream of events would wait forever for an engine whose machine lost its power.
const KEEPALIVE_SECS: u32 = 15;
/// Unanswered questions after which the connection is dead.
const KEEPALIVE_PROBES: u32 = 4;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of `DOCKER_CERT_PATH` cannot be used.
    #[error("`{}`: {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The key does not fit the certificate, or the host name cannot stand in a certificate.
    #[error("TLS to the engine cannot be set up: {0}")]
    Setup(String),
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    /// There is no connection.
    #[error("{address}: {source}")]
    Connect {
        /// Whereto.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{address}: {source}")]
    Http {
        /// Whereto.
        address: String,
        /// What hyper says of it.
        source: hyper::Error,
    },
}

/// Makes a connection for each request.
#[derive(Clone)]
pub(super) struct Transport {
    address: EngineAddress,
    host: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Transport {
    /// Prepares connections; with TLS all files are read now, later there may be no right to.
    pub(super) fn new(address: &EngineAddress) -> Result<Self, TlsError> {
        let (host, tls) = match address {
            // Any text will do on a unix socket; this is what Docker's own client sends.
            EngineAddress::Unix(_) => ("api.moby.localhost".to_owned(), None),
            EngineAddress::Tcp { host, port } => (authority(host, *port), None),
            EngineAddress::Tls { host, port, certificates } => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| TlsError::Setup(format!("`{host}`: {error}")))?;
                (
                    authority(host, *port),
                    Some((TlsConnector::from(Arc::new(tls_config(certificates)?)), name)),
                )
            }
        };
        let host = HeaderValue::try_from(host).map_err(|error| TlsError::Setup(error.to_string()))?;
        Ok(Self { address: address.clone(), host, tls })
    }

    /// Sends a request and resolves with the head of the answer. The connection lives until the body of
    /// the answer has been read or dropped.
    pub(super) async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, TransportError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match &self.address {
            EngineAddress::Unix(path) => {
                let stream = self.connect(UnixStream::connect(path)).await?;
                self.exchange(stream, request).await
            }
            EngineAddress::Tcp { host, port } => {
                let stream = self.connect(dial(host, *port)).await?;
                self.exchange(stream, request).await
            }
            EngineAddress::Tls { host, port, .. } => {
                let (connector, name) = self.tls.as_ref().expect("invariant: set for a TLS address in `new`");
                let handshake = async { connector.connect(name.clone(), dial(host, *port).await?).await };
                let stream = self.connect(handshake).await?;
                self.exchange(stream, request).await
            }
        }
    }

    async fn connect<S>(&self, connecting: impl Future<Output = io::Result<S>>) -> Result<S, TransportError> {
        let result = timeout(CONNECT_LIMIT, connecting).await.unwrap_or_else(|_| {
            let text = format!("no connection within {} s", CONNECT_LIMIT.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        });
        result.map_err(|source| TransportError::Connect { address: self.address.to_string(), source })
    }

    async fn exchange<S, B>(
        &self,
        stream: S,
        mut request: Request<B>,
    ) -> Result<Response<Incoming>, TransportError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let failed = |source| TransportError::Http { address: self.address.to_string(), source };
        request.headers_mut().insert(HOST, self.host.clone());
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        // Moves the bytes until the answer has been read or dropped. Its errors come out of the request
        // or the answer's body as well, where they have a reader.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(failed)
    }
}

/// A TCP connection that notices when the other side is gone.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    setsockopt(&stream, sockopt::KeepAlive, &true)?;
    setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE_SECS)?;
    setsockopt(&stream, sockopt::TcpKeepInterval, &KEEPALIVE_SECS)?;
    setsockopt(&stream, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
    Ok(stream)
}

/// Trusts `ca.pem` alone, and presents `cert.pem` with `key.pem`.
fn tls_config(folder: &Path) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&folder.join("ca.pem"))? {
        roots.add(certificate).map_err(|error| file_fault(&folder.join("ca.pem"), error))?;
    }
    let chain = certificates(&folder.join("cert.pem"))?;
    let key_path = folder.join("key.pem");
    let key = PrivateKeyDer::from_pem_file(&key_path).map_err(|error| file_fault(&key_path, error))?;
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_root_certificates(roots).with_client_auth_cert(chain, key))
        .map_err(|error| TlsError::Setup(error.to_string()))
}

/// Every certificate of a PEM file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file_fault(path, error))?;
    if found.is_empty() {
        return Err(file_fault(path, "there is no certificate in it"));
    }
    Ok(found)
}

fn file_fault(path: &Path, fault: impl ToString) -> TlsError {
    TlsError::File { path: path.to_owned(), fault: fault.to_string() }
}
