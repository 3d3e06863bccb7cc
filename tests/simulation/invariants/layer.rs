//! `Layer`: a layer that keeps written bytes until a flush, as TLS does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};
use halves::connection::{AnyRead, AnyWrite, WireReader, WireWriter};

/// The bytes from which a write waits for the stream below.
const MAX_KEPT_BYTES: usize = 512;

pub(crate) struct Layer {
    reader: WireReader<AnyRead>,
    writer: WireWriter<AnyWrite>,
    kept: Vec<u8>,
}

impl Layer {
    pub(crate) fn new(reader: WireReader<AnyRead>, writer: WireWriter<AnyWrite>) -> Self {
        Self {
            reader,
            writer,
            kept: Vec::new(),
        }
    }

    fn poll_kept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let n = ready!(Pin::new(&mut self.writer).poll_write(cx, &self.kept))?;
            self.kept.drain(..n);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Layer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Layer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.kept.len() >= MAX_KEPT_BYTES {
            ready!(self.poll_kept(cx))?;
        }
        self.kept.extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_kept(cx))?;
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_kept(cx))?;
        Pin::new(&mut self.writer).poll_close(cx)
    }
}
