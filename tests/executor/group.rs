//! Several threads: an idle one runs the tasks of a thread that is held by a task.

use std::net::TcpListener;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Context;

use futures_lite::future::poll_once;
use halves::Clock;

use super::*;

#[test]
fn tasks_are_spread_over_the_threads() {
    let ex = threads(3);
    // Each task holds its thread until all of them run.
    let together = Arc::new(Barrier::new(3));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let together = together.clone();
            ex.spawn(async move {
                together.wait();
                thread::current().id()
            })
        })
        .collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(ex.block_on(in_time(task)));
    }
    ids.sort_by_key(|id| format!("{id:?}"));
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn tasks_that_a_task_has_started_run_while_it_holds_its_thread() {
    for n in [2, 3] {
        let ex = threads(n);
        let starts = ex.clone();
        let holds = ex.spawn(async move {
            let (ran, runs) = mpsc::channel();
            for k in 0..10 {
                let ran = ran.clone();
                starts.spawn(async move { ran.send(k) }).detach();
            }
            let mut all: Vec<_> = (0..10)
                .map(|_| runs.recv_timeout(TIMEOUT).expect("it ran"))
                .collect();
            all.sort_unstable();
            all
        });
        let all = ex.block_on(in_time(holds));
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn all_threads_but_one_may_be_held() {
    let ex = threads(3);
    let (release, held) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
    for _ in 0..2 {
        let (release, held) = (release.clone(), held.clone());
        ex.spawn(async move {
            held.wait();
            release.wait();
        })
        .detach();
    }
    held.wait();
    ex.block_on(in_time(async {
        for _ in 0..100 {
            ex.spawn(yield_now()).await;
        }
        let (mut client, mut server) = ex.spawn(pair()).await;
        let asks = ex.spawn(async move {
            for _ in 0..10 {
                ask(&mut client, &mut server).await;
                ask(&mut server, &mut client).await;
            }
        });
        asks.await;
    }));
    release.wait();
}

#[test]
fn input_is_noticed_while_the_thread_that_waited_for_it_is_held() {
    let ex = threads(2);
    let (mut client, mut server) = ex.block_on(in_time(pair()));
    let (waits, waiting) = channel::bounded(1);
    let answers = ex.spawn(async move {
        let mut buf = [0; 5];
        let early = poll_once(server.reader.read(&mut buf)).await;
        assert!(early.is_none());
        waits.send(()).await.expect("received");
        server.reader.read_exact(&mut buf).await.expect("read");
        server.writer.write_all(&buf).await.expect("written");
    });
    ex.block_on(in_time(waiting.recv())).expect("it waits");
    let ((held, holds), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let holder = ex.spawn(async move {
        held.send(()).expect("received");
        let _ = released.recv();
    });
    holds.recv_timeout(TIMEOUT).expect("it is held");
    ex.block_on(in_time(async {
        client.writer.write_all(b"hello").await.expect("written");
        client.reader.read_exact(&mut [0; 5]).await.expect("read");
        answers.await;
    }));
    drop(release);
    ex.block_on(in_time(holder));
}

/// A sleep registered with the thread of the task that polls this. It wakes another task.
async fn sleep_for(waker: std::task::Waker, duration: Duration) -> halves::time::Sleep {
    let mut sleep = Clock::default().sleep(duration);
    poll_fn(move |_| {
        let polled = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending() || duration.is_zero());
        Poll::Ready(std::mem::replace(
            &mut sleep,
            Clock::default().sleep(duration),
        ))
    })
    .await
}

#[test]
fn a_sleep_ends_while_the_thread_that_it_waits_on_is_held() {
    let ex = threads(2);
    let (wakers, waker) = channel::bounded(1);
    let (woken, is_woken) = mpsc::channel();
    let mut polls = 0;
    let sleeper = ex.spawn(poll_fn(move |cx| {
        polls += 1;
        if polls == 1 {
            wakers.try_send(cx.waker().clone()).expect("received");
            return Poll::Pending;
        }
        let _ = woken.send(());
        Poll::Ready(())
    }));
    let holder = ex.spawn(async move {
        let waker = waker.recv().await.expect("it waits");
        let sleep = sleep_for(waker, Duration::from_millis(20)).await;
        is_woken.recv_timeout(TIMEOUT).expect("the sleep ends");
        drop(sleep);
    });
    ex.block_on(in_time(async {
        holder.await;
        sleeper.await;
    }));
}

#[test]
fn small_writes_are_sent_while_the_thread_of_their_task_is_held() {
    let ex = threads(2);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let at = listener.local_addr().expect("bound").to_string();
    let mut client = ex
        .block_on(in_time(halves::connect(&*at)))
        .expect("connected");
    let (mut peer, _) = listener.accept().expect("accepted");
    let spawns = ex.clone();
    let (received, receiver) = mpsc::channel();
    let reads = thread::spawn(move || {
        let mut buf = [0; 3];
        std::io::Read::read_exact(&mut peer, &mut buf).expect("read");
        received.send(buf).expect("received");
    });
    let writes = ex.spawn(async move {
        for piece in [b"a", b"b", b"c"] {
            client.writer.write_all(piece).await.expect("written");
        }
        // The next task on this thread, unless another thread takes it earlier.
        let holder = spawns.spawn(async move { receiver.recv_timeout(TIMEOUT) });
        let received = holder.await;
        drop(client);
        received
    });
    let received = ex.block_on(in_time(writes)).expect("all three have left");
    assert_eq!(&received, b"abc");
    reads.join().expect("it has read");
}

#[test]
fn a_connection_that_waited_in_block_on_is_read_in_a_task() {
    let ex = threads(2);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let at = listener.local_addr().expect("bound").to_string();
    let (received, receiver) = mpsc::channel();
    ex.block_on(async {
        let mut client = halves::connect(&*at).await.expect("connected");
        let (mut peer, _) = listener.accept().expect("accepted");
        assert!(poll_once(client.reader.read(&mut [0])).await.is_none());
        let (waits, waiting) = channel::bounded(1);
        let reads = ex.spawn(async move {
            let mut buf = [0];
            let early = poll_once(client.reader.read(&mut buf)).await;
            assert!(early.is_none());
            waits.send(()).await.expect("received");
            client.reader.read_exact(&mut buf).await.expect("read");
            received.send(buf).expect("received");
        });
        waiting.recv().await.expect("it waits");
        std::io::Write::write_all(&mut peer, b"x").expect("written");
        // This thread is held, with its reactor.
        assert_eq!(receiver.recv_timeout(TIMEOUT), Ok(*b"x"));
        reads.await;
    });
}

#[test]
fn tasks_that_another_thread_has_taken_end_with_the_executor() {
    let ex = threads(2);
    let (gone, is_gone) = mpsc::channel::<()>();
    let ((held, holds), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let spawns = ex.clone();
    ex.spawn(async move {
        let (ran, runs) = mpsc::channel();
        for _ in 0..4 {
            let (gone, ran) = (gone.clone(), ran.clone());
            let waits = async move {
                let _gone = gone;
                ran.send(()).expect("received");
                pending::<()>().await;
            };
            spawns.spawn(waits).detach();
        }
        drop((gone, spawns));
        for _ in 0..4 {
            runs.recv_timeout(TIMEOUT).expect("another thread runs it");
        }
        held.send(()).expect("received");
        let _ = released.recv();
    })
    .detach();
    holds.recv_timeout(TIMEOUT).expect("it is held");
    drop(release);
    drop(ex);
    let ended = is_gone.recv_timeout(TIMEOUT);
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
}
