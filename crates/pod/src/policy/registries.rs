//! Where images may come from. The engine asks a registry from the host's network, so that a registry on loopback or in the
//! link-local network lets a definition send requests to services of the host.

use std::net::IpAddr;

use super::super::registry_auth::registry_of;
use super::local_hosts::{NodeNames, is_local_host};
use super::{Allowance, Allowed, Level, Policy, Refusal};
use crate::task_container::TaskContainer;

/// Docker Hub, as it stands in front of an image.
const HUB: &str = "docker.io";

impl Policy {
    /// Why a component may not have this image; `None` where it may.
    pub(super) fn check_image(&self, image: &str, task: &TaskContainer, node: &NodeNames) -> Option<Refusal> {
        let registry = registry_of(image);
        let of_task = registry_of(&task.image) == registry && !task.image.is_empty();
        if is_local(registry, node) && !of_task && !self.allows(Allowance::LocalRegistries) {
            let allow = Allowed::All(Allowance::LocalRegistries);
            let problem = format!(
                "found the registry `{registry}`, which the engine would ask for from the node's own network"
            );
            return Some(Refusal::liftable("image", problem, "name a registry elsewhere", vec![allow]));
        }
        let limited = !self.registries.is_empty() || self.level != Level::Default;
        if limited && may_be_id(image) {
            let problem = format!("found `{image}`, which may be the id of any image that the node has");
            let remedy =
                format!("name the image by its registry, name and tag, such as `{HUB}/library/debian:13`");
            return Some(Refusal::absolute("image", problem, remedy));
        }
        let known = |entry: &String| covers(entry, registry, image);
        let passes = match (self.registries.is_empty(), self.level) {
            (false, _) => self.registries.iter().any(known),
            (true, Level::Default) => true,
            (true, Level::Baseline | Level::Restricted) => registry == HUB || of_task,
        };
        (!passes).then(|| {
            let problem = format!("found the registry `{registry}`, from which no image of a component may come");
            let remedy = match self.registries.is_empty() {
                true => {
                    let own = Some(registry_of(&task.image)).filter(|own| !task.image.is_empty() && *own != HUB);
                    // A flag to be copied holds no more than one registry's name.
                    let asked = Some(registry).filter(|registry| registry_entry(registry).is_some());
                    let all: Vec<&str> = [HUB].into_iter().chain(own).chain(asked).collect();
                    format!(
                        "under `--policy {}` images come from `{HUB}` and from the registry of the task's own image: start \
                         the manager with `--registries {}`",
                        self.level.as_str(),
                        all.join(",")
                    )
                }
                false => format!("valid are those of `--registries {}`", self.registries.join(",")),
            };
            Refusal::absolute("image", problem, remedy)
        })
    }
}

/// The form of an entry of `--registries`, for people.
pub const REGISTRY_FORM: &str = "a host such as `docker.io` or `registry.example.com:5000`, or a host with the beginning of a path such as `ghcr.io/team`";

/// Reads an entry of `--registries`, written as images name it: the host in small letters, Docker Hub as `docker.io`.
pub fn registry_entry(text: &str) -> Option<String> {
    let (host, path) = text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path)));
    let host = host.to_ascii_lowercase();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host.as_str(), None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let of_path = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    // The engine takes a word without a dot and a port for the beginning of a path at Docker Hub.
    let known = name == "localhost" || port.is_some() || name.contains(['.', ':']);
    let sound = known
        && !name.is_empty()
        && name.bytes().all(plain)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
        && path.is_none_or(|path| {
            path.split('/').all(|step| !matches!(step, "" | "." | "..") && step.bytes().all(of_path))
        });
    let host = if host == "index.docker.io" { HUB } else { &host };
    sound.then(|| path.map_or_else(|| host.to_owned(), |path| format!("{host}/{path}")))
}

