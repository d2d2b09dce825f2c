//! The task's limits: for the sum of its components where something can hold it, else for each.
//!
//! What can hold it depends on the engine: these tests ask it, and prove what is promised there.

use crate::lab::docker::{attempt, cgroups, docker, in_cgroups, labelled, on_host};
use crate::lab::pod::{Agent, Plan, Pod};
use crate::lab::proxy::Verdict;
use crate::lab::{LONG, idle, script, test_image, wait};

use serde_json::Value;

/// Keeps 60 MB of memory, from when it has said so.
const HOLD: &str =
    "(head -c 60000000 /dev/zero; echo >/tmp/holds; exec sleep 100000) | exec tail -c 60000000";
/// Starts 40 processes.
const SPAWN: &str = "i=0; while [ $i -lt 40 ]; do sleep 100000 & i=$((i+1)); done";
/// What the warning says.
const WARNING: &str = "hold for each component by itself, not for their sum";

/// Options of `docker run` that give a manager what it takes to hold a pod, where it takes anything.
fn means() -> Vec<&'static str> {
    match cgroups() {
        (driver, _) if driver == "systemd" => {
            vec!["-v", "/run/dbus/system_bus_socket:/run/dbus/system_bus_socket"]
        }
        (_, 1) => Vec::new(),
        _ => vec!["-v", "/sys/fs/cgroup:/host/cgroup"],
    }
}

/// With these options the sum is held.
fn holds(options: &[&str]) -> bool {
    !options.is_empty() || cgroups() == ("cgroupfs".to_owned(), 1)
}

/// Without means, and with them where they are something else.
fn ways() -> Vec<Vec<&'static str>> {
    let means = means();
    if means.is_empty() { vec![means] } else { vec![Vec::new(), means] }
}

fn two(hint: &str, options: &[&str]) -> Plan {
    Pod::plan(hint).options(options).component("a", &idle()).component("b", &idle())
}

/// Cgroups of this pod that are there, on the engine's host.
fn cgroups_of(pod: &str) -> String {
    let pod = &pod[..12];
    in_cgroups(&format!("find /tree -type d -name '*{pod}*' | sort"))
}

/// What a file of the pod's own cgroup says.
fn limit_of(pod: &Pod, file: &str) -> String {
    in_cgroups(&format!("cat /tree/tandem*/*{}*/{file}", &pod.id()[..12]))
}

fn warnings(pod: &Pod) -> usize {
    pod.logs().1.matches(WARNING).count()
}

/// How often this program runs in a component.
fn running(pod: &Pod, component: &str, program: &str) -> usize {
    let said = docker(&["top", &pod.container(component), "-eo", "pid,args"]).text();
    said.lines().filter(|line| line.split_whitespace().nth(1) == Some(program)).count()
}

#[test]
fn components_that_together_take_more_memory_than_the_task_has_are_stopped_where_the_sum_is_held() {
    for options in ways() {
        let limit = ["--memory=96m", "--memory-swap=96m"];
        let pod = two("memory", &[&limit[..], &options].concat()).args(&["--pids=false"]).start();
        pod.wait_healthy();
        let hold = |component: &str| {
            docker(&["exec", "-d", &pod.container(component), "sh", "-c", HOLD]);
        };
        let full = |component: &str| {
            let look = "test -e /tmp/holds && pidof tail";
            attempt(&["exec", &pod.container(component), "sh", "-c", look]).status == 0
        };
        hold("a");
        wait("one alone has what it asks for", LONG, || full("a").then_some(()));
        hold("b");
        if holds(&options) {
            wait("the kernel ends one of both", LONG, || {
                let left = ["a", "b"].iter().filter(|one| running(&pod, one, "tail") > 0).count();
                (left < 2).then_some(())
            });
        } else {
            wait("each has what the task may have", LONG, || (full("a") && full("b")).then_some(()));
        }
        // A component goes on without the process that was too much.
        pod.stop_clean();
    }
}

