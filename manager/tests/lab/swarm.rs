//! A Swarm: the one that `cargo xtask test` starts, and what a test makes in it.

use std::path::Path;
use std::time::Duration;

use super::docker::{Said, attempt, docker};
use super::{manager_image, unique, wait};

/// How long a service may take until it is up, or gone.
pub(crate) const UP: Duration = Duration::from_secs(180);

/// The Swarm. What was made in it goes when this does.
pub(crate) struct Swarm {
    host: String,
    /// Words that remove each, the first made first.
    made: Vec<Vec<String>>,
}

impl Swarm {
    pub(crate) fn new() -> Swarm {
        let host = std::env::var("TANDEM_SWARM_HOST")
            .expect("TANDEM_SWARM_HOST names the engine of a Swarm: `cargo xtask test` starts one");
        Swarm { host, made: Vec::new() }
    }

    /// The engine's address.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The engine's socket on its host.
    pub(crate) fn socket(&self) -> &str {
        self.host.strip_prefix("unix://").expect("a unix socket")
    }

    /// Run `docker` there, which must work.
    #[track_caller]
    pub(crate) fn docker(&self, words: &[&str]) -> String {
        docker(&[&["-H", &self.host], words].concat()).text()
    }

    /// Run `docker` there.
    pub(crate) fn attempt(&self, words: &[&str]) -> Said {
        attempt(&[&["-H", &self.host], words].concat())
    }

    /// Deploy a file under a name of its own, which is returned.
    #[track_caller]
    pub(crate) fn deploy(&mut self, hint: &str, file: &Path) -> String {
        let name = self.stack(hint);
        let file = file.display().to_string();
        self.docker(&["stack", "deploy", "--resolve-image", "never", "-c", &file, &name]);
        name
    }

    /// The name of a stack that the test deploys by itself.
    pub(crate) fn stack(&mut self, hint: &str) -> String {
        let name = unique(hint);
        self.remove_at_the_end(&["stack", "rm", &name]);
        name
    }

    /// Make a `secret` or `config` with this text; its name.
    #[track_caller]
    pub(crate) fn store(&mut self, kind: &str, text: &str) -> String {
        let name = unique(kind);
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
        self.remove_at_the_end(&[kind, "rm", &name]);
        self.docker(&[kind, "create", &name, &file.path().display().to_string()]);
        name
    }

    /// The name of a container that the test starts by itself.
    pub(crate) fn container(&mut self, hint: &str) -> String {
        let name = unique(hint);
        self.remove_at_the_end(&["rm", "-fv", &name]);
        name
    }

    /// The engine's address on a network that its containers reach.
    pub(crate) fn address() -> String {
        std::env::var("TANDEM_SWARM_ADDRESS").expect("`cargo xtask test` sets it")
    }

    /// Make a service of one pod with the component `app`; its name.
    #[track_caller]
    pub(crate) fn service(&mut self, hint: &str, app: &str, options: &[&str]) -> String {
        let name = unique(hint);
        let (mount, label) = (
            format!("type=bind,source={},target=/var/run/docker.sock", self.socket()),
            format!("pod.component.app={app}"),
        );
        let head = ["service", "create", "--detach", "--no-resolve-image", "--name", &name];
        let tail = ["--mount", &mount, "--container-label", &label];
        self.remove_at_the_end(&["service", "rm", &name]);
        self.docker(&[&head[..], &tail, options, &[&manager_image()]].concat());
        name
    }

    /// Everything of the pods of this service is gone.
    #[track_caller]
    pub(crate) fn assert_gone(&self, service: &str) {
        let ours = format!("label=io.tandem.service={service}");
        wait(format!("nothing of `{service}` to be left"), UP, || {
            self.docker(&["ps", "-aq", "--filter", &ours]).is_empty().then_some(())
        });
    }

    fn remove_at_the_end(&mut self, words: &[&str]) {
        self.made.push(words.iter().map(|word| (*word).to_owned()).collect());
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        // What uses something was made after it.
        for words in self.made.iter().rev() {
            attempt(&[&["-H".to_owned(), self.host.clone()], &words[..]].concat());
        }
    }
}
