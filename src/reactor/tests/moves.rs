//! Sockets with a reactor that is not driven any more, and descriptors that no reactor accepts.

use std::fs::File;
use std::future::poll_fn;
use std::sync::{Barrier, mpsc};
use std::thread;

use rustix::event::epoll::{self, EventData, EventFlags};

use super::*;

/// Returns a socket with two waiting halves, and with a reactor that is not driven any more.
fn abandoned() -> (Socket, UnixStream, Arc<WakeCount>, Arc<WakeCount>) {
    let driver = driven();
    let (socket, peer) = pair();
    let (reads, writes) = (
        Arc::new(WakeCount::default()),
        Arc::new(WakeCount::default()),
    );
    assert!(read_with(socket.owner(), 8, &reads.clone().into(), drop).is_pending());
    fill(&socket, &writes.clone().into());
    driver.turn_once();
    assert_eq!((reads.times(), writes.times()), (0, 0));
    drop(driver);
    (socket, peer, reads, writes)
}

/// Checks that the socket reads and writes, each after a wait.
pub(super) fn assert_works(socket: &Socket, peer: &mut UnixStream, mut wait: impl FnMut()) {
    let woken = Arc::new(WakeCount::default());
    let waker = woken.clone().into();
    let mut woken_times = 0;
    let mut woken_again = || {
        for _ in 0..100_000 {
            wait();
            if woken.times() > woken_times {
                woken_times = woken.times();
                return;
            }
            thread::yield_now();
        }
        panic!("not woken");
    };
    for _ in 0..3 {
        while read_with(socket.owner(), 8, &waker, drop).is_ready() {}
        send(peer, b"abc");
        let moved = loop {
            match read_with(socket.owner(), 8, &waker, drop) {
                Poll::Ready(moved) => break moved.expect("read"),
                Poll::Pending => woken_again(),
            }
        };
        assert_eq!(moved, 3);
        fill(socket, &waker);
        empty(peer);
        let mut cx = Context::from_waker(&waker);
        while socket.poll_write(&mut cx, b"x").is_pending() {
            woken_again();
        }
        empty(peer);
    }
}

#[test]
fn waiting_tasks_are_woken_when_the_reactor_is_not_driven_any_more() {
    let (_socket, _peer, reads, writes) = abandoned();
    assert_eq!((reads.times(), writes.times()), (1, 1));
}

#[test]
fn a_socket_works_with_another_reactor() {
    let (socket, mut peer, ..) = abandoned();
    empty(&mut peer);
    let driver = driven();
    assert_works(&socket, &mut peer, || driver.turn_once());
}

#[test]
fn a_socket_works_with_its_reactor_when_that_is_driven_again() {
    let reactor = Reactor::new().expect("a reactor");
    let (socket, mut peer) = pair();
    for _ in 0..3 {
        let driver = reactor.drive().expect("driven");
        assert_works(&socket, &mut peer, || driver.turn_once());
    }
    assert_eq!(super::super::lock(&reactor.registrations).len(), 1);
}

#[test]
fn a_socket_works_on_a_thread_without_a_reactor() {
    let (socket, mut peer, ..) = abandoned();
    empty(&mut peer);
    assert_works(&socket, &mut peer, || {});
    // It stays with async-io when the thread has a reactor again.
    let driver = driven();
    assert_works(&socket, &mut peer, || driver.turn_once());
}

#[test]
fn a_socket_moves_to_the_reactor_of_the_thread_that_polls_it() {
    let first = driven();
    let (socket, mut peer) = pair();
    let woken = Arc::new(WakeCount::default());
    let writes = blocked(socket.owner(), Direction::Write, &woken.clone().into());
    assert!(writes.is_pending());
    first.turn_once();
    let before = woken.times();
    thread::scope(|scope| {
        scope.spawn(|| {
            let second = driven();
            for _ in 0..2 {
                let read = read_with(socket.owner(), 8, &woken.clone().into(), drop);
                assert!(read.is_pending());
            }
            assert_eq!(super::super::lock(&second.reactor.registrations).len(), 1);
            second.turn_once();
            send(&mut peer, b"abc");
            second.turn_once();
            assert!(woken.times() > before, "the second reactor wakes it");
            assert_moved(read(socket.owner(), 8, &mut 0), 3);
        });
    });
    first.turn_once();
    assert!(super::super::lock(&first.reactor.registrations).is_empty());
    assert!(super::super::lock(&first.reactor.retired).is_empty());
    assert_works(&socket, &mut peer, || first.turn_once());
}

#[test]
fn a_wait_with_async_io_costs_one_call_that_finds_nothing() {
    let (socket, mut peer) = pair();
    let woken = Arc::new(WakeCount::default());
    let waker = Waker::from(woken.clone());
    let mut calls = 0;
    for round in 0..100 {
        assert!(read_with(socket.owner(), 8, &waker, |_| calls += 1).is_pending());
        send(&mut peer, b"abc");
        while woken.times() == round {
            thread::yield_now();
        }
        assert_moved(read_with(socket.owner(), 8, &waker, |_| calls += 1), 3);
    }
    assert_eq!(calls, 2 * 100);
    assert_eq!(woken.times(), 100);
}

