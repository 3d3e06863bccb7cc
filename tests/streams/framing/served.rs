//! Frames from clients of a server: drain, deadlines, and a socket.

use std::time::Duration;

use futures_lite::future::{self, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::MemoryConnection;
use halves::{Connection, Executor, Listener, Reason, Server, Timeouts, bind, connect};

use crate::support::harness::World;

/// The time that a server waits for a peer that does not end.
const LINGER: Duration = Duration::from_secs(2);

async fn echo_lines(mut c: MemoryConnection) -> std::io::Result<()> {
    while c.reader.more_or_drain().await? {
        if let Some(line) = c.reader.line().await? {
            c.writer.write_all(&line).await?;
        }
    }
    Ok(())
}

#[test]
fn a_drain_ends_a_handler_between_frames_and_not_within_one() {
    let world = World::new();
    let (served, connector) = world.serve_memory(Server::default(), echo_lines);
    let (quiet, mut busy) = (world.connect(&connector), world.connect(&connector));
    let begin = async move {
        busy.writer.write_all(b"half ").await.expect("it reads");
        busy
    };
    let mut busy = world.now(begin);
    served.handle.shutdown().drain();
    world.pass(Duration::from_secs(2));
    assert_eq!(served.open(), 1, "the one in the middle of a line");
    let end = async move {
        busy.writer.write_all(b"a line\n").await.expect("it reads");
        let mut received = [0; 12];
        busy.reader
            .read_exact(&mut received)
            .await
            .expect("an answer");
        (busy, received)
    };
    let (busy, received) = world.now(end);
    assert_eq!(&received, b"half a line\n");
    world.pass(Duration::from_secs(2));
    world.pass(LINGER);
    let report = world.report(served);
    assert_eq!((report.finished, report.aborted), (2, 0));
    assert_eq!(report.stats.ended[Reason::Drained], 2);
    drop((quiet, busy));
}

#[test]
fn pieces_of_a_long_frame_reset_the_idle_timeout() {
    let world = World::new();
    let timeouts = Timeouts::default().idle(Duration::from_secs(10));
    let (served, connector) = world.serve_memory(Server::default().timeouts(timeouts), echo_lines);
    let mut client = world.connect(&connector);
    for _ in 0..5 {
        let say = async move {
            client
                .writer
                .write_all(b"more and ")
                .await
                .expect("it reads");
            client
        };
        client = world.now(say);
        world.pass(Duration::from_secs(9));
    }
    assert_eq!(served.open(), 1);
    assert_eq!(served.handle.connections()[0].bytes_in, 45);
    world.pass(Duration::from_secs(2));
    world.pass(LINGER);
    assert_eq!(served.handle.stats().ended[Reason::Idle], 1);
}

/// On a thread with a reactor, and with small reads that read ahead.
#[test]
fn a_call_on_a_socket_can_be_dropped_and_made_again() {
    let ex = Executor::new();
    ex.block_on(async {
        let mut listeners = bind("127.0.0.1:0").await.expect("a port");
        let address = listeners.local_addrs()[0].to_string();
        let (client, server) = future::zip(connect(address.as_str()), listeners.accept()).await;
        let (mut client, server) = (client.expect("connected"), server.expect("accepted"));
        let Connection { mut reader, .. } = server.expect("one");
        for round in 0..50 {
            let line = format!("{}\n", "x".repeat(round * 40));
            let (first, second) = line.split_at(line.len() / 2);
            client
                .writer
                .write_all(first.as_bytes())
                .await
                .expect("sent");
            client.writer.flush().await.expect("sent");
            assert!(poll_once(reader.line()).await.is_none());
            client
                .writer
                .write_all(second.as_bytes())
                .await
                .expect("sent");
            client.writer.write_all(b"12").await.expect("sent");
            client.writer.flush().await.expect("sent");
            let got = reader.line().await.expect("a line");
            assert_eq!(got.as_deref(), Some(line.as_bytes()));
            let mut digit = [0];
            reader.read_exact(&mut digit).await.expect("a byte");
            assert_eq!(reader.exactly(1).await.expect("a byte"), b"2");
        }
        client.writer.close().await.expect("closed");
        assert_eq!(reader.line().await.expect("the end"), None);
        let sent: usize = (0..50).map(|round| round * 40 + 3).sum();
        assert_eq!(reader.peer().bytes_in(), sent as u64);
    });
}
