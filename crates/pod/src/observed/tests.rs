//! News in every order in which it can come.

use super::*;
use crate::testing::{pod, sandboxed};

const EXIT: Exit = Exit { status: 3, oom: false, at_nanos: 7 };
const RUNNING: Status = Status::Running { health: Health::None };

fn key(verb: Verb, name: &str) -> Key {
    let target = match name {
        "sandbox" => Target::Sandbox,
        "store" => Target::Store,
        name => Target::Member(name.into()),
    };
    Key { verb, target: Some(target) }
}

fn created(name: &str, id: &str) -> StateUpdate {
    StateUpdate::ActionFinished(key(Verb::Create, name), Ok(ActionResult::Created(id.into())))
}

fn failed(verb: Verb, name: &str, failure: Failure) -> StateUpdate {
    StateUpdate::ActionFinished(key(verb, name), Err(failure))
}

fn event(id: &str, kind: EventKind) -> StateUpdate {
    StateUpdate::Event(Event { id: id.into(), kind, at_nanos: 0 })
}

/// A container as the pod `app` would have made it.
fn container(name: &str, id: &str, status: Status) -> ContainerInfo {
    let identity = pod("app").identity;
    let (role, component) = match name {
        "sandbox" => (Role::Sandbox, None),
        "store" => (Role::Store, None),
        init if init.starts_with("init-") => (Role::Init, Some(init)),
        step if step.contains(".pre-") => (Role::PreStart, Some(step)),
        name => (Role::Component, Some(name)),
    };
    ContainerInfo {
        id: id.into(),
        name: match name {
            "sandbox" => identity.sandbox_container(),
            "store" => identity.store_container(),
            name => identity.member_container(name),
        },
        labels: identity.labels(role, component),
        network: if role == Role::Store { "none".into() } else { format!("container:{}", identity.pod) },
        command: if component.is_none() { "/pause".into() } else { "sh".into() },
        status,
        ..ContainerInfo::default()
    }
}

fn started(name: &str, id: &str, status: Status) -> StateUpdate {
    StateUpdate::ActionFinished(
        key(Verb::Start, name),
        Ok(ActionResult::Started(Box::new(container(name, id, status)))),
    )
}

/// What is known after this news, told second by second.
fn after(spec: &PodSpec, news: impl IntoIterator<Item = StateUpdate>) -> ObservedState {
    let mut observed = ObservedState::default();
    for (second, news) in (0..).zip(news) {
        observed.apply(spec, news, Duration::from_secs(second));
    }
    observed
}

fn status(observed: &ObservedState, name: &str) -> Option<Status> {
    observed.members.get(name).map(|member| member.status)
}

#[test]
fn a_listing_puts_every_container_in_its_place() {
    let spec = sandboxed("init-1 | app+step");
    let observed = after(
        &spec,
        [StateUpdate::Listed(vec![
            container("sandbox", "1", RUNNING),
            container("init-1", "2", Status::Exited(Exit::default())),
            container("app", "3", Status::Created),
            container("app.pre-1", "4", RUNNING),
        ])],
    );
    assert_eq!(status(&observed, "app.pre-1"), Some(RUNNING));
    assert!(observed.listed);
    assert_eq!(observed.sandbox.as_ref().map(|one| (one.id.as_str(), one.status)), Some(("1", RUNNING)));
    assert_eq!(status(&observed, "init-1"), Some(Status::Exited(Exit::default())));
    assert_eq!(status(&observed, "app"), Some(Status::Created));
    assert!(observed.orphans.is_empty());
}

#[test]
fn what_is_not_of_this_run_and_this_definition_is_remains() {
    let with = |what: &str, label: &str, value: &str| {
        let mut one = container(what, "9", RUNNING);
        one.labels.insert(label.into(), value.into());
        one
    };
    let without_run = || {
        let mut one = container("app", "9", RUNNING);
        one.labels.remove(LABEL_RUN);
        one
    };
    let cases = [
        ("an earlier run", with("app", LABEL_RUN, "2024-05-01T09:00:00Z")),
        ("no run", without_run()),
        ("a component that is not in the definition", container("gone", "9", RUNNING)),
        ("an init component of a component's name", with("app", LABEL_ROLE, "init")),
        ("a step of a `pre_start` that is not in the definition", container("app.pre-1", "9", RUNNING)),
        ("a step of a component's name", with("app", LABEL_ROLE, "pre-start")),
        ("a sandbox where there is none", container("sandbox", "9", RUNNING)),
        ("a store where nobody has secrets", container("store", "9", RUNNING)),
    ];
    for (case, one) in cases {
        let orphans = BTreeMap::from([("9".to_owned(), one.name.clone())]);
        let observed = after(&pod("app"), [StateUpdate::Listed(vec![one])]);
        assert_eq!(observed.orphans, orphans, "{case}");
        assert!(observed.members.is_empty() && observed.sandbox.is_none(), "{case}");
        assert!(observed.store.is_none(), "{case}");
        assert!(!observed.is_empty(), "{case}");
    }
}

