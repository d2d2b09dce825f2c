//! A volume driver that answers everything but a mount (Docker's plugin protocol, `docs/extend/plugins_volume.md` of moby).

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::lab::nodes::Node;

/// Its name.
pub(super) const NAME: &str = "stuck";

/// The driver, known to one engine alone. It is let go when dropped.
pub(super) struct Driver {
    _folder: TempDir,
    gone: Arc<AtomicBool>,
}

impl Driver {
    /// Where the engine of this node looks for plugins, in the mounts that it alone sees.
    pub(super) fn for_engine_of(node: &Node) -> Driver {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(format!("{NAME}.sock"))).expect("bound");
        let gone = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&gone);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let ends = Arc::clone(&ends);
                thread::spawn(move || while answer(&stream, &ends).is_some() {});
            }
        });
        fs::create_dir_all("/run/docker/plugins").expect("made");
        let file = Path::new(node.socket()).with_file_name("docker.pid");
        let pid = fs::read_to_string(file).expect("the engine runs");
        let mount = Command::new("nsenter")
            .args(["--mount", "--target", pid.trim(), "mount", "--bind"])
            .arg(folder.path())
            .arg("/run/docker/plugins")
            .status();
        assert!(mount.expect("`nsenter` can be run").success());
        Driver { _folder: folder, gone }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
    }
}

/// Answer one request; nothing where there are no more.
fn answer(mut stream: &UnixStream, gone: &AtomicBool) -> Option<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let volume = r#"{"Name": "stuck", "Mountpoint": "/nowhere"}"#;
    let said = match head.split(' ').nth(1)? {
        "/plugin.activate" => r#"{"Implements": ["VolumeDriver"]}"#.to_owned(),
        "/volumedriver.capabilities" => r#"{"Capabilities": {"Scope": "local"}}"#.to_owned(),
        "/volumedriver.get" => format!(r#"{{"Volume": {volume}, "Err": ""}}"#),
        "/volumedriver.list" => format!(r#"{{"Volumes": [{volume}], "Err": ""}}"#),
        "/volumedriver.mount" => {
            while !gone.load(Ordering::SeqCst) {
                thread::sleep(std::time::Duration::from_millis(50));
            }
            r#"{"Err": "it was let go"}"#.to_owned()
        }
        _ => r#"{"Err": ""}"#.to_owned(),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        said.len()
    );
    stream.write_all((head + &said).as_bytes()).ok()
}
