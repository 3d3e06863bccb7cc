//! asyncio's `StreamWriter`: `drain`, `close`, `wait_closed`, and writers that are dropped
//! unclosed.
//!
//! Differences on purpose: `close` ends the writing half alone, and is asyncio's `wait_closed` too;
//! a write after it fails itself, not only the next drain; and a writer dropped without a close is
//! reported only if bytes are lost with it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;

use halves::listener::memory::{MemoryConnection, pair};
use halves::{Connection, Executor, Server, connect};

use crate::fed::{cancel, now};
use crate::served::while_answering;
use crate::support::harness::World;
use crate::support::harness::network::network_of;

#[test]
fn a_drain_fails_once_the_peer_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one").to_string();
    let lost = Executor::new().block_on(async {
        let c = connect(address).await.expect("it listens");
        drop(listener.accept().expect("it has come"));
        let mut writer = c.writer.buffered();
        loop {
            let lost = match writer.write(b"foo\n") {
                Ok(()) => writer.ready().await.err(),
                lost => lost.err(),
            };
            if let Some(lost) = lost {
                return lost.kind();
            }
        }
    });
    let gone = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(gone.contains(&lost), "{lost:?}");
}

#[test]
fn a_close_returns_and_ends_the_connection_when_everything_was_read() {
    while_answering("127.0.0.1:0", async |address| {
        let mut c = connect(address).await.expect("it listens");
        let mut writer = c.writer.buffered();
        writer.write(b"hello\n").expect("room");
        writer.ready().await.expect("it listens");
        while c.reader.line().await.is_ok_and(|line| line.is_some()) {}
        assert!(!writer.is_closing());
        writer.close().await.expect("a peer");
        assert!(writer.is_closing());
        writer.close().await.expect("once is enough");
    });
}

#[test]
fn a_close_does_not_wait_for_unread_bytes() {
    while_answering("127.0.0.1:0", async |address| {
        let mut c = connect(address).await.expect("it listens");
        let mut writer = c.writer.buffered();
        writer.write(b"hello\n").expect("room");
        writer.ready().await.expect("it listens");
        c.reader.line().await.expect("the first of three");
        writer.close().await.expect("two are left");
        assert!(writer.is_closing());
    });
}

#[test]
fn a_write_after_the_close_is_an_error_at_once() {
    let (near, _far) = pair(64);
    let mut writer = near.writer.buffered();
    now(writer.close()).expect("a peer");
    let late = writer.write(b"data").expect_err("it is closed");
    assert_eq!(late.kind(), ErrorKind::BrokenPipe);
    assert_eq!(near.peer.bytes_out(), 0);
}

#[test]
fn the_reader_of_a_closed_writer_reads_what_the_peer_still_sends() {
    let (mut near, far) = pair(64);
    let mut writer = near.writer.buffered();
    now(writer.close()).expect("a peer");
    cancel(near.reader.line());
    assert!(!near.reader.at_eof());
    let mut back = far.writer.buffered();
    back.write(b"bye\n").expect("room");
    now(back.close()).expect("it reads");
    let line = now(near.reader.line()).expect("a line");
    assert_eq!(line.as_deref(), Some(&b"bye\n"[..]));
    assert_eq!(now(near.reader.line()).expect("the end"), None);
    assert!(near.reader.at_eof());
}

#[test]
fn a_writer_dropped_with_unsent_bytes_is_reported_once() {
    let world = World::new();
    let (network, clients) = network_of(4);
    let served = world.serve(Server::default(), network, async |c: MemoryConnection| {
        let mut writer = c.writer.buffered();
        writer.write(b"0123456789")
    });
    let client = clients.connect(&world, "192.0.2.1:5");
    let events = served.events();
    let unsent = events.iter().filter(|event| event.starts_with("Unsent"));
    assert_eq!(unsent.count(), 1, "{events:?}");
    assert_eq!(served.handle.stats().bytes_unsent, 10);
    drop(client);
}

#[test]
fn a_writer_dropped_unclosed_after_all_was_sent_is_not_reported() {
    let world = World::new();
    let (served, connector) = world.serve_memory(Server::default(), async |c: MemoryConnection| {
        let mut writer = c.writer.buffered();
        writer.write(b"0123456789")?;
        writer.ready().await
    });
    let client = world.connect(&connector);
    let received = world.now(async move {
        // The closure takes all of it, and drops all of it.
        let mut client = client;
        client.reader.exactly(10).await
    });
    assert_eq!(received.expect("everything"), b"0123456789");
    assert_eq!(served.events(), ["closed 1 handler"]);
    assert_eq!(served.handle.stats().bytes_unsent, 0);
}

#[test]
fn unsent_bytes_dropped_with_an_executor_are_counted_too() {
    let (near, far) = pair(4);
    let ex = Executor::new();
    let mut writer = near.writer.buffered();
    ex.spawn(async move {
        writer.write(b"0123456789")?;
        writer.flush().await
    })
    .detach();
    // It has a turn, in which four bytes find room.
    let mut reader = far.reader;
    let received = ex.block_on(reader.exactly(4)).expect("four bytes");
    assert_eq!(received, b"0123");
    let sent = near.peer.bytes_out();
    drop(ex);
    assert_eq!(near.peer.bytes_unsent(), 10 - sent);
}

/// The peer is on a thread of its own, and uses std only.
#[test]
fn the_end_of_output_is_sent_and_the_answer_still_read() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one").to_string();
    let peer = std::thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut received = String::new();
        stream.read_to_string(&mut received)?;
        stream.write_all(received.to_uppercase().as_bytes())
    });
    Executor::new().block_on(async {
        let mut c: Connection = connect(address).await.expect("it listens");
        let mut writer = c.writer.buffered();
        assert!(writer.can_write_eof());
        writer.write(b"all of it\n").expect("room");
        writer.write_eof().await.expect("a peer");
        let line = c.reader.line().await.expect("a line");
        assert_eq!(line.as_deref(), Some(&b"ALL OF IT\n"[..]));
        assert_eq!(c.reader.line().await.expect("the end"), None);
    });
    peer.join().expect("no panic").expect("no error");
}
