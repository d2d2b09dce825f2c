//! The permissions that an operator can give with `--allow`.

use std::collections::BTreeSet;
use std::fmt;

use super::super::path::tidy_path;

/// A permission without a value; for a permission that takes values, it covers all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// Annotations, which container runtimes may interpret.
    Annotations,
    /// Any capability.
    Capabilities,
    /// The engine's socket, and everything else that gives control of the engine: its data, the manager's files.
    EngineSocket,
    /// The host's network for the task container.
    HostNetwork,
    /// Binds of any path of the host.
    HostPaths,
    /// The host's user namespace, where the engine maps users.
    HostUsers,
    /// Images of registries on the node itself or in its link-local network.
    LocalRegistries,
    /// Any log driver and option.
    LogDrivers,
    /// `privileged: true`.
    Privileged,
    /// Any device.
    RawDevices,
    /// Any container runtime that the engine knows.
    Runtimes,
    /// Security options that switch a protection off or replace a profile.
    Unconfined,
}

impl Allowance {
    /// All of them, in alphabetical order.
    pub const ALL: [Allowance; 12] = [
        Self::Annotations,
        Self::Capabilities,
        Self::EngineSocket,
        Self::HostNetwork,
        Self::HostPaths,
        Self::HostUsers,
        Self::LocalRegistries,
        Self::LogDrivers,
        Self::Privileged,
        Self::RawDevices,
        Self::Runtimes,
        Self::Unconfined,
    ];

    /// The permission's name in `--allow`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Annotations => "annotations",
            Self::Capabilities => "capabilities",
            Self::EngineSocket => "engine-socket",
            Self::HostNetwork => "host-network",
            Self::HostPaths => "host-paths",
            Self::HostUsers => "host-users",
            Self::LocalRegistries => "local-registries",
            Self::LogDrivers => "log-drivers",
            Self::Privileged => "privileged",
            Self::RawDevices => "raw-devices",
            Self::Runtimes => "runtimes",
            Self::Unconfined => "unconfined",
        }
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One item of `--allow`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowed {
    /// A permission without a value.
    All(Allowance),
    /// `capabilities=NAME`: this capability, without `CAP_`.
    Capability(String),
    /// `devices=PATH`: this device of the host.
    Device(String),
    /// `host-paths=PATH[:ro]`: binds of this path.
    HostPath(HostPath),
    /// `volumes=NAME`: this volume of the engine.
    Volume(String),
    /// `volume-drivers=NAME`: volumes of this driver.
    VolumeDriver(String),
}

/// A path of the host that components may bind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPath {
    /// Absolute and tidy; the last segment may be `*`, which stands for one name.
    pub path: String,
    /// Only read-only binds are allowed.
    pub read_only: bool,
}

impl HostPath {
    /// Reports whether this entry covers the tidy path: both are equal, or the entry's pattern matches.
    pub fn names(&self, path: &str) -> bool {
        match self.path.strip_suffix("/*") {
            Some(folder) => path
                .strip_prefix(folder)
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|name| !name.is_empty() && !name.contains('/')),
            None => self.path == path,
        }
    }

    /// Reports whether the path contains no pattern.
    pub fn is_exact(&self) -> bool {
        !self.path.ends_with("/*")
    }
}

/// The permissions that take a value, each with a description of the value.
const WITH_VALUE: [(&str, &str); 5] = [
    ("capabilities", "the name of a capability such as `NET_ADMIN`"),
    ("devices", "the absolute path of a device such as `/dev/kvm`"),
    ("host-paths", "an absolute path such as `/srv/data` or `/srv/data:ro`; its last segment may be `*`"),
    ("volume-drivers", "the name of a volume driver"),
    ("volumes", "the name of a volume"),
];

/// Every permission that `--allow` accepts, with its value as the help shows it.
pub fn words() -> impl Iterator<Item = String> {
    let with_value =
        ["capabilities=NAME", "devices=PATH", "host-paths=PATH[:ro]", "volume-drivers=NAME", "volumes=NAME"];
    Allowance::ALL.into_iter().map(|word| word.as_str().to_owned()).chain(with_value.map(str::to_owned))
}

