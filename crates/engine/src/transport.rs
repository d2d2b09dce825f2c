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

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bollard::BollardRequest;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::address::{EngineAddress, authority};
use super::tls::{self, TlsError};

/// Time for connecting: name look-up, TCP and TLS together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Most that one connection buffers, each way. hyper's default grows to 400 KiB for each stream.
const BUFFER_BYTES: usize = 64 * 1024;
/// Silence after which TCP asks whether the engine still lives, and the time between asking again.
/// Without it a stream of events would wait forever for an engine whose machine lost its power.
const KEEPALIVE_SECS: u32 = 15;
/// Unanswered questions after which the connection is dead.
const KEEPALIVE_PROBES: u32 = 4;

/// Why a socket may be closed to root, and what to do.
const NOT_ROOT: &str = "an engine that remaps users (`userns-remap`) runs it as a stranger to its host; have a bare \
                        `tandem/pause` be the pod's container, and run the manager beside it with `userns_mode: host` \
                        and `--pause`, or as an agent";

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
    /// One side does not let the other.
    #[error("{0}")]
    Untrusted(String),
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

/// Whatever bytes go over to the engine.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

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
                    Some((TlsConnector::from(Arc::new(tls::client(certificates)?)), name)),
                )
            }
        };
        let host = HeaderValue::try_from(host).map_err(|error| TlsError::Setup(error.to_string()))?;
        Ok(Self { address: address.clone(), host, tls })
    }

    /// Sends a request and resolves with the head of the answer. The connection lives until the body of
    /// the answer has been read or dropped.
    pub(super) async fn send(&self, request: BollardRequest) -> Result<Response<Incoming>, TransportError> {
        // One type of stream and of body, so that hyper's machine is there once: each copy is 40 kB of code.
        let stream: Box<dyn Stream> = match &self.address {
            EngineAddress::Unix(path) => Box::new(self.connect(UnixStream::connect(path)).await?),
            EngineAddress::Tcp { host, port } => Box::new(self.connect(dial(host, *port)).await?),
            EngineAddress::Tls { host, port, .. } => {
                let (connector, name) = self.tls.as_ref().expect("invariant: set for a TLS address in `new`");
                let handshake = async { connector.connect(name.clone(), dial(host, *port).await?).await };
                Box::new(self.connect(handshake).await?)
            }
        };
        self.exchange(stream, request).await
    }

    async fn connect<S>(&self, connecting: impl Future<Output = io::Result<S>>) -> Result<S, TransportError> {
        let result = timeout(CONNECT_LIMIT, connecting).await.unwrap_or_else(|_| {
            let text = format!("no connection within {} s", CONNECT_LIMIT.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        });
        let refusal = |source: &io::Error| match &self.address {
            EngineAddress::Unix(path) if source.kind() == io::ErrorKind::PermissionDenied => Some(format!(
                "the engine's socket `{}` may not be used by user {} of this container: {NOT_ROOT}",
                path.display(),
                nix::unistd::geteuid()
            )),
            address => tls::refusal(source, address),
        };
        result.map_err(|source| match refusal(&source) {
            Some(words) => TransportError::Untrusted(words),
            None => TransportError::Connect { address: self.address.to_string(), source },
        })
    }

    async fn exchange(
        &self,
        stream: Box<dyn Stream>,
        mut request: BollardRequest,
    ) -> Result<Response<Incoming>, TransportError> {
        // With TLS 1.3 the engine's word on our certificate comes only now.
        let failed = |source: hyper::Error| match tls::refusal(&source, &self.address) {
            Some(words) => TransportError::Untrusted(words),
            None => TransportError::Http { address: self.address.to_string(), source },
        };
        request.headers_mut().insert(HOST, self.host.clone());
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        // Moves the bytes until the answer has been read or dropped. Its errors come out of the request
        // or the answer's body as well, where they have a reader.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(failed)
    }
}

/// A TCP connection that notices when the other side is gone.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(&*look_up(host, port).await?).await?;
    stream.set_nodelay(true)?;
    setsockopt(&stream, sockopt::KeepAlive, &true)?;
    setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE_SECS)?;
    setsockopt(&stream, sockopt::TcpKeepInterval, &KEEPALIVE_SECS)?;
    setsockopt(&stream, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
    Ok(stream)
}

