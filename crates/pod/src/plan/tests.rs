//! A sentence a case: what is known, and the whole plan that follows from it, as text.

use super::*;
use crate::observed::{ActionResult, Exit, ExitRecord, StateUpdate, StopRequest};
use crate::testing::{pod, sandboxed};

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What is known of a pod, listed, from text like `sandbox=running init-1=exited(0) app=healthy`.
/// `exited(3)@20` ended at 20 on the engine's clock.
pub(super) fn seen(text: &str) -> ObservedState {
    let mut observed = ObservedState::default();
    observed.listed = true;
    for word in text.split_whitespace() {
        let (name, state) = word.split_once('=').expect("name=state");
        let mut member = ContainerState { id: format!("id-{name}"), ..ContainerState::default() };
        let running = |health| Status::Running { health };
        member.status = match state {
            "created" | "copied" => Status::Created,
            "running" | "stopped" | "filled" => running(Health::None),
            "starting" => running(Health::Starting),
            "healthy" => running(Health::Healthy),
            "unhealthy" => running(Health::Unhealthy),
            "removing" => Status::Removing,
            exited => {
                let (exited, at) = exited.split_once('@').unwrap_or((exited, "1"));
                let status = exited.strip_prefix("exited(").and_then(|rest| rest.strip_suffix(')'));
                let status = status.and_then(|status| status.parse().ok()).expect("exited(N)");
                Status::Exited(Exit { status, oom: false, at_nanos: at.parse().expect("a number") })
            }
        };
        // Why it is unhealthy is known, or the engine does not tell.
        member.failed_check = (state == "unhealthy").then_some(None);
        member.copied = state == "copied";
        member.stopped = state == "stopped";
        if name == "sandbox" {
            observed.sandbox = Some(member);
        } else if name == "store" {
            member.copied = state == "filled";
            observed.store = Some(member);
        } else {
            observed.members.insert(name.into(), member);
        }
    }
    observed
}

/// A pod in which one component is changed.
pub(super) fn pod_with(text: &str, name: &str, change: impl Fn(&mut ComponentSpec)) -> PodSpec {
    let mut spec = pod(text);
    spec.components.iter_mut().filter(|one| one.name == name).for_each(change);
    spec
}

fn target(name: &str) -> Target {
    match name {
        "sandbox" => Target::Sandbox,
        "store" => Target::Store,
        name => Target::Member(name.into()),
    }
}

pub(super) fn key(verb: Verb, name: &str) -> Key {
    Key { verb, target: Some(target(name)) }
}

impl ObservedState {
    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn doing(self, verb: Verb, name: &str) -> Self {
        self.with(|this| _ = this.in_flight.insert(key(verb, name)))
    }

    fn post_start_done(self, name: &str) -> Self {
        self.with(|this| _ = this.post_start_done.insert(format!("id-{name} 0")))
    }

    fn known(self, name: &str, change: impl FnOnce(&mut ContainerState)) -> Self {
        self.with(|this| change(this.members.get_mut(name).expect("it is there")))
    }

    /// Marks the mounts of all existing containers as compared with those of other pods.
    fn checked(self) -> Self {
        let ids = self.members.values().map(|member| member.id.clone()).collect();
        self.with(|this| this.mounts_checked = Some(ids))
    }

    /// Marks the mounts of these containers as compared with those of other pods.
    fn checked_of(self, names: &[&str]) -> Self {
        let ids = names.iter().map(|name| format!("id-{name}")).collect();
        self.with(|this| this.mounts_checked = Some(ids))
    }

    fn checking(self) -> Self {
        self.with(|this| _ = this.in_flight.insert(Key { verb: Verb::CheckMounts, target: None }))
    }

    fn pulling(self, image: &str) -> Self {
        self.with(|this| _ = this.in_flight.insert(Key { verb: Verb::Pull(image.into()), target: None }))
    }

    fn image(self, image: &str, known: ImageState) -> Self {
        self.with(|this| _ = this.images.insert(image.into(), known))
    }

    fn orphans(self, id: &str, name: &str) -> Self {
        self.with(|this| _ = this.orphans.insert(id.into(), name.into()))
    }

    fn failed(self, verb: Verb, name: &str, failure: Failure, attempts: u32, since: u64, last: u64) -> Self {
        let setback = FailureRecord { failure, attempts, since: secs(since), last: secs(last) };
        self.with(|this| _ = this.failures.insert(key(verb, name), setback))
    }

    fn asked_to_stop(self) -> Self {
        self.with(|this| this.stop = Some(StopRequest { at: secs(1), status: 0, resumed: false }))
    }

    fn ending(self, status: u8, at: u64) -> Self {
        let conclusion =
            Termination { status, because: "it is so".into(), failed_component: None, at: secs(at) };
        self.with(|this| this.concluded = Some(conclusion))
    }
}

/// A whole plan in one line: the health, each step with its reason, when to wake up, the outcome.
fn told(plan: &Plan) -> String {
    let health = match plan.health {
        PodHealth::Starting => "starting",
        PodHealth::Healthy => "healthy",
        PodHealth::Unhealthy => "unhealthy",
        PodHealth::Stopping => "stopping",
    };
    let mut parts = vec![health.to_owned()];
    parts.extend(plan.steps.iter().map(|step| match &step.action {
        Action::Terminate(conclusion) => {
            format!("end with {}: {} ({})", conclusion.status, conclusion.because, step.reason)
        }
        Action::Stop(target, grace) => format!("stop {target} in {grace:?} ({})", step.reason),
        Action::PreStop(_, delay, limit) if delay.is_zero() => {
            format!("{} in {limit:?} ({})", step.action.key(), step.reason)
        }
        Action::PreStop(_, delay, limit) => {
            format!("{} in {delay:?} and {limit:?} ({})", step.action.key(), step.reason)
        }
        _ => step.to_string(),
    }));
    parts.extend(plan.wake_at.map(|at| format!("wake at {at:?}")));
    parts.extend(plan.outcome.as_ref().map(|outcome| match outcome.left.as_slice() {
        [] => format!("over with {}", outcome.status),
        left => format!("over with {}, left {}", outcome.status, left.join(" ")),
    }));
    parts.join("; ")
}

type Case<'a> = (&'a str, PodSpec, ObservedState, u64, &'a str);

/// Check each case: the rule, the pod, what is known, the time in seconds, the plan.
#[track_caller]
pub(super) fn check(cases: impl IntoIterator<Item = Case<'static>>) {
    for (rule, spec, observed, now, want) in cases {
        assert_eq!(told(&plan(&spec, &observed, secs(now))), want, "{rule}");
    }
}

fn refused(words: &str) -> Failure {
    Failure::Refused(words.into())
}

fn unsettled(words: &str) -> Failure {
    Failure::Transient(words.into())
}

fn unreachable(words: &str) -> Failure {
    Failure::Unreachable(words.into())
}

#[test]
fn a_stop_of_a_pod_that_is_not_healthy_is_no_success() {
    check([
        (
            "Swarm stops what is not healthy, and is to replace it",
            pod("app db"),
            seen("app=unhealthy db=running").asked_to_stop(),
            1,
            "stopping; end with 1: a stop was requested while the pod was not healthy (a stop was requested)",
        ),
        (
            "nor is that of one whose component ends again and again",
            pod_with("app db", "app", |app| app.restart = crate::spec::Restart::Always),
            seen("app=exited(3) db=running")
                .with(|this| this.members.get_mut("app").expect("it is there").consecutive_restarts = 6)
                .asked_to_stop(),
            1,
            "stopping; end with 1: a stop was requested while the pod was not healthy (a stop was requested)",
        ),
        (
            "but one that has ended just once is no matter",
            pod_with("app db", "app", |app| app.restart = crate::spec::Restart::Always),
            seen("app=exited(3) db=running").asked_to_stop(),
            1,
            "stopping; end with 0: a stop was requested (a stop was requested)",
        ),
        (
            "the engine's own check counts as well",
            pod("app db"),
            seen("app=starting db=running")
                .with(|this| this.stop = Some(StopRequest { at: secs(0), status: 1, resumed: false })),
            1,
            "stopping; end with 1: a stop was requested while the pod was not healthy (a stop was requested)",
        ),
        (
            "one that is only starting is stopped as asked",
            pod("app db"),
            seen("app=starting db=running").asked_to_stop(),
            1,
            "stopping; end with 0: a stop was requested (a stop was requested)",
        ),
    ]);
}

