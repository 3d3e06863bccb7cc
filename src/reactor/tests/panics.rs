//! Wakers that panic: all other tasks are woken, and the loop goes on.

use std::panic::resume_unwind;

use super::lifetimes::CallOnWake;
use super::*;

/// Returns a waker that panics once, without a message.
pub(super) fn panics() -> Waker {
    CallOnWake::waker(|| resume_unwind(Box::new("asked to")))
}

#[test]
fn all_other_tasks_of_a_batch_are_woken() {
    let driver = driven();
    let woken = Arc::new(WakeCount::default());
    let mut pairs: Vec<_> = (0..9).map(|_| pair()).collect();
    for (n, (socket, _)) in pairs.iter().enumerate() {
        // Among them the first and the last one, and two in a row.
        let waker = if [0, 3, 4, 8].contains(&n) {
            panics()
        } else {
            woken.clone().into()
        };
        assert!(read_with(socket.owner(), 8, &waker, drop).is_pending());
    }
    driver.turn_once();
    for (_, peer) in &mut pairs {
        send(peer, b"abc");
    }
    driver.turn_once();
    assert_eq!(woken.times(), 5);
    for (socket, _) in &pairs {
        assert_moved(read(socket.owner(), 8, &mut 0), 3);
    }
}

#[test]
fn a_writer_is_woken_if_the_waker_of_the_reader_panics() {
    let driver = driven();
    let (socket, peer) = pair();
    let woken = Arc::new(WakeCount::default());
    assert!(read_with(socket.owner(), 8, &panics(), drop).is_pending());
    let writes = blocked(socket.owner(), Direction::Write, &woken.clone().into());
    assert!(writes.is_pending());
    // The registration has reported that the socket is writable.
    driver.turn_once();
    assert_eq!(woken.times(), 1);
    let writes = blocked(socket.owner(), Direction::Write, &woken.clone().into());
    assert!(writes.is_pending());
    // Both halves are ready.
    drop(peer);
    driver.turn_once();
    assert_eq!(woken.times(), 2);
}

#[test]
fn all_tasks_are_woken_when_a_reactor_is_left() {
    let driver = driven();
    let woken = Arc::new(WakeCount::default());
    let pairs: Vec<_> = (0..3).map(|_| pair()).collect();
    for (socket, _) in &pairs {
        assert!(read_with(socket.owner(), 8, &panics(), drop).is_pending());
        let writes = blocked(socket.owner(), Direction::Write, &woken.clone().into());
        assert!(writes.is_pending());
    }
    drop(driver);
    assert_eq!(woken.times(), 3);
}
