//! The example pod, started as a user would start it, shown working, and gone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::shell::{
    can_install, capture, docker, engine, have, install, quiet, root, step, wait_for,
};
use crate::{bases, cleanup, images};

/// How long the pod may take to become healthy.
const HEALTHY: Duration = Duration::from_secs(120);
/// How long one HTTP answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Show it.
pub(crate) fn run() -> Result<()> {
    crate::engine::ready()?;
    images::build()?;
    bases::examples()?;
    let compose = Compose::find()?;
    let port = free_port()?;
    let compose = Compose { port, ..compose };
    let down = compose.clone();
    cleanup::later(move || {
        let _ = quiet(&mut down.command(&["down", "--volumes", "--timeout", "10"]));
    });
    let result = show(&compose);
    if result.is_err() {
        eprintln!("\n--- the pod's own log ---");
        let _ = crate::shell::run(&mut compose.command(&["logs"]));
    }
    result
}

fn show(compose: &Compose) -> Result<()> {
    step(&format!("start examples/sidecar with {}", compose.name()), || {
        quiet(&mut compose.command(&["up", "-d"]))
    })?;
    let pod = capture(&mut compose.command(&["ps", "-q"]))?;
    step("wait until the pod is healthy", || {
        let format = "{{.State.Status}} {{.State.Health.Status}}";
        wait_for("the pod's health", HEALTHY, || {
            let state = capture(&mut docker(&["inspect", "--format", format, &pod])).ok()?;
            (state == "running healthy" || !state.starts_with("running")).then_some(state)
        })
        .and_then(|state| if state == "running healthy" { Ok(()) } else { bail!("the pod is {state}") })
    })?;
    let port = compose.port;

    eprintln!("\n--- the components, beside the task container ---");
    let filter = format!("label=io.tandem.pod={pod}");
    let columns = "table {{.Names}}\t{{.Status}}\t{{.Label \"io.tandem.role\"}}";
    run_shown(&mut docker(&["ps", "-a", "--filter", &filter, "--format", columns]))?;

    eprintln!("\n--- the app's answer, through the published port of the proxy ---");
    expect(&get(port, "GET", "/seed")?, "200", "sown by init-1")?;
    let first = get(port, "GET", "/")?;
    expect(&first, "200", "hello")?;
    eprintln!("\n--- again: from the cache ---");
    let cached = wait_for("an answer from the cache", ANSWER, || {
        get(port, "GET", "/").ok().filter(|answer| answer.cache == "HIT")
    })?;
    show_answer(&cached);
    eprintln!("\n--- the app breaks: the last good answer ---");
    expect(&get(port, "POST", "/break")?, "200", "true")?;
    let stale = wait_for("a stale answer", ANSWER, || {
        get(port, "GET", "/").ok().filter(|answer| answer.cache == "STALE")
    })?;
    show_answer(&stale);
    if stale.status != "200" || !stale.body.contains("hello") {
        bail!("the stale answer is not the app's last good one");
    }

    step("stop it", || quiet(&mut compose.command(&["down", "--volumes", "--timeout", "10"])))?;
    let containers = capture(&mut docker(&["ps", "-aq", "--filter", &filter]))?;
    let label = format!("label=com.docker.compose.project={}", compose.project());
    let volumes = capture(&mut docker(&["volume", "ls", "-q", "--filter", &label]))?;
    let networks = capture(&mut docker(&["network", "ls", "-q", "--filter", &label]))?;
    for (what, left) in [("containers", &containers), ("volumes", &volumes), ("networks", &networks)] {
        if !left.is_empty() {
            bail!("{what} are left: {left}");
        }
    }
    eprintln!("    nothing is left: no container, no volume, no network");
    Ok(())
}

/// `docker compose`, or its older form.
#[derive(Clone)]
struct Compose {
    words: Vec<&'static str>,
    port: u16,
}

impl Compose {
    fn find() -> Result<Self> {
        if quiet(&mut docker(&["compose", "version"])).is_ok() {
            return Ok(Compose { words: vec!["docker", "compose"], port: 0 });
        }
        if !have("docker-compose") {
            if !can_install() {
                bail!("the demo starts the pod with Compose: install it (`docker compose`)");
            }
            install(&["docker-compose"])?;
        }
        Ok(Compose { words: vec!["docker-compose"], port: 0 })
    }

    fn name(&self) -> String {
        self.words.join(" ")
    }

    /// Several runs may share an engine.
    fn project(&self) -> String {
        format!("tandem-demo-{}", std::process::id())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.words[0]);
        command.args(&self.words[1..]);
        command.args(["-p", &self.project(), "-f"]).arg(root().join("examples/sidecar/compose.yml"));
        command.args(args).env("PORT", self.port.to_string());
        command.envs(engine());
        // The socket of the engine in use, on its own host.
        let host = engine().map(|(_, host)| host.clone()).or_else(|| std::env::var("DOCKER_HOST").ok());
        if let Some(path) = host.as_deref().and_then(|host| host.strip_prefix("unix://")) {
            command.env("DOCKER_SOCK", path);
        }
        command
    }
}

struct Answer {
    status: String,
    cache: String,
    body: String,
}

/// One HTTP request to the published port.
fn get(port: u16, method: &str, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
    let cache = head.lines().find_map(|line| line.strip_prefix("X-Cache: ")).unwrap_or_default();
    Ok(Answer {
        status: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        cache: cache.to_owned(),
        body: body.trim().to_owned(),
    })
}

fn expect(answer: &Answer, status: &str, part: &str) -> Result<()> {
    show_answer(answer);
    if answer.status != status || !answer.body.contains(part) {
        bail!("expected {status} with `{part}` in it");
    }
    Ok(())
}

fn show_answer(answer: &Answer) {
    eprintln!("    {} X-Cache: {} {}", answer.status, answer.cache, answer.body);
}

fn run_shown(command: &mut Command) -> Result<()> {
    for line in capture(command)?.lines() {
        eprintln!("    {line}");
    }
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
