//! What dead pods left on this node: containers whose task container is gone, does not run, or runs anew. Where nobody
//! looks after them any more, since the manager that created them is gone too, a manager removes them at once, before its
//! own pod begins. Else a pod counts as dead on the second look (Swarm keeps exited tasks, and a manager elsewhere takes
//! a stop's time to clean up). Every manager sweeps until nothing is left that it could not remove; an agent also after a
//! pod of which something was left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::cgroups::{Limiter, PodCgroup};
use engine::convert::nanos;
use engine::docker::DockerEngine;
use engine::node::Summary;
use engine::{Engine, EngineError};
use pod::identity::{LABEL_MANAGER, LABEL_POD, LABEL_ROLE, LABEL_RUN, Labelled, Role, short};
use pod::observed::ContainerInfo;

/// Between the two looks: a pod whose container has just ended is still its manager's, where that is elsewhere, and
/// takes a stop's time to go.
const SECOND_LOOK: Duration = Duration::from_secs(20);

/// Pods that the engine is asked about at a time.
const AT_ONCE: usize = 8;
/// How long the engine may take to tell of one: it may hang at this container alone.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a pod waits before it begins for the removal of what has its names and nobody looks after. What takes longer
/// is tried again while the pod runs.
const BEFORE_BEGIN: Duration = Duration::from_secs(10);
/// A creation that an engine was asked for comes about until then: its manager waits for 120 s for the answer.
const LATE: Duration = Duration::from_secs(140);
/// Longest wait between two rounds: what could not be removed, since the engine hangs or a volume is stuck, is tried
/// again.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// A pod whose own container does not run, or runs anew.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dead {
    /// When that was started last; `None` where it is gone.
    started_at: Option<String>,
    /// What is left: components first, since the end of what holds namespaces is theirs too.
    containers: Vec<Left>,
}

/// A container that a dead pod left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Left {
    /// It holds namespaces or files of others.
    holds: bool,
    id: String,
    name: String,
    /// Nobody looks after it: the container of the manager that created it is gone, does not run, or was started again
    /// since.
    forsaken: bool,
}

/// Remove what nobody looks after any more. `me` is the id of the container of the manager that asks, which runs no pod
/// yet: what an earlier process in that container created for a dead pod is nobody's either. Returns when nothing is left
/// that has a name of the pod whose task container is called `name`; the rest goes on beside it.
pub async fn sweep_forsaken(engine: &DockerEngine, me: &str, name: Option<&str>) {
    // More than the two answers that one container may keep it waiting for.
    let dead = match timeout(BEFORE_BEGIN, look(engine, Some(me))).await {
        Ok(Ok(dead)) => dead,
        Ok(Err(error)) => return debug!("what dead pods left is not known: {error}"),
        Err(_) => return debug!("what dead pods left is not known: the engine does not answer"),
    };
    let prefix = name.map(|name| format!("{name}."));
    let is_in_the_way = |left: &Left| prefix.as_ref().is_some_and(|prefix| left.name.starts_with(prefix));
    let forsaken = dead.into_iter().map(|(pod, dead)| {
        let left: Vec<Left> = dead.containers.into_iter().filter(|left| left.forsaken).collect();
        (pod, left)
    });
    let (awaited, others): (Vec<_>, Vec<_>) = forsaken.partition(|(_, left)| left.iter().any(is_in_the_way));
    let removal = |pods: Vec<(String, Vec<Left>)>| {
        let engine = engine.clone();
        let removals = pods.into_iter().map(move |(pod, left)| {
            let engine = engine.clone();
            async move { _ = remove_all(&engine, &pod, &left.iter().collect::<Vec<_>>()).await }
        });
        tokio::spawn(stream::iter(removals).buffer_unordered(AT_ONCE).collect::<()>())
    };
    drop(removal(others));
    if timeout(BEFORE_BEGIN, removal(awaited)).await.is_err() {
        debug!("what has the names of this pod is not removed yet");
    }
}

