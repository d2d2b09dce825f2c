//! The door to the engine, tried on a real one.
//!
//! Needs an engine that answers on a unix socket and the image `tandem-test/busybox:latest`;
//! `cargo xtask test` sees to both.
#![allow(clippy::disallowed_methods, reason = "tests drive real things")]
#![cfg(feature = "docker-tests")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::convert::{create_request, sandbox_request};
use engine::docker::DockerEngine;
use engine::{CreateRequest, Engine, EngineAddress, EngineError};
use futures_util::stream::{BoxStream, StreamExt};
use pod::identity::{Identity, LABEL_POD};
use pod::namespaces::{Holder, Namespaces};
use pod::observed::{EventKind, Health, Status};
use pod::spec::{ComponentSpec, ContainerSpec, HealthCheck, Hook, Mount, MountSource, PodSpec};
use tokio::time::timeout;

const IMAGE: &str = "tandem-test/busybox:latest";

/// How long the engine may take to answer; `TANDEM_SLOW` times as long where that is set.
fn limit() -> Duration {
    let slow = std::env::var("TANDEM_SLOW").map_or(1, |text| text.parse().expect("TANDEM_SLOW is a number"));
    Duration::from_secs(30) * slow
}

/// A pod of its own for each test: removed with everything in it when the test ends, however it ends.
struct Pod {
    engine: DockerEngine,
    id: String,
}

impl Pod {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Pod { engine: DockerEngine::new(&address()).unwrap(), id }
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    fn request(&self, name: &str, command: &[&str]) -> CreateRequest {
        CreateRequest {
            name: self.name(name),
            container: ContainerSpec {
                image: IMAGE.into(),
                command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
                ..ContainerSpec::default()
            },
            labels: self.labels(),
            network_mode: "none".into(),
            ipc_mode: "private".into(),
            ..CreateRequest::default()
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(LABEL_POD.into(), self.id.clone()), ("io.tandem.test".into(), self.id.clone())])
    }

    async fn create(&self, name: &str, command: &[&str]) -> String {
        self.create_as(&self.request(name, command)).await
    }

    async fn create_as(&self, request: &CreateRequest) -> String {
        within(self.engine.create(request)).await.unwrap().id
    }

    /// Runs a container to its end: what it printed, and its exit status.
    async fn output_of(&self, request: &CreateRequest) -> (Vec<u8>, i64) {
        let id = self.create_as(request).await;
        self.run(&id).await
    }

    async fn run(&self, id: &str) -> (Vec<u8>, i64) {
        let output = within(self.engine.attach(id)).await.unwrap();
        within(self.engine.start(id)).await.unwrap();
        (within(all(output)).await, self.exit_status(id).await)
    }

    /// The status of a container that ends now or in a moment, as an event says.
    async fn exit_status(&self, id: &str) -> i64 {
        let mut events = within(self.engine.events(&self.id)).await.unwrap();
        loop {
            match within(self.engine.inspect(id)).await.unwrap().status {
                Status::Exited(exit) => return exit.status,
                _ => drop(within(events.next()).await.unwrap().unwrap()),
            }
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        // A thread and runtime of its own: the test's may be unwinding.
        let sweep = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for container in engine.list(&id).await.unwrap_or_default() {
                    let _ = engine.remove(&container.id).await;
                }
            });
            let label = format!("%7B%22label%22%3A%5B%22io.tandem.test%3D{id}%22%5D%7D");
            let volumes = http("GET", &format!("/volumes?filters={label}"), None);
            for volume in volumes["Volumes"].as_array().into_iter().flatten() {
                http("DELETE", &format!("/volumes/{}", volume["Name"].as_str().unwrap_or_default()), None);
            }
        });
        let _ = sweep.join();
    }
}

fn address() -> EngineAddress {
    let value = |name| std::env::var(name).ok();
    let (host, verify, certificates) =
        (value("DOCKER_HOST"), value("DOCKER_TLS_VERIFY"), value("DOCKER_CERT_PATH"));
    EngineAddress::parse(host.as_deref(), verify.as_deref(), certificates.as_deref()).unwrap()
}

fn socket() -> PathBuf {
    match address() {
        EngineAddress::Unix(path) => path,
        other => panic!("these tests want an engine on a unix socket, not {other}"),
    }
}

/// What the door has no verb for, by hand.
fn http(method: &str, path: &str, body: Option<serde_json::Value>) -> serde_json::Value {
    let mut stream = UnixStream::connect(socket()).unwrap();
    stream.set_read_timeout(Some(limit())).unwrap();
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    serde_json::from_slice(&answer[at..]).unwrap_or_default()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(limit(), work).await.expect("the engine takes too long")
}

