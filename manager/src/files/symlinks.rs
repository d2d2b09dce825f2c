#![expect(clippy::disallowed_methods, reason = "looks at what paths of the task container lead to")]
//! Where a path of the task container leads. It may be a link, or lie behind one; but not behind one in a volume or bind
//! that leads out of it: a component may have set it, and would get what it must not see.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use definition::files::{FileFault, FileKind, Files, LocalFiles, fault};
use engine::docker::DockerEngine;
use engine::{Engine, EngineError};
use pod::path::within;
use pod::policy::manager_files::{ManagerFiles, Purpose, TREE};
use pod::spec::{ComponentSpec, MountSource};
use pod::task_container::{TaskContainer, TaskMount};

/// Where the kernel tells what is mounted for whoever asks.
const MOUNTS: &str = "/proc/self/mountinfo";
/// Most links on the way of one path: as many as Linux follows.
const MOST_LINKS: usize = 40;

/// The mounts of the task container, each with whether somebody else may write into it: a link there may lead anywhere.
pub struct Shared {
    mounts: Vec<(PathBuf, bool)>,
    guard: Option<Guard>,
}

/// Refuses to read the manager's own files for a component. The guard checks the opened file, so another name
/// for the file does not help.
struct Guard {
    files: ManagerFiles,
    task: TaskContainer,
    /// Device and inode of each of the files that exist in this container.
    here: BTreeMap<(u64, u64), Purpose>,
}

/// Maximum number of files that the guard records. A folder of the manager may hold more.
const MOST_FILES: usize = 1000;

impl Guard {
    fn of(files: &ManagerFiles, task: &TaskContainer) -> Self {
        let mounts = task.mounts.clone();
        let task = TaskContainer { id: task.id.clone(), mounts, ..TaskContainer::default() };
        let mut here = BTreeMap::new();
        for (path, what) in files.inside().filter(|(_, what)| *what != TREE) {
            let mut todo = vec![PathBuf::from(path)];
            while let Some(path) = todo.pop().filter(|_| here.len() < MOST_FILES) {
                let Ok(meta) = fs::metadata(&path) else { continue };
                if here.insert((meta.dev(), meta.ino()), what).is_none() && meta.is_dir() {
                    todo.extend(
                        fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()),
                    );
                }
            }
        }
        Guard { files: files.clone(), task, here }
    }

    fn refused(what: Purpose) -> io::Error {
        io::Error::other(format!("it {}", FileFault::Managers(what)))
    }
}

