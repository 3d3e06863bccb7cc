//! A `block_on` that returns: tasks and connections that wait go on elsewhere.

use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use futures_lite::{AsyncRead, future};
use halves::Clock;
use smol::LocalExecutor;

use super::*;

/// Counts the polls of a future.
#[cfg(all(target_os = "linux", not(halves_portable)))]
async fn counted<T>(polls: Arc<AtomicUsize>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls.fetch_add(1, Ordering::SeqCst);
        future.as_mut().poll(cx)
    })
    .await
}

#[cfg(all(target_os = "linux", not(halves_portable)))]
#[test]
fn tasks_that_wait_are_not_polled_again_because_a_block_on_returns() {
    let (ex, polls) = (Executor::new(), Arc::<AtomicUsize>::default());
    let mut clients = Vec::new();
    for _ in 0..10 {
        let (client, mut server) = ex.block_on(in_time(pair()));
        clients.push(client);
        let read = async move { server.reader.read(&mut [0]).await.expect("read") };
        ex.spawn(counted(polls.clone(), read)).detach();
        let sleep = Clock::default().sleep(Duration::from_hours(1));
        ex.spawn(counted(polls.clone(), sleep)).detach();
    }
    // Each task is polled, and finds at first that it can write.
    ex.block_on(in_time(Timer::after(Duration::from_millis(20))));
    let before = polls.load(Ordering::SeqCst);
    for _ in 0..10 {
        ex.block_on(yield_now());
        assert_eq!(ex.block_on(ex.spawn(async { 5 })), 5);
    }
    assert_eq!(polls.load(Ordering::SeqCst), before);
}

#[cfg(all(target_os = "linux", not(halves_portable)))]
#[test]
fn connections_of_a_server_are_not_polled_again_because_a_block_on_returns() {
    let (ex, polls) = (Executor::new(), Arc::<AtomicUsize>::default());
    let (mut client, mut server) = ex.block_on(in_time(pair()));
    let read = async move { server.reader.read(&mut [0]).await.expect("read") };
    ex.spawn(counted(polls.clone(), read)).detach();
    let listener = ex.block_on(halves::bind("127.0.0.1:0")).expect("bound");
    let at = listener.local_addrs()[0].to_string();
    let serves = ex.clone();
    let serving = ex.spawn(async move {
        let timeouts = halves::Timeouts::default().idle(Duration::from_hours(1));
        let handler = async |c: Connection| halves::service::echo(c.reader, c.writer).await;
        halves::Server::default()
            .timeouts(timeouts)
            .serve(&serves, listener, handler)
            .await
    });
    let mut other = ex
        .block_on(in_time(halves::connect(&*at)))
        .expect("connected");
    ex.block_on(in_time(async {
        other.writer.write_all(b"hello").await.expect("written");
        other.reader.read_exact(&mut [0; 5]).await.expect("read");
        Timer::after(Duration::from_millis(20)).await;
    }));
    // The socket of the client was polled by `block_on`.
    drop(other);
    let before = polls.load(Ordering::SeqCst);
    for _ in 0..10 {
        ex.block_on(yield_now());
    }
    assert_eq!(polls.load(Ordering::SeqCst), before);
    ex.block_on(in_time(client.writer.write_all(b"x")))
        .expect("written");
    drop(serving);
}

#[test]
fn a_half_is_woken_after_the_other_has_moved_to_another_executor() {
    for (ex, other) in executors().into_iter().zip(executors()) {
        let (mut client, server) = ex.block_on(in_time(pair()));
        let (mut reader, mut writer) = (server.reader, server.writer);
        let task = ex.spawn(async move {
            let mut buf = [0; 5];
            reader.read_exact(&mut buf).await.expect("read");
            buf
        });
        for _ in 0..10 {
            ex.block_on(yield_now());
        }
        // It waits in a loop that then ends.
        other.block_on(in_time(async {
            let much = vec![0; 1 << 20];
            let mut waits = 0;
            while waits < 3 {
                let wrote = future::poll_once(writer.write(&much)).await;
                waits = if wrote.is_some() { 0 } else { waits + 1 };
            }
        }));
        smol::block_on(in_time(client.writer.write_all(b"hello"))).expect("written");
        assert_eq!(&ex.block_on(in_time(task)), b"hello");
    }
}

