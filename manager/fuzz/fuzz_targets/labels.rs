//! Labels of a task container, and the file that they may name: whatever they hold, there is a definition or a
//! report, soon and in little memory. The input is a file's text, then keys and values of labels, each after a
//! zero byte.
#![no_main]

use definition::files::{FileFault, FileKind, Files};
use definition::labels::definition;
use libfuzzer_sys::fuzz_target;
use manager_fuzz::sound;
use pod::task_container::TaskContainer;

/// A file with this text, whatever it is called.
struct World<'a>(&'a str);

impl Files for World<'_> {
    fn kind(&self, _: &str) -> Result<FileKind, FileFault> {
        Ok(FileKind::File)
    }

    fn read(&self, _: &str) -> Result<Vec<u8>, FileFault> {
        Ok(self.0.as_bytes().to_vec())
    }
}

fuzz_target!(|input: &str| {
    let mut parts = input.split('\0');
    let file = parts.next().unwrap_or_default();
    let mut labels = std::collections::BTreeMap::new();
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let task = TaskContainer { name: "task".into(), labels, ..TaskContainer::default() };
    if let Err(report) = definition(&task, &World(file), Some("/var/run/docker.sock")) {
        sound(&report);
    }
});
