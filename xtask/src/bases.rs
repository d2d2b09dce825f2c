//! Base images: pulled where a registry answers, made here where none does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::shell::{can_install, capture, capture_within, command, docker, have, install, quiet, step};

/// Debian's base image, as Docker Hub names it.
const DEBIAN: &str = "debian:bookworm-slim";
/// The small image that tests run.
pub(crate) const BUSYBOX: &str = "tandem-test/busybox:latest";
/// How long a registry is given.
const PULL: Duration = Duration::from_secs(20);

/// The engine has this image.
pub(crate) fn present(image: &str) -> bool {
    quiet(&mut docker(&["image", "inspect", image])).is_ok()
}

/// `debian:bookworm-slim`.
pub(crate) fn debian() -> Result<()> {
    if present(DEBIAN) {
        return Ok(());
    }
    let pulled = step(&format!("pull {DEBIAN}"), || {
        capture_within(&mut docker(&["pull", "--quiet", DEBIAN]), PULL)
    });
    if pulled.is_ok() {
        return Ok(());
    }
    if !can_install() {
        bail!("`{DEBIAN}` cannot be pulled; make it available to the engine, or run this as root on Debian");
    }
    if !have("debootstrap") {
        install(&["debootstrap"])?;
    }
    step(&format!("no registry answers: make {DEBIAN} with debootstrap"), || {
        let folder = tempfile::tempdir_in("/var/tmp")?;
        let root = folder.path().display().to_string();
        let mirror = mirror()?;
        quiet(&mut command("debootstrap", &["--variant=minbase", "bookworm", &root, &mirror]))?;
        // Packages come later by the machine's own way to them, whatever vouches for it.
        let authorities = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if authorities.exists() {
            fs::create_dir_all(folder.path().join("etc/ssl/certs"))?;
            fs::copy(authorities, folder.path().join("etc/ssl/certs/ca-certificates.crt"))?;
        }
        import(folder.path(), DEBIAN)
    })
}

/// An image in which the Dockerfiles build: the official one, or one of the machine's own toolchain.
pub(crate) fn rust() -> Result<String> {
    let official = "rust:1.95-bookworm";
    if present(official) {
        return Ok(official.to_owned());
    }
    let version = capture(&mut command("rustc", &["--version"]))?;
    let version = version.split(' ').nth(1).context("rustc names no version")?.to_owned();
    let own = format!("tandem-builder:{version}");
    if present(&own) {
        return Ok(own);
    }
    let pulled = step(&format!("pull {official}"), || {
        capture_within(&mut docker(&["pull", "--quiet", official]), PULL)
    });
    if pulled.is_ok() {
        return Ok(official.to_owned());
    }
    debian()?;
    step(&format!("make {own} of this machine's toolchain"), || {
        let context = tempfile::tempdir_in("/var/tmp")?;
        let sysroot = capture(&mut command("rustc", &["--print", "sysroot"]))?;
        let toolchain = context.path().join("toolchain");
        for part in ["bin", "lib"] {
            let from = format!("{sysroot}/{part}");
            fs::create_dir_all(&toolchain)?;
            quiet(&mut command("cp", &["-a", &from, &toolchain.display().to_string()]))?;
        }
        // What vouches for the package registry here must vouch for it there.
        let mut trust = String::new();
        let authorities = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if authorities.exists() {
            fs::copy(authorities, context.path().join("ca-certificates.crt"))?;
            trust.push_str("COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt\n");
            trust.push_str("ENV CARGO_HTTP_CAINFO=/etc/ssl/certs/ca-certificates.crt\n");
        }
        let config = cargo_config()?;
        fs::write(context.path().join("config.toml"), config)?;
        fs::write(
            context.path().join("Dockerfile"),
            format!(
                "FROM {DEBIAN}\n\
                 RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev ca-certificates\n\
                 {trust}COPY toolchain /usr/local\nCOPY config.toml /root/.cargo/config.toml\n"
            ),
        )?;
        quiet(&mut docker(&["build", "--quiet", "--tag", &own, &context.path().display().to_string()]))
    })?;
    Ok(own)
}

