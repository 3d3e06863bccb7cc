//! What most connections never need.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};

use super::DeadlineCheck;
use super::input_wait::InputWait;
use crate::connection::halves::SendQueued;
use crate::connection::{DiscardBudget, Endpoint, Link};
use crate::framing::DEFAULT_FRAME_LIMIT_BYTES;
use crate::time::{AtomicStamp, Sleep, Stamp};
use crate::waiting::Waiting;

pub(in crate::connection) struct ColdState {
    /// Who the peer is, where the one at the other end of the socket speaks for another.
    pub(super) real: OnceLock<Endpoint>,
    /// Handshakes under way, the wait for the real client among them.
    handshakes: AtomicU8,
    /// Dropped at the end: who still holds the peer must not hold the stream open.
    link: Mutex<Option<Arc<dyn Link>>>,
    /// Halves that are no socket of our own, and whose type is hidden.
    pub(in crate::connection) reader: BoxSlot<dyn AsyncRead + Send + Unpin>,
    pub(in crate::connection) writer: BoxSlot<dyn AsyncWrite + Send + Unpin>,
    /// The connection's task, where it is not reached through its reader.
    pub(super) task: Waiting,
    /// Since when a write waits for the peer; `NEVER` while none does.
    pub(super) blocked: AtomicStamp,
    /// How long writes waited before that, in nanoseconds.
    pub(super) blocked_before: AtomicU64,
    /// How long the handler has waited for more.
    pub(super) input_wait: InputWait,
    /// Who looks after the deadlines.
    pub(super) deadlines: BoxSlot<dyn DeadlineCheck>,
    /// How long `read_or_drain` still waits for the peer.
    pub(in crate::connection) quiet: BoxSlot<Sleep>,
    /// Sends what a writer keeps.
    pub(in crate::connection) queue: BoxSlot<dyn SendQueued>,
    /// What writers have kept and never sent, in bytes.
    pub(in crate::connection) dropped: AtomicU64,
    /// What a frame may hold at most, in bytes.
    pub(in crate::connection) frame_limit: AtomicUsize,
    /// What a lingering close of a socket has read.
    pub(in crate::connection) discard: DiscardBudget,
    /// What the kernel had yet to send when a close last looked, in bytes.
    pub(in crate::connection) unsent: AtomicUsize,
}

impl ColdState {
    pub(super) fn link(&self) -> MutexGuard<'_, Option<Arc<dyn Link>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::connection) fn begin_handshake(&self) {
        self.handshakes.fetch_add(1, Ordering::AcqRel);
    }

    pub(in crate::connection) fn end_handshake(&self) {
        self.handshakes.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_shaking(&self) -> bool {
        self.handshakes.load(Ordering::Acquire) > 0
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.get() != Stamp::NEVER
    }

    pub(super) fn blocked_for(&self, now: Stamp) -> Duration {
        let before = Duration::from_nanos(self.blocked_before.load(Ordering::Relaxed));
        before + now.since(self.blocked.get())
    }
}

impl Default for ColdState {
    fn default() -> Self {
        Self {
            real: OnceLock::new(),
            handshakes: AtomicU8::new(0),
            link: Mutex::default(),
            reader: BoxSlot::default(),
            writer: BoxSlot::default(),
            task: Waiting::default(),
            blocked: AtomicStamp::new(Stamp::NEVER),
            blocked_before: AtomicU64::new(0),
            input_wait: InputWait::default(),
            deadlines: BoxSlot::default(),
            quiet: BoxSlot::default(),
            queue: BoxSlot::default(),
            dropped: AtomicU64::new(0),
            frame_limit: AtomicUsize::new(DEFAULT_FRAME_LIMIT_BYTES),
            discard: DiscardBudget::default(),
            unsent: AtomicUsize::new(0),
        }
    }
}

/// A place for something of which one other part has the use.
pub(in crate::connection) struct BoxSlot<T: ?Sized>(Mutex<Option<Box<T>>>);

impl<T: ?Sized> BoxSlot<T> {
    pub(in crate::connection) fn put(&self, value: Box<T>) {
        *self.slot() = Some(value);
    }

    /// Back after its use, unless another one came meanwhile.
    pub(in crate::connection) fn put_back(&self, value: Box<T>) {
        self.slot().get_or_insert(value);
    }

    /// For use, without the lock: what is used may be code of others.
    pub(in crate::connection) fn take(&self) -> Option<Box<T>> {
        self.slot().take()
    }

    pub(in crate::connection) fn is_free(&self) -> bool {
        self.slot().is_none()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Box<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized> Default for BoxSlot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}
