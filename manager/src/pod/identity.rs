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
    /// The container that holds PID and IPC namespaces.
    Sandbox,
    /// The container that holds secrets and configs in memory.
    Vault,
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
    /// [`LABEL_SERVICE`], [`LABEL_TASK`] and [`LABEL_NODE`], where Swarm started the task container.
    pub origin: BTreeMap<String, String>,
}

impl Role {
    /// The word in [`LABEL_ROLE`].
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Component => "component",
            Role::Init => "init",
            Role::Sandbox => "sandbox",
            Role::Vault => "vault",
            Role::Debug => "debug",
            Role::Lock => "lock",
        }
    }
}

/// A container with these labels is what they say, and not one of an image that somebody made of such a container
/// (`docker commit`), which has inherited them: it is called as Tandem calls it.
pub fn genuine(labels: &BTreeMap<String, String>, name: &str) -> bool {
    let label = |key: &str| labels.get(key).map(String::as_str);
    match label(LABEL_ROLE) {
        Some("component" | "init") => {
            label(LABEL_COMPONENT).is_some_and(|component| name.ends_with(&format!(".podlike.{component}")))
        }
        Some("sandbox") => name.ends_with(".pause"),
        Some("vault") => name.ends_with(".vault"),
        Some("debug") => name.contains(".debug-"),
        Some("lock") => name.trim_start_matches('/').starts_with("tandem-agent."),
        _ => false,
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

    /// Name of the vault container.
    pub fn vault_container(&self) -> String {
        format!("{}.vault", self.name)
    }

    /// Tandem's labels for a member of the pod.
    pub fn labels(&self, role: Role, component: Option<&str>) -> BTreeMap<String, String> {
        let mut labels = self.origin.clone();
        labels.insert(LABEL_POD.into(), self.pod.clone());
        labels.insert(LABEL_ROLE.into(), role.as_str().into());
        labels.insert(LABEL_RUN.into(), self.run.clone());
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
    fn who_has_inherited_our_labels_is_not_ours() {
        let labels = |role: &str, component: Option<&str>| {
            let mut labels = BTreeMap::from([(LABEL_ROLE.to_owned(), role.to_owned())]);
            labels.extend(component.map(|name| (LABEL_COMPONENT.to_owned(), name.to_owned())));
            labels
        };
        for (role, component, name, is) in [
            ("component", Some("app"), "web.1.podlike.app", true),
            ("init", Some("init-1"), "web.1.podlike.init-1", true),
            ("sandbox", None, "web.1.pause", true),
            ("vault", None, "/web.1.vault", true),
            ("debug", None, "web.1.debug-6451", true),
            ("lock", None, "/tandem-agent.agent", true),
            // `docker run` of what `docker commit` made of a component.
            ("component", Some("app"), "quirky_turing", false),
            ("component", Some("app"), "web.1.podlike.other", false),
            ("component", None, "web.1.podlike.app", false),
            ("sandbox", None, "pause", false),
            ("debug", None, "mine", false),
            ("nonsense", None, "web.1.pause", false),
        ] {
            assert_eq!(genuine(&labels(role, component), name), is, "{role} {component:?} {name}");
        }
        assert!(!genuine(&BTreeMap::new(), "web.1.pause"));
    }
}