#[test]
fn a_late_wake_to_retry_does_no_harm() {
    let (socket, mut peer, ..) = abandoned();
    empty(&mut peer);
    for _ in 0..3 {
        assert_works(&socket, &mut peer, || {});
        socket.owner().wake_to_retry();
    }
    let driver = driven();
    let (socket, mut peer) = pair();
    for _ in 0..3 {
        assert_works(&socket, &mut peer, || driver.turn_once());
        socket.owner().wake_to_retry();
    }
}

#[test]
fn both_halves_may_register_at_once() {
    for round in 0..200 {
        let (socket, mut peer, ..) = abandoned();
        empty(&mut peer);
        let start = Arc::new(Barrier::new(2));
        let (writes, starts) = (socket.clone(), start.clone());
        let writer = thread::spawn(move || {
            let driver = (round % 2 == 0).then(driven);
            starts.wait();
            let polled = blocked(writes.owner(), Direction::Write, Waker::noop());
            assert!(polled.is_pending(), "{polled:?}");
            drop(driver);
        });
        start.wait();
        let polled = read_with(socket.owner(), 8, Waker::noop(), drop);
        assert!(polled.is_pending(), "{polled:?}");
        writer.join().expect("the writer waits as well");
        if round % 20 == 0 {
            assert_works(&socket, &mut peer, || {});
        }
    }
}

#[test]
fn a_reader_on_another_thread_is_woken_by_the_thread_of_the_reactor() {
    let driver = driven();
    let (socket, mut peer) = pair();
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    let (sender, receiver) = mpsc::channel();
    let reading = thread::spawn(move || {
        smol::block_on(async {
            let mut buf = [0; 8];
            for _ in 0..100 {
                let read = poll_fn(|cx| socket.poll_read(cx, &mut buf)).await;
                sender.send(read.expect("read")).expect("received");
            }
        });
    });
    for _ in 0..100 {
        send(&mut peer, b"abc");
        driver.turn(|| None, no_alarms).expect("turned");
        assert_eq!(receiver.recv_timeout(WAIT_TIMEOUT), Ok(3));
    }
    reading.join().expect("done");
}

#[test]
fn a_descriptor_that_no_reactor_accepts_is_an_error_for_both_halves() {
    for ours in [true, false] {
        let driver = ours.then(driven);
        // epoll refuses regular files.
        let file = File::open("/proc/self/exe").expect("opened");
        let socket = Socket::new(file.into());
        for direction in [Direction::Read, Direction::Write, Direction::Read] {
            assert_refused(&blocked(socket.owner(), direction, Waker::noop()));
        }
        drop(driver);
    }
}

#[test]
fn a_new_reactor_that_refuses_is_an_error_for_both_halves() {
    let (socket, _peer, reads, writes) = abandoned();
    let driver = driven();
    // The descriptor is in the epoll instance already, so adding it fails.
    let nothing = EventData::new_u64(0);
    epoll::add(&driver.reactor.epoll, &socket, nothing, EventFlags::ET).expect("added");
    let writer = writes.clone().into();
    assert_refused(&blocked(socket.owner(), Direction::Read, Waker::noop()));
    assert_refused(&blocked(socket.owner(), Direction::Write, &writer));
    assert!(reads.times() > 0 && writes.times() > 0);
    // Once adding works, both halves wait.
    epoll::delete(&driver.reactor.epoll, &socket).expect("deleted");
    for direction in [Direction::Read, Direction::Write] {
        assert!(blocked(socket.owner(), direction, Waker::noop()).is_pending());
    }
}

#[track_caller]
fn assert_refused(polled: &Poll<io::Result<()>>) {
    assert!(matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
}

/// The descriptor of a socket that other code uses.
#[test]
fn a_source_that_has_left_its_reactor_wakes_nothing_and_comes_back() {
    let driver = driven();
    let (socket, mut peer) = pair();
    let (woken, later) = (
        Arc::new(WakeCount::default()),
        Arc::new(WakeCount::default()),
    );
    let wait = |count: &Arc<WakeCount>| {
        let waker = count.clone().into();
        read_with(socket.owner(), 8, &waker, |_| {})
    };
    assert!(wait(&woken).is_pending());
    socket.owner().unregister();
    assert!(super::super::lock(&driver.reactor.registrations).is_empty());
    send(&mut peer, b"abc");
    driver.turn_once();
    assert_eq!(woken.times(), 0);
    assert_moved(wait(&later), 3);
    assert!(wait(&later).is_pending());
    send(&mut peer, b"d");
    driver.turn_once();
    assert_eq!(later.times(), 1);
    assert_moved(wait(&later), 1);
    // Without a registration it does nothing.
    let (new, _peer) = pair();
    new.owner().unregister();
}
