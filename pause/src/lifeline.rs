//! What ties a sandbox to its task container: an abstract socket in the network namespace that both share.
//! The kernel closes every end when its process ends, however that comes, so neither has to be told. It
//! carries no data.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use pause::env::LIFELINE_PREFIX;
use pause::step::Event;

use crate::sys::{self, Fd, Poll, Result};

/// One end of the tie.
#[derive(Debug)]
pub(crate) enum Lifeline {
    /// There is none, or no more.
    None,
    /// A sandbox may connect. The first one closes the door behind it: nobody else in the network namespace
    /// gets in.
    Listening(Fd),
    /// A sandbox lives as long as this is open.
    Holding(Fd),
    /// This is a sandbox: it lives as long as the other end is open.
    Tied(Fd),
}

/// What the child's environment says of the lifeline: `TANDEM_LIFELINE=` and the name of the abstract socket.
/// The rest is zero bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry([u8; Self::SIZE]);

impl Entry {
    /// Autobind's names have 5 bytes (`unix(7)`).
    const SIZE: usize = LIFELINE_PREFIX.len() + 5 + 1;

    /// Without a name.
    pub(crate) const EMPTY: Self = Self([0; Self::SIZE]);

    pub(crate) const fn as_bytes_with_nul(&self) -> &[u8] {
        &self.0
    }
}

impl Lifeline {
    /// Lets one sandbox connect.
    pub(crate) fn listen(entry: &mut Entry) -> Result<Self> {
        let mut name = [0; 5];
        let listener = sys::listen(&mut name)?;
        for (place, byte) in entry.0.iter_mut().zip(LIFELINE_PREFIX.iter().chain(&name)) {
            *place = *byte;
        }
        Ok(Self::Listening(listener))
    }

    /// Ties this sandbox to the task container that listens on this name.
    pub(crate) fn tie(name: &CStr) -> Result<Self> {
        sys::connect(name).map(Self::Tied)
    }

    /// What to wait for.
    pub(crate) const fn poll(&self) -> Poll {
        match self {
            Self::None => Poll::NONE,
            Self::Listening(listener) => Poll::input(listener),
            Self::Holding(end) | Self::Tied(end) => Poll::hang_up(end),
        }
    }

    /// Acts on what was waited for.
    pub(crate) fn ready(&mut self) -> Option<Event> {
        match self {
            Self::None => {}
            Self::Listening(listener) => {
                // Whoever came may be gone again: then the next one may come.
                if let Ok(end) = sys::accept(listener) {
                    *self = Self::Holding(end);
                }
            }
            Self::Holding(_) => *self = Self::None,
            Self::Tied(_) => {
                *self = Self::None;
                return Some(Event::LifelineGone);
            }
        }
        None
    }

    /// No sandbox will come. One that came stays.
    pub(crate) fn close_listener(&mut self) {
        if let Self::Listening(_) = self {
            *self = Self::None;
        }
    }
}
