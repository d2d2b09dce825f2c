//! Pods as Swarm services on a host of today: behind the ingress mesh and a virtual address, which are IP_VS, and held to
//! their limits on cgroup v2. The kernels of some test machines have neither. So this program is run by its name alone, as
//! `cargo xtask lab vm` does in a virtual machine, and fails elsewhere. What it needs is what `pod_docker` needs.
#![cfg(feature = "docker-tests")]
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]

#[allow(dead_code, reason = "other tests use the rest")]
mod lab;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use lab::docker::{cgroups, in_cgroups, on_host};
use lab::swarm::{Swarm, UP};
use lab::{manager_image, quoted, test_image, wait};

/// Two pods that each serve a word of their own, published by default: a virtual address, and the ingress mesh. And a pod
/// that asks them.
fn stack(swarm: &Swarm, port: u16) -> String {
    let script =
        "mkdir -p /www; cat /proc/sys/kernel/random/uuid > /www/index.html; exec httpd -f -p 8080 -h /www";
    let web = format!("{{image: {}, command: [sh, -c, {}]}}", test_image(), quoted(script));
    let client = format!("{{image: {}, command: [sleep, '100000'], stop_signal: SIGKILL}}", test_image());
    let service = |app: &str| {
        format!(
            "    image: {}\n    \
                 networks: [mesh]\n    \
                 volumes: ['{}:/var/run/docker.sock']\n    \
                 healthcheck: {{test: [CMD, /pause, health], interval: 2s, timeout: 30s, retries: 5, start_period: 300s}}\n    \
                 labels: {{pod.component.app: {}}}\n",
            manager_image(),
            swarm.socket(),
            quoted(app),
        )
    };
    format!(
        "version: '3.8'\n\
         services:\n  \
           web:\n{}    \
             ports: [{{target: 8080, published: {port}, mode: ingress}}]\n    \
             deploy: {{replicas: 2}}\n  \
           client:\n{}\
         networks:\n  \
           mesh: {{driver: overlay}}\n",
        service(&web),
        service(&client),
    )
}

#[test]
fn pods_answer_through_the_ingress_mesh_and_at_their_services_virtual_address() {
    let mut swarm = Swarm::new();
    assert_eq!(
        on_host("ls /proc/net/ip_vs || true"),
        "/proc/net/ip_vs",
        "this kernel has no IP_VS, so Swarm has no ingress mesh here: `cargo xtask lab vm` has one"
    );
    let port =
        TcpListener::bind("0.0.0.0:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stack.yml");
    std::fs::write(&file, stack(&swarm, port)).expect("written");
    let name = swarm.deploy("ingress", &file);
    let (web, client) = (format!("{name}_web"), format!("{name}_client"));
    for (service, count) in [(&web, 2), (&client, 1)] {
        wait(format!("{count} of `{service}` run"), UP, || {
            let said = swarm.docker(&["service", "ps", "--format", "{{.CurrentState}}", service]);
            (said.lines().filter(|state| state.starts_with("Running")).count() == count).then_some(())
        });
    }
    let ours = format!("label=io.tandem.service={client}");
    let role = "label=io.tandem.role=component";
    let asks = swarm.docker(&["ps", "-q", "--filter", &ours, "--filter", role]);
    let shell = |script: &str| swarm.attempt(&["exec", &asks, "sh", "-c", script]);

    // The name is that of one address for all of the service, which Swarm keeps.
    let about = swarm.docker(&["service", "inspect", &web]);
    let about: Value = serde_json::from_str(&about).expect("JSON");
    let addresses: BTreeSet<String> = about[0]["Endpoint"]["VirtualIPs"]
        .as_array()
        .expect("virtual addresses")
        .iter()
        .filter_map(|one| Some(one["Addr"].as_str()?.split('/').next()?.to_owned()))
        .collect();
    let said = shell("nslookup -type=a web 127.0.0.11").text();
    // The server's own address comes first.
    let found: BTreeSet<&str> = said.lines().filter_map(|line| line.strip_prefix("Address: ")).collect();
    let [address] = found.iter().copied().collect::<Vec<_>>()[..] else {
        panic!("`web` is {found:?}: {said}")
    };
    assert!(addresses.contains(address), "`web` is {address}, and the service has {addresses:?}");

    // From a component of another pod, by either way: each pod answers in its turn.
    for address in [format!("{address}:8080"), format!("{}:{port}", Swarm::address())] {
        let get = format!("for _ in 1 2 3 4; do wget -q -O - http://{address}/ || exit; done");
        wait(format!("both pods answer at {address}"), UP, || {
            let said = shell(&get);
            let text = said.text();
            let pods: BTreeSet<&str> = text.lines().collect();
            (said.status == 0 && pods.len() == 2).then_some(())
        });
    }
    // And from the node itself, as whoever comes from outside.
    let from_here = |_: usize| lab::example::get(&format!("{}:{port}", Swarm::address()));
    let pods: BTreeSet<String> = (0..6).map(from_here).map(|said| said.expect("an answer")).collect();
    assert_eq!(pods.len(), 2, "{pods:?}");

    swarm.docker(&["stack", "rm", &name]);
    swarm.assert_gone(&web);
    swarm.assert_gone(&client);
}

#[test]
fn the_example_of_limits_is_held_to_them_as_a_swarm_service() {
    let mut swarm = Swarm::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/limits/stack.yml");
    let bus = "- /run/dbus/system_bus_socket:/run/dbus/system_bus_socket";
    let text = std::fs::read_to_string(file).expect("the example");
    assert!(text.contains(bus) && text.contains("# - /sys/fs/cgroup:/host/cgroup"), "{text}");
    let text = if cgroups() == ("cgroupfs".to_owned(), 2) {
        text.replace(bus, "").replace("# - /sys/fs/cgroup", "- /sys/fs/cgroup")
    } else {
        assert_eq!(cgroups(), ("systemd".to_owned(), 2), "`cargo xtask lab vm` has cgroup v2");
        text
    };
    let text = text.replace("image: busybox", &format!("image: {}", test_image()));
    let text = text.replace("${DOCKER_SOCK:-/var/run/docker.sock}", swarm.socket());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stack.yml");
    std::fs::write(&file, text).expect("written");
    let name = swarm.deploy("limits", &file);
    let pod = format!("{name}_pod");
    let ours = format!("label=io.tandem.service={pod}");
    let components = wait("both components run", UP, || {
        let said =
            swarm.docker(&["ps", "-q", "--filter", &ours, "--filter", "label=io.tandem.role=component"]);
        let ids: Vec<String> = said.lines().map(str::to_owned).collect();
        (ids.len() == 2).then_some(ids)
    });
    let parents: BTreeSet<String> = components
        .iter()
        .map(|id| swarm.docker(&["inspect", "--format", "{{.HostConfig.CgroupParent}}", id]))
        .collect();
    let parents: Vec<&String> = parents.iter().collect();
    assert!(matches!(parents[..], [one] if one.contains("tandem")), "{parents:?}");
    let of = |file: &str| in_cgroups(&format!("cat /tree/tandem*/*/{file}"));
    assert_eq!(
        (of("memory.max"), of("pids.max"), of("cpu.max")),
        ("67108864".into(), "100".into(), "50000 100000".into())
    );
    swarm.docker(&["stack", "rm", &name]);
    swarm.assert_gone(&pod);
    wait("its cgroup is gone", UP, || in_cgroups("ls -d /tree/tandem*/*/ || true").is_empty().then_some(()));
}
