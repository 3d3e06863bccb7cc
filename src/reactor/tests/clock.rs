//! The instants for which a reactor's timer is set, and the waits that it ends.

use std::sync::mpsc;
use std::thread;

use super::panics::panics;
use super::timers::{MOMENT, SECOND, armed, armed_at, counted};
use super::*;

#[test]
fn the_timer_is_set_for_the_earliest_deadline() {
    let driver = driven();
    let start = Instant::now();
    assert_eq!(driver.armed_for(), None);
    let third = armed(start + 3 * SECOND, Waker::noop());
    assert_eq!(driver.armed_for(), Some(start + 3 * SECOND));
    let fourth = armed(start + 4 * SECOND, Waker::noop());
    assert_eq!(driver.armed_for(), Some(start + 3 * SECOND));
    let second = armed(start + 2 * SECOND, Waker::noop());
    assert_eq!(driver.armed_for(), Some(start + 2 * SECOND));
    // It stays set after a drop, and serves a later alarm with the same deadline.
    drop(second);
    assert_eq!(driver.armed_for(), Some(start + 2 * SECOND));
    let second = armed(start + 2 * SECOND, Waker::noop());
    driver.expire_at(start + 2 * SECOND - MOMENT);
    assert_eq!(driver.armed_for(), Some(start + 2 * SECOND));
    driver.expire_at(start + 2 * SECOND);
    assert_eq!(driver.armed_for(), Some(start + 3 * SECOND));
    // Another reactor has a timer of its own.
    let within = driven();
    assert_eq!(within.armed_for(), None);
    drop(within);
    assert_eq!(driver.armed_for(), Some(start + 3 * SECOND));
    drop((second, third, fourth));
    driver.expire_at(start + 3 * SECOND);
    assert_eq!(driver.armed_for(), None);
}

#[test]
fn a_wait_ends_at_the_earliest_deadline() {
    let driver = driven();
    let soon = || {
        let (now, woken) = (Instant::now(), Arc::new(WakeCount::default()));
        let soon = now + Duration::from_millis(5);
        (armed_at(now, soon, &woken.clone().into()), woken)
    };
    let within = || {
        let inner = driven();
        let (alarm, woken) = soon();
        while woken.times() == 0 {
            inner.wait(None, Instant::now);
        }
        drop(alarm);
    };
    for wait in [None, Some(WAIT_TIMEOUT), None] {
        let now = Instant::now();
        let distant = armed_at(now, now + SECOND * u32::MAX, Waker::noop());
        let (alarm, woken) = soon();
        driver.wait(wait, Instant::now);
        assert_eq!(woken.times(), 1, "in the turn that waited");
        let now = Instant::now();
        assert!(alarm.deadline() <= now && now < alarm.deadline() + WAIT_TIMEOUT);
        // An inner reactor sets its own timer, and the outer one is still set after it.
        let (_late, woken) = soon();
        driver.wait(Some(Duration::ZERO), Instant::now);
        within();
        while woken.times() == 0 {
            driver.wait(wait, Instant::now);
        }
        drop(distant);
    }
}

#[test]
fn a_panic_in_the_batch_of_an_expiry_does_not_lose_the_expiry() {
    let driver = driven();
    let start = Instant::now();
    let (socket, mut peer) = pair();
    assert!(read_with(socket.owner(), 8, &panics(), drop).is_pending());
    let (_alarm, woken) = counted(start + MOMENT);
    send(&mut peer, b"abc");
    while Instant::now() < start + Duration::from_millis(1) {}
    driver.wait(None, Instant::now);
    assert_eq!(woken.times(), 1);
}

#[test]
fn ten_thousand_alarms_do_not_end_a_wait_before_their_deadline() {
    let driver = driven();
    let start = Instant::now();
    let late = |n| start + 3600 * SECOND + n * MOMENT;
    let alarms = (0..10_000).map(|n| armed_at(start, late(n), Waker::noop()));
    let alarms: Vec<_> = alarms.collect();
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let reactor = &driver.reactor;
        scope.spawn(move || {
            receiver.recv_timeout(WAIT_TIMEOUT).expect("received");
            reactor.notify();
        });
        driver.take_notification();
        let wait = || {
            sender.send(()).expect("sent");
            None
        };
        driver.turn(wait, no_alarms).expect("turned");
        assert!(
            driver.is_notified(),
            "only the notification has ended the wait"
        );
    });
    for _ in 0..100 {
        driver.turn_once();
    }
    drop(alarms);
    driver.expire_at(start + 3601 * SECOND);
    assert_eq!(driver.armed_for(), None);
}
