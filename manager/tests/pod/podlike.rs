//! What Podlike got wrong and is right here, and a stack of Podlike's as it is. Most of its bugs are proven by the
//! tests of their theme: the table in `tests/podlike_bugs.rs` says which. Here are the others.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::lab::docker::{docker, inspect, try_inspect};
use crate::lab::pod::Pod;
use crate::lab::proxy::Verdict;
use crate::lab::registry::Registry;
use crate::lab::swarm::{Swarm, UP};
use crate::lab::{LONG, idle, manager_image, script, test_image, wait};

#[test]
fn podlike_bug_7_a_pod_finds_itself_in_a_cgroup_namespace_of_its_own() {
    let pod = Pod::plan("cgroupns").options(&["--cgroupns=private"]).component("app", &idle()).start();
    pod.wait_healthy();
    // The path that Podlike looked for does not tell the id here, as on every host with cgroup v2.
    let cgroups = docker(&["exec", pod.id(), "/pause", "cat", "/proc/self/cgroup"]).text();
    assert!(!cgroups.is_empty() && !cgroups.contains(pod.id()), "{cgroups}");
    pod.stop_clean();
}

#[test]
fn podlike_bug_10_a_pod_that_still_pulls_is_not_healthy() {
    let registry = Registry::slow(Duration::from_secs(8));
    let app = idle().replace(&test_image(), &registry.image);
    let pod = Pod::plan("pulls").args(&["--allow=local-registries"]).component("app", &app).start();
    pod.wait_said("pulling image");
    assert!(!pod.healthy_now(), "healthy before there is a component");
    assert!(try_inspect(&pod.container("app")).is_none(), "it was asked while the image was pulled");
    pod.wait_healthy();
    pod.stop_clean();
}

#[test]
fn podlike_bug_15_the_end_of_a_short_life_is_seen_and_can_be_looked_at_later() {
    let init = format!("- image: {}\n  command: ['true']\n", test_image()).repeat(8);
    let pod = Pod::plan("short").label("pod.init.components", &init).component("app", &idle()).start();
    pod.wait_healthy();
    for number in 1..=8 {
        let ended = pod.component(&format!("init-{number}"));
        assert_eq!(ended["State"]["Status"], "exited", "init-{number}");
        assert_eq!(ended["State"]["ExitCode"], 0, "init-{number}");
        assert_eq!(ended["HostConfig"]["AutoRemove"], false, "init-{number}");
    }
    pod.stop_clean();
}

#[test]
fn podlike_bug_27_an_engine_that_is_away_is_asked_at_a_growing_pace() {
    let away = Arc::new(AtomicBool::new(false));
    let rule = Arc::clone(&away);
    let pod = Pod::plan("pace")
        .proxied(move |seen| match rule.load(Ordering::SeqCst) && seen.path.starts_with("/events") {
            true => Verdict::Refuse(503, "the engine is away"),
            false => Verdict::Pass,
        })
        .component("app", &idle())
        .start();
    pod.wait_healthy();
    let asked = || {
        let calls = pod.proxy().calls();
        let events = calls.into_iter().filter(|call| call.seen.path.starts_with("/events"));
        events.map(|call| call.began).collect::<Vec<_>>()
    };
    let before = asked().len();
    away.store(true, Ordering::SeqCst);
    pod.proxy().break_all();
    let began = wait("five attempts", LONG, || {
        let began = asked().split_off(before);
        (began.len() >= 5).then_some(began)
    });
    let gaps: Vec<Duration> = began.windows(2).map(|two| two[1] - two[0]).collect();
    for (gap, least) in gaps.iter().zip([200, 400, 800, 1600]) {
        assert!(*gap >= Duration::from_millis(least), "at least {least} ms: {gaps:?}");
    }
    // What happened meanwhile is seen when it answers again.
    docker(&["kill", "-s", "KILL", &pod.container("app")]);
    away.store(false, Ordering::SeqCst);
    assert_eq!(pod.wait_end().status, 137);
    pod.assert_nothing_left();
}

#[test]
fn podlike_bug_28_no_component_sees_the_socket_with_podlikes_own_flags() {
    for args in [&["-logs"][..], &["-logs", "-volumes=true"], &["-pids=true", "-ipc=true", "-volumes"]] {
        let pod = Pod::plan("flags").args(args).component("app", &idle()).start();
        pod.wait_running(&["app"]);
        let look =
            "ls /proc/*/root/var/run/docker.sock 2>/dev/null; ls /var/run/docker.sock 2>/dev/null; true";
        assert_eq!(pod.exec("app", look), "", "{args:?}");
        pod.stop_clean();
    }
}

