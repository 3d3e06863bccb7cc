//! A fork without exec: the child may not run its parent's executor, and may have its own.
//!
//! The process has no other threads, so none holds a lock while it forks.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use super::forking::{ask, assert_fine, call_that_blocks, exit, fork, own_executor_works, pair};
use halves::Executor;

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
        let says = |payload: Box<dyn std::any::Any + Send>| {
            let message = payload.downcast_ref::<String>();
            message.is_some_and(|message| message.contains("before a fork"))
        };
        let panicked = looped.is_err_and(says) && again.is_err_and(says);
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
