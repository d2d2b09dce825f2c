//! `manager status`: the state of the node's pods, or of one of them. Changes nothing.
//!
//! One listing returns names, labels and a coarse state of every container. The engine answers it from a snapshot, but an
//! inspection takes the container's lock, and a log driver that hangs can hold that lock forever. So every container is
//! inspected at the same time, each within a time limit, and a container without an answer has the state `unknown`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use crate::checkpoint;
use crate::cli::StatusArgs;
use crate::error::Refusal;
use crate::logs::tail::Tail;
use crate::startup::context::address;
use engine::docker::DockerEngine;
use engine::node::Summary;
use engine::{Engine, EngineAddress, EngineError};
use pod::exit_status::STATUS_UNAVAILABLE;
use pod::failed_check::FailedCheck;
use pod::identity::{LABEL_COMPONENT, LABEL_POD, LABEL_ROLE, Role, short};
use pod::observed::{ContainerInfo, Health, Status};

/// Maximum time for the engine's answers about one container of a pod. All containers are asked about at once, so this
/// is also the time of a whole pod.
const POD_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum time for all answers, from the start of the command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of containers whose calls may begin at once: more connections than the backlog of the engine's socket (128 on
/// older hosts) would be refused.
const SLOTS: usize = 32;
/// Time after which a container without an answer frees its slot: the engine has accepted the connection by then, and
/// containers that hang must not keep the others waiting.
const SLOT_TIMEOUT: Duration = Duration::from_millis(100);

/// One pod.
#[derive(Debug, Default)]
pub struct Pod {
    /// Id of the task container.
    pub id: String,
    /// Name of the task container; `None`: the container is gone.
    pub name: Option<String>,
    /// State of the task container.
    status: Status,
    /// Set if the engine did not return the state.
    unknown: Option<Unknown>,
    /// The other containers, by name.
    pub members: Vec<Member>,
}

/// One container of a pod, beside the task container.
#[derive(Debug)]
pub struct Member {
    /// The container as the engine describes it; where its state is unknown, only what the listing contains.
    pub info: ContainerInfo,
    /// One of [`pod::identity::Role`]'s words.
    pub role: String,
    /// Set if the engine did not return the state.
    unknown: Option<Unknown>,
    restarts: Option<usize>,
    /// The last lines of its output, if it failed.
    last: Vec<String>,
    /// Why the last lines are missing or incomplete.
    last_unknown: Option<String>,
}

/// The state of a container that the engine did not describe.
const UNKNOWN: &str = "unknown";

/// Why the state of a container is unknown.
#[derive(Debug)]
struct Unknown {
    reason: String,
    /// State in the listing; empty if the listing has none.
    listed: String,
}

/// The engine calls of the view.
trait Source {
    /// Lists all containers of the node.
    fn containers(&self) -> impl Future<Output = Result<Vec<Summary>, EngineError>>;
    /// Inspects one container.
    fn inspect(&self, id: &str) -> impl Future<Output = Result<ContainerInfo, EngineError>>;
    /// Reads the last lines of a container's log.
    fn last_output(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError>>;
}

impl Source for DockerEngine {
    fn containers(&self) -> impl Future<Output = Result<Vec<Summary>, EngineError>> {
        DockerEngine::containers(self)
    }

    fn inspect(&self, id: &str) -> impl Future<Output = Result<ContainerInfo, EngineError>> {
        Engine::inspect(self, id)
    }

