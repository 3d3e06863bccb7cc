//! Sleepers of a thread, whose time is what the test says it is.

use std::iter::repeat_with;
use std::sync::Mutex;
use std::thread;

use super::super::timers::MAX_WAKES_PER_EXPIRY;
use super::super::{Alarm, lock};
use super::lives::Does;
use super::panics::panics;
use super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MOMENT: Duration = Duration::from_nanos(1);

pub(super) fn poll(alarm: &mut Alarm, waker: &Waker, now: Instant) -> Option<Poll<()>> {
    alarm.poll(&mut Context::from_waker(waker), || now)
}

/// An alarm that waits on this thread, for which the clock is about to ring.
pub(super) fn armed(deadline: Instant, waker: &Waker) -> Alarm {
    armed_at(deadline - MOMENT, deadline, waker)
}

/// The same, from this moment on.
pub(super) fn armed_at(now: Instant, deadline: Instant, waker: &Waker) -> Alarm {
    let mut alarm = Alarm::new(deadline);
    assert_eq!(poll(&mut alarm, waker, now), Some(Poll::Pending));
    alarm
}

pub(super) fn counted(deadline: Instant) -> (Alarm, Arc<Woken>) {
    let woken = Arc::new(Woken::default());
    (armed(deadline, &woken.clone().into()), woken)
}

impl Driver {
    /// The clock rings, at whatever time it is.
    pub(super) fn ring_at(&self, now: Instant) {
        self.reactor.timers[0].wake_due(now);
    }

    /// The instant for which the clock is set.
    pub(super) fn armed_for(&self) -> Option<Instant> {
        self.reactor.timers[0].armed_for()
    }
}

#[test]
fn sleepers_are_woken_in_order_at_their_time_and_not_before() {
    let driver = driven();
    let start = Instant::now();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut alarms = Vec::new();
    for (n, seconds) in [3, 1, 2, 1, 3, 1].into_iter().enumerate() {
        let order = order.clone();
        let says = Does::waker(move || lock(&order).push(n));
        alarms.push(armed(start + seconds * SECOND, &says));
    }
    for (after, expected) in [
        (SECOND - MOMENT, vec![]),
        (SECOND, vec![1, 3, 5]),
        (2 * SECOND - MOMENT, vec![]),
        (3 * SECOND, vec![2, 0, 4]),
        (4 * SECOND, vec![]),
    ] {
        driver.ring_at(start + after);
        assert_eq!(std::mem::take(&mut *lock(&order)), expected, "{after:?}");
    }
    for alarm in &mut alarms {
        let polled = poll(alarm, Waker::noop(), start + 4 * SECOND);
        assert_eq!(polled, Some(Poll::Ready(())), "its time has come");
    }
}

#[test]
fn a_time_that_has_come_already_is_not_waited_for() {
    let now = Instant::now();
    let mut alarm = Alarm::new(now);
    let polled = poll(&mut alarm, Waker::noop(), now - MOMENT);
    assert_eq!(polled, None, "nobody here would wake us");
    assert_eq!(poll(&mut alarm, Waker::noop(), now), Some(Poll::Ready(())));
    let driver = driven();
    assert_eq!(poll(&mut alarm, Waker::noop(), now), Some(Poll::Ready(())));
    assert_eq!(driver.armed_for(), None);
}

#[test]
fn one_that_is_dropped_is_forgotten() {
    let driver = driven();
    let start = Instant::now();
    let (first, (second, woken)) = (counted(start + SECOND), counted(start + SECOND));
    drop(first.0);
    assert_eq!(Arc::strong_count(&first.1), 1);
    driver.ring_at(start + SECOND);
    assert_eq!((first.1.times(), woken.times()), (0, 1));
    drop(second);
}

#[test]
fn only_the_last_who_polled_is_woken() {
    let driver = driven();
    let start = Instant::now();
    let (mut alarm, first) = counted(start + SECOND);
    let second = Arc::new(Woken::default());
    for _ in 0..3 {
        let polled = poll(&mut alarm, &second.clone().into(), start);
        assert_eq!(polled, Some(Poll::Pending));
    }
    assert_eq!(Arc::strong_count(&first), 1);
    driver.ring_at(start + SECOND);
    assert_eq!((first.times(), second.times()), (0, 1));
}

