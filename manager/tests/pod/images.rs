//! Where images come from.

use std::time::Duration;

use crate::lab::pod::Pod;
use crate::lab::proxy::Verdict;
use crate::lab::registry::Registry;
use crate::lab::{docker, idle, script};

/// The registries of these tests are on the engine's own host.
const LOCAL: &str = "--allow=local-registries";

#[test]
fn a_registry_on_the_host_is_asked_for_nothing_until_the_operator_allows_it() {
    let registry = Registry::start();
    for image in [registry.image.clone(), registry.image.replace("127.0.0.1", "localhost")] {
        let (said, pod) = Pod::plan("local-registry")
            .proxied(|_| Verdict::Pass)
            .component("app", &format!("image: {image}\n"))
            .run();
        assert_eq!(said.status, 64, "{image}: {}", said.error());
        assert!(said.error().contains("--allow local-registries"), "{image}: {}", said.error());
        assert_eq!(pod.proxy().changes(), Vec::<String>::new(), "{image}: nothing was pulled or created");
    }
    assert_eq!(registry.asked(), 0);
}

#[test]
fn an_image_that_cannot_be_had_ends_the_pod_with_the_registrys_words() {
    let (said, pod) = Pod::plan("no-registry")
        .args(&[LOCAL])
        .component("app", "image: 127.0.0.1:1/nope:1\n")
        .component("other", &idle())
        .run();
    assert_eq!(said.status, 125, "{}", said.error());
    assert!(said.error().contains("127.0.0.1:1/nope:1"), "{}", said.error());
    assert!(said.error().contains("connection refused"), "{}", said.error());
    pod.assert_nothing_left();
}

#[test]
fn an_image_that_the_registry_does_not_have_ends_the_pod_with_the_registrys_words() {
    let registry = Registry::start();
    let image = registry.image.replace("tandem-test", "other");
    let plan = Pod::plan("no-image").args(&[LOCAL]);
    let (said, pod) = plan.component("app", &format!("image: {image}\n")).run();
    assert_eq!(said.status, 125, "{}", said.error());
    assert!(said.error().contains("manifest unknown"), "{}", said.error());
    pod.assert_nothing_left();
}

#[test]
fn a_missing_image_is_pulled_once_with_progress_in_the_log() {
    // Longer than the manager waits between two lines of progress.
    let registry = Registry::slow(Duration::from_secs(8));
    let yaml = script("echo ran; ls -l /extra").replace(&crate::lab::test_image(), &registry.image);
    let second = format!("{yaml}depends_on: [first]\n");
    let pod = Pod::plan("pull")
        .args(&["--logs", "--log=debug", LOCAL])
        .component("first", &yaml.replace("ls -l /extra", "exec sleep 100000"))
        .component("second", &second)
        .start();
    assert_eq!(pod.wait_end().status, 0);
    let (out, err) = pod.logs();
    assert!(out.contains("[out] second: ran\n"), "{out}");
    let pulls =
        err.lines().filter(|line| line.ends_with(&format!("pulling image `{}`", registry.image))).count();
    assert_eq!(pulls, 1, "one pull for both: {err}");
    let prefix = format!("pulling image `{}`: ", registry.image);
    let progress: Vec<&str> =
        err.lines().filter_map(|line| line.split_once(&prefix)).map(|(_, said)| said).collect();
    assert!(progress.iter().any(|line| line.contains("MB")), "{progress:?}");
    assert!(progress.iter().any(|line| line.contains("Downloaded newer image")), "{progress:?}");
    assert!(progress.len() < 20, "progress is not a flood: {progress:?}");
    pod.assert_nothing_left();
}

#[test]
fn an_image_that_is_there_is_pulled_only_when_asked_for() {
    let registry = Registry::start();
    let yaml = script("exit 0").replace(&crate::lab::test_image(), &registry.image);
    let run = |args: &[&str]| {
        let before = registry.asked();
        let (said, pod) = Pod::plan("pull-again").args(&[LOCAL]).args(args).component("app", &yaml).run();
        assert_eq!(said.status, 0, "{}", said.error());
        pod.assert_nothing_left();
        registry.asked() - before
    };
    assert_ne!(run(&[]), 0, "missing");
    assert_eq!(run(&[]), 0, "there");
    assert_ne!(run(&["--pull"]), 0, "asked for");
    assert_ne!(run(&["-pull=true"]), 0, "as Podlike spells it");
    docker::docker(&["image", "inspect", &registry.image]);
}

#[test]
fn a_pull_that_fails_in_the_middle_ends_the_pod_with_what_happened() {
    let registry = Registry::start();
    registry.spoil_layers();
    let (said, pod) = Pod::plan("pull-breaks")
        .args(&[LOCAL])
        .component("app", &format!("image: {}\n", registry.image))
        .component("other", &idle())
        .run();
    assert_eq!(said.status, 125, "{}", said.error());
    assert!(said.error().contains("cannot pull"), "{}", said.error());
    assert!(said.error().contains("verification failed"), "{}", said.error());
    pod.assert_nothing_left();
}