/// The reason, for users, why a text is not a valid item of `--allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedError {
    /// The permission does not exist.
    Unknown(String),
    /// The permission takes a value, and the given value is not valid.
    Value {
        /// The permission's name.
        word: String,
        /// The given value.
        value: String,
        /// A description of the valid values.
        valid: &'static str,
    },
    /// The permission needs a value.
    Missing {
        /// The permission's name.
        word: String,
        /// A description of the valid values.
        valid: &'static str,
    },
}

impl fmt::Display for AllowedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AllowedError::Unknown(word) => write!(f, "`{word}` cannot be allowed"),
            AllowedError::Value { word, value, valid } => write!(f, "`{word}={value}`: valid is {valid}"),
            AllowedError::Missing { word, valid } => write!(f, "`{word}` needs a value: {valid}"),
        }
    }
}

impl std::error::Error for AllowedError {}

impl std::str::FromStr for Allowed {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Self, AllowedError> {
        let (word, value) = match text.split_once('=') {
            Some((word, value)) => (word, Some(value)),
            None => (text, None),
        };
        let valid = WITH_VALUE.iter().find(|(known, _)| *known == word).map(|(_, valid)| *valid);
        let Some(value) = value else {
            let bare = Allowance::ALL.into_iter().find(|what| what.as_str() == word);
            return match (bare, valid) {
                (Some(bare), _) => Ok(Allowed::All(bare)),
                (None, Some(valid)) => Err(AllowedError::Missing { word: word.to_owned(), valid }),
                (None, None) => Err(AllowedError::Unknown(word.to_owned())),
            };
        };
        let Some(valid) = valid else { return Err(AllowedError::Unknown(text.to_owned())) };
        let read = match word {
            "capabilities" => capability(value).map(Allowed::Capability),
            "devices" => exact_path(value).map(Allowed::Device),
            "host-paths" => host_path(value).map(Allowed::HostPath),
            "volume-drivers" => name(value).map(Allowed::VolumeDriver),
            _ => name(value).map(Allowed::Volume),
        };
        read.ok_or_else(|| AllowedError::Value { word: word.to_owned(), value: value.to_owned(), valid })
    }
}

impl Allowed {
    /// Reports whether the item's text can be printed as a flag. The text must parse as this item again and
    /// contain no character that is special to a shell or to YAML.
    pub fn is_plain(&self) -> bool {
        let text = self.to_string();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:@+".contains(&byte);
        text.bytes().all(plain) && text.parse().as_ref() == Ok(self)
    }
}

/// Formats the item as `--allow` accepts it.
impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::All(word) => word.fmt(f),
            Allowed::Capability(name) => write!(f, "capabilities={name}"),
            Allowed::Device(path) => write!(f, "devices={path}"),
            Allowed::HostPath(HostPath { path, read_only }) => {
                write!(f, "host-paths={path}{}", if *read_only { ":ro" } else { "" })
            }
            Allowed::Volume(name) => write!(f, "volumes={name}"),
            Allowed::VolumeDriver(name) => write!(f, "volume-drivers={name}"),
        }
    }
}

fn capability(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (!bare.is_empty() && bare.bytes().all(plain)).then(|| bare.to_owned())
}

fn exact_path(text: &str) -> Option<String> {
    tidy_path(text).filter(|path| path != "/" && !path.contains('*'))
}

fn host_path(text: &str) -> Option<HostPath> {
    let (path, read_only) = match text.rsplit_once(':') {
        Some((path, "ro")) => (path, true),
        Some((path, "rw")) => (path, false),
        _ => (text, false),
    };
    let path = tidy_path(path)?;
    // At most one pattern is valid, and `/*` is not: it would cover the whole host.
    let folder = path.strip_suffix("/*").unwrap_or(&path);
    let pattern = folder.len() < path.len();
    let unsound = folder.contains('*') || pattern && folder.is_empty();
    (!unsound).then_some(HostPath { path, read_only })
}

fn name(text: &str) -> Option<String> {
    let first = text.starts_with(|char: char| char.is_ascii_alphanumeric());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/:@".contains(&byte);
    (first && text.bytes().all(plain)).then(|| text.to_owned())
}