#[test]
fn what_was_heard_of_an_engine_counts_for_a_minute() {
    let silent = || seen("app=running").with(|this| this.silent_since = Some(secs(100)));
    check([
        ("while it may be restarting", pod("app"), silent(), 159, "healthy; wake at 160s"),
        ("then nobody knows, and that is not healthy", pod("app"), silent(), 160, "unhealthy"),
        (
            "a stop is answered all the same",
            pod("app"),
            silent().asked_to_stop(),
            159,
            "stopping; end with 0: a stop was requested (a stop was requested)",
        ),
        (
            "also by whoever takes it for ill",
            pod("app"),
            silent().asked_to_stop(),
            200,
            "stopping; end with 1: a stop was requested while the pod was not healthy (a stop was requested)",
        ),
    ]);
}

#[test]
fn what_nobody_can_tell_is_given_up_after_half_a_minute() {
    let lost = |failure: Failure, looked_at: u64| {
        seen("sandbox=created app=created").failed(Verb::Start, "sandbox", failure, 1, 100, 100).with(
            |this| {
                this.silent_since = Some(secs(101));
                this.looked_at = secs(looked_at);
            },
        )
    };
    check([
        (
            "it may have been done: only a listing tells",
            sandboxed("app"),
            lost(unreachable("gone"), 90),
            130,
            "starting; wake at 131s",
        ),
        (
            "and where none comes, the pod cannot go on",
            sandboxed("app"),
            lost(unreachable("gone"), 90),
            131,
            "stopping; end with 69: cannot start the sandbox: gone (it cannot run as defined)",
        ),
        (
            "also where the engine said something",
            sandboxed("app"),
            lost(Failure::Transient("odd".into()), 90),
            131,
            "stopping; end with 69: cannot start the sandbox: odd (it cannot run as defined)",
        ),
    ]);
    // A pod that was up outlives an engine that is away: what is to be started again waits for it.
    let again = seen("sandbox=running app=exited(3)")
        .failed(Verb::Restart, "app", unreachable("gone"), 9, 100, 140)
        .with(|this| (this.silent_since, this.looked_at) = (Some(secs(101)), secs(90)));
    let spec = || pod_with("app", "app", |app| app.restart = crate::spec::Restart::Always);
    let got = told(&plan(&spec(), &again, secs(150)));
    assert!(!got.contains("end with"), "{got}");
    let settled = seen("sandbox=running app=running")
        .failed(Verb::Start, "app", unreachable("gone"), 1, 5, 5)
        .with(|this| (this.silent_since, this.looked_at) = (Some(secs(101)), secs(6)));
    check([(
        "what a listing has told since is no matter",
        sandboxed("app"),
        settled,
        140,
        "healthy; wake at 161s",
    )]);
}

#[test]
fn before_the_first_listing_nothing_is_touched() {
    let unlisted = ObservedState::default;
    let silent = unlisted().with(|this| {
        let list = Key { verb: Verb::List, target: None };
        let failure = unreachable("connection refused");
        this.failures.insert(list, FailureRecord { failure, attempts: 9, since: secs(0), last: secs(29) });
    });
    check([
        ("what is there is not known", sandboxed("app"), unlisted(), 0, "starting; wake at 30s"),
        (
            "an engine that does not answer is waited for",
            pod("app"),
            silent.clone(),
            29,
            "starting; wake at 30s",
        ),
        (
            "after 30 s it is given up, in its own words",
            pod("app"),
            silent.clone(),
            30,
            "stopping; end with 69: connection refused (it cannot run as defined)",
        ),
        (
            "one that hangs says nothing, and is given up too",
            pod("app"),
            unlisted(),
            30,
            "stopping; end with 69: the engine does not answer (it cannot run as defined)",
        ),
        (
            "there is nothing to clean up where nothing could be seen",
            pod("app"),
            silent.ending(69, 30),
            30,
            "stopping; over with 69",
        ),
        (
            "a stop is answered at once",
            pod("app"),
            unlisted().asked_to_stop(),
            1,
            "stopping; end with 0: a stop was requested (a stop was requested)",
        ),
        (
            "and waits for the listing, since an earlier manager may have left something",
            pod("app"),
            unlisted().ending(0, 1),
            1,
            "stopping; wake at 9s",
        ),
        ("to the end of its time", pod("app"), unlisted().ending(0, 1), 9, "stopping; wake at 11.7s"),
        ("and not for ever", pod("app"), unlisted().ending(0, 1), 39, "stopping; over with 0"),
        (
            "a status of 69 from an earlier life is no reason to clean up less",
            pod("app"),
            unlisted().ending(69, 0),
            0,
            "stopping; wake at 8s",
        ),
    ]);
}

#[test]
fn the_sandbox_comes_first_and_starts_while_components_are_created() {
    check([
        (
            "nothing is created before the sandbox is there",
            sandboxed("init-1 | app"),
            seen(""),
            0,
            "starting; create the sandbox (holds the shared namespaces)",
        ),
        ("it is created once", sandboxed("app"), seen("").doing(Verb::Create, "sandbox"), 0, "starting"),
        (
            "components are created while it starts",
            sandboxed("app web<app"),
            seen("sandbox=created"),
            0,
            "starting; start the sandbox (holds the shared namespaces); create `app` (wanted); create `web` (wanted)",
        ),
        (
            "none starts before it runs",
            sandboxed("app"),
            seen("sandbox=created app=created").doing(Verb::Start, "sandbox"),
            0,
            "starting",
        ),
        (
            "then they start",
            sandboxed("app"),
            seen("sandbox=running app=created"),
            0,
            "starting; start `app` (ready)",
        ),
        (
            "a pod that shares only the network has none",
            pod("app"),
            seen(""),
            0,
            "starting; create `app` (wanted)",
        ),
        (
            "its image is the task container's: where that is refused, it is final",
            sandboxed("app"),
            seen("").failed(Verb::Create, "sandbox", refused("image `x` is not there"), 1, 0, 0),
            0,
            "stopping; end with 125: cannot create the sandbox: image `x` is not there (it cannot run as defined)",
        ),
    ]);
}

#[test]
fn init_components_run_one_at_a_time_and_components_after_them() {
    let two = || pod("init-1 init-2 | app db");
    check([
        ("the first is created alone", two(), seen(""), 0, "starting; create `init-1` (its turn)"),
        ("and started", two(), seen("init-1=created"), 0, "starting; start `init-1` (ready)"),
        ("while it runs nothing else happens", two(), seen("init-1=running"), 0, "starting"),
        (
            "the second is created when the first has ended with 0",
            two(),
            seen("init-1=exited(0)"),
            0,
            "starting; create `init-2` (its turn)",
        ),
        ("not before", two(), seen("init-1=exited(0) init-2=running"), 0, "starting"),
        (
            "components come after the last, all at once",
            two(),
            seen("init-1=exited(0) init-2=exited(0)"),
            0,
            "starting; create `app` (wanted); create `db` (wanted)",
        ),
        (
            "an init component waits for the sandbox like any other",
            sandboxed("init-1 | app"),
            seen("sandbox=created init-1=created"),
            0,
            "starting; start the sandbox (holds the shared namespaces)",
        ),
        (
            "one that was pruned after its end does not run again: what comes after it is there",
            two(),
            seen("app=running db=created"),
            0,
            "starting; start `db` (ready)",
        ),
        (
            "nor does the first when the second is there",
            two(),
            seen("init-2=exited(0)"),
            0,
            "starting; create `app` (wanted); create `db` (wanted)",
        ),
        ("nor while the second runs", two(), seen("init-2=running"), 0, "starting"),
        ("and the pod is healthy without them", two(), seen("app=running db=running"), 0, "healthy"),
    ]);
}

