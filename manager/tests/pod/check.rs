//! `manager check --container` against containers of the real engine.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::lab::pod::{Pod, Volumes};
use crate::lab::{idle, manager_image, program, test_image, unique};

fn check(name: &str) -> Output {
    let mut command = Command::new(program("manager"));
    command.args(["check", "--container", name]).output().expect("the manager starts")
}

#[test]
fn a_container_is_checked_as_its_own_manager_would() {
    let (mut volumes, volume) = (Volumes::default(), unique("checked"));
    volumes.create(&volume, &["com.github.rycus86.podlike.volume-ref=shared"]);
    let pod = Pod::plan("checked")
        .args(&["--ipc=false"])
        .options(&["-v", &format!("{volume}:/data"), "-e", "TANDEM_STOP_TIMEOUT=3s"])
        .component("db", &format!("{}volumes: [shared:/var/lib/db]\n", idle()))
        .component("app", &format!("{}depends_on: [db]\n", idle()))
        .start();
    pod.wait_healthy();
    let said = check(pod.name());
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert_eq!((said.status.code(), &*err), (Some(0), ""), "{out}");
    let want = format!(
        "The pod of the container `{}`

Namespaces
  network  the task container's
  PIDs     shared, a sandbox's
  IPC      each component its own

Start
  1.  db   image {image}
           command: sleep (and 1 argument)
           volume {volume} at /var/lib/db
  2.  app  image {image}
           command: sleep (and 1 argument)
           once db runs

Stop, within 3s
  app; then db
",
        pod.name(),
        image = test_image()
    );
    assert_eq!(out, want);
    pod.stop_clean();
}

#[test]
fn a_container_whose_labels_are_wrong_is_told_every_fault_also_those_that_the_engine_knows() {
    let image = test_image();
    // What is checked need not run.
    let pod = Pod::plan("wrong").component("app", "imag: a\ncommand: {}\n");
    let (said, pod) = pod.run();
    assert_eq!(said.status, 64);
    let checked = check(pod.name());
    let err = String::from_utf8_lossy(&checked.stderr);
    assert_eq!((checked.status.code(), checked.stdout.is_empty()), (Some(64), true), "{err}");
    assert!(err.starts_with("2 faults in the pod's definition\n"), "{err}");
    pod.assert_nothing_left();

    let waits = format!("{}depends_on: {{db: {{condition: service_healthy}}}}\n", idle());
    let (said, pod) = Pod::plan("vain").component("db", &idle()).component("app", &waits).run();
    assert_eq!(said.status, 64);
    let checked = check(pod.name());
    let err = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(64), "{err}");
    assert!(err.contains(&format!("neither `db` nor its image `{image}` has a health check")), "{err}");
    pod.assert_nothing_left();
}

#[test]
fn a_container_that_is_not_there_is_said() {
    let said = check("tandem-test-there-is-none");
    let err = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(64), "{err}");
    assert!(err.contains("has no container `tandem-test-there-is-none`"), "{err}");
}

#[test]
fn labels_on_the_standard_input_of_a_container_reach_the_manager_in_it() {
    let said = |labels: &str| {
        let mut run = Command::new("docker")
            .args(["run", "--rm", "-i", &manager_image(), "check", "--labels", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("`docker` can be run");
        run.stdin.take().expect("a pipe").write_all(labels.as_bytes()).expect("written");
        let said = run.wait_with_output().expect("its end");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (said.status.code(), text(&said.stdout), text(&said.stderr))
    };
    let (status, out, err) = said("{pod.component.a: \"image: x\"}\n");
    assert_eq!((status, &*err), (Some(0), ""), "{out}");
    assert!(out.contains("1.  a  image x"), "{out}");
    let (status, _, err) = said("{pod.component.a: \"imag: x\"}\n");
    assert_eq!(status, Some(64), "{err}");
    assert!(err.contains("did you mean `image`?"), "{err}");
}
