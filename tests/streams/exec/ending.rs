//! The end of a child and of its connection.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory;
use halves::service::{Exec, Exited};
use halves::{Connection, Server, Timeouts};

use rustix::process::{Pid, Signal, kill_process};

use super::{FAMILIES, Peers, Started, exited, gone, number, served, sh};
use crate::support::harness::sockets::{self, Family};

const SECOND: Duration = Duration::from_secs(1);
/// Reads to the end and is not ended by it.
const STAYS: &str = "echo $$; exec sleep 1000";
/// Prints the id of a process that it has started, and waits for it.
const PARENT: &str = "sleep 1000 & echo $!; wait";

#[test]
fn the_exit_status_is_the_reason_and_an_extension_of_the_peer() {
    for (script, code, signal) in [
        ("exit 3", Some(3), None),
        ("kill -KILL $$", None, Some(9)),
        // Nothing ignores it, as this process does.
        ("kill -PIPE $$", None, Some(13)),
    ] {
        sockets::run(Family::Tcp, async |world| {
            let peers = Peers::default();
            let served = peers.serve(&world, Server::default(), sh(script)).await;
            let (answer, end) = served.connect().rest().await;
            end.expect("in order");
            assert!(answer.is_empty());
            assert_eq!(served.until_closed().await, ["closed 1 child"]);
            let exited = peers.first().extension::<Exited>().expect("a child");
            assert_eq!(
                (exited.status.code(), exited.status.signal()),
                (code, signal)
            );
        });
    }
}

/// The client has sent more than the child reads: closing the socket would reset the connection.
#[test]
fn unread_input_does_not_destroy_the_answer() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let (served, client) = served(&world, sh("read line; echo answer; exit 0")).await;
            client.send(&[b"line\n".to_vec(), vec![0; 10_000]].concat());
            let (answer, end) = client.rest().await;
            end.expect("in order");
            assert_eq!(answer, b"answer\n");
            client.end();
            assert_eq!(served.until_closed().await, ["closed 1 handler"]);
        });
    }
}

#[test]
fn the_rest_of_the_group_is_killed_at_the_exit() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let script = "sleep 1000 & echo $!; exit 0";
            let (served, client) = served(&world, sh(script)).await;
            let grandchild = number(&client).await;
            let (rest, end) = client.rest().await;
            end.expect("in order");
            assert!(rest.is_empty());
            client.end();
            assert_eq!(served.until_closed().await, ["closed 1 handler"]);
            exited(grandchild).await;
        });
    }
}

/// Kills a process that runs.
fn kill(id: u32) {
    let process = Pid::from_raw(id.cast_signed()).expect("not 0");
    kill_process(process, Signal::KILL).expect("it still runs");
}

#[test]
fn a_process_that_left_the_group_does_not_keep_the_connection() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let script = "setsid sh -c 'echo $$; exec sleep 1000' & read line; exit 0";
            let (served, client) = served(&world, sh(script)).await;
            let daemon = number(&client).await;
            client.send(b"\n");
            let (_, end) = client.rest().await;
            end.expect("in order");
            client.end();
            assert_eq!(served.until_closed().await, ["closed 1 handler"]);
            kill(daemon);
        });
    }
}

#[test]
fn a_process_that_left_the_group_does_not_keep_pipes() -> io::Result<()> {
    smol::block_on(async {
        let (mut client, server) = memory::pair(64);
        let script = "setsid sh -c 'echo $$; exec sleep 1000' & read line; echo end";
        let asks = async {
            let mut line = String::new();
            while !line.ends_with('\n') {
                let mut byte = [0];
                client.reader.read_exact(&mut byte).await?;
                line.push(byte[0].into());
            }
            client.writer.write_all(b"\n").await?;
            let mut rest = String::new();
            client.reader.read_to_string(&mut rest).await?;
            assert_eq!(rest, "end\n");
            kill(line.trim().parse().expect("a number"));
            Ok(())
        };
        future::try_zip(asks, sh(script).serve(server)).await?;
        Ok(())
    })
}