#[test]
fn so_many_are_woken_in_a_turn_and_the_rest_in_the_next() {
    let driver = driven();
    let now = Instant::now();
    let all: Vec<_> = repeat_with(|| counted(now))
        .take(3 * MAX_WAKES_PER_EXPIRY + 1)
        .collect();
    for turn in 1..=4 {
        assert!(
            driver.wait(Some(WAIT_TIMEOUT), || now),
            "the clock rings again"
        );
        let woken = all.iter().filter(|(_, woken)| woken.times() == 1).count();
        assert_eq!(woken, (turn * MAX_WAKES_PER_EXPIRY).min(all.len()));
    }
}

#[test]
fn one_that_moves_is_woken_where_it_is() {
    let driver = driven();
    let start = Instant::now();
    let (mut alarm, here) = counted(start + SECOND);
    thread::scope(|scope| {
        scope.spawn(|| {
            let driver = driven();
            let there = Arc::new(Woken::default());
            let polled = poll(&mut alarm, &there.clone().into(), start);
            assert_eq!(polled, Some(Poll::Pending));
            driver.ring_at(start + SECOND);
            assert_eq!(there.times(), 1);
        });
    });
    driver.ring_at(start + SECOND);
    assert_eq!((here.times(), Arc::strong_count(&here)), (0, 1));
    assert_eq!(poll(&mut alarm, Waker::noop(), start), Some(Poll::Pending));
}

#[test]
fn one_that_moves_to_where_nobody_would_wake_it_says_so() {
    let driver = driven();
    let start = Instant::now();
    let (mut alarm, here) = counted(start + SECOND);
    thread::scope(|scope| {
        let polled = scope.spawn(|| poll(&mut alarm, Waker::noop(), start));
        assert_eq!(polled.join().expect("polled"), None);
    });
    driver.ring_at(start + SECOND);
    assert_eq!((here.times(), Arc::strong_count(&here)), (0, 1));
}

#[test]
fn one_that_is_dropped_elsewhere_is_freed_at_once() {
    let driver = driven();
    let start = Instant::now();
    let (alarm, woken) = counted(start + SECOND);
    thread::scope(|scope| {
        scope.spawn(|| drop(alarm));
    });
    assert_eq!(Arc::strong_count(&woken), 1);
    driver.ring_at(start + SECOND);
    assert_eq!(woken.times(), 0);
}

#[test]
fn a_worker_of_a_group_rings_for_the_others() {
    let reactor = Reactor::for_group(2).expect("a reactor");
    let driver = reactor.join(0);
    let now = Instant::now();
    let (mut alarm, woken) = thread::scope(|scope| {
        let sleeps = scope.spawn(|| {
            let _driver = reactor.join(1);
            counted(now)
        });
        sleeps.join().expect("it sleeps")
    });
    // The other one has left, and is not the last.
    assert!(driver.wait(Some(WAIT_TIMEOUT), || now));
    assert_eq!(woken.times(), 1);
    assert_eq!(poll(&mut alarm, Waker::noop(), now), Some(Poll::Ready(())));
}

#[test]
fn one_that_another_worker_of_its_group_polls_stays_where_it_is() {
    let reactor = Reactor::for_group(2).expect("a reactor");
    let _driver = reactor.join(0);
    let start = Instant::now();
    let (mut alarm, woken) = counted(start + SECOND);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _driver = reactor.join(1);
            let polled = poll(&mut alarm, &woken.clone().into(), start);
            assert_eq!(polled, Some(Poll::Pending));
            assert_eq!(reactor.timers[1].armed_for(), None);
        });
    });
    reactor.timers[0].wake_due(start + SECOND);
    assert_eq!(woken.times(), 1);
}

#[test]
fn who_waits_is_woken_when_the_thread_leaves_its_loop() {
    let driver = driven();
    let reactor = Arc::downgrade(&driver.reactor);
    let start = Instant::now();
    let (mut alarm, woken) = counted(start + SECOND);
    let panics = armed(start + SECOND, &Does::waker(|| panic!("as it should")));
    let (other, woken_too) = counted(start + SECOND);
    drop(driver);
    assert_eq!((woken.times(), woken_too.times()), (1, 1));
    assert!(reactor.upgrade().is_none(), "they do not keep it");
    thread::scope(|scope| {
        scope.spawn(|| drop(other));
    });
    drop(panics);
    assert_eq!(poll(&mut alarm, Waker::noop(), start), None);
    // The thread has another loop, and another queue.
    let driver = driven();
    assert_eq!(driver.armed_for(), None);
    let polled = poll(&mut alarm, &woken.clone().into(), start);
    assert_eq!(polled, Some(Poll::Pending));
    driver.ring_at(start + SECOND);
    assert_eq!(woken.times(), 2);
}

