//! An engine over TCP with TLS, both sides with certificates: a real dockerd that demands them.

use std::path::PathBuf;

use crate::lab::docker::Said;
use crate::lab::swarm::{Swarm, UP};
use crate::lab::{manager_image, script, wait};

/// Docker's own port for TLS.
const PORT: u16 = 2376;

/// Folders of certificates: `cargo xtask test` makes them, and an engine that knows them.
fn certificates() -> PathBuf {
    let folder = std::env::var("TANDEM_TLS_CERTIFICATES");
    folder.expect("TANDEM_TLS_CERTIFICATES: `cargo xtask test` starts an engine with TLS, as root").into()
}

/// What `docker run` is told for a pod whose manager reaches the engine as `host` with the certificates in `folder`.
fn words(swarm: &mut Swarm, hint: &str, host: &str, folder: &str) -> (String, Vec<String>) {
    let name = swarm.container(hint);
    let folder = certificates().join(folder);
    let app = script("echo said; trap 'exit 0' TERM; sleep 100000 & wait");
    let mut words: Vec<String> = vec!["run".into(), "--name".into(), name.clone()];
    for name in ["engine.test", "other.test"] {
        words.extend(["--add-host".into(), format!("{name}:{}", Swarm::address())]);
    }
    words.extend([
        format!("--label=io.tandem.test={name}"),
        format!("--env=DOCKER_HOST=tcp://{host}:{PORT}"),
        "--env=DOCKER_TLS_VERIFY=1".into(),
        "--env=DOCKER_CERT_PATH=/certs".into(),
        format!("--volume={}:/certs:ro", folder.display()),
        format!("--label=pod.component.app={app}"),
    ]);
    (name, words)
}

fn refused(host: &str, folder: &str) -> Said {
    let mut swarm = Swarm::new();
    let (_, mut words) = words(&mut swarm, "tls-refused", host, folder);
    words.push(manager_image());
    swarm.attempt(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_pod_runs_at_an_engine_with_tls_by_its_name_and_by_its_address() {
    for host in ["engine.test", "172.17.0.1"] {
        let mut swarm = Swarm::new();
        let (name, mut words) = words(&mut swarm, "tls", host, "client");
        words.extend(["--detach".into(), manager_image(), "--logs".into(), "--log=debug".into()]);
        swarm.docker(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let said = |swarm: &Swarm| {
            let said = swarm.attempt(&["logs", &name]);
            format!("{}{}", said.text(), said.error())
        };
        wait(format!("the pod at {host} is healthy"), UP, || {
            let health = swarm.docker(&["inspect", "--format", "{{.State.Health.Status}}", &name]);
            let running = swarm.docker(&["inspect", "--format", "{{.State.Running}}", &name]) == "true";
            assert!(running, "{}", said(&swarm));
            (health == "healthy").then_some(())
        });
        wait("the component's line", UP, || said(&swarm).contains("[out] app: said").then_some(()));
        // By name the resolver must work for a manager that is confined: every call looks it up anew.
        assert!(said(&swarm).contains("landlock: "), "{}", said(&swarm));
        swarm.docker(&["stop", "-t", "30", &name]);
        let status = swarm.docker(&["inspect", "--format", "{{.State.ExitCode}}", &name]);
        assert_eq!(status, "0", "{}", said(&swarm));
        let id = swarm.docker(&["inspect", "--format", "{{.Id}}", &name]);
        let left = swarm.docker(&["ps", "-aq", "--filter", &format!("label=io.tandem.pod={id}")]);
        assert_eq!(left, "", "containers of the pod are left");
    }
}

#[test]
fn each_side_that_is_not_trusted_is_refused_at_once_with_words_of_its_own() {
    let address = Swarm::address();
    for (host, folder, status, want) in [
        (
            "engine.test",
            "other-authority",
            69,
            "the certificate of the engine at tcp://engine.test:2376 is not signed by `/certs/ca.pem`: that file is \
             another engine's, or somebody else answers there",
        ),
        (
            "engine.test",
            "stranger",
            69,
            "the engine at tcp://engine.test:2376 does not accept our certificate `/certs/cert.pem` (",
        ),
        (
            "engine.test",
            "expired",
            64,
            "`/certs/cert.pem`: this certificate, which says who we are, has expired: renew it",
        ),
        (
            "other.test",
            "client",
            69,
            "the certificate of the engine at tcp://other.test:2376 is not for `other.test` but for ",
        ),
        (&address, "client", 69, "but for `engine.test`, `172.17.0.1`: use a name that it is for"),
    ] {
        let said = refused(host, folder);
        let error = said.error();
        assert_eq!(said.status, status, "{host} {folder}: {error}");
        assert!(error.contains(want), "{host} {folder}: {error}");
        assert!(!error.contains(" for the engine: "), "{host} {folder}: {error}");
    }
}

#[test]
fn a_certificate_that_is_missing_is_named() {
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        let copy = tempfile::tempdir().expect("a folder");
        for name in ["ca.pem", "cert.pem", "key.pem"].into_iter().filter(|name| *name != file) {
            std::fs::copy(certificates().join("client").join(name), copy.path().join(name)).expect("copied");
        }
        // Absolute, it stands for itself in `join`.
        let said = refused("engine.test", &copy.path().display().to_string());
        assert_eq!(said.status, 64, "{file}: {}", said.error());
        assert!(said.error().contains(&format!("`/certs/{file}`: ")), "{file}: {}", said.error());
        assert!(said.error().contains("No such file"), "{file}: {}", said.error());
    }
}
