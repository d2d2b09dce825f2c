//! Debian's packages: installed where we may, and said so.

use anyhow::{Result, bail};

use crate::process::{self, LONG};
use crate::report::step;
use crate::workspace::Workspace;

/// We are root on Debian or a child of it.
pub(crate) fn can_install() -> bool {
    nix::unistd::geteuid().is_root() && process::installed("apt-get") && process::installed("dpkg")
}

/// Make sure of these packages. `otherwise` is the one thing to do where we cannot install them.
pub(crate) fn install(workspace: &Workspace, packages: &[&str], otherwise: &str) -> Result<()> {
    if !can_install() {
        bail!("{otherwise}");
    }
    step(&format!("install Debian's {}", packages.join(", ")), || {
        let log = workspace.log("apt-get")?;
        let apt = |args: &[&str]| {
            let mut apt = process::command("apt-get");
            // Somebody else may be installing something: a new machine often does, by itself.
            apt.args(["-q", "-y", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends"]).args(args);
            apt.env("DEBIAN_FRONTEND", "noninteractive");
            process::logged(&mut apt, &log, LONG)
        };
        // The lists of a new machine are missing or old, those of others are most often good enough.
        let wanted = [&["install"], packages].concat();
        if apt(&wanted).is_err() {
            crate::interrupt::check()?;
            apt(&["update"])?;
            apt(&wanted)?;
        }
        Ok(())
    })
}
