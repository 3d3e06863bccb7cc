//! Halves that record the results of the halves beneath.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use super::tape::{Tape, Way};

/// The reading half of a recorded connection.
///
/// # Examples
///
/// See [`record`](super::record).
pub struct RecordReader<R> {
    io: R,
    tape: Half,
}

/// The writing half of a recorded connection.
///
/// # Examples
///
/// See [`record`](super::record).
pub struct RecordWriter<W> {
    io: W,
    tape: Half,
}

/// A share in a record, which ends with the second one.
struct Half(Arc<Tape>);

impl<R> RecordReader<R> {
    /// `ahead` is read already.
    pub(super) fn new(io: R, ahead: &[u8], tape: &Arc<Tape>) -> Self {
        tape.data(Way::In, ahead);
        let tape = Half(tape.clone());
        Self { io, tape }
    }
}

impl<W> RecordWriter<W> {
    pub(super) fn new(io: W, tape: &Arc<Tape>) -> Self {
        let tape = Half(tape.clone());
        Self { io, tape }
    }
}

impl Half {
    /// Records a failure.
    fn check<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(_)) = polled {
            self.0.fail();
        }
        polled
    }

    /// Records the bytes that have passed, which are the first ones of `slices`.
    fn data<'a>(&self, way: Way, slices: impl Iterator<Item = &'a [u8]>, n: usize) {
        let mut left = n;
        let mut pieces = slices.filter_map(|slice| {
            let piece = &slice[..left.min(slice.len())];
            left -= piece.len();
            (!piece.is_empty()).then_some(piece)
        });
        let Some(first) = pieces.next() else { return };
        match pieces.next() {
            None => self.0.data(way, first),
            Some(second) => {
                let mut all = [first, second].concat();
                pieces.for_each(|piece| all.extend_from_slice(piece));
                self.0.data(way, &all);
            }
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.0.drop_half();
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for RecordReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        match polled {
            Poll::Ready(Ok(0)) if !buf.is_empty() => this.tape.0.end(Way::In),
            Poll::Ready(Ok(n)) => this.tape.0.data(Way::In, &buf[..n]),
            _ => {}
        }
        this.tape.check(polled)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_read_vectored(cx, bufs);
        let mut slices = bufs.iter().map(|buf| &**buf);
        match polled {
            Poll::Ready(Ok(0)) if slices.any(|slice| !slice.is_empty()) => {
                this.tape.0.end(Way::In);
            }
            Poll::Ready(Ok(n)) => this.tape.data(Way::In, slices, n),
            _ => {}
        }
        this.tape.check(polled)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for RecordWriter<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(n)) = polled {
            this.tape.0.data(Way::Out, &buf[..n]);
        }
        this.tape.check(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(n)) = polled {
            let slices = bufs.iter().map(|buf| &**buf);
            this.tape.data(Way::Out, slices, n);
        }
        this.tape.check(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_flush(cx);
        this.tape.check(polled)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_close(cx);
        match &polled {
            // The peer has closed the connection, or the output is ended already.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::NotConnected => {
                this.tape.0.end(Way::Out);
                return polled;
            }
            Poll::Ready(Ok(())) => this.tape.0.end(Way::Out),
            _ => {}
        }
        this.tape.check(polled)
    }
}

// The halves beneath are only polled through plain references, which require them to be `Unpin`.
impl<R> Unpin for RecordReader<R> {}
impl<W> Unpin for RecordWriter<W> {}

impl<R> fmt::Debug for RecordReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordReader").finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for RecordWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordWriter").finish_non_exhaustive()
    }
}
