//! `pre_start`: the containers that run to completion before a component starts, one after the other.
//!
//! Each of them is a [`ComponentSpec`] of its own, and the order is one of [`Dependency`]: each step waits for what its
//! component depends on and for the end of the step before it, and the component waits for the last step. So the planner
//! starts, awaits, stops and removes them as it does every component that another one waits for to complete.

use std::collections::HashMap;
use std::fmt;

use super::spec::{
    ComponentSpec, Condition, ContainerSpec, CopySpec, Dependency, FileSource, HealthCheck, MountSource,
    Restart,
};

/// One entry of `pre_start`. `None`, or empty, means: not said, the component's or the image's holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PreStart {
    /// Image reference; the component's image where not said.
    pub image: Option<String>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// User; where not said the component's, or the image's where the entry has an image of its own.
    pub user: Option<String>,
    /// Working directory; the component's where not said.
    pub working_dir: Option<String>,
    /// Variables beside the component's own; one without a value is removed.
    pub environment: Vec<(String, Option<String>)>,
    /// Every capability and device of the host; only where the policy allows it.
    pub privileged: bool,
}

/// What a copy (`pod.copy`) goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyPlace {
    /// The file system of the container: each container has its own.
    Container,
    /// A named volume, a bind or a scratch volume, which outlives the component's container.
    Volume,
    /// A volume without a name: a new container of the component has a new one, while the steps do not run again.
    OwnVolume,
}

/// The name of a component's step, counted from 1.
pub fn name(component: &str, number: usize) -> String {
    format!("{component}.pre-{number}")
}

/// Makes the containers of a component's `pre_start`, and has the component wait for the last of them.
///
/// A step has what its component has, and gets nothing that the component does not: volumes, secrets, limits, capabilities,
/// variables. Not the labels, by which other tools would take it for the component; nor the entrypoint, which Compose
/// does not pass on either. `place` is what a copy goes into.
///
/// A volume is filled once, before the first step: a later copy would undo what a step wrote there. The first step fills
/// those that stay; the component fills those that go with its container, and the planner starts no step before.
pub fn steps(
    component: &mut ComponentSpec,
    entries: &[PreStart],
    place: impl Fn(&CopySpec) -> CopyPlace,
) -> Vec<ComponentSpec> {
    let mut before: Option<String> = None;
    let mut steps = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let mut step = step(component, entry, name(&component.name, index + 1));
        step.copies.retain(|copy| match place(copy) {
            CopyPlace::Container => true,
            CopyPlace::Volume => before.is_none(),
            CopyPlace::OwnVolume => false,
        });
        step.depends_on.extend(before.map(completed));
        before = Some(step.name.clone());
        steps.push(step);
    }
    if let Some(last) = before {
        component.copies.retain(|copy| place(copy) != CopyPlace::Volume);
        component.depends_on.push(completed(last));
    }
    steps
}

/// The bytes of a component that each of its steps repeats, about.
///
/// Everything that is written counts: a long list of anything, repeated a thousand times, takes the manager's memory.
pub fn inherited_bytes(component: &ComponentSpec) -> usize {
    let ComponentSpec { container, copies, depends_on, files, .. } = component;
    // The contents of secrets are not written.
    let contents = files.iter().map(|file| match &file.source {
        FileSource::Path(_) => 0,
        FileSource::Content(content) => content.len(),
    });
    // What is not said takes space in this form too.
    let container = written_bytes(container).saturating_sub(written_bytes(&ContainerSpec::default()));
    container
        + written_bytes(copies)
        + written_bytes(depends_on)
        + written_bytes(files)
        + contents.sum::<usize>()
}

fn written_bytes(value: &impl fmt::Debug) -> usize {
    struct Count(usize);
    impl fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            Ok(())
        }
    }
    let mut count = Count(0);
    let _ = fmt::write(&mut count, format_args!("{value:?}"));
    count.0
}

fn completed(on: String) -> Dependency {
    Dependency { on, condition: Condition::Completed, required: true, restart: false }
}

