//! Wakers that run code when they are dropped, right before their thread sleeps.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::{Mutex, mpsc};
use std::task::{Context, Wake, Waker};

use futures_lite::AsyncWrite;
use halves::Clock;

use super::*;

/// Runs a function once, when it is dropped.
struct OnDrop(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl OnDrop {
    fn waker(does: impl FnOnce() + Send + 'static) -> Waker {
        Arc::new(Self(Mutex::new(Some(Box::new(does))))).into()
    }
}

impl Wake for OnDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        let does = self.0.get_mut().expect("no panics").take();
        does.expect("once")();
    }
}

/// Runs `does` on another thread. Panics if it does not end.
fn ends(does: impl FnOnce() + Send + 'static) {
    let (sender, received) = mpsc::channel();
    let doing = thread::spawn(move || {
        does();
        sender.send(()).expect("received");
    });
    let ended = received.recv_timeout(TIMEOUT);
    assert!(ended.is_ok() || doing.is_finished(), "it sleeps on");
    doing.join().expect("done");
}

/// A connection of this library, and its other end as a blocking stream of std.
fn connected(ex: &Executor) -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let at = listener.local_addr().expect("an address").to_string();
    let ours = ex.block_on(halves::connect(&*at)).expect("connected");
    let (theirs, _) = listener.accept().expect("accepted");
    theirs.set_read_timeout(Some(TIMEOUT)).expect("set");
    (ours, theirs)
}

/// Has the reactor of this thread drop the waker before it sleeps next: its sleep is dropped on
/// another thread.
fn forget_a_sleep(waker: Waker) {
    let mut sleep = a_long_sleep();
    assert!(poll(Pin::new(&mut sleep), &waker).is_pending());
    drop(waker);
    elsewhere(move || drop(sleep));
    // The reactor of async-io belongs to all threads, and the thread that waits in it is not woken
    // when a sleep ends early: it keeps the waker until the next sleep begins.
    let begins = poll(Pin::new(&mut a_long_sleep()), Waker::noop());
    assert!(begins.is_pending());
}

fn a_long_sleep() -> halves::time::Sleep {
    Clock::default().sleep(Duration::from_hours(1))
}

fn elsewhere(does: impl FnOnce() + Send + 'static) {
    thread::spawn(does).join().expect("done");
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>, waker: &Waker) -> Poll<T> {
    future.poll(&mut Context::from_waker(waker))
}

/// Waits until a waker is dropped with a sleep.
async fn woken_by_a_drop() {
    let (mut is_first, dropped) = (true, Arc::new(AtomicBool::new(false)));
    poll_fn(|cx| {
        if std::mem::take(&mut is_first) {
            let (ours, dropped) = (cx.waker().clone(), dropped.clone());
            forget_a_sleep(OnDrop::waker(move || {
                dropped.store(true, Ordering::SeqCst);
                ours.wake();
            }));
        }
        if dropped.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

#[test]
fn a_task_woken_by_a_drop_before_the_sleep_runs() {
    for ex in executors() {
        ends(move || {
            ex.block_on(woken_by_a_drop());
            ex.block_on(ex.spawn(woken_by_a_drop()));
        });
    }
}

#[test]
fn bytes_written_by_a_drop_before_the_sleep_are_sent() {
    for ex in executors() {
        ends(move || {
            let (mut ours, mut theirs) = connected(&ex);
            let (end, ended) = channel::bounded::<()>(1);
            let writes = move || {
                let mut cx = Context::from_waker(Waker::noop());
                // The second write is gathered.
                for _ in 0..2 {
                    let write = Pin::new(&mut ours.writer).poll_write(&mut cx, b"x");
                    assert!(matches!(write, Poll::Ready(Ok(1))));
                }
                // Not flushed by its own drop.
                std::mem::forget(ours);
            };
            let client = thread::spawn(move || {
                let read = theirs.read_exact(&mut [0; 2]);
                drop(end);
                read
            });
            ex.block_on(async {
                forget_a_sleep(OnDrop::waker(writes));
                let _ = ended.recv().await;
            });
            client.join().expect("done").expect("both arrived");
        });
    }
}
