//! The definition attacker: labels are hostile. Every set of labels is run under every policy, in every placement, and
//! `definition.md` beside this folder is the table of what each reached. Whoever writes labels gets what the operator gave
//! the task container or allowed the manager, and nothing else: so a cell is a refusal with its words (exit status 64,
//! before anything is created), `nothing`, or `given`.
//!
//! A refused cell is one `docker run`, or one component among others that are refused. Without `TANDEM_ATTACK=all`, which
//! `cargo xtask attack` sets, each case runs in one of the twelve kinds of pod; the list uses all of them. A number from 1
//! to 11 there gives each case another one.

mod cases;
mod run;
mod scene;
mod set;
mod spellings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Placement;
use crate::lab::docker::{attempt, inspect, try_inspect};
use crate::lab::pod::{Plan, Pod};
use crate::lab::{LONG, each, here, tools_image, wait};
use run::{Agents, Seen, State, component, reached, settle, start, try_cases};
use scene::Scene;
use set::{Attack, Case, Control, Kind, Level, always, case, simple, volume};

/// Pods that are tried at the same time: one waits more than it works.
const AT_A_TIME: usize = 3;
/// Sets of one component each that share one pod.
const TOGETHER: usize = 40;
/// The same of those that run.
const RUN_TOGETHER: usize = 8;
/// Within what time an attack has worked, once its pod runs.
const SOON: Duration = Duration::from_secs(10);
/// What switches the policy off, as far as a word can.
const EVERYTHING: &str = "--allow=annotations,capabilities,engine-socket,host-paths,host-users,local-registries,\
                          log-drivers,privileged,raw-devices,runtimes,unconfined";

/// The words of a cell that is as it should be. What is given need not be there on every host.
fn is_right(case: &Case, kind: Kind, word: &str) -> bool {
    match case.words(kind) {
        "" => ["nothing", "given", "remains"].contains(&word),
        said => word == format!("refused: {said}"),
    }
}

/// The cells of one policy: what is the same in several placements is written once.
fn merged(cells: &[(Placement, String)]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (placement, word) in cells {
        match groups.iter_mut().find(|(known, _)| known == word) {
            Some((_, placements)) => placements.push(placement.word()),
            None => groups.push((word.as_str(), vec![placement.word()])),
        }
    }
    match &groups[..] {
        [(word, _)] => (*word).to_owned(),
        groups => {
            let group =
                |(word, placements): &(&str, Vec<&str>)| format!("{word} ({})", placements.join(", "));
            groups.iter().map(group).collect::<Vec<_>>().join("; ")
        }
    }
}

/// What [`merged`] wrote for one placement.
fn of_placement(cell: &str, placement: Placement) -> Option<&str> {
    cell.split("; ").find_map(|group| {
        match group.strip_suffix(')').and_then(|group| group.rsplit_once(" (")) {
            Some((word, placements)) if is_list(placements) => {
                placements.split(", ").any(|one| one == placement.word()).then_some(word)
            }
            _ => Some(group),
        }
    })
}

fn is_list(words: &str) -> bool {
    words.split(", ").all(|word| Placement::ALL.iter().any(|placement| placement.word() == word))
}

/// The cell of the kept table.
fn kept(name: &str, kind: Kind) -> Option<&'static str> {
    let head = format!("| {name} | ");
    let row = include_str!("../definition.md").lines().find_map(|line| line.strip_prefix(&head))?;
    let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
    of_placement(cells.get(1 + kind.level as usize)?, kind.placement)
}

/// What is tried in one pod: sets that are refused, each with one component, are refused together.
fn jobs(cases: &[Case], kinds: &[Kind], cells: &[(usize, Kind)]) -> Vec<(Kind, Vec<usize>)> {
    let mut jobs = Vec::new();
    for kind in kinds {
        let here = cells.iter().filter(|(_, other)| other.word() == kind.word()).map(|(number, _)| *number);
        let (together, alone): (Vec<usize>, Vec<usize>) = here.partition(|number| {
            let case = &cases[*number];
            case.simple && !(case.ends && case.words(*kind).is_empty())
        });
        let (refused, accepted): (Vec<usize>, Vec<usize>) =
            together.into_iter().partition(|number| !cases[*number].words(*kind).is_empty());
        let (asks, others): (Vec<usize>, Vec<usize>) =
            refused.into_iter().partition(|number| cases[*number].asks);
        jobs.extend(alone.into_iter().map(|number| (*kind, vec![number])));
        for (some, most) in [(asks, TOGETHER), (others, TOGETHER), (accepted, RUN_TOGETHER)] {
            jobs.extend(some.chunks(most).map(|some| (*kind, some.to_vec())));
        }
    }
    jobs
}

