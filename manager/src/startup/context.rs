#![expect(clippy::disallowed_methods, reason = "reads what pause left in the environment")]
//! What a manager finds where it is started: `pause`, the engine, its own container; and what it gives up there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, warn};

use crate::cgroups::Limiter;
use crate::cli::{EngineArgs, LogFormat, Placement, RunArgs};
use crate::error::Refusal;
use crate::files::CopySources;
use crate::files::symlinks::Shared;
use crate::logs::output::Output;
use crate::pause_channel::remote::RemotePause;
use crate::remote_pod;
use crate::remote_pod::files;
use crate::security::confine::confine;
use crate::security::mount_guard::MountGuard;
use crate::security::{manager_files, privileges};
use crate::startup::own_container;
use crate::startup::retry::{Expected, patiently_for, retry_until_timeout};
use crate::startup::spec;
use crate::startup::spec::{Reading, host_path, pod_of};
use definition::{self, files::Files, files::LocalFiles};
use engine::docker::DockerEngine;
use engine::{Engine, EngineAddress, EngineInfo};
use pod::cgroups::{Arrangement, Missing};
use pod::exit_status::STATUS_REFUSED;
use pod::namespace_placement::Programs;
use pod::namespaces::Namespaces;
use pod::owner::Owner;
use pod::path::tidy_path;
use pod::plan::{AFTER_STOP, ENGINE_TIMEOUT};
use pod::policy::engine_paths::EnginePaths;
use pod::policy::manager_files::ManagerFiles;
use pod::policy::{Allowance, Allowances, Host, Level, NodeNames, Policy};
use pod::registry_auth::Credentials;
use pod::spec::{Definition, PodSpec};
use pod::task_container::TaskContainer;

/// How long the last word to a `pause` in another container may take: as long as the engine may be away.
pub const LAST_WORD: Duration = ENGINE_TIMEOUT;

/// What `pause` handed to its child.
pub struct PauseHandover {
    /// The pipe to `pause`.
    pub control: File,
    /// Name of the abstract socket for a sandbox.
    pub lifeline: String,
    /// The pod was ending already when this manager was started: only clean up. `pause` knows the status.
    pub ending: bool,
    /// An earlier manager of this run may have crashed.
    pub again: bool,
}

impl PauseHandover {
    /// What is known of the engine.
    pub fn expected(&self) -> Expected {
        if self.again || self.ending { Expected::Surely } else { Expected::Perhaps }
    }
}

/// Where a manager is.
pub struct ManagerContext {
    /// The engine.
    pub engine: DockerEngine,
    /// Where it is.
    pub address: EngineAddress,
    /// Its unix socket, where it is one.
    pub socket: Option<PathBuf>,
    /// The manager's own container.
    pub own: TaskContainer,
    /// With what pods are held to their limits.
    pub limiter: Arc<Limiter>,
    /// Log lines are JSON objects, also those in a pod's own log.
    pub json: bool,
    info: EngineInfo,
    /// The manager's own files.
    files: ManagerFiles,
}

/// A pod that can be begun.
pub struct PreparedPod {
    /// What is wanted.
    pub spec: PodSpec,
    /// Everything that it copies, open.
    pub copies: CopySources,
    /// The status where it is not to run but to be cleaned up: an earlier manager was ending it, or what an earlier one
    /// ran is no longer what can be run.
    pub ending: Option<u8>,
    /// Why what runs is no longer what can be run, for people.
    pub refusal: Option<String>,
}

impl ManagerContext {
    /// Look around; `expected` is what is known of the engine.
    ///
    /// # Errors
    /// Where this is no place for a manager, or the engine does not answer.
    pub async fn arrive(args: &RunArgs, expected: Expected) -> Result<Self, Refusal> {
        let id = own_container::own_container().map_err(Refusal::usage)?;
        let (address, socket) = engine_of(args)?;
        let engine = DockerEngine::new(&address).map_err(Refusal::usage)?;
        let info = patiently_for(&address, expected, || engine.info()).await?;
        let own = retry_until_timeout(&address, || engine.inspect_task(&id)).await?;
        debug!("engine {} at {address}, own container `{}`", info.version, own.name);
        privileges::raise_descriptor_limit()
            .map_err(|error| Refusal::usage(format!("cannot raise RLIMIT_NOFILE: {error}")))?;
        let limiter = Arc::new(Limiter::open(&info, &own).await);
        let files = manager_files::here(&own, args);
        let json = args.log_format == LogFormat::Json;
        Ok(ManagerContext { engine, address, socket, own, limiter, json, info, files })
    }