#[test]
fn images_are_pulled_where_they_are_missing_or_where_it_is_asked() {
    let eager = |text| PodSpec { pull_always: true, ..pod(text) };
    let shared = |mut spec: PodSpec| {
        spec.components.iter_mut().for_each(|one| one.container.image = "same".into());
        spec
    };
    check([
        (
            "an image that a creation missed is pulled",
            pod("app"),
            seen("").image("app", ImageState::Missing),
            0,
            "starting; pull `app` (the engine does not have it)",
        ),
        ("once", pod("app"), seen("").image("app", ImageState::Missing).pulling("app"), 0, "starting"),
        (
            "then the container is created",
            pod("app"),
            seen("").image("app", ImageState::Pulled),
            0,
            "starting; create `app` (wanted)",
        ),
        (
            "one pull serves all who use the image",
            shared(pod("app db")),
            seen("").image("same", ImageState::Missing),
            0,
            "starting; pull `same` (the engine does not have it)",
        ),
        ("--pull pulls first", eager("app"), seen(""), 0, "starting; pull `app` (asked for)"),
        (
            "once",
            eager("app"),
            seen("").image("app", ImageState::Pulled),
            0,
            "starting; create `app` (wanted)",
        ),
        ("not for one that is there", eager("app"), seen("app=created"), 0, "starting; start `app` (ready)"),
        (
            "others do not wait for a pull",
            pod("app db"),
            seen("").image("app", ImageState::Missing).pulling("app"),
            0,
            "starting; create `db` (wanted)",
        ),
    ]);
    let never = |mut spec: PodSpec, names: &[&str]| {
        for member in spec.components.iter_mut().filter(|one| names.contains(&&*one.name)) {
            member.container.tuning.pull = Some(PullPolicy::Never);
        }
        spec
    };
    let apart = |mut spec: PodSpec| {
        spec.components[1].container.tuning.platform = Some("linux/arm64".into());
        spec
    };
    check([
        (
            "one that may not be pulled ends the pod",
            never(pod("app db<app"), &["app"]),
            seen("").image("app", ImageState::Missing),
            0,
            "stopping; end with 125: `db` waits for `app`; cannot create `app`: the engine does not have its image `app`, \
             and `pull_policy` is `never`: load it on the node beforehand (it cannot run as defined)",
        ),
        (
            "not where it is there",
            never(eager("app"), &["app"]),
            seen(""),
            0,
            "starting; create `app` (wanted)",
        ),
        (
            "nor where another one may pull it",
            never(shared(pod("app db")), &["app"]),
            seen("").image("same", ImageState::Missing),
            0,
            "starting; pull `same` (the engine does not have it)",
        ),
        (
            "one image for two platforms is two to pull",
            apart(shared(eager("app db"))),
            seen("").image("same", ImageState::Pulled),
            0,
            "starting; create `app` (wanted); pull `same` for linux/arm64 (asked for)",
        ),
    ]);
    let denied = seen("").with(|this| {
        let pull = Key { verb: Verb::Pull("app".into()), target: None };
        let failure = refused("pull access denied for app");
        this.failures.insert(pull, FailureRecord { failure, attempts: 1, since: secs(0), last: secs(0) });
    });
    check([(
        "one that cannot be had ends the pod with the registry's words",
        pod("app"),
        denied,
        0,
        "stopping; end with 125: cannot pull `app`: pull access denied for app (it cannot run as defined)",
    )]);
}

#[test]
fn copies_are_made_before_the_start() {
    check([
        (
            "after creation",
            pod("app+copy"),
            seen("app=created"),
            0,
            "starting; copy files into `app` (pod.copy)",
        ),
        (
            "no start while they are made",
            pod("app+copy"),
            seen("app=created").doing(Verb::Copy, "app"),
            0,
            "starting",
        ),
        ("then it starts", pod("app+copy"), seen("app=copied"), 0, "starting; start `app` (ready)"),
        (
            "they do not wait for dependencies",
            pod("app+copy<db db"),
            seen("app=created db=created"),
            0,
            "starting; copy files into `app` (pod.copy); start `db` (ready)",
        ),
        ("a running one is left alone", pod("app+copy"), seen("app=running"), 0, "healthy"),
    ]);
}

#[test]
fn post_start_hooks_run_before_a_component_counts_as_started() {
    let failed = |member: &mut ContainerState| {
        let words = "`post_start[0]` of `db` ended with status 3: no".to_owned();
        member.hook_failure = Some(HookFailure { status: 3, words });
    };
    check([
        (
            "once it runs",
            pod("app<db db+post"),
            seen("app=created db=running"),
            0,
            "starting; run post_start of `db` (started)",
        ),
        (
            "not twice at a time",
            pod("app<db db+post"),
            seen("app=created db=running").doing(Verb::PostStart, "db"),
            0,
            "starting",
        ),
        (
            "then who waits for it starts",
            pod("app<db db+post"),
            seen("app=created db=running").post_start_done("db"),
            0,
            "starting; start `app` (ready)",
        ),
        (
            "also who waits for its health",
            pod("app<db:healthy db+post"),
            seen("app=created db=healthy").doing(Verb::PostStart, "db"),
            0,
            "starting",
        ),
        (
            "and who does not require it",
            pod("app<db:healthy? db+post"),
            seen("app=created db=unhealthy").doing(Verb::PostStart, "db"),
            0,
            "unhealthy",
        ),
        (
            "not healthy before",
            pod("db+post"),
            seen("db=healthy").doing(Verb::PostStart, "db"),
            0,
            "starting",
        ),
        ("healthy then", pod("db+post"), seen("db=healthy").post_start_done("db"), 0, "healthy"),
        (
            "another container's are not its own",
            pod("db+post"),
            seen("db=running").post_start_done("old"),
            0,
            "starting; run post_start of `db` (started)",
        ),
        (
            "who waits for its end does not wait for them",
            pod("app<db:done db+post"),
            seen("app=created db=exited(0)"),
            0,
            "starting; start `app` (ready)",
        ),
        (
            "one that fails ends the pod with its status and names who waits",
            pod("app<db db+post"),
            seen("app=created db=running").known("db", failed),
            0,
            "stopping; end with 3: `app` waits for `db`; `post_start[0]` of `db` ended with status 3: no (a hook failed)",
        ),
        (
            "the component's own end counts more",
            pod("db+post"),
            seen("db=exited(7)").known("db", failed),
            0,
            "stopping; end with 7: component `db` ended with status 7 (a component ended)",
        ),
        (
            "what the engine refuses ends the pod",
            pod("db+post"),
            seen("db=running").failed(Verb::PostStart, "db", refused("no"), 1, 0, 0),
            0,
            "stopping; end with 125: cannot run post_start of `db`: no (it cannot run as defined)",
        ),
    ]);
}

#[test]
fn pre_stop_hooks_run_before_the_stop_signal_within_the_components_time() {
    let graced = |grace: u64| {
        let mut spec = pod("app+pre");
        spec.components[0].stop_grace = Some(secs(grace));
        spec
    };
    let over = |since: u64| {
        move |member: &mut ContainerState| {
            member.stopping_since = Some(secs(since));
            member.pre_stopped = true;
        }
    };
    check([
        (
            "they leave 2 s for the stop itself",
            pod("app+pre"),
            seen("app=running").ending(0, 100),
            100,
            "stopping; prepare the stop of `app` in 6s (the pod ends); wake at 108s",
        ),
        (
            "or half of what is short",
            graced(3),
            seen("app=running").ending(0, 100),
            100,
            "stopping; prepare the stop of `app` in 1.5s (the pod ends); wake at 108s",
        ),
        (
            "no signal while they run",
            pod("app+pre"),
            seen("app=running").doing(Verb::PreStop, "app").ending(0, 100),
            101,
            "stopping; wake at 108s",
        ),
        (
            "then the signal, with what is left of its own time",
            graced(5),
            seen("app=running").ending(0, 100).known("app", over(101)),
            102,
            "stopping; stop `app` in 4s (the pod ends); wake at 108s",
        ),
        (
            "those that depend on it first",
            pod("app+pre<db db+pre"),
            seen("app=running db=running").doing(Verb::PreStop, "app").ending(0, 100),
            101,
            "stopping; wake at 108s",
        ),
        (
            "none in one that has ended",
            pod("app+pre"),
            seen("app=exited(1)").ending(1, 100),
            100,
            "stopping; remove `app` (the pod ends, it has ended); wake at 108s",
        ),
        (
            "at the deadline all is over",
            pod("app+pre"),
            seen("app=running").doing(Verb::PreStop, "app").ending(0, 100),
            108,
            "stopping; remove `app` (out of time); wake at 110.7s",
        ),
    ]);
}