#[test]
fn components_that_together_start_more_processes_than_the_task_may_have_are_refused_some_where_the_sum_is_held()
 {
    for options in ways() {
        let pod = two("pids", &[&["--pids-limit=60"][..], &options].concat()).start();
        pod.wait_healthy();
        let spawn = |component: &str| attempt(&["exec", &pod.container(component), "sh", "-c", SPAWN]);
        assert_eq!(spawn("a").status, 0, "one alone has what it asks for");
        let second = spawn("b");
        if holds(&options) {
            assert!(second.error().contains("fork"), "{} {}", second.status, second.error());
        } else {
            assert_eq!(second.status, 0, "each has what the task may have: {}", second.error());
        }
        pod.stop_clean();
    }
}

#[test]
fn components_that_together_burn_more_than_the_tasks_cpus_are_throttled_where_the_sum_is_held() {
    for options in ways().into_iter().filter(|options| holds(options)) {
        // Each alone stays below what the task has, whatever it does.
        let burning = format!("{}cpus: 0.2\nstop_signal: SIGKILL\n", script("while :; do :; done"));
        let pod = Pod::plan("cpu")
            .options(&[&["--cpus=0.3"][..], &options].concat())
            .component("a", &burning)
            .component("b", &burning)
            .start();
        pod.wait_healthy();
        let stat = || {
            if cgroups().1 > 1 {
                return limit_of(&pod, "cpu.stat");
            }
            in_cgroups(&format!("cat $(find /tree/cpu/ -type d -name {})/cpu.stat", pod.id()))
        };
        wait("the kernel throttles both together", LONG, || {
            let text = stat();
            let throttled = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
            let throttled: u64 = throttled.expect("cgroups count it").parse().expect("a number");
            (throttled > 0).then_some(())
        });
        pod.stop_clean();
    }
}

#[test]
fn under_baseline_limits_of_components_add_up_to_the_tasks_where_nothing_limits_the_sum() {
    let limits = ["--memory=96m", "--cpus=0.5", "--pids-limit=80"];
    for options in ways() {
        let plan = |hint: &str, own: &str| {
            let component = format!("{}{own}", idle());
            Pod::plan(hint)
                .options(&[&limits[..], &options].concat())
                .args(&["--policy=baseline"])
                .component("a", &component)
                .component("b", &component)
        };
        let fits = plan("sum-fits", "mem_limit: 48m\ncpus: 0.25\npids_limit: 40\n").start();
        fits.wait_healthy();
        assert_eq!(warnings(&fits), 0, "the limits hold for the sum");
        fits.stop_clean();

        let pod = plan("sum-much", "mem_limit: 64m\ncpus: 0.25\n").start();
        if holds(&options) {
            pod.wait_healthy();
            pod.stop_clean();
            continue;
        }
        assert_eq!(pod.wait_end().status, 64);
        pod.wait_said(
            "`mem_limit`: found 128 MiB in all components that run at once, and the task has 96 MiB",
        );
        pod.wait_said("`pids_limit`: found 160 processes");
        assert!(!pod.logs().1.contains("`cpus`: found"), "0.5 CPUs are what the task has");
        pod.assert_nothing_left();
    }
}

#[test]
fn where_nothing_holds_the_sum_each_component_is_capped_and_one_warning_says_what_is_missing() {
    for options in ways() {
        let limits = ["--memory=96m", "--cpus=0.5", "--pids-limit=80"];
        let pod = Pod::plan("caps")
            .options(&[&limits[..], &options].concat())
            .component("app", &idle())
            .component("small", &format!("{}mem_limit: 32m\ncpus: 0.25\npids_limit: 20\n", idle()))
            .label("pod.init.components", &format!("- image: {}\n  command: ['true']\n", test_image()))
            .start();
        pod.wait_healthy();
        let host = |container: &Value| {
            let host = &container["HostConfig"];
            let number = |key: &str| host[key].as_i64().unwrap_or_default().max(0);
            (number("Memory"), number("NanoCpus"), number("PidsLimit"))
        };
        let parent =
            pod.component("app")["HostConfig"]["CgroupParent"].as_str().unwrap_or_default().to_owned();
        assert_eq!(host(&pod.component("small")), (32 << 20, 250_000_000, 20));
        if holds(&options) {
            assert_eq!(host(&pod.component("app")), (0, 0, 0));
            assert_eq!(warnings(&pod), 0);
            assert!(parent.contains(&pod.id()[..12]), "{parent}");
        } else {
            assert_eq!(host(&pod.component("app")), (96 << 20, 500_000_000, 80));
            assert_eq!(host(&pod.component("init-1")), (96 << 20, 500_000_000, 80));
            assert_eq!(warnings(&pod), 1, "{}", pod.logs().1);
            assert_eq!(parent, "", "a parent that nobody could remove would stay");
        }
        pod.stop_clean();
    }
}