    /// One with this engine, for tests.
    #[cfg(test)]
    pub async fn at(engine: DockerEngine, address: EngineAddress) -> Self {
        let info = EngineInfo { cgroup_version: 1, ..EngineInfo::default() };
        let own = TaskContainer { id: "own".into(), ..TaskContainer::default() };
        let limiter = Arc::new(Limiter::open(&info, &own).await);
        ManagerContext {
            engine,
            address,
            socket: None,
            own,
            limiter,
            json: false,
            info,
            files: ManagerFiles::default(),
        }
    }

    /// The pod of a task container, or what there is to clean up where it cannot run. `besides` is one more reason
    /// against it, and `ending` the status of one that an earlier manager was ending.
    ///
    /// # Errors
    /// Where it cannot run, with every reason in one report, and there is nothing to clean up.
    pub async fn prepare(
        &self,
        args: &RunArgs,
        task: &TaskContainer,
        policy: Result<&Policy, &Refusal>,
        besides: Option<&Refusal>,
        ending: Option<u8>,
    ) -> Result<PreparedPod, Refusal> {
        let wanted = match policy {
            Ok(policy) => self.wanted(args, task, policy).await,
            Err(refusal) => Err(refusal.clone()),
        };
        let wanted = match (wanted, policy) {
            (Ok((mut spec, copies)), Ok(policy)) if besides.is_none() && ending.is_none() => {
                self.limit(&mut spec, task, policy.level).await.map(|()| (spec, copies))
            }
            (wanted, _) => wanted,
        };
        let refusal = match (wanted, besides) {
            (Ok((spec, copies)), None) => {
                return Ok(PreparedPod { spec, copies, ending, refusal: None });
            }
            (Ok(_), Some(refusal)) => refusal.clone(),
            (Err(refusal), None) => refusal,
            (Err(refusal), Some(other)) => {
                Refusal { words: format!("{}\n{}", refusal.words, other.words), ..refusal }
            }
        };
        let left = retry_until_timeout(&self.address, || self.engine.list(&task.id)).await?;
        if ending.is_none() && left.is_empty() {
            if task.id != self.own.id && remote_pod::listens(task) {
                let line = RemotePause::open(self.engine.clone(), task, AFTER_STOP, self.json);
                line.explain(&refusal.words);
                line.exit(refusal.status, LAST_WORD).await;
            }
            return Err(refusal);
        }
        error!("{}", refusal.words);
        Ok(PreparedPod {
            spec: pod_of(&args.pod, task, Definition::default(), Namespaces::default()),
            copies: CopySources::default(),
            ending: ending.or(Some(refusal.status)),
            refusal: Some(refusal.words),
        })
    }

    /// The host as the policy sees it for the pod of this task container.
    pub fn host(&self, task: &TaskContainer) -> Host {
        let socket = self.socket.as_deref().map(|path| host_path(&self.own, path));
        host_of(&self.info, socket.as_deref(), &self.own, task, self.files.clone())
    }

    /// The guard that checks the mounts of this pod.
    pub fn mount_guard(&self, spec: &PodSpec, task: &TaskContainer, policy: &Policy) -> MountGuard {
        let own = &self.own.id;
        MountGuard::of(spec, task, (own, task.id != *own), policy, self.host(task))
    }

    /// Hold the pod to the limits of its task.
    ///
    /// # Errors
    /// Where nothing limits the sum of the components, and the policy does not leave it at a warning.
    async fn limit(&self, spec: &mut PodSpec, task: &TaskContainer, level: Level) -> Result<(), Refusal> {
        let arrangement = self.limiter.arrange(&self.own, task).await;
        let faults = self.sum_faults(&arrangement, spec, task, level).await?;
        if !faults.is_empty() {
            return Err(Refusal::usage(faults.join("\n")));
        }
        // Limits that add up to the task's hold for the sum too.
        let add_up = level != Level::Default
            && arrangement.missing.is_some()
            && arrangement.sum_faults(spec, &task.limits).is_empty();
        if let Some(words) = arrangement.warning.as_ref().filter(|_| !add_up) {
            warn!("{words}");
        }
        let members = spec.init.iter_mut().chain(&mut spec.components);
        arrangement.apply(&task.limits, members.map(|member| &mut member.container));
        spec.namespaces.cgroup_parent = arrangement.parent;
        Ok(())
    }

