//! A server as an object: its addresses, its end, and a server that lasts as long as a body.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{self, block_on, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::{self, MemoryConnection};
use halves::service::echo;
use halves::{Endpoint, Executor, Handle, Listeners, Once, Server, bind};
use rustix::io::Errno;

use crate::support::harness::script::Script;
use crate::support::harness::{Drops, World};

async fn echoes(c: MemoryConnection) -> io::Result<()> {
    echo(c.reader, c.writer).await
}

#[test]
fn a_handle_has_the_addresses_of_its_server_while_it_listens() {
    let ex = Executor::new();
    let server = Server::default();
    let handle = server.handle();
    ex.block_on(async {
        let tcp = async_net::TcpListener::bind("127.0.0.1:0").await;
        let tcp = tcp.expect("a port");
        let at = Endpoint::from(tcp.local_addr().expect("it has one"));
        let handler = async |_| Ok(());
        let mut serving = Box::pin(server.serve(&ex, tcp, handler));
        assert!(handle.local_addrs().is_empty());
        assert!(poll_once(&mut serving).await.is_none());
        assert_eq!(handle.local_addrs(), [at]);
        handle.shutdown().drain();
        serving.await.expect("it serves");
        assert!(handle.local_addrs().is_empty());

        let many = bind("127.0.0.1:0").await.expect("a port");
        let many = many.and(memory::listener(1).0);
        let at = Listeners::local_addrs(&many);
        let server = Server::default();
        let handle = server.handle();
        let mut serving = Box::pin(server.serve(&ex, many, async |_| Ok(())));
        assert!(poll_once(&mut serving).await.is_none());
        assert_eq!(handle.local_addrs(), at);
        drop(serving);
        assert!(handle.local_addrs().is_empty(), "it was dropped");
    });
}

#[test]
fn a_wait_for_the_end_returns_once_all_connections_are_gone() {
    let world = World::new();
    let (served, connector) = world.serve_memory(Server::default(), echoes);
    let client = world.connect(&connector);
    let handle = served.handle.clone();
    let waits = world.ex.spawn(async move { handle.wait_closed().await });
    world.settle();
    assert_eq!(served.handle.local_addrs(), [Endpoint::Memory]);
    served.handle.shutdown().drain();
    world.settle();
    assert!(served.handle.local_addrs().is_empty(), "it accepts no more");
    assert!(!waits.is_finished(), "one is connected");
    drop(client);
    world.settle();
    assert!(waits.is_finished());
    block_on(served.handle.wait_closed());
    world.report(served);
}

#[test]
fn a_wait_for_the_end_of_a_dropped_server_returns() {
    let world = World::new();
    let (served, _connector) = world.serve_memory(Server::default(), echoes);
    let handle = served.handle.clone();
    assert!(block_on(poll_once(handle.wait_closed())).is_none());
    drop(served.serving);
    world.settle();
    block_on(handle.wait_closed());

    let server = Server::default();
    let handle = server.handle();
    assert!(block_on(poll_once(handle.wait_closed())).is_none());
    drop(server);
    block_on(handle.wait_closed());
}

/// A client of the body. It sends a request, and stays until it is dropped.
async fn ask(connector: memory::Connector) -> io::Result<MemoryConnection> {
    let mut client = connector.connect().await?;
    client.writer.write_all(b"hello").await?;
    let mut answer = [0; 5];
    client.reader.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"hello");
    Ok(client)
}

#[test]
fn a_server_lasts_as_long_as_its_body_and_then_drains() {
    let world = World::new();
    let (listener, connector) = memory::listener(64);
    let server = Server::default().clock(world.clock.clone());
    let (ex, ready) = (world.ex.clone(), Rc::new(Cell::new(false)));
    let seen = ready.clone();
    let serving = world.ex.spawn(async move {
        let body = async |handle: Handle| {
            seen.set(handle.is_ready());
            ask(connector).await
        };
        server.serve_while(ex, listener, echoes, body).await
    });
    world.settle();
    assert!(ready.get(), "it serves when the body begins");
    assert!(!serving.is_finished(), "the client is still there");
    world.pass(Duration::from_secs(1));
    world.pass(Duration::from_secs(2));
    let (client, report) = world.now(serving).expect("it serves");
    assert_eq!((report.finished, report.aborted), (1, 0));
    drop(client);
}

#[test]
fn an_error_of_the_listener_ends_the_body_and_its_end_does_not() {
    let world = World::new();
    let (script, drops) = (Script::default(), Drops::default());
    let (guard, ex) = (drops.guard(), world.ex.clone());
    script.fail(Errno::INVAL);
    let body = async move |_| {
        let _guard = guard;
        future::pending::<()>().await;
    };
    let failed = world.now(async move {
        let server = Server::default();
        server.serve_while(ex, script, echoes, body).await
    });
    failed.expect_err("it cannot accept");
    assert_eq!(drops.count(), 1);

    let (near, far) = memory::pair(1);
    drop(near);
    let ex = world.ex.clone();
    let (done, report) = world
        .now(async move {
            let server = Server::default();
            let body = async |handle: Handle| {
                handle.wait_closed().await;
                7
            };
            server.serve_while(ex, Once::new(far), echoes, body).await
        })
        .expect("it serves");
    assert_eq!((done, report.finished), (7, 1));
}

#[test]
fn a_scope_that_is_dropped_takes_its_connections_with_it() {
    let world = World::new();
    let (listener, connector) = memory::listener(64);
    let client = Rc::new(Cell::new(None));
    let (ex, kept) = (world.ex.clone(), client.clone());
    let serving = world.ex.spawn(async move {
        let body = async |_| {
            kept.set(Some(ask(connector).await.expect("an answer")));
            future::pending::<()>().await;
        };
        let server = Server::default();
        server.serve_while(ex, listener, echoes, body).await
    });
    world.settle();
    drop(serving);
    let mut client = client.take().expect("it has asked");
    let read = world.now(async move { client.reader.read(&mut [0]).await });
    let reset = read.expect_err("a reset");
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
}
