#![expect(clippy::disallowed_methods, reason = "keeps a file in the task container's memory")]
//! What this manager has done and the engine does not know: for the manager that takes over after a crash.
//!
//! Whose `post_start` hooks have run, and who was started again, stands in a file of the task container's `/dev/shm`, which
//! is writable also where its root is not, and ends with it. It grows with the containers that are there, not with time.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::OFlag;
use tracing::{debug, warn};

use pod::identity::{Identity, short};
use pod::observed::{Exit, ExitRecord};

/// The name of the marks of an agent, which are those of all its pods, and of a manager whose pod is another container's.
pub const AGENT: &str = "agent";
/// Where the task container keeps what is to be in memory.
const FOLDER: &str = "/dev/shm";
/// More than the marks of all pods of a node.
const MOST_BYTES: u64 = 1 << 20;
/// So many lines that no longer count may stand in the file, and as many as there are that do.
const STALE_LINES: usize = 64;

/// The marks of one run of a task container, or of an agent.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Nothing outlives this manager where there is none.
    file: Option<File>,
    /// By the container's id; of a component whose container is gone, by `<pod>/<run>/<component>`.
    checkpoint: BTreeMap<String, Mark>,
    /// In the file.
    lines: usize,
}

/// What is kept of one container. Its last line in the file is what counts: `<key> <restarts> <start or status>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Mark {
    /// How often it was started again.
    again: usize,
    /// When the life began whose `post_start` hooks have run, as the engine says it; empty for none. Of a container that
    /// is gone, the status with which it ended.
    post_start_done: String,
}

impl Checkpoint {
    /// The marks of this name where they can be kept, else none.
    pub fn kept(name: &str) -> Self {
        Self::open(Path::new(FOLDER), name).unwrap_or_else(|error| {
            debug!("no marks of hooks can be kept in {FOLDER}: {error}");
            Self::default()
        })
    }

    /// Open the marks of a pod, or begin them.
    ///
    /// # Errors
    /// Where there is no such folder, or something else stands there.
    pub fn open(folder: &Path, pod: &str) -> io::Result<Self> {
        let name = file_name(pod);
        // A link, or a pipe that nobody writes, is not followed nor waited for.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(flags.bits());
        let file = options.open(folder.join(name))?;
        let meta = file.metadata()?;
        if !meta.is_file() || meta.uid() != nix::unistd::geteuid().as_raw() {
            return Err(io::Error::other("it is not the manager's own file"));
        }
        let text = read(&file)?;
        let kept = Kept { lines: text.lines().count(), checkpoint: checkpoint(&text), file: Some(file) };
        Ok(Checkpoint { kept: Arc::new(Mutex::new(kept)) })
    }

    /// The lives ([`pod::observed::ContainerState::life`]) whose hooks have run, as far as a manager before this one knew.
    pub fn post_start_done(&self) -> Vec<String> {
        let kept = self.lock();
        let post_start_done = kept
            .checkpoint
            .iter()
            .filter(|(key, mark)| !mark.post_start_done.is_empty() && !key.contains('/'));
        post_start_done.map(|(id, mark)| format!("{id} {}", mark.post_start_done)).collect()
    }

    /// The hooks of this life of a container have run.
    pub fn add(&self, life: &str) {
        let Some((id, start)) = life.split_once(' ') else { return };
        if let Err(error) = self.lock().note(id, |mark| start.clone_into(&mut mark.post_start_done)) {
            warn!("a manager that takes over after a crash will run `post_start` again: {error}");
        }
    }

    /// This container was started again.
    pub fn again(&self, id: &str) {
        if let Err(error) = self.lock().note(id, |mark| mark.again += 1) {
            warn!("`manager status` will not count this restart: {error}");
        }
    }

    /// How components of a pod ended whose containers were gone before a manager before this one was.
    pub fn exit_records(&self, pod: &Identity) -> BTreeMap<String, ExitRecord> {
        let (kept, before) = (self.lock(), format!("{}/{}/", pod.pod, pod.run));
        let of_pod = kept.checkpoint.iter().filter_map(|(key, mark)| {
            let component = key.strip_prefix(&before)?.to_owned();
            let exit = Exit { status: mark.post_start_done.parse().ok()?, ..Exit::default() };
            Some((
                component,
                ExitRecord { exit, restarts: u32::try_from(mark.again).unwrap_or(u32::MAX), asked: false },
            ))
        });
        of_pod.collect()
    }

    /// The containers of these are gone, while the pod goes on: the engine no longer knows how they ended.
    pub fn depart(&self, pod: &Identity, exit_records: &BTreeMap<String, ExitRecord>) {
        let mut kept = self.lock();
        for (component, one) in exit_records {
            let key = format!("{}/{}/{component}", pod.pod, pod.run);
            let mark = Mark { again: one.restarts as usize, post_start_done: one.exit.status.to_string() };
            if kept.checkpoint.get(&key) == Some(&mark) {
                continue;
            }
            if let Err(error) = kept.note(&key, |kept| *kept = mark) {
                warn!(
                    "a manager that takes over after a crash will not know how `{component}` ended: {error}"
                );
            }
        }
    }

    /// Nothing of this pod is left.
    pub fn end(&self, pod: &str) {
        self.lock().checkpoint.retain(|key, _| key.split('/').next() != Some(pod));
    }

