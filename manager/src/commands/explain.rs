#![expect(clippy::disallowed_methods, reason = "reads what the kernel tells of this process and of pause")]
//! `manager run --explain-privileges`: what the manager and pause hold while a pod runs, and why.
//!
//! Nothing of it is claimed: the manager gives up and confines itself as it does for a pod, and then prints what the
//! kernel says of it.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read, Seek};

use caps::Capability;

use crate::cgroups;
use crate::cli::RunArgs;
use crate::error::Refusal;
use crate::security::confine::{EngineTransport, Landlock, confine};
use crate::security::privileges;
use crate::startup::context::engine_of;
use pod::exit_status::STATUS_REFUSED;
use pod::task_container::TaskContainer;

/// A value, and why it is what it is.
struct Line {
    what: &'static str,
    value: String,
    why: String,
}

/// Give up everything that a manager gives up, and tell what is left.
///
/// # Errors
/// Where there is no such engine, or the kernel does not let go of something.
pub fn explain(args: &RunArgs) -> Result<String, Refusal> {
    let failed = |words: String| Refusal { status: STATUS_REFUSED, words };
    let (address, socket) = engine_of(args)?;
    let unreadable = |error: io::Error| failed(format!("cannot read /proc/self/status: {error}"));
    // Opened now: later there is no right to open anything.
    let mut own = File::open("/proc/self/status").map_err(unreadable)?;
    let before = Status::read(&mut own).map_err(unreadable)?;
    let pause = File::open("/proc/1/status").and_then(|mut file| Status::read(&mut file)).ok();
    let programs = privileges::programs_unreadable();
    let groups = cgroups::mounted().map(|tree| cgroups::groups_in(&tree));
    let bus = cgroups::bus_socket(&TaskContainer::default());

    let standing =
        privileges::drop_privileges(socket.as_deref()).map_err(|error| failed(error.to_string()))?;
    let confinement = confine((&address).into(), groups.as_deref());
    let now = Status::read(&mut own).map_err(unreadable)?;
    let dumpable = nix::sys::prctl::get_dumpable().map_err(|error| failed(error.to_string()))?;

    let line = |what, value: String, why: &str| Line { what, value, why: why.to_owned() };
    let nothing = "in every set, the bounding set too: there is none to use and none to gain";
    let lines = [
        line(
            "user",
            format!("{} (group {})", now.first("Uid"), now.first("Gid")),
            standing.still_root.unwrap_or("no file and no process of the node is this user's"),
        ),
        line(
            "groups",
            now.get("Groups").to_owned(),
            &match &socket {
                Some(path) => format!("the group of {}: the way to the engine", path.display()),
                None => format!("none is needed: the engine is at {address}"),
            },
        ),
        line("capabilities", now.every_capability(), nothing),
        line("no_new_privs", now.get("NoNewPrivs").to_owned(), "no program could bring any back"),
        line(
            "dumpable",
            u8::from(dumpable).to_string(),
            if programs {
                "nobody but root of the host looks into it; its program cannot be read, so not for an instant"
            } else {
                "nobody but root of the host looks into it (its program can be read: for an instant they can)"
            },
        ),
        line(
            "system calls",
            match &confinement.system_calls {
                Ok(count) => format!("{count}"),
                Err(error) => format!("all: {error}"),
            },
            &format!(
                "seccomp: none starts a program or a process{}; {}",
                if groups.is_some() { "" } else { ", or opens a file" },
                ways((&address).into())
            ),
        ),
        line(
            "files",
            match (&confinement.landlock, EngineTransport::from(&address), &groups) {
                (Landlock::None(why), ..) => format!("as its user may: {why}"),
                (_, EngineTransport::Tcp { named: true, .. }, None) => "/etc".to_owned(),
                (_, EngineTransport::Tcp { named: true, .. }, Some(groups)) => {
                    format!("/etc, {}", groups.display())
                }
                (_, _, Some(groups)) => groups.display().to_string(),
                _ => "none".to_owned(),
            },
            match &groups {
                Some(_) => "Landlock: the cgroups of pods; what else it reads later it has open",
                None => {
                    "Landlock: what it reads later it has open: `pod.copy` sources, secrets, certificates"
                }
            },
        ),
        line(
            "systemd",
            bus.as_ref().map_or_else(|| "not reached".to_owned(), |path| path.display().to_string()),
            match &bus {
                Some(_) => {
                    "D-Bus, with the systemd driver: its connection is root's, and systemd does what it is asked"
                }
                None => "the host's D-Bus is not mounted",
            },
        ),
        line(
            "ports, signals",
            match &confinement.landlock {
                Landlock::Whole => "none but the engine's".to_owned(),
                Landlock::Partly => "as far as this kernel has it".to_owned(),
                Landlock::None(_) => "not restricted".to_owned(),
            },
            "Landlock: no TCP port, no abstract socket, no signal to others",
        ),
    ];
    let mut text = String::from("What the manager holds while a pod runs, as the kernel tells, and why:\n\n");
    table(&mut text, &lines);
    let _ = write!(
        text,
        "\nUntil everything is open it is user {} with these capabilities: {}. With them it reads `pod.copy` sources, \
         secrets and registries' credentials of any owner, and becomes the user above.\n",
        before.first("Uid"),
        before.capabilities("CapEff"),
    );
    match pause.filter(|status| status.get("Name").starts_with("pause")) {
        Some(pause) => {
            let _ = write!(
                text,
                "\nWhat pause (PID 1) holds:\n\n  user {}; in effect: {}; permitted: {}; no_new_privs: {}\n\n\
                 KILL is for signals to the manager, another user. What else it is permitted is what a manager that is \
                 started again opens with.\n",
                pause.first("Uid"),
                pause.capabilities("CapEff"),
                pause.capabilities("CapPrm"),
                pause.get("NoNewPrivs"),
            );
        }
        None => text.push_str("\npause is not PID 1 here.\n"),
    }
    Ok(text)
}