#[test]
fn what_only_has_our_labels_is_nobodys_business() {
    let called = |name: &str| ContainerInfo { name: name.into(), ..container("app", "9", RUNNING) };
    let mut bare = called("pod.podlike.app");
    bare.labels.retain(|label, _| label == super::super::identity::LABEL_POD);
    for (case, one) in [("an image made of a component", called("quirky_turing")), ("no role", bare)] {
        let observed = after(&pod("app"), [StateUpdate::Listed(vec![one])]);
        assert!(observed.is_empty() && observed.listed, "{case}");
    }
}

#[test]
fn a_component_whose_container_was_pruned_goes_on_counting() {
    let spec = pod("app");
    let exited = |at_nanos| Status::Exited(Exit { status: 3, oom: false, at_nanos });
    let mut first = container("app", "1", exited(5));
    first.started_at = 1;
    let news = [StateUpdate::Listed(vec![first]), event("1", EventKind::Destroyed), created("app", "2")];
    let observed = after(&spec, news);
    assert_eq!(observed.members["app"].restarts, 1);
    let gone = after(
        &spec,
        [
            StateUpdate::Listed(vec![container("app", "2", exited(5))]),
            event("2", EventKind::Destroyed),
            StateUpdate::Listed(vec![container("app", "3", RUNNING)]),
        ],
    );
    assert_eq!(gone.members["app"].restarts, 1);
}

/// As `manager debug` makes one.
fn guest(id: &str, run: &str) -> ContainerInfo {
    let identity = Identity { run: run.into(), ..pod("app").identity };
    ContainerInfo {
        id: id.into(),
        name: "pod.debug-1".into(),
        labels: identity.labels(Role::Debug, None),
        network: format!("container:{}", identity.pod),
        status: RUNNING,
        ..ContainerInfo::default()
    }
}

#[test]
fn who_looks_around_is_left_alone_until_the_pod_ends() {
    let spec = pod("app");
    let run = spec.identity.run.clone();
    let listed = StateUpdate::Listed(vec![guest("1", &run), guest("2", "2001-01-01T00:00:00Z")]);
    let before = [listed, event("3", EventKind::DebugCreated), event("4", EventKind::DebugCreated)];
    let gone = event("4", EventKind::Destroyed);
    let end = Termination { status: 0, because: String::new(), at: Duration::ZERO, failed_component: None };
    let concluded = StateUpdate::ActionFinished(
        Key { verb: Verb::Terminate, target: None },
        Ok(ActionResult::Concluded(end)),
    );
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<String>>();
    let orphans = |observed: &ObservedState| observed.orphans.keys().cloned().collect::<BTreeSet<String>>();

    let observed = after(&spec, before.clone().into_iter().chain([gone.clone()]));
    assert_eq!((observed.debug_containers.clone(), orphans(&observed)), (ids(&["1", "3"]), ids(&["2"])));

    // Those who come now have to go as well; who is gone does not come back.
    let late = [event("5", EventKind::DebugCreated), event("4", EventKind::DebugCreated)];
    let news = before.into_iter().chain([gone, concluded]).chain(late);
    let observed = after(&spec, news.chain([StateUpdate::Listed(vec![guest("6", &run)])]));
    assert_eq!(
        (observed.debug_containers.clone(), orphans(&observed)),
        (ids(&[]), ids(&["1", "2", "3", "5", "6"]))
    );
}

#[test]
fn a_second_container_for_one_place_is_remains() {
    let listed = vec![
        container("app", "1", RUNNING),
        container("app", "2", RUNNING),
        container("sandbox", "3", RUNNING),
        container("sandbox", "4", RUNNING),
    ];
    let observed = after(&sandboxed("app"), [StateUpdate::Listed(listed)]);
    assert_eq!(observed.orphans.keys().collect::<Vec<_>>(), ["2", "4"]);
}

