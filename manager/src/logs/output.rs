//! Standard output and error, written by a thread each, so that a reader who does not read never stops
//! the loop: a stop is answered at once all the same.
//!
//! Components' lines wait for room, as they would in front of the log driver itself: until the pod ends. A
//! component whose output nobody takes cannot end (the engine waits for it), so from then on lines for a
//! stream that stands still are dropped. The manager's own lines never wait: they are collected while the
//! writer is busy, so that a burst (an agent that takes up a hundred pods) is no loss; beyond that they are
//! dropped, and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{Instrument, Level, warn};
use tracing_subscriber::fmt::MakeWriter;

use crate::logs::json::json_line;
use crate::pause_channel::remote::RemotePause;
use engine::demux::Stream;

/// Longest line that is put out whole, bytes.
pub const MAX_LINE: usize = 2 * 1024 * 1024;
/// Blocks of output that may wait for a stream's reader. A block is what one read of the engine brought,
/// tens of KiB, or one line of at most 2 MiB.
const WAITING: usize = 8;
/// Bytes of output that may wait for a stream's reader: what so many of the longest lines take as text. JSON makes up to
/// six bytes of one.
const WAITING_BYTES: usize = WAITING * MAX_LINE;
/// The manager's own lines that may wait, bytes: what an agent says while it takes up a few hundred pods.
const OWN_LOG_BUFFER: usize = 1024 * 1024;
/// How long a block waits for room once the pod ends. A reader that reads steadily may be behind for a second:
/// what lies between, the engine and `docker run`, passes output on in bursts.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Both streams. Clones write to the same ones.
#[derive(Clone, Default)]
pub struct Output {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queues: OnceLock<[mpsc::Sender<Message>; 2]>,
    own: OwnLines,
    /// Bytes of components' lines for which there is room, of each stream.
    room: [Room; 2],
    dropped: AtomicU64,
    /// The pod ends: output no longer waits for readers who do not read.
    ending: watch::Sender<bool>,
    /// A block for this stream found no room in time, and none since did.
    stuck: [AtomicBool; 2],
    /// How components' lines are written.
    form: OnceLock<Form>,
    /// The pod whose manager writes here, where it runs one only.
    pod: Mutex<Option<String>>,
}

/// Room for blocks that wait, in bytes.
struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Room(Arc::new(Semaphore::new(WAITING_BYTES)))
    }
}

impl Room {
    /// Wait for room for so many bytes. A block that is larger than all of it waits until nothing else is there.
    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes.min(WAITING_BYTES)).unwrap_or(u32::MAX);
        // Nobody closes it.
        Arc::clone(&self.0).acquire_many_owned(bytes).await.ok()
    }
}

/// How a component's line is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// `[out] app: line`.
    #[default]
    Text,
    /// The same with a coloured prefix.
    Color,
    /// `{"component":"app","stream":"out","line":"line"}`.
    Json,
}

/// The manager's own lines that its writer has not taken yet.
type OwnLines = Arc<Mutex<Vec<u8>>>;

fn waiting(own: &OwnLines) -> std::sync::MutexGuard<'_, Vec<u8>> {
    // Whole lines are appended: what a panic left is as good as before.
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Message {
    /// With its share of the room, which is free again once it is written.
    Block(Vec<u8>, Option<OwnedSemaphorePermit>),
    /// There are lines of our own; they are taken with every message.
    Own,
    Flush(oneshot::Sender<()>),
}

/// Collects one line of the manager's own log.
pub struct OwnLine {
    output: Output,
    line: Vec<u8>,
}