/// The addresses of a host. A name is looked up on a thread that is gone afterwards: one of tokio's would
/// live on for a while, with the capabilities that the manager gives up in the meantime, which belong to
/// threads.
async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (tell, told) = oneshot::channel();
    let name = host.to_owned();
    let thread = thread::Builder::new().name("look-up".into()).spawn(move || {
        let _ = tell.send((name.as_str(), port).to_socket_addrs().map(Vec::from_iter));
    })?;
    let addresses = told.await.unwrap_or_else(|_| Err(io::ErrorKind::NotFound.into()));
    // It has nothing more to do: this does not wait.
    let _ = thread.join();
    addresses
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make the files that are read")]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::BodyExt;
    use hyper::Request;
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
    };
    use std::fs;
    use std::path::Path;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;
    use tokio_rustls::rustls::{RootCertStore, ServerConfig};

    /// A certificate authority.
    struct Authority {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).expect("no names");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().expect("a key");
            let pem = params.self_signed(&key).expect("signed").pem();
            Authority { pem, issuer: Issuer::new(params, key) }
        }

        /// Certificate and key for this name, as PEM.
        fn issue(&self, name: &str) -> (String, String) {
            self.issue_for(name, (2020, 4096))
        }

        /// The same, valid from the first of these years to the second.
        fn issue_for(&self, name: &str, years: (i32, i32)) -> (String, String) {
            let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
            params.not_before = date_time_ymd(years.0, 1, 1);
            params.not_after = date_time_ymd(years.1, 1, 1);
            params.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            let key = KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &self.issuer).expect("signed");
            (certificate.pem(), key.serialize_pem())
        }

        /// What `DOCKER_CERT_PATH` names: trust in `self`, a client's certificate of `of`.
        fn folder(&self, of: &Authority) -> tempfile::TempDir {
            let folder = tempfile::tempdir().expect("a folder");
            let (certificate, key) = of.issue("client");
            for (name, text) in [("ca.pem", &self.pem), ("cert.pem", &certificate), ("key.pem", &key)] {
                fs::write(folder.path().join(name), text).expect("written");
            }
            folder
        }
    }

    const YEARS_AGO: (i32, i32) = (2020, 2021);
    const YEARS_AHEAD: (i32, i32) = (4000, 4001);
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

    /// An engine with TLS, known as `localhost` by this authority, that demands certificates of it.
    async fn engine(authority: &Authority) -> u16 {
        engine_of(authority, authority.issue("localhost")).await
    }

    /// The same with this certificate and key.
    async fn engine_of(authority: &Authority, (certificate, key): (String, String)) -> u16 {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM"))
            .expect("a certificate");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
            )
            .expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("localhost:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                if matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {
                    let _ = stream.write_all(ANSWER).await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        port
    }

    async fn ask(address: &EngineAddress) -> Result<Bytes, String> {
        let transport = Transport::new(address).map_err(|error| error.to_string())?;
        let answer = transport
            .send(Request::new(bollard::body_full(Bytes::new())))
            .await
            .map_err(|error| error.to_string())?;
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes())
    }

    fn tls(host: &str, port: u16, certificates: &Path) -> EngineAddress {
        EngineAddress::Tls { host: host.into(), port, certificates: certificates.into() }
    }

    #[tokio::test]
    async fn tls_with_certificates_of_both_sides_works_and_its_files_are_read_once() {
        let authority = Authority::new();
        let port = engine(&authority).await;
        let folder = authority.folder(&authority);
        let transport = Transport::new(&tls("localhost", port, folder.path())).expect("valid files");
        // From here on the manager may not read them any more.
        folder.close().expect("removed");
        for _ in 0..2 {
            let answer =
                transport.send(Request::new(bollard::body_full(Bytes::new()))).await.expect("an answer");
            assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "OK");
        }
    }

    #[tokio::test]
    async fn who_is_not_trusted_is_told_so_in_words_of_its_own() {
        let (ours, theirs) = (Authority::new(), Authority::new());
        let (own, strange) = (ours.folder(&ours), ours.folder(&theirs));
        let certificate = |folder: &tempfile::TempDir| folder.path().join("cert.pem").display().to_string();
        let address = |port: u16| format!("tcp://localhost:{port}");
        let say = async |host: &str, port, folder: &tempfile::TempDir| {
            ask(&tls(host, port, folder.path())).await.expect_err("it is refused")
        };

        let port = engine(&theirs).await;
        let want = format!(
            "the certificate of the engine at {} is not signed by `{}`: that file is another engine's, or somebody else \
             answers there",
            address(port),
            own.path().join("ca.pem").display()
        );
        assert_eq!(say("localhost", port, &own).await, want);

        let port = engine(&ours).await;
        let want = format!(
            "the certificate of the engine at tcp://127.0.0.1:{port} is not for `127.0.0.1` but for `localhost`: use a \
             name that it is for in `DOCKER_HOST`"
        );
        assert_eq!(say("127.0.0.1", port, &own).await, want);

        let want = format!(
            "the engine at {} does not accept our certificate `{}` (",
            address(port),
            certificate(&strange)
        );
        let said = say("localhost", port, &strange).await;
        assert!(said.starts_with(&want), "{said}");

        let port = engine_of(&ours, ours.issue_for("localhost", YEARS_AGO)).await;
        let want = format!("the certificate of the engine at {} has expired: renew it there", address(port));
        assert_eq!(say("localhost", port, &own).await, want);

        let plain = TcpListener::bind("localhost:0").await.expect("a port");
        let port = plain.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (mut stream, _) = plain.accept().await.expect("a connection");
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        });
        let want = format!("what answers at {} does not speak TLS", address(port));
        assert_eq!(say("localhost", port, &own).await, want);
    }

    #[tokio::test]
    async fn our_own_certificate_is_told_apart_when_its_time_is_over() {
        let authority = Authority::new();
        let folder = authority.folder(&authority);
        for (years, words) in [(YEARS_AGO, "has expired: renew it"), (YEARS_AHEAD, "is not valid yet")] {
            let (certificate, key) = authority.issue_for("client", years);
            fs::write(folder.path().join("cert.pem"), certificate).expect("written");
            fs::write(folder.path().join("key.pem"), key).expect("written");
            let error = ask(&tls("localhost", 1, folder.path())).await.expect_err("it is refused");
            let path = folder.path().join("cert.pem");
            let want = format!("`{}`: this certificate, which says who we are, {words}", path.display());
            assert!(error.starts_with(&want), "{error}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_lacks_a_file_is_named() {
        let authority = Authority::new();
        let folder = authority.folder(&authority);
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            let path = folder.path().join(name);
            let text = fs::read(&path).expect("there");
            fs::write(&path, "nothing").expect("written");
            let error = ask(&tls("localhost", 1, folder.path())).await.expect_err("no PEM");
            assert!(error.starts_with(&format!("`{}`: ", path.display())), "{error}");
            fs::remove_file(&path).expect("removed");
            let error = ask(&tls("localhost", 1, folder.path())).await.expect_err("no file");
            assert!(error.contains(name) && error.contains("No such file"), "{error}");
            fs::write(&path, text).expect("written");
        }
    }

    #[tokio::test]
    async fn plain_tcp_by_name_and_by_address_and_nobody_there() {
        let listener = TcpListener::bind("localhost:0").await.expect("a port");
        let bound = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                assert!(stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0));
                stream.write_all(ANSWER).await.expect("written");
            }
        });
        for host in ["localhost".to_owned(), bound.ip().to_string()] {
            let address = EngineAddress::Tcp { host, port: bound.port() };
            assert_eq!(ask(&address).await.as_deref(), Ok(&b"OK"[..]), "{address}");
        }
        server.await.expect("served");
        let address = EngineAddress::Tcp { host: "localhost".into(), port: bound.port() };
        let error = ask(&address).await.expect_err("nobody is there");
        assert_eq!(error, format!("tcp://localhost:{}: Connection refused (os error 111)", bound.port()));
        let error = ask(&EngineAddress::Tcp { host: "no-such-host.invalid".into(), port: 1 }).await;
        assert!(error.expect_err("no such host").contains("no-such-host.invalid:1: failed to lookup"));
    }
}
