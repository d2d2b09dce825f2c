//! What of a pod an engine is too old for: keys that it would drop without a word.

use super::spec::{ComponentSpec, HealthCheck, MountSource, Recursion};

/// A version of the engine's API, as two numbers that compare: `(1, 41)`.
pub type ApiVersion = (usize, usize);

/// What the engine does not know.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TooOld {
    /// Without it the pod would not be what was asked for.
    pub faults: Vec<String>,
    /// Without it the pod works.
    pub warnings: Vec<String>,
}

/// What of these components needs a newer API than the one spoken with their engine. An engine ignores fields of a request
/// that its API does not have, so nobody else would tell. Versions: the history of the Engine API.
pub fn too_old<'a>(members: impl Iterator<Item = &'a ComponentSpec>, api: ApiVersion) -> TooOld {
    let mut found = TooOld::default();
    for member in members {
        let words = |key: &str, release: &str, then: &str| {
            format!("`{}`: `{key}` needs Docker Engine {release} or newer: {then}", member.name)
        };
        for mount in &member.container.mounts {
            let (key, since, release, remedy) = match &mount.source {
                MountSource::Volume { subpath: Some(_), .. } => {
                    ("volume.subpath", (1, 45), "26.0", "mount the whole volume")
                }
                MountSource::Bind { recursive: Recursion::Writable | Recursion::ReadOnly, .. } => {
                    let remedy = "leave it out; older engines leave mounts below a read-only path writable";
                    ("bind.recursive", (1, 44), "25.0", remedy)
                }
                _ => continue,
            };
            if api < since {
                found.faults.push(words(key, release, remedy));
            }
        }
        if !member.container.tuning.annotations.is_empty() && api < (1, 43) {
            found.warnings.push(words("annotations", "24.0", "this one ignores it"));
        }
        let check = &member.container.healthcheck;
        if matches!(check, Some(HealthCheck::Check { start_interval: Some(_), .. })) && api < (1, 44) {
            let then = "this one checks every `interval` from the start";
            found.warnings.push(words("healthcheck.start_interval", "25.0", then));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Mount;

    fn mounted(source: MountSource) -> ComponentSpec {
        let mut app = ComponentSpec::default();
        app.container.mounts.push(Mount { target: "/t".into(), read_only: true, source });
        app
    }

    fn bind(recursive: Recursion) -> ComponentSpec {
        mounted(MountSource::Bind { path: "/h".into(), propagation: None, recursive })
    }

    #[test]
    fn what_an_engine_would_drop_is_told_up_to_the_last_version_that_does() {
        let part = MountSource::Volume {
            name: Some("v".into()),
            no_copy: false,
            subpath: Some("a".into()),
            owner: None,
        };
        let mut annotated = ComponentSpec::default();
        annotated.container.tuning.annotations.insert("a".into(), "b".into());
        let mut checked = ComponentSpec::default();
        checked.container.healthcheck = Some(HealthCheck::Check {
            test: Vec::new(),
            interval: None,
            timeout: None,
            start_period: None,
            start_interval: Some(std::time::Duration::from_secs(1)),
            retries: None,
        });
        let cases = [
            (mounted(part), 45, 1, 0),
            (bind(Recursion::Writable), 44, 1, 0),
            (bind(Recursion::ReadOnly), 44, 1, 0),
            (annotated, 43, 0, 1),
            (checked, 44, 0, 1),
            (bind(Recursion::Enabled), 0, 0, 0),
            (bind(Recursion::Disabled), 0, 0, 0),
            (mounted(MountSource::volume(None)), 0, 0, 0),
        ];
        for (app, since, faults, warnings) in cases {
            let judged = |minor| too_old(std::iter::once(&app), (1, minor));
            assert_eq!(judged(since), TooOld::default(), "{app:?}");
            let found = judged(since.saturating_sub(1));
            assert_eq!((found.faults.len(), found.warnings.len()), (faults, warnings), "{found:?}");
        }
    }
}
