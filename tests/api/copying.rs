//! `copy_or_drain`: copies until the end of input or a drain.

use std::io::{self, ErrorKind};
use std::time::Duration;

use futures_lite::io::{BufWriter, sink};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, MemoryConnection};
use halves::{Connection, Reason, Server, Shutdown};

use crate::support::harness::World;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);

/// An echo.
async fn copies(mut c: MemoryConnection) -> io::Result<()> {
    c.reader.copy_or_drain(&mut c.writer).await?;
    c.writer.close().await
}

#[test]
fn everything_is_copied_until_the_end() {
    future::block_on(async {
        let sent: Vec<_> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let mut c = Connection::new(&sent[..], sink());
        let mut copy = Vec::new();
        // More than one turn of the reader.
        let copied = c.reader.copy_or_drain(&mut copy).await.expect("no error");
        assert_eq!(copied, 1_000_000);
        assert!(copy == sent);
    });
}

#[test]
fn a_copy_ends_after_an_idle_second_of_a_drain() {
    let world = World::new();
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let (served, connector) = world.serve_memory(server, copies);
    let mut client = world.connect(&connector);
    future::block_on(client.writer.write_all(b"hello")).expect("it fits");
    world.pass(SECOND * 60);
    shutdown.drain();
    world.pass(SECOND - MOMENT);
    assert_eq!(served.events(), ["draining 1 within 30s"]);
    world.pass(MOMENT);
    let mut received = Vec::new();
    let read = future::block_on(client.reader.read_to_end(&mut received));
    read.expect("an orderly end");
    assert_eq!(received, b"hello");
    drop(client);
    world.settle();
    assert_eq!(served.handle.stats().ended[Reason::Drained], 1);
}

#[test]
fn written_bytes_are_flushed_when_there_is_no_input() {
    future::block_on(async {
        let (mut near, mut far) = memory::pair(1000);
        let (mut client, mut copy) = memory::pair(1000);
        client.writer.write_all(b"hello").await.expect("it fits");
        let mut buffered = BufWriter::new(&mut near.writer);
        let copying = copy.reader.copy_or_drain(&mut buffered);
        assert!(future::poll_once(copying).await.is_none());
        let received = future::poll_once(far.reader.exactly(5)).await;
        let received = received.expect("it is not kept back");
        assert_eq!(received.expect("no error"), b"hello");
    });
}

#[test]
fn a_cancelled_copy_loses_nothing() {
    future::block_on(async {
        let (mut near, mut far) = memory::pair(7);
        let (mut client, mut copy) = memory::pair(1000);
        let sent: Vec<_> = (0..100).collect();
        client.writer.write_all(&sent).await.expect("it fits");
        client.writer.close().await.expect("an end");
        let mut received = Vec::<u8>::new();
        loop {
            let copying = copy.reader.copy_or_drain(&mut near.writer);
            let done = future::poll_once(copying).await;
            let mut buf = [0; 7];
            let n = future::poll_once(far.reader.read(&mut buf)).await;
            let n = n.map_or(0, |read| read.expect("no error"));
            received.extend(&buf[..n]);
            if done.is_some() && n == 0 {
                break;
            }
        }
        assert_eq!(received, sent);
    });
}

#[test]
fn a_writer_that_accepts_no_bytes_is_an_error_and_the_bytes_are_left() {
    future::block_on(async {
        let mut c = Connection::new(&b"hello"[..], sink());
        let mut room = [0; 2];
        let mut full = futures_lite::io::Cursor::new(&mut room[..]);
        let copied = c.reader.copy_or_drain(&mut full).await;
        assert_eq!(copied.expect_err("no room").kind(), ErrorKind::WriteZero);
        assert_eq!(c.reader.exactly(3).await.expect("they are left"), b"llo");
    });
}