#[test]
fn the_store_is_filled_before_who_needs_it_is_created_and_outlives_them_all() {
    let spec = || pod("app db+secret");
    check([
        (
            "who needs no secret does not wait for the store",
            spec(),
            seen(""),
            0,
            "starting; create the store (holds secrets, configs and scratch volumes); create `app` (wanted)",
        ),
        (
            "its memory is there only while it runs",
            spec(),
            seen("store=created app=running"),
            0,
            "starting; start the store (holds secrets, configs and scratch volumes)",
        ),
        (
            "it is filled when somebody needs it",
            spec(),
            seen("store=running app=running"),
            0,
            "starting; copy files into the store (holds secrets, configs and scratch volumes)",
        ),
        (
            "one that fills waits",
            spec(),
            seen("store=running app=running").doing(Verb::Copy, "store"),
            0,
            "starting",
        ),
        (
            "what is bound into a component is there when it is created",
            spec(),
            seen("store=filled app=running"),
            0,
            "starting; create `db` (wanted)",
        ),
        (
            "a later manager does not fill it for those that are there",
            spec(),
            seen("store=running app=running db=created"),
            0,
            "starting; start `db` (ready)",
        ),
        (
            "a later manager fills it again for who is not there, as the one before may have died half way",
            pod("app+secret db+secret"),
            seen("store=running app=running"),
            0,
            "starting; copy files into the store (holds secrets, configs and scratch volumes)",
        ),
        (
            "who is created is not started while files are written anew",
            pod("app+secret db+secret"),
            seen("store=running app=created").doing(Verb::Copy, "store"),
            0,
            "starting",
        ),
        (
            "an init component's secrets too",
            pod("init-1+secret | app"),
            seen("store=running"),
            0,
            "starting; copy files into the store (holds secrets, configs and scratch volumes)",
        ),
        (
            "a store that was removed while no manager lived is made again",
            spec(),
            seen("app=running db=running"),
            0,
            "healthy; create the store (holds secrets, configs and scratch volumes)",
        ),
        (
            "its end ends the pod",
            spec(),
            seen("store=exited(137) app=running db=running"),
            0,
            "stopping; end with 137: the store ended with status 137 (the store ended)",
        ),
        (
            "also one that reads as success",
            spec(),
            seen("store=exited(0) app=running db=running"),
            0,
            "stopping; end with 1: the store ended with status 0 (the store ended)",
        ),
        (
            "its removal ends the pod",
            spec(),
            seen("app=running db=running").with(|this| _ = this.removed_externally.insert(Target::Store)),
            0,
            "stopping; end with 137: the store was removed (the store ended)",
        ),
        (
            "the engine's refusal ends the pod",
            spec(),
            seen("store=running app=running").failed(Verb::Copy, "store", refused("no space"), 1, 0, 0),
            0,
            "stopping; end with 125: cannot copy files into the store: no space (it cannot run as defined)",
        ),
        (
            "at the end it stays while a component runs",
            spec(),
            seen("store=filled app=stopped db=running").ending(0, 0).doing(Verb::Stop, "db"),
            1,
            "stopping; remove `app` (the pod ends, it has ended); wake at 8s",
        ),
        (
            "and goes after the last one",
            spec(),
            seen("store=filled").ending(0, 0),
            1,
            "stopping; remove the store (the pod ends); wake at 8s",
        ),
        (
            "by force when the time is over",
            spec(),
            seen("store=filled db=running").ending(0, 0).doing(Verb::Remove, "db"),
            8,
            "stopping; remove the store (out of time); wake at 10.7s",
        ),
        (
            "what is left of it is named",
            spec(),
            seen("store=filled").ending(0, 0),
            38,
            "stopping; over with 0, left pod.store",
        ),
    ]);
}

#[test]
fn a_component_starts_when_what_it_depends_on_is_ready() {
    let started = || pod("app<db db");
    let healthy = || pod("app<db:healthy db");
    check([
        (
            "dependency and dependent are created together",
            started(),
            seen(""),
            0,
            "starting; create `app` (wanted); create `db` (wanted)",
        ),
        (
            "the dependency starts first",
            started(),
            seen("app=created db=created"),
            0,
            "starting; start `db` (ready)",
        ),
        (
            "a start under way is no start",
            started(),
            seen("app=created db=created").doing(Verb::Start, "db"),
            0,
            "starting",
        ),
        ("then the dependent", started(), seen("app=created db=running"), 0, "starting; start `app` (ready)"),
        (
            "its health does not matter where only its start is waited for",
            started(),
            seen("app=created db=unhealthy"),
            0,
            "unhealthy; start `app` (ready)",
        ),
        ("starting is not healthy", healthy(), seen("app=created db=starting"), 0, "starting"),
        ("healthy is", healthy(), seen("app=created db=healthy"), 0, "starting; start `app` (ready)"),
        (
            "all of them count",
            pod("app<db,mq:healthy db mq"),
            seen("app=created db=running mq=starting"),
            0,
            "starting",
        ),
        (
            "a dependency that is not there yet is not ready",
            started(),
            seen("app=created").doing(Verb::Create, "db"),
            0,
            "starting",
        ),
        (
            "those without dependencies start together",
            pod("app db"),
            seen("app=created db=created"),
            0,
            "starting; start `app` (ready); start `db` (ready)",
        ),
    ]);
}

#[test]
fn waiting_for_health_that_will_not_come_ends_the_pod() {
    let spec = || pod("app<db:healthy db");
    check([
        (
            "a component without a check never says healthy: the definition is wrong",
            spec(),
            seen("app=created db=running"),
            0,
            "stopping; end with 64: `app` waits for `db` to be healthy, but `db` has no health check: \
             give it one, or wait for `service_started` (it cannot run as defined)",
        ),
        (
            "an unhealthy one will not be waited for",
            spec(),
            seen("app=created db=unhealthy"),
            0,
            "stopping; end with 1: `app` waits for `db` to be healthy, but `db` is unhealthy \
             (it cannot run as defined)",
        ),
        (
            "nor by one that is not created yet",
            spec(),
            seen("db=unhealthy"),
            0,
            "stopping; end with 1: `app` waits for `db` to be healthy, but `db` is unhealthy \
             (it cannot run as defined)",
        ),
        (
            "once all have started it is only unhealthy",
            spec(),
            seen("app=running db=unhealthy"),
            0,
            "unhealthy",
        ),
    ]);
}

#[test]
fn the_pod_is_healthy_when_rule_9_holds_and_never_earlier() {
    check([
        ("one runs", pod("app"), seen("app=running"), 0, "healthy"),
        ("one is being started", pod("app"), seen("app=created").doing(Verb::Start, "app"), 0, "starting"),
        ("a check without a verdict", pod("app"), seen("app=starting"), 0, "starting"),
        ("a check that passed", pod("app"), seen("app=healthy"), 0, "healthy"),
        ("a check that failed", pod("app"), seen("app=unhealthy"), 0, "unhealthy"),
        ("one of two has no verdict", pod("app db"), seen("app=healthy db=starting"), 0, "starting"),
        ("one is not there", pod("app db"), seen("app=healthy").doing(Verb::Create, "db"), 0, "starting"),
        ("one failed while another starts", pod("app db"), seen("app=unhealthy db=starting"), 0, "unhealthy"),
        ("one is on its way out", pod("app db"), seen("app=healthy db=removing"), 0, "starting"),
        ("an init component runs", pod("init-1 | app"), seen("init-1=running app=running"), 0, "starting"),
        ("init components are done", pod("init-1 | app"), seen("init-1=exited(0) app=running"), 0, "healthy"),
        (
            "the end is decided",
            pod("app"),
            seen("app=healthy").asked_to_stop(),
            0,
            "stopping; end with 0: a stop was requested (a stop was requested)",
        ),
        (
            "the end is under way",
            pod("app"),
            seen("app=healthy").doing(Verb::Stop, "app").ending(0, 0),
            0,
            "stopping; wake at 8s",
        ),
    ]);
}

#[test]
fn the_first_component_to_end_ends_the_pod_with_its_status() {
    let end = |status, said: &str| {
        format!("stopping; end with {status}: component `app` ended with status {said} (a component ended)")
    };
    for (status, want) in [(0, 0), (1, 1), (3, 3), (126, 126), (137, 137), (255, 255), (256, 255), (-1, 255)]
    {
        let observed = seen(&format!("app=exited({status}) db=running"));
        let got = told(&plan(&pod("app db"), &observed, secs(5)));
        let said = if status == 137 { "137 (SIGKILL)".to_owned() } else { status.to_string() };
        assert_eq!(got, end(want, &said), "{status}");
    }
    let killed = seen("app=running").with(|this| {
        let exit = Exit { status: 137, oom: true, at_nanos: 1 };
        this.members.entry("app".into()).and_modify(|app| app.status = Status::Exited(exit));
    });
    assert_eq!(told(&plan(&pod("app"), &killed, secs(5))), end(137, "137 (SIGKILL, out of memory)"));
    check([
        (
            "of two the earlier counts",
            pod("app db"),
            seen("app=exited(3)@20 db=exited(4)@10"),
            0,
            "stopping; end with 4: component `db` ended with status 4 (a component ended)",
        ),
        (
            "also where it ended with 0",
            pod("app db"),
            seen("app=exited(3)@20 db=exited(0)@10"),
            0,
            "stopping; end with 0: component `db` ended with status 0 (a component ended)",
        ),
        (
            "of two at the same instant the one that failed",
            pod("app db"),
            seen("app=exited(0)@10 db=exited(4)@10"),
            0,
            "stopping; end with 4: component `db` ended with status 4 (a component ended)",
        ),
        (
            "an end before a stop was asked for is not covered up by it",
            pod("app"),
            seen("app=exited(3)").asked_to_stop(),
            2,
            "stopping; end with 3: component `app` ended with status 3 (a component ended)",
        ),
    ]);
}