#[test]
fn an_end_is_not_taken_back_by_older_looks() {
    let spec = pod("app");
    for late in [
        started("app", "1", RUNNING),
        started("app", "1", Status::Created),
        StateUpdate::Listed(vec![container("app", "1", RUNNING)]),
        event("1", EventKind::Health(Health::Healthy)),
    ] {
        let observed = after(&spec, [created("app", "1"), event("1", EventKind::Died(EXIT)), late.clone()]);
        assert_eq!(status(&observed, "app"), Some(Status::Exited(EXIT)), "{late:?}");
    }
}

#[test]
fn an_end_may_be_told_before_the_start_has_been_answered() {
    let observed = after(
        &pod("app"),
        [created("app", "1"), event("1", EventKind::Died(EXIT)), started("app", "1", Status::Exited(EXIT))],
    );
    assert_eq!(status(&observed, "app"), Some(Status::Exited(EXIT)));
}

#[test]
fn a_start_is_not_taken_back_by_a_listing_that_looked_before_it() {
    let listed = StateUpdate::Listed(vec![container("app", "1", Status::Created)]);
    let news = [created("app", "1"), StateUpdate::Listing, started("app", "1", RUNNING), listed];
    assert_eq!(status(&after(&pod("app"), news), "app"), Some(RUNNING));
}

#[test]
fn a_verdict_on_health_is_not_taken_back_by_an_older_look() {
    let running = |health| Status::Running { health };
    for last_health_event in [Health::Healthy, Health::Unhealthy] {
        let news = [
            created("app", "1"),
            started("app", "1", running(Health::Starting)),
            event("1", EventKind::Health(last_health_event)),
            StateUpdate::Listed(vec![container("app", "1", running(Health::Starting))]),
        ];
        assert_eq!(status(&after(&pod("app"), news), "app"), Some(running(last_health_event)));
    }
    let news = [
        started("app", "1", running(Health::Healthy)),
        StateUpdate::Listed(vec![container("app", "1", running(Health::Healthy))]),
        event("1", EventKind::Health(Health::Unhealthy)),
        event("1", EventKind::Health(Health::Healthy)),
    ];
    assert_eq!(status(&after(&pod("app"), news), "app"), Some(running(Health::Healthy)), "news counts");
}

#[test]
fn a_verdict_that_overtakes_the_answer_of_the_start_makes_nothing_run_and_counts_once_it_runs() {
    let running = |health| Status::Running { health };
    for last_health_event in [Health::Healthy, Health::Unhealthy] {
        let news = [created("app", "1"), event("1", EventKind::Health(last_health_event))];
        let mut observed = after(&pod("app"), news);
        assert_eq!(status(&observed, "app"), Some(Status::Created));
        for seen in [
            started("app", "1", running(Health::Starting)),
            StateUpdate::Listed(vec![container("app", "1", running(Health::Starting))]),
        ] {
            observed.apply(&pod("app"), seen, Duration::ZERO);
            assert_eq!(status(&observed, "app"), Some(running(last_health_event)));
        }
    }
    let news = [
        created("app", "1"),
        event("1", EventKind::Health(Health::Unhealthy)),
        event("1", EventKind::Health(Health::Healthy)),
        started("app", "1", running(Health::Starting)),
    ];
    assert_eq!(
        status(&after(&pod("app"), news), "app"),
        Some(running(Health::Healthy)),
        "the last one counts"
    );
}

#[test]
fn what_is_destroyed_does_not_come_back() {
    let spec = pod("app");
    let listed = || StateUpdate::Listed(vec![container("app", "1", Status::Created)]);
    for late in [listed(), created("app", "1"), started("app", "1", RUNNING)] {
        let news = [listed(), event("1", EventKind::Destroyed), late.clone()];
        let observed = after(&spec, news);
        assert!(observed.is_empty(), "{late:?}");
        let removed = StateUpdate::ActionFinished(key(Verb::Remove, "app"), Ok(ActionResult::Removed));
        let observed = after(&spec, [listed(), removed, late.clone()]);
        assert!(observed.is_empty(), "{late:?}");
    }
    let news = [listed(), event("1", EventKind::Destroyed), created("app", "2")];
    assert_eq!(after(&spec, news).members["app"].id, "2", "another may take its place");
}

#[test]
fn a_listing_forgets_only_what_was_known_when_it_began() {
    let listed = || StateUpdate::Listed(vec![]);
    let news = [created("app", "1"), StateUpdate::Listing, created("db", "2"), listed()];
    let observed = after(&pod("app db"), news);
    assert_eq!(observed.members.keys().collect::<Vec<_>>(), ["db"]);
    let next = [
        created("app", "1"),
        StateUpdate::Listing,
        created("db", "2"),
        listed(),
        StateUpdate::Listing,
        listed(),
    ];
    assert!(after(&pod("app db"), next).is_empty(), "the next one would have it");
}

