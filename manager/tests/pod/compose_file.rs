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
    profiles: !reset []
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

#[test]
fn secrets_and_configs_that_a_compose_file_declares_reach_its_services_from_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let file = format!(
        "services:
  app:
    image: {}
    command: sleep 100000
    user: '1000'
    stop_signal: SIGKILL
    secrets: [key, {{source: token, target: /etc/token, uid: '1000', mode: 0400}}, shop]
    configs: [{{source: conf, target: /etc/app.conf}}]
secrets:
  key: {{file: ./key.pem}}
  token: {{environment: TOKEN}}
  shop: {{external: true, name: shop_secret}}
configs:
  conf: {{content: 'port=${{PORT:-80}}'}}
",
        test_image()
    );
    write("compose.yml", &file);
    write("key.pem", "the key");
    write("shop", "the shop's");
    write(".env", "TOKEN=from the file\n");
    let mount = format!("{}:/etc/shop:ro", folder.path().display());
    let shop = format!("{}:/run/secrets/shop_secret:ro", folder.path().join("shop").display());
    let pod = Pod::plan("declared")
        .options(&["-v", &mount, "-v", &shop])
        .label("pod.compose.file", "/etc/shop/compose.yml")
        .start();
    pod.wait_healthy();
    assert_eq!(pod.exec("app", "cat /run/secrets/key"), "the key");
    assert_eq!(pod.exec("app", "cat /etc/token; stat -c ' %a %u %g' /etc/token"), "from the file 400 1000 0");
    assert_eq!(pod.exec("app", "cat /run/secrets/shop"), "the shop's");
    assert_eq!(pod.exec("app", "cat /etc/app.conf"), "port=80");
    assert_eq!(
        pod.exec("app", "grep -cE ' (/run/secrets/.*|/etc/token|/etc/app.conf) tmpfs ro,' /proc/mounts"),
        "4",
        "read-only, from memory"
    );
    let (out, err) = pod.logs();
    assert!(!format!("{out}{err}").contains("from the file"), "{err}");
    pod.stop_clean();
}
