//! Halves whose type is hidden.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use super::record::Lodging;
use super::{Endpoint, Hold, Record};

/// A reading half of any type: a socket of our own, or what
/// [`Connection::erase`](crate::Connection::erase) was given.
// One pointer, as there are many: a socket is in the record that all parts of a connection share,
// and anything else is lodged there.
pub struct AnyRead(Hold);

/// A writing half of any type: a socket of our own, or what
/// [`Connection::erase`](crate::Connection::erase) was given.
pub struct AnyWrite(Hold);

impl AnyRead {
    pub(super) fn new(
        record: &Arc<Record>,
        reader: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        let hold = lodgings(record, |record| record.seldom().reader.is_free());
        hold.host().seldom().reader.put(Box::new(reader));
        Self(hold)
    }

    pub(super) fn of(socket: Hold) -> Self {
        Self(socket)
    }

    fn lodging(&self) -> &Lodging<dyn AsyncRead + Send + Unpin> {
        &self.0.host().seldom().reader
    }
}

impl AnyWrite {
    pub(super) fn new(
        record: &Arc<Record>,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let hold = lodgings(record, |record| record.seldom().writer.is_free());
        hold.host().seldom().writer.put(Box::new(writer));
        Self(hold)
    }

    pub(super) fn of(socket: Hold) -> Self {
        Self(socket)
    }

    fn lodging(&self) -> &Lodging<dyn AsyncWrite + Send + Unpin> {
        &self.0.host().seldom().writer
    }
}

/// The connection's own record, unless another half lives there already.
fn lodgings(record: &Arc<Record>, is_free: impl FnOnce(&Record) -> bool) -> Hold {
    if !record.is_socket() && is_free(record) {
        return Hold::of(record);
    }
    let (remote, local) = (Endpoint::Unknown, Arc::default());
    Hold::of(&Arc::new(Record::new(remote, local)))
}

fn with_lodger<L: ?Sized, T>(
    lodging: &Lodging<L>,
    poll: impl FnOnce(&mut L) -> Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
    // It is not there if it has panicked.
    let Some(mut lodger) = lodging.take() else {
        return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
    };
    let result = poll(&mut lodger);
    lodging.put(lodger);
    result
}

impl Drop for AnyRead {
    fn drop(&mut self) {
        if !self.0.host().is_socket() {
            drop(self.lodging().take());
        }
    }
}

impl Drop for AnyWrite {
    fn drop(&mut self) {
        if !self.0.host().is_socket() {
            drop(self.lodging().take());
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
        if self.0.host().is_socket() {
            return self.0.poll_read(cx, buf);
        }
        with_lodger(self.lodging(), |mut reader| {
            Pin::new(&mut reader).poll_read(cx, buf)
        })
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.0.host().is_socket() {
            return self.0.poll_read_vectored(cx, bufs);
        }
        with_lodger(self.lodging(), |mut reader| {
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
        if self.0.host().is_socket() {
            if self.0.host().gathers() {
                return self.0.poll_write_gathered(cx, &[IoSlice::new(buf)]);
            }
            return self.0.poll_write(cx, buf);
        }
        with_lodger(self.lodging(), |mut writer| {
            Pin::new(&mut writer).poll_write(cx, buf)
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.0.host().is_socket() {
            if self.0.host().gathers() {
                return self.0.poll_write_gathered(cx, bufs);
            }
            return self.0.poll_write_vectored(cx, bufs);
        }
        with_lodger(self.lodging(), |mut writer| {
            Pin::new(&mut writer).poll_write_vectored(cx, bufs)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.host().is_socket() {
            return self.0.poll_flush(cx);
        }
        with_lodger(self.lodging(), |mut writer| {
            Pin::new(&mut writer).poll_flush(cx)
        })
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.host().is_socket() {
            return self.0.poll_close(cx);
        }
        with_lodger(self.lodging(), |mut writer| {
            Pin::new(&mut writer).poll_close(cx)
        })
    }
}
