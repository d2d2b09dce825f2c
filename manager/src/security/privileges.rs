#![expect(clippy::disallowed_methods, reason = "looks at the socket, and at its own process in /proc")]
//! Gives up what the manager needs no more once it has opened everything: root, capabilities, the right
//! to gain any. A component that gets hold of the manager then holds little more than it had.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

/// The user that the manager becomes: `nobody`-like, in no image's `/etc/passwd`.
pub const USER: u32 = 65529;

/// What could not be given up, or held back.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    /// A system call failed.
    #[error("cannot {what}: {error}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: String,
    },
    /// Capabilities belong to threads: another one would keep them.
    #[error("cannot give up capabilities: the process has {0} threads already")]
    Threads(usize),
}

/// What the manager is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its user id.
    pub user: u32,
    /// Why it is still root, where it is.
    pub still_root: Option<&'static str>,
}

/// The first thing in the life of the process: nobody may look into it, whatever it holds later.
///
/// # Errors
/// Never on Linux 2.4 and newer.
pub fn set_not_dumpable() -> Result<(), HardenError> {
    prctl::set_dumpable(false).map_err(|error| refused("set PR_SET_DUMPABLE 0", error))
}

/// Give up everything but the way to the engine: `socket` is its unix socket, if it is one.
///
/// Must be called while the process has one thread: capabilities belong to threads.
///
/// # Errors
/// When there is another thread, or the kernel does not let go of something. The caller must end then.
pub fn drop_privileges(socket: Option<&Path>) -> Result<Standing, HardenError> {
    let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return Err(HardenError::Threads(threads));
    }
    prctl::set_no_new_privs().map_err(|error| refused("set PR_SET_NO_NEW_PRIVS", error))?;
    // Only SETPCAP can cut the bounding set; without capabilities and with no_new_privs it bounds nothing.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        caps::clear(None, CapSet::Bounding).map_err(|error| refused("cut the bounding set", error))?;
    }
    let still_root = if geteuid().is_root() { become_user(socket)? } else { None };
    drop_capabilities()?;
    // A change of user sets it to what /proc/sys/fs/suid_dumpable says.
    set_not_dumpable()?;
    Ok(Standing { user: geteuid().as_raw(), still_root })
}

/// From root to [`USER`], with the socket's group alone. `Some` is why not.
fn become_user(socket: Option<&Path>) -> Result<Option<&'static str>, HardenError> {
    let has = |cap| caps::has_cap(None, CapSet::Effective, cap).unwrap_or(false);
    if !has(Capability::CAP_SETUID) || !has(Capability::CAP_SETGID) {
        return Ok(Some("the capabilities SETUID and SETGID are dropped"));
    }
    // pause is root and signals the manager: across users that takes CAP_KILL.
    if !pause_can_signal() {
        return Ok(Some("the capability KILL is dropped, and pause could not signal another user"));
    }
    let group = match socket.map(fs::metadata).transpose() {
        Ok(None) => USER,
        Ok(Some(meta)) if meta.mode() & 0o020 != 0 => meta.gid(),
        Ok(Some(meta)) if meta.mode() & 0o002 != 0 => USER,
        Ok(Some(_)) => return Ok(Some("the engine's socket is open to root alone")),
        // The engine is away for a moment; whoever it will belong to, root will do.
        Err(_) => return Ok(Some("the engine's socket is not there to tell its group")),
    };
    let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
    setgroups(&[Gid::from_raw(group)]).map_err(|error| refused("set the groups", error))?;
    setresgid(gid, gid, gid).map_err(|error| refused("change the group", error))?;
    setresuid(uid, uid, uid).map_err(|error| refused("change the user", error))?;
    Ok(None)
}

/// PID 1 can signal a process of another user: it has CAP_KILL in effect.
fn pause_can_signal() -> bool {
    let status = fs::read_to_string("/proc/1/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    mask & Capability::CAP_KILL.bitmask() != 0
}

fn drop_capabilities() -> Result<(), HardenError> {
    for (set, what) in [
        (CapSet::Ambient, "clear ambient capabilities"),
        (CapSet::Inheritable, "clear inheritable capabilities"),
        (CapSet::Effective, "clear effective capabilities"),
        (CapSet::Permitted, "clear permitted capabilities"),
    ] {
        caps::set(None, set, &CapsHashSet::new()).map_err(|error| refused(what, error))?;
    }
    Ok(())
}

/// The programs of this container are files that can be executed and not read.
pub fn programs_unreadable() -> bool {
    let unreadable = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o444 == 0);
    unreadable(Path::new("/pause")) && std::env::current_exe().is_ok_and(|path| unreadable(&path))
}

/// Descriptors up to what the operator allows: `pod.copy` holds one a file.
///
/// # Errors
/// When the limit cannot be read or raised.
pub fn raise_descriptor_limit() -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

fn refused(what: &'static str, error: impl ToString) -> HardenError {
    HardenError::Refused { what, error: error.to_string() }
}
