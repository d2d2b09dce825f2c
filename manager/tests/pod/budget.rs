//! What Tandem costs.

use crate::lab::docker::{docker, on_host};
use crate::lab::pod::Pod;
use crate::lab::{manager_image, script};

#[test]
fn the_managers_image_is_at_most_six_megabytes() {
    let size = docker(&["image", "inspect", &manager_image(), "--format", "{{.Size}}"]).text();
    let size: u64 = size.parse().expect("a number");
    assert!(size <= 6_000_000, "{size} bytes");
}

#[test]
fn the_manager_of_ten_components_takes_at_most_5750_kilobytes() {
    let names: Vec<String> = (0..10).map(|number| format!("component-{number}")).collect();
    let chatty = script("while :; do echo a line of some length, as a log has them; sleep 1; done");
    let yaml = format!("{chatty}stop_signal: SIGKILL\nhealthcheck: {{test: [CMD, 'true'], interval: 5s}}\n");
    let mut plan = Pod::plan("memory").args(&["--logs"]);
    for name in &names {
        plan = plan.component(name, &yaml);
    }
    let pod = plan.start();
    pod.wait_running(&names.iter().map(String::as_str).collect::<Vec<_>>());
    pod.wait_healthy();
    let manager = pod.manager_pid().expect("there is a manager");
    let resident = on_host(&format!("awk '$1 == \"VmRSS:\" {{ print $2 }}' /proc/{manager}/status"));
    let resident: u64 = resident.parse().expect("a number");
    println!("resident memory of the manager with ten components: {resident} kB");
    assert!(resident <= 5_750, "{resident} kB");
    let pause = pod.task()["State"]["Pid"].as_u64().expect("a pid");
    let resident = on_host(&format!("awk '$1 == \"VmRSS:\" {{ print $2 }}' /proc/{pause}/status"));
    println!("resident memory of pause: {resident} kB");
    assert!(resident.parse::<u64>().expect("a number") <= 48, "{resident} kB");
    pod.stop_clean();
}
