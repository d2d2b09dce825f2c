//! What a new user meets: a check of a folder, a socket that nobody mounted, a pause that nobody runs.

use std::time::{Duration, Instant};

use crate::lab::docker::{Started, attempt, docker};
use crate::lab::pod::{Agent, Pod};
use crate::lab::{LONG, here, idle, manager_image, pause_image, unique, wait};

#[test]
fn the_stacks_of_a_folder_are_checked_by_one_short_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let stack = "services:\n  web:\n    image: tandem/manager\n    volumes: ['/var/run/docker.sock:/var/run/docker.sock']\n    \
                 labels: {pod.component.app: 'image: a'}\n  db: {image: postgres}\n";
    std::fs::write(folder.path().join("stack.yml"), stack).expect("written");
    let check = |file: &str| {
        let mount = format!("{}:/w", folder.path().display());
        attempt(&["run", "--rm", "-v", &mount, &manager_image(), "check", "--stack", file])
    };
    let said = check("/w/stack.yml");
    assert_eq!((said.status, said.error().as_str()), (0, ""), "{}", said.text());
    assert!(said.text().starts_with("The pod of the service `web` in /w/stack.yml\n"), "{}", said.text());
    assert!(said.text().ends_with("No pods\n  db  no label `pod.*`"), "{}", said.text());
    let said = check("/w/none.yml");
    assert_eq!(
        (said.status, said.error().as_str()),
        (64, "cannot check `/w/none.yml`: there is no such file\n")
    );
}

#[test]
fn the_manager_is_in_the_path_of_its_image_and_the_sandbox_shows_no_health() {
    let pod = Pod::plan("path").component("app", &idle()).start();
    pod.wait_healthy();
    assert!(docker(&["exec", pod.id(), "manager", "version"]).text().starts_with("manager "));
    // PIDs are shared: PID 1 is the sandbox's.
    assert_eq!(pod.exec("app", "cat /proc/1/comm").trim(), "pause holding");
    pod.stop_clean();
}

#[test]
fn a_socket_that_nobody_mounted_is_said_at_once_and_given_up_after_three_seconds() {
    let began = Instant::now();
    let said = attempt(&["run", "--rm", "--label", "pod.component.app=image: a", &manager_image()]);
    let took = began.elapsed();
    assert_eq!(said.status, 69, "{}", said.error());
    assert!(took >= Duration::from_secs(2) && took < here(Duration::from_secs(10)), "{took:?}");
    let error = said.error();
    let hint = "mount the socket of the engine into the task container: `-v /var/run/docker.sock:/var/run/docker.sock`";
    assert_eq!(error.matches(hint).count(), 1, "{error}");
    assert!(
        error.contains(" WARN waiting up to 3s for the engine: the engine's socket is not there; "),
        "{error}"
    );
    assert!(
        error.contains("ERROR the engine has not answered for 3s: unix:///var/run/docker.sock: "),
        "{error}"
    );
}

#[test]
fn a_folder_in_place_of_the_socket_is_said_and_given_up_after_three_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let mount = format!("{}:/var/run/docker.sock", folder.path().display());
    let began = Instant::now();
    let image = manager_image();
    let said = attempt(&["run", "--rm", "-v", &mount, "--label", "pod.component.app=image: a", &image]);
    let took = began.elapsed();
    assert_eq!(said.status, 69, "{}", said.error());
    assert!(took >= Duration::from_secs(2) && took < here(Duration::from_secs(10)), "{took:?}");
    let error = said.error();
    assert_eq!(error.matches("a folder is there instead of the engine's socket").count(), 1, "{error}");
    assert!(error.contains("`-v /var/run/docker.sock:/var/run/docker.sock`"), "{error}");
    assert!(
        error.contains(
            "ERROR the engine has not answered for 3s: unix:///var/run/docker.sock: a folder is there"
        ),
        "{error}"
    );
}

#[test]
fn an_engine_that_accepts_and_never_answers_is_warned_of_long_before_it_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("silent.sock");
    // Connections are accepted by the kernel, and nobody reads.
    let _silent = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let pod = Pod::plan("silent").engine(path).component("app", "image: a").start();
    pod.wait_said(" WARN waiting up to 30s for the engine: unix:///var/run/docker.sock: no answer for 3s; ");
    assert_eq!(pod.task()["State"]["Running"], true, "it waits on");
    assert_eq!(pod.wait_end().status, 69);
    let said = pod.logs().1;
    assert_eq!(said.matches("waiting up to").count(), 1, "{said}");
    // Both limits are 30 s: that of the call, or that of the wait, is the one that is named.
    let end = "ERROR the engine has not answered for 30s: unix:///var/run/docker.sock: no answer ";
    assert!(said.contains(end), "{said}");
}

#[test]
fn a_bare_pause_that_nobody_runs_says_so() {
    let (deaf, alone) = (unique("deaf"), unique("alone"));
    let _guards = (Started(&deaf), Started(&alone));
    docker(&["run", "-d", "--name", &deaf, &pause_image()]);
    // An agent of this name is nowhere.
    docker(&[
        "run",
        "-d",
        "-i",
        "--name",
        &alone,
        "--label",
        "pod.manager=none-of-this-name",
        &pause_image(),
    ]);
    let logs = |name: &str| docker(&["logs", name]).error();
    wait("it says that nobody can speak to it", LONG, || {
        logs(&deaf)
            .contains("pause: no standard input for a manager: set `stdin_open: true` (`-i`)\n")
            .then_some(())
    });
    wait("it says that nobody does", LONG, || {
        logs(&alone)
            .contains(
                "pause: no manager has spoken for 10 s: does one run here for the label `pod.manager`?\n",
            )
            .then_some(())
    });
    let agent = Agent::start(&[], &[]);
    agent.wait_said("runs each pause container with labels of a pod and with");
    let pod = Pod::plan("attended").agent(agent.name()).component("app", &idle()).start();
    pod.wait_healthy();
    pod.stop_clean();
    assert!(!logs(pod.id()).contains("no manager has spoken"), "{}", logs(pod.id()));
}

#[test]
fn a_grace_period_that_cannot_hold_is_refused() {
    let app = format!("{}stop_grace_period: 1m\n", idle());
    let (said, pod) = Pod::plan("grace-refused").component("app", &app).run();
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(
        said.error().contains("`app`: `stop_grace_period` is 1m, and the whole pod is killed 6s after"),
        "{}",
        said.error()
    );
    pod.assert_nothing_left();
}
