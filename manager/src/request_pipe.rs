#![expect(clippy::disallowed_methods, reason = "reads the name of its own mount namespace")]
//! The way from `manager restart`, run by `docker exec`, to the manager that runs in that container: named pipes in a
//! folder of the container's `/dev/shm`, which is writable also where the root file system is not. All are opened before
//! root is given up, so that the running manager needs no more rights than before; nothing listens.
//!
//! Requests come through one pipe, each in one piece. Who asks takes one of the pipes for answers and locks it, since a
//! pipe gives what is in it to whoever reads first.
//!
//! The folder belongs to the container's user alone, and to one manager, which locks the pipe for requests. It is not
//! made where the pod's components share that `/dev/shm`. Where several containers share it, the mount namespace tells
//! whose manager it is: `docker exec` joins that of the container.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkdir, mkfifoat};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tracing::{Instrument, debug};

use crate::reconcile::restart::{Answer, Message, Request};
use definition::diagnostic;
use pod::identity::short;

/// Where the pipes are.
pub const FOLDER: &str = "/dev/shm/.tandem-requests";
/// The pipe to the manager.
const REQUESTS: &str = "requests";
/// The pipes from the manager: so many may ask at a time.
const ANSWERS: [&str; 4] = ["answers-0", "answers-1", "answers-2", "answers-3"];
/// The file that says in which mount namespace the manager is.
const MANAGER: &str = "manager";
/// Longest line: the kernel writes so much into a pipe in one piece.
const LONGEST: usize = 4096;
/// Of which so much may be the text of an answer.
const MOST_WORDS: usize = 3800;
/// Names the request to which an answer belongs that holds for all.
const ALL: &str = "*";

/// The manager's ends.
pub struct RequestLine {
    requests: pipe::Receiver,
    answers: Vec<Arc<File>>,
}

/// The pods that this manager runs now.
#[derive(Clone, Default)]
pub struct Pods {
    /// By the task container's id: its name, and where requests go.
    by_id: Arc<Mutex<ById>>,
}

type ById = BTreeMap<String, (String, UnboundedSender<Message>)>;

/// A pod is among [`Pods`] as long as this is there.
pub struct Entry {
    pods: Pods,
    id: String,
}

/// The asking side's ends. The one for answers is locked.
pub struct Asking {
    requests: File,
    answers: pipe::Receiver,
    /// The number of that one.
    place: usize,
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody has made the pipes, or who has made them is gone.
    #[error(
        "no manager in this container takes requests: `manager restart` is for `docker exec` in the container of the \
         manager that runs the pod, and has no way to it where components share this container's `/dev/shm` \
         (`--pause=task` with `--ipc`); `docker restart` of the component's container works there too"
    )]
    Nobody,
    /// As many others ask as can.
    #[error("{} other `manager restart` are at work in this container: wait for the end of one", ANSWERS.len())]
    Busy,
    /// Who takes requests there is the manager of another container.
    #[error(
        "the manager that takes requests in this container's `/dev/shm` is another container's: containers that share \
         one `/dev/shm` (`--ipc=host`, `--ipc=container:NAME`) have room for one manager's. Run the command in the \
         container of that manager, or give each container its own `/dev/shm`"
    )]
    Elsewhere,
    /// What is there is not the manager's.
    #[error(
        "{FOLDER} is not this user's own: run it as the user of the container (`docker exec` without `-u`), or remove \
         what somebody put there"
    )]
    Foreign,
    /// A call failed.
    #[error("cannot ask the manager: {0}")]
    Failed(#[from] io::Error),
}

impl RequestLine {
    /// Make the pipes, or take over those of a manager before this one, whose requests are answered.
    ///
    /// # Errors
    /// Where they cannot be made, something else stands there, or another manager takes requests there.
    pub fn open(path: &Path) -> io::Result<Self> {
        RequestLine::open_in(path, &mount_namespace())
    }