/// The engine looks for an image by its id as well, or by the beginning of one.
fn may_be_id(image: &str) -> bool {
    image.starts_with("sha256:")
        || !image.is_empty()
            && image.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

/// An entry of `--registries` covers this image: a host, or a host and the beginning of a path.
fn covers(entry: &str, registry: &str, image: &str) -> bool {
    match entry.split_once('/') {
        None => entry == registry,
        Some((host, path)) => {
            let explicit = image.split_once('/').filter(|(first, _)| *first == registry || registry == HUB);
            let rest = match explicit {
                Some((first, rest))
                    if registry_of(image) != HUB || [HUB, "index.docker.io"].contains(&first) =>
                {
                    rest
                }
                _ => image,
            };
            let name = rest.split(['@', ':']).next().unwrap_or_default();
            let name =
                if registry == HUB && !name.contains('/') { format!("library/{name}") } else { name.into() };
            host == registry
                && name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

/// The registry answers on this node, or in its link-local network.
fn is_local(registry: &str, node: &NodeNames) -> bool {
    match registry.strip_prefix('[') {
        Some(rest) => {
            let host = rest.split(']').next().unwrap_or_default();
            host.parse::<IpAddr>().is_err() || is_local_host(host, node)
        }
        None => is_local_host(registry.split(':').next().unwrap_or_default(), node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_the_node_and_of_its_link_local_network_are_local() {
        let node = NodeNames::of(["Node1.example.com".into(), "10.0.0.5".into()]);
        for host in [
            "localhost",
            "LOCALHOST:5000",
            "x.localhost:5000",
            "127.0.0.1:5000",
            "127.8.9.1",
            "127.1:5000",
            "0x7f.1:5000",
            "0x7f000001:80",
            "2130706433:5000",
            "0.0.0.0:5000",
            "0.1.2.3:80",
            "169.254.169.254",
            "168.63.129.16:80",
            "[::1]:5000",
            "[::]:5000",
            "[::ffff:127.0.0.1]:5000",
            "[64:ff9b::7f00:1]:80",
            "[fe80::1]:5000",
            "[fe80::1%25eth0]:5000",
            "[fd00:ec2::254]:80",
            "metadata.google.internal",
            "host.docker.internal:5000",
            "node1:5000",
            "node1.example.com:5000",
            "10.0.0.5:5000",
        ] {
            assert!(is_local(host, &node), "{host}");
        }
        for host in [
            "docker.io",
            "ghcr.io",
            "node1.example.org:5000",
            "10.0.0.6:5000",
            "[2001:db8::1]:5000",
            "0xcafe.io",
        ] {
            assert!(!is_local(host, &node), "{host}");
        }
    }

    fn refused(policy: &Policy, image: &str, task_image: &str) -> bool {
        let task = TaskContainer { image: task_image.into(), ..TaskContainer::default() };
        policy.check_image(image, &task, &NodeNames::default()).is_some()
    }

    #[test]
    fn a_local_registry_passes_where_it_is_allowed_or_has_the_tasks_own_image() {
        let policy = Policy::default();
        assert!(refused(&policy, "127.0.0.1:5000/x", "tandem/manager"));
        assert!(!refused(&policy, "127.0.0.1:5000/x", "127.0.0.1:5000/tandem/manager"));
        assert!(refused(&policy, "127.0.0.1:5001/x", "127.0.0.1:5000/tandem/manager"));
        assert!(!refused(&policy, "registry.example.com/x", "tandem/manager"));
        let allowed = [Allowed::All(Allowance::LocalRegistries)].into_iter().collect();
        assert!(!refused(&Policy { allowed, ..Policy::default() }, "127.0.0.1:5000/x", "tandem/manager"));
    }

    #[test]
    fn the_list_of_registries_says_where_images_come_from() {
        let of = |level, list: &[&str]| Policy {
            level,
            registries: list.iter().map(|entry| (*entry).to_owned()).collect(),
            ..Policy::default()
        };
        let baseline = of(Level::Baseline, &[]);
        for image in ["sha256:00ff", "00ff11", "cafe"] {
            assert!(refused(&baseline, image, "tandem/manager"), "{image}");
            assert!(!refused(&Policy::default(), image, "tandem/manager"), "{image}");
        }
        assert!(!refused(&baseline, "docker.io/library/cafe", "") && !refused(&baseline, "cafe:1", ""));
        assert!(!refused(&baseline, "nginx", "tandem/manager") && !refused(&baseline, "docker.io/a/b", ""));
        assert!(refused(&baseline, "ghcr.io/a/b", "tandem/manager"));
        assert!(!refused(&baseline, "ghcr.io/a/b", "ghcr.io/tandem/manager"));
        for level in [Level::Default, Level::Restricted] {
            let list = of(level, &["ghcr.io/org", "docker.io/library"]);
            for image in
                ["ghcr.io/org/a:1", "nginx", "docker.io/nginx:1@sha256:00", "index.docker.io/library/nginx"]
            {
                assert!(!refused(&list, image, ""), "{image}");
            }
            for image in ["ghcr.io/organic/a", "ghcr.io/a", "evil/nginx", "quay.io/org/a", "docker.io/evil/x"]
            {
                assert!(refused(&list, image, ""), "{image}");
            }
        }
    }

    #[test]
    fn a_proposed_list_holds_no_more_than_one_registry_of_the_definition() {
        let policy = Policy { level: Level::Baseline, ..Policy::default() };
        let proposed = |image: &str| {
            let refusal = policy.check_image(image, &TaskContainer::default(), &NodeNames::default());
            refusal.expect("it is refused").remedy
        };
        assert!(proposed("ghcr.io/a/b").ends_with("`--registries docker.io,ghcr.io`"));
        for image in ["a.b,evil.example.com/x", "a.b$(id)/x", "a.b`id`/x"] {
            assert!(proposed(image).ends_with("`--registries docker.io`"), "{image}: {}", proposed(image));
        }
    }
}
