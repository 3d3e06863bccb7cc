//! The loop of a single thread: runs tasks, then polls the reactor.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::single::{SingleThread, TaskRunner};
use crate::polling::poll_task;
use crate::reactor::Reactor;
use crate::time::{self, TurnClock};

/// Runs of self-woken tasks between two polls of the reactor, while no other task is woken. A poll
/// costs about as much as a short task.
const SELF_WOKEN_TASKS_PER_POLL: usize = 8;

/// Runs the tasks of a scheduler until `main` is ready. Returns `None` if another thread drives it.
pub(super) fn drive<T>(
    scheduler: &Arc<SingleThread>,
    mut main: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let driver = scheduler.reactor.drive()?;
    let runner = TaskRunner::begin(scheduler);
    let clock = TurnClock::begin();
    let main_waker = Arc::new(MainWaker {
        woken: AtomicBool::new(true),
        reactor: scheduler.reactor.clone(),
    });
    let waker = Waker::from(main_waker.clone());
    let mut cx = Context::from_waker(&waker);
    runner.collect();
    let mut self_woken = 0;
    loop {
        if driver.take_notification() {
            runner.collect();
        }
        if main_waker.woken.swap(false, Ordering::AcqRel)
            && let Poll::Ready(result) = poll_task(&waker, || main.as_mut().poll(&mut cx))
        {
            return Some(result);
        }
        driver.end_task();
        let only_self_woken = runner.run(&driver);
        driver.end_turn();
        clock.next_turn();
        let is_woken = || main_waker.woken.load(Ordering::Acquire);
        self_woken += only_self_woken
            .filter(|_| !is_woken())
            .unwrap_or(SELF_WOKEN_TASKS_PER_POLL);
        if self_woken < SELF_WOKEN_TASKS_PER_POLL {
            continue;
        }
        self_woken = 0;
        // Called right before the wait: the drops at the start of a poll may wake tasks.
        let wait = || {
            let idle = runner.is_idle() && !is_woken() && !driver.is_notified();
            (!idle).then_some(Duration::ZERO)
        };
        driver.turn(wait, time::now).expect("epoll waits");
    }
}

/// Wakes the future that `drive` was called with.
struct MainWaker {
    woken: AtomicBool,
    reactor: Arc<Reactor>,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.reactor.notify();
        }
    }
}
