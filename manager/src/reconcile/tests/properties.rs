//! What holds for every pod: random pods over the engine in memory, with a stop or the manager's death
//! at any moment. [`crate::reconcile::tests::harness::check_laws`] has the laws of order.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tokio::time::sleep;

use crate::reconcile::tests::harness::{
    Manager, NEWS, PAUSE_IMAGE, check_laws, check_laws_among_kills, script, tellings,
};
use engine::fake::{Fake, Script, What};
use engine::{CreateRequest, convert};
use pod::completion::Ends;
use pod::identity::LABEL_POD;
use pod::namespaces::Holder;
use pod::observed::{Health, ObservedState, Status};
use pod::pre_start::{self, CopyPlace, PreStart};
use pod::spec::{ComponentSpec, Condition, Dependency, Mount, MountSource, PodSpec, Restart};
use pod::testing::pod;

/// After a manager's death `pause` waits this long at least.
pub(crate) const RESPAWN: Duration = Duration::from_millis(100);
/// What a call that was slow may add to the end of a pod.
const SLACK: Duration = Duration::from_millis(400);

/// A random pod, and how its containers behave.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(crate) spec: PodSpec,
    scripts: Vec<(String, Script)>,
    images: Vec<String>,
    slow: Vec<(String, Duration)>,
}

/// One random component; what it may depend on are those before it.
#[derive(Debug, Clone)]
struct Part {
    on: u8,
    healthy: u8,
    copies: bool,
    secrets: bool,
    post: bool,
    pre: bool,
    /// How long each of its hooks takes, milliseconds.
    hook: u64,
    health: Option<u64>,
    /// Ends by itself after so many milliseconds, where others wait for that.
    finishes: Option<u64>,
    stops_in: Option<u64>,
    grace: Option<u64>,
    has_image: bool,
    restart: Restart,
    essential: bool,
    sidecar: bool,
    /// Its first lives, where it is started again: milliseconds, and the status.
    lives: Vec<(u64, i64)>,
    /// Milliseconds that it serves on.
    delay: u64,
    slow_start: u64,
    slow_create: u64,
    /// How long each step of its `pre_start` takes, milliseconds.
    steps: Vec<u64>,
}

fn part() -> impl Strategy<Value = Part> {
    let millis = |most: u64| proptest::option::of(0..most);
    let stops = prop_oneof![4 => (0..1500_u64).prop_map(Some), 1 => Just(None)];
    let kept = (proptest::bool::weighted(0.2), proptest::bool::weighted(0.15));
    let hooks = (proptest::bool::weighted(0.25), proptest::bool::weighted(0.25), 0..2500_u64);
    let flags = (any::<u8>(), any::<u8>(), kept, proptest::bool::weighted(0.8));
    let slow = prop_oneof![2 => Just(1), 1 => 1..300_u64];
    let restart = prop_oneof![
        3 => Just(Restart::Never),
        1 => Just(Restart::Always),
        1 => Just(Restart::OnFailure(None)),
        1 => Just(Restart::OnFailure(Some(3))),
    ];
    let lives = proptest::collection::vec((0..3000_u64, 1..4_i64), 0..=3);
    let fate = (restart, lives, proptest::bool::weighted(0.8), proptest::bool::weighted(0.15));
    let delay = prop_oneof![4 => Just(0), 1 => 0..3000_u64];
    let finishes = prop_oneof![3 => Just(None), 1 => (0..2000_u64).prop_map(Some)];
    let steps = prop_oneof![3 => Just(Vec::new()), 1 => proptest::collection::vec(0..1000_u64, 1..=2)];
    let ends = (stops, proptest::option::of(1..4_u64), delay, steps);
    (flags, (millis(3000), finishes, hooks), ends, fate, slow.clone(), slow).prop_map(
        |(
            (on, healthy, (copies, secrets), has_image),
            (health, finishes, (post, pre, hook)),
            (stops_in, grace, delay, steps),
            (restart, lives, essential, sidecar),
            slow_start,
            slow_create,
        )| {
            Part {
                on,
                healthy,
                copies,
                secrets,
                post,
                pre,
                hook,
                health,
                finishes,
                stops_in,
                grace,
                has_image,
                restart,
                essential,
                sidecar,
                lives,
                delay,
                slow_start,
                slow_create,
                steps,
            }
        },
    )
}

