//! The transport in memory behaves as a socket: bounded, in order, with half-close, reset and
//! refusal. With a bound of 1 its two ends go in lockstep.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_lite::future::{self, block_on, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::{self, Connector, MemoryConnection, pair};
use halves::{Connection, Endpoint, Event, Reason, Report, Server, service};

#[test]
fn with_a_bound_of_1_both_ends_go_in_lockstep() {
    let (mut here, mut there) = pair(1);
    let steps = RefCell::new(Vec::new());
    let write = async {
        for byte in b"abc" {
            here.writer.write_all(&[*byte]).await.expect("written");
            steps.borrow_mut().push(format!("wrote {}", *byte as char));
        }
    };
    let read = async {
        for _ in 0..3 {
            let mut byte = [0];
            there.reader.read_exact(&mut byte).await.expect("read");
            steps.borrow_mut().push(format!("read {}", byte[0] as char));
        }
    };
    both(write, read);
    // No second byte is written before the first is read.
    let steps = steps.into_inner();
    for byte in ["a", "b", "c"] {
        assert!(
            at(&steps, "wrote", byte) < at(&steps, "read", byte),
            "{steps:?}"
        );
    }
    assert!(
        at(&steps, "read", "a") < at(&steps, "wrote", "b"),
        "{steps:?}"
    );
    assert!(
        at(&steps, "read", "b") < at(&steps, "wrote", "c"),
        "{steps:?}"
    );
}

fn at(steps: &[String], what: &str, byte: &str) -> Option<usize> {
    steps
        .iter()
        .position(|step| *step == format!("{what} {byte}"))
}

#[test]
fn a_pipe_accepts_its_bound_and_waits() {
    let (mut here, mut there) = pair(4);
    assert_eq!(now(here.writer.write(b"abcdef")), Some(Ok(4)));
    assert_eq!(now(here.writer.write(b"ef")), None);
    let mut buf = [0; 16];
    assert_eq!(now(there.reader.read(&mut buf[..3])), Some(Ok(3)));
    assert_eq!(now(here.writer.write(b"efgh")), Some(Ok(3)));
    assert_eq!(now(there.reader.read(&mut buf)), Some(Ok(4)));
    assert_eq!(&buf[..4], b"defg");
    assert_eq!(now(there.reader.read(&mut buf)), None);
}

#[test]
fn a_reader_that_waits_is_woken_by_a_write_and_a_writer_by_a_read() {
    let (mut here, mut there) = pair(1);
    let long = vec![7; 1000];
    let mut received = vec![0; 1000];
    let write = here.writer.write_all(&long);
    let read = there.reader.read_exact(&mut received);
    let (written, read) = both(write, read);
    written.and(read).expect("passed");
    assert_eq!(received, long);
}

#[test]
fn close_is_a_half_close() {
    let (mut here, mut there) = pair(16);
    block_on(async {
        here.writer.write_all(b"ask").await?;
        here.writer.close().await?;
        let mut received = String::new();
        there.reader.read_to_string(&mut received).await?;
        assert_eq!(received, "ask");
        // The other direction stays open.
        there.writer.write_all(b"answer").await?;
        there.writer.close().await?;
        received.clear();
        here.reader.read_to_string(&mut received).await?;
        assert_eq!(received, "answer");
        // A second close is no error; a write after it is one.
        here.writer.close().await?;
        let late = here.writer.write(b"more").await;
        assert_eq!(kind(late), Err(ErrorKind::BrokenPipe));
        io::Result::Ok(())
    })
    .expect("passed");
}

#[test]
fn a_close_wakes_the_reader_that_waits() {
    let (mut here, mut there) = pair(16);
    let read = async { there.reader.read(&mut [0; 8]).await };
    let close = async { here.writer.close().await };
    let (read, closed) = both(read, close);
    assert_eq!(kind(read), Ok(0));
    closed.expect("closed");
}

#[test]
fn a_dropped_end_is_an_end_of_input_after_its_bytes() {
    let (mut here, mut there) = pair(16);
    block_on(here.writer.write_all(b"last words")).expect("written");
    drop(here);
    let mut buf = [0; 16];
    assert_eq!(now(there.reader.read(&mut buf)), Some(Ok(10)));
    assert_eq!(now(there.reader.read(&mut buf)), Some(Ok(0)));
    assert_eq!(now(there.reader.read(&mut buf)), Some(Ok(0)));
    // Bytes written to it are lost.
    assert_eq!(
        now(there.writer.write(b"hello?")),
        Some(Err(ErrorKind::BrokenPipe))
    );
}

