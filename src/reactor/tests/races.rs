//! Many operations at once on state that threads share without a lock: the state word and the
//! notification.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::super::lock;
use super::super::state::{READ, StateWord, WRITE};
use super::*;

const EVENTS: usize = 100_000;

#[test]
fn a_state_word_that_threads_change_at_once_loses_no_event() {
    let (state, arrived, over) = (
        StateWord::new(),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    thread::scope(|scope| {
        // The kernel and the reactor: bytes arrive, and then the event is reported.
        scope.spawn(|| {
            for n in 0..EVENTS {
                arrived.fetch_add(1, Ordering::Relaxed);
                state.report(READ);
                if n % 64 == 0 {
                    thread::yield_now();
                }
            }
            over.store(true, Ordering::Release);
        });
        // The other half, which changes the same word.
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                let seen = state.load();
                if !state.change(seen, WRITE, 0) {
                    state.report(WRITE);
                }
            }
        });
        let mut taken = 0;
        loop {
            let ended = over.load(Ordering::Acquire);
            let seen = state.load();
            if seen & READ == 0 {
                assert!(!ended || taken == EVENTS, "{taken} of {EVENTS}");
                if ended {
                    break;
                }
                continue;
            }
            let found = arrived.load(Ordering::Relaxed);
            if found == taken {
                state.change(seen, READ, 0);
            }
            taken = found;
        }
    });
}

#[test]
fn a_reactor_that_threads_notify_at_once_always_wakes() {
    let driver = driven();
    let reactor = &driver.reactor;
    let posted = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0..EVENTS / 10 {
                    lock(&posted).push(n);
                    reactor.notify();
                    if n % 8 == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
        // The loop of an executor. After a lost notification it waits for ever.
        let mut taken = 0;
        while taken < 3 * (EVENTS / 10) {
            if driver.take_notification() {
                taken += std::mem::take(&mut *lock(&posted)).len();
            }
            let wait = driver.is_notified().then_some(Duration::ZERO);
            if wait.is_none() && taken == 3 * (EVENTS / 10) {
                break;
            }
            driver.turn(|| wait, no_alarms).expect("turned");
        }
        // The thread's own notification is not written to the eventfd, but counts.
        reactor.notify();
        assert!(driver.is_notified());
        assert!(driver.take_notification() && !driver.is_notified());
    });
}
