//! When descriptors are closed and sources freed, and that none is left.

use std::cell::RefCell;
use std::sync::mpsc;
use std::sync::{Mutex, Weak};
use std::thread;

use super::super::lock;
use super::*;

/// Registered, by a read that found nothing.
fn registered() -> (Socket, UnixStream) {
    let (socket, peer) = pair();
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    (socket, peer)
}

fn weak(socket: &Socket) -> Weak<Source> {
    Arc::downgrade(socket.owner())
}

/// A thread that drives a reactor until it is told not to.
struct Loop {
    reactor: Arc<Reactor>,
    end: Arc<Mutex<bool>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Loop {
    /// Runs `first` there, before it begins to sleep.
    fn start<T: Send + 'static>(first: impl FnOnce() -> T + Send + 'static) -> (Self, T) {
        let reactor = Reactor::new().expect("a reactor");
        let end = Arc::new(Mutex::new(false));
        let (said, heard) = mpsc::channel();
        let (theirs, over) = (reactor.clone(), end.clone());
        let thread = thread::spawn(move || {
            let driver = theirs.drive().expect("nobody else drives it");
            let _ = said.send(first());
            while !*lock(&over) {
                driver.take_notification();
                if !*lock(&over) {
                    driver.turn(|| None, no_sleeps).expect("turned");
                }
            }
        });
        let first = heard.recv_timeout(WAIT_TIMEOUT).expect("done");
        let thread = Some(thread);
        let this = Self {
            reactor,
            end,
            thread,
        };
        (this, first)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        *lock(&self.end) = true;
        self.reactor.notify();
        let ended = self.thread.take().expect("not joined").join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

#[test]
fn the_last_handle_closes_at_once_and_frees_the_source() {
    let _driver = driven();
    let (socket, mut peer) = registered();
    let (source, other) = (weak(&socket), socket.clone());
    drop(socket);
    peer.set_nonblocking(true).expect("set");
    let open = peer.read(&mut [0]).expect_err("open").kind();
    assert_eq!(open, ErrorKind::WouldBlock);
    drop(other);
    assert_closed(&mut peer);
    assert!(source.upgrade().is_none(), "no batch can name it");
}

#[test]
fn one_that_was_never_registered_is_closed_and_freed() {
    let (socket, mut peer) = pair();
    let source = weak(&socket);
    drop(socket);
    assert_closed(&mut peer);
    assert!(source.upgrade().is_none());
}

#[test]
fn the_last_handle_closes_at_once_while_the_thread_sleeps() {
    let (looping, (socket, mut peer)) = Loop::start(registered);
    let source = weak(&socket);
    drop(socket);
    assert_closed(&mut peer);
    // It is freed at the next turn.
    looping.reactor.notify();
    while source.upgrade().is_some() {
        thread::yield_now();
    }
    assert!(lock(&looping.reactor.registrations).is_empty());
}

#[test]
fn many_that_are_buried_wake_the_thread() {
    let (_looping, sockets) = Loop::start(|| (0..100).map(|_| registered()).collect::<Vec<_>>());
    let sources: Vec<_> = sockets.iter().map(|(socket, _)| weak(socket)).collect();
    for (socket, mut peer) in sockets {
        drop(socket);
        assert_closed(&mut peer);
    }
    let alive = || sources.iter().filter(|source| source.upgrade().is_some());
    while alive().count() >= super::super::registration::MAX_BURIED_SOURCES {
        thread::yield_now();
    }
}

#[test]
fn a_turn_in_which_something_is_freed_says_so() {
    let driver = driven();
    let (socket, _peer) = registered();
    let turn = || driver.turn(|| Some(Duration::ZERO), no_sleeps);
    assert!(turn().expect("turned"), "it can be written to");
    assert!(!turn().expect("turned"));
    thread::spawn(|| drop(socket)).join().expect("dropped");
    // The waker of whoever waited may have woken others.
    assert!(turn().expect("turned"));
    assert!(!turn().expect("turned"));
}

/// Does something once, when it is woken.
pub(super) struct Does<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send + 'static> Does<F> {
    pub(super) fn waker(does: F) -> Waker {
        Arc::new(Self(Mutex::new(Some(does)))).into()
    }
}

impl<F: FnOnce() + Send + 'static> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        let does = lock(&self.0).take();
        if let Some(does) = does {
            does();
        }
    }
}