/// Pods of up to this many components, each with a name that says nothing of its place in the order.
pub(crate) fn plot(most: usize) -> impl Strategy<Value = Plot> {
    let parts = proptest::collection::vec(part(), 1..=most);
    let names = Just(["a", "b", "c", "d", "e", "f", "g", "h"]).prop_shuffle();
    let inits = proptest::collection::vec(0..1000_u64, 0..=3);
    let holder = (any::<bool>(), any::<bool>(), 1..300_u64);
    let flags = (any::<bool>(), proptest::bool::weighted(0.4));
    (parts, names, inits, holder, flags).prop_map(
        |(parts, names, inits, (pid, ipc, slow_sandbox), (pull_always, checks_mounts))| {
            let words = parts.iter().zip(names).map(|(part, name)| {
                let with = |part: bool, text: &'static str| if part { text } else { "" };
                let (copy, secret) = (with(part.copies, "+copy"), with(part.secrets, "+secret"));
                let (post, pre) = (with(part.post, "+post"), with(part.pre, "+pre"));
                format!("{name}{copy}{post}{pre}{secret}")
            });
            let init: Vec<String> = (1..=inits.len()).map(|number| format!("init-{number}")).collect();
            let mut spec = pod(&format!("{} | {}", init.join(" "), words.collect::<Vec<_>>().join(" ")));
            spec.namespaces.pid = pid.then_some(Holder::Sandbox);
            spec.namespaces.ipc = ipc.then_some(Holder::Sandbox);
            spec.pull_always = pull_always;
            spec.checks_mounts = checks_mounts;
            if checks_mounts {
                // Each member binds a folder of its own and a folder that all members share.
                for member in spec.init.iter_mut().chain(&mut spec.components) {
                    let paths = [format!("/srv/{}", member.name), "/srv/shared".to_owned()];
                    let mount = |path: String| Mount {
                        target: path.clone(),
                        read_only: false,
                        source: MountSource::bind(path),
                    };
                    member.container.mounts.extend(paths.map(mount));
                }
            }
            let mut scripts: Vec<(String, Script)> = Vec::new();
            let mut images = vec![PAUSE_IMAGE.to_owned()];
            let mut slow = vec![(
                format!("start {}", spec.identity.sandbox_container()),
                Duration::from_millis(slow_sandbox),
            )];
            // A sidecar waits for other sidecars at most.
            let waits = |place: usize, other: usize| {
                parts[place].on >> other & 1 == 1 && (!parts[place].sidecar || parts[other].sidecar)
            };
            let completes = |place: usize| {
                let Part { finishes, essential, restart, .. } = &parts[place];
                finishes.is_some() && *essential && *restart != Restart::Always
            };
            let mut steps = Vec::new();
            for (place, part) in parts.iter().enumerate() {
                let on = (0..place).filter(|other| waits(place, *other)).map(|other| {
                    let healthy = part.healthy >> other & 1 == 1 && parts[other].health.is_some();
                    let condition = match healthy && parts[other].essential {
                        _ if completes(other) => Condition::Completed,
                        true => Condition::Healthy,
                        false => Condition::Started,
                    };
                    Dependency { on: names[other].to_owned(), condition, required: true, restart: false }
                });
                let component = spec.components.iter_mut().find(|one| one.name == names[place]);
                let component = component.expect("every part has its component");
                component.depends_on = on.collect();
                component.stop_grace = part.grace.map(Duration::from_secs);
                (component.restart, component.essential) = (part.restart, part.essential);
                component.sidecar = part.sidecar;
                component.shutdown_delay = Duration::from_millis(part.delay);
                // One that is not essential may end as it likes, one that is started again a few times; else only
                // what is waited for may.
                let waited = completes(place) && (place + 1..parts.len()).any(|later| waits(later, place));
                let alone = !part.essential && part.restart == Restart::Never && !part.lives.is_empty();
                let lives =
                    part.lives.iter().map(|(millis, status)| (Duration::from_millis(*millis), *status));
                let lives: Vec<_> = lives.take(if alone { 1 } else { 3 }).collect();
                scripts.push((
                    component.name.clone(),
                    Script {
                        health: part.health.map(|millis| (Duration::from_millis(millis), true)),
                        runs_for: part.finishes.filter(|_| waited).map(Duration::from_millis),
                        lives: if alone || part.restart != Restart::Never { lives } else { Vec::new() },
                        stops_in: part.stops_in.map(Duration::from_millis),
                        hook: (Duration::from_millis(part.hook), 0),
                        ..Script::default()
                    },
                ));
                let own = pre_start_steps(component, part.steps.len());
                for (step, millis) in own.iter().zip(&part.steps) {
                    images.push(step.name.clone());
                    scripts.push((step.name.clone(), finishing(*millis)));
                }
                let container = spec.identity.member_container(&component.name);
                steps.extend(own);
                slow.push((format!("start {container}"), Duration::from_millis(part.slow_start)));
                slow.push((format!("create {container}"), Duration::from_millis(part.slow_create)));
                if part.has_image {
                    images.push(component.name.clone());
                }
            }
            for (name, millis) in init.into_iter().zip(inits) {
                images.push(name.clone());
                scripts.push((name, finishing(millis)));
            }
            spec.components.extend(steps);
            spec.components.sort_by(|one, other| one.name.cmp(&other.name));
            Plot { spec, scripts, images, slow }
        },
    )
}

