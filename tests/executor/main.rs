//! The executor: where tasks run, how they end, and several threads in `block_on`.

mod blocking;
mod dropping;
mod group;
mod leaving;
mod panicking;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod resting;
mod runtimes;
mod sleeping;
#[path = "../support/mod.rs"]
mod support;
mod tokens;

use std::future::{pending, poll_fn};
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::yield_now;
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use halves::{Connection, Executor, Listener};
use smol::Timer;
use smol::channel;

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(20);

fn threads(n: usize) -> Executor {
    Executor::threads(NonZero::new(n).expect("not 0"))
}

/// Executors of each kind, for tests that are the same for all.
fn executors() -> Vec<Executor> {
    vec![Executor::new(), threads(2), threads(5)]
}

/// Two connected streams.
async fn pair() -> (Connection, Connection) {
    let mut listener = halves::bind("127.0.0.1:0").await.expect("bound");
    let at = listener.local_addrs()[0].to_string();
    let client = halves::connect(&*at).await.expect("connected");
    let server = listener.accept().await.expect("accepted");
    (client, server.expect("one"))
}

/// Panics if a future takes too long, instead of hanging.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(TIMEOUT).await;
        panic!("it never came");
    };
    future.or(late).await
}

/// Waits until other threads make the condition true.
fn eventually(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < TIMEOUT, "it never came");
        thread::yield_now();
    }
}

async fn ask(from: &mut Connection, to: &mut Connection) {
    let mut buf = [0; 5];
    from.writer.write_all(b"hello").await.expect("written");
    to.reader.read_exact(&mut buf).await.expect("read");
    assert_eq!(&buf, b"hello");
}

#[derive(Clone, Default)]
struct Dropped(Arc<AtomicUsize>);

impl Dropped {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn counter(&self) -> Counter {
        Counter(self.0.clone())
    }
}

struct Counter(Arc<AtomicUsize>);

