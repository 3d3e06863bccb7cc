//! Small writes of one turn, gathered into few system calls.
//!
//! What goes in leaves at the end of the thread's turn, and sooner where somebody flushes, reads on
//! or has more than there is room for. What the kernel does not take then leaves when the
//! socket turns writable, whoever waits or does not. As long as something is in it, the socket
//! stays open, and `CORKED` is set in its [state](super::state).

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use rustix::io::Errno;
use rustix::net::Shutdown;

use super::socket::SEND;
use super::state::ENDING;
use super::{Direction, Host, Reactor, Source, lock};
use crate::waiting::Waiting;

/// In bytes.
const MOST: usize = 64 * 1024;
/// Larger ones are cheaper sent than copied, in bytes.
const SMALL: usize = 16 * 1024;
/// Buffers that a thread keeps for the next outboxes.
const KEPT: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    contents: Mutex<Contents>,
    /// The writer, who waits for it to be empty.
    writer: Waiting,
}

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// How many of these have left.
    sent: usize,
    /// A [`Flush`] waits for the socket to turn writable.
    waits: bool,
    /// What has gone wrong with bytes that were taken in, until somebody hears of it.
    failed: Option<Errno>,
}

thread_local! {
    /// Those who have something for the end of this thread's turn.
    static LISTED: RefCell<Vec<Arc<dyn Host>>> = const { RefCell::new(Vec::new()) };
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Takes small writes in, whole. None: they are to be sent as they are.
pub(super) fn put(host: &Arc<impl Host>, bufs: &[IoSlice<'_>]) -> Option<usize> {
    let size = bufs.iter().map(|buf| buf.len()).sum();
    // Where no reactor is driven, turns have no end.
    if size == 0 || size > SMALL || !Reactor::is_one_current() || host.source().is_foreign() {
        return None;
    }
    let source = host.source();
    let mut contents = source.outbox().contents();
    if contents.bytes.len() - contents.sent + size > MOST || contents.failed.is_some() {
        return None;
    }
    if contents.bytes.is_empty() {
        contents.bytes = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        source.cork();
        LISTED.with_borrow_mut(|listed| listed.push(host.clone().share()));
    }
    for buf in bufs {
        contents.bytes.extend_from_slice(buf);
    }
    Some(size)
}

/// Says the end of output at the end of the turn, unless the socket is closed by then, which says
/// it as well. False: that is to be done now.
pub(super) fn end(host: &Arc<impl Host>) -> bool {
    let has_turns = Reactor::is_one_current();
    if has_turns {
        host.source().state.mark(ENDING, true);
        LISTED.with_borrow_mut(|listed| listed.push(host.clone().share()));
    }
    has_turns
}

/// The end of this thread's turn: what was put in leaves.
pub(crate) fn end_turn() {
    while let Some(host) = LISTED.with_borrow_mut(Vec::pop) {
        let source = host.source();
        if source.is_corked() {
            flush(&host);
        }
        if source.state.load() & ENDING != 0 {
            source.state.mark(ENDING, false);
            // Who reset the connection meanwhile has said more.
            source.visit(|fd| rustix::net::shutdown(fd, Shutdown::Write));
        }
    }
}

/// Ready when nothing is left. An error is that of bytes that were taken in, also earlier.
pub(super) fn poll_empty(host: &Arc<impl Host>, cx: &Context<'_>) -> Poll<io::Result<()>> {
    let source = host.source();
    let Some(outbox) = source.known_outbox() else {
        return Poll::Ready(Ok(()));
    };
    if source.is_corked() {
        outbox.writer.register(cx.waker());
        send_now(host);
        if source.is_corked() {
            return Poll::Pending;
        }
    }
    let failed = outbox.contents().failed.take();
    Poll::Ready(failed.map_or(Ok(()), |error| Err(error.into())))
}

/// Sends what is there, before the turn ends.
pub(super) fn send_now(host: &Arc<impl Host>) {
    flush(&host.clone().share());
}

/// Sends what the kernel takes, and the rest when it takes more.
fn flush(host: &Arc<dyn Host>) {
    let source = host.source();
    let outbox = source.outbox();
    if outbox.send(source) != Err(Errno::AGAIN) || mem::replace(&mut outbox.contents().waits, true)
    {
        return;
    }
    let waker = Waker::from(Arc::new(Flush(host.clone())));
    let mut cx = Context::from_waker(&waker);
    let sent = Source::poll_io(
        host,
        &mut cx,
        Direction::Write,
        |_| outbox.send(source),
        |()| false,
    );
    if let Poll::Ready(Err(error)) = sent {
        // Nobody would tell when it turns writable.
        let failed = Errno::from_io_error(&error).unwrap_or(Errno::NOMEM);
        outbox.done(source, outbox.contents(), Some(failed));
    }
}

impl Outbox {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        lock(&self.contents)
    }

    fn send(&self, source: &Source) -> rustix::io::Result<()> {
        let mut contents = self.contents();
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
        if contents.bytes.is_empty() {
            return;
        }
        let bytes = mem::take(&mut contents.bytes);
        contents.sent = 0;
        contents.failed = failed;
        let waits = mem::take(&mut contents.waits);
        source.uncork();
        drop(contents);
        if waits {
            // It holds what it is held by.
            drop(source.writer().take());
        }
        give_back(bytes);
        self.writer.wake();
        // Last, as the socket may close with it.
        source.let_go();
    }
}

/// Goes on when the socket turns writable.
struct Flush(Arc<dyn Host>);

impl Wake for Flush {
    fn wake(self: Arc<Self>) {
        self.0.source().outbox().contents().waits = false;
        flush(&self.0);
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