#[test]
fn a_kill_resets_the_connection_and_kills_the_group() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let started = Started::default();
            let served = started.serve(&world, Server::default(), sh(PARENT)).await;
            let client = served.connect();
            let grandchild = number(&client).await;
            let child = started.id().await;
            assert!(served.handle.kill(1));
            let end = client.rest().await.1;
            assert_eq!(end.is_err(), family == Family::Tcp, "a reset: {end:?}");
            assert_eq!(served.until_closed().await, ["closed 1 killed"]);
            gone(child).await;
            exited(grandchild).await;
        });
    }
}

#[test]
fn a_lifetime_ends_a_child_in_order() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let started = Started::default();
            let timeouts = Timeouts::default().lifetime(10 * SECOND);
            let server = Server::default().timeouts(timeouts);
            let served = started.serve(&world, server, sh(STAYS)).await;
            let client = served.connect();
            let child = number(&client).await;
            assert_eq!(child, started.id().await);
            // Once more after the deadline, for input that arrived in time.
            world.pass(10 * SECOND).await;
            let (_, end) = client.rest().await;
            end.expect("in order");
            client.end();
            assert_eq!(served.until_closed().await, ["closed 1 lifetime"]);
            gone(child).await;
        });
    }
}

#[test]
fn a_drain_waits_for_children() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let (served, client) = served(&world, sh("read line; echo $line")).await;
            client.send(b"hel");
            world.settle().await;
            served.shutdown.drain();
            world.pass(10 * SECOND).await;
            client.send(b"lo\n");
            let (answer, end) = client.rest().await;
            end.expect("in order");
            assert_eq!(answer, b"hello\n");
            client.end();
            let report = served.serving.await.expect("no error");
            assert_eq!((report.finished, report.aborted), (1, 0));
        });
    }
}

#[test]
fn children_are_asked_to_end_at_the_drain_deadline() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let server = Server::default().drain_timeout(10 * SECOND);
            let script = "trap 'echo asked; exit 0' TERM; echo; while :; do sleep 0.01; done";
            let started = Started::default();
            let served = started.serve(&world, server, sh(script)).await;
            let client = served.connect();
            assert_eq!(client.take(1).await, b"\n");
            started.id().await;
            served.shutdown.drain();
            world.pass(10 * SECOND).await;
            let (answer, end) = client.rest().await;
            end.expect("in order");
            assert_eq!(answer, b"asked\n");
            client.end();
            let closed = served.until_closed().await;
            assert!(
                closed.contains(&"closed 1 aborted".to_owned()),
                "{closed:?}"
            );
            let report = served.serving.await.expect("no error");
            assert_eq!((report.finished, report.aborted), (0, 1));
        });
    }
}

#[test]
fn children_that_do_not_end_are_killed_two_seconds_later() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let started = Started::default();
            let server = Server::default().drain_timeout(10 * SECOND);
            let script = "trap '' TERM; echo; exec sleep 1000";
            let served = started.serve(&world, server, sh(script)).await;
            let client = served.connect();
            assert_eq!(client.take(1).await, b"\n");
            let child = started.id().await;
            served.shutdown.drain();
            world.pass(10 * SECOND).await;
            world.pass(2 * SECOND - Duration::from_nanos(1)).await;
            assert!(client.try_take(1).is_none(), "it runs");
            world.pass(Duration::from_nanos(1)).await;
            let end = client.rest().await.1;
            assert_eq!(end.is_err(), family == Family::Tcp, "a reset: {end:?}");
            let report = served.serving.await.expect("no error");
            assert_eq!((report.finished, report.aborted), (0, 1));
            gone(child).await;
        });
    }
}

#[test]
fn an_abort_kills_children_at_once() {
    sockets::run(Family::Tcp, async |world| {
        for asked in [false, true] {
            let started = Started::default();
            let server = Server::default().drain_timeout(10 * SECOND);
            let script = "trap '' TERM; echo; exec sleep 1000";
            let served = started.serve(&world, server, sh(script)).await;
            let client = served.connect();
            assert_eq!(client.take(1).await, b"\n");
            let child = started.id().await;
            served.shutdown.drain();
            if asked {
                world.pass(10 * SECOND).await;
            }
            served.shutdown.abort();
            client.rest().await.1.expect_err("a reset");
            let report = served.serving.await.expect("no error");
            assert_eq!((report.finished, report.aborted), (0, 1));
            gone(child).await;
        }
    });
}