#[test]
fn the_pods_cgroup_has_the_tasks_limits_and_goes_with_the_pod() {
    let means = means();
    let limits = ["--memory=96m", "--memory-swap=128m", "--cpus=0.5", "--pids-limit=80"];
    let pod = Pod::plan("cgroup")
        .options(&[&limits[..], &means].concat())
        .component("app", &format!("{}mem_limit: 32m\n", idle()))
        .start();
    pod.wait_healthy();
    if means.is_empty() {
        let memory = |pid: &Value| on_host(&format!("sed -n 's/.*:memory://p' /proc/{pid}/cgroup"));
        let (task, own) =
            (memory(&pod.task()["State"]["Pid"]), memory(&pod.component("app")["State"]["Pid"]));
        assert!(own.starts_with(&format!("{task}/")), "`{own}` is not below `{task}`");
    } else {
        let limited = || {
            assert_eq!(limit_of(&pod, "memory.max"), (96 << 20).to_string());
            assert_eq!(limit_of(&pod, "memory.swap.max"), (32 << 20).to_string());
            assert_eq!(limit_of(&pod, "cpu.max"), "50000 100000");
            assert_eq!(limit_of(&pod, "pids.max"), "80");
        };
        limited();
        // The next manager finds it there.
        pod.crash_manager("KILL");
        wait("there is another manager", LONG, || pod.manager_pid());
        pod.wait_healthy();
        limited();
        assert_eq!(warnings(&pod), 0, "{}", pod.logs().1);
    }
    pod.stop_clean();
    let id = pod.id().to_owned();
    drop(pod);
    wait("no cgroup of the pod is left", LONG, || cgroups_of(&id).is_empty().then_some(()));
}

#[test]
fn what_a_killed_pod_leaves_of_cgroups_the_next_manager_removes() {
    let options = [&["--memory=96m"][..], &means()].concat();
    let pod = Pod::plan("killed").options(&options).component("app", &idle()).start();
    pod.wait_healthy();
    let id = pod.id().to_owned();
    docker(&["kill", "-s", "KILL", pod.id()]);
    // As Swarm does in the end, with everything that it knows of.
    docker(&["rm", "-f", pod.id()]);
    let next = Pod::plan("next").options(&options).component("app", &idle()).start();
    wait("the containers are swept", LONG, || {
        labelled(&format!("io.tandem.pod={id}")).is_empty().then_some(())
    });
    // cgroup v1 keeps the task's own, empty: DESIGN.md says so.
    if !means().is_empty() {
        wait("the cgroup is swept", LONG, || cgroups_of(&id).is_empty().then_some(()));
    }
    assert!(next.task()["State"]["Running"] == true);
    next.stop_clean();
}

#[test]
fn an_agent_holds_each_of_its_pods_and_what_it_makes_when_it_is_confined_goes_too() {
    // What a slow machine takes to remove a pod is no failure of it.
    let agent = Agent::start(&means(), &["--stop-timeout=30s"]);
    agent.wait_healthy();
    let limits = ["--memory=96m", "--pids-limit=60"];
    let pod = two("held", &limits).agent(agent.name()).start();
    pod.wait_running(&["a", "b"]);
    if !means().is_empty() {
        assert_eq!(limit_of(&pod, "memory.max"), (96 << 20).to_string());
        assert_eq!(limit_of(&pod, "pids.max"), "60");
    }
    let spawn = |component: &str| attempt(&["exec", &pod.container(component), "sh", "-c", SPAWN]);
    assert_eq!(spawn("a").status, 0);
    assert!(spawn("b").error().contains("fork"));
    assert!(!agent.logs().contains(WARNING), "{}", agent.logs());
    pod.stop_clean();
    wait("its cgroup is gone", LONG, || {
        // The task container has one too, as long as it is there.
        (!cgroups_of(pod.id()).lines().any(|path| path.contains("tandem"))).then_some(())
    });
    assert!(!agent.logs().contains("is left"), "{}", agent.logs());
}