#[test]
fn a_failed_init_component_ends_the_pod_with_its_status() {
    check([
        (
            "any but 0",
            pod("init-1 | app"),
            seen("init-1=exited(1)"),
            0,
            "stopping; end with 1: init component `init-1` ended with status 1 (an init component failed)",
        ),
        (
            "255 stays 255 (Podlike made it 0)",
            pod("init-1 init-2 | app"),
            seen("init-1=exited(0) init-2=exited(255)"),
            0,
            "stopping; end with 255: init component `init-2` ended with status 255 (an init component failed)",
        ),
    ]);
}

#[test]
fn a_container_that_goes_from_under_the_pod_ends_it() {
    let removed_externally = |observed: ObservedState, name| {
        observed.with(|this| _ = this.removed_externally.insert(target(name)))
    };
    check([
        (
            "the sandbox's end is the cause, even where those that it took along were told first",
            sandboxed("app"),
            seen("sandbox=exited(137)@20 app=exited(137)@10"),
            0,
            "stopping; end with 137: the sandbox ended with status 137 (the sandbox ended)",
        ),
        (
            "a sandbox that ends with 0 is a failure all the same",
            sandboxed("app"),
            seen("sandbox=exited(0) app=running"),
            0,
            "stopping; end with 1: the sandbox ended with status 0 (the sandbox ended)",
        ),
        (
            "a running component that was removed unseen is not made again",
            pod("app db"),
            removed_externally(seen("db=running"), "app"),
            0,
            "stopping; end with 137: `app` was removed while it ran (a component ended)",
        ),
        (
            "nor is the sandbox",
            sandboxed("app"),
            removed_externally(seen("app=running"), "sandbox"),
            0,
            "stopping; end with 137: the sandbox was removed (the sandbox ended)",
        ),
        (
            "what was created and not started can be made again",
            pod("app db"),
            seen("db=running"),
            0,
            "starting; create `app` (wanted)",
        ),
    ]);
}

#[test]
fn a_stop_that_is_asked_for_ends_the_pod_with_0_in_every_phase() {
    let want = "stopping; end with 0: a stop was requested (a stop was requested)";
    let spec = || sandboxed("init-1 | app web<app:healthy");
    let phases = [
        seen(""),
        seen("").doing(Verb::Create, "sandbox"),
        seen("sandbox=created").doing(Verb::Start, "sandbox"),
        seen("sandbox=running").image("init-1", ImageState::Missing).pulling("init-1"),
        seen("sandbox=running init-1=created").doing(Verb::Start, "init-1"),
        seen("sandbox=running init-1=running"),
        seen("sandbox=running init-1=exited(0) app=starting web=created"),
        seen("sandbox=running init-1=exited(0) app=healthy web=running"),
        seen("").orphans("old", "pod.podlike.app"),
        seen("").failed(Verb::Create, "sandbox", unreachable("gone"), 3, 0, 2),
        seen("").failed(Verb::Create, "sandbox", unsettled("name in use"), 3, 0, 2),
    ];
    for observed in phases {
        let got = told(&plan(&spec(), &observed.clone().asked_to_stop(), secs(1)));
        assert_eq!(got, want, "{observed:?}");
    }
}

#[test]
fn a_stop_from_an_earlier_life_of_the_manager_keeps_its_status() {
    let resumed = |status| {
        move |this: &mut ObservedState| {
            this.stop = Some(StopRequest { at: secs(0), status, resumed: true });
        }
    };
    check([
        (
            "what ended since is its effect",
            pod("app db"),
            seen("app=exited(143) db=running").with(resumed(0)),
            0,
            "stopping; end with 0: the pod was ending already (a stop was requested)",
        ),
        (
            "the verdict stays",
            pod("app"),
            seen("app=exited(143)").with(resumed(3)),
            0,
            "stopping; end with 3: the pod was ending already (a stop was requested)",
        ),
        (
            "no listing is needed to know it",
            pod("app"),
            ObservedState::default().with(resumed(3)),
            0,
            "stopping; end with 3: the pod was ending already (a stop was requested)",
        ),
    ]);
}

#[test]
fn what_the_engine_refuses_ends_the_pod_in_its_words() {
    check([
        (
            "a creation",
            pod("app"),
            seen("").failed(Verb::Create, "app", refused("invalid mount"), 1, 0, 0),
            0,
            "stopping; end with 125: cannot create `app`: invalid mount (it cannot run as defined)",
        ),
        (
            "a copy",
            pod("app+copy"),
            seen("app=created").failed(Verb::Copy, "app", refused("read-only"), 1, 0, 0),
            0,
            "stopping; end with 125: cannot copy files into `app`: read-only (it cannot run as defined)",
        ),
        (
            "the removal of what an earlier run left",
            pod("app"),
            seen("").orphans("old", "x").with(|this| {
                let key = Key { verb: Verb::Remove, target: Some(Target::Orphan("old".into())) };
                let failure = refused("device busy");
                this.failures
                    .insert(key, FailureRecord { failure, attempts: 1, since: secs(0), last: secs(0) });
            }),
            0,
            "stopping; end with 125: cannot remove container old: device busy (it cannot run as defined)",
        ),
        (
            "a start of which nothing more is known",
            pod("app"),
            seen("app=created").failed(Verb::Start, "app", refused("no such device"), 1, 0, 0),
            0,
            "stopping; end with 125: cannot start `app`: no such device (it cannot run as defined)",
        ),
        (
            "a command that is not there gives 127 as in a shell",
            pod("app"),
            seen("app=exited(127)").failed(Verb::Start, "app", refused("not found"), 1, 0, 0),
            0,
            "stopping; end with 127: cannot start `app`: not found (it cannot run as defined)",
        ),
        (
            "one that cannot be executed 126",
            pod("app"),
            seen("app=exited(126)").failed(Verb::Start, "app", refused("permission denied"), 1, 0, 0),
            0,
            "stopping; end with 126: cannot start `app`: permission denied (it cannot run as defined)",
        ),
        (
            "a failed start is never a success",
            pod("app"),
            seen("app=exited(0)").failed(Verb::Start, "app", refused("odd"), 1, 0, 0),
            0,
            "stopping; end with 1: cannot start `app`: odd (it cannot run as defined)",
        ),
    ]);
}

#[test]
fn what_is_unsettled_is_tried_again_with_growing_pauses() {
    for (attempts, millis) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1600), (6, 2000), (9, 2000)] {
        let observed = seen("").failed(Verb::Create, "app", unsettled("name in use"), attempts, 0, 5);
        let again = secs(5) + Duration::from_millis(millis);
        let before = plan(&pod("app"), &observed, again - Duration::from_nanos(1));
        assert_eq!(told(&before), format!("starting; wake at {again:?}"), "after attempt {attempts}");
        let then = plan(&pod("app"), &observed, again);
        assert_eq!(told(&then), "starting; create `app` (wanted)", "after attempt {attempts}");
    }
    check([
        (
            "ten times",
            pod("app"),
            seen("").failed(Verb::Create, "app", unsettled("name in use"), 10, 0, 15),
            15,
            "stopping; end with 125: cannot create `app`: name in use (it cannot run as defined)",
        ),
        (
            "the others are not held up",
            pod("app db"),
            seen("").failed(Verb::Create, "app", unsettled("name in use"), 6, 0, 5),
            5,
            "starting; create `db` (wanted); wake at 7s",
        ),
        (
            "the wake-up is the earliest of all",
            pod("app db"),
            seen("").failed(Verb::Create, "app", unsettled("name in use"), 6, 0, 5).failed(
                Verb::Create,
                "db",
                unsettled("name in use"),
                6,
                0,
                4,
            ),
            5,
            "starting; wake at 6s",
        ),
    ]);
}

#[test]
fn an_engine_that_does_not_answer_an_action_is_given_30_seconds() {
    let create = |attempts, since, last| {
        seen("").failed(Verb::Create, "app", unreachable("gone"), attempts, since, last)
    };
    check([
        ("it is tried again", pod("app"), create(20, 5, 30), 32, "starting; create `app` (wanted)"),
        (
            "until that has gone on for 30 s",
            pod("app"),
            create(22, 5, 35),
            35,
            "stopping; end with 69: cannot create `app`: gone (it cannot run as defined)",
        ),
        (
            "one failure long ago that a look at the engine has settled is none",
            pod("app"),
            seen("app=running").failed(Verb::Start, "app", unreachable("gone"), 1, 5, 5),
            500,
            "healthy",
        ),
    ]);
}