#[test]
fn a_listing_may_be_quicker_than_the_answer_of_a_creation() {
    let news = [
        StateUpdate::Listing,
        StateUpdate::Listed(vec![container("app", "1", RUNNING)]),
        created("app", "1"),
    ];
    let observed = after(&pod("app"), news);
    assert_eq!(status(&observed, "app"), Some(RUNNING));
    assert!(observed.orphans.is_empty());
}

#[test]
fn an_out_of_memory_event_joins_the_end_that_it_explains() {
    let end = |news: Vec<StateUpdate>| status(&after(&pod("app"), news), "app");
    let oom = Some(Status::Exited(Exit { oom: true, ..EXIT }));
    let run = || [created("app", "1"), started("app", "1", RUNNING)];
    let mut news = run().to_vec();
    news.extend([event("1", EventKind::Oom), event("1", EventKind::Died(EXIT))]);
    assert_eq!(end(news), oom);
    let mut alone = run().to_vec();
    alone.push(event("1", EventKind::Oom));
    assert_eq!(end(alone), Some(RUNNING), "the kernel may have killed a child of it only");
}

#[test]
fn events_of_strangers_are_passed_over() {
    let news = [created("app", "1"), event("2", EventKind::Died(EXIT)), event("2", EventKind::Oom)];
    assert_eq!(status(&after(&pod("app"), news), "app"), Some(Status::Created));
}

#[test]
fn one_that_ran_and_is_gone_without_an_end_has_vanished() {
    let spec = sandboxed("app db");
    let run = |name: &str| StateUpdate::Listed(vec![container(name, "1", RUNNING)]);
    let gone = || [StateUpdate::Listing, StateUpdate::Listed(vec![])];
    for (name, target) in [("app", Target::Member("app".into())), ("sandbox", Target::Sandbox)] {
        let observed = after(&spec, [run(name)].into_iter().chain(gone()));
        assert_eq!(observed.removed_externally, BTreeSet::from([target]), "{name}");
        assert!(observed.is_empty(), "{name}");
    }
    let quiet =
        [("created", Status::Created), ("ended", Status::Exited(EXIT)), ("on its way out", Status::Removing)];
    for (case, status) in quiet {
        let listed = StateUpdate::Listed(vec![container("app", "1", status)]);
        assert!(after(&spec, [listed].into_iter().chain(gone())).removed_externally.is_empty(), "{case}");
    }
    let told = [run("app"), event("1", EventKind::Died(EXIT)), event("1", EventKind::Destroyed)];
    assert!(after(&spec, told).removed_externally.is_empty(), "its end was told");
}

#[test]
fn after_a_creation_without_an_answer_a_whole_listing_makes_sure() {
    let spec = pod("app");
    let lost = || failed(Verb::Create, "app", Failure::Unreachable("gone".into()));
    let listed = || StateUpdate::Listed(vec![]);
    assert!(after(&spec, [lost()]).create_unknown);
    assert!(!after(&spec, [lost(), StateUpdate::Listing, listed()]).create_unknown);
    assert!(
        after(&spec, [StateUpdate::Listing, lost(), listed()]).create_unknown,
        "it may have looked before"
    );
    assert!(
        after(&spec, [lost(), StateUpdate::Listing, lost(), listed()]).create_unknown,
        "another was lost since"
    );
    assert!(
        !after(&spec, [failed(Verb::Create, "app", Failure::Refused("no".into()))]).create_unknown,
        "a clear answer"
    );
    assert!(!after(&spec, [failed(Verb::Start, "app", Failure::Unreachable("gone".into()))]).create_unknown);
}

#[test]
fn failures_in_a_row_are_counted_from_the_first_and_end_with_success() {
    let spec = pod("app");
    let lost = || failed(Verb::Create, "app", Failure::Unreachable("gone".into()));
    let busy = failed(Verb::Create, "app", Failure::Transient("in use".into()));
    let observed = after(&spec, [StateUpdate::Listing, lost(), lost(), busy]);
    let want = FailureRecord {
        failure: Failure::Transient("in use".into()),
        attempts: 3,
        since: Duration::from_secs(1),
        last: Duration::from_secs(3),
    };
    assert_eq!(observed.failures.get(&key(Verb::Create, "app")), Some(&want));
    assert!(after(&spec, [lost(), created("app", "1")]).failures.is_empty());
}

