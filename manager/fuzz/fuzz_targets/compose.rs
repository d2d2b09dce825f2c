//! A Compose file and the `.env` beside it: whatever they hold, there is a definition or a report, soon and in little
//! memory. The input is the file, then, after a zero byte, the variables.
#![no_main]

use definition::files::{FileFault, FileKind, Files};
use definition::labels::{COMPOSE_FILE, Surroundings, read};
use libfuzzer_sys::fuzz_target;
use manager_fuzz::sound;
use pod::policy::{Host, Policy};
use pod::task_container::TaskContainer;

const FILE: &str = "/app/compose.yml";

struct World<'a> {
    file: &'a str,
    variables: &'a str,
}

impl Files for World<'_> {
    fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
        Ok(FileKind::File)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        let text = if path == FILE { self.file } else { self.variables };
        Ok(text.as_bytes().to_vec())
    }
}

fuzz_target!(|input: &str| {
    let (file, variables) = input.split_once('\0').unwrap_or((input, ""));
    let labels = [(COMPOSE_FILE.to_owned(), FILE.to_owned())].into();
    let around = Surroundings {
        task: &TaskContainer { name: "task".into(), labels, ..TaskContainer::default() },
        files: &World { file, variables },
        environment: &|name| (name == "COMPOSE_PROFILES").then(|| "one".to_owned()),
        host: &Host::default(),
        share_volumes: false,
        policy: &Policy::default(),
    };
    match read(&around) {
        Ok((definition, _)) => assert!(!definition.components.is_empty(), "a file without a service"),
        Err(report) => sound(&report),
    }
});
