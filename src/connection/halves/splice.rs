//! Reads and writes of plain sockets that move bytes through a pipe of the kernel, and are counted
//! as other reads and writes.

use std::any::Any;
use std::io;
use std::task::{Context, Poll, ready};

use super::{AnyRead, AnyWrite, Reader, Writer};
use crate::connection::{Flag, SocketGuard};
use crate::reactor::Pipe;

impl<R: 'static> Reader<R> {
    /// Returns the socket, if this half reads from a socket of this crate without a layer.
    pub(in crate::connection) fn plain_socket(&self) -> Option<&SocketGuard> {
        (self.io() as &dyn Any)
            .downcast_ref::<AnyRead>()?
            .plain_socket()
    }

    /// Returns true if there is nothing to read, and the task is woken when there is. Returns false
    /// if a read has to find out. `waited` is the result of the call before, if the half was not used
    /// since.
    #[inline(always)]
    pub(crate) fn is_waiting(&self, cx: &mut Context<'_>, waited: bool) -> bool {
        let Some(socket) = self.plain_socket() else {
            return false;
        };
        if !self.ahead.is_empty() || self.record.check().is_err() {
            return false;
        }
        // The waker is still there: before it is taken, the socket is marked as readable, or the
        // connection as ended.
        let is_registered = waited && socket.owner().waiting().reaches(cx.waker());
        if !(is_registered && socket.is_not_readable() || socket.is_unreadable(cx)) {
            return false;
        }
        self.record.reading.wait();
        true
    }
}

impl<R: futures_lite::AsyncRead + Unpin + 'static> Reader<R> {
    /// Returns true if [`poll_splice`](Self::poll_splice) may succeed.
    pub(crate) fn can_splice(&self) -> bool {
        self.plain_socket().is_some_and(can_splice)
    }

    /// Reads into an empty pipe. Returns the number of bytes, or 0 at the end of input.
    pub(crate) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_budget(cx))?;
        let read = self.poll_io(cx, |io, cx| {
            let half = (&*io as &dyn Any).downcast_ref::<AnyRead>();
            match half.and_then(AnyRead::plain_socket) {
                Some(socket) => socket.poll_splice_in(cx, pipe),
                None => Poll::Ready(Err(io::ErrorKind::InvalidInput.into())),
            }
        });
        let n = ready!(read)?;
        self.count_read(n, 0);
        Poll::Ready(Ok(n))
    }
}

impl<W: 'static> Writer<W> {
    /// Returns the socket, if this half writes to a socket of this crate without a layer.
    pub(in crate::connection) fn plain_socket(&self) -> Option<&SocketGuard> {
        (self.io() as &dyn Any)
            .downcast_ref::<AnyWrite>()?
            .plain_socket()
    }
}

impl<W: futures_lite::AsyncWrite + Unpin + 'static> Writer<W> {
    /// Returns true if this is a socket whose bytes are all in the kernel.
    #[inline(always)]
    pub(crate) fn is_flushed_socket(&self) -> bool {
        self.plain_socket()
            .is_some_and(|socket| !socket.owner().is_corked())
    }

    /// Returns true if [`poll_splice`](Self::poll_splice) may succeed.
    pub(crate) fn can_splice(&self) -> bool {
        self.plain_socket().is_some_and(can_splice)
    }

    /// Writes from the pipe, and returns the number of bytes.
    pub(crate) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_budget(cx))?;
        let written = match self.plain_socket() {
            Some(socket) => socket.poll_splice_out(cx, pipe),
            None => Poll::Ready(Err(io::ErrorKind::InvalidInput.into())),
        };
        self.count_written(written)
    }
}

/// A socket that other processes share may be in blocking mode, and a splice would block then.
fn can_splice(socket: &SocketGuard) -> bool {
    !socket.owner().flags.has(Flag::SharedSocket)
}
