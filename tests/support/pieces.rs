//! A stream that arrives in pieces.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::AsyncRead;

/// Its pieces, in order. It waits once at an empty piece.
#[derive(Debug)]
pub(crate) struct Pieces(pub(crate) VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(piece) = self.0.front_mut() else {
            return Poll::Ready(Ok(0));
        };
        if piece.is_empty() {
            self.0.pop_front();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let size = piece.len().min(buf.len());
        buf[..size].copy_from_slice(&piece[..size]);
        piece.drain(..size);
        if piece.is_empty() {
            self.0.pop_front();
        }
        Poll::Ready(Ok(size))
    }
}
