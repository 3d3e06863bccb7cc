//! A relay that another process goes on with: the one side gives it up, the other one takes it over.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::{SocketType, sockopt};

use super::super::copy::{Relaying, reset};
use super::super::direction::{Direction, Stage};
use super::channel::{Received, Sender, file_of};
use super::message::{MAX_UNSENT_BYTES, Message, Side, Way};
use super::turns::Answer;
use crate::address::Address;
use crate::connection::{
    AnyRead, AnyWrite, Chunk, Connection, Flag, Ownership, Peer, Reader, Record,
};

/// A relay from another process, without its near side.
pub(in super::super) struct Arrived {
    pub(in super::super) far: Connection,
    pub(in super::super) there: Direction,
    pub(in super::super) back: Direction,
    pub(in super::super) target: Address,
}

/// The extension of a near side, until its relay goes on.
struct ArrivedSlot(Mutex<Option<Arrived>>);

/// Sends a relay to another process. If it has moved, the caller forgets it without ending a side.
pub(super) fn give_up<R: 'static, W: 'static>(
    relaying: &mut Relaying<R, W, AnyRead, AnyWrite>,
    target: &Address,
    sender: &Sender,
) -> Answer {
    let Some(mut message) = describe(relaying, target) else {
        return Answer::Stays;
    };
    let (near, far) = (relaying.near.peer.record(), relaying.far.peer.record());
    let (there, back) = (&*relaying.there.unsent, &*relaying.back.unsent);
    let mut answer = Answer::Stays;
    near.give_up_unsent(|near_unsent| {
        far.give_up_unsent(|far_unsent| {
            message.there.unsent = far_unsent.len() + there.len();
            message.back.unsent = near_unsent.len() + back.len();
            // They count when they are sent.
            message.carried.bytes_out -= near_unsent.len() as u64;
            let unsent = [far_unsent, there, near_unsent, back];
            answer = send((near, far), &message, &unsent, sender);
            let has_moved = matches!(answer, Answer::Moved);
            if has_moved {
                near.uncount_sent(near_unsent.len());
            }
            has_moved
        })
    });
    answer
}

/// Describes the relay, except for the bytes that it holds. These are in its chunks then. Returns
/// None if it cannot move.
fn describe<R: 'static, W: 'static>(
    relaying: &mut Relaying<R, W, AnyRead, AnyWrite>,
    target: &Address,
) -> Option<Message> {
    let Relaying {
        near,
        far,
        there,
        back,
        ..
    } = relaying;
    let records = [near.peer.record(), far.peer.record()];
    let is_ending = |record: &Arc<Record>| record.ending().is_some() || record.cause().is_some();
    let are_sockets = near.is_own_socket() && far.is_own_socket();
    if !are_sockets || records.into_iter().any(is_ending) {
        return None;
    }
    let ways = (way(&there.stage)?, way(&back.stage)?);
    collect(there, &mut near.reader).ok()?;
    collect(back, &mut far.reader).ok()?;
    let record = near.peer.record();
    let (transport, real) = (record.transport(), record.peer());
    Some(Message {
        carried: record.to_carry()?,
        real: (real != transport).then_some(real),
        near: side(record),
        far: side(far.peer.record()),
        there: ways.0,
        back: ways.1,
        target: target.to_string(),
    })
}

/// Returns None for a direction that is about to reset its sink.
fn way(stage: &Stage) -> Option<Way> {
    let refused = match stage {
        Stage::Copying | Stage::Closing | Stage::Ended => None,
        Stage::Refused(error) => Some(error.kind()),
        Stage::Failing(_) | Stage::Cutting(_) => return None,
    };
    Some(Way { unsent: 0, refused })
}

/// Moves the bytes of the pipe, and those that are read ahead, into the chunk.
fn collect<R>(direction: &mut Direction, source: &mut Reader<R>) -> io::Result<()> {
    let Direction { unsent, pipe, .. } = direction;
    append(unsent, |room| {
        if pipe.is_empty() {
            return Ok(0);
        }
        pipe.read(room)
    })?;
    drop(mem::take(pipe));
    let ahead = source.take_ahead();
    let mut ahead = &*ahead;
    append(unsent, |room| ahead.read(room))
}