impl Shared {
    /// Volumes are anybody's; a bind that is read-only here is a component's that has one of its own for writing.
    pub fn of<'a>(components: impl Iterator<Item = &'a ComponentSpec>, mounts: &[TaskMount]) -> Self {
        let binds = components.flat_map(|component| &component.container.mounts);
        let written: Vec<&str> = binds
            .filter(|mount| !mount.read_only)
            .filter_map(|mount| match &mount.source {
                MountSource::Bind { path, .. } => Some(path.as_str()),
                _ => None,
            })
            .collect();
        let meet = |one: &str, other: &str| within(one, other) || within(other, one);
        let others_write = |mount: &TaskMount| match mount.kind.as_str() {
            "tmpfs" => false,
            "bind" => mount.writable || written.iter().any(|path| meet(path, &mount.source)),
            _ => true,
        };
        let mounts = mounts.iter().map(|mount| (PathBuf::from(&mount.target), others_write(mount)));
        Shared { mounts: mounts.collect(), guard: None }
    }

    /// The same before anybody knows what components bind: every bind is somebody's.
    pub fn before(mounts: &[TaskMount]) -> Self {
        let mounts = mounts.iter().map(|mount| (PathBuf::from(&mount.target), mount.kind != "tmpfs"));
        Shared { mounts: mounts.collect(), guard: None }
    }

    /// Adds a guard that refuses these files of the manager under every name that they have in this task
    /// container; none refuses nothing.
    pub fn guarding(self, files: Option<&ManagerFiles>, task: &TaskContainer) -> Self {
        Shared { guard: files.map(|files| Guard::of(files, task)), ..self }
    }

    /// The same of this container, with what the engine does not list: Swarm's secrets and configs.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn here(self) -> io::Result<Self> {
        let told = fs::read_to_string(MOUNTS)?;
        let real = |path: PathBuf| fs::canonicalize(&path).unwrap_or(path);
        let listed = self.mounts.into_iter().map(|(mount, shared)| (real(mount), shared));
        Ok(Shared { mounts: points(&told).chain(listed).collect(), guard: self.guard })
    }

    /// Refuses a path of the task container that belongs to the manager. All links in `place` are already
    /// resolved.
    ///
    /// # Errors
    /// If the path is one of the manager's files, contains one or lies in one.
    pub fn refuse_path(&self, place: &Path) -> io::Result<()> {
        let path = place.to_string_lossy();
        let found = self.guard.as_ref().and_then(|guard| guard.files.in_task(&guard.task, &path));
        found.map_or(Ok(()), |what| Err(Guard::refused(what)))
    }

    /// Refuses an opened file that belongs to the manager.
    ///
    /// # Errors
    /// If the file is one of the manager's files, under any name.
    pub fn refuse_file(&self, file: &File) -> io::Result<()> {
        let Some(guard) = self.guard.as_ref().filter(|guard| !guard.here.is_empty()) else { return Ok(()) };
        let meta = file.metadata()?;
        guard.here.get(&(meta.dev(), meta.ino())).map_or(Ok(()), |what| Err(Guard::refused(what)))
    }

    /// The mount in which a place lies.
    fn around(&self, place: &Path) -> Option<&(PathBuf, bool)> {
        let around = self.mounts.iter().filter(|(mount, _)| place.starts_with(mount));
        around.max_by_key(|(mount, _)| mount.as_os_str().len())
    }

    /// The mount in which a link lies, where others write into it.
    fn home(&self, link: &Path) -> Option<&Path> {
        self.around(link).filter(|(_, shared)| *shared).map(|(mount, _)| mount.as_path())
    }

    /// Links in these mounts have led to this place.
    fn judge(&self, homes: &[&Path], place: &Path) -> io::Result<()> {
        let around = self.around(place).map(|(mount, _)| mount.as_path());
        match homes.iter().find(|home| Some(**home) != around) {
            None => Ok(()),
            Some(home) => Err(io::Error::other(format!(
                "a link in `{}`, where others may write, leads out of it, to `{}`: name that path itself",
                home.display(),
                place.display()
            ))),
        }
    }

    /// Where a path leads, all links followed.
    ///
    /// # Errors
    /// Where nothing is there, or a link leads out of where others write.
    pub fn place(&self, path: &Path) -> io::Result<PathBuf> {
        let steps =
            |path: &Path| path.components().rev().map(|step| step.as_os_str().to_owned()).collect::<Vec<_>>();
        let (mut place, mut homes) = (PathBuf::from("/"), Vec::new());
        let (mut todo, mut left) = (steps(path), MOST_LINKS);
        while let Some(step) = todo.pop() {
            // The root once more, where the step is that.
            let next = place.join(&step);
            if step == ".." {
                place.pop();
            } else if fs::symlink_metadata(&next)?.is_symlink() {
                left = left.checked_sub(1).ok_or(Errno::ELOOP)?;
                homes.extend(self.home(&next));
                todo.extend(steps(&fs::read_link(&next)?));
            } else {
                place = next;
            }
        }
        self.judge(&homes, &place)?;
        self.refuse_path(&place)?;
        Ok(place)
    }

    /// Gets a handle to the file at a place without opening the file for reading.
    ///
    /// # Errors
    /// Like [`pinned`], and if the file belongs to the manager.
    pub fn pin(&self, place: &Path) -> io::Result<File> {
        let file = pinned(place)?;
        self.refuse_file(&file)?;
        Ok(file)
    }

    fn look(&self, path: &str) -> io::Result<File> {
        self.pin(&self.place(Path::new(path))?)
    }

    /// The same in another container, as far as the engine tells: only what lies in such a mount is asked for.
    ///
    /// # Errors
    /// Where the engine does not tell.
    pub async fn place_elsewhere(
        &self,
        engine: &DockerEngine,
        container: &str,
        path: &str,
    ) -> Result<io::Result<String>, EngineError> {
        let (mut place, mut homes) = (PathBuf::from("/"), Vec::new());
        let mut steps = Path::new(path).components().peekable();
        while let Some(step) = steps.next() {
            let next = place.join(step);
            if step == Component::ParentDir {
                place.pop();
                continue;
            }
            let Some(home) = self.home(&next).filter(|home| *home != next) else {
                place = next;
                continue;
            };
            let file = match of_the_file(engine.stat(container, &next.to_string_lossy()).await)? {
                Ok(Some(file)) => file,
                Ok(None) => return Ok(Err(io::ErrorKind::NotFound.into())),
                Err(error) => return Ok(Err(error)),
            };
            if file.regular && steps.peek().is_some() {
                return Ok(Err(io::ErrorKind::NotADirectory.into()));
            }
            place = match file.link_target {
                Some(target) => {
                    homes.push(home);
                    target.into()
                }
                None => next,
            };
        }
        if let Err(error) = self.judge(&homes, &place) {
            return Ok(Err(error));
        }
        if !homes.is_empty() {
            // What the engine does not list may be mounted in there, too.
            let told = match of_the_file(engine.read_file(container, MOUNTS).await)? {
                Ok(told) => told,
                Err(error) => return Ok(Err(error)),
            };
            let told = String::from_utf8_lossy(&told);
            let mounts = points(&told).chain(self.mounts.iter().cloned());
            let all = Shared { mounts: mounts.collect(), guard: None };
            if let Err(error) = all.judge(&homes, &place) {
                return Ok(Err(error));
            }
        }
        if let Err(error) = self.refuse_path(&place) {
            return Ok(Err(error));
        }
        Ok(Ok(place.to_string_lossy().into_owned()))
    }
}