#[test]
fn a_loop_within_a_loop_has_sleepers_of_its_own() {
    let outer = driven();
    let start = Instant::now();
    let (_first, before) = counted(start + SECOND);
    let (mut moves, moved) = counted(start + 3 * SECOND);
    let inner = driven();
    let (_second, within) = counted(start + 2 * SECOND);
    inner.ring_at(start + SECOND);
    assert_eq!((before.times(), within.times()), (0, 0));
    let polled = poll(&mut moves, &moved.clone().into(), start);
    assert_eq!(polled, Some(Poll::Pending));
    outer.ring_at(start + 3 * SECOND);
    assert_eq!((before.times(), moved.times()), (1, 0));
    drop(inner);
    assert_eq!(
        (within.times(), moved.times()),
        (1, 1),
        "to be polled again"
    );
}

#[test]
fn a_waker_that_panics_keeps_nobody_asleep() {
    let driver = driven();
    let now = Instant::now();
    let _first = armed(now, &panics());
    let _second = armed(now, &panics());
    let (_next, woken) = counted(now);
    driver.ring_at(now);
    assert_eq!(woken.times(), 1);
}

#[test]
fn a_waker_may_drive_a_reactor_and_sleep_and_forget() {
    let driver = driven();
    let now = Instant::now();
    let (second, woken) = counted(now);
    let (third, forgotten) = counted(now + SECOND);
    let kept = Arc::new(Mutex::new(None));
    let keeps = kept.clone();
    let _first = armed(
        now - MOMENT,
        &Does::waker(move || {
            drop(third);
            let within = driven();
            within.ring_at(now);
            *lock(&keeps) = Some(counted(now + SECOND));
        }),
    );
    driver.ring_at(now);
    assert_eq!((woken.times(), forgotten.times()), (1, 0));
    driver.ring_at(now + SECOND);
    let kept = lock(&kept).take().expect("kept");
    assert_eq!((kept.1.times(), forgotten.times()), (1, 0));
    drop(second);
}

/// Drops what it has with itself, as the waker of a task that nobody else holds.
struct Holds(#[allow(dead_code, reason = "dropped")] Mutex<Option<Alarm>>);

impl Wake for Holds {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn what_goes_with_a_waker_may_sleep_too() {
    let driver = driven();
    let now = Instant::now();
    let (alarm, woken) = counted(now + SECOND);
    let holds = Arc::new(Holds(Mutex::new(Some(alarm))));
    let outer = armed(now, &holds.into());
    drop(outer);
    assert_eq!(Arc::strong_count(&woken), 1);
    // And so where it is forgotten, or replaced, or left.
    let (alarm, woken) = counted(now + SECOND);
    let holds = Arc::new(Holds(Mutex::new(Some(alarm))));
    let elsewhere = armed(now, &holds.into());
    thread::scope(|scope| {
        scope.spawn(|| drop(elsewhere));
    });
    driver.ring_at(now);
    assert_eq!(Arc::strong_count(&woken), 1);
    let (alarm, woken) = counted(now + SECOND);
    let holds = Arc::new(Holds(Mutex::new(Some(alarm))));
    let mut replaced = armed(now, &holds.into());
    let polled = poll(&mut replaced, Waker::noop(), now - MOMENT);
    assert_eq!(polled, Some(Poll::Pending));
    assert_eq!(Arc::strong_count(&woken), 1);
    let (alarm, woken) = counted(now + SECOND);
    let holds = Arc::new(Holds(Mutex::new(Some(alarm))));
    let left = armed(now, &holds.into());
    drop(driver);
    assert_eq!(Arc::strong_count(&woken), 1);
    drop(left);
}

#[test]
fn an_alarm_is_small() {
    assert!(size_of::<Alarm>() <= 32);
}
