//! `Joined`: the two halves of a connection as one stream.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncBufRead, AsyncRead, AsyncWrite};

use crate::connection::{AnyRead, AnyWrite, Connection, Peer, Reader, Writer};

/// A connection as one stream that is both reader and writer, made by [`Connection::join`].
///
/// Both directions work as in the halves: reads and writes count, yield to other tasks, and fail
/// once the server has ended the connection. They wait apart, so one task may read while another
/// writes, for example through `futures_lite::io::split`.
#[derive(Debug)]
pub struct Joined<R = AnyRead, W = AnyWrite> {
    reader: Reader<R>,
    writer: Writer<W>,
    peer: Peer,
}

impl<R, W> Connection<R, W> {
    /// Joins the halves into one stream, for code that takes one value to read from and write to,
    /// as many crates for TLS, HTTP or SSH do.
    ///
    /// [`Joined::into_connection`] returns the connection. The reverse, a connection over one
    /// stream, is [`from_stream`](Self::from_stream).
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    /// use halves::listener::memory;
    /// use std::io;
    ///
    /// /// A client of another crate.
    /// async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<String> {
    ///     stream.write_all(b"time?\n").await?;
    ///     stream.close().await?;
    ///     let mut answer = String::new();
    ///     stream.read_to_string(&mut answer).await?;
    ///     Ok(answer)
    /// }
    ///
    /// # smol::block_on(async {
    /// let (near, mut far) = memory::pair(64);
    /// far.writer.write_all(b"12:00").await?;
    /// far.writer.close().await?;
    /// assert_eq!(ask(near.join()).await?, "12:00");
    /// assert_eq!(far.reader.line().await.unwrap().unwrap(), b"time?\n");
    /// # io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn join(self) -> Joined<R, W> {
        Joined {
            reader: self.reader,
            writer: self.writer,
            peer: self.peer,
        }
    }
}

impl<R, W> Joined<R, W> {
    /// Returns the peer of the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// let (near, _far) = halves::listener::memory::pair(64);
    /// assert_eq!(near.join().peer().bytes_in(), 0);
    /// ```
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns the connection. Nothing is lost: bytes that are read ahead stay in the reader.
    ///
    /// # Examples
    ///
    /// ```
    /// let (near, _far) = halves::listener::memory::pair(64);
    /// let connection = near.join().into_connection();
    /// assert_eq!(connection.peer.to_string(), "memory");
    /// ```
    pub fn into_connection(self) -> Connection<R, W> {
        Connection {
            reader: self.reader,
            writer: self.writer,
            peer: self.peer,
        }
    }
}

impl<R: AsyncRead + Unpin, W> AsyncRead for Joined<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.reader).poll_read_vectored(cx, bufs)
    }
}

impl<R: AsyncRead + Unpin, W> AsyncBufRead for Joined<R, W> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().reader).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, amt: usize) {
        Pin::new(&mut self.reader).consume(amt);
    }
}

impl<R, W: AsyncWrite + Unpin> AsyncWrite for Joined<R, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}
