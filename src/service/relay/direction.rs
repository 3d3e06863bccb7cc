//! One direction of a relay: bytes, the end and failures of a source become those of a sink.

use std::io::{self, ErrorKind};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};

use super::copy::{Cut, TruncatedResets};
use crate::connection::{CHUNK_BYTES, Chunk, Flag, Peer, Reader, Record, Writer, is_gone};
use crate::reactor::Pipe;
use crate::reason::Reason;

/// With fewer bytes in one read, a pipe is slower than a chunk.
const MIN_SPLICE_BYTES: usize = 16 * 1024;

/// One direction of a relay, from a source to a sink.
#[derive(Default)]
pub(super) struct Direction {
    /// Bytes that the source has sent and the sink has not accepted.
    pub(super) unsent: Chunk,
    pub(super) stage: Stage,
    /// The same, in a pipe of the kernel. The direction has a pipe only while bytes are in it.
    pub(super) pipe: Pipe,
    mode: Mode,
    /// Bytes were written since the last flush.
    unflushed: bool,
    /// The source has nothing to read, and wakes the task when it has.
    waits: bool,
}

/// The way in which the next bytes are moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Through a chunk, until it is full.
    #[default]
    Copy,
    /// Through a pipe, until a few bytes come.
    Splice,
    /// Through a chunk: the sockets cannot use a pipe.
    CopyOnly,
}

#[derive(Default)]
pub(super) enum Stage {
    #[default]
    Copying,
    /// The source has ended. The sink is being closed.
    Closing,
    /// The source has failed. Bytes in front of the failure are being flushed.
    Failing(io::Error),
    /// The same, and the bytes have to arrive before the reset.
    Cutting(Box<Cut>),
    /// The sink has the end.
    Ended,
    /// The sink accepts no more bytes.
    Refused(io::Error),
}

impl Direction {
    /// Goes on with bytes that are read already, and with a sink that may accept none.
    #[cfg(target_os = "linux")]
    pub(super) fn resumed(unsent: Chunk, refused: Option<ErrorKind>) -> Self {
        let stage = refused.map_or(Stage::Copying, |kind| Stage::Refused(kind.into()));
        Self {
            unsent,
            stage,
            ..Self::default()
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Returns true if an error of the direction is that of its source.
    pub(super) fn has_source_failed(&self) -> bool {
        matches!(self.stage, Stage::Failing(_) | Stage::Cutting(_))
    }

    /// Returns true if all bytes that are read are written.
    pub(super) fn is_drained(&self) -> bool {
        self.unsent.is_empty() && self.pipe.is_empty()
    }

    /// Moves bytes until one side waits. Ready when the direction is over.
    #[inline(always)]
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Reader<R>,
        sink: &mut Writer<W>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        while let Stage::Copying = self.stage {
            if let Err(error) = ready!(self.poll_write(cx, sink)) {
                self.refuse(error, sink.record())?;
                break;
            }
            // The bytes are passed on, so they are no incomplete input.
            source.record().end_message();
            match self.poll_read(cx, source, sink) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.fail(error, source.record(), sink.record()),
                Poll::Pending if !self.unflushed || sink.is_flushed_socket() => {
                    return Poll::Pending;
                }
                Poll::Pending => {
                    if let Err(error) = ready!(Pin::new(&mut *sink).poll_flush(cx)) {
                        self.refuse(error, sink.record())?;
                        break;
                    }
                    self.unflushed = false;
                    return Poll::Pending;
                }
            }
        }
        self.poll_end(cx, sink)
    }

