//! Names and labels that tie a container to its pod.

use std::collections::BTreeMap;

/// Label: id of the task container whose pod it belongs to.
pub const LABEL_POD: &str = "io.tandem.pod";
/// Label: what it is in the pod, one of [`Role`]'s words.
pub const LABEL_ROLE: &str = "io.tandem.role";
/// Label: the component's name.
pub const LABEL_COMPONENT: &str = "io.tandem.component";
/// Label: `StartedAt` of the task container when it was created.
pub const LABEL_RUN: &str = "io.tandem.run";
/// Label: id of the container whose manager created it. With the state of that container it tells whether anybody still
/// looks after what is left of a pod.
pub const LABEL_MANAGER: &str = "io.tandem.manager";
/// Label: the Swarm service of the task container.
pub const LABEL_SERVICE: &str = "io.tandem.service";
/// Label: the Swarm task of the task container.
pub const LABEL_TASK: &str = "io.tandem.task";
/// Label: the Swarm node of the task container.
pub const LABEL_NODE: &str = "io.tandem.node";

/// An id as people see it.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A component.
    Component,
    /// An init component.
    Init,
    /// A step of a component's `pre_start`.
    PreStart,
    /// The container that holds PID and IPC namespaces.
    Sandbox,
    /// The container that holds secrets and configs in memory.
    Store,
    /// A container that somebody has joined to the pod to look around in it (`manager debug`): no part of what the pod
    /// is, but gone with it.
    Debug,
    /// What says that an agent runs here: no pod's, but labelled with the agent's own container as if that were one, so
    /// that it is swept once that is dead.
    Lock,
}

/// Whose pod it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Full id of the task container.
    pub pod: String,
    /// Name of the task container.
    pub name: String,
    /// `StartedAt` of the task container: which run of it.
    pub run: String,
    /// Full id of the container that the manager runs in; empty until a manager runs the pod.
    pub manager: String,
    /// [`LABEL_SERVICE`], [`LABEL_TASK`] and [`LABEL_NODE`], where Swarm started the task container.
    pub origin: BTreeMap<String, String>,
}

impl Role {
    /// The word in [`LABEL_ROLE`].
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Component => "component",
            Role::Init => "init",
            Role::PreStart => "pre-start",
            Role::Sandbox => "sandbox",
            Role::Store => "store",
            Role::Debug => "debug",
            Role::Lock => "lock",
        }
    }
}

/// Program of stores and locks. Only Tandem's images contain it.
const PAUSE: &str = "/pause";

/// The facts that decide whether a container with Tandem's labels is genuine.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its name.
    pub name: &'a str,
    /// `HostConfig.NetworkMode`.
    pub network: &'a str,
    /// The program and arguments that it runs, in one line.
    pub command: &'a str,
}

impl Labelled<'_> {
    /// Reports whether the container is what its labels claim.
    ///
    /// Labels alone prove nothing: an image that a user made of a component (`docker commit`) inherits them.
    /// `task` is the name of the task container, if known; the container's name must then be exactly the name
    /// that Tandem gives. A container that joins the network of a pod belongs to that pod. Stores and locks
    /// join no network, so they must run `pause`.
    pub fn is_genuine(&self, task: Option<&str>) -> bool {
        let label = |key: &str| self.labels.get(key).map(String::as_str);
        let name = self.name.trim_start_matches('/');
        let Some(pod) = label(LABEL_POD).filter(|pod| !pod.is_empty()) else { return false };
        let joins = || self.network.strip_prefix("container:") == Some(pod);
        let runs_pause = || self.command == PAUSE || self.command.starts_with("/pause ");
        let named = |rest: &str| match task {
            Some(task) => name.strip_prefix(task) == Some(rest),
            None => name.strip_suffix(rest).is_some_and(|task| !task.is_empty()),
        };
        match label(LABEL_ROLE) {
            Some("component" | "init" | "pre-start") => {
                label(LABEL_COMPONENT).is_some_and(|component| named(&format!(".podlike.{component}")))
                    && joins()
            }
            Some("sandbox") => named(".pause") && joins() && runs_pause(),
            Some("store") => named(".store") && runs_pause(),
            Some("debug") => {
                let after = match task {
                    Some(task) => name.strip_prefix(task).and_then(|rest| rest.strip_prefix(".debug-")),
                    None => name.rsplit_once(".debug-").map(|(_, rest)| rest),
                };
                after.is_some_and(|rest| !rest.contains('.')) && joins()
            }
            Some("lock") => name.starts_with("tandem-agent.") && runs_pause(),
            _ => false,
        }
    }
}

