//! `manager debug`: somebody looks around in a pod, and leaves nothing.

use std::process::{Command, Stdio};

use crate::lab::docker::{Started, attempt, docker, labelled, socket, try_inspect};
use crate::lab::pod::{Agent, Pod};
use crate::lab::{LONG, idle, manager_image, script, test_image, unique, wait};

/// A component that answers on localhost alone.
fn web() -> String {
    script("mkdir /www; echo there > /www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www")
}

/// The debug containers of a pod.
fn debug_containers(pod: &Pod) -> Vec<String> {
    let all = labelled("io.tandem.role=debug");
    pod.members().into_iter().filter(|id| all.contains(id)).collect()
}

fn nobody_looks(pod: &Pod) {
    wait("the debug container is gone", LONG, || debug_containers(pod).is_empty().then_some(()));
}

/// Look around from a container of its own, until somebody ends it.
fn looking(pod: &Pod, name: &str) -> String {
    let label = format!("--label=io.tandem.test={}", pod.name());
    let mount = format!("--volume={}:/var/run/docker.sock", socket().display());
    let head = ["run", "-d", "-i", "--name", name, &label, &mount, "--entrypoint=/manager", &manager_image()];
    docker(&[&head[..], &["debug", pod.name(), &test_image(), "sleep", "100000"]].concat());
    wait("it looks around", LONG, || {
        let guest = debug_containers(pod).pop()?;
        (try_inspect(&guest)?["State"]["Running"] == true).then_some(guest)
    })
}

#[test]
fn it_is_in_the_pods_network_and_among_its_processes_and_the_pod_takes_no_notice() {
    let pod = Pod::plan("debug").component("web", &web()).component("app", &idle()).start();
    pod.wait_healthy();
    let before = pod.logs().1;
    // It is among the processes that it sees, and must not say what it looks for.
    let look = "cat; wget -qO- http://127.0.0.1:8080/; ps -o args; s=/var/run/docker; ls $s.sock /proc/*/root$s.sock; \
                echo to the other side >&2; exit 7";
    let line =
        ["docker", "exec", "-i", pod.id(), "/manager", "debug", pod.name(), &test_image(), "sh", "-c", look];
    let mut client = Command::new("timeout")
        .arg("120")
        .args(line)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`timeout` can be run");
    std::io::Write::write_all(&mut client.stdin.take().expect("a pipe"), b"typed\n").expect("written");
    let said = client.wait_with_output().expect("it ends");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert_eq!(said.status.code(), Some(7), "the command's status: {out}\n{err}");
    assert!(out.starts_with("typed\nthere\n"), "{out}\n{err}");
    assert!(out.contains("httpd") && out.contains("sleep 100000") && out.contains("/pause"), "{out}");
    assert!(!out.contains("docker.sock"), "{out}");
    let told = format!("in the pod {}: its network, PIDs, IPC\n", pod.name());
    assert!(err.starts_with(&told) && err.contains("to the other side\n"), "{err}");
    nobody_looks(&pod);
    assert_eq!(pod.logs().1, before, "the manager did nothing");
    assert!(pod.healthy_now());
    pod.stop_clean();
}

#[test]
fn in_a_terminal_it_has_one_of_the_same_size() {
    let pod = Pod::plan("terminal").component("app", &idle()).start();
    pod.wait_healthy();
    let debug = format!(
        "stty rows 33 cols 77; docker exec -it {} /manager debug {} {} sh -c 'until stty size | grep 33; do :; done; \
         tty; exit 4'",
        pod.id(),
        pod.name(),
        test_image()
    );
    // `script` makes the terminal.
    let said = Command::new("timeout")
        .args(["120", "script", "-qec", &debug, "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .expect("`script` can be run (Debian: bsdutils)");
    let out = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.status.code(), Some(4), "{out}");
    assert!(out.contains("33 77\r\n") && out.contains("/dev/pts/0\r\n"), "{out}");
    nobody_looks(&pod);
    pod.stop_clean();
}

#[test]
fn it_leaves_with_the_pod_also_when_nobody_waits_for_it() {
    // Nothing but the manager would end it: its processes are its own.
    let pod = Pod::plan("leaves").args(&["--pids=false"]).component("app", &idle()).start();
    pod.wait_healthy();
    let name = unique("looks");
    let client = Started(&name);
    let guest = looking(&pod, &name);
    docker(&["kill", "-s", "KILL", client.0]);
    assert!(debug_containers(&pod).contains(&guest), "who looks is gone, and the container is there");
    pod.stop_clean();
}

#[test]
fn it_ends_when_the_pod_does_and_when_it_is_told_to() {
    let pod = Pod::plan("told").component("app", &idle()).start();
    pod.wait_healthy();
    for signal in ["TERM", "INT", "HUP"] {
        let name = unique("looks");
        let client = Started(&name);
        looking(&pod, &name);
        docker(&["kill", "-s", signal, client.0]);
        nobody_looks(&pod);
        let status = docker(&["wait", client.0]).text();
        let want =
            ["TERM", "INT", "HUP"].iter().position(|one| *one == signal).map(|at| ["143", "130", "129"][at]);
        assert_eq!(Some(&*status), want, "{signal}");
    }
    let name = unique("looks");
    let client = Started(&name);
    looking(&pod, &name);
    pod.stop_clean();
    assert_eq!(docker(&["wait", client.0]).text(), "137");
    let said = attempt(&["logs", client.0]).error();
    assert!(said.ends_with("the pod has ended\n"), "{said}");
}

#[test]
fn an_agents_pod_and_a_component_that_keeps_its_processes_to_itself() {
    let agent = Agent::start(&[], &["--pids=false"]);
    agent.wait_healthy();
    let pod =
        Pod::plan("alone").agent(agent.name()).component("app", &idle()).component("web", &web()).start();
    pod.wait_healthy();
    let debug = |words: &[&str]| attempt(&[&["exec", agent.name(), "/manager", "debug"], words].concat());
    let image = test_image();
    let said = debug(&["--component", "app", pod.name(), &image, "ps", "-o", "args"]);
    assert!(said.text().contains("sleep 100000") && !said.text().contains("httpd"), "{said:?}");
    assert!(said.error().contains("its network, PIDs, IPC\n"), "{said:?}");
    let said = debug(&[pod.name(), &image, "wget", "-qO-", "http://127.0.0.1:8080/"]);
    assert_eq!((said.status, &*said.text()), (0, "there"), "{said:?}");
    // What is wrong is said, and leaves nothing.
    for (words, status, want) in [
        (&["nowhere", &image][..], 1, "there is no pod `nowhere` on this node".to_owned()),
        (
            &["--component", "none", pod.name(), &image],
            64,
            "the pod has no component `none`: it has app, web".to_owned(),
        ),
        (&[pod.name(), "tandem-test/no-such:1"], 125, "cannot pull `tandem-test/no-such:1`: ".to_owned()),
        (&[pod.name(), &image, "/no-such"], 125, "/no-such".to_owned()),
        (&[pod.name()], 64, "<IMAGE>".to_owned()),
    ] {
        let said = debug(words);
        assert!(said.status == status && said.error().contains(&want), "{words:?}: {said:?}");
        nobody_looks(&pod);
    }
    pod.stop_clean();
}
