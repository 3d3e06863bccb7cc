//! The number of system calls, and events at every moment.

use super::*;

/// Returns a socket that is registered, after a read that found nothing.
fn waiting() -> (Driver, Socket, UnixStream) {
    let driver = driven();
    let (socket, peer) = pair();
    let mut calls = 0;
    assert!(read(socket.owner(), 8, &mut calls).is_pending());
    // One call before the registration, and none after it.
    assert_eq!(calls, 1);
    driver.turn_once();
    (driver, socket, peer)
}

#[test]
fn a_read_after_a_short_one_makes_no_call() {
    let (driver, socket, mut peer) = waiting();
    send(&mut peer, b"abc");
    driver.turn_once();
    let mut calls = 0;
    assert_moved(read(socket.owner(), 8, &mut calls), 3);
    assert!(read(socket.owner(), 8, &mut calls).is_pending());
    assert!(read(socket.owner(), 8, &mut calls).is_pending());
    assert_eq!(calls, 1);
    send(&mut peer, b"d");
    driver.turn_once();
    assert_moved(read(socket.owner(), 8, &mut calls), 1);
    assert_eq!(calls, 2);
}

#[test]
fn a_read_after_a_full_one_makes_a_call() {
    let (driver, socket, mut peer) = waiting();
    send(&mut peer, b"abcdefghij");
    driver.turn_once();
    let mut calls = 0;
    assert_moved(read(socket.owner(), 8, &mut calls), 8);
    assert_moved(read(socket.owner(), 8, &mut calls), 2);
    assert!(read(socket.owner(), 8, &mut calls).is_pending());
    assert_eq!(calls, 2);
}

#[test]
fn a_full_read_of_all_bytes_is_followed_by_one_more_call() {
    let (driver, socket, mut peer) = waiting();
    send(&mut peer, b"abcdefgh");
    driver.turn_once();
    let mut calls = 0;
    assert_moved(read(socket.owner(), 8, &mut calls), 8);
    assert!(read(socket.owner(), 8, &mut calls).is_pending());
    assert!(read(socket.owner(), 8, &mut calls).is_pending());
    assert_eq!(calls, 2);
}

#[test]
fn after_an_event_with_the_peers_end_a_short_read_is_followed_by_the_end() {
    let (driver, socket, mut peer) = waiting();
    send(&mut peer, b"abc");
    peer.shutdown(std::net::Shutdown::Write).expect("shut");
    driver.turn_once();
    let mut calls = 0;
    assert_moved(read(socket.owner(), 8, &mut calls), 3);
    assert_moved(read(socket.owner(), 8, &mut calls), 0);
    assert_moved(read(socket.owner(), 8, &mut calls), 0);
    assert_eq!(calls, 3);
}

#[test]
fn an_end_that_comes_after_a_short_read_is_read() {
    let (driver, socket, mut peer) = waiting();
    send(&mut peer, b"abc");
    driver.turn_once();
    let mut calls = 0;
    assert_moved(read(socket.owner(), 8, &mut calls), 3);
    drop(peer);
    assert!(read(socket.owner(), 8, &mut calls).is_pending());
    driver.turn_once();
    assert_moved(read(socket.owner(), 8, &mut calls), 0);
}

#[test]
fn bytes_that_arrive_right_after_a_short_read_are_read() {
    let (driver, socket, mut peer) = waiting();
    send(&mut peer, b"abc");
    driver.turn_once();
    let first = read_with(socket.owner(), 8, Waker::noop(), |_| {
        send(&mut peer, b"de");
        driver.turn_once();
    });
    assert_moved(first, 3);
    assert_moved(read(socket.owner(), 8, &mut 0), 2);
}

#[test]
fn bytes_that_arrive_right_after_an_empty_read_are_read() {
    let (driver, socket, mut peer) = waiting();
    // An edge without data: the flag is set, and the socket is empty.
    send(&mut peer, b"abcdefgh");
    driver.turn_once();
    assert_moved(read(socket.owner(), 8, &mut 0), 8);
    let mut results = Vec::new();
    let found = read_with(socket.owner(), 8, Waker::noop(), |result| {
        if results.is_empty() {
            send(&mut peer, b"late");
            driver.turn_once();
        }
        results.push(result);
    });
    assert_moved(found, 4);
    assert_eq!(results, [Err(Errno::AGAIN), Ok(4)]);
}

