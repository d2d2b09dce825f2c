//! `secrets` and `configs`: files of the task container that components see read-only, from memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::lab::docker::{attempt, docker, in_cgroups, try_inspect};
use crate::lab::pod::{Plan, Pod};
use crate::lab::swarm::{Swarm, UP};
use crate::lab::{LONG, idle, quoted, script, test_image, unique, wait};

/// Lets a component trace every process that it sees.
const TRACES: &str = "--allow=capabilities=SYS_PTRACE";

/// Two halves of a text that is nowhere else on this machine, and never whole on a command line: those are
/// written down by the engine.
fn token(name: &str) -> (String, String) {
    (format!("{}-half", unique("token")), format!("other-{name}-{}", std::process::id()))
}

/// A pod whose task container has the secrets `db` and `other` and the config `app.conf`, as Swarm mounts them.
fn given(hint: &str, token: &(String, String)) -> (TempDir, Plan) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Vec::new();
    for (name, text, target) in [
        ("db", format!("{}{}", token.0, token.1), "/run/secrets/db"),
        ("other", "another".into(), "/run/secrets/other"),
        ("app.conf", "configured".into(), "/app.conf"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        // The manager opens it as root.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("set");
        options.push("-v".to_owned());
        options.push(format!("{}:{target}:ro", path.display()));
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    (folder, Pod::plan(hint).options(&options))
}

/// Files of the engine's storage, on its own file system, in which the token stands.
fn on_disk(token: &(String, String)) -> String {
    let root = docker(&["info", "--format", "{{.DockerRootDir}}"]).text();
    let search = format!(
        "a={}; find /engine -xdev -type f -size -2048 -exec grep -lF \"${{a}}{}\" {{}} +; true",
        token.0, token.1
    );
    let mount = format!("{root}:/engine:ro");
    let image = test_image();
    docker(&["run", "--rm", "--label", "io.tandem.test=host", "-v", &mount, &image, "sh", "-c", &search])
        .text()
}

#[test]
fn a_component_sees_its_own_files_with_the_mode_and_owner_that_were_asked_for() {
    let token = token("forms");
    let (_folder, plan) = given("secrets", &token);
    let pod = plan
        .args(&[TRACES])
        .component("short", &format!("{}secrets: [db]\nconfigs: [app.conf]\n", idle()))
        .component(
            "long",
            &format!(
                "{}user: '1000'\nread_only: true\nsecrets:\n- {{source: db, target: key, uid: '1000', gid: '2000', mode: 0400}}\n\
                 - {{source: other, target: /etc/deep/own, mode: 0400}}\nconfigs:\n- {{source: app.conf, target: /etc/app/conf, \
                 mode: 0440}}\n",
                idle()
            ),
        )
        .component("none", &format!("{}cap_add: [SYS_PTRACE]\n", idle()))
        .start();
    pod.wait_running(&["short", "long", "none"]);
    pod.wait_healthy();
    let whole = format!("{}{}", token.0, token.1);
    let stat = |component: &str, path: &str| pod.exec(component, &format!("stat -c '%a %u %g' {path}"));

    assert_eq!(stat("short", "/run/secrets/db"), "444 0 0");
    assert_eq!(pod.exec("short", "cat /run/secrets/db"), whole);
    assert_eq!(pod.exec("short", "cat /app.conf"), "configured");
    assert_eq!(pod.exec("short", "ls /run/secrets"), "db", "none but its own");
    let write = "! echo x 2>&1 >/run/secrets/db; grep ' /run/secrets/db ' /proc/mounts";
    let said = pod.exec("short", write);
    assert!(said.contains("Read-only file system") && said.contains("tmpfs"), "{said}");

    assert_eq!(stat("long", "/run/secrets/key"), "400 1000 2000");
    assert_eq!(pod.exec("long", "cat /run/secrets/key"), whole);
    assert_eq!(stat("long", "/etc/deep/own"), "400 0 0");
    let refused = pod.exec("long", "cat /etc/deep/own 2>&1 || true");
    assert!(refused.contains("Permission denied"), "its user is not root: {refused}");
    assert_eq!(stat("long", "/etc/app/conf"), "440 0 0");

    // It sees no store, though it may trace every process that it sees.
    let found = pod.exec("none", "ls -d /run/secrets /proc/[0-9]*/root/store 2>/dev/null || true");
    assert_eq!(found, "", "a component without secrets");
    let seen = pod.exec("none", "cat /proc/1/root/run/secrets/db 2>&1 || true");
    assert!(seen.contains("No such file"), "the sandbox has none: {seen}");

    let store = try_inspect(&format!("{}.store", pod.name())).expect("a store");
    assert_eq!(store["Config"]["Labels"]["io.tandem.role"], "store");
    assert_eq!(store["HostConfig"]["NetworkMode"], "none");
    assert_eq!(store["Config"]["User"], "65529:65529");
    let volume = store["Mounts"][0]["Name"].as_str().expect("a volume").to_owned();

    assert_eq!(on_disk(&token), "", "the secret is in the engine's storage");
    pod.stop_clean();
    assert_ne!(attempt(&["volume", "inspect", &volume]).status, 0, "the store's memory is left");
}

/// What a component finds of the others' secrets, looking through every process that it sees.
fn seen_of_others(pod: &Pod) -> String {
    pod.exec("none", "cat /proc/[0-9]*/root/run/secrets/db 2>/dev/null || true")
}

#[test]
fn without_shared_pids_no_component_reads_anothers_secret_and_with_them_it_is_warned_of() {
    let token = token("others");
    let whole = format!("{}{}", token.0, token.1);
    let start = |hint: &str, args: &[&str]| {
        let (folder, plan) = given(hint, &token);
        let pod = plan
            .args(&[TRACES])
            .args(args)
            .component("app", &format!("{}secrets: [db]\n", idle()))
            .component("none", &format!("{}cap_add: [SYS_PTRACE]\n", idle()))
            .start();
        pod.wait_healthy();
        (folder, pod)
    };
    let warning = "can read each other's secrets through `/proc`";

    let (_apart, pod) = start("secrets-apart", &["--pids=false"]);
    assert_eq!(seen_of_others(&pod), "");
    assert!(!pod.logs().1.contains(warning));
    pod.stop_clean();

    // One's own root folder is there for everybody who may trace one: that is what sharing PIDs means.
    let (_shared, pod) = start("secrets-shared", &[]);
    assert!(seen_of_others(&pod).contains(&whole), "the search finds what can be found");
    pod.wait_said(warning);
    pod.stop_clean();
}

#[test]
fn a_secret_by_pod_copy_still_works_and_is_what_the_search_of_the_storage_finds() {
    let token = token("copy");
    let (_folder, plan) = given("secret-copy", &token);
    let pod = plan.component("app", &idle()).label("pod.copy.app", "/run/secrets/db:/etc/db").start();
    pod.wait_running(&["app"]);
    assert_eq!(pod.exec("app", "cat /etc/db"), format!("{}{}", token.0, token.1));
    assert!(try_inspect(&format!("{}.store", pod.name())).is_none(), "nobody needs a store");
    assert!(on_disk(&token).contains("/etc/db"), "the search finds what is there");
    pod.stop_clean();
}

#[test]
fn an_init_component_and_a_component_that_starts_late_have_their_secrets_and_a_crash_changes_nothing() {
    let token = token("crash");
    let (_folder, plan) = given("secrets-crash", &token);
    let pod = plan
        .label(
            "pod.init.components",
            &format!(
                "- image: {}\n  command: [sh, -c, {}]\n  secrets: [other]\n",
                test_image(),
                quoted("grep another /run/secrets/other")
            ),
        )
        .component("app", &format!("{}secrets: [db]\n", idle()))
        .component(
            "late",
            &format!(
                "{}stop_signal: SIGKILL\nsecrets: [other]\ndepends_on: [app]\n",
                script("cat /run/secrets/other >/got; exec sleep 100000")
            ),
        )
        .start();
    pod.wait_healthy();
    let store = format!("{}.store", pod.name());
    let id = try_inspect(&store).expect("a store")["Id"].clone();
    pod.crash_manager("KILL");
    wait("another manager", LONG, || pod.manager_pid());
    pod.wait_healthy();
    assert_eq!(try_inspect(&store).expect("a store")["Id"], id, "the same store");
    assert_eq!(pod.exec("late", "cat /got /run/secrets/other"), "anotheranother");
    pod.stop_clean();
}

#[test]
fn the_end_of_the_store_ends_the_pod() {
    let token = token("end");
    let (_folder, plan) = given("secrets-end", &token);
    let pod = plan.component("app", &format!("{}secrets: [db]\n", idle())).start();
    pod.wait_healthy();
    docker(&["kill", &format!("{}.store", pod.name())]);
    assert_eq!(pod.wait_end().status, 137);
    pod.wait_said("the store ended with status 137");
    pod.assert_nothing_left();
}

#[test]
fn a_secret_that_the_task_container_does_not_have_is_refused_before_anything_is_created() {
    let token = token("none");
    let (_folder, plan) = given("secrets-none", &token);
    let pod = plan.component("app", &format!("{}secrets: [othr]\n", idle())).start();
    assert_eq!(pod.wait_end().status, 64);
    pod.wait_said("the task container has no secret `othr`; did you mean `other`?");
    pod.assert_nothing_left();
}

/// Size and use of the memory in which this file of a component is, in KiB.
fn memory_of(pod: &Pod, component: &str, path: &str) -> (u64, u64) {
    let line = pod.exec(component, &format!("df -k {path} | tail -n 1"));
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

/// A pod whose task container has the secret `big`, of 1 MiB.
fn with_big_secret(hint: &str) -> (TempDir, Plan) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("big");
    fs::write(&path, vec![b'x'; 1 << 20]).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("set");
    let plan = Pod::plan(hint).options(&["-v", &format!("{}:/run/secrets/big:ro", path.display())]);
    (folder, plan)
}

/// Entries of the secret `big`, each for another user.
fn for_users(count: u32) -> String {
    let entry = |user| format!("- {{source: big, target: big-{user}, uid: '{user}'}}\n");
    format!("secrets:\n{}", (0..count).map(entry).collect::<String>())
}

#[test]
fn a_file_that_many_entries_name_is_in_memory_once() {
    let (_folder, plan) = with_big_secret("secrets-once");
    let entry = |number| format!("- {{source: big, target: big-{number}}}\n");
    let many = format!("{}secrets:\n{}", idle(), (0..200).map(entry).collect::<String>());
    let pod = plan.component("app", &many).component("web", &many).start();
    pod.wait_healthy();
    assert_eq!(memory_of(&pod, "app", "/run/secrets/big-0"), (16 << 10, 1 << 10));
    assert_eq!(pod.exec("web", "cat /run/secrets/big-199 | wc -c"), "1048576");
    pod.stop_clean();
}

#[test]
fn memory_of_secrets_is_charged_to_the_pod() {
    let (_folder, plan) = with_big_secret("secrets-charged");
    let pod = plan.component("app", &format!("{}{}", idle(), for_users(12))).start();
    pod.wait_healthy();
    let store = try_inspect(&format!("{}.store", pod.name())).expect("a store");
    let id = store["Id"].as_str().expect("an id").to_owned();
    let look = format!(
        "for folder in $(find /tree -type d -name '*{id}*'); do cat $folder/memory.usage_in_bytes $folder/memory.current \
         2>/dev/null; done | sort -n | tail -n 1"
    );
    let charged: u64 = in_cgroups(&look).trim().parse().expect("a number");
    assert!(charged >= 12 << 20, "{charged} bytes are charged to the store's cgroup");
    assert_eq!(pod.exec("app", "stat -c '%u %g %a' /run/secrets/big-11"), "11 0 444");
    pod.stop_clean();
}

#[test]
fn secrets_that_take_more_than_the_store_holds_are_refused_before_anything_is_created() {
    let (_folder, plan) = with_big_secret("secrets-much");
    let pod = plan.component("app", &format!("{}{}", idle(), for_users(17))).start();
    assert_eq!(pod.wait_end().status, 64);
    pod.wait_said("`secrets` and `configs`: found 17 MiB in all");
    pod.assert_nothing_left();
}

#[test]
fn a_swarm_service_hands_its_secrets_and_configs_to_components() {
    let mut swarm = Swarm::new();
    let secret = format!("source={},target=key", swarm.store("secret", "from the Swarm"));
    let config = format!("source={},target=/conf", swarm.store("config", "configured"));
    let keys = format!(
        "{}secrets:\n- key\n- {{source: key, target: /own, uid: '1000', mode: 0400}}\nconfigs: [conf]\n",
        idle()
    );
    let service = swarm.service("given", &keys, &["--secret", &secret, "--config", &config]);
    let label = format!("label=io.tandem.service={service}");
    let app = wait("the component runs", UP, || {
        let ids =
            swarm.docker(&["ps", "-q", "--filter", &label, "--filter", "label=io.tandem.role=component"]);
        ids.lines().next().map(str::to_owned)
    });
    let exec = |script: &str| swarm.docker(&["exec", &app, "sh", "-c", script]);
    assert_eq!(exec("cat /run/secrets/key; stat -c ' %a %u' /run/secrets/key"), "from the Swarm 444 0");
    assert_eq!(exec("cat /own; stat -c ' %a %u' /own"), "from the Swarm 400 1000");
    assert_eq!(exec("cat /conf; stat -c ' %a %u' /conf"), "configured 444 0");
    swarm.docker(&["service", "rm", &service]);
    swarm.assert_gone(&service);
}
