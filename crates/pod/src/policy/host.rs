//! The facts about the pod's host that a policy needs.

use super::engine_paths::EnginePaths;
use super::local_hosts::NodeNames;
use super::manager_files::{ManagerFiles, SOCKET, services};
use crate::task_container::TaskContainer;

/// The host, as far as the policy needs to know it.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Paths that give control of the engine.
    pub engine: EnginePaths,
    /// Files of the manager.
    pub manager: ManagerFiles,
    /// Names and addresses of the node.
    pub node: NodeNames,
}

impl Host {
    /// A host of which only the engine's socket is known. `socket` is a path of the host, and `own` is a
    /// container that may have it mounted.
    pub fn with_socket(own: &TaskContainer, socket: Option<&str>) -> Self {
        let mounted = own.mounts.iter().filter(|mount| Some(mount.source.as_str()) == socket);
        let inside = mounted.map(|mount| mount.target.as_str()).chain(["/var/run/docker.sock"]);
        let inside = inside.map(|path| (path.to_owned(), SOCKET)).chain(services(own));
        Host {
            engine: EnginePaths::of(socket, &[]),
            manager: ManagerFiles::of(own, inside),
            node: NodeNames::default(),
        }
    }
}
