//! `post_start` and `pre_stop` on the real engine.

use crate::lab::pod::Pod;
use crate::lab::{LONG, idle, quoted, script, wait};

fn hooks(key: &str, commands: &[&str]) -> String {
    let items = commands.iter().map(|command| format!("{{command: [sh, -c, {}]}}", quoted(command)));
    format!("{key}: [{}]\n", items.collect::<Vec<_>>().join(", "))
}

#[test]
fn others_wait_for_post_start_and_it_runs_as_it_is_asked_to() {
    let post = "post_start:\n- command: sh -c 'until [ -f /go ]; do usleep 20000; done'\n- command: sh -c 'echo \"$(id \
                -u):$PWD:$EXTRA:$OWN:${GONE-gone}\" > /proof; echo said'\n  user: '1234:1234'\n  working_dir: /tmp\n  \
                environment: {EXTRA: hook, GONE: ~}\n";
    let pod = Pod::plan("post")
        .args(&["--logs"])
        .component(
            "db",
            &format!(
                "{}environment: {{OWN: component, GONE: there}}\ntmpfs: /tmp\n{post}",
                script("umask 0; touch /proof; chmod 666 /proof; exec sleep 1000")
            ),
        )
        .component("app", &format!("{}depends_on: [db]\n", idle()))
        .start();
    pod.wait_running(&["db"]);
    assert_eq!(pod.component("app")["State"]["Status"], "created", "it waits");
    assert!(!pod.healthy_now());
    pod.exec("db", "touch /go");
    pod.wait_running(&["app"]);
    pod.wait_healthy();
    assert_eq!(pod.exec("db", "cat /proof").trim(), "1234:/tmp:hook:component:gone");
    wait("what the hook says", LONG, || pod.logs().0.contains("[out] db: said").then_some(()));

    // Through once, they are not run again by the next manager.
    pod.exec("db", "rm /proof");
    let crashed = pod.crash_manager("KILL");
    wait("another manager", LONG, || pod.manager_pid().filter(|pid| *pid != crashed));
    wait("healthy again", LONG, || pod.healthy_now().then_some(()));
    assert_eq!(pod.exec("db", "test -e /proof || echo none").trim(), "none");
    pod.stop_clean();
}

#[test]
fn a_crash_during_post_start_runs_it_again() {
    // The first run waits for ever; it is still there when the second is through.
    let hook = "if mkdir /first; then sleep 1000; fi; touch /second";
    let pod =
        Pod::plan("again").component("app", &format!("{}{}", idle(), hooks("post_start", &[hook]))).start();
    pod.wait_running(&["app"]);
    wait("the first run", LONG, || (pod.exec("app", "ls /").contains("first")).then_some(()));
    assert!(!pod.healthy_now());
    pod.crash_manager("KILL");
    pod.wait_healthy();
    assert!(pod.exec("app", "ls /").contains("second"));
    pod.stop_clean();
}

#[test]
fn a_post_start_that_fails_ends_the_pod_with_its_status_and_its_last_words() {
    let failing =
        hooks("post_start", &["true", "echo to say; echo no such thing >&2; exit 3", "touch /never"]);
    let (said, pod) = Pod::plan("failing")
        .component("db", &format!("{}{failing}", idle()))
        .component("app", &format!("{}depends_on: [db]\n", idle()))
        .run();
    assert_eq!(said.status, 3, "{}", said.error());
    let want = "ending the pod with status 3: `app` waits for `db`; `post_start[1]` of `db` ended with status 3: no such \
                thing";
    assert!(said.error().contains(want), "{}", said.error());
    assert!(said.error().contains("`post_start[1]` of `db` wrote: to say"), "{}", said.error());
    assert!(!said.error().contains("started `app`"), "{}", said.error());
    pod.assert_nothing_left();

    // Engines differ on which of 126 and 127 it is.
    let keys = format!("{}post_start: [{{command: [nope]}}]\n", idle());
    let (said, pod) = Pod::plan("absent").component("app", &keys).run();
    assert!(matches!(said.status, 126 | 127), "{}", said.error());
    let want = format!("`post_start[0]` of `app` ended with status {}: ", said.status);
    assert!(said.error().contains(&want) && said.error().contains("\"nope\""), "{}", said.error());
    pod.assert_nothing_left();
}

#[test]
fn a_component_that_ends_during_its_hook_ends_the_pod_with_its_own_status() {
    let keys = format!(
        "{}{}",
        script("until [ -f /go ]; do usleep 20000; done; exit 7"),
        hooks("post_start", &["touch /go; sleep 1000"])
    );
    let (said, pod) = Pod::plan("gone").component("app", &keys).run();
    assert_eq!(said.status, 7, "{}", said.error());
    pod.assert_nothing_left();
}

#[test]
fn a_stop_does_not_wait_for_post_start() {
    let keys = format!(
        "{}{}",
        script("trap 'exit 0' TERM; while :; do usleep 20000; done"),
        hooks("post_start", &["touch /begun; sleep 1000"])
    );
    let pod = Pod::plan("hurried").component("app", &keys).start();
    pod.wait_running(&["app"]);
    wait("the hook", LONG, || pod.exec("app", "ls /").contains("begun").then_some(()));
    pod.stop_clean();
}

#[test]
fn pre_stop_runs_before_the_signal_and_after_those_that_depend_on_it() {
    let told = |name: &str| {
        script(&format!(
            "trap 'echo {name} hears; exit 0' TERM; echo {name} runs; while :; do usleep 20000; done"
        ))
    };
    let pre = hooks("pre_stop", &["echo db drains; kill -0 1 && echo db is there >&2", "echo db is done"]);
    let pod = Pod::plan("pre")
        .args(&["--logs"])
        .component("db", &format!("{}{pre}", told("db")))
        .component("app", &format!("{}depends_on: [db]\n", told("app")))
        .start();
    pod.wait_healthy();
    let both = |out: String| out.contains("app runs") && out.contains("db runs");
    wait("both to be ready for the signal", LONG, || both(pod.logs().0).then_some(()));
    pod.stop_clean();
    let (out, err) = pod.logs();
    let lines: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("[out] ")).collect();
    let order = ["app: app hears", "db: db drains", "db: db is done", "db: db hears"];
    let places: Vec<_> = order.iter().map(|line| lines.iter().position(|out| out == line)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {lines:#?}");
    assert!(err.contains("[err] db: db is there"), "{}", err);
}

#[test]
fn a_pre_stop_that_fails_or_takes_too_long_holds_nothing_up() {
    let hears = script("trap 'echo hears; exit 0' TERM; while :; do usleep 20000; done");
    let failing = format!("{hears}{}", hooks("pre_stop", &["echo not now; exit 5", "touch /never"]));
    let slow = format!("{hears}stop_grace_period: 3s\n{}", hooks("pre_stop", &["sleep 1000"]));
    let pod =
        Pod::plan("slow").args(&["--logs"]).component("failing", &failing).component("slow", &slow).start();
    pod.wait_healthy();
    pod.stop_clean();
    let (out, err) = pod.logs();
    let failed = "stopping `failing` all the same: `pre_stop[0]` of `failing` ended with status 5: not now";
    assert!(err.contains(failed), "{}", err);
    let late = "`pre_stop` of `slow` takes longer than the 1.5 s it has: stopping the component all the same";
    assert!(err.contains(late), "{}", err);
    assert!(out.contains("[out] slow: hears") && out.contains("[out] failing: hears"), "{}", out);
}
