//! The flags of a connection, in two bytes.

use std::sync::atomic::{AtomicU16, Ordering};

/// A flag of a connection.
#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub(crate) enum Flag {
    /// The address of the real client is not set yet.
    Anonymous = 1,
    /// The connection is counted in the account of its source.
    SourceCounted = 1 << 1,
    /// The end of input was read.
    Eof = 1 << 2,
    /// `read_or_drain` has returned the end because of a drain.
    Drained = 1 << 3,
    /// The handler and its halves are dropped, and the stream is being closed.
    Closing = 1 << 4,
    /// The server is about to end: a close does not wait for the peer any more.
    SkipLinger = 1 << 5,
    /// `read_or_drain` waits for the peer to be idle.
    AwaitingQuiet = 1 << 6,
    /// A check of the deadlines is due.
    DeadlinesDue = 1 << 7,
    /// The last read filled its buffer, so more bytes are likely to be available.
    LastReadFull = 1 << 8,
    /// Other processes may have the socket open, so closing it does not end the stream.
    SharedSocket = 1 << 9,
    /// The link has ended its stream in order.
    LinkEnded = 1 << 10,
    /// A write of the handler is blocked.
    Writing = 1 << 11,
    /// This side has reset the stream.
    Reset = 1 << 12,
    /// Neither direction can end alone.
    NoHalfClose = 1 << 13,
    /// The task sends the queue of a buffered writer while the handler waits.
    HasQueue = 1 << 14,
    /// A read has failed, so a later end of input is an error.
    ReadFailed = 1 << 15,
}

/// The set of flags of a connection.
#[derive(Debug, Default)]
pub(crate) struct Flags(AtomicU16);

impl Flags {
    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.0.load(Ordering::Acquire) & flag as u16 != 0
    }

    /// Returns true if the flag was set before.
    pub(crate) fn set(&self, flag: Flag) -> bool {
        self.0.fetch_or(flag as u16, Ordering::AcqRel) & flag as u16 != 0
    }

    /// Returns true if the flag was set before.
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
