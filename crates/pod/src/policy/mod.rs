//! What a component may have of the host: what the operator gave the task container, or allows on the manager's command line,
//! in its environment or in a file; never what labels say.

mod allowance;
mod devices;
pub mod engine_paths;
mod host;
mod host_paths;
mod local_hosts;
pub mod manager_files;
pub mod mount_conflicts;
mod options;
mod pod_security;
mod registries;
mod volumes;

use std::collections::BTreeMap;

pub use super::volume::{Device, VolumeInfo};
pub use allowance::{Allowance, Allowances, Allowed, AllowedError, HostPath, words};
pub use host::Host;
pub use host_paths::Bind;
pub use local_hosts::NodeNames;
pub use options::{LABEL_REMEDY, apply_floors, taken_label};
pub use registries::{REGISTRY_FORM, registry_entry};

use super::owner::Owner;
use super::spec::ComponentSpec;
use super::task_container::TaskContainer;

/// Most components of a pod where the operator says nothing: the shim of each container takes 13 MB of the node, outside of
/// the pod's limits.
pub const DEFAULT_MAX_COMPONENTS: u16 = 100;
/// Most components that the operator can allow a pod.
pub const LARGEST_MAX_COMPONENTS: u16 = 1000;

/// How strict a policy is (`--policy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What gives a component neither the host nor another pod.
    #[default]
    Default,
    /// The level *baseline* of Kubernetes' Pod Security Standards.
    Baseline,
    /// Their level *restricted*.
    Restricted,
}

impl Level {
    /// All of them, from the least strict on.
    pub const ALL: [Level; 3] = [Self::Default, Self::Baseline, Self::Restricted];

    /// The word in `--policy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    /// The level of this word; `strict` is what `baseline` was called before.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "strict" => Some(Self::Baseline),
            word => Self::ALL.into_iter().find(|level| level.as_str() == word),
        }
    }
}

/// What the operator of the manager allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How strict it is.
    pub level: Level,
    /// What is allowed beyond.
    pub allowed: Allowances,
    /// Where images may come from, each a host or a host with the beginning of a path; empty leaves it to the level.
    pub registries: Vec<String>,
    /// What is allowed beyond to the pods of one service, by [`Owner::service`].
    pub services: BTreeMap<String, Allowances>,
    /// Most components of a pod, init components and entries of `pre_start` among them (`--max-components`).
    pub max_components: u16,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            level: Level::default(),
            allowed: Allowances::default(),
            registries: Vec::new(),
            services: BTreeMap::new(),
            max_components: DEFAULT_MAX_COMPONENTS,
        }
    }
}

/// What a component may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The Compose key.
    pub key: &'static str,
    /// What was found, and what it would do.
    pub problem: String,
    /// What to do instead.
    pub remedy: String,
    /// What would have to be allowed, all of it; empty where nothing lifts the refusal.
    pub allow: Vec<Allowed>,
}

impl Refusal {
    /// A refusal that the operator can lift by allowing all of these, with `instead` as the first way out. A flag is
    /// proposed to be copied: the author of a definition must not put other items, or words for a shell, into it.
    pub fn liftable(key: &'static str, problem: String, instead: &str, allow: Vec<Allowed>) -> Self {
        if !allow.iter().all(Allowed::is_plain) {
            let remedy = format!("{instead}; no flag is proposed for a name with such characters");
            return Self { key, problem, remedy, allow: Vec::new() };
        }
        let items: Vec<String> = allow.iter().map(Allowed::to_string).collect();
        let remedy = format!("{instead}, or start the manager with `--allow {}`", items.join(","));
        Self { key, problem, remedy, allow }
    }

    /// A refusal that no permission lifts.
    pub fn absolute(key: &'static str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key, problem: problem.into(), remedy: remedy.into(), allow: Vec::new() }
    }
}

impl Policy {
    /// It allows all that there is to allow.
    pub fn everything() -> Self {
        Self { allowed: Allowances::everything(), ..Self::default() }
    }

    /// It allows this.
    pub fn allows(&self, what: Allowance) -> bool {
        self.allowed.all(what)
    }

    /// Binds of any path pass. No word alone makes the levels above `default` less strict.
    pub fn allows_every_path(&self) -> bool {
        self.level == Level::Default && self.allows(Allowance::HostPaths)
    }

    /// What holds for the pods of this owner.
    pub fn of_owner(&self, owner: &Owner) -> Self {
        let more = owner.service().and_then(|service| self.services.get(&service));
        let allowed = more.map_or_else(|| self.allowed.clone(), |more| self.allowed.clone().union(more));
        Self { allowed, services: BTreeMap::new(), ..self.clone() }
    }

    /// Every reason why a task container like this has no pod, each as a sentence.
    pub fn check_task(&self, task: &TaskContainer) -> Vec<String> {
        let mut reasons = self.check_task_standards(task);
        let host_network = task.network_mode == "host" && self.level == Level::Default;
        if host_network && !self.allows(Allowance::HostNetwork) {
            reasons.push(format!(
                "the task container is on the host's network, where components would reach every socket of the host, \
                 those of container runtimes among them: give it a network of its own, or start the manager with \
                 `--allow {}`",
                Allowance::HostNetwork
            ));
        }
        reasons
    }

    /// What of a component, beside its mounts, this does not allow. `is_stricter` says whether a seccomp profile in JSON
    /// allows nothing that Docker's default profile does not.
    pub fn check_component(
        &self,
        component: &ComponentSpec,
        task: &TaskContainer,
        host: &Host,
        is_stricter: &dyn Fn(&str) -> bool,
    ) -> Vec<Refusal> {
        let mut refusals = self.check_standards(component, task, is_stricter);
        // What a control of the level refuses is not refused once more.
        let seen: Vec<&str> = refusals.iter().map(|refusal| refusal.key).collect();
        let more = self.check_options(&component.container, task, is_stricter);
        let more: Vec<Refusal> = more.into_iter().filter(|refusal| !seen.contains(&refusal.key)).collect();
        refusals.extend(more);
        refusals.extend(self.check_image(&component.container.image, task, &host.node));
        refusals
    }
}
