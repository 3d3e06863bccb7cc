//! Forks of a test, and reports of the child by its exit code.

#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::files;
use halves::{Connection, Executor, Listener, bind, connect};
use rustix::process::{Pid, WaitOptions, waitpid};

/// The exit code of a child that has passed.
const PASSED_EXIT_CODE: i32 = 7;

pub(crate) async fn pair() -> (Connection, Connection) {
    let mut listener = bind("127.0.0.1:0").await.expect("bound");
    let at = listener.local_addrs()[0].to_string();
    let client = connect(&*at).await.expect("connected");
    let server = listener.accept().await.expect("accepted");
    (client, server.expect("one"))
}

pub(crate) async fn ask(from: &mut Connection, to: &mut Connection) {
    from.writer.write_all(b"hello").await.expect("written");
    let mut buf = [0; 5];
    to.reader.read_exact(&mut buf).await.expect("read");
    assert_eq!(&buf, b"hello");
}

/// Leaves an idle thread in the pool of blocking calls.
pub(crate) async fn call_that_blocks() {
    files("/dev/null", "/dev/null").await.expect("both");
}

/// Returns None in the child.
pub(crate) fn fork() -> Option<Pid> {
    // SAFETY: no other thread of this process holds anything.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "forked");
    Pid::from_raw(child)
}

pub(crate) fn exit(fine: bool) -> ! {
    // SAFETY: it only ends the process; its destructors are for the parent to run.
    unsafe { libc::_exit(if fine { PASSED_EXIT_CODE } else { 1 }) }
}

pub(crate) fn assert_fine(child: Pid) {
    let (_, status) = waitpid(Some(child), WaitOptions::empty())
        .expect("ours")
        .expect("ended");
    assert_eq!(status.exit_status(), Some(PASSED_EXIT_CODE));
}

/// Runs a new executor in the child, within the one where it was forked.
pub(crate) fn own_executor_works(executor: impl FnOnce() -> Executor) -> bool {
    // SAFETY: it sets a timer, which ends a child that waits for a thread of its parent.
    unsafe { libc::alarm(20) };
    let own = catch_unwind(AssertUnwindSafe(|| {
        executor().block_on(async {
            let (mut client, mut server) = pair().await;
            ask(&mut client, &mut server).await;
            call_that_blocks().await;
        });
    }));
    own.is_ok()
}