#[test]
fn no_definition_reaches_more_than_its_operator_gave_in_any_kind_of_pod() {
    let (cases, kinds, agents) = (cases::all(), Kind::all(), Agents::default());
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    let word = std::env::var("TANDEM_ATTACK").unwrap_or_default();
    let (all, first) = (word == "all", word.parse().unwrap_or(0));
    let of_name = !all && !word.is_empty() && word.parse::<usize>().is_err();
    let tried = |number: usize| match (of_name, all) {
        (true, _) if !cases[number].name.contains(&word) => &kinds[..0],
        (true, _) | (_, true) => &kinds[..],
        _ => &kinds[(first + number) % kinds.len()..][..1],
    };
    let cells: Vec<(usize, Kind)> =
        (0..cases.len()).flat_map(|number| tried(number).iter().map(move |kind| (number, *kind))).collect();
    let jobs = jobs(&cases, &kinds, &cells);
    let done = each(jobs.len(), AT_A_TIME, |at| {
        let (kind, numbers) = &jobs[at];
        let some: Vec<&Case> = numbers.iter().map(|number| &cases[*number]).collect();
        numbers.iter().copied().zip(try_cases(&some, *kind, &agents)).collect::<Vec<_>>()
    });
    let mut seen = BTreeMap::new();
    for ((kind, _), done) in jobs.iter().zip(done) {
        seen.extend(done.into_iter().map(|(number, seen)| ((number, kind.word()), seen)));
    }
    let mut wrong = Vec::new();
    for (number, kind) in &cells {
        let (case, kind) = (&cases[*number], *kind);
        let Seen { word, detail } = &seen[&(*number, kind.word())];
        let before = kept(&case.name, kind);
        if !is_right(case, kind, word) || (!all && before != Some(word.as_str())) {
            let want = case.words(kind);
            let head =
                format!("`{}` ({}): {word}; wanted `{want}`, kept is {before:?}", case.name, kind.word());
            wrong.push(format!("{head}\n{detail}"));
        }
    }
    if all {
        let mut table =
            "| labels | after | default | baseline | restricted |\n|---|---|---|---|---|\n".to_owned();
        for (number, case) in cases.iter().enumerate() {
            let of = |level| {
                let some = kinds.iter().filter(|kind| kind.level == level);
                let word = |kind: &Kind| (kind.placement, seen[&(number, kind.word())].word.clone());
                merged(&some.map(word).collect::<Vec<_>>())
            };
            let columns = Level::ALL.map(of).join(" | ");
            writeln!(table, "| {} | {} | {columns} |", case.name, case.goal).expect("text grows");
        }
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../definition.md");
        std::fs::write(&path, &table).expect("written");
        if !include_str!("../definition.md").ends_with(&table) {
            wrong
                .push("the table in `definition.md` is not what was seen: see `target/definition.md`".into());
        }
    }
    drop(agents);
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n----\n"));
}

#[test]
fn every_attack_of_a_definition_works_where_the_policy_is_off() {
    let (cases, kind) = (cases::all(), Kind { level: Level::Default, placement: Placement::Sandbox });
    let has_one = |case: &&Case| match &(case.make)(&Scene::dry(kind, "none")).control {
        Control::None(why) => {
            assert!(!why.is_empty(), "`{}` says why it has no control", case.name);
            false
        }
        _ => true,
    };
    let (together, alone): (Vec<&Case>, Vec<&Case>) =
        cases.iter().filter(has_one).partition(|case| case.simple);
    let groups: Vec<&[&Case]> = together.chunks(RUN_TOGETHER).chain(alone.chunks(1)).collect();
    let failed = each(groups.len(), AT_A_TIME, |at| {
        let try_them = |some: &[&Case]| {
            let act = || controls(kind, some);
            catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| {
                some.iter().map(|case| format!("`{}`: its control failed: see above", case.name)).collect()
            })
        };
        let failed = try_them(groups[at]);
        match groups[at] {
            // One that cannot run ends the pod of all.
            some @ [_, _, ..] if !failed.is_empty() => some.chunks(1).flat_map(try_them).collect(),
            _ => failed,
        }
    });
    let failed: Vec<String> = failed.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{} controls reach nothing:\n{}", failed.len(), failed.join("\n"));
}

/// Those of these attacks that reach nothing though nothing is in their way.
fn controls(kind: Kind, cases: &[&Case]) -> Vec<String> {
    let plan = Pod::plan("definition-control");
    let name = plan.name().to_owned();
    let made = cases.iter().map(|case| {
        let scene = Scene::new(kind, &name, true);
        let attack = (case.make)(&scene);
        (*case, attack, scene)
    });
    let made: Vec<(&Case, Attack, Scene)> = made.collect();
    let shares = |(case, attack, _): &&(&Case, Attack, Scene)| {
        assert!(!case.simple || attack.is_simple(), "`{}` needs a pod of its own", case.name);
        case.simple && matches!(attack.control, Control::Allow(_)) && attack.host.is_none()
    };
    let (together, alone): (Vec<_>, Vec<_>) = made.iter().partition(shares);
    let (mut plan, mut failed) = (Some(plan), Vec::new());
    if !together.is_empty() {
        let plan = plan.take().expect("it is the first");
        failed = controls_together(&together, &Scene::new(kind, &name, true), plan);
    }
    for (case, attack, scene) in alone {
        // The scene of a case that is alone knows its pod's name.
        let plan = plan.take().unwrap_or_else(|| Pod::plan("definition-control"));
        failed.extend(control_alone(case, attack, scene, plan));
    }
    failed
}

