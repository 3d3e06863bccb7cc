//! Sleeps of a clock, in a runtime of tokio and outside it.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, poll_once};
use halves::time::Sleep;
use halves::{Clock, Executor};
use tokio::runtime::{Builder, Runtime};

use crate::one_thread;

const HOUR: Duration = Duration::from_hours(1);
const MOMENT: Duration = Duration::from_millis(20);

/// The time of the runtime passes at once if it has nothing else to do.
#[test]
fn a_sleep_is_on_tokios_timer() {
    let mut builder = Builder::new_current_thread();
    let paused = builder.enable_all().start_paused(true).build();
    let paused = paused.expect("a runtime");
    paused.block_on(Clock::default().sleep(HOUR));
}

#[test]
fn a_sleep_is_never_over_too_early() {
    one_thread().block_on(async {
        let deadline = Instant::now() + MOMENT;
        Clock::default().sleep_until(deadline).await;
        assert!(Instant::now() >= deadline);
    });
}

#[test]
fn a_sleep_that_began_in_one_runtime_ends_in_any_other() {
    // A runtime that is not driven, and one that has ended.
    let (_idle, sleep) = begun();
    smol::block_on(sleep);
    let (ended, sleep) = begun();
    drop(ended);
    one_thread().block_on(sleep);
}

/// On the portable path an `Executor` leaves this to the runtime around it, as smol does.
#[test]
#[cfg(all(target_os = "linux", not(halves_portable)))]
fn a_sleep_goes_on_with_our_executor_within_a_runtime_that_is_not_driven() {
    let (idle, sleep) = begun();
    let _here = idle.enter();
    Executor::new().block_on(sleep);
}

/// A sleep that is not over, and its runtime, which is not driven.
fn begun() -> (Runtime, Sleep) {
    let runtime = one_thread();
    let mut sleep = Clock::default().sleep(MOMENT);
    let polled = runtime.block_on(poll_once(&mut sleep));
    assert!(polled.is_none());
    (runtime, sleep)
}

#[test]
fn a_sleep_that_began_elsewhere_goes_on_in_tokio() {
    let mut sleep = pin!(Clock::default().sleep(MOMENT));
    assert!(block_on(poll_once(sleep.as_mut())).is_none());
    one_thread().block_on(sleep);
    let ex = Executor::new();
    let mut sleep = pin!(Clock::default().sleep(MOMENT));
    assert!(ex.block_on(poll_once(sleep.as_mut())).is_none());
    one_thread().block_on(sleep);
}

#[test]
#[should_panic(expected = "enable_time")]
fn a_runtime_without_time_panics() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(Clock::default().sleep(MOMENT));
}
