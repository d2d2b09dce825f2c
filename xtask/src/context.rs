//! What is sent to `docker build`: an archive with exactly the files, modes and owners that we say, whatever file system
//! and user we have.

use std::fs::File;
use std::io::Seek;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use tar::{Builder, EntryType, Header};

use crate::engine::Engine;
use crate::workspace::Workspace;

/// A build context in the making.
pub(crate) struct Context {
    archive: Builder<File>,
}

impl Context {
    /// Begin with the Dockerfile.
    pub(crate) fn new(workspace: &Workspace, dockerfile: &str) -> Result<Self> {
        let file = tempfile::tempfile_in(workspace.own("tmp")?)?;
        let mut context = Context { archive: Builder::new(file) };
        context.data("Dockerfile", dockerfile.as_bytes(), 0o644)?;
        Ok(context)
    }

    /// Add a file of this content.
    pub(crate) fn data(&mut self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let mut header = header(mode);
        header.set_size(u64::try_from(content.len())?);
        Ok(self.archive.append_data(&mut header, path, content)?)
    }

    /// Add a file of the disk.
    pub(crate) fn file(&mut self, path: &str, from: &Path, mode: u32) -> Result<()> {
        let file = File::open(from).with_context(|| from.display().to_string())?;
        let mut header = header(mode);
        header.set_size(file.metadata()?.len());
        Ok(self.archive.append_data(&mut header, path, file)?)
    }

    /// Add a folder of the disk with all below it, modes as they are.
    pub(crate) fn folder(&mut self, path: &str, from: &Path) -> Result<()> {
        self.archive.append_dir_all(path, from).with_context(|| from.display().to_string())
    }

    /// Build an image of it. `arguments` are further words for `docker build`.
    pub(crate) fn build(
        self,
        workspace: &Workspace,
        engine: &Engine,
        image: &str,
        arguments: &[&str],
    ) -> Result<()> {
        let mut archive = self.archive.into_inner()?;
        archive.rewind()?;
        let mut build: Command = engine.docker(["build", "--tag", image]);
        build.args(arguments).stdin(archive);
        engine.build(workspace, image, &mut build, "-")
    }
}

/// A regular file of root's. The time is fixed, so that the same content is the same layer.
fn header(mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
