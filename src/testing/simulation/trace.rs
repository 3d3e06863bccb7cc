//! The trace of a run: its events, with the virtual time and the task of each.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::plan::{Fault, Way};
use super::scheduler::{MAIN, TaskId};
use crate::time::Clock;

/// The number of last events that a failure prints.
const LAST_EVENTS: usize = 40;
/// The task of events after the run, when all tasks are dropped.
const NO_TASK: u64 = u64::MAX;

/// Records the events of a run.
#[derive(Clone)]
pub(super) struct Trace(Arc<Shared>);

struct Shared {
    clock: Clock,
    start: Instant,
    /// True if all entries are kept, and not only the last ones.
    keeps_all: bool,
    /// The number of the task that runs.
    task: AtomicU64,
    /// True once there is a problem, to check it without the lock.
    has_problem: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// The faults that have happened.
    faults: Vec<Fault>,
    /// The first problem that a server has reported.
    problem: Option<String>,
}

struct Entry {
    at: Instant,
    task: u64,
    event: Event,
}

/// An event of a run.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A poll without another event. Only in whole traces.
    Polled,
    Connecting {
        connection: u64,
        to: Arc<str>,
    },
    Accepted(u64),
    Wrote(u64, Way, usize),
    Read(u64, Way, usize),
    /// The writer has ended a direction.
    Closed(u64, Way),
    /// The reader has received the end of a direction.
    Ended(u64, Way),
    /// The end with this output has reset the connection.
    Reset(u64, Way),
    Note(String),
}

impl Trace {
    pub(super) fn new(clock: Clock, keeps_all: bool) -> Self {
        Self(Arc::new(Shared {
            start: clock.now(),
            clock,
            keeps_all,
            task: AtomicU64::new(MAIN.number),
            has_problem: AtomicBool::new(false),
            state: Mutex::default(),
        }))
    }

    /// Polls a task. Its events get its number.
    pub(super) fn poll<T>(&self, task: TaskId, poll: impl FnOnce() -> T) -> T {
        self.0.task.store(task.number, Ordering::Relaxed);
        if !self.0.keeps_all {
            return poll();
        }
        let before = self.lock().entries.len();
        let polled = poll();
        if self.lock().entries.len() == before {
            self.add(Event::Polled);
        }
        polled
    }

    /// The events that follow have no task.
    pub(super) fn end_tasks(&self) {
        self.0.task.store(NO_TASK, Ordering::Relaxed);
    }

    pub(super) fn add(&self, event: Event) {
        let entry = Entry {
            at: self.0.clock.now(),
            task: self.0.task.load(Ordering::Relaxed),
            event,
        };
        let mut state = self.lock();
        if !self.0.keeps_all && state.entries.len() == LAST_EVENTS {
            state.entries.pop_front();
        }
        state.entries.push_back(entry);
    }

    pub(super) fn add_fault(&self, fault: Fault) {
        self.add(Event::Note(format!("fault: {fault}")));
        self.lock().faults.push(fault);
    }

    /// Records a problem with which the run fails.
    pub(super) fn fail(&self, problem: String) {
        self.lock().problem.get_or_insert(problem);
        self.0.has_problem.store(true, Ordering::Release);
    }

    pub(super) fn problem(&self) -> Option<String> {
        let has_problem = self.0.has_problem.load(Ordering::Acquire);
        has_problem.then(|| self.lock().problem.clone()).flatten()
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        self.lock().faults.clone()
    }

    /// Returns true if bytes or an end were lost by a fault.
    pub(super) fn has_lost(&self) -> bool {
        self.lock().faults.iter().any(Fault::loses_bytes)
    }

    /// Returns the virtual time since the begin of the run.
    pub(super) fn time(&self) -> Duration {
        self.0.clock.now() - self.0.start
    }

    /// Returns the events as text, a line each.
    pub(super) fn text(&self) -> String {
        let state = self.lock();
        let lines = state.entries.iter().map(|entry| {
            let micros = (entry.at - self.0.start).as_micros();
            let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
            format!("{seconds:>6}.{micros:06} {entry}\n")
        });
        lines.collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            0 => f.write_str("test:   ")?,
            NO_TASK => f.write_str("end:    ")?,
            task => write!(f, "task {task}: ")?,
        }
        match &self.event {
            Event::Polled => f.write_str("polled"),
            Event::Connecting { connection, to } => write!(f, "connection {connection} to {to}"),
            Event::Accepted(connection) => write!(f, "connection {connection} accepted"),
            Event::Wrote(connection, way, bytes) => {
                write!(f, "connection {connection} {way} wrote {bytes}")
            }
            Event::Read(connection, way, bytes) => {
                write!(f, "connection {connection} {way} read {bytes}")
            }
            Event::Closed(connection, way) => write!(f, "connection {connection} {way} closed"),
            Event::Ended(connection, way) => {
                write!(f, "connection {connection} {way} read the end")
            }
            Event::Reset(connection, way) => {
                let end = way.sender();
                write!(f, "connection {connection} reset by the {end}")
            }
            Event::Note(note) => f.write_str(note),
        }
    }
}
