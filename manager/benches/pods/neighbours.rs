//! One agent for all pods of a node, some of them hostile: what the others feel of it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::agent::{AT_ONCE, all_begun, bare, end};
use crate::engine::{Engine, LIMIT, Result, is_component};
use crate::process::{child, peak};
use crate::stats::{Figure, Goal};
use crate::ways::manager;
use crate::{BUSYBOX, Bench, PAUSE};

/// Pods that mean no harm, and what is tried of hostile ones.
const FRIENDLY: usize = 40;
/// What a hostile pod may take of the CPUs, in billionths.
const CPUS: u64 = 200_000_000;
/// Pods whose health is waited for, one after the other.
const WATCHED: usize = 5;
/// How long hostile pods are at it before anything is measured.
const AT_IT: Duration = Duration::from_secs(10);
/// How many times as long anything may take beside them.
const TIMES: f64 = 2.0;
/// How much later a pod may start beside them, ms.
const LATER: f64 = 1000.0;
/// Memory of the agent, kB.
const MEMORY: f64 = 64.0 * 1024.0;

const HOW: &str = "an agent that runs nine hostile pods beside them, each limited to 0.2 CPUs: a crash loop, ten health checks a \
                   second, an init component that does not end, a registry that is silent, a component that ignores TERM, \
                   labels of 900 kB that are wrong and read again and again, a chain of 20, one that is unhealthy, and 32 \
                   hooks at each restart";
const HOW_FLOOD: &str = "the same, and a tenth hostile pod whose component prints `y` lines as fast as it can within 0.2 CPUs; \
                         beside a plain container that does the same. The engine spends a whole CPU on such output, \
                         whoever started the container";

/// What the friendly pods run beside.
#[derive(Clone, Copy)]
struct Scene {
    /// Nine hostile pods.
    hostile: bool,
    flood: Flood,
}

/// Who floods the engine with output.
#[derive(Clone, Copy, PartialEq)]
enum Flood {
    Nobody,
    /// A container that no pod has anything to do with.
    Container,
    Pod,
}

/// What friendly pods feel beside hostile ones, and in the scene that this is compared with.
struct Felt {
    title: &'static str,
    /// The name of the scene without hostile pods.
    without: &'static str,
    how: &'static str,
    start: Figure,
    one_more: Figure,
    health: Figure,
    stop: Figure,
}

impl Felt {
    fn new(title: &'static str, without: &'static str, how: &'static str) -> Self {
        let figure = |what: &str| Figure::new("agent", format!("{title}: {what}"), "ms", how);
        let (start, one_more) = (figure("start, each"), figure("start of one more"));
        Felt { title, without, how, start, one_more, health: figure("healthy"), stop: figure("stop, each") }
    }

    fn print(&self) {
        for figure in [&self.start, &self.one_more, &self.health, &self.stop] {
            figure.print(&[Goal::Times(TIMES, self.without)]);
        }
        let (Some(beside), Some(without)) = (self.one_more.of("agent"), self.one_more.of(self.without))
        else {
            return;
        };
        let mut later =
            Figure::new("agent", format!("{}: one more starts later by", self.title), "ms", self.how);
        later.add("agent", (beside - without).max(0.0));
        later.print(&[Goal::AtMost(LATER)]);
    }
}

pub(crate) async fn measure(bench: &Bench) -> Result<()> {
    let mut felt = [
        (Flood::Nobody, Flood::Nobody, Felt::new("beside hostile pods", "alone", HOW)),
        (
            Flood::Pod,
            Flood::Container,
            Felt::new("beside hostile pods, one floods", "beside a container that floods", HOW_FLOOD),
        ),
    ];
    let mut memory =
        Figure::new("agent", "beside hostile pods: memory of the agent".to_owned(), "kB", HOW_FLOOD);
    for run in 0..bench.runs.min(2) {
        for (with, without, felt) in &mut felt {
            let beside = (Scene { hostile: true, flood: *with }, "agent");
            let base = (Scene { hostile: false, flood: *without }, felt.without);
            // Another one first each time.
            for (scene, way) in if run % 2 == 0 { [beside, base] } else { [base, beside] } {
                let peak = scene.watch(bench, way, felt).await?;
                if scene.flood == Flood::Pod {
                    memory.add("agent", peak);
                }
            }
        }
    }
    for (.., felt) in &felt {
        felt.print();
    }
    memory.print(&[Goal::AtMost(MEMORY)]);
    Ok(())
}