impl Output {
    /// Start the threads. Until then the manager's own lines are written directly; a process that gives
    /// up privileges must do so while it has one thread.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(&self) -> io::Result<()> {
        let queues = [
            writer("stdout", io::stdout(), OwnLines::default())?,
            writer("stderr", io::stderr(), Arc::clone(&self.shared.own))?,
        ];
        // A second start finds the first one's threads; its own end with their queues.
        let _ = self.shared.queues.set(queues);
        Ok(())
    }

    /// Write components' lines in this form from now on.
    pub fn in_form(self, form: Form) -> Self {
        // Chosen once, before there is a component.
        let _ = self.shared.form.set(form);
        self
    }

    /// How components' lines are written.
    pub fn form(&self) -> Form {
        self.shared.form.get().copied().unwrap_or_default()
    }

    /// The pod whose manager writes here.
    pub fn name_pod(&self, name: &str) {
        *self.shared.pod.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
    }

    /// The pod whose manager writes here, once it is known, and where it is one only.
    pub fn pod(&self) -> Option<String> {
        self.shared.pod.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The streams of the `pause` at the other end of this line.
    pub fn through(line: &RemotePause) -> Output {
        let relay = |stream| {
            let (queue, mut messages) = mpsc::channel(WAITING);
            let line = line.clone();
            let relayed = async move {
                while let Some(message) = messages.recv().await {
                    match message {
                        Message::Block(block, _room) => {
                            if line.text(stream, block).await.is_err() {
                                // Nobody is there: dropping the queue tells the writers.
                                return;
                            }
                        }
                        // Its own lines are written here, not there.
                        Message::Own => {}
                        Message::Flush(done) => {
                            let _ = done.send(());
                        }
                    }
                }
            };
            tokio::spawn(relayed.in_current_span());
            queue
        };
        let output = Output::default();
        let _ = output.shared.queues.set([relay(Stream::Out), relay(Stream::Err)]);
        output
    }

    /// The pod ends: from now on no block waits long for room.
    pub fn ending(&self) {
        self.shared.ending.send_replace(true);
    }

    /// A new run of the pod begins: blocks wait for room again, as before the end of the last one.
    pub fn begin(&self) {
        self.shared.ending.send_replace(false);
        self.shared.stuck.iter().for_each(|stuck| stuck.store(false, Ordering::Relaxed));
    }

    /// Write a block, waiting for room; once the pod ends, not for long.
    ///
    /// # Errors
    /// When nobody will ever read it.
    pub async fn write(&self, stream: Stream, block: Vec<u8>) -> io::Result<()> {
        if block.is_empty() {
            return Ok(());
        }
        let queue = self.queue(stream).ok_or(io::ErrorKind::NotConnected)?;
        let stuck = &self.shared.stuck[stream as usize];
        let mut ending = self.shared.ending.subscribe();
        let no_room = async {
            // The sender lives as long as we do.
            let _ = ending.wait_for(|ending| *ending).await;
            if !stuck.load(Ordering::Relaxed) {
                sleep(WRITE_TIMEOUT).await;
            }
        };
        let sent = async {
            let room = self.shared.room[stream as usize].take(block.len()).await;
            queue.send(Message::Block(block, room)).await
        };
        tokio::select! {
            biased;
            sent = sent => {
                stuck.store(false, Ordering::Relaxed);
                sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
            () = no_room => {
                if !stuck.swap(true, Ordering::Relaxed) {
                    warn!("{stream} is not read fast enough: output of components is dropped, so that the pod can end");
                }
                Ok(())
            }
        }
    }

    /// Wait until everything is written, at most this long.
    pub async fn finish(&self, limit: Duration) {
        let flush = async {
            for stream in [Stream::Out, Stream::Err] {
                let (done, wait) = oneshot::channel();
                if let Some(queue) = self.queue(stream)
                    && queue.send(Message::Flush(done)).await.is_ok()
                {
                    let _ = wait.await;
                }
            }
        };
        // Where nobody reads there is nobody to tell.
        let _ = timeout(limit, flush).await;
    }

    fn queue(&self, stream: Stream) -> Option<&mpsc::Sender<Message>> {
        let [out, err] = self.shared.queues.get()?;
        Some(match stream {
            Stream::Out => out,
            Stream::Err => err,
        })
    }

    /// One of the manager's own lines.
    fn say(&self, line: Vec<u8>) {
        let Some(queue) = self.queue(Stream::Err) else {
            let _ = io::stderr().write_all(&line);
            return;
        };
        let mut own = waiting(&self.shared.own);
        if own.len() + line.len() > OWN_LOG_BUFFER {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let first = own.is_empty();
        let dropped = self.shared.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let note = format!("{dropped} lines of the manager were dropped: standard error was not read");
            let note = match self.form() {
                Form::Json => json_line(Level::WARN, &note),
                Form::Text | Form::Color => note + "\n",
            };
            own.extend_from_slice(note.as_bytes());
        }
        own.extend_from_slice(&line);
        drop(own);
        if first {
            // Where the queue is full, what is in it comes after this, and takes the lines along.
            let _ = queue.try_send(Message::Own);
        }
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = OwnLine;

    fn make_writer(&'a self) -> OwnLine {
        OwnLine { output: self.clone(), line: Vec::new() }
    }
}

impl Write for OwnLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OwnLine {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.output.say(std::mem::take(&mut self.line));
        }
    }
}

