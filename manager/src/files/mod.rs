#![expect(clippy::disallowed_methods, reason = "opens what `pod.copy`, `secrets` and `configs` name")]
//! What `pod.copy` copies into components, and the secrets and configs that go into the store: opened while
//! the manager may, sent when the container is there.
//!
//! A file keeps its mode, owner and time. A folder comes with all that is in it; links stay links. What is named may be
//! a link, or lie behind one; but not behind one in a volume or bind that leads out of it: a component may have set it.
//! Nothing is held in memory: only a descriptor a file.

pub mod symlinks;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use pause::store::{END, Entry as StoreEntry};
use tokio::sync::mpsc;

use crate::files::symlinks::{Shared, by_descriptor, of_the_file};
use engine::docker::DockerEngine;
use engine::node::MOST_BYTES;
use engine::{Engine, EngineError, SCRATCH_FOLDER, SCRATCH_ROOT, STORE_FOLDER};
use pod::policy::manager_files::ManagerFiles;
use pod::spec::{CopySpec, FileSource, FileSpec, LARGEST_SECRET_BYTES, Mount, PodSpec, ScratchVolume};
use pod::store::{self, MAX_STORE_BYTES, StoreLayout};
use pod::task_container::TaskContainer;

/// Most files and folders that one source may have: each open file costs a descriptor.
const MOST_ENTRIES: usize = 10_000;
/// Size of the pieces in which an archive is sent, bytes.
const PIECE: usize = 64 * 1024;

/// Why a source cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It cannot be opened or read.
    #[error("cannot open `{path}` for `pod.copy.{component}`: {error}")]
    Open {
        /// Whose copy.
        component: String,
        /// The file or folder.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// It is no file, folder or link.
    #[error("cannot copy `{path}` for `pod.copy.{component}`: it is neither a file, a folder nor a link")]
    Special {
        /// Whose copy.
        component: String,
        /// What it is.
        path: String,
    },
    /// It is too much.
    #[error(
        "cannot copy `{path}` for `pod.copy.{component}`: there are more than {MOST_ENTRIES} files in it"
    )]
    TooMany {
        /// Whose copy.
        component: String,
        /// The folder.
        path: String,
    },
    /// It cannot be opened as a secret or config.
    #[error("cannot open `{path}`, a secret or config of `{component}`: {error}")]
    Secret {
        /// Whose it is.
        component: String,
        /// The file.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// It is too large for a secret or config.
    #[error(
        "`{path}`, a secret or config of `{component}`, is larger than 1 MiB: mount it, or use `pod.copy`"
    )]
    TooLarge {
        /// Whose it is.
        component: String,
        /// The file.
        path: String,
    },
    /// The secrets and configs of the pod take too much memory.
    #[error("{0}")]
    TooMuch(String),
    /// What is mounted here cannot be told.
    #[error("cannot read /proc/self/mountinfo: {0}")]
    Mounts(io::Error),
    /// It was not opened: the definition did not have it.
    #[error("`{0}` was not opened")]
    Unknown(String),
}

/// All sources of a pod, open.
#[derive(Default)]
pub struct CopySources {
    sources: BTreeMap<String, Arc<Vec<Entry>>>,
    /// By path, until the store has them.
    secrets: Mutex<BTreeMap<String, Arc<Secret>>>,
    /// Where the sources are, if not here.
    elsewhere: Option<(DockerEngine, String, Arc<Shared>)>,
}

/// What becomes a file in the store.
enum Secret {
    File { file: File, path: String, bytes: u64 },
    Content(Vec<u8>),
}

impl Secret {
    fn bytes(&self) -> u64 {
        match self {
            Secret::File { bytes, .. } => *bytes,
            Secret::Content(content) => content.len() as u64,
        }
    }

    /// Passes on a reader of the whole content.
    fn read(&self, to: impl FnOnce(&mut dyn Read) -> io::Result<()>) -> io::Result<()> {
        match self {
            Secret::File { file, path, bytes } => {
                let shrunk = || io::Error::other(format!("`{path}` became shorter while it was read"));
                to(&mut ReadAt { file, at: 0, end: *bytes, shrunk: &shrunk })
            }
            Secret::Content(content) => to(&mut content.as_slice()),
        }
    }
}

/// Files of one owner, as `pause store` reads them.
pub struct OwnedFiles {
    /// User and group.
    pub owner: (u32, u32),
    /// The stream; an error is what kept it from being whole.
    pub stream: BoxStream<'static, io::Result<Bytes>>,
}

/// A file of a store.
#[derive(Clone)]
struct StoreFile {
    name: String,
    owner: (u32, u32),
    mode: u32,
    secret: Arc<Secret>,
}

/// A tar archive on its way.
pub struct Archive {
    /// The folder of the component in which it is unpacked.
    pub folder: String,
    /// Its bytes; an error is what kept it from being whole.
    pub stream: BoxStream<'static, io::Result<Bytes>>,
}

struct Entry {
    /// Path below the source, empty for the source itself.
    path: PathBuf,
    /// Path in the task container, for people.
    shown: String,
    meta: Metadata,
    content: Content,
}

enum Content {
    File(File),
    Folder,
    Link(PathBuf),
}

