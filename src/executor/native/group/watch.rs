//! Finds workers that are held by a task while others wait.

use std::time::Duration;

use super::{Group, Worker};

/// The time between two looks. A worker counts as stuck if it makes no progress in one of these,
/// so its tasks wait for two of these at most while another worker is free.
pub(super) const PERIOD: Duration = Duration::from_millis(2);

/// The progress of a group at one look.
#[derive(Debug)]
pub(super) struct Sight {
    steps: Vec<usize>,
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

    /// Compares the group with the last look, for the worker `me`.
    pub(super) fn look(&mut self, group: &Group, me: usize) -> Look {
        let now = Self::of(group);
        let before = std::mem::replace(self, now);
        let stuck = |n: usize| {
            let (then, now) = (before.steps[n], self.steps[n]);
            n != me && then == now && (is_running(now) || group.workers[n].queue.len() > 0)
        };
        // Tasks run one after another, and no worker has polled for them.
        let unheard = before.turns == self.turns && !group.idle.is_listening();
        if (0..self.steps.len()).any(stuck) || unheard {
            Look::Stuck
        } else if before.steps == self.steps
            && before.turns == self.turns
            && group.idle.is_listening()
        {
            Look::Quiet
        } else {
            Look::Busy
        }
    }
}

/// A worker's steps are odd while it runs a task.
fn is_running(steps: usize) -> bool {
    steps % 2 == 1
}
