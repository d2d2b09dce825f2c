//! Where stories are played: a pod's loop over the engine in memory, in paused time, and a `pause` that
//! notes what it is told. Everything that happens is one list, in the order in which it did.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use pause::control::{Decoder, Frame};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::execute::SandboxOrder;
use super::marks::Marks;
use super::serve_health::Pause;
use super::{Runner, Surroundings, copy};
use crate::engine::fake::{Fake, Moment, What};
use crate::pod::observed::{Health, Observation, Status};
use crate::pod::plan::Outcome;
use crate::pod::spec::{Condition, PodSpec};

/// The image of the sandbox.
pub(super) const PAUSE_IMAGE: &str = "pause";
/// How long a story may take, in its own time: more than anything that is bounded.
const PATIENCE: Duration = Duration::from_secs(300);

/// A manager at work.
pub(super) struct Manager {
    engine: Fake,
    news: UnboundedSender<Observation>,
    task: JoinHandle<(Outcome, Instant)>,
}

/// `pause`, as far as it listens.
struct Ear {
    engine: Fake,
    decoder: Decoder,
}

impl Manager {
    /// Start a manager that reaches the engine over this connection.
    pub(super) fn start(engine: &Fake, spec: &PodSpec) -> Self {
        let ear = Ear { engine: engine.clone(), decoder: Decoder::new() };
        let around = Surroundings {
            pause: Pause::new(ear),
            sandbox: SandboxOrder { image: PAUSE_IMAGE.into(), lifeline: "lifeline".into() },
            sentry: None,
            copies: copy::CopySources::open(spec).expect("the sources are there"),
            followers: None,
            marks: Marks::open(&engine.shm(), &spec.identity.pod).expect("the folder is there"),
        };
        let runner = Runner::new(Arc::new(engine.clone()), spec.clone(), around);
        Manager { engine: engine.clone(), news: runner.news(), task: tokio::spawn(runner.run()) }
    }

    /// Ask it to stop, as TERM does.
    pub(super) fn stop(&self) {
        let _ = self.news.send(Observation::Stop { status: 0, resumed: false });
    }

    /// Ask it to stop, as `pause` does when a manager before it has told the verdict.
    pub(super) fn resume_stop(&self, status: u8) {
        let _ = self.news.send(Observation::Stop { status, resumed: true });
    }

