//! A fork without exec: the child may not run its parent's executor, and may have its own.
//!
//! The process has no other threads, so none holds a lock while it forks.

use std::any::Any;
use std::cell::Cell;
use std::future::pending;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Arc;

use super::forking::{ask, assert_fine, call_that_blocks, exit, fork, own_executor_works, pair};
use halves::Executor;
use rustix::process::Pid;

const TASKS: usize = 10;

thread_local! {
    static IS_CHILD: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn a_child_panics_in_its_parents_executor_and_runs_its_own() {
    let hook = take_hook();
    // The default hook takes locks.
    set_hook(Box::new(|_| {}));
    let ex = Executor::new();
    let (mut client, mut server) = ex.block_on(pair());
    let mut child = None;
    let looped = catch_unwind(AssertUnwindSafe(|| {
        ex.block_on(async {
            ask(&mut client, &mut server).await;
            call_that_blocks().await;
            child = fork();
            let fine = child.is_some() || own_executor_works(Executor::new);
            if !fine {
                exit(false);
            }
            futures_lite::future::yield_now().await;
        });
    }));
    let Some(child) = child else {
        let again = catch_unwind(AssertUnwindSafe(|| ex.block_on(async {})));
        let panicked = is_fork_panic(&looped) && is_fork_panic(&again);
        drop((client, server, ex));
        exit(panicked)
    };
    assert_fine(child);
    // The parent is not affected by what the child has dropped.
    ex.block_on(async {
        ask(&mut client, &mut server).await;
        ask(&mut server, &mut client).await;
    });
    set_hook(hook);
}

/// Returns true if the call panicked because its executor is from before a fork.
fn is_fork_panic<T>(result: &Result<T, Box<dyn Any + Send>>) -> bool {
    let payload = result.as_ref().err();
    let message = payload.and_then(|payload| payload.downcast_ref::<String>());
    message.is_some_and(|message| message.contains("before a fork"))
}

/// Returns only in the parent.
async fn fork_and_wait_in_the_child() -> Pid {
    let Some(child) = fork() else {
        IS_CHILD.set(true);
        return pending().await;
    };
    child
}

pub(crate) fn a_child_of_a_task_runs_no_other_task_of_its_parent() {
    tasks_run_in_the_parent_only(|ex| ex.spawn(fork_and_wait_in_the_child()));
}

pub(crate) fn a_child_of_a_blocked_on_future_runs_no_task_of_its_parent() {
    tasks_run_in_the_parent_only(|_| fork_and_wait_in_the_child());
}

/// Queues tasks behind the future that forks, and counts the bytes that they write.
fn tasks_run_in_the_parent_only<F: Future<Output = Pid>>(forks: impl FnOnce(&Executor) -> F) {
    let hook = take_hook();
    // The default hook takes locks.
    set_hook(Box::new(|_| {}));
    let ex = Executor::new();
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let ours = Arc::new(ours);
    let looped = catch_unwind(AssertUnwindSafe(|| {
        ex.block_on(async {
            let child = forks(&ex);
            let writes: Vec<_> = (0..TASKS)
                .map(|_| {
                    let ours = ours.clone();
                    ex.spawn(async move { (&*ours).write_all(&[0]) })
                })
                .collect();
            let child = child.await;
            for write in writes {
                write.await.expect("written");
            }
            child
        })
    }));
    if IS_CHILD.get() {
        drop(ex);
        exit(is_fork_panic(&looped));
    }
    set_hook(hook);
    assert_fine(looped.expect("the parent goes on"));
    drop((ex, ours));
    let mut written = Vec::new();
    theirs.read_to_end(&mut written).expect("read");
    assert_eq!(written.len(), TASKS, "each task writes once");
}