#[test]
fn dependents_stop_before_what_they_depend_on() {
    let chain = || pod("app<db db web<app");
    check([
        (
            "the outermost first",
            chain(),
            seen("app=running db=running web=running").ending(0, 0),
            0,
            "stopping; stop `web` in 8s (the pod ends); wake at 8s",
        ),
        (
            "the next only when it has ended",
            chain(),
            seen("app=running db=running web=running").doing(Verb::Stop, "web").ending(0, 0),
            2,
            "stopping; wake at 8s",
        ),
        (
            "then the next, while what has ended is removed",
            chain(),
            seen("app=running db=running web=exited(143)").ending(0, 0),
            2,
            "stopping; stop `app` in 6s (the pod ends); remove `web` (the pod ends, it has ended); wake at 8s",
        ),
        (
            "an answered stop is enough, its event may be late",
            chain(),
            seen("app=running db=running web=stopped").ending(0, 0),
            2,
            "stopping; stop `app` in 6s (the pod ends); remove `web` (the pod ends, it has ended); wake at 8s",
        ),
        (
            "both sides of a diamond together",
            pod("a b<a c<a d<b,c"),
            seen("a=running b=running c=running").ending(0, 0),
            0,
            "stopping; stop `b` in 8s (the pod ends); stop `c` in 8s (the pod ends); wake at 8s",
        ),
        (
            "its foot only after both",
            pod("a b<a c<a d<b,c"),
            seen("a=running c=running").doing(Verb::Stop, "c").ending(0, 0),
            0,
            "stopping; wake at 8s",
        ),
        (
            "those that nobody depends on all at once",
            pod("app db mq"),
            seen("app=running db=running mq=running").ending(0, 0),
            0,
            "stopping; stop `app` in 8s (the pod ends); stop `db` in 8s (the pod ends); \
             stop `mq` in 8s (the pod ends); wake at 8s",
        ),
        (
            "one whose dependent never started does not wait for it",
            chain(),
            seen("app=created db=running").ending(0, 0),
            0,
            "stopping; remove `app` (the pod ends); stop `db` in 8s (the pod ends); wake at 8s",
        ),
        (
            "one whose dependent is being started waits for what comes of it",
            chain(),
            seen("app=created db=running").doing(Verb::Start, "app").ending(0, 0),
            0,
            "stopping; wake at 8s",
        ),
        (
            "a running init component is stopped too",
            pod("init-1 | app"),
            seen("init-1=running").ending(0, 0),
            0,
            "stopping; stop `init-1` in 8s (the pod ends); wake at 8s",
        ),
    ]);
}

#[test]
fn a_component_gets_its_own_grace_within_what_is_left_of_the_time() {
    let grace = |grace: Option<u64>, timeout: u64| {
        let mut spec = pod("app");
        spec.components[0].stop_grace = grace.map(secs);
        spec.stop_timeout = secs(timeout);
        spec
    };
    let ending = || seen("app=running").ending(0, 100);
    check([
        (
            "its own",
            grace(Some(3), 60),
            ending(),
            100,
            "stopping; stop `app` in 3s (the pod ends); wake at 160s",
        ),
        (
            "Docker's 10 s",
            grace(None, 60),
            ending(),
            100,
            "stopping; stop `app` in 10s (the pod ends); wake at 160s",
        ),
        (
            "no more than is left",
            grace(Some(30), 8),
            ending(),
            103,
            "stopping; stop `app` in 5s (the pod ends); wake at 108s",
        ),
    ]);
}

#[test]
fn what_is_left_at_the_deadline_is_removed_by_force_all_together() {
    let want = "stopping; remove `app` (out of time); remove `db` (out of time); remove `web` (out of time); \
                remove the sandbox (out of time); wake at 10.7s";
    let spec = || sandboxed("app<db db web<app");
    let all = || seen("sandbox=running app=running db=running web=running").ending(0, 0);
    check([
        ("without any order", spec(), all(), 8, want),
        ("also one whose stop is under way", spec(), all().doing(Verb::Stop, "web"), 8, want),
        (
            "also one whose start hangs",
            pod("app"),
            seen("app=created").doing(Verb::Start, "app").ending(0, 0),
            8,
            "stopping; remove `app` (out of time); wake at 10.7s",
        ),
        (
            "once",
            pod("app"),
            seen("app=running").doing(Verb::Remove, "app").ending(0, 0),
            8,
            "stopping; wake at 10.7s",
        ),
        (
            "a call that hangs for what is gone is not waited for any more",
            pod("app"),
            seen("").doing(Verb::Start, "app").ending(0, 0),
            8,
            "stopping; over with 0",
        ),
        (
            "a creation that hangs may still bring something",
            pod("app"),
            seen("").doing(Verb::Create, "app").ending(0, 0),
            8,
            "stopping; wake at 10.7s",
        ),
    ]);
}

#[test]
fn who_is_busy_is_left_alone() {
    for verb in [Verb::Copy, Verb::Start] {
        let spec = pod("app+copy");
        let up = seen("app=created").doing(verb.clone(), "app");
        assert_eq!(told(&plan(&spec, &up, secs(0))), "starting", "{verb:?}, on the way up");
        let down = up.ending(0, 0);
        let got = told(&plan(&spec, &down, secs(1)));
        assert_eq!(got, "stopping; wake at 8s", "{verb:?}, on the way down");
    }
    check([
        ("a creation is made once", pod("app"), seen("").doing(Verb::Create, "app"), 0, "starting"),
        (
            "a removal is made once",
            pod("app"),
            seen("app=exited(0)").doing(Verb::Remove, "app").ending(0, 0),
            1,
            "stopping; wake at 8s",
        ),
        (
            "what comes of a creation after the end was decided is removed",
            pod("app"),
            seen("app=created").ending(0, 0),
            1,
            "stopping; remove `app` (the pod ends); wake at 8s",
        ),
        (
            "a failed removal is tried again after a pause",
            pod("app"),
            seen("app=exited(0)").failed(Verb::Remove, "app", refused("busy"), 6, 1, 2).ending(0, 0),
            3,
            "stopping; wake at 4s",
        ),
        (
            "whatever the engine said",
            pod("app"),
            seen("app=exited(0)").failed(Verb::Remove, "app", refused("busy"), 6, 1, 2).ending(0, 0),
            4,
            "stopping; remove `app` (the pod ends, it has ended); wake at 8s",
        ),
    ]);
}

#[test]
fn the_sandbox_goes_when_no_process_of_a_component_is_left() {
    check([
        (
            "not while one runs",
            sandboxed("app"),
            seen("sandbox=running app=running").ending(0, 0),
            1,
            "stopping; stop `app` in 7s (the pod ends); wake at 8s",
        ),
        (
            "not while one is being started",
            sandboxed("app"),
            seen("sandbox=running app=created").doing(Verb::Start, "app").ending(0, 0),
            1,
            "stopping; wake at 8s",
        ),
        (
            "then, along with what has ended",
            sandboxed("app"),
            seen("sandbox=running app=exited(0)").ending(0, 0),
            1,
            "stopping; remove `app` (the pod ends, it has ended); remove the sandbox (the pod ends); wake at 8s",
        ),
        (
            "one that was never started too",
            sandboxed("app"),
            seen("sandbox=created").ending(0, 0),
            1,
            "stopping; remove the sandbox (the pod ends); wake at 8s",
        ),
    ]);
}

#[test]
fn what_an_earlier_run_left_is_removed_before_anything_is_created() {
    check([
        (
            "it holds the names",
            sandboxed("app"),
            seen("").orphans("old1", "pod.pause").orphans("old2", "pod.podlike.app"),
            0,
            "starting; remove container old1 (it is no part of this run); remove container old2 (it is no part of this run)",
        ),
        (
            "nothing else until it is gone",
            sandboxed("app"),
            seen("").orphans("old", "pod.pause").with(|this| {
                let target = Some(Target::Orphan("old".into()));
                this.in_flight.insert(Key { verb: Verb::Remove, target });
            }),
            0,
            "starting",
        ),
        (
            "on the way down it goes too",
            pod("app"),
            seen("").orphans("old", "pod.podlike.app").ending(0, 0),
            0,
            "stopping; remove container old (it is no part of this run); wake at 8s",
        ),
    ]);
}

