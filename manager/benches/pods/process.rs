//! What the kernel tells of a process.

use std::fs;
use std::time::Duration;

use tokio::time::sleep;

use crate::engine::Result;

/// The first child of a process: the manager, of a `pause` that supervises.
pub(crate) fn child(pid: u32) -> Result<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().next().ok_or("it has no child")?.parse()?)
}

/// Resident memory in kB.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    number(pid, "status", "VmRSS:")
}

/// The most that its resident memory has been, in kB.
pub(crate) fn peak(pid: u32) -> Result<f64> {
    number(pid, "status", "VmHWM:")
}

/// Memory in kB, what is shared with others divided among them.
pub(crate) fn share(pid: u32) -> Result<f64> {
    number(pid, "smaps_rollup", "Pss:")
}

/// Nanoseconds that its threads have run so far.
pub(crate) fn ran(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += stat.split(' ').next().unwrap_or_default().parse::<f64>()?;
    }
    Ok(sum)
}

/// The processes of these names.
pub(crate) fn named(names: &[&str]) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| names.contains(&name.trim()))
    };
    pids.filter(is).collect()
}

/// Context switches of all its threads so far.
fn switches(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        sum += value(&status, "voluntary_ctxt_switches:")? + value(&status, "nonvoluntary_ctxt_switches:")?;
    }
    Ok(sum)
}

/// Milliseconds that these processes run, and their context switches, in so long a time.
pub(crate) async fn idle(pids: &[u32], time: Duration) -> Result<(f64, f64)> {
    let sum = |of: fn(u32) -> Result<f64>| pids.iter().map(|pid| of(*pid)).sum::<Result<f64>>();
    let (ran_before, switched) = (sum(ran)?, sum(switches)?);
    // What is measured is time.
    sleep(time).await;
    Ok(((sum(ran)? - ran_before) / 1e6, sum(switches)? - switched))
}

fn number(pid: u32, file: &str, key: &str) -> Result<f64> {
    value(&fs::read_to_string(format!("/proc/{pid}/{file}"))?, key)
}

fn value(text: &str, key: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or_else(|| format!("no `{key}`"))?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
}

/// These processes and all that they have started.
pub(crate) fn tree(roots: impl IntoIterator<Item = u32>) -> Result<Vec<u32>> {
    let mut all: Vec<u32> = roots.into_iter().collect();
    let mut next = 0;
    while next < all.len() {
        let pid = all[next];
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        all.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        next += 1;
    }
    Ok(all)
}