/// A thread that writes what comes through the queue, until it cannot.
fn writer(
    name: &str,
    mut to: impl Write + Send + 'static,
    own: OwnLines,
) -> io::Result<mpsc::Sender<Message>> {
    let (queue, mut blocks) = mpsc::channel(WAITING);
    // It calls nothing deep: the default of 2 MiB would only look alarming.
    thread::Builder::new().name(name.to_owned()).stack_size(64 * 1024).spawn(move || {
        while let Some(message) = blocks.blocking_recv() {
            let lines = std::mem::take(&mut *waiting(&own));
            let block = if let Message::Block(block, _) = &message { block.as_slice() } else { &[] };
            let written = to.write_all(&lines).and_then(|()| to.write_all(block)).and_then(|()| to.flush());
            if written.is_err() {
                // Closed for good: dropping the queue tells the writers.
                return;
            }
            if let Message::Flush(done) = message {
                let _ = done.send(());
            }
        }
    })?;
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc as std_mpsc;

    /// A reader that does not read until it is let.
    struct Stuck(std_mpsc::Receiver<()>, Arc<AtomicU64>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn own_lines_never_wait_for_a_stuck_reader_and_are_counted() {
        let (release, stuck) = std_mpsc::channel();
        let written = Arc::new(AtomicU64::new(0));
        let output = Output::default();
        let stderr = writer("test", Stuck(stuck, Arc::clone(&written)), Arc::clone(&output.shared.own));
        let stdout = writer("test", io::sink(), OwnLines::default());
        let queues = [stdout.expect("a thread"), stderr.expect("a thread")];
        assert!(output.shared.queues.set(queues).is_ok());
        // Once the writer has taken a line it stands still, and there is only room for what is to wait.
        output.say(b"line\n".to_vec());
        let taken = async {
            while !waiting(&output.shared.own).is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), taken).await.expect("the writer takes a line");
        let line = [b'x'; 1024];
        let room = OWN_LOG_BUFFER / line.len();
        for _ in 0..room {
            output.say(line.to_vec());
        }
        assert_eq!(output.shared.dropped.load(Ordering::Relaxed), 0, "a burst is no loss");
        for _ in 0..100 {
            output.say(line.to_vec());
        }
        assert_eq!(output.shared.dropped.load(Ordering::Relaxed), 100);
        drop(release);
        output.finish(Duration::from_secs(10)).await;
        let before = 5 + OWN_LOG_BUFFER as u64;
        assert_eq!(written.load(Ordering::SeqCst), before);
        output.say(b"line\n".to_vec());
        output.finish(Duration::from_secs(10)).await;
        assert!(written.load(Ordering::SeqCst) > before + 5, "the note about dropped lines is missing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_waits_for_a_stuck_reader_until_the_pod_ends_and_then_not_for_long() {
        // Nobody takes anything out of this queue.
        let (stdout, _stuck) = mpsc::channel(1);
        let (stderr, mut read) = mpsc::channel(1);
        let output = Output::default();
        assert!(output.shared.queues.set([stdout, stderr]).is_ok());
        output.write(Stream::Out, b"fits".to_vec()).await.expect("there is room");
        let waiting = output.write(Stream::Out, b"waits".to_vec());
        assert!(timeout(Duration::from_secs(3600), waiting).await.is_err(), "it waits while the pod runs");

        let began = tokio::time::Instant::now();
        let (ended, _) = tokio::join!(output.write(Stream::Out, b"begun before".to_vec()), async {
            output.ending();
        });
        ended.expect("dropped");
        assert_eq!(began.elapsed(), WRITE_TIMEOUT, "a block that waits already is let go too");
        for _ in 0..1000 {
            output.write(Stream::Out, b"more".to_vec()).await.expect("dropped");
        }
        assert_eq!(began.elapsed(), WRITE_TIMEOUT, "a stream that stands still is not waited for again");

        // The other stream is read, slowly: it loses nothing.
        let reader = async {
            let mut blocks = 0;
            while let Some(Message::Block(..)) = read.recv().await {
                sleep(WRITE_TIMEOUT / 2).await;
                blocks += 1;
                if blocks == 20 {
                    break;
                }
            }
            blocks
        };
        let writer = async {
            for _ in 0..20 {
                output.write(Stream::Err, b"line".to_vec()).await.expect("read");
            }
        };
        assert_eq!(tokio::join!(reader, writer).0, 20);

        output.begin();
        let waiting = output.write(Stream::Out, b"waits".to_vec());
        assert!(timeout(Duration::from_secs(3600), waiting).await.is_err(), "so it does in the next run");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_bounded_by_its_bytes_too() {
        let (stdout, mut read) = mpsc::channel(WAITING);
        let (stderr, _stuck) = mpsc::channel(WAITING);
        let output = Output::default();
        assert!(output.shared.queues.set([stdout, stderr]).is_ok());
        // As JSON makes of a line of control characters; and one that is larger than all the room.
        let (large, huge) = (6 * MAX_LINE, WAITING_BYTES + 1);
        output.write(Stream::Out, vec![b'x'; large]).await.expect("there is room");
        let more = timeout(Duration::from_secs(60), output.write(Stream::Out, vec![b'x'; large]));
        assert!(more.await.is_err(), "two have no room");
        for _ in 0..WAITING {
            output.write(Stream::Err, vec![b'x'; MAX_LINE]).await.expect("text has the room that it had");
        }
        let read = async {
            for want in [large, huge, large] {
                sleep(Duration::from_secs(1)).await;
                let Some(Message::Block(block, _room)) = read.recv().await else { panic!("no block") };
                assert_eq!(block.len(), want);
            }
        };
        let write = async {
            for bytes in [huge, large] {
                output.write(Stream::Out, vec![b'x'; bytes]).await.expect("it is read");
            }
        };
        let both = async { tokio::join!(read, write) };
        timeout(Duration::from_secs(60), both).await.expect("what is taken makes room, also for the largest");
    }

    #[tokio::test]
    async fn a_closed_stream_is_an_error_and_no_hang() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let output = Output::default();
        let closed = || writer("test", Closed, OwnLines::default()).expect("a thread");
        assert!(output.shared.queues.set([closed(), closed()]).is_ok());
        let mut result = Ok(());
        for _ in 0..WAITING + 2 {
            result = output.write(Stream::Out, b"x".to_vec()).await;
        }
        assert_eq!(result.map_err(|error| error.kind()), Err(io::ErrorKind::BrokenPipe));
    }
}
