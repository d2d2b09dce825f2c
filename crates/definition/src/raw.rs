//! A definition as it was written: each value of the right kind, nothing yet compared with anything else.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cursor::{Place, Spanned};
use super::pre_start::Entry;
use super::resources::Deployed;
use super::secrets::RawFile;
use pod::spec::{ContainerSpec, CopySpec, Dependency, Hook, Mount, Restart};

/// A file of variables.
#[derive(Debug, Clone)]
pub(super) struct EnvFile {
    pub(super) path: String,
    /// It may be missing where this is off.
    pub(super) required: bool,
    /// `format: raw`: its lines are taken as they are.
    pub(super) raw: bool,
}

/// One component as it was written.
#[derive(Debug, Clone)]
pub(super) struct RawComponent {
    pub(super) name: String,
    /// Its definition as a whole.
    pub(super) place: Place,
    /// Where the value of each key stands.
    pub(super) places: BTreeMap<&'static str, Place>,
    /// Keys that a component cannot have: which, where, and what to do instead.
    pub(super) elsewhere: Vec<(String, Place, String)>,
    /// What needs no second look. Environment, mounts and tmpfs are empty here.
    pub(super) container: ContainerSpec,
    pub(super) env_files: Vec<Spanned<EnvFile>>,
    /// `label_file`, in order.
    pub(super) label_files: Vec<Spanned<String>>,
    /// `deploy.resources`.
    pub(super) deployed: Deployed,
    /// `environment`, in order.
    pub(super) environment: Vec<(String, Option<String>)>,
    /// Named volumes still under the name that was written.
    pub(super) volumes: Vec<Spanned<Mount>>,
    /// Paths and options.
    pub(super) tmpfs: Vec<Spanned<(String, String)>>,
    pub(super) depends_on: Vec<Spanned<Dependency>>,
    pub(super) copies: Vec<Spanned<CopySpec>>,
    /// `secrets` and `configs`.
    pub(super) files: Vec<Spanned<RawFile>>,
    pub(super) stop_grace: Option<Duration>,
    pub(super) post_start: Vec<Spanned<Hook>>,
    pub(super) pre_stop: Vec<Spanned<Hook>>,
    pub(super) pre_start: Vec<Spanned<Entry>>,
    pub(super) restart: Restart,
    /// `x-tandem`.
    pub(super) essential: bool,
    pub(super) sidecar: bool,
    pub(super) shutdown_delay: Duration,
}

impl RawComponent {
    pub(super) fn new(name: String, place: Place) -> RawComponent {
        RawComponent {
            name,
            place,
            places: BTreeMap::new(),
            elsewhere: Vec::new(),
            container: ContainerSpec::default(),
            env_files: Vec::new(),
            label_files: Vec::new(),
            deployed: Deployed::default(),
            environment: Vec::new(),
            volumes: Vec::new(),
            tmpfs: Vec::new(),
            depends_on: Vec::new(),
            copies: Vec::new(),
            files: Vec::new(),
            stop_grace: None,
            post_start: Vec::new(),
            pre_stop: Vec::new(),
            pre_start: Vec::new(),
            restart: Restart::default(),
            essential: true,
            sidecar: false,
            shutdown_delay: Duration::ZERO,
        }
    }
}
