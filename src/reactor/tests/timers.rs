//! Alarms of a thread. The tests pass the current time.

use std::iter::repeat_with;
use std::sync::Mutex;
use std::thread;

use super::super::timers::MAX_WAKES_PER_EXPIRY;
use super::super::{Alarm, lock};
use super::lifetimes::CallOnWake;
use super::panics::panics;
use super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MOMENT: Duration = Duration::from_nanos(1);

pub(super) fn poll(alarm: &mut Alarm, waker: &Waker, now: Instant) -> Option<Poll<()>> {
    alarm.poll(&mut Context::from_waker(waker), || now)
}

/// Returns an alarm that waits on this thread, right before its deadline.
pub(super) fn armed(deadline: Instant, waker: &Waker) -> Alarm {
    armed_at(deadline - MOMENT, deadline, waker)
}

/// As [`armed`], at this time.
pub(super) fn armed_at(now: Instant, deadline: Instant, waker: &Waker) -> Alarm {
    let mut alarm = Alarm::new(deadline);
    assert_eq!(poll(&mut alarm, waker, now), Some(Poll::Pending));
    alarm
}

/// Returns an alarm that waits, and the count of its wakes.
pub(super) fn counted(deadline: Instant) -> (Alarm, Arc<WakeCount>) {
    let woken = Arc::new(WakeCount::default());
    (armed(deadline, &woken.clone().into()), woken)
}

impl Driver {
    /// Handles an expiry of the timer at this time.
    pub(super) fn expire_at(&self, now: Instant) {
        self.reactor.timers[0].wake_due(now);
    }

    /// Returns the instant for which the timer is set.
    pub(super) fn armed_for(&self) -> Option<Instant> {
        self.reactor.timers[0].armed_for()
    }
}

#[test]
fn alarms_are_woken_in_order_at_their_deadlines() {
    let driver = driven();
    let start = Instant::now();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut alarms = Vec::new();
    for (n, seconds) in [3, 1, 2, 1, 3, 1].into_iter().enumerate() {
        let order = order.clone();
        let waker = CallOnWake::waker(move || lock(&order).push(n));
        alarms.push(armed(start + seconds * SECOND, &waker));
    }
    for (after, expected) in [
        (SECOND - MOMENT, vec![]),
        (SECOND, vec![1, 3, 5]),
        (2 * SECOND - MOMENT, vec![]),
        (3 * SECOND, vec![2, 0, 4]),
        (4 * SECOND, vec![]),
    ] {
        driver.expire_at(start + after);
        assert_eq!(std::mem::take(&mut *lock(&order)), expected, "{after:?}");
    }
    for alarm in &mut alarms {
        let polled = poll(alarm, Waker::noop(), start + 4 * SECOND);
        assert_eq!(polled, Some(Poll::Ready(())), "the deadline is reached");
    }
}

#[test]
fn a_deadline_in_the_past_is_ready_at_once() {
    let now = Instant::now();
    let mut alarm = Alarm::new(now);
    let polled = poll(&mut alarm, Waker::noop(), now - MOMENT);
    assert_eq!(polled, None, "this thread has no reactor");
    assert_eq!(poll(&mut alarm, Waker::noop(), now), Some(Poll::Ready(())));
    let driver = driven();
    assert_eq!(poll(&mut alarm, Waker::noop(), now), Some(Poll::Ready(())));
    assert_eq!(driver.armed_for(), None);
}

#[test]
fn a_dropped_alarm_is_removed() {
    let driver = driven();
    let start = Instant::now();
    let (first, (second, woken)) = (counted(start + SECOND), counted(start + SECOND));
    drop(first.0);
    assert_eq!(Arc::strong_count(&first.1), 1);
    driver.expire_at(start + SECOND);
    assert_eq!((first.1.times(), woken.times()), (0, 1));
    drop(second);
}

#[test]
fn only_the_last_task_that_polled_is_woken() {
    let driver = driven();
    let start = Instant::now();
    let (mut alarm, first) = counted(start + SECOND);
    let second = Arc::new(WakeCount::default());
    for _ in 0..3 {
        let polled = poll(&mut alarm, &second.clone().into(), start);
        assert_eq!(polled, Some(Poll::Pending));
    }
    assert_eq!(Arc::strong_count(&first), 1);
    driver.expire_at(start + SECOND);
    assert_eq!((first.times(), second.times()), (0, 1));
}

