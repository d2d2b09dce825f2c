//! `examples/socket-proxy` in front of the engine: the tests of pods once more, with nothing but the listed calls.

use std::path::PathBuf;

use anyhow::{Context, Result};
use std::os::unix::fs::MetadataExt;
use tempfile::TempDir;

use crate::bases;
use crate::engine::Engine;
use crate::interrupt;
use crate::process::{self, SHORT};
use crate::workspace::Workspace;

/// The filter as the example has it, on a socket of its own. Ends when dropped.
pub(crate) struct Filter<'e> {
    engine: &'e Engine,
    name: String,
    folder: TempDir,
}

impl<'e> Filter<'e> {
    /// Start it as the example's README says.
    pub(crate) fn start(workspace: &Workspace, engine: &'e Engine) -> Result<Self> {
        // Not in the workspace: a socket's path has room for 107 bytes.
        let folder = tempfile::Builder::new().prefix("tandem-filter-").tempdir()?;
        let filter = Filter { engine, name: format!("tandem-filter-{}", std::process::id()), folder };
        let socket = engine.host.strip_prefix("unix://").context("the engine must be a unix socket here")?;
        let group = std::fs::metadata(socket).with_context(|| socket.to_owned())?.gid();
        let rules = workspace.file("examples/socket-proxy/haproxy.cfg");
        let mount = |from: &str, to: &str| format!("--volume={from}:{to}");
        let mut run = engine.docker(["run", "--detach", "--name", &filter.name, "--network=none"]);
        run.arg(format!("--label={}=filter", bases::TEST_LABEL)).arg(format!("--user=0:{group}"));
        run.arg(mount(&rules.display().to_string(), "/haproxy.cfg:ro"));
        run.arg(mount(socket, "/var/run/docker.sock"));
        run.arg(mount(&filter.folder.path().display().to_string(), "/run/tandem"));
        run.args([bases::TOOLS, "haproxy", "-f", "/haproxy.cfg"]);
        process::captured(&mut run, SHORT)?;
        process::until("the filter's socket", SHORT, || Ok(filter.socket().exists().then_some(())))?;
        Ok(filter)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }
}

impl Drop for Filter<'_> {
    fn drop(&mut self) {
        interrupt::shielded(|| {
            let _ = process::captured(&mut self.engine.docker(["rm", "--force", &self.name]), SHORT);
        });
    }
}
