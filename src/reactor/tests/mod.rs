//! The behaviour of a reactor, one socket at a time. The tests call each turn of its loop.

mod clock;
mod forks;
mod lifetimes;
mod moves;
mod outbox;
mod panics;
mod partial;
mod races;
mod readiness;
mod schedules;
mod storm;
mod timers;
#[cfg(feature = "tokio")]
mod tokio;

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::source::Source;
use super::state::Direction;
use super::{DRIVEN, Driver, Reactor, Socket};

/// The longest time that a thread waits for something that must happen.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// A waker that counts its wakes.
#[derive(Default)]
struct WakeCount(AtomicUsize);

impl WakeCount {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Returns one of two connected sockets, and the other as a blocking socket of std.
fn pair() -> (Socket, UnixStream) {
    let (ours, peer) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("set");
    peer.set_read_timeout(Some(WAIT_TIMEOUT)).expect("set");
    (Socket::trusted(OwnedFd::from(ours)), peer)
}

/// Drives a new reactor.
fn driven() -> Driver {
    let reactor = Reactor::new().expect("a reactor");
    reactor.drive().expect("not driven")
}

/// The clock of a reactor without alarms, which never reads it.
fn no_alarms() -> Instant {
    panic!("an alarm is due")
}

impl Driver {
    /// Runs one turn with this limit, and returns true if there were events.
    fn wait(&self, wait: Option<Duration>, now: impl Fn() -> Instant) -> bool {
        self.turn(|| wait, now).expect("turned")
    }

    /// Handles the events that have arrived, without waiting.
    fn turn_once(&self) {
        self.turn(|| Some(Duration::ZERO), no_alarms)
            .expect("turned");
    }
}

/// Polls for a read of at most `room` bytes, and counts the system calls.
fn read(source: &Arc<Source>, room: usize, calls: &mut usize) -> Poll<io::Result<usize>> {
    read_with(source, room, Waker::noop(), |_| *calls += 1)
}

/// As [`read`], with a waker, and with a function to call between the system call and its result.
fn read_with(
    source: &Arc<Source>,
    room: usize,
    waker: &Waker,
    mut after: impl FnMut(rustix::io::Result<usize>),
) -> Poll<io::Result<usize>> {
    let mut buf = vec![0; room];
    let recv = |fd: BorrowedFd<'_>| {
        let moved = rustix::net::recv(fd, &mut *buf, RecvFlags::empty()).map(|(n, _)| n);
        after(moved);
        moved
    };
    let mut cx = Context::from_waker(waker);
    Source::poll_io(source, &mut cx, Direction::Read, recv, |&n| {
        n > 0 && n < room
    })
}

/// Polls a call that always would block.
fn blocked(source: &Arc<Source>, direction: Direction, waker: &Waker) -> Poll<io::Result<()>> {
    let mut cx = Context::from_waker(waker);
    Source::poll_io(
        source,
        &mut cx,
        direction,
        |_| Err(Errno::AGAIN),
        |()| false,
    )
}

/// Writes until the socket is full.
fn fill(socket: &Socket, waker: &Waker) {
    let mut cx = Context::from_waker(waker);
    while let Poll::Ready(written) = socket.poll_write(&mut cx, &[b'x'; 8192]) {
        assert!(written.expect("written") > 0);
    }
}

/// Reads all that has arrived, and returns its length in bytes.
fn empty(peer: &mut UnixStream) -> usize {
    peer.set_nonblocking(true).expect("set");
    let (mut buf, mut taken) = (vec![0; 65536], 0);
    let end = loop {
        match peer.read(&mut buf) {
            Ok(0) => break None,
            Ok(n) => taken += n,
            Err(error) => break Some(error.kind()),
        }
    };
    assert_eq!(end, Some(ErrorKind::WouldBlock));
    peer.set_nonblocking(false).expect("set");
    taken
}

#[track_caller]
fn assert_moved(polled: Poll<io::Result<usize>>, expected: usize) {
    match polled {
        Poll::Ready(Ok(moved)) => assert_eq!(moved, expected),
        other => panic!("{other:?}, not {expected}"),
    }
}

/// Checks that the end of the peer's input has arrived already.
#[track_caller]
fn assert_closed(peer: &mut UnixStream) {
    peer.set_nonblocking(true).expect("set");
    let read = peer.read(&mut [0]).map_err(|error| error.kind());
    // A reset, if something was not read.
    let closed = matches!(read, Ok(0) | Err(ErrorKind::ConnectionReset));
    assert!(closed, "{read:?}");
}

#[track_caller]
fn send(peer: &mut UnixStream, text: &[u8]) {
    peer.write_all(text).expect("sent");
}
