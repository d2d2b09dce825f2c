//! The files of a task container that is not there yet, as far as they are here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use definition::files::{FileFault, FileKind, Files, LocalFiles};

/// The files of a task container that is not at hand.
#[derive(Default)]
pub(crate) struct OfflineFiles {
    /// Secrets and configs that it will have, where that is known, and what they are made of.
    pub(crate) given: Option<BTreeMap<String, Option<PathBuf>>>,
    /// The folder of a Compose file: what is in it is taken for what the task container will have.
    pub(crate) beside: Option<PathBuf>,
    /// What was asked for in vain.
    pub(crate) asked: RefCell<BTreeSet<String>>,
}

impl OfflineFiles {
    /// Where a file of the task container is here.
    fn here(&self, path: &str) -> Option<String> {
        let given = self.given.as_ref().and_then(|given| given.get(path)?.clone());
        let beside = self.beside.as_ref().filter(|folder| Path::new(path).starts_with(folder));
        given.or_else(|| beside.map(|_| path.into())).and_then(|path| path.to_str().map(str::to_owned))
    }

    fn unknown<T>(&self, path: &str) -> Result<T, FileFault> {
        self.asked.borrow_mut().insert(path.to_owned());
        Err(FileFault::NotAvailable)
    }
}

impl Files for OfflineFiles {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        if let Some(given) = &self.given {
            if given.contains_key(path) {
                return Ok(FileKind::File);
            }
            // Swarm alone puts something there.
            if path.starts_with("/run/secrets/") {
                return Err(FileFault::Missing);
            }
        }
        match self.here(path).map(|here| LocalFiles.kind(&here)) {
            Some(Ok(kind)) => Ok(kind),
            // It may be there in the end; `.env` beside a Compose file only may be.
            _ if path.ends_with("/.env") => Err(FileFault::Missing),
            _ => self.unknown(path),
        }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        match self.here(path).map(|here| LocalFiles.read(&here)) {
            Some(Err(FileFault::Missing)) | None => self.unknown(path),
            Some(read) => read,
        }
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let below = |path: &String| path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
        self.given.iter().flat_map(BTreeMap::keys).filter_map(below).collect()
    }
}