async fn all(mut stream: BoxStream<'static, Result<Bytes, EngineError>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part.unwrap());
    }
    bytes
}

/// The payload of each stream, from Docker's frames.
fn demultiplexed(mut bytes: &[u8]) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some((header, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_be_bytes(header[4..8].try_into().unwrap()) as usize;
        let (payload, rest) = rest.split_at(length);
        match header[0] {
            1 => out.extend_from_slice(payload),
            2 => err.extend_from_slice(payload),
            other => panic!("stream {other}"),
        }
        bytes = rest;
    }
    assert!(bytes.is_empty());
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[tokio::test]
async fn the_engine_says_what_it_is() {
    let info = within(Pod::new().engine.info()).await.unwrap();
    assert!(!info.version.is_empty());
    assert!(["cgroupfs", "systemd", "none"].contains(&info.cgroup_driver.as_str()), "{info:?}");
    assert!([1, 2].contains(&info.cgroup_version));
}

#[tokio::test]
async fn output_from_the_first_byte_and_the_exit_status_are_told() {
    let pod = Pod::new();
    let mut events = within(pod.engine.events(&pod.id)).await.unwrap();
    let id = pod.create("a", &["sh", "-c", "printf 'out\\n'; printf 'err' >&2; exit 255"]).await;
    assert_eq!(within(pod.engine.inspect(&id)).await.unwrap().status, Status::Created);

    let output = within(pod.engine.attach(&id)).await.unwrap();
    within(pod.engine.start(&id)).await.unwrap();
    let (out, err) = demultiplexed(&within(all(output)).await);
    assert_eq!((out.as_str(), err.as_str()), ("out\n", "err"));

    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!(event.kind, EventKind::Started);
    let event = within(events.next()).await.unwrap().unwrap();
    let EventKind::Died(died) = event.kind else { panic!("{event:?}") };
    assert_eq!((event.id.as_str(), died.status), (id.as_str(), 255));
    let Status::Exited(exit) = within(pod.engine.inspect(&id)).await.unwrap().status else { panic!() };
    assert_eq!((exit.status, exit.oom), (255, false));
    assert!((exit.at_nanos - died.at_nanos).abs() < 5_000_000_000, "{exit:?} {died:?}");

    within(pod.engine.remove(&id)).await.unwrap();
    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!((event.id, event.kind), (id.clone(), EventKind::Destroyed));
    assert!(matches!(within(pod.engine.inspect(&id)).await, Err(EngineError::NotFound(_))));
}

#[tokio::test]
async fn a_terminals_bytes_come_raw() {
    let pod = Pod::new();
    let mut request = pod.request("tty", &["printf", "\\002first\\nlast"]);
    request.container.tty = true;
    let (bytes, status) = pod.output_of(&request).await;
    assert_eq!((bytes.as_slice(), status), (&b"\x02first\r\nlast"[..], 0));
    let listed = within(pod.engine.list(&pod.id)).await.unwrap();
    assert!(listed[0].tty);
}

#[tokio::test]
async fn events_are_listened_to_from_the_moment_the_call_returns() {
    let pod = Pod::new();
    // Many times, since what is looked for is a race: destroyed right after the call has returned.
    for round in 0..20 {
        let id = pod.create(&format!("a{round}"), &["true"]).await;
        let mut events = within(pod.engine.events(&pod.id)).await.unwrap();
        within(pod.engine.remove(&id)).await.unwrap();
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!((event.id, event.kind), (id, EventKind::Destroyed));
    }
}

#[tokio::test]
async fn events_of_other_pods_are_not_told() {
    let (ours, theirs) = (Pod::new(), Pod::new());
    let mut events = within(ours.engine.events(&ours.id)).await.unwrap();
    let other = theirs.create("a", &["true"]).await;
    within(theirs.engine.remove(&other)).await.unwrap();
    let id = ours.create("a", &["true"]).await;
    within(ours.engine.remove(&id)).await.unwrap();
    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!((event.id, event.kind), (id, EventKind::Destroyed));
}

#[tokio::test]
async fn health_is_told_by_events_and_by_inspection() {
    let pod = Pod::new();
    let mut request = pod.request("a", &["sleep", "1000"]);
    request.container.healthcheck = Some(HealthCheck::Check {
        test: vec!["CMD".into(), "true".into()],
        interval: Some(Duration::from_millis(200)),
        timeout: None,
        start_period: None,
        start_interval: None,
        retries: Some(1),
    });
    let mut events = within(pod.engine.events(&pod.id)).await.unwrap();
    let id = pod.create_as(&request).await;
    within(pod.engine.start(&id)).await.unwrap();
    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!(event.kind, EventKind::Started);
    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!(event.kind, EventKind::Health(Health::Healthy));
    let status = within(pod.engine.inspect(&id)).await.unwrap().status;
    assert_eq!(status, Status::Running { health: Health::Healthy });
}

#[tokio::test]
async fn what_is_missing_is_told_apart() {
    let pod = Pod::new();
    let mut request = pod.request("a", &["true"]);
    request.container.image = "tandem-test/no-such-image:1".into();
    assert!(matches!(within(pod.engine.create(&request)).await, Err(EngineError::NotFound(_))));
    assert_eq!(within(pod.engine.image_has_healthcheck(&request.container.image)).await, Ok(None));
    assert_eq!(within(pod.engine.image_has_healthcheck(IMAGE)).await, Ok(Some(false)));

    // The holder of a namespace must exist at creation; that it does not is not the image's fault.
    let mut request = pod.request("b", &["true"]);
    request.pid_mode = format!("container:{}", pod.name("nobody"));
    let error = within(pod.engine.create(&request)).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Conflict(words) if words.contains("No such container")),
        "{error:?}"
    );

    pod.create("c", &["true"]).await;
    let twice = within(pod.engine.create(&pod.request("c", &["true"]))).await;
    assert!(matches!(twice, Err(EngineError::Conflict(_))), "{twice:?}");
    assert!(matches!(within(pod.engine.start("no-such")).await, Err(EngineError::NotFound(_))));
}

