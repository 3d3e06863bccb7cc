//! Small writes of one turn, gathered into few system calls.
//!
//! What goes in leaves at the end of the thread's turn, and sooner where somebody flushes, reads on
//! or has more than there is room for. What the kernel does not take then leaves when the
//! socket turns writable, whoever waits or does not. As long as something is in it, the socket
//! stays open, and `CORKED` is set in its [state](super::state). What fails is told once: by the
//! next write or flush, or by a read that would otherwise say that the peer has ended in order.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::iter;
use std::mem;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use rustix::io::Errno;
use rustix::net::Shutdown;

use super::socket::{SEND, Waits, reset};
use super::state::{ENDING, SHUT};
use super::unsent::unsent;
use super::{Direction, Reactor, Source, SourceOwner, lock};
use crate::catch::catch_each;
use crate::waker_slot::WakerSlot;

/// What one outbox holds, in bytes.
pub(super) const MOST: usize = 64 * 1024;
/// Larger ones are cheaper sent than copied, in bytes.
pub(super) const SMALL: usize = 16 * 1024;
/// Buffers that a thread keeps for the next outboxes.
const KEPT: usize = 4;

/// Errors of a stream that takes no more in any case.
const ENDS: [Errno; 3] = [Errno::PIPE, Errno::CONNRESET, Errno::TIMEDOUT];

#[derive(Debug, Default)]
pub(super) struct Outbox {
    contents: Mutex<Contents>,
    /// The writer, who waits for it to be empty.
    writer: WakerSlot,
    /// Who ends the stream, and waits for the same, while a task may still have the writer.
    end: WakerSlot,
}

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// How many of these have left.
    sent: usize,
    flushing: Flushing,
    /// What has gone wrong with bytes that were taken in. `CORKED` until somebody hears of it.
    failed: Option<Errno>,
}

/// Who sends what is in an outbox. One does at a time, who may be called where it is better not
/// to begin anew: from within what another call of ours has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flushing {
    #[default]
    Nobody,
    Somebody,
    /// Who has been woken meanwhile, and tries again.
    Again,
    /// A [`Flush`], when the socket turns writable.
    Later,
}

