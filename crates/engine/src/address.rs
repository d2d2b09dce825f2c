//! Where the engine is, as `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` say.

use std::fmt;
use std::path::PathBuf;

/// Where an engine listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// The port of an engine without TLS.
const PLAIN_PORT: u16 = 2375;
/// The port of an engine with TLS.
const TLS_PORT: u16 = 2376;

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP without protection.
    Tcp {
        /// Name or address, an IPv6 address without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// TCP with TLS, both sides with certificates.
    Tls {
        /// Name or address, an IPv6 address without brackets; the server's certificate must be for it.
        host: String,
        /// Port.
        port: u16,
        /// The folder with `ca.pem`, `cert.pem` and `key.pem`.
        certificates: PathBuf,
    },
}

/// Why the three values name no engine.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// A scheme that Tandem does not speak.
    #[error("`DOCKER_HOST` is `{0}`; valid are `unix:///path/to/socket` and `tcp://host:port`")]
    Scheme(String),
    /// Something is wrong behind the scheme.
    #[error("`DOCKER_HOST` is `{value}`: {fault}")]
    Malformed {
        /// What was found.
        value: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// TLS without certificates.
    #[error(
        "TLS to the engine was asked for (`DOCKER_TLS_VERIFY` or `https://`), but `DOCKER_CERT_PATH` is not set; \
         it must name the folder with `ca.pem`, `cert.pem` and `key.pem`"
    )]
    NoCertificates,
}

impl EngineAddress {
    /// What the three environment variables mean; an empty value is one that is not set.
    ///
    /// TLS is used with `tcp://` when either of the other two is set, and the engine's certificate is
    /// then always checked against `ca.pem`: Docker's Go client does not check it where only
    /// `DOCKER_CERT_PATH` is set, which hands the client's power to whoever answers on the port. As
    /// with Docker's own tools any text in `DOCKER_TLS_VERIFY` is "on", `0` too.
    pub fn parse(
        host: Option<&str>,
        tls_verify: Option<&str>,
        cert_path: Option<&str>,
    ) -> Result<Self, AddressError> {
        let said =
            |value: Option<&str>| value.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let Some(value) = said(host) else {
            return Ok(Self::Unix(DEFAULT_SOCKET.into()));
        };
        let malformed = |fault| AddressError::Malformed { value: value.clone(), fault };
        let (scheme, rest) = value.split_once("://").ok_or_else(|| AddressError::Scheme(value.clone()))?;
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix(DEFAULT_SOCKET.into())),
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => {
                Err(malformed("the path of a socket begins with `/`, as in `unix:///var/run/docker.sock`"))
            }
            "tcp" | "http" | "https" => {
                let certificates = said(cert_path);
                let tls = match scheme {
                    "https" => true,
                    "http" => false,
                    _ => said(tls_verify).is_some() || certificates.is_some(),
                };
                let (host, port) =
                    split_host(rest, if tls { TLS_PORT } else { PLAIN_PORT }).map_err(malformed)?;
                if tls {
                    let certificates = certificates.ok_or(AddressError::NoCertificates)?.into();
                    Ok(Self::Tls { host, port, certificates })
                } else {
                    Ok(Self::Tcp { host, port })
                }
            }
            _ => Err(AddressError::Scheme(value)),
        }
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => {
                write!(f, "tcp://{}", authority(host, *port))
            }
        }
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn split_host(text: &str, default_port: u16) -> Result<(String, u16), &'static str> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.contains('/') {
        return Err("a path behind the port is not supported");
    }
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or("a `]` is missing")?;
        match rest {
            "" => (host, None),
            _ => (host, Some(rest.strip_prefix(':').ok_or("only `:port` may follow the `]`")?)),
        }
    } else {
        match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address stands in brackets, as in `tcp://[::1]:2376`");
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("the port is not 1 to 65535")?,
        None => default_port,
    };
    // Docker's tools read `tcp://:2375` as localhost, too.
    Ok((if host.is_empty() { "localhost".to_owned() } else { host.to_owned() }, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> EngineAddress {
        EngineAddress::Tcp { host: host.into(), port }
    }

    fn tls(host: &str, port: u16) -> EngineAddress {
        EngineAddress::Tls { host: host.into(), port, certificates: "/certs".into() }
    }

    #[test]
    fn the_three_values_name_an_engine() {
        let unix = |path: &str| EngineAddress::Unix(path.into());
        for (host, verify, certs, want) in [
            (None, None, None, unix("/var/run/docker.sock")),
            (Some(""), Some("1"), Some("/certs"), unix("/var/run/docker.sock")),
            (Some("unix://"), None, None, unix("/var/run/docker.sock")),
            (Some("unix:///run/user/1000/docker.sock"), Some("1"), None, unix("/run/user/1000/docker.sock")),
            (Some("tcp://10.0.0.1"), None, None, tcp("10.0.0.1", 2375)),
            (Some("tcp://10.0.0.1:99"), Some(""), Some(" "), tcp("10.0.0.1", 99)),
            (Some("http://engine/"), Some("1"), Some("/certs"), tcp("engine", 2375)),
            (Some("tcp://[::1]:99"), None, None, tcp("::1", 99)),
            (Some("tcp://:2375"), None, None, tcp("localhost", 2375)),
            (Some("tcp://[fe80::1]"), Some("1"), Some("/certs"), tls("fe80::1", 2376)),
            (Some("tcp://engine:99"), Some("0"), Some("/certs"), tls("engine", 99)),
            (Some("tcp://engine"), None, Some("/certs"), tls("engine", 2376)),
            (Some("https://engine"), None, Some("/certs"), tls("engine", 2376)),
        ] {
            assert_eq!(EngineAddress::parse(host, verify, certs), Ok(want), "{host:?} {verify:?} {certs:?}");
        }
    }

    #[test]
    fn what_names_no_engine_says_what_would() {
        for (host, verify, want) in [
            ("ssh://me@host", None, "`DOCKER_HOST` is `ssh://me@host`; valid are"),
            ("/var/run/docker.sock", None, "valid are `unix:///path/to/socket`"),
            ("unix://run/docker.sock", None, "begins with `/`"),
            ("tcp://engine:0", None, "not 1 to 65535"),
            ("tcp://engine:x", None, "not 1 to 65535"),
            ("tcp://::1:2375", None, "in brackets"),
            ("tcp://[::1", None, "`]` is missing"),
            ("tcp://engine:2375/base", None, "path"),
            ("tcp://engine", Some("1"), "`DOCKER_CERT_PATH` is not set"),
        ] {
            let error = EngineAddress::parse(Some(host), verify, None).expect_err(host).to_string();
            assert!(error.contains(want), "{host}: {error}");
        }
    }

    #[test]
    fn an_address_is_shown_as_it_is_written() {
        assert_eq!(EngineAddress::Unix("/run/d.sock".into()).to_string(), "unix:///run/d.sock");
        assert_eq!(tcp("::1", 2375).to_string(), "tcp://[::1]:2375");
        assert_eq!(tls("engine", 2376).to_string(), "tcp://engine:2376");
    }
}
