//! `pieces`: a connection with a scripted input.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::Connection;

/// The output of a connection made by [`pieces`], also after the connection is dropped.
///
/// # Examples
///
/// See [`pieces`].
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    bytes: Vec<u8>,
    is_closed: bool,
}

impl Output {
    /// Returns the bytes that were written so far.
    ///
    /// # Examples
    ///
    /// See [`pieces`].
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Returns true if the writer was closed.
    ///
    /// # Examples
    ///
    /// ```
    /// let (connection, output) = halves::testing::pieces([b"hello"]);
    /// assert!(!output.is_closed());
    /// # drop(connection);
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a connection with an input that arrives in these pieces, then ends. Each read returns bytes of
/// one piece, and waits once before the next piece and before the end. Each write waits once, and takes
/// all bytes.
///
/// # Examples
///
/// ```
/// use futures_lite::future::block_on;
/// use halves::service::upper;
/// use halves::testing::pieces;
///
/// let (connection, output) = pieces(["he", "llo"]);
/// block_on(upper(connection.reader, connection.writer))?;
/// assert_eq!(output.bytes(), b"HELLO");
/// # std::io::Result::Ok(())
/// ```
pub fn pieces<T: AsRef<[u8]>>(input: impl IntoIterator<Item = T>) -> (Connection, Output) {
    let pieces = input.into_iter().map(|piece| piece.as_ref().to_vec());
    let reader = PieceReader {
        pieces: pieces.filter(|piece| !piece.is_empty()).collect(),
        has_waited: false,
    };
    let output = Output::default();
    let writer = OutputWriter {
        output: output.clone(),
        has_waited: false,
    };
    (Connection::new(reader, writer).erase(), output)
}

struct PieceReader {
    pieces: VecDeque<Vec<u8>>,
    /// True if the first piece, or the end, has arrived.
    has_waited: bool,
}

struct OutputWriter {
    output: Output,
    /// True if the next write does not wait.
    has_waited: bool,
}

impl AsyncRead for PieceReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if !std::mem::replace(&mut this.has_waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(piece) = this.pieces.front_mut() else {
            return Poll::Ready(Ok(0));
        };
        let n = piece.len().min(buf.len());
        buf[..n].copy_from_slice(&piece[..n]);
        piece.drain(..n);
        if piece.is_empty() {
            this.pieces.pop_front();
            this.has_waited = false;
        }
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for OutputWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut written = this.output.lock();
        if written.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        this.has_waited = !this.has_waited;
        if this.has_waited {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        written.bytes.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.lock().is_closed = true;
        Poll::Ready(Ok(()))
    }
}
