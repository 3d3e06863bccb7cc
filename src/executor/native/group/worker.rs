//! The loop of one worker: tasks, then the reactor, then a rest.

use std::thread;
use std::time::Duration;

use super::idle::Role;
use super::pace::Pace;
use super::watch::{Look, PERIOD, Sight};
use super::yielding::Yielding;
use super::{Group, Worker};
use crate::executor::native::here::Here;
use crate::reactor::Driver;
use crate::time::{self, Turns};

/// Tasks between two polls of the reactor: as many at most, while others are queued.
const MAX_TASKS: usize = 61;
/// As many at least, while others are queued: a poll costs about as much as a short task.
const MIN_TASKS: usize = 8;

/// Runs tasks on this thread until the group stops.
pub(super) fn run(group: &Group, me: usize) {
    let _here = Here::enter(group, me);
    group.idle.start(me);
    let mut looped = Loop {
        group,
        me,
        worker: &group.workers[me],
        driver: group.reactor.join(me),
        turns: Turns::begin(),
        pace: Pace::new(time::now()),
        yielding: Yielding::default(),
        ran: 0,
        is_searching: false,
        beside_stuck: None,
    };
    while !group.is_stopping() {
        looped.turn();
    }
    looped.end_turn();
}

struct Loop<'a> {
    group: &'a Group,
    me: usize,
    worker: &'a Worker,
    driver: Driver,
    turns: Turns,
    pace: Pace,
    yielding: Yielding,
    /// Tasks since the last poll of the reactor.
    ran: usize,
    /// It was woken to search for work, and has not found any yet.
    is_searching: bool,
    /// Another worker was stuck when this one looked last.
    beside_stuck: Option<Sight>,
}