#[test]
fn the_pod_is_over_when_nothing_is_left_and_nothing_under_way() {
    check([
        ("nothing is left", pod("app"), seen("").ending(3, 0), 1, "stopping; over with 3"),
        (
            "something is under way",
            pod("app"),
            seen("").doing(Verb::Create, "app").ending(3, 0),
            1,
            "stopping; wake at 8s",
        ),
        (
            "a creation that had no clear answer may have left a container: a look comes first",
            pod("app"),
            seen("").with(|this| this.create_unknown = true).ending(3, 0),
            1,
            "stopping; wake at 8s",
        ),
        (
            "what cannot be removed is named in the end",
            sandboxed("app db"),
            seen("sandbox=running app=running")
                .doing(Verb::Remove, "app")
                .doing(Verb::Create, "db")
                .orphans("old", "pod.podlike.old")
                .ending(3, 0),
            38,
            "stopping; over with 3, left pod.pause pod.podlike.app pod.podlike.db pod.podlike.old",
        ),
    ]);
}

#[test]
fn the_same_arguments_give_the_same_plan() {
    let observed = seen("sandbox=running app=created db=running");
    let once = plan(&sandboxed("app<db db"), &observed, secs(3));
    assert_eq!(once, plan(&sandboxed("app<db db"), &observed, secs(3)));
}

#[test]
fn the_plan_reads_as_one_line() {
    let plan = plan(&sandboxed("app db"), &seen("sandbox=created db=created"), secs(0));
    assert_eq!(line(&plan.steps), "start the sandbox (holds the shared namespaces), create `app` (wanted)");
}

#[test]
fn a_component_whose_end_is_waited_for_may_end() {
    let spec = || pod("| migrate app<migrate:done");
    check([
        (
            "one that waits for the end of another is created, and not started before",
            spec(),
            seen("migrate=running app=created"),
            5,
            "starting",
        ),
        (
            "it is started when the other has ended with 0",
            spec(),
            seen("migrate=exited(0) app=created"),
            5,
            "starting; start `app` (ready)",
        ),
        (
            "the pod is healthy with what has ended so",
            spec(),
            seen("migrate=exited(0) app=running"),
            5,
            "healthy",
        ),
        (
            "another status ends the pod, and the sentence names who waits",
            spec(),
            seen("migrate=exited(3) app=created"),
            5,
            "stopping; end with 3: `app` waits for `migrate`; component `migrate` ended with status 3 \
             (a component ended)",
        ),
        (
            "the sentence names the chain",
            pod("| a<b b<c:done c"),
            seen("a=created b=created c=exited(3)"),
            5,
            "stopping; end with 3: `a` waits for `b`, which waits for `c`; component `c` ended with status 3 \
             (a component ended)",
        ),
        (
            "where it cannot be started the sentence names the chain too",
            pod("| a<b b<c:done c"),
            seen("a=created b=created c=created").failed(Verb::Start, "c", refused("no"), 1, 4, 4),
            5,
            "stopping; end with 125: `a` waits for `b`, which waits for `c`; cannot start `c`: no \
             (it cannot run as defined)",
        ),
        (
            "an end of one that nobody waits for ends the pod",
            pod("| migrate app<migrate"),
            seen("migrate=exited(0) app=running"),
            5,
            "stopping; end with 0: component `migrate` ended with status 0 (a component ended)",
        ),
        (
            "one that ended before its health was known is not waited for in vain",
            pod("| migrate app<migrate:done web<migrate:healthy"),
            seen("migrate=exited(0) app=running web=created"),
            5,
            "stopping; end with 1: `web` waits for `migrate` to be healthy, but `migrate` has ended \
             (it cannot run as defined)",
        ),
        (
            "one that was started has been started, though it has ended",
            pod("| migrate app<migrate:done web<migrate"),
            seen("migrate=exited(0) app=running web=created"),
            5,
            "starting; start `web` (ready)",
        ),
        (
            "one that was pruned is not run again while those that waited for it run",
            spec(),
            seen("app=running"),
            5,
            "healthy",
        ),
        (
            "nor where its end was seen",
            spec(),
            seen("app=created")
                .with(|this| _ = this.exit_records.insert("migrate".into(), ExitRecord::default())),
            5,
            "starting; start `app` (ready)",
        ),
        (
            "one of which nothing is known runs",
            spec(),
            seen("app=created"),
            5,
            "starting; create `migrate` (wanted)",
        ),
    ]);
}

#[test]
fn what_is_not_required_is_not_waited_for_in_vain() {
    check([
        (
            "a failure that nobody requires not to be one does not end the pod",
            pod("| migrate app<migrate:done?"),
            seen("migrate=exited(3) app=created"),
            5,
            "starting; start `app` (ready); examine `migrate` (it failed)",
        ),
        (
            "one that somebody requires does",
            pod("| migrate app<migrate:done? web<migrate:done"),
            seen("migrate=exited(3) app=running web=created"),
            5,
            "stopping; end with 3: `web` waits for `migrate`; component `migrate` ended with status 3 \
             (a component ended)",
        ),
        (
            "it is waited for while it may still come",
            pod("| db app<db:healthy?"),
            seen("db=starting app=created"),
            5,
            "starting",
        ),
        (
            "and no longer when it is unhealthy",
            pod("| db app<db:healthy?"),
            seen("db=unhealthy app=created"),
            5,
            "unhealthy; start `app` (ready)",
        ),
        (
            "nor where it has no health check",
            pod("| db app<db:healthy?"),
            seen("db=running app=created"),
            5,
            "starting; start `app` (ready)",
        ),
    ]);
}

/// Turns on the comparison of mounts with those of other pods.
fn mounting(spec: PodSpec) -> PodSpec {
    PodSpec { checks_mounts: true, ..spec }
}

const CHECK: &str = "check the pod's mounts (all containers are created)";

#[test]
fn mounts_are_checked_when_all_containers_are_created_and_none_is_started() {
    let two = || mounting(sandboxed("init-1 init-2 | app db<app"));
    let created = "sandbox=running init-1=created init-2=created app=created db=created";
    check([
        (
            "the sandbox comes first",
            two(),
            seen(""),
            0,
            "starting; create the sandbox (holds the shared namespaces)",
        ),
        (
            "then all containers are created, whatever their turn, while it starts",
            two(),
            seen("sandbox=created"),
            0,
            "starting; start the sandbox (holds the shared namespaces); create `init-1` (wanted); create `init-2` \
             (wanted); create `app` (wanted); create `db` (wanted)",
        ),
        (
            "none is started while one is missing",
            two(),
            seen("sandbox=running init-1=created init-2=created app=created").doing(Verb::Create, "db"),
            0,
            "starting",
        ),
        (
            "with the last of them the mounts are compared",
            two(),
            seen(created),
            0,
            "starting; check the pod's mounts (all containers are created)",
        ),
        (
            "also where the sandbox does not run yet",
            two(),
            seen("sandbox=created init-1=created init-2=created app=created db=created")
                .doing(Verb::Start, "sandbox"),
            0,
            "starting; check the pod's mounts (all containers are created)",
        ),
        ("nothing is started meanwhile", two(), seen(created).checking(), 0, "starting"),
        (
            "then the first init component starts",
            two(),
            seen(created).checked(),
            0,
            "starting; start `init-1` (ready)",
        ),
        (
            "alone",
            two(),
            seen("sandbox=running init-1=running init-2=created app=created db=created").checked(),
            0,
            "starting",
        ),
        (
            "then the second",
            two(),
            seen("sandbox=running init-1=exited(0) init-2=created app=created db=created").checked(),
            0,
            "starting; start `init-2` (ready)",
        ),
        (
            "then components in their order",
            two(),
            seen("sandbox=running init-1=exited(0) init-2=exited(0) app=created db=created").checked(),
            0,
            "starting; start `app` (ready)",
        ),
        (
            "to the last",
            two(),
            seen("sandbox=running init-1=exited(0) init-2=exited(0) app=running db=created").checked(),
            0,
            "starting; start `db` (ready)",
        ),
        (
            "and it is not looked at once more",
            two(),
            seen("sandbox=running init-1=exited(0) init-2=exited(0) app=running db=running").checked(),
            0,
            "healthy",
        ),
    ]);
    check([
        (
            "a sidecar waits as well",
            mounting(pod("init-1 | app log+sidecar")),
            seen("log=created"),
            0,
            "starting; create `init-1` (wanted); create `app` (wanted)",
        ),
        (
            "and is the first to start",
            mounting(pod("init-1 | app log+sidecar")),
            seen("log=created init-1=created app=created").checked(),
            0,
            "starting; start `log` (ready)",
        ),
        (
            "files are copied after it, since copying mounts what a start would",
            mounting(pod("app+copy db")),
            seen("app=created db=created"),
            0,
            "starting; check the pod's mounts (all containers are created)",
        ),
        (
            "and then at once",
            mounting(pod("app+copy db")),
            seen("app=created db=created").checked(),
            0,
            "starting; copy files into `app` (pod.copy); start `db` (ready)",
        ),
        (
            "and a start waits for them all the same",
            mounting(pod("app+copy db")),
            seen("app=created db=created").checked(),
            0,
            "starting; copy files into `app` (pod.copy); start `db` (ready)",
        ),
        (
            "an image that is missing is pulled first",
            mounting(pod("app db")),
            seen("db=created").image("app", ImageState::Missing),
            0,
            "starting; pull `app` (the engine does not have it)",
        ),
        (
            "what the store holds is there before",
            mounting(pod("app+secret db")),
            seen("store=running db=created"),
            0,
            "starting; copy files into the store (holds secrets, configs and scratch volumes)",
        ),
        (
            "a pod without such mounts has no such step, and its init components keep their turns",
            pod("init-1 | app"),
            seen(""),
            0,
            "starting; create `init-1` (its turn)",
        ),
        (
            "nor waits for one",
            pod("app db"),
            seen("app=created"),
            0,
            "starting; start `app` (ready); create `db` (wanted)",
        ),
    ]);
}

