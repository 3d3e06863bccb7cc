//! A run queue from which other threads can take tasks.

use std::collections::VecDeque;
use std::mem;

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A queue of runnable tasks, first in, first out.
#[derive(Debug)]
pub(super) struct RunQueue<T> {
    tasks: Mutex<VecDeque<T>>,
    /// The length, readable without the lock.
    len: AtomicUsize,
}

impl<T> RunQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            tasks: Mutex::new(VecDeque::new()),
            len: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    pub(super) fn push(&self, task: T) {
        let mut tasks = self.lock();
        tasks.push_back(task);
        self.len.store(tasks.len(), Ordering::SeqCst);
    }

    pub(super) fn pop(&self) -> Option<T> {
        if self.len() == 0 {
            return None;
        }
        let mut tasks = self.lock();
        let task = tasks.pop_front();
        self.len.store(tasks.len(), Ordering::SeqCst);
        task
    }

    /// Takes the oldest tasks: one of `parts` equal parts of the queue, rounded up.
    pub(super) fn take_part(&self, parts: usize) -> VecDeque<T> {
        if self.len() == 0 {
            return VecDeque::new();
        }
        let mut tasks = self.lock();
        let taken = tasks.len().div_ceil(parts);
        let rest = tasks.split_off(taken);
        self.len.store(rest.len(), Ordering::SeqCst);
        mem::replace(&mut *tasks, rest)
    }

    pub(super) fn append(&self, mut more: VecDeque<T>) {
        let mut tasks = self.lock();
        tasks.append(&mut more);
        self.len.store(tasks.len(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(tasks: usize) -> RunQueue<usize> {
        let queue = RunQueue::new();
        queue.append((0..tasks).collect());
        queue
    }

    #[test]
    fn tasks_are_popped_in_the_order_of_their_push() {
        let queue = queue(2);
        queue.push(2);
        assert_eq!(queue.len(), 3);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [0, 1, 2]);
        assert_eq!((queue.len(), queue.pop()), (0, None));
    }

    #[test]
    fn a_part_holds_the_oldest_tasks_rounded_up() {
        for (tasks, parts, taken) in [(0, 2, 0), (1, 2, 1), (4, 2, 2), (5, 2, 3), (5, 1, 5)] {
            let queue = queue(tasks);
            assert_eq!(queue.take_part(parts), (0..taken).collect::<Vec<_>>());
            assert_eq!(queue.len(), tasks - taken);
            assert_eq!(queue.pop(), (taken < tasks).then_some(taken));
        }
    }
}