impl Loop<'_> {
    fn turn(&mut self) {
        self.run_queued();
        if self.worker.queue.len() > 0 && self.ran < MIN_TASKS {
            self.share();
            return;
        }
        self.end_turn();
        // The end of a turn may have woken tasks.
        if self.worker.queue.len() > 0 {
            self.take_injected();
            self.poll_reactor(Duration::ZERO);
        } else {
            self.rest();
        }
    }

    /// Runs the tasks that are queued now, so that a task that wakes itself runs after the others.
    fn run_queued(&mut self) {
        let round = self
            .worker
            .queue
            .len()
            .min(MAX_TASKS - self.ran.min(MAX_TASKS - 1));
        for _ in 0..round {
            let Some(runnable) = self.worker.queue.pop() else {
                break;
            };
            self.found_work();
            self.worker.step();
            runnable.run();
            self.driver.end_task();
            self.worker.written.collect();
            self.worker.step();
            self.ran += 1;
        }
    }

    fn end_turn(&mut self) {
        self.driver.end_turn();
        self.worker.written.send();
        self.turns.next();
        self.pace.end(time::now(), self.ran);
        self.ran = 0;
    }

    /// Looks for work elsewhere; without any, parks or listens.
    fn rest(&mut self) {
        if self.take_injected() || self.steal() {
            if self.group.injector.len() > 0 {
                self.group.idle.call_searcher();
            }
            self.poll_reactor(Duration::ZERO);
            return;
        }
        self.end_search();
        let stuck = match &mut self.beside_stuck {
            Some(sight) => sight.look(self.group, self.me) == Look::Stuck,
            None => false,
        };
        if stuck {
            self.group
                .workers
                .iter()
                .for_each(|worker| worker.written.send());
            if self.listen(Some(PERIOD)).is_none() {
                // Another worker listens beside the one that is stuck.
                self.beside_stuck = None;
                self.park();
            }
            return;
        }
        self.beside_stuck = None;
        if self.group.idle.is_last_awake() {
            self.listen_after_yield();
        } else if self.poll_reactor(Duration::ZERO) != Some(true) {
            self.park();
        }
    }

    /// Polls the reactor. None: another worker does.
    fn poll_reactor(&mut self, wait: Duration) -> Option<bool> {
        let found = self.driver.try_turn(|| Some(wait), time::now);
        let found = found.expect("epoll waits");
        self.pace.begin(time::now());
        self.share();
        found
    }

    /// Wakes another worker where there is enough for two.
    fn share(&self) {
        if self.pace.is_worth_sharing(self.worker.queue.len()) {
            self.group.idle.call_searcher();
        }
    }

    fn listen_after_yield(&mut self) {
        if !self.yielding.is_due() {
            let start = time::now();
            let _ = self.listen(None);
            self.yielding.waited(time::now() - start);
            return;
        }
        let start = time::now();
        thread::yield_now();
        let time = time::now() - start;
        let found =
            self.group.injector.len() > 0 || self.poll_reactor(Duration::ZERO) == Some(true);
        self.yielding.yielded(time, found);
        if found {
            self.group.idle.begin_watch();
        } else {
            self.listen(None);
        }
    }

    /// Waits for the reactor, unless there is work. None: another worker polls it.
    fn listen(&mut self, longest: Option<Duration>) -> Option<bool> {
        let (group, worker, driver) = (self.group, self.worker, &self.driver);
        let idle = &group.idle;
        driver.listen();
        idle.begin_listening();
        // Asked right before the wait: what the turn drops first may wake tasks. A notification that
        // another worker's poll has taken in counts too, as the next one is not written.
        let wait = || {
            let work = worker.queue.len() > 0
                || group.injector.len() > 0
                || group.is_stopping()
                || driver.is_notified();
            // Beside another worker that is awake, only for a while.
            let alone = longest.is_some() || idle.is_last_awake();
            if work || !alone {
                Some(Duration::ZERO)
            } else {
                longest
            }
        };
        let found = driver.try_turn(wait, time::now);
        idle.end_listening();
        let found = found.expect("epoll waits");
        self.pace.begin(time::now());
        idle.begin_watch();
        self.share();
        found
    }

    fn park(&mut self) {
        let (group, me) = (self.group, self.me);
        if !group.idle.enter(me) {
            return;
        }
        if self.worker.queue.len() > 0 || group.injector.len() > 0 || group.is_stopping() {
            self.is_searching = !group.idle.leave(me);
            return;
        }
        let mut sight = None;
        loop {
            match group.idle.role(me) {
                Role::Searcher => {
                    self.is_searching = true;
                    break;
                }
                Role::Parked => {
                    sight = None;
                    thread::park();
                }
                Role::Watcher => {
                    let mut seen = sight.take().unwrap_or_else(|| Sight::of(group));
                    time::park(PERIOD);
                    if group.idle.role(me) != Role::Watcher {
                        continue;
                    }
                    match seen.look(group, me) {
                        Look::Quiet => group.idle.end_watch(me),
                        Look::Busy => {}
                        // The worker that listens looks after the stuck one.
                        Look::Stuck if group.idle.is_listening() => {}
                        Look::Stuck => {
                            self.is_searching = !group.idle.leave(me);
                            self.beside_stuck = Some(seen);
                            break;
                        }
                    }
                    sight = Some(seen);
                }
            }
        }
        self.pace.begin(time::now());
    }

    /// Takes this worker's share of the tasks that were woken elsewhere.
    fn take_injected(&self) -> bool {
        let tasks = self.group.injector.take_part(self.group.workers.len());
        let any = !tasks.is_empty();
        self.worker.queue.append(tasks);
        any
    }

    /// Takes half of the tasks of another worker.
    fn steal(&self) -> bool {
        let workers = &self.group.workers;
        let others = (1..workers.len()).map(|n| &workers[(self.me + n) % workers.len()]);
        for other in others {
            let tasks = other.queue.take_part(2);
            if !tasks.is_empty() {
                self.worker.queue.append(tasks);
                return true;
            }
        }
        false
    }

    fn end_search(&mut self) {
        if std::mem::take(&mut self.is_searching) {
            self.group.idle.end_search();
        }
    }

    /// Ends the search with success. A worker that has begun to listen meanwhile, as if all others
    /// were parked, is to watch this one.
    fn found_work(&mut self) {
        if self.is_searching && self.group.idle.is_listening() {
            self.group.reactor.notify();
        }
        self.end_search();
    }
}
