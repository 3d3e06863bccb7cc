//! Two bounded pipes that make a connection, with the ways a socket ends: close, reset, drop.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_lite::{AsyncRead, AsyncWrite};

use super::MemoryConnection;
use crate::connection::{Connection, DiscardBudget, Endpoint, Link, Peer};

/// Reads what the other end wrote.
#[derive(Debug)]
pub struct PipeReader(Arc<End>);

/// Writes to the other end. It says end of input when it is closed, or when its whole end of the
/// connection is dropped; as with a socket, dropping only the writer says nothing.
#[derive(Debug)]
pub struct PipeWriter(Arc<End>);

/// The two ends of one connection. Each direction holds at most `bound` bytes: of two ends that both
/// write more than that before they read, neither goes on. [`ask`](super::ask) does not wait so.
///
/// # Panics
///
/// When `bound` is 0: nothing could ever pass.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// # smol::block_on(async {
/// let (mut here, mut there) = halves::listener::memory::pair(16);
/// here.writer.write_all(b"hi").await?;
/// drop(here);
/// let mut heard = vec![];
/// there.reader.read_to_end(&mut heard).await?;
/// assert_eq!(heard, b"hi");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[must_use]
pub fn pair(bound: usize) -> (MemoryConnection, MemoryConnection) {
    assert!(bound > 0, "a pipe of 0 bytes lets nothing pass");
    let (there, back) = (Pipe::new(bound), Pipe::new(bound));
    let end = |incoming: &Arc<Pipe>, outgoing: &Arc<Pipe>| {
        let end = Arc::new(End {
            incoming: incoming.clone(),
            outgoing: outgoing.clone(),
            discard: DiscardBudget::default(),
        });
        let peer = Peer::new(Endpoint::Memory, Endpoint::Memory)
            .with_link(Arc::new(PipeLink(end.clone())));
        Connection::from_parts(PipeReader(end.clone()), PipeWriter(end), peer)
    };
    (end(&back, &there), end(&there, &back))
}

/// One end, shared by its halves and the server's link as the clones of a socket are.
#[derive(Debug)]
struct End {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    discard: DiscardBudget,
}

/// The server's hold on an end, which it drops when the connection is over.
struct PipeLink(Arc<End>);

/// One direction.
#[derive(Debug)]
struct Pipe(Mutex<State>);

#[derive(Debug)]
struct State {
    data: VecDeque<u8>,
    bound: usize,
    /// The writing end said end of input.
    closed: bool,
    /// The reading end is gone.
    unread_dropped: bool,
    /// Either end reset the connection.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            data: VecDeque::new(),
            bound,
            closed: false,
            unread_dropped: false,
            reset: false,
            reader: None,
            writer: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes all, after the lock is released.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let woken = [state.reader.take(), state.writer.take()];
        drop(state);
        woken.into_iter().flatten().for_each(Waker::wake);
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.data.is_empty() && !state.closed && !buf.is_empty() {
            let before = state.reader.replace(cx.waker().clone());
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        let n = state.data.read(buf)?;
        let woken = if n > 0 { state.writer.take() } else { None };
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(n))
    }

    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.unread_dropped || state.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = state.bound - state.data.len();
        if room == 0 && !buf.is_empty() {
            let before = state.writer.replace(cx.waker().clone());
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        let n = room.min(buf.len());
        state.data.extend(&buf[..n]);
        let woken = state.reader.take();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(n))
    }
}

impl End {
    fn pipes(&self) -> [&Pipe; 2] {
        [&self.incoming, &self.outgoing]
    }
}

impl PipeLink {
    /// Whether a half is still held by somebody.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Link for PipeLink {
    fn poll_linger(&self, cx: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
        let end = &self.0;
        end.outgoing.change(|state| state.closed = true);
        // Where a task of the handler's still has a half, what comes is that task's.
        if self.is_shared() {
            return Poll::Ready(Ok(()));
        }
        end.discard
            .poll(cx, |cx, buf| end.incoming.poll_read(cx, buf))
            .map(Ok)
    }

    fn unsent(&self) -> Option<usize> {
        Some(self.0.outgoing.lock().data.len())
    }

    fn close(&self) {
        if self.is_shared() {
            // Woken, the halves ask the record.
            for pipe in self.0.pipes() {
                pipe.change(|_| {});
            }
        }
    }

    fn abort(&self) {
        for pipe in self.0.pipes() {
            pipe.change(|state| {
                state.reset = true;
                state.data = VecDeque::new();
            });
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.outgoing.change(|state| state.closed = true);
        self.incoming.change(|state| state.unread_dropped = true);
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.incoming.poll_read(cx, buf)
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.outgoing.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.outgoing.change(|state| state.closed = true);
        Poll::Ready(Ok(()))
    }
}
