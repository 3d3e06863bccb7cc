//! What waits to be written: the queue of a [`Buffered`](super::Buffered) writer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Waker, ready};

use futures_lite::AsyncWrite;

use super::Writer;
use crate::catch::catch_panic;
use crate::connection::stream::WakerPair;
use crate::connection::{Flag, Record};

/// Above so many bytes no more is taken in, unless that is set.
const HIGH_WATER_BYTES: usize = 64 * 1024;

/// A writer with a queue before it, for two who send: the one who drains it, and the connection's
/// task, whenever the handler waits.
pub(super) struct WriteQueue<W> {
    queue: Mutex<Queue<W>>,
    /// The one who drains, then the task.
    waiting: Arc<WakerPair>,
    /// Wakes both; the only one that the stream ever sees.
    waker: Waker,
}

pub(super) struct Queue<W> {
    /// None once it was given back.
    pub(super) writer: Option<Writer<W>>,
    pub(super) bytes: VecDeque<u8>,
    pub(super) low_water: usize,
    pub(super) high_water: usize,
    /// It went above the high mark, and was not at the low one since.
    paused: bool,
    /// What went wrong while nobody drained.
    failed: Option<io::Error>,
    /// The end is said, or about to be.
    pub(super) closing: bool,
    closed: bool,
}

/// Sends what waits, as far as the stream takes it.
pub(in crate::connection) trait SendQueued: Send {
    /// The connection's task waits; it is woken when more can be sent. False: there is nobody any
    /// more whose bytes these are.
    fn send_queued(&self, cx: &mut Context<'_>) -> bool;
}

/// When a call is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// At the low mark, if the high one was passed.
    Low,
    Sent,
    Flushed,
    Closed,
}

impl<W> WriteQueue<W> {
    pub(super) fn new(writer: Writer<W>) -> Self {
        let waiting = Arc::<WakerPair>::default();
        Self {
            queue: Mutex::new(Queue {
                writer: Some(writer),
                bytes: VecDeque::new(),
                low_water: HIGH_WATER_BYTES / 4,
                high_water: HIGH_WATER_BYTES,
                paused: false,
                failed: None,
                closing: false,
                closed: false,
            }),
            waker: waiting.clone().into(),
            waiting,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue<W>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bytes in, whole, as long as no more than the high mark wait.
    pub(super) fn put(&self, pieces: &[&[u8]]) -> io::Result<()> {
        let mut queue = self.lock();
        let idle = queue.bytes.is_empty();
        queue.put(pieces)?;
        let notify = idle && !queue.bytes.is_empty();
        drop(queue);
        if notify {
            // It may wait already, where another one writes.
            self.waiting.second.wake();
        }
        Ok(())
    }
}

impl<W: AsyncWrite + Unpin> WriteQueue<W> {
    /// For the one who drains.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        record: &Record,
        until: Until,
    ) -> Poll<io::Result<()>> {
        // First: what happens during the poll is not to be missed.
        self.waiting.first.register(cx.waker());
        let mut queue = self.lock();
        if let Some(error) = queue.failed.take() {
            return Poll::Ready(Err(error));
        }
        while !queue.bytes.is_empty() {
            // A drain that need not wait still shares the thread.
            ready!(record.writing.poll(cx));
            let sent = queue.poll_send(&mut Context::from_waker(&self.waker));
            if sent.is_pending() && until == Until::Low && !queue.paused {
                return Poll::Ready(Ok(()));
            }
            ready!(sent)?;
        }
        queue.poll_end(&mut Context::from_waker(&self.waker), until)
    }
}

impl<W> Queue<W> {
    fn put(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.closing || self.writer.is_none() {
            let ended = "nothing can be written after the end";
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, ended));
        }
        let waiting = self.bytes.len();
        if waiting > self.high_water {
            let full = format!("{waiting} bytes wait to be sent: drain first");
            return Err(io::Error::new(io::ErrorKind::WouldBlock, full));
        }
        for piece in pieces {
            self.bytes.extend(*piece);
        }
        self.paused |= self.bytes.len() > self.high_water;
        Ok(())
    }
}

impl<W: AsyncWrite + Unpin> Queue<W> {
    fn writer(&mut self) -> io::Result<Pin<&mut Writer<W>>> {
        let writer = self.writer.as_mut();
        writer
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writer) = &mut self.writer else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let (first, second) = self.bytes.as_slices();
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        match ready!(Pin::new(writer).poll_write_vectored(cx, &slices))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            sent => drop(self.bytes.drain(..sent)),
        }
        if self.bytes.is_empty() {
            // No memory without bytes.
            self.bytes = VecDeque::new();
        }
        self.paused &= self.bytes.len() > self.low_water;
        Poll::Ready(Ok(()))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>, until: Until) -> Poll<io::Result<()>> {
        if self.closed || matches!(until, Until::Low | Until::Sent) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.writer()?.poll_flush(cx))?;
        if until == Until::Closed {
            ready!(self.writer()?.poll_close(cx))?;
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Send + Unpin> SendQueued for Weak<WriteQueue<W>> {
    fn send_queued(&self, cx: &mut Context<'_>) -> bool {
        let Some(shared) = self.upgrade() else {
            return false;
        };
        shared.waiting.second.register(cx.waker());
        let mut queue = match shared.queue.try_lock() {
            Ok(queue) => queue,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Who has it may send, or only look; and may have been told before us to wait.
            Err(TryLockError::WouldBlock) => {
                cx.waker().wake_by_ref();
                return true;
            }
        };
        let paused = queue.paused;
        let mut both = Context::from_waker(&shared.waker);
        while !queue.bytes.is_empty() && queue.failed.is_none() {
            match queue.poll_send(&mut both) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => queue.failed = Some(error),
                Poll::Pending => break,
            }
        }
        let notify = paused != queue.paused || queue.bytes.is_empty() || queue.failed.is_some();
        drop(queue);
        if notify {
            shared.waiting.first.wake();
        }
        true
    }
}

impl Record {
    /// The task, which may wait already, is to send what this one keeps.
    pub(in crate::connection) fn set_queue(&self, queue: Box<dyn SendQueued>) {
        self.cold().queue.put(queue);
        self.flags.set(Flag::HasQueue);
        self.wake();
    }

    /// The handler waits. Called at the end of each poll of the task.
    #[inline]
    pub(crate) fn send_queued(&self, cx: &mut Context<'_>) {
        if self.flags.has(Flag::HasQueue) {
            self.run_send_queued(cx);
        }
    }

    #[cold]
    fn run_send_queued(&self, cx: &mut Context<'_>) {
        let slot = &self.cold().queue;
        let Some(queue) = slot.take() else { return };
        // What panics in there is not used again, and its bytes are told as lost.
        if catch_panic(|| queue.send_queued(cx)).is_ok_and(|goes_on| goes_on) {
            slot.put_back(queue);
        }
    }

    /// A writer was dropped with so many bytes. Says so, once.
    pub(in crate::connection) fn report_dropped(self: &Arc<Self>, bytes: usize) {
        self.cold()
            .dropped
            .fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(context) = self.context() {
            // In a drop, a panic of the observer's would have nowhere to go.
            let _ = catch_panic(|| context.hooks.dropped(self, bytes));
        }
    }
}
