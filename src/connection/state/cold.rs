//! State that most connections never use.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use once_cell::race::OnceBox;

use super::input_wait::InputWait;
use super::layers::LayerState;
use super::{Carried, DeadlineCheck, SendQueued};
use crate::connection::{DiscardBudget, Endpoint, Link};
use crate::framing::DEFAULT_FRAME_LIMIT_BYTES;
use crate::time::{AtomicStamp, Sleep, Stamp};
use crate::waker_slot::WakerSlot;

/// State that most connections never use. It is allocated on first use.
pub(in crate::connection) struct ColdState {
    /// The address of the real client, if the peer is a proxy.
    pub(super) real: OnceLock<Endpoint>,
    /// The number of handshakes in progress, including the wait for the real client.
    handshakes: AtomicU8,
    /// The time at which the first of these began; `NEVER` before the accept.
    handshakes_began: AtomicStamp,
    /// Dropped at the end of the connection, so that a `Peer` does not keep the stream open.
    link: Mutex<Option<Arc<dyn Link>>>,
    /// Type-erased halves that are not a socket of this crate.
    pub(in crate::connection) reader: BoxSlot<dyn AsyncRead + Send + Unpin>,
    pub(in crate::connection) writer: BoxSlot<dyn AsyncWrite + Send + Unpin>,
    /// The waker of the connection's task, if that of the reader does not reach it.
    pub(super) task: WakerSlot,
    /// The connection's task waits for a sleep.
    pub(super) asleep: AtomicBool,
    /// The time since which a write waits for the peer; `NEVER` while none waits.
    pub(super) blocked: AtomicStamp,
    /// The total time of earlier waits, in nanoseconds.
    pub(super) blocked_before: AtomicU64,
    /// The time that the handler has waited for more input.
    pub(super) input_wait: InputWait,
    /// The check of the deadlines.
    pub(super) deadlines: BoxSlot<dyn DeadlineCheck>,
    /// The sleep that ends `read_or_drain` in a drain.
    pub(in crate::connection) quiet_sleep: BoxSlot<Sleep>,
    /// The queue of a buffered writer.
    pub(in crate::connection) queue: BoxSlot<dyn SendQueued>,
    /// Bytes that were queued in buffered writers when these were dropped.
    pub(in crate::connection) dropped: AtomicU64,
    /// The maximum size of a frame, in bytes.
    pub(in crate::connection) frame_limit: AtomicUsize,
    pub(super) layers: OnceBox<LayerState>,
    pub(super) carried: OnceBox<Carried>,
    /// Other code uses the socket, such as a child process.
    pub(super) lent: AtomicBool,
    /// There was no idle timeout and no minimum rate then.
    pub(super) lent_untimed: AtomicBool,
    /// The bytes discarded by a lingering close of the socket.
    pub(in crate::connection) discard: DiscardBudget,
    /// Bytes not acknowledged at the last check during a close.
    pub(in crate::connection) unsent: AtomicUsize,
}

impl ColdState {
    pub(super) fn link(&self) -> MutexGuard<'_, Option<Arc<dyn Link>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `now` is the time, or `NEVER` before the accept.
    pub(in crate::connection) fn begin_handshake(&self, now: Stamp) {
        if self.handshakes.fetch_add(1, Ordering::AcqRel) == 0 {
            self.handshakes_began.set(now);
        }
    }

    pub(super) fn handshakes_began(&self) -> Stamp {
        self.handshakes_began.get()
    }

    pub(in crate::connection) fn end_handshake(&self) {
        self.handshakes.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_in_handshake(&self) -> bool {
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
            handshakes_began: AtomicStamp::new(Stamp::NEVER),
            link: Mutex::default(),
            reader: BoxSlot::default(),
            writer: BoxSlot::default(),
            task: WakerSlot::default(),
            asleep: AtomicBool::new(false),
            blocked: AtomicStamp::new(Stamp::NEVER),
            blocked_before: AtomicU64::new(0),
            input_wait: InputWait::default(),
            deadlines: BoxSlot::default(),
            quiet_sleep: BoxSlot::default(),
            queue: BoxSlot::default(),
            dropped: AtomicU64::new(0),
            frame_limit: AtomicUsize::new(DEFAULT_FRAME_LIMIT_BYTES),
            layers: OnceBox::new(),
            carried: OnceBox::new(),
            lent: AtomicBool::new(false),
            lent_untimed: AtomicBool::new(false),
            discard: DiscardBudget::default(),
            unsent: AtomicUsize::new(0),
        }
    }
}

/// A slot for a boxed value that is taken out while it is used.
pub(in crate::connection) struct BoxSlot<T: ?Sized>(Mutex<Option<Box<T>>>);

impl<T: ?Sized> BoxSlot<T> {
    pub(in crate::connection) fn put(&self, value: Box<T>) {
        *self.slot() = Some(value);
    }

    /// Returns a value after its use, unless the slot has a new one.
    pub(in crate::connection) fn put_back(&self, value: Box<T>) {
        self.slot().get_or_insert(value);
    }

    /// Takes the value out, so that the lock is not held while foreign code runs.
    pub(in crate::connection) fn take(&self) -> Option<Box<T>> {
        self.slot().take()
    }

    /// Calls `f` with the value, if it is not taken out. `f` runs under the lock.
    pub(in crate::connection) fn peek<V>(&self, f: impl FnOnce(&T) -> V) -> Option<V> {
        self.slot().as_deref().map(f)
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
