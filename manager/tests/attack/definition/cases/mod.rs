//! The sets of labels, each with what it is after and the words that it meets.

mod files;
mod images;
mod options;
mod paths;
mod pods;
mod typed;
mod volumes;
mod within;

use super::Case;

/// What sets of labels are after.
const ENGINE: &str = "engine";
const KEY: &str = "engine by key";
const OTHER: &str = "other engine sockets";
const FOLDER: &str = "host folder";
const PROC: &str = "/proc";
const TERMINAL: &str = "terminal";
const SOCKET: &str = "unix socket";
const PORT: &str = "loopback port";
const VOLUME: &str = "another pod's volume";
const CONTAINER: &str = "another pod's container";
/// Rights of the kernel that lead to all of these.
const RIGHTS: &str = "capability";
const KERNEL: &str = "kernel";
const DEVICE: &str = "device";
/// A secret in the manager's own log.
const LOG: &str = "the log";

/// Words of refusals.
const TYPE_IT: &str = "--allow host-paths=";
const SOCKET_TOO: &str = "--allow engine-socket";
const NO_BINDS: &str = "control `restrictedVolumes`";
const NAME_IT: &str = "--allow volumes=";
const MANAGERS: &str = "which no component may have";

/// A path that the operator did not type.
const UNTYPED: [&str; 3] = [TYPE_IT, TYPE_IT, NO_BINDS];
/// A path through which one reaches the engine.
const EXPOSES: [&str; 3] = [SOCKET_TOO, SOCKET_TOO, NO_BINDS];

/// Every case, in the order of the table.
pub(super) fn all() -> Vec<Case> {
    let parts = [
        paths::all(),
        typed::all(),
        volumes::all(),
        files::all(),
        options::all(),
        within::all(),
        images::all(),
        pods::all(),
    ];
    parts.into_iter().flatten().collect()
}