/// What the engine refuses is the file's fault; every other error is of the engine, and within nobody's.
///
/// # Errors
/// Where the engine does not tell.
pub fn of_the_file<T>(told: Result<T, EngineError>) -> Result<io::Result<T>, EngineError> {
    match told {
        Ok(told) => Ok(Ok(told)),
        Err(EngineError::Refused(words)) => Ok(Err(io::Error::other(words))),
        Err(error) => Err(error),
    }
}

/// Where something is mounted, by what the kernel tells; nobody but its owner writes there.
fn points(mountinfo: &str) -> impl Iterator<Item = (PathBuf, bool)> {
    // The kernel writes these four as octal numbers (`mangle_path`).
    let plain = |point: &str| {
        [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
            .iter()
            .fold(point.to_owned(), |point, (written, meant)| point.replace(written, meant))
    };
    mountinfo.lines().filter_map(move |line| Some((plain(line.split(' ').nth(4)?).into(), false)))
}

/// The files of this container, which a definition names.
impl Files for Shared {
    fn kind(&self, path: &str) -> Result<FileKind, FileFault> {
        LocalFiles.kind(&by_descriptor(&self.look(path).map_err(fault)?))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileFault> {
        LocalFiles.read(&by_descriptor(&self.look(path).map_err(fault)?))
    }

    fn names(&self, folder: &str) -> Vec<String> {
        LocalFiles.names(folder)
    }
}

/// What lies at a path in which no link is expected: looked at, not opened.
///
/// # Errors
/// Where there is one all the same: who writes there may put it in the way at any moment.
pub fn pinned(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    // As the kernel writes a file that is mounted here, and no longer has a name where it is from.
    let mut nameless = path.as_os_str().to_owned();
    nameless.push(" (deleted)");
    let place = fs::read_link(by_descriptor(&file))?;
    match place == path || place.as_os_str() == nameless {
        true => Ok(file),
        false => Err(io::Error::other("it was replaced while it was opened")),
    }
}

/// The same file once more, to be opened.
pub fn by_descriptor(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_kernels_list_is_read_as_it_writes_names() {
        let told =
            "24 1 0:22 / / rw - overlay overlay rw\n30 24 0:26 /x /data/my\\040key ro - tmpfs tmpfs rw\n";
        let points: Vec<PathBuf> = points(told).map(|(point, _)| point).collect();
        assert_eq!(points, [PathBuf::from("/"), PathBuf::from("/data/my key")]);
    }

    #[test]
    fn a_file_that_a_definition_names_is_not_read_through_a_link_that_leads_out_of_a_volume() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| fs::canonicalize(folder.path()).expect("it is there").join(name);
        let text = |name: &str| at(name).display().to_string();
        fs::create_dir(at("data")).expect("made");
        fs::write(at("data/env"), "A=1").expect("written");
        fs::write(at("key"), "B=2").expect("written");
        symlink("env", at("data/own")).expect("linked");
        symlink("../key", at("data/planted")).expect("linked");
        let words = format!(
            "a link in `{}`, where others may write, leads out of it, to `{}`: name that path itself",
            text("data"),
            text("key")
        );
        // One that is read-only here may be a component's to write.
        for kind in ["volume", "bind"] {
            let mount = TaskMount { kind: kind.into(), target: text("data"), ..TaskMount::default() };
            let shared = Shared::before(&[mount]).here().expect("told");
            assert_eq!(shared.read(&text("data/own")), Ok(b"A=1".to_vec()));
            assert_eq!(shared.kind(&text("data/none")), Err(FileFault::Missing));
            assert_eq!(shared.kind(&text("data/planted")), Err(FileFault::Unreadable(words.clone())));
            assert_eq!(shared.read(&text("data/planted")), Err(FileFault::Unreadable(words.clone())));
        }
    }

    #[test]
    fn what_is_opened_is_what_was_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| fs::canonicalize(folder.path()).expect("it is there").join(name);
        fs::create_dir(at("one")).expect("made");
        fs::write(at("one/file"), "x").expect("written");
        symlink("one", at("link")).expect("linked");
        assert!(pinned(&at("one/file")).is_ok());
        let error = pinned(&at("link/file")).expect_err("a link was put in the way");
        assert_eq!(error.to_string(), "it was replaced while it was opened");
        let link = pinned(&at("link")).expect("the link itself").metadata().expect("known");
        assert!(link.is_symlink());
    }
}
