//! A reactor in the child of a fork. (`tests/isolated/forked.rs` forks.)

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Returns a reactor that was made before a fork, in the child.
fn inherited() -> Arc<Reactor> {
    let mut reactor = Reactor::new().expect("a reactor");
    let ours = Arc::get_mut(&mut reactor).expect("the only reference");
    ours.fork_check.fork();
    reactor
}

#[test]
fn an_inherited_reactor_is_not_driven() {
    let reactor = inherited();
    let driven = catch_unwind(AssertUnwindSafe(|| drop(reactor.drive())));
    let payload = driven.expect_err("it panics");
    let message = payload.downcast_ref::<String>().expect("a message");
    assert!(message.contains("before a fork"), "{message}");
}

#[test]
fn an_inherited_reactor_registers_no_source() {
    let reactor = inherited();
    let (socket, _peer) = pair();
    let refused = reactor.register(socket.as_fd(), socket.owner());
    let error = refused.expect_err("inherited").to_string();
    assert!(error.contains("before a fork"), "{error}");
}

#[test]
fn a_socket_moves_to_a_reactor_of_the_child() {
    let mut reactor = Reactor::new().expect("a reactor");
    let (socket, mut peer) = pair();
    let driver = reactor.drive().expect("driven");
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    drop(driver);
    // As after a fork, while the parent's thread drives the reactor.
    let copy = reactor.epoll.try_clone().expect("cloned");
    drop(socket.owner().reactor.lock().take());
    let ours = Arc::get_mut(&mut reactor).expect("the only reference");
    ours.fork_check.fork();
    ours.driven = DRIVEN.into();
    socket.owner().reactor.lock().set(reactor.clone());
    let driver = driven();
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    send(&mut peer, b"abc");
    driver.turn_once();
    assert_moved(read(socket.owner(), 8, &mut 0), 3);
    // The parent's registration is still there.
    let there = rustix::event::epoll::delete(copy, &socket);
    assert_eq!(there, Ok(()));
}