impl Identity {
    /// Name of a component's container.
    pub fn member_container(&self, component: &str) -> String {
        // Podlike's naming, which people's tools may know.
        format!("{}.podlike.{component}", self.name)
    }

    /// Name of the sandbox container.
    pub fn sandbox_container(&self) -> String {
        format!("{}.pause", self.name)
    }

    /// Name of the store container.
    pub fn store_container(&self) -> String {
        format!("{}.store", self.name)
    }

    /// Tandem's labels for a member of the pod.
    pub fn labels(&self, role: Role, component: Option<&str>) -> BTreeMap<String, String> {
        let mut labels = self.origin.clone();
        labels.insert(LABEL_POD.into(), self.pod.clone());
        labels.insert(LABEL_ROLE.into(), role.as_str().into());
        labels.insert(LABEL_RUN.into(), self.run.clone());
        labels.insert(LABEL_MANAGER.into(), self.manager.clone());
        if let Some(component) = component {
            labels.insert(LABEL_COMPONENT.into(), component.into());
        }
        labels
    }

    /// What Swarm's labels on the task container tell, under Tandem's own names: a copy of Swarm's
    /// would make other tools count the component as the task.
    pub fn origin_of(task_labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        [
            ("com.docker.swarm.service.name", LABEL_SERVICE),
            ("com.docker.swarm.task.id", LABEL_TASK),
            ("com.docker.swarm.node.id", LABEL_NODE),
        ]
        .into_iter()
        .filter_map(|(theirs, ours)| Some((ours.to_owned(), task_labels.get(theirs)?.clone())))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_what_its_labels_say_where_name_network_and_program_agree() {
        let labels = |role: &str, component: Option<&str>| {
            let mut labels = BTreeMap::from([(LABEL_ROLE.to_owned(), role.to_owned())]);
            labels.insert(LABEL_POD.to_owned(), "id".to_owned());
            labels.extend(component.map(|name| (LABEL_COMPONENT.to_owned(), name.to_owned())));
            labels
        };
        let (joined, pause) = ("container:id", "/pause --lifeline x");
        for (role, component, name, network, command, is) in [
            ("component", Some("app"), "web.1.podlike.app", joined, "sh", true),
            ("init", Some("init-1"), "/web.1.podlike.init-1", joined, "sh", true),
            ("pre-start", Some("app.pre-1"), "/web.1.podlike.app.pre-1", joined, "sh", true),
            ("pre-start", Some("app.pre-1"), "web.1.podlike.app.pre-2", joined, "sh", false),
            ("pre-start", Some("app.pre-1"), "web.1.podlike.app.pre-1", "bridge", "sh", false),
            ("pre-start", None, "web.1.podlike.app.pre-1", joined, "sh", false),
            ("sandbox", None, "web.1.pause", joined, pause, true),
            ("store", None, "/web.1.store", "none", "/pause", true),
            ("debug", None, "web.1.debug-6451", joined, "sh", true),
            ("lock", None, "/tandem-agent.agent", "none", "/pause", true),
            // `docker run` of what `docker commit` made of a component.
            ("component", Some("app"), "quirky_turing", joined, "sh", false),
            ("component", Some("app"), "evil.web.1.podlike.app", joined, "sh", false),
            ("component", Some("app"), "web.1.podlike.app", "bridge", "sh", false),
            ("component", Some("app"), "web.1.podlike.app", "container:other", "sh", false),
            ("component", Some("app"), "web.1.podlike.other", joined, "sh", false),
            ("component", None, "web.1.podlike.app", joined, "sh", false),
            ("sandbox", None, "pause", joined, pause, false),
            ("sandbox", None, "web.1.pause", joined, "sh", false),
            ("store", None, "web.1.store", "none", "sh", false),
            ("debug", None, "mine", joined, "sh", false),
            ("nonsense", None, "web.1.pause", joined, pause, false),
        ] {
            let labels = labels(role, component);
            let container = Labelled { labels: &labels, name, network, command };
            assert_eq!(container.is_genuine(Some("web.1")), is, "{role} {component:?} {name} {network}");
            // If the task container is removed, its name is not known.
            let foreign = name.starts_with("evil.");
            assert_eq!(container.is_genuine(None), is || foreign, "{role} {component:?} {name} {network}");
        }
        let (name, network, command) = ("web.1.pause", joined, pause);
        assert!(!Labelled { labels: &BTreeMap::new(), name, network, command }.is_genuine(None));
    }
}
