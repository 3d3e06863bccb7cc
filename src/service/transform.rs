//! The loop of a service that reads bytes, changes them in place and sends them back.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::{Chunk, Reader, Writer};

/// The decision of a service about the bytes of one read.
pub(super) enum Answer {
    /// Sends the bytes, as the service has changed them.
    Send,
    /// Closes the connection without an answer.
    Close,
}

/// Reads bytes, passes them to `change` and sends the result, until the end of input; then closes.
// Written by hand: an async function stores its arguments a second time in the task of each
// connection.
pub(super) struct Transform<R, W, F> {
    reader: Reader<R>,
    writer: Writer<W>,
    change: F,
    /// Bytes that the writer has not accepted yet.
    unsent: Chunk,
    closing: bool,
}

impl<R, W, F> Transform<R, W, F> {
    pub(super) fn new(reader: Reader<R>, writer: Writer<W>, change: F) -> Self {
        Self {
            reader,
            writer,
            change,
            unsent: Chunk::default(),
            closing: false,
        }
    }
}

impl<R, W, F> Transform<R, W, F>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    F: FnMut(&mut [u8]) -> Answer + Unpin,
{
    #[inline(always)]
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.writer).poll_write(cx, &self.unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<R, W, F> Future for Transform<R, W, F>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    F: FnMut(&mut [u8]) -> Answer + Unpin,
{
    type Output = io::Result<()>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            ready!(this.poll_send(cx))?;
            if this.closing {
                return Pin::new(&mut this.writer).poll_close(cx);
            }
            ready!(this.reader.poll_fill_or_drain(cx, &mut this.unsent))?;
            this.closing = this.unsent.is_empty();
            if let Answer::Close = (this.change)(&mut this.unsent) {
                this.unsent = Chunk::default();
                this.closing = true;
            }
        }
    }
}
