//! The static release binaries, in `target/dist/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{self, LONG, SHORT};
use crate::report::step;
use crate::workspace::Workspace;

/// Both programs, as files and in the images.
pub(crate) const PROGRAMS: [&str; 2] = ["pause", "manager"];

/// A static program that is loaded anywhere; its 7,000 relocations in 2 kB instead of 175 (glibc 2.36 and later read them
/// so).
const STATIC: &str = "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs";

/// The target triple to build for, if this machine builds programs that run in the images.
pub(crate) fn triple() -> Result<Option<String>> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let about = process::captured(process::command(program).arg("-vV"), SHORT)?;
    let host =
        about.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names no host")?;
    let supported = matches!(host, "x86_64-unknown-linux-gnu" | "aarch64-unknown-linux-gnu");
    Ok(supported.then(|| host.to_owned()))
}

/// Build them here. The same commands are in the Dockerfiles.
pub(crate) fn build(workspace: &Workspace, triple: &str) -> Result<()> {
    step("build the static release binaries", || {
        let pause = [
            "build",
            "--release",
            "--locked",
            "--package",
            "pause",
            "--features",
            "program",
            "--bin",
            "pause",
        ];
        process::shown(&mut workspace.cargo(pause), LONG)?;
        let manager = [
            "build",
            "--release",
            "--locked",
            "--package",
            "manager",
            "--bin",
            "manager",
            "--target",
            triple,
        ];
        let mut manager = workspace.cargo(manager);
        // A target that is named keeps build scripts and macros out of the static flags. `libc.a` comes with libc6-dev
        // (Debian) or glibc-static (Fedora).
        process::shown(manager.env("RUSTFLAGS", STATIC), LONG)?;
        let built =
            [workspace.target.join("release/pause"), workspace.target.join(triple).join("release/manager")];
        for (name, from) in PROGRAMS.iter().zip(&built) {
            keep(workspace, name, from)?;
        }
        // An older C library does not read what the linker has packed.
        let version = process::captured(process::command(&built[1]).arg("version"), SHORT);
        version
            .context("the manager does not start: it needs the static C library of glibc 2.36 or newer")?;
        Ok(())
    })
}

/// Build the attacker of the tests, a static program too.
pub(crate) fn attacker(workspace: &Workspace) -> Result<()> {
    let triple = triple()?.context("the attacker of the tests needs a glibc Linux on x86_64 or aarch64")?;
    step("build the attacker", || {
        let words =
            ["build", "--locked", "--package", "manager", "--example", "attacker", "--target", &triple];
        let mut build = workspace.cargo(words);
        process::shown(build.env("RUSTFLAGS", STATIC), LONG)?;
        keep(workspace, "attacker", &workspace.target.join(&triple).join("debug/examples/attacker"))?;
        Ok(())
    })
}

/// Put a program into `target/dist/`.
pub(crate) fn keep(workspace: &Workspace, name: &str, from: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let dist = workspace.dist();
    fs::create_dir_all(&dist)?;
    // Moved over the old one rather than written into it: a test may be running that.
    let (new, path) = (dist.join(format!(".{name}")), dist.join(name));
    fs::copy(from, &new).with_context(|| from.display().to_string())?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(&new, &path)?;
    Ok(path)
}
