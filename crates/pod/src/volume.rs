//! A volume as the engine describes it.

use std::collections::BTreeMap;

use super::spec::Recursion;

/// A volume as the engine describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Its driver; empty where that is not known.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where the engine mounts it: a path of the host.
    pub mountpoint: String,
}

/// A volume that stands for a path of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The path, as it was typed but with a slash in front: the engine's working directory is `/`.
    pub path: String,
    /// Mounted read-only by its own options.
    pub read_only: bool,
    /// With the mounts below it.
    pub recursive: Recursion,
}

impl VolumeInfo {
    pub(crate) fn option(&self, name: &str) -> &str {
        self.options.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.option("o").split(',').filter(|word| !word.is_empty())
    }

    /// The path of the host that the volume stands for, where its driver binds one.
    pub fn device(&self) -> Option<Device> {
        let bound = self.words().filter(|word| matches!(*word, "bind" | "rbind")).last()?;
        Some(Device {
            path: format!("/{}", self.option("device").trim_start_matches('/')),
            read_only: self.words().filter(|word| matches!(*word, "ro" | "rw")).last() == Some("ro"),
            recursive: if bound == "rbind" { Recursion::Enabled } else { Recursion::Disabled },
        })
    }
}