    /// As [`RequestLine::open`], by a manager in this mount namespace.
    fn open_in(path: &Path, namespace: &str) -> io::Result<Self> {
        match mkdir(path, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let folder =
            own_folder(path)?.ok_or_else(|| io::Error::other("it is not the manager's own folder"))?;
        for name in [REQUESTS].into_iter().chain(ANSWERS) {
            match mkfifoat(&folder, name, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // All for both directions: neither end is ever missing, so that nothing ends and nobody is waited for.
        let requests = own_pipe(&folder, REQUESTS, OFlag::O_RDWR)?;
        // Held as long as the pipe is open: it goes with a manager that dies.
        requests.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other(
                "another manager takes requests there: containers that share one `/dev/shm` (`--ipc=host`, \
                 `--ipc=container:NAME`) have room for one manager's",
            ),
            TryLockError::Error(error) => error,
        })?;
        // Not waited for, where somebody has put a pipe there that nobody reads.
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_TRUNC
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_CLOEXEC;
        File::from(openat(&folder, MANAGER, flags, Mode::S_IRUSR | Mode::S_IWUSR)?)
            .write_all(namespace.as_bytes())?;
        let answers: io::Result<Vec<Arc<File>>> =
            ANSWERS.iter().map(|name| Ok(Arc::new(own_pipe(&folder, name, OFlag::O_RDWR)?))).collect();
        let answers = answers?;
        empty(&requests);
        for pipe in &answers {
            put(pipe, ALL, &Err("the manager was started again meanwhile: ask once more".into()));
        }
        Ok(RequestLine { requests: pipe::Receiver::from_owned_fd(requests.into())?, answers })
    }

    /// Take requests for these pods, for ever.
    pub async fn serve(mut self, pods: Pods) {
        let (mut bytes, mut line) = ([0; LONGEST], Vec::new());
        loop {
            let Ok(read) = self.requests.read(&mut bytes).await else { return };
            for byte in &bytes[..read] {
                match byte {
                    b'\n' => self.take(&pods, &String::from_utf8_lossy(&std::mem::take(&mut line))),
                    // What is longer was not written by ours.
                    _ if line.len() >= LONGEST => line.clear(),
                    byte => line.push(*byte),
                }
            }
        }
    }

    fn take(&self, pods: &Pods, line: &str) {
        let mut words = line.splitn(3, ' ');
        let (Some(place), Some(id), Some(wanted)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let Some(answers) = place.parse().ok().and_then(|place: usize| self.answers.get(place)) else {
            return;
        };
        let (id, answers) = (id.to_owned(), Arc::clone(answers));
        let (answer, answered) = oneshot::channel();
        match pods.find(wanted) {
            Err(words) => return put(&answers, &id, &Err(words)),
            Ok((to, name)) => _ = to.send(Message::Asked(Request { name, answer })),
        }
        let pass_on = async move {
            let answer = answered.await.unwrap_or_else(|_| Err("the pod has ended".into()));
            put(&answers, &id, &answer);
        };
        tokio::spawn(pass_on.in_current_span());
    }
}

/// One answer, in one piece. Where nobody has read the earlier ones it is lost.
fn put(mut answers: &File, id: &str, answer: &Answer) {
    let (status, words) = match answer {
        Ok(words) => (0, words),
        Err(words) => (1, words),
    };
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    let mut words: String = words.chars().map(plain).collect();
    words.truncate(words.floor_char_boundary(MOST_WORDS));
    let id: String = id.chars().take(64).collect();
    if let Err(error) = answers.write_all(format!("{id} {status} {words}\n").as_bytes()) {
        debug!("an answer is not taken: {error}");
    }
}

impl Pods {
    /// This pod runs from now on.
    pub fn enter(&self, id: &str, name: &str, to: UnboundedSender<Message>) -> Entry {
        self.with(|pods| pods.insert(id.to_owned(), (name.to_owned(), to)));
        Entry { pods: self.clone(), id: id.to_owned() }
    }

    /// Where a request for `NAME` or `POD/NAME` goes, and the component's name.
    fn find(&self, wanted: &str) -> Result<(UnboundedSender<Message>, String), String> {
        self.with(|pods| {
            let (pod, name) = match wanted.split_once('/') {
                Some((pod, name)) => (Some(pod), name),
                None => (None, wanted),
            };
            let is = |id: &str, called: &str, pod: &str| {
                let task_of = |rest: &str| rest.starts_with('.');
                called == pod
                    || called.strip_prefix(pod).is_some_and(task_of)
                    || short(id) == pod
                    || id == pod
            };
            let found = pods.iter().filter(|(id, (called, _))| pod.is_none_or(|pod| is(id, called, pod)));
            let found: Vec<&(String, UnboundedSender<Message>)> = found.map(|(_, one)| one).collect();
            let names = || pods.values().map(|(called, _)| called.as_str());
            match (&found[..], pod) {
                ([(_, to)], _) => Ok((to.clone(), name.to_owned())),
                ([], _) if pods.is_empty() => Err("this manager runs no pod now".into()),
                ([], Some(pod)) => {
                    Err(format!("there is no pod `{pod}` here: {}", diagnostic::suggest(pod, names())))
                }
                (several, Some(pod)) => {
                    let names: Vec<&str> = several.iter().map(|(called, _)| called.as_str()).collect();
                    Err(format!("`{pod}` may be any of {}: name one", names.join(", ")))
                }
                (several, None) => {
                    let example = several.first().map_or("", |(called, _)| called.as_str());
                    Err(format!("this manager runs several pods: name one, such as `{example}/{name}`"))
                }
            }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut ById) -> T) -> T {
        act(&mut self.by_id.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.pods.with(|pods| pods.remove(&self.id));
    }
}

impl Asking {
    /// Reach the manager of this container.
    ///
    /// # Errors
    /// Where there is none, it is another container's, or too many others ask it just now.
    pub fn open(path: &Path) -> Result<Self, AskError> {
        Asking::open_in(path, &mount_namespace())
    }

    /// As [`Asking::open`], from this mount namespace.
    fn open_in(path: &Path, namespace: &str) -> Result<Self, AskError> {
        let folder = own_folder(path).map_err(unreached)?.ok_or(AskError::Foreign)?;
        let gone = |error: io::Error| match error.raw_os_error() {
            // Nobody reads there; or the manager died before it had made all.
            Some(code) if code == Errno::ENXIO as i32 || code == Errno::ENOENT as i32 => AskError::Nobody,
            _ => AskError::Failed(error),
        };
        let requests = own_pipe(&folder, REQUESTS, OFlag::O_WRONLY).map_err(gone)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let manager = openat(&folder, MANAGER, flags, Mode::empty()).map_err(|error| gone(error.into()))?;
        let mut whose = String::new();
        File::from(manager).take(LONGEST as u64).read_to_string(&mut whose)?;
        if whose != namespace {
            return Err(AskError::Elsewhere);
        }
        for (place, name) in ANSWERS.iter().enumerate() {
            let answers = own_pipe(&folder, name, OFlag::O_RDONLY).map_err(gone)?;
            match answers.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // What those who asked before did not wait for.
            empty(&answers);
            let answers = pipe::Receiver::from_owned_fd(answers.into())?;
            return Ok(Asking { requests, answers, place });
        }
        Err(AskError::Busy)
    }

    /// Ask, and wait for the answer. `id` tells this request from others.
    ///
    /// # Errors
    /// Where the manager goes away meanwhile.
    pub async fn ask(mut self, id: &str, wanted: &str) -> Result<Answer, AskError> {
        self.requests.write_all(format!("{} {id} {wanted}\n", self.place).as_bytes())?;
        let (mut bytes, mut line) = ([0; LONGEST], Vec::new());
        loop {
            let read = self.answers.read(&mut bytes).await?;
            if read == 0 {
                return Ok(Err("the manager has ended meanwhile".into()));
            }
            for byte in &bytes[..read] {
                if *byte != b'\n' {
                    line.push(*byte);
                    continue;
                }
                let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                let mut words = text.splitn(3, ' ');
                let (to, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let words = words.next().unwrap_or_default().to_owned();
                if to == id || to == ALL {
                    return Ok(if status == "0" { Ok(words) } else { Err(words) });
                }
            }
        }
    }
}

/// Why the folder does not open.
fn unreached(error: io::Error) -> AskError {
    match error.kind() {
        io::ErrorKind::NotFound => AskError::Nobody,
        // It is another user's, and nobody else may look into it.
        io::ErrorKind::PermissionDenied => AskError::Foreign,
        _ => AskError::Failed(error),
    }
}

/// Read what is in a pipe, which waits for nobody.
fn empty(mut pipe: &File) {
    let mut stale = [0; LONGEST];
    while pipe.read(&mut stale).is_ok_and(|read| read > 0) {}
}

/// That of this process; nothing where the kernel does not tell.
fn mount_namespace() -> String {
    let name = std::fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The folder, no link, where it belongs to this user alone; `None` where it does not.
fn own_folder(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let folder = match nix::fcntl::open(path, flags, Mode::empty()) {
        Ok(folder) => File::from(folder),
        // A link, or no folder.
        Err(Errno::ELOOP | Errno::ENOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let meta = folder.metadata()?;
    let own = meta.uid() == geteuid().as_raw() && meta.mode() & 0o077 == 0;
    Ok(own.then_some(folder))
}

/// A pipe of the folder, no link, of this user's. Opening it waits for nobody.
fn own_pipe(folder: &File, name: &str, way: OFlag) -> io::Result<File> {
    let flags = way | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let pipe = File::from(openat(folder, name, flags, Mode::empty())?);
    let meta = pipe.metadata()?;
    if !meta.file_type().is_fifo() || meta.uid() != geteuid().as_raw() {
        return Err(io::Error::other(format!("{name} is not the manager's own pipe")));
    }
    Ok(pipe)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn pod(pods: &Pods, id: &str, name: &str) -> (Entry, UnboundedReceiver<Message>) {
        let (to, asked) = unbounded_channel();
        (pods.enter(id, name, to), asked)
    }

    /// Answers all requests with the component's name.
    fn echo(mut asked: UnboundedReceiver<Message>) {
        tokio::spawn(async move {
            while let Some(Message::Asked(Request { name, answer })) = asked.recv().await {
                let _ = answer.send(if name == "bad" { Err("it\nfails".into()) } else { Ok(name) });
            }
        });
    }

    #[tokio::test]
    async fn a_request_reaches_the_pod_and_its_answer_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("line");
        assert!(matches!(Asking::open(&path), Err(AskError::Nobody)), "nobody has made it");
        let pods = Pods::default();
        let (entry, asked) = pod(&pods, "0123456789abcdef", "web.1");
        echo(asked);
        let serving = tokio::spawn(RequestLine::open(&path).expect("a line").serve(pods.clone()));
        let ask = async |wanted: &str| {
            Asking::open(&path).expect("it opens").ask("7", wanted).await.expect("asked")
        };
        assert_eq!(ask("app").await, Ok("app".into()));
        assert_eq!(ask("web.1/app").await, Ok("app".into()));
        assert_eq!(ask("web/app").await, Ok("app".into()), "the service's name");
        assert_eq!(ask("bad").await, Err("it fails".into()));
        assert_eq!(ask("wen.1/app").await, Err("there is no pod `wen.1` here: did you mean `web.1`?".into()));
        let other = pod(&pods, "fedcba9876543210", "web.2");
        assert_eq!(ask("web/app").await, Err("`web` may be any of web.1, web.2: name one".into()));
        let several = "this manager runs several pods: name one, such as `web.1/app`";
        assert_eq!(ask("app").await, Err(several.into()));
        drop(other);
        drop(entry);
        assert_eq!(ask("app").await, Err("this manager runs no pod now".into()));

        let others = ANSWERS.map(|_| Asking::open(&path).expect("it opens"));
        assert!(matches!(Asking::open(&path), Err(AskError::Busy)));
        drop(others);
        serving.abort();
        assert!(serving.await.is_err(), "it was broken off");
        assert!(matches!(Asking::open(&path), Err(AskError::Nobody)), "who has made it is gone");
    }

    #[tokio::test]
    async fn who_asks_hears_of_the_end_of_the_manager_and_of_the_next_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("line");
        let line = RequestLine::open(&path).expect("a line");
        let asking = Asking::open(&path).expect("it opens");
        let asked = tokio::spawn(asking.ask("7", "app"));
        tokio::task::yield_now().await;
        drop(line);
        let answer = asked.await.expect("no panic").expect("an answer");
        assert_eq!(answer, Err("the manager has ended meanwhile".into()));

        let line = RequestLine::open(&path).expect("a line");
        let asking = Asking::open(&path).expect("it opens");
        let asked = tokio::spawn(asking.ask("8", "app"));
        tokio::task::yield_now().await;
        // The asking side looks when the next one is there already.
        drop(line);
        let next = RequestLine::open(&path).expect("the next manager's");
        let answer = asked.await.expect("no panic").expect("an answer");
        assert_eq!(answer, Err("the manager was started again meanwhile: ask once more".into()));
        drop(next);
    }

    #[tokio::test]
    async fn one_who_waits_for_ever_keeps_nobody_else_from_asking() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("line");
        let pods = Pods::default();
        let (_entry, mut asked) = pod(&pods, "0123456789abcdef", "web.1");
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Some(Message::Asked(Request { name, answer })) = asked.recv().await {
                match name.as_str() {
                    "slow" => unanswered.push(answer),
                    _ => _ = answer.send(Ok(name)),
                }
            }
        });
        tokio::spawn(RequestLine::open(&path).expect("a line").serve(pods.clone()));
        let slow = tokio::spawn(Asking::open(&path).expect("it opens").ask("1", "slow"));
        tokio::task::yield_now().await;
        // Nobody reads what is another's, whoever reads first.
        let two = [("2", "app"), ("3", "db")]
            .map(|(id, name)| tokio::spawn(Asking::open(&path).expect("another one asks").ask(id, name)));
        for (asked, name) in two.into_iter().zip(["app", "db"]) {
            let answer = tokio::time::timeout(std::time::Duration::from_secs(10), asked).await;
            let answer = answer.expect("it is answered").expect("no panic").expect("asked");
            assert_eq!(answer, Ok(name.to_owned()));
        }
        assert!(!slow.is_finished());
        slow.abort();
    }

    #[tokio::test]
    async fn of_managers_that_share_one_folder_the_first_takes_requests_of_its_own_container_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("line");
        let first = RequestLine::open_in(&path, "mnt:[1]").expect("a line");
        let refused = RequestLine::open_in(&path, "mnt:[2]").err().expect("it is taken").to_string();
        assert!(refused.starts_with("another manager takes requests there: "), "{refused}");
        assert!(Asking::open_in(&path, "mnt:[1]").is_ok(), "the second one has left everything as it was");
        assert!(matches!(Asking::open_in(&path, "mnt:[2]"), Err(AskError::Elsewhere)));
        drop(first);
        assert!(matches!(Asking::open_in(&path, "mnt:[2]"), Err(AskError::Nobody)));
        let _second = RequestLine::open_in(&path, "mnt:[2]").expect("who died holds nothing");
        assert!(Asking::open_in(&path, "mnt:[2]").is_ok());
        assert!(mount_namespace().starts_with("mnt:["), "{}", mount_namespace());
    }

    #[test]
    fn who_may_not_look_into_the_folder_is_told_as_whom_to_ask() {
        let words = unreached(io::ErrorKind::PermissionDenied.into()).to_string();
        assert_eq!(
            words,
            "/dev/shm/.tandem-requests is not this user's own: run it as the user of the container (`docker exec` \
             without `-u`), or remove what somebody put there"
        );
        assert!(matches!(unreached(io::ErrorKind::NotFound.into()), AskError::Nobody));
    }

    #[tokio::test]
    async fn what_others_have_put_there_is_neither_followed_nor_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("own");
        drop(RequestLine::open(&own).expect("a line"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&own, &link).expect("a link");
        let file = folder.path().join("file");
        File::create(&file).expect("a file");
        let open = folder.path().join("open");
        mkdir(&open, Mode::S_IRWXU).expect("a folder");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&open, mode).expect("open to all");
        for path in [link, file, open] {
            assert!(RequestLine::open(&path).is_err(), "{}", path.display());
            assert!(matches!(Asking::open(&path), Err(AskError::Foreign)), "{}", path.display());
        }
        let planted = folder.path().join("planted");
        mkdir(&planted, Mode::S_IRWXU).expect("a folder");
        std::os::unix::fs::symlink(own.join(REQUESTS), planted.join(REQUESTS)).expect("a link");
        File::create(planted.join(ANSWERS[0])).expect("a file");
        assert!(RequestLine::open(&planted).is_err());
        assert!(matches!(Asking::open(&planted), Err(AskError::Failed(_))));
    }
}