/// Connections without a child are not kept for those with one.
#[test]
fn other_connections_are_aborted_at_the_drain_deadline() {
    sockets::run(Family::Tcp, async |world| {
        let server = Server::default().drain_timeout(10 * SECOND);
        let started = Started::default();
        let exec = started.of(sh("trap '' TERM; echo; exec sleep 1000"));
        let handler = async move |mut connection: Connection| {
            if connection.peer.id() == 1 {
                return exec.serve(connection).await;
            }
            connection.writer.write_all(b"\n").await?;
            future::pending().await
        };
        let served = world.serve(server, handler).await;
        let [first, second] = [(); 2].map(|()| served.connect());
        assert_eq!(first.take(1).await, b"\n");
        assert_eq!(second.take(1).await, b"\n");
        started.id().await;
        served.shutdown.drain();
        world.pass(10 * SECOND).await;
        second.rest().await.1.expect_err("a reset");
        assert!(first.try_take(1).is_none(), "it runs");
        world.pass(2 * SECOND).await;
        first.rest().await.1.expect_err("a reset");
        let report = served.serving.await.expect("no error");
        assert_eq!((report.finished, report.aborted), (0, 2));
    });
}

#[test]
fn a_program_that_is_gone_is_an_error_of_its_connection() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let dir = crate::support::place::dir();
            let path = dir.path().join("program");
            std::fs::copy("/bin/true", &path).expect("copied");
            let exec = Exec::new(&path).expect("it is there");
            std::fs::remove_file(&path).expect("removed");
            let (served, client) = served(&world, exec).await;
            let (answer, end) = client.rest().await;
            end.expect("in order");
            assert!(answer.is_empty());
            client.end();
            let error = "No such file or directory (os error 2)";
            let closed = format!("closed 1 error: {}: {error}", path.display());
            assert_eq!(served.until_closed().await, [closed]);
        });
    }
}

#[test]
fn a_client_that_resets_ends_a_child_that_writes() {
    sockets::run(Family::Tcp, async |world| {
        let started = Started::default();
        let served = started.serve(&world, Server::default(), sh("yes")).await;
        let client = served.connect();
        client.take(1000).await;
        client.reset();
        let closed = served.until_closed().await;
        assert_eq!(closed, ["closed 1 child"]);
        gone(started.id().await).await;
    });
}

#[test]
fn a_dropped_handler_kills_its_child() -> io::Result<()> {
    let (mut client, server) = memory::pair(64);
    let mut serving = Box::pin(sh(PARENT).serve(server));
    let reads = async { client.reader.line().await };
    let serves = async {
        (&mut serving).await?;
        Ok(None)
    };
    let line = smol::block_on(future::or(reads, serves))?.expect("a line");
    let line = String::from_utf8(line).expect("text");
    drop(serving);
    let grandchild = line.trim().parse().expect("a number");
    smol::block_on(exited(grandchild));
    Ok(())
}

/// The future is not polled between the exit and the drop.
#[test]
fn a_dropped_handler_of_a_child_that_has_exited_kills_the_rest() -> io::Result<()> {
    let (mut client, server) = memory::pair(64);
    let mut serving = Box::pin(sh("sleep 1000 & echo $! $$; wait").serve(server));
    let reads = async { client.reader.line().await };
    let serves = async {
        (&mut serving).await?;
        Ok(None)
    };
    let line = smol::block_on(future::or(reads, serves))?.expect("a line");
    let line = String::from_utf8(line).expect("text");
    let numbers = line
        .split_whitespace()
        .map(|number| number.parse().expect("a number"));
    let ids: Vec<u32> = numbers.collect();
    let [grandchild, child] = ids[..] else {
        panic!("{line}");
    };
    kill(child);
    smol::block_on(exited(child));
    drop(serving);
    smol::block_on(exited(grandchild));
    Ok(())
}
