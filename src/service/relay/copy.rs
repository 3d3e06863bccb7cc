//! The loop of a relay: the bytes, ends and resets of each side become those of the other.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::{Chunk, Connection, Flag, Peer, Reader, Record, Writer, is_gone};
use crate::reason::Reason;

/// Relays between two connections, until both directions have ended.
///
/// * **Bytes** are passed on in order. A direction holds at most 64 KiB, and reads nothing while the
///   other side does not accept these. An idle direction has no buffer.
/// * **An end** of one side ends the output to the other side, and the other direction goes on. If
///   the other side [cannot half-close](crate::Peer::can_half_close), its whole stream ends there,
///   and so does the relay.
/// * **A reset** of one side, or any other error of its input, becomes a reset of the other side.
/// * **TLS**: if a side ends without `close_notify` or by a reset, the other side receives the
///   decrypted bytes and an end. Both connections have the reason
///   [`Truncated`](crate::Reason::Truncated).
/// * **A side that takes no more bytes** still has its own bytes passed on. If it then ends in order,
///   the relay ends without an error.
///
/// The limits of a server apply to the side that it accepted. Relayed bytes count as complete input,
/// so a minimum rate has no effect. During a drain a relay goes on until both sides end, and is reset
/// at the deadline.
///
/// If the future is dropped earlier, it resets each side that has not received the end of its input,
/// so that cut input is never taken for complete. Bytes that it holds are lost.
///
/// # Errors
///
/// The error of the side that was reset. Both sides are reset then.
///
/// # Examples
///
/// ```
/// use halves::{Connection, connect, service};
/// use std::io;
///
/// /// Passes each connection on to another server.
/// async fn handler(client: Connection) -> io::Result<()> {
///     let target = connect("127.0.0.1:7").await?;
///     service::relay(client, target).await
/// }
/// ```
pub fn relay<R1, W1, R2, W2>(
    near: Connection<R1, W1>,
    far: Connection<R2, W2>,
) -> impl Future<Output = io::Result<()>> + use<R1, W1, R2, W2>
where
    R1: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
    W2: AsyncWrite + Unpin,
{
    Relaying::new(near, far)
}

/// A relay that runs.
// Written by hand: an async function stores its arguments a second time in the task of each
// connection.
pub(super) struct Relaying<R1, W1, R2, W2> {
    near: Connection<R1, W1>,
    far: Connection<R2, W2>,
    /// From near to far.
    there: Direction,
    /// From far to near.
    back: Direction,
    /// Both directions are over, so the drop resets nothing.
    done: bool,
}

/// One direction of a relay, from a source to a sink.
#[derive(Default)]
struct Direction {
    /// Bytes that the source has sent and the sink has not accepted.
    unsent: Chunk,
    stage: Stage,
    /// Bytes were written since the last flush.
    unflushed: bool,
}

#[derive(Default)]
enum Stage {
    #[default]
    Copying,
    /// The source has ended. The sink is being closed.
    Closing,
    /// The source has failed. Bytes in front of the failure are being flushed.
    Failing(io::Error),
    /// The sink has the end.
    Ended,
    /// The sink accepts no more bytes.
    Refused(io::Error),
}

impl<R1, W1, R2, W2> Relaying<R1, W1, R2, W2> {
    pub(super) fn new(near: Connection<R1, W1>, far: Connection<R2, W2>) -> Self {
        Self {
            near,
            far,
            there: Direction::default(),
            back: Direction::default(),
            done: false,
        }
    }

    /// Resets each side that has not received an end.
    fn reset(&mut self) {
        if !self.there.is_ended() {
            reset(&self.far.peer);
        }
        if !self.back.is_ended() {
            reset(&self.near.peer);
        }
    }
}

impl<R1, W1, R2, W2> Future for Relaying<R1, W1, R2, W2>
where
    R1: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    R2: AsyncRead + Unpin,
    W2: AsyncWrite + Unpin,
{
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        for peer in [&this.near.peer, &this.far.peer] {
            // A server does this for its own connections.
            if peer.record().context().is_none() {
                peer.record().begin_poll();
            }
        }
        let (near, far) = (&mut this.near, &mut this.far);
        let there = this.there.poll(cx, &mut near.reader, &mut far.writer);
        let back = this.back.poll(cx, &mut far.reader, &mut near.writer);
        let result = match (there, back) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => Err(error),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => this.finish(),
            _ if this.has_whole_end() => Ok(()),
            _ => return Poll::Pending,
        };
        if result.is_err() {
            this.reset();
        }
        this.done = true;
        Poll::Ready(result)
    }
}

impl<R1, W1, R2, W2> Relaying<R1, W1, R2, W2> {
    /// Returns the result of two directions that are over.
    fn finish(&mut self) -> io::Result<()> {
        match (&mut self.there.stage, &self.back.stage) {
            (Stage::Refused(error), Stage::Refused(_)) => Err(error.kind().into()),
            _ => Ok(()),
        }
    }

    /// Returns true if an end was passed on to a side in which neither direction can end alone, and
    /// the bytes from that side are written.
    fn has_whole_end(&self) -> bool {
        let ended = |direction: &Direction, sink: &Peer, other: &Direction| {
            direction.is_ended() && !sink.can_half_close() && other.unsent.is_empty()
        };
        ended(&self.there, &self.far.peer, &self.back)
            || ended(&self.back, &self.near.peer, &self.there)
    }
}

impl<R1, W1, R2, W2> Drop for Relaying<R1, W1, R2, W2> {
    fn drop(&mut self) {
        if !self.done {
            self.reset();
        }
    }
}

impl Direction {
    fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// Moves bytes until one side waits. Ready when the direction is over.
    #[inline(always)]
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Reader<R>,
        sink: &mut Writer<W>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while let Stage::Copying = self.stage {
            if let Err(error) = ready!(self.poll_write(cx, sink)) {
                self.refuse(error, sink.record())?;
                break;
            }
            // The bytes are passed on, so they are no incomplete input.
            source.record().end_message();
            match source.poll_fill(cx, &mut self.unsent) {
                Poll::Ready(Ok(())) if self.unsent.is_empty() => self.stage = Stage::Closing,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.fail(error, source.record(), sink.record()),
                Poll::Pending if !self.unflushed => return Poll::Pending,
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

    /// Writes all bytes that are read.
    #[inline(always)]
    fn poll_write<W>(&mut self, cx: &mut Context<'_>, sink: &mut Writer<W>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
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
        Poll::Ready(Ok(()))
    }

    /// Passes on the end or the failure of the source.
    fn poll_end<W>(&mut self, cx: &mut Context<'_>, sink: &mut Writer<W>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
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
        self.stage = Stage::Refused(error);
        Ok(())
    }

    /// Handles an error of the source.
    #[cold]
    fn fail(&mut self, error: io::Error, source: &Arc<Record>, sink: &Record) {
        if error.kind() == ErrorKind::Interrupted {
            return;
        }
        if !is_truncation(source, &error) {
            self.stage = Stage::Failing(error);
            return;
        }
        source.set_cause(Reason::Truncated);
        sink.set_cause(Reason::Truncated);
        self.stage = Stage::Closing;
    }
}

/// Returns true if the error means that the TLS of this side has ended without `close_notify`.
fn is_truncation(source: &Arc<Record>, error: &io::Error) -> bool {
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

/// Resets a side, for the reason of a layer if that has failed.
#[cold]
fn reset(peer: &Peer) {
    let record = peer.record();
    record.abort(record.cause().unwrap_or(Reason::Error));
}
