//! A fork without exec: the child may not run its parent's executor, and may have its own.
//!
//! The only test of its process, so that no other thread holds a lock when it forks.

#![cfg(all(target_os = "linux", not(halves_portable)))]
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::files;
use halves::{Connection, Executor, Listener, bind, connect};
use rustix::process::{Pid, WaitOptions, waitpid};

/// What the child exits with, where all is as it should be.
const FINE: i32 = 7;

async fn pair() -> (Connection, Connection) {
    let mut listener = bind("127.0.0.1:0").await.expect("bound");
    let at = listener.local_addrs()[0].to_string();
    let client = connect(&*at).await.expect("connected");
    let server = listener.accept().await.expect("accepted");
    (client, server.expect("one"))
}

async fn ask(from: &mut Connection, to: &mut Connection) {
    from.writer.write_all(b"hello").await.expect("written");
    let mut buf = [0; 5];
    to.reader.read_exact(&mut buf).await.expect("read");
    assert_eq!(&buf, b"hello");
}

/// Leaves an idle thread in the pool of calls that block.
async fn call_that_blocks() {
    files("/dev/null", "/dev/null").await.expect("both");
}

/// None in the child.
fn fork() -> Option<Pid> {
    // SAFETY: no other thread of ours holds anything.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "forked");
    Pid::from_raw(child)
}

fn exit(fine: bool) -> ! {
    // SAFETY: it only ends the process, whose destructors are the parent's.
    unsafe { libc::_exit(if fine { FINE } else { 1 }) }
}

fn assert_fine(child: Pid) {
    let (_, status) = waitpid(Some(child), WaitOptions::empty())
        .expect("ours")
        .expect("ended");
    assert_eq!(status.exit_status(), Some(FINE));
}

/// The child has an executor of its own, in the place where it was forked.
fn own_executor_works() -> bool {
    // SAFETY: it sets a timer, which ends a child that waits for a thread of its parent.
    unsafe { libc::alarm(20) };
    let own = catch_unwind(|| {
        Executor::new().block_on(async {
            let (mut client, mut server) = pair().await;
            ask(&mut client, &mut server).await;
            call_that_blocks().await;
        });
    });
    own.is_ok()
}

pub(crate) fn a_child_panics_in_its_parents_executor_and_runs_its_own() {
    let hook = take_hook();
    // The usual one takes locks.
    set_hook(Box::new(|_| {}));
    let ex = Executor::new();
    let (mut client, mut server) = ex.block_on(pair());
    let mut child = None;
    let looped = catch_unwind(AssertUnwindSafe(|| {
        ex.block_on(async {
            ask(&mut client, &mut server).await;
            call_that_blocks().await;
            child = fork();
            let fine = child.is_some() || own_executor_works();
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
    // What the child dropped is none of the parent's.
    ex.block_on(async {
        ask(&mut client, &mut server).await;
        ask(&mut server, &mut client).await;
    });
    set_hook(hook);
}
