//! The images `tandem/pause` and `tandem/manager`: built, and checked against what they promise.

use std::fs::{self, File};
use std::io::Seek;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::context::Context;
use crate::engine::Engine;
use crate::process::{self, LONG, SHORT};
use crate::report::{note, step};
use crate::workspace::Workspace;
use crate::{bases, dist};

/// An image, and what it promises.
pub(crate) struct Image {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is made by.
    dockerfile: &'static str,
    /// The programs in it, and nothing else.
    programs: &'static [&'static str],
    entrypoint: &'static [&'static str],
    /// Its programs are found by their names, without the folder.
    in_path: bool,
    user: &'static str,
    /// Ceiling of its size in bytes; for the image of one program, of the program too.
    pub(crate) ceiling: u64,
}

/// The bare pause: ceiling of the program, and so of the image, 18 KiB.
pub(crate) const PAUSE: Image = Image {
    name: "tandem/pause:latest",
    dockerfile: "Dockerfile.pause",
    programs: &["pause"],
    entrypoint: &["/pause"],
    in_path: false,
    user: "65529:65529",
    ceiling: 18 * 1024,
};

/// The two-process image: at most 6 MB.
pub(crate) const MANAGER: Image = Image {
    name: "tandem/manager:latest",
    dockerfile: "Dockerfile.manager",
    programs: &["pause", "manager"],
    entrypoint: &["/pause", "--", "/manager"],
    in_path: true,
    user: "",
    ceiling: 6_000_000,
};

/// Build the binaries here and put them into the images.
pub(crate) fn build(workspace: &Workspace, engine: &Engine) -> Result<()> {
    match dist::triple()? {
        Some(triple) => {
            dist::build(workspace, &triple)?;
            pack(workspace, engine)
        }
        None => {
            note("this machine builds no programs for the images: Docker does it");
            let rust = bases::rust(workspace, engine)?;
            docker_build(workspace, engine, &workspace.root, &rust)?;
            extract(workspace, engine)
        }
    }
}

/// Put the binaries of `target/dist/` into the images: by the last stage of the same Dockerfile, which so stays the one
/// place that says what is in them.
pub(crate) fn pack(workspace: &Workspace, engine: &Engine) -> Result<()> {
    for image in [PAUSE, MANAGER] {
        step(&format!("build {} of the binaries", image.name), || {
            let text = fs::read_to_string(workspace.file(image.dockerfile))?;
            let last =
                text.rfind("\nFROM ").with_context(|| format!("{} has one stage", image.dockerfile))?;
            let stage = text[last + 1..].replace("--from=build ", "");
            let mut context = Context::new(workspace, &stage)?;
            for program in image.programs {
                context.file(&format!("out/{program}"), &workspace.dist().join(program), 0o111)?;
            }
            context.build(workspace, engine, image.name, &[])?;
            check(engine, &image)
        })?;
    }
    Ok(())
}

/// Build the images by their Dockerfiles and nothing else, from a clean clone of the last commit.
pub(crate) fn build_in_docker(workspace: &Workspace, engine: &Engine) -> Result<()> {
    let rust = bases::rust(workspace, engine)?;
    let scratch = workspace.scratch()?;
    let clone = scratch.path().join("tandem");
    step("clone the last commit", || {
        let source = format!("file://{}", workspace.root.display());
        let mut git = process::command("git");
        git.args(["clone", "--quiet", "--depth=1", &source]).arg(&clone);
        process::captured(&mut git, SHORT)?;
        if !process::captured(&mut workspace.git(["status", "--porcelain"]), SHORT)?.is_empty() {
            note("what is not committed is not in it");
        }
        Ok(())
    })?;
    docker_build(workspace, engine, &clone, &rust)
}

/// `docker build -f Dockerfile.pause .`, and the same for the manager, in this folder.
fn docker_build(workspace: &Workspace, engine: &Engine, folder: &Path, rust: &str) -> Result<()> {
    for image in [PAUSE, MANAGER] {
        let (name, dockerfile) = (image.name, image.dockerfile);
        step(&format!("docker build -f {dockerfile} --build-arg RUST={rust} ."), || {
            let argument = format!("RUST={rust}");
            let mut build =
                engine.docker(["build", "-f", dockerfile, "--build-arg", &argument, "--tag", name]);
            build.current_dir(folder);
            engine.build(workspace, name, &mut build, ".")?;
            check(engine, &image)
        })?;
    }
    Ok(())
}