#[test]
fn a_task_receives_input_from_between_two_block_ons() {
    for ex in executors() {
        let (mut client, mut server) = ex.block_on(in_time(pair()));
        let task = ex.spawn(async move {
            let mut buf = [0; 5];
            server.reader.read_exact(&mut buf).await.expect("read");
            buf
        });
        for _ in 0..3 {
            ex.block_on(yield_now());
        }
        smol::block_on(in_time(client.writer.write_all(b"hello"))).expect("written");
        let there = ex.clone();
        let received = thread::spawn(move || there.block_on(in_time(task)));
        assert_eq!(&received.join().expect("received"), b"hello");
    }
}

#[test]
fn a_wait_that_began_in_a_block_on_ends_elsewhere() {
    for ex in executors() {
        let (mut client, mut server) = ex.block_on(in_time(pair()));
        let mut buf = [0; 5];
        let mut read = pin!(server.reader.read_exact(&mut buf));
        let mut nap = Clock::default().sleep(Duration::from_millis(20));
        ex.block_on(async {
            assert!(future::poll_once(&mut read).await.is_none());
            let _ = future::poll_once(&mut nap).await;
        });
        smol::block_on(in_time(async {
            let writes = async {
                nap.await;
                client.writer.write_all(b"hello").await
            };
            future::try_zip(read, writes).await.expect("both");
        }));
        assert_eq!(&buf, b"hello");
    }
}

#[test]
fn tasks_of_another_executor_go_on_when_the_loop_ends_that_polled_them() {
    for ex in executors() {
        let local = LocalExecutor::new();
        let (mut client, mut server) = ex.block_on(in_time(pair()));
        let task = local.spawn(async move {
            server.reader.read_exact(&mut [0; 5]).await.expect("read");
            Clock::default().sleep(Duration::from_millis(20)).await;
        });
        let sleeps = local.spawn(Clock::default().sleep(Duration::from_millis(20)));
        ex.block_on(local.run(async {
            for _ in 0..5 {
                yield_now().await;
            }
        }));
        smol::block_on(in_time(async {
            client.writer.write_all(b"hello").await.expect("written");
            local.run(future::zip(task, sleeps)).await;
        }));
    }
}

#[test]
fn a_server_of_another_executor_goes_on_when_the_loop_ends_that_polled_it() {
    for ex in executors() {
        let local = LocalExecutor::new();
        let listener = ex.block_on(halves::bind("127.0.0.1:0")).expect("bound");
        let at = listener.local_addrs()[0].to_string();
        let tasks = halves::spawn_fn(|task| smol::spawn(task).detach());
        let handler = async |c: Connection| halves::service::echo(c.reader, c.writer).await;
        let serving = local.spawn(async move { halves::serve(tasks, listener, handler).await });
        ex.block_on(local.run(async {
            for _ in 0..5 {
                yield_now().await;
            }
        }));
        smol::block_on(in_time(local.run(async {
            let mut client = halves::connect(&*at).await.expect("connected");
            client.writer.write_all(b"hello").await.expect("written");
            client.reader.read_exact(&mut [0; 5]).await.expect("read");
        })));
        drop(serving);
    }
}

#[test]
fn waits_on_another_thread_are_woken_when_the_loop_ends() {
    for ex in executors() {
        let (mut client, server) = ex.block_on(in_time(async {
            let (client, mut server) = pair().await;
            // The socket belongs to this loop.
            let mut cx = Context::from_waker(Waker::noop());
            let read = Pin::new(&mut server.reader).poll_read(&mut cx, &mut [0]);
            assert!(read.is_pending());
            (client, server)
        }));
        let (waits, waiting) = channel::bounded::<()>(1);
        let reading = ex.block_on(async {
            let mut server = server;
            let reading = thread::spawn(move || {
                smol::block_on(in_time(async {
                    let mut buf = [0; 5];
                    let mut read = pin!(server.reader.read_exact(&mut buf));
                    assert!(future::poll_once(&mut read).await.is_none());
                    waits.send(()).await.expect("received");
                    read.await.expect("read");
                    buf
                }))
            });
            waiting.recv().await.expect("it waits");
            reading
        });
        smol::block_on(in_time(client.writer.write_all(b"hello"))).expect("written");
        assert_eq!(&reading.join().expect("read"), b"hello");
    }
}

#[test]
fn connections_outlive_the_executor_that_they_waited_in() {
    for ex in executors() {
        let (mut client, mut server) = ex.block_on(in_time(async {
            let (mut client, mut server) = pair().await;
            ask(&mut client, &mut server).await;
            (client, server)
        }));
        drop(ex);
        smol::block_on(in_time(ask(&mut server, &mut client)));
        Executor::new().block_on(in_time(ask(&mut client, &mut server)));
    }
}
