//! `pod.copy`: files of the task container put into components before they start.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::lab::docker::docker;
use crate::lab::pod::{Pod, Volumes};
use crate::lab::{idle, script, test_image};

/// A folder of the host with something of each kind, mounted at `/from`.
fn source() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    };
    write("plain.conf", "plain", 0o644);
    write("secret.conf", "secret", 0o400);
    fs::create_dir(folder.path().join("tree")).expect("made");
    fs::create_dir(folder.path().join("tree/below")).expect("made");
    write("tree/run.sh", "#!/bin/sh\necho ran\n", 0o755);
    write("tree/below/deep", "deep", 0o640);
    symlink("run.sh", folder.path().join("tree/link")).expect("linked");
    fs::set_permissions(folder.path().join("tree/below"), fs::Permissions::from_mode(0o750)).expect("set");
    let mount = format!("{}:/from:ro", folder.path().display());
    (folder, mount)
}

fn chown(folder: &Path, name: &str, owner: &str) {
    // In a container, so that the tests need not be root.
    let folder = folder.display();
    docker(&[
        "run",
        "--rm",
        "-v",
        &format!("{folder}:/from"),
        &test_image(),
        "chown",
        "-hR",
        owner,
        &format!("/from/{name}"),
    ]);
}

#[test]
fn a_file_is_there_before_the_start_in_each_form_of_the_label() {
    let (_folder, mount) = source();
    // It reads the file at once: a copy after the start would come too late.
    let app = script("cat /etc/app/conf >/got; exec sleep 100000");
    let pod = Pod::plan("copy")
        .options(&["-v", &mount])
        .component("text", &format!("{app}stop_signal: SIGKILL\n"))
        .component("list", &format!("{app}stop_signal: SIGKILL\n"))
        .component("map", &format!("{app}stop_signal: SIGKILL\n"))
        .label("pod.copy.text", "/from/plain.conf:/etc/app/conf")
        .label("pod.copy.list", "- /from/plain.conf:/etc/app/conf\n- /from/secret.conf:/etc/\n")
        .label(
            "pod.copy.map",
            "/from/plain.conf: /etc/app/conf\n/from/secret.conf: /nowhere/../etc/./other.conf\n",
        )
        .start();
    pod.wait_running(&["text", "list", "map"]);
    for name in ["text", "list", "map"] {
        let got = "until [ -s /got ]; do usleep 50000; done; cat /got";
        assert_eq!(pod.exec(name, got), "plain", "{name}");
    }
    assert_eq!(pod.exec("list", "cat /etc/secret.conf"), "secret");
    assert_eq!(pod.exec("map", "cat /etc/other.conf"), "secret");
    pod.stop_clean();
}

#[test]
fn files_and_folders_keep_mode_and_owner() {
    let (folder, mount) = source();
    chown(folder.path(), "tree/run.sh", "1234:5678");
    chown(folder.path(), "secret.conf", "4321:8765");
    let pod = Pod::plan("copy-tree")
        .options(&["-v", &mount])
        .component("app", &idle())
        .label("pod.copy.app", "- /from/tree:/opt/tree\n- /from/secret.conf:/opt/secret.conf\n")
        .start();
    pod.wait_running(&["app"]);
    let stat = |path: &str| pod.exec("app", &format!("stat -c '%a %u:%g' {path}"));
    assert_eq!(stat("/opt/tree/run.sh"), "755 1234:5678");
    assert_eq!(stat("/opt/secret.conf"), "400 4321:8765");
    assert_eq!(stat("/opt/tree/below").split(' ').next(), Some("750"));
    assert_eq!(stat("/opt/tree/below/deep").split(' ').next(), Some("640"));
    assert_eq!(
        pod.exec("app", "cat /opt/tree/below/deep; readlink /opt/tree/link; /opt/tree/run.sh"),
        "deeprun.sh\nran"
    );
    pod.stop_clean();
    // Else who made the folder could not remove it.
    chown(folder.path(), ".", &fs::metadata(folder.path()).expect("it is there").uid().to_string());
}

#[test]
fn init_components_can_be_copied_into_too() {
    let (_folder, mount) = source();
    let pod = Pod::plan("copy-init")
        .options(&["-v", &mount])
        .args(&["--logs"])
        .label("pod.init.components", &format!("- image: {}\n  command: [cat, /conf]\n", test_image()))
        .label("pod.copy.init-1", "/from/plain.conf:/conf")
        .component("app", &idle())
        .start();
    pod.wait_running(&["app"]);
    assert!(pod.logs().0.contains("[out] init-1: plain\n"), "{:?}", pod.logs());
    pod.stop_clean();
}

