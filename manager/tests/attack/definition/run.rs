//! Runs a set of labels in one kind of pod, and says what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Placement;
use super::scene::Scene;
use super::set::{Attack, Case, Kind, Order, Right};
use crate::lab::docker::{attempt, inspect, labelled, try_inspect, within};
use crate::lab::pod::{Agent, Plan, Pod};
use crate::lab::proxy::Verdict;
use crate::lab::{LONG, wait};

/// Within what time a probe has looked around in a component.
const PROBE: Duration = Duration::from_secs(30);

/// Agents that many pods share: each has the flags of one policy and none beside.
#[derive(Default)]
pub(super) struct Agents(Mutex<BTreeMap<String, Arc<Agent>>>);

impl Agents {
    /// One with these options of `docker run` and these flags.
    pub(super) fn get(&self, options: &[String], flags: &[String]) -> Arc<Agent> {
        let words = |list: &[String]| list.join(" ");
        let start = || {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            Arc::new(Agent::start(&options, &flags))
        };
        if !options.is_empty() || flags.len() > 1 {
            return start();
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(words(flags)).or_insert_with(start))
    }
}

/// A pod that was started; it goes before its agent does.
pub(super) struct Started {
    pub(super) pod: Pod,
    pub(super) _agent: Option<Arc<Agent>>,
}

/// What became of a pod.
pub(super) enum State {
    Runs,
    Ended(i64, String),
}

pub(super) fn start(scene: &Scene, attack: &Attack, plan: Plan, agents: &Agents, more: &[String]) -> Started {
    let kind = scene.kind;
    let mut plan = plan;
    for (key, value) in &attack.labels {
        plan = plan.label(key, value);
    }
    let mut options: Vec<&str> = attack.task.iter().map(String::as_str).collect();
    if kind.placement != Placement::Sandbox {
        options.push("--ipc=shareable");
    }
    if kind.placement == Placement::Task {
        // Where components see the manager's processes it must be so.
        options.extend(["--cap-drop=DAC_OVERRIDE", "--cap-drop=DAC_READ_SEARCH"]);
    }
    let mut flags = vec![format!("--policy={}", kind.level.word())];
    flags.extend(attack.args.iter().chain(more).cloned());
    if !kind.placement.outside() {
        flags.push(format!("--pause={}", kind.placement.word()));
    }
    let words: Vec<&str> = flags.iter().map(String::as_str).collect();
    let plan = plan.options(&options);
    let (plan, agent) = match kind.placement {
        Placement::Agent => {
            let agent = agents.get(&attack.manager, &flags);
            (plan.agent(agent.name()), Some(agent))
        }
        Placement::Sibling => {
            let manager: Vec<&str> = attack.manager.iter().map(String::as_str).collect();
            (plan.outside(&manager).args(&words), None)
        }
        // What the engine is asked for is seen.
        Placement::Sandbox | Placement::Task => (plan.args(&words).proxied(|_| Verdict::Pass), None),
    };
    Started { pod: plan.start(), _agent: agent }
}

/// Waits until the pod has ended, or all of its components run.
pub(super) fn settle(scene: &Scene, attack: &Attack, pod: &Pod) -> State {
    wait(format!("`{}` ends or runs", pod.name()), LONG, || {
        let ended = |name: &str| {
            let state = &inspect(name)["State"];
            (state["Status"] == "exited").then(|| state["ExitCode"].as_i64().expect("a status"))
        };
        if let Some(status) = ended(pod.name()) {
            // A manager that still runs may have more to say.
            if scene.kind.placement == Placement::Sibling {
                ended(pod.manager())?;
            }
            return Some(State::Ended(status, log(scene, pod)));
        }
        let runs = |name: &String| {
            try_inspect(&pod.container(name)).is_some_and(|found| found["State"]["Running"] == true)
        };
        (!attack.components.is_empty() && attack.components.iter().all(runs)).then_some(State::Runs)
    })
}

/// What was said of this pod.
fn log(scene: &Scene, pod: &Pod) -> String {
    let says = match scene.kind.placement {
        // An agent's log is not the pod's.
        Placement::Agent => pod.name(),
        _ => pod.manager(),
    };
    let said = attempt(&["logs", says]);
    said.text() + &said.error()
}

