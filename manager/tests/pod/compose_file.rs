//! A Compose file in the task container as the definition of its pod, run as it is.

use crate::lab::pod::{Plan, Pod};
use crate::lab::{LONG, test_image, wait};

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

/// Files of which one includes another, whose service extends one of a third.
fn write_project(folder: &std::path::Path) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
    std::fs::create_dir(folder.join("db")).expect("made");
    write(
        "compose.yml",
        "include: [{path: [db/compose.yml]}]
services:
  web:
    extends: {file: base.yml, service: base}
    environment: [FROM=web]
    depends_on: [db]
",
    );
    write(
        "base.yml",
        "services: {base: {image: '${IMAGE}', command: sleep 100000, stop_signal: KILL, env_file: web.env}}\n",
    );
    write("web.env", "FROM=file\nSIZE=small\n");
    write(".env", &format!("IMAGE={}\n", test_image()));
    write(
        "db/compose.yml",
        "services:
  db:
    extends: {file: ../base.yml, service: base}
    env_file: db.env
    environment: {WHO: '$WHO'}
    secrets: [key]
secrets: {key: {file: key.pem}}
",
    );
    write("db/.env", "WHO=the included\nIMAGE=never\n");
    write("db/db.env", "SIZE=large\n");
    write("db/key.pem", "the key");
}

/// Start the pod of this plan with the files of the project, look at it and stop it.
fn runs_the_project(plan: Plan) {
    let folder = tempfile::tempdir().expect("a folder");
    write_project(folder.path());
    let mount = format!("{}:/etc/shop:ro", folder.path().display());
    let pod = plan.options(&["-v", &mount]).label("pod.compose.file", "/etc/shop/compose.yml").start();
    pod.wait_healthy();
    assert_eq!(pod.exec("web", "echo $FROM, $SIZE"), "web, small");
    assert_eq!(
        pod.exec("db", "echo $FROM, $SIZE, $WHO; cat /run/secrets/key"),
        "file, large, the included\nthe key"
    );
    pod.stop_clean();
}

#[test]
fn included_and_extended_files_of_the_task_container_are_part_of_the_pod() {
    runs_the_project(Pod::plan("include"));
}

#[test]
fn included_and_extended_files_are_read_through_a_pause_container_too() {
    runs_the_project(Pod::plan("include-outside").outside(&[]));
}

#[test]
fn eight_included_files_in_a_row_are_read_through_a_pause_container_and_a_ninth_is_refused() {
    for (files, status) in [(8, None), (9, Some(64))] {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 1..=files {
            let at = folder.path().join(format!("f{number}"));
            std::fs::create_dir(&at).expect("made");
            // Each file in the row is named by a variable that the folder's own `.env` has.
            std::fs::write(at.join(".env"), format!("NEXT{number}=../f{}\n", number + 1)).expect("written");
            let include = match number == files {
                true => String::new(),
                false => format!("include: ['${{NEXT{number}}}/compose.yml']\n"),
            };
            let service = format!(
                "services: {{s{number}: {{image: {}, command: sleep 100000, stop_signal: KILL}}}}\n",
                test_image()
            );
            std::fs::write(at.join("compose.yml"), include + &service).expect("written");
        }
        let mount = format!("{}:/etc/row:ro", folder.path().display());
        let plan = Pod::plan("include-row")
            .outside(&[])
            .options(&["-v", &mount])
            .label("pod.compose.file", "/etc/row/f1/compose.yml");
        match status {
            None => {
                let pod = plan.start();
                pod.wait_healthy();
                pod.wait_running(&["s1", "s8"]);
                pod.stop_clean();
            }
            Some(status) => {
                let (said, pod) = plan.run();
                assert_eq!(said.status, status, "{}", said.error());
                assert!(said.error().contains("valid are up to 8 in a row"), "{}", said.error());
                pod.assert_nothing_left();
            }
        }
    }
}

#[test]
fn variables_by_their_names_alone_and_values_of_files_arrive_as_in_compose() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write(
        "compose.yml",
        "name: shop
services:
  app:
    image: ${IMAGE}
    command: >-
      sh -c 'echo \"$$PROJECT $(echo run) #said\"; exec sleep 100000' #argument
    user: ${NOBODY}
    stop_signal: SIGKILL
    env_file: [app.env, {path: raw.env, format: raw}]
    environment: [WHO, FILE, NONE, TANDEM_LIFELINE, PROJECT=$COMPOSE_PROJECT_NAME]
---
services:
  app: {tmpfs: /scratch}
",
    );
    write(".env", &format!("BASE={}\nIMAGE=${{BASE}}\nFILE=file\n", test_image()));
    write("app.env", "URL=http://$WHO/$FILE\nQUOTED='$WHO'\nFILE\n");
    write("raw.env", "RAW=\"$WHO\"\n");
    let mount = format!("{}:/etc/shop:ro", folder.path().display());
    let pod = Pod::plan("compose-variables")
        .args(&["--logs"])
        .options(&["-v", &mount, "-e", "WHO=task"])
        .label("pod.compose.file", "/etc/shop/compose.yml")
        .start();
    pod.wait_running(&["app"]);
    let said = "echo $WHO, $FILE, ${NONE-unset}, ${TANDEM_LIFELINE-unset}, $URL, $QUOTED, $RAW; grep -c ' /scratch ' \
                /proc/mounts";
    assert_eq!(pod.exec("app", said), "task, file, unset, unset, http://task/file, $WHO, \"$WHO\"\n1");
    wait("what it printed", LONG, || pod.logs().0.contains("[out] app: shop run #said").then_some(()));
    let words = pod.component("app")["Config"]["Cmd"].clone();
    assert_eq!(words.as_array().and_then(|words| words.last()).map(|word| word == "#argument"), Some(true));
    pod.wait_said("the variable `NONE` has no value");
    pod.wait_said("the variable `NOBODY` is not set");
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
