//! Where things are: the sources, and what is built of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::{self, SHORT};

/// The workspace that this tool works on.
pub(crate) struct Workspace {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Cargo's target folder: `target/`, or what `CARGO_TARGET_DIR` or Cargo's settings say.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Ask Cargo.
    pub(crate) fn find() -> Result<Self> {
        let mut metadata = cargo_command();
        metadata.args(["metadata", "--no-deps", "--format-version=1"]);
        // Cargo sets this for what it runs. The folder that we were called in may lie anywhere in the workspace.
        if let Some(package) = std::env::var_os("CARGO_MANIFEST_DIR") {
            metadata.current_dir(package);
        }
        let metadata: Value = serde_json::from_str(&process::captured(&mut metadata, SHORT)?)?;
        let path = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("cargo metadata has no `{key}`"))
        };
        Ok(Workspace { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// `cargo`, in the workspace.
    pub(crate) fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut cargo = cargo_command();
        cargo.args(args).current_dir(&self.root);
        cargo
    }

    /// `git`, in the workspace.
    pub(crate) fn git<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut git = process::command("git");
        git.args(args).current_dir(&self.root);
        git
    }

    /// The commit that is worked on, and whether there is more than that, but for this path.
    pub(crate) fn commit(&self, but_for: &str) -> Result<String> {
        let ask = |words: &[&str]| process::captured(&mut self.git(words.iter().copied()), SHORT);
        let rest = format!(":!{but_for}");
        let more = ask(&["status", "--porcelain", "--untracked-files=no", "--", ".", &rest])?;
        Ok(ask(&["describe", "--always", "--exclude", "*"])? + if more.is_empty() { "" } else { "-dirty" })
    }

    /// Where the static release binaries are left.
    pub(crate) fn dist(&self) -> PathBuf {
        self.target.join("dist")
    }

    /// A folder of our own below the target folder.
    pub(crate) fn own(&self, name: &str) -> Result<PathBuf> {
        let path = self.target.join("xtask").join(name);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// The file that keeps the output of a quiet step.
    pub(crate) fn log(&self, name: &str) -> Result<PathBuf> {
        Ok(self.own("log")?.join(format!("{}.log", name.replace(['/', ':'], "-"))))
    }

    /// A temporary folder on the target folder's disk; `/tmp` may be memory.
    pub(crate) fn scratch(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::tempdir_in(self.own("tmp")?)?)
    }

    /// A path of the repository.
    pub(crate) fn file(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}

/// The Cargo that called us.
fn cargo_command() -> Command {
    process::command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
