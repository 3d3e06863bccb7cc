//! A layer that has to write in order to read, and to read in order to write, as TLS has.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};

/// A byte of the stream follows.
const DATA: u8 = b'd';
/// Confirms a byte of the stream.
const RECEIPT: u8 = b'r';
/// Ends one direction.
const END: u8 = b'e';

/// The reader confirms each byte before it returns it. The writer sends no byte before the last one
/// is confirmed. Both halves keep what belongs to the other.
#[allow(clippy::struct_excessive_bools, reason = "they are independent")]
pub(crate) struct Receipts<R, W> {
    reader: R,
    writer: W,
    /// Bytes to send before anything else.
    out: VecDeque<u8>,
    /// The next byte is one of the stream.
    announced: bool,
    /// Bytes for the reader.
    received: VecDeque<u8>,
    /// A byte was sent, and is not confirmed yet.
    unconfirmed: bool,
    /// The peer has ended its direction; it may still confirm.
    ended: bool,
    /// The stream beneath has ended.
    gone: bool,
    /// The end of this direction was sent.
    closed: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Receipts<R, W> {
    pub(crate) fn new(reader: R, writer: W) -> Self {
        Self {
            reader,
            writer,
            out: VecDeque::new(),
            announced: false,
            received: VecDeque::new(),
            unconfirmed: false,
            ended: false,
            gone: false,
            closed: false,
        }
    }

    /// Sends the bytes in `out`.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(&byte) = self.out.front() {
            let writer = Pin::new(&mut self.writer);
            ready!(writer.poll_write(cx, &[byte]))?;
            self.out.pop_front();
        }
        Poll::Ready(Ok(()))
    }

    /// Receives one byte, for either half.
    fn poll_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let reader = Pin::new(&mut self.reader);
        if ready!(reader.poll_read(cx, &mut byte))? == 0 {
            (self.ended, self.gone) = (true, true);
        } else if self.announced {
            self.announced = false;
            self.received.push_back(byte[0]);
            self.out.push_back(RECEIPT);
        } else {
            match byte[0] {
                DATA => self.announced = true,
                RECEIPT => self.unconfirmed = false,
                END => self.ended = true,
                other => panic!("not a byte of the layer: {other}"),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> AsyncRead for Receipts<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let sent = self.poll_out(cx)?.is_ready();
            if sent && let Some(byte) = self.received.pop_front() {
                buf[0] = byte;
                return Poll::Ready(Ok(1));
            }
            if sent && self.ended {
                return Poll::Ready(Ok(0));
            }
            ready!(self.poll_in(cx))?;
        }
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> AsyncWrite for Receipts<R, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        loop {
            let sent = self.poll_out(cx)?.is_ready();
            if sent && !self.unconfirmed {
                self.unconfirmed = true;
                self.out.extend([DATA, buf[0]]);
                return Poll::Ready(Ok(1));
            }
            if self.gone {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            ready!(self.poll_in(cx))?;
        }
    }

    /// Waits until everything written is sent and confirmed.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let sent = self.poll_out(cx)?.is_ready();
            if self.gone || sent && !self.unconfirmed {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_in(cx))?;
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        if !self.closed {
            self.closed = true;
            self.out.push_back(END);
        }
        self.poll_out(cx)
    }
}
