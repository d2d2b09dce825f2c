//! The second disk: the test programs, the images under test, and what else the tests find on a machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Driver;
use crate::engine::Engine;
use crate::process::{self, LONG, SHORT};
use crate::report::step;
use crate::workspace::Workspace;
use crate::{bases, certificates, dist};

/// What runs inside.
const BEGIN: &str = include_str!("begin.sh");
/// The address of the engine inside. 198.18.0.0/15 is for tests (RFC 2544).
const ADDRESS: &str = "198.18.0.1";
/// How many tests at a time: those on the engine mostly wait.
const THREADS: usize = 3;
/// Limits in tests are this many times as long as on a real machine.
const SLOW: u32 = 6;
/// Where Debian's `docker-registry` is.
const REGISTRY: &str = "docker-registry";

/// One test program, compiled here, and its arguments.
pub(crate) struct Run {
    /// Its name.
    pub(crate) program: String,
    /// What is said to it.
    pub(crate) args: Vec<String>,
}

/// Compile test programs: their paths, in their order.
pub(crate) fn compile(workspace: &Workspace, programs: &[&str]) -> Result<Vec<PathBuf>> {
    step("compile the tests", || {
        // As `cargo xtask test` has them, or each would compile everything again for itself.
        let mut compile =
            workspace.cargo(["test", "--locked", "--workspace", "--features", "manager/docker-tests"]);
        compile.args(["--no-run", "--message-format=json"]);
        programs.iter().for_each(|program| _ = compile.args(["--test", program]));
        let said = process::captured(&mut compile, LONG)?;
        let messages: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let path = |program: &str| {
            let made =
                messages.iter().find(|one| one["target"]["name"] == program && one["executable"].is_string());
            made.and_then(|one| one["executable"].as_str()).map(PathBuf::from)
        };
        programs
            .iter()
            .map(|program| path(program).with_context(|| format!("cargo names no test program `{program}`")))
            .collect()
    })
}

/// The names of the tests that a program would run with these arguments.
pub(crate) fn tests_of(program: &Path, args: &[String]) -> Result<Vec<String>> {
    let said = process::captured(process::command(program).args(args).arg("--list"), SHORT)?;
    Ok(said.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Make the disk, as a file in `scratch`.
pub(crate) fn make(
    workspace: &Workspace,
    engine: &Engine,
    scratch: &Path,
    driver: Driver,
    images: &[&str],
    runs: &[(Run, PathBuf)],
) -> Result<PathBuf> {
    let folder = scratch.join("payload");
    for path in ["programs", "runs", "bin", "root/manager/tests", "root/target/dist"] {
        fs::create_dir_all(folder.join(path))?;
    }
    let copy = |from: &Path, to: &str| {
        fs::copy(from, folder.join(to)).map(drop).with_context(|| from.display().to_string())
    };
    for (number, (run, path)) in runs.iter().enumerate() {
        copy(path, &format!("programs/{}", run.program))?;
        let lines: String = run.args.iter().map(|arg| format!("{arg}\n")).collect();
        fs::write(folder.join("runs").join(format!("{number}-{}", run.program)), lines)?;
    }
    let registry = found(REGISTRY).with_context(|| format!("there is no program `{REGISTRY}`"))?;
    copy(&registry, &format!("bin/{REGISTRY}"))?;
    for program in dist::PROGRAMS {
        copy(&workspace.dist().join(program), &format!("root/target/dist/{program}"))?;
    }
    let mut files = process::command("cp");
    files.arg("-a").arg(workspace.file("examples")).arg(folder.join("root"));
    process::captured(&mut files, SHORT)?;
    certificates::make(&folder.join("certificates"))?;
    let mut save = engine.docker(["save", "--output"]);
    save.arg(folder.join("images.tar")).args(images);
    process::captured(&mut save, LONG)?;
    let root = workspace.root.to_str().context("the path of the workspace is no text")?;
    if root.contains('\'') {
        bail!("{root}: this path cannot be written into a shell script");
    }
    let settings = [
        ("DRIVER", driver.name()),
        ("ADDRESS", ADDRESS),
        ("ROOT", root),
        ("TEST_IMAGE", bases::BUSYBOX),
        ("TOOLS_IMAGE", bases::TOOLS),
        ("THREADS", &THREADS.to_string()),
        ("SLOW", &SLOW.to_string()),
    ];
    let text: String = settings.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
    fs::write(folder.join("settings"), text)?;
    fs::write(folder.join("begin"), BEGIN)?;
    disk(&folder, &scratch.join("payload.img"))
}

/// A file system with all of a folder in it, and little room.
fn disk(folder: &Path, image: &Path) -> Result<PathBuf> {
    let size = size_of(folder)?;
    fs::File::create(image)?.set_len(size + size / 8 + (64 << 20))?;
    let mut make = process::command("mkfs.ext4");
    make.args(["-q", "-O", "^has_journal", "-d"]).arg(folder).arg(image);
    process::captured(&mut make, LONG)?;
    Ok(image.to_path_buf())
}

fn size_of(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        // Each begins in a block of its own.
        size += if about.is_dir() { size_of(&entry.path())? } else { about.len().next_multiple_of(4096) };
    }
    Ok(size)
}

/// Where a program of the search path is.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}
