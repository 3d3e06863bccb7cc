//! The loop of a thread: tasks, then the reactor, then tasks.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::cpu::Pinned;
use super::rounds::Rounds;
use super::spin::Spin;
use super::worker::{Turn, Worker};
use crate::reactor::{Driver, Reactor, poll_task};
use crate::time::{self, Clock, Turns};

/// As long as there are only tasks that woke themselves to go on, the kernel is asked what it has
/// after so many of them: to ask costs about as much as a task does.
const BUSY: usize = 8;

/// Runs a worker's tasks until `main` is ready, and helps the rest of its crew. None: another
/// thread runs them.
pub(super) fn drive<T>(
    worker: &Arc<Worker>,
    crew: &[Arc<Worker>],
    mut main: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let driver = worker.reactor.drive()?;
    let _pinned = worker.manner.cpu.map(Pinned::to);
    let turn = Turn::begin(worker);
    let turns = Turns::begin();
    let woken = Arc::new(Main {
        woken: AtomicBool::new(true),
        reactor: worker.reactor.clone(),
    });
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    let mut rounds = Rounds::new(worker, crew);
    let mut spin = Spin::new(worker.manner.spin);
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
        // A loop within this one, in a task, may have heard that `main` was woken.
        let is_woken = || woken.woken.load(Ordering::Acquire);
        busy += restless.filter(|_| !is_woken()).unwrap_or(BUSY);
        if busy < BUSY {
            continue;
        }
        busy = 0;
        let helped = rounds.help();
        let idle = || !helped && turn.is_idle() && !is_woken() && !driver.is_notified();
        rest(&driver, spin.as_mut(), idle).expect("epoll waits");
    }
}

/// Takes what the reactor has, and waits for it while the thread is `idle`; awake at first, where
/// that may pay. Code of others may run in a turn, so `idle` is asked again right before each wait.
fn rest(driver: &Driver, spin: Option<&mut Spin>, idle: impl Fn() -> bool) -> io::Result<()> {
    let wait = || (!idle()).then_some(Duration::ZERO);
    let Some(spin) = spin.filter(|_| idle()) else {
        return driver.turn(wait, time::now).map(drop);
    };
    let clock = Clock::default();
    let Some(longest) = spin.next() else {
        let start = clock.now();
        driver.turn(wait, time::now)?;
        spin.slept(clock.now() - start);
        return Ok(());
    };
    let look = || driver.turn(|| Some(Duration::ZERO), time::now);
    // What is there already is no merit of a spin.
    if look()? {
        return Ok(());
    }
    let start = clock.now();
    let mut found = false;
    while !found && clock.now() - start < longest {
        found = look()?;
    }
    spin.spun(found);
    if found {
        return Ok(());
    }
    driver.turn(wait, time::now).map(drop)
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_rest_ends_when_there_is_news_and_not_before() {
        let reactor = Reactor::new().expect("a reactor");
        let driver = reactor.drive().expect("nobody else drives it");
        for longest in [0, 50, 1_000_000] {
            let mut spin = Spin::new(Duration::from_micros(longest));
            for _ in 0..10 {
                driver.listen();
                let told = Arc::new(AtomicBool::new(false));
                let (tell, rings) = (told.clone(), reactor.clone());
                let other = thread::spawn(move || {
                    // Longer than the short spin, as a rule.
                    for _ in 0..1000 {
                        thread::yield_now();
                    }
                    tell.store(true, Ordering::Release);
                    rings.notify();
                });
                rest(&driver, spin.as_mut(), || !driver.is_notified()).expect("epoll waits");
                assert!(told.load(Ordering::Acquire), "{longest} us");
                other.join().expect("it tells");
            }
        }
    }
}
