//! The standard streams of a child.

use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory;
use halves::service::Exec;
use halves::{Connection, Server, Timeouts};

use super::{FAMILIES, served, sh};
use crate::support::harness::sockets::{self, Family};

/// Prints the kinds of descriptors 0 and 1.
const KINDS: &str = "[ -S /dev/stdin ] && [ -S /dev/stdout ] && echo socket;
    [ -p /dev/stdin ] && [ -p /dev/stdout ] && echo pipe; true";

#[test]
fn a_child_has_a_plain_socket() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let (served, client) = served(&world, sh(KINDS)).await;
            let (answer, end) = client.rest().await;
            end.expect("in order");
            assert_eq!(answer, b"socket\n");
            client.end();
            assert_eq!(served.until_closed().await, ["closed 1 handler"]);
        });
    }
}

/// The socket does not show its reads, or the times of its bytes.
#[test]
fn pipes_are_used_where_a_time_limit_depends_on_the_copy() {
    let hour = Duration::from_hours(1);
    let idle = Timeouts::default().idle(hour);
    let rate = Timeouts::default().min_rate(1);
    for (family, timeouts, kind) in [
        (Family::Tcp, idle.clone(), "socket\n"),
        (Family::Unix, idle, "pipe\n"),
        (Family::Tcp, rate.clone(), "pipe\n"),
        (Family::Unix, rate, "pipe\n"),
    ] {
        sockets::run(family, async |world| {
            let (server, exec) = (Server::default().timeouts(timeouts), sh(KINDS));
            let served = world.serve(server, move |c| exec.serve(c)).await;
            let (answer, end) = served.connect().rest().await;
            end.expect("in order");
            assert_eq!(String::from_utf8_lossy(&answer), kind);
        });
    }
}

#[test]
fn bytes_that_were_read_ahead_reach_the_child_first() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let handler = async |mut connection: Connection| {
                assert_eq!(connection.reader.line().await?, Some(b"first\n".to_vec()));
                sh("cat").serve(connection).await
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            client.send(b"first\nsecond\n");
            assert_eq!(client.take(7).await, b"second\n");
            client.send(b"third\n");
            assert_eq!(client.take(6).await, b"third\n");
            client.end();
            assert_eq!(client.rest().await.0, b"");
            assert_eq!(served.until_closed().await, ["closed 1 eof"]);
        });
    }
}

#[test]
fn written_bytes_are_sent_before_those_of_the_child() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let handler = async |mut connection: Connection| {
                for letter in [b"a", b"b", b"c"] {
                    connection.writer.write_all(letter).await?;
                }
                sh("printf d").serve(connection).await
            };
            let served = world.serve(Server::default(), handler).await;
            let (answer, end) = served.connect().rest().await;
            end.expect("in order");
            assert_eq!(answer, b"abcd");
        });
    }
}

#[test]
fn the_end_of_the_client_is_the_end_of_the_input_and_the_answer_follows() {
    for family in FAMILIES {
        sockets::run(family, async |world| {
            let (served, client) = served(&world, sh("cat; echo end")).await;
            client.send(b"hello\n");
            client.end();
            let (answer, end) = client.rest().await;
            end.expect("in order");
            assert_eq!(answer, b"hello\nend\n");
            assert_eq!(served.until_closed().await, ["closed 1 eof"]);
        });
    }
}

/// More than fits into pipes and buffers, in both directions at once.
#[test]
fn a_child_with_pipes_copies_much_in_both_directions() -> io::Result<()> {
    let sent: Vec<u8> = (0..250_000_u32).flat_map(u32::to_le_bytes).collect();
    smol::block_on(async {
        let (client, server) = memory::pair(16_384);
        let Connection {
            mut reader,
            mut writer,
            ..
        } = client;
        let writes = async {
            writer.write_all(&sent).await?;
            writer.close().await
        };
        let reads = async {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).await?;
            assert!(received == sent);
            Ok(())
        };
        let serves = Exec::new("cat")?.serve(server);
        future::try_zip(future::try_zip(writes, reads), serves).await?;
        Ok(())
    })
}

#[test]
fn a_child_with_pipes_may_close_its_output_first() -> io::Result<()> {
    smol::block_on(async {
        let (mut client, server) = memory::pair(64);
        let asks = async {
            let mut answer = String::new();
            client.reader.read_to_string(&mut answer).await?;
            assert_eq!(answer, "first\n");
            // It still runs, and reads.
            client.writer.write_all(b"go on\n").await?;
            client.writer.close().await
        };
        let script = "echo first; exec >&-; read line && [ \"$line\" = 'go on' ]";
        let peer = server.peer.clone();
        future::try_zip(asks, sh(script).serve(server)).await?;
        let exited = peer.extension::<halves::service::Exited>();
        assert!(exited.expect("a child").status.success());
        Ok(())
    })
}

#[test]
fn a_child_with_pipes_may_close_its_input_first() -> io::Result<()> {
    smol::block_on(async {
        let (client, server) = memory::pair(64);
        let Connection {
            mut reader,
            mut writer,
            ..
        } = client;
        let writes = async {
            // More than the pipes hold. It ends when the connection is dropped.
            let _ = writer.write_all(&vec![0; 1_000_000]).await;
            Ok(())
        };
        let reads = async {
            let mut answer = String::new();
            reader.read_to_string(&mut answer).await?;
            assert_eq!(answer, "done\n");
            Ok(())
        };
        let serves = sh("exec <&-; echo done").serve(server);
        future::try_zip(future::try_zip(writes, reads), serves).await?;
        Ok(())
    })
}

#[test]
fn a_reset_of_the_client_is_the_end_of_the_input_with_pipes() {
    sockets::run(Family::Tcp, async |world| {
        let timeouts = Timeouts::default().min_rate(1);
        let server = Server::default().timeouts(timeouts);
        let exec = sh("echo ready; cat; exit 0");
        let served = world.serve(server, move |c| exec.serve(c)).await;
        let client = served.connect();
        client.take(6).await;
        client.reset();
        let closed = served.until_closed().await;
        assert!(closed[0].starts_with("closed 1 error: "), "{closed:?}");
    });
}

/// The client is slower than the process that is left.
#[test]
fn a_process_that_left_the_group_and_writes_does_not_keep_pipes() -> io::Result<()> {
    smol::block_on(async {
        let (client, server) = memory::pair(64);
        let Connection {
            mut reader,
            mut writer,
            ..
        } = client;
        let asks = async {
            // The pipe is full when the child exits.
            let mut first = [0; 10_000];
            reader.read_exact(&mut first).await?;
            writer.write_all(b"\n").await?;
            let mut rest = Vec::new();
            let more = reader.take(400_000).read_to_end(&mut rest).await?;
            assert!(more < 400_000, "it goes on");
            Ok(())
        };
        let serves = sh("setsid yes & read line; exit 0").serve(server);
        future::try_zip(asks, serves).await?;
        Ok(())
    })
}
