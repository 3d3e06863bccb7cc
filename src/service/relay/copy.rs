//! The loop of a relay: the bytes, ends and resets of each side become those of the other.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};

use super::direction::{Direction, Stage};
use crate::connection::{Connection, Peer, Record};
use crate::reason::Reason;
use crate::time::Clock;

/// The pause between two questions about the bytes that a peer has not acknowledged.
const DELIVERY_INTERVAL: Duration = Duration::from_millis(5);
/// The longest time for which a peer may acknowledge nothing before its reset.
const MAX_STALL: Duration = Duration::from_secs(2);

/// An extension of a peer: an end of its TLS without `close_notify` becomes a reset of the other side
/// of a [`relay`], instead of an end.
///
/// # Examples
///
/// ```
/// use halves::{Connection, service};
/// use std::io;
///
/// async fn strictly(client: Connection, target: Connection) -> io::Result<()> {
///     client.peer.set_extension(service::TruncatedResets);
///     service::relay(client, target).await
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TruncatedResets;

/// Relays between two connections, until both directions have ended.
///
/// * **Bytes** are passed on in order. A direction holds at most 64 KiB, and reads nothing while the
///   other side does not accept these. An idle direction has no buffer. Between plain sockets on
///   Linux, large transfers go through a pipe of the kernel, which holds up to 1 MiB. A program that
///   does not ignore SIGPIPE has no such pipes.
/// * **An end** of one side ends the output to the other side, and the other direction goes on. If
///   the other side [cannot half-close](crate::Peer::can_half_close), its whole stream ends there,
///   and so does the relay.
/// * **A reset** of one side, or any other error of its input, becomes a reset of the other side.
/// * **TLS**: if a side ends without `close_notify` or by a reset, the other side receives the
///   decrypted bytes and an end, or a reset if the peer of the first has [`TruncatedResets`]. Both
///   connections have the reason [`Truncated`](crate::Reason::Truncated). The reset waits until
///   the other side has the bytes, unless it takes none for 2 seconds.
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
    R1: AsyncRead + Unpin + 'static,
    W1: AsyncWrite + Unpin + 'static,
    R2: AsyncRead + Unpin + 'static,
    W2: AsyncWrite + Unpin + 'static,
{
    Relaying::new(near, far)
}

/// A relay that runs.
// Written by hand: an async function stores its arguments a second time in the task of each
// connection.
pub(super) struct Relaying<R1, W1, R2, W2> {
    pub(super) near: Connection<R1, W1>,
    pub(super) far: Connection<R2, W2>,
    /// From near to far.
    pub(super) there: Direction,
    /// From far to near.
    pub(super) back: Direction,
    /// Both directions are over, or another process has them, so the drop resets nothing.
    pub(super) done: bool,
    /// The error is that of the far side.
    has_far_failed: bool,
}

impl<R1, W1, R2, W2> Relaying<R1, W1, R2, W2> {
    pub(super) fn new(near: Connection<R1, W1>, far: Connection<R2, W2>) -> Self {
        Self {
            near,
            far,
            there: Direction::default(),
            back: Direction::default(),
            done: false,
            has_far_failed: false,
        }
    }

    pub(super) fn has_far_failed(&self) -> bool {
        self.has_far_failed
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
    R1: AsyncRead + Unpin + 'static,
    W1: AsyncWrite + Unpin + 'static,
    R2: AsyncRead + Unpin + 'static,
    W2: AsyncWrite + Unpin + 'static,
{
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        for peer in [&this.near.peer, &this.far.peer] {
            // A server does this for its own connections.
            if peer.record().context().is_none() {
                peer.record().reset_budgets();
            }
        }
        let (near, far) = (&mut this.near, &mut this.far);
        let there = this.there.poll(cx, &mut near.reader, &mut far.writer);
        let back = this.back.poll(cx, &mut far.reader, &mut near.writer);
        this.has_far_failed = match (&there, &back) {
            (Poll::Ready(Err(_)), _) => !this.there.has_source_failed(),
            (_, Poll::Ready(Err(_))) => this.back.has_source_failed(),
            _ => false,
        };
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
            direction.is_ended() && !sink.can_half_close() && other.is_drained()
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

/// Resets a side, for the reason of a layer if that has failed.
#[cold]
pub(super) fn reset(peer: &Peer) {
    let record = peer.record();
    record.abort(record.cause().unwrap_or(Reason::Error));
}

/// A failed source of which all bytes have to arrive at the sink.
pub(super) struct Cut {
    error: io::Error,
    delivered: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Cut {
    pub(super) fn new(error: io::Error, sink: &Arc<Record>) -> Self {
        Self {
            error,
            delivered: Box::pin(delivered(Peer::of(sink), sink.clock())),
        }
    }

    /// Returns the error when the bytes have arrived.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.delivered.as_mut().poll(cx));
        Poll::Ready(mem::replace(&mut self.error, io::ErrorKind::Other.into()))
    }
}

/// Waits until the system of the peer has all bytes, because a reset drops those that it has not.
async fn delivered(peer: Peer, clock: Clock) {
    let (mut left, mut stalled) = (usize::MAX, Duration::ZERO);
    while let Some(bytes @ 1..) = peer.unacknowledged() {
        stalled = if bytes < left {
            Duration::ZERO
        } else {
            stalled + DELIVERY_INTERVAL
        };
        if stalled >= MAX_STALL {
            return;
        }
        left = bytes;
        clock.sleep(DELIVERY_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_lite::future::{block_on, poll_once};

    use super::*;
    use crate::listener::memory;

    #[test]
    fn the_side_of_the_error_is_known() {
        for (near_resets, far_resets, is_far) in [
            (true, false, false),
            (false, true, true),
            // The error is that of the first.
            (true, true, false),
        ] {
            let (client, near) = memory::pair(10);
            let (far, origin) = memory::pair(10);
            let mut relaying = pin!(Relaying::new(near, far));
            for (peer, resets) in [(&client.peer, near_resets), (&origin.peer, far_resets)] {
                if resets {
                    peer.abort();
                }
            }
            let result = block_on(poll_once(relaying.as_mut())).expect("a reset");
            assert!(result.is_err());
            assert_eq!(relaying.has_far_failed(), is_far);
        }
    }

    #[test]
    fn an_error_of_the_output_is_that_of_its_side() {
        let (mut client, near) = memory::pair(10);
        block_on(futures_lite::AsyncWriteExt::write_all(
            &mut client.writer,
            b"a",
        ))
        .expect("room");
        let no_room: &'static mut [u8] = &mut [];
        let far = Connection::new(Silent, futures_lite::io::Cursor::new(no_room));
        let mut relaying = pin!(Relaying::new(near, far));
        let result = block_on(poll_once(relaying.as_mut())).expect("an error");
        assert_eq!(
            result.expect_err("no room").kind(),
            io::ErrorKind::WriteZero
        );
        assert!(relaying.has_far_failed());
    }

    /// An input without bytes.
    struct Silent;

    impl AsyncRead for Silent {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }
}