    /// This container is gone.
    pub fn forget(&self, id: &str) {
        self.lock().checkpoint.remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn note(&mut self, id: &str, change: impl FnOnce(&mut Mark)) -> io::Result<()> {
        let mark = self.checkpoint.entry(id.to_owned()).or_default();
        change(mark);
        let line = mark.line(id);
        let Some(file) = &mut self.file else { return Ok(()) };
        self.lines += 1;
        if self.lines <= self.checkpoint.len() * 2 + STALE_LINES {
            return file.write_all(line.as_bytes());
        }
        // A manager that is killed between the two has kept nothing, and the next one runs hooks again.
        let all: String = self.checkpoint.iter().map(|(id, mark)| mark.line(id)).collect();
        self.lines = self.checkpoint.len();
        file.set_len(0)?;
        file.write_all(all.as_bytes())
    }
}

impl Mark {
    fn line(&self, id: &str) -> String {
        format!("{id} {} {}\n", self.again, self.post_start_done)
    }
}

fn read(file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text)?;
    // What a crash cut short is no mark.
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}

fn checkpoint(text: &str) -> BTreeMap<String, Mark> {
    let mark = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (id, again) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some((id, Mark { again, post_start_done: words.next()?.to_owned() }))
    };
    text.lines().filter_map(mark).collect()
}

/// How often a container of this pod was started again, where its manager, or the agent, is in this container.
pub fn restarts(pod: &str, container: &str) -> Option<usize> {
    let read = |name: &str| {
        let text = read(&File::open(Path::new(FOLDER).join(file_name(name))).ok()?).ok()?;
        Some(checkpoint(&text).get(container).map_or(0, |mark| mark.again))
    };
    read(pod).or_else(|| read(AGENT))
}

fn file_name(name: &str) -> String {
    format!(".tandem-{}", short(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Checkpoint {
        Checkpoint::open(folder, "0123456789abcdef").expect("it opens")
    }

    #[test]
    fn the_next_manager_finds_what_this_one_has_marked() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path());
        assert_eq!(first.post_start_done(), [""; 0]);
        first.add("one 1");
        first.add("two 2");
        first.again("two");
        first.again("three");
        first.add("two 3");
        let next = open(folder.path());
        assert_eq!(next.post_start_done(), ["one 1", "two 3"]);
        next.lock().file.as_ref().expect("it is open").write_all(b"four 0 4").expect("it is written");
        let last = open(folder.path());
        assert_eq!(last.post_start_done(), ["one 1", "two 3"], "what was cut short does not count");
        let again = |id: &str| last.lock().checkpoint[id].again;
        assert_eq!((again("one"), again("two"), again("three")), (0, 1, 1));
    }

    #[test]
    fn how_a_component_ended_outlives_its_container_and_the_manager() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path());
        let one = |status| ExitRecord { exit: Exit { status, ..Exit::default() }, restarts: 2, asked: false };
        let of = |status| BTreeMap::from([("app".to_owned(), one(status))]);
        let run = |pod: &str, run: &str| Identity {
            pod: pod.into(),
            name: "web.1".into(),
            run: run.into(),
            manager: "manager".into(),
            origin: BTreeMap::new(),
        };
        let (pod, other) = (run("pod", "2026-11-26T20:00:00Z"), run("other", "2026-11-26T20:00:00Z"));
        first.depart(&pod, &of(3));
        first.depart(&pod, &of(0));
        first.depart(&pod, &of(0));
        first.depart(&other, &of(4));
        let next = open(folder.path());
        assert_eq!(next.lock().lines, 3, "nothing is written twice");
        assert_eq!((next.exit_records(&pod), next.exit_records(&other)), (of(0), of(4)));
        assert_eq!(next.post_start_done(), [""; 0]);
        let later = next.exit_records(&run("pod", "2026-11-26T21:00:00Z"));
        assert_eq!(later, BTreeMap::new(), "the same container started again begins anew");
        next.end("pod");
        assert_eq!((next.exit_records(&pod), next.exit_records(&other)), (BTreeMap::new(), of(4)));
    }

    #[test]
    fn a_component_that_is_started_again_for_years_takes_no_more_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let checkpoint = open(folder.path());
        for life in 0..10_000 {
            checkpoint.again("app");
            checkpoint.add(&format!("app {life}"));
            // An agent's other pods come and go.
            checkpoint.add(&format!("gone-{life} 1"));
            checkpoint.forget(&format!("gone-{life}"));
        }
        checkpoint.add("other 7");
        let next = open(folder.path());
        assert_eq!(next.lock().checkpoint["app"], Mark { again: 10_000, post_start_done: "9999".into() });
        assert!(next.post_start_done().ends_with(&["other 7".to_owned()]));
        let size = next.lock().file.as_ref().expect("it is open").metadata().expect("it has").len();
        assert!(size < 4096, "{size} bytes");
    }

    #[test]
    fn what_others_have_put_there_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join(".tandem-linked")).expect("a link");
        nix::unistd::mkfifo(&folder.path().join(".tandem-pipe"), nix::sys::stat::Mode::S_IRWXU)
            .expect("a pipe");
        for pod in ["linked", "pipe"] {
            assert!(Checkpoint::open(folder.path(), pod).is_err(), "{pod}");
        }
    }
}
