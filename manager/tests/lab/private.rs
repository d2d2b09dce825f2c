//! A real registry that asks for a password: Debian's `docker-registry`, with one image in it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use super::docker::{attempt, docker};
use super::{LONG, test_image};

/// Who may.
pub(crate) const USER: &str = "tester";
/// With which password.
pub(crate) const PASSWORD: &str = "hunter2-correct";
/// `USER:PASSWORD` as `docker login` writes it.
pub(crate) const AUTH: &str = "dGVzdGVyOmh1bnRlcjItY29ycmVjdA==";
/// The same for an htpasswd file; the registry knows bcrypt only. Of the least cost.
const HTPASSWD: &str = "tester:$2b$04$yJRjvv434yPcMn74vTXzzuV7e51NMOy3qK8M5K/R1ikD0uMac3tYq\n";

/// The registry; ends when dropped, and takes its image from the engine.
pub(crate) struct PrivateRegistry {
    /// Host and port.
    pub(crate) host: String,
    /// The reference of its image, which the engine does not have.
    pub(crate) image: String,
    server: Child,
    folder: TempDir,
}

impl PrivateRegistry {
    /// Serve the test image to those who know the password.
    #[track_caller]
    pub(crate) fn start() -> PrivateRegistry {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("htpasswd"), HTPASSWD).expect("written");
        // YAML has JSON in it.
        let config = json!({
            "version": "0.1",
            "log": {"level": "info", "formatter": "json"},
            "storage": {"filesystem": {"rootdirectory": at("storage")}},
            "http": {"addr": "127.0.0.1:0"},
            "auth": {"htpasswd": {"realm": "tandem", "path": at("htpasswd")}},
        });
        fs::write(at("config.yml"), config.to_string()).expect("written");
        let mut server = Command::new("docker-registry")
            .arg("serve")
            .arg(at("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("`docker-registry` can be run: `cargo xtask test` installs it (Debian: docker-registry)");
        let errors = server.stderr.take().expect("a pipe");
        let mut registry = PrivateRegistry { host: String::new(), image: String::new(), server, folder };
        registry.host = listening(errors);
        registry.image = format!("{}/tandem-test:1", registry.host);
        registry.fill();
        registry
    }

    /// A file in the shape of docker's `config.json` with these entries.
    pub(crate) fn config(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, content).expect("written");
        path.display().to_string()
    }

    /// `auths` with one entry, for this registry.
    pub(crate) fn auths(&self, entry: &serde_json::Value) -> String {
        json!({"auths": {&self.host: entry}}).to_string()
    }

    fn fill(&self) {
        docker(&["tag", &test_image(), &self.image]);
        let config = self.config("config.json", &self.auths(&json!({"auth": AUTH})));
        let folder = Path::new(&config).parent().expect("a folder").display().to_string();
        docker(&["--config", &folder, "push", &self.image]);
        docker(&["rmi", &self.image]);
        assert_ne!(attempt(&["pull", &self.image]).status, 0, "the registry lets in who has no password");
    }
}

impl Drop for PrivateRegistry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        attempt(&["rmi", "-f", &self.image]);
    }
}

/// The address, which the registry says, and then on to its end: a full pipe would hold it up.
#[track_caller]
fn listening(errors: impl Read + Send + 'static) -> String {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find('"').unwrap_or(rest.len());
                let _ = tell.send(rest[..end].to_owned());
            }
        }
    });
    told.recv_timeout(LONG).expect("`docker-registry` says where it listens")
}
