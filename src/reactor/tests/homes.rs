//! Sockets whose reactor is driven no more, and those that no reactor takes.

use std::fs::File;
use std::future::poll_fn;
use std::sync::{Barrier, mpsc};
use std::thread;

use rustix::event::epoll::{self, EventData, EventFlags};

use super::*;

/// Both halves wait, with a reactor that is then driven no more.
fn abandoned() -> (Socket, UnixStream, Arc<Woken>, Arc<Woken>) {
    let driver = driven();
    let (socket, peer) = pair();
    let (reads, writes) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    assert!(read_with(socket.owner(), 8, &reads.clone().into(), drop).is_pending());
    fill(&socket, &writes.clone().into());
    driver.turn_once();
    assert_eq!((reads.times(), writes.times()), (0, 0));
    drop(driver);
    (socket, peer, reads, writes)
}

/// Reads and writes, each after having waited.
pub(super) fn check_that_it_works(socket: &Socket, peer: &mut UnixStream, mut wait: impl FnMut()) {
    let woken = Arc::new(Woken::default());
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
fn who_waits_is_woken_when_the_reactor_is_driven_no_more() {
    let (_socket, _peer, reads, writes) = abandoned();
    assert_eq!((reads.times(), writes.times()), (1, 1));
}

#[test]
fn a_socket_goes_on_with_another_reactor() {
    let (socket, mut peer, ..) = abandoned();
    empty(&mut peer);
    let driver = driven();
    check_that_it_works(&socket, &mut peer, || driver.turn_once());
}

#[test]
fn a_socket_goes_on_with_its_own_reactor_when_that_is_driven_again() {
    let reactor = Reactor::new().expect("a reactor");
    let (socket, mut peer) = pair();
    for _ in 0..3 {
        let driver = reactor.drive().expect("driven");
        check_that_it_works(&socket, &mut peer, || driver.turn_once());
    }
    assert_eq!(super::super::lock(&reactor.registrations).len(), 1);
}

#[test]
fn a_socket_goes_on_where_there_is_no_reactor_of_ours() {
    let (socket, mut peer, ..) = abandoned();
    empty(&mut peer);
    check_that_it_works(&socket, &mut peer, || {});
    // Where it stays, when we have one again.
    let driver = driven();
    check_that_it_works(&socket, &mut peer, || driver.turn_once());
}

#[test]
fn a_socket_moves_to_the_reactor_of_the_thread_that_polls_it() {
    let first = driven();
    let (socket, mut peer) = pair();
    let woken = Arc::new(Woken::default());
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
            assert!(woken.times() > before, "by the second one");
            assert_moved(read(socket.owner(), 8, &mut 0), 3);
        });
    });
    first.turn_once();
    assert!(super::super::lock(&first.reactor.registrations).is_empty());
    assert!(super::super::lock(&first.reactor.graveyard).is_empty());
    check_that_it_works(&socket, &mut peer, || first.turn_once());
}

#[test]
fn a_wait_with_async_io_costs_one_call_that_finds_nothing() {
    let (socket, mut peer) = pair();
    let woken = Arc::new(Woken::default());
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
fn a_word_that_comes_late_does_no_harm() {
    let (socket, mut peer, ..) = abandoned();
    empty(&mut peer);
    for _ in 0..3 {
        check_that_it_works(&socket, &mut peer, || {});
        socket.owner().wake_to_retry();
    }
    let driver = driven();
    let (socket, mut peer) = pair();
    for _ in 0..3 {
        check_that_it_works(&socket, &mut peer, || driver.turn_once());
        socket.owner().wake_to_retry();
    }
}

#[test]
fn both_halves_may_find_a_new_home_at_once() {
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
            check_that_it_works(&socket, &mut peer, || {});
        }
    }
}

#[test]
fn a_reader_elsewhere_is_woken_from_its_sockets_own_thread() {
    let driver = driven();
    let (socket, mut peer) = pair();
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    let (said, heard) = mpsc::channel();
    let reading = thread::spawn(move || {
        smol::block_on(async {
            let mut buf = [0; 8];
            for _ in 0..100 {
                let read = poll_fn(|cx| socket.poll_read(cx, &mut buf)).await;
                said.send(read.expect("read")).expect("heard");
            }
        });
    });
    for _ in 0..100 {
        send(&mut peer, b"abc");
        driver.turn(|| None, no_sleeps).expect("turned");
        assert_eq!(heard.recv_timeout(WAIT_TIMEOUT), Ok(3));
    }
    reading.join().expect("done");
}

#[test]
fn a_descriptor_that_no_reactor_takes_is_an_error_for_both_halves() {
    for ours in [true, false] {
        let driver = ours.then(driven);
        // A file cannot be waited for.
        let file = File::open("/proc/self/exe").expect("opened");
        let socket = Socket::new(file.into());
        for direction in [Direction::Read, Direction::Write, Direction::Read] {
            assert_refused(&blocked(socket.owner(), direction, Waker::noop()));
        }
        drop(driver);
    }
}

#[test]
fn a_new_home_that_refuses_is_an_error_for_both_halves() {
    let (socket, _peer, reads, writes) = abandoned();
    let driver = driven();
    // It is there already, so it cannot be added.
    let nothing = EventData::new_u64(0);
    epoll::add(&driver.reactor.epoll, &socket, nothing, EventFlags::ET).expect("added");
    let writer = writes.clone().into();
    assert_refused(&blocked(socket.owner(), Direction::Read, Waker::noop()));
    assert_refused(&blocked(socket.owner(), Direction::Write, &writer));
    assert!(reads.times() > 0 && writes.times() > 0);
    // As soon as it does not, both go on.
    epoll::delete(&driver.reactor.epoll, &socket).expect("deleted");
    for direction in [Direction::Read, Direction::Write] {
        assert!(blocked(socket.owner(), direction, Waker::noop()).is_pending());
    }
}

#[track_caller]
fn assert_refused(polled: &Poll<io::Result<()>>) {
    assert!(matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
}