#[test]
fn a_writer_that_waits_fails_when_the_other_end_is_gone() {
    let (mut here, there) = pair(1);
    let write = async { here.writer.write_all(b"ab").await };
    let leave = async { drop(there) };
    let (written, ()) = both(write, leave);
    assert_eq!(kind(written), Err(ErrorKind::BrokenPipe));
}

#[test]
fn a_writer_or_a_reader_dropped_alone_does_not_end_the_stream() {
    let (here, mut there) = pair(16);
    let Connection {
        reader,
        writer,
        peer,
    } = here;
    drop((writer, peer));
    assert_eq!(now(there.reader.read(&mut [0; 8])), None);
    assert_eq!(now(there.writer.write(b"still there")), Some(Ok(11)));
    drop(reader);
    assert_eq!(now(there.reader.read(&mut [0; 8])), Some(Ok(0)));

    let (here, mut there) = pair(16);
    let Connection {
        reader,
        writer,
        peer,
    } = here;
    drop((reader, peer));
    // As with a socket: the write succeeds, and the bytes are not read.
    assert_eq!(now(there.writer.write(b"hello")), Some(Ok(5)));
    drop(writer);
    let late = now(there.writer.write(b"hello"));
    assert_eq!(late, Some(Err(ErrorKind::BrokenPipe)));
}

#[test]
fn a_read_that_is_cancelled_loses_nothing() {
    let (mut here, mut there) = pair(16);
    assert_eq!(now(there.reader.read(&mut [0; 8])), None);
    block_on(here.writer.write_all(b"abc")).expect("written");
    let mut buf = [0; 8];
    assert_eq!(now(there.reader.read(&mut buf)), Some(Ok(3)));
    assert_eq!(&buf[..3], b"abc");
}

#[test]
fn bytes_arrive_in_order_for_every_bound() {
    let text: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    for bound in [1, 2, 7, 64, 9_999, 10_000, 1 << 20] {
        let (mut here, mut there) = pair(bound);
        let mut received = Vec::new();
        let write = async {
            here.writer.write_all(&text).await?;
            here.writer.close().await
        };
        let (written, read) = both(write, there.reader.read_to_end(&mut received));
        written.and(read).expect("passed");
        assert!(received == text, "bound {bound}");
    }
}

#[test]
fn ask_writes_and_reads_at_the_same_time() -> io::Result<()> {
    let text = vec![b'a'; 10_000];
    let echo = async |c: Connection| service::echo(c.reader, c.writer).await;
    assert!(block_on(memory::ask(echo, &text))? == text);
    // Input that the handler does not read is discarded, and its half ends with it.
    let first = async |mut c: Connection| {
        let mut byte = [0];
        c.reader.read_exact(&mut byte).await?;
        c.writer.write_all(&byte).await
    };
    assert_eq!(block_on(memory::ask(first, &text))?, b"a");
    let failing = async |_: Connection| Err(ErrorKind::InvalidData.into());
    let failed = block_on(memory::ask(failing, &text)).map(drop);
    assert_eq!(kind(failed), Err(ErrorKind::InvalidData));
    Ok(())
}

#[test]
fn a_connection_in_memory_is_served_as_any_other() {
    let report = serve(Server::default(), async |connector| {
        let mut client = connector.connect().await?;
        assert_eq!(client.peer.endpoint(), Endpoint::Memory);
        client.writer.write_all(b"hello").await?;
        client.writer.close().await?;
        let mut answer = String::new();
        client.reader.read_to_string(&mut answer).await?;
        assert_eq!(answer, "HELLO");
        Ok(())
    });
    assert_eq!(report.stats.ended[Reason::Eof], 1);
}

#[test]
fn the_server_ends_when_every_connector_is_gone() {
    let report = serve(Server::default(), async |connector| {
        let another = connector.clone();
        drop(connector);
        drop(another.connect().await?);
        Ok(())
    });
    assert_eq!((report.stats.accepted, report.aborted), (1, 0));
}

