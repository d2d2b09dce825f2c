//! The static release binaries in `target/dist/`, and the two images.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::bases;
use crate::shell::{capture, cargo, command, docker, quiet, root, run, step, target};

/// Image and Dockerfile of each.
pub(crate) fn all() -> Vec<(&'static str, &'static str)> {
    vec![("tandem/pause:latest", "Dockerfile.pause"), ("tandem/manager:latest", "Dockerfile.manager")]
}

/// Build the binaries here and put them into images. Returns the folder of the binaries.
pub(crate) fn build() -> Result<PathBuf> {
    let dist = binaries()?;
    for (image, dockerfile) in all() {
        step(&format!("build {image}"), || quick(&dist, image, dockerfile))?;
    }
    Ok(dist)
}

/// The static release binaries, in `target/dist/`.
pub(crate) fn binaries() -> Result<PathBuf> {
    step("build the release binaries", || {
        let host = capture(&mut command("rustc", &["-vV"]))?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        if !host.ends_with("-linux-gnu") {
            bail!("the binaries are built on Linux with glibc; here use `cargo xtask images --in-docker`");
        }
        let pause = ["build", "--release", "--locked", "-p", "pause", "--features", "program", "--bin", "pause"];
        run(&mut cargo(&pause))?;
        let manager = ["build", "--release", "--locked", "-p", "manager", "--bin", "manager", "--target", host];
        // A target that is named keeps build scripts and macros out of the static flags.
        run(cargo(&manager).env("RUSTFLAGS", "-C target-feature=+crt-static"))?;
        let dist = target().join("dist");
        fs::create_dir_all(&dist)?;
        for (from, name) in [
            (target().join("release/pause"), "pause"),
            (target().join(host).join("release/manager"), "manager"),
        ] {
            // Replaced rather than written over: a test may be running the old one.
            let new = dist.join(format!(".{name}"));
            fs::copy(&from, &new).with_context(|| from.display().to_string())?;
            fs::rename(&new, dist.join(name))?;
        }
        Ok(dist)
    })
}

/// An image of binaries that are built already: the last stage of the Dockerfile, which so stays the one
/// place that says what is in the image.
fn quick(dist: &Path, image: &str, dockerfile: &str) -> Result<()> {
    let text = fs::read_to_string(root().join(dockerfile))?;
    let last = text.rfind("\nFROM ").context("the Dockerfile has no second stage")?;
    let stage = text[last + 1..].replace("--from=build ", "");
    let context = tempfile::tempdir()?;
    fs::create_dir(context.path().join("out"))?;
    for name in ["pause", "manager"] {
        let to = context.path().join("out").join(name);
        fs::copy(dist.join(name), &to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o111))?;
    }
    fs::write(context.path().join("Dockerfile"), stage)?;
    let context = context.path().display().to_string();
    quiet(&mut docker(&["build", "--quiet", "--tag", image, &context]))
}

/// Build images by their Dockerfiles alone, from a clean clone of what is committed.
pub(crate) fn from_dockerfiles(images: &[(&str, &str)]) -> Result<()> {
    let rust = bases::rust()?;
    let clone = tempfile::tempdir_in("/var/tmp")?;
    let folder = clone.path().join("tandem").display().to_string();
    let source = root().display().to_string();
    quiet(&mut command("git", &["clone", "--quiet", "--depth=1", &format!("file://{source}"), &folder]))?;
    if !capture(command("git", &["status", "--porcelain"]).current_dir(root()))?.is_empty() {
        eprintln!("    (what is not committed is not in it)");
    }
    for (image, dockerfile) in images {
        step(&format!("docker build -f {dockerfile} . (in a clean clone)"), || {
            let argument = format!("RUST={rust}");
            let build = ["build", "-f", dockerfile, "--build-arg", &argument, "--tag", image, "."];
            quiet(docker(&build).current_dir(&folder))
        })?;
    }
    Ok(())
}
