//! Gathered bytes that the kernel does not take at once: they are sent later.

use rustix::net::sockopt;

use super::*;

/// Returns a socket with bytes in its outbox, and with a full send buffer in the kernel.
fn waiting(registered: bool) -> (Driver, Socket, OwnedFd) {
    let driver = driven();
    let (socket, peer) = messages();
    if registered {
        assert!(read(socket.owner(), 8, &mut 0).is_pending());
    }
    assert!(full(&socket));
    put(&socket, b"refused");
    driver.end_turn();
    driver.turn_once();
    assert!(socket.owner().is_corked());
    (driver, socket, peer)
}

/// Reads all that the kernel had from the peer.
fn take(peer: &OwnedFd) {
    let lengths = arrived(peer);
    assert!(!lengths.is_empty() && lengths.iter().all(|&n| n == 8192));
}

#[test]
fn the_outbox_is_sent_when_the_kernel_has_room() {
    for registered in [true, false] {
        let (driver, socket, peer) = waiting(registered);
        take(&peer);
        assert_eq!(arrived(&peer), [], "only in a turn");
        driver.turn_once();
        assert_eq!(arrived(&peer), [7]);
        assert!(!socket.owner().is_corked());
        // Once more, on the same socket.
        assert!(full(&socket));
        put(&socket, b"refused again");
        driver.end_turn();
        take(&peer);
        driver.turn_once();
        assert_eq!(arrived(&peer), [13]);
    }
}

#[test]
fn a_dropped_socket_is_closed_after_its_outbox_is_sent() {
    for registered in [true, false] {
        let (driver, socket, peer) = waiting(registered);
        let source = weak(&socket);
        drop(socket);
        driver.turn_once();
        assert!(source.upgrade().is_some());
        take(&peer);
        driver.turn_once();
        assert_eq!(arrived(&peer), [7]);
        let end = rustix::net::recv(&peer, &mut [0; 8][..], RecvFlags::empty());
        assert_eq!(end.map(|(n, _)| n), Ok(0), "closed");
        driver.turn_once();
        assert!(source.upgrade().is_none(), "the source is freed");
    }
}

#[test]
fn the_outbox_is_sent_after_the_thread_has_left_its_loop() {
    for held in [true, false] {
        let driver = driven();
        let (socket, mut peer) = pair();
        let source = weak(&socket);
        fill(&socket, Waker::noop());
        put(&socket, b"refused");
        driver.end_turn();
        let held = held.then_some(socket);
        drop(driver);
        // Now async-io reports when the socket is writable.
        let (mut received, mut buf) = (Vec::new(), vec![0; 65536]);
        while !received.ends_with(b"refused") {
            let n = peer.read(&mut buf).expect("received");
            received.extend_from_slice(&buf[..n]);
        }
        assert_eq!(received.len() % 8192, 7);
        drop(held);
        assert_eq!(peer.read(&mut [0]).expect("closed"), 0);
        while source.upgrade().is_some() {
            std::thread::yield_now();
        }
    }
}

#[test]
fn the_outbox_is_sent_by_an_inner_driver() {
    let (_outer, socket, peer) = waiting(true);
    let inner = driven();
    take(&peer);
    inner.turn_once();
    assert_eq!(arrived(&peer), [7]);
    drop(socket);
}

#[test]
fn a_waiting_task_is_woken_when_the_outbox_is_empty() {
    type Wait = fn(&Socket, &Waker) -> bool;
    let waits: [Wait; 4] = [
        |socket, waker| flush(socket, waker).is_pending(),
        |socket, waker| {
            let mut cx = Context::from_waker(waker);
            socket.poll_write(&mut cx, b"later").is_pending()
        },
        |socket, waker| {
            let mut cx = Context::from_waker(waker);
            let large = vec![b'x'; MAX_GATHERED_BYTES + 1];
            let bufs = [IoSlice::new(&large)];
            socket.poll_write_gathered(&mut cx, &bufs).is_pending()
        },
        |socket, waker| {
            let mut cx = Context::from_waker(waker);
            socket.poll_write(&mut cx, b"").is_pending()
        },
    ];
    for wait in waits {
        let (driver, socket, peer) = waiting(true);
        let (early, woken) = (
            Arc::new(WakeCount::default()),
            Arc::new(WakeCount::default()),
        );
        assert!(wait(&socket, &early.clone().into()));
        // Another task waits from now on.
        assert!(wait(&socket, &woken.clone().into()));
        driver.turn_once();
        assert_eq!(woken.times(), 0);
        take(&peer);
        driver.turn_once();
        assert_eq!(woken.times(), 1);
        assert_eq!(arrived(&peer), [7]);
        assert!(!wait(&socket, &woken.into()));
    }
}