impl Scene {
    /// Measure what friendly pods feel. The answer is the most memory that the agent held, kB.
    async fn watch(self, bench: &Bench, way: &str, felt: &mut Felt) -> Result<f64> {
        let (friendly, watched) = if bench.whole() { (FRIENDLY, WATCHED) } else { (4, 1) };
        let silent = TcpListener::bind("127.0.0.1:0")?;
        let engine = &bench.engine;
        let agent = engine.unique("shared");
        let args = ["agent", "--name", &agent, "--logs", "--allow", "local-registries"];
        engine.create(&agent, &manager(&bench.socket, json!({}), &args)).await?;
        engine.start(&agent).await?;
        let pid = child(engine.pid(&agent).await?)?;
        let mut bodies: Vec<Value> = Vec::new();
        if self.hostile {
            let labels = hostiles(silent.local_addr()?.port());
            bodies.extend(labels.into_iter().map(|labels| hostile_pod(&agent, labels)));
        }
        match self.flood {
            Flood::Nobody => {}
            Flood::Pod => bodies.push(hostile_pod(
                &agent,
                json!({"pod.component.flood": component(&json!({"command": ["yes"]}))}),
            )),
            Flood::Container => bodies.push(json!({
                "Image": BUSYBOX, "Cmd": ["yes"], "StopSignal": "SIGKILL", "HostConfig": {"NanoCpus": CPUS},
            })),
        }
        let mut enemies = Vec::new();
        for body in bodies {
            let name = engine.unique("hostile");
            engine.start(&engine.create(&name, &body).await?).await?;
            enemies.push(name);
        }
        sleep(bench.idle(AT_IT)).await;

        let base = engine.unique("friendly");
        let mut events = engine.events(&base).await?;
        let pod = bare(&agent);
        let names: Vec<String> = (0..friendly).map(|number| format!("{base}-p{number}")).collect();
        let begin =
            async |name: &String| -> Result<()> { engine.start(&engine.create(name, &pod).await?).await };
        felt.start.add(way, all_begun(&names, begin, &mut events).await?);
        for number in 0..watched {
            let (started, healthy) = healthy(engine, &format!("{base}-watched{number}"), &agent).await?;
            felt.one_more.add(way, started);
            felt.health.add(way, healthy);
        }
        let began = Instant::now();
        end(engine, &names).await?;
        #[expect(clippy::cast_precision_loss, reason = "a few pods")]
        felt.stop.add(way, began.elapsed().as_secs_f64() * 1e3 / friendly as f64);
        let peak = peak(pid)?;
        stream::iter(&enemies)
            .map(async |name| engine.end(name).await)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        engine.end(&agent).await?;
        Ok(peak)
    }
}

/// Milliseconds from the creation of a pod until its last component's start, and until the engine calls it healthy.
async fn healthy(engine: &Engine, name: &str, agent: &str) -> Result<(f64, f64)> {
    let mut pod = bare(agent);
    pod["Healthcheck"] =
        json!({"Test": ["CMD", "/pause", "health"], "Interval": 250_000_000, "Retries": 1000});
    let mut events = engine.events(name).await?;
    let began = Instant::now();
    engine.start(&engine.create(name, &pod).await?).await?;
    let mut started = None;
    loop {
        let event = timeout(LIMIT, events.recv()).await?.ok_or("the events ended")?;
        let after = event.at.duration_since(began).as_secs_f64() * 1e3;
        if event.action == "start" && is_component(&event.name) {
            started = Some(after);
        }
        if event.name == name && event.action == "health_status: healthy" {
            engine.end(name).await?;
            return Ok((started.ok_or("it was healthy before its components were started")?, after));
        }
    }
}

/// A pod with these labels, whose task has few CPUs.
fn hostile_pod(agent: &str, mut labels: Value) -> Value {
    labels["pod.manager"] = json!(agent);
    labels["pod.stop_grace_period"] = json!("2s");
    json!({
        "Image": PAUSE, "Labels": labels, "Healthcheck": {"Test": ["NONE"]}, "OpenStdin": true,
        "HostConfig": {
            "ReadonlyRootfs": true, "CapDrop": ["ALL"], "NanoCpus": CPUS,
            "RestartPolicy": {"Name": "always"},
        },
    })
}

/// The value of a component's label: a component that sleeps, with these keys.
fn component(more: &Value) -> Value {
    let mut component = json!({"image": BUSYBOX, "command": ["sleep", "1000000"], "stop_signal": "SIGKILL"});
    if let (Some(component), Some(more)) = (component.as_object_mut(), more.as_object()) {
        component.extend(more.clone());
    }
    json!(component.to_string())
}

/// Labels of nine hostile pods. `silent` is a port of this host that takes connections and says nothing.
fn hostiles(silent: u16) -> Vec<Value> {
    let one = |name: &str, more: Value| (format!("pod.component.{name}"), component(&more));
    let labels = |all: Vec<(String, Value)>| Value::Object(all.into_iter().collect());
    let checked =
        |name: &str| one(name, json!({"healthcheck": {"test": ["CMD", "true"], "interval": "500ms"}}));
    let link = |number: usize| {
        let on = number.checked_sub(1).map_or(json!([]), |before| json!([format!("link{before}")]));
        one(&format!("link{number}"), json!({"depends_on": on}))
    };
    let init = json!([{"image": BUSYBOX, "command": ["sleep", "1000000"]}]).to_string();
    let hooks: Vec<Value> = (0..32).map(|_| json!({"command": ["true"]})).collect();
    vec![
        labels(vec![one("crash", json!({"command": ["false"], "restart": "always"}))]),
        labels(["check1", "check2", "check3", "check4", "check5"].map(checked).into()),
        labels(vec![("pod.init.components".to_owned(), json!(init)), one("never", json!({}))]),
        labels(vec![one("pull", json!({"image": format!("127.0.0.1:{silent}/none")}))]),
        labels(vec![one(
            "deaf",
            json!({"command": ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], "stop_signal": "SIGTERM"}),
        )]),
        labels(
            (0..90)
                .map(|number| one(&format!("wrong{number}"), json!({"wrong": "x".repeat(10_000)})))
                .collect(),
        ),
        labels((0..20).map(link).collect()),
        labels(vec![one(
            "ill",
            json!({"healthcheck": {"test": ["CMD", "false"], "interval": "500ms", "retries": 1}}),
        )]),
        labels(vec![one(
            "hooks",
            json!({"command": ["sleep", "11"], "restart": "always", "post_start": hooks}),
        )]),
    ]
}
