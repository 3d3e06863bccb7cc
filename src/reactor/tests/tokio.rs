//! Sockets that are registered with a runtime of tokio.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;

use ::tokio::runtime::{Builder, Runtime};
use ::tokio::task::yield_now;
use rustix::net::SendFlags;

use super::super::state::{FOREIGN, PARTIAL};
use super::super::unsent_bytes;
use super::moves::assert_works;
use super::*;

fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// Makes the runtime report the events that have arrived.
fn turn(runtime: &Runtime) {
    runtime.block_on(yield_now());
}

/// Returns a socket that is registered, after a read that found nothing.
fn waiting(runtime: &Runtime) -> (Socket, UnixStream) {
    let _here = runtime.enter();
    let (socket, peer) = pair();
    let mut calls = 0;
    assert!(read(socket.owner(), 8, &mut calls).is_pending());
    assert_eq!(
        calls, 1,
        "one call before the registration, and none after it"
    );
    turn(runtime);
    (socket, peer)
}

fn is_registered_with_tokio(socket: &Socket) -> bool {
    socket.owner().state.load() & (FOREIGN | PARTIAL) == FOREIGN
}

#[test]
fn a_read_after_a_short_one_makes_no_call() {
    let runtime = runtime();
    let (socket, mut peer) = waiting(&runtime);
    assert!(is_registered_with_tokio(&socket));
    let _here = runtime.enter();
    let woken = Arc::new(WakeCount::default());
    let waker = Waker::from(woken.clone());
    for round in 0..3 {
        let mut calls = 0;
        let mut read = || read_with(socket.owner(), 8, &waker, |_| calls += 1);
        assert!(read().is_pending());
        send(&mut peer, b"abc");
        turn(&runtime);
        assert_eq!(woken.times(), round + 1);
        assert_moved(read(), 3);
        assert!(read().is_pending());
        assert!(read().is_pending());
        assert_eq!(calls, 1);
    }
}

#[test]
fn a_writer_is_woken_when_there_is_room() {
    let runtime = runtime();
    let (socket, mut peer) = waiting(&runtime);
    let _here = runtime.enter();
    let woken = Arc::new(WakeCount::default());
    let waker = Waker::from(woken.clone());
    for round in 0..3 {
        fill(&socket, &waker);
        turn(&runtime);
        assert_eq!(woken.times(), round);
        empty(&mut peer);
        turn(&runtime);
        assert_eq!(woken.times(), round + 1);
    }
}

#[test]
fn bytes_after_urgent_data_are_read() {
    let runtime = runtime();
    let _here = runtime.enter();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (ours, _) = listener.accept().expect("accepted");
    ours.set_nonblocking(true).expect("set");
    let socket = Socket::trusted(OwnedFd::from(ours));
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    turn(&runtime);
    for (text, flags) in [
        (&b"abc"[..], SendFlags::empty()),
        (b"X", SendFlags::OOB),
        (b"defg", SendFlags::empty()),
    ] {
        assert_eq!(rustix::net::send(&peer, text, flags), Ok(text.len()));
    }
    while unsent_bytes(peer.as_fd()).expect("known") > 0 {
        thread::yield_now();
    }
    turn(&runtime);
    assert_moved(read(socket.owner(), 8, &mut 0), 3);
    assert_moved(read(socket.owner(), 8, &mut 0), 4);
}

#[test]
fn a_socket_outlives_its_runtime() {
    let ended = runtime();
    let (socket, mut peer) = waiting(&ended);
    let woken = Arc::new(WakeCount::default());
    {
        let _here = ended.enter();
        assert!(read_with(socket.owner(), 8, &woken.clone().into(), drop).is_pending());
    }
    drop(ended);
    assert_eq!(woken.times(), 1, "the waiting task tries again");
    assert_works(&socket, &mut peer, || {});
    assert!(!is_registered_with_tokio(&socket));
}

#[test]
fn a_socket_leaves_a_runtime_that_is_not_driven_for_a_reactor_of_ours() {
    let idle = runtime();
    let (socket, mut peer) = waiting(&idle);
    // Even if a task of the runtime drives our reactor.
    let _here = idle.enter();
    let driver = driven();
    assert_works(&socket, &mut peer, || driver.turn_once());
    assert_eq!(socket.owner().state.load() & FOREIGN, 0);
    assert_eq!(super::super::lock(&driver.reactor.registrations).len(), 1);
}

#[test]
fn a_socket_whose_reactor_is_not_driven_any_more_works_with_tokio() {
    let driver = driven();
    let (socket, mut peer) = pair();
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    drop(driver);
    let runtime = runtime();
    let _here = runtime.enter();
    assert_works(&socket, &mut peer, || turn(&runtime));
    assert!(is_registered_with_tokio(&socket));
}

#[test]
fn halves_in_two_runtimes_do_not_move_back_and_forth() {
    let (near, far) = (runtime(), runtime());
    let (socket, mut peer) = waiting(&near);
    let (reads, writes) = (
        Arc::new(WakeCount::default()),
        Arc::new(WakeCount::default()),
    );
    let poll = || {
        {
            let _here = near.enter();
            assert!(read_with(socket.owner(), 8, &reads.clone().into(), drop).is_pending());
        }
        let _there = far.enter();
        fill(&socket, &writes.clone().into());
    };
    poll();
    let times = || (reads.times(), writes.times());
    assert_eq!(times(), (1, 0), "the writer moves the socket");
    poll();
    poll();
    assert_eq!(times(), (1, 0), "it does not move again");
    empty(&mut peer);
    assert_works(&socket, &mut peer, || {});
}

#[test]
fn a_runtime_without_io_is_an_error_and_the_socket_works_elsewhere() {
    let (socket, mut peer) = pair();
    {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let _here = runtime.enter();
        for direction in [Direction::Read, Direction::Write] {
            let polled = blocked(socket.owner(), direction, Waker::noop());
            let Poll::Ready(Err(error)) = polled else {
                panic!("{polled:?}");
            };
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("enable_io"), "{error}");
        }
    }
    assert_works(&socket, &mut peer, || {});
}