    /// The faults of a pod whose components together exceed the task's limits, where the level refuses that.
    ///
    /// Where the means to limit the sum fail, for instance while D-Bus restarts, a pod that runs is left alone: its
    /// containers are in the cgroup that they were created in.
    async fn sum_faults(
        &self,
        arrangement: &Arrangement,
        spec: &PodSpec,
        task: &TaskContainer,
        level: Level,
    ) -> Result<Vec<String>, Refusal> {
        if level == Level::Default {
            return Ok(Vec::new());
        }
        let faults = arrangement.sum_faults(spec, &task.limits);
        let may_pass = matches!(arrangement.missing, Some(Missing::Failed(_))) && !faults.is_empty();
        if may_pass && !retry_until_timeout(&self.address, || self.engine.list(&task.id)).await?.is_empty() {
            return Ok(Vec::new());
        }
        let whose = |fault: &String| format!("{fault} (`--policy {}`)", level.as_str());
        Ok(faults.iter().map(whose).collect())
    }

    async fn wanted(
        &self,
        args: &RunArgs,
        task: &TaskContainer,
        policy: &Policy,
    ) -> Result<(PodSpec, CopySources), Refusal> {
        let host = self.host(task);
        let pods_policy = policy.of_owner(&Owner::of(&task.name, &task.labels));
        let guarded = (!pods_policy.allows(Allowance::EngineSocket)).then_some(&self.files);
        let elsewhere = matches!(args.pod.placement, Placement::Outside(_));
        let environment = variables(elsewhere, task);
        let environment = |name: &str| environment.get(name).cloned();
        // An agent opens no file any more.
        let here = match elsewhere {
            true => Ok(Shared::before(&[])),
            false => Shared::before(&task.mounts).guarding(guarded, task).here(),
        };
        let here =
            here.map_err(|error| Refusal::usage(format!("cannot read /proc/self/mountinfo: {error}")))?;
        let around = definition::labels::Surroundings {
            task,
            files: &here,
            environment: &environment,
            host: &host,
            share_volumes: args.pod.volumes,
            policy,
        };
        let programs = Programs { unreadable: privileges::programs_unreadable() };
        let mut reading = if elsewhere {
            let read = |files: &dyn Files| {
                spec::read(&args.pod, &definition::labels::Surroundings { files, ..around }, programs)
            };
            let shared = Shared::before(&task.mounts).guarding(guarded, task);
            let ask = || files::reading(&self.engine, &task.id, &shared, read);
            let mut reading = retry_until_timeout(&self.address, ask).await?;
            reading.faults.extend(remote_pod::against(task, &self.own, &host));
            reading
        } else {
            spec::read(&args.pod, &around, programs)
        };
        let guard = self.mount_guard(&reading.spec, task, policy);
        spec::ask_engine(&mut reading, &around, &self.engine, &self.address, &self.info, &guard).await?;
        let Reading { spec, warnings, mut faults, new_volumes: _, report: _, allowances: _ } = reading;
        if let Some(arrangement) = self.limiter.arrange_early(&self.own, task) {
            faults.extend(self.sum_faults(&arrangement, &spec, task, policy.level).await?);
        }
        for warning in warnings {
            warn!("{warning}");
        }
        if !faults.is_empty() {
            return Err(Refusal::usage(faults.join("\n")));
        }
        let copies = if elsewhere {
            retry_until_timeout(&self.address, || {
                CopySources::open_elsewhere(&spec, &self.engine, task, guarded)
            })
            .await?
        } else {
            CopySources::open(&spec, task, guarded)
        };
        let copies = copies.map_err(|errors| {
            let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Refusal::usage(words.join("\n"))
        })?;
        Ok((spec, copies))
    }

