//! Holds pods to their tasks' limits: by a cgroup of the pod's own where the operator has given the means to make one, and
//! takes it away again.

pub mod cgroupfs;
pub mod dbus;
pub mod systemd;

use std::path::{Path, PathBuf};

use tracing::{debug, warn};

use crate::cgroups::cgroupfs::Tree;
pub use crate::cgroups::cgroupfs::{groups_in, mounted};
pub use crate::cgroups::systemd::socket as bus_socket;
use crate::cgroups::systemd::{Bus, BusError};
use crate::remote_pod;
use crate::startup::own_container;
use engine::EngineInfo;
use pod::cgroups::{Arrangement, Cgroups, Held, Means, arrange, nested};
use pod::identity::short;
use pod::task_container::TaskContainer;

/// What the warning says of a rootless engine, where a manager is an ordinary user too.
const ROOTLESS: &str = "the engine is rootless, and its containers are in cgroups of its user's own systemd, which cannot be \
                        asked from a container";

/// With what pods are held to their tasks' limits.
pub struct Limiter {
    cgroups: Cgroups,
    own_cgroups: String,
    bus_socket: Option<PathBuf>,
    with: With,
}

/// The cgroup of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodCgroup {
    /// Short id of the pod.
    pub pod: String,
    /// There is no process in it.
    pub empty: bool,
}

/// What the operator has given.
enum With {
    Nothing,
    /// It is of no use, and why.
    Useless(String),
    Bus(Bus),
    Tree(Tree),
}

impl Limiter {
    /// What there is at this engine, opened while that can be done. `own` is the manager's container.
    pub async fn open(info: &EngineInfo, own: &TaskContainer) -> Self {
        let cgroups = Cgroups::of(info.cgroup_version, &info.cgroup_driver);
        let bus_socket = bus_socket(own);
        let with = match (cgroups.means(), &bus_socket, mounted()) {
            (Some(_), ..) if info.rootless => Err(ROOTLESS.to_owned()),
            (Some(Means::Bus), Some(socket), _) => Bus::open(socket, &info.id).await.map(With::Bus),
            (Some(Means::Tree), _, Some(tree)) => Tree::open(&tree, &info.id).map(With::Tree),
            _ => Ok(With::Nothing),
        };
        let with = with.unwrap_or_else(With::Useless);
        Limiter { cgroups, own_cgroups: own_container::own_cgroups(), bus_socket, with }
    }

    /// The folder in which it makes and removes cgroups, where it does so by itself.
    pub fn groups(&self) -> Option<&Path> {
        match &self.with {
            With::Tree(tree) => Some(tree.folder()),
            With::Nothing | With::Useless(_) | With::Bus(_) => None,
        }
    }

    /// The socket of the host's D-Bus, where the manager's container has it.
    pub fn bus_socket(&self) -> Option<&Path> {
        self.bus_socket.as_deref()
    }

    /// How the pod of `task` is held, from now on; `own` is the manager's container.
    pub async fn arrange(&self, own: &TaskContainer, task: &TaskContainer) -> Arrangement {
        let held = match &self.with {
            With::Nothing => Held::NoMeans,
            With::Useless(why) => Held::Failed(why.clone()),
            With::Bus(bus) => bus.hold(task).await.map_or_else(Held::Failed, Held::In),
            With::Tree(tree) => tree.hold(task).map_or_else(Held::Failed, Held::In),
        };
        self.arrange_with(held, own, task)
    }

    /// The same where it is known before a cgroup is made.
    pub fn arrange_early(&self, own: &TaskContainer, task: &TaskContainer) -> Option<Arrangement> {
        let held = match &self.with {
            With::Nothing => Held::NoMeans,
            With::Useless(why) => Held::Failed(why.clone()),
            With::Bus(_) | With::Tree(_) => return None,
        };
        Some(self.arrange_with(held, own, task))
    }

    fn arrange_with(&self, held: Held, own: &TaskContainer, task: &TaskContainer) -> Arrangement {
        let nested = || nested(&remote_pod::cgroups_of(&self.own_cgroups, own, task), task);
        arrange(self.cgroups, nested, held, &task.limits)
    }

    /// The pod is over, and nothing of it is left: its cgroup goes too.
    pub async fn release(&self, pod: &str) {
        let released = match &self.with {
            With::Nothing | With::Useless(_) => return,
            With::Bus(bus) => match bus.release(pod).await {
                // Said already, when it broke.
                Err(BusError::Gone) => return,
                released => released.map_err(|error| error.to_string()),
            },
            With::Tree(tree) => tree.release(pod).map_err(|error| error.to_string()),
        };
        match released {
            Ok(()) => {}
            Err(error) => warn!("the cgroup of the pod {} is left: {error}", short(pod)),
        }
    }

    /// Cgroups of pods of this engine.
    pub async fn cgroups(&self) -> Vec<PodCgroup> {
        let found = match &self.with {
            With::Nothing | With::Useless(_) => return Vec::new(),
            With::Bus(bus) => bus.slices().await.map_err(|error| error.to_string()),
            With::Tree(tree) => tree.groups().map_err(|error| error.to_string()),
        };
        found.unwrap_or_else(|error| {
            debug!("not looking for cgroups of dead pods: {error}");
            Vec::new()
        })
    }
}