thread_local! {
    /// Those who have something for the end of this thread's turn.
    static LISTED: RefCell<Vec<Arc<dyn SourceOwner>>> = const { RefCell::new(Vec::new()) };
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Takes small writes in, whole. None: they are to be sent as they are.
pub(super) fn put(host: &Arc<impl SourceOwner>, bufs: &[IoSlice<'_>]) -> Option<usize> {
    let size = bufs.iter().map(|buf| buf.len()).sum();
    let source = host.source();
    // Where no reactor is driven, turns have no end.
    if size == 0 || size > SMALL || !Reactor::is_one_current() || !source.may_gather() {
        return None;
    }
    let mut contents = source.outbox().contents();
    if contents.left() + size > MOST || contents.failed.is_some() {
        return None;
    }
    if contents.bytes.is_empty() {
        contents.bytes = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        source.cork();
        LISTED.with_borrow_mut(|listed| listed.push(host.clone().share()));
    } else if contents.sent >= MOST {
        let sent = mem::take(&mut contents.sent);
        contents.bytes.drain(..sent);
    }
    for buf in bufs {
        contents.bytes.extend_from_slice(buf);
    }
    Some(size)
}

/// Says the end of output at the end of the turn, unless the socket is closed by then, which says
/// it as well. False: that is to be done now.
pub(super) fn end(host: &Arc<impl SourceOwner>) -> bool {
    let has_turns = Reactor::is_one_current();
    if has_turns {
        host.source().state.mark(ENDING | SHUT, true);
        LISTED.with_borrow_mut(|listed| listed.push(host.clone().share()));
    }
    has_turns
}

/// The sockets that a worker's tasks have written to in this turn, where any thread can send for them:
/// the worker may be held by a task.
#[derive(Default)]
pub(crate) struct Written(Mutex<Vec<Arc<dyn SourceOwner>>>);

impl Written {
    /// Takes over what the last task of this thread has written.
    pub(crate) fn collect(&self) {
        LISTED.with_borrow_mut(|listed| {
            if !listed.is_empty() {
                lock(&self.0).append(listed);
            }
        });
    }

    pub(crate) fn send(&self) {
        let listed = mem::take(&mut *lock(&self.0));
        catch_each(listed, |host| send_listed(&host));
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Written")
            .field(&lock(&self.0).len())
            .finish()
    }
}

/// The end of this thread's turn: what was put in leaves.
pub(super) fn end_turn() {
    let listed = iter::from_fn(|| LISTED.with_borrow_mut(Vec::pop));
    catch_each(listed, |host| send_listed(&host));
}

fn send_listed(host: &Arc<dyn SourceOwner>) {
    let source = host.source();
    // Where there is still something to send, or to say, it is open.
    source.visit(|fd| {
        if source.is_corked() {
            flush(host);
        }
        if source.is_ending() {
            source.state.mark(ENDING, false);
            // Who reset the connection meanwhile has said more.
            let _ = rustix::net::shutdown(fd, Shutdown::Write);
        }
    });
}

/// In the child of a fork: what was put in leaves in the parent.
pub(super) fn forget_turn() {
    let listed = LISTED.take();
    catch_each(listed, drop);
}

/// Ready when nothing is left. An error is that of bytes that were taken in, also earlier.
pub(super) fn poll_empty(
    host: &Arc<impl SourceOwner>,
    cx: &Context<'_>,
    waits: Waits,
) -> Poll<io::Result<()>> {
    let source = host.source();
    if !source.is_corked() {
        return Poll::Ready(Ok(()));
    }
    flush(&host.clone().share());
    let outbox = source.outbox();
    let polled = outbox.poll(source);
    if polled.is_ready() {
        return polled;
    }
    let place = match waits {
        Waits::Writer => &outbox.writer,
        Waits::End => &outbox.end,
    };
    place.register(cx.waker());
    // It may have left before that.
    outbox.poll(source)
}

/// What has gone wrong, if it concerns whoever reads, and nobody has heard of it yet. For a user.
pub(super) fn failure(source: &Source) -> Option<Errno> {
    let mut contents = source.outbox().contents();
    // That nothing can be written is for who writes: the peer may have ended in order before.
    if contents.failed == Some(Errno::PIPE) {
        return None;
    }
    contents.take_failure(source)
}

/// Sends what is there, before the turn ends.
pub(super) fn send_now(host: &Arc<impl SourceOwner>) {
    flush(&host.clone().share());
}

/// Sends what the kernel takes, and the rest when it takes more.
fn flush(host: &Arc<dyn SourceOwner>) {
    let source = host.source();
    let outbox = source.outbox();
    let mut contents = outbox.contents();
    if contents.flushing != Flushing::Nobody {
        return;
    }
    contents.flushing = Flushing::Somebody;
    if outbox.send(source, contents).is_err() {
        go_on(host);
    }
}

/// The same, for the one who flushes.
fn go_on(host: &Arc<dyn SourceOwner>) {
    let source = host.source();
    let outbox = source.outbox();
    let waker = Waker::from(Arc::new(Flush(host.clone())));
    let mut cx = Context::from_waker(&waker);
    let mut send = |_: BorrowedFd<'_>| outbox.send(source, outbox.contents());
    loop {
        match Source::poll_io(host, &mut cx, Direction::Write, &mut send, |()| false) {
            Poll::Ready(Ok(())) => return,
            Poll::Ready(Err(error)) => {
                // Nobody would tell when it turns writable.
                let failed = Errno::from_io_error(&error).unwrap_or(Errno::NOMEM);
                return outbox.done(source, outbox.contents(), Some(failed));
            }
            Poll::Pending => {}
        }
        let mut contents = outbox.contents();
        if contents.flushing == Flushing::Somebody {
            contents.flushing = Flushing::Later;
            return;
        }
        contents.flushing = Flushing::Somebody;
    }
}

impl Outbox {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        lock(&self.contents)
    }

    /// Bytes that the peer has not acknowledged, whoever has them.
    pub(super) fn unsent(&self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // Under the lock, so that none is on its way from here to the kernel.
        let contents = self.contents();
        Ok(contents.left() + unsent(socket)?)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.contents().bytes.capacity()
    }

    fn poll(&self, source: &Source) -> Poll<io::Result<()>> {
        let mut contents = self.contents();
        match contents.take_failure(source) {
            Some(failed) => Poll::Ready(Err(failed.into())),
            None if contents.bytes.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    fn send(
        &self,
        source: &Source,
        mut contents: MutexGuard<'_, Contents>,
    ) -> rustix::io::Result<()> {
        let mut failed = None;
        while contents.sent < contents.bytes.len() && failed.is_none() {
            let left = &contents.bytes[contents.sent..];
            match rustix::net::send(source.fd(), left, SEND) {
                Ok(sent) => contents.sent += sent,
                Err(Errno::AGAIN) => return Err(Errno::AGAIN),
                Err(Errno::INTR) => {}
                Err(error) => failed = Some(error),
            }
        }
        self.done(source, contents, failed);
        Ok(())
    }

    /// It is empty, or what is left is lost.
    fn done(&self, source: &Source, mut contents: MutexGuard<'_, Contents>, failed: Option<Errno>) {
        contents.flushing = Flushing::Nobody;
        if contents.bytes.is_empty() {
            return;
        }
        let bytes = mem::take(&mut contents.bytes);
        contents.sent = 0;
        contents.failed = failed;
        match failed {
            None => source.uncork(),
            Some(_) => source.shut(),
        }
        drop(contents);
        // Unless the kernel has ended it: what came after the gap would look whole.
        if failed.is_some_and(|error| !ENDS.contains(&error)) {
            source.visit(reset);
        }
        give_back(bytes);
        // The socket may close with it.
        source.let_go();
        catch_each([&self.writer, &self.end], WakerSlot::wake);
    }
}

impl Contents {
    /// How much is to be sent.
    fn left(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn take_failure(&mut self, source: &Source) -> Option<Errno> {
        let failed = self.failed.take();
        if failed.is_some() {
            source.uncork();
        }
        failed
    }
}

/// Goes on when the socket turns writable.
struct Flush(Arc<dyn SourceOwner>);

impl Wake for Flush {
    fn wake(self: Arc<Self>) {
        let source = self.0.source();
        let mut contents = source.outbox().contents();
        match contents.flushing {
            Flushing::Later => contents.flushing = Flushing::Somebody,
            Flushing::Somebody => {
                contents.flushing = Flushing::Again;
                return;
            }
            Flushing::Nobody | Flushing::Again => return,
        }
        drop(contents);
        go_on(&self.0);
    }
}

fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    // While the thread ends there are none any more.
    let _ = BUFFERS.try_with(|buffers| {
        let mut buffers = buffers.borrow_mut();
        if buffers.len() < KEPT {
            buffers.push(buffer);
        }
    });
}