#[test]
fn an_engine_that_cannot_be_listed_is_a_setback_only_until_it_once_was() {
    let spec = pod("app");
    let silent = || StateUpdate::EngineUnreachable("gone".into());
    assert_eq!(after(&spec, [silent(), silent()]).failures.len(), 1);
    assert!(after(&spec, [silent(), StateUpdate::Listing, StateUpdate::Listed(vec![])]).failures.is_empty());
    assert!(after(&spec, [StateUpdate::Listed(vec![]), silent()]).failures.is_empty());
}

#[test]
fn how_long_an_engine_is_silent_counts_from_the_first_time_until_it_is_listed_again() {
    let spec = pod("app");
    let silent = || StateUpdate::EngineUnreachable("gone".into());
    let listed = || StateUpdate::Listed(vec![]);
    let since = |news: Vec<StateUpdate>| after(&spec, news).silent_since;
    assert_eq!(since(vec![listed(), silent(), silent()]), Some(Duration::from_secs(1)));
    assert_eq!(since(vec![listed(), silent(), StateUpdate::Listing]), Some(Duration::from_secs(1)));
    assert_eq!(since(vec![listed(), silent(), StateUpdate::Listing, listed()]), None);
}

#[test]
fn a_missing_image_is_pulled_once_and_then_it_is_a_refusal() {
    let spec = sandboxed("app");
    let missing = || {
        StateUpdate::ActionFinished(key(Verb::Create, "app"), Ok(ActionResult::ImageMissing("app".into())))
    };
    let pull = Key { verb: Verb::Pull("app".into()), target: None };
    let pulled = StateUpdate::ActionFinished(pull, Ok(ActionResult::Pulled));
    assert_eq!(after(&spec, [missing()]).images.get(&"app".into()), Some(&ImageState::Missing));
    assert_eq!(
        after(&spec, [missing(), pulled.clone()]).images.get(&"app".into()),
        Some(&ImageState::Pulled)
    );
    let again = after(&spec, [missing(), pulled, missing()]);
    let words = Failure::Refused("image `app` was pulled, but the engine does not find it".into());
    assert_eq!(again.failures[&key(Verb::Create, "app")].failure, words);
    let sandbox =
        StateUpdate::ActionFinished(key(Verb::Create, "sandbox"), Ok(ActionResult::ImageMissing("x".into())));
    let words = Failure::Refused("image `x` is not there".into());
    assert_eq!(after(&spec, [sandbox]).failures[&key(Verb::Create, "sandbox")].failure, words);
}

#[test]
fn the_first_word_on_the_end_stands() {
    let spec = pod("app");
    let stop = |status| StateUpdate::Stop { status, resumed: false, ago: Duration::ZERO };
    assert_eq!(after(&spec, [stop(0), stop(5)]).stop.map(|stop| stop.status), Some(0));
    let conclude = |status| {
        let conclusion =
            Termination { status, because: String::new(), failed_component: None, at: Duration::ZERO };
        let key = Key { verb: Verb::Terminate, target: None };
        StateUpdate::ActionFinished(key, Ok(ActionResult::Concluded(conclusion)))
    };
    let observed = after(&spec, [conclude(3), conclude(0)]);
    assert_eq!(observed.concluded.map(|conclusion| conclusion.status), Some(3));
}

#[test]
fn an_action_is_under_way_from_its_beginning_to_its_end() {
    let spec = pod("app");
    let begun = || StateUpdate::ActionStarted(key(Verb::Create, "app"));
    let target = Target::Member("app".into());
    assert!(after(&spec, [begun()]).busy().contains(&target));
    assert!(!after(&spec, [begun(), created("app", "1")]).busy().contains(&target));
    assert!(
        !after(&spec, [begun(), failed(Verb::Create, "app", Failure::Refused("no".into()))])
            .busy()
            .contains(&target)
    );
}

