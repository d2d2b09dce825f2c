//! Reads the files that a definition names.
#![expect(clippy::disallowed_methods, reason = "the one file of `source` that touches the file system")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read};

use pod::path::{is_kernels, tidy_path};
use pod::policy::manager_files::Purpose;
use pod::policy::{Allowance, Host, Policy};
use pod::task_container::TaskContainer;

/// The largest env file that is read: far more than an environment can hold.
pub const MOST_FILE_BYTES: u64 = 1 << 20;
/// Most files of a definition that are read, and most paths that are looked at before.
pub const MOST_FILES: usize = 1000;
/// Most bytes of a definition as it is written: labels `pod.*` and the files that they name, each file once.
pub const MOST_WRITTEN_BYTES: usize = 1 << 20;
/// The longest path that Linux takes (`PATH_MAX`, less the zero at its end).
const LONGEST_PATH: usize = 4095;
/// The longest name of a file or folder, and so of a volume (`NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// Nothing can have this name, or be at this path: an engine need not be asked for it.
pub(super) fn too_long(path: &str) -> bool {
    path.len() > LONGEST_PATH || path.split('/').any(|name| name.len() > LONGEST_NAME)
}

/// What a path of the task container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A socket, a device, a pipe.
    Other,
}

/// Why a file of the task container cannot be had; its text completes "`/path` ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// Nothing is there.
    #[error("does not exist in the task container")]
    Missing,
    /// Nothing can be there.
    #[error("is too long: a path has at most {LONGEST_PATH} bytes, and each name in it {LONGEST_NAME}")]
    TooLong,
    /// It is no file, or too large to be one of settings.
    #[error("is larger than 1 MiB")]
    TooLarge,
    /// The files of the definition that were read before it, and the labels, leave no room for it.
    #[error("makes the labels `pod.*` and the files of the definition larger than 1 MiB together")]
    TooMuch,
    /// The definition names too many files.
    #[error("is one file more than the {MOST_FILES} that a definition may name")]
    TooMany,
    /// It is a folder, a socket, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// The path is one of the manager's files, contains one or lies in one.
    #[error("is, contains or lies in {0}, which no component may have")]
    Managers(Purpose),
    /// The kernel shows its own state and the manager's processes there.
    #[error("is in a folder of the kernel, in which no component has a file")]
    Kernels,
    /// It is in a task container that is not at hand: nothing can be said against it.
    #[error("is not at hand")]
    NotAvailable,
    /// The system's own words.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// Files of the task container, however they are reached.
pub trait Files {
    /// What is at a path, links followed.
    fn kind(&self, path: &str) -> Result<FileKind, FileFault>;

    /// The content of a regular file of at most [`MOST_FILE_BYTES`].
    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault>;

    /// Names of what is in a folder, sorted, to tell what there is; none where that cannot be known.
    fn names(&self, folder: &str) -> Vec<String> {
        let _ = folder;
        Vec::new()
    }
}

/// Files at valid paths that are not the manager's, within a total size. Other paths are refused before `files` is asked.
pub(super) struct LengthCheckedFiles<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) task: &'a TaskContainer,
    pub(super) host: &'a Host,
    pub(super) policy: &'a Policy,
    /// Bytes that the labels and the files read so far have.
    pub(super) written_bytes: Cell<usize>,
    /// Paths whose kind was asked for, of which each is one request to the engine of an agent.
    pub(super) looked_at: RefCell<BTreeSet<String>>,
    /// What was read, by path: a file that several components name is read, and counted, once.
    pub(super) contents: RefCell<BTreeMap<String, Result<Vec<u8>, FileFault>>>,
}

impl FileFault {
    /// What to do about [`FileFault::TooMuch`].
    pub const LESS: &'static str = "valid are up to 1 MiB in all";
}