    /// Give up, for good, everything that is not needed once all is open; then start the threads that write.
    ///
    /// # Errors
    /// When the kernel does not let go of something.
    pub fn confine(&self, output: &Output) -> Result<(), Refusal> {
        let refused = |words: String| Refusal { status: STATUS_REFUSED, words };
        let standing = privileges::drop_privileges(self.socket.as_deref())
            .map_err(|error| refused(error.to_string()))?;
        match standing.still_root {
            Some(why) => warn!("the manager stays root, without capabilities: {why}"),
            None => debug!("the manager is user {} without capabilities", standing.user),
        }
        let confinement = confine((&self.address).into(), self.limiter.groups());
        if let Err(error) = &confinement.system_calls {
            warn!("the manager's system calls are not filtered: {error}");
        }
        debug!("confined: {confinement:?}");
        output.start().map_err(|error| refused(format!("cannot start a thread: {error}")))
    }
}

/// The host of this engine as the policy sees it for the pod of `task`. The pod's manager runs in `own`.
pub fn host_of(
    info: &EngineInfo,
    socket: Option<&str>,
    own: &TaskContainer,
    task: &TaskContainer,
    manager: ManagerFiles,
) -> Host {
    let names = info.names.iter().chain(&own.gateways).chain(&task.gateways);
    let roots = engine_roots(&info.root, &[own, task]);
    Host {
        engine: EnginePaths::of(socket, &roots),
        manager: manager.with_secrets(own, &roots),
        node: NodeNames::of(names.cloned()),
    }
}

/// Folders in which the engine keeps its data. The root that the engine reports may be a link. The volumes
/// and image layers of the engine's containers show the path to which the link leads.
fn engine_roots(root: &str, containers: &[&TaskContainer]) -> Vec<String> {
    let mut roots = vec![root.to_owned()];
    for container in containers {
        let volumes = container.mounts.iter().filter(|mount| mount.kind == "volume").filter_map(|mount| {
            mount
                .source
                .strip_suffix(&format!("/volumes/{}/_data", mount.volume.as_deref()?))
                .map(str::to_owned)
        });
        // `/var/lib/docker/overlay2/ID/diff`: three folders below the root.
        let layers = container.layers.iter().filter_map(|layer| {
            let parts: Vec<&str> = layer.split('/').collect();
            let driver = parts.iter().rposition(|part| part.len() >= 25)?.checked_sub(1)?;
            Some(parts[..driver].join("/"))
        });
        roots.extend(
            volumes
                .chain(layers)
                .filter_map(|root| tidy_path(&root))
                .filter(|root| root.matches('/').count() > 1),
        );
    }
    roots.sort();
    roots.dedup();
    roots
}