#[test]
fn an_abort_of_the_server_is_a_reset() {
    let server = Server::default();
    let handle = server.handle();
    let report = serve(server, async |connector| {
        let (mut asking, mut reading) = (connector.connect().await?, connector.connect().await?);
        asking.writer.write_all(b"a").await?;
        asking.reader.read_exact(&mut [0]).await?;
        asking.writer.write_all(b"never answered").await?;
        let waits = async { reading.reader.read(&mut [0]).await };
        let abort = async { handle.shutdown().abort() };
        let (read, ()) = future::zip(waits, abort).await;
        assert_eq!(kind(read), Err(ErrorKind::ConnectionReset));
        // A cut answer does not look like a whole one.
        let read = asking.reader.read_to_end(&mut Vec::new()).await;
        assert_eq!(kind(read), Err(ErrorKind::ConnectionReset));
        let write = asking.writer.write(b"hello?").await;
        assert_eq!(kind(write), Err(ErrorKind::ConnectionReset));
        Ok(())
    });
    assert_eq!((report.finished, report.aborted), (0, 2));
}

#[test]
fn a_listener_that_is_gone_refuses() {
    let (listener, connector) = memory::listener(16);
    drop(listener);
    let refused = block_on(connector.connect()).map(drop);
    assert_eq!(kind(refused), Err(ErrorKind::ConnectionRefused));
}

#[test]
fn a_connection_that_was_never_accepted_is_reset_when_the_listener_is_gone() {
    let (listener, connector) = memory::listener(16);
    let mut client: MemoryConnection = block_on(connector.connect()).expect("connected");
    drop(listener);
    let read = now(client.reader.read(&mut [0; 8]));
    assert_eq!(read, Some(Err(ErrorKind::ConnectionReset)));
}

#[test]
fn a_peer_that_is_kept_does_not_keep_the_stream_open() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    let server = Server::default().on_event(move |event| {
        if let Event::Opened(peer) = event {
            keep.lock().expect("no panic").push(peer.clone());
        }
    });
    // It reads the end of input, and leaves the close to the server.
    let handler = async |mut connection: MemoryConnection| {
        connection.reader.read_to_end(&mut Vec::new()).await?;
        connection.writer.write_all(b"bye").await
    };
    let (_, mut client) = serve_with(server, handler, async |connector| {
        let mut client = connector.connect().await?;
        client.writer.close().await?;
        Ok(client)
    });
    let mut buf = [0; 8];
    assert_eq!(now(client.reader.read(&mut buf)), Some(Ok(3)));
    assert_eq!(now(client.reader.read(&mut buf)), Some(Ok(0)));
    assert_eq!(kept.lock().expect("no panic")[0].bytes_out(), 3);
}

/// Serves capitals until the client is done and its connector dropped.
fn serve(server: Server, client: impl AsyncFnOnce(Connector) -> io::Result<()>) -> Report {
    let upper = async |Connection { reader, writer, .. }: _| service::upper(reader, writer).await;
    serve_with(server, upper, client).0
}

fn serve_with<H, F, T>(
    server: Server,
    handler: H,
    client: impl AsyncFnOnce(Connector) -> io::Result<T>,
) -> (Report, T)
where
    H: FnOnce(MemoryConnection) -> F + Clone,
    F: Future<Output = io::Result<()>>,
{
    let ex = smol::LocalExecutor::new();
    let (listener, connector) = memory::listener(64);
    let report = server.serve(&ex, listener, handler);
    block_on(ex.run(future::try_zip(report, client(connector)))).expect("both end well")
}

/// Runs two tasks, each with a waker of its own, until both are done.
fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let ex = smol::LocalExecutor::new();
    let (a, b) = (ex.spawn(a), ex.spawn(b));
    while ex.try_tick() {}
    assert!(
        a.is_finished() && b.is_finished(),
        "no task is left waiting"
    );
    block_on(future::zip(a, b))
}

/// The output of an operation that need not wait.
fn now<T>(operation: impl Future<Output = io::Result<T>>) -> Option<Result<T, ErrorKind>> {
    let operation = pin!(operation);
    block_on(poll_once(operation)).map(kind)
}

fn kind<T>(result: io::Result<T>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.kind())
}
