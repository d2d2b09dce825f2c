//! The example pod: started as a user would start it, shown working, stopped, and shown to have left nothing. Whatever is
//! shown is also checked.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::compose::Project;
use crate::engine::Engine;
use crate::http::{Answer, request};
use crate::process::until;
use crate::report::{step, tail};
use crate::workspace::Workspace;
use crate::{examples, images, process};

/// How long the pod may take to become healthy.
const HEALTHY: Duration = Duration::from_secs(120);
/// How long the cache may take to do what it is expected to.
const CACHE: Duration = Duration::from_secs(20);

/// Build everything, then show it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let engine = Engine::find(workspace)?;
    images::build(workspace, &engine)?;
    examples::build(workspace, &engine)?;
    show(workspace, &engine)
}

/// Show it with the images that the engine has.
pub(crate) fn show(workspace: &Workspace, engine: &Engine) -> Result<()> {
    // Free now, and for the moment until Compose takes it.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut project = Project::new(workspace, engine, port)?;
    let result = story(engine, &mut project);
    if result.is_err() {
        let logs = crate::interrupt::shielded(|| project.logs()).unwrap_or_else(|error| format!("{error:#}"));
        eprintln!("\n--- the pod's log ends with ---\n{}", tail(&logs, 60));
    }
    result
}

fn story(engine: &Engine, project: &mut Project) -> Result<()> {
    step(&format!("{} up -d   (examples/sidecar)", project.typed()), || project.up())?;
    let pod = project.container("pod")?;
    step("wait until the pod is healthy", || healthy(engine, &pod))?;

    title("docker ps: the task container, the sandbox, and the components");
    let name = engine.ask(["inspect", "--format", "{{.Name}}", &pod])?;
    let name = name.trim_start_matches('/');
    components(engine, &pod, name)?;

    let url = format!("http://127.0.0.1:{}", project.port);
    title(&format!("GET {url}/   the app listens on 127.0.0.1 inside the pod; the proxy answers for it"));
    let first = until("the proxy", CACHE, || {
        Ok(request(project.port, "GET", "/").ok().filter(|answer| answer.status == "200"))
    })?;
    shown(&first, "200", "seeded by init-1")?;

    title("the same again: from the proxy's cache");
    let hit = cache_says(project.port, "HIT")?;
    shown(&hit, "200", "hello")?;

    title("POST /fail   from now on the app answers 500");
    shown(&request(project.port, "POST", "/fail")?, "200", "true")?;

    title("GET /   the proxy serves the last good answer");
    let stale = cache_says(project.port, "STALE")?;
    shown(&stale, "200", "hello")?;

    title("POST /recover, GET /   and a new one again");
    shown(&request(project.port, "POST", "/recover")?, "200", "false")?;
    let fresh = until("an answer of the app", CACHE, || {
        let answer = request(project.port, "GET", "/")?;
        Ok((answer.cache != "STALE" && answer.body != stale.body).then_some(answer))
    })?;
    shown(&fresh, "200", "hello")?;

    eprintln!();
    step(&format!("{} down --volumes", project.typed()), || project.down())?;
    step("look for anything that is left", || nothing_left(engine, &project.name, &pod, name))
}

/// The engine's word for it, by the image's HEALTHCHECK.
fn healthy(engine: &Engine, pod: &str) -> Result<()> {
    until("a healthy pod", HEALTHY, || {
        let state = engine.ask(["inspect", "--format", "{{.State.Status}} {{.State.Health.Status}}", pod])?;
        match state.as_str() {
            "running healthy" => Ok(Some(())),
            "running starting" | "running unhealthy" | "created starting" => Ok(None),
            other => bail!("the pod is {other}"),
        }
    })
}

/// List them, and see that all are there.
fn components(engine: &Engine, pod: &str, name: &str) -> Result<()> {
    let format = "{{.Names}}\t{{.Image}}\t{{.Status}}\t{{.Label \"io.tandem.role\"}}";
    let mut rows = vec!["NAME\tIMAGE\tSTATUS\tROLE".to_owned()];
    for filter in [format!("id={pod}"), format!("label=io.tandem.pod={pod}")] {
        let list = engine.ask(["ps", "--filter", &filter, "--format", format])?;
        rows.extend(list.lines().map(str::to_owned));
    }
    let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.split('\t').collect()).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max();
    for row in &rows {
        let cells = row.iter().enumerate();
        let cells = cells.map(|(at, cell)| format!("{cell:width$}", width = width(at).unwrap_or_default()));
        println!("{}", cells.collect::<Vec<_>>().join("   ").trim_end());
    }
    for part in [".podlike.app", ".podlike.proxy", ".pause"] {
        let part = format!("{name}{part}");
        if !rows.iter().any(|row| row[0] == part) {
            bail!("`{part}` is not running");
        }
    }
    Ok(())
}

/// Ask until the proxy's cache says so. What it keeps expires after two seconds, so it may take a few questions.
fn cache_says(port: u16, word: &str) -> Result<Answer> {
    until(&format!("an answer with `X-Cache: {word}`"), CACHE, || {
        let answer = request(port, "GET", "/")?;
        Ok((answer.cache == word).then_some(answer))
    })
}

/// Show an answer, and hold it to what it should be.
fn shown(answer: &Answer, status: &str, part: &str) -> Result<()> {
    let cache = if answer.cache.is_empty() { String::new() } else { format!("   X-Cache: {}", answer.cache) };
    println!("HTTP {}{cache}   {}", answer.status, answer.body);
    if answer.status != status || !answer.body.contains(part) {
        bail!("expected {status} and `{part}` in the answer");
    }
    Ok(())
}

/// No container, volume or network of the project or the pod.
fn nothing_left(engine: &Engine, project: &str, pod: &str, name: &str) -> Result<()> {
    let label = format!("label=com.docker.compose.project={project}");
    let component = format!("label=io.tandem.pod={pod}");
    let named = format!("name={name}");
    let mut left = Vec::new();
    for (kind, filters) in [
        ("container", vec![&label, &component, &named]),
        ("volume", vec![&label, &component]),
        ("network", vec![&label, &component]),
    ] {
        for filter in filters {
            let list: &[&str] = if kind == "container" { &["container", "ls", "-a"] } else { &[kind, "ls"] };
            let mut ask = engine.docker(list.iter().copied());
            let found = process::captured(ask.args(["-q", "--filter", filter]), process::SHORT)
                .with_context(|| format!("cannot list each {kind}"))?;
            left.extend(found.lines().map(|id| format!("{kind} {id}")));
        }
    }
    if !left.is_empty() {
        bail!("left behind: {}", left.join(", "));
    }
    println!("nothing is left: no container, no volume, no network");
    Ok(())
}

fn title(text: &str) {
    println!("\n--- {text}");
}
