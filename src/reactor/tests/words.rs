//! Brute force on what threads share without a lock: the state word and the eventfd.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::super::lock;
use super::super::state::{READ, State, WRITE};
use super::*;

const TIMES: usize = 100_000;

#[test]
fn a_word_that_threads_change_at_once_loses_nothing_that_is_told() {
    let (state, there, over) = (State::new(), AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        // The kernel and its reactor: first there is something, and then it is told.
        scope.spawn(|| {
            for n in 0..TIMES {
                there.fetch_add(1, Ordering::Relaxed);
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
                assert!(!ended || taken == TIMES, "{taken} of {TIMES}");
                if ended {
                    break;
                }
                continue;
            }
            let found = there.load(Ordering::Relaxed);
            if found == taken {
                state.change(seen, READ, 0);
            }
            taken = found;
        }
    });
}

#[test]
fn a_bell_that_threads_ring_at_once_always_wakes() {
    let driver = driven();
    let reactor = &driver.reactor;
    let posted = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for n in 0..TIMES / 10 {
                    lock(&posted).push(n);
                    reactor.notify();
                    if n % 8 == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
        // The loop of an executor. A ring that is lost lets it sleep for ever.
        let mut taken = 0;
        while taken < 3 * (TIMES / 10) {
            if driver.take_notification() {
                taken += std::mem::take(&mut *lock(&posted)).len();
            }
            let wait = driver.is_notified().then_some(Duration::ZERO);
            if wait.is_none() && taken == 3 * (TIMES / 10) {
                break;
            }
            driver.turn(|| wait, no_sleeps).expect("turned");
        }
        // Its own ring is not written, and yet heard.
        reactor.notify();
        assert!(driver.is_notified());
        assert!(driver.take_notification() && !driver.is_notified());
    });
}
