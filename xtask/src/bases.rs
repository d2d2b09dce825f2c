//! Base images: used where the engine has them, pulled where a registry answers, made here where none does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::engine::Engine;
use crate::interrupt;
use crate::packages;
use crate::process::{self, LONG, SHORT};
use crate::report::{note, step, tail};
use crate::workspace::Workspace;

/// Debian's base image, as Docker Hub names it.
const DEBIAN: &str = "debian:bookworm-slim";
/// Its release.
const RELEASE: &str = "bookworm";
/// The small image that tests run.
pub(crate) const BUSYBOX: &str = "tandem-test/busybox:latest";
/// What an attacker brings along, and a filter for the socket.
pub(crate) const TOOLS: &str = "tandem-test/tools:latest";
/// The label of every image that is made for tests only.
pub(crate) const TEST_LABEL: &str = "tandem.test-image";
/// How long a registry may take until it answers.
const ANSWER: Duration = Duration::from_secs(20);
/// This machine's certificate authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// `debian:bookworm-slim`.
pub(crate) fn debian(workspace: &Workspace, engine: &Engine) -> Result<()> {
    if engine.has_image(DEBIAN)? || pull(workspace, engine, DEBIAN)? {
        return Ok(());
    }
    if !process::installed("debootstrap") {
        let otherwise = format!(
            "`{DEBIAN}` cannot be pulled: let the engine reach a registry, or `docker load` the image; as root on \
             Debian it is made here"
        );
        packages::install(workspace, &["debootstrap"], &otherwise)?;
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("`{DEBIAN}` cannot be pulled, and only root can make it: run this once as root");
    }
    step(&format!("make {DEBIAN} with debootstrap"), || {
        let scratch = workspace.scratch()?;
        let root = scratch.path().join("root");
        // It mounts /proc and more: in a mount namespace of its own nothing of that can stay.
        let mut debootstrap = process::command("unshare");
        debootstrap.args(["--mount", "debootstrap", "--variant=minbase", RELEASE]).arg(&root);
        if let Some(mirror) = mirror()? {
            debootstrap.arg(mirror);
        }
        process::logged(&mut debootstrap, &workspace.log("debootstrap")?, LONG)?;
        fs::write(root.join("etc/apt/apt.conf.d/90machine"), apt_settings()?)?;
        let mut tar = process::command("tar");
        tar.arg("-C").arg(&root).args(["--numeric-owner", "--exclude=./var/cache/apt/*.bin"]);
        tar.args(["--exclude=./var/cache/apt/archives/*.deb", "--exclude=./var/lib/apt/lists/*"]);
        // As the slim image has it.
        tar.args(["--exclude=./usr/share/doc/*", "--exclude=./usr/share/locale/*"]);
        tar.args(["-c", "."]);
        let mut import = engine.docker(["import", "--change", "CMD [\"bash\"]", "-", DEBIAN]);
        process::piped(&mut tar, &mut import, LONG)
    })
}

/// The image that the Dockerfiles build in: theirs, or one of the same contract (Rust, a C linker, the static C library)
/// made of Debian's base and this machine's own toolchain.
pub(crate) fn rust(workspace: &Workspace, engine: &Engine) -> Result<String> {
    let dockerfile = workspace.file("Dockerfile.manager");
    let text = fs::read_to_string(&dockerfile)?;
    let official = text.lines().find_map(|line| line.strip_prefix("ARG RUST="));
    let official = official.with_context(|| format!("{} has no `ARG RUST=`", dockerfile.display()))?;
    if engine.has_image(official)? {
        return Ok(official.to_owned());
    }
    let version = rustc(&["--version"])?;
    let version = version.split(' ').nth(1).context("`rustc --version` names no version")?;
    let own = format!("tandem-builder:{version}");
    if engine.has_image(&own)? {
        return Ok(own);
    }
    if pull(workspace, engine, official)? {
        return Ok(official.to_owned());
    }
    let host = rustc(&["-vV"])?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    if !host.ends_with("-linux-gnu") {
        bail!("`{official}` cannot be pulled, and the toolchain of this machine, {host}, does not run in it");
    }
    debian(workspace, engine)?;
    step(&format!("make {own} of this machine's toolchain"), || {
        let trust = Path::new(AUTHORITIES).exists();
        let mut text = format!(
            "FROM {DEBIAN}\n\
             RUN apt-get update \\\n \
             && apt-get install -y --no-install-recommends gcc libc6-dev ca-certificates \\\n \
             && rm -rf /var/lib/apt/lists/*\n\
             COPY toolchain /usr/local\n"
        );
        if trust {
            // What vouches for the package registry here must vouch for it there.
            text += &format!("COPY authorities {AUTHORITIES}\nENV CARGO_HTTP_CAINFO={AUTHORITIES}\n");
            text += &format!("ENV SSL_CERT_FILE={AUTHORITIES}\n");
        }
        let mut context = Context::new(workspace, &text)?;
        if trust {
            context.file("authorities", Path::new(AUTHORITIES), 0o644)?;
        }
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?);
        for program in ["cargo", "rustc"] {
            context.file(&format!("toolchain/bin/{program}"), &sysroot.join("bin").join(program), 0o755)?;
        }
        for entry in fs::read_dir(sysroot.join("lib"))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let path = format!("toolchain/lib/{}", entry.file_name().to_string_lossy());
                context.file(&path, &entry.path(), 0o755)?;
            }
        }
        let library = format!("lib/rustlib/{host}");
        context.folder(&format!("toolchain/{library}"), &sysroot.join(&library))?;
        context.build(workspace, engine, &own, &[])
    })?;
    Ok(own)
}

