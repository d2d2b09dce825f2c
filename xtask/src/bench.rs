//! Sizes and memory, as measured on this machine.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::shell::{capture, docker, quiet, step, target, wait_for};
use crate::{bases, cleanup, engine, images};

/// Components of the pod that is measured.
const COMPONENTS: usize = 10;
/// How long an idle program is watched.
const IDLE: Duration = Duration::from_secs(10);

/// Measure, print, and write `target/bench.json`.
pub(crate) fn run() -> Result<()> {
    engine::ready()?;
    let dist = images::build()?;
    bases::busybox()?;
    let name = format!("tandem-bench-{}", std::process::id());
    let pod = start(&name)?;
    let format = "{{.State.Health.Status}}";
    step(&format!("wait until a pod of {COMPONENTS} components is healthy"), || {
        wait_for("the pod's health", Duration::from_secs(120), || {
            let health = capture(&mut docker(&["inspect", "--format", format, &pod])).ok()?;
            (health == "healthy").then_some(())
        })
    })?;
    let pause = capture(&mut docker(&["inspect", "--format", "{{.State.Pid}}", &pod]))?;
    let manager = children(&pause)?.into_iter().next().context("pause has no child")?;
    let before = (switches(&pause)?, switches(&manager)?);
    step(&format!("watch it idle for {} s", IDLE.as_secs()), || {
        std::thread::sleep(IDLE);
        Ok(())
    })?;
    let after = (switches(&pause)?, switches(&manager)?);
    let figures = [
        ("pause: file, bytes", fs::metadata(dist.join("pause"))?.len()),
        ("pause: image, bytes", bases::size("tandem/pause:latest")?),
        ("pause: resident, kB", status(&pause, "VmRSS:")?),
        ("pause: context switches in 10 s at rest", after.0 - before.0),
        ("manager: file, bytes", fs::metadata(dist.join("manager"))?.len()),
        ("manager: image, bytes", bases::size("tandem/manager:latest")?),
        ("manager: resident with 10 components, kB", status(&manager, "VmRSS:")?),
        ("manager: context switches in 10 s at rest", after.1 - before.1),
    ];
    println!("| what | measured |\n|---|---|");
    for (what, figure) in figures {
        println!("| {what} | {figure} |");
    }
    let json: serde_json::Map<String, serde_json::Value> =
        figures.into_iter().map(|(what, figure)| (what.to_owned(), json!(figure))).collect();
    let path = target().join("bench.json");
    fs::write(&path, serde_json::to_string_pretty(&json)? + "\n")?;
    eprintln!("    written to {}", path.display());
    Ok(())
}

/// A pod of sleepers; gone at the end.
fn start(name: &str) -> Result<String> {
    let mut words: Vec<String> = ["run", "-d", "--name", name].map(str::to_owned).into();
    let host = crate::shell::engine().map(|(_, host)| host.clone()).or_else(|| std::env::var("DOCKER_HOST").ok());
    let socket = host.as_deref().and_then(|host| host.strip_prefix("unix://")).unwrap_or("/var/run/docker.sock");
    words.push(format!("-v={socket}:/var/run/docker.sock"));
    for number in 0..COMPONENTS {
        words.push(format!(
            "--label=pod.component.c{number}={{image: \"{}\", command: [sleep, \"1000000\"]}}",
            bases::BUSYBOX
        ));
    }
    words.extend(["tandem/manager:latest", "--logs"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let owned = name.to_owned();
    cleanup::later(move || {
        let _ = quiet(&mut docker(&["stop", "--time", "10", &owned]));
        let _ = quiet(&mut docker(&["rm", "-fv", &owned]));
    });
    capture(&mut docker(&words))
}

fn children(pid: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

fn switches(pid: &str) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("status"))?;
        for line in text.lines().filter(|line| line.contains("ctxt_switches")) {
            sum += line.split_whitespace().nth(1).context("no figure")?.parse::<u64>()?;
        }
    }
    Ok(sum)
}

fn status(pid: &str, key: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
    Ok(line.split_whitespace().next().context("no figure")?.parse()?)
}
