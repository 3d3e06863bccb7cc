//! The loop of a thread: tasks, then the reactor, then tasks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::worker::{Turn, Worker};
use crate::reactor::Reactor;
use crate::time::{self, Turns};

/// Runs a worker's tasks until `main` is ready, within the loop that this thread has for them
/// already, if so. None: another thread runs them.
pub(super) fn drive<T>(
    worker: &Arc<Worker>,
    mut main: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let driver = worker.reactor.drive()?;
    let turn = Turn::begin(worker);
    let turns = Turns::begin();
    let woken = Arc::new(Main {
        woken: AtomicBool::new(true),
        reactor: worker.reactor.clone(),
    });
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    turn.collect();
    loop {
        if driver.listen() {
            turn.collect();
        }
        if woken.woken.swap(false, Ordering::AcqRel)
            && let Poll::Ready(result) = main.as_mut().poll(&mut cx)
        {
            return Some(result);
        }
        turn.run();
        // A loop within this one, in a task, may have heard that `main` was woken.
        let woken = woken.woken.load(Ordering::Acquire);
        let idle = turn.is_idle() && !woken && !driver.is_notified();
        let wait = (!idle).then_some(Duration::ZERO);
        driver.turn(wait, time::now).expect("epoll waits");
        turns.next();
    }
}

/// Wakes the future that the loop runs for.
struct Main {
    woken: AtomicBool,
    reactor: Arc<Reactor>,
}

impl Wake for Main {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.reactor.notify();
        }
    }
}