#[test]
fn writes_are_gathered_up_to_the_limit_meanwhile() {
    let driver = driven();
    let (socket, mut peer) = pair();
    fill(&socket, Waker::noop());
    let mut expected = Vec::new();
    let mut piece = |n: usize| {
        let from = expected.len();
        expected.extend((from..from + n).map(|at| at.to_le_bytes()[0]));
        expected[from..].to_vec()
    };
    put(&socket, &piece(MAX_GATHERED_BYTES));
    driver.end_turn();
    for _ in 0..2 {
        put(&socket, &piece(MAX_GATHERED_BYTES));
    }
    put(&socket, &piece(MAX_GATHERED_BYTES - 1));
    driver.end_turn();
    assert!(gather(&socket, b"ab").is_pending(), "one byte too many");
    put(&socket, &piece(1));
    assert!(gather(&socket, b"a").is_pending());
    let filled = empty(&mut peer);
    assert_eq!(filled % 8192, 0);
    driver.turn_once();
    assert!(!socket.owner().is_corked());
    let mut received = vec![0; MAX_OUTBOX_BYTES];
    peer.read_exact(&mut received).expect("all of it");
    assert!(received == expected);
}

#[test]
fn a_slow_peer_does_not_make_the_outbox_grow() {
    let driver = driven();
    let (socket, mut peer) = pair();
    sockopt::set_socket_send_buffer_size(&socket, 4096).expect("set");
    let (mut wrote, mut received) = (0_usize, 0_usize);
    let mut buf = vec![0; 3000];
    while received < 20 * MAX_OUTBOX_BYTES {
        // The outbox is never empty and never full.
        while wrote - received < MAX_OUTBOX_BYTES / 2 {
            let piece: Vec<_> = (wrote..wrote + 1000).map(byte).collect();
            assert_moved(gather(&socket, &piece), piece.len());
            wrote += piece.len();
        }
        driver.end_turn();
        driver.turn_once();
        let n = peer.read(&mut buf).expect("received");
        for (at, &got) in buf[..n].iter().enumerate() {
            assert_eq!(got, byte(received + at));
        }
        received += n;
        assert!(socket.owner().outbox().capacity() <= 4 * MAX_OUTBOX_BYTES);
    }
}

fn byte(at: usize) -> u8 {
    (at.wrapping_mul(0x9E37_79B9) >> 7).to_le_bytes()[0]
}

#[test]
fn unsent_bytes_count_in_the_outbox_and_in_the_kernel() {
    let driver = driven();
    let (socket, mut peer) = lost::tcp();
    sockopt::set_socket_send_buffer_size(&socket, 4096).expect("set");
    sockopt::set_socket_recv_buffer_size(&peer, 4096).expect("set");
    fill(&socket, Waker::noop());
    for _ in 0..4 {
        put(&socket, &vec![b'x'; MAX_GATHERED_BYTES]);
    }
    driver.end_turn();
    let mut before = socket.owner().unsent().expect("it is open");
    let mut shrank = 0;
    while socket.owner().is_corked() {
        let n = peer.read(&mut [0; 1024]).expect("received");
        assert!(n > 0);
        driver.turn_once();
        let left = socket.owner().unsent().expect("it is open");
        assert!(left <= before, "{left} after {before}");
        shrank += usize::from(left < before);
        before = left;
    }
    assert!(shrank > 4);
    let unsent = before;
    drop(socket);
    let rest = io::copy(&mut peer, &mut io::sink()).expect("all of it");
    assert!(rest >= unsent as u64);
}

#[test]
fn a_peer_that_closes_ends_the_wait_and_the_source_is_freed() {
    for held in [true, false] {
        let (driver, socket, peer) = waiting(true);
        let woken = Arc::new(WakeCount::default());
        let source = weak(&socket);
        assert!(flush(&socket, &woken.clone().into()).is_pending());
        let held = held.then_some(socket);
        drop(peer);
        driver.turn_once();
        assert_eq!(woken.times(), 1);
        if let Some(socket) = held {
            assert!(flush(&socket, Waker::noop()).is_ready());
        }
        driver.turn_once();
        assert!(source.upgrade().is_none());
    }
}

#[test]
fn a_reset_by_us_ends_the_wait() {
    let driver = driven();
    let (socket, peer) = lost::tcp();
    fill(&socket, Waker::noop());
    put(&socket, b"refused");
    driver.end_turn();
    assert!(socket.owner().is_corked());
    let source = weak(&socket);
    socket.owner().with_fd(super::super::super::reset);
    drop(socket);
    driver.turn_once();
    driver.turn_once();
    assert!(source.upgrade().is_none());
    drop(peer);
}
