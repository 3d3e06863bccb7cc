//! When a reactor's clock is set, and that it ends the wait.

use std::sync::mpsc;
use std::thread;

use super::panics::panics;
use super::timers::{MOMENT, SECOND, armed, armed_at, counted};
use super::*;

#[test]
fn the_clock_is_set_for_the_earliest() {
    let driver = driven();
    let start = Instant::now();
    assert_eq!(driver.armed_for(), None);
    let third = armed(start + 3 * SECOND, Waker::noop());
    assert_eq!(driver.armed_for(), Some(start + 3 * SECOND));
    let fourth = armed(start + 4 * SECOND, Waker::noop());
    assert_eq!(driver.armed_for(), Some(start + 3 * SECOND));
    let second = armed(start + 2 * SECOND, Waker::noop());
    assert_eq!(driver.armed_for(), Some(start + 2 * SECOND));
    // It rings for none, and for one that comes in the entry of that.
    drop(second);
    assert_eq!(driver.armed_for(), Some(start + 2 * SECOND));
    let second = armed(start + 2 * SECOND, Waker::noop());
    driver.ring_at(start + 2 * SECOND - MOMENT);
    assert_eq!(driver.armed_for(), Some(start + 2 * SECOND));
    driver.ring_at(start + 2 * SECOND);
    assert_eq!(driver.armed_for(), Some(start + 3 * SECOND));
    // Another reactor has a clock of its own.
    let within = driven();
    assert_eq!(within.armed_for(), None);
    drop(within);
    assert_eq!(driver.armed_for(), Some(start + 3 * SECOND));
    drop((second, third, fourth));
    driver.ring_at(start + 3 * SECOND);
    assert_eq!(driver.armed_for(), None);
}

#[test]
fn a_wait_ends_when_the_earliest_is_due() {
    let driver = driven();
    let soon = || {
        let (now, woken) = (Instant::now(), Arc::new(Woken::default()));
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
        let ages = armed_at(now, now + SECOND * u32::MAX, Waker::noop());
        let (alarm, woken) = soon();
        driver.wait(wait, Instant::now);
        assert_eq!(woken.times(), 1, "in the turn that has waited");
        let now = Instant::now();
        assert!(alarm.deadline() <= now && now < alarm.deadline() + WAIT_TIMEOUT);
        // A loop within this one sets its own clock, and this one is set again after it.
        let (_late, woken) = soon();
        driver.wait(Some(Duration::ZERO), Instant::now);
        within();
        while woken.times() == 0 {
            driver.wait(wait, Instant::now);
        }
        drop(ages);
    }
}

#[test]
fn a_panic_in_the_batch_in_which_the_clock_has_rung_keeps_nobody_asleep() {
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
fn ten_thousand_that_wait_do_not_end_the_threads_own_wait() {
    let driver = driven();
    let start = Instant::now();
    let late = |n| start + 3600 * SECOND + n * MOMENT;
    let alarms = (0..10_000).map(|n| armed_at(start, late(n), Waker::noop()));
    let alarms: Vec<_> = alarms.collect();
    thread::scope(|scope| {
        let (said, heard) = mpsc::channel();
        let reactor = &driver.reactor;
        scope.spawn(move || {
            heard.recv_timeout(WAIT_TIMEOUT).expect("said");
            reactor.notify();
        });
        driver.take_notification();
        let wait = || {
            said.send(()).expect("heard");
            None
        };
        driver.turn(wait, no_sleeps).expect("turned");
        assert!(driver.is_notified(), "nothing else has ended the wait");
    });
    for _ in 0..100 {
        driver.turn_once();
    }
    drop(alarms);
    driver.ring_at(start + 3601 * SECOND);
    assert_eq!(driver.armed_for(), None);
}
