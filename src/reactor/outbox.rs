//! The bytes of small writes that have not been sent yet.

use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard};

use rustix::io::Errno;

use super::lock;
use super::sys::unsent_bytes;
use crate::waker_slot::WakerSlot;

/// The largest number of bytes in one outbox.
pub(super) const MAX_OUTBOX_BYTES: usize = 64 * 1024;
/// The largest number of bytes in a write that is gathered. To send more costs less than to copy
/// it.
pub(super) const MAX_GATHERED_BYTES: usize = 16 * 1024;
/// The largest number of buffers that a thread keeps for its next outboxes.
const MAX_SPARE_BUFFERS: usize = 4;

thread_local! {
    /// Empty buffers for outboxes.
    static SPARE_BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The outbox of a source. [`flush`](super::flush) has the operations.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    contents: Mutex<Contents>,
    /// The writing task, which waits until the outbox is empty.
    pub(super) writer: WakerSlot,
    /// The task that ends the stream, which waits for the same. Another task may still have the
    /// writer.
    pub(super) end: WakerSlot,
}

#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) bytes: Vec<u8>,
    /// The number of bytes at the beginning that have been sent.
    pub(super) sent: usize,
    pub(super) flushing: Flushing,
    /// The error of bytes that were taken in and lost. The source stays `CORKED` until a call
    /// returns the error.
    pub(super) error: Option<Errno>,
}

/// The state of sending. One call sends at a time. Its waker may be called while that call polls,
/// and does not send then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flushing {
    #[default]
    Idle,
    /// A call sends.
    Active,
    /// The call that sends was woken meanwhile, and tries again.
    Repeat,
    /// Sending goes on when the socket turns writable.
    WaitsForRoom,
}

/// A task that waits for an empty outbox. Each kind has a place of its own, as a new waker
/// replaces the one before it.
#[derive(Clone, Copy, Debug)]
pub(super) enum FlushWaiter {
    Writer,
    End,
}

impl Outbox {
    pub(super) fn contents(&self) -> MutexGuard<'_, Contents> {
        lock(&self.contents)
    }

    /// Returns the number of bytes that the peer has not acknowledged, in the outbox and in the
    /// kernel.
    pub(super) fn unsent_bytes(&self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // Asked under the lock, so that no byte is on its way from the outbox to the kernel.
        let contents = self.contents();
        Ok(contents.unsent_len() + unsent_bytes(socket)?)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.contents().bytes.capacity()
    }
}

impl Contents {
    /// Returns the number of bytes to send.
    pub(super) fn unsent_len(&self) -> usize {
        self.bytes.len() - self.sent
    }
}

/// Returns an empty buffer.
pub(super) fn take_buffer() -> Vec<u8> {
    SPARE_BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Keeps a buffer for the next outbox of this thread, or drops it.
pub(super) fn recycle(mut buffer: Vec<u8>) {
    buffer.clear();
    // While the thread ends, its spare buffers are gone already.
    let _ = SPARE_BUFFERS.try_with(|buffers| {
        let mut buffers = buffers.borrow_mut();
        if buffers.len() < MAX_SPARE_BUFFERS {
            buffers.push(buffer);
        }
    });
}
