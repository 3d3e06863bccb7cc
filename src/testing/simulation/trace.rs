//! The trace of a run: its events, with the virtual time of each.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::plan::{FaultKind, PlannedFault, Way};
use crate::time::Clock;

/// The number of last events that a failure prints.
const LAST_EVENTS: usize = 40;

/// Records the events of a run.
#[derive(Clone)]
pub(super) struct Trace(Arc<Shared>);

struct Shared {
    clock: Clock,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last events, or all of them.
    entries: VecDeque<Entry>,
    keeps_all: bool,
    /// The faults that have happened, by name.
    faults: Vec<String>,
    /// True after a fault with which bytes are lost.
    has_lost: bool,
    /// The first problem that a server has reported.
    problem: Option<String>,
}

#[derive(Clone)]
struct Entry {
    at: Duration,
    event: Event,
}

/// An event of a run.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Ran(usize),
    Connected { connection: u64, to: Arc<str> },
    Accepted(u64),
    Wrote(u64, Way, usize),
    Read(u64, Way, usize),
    Ended(u64, Way),
    Reset(u64),
    Fault(u64, Way, PlannedFault),
    Note(String),
}

impl Trace {
    pub(super) fn new(clock: Clock, keeps_all: bool) -> Self {
        Self(Arc::new(Shared {
            start: clock.now(),
            clock,
            state: Mutex::new(State {
                keeps_all,
                ..State::default()
            }),
        }))
    }

    pub(super) fn add(&self, event: Event) {
        let at = self.time();
        let mut state = self.lock();
        if let Event::Fault(connection, way, fault) = &event {
            state.faults.push(fault.name(*connection, *way));
            state.has_lost |= !matches!(fault.kind, FaultKind::Stall(_));
        }
        if !state.keeps_all && state.entries.len() == LAST_EVENTS {
            state.entries.pop_front();
        }
        state.entries.push_back(Entry { at, event });
    }

    /// Records a fault that no direction has.
    pub(super) fn add_fault(&self, name: String) {
        self.lock().faults.push(name.clone());
        self.add(Event::Note(name));
    }

    /// Records a problem with which the run fails.
    pub(super) fn fail(&self, problem: String) {
        self.lock().problem.get_or_insert(problem);
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.lock().problem.clone()
    }

    pub(super) fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    /// Returns true if bytes or an end were lost by a fault.
    pub(super) fn has_lost(&self) -> bool {
        self.lock().has_lost
    }

    /// Returns the virtual time since the begin of the run.
    pub(super) fn time(&self) -> Duration {
        self.0.clock.now() - self.0.start
    }

    /// Returns the events as text, a line each.
    pub(super) fn text(&self) -> String {
        let state = self.lock();
        state.entries.iter().map(Entry::to_string).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_micros();
        write!(f, "{:>6}.{:06} ", micros / 1_000_000, micros % 1_000_000)?;
        match &self.event {
            Event::Ran(task) => write!(f, "task {task}"),
            Event::Connected { connection, to } => write!(f, "connection {connection} to {to}"),
            Event::Accepted(connection) => write!(f, "connection {connection} accepted"),
            Event::Wrote(connection, way, bytes) => {
                write!(f, "connection {connection} {way} wrote {bytes}")
            }
            Event::Read(connection, way, bytes) => {
                write!(f, "connection {connection} {way} read {bytes}")
            }
            Event::Ended(connection, way) => write!(f, "connection {connection} {way} ended"),
            Event::Reset(connection) => write!(f, "connection {connection} was reset"),
            Event::Fault(connection, way, fault) => {
                write!(f, "fault: {}", fault.name(*connection, *way))
            }
            Event::Note(note) => f.write_str(note),
        }?;
        f.write_str("\n")
    }
}
