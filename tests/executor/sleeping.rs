//! Sleeps of the system clock, polled on any thread.

use futures_lite::future;
use halves::Clock;
use halves::time::Sleep;

use super::*;

const SHORT_SLEEP: Duration = Duration::from_millis(3);

/// A sleep, and the instant before which it may not end.
fn nap(duration: Duration) -> (Sleep, Instant) {
    let clock = Clock::default();
    let end = clock.now() + duration;
    (clock.sleep_until(end), end)
}

/// As [`nap`], once the sleep waits in this task.
async fn waiting(duration: Duration) -> (Sleep, Instant) {
    let (mut sleep, end) = nap(duration);
    let _ = future::poll_once(&mut sleep).await;
    (sleep, end)
}

async fn through((sleep, end): (Sleep, Instant)) {
    sleep.await;
    assert!(Instant::now() >= end, "too early");
}

#[test]
fn a_thousand_sleeps_end_and_none_too_early() {
    for ex in [Executor::new(), threads(2)] {
        let tasks: Vec<_> = (0..1000)
            .map(|n| ex.spawn(through(nap(Duration::from_micros(n * 7 % 20_000)))))
            .collect();
        ex.block_on(in_time(async {
            through(nap(SHORT_SLEEP)).await;
            for task in tasks {
                task.await;
            }
        }));
    }
}

#[test]
fn a_sleep_that_is_over_stays_over() {
    let mut sleeps = [
        nap(SHORT_SLEEP).0,
        nap(Duration::ZERO).0,
        nap(Duration::ZERO).0,
    ];
    for sleep in &mut sleeps[..2] {
        smol::block_on(in_time(&mut *sleep));
    }
    for ex in [Executor::new(), threads(2)] {
        for sleep in &mut sleeps {
            ex.block_on(in_time(&mut *sleep));
            smol::block_on(in_time(&mut *sleep));
        }
    }
}

#[test]
fn a_sleep_goes_on_wherever_it_is_taken() {
    let (ex, other) = (Executor::new(), threads(2));
    let sleep = ex.block_on(waiting(SHORT_SLEEP));
    let sleep = ex.block_on(async {
        // A thread without a reactor, while the loop goes on.
        let (mut sleep, end) = sleep;
        let sleeping = smol::unblock(move || {
            let _ = smol::block_on(future::poll_once(&mut sleep));
            (sleep, end)
        });
        in_time(sleeping).await
    });
    smol::block_on(in_time(through(sleep)));
    // From a task to one of another executor, which sleeps longer than the first loop runs.
    let sleep = ex.block_on(ex.spawn(waiting(SHORT_SLEEP)));
    other.block_on(in_time(other.spawn(through(sleep))));
    // And from there to a loop on this thread.
    let sleep = other.block_on(other.spawn(waiting(SHORT_SLEEP)));
    ex.block_on(in_time(through(sleep)));
}

#[test]
fn a_sleep_of_a_task_that_is_not_driven_ends_with_another_driver() {
    let ex = Executor::new();
    let task = ex.spawn(through(nap(SHORT_SLEEP)));
    ex.block_on(yield_now());
    let there = ex.clone();
    let ended = thread::spawn(move || there.block_on(in_time(task)));
    ended.join().expect("it ended");
}

#[test]
fn sleeps_within_a_loop_and_around_it() {
    for ex in [Executor::new(), threads(2)] {
        let task = ex.spawn(async {
            let long = waiting(SHORT_SLEEP * 3).await;
            let inner = Executor::new();
            // Sleeps registered with the outer loop are awaited in the inner one, and the other way
            // round.
            let left = inner.block_on(in_time(async {
                through(waiting(SHORT_SLEEP).await).await;
                through(long).await;
                waiting(SHORT_SLEEP).await
            }));
            through(left).await;
        });
        ex.block_on(in_time(task));
    }
}

#[test]
fn sleeping_tasks_are_dropped_with_their_executor() {
    let clock = Clock::default();
    for ex in [Executor::new(), threads(2)] {
        let held = Arc::new(());
        for _ in 0..100 {
            let (sleep, held) = (clock.sleep(Duration::from_hours(1)), held.clone());
            ex.spawn(async move {
                sleep.await;
                drop(held);
            })
            .detach();
        }
        ex.block_on(in_time(ex.spawn(yield_now())));
        drop(ex);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn sleeps_that_hop_between_threads_end() {
    let exs = [threads(2), threads(2)];
    let hop = async |(mut sleep, end): (Sleep, Instant), to: usize| {
        let polled = async move {
            let _ = future::poll_once(&mut sleep).await;
            (sleep, end)
        };
        match exs.get(to) {
            Some(ex) => ex.spawn(polled).await,
            None => smol::unblock(|| smol::block_on(polled)).await,
        }
    };
    let tasks = (0..500).map(|n: usize| {
        let hop = &hop;
        Box::pin(async move {
            let mut sleep = nap(Duration::from_micros(n as u64 * 40));
            for step in 1..6 {
                sleep = hop(sleep, n / step % 3).await;
            }
            through(sleep).await;
        })
    });
    let mut tasks: Vec<_> = tasks.collect();
    let all = poll_fn(|cx| {
        tasks.retain_mut(|task| task.poll(cx).is_pending());
        if tasks.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    Executor::new().block_on(in_time(all));
}
