//! TLS in a server: the handler is wrapped, and the server ends each connection.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, MemoryConnection};
use halves::service::upper;
use halves::testing::pattern;
use halves::tls::{Info, TlsConnection, Version};
use halves::{Executor, Reason, Server, Shutdown, Timeouts, bind, connect};
use rustls::ClientConnection;

use super::{Client, Ends, Served, VERSIONS};
use crate::support::harness::{self, World};
use crate::support::tls_peer::TlsPeer;

/// A world with a server of TLS in memory, and its client.
struct Case {
    world: World,
    served: harness::Served,
    ends: Ends,
    connector: memory::Connector,
}

impl Case {
    fn new<F>(server: Server, handler: impl FnOnce(Served) -> F + Clone + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + 'static,
    {
        let (world, ends) = (World::new(), Ends::new(VERSIONS[1]));
        let handler = ends.acceptor.wrap(handler);
        let (served, connector) = world.serve_memory(server, handler);
        Self {
            world,
            served,
            ends,
            connector,
        }
    }

    fn connect(&self) -> MemoryConnection {
        self.world.connect(&self.connector)
    }

    /// A client after its handshake.
    fn client(&self) -> Client {
        let name = "localhost".try_into().expect("a name");
        let session = ClientConnection::new(self.ends.connector.config(), name);
        let mut client = TlsPeer::new(session.expect("a config"), self.connect());
        let shaken = async move { client.shake_hands().await.map(|()| client) };
        self.world.now(shaken).expect("the server is there")
    }
}

async fn echo_upper(c: Served) -> io::Result<()> {
    upper(c.reader, c.writer).await
}

#[test]
fn a_wrapped_handler_serves_and_both_ends_are_in_order() {
    let case = Case::new(Server::default(), echo_upper);
    let mut client = case.client();
    let received = case.world.now(async move {
        client.write_all(b"hello").await?;
        client.close().await?;
        client.read_to_end().await
    });
    assert_eq!(received.expect("an end in order"), b"HELLO");
    case.world.settle();
    assert_eq!(case.served.events(), ["closed 1 eof"]);
}

#[test]
fn the_handler_has_the_facts_and_payload_is_counted_apart() {
    let case = Case::new(Server::default(), async move |mut c: Served| {
        let info = c.peer.extension::<Info>().expect("it is set");
        assert_eq!(info.version(), Version::Tls13);
        assert_eq!(info.server_name(), Some("localhost"));
        c.reader.read_exact(&mut [0; 5]).await?;
        c.writer.write_all(b"answer").await?;
        assert_eq!((c.peer.payload_in(), c.peer.payload_out()), (5, 6));
        assert!(c.peer.bytes_in() > 200 && c.peer.bytes_out() > 200);
        Ok(())
    });
    let mut client = case.client();
    let received = case.world.now(async move {
        client.write_all(b"hello").await?;
        client.read_to_end().await
    });
    // Neither flushed nor closed by the handler.
    assert_eq!(received.expect("an end in order"), b"answer");
    case.world.settle();
    assert_eq!(case.served.events(), ["closed 1 handler"]);
}

#[test]
fn an_end_without_close_notify_is_the_reason_whatever_the_handler_returns() {
    let case = Case::new(Server::default(), async |mut c: Served| {
        let _ = c.reader.read_to_end(&mut Vec::new()).await;
        Ok(())
    });
    let mut client = case.client();
    let sent = case.world.now(async move {
        client.write_all(b"hello").await?;
        client.beneath.writer.close().await
    });
    sent.expect("the server is there");
    case.world.settle();
    assert_eq!(case.served.events(), ["closed 1 truncated"]);
}

#[test]
fn a_client_without_tls_is_refused_and_named() {
    let case = Case::new(Server::default(), echo_upper);
    let mut client = case.connect();
    let received = case.world.now(async move {
        client.writer.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        let mut received = Vec::new();
        client.reader.read_to_end(&mut received).await?;
        client.writer.close().await?;
        io::Result::Ok(received)
    });
    // A fatal alert: `decode_error`.
    assert_eq!(received.expect("an end in order"), [21, 3, 3, 0, 2, 2, 50]);
    case.world.settle();
    let events =
        ["refused", "closed"].map(|word| format!("{word} 1 tls: not TLS: it looks like HTTP"));
    assert_eq!(case.served.events(), events);
}

#[test]
fn a_silent_client_ends_at_the_handshake_deadline() {
    let timeouts = Timeouts::default().handshake(Duration::from_secs(5));
    let case = Case::new(Server::default().timeouts(timeouts), echo_upper);
    let _silent = case.connect();
    let _served = case.client();
    case.world.pass(Duration::from_secs(6));
    // The client does not end the stream either.
    case.world.pass(Duration::from_secs(3));
    assert_eq!(case.served.events(), ["closed 1 handshake"]);
    assert_eq!(case.served.open(), 1);
}

#[test]
fn a_drain_waits_a_second_for_a_silent_client_and_longer_for_a_handshake() {
    let second = Duration::from_secs(1);
    let timeouts = Timeouts::default().handshake(5 * second);
    let (server, shutdown) = harness::server();
    let case = Case::new(server.timeouts(timeouts), echo_upper);
    let silent = case.connect();
    let mut begun = case.connect();
    // The beginning of a record of a handshake.
    let begin = async move { begun.writer.write_all(&[22, 3, 1]).await.map(|()| begun) };
    let begun = case.world.now(begin).expect("the server is there");
    shutdown.drain();
    case.world.pass(second);
    drop(silent);
    case.world.settle();
    assert_eq!(case.served.handle.stats().open, 1);
    case.world.pass(4 * second);
    drop(begun);
    let served = case.served.handle.clone();
    case.world.report(case.served);
    let ended = served.stats().ended;
    assert_eq!((ended[Reason::Drained], ended[Reason::Handshake]), (1, 1));
}

#[test]
fn a_panic_and_a_kill_are_not_an_end_in_order() {
    let case = Case::new(Server::default(), async |mut c: Served| {
        c.reader.read_exact(&mut [0; 5]).await?;
        c.writer.write_all(b"HE").await?;
        assert_ne!(c.peer.id(), 1, "in the middle");
        future::pending().await
    });
    for id in [1, 2] {
        let mut client = case.client();
        let asked = async move { client.write_all(b"hello").await.map(|()| client) };
        let mut client = case.world.now(asked).expect("the server is there");
        case.world.settle();
        case.served.handle.kill(id);
        let received = case.world.now(async move { client.read_to_end().await });
        let error = received.expect_err("cut short");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    let events = case.served.events();
    assert!(events[0].starts_with("closed 1 panic"), "{events:?}");
    assert_eq!(events[1..], ["closed 2 killed"]);
}

#[test]
fn a_command_and_the_first_bytes_of_tls_arrive_together() {
    let ends = Ends::new(VERSIONS[1]);
    let acceptor = ends.acceptor.clone();
    let world = World::new();
    let upgraded = Rc::new(Cell::new(false));
    let handler = {
        let upgraded = upgraded.clone();
        async move |mut c: MemoryConnection| {
            assert_eq!(c.reader.line().await?.as_deref(), Some(&b"STARTTLS\n"[..]));
            let c = acceptor.accept(c).await?;
            upgraded.set(true);
            upper(c.reader, c.writer).await
        }
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    let name = "localhost".try_into().expect("a name");
    let mut session = ClientConnection::new(ends.connector.config(), name).expect("a config");
    let mut start = b"STARTTLS\n".to_vec();
    session.write_tls(&mut start).expect("it is in memory");
    let mut client = TlsPeer::new(session, world.connect(&connector));
    let received = world.now(async move {
        client.beneath.writer.write_all(&start).await?;
        client.shake_hands().await?;
        client.write_all(b"hello").await?;
        client.close().await?;
        client.read_to_end().await
    });
    assert_eq!(received.expect("an end in order"), b"HELLO");
    assert!(upgraded.get());
    world.settle();
    assert_eq!(served.events(), ["closed 1 eof"]);
}

#[test]
fn a_client_upgrades_a_connection_in_use() {
    let ends = Ends::new(VERSIONS[1]);
    let (mut near, mut far) = memory::pair(1000);
    let client = async {
        near.writer.write_all(b"STARTTLS\n").await?;
        assert_eq!(near.reader.line().await?.as_deref(), Some(&b"go\n"[..]));
        let mut c = ends.connector.handshake(near, "localhost").await?;
        c.writer.write_all(b"hello").await?;
        c.writer.close().await
    };
    let server = async {
        assert_eq!(
            far.reader.line().await?.as_deref(),
            Some(&b"STARTTLS\n"[..])
        );
        far.writer.write_all(b"go\n").await?;
        let mut c = ends.acceptor.accept(far).await?;
        let mut received = Vec::new();
        c.reader.read_to_end(&mut received).await?;
        io::Result::Ok(received)
    };
    let served = future::block_on(future::try_zip(client, server));
    assert_eq!(served.expect("both handshakes").1, b"hello");
}

/// Answers much, and leaves most of the input unread.
async fn answer(mut c: TlsConnection) -> io::Result<()> {
    c.reader.read_exact(&mut [0; 5]).await?;
    c.writer.write_all(&pattern(300_000)).await
}

#[test]
fn unread_input_does_not_destroy_the_answer() -> io::Result<()> {
    let ends = Ends::new(VERSIONS[1]);
    let ex = Executor::new();
    let (listener, address) = ex.block_on(async {
        let listeners = bind("127.0.0.1:0").await?;
        let address = listeners.local_addrs()[0].to_string();
        io::Result::Ok((listeners, address))
    })?;
    let server = Server::default();
    let (handle, shutdown) = (server.handle(), Shutdown::default());
    let serving =
        server
            .shutdown(shutdown.clone())
            .serve(&ex, listener, ends.acceptor.wrap(answer));
    let client = async {
        let connection = connect(address).await?;
        let mut client = ends.connector.handshake(connection, "localhost").await?;
        client.writer.write_all(&pattern(50_000)).await?;
        client.writer.flush().await?;
        let mut received = Vec::new();
        client.reader.read_to_end(&mut received).await?;
        assert!(received == pattern(300_000), "{} bytes", received.len());
        drop(client);
        while handle.stats().open > 0 {
            future::yield_now().await;
        }
        shutdown.drain();
        io::Result::Ok(())
    };
    let (report, ()) = ex.block_on(future::try_zip(serving, client))?;
    assert_eq!(report.stats.accepted, 1);
    Ok(())
}

#[test]
fn a_reader_kept_by_another_task_does_not_delay_the_end_and_is_woken() {
    let (received, receiver) = smol::channel::unbounded();
    let elsewhere = World::new().ex;
    let kept = elsewhere.clone();
    let case = Case::new(Server::default(), async move |mut c: Served| {
        let wait = async move {
            let read = c.reader.read(&mut [0]).await;
            let sent = received.try_send(read.map_err(|error| error.kind()));
            sent.expect("there is room");
        };
        kept.spawn(wait).detach();
        c.writer.write_all(b"bye").await
    });
    let mut client = case.client();
    while elsewhere.try_tick() {}
    // The client does not end its direction.
    let read = async move { client.read_to_end().await.map(|read| (read, client)) };
    let (read, _client) = case.world.now(read).expect("an end in order");
    assert_eq!(read, b"bye");
    case.world.settle();
    assert_eq!(case.served.events(), ["closed 1 handler"]);
    while elsewhere.try_tick() {}
    let result = receiver.try_recv().expect("it was woken");
    assert_eq!(result, Err(ErrorKind::ConnectionAborted));
}

/// An abort sends no `close_notify`, which would make the part look whole.
#[test]
fn an_abort_resets_the_socket() -> io::Result<()> {
    let ends = Ends::new(VERSIONS[1]);
    let ex = Executor::new();
    let listener = ex.block_on(bind("127.0.0.1:0"))?;
    let address = listener.local_addrs()[0].to_string();
    let handler = async |mut c: TlsConnection| {
        c.writer.write_all(b"a part").await?;
        c.reader.read_exact(&mut [0; 4]).await?;
        c.peer.abort();
        Ok(())
    };
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let serving = server.serve(&ex, listener, ends.acceptor.wrap(handler));
    let client = async {
        let connection = connect(address).await?;
        let mut client = ends.connector.handshake(connection, "localhost").await?;
        client.reader.read_exact(&mut [0; 6]).await?;
        client.writer.write_all(b"more").await?;
        let cut = client.reader.read(&mut [0; 6]).await;
        assert_eq!(cut.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
        shutdown.drain();
        io::Result::Ok(())
    };
    let (report, ()) = ex.block_on(future::try_zip(serving, client))?;
    assert_eq!(report.stats.ended[Reason::Error], 1);
    Ok(())
}
