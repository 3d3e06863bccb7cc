//! A reactor that other threads help: who is woken, and what is freed when.

use std::sync::mpsc;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::help::FEW;
use super::lives::Does;
use super::panics::panics;
use super::timers::{MOMENT, SECOND, counted};
use super::*;

fn shared() -> Arc<Reactor> {
    Reactor::shared().expect("a reactor")
}

/// Polls for a read.
fn wait(socket: &Socket, waker: &Waker) -> Poll<io::Result<usize>> {
    read_with(socket.host(), 8, waker, |_| {})
}

/// Calls it on another thread.
fn elsewhere<T: Send>(does: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(does).join().expect("no panic"))
}

fn helped(reactor: &Reactor) -> bool {
    elsewhere(|| reactor.help())
}

#[test]
fn a_helper_wakes_who_waits_and_the_thread_hears_no_more_of_it() {
    let reactor = shared();
    let driver = reactor.drive().expect("nobody else drives it");
    let (socket, mut peer) = pair();
    let woken = Arc::new(Woken::default());
    assert!(wait(&socket, &woken.clone().into()).is_pending());
    driver.turn_once();
    assert!(!helped(&reactor), "nothing has happened");
    send(&mut peer, b"abc");
    assert!(helped(&reactor));
    assert_eq!(woken.times(), 1);
    assert!(
        !driver
            .turn(|| Some(Duration::ZERO), nobody_sleeps)
            .expect("turned")
    );
    assert!(wait(&socket, &woken.clone().into()).is_ready());
    // And when it was late, there is nothing left for a helper.
    send(&mut peer, b"abc");
    driver.turn_once();
    assert!(!helped(&reactor));
}

#[test]
fn a_reactor_that_is_not_shared_takes_no_help() {
    let driver = driven();
    let (socket, mut peer) = pair();
    let woken = Arc::new(Woken::default());
    assert!(wait(&socket, &woken.clone().into()).is_pending());
    driver.turn_once();
    send(&mut peer, b"abc");
    assert!(!helped(&driver.reactor));
    assert_eq!(woken.times(), 0);
}

#[test]
fn a_reactor_that_the_kernel_refuses_is_no_error_of_its_helpers() {
    let mut reactor = shared();
    let driver = reactor.drive().expect("nobody else drives it");
    drop(driver);
    let broken = Arc::get_mut(&mut reactor).expect("nobody else has it");
    broken.epoll = OwnedFd::from(UnixStream::pair().expect("a pair").0);
    assert!(!helped(&reactor));
    let driver = reactor.drive().expect("nobody else drives it");
    assert!(driver.turn(|| None, nobody_sleeps).is_err(), "its own");
}

#[test]
fn turns_are_those_of_its_own_thread() {
    let reactor = shared();
    let driver = reactor.drive().expect("nobody else drives it");
    for turns in 0..3 {
        assert_eq!(reactor.turns(), turns);
        helped(&reactor);
        driver.turn_once();
    }
}

#[test]
fn what_is_rung_for_the_thread_is_not_kept_by_a_helper() {
    let reactor = shared();
    let driver = reactor.drive().expect("nobody else drives it");
    driver.turn_once();
    driver.listen();
    elsewhere(|| reactor.notify());
    assert!(!helped(&reactor), "it is no help to be busy with that");
    assert!(
        driver
            .turn(|| Some(PATIENCE), nobody_sleeps)
            .expect("turned"),
        "it is rung again"
    );
}

#[test]
fn the_alarm_clock_rings_again_for_the_thread_when_a_helper_has_heard_it() {
    let reactor = shared();
    let driver = reactor.drive().expect("nobody else drives it");
    let (end, turn) = (Instant::now() + SECOND, Some(Duration::ZERO));
    let (_alarm, woken) = counted(end);
    driver.turn(|| turn, || end - MOMENT).expect("turned");
    let patience = Timespec::try_from(PATIENCE).ok();
    for _ in 0..3 {
        // It is set to ring in a moment.
        let mut rings = [PollFd::new(&reactor.epoll, PollFlags::IN)];
        assert_eq!(poll(&mut rings, patience.as_ref()), Ok(1));
        assert!(!helped(&reactor), "it is no help to be busy with that");
    }
    driver.turn(|| Some(PATIENCE), || end).expect("turned");
    assert_eq!(woken.times(), 1);
}

#[test]
fn nobody_takes_more_than_a_few_events_at_once() {
    let reactor = shared();
    let driver = reactor.drive().expect("nobody else drives it");
    let woken = Arc::new(Woken::default());
    let mut pairs: Vec<_> = (0..3 * FEW).map(|_| pair()).collect();
    for (socket, _) in &pairs {
        assert!(wait(socket, &woken.clone().into()).is_pending());
        driver.turn_once();
    }
    for (_, peer) in &mut pairs {
        send(peer, b"abc");
    }
    assert!(helped(&reactor));
    assert_eq!(woken.times(), FEW);
    driver.turn_once();
    assert_eq!(woken.times(), 2 * FEW);
    assert!(helped(&reactor));
    assert_eq!(woken.times(), 3 * FEW);
}

#[test]
fn what_a_helper_may_name_is_freed_when_it_is_done() {
    let reactor = shared();
    let driver = reactor.drive().expect("nobody else drives it");
    let (first, mut first_peer) = pair();
    let (victim, mut victim_peer) = pair();
    let (told, hears) = mpsc::channel();
    let (go_on, waits) = mpsc::channel();
    let again = reactor.clone();
    let waker = Does::waker(move || {
        // Where there is a helper, another one has nothing to do.
        let more = again.help();
        told.send(more).expect("heard");
        let _ = waits.recv_timeout(PATIENCE);
    });
    assert!(wait(&first, &waker).is_pending());
    assert!(wait(&victim, Waker::noop()).is_pending());
    driver.turn_once();
    let source = Arc::downgrade(victim.host());
    // In this order they are in the helper's batch.
    send(&mut first_peer, b"abc");
    send(&mut victim_peer, b"abc");
    thread::scope(|scope| {
        let helper = scope.spawn(|| reactor.help());
        assert_eq!(hears.recv_timeout(PATIENCE), Ok(false));
        drop(victim);
        assert_closed(&mut victim_peer);
        driver.turn_once();
        assert!(source.upgrade().is_some(), "the helper has an event of it");
        go_on.send(()).expect("it waits");
        assert!(helper.join().expect("no panic"));
    });
    driver.turn_once();
    assert!(source.upgrade().is_none());
    // Without a helper it is freed at once.
    let source = Arc::downgrade(first.host());
    drop(first);
    assert!(source.upgrade().is_none());
}

#[test]
fn a_waker_that_panics_does_not_end_the_help() {
    let reactor = shared();
    let driver = reactor.drive().expect("nobody else drives it");
    let woken = Arc::new(Woken::default());
    let (first, mut first_peer) = pair();
    let (other, mut other_peer) = pair();
    assert!(wait(&first, &panics()).is_pending());
    for times in 1..3 {
        assert!(wait(&other, &woken.clone().into()).is_pending());
        driver.turn_once();
        if times == 1 {
            send(&mut first_peer, b"abc");
        }
        send(&mut other_peer, b"abc");
        assert!(helped(&reactor));
        assert_eq!(woken.times(), times);
        assert!(wait(&other, Waker::noop()).is_ready());
    }
}
