//! When a reactor's clock is set, and that it ends the wait.

use std::cell::Cell;
use std::sync::mpsc;
use std::thread;

use super::super::timers::{Look, look, unset};
use super::panics::panics;
use super::timers::{MOMENT, SECOND, armed, counted};
use super::*;

#[test]
fn the_clock_is_set_for_the_earliest_and_only_then_is_it_asked_what_time_it_is() {
    let driver = driven();
    let start = Instant::now();
    let third = armed(start + 3 * SECOND, Waker::noop());
    assert_eq!(look(|| start), Look::Set(3 * SECOND));
    let fourth = armed(start + 4 * SECOND, Waker::noop());
    assert_eq!(look(nobody_sleeps), Look::Asleep);
    let second = armed(start + 2 * SECOND, Waker::noop());
    assert_eq!(look(|| start + MOMENT), Look::Set(2 * SECOND - MOMENT));
    // For nobody, now; and for those who come in its place.
    drop(second);
    let second = armed(start + 2 * SECOND, Waker::noop());
    assert_eq!(look(nobody_sleeps), Look::Asleep);
    unset();
    assert_eq!(look(|| start + 2 * SECOND), Look::Woken);
    assert_eq!(look(|| start + 2 * SECOND), Look::Set(SECOND));
    // Another reactor has a clock of its own.
    let within = driven();
    assert_eq!(look(|| start), Look::Set(3 * SECOND));
    assert_eq!(look(nobody_sleeps), Look::Asleep);
    drop(within);
    assert_eq!(look(|| start), Look::Set(3 * SECOND));
    drop((second, third, fourth));
    unset();
    assert_eq!(look(nobody_sleeps), Look::Asleep);
    drop(driver);
    assert_eq!(look(nobody_sleeps), Look::Asleep);
}

#[test]
fn a_wait_ends_when_the_earliest_is_due() {
    let driver = driven();
    let soon = || counted(Instant::now() + Duration::from_millis(5));
    let within = || {
        let inner = driven();
        let (alarm, woken) = soon();
        while woken.times() == 0 {
            inner.turn(|| None, Instant::now).expect("turned");
        }
        drop(alarm);
    };
    for wait in [None, Some(PATIENCE), None] {
        let ages = armed(Instant::now() + SECOND * u32::MAX, Waker::noop());
        let (alarm, woken) = soon();
        driver.turn(|| wait, Instant::now).expect("turned");
        assert_eq!(woken.times(), 1, "in the turn that has waited");
        let now = Instant::now();
        assert!(alarm.deadline() <= now && now < alarm.deadline() + PATIENCE);
        // A loop within this one sets its own clock, and this one is set again after it.
        let (_late, woken) = soon();
        driver
            .turn(|| Some(Duration::ZERO), Instant::now)
            .expect("turned");
        within();
        while woken.times() == 0 {
            driver.turn(|| wait, Instant::now).expect("turned");
        }
        drop(ages);
    }
}

#[test]
fn a_panic_in_the_batch_in_which_the_clock_has_rung_keeps_nobody_asleep() {
    let driver = driven();
    let start = Instant::now();
    let (socket, mut peer) = pair();
    assert!(read_with(socket.host(), 8, &panics(), drop).is_pending());
    let (_alarm, woken) = counted(start + MOMENT);
    // The clock rings in the kernel before anybody is told.
    assert_eq!(driver.wake_sleepers(|| start).ok(), Some(false));
    send(&mut peer, b"abc");
    while Instant::now() < start + Duration::from_millis(1) {}
    driver.turn(|| None, Instant::now).expect("turned");
    assert_eq!(woken.times(), 1);
}

#[test]
fn ten_thousand_that_wait_do_not_end_the_threads_own_wait() {
    let driver = driven();
    let start = Instant::now();
    let late = |n| start + 3600 * SECOND + n * MOMENT;
    let alarms: Vec<_> = (0..10_000).map(|n| armed(late(n), Waker::noop())).collect();
    let asked = Cell::new(0);
    thread::scope(|scope| {
        let (said, heard) = mpsc::channel();
        let reactor = &driver.reactor;
        scope.spawn(move || {
            heard.recv_timeout(PATIENCE).expect("said");
            reactor.notify();
        });
        driver.listen();
        let now = || {
            // About to wait: what ends that is to be the bell.
            let _ = said.send(());
            asked.set(asked.get() + 1);
            start
        };
        driver.turn(|| None, now).expect("turned");
        assert!(driver.is_notified(), "nothing else has ended the wait");
    });
    assert_eq!(asked.get(), 1, "to set the clock");
    for _ in 0..100 {
        driver.turn_once();
    }
    drop(alarms);
    assert_eq!(look(nobody_sleeps), Look::Asleep);
}
