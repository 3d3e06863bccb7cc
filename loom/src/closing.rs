//! A group closes while tasks are woken on other threads: each task is dropped.
//!
//! The queue is the file of the library. The order of its calls is that of `WorkerGroup::close` and
//! `WorkerGroup::schedule`. In loom a sequentially consistent operation only acquires and releases,
//! so there is a fence where the library relies on more.

use std::mem;
use std::sync::Arc;

use crate::explore;
use crate::queue::RunQueue;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

/// The step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// The second check for a closed group, after a task is queued.
    CheckClosed,
    /// The drop of the queued tasks, after the group is closed.
    LastDrop,
}

#[derive(Debug)]
struct Group {
    injector: RunQueue<Runnable>,
    /// The wakers of tasks that are not done.
    tasks: Mutex<Vec<Arc<Task>>>,
    closed: AtomicBool,
    without: Without,
}

/// A task's waker.
#[derive(Debug, Default)]
struct Task {
    /// True once the task is queued or dropped.
    woken: AtomicBool,
    drops: AtomicUsize,
    /// Woken when this task is dropped.
    next: Option<Arc<Task>>,
}

/// A woken task. Its drop drops the task.
#[derive(Debug)]
struct Runnable {
    task: Arc<Task>,
    group: Arc<Group>,
}

impl Drop for Runnable {
    fn drop(&mut self) {
        self.task.drops.fetch_add(1, Ordering::Relaxed);
        if let Some(next) = &self.task.next {
            self.group.wake(next);
        }
    }
}

impl Group {
    fn wake(self: &Arc<Self>, task: &Arc<Task>) {
        if !task.woken.swap(true, Ordering::AcqRel) {
            let (task, group) = (task.clone(), self.clone());
            self.schedule(Runnable { task, group });
        }
    }

    fn schedule(&self, runnable: Runnable) {
        if self.closed.load(Ordering::SeqCst) {
            return drop(runnable);
        }
        self.injector.push(runnable);
        fence(Ordering::SeqCst);
        if self.without != Without::CheckClosed && self.closed.load(Ordering::SeqCst) {
            drop(self.injector.take_part(1));
        }
    }

    fn close(self: &Arc<Self>) {
        loop {
            let tasks = mem::take(&mut *self.tasks.lock().expect("no panic"));
            tasks.iter().for_each(|task| self.wake(task));
            let left = self.injector.take_part(1);
            let queued = left.len();
            drop(left);
            if tasks.is_empty() && queued == 0 {
                break;
            }
        }
        self.closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.without != Without::LastDrop {
            drop(self.injector.take_part(1));
        }
    }
}

/// Two tasks are woken while the group closes, one of them also by the drop of another task.
pub fn no_task_outlives_its_group(without: Without) {
    explore(3, move || {
        let last = Arc::new(Task::default());
        let first = Arc::new(Task {
            next: Some(last.clone()),
            ..Task::default()
        });
        let late = Arc::new(Task::default());
        let group = Arc::new(Group {
            injector: RunQueue::new(),
            tasks: Mutex::new(vec![first.clone()]),
            closed: AtomicBool::new(false),
            without,
        });
        let threads = [last.clone(), late.clone()].map(|task| {
            let group = group.clone();
            loom::thread::spawn(move || group.wake(&task))
        });
        group.close();
        for thread in threads {
            thread.join().expect("no panic");
        }
        for task in [first, last, late] {
            let drops = task.drops.load(Ordering::Relaxed);
            assert_eq!(drops, 1, "a task is not dropped");
        }
    });
}