fn step(component: &ComponentSpec, entry: &PreStart, name: String) -> ComponentSpec {
    let mut container = component.container.clone();
    if let Some(image) = &entry.image {
        container.image.clone_from(image);
        // Users and groups are those of an image.
        container.user = None;
        container.tuning.groups.clear();
    }
    container.user = entry.user.clone().or(container.user);
    container.working_dir = entry.working_dir.clone().or(container.working_dir);
    container.entrypoint = None;
    container.command.clone_from(&entry.command);
    container.privileged = entry.privileged;
    container.labels.clear();
    // Nobody waits for its health, and each check is a process.
    container.healthcheck = Some(HealthCheck::Disabled);
    (container.tty, container.stdin_open) = (false, false);
    let known = container.environment.iter().enumerate();
    let mut known: HashMap<String, usize> = known.map(|(place, (name, _))| (name.clone(), place)).collect();
    for (name, value) in &entry.environment {
        let place = *known.entry(name.clone()).or_insert(container.environment.len());
        match container.environment.get_mut(place) {
            Some((_, known)) => known.clone_from(value),
            None => container.environment.push((name.clone(), value.clone())),
        }
    }
    // The engine shares the volumes without a name of a container that is there (`VolumesFrom`); and the component, which
    // is created first, has filled the empty ones from its image.
    container.mounts.retain(|mount| !matches!(mount.source, MountSource::Volume { name: None, .. }));
    for mount in &mut container.mounts {
        if let MountSource::Volume { no_copy, .. } = &mut mount.source {
            *no_copy = true;
        }
    }
    // It runs to its end once: nothing restarts it along.
    let depends_on = component.depends_on.iter().map(|on| Dependency { restart: false, ..on.clone() });
    ComponentSpec {
        name,
        container,
        depends_on: depends_on.collect(),
        copies: component.copies.clone(),
        files: component.files.clone(),
        stop_grace: component.stop_grace,
        restart: Restart::Never,
        essential: true,
        sidecar: component.sidecar,
        pre_start_of: Some(component.name.clone()),
        ..ComponentSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::container_options::Tuning;
    use crate::spec::{ContainerSpec, FileSpec, Hook, Mount};

    fn mount(target: &str, source: MountSource) -> Mount {
        Mount { target: target.into(), read_only: false, source }
    }

    fn component() -> ComponentSpec {
        let variable = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        ComponentSpec {
            name: "app".into(),
            container: ContainerSpec {
                image: "app:1".into(),
                entrypoint: Some(vec!["/serve".into()]),
                command: Some(vec!["--fast".into()]),
                environment: vec![variable("A", "1"), variable("B", "2")],
                working_dir: Some("/srv".into()),
                user: Some("1000".into()),
                labels: BTreeMap::from([("traefik.enable".into(), "true".into())]),
                mounts: vec![
                    mount("/data", MountSource::volume(Some("data".into()))),
                    mount("/new", MountSource::volume(None)),
                    mount("/srv/conf", MountSource::bind("/srv/conf")),
                ],
                healthcheck: None,
                memory_bytes: Some(64 << 20),
                cap_drop: vec!["ALL".into()],
                tty: true,
                stdin_open: true,
                privileged: true,
                tuning: Tuning { groups: vec!["audio".into()], ..Tuning::default() },
                ..ContainerSpec::default()
            },
            depends_on: vec![Dependency {
                on: "db".into(),
                condition: Condition::Healthy,
                required: true,
                restart: true,
            }],
            copies: vec![
                CopySpec { source: "/a".into(), target: "/data/a".into() },
                CopySpec { source: "/b".into(), target: "/b".into() },
            ],
            files: vec![FileSpec {
                source: FileSource::Content("hunter2".into()),
                target: "/run/secrets/db".into(),
                uid: 0,
                gid: 0,
                mode: 0o400,
            }],
            stop_grace: Some(Duration::from_secs(3)),
            post_start: vec![Hook::default()],
            pre_stop: vec![Hook::default()],
            restart: Restart::Always,
            essential: false,
            sidecar: true,
            shutdown_delay: Duration::from_secs(9),
            pre_start_of: None,
        }
    }

    fn place(copy: &CopySpec) -> CopyPlace {
        match copy.target.split('/').nth(1) {
            Some("data") => CopyPlace::Volume,
            Some("new") => CopyPlace::OwnVolume,
            _ => CopyPlace::Container,
        }
    }

    #[test]
    fn a_step_has_what_its_component_has_and_runs_once() {
        let mut app = component();
        let before = app.clone();
        let all = steps(&mut app, &[PreStart::default()], place);
        let [step] = &all[..] else { panic!("{all:?}") };
        let no_copy =
            MountSource::Volume { name: Some("data".into()), no_copy: true, subpath: None, owner: None };
        let want = ComponentSpec {
            name: "app.pre-1".into(),
            container: ContainerSpec {
                entrypoint: None,
                command: None,
                labels: BTreeMap::new(),
                mounts: vec![mount("/data", no_copy), mount("/srv/conf", MountSource::bind("/srv/conf"))],
                healthcheck: Some(HealthCheck::Disabled),
                tty: false,
                stdin_open: false,
                privileged: false,
                ..before.container.clone()
            },
            depends_on: vec![Dependency { restart: false, ..before.depends_on[0].clone() }],
            copies: before.copies.clone(),
            files: before.files.clone(),
            stop_grace: Some(Duration::from_secs(3)),
            sidecar: true,
            pre_start_of: Some("app".into()),
            ..ComponentSpec::default()
        };
        assert_eq!(*step, want);
        assert_eq!((step.restart, step.essential), (Restart::Never, true));
    }

    #[test]
    fn what_an_entry_says_counts_more_and_another_image_has_users_of_its_own() {
        let entry = PreStart {
            image: Some("busybox".into()),
            command: Some(vec!["chown".into()]),
            user: None,
            working_dir: Some("/tmp".into()),
            environment: vec![
                ("B".into(), None),
                ("C".into(), Some("2".into())),
                ("C".into(), Some("3".into())),
            ],
            privileged: true,
        };
        let as_root = PreStart { user: Some("0".into()), ..PreStart::default() };
        let all = steps(&mut component(), &[entry, as_root], place);
        let one = &all[0].container;
        assert_eq!((one.image.as_str(), one.user.as_deref(), one.privileged), ("busybox", None, true));
        assert_eq!(
            (one.command.as_deref(), one.working_dir.as_deref()),
            (Some(&["chown".to_owned()][..]), Some("/tmp"))
        );
        let variable = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let want = [variable("A", Some("1")), variable("B", None), variable("C", Some("3"))];
        assert_eq!(one.environment, want);
        assert!(one.tuning.groups.is_empty());
        assert_eq!(one.cap_drop, ["ALL"], "what protects the host does not belong to an image");
        let two = &all[1].container;
        assert_eq!((two.image.as_str(), two.user.as_deref()), ("app:1", Some("0")));
        assert_eq!(two.tuning.groups, ["audio"]);
    }

    #[test]
    fn each_step_waits_for_the_one_before_it_and_the_component_for_the_last() {
        let mut app = component();
        let all = steps(&mut app, &[PreStart::default(), PreStart::default()], place);
        let on = |one: &ComponentSpec| -> Vec<(String, Condition)> {
            one.depends_on.iter().map(|on| (on.on.clone(), on.condition)).collect()
        };
        let db = || ("db".to_owned(), Condition::Healthy);
        let done = |name: &str| (name.to_owned(), Condition::Completed);
        assert_eq!(on(&all[0]), [db()]);
        assert_eq!(on(&all[1]), [db(), done("app.pre-1")]);
        assert_eq!(on(&app), [db(), done("app.pre-2")]);
        assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["app.pre-1", "app.pre-2"]);
    }

    #[test]
    fn what_is_copied_into_a_volume_is_copied_once_before_the_first_step() {
        let targets = |one: &ComponentSpec| -> Vec<String> {
            one.copies.iter().map(|copy| copy.target.clone()).collect()
        };
        let mut app = component();
        let all = steps(&mut app, &[PreStart::default(), PreStart::default()], place);
        assert_eq!(targets(&all[0]), ["/data/a", "/b"]);
        assert_eq!(targets(&all[1]), ["/b"]);
        assert_eq!(targets(&app), ["/b"]);
        let mut app = component();
        assert_eq!(steps(&mut app, &[], place), []);
        assert_eq!(app, component(), "nothing changes without `pre_start`");
    }

    #[test]
    fn what_is_copied_into_a_volume_without_a_name_is_copied_with_each_container_of_the_component() {
        let mut app = component();
        app.copies.push(CopySpec { source: "/c".into(), target: "/new/c".into() });
        let all = steps(&mut app, &[PreStart::default(), PreStart::default()], place);
        let copied = |one: &ComponentSpec| one.copies.iter().any(|copy| copy.target == "/new/c");
        assert_eq!((copied(&app), all.iter().any(copied)), (true, false));
    }

    #[test]
    fn whatever_a_step_repeats_is_counted() {
        assert_eq!(inherited_bytes(&ComponentSpec::default()), 3 * "[]".len());
        let long = "x".repeat(5000);
        let grows = |what: &str, change: fn(&mut ComponentSpec, String)| {
            let mut app = component();
            let before = inherited_bytes(&app);
            change(&mut app, long.clone());
            assert!(inherited_bytes(&app) > before + long.len() - 100, "{what}");
        };
        grows("a variable", |app, long| app.container.environment.push((long, None)));
        grows("a mount", |app, long| app.container.mounts.push(mount("/x", MountSource::bind(long))));
        grows("an option", |app, long| app.container.tuning.security_opt.push(long));
        grows("a rule", |app, long| app.container.tuning.device_rules.push(long));
        grows("a copy", |app, long| app.copies[0].source = long);
        grows("a path", |app, long| app.files[0].source = FileSource::Path(long));
        grows("a secret", |app, long| app.files[0].source = FileSource::Content(long));
        grows("a dependency", |app, long| app.depends_on[0].on = long);
    }
}
