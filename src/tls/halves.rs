//! The two halves of a TLS connection.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use super::shared::Shared;
use crate::connection::{AnyRead, AnyWrite, Connection, WireReader, WireWriter};

/// A connection over TLS, as an [`Acceptor`](super::Acceptor) or a [`Connector`](super::Connector)
/// makes it from a connection with the halves `R` and `W`.
pub type TlsConnection<R = AnyRead, W = AnyWrite> = Connection<TlsReader<R, W>, TlsWriter<R, W>>;

/// The state of a TLS connection over the halves beneath it.
pub(super) type Layer<R, W> = Shared<WireReader<R>, WireWriter<W>>;

/// The reading half of a TLS connection.
///
/// A read of the stream takes up to 64 KiB, with several records. Between reads, at most the
/// beginning of a record is held, in a buffer of its size. The half of the writer is not needed
/// for reading: both may be used in two tasks at the same time, also while a write is blocked.
///
/// Dropping a read in progress loses no bytes.
///
/// # Errors
///
/// * [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the stream ends without the `close_notify` of
///   TLS: its last bytes may be missing.
/// * [`InvalidData`](io::ErrorKind::InvalidData) if the peer violates the protocol. It gets an alert.
///
/// Later reads repeat these errors.
pub struct TlsReader<R = AnyRead, W = AnyWrite>(pub(super) Arc<Layer<R, W>>);

/// The writing half of a TLS connection.
///
/// A write takes up to 64 KiB, and sends them in full records of 16 KiB, also from many small
/// slices. If the stream takes only a part of the records, the rest is sent by the next write, flush
/// or close, or while the reader waits for input. A writer that waits for other things flushes
/// first. An error of the stream is returned by one of these calls.
///
/// `close` sends `close_notify` and closes the stream beneath. The reading half stays open.
///
/// Dropping a write in progress loses no bytes: those that a write has accepted are sent in order,
/// and a write that was not ready has accepted none.
///
/// # Errors
///
/// * [`BrokenPipe`](io::ErrorKind::BrokenPipe) after a close.
/// * [`InvalidData`](io::ErrorKind::InvalidData) if the peer has violated the protocol.
pub struct TlsWriter<R = AnyRead, W = AnyWrite>(pub(super) Arc<Layer<R, W>>);

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> AsyncRead for TlsReader<R, W> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_vectored(cx, &mut [IoSliceMut::new(buf)])
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.0.poll_read(cx, bufs)
    }
}

impl<R, W: AsyncWrite + Unpin> AsyncWrite for TlsWriter<R, W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}

impl<R, W> Drop for TlsReader<R, W> {
    fn drop(&mut self) {
        self.0.drop_half();
    }
}

impl<R, W> Drop for TlsWriter<R, W> {
    fn drop(&mut self) {
        self.0.drop_half();
    }
}

impl<R, W> fmt::Debug for TlsReader<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsReader").finish_non_exhaustive()
    }
}

impl<R, W> fmt::Debug for TlsWriter<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsWriter").finish_non_exhaustive()
    }
}