    /// Reads the next bytes, or the end.
    #[inline(always)]
    fn poll_read<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Reader<R>,
        sink: &Writer<W>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        // Cheaper than a read.
        self.waits = source.is_waiting(cx, self.waits);
        if self.waits {
            // A read would also drop the empty buffer.
            self.unsent = Chunk::default();
            return Poll::Pending;
        }
        if self.mode == Mode::Splice
            && let Some(pipe) = Pipe::take()
        {
            return self.poll_splice(cx, source, pipe);
        }
        ready!(source.poll_fill(cx, &mut self.unsent))?;
        if self.unsent.is_empty() {
            self.stage = Stage::Closing;
        } else if self.unsent.len() == CHUNK_BYTES && self.mode == Mode::Copy {
            self.mode = if source.can_splice() && sink.can_splice() {
                Mode::Splice
            } else {
                Mode::CopyOnly
            };
        }
        Poll::Ready(Ok(()))
    }

    /// Reads the next bytes into a pipe, which returns to the pool if there are none.
    fn poll_splice<R>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Reader<R>,
        mut pipe: Pipe,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin + 'static,
    {
        // The bytes before are written.
        self.unsent = Chunk::default();
        match ready!(source.poll_splice(cx, &mut pipe)) {
            Ok(0) => self.stage = Stage::Closing,
            Ok(n) => {
                if n < MIN_SPLICE_BYTES {
                    self.mode = Mode::Copy;
                }
                self.pipe = pipe;
            }
            Err(error) if is_unsupported(&error) => self.mode = Mode::CopyOnly,
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all bytes that are read.
    #[inline(always)]
    fn poll_write<W>(&mut self, cx: &mut Context<'_>, sink: &mut Writer<W>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + 'static,
    {
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut *sink).poll_write(cx, &self.unsent)) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(n) => self.unsent.advance(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.unflushed = true;
        }
        if self.pipe.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.poll_write_pipe(cx, sink)
    }

    /// Writes all bytes of the pipe, and returns it to the pool.
    fn poll_write_pipe<W>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Writer<W>,
    ) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + 'static,
    {
        while !self.pipe.is_empty() {
            match ready!(sink.poll_splice(cx, &mut self.pipe)) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if is_unsupported(&error) => {
                    self.mode = Mode::CopyOnly;
                    let pipe = &mut self.pipe;
                    ready!(self.unsent.poll_fill(|buf| Poll::Ready(pipe.read(buf))))?;
                    return self.poll_write(cx, sink);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.pipe = Pipe::default();
        Poll::Ready(Ok(()))
    }

    /// Passes on the end or the failure of the source.
    fn poll_end<W>(&mut self, cx: &mut Context<'_>, sink: &mut Writer<W>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + 'static,
    {
        let closed = match &mut self.stage {
            Stage::Copying | Stage::Ended | Stage::Refused(_) => return Poll::Ready(Ok(())),
            Stage::Closing => {
                self.unsent = Chunk::default();
                ready!(Pin::new(&mut *sink).poll_close(cx))
            }
            Stage::Failing(error) => {
                // The sink is reset next. Its own error has no effect.
                let _ = ready!(Pin::new(&mut *sink).poll_flush(cx));
                return Poll::Ready(Err(mem::replace(error, ErrorKind::Other.into())));
            }
            Stage::Cutting(cut) => {
                let _ = ready!(Pin::new(&mut *sink).poll_flush(cx));
                return cut.poll(cx).map(Err);
            }
        };
        match closed {
            Ok(()) => self.stage = Stage::Ended,
            Err(error) => self.refuse(error, sink.record())?,
        }
        Poll::Ready(Ok(()))
    }

    /// Handles an error of the sink. One that is gone may have sent bytes before, which the other
    /// direction passes on. Other errors are returned.
    #[cold]
    fn refuse(&mut self, error: io::Error, sink: &Record) -> io::Result<()> {
        if !is_gone(&error) {
            return Err(error);
        }
        if error.kind() == ErrorKind::ConnectionReset {
            // The kernel reports a reset once, and an end of input after that.
            sink.flags.set(Flag::ReadFailed);
        }
        self.unsent = Chunk::default();
        self.pipe = Pipe::default();
        self.stage = Stage::Refused(error);
        Ok(())
    }

    /// Handles an error of the source.
    #[cold]
    fn fail(&mut self, error: io::Error, source: &Arc<Record>, sink: &Arc<Record>) {
        if error.kind() == ErrorKind::Interrupted {
            return;
        }
        if !is_truncation(source, &error) {
            self.stage = Stage::Failing(error);
            return;
        }
        source.set_cause(Reason::Truncated);
        sink.set_cause(Reason::Truncated);
        let resets = Peer::of(source).extension::<TruncatedResets>().is_some();
        self.stage = if resets {
            Stage::Cutting(Box::new(Cut::new(error, sink)))
        } else {
            Stage::Closing
        };
    }
}

/// Returns true if the kernel cannot splice between this socket and a pipe.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::Unsupported
    )
}

/// Returns true if the error means that the TLS of this side has ended without `close_notify`.
pub(super) fn is_truncation(source: &Arc<Record>, error: &io::Error) -> bool {
    use ErrorKind::{ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset) && is_tls(source)
}

#[cfg(feature = "tls")]
fn is_tls(record: &Arc<Record>) -> bool {
    Peer::of(record).tls().is_some()
}

#[cfg(not(feature = "tls"))]
fn is_tls(_: &Arc<Record>) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::net::UnixStream;

    use futures_lite::future::{or, poll_fn, poll_once};
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use smol::block_on;

    use super::*;
    use crate::connection::{Connection, Endpoint, Ownership, UnixName};

    fn pair() -> io::Result<[Connection; 2]> {
        let (one, other) = UnixStream::pair()?;
        one.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        Ok([one, other].map(|socket| {
            let unix = || Endpoint::Unix(UnixName::Unnamed);
            let local = Arc::new(unix());
            Connection::of_socket(socket.into(), unix(), local, Ownership::Ours)
        }))
    }

    #[test]
    fn a_direction_that_waits_has_no_buffer() -> io::Result<()> {
        let ([mut near, mut source], [mut sink, mut far]) = (pair()?, pair()?);
        for bytes in [1, CHUNK_BYTES - 1, CHUNK_BYTES] {
            let mut direction = Direction::default();
            let mut moves = poll_fn(|cx| {
                source.reader.record().begin_poll();
                sink.writer.record().begin_poll();
                direction.poll(cx, &mut source.reader, &mut sink.writer)
            });
            block_on(async {
                near.writer.write_all(&vec![7; bytes]).await?;
                let received = async {
                    far.reader.read_exact(&mut vec![0; bytes]).await?;
                    io::Result::Ok(())
                };
                or(&mut moves, received).await?;
                // The first wait may be that of the budget.
                for _ in 0..2 {
                    assert!(poll_once(&mut moves).await.is_none());
                }
                io::Result::Ok(())
            })?;
            assert_eq!(direction.unsent.capacity(), 0, "after {bytes} bytes");
            assert!(direction.pipe.is_empty());
        }
        Ok(())
    }
}
