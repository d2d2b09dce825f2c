//! The Pod Security Standards of Kubernetes, levels *baseline* and *restricted*, control by control
//! (`k8s.io/pod-security-admission`, `policy/check_*.go`, as of Kubernetes 1.37). `--allow` makes none of them less strict.
//!
//! `docs/reference/policy.md` explains each control for a Docker container, and lists the deviations of
//! Tandem. `crates/definition/tests/pod_security_standards.rs` has one passing and one failing case for each control.

use super::super::spec::{ComponentSpec, ContainerSpec};
use super::super::task_container::TaskContainer;
use super::options::split_option;
use super::{Level, Policy, Refusal};

/// Control `capabilities_baseline`: Docker's default capabilities without `NET_RAW`.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Control `seLinuxOptions`: the allowed SELinux types.
const SELINUX_TYPES: [&str; 4] = ["container_engine_t", "container_init_t", "container_kvm_t", "container_t"];

/// Control `sysctls`: the allowed names.
const SYSCTLS: [&str; 14] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

impl Policy {
    /// Lists the controls of the level that a component breaks. The user of its image is known later and
    /// checked by [`Policy::check_user`]. Its mounts are checked by [`Policy::check_bind`].
    pub(super) fn check_standards(
        &self,
        component: &ComponentSpec,
        task: &TaskContainer,
        is_stricter: &dyn Fn(&str) -> bool,
    ) -> Vec<Refusal> {
        let container = &component.container;
        let mut refusals = Vec::new();
        if self.level == Level::Default {
            return refusals;
        }
        self.baseline(container, task, is_stricter, &mut refusals);
        if self.level == Level::Restricted {
            self.restricted(container, &mut refusals);
            if let Some(user) = &container.user {
                refusals.extend(self.check_user(user, "user"));
            }
            for (key, hooks) in [("post_start", &component.post_start), ("pre_stop", &component.pre_stop)] {
                let users = hooks.iter().filter_map(|hook| hook.user.as_ref());
                refusals.extend(users.filter_map(|user| self.check_user(user, key)));
            }
        }
        refusals
    }

    fn refuse(&self, key: &'static str, control: &str, found: String, valid: &str) -> Refusal {
        let level = self.level.as_str();
        Refusal::absolute(key, format!("{found} (`--policy {level}`, control `{control}`)"), valid)
    }

    fn baseline(
        &self,
        container: &ContainerSpec,
        task: &TaskContainer,
        is_stricter: &dyn Fn(&str) -> bool,
        refusals: &mut Vec<Refusal>,
    ) {
        let tuning = &container.tuning;
        if container.privileged {
            refusals.push(self.refuse("privileged", "privileged", "found `true`".into(), "leave it out"));
        }
        let capabilities: &[&str] = match self.level {
            Level::Restricted => &["NET_BIND_SERVICE"],
            _ => &BASELINE_CAPABILITIES,
        };
        let control = match self.level {
            Level::Restricted => "capabilities_restricted",
            _ => "capabilities_baseline",
        };
        for name in container.cap_add.iter().filter(|name| !capabilities.contains(&name.as_str())) {
            let names: Vec<String> = capabilities.iter().map(|name| format!("`{name}`")).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            let valid = format!("valid {verb} {}", names.join(", "));
            refusals.push(self.refuse("cap_add", control, format!("found `{name}`"), &valid));
        }
        if tuning.userns_mode.as_deref() == Some("host") {
            refusals.push(self.refuse(
                "userns_mode",
                "hostNamespaces",
                "found `host`".into(),
                "leave it out",
            ));
        }
        for option in &tuning.security_opt {
            let (name, value) = split_option(option);
            let broken = match name {
                "apparmor" if value == "unconfined" => {
                    Some(("appArmorProfile", "leave it out, or name a profile"))
                }
                // A `Localhost` profile of Kubernetes is a file that an administrator put on the node. Its
                // counterpart here is the profile of the task container. A profile in a label comes from the
                // definition's author.
                "seccomp" => {
                    // The engine uses the last of several `seccomp` options.
                    let mut given = task.security_opt.iter().rev().map(|given| split_option(given));
                    let mut of_task = || given.find(|(kind, _)| *kind == name) == Some((name, value));
                    let profile = value.starts_with('{');
                    let passes = value == "builtin" || profile && (of_task() || is_stricter(value));
                    let control = match self.level {
                        Level::Restricted => "seccompProfile_restricted",
                        _ => "seccompProfile_baseline",
                    };
                    if !passes {
                        let found = match profile {
                            true => "found a seccomp profile that may allow what Docker's default profile does not".into(),
                            false => format!("found `seccomp={value}`"),
                        };
                        let valid = "leave it out, or give a profile that is stricter than Docker's";
                        refusals.push(self.refuse("security_opt", control, found, valid));
                    }
                    None
                }
                "systempaths" if value == "unconfined" && self.level == Level::Restricted => {
                    Some(("procMount_restricted", "leave it out"))
                }
                "systempaths" if value == "unconfined" => Some(("procMount", "leave it out")),
                "label" => {
                    let (kind, word) = value.split_once([':', '=']).unwrap_or((value, ""));
                    let passes = match kind {
                        "type" => SELINUX_TYPES.contains(&word),
                        "level" => true,
                        _ => false,
                    };
                    (!passes).then_some((
                        "seLinuxOptions",
                        "valid are `label:level:...` and `label:type:` with `container_t`, `container_init_t`, \
                         `container_kvm_t` or `container_engine_t`",
                    ))
                }
                _ => None,
            };
            if let Some((control, valid)) = broken {
                refusals.push(self.refuse("security_opt", control, format!("found `{name}={value}`"), valid));
            }
        }
        for name in tuning.sysctls.keys().filter(|name| !SYSCTLS.contains(&name.as_str())) {
            let valid = format!("valid are `{}`", SYSCTLS.join("`, `"));
            refusals.push(self.refuse("sysctls", "sysctls", format!("found `{name}`"), &valid));
        }
    }