#[tokio::test]
async fn a_failed_start_leaves_its_status() {
    let pod = Pod::new();
    for (name, program, want) in [("a", "no-such-program", 127), ("b", "/etc", 126)] {
        let id = pod.create(name, &[program]).await;
        let error = within(pod.engine.start(&id)).await.unwrap_err();
        assert!(matches!(&error, EngineError::Refused(words) if words.contains(program)), "{error:?}");
        let status = within(pod.engine.inspect(&id)).await.unwrap().status;
        assert!(matches!(status, Status::Exited(exit) if exit.status == want), "{status:?}");
    }
}

#[tokio::test]
async fn every_call_may_be_repeated() {
    let pod = Pod::new();
    let id = pod.create("a", &["sleep", "1000"]).await;
    within(pod.engine.stop(&id, Duration::ZERO)).await.unwrap();
    for _ in 0..2 {
        within(pod.engine.start(&id)).await.unwrap();
    }
    assert!(matches!(within(pod.engine.inspect(&id)).await.unwrap().status, Status::Running { .. }));
    // `sleep` as PID 1 ignores TERM: the kill comes after the grace.
    for _ in 0..2 {
        within(pod.engine.stop(&id, Duration::from_millis(1))).await.unwrap();
    }
    assert_eq!(pod.exit_status(&id).await, 137);
    let (one, two) = tokio::join!(pod.engine.remove(&id), pod.engine.remove(&id));
    assert_eq!((one, two), (Ok(()), Ok(())));
    within(pod.engine.remove(&id)).await.unwrap();
}

#[tokio::test]
async fn a_pull_that_fails_says_why() {
    let pod = Pod::new();
    // Nobody listens on this port: the engine's words name the address.
    let mut lines = pod.engine.pull("127.0.0.1:1/nothing", None);
    let error = loop {
        if let Err(error) = within(lines.next()).await.expect("the pull ended without an error") {
            break error;
        }
    };
    assert!(matches!(&error, EngineError::Refused(words) if words.contains("127.0.0.1:1")), "{error:?}");
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let engine = DockerEngine::new(&EngineAddress::Unix(folder.path().join("none"))).unwrap();
    let error = within(engine.info()).await.unwrap_err();
    assert!(matches!(&error, EngineError::Unreachable(words) if words.contains("No such file")), "{error:?}");
}