/// The stack of Podlike's README, in the labels of its last version. Only images and the commands that they would
/// have are others: there is no registry here.
const STACK: &str = r#"version: '3.5'
services:

  pod:
    image: rycus86/podlike
    command: -logs -pids=false
    labels:
      # sample app with HTML responses
      pod.component.app: |
        image: rycus86/demo-site
        command: sh -c 'mkdir /www && echo "from the app" > /www/index.html && echo serving && exec httpd -f -p "$$HTTP_HOST:$$HTTP_PORT" -h /www'
        environment:
          - HTTP_HOST=127.0.0.1
          - HTTP_PORT=12000
        healthcheck:
          test: wget -q -O - http://127.0.0.1:12000/
          interval: 1s
          timeout: 5s
          retries: 30
        stop_signal: SIGKILL
      # caching reverse proxy
      pod.component.proxy: |
        image: nginx:1.13.10
        command: nc -ll -p 80 -e sh /etc/nginx/conf.d/default.conf
        depends_on:
          app:
            condition: service_healthy
        stop_signal: SIGKILL
      # copy the config file for the proxy
      pod.copy.proxy: /var/conf/nginx.conf:/etc/nginx/conf.d/default.conf
    configs:
      - source: nginx-conf
        target: /var/conf/nginx.conf
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro

configs:
  nginx-conf:
    file: ./nginx.conf
"#;

#[test]
fn a_stack_of_podlikes_runs_with_another_image_name() {
    let mut swarm = Swarm::new();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stack.yml");
    let stack = STACK
        .replace("rycus86/podlike", &manager_image())
        .replace("rycus86/demo-site", &test_image())
        .replace("nginx:1.13.10", &test_image())
        .replace("- /var/run/docker.sock:", &format!("- {}:", swarm.socket()));
    fs::write(&file, stack).expect("written");
    // The request is read to its empty line first: a connection that is closed on unread bytes is reset.
    let proxy = "while read -r line && [ ${#line} -gt 1 ]; do :; done\n\
                 printf 'HTTP/1.0 200 OK\\r\\n\\r\\n'; exec wget -q -O - http://127.0.0.1:12000/\n";
    fs::write(folder.path().join("nginx.conf"), proxy).expect("written");

    let name = swarm.deploy("podlike", &file);
    let ask = |words: &[&str]| swarm.docker(words);
    let service = format!("label=com.docker.swarm.service.name={name}_pod");
    let task = wait("the task is healthy", UP, || {
        let listed = ask(&["ps", "--filter", &service, "--format", "{{.Names}} {{.Status}}"]);
        listed.contains("(healthy)").then(|| listed.split(' ').next().unwrap_or_default().to_owned())
    });
    let container = |component: &str| format!("{task}.podlike.{component}");
    let answer = ask(&["exec", &container("proxy"), "wget", "-q", "-O", "-", "http://127.0.0.1/"]);
    assert_eq!(answer, "from the app", "through the proxy, whose file was copied");
    // `-pids=false`, `-logs` and `depends_on` mean what they meant.
    let seen = ask(&["exec", &container("proxy"), "ps"]);
    assert!(!seen.contains("httpd"), "{seen}");
    wait("the service's log of the app", LONG, || {
        ask(&["service", "logs", "--raw", &format!("{name}_pod")])
            .contains("[out] app: serving")
            .then_some(())
    });
    let started =
        |component: &str| ask(&["inspect", "--format", "{{.State.StartedAt}}", &container(component)]);
    assert!(started("app") < started("proxy"));

    ask(&["stack", "rm", &name]);
    swarm.assert_gone(&format!("{name}_pod"));
}

#[test]
fn the_readmes_docker_run_of_podlike_runs_under_default_and_baseline() {
    for policy in ["default", "baseline"] {
        runs_as_podlikes_readme(policy);
    }
}

fn runs_as_podlikes_readme(policy: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("nginx.conf");
    fs::write(&file, "copied\n").expect("written");
    // With the older labels, as that README has them.
    let (said, pod) = Pod::plan("older")
        .options(&["-v", &format!("{}:/var/conf/nginx.conf:ro", file.display())])
        .label(
            "pod.container.app",
            &script("sleep 100000").replace("command", "stop_signal: SIGKILL\ncommand"),
        )
        .label("pod.container.proxy", &script("cat /etc/default.conf; exit 4"))
        .label("pod.copy.proxy", "/var/conf/nginx.conf:/etc/default.conf")
        .args(&["-logs", "-log=debug", "--policy", policy])
        .run();
    assert_eq!(said.status, 4, "{policy}: {}", said.error());
    assert!(said.text().contains("[out] proxy: copied"), "{}", said.text());
    // What docs/guides/migrate-from-podlike.md says for scripts that searched Podlike's log.
    for words in [
        "start `proxy` (ready)",
        " started `app`",
        "copying `/var/conf/nginx.conf` to `/etc/default.conf` in `proxy`",
        "component `proxy` ended with status 4",
        "stop `app` (the pod ends)",
        "the pod has ended with status 4\n",
    ] {
        assert!(said.error().contains(words), "`{words}` in {}", said.error());
    }
    assert_eq!(inspect(pod.id())["State"]["ExitCode"], 4);
    pod.assert_nothing_left();
}
