//! `block_on` within a task, and from several threads.

use std::sync::mpsc;

use futures_lite::future;

use super::*;

/// The message of a panic of `call`.
fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).err();
    let payload = payload.expect("it panics");
    let literal = payload.downcast_ref().copied().map(str::to_owned);
    let message = literal.or_else(|| payload.downcast_ref().cloned());
    message.expect("a message")
}

fn assert_says_nested(message: &str) {
    assert!(
        message.contains("`block_on` of the same executor"),
        "{message}"
    );
}

#[test]
fn a_block_on_within_one_of_the_same_executor_panics() {
    for ex in executors() {
        let inner = ex.clone();
        let task = ex.spawn(async move { panic_of(|| inner.block_on(async {})) });
        assert_says_nested(&ex.block_on(in_time(task)));
        let message = ex.block_on(async { panic_of(|| ex.block_on(async {})) });
        assert_says_nested(&message);
        // The outer call goes on, and later calls work.
        assert_eq!(ex.block_on(in_time(ex.spawn(async { 5 }))), 5);
    }
}

#[test]
fn a_block_on_within_one_of_the_same_executor_panics_also_with_another_between() {
    for ex in executors() {
        for between in executors() {
            let inner = ex.clone();
            let task = ex.spawn(async move {
                let innermost = async { panic_of(|| inner.block_on(async {})) };
                between.block_on(innermost)
            });
            assert_says_nested(&ex.block_on(in_time(task)));
        }
    }
}

#[test]
fn a_second_thread_in_block_on_may_not_nest_either() {
    let ex = Executor::new();
    let (leave, occupied) = occupy(&ex, false);
    let message = ex.block_on(async { panic_of(|| ex.block_on(async {})) });
    assert_says_nested(&message);
    leave.send_blocking(()).expect("left");
    occupied.join().expect("left");
}

#[test]
fn a_block_on_on_another_thread_goes_on_beside_a_task_that_waits_for_it() {
    for ex in executors() {
        let there = ex.clone();
        let task = ex.spawn(async move {
            let blocked = thread::spawn(move || there.block_on(async { 5 }));
            blocked.join().expect("done")
        });
        assert_eq!(ex.block_on(in_time(task)), 5);
    }
}

#[test]
fn sockets_work_in_a_block_on_of_another_executor_within_a_task_and_after_it() {
    for ex in executors() {
        let task = ex.spawn(async {
            let (mut client, mut server) = pair().await;
            // Both wait once, so that their sockets belong to this thread.
            let (mut client_buf, mut server_buf) = ([0], [0]);
            let reads = future::poll_once(client.reader.read(&mut client_buf)).await;
            assert!(reads.is_none());
            let reads = future::poll_once(server.reader.read(&mut server_buf)).await;
            assert!(reads.is_none());
            for inner in executors() {
                let (mut from, mut to) = (client, server);
                (client, server) = inner.block_on(in_time(async {
                    ask(&mut from, &mut to).await;
                    // A task that has to wait.
                    let answers = inner.spawn(async move {
                        Timer::after(Duration::from_millis(2)).await;
                        from.writer.write_all(b"!").await.expect("written");
                        from
                    });
                    let mut buf = [0];
                    to.reader.read_exact(&mut buf).await.expect("read");
                    (answers.await, to)
                }));
                in_time(ask(&mut server, &mut client)).await;
            }
        });
        ex.block_on(in_time(task));
    }
}

/// Another thread in `block_on` until it receives a message. It returns or panics then.
fn occupy(ex: &Executor, panics: bool) -> (channel::Sender<()>, thread::JoinHandle<()>) {
    let (leave, left) = channel::bounded::<()>(1);
    let (sender, inside) = mpsc::channel();
    let ex = ex.clone();
    let thread = thread::spawn(move || {
        let blocked = catch_unwind(AssertUnwindSafe(|| {
            ex.block_on(async {
                sender.send(()).expect("received");
                let _ = left.recv().await;
                if panics {
                    resume_unwind(Box::new("asked to"));
                }
            });
        }));
        assert_eq!(blocked.is_err(), panics);
    });
    inside.recv_timeout(TIMEOUT).expect("it is in");
    (leave, thread)
}

#[test]
fn the_next_block_on_takes_the_tasks_over() {
    for panics in [false, true] {
        let ex = Executor::new();
        let (mut client, mut server) = ex.block_on(in_time(pair()));
        let occupied: Vec<_> = (0..3).map(|_| occupy(&ex, panics)).collect();
        let (sender, echoed) = channel::unbounded();
        ex.spawn(async move {
            let mut buf = [0];
            while server.reader.read_exact(&mut buf).await.is_ok() {
                server.writer.write_all(&buf).await.expect("written");
                Timer::after(Duration::from_millis(1)).await;
                sender.send(buf[0]).await.expect("received");
            }
        })
        .detach();
        let mut received = 0;
        for (leave, thread) in occupied {
            for _ in 0..3 {
                received += 1;
                // Not in `block_on`: other threads have to run the task.
                smol::block_on(in_time(async {
                    client.writer.write_all(&[received]).await.expect("written");
                    let mut buf = [0];
                    client.reader.read_exact(&mut buf).await.expect("read");
                    assert_eq!((buf[0], echoed.recv().await), (received, Ok(received)));
                }));
            }
            leave.send_blocking(()).expect("left");
            thread.join().expect("left");
        }
    }
}

#[test]
fn many_short_block_ons_at_once_lose_no_task() {
    let ex = Executor::new();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let task = ex.spawn(async {
                        yield_now().await;
                        1
                    });
                    done.fetch_add(ex.block_on(in_time(task)), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 400);
}