#[tokio::test]
async fn an_archive_keeps_modes_and_owners() {
    let pod = Pod::new();
    let mut request = pod.request("a", &["stat", "-c", "%n %a %u:%g", "/in/deep/file"]);
    request.container.user = Some("1000:1000".into());
    let id = pod.create_as(&request).await;
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o4751);
    header.set_uid(123_456);
    header.set_gid(77);
    archive.append_data(&mut header, "in/deep/file", &b"bytes"[..]).unwrap();
    let bytes = Bytes::from(archive.into_inner().unwrap());
    let parts = futures_util::stream::iter([Ok(bytes.slice(..100)), Ok(bytes.slice(100..))]).boxed();
    within(pod.engine.copy_in(&id, "/", parts)).await.unwrap();
    let (out, _) = demultiplexed(&pod.run(&id).await.0);
    assert_eq!(out, "/in/deep/file 4751 123456:77\n");

    let none = futures_util::stream::iter([Ok(Bytes::from(vec![0; 1024]))]).boxed();
    let error = within(pod.engine.copy_in(&id, "/no/such/folder", none)).await.unwrap_err();
    assert!(matches!(error, EngineError::NotFound(_)), "{error:?}");
}

#[tokio::test]
async fn an_archive_that_breaks_off_is_refused_in_its_own_words() {
    let pod = Pod::new();
    let id = pod.create_as(&pod.request("a", &["true"])).await;
    let broken = || std::io::Error::other("`/cfg/conf` became shorter while it was copied");
    // Before the first byte, where the engine would take an end for an empty archive, and after some.
    for parts in [vec![Err(broken())], vec![Ok(Bytes::from(vec![b'x'; 100_000])), Err(broken())]] {
        let parts = futures_util::stream::iter(parts).boxed();
        let error = within(pod.engine.copy_in(&id, "/", parts)).await.unwrap_err();
        assert_eq!(error, EngineError::Refused(broken().to_string()));
    }
}

#[tokio::test]
async fn a_volume_that_binds_a_relative_path_stands_for_one_below_the_root() {
    let pod = Pod::new();
    for (device, want) in [("run", Some("/run")), ("/run", Some("/run"))] {
        let volume = pod.name(&format!("bound{}", device.len()));
        let options = serde_json::json!({ "type": "none", "o": "ro,bind", "device": device });
        let labels = serde_json::json!({ "io.tandem.test": pod.id });
        let body = serde_json::json!({ "Name": volume, "Labels": labels, "DriverOpts": options });
        http("POST", "/volumes/create", Some(body));
        let info = within(pod.engine.volume(&volume)).await.unwrap().expect("it is there");
        assert_eq!(info.device().map(|device| device.path).as_deref(), want);
        assert_eq!(within(pod.engine.local_volumes()).await.unwrap().get(&volume), Some(&info));
    }
    assert_eq!(within(pod.engine.volume(&pod.name("none"))).await.unwrap(), None);
}

#[tokio::test]
async fn an_empty_command_and_an_empty_entrypoint_are_not_the_images() {
    let pod = Pod::new();
    // The image's command is `/bin/sh`, and it has no entrypoint: nothing is left to run.
    let mut request = pod.request("a", &[]);
    let error = within(pod.engine.create(&request)).await.unwrap_err();
    assert!(matches!(&error, EngineError::Refused(words) if words.contains("o command")), "{error:?}");
    request.container.entrypoint = Some(vec!["echo".into()]);
    let (bytes, _) = pod.output_of(&request).await;
    assert_eq!(demultiplexed(&bytes).0, "\n");
    let mut request = pod.request("b", &["echo", "it"]);
    request.container.entrypoint = Some(Vec::new());
    let (bytes, _) = pod.output_of(&request).await;
    assert_eq!(demultiplexed(&bytes).0, "it\n");
}

