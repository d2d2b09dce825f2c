//! The root file system of a release: made once, kept below the target folder, and never written to.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Release;
use crate::process::{self, LONG};
use crate::report::step;
use crate::workspace::Workspace;
use crate::{bases, packages};

/// What makes it; another text is another image.
const MAKE: &str = include_str!("make.sh");

/// A disk to boot, and what boots it.
pub(crate) struct Image {
    folder: PathBuf,
}

impl Image {
    /// The release's, made where there is none.
    pub(crate) fn of(workspace: &Workspace, release: Release) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        MAKE.hash(&mut hasher);
        let images = workspace.own("vm")?;
        let image = Image { folder: images.join(format!("{}-{:016x}", release.name(), hasher.finish())) };
        if image.folder.exists() {
            return Ok(image);
        }
        if !nix::unistd::geteuid().is_root() {
            bail!("only root can make the root file system of a virtual machine: run this once as root");
        }
        tools(workspace)?;
        step(&format!("make the root file system of {} with debootstrap", release.name()), || {
            let scratch = workspace.scratch()?;
            let script = scratch.path().join("make.sh");
            fs::write(&script, MAKE)?;
            let new = scratch.path().join("image");
            fs::create_dir(&new)?;
            // Mounts of it cannot stay in a namespace of their own.
            let mut make = process::command("unshare");
            make.args(["--mount", "sh"]).arg(&script).arg(release.name()).arg(&new).args(bases::mirror()?);
            process::logged(&mut make, &workspace.log(&format!("vm-{}", release.name()))?, LONG)?;
            // Moved into its place when it is whole. Somebody else may have made one in the meantime: as good as ours.
            if let Err(error) = fs::rename(&new, &image.folder)
                && !image.folder.exists()
            {
                return Err(error.into());
            }
            forget_older(&images, release, &image.folder);
            Ok(())
        })?;
        Ok(image)
    }

    /// The disk with the root file system.
    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.join("root.img")
    }

    /// Linux.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// What finds the disk.
    pub(crate) fn initrd(&self) -> PathBuf {
        self.folder.join("initrd")
    }
}

/// What makes disks.
fn tools(workspace: &Workspace) -> Result<()> {
    if !process::installed("debootstrap") {
        let otherwise = "the root file system of a virtual machine is made with debootstrap: install it";
        packages::install(workspace, &["debootstrap"], otherwise)?;
    }
    Ok(())
}

/// Images of this release by other recipes. Who runs one at the moment has it open.
fn forget_older(images: &Path, release: Release, ours: &Path) {
    for entry in fs::read_dir(images).into_iter().flatten().flatten() {
        let of_release = entry.file_name().to_string_lossy().starts_with(&format!("{}-", release.name()));
        if of_release && entry.path() != ours {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
