//! A registry of one image, in this process: what the engine pulls, how often, and what it is told.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::docker::{attempt, docker};
use super::proxy::read_head;
use super::{test_image, unique};

/// Size of the layer that must be fetched; what is random cannot be made smaller on the way.
const LAYER: usize = 2 * 1024 * 1024;
/// Pieces in which it comes.
const PIECES: u32 = 16;

/// The registry; ends when dropped, and takes its image from the engine.
pub(crate) struct Registry {
    /// The reference of its image.
    pub(crate) image: String,
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Default)]
struct Shared {
    /// Time between two pieces of the large layer.
    pace: Duration,
    manifest: Mutex<Vec<u8>>,
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    asked: AtomicUsize,
    spoils: AtomicBool,
    ends: AtomicBool,
}

impl Registry {
    /// Serve the test image with one layer more, which the engine does not have.
    pub(crate) fn start() -> Registry {
        Self::slow(Duration::ZERO)
    }

    /// As [`Registry::start`], and the large layer takes this long.
    pub(crate) fn slow(time: Duration) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { pace: time / PIECES, ..Shared::default() });
        let registry = Registry { image: format!("127.0.0.1:{port}/tandem-test:1"), shared, port };
        registry.fill();
        let shared = Arc::clone(&registry.shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ends.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { return };
                thread::spawn(move || shared.serve(stream));
            }
        });
        registry
    }

    /// How often it was asked for anything of its image; how often in one pull is the engine's affair.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// From now on the large layer is not what its digest says.
    pub(crate) fn spoil_layers(&self) {
        self.shared.spoils.store(true, Ordering::SeqCst);
    }

    /// Make the image, take it apart, and remove it from the engine.
    fn fill(&self) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut random = vec![0; LAYER];
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).expect("random bytes");
        let extra = folder.path().join("extra");
        fs::write(&extra, random).expect("written");
        let container = unique("registry");
        docker(&[
            "create",
            "--name",
            &container,
            "--label",
            "io.tandem.test=registry",
            &test_image(),
            "true",
        ]);
        let copied = attempt(&["cp", &extra.display().to_string(), &format!("{container}:/extra")]);
        let committed = attempt(&["commit", &container, &self.image]);
        docker(&["rm", "-f", &container]);
        assert_eq!((copied.status, committed.status), (0, 0), "{copied:?} {committed:?}");
        let archive = folder.path().join("image.tar");
        let saved = attempt(&["save", "-o", &archive.display().to_string(), &self.image]);
        docker(&["rmi", &self.image]);
        assert_eq!(saved.status, 0, "{}", saved.error());

        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut archive = tar::Archive::new(File::open(&archive).expect("saved"));
        for entry in archive.entries().expect("a tar archive") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("readable");
            files.insert(path, content);
        }
        let list: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
        let paths = |value: &Value| value.as_str().expect("a path").to_owned();
        let config = files[&paths(&list[0]["Config"])].clone();
        let layers: Vec<Vec<u8>> = list[0]["Layers"]
            .as_array()
            .expect("layers")
            .iter()
            .map(|path| files[&paths(path)].clone())
            .collect();
        let mut blobs = BTreeMap::new();
        let mut described = |media: &str, blob: Vec<u8>| {
            let digest = digest(&blob, folder.path());
            let about = json!({"mediaType": media, "size": blob.len(), "digest": digest});
            blobs.insert(digest, blob);
            about
        };
        let config = described("application/vnd.oci.image.config.v1+json", config);
        let layers: Vec<Value> = layers
            .into_iter()
            .map(|layer| described("application/vnd.oci.image.layer.v1.tar", layer))
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        });
        *self.shared.manifest.lock().expect("first use") = manifest.to_string().into_bytes();
        *self.shared.blobs.lock().expect("first use") = blobs;
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Drop for Registry {
    fn drop(&mut self) {
        attempt(&["rmi", "-f", &self.image]);
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let Ok((head, _)) = read_head(&mut stream) else {
            // What Go's server says to a TLS handshake; the engine then speaks plainly.
            let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nnot TLS\n");
            return;
        };
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // The engine goes away where it is told to stop.
        let _ = self.answer(&mut stream, method, path);
    }

    fn answer(&self, stream: &mut TcpStream, method: &str, path: &str) -> io::Result<()> {
        let (kind, body) = if path == "/v2/" {
            ("application/json", b"{}".to_vec())
        } else if path.starts_with("/v2/tandem-test/manifests/") {
            self.asked.fetch_add(1, Ordering::SeqCst);
            (MANIFEST, self.manifest.lock().unwrap_or_else(PoisonError::into_inner).clone())
        } else {
            let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
            match path.rsplit('/').next().and_then(|digest| blobs.get(digest)) {
                Some(blob) => ("application/octet-stream", blob.clone()),
                None => {
                    let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
                    return respond(stream, "404 Not Found", "application/json", body, method == "HEAD");
                }
            }
        };
        if body.len() < LAYER {
            return respond(stream, "200 OK", kind, &body, method == "HEAD");
        }
        let mut body = body;
        if self.spoils.load(Ordering::SeqCst) {
            body[LAYER / 2] ^= 1;
        }
        // Slowly, so that there is progress to be told of.
        respond(stream, "200 OK", kind, &body, true)?;
        for piece in body.chunks(LAYER / PIECES as usize) {
            stream.write_all(piece)?;
            thread::sleep(self.pace);
        }
        Ok(())
    }
}

fn respond(stream: &mut TcpStream, status: &str, kind: &str, body: &[u8], head_only: bool) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\n\r\n",
        body.len()
    )?;
    if head_only { Ok(()) } else { stream.write_all(body) }
}

fn digest(blob: &[u8], folder: &Path) -> String {
    let file = folder.join("blob");
    fs::write(&file, blob).expect("written");
    let output = Command::new("sha256sum").arg(&file).output().expect("sha256sum of coreutils can be run");
    let text = String::from_utf8(output.stdout).expect("text");
    format!("sha256:{}", text.split(' ').next().expect("a word"))
}
