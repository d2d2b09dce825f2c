//! What dead pods left on this node: the containers of a pod whose own container is gone, or does not run on two looks
//! (Swarm keeps exited tasks). Every manager sweeps once, when it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::limits::{Limiter, PodCgroup};
use crate::engine::docker::DockerEngine;
use crate::engine::outside::Summary;
use crate::engine::{Engine, EngineError};
use crate::pod::identity::{LABEL_POD, LABEL_ROLE, Role, short};

/// Between the two looks: a pod whose container has just ended is still its manager's, where that is elsewhere, and
/// takes a stop's time to go.
const SECOND_LOOK: Duration = Duration::from_secs(20);

/// A pod whose own container does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dead {
    /// When that was started last; `None` where it is gone.
    started_at: Option<String>,
    /// What is left: components first, since the end of what holds namespaces is theirs too.
    containers: Vec<String>,
}

/// Remove what dead pods left.
pub async fn sweep(engine: DockerEngine, limiter: Arc<Limiter>) {
    let result = async {
        let (first, cgroups) = (look(&engine).await?, dead_cgroups(&engine, &limiter, false).await?);
        if first.is_empty() && cgroups.is_empty() {
            return Ok(());
        }
        sleep(SECOND_LOOK).await;
        for (pod, containers) in both(&first, &look(&engine).await?) {
            info!("removing what the dead pod {} left: {} containers", short(&pod), containers.len());
            for id in containers {
                if let Err(error) = engine.remove(&id).await {
                    warn!("container {} of a dead pod is left: {error}", short(&id));
                }
            }
        }
        let still = dead_cgroups(&engine, &limiter, true).await?;
        for pod in still.intersection(&cgroups) {
            info!("removing the cgroup that the dead pod {pod} left");
            limiter.release(pod).await;
        }
        Ok::<(), EngineError>(())
    };
    if let Err(error) = result.await {
        debug!("not looking for what dead pods left: {error}");
    }
}

/// The dead pods of this moment, by the id of their own container.
async fn look(engine: &DockerEngine) -> Result<BTreeMap<String, Dead>, EngineError> {
    let mut dead = BTreeMap::new();
    let pods = by_pod(engine.of_pods().await?);
    if pods.is_empty() {
        return Ok(dead);
    }
    let alive = alive(engine).await?;
    for (pod, containers) in pods.into_iter().filter(|(pod, _)| !alive.contains(pod)) {
        if let Some(started_at) = death_of(engine, &pod).await? {
            dead.insert(pod, Dead { started_at, containers });
        }
    }
    Ok(dead)
}

/// The containers that run, told in one call: of the many pods of a node few are dead.
async fn alive(engine: &DockerEngine) -> Result<BTreeSet<String>, EngineError> {
    Ok(engine.running().await?.into_iter().map(|container| container.id).collect())
}

