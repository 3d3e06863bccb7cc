//! Several threads: who gets which task, and who runs it when that thread is kept from it.

use std::sync::mpsc;

use futures_lite::future::poll_once;

use super::*;

#[test]
fn tasks_are_spread_over_the_threads() {
    let ex = threads(3);
    // Each is held until all of them are.
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

#[cfg(all(target_os = "linux", not(halves_portable)))]
#[test]
fn a_task_keeps_its_share_of_those_that_it_spawns() {
    for (n, spawned, kept) in [(2, 1, 1), (2, 6, 3), (2, 7, 4), (3, 6, 2)] {
        let ex = threads(n);
        let (gate, closed) = channel::bounded::<()>(1);
        let spawns = ex.clone();
        let kept_here = ex.spawn(async move {
            let id = || thread::current().id();
            let tasks: Vec<_> = (0..spawned)
                .map(|_| {
                    let closed = closed.clone();
                    spawns.spawn(async move {
                        let _ = closed.recv().await;
                        id()
                    })
                })
                .collect();
            drop(gate);
            let mut here = 0;
            for task in tasks {
                here += usize::from(task.await == id());
            }
            here
        });
        assert_eq!(ex.block_on(in_time(kept_here)), kept, "{spawned} on {n}");
    }
}

#[test]
fn who_waits_for_a_socket_goes_on_while_its_thread_is_held() {
    let ex = threads(2);
    let (mut client, mut server) = ex.block_on(in_time(pair()));
    let (waits, waiting) = channel::bounded(1);
    let answers = ex.spawn(async move {
        let mut buf = [0; 5];
        let early = poll_once(server.reader.read(&mut buf)).await;
        assert!(early.is_none());
        waits.send(()).await.expect("heard");
        server.reader.read_exact(&mut buf).await.expect("read");
        server.writer.write_all(&buf).await.expect("written");
        thread::current().id()
    });
    ex.block_on(in_time(waiting.recv())).expect("it waits");
    // The other thread has a task that it never sleeps for.
    let end = Arc::new(AtomicBool::new(false));
    let ends = end.clone();
    let awake = ex.spawn(async move {
        while !ends.load(Ordering::Relaxed) {
            yield_now().await;
        }
        thread::current().id()
    });
    let ((held, holds), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let holder = ex.spawn(async move {
        held.send(thread::current().id()).expect("heard");
        let _ = released.recv();
    });
    let held = holds.recv_timeout(PATIENCE).expect("it is held");
    ex.block_on(in_time(async {
        client.writer.write_all(b"hello").await.expect("written");
        client.reader.read_exact(&mut [0; 5]).await.expect("read");
    }));
    assert_ne!(ex.block_on(in_time(answers)), held);
    end.store(true, Ordering::Relaxed);
    assert_ne!(ex.block_on(in_time(awake)), held);
    drop(release);
    ex.block_on(in_time(holder));
}

/// Holds the thread that has the fewest tasks until the sender is dropped.
#[cfg(all(target_os = "linux", not(halves_portable)))]
fn hold(ex: &Executor) -> mpsc::Sender<()> {
    let ((held, holds), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let holder = ex.spawn(async move {
        held.send(()).expect("heard");
        let _ = released.recv();
    });
    holder.detach();
    holds.recv_timeout(PATIENCE).expect("it is held");
    release
}

#[cfg(all(target_os = "linux", not(halves_portable)))]
#[test]
fn what_a_helper_has_taken_over_ends_with_the_executor() {
    let ex = threads(2);
    let (mut first_client, mut first) = ex.block_on(in_time(pair()));
    let (mut client, mut server) = ex.block_on(in_time(pair()));
    let (waits, waiting) = channel::bounded(2);
    // Each thread has the same number of tasks, so they are given to the first one and to the
    // second one in turn.
    let (last, lasts) = mpsc::channel::<(mpsc::Sender<()>, Executor)>();
    let says = waits.clone();
    let drops_all = ex.spawn(async move {
        assert!(poll_once(first.reader.read(&mut [0])).await.is_none());
        says.send(()).await.expect("heard");
        let _ = first.reader.read(&mut [0]).await;
        // The other thread goes on, and ends.
        let (release, ex) = lasts.recv().expect("they come");
        drop(release);
        drop(ex);
    });
    drops_all.detach();
    let awake = ex.spawn(async {
        loop {
            yield_now().await;
        }
    });
    awake.detach();
    let (gone, is_gone) = mpsc::channel::<()>();
    let (kept, never) = channel::bounded::<()>(1);
    let taken_over = ex.spawn(async move {
        let _gone = gone;
        assert!(poll_once(server.reader.read(&mut [0])).await.is_none());
        waits.send(()).await.expect("heard");
        let _ = server.reader.read(&mut [0]).await;
        let _ = never.recv().await;
    });
    taken_over.detach();
    for _ in 0..2 {
        ex.block_on(in_time(waiting.recv())).expect("they wait");
    }
    let second = hold(&ex);
    let first = hold(&ex);
    ex.block_on(in_time(async {
        first_client.writer.write_all(b"x").await.expect("written");
        client.writer.write_all(b"x").await.expect("written");
    }));
    last.send((first, ex)).expect("it will be there");
    drop(second);
    // Not closed, which would wake the task.
    std::mem::forget(kept);
    let ended = is_gone.recv_timeout(PATIENCE);
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
}
