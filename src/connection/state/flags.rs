//! What is so or not so of a connection, in two bytes.

use std::sync::atomic::{AtomicU16, Ordering};

#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub(crate) enum Flag {
    /// The real client is still to be named.
    Anonymous = 1,
    /// It has a place in its source's account.
    SourceCounted = 1 << 1,
    /// The peer's end of input was read.
    Eof = 1 << 2,
    /// `read_or_drain` has told the handler to end.
    Drained = 1 << 3,
    /// The handler and its halves are gone; the stream is being ended.
    Closing = 1 << 4,
    /// The server is about to end: what is closing need not wait for the peer any more.
    SkipLinger = 1 << 5,
    /// `read_or_drain` waits for the peer to be quiet.
    AwaitingQuiet = 1 << 6,
    /// The task is to look at the deadlines.
    DeadlinesDue = 1 << 7,
    /// The last read filled its buffer: more is likely to have come.
    LastReadFull = 1 << 8,
    /// Others have its socket open as well, perhaps: that we close it says nothing to the peer.
    SharedSocket = 1 << 9,
    /// What a link was given for has ended in order.
    LinkEnded = 1 << 10,
    /// The handler is in the middle of a write.
    Writing = 1 << 11,
    /// We have reset the stream.
    Reset = 1 << 12,
    /// Neither direction can end alone.
    NoHalfClose = 1 << 13,
    /// A queue of the writer's is to be sent while the handler waits.
    HasQueue = 1 << 14,
    /// The stream was lost: what looks like the end of input after that is none.
    ReadFailed = 1 << 15,
}

#[derive(Debug, Default)]
pub(crate) struct Flags(AtomicU16);

impl Flags {
    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.0.load(Ordering::Acquire) & flag as u16 != 0
    }

    /// Says whether it was set before.
    pub(crate) fn set(&self, flag: Flag) -> bool {
        self.0.fetch_or(flag as u16, Ordering::AcqRel) & flag as u16 != 0
    }

    /// Says whether it was set before.
    pub(crate) fn clear(&self, flag: Flag) -> bool {
        self.0.fetch_and(!(flag as u16), Ordering::AcqRel) & flag as u16 != 0
    }

    pub(crate) fn put(&self, flag: Flag, on: bool) {
        if on {
            self.set(flag);
        } else {
            self.clear(flag);
        }
    }
}
