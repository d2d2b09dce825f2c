//! Every fault that a file of credentials can have.

use definition::files::{FileFault, FileKind, Files};

use crate::told;

/// The secret file of credentials, alone in the task container.
struct Secret(Result<&'static str, FileFault>);

impl Files for Secret {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        self.read(path).map(|_| FileKind::File)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        match path {
            "/run/secrets/tandem/config.json" => self.0.clone().map(|text| text.as_bytes().to_vec()),
            _ => Err(FileFault::Missing),
        }
    }
}

#[rustfmt::skip]
fn credential_cases() -> Vec<(&'static str, Result<&'static str, FileFault>, &'static [&'static str])> { vec![
    ("an empty file", Ok(""), &["/run/secrets/tandem/config.json:1:1: found no JSON: EOF while parsing a value; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
    ("a bare password", Ok("hunter2"), &["/run/secrets/tandem/config.json:1:1: found no JSON: expected value; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
    ("a comma too many", Ok("{\n  \"auths\": {},\n}"), &["/run/secrets/tandem/config.json:3:1: found no JSON: trailing comma; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
    ("an open string", Ok("{\"auths\": {\"r\": {\"password\": \"hunter2"), &["/run/secrets/tandem/config.json:1:37: found no JSON: EOF while parsing a string; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
    ("a password alone, as a string", Ok("\"hunter2\""), &["/run/secrets/tandem/config.json: found a string; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
    ("the entries without `auths`", Ok("{\"r.io\": {\"auth\": \"bWU6aHVudGVyMg==\"}}"), &["/run/secrets/tandem/config.json: found no `auths`; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
    ("a list of entries", Ok("{\"auths\": [1]}"), &["/run/secrets/tandem/config.json: `auths`: found a list; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
    ("a password for an entry", Ok("{\"auths\": {\"r.io:5000\": \"hunter2\"}}"), &["/run/secrets/tandem/config.json: `auths.\"r.io:5000\"`: found a string; valid is `auth` (`user:password` in base64), `username` and `password`, `identitytoken` or `registrytoken`"]),
    ("every value of another type", Ok("{\"auths\": {\"r.io\": {\"username\": true, \"password\": 2, \"identitytoken\": [], \"registrytoken\": {}}}}"), &[
        "/run/secrets/tandem/config.json: `auths.\"r.io\".username`: found a boolean; valid is a string",
        "/run/secrets/tandem/config.json: `auths.\"r.io\".password`: found a number; valid is a string",
        "/run/secrets/tandem/config.json: `auths.\"r.io\".identitytoken`: found a list; valid is a string",
        "/run/secrets/tandem/config.json: `auths.\"r.io\".registrytoken`: found a mapping; valid is a string",
    ]),
    ("no base64", Ok("{\"auths\": {\"r.io\": {\"auth\": \"me:hunter2\"}}}"), &["/run/secrets/tandem/config.json: `auths.\"r.io\".auth`: found a string that is no `user:password` in base64; valid is what `docker login` writes, or `printf user:password | base64`"]),
    ("base64 without a colon in it", Ok("{\"auths\": {\"r.io\": {\"auth\": \"aHVudGVyMg==\"}}}"), &["/run/secrets/tandem/config.json: `auths.\"r.io\".auth`: found a string that is no `user:password` in base64; valid is what `docker login` writes, or `printf user:password | base64`"]),
    ("a folder", Err(FileFault::NotAFile), &["/run/secrets/tandem/config.json: the secret is not a regular file; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
    ("a file too large", Err(FileFault::TooLarge), &["/run/secrets/tandem/config.json: the secret is larger than 1 MiB; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
    ("a file of somebody else", Err(FileFault::Unreadable("permission denied".into())), &["/run/secrets/tandem/config.json: the secret cannot be read: permission denied; valid is docker's `config.json`: `{\"auths\": {\"registry.example.com\": {\"auth\": \"...\"}}}`"]),
]}

#[test]
fn every_fault_of_a_file_of_credentials_is_told_in_these_words_and_without_what_is_secret() {
    told(credential_cases().into_iter().map(|(sentence, content, expected)| {
        let report = definition::registry_config::read(&Secret(content)).err();
        let text = report.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(!text.contains("hunter2") && !text.contains("bWU6"), "{sentence}: {text}");
        (sentence, report, expected)
    }));
}

#[test]
fn programs_that_keep_passwords_are_warned_of_once_a_file() {
    let content = r#"{"auths": {"r.io": {}}, "credsStore": "desktop", "credHelpers": {"x.io": "ecr-login"}}"#;
    let (_, warnings) = definition::registry_config::read(&Secret(Ok(content))).expect("no fault");
    let words: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let want = "/run/secrets/tandem/config.json: `credsStore` and `credHelpers` name programs of the machine where this \
                file was written, and there are none here; the passwords must be in the file: `docker login` without a \
                credential store writes them";
    assert_eq!(words, [want]);
}
