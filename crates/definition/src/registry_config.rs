//! Credentials of private registries: secret files of the task container in the shape of docker's `config.json`.
//!
//! Nothing of a value is repeated in a fault: it may be a password.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, DiagnosticReport, MOST_FAULTS, Origin, Position, Warning};
use super::files::{FileFault, Files};
use pod::policy::Allowances;
use pod::registry_auth::{Credential, Credentials};

/// Where Swarm mounts secrets. In most images the second is the first; in one `FROM scratch` it is a folder of
/// its own, which a secret with an absolute target makes.
const FOLDERS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];
/// The files, Podlike's last; an earlier one counts more.
const FILES: [&str; 2] = ["tandem/config.json", "podlike/dockerregistryauth.json"];

const SHAPE: &str =
    "valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`";
const ENTRY: &str = "valid is `auth` (`user:password` in base64), `username` and `password`, `identitytoken` or `registrytoken`";

/// Base64 as people have it, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Every path at which credentials are looked for.
pub fn paths() -> impl Iterator<Item = String> {
    FILES.into_iter().flat_map(|name| FOLDERS.into_iter().map(move |folder| format!("{folder}/{name}")))
}

/// The credentials among the secrets of the task container; none where there is no such file.
///
/// # Errors
/// Every fault of every file.
pub fn read(files: &dyn Files) -> Result<(Credentials, Vec<Warning>), DiagnosticReport> {
    let (mut credentials, mut warnings, mut faults) = (Credentials::default(), Vec::new(), Vec::new());
    for name in FILES {
        for folder in FOLDERS {
            let path = format!("{folder}/{name}");
            let mut file = File { path: &path, warnings: &mut warnings, faults: &mut faults };
            match files.read(&path) {
                Ok(content) => credentials.0.push(file.read(&content)),
                Err(FileFault::Missing) => continue,
                Err(error) => file.fault("", format!("the secret {error}"), SHAPE),
            }
            break;
        }
    }
    if faults.is_empty() {
        return Ok((credentials, warnings));
    }
    let omitted = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    Err(DiagnosticReport { faults, omitted, allowances: Allowances::default() })
}

struct File<'a> {
    path: &'a str,
    warnings: &'a mut Vec<Warning>,
    faults: &'a mut Vec<Diagnostic>,
}

impl File<'_> {
    fn read(&mut self, content: &[u8]) -> Vec<Credential> {
        let root: Value = match serde_json::from_slice(content) {
            Ok(root) => root,
            Err(error) => {
                // Without a type to expect, the words are about the grammar and repeat nothing.
                let words = error.to_string();
                let words = words.split(" at line ").next().unwrap_or_default().to_owned();
                self.fault("", format!("found no JSON: {words}"), SHAPE);
                if let Some(fault) = self.faults.last_mut() {
                    // An empty file has neither.
                    fault.at = Some(Position { line: error.line().max(1), column: error.column().max(1) });
                }
                return Vec::new();
            }
        };
        let Some(root) = root.as_object() else {
            self.fault("", format!("found {}", kind(&root)), SHAPE);
            return Vec::new();
        };
        let set = |key: &str| {
            root.get(key).is_some_and(|value| match value {
                Value::Object(map) => !map.is_empty(),
                Value::String(text) => !text.is_empty(),
                _ => false,
            })
        };
        if set("credsStore") || set("credHelpers") {
            let problem = "`credsStore` and `credHelpers` name programs of the machine where this file was written, and \
                           there are none here";
            let remedy =
                "the passwords must be in the file: `docker login` without a credential store writes them";
            let fault = self.describe("", problem.to_owned(), remedy);
            self.warnings.push(fault.into());
        }
        match root.get("auths") {
            Some(Value::Object(auths)) => {
                let entries = auths.iter().filter_map(|(server, entry)| self.entry(server, entry));
                entries.collect()
            }
            Some(other) => {
                self.fault("auths", format!("found {}", kind(other)), SHAPE);
                Vec::new()
            }
            None if set("credsStore") || set("credHelpers") => Vec::new(),
            None => {
                self.fault("", "found no `auths`".to_owned(), SHAPE);
                Vec::new()
            }
        }
    }

    /// One entry of `auths`; none where there is nothing to log in with.
    fn entry(&mut self, server: &str, entry: &Value) -> Option<Credential> {
        let path = format!("auths.\"{server}\"");
        let Some(entry) = entry.as_object() else {
            self.fault(&path, format!("found {}", kind(entry)), ENTRY);
            return None;
        };
        let mut credential = Credential {
            server: server.to_owned(),
            user: self.text(&path, entry, "username"),
            password: self.text(&path, entry, "password"),
            identity_token: self.text(&path, entry, "identitytoken"),
            registry_token: self.text(&path, entry, "registrytoken"),
        };
        let auth = self.text(&path, entry, "auth");
        if !auth.is_empty() {
            match decode(&auth) {
                // As the docker CLI does it: `auth` counts before `username` and `password`.
                Some((user, password)) => (credential.user, credential.password) = (user, password),
                None => {
                    let problem = "found a string that is no `user:password` in base64".to_owned();
                    let remedy = "valid is what `docker login` writes, or `printf user:password | base64`";
                    self.fault(&format!("{path}.auth"), problem, remedy);
                }
            }
        }
        (!credential.is_empty()).then_some(credential)
    }

    fn text(&mut self, path: &str, entry: &Map<String, Value>, key: &str) -> String {
        match entry.get(key) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                self.fault(&format!("{path}.{key}"), format!("found {}", kind(other)), "valid is a string");
                String::new()
            }
        }
    }

    fn fault(&mut self, path: &str, problem: String, remedy: &str) {
        let fault = self.describe(path, problem, remedy);
        self.faults.push(fault);
    }

    fn describe(&self, path: &str, problem: String, remedy: &str) -> Diagnostic {
        Diagnostic {
            origin: Origin::File(self.path.to_owned()),
            at: None,
            // A terminal must not obey what a key holds.
            path: path.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
            problem,
            remedy: remedy.to_owned(),
        }
    }
}