#[test]
fn mounts_that_are_refused_end_the_pod_with_64_and_nothing_was_started() {
    let failing = |failure: Failure, attempts, last| {
        seen("app=created db=created").with(|this| {
            let setback = FailureRecord { failure, attempts, since: secs(0), last: secs(last) };
            this.failures.insert(Key { verb: Verb::CheckMounts, target: None }, setback);
        })
    };
    let forbidden = || Failure::Forbidden("`app` binds `/srv/a` of the host; mount something else".into());
    check([
        (
            "in the words of the refusal",
            mounting(pod("app db<app")),
            failing(forbidden(), 1, 0),
            0,
            "stopping; end with 64: cannot check the pod's mounts: `app` binds `/srv/a` of the host; mount something else \
             (it cannot run as defined)",
        ),
        (
            "then what was created is removed",
            mounting(pod("app db<app")),
            failing(forbidden(), 1, 0).ending(64, 0),
            0,
            "stopping; remove `app` (the pod ends); remove `db` (the pod ends); wake at 8s",
        ),
        (
            "an engine that does not tell is asked again, and nothing is started",
            mounting(pod("app")),
            seen("app=created").with(|this| {
                let setback = FailureRecord {
                    failure: unreachable("gone"),
                    attempts: 1,
                    since: secs(0),
                    last: secs(0),
                };
                this.failures.insert(Key { verb: Verb::CheckMounts, target: None }, setback);
            }),
            0,
            "starting; wake at 100ms",
        ),
        (
            "for half a minute",
            mounting(pod("app db")),
            failing(unreachable("gone"), 20, 30),
            30,
            "stopping; end with 69: cannot check the pod's mounts: gone (it cannot run as defined)",
        ),
    ]);
}

#[test]
fn a_manager_that_takes_over_checks_before_it_starts_anything_more() {
    let spec = || mounting(pod("init-1 init-2 | app db<app web<db"));
    check([
        (
            "what runs goes on, what is missing is created, and nothing is started",
            spec(),
            seen("init-1=exited(0) init-2=exited(0) app=running db=created"),
            0,
            "starting; create `web` (wanted)",
        ),
        (
            "then it is looked at",
            spec(),
            seen("init-1=exited(0) init-2=exited(0) app=running db=created web=created"),
            0,
            "starting; check the pod's mounts (all containers are created)",
        ),
        (
            "and goes on",
            spec(),
            seen("init-1=exited(0) init-2=exited(0) app=running db=created web=created").checked(),
            0,
            "starting; start `db` (ready)",
        ),
        (
            "init components that are done are not created again, though they were pruned",
            spec(),
            seen("app=running db=created web=created"),
            0,
            "starting; check the pod's mounts (all containers are created)",
        ),
        (
            "not even the first where the second is at work",
            spec(),
            seen("init-2=running app=created db=created web=created"),
            0,
            "starting; check the pod's mounts (all containers are created)",
        ),
        (
            "nor one whose end was seen, where nothing after it has begun",
            spec(),
            seen("init-2=created app=created db=created web=created")
                .with(|this| _ = this.exit_records.insert("init-1".into(), ExitRecord::default())),
            0,
            "starting; check the pod's mounts (all containers are created)",
        ),
        (
            "the next one has its turn then",
            spec(),
            seen("init-2=created app=created db=created web=created")
                .with(|this| _ = this.exit_records.insert("init-1".into(), ExitRecord::default()))
                .checked(),
            0,
            "starting; start `init-2` (ready)",
        ),
        (
            "one of whose end nobody knows runs",
            spec(),
            seen("init-2=created app=created db=created web=created"),
            0,
            "starting; create `init-1` (wanted)",
        ),
        (
            "nor is a component that others waited for",
            mounting(pod("| migrate app<migrate:done db")),
            seen("app=running db=created"),
            0,
            "starting; check the pod's mounts (all containers are created)",
        ),
        (
            "a pod that is whole is not looked at: there is nothing to start",
            mounting(pod("app db")),
            seen("app=running db=running"),
            0,
            "healthy",
        ),
    ]);
    let spec = || {
        let mut spec = mounting(pod("app db"));
        spec.components[0].restart = crate::spec::Restart::Always;
        spec
    };
    check([(
        "what has ended is started again with a look of its own",
        spec(),
        seen("app=exited(1) db=running"),
        10,
        "starting; start again `app` (it has ended)",
    )]);
    let silent = seen("app=running db=created").with(|this| {
        let setback =
            FailureRecord { failure: unreachable("gone"), attempts: 20, since: secs(0), last: secs(31) };
        this.failures.insert(Key { verb: Verb::CheckMounts, target: None }, setback);
        this.silent_since = Some(secs(1));
    });
    let got = told(&plan(&mounting(pod("app db")), &silent, secs(40)));
    assert!(!got.contains("end with"), "a pod that runs outlives an engine that is away: {got}");
}

/// `docker container prune` removes created containers too, and another pod may start before they are created
/// again.
#[test]
fn a_container_that_is_made_anew_after_the_check_is_checked_before_its_start() {
    let spec = || mounting(pod("init-1 | app db"));
    check([
        (
            "what was removed comes in its turn",
            spec(),
            seen("init-1=running").checked_of(&["init-1", "app", "db"]),
            0,
            "starting",
        ),
        (
            "then all of it is created",
            spec(),
            seen("init-1=exited(0) db=created").checked_of(&["init-1", "db"]),
            0,
            "starting; create `app` (wanted); start `db` (ready)",
        ),
        (
            "and looked at once more, and nothing is started before",
            spec(),
            seen("init-1=exited(0) app=created db=created").checked_of(&["init-1", "db"]),
            0,
            "starting; check the pod's mounts (all containers are created)",
        ),
        (
            "then it starts",
            spec(),
            seen("init-1=exited(0) app=created db=running").checked(),
            0,
            "starting; start `app` (ready)",
        ),
    ]);
    // Only containers that existed when the comparison began count.
    let mut observed = seen("app=created");
    let compare = Key { verb: Verb::CheckMounts, target: None };
    let spec = mounting(pod("app db"));
    observed.apply(&spec, StateUpdate::ActionStarted(compare.clone()), secs(0));
    observed.apply(
        &spec,
        StateUpdate::ActionFinished(key(Verb::Create, "db"), Ok(ActionResult::Created("late".into()))),
        secs(0),
    );
    observed.apply(&spec, StateUpdate::ActionFinished(compare, Ok(ActionResult::MountsChecked)), secs(0));
    assert_eq!(told(&plan(&spec, &observed, secs(0))), format!("starting; {CHECK}"));
}

#[test]
fn one_that_has_ended_is_removed_after_a_look_where_an_earlier_manager_may_have_started_it_again() {
    let spec = || pod("app<log log+extra");
    let taken_over = |looked_at| {
        seen("app=running log=exited(2)").ending(0, 10).with(|this| {
            this.took_over_at = Some(secs(1));
            this.looked_at = secs(looked_at);
        })
    };
    check([
        (
            "the last look is older than what may come about",
            spec(),
            taken_over(1),
            10,
            "stopping; list the pod's containers (an earlier manager was at work); stop `app` in 8s (the pod ends); wake \
             at 18s",
        ),
        (
            "it is not",
            spec(),
            taken_over(3),
            10,
            "stopping; stop `app` in 8s (the pod ends); remove `log` (the pod ends, it has ended); wake at 18s",
        ),
    ]);
}
