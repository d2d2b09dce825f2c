//! The owner of a pod, which decides which volumes the pod may use. The owner outlives the task container and
//! is the same on every run.

use std::collections::BTreeMap;
use std::fmt;

/// Label of a volume: the owner whose pods may use the volume.
pub const LABEL_OWNER: &str = "io.tandem.owner";

/// The owner of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A Swarm service.
    Service(String),
    /// A service of a Compose project.
    Project {
        /// The project's name.
        project: String,
        /// The service's name.
        service: String,
    },
    /// A container that neither Swarm nor Compose started, by its name.
    Container(String),
}

impl Owner {
    /// Finds the owner of the container with this name and these labels.
    ///
    /// Labels count only if the name agrees with them, because `docker run -l` can set any label. Swarm names
    /// its containers `<service>.<slot or node>.<task>`. Compose names its containers
    /// `<project>-<service>-<number>`; before version 2 it joined the parts with `_`.
    pub fn of(name: &str, labels: &BTreeMap<String, String>) -> Self {
        let label = |key: &str| labels.get(key).map(String::as_str).filter(|value| !value.is_empty());
        if let (Some(service), Some(task), Some(node)) = (
            label("com.docker.swarm.service.name"),
            label("com.docker.swarm.task.id"),
            label("com.docker.swarm.node.id"),
        ) {
            let slot = name
                .strip_prefix(service)
                .and_then(|rest| rest.strip_prefix('.'))
                .and_then(|rest| rest.strip_suffix(task))
                .and_then(|rest| rest.strip_suffix('.'));
            if slot.is_some_and(|slot| is_number(slot) || slot == node) {
                return Owner::Service(service.to_owned());
            }
        }
        if let (Some(project), Some(service)) =
            (label("com.docker.compose.project"), label("com.docker.compose.service"))
        {
            let agrees = ['-', '_'].iter().any(|joint| {
                let number = name.strip_prefix(&format!("{project}{joint}{service}{joint}"));
                number.is_some_and(is_number)
            });
            if agrees {
                return Owner::Project { project: project.to_owned(), service: service.to_owned() };
            }
        }
        Owner::Container(name.to_owned())
    }

    /// The prefix of the names of volumes that the owner's pods create.
    pub fn name(&self) -> String {
        match self {
            Owner::Service(name) | Owner::Container(name) => name.clone(),
            Owner::Project { project, service } => format!("{project}-{service}"),
        }
    }

    /// The engine's name of the volume that a definition calls `name`.
    pub fn volume(&self, name: &str) -> String {
        let prefix = format!("{}.podlike.", self.name());
        if name.strip_prefix(&prefix).is_some_and(|rest| !rest.is_empty()) {
            return name.to_owned();
        }
        format!("{prefix}{name}")
    }

    /// The key in `services` of the policy file: the name of a Swarm service, or `project/service`.
    pub fn service(&self) -> Option<String> {
        match self {
            Owner::Service(name) => Some(name.clone()),
            Owner::Project { project, service } => Some(format!("{project}/{service}")),
            Owner::Container(_) => None,
        }
    }
}

/// Formats the value of [`LABEL_OWNER`].
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Service(name) => write!(f, "service:{name}"),
            Owner::Project { project, service } => write!(f, "project:{project}/{service}"),
            Owner::Container(name) => write!(f, "container:{name}"),
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str, labels: &[(&str, &str)]) -> String {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Owner::of(name, &labels).to_string()
    }

    #[test]
    fn labels_count_where_the_containers_name_agrees_with_them() {
        let swarm = [
            ("com.docker.swarm.service.name", "shop_web"),
            ("com.docker.swarm.task.id", "t1"),
            ("com.docker.swarm.node.id", "n1"),
        ];
        let compose = [("com.docker.compose.project", "shop"), ("com.docker.compose.service", "web")];
        for (name, labels, want) in [
            ("shop_web.1.t1", &swarm[..], "service:shop_web"),
            ("shop_web.n1.t1", &swarm, "service:shop_web"),
            ("shop_web.n2.t1", &swarm, "container:shop_web.n2.t1"),
            ("shop_web.1.t2", &swarm, "container:shop_web.1.t2"),
            ("mine", &swarm, "container:mine"),
            ("shop_web.1.t1", &swarm[..2], "container:shop_web.1.t1"),
            ("shop-web-1", &compose, "project:shop/web"),
            ("shop_web_12", &compose, "project:shop/web"),
            ("shop-web-x", &compose, "container:shop-web-x"),
            ("web", &compose, "container:web"),
            ("web", &[], "container:web"),
        ] {
            assert_eq!(owner(name, labels), want, "{name}");
        }
    }

    #[test]
    fn volumes_are_named_after_the_owner_once() {
        let owner = Owner::Project { project: "shop".into(), service: "web".into() };
        assert_eq!(owner.volume("data"), "shop-web.podlike.data");
        assert_eq!(owner.volume("shop-web.podlike.data"), "shop-web.podlike.data");
        assert_eq!(owner.service().as_deref(), Some("shop/web"));
        assert_eq!(Owner::Container("x".into()).volume("data"), "x.podlike.data");
    }
}