/// Remove what dead pods left. Returns when nothing is left, and nothing can come about any more that a manager asked for
/// before.
pub async fn sweep(engine: DockerEngine, limiter: Arc<Limiter>) {
    let (began, mut wait) = (Instant::now(), SECOND_LOOK);
    loop {
        match round(&engine, &limiter).await {
            Ok(true) if began.elapsed() >= LATE => return,
            Ok(true) => {
                sleep_until(began + LATE).await;
                continue;
            }
            Ok(false) => {}
            Err(error) => debug!("what dead pods left is not known, trying again: {error}"),
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// The same for a pod that has ended just now: its own container may seem to run a moment longer.
pub async fn sweep_soon(engine: DockerEngine, limiter: Arc<Limiter>) {
    sleep(SECOND_LOOK).await;
    sweep(engine, limiter).await;
}

/// Two looks, and the removals. Reports whether nothing of dead pods is left.
async fn round(engine: &DockerEngine, limiter: &Limiter) -> Result<bool, EngineError> {
    let (first, cgroups) = (look(engine, None).await?, dead_cgroups(engine, limiter, false).await?);
    if first.is_empty() && cgroups.is_empty() {
        return Ok(true);
    }
    sleep(SECOND_LOOK).await;
    let second = look(engine, None).await?;
    let dead = both(&first, &second);
    // What came in between is another round's.
    let mut clean = dead.iter().map(|(_, containers)| containers.len()).sum::<usize>()
        == second.values().map(|dead| dead.containers.len()).sum::<usize>();
    for (pod, containers) in dead {
        clean &= remove_all(engine, &pod, &containers).await;
    }
    let still = dead_cgroups(engine, limiter, true).await?;
    for pod in still.intersection(&cgroups) {
        info!("removing the cgroup that the dead pod {pod} left");
        limiter.release(pod).await;
    }
    Ok(clean)
}

/// Remove containers that a dead pod left. Reports whether they are gone, or not the pod's any more.
async fn remove_all(engine: &DockerEngine, pod: &str, containers: &[&Left]) -> bool {
    if containers.is_empty() {
        return true;
    }
    info!("removing what the dead pod {} left: {} containers", short(pod), containers.len());
    // Side by side: the engine may hang at one of them.
    let removals = containers.iter().map(|left| remove(engine, &left.id, pod));
    join_all(removals).await.into_iter().all(|gone| gone)
}

/// Remove a container that a dead pod left. Reports whether it is gone, or not the dead pod's any more.
async fn remove(engine: &DockerEngine, id: &str, pod: &str) -> bool {
    // Both are looked up again right before the removal: by now the pod may run again, and the container be another's.
    let result = match engine.inspect(id).await {
        Ok(found) if is_left(&found, pod) => match death_of(engine, pod).await {
            Ok(Some(death)) if death.concerns(found.labels.get(LABEL_RUN)) => engine.remove(id).await,
            Ok(_) => return true,
            Err(error) => Err(error),
        },
        Ok(_) | Err(EngineError::NotFound(_)) => return true,
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        warn!("container {} of a dead pod is left: {error}", short(id));
    }
    result.is_ok()
}

/// Reports whether the container belonged to this pod, according to its labels, its name and the network that
/// it joins.
fn is_left(found: &ContainerInfo, pod: &str) -> bool {
    let ContainerInfo { labels, name, network, command, .. } = found;
    labels.get(LABEL_POD).is_some_and(|label| label == pod)
        && Labelled { labels, name, network, command }.is_genuine(None)
}

/// The dead pods of this moment, by the id of their own container. `me`: see [`sweep_forsaken`].
async fn look(engine: &DockerEngine, me: Option<&str>) -> Result<BTreeMap<String, Dead>, EngineError> {
    let mut dead = BTreeMap::new();
    let all = engine.of_pods().await?;
    if all.is_empty() {
        return Ok(dead);
    }
    let alive = alive(engine).await?;
    let managers = Managers::of(engine, me, &all, alive).await?;
    // Of the many pods of a node few are dead: one that runs is only asked about where nobody looks after what it left.
    let worth = |(pod, containers): &(String, Vec<(Left, Option<String>)>)| {
        !managers.alive.contains(pod) || containers.iter().any(|(left, _)| left.forsaken)
    };
    let asked = by_pod(all, &managers)
        .into_iter()
        .filter(worth)
        .map(|(pod, containers)| async move { (death_of(engine, &pod).await, pod, containers) });
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some((death, pod, containers)) = answers.next().await {
        let Some(death) = death? else { continue };
        let concerned = |(left, run): (Left, Option<String>)| death.concerns(run.as_ref()).then_some(left);
        let mut left: Vec<Left> = containers.into_iter().filter_map(concerned).collect();
        if !left.is_empty() {
            left.sort();
            dead.insert(pod, Dead { started_at: death.started_at, containers: left });
        }
    }
    Ok(dead)
}

/// Who created what there is, and whether they are still there to look after it.
struct Managers {
    me: Option<String>,
    /// The containers that run.
    alive: BTreeSet<String>,
    /// When those managers' containers were started that run, nanoseconds since 1970; only of those that created
    /// something of a pod that does not run.
    started: BTreeMap<String, i64>,
}

impl Managers {
    async fn of(
        engine: &DockerEngine,
        me: Option<&str>,
        all: &[Summary],
        alive: BTreeSet<String>,
    ) -> Result<Self, EngineError> {
        let runs = |container: &Summary, key: &str| {
            container.labels.get(key).filter(|id| alive.contains(*id)).cloned()
        };
        let managers: BTreeSet<String> = all
            .iter()
            .filter(|container| runs(container, LABEL_POD).is_none())
            .filter_map(|container| runs(container, LABEL_MANAGER))
            .collect();
        let asked = managers
            .into_iter()
            .map(|manager| async move { (timeout(ANSWER, engine.standing(&manager)).await, manager) });
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut started = BTreeMap::new();
        while let Some((answer, manager)) = answers.next().await {
            match answer {
                Ok(Ok(found)) => _ = started.insert(manager, nanos(&found.started_at).unwrap_or_default()),
                Ok(Err(error @ (EngineError::Unreachable(_) | EngineError::Untrusted(_)))) => {
                    return Err(error);
                }
                // Gone by now: the next look sees that. Or nobody can tell.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        drop(answers);
        Ok(Managers { me: me.map(str::to_owned), alive, started })
    }

    /// Nobody looks after this container: its manager is gone, or was started again since it created the container. A
    /// container without the label is of an earlier version, and nobody knows.
    fn forsook(&self, container: &Summary) -> bool {
        /// Nanoseconds.
        const SECOND: i64 = 1_000_000_000;
        let Some(manager) = container.labels.get(LABEL_MANAGER) else { return false };
        if !self.alive.contains(manager) || self.me.as_ref() == Some(manager) {
            return true;
        }
        // The engine tells whole seconds: one that was created within this one may be of either run.
        let created = container.created.saturating_add(1).saturating_mul(SECOND);
        self.started.get(manager).is_some_and(|started| *started >= created)
    }
}

/// That a pod's own container does not run, or which run of it is under way.
#[derive(Debug, PartialEq, Eq)]
struct Death {
    /// When it was started last; `None` where it is gone.
    started_at: Option<String>,
    running: bool,
}

impl Death {
    /// It concerns what was created for this run of the task container.
    fn concerns(&self, run: Option<&String>) -> bool {
        !self.running || run.is_some_and(|run| self.started_at.as_ref() != Some(run))
    }
}

/// The containers that run, told in one call: of the many pods of a node few are dead.
async fn alive(engine: &DockerEngine) -> Result<BTreeSet<String>, EngineError> {
    Ok(engine.running().await?.into_iter().map(|container| container.id).collect())
}

/// What has become of a pod's own container; nothing where nobody can tell: it is not dead then, and no other's affair.
async fn death_of(engine: &DockerEngine, pod: &str) -> Result<Option<Death>, EngineError> {
    match timeout(ANSWER, engine.standing(pod)).await {
        Err(_) => {
            warn!("whether the pod {} is dead cannot be told: the engine does not answer", short(pod));
            Ok(None)
        }
        Ok(Ok(found)) => Ok(Some(Death { started_at: Some(found.started_at), running: found.running })),
        Ok(Err(EngineError::NotFound(_))) => Ok(Some(Death { started_at: None, running: false })),
        Ok(Err(error @ (EngineError::Unreachable(_) | EngineError::Untrusted(_)))) => Err(error),
        Ok(Err(error)) => {
            warn!("whether the pod {} is dead cannot be told: {error}", short(pod));
            Ok(None)
        }
    }
}

/// Dead pods of this moment, by their short ids, that have left a cgroup, or an empty one.
async fn dead_cgroups(
    engine: &DockerEngine,
    limiter: &Limiter,
    empty: bool,
) -> Result<BTreeSet<String>, EngineError> {
    let mut dead = BTreeSet::new();
    let cgroups: Vec<PodCgroup> =
        limiter.cgroups().await.into_iter().filter(|one| one.empty || !empty).collect();
    if cgroups.is_empty() {
        return Ok(dead);
    }
    let alive = alive(engine).await?;
    for PodCgroup { pod, .. } in cgroups {
        if !alive.iter().any(|id| id.starts_with(&pod))
            && death_of(engine, &pod).await?.is_some_and(|death| !death.running)
        {
            dead.insert(pod);
        }
    }
    Ok(dead)
}

/// Containers of pods, each with the run of the task container that it was created for.
fn by_pod(all: Vec<Summary>, managers: &Managers) -> BTreeMap<String, Vec<(Left, Option<String>)>> {
    let holders = [Role::Sandbox, Role::Store].map(Role::as_str);
    let mut pods: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for container in all {
        let forsaken = managers.forsook(&container);
        let name = container.name().to_owned();
        let Summary { id, mut labels, .. } = container;
        let Some(pod) = labels.remove(LABEL_POD) else { continue };
        let holds = labels.get(LABEL_ROLE).is_some_and(|role| holders.contains(&role.as_str()));
        pods.entry(pod).or_default().push((Left { holds, id, name, forsaken }, labels.remove(LABEL_RUN)));
    }
    pods
}

/// What is to be removed on the second look: what was there on both looks of pods that were dead on both, and did not run
/// in between; and what nobody looks after.
fn both<'a>(
    first: &BTreeMap<String, Dead>,
    second: &'a BTreeMap<String, Dead>,
) -> Vec<(String, Vec<&'a Left>)> {
    let still = second.iter().map(|(pod, now)| {
        let before =
            first.get(pod).filter(|before| now.started_at.is_none() || before.started_at == now.started_at);
        let seen = |left: &Left| {
            before.is_some_and(|before| before.containers.iter().any(|other| other.id == left.id))
        };
        let old = now.containers.iter().filter(|left| left.forsaken || seen(left));
        (pod.clone(), old.collect())
    });
    still.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::testing::{answer, canned, ping};

    fn left(id: &str) -> Left {
        Left { holds: false, id: id.into(), name: String::new(), forsaken: false }
    }

    fn dead(started_at: Option<&str>, containers: &[&str]) -> Dead {
        Dead {
            started_at: started_at.map(str::to_owned),
            containers: containers.iter().map(|id| left(id)).collect(),
        }
    }

    fn looks(pods: &[(&str, Dead)]) -> BTreeMap<String, Dead> {
        pods.iter().map(|(pod, dead)| ((*pod).to_owned(), dead.clone())).collect()
    }

    #[test]
    fn only_what_was_dead_on_both_looks_is_removed() {
        let old = || dead(Some("10"), &["a", "b"]);
        let none: &[&str] = &[];
        let cases = [
            ("exited twice", Some(old()), Some(old()), &["a", "b"][..]),
            ("gone twice", Some(dead(None, &["a"])), Some(dead(None, &["a"])), &["a"][..]),
            ("exited, then gone", Some(old()), Some(dead(None, &["a"])), &["a"][..]),
            ("running by now", Some(old()), None, none),
            ("ended just now", None, Some(old()), none),
            ("it ran in between", Some(old()), Some(dead(Some("11"), &["a", "b"])), none),
            (
                "what came in between is not touched",
                Some(old()),
                Some(dead(Some("10"), &["b", "c"])),
                &["b"][..],
            ),
        ];
        for (case, first, second, want) in cases {
            let look = |dead: &Option<Dead>| match dead {
                Some(dead) => looks(&[("pod", dead.clone())]),
                None => BTreeMap::new(),
            };
            let (first, second) = (look(&first), look(&second));
            let removed: Vec<&str> = both(&first, &second)
                .into_iter()
                .flat_map(|(_, all)| all)
                .map(|left| left.id.as_str())
                .collect();
            assert_eq!(removed, want, "{case}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_told_of_one_pod_keeps_no_other_from_being_swept() {
        let container = |pod| {
            let labels = format!(r#""{LABEL_POD}": "{pod}", "{LABEL_ROLE}": "sandbox""#);
            let joins = format!(r#""HostConfig": {{"NetworkMode": "container:{pod}"}}, "Command": "/pause""#);
            format!(r#"{{"Id": "of-{pod}", "Names": ["/{pod}.pause"], "Labels": {{{labels}}}, {joins}}}"#)
        };
        let listed =
            || answer("200 OK", &format!("[{}, {}, {}]", container("a"), container("b"), container("c")));
        // Whatever becomes of its volume.
        let ended =
            r#"{"Id": "b", "State": {"StartedAt": "10"}, "Mounts": [{"Type": "volume", "Name": "v"}]}"#;
        let refused = answer("500 Internal Server Error", r#"{"message": "its driver is gone"}"#);
        let running = || answer("200 OK", r#"[{"Id": "c"}]"#);
        let (engine, server) =
            canned(vec![ping("1.41"), listed(), running(), refused, answer("200 OK", ended)]);
        let holds = Left { holds: true, name: "b.pause".into(), ..left("of-b") };
        let want = looks(&[("b", Dead { started_at: Some("10".into()), containers: vec![holds] })]);
        assert_eq!(look(&engine, None).await, Ok(want));
        // Of one that runs nothing is asked for, however many there are.
        let asked = server.await.expect("served");
        assert!(!asked.iter().any(|line| line.contains("/containers/c/json")), "{asked:?}");
        // An engine that is not there tells of none.
        let (engine, _server) =
            canned(vec![ping("1.41"), listed(), running(), answer("502 Bad Gateway", "gone")]);
        assert_eq!(look(&engine, None).await, Err(EngineError::Unreachable("gone".into())));
    }

    fn summary(id: &str, created: i64, labels: &[(&str, &str)]) -> Summary {
        Summary {
            id: id.into(),
            created,
            labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            ..Summary::default()
        }
    }

    #[test]
    fn what_holds_namespaces_goes_last_and_what_is_not_ours_is_not_seen() {
        let managers = Managers { me: None, alive: BTreeSet::new(), started: BTreeMap::new() };
        let pods = by_pod(
            vec![
                summary("a", 0, &[(LABEL_POD, "pod"), (LABEL_ROLE, "sandbox")]),
                summary("b", 0, &[(LABEL_POD, "pod"), (LABEL_ROLE, "component"), (LABEL_RUN, "9")]),
                summary("c", 0, &[(LABEL_ROLE, "component")]),
                summary("d", 0, &[(LABEL_POD, "pod")]),
            ],
            &managers,
        );
        let mut found = pods.get("pod").expect("the pod").clone();
        found.sort();
        let holds = Left { holds: true, ..left("a") };
        assert_eq!(found, [(left("b"), Some("9".into())), (left("d"), None), (holds, None)]);
        assert_eq!(pods.len(), 1);
    }

    #[test]
    fn containers_whose_manager_is_gone_or_started_again_are_removed_on_the_first_look() {
        let managers = Managers {
            me: Some("me".into()),
            alive: ["me", "old", "new"].map(str::to_owned).into(),
            started: [("old".to_owned(), 5_000_000_000), ("new".to_owned(), 10_500_000_000)].into(),
        };
        let cases = [
            ("no label", None, 7, false),
            ("its manager is gone", Some("gone"), 7, true),
            ("the manager that looks", Some("me"), 7, true),
            ("its manager runs", Some("old"), 7, false),
            ("its manager was started again since", Some("new"), 7, true),
            ("created within the second of the start", Some("new"), 10, false),
            ("created after the start", Some("new"), 11, false),
        ];
        for (case, manager, created, want) in cases {
            let labels: Vec<_> = manager.map(|manager| (LABEL_MANAGER, manager)).into_iter().collect();
            assert_eq!(managers.forsook(&summary("a", created, &labels)), want, "{case}");
        }
        // Where its manager is gone, the first look is enough.
        let none = BTreeMap::new();
        let forsaken = Left { forsaken: true, ..left("a") };
        let now = looks(&[("pod", Dead { started_at: None, containers: vec![forsaken.clone(), left("b")] })]);
        assert_eq!(both(&none, &now), [("pod".to_owned(), vec![&forsaken])]);
    }

    #[test]
    fn containers_of_an_earlier_run_are_orphans_and_those_of_this_run_are_not() {
        let running = Death { started_at: Some("11".into()), running: true };
        let ended = Death { running: false, ..Death { started_at: Some("11".into()), running: true } };
        let (this, earlier) = ("11".to_owned(), "10".to_owned());
        assert!(!running.concerns(Some(&this)) && !running.concerns(None));
        assert!(running.concerns(Some(&earlier)));
        assert!([None, Some(&this), Some(&earlier)].into_iter().all(|run| ended.concerns(run)));
    }
}
