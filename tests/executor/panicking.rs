//! Foreign wakers that panic on a thread of the executor: the thread and its other tasks go on.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel as unbounded};
use std::task::{Context, Wake, Waker};

use futures_lite::AsyncRead;
use halves::Clock;
use halves::time::Sleep;

use super::*;

/// Reports that it is about to panic, and panics without a message.
struct Panics(Sender<()>);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.send(()).expect("received");
        resume_unwind(Box::new("asked to"));
    }
}

/// Each thread has some of the tasks, so no thread may have ended.
fn assert_runs(ex: &Executor) {
    let tasks: Vec<_> = (0..10).map(|n| ex.spawn(async move { n })).collect();
    ex.block_on(in_time(async {
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await, n);
        }
    }));
}

#[test]
fn threads_outlive_wakers_that_panic_when_a_socket_is_ready() {
    for n in [1, 2] {
        let ex = threads(n);
        let (sender, received) = unbounded();
        let mut clients = Vec::new();
        let mut waiting = Vec::new();
        // Held by the threads that have polled them.
        let together = Arc::new(Barrier::new(n));
        for _ in 0..n {
            let (client, mut server) = ex.block_on(in_time(pair()));
            clients.push(client);
            let (waker, together) = (
                Waker::from(Arc::new(Panics(sender.clone()))),
                together.clone(),
            );
            waiting.push(ex.spawn(async move {
                together.wait();
                let mut cx = Context::from_waker(&waker);
                let read = Pin::new(&mut server.reader).poll_read(&mut cx, &mut [0; 8]);
                assert!(read.is_pending());
                server
            }));
        }
        let servers = ex.block_on(in_time(async {
            let mut servers = Vec::new();
            for task in waiting {
                servers.push(task.await);
            }
            for client in &mut clients {
                client.writer.write_all(b"hello").await.expect("written");
                client.writer.flush().await.expect("written");
            }
            servers
        }));
        wait_for(&ex, &received, n);
        assert_runs(&ex);
        drop(servers);
    }
}

#[test]
fn threads_outlive_wakers_that_panic_when_it_is_time() {
    for n in [1, 2] {
        let ex = threads(n);
        let (sender, received) = unbounded();
        let (done, ends) = channel::bounded::<()>(1);
        let together = Arc::new(Barrier::new(n));
        for _ in 0..n {
            let (together, ends) = (together.clone(), ends.clone());
            let waker = Waker::from(Arc::new(Panics(sender.clone())));
            ex.spawn(async move {
                together.wait();
                let _sleep = short_sleep(&waker);
                let _ = ends.recv().await;
            })
            .detach();
        }
        wait_for(&ex, &received, n);
        assert_runs(&ex);
        drop(done);
    }
}

/// A sleep that waits on this thread.
fn short_sleep(waker: &Waker) -> Pin<Box<Sleep>> {
    let mut cx = Context::from_waker(waker);
    loop {
        let mut sleep = Box::pin(Clock::default().sleep(Duration::from_millis(1)));
        // It may be over already.
        if sleep.as_mut().poll(&mut cx).is_pending() {
            return sleep;
        }
    }
}

/// Waits until all wakers have panicked: on threads of the executor, or on this one, which drives
/// it meanwhile.
fn wait_for(ex: &Executor, received: &Receiver<()>, times: usize) {
    ex.block_on(in_time(async {
        let mut left = times;
        while left > 0 {
            left -= received.try_iter().count();
            yield_now().await;
        }
    }));
}
