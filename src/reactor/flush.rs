//! Gathers small writes of one turn, and sends them with few system calls.
//!
//! Gathered bytes are sent at the end of the thread's turn. They are sent earlier if the task
//! flushes, reads, or writes more than the outbox has room for. Bytes that the kernel does not take
//! are sent when the socket turns writable, whether a task waits for that or not. As long as the
//! outbox has bytes, the socket stays open, and `CORKED` is set in its [state](super::state). An
//! error is returned once: by the next write or flush, or by a read that would otherwise report an
//! orderly end of the peer.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::iter;
use std::mem;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use rustix::io::Errno;
use rustix::net::Shutdown as ShutdownHow;

pub(super) use super::outbox::FlushWaiter;
use super::outbox::{
    Contents, Flushing, MAX_GATHERED_BYTES, MAX_OUTBOX_BYTES, Outbox, recycle, take_buffer,
};
use super::source::{Source, SourceOwner};
use super::state::{Direction, SHUTDOWN_DUE, WRITE_SHUT};
use super::sys::{SEND_FLAGS, reset};
use super::{Reactor, lock};
use crate::catch::catch_each;
use crate::waker_slot::WakerSlot;

/// Errors after which the kernel itself has ended the stream.
const END_ERRORS: [Errno; 3] = [Errno::PIPE, Errno::CONNRESET, Errno::TIMEDOUT];

thread_local! {
    /// The sources that have something to send at the end of this thread's turn.
    static PENDING_SENDS: RefCell<Vec<Arc<dyn SourceOwner>>> = const { RefCell::new(Vec::new()) };
}

/// Takes a small write into the outbox, whole, and returns its length in bytes. Returns None if the
/// caller has to send the bytes itself.
pub(super) fn gather(owner: &Arc<impl SourceOwner>, bufs: &[IoSlice<'_>]) -> Option<usize> {
    let size = bufs.iter().map(|buf| buf.len()).sum();
    let source = owner.source();
    // Turns end only on a thread that drives a reactor.
    if size == 0 || size > MAX_GATHERED_BYTES || !Reactor::is_one_current() || !source.can_gather()
    {
        return None;
    }
    let mut contents = source.outbox().contents();
    if contents.unsent_len() + size > MAX_OUTBOX_BYTES || contents.error.is_some() {
        return None;
    }
    if contents.bytes.is_empty() {
        contents.bytes = take_buffer();
        source.cork();
        send_at_turn_end(owner.clone().share());
    } else if contents.sent >= MAX_OUTBOX_BYTES {
        let sent = mem::take(&mut contents.sent);
        contents.bytes.drain(..sent);
    }
    for buf in bufs {
        contents.bytes.extend_from_slice(buf);
    }
    Some(size)
}

/// Shuts down the output at the end of the turn. If the socket is closed by then, the close ends
/// the output as well. Returns false if this thread has no turns: the caller shuts it down.
pub(super) fn end_output(owner: &Arc<impl SourceOwner>) -> bool {
    let has_turns = Reactor::is_one_current();
    if has_turns {
        owner.source().state.set(SHUTDOWN_DUE | WRITE_SHUT, true);
        send_at_turn_end(owner.clone().share());
    }
    has_turns
}

fn send_at_turn_end(owner: Arc<dyn SourceOwner>) {
    PENDING_SENDS.with_borrow_mut(|pending| pending.push(owner));
}

/// The sockets that a worker's tasks have written to in this turn. Any thread can send for them, as
/// a task may keep the worker busy.
#[derive(Default)]
pub(crate) struct WrittenSockets(Mutex<Vec<Arc<dyn SourceOwner>>>);

impl WrittenSockets {
    /// Takes over the sockets that the last task of this thread has written to.
    pub(crate) fn collect(&self) {
        PENDING_SENDS.with_borrow_mut(|pending| {
            if !pending.is_empty() {
                lock(&self.0).append(pending);
            }
        });
    }

    /// Sends what these sockets have gathered.
    pub(crate) fn send(&self) {
        let pending = mem::take(&mut *lock(&self.0));
        catch_each(pending, |owner| send_pending(&owner));
    }
}

impl fmt::Debug for WrittenSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WrittenSockets")
            .field(&lock(&self.0).len())
            .finish()
    }
}

/// Ends this thread's turn: sends all that was gathered.
pub(super) fn end_turn() {
    let pending = iter::from_fn(|| PENDING_SENDS.with_borrow_mut(Vec::pop));
    catch_each(pending, |owner| send_pending(&owner));
}

fn send_pending(owner: &Arc<dyn SourceOwner>) {
    let source = owner.source();
    // The descriptor is open if there are bytes to send or an output to shut down.
    source.with_fd(|fd| {
        if source.is_corked() {
            flush_shared(owner);
        }
        if source.is_shutdown_due() {
            source.state.set(SHUTDOWN_DUE, false);
            // Fails if the connection was reset meanwhile, which ends the output as well.
            let _ = rustix::net::shutdown(fd, ShutdownHow::Write);
        }
    });
}

/// Forgets this turn's writes in the child of a fork: the parent sends them.
pub(super) fn forget_turn() {
    let pending = PENDING_SENDS.take();
    catch_each(pending, drop);
}