/// Ends with 0 after so many milliseconds.
fn finishing(millis: u64) -> Script {
    let runs_for = Some(Duration::from_millis(millis));
    Script { runs_for, stops_in: Some(Duration::ZERO), ..Script::default() }
}

/// So many steps, each of an image of its own name.
fn pre_start_steps(component: &mut ComponentSpec, count: usize) -> Vec<ComponentSpec> {
    let image = |number| Some(pre_start::name(&component.name, number));
    let entries: Vec<PreStart> =
        (1..=count).map(|number| PreStart { image: image(number), ..PreStart::default() }).collect();
    pre_start::steps(component, &entries, |_| CopyPlace::Container)
}

impl Plot {
    pub(crate) fn engine(&self) -> Fake {
        let engine = Fake::with_images(&self.images.iter().map(String::as_str).collect::<Vec<_>>());
        for (image, script) in &self.scripts {
            engine.script(image, script.clone());
        }
        for (call, takes) in &self.slow {
            engine.slow(call, *takes);
        }
        engine
    }

    /// A running container of another pod, of the same names but for the pod's.
    fn foreign(&self) -> CreateRequest {
        let mut other = self.spec.clone();
        other.identity.pod = "another".into();
        other.identity.name = "another".into();
        let request = convert::create_request(&other, &other.components[0]);
        assert_eq!(request.labels.get(LABEL_POD).map(String::as_str), Some("another"));
        request
    }

    /// All laws were kept, though components were killed.
    pub(crate) fn check_story(&self, engine: &Fake) {
        check_laws_among_kills(&self.spec, &engine.story(), &[], NEWS);
    }

    /// Everything of the pod is gone, within the time for it, and all laws were kept.
    fn check_end(&self, engine: &Fake, foreign: &[&str]) {
        let story = engine.story();
        check_laws(&self.spec, &story, foreign);
        assert_eq!(engine.names(), foreign, "only what is ours is gone\n{}", script(&story));
    }
}

/// Run a story to its end in its own time.
pub(crate) fn play(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(story);
}

