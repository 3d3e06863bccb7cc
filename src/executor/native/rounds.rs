//! How a thread looks after the others of its crew, which may be kept from their CPU.

use std::sync::Arc;

use super::worker::Worker;

/// A look that finds nothing puts off the next one, by so many turns at most.
const PUT_OFF: u32 = 7;

/// Whom this thread looks after: one of them each turn.
pub(super) struct Rounds {
    others: Vec<Other>,
    next: usize,
}

struct Other {
    worker: Arc<Worker>,
    look: Look,
}

/// When to look after one of them.
#[derive(Debug, Default)]
struct Look {
    /// Its turns, when they were last counted.
    turns: usize,
    /// By how many of ours the next look is put off.
    put_off: u32,
    /// What is left of that.
    wait: u32,
}

impl Rounds {
    pub(super) fn new(worker: &Arc<Worker>, crew: &[Arc<Worker>]) -> Self {
        let others = crew.iter().filter(|other| !Arc::ptr_eq(other, worker));
        let others = others.map(|other| Other {
            worker: other.clone(),
            look: Look::default(),
        });
        Self {
            others: others.collect(),
            next: 0,
        }
    }

    /// If the next of the others stands still: wakes a few of its tasks, on this thread. Says
    /// whether there were any.
    pub(super) fn help(&mut self) -> bool {
        self.next = (self.next + 1).checked_rem(self.others.len()).unwrap_or(0);
        let Some(Other { worker, look }) = self.others.get_mut(self.next) else {
            return false;
        };
        if !look.is_due(worker.reactor.turns()) {
            return false;
        }
        let found = worker.reactor.help();
        look.looked(found);
        found
    }
}

impl Look {
    /// It has taken so many turns. One that goes on needs no help, and one that sleeps only
    /// rarely does.
    fn is_due(&mut self, turns: usize) -> bool {
        if std::mem::replace(&mut self.turns, turns) != turns {
            return false;
        }
        let due = self.wait == 0;
        self.wait = self.wait.saturating_sub(1);
        due
    }

    fn looked(&mut self, found: bool) {
        self.put_off = if found {
            0
        } else {
            PUT_OFF.min(2 * self.put_off + 1)
        };
        self.wait = self.put_off;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_goes_on_is_left_alone() {
        let mut look = Look::default();
        assert!((1..1000).all(|turns| !look.is_due(turns)));
    }

    #[test]
    fn one_that_stands_still_and_has_work_is_helped_each_time() {
        let mut look = Look::default();
        look.is_due(5);
        for _ in 0..1000 {
            assert!(look.is_due(5));
            look.looked(true);
        }
    }

    #[test]
    fn one_that_sleeps_is_looked_at_rarely_until_it_has_work() {
        let mut look = Look::default();
        look.is_due(5);
        let mut waits = |found: &[bool]| {
            let waits = found.iter().map(|&found| {
                let wait = (0..100).take_while(|_| !look.is_due(5)).count();
                look.looked(found);
                wait
            });
            waits.collect::<Vec<_>>()
        };
        assert_eq!(waits(&[false; 6]), [0, 1, 3, 7, 7, 7]);
        assert_eq!(waits(&[true, true, false]), [7, 0, 0]);
        assert_eq!(waits(&[false; 3]), [1, 3, 7]);
    }
}