/// Sends what is in the outbox, and is ready when the outbox is empty. An error may
/// belong to any earlier write.
pub(super) fn poll_flushed(
    owner: &Arc<impl SourceOwner>,
    cx: &Context<'_>,
    waiter: FlushWaiter,
) -> Poll<io::Result<()>> {
    let source = owner.source();
    if !source.is_corked() {
        return Poll::Ready(Ok(()));
    }
    flush(owner);
    let outbox = source.outbox();
    let polled = outbox.poll_empty(source);
    if polled.is_ready() {
        return polled;
    }
    let waiting = match waiter {
        FlushWaiter::Writer => &outbox.writer,
        FlushWaiter::End => &outbox.end,
    };
    waiting.register(cx.waker());
    // The bytes may have been sent before the waker was registered.
    outbox.poll_empty(source)
}

/// Takes the error of lost bytes, if it concerns the reader and was not returned yet. The caller is
/// a user of the descriptor.
pub(super) fn take_read_error(source: &Source) -> Option<Errno> {
    let mut contents = source.outbox().contents();
    // An error of writing alone is left to the writer: the peer may have ended in order before it.
    if contents.error == Some(Errno::PIPE) {
        return None;
    }
    contents.take_error(source)
}

/// Sends what the kernel takes now, and the rest when it takes more.
pub(super) fn flush(owner: &Arc<impl SourceOwner>) {
    flush_shared(&owner.clone().share());
}

fn flush_shared(owner: &Arc<dyn SourceOwner>) {
    let source = owner.source();
    let outbox = source.outbox();
    let mut contents = outbox.contents();
    if contents.flushing != Flushing::Idle {
        return;
    }
    contents.flushing = Flushing::Active;
    if outbox.send(source, contents).is_err() {
        continue_flush(owner);
    }
}

/// Goes on with a flush that is `Active`.
fn continue_flush(owner: &Arc<dyn SourceOwner>) {
    let source = owner.source();
    let outbox = source.outbox();
    let waker = Waker::from(Arc::new(FlushWaker(owner.clone())));
    let mut cx = Context::from_waker(&waker);
    let mut send = |_: BorrowedFd<'_>| outbox.send(source, outbox.contents());
    loop {
        match Source::poll_io(owner, &mut cx, Direction::Write, &mut send, |()| false) {
            Poll::Ready(Ok(())) => return,
            Poll::Ready(Err(error)) => {
                // No reactor would report that the socket turns writable.
                let error = Errno::from_io_error(&error).unwrap_or(Errno::NOMEM);
                return outbox.finish(source, outbox.contents(), Some(error));
            }
            Poll::Pending => {}
        }
        let mut contents = outbox.contents();
        if contents.flushing == Flushing::Active {
            contents.flushing = Flushing::WaitsForRoom;
            return;
        }
        contents.flushing = Flushing::Active;
    }
}

impl Outbox {
    /// Implements [`Source::give_up_unsent`].
    pub(super) fn give_up(&self, source: &Source, take: impl FnOnce(&[u8]) -> bool) -> bool {
        let contents = self.contents();
        let is_taken = contents.error.is_none() && take(&contents.bytes[contents.sent..]);
        if is_taken {
            // A call that sends at this moment finds nothing left.
            self.finish(source, contents, None);
        }
        is_taken
    }

    fn poll_empty(&self, source: &Source) -> Poll<io::Result<()>> {
        let mut contents = self.contents();
        match contents.take_error(source) {
            Some(error) => Poll::Ready(Err(error.into())),
            None if contents.bytes.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Sends until the outbox is empty or its bytes are lost. Fails with `EAGAIN` only.
    fn send(
        &self,
        source: &Source,
        mut contents: MutexGuard<'_, Contents>,
    ) -> rustix::io::Result<()> {
        let mut failed = None;
        while contents.sent < contents.bytes.len() && failed.is_none() {
            let left = &contents.bytes[contents.sent..];
            match rustix::net::send(source.fd(), left, SEND_FLAGS) {
                Ok(sent) => contents.sent += sent,
                Err(Errno::AGAIN) => return Err(Errno::AGAIN),
                Err(Errno::INTR) => {}
                Err(error) => failed = Some(error),
            }
        }
        self.finish(source, contents, failed);
        Ok(())
    }

    /// Ends a flush: the outbox is empty, or its bytes are lost to an error.
    fn finish(
        &self,
        source: &Source,
        mut contents: MutexGuard<'_, Contents>,
        error: Option<Errno>,
    ) {
        contents.flushing = Flushing::Idle;
        if contents.bytes.is_empty() {
            return;
        }
        let bytes = mem::take(&mut contents.bytes);
        contents.sent = 0;
        contents.error = error;
        match error {
            None => source.uncork(),
            Some(_) => source.set_write_shut(),
        }
        drop(contents);
        // Unless the kernel has ended the stream, bytes sent after the gap would look complete.
        if error.is_some_and(|error| !END_ERRORS.contains(&error)) {
            source.with_fd(reset);
        }
        recycle(bytes);
        // This may close the socket.
        source.release_hold();
        catch_each([&self.writer, &self.end], WakerSlot::wake);
    }
}

impl Contents {
    fn take_error(&mut self, source: &Source) -> Option<Errno> {
        let error = self.error.take();
        if error.is_some() {
            source.uncork();
        }
        error
    }
}

/// Continues a flush when the socket turns writable.
struct FlushWaker(Arc<dyn SourceOwner>);

impl Wake for FlushWaker {
    fn wake(self: Arc<Self>) {
        let source = self.0.source();
        let mut contents = source.outbox().contents();
        match contents.flushing {
            Flushing::WaitsForRoom => contents.flushing = Flushing::Active,
            Flushing::Active => {
                contents.flushing = Flushing::Repeat;
                return;
            }
            Flushing::Idle | Flushing::Repeat => return,
        }
        drop(contents);
        continue_flush(&self.0);
    }
}
