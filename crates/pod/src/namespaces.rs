//! Where components get their namespaces from.

/// Where components get their namespaces from. The network is always the task container's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Who holds the PID namespace, `None` where each component has its own.
    pub pid: Option<Holder>,
    /// Who holds the IPC namespace, `None` where each component has its own.
    pub ipc: Option<Holder>,
    /// Size of the shared `/dev/shm` in bytes, where the sandbox holds it and somebody asked.
    pub shm_size_bytes: Option<i64>,
    /// Parent cgroup of everything in the pod; `None` leaves it to the engine.
    pub cgroup_parent: Option<String>,
}

/// The container that holds a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The task container.
    Task,
    /// The sandbox.
    Sandbox,
}

impl Namespaces {
    /// A sandbox is needed: it holds something.
    pub fn sandbox(&self) -> bool {
        self.pid == Some(Holder::Sandbox) || self.ipc == Some(Holder::Sandbox)
    }
}
