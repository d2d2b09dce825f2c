//! Where stories are played: a pod's loop over the engine in memory, in paused time, and a `pause` that
//! notes what it is told. Everything that happens is one list, in the order in which it did.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use pause::control::{Decoder, Frame};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::checkpoint::Checkpoint;
use crate::files;
use crate::pause_channel::Pause;
use crate::reconcile::executor::SandboxOrder;
use crate::reconcile::restart::{Answer, Message, Request};
use crate::reconcile::{Runner, Surroundings};
use crate::security::mount_guard::MountGuard;
use engine::fake::{Fake, Moment, What};
use pod::completion::Ends;
use pod::observed::{Health, ObservedState, StateUpdate, Status, restarted_with};
use pod::plan::Outcome;
use pod::spec::{ComponentSpec, Condition, PodSpec, Restart};
use pod::task_container::TaskContainer;

/// The image of the sandbox.
pub(crate) const PAUSE_IMAGE: &str = "pause";
/// How long a story may take, in its own time: more than anything that is bounded.
const PATIENCE: Duration = Duration::from_secs(300);

/// The call that lists the containers of all pods on the node, to compare mounts.
pub(crate) const NODE: &str = "list the node";

/// Maximum age of the state that a manager acts on. An inspection of the container or a listing of the node's
/// mounts takes this long together with the start. A started container may exit meanwhile.
pub(crate) const NEWS: Duration = Duration::from_millis(3200);

/// A manager at work.
pub(crate) struct Manager {
    engine: Fake,
    news: UnboundedSender<StateUpdate>,
    requests: UnboundedSender<Message>,
    spec: PodSpec,
    task: JoinHandle<(Outcome, Instant)>,
}

/// `pause`, as far as it listens.
struct Ear {
    engine: Fake,
    decoder: Decoder,
}

impl Manager {
    /// Start a manager that reaches the engine over this connection.
    pub(crate) fn start(engine: &Fake, spec: &PodSpec) -> Self {
        let ear = Ear { engine: engine.clone(), decoder: Decoder::new() };
        let around = Surroundings {
            pause: Pause::new(ear),
            sandbox: SandboxOrder { image: PAUSE_IMAGE.into(), lifeline: "lifeline".into() },
            guard: MountGuard::default(),
            task_labels: BTreeMap::new(),
            copies: files::CopySources::open(spec, &TaskContainer::default(), None)
                .expect("the sources are there"),
            followers: None,
            checkpoint: Checkpoint::open(&engine.shm(), &spec.identity.pod).expect("the folder is there"),
            ending: Arc::default(),
        };
        let runner = Runner::new(Arc::new(engine.clone()), spec.clone(), around);
        let (news, requests) = (runner.news(), runner.requests());
        Manager {
            engine: engine.clone(),
            news,
            requests,
            spec: spec.clone(),
            task: tokio::spawn(runner.run()),
        }
    }

    /// Ask it to stop, as TERM does.
    pub(crate) fn stop(&self) {
        let _ = self.news.send(StateUpdate::Stop { status: 0, resumed: false, ago: Duration::ZERO });
    }

    /// Ask it to restart a component, and wait for the answer.
    pub(crate) fn restart(&self, name: &str) -> impl Future<Output = Answer> {
        for name in restarted_with(&self.spec, name) {
            self.engine.note(What::Asked(self.spec.identity.member_container(&name)));
        }
        let (answer, answered) = oneshot::channel();
        let _ = self.requests.send(Message::Asked(Request { name: name.to_owned(), answer }));
        async move { answered.await.unwrap_or_else(|_| Err("nobody answers".into())) }
    }

    /// Ask it to stop, as `pause` does when a manager before it has told the verdict.
    pub(crate) fn resume_stop(&self, status: u8) {
        let _ = self.news.send(StateUpdate::Stop { status, resumed: true, ago: Duration::ZERO });
    }

