//! Type-erased halves.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::state::BoxSlot;
use crate::connection::{Endpoint, Record, SocketGuard};

/// A type-erased reading half: a socket of this crate, or the half passed to
/// [`Connection::erase`](crate::Connection::erase).
// One pointer wide: each connection has two of these. The socket, or the boxed half, is stored in the
// record that all parts of a connection share.
pub struct AnyRead(SocketGuard);

/// A type-erased writing half: a socket of this crate, or the half passed to
/// [`Connection::erase`](crate::Connection::erase).
pub struct AnyWrite(SocketGuard);

impl AnyRead {
    pub(in crate::connection) fn new(
        record: &Arc<Record>,
        reader: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        let guard = free_record(record, |record| record.cold().reader.is_free());
        guard.owner().cold().reader.put(Box::new(reader));
        Self(guard)
    }

    pub(in crate::connection) fn of(socket: SocketGuard) -> Self {
        Self(socket)
    }

    pub(in crate::connection) fn socket(&self) -> &SocketGuard {
        &self.0
    }

    /// Returns the socket, if this is one.
    #[inline(always)]
    pub(super) fn plain_socket(&self) -> Option<&SocketGuard> {
        self.0.owner().is_socket().then_some(&self.0)
    }

    fn slot(&self) -> &BoxSlot<dyn AsyncRead + Send + Unpin> {
        &self.0.owner().cold().reader
    }
}

impl AnyWrite {
    pub(in crate::connection) fn new(
        record: &Arc<Record>,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let guard = free_record(record, |record| record.cold().writer.is_free());
        guard.owner().cold().writer.put(Box::new(writer));
        Self(guard)
    }

    pub(in crate::connection) fn of(socket: SocketGuard) -> Self {
        Self(socket)
    }

    pub(in crate::connection) fn socket(&self) -> &SocketGuard {
        &self.0
    }

    /// Returns the socket, if this is one.
    #[inline(always)]
    pub(super) fn plain_socket(&self) -> Option<&SocketGuard> {
        self.0.owner().is_socket().then_some(&self.0)
    }

    fn slot(&self) -> &BoxSlot<dyn AsyncWrite + Send + Unpin> {
        &self.0.owner().cold().writer
    }
}

/// Returns a guard of the connection's own record, or of a new one if the slot is in use.
fn free_record(record: &Arc<Record>, is_free: impl FnOnce(&Record) -> bool) -> SocketGuard {
    if !record.is_socket() && is_free(record) {
        return SocketGuard::of(record);
    }
    let (remote, local) = (Endpoint::Unknown, Arc::default());
    SocketGuard::of(&Arc::new(Record::new(remote, local)))
}

fn with_value<L: ?Sized, T>(
    slot: &BoxSlot<L>,
    poll: impl FnOnce(&mut L) -> Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
    // The slot is empty after a panic of the half.
    let Some(mut value) = slot.take() else {
        return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
    };
    let result = poll(&mut value);
    slot.put(value);
    result
}

impl Drop for AnyRead {
    fn drop(&mut self) {
        if !self.0.owner().is_socket() {
            drop(self.slot().take());
        }
    }
}

impl Drop for AnyWrite {
    fn drop(&mut self) {
        if !self.0.owner().is_socket() {
            drop(self.slot().take());
        }
    }
}

impl fmt::Debug for AnyRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyRead").finish_non_exhaustive()
    }
}

impl fmt::Debug for AnyWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyWrite").finish_non_exhaustive()
    }
}

impl AsyncRead for AnyRead {
    #[inline(always)]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.owner().is_socket() {
            return self.0.poll_read(cx, buf);
        }
        with_value(self.slot(), |mut reader| {
            Pin::new(&mut reader).poll_read(cx, buf)
        })
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.0.owner().is_socket() {
            return self.0.poll_read_vectored(cx, bufs);
        }
        with_value(self.slot(), |mut reader| {
            Pin::new(&mut reader).poll_read_vectored(cx, bufs)
        })
    }
}

impl AsyncWrite for AnyWrite {
    #[inline(always)]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.0.owner().is_socket() {
            if self.0.owner().gathers() {
                return self.0.poll_write_gathered(cx, &[IoSlice::new(buf)]);
            }
            return self.0.poll_write(cx, buf);
        }
        with_value(self.slot(), |mut writer| {
            Pin::new(&mut writer).poll_write(cx, buf)
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.0.owner().is_socket() {
            if self.0.owner().gathers() {
                return self.0.poll_write_gathered(cx, bufs);
            }
            return self.0.poll_write_vectored(cx, bufs);
        }
        with_value(self.slot(), |mut writer| {
            Pin::new(&mut writer).poll_write_vectored(cx, bufs)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.owner().is_socket() {
            return self.0.poll_flush(cx);
        }
        with_value(self.slot(), |mut writer| {
            Pin::new(&mut writer).poll_flush(cx)
        })
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.owner().is_socket() {
            return self.0.poll_close(cx);
        }
        with_value(self.slot(), |mut writer| {
            Pin::new(&mut writer).poll_close(cx)
        })
    }
}
