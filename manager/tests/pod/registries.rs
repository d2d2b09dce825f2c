//! Private registries: a real one, with the password among the task container's secrets.

use serde_json::json;

use crate::lab::pod::{Plan, Pod};
use crate::lab::private::{AUTH, PASSWORD, PrivateRegistry, USER};
use crate::lab::swarm::Swarm;
use crate::lab::{LONG, docker, idle, script, test_image, wait};

const OURS: &str = "/run/secrets/tandem/config.json";
const PODLIKES: &str = "/var/run/secrets/podlike/dockerregistryauth.json";

/// How every header with credentials begins: `{"password` or `{"identity` in base64.
const HEADERS: [&str; 2] = ["eyJwYXNzd29yZ", "eyJpZGVudGl0e"];

/// A pod with an image of the registry, which is on the engine's own host.
fn plan(registry: &PrivateRegistry) -> Plan {
    let app = script("echo pulled").replace(&test_image(), &registry.image);
    let args = ["--logs", "--log=trace", "--allow=local-registries"];
    Pod::plan("private").args(&args).component("app", &app)
}

/// A secret, as Swarm mounts it: read-only, in its place.
fn secret(plan: Plan, file: &str, target: &str) -> Plan {
    plan.options(&["-v", &format!("{file}:{target}:ro")])
}

/// The pod runs, and nothing that it says has the password in it.
#[track_caller]
fn assert_pulls(registry: &PrivateRegistry, plan: Plan) -> String {
    let (said, pod) = plan.run();
    assert_eq!(said.status, 0, "{}", said.error());
    assert!(said.text().contains("[out] app: pulled"), "{}", said.text());
    assert_silent(&said.error());
    pod.assert_nothing_left();
    docker::docker(&["rmi", &registry.image]);
    said.error()
}

/// The pod does not run: the manager's last fault.
#[track_caller]
fn assert_refused(plan: Plan, status: i32) -> String {
    let (said, pod) = plan.run();
    assert_eq!(said.status, status, "{}", said.error());
    assert_silent(&said.error());
    pod.assert_nothing_left();
    said.error()
}

#[track_caller]
fn assert_silent(words: &str) {
    for secret in [PASSWORD, AUTH, "hunter2"] {
        assert!(!words.contains(secret), "a secret is in the log: {words}");
    }
    // Nor the header that it travels in.
    assert!(!words.to_lowercase().contains("registry-auth"), "{words}");
    assert!(!HEADERS.iter().any(|header| words.contains(header)), "{words}");
}

#[test]
fn an_image_of_a_private_registry_is_pulled_with_the_password_from_either_file() {
    let registry = PrivateRegistry::start();
    let auth = registry.config("auth", &registry.auths(&json!({"auth": AUTH})));
    let words = registry.config("words", &registry.auths(&json!({"username": USER, "password": PASSWORD})));
    let url = json!({"auths": {format!("http://{}/v2/", registry.host): {"auth": AUTH}}});
    let url = registry.config("url", &url.to_string());
    for (file, target) in [
        (&auth, OURS),
        (&words, OURS),
        (&url, OURS),
        // What Podlike could read, and what it could not.
        (&words, PODLIKES),
        (&auth, PODLIKES),
        (&auth, "/run/secrets/podlike/dockerregistryauth.json"),
    ] {
        assert_pulls(&registry, secret(plan(&registry), file, target));
    }
}

#[test]
fn tandems_own_file_counts_before_podlikes() {
    let registry = PrivateRegistry::start();
    let right = registry.config("right", &registry.auths(&json!({"auth": AUTH})));
    let wrong =
        registry.config("wrong", &registry.auths(&json!({"username": USER, "password": "hunter2-wrong"})));
    assert_pulls(&registry, secret(secret(plan(&registry), &right, OURS), &wrong, PODLIKES));
    let words = assert_refused(secret(secret(plan(&registry), &wrong, OURS), &right, PODLIKES), 125);
    assert!(words.contains("unauthorized"), "{words}");
}

#[test]
fn a_pull_that_is_refused_says_as_whom_it_was_asked_for() {
    let registry = PrivateRegistry::start();
    let (host, image) = (&registry.host, &registry.image);
    let words = assert_refused(plan(&registry), 125);
    let want = format!(
        "cannot pull `{image}`: Head \"http://{host}/v2/tandem-test/manifests/1\": no basic auth credentials (asked \
         without credentials)"
    );
    assert!(words.contains(&want), "{want}\n{words}");

    let wrong = registry.auths(&json!({"username": USER, "password": "hunter2-wrong"}));
    let wrong = registry.config("wrong", &wrong);
    let words = assert_refused(secret(plan(&registry), &wrong, OURS), 125);
    let want = format!(
        "cannot pull `{image}`: unauthorized: authentication required (asked as `{USER}`, the credentials for \
         `{host}`)"
    );
    assert!(words.contains(&want), "{want}\n{words}");

    let other = json!({"auths": {"other.example.com": {"auth": AUTH}}, "credsStore": "desktop"});
    let other = registry.config("other", &other.to_string());
    let words = assert_refused(secret(plan(&registry), &other, OURS), 125);
    assert!(words.contains("(asked without credentials)"), "{words}");
    let warnings = words.lines().filter(|line| line.contains("`credsStore` and `credHelpers` name programs"));
    assert_eq!(warnings.count(), 1, "{words}");
}

#[test]
fn a_broken_file_of_credentials_is_refused_before_anything_is_created() {
    let registry = PrivateRegistry::start();
    let broken = registry.config("broken", "{\n  \"auths\": {\n    hunter2\n");
    let plan = secret(plan(&registry), &broken, OURS).component("other", "imag: x\n");
    let words = assert_refused(plan, 64);
    let want = format!("  {OURS}:3:5: found no JSON: key must be a string; valid is docker's `config.json`");
    assert!(words.contains(&want), "{want}\n{words}");
    // Together with what else is wrong.
    assert!(words.contains("did you mean `image`?"), "{words}");
}

#[test]
fn a_secret_of_a_service_is_where_credentials_are_read() {
    let mut swarm = Swarm::new();
    // What the manager says of it shows that it was read: there is no registry where this Swarm's engine is.
    let secret = swarm.store("secret", "{\"auths\": {\"reg.io\": {\"auth\": \"hunter2\"}}}");
    for target in ["tandem/config.json", "podlike/dockerregistryauth.json"] {
        let given = format!("source={secret},target={target}");
        let service =
            swarm.service("credentials", &idle(), &["--restart-condition=none", "--secret", &given]);
        let want = format!(
            "/run/secrets/{target}: `auths.\"reg.io\".auth`: found a string that is no `user:password`"
        );
        wait(format!("the service's log says `{want}`"), LONG, || {
            let said = swarm.attempt(&["service", "logs", "--raw", &service]);
            let words = said.text() + &said.error();
            assert_silent(&words);
            words.contains(&want).then_some(())
        });
    }
}
