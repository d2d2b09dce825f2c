//! What the manager computes: the definition from labels, and the plan. `cargo xtask bench` runs this and reads the lines of
//! JSON that it prints, one figure each.
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use definition::files::LocalFiles;
use definition::labels::{Surroundings, read};
use pod::action::Action;
use pod::identity::{Identity, Role};
use pod::namespaces::Namespaces;
use pod::observed::{ActionResult, ContainerInfo, Health, ObservedState, StateUpdate, Status};
use pod::plan::plan;
use pod::policy::{Host, Policy};
use pod::spec::{Definition, PodSpec};
use pod::task_container::TaskContainer;
use serde_json::{Value, json};

const SIZES: [usize; 3] = [10, 100, 1000];
/// What the plan of a hundred components may take, ms.
const PLAN: f64 = 1.0;
/// How much more a thousand may take than ten times a hundred: ordered maps are a logarithm deeper, and a thousand
/// components are more than the caches hold. What is quadratic takes ten times as much.
const LINEAR: f64 = 1.5;
/// Each is done for so long, and at least so often.
const AT_LEAST: (Duration, usize) = (Duration::from_millis(300), 5);

fn main() {
    let mut took: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for count in SIZES {
        let task = task(count);
        let spec = pod(&task);
        let mut empty = ObservedState::default();
        empty.apply(&spec, StateUpdate::Listing, Duration::ZERO);
        empty.apply(&spec, StateUpdate::Listed(Vec::new()), Duration::ZERO);
        let mut running = empty.clone();
        running.apply(&spec, StateUpdate::Listing, Duration::ZERO);
        running.apply(&spec, StateUpdate::Listed(containers(&spec)), Duration::ZERO);
        let steps = plan(&spec, &running, Duration::ZERO).steps;
        assert!(steps.is_empty(), "nothing is to be done for a pod that runs: {steps:?}");
        assert!(
            plan(&spec, &empty, Duration::ZERO).steps.len() >= count,
            "all is to be done for one that is not there"
        );
        let mut of = |what: &'static str, mut act: Box<dyn FnMut() + '_>| {
            took.entry(what).or_default().push(middle(&mut *act));
        };
        of("plan of a pod that runs", Box::new(|| drop(black_box(plan(&spec, &running, Duration::ZERO)))));
        of("plan of a pod to begin", Box::new(|| drop(black_box(plan(&spec, &empty, Duration::ZERO)))));
        let mut ending = running.clone();
        ending.apply(
            &spec,
            StateUpdate::Stop { status: 0, resumed: false, ago: Duration::ZERO },
            Duration::ZERO,
        );
        let concluded = plan(&spec, &ending, Duration::ZERO).steps.remove(0);
        let Action::Terminate(conclusion) = concluded.action else {
            panic!("a stop ends a pod: {concluded}")
        };
        let key = Action::Terminate(conclusion.clone()).key();
        ending.apply(
            &spec,
            StateUpdate::ActionFinished(key, Ok(ActionResult::Concluded(conclusion))),
            Duration::ZERO,
        );
        assert!(
            plan(&spec, &ending, Duration::ZERO).steps.len() >= count / 2,
            "half of it is needed by nobody"
        );
        of("plan of a pod that ends", Box::new(|| drop(black_box(plan(&spec, &ending, Duration::ZERO)))));
        of("labels to a definition", Box::new(|| drop(black_box(definition(&task)))));
    }
    for (what, took) in took {
        for (count, took) in SIZES.iter().zip(&took) {
            let goal = if *count == 100 && what.starts_with("plan") {
                json!({"at_most": PLAN})
            } else {
                json!(null)
            };
            let grows = json!({"plot": format!("{what}, ms by components"), "at": count});
            print(&format!("{what}, {count} components"), "ms", *took, &goal, &grows);
        }
        let times = took[2] / took[1] / 10.0;
        print(
            &format!("{what}: a thousand beside ten times a hundred"),
            "",
            times,
            &json!({"at_most": LINEAR}),
            &json!(null),
        );
    }
}

/// A pod of so many components, each with some of what people write, every second one waiting for the one before it.
fn task(count: usize) -> TaskContainer {
    let component = |number: usize| {
        let waits = if number % 2 == 1 { format!("depends_on: [c{}]\n", number - 1) } else { String::new() };
        let text = format!(
            "image: registry.example.com/team/app:{number}\ncommand: [serve, --port, \"80{number}\"]\n{waits}environment:\n  \
             LEVEL: info\n  NAME: app-{number}\nmem_limit: 64m\ncpus: 0.1\nread_only: true\nvolumes:\n  - data:/data:ro\n"
        );
        (format!("pod.component.c{number}"), text)
    };
    TaskContainer {
        id: "a".repeat(64),
        name: "pod".into(),
        labels: (0..count).map(component).collect(),
        ..TaskContainer::default()
    }
}

/// The definition in the labels, with as many components allowed as `--max-components` can allow.
fn definition(task: &TaskContainer) -> Definition {
    let policy = Policy { max_components: 1000, ..Policy::default() };
    let surroundings = Surroundings {
        task,
        files: &LocalFiles,
        environment: &|_| None,
        host: &Host::with_socket(task, None),
        share_volumes: false,
        policy: &policy,
    };
    read(&surroundings).unwrap_or_else(|report| panic!("{report}")).0
}

fn pod(task: &TaskContainer) -> PodSpec {
    let definition = definition(task);
    PodSpec {
        identity: Identity {
            pod: task.id.clone(),
            name: task.name.clone(),
            run: "now".into(),
            manager: "manager".into(),
            origin: BTreeMap::new(),
        },
        namespaces: Namespaces::default(),
        init: definition.init,
        components: definition.components,
        pull_always: false,
        stop_timeout: Duration::from_secs(8),
        scratch: definition.scratch,
        checks_mounts: false,
    }
}

/// All of them run.
fn containers(spec: &PodSpec) -> Vec<ContainerInfo> {
    let container = |(number, name): (usize, &str)| ContainerInfo {
        id: format!("{number:064x}"),
        name: spec.identity.member_container(name),
        labels: spec.identity.labels(Role::Component, Some(name)),
        network: format!("container:{}", spec.identity.pod),
        status: Status::Running { health: Health::None },
        started_at: 1,
        ..ContainerInfo::default()
    };
    spec.components.iter().map(|component| component.name.as_str()).enumerate().map(container).collect()
}

/// The middle of many runs, ms.
fn middle(act: &mut dyn FnMut()) -> f64 {
    let (mut runs, began) = (Vec::new(), Instant::now());
    while began.elapsed() < AT_LEAST.0 || runs.len() < AT_LEAST.1 {
        let start = Instant::now();
        act();
        runs.push(start.elapsed().as_secs_f64() * 1e3);
    }
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

fn print(what: &str, unit: &str, value: f64, goal: &Value, grows: &Value) {
    let how = "the middle of many within 0.3 s, on one core; built without link-time optimization";
    let line = json!({
        "part": "planner", "what": what, "unit": unit, "how": how,
        "all": {"tandem": [value]}, "goals": [goal], "grows": grows,
    });
    println!("{line}");
    eprintln!("    {what}: {value:.4} {unit}");
}