/// The small image that tests run: busybox, static.
pub(crate) fn busybox() -> Result<()> {
    if present(BUSYBOX) {
        return Ok(());
    }
    step(&format!("make {BUSYBOX} of Debian's busybox-static"), || {
        let context = tempfile::tempdir()?;
        let binary = static_busybox(context.path())?;
        fs::copy(binary, context.path().join("busybox"))?;
        fs::write(
            context.path().join("Dockerfile"),
            "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
             ENV PATH=/bin\nLABEL io.tandem.test-image=true\n",
        )?;
        quiet(&mut docker(&["build", "--quiet", "--tag", BUSYBOX, &context.path().display().to_string()]))
    })
}

/// The path of a busybox that needs no libraries.
fn static_busybox(scratch: &Path) -> Result<PathBuf> {
    let installed = PathBuf::from("/bin/busybox");
    let is_static = |path: &Path| {
        path.exists()
            && capture(&mut command("ldd", &[&path.display().to_string()])).map_or(true, |text| !text.contains("=>"))
    };
    if is_static(&installed) {
        return Ok(installed);
    }
    if !have("apt-get") {
        bail!("the test image is made of Debian's `busybox-static`: install it, or make `{BUSYBOX}` yourself");
    }
    // Unpacked rather than installed: it would push out a busybox that somebody chose.
    let mut download = command("apt-get", &["download", "-q", "busybox-static"]);
    if quiet(download.current_dir(scratch)).is_err() {
        quiet(&mut command("apt-get", &["update", "-q"]))?;
        quiet(&mut download)?;
    }
    let package = fs::read_dir(scratch)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
        .context("apt-get downloaded nothing")?;
    let to = scratch.join("busybox-static");
    quiet(&mut command("dpkg", &["-x", &package.display().to_string(), &to.display().to_string()]))?;
    [to.join("bin/busybox"), to.join("usr/bin/busybox")]
        .into_iter()
        .find(|path| path.exists())
        .context("there is no busybox in busybox-static")
}

/// The Debian mirror that this machine's own apt uses.
fn mirror() -> Result<String> {
    let mut places = vec![PathBuf::from("/etc/apt/sources.list")];
    for entry in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
        places.push(entry.path());
    }
    let text: Vec<String> = places.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let word = |line: &str| -> Option<String> {
        let line = line.trim();
        let rest = line.strip_prefix("URIs:").or_else(|| line.strip_prefix("deb "))?;
        let url = rest.split_whitespace().find(|word| word.contains("://"))?;
        (!url.contains("security")).then(|| url.to_owned())
    };
    text.iter().flat_map(|text| text.lines()).find_map(word).context("apt on this machine names no mirror")
}

/// Cargo's own settings of this machine, for instance a mirror of the registry; empty where it has none.
fn cargo_config() -> Result<String> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let Some(home) = home else { return Ok(String::new()) };
    Ok(fs::read_to_string(home.join("config.toml")).unwrap_or_default())
}

/// A folder as an image.
fn import(folder: &Path, image: &str) -> Result<()> {
    let mut tar = command("tar", &["-C", &folder.display().to_string(), "-c", "."]);
    let mut tar = tar.stdout(Stdio::piped()).spawn()?;
    let from = tar.stdout.take().context("tar has no output")?;
    let status = docker(&["import", "-", image]).stdin(from).stdout(Stdio::null()).status()?;
    if !(status.success() && tar.wait()?.success()) {
        bail!("the image `{image}` could not be imported");
    }
    Ok(())
}

/// Size of an image in bytes.
pub(crate) fn size(image: &str) -> Result<u64> {
    let text = capture(&mut docker(&["image", "inspect", "--format", "{{.Size}}", image]))?;
    Ok(text.parse()?)
}

/// Names and paths of the example's own images.
pub(crate) fn example_images() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("tandem-example/sidecar-app:latest", "examples/sidecar/app"),
        ("tandem-example/sidecar-proxy:latest", "examples/sidecar/proxy"),
    ])
}

/// Build the example's images.
pub(crate) fn examples() -> Result<()> {
    debian()?;
    for (image, folder) in example_images() {
        step(&format!("build {image}"), || {
            let context = crate::shell::root().join(folder).display().to_string();
            quiet(&mut docker(&["build", "--quiet", "--tag", image, &context]))
        })?;
    }
    Ok(())
}