impl CopySources {
    /// Opens all sources of `pod.copy` in this task container. A source that is one of the guarded files is
    /// an error.
    ///
    /// # Errors
    /// One error for each source that cannot be opened.
    pub fn open(
        spec: &PodSpec,
        task: &TaskContainer,
        guarded: Option<&ManagerFiles>,
    ) -> Result<Self, Vec<CopyError>> {
        let mut sources = BTreeMap::new();
        let mut errors = Vec::new();
        let shared = Shared::of(spec.members(), &task.mounts).guarding(guarded, task).here();
        let shared = shared.map_err(|error| vec![CopyError::Mounts(error)])?;
        for (component, copy) in
            spec.members().flat_map(|member| member.copies.iter().map(|copy| (member.name.as_str(), copy)))
        {
            if sources.contains_key(&copy.source) {
                continue;
            }
            match open(component, &copy.source, &shared) {
                Ok(entries) => {
                    sources.insert(copy.source.clone(), Arc::new(entries));
                }
                Err(error) => errors.push(error),
            }
        }
        let mut secrets = BTreeMap::new();
        for member in spec.members() {
            for FileSpec { source, .. } in &member.files {
                let FileSource::Path(source) = source else { continue };
                if secrets.contains_key(source) {
                    continue;
                }
                match open_secret(&member.name, source, &shared) {
                    Ok(secret) => {
                        secrets.insert(source.clone(), Arc::new(secret));
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
        errors.extend(store_excess(spec, &secrets));
        if errors.is_empty() {
            Ok(CopySources { sources, secrets: Mutex::new(secrets), elsewhere: None })
        } else {
            Err(errors)
        }
    }

    /// The same of a pod whose sources are in another container: looked at now, read when they are copied. Secrets and
    /// configs are read now.
    ///
    /// # Errors
    /// Where the engine does not tell; within, for each source that is not there.
    pub async fn open_elsewhere(
        spec: &PodSpec,
        engine: &DockerEngine,
        task: &TaskContainer,
        guarded: Option<&ManagerFiles>,
    ) -> Result<Result<Self, Vec<CopyError>>, EngineError> {
        let (container, shared) =
            (task.id.as_str(), Shared::of(spec.members(), &task.mounts).guarding(guarded, task));
        let (mut secrets, mut errors) = (BTreeMap::new(), Vec::new());
        let mut read_bytes = 0;
        for member in spec.members() {
            let component = || member.name.clone();
            for copy in &member.copies {
                let path = || copy.source.clone();
                let failed = |error| CopyError::Open { component: component(), path: path(), error };
                let place = match shared.place_elsewhere(engine, container, &copy.source).await? {
                    Ok(place) => place,
                    Err(error) => {
                        errors.push(failed(error));
                        continue;
                    }
                };
                match of_the_file(engine.stat(container, &place).await)? {
                    Ok(Some(file)) if file.socket => {
                        errors.push(CopyError::Special { component: component(), path: path() });
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => errors.push(failed(io::ErrorKind::NotFound.into())),
                    Err(error) => errors.push(failed(error)),
                }
            }
            for FileSpec { source, .. } in &member.files {
                let FileSource::Path(source) = source else { continue };
                // The manager keeps the content in memory: it reads nothing beyond what a store may hold.
                if secrets.contains_key(source) || read_bytes > MAX_STORE_BYTES {
                    continue;
                }
                let read = match shared.place_elsewhere(engine, container, source).await? {
                    Ok(place) => of_the_file(engine.read_file(container, &place).await)?,
                    Err(error) => Err(error),
                };
                match read {
                    Ok(content) if content.len() as u64 > LARGEST_SECRET_BYTES => {
                        errors.push(CopyError::TooLarge { component: component(), path: source.clone() });
                    }
                    Ok(content) => {
                        read_bytes += store::memory_of(content.len() as u64);
                        secrets.insert(source.clone(), Arc::new(Secret::Content(content)));
                    }
                    Err(error) => {
                        errors.push(CopyError::Secret {
                            component: component(),
                            path: source.clone(),
                            error,
                        });
                    }
                }
            }
        }
        errors.extend(store_excess(spec, &secrets));
        let elsewhere = Some((engine.clone(), container.to_owned(), Arc::new(shared)));
        Ok(match errors.is_empty() {
            true => Ok(CopySources { sources: BTreeMap::new(), secrets: Mutex::new(secrets), elsewhere }),
            false => Err(errors),
        })
    }

    /// The secrets and configs of the pod, each distinct file once, as the layout has them. The file that marks the
    /// store as complete comes last. Each call returns the whole archive.
    ///
    /// # Errors
    /// When a source is not among those opened.
    pub fn store_archive(&self, layout: &StoreLayout<'_>) -> Result<Archive, CopyError> {
        let files = self.store_files(layout)?;
        Ok(archive(STORE_FOLDER.to_owned(), move |to| write_store(&files, to)))
    }

    /// The same for `pause store`: for each owner of files their stream. The file that marks the store as complete is the
    /// last of the last stream.
    ///
    /// # Errors
    /// When a source is not among those opened.
    pub fn store_streams(&self, layout: &StoreLayout<'_>) -> Result<Vec<OwnedFiles>, CopyError> {
        let mut files = self.store_files(layout)?;
        let last = files.last().map(|file| file.owner);
        files.sort_by_key(|file| (Some(file.owner) == last, file.owner));
        let streams = files.chunk_by(|one, next| one.owner == next.owner).map(|files| {
            let owner = files.first().map(|file| file.owner).unwrap_or_default();
            let files: Vec<StoreFile> = files.to_vec();
            let stream = archive(String::new(), move |to| write_stream(&files, to)).stream;
            OwnedFiles { owner, stream }
        });
        Ok(streams.collect())
    }

    /// The store has the secrets and configs: their content, which may be held in memory, is needed no more.
    pub fn forget_secrets(&self) {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn store_files(&self, layout: &StoreLayout<'_>) -> Result<Vec<StoreFile>, CopyError> {
        let mut files = Vec::new();
        for (name, file) in layout.files() {
            let secret = match &file.source {
                FileSource::Path(path) => {
                    let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
                    Arc::clone(secrets.get(path).ok_or_else(|| CopyError::Unknown(path.clone()))?)
                }
                FileSource::Content(content) => Arc::new(Secret::Content(content.clone().into_bytes())),
            };
            files.push(StoreFile { name, owner: (file.uid, file.gid), mode: file.mode, secret });
        }
        let owner = files.last().map(|file| file.owner).unwrap_or_default();
        let nothing = Arc::new(Secret::Content(Vec::new()));
        files.push(StoreFile { name: layout.complete(), owner, mode: 0, secret: nothing });
        Ok(files)
    }

    /// A copy as an archive, for a component with these mounts. It may be asked for again.
    ///
    /// # Errors
    /// When the source is not among those opened.
    pub fn archive(&self, copy: &CopySpec, mounts: &[Mount]) -> Result<Archive, CopyError> {
        let root = root_name(copy);
        let folder = folder(&root, mounts);
        let root = root.strip_prefix(folder.trim_start_matches('/')).map(Path::to_owned).unwrap_or(root);
        if let Some((engine, container, shared)) = &self.elsewhere {
            let (engine, container, source) = (engine.clone(), container.clone(), copy.source.clone());
            let shared = Arc::clone(shared);
            let stream =
                stream::once(async move { fetch(&engine, &container, &source, &shared, root).await });
            return Ok(Archive { folder, stream: stream.try_flatten().boxed() });
        }
        let entries =
            self.sources.get(&copy.source).ok_or_else(|| CopyError::Unknown(copy.source.clone()))?;
        let entries = Arc::clone(entries);
        Ok(archive(folder, move |to| write_archive(&entries, &root, to)))
    }
}

/// What a new scratch volume gets: a folder that every user can write into.
pub fn scratch_archive(scratch: &ScratchVolume) -> Archive {
    archive(format!("{SCRATCH_FOLDER}/{}", scratch.name), |to| {
        let mut archive = tar::Builder::new(to);
        let mut header = header(tar::EntryType::Directory, 0o1777, (0, 0), 0);
        archive.append_data(&mut header, SCRATCH_ROOT, io::empty())?;
        archive.into_inner()?.end()
    })
}

/// A copy as an archive whose source is in another container.
async fn fetch(
    engine: &DockerEngine,
    container: &str,
    source: &str,
    shared: &Shared,
    root: PathBuf,
) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
    let failed = |error: EngineError| io::Error::other(format!("cannot copy `{source}`: {error}"));
    let place = shared.place_elsewhere(engine, container, source).await.map_err(failed)?;
    let mut path = place.map_err(|error| io::Error::other(format!("cannot copy `{source}`: {error}")))?;
    let mut file = engine.stat(container, &path).await.map_err(failed)?;
    // What is named is meant, though it be a link.
    while let Some(target) = file.as_ref().and_then(|file| file.link_target.clone()).filter(|to| *to != path)
    {
        path = target;
        file = engine.stat(container, &path).await.map_err(failed)?;
    }
    shared
        .refuse_path(Path::new(&path))
        .map_err(|error| io::Error::other(format!("cannot copy `{source}`: {error}")))?;
    // Of what Swarm mounts, secrets and configs, the engine's archives have the name alone.
    if file.is_some_and(|file| file.regular && file.size == 0) {
        let content = engine.read_file(container, &path).await.map_err(failed)?;
        if content.len() > MOST_BYTES {
            return Err(io::Error::other(format!("cannot copy `{source}`: it is larger than 1 MiB")));
        }
        if !content.is_empty() {
            return Ok(archive(String::new(), move |to| write_one(&root, &content, to)).stream);
        }
    }
    let mut parts = engine.copy_out(container, &path).await.map_err(failed)?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        while let Some(part) = parts.next().await {
            if sender.send(part.map_err(io::Error::other)).await.is_err() {
                return;
            }
        }
    });
    let from = Received { receiver, part: Bytes::new() };
    Ok(archive(String::new(), move |to| rename(from, &root, to)).stream)
}

/// The header of an entry without content.
fn header(kind: tar::EntryType, mode: u32, (uid, gid): (u64, u64), mtime: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_mtime(mtime);
    header.set_size(0);
    header
}

/// One file alone, as Swarm mounts secrets and configs.
fn write_one(name: &Path, content: &[u8], to: Pieces) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    let mut header = header(tar::EntryType::Regular, 0o444, (0, 0), 0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content)?;
    archive.into_inner()?.end()
}

/// An archive once more, with this name for the first one in it.
fn rename(from: Received, root: &Path, to: Pieces) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    for entry in tar::Archive::new(from).entries()? {
        let mut entry = entry?;
        let old = entry.path()?.into_owned();
        let below: PathBuf = old.components().skip(1).collect();
        let name = if below.as_os_str().is_empty() { root.to_owned() } else { root.join(below) };
        // The root folder itself is the component's own.
        if name.as_os_str().is_empty() {
            continue;
        }
        let theirs = entry.header();
        let (kind, owner) = (theirs.entry_type(), (theirs.uid()?, theirs.gid()?));
        let mut header = header(kind, theirs.mode()? & 0o7777, owner, theirs.mtime()?);
        match kind {
            tar::EntryType::Symlink => {
                let target = entry.link_name()?.map(|target| target.into_owned()).unwrap_or_default();
                archive.append_link(&mut header, &name, target)?;
            }
            tar::EntryType::Directory => archive.append_data(&mut header, &name, io::empty())?,
            tar::EntryType::Regular => {
                header.set_size(entry.size());
                archive.append_data(&mut header, &name, &mut entry)?;
            }
            // The same file by another name in the folder.
            tar::EntryType::Link => {
                let target = entry.link_name()?.map(|target| target.into_owned()).unwrap_or_default();
                let below: PathBuf = target.components().skip(1).collect();
                archive.append_link(&mut header, &name, root.join(below))?;
            }
            _ => {
                let words =
                    format!("cannot copy `{}`: it is neither a file, a folder nor a link", old.display());
                return Err(io::Error::other(words));
            }
        }
    }
    archive.into_inner()?.end()
}

/// Reads what comes, on a thread that may wait for it.
struct Received {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    part: Bytes,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.receiver.blocking_recv() {
                Some(part) => self.part = part?,
                None => return Ok(0),
            }
        }
        let part = self.part.split_to(self.part.len().min(buffer.len()));
        buffer[..part.len()].copy_from_slice(&part);
        Ok(part.len())
    }
}