/// Appends the bytes that `read` returns, until it returns none.
fn append(
    chunk: &mut Chunk,
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<()> {
    loop {
        let appended = chunk.poll_append(MAX_UNSENT_BYTES, |room| Poll::Ready(read(room)));
        match appended {
            Poll::Ready(Ok(1..)) => {}
            Poll::Ready(Ok(0)) | Poll::Pending => return Ok(()),
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
}

fn side(record: &Record) -> Side {
    Side {
        remote: record.transport(),
        local: (*record.local).clone(),
        has_failed: record.flags.has(Flag::ReadFailed),
    }
}

fn send(
    (near, far): (&Record, &Record),
    message: &Message,
    unsent: &[&[u8]],
    sender: &Sender,
) -> Answer {
    let Some(bytes) = message.encode() else {
        return Answer::Stays;
    };
    let file = (message.unsent() > 0).then(|| file_of(unsent)).transpose();
    let Ok(file) = file else {
        return Answer::Stays;
    };
    let send = |near: BorrowedFd<'_>, far: BorrowedFd<'_>| {
        let mut fds = vec![near, far];
        fds.extend(file.as_ref().map(AsFd::as_fd));
        sender.send(&bytes, &fds)
    };
    let sent = near.with_fd(|near| far.with_fd(|far| send(near, far)));
    match sent.flatten() {
        Some(Ok(())) => Answer::Moved,
        Some(Err(Errno::AGAIN)) => Answer::Full,
        Some(Err(error @ (Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN))) => {
            Answer::Broken(error.into())
        }
        // The relay, or this process, has too few resources for its move.
        Some(Err(_)) | None => Answer::Stays,
    }
}

/// Makes the near side of a relay that another process has given up. Its
/// [`Arrived`](Arrived) relay is an extension of it. Returns None if the message is wrong.
pub(super) fn take_over(received: Received) -> Option<Connection> {
    let message = Message::decode(&received.bytes)?;
    let mut fds = received.fds.into_iter();
    let (near, far) = (stream(fds.next()?)?, stream(fds.next()?)?);
    let file = fds.next().map(File::from);
    let mut offset = 0;
    let mut direction = |way: Way| {
        let mut unsent = Chunk::default();
        if way.unsent > 0 {
            read_at(file.as_ref()?, offset, way.unsent, &mut unsent).ok()?;
            offset += way.unsent;
        }
        Some(Direction::resumed(unsent, way.refused))
    };
    let (there, back) = (direction(message.there)?, direction(message.back)?);
    let target = message.target.parse().ok()?;
    let near = connection(near, message.near);
    let far = connection(far, message.far);
    let record = near.peer.record();
    record.carry(message.carried);
    if let Some(real) = message.real {
        record.set_real(real);
    }
    let arrived = Arrived {
        far,
        there,
        back,
        target,
    };
    near.peer
        .set_extension(ArrivedSlot(Mutex::new(Some(arrived))));
    Some(near)
}

/// Takes the relay of a near side that another process has given up.
pub(in super::super) fn arrived(near: &Peer) -> Option<Arrived> {
    let slot = near.extension::<ArrivedSlot>()?;
    slot.lock().take()
}

fn stream(socket: OwnedFd) -> Option<OwnedFd> {
    let kind = sockopt::socket_type(&socket);
    (kind == Ok(SocketType::STREAM)).then_some(socket)
}

/// Reads `length` bytes of a file.
fn read_at(file: &File, offset: usize, length: usize, chunk: &mut Chunk) -> io::Result<()> {
    let (mut at, end) = (offset as u64, (offset + length) as u64);
    append(chunk, |room| {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let length = room.len().min(left);
        let n = file.read_at(&mut room[..length], at)?;
        at += n as u64;
        Ok(n)
    })?;
    if at < end {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn connection(socket: OwnedFd, side: Side) -> Connection {
    let local = Arc::new(side.local);
    let connection = Connection::of_socket(socket, side.remote, local, Ownership::Ours);
    if side.has_failed {
        connection.peer.record().flags.set(Flag::ReadFailed);
    }
    connection
}

impl ArrivedSlot {
    fn lock(&self) -> MutexGuard<'_, Option<Arrived>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ArrivedSlot {
    fn drop(&mut self) {
        if let Some(arrived) = self.lock().take() {
            // Cut input must not look complete.
            reset(&arrived.far.peer);
        }
    }
}

#[cfg(all(test, not(halves_portable)))]
mod tests {
    use std::future::poll_fn;
    use std::os::unix::net::UnixStream;
    use std::pin::Pin;
    use std::task::Context;

    use futures_lite::future::poll_once;
    use futures_lite::{AsyncReadExt, AsyncWrite};
    use rustix::net::{AddressFamily, SocketFlags, socketpair};

    use super::super::channel::Receiver;
    use super::*;
    use crate::connection::{
        DeadlineCheck, Endpoint, ServerContext, ServerHooks, UnixName, Writer,
    };
    use crate::executor::Executor;
    use crate::reason::Reason;
    use crate::shutdown::Shutdown;
    use crate::time::Clock;

    struct NoHooks;

    impl ServerHooks for NoHooks {
        fn identify(&self, _: &Arc<Record>) -> Result<(), Reason> {
            Ok(())
        }
        fn deadlines(&self, _: &Record) -> Option<Box<dyn DeadlineCheck>> {
            None
        }
        fn dropped(&self, _: &Arc<Record>, _: usize) {}
        fn closed(&self, _: &Arc<Record>, _: Reason, _: Option<io::Error>) {}
    }

    fn pair() -> io::Result<[Connection; 2]> {
        let (one, other) = UnixStream::pair()?;
        one.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        let side = || Side {
            remote: Endpoint::Unix(UnixName::Unnamed),
            local: Endpoint::Unix(UnixName::Unnamed),
            has_failed: false,
        };
        Ok([one, other].map(|socket| connection(socket.into(), side())))
    }

    /// Makes a direction hold bytes in each place: `a` is in the kernel, `bc` is gathered, `def` is
    /// read.
    fn fill(cx: &mut Context<'_>, direction: &mut Direction, sink: &mut Writer) {
        for bytes in ["a", "bc"] {
            let written = Pin::new(&mut *sink).poll_write(cx, bytes.as_bytes());
            assert!(matches!(written, Poll::Ready(Ok(n)) if n == bytes.len()));
        }
        let mut read = &b"def"[..];
        append(&mut direction.unsent, |room| Read::read(&mut read, room)).expect("no error");
    }

    #[test]
    fn gathered_bytes_move_in_front_of_those_that_are_read_and_count_when_they_are_sent() {
        let moved = Executor::new().block_on(async {
            let ([mut client, near], [far, mut origin]) = (pair()?, pair()?);
            let hooks = Arc::new(NoHooks);
            let context = ServerContext::new(Clock::default(), Shutdown::default(), hooks);
            near.peer.record().serve(1, &Arc::new(context));
            let mut relaying = Relaying::new(near, far);
            let kind = SocketType::SEQPACKET;
            let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
            let (sender, receiver) = (Sender::new(ours)?, Receiver::new(theirs)?);
            let target = "127.0.0.1:9".parse().map_err(io::Error::from)?;
            // In one turn, at the end of which gathered bytes would be sent.
            poll_fn(|cx| {
                fill(cx, &mut relaying.there, &mut relaying.far.writer);
                fill(cx, &mut relaying.back, &mut relaying.near.writer);
                let answer = give_up(&mut relaying, &target, &sender);
                assert!(matches!(answer, Answer::Moved), "{answer:?}");
                Poll::Ready(())
            })
            .await;
            relaying.done = true;
            assert_eq!(relaying.near.peer.bytes_out(), 1);

            let received = poll_fn(|cx| receiver.poll_receive(cx)).await?;
            let near = take_over(received.expect("a message")).expect("it is right");
            let arrived = arrived(&near.peer).expect("a relay");
            assert_eq!(near.peer.bytes_out(), 1);
            assert_eq!(&*arrived.there.unsent, b"bcdef");
            assert_eq!(&*arrived.back.unsent, b"bcdef");
            for end in [&mut client, &mut origin] {
                let mut buf = [0; 8];
                assert_eq!(
                    end.reader.read(&mut buf).await?,
                    1,
                    "the byte in the kernel"
                );
                assert!(poll_once(end.reader.read(&mut buf)).await.is_none());
            }
            io::Result::Ok(())
        });
        moved.expect("no error");
    }
}
