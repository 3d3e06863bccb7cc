//! Wakers that panic: nobody else is kept asleep, and the loop goes on.

use std::panic::resume_unwind;

use super::lives::Does;
use super::*;

/// Panics once, without a word.
pub(super) fn panics() -> Waker {
    Does::waker(|| resume_unwind(Box::new("asked to")))
}

#[test]
fn all_the_others_of_a_batch_are_told() {
    let driver = driven();
    let woken = Arc::new(Woken::default());
    let mut pairs: Vec<_> = (0..9).map(|_| pair()).collect();
    for (n, (socket, _)) in pairs.iter().enumerate() {
        // Also the first and the last one, and two in a row.
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
fn a_writer_is_woken_where_the_reader_of_the_same_socket_panics() {
    let driver = driven();
    let (socket, peer) = pair();
    let woken = Arc::new(Woken::default());
    assert!(read_with(socket.owner(), 8, &panics(), drop).is_pending());
    let writes = blocked(socket.owner(), Direction::Write, &woken.clone().into());
    assert!(writes.is_pending());
    // It has been told that it may write when it was registered.
    driver.turn_once();
    assert_eq!(woken.times(), 1);
    let writes = blocked(socket.owner(), Direction::Write, &woken.clone().into());
    assert!(writes.is_pending());
    // Both at once.
    drop(peer);
    driver.turn_once();
    assert_eq!(woken.times(), 2);
}

#[test]
fn everyone_is_told_that_a_reactor_is_left() {
    let driver = driven();
    let woken = Arc::new(Woken::default());
    let pairs: Vec<_> = (0..3).map(|_| pair()).collect();
    for (socket, _) in &pairs {
        assert!(read_with(socket.owner(), 8, &panics(), drop).is_pending());
        let writes = blocked(socket.owner(), Direction::Write, &woken.clone().into());
        assert!(writes.is_pending());
    }
    drop(driver);
    assert_eq!(woken.times(), 3);
}
