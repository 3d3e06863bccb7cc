//! The end of child processes: nothing is left of them, in whichever order their parts are dropped.

use std::fs;
use std::io;
use std::num::NonZero;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::process::{Child, Command};
use halves::{Clock, Connection, Executor, Once, Reason, Report, Server, Shutdown, serve};

use crate::process::{has_exited, is_gone, sh, wait_until};
use crate::support::skip::skip;

/// Prints the id of a process that it has started, and waits for it.
const PARENT: &str = "sleep 1000 & echo $!; wait";

/// Reads a number from a line.
async fn number(connection: &mut Connection) -> u32 {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        connection
            .reader
            .read_exact(&mut byte)
            .await
            .expect("a line");
        line.extend(byte);
    }
    let line = String::from_utf8(line).expect("text");
    line.trim().parse().expect("a number")
}

/// A child with a child of its own, and the id of the latter.
fn parent() -> (Connection, Child, u32) {
    let (mut connection, child) = sh(PARENT, &[]).connect().expect("it runs");
    let grandchild = smol::block_on(number(&mut connection));
    (connection, child, grandchild)
}

#[test]
fn every_wait_returns_the_exit_status() {
    let ex = Executor::threads(NonZero::new(2).expect("not 0"));
    let child = |script| sh(script, &[]).spawn().expect("it runs");
    ex.block_on(async {
        let exits = child("exit 7");
        let mut first = Box::pin(exits.wait());
        // A dropped wait changes nothing.
        let _ = future::poll_once(&mut first).await;
        drop(first);
        for _ in 0..2 {
            let statuses = future::zip(exits.wait(), exits.wait()).await;
            for status in [statuses.0, statuses.1] {
                assert_eq!(status.expect("ours").code(), Some(7));
            }
        }
        let signalled = child("kill -TERM $$").wait().await.expect("ours");
        assert_eq!((signalled.code(), signalled.signal()), (None, Some(15)));
    });
    let status = smol::block_on(child("exit 255").wait());
    assert_eq!(status.expect("ours").code(), Some(255));
}

#[test]
fn a_kill_ends_grandchildren_too() {
    let (_connection, child, grandchild) = parent();
    child.kill();
    let status = smol::block_on(child.wait()).expect("ours");
    assert_eq!(status.signal(), Some(9));
    wait_until("the grandchild is killed", || has_exited(grandchild));

    let (mut connection, child) = sh("sleep 1000 & echo $!", &[]).connect().expect("it runs");
    let left_behind = smol::block_on(number(&mut connection));
    let status = smol::block_on(child.wait()).expect("ours");
    assert!(status.success(), "it exited by itself: {status}");
    assert!(!has_exited(left_behind), "and no child was killed");
    child.kill();
    wait_until("the orphan is killed", || has_exited(left_behind));
}

#[test]
fn the_last_drop_ends_the_child_and_nothing_is_left() {
    for connection_first in [true, false] {
        let (connection, child, grandchild) = parent();
        let pid = child.id();
        if connection_first {
            drop(connection);
            assert!(!has_exited(pid), "it is still held");
            drop(child);
        } else {
            drop(child);
            assert!(!has_exited(pid), "it is still held");
            drop(connection);
        }
        wait_until("nothing is left of the child", || is_gone(pid));
        wait_until("the grandchild is killed", || has_exited(grandchild));
    }
    // A child that has exited, and was never waited for.
    let (mut connection, child) = Command::new("true").connect().expect("it runs");
    let read = smol::block_on(connection.reader.read(&mut [0]));
    assert_eq!(read.expect("an end"), 0);
    let pid = child.id();
    drop((connection, child));
    wait_until("nothing is left of the child", || is_gone(pid));
}

#[test]
fn an_executor_that_ends_first_leaves_nothing_behind() {
    let (connection, child, grandchild) = parent();
    let pid = child.id();
    let ex = Executor::threads(NonZero::new(2).expect("not 0"));
    let task = ex.spawn(async move {
        // Captures the whole connection, not only the half that is read.
        let mut connection = connection;
        let _ = future::zip(child.wait(), connection.reader.read(&mut [0])).await;
    });
    task.detach();
    assert!(!has_exited(pid));
    drop(ex);
    wait_until("nothing is left of the child", || is_gone(pid));
    wait_until("the grandchild is killed", || has_exited(grandchild));
}

/// Serves a child as a connection. Returns the report, and the reason of the end.
fn served<F: Future<Output = io::Result<()>>>(
    server: Server,
    connection: Connection,
    handler: impl FnOnce(Connection) -> F + Clone,
) -> (Report, Reason) {
    let ex = smol::LocalExecutor::new();
    let serving = server.serve(&ex, Once::new(connection), handler);
    let report = smol::block_on(ex.run(serving)).expect("it serves");
    let ended = Reason::ALL.iter();
    let mut ended = ended.filter(|&&reason| report.stats.ended[reason] > 0);
    (report, *ended.next().expect("it ended"))
}

#[test]
fn a_panic_kills_the_child_and_its_own() {
    let (connection, child, grandchild) = parent();
    let handler = async |_| panic!("in the middle");
    let (_, reason) = served(Server::default(), connection, handler);
    assert_eq!(reason, Reason::Panic);
    let status = smol::block_on(child.wait()).expect("ours");
    assert_eq!(status.signal(), Some(9));
    wait_until("the grandchild is killed", || has_exited(grandchild));
}