fn archive(folder: String, write: impl FnOnce(Pieces) -> io::Result<()> + Send + 'static) -> Archive {
    // tar writes to something that blocks, so it gets a thread for as long as it takes.
    let (sender, receiver) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write(Pieces { sender: sender.clone(), piece: Vec::new() }) {
            // Told as an error: an archive that only ended early would be taken for a whole one. Where the
            // reader went away nobody needs to know.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let stream = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    Archive { folder, stream: stream.boxed() }
}

/// The folder in which the engine is to unpack a copy of this name. The root, so that it makes folders that
/// are missing on the way; but the mount, where the copy goes into one: for a read-only container the engine
/// unpacks nowhere else.
fn folder(name: &Path, mounts: &[Mount]) -> String {
    let target = Path::new("/").join(name);
    let around = mounts.iter().map(|mount| mount.target.as_str()).filter(|mount| target.starts_with(mount));
    around.max_by_key(|mount| mount.len()).unwrap_or("/").to_owned()
}

/// The name of the copy, from the component's root.
fn root_name(copy: &CopySpec) -> PathBuf {
    let mut target = PathBuf::from(copy.target.trim_start_matches('/'));
    if copy.target.ends_with('/')
        && let Some(name) = Path::new(&copy.source).file_name()
    {
        target.push(name);
    }
    target
}

fn open(component: &str, source: &str, shared: &Shared) -> Result<Vec<Entry>, CopyError> {
    let failed = |path: &Path, error| CopyError::Open {
        component: component.to_owned(),
        path: path.display().to_string(),
        error,
    };
    // What is named is meant, though it be a link: Compose and Swarm put links where they like.
    let root = shared.place(Path::new(source)).map_err(|error| failed(Path::new(source), error))?;
    let mut entries = Vec::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(below) = todo.pop() {
        let path = if below.as_os_str().is_empty() { root.clone() } else { root.join(&below) };
        let failed = |error| failed(&path, error);
        let there = shared.pin(&path).map_err(failed)?;
        let meta = there.metadata().map_err(failed)?;
        let kind = meta.file_type();
        let content = if kind.is_file() {
            Content::File(File::open(by_descriptor(&there)).map_err(failed)?)
        } else if kind.is_dir() {
            let mut names: Vec<OsString> = fs::read_dir(by_descriptor(&there))
                .and_then(|found| found.map(|entry| Ok(entry?.file_name())).collect())
                .map_err(failed)?;
            names.sort_unstable_by(|a, b| b.cmp(a));
            todo.extend(names.into_iter().map(|name| below.join(name)));
            Content::Folder
        } else if kind.is_symlink() {
            Content::Link(fs::read_link(&path).map_err(failed)?)
        } else {
            return Err(CopyError::Special {
                component: component.to_owned(),
                path: path.display().to_string(),
            });
        };
        let shown = path.display().to_string();
        entries.push(Entry { path: below, shown, meta, content });
        if entries.len() + todo.len() > MOST_ENTRIES {
            return Err(CopyError::TooMany { component: component.to_owned(), path: source.to_owned() });
        }
    }
    Ok(entries)
}

fn open_secret(component: &str, source: &str, shared: &Shared) -> Result<Secret, CopyError> {
    let failed =
        |error| CopyError::Secret { component: component.to_owned(), path: source.to_owned(), error };
    let place = shared.place(Path::new(source)).map_err(failed)?;
    // Looked at first: opening a pipe would wait for somebody to write into it.
    let there = shared.pin(&place).map_err(failed)?;
    if !there.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let file = File::open(by_descriptor(&there)).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > LARGEST_SECRET_BYTES {
        return Err(CopyError::TooLarge { component: component.to_owned(), path: source.to_owned() });
    }
    Ok(Secret::File { file, path: source.to_owned(), bytes })
}

/// The error of a pod whose secrets and configs take too much memory, as far as their sizes are known.
fn store_excess(spec: &PodSpec, secrets: &BTreeMap<String, Arc<Secret>>) -> Option<CopyError> {
    let bytes_of = |source: &FileSource| match source {
        FileSource::Path(path) => secrets.get(path).map(|secret| secret.bytes()),
        FileSource::Content(content) => Some(content.len() as u64),
    };
    store::excess(spec.members(), bytes_of).map(CopyError::TooMuch)
}

fn write_store(files: &[StoreFile], to: Pieces) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    for StoreFile { name, owner: (uid, gid), mode, secret } in files {
        let mut header = header(tar::EntryType::Regular, *mode, (u64::from(*uid), u64::from(*gid)), 0);
        header.set_size(secret.bytes());
        secret.read(|content| archive.append_data(&mut header, name, content))?;
    }
    archive.into_inner()?.end()
}