#[test]
fn an_expiry_wakes_a_limited_number_and_the_next_one_the_rest() {
    let driver = driven();
    let now = Instant::now();
    let all: Vec<_> = repeat_with(|| counted(now))
        .take(3 * MAX_WAKES_PER_EXPIRY + 1)
        .collect();
    for turn in 1..=4 {
        assert!(
            driver.wait(Some(WAIT_TIMEOUT), || now),
            "the timer expires again"
        );
        let woken = all.iter().filter(|(_, woken)| woken.times() == 1).count();
        assert_eq!(woken, (turn * MAX_WAKES_PER_EXPIRY).min(all.len()));
    }
}

#[test]
fn an_alarm_that_moves_is_woken_by_its_new_reactor() {
    let driver = driven();
    let start = Instant::now();
    let (mut alarm, here) = counted(start + SECOND);
    thread::scope(|scope| {
        scope.spawn(|| {
            let driver = driven();
            let there = Arc::new(WakeCount::default());
            let polled = poll(&mut alarm, &there.clone().into(), start);
            assert_eq!(polled, Some(Poll::Pending));
            driver.expire_at(start + SECOND);
            assert_eq!(there.times(), 1);
        });
    });
    driver.expire_at(start + SECOND);
    assert_eq!((here.times(), Arc::strong_count(&here)), (0, 1));
    assert_eq!(poll(&mut alarm, Waker::noop(), start), Some(Poll::Pending));
}

#[test]
fn an_alarm_polled_on_a_thread_without_a_reactor_returns_none() {
    let driver = driven();
    let start = Instant::now();
    let (mut alarm, here) = counted(start + SECOND);
    thread::scope(|scope| {
        let polled = scope.spawn(|| poll(&mut alarm, Waker::noop(), start));
        assert_eq!(polled.join().expect("polled"), None);
    });
    driver.expire_at(start + SECOND);
    assert_eq!((here.times(), Arc::strong_count(&here)), (0, 1));
}

#[test]
fn an_alarm_dropped_on_another_thread_is_freed_at_once() {
    let driver = driven();
    let start = Instant::now();
    let (alarm, woken) = counted(start + SECOND);
    thread::scope(|scope| {
        scope.spawn(|| drop(alarm));
    });
    assert_eq!(Arc::strong_count(&woken), 1);
    driver.expire_at(start + SECOND);
    assert_eq!(woken.times(), 0);
}

#[test]
fn a_worker_of_a_group_wakes_the_alarms_of_the_others() {
    let reactor = Reactor::for_group(2).expect("a reactor");
    let driver = reactor.join(0);
    let now = Instant::now();
    let (mut alarm, woken) = thread::scope(|scope| {
        let alarms = scope.spawn(|| {
            let _driver = reactor.join(1);
            counted(now)
        });
        alarms.join().expect("armed")
    });
    // The other worker has left, and was not the last one.
    assert!(driver.wait(Some(WAIT_TIMEOUT), || now));
    assert_eq!(woken.times(), 1);
    assert_eq!(poll(&mut alarm, Waker::noop(), now), Some(Poll::Ready(())));
}