impl LengthCheckedFiles<'_> {
    fn counted(&self, content: Vec<u8>) -> Result<Vec<u8>, FileFault> {
        let bytes = self.written_bytes.get().saturating_add(content.len());
        if bytes > MOST_WRITTEN_BYTES {
            return Err(FileFault::TooMuch);
        }
        self.written_bytes.set(bytes);
        Ok(content)
    }

    fn at(&self, path: &str) -> Result<&dyn Files, FileFault> {
        if too_long(path) {
            return Err(FileFault::TooLong);
        }
        // What is there belongs to the manager's own processes.
        if tidy_path(path).is_some_and(|path| is_kernels(&path)) {
            return Err(FileFault::Kernels);
        }
        // This check compares the path. The opened file is checked again when it is opened.
        match self.host.manager.in_task(self.task, path) {
            Some(what) if !self.policy.allows(Allowance::EngineSocket) => Err(FileFault::Managers(what)),
            _ => Ok(self.files),
        }
    }
}

impl Files for LengthCheckedFiles<'_> {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        let files = self.at(path)?;
        let mut looked_at = self.looked_at.borrow_mut();
        if !looked_at.contains(path) {
            if looked_at.len() >= MOST_FILES {
                return Err(FileFault::TooMany);
            }
            looked_at.insert(path.to_owned());
        }
        drop(looked_at);
        files.kind(path)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        if let Some(known) = self.contents.borrow().get(path) {
            return known.clone();
        }
        if self.contents.borrow().len() >= MOST_FILES {
            return Err(FileFault::TooMany);
        }
        let read = self.at(path)?.read(path).and_then(|content| self.counted(content));
        self.contents.borrow_mut().insert(path.to_owned(), read.clone());
        read
    }

    fn names(&self, folder: &str) -> Vec<String> {
        self.files.names(folder)
    }
}

/// The files of the manager's own container, which is the task container.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFiles;

impl Files for LocalFiles {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        let kind = fs::metadata(path).map_err(fault)?.file_type();
        Ok(if kind.is_file() {
            FileKind::File
        } else if kind.is_dir() {
            FileKind::Folder
        } else {
            FileKind::Other
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        // Looked at first: opening a pipe would wait for somebody to write into it.
        if self.kind(path)? != FileKind::File {
            return Err(FileFault::NotAFile);
        }
        let mut content = Vec::new();
        let file = fs::File::open(path).map_err(fault)?;
        // A file of /proc has no size to look at beforehand.
        file.take(MOST_FILE_BYTES + 1).read_to_end(&mut content).map_err(fault)?;
        if content.len() as u64 > MOST_FILE_BYTES {
            return Err(FileFault::TooLarge);
        }
        Ok(content)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let found = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = found.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

/// What the system says of a file, in our words.
pub fn fault(error: std::io::Error) -> FileFault {
    match error.kind() {
        // A file in the way of a folder is the same mistake.
        ErrorKind::NotFound | ErrorKind::NotADirectory => FileFault::Missing,
        _ => match error.get_ref() {
            Some(words) => FileFault::Unreadable(words.to_string()),
            None => FileFault::Unreadable(error.kind().to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn each_kind_of_path_is_told_apart_and_only_small_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("file"), "A=1").unwrap();
        fs::write(path("large"), vec![b'x'; 2 << 20]).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();

        assert_eq!(LocalFiles.kind(&path("file")), Ok(FileKind::File));
        assert_eq!(LocalFiles.kind(&path("link")), Ok(FileKind::File));
        assert_eq!(LocalFiles.kind(&path("")), Ok(FileKind::Folder));
        assert_eq!(LocalFiles.kind(&path("socket")), Ok(FileKind::Other));
        assert_eq!(LocalFiles.kind(&path("none")), Err(FileFault::Missing));
        assert_eq!(LocalFiles.kind(&path("file/below")), Err(FileFault::Missing));
        assert_eq!(LocalFiles.read(&path("link")), Ok(b"A=1".to_vec()));
        assert_eq!(LocalFiles.read(&path("large")), Err(FileFault::TooLarge));
        assert_eq!(LocalFiles.read(&path("socket")), Err(FileFault::NotAFile));
        assert_eq!(LocalFiles.read(&path("")), Err(FileFault::NotAFile));
        assert_eq!(LocalFiles.read("/proc/self/status").map(|text| text.is_empty()), Ok(false));
    }
}