fn write_stream(files: &[StoreFile], mut to: Pieces) -> io::Result<()> {
    for StoreFile { name, mode, secret, .. } in files {
        let path = format!("{STORE_FOLDER}/{name}");
        let length = u32::try_from(secret.bytes()).map_err(io::Error::other)?;
        let header = StoreEntry { path: path.as_bytes(), mode: *mode, length }.header();
        to.write_all(&header.ok_or_else(|| io::Error::other("the path is too long"))?)?;
        secret.read(|content| io::copy(content, &mut to).map(drop))?;
    }
    to.write_all(&END)?;
    to.end()
}

fn write_archive(entries: &[Entry], root: &Path, to: Pieces) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    for entry in entries {
        let name = if entry.path.as_os_str().is_empty() { root.to_owned() } else { root.join(&entry.path) };
        // The root folder itself is the component's own.
        if name.as_os_str().is_empty() {
            continue;
        }
        let kind = match &entry.content {
            Content::File(_) => tar::EntryType::Regular,
            Content::Folder => tar::EntryType::Directory,
            Content::Link(_) => tar::EntryType::Symlink,
        };
        let owner = (u64::from(entry.meta.uid()), u64::from(entry.meta.gid()));
        let mtime = u64::try_from(entry.meta.mtime()).unwrap_or(0);
        let mut header = header(kind, entry.meta.mode() & 0o7777, owner, mtime);
        match &entry.content {
            Content::File(file) => {
                // Its size now: it was opened when the manager started, perhaps long ago.
                let end = file.metadata()?.len();
                header.set_size(end);
                let shrunk =
                    || io::Error::other(format!("`{}` became shorter while it was copied", entry.shown));
                archive.append_data(&mut header, &name, ReadAt { file, at: 0, end, shrunk: &shrunk })?;
            }
            Content::Folder => archive.append_data(&mut header, &name, io::empty())?,
            Content::Link(target) => archive.append_link(&mut header, &name, target)?,
        }
    }
    archive.into_inner()?.end()
}

