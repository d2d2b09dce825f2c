//! Certificates for an engine with TLS, and for clients that it lets in or not.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};

/// What the engine's certificate is for: a name that the tests give it, and its address on its own bridge, which is this
/// one where nothing else is about.
pub(crate) const NAMES: [&str; 2] = ["engine.test", "172.17.0.1"];

/// An authority that signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Authority { pem, issuer: Issuer::new(params, key) })
    }

    /// A folder as `DOCKER_CERT_PATH` names one: trust in `trusted`, a certificate for these names signed by `self`.
    fn issue(&self, folder: &Path, names: &[&str], trusted: &Authority, expired: bool) -> Result<()> {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        for (name, text) in
            [("ca.pem", &trusted.pem), ("cert.pem", &certificate), ("key.pem", &key.serialize_pem())]
        {
            fs::write(folder.join(name), text).with_context(|| folder.join(name).display().to_string())?;
        }
        Ok(())
    }
}

/// Fill a folder: `engine` is the engine's own, `client` is let in; `other-authority` trusts another engine,
/// `stranger` is of an authority that the engine does not trust, `expired` was let in once.
pub(crate) fn make(folder: &Path) -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    authority.issue(&folder.join("engine"), &NAMES, &authority, false)?;
    authority.issue(&folder.join("client"), &["client"], &authority, false)?;
    authority.issue(&folder.join("other-authority"), &["client"], &other, false)?;
    other.issue(&folder.join("stranger"), &["client"], &authority, false)?;
    authority.issue(&folder.join("expired"), &["client"], &authority, true)
}
