//! The loop of a thread: tasks, then the reactor, then tasks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::worker::{Turn, Worker};
use crate::polling::poll_task;
use crate::reactor::Reactor;
use crate::time::{self, Turns};

/// As long as there are only tasks that woke themselves to go on, the kernel is polled after so many
/// of them: a poll costs about as much as a task does.
const BUSY: usize = 8;

/// Runs a worker's tasks until `main` is ready. None: another thread runs them.
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
    let mut busy = 0;
    loop {
        if driver.listen() {
            turn.collect();
        }
        if woken.woken.swap(false, Ordering::AcqRel)
            && let Poll::Ready(result) = poll_task(&waker, || main.as_mut().poll(&mut cx))
        {
            return Some(result);
        }
        let restless = turn.run();
        driver.end_turn();
        turns.next();
        let is_woken = || woken.woken.load(Ordering::Acquire);
        busy += restless.filter(|_| !is_woken()).unwrap_or(BUSY);
        if busy < BUSY {
            continue;
        }
        busy = 0;
        // Asked right before the wait: what the turn drops first may wake tasks.
        let wait = || {
            let idle = turn.is_idle() && !is_woken() && !driver.is_notified();
            (!idle).then_some(Duration::ZERO)
        };
        driver.turn(wait, time::now).expect("epoll waits");
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
