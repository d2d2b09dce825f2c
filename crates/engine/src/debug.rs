//! What `manager debug` asks: a container of somebody's choice, joined to what a pod shares.

use std::collections::BTreeMap;

use http_body_util::{BodyExt, Limited};
use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::EngineError;
use super::docker::{DockerEngine, QUERY_TIMEOUT, empty_request, encoded, json_request, not_understood};
use super::node::Line;

/// Longest answer to a wait.
const ANSWER_LIMIT: usize = 64 * 1024;

/// What a container of a pod has joined (`HostConfig`).
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase", default)]
pub struct Joined {
    /// `NetworkMode`.
    pub network_mode: String,
    /// `PidMode`.
    pub pid_mode: String,
    /// `IpcMode`.
    pub ipc_mode: String,
    /// `CgroupParent`.
    pub cgroup_parent: String,
}

/// A container that looks around.
#[derive(Debug, Clone)]
pub struct DebugContainer {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// What it runs, where that is not what its image says.
    pub command: Vec<String>,
    /// It has a terminal.
    pub tty: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it joins.
    pub joins: Joined,
}

impl DockerEngine {
    /// What a container has joined (`GET /containers/ID/json`).
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn joined(&self, id: &str) -> Result<Joined, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Inspected {
            host_config: Joined,
        }
        let path = format!("/containers/{}/json", encoded(id));
        Ok(self.ask::<Inspected>(empty_request(Method::GET, &path)?).await?.host_config)
    }

    /// Create it; the engine removes it when it has ended (`POST /containers/create`). Its id.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]: the engine does not have its image.
    pub async fn create_guest(&self, guest: &DebugContainer) -> Result<String, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Created {
            id: String,
        }
        let body = json!({
            "Image": guest.image,
            "Cmd": (!guest.command.is_empty()).then_some(&guest.command),
            "Tty": guest.tty,
            "OpenStdin": true,
            // The end of who looks is the end of what it types.
            "StdinOnce": true,
            "AttachStdin": true,
            "AttachStdout": true,
            "AttachStderr": true,
            "Labels": guest.labels,
            // Its health is nobody's business.
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {
                "AutoRemove": true,
                "NetworkMode": guest.joins.network_mode,
                "PidMode": guest.joins.pid_mode,
                "IpcMode": guest.joins.ipc_mode,
                "CgroupParent": guest.joins.cgroup_parent,
            },
        });
        let path = format!("/containers/create?name={}", encoded(&guest.name));
        Ok(self.ask::<Created>(json_request(&path, &body)?).await?.id)
    }

    /// Its standard input, output and error (`POST /containers/ID/attach`): a terminal's bytes where it has one, else
    /// Docker's frames come out.
    ///
    /// # Errors
    /// Where there is no such container.
    pub async fn join(&self, id: &str) -> Result<Box<dyn Line>, EngineError> {
        self.line(id, "stream=1&stdin=1&stdout=1&stderr=1").await
    }

    /// Waits until a container is in this condition, `not-running` or `removed`: its exit status
    /// (`POST /containers/ID/wait`). Resolves first when the engine has begun to wait.
    ///
    /// # Errors
    /// Where there is no such container, or the connection breaks.
    pub async fn waits(
        &self,
        id: &str,
        condition: &str,
    ) -> Result<impl Future<Output = Result<i64, EngineError>> + use<>, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            status_code: i64,
        }
        let path = format!("/containers/{}/wait?condition={condition}", encoded(id));
        let body = self.open(QUERY_TIMEOUT, empty_request(Method::POST, &path)?).await?;
        Ok(async move {
            let whole = Limited::new(body, ANSWER_LIMIT).collect().await;
            let whole = whole.map_err(|error| EngineError::Unreachable(error.to_string()))?.to_bytes();
            Ok(serde_json::from_slice::<Answer>(&whole).map_err(not_understood)?.status_code)
        })
    }

    /// Tell the terminal of a container its size (`POST /containers/ID/resize`).
    ///
    /// # Errors
    /// Where it does not run.
    pub async fn resize(&self, id: &str, rows: u16, columns: u16) -> Result<(), EngineError> {
        let path = format!("/containers/{}/resize?h={rows}&w={columns}", encoded(id));
        self.open(QUERY_TIMEOUT, empty_request(Method::POST, &path)?).await.map(drop)
    }
}