/// Take the programs out of the manager image into `target/dist/`.
fn extract(workspace: &Workspace, engine: &Engine) -> Result<()> {
    let scratch = workspace.scratch()?;
    let container = Created::of(engine, MANAGER.name)?;
    for program in MANAGER.programs {
        let to = scratch.path().join(program);
        for entry in container.archive(&format!("/{program}"))?.entries()? {
            std::io::copy(&mut entry?, &mut File::create(&to)?)?;
        }
        dist::keep(workspace, program, &to)?;
    }
    Ok(())
}

/// Hold an image to what it promises.
fn check(engine: &Engine, image: &Image) -> Result<()> {
    let found = engine.inspect("image", image.name)?;
    let config = &found["Config"];
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
    let in_path = config["Env"].as_array().is_some_and(|env| env.contains(&json!("PATH=/")));
    let facts: [(&str, Value, Value); 9] = [
        ("`/` in its PATH", json!(in_path), json!(image.in_path)),
        ("its entrypoint", config["Entrypoint"].clone(), json!(image.entrypoint)),
        ("its command", config["Cmd"].clone(), Value::Null),
        ("its user", config["User"].clone(), json!(image.user)),
        ("its health check", config["Healthcheck"]["Test"].clone(), json!(["CMD", "/pause", "health"])),
        (
            "its health check's start period",
            config["Healthcheck"]["StartPeriod"].clone(),
            json!(300_000_000_000_u64),
        ),
        ("its health check's retries", config["Healthcheck"]["Retries"].clone(), json!(3)),
        ("its licence", label("licenses"), json!("Apache-2.0")),
        ("its version", label("version"), json!(env!("CARGO_PKG_VERSION"))),
    ];
    for (what, is, should) in facts {
        if is != should {
            bail!("{}: {what} is {is}, not {should}", image.name);
        }
    }
    let size = found["Size"].as_u64().context("the image has no size")?;
    if size > image.ceiling {
        bail!("{} has {size} bytes, more than {}", image.name, image.ceiling);
    }
    let container = Created::of(engine, image.name)?;
    for program in image.programs {
        for entry in container.archive(&format!("/{program}"))?.entries()? {
            let entry = entry?;
            let header = entry.header();
            let facts = (header.mode()? & 0o7777, header.uid()?, header.gid()?);
            if facts != (0o111, 0, 0) {
                bail!("{}: /{program} has mode {:o}, owner {}:{}", image.name, facts.0, facts.1, facts.2);
            }
        }
    }
    note(&format!("{}: {size} bytes, at most {}", image.name, image.ceiling));
    Ok(())
}

/// A container that never starts, to look into an image.
struct Created<'a> {
    engine: &'a Engine,
    id: String,
}

impl<'a> Created<'a> {
    fn of(engine: &'a Engine, image: &str) -> Result<Self> {
        Ok(Created { engine, id: engine.ask(["create", image])? })
    }

    /// A file of the image as an archive, with mode and owner.
    fn archive(&self, path: &str) -> Result<tar::Archive<File>> {
        let mut file = tempfile::tempfile()?;
        let mut copy = self.engine.docker(["cp", &format!("{}:{path}", self.id), "-"]);
        let mut child = process::spawn(copy.stdout(file.try_clone()?).stderr(Stdio::null()))?;
        if !process::wait(&mut child, &copy, LONG)?.success() {
            bail!("the image has no {path}");
        }
        file.rewind()?;
        Ok(tar::Archive::new(file))
    }
}

impl Drop for Created<'_> {
    fn drop(&mut self) {
        crate::interrupt::shielded(|| {
            if let Err(error) = self.engine.ask(["rm", "-fv", &self.id]) {
                note(&format!("{error:#}"));
            }
        });
    }
}