    fn restricted(&self, container: &ContainerSpec, refusals: &mut Vec<Refusal>) {
        // The engine uses the last of several `no-new-privileges` options.
        let mut options = container.tuning.security_opt.iter().map(|option| split_option(option));
        let last = options.rfind(|(name, _)| *name == "no-new-privileges");
        if !matches!(last, Some((_, "" | "true"))) {
            let (found, valid) = (
                "it may gain privileges".to_owned(),
                "valid is `security_opt: [no-new-privileges:true]`, here or in the pod's own service",
            );
            refusals.push(self.refuse("security_opt", "allowPrivilegeEscalation", found, valid));
        }
        if !container.cap_drop.iter().any(|name| name == "ALL") {
            let found = "it keeps Docker's default capabilities".to_owned();
            refusals.push(self.refuse(
                "cap_drop",
                "capabilities_restricted",
                found,
                "valid is `cap_drop: [ALL]`",
            ));
        }
        let tuning = &container.tuning;
        for (key, some) in [
            ("devices", !tuning.devices.is_empty()),
            ("device_cgroup_rules", !tuning.device_rules.is_empty()),
            ("gpus", !tuning.device_requests.is_empty()),
        ] {
            if some {
                let found = "found a device of the host".to_owned();
                refusals.push(self.refuse(key, "restrictedVolumes", found, "leave it out"));
            }
        }
    }

    /// The reason why no container may run as this user; `None` if it may. `key` names the user, or the image
    /// has it. The level asks for a number, because a name may be root in the image's `passwd`.
    pub fn check_user(&self, user: &str, key: &'static str) -> Option<Refusal> {
        if self.level != Level::Restricted {
            return None;
        }
        let number = user.split(':').next().unwrap_or_default();
        let (control, found) = match number.parse::<u32>() {
            Ok(0) => ("runAsUser", format!("found the user `{user}`, which is root")),
            Ok(_) if number.bytes().all(|byte| byte.is_ascii_digit()) => return None,
            _ if user.is_empty() => {
                ("runAsNonRoot", "no user is named, so that it may run as root".to_owned())
            }
            _ => ("runAsNonRoot", format!("found the user `{user}`, which may be root in its image")),
        };
        Some(self.refuse(key, control, found, "valid is a number other than 0, such as `user: '1000'`"))
    }

    /// Lists the controls of the level that the task container breaks, each as a sentence.
    pub(super) fn check_task_standards(&self, task: &TaskContainer) -> Vec<String> {
        if self.level == Level::Default {
            return Vec::new();
        }
        let modes = [
            ("network", &task.network_mode),
            ("pid", &task.pid_mode),
            ("ipc", &task.ipc_mode),
            ("userns_mode", &task.userns_mode),
        ];
        let host = modes.into_iter().filter(|(_, mode)| *mode == "host");
        host.map(|(key, _)| {
            format!(
                "the task container has `{key}: host`, and components join its namespaces (`--policy {}`, control \
                 `hostNamespaces`): leave it out",
                self.level.as_str()
            )
        })
        .collect()
    }
}