#[test]
fn a_socket_that_is_dropped_in_a_batch_is_closed_at_once_and_freed_after_it() {
    thread_local! {
        static VICTIMS: RefCell<Vec<(Socket, UnixStream)>> = const { RefCell::new(Vec::new()) };
    }
    let driver = driven();
    let mut kept = Vec::new();
    let mut sources = Vec::new();
    // Whichever is told first drops all the others, which the batch has yet to name.
    for _ in 0..4 {
        let (socket, mut peer) = pair();
        let drops = Does::waker(|| {
            for (socket, mut peer) in VICTIMS.take() {
                let source = weak(&socket);
                drop(socket);
                assert_closed(&mut peer);
                assert!(source.upgrade().is_some(), "this batch may name it");
            }
        });
        assert!(read_with(socket.owner(), 8, &drops, drop).is_pending());
        send(&mut peer, b"abc");
        sources.push(weak(&socket));
        kept.push(peer.try_clone().expect("cloned"));
        VICTIMS.with_borrow_mut(|victims| victims.push((socket, peer)));
    }
    driver.turn_once();
    assert!(VICTIMS.with_borrow(Vec::is_empty));
    driver.turn_once();
    assert!(sources.iter().all(|source| source.upgrade().is_none()));
}

#[test]
fn a_turn_within_a_batch_frees_nothing_that_the_batch_names() {
    let driver = driven();
    let (first, second) = (pair(), pair());
    let (mut peers, mut sources) = (Vec::new(), Vec::new());
    let both = Arc::new(Mutex::new(Vec::new()));
    for (socket, mut peer) in [first, second] {
        let both_too = both.clone();
        let waker = Does::waker(move || {
            // Ends before the sockets are dropped, so that the outer batch is current again.
            driven().turn_once();
            let sockets: Vec<Socket> = std::mem::take(&mut lock(&both_too));
            let sources: Vec<_> = sockets.iter().map(weak).collect();
            drop(sockets);
            driven().turn_once();
            assert!(sources.iter().all(|source| source.upgrade().is_some()));
        });
        assert!(read_with(socket.owner(), 8, &waker, drop).is_pending());
        send(&mut peer, b"abc");
        sources.push(weak(&socket));
        lock(&both).push(socket);
        peers.push(peer);
    }
    driver.turn_once();
    driver.turn_once();
    assert!(sources.iter().all(|source| source.upgrade().is_none()));
}

#[test]
fn what_is_buried_in_a_reactor_that_nobody_drives_goes_with_it() {
    let reactor = Reactor::new().expect("a reactor");
    let driver = reactor.drive().expect("driven");
    let (socket, mut peer) = registered();
    let source = weak(&socket);
    drop(driver);
    drop(socket);
    assert_closed(&mut peer);
    let reactor = {
        let weak = Arc::downgrade(&reactor);
        drop(reactor);
        weak
    };
    assert!(reactor.upgrade().is_none(), "sockets do not keep it");
    assert!(source.upgrade().is_none());
}

#[test]
fn nothing_is_left_of_3000_sockets_and_their_reactors() {
    let (mut sources, mut reactors) = (Vec::new(), Vec::new());
    for round in 0..30 {
        let driver = driven();
        reactors.push(Arc::downgrade(&driver.reactor));
        let mut open: Vec<_> = (0..100).map(|_| registered()).collect();
        sources.extend(open.iter().map(|(socket, _)| weak(socket)));
        for (_, peer) in &mut open {
            send(peer, b"abc");
        }
        let elsewhere = open.split_off(40);
        let dropping = thread::spawn(move || drop(elsewhere));
        while !dropping.is_finished() {
            driver.turn_once();
        }
        match round % 3 {
            0 => drop(open),
            1 => open.truncate(20),
            _ => {}
        }
        // Those that are left lose their reactor.
        drop(driver);
    }
    assert_eq!(sources.len(), 3000);
    assert!(sources.iter().all(|source| source.upgrade().is_none()));
    assert!(reactors.iter().all(|reactor| reactor.upgrade().is_none()));
}