/// An image for tests is there, and was made here.
fn made(engine: &Engine, image: &str) -> Result<bool> {
    Ok(engine.has_image(image)? && engine.inspect("image", image)?["Config"]["Labels"][TEST_LABEL] == "true")
}

/// The image with real tools for an attacker, and a real filter for the socket.
pub(crate) fn tools(workspace: &Workspace, engine: &Engine) -> Result<()> {
    if made(engine, TOOLS)? {
        return Ok(());
    }
    debian(workspace, engine)?;
    step(&format!("make {TOOLS} of Debian's curl, gdb, haproxy and strace"), || {
        let text = format!(
            "FROM {DEBIAN}\n\
             RUN apt-get update && apt-get install -y --no-install-recommends curl gdb haproxy strace \\\n \
             && rm -rf /var/lib/apt/lists/*\n\
             LABEL {TEST_LABEL}=true\n"
        );
        Context::new(workspace, &text)?.build(workspace, engine, TOOLS, &[])
    })
}

/// The small image that tests run: Debian's busybox-static, and nothing else.
pub(crate) fn busybox(workspace: &Workspace, engine: &Engine) -> Result<()> {
    if made(engine, BUSYBOX)? {
        return Ok(());
    }
    debian(workspace, engine)?;
    step(&format!("make {BUSYBOX} of Debian's busybox-static"), || {
        // Taken out of a package inside the build: no machine has to have it.
        let text = format!(
            "FROM {DEBIAN} AS fetch\n\
             RUN apt-get update && apt-get install -y --no-install-recommends busybox-static \\\n \
             && mkdir -p /out/bin /out/tmp /out/etc /out/proc && chmod 1777 /out/tmp \\\n \
             && cp \"$(command -v busybox)\" /out/bin/busybox && /out/bin/busybox --install -s /out/bin \\\n \
             && for link in /out/bin/*; do [ ! -L \"$link\" ] || ln -sf busybox \"$link\"; done\n\
             FROM scratch\n\
             COPY --from=fetch /out /\n\
             LABEL {TEST_LABEL}=true\n\
             CMD [\"sh\"]\n"
        );
        Context::new(workspace, &text)?.build(workspace, engine, BUSYBOX, &[])
    })
}

/// Pull an image, if a registry can be had. That none can is nothing wrong: the image is made here then.
fn pull(workspace: &Workspace, engine: &Engine, image: &str) -> Result<bool> {
    step(&format!("pull {image}, if a registry answers"), || {
        let log = workspace.log(&format!("pull-{image}"))?;
        let output = File::create(&log)?;
        let said = || -> Result<String> { Ok(String::from_utf8_lossy(&fs::read(&log)?).into_owned()) };
        let mut pull = engine.docker(["pull", image]);
        let mut child = process::spawn(pull.stdout(output.try_clone()?).stderr(output))?;
        let began = Instant::now();
        let ended = process::until("the download", LONG, || {
            let ended = child.try_wait()?;
            // The limit is for an answer; from then on the download may take its time.
            if ended.is_none() && began.elapsed() > ANSWER && !said()?.contains("Pulling ") {
                bail!("no registry answers within {} s", ANSWER.as_secs());
            }
            Ok(ended)
        });
        let reason = match ended {
            Ok(status) if status.success() => return Ok(true),
            Ok(_) => tail(&said()?, 1),
            Err(error) => {
                process::end(&mut child);
                interrupt::check()?;
                format!("{error:#}")
            }
        };
        note(&format!("not to be had, so it is made here: {reason}"));
        Ok(false)
    })
}

/// The mirror that this machine's own apt gets Debian from; none where it gets something else.
pub(crate) fn mirror() -> Result<Option<String>> {
    let mut targets = process::command("apt-get");
    targets.args(["indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(CODENAME) $(REPO_URI)"]);
    targets.arg("Created-By: Packages");
    // Known after `apt-get update` only.
    let list = process::captured(&mut targets, SHORT).unwrap_or_default();
    let places: Vec<Vec<&str>> = list.lines().map(|line| line.split(' ').collect()).collect();
    let found = places.iter().find_map(|place| match place[..] {
        ["Debian", "main", codename, uri] if !codename.contains('-') => Some(uri.to_owned()),
        _ => None,
    });
    Ok(found)
}

/// What this machine needs to reach its mirror: a proxy, or less care about the date.
fn apt_settings() -> Result<String> {
    let mut dump = process::command("apt-config");
    dump.args(["dump", "Acquire::Check-Valid-Until", "Acquire::Check-Date"]);
    dump.args(["Acquire::http::Proxy", "Acquire::https::Proxy"]);
    Ok(process::captured(&mut dump, SHORT)? + "\n")
}

/// What this machine's compiler says of itself.
fn rustc(args: &[&str]) -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    process::captured(process::command(program).args(args), SHORT)
}
