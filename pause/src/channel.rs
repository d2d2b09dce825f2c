//! The control channel as pause has it: bytes -> frames -> events, and log text to the outputs.
//!
//! While text waits for room in an output, the channel is not read, which holds up its writer and nobody
//! else.
#![forbid(unsafe_code)]

use core::ops::Range;

use pause::control::{Decoder, Frame, Malformed};
use pause::errno::Errno;
use pause::step::Event;

use crate::log::{self, Log};
use crate::sys::{self, Fd, Poll};

/// Who may write to the channel, which says what it may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// A manager outside, through standard input.
    Outside,
    /// The child.
    Child,
}

/// Descriptors that lead where standard output and standard error lead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outputs {
    pub(crate) out: i32,
    pub(crate) err: i32,
}

/// The memory that a channel needs. It is the program's largest piece, so it stays where it was made.
#[derive(Debug)]
pub(crate) struct Buffers {
    decoder: Decoder,
    chunk: [u8; 1024],
}

impl Buffers {
    pub(crate) const fn new() -> Self {
        Self { decoder: Decoder::new(), chunk: [0; 1024] }
    }
}

/// The channel.
#[derive(Debug)]
pub(crate) struct Channel<'b> {
    source: Option<Fd>,
    writer: Writer,
    /// It has come to its end, and that was not told yet.
    ended: bool,
    buffers: &'b mut Buffers,
    /// What of the chunk is still to be decoded.
    unread: Range<usize>,
    outputs: Outputs,
    pending: Option<Pending>,
    /// The last frame was bad, and that was said.
    complained: bool,
}

/// Text of the decoder that waits for room.
#[derive(Debug)]
struct Pending {
    output: i32,
    written: usize,
}

impl<'b> Channel<'b> {
    /// A channel that nobody writes to yet.
    pub(crate) const fn new(writer: Writer, outputs: Outputs, buffers: &'b mut Buffers) -> Self {
        Self {
            source: None,
            writer,
            ended: false,
            buffers,
            unread: 0..0,
            outputs,
            pending: None,
            complained: false,
        }
    }

    /// Reads from this from now on. What an earlier writer left half done ends at the next one's first zero
    /// byte.
    pub(crate) fn open(&mut self, source: Fd) {
        self.source = Some(source);
    }

    /// Reads no more.
    pub(crate) fn close(&mut self) {
        self.source = None;
        self.ended = false;
        self.unread = 0..0;
    }

    /// What to wait for before [`Channel::fill`].
    pub(crate) const fn poll_source(&self) -> Poll {
        match &self.source {
            Some(source) if self.pending.is_none() => Poll::input(source),
            _ => Poll::NONE,
        }
    }

    /// What to wait for before [`Channel::flush`].
    pub(crate) const fn poll_output(&self) -> Poll {
        match &self.pending {
            Some(pending) => Poll::output(pending.output),
            None => Poll::NONE,
        }
    }

    /// Reads once. False: there is nothing more to read now.
    pub(crate) fn fill(&mut self) -> bool {
        let Some(source) = &self.source else { return false };
        match sys::read(source.raw(), &mut self.buffers.chunk) {
            Ok(len @ 1..) => {
                self.unread = 0..len;
                return true;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => {
                self.source = None;
                self.ended = true;
            }
        }
        false
    }

    /// Writes text that waits, once, as far as there is room.
    pub(crate) fn flush(&mut self) {
        let Some(pending) = &mut self.pending else { return };
        let rest = self.buffers.decoder.text().get(pending.written..).unwrap_or_default();
        match sys::write(pending.output, rest) {
            Ok(written) if written < rest.len() => pending.written += written,
            Err(Errno::AGAIN | Errno::INTR) => {}
            // All is written; or nobody will ever read it: then it is dropped, which a writer to a closed
            // output has to expect.
            Ok(_) | Err(_) => self.pending = None,
        }
    }

    /// The next event of what was read. `None`: more has to be read, or written, first.
    pub(crate) fn next(&mut self) -> Option<Event> {
        while self.pending.is_none() {
            let mut unread = self.buffers.chunk.get(self.unread.clone()).unwrap_or_default();
            let frame = self.buffers.decoder.next(&mut unread);
            self.unread.start = self.unread.end - unread.len();
            let frame = match frame {
                None => return core::mem::take(&mut self.ended).then_some(Event::ChannelClosed),
                Some(frame) => frame,
            };
            match (frame, self.writer) {
                (Ok(Frame::Health(health)), _) => return self.good(Event::Health(health)),
                (Ok(Frame::Exit(status)), _) => return self.good(Event::Exit(status)),
                (Ok(Frame::Hold(secs)), _) => return self.good(Event::Hold(secs)),
                (Ok(Frame::CloseListener), Writer::Child) => return self.good(Event::CloseListener),
                (Ok(Frame::Out(_)), Writer::Outside) => self.relay(self.outputs.out),
                (Ok(Frame::Err(_)), Writer::Outside) => self.relay(self.outputs.err),
                // A child has outputs of its own and its signals forwarded; a bare pause listens for nobody.
                (Ok(_), _) => self.complain(Malformed::Unknown),
                (Err(why), _) => self.complain(why),
            }
        }
        None
    }

    fn good(&mut self, event: Event) -> Option<Event> {
        self.complained = false;
        Some(event)
    }

    fn relay(&mut self, output: i32) {
        self.complained = false;
        self.pending = Some(Pending { output, written: 0 });
    }

    /// Once per run of bad frames: their writer may be mad, and the log is the user's.
    fn complain(&mut self, why: Malformed) {
        if !core::mem::replace(&mut self.complained, true) {
            let mut line = log::line();
            line.text("dropped a control frame: ").text(why.text());
            Log::to(self.outputs.err).say(&mut line);
        }
    }
}