    /// Wait until `pause` was told this: `healthy`, `exit 0`.
    #[track_caller]
    pub(super) fn told(&self, words: &str) -> impl Future<Output = ()> {
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
    pub(super) async fn end(self) -> Outcome {
        let Ok(end) = timeout(PATIENCE, self.task).await else {
            panic!("the manager does not end\n{}", script(&self.engine.story()));
        };
        end.expect("the manager does not panic").0
    }

    /// Kill it: it hears and says nothing from now on.
    pub(super) fn kill(self) {
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
pub(super) fn engine_for(spec: &PodSpec) -> Fake {
    let images = spec.members().map(|member| member.container.image.as_str());
    Fake::with_images(&images.chain([PAUSE_IMAGE]).collect::<Vec<_>>())
}

/// What `pause` was told, in order.
pub(super) fn tellings(story: &[Moment]) -> Vec<&str> {
    let told = story.iter().filter_map(|moment| match &moment.what {
        What::Told(words) => Some(words.as_str()),
        _ => None,
    });
    told.collect()
}

/// When this happened first.
#[track_caller]
pub(super) fn at(story: &[Moment], what: &What) -> usize {
    let place = story.iter().position(|moment| moment.what == *what);
    place.unwrap_or_else(|| panic!("{what:?} never happened\n{}", script(story)))
}

/// The story for people.
pub(super) fn script(story: &[Moment]) -> String {
    let lines = story.iter().map(|moment| format!("{:>9.3} s  {:?}", moment.at.as_secs_f64(), moment.what));
    lines.collect::<Vec<_>>().join("\n")
}

/// What holds in every story of this pod, whatever happened in it. `foreign` are containers of others.
#[track_caller]
pub(super) fn check_laws(spec: &PodSpec, story: &[Moment], foreign: &[&str]) {
    let sandbox = spec.identity.sandbox_container();
    let vault = spec.identity.vault_container();
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
            let hooked = What::Hooked(format!("{} {hook}", container(name)));
            past.iter().any(|earlier| earlier.what == hooked)
        };
        let late = deadline.is_some_and(|deadline| moment.at >= deadline);
        match &moment.what {
            What::Called(call) => {
                let mut words = call.split(' ');
                let (verb, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                law(!foreign.contains(&name), "nothing is done to containers of others");
                if verb == "create" {
                    let there = name == sandbox || moment.world.contains_key(&sandbox);
                    law(there || !spec.namespaces.sandbox(), "the sandbox is created first");
                }
                let needs = |one: &str| {
                    spec.members().any(|member| container(&member.name) == one && !member.files.is_empty())
                };
                if verb == "create" && needs(name) {
                    let filled = past.iter().any(|earlier| earlier.what == What::Copied(vault.clone()));
                    law(
                        filled && runs(&vault),
                        "the vault runs and is filled before who needs it is created",
                    );
                }
                if verb == "copy" && name == vault {
                    law(runs(&vault), "the vault runs when it is filled");
                }
                if !matches!(verb, "stop" | "remove") || name.is_empty() {
                    continue;
                }
                law(deadline.is_some(), "the verdict is told before the first container is touched");
                let member = spec.components.iter().find(|one| container(&one.name) == name);
                let dependents = spec.components.iter().filter(|one| {
                    member.is_some_and(|member| one.depends_on.iter().any(|on| on.on == member.name))
                });
                for dependent in dependents {
                    let up = runs(&container(&dependent.name));
                    law(!up || late || !runs(name), "a component outlives those that depend on it");
                }
                let asked = format!("exec {name} pre");
                let asked = past.iter().any(|earlier| earlier.what == What::Called(asked.clone()));
                let hooks = member.is_some_and(|member| !member.pre_stop.is_empty());
                law(asked || !hooks || late || verb != "stop", "`pre_stop` comes before the stop signal");
                if verb == "remove" {
                    let holder = name == sandbox || name == vault;
                    law(late || !runs(name) || holder, "nothing is killed before its time");
                }
                if name == sandbox || name == vault {
                    let any = spec.members().any(|member| runs(&container(&member.name)));
                    law(late || !any, "sandbox and vault outlive every component");
                }
            }
            What::Started(name) => {
                let again = past.iter().any(|earlier| earlier.what == moment.what);
                law(!again, "nothing is started twice");
                if *name == sandbox || *name == vault {
                    continue;
                }
                law(!spec.namespaces.sandbox() || runs(&sandbox), "the sandbox runs first");
                let turn = spec.init.iter().position(|init| container(&init.name) == *name);
                let before = &spec.init[..turn.unwrap_or(spec.init.len())];
                law(before.iter().all(|init| done(&container(&init.name))), "init components are done first");
                let Some(member) = spec.components.iter().find(|one| container(&one.name) == *name) else {
                    let none =
                        spec.components.iter().all(|one| !moment.world.contains_key(&container(&one.name)));
                    law(none, "init components run before any component is there");
                    continue;
                };
                for dependency in &member.depends_on {
                    let status = moment.world.get(&container(&dependency.on));
                    let ready = match dependency.condition {
                        Condition::Started => matches!(status, Some(Status::Running { .. })),
                        Condition::Healthy => status == Some(&Status::Running { health: Health::Healthy }),
                        Condition::Completed => done(&container(&dependency.on)),
                    };
                    law(ready, "a component starts after what it depends on");
                }
                for dependency in &member.depends_on {
                    let on = spec.member(&dependency.on);
                    let hooked = on.is_none_or(|on| on.post_start.is_empty()) || ran(&dependency.on, "post");
                    law(
                        hooked || done(&container(&dependency.on)),
                        "a component starts after the hooks of what it depends on",
                    );
                }
                let copied = past.iter().any(|earlier| earlier.what == What::Copied(name.clone()));
                law(copied || member.copies.is_empty(), "copies are made before the start");
            }
            What::Told(words) if words == "healthy" => {
                law(
                    spec.init.iter().all(|init| done(&container(&init.name))),
                    "healthy: init components are done",
                );
                let well = spec.components.iter().all(|one| {
                    let status = moment.world.get(&container(&one.name));
                    let finished = spec.may_end(&one.name, 0) && done(&container(&one.name));
                    finished
                        || matches!(status, Some(Status::Running { health: Health::None | Health::Healthy }))
                });
                law(well, "healthy: every component runs and is healthy");
                let mut hooks = spec.components.iter().filter(|one| !one.post_start.is_empty());
                let hooked = hooks.all(|one| ran(&one.name, "post") || done(&container(&one.name)));
                law(hooked, "healthy: every `post_start` has run");
            }
            What::Told(words) if words.starts_with("exit ") => deadline = Some(moment.at + spec.stop_timeout),
            What::Created(_)
            | What::Copied(_)
            | What::Hooked(_)
            | What::Ended(..)
            | What::Removed(_)
            | What::Told(_) => {}
        }
    }
}