#[test]
fn a_store_is_found_again_unfilled_and_its_end_and_its_removal_are_seen() {
    let spec = pod("app+secret");
    let found = StateUpdate::Listed(vec![container("store", "7", RUNNING), container("store", "8", RUNNING)]);
    let mut observed = after(&spec, [found]);
    assert_eq!(observed.store.as_ref().map(|one| (one.id.as_str(), one.copied)), Some(("7", false)));
    assert_eq!(observed.orphans.keys().collect::<Vec<_>>(), ["8"], "there is one store");
    observed.apply(
        &spec,
        StateUpdate::ActionFinished(key(Verb::Copy, "store"), Ok(ActionResult::Copied)),
        Duration::ZERO,
    );
    assert!(observed.store.as_ref().is_some_and(|store| store.copied));
    let destroyed = Event { id: "7".into(), kind: EventKind::Destroyed, at_nanos: 0 };
    observed.apply(&spec, StateUpdate::Event(destroyed), Duration::ZERO);
    assert!(observed.store.is_none() && observed.removed_externally.contains(&Target::Store));

    let missing =
        StateUpdate::ActionFinished(key(Verb::Create, "store"), Ok(ActionResult::ImageMissing("x".into())));
    let words = Failure::Refused("image `x` is not there".into());
    assert_eq!(after(&spec, [missing]).failures[&key(Verb::Create, "store")].failure, words);
}

/// A container seen in the life that began then.
fn living(status: Status, started_at: i64) -> ContainerInfo {
    ContainerInfo { started_at, ..container("app", "1", status) }
}

fn restarted(info: ContainerInfo) -> StateUpdate {
    StateUpdate::ActionFinished(key(Verb::Restart, "app"), Ok(ActionResult::Started(Box::new(info))))
}

fn died(at_nanos: i64) -> StateUpdate {
    let exit = Exit { status: 3, oom: false, at_nanos };
    StateUpdate::Event(Event { id: "1".into(), kind: EventKind::Died(exit), at_nanos })
}

fn exited(at_nanos: i64) -> Status {
    Status::Exited(Exit { status: 3, oom: false, at_nanos })
}

#[test]
fn a_container_that_is_started_again_is_told_from_what_it_was_before_in_every_order_of_news() {
    let first = || [StateUpdate::Listed(vec![living(RUNNING, 10)]), died(20)];
    let healthy = |at_nanos| {
        let kind = EventKind::Health(Health::Healthy);
        StateUpdate::Event(Event { id: "1".into(), kind, at_nanos })
    };
    let starting = Status::Running { health: Health::Starting };
    // What comes after the first life, and what is known then: status, lives after the first, streak.
    let cases: Vec<(&str, Vec<StateUpdate>, Status, u32, u32)> = vec![
        ("nothing", vec![], exited(20), 0, 0),
        ("its start", vec![restarted(living(RUNNING, 30))], RUNNING, 1, 1),
        ("an old listing", vec![StateUpdate::Listed(vec![living(RUNNING, 10)])], exited(20), 0, 0),
        ("a listing of the new life", vec![StateUpdate::Listed(vec![living(RUNNING, 30)])], RUNNING, 1, 1),
        ("the first end told once more", vec![restarted(living(RUNNING, 30)), died(20)], RUNNING, 1, 1),
        (
            "an old listing after it",
            vec![restarted(living(RUNNING, 30)), StateUpdate::Listed(vec![living(exited(20), 10)])],
            RUNNING,
            1,
            1,
        ),
        (
            "the second end before the second start",
            vec![died(40), restarted(living(RUNNING, 30))],
            exited(40),
            1,
            1,
        ),
        ("the second end", vec![restarted(living(RUNNING, 30)), died(40)], exited(40), 1, 1),
        (
            "a third life",
            vec![restarted(living(RUNNING, 30)), died(40), restarted(living(RUNNING, 50))],
            RUNNING,
            2,
            2,
        ),
        ("health of the life before", vec![restarted(living(starting, 30)), healthy(15)], starting, 1, 1),
        (
            "health of this life",
            vec![restarted(living(starting, 30)), healthy(35)],
            Status::Running { health: Health::Healthy },
            1,
            1,
        ),
        (
            "health of this life before its start",
            vec![healthy(35), restarted(living(starting, 30))],
            Status::Running { health: Health::Healthy },
            1,
            1,
        ),
        (
            "health of the life before, told late, before the start of this",
            vec![healthy(15), restarted(living(starting, 30))],
            starting,
            1,
            1,
        ),
        (
            "a new life of one whose end nobody has told",
            vec![
                StateUpdate::Listed(vec![living(Status::Running { health: Health::Healthy }, 30)]),
                StateUpdate::Listed(vec![living(starting, 50)]),
            ],
            starting,
            2,
            1,
        ),
        ("health of a life that nobody has seen begin", vec![healthy(35)], exited(20), 0, 0),
    ];
    for (case, news, want, restarts, consecutive_restarts) in cases {
        let observed = after(&pod("app"), first().into_iter().chain(news));
        let app = &observed.members["app"];
        assert_eq!(
            (app.status, app.restarts, app.consecutive_restarts),
            (want, restarts, consecutive_restarts),
            "{case}"
        );
    }
}

