//! Files of a pause container in which the manager is not: read by the engine, as often as a definition asks for one
//! more. Reading a definition is pure, so it is simply read again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use tracing::debug;

use crate::engine::docker::DockerEngine;
use crate::engine::outside::MOST_BYTES;
use crate::engine::{Engine, EngineError};
use crate::run::links::{Shared, of_the_file};
use crate::source::load::{FileFault, FileKind, Files, fault};

/// Most rounds of reading: a Compose file that names env files is three.
const MOST_ROUNDS: usize = 32;
/// Most links that one path may have.
const MOST_LINKS: usize = 8;

/// What is known of the files until now.
#[derive(Default)]
struct Known {
    kinds: BTreeMap<String, Result<FileKind, FileFault>>,
    contents: BTreeMap<String, Result<Vec<u8>, FileFault>>,
    wanted: RefCell<BTreeSet<(String, bool)>>,
}

impl Known {
    fn ask<T: Clone>(
        &self,
        known: &BTreeMap<String, Result<T, FileFault>>,
        path: &str,
        content: bool,
    ) -> Result<T, FileFault> {
        known.get(path).cloned().unwrap_or_else(|| {
            self.wanted.borrow_mut().insert((path.to_owned(), content));
            Err(FileFault::Elsewhere)
        })
    }
}

impl Files for Known {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        self.ask(&self.kinds, path, false)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        self.ask(&self.contents, path, true)
    }
}

/// Read what depends on files of this container, until it asks for no more.
///
/// # Errors
/// Where the engine does not answer.
pub async fn reading<T>(
    engine: &DockerEngine,
    container: &str,
    shared: &Shared,
    read: impl Fn(&dyn Files) -> T,
) -> Result<T, EngineError> {
    let mut known = Known::default();
    for _ in 0..MOST_ROUNDS {
        let result = read(&known);
        let wanted = known.wanted.take();
        if wanted.is_empty() {
            return Ok(result);
        }
        for (path, content) in wanted {
            debug!("reading `{path}` of the pause container");
            if content {
                let read = content_of(engine, container, shared, &path).await?;
                known.contents.insert(path, read);
            } else {
                let kind = kind_of(engine, container, shared, &path).await?;
                known.kinds.insert(path, kind.map(|(kind, _)| kind));
            }
        }
    }
    Err(EngineError::Refused(format!("the definition asks for files again and again, {MOST_ROUNDS} times")))
}

/// What is at a path, links followed, and where that is.
async fn kind_of(
    engine: &DockerEngine,
    container: &str,
    shared: &Shared,
    path: &str,
) -> Result<Result<(FileKind, String), FileFault>, EngineError> {
    let mut path = match shared.place_elsewhere(engine, container, path).await? {
        Ok(place) => place,
        Err(error) => return Ok(Err(fault(error))),
    };
    for _ in 0..MOST_LINKS {
        let file = match of_the_file(engine.stat(container, &path).await)? {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Err(FileFault::Missing)),
            Err(error) => return Ok(Err(fault(error))),
        };
        match file.link_target {
            Some(target) => path = target,
            None if file.regular => return Ok(Ok((FileKind::File, path))),
            None if file.folder => return Ok(Ok((FileKind::Folder, path))),
            None => return Ok(Ok((FileKind::Other, path))),
        }
    }
    Ok(Err(FileFault::Unreadable("too many links".into())))
}

async fn content_of(
    engine: &DockerEngine,
    container: &str,
    shared: &Shared,
    path: &str,
) -> Result<Result<Vec<u8>, FileFault>, EngineError> {
    let place = match kind_of(engine, container, shared, path).await? {
        Ok((FileKind::File, place)) => place,
        Ok(_) => return Ok(Err(FileFault::NotAFile)),
        Err(fault) => return Ok(Err(fault)),
    };
    Ok(match of_the_file(engine.read_file(container, &place).await)? {
        Ok(content) if content.len() > MOST_BYTES => Err(FileFault::TooLarge),
        read => read.map_err(fault),
    })
}
