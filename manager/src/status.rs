//! `manager status`: the pods of this node, or one of them, as the engine tells now. Changes nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::StatusArgs;
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineAddress, EngineError};
use crate::pod::identity::{LABEL_COMPONENT, LABEL_POD, LABEL_ROLE, Role, short};
use crate::pod::observed::{ContainerInfo, Health, Status};
use crate::pod::plan::STATUS_UNAVAILABLE;
use crate::run::marks;
use crate::run::site::{Refusal, address};
use crate::run::tail::Tail;

/// One pod.
#[derive(Debug, Default)]
pub struct Pod {
    /// Id of its own container.
    pub id: String,
    /// That one's name; `None`: it is gone.
    pub name: Option<String>,
    /// What that one does.
    status: Status,
    /// The others, by name.
    pub members: Vec<Member>,
}

/// One container of it.
#[derive(Debug)]
pub struct Member {
    /// What the engine tells of it.
    pub info: ContainerInfo,
    /// One of [`crate::pod::identity::Role`]'s words.
    pub role: String,
    restarts: Option<usize>,
    /// What it wrote last, where it failed.
    last: Vec<String>,
}

/// The answer, for people or as JSON.
///
/// # Errors
/// Where the engine does not tell, or there is no such pod.
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

/// The pods that are called this; all where nothing is said.
///
/// # Errors
/// Where the engine does not tell, or there is no such pod.
pub async fn called(
    engine: &DockerEngine,
    address: &EngineAddress,
    wanted: Option<&str>,
) -> Result<Vec<Pod>, Refusal> {
    let mut pods = pods(engine).await.map_err(|error| Refusal {
        status: STATUS_UNAVAILABLE,
        words: format!("the engine at {address} does not tell: {error}"),
    })?;
    if let Some(wanted) = wanted {
        pods.retain(|pod| pod.is(wanted));
        if pods.is_empty() {
            return Err(Refusal { status: 1, words: format!("there is no pod `{wanted}` on this node") });
        }
    }
    Ok(pods)
}

async fn pods(engine: &DockerEngine) -> Result<Vec<Pod>, EngineError> {
    let mut all: BTreeMap<String, Pod> = BTreeMap::new();
    for summary in engine.of_pods().await? {
        let Some(id) = summary.labels.get(LABEL_POD) else { continue };
        let role = summary.labels.get(LABEL_ROLE).cloned().unwrap_or_default();
        // An agent's, which is no pod.
        if role == Role::Lock.as_str() {
            continue;
        }
        let info = match engine.inspect(&summary.id).await {
            Err(EngineError::NotFound(_)) => continue,
            info => info?,
        };
        let pod = all.entry(id.clone()).or_insert_with(|| Pod { id: id.clone(), ..Pod::default() });
        let failed = matches!(info.status, Status::Exited(exit) if exit.status != 0);
        let last = if failed { last_lines(engine, &info).await } else { Vec::new() };
        let restarts = marks::restarts(id, &info.id);
        pod.members.push(Member { info, role, restarts, last });
    }
    for pod in all.values_mut() {
        match engine.inspect(&pod.id).await {
            Ok(task) => (pod.name, pod.status) = (Some(task.name), task.status),
            Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        pod.members.sort_by(|one, other| one.info.name.cmp(&other.info.name));
    }
    let mut pods: Vec<Pod> = all.into_values().collect();
    pods.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pods)
}

/// Nothing where the engine does not tell: the rest is worth to know without it.
async fn last_lines(engine: &DockerEngine, info: &ContainerInfo) -> Vec<String> {
    let mut last = Tail::default();
    if let Ok(output) = engine.last_output(&info.id).await {
        let _ = last.read(output, info.tty).await;
    }
    last.lines()
}

impl Pod {
    /// It runs.
    pub fn runs(&self) -> bool {
        matches!(self.status, Status::Running { .. })
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
        match (&self.name, self.runs()) {
            (None, _) => "gone",
            (_, true) => "running",
            (_, false) => "exited",
        }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "state": self.state(),
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

    fn state(&self) -> &'static str {
        match self.info.status {
            Status::Created => "created",
            Status::Running { .. } => "running",
            Status::Exited(_) => "exited",
            Status::Removing => "removing",
        }
    }

    /// What else there is to say of its state.
    fn detail(&self) -> String {
        match self.info.status {
            Status::Exited(exit) => exit.to_string(),
            status => health(status).unwrap_or_default().to_owned(),
        }
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
            "health": health(self.info.status),
            "exit_status": exit.map(|exit| exit.status),
            "signal": exit.and_then(|exit| exit.signal()),
            "oom": exit.map(|exit| exit.oom),
            "restarts": self.restarts,
            "last_output": self.last,
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
        let own = if pod.runs() { health(pod.status).unwrap_or_default() } else { "what is left is swept" };
        rows.push([
            name.clone(),
            String::new(),
            pod.state().into(),
            own.into(),
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
            if !member.last.is_empty() {
                last += &format!("\n`{}` of {name} wrote last:\n", member.name());
                last.extend(member.last.iter().map(|line| format!("  {line}\n")));
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
    use super::*;
    use crate::pod::observed::Exit;

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
            restarts,
            last: last.iter().map(|line| (*line).to_owned()).collect(),
        };
        let exit = Exit { status: 137, oom: true, at_nanos: 1 };
        let running = Status::Running { health: Health::Healthy };
        let pods = [
            Pod {
                id: "aaaaaaaaaaaaaaaa".into(),
                name: Some("web.1".into()),
                status: running,
                members: vec![
                    member("app", "component", running, Some(2), &[]),
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
              log     exited   status 137 (SIGKILL, out of memory)  -         log012345678
bbbbbbbbbbbb          gone     what is left is swept                          bbbbbbbbbbbb

`log` of web.1 wrote last:
  one
  two
"
        );
        let log = pods[0].json()["members"][1].clone();
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
}
