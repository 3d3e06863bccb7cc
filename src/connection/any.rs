//! Halves whose type is hidden.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use crate::reactor::Socket;

/// A reading half of any type: a socket of our own, or what
/// [`Connection::erase`](crate::Connection::erase) was given.
pub struct AnyRead(Read);

/// A writing half of any type: a socket of our own, or what
/// [`Connection::erase`](crate::Connection::erase) was given.
pub struct AnyWrite(Write);

/// Sockets are not boxed: there are many, and each pays for what it is behind.
enum Read {
    Socket(Socket),
    Other(Box<dyn AsyncRead + Send + Unpin>),
}

enum Write {
    Socket(Socket),
    Other(Box<dyn AsyncWrite + Send + Unpin>),
}

impl AnyRead {
    pub(super) fn new(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self(Read::Other(Box::new(reader)))
    }

    pub(crate) fn socket(socket: Socket) -> Self {
        Self(Read::Socket(socket))
    }
}

impl AnyWrite {
    pub(super) fn new(writer: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Write::Other(Box::new(writer)))
    }

    pub(crate) fn socket(socket: Socket) -> Self {
        Self(Write::Socket(socket))
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
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Read::Socket(socket) => socket.poll_read(cx, buf),
            Read::Other(reader) => Pin::new(reader).poll_read(cx, buf),
        }
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Read::Socket(socket) => socket.poll_read_vectored(cx, bufs),
            Read::Other(reader) => Pin::new(reader).poll_read_vectored(cx, bufs),
        }
    }
}

impl AsyncWrite for AnyWrite {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Write::Socket(socket) => socket.poll_write(cx, buf),
            Write::Other(writer) => Pin::new(writer).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Write::Socket(socket) => socket.poll_write_vectored(cx, bufs),
            Write::Other(writer) => Pin::new(writer).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Write::Socket(_) => Poll::Ready(Ok(())),
            Write::Other(writer) => Pin::new(writer).poll_flush(cx),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Write::Socket(socket) => Poll::Ready(socket.shutdown(Shutdown::Write)),
            Write::Other(writer) => Pin::new(writer).poll_close(cx),
        }
    }
}