#[test]
fn bytes_that_arrive_before_the_registration_are_read() {
    let driver = driven();
    let (socket, mut peer) = pair();
    let woken = Arc::new(WakeCount::default());
    let waker = woken.clone().into();
    let found = read_with(socket.owner(), 8, &waker, |_| send(&mut peer, b"a"));
    assert!(found.is_pending());
    driver.turn_once();
    assert_eq!(woken.times(), 1);
    assert_moved(read(socket.owner(), 8, &mut 0), 1);
}

#[test]
fn a_writer_waits_for_room_and_is_woken_once() {
    let (driver, socket, mut peer) = waiting();
    let woken = Arc::new(WakeCount::default());
    let waker = woken.clone().into();
    fill(&socket, &waker);
    driver.turn_once();
    assert_eq!(woken.times(), 0);
    assert!(empty(&mut peer) > 0);
    driver.turn_once();
    driver.turn_once();
    assert_eq!(woken.times(), 1);
    let mut cx = Context::from_waker(&waker);
    assert_moved(socket.poll_write(&mut cx, b"abc"), 3);
}

#[test]
fn a_write_after_a_short_one_makes_no_call() {
    let (driver, socket, mut peer) = waiting();
    let (mut calls, mut cx) = (0, Context::from_waker(Waker::noop()));
    let mut write = |moved: usize| {
        let call = |_: BorrowedFd<'_>| {
            calls += 1;
            Ok(moved)
        };
        let short = |&moved: &usize| moved < 8;
        (
            Source::poll_io(socket.owner(), &mut cx, Direction::Write, call, short),
            calls,
        )
    };
    assert_moved(write(8).0, 8);
    assert_moved(write(5).0, 5);
    let (after, calls) = write(8);
    assert!(after.is_pending());
    assert_eq!(calls, 2);
    // An edge: there is room again.
    fill_and_empty(&socket, &mut peer);
    driver.turn_once();
    assert_moved(write(8).0, 8);
}

#[test]
fn room_that_appears_right_after_a_refused_write_is_used() {
    let (driver, socket, mut peer) = waiting();
    for refused in [Err(Errno::AGAIN), Ok(3)] {
        let mut calls = 0;
        let mut call = |_: BorrowedFd<'_>| {
            calls += 1;
            if calls > 1 {
                return Ok(8);
            }
            fill_and_empty(&socket, &mut peer);
            driver.turn_once();
            refused
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut write = || {
            Source::poll_io(
                socket.owner(),
                &mut cx,
                Direction::Write,
                &mut call,
                |&n: &usize| n < 8,
            )
        };
        if let Ok(short) = refused {
            assert_moved(write(), short);
        }
        assert_moved(write(), 8);
        assert_eq!(calls, 2);
    }
}

#[test]
fn a_reader_and_a_writer_are_woken_for_their_own_events() {
    let (driver, socket, mut peer) = waiting();
    let (reads, writes) = (
        Arc::new(WakeCount::default()),
        Arc::new(WakeCount::default()),
    );
    let (reader, writer) = (reads.clone().into(), writes.clone().into());
    fill(&socket, &writer);
    assert!(read_with(socket.owner(), 8, &reader, drop).is_pending());
    send(&mut peer, b"abc");
    driver.turn_once();
    assert_eq!((reads.times(), writes.times()), (1, 0));
    assert_moved(read(socket.owner(), 8, &mut 0), 3);
    assert!(read_with(socket.owner(), 8, &reader, drop).is_pending());
    empty(&mut peer);
    driver.turn_once();
    assert_eq!(writes.times(), 1);
}

/// Fills the socket without its source, and empties it again: an edge for the writer.
fn fill_and_empty(socket: &Socket, peer: &mut UnixStream) {
    use rustix::net::SendFlags;
    let send = || rustix::net::send(socket, &[b'x'; 8192], SendFlags::NOSIGNAL);
    while send().is_ok() {}
    empty(peer);
}
