//! An error of a handler ends the stream after the bytes it has written; `Peer::abort` resets it.

use std::future::pending;
use std::io::{self, ErrorKind};

use futures_lite::AsyncWriteExt;
use halves::listener::memory::MemoryConnection;
use halves::{Connection, Executor, Reason, Server, connect};

use crate::support::harness::World;
use crate::support::harness::sockets::{self, Client, Family};
use crate::support::receipts::Receipts;

const HALF_ANSWER: &[u8] = b"half of an answer";

fn failed() -> io::Result<()> {
    Err(io::Error::other("no more"))
}

#[test]
fn an_error_ends_the_stream_after_the_written_bytes() {
    for family in [Family::Tcp, Family::Unix] {
        sockets::run(family, async |world| {
            let handler = async |mut c: Connection| {
                c.writer.write_all(HALF_ANSWER).await?;
                failed()
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            let (received, end) = client.rest().await;
            assert_eq!(received, HALF_ANSWER);
            end.expect("an orderly end");
            drop(client);
            assert_eq!(served.until_closed().await, ["closed 1 error: no more"]);
        });
    }
}

#[test]
fn an_abort_is_a_reset_and_reports_the_handlers_error() {
    for layered in [false, true] {
        sockets::run(Family::Tcp, async |world| {
            let handler = async move |mut c: Connection| {
                c.writer.write_all(HALF_ANSWER).await?;
                if layered {
                    let (reader, writer, peer) = c.into_parts();
                    let c = Connection::from_stream(Receipts::new(reader, writer), peer);
                    c.peer.abort();
                } else {
                    c.peer.abort();
                }
                failed()
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            assert_eq!(served.until_closed().await, ["closed 1 error: no more"]);
            let (_, end) = client.rest().await;
            let kind = end.expect_err("it must not look whole").kind();
            assert_eq!(kind, ErrorKind::ConnectionReset);
        });
    }
}

#[test]
fn an_abort_drops_the_handler_where_it_waits() {
    let world = World::new();
    let handler = async |mut c: MemoryConnection| {
        c.writer.write_all(HALF_ANSWER).await?;
        c.peer.abort();
        let written = c.writer.write_all(HALF_ANSWER).await;
        assert_eq!(
            written.expect_err("cut").kind(),
            ErrorKind::ConnectionAborted
        );
        pending().await
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    let mut client = world.connect(&connector);
    let received = world.now(async move { client.reader.line().await });
    let kind = io::Error::from(received.expect_err("it must not look whole")).kind();
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert_eq!(served.events(), ["closed 1 error"]);
    assert_eq!(served.handle.stats().ended[Reason::Error], 1);
}

#[test]
fn an_abort_may_come_from_elsewhere_and_twice() {
    let world = World::new();
    let (sender, peers) = smol::channel::unbounded();
    let handler = async move |c: MemoryConnection| {
        sender.try_send(c.peer.clone()).expect("received");
        let _kept = c;
        pending().await
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    let _client = world.connect(&connector);
    let peer = peers.try_recv().expect("it is served");
    peer.abort();
    world.settle();
    assert_eq!(served.events(), ["closed 1 error"]);
    peer.abort();
    world.settle();
    assert_eq!(served.events(), [""; 0]);
}

#[test]
fn a_client_can_reset_its_connection_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("an address");
    Executor::new().block_on(async {
        let near = connect(at).await.expect("it listens");
        let far = Client::new(listener.accept().expect("it has connected").0);
        near.peer.abort();
        let (_, end) = far.rest().await;
        assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
    });
}