#[test]
fn a_long_life_begins_the_count_anew_and_hooks_belong_to_one_life() {
    let quiet = i64::try_from(BACKOFF_RESET_AFTER.as_nanos()).expect("short");
    let post_start_done =
        StateUpdate::ActionFinished(key(Verb::PostStart, "app"), Ok(ActionResult::PostStarted));
    let spec = pod("app+post");
    let observed = after(
        &spec,
        [
            StateUpdate::Listed(vec![living(RUNNING, 10)]),
            post_start_done.clone(),
            died(20),
            restarted(living(RUNNING, 30)),
            died(30 + quiet),
            restarted(living(RUNNING, 40 + quiet)),
        ],
    );
    let app = &observed.members["app"];
    assert_eq!((app.restarts, app.consecutive_restarts), (2, 1));
    assert!(!observed.up(&spec.components[0]), "its hooks run in each life");
    assert!(
        after(&spec, [StateUpdate::Listed(vec![living(RUNNING, 10)]), post_start_done])
            .up(&spec.components[0])
    );
}

#[test]
fn the_first_end_of_a_container_that_was_started_before_counts_no_restart() {
    // A manager that takes over counts from none.
    let observed = after(&pod("app"), [StateUpdate::Listed(vec![living(exited(20), 10)])]);
    let app = &observed.members["app"];
    assert_eq!((app.restarts, app.consecutive_restarts, app.ended_at), (0, 0, Duration::ZERO));
}

/// A pod whose `app` was started at 100 on the engine's clock, in seconds, and what is told of it.
fn since_its_start(news: impl IntoIterator<Item = (i64, EventKind)>) -> (PodSpec, ObservedState) {
    let spec = PodSpec { checks_mounts: true, ..pod("app") };
    let first = ContainerInfo { started_at: 100 * SECOND, ..container("app", "1", RUNNING) };
    let told = news.into_iter().map(|(at, kind)| {
        let kind = match kind {
            EventKind::Died(exit) => EventKind::Died(Exit { at_nanos: at * SECOND, ..exit }),
            other => other,
        };
        StateUpdate::Event(Event { id: "1".into(), kind, at_nanos: at * SECOND })
    });
    let observed = after(
        &spec,
        [StateUpdate::Clock(100 * SECOND), StateUpdate::Listed(vec![first])].into_iter().chain(told),
    );
    (spec, observed)
}

const SECOND: i64 = 1_000_000_000;
const DIED: EventKind = EventKind::Died(Exit { status: 143, oom: false, at_nanos: 0 });

fn relisted(
    spec: &PodSpec,
    mut observed: ObservedState,
    status: Status,
    started_at: i64,
    now: u64,
) -> ObservedState {
    let now = Duration::from_secs(now);
    let again = ContainerInfo { started_at: started_at * SECOND, ..container("app", "1", status) };
    observed.apply(spec, StateUpdate::Listing, now);
    observed.apply(spec, StateUpdate::Listed(vec![again]), now);
    observed
}

#[test]
fn a_restart_by_others_is_seen_in_every_order_of_its_events() {
    let (kill, kill9, start) = (EventKind::Killed(15), EventKind::Killed(9), EventKind::Started);
    for (case, news) in [
        ("the signal is enough", vec![(200, kill), (201, DIED), (202, start)]),
        ("the kill as well", vec![(200, kill), (210, kill9), (210, DIED), (211, start)]),
        ("only the kill", vec![(200, kill9), (200, DIED), (201, start)]),
    ] {
        let count = news.len() as u64;
        let (spec, observed) = since_its_start(news);
        assert!(observed.is_undecided("app", Duration::from_secs(60)), "{case}: it was started");
        let observed = relisted(&spec, observed, RUNNING, 211, count + 2);
        let app = &observed.members["app"];
        assert_eq!((app.status, app.restarts, app.in_place.asked), (RUNNING, 1, false), "{case}");
        assert!(!observed.is_undecided("app", Duration::from_secs(count + 2)), "{case}");
        assert_eq!(observed.unjudged, BTreeSet::from(["1".to_owned()]), "{case}: its mounts are judged");
    }
    // The listing overtakes both events.
    let (spec, observed) = since_its_start([(200, kill), (201, DIED)]);
    let mut observed = relisted(&spec, observed, RUNNING, 202, 5);
    let event = Event { id: "1".into(), kind: start, at_nanos: 202 * SECOND + 1 };
    assert!(!observed.is_news(&event));
    observed.apply(&spec, StateUpdate::Event(event), Duration::from_secs(6));
    assert_eq!(observed.members["app"].status, RUNNING);
}

