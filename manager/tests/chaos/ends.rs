//! A pod ends within its time for stopping and 3 s, whatever two calls hang at once: its manager in the task container, in
//! one beside it, or an agent. What it could not remove is named, and the next manager on the node removes it.
//!
//! Every run of the tests has a few pairs; `TANDEM_CHAOS=always` plays them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{KINDS, Kind};
use crate::lab::docker::{self, docker, try_inspect};
use crate::lab::pod::{Agent, Pod};
use crate::lab::proxy::{Proxy, Seen, Verdict};
use crate::lab::{LONG, each, here, idle, script, unique, wait};

/// `--stop-timeout` by default.
const STOP: Duration = Duration::from_secs(6);
/// The pod has ended so long after that.
const AFTER_STOP: Duration = Duration::from_secs(3);
/// What a busy engine adds: the manager hears of the signal, the engine of the end, and this test of that.
const ENGINE: Duration = Duration::from_secs(5);
/// Pods at once: more would make the engine late.
const AT_A_TIME: usize = 3;
/// Pairs of every run, by the names of [`KINDS`].
const SHORT: [[&str; 2]; 4] =
    [["stop", "remove"], ["remove", "list"], ["inspect", "hook"], ["remove", "events"]];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Manager {
    TaskContainer,
    Sibling,
    Agent,
}

/// A pod whose calls hung, with what must outlive it until its containers are removed.
struct Hung {
    words: String,
    /// Something was there when it ended.
    leaves: bool,
    pod: Pod,
    hangs: Arc<AtomicBool>,
    _agent: Option<(Agent, Proxy)>,
}

fn play(manager: Manager, pair: [&'static Kind; 2]) -> Hung {
    let words = format!("{} and {} hang, {manager:?}", pair[0].name, pair[1].name);
    let hangs = Arc::new(AtomicBool::new(false));
    let hung = Arc::clone(&hangs);
    let rule = move |seen: &Seen| {
        let hit = hung.load(Ordering::SeqCst) && pair.iter().any(|kind| (kind.is)(seen));
        if hit { Verdict::Hang } else { Verdict::Pass }
    };
    let deaf = script("trap '' TERM; while :; do sleep 1; done");
    let plan = Pod::plan("ends")
        .component("app", &format!("{deaf}pre_stop: [{{command: 'true'}}]\n"))
        .component("db", &format!("{}depends_on: [app]\n", idle()));
    let (plan, agent) = match manager {
        Manager::TaskContainer => (plan.proxied(rule), None),
        Manager::Sibling => (plan.proxied(rule).outside(&[]), None),
        Manager::Agent => {
            let proxy = Proxy::start(&docker::socket(), rule);
            let name = unique("agent");
            let agent = Agent::start_in(&name, &name, &proxy.socket(), &[], &[]);
            (plan.agent(&name), Some((agent, proxy)))
        }
    };
    let pod = plan.start();
    pod.wait_healthy();
    hangs.store(true, Ordering::SeqCst);
    docker(&["kill", "-s", "TERM", pod.id()]);
    let asked = Instant::now();
    let end = pod.wait_end();
    let (took, most) = (asked.elapsed(), STOP + AFTER_STOP + ENGINE);
    assert!(took < here(most), "{words}: it took {took:?}\n{}", pod.logs().1);
    // A `pause` elsewhere may not have been told.
    let right = end.status == 0 || manager != Manager::TaskContainer && end.status == 1;
    assert!(right, "{words}: status {}\n{}", end.status, pod.logs().1);
    let left = pod.members();
    if !left.is_empty() {
        wait(format!("{words}: what is left is named"), LONG, || {
            let said = pod.logs().1;
            // The manager of another pod may have removed it by now.
            let named = |id: &String| {
                let Some(found) = try_inspect(id) else { return true };
                let name = found["Name"].as_str().unwrap_or_default().trim_start_matches('/');
                said.contains(&format!("left behind: container `{name}`"))
            };
            left.iter().all(named).then_some(())
        });
    }
    Hung { words, leaves: !left.is_empty(), pod, hangs, _agent: agent }
}

#[test]
fn a_pod_ends_in_its_time_whatever_two_calls_hang_and_the_next_manager_removes_what_is_left() {
    let all = std::env::var("TANDEM_CHAOS").is_ok_and(|word| word == "always");
    let mut jobs = Vec::new();
    for manager in [Manager::TaskContainer, Manager::Sibling, Manager::Agent] {
        for (place, one) in KINDS.iter().enumerate() {
            for other in &KINDS[place + 1..] {
                let short = SHORT.iter().any(|pair| pair.contains(&one.name) && pair.contains(&other.name));
                if all || short {
                    jobs.push((manager, [one, other]));
                }
            }
        }
    }
    let hung = each(jobs.len(), AT_A_TIME, |number| play(jobs[number].0, jobs[number].1));
    assert!(hung.iter().any(|one| one.leaves), "nothing was left: nothing hung");
    hung.iter().for_each(|one| one.hangs.store(false, Ordering::SeqCst));
    // The agents of these pods remove what they left by themselves; this one all of it.
    let next = Agent::start(&[], &[]);
    for one in &hung {
        let words = format!("{}: what is left is removed", one.words);
        wait(words, 2 * LONG, || one.pod.members().is_empty().then_some(()));
    }
    drop(next);
}
