//! A connection of two bounded pipes that ends as a socket does: by close, reset or drop.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_lite::{AsyncRead, AsyncWrite};

use super::MemoryConnection;
use crate::connection::{Connection, DiscardBudget, Endpoint, Link, Peer};

/// The reading half of a connection in memory.
#[derive(Debug)]
pub struct PipeReader(Arc<PipeEnd>);

/// The writing half of a connection in memory. The other end reads the end of input when this half
/// is closed, or when both halves are dropped. As with a socket, dropping only the writer has no
/// effect.
#[derive(Debug)]
pub struct PipeWriter(Arc<PipeEnd>);

/// Creates the two ends of one connection. Each direction holds at most `bound` bytes. Two ends
/// that both write more than that before they read deadlock; [`ask`](super::ask) avoids this.
///
/// # Panics
///
/// If `bound` is 0.
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
/// let mut received = vec![];
/// there.reader.read_to_end(&mut received).await?;
/// assert_eq!(received, b"hi");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[must_use]
pub fn pair(bound: usize) -> (MemoryConnection, MemoryConnection) {
    assert!(
        bound > 0,
        "the bound of a pipe is 0 bytes; it must be at least 1"
    );
    let (there, back) = (Pipe::new(bound), Pipe::new(bound));
    let end = |incoming: &Arc<Pipe>, outgoing: &Arc<Pipe>| {
        let end = Arc::new(PipeEnd {
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

/// One end of a connection, shared by its halves and its link like the clones of a socket.
#[derive(Debug)]
struct PipeEnd {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    discard: DiscardBudget,
}

/// The link of an end. The server drops it at the end of the connection.
struct PipeLink(Arc<PipeEnd>);

/// One direction of a connection.
#[derive(Debug)]
struct Pipe(Mutex<PipeState>);

#[derive(Debug)]
struct PipeState {
    data: VecDeque<u8>,
    /// The most bytes in `data`.
    bound: usize,
    /// The writing end is closed.
    closed: bool,
    /// The reading end is dropped.
    reader_dropped: bool,
    /// One of the ends has reset the connection.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(PipeState {
            data: VecDeque::new(),
            bound,
            closed: false,
            reader_dropped: false,
            reset: false,
            reader: None,
            writer: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, releases the lock, and wakes both tasks.
    fn change(&self, change: impl FnOnce(&mut PipeState)) {
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
        if state.reader_dropped || state.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let free_bytes = state.bound - state.data.len();
        if free_bytes == 0 && !buf.is_empty() {
            let before = state.writer.replace(cx.waker().clone());
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        let n = free_bytes.min(buf.len());
        state.data.extend(&buf[..n]);
        let woken = state.reader.take();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(n))
    }
}

impl PipeEnd {
    fn pipes(&self) -> [&Pipe; 2] {
        [&self.incoming, &self.outgoing]
    }
}

impl PipeLink {
    /// Returns true if a half still exists.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Link for PipeLink {
    fn poll_linger(&self, cx: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
        let end = &self.0;
        end.outgoing.change(|state| state.closed = true);
        // A task of the handler that still has a half gets the input.
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
            // Wakes the halves, so that they check the record.
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

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.outgoing.change(|state| state.closed = true);
        self.incoming.change(|state| state.reader_dropped = true);
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
