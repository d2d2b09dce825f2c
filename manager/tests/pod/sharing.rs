//! What components share, and what not.

use crate::lab::docker::{attempt, docker, on_host};
use crate::lab::pod::{Pod, Volumes};
use crate::lab::{idle, script, test_image};

/// Finds sockets of the engine through every process that can be seen, and in the mounts.
const LOOK: &str = r#"
    for p in /proc/[0-9]*; do
        for f in $p/root/var/run/docker.sock $p/root/run/docker.sock $p/cwd/var/run/docker.sock; do
            [ -S $f ] && echo "SEEN $f"
        done
    done
    [ -S /var/run/docker.sock ] && echo "SEEN here"
    grep docker.sock /proc/[0-9]*/mountinfo 2>/dev/null | sed 's/^/SEEN /'
    exit 0
"#;

#[test]
fn components_reach_each_other_on_localhost() {
    let web = script("mkdir /www; echo hello from web >/www/index.html; httpd -f -p 127.0.0.1:8080 -h /www");
    let pod = Pod::plan("localhost").component("web", &web).component("client", &idle()).start();
    pod.wait_running(&["web", "client"]);
    let got =
        pod.exec("client", "until wget -q -O - http://127.0.0.1:8080/ 2>/dev/null; do usleep 100000; done");
    assert_eq!(got, "hello from web");
    let own = format!("container:{}", pod.id());
    for name in ["web", "client"] {
        assert_eq!(pod.component(name)["HostConfig"]["NetworkMode"], own.as_str());
    }
    pod.stop_clean();
}

#[test]
fn components_see_each_others_processes_unless_told_not_to() {
    for (args, sees) in [(&[][..], true), (&["--pids=false"][..], false)] {
        let marked =
            "image: IMAGE\ncommand: [sleep, '98765']\nstop_signal: SIGKILL\n".replace("IMAGE", &test_image());
        let pod =
            Pod::plan("pids").args(args).component("marked", &marked).component("other", &idle()).start();
        pod.wait_running(&["marked", "other"]);
        let seen = pod.exec("other", "ps | grep -c '[s]leep 98765' || true");
        assert_eq!(seen, if sees { "1" } else { "0" }, "{args:?}");
        pod.stop_clean();
    }
}

#[test]
fn components_share_memory_unless_told_not_to() {
    for (args, shares) in [(&[][..], true), (&["--ipc=false"][..], false)] {
        let pod = Pod::plan("ipc").args(args).component("a", &idle()).component("b", &idle()).start();
        pod.wait_running(&["a", "b"]);
        pod.exec("a", "echo hello >/dev/shm/note");
        let got = pod.exec("b", "cat /dev/shm/note 2>/dev/null || echo nothing");
        assert_eq!(got, if shares { "hello" } else { "nothing" }, "{args:?}");
        let ipc = |name| pod.exec(name, "readlink /proc/self/ns/ipc");
        assert_eq!(ipc("a") == ipc("b"), shares, "{args:?}");
        pod.stop_clean();
    }
}

#[test]
fn shared_memory_is_as_large_as_the_largest_that_a_component_asks_for() {
    let sized = |size: &str| format!("{}shm_size: {size}\n", idle());
    let pod = Pod::plan("shm").component("a", &sized("96m")).component("b", &sized("160m")).start();
    pod.wait_running(&["a", "b"]);
    let sandbox = pod.sandbox().expect("a sandbox holds the IPC namespace");
    assert_eq!(sandbox["HostConfig"]["ShmSize"], 160 * 1024 * 1024);
    for name in ["a", "b"] {
        assert_eq!(pod.exec(name, "df -m /dev/shm | awk 'END { print $2 }'"), "160", "{name}");
    }
    pod.stop_clean();
}

#[test]
fn shared_memory_of_ones_own_is_as_large_as_asked_for() {
    let pod = Pod::plan("shm-own")
        .args(&["--ipc=false"])
        .component("a", &format!("{}shm_size: 96m\n", idle()))
        .start();
    pod.wait_running(&["a"]);
    assert_eq!(pod.exec("a", "df -m /dev/shm | awk 'END { print $2 }'"), "96");
    pod.stop_clean();
}

