//! The times at which descriptors are closed and sources freed.

use std::cell::RefCell;
use std::sync::mpsc;
use std::sync::{Mutex, Weak};
use std::thread;

use super::super::lock;
use super::*;

/// Returns a socket that is registered, after a read that found nothing.
fn registered() -> (Socket, UnixStream) {
    let (socket, peer) = pair();
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    (socket, peer)
}

fn weak(socket: &Socket) -> Weak<Source> {
    Arc::downgrade(socket.owner())
}

/// A thread that drives a reactor until this value is dropped.
struct Loop {
    reactor: Arc<Reactor>,
    end: Arc<Mutex<bool>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Loop {
    /// Starts the thread, which calls `first` before its first wait.
    fn start<T: Send + 'static>(first: impl FnOnce() -> T + Send + 'static) -> (Self, T) {
        let reactor = Reactor::new().expect("a reactor");
        let end = Arc::new(Mutex::new(false));
        let (sender, receiver) = mpsc::channel();
        let (theirs, over) = (reactor.clone(), end.clone());
        let thread = thread::spawn(move || {
            let driver = theirs.drive().expect("not driven");
            let _ = sender.send(first());
            while !*lock(&over) {
                driver.take_notification();
                if !*lock(&over) {
                    driver.turn(|| None, no_alarms).expect("turned");
                }
            }
        });
        let first = receiver.recv_timeout(WAIT_TIMEOUT).expect("done");
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
    assert!(source.upgrade().is_none(), "no batch of events names it");
}

#[test]
fn a_socket_that_was_never_registered_is_closed_and_freed() {
    let (socket, mut peer) = pair();
    let source = weak(&socket);
    drop(socket);
    assert_closed(&mut peer);
    assert!(source.upgrade().is_none());
}

#[test]
fn the_last_handle_closes_at_once_while_the_thread_waits() {
    let (looping, (socket, mut peer)) = Loop::start(registered);
    let source = weak(&socket);
    drop(socket);
    assert_closed(&mut peer);
    // The next turn frees the source.
    looping.reactor.notify();
    while source.upgrade().is_some() {
        thread::yield_now();
    }
    assert!(lock(&looping.reactor.registrations).is_empty());
}

#[test]
fn many_retired_sources_wake_the_thread() {
    let (_looping, sockets) = Loop::start(|| (0..100).map(|_| registered()).collect::<Vec<_>>());
    let sources: Vec<_> = sockets.iter().map(|(socket, _)| weak(socket)).collect();
    for (socket, mut peer) in sockets {
        drop(socket);
        assert_closed(&mut peer);
    }
    let alive = || sources.iter().filter(|source| source.upgrade().is_some());
    while alive().count() >= super::super::registration::MAX_RETIRED_SOURCES {
        thread::yield_now();
    }
}

#[test]
fn a_turn_that_frees_a_source_returns_true() {
    let driver = driven();
    let (socket, _peer) = registered();
    let turn = || driver.turn(|| Some(Duration::ZERO), no_alarms);
    assert!(turn().expect("turned"), "it is writable");
    assert!(!turn().expect("turned"));
    thread::spawn(|| drop(socket)).join().expect("dropped");
    // The drop of a waker may have woken tasks.
    assert!(turn().expect("turned"));
    assert!(!turn().expect("turned"));
}

/// A waker that calls a function at the first wake.
pub(super) struct CallOnWake<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send + 'static> CallOnWake<F> {
    pub(super) fn waker(f: F) -> Waker {
        Arc::new(Self(Mutex::new(Some(f)))).into()
    }
}

impl<F: FnOnce() + Send + 'static> Wake for CallOnWake<F> {
    fn wake(self: Arc<Self>) {
        let f = lock(&self.0).take();
        if let Some(f) = f {
            f();
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
    // The first waker drops all sockets. The batch has yet to name the others.
    for _ in 0..4 {
        let (socket, mut peer) = pair();
        let drops = CallOnWake::waker(|| {
            for (socket, mut peer) in VICTIMS.take() {
                let source = weak(&socket);
                drop(socket);
                assert_closed(&mut peer);
                assert!(source.upgrade().is_some(), "the batch may name it");
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
        let waker = CallOnWake::waker(move || {
            // This driver ends before the sockets are dropped: the outer one is current then.
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
fn a_reactor_that_is_not_driven_frees_its_retired_sources_when_dropped() {
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
    assert!(
        reactor.upgrade().is_none(),
        "sockets do not keep the reactor"
    );
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
        // The sockets that are left lose their reactor.
        drop(driver);
    }
    assert_eq!(sources.len(), 3000);
    assert!(sources.iter().all(|source| source.upgrade().is_none()));
    assert!(reactors.iter().all(|reactor| reactor.upgrade().is_none()));
}