#[test]
fn a_component_that_asks_for_more_than_the_task_has_is_refused_before_anything_is_made() {
    let (said, pod) = Pod::plan("excess")
        .options(&["--memory=64m", "--cpus=0.5"])
        .component("app", &format!("{}mem_limit: 128m\ncpus: 1\n", idle()))
        .run();
    assert_eq!(said.status, 64, "{}", said.error());
    for words in
        ["`mem_limit`: found 128 MiB, and the task has 64 MiB", "`cpus`: found 1 CPUs, and the task has 0.5"]
    {
        assert!(said.error().contains(words), "{}", said.error());
    }
    pod.assert_nothing_left();
}

#[test]
fn what_the_manager_limits_with_reaches_no_component() {
    let look = script("ls -d /run/dbus/system_bus_socket /host/cgroup; exit 3");
    let mounts = [
        "-v",
        "/run/dbus/system_bus_socket:/run/dbus/system_bus_socket",
        "-v",
        "/sys/fs/cgroup:/host/cgroup",
    ];
    // The engine would make a folder of a path that is not there; where systemd is the driver it is.
    let mounts = if cgroups().0 == "systemd" { &mounts[..] } else { &mounts[2..] };
    let (said, _pod) =
        Pod::plan("shared").options(mounts).args(&["--volumes", "--logs"]).component("app", &look).run();
    assert_eq!(said.status, 3, "{}", said.error());
    assert_eq!(said.text(), "", "neither is there");
    let refused = |plan: Plan, path: &str, words: &str| {
        let (said, pod) = plan.component("app", &format!("{look}volumes: ['{path}:/x']\n")).run();
        assert_eq!(said.status, 64, "{path}: {}", said.error());
        for words in [path, words] {
            assert!(said.error().contains(words), "`{words}`: {}", said.error());
        }
        pod.assert_nothing_left();
    };
    for path in ["/run/dbus", "/var/run/dbus/system_bus_socket", "/run/systemd", "/sys/fs/cgroup"] {
        refused(Pod::plan("bind"), path, "--allow ");
        let typed = Pod::plan("bind").args(&[&format!("--allow=host-paths={path}")]);
        refused(typed, path, "--allow engine-socket");
    }
    // The same bind in the task container gives it to no component either.
    refused(Pod::plan("bind").options(mounts), "/sys/fs/cgroup", "--allow engine-socket");
}

#[test]
fn a_link_on_the_host_to_what_runs_it_is_refused_until_the_operator_has_typed_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().join("run/dbus");
    std::fs::create_dir_all(&real).expect("a folder");
    let _bus = std::os::unix::net::UnixListener::bind(real.join("system_bus_socket")).expect("a socket");
    let link = |name: &str, to: &std::path::Path| {
        let path = folder.path().join(name);
        std::os::unix::fs::symlink(to, &path).expect("a link");
        path.display().to_string()
    };
    let links = [link("a", &real), link("b", &folder.path().join("run")), link("c", folder.path())];
    let plan = |path: &str| {
        let keys = format!("{}volumes: ['{path}:/x']\n", script("ls -R /x; exit 3"));
        Pod::plan("link").component("app", &keys)
    };
    for path in &links {
        let (said, pod) = plan(path).proxied(|_| Verdict::Pass).run();
        assert_eq!(said.status, 64, "{path}: {}", said.error());
        let words = format!("--allow host-paths={path}");
        assert!(said.error().contains(&words), "{path}: {}", said.error());
        assert_eq!(pod.proxy().changes(), Vec::<String>::new(), "{path}");
    }
    let exact = format!("host-paths={}", links[0]);
    for allowed in ["host-paths", &exact] {
        let (said, _pod) = plan(&links[0]).args(&["--allow", allowed]).run();
        assert_eq!(said.status, 3, "allowed by `{allowed}`: {}", said.error());
    }
}