#[test]
fn an_alarm_that_another_worker_of_its_group_polls_does_not_move() {
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
fn waiting_alarms_are_woken_when_the_thread_leaves_its_loop() {
    let driver = driven();
    let reactor = Arc::downgrade(&driver.reactor);
    let start = Instant::now();
    let (mut alarm, woken) = counted(start + SECOND);
    let panics = armed(
        start + SECOND,
        &CallOnWake::waker(|| panic!("as it should")),
    );
    let (other, woken_too) = counted(start + SECOND);
    drop(driver);
    assert_eq!((woken.times(), woken_too.times()), (1, 1));
    assert!(
        reactor.upgrade().is_none(),
        "alarms do not keep the reactor"
    );
    thread::scope(|scope| {
        scope.spawn(|| drop(other));
    });
    drop(panics);
    assert_eq!(poll(&mut alarm, Waker::noop(), start), None);
    // The thread has another reactor, and another queue.
    let driver = driven();
    assert_eq!(driver.armed_for(), None);
    let polled = poll(&mut alarm, &woken.clone().into(), start);
    assert_eq!(polled, Some(Poll::Pending));
    driver.expire_at(start + SECOND);
    assert_eq!(woken.times(), 2);
}

#[test]
fn an_inner_reactor_has_alarms_of_its_own() {
    let outer = driven();
    let start = Instant::now();
    let (_first, before) = counted(start + SECOND);
    let (mut moves, moved) = counted(start + 3 * SECOND);
    let inner = driven();
    let (_second, within) = counted(start + 2 * SECOND);
    inner.expire_at(start + SECOND);
    assert_eq!((before.times(), within.times()), (0, 0));
    let polled = poll(&mut moves, &moved.clone().into(), start);
    assert_eq!(polled, Some(Poll::Pending));
    outer.expire_at(start + 3 * SECOND);
    assert_eq!((before.times(), moved.times()), (1, 0));
    drop(inner);
    assert_eq!(
        (within.times(), moved.times()),
        (1, 1),
        "woken to be polled again"
    );
}

#[test]
fn all_other_alarms_are_woken_if_a_waker_panics() {
    let driver = driven();
    let now = Instant::now();
    let _first = armed(now, &panics());
    let _second = armed(now, &panics());
    let (_next, woken) = counted(now);
    driver.expire_at(now);
    assert_eq!(woken.times(), 1);
}

#[test]
fn a_waker_may_drive_a_reactor_and_make_and_drop_alarms() {
    let driver = driven();
    let now = Instant::now();
    let (second, woken) = counted(now);
    let (third, forgotten) = counted(now + SECOND);
    let kept = Arc::new(Mutex::new(None));
    let keeps = kept.clone();
    let _first = armed(
        now - MOMENT,
        &CallOnWake::waker(move || {
            drop(third);
            let within = driven();
            within.expire_at(now);
            *lock(&keeps) = Some(counted(now + SECOND));
        }),
    );
    driver.expire_at(now);
    assert_eq!((woken.times(), forgotten.times()), (1, 0));
    driver.expire_at(now + SECOND);
    let kept = lock(&kept).take().expect("kept");
    assert_eq!((kept.1.times(), forgotten.times()), (1, 0));
    drop(second);
}

/// A waker that owns an alarm, as the last waker of a task does.
struct OwningWaker(#[allow(dead_code, reason = "dropped")] Mutex<Option<Alarm>>);

impl Wake for OwningWaker {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_dropped_waker_may_own_an_alarm() {
    let driver = driven();
    let now = Instant::now();
    let (alarm, woken) = counted(now + SECOND);
    let waker = Arc::new(OwningWaker(Mutex::new(Some(alarm))));
    let outer = armed(now, &waker.into());
    drop(outer);
    assert_eq!(Arc::strong_count(&woken), 1);
    // The same on another thread, for a replaced waker, and for a reactor that is left.
    let (alarm, woken) = counted(now + SECOND);
    let waker = Arc::new(OwningWaker(Mutex::new(Some(alarm))));
    let elsewhere = armed(now, &waker.into());
    thread::scope(|scope| {
        scope.spawn(|| drop(elsewhere));
    });
    driver.expire_at(now);
    assert_eq!(Arc::strong_count(&woken), 1);
    let (alarm, woken) = counted(now + SECOND);
    let waker = Arc::new(OwningWaker(Mutex::new(Some(alarm))));
    let mut replaced = armed(now, &waker.into());
    let polled = poll(&mut replaced, Waker::noop(), now - MOMENT);
    assert_eq!(polled, Some(Poll::Pending));
    assert_eq!(Arc::strong_count(&woken), 1);
    let (alarm, woken) = counted(now + SECOND);
    let waker = Arc::new(OwningWaker(Mutex::new(Some(alarm))));
    let left = armed(now, &waker.into());
    drop(driver);
    assert_eq!(Arc::strong_count(&woken), 1);
    drop(left);
}

#[test]
fn an_alarm_is_small() {
    assert!(size_of::<Alarm>() <= 32);
}