#[test]
fn no_component_can_see_the_socket() {
    // With PTRACE the kernel lets root look into processes that ask not to be looked into.
    let with_ptrace = format!("{}cap_add: [SYS_PTRACE]\n", idle());
    let pod = Pod::plan("socket")
        .args(&["--allow=capabilities=SYS_PTRACE"])
        .component("plain", &idle())
        .component("ptrace", &with_ptrace)
        .start();
    pod.wait_running(&["plain", "ptrace"]);
    for name in ["plain", "ptrace"] {
        let look = pod.exec(name, LOOK);
        assert_eq!(look, "", "component `{name}`");
        let env =
            pod.exec(name, "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep DOCKER_ || true");
        assert_eq!(env, "", "component `{name}`");
    }
    // The look finds what is there: joined by hand with PTRACE, the task container's socket is in sight.
    let join = format!("container:{}", pod.id());
    let seen = docker(&[
        "run",
        "--rm",
        "--label",
        "io.tandem.test=look",
        "--pid",
        &join,
        "--cap-add",
        "SYS_PTRACE",
        &test_image(),
        "sh",
        "-c",
        LOOK,
    ]);
    assert!(seen.text().contains("SEEN /proc/"), "the negative control sees nothing: {}", seen.text());
    pod.stop_clean();
}

#[test]
fn nothing_of_tandem_listens_in_the_network_that_components_share() {
    for args in [&[][..], &["--pids=false", "--ipc=false"][..]] {
        let pod = Pod::plan("listen").args(args).component("app", &idle()).start();
        pod.wait_healthy();
        // The flag __SO_ACCEPTCON; state 0A is LISTEN.
        let unix = pod.exec("app", "awk '$4 == \"00010000\"' /proc/net/unix");
        assert_eq!(unix, "", "unix sockets with {args:?}");
        let tcp = pod.exec("app", "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == \"0A\"'");
        assert_eq!(tcp, "", "TCP sockets with {args:?}");
        pod.stop_clean();
    }
}

#[test]
fn all_volumes_of_the_task_container_are_shared_when_asked_except_the_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("note"), "from the host").expect("written");
    let bind = format!("{}:/bound:ro", folder.path().display());
    let volumes = Volumes::one("data");
    let volume = volumes.name();
    let pod = Pod::plan("volumes")
        .options(&["-v", &bind, "-v", &format!("{volume}:/data")])
        .args(&["--volumes"])
        .component("app", &idle())
        .start();
    pod.wait_running(&["app"]);
    assert_eq!(pod.exec("app", "cat /bound/note"), "from the host");
    assert_eq!(attempt(&["exec", &pod.container("app"), "touch", "/bound/x"]).status, 1, "`ro` stays `ro`");
    pod.exec("app", "echo kept >/data/file");
    assert_eq!(pod.exec("app", LOOK), "");
    let app = pod.component("app").to_string();
    assert!(!app.contains("docker.sock"), "{app}");
    pod.stop_clean();
    let kept =
        docker(&["run", "--rm", "-v", &format!("{volume}:/data"), &test_image(), "cat", "/data/file"]).text();
    assert_eq!(kept, "kept", "volumes of the task container outlive the pod");
}

#[test]
fn volumes_are_not_shared_unless_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let bind = format!("{}:/bound", folder.path().display());
    let pod = Pod::plan("no-volumes").options(&["-v", &bind]).component("app", &idle()).start();
    pod.wait_running(&["app"]);
    assert_eq!(pod.exec("app", "ls -d /bound 2>/dev/null || echo none"), "none");
    pod.stop_clean();
}

#[test]
fn the_manager_holds_no_privileges_and_cannot_be_looked_into() {
    let pod = Pod::plan("harden").component("app", &idle()).start();
    pod.wait_healthy();
    let manager = pod.manager_pid().expect("there is a manager");
    let pause = pod.task()["State"]["Pid"].as_u64().expect("a pid");
    let status =
        |pid: u64, key: &str| on_host(&format!("awk '$1 == \"{key}:\" {{ print $2 }}' /proc/{pid}/status"));
    let manager = u64::from(manager);
    assert_ne!(status(manager, "Uid"), "0");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status(manager, set), "0000000000000000", "{set} of the manager");
    }
    for pid in [manager, pause] {
        assert_eq!(status(pid, "NoNewPrivs"), "1", "pid {pid}");
    }
    // What is not dumpable belongs to root in /proc, whoever runs it.
    assert_eq!(on_host(&format!("stat -c %u /proc/{manager}/environ")), "0");
    pod.stop_clean();
}