#[test]
fn a_copy_that_would_be_lost_is_refused() {
    let (_folder, mount) = source();
    let cases = [("read_only: true\n", "/etc/conf", "read_only"), ("tmpfs: [/run]\n", "/run/conf", "/run")];
    for (keys, target, want) in cases {
        let (said, pod) = Pod::plan("copy-lost")
            .options(&["-v", &mount])
            .component("app", &format!("{}{keys}", idle()))
            .label("pod.copy.app", &format!("/from/plain.conf:{target}"))
            .run();
        assert_eq!(said.status, 64, "{keys}: {}", said.error());
        assert!(
            said.error().contains("pod.copy.app") && said.error().contains(want),
            "{keys}: {}",
            said.error()
        );
        pod.assert_nothing_left();
    }
}

#[test]
fn a_copy_into_a_volume_of_a_read_only_component_arrives() {
    let (_folder, mount) = source();
    let pod = Pod::plan("copy-volume")
        .options(&["-v", &mount])
        .component("app", &format!("{}read_only: true\nvolumes: [/data]\n", idle()))
        .label("pod.copy.app", "/from/plain.conf:/data/conf")
        .start();
    pod.wait_running(&["app"]);
    assert_eq!(pod.exec("app", "cat /data/conf"), "plain");
    pod.stop_clean();
}

#[test]
fn a_source_that_is_not_there_is_refused_before_anything_is_created() {
    let (said, pod) = Pod::plan("copy-missing")
        .proxied(|_| crate::lab::proxy::Verdict::Pass)
        .component("app", &idle())
        .label("pod.copy.app", "/from/nothing:/conf")
        .run();
    assert_eq!(said.status, 64, "{}", said.error());
    assert!(said.error().contains("/from/nothing"), "{}", said.error());
    assert_eq!(pod.proxy().changes(), Vec::<String>::new());
}

#[test]
fn a_link_in_a_volume_gets_a_component_nothing_from_elsewhere() {
    let (folder, _) = source();
    let secret = format!("{}:/run/secrets/other:ro", folder.path().join("plain.conf").display());
    let volumes = Volumes::one("copy-planted");
    let volume = format!("{}:/data", volumes.name());
    let plant = "echo own >/data/real; ln -s real /data/own; ln -s /run/secrets/other /data/file; \
                 ln -s /run/secrets /data/folder";
    docker(&["run", "--rm", "-v", &volume, &test_image(), "sh", "-c", plant]);
    for outside in [false, true] {
        let plan = |path: &str| {
            let plan = Pod::plan("copy-planted").options(&["-v", &secret, "-v", &volume]);
            let plan = if outside { plan.outside(&[]) } else { plan };
            plan.component("app", &format!("{}secrets: [{{source: {path}, target: /secret}}]\n", idle()))
                .label("pod.copy.app", &format!("{path}:/copied"))
        };
        for path in ["/data/file", "/data/folder/other", "/run/../data/file"] {
            let (said, pod) = plan(path).run();
            assert_eq!(said.status, 64, "{path}, {outside}: {}", said.error());
            let why = "a link in `/data`, where others may write, leads out of it, to `/run/secrets/other`: name that path itself";
            assert_eq!(said.error().matches(why).count(), 2, "{path}, {outside}: {}", said.error());
            assert_eq!(pod.members(), Vec::<String>::new());
        }
        let (said, pod) = plan("/data/real/below").run();
        assert_eq!(said.status, 64, "a path through a file, {outside}: {}", said.error());
        assert_eq!(pod.members(), Vec::<String>::new());
        let (said, _pod) =
            plan("/data/own").component("env", &format!("{}env_file: /data/file\n", idle())).run();
        assert_eq!(said.status, 64, "{outside}: {}", said.error());
        assert!(said.error().contains("leads out of it, to `/run/secrets/other`"), "{}", said.error());
        let pod = plan("/data/own").start();
        pod.wait_healthy();
        assert_eq!(pod.exec("app", "cat /copied /secret"), "own\nown", "a link that stays there is followed");
        pod.stop_clean();
    }
}

#[test]
fn a_wrong_copy_label_is_refused() {
    for value in ["/only-one-path", "/a:/b:/c", "[1, 2]", "relative:/x", "/a:relative"] {
        let (said, pod) =
            Pod::plan("copy-wrong").component("app", &idle()).label("pod.copy.app", value).run();
        assert_eq!(said.status, 64, "{value}: {}", said.error());
        assert!(said.error().contains("pod.copy.app"), "{value}: {}", said.error());
        pod.assert_nothing_left();
    }
}
