//! Gathered bytes that cannot be sent: one call returns the error, once.

use std::net::{TcpListener, TcpStream};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;

use super::*;

pub(super) fn tcp() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    let (ours, _) = listener.accept().expect("it has connected");
    ours.set_nonblocking(true).expect("set");
    peer.set_read_timeout(Some(WAIT_TIMEOUT)).expect("set");
    (Socket::new(ours.into()), peer)
}

/// Resets the connection from the peer, and waits until the reset has arrived.
fn reset(socket: &Socket, peer: TcpStream) {
    sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).expect("set");
    drop(peer);
    let mut polled = [PollFd::new(socket, PollFlags::empty())];
    let timeout = Timespec::try_from(WAIT_TIMEOUT).expect("it fits");
    assert_eq!(poll(&mut polled, Some(&timeout)), Ok(1));
}

/// Returns a socket that has lost its gathered bytes.
fn losing() -> (Driver, Socket) {
    let driver = driven();
    let (socket, peer) = tcp();
    put(&socket, b"lost");
    reset(&socket, peer);
    driver.end_turn();
    (driver, socket)
}

type Call = fn(&Socket) -> Poll<io::Result<usize>>;

const WRITES: [Call; 4] = [
    |socket| gather(socket, b"small"),
    |socket| gather(socket, &[b'x'; MAX_GATHERED_BYTES + 1]),
    |socket| socket.poll_write(&mut Context::from_waker(Waker::noop()), b"plain"),
    |socket| {
        let mut cx = Context::from_waker(Waker::noop());
        socket.poll_write_vectored(&mut cx, &[IoSlice::new(b"plain")])
    },
];

fn is_flushed(socket: &Socket) -> Poll<io::Result<usize>> {
    flush(socket, Waker::noop()).map_ok(|()| 0)
}

fn is_read(socket: &Socket) -> Poll<io::Result<usize>> {
    socket.poll_read(&mut Context::from_waker(Waker::noop()), &mut [0; 8])
}

#[test]
fn the_next_write_or_flush_or_end_of_input_returns_the_error() {
    for call in WRITES.into_iter().chain([is_flushed as Call, is_read]) {
        let (_driver, socket) = losing();
        assert_eq!(refusal(call(&socket)), ErrorKind::ConnectionReset);
        // The error was returned. From now on each call returns the result of the kernel.
        assert_moved(is_flushed(&socket), 0);
        for write in WRITES {
            assert_eq!(refusal(write(&socket)), ErrorKind::BrokenPipe);
        }
        assert_moved(is_flushed(&socket), 0);
        assert_moved(is_read(&socket), 0);
    }
}

#[test]
fn a_reader_gets_the_end_of_a_peer_that_had_ended_before() {
    let driver = driven();
    let (socket, peer) = tcp();
    put(&socket, b"lost");
    peer.shutdown(std::net::Shutdown::Write).expect("open");
    reset(&socket, peer);
    driver.end_turn();
    assert_moved(is_read(&socket), 0);
    assert_eq!(refusal(is_flushed(&socket)), ErrorKind::BrokenPipe);
    assert_moved(is_flushed(&socket), 0);
}

#[test]
fn a_vectored_read_returns_the_error() {
    let (_driver, socket) = losing();
    let mut cx = Context::from_waker(Waker::noop());
    let mut read = || {
        let mut buf = [0; 8];
        let bufs = &mut [io::IoSliceMut::new(&mut buf)];
        socket.poll_read_vectored(&mut cx, bufs)
    };
    assert_eq!(refusal(read()), ErrorKind::ConnectionReset);
    assert_moved(read(), 0);
}

#[test]
fn bytes_received_before_are_read_first() {
    let driver = driven();
    let (socket, mut peer) = tcp();
    put(&socket, b"lost");
    peer.write_all(b"before").expect("sent");
    reset(&socket, peer);
    driver.end_turn();
    assert_moved(is_read(&socket), 6);
    let mut cx = Context::from_waker(Waker::noop());
    assert_moved(socket.poll_read(&mut cx, &mut []), 0);
    assert_eq!(refusal(is_read(&socket)), ErrorKind::ConnectionReset);
    assert_moved(is_read(&socket), 0);
}

#[test]
fn a_waiting_flush_returns_the_error() {
    let driver = driven();
    let (socket, peer) = tcp();
    fill(&socket, Waker::noop());
    put(&socket, b"lost");
    driver.end_turn();
    let woken = Arc::new(WakeCount::default());
    assert!(flush(&socket, &woken.clone().into()).is_pending());
    reset(&socket, peer);
    driver.turn_once();
    assert_eq!(woken.times(), 1);
    assert_eq!(refusal(is_flushed(&socket)), ErrorKind::ConnectionReset);
    assert_moved(is_flushed(&socket), 0);
}

#[test]
fn a_source_with_an_error_is_freed() {
    let (driver, socket) = losing();
    let source = weak(&socket);
    drop(socket);
    driver.turn_once();
    assert!(source.upgrade().is_none());
}

/// Bytes sent after the gap would look complete.
#[test]
fn nothing_is_sent_after_lost_bytes() {
    let driver = driven();
    let (socket, mut peer) = tcp();
    assert!(full(&socket));
    put(&socket, b"lost");
    // The descriptor is in the epoll instance already, so registering it fails.
    let nothing = EventData::new_u64(0);
    epoll::add(&driver.reactor.epoll, &socket, nothing, EventFlags::ET).expect("added");
    driver.end_turn();
    let error = refusal(gather(&socket, b"x"));
    assert_eq!(error, ErrorKind::AlreadyExists);
    epoll::delete(&driver.reactor.epoll, &socket).expect("deleted");
    let received = peer.read_to_end(&mut Vec::new());
    let kind = received.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::ConnectionReset));
    for write in WRITES {
        refusal(write(&socket));
    }
}

#[test]
fn a_waker_that_panics_leaves_no_descriptor_open() {
    let driver = driven();
    let (socket, mut peer) = pair();
    fill(&socket, Waker::noop());
    put(&socket, b"refused");
    assert!(flush(&socket, &panics::panics()).is_pending());
    let woken = Arc::new(WakeCount::default());
    let waker = woken.clone().into();
    let ends = socket.poll_flush_at_end(&Context::from_waker(&waker));
    assert!(ends.is_pending());
    drop(socket);
    empty(&mut peer);
    driver.turn_once();
    assert_eq!(woken.times(), 1, "both wakers are called");
    assert_eq!(empty_to_end(&mut peer), b"refused");
}

fn empty_to_end(peer: &mut UnixStream) -> Vec<u8> {
    let mut received = Vec::new();
    peer.read_to_end(&mut received).expect("an orderly end");
    received
}