/// What the pod's first component, or the host, sees that the attack was after.
pub(super) fn reached(attack: &Attack, pod: &Pod, component: &str, goal: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if !attack.probe.is_empty() {
        let script = format!("{}true", attack.probe);
        let container = pod.container(component);
        match within(PROBE, &["exec", &container, "sh", "-c", &script]) {
            Some(said) => {
                let said = said.text();
                found
                    .extend(said.lines().filter_map(|line| line.strip_prefix("REACHED ")).map(str::to_owned));
            }
            // An engine 20.10 never answers an exec whose container ends while it starts.
            None => {
                let runs = try_inspect(&container).is_some_and(|found| found["State"]["Running"] == true);
                assert!(!runs, "a probe of `{container}` does not end: {script}");
            }
        }
    }
    if attack.host.as_ref().is_some_and(|look| look(pod)) {
        found.insert(goal.to_owned());
    }
    found
}

/// What came of a set of labels: a word for the table, and more for whoever has to look into it.
pub(super) struct Seen {
    pub(super) word: String,
    pub(super) detail: String,
}

/// The name of one of several components: no other one begins with it.
pub(super) fn component(number: usize) -> String {
    format!("c{number:02}x")
}

/// What came of each of these sets. Of several each is a component of one pod: everything that is wrong with a definition is
/// said at once. Where one of them is not named, or reaches something, it is tried by itself; where that pod ends though all
/// are to be accepted, each is.
pub(super) fn try_cases(cases: &[&Case], kind: Kind, agents: &Agents) -> Vec<Seen> {
    let together = match cases {
        [_] => Vec::new(),
        cases => catch_unwind(AssertUnwindSafe(|| in_one_pod(cases, kind, agents))).unwrap_or_default(),
    };
    let mut together = together.into_iter();
    let one = |case: &&Case| together.next().flatten().unwrap_or_else(|| try_case(case, kind, agents));
    cases.iter().map(one).collect()
}

/// What came of those of these sets that are as they should be as components of one pod.
fn in_one_pod(cases: &[&Case], kind: Kind, agents: &Agents) -> Vec<Option<Seen>> {
    let plan = Pod::plan("definition-many");
    let name = plan.name().to_owned();
    let scene = Scene::new(kind, &name, false);
    let made = cases.iter().map(|case| {
        let scene = Scene::new(kind, &name, false);
        let attack = (case.make)(&scene);
        (scene, attack)
    });
    let made: Vec<(Scene, Attack)> = made.collect();
    let mut whole = Attack::bare();
    for (number, (_, attack)) in made.iter().enumerate() {
        assert!(attack.is_simple(), "`{}` needs a pod of its own", cases[number].name);
        whole = whole.and(&component(number), attack.labels[0].1.clone());
        whole.args.extend(attack.args.iter().cloned());
    }
    let started = start(&scene, &whole, plan, agents, &[]);
    let log = match settle(&scene, &whole, &started.pod) {
        State::Ended(64, log) => log,
        State::Ended(..) => return Vec::new(),
        State::Runs => {
            let log = log(&scene, &started.pod);
            let one = |(number, (scene, attack)): (usize, &(Scene, Attack))| {
                let found = reached(attack, &started.pod, &component(number), cases[number].goal);
                let right = cases[number].words(kind).is_empty() && !log.contains(&scene.token);
                (right && found.is_empty()).then(|| Seen { word: "nothing".into(), detail: String::new() })
            };
            return made.iter().enumerate().map(one).collect();
        }
    };
    let leaks = made.iter().any(|(scene, _)| log.contains(&scene.token));
    if leaks || !changes(&scene, &started.pod).is_empty() {
        return Vec::new();
    }
    let one = |(number, case): (usize, &&Case)| {
        let name = component(number);
        if case.words(kind).is_empty() {
            return None;
        }
        let want = case.words(kind).replace("pod.component.app", &format!("pod.component.{name}"));
        let said = log.lines().find(|line| line.contains(&name) && line.contains(&want));
        said.map(|line| Seen { word: format!("refused: {}", case.words(kind)), detail: line.to_owned() })
    };
    cases.iter().enumerate().map(one).collect()
}