/// The variables that a definition may name, by name: it may name very many. In a container of its own the manager's are its
/// operator's, not those of whoever defines a pod. What `pause` tells the manager by variables is never among them.
fn variables(elsewhere: bool, task: &TaskContainer) -> BTreeMap<String, String> {
    if !elsewhere {
        return of_task(std::env::vars_os());
    }
    // The first of a name counts, as for `TaskContainer::variable`.
    let pairs = task.environment.iter().rev().filter_map(|entry| entry.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Of the variables of this process, those of its container.
fn of_task(all: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    let told = [pause::env::CONTROL, pause::env::LIFELINE, pause::env::STOP, pause::env::AGAIN];
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    all.filter_map(text).filter(|(name, _)| !told.contains(&&**name)).collect()
}

/// What the operator allows, by flags and by a file.
///
/// # Errors
/// Where the file cannot be read.
pub fn policy(args: &RunArgs) -> Result<Policy, Refusal> {
    // Every file of this container can be seen: there is nothing to warn of.
    let policy = spec::policy(&args.pod, &LocalFiles, &mut Vec::new()).map_err(Refusal::usage)?;
    let every_path =
        |allowed: &Allowances| Policy { allowed: allowed.clone(), ..policy.clone() }.allows_every_path();
    if every_path(&policy.allowed) || policy.services.values().any(every_path) {
        warn!("`--allow host-paths` without a path: whoever writes labels of a pod has this host, as root");
    }
    Ok(policy)
}

/// Credentials of registries.
///
/// # Errors
/// Where their file is broken.
pub fn credentials() -> Result<Credentials, Refusal> {
    let (credentials, warnings) = definition::registry_config::read(&LocalFiles).map_err(Refusal::usage)?;
    for warning in warnings {
        warn!("{warning}");
    }
    Ok(credentials)
}

/// What `pause` handed over.
///
/// # Errors
/// Where there is no `pause`.
pub fn handed() -> Result<PauseHandover, Refusal> {
    let number = std::env::var(pause::env::CONTROL).map_err(|_| {
        Refusal::usage(
            "the manager is not looked after by pause: start it as `/pause -- /manager`, which is the entrypoint of \
             the image `tandem/manager`",
        )
    })?;
    // Opened anew rather than taken over: so it closes on exec, and no unsafe code is needed.
    let control = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{number}"))
        .map_err(|error| Refusal::usage(format!("cannot open the control pipe to pause: {error}")))?;
    if let Ok(number) = number.parse::<i32>() {
        let _ = nix::unistd::close(number);
    }
    Ok(PauseHandover {
        control,
        lifeline: std::env::var(pause::env::LIFELINE).unwrap_or_default(),
        ending: std::env::var_os(pause::env::STOP).is_some(),
        again: std::env::var_os(pause::env::AGAIN).is_some(),
    })
}

/// Where these flags say that the engine is.
///
/// # Errors
/// Where they name none.
pub fn address(args: &EngineArgs) -> Result<EngineAddress, Refusal> {
    let said = (&args.docker_host, &args.docker_tls_verify, &args.docker_cert_path);
    EngineAddress::parse(Some(said.0), Some(said.1), Some(said.2)).map_err(Refusal::usage)
}

/// Where the engine is, and its unix socket, where it is one.
///
/// # Errors
/// Where there is no such address, or components could reach it.
pub fn engine_of(args: &RunArgs) -> Result<(EngineAddress, Option<PathBuf>), Refusal> {
    let address = address(&args.engine)?;
    let socket = socket_of(&address)?;
    Ok((address, socket))
}

/// The unix socket of an engine that components will not be able to reach.
fn socket_of(address: &EngineAddress) -> Result<Option<PathBuf>, Refusal> {
    match address {
        EngineAddress::Unix(path) => Ok(Some(path.clone())),
        EngineAddress::Tls { .. } => Ok(None),
        EngineAddress::Tcp { .. } => Err(Refusal::usage(format!(
            "the engine at {address} has no protection, and components share the manager's network: every one of \
             them could use it; mount a unix socket, or use TLS with client certificates (`DOCKER_TLS_VERIFY`, \
             `DOCKER_CERT_PATH`)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pod::cgroups::{Cgroups, Held, arrange};
    use pod::limits::Limits;

    #[tokio::test]
    async fn only_default_lets_components_have_more_together_than_the_task() {
        let address = EngineAddress::Unix("/nowhere.sock".into());
        let site = ManagerContext::at(DockerEngine::new(&address).expect("an address"), address).await;
        let limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
        let task = TaskContainer { limits, ..TaskContainer::default() };
        let arrangement = arrange(Cgroups::Slices, String::new, Held::NoMeans, &limits);
        let spec = pod::testing::pod("app web");
        for level in Level::ALL {
            let faults = site.sum_faults(&arrangement, &spec, &task, level).await;
            let faults = faults.unwrap_or_else(|refusal| panic!("{}", refusal.words));
            let named = format!("(`--policy {}`)", level.as_str());
            let refused =
                faults.len() == 1 && faults[0].starts_with("`mem_limit`") && faults[0].ends_with(&named);
            assert_eq!(refused, level != Level::Default, "{faults:?}");
        }
    }

    #[test]
    fn a_pod_elsewhere_sees_no_variable_of_its_manager() {
        let task = TaskContainer { environment: vec!["TAG=1.2".into()], ..TaskContainer::default() };
        let theirs = variables(true, &task);
        assert_eq!((theirs.get("TAG").map(String::as_str), theirs.get("PATH")), (Some("1.2"), None));
        assert!(variables(false, &task).contains_key("PATH"));
        let twice =
            TaskContainer { environment: vec!["A=1".into(), "A=2".into()], ..TaskContainer::default() };
        assert_eq!(variables(true, &twice)["A"], "1");
    }

    #[test]
    fn what_pause_tells_its_manager_is_no_variable_of_the_pod() {
        let all = ["TANDEM_CONTROL", "TANDEM_LIFELINE", "TANDEM_STOP", "TANDEM_AGAIN", "TANDEM_LOGS", "A"];
        let all = all.map(|name| (OsString::from(name), OsString::from("x")));
        let names: Vec<String> = of_task(all.into_iter()).into_keys().collect();
        assert_eq!(names, ["A", "TANDEM_LOGS"]);
    }
}
