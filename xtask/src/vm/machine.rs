//! A virtual machine that boots from an image, runs what its second disk says, and is gone. Nothing that it writes stays:
//! any number of them share an image.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::image::Image;
use crate::process::{self, SHORT};
use crate::report::tail;

/// How long it may take from power-on to the first word. On an idle machine it takes half a minute.
const BOOT: Duration = Duration::from_secs(5 * 60);
/// How many lines of the console are shown when something went wrong.
const CONSOLE_LINES: usize = 30;
/// What the lines for us begin with.
const MARK: &str = "tandem-vm: ";

/// The processor runs its instructions. `/dev/kvm` alone says little: a machine that is itself virtual can have one that
/// boots special kernels only (PVM).
pub(crate) fn accelerated() -> bool {
    let module = ["kvm_intel", "kvm_amd"].iter().any(|name| Path::new("/sys/module").join(name).exists());
    module && fs::File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

/// Boot it with this disk beside its own, and hand each line that it says to `hear`, those for us without their mark and
/// with `true`. It is to end by itself: within the limit, or it is ended, which is an error. What its console showed last is
/// returned.
pub(crate) fn run(
    image: &Image,
    payload: &Path,
    scratch: &Path,
    limit: Duration,
    mut hear: impl FnMut(&str, bool),
) -> Result<String> {
    let console = scratch.join("console.log");
    let mut qemu = qemu(image, payload, &console);
    // It keeps there what is written to the disks.
    qemu.env("TMPDIR", scratch).stdout(Stdio::piped());
    let mut child = process::spawn(&mut qemu)?;
    let output = child.stdout.take().context("invariant: the output was asked for")?;
    let lines = lines(output);
    let (began, mut up) = (Instant::now(), false);
    let heard = process::until("the end of the virtual machine", limit, || {
        loop {
            match lines.try_recv() {
                Ok(line) => {
                    up = true;
                    let ours = line.strip_prefix(MARK);
                    hear(ours.unwrap_or(&line), ours.is_some());
                }
                Err(TryRecvError::Disconnected) => return Ok(Some(())),
                Err(TryRecvError::Empty) => break,
            }
        }
        if !up && began.elapsed() > BOOT {
            bail!("the virtual machine has said nothing for {} s", BOOT.as_secs());
        }
        Ok(None)
    });
    let ended = match heard {
        Ok(()) => process::wait(&mut child, &qemu, SHORT).and_then(|status| {
            if !status.success() {
                bail!("`{}` failed: {status}", process::words(&qemu));
            }
            Ok(())
        }),
        Err(error) => {
            process::end(&mut child);
            Err(error)
        }
    };
    crate::interrupt::check()?;
    let bytes = fs::read(&console).unwrap_or_default();
    let shown = tail(&String::from_utf8_lossy(&bytes).replace('\r', ""), CONSOLE_LINES);
    ended.with_context(|| format!("its console ends with:\n{shown}"))?;
    Ok(shown)
}

fn qemu(image: &Image, payload: &Path, console: &Path) -> Command {
    let mut qemu = process::command("qemu-system-x86_64");
    if accelerated() {
        qemu.args(["-accel", "kvm", "-cpu", "host"]);
    } else {
        // Not `max`: what a processor has for speed costs time where it is made of software.
        qemu.args([
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "qemu64,-svm,+cx16,+popcnt,+rdrand,+ssse3,+sse4.1,+sse4.2",
        ]);
    }
    qemu.args(["-nodefaults", "-smp", "2", "-m", "4096"]);
    // A panic restarts it at once, which ends it.
    qemu.args(["-no-reboot", "-display", "none", "-monitor", "none", "-nic", "none"]);
    qemu.arg("-kernel").arg(image.kernel()).arg("-initrd").arg(image.initrd()).arg("-append");
    // Where instructions are software, clearing each page twice is felt, and so is `rep stos` (bit 112: `rep_good`).
    let speed = "mitigations=off init_on_alloc=0 clearcpuid=112";
    qemu.arg(format!("root=/dev/vda rw console=ttyS0 panic=-1 TERM=dumb systemd.show_status=error {speed}"));
    // A comma in a path is written twice.
    let disk = |path: &Path, more: &str| {
        format!("file={},format=raw,if=virtio,{more}", path.display().to_string().replace(',', ",,"))
    };
    qemu.arg("-drive").arg(disk(&image.disk(), "snapshot=on,cache=unsafe"));
    qemu.arg("-drive").arg(disk(payload, "readonly=on"));
    qemu.arg("-serial").arg(format!("file:{}", console.display())).args(["-serial", "stdio"]);
    qemu
}

/// The lines of an output, read by a thread: a full pipe would stop the machine.
fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (to_here, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(std::result::Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if to_here.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
