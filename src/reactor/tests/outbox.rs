//! Gathered writes: when they are sent, in which pieces, and which call returns their error.

mod lost;
mod refused;
mod threads;

use std::io::IoSlice;
use std::sync::Weak;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::super::outbox::{MAX_GATHERED_BYTES, MAX_OUTBOX_BYTES};
use super::*;

/// Returns a socket, and a peer that receives each write apart: one `recv` returns what one `send`
/// sent.
fn messages() -> (Socket, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, peer) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a pair");
    (Socket::new(ours), peer)
}

/// Returns the lengths of the writes that have arrived since the last call.
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

/// Writes a text that has to be gathered.
#[track_caller]
fn put(socket: &Socket, text: &[u8]) {
    assert_moved(gather(socket, text), text.len());
    assert!(socket.owner().is_corked(), "not gathered");
}

fn weak(socket: &Socket) -> Weak<Source> {
    Arc::downgrade(socket.owner())
}

#[test]
fn small_writes_are_sent_together_at_the_end_of_the_turn() {
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
    assert_eq!(arrived(&peer), [], "sent once");
}

#[test]
fn each_of_many_sockets_sends_with_one_call() {
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
fn a_flush_a_read_and_the_drop_of_the_driver_send() {
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
fn a_socket_stays_open_until_its_outbox_is_sent() {
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
        let mut received = String::new();
        peer.read_to_string(&mut received).expect("an orderly end");
        assert_eq!(received, "last words");
        assert!(source.upgrade().is_none());
    }
}

#[test]
fn a_larger_write_is_sent_at_once_after_the_gathered_ones() {
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
    assert!(
        !socket.owner().is_corked(),
        "an empty write is not gathered"
    );
}

#[test]
fn the_slices_of_a_vectored_write_count_together() {
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
fn an_outbox_has_a_limit() {
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
fn nothing_is_gathered_on_a_thread_without_a_reactor() {
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
fn nothing_is_gathered_on_a_socket_registered_with_async_io() {
    let (socket, peer) = messages();
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    let _driver = driven();
    assert_moved(gather(&socket, b"abc"), 3);
    assert_eq!(arrived(&peer), [3]);
}

#[test]
fn nothing_is_gathered_after_the_end_of_output() {
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
    let mut received = [0; 13];
    peer.read_exact(&mut received).expect("received");
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(polled: Poll<io::Result<T>>) -> ErrorKind {
    match polled {
        Poll::Ready(Err(error)) => error.kind(),
        other => panic!("{other:?}, not an error"),
    }
}

#[test]
fn the_end_of_an_inner_turn_sends_for_the_outer_one() {
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
fn a_write_of_a_waker_at_the_end_of_a_turn_is_sent_in_that_turn() {
    let driver = driven();
    let ((socket, peer), (other, others)) = (messages(), messages());
    put(&socket, b"first");
    put(&socket, b"x");
    let other = Arc::new(other);
    let writes = other.clone();
    let waker = lifetimes::CallOnWake::waker(move || put(&writes, b"when it is woken"));
    let held = full(&socket);
    assert!(flush(&socket, &waker).is_pending());
    assert!(held);
    assert!(!arrived(&peer).is_empty());
    driver.turn_once();
    driver.end_turn();
    assert_eq!(arrived(&others), [16]);
    drop(other);
}

/// Fills the send buffer of the kernel, and returns true if the next send fails.
fn full(socket: &Socket) -> bool {
    let send = || rustix::net::send(socket, &[b'x'; 8192], rustix::net::SendFlags::NOSIGNAL);
    while send().is_ok() {}
    send().is_err()
}
