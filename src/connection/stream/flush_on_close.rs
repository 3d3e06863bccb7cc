//! A writer that the server flushes and closes after the handler has dropped it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::AsyncWrite;

use crate::connection::Link;
use crate::connection::close::is_gone;
use crate::connection::shared::SharedStream;

/// Splits a writer into the handler's half and the server's link. Writers of files, pipes and standard
/// output buffer bytes, which are lost if the writer is dropped without a flush.
pub(crate) fn flush_on_close<W>(writer: W) -> (FlushOnClose<W>, Arc<FlushOnCloseLink<W>>)
where
    W: AsyncWrite + Send + Unpin + 'static,
{
    let shared = Arc::new(FlushOnCloseLink(SharedStream::new(writer)));
    (FlushOnClose(shared.clone()), shared)
}

/// The handler's half.
pub(crate) struct FlushOnClose<W>(Arc<FlushOnCloseLink<W>>);

/// The server's link to the writer.
pub(crate) struct FlushOnCloseLink<W>(SharedStream<W>);

impl<W: AsyncWrite + Unpin> FlushOnCloseLink<W> {
    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        empty: bool,
        write: impl FnOnce(Pin<&mut W>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.0
            .poll(|mut writer| match ready!(write(writer.as_mut(), cx))? {
                // The writers of this crate never accept 0 bytes. Some others that work on another
                // thread, such as smol's `Unblock`, do so after an error, which a flush returns.
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

impl<W: AsyncWrite + Unpin + Send> Link for FlushOnCloseLink<W> {
    fn poll_linger(&self, cx: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
        match ready!(self.poll_close(cx)) {
            Err(error) if !is_gone(&error) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn is_flushed(&self) -> bool {
        self.0.is_gone()
    }

    fn abort(&self) {
        self.0.abort();
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for FlushOnClose<W> {
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A writer that fails to close, with this error.
    struct Failing(io::ErrorKind);

    impl AsyncWrite for Failing {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(self.0.into()))
        }
    }

    #[test]
    fn a_linger_ignores_a_closed_peer_and_reports_other_errors() {
        let mut cx = Context::from_waker(Waker::noop());
        for (kind, is_error) in [
            (io::ErrorKind::NotConnected, false),
            (io::ErrorKind::BrokenPipe, false),
            (io::ErrorKind::ConnectionReset, false),
            (io::ErrorKind::StorageFull, true),
        ] {
            let (_half, link) = flush_on_close(Failing(kind));
            let Poll::Ready(ended) = link.poll_linger(&mut cx, false) else {
                panic!("the linger is pending");
            };
            assert_eq!(ended.is_err(), is_error, "{kind}");
            assert!(link.is_flushed());
        }
    }
}
