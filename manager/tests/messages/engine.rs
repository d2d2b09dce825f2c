//! What a manager says of an engine that does not answer, and an agent of the pods that it looks for.

use std::path::PathBuf;

use engine::EngineAddress;
use manager::agent::looks_for;
use manager::startup::retry::{A_FOLDER, MISSING_PATIENCE, NoSocket, given_up, waiting};
use pod::plan::ENGINE_TIMEOUT;

fn socket() -> EngineAddress {
    EngineAddress::Unix(PathBuf::from("/var/run/docker.sock"))
}

#[test]
fn an_engine_that_is_not_there_is_said_with_what_to_do_and_its_path_once() {
    let missing = "unix:///var/run/docker.sock: No such file or directory (os error 2)";
    assert_eq!(
        waiting(&socket(), missing, Some(NoSocket::Missing), MISSING_PATIENCE),
        "waiting up to 3s for the engine: the engine's socket is not there; mount the socket of the engine into the task \
         container: `-v /var/run/docker.sock:/var/run/docker.sock`, or `volumes` of its service"
    );
    let refused = "unix:///var/run/docker.sock: Connection refused (os error 111)";
    assert_eq!(
        waiting(&socket(), refused, Some(NoSocket::Folder), MISSING_PATIENCE),
        "waiting up to 3s for the engine: a folder is there instead of the engine's socket, as `-v` makes one for a path that \
         the host does not have; mount the socket of the engine into the task container: \
         `-v /var/run/docker.sock:/var/run/docker.sock`, or `volumes` of its service"
    );
    assert_eq!(
        given_up(&socket(), A_FOLDER, MISSING_PATIENCE),
        "the engine has not answered for 3s: unix:///var/run/docker.sock: a folder is there instead of a socket"
    );
    assert_eq!(
        waiting(&socket(), "no answer for 3s", None, ENGINE_TIMEOUT),
        "waiting up to 30s for the engine: unix:///var/run/docker.sock: no answer for 3s; is the engine running, and this its \
         socket?"
    );
    assert_eq!(
        waiting(
            &socket(),
            "unix:///var/run/docker.sock: Connection refused (os error 111)",
            None,
            ENGINE_TIMEOUT
        ),
        "waiting up to 30s for the engine: unix:///var/run/docker.sock: Connection refused (os error 111); is the engine \
         running, and this its socket?"
    );
    let remote = EngineAddress::Tcp { host: "engine".into(), port: 2376 };
    assert_eq!(
        waiting(&remote, "Connection refused (os error 111)", None, ENGINE_TIMEOUT),
        "waiting up to 30s for the engine: tcp://engine:2376: Connection refused (os error 111); is the engine running, and \
         does it listen there?"
    );
    // The hint was given: the end has the cause.
    assert_eq!(
        given_up(&socket(), missing, MISSING_PATIENCE),
        "the engine has not answered for 3s: unix:///var/run/docker.sock: No such file or directory (os error 2)"
    );
    assert_eq!(
        given_up(&socket(), "no answer in time", ENGINE_TIMEOUT),
        "the engine has not answered for 30s: unix:///var/run/docker.sock: no answer in time"
    );
}

#[test]
fn an_agent_says_which_label_it_looks_for() {
    assert_eq!(
        looks_for("agent"),
        "agent `agent`: runs each pause container with labels of a pod and without the label `pod.manager`, or with \
         `pod.manager: agent`"
    );
    assert_eq!(
        looks_for("strict"),
        "agent `strict`: runs each pause container with labels of a pod and with the label `pod.manager: strict`"
    );
}
