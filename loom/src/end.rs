//! The end of a connection wakes its task: through the reader if the task waits there, otherwise
//! through a slot of its own, which is made at the first need.

use std::sync::Arc;
use std::task::Waker;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::waker_slot::WakerSlot;
use crate::{Lazy, Task, explore, fence_if};

struct Record {
    fences: bool,
    /// The connection is ended from outside.
    ended: AtomicBool,
    reader: WakerSlot,
    task: Lazy<WakerSlot>,
}

impl Record {
    fn new(fences: bool) -> Arc<Self> {
        Arc::new(Self {
            fences,
            ended: AtomicBool::new(false),
            reader: WakerSlot::default(),
            task: Lazy::default(),
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

    /// A poll as in `Serving::poll` and `Record::attend`, with a handler that reads if `reads`.
    /// Returns true if it has seen the end.
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

/// The task waits for something other than its reader. Without fences it may not be woken.
pub fn the_end_wakes_a_task_that_does_not_read(fences: bool) {
    explore(3, move || {
        let (record, task) = (Record::new(fences), Task::new());
        let end = {
            let record = record.clone();
            loom::thread::spawn(move || record.end())
        };
        let waker = task.waker();
        let mut poll = || record.poll(&waker, false);
        let seen = task.run(&mut poll);
        end.join().expect("no panic");
        assert!(seen || task.run(&mut poll), "the task is not woken");
    });
}

/// The task reads, is woken, and then waits for something else.
pub fn the_end_wakes_a_task_that_reads() {
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
        end.join().expect("no panic");
        assert!(seen || task.run(&mut poll), "the task is not woken");
    });
}

/// Other tasks register in the reader's slot, one after another, after the task has registered.
pub fn the_end_wakes_a_task_with_a_replaced_waker() {
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
        read.join().expect("no panic");
        end.join().expect("no panic");
        assert!(seen || task.run(&mut poll), "the task is not woken");
    });
}