    fn last_output(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError>> {
        Engine::last_output(self, id)
    }
}

/// Prints the state of the pods, as a table or as JSON.
///
/// # Errors
/// If the engine does not list its containers, or no pod has the name.
pub async fn status(args: StatusArgs) -> Result<String, Refusal> {
    let address = address(&args.engine)?;
    let engine = DockerEngine::new(&address).map_err(Refusal::usage)?;
    let pods = called(&engine, &address, args.pod.as_deref()).await?;
    Ok(match args.json {
        true => format!("{:#}\n", Value::from_iter(pods.iter().map(Pod::json))),
        false if pods.is_empty() => "there are no pods on this node\n".to_owned(),
        false => table(&pods),
    })
}

/// Returns the pods with this name, or all pods of the node, within 5 s.
///
/// # Errors
/// If the engine does not list its containers, or no pod has the name.
pub async fn called(
    engine: &DockerEngine,
    address: &EngineAddress,
    wanted: Option<&str>,
) -> Result<Vec<Pod>, Refusal> {
    let pods = pods(engine, wanted).await.map_err(|cause| Refusal {
        status: STATUS_UNAVAILABLE,
        words: format!("cannot list the containers of the engine at {address}: {cause}"),
    })?;
    match wanted {
        Some(wanted) if pods.is_empty() => {
            Err(Refusal { status: 1, words: format!("there is no pod `{wanted}` on this node") })
        }
        _ => Ok(pods),
    }
}

/// Lists the containers, then asks about the containers of the pods with this name; about other pods it does not ask.
/// The error says why there is no listing.
async fn pods(engine: &impl Source, wanted: Option<&str>) -> Result<Vec<Pod>, String> {
    let end = Instant::now() + COMMAND_TIMEOUT;
    let listed = match timeout_at(end, engine.containers()).await {
        Ok(listed) => listed.map_err(|error| error.to_string())?,
        Err(_) => {
            let secs = COMMAND_TIMEOUT.as_secs();
            return Err(format!("no answer within {secs} s; look at the engine's log"));
        }
    };
    let turns = Turns { slots: Semaphore::new(SLOTS), end };
    let listed = by_pod(listed).into_iter().filter(|(pod, _)| wanted.is_none_or(|wanted| pod.is(wanted)));
    let asked = listed.map(|(pod, members)| ask(engine, &turns, pod, members));
    let mut pods = join_all(asked).await;
    pods.retain(|pod| !pod.members.is_empty());
    pods.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pods)
}

/// The pods of a listing, each with its members. The state of an existing task container is unknown yet.
fn by_pod(listed: Vec<Summary>) -> Vec<(Pod, Vec<Summary>)> {
    let mut members: BTreeMap<String, Vec<Summary>> = BTreeMap::new();
    let mut all: BTreeMap<String, (String, String)> = BTreeMap::new();
    for one in listed {
        all.insert(one.id.clone(), (one.name().to_owned(), one.state.clone()));
        // The lock of an agent belongs to no pod.
        let is_lock = one.labels.get(LABEL_ROLE).is_some_and(|role| role == Role::Lock.as_str());
        if let Some(pod) = one.labels.get(LABEL_POD).filter(|_| !is_lock && one.is_genuine()) {
            members.entry(pod.clone()).or_default().push(one);
        }
    }
    let pods = members.into_iter().map(|(id, mut members)| {
        let Some((name, listed)) = all.get(&id).cloned() else {
            return (Pod { id, ..Pod::default() }, members);
        };
        // A member's name begins with the name of its task container.
        members.retain(|member| member.info().is_genuine(&name));
        let unknown = Some(Unknown { reason: String::new(), listed });
        (Pod { id, name: Some(name), unknown, ..Pod::default() }, members)
    });
    pods.collect()
}

/// Asks the engine about all containers of one pod.
async fn ask(engine: &impl Source, turns: &Turns, mut pod: Pod, members: Vec<Summary>) -> Pod {
    let task = async {
        match &pod.unknown {
            Some(_) => Some(turns.take(async |limit| limit.answer(engine.inspect(&pod.id)).await).await),
            None => None,
        }
    };
    let members = members.into_iter().map(|listed| {
        let id = &pod.id;
        turns.take(async move |limit| member(engine, &limit, id, listed).await)
    });
    let (task, members) = tokio::join!(task, join_all(members));
    match task {
        Some(Ok(Some(task))) => (pod.name, pod.status, pod.unknown) = (Some(task.name), task.status, None),
        Some(Ok(None)) => (pod.name, pod.unknown) = (None, None),
        Some(Err(reason)) => {
            pod.unknown = pod.unknown.map(|unknown| Unknown { reason, ..unknown });
        }
        None => {}
    }
    pod.members = members.into_iter().flatten().collect();
    pod.members.sort_by(|one, other| one.info.name.cmp(&other.info.name));
    pod
}

/// Asks the engine about one container; `None`: the container is gone since the listing.
async fn member(engine: &impl Source, limit: &Limit, pod: &str, listed: Summary) -> Option<Member> {
    let role = listed.labels.get(LABEL_ROLE).cloned().unwrap_or_default();
    let (info, unknown) = match limit.answer(engine.inspect(&listed.id)).await {
        Ok(Some(info)) => (info, None),
        Ok(None) => return None,
        Err(reason) => (listed.info(), Some(Unknown { reason, listed: listed.state })),
    };
    let restarts = checkpoint::restarts(pod, &info.id);
    let failed = matches!(info.status, Status::Exited(exit) if exit.status != 0);
    let (last, last_unknown) =
        if failed { last_lines(engine, limit, &info).await } else { Default::default() };
    Some(Member { info, role, unknown, restarts, last, last_unknown })
}

/// The last lines of a container's output, and why some are missing if the engine did not answer in time. A container
/// without a readable log, as with the driver `none`, has no lines and no reason.
async fn last_lines(
    engine: &impl Source,
    limit: &Limit,
    info: &ContainerInfo,
) -> (Vec<String>, Option<String>) {
    let mut last = Tail::default();
    let read = async {
        if let Ok(output) = engine.last_output(&info.id).await {
            let _ = last.read(output, info.tty).await;
        }
    };
    let unknown = timeout_at(limit.at, read).await.is_err().then(|| limit.reason());
    (last.lines(), unknown)
}

/// The order in which the engine is asked about containers: many at once, but not all in the same moment.
struct Turns {
    slots: Semaphore,
    /// End of the whole command.
    end: Instant,
}

/// The time limit of the calls about one container.
struct Limit {
    at: Instant,
    /// The limit is that of the whole command.
    is_end: bool,
}

/// The engine's answer about a container: `None` if the container is gone; the error is the reason why there is no
/// answer, in one line.
type Answer = Result<Option<ContainerInfo>, String>;

impl Turns {
    /// Makes the calls about one container once a slot is free, or the command is at its end.
    async fn take<T>(&self, calls: impl AsyncFnOnce(Limit) -> T) -> T {
        let slot = timeout_at(self.end, self.slots.acquire()).await;
        let at = Instant::now() + POD_TIMEOUT;
        let limit = Limit { at: at.min(self.end), is_end: self.end < at };
        let free_slot = async {
            sleep(SLOT_TIMEOUT).await;
            drop(slot);
            pending::<Infallible>().await
        };
        tokio::select! {
            done = calls(limit) => done,
            never = free_slot => match never {},
        }
    }
}

impl Limit {
    /// The result of an inspection, or the reason why there is none.
    async fn answer(&self, inspection: impl Future<Output = Result<ContainerInfo, EngineError>>) -> Answer {
        match timeout_at(self.at, inspection).await {
            Ok(Ok(info)) => Ok(Some(info)),
            Ok(Err(EngineError::NotFound(_))) => Ok(None),
            // An engine's message may have several lines, and names of others in it; a table has one line.
            Ok(Err(error)) => {
                let words = error.to_string().replace(char::is_control, " ");
                Err(words.split_whitespace().collect::<Vec<_>>().join(" "))
            }
            Err(_) => Err(self.reason()),
        }
    }

