//! A writer that can still be flushed and closed when the handler has dropped it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::AsyncWrite;

use super::Link;
use super::slot::Slot;

/// Splits a writer into the handler's half and the server's hold on it: files, pipes and standard
/// output keep bytes back until they are flushed, and lose them when they are only dropped.
pub(crate) fn keep<W>(writer: W) -> (Kept<W>, Arc<Shared<W>>)
where
    W: AsyncWrite + Send + Unpin + 'static,
{
    let shared = Arc::new(Shared(Slot::new(writer)));
    (Kept(shared.clone()), shared)
}

/// The handler's half.
pub(crate) struct Kept<W>(Arc<Shared<W>>);

/// The server's hold.
pub(crate) struct Shared<W>(Slot<W>);

impl<W: AsyncWrite + Unpin> Shared<W> {
    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        empty: bool,
        write: impl FnOnce(Pin<&mut W>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.0
            .poll(|mut writer| match ready!(write(writer.as_mut(), cx))? {
                // A pipe to a thread takes nothing once the thread has met an error: a flush
                // tells it.
                0 if !empty => {
                    ready!(writer.poll_flush(cx))?;
                    Poll::Ready(Err(io::ErrorKind::WriteZero.into()))
                }
                n => Poll::Ready(Ok(n)),
            })
    }

    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.is_gone() {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(self.0.poll(|writer| writer.poll_close(cx)));
        self.0.end();
        Poll::Ready(result)
    }
}

impl<W: AsyncWrite + Unpin + Send> Link for Shared<W> {
    fn poll_linger(&self, cx: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
        self.poll_close(cx)
    }

    fn is_flushed(&self) -> bool {
        self.0.is_gone()
    }

    fn abort(&self) {
        self.0.abort();
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Kept<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let empty = buf.is_empty();
        self.0
            .poll_write(cx, empty, |writer, cx| writer.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let empty = bufs.iter().all(|buf| buf.is_empty());
        self.0
            .poll_write(cx, empty, |writer, cx| writer.poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (self.0.0).poll(|writer| writer.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}
