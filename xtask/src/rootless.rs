//! What makes a dockerd rootless: an ordinary user of this machine, made for it, and `rootlesskit`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::{User, chown};

use crate::packages;
use crate::process::{self, SHORT};
use crate::workspace::Workspace;

/// Names the user, in the daemon's folder.
const NOTE: &str = "user";

/// Make a user who has these folders.
pub(crate) fn prepare(workspace: &Workspace, folder: &Path, data: &Path) -> Result<()> {
    if !["rootlesskit", "newuidmap"].iter().all(|program| process::installed(program)) {
        let otherwise =
            "a rootless engine needs `rootlesskit` and `newuidmap`: install rootlesskit and uidmap";
        packages::install(workspace, &["rootlesskit", "uidmap"], otherwise)?;
    }
    let name = format!("tandem-{}", std::process::id());
    fs::write(folder.join(NOTE), &name)?;
    // With users of its own below it (/etc/subuid), which `useradd` gives to everybody but to users of the system.
    let add = ["--no-create-home", "--shell", "/usr/sbin/nologin", &name];
    process::captured(process::command("useradd").args(add), SHORT)?;
    let user = User::from_name(&name)?.with_context(|| format!("there is no user `{name}`"))?;
    for path in [folder, data] {
        chown(path, Some(user.uid), Some(user.gid)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// What goes before dockerd's own arguments, behind the name of the program [`PROGRAM`].
pub(crate) fn arguments(command: &mut Command, folder: &Path) -> Result<()> {
    let user = fs::read_to_string(folder.join(NOTE)).context("there is a user for it")?;
    let at = folder.display();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "env", "-i"]);
    command.args([
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        &format!("HOME={at}"),
        &format!("XDG_RUNTIME_DIR={at}"),
    ]);
    // As `dockerd-rootless.sh` does it, but for a network: its own would need a device of the host.
    command.args([
        "rootlesskit",
        "--net=host",
        "--copy-up=/etc",
        "--copy-up=/run",
        &format!("--state-dir={at}/kit"),
    ]);
    let fresh = "rm -f /run/docker /run/containerd /run/xtables.lock; exec dockerd \"$@\"";
    command.args(["sh", "-c", fresh, "sh", "--rootless", "--bridge=none", "--iptables=false"]);
    Ok(())
}

/// What starts it: gives up root for a user.
pub(crate) const PROGRAM: &str = "setpriv";

/// Remove the user of this daemon, where it has one.
pub(crate) fn remove(folder: &Path) {
    if let Ok(name) = fs::read_to_string(folder.join(NOTE)) {
        let _ = process::captured(process::command("userdel").arg(name), SHORT);
    }
}
