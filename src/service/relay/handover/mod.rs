//! Moves running relays to another process.
//!
//! Each file imports only from files before it in this list: `message`, `channel`, `turns`,
//! `moving`, `listener`.

mod channel;
mod listener;
mod message;
mod moving;
mod turns;

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use super::copy::Relaying;
use crate::address::Address;
use crate::connection::{AnyRead, AnyWrite, Record};
use crate::reason::Reason;
use channel::Sender;
pub use listener::HandoverListener;
pub(super) use moving::{Arrived, arrived};
pub(super) use turns::Mover;
use turns::{Answer, Turns};

/// Moves the running relays of a [`Relay`](super::Relay) to another process, such as a new version
/// of the program.
///
/// A relay moves with both sockets, the bytes that it holds, its age and its counts. Its peers notice
/// nothing. Here the connection ends with the reason [`Handover`](Reason::Handover). There a
/// [`HandoverListener`] yields it, and it counts as accepted. Each process counts the bytes that it
/// has moved itself in [`Stats`](crate::stats::Stats); the connection's own counts, and its deadlines, go
/// on.
///
/// A relay stays, and goes on here, if one side is not a plain socket of this process, for example
/// because of TLS, or if it is about to be reset. One that still connects moves when it is
/// connected. A relay is either here or there at any time: it is given up after it was sent whole.
/// If the other process dies after that, the relays that it has are lost, and up to about ten in
/// the channel. If it takes no more, the others stay here.
///
/// Only on Linux.
///
/// # Examples
///
/// Both processes in one:
///
/// ```
/// use halves::service::{Handover, HandoverListener, Relay, Target, echo};
/// use halves::{Connection, Executor, Handle, Listeners, Server, bind, connect};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
///
/// let ex = Executor::new();
/// ex.block_on(async {
///     let origin = bind("127.0.0.1:0").await?;
///     let target = Target::new(origin.local_addrs()[0].to_string())?;
///     let echo = async |Connection { reader, writer, .. }| echo(reader, writer).await;
///     ex.spawn(halves::serve(ex.clone(), origin, echo)).detach();
///
///     let handover = Handover::default();
///     let relay = Relay::to(target.clone()).handover(&handover);
///     let old = async |old: Handle| {
///         let mut client = connect(old.local_addrs()[0].to_string()).await?;
///         client.writer.write_all(b"hello").await?;
///         client.reader.read_exact(&mut [0; 5]).await?;
///
///         let (ours, theirs) = socketpair(
///             AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
///         let relays = HandoverListener::new(Listeners::default(), theirs)?;
///         let relay = Relay::to(target);
///         ex.spawn(halves::serve(ex.clone(), relays, move |c| relay.serve(c))).detach();
///
///         let done = handover.send(ours).await?;
///         assert_eq!((done.moved, done.left), (1, 0));
///         client.writer.write_all(b"still").await?;
///         client.reader.read_exact(&mut [0; 5]).await
///     };
///     let clients = bind("127.0.0.1:0").await?;
///     let server = Server::default();
///     let (done, _) = server.serve_while(&ex, clients, move |c| relay.serve(c), old).await?;
///     done
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Default)]
pub struct Handover(Arc<Shared>);

#[derive(Default)]
struct Shared {
    turns: Arc<Turns>,
    /// One call sends at a time.
    is_sending: AtomicBool,
}

/// The result of [`Handover::send`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct HandedOver {
    /// The number of relays that the other process has.
    pub moved: usize,
    /// The number of relays that go on in this process.
    pub left: usize,
    /// The error after which the other process took no more.
    pub error: Option<io::Error>,
}

impl Handover {
    /// Moves the relays to the process at the other end of a channel, a socket of the type
    /// `SOCK_SEQPACKET`. It first waits until that process has a [`HandoverListener`].
    ///
    /// Returns when every relay has moved, has ended or stays. Those that connect to a target are
    /// waited for. A relay that begins later moves at once, for example if the server had just
    /// accepted its client; it does not count in the result. So the channel stays open until the next
    /// call, or until all clones of this value and the relays are dropped.
    ///
    /// If the future is dropped, the relays that have not moved stay.
    ///
    /// # Errors
    ///
    /// No relay has moved after an error:
    ///
    /// * [`InvalidInput`](ErrorKind::InvalidInput) for another type of socket.
    /// * [`UnexpectedEof`](ErrorKind::UnexpectedEof) if the other process has closed the channel.
    /// * [`Unsupported`](ErrorKind::Unsupported) if it expects another version of the messages.
    /// * [`ResourceBusy`](ErrorKind::ResourceBusy) if another call has not returned yet.
    /// * That of the system.
    ///
    /// # Examples
    ///
    /// See [`Handover`].
    pub async fn send(&self, channel: OwnedFd) -> io::Result<HandedOver> {
        let _sending = Sending::begin(&self.0.is_sending)?;
        let sender = Arc::new(Sender::new(channel)?);
        poll_fn(|cx| sender.poll_ready(cx)).await?;
        self.0.turns.begin();
        let (mut done, mut last) = (HandedOver::default(), 0);
        loop {
            let numbers = self.0.turns.after(last, &sender);
            if numbers.is_empty() {
                return Ok(done);
            }
            for (at, &number) in numbers.iter().enumerate() {
                match self.turn(number, &sender).await {
                    Answer::Moved => done.moved += 1,
                    Answer::Stays => done.left += 1,
                    Answer::Broken(error) => {
                        done.left += numbers.len() - at;
                        done.error = Some(error);
                        return Ok(done);
                    }
                    Answer::Ended | Answer::Full => {}
                }
                last = last.max(number);
            }
        }
    }

    async fn turn(&self, number: u64, sender: &Arc<Sender>) -> Answer {
        loop {
            if let Err(error) = poll_fn(|cx| sender.poll_room(cx)).await {
                return Answer::Broken(error);
            }
            match self.0.turns.ask(number, sender).await {
                Answer::Full => {}
                answer => return answer,
            }
        }
    }

    pub(super) fn mover(&self, near: &Arc<Record>) -> Mover {
        Mover::take(&self.0.turns, near)
    }
}

impl Mover {
    /// Gives the relay up if it has its turn. Returns true if another process has it now. Called after
    /// a poll of the relay in which it waits.
    pub(super) fn poll_move<R: 'static, W: 'static>(
        &self,
        relaying: &mut Relaying<R, W, AnyRead, AnyWrite>,
        target: &Address,
        task: &Waker,
    ) -> bool {
        // Before the check: a turn that begins after it wakes the task.
        relaying.near.peer.record().register_task(task);
        if !self.try_move(|sender| moving::give_up(relaying, target, sender)) {
            return false;
        }
        relaying.done = true;
        let record = relaying.near.peer.record();
        if !record.close(Reason::Handover) {
            // It was ended during the move. Only a reset ends it for both processes.
            record.abort(Reason::Handover);
        }
        true
    }
}

/// A running call of [`Handover::send`].
struct Sending<'a>(&'a AtomicBool);

impl<'a> Sending<'a> {
    fn begin(is_sending: &'a AtomicBool) -> io::Result<Self> {
        if is_sending.swap(true, Ordering::Acquire) {
            let what = "another handover of these relays is in progress";
            return Err(io::Error::new(ErrorKind::ResourceBusy, what));
        }
        Ok(Self(is_sending))
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").finish_non_exhaustive()
    }
}