impl Drop for Counter {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_panic_reaches_its_task_only() {
    for ex in executors() {
        let bad = || async { resume_unwind(Box::new("asked to")) };
        let before = ex.spawn(async {
            Timer::after(Duration::from_millis(20)).await;
            1
        });
        let panics = ex.spawn::<()>(bad());
        for _ in 0..10 {
            ex.spawn::<()>(bad()).detach();
        }
        let after = ex.spawn(async { 2 });
        assert_eq!(ex.block_on(in_time(before)), 1);
        assert_eq!(ex.block_on(in_time(after)), 2);
        let payload = catch_unwind(AssertUnwindSafe(|| ex.block_on(in_time(panics))));
        let payload = payload.expect_err("it goes on here");
        assert_eq!(payload.downcast_ref(), Some(&"asked to"));
        assert_eq!(ex.block_on(in_time(ex.spawn(async { 3 }))), 3);
    }
}

#[test]
fn a_task_that_is_cancelled_or_dropped_is_gone() {
    for ex in executors() {
        let dropped = Dropped::default();
        let waits = || {
            let counter = dropped.counter();
            ex.spawn(async move {
                let _counter = counter;
                pending::<()>().await;
            })
        };
        let (cancelled, let_go, never_run) = (waits(), waits(), waits());
        ex.block_on(in_time(async {
            for _ in 0..10 {
                yield_now().await;
            }
            assert_eq!(cancelled.cancel().await, None);
            drop(let_go);
        }));
        drop(never_run);
        ex.block_on(in_time(async {
            while dropped.times() < 3 {
                yield_now().await;
            }
        }));
        let done = ex.spawn(async { 5 });
        ex.block_on(in_time(async {
            while !done.is_finished() {
                yield_now().await;
            }
        }));
        assert_eq!(ex.block_on(done.cancel()), Some(5));
    }
}

/// Starts tasks that wait for things of every kind. Returns their number.
fn start_waiting(ex: &Executor, dropped: &Dropped) -> usize {
    let (sender, receiver) = channel::unbounded::<()>();
    let (mut client, server) = ex.block_on(in_time(pair()));
    let counter = dropped.counter();
    ex.spawn(async move {
        let (_counter, _server) = (counter, server);
        let _ = client.reader.read(&mut [0]).await;
    })
    .detach();
    let counter = dropped.counter();
    ex.spawn(async move {
        // Woken by the drop of the sender, if that comes first.
        let _counter = counter;
        let _ = receiver.recv().await;
        pending::<()>().await;
    })
    .detach();
    let counter = dropped.counter();
    ex.spawn(async move {
        let (_counter, _sender) = (counter, sender);
        Timer::after(Duration::from_hours(1)).await;
    })
    .detach();
    let counter = dropped.counter();
    let waited_for = ex.spawn(async move {
        let _counter = counter;
        pending::<()>().await;
    });
    let counter = dropped.counter();
    ex.spawn(async move {
        let _counter = counter;
        waited_for.await;
    })
    .detach();
    ex.block_on(in_time(async {
        Timer::after(Duration::from_millis(5)).await;
        yield_now().await;
    }));
    5
}

#[test]
fn an_executor_that_is_dropped_drops_its_tasks() {
    for n in 1..=3 {
        let (ex, dropped) = (threads(n), Dropped::default());
        let waiting = start_waiting(&ex, &dropped);
        assert_eq!(dropped.times(), 0);
        let clone = ex.clone();
        drop(ex);
        assert_eq!(dropped.times(), 0, "there is another handle");
        drop(clone);
        assert_eq!(dropped.times(), waiting, "{n} threads");
    }
}

#[test]
fn an_executor_that_is_dropped_by_its_own_task_drops_its_tasks() {
    for n in 2..=3 {
        let (ex, dropped) = (threads(n), Dropped::default());
        let waiting = start_waiting(&ex, &dropped);
        let (go, gone) = channel::bounded::<()>(1);
        let (counter, last) = (dropped.counter(), ex.clone());
        ex.spawn(async move {
            let _ = gone.recv().await;
            drop(last);
            let _counter = counter;
            pending::<()>().await;
        })
        .detach();
        drop(ex);
        go.send_blocking(()).expect("received");
        eventually(|| dropped.times() == waiting + 1);
    }
}

#[test]
fn a_task_that_never_ran_is_dropped_with_the_executor() {
    let (ex, dropped) = (Executor::new(), Dropped::default());
    let counter = dropped.counter();
    ex.spawn(async move { drop(counter) }).detach();
    drop(ex);
    assert_eq!(dropped.times(), 1);
}

#[test]
fn wakes_from_many_threads_are_not_lost() {
    for ex in executors() {
        let (count, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let wakers = channel::unbounded();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (count, seen, to) = (count.clone(), seen.clone(), wakers.0.clone());
                ex.spawn(poll_fn(move |cx| {
                    to.try_send(cx.waker().clone()).expect("unbounded");
                    seen.fetch_add(1, Ordering::SeqCst);
                    match count.load(Ordering::SeqCst) {
                        20_000.. => Poll::Ready(()),
                        _ => Poll::Pending,
                    }
                }))
            })
            .collect();
        let storm: Vec<_> = (0..4)
            .map(|_| {
                let (count, wakers) = (count.clone(), wakers.1.clone());
                thread::spawn(move || {
                    // Each waker is used once, so a lost wake-up makes a task hang.
                    while count.fetch_add(1, Ordering::SeqCst) < 40_000 {
                        match wakers.try_recv() {
                            Ok(waker) => waker.wake(),
                            Err(_) => thread::yield_now(),
                        }
                    }
                    while let Ok(waker) = wakers.try_recv() {
                        waker.wake();
                    }
                })
            })
            .collect();
        ex.block_on(in_time(async {
            for task in tasks {
                task.await;
            }
        }));
        assert!(seen.load(Ordering::SeqCst) >= 4);
        for thread in storm {
            thread.join().expect("it wakes");
        }
    }
}

#[test]
fn thousands_of_tasks_that_wake_themselves_starve_neither_sockets_nor_timers() {
    for ex in executors() {
        let end = Arc::new(AtomicBool::new(false));
        for _ in 0..3000 {
            let end = end.clone();
            ex.spawn(async move {
                while !end.load(Ordering::Relaxed) {
                    yield_now().await;
                }
            })
            .detach();
        }
        let task = ex.spawn(async {
            let (mut client, mut server) = pair().await;
            for _ in 0..10 {
                ask(&mut client, &mut server).await;
                ask(&mut server, &mut client).await;
                Timer::after(Duration::from_millis(1)).await;
            }
        });
        ex.block_on(in_time(task));
        end.store(true, Ordering::Relaxed);
    }
}