/// Serves a child with a handler that sends it a word; the clock stands still. Returns the contents
/// of the file that the child has written.
fn file_of(socket: bool, script: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file_of");
    let mut command = sh(script, &[path.to_str().expect("text")]);
    if socket {
        command = command.socketpair();
    }
    let (connection, child) = command.connect().expect("it runs");
    let (clock, _manual) = Clock::manual();
    let handler = async |mut c: Connection| c.writer.write_all(b"hello").await;
    let (report, reason) = served(Server::default().clock(clock), connection, handler);
    assert_eq!((report.finished, report.aborted), (1, 0));
    assert_eq!(reason, Reason::Handler);
    let status = smol::block_on(child.wait()).expect("ours");
    assert!(status.success(), "{status}");
    fs::read(path).expect("a file")
}

#[test]
fn a_child_that_reads_its_end_is_waited_for() {
    for socket in [false, true] {
        // It writes more than a pipe holds, which is not read, before it reads.
        let script = "head -c 200000 /dev/zero && cat > \"$0\" && echo . >> \"$0\"";
        assert_eq!(file_of(socket, script), b"hello.\n");
        // A child that writes without end gets an error once its output is closed.
        let script = "cat /dev/zero 2>&-; cat > \"$0\"";
        assert_eq!(file_of(socket, script), b"hello");
    }
}

/// Only the thread that drops runs.
#[test]
fn a_dropped_server_has_killed_its_children() {
    let (connection, child, grandchild) = parent();
    let ex = smol::LocalExecutor::new();
    let handler = async |mut c: Connection| c.reader.read(&mut [0]).await.map(drop);
    let mut serving = Box::pin(serve(&ex, Once::new(connection), handler));
    smol::block_on(async {
        assert!(future::poll_once(&mut serving).await.is_none());
        while ex.try_tick() {}
    });
    drop(serving);
    let status = smol::block_on(child.wait()).expect("ours");
    assert_eq!(status.signal(), Some(9));
    wait_until("the grandchild is killed", || has_exited(grandchild));
}

#[test]
fn a_child_that_does_not_end_is_killed_after_the_linger_time() {
    let (connection, child, grandchild) = parent();
    let (clock, manual) = Clock::manual();
    let server = Server::default().clock(clock);
    let ex = smol::LocalExecutor::new();
    let handler = async |_: Connection| Ok(());
    let serving = async {
        let report = server.serve(&ex, Once::new(connection), handler).await;
        report.expect("it serves")
    };
    let impatience = async {
        // Once the server waits for the clock.
        while !manual.advance_to_next() {
            future::yield_now().await;
        }
        let early = future::poll_once(child.wait()).await;
        assert!(early.is_none(), "not before");
        future::pending().await
    };
    let report = smol::block_on(ex.run(future::or(serving, impatience)));
    assert_eq!((report.finished, report.aborted), (1, 0));
    let status = smol::block_on(child.wait()).expect("ours");
    assert_eq!(status.signal(), Some(9));
    wait_until("the grandchild is killed", || has_exited(grandchild));
}

#[test]
fn the_drain_deadline_kills() {
    let (connection, child, _) = parent();
    let shutdown = Shutdown::default();
    shutdown.drain();
    let server = Server::default();
    let server = server.shutdown(shutdown).drain_timeout(Duration::ZERO);
    let handler = async |mut c: Connection| c.reader.read(&mut [0]).await.map(drop);
    let (report, reason) = served(server, connection, handler);
    assert_eq!((report.finished, report.aborted), (0, 1));
    assert_eq!(reason, Reason::Aborted);
    let status = smol::block_on(child.wait()).expect("ours");
    assert_eq!(status.signal(), Some(9));
}

/// Set in the process that ignores `SIGCHLD`.
const IGNORES_VARIABLE: &str = "HALVES_TEST_IGNORES_SIGCHLD";

/// If the system does not remember exits, an id may be reused, and is not killed.
#[test]
fn a_child_that_the_system_has_forgotten_is_not_killed() {
    let name = "process::ending::a_child_that_the_system_has_forgotten_is_not_killed";
    if std::env::var_os(IGNORES_VARIABLE).is_some() {
        return forgotten();
    }
    // An ignored signal stays ignored across an exec. A shell may not ignore this one.
    let ignoring = || {
        let mut env = std::process::Command::new("env");
        env.arg("--ignore-signal=CHLD").stderr(Stdio::null());
        env
    };
    let tried = ignoring().arg("true").status();
    if !tried.is_ok_and(|status| status.success()) {
        return skip(name, "there is no env --ignore-signal");
    }
    let us = std::env::current_exe().expect("a path");
    let mut inner = ignoring();
    inner
        .arg(us)
        .args(["--exact", name])
        .env(IGNORES_VARIABLE, "1");
    let output = inner.output().expect("env");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains("1 passed"), "{stdout}");
}

fn forgotten() {
    for reset in [false, true] {
        // The id of the child is still that of its group, which has the process that it left
        // behind.
        let script = "sleep 1000 <&- >&- 2>&- & echo $!";
        let (mut connection, child) = sh(script, &[]).connect().expect("it runs");
        let left_behind = smol::block_on(number(&mut connection));
        smol::block_on(child.wait()).expect_err("it is forgotten");
        if reset {
            let handler = async |_| panic!("in the middle");
            let (_, reason) = served(Server::default(), connection, handler);
            assert_eq!(reason, Reason::Panic);
        } else {
            child.kill();
        }
        assert!(!has_exited(left_behind), "its number is not ours");
        let pid = i32::try_from(left_behind).expect("a number");
        let pid = rustix::process::Pid::from_raw(pid).expect("a number");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    }
    // A child that still runs is killed as usual.
    let (mut connection, child) = sh("exec sleep 1000", &[]).connect().expect("it runs");
    child.kill();
    let read = smol::block_on(connection.reader.read(&mut [0]));
    assert_eq!(read.expect("an end"), 0);
}