fn ways(way: EngineTransport) -> &'static str {
    match way {
        EngineTransport::Unix => "sockets are unix sockets",
        EngineTransport::Tcp { named: false, .. } => "sockets are IP sockets",
        EngineTransport::Tcp { named: true, .. } => "sockets are IP sockets and those of the resolver",
    }
}

fn table(text: &mut String, lines: &[Line]) {
    let width = |of: &dyn Fn(&Line) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let (what, value) = (width(&|line| line.what.len()), width(&|line| line.value.len()));
    for line in lines {
        let _ = writeln!(text, "  {:what$}  {:value$}  {}", line.what, line.value, line.why);
    }
}

/// `/proc/<pid>/status`.
struct Status(String);

impl Status {
    fn read(file: &mut File) -> io::Result<Self> {
        let mut text = String::new();
        file.rewind()?;
        file.read_to_string(&mut text)?;
        Ok(Status(text))
    }

    fn get(&self, key: &str) -> &str {
        let mut lines = self.0.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap_or("unknown").trim()
    }

    /// The first of several values: the real user id.
    fn first(&self, key: &str) -> &str {
        self.get(key).split_whitespace().next().unwrap_or_default()
    }

    /// Names of the capabilities in a set.
    fn capabilities(&self, set: &str) -> String {
        let Ok(mask) = u64::from_str_radix(self.get(set), 16) else { return "unknown".into() };
        let all = caps::all();
        let mut names: Vec<String> = all.iter().filter(|cap| mask & cap.bitmask() != 0).map(name).collect();
        names.sort();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// The capabilities of every set, `none` where there is none in any.
    fn every_capability(&self) -> String {
        let sets = [
            ("CapEff", "effective"),
            ("CapPrm", "permitted"),
            ("CapInh", "inheritable"),
            ("CapAmb", "ambient"),
            ("CapBnd", "bounding"),
        ];
        let held = sets.into_iter().filter_map(|(key, word)| {
            let names = self.capabilities(key);
            (names != "none").then(|| format!("{word}: {names}"))
        });
        let held: Vec<String> = held.collect();
        if held.is_empty() { "none".into() } else { held.join("; ") }
    }
}

fn name(capability: &Capability) -> String {
    capability.to_string().trim_start_matches("CAP_").to_owned()
}