    /// Wait until `pause` was told this: `healthy`, `exit 0`.
    #[track_caller]
    pub(crate) fn told(&self, words: &str) -> impl Future<Output = ()> {
        let (engine, what) = (self.engine.clone(), What::Told(words.to_owned()));
        async move {
            let told = async {
                while !engine.has(&what) {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            let in_time = timeout(PATIENCE, told).await.is_ok();
            assert!(in_time, "{what:?} never came\n{}", script(&engine.story()));
        }
    }

    /// Wait for its end.
    pub(crate) async fn end(self) -> Outcome {
        let Ok(end) = timeout(PATIENCE, self.task).await else {
            panic!("the manager does not end\n{}", script(&self.engine.story()));
        };
        end.expect("the manager does not panic").0
    }

    /// The same, which may be broken off and asked for again.
    pub(crate) async fn ended(&mut self) -> Outcome {
        (&mut self.task).await.expect("the manager does not panic").0
    }

    /// Where news goes.
    pub(crate) fn news(&self) -> UnboundedSender<StateUpdate> {
        self.news.clone()
    }

    /// Kill it: it hears and says nothing from now on.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

impl Write for Ear {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        let whole = bytes.len();
        while let Some(frame) = self.decoder.next(&mut bytes) {
            let told = match frame {
                Ok(Frame::Health(health)) => health.word().to_owned(),
                Ok(Frame::Exit(status)) => format!("exit {status}"),
                other => format!("{other:?}"),
            };
            self.engine.note(What::Told(told));
        }
        Ok(whole)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An engine that has every image of the pod.
pub(crate) fn engine_for(spec: &PodSpec) -> Fake {
    let images = spec.members().map(|member| member.container.image.as_str());
    Fake::with_images(&images.chain([PAUSE_IMAGE]).collect::<Vec<_>>())
}

/// What `pause` was told, in order.
pub(crate) fn tellings(story: &[Moment]) -> Vec<&str> {
    let told = story.iter().filter_map(|moment| match &moment.what {
        What::Told(words) => Some(words.as_str()),
        _ => None,
    });
    told.collect()
}

/// When this happened first.
#[track_caller]
pub(crate) fn at(story: &[Moment], what: &What) -> usize {
    let place = story.iter().position(|moment| moment.what == *what);
    place.unwrap_or_else(|| panic!("{what:?} never happened\n{}", script(story)))
}

/// The story for people.
pub(crate) fn script(story: &[Moment]) -> String {
    let lines = story.iter().map(|moment| format!("{:>9.3} s  {:?}", moment.at.as_secs_f64(), moment.what));
    lines.collect::<Vec<_>>().join("\n")
}

/// Nothing of the pod is left, and all laws were kept.
#[track_caller]
pub(crate) fn all_gone(engine: &Fake, spec: &PodSpec) {
    let story = engine.story();
    assert_eq!(engine.names(), Vec::<String>::new(), "\n{}", script(&story));
    check_laws(spec, &story, &[]);
}

/// What holds in every story of this pod, whatever happened in it. `foreign` are containers of others.
#[track_caller]
pub(crate) fn check_laws(spec: &PodSpec, story: &[Moment], foreign: &[&str]) {
    check_laws_among_kills(spec, story, foreign, Duration::ZERO);
}

/// The same where components are killed at any moment: what a manager acts on may be so old.
#[track_caller]
pub(crate) fn check_laws_among_kills(spec: &PodSpec, story: &[Moment], foreign: &[&str], news: Duration) {
    let sandbox = spec.identity.sandbox_container();
    let store = spec.identity.store_container();
    let container = |member: &str| spec.identity.member_container(member);
    let mut deadline: Option<Duration> = None;
    for (place, moment) in story.iter().enumerate() {
        let runs = |name: &str| matches!(moment.world.get(name), Some(Status::Running { .. }));
        let law = |holds: bool, words: &str| {
            assert!(holds, "{words}: at {:?} in\n{}", moment.what, script(&story[..=place]));
        };
        let past = &story[..place];
        let done = |name: &str| past.iter().any(|earlier| earlier.what == What::Ended(name.to_owned(), 0));
        let ran = |name: &str, hook: &str| {
            let post_start_done = What::Hooked(format!("{} {hook}", container(name)));
            past.iter().any(|earlier| earlier.what == post_start_done)
        };
        let started = |name: &str| {
            let started = What::Started(container(name));
            past.iter().any(|earlier| earlier.what == started)
        };
        // Somebody has asked the manager to restart it.
        let wanted = |name: &str| past.iter().any(|earlier| earlier.what == What::Asked(name.to_owned()));
        // Somebody else has started a container just now: the manager may not know yet.
        let mut recent = past.iter().rev().take_while(|earlier| earlier.at + NEWS > moment.at);
        let begun_by_others = recent.any(|earlier| matches!(earlier.what, What::Outside(_)));
        // It was so when the manager could see it last: what has just ended is news on its way.
        let recent_engine_time = |name: &str, so: &dyn Fn(&Status) -> bool| {
            let member = spec.members().find(|one| container(&one.name) == name);
            let news = match member {
                Some(member) if member.restart != Restart::Never => NEWS,
                _ => news,
            };
            let recent = past.iter().rev().take_while(|earlier| earlier.at + news > moment.at);
            [moment].into_iter().chain(recent).any(|moment| moment.world.get(name).is_some_and(so))
        };
        let late = deadline.is_some_and(|deadline| moment.at >= deadline);
        match &moment.what {
            What::Called(call) => {
                let mut words = call.split(' ');
                let (verb, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                law(!foreign.contains(&name), "nothing is done to containers of others");
                law(deadline.is_none() || verb != "start", "nothing is started once the pod ends");
                if verb == "create" {
                    let there = name == sandbox || moment.world.contains_key(&sandbox);
                    law(there || !spec.namespaces.sandbox(), "the sandbox is created first");
                }
                let needs = |one: &str| {
                    spec.members().any(|member| container(&member.name) == one && !member.files.is_empty())
                };
                if verb == "create" && needs(name) {
                    let filled = past.iter().any(|earlier| earlier.what == What::Copied(store.clone()));
                    law(
                        filled && runs(&store),
                        "the store runs and is filled before who needs it is created",
                    );
                }
                let member = spec.members().any(|member| container(&member.name) == name);
                if verb == "start" && spec.checks_mounts && member {
                    let latest =
                        |so: &dyn Fn(&What) -> bool| past.iter().rposition(|earlier| so(&earlier.what));
                    let looked = latest(&|what| *what == What::Called(NODE.into()));
                    // The container was created, or it exited and is to be restarted.
                    let since = latest(&|what| match what {
                        What::Created(one) | What::Ended(one, _) => one == name,
                        _ => false,
                    });
                    law(looked > since, "mounts are compared after the creation and before the start");
                    let whole = spec.members().all(|member| {
                        let created = What::Created(container(&member.name));
                        past[..looked.unwrap_or_default()].iter().any(|earlier| earlier.what == created)
                    });
                    law(whole, "mounts are compared when all containers are created");
                }
                if matches!(verb, "copy" | "run") && name == store {
                    law(runs(&store), "the store runs when it is filled");
                }
                if !matches!(verb, "stop" | "remove") || name.is_empty() {
                    continue;
                }
                law(
                    deadline.is_some() || verb == "stop" && wanted(name),
                    "the verdict is told before the first container is touched",
                );
                let member = spec.components.iter().find(|one| container(&one.name) == name);
                let dependents = spec.components.iter().filter(|one| {
                    member.is_some_and(|member| one.depends_on.iter().any(|on| on.on == member.name))
                });
                for dependent in dependents {
                    let up = runs(&container(&dependent.name));
                    law(
                        !up || late || !runs(name) || wanted(name) || begun_by_others,
                        "a component outlives those that depend on it",
                    );
                }
                if member.is_some_and(|member| member.sidecar) {
                    let mut others = spec.init.iter().chain(spec.regular_components());
                    let up = others.any(|one| runs(&container(&one.name)));
                    let free = late || !runs(name) || begun_by_others;
                    law(!up || free, "a sidecar outlives all others");
                }
                let asked = format!("exec {name} pre");
                let asked = past.iter().any(|earlier| earlier.what == What::Called(asked.clone()));
                let hooks = member.is_some_and(|member| !member.pre_stop.is_empty());
                law(asked || !hooks || late || verb != "stop", "`pre_stop` comes before the stop signal");
                if verb == "remove" {
                    let holder = name == sandbox || name == store;
                    let free = late || !runs(name) || begun_by_others;
                    law(free || holder, "nothing is killed before its time");
                }
                if name == sandbox || name == store {
                    let any = spec.members().any(|member| runs(&container(&member.name)));
                    law(late || !any || begun_by_others, "sandbox and store outlive every component");
                }
            }
            What::Started(name) => {
                let again = past.iter().any(|earlier| earlier.what == moment.what);
                let member = spec.members().find(|one| container(&one.name) == *name);
                let latest = |so: &dyn Fn(&What) -> bool| past.iter().rposition(|earlier| so(&earlier.what));
                let call = What::Called(format!("start {name}"));
                let call = latest(&|what| *what == call).unwrap_or_default();
                // The end that was known when the start was asked for: an engine may be late, and no call says which life
                // it means.
                let last = past[..call].iter().rev().find_map(|earlier| match &earlier.what {
                    What::Ended(ended, status) if ended == name && earlier.at < past[call].at => {
                        Some(*status)
                    }
                    _ => None,
                });
                let late =
                    latest(&|what| matches!(what, What::Ended(ended, _) if ended == name)) > Some(call);
                // A manager that takes over counts from none.
                let asked = member.is_some_and(|member| {
                    late || last.is_some_and(|status| member.restarts_after(status, 0))
                });
                let outside = What::Outside(name.clone());
                let outside = past.last().is_some_and(|last| last.what == outside);
                let asked = asked || outside || wanted(name);
                law(!again || asked, "nothing is started twice but what its `restart` says");
                if *name == sandbox || *name == store || again {
                    continue;
                }
                law(!spec.namespaces.sandbox() || runs(&sandbox), "the sandbox runs first");
                let sidecar = spec.sidecars().any(|one| container(&one.name) == *name);
                let ready = |one: &ComponentSpec| {
                    recent_engine_time(&container(&one.name), &|status| {
                        matches!(status, Status::Running { health: Health::None | Health::Healthy })
                    }) || !one.essential && started(&one.name)
                        || done(&container(&one.name))
                };
                law(sidecar || spec.sidecars().all(ready), "sidecars are ready first");
                let turn = spec.init.iter().position(|init| container(&init.name) == *name);
                let before = &spec.init[..turn.unwrap_or(spec.init.len())];
                let all_done = before.iter().all(|init| done(&container(&init.name)));
                law(sidecar || all_done, "init components are done first");
                let Some(member) = spec.components.iter().find(|one| container(&one.name) == *name) else {
                    // If mounts are compared, all containers are created first.
                    let none =
                        spec.regular_components().all(|one| match moment.world.get(&container(&one.name)) {
                            None => true,
                            Some(status) => spec.checks_mounts && *status == Status::Created,
                        });
                    law(none, "init components run before any component is there");
                    continue;
                };
                for dependency in &member.depends_on {
                    let on = container(&dependency.on);
                    let expendable = spec.member(&dependency.on).is_some_and(|on| !on.essential);
                    let ready = match dependency.condition {
                        Condition::Started => {
                            recent_engine_time(&on, &|status| matches!(status, Status::Running { .. }))
                                || expendable && started(&dependency.on)
                        }
                        Condition::Healthy => recent_engine_time(&on, &|status| {
                            *status == Status::Running { health: Health::Healthy }
                        }),
                        Condition::Completed => done(&on),
                    };
                    law(ready, "a component starts after what it depends on");
                }
                for dependency in &member.depends_on {
                    let on = spec.member(&dependency.on);
                    let post_start_done = on.is_none_or(|on| on.post_start.is_empty() || !on.essential)
                        || ran(&dependency.on, "post");
                    law(
                        post_start_done || done(&container(&dependency.on)),
                        "a component starts after the hooks of what it depends on",
                    );
                }
                if let Some(component) = &member.pre_start_of {
                    let there = moment.world.contains_key(&container(component));
                    law(there, "a component is created before a step of its `pre_start` starts");
                    law(!started(component), "`pre_start` comes before the component's first start");
                }
                let copied = past.iter().any(|earlier| earlier.what == What::Copied(name.clone()));
                law(copied || member.copies.is_empty(), "copies are made before the start");
            }
            What::Told(words) if words == "healthy" => {
                law(
                    spec.init.iter().all(|init| done(&container(&init.name))),
                    "healthy: init components are done",
                );
                let nothing = ObservedState::default();
                let ends = Ends::of(spec, &nothing, Duration::ZERO);
                let well = spec.components.iter().all(|one| {
                    let finished = ends.may_end(&one.name, 0) && done(&container(&one.name));
                    finished
                        || !one.essential && started(&one.name)
                        || recent_engine_time(&container(&one.name), &|status| {
                            matches!(status, Status::Running { health: Health::None | Health::Healthy })
                        })
                });
                law(well, "healthy: every component runs and is healthy");
                let mut hooks =
                    spec.components.iter().filter(|one| !one.post_start.is_empty() && one.essential);
                let post_start_done = hooks.all(|one| ran(&one.name, "post") || done(&container(&one.name)));
                law(post_start_done, "healthy: every `post_start` has run");
            }
            What::Told(words) if words.starts_with("exit ") => deadline = Some(moment.at + spec.stop_timeout),
            What::Created(_)
            | What::Outside(_)
            | What::Asked(_)
            | What::Copied(_)
            | What::Hooked(_)
            | What::Ended(..)
            | What::Removed(_)
            | What::Told(_) => {}
        }
    }
}
