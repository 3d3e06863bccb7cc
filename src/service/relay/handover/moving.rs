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