#[tokio::test]
async fn the_task_container_comes_with_the_labels_of_its_volumes() {
    let pod = Pod::new();
    let volume = pod.name("volume");
    let labels = serde_json::json!({ "io.tandem.test": pod.id, "com.docker.stack.namespace": "stack" });
    http("POST", "/volumes/create", Some(serde_json::json!({ "Name": volume, "Labels": labels })));
    let mut request = pod.request("task", &["sleep", "1000"]);
    let mount = |target: &str, source| Mount { target: target.into(), read_only: false, source };
    request.container.mounts = vec![
        mount("/data", MountSource::volume(Some(volume.clone()))),
        // An anonymous volume has no labels at all: `null` in the engine's answer.
        mount("/anonymous", MountSource::volume(None)),
        mount("/etc/host", MountSource::bind("/etc")),
    ];
    request.container.cap_drop = vec!["net_raw".into()];
    request.container.cap_add = vec!["CAP_SYS_TIME".into()];
    request.container.memory_bytes = Some(64 << 20);
    request.container.user = Some("65529".into());
    let id = pod.create_as(&request).await;
    within(pod.engine.start(&id)).await.unwrap();

    let task = within(pod.engine.inspect_task(&id)).await.unwrap();
    assert_eq!((task.id.as_str(), task.name.as_str()), (id.as_str(), request.name.as_str()));
    assert!(task.image_id.starts_with("sha256:"));
    assert!(!task.started_at.starts_with("0001"));
    assert_eq!((task.ipc_mode.as_str(), task.network_mode.as_str()), ("private", "none"));
    assert_eq!(
        (task.user.as_str(), task.limits.memory_bytes, task.privileged),
        ("65529", Some(64 << 20), false)
    );
    assert_eq!(
        (task.cap_drop.clone(), task.cap_add.clone()),
        (vec!["NET_RAW".to_owned()], vec!["SYS_TIME".to_owned()])
    );
    // The image has labels of its own, which the engine adds.
    let labels: BTreeMap<String, String> = task
        .labels
        .iter()
        .filter(|(key, _)| *key != "tandem.test-image")
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    assert_eq!(labels, pod.labels());
    let at = |target: &str| task.mounts.iter().find(|mount| mount.target == target).unwrap();
    assert_eq!(at("/data").volume.as_deref(), Some(volume.as_str()));
    assert_eq!(at("/data").labels.get("com.docker.stack.namespace").map(String::as_str), Some("stack"));
    assert_eq!((at("/anonymous").kind.as_str(), at("/anonymous").labels.len()), ("volume", 0));
    assert_eq!((at("/etc/host").kind.as_str(), at("/etc/host").source.as_str()), ("bind", "/etc"));
}

