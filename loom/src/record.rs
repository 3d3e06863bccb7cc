//! A connection's task is woken through its reader where it waits there, and else in a place of
//! its own, which is made late.

use std::sync::Arc;
use std::task::Waker;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::waker_slot::WakerSlot;
use crate::{Seldom, Task, explore, fence_if};

struct Record {
    fences: bool,
    /// It is ended from outside.
    ended: AtomicBool,
    reader: WakerSlot,
    task: Seldom<WakerSlot>,
}

impl Record {
    fn new(fences: bool) -> Arc<Self> {
        Arc::new(Self {
            fences,
            ended: AtomicBool::new(false),
            reader: WakerSlot::default(),
            task: Seldom::default(),
        })
    }

    /// As `Record::wake` does it.
    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        fence_if(self.fences);
        self.reader.wake();
        if let Some(task) = self.task.get() {
            task.wake();
        }
    }

    /// As `Serving::poll` and `Record::attend` do it, with a handler that reads, or does not.
    /// Says whether it was seen that this was the end.
    fn poll(&self, waker: &Waker, reads: bool) -> bool {
        self.reader.forget();
        if reads {
            self.reader.register(waker);
        }
        if !self.reader.reaches(waker) {
            self.task.get_or_init().register(waker);
            fence_if(self.fences);
        }
        self.ended.load(Ordering::Relaxed)
    }
}

/// Whether with fences or without: a task that waits for something else than its reader is woken.
pub fn a_task_that_does_not_read_hears_of_the_end(fences: bool) {
    explore(3, move || {
        let (record, task) = (Record::new(fences), Task::new());
        let end = {
            let record = record.clone();
            loom::thread::spawn(move || record.end())
        };
        let waker = task.waker();
        let mut poll = || record.poll(&waker, false);
        let seen = task.run(&mut poll);
        end.join().expect("ended");
        assert!(seen || task.run(&mut poll), "nobody wakes the task");
    });
}

/// A task that reads, is woken, and then waits for something else.
pub fn a_task_that_reads_hears_of_the_end() {
    explore(3, || {
        let (record, task) = (Record::new(true), Task::new());
        let end = {
            let record = record.clone();
            loom::thread::spawn(move || {
                record.reader.wake();
                record.end();
            })
        };
        let waker = task.waker();
        let mut reads = true;
        let mut poll = || record.poll(&waker, std::mem::replace(&mut reads, false));
        let seen = task.run(&mut poll);
        end.join().expect("ended");
        assert!(seen || task.run(&mut poll), "nobody wakes the task");
    });
}

/// Others wait in the same place, one after another, while the task believes that it is its own.
pub fn a_task_whose_place_is_taken_hears_of_the_end() {
    explore(4, || {
        let (record, task) = (Record::new(true), Task::new());
        let others = [Task::new(), Task::new(), Task::new()].map(|task| task.waker());
        record.reader.register(&others[0]);
        let read = {
            let record = record.clone();
            loom::thread::spawn(move || {
                record.reader.register(&others[1]);
                record.reader.register(&others[2]);
            })
        };
        let end = {
            let record = record.clone();
            loom::thread::spawn(move || {
                record.reader.wake();
                record.end();
            })
        };
        let waker = task.waker();
        let mut poll = || record.poll(&waker, true);
        let seen = task.run(&mut poll);
        read.join().expect("registered");
        end.join().expect("ended");
        assert!(seen || task.run(&mut poll), "nobody wakes the task");
    });
}
