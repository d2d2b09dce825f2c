//! Files of a pause container in which the manager is not: read by the engine, as often as a definition asks for one
//! more. Reading a definition is pure, so it is simply read again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tracing::debug;

use crate::files::symlinks::{Shared, of_the_file};
use definition::files::{FileFault, FileKind, Files, MOST_WRITTEN_BYTES, fault};
use engine::docker::DockerEngine;
use engine::node::MOST_BYTES;
use engine::{Engine, EngineError};

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
    /// Bytes of all contents.
    fn bytes(&self) -> usize {
        self.contents.values().flatten().map(Vec::len).sum()
    }

    fn ask<T: Clone>(
        &self,
        known: &BTreeMap<String, Result<T, FileFault>>,
        path: &str,
        content: bool,
    ) -> Result<T, FileFault> {
        known.get(path).cloned().unwrap_or_else(|| {
            self.wanted.borrow_mut().insert((path.to_owned(), content));
            Err(FileFault::NotAvailable)
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
                // What is more than a definition may have is not asked for, whatever its files hold.
                let read = match known.bytes() > MOST_WRITTEN_BYTES {
                    true => Err(FileFault::TooMuch),
                    false => content_of(engine, container, shared, &path).await?,
                };
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
        if let Some(target) = file.link_target {
            path = target;
            continue;
        }
        if let Err(error) = shared.refuse_path(Path::new(&path)) {
            return Ok(Err(fault(error)));
        }
        let kind = match (file.regular, file.folder) {
            (true, _) => FileKind::File,
            (_, true) => FileKind::Folder,
            _ => FileKind::Other,
        };
        return Ok(Ok((kind, path)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use definition::diagnostic::DiagnosticReport;
    use definition::files::MOST_FILES;
    use definition::labels::{COMPOSE_FILE, Surroundings, read};
    use pod::policy::{Host, Policy};
    use pod::spec::Definition;
    use pod::task_container::TaskContainer;

    /// Eight files in a row, each named by a variable of the `.env` beside the one before, and env files at the end.
    fn content(path: &str) -> Result<Vec<u8>, FileFault> {
        let number =
            path.trim_start_matches("/f").split('/').next().and_then(|number| number.parse::<u8>().ok());
        let text = match (number, path.rsplit('/').next()) {
            (Some(8), Some("compose.yml")) => {
                "services: {a: {image: a, env_file: a.env, label_file: b.env}}".to_owned()
            }
            (Some(number @ 1..8), Some("compose.yml")) => {
                format!("include: ['${{NEXT{number}}}/compose.yml']")
            }
            (Some(number), Some(".env")) => format!("NEXT{number}=/f{}", number + 1),
            (Some(8), Some("a.env" | "b.env")) => "A=1".to_owned(),
            _ => return Err(FileFault::Missing),
        };
        Ok(text.into_bytes())
    }

    #[test]
    fn a_definition_that_names_very_many_env_files_asks_for_as_many_as_one_may_have() {
        let content = |path: &str| match path.strip_prefix("/n") {
            Some(number) => {
                let names: Vec<String> = (0..19_000).map(|at| format!("g{number}{at}")).collect();
                let include = format!("include: [{{path: /b, env_file: [{}]}}]", names.join(","));
                Ok(format!("{include}\nservices: {{app{number}: {{image: x}}}}").into_bytes())
            }
            None if path == "/f1/compose.yml" => Ok(b"include: [/n0, /n1, /n2, /n3]".to_vec()),
            None if path == "/b" => Ok(b"services: {app: {image: x}}".to_vec()),
            None => Err(FileFault::Missing),
        };
        let (asked, result) = read_in_rounds(content);
        assert!(asked <= 2 * MOST_FILES, "{asked}");
        assert!(result.is_err(), "files beyond those are refused");
    }

    #[test]
    fn files_that_include_one_another_are_read_within_the_rounds_that_there_are() {
        let (_, result) = read_in_rounds(content);
        assert_eq!(result.map(|definition| definition.components.len()), Ok(1));
    }

    /// How many paths were asked for, and the definition in the end.
    fn read_in_rounds(
        content: impl Fn(&str) -> Result<Vec<u8>, FileFault>,
    ) -> (usize, Result<Definition, DiagnosticReport>) {
        let labels = [(COMPOSE_FILE.to_owned(), "/f1/compose.yml".to_owned())].into();
        let task = TaskContainer { name: "task".into(), labels, ..TaskContainer::default() };
        let (mut known, mut asked) = (Known::default(), 0);
        for round in 1.. {
            assert!(round <= MOST_ROUNDS);
            let around = Surroundings {
                task: &task,
                files: &known,
                environment: &|_| None,
                host: &Host::default(),
                share_volumes: false,
                policy: &Policy::default(),
            };
            let result = read(&around);
            let wanted = known.wanted.take();
            if wanted.is_empty() {
                return (asked, result.map(|(definition, _)| definition));
            }
            asked += wanted.len();
            for (path, whole) in wanted {
                let found = content(&path);
                match whole {
                    true => _ = known.contents.insert(path, found),
                    false => _ = known.kinds.insert(path, found.map(|_| FileKind::File)),
                }
            }
        }
        unreachable!("rounds end")
    }
}
