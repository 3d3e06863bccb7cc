//! The server's link to a TLS connection.

use std::io;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_lite::AsyncWrite;

use super::shared::Shared;
use crate::connection::{Link, is_gone};

impl<R: Send, W: AsyncWrite + Unpin + Send> Link for Shared<R, W> {
    fn poll_linger(&self, cx: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
        if !self.writer.is_gone() {
            match ready!(self.poll_close(cx)) {
                Err(error) if !is_gone(&error) => return Poll::Ready(Err(error)),
                _ => {}
            }
            // A task of the handler may still read.
            if self.has_halves() {
                return Poll::Ready(Ok(()));
            }
            // The input is not read through TLS. The link below discards it.
            self.reader.end();
            self.writer.end();
        }
        match &self.beneath {
            // An end that the handler has read is that of TLS.
            Some(link) => link.poll_linger(cx, false),
            None => Poll::Ready(Ok(())),
        }
    }

    fn is_flushed(&self) -> bool {
        // With close_notify, all that waits is sent.
        let is_closed = self.is_closed.load(Ordering::Acquire);
        let beneath = self.beneath.as_ref();
        is_closed && beneath.is_none_or(|link| link.is_flushed())
    }

    fn unsent(&self) -> Option<usize> {
        self.beneath.as_ref().and_then(|link| link.unsent())
    }

    fn abort(&self) {
        if let Some(link) = &self.beneath {
            link.abort();
        }
        self.reader.abort();
        self.writer.abort();
        self.wake();
    }

    fn ask_to_end(&self) -> bool {
        let beneath = self.beneath.as_ref();
        beneath.is_some_and(|link| link.ask_to_end())
    }

    fn close(&self) {
        if let Some(link) = &self.beneath {
            link.close();
        }
        self.wake();
    }
}