/// The same of components of one pod.
fn controls_together(made: &[&(&Case, Attack, Scene)], scene: &Scene, plan: Plan) -> Vec<String> {
    let mut plan = plan.args(&["--pause=sandbox", EVERYTHING]);
    for (number, (_, attack, _)) in made.iter().enumerate() {
        let mut args = attack.args.clone();
        if let Control::Allow(flags) = &attack.control {
            // Those with a value are not among everything.
            args.extend(flags.iter().filter(|flag| flag.matches('=').count() > 1).cloned());
        }
        plan = plan.args(&args.iter().map(String::as_str).collect::<Vec<_>>());
        plan = plan.component(&component(number), &attack.labels[0].1);
    }
    let pod = plan.start();
    let names: Vec<String> = (0..made.len()).map(component).collect();
    let whole = Attack { components: names.clone(), ..Attack::bare() };
    if let State::Ended(status, log) = settle(scene, &whole, &pod) {
        return made
            .iter()
            .map(|(case, ..)| format!("`{}`: the pod ended with {status}: {log}", case.name))
            .collect();
    }
    let works = |(name, (case, attack, _)): &(&String, &&(&Case, Attack, Scene))| {
        reached(attack, &pod, name, case.goal).contains(case.goal)
    };
    let failed = names.iter().zip(made).filter(|one| !works(one));
    failed.map(|(_, (case, ..))| format!("`{}`", case.name)).collect()
}

fn control_alone(case: &Case, attack: &Attack, scene: &Scene, plan: Plan) -> Option<String> {
    let agents = Agents::default();
    match &attack.control {
        Control::None(_) => None,
        Control::Plain(options) => {
            let head = ["run", "--rm", "--label", "io.tandem.test=control"].map(str::to_owned);
            let script = format!("{}true", attack.probe);
            let tail = [tools_image(), "sh".into(), "-c".into(), script];
            let said = attempt(&[&head[..], options, &tail].concat());
            let works = said.text().contains(&format!("REACHED {}", case.goal));
            (!works).then(|| format!("`{}`: {}{}", case.name, said.text(), said.error()))
        }
        Control::Allow(flags) => {
            let before = attack.other.as_ref().map(|(other, _)| {
                let first = start(scene, other, Pod::plan("definition-other"), &agents, flags);
                (settle(scene, other, &first.pod), first)
            });
            if let Some((State::Ended(status, log), _)) = &before {
                return Some(format!("`{}`: the other pod ended with {status}: {log}", case.name));
            }
            let started = start(scene, attack, plan, &agents, flags);
            let pod = &started.pod;
            let works = |pod: &Pod| match attack.components.first() {
                Some(component) => reached(attack, pod, component, case.goal).contains(case.goal),
                None => attack.host.as_ref().is_some_and(|look| look(pod)),
            };
            let mut acted = None;
            let works = wait(format!("the control of `{}`", case.name), LONG, || {
                let exists = |name: &String| try_inspect(&pod.container(name)).is_some();
                if acted.is_none()
                    && attack.components.iter().all(exists)
                    && matches!(settle(scene, attack, pod), State::Runs)
                {
                    acted = Some(Instant::now());
                    attack.then.iter().for_each(|act| act(pod));
                }
                let ended = inspect(pod.name())["State"]["Status"] == "exited"
                    || acted.is_some_and(|since| since.elapsed() > here(SOON));
                if works(pod) { Some(true) } else { ended.then_some(false) }
            });
            (!works).then(|| format!("`{}`: {:?}", case.name, pod.logs()))
        }
    }
}

#[test]
fn a_cell_of_the_table_is_found_again_by_its_placement() {
    let word = |text: &str| text.to_owned();
    let same = Placement::ALL.map(|placement| (placement, word("refused: no (at all)")));
    assert_eq!(merged(&same), "refused: no (at all)");
    let other = Placement::ALL.map(|placement| {
        (placement, word(if placement.outside() { "nothing" } else { "refused: --allow x" }))
    });
    let text = merged(&other);
    assert_eq!(text, "refused: --allow x (sandbox, task); nothing (sibling, agent)");
    for (cells, text) in [(&same, merged(&same)), (&other, text)] {
        for (placement, word) in cells {
            assert_eq!(of_placement(&text, *placement), Some(word.as_str()));
        }
    }
}
