//! A Compose file in the task container as the definition of its pod, run as it is.

use crate::lab::pod::Pod;
use crate::lab::test_image;

/// What a user of Compose has: variables, an extension with an anchor, a base that is extended, a profile, and keys
/// that a pod cannot have.
const FILE: &str = r#"
name: shop
x-common: &common {stop_signal: SIGKILL}
services:
  base:
    <<: *common
    profiles: [never]
    image: ${IMAGE:?which image}
    command: [sh, -c, 'sleep 100000']
    environment: {FROM: base, WHO: "${WHO:-nobody}", KEPT: $$WHO}
  web:
    extends: base
    build: .
    ports: ["8080:80"]
    networks: [front]
    environment: [FROM=web]
    depends_on: {db: {condition: service_healthy}}
    volumes: [data:/data]
  db:
    <<: *common
    image: ${IMAGE}
    command: sleep 100000
    env_file: ./db.env
    healthcheck: {test: test -f /tmp/copied, interval: 1s}
networks: {front: {}}
volumes: {data: {}}
"#;

#[test]
fn a_compose_file_runs_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("compose.yml", FILE);
    write(".env", &format!("IMAGE={}\nWHO=the file\n", test_image()));
    write("db.env", "SIZE=large\n");
    let mount = format!("{}:/etc/shop:ro", folder.path().display());
    let mut volumes = crate::lab::pod::Volumes::default();
    let volume = crate::lab::unique("shop_data");
    volumes.create(&volume, &["com.docker.compose.volume=data"]);
    let pod = Pod::plan("compose-file")
        .options(&["-v", &mount, "-e", "WHO=the environment", "-v", &format!("{volume}:/data")])
        .label("pod.compose.file", "/etc/shop/compose.yml")
        .label("pod.copy.db", "/etc/shop/db.env:/tmp/copied")
        .start();
    pod.wait_healthy();
    let mut names: Vec<String> =
        pod.members().iter().map(|id| crate::lab::docker::inspect(id)["Name"].to_string()).collect();
    names.sort();
    assert_eq!(names.len(), 3, "the sandbox, `db` and `web`: {names:?}");
    assert_eq!(pod.exec("web", "echo $FROM, $WHO, $KEPT"), "web, the environment, $WHO");
    assert_eq!(pod.exec("db", "echo $SIZE; cat /tmp/copied"), "large\nSIZE=large");
    let mounts = pod.component("web")["Mounts"].clone();
    assert_eq!(mounts[0]["Name"], volume.as_str(), "the task container's volume, found by its Compose name");
    pod.wait_said("ignored: `web.build`, `web.ports`, `web.networks`");
    pod.stop_clean();
}
