//! Halves that other tasks keep, on a stream that does not wake them itself.

use std::io::ErrorKind;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::connection::{WireReader, WireWriter};
use halves::listener::memory::{self, PipeReader, PipeWriter};
use halves::tls::TlsConnection;
use halves::{Connection, Once, Server};
use rustls::ClientConnection;

use super::{Ends, VERSIONS};
use crate::support::harness::World;
use crate::support::tls_peer::TlsPeer;

type Bare = TlsConnection<WireReader<PipeReader>, WireWriter<PipeWriter>>;

/// Runs a handler that passes its reader to another task, and then ends in its own way. Returns the
/// error of the read.
fn kept(ends_itself: bool) -> ErrorKind {
    let (world, elsewhere, ends) = (World::new(), World::new().ex, Ends::new(VERSIONS[1]));
    let (read, result) = smol::channel::bounded(1);
    let (end, ending) = smol::channel::bounded::<()>(1);
    let kept = elsewhere.clone();
    let handler = ends.acceptor.wrap(async move |mut c: Bare| {
        kept.spawn(async move {
            let received = c.reader.read(&mut [0]).await;
            read.try_send(received).expect("there is room");
        })
        .detach();
        c.writer.write_all(b"x").await?;
        let _ = ending.recv().await;
        Ok(())
    });
    let (near, far) = memory::pair(2000);
    // Without the peer there is no link, as with any two halves.
    let (reader, writer, _) = far.into_parts();
    let served = world.serve(
        Server::default(),
        Once::new(Connection::new(reader, writer)),
        handler,
    );
    let name = "localhost".try_into().expect("a name");
    let session = ClientConnection::new(ends.connector.config(), name);
    let mut client = TlsPeer::new(session.expect("a config"), near);
    let shaken = async move {
        client.shake_hands().await?;
        client.read_exact(&mut [0]).await.map(|()| client)
    };
    let _client = world.now(shaken).expect("it is served");
    while elsewhere.try_tick() {}
    assert!(result.is_empty(), "the task waits");
    if ends_itself {
        end.try_send(()).expect("there is room");
    } else {
        served.handle.kill(1);
    }
    world.settle();
    while elsewhere.try_tick() {}
    let received = result.try_recv().expect("it was woken");
    received.expect_err("the connection is over").kind()
}

#[test]
fn a_reader_in_another_task_is_woken_by_the_end() {
    for ends_itself in [true, false] {
        assert_eq!(kept(ends_itself), ErrorKind::ConnectionAborted);
    }
}
