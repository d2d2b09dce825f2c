#![expect(clippy::disallowed_methods, reason = "keeps a file in the task container's memory")]
//! What this manager has done and the engine does not know: for the manager that takes over after a crash.
//!
//! Which containers' `post_start` hooks have run is one line each, the container's id, in a file of the task
//! container's `/dev/shm`, which is writable also where its root is not, and ends with it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use tracing::warn;

/// Where the task container keeps what is to be in memory.
pub const FOLDER: &str = "/dev/shm";
/// More than the marks of any pod.
const MOST_BYTES: u64 = 1 << 20;

/// The marks of one run of a task container.
#[derive(Debug, Default)]
pub struct Marks {
    /// Nothing is kept where there is none.
    file: Option<File>,
    /// Those of the managers before this one.
    pub earlier: Vec<String>,
}

impl Marks {
    /// Open the marks of a pod, or begin them.
    ///
    /// # Errors
    /// Where there is no such folder, or something else stands there.
    pub fn open(folder: &Path, pod: &str) -> io::Result<Self> {
        let name = format!(".tandem-{}", pod.get(..12).unwrap_or(pod));
        // A link, or a pipe that nobody writes, is not followed nor waited for.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(flags.bits());
        let file = options.open(folder.join(name))?;
        let meta = file.metadata()?;
        if !meta.is_file() || meta.uid() != nix::unistd::geteuid().as_raw() {
            return Err(io::Error::other("it is not the manager's own file"));
        }
        let mut text = String::new();
        (&file).take(MOST_BYTES).read_to_string(&mut text)?;
        // What a crash cut short is no mark.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let earlier = whole.lines().map(str::to_owned).collect();
        Ok(Marks { file: Some(file), earlier })
    }

    /// The hooks of this container have run.
    pub fn add(&self, id: &str) {
        let Some(mut file) = self.file.as_ref() else { return };
        if let Err(error) = file.write_all(format!("{id}\n").as_bytes()) {
            warn!("a manager that takes over after a crash will run `post_start` again: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_manager_finds_what_this_one_has_marked() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Marks::open(folder.path(), "0123456789abcdef").expect("it opens");
        assert_eq!(first.earlier, [""; 0]);
        first.add("one");
        first.add("two");
        let next = Marks::open(folder.path(), "0123456789abcdef").expect("it opens");
        assert_eq!(next.earlier, ["one", "two"]);
        next.file.as_ref().expect("it is open").write_all(b"thr").expect("it is written");
        let last = Marks::open(folder.path(), "0123456789abcdef").expect("it opens");
        assert_eq!(last.earlier, ["one", "two"], "what was cut short does not count");
    }

    #[test]
    fn what_others_have_put_there_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join(".tandem-linked")).expect("a link");
        nix::unistd::mkfifo(&folder.path().join(".tandem-pipe"), nix::sys::stat::Mode::S_IRWXU)
            .expect("a pipe");
        for pod in ["linked", "pipe"] {
            assert!(Marks::open(folder.path(), pod).is_err(), "{pod}");
        }
    }
}