#[test]
fn only_an_end_that_somebody_asked_for_is_open() {
    let (kill, oom) = (EventKind::Killed(15), EventKind::Oom);
    for (case, news, open) in [
        ("asked for", vec![(200, kill), (201, DIED)], true),
        ("a crash", vec![(201, DIED)], false),
        ("for want of memory", vec![(200, kill), (200, oom), (201, DIED)], false),
        ("long after the signal", vec![(200, kill), (221, DIED)], false),
        ("a signal of the life before", vec![(99, kill), (101, DIED)], false),
    ] {
        let end = Duration::from_secs(news.len() as u64 + 1);
        let (_, observed) = since_its_start(news);
        let app = &observed.members["app"];
        assert_eq!((observed.is_undecided("app", end), app.in_place.asked), (open, open), "{case}");
    }
}

#[test]
fn what_this_manager_sends_is_no_request_of_others() {
    let (spec, mut observed) = since_its_start([]);
    let now = Duration::from_secs(5);
    observed.apply(&spec, StateUpdate::ActionStarted(key(Verb::Stop, "app")), now);
    for (at, kind) in [(200, EventKind::Killed(15)), (201, DIED)] {
        observed.apply(&spec, StateUpdate::Event(Event { id: "1".into(), kind, at_nanos: at * SECOND }), now);
    }
    assert!(!observed.members["app"].in_place.asked);
}

#[test]
fn a_start_of_our_own_is_no_news_and_its_mounts_are_judged_already() {
    let (spec, mut observed) = since_its_start([(201, DIED)]);
    let now = Duration::from_secs(5);
    observed.apply(&spec, StateUpdate::ActionStarted(key(Verb::Restart, "app")), now);
    let event = Event { id: "1".into(), kind: EventKind::Started, at_nanos: 202 * SECOND };
    assert!(!observed.is_news(&event));
    let observed = relisted(&spec, observed, RUNNING, 202, 6);
    assert_eq!((observed.members["app"].restarts, observed.unjudged.len()), (1, 0));
}

#[test]
fn a_comparison_of_mounts_that_fails_leaves_them_to_be_judged() {
    let (spec, observed) =
        since_its_start([(200, EventKind::Killed(15)), (201, DIED), (202, EventKind::Started)]);
    let observed = relisted(&spec, observed, RUNNING, 202, 9);
    let mounts = || Key { verb: Verb::CheckMounts, target: None };
    for (result, left) in [(Ok(ActionResult::MountsChecked), 0), (Err(Failure::Unreachable("no".into())), 1)]
    {
        let mut observed = observed.clone();
        observed.apply(&spec, StateUpdate::ActionStarted(mounts()), Duration::from_secs(10));
        assert_eq!(observed.unjudged.len(), 0);
        observed.apply(&spec, StateUpdate::ActionFinished(mounts(), result), Duration::from_secs(11));
        assert_eq!(observed.unjudged.len(), left);
    }
}

#[test]
fn an_end_that_is_only_listed_gets_two_seconds_where_it_is_young() {
    let ended = |at: i64| Status::Exited(Exit { status: 3, oom: false, at_nanos: at * SECOND });
    for (at, open) in [(299, true), (297, false)] {
        let (spec, mut observed) = since_its_start([]);
        observed.apply(&spec, StateUpdate::Clock(300 * SECOND), Duration::from_secs(9));
        let observed = relisted(&spec, observed, ended(at), 100, 9);
        let undecided = [9, 10, 11].map(|now| observed.is_undecided("app", Duration::from_secs(now)));
        assert_eq!(undecided, [open, open, false], "{at}");
    }
}

#[test]
fn a_requested_restart_is_over_with_the_life_that_was_to_end() {
    let (spec, mut observed) = since_its_start([]);
    observed.apply(&spec, StateUpdate::RestartAsked("app".into()), Duration::from_secs(3));
    assert!(observed.is_to_restart("app") && observed.is_undecided("app", Duration::from_secs(3)));
    let observed = relisted(&spec, observed, RUNNING, 202, 6);
    assert!(!observed.is_to_restart("app") && !observed.is_undecided("app", Duration::from_secs(6)));
}