    fn reason(&self) -> String {
        match self.is_end {
            true => {
                format!("no answer from the engine within the {} s of the command", COMMAND_TIMEOUT.as_secs())
            }
            false => format!("no answer from the engine within {} s", POD_TIMEOUT.as_secs()),
        }
    }
}

impl Unknown {
    /// The reason and the listed state, for people.
    fn detail(&self) -> String {
        match self.listed.as_str() {
            "" => self.reason.clone(),
            listed => format!("{} (listed as {listed})", self.reason),
        }
    }
}

impl Pod {
    /// It runs; where its state is unknown, the listing decides.
    pub fn runs(&self) -> bool {
        match &self.unknown {
            // The engine's words for the states that an inspection makes `Status::Running`.
            Some(unknown) => ["running", "paused", "restarting"].contains(&unknown.listed.as_str()),
            None => matches!(self.status, Status::Running { .. }),
        }
    }

    /// By its name, the service's part of it, or the beginning of its id.
    fn is(&self, wanted: &str) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        !wanted.is_empty()
            && (name == wanted
                || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
                || self.id.starts_with(wanted))
    }

    fn state(&self) -> &'static str {
        match (&self.name, &self.unknown, self.runs()) {
            (None, ..) => "gone",
            (_, Some(_), _) => UNKNOWN,
            (_, _, true) => "running",
            (_, _, false) => "exited",
        }
    }

    /// Further facts about its state.
    fn detail(&self) -> String {
        match &self.unknown {
            Some(unknown) => unknown.detail(),
            None if self.runs() => health(self.status).unwrap_or_default().to_owned(),
            None => "what is left is swept".to_owned(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "state": self.state(),
            "reason": self.unknown.as_ref().map(|unknown| &unknown.reason),
            "listed_state": self.unknown.as_ref().map(|unknown| &unknown.listed),
            "health": health(self.status),
            "members": self.members.iter().map(Member::json).collect::<Vec<_>>(),
        })
    }
}