/// `user:password` out of base64.
fn decode(auth: &str) -> Option<(String, String)> {
    // `base64` wraps its lines.
    let plain: String = auth.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let text = String::from_utf8(BASE64.decode(plain).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| (user.to_owned(), password.trim_matches('\0').to_owned()))
}

/// What a value is, without the value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::files::FileKind;

    struct Secrets(BTreeMap<&'static str, Result<&'static str, FileFault>>);

    impl Files for Secrets {
        fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
            if self.0.contains_key(path) { Ok(FileKind::File) } else { Err(FileFault::Missing) }
        }

        fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
            let content = self.0.get(path).cloned().unwrap_or(Err(FileFault::Missing));
            content.map(|text| text.as_bytes().to_vec())
        }
    }

    const OURS: &str = "/run/secrets/tandem/config.json";
    const THEIRS: &str = "/var/run/secrets/podlike/dockerregistryauth.json";

    fn credential(server: &str, user: &str, password: &str) -> Credential {
        Credential {
            server: server.into(),
            user: user.into(),
            password: password.into(),
            ..Credential::default()
        }
    }

    #[test]
    fn each_form_of_an_entry_is_read() {
        for (entry, want) in [
            (r#"{"auth": "bWU6aHVudGVyMg=="}"#, Some(credential("r", "me", "hunter2"))),
            (r#"{"auth": "bWU6aHVudGVyMg"}"#, Some(credential("r", "me", "hunter2"))),
            (r#"{"auth": "bWU6\naHVudGVyMg==\n"}"#, Some(credential("r", "me", "hunter2"))),
            // A password may hold colons.
            (r#"{"auth": "bWU6YTpi"}"#, Some(credential("r", "me", "a:b"))),
            (r#"{"username": "me", "password": "x", "email": "a@b"}"#, Some(credential("r", "me", "x"))),
            (
                r#"{"auth": "bWU6aHVudGVyMg==", "username": "other", "password": "x"}"#,
                Some(credential("r", "me", "hunter2")),
            ),
            (
                r#"{"auth": "bWU6", "identitytoken": "tok"}"#,
                Some(Credential { identity_token: "tok".into(), ..credential("r", "me", "") }),
            ),
            (
                r#"{"registrytoken": "tok"}"#,
                Some(Credential { registry_token: "tok".into(), ..credential("r", "", "") }),
            ),
            ("{}", None),
            (r#"{"auth": "", "password": null}"#, None),
        ] {
            let text = format!(r#"{{"auths": {{"r": {entry}}}}}"#);
            let secrets = Secrets([(OURS, Ok(&*text.leak()))].into());
            let (read, warnings) = read(&secrets).unwrap();
            assert_eq!(read, Credentials(vec![want.into_iter().collect()]), "{entry}");
            assert_eq!(warnings, [], "{entry}");
        }
    }

    #[test]
    fn tandems_file_counts_before_podlikes_and_each_is_looked_for_in_both_folders() {
        let file = |user: &str| -> &'static str {
            format!(r#"{{"auths": {{"r.io": {{"username": "{user}", "password": "x"}}}}}}"#).leak()
        };
        let user = |files: &[(&'static str, &'static str)]| {
            let secrets = files.iter().map(|(path, text)| (*path, Ok(*text)));
            let (read, _) = read(&Secrets(secrets.collect())).unwrap();
            read.of_image("r.io/a").map(|entry| entry.user.clone())
        };
        assert_eq!(user(&[]), None);
        assert_eq!(user(&[(THEIRS, file("podlike"))]).as_deref(), Some("podlike"));
        let near = "/run/secrets/podlike/dockerregistryauth.json";
        assert_eq!(user(&[(near, file("podlike"))]).as_deref(), Some("podlike"));
        let far = "/var/run/secrets/tandem/config.json";
        for ours in [OURS, far] {
            let both = [(ours, file("tandem")), (THEIRS, file("podlike"))];
            assert_eq!(user(&both).as_deref(), Some("tandem"), "{ours}");
        }
        assert_eq!(
            user(&[(OURS, r#"{"auths": {}}"#), (THEIRS, file("podlike"))]).as_deref(),
            Some("podlike")
        );
    }
}
