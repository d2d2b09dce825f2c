//! Reads the files that a definition names.
#![expect(clippy::disallowed_methods, reason = "the one file of `source` that touches the file system")]

use std::fs;
use std::io::{ErrorKind, Read};

/// The largest env file that is read: far more than an environment can hold.
pub const MOST_FILE_BYTES: u64 = 1 << 20;
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
    /// It is a folder, a socket, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// It is in a task container that is not at hand: nothing can be said against it.
    #[error("is not at hand")]
    Elsewhere,
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

/// Files at paths that can be: nobody is asked for others.
pub(super) struct Possible<'a>(pub(super) &'a dyn Files);

impl Possible<'_> {
    fn at(&self, path: &str) -> Result<&dyn Files, FileFault> {
        if too_long(path) { Err(FileFault::TooLong) } else { Ok(self.0) }
    }
}

impl Files for Possible<'_> {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        self.at(path)?.kind(path)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        self.at(path)?.read(path)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        self.0.names(folder)
    }
}

/// The files of the manager's own container, which is the task container.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
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

        assert_eq!(Disk.kind(&path("file")), Ok(FileKind::File));
        assert_eq!(Disk.kind(&path("link")), Ok(FileKind::File));
        assert_eq!(Disk.kind(&path("")), Ok(FileKind::Folder));
        assert_eq!(Disk.kind(&path("socket")), Ok(FileKind::Other));
        assert_eq!(Disk.kind(&path("none")), Err(FileFault::Missing));
        assert_eq!(Disk.kind(&path("file/below")), Err(FileFault::Missing));
        assert_eq!(Disk.read(&path("link")), Ok(b"A=1".to_vec()));
        assert_eq!(Disk.read(&path("large")), Err(FileFault::TooLarge));
        assert_eq!(Disk.read(&path("socket")), Err(FileFault::NotAFile));
        assert_eq!(Disk.read(&path("")), Err(FileFault::NotAFile));
        assert_eq!(Disk.read("/proc/self/status").map(|text| text.is_empty()), Ok(false));
    }
}
