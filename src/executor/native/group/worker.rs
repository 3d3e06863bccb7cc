//! The loop of a worker: runs tasks, polls the reactor, looks for work elsewhere, parks or listens.

use std::thread;
use std::time::Duration;

use super::idle::{Activity, Progress, Role, WATCH_PERIOD};
use super::policy::{SharePolicy, YieldPolicy};
use super::{Worker, WorkerGroup};
use crate::executor::native::tasks::SchedulerGuard;
use crate::reactor::Driver;
use crate::time::{self, TurnClock};

/// The most tasks between two polls of the reactor, while others are queued.
const MAX_TASKS_PER_POLL: usize = 61;
/// The fewest tasks between two polls, while others are queued: a poll costs about as much as a
/// short task.
const MIN_TASKS_PER_POLL: usize = 8;

/// Runs tasks on this thread until the group stops.
pub(super) fn run(group: &WorkerGroup, me: usize) {
    let _guard = SchedulerGuard::enter(group, me);
    group.idle.start(me);
    let mut worker_loop = WorkerLoop {
        group,
        me,
        worker: &group.workers[me],
        driver: group.reactor.join(me),
        clock: TurnClock::begin(),
        share_policy: SharePolicy::new(time::now()),
        yield_policy: YieldPolicy::default(),
        ran: 0,
        is_searching: false,
        stuck_progress: None,
    };
    while !group.is_stopping() {
        worker_loop.turn();
    }
    worker_loop.end_turn();
}

struct WorkerLoop<'a> {
    group: &'a WorkerGroup,
    /// The index of this worker.
    me: usize,
    worker: &'a Worker,
    driver: Driver,
    clock: TurnClock,
    share_policy: SharePolicy,
    yield_policy: YieldPolicy,
    /// The number of tasks since the last poll of the reactor.
    ran: usize,
    /// Set if this worker was woken to search for work and has not found any yet.
    is_searching: bool,
    /// The last check of the watch, if another worker was stuck then.
    stuck_progress: Option<Progress>,
}

impl WorkerLoop<'_> {
    fn turn(&mut self) {
        self.run_queued();
        if self.worker.queue.len() > 0 && self.ran < MIN_TASKS_PER_POLL {
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

    /// Runs the tasks that are queued now. A task that wakes itself is queued behind them.
    fn run_queued(&mut self) {
        let count = self
            .worker
            .queue
            .len()
            .min(MAX_TASKS_PER_POLL - self.ran.min(MAX_TASKS_PER_POLL - 1));
        for _ in 0..count {
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
        self.clock.next_turn();
        self.share_policy.end_turn(time::now(), self.ran);
        self.ran = 0;
    }

    /// Looks for work elsewhere. If there is none, parks or listens.
    fn rest(&mut self) {
        if self.take_injected() || self.steal() {
            if self.group.injector.len() > 0 {
                self.group.idle.wake_searcher();
            }
            self.poll_reactor(Duration::ZERO);
            return;
        }
        self.end_search();
        let stuck = match &mut self.stuck_progress {
            Some(progress) => progress.check(self.group, self.me) == Activity::Stuck,
            None => false,
        };
        if stuck {
            self.group
                .workers
                .iter()
                .for_each(|worker| worker.written.send());
            if self.listen(Some(WATCH_PERIOD)).is_none() {
                // Another worker listens already.
                self.stuck_progress = None;
                self.park();
            }
            return;
        }
        self.stuck_progress = None;
        if self.group.idle.is_last_awake() {
            self.listen_after_yield();
        } else if self.poll_reactor(Duration::ZERO) != Some(true) {
            self.park();
        }
    }

    /// Polls the reactor, and returns true if there were events. Returns `None` if another worker
    /// polls it.
    fn poll_reactor(&mut self, wait: Duration) -> Option<bool> {
        let found = self.driver.try_turn(|| Some(wait), time::now);
        let found = found.expect("epoll waits");
        self.share_policy.begin_turn(time::now());
        self.share();
        found
    }

    /// Wakes another worker if the queue holds enough work for two.
    fn share(&self) {
        if self.share_policy.is_worth_sharing(self.worker.queue.len()) {
            self.group.idle.wake_searcher();
        }
    }

    fn listen_after_yield(&mut self) {
        if !self.yield_policy.is_due() {
            let start = time::now();
            let _ = self.listen(None);
            self.yield_policy.record_wait(time::now() - start);
            return;
        }
        let start = time::now();
        thread::yield_now();
        let duration = time::now() - start;
        let found =
            self.group.injector.len() > 0 || self.poll_reactor(Duration::ZERO) == Some(true);
        self.yield_policy.record_yield(duration, found);
        if found {
            self.group.idle.begin_watch();
        } else {
            self.listen(None);
        }
    }

    /// Waits for the reactor, unless there is work. Returns true if there were events, and `None`
    /// if another worker polls it.
    fn listen(&mut self, longest: Option<Duration>) -> Option<bool> {
        let (group, worker, driver) = (self.group, self.worker, &self.driver);
        let idle = &group.idle;
        driver.take_notification();
        idle.begin_listening();
        // Called right before the wait: the drops at the start of a poll may wake tasks. A
        // notification counts although another worker has taken its event: while it is set, no
        // other event is written.
        let wait = || {
            let work = worker.queue.len() > 0
                || group.injector.len() > 0
                || group.is_stopping()
                || driver.is_notified();
            // Beside another worker that is awake, the wait is bounded.
            let may_wait = longest.is_some() || idle.is_last_awake();
            if work || !may_wait {
                Some(Duration::ZERO)
            } else {
                longest
            }
        };
        let found = driver.try_turn(wait, time::now);
        idle.end_listening();
        let found = found.expect("epoll waits");
        self.share_policy.begin_turn(time::now());
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
        let mut progress = None;
        loop {
            match group.idle.role(me) {
                Role::Searcher => {
                    self.is_searching = true;
                    break;
                }
                Role::Parked => {
                    progress = None;
                    thread::park();
                }
                Role::Watcher => {
                    let mut last = progress.take().unwrap_or_else(|| Progress::of(group));
                    time::park(WATCH_PERIOD);
                    if group.idle.role(me) != Role::Watcher {
                        continue;
                    }
                    match last.check(group, me) {
                        Activity::Quiet => group.idle.end_watch(me),
                        Activity::Busy => {}
                        // The listening worker takes the tasks of the stuck one.
                        Activity::Stuck if group.idle.is_listening() => {}
                        Activity::Stuck => {
                            self.is_searching = !group.idle.leave(me);
                            self.stuck_progress = Some(last);
                            break;
                        }
                    }
                    progress = Some(last);
                }
            }
        }
        self.share_policy.begin_turn(time::now());
    }

    /// Takes this worker's share of the injected tasks.
    fn take_injected(&self) -> bool {
        let tasks = self.group.injector.take_part(self.group.workers.len());
        let any = !tasks.is_empty();
        self.worker.queue.append(tasks);
        any
    }

    /// Takes half of the tasks of another worker, rounded up.
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

    /// Ends the search with success. If a worker has begun to listen meanwhile because all others
    /// seemed parked, the notification makes it watch this one.
    fn found_work(&mut self) {
        if self.is_searching && self.group.idle.is_listening() {
            self.group.reactor.notify();
        }
        self.end_search();
    }
}
