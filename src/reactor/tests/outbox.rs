//! Small writes that are gathered: when they leave, in which pieces, and who hears of what fails.

mod lost;
mod refused;
mod threads;

use std::io::IoSlice;
use std::sync::Weak;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::super::outbox::{MAX_GATHERED_BYTES, MAX_OUTBOX_BYTES};
use super::*;

/// A socket whose peer tells its writes apart: each `recv` is what one `send` has sent.
fn messages() -> (Socket, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, peer) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a pair");
    (Socket::new(ours), peer)
}

/// The lengths of what has arrived since the last call.
fn arrived(peer: &OwnedFd) -> Vec<usize> {
    let mut buf = vec![0; 2 * MAX_OUTBOX_BYTES];
    let recv = || rustix::net::recv(peer, &mut *buf, RecvFlags::empty());
    let lengths = std::iter::from_fn({
        let mut recv = recv;
        move || recv().ok().map(|(n, _)| n)
    });
    lengths.take_while(|&n| n > 0).collect()
}

fn gather(socket: &Socket, text: &[u8]) -> Poll<io::Result<usize>> {
    let mut cx = Context::from_waker(Waker::noop());
    socket.poll_write_gathered(&mut cx, &[IoSlice::new(text)])
}

fn flush(socket: &Socket, waker: &Waker) -> Poll<io::Result<()>> {
    socket.poll_flush(&Context::from_waker(waker))
}

/// What is taken in.
#[track_caller]
fn put(socket: &Socket, text: &[u8]) {
    assert_moved(gather(socket, text), text.len());
    assert!(socket.owner().is_corked(), "it went its own way");
}

fn weak(socket: &Socket) -> Weak<Source> {
    Arc::downgrade(socket.owner())
}

#[test]
fn small_writes_leave_together_at_the_end_of_the_turn() {
    let driver = driven();
    let (socket, peer) = messages();
    put(&socket, b"one, ");
    put(&socket, b"two, ");
    put(&socket, b"three");
    assert_eq!(arrived(&peer), []);
    driver.end_turn();
    assert_eq!(arrived(&peer), [15]);
    assert!(!socket.owner().is_corked());
    driver.end_turn();
    assert_eq!(arrived(&peer), [], "and once");
}

#[test]
fn those_of_many_sockets_leave_each_in_its_own_call() {
    let driver = driven();
    let pairs: Vec<_> = (0..100).map(|_| messages()).collect();
    for n in 1..4 {
        for (socket, _) in &pairs {
            put(socket, &vec![b'x'; n]);
        }
    }
    driver.end_turn();
    for (_, peer) in &pairs {
        assert_eq!(arrived(peer), [6]);
    }
}

#[test]
fn they_leave_on_flush_and_before_a_read_and_with_the_driver() {
    let driver = driven();
    let (socket, peer) = messages();
    put(&socket, b"a");
    put(&socket, b"b");
    assert!(matches!(flush(&socket, Waker::noop()), Poll::Ready(Ok(()))));
    assert_eq!(arrived(&peer), [2]);
    let mut cx = Context::from_waker(Waker::noop());
    put(&socket, b"abc");
    assert!(socket.poll_read(&mut cx, &mut [0; 8]).is_pending());
    assert_eq!(arrived(&peer), [3]);
    put(&socket, b"abcd");
    let mut buf = [0; 8];
    let bufs = &mut [io::IoSliceMut::new(&mut buf)];
    assert!(socket.poll_read_vectored(&mut cx, bufs).is_pending());
    assert_eq!(arrived(&peer), [4]);
    put(&socket, b"abcde");
    drop(driver);
    assert_eq!(arrived(&peer), [5]);
}

#[test]
fn the_socket_stays_open_until_they_have_left() {
    let driver = driven();
    for shared in [false, true] {
        let (socket, mut peer) = pair();
        if !shared {
            assert!(read(socket.owner(), 8, &mut 0).is_pending());
        }
        put(&socket, b"last words");
        let source = weak(&socket);
        drop(socket);
        driver.end_turn();
        let mut heard = String::new();
        peer.read_to_string(&mut heard).expect("an orderly end");
        assert_eq!(heard, "last words");
        assert!(source.upgrade().is_none());
    }
}

#[test]
fn what_is_larger_than_small_is_sent_as_it_is_and_keeps_its_place() {
    let driver = driven();
    let (socket, peer) = messages();
    for small in [MAX_GATHERED_BYTES - 1, MAX_GATHERED_BYTES] {
        put(&socket, &vec![b'x'; small]);
        assert_eq!(arrived(&peer), []);
        driver.end_turn();
        assert_eq!(arrived(&peer), [small]);
    }
    let large = vec![b'x'; MAX_GATHERED_BYTES + 1];
    assert_moved(gather(&socket, &large), large.len());
    assert_eq!(arrived(&peer), [large.len()]);
    put(&socket, b"first");
    assert_moved(gather(&socket, &large), large.len());
    assert_eq!(arrived(&peer), [5, large.len()]);
    put(&socket, b"first");
    let mut cx = Context::from_waker(Waker::noop());
    assert_moved(socket.poll_write(&mut cx, b"and second"), 10);
    assert_eq!(arrived(&peer), [5, 10]);
    assert_moved(gather(&socket, b""), 0);
    assert!(!socket.owner().is_corked(), "of nothing, nothing is kept");
}

