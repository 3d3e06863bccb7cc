//! A stream as TLS is, only simpler: to read it has to write, and to write it has to read.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};

/// The next byte is one of the stream.
const DATA: u8 = b'd';
/// The receipt for such a byte.
const RECEIPT: u8 = b'r';
/// The end of one direction.
const END: u8 = b'e';

/// Each byte is acknowledged by the reader before it has it, and no byte is sent before the one
/// before it is acknowledged. Whoever reads keeps what is for the other.
#[allow(clippy::struct_excessive_bools, reason = "they are independent")]
pub(crate) struct Receipts<R, W> {
    reader: R,
    writer: W,
    /// What is to be sent, before anything else.
    out: VecDeque<u8>,
    /// A byte was announced, and comes next.
    announced: bool,
    /// Bytes for the reader.
    heard: VecDeque<u8>,
    /// A byte was sent, and its receipt has not come.
    unconfirmed: bool,
    /// The peer's end has come; receipts may still.
    ended: bool,
    /// The stream beneath has ended.
    gone: bool,
    /// Ours was sent.
    closed: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Receipts<R, W> {
    pub(crate) fn new(reader: R, writer: W) -> Self {
        Self {
            reader,
            writer,
            out: VecDeque::new(),
            announced: false,
            heard: VecDeque::new(),
            unconfirmed: false,
            ended: false,
            gone: false,
            closed: false,
        }
    }

    /// Sends what is to be sent.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(&byte) = self.out.front() {
            let writer = Pin::new(&mut self.writer);
            ready!(writer.poll_write(cx, &[byte]))?;
            self.out.pop_front();
        }
        Poll::Ready(Ok(()))
    }

    /// Takes one byte in, whoever it is for.
    fn poll_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let reader = Pin::new(&mut self.reader);
        if ready!(reader.poll_read(cx, &mut byte))? == 0 {
            (self.ended, self.gone) = (true, true);
        } else if self.announced {
            self.announced = false;
            self.heard.push_back(byte[0]);
            self.out.push_back(RECEIPT);
        } else {
            match byte[0] {
                DATA => self.announced = true,
                RECEIPT => self.unconfirmed = false,
                END => self.ended = true,
                other => panic!("nobody sends {other}"),
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
            if sent && let Some(byte) = self.heard.pop_front() {
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

    /// What was written is out, and confirmed.
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