/// A pod as the planner would have it: every field arrives at the engine.
#[tokio::test]
async fn what_is_asked_for_is_what_the_engine_makes() {
    let pod = Pod::new();
    let task = pod.create("task", &["sleep", "1000"]).await;
    within(pod.engine.start(&task)).await.unwrap();
    let image_id = within(pod.engine.inspect_task(&task)).await.unwrap().image_id;
    let app = ContainerSpec {
        image: IMAGE.into(),
        entrypoint: Some(vec!["/bin/sh".into(), "-c".into()]),
        command: Some(vec!["sleep 1000".into()]),
        environment: vec![("A".into(), Some("b=c".into())), ("GONE".into(), None)],
        working_dir: Some("/tmp".into()),
        user: Some("1000:1001".into()),
        labels: BTreeMap::from([
            ("theirs".into(), "kept".into()),
            ("io.tandem.role".into(), "forged".into()),
        ]),
        mounts: vec![Mount {
            target: "/cache".into(),
            read_only: false,
            source: MountSource::Tmpfs { size_bytes: Some(1 << 20), mode: Some(0o1770) },
        }],
        tmpfs: BTreeMap::from([("/scratch".into(), "size=64k".into())]),
        read_only: true,
        healthcheck: Some(HealthCheck::Disabled),
        stop_signal: Some("SIGINT".into()),
        memory_bytes: Some(64 << 20),
        nano_cpus: Some(500_000_000),
        pids_limit: Some(50),
        cap_add: vec!["NET_ADMIN".into()],
        cap_drop: vec!["ALL".into()],
        shm_size_bytes: Some(1 << 20),
        stdin_open: true,
        ..ContainerSpec::default()
    };
    let component = ComponentSpec {
        name: "app".into(),
        container: app,
        stop_grace: Some(Duration::from_millis(1500)),
        ..ComponentSpec::default()
    };
    let spec = PodSpec {
        identity: Identity {
            pod: task.clone(),
            name: pod.name("task"),
            run: "r".into(),
            manager: "manager".into(),
            origin: BTreeMap::new(),
        },
        namespaces: Namespaces {
            pid: Some(Holder::Sandbox),
            ipc: Some(Holder::Sandbox),
            shm_size_bytes: Some(32 << 20),
            cgroup_parent: None,
        },
        init: Vec::new(),
        components: vec![component],
        scratch: Vec::new(),
        checks_mounts: false,
        pull_always: false,
        stop_timeout: Duration::from_secs(8),
    };

    // `pause` is not in this image: `sleep` stands in for it, all else is the sandbox's. The labels of the
    // test are what it is cleaned up by.
    let mut request = sandbox_request(&spec, &image_id, "name");
    request.container.entrypoint = Some(vec!["/bin/sleep".into()]);
    request.container.command = Some(vec!["1000".into()]);
    request.labels.extend(pod.labels());
    let sandbox = pod.create_as(&request).await;
    let mut request = create_request(&spec, &spec.components[0]);
    assert_eq!(request.labels.get("io.tandem.role").map(String::as_str), Some("component"));
    request.labels.extend(pod.labels());
    // Created before the sandbox runs, started after.
    let app = pod.create_as(&request).await;
    within(pod.engine.start(&sandbox)).await.unwrap();
    within(pod.engine.start(&app)).await.unwrap();

    let raw = http("GET", &format!("/v1.41/containers/{app}/json"), None);
    let (config, host) = (&raw["Config"], &raw["HostConfig"]);
    let join = |id: &str| format!("container:{id}");
    assert_eq!(raw["Name"], format!("/{}.podlike.app", pod.name("task")));
    assert_eq!(host["NetworkMode"], join(&task));
    // The name became the id.
    assert_eq!(host["PidMode"], join(&sandbox));
    assert_eq!(host["IpcMode"], join(&sandbox));
    assert_eq!(host["AutoRemove"], false);
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["Memory"], 64 << 20);
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["PidsLimit"], 50);
    assert_eq!(host["Tmpfs"]["/scratch"], "size=64k");
    assert_eq!(config["StopTimeout"], 2);
    assert_eq!(config["StopSignal"], "SIGINT");
    assert_eq!(config["User"], "1000:1001");
    assert_eq!(config["WorkingDir"], "/tmp");
    assert_eq!(config["OpenStdin"], true);
    assert_eq!(config["Healthcheck"]["Test"][0], "NONE");
    assert_eq!(config["Labels"]["theirs"], "kept");

    let raw = http("GET", &format!("/v1.41/containers/{sandbox}/json"), None);
    let (config, host) = (&raw["Config"], &raw["HostConfig"]);
    assert_eq!(config["User"], "65529:65529");
    assert_eq!(config["Labels"]["io.tandem.role"], "sandbox");
    assert_eq!(host["NetworkMode"], join(&task));
    assert_eq!(host["IpcMode"], "shareable");
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["ShmSize"], 32 << 20);
    assert_eq!(host["CapDrop"][0], "ALL");
    assert_eq!(host["SecurityOpt"][0], "no-new-privileges");
    assert_eq!(host["LogConfig"]["Type"], "json-file");
    assert!(raw["State"]["Health"].is_null());

    // Another component sees the sandbox's /dev/shm and process table, and its own environment and mounts.
    let mut look = create_request(&spec, &spec.components[0]);
    look.name = pod.name("look");
    look.labels.extend(pod.labels());
    let script = "df -k /dev/shm | tail -n 1; ps -o pid,args; env; stat -c %a /cache";
    look.container.command = Some(vec![script.into()]);
    let (bytes, _) = pod.output_of(&look).await;
    let text = demultiplexed(&bytes).0;
    let has = |line: &str| text.lines().any(|one| one.trim() == line);
    assert!(text.contains(" 32768 "), "{text}");
    assert!(has("1 /bin/sleep 1000") && text.contains("sleep 1000"), "{text}");
    assert!(has("A=b=c") && !text.contains("GONE") && has("1770"), "{text}");
}

#[tokio::test]
async fn command_with_input_reads_it_and_reports_status_and_words() {
    let pod = Pod::new();
    let app = pod.engine.create(&pod.request("app", &["sleep", "1000"])).await.unwrap();
    pod.engine.start(&app.id).await.unwrap();
    let run = async |script: &str, parts: Vec<std::io::Result<Bytes>>| {
        let command = Hook {
            command: vec!["sh".into(), "-c".into(), script.into()],
            user: Some("7:9".into()),
            ..Hook::default()
        };
        let input = futures_util::stream::iter(parts).boxed();
        timeout(limit(), pod.engine.run(&app.id, &command, input)).await.expect("it ends")
    };
    let large = || Ok(Bytes::from(vec![b'x'; 1 << 20]));
    let finished = run("head -c 2097152 | wc -c >&2; id -u >&2; exit 3", vec![large(), large()])
        .await
        .unwrap()
        .expect("input is passed on");
    assert_eq!((finished.status, finished.stderr.as_str()), (3, "2097152\n7"));
    let early =
        run("echo no >&2; exit 4", vec![large(), large()]).await.unwrap().expect("input is passed on");
    assert_eq!((early.status, early.stderr.as_str()), (4, "no"));
    let broken = run("cat >/dev/null", vec![large(), Err(std::io::Error::other("shorter"))]).await;
    assert_eq!(broken, Err(EngineError::Refused("shorter".into())));
}