#[test]
fn the_pieces_of_a_vectored_write_are_taken_in_whole_and_count_together() {
    let driver = driven();
    let (socket, peer) = messages();
    let mut cx = Context::from_waker(Waker::noop());
    let half = vec![b'x'; MAX_GATHERED_BYTES / 2];
    let mut write = |bufs: &[&[u8]]| {
        let bufs: Vec<_> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        assert_moved(
            socket.poll_write_gathered(&mut cx, &bufs),
            bufs.iter().map(|buf| buf.len()).sum(),
        );
    };
    write(&[&half, b"", &half]);
    write(&[b"and", b" more"]);
    assert_eq!(arrived(&peer), []);
    write(&[&half, &half, b"!"]);
    assert_eq!(
        arrived(&peer),
        [MAX_GATHERED_BYTES + 8, MAX_GATHERED_BYTES + 1]
    );
    driver.end_turn();
    assert_eq!(arrived(&peer), []);
}

#[test]
fn no_more_is_held_than_there_is_room_for() {
    let driver = driven();
    let (socket, peer) = messages();
    let (piece, rest) = (
        vec![b'x'; MAX_GATHERED_BYTES],
        vec![b'x'; MAX_GATHERED_BYTES - 1],
    );
    let fill = |last: &[u8]| {
        for _ in 0..MAX_OUTBOX_BYTES / MAX_GATHERED_BYTES - 1 {
            put(&socket, &piece);
        }
        put(&socket, last);
        assert_eq!(arrived(&peer), []);
    };
    for last in [&rest, &piece] {
        fill(last);
        driver.end_turn();
        assert_eq!(
            arrived(&peer),
            [MAX_OUTBOX_BYTES - MAX_GATHERED_BYTES + last.len()]
        );
    }
    fill(&rest);
    assert_moved(gather(&socket, b"ab"), 2);
    driver.end_turn();
    assert_eq!(arrived(&peer), [MAX_OUTBOX_BYTES - 1, 2]);
}

#[test]
fn nothing_is_gathered_where_turns_have_no_end() {
    let (socket, peer) = messages();
    assert_moved(gather(&socket, b"alone"), 5);
    assert_eq!(arrived(&peer), [5]);
    let driver = driven();
    put(&socket, b"driven");
    drop(driver);
    assert_eq!(arrived(&peer), [6]);
    assert_moved(gather(&socket, b"again"), 5);
    assert_eq!(arrived(&peer), [5]);
}

#[test]
fn nothing_is_gathered_on_a_socket_of_async_io() {
    let (socket, peer) = messages();
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    let _driver = driven();
    assert_moved(gather(&socket, b"abc"), 3);
    assert_eq!(arrived(&peer), [3]);
}

#[test]
fn nothing_is_gathered_after_the_end_was_said() {
    for how in [std::net::Shutdown::Write, std::net::Shutdown::Both] {
        let driver = driven();
        let (socket, _peer) = pair();
        put(&socket, b"before");
        driver.end_turn();
        socket.shutdown(how).expect("shut");
        for _ in 0..2 {
            let kind = refusal(gather(&socket, b"after"));
            assert_eq!(kind, ErrorKind::BrokenPipe);
        }
    }
    let driver = driven();
    let (socket, mut peer) = pair();
    socket.shutdown(std::net::Shutdown::Read).expect("shut");
    put(&socket, b"the other end");
    drop(driver);
    let mut heard = [0; 13];
    peer.read_exact(&mut heard).expect("heard");
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(polled: Poll<io::Result<T>>) -> ErrorKind {
    match polled {
        Poll::Ready(Err(error)) => error.kind(),
        other => panic!("{other:?}, and no error"),
    }
}

#[test]
fn a_turn_within_a_turn_ends_both() {
    let outer = driven();
    let (socket, peer) = messages();
    put(&socket, b"outer");
    let inner = driven();
    put(&socket, b"inner");
    inner.end_turn();
    assert_eq!(arrived(&peer), [10]);
    put(&socket, b"more");
    drop(inner);
    assert_eq!(arrived(&peer), [4]);
    put(&socket, b"outer again");
    outer.end_turn();
    assert_eq!(arrived(&peer), [11]);
}

#[test]
fn what_a_waker_writes_at_the_end_of_a_turn_leaves_with_it() {
    let driver = driven();
    let ((socket, peer), (other, others)) = (messages(), messages());
    put(&socket, b"first");
    put(&socket, b"x");
    let other = Arc::new(other);
    let writes = other.clone();
    let waker = lives::Does::waker(move || put(&writes, b"when it is woken"));
    let held = full(&socket);
    assert!(flush(&socket, &waker).is_pending());
    assert!(held);
    assert!(!arrived(&peer).is_empty());
    driver.turn_once();
    driver.end_turn();
    assert_eq!(arrived(&others), [16]);
    drop(other);
}

/// Leaves no room in the kernel for what is in the outbox.
fn full(socket: &Socket) -> bool {
    let send = || rustix::net::send(socket, &[b'x'; 8192], rustix::net::SendFlags::NOSIGNAL);
    while send().is_ok() {}
    send().is_err()
}