/// When a pod's own container that does not run was started last, [`Dead::started_at`]; nothing where it runs, or where
/// nobody can tell: it is not dead then, and no other's affair.
async fn death_of(engine: &DockerEngine, pod: &str) -> Result<Option<Option<String>>, EngineError> {
    match engine.standing(pod).await {
        Ok(found) => Ok((!found.running).then_some(Some(found.started_at))),
        Err(EngineError::NotFound(_)) => Ok(Some(None)),
        Err(error @ (EngineError::Unreachable(_) | EngineError::Untrusted(_))) => Err(error),
        Err(error) => {
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
        if !alive.iter().any(|id| id.starts_with(&pod)) && death_of(engine, &pod).await?.is_some() {
            dead.insert(pod);
        }
    }
    Ok(dead)
}

/// Containers of pods, in the order in which they are removed.
fn by_pod(all: Vec<Summary>) -> BTreeMap<String, Vec<String>> {
    let mut pods: BTreeMap<String, Vec<(bool, String)>> = BTreeMap::new();
    for container in all {
        let Some(pod) = container.labels.get(LABEL_POD) else { continue };
        let role = container.labels.get(LABEL_ROLE).map(String::as_str);
        let holds = [Role::Sandbox, Role::Vault].map(Role::as_str).into_iter().any(|one| role == Some(one));
        pods.entry(pod.clone()).or_default().push((holds, container.id));
    }
    let sorted = |(pod, mut containers): (String, Vec<(bool, String)>)| {
        containers.sort();
        (pod, containers.into_iter().map(|(_, id)| id).collect())
    };
    pods.into_iter().map(sorted).collect()
}

/// What was there on both looks of pods that were dead on both, and did not run in between.
fn both(first: &BTreeMap<String, Dead>, second: &BTreeMap<String, Dead>) -> Vec<(String, Vec<String>)> {
    let still = second.iter().filter_map(|(pod, now)| {
        let before = first
            .get(pod)
            .filter(|before| now.started_at.is_none() || before.started_at == now.started_at)?;
        let old = now.containers.iter().filter(|id| before.containers.contains(id));
        Some((pod.clone(), old.cloned().collect()))
    });
    still.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::docker::tests::{answer, canned, ping};

    fn dead(started_at: Option<&str>, containers: &[&str]) -> Dead {
        Dead {
            started_at: started_at.map(str::to_owned),
            containers: containers.iter().map(|id| (*id).to_owned()).collect(),
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
            let removed: Vec<String> =
                both(&look(&first), &look(&second)).into_iter().flat_map(|(_, ids)| ids).collect();
            assert_eq!(removed, want, "{case}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_told_of_one_pod_keeps_no_other_from_being_swept() {
        let left = |pod| {
            let labels = format!(r#""{LABEL_POD}": "{pod}", "{LABEL_ROLE}": "sandbox""#);
            format!(r#"{{"Id": "of-{pod}", "Names": ["/{pod}.pause"], "Labels": {{{labels}}}}}"#)
        };
        let listed = || answer("200 OK", &format!("[{}, {}, {}]", left("a"), left("b"), left("c")));
        // Whatever becomes of its volume.
        let ended =
            r#"{"Id": "b", "State": {"StartedAt": "10"}, "Mounts": [{"Type": "volume", "Name": "v"}]}"#;
        let refused = answer("500 Internal Server Error", r#"{"message": "its driver is gone"}"#);
        let running = || answer("200 OK", r#"[{"Id": "c"}]"#);
        let (engine, server) =
            canned(vec![ping("1.41"), listed(), running(), refused, answer("200 OK", ended)]);
        let want = looks(&[("b", dead(Some("10"), &["of-b"]))]);
        assert_eq!(look(&engine).await, Ok(want));
        // Of one that runs nothing is asked for, however many there are.
        let asked = server.await.expect("served");
        assert!(!asked.iter().any(|line| line.contains("/containers/c/json")), "{asked:?}");
        // An engine that is not there tells of none.
        let (engine, _server) =
            canned(vec![ping("1.41"), listed(), running(), answer("502 Bad Gateway", "gone")]);
        assert_eq!(look(&engine).await, Err(EngineError::Unreachable("gone".into())));
    }

    #[test]
    fn what_holds_namespaces_goes_last_and_what_is_not_ours_is_not_seen() {
        let one = |id: &str, labels: &[(&str, &str)]| Summary {
            id: id.into(),
            labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            names: Vec::new(),
        };
        let pods = by_pod(vec![
            one("a", &[(LABEL_POD, "pod"), (LABEL_ROLE, "sandbox")]),
            one("b", &[(LABEL_POD, "pod"), (LABEL_ROLE, "component")]),
            one("c", &[(LABEL_ROLE, "component")]),
            one("d", &[(LABEL_POD, "pod")]),
        ]);
        assert_eq!(pods, BTreeMap::from([("pod".into(), vec!["b".into(), "d".into(), "a".into()])]));
    }
}
