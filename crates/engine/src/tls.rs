//! TLS with an engine: whom it is trusted to be, who we are, and what it means when either side says no.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as RustlsError, RootCertStore,
};

use super::address::EngineAddress;

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

/// Trusts `ca.pem` alone, and presents `cert.pem` with `key.pem`.
pub(super) fn client(folder: &Path) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&folder.join("ca.pem"))? {
        roots.add(certificate).map_err(|error| file_fault(&folder.join("ca.pem"), error))?;
    }
    let chain = certificates(&folder.join("cert.pem"))?;
    if let Some(fault) = out_of_time(&chain, &roots, &provider) {
        return Err(file_fault(&folder.join("cert.pem"), fault));
    }
    let key_path = folder.join("key.pem");
    let key = PrivateKeyDer::from_pem_file(&key_path).map_err(|error| file_fault(&key_path, error))?;
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_root_certificates(roots).with_client_auth_cert(chain, key))
        .map_err(|error| TlsError::Setup(error.to_string()))
}

/// Why the time is not right for our certificate. The engine would refuse it as well, but not every one says why: Go
/// before 1.21 calls an expired certificate a bad one.
fn out_of_time(
    chain: &[CertificateDer<'static>],
    roots: &RootCertStore,
    provider: &Arc<tokio_rustls::rustls::crypto::CryptoProvider>,
) -> Option<&'static str> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(provider));
    let (end_entity, intermediates) = chain.split_first()?;
    // What else is wrong with it is the engine's to judge, which may trust another authority than we do.
    match verifier.build().ok()?.verify_client_cert(end_entity, intermediates, UnixTime::now()) {
        Err(RustlsError::InvalidCertificate(error)) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Some("this certificate, which says who we are, has expired: renew it")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Some(
                "this certificate, which says who we are, is not valid yet: is the clock of the node right?",
            ),
            _ => None,
        },
        _ => None,
    }
}

/// What a failed connection means where TLS is the reason; nothing comes of trying again then.
pub(super) fn refusal(error: &(dyn Error + 'static), address: &EngineAddress) -> Option<String> {
    let EngineAddress::Tls { host, certificates, .. } = address else { return None };
    let (ca, own) = (certificates.join("ca.pem"), certificates.join("cert.pem"));
    let (ca, own) = (ca.display(), own.display());
    Some(match rustls_error(error)? {
        RustlsError::InvalidCertificate(fault) => match fault {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "the certificate of the engine at {address} is not signed by `{ca}`: that file is another engine's, or \
                 somebody else answers there"
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "the certificate of the engine at {address} is not for `{host}`{}: use a name that it is for in \
                 `DOCKER_HOST`",
                names(fault)
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("the certificate of the engine at {address} has expired: renew it there")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => format!(
                "the certificate of the engine at {address} is not valid yet: are the clocks of both sides right?"
            ),
            other => format!("the certificate of the engine at {address} cannot be trusted: {other}"),
        },
        RustlsError::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired => {
                format!("the engine at {address} says that our certificate `{own}` has expired: renew it")
            }
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => format!(
                "the engine at {address} does not accept our certificate `{own}` ({alert:?}): it must be signed by the \
                 authority that the engine trusts (its `--tlscacert`), for use by clients"
            ),
            other => format!("the engine at {address} refuses TLS: {other:?}"),
        },
        RustlsError::InvalidMessage(_) => format!("what answers at {address} does not speak TLS"),
        other => format!("TLS with the engine at {address} fails: {other}"),
    })
}

/// The names that a certificate is for. rustls has them as `DnsName("a")`.
fn names(fault: &CertificateError) -> String {
    let CertificateError::NotValidForNameContext { presented, .. } = fault else { return String::new() };
    let plain = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        format!("`{}`", inner.trim_matches('"'))
    };
    let names: Vec<String> = presented.iter().map(plain).collect();
    if names.is_empty() { String::new() } else { format!(" but for {}", names.join(", ")) }
}

/// The error of TLS behind others. `io::Error` hides what it wraps from `source`.
fn rustls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e RustlsError> {
    if let Some(found) = error.downcast_ref::<RustlsError>() {
        return Some(found);
    }
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let inner: Option<&(dyn Error + 'static)> = inner.map(|inner| inner as _);
    inner.or_else(|| error.source()).and_then(rustls_error)
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