/// The same cases in every run, and no files.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(20),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Wait until the manager on this connection is healthy or dead; true when it is dead.
async fn healthy_or_dead(manager: &Manager, engine: &Fake) -> bool {
    tokio::select! {
        () = manager.told("healthy") => false,
        () = engine.died() => true,
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn every_pod_converges_and_then_nothing_is_planned_by_this_manager_or_the_next(plot in plot(8)) {
        play(async {
            let engine = plot.engine();
            let manager = Manager::start(&engine, &plot.spec);
            manager.told("healthy").await;
            // Until whoever is started again runs on.
            sleep(Duration::from_secs(60)).await;
            let calls = engine.calls().len();
            sleep(Duration::from_secs(600)).await;
            assert_eq!(engine.calls().len(), calls, "\n{}", script(&engine.story()));
            manager.kill();

            let next = engine.connect(0, false);
            let manager = Manager::start(&next, &plot.spec);
            sleep(Duration::from_secs(600)).await;
            assert_eq!(engine.calls()[calls..], ["events", "list"], "\n{}", script(&engine.story()));
            assert_eq!(tellings(&engine.story()).last(), Some(&"healthy"));
            manager.stop();
            let outcome = manager.end().await;
            assert_eq!((outcome.status, outcome.left), (0, vec![]));
            plot.check_end(&engine, &[]);
        });
    }

    #[test]
    fn a_stop_at_any_moment_removes_all_that_is_ours_and_nothing_else_in_its_time(
        plot in plot(8),
        after in 0..6000_u64,
    ) {
        play(async {
            let engine = plot.engine();
            engine.plant(plot.foreign(), Status::Running { health: Health::None });
            let foreign = engine.names();
            let began = tokio::time::Instant::now();
            let manager = Manager::start(&engine, &plot.spec);
            sleep(Duration::from_millis(after)).await;
            let asked = tokio::time::Instant::now();
            manager.stop();
            let outcome = manager.end().await;
            // One whose component is being started again is not healthy, and a stop of it no success.
            let story = engine.story();
            let again = plot.spec.components.iter().filter(|one| one.restart != Restart::Never).any(|one| {
                let container = plot.spec.identity.member_container(&one.name);
                let ended = |what: &What| matches!(what, What::Ended(name, _) if *name == container);
                story.iter().any(|moment| moment.at <= asked - began && ended(&moment.what))
            });
            assert!(outcome.status == 0 || again && outcome.status == 1, "{}\n{}", outcome.status, script(&story));
            assert_eq!(outcome.left, Vec::<String>::new());
            let took = asked.elapsed();
            assert!(took < plot.spec.stop_timeout + SLACK, "{took:?}\n{}", script(&engine.story()));
            plot.check_end(&engine, &foreign.iter().map(String::as_str).collect::<Vec<_>>());
        });
    }

    #[test]
    fn the_end_of_any_component_ends_the_pod_with_its_status(plot in plot(8), who in any::<prop::sample::Index>()) {
        play(async {
            let engine = plot.engine();
            let manager = Manager::start(&engine, &plot.spec);
            manager.told("healthy").await;
            // One that has ended as others waited for cannot be killed.
            let nothing = ObservedState::default();
            let ends = Ends::of(&plot.spec, &nothing, Duration::ZERO);
            let running: Vec<_> = plot
                .spec
                .components
                .iter()
                .filter(|one| !ends.may_end(&one.name, 0) && one.restart == Restart::Never)
                .collect();
            if running.is_empty() {
                return;
            }
            let name = &who.get(&running).name;
            engine.kill_by_name(&plot.spec.identity.member_container(name));
            let outcome = manager.end().await;
            assert_eq!((outcome.status, outcome.left), (137, vec![]));
            plot.check_end(&engine, &[]);
        });
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn a_manager_that_dies_in_any_call_is_followed_by_one_that_goes_on(plot in plot(5), acts in any::<bool>()) {
        for call in 1.. {
            let mut died = false;
            play(async {
                let engine = plot.engine();
                let first = engine.connect(call, acts);
                let manager = Manager::start(&first, &plot.spec);
                died = healthy_or_dead(&manager, &first).await;
                manager.kill();
                sleep(RESPAWN).await;

                let second = engine.connect(0, false);
                let manager = Manager::start(&second, &plot.spec);
                // Longer than pulls, checks and init components together.
                sleep(Duration::from_secs(90)).await;
                let story = engine.story();
                assert_eq!(tellings(&story).last(), Some(&"healthy"), "\n{}", script(&story));
                manager.stop();
                let outcome = manager.end().await;
                assert_eq!((outcome.status, outcome.left), (0, vec![]));
                plot.check_end(&engine, &[]);
            });
            if !died {
                break;
            }
        }
    }

    #[test]
    fn a_manager_that_dies_in_any_call_of_a_stop_is_followed_by_one_that_ends_it(
        plot in plot(5),
        acts in any::<bool>(),
        after in 0..8000_u64,
    ) {
        for call in 1.. {
            let mut died = false;
            play(async {
                let engine = plot.engine();
                let first = engine.connect(0, false);
                let manager = Manager::start(&first, &plot.spec);
                sleep(Duration::from_millis(after)).await;
                manager.kill();
                sleep(RESPAWN).await;

                let second = engine.connect(call, acts);
                let manager = Manager::start(&second, &plot.spec);
                manager.stop();
                tokio::select! {
                    // What died does not end; what ends has not died.
                    () = second.died() => died = true,
                    () = engine.emptied() => {}
                }
                if died {
                    manager.kill();
                    sleep(RESPAWN).await;
                    let third = engine.connect(0, false);
                    let manager = Manager::start(&third, &plot.spec);
                    manager.resume_stop(0);
                    let outcome = manager.end().await;
                    assert_eq!((outcome.status, outcome.left), (0, vec![]));
                } else {
                    assert_eq!(manager.end().await.status, 0);
                }
                plot.check_end(&engine, &[]);
            });
            if !died {
                break;
            }
        }
    }
}