/// Reads a file from its beginning without moving the position that others may use.
struct ReadAt<'a> {
    file: &'a File,
    at: u64,
    end: u64,
    shrunk: &'a dyn Fn() -> io::Error,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        if left == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut buffer[..left], self.at)?;
        if read == 0 {
            return Err((self.shrunk)());
        }
        self.at += read as u64;
        Ok(read)
    }
}

/// Sends what is written in pieces; waits while the receiver is behind.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Pieces {
    fn end(mut self) -> io::Result<()> {
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;
    use pod::identity::Identity;
    use pod::namespaces::Namespaces;
    use pod::spec::{ComponentSpec, MountSource};
    use pod::task_container::TaskMount;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn pod(copies: Vec<CopySpec>) -> PodSpec {
        PodSpec {
            identity: Identity {
                pod: "id".into(),
                name: "pod".into(),
                run: "now".into(),
                manager: "manager".into(),
                origin: BTreeMap::new(),
            },
            namespaces: Namespaces::default(),
            init: Vec::new(),
            components: vec![ComponentSpec { name: "app".into(), copies, ..ComponentSpec::default() }],
            pull_always: false,
            stop_timeout: std::time::Duration::from_secs(8),
            scratch: Vec::new(),
            checks_mounts: false,
        }
    }

    /// Path, mode, size (or link target) of each entry.
    async fn entries(copy: CopySpec) -> Vec<(String, u32, String)> {
        let spec = pod(vec![copy.clone()]);
        let sources = CopySources::open(&spec, &TaskContainer::default(), None)
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        let bytes = whole(sources.archive(&copy, &[]).expect("opened")).await.expect("whole");
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut found = Vec::new();
        for entry in archive.entries().expect("a tar archive") {
            let mut entry = entry.expect("an entry");
            let mut content = String::new();
            match entry.link_name().expect("readable") {
                Some(link) => content = format!("-> {}", link.display()),
                None => {
                    entry.read_to_string(&mut content).expect("text");
                }
            }
            let path = entry.path().expect("a path").display().to_string();
            found.push((path, entry.header().mode().expect("a mode"), content));
        }
        found
    }

    /// All bytes of an archive.
    async fn whole(archive: Archive) -> io::Result<Vec<u8>> {
        let pieces: Vec<Bytes> = archive.stream.try_collect().await?;
        Ok(pieces.concat())
    }

    fn copy(source: &Path, target: &str) -> CopySpec {
        CopySpec { source: source.display().to_string(), target: target.into() }
    }

    #[tokio::test]
    async fn a_file_is_named_by_the_target_or_put_into_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.conf");
        fs::write(&file, "hello").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
        assert_eq!(
            entries(copy(&file, "/etc/app/b.conf")).await,
            [("etc/app/b.conf".into(), 0o640, "hello".into())]
        );
        assert_eq!(entries(copy(&file, "/etc/")).await, [("etc/a.conf".into(), 0o640, "hello".into())]);
    }

    #[tokio::test]
    async fn a_folder_comes_with_all_that_is_in_it_and_links_stay_links() {
        let folder = tempfile::tempdir().expect("a folder");
        let long = "n".repeat(150);
        fs::create_dir(folder.path().join("sub")).expect("made");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).expect("set");
        fs::set_permissions(folder.path().join("sub"), fs::Permissions::from_mode(0o700)).expect("set");
        fs::write(folder.path().join("sub").join(&long), "x").expect("written");
        fs::set_permissions(folder.path().join("sub").join(&long), fs::Permissions::from_mode(0o4755))
            .expect("set");
        symlink("/nowhere", folder.path().join("link")).expect("linked");
        let got = entries(copy(folder.path(), "/data")).await;
        let want: Vec<(String, u32, String)> = vec![
            ("data".into(), 0o750, String::new()),
            ("data/link".into(), 0o777, "-> /nowhere".into()),
            ("data/sub".into(), 0o700, String::new()),
            (format!("data/sub/{long}"), 0o4755, "x".into()),
        ];
        assert_eq!(got, want);
    }

    /// A mount of the task container that stands for this path of the host.
    fn mounted(kind: &str, path: &Path, writable: bool) -> TaskMount {
        let path = path.display().to_string();
        let volume = (kind == "volume").then(|| "data".to_owned());
        TaskMount {
            kind: kind.into(),
            volume,
            source: path.clone(),
            target: path,
            writable,
            ..TaskMount::default()
        }
    }

    #[test]
    fn a_link_that_a_component_may_have_set_leads_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| fs::canonicalize(folder.path()).expect("it is there").join(name);
        for name in ["data", "data/deep", "keys", "image"] {
            fs::create_dir(at(name)).expect("made");
        }
        for name in ["data/file", "data/deep/file", "keys/file", "image/file"] {
            fs::write(at(name), "x").expect("written");
        }
        symlink(at("keys/file"), at("data/planted")).expect("linked");
        symlink(at("keys"), at("data/folder")).expect("linked");
        symlink("../../keys/file", at("data/deep/up")).expect("linked");
        symlink("deep/file", at("data/own")).expect("linked");
        symlink("loop", at("data/loop")).expect("linked");
        symlink(at("data"), at("image/data")).expect("linked");
        symlink(at("keys/file"), at("image/keys")).expect("linked");

        let volume = [mounted("volume", &at("data"), false)];
        let refused = |name: &str, mounts: &[TaskMount], binds: &[(&Path, bool)]| {
            let mut spec = pod(vec![copy(&at(name), "/a")]);
            spec.components[0].files = vec![secret(&at(name), 0o444, 0, 0)];
            spec.components[0].container.mounts = binds
                .iter()
                .map(|(path, read_only)| Mount {
                    target: "/bound".into(),
                    read_only: *read_only,
                    source: MountSource::bind(path.display().to_string()),
                })
                .collect();
            let task = TaskContainer { mounts: mounts.to_vec(), ..TaskContainer::default() };
            let errors = CopySources::open(&spec, &task, None).err().unwrap_or_default();
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let leads = "leads out of it, to";
        for name in ["planted", "folder/file", "deep/up", "folder/../keys/file"] {
            let name = format!("data/{name}");
            let path = at(&name).display().to_string();
            let why = format!(
                "a link in `{}`, where others may write, {leads} `{}`: name that path itself",
                at("data").display(),
                at("keys/file").display()
            );
            let want = [
                format!("cannot open `{path}` for `pod.copy.app`: {why}"),
                format!("cannot open `{path}`, a secret or config of `app`: {why}"),
            ];
            assert_eq!(refused(&name, &volume, &[]), want, "{name}");
        }
        assert!(refused("image/data/planted", &volume, &[])[0].contains(leads), "on a longer way");
        assert!(refused("data/loop", &volume, &[])[0].contains("Too many levels of symbolic links"));
        let below = |writable| [volume[0].clone(), mounted("bind", &at("data/deep"), writable)];
        for writable in [true, false] {
            let words = refused("data/own", &below(writable), &[]);
            assert!(words[0].contains(leads), "another mount below is another mount: {words:?}");
        }
        for name in
            ["data/file", "data/own", "data/deep/../file", "image/file", "image/keys", "image/data/own"]
        {
            assert_eq!(refused(name, &volume, &[]), Vec::<String>::new(), "{name}");
        }
        // Nobody but the host writes into a bind that is read-only, unless a component has it otherwise.
        let (bind, data) = ([mounted("bind", &at("data"), false)], at("data"));
        for binds in [&[][..], &[(data.as_path(), true)], &[(&at("data/file.d"), true), (&at("keys"), false)]]
        {
            assert_eq!(refused("data/planted", &bind, binds), Vec::<String>::new(), "{binds:?}");
        }
        for path in [at("data"), at("data/deep"), at("data/..").canonicalize().expect("there")] {
            let path = path.as_path();
            assert_eq!(refused("data/planted", &bind, &[(path, false)]).len(), 2, "{path:?}");
        }
        assert_eq!(refused("data/planted", &[mounted("bind", &data, true)], &[]).len(), 2);
    }

    #[test]
    fn a_copy_into_a_mount_is_unpacked_there_and_any_other_from_the_root() {
        let mount = |target: &str| Mount {
            target: target.into(),
            read_only: false,
            source: MountSource::volume(None),
        };
        let mounts = [mount("/data"), mount("/data/deep/"), mount("/datum")];
        let cases = [
            ("etc/conf", "/"),
            ("data/conf", "/data"),
            ("data", "/data"),
            ("data/deep/conf", "/data/deep/"),
            ("database/conf", "/"),
        ];
        for (name, want) in cases {
            assert_eq!(folder(Path::new(name), &mounts), want, "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_unpacked_in_a_mount_is_named_from_there() {
        let source = tempfile::tempdir().expect("a folder");
        let file = source.path().join("a.conf");
        fs::write(&file, "hello").expect("written");
        let mount = Mount { target: "/data".into(), read_only: false, source: MountSource::volume(None) };
        let copy = copy(&file, "/data/sub/b.conf");
        let sources = CopySources::open(&pod(vec![copy.clone()]), &TaskContainer::default(), None)
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        let archive = sources.archive(&copy, &[mount]).expect("opened");
        assert_eq!(archive.folder, "/data");
        let bytes = whole(archive).await.expect("whole");
        let mut unpacked = tar::Archive::new(&bytes[..]);
        let mut entries = unpacked.entries().expect("a tar archive");
        let entry = entries.next().expect("one").expect("an entry");
        assert_eq!(entry.path().expect("a path"), Path::new("sub/b.conf"));
    }

    #[tokio::test]
    async fn a_file_is_copied_as_it_is_when_its_turn_comes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        for (before, then) in [("long and longer", "short"), ("short", "long and longer")] {
            fs::write(&file, before).expect("written");
            let copy = copy(&file, "/a");
            let sources = CopySources::open(&pod(vec![copy.clone()]), &TaskContainer::default(), None)
                .unwrap_or_else(|errors| panic!("{errors:?}"));
            fs::write(&file, then).expect("written");
            let bytes = whole(sources.archive(&copy, &[]).expect("opened")).await.expect("whole");
            let mut archive = tar::Archive::new(&bytes[..]);
            let mut content = String::new();
            let mut entries = archive.entries().expect("a tar archive");
            entries.next().expect("one").expect("an entry").read_to_string(&mut content).expect("text");
            assert_eq!(content, then);
        }
    }

    #[tokio::test]
    async fn an_archive_that_cannot_be_whole_ends_with_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        // More than the pieces that may wait: the writer cannot be done before the file is cut.
        fs::write(&file, vec![b'x'; PIECE * 16]).expect("written");
        let copy = copy(&file, "/a");
        let sources = CopySources::open(&pod(vec![copy.clone()]), &TaskContainer::default(), None)
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        let mut archive = sources.archive(&copy, &[]).expect("opened");
        archive.stream.next().await.expect("a piece").expect("it is sound");
        fs::write(&file, "x").expect("cut");
        let error = whole(archive).await.expect_err("it became shorter");
        assert_eq!(error.to_string(), format!("`{}` became shorter while it was copied", file.display()));
    }

    fn secret(source: &Path, mode: u32, uid: u32, gid: u32) -> FileSpec {
        FileSpec {
            source: FileSource::Path(source.display().to_string()),
            target: "/run/secrets/x".into(),
            uid,
            gid,
            mode,
        }
    }

    #[tokio::test]
    async fn the_store_gets_each_distinct_file_once_with_its_mode_and_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "first").expect("written");
        fs::write(&two, "").expect("written");
        let mut spec = pod(Vec::new());
        let written = FileSpec { source: FileSource::Content("said".into()), ..secret(&one, 0o400, 3, 4) };
        spec.components[0].files = vec![secret(&one, 0o444, 0, 0), secret(&two, 0o400, 1000, 2000), written];
        let init = ComponentSpec { name: "init-1".into(), ..ComponentSpec::default() };
        spec.init =
            vec![ComponentSpec { files: vec![secret(&one, 0o440, 7, 0), secret(&one, 0o444, 0, 0)], ..init }];
        let layout = StoreLayout::of(&spec);
        let sources = CopySources::open(&spec, &TaskContainer::default(), None)
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        // Also the second time: a later filling is as whole as the first.
        for _ in 0..2 {
            let archive = sources.store_archive(&layout).expect("opened");
            assert_eq!(archive.folder, "/store");
            let bytes = whole(archive).await.expect("whole");
            let mut found = Vec::new();
            for entry in tar::Archive::new(&bytes[..]).entries().expect("a tar archive") {
                let mut entry = entry.expect("an entry");
                let mut content = String::new();
                entry.read_to_string(&mut content).expect("text");
                let (path, header) = (entry.path().expect("a path").display().to_string(), entry.header());
                let number = |number: io::Result<u64>| number.expect("a number");
                let owner = (number(header.uid()), number(header.gid()));
                found.push((path, header.mode().expect("a mode"), owner, content));
            }
            let want = [
                ("0", 0o440, (7, 0), "first"),
                ("1", 0o444, (0, 0), "first"),
                ("2", 0o400, (1000, 2000), ""),
                ("3", 0o400, (3, 4), "said"),
                ("complete", 0, (3, 4), ""),
            ];
            let complete = layout.complete();
            let prefix = complete.strip_suffix("complete").expect("a name");
            let want = want
                .map(|(name, mode, owner, text)| (format!("{prefix}{name}"), mode, owner, text.to_owned()));
            assert_eq!(found, want);
        }
    }

    #[tokio::test]
    async fn files_of_each_owner_go_in_a_stream_of_their_own_and_the_mark_of_completion_is_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let large = "x".repeat(3 * PIECE + 1);
        fs::write(&one, &large).expect("written");
        fs::write(&two, "").expect("written");
        let mut spec = pod(Vec::new());
        let written = FileSpec { source: FileSource::Content("said".into()), ..secret(&one, 0o400, 0, 0) };
        spec.components[0].files =
            vec![secret(&two, 0o400, 7, 9), secret(&one, 0o444, 0, 0), secret(&one, 0o440, 7, 9), written];
        let layout = StoreLayout::of(&spec);
        let sources = CopySources::open(&spec, &TaskContainer::default(), None)
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        let mut found = Vec::new();
        for OwnedFiles { owner, stream } in sources.store_streams(&layout).expect("opened") {
            let pieces: Vec<Bytes> = stream.try_collect().await.expect("whole");
            let bytes = pieces.concat();
            let mut rest = &bytes[..];
            while let Some((header, content)) = rest.split_first_chunk() {
                let entry = StoreEntry::parse(header);
                let (content, next) = content.split_at(entry.length as usize);
                let path = String::from_utf8_lossy(entry.path);
                let name = path.rsplit('.').next().expect("a name").to_owned();
                found.push((owner, name, entry.mode, String::from_utf8_lossy(content).into_owned()));
                rest = next;
            }
            assert!(rest.is_empty(), "nothing stands behind the end");
        }
        let want = [
            ((7, 9), "0", 0o400, ""),
            ((7, 9), "2", 0o440, &large),
            ((7, 9), "", 0, ""),
            ((0, 0), "1", 0o444, &large),
            ((0, 0), "3", 0o400, "said"),
            ((0, 0), "complete", 0, ""),
            ((0, 0), "", 0, ""),
        ];
        assert_eq!(
            found,
            want.map(|(owner, name, mode, text)| (owner, name.to_owned(), mode, text.to_owned()))
        );
    }

    #[test]
    fn a_secret_that_cannot_be_one_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("most"), vec![b'x'; 1 << 20]).expect("written");
        fs::write(path("more"), vec![b'x'; (1 << 20) + 1]).expect("written");
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        let mut spec = pod(Vec::new());
        spec.components[0].files =
            ["most", "more", "fifo", "none"].map(|name| secret(&path(name), 0o444, 0, 0)).to_vec();
        let errors: Vec<String> = CopySources::open(&spec, &TaskContainer::default(), None)
            .err()
            .expect("errors")
            .iter()
            .map(ToString::to_string)
            .collect();
        let at = |name: &str| path(name).display().to_string();
        assert_eq!(
            errors,
            [
                format!(
                    "`{}`, a secret or config of `app`, is larger than 1 MiB: mount it, or use `pod.copy`",
                    at("more")
                ),
                format!(
                    "cannot open `{}`, a secret or config of `app`: it is not a regular file",
                    at("fifo")
                ),
                format!(
                    "cannot open `{}`, a secret or config of `app`: No such file or directory (os error 2)",
                    at("none")
                ),
            ]
        );
    }

    #[test]
    fn secrets_that_together_take_more_than_the_store_holds_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |number: usize| folder.path().join(number.to_string());
        for number in 0..17 {
            fs::write(path(number), vec![b'x'; 1 << 20]).expect("written");
        }
        let opened = |files: &mut dyn Iterator<Item = FileSpec>| {
            let mut spec = pod(Vec::new());
            spec.components[0].files = files.collect();
            let errors = CopySources::open(&spec, &TaskContainer::default(), None).err().unwrap_or_default();
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(opened(&mut (0..200).map(|_| secret(&path(0), 0o444, 0, 0))), Vec::<String>::new());
        assert_eq!(
            opened(&mut (0..16).map(|number| secret(&path(number), 0o444, 0, 0))),
            Vec::<String>::new()
        );
        for much in [
            opened(&mut (0..17).map(|number| secret(&path(number), 0o444, 0, 0))),
            opened(&mut (0..17).map(|user| secret(&path(0), 0o444, user, 0))),
        ] {
            assert_eq!(much.len(), 1, "{much:?}");
            assert!(much[0].starts_with("`secrets` and `configs`: found 17 MiB in all"), "{much:?}");
        }
    }

    #[test]
    fn every_source_that_cannot_be_opened_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("made");
        let spec = pod(vec![copy(Path::new("/nowhere"), "/a"), copy(&fifo, "/b")]);
        let errors: Vec<String> = CopySources::open(&spec, &TaskContainer::default(), None)
            .err()
            .expect("errors")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            errors[0].starts_with("cannot open `/nowhere` for `pod.copy.app`: No such file"),
            "{errors:?}"
        );
        assert!(errors[1].contains("neither a file, a folder nor a link"), "{errors:?}");
    }
}
