//! A task of several threads that forks: the child runs no task of its parent, and does not disturb
//! it.
//!
//! No other thread holds a lock when it forks.

use std::future::pending;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::unix::net::UnixStream;
use std::panic::{set_hook, take_hook};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::forking::{ask, assert_fine, exit, fork, own_executor_works, pair};
use futures_lite::future::poll_once;
use halves::{Clock, Executor};

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(20);
const TASKS: usize = 10;

static IN_CHILD: AtomicBool = AtomicBool::new(false);

fn threads(n: usize) -> Executor {
    Executor::threads(NonZero::new(n).expect("not 0"))
}

/// The child passes if it panics in its parent's executor.
fn exit_when_the_child_panics() {
    let usual = take_hook();
    set_hook(Box::new(move |info| {
        // The default hook takes locks.
        if IN_CHILD.load(Ordering::SeqCst) {
            let message = info.payload_as_str().unwrap_or_default();
            exit(message.contains("before a fork"));
        }
        usual(info);
    }));
}

/// Never returns.
async fn be_the_child(mut parent: UnixStream) {
    IN_CHILD.store(true, Ordering::SeqCst);
    if !own_executor_works(|| threads(2)) {
        exit(false);
    }
    // The parent has set its clock.
    parent.read_exact(&mut [0]).expect("read");
    let mut sleep = Clock::default().sleep(Duration::from_hours(1));
    let slept = poll_once(&mut sleep).await;
    parent.write_all(&[0]).expect("written");
    assert!(slept.is_none());
    pending::<()>().await;
}

pub(crate) fn a_child_of_a_task_leaves_the_tasks_and_the_clock_of_its_parent_alone() {
    exit_when_the_child_panics();
    let ex = threads(2);
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let (mut child_side, parent_side) = UnixStream::pair().expect("a pair");
    let (forked, forks) = mpsc::channel();
    let spawns = ex.clone();
    let task = ex.spawn(async move {
        let ours = Arc::new(ours);
        // The next task on this thread.
        let writes = (0..TASKS).map(|_| {
            let ours = ours.clone();
            spawns.spawn(async move { (&*ours).write_all(&[0]) })
        });
        let writes: Vec<_> = writes.collect();
        let Some(child) = fork() else {
            return be_the_child(parent_side).await;
        };
        let mut sleep = Clock::default().sleep(Duration::from_millis(200));
        let _ = poll_once(&mut sleep).await;
        child_side.write_all(&[0]).expect("written");
        child_side.read_exact(&mut [0]).expect("read");
        sleep.await;
        for write in writes {
            write.await.expect("written");
        }
        forked.send(child).expect("received");
    });
    let child = forks.recv_timeout(TIMEOUT).expect("the sleep ends");
    assert_fine(child);
    ex.block_on(task);
    let mut written = Vec::new();
    theirs.read_to_end(&mut written).expect("read");
    assert_eq!(written.len(), TASKS, "each task writes once");
    ex.block_on(ex.spawn(async {
        let (mut client, mut server) = pair().await;
        ask(&mut client, &mut server).await;
        ask(&mut server, &mut client).await;
    }));
}