/// Everything that an operator allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowances(BTreeSet<Allowed>);

impl Allowances {
    /// Every permission without a value.
    pub fn everything() -> Self {
        Allowance::ALL.into_iter().map(Allowed::All).collect()
    }

    /// Reports whether this permission was given without a value.
    pub fn all(&self, what: Allowance) -> bool {
        self.0.contains(&Allowed::All(what))
    }

    /// Reports whether this item was given.
    pub fn has(&self, item: &Allowed) -> bool {
        self.0.contains(item)
    }

    /// The paths of the host that the operator gave.
    pub fn host_paths(&self) -> impl Iterator<Item = &HostPath> {
        self.0.iter().filter_map(|item| match item {
            Allowed::HostPath(path) => Some(path),
            _ => None,
        })
    }

    /// Adds a permission.
    pub fn with(mut self, what: Allowance) -> Self {
        self.insert(Allowed::All(what));
        self
    }

    /// Merges two sets of permissions.
    pub fn union(mut self, others: &Allowances) -> Self {
        self.extend_with(others);
        self
    }

    /// Adds the permissions of `others`.
    pub fn extend_with(&mut self, others: &Allowances) {
        self.0.extend(others.0.iter().cloned());
    }

    /// Formats all permissions as one flag (`--allow a,b=c`); empty if there are none.
    pub fn flag(&self) -> String {
        // A path for writing covers the same path read-only.
        let covered = |item: &Allowed| match item {
            Allowed::HostPath(HostPath { path, read_only: true }) => {
                self.has(&Allowed::HostPath(HostPath { path: path.clone(), read_only: false }))
            }
            _ => false,
        };
        let items: Vec<String> =
            self.0.iter().filter(|item| !covered(item)).map(ToString::to_string).collect();
        if items.is_empty() { String::new() } else { format!("--allow {}", items.join(",")) }
    }

    /// Adds one item.
    pub fn insert(&mut self, item: Allowed) {
        self.0.insert(item);
    }
}

impl FromIterator<Allowed> for Allowances {
    fn from_iter<T: IntoIterator<Item = Allowed>>(items: T) -> Self {
        Allowances(items.into_iter().collect())
    }
}

impl Extend<Allowed> for Allowances {
    fn extend<T: IntoIterator<Item = Allowed>>(&mut self, items: T) {
        self.0.extend(items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_read_and_written_alike() {
        for text in [
            "host-paths",
            "capabilities",
            "capabilities=NET_ADMIN",
            "devices=/dev/kvm",
            "host-paths=/srv/data",
            "host-paths=/srv/data:ro",
            "host-paths=/srv/*",
            "volume-drivers=rclone",
            "volumes=shop_db",
        ] {
            let item: Allowed = text.parse().expect(text);
            assert_eq!(item.to_string(), text);
        }
        for (text, same) in [
            ("capabilities=cap_net_admin", "capabilities=NET_ADMIN"),
            ("host-paths=/srv//a/../data/", "host-paths=/srv/data"),
            ("host-paths=/srv/data:rw", "host-paths=/srv/data"),
        ] {
            assert_eq!(text.parse::<Allowed>().expect(text).to_string(), same);
        }
        for text in [
            "",
            "volumes",
            "volumes=",
            "devices",
            "devices=kvm",
            "devices=/dev/*",
            "host-paths=",
            "host-paths=srv",
            "host-paths=/*",
            "host-paths=/srv/*/data",
            "host-paths=/srv/x*",
            "host-path",
            "privileged=yes",
            "capabilities=NET ADMIN",
        ] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_names_what_is_right_below_and_nothing_deeper() {
        let path = |path: &str| HostPath { path: path.into(), read_only: false };
        assert!(path("/srv/*").names("/srv/a") && path("/srv").names("/srv"));
        for (typed, other) in
            [("/srv/*", "/srv"), ("/srv/*", "/srv/a/b"), ("/srv/*", "/srvx/a"), ("/srv", "/srv/a")]
        {
            assert!(!path(typed).names(other), "{typed} {other}");
        }
    }
}
