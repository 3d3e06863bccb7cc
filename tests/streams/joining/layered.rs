//! A layer above a socket is the connection, and the socket still ends in its own way.

use std::io;

use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, future};
use halves::connection::{AnyRead, AnyWrite, ReadHalf, WireReader, WireWriter, WriteHalf};
use halves::{Connection, Endpoint, Executor, Listener, Once, Peer, Reason, bind, connect, serve};

use crate::support::conformance;
use crate::support::receipts::Receipts;

type Stream = Receipts<WireReader<AnyRead>, WireWriter<AnyWrite>>;
type Layered = Connection<ReadHalf<Stream>, WriteHalf<Stream>>;

fn over(beneath: Connection) -> Layered {
    let (reader, writer, peer) = beneath.into_parts();
    Connection::from_stream(Receipts::new(reader, writer), peer)
}

/// Two ends of a connection.
async fn tcp() -> io::Result<(Connection, Connection)> {
    let mut listeners = bind("127.0.0.1:0").await?;
    let address = listeners.local_addrs()[0].to_string();
    let (near, far) = future::try_zip(connect(address.as_str()), listeners.accept()).await?;
    Ok((near, far.expect("one has connected")))
}

#[test]
fn a_layer_above_a_socket_conforms() {
    Executor::new().block_on(conformance::check(3000, async || {
        let (near, far) = tcp().await?;
        Ok((over(near), over(far).erase()))
    }));
}

#[test]
fn bytes_read_ahead_go_to_the_layer_first() -> io::Result<()> {
    Executor::new().block_on(async {
        let (mut near, mut far) = tcp().await?;
        far.writer.write_all(b"layer\nhello").await?;
        let mut line = String::new();
        near.reader.read_line(&mut line).await?;
        assert_eq!(line, "layer\n");
        far.writer.write_all(b", world").await?;
        far.writer.close().await?;
        let (mut beneath, _, _) = near.into_parts();
        let mut rest = String::new();
        beneath.read_to_string(&mut rest).await?;
        assert_eq!(rest, "hello, world");
        io::Result::Ok(())
    })
}

/// Sends a request, and returns the input up to its end.
async fn ask(mut client: Layered) -> io::Result<Vec<u8>> {
    client.writer.write_all(b"hello").await?;
    let mut received = Vec::new();
    client.reader.read_to_end(&mut received).await?;
    Ok(received)
}

/// The input of a client of a handler on such a stream, and the event at its end.
fn served(
    handler: impl AsyncFn(Layered) -> io::Result<()> + Copy,
    again: impl Fn(Layered) -> Layered,
) -> (io::Result<Vec<u8>>, Reason) {
    let ex = smol::LocalExecutor::new();
    smol::block_on(ex.run(async {
        let (near, far) = tcp().await.expect("both ends connect");
        let listener = Once::new(again(over(far)));
        let server = serve(&ex, listener, async move |c| handler(c).await);
        let (received, report) = future::zip(ask(over(near)), server).await;
        let ended = report.expect("it serves").stats.ended;
        let reason = Reason::ALL.iter().find(|&&reason| ended[reason] == 1);
        (received, *reason.expect("one has ended"))
    }))
}

async fn answer(mut c: Layered) -> io::Result<()> {
    let mut asked = [0; 5];
    c.reader.read_exact(&mut asked).await?;
    c.writer.write_all(&asked.to_ascii_uppercase()).await
}

#[test]
fn unflushed_bytes_of_a_handler_are_flushed_and_both_ended() {
    let (received, reason) = served(answer, |c| c);
    assert_eq!(received.expect("an end in order"), b"HELLO");
    assert_eq!(reason, Reason::Handler);
}

#[test]
fn another_peer_does_not_change_the_end() {
    let renamed = |c: Layered| c.with_peer(Peer::new(Endpoint::Memory, Endpoint::Memory));
    let (received, reason) = served(answer, renamed);
    assert_eq!(received.expect("an end in order"), b"HELLO");
    assert_eq!(reason, Reason::Handler);

    let (received, _) = served(panics, renamed);
    let error = received.expect_err("cut short");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

async fn panics(mut c: Layered) -> io::Result<()> {
    c.reader.read_exact(&mut [0; 5]).await?;
    c.writer.write_all(b"HE").await?;
    panic!("in the middle");
}

#[test]
fn a_panic_resets_the_socket() {
    let (received, reason) = served(panics, |c| c);
    let error = received.expect_err("cut short");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(reason, Reason::Panic);
}

/// The input of a client of a handler that adds the layer itself, and the event at its end.
fn served_beneath(
    handler: impl AsyncFn(Layered) -> io::Result<()> + Copy,
    reason: Reason,
) -> io::Result<Vec<u8>> {
    let ex = smol::LocalExecutor::new();
    smol::block_on(ex.run(async {
        let (near, far) = tcp().await.expect("both ends connect");
        let server = serve(&ex, Once::new(far), async move |c| handler(over(c)).await);
        let (received, report) = future::zip(ask(over(near)), server).await;
        assert_eq!(report.expect("it serves").stats.ended[reason], 1);
        received
    }))
}

#[test]
fn a_layer_of_the_handlers_own_is_ended_by_the_server() {
    let received = served_beneath(answer, Reason::Handler);
    assert_eq!(received.expect("an end in order"), b"HELLO");
}

#[test]
fn a_layer_of_the_handlers_own_is_reset_with_the_socket() {
    let received = served_beneath(panics, Reason::Panic);
    let error = received.expect_err("cut short");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_layer_that_is_dropped_outside_a_server_holds_no_socket_open() -> io::Result<()> {
    Executor::new().block_on(async {
        let (near, mut far) = tcp().await?;
        drop(over(near));
        assert_eq!(far.reader.read(&mut [0]).await?, 0);
        let (near, mut far) = tcp().await?;
        drop(over(near).with_peer(Peer::default()));
        assert_eq!(far.reader.read(&mut [0]).await?, 0);
        io::Result::Ok(())
    })
}