impl Member {
    /// The component's name, or what else it is.
    pub fn name(&self) -> &str {
        self.info.labels.get(LABEL_COMPONENT).unwrap_or(&self.role)
    }

    /// The engine has described its state.
    pub fn is_known(&self) -> bool {
        self.unknown.is_none()
    }

    fn state(&self) -> &'static str {
        match self.info.status {
            _ if self.unknown.is_some() => UNKNOWN,
            Status::Created => "created",
            Status::Running { .. } => "running",
            Status::Exited(_) => "exited",
            Status::Removing => "removing",
        }
    }

    /// Further facts about its state.
    fn detail(&self) -> String {
        if let Some(unknown) = &self.unknown {
            return unknown.detail();
        }
        match self.info.status {
            Status::Exited(exit) => exit.to_string(),
            status => health(status).unwrap_or_default().to_owned(),
        }
    }

    /// Why it is unhealthy, where the engine has told.
    fn failed_check(&self) -> Option<&FailedCheck> {
        self.info.failed_check.as_ref().filter(|_| self.unknown.is_none())
    }

    fn json(&self) -> Value {
        let exit = match self.info.status {
            Status::Exited(exit) => Some(exit),
            _ => None,
        };
        json!({
            "name": self.name(),
            "role": self.role,
            "container": self.info.name,
            "id": self.info.id,
            "state": self.state(),
            "reason": self.unknown.as_ref().map(|unknown| &unknown.reason),
            "listed_state": self.unknown.as_ref().map(|unknown| &unknown.listed),
            "health": health(self.info.status),
            "failed_check": self.failed_check().map(|check| json!({"exit_status": check.status, "output": check.lines})),
            "exit_status": exit.map(|exit| exit.status),
            "signal": exit.and_then(|exit| exit.signal()),
            "oom": exit.map(|exit| exit.oom),
            "restarts": self.restarts,
            "last_output": self.last,
            "last_output_reason": self.last_unknown,
        })
    }
}

fn health(status: Status) -> Option<&'static str> {
    match status {
        Status::Running { health: Health::Starting } => Some("starting"),
        Status::Running { health: Health::Healthy } => Some("healthy"),
        Status::Running { health: Health::Unhealthy } => Some("unhealthy"),
        _ => None,
    }
}