/// What has been made or changed for a pod that was refused.
fn changes(scene: &Scene, pod: &Pod) -> Vec<String> {
    match scene.kind.placement {
        Placement::Sandbox | Placement::Task => pod.proxy().changes(),
        Placement::Sibling | Placement::Agent => labelled(&format!("io.tandem.pod={}", pod.id())),
    }
}

fn try_case(case: &Case, kind: Kind, agents: &Agents) -> Seen {
    let seen = try_once(case, kind, agents);
    // A busy engine with fuse-overlayfs now and then starts a container before its root is mounted: then nothing
    // was tried.
    let unmounted = seen.word == FAILED && seen.detail.contains("unable to start container process: exec:");
    if unmounted { try_once(case, kind, agents) } else { seen }
}

/// The test itself failed.
const FAILED: &str = "FAILED";

fn try_once(case: &Case, kind: Kind, agents: &Agents) -> Seen {
    let act = || {
        let plan = Pod::plan("definition");
        let scene = Scene::new(kind, plan.name(), false);
        let attack = (case.make)(&scene);
        try_attack(case, &scene, &attack, plan, agents)
    };
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Seen { word: FAILED.into(), detail: text.unwrap_or_default() }
    })
}

fn try_attack(case: &Case, scene: &Scene, attack: &Attack, plan: Plan, agents: &Agents) -> Seen {
    let want = case.words(scene.kind);
    let judged = |attack: &Attack, pod: &Pod, state: State| judge(want, scene, attack, pod, state, case.goal);
    let Some((other, order)) = &attack.other else {
        let started = start(scene, attack, plan, agents, &[]);
        let state = settle(scene, attack, &started.pod);
        return judged(attack, &started.pod, state);
    };
    let first = start(scene, other, Pod::plan("definition-other"), agents, &[]);
    let second;
    let first_state = if *order == Order::First {
        let state = settle(scene, other, &first.pod);
        if !matches!(state, State::Runs) {
            return judged(other, &first.pod, state);
        }
        second = start(scene, attack, plan, agents, &[]);
        state
    } else {
        second = start(scene, attack, plan, agents, &[]);
        settle(scene, other, &first.pod)
    };
    let state = settle(scene, attack, &second.pod);
    // Of two that come at once, at most one passes: whichever.
    let runs = matches!(state, State::Runs);
    if runs && !matches!(first_state, State::Runs) {
        return judged(other, &first.pod, first_state);
    }
    if runs && *order == Order::AtOnce && !want.is_empty() {
        return Seen { word: "REACHED: both run".into(), detail: String::new() };
    }
    judged(attack, &second.pod, state)
}

fn judge(want: &str, scene: &Scene, attack: &Attack, pod: &Pod, state: State, goal: &str) -> Seen {
    let seen = |word: &str, detail: String| Seen { word: word.to_owned(), detail };
    let (found, log) = match state {
        State::Ended(_, log) if log.contains(&scene.token) => return seen("REACHED in the log", log),
        State::Ended(64, log) => {
            let changed = changes(scene, pod);
            return match () {
                () if want.is_empty() => seen("REFUSED", log),
                () if !log.contains(want) => seen("REFUSED OTHERWISE", log),
                () if !changed.is_empty() && !attack.late => {
                    seen("REFUSED LATE", format!("{changed:?}\n{log}"))
                }
                () => seen(&format!("refused: {want}"), log),
            };
        }
        // Only what is seen from the host can be looked at.
        State::Ended(status, log) => {
            let found = attack.host.as_ref().is_some_and(|look| look(pod));
            let found: BTreeSet<String> = found.then(|| goal.to_owned()).into_iter().collect();
            (found, format!("ended with {status}\n{log}"))
        }
        State::Runs => {
            if let Some(act) = &attack.then {
                act(pod);
            }
            let component = attack.components.first().expect("a component runs");
            let log = log(scene, pod);
            if log.contains(&scene.token) {
                return seen("REACHED in the log", log);
            }
            (reached(attack, pod, component, goal), log)
        }
    };
    let found: Vec<String> = found.into_iter().collect();
    match attack.right {
        _ if found.is_empty() => seen("nothing", log),
        Right::Given => seen("given", log),
        Right::Orphan => seen("remains", log),
        Right::No => seen(&format!("REACHED {}", found.join(", ")), log),
    }
}
