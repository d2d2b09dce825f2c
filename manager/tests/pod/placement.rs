//! Where the shared namespaces live: `--pause`.

use serde_json::Value;

use crate::lab::docker::{docker, socket};
use crate::lab::pod::Pod;
use crate::lab::{idle, test_image};

fn modes(container: &Value) -> (String, String) {
    let mode = |key: &str| container["HostConfig"][key].as_str().unwrap_or_default().to_owned();
    (mode("PidMode"), mode("IpcMode"))
}

#[test]
fn by_default_a_sandbox_holds_pids_and_ipc() {
    for args in [&[][..], &["--pause", "auto"][..], &["--pause=sandbox"][..]] {
        let pod = Pod::plan("auto").args(args).component("app", &idle()).start();
        pod.wait_running(&["app"]);
        let sandbox = pod.sandbox().expect("there is a sandbox");
        let holder = format!("container:{}", sandbox["Id"].as_str().expect("an id"));
        assert_eq!(modes(&pod.component("app")), (holder.clone(), holder), "{args:?}");
        assert_eq!(sandbox["Config"]["Labels"]["io.tandem.role"], "sandbox");
        assert_eq!(sandbox["Config"]["Labels"]["io.tandem.pod"], pod.id());
        assert_eq!(sandbox["HostConfig"]["NetworkMode"], format!("container:{}", pod.id()).as_str());
        assert_eq!(sandbox["Mounts"].as_array().map(Vec::len), Some(0), "the sandbox holds nothing");
        pod.stop_clean();
    }
}

#[test]
fn a_pod_that_shares_only_the_network_has_no_sandbox() {
    for args in [&["--pids=false", "--ipc=false"][..], &["-pids=false", "-ipc=false", "--pause", "task"][..]]
    {
        let pod = Pod::plan("network-only").args(args).component("app", &idle()).start();
        pod.wait_running(&["app"]);
        assert!(pod.sandbox().is_none(), "{args:?}");
        assert_eq!(modes(&pod.component("app")).0, "", "{args:?}");
        pod.stop_clean();
    }
}

#[test]
fn pids_of_the_task_container_are_refused_where_that_shows_the_socket() {
    let (said, pod) =
        Pod::plan("task-refused").args(&["--pause", "task", "--ipc=false"]).component("app", &idle()).run();
    assert_eq!(said.status, 64, "{}", said.error());
    for words in ["--pause task", "DAC_OVERRIDE", "--pause sandbox", "--pids=false"] {
        assert!(said.error().contains(words), "`{words}` is not in: {}", said.error());
    }
    pod.assert_nothing_left();
}

#[test]
fn ipc_of_a_task_container_that_is_private_is_refused() {
    let (said, pod) =
        Pod::plan("ipc-refused").args(&["--pause", "task", "--pids=false"]).component("app", &idle()).run();
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("--ipc=false"), "{}", said.error());
    pod.assert_nothing_left();
}

#[test]
fn the_task_container_shares_its_own_namespaces_where_that_shows_nothing() {
    let gid = docker(&[
        "run",
        "--rm",
        "-v",
        &format!("{}:/socket", socket().display()),
        &test_image(),
        "stat",
        "-c",
        "%g",
        "/socket",
    ])
    .text();
    let user = format!("65529:{gid}");
    for options in [&["--cap-drop", "DAC_OVERRIDE"][..], &["--user", &user][..]] {
        let spin = r#"
            end=$(($(date +%s) + 7))
            while [ $(date +%s) -lt $end ]; do
                for p in /proc/[0-9]*; do
                    [ -S $p/root/var/run/docker.sock ] && echo "SEEN $p"
                done
            done
            exit 0
        "#;
        let pod = Pod::plan("task")
            .args(&["--pause", "task"])
            .options(options)
            .options(&["--ipc", "shareable", "--health-interval", "300ms"])
            .component("app", &idle())
            .start();
        pod.wait_running(&["app"]);
        assert!(pod.sandbox().is_none());
        let own = format!("container:{}", pod.id());
        assert_eq!(modes(&pod.component("app")), (own.clone(), own));
        // Health checks run in the meantime, each a fresh process beside the component.
        assert_eq!(pod.exec("app", spin), "", "{options:?}");
        assert!(pod.exec("app", "ps").contains("pause"), "{options:?}");
        pod.wait_healthy();
        pod.stop_clean();
    }
}