fn table(pods: &[Pod]) -> String {
    let mut rows = vec![["POD", "MEMBER", "STATE", "DETAIL", "RESTARTS", "CONTAINER"].map(str::to_owned)];
    let mut last = String::new();
    for pod in pods {
        let name = pod.name.clone().unwrap_or_else(|| short(&pod.id).to_owned());
        rows.push([
            name.clone(),
            String::new(),
            pod.state().into(),
            pod.detail(),
            String::new(),
            short(&pod.id).into(),
        ]);
        for member in &pod.members {
            rows.push([
                String::new(),
                member.name().into(),
                member.state().into(),
                member.detail(),
                member.restarts.map_or_else(|| "-".to_owned(), |restarts| restarts.to_string()),
                short(&member.info.id).into(),
            ]);
            if let Some(check) = member.failed_check() {
                last += &format!("\n`{}` of {name} is unhealthy: {check}\n", member.name());
            }
            if !member.last.is_empty() {
                last += &format!("\n`{}` of {name} wrote last:\n", member.name());
                last.extend(member.last.iter().map(|line| format!("  {line}\n")));
            }
            if let Some(reason) = &member.last_unknown {
                last +=
                    &format!("\ncannot read the last output of `{}` of {name}: {reason}\n", member.name());
            }
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..6).map(width).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    });
    lines.collect::<String>() + &last
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::stream::{self, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use engine::node::Joins;
    use engine::testing::{answer, ping};
    use pod::observed::Exit;

    #[test]
    fn a_table_and_json_say_the_same() {
        let member = |name: &str, role: &str, status, restarts, last: &[&str]| Member {
            info: ContainerInfo {
                id: format!("{name}0123456789abcdef"),
                name: format!("web.1.podlike.{name}"),
                labels: [(LABEL_COMPONENT.to_owned(), name.to_owned())].into(),
                status,
                ..ContainerInfo::default()
            },
            role: role.into(),
            unknown: None,
            restarts,
            last_unknown: None,
            last: last.iter().map(|line| (*line).to_owned()).collect(),
        };
        let exit = Exit { status: 137, oom: true, at_nanos: 1 };
        let running = Status::Running { health: Health::Healthy };
        let mut ill = member("db", "component", Status::Running { health: Health::Unhealthy }, None, &[]);
        ill.info.failed_check = Some(FailedCheck::new(7, "connection\nrefused"));
        let pods = [
            Pod {
                id: "aaaaaaaaaaaaaaaa".into(),
                name: Some("web.1".into()),
                status: running,
                unknown: None,
                members: vec![
                    member("app", "component", running, Some(2), &[]),
                    ill,
                    member("log", "component", Status::Exited(exit), None, &["one", "two"]),
                ],
            },
            Pod { id: "bbbbbbbbbbbbbbbb".into(), ..Pod::default() },
        ];
        assert_eq!(
            table(&pods),
            "\
POD           MEMBER  STATE    DETAIL                               RESTARTS  CONTAINER
web.1                 running  healthy                                        aaaaaaaaaaaa
              app     running  healthy                              2         app012345678
              db      running  unhealthy                            -         db0123456789
              log     exited   status 137 (SIGKILL, out of memory)  -         log012345678
bbbbbbbbbbbb          gone     what is left is swept                          bbbbbbbbbbbb

`db` of web.1 is unhealthy: its check ended with status 7: connection refused

`log` of web.1 wrote last:
  one
  two
"
        );
        let [app, db] = [0, 1].map(|place| pods[0].json()["members"][place]["failed_check"].clone());
        assert_eq!((app, db), (Value::Null, json!({"exit_status": 7, "output": ["connection", "refused"]})));
        let log = pods[0].json()["members"][2].clone();
        assert_eq!(
            (&log["exit_status"], &log["signal"], &log["oom"], &log["restarts"], &log["last_output"]),
            (&json!(137), &json!("SIGKILL"), &json!(true), &Value::Null, &json!(["one", "two"]))
        );
        assert_eq!((&pods[1].json()["state"], &pods[1].json()["name"]), (&json!("gone"), &Value::Null));
    }

    #[test]
    fn a_pod_is_called_by_its_name_its_service_or_its_id() {
        let pod = Pod { id: "abcdef".into(), name: Some("web.1.xyz".into()), ..Pod::default() };
        for (wanted, is) in [
            ("web.1.xyz", true),
            ("web.1", true),
            ("web", true),
            ("we", false),
            ("abc", true),
            ("bc", false),
            ("", false),
        ] {
            assert_eq!(pod.is(wanted), is, "{wanted}");
        }
    }

    /// An engine that answers each call after 1 ms, except the calls that hang.
    #[derive(Default)]
    struct FakeEngine {
        listed: Vec<Summary>,
        /// Containers that exited with status 4.
        failed: Vec<String>,
        /// Calls without an answer: `list`, `inspect ID`, `logs ID` (which breaks off after one line).
        hang: Vec<String>,
        /// Calls with this answer.
        errors: BTreeMap<String, EngineError>,
        list_takes: Duration,
        calls: RefCell<Vec<String>>,
    }

    impl FakeEngine {
        /// `number` pods with one component each: `web.N` with the id `tN`, and `web.N.podlike.app` with the id `cN`.
        fn with_pods(number: usize) -> Self {
            let pod = |number| {
                let labels = [(LABEL_POD, format!("t{number}")), (LABEL_ROLE, "component".into())];
                let labels = labels.into_iter().chain([(LABEL_COMPONENT, "app".into())]);
                let component = Summary {
                    id: format!("c{number}"),
                    labels: labels.map(|(key, value)| (key.to_owned(), value)).collect(),
                    names: vec![format!("/linker/alias{number}"), format!("/web.{number}.podlike.app")],
                    state: "running".into(),
                    host_config: Joins { network_mode: format!("container:t{number}") },
                    ..Summary::default()
                };
                let task = Summary {
                    id: format!("t{number}"),
                    names: vec![format!("/web.{number}")],
                    state: "running".into(),
                    ..Summary::default()
                };
                [component, task]
            };
            FakeEngine { listed: (0..number).flat_map(pod).collect(), ..FakeEngine::default() }
        }

        fn hanging(self, calls: &[&str]) -> Self {
            FakeEngine { hang: calls.iter().map(|call| (*call).to_owned()).collect(), ..self }
        }

        async fn call(&self, call: String, takes: Duration) -> Result<(), EngineError> {
            self.calls.borrow_mut().push(call.clone());
            if self.hang.contains(&call) {
                pending::<()>().await;
            }
            sleep(takes).await;
            self.errors.get(&call).cloned().map_or(Ok(()), Err)
        }
    }

    impl Source for FakeEngine {
        async fn containers(&self) -> Result<Vec<Summary>, EngineError> {
            self.call("list".into(), self.list_takes).await?;
            Ok(self.listed.clone())
        }

        async fn inspect(&self, id: &str) -> Result<ContainerInfo, EngineError> {
            self.call(format!("inspect {id}"), Duration::from_millis(1)).await?;
            let listed = self.listed.iter().find(|one| one.id == id).expect("a listed container");
            let failed = self.failed.iter().any(|failed| failed == id);
            let status = match failed {
                true => Status::Exited(Exit { status: 4, ..Exit::default() }),
                false => Status::Running { health: Health::Healthy },
            };
            Ok(ContainerInfo { status, ..listed.info() })
        }

        async fn last_output(
            &self,
            id: &str,
        ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
            let line = b"\x01\0\0\0\0\0\0\x05last\n";
            let first = stream::once(async { Ok(Bytes::from_static(line)) });
            let call = format!("logs {id}");
            self.calls.borrow_mut().push(call.clone());
            Ok(match self.hang.contains(&call) {
                true => first.chain(stream::pending()).boxed(),
                false => first.boxed(),
            })
        }
    }

    /// The answer of the view, and how long it took.
    async fn view(engine: &FakeEngine, wanted: Option<&str>) -> (Result<Vec<Pod>, String>, Duration) {
        let began = Instant::now();
        (pods(engine, wanted).await, began.elapsed())
    }

    /// The clock of tokio's timers has whole milliseconds.
    #[track_caller]
    fn assert_took(took: Duration, want: Duration) {
        assert!(took >= want && took < want + Duration::from_millis(10), "{took:?}, not {want:?}");
    }

    const NO_ANSWER: &str = "no answer from the engine within 2 s";

    #[tokio::test(start_paused = true)]
    async fn one_hanging_inspection_hides_no_other_container() {
        let engine = FakeEngine::with_pods(10).hanging(&["inspect c3"]);
        let (pods, took) = view(&engine, None).await;
        let pods = pods.expect("a listing");
        assert_took(took, POD_TIMEOUT);
        assert_eq!(pods.len(), 10);
        for (number, pod) in pods.iter().enumerate() {
            assert_eq!((pod.state(), pod.detail().as_str()), ("running", "healthy"));
            let [app] = &pod.members[..] else { panic!("{:?}", pod.members) };
            let want = if number == 3 { "unknown" } else { "running" };
            assert_eq!((app.name(), app.state()), ("app", want), "{number}");
        }
        let text = table(&pods);
        let row = text.lines().find(|row| row.ends_with(" c3")).expect("a row of the container");
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>().join(" "),
            format!("app unknown {NO_ANSWER} (listed as running) - c3")
        );
        let json = &pods[3].json()["members"][0];
        let want = json!({
            "name": "app", "role": "component", "container": "web.3.podlike.app", "id": "c3", "state": "unknown",
            "reason": NO_ANSWER, "listed_state": "running", "health": null, "failed_check": null, "exit_status": null, "signal": null,
            "oom": null, "restarts": null, "last_output": [], "last_output_reason": null,
        });
        assert_eq!(json, &want);
        assert_eq!(pods[2].json()["members"][0]["reason"], Value::Null);
    }

    #[tokio::test(start_paused = true)]
    async fn hundreds_of_hanging_containers_leave_calls_for_the_others() {
        let mut engine = FakeEngine::with_pods(301);
        let hang = engine.listed.iter().map(|one| &one.id).filter(|id| *id != "c300" && *id != "t300");
        engine.hang = hang.map(|id| format!("inspect {id}")).collect();
        let (pods, took) = view(&engine, None).await;
        let pods = pods.expect("a listing");
        assert!(took < COMMAND_TIMEOUT, "{took:?}");
        let known = |pod: &&Pod| pod.state() == "running" && pod.members.iter().all(Member::is_known);
        assert_eq!(pods.iter().filter(known).map(|pod| pod.id.as_str()).collect::<Vec<_>>(), ["t300"]);
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_all_hang_are_shown_as_listed() {
        let engine =
            FakeEngine::with_pods(2).hanging(&["inspect c0", "inspect t0", "inspect c1", "inspect t1"]);
        let (pods, took) = view(&engine, None).await;
        let pods = pods.expect("a listing");
        assert_took(took, POD_TIMEOUT);
        let detail = format!("{NO_ANSWER} (listed as running)");
        for (pod, name) in pods.iter().zip(["web.0", "web.1"]) {
            assert_eq!(
                (pod.name.as_deref(), pod.state(), pod.detail()),
                (Some(name), "unknown", detail.clone())
            );
            assert_eq!((pod.members[0].state(), pod.members[0].detail()), ("unknown", detail.clone()));
            let json = pod.json();
            assert_eq!((&json["state"], &json["reason"]), (&json!("unknown"), &json!(NO_ANSWER)));
            // `manager debug` may join it.
            assert!(pod.runs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_hangs_is_an_error_after_the_time_of_the_command() {
        let (pods, took) = view(&FakeEngine::with_pods(1).hanging(&["list"]), None).await;
        assert_eq!(pods.expect_err("no listing"), "no answer within 5 s; look at the engine's log");
        assert_took(took, COMMAND_TIMEOUT);
        // The same with an engine that accepts the connection and never answers.
        let folder = tempfile::tempdir().expect("a folder");
        let address = EngineAddress::Unix(folder.path().join("mute.sock"));
        let _mute = UnixListener::bind(folder.path().join("mute.sock")).expect("a socket");
        let (engine, began) = (DockerEngine::new(&address).expect("no TLS"), Instant::now());
        let refusal = called(&engine, &address, None).await.expect_err("no listing");
        let words = format!(
            "cannot list the containers of the engine at {address}: no answer within 5 s; look at the engine's log"
        );
        assert_eq!((refusal.status, refusal.words), (69, words));
        assert_took(began.elapsed(), COMMAND_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_listing_leaves_the_rest_of_the_time_to_the_containers() {
        let engine = FakeEngine { list_takes: Duration::from_secs(4), ..FakeEngine::with_pods(2) };
        let (pods, took) = view(&engine.hanging(&["inspect c0"]), None).await;
        let pods = pods.expect("a listing");
        assert_took(took, COMMAND_TIMEOUT);
        let want = "no answer from the engine within the 5 s of the command (listed as running)";
        assert_eq!(pods[0].members[0].detail(), want);
        assert_eq!(pods[1].members[0].detail(), "healthy");
    }

    #[tokio::test(start_paused = true)]
    async fn last_output_that_hangs_is_named_and_hides_nothing() {
        let failed = vec!["c0".to_owned(), "c1".to_owned()];
        let engine = FakeEngine { failed, ..FakeEngine::with_pods(2) }.hanging(&["logs c0"]);
        let (pods, took) = view(&engine, None).await;
        let pods = pods.expect("a listing");
        assert_took(took, POD_TIMEOUT);
        let text = table(&pods);
        let end = format!(
            "
`app` of web.0 wrote last:
  last

cannot read the last output of `app` of web.0: {NO_ANSWER}

`app` of web.1 wrote last:
  last
"
        );
        assert!(text.ends_with(&end), "{text}");
        let [one, other] = [&pods[0], &pods[1]].map(|pod| pod.json()["members"][0].clone());
        assert_eq!((&one["exit_status"], &one["last_output"]), (&json!(4), &json!(["last"])));
        assert_eq!(
            (&one["last_output_reason"], &other["last_output_reason"]),
            (&json!(NO_ANSWER), &Value::Null)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn containers_of_other_pods_are_not_asked_about() {
        let engine = FakeEngine::with_pods(3).hanging(&["inspect c0", "inspect t2"]);
        let (pods, took) = view(&engine, Some("web.1")).await;
        assert_eq!(pods.expect("a listing").len(), 1);
        assert_took(took, Duration::from_millis(1));
        assert_eq!(*engine.calls.borrow(), ["list", "inspect t1", "inspect c1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_inspection_that_fails_is_a_reason_and_a_container_that_is_gone_is_not_shown() {
        let mut engine = FakeEngine::with_pods(3);
        let gone = || EngineError::NotFound("No such container".into());
        engine.errors = BTreeMap::from([
            ("inspect c0".into(), EngineError::Refused("broken:\n  its files\tare gone".into())),
            ("inspect c1".into(), gone()),
            ("inspect t2".into(), gone()),
        ]);
        let pods = view(&engine, None).await.0.expect("a listing");
        let states: Vec<_> = pods.iter().map(|pod| (pod.id.as_str(), pod.state())).collect();
        assert_eq!(states, [("t2", "gone"), ("t0", "running")]);
        assert_eq!(pods[1].members[0].detail(), "broken: its files are gone (listed as running)");
    }

    /// The only test with a real clock: the engine's client itself must not queue calls behind those that hang.
    #[tokio::test]
    async fn one_container_is_described_while_twenty_connections_hang() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = EngineAddress::Unix(folder.path().join("engine.sock"));
        let listener = UnixListener::bind(folder.path().join("engine.sock")).expect("a socket");
        let listed = (0..20).map(|number| {
            format!(
                r#"{{"Id": "c{number}", "Names": ["/web.1.podlike.{number}"], "State": "running",
                    "Labels": {{"{LABEL_POD}": "t", "{LABEL_ROLE}": "component", "{LABEL_COMPONENT}": "{number}"}},
                    "HostConfig": {{"NetworkMode": "container:t"}}}}"#
            )
        });
        let task = r#"{"Id": "t", "Names": ["/web.1"], "State": "running"}"#.to_owned();
        let listed = listed.chain([task]).collect::<Vec<_>>().join(",");
        let running = r#"{"Id": "c19", "Name": "/web.1.podlike.19", "State": {"Status": "running"},
            "Config": {"Labels": {"io.tandem.component": "19"}}}"#;
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.expect("a request");
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let reply = match request.split(' ').nth(1).unwrap_or_default() {
                    "/_ping" => ping("1.41"),
                    "/v1.41/containers/json?all=1" => answer("200 OK", &format!("[{listed}]")),
                    path if path.starts_with("/v1.41/containers/c19/json") => answer("200 OK", running),
                    _ => String::new(),
                };
                stream.write_all(reply.as_bytes()).await.expect("written");
                open.push(stream);
            }
        });
        let (engine, began) = (DockerEngine::new(&address).expect("no TLS"), Instant::now());
        let pods = called(&engine, &address, Some("web")).await.expect("a listing");
        assert!(began.elapsed() >= POD_TIMEOUT);
        let [pod] = &pods[..] else { panic!("{pods:?}") };
        assert_eq!((pod.state(), pod.members.len()), ("unknown", 20));
        let known: Vec<_> = pod.members.iter().filter(|one| one.is_known()).map(Member::name).collect();
        assert_eq!(known, ["19"]);
    }
}
