//! Finds workers that are held by a task while others wait.

use std::mem;
use std::time::Duration;

use super::{Group, Worker};

/// The time between two looks. A worker counts as stuck if it makes no progress in one of these,
/// so its tasks wait for two of these at most while another worker is free.
pub(super) const PERIOD: Duration = Duration::from_millis(2);

/// The progress of a group at one look.
#[derive(Debug)]
pub(super) struct Sight {
    steps: Box<[usize]>,
    turns: usize,
}

/// The state of a group between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// No worker has run a task, and one listens.
    Quiet,
    /// Tasks run and end.
    Busy,
    /// A worker has been in one task, or between two, all the time; or none has polled the reactor.
    Stuck,
}

impl Sight {
    pub(super) fn of(group: &Group) -> Self {
        Self {
            steps: group.workers.iter().map(Worker::steps).collect(),
            turns: group.reactor.turns(),
        }
    }

    /// Compares the group with the last look, for the worker `me`, and keeps this look for the next.
    pub(super) fn look(&mut self, group: &Group, me: usize) -> Look {
        let (mut ran, mut stuck) = (false, false);
        for (n, (worker, seen)) in group.workers.iter().zip(&mut self.steps).enumerate() {
            let before = mem::replace(seen, worker.steps());
            let same = before == *seen;
            ran |= !same;
            stuck |= same && n != me && (is_running(*seen) || worker.queue.len() > 0);
        }
        let before = mem::replace(&mut self.turns, group.reactor.turns());
        let polled = before != self.turns;
        let listens = group.idle.is_listening();
        if stuck || !(polled || listens) {
            Look::Stuck
        } else if ran || polled || !listens {
            Look::Busy
        } else {
            Look::Quiet
        }
    }
}

/// A worker's steps are odd while it runs a task.
fn is_running(steps: usize) -> bool {
    steps % 2 == 1
}
