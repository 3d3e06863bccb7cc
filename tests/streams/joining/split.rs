//! A stream that is split into two halves.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_net::unix::UnixStream;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::{ReadHalf, WireReader, WireWriter, WriteHalf, split};
use halves::listener::memory::{self, MemoryConnection, PipeReader, PipeWriter};
use halves::testing::pattern;
use halves::{Connection, Executor, Once, Peer, Reason, Server, Shutdown, serve};

use crate::support::conformance;
use crate::support::receipts::Receipts;

const TIMEOUT: Duration = Duration::from_secs(20);

type Stream = Receipts<WireReader<PipeReader>, WireWriter<PipeWriter>>;
type Split = Connection<ReadHalf<Stream>, WriteHalf<Stream>>;

/// Over pipes with a capacity of `bound` bytes.
fn receipts(bound: usize) -> (Split, Split) {
    let (near, far) = memory::pair(bound);
    (over(near), over(far))
}

fn over(beneath: MemoryConnection) -> Split {
    let (reader, writer, peer) = beneath.into_parts();
    Connection::from_stream(Receipts::new(reader, writer), peer)
}

#[test]
fn a_split_socket_conforms() {
    smol::block_on(conformance::check(
        conformance::LARGE_TRANSFER_BYTES,
        async || {
            let (near, far) = UnixStream::pair()?;
            let [near, far] = [near, far].map(|end| Connection::from_stream(end, Peer::default()));
            Ok((near, far.erase()))
        },
    ));
}

#[test]
fn a_reader_that_has_to_write_and_a_writer_that_has_to_read_conform() {
    for bound in [1, 2, 64] {
        smol::block_on(conformance::check(3000, async || Ok(receipts(bound))));
    }
}

/// Each half is on a thread of its own. In any order of wake-ups, all of them go on.
#[test]
fn halves_on_four_threads_wake_each_other() {
    let sent = pattern(20_000);
    let (near, far) = receipts(1);
    let (done, ended) = mpsc::channel();
    for mut end in [near, far] {
        let (bytes, sender) = (sent.clone(), done.clone());
        thread::spawn(move || {
            let write = async {
                end.writer.write_all(&bytes).await?;
                end.writer.close().await
            };
            let wrote = smol::block_on(write);
            sender.send(wrote.is_ok()).expect("the test waits");
        });
        let (bytes, sender) = (sent.clone(), done.clone());
        thread::spawn(move || {
            let mut received = Vec::new();
            let read = smol::block_on(end.reader.read_to_end(&mut received));
            let complete = read.is_ok() && received == bytes;
            sender.send(complete).expect("the test waits");
        });
    }
    for _ in 0..4 {
        let went_well = ended.recv_timeout(TIMEOUT);
        assert_eq!(went_well, Ok(true), "all four end");
    }
}

#[test]
fn a_half_works_on_when_the_other_is_dropped() {
    smol::block_on(async {
        let (near, mut far) = UnixStream::pair().expect("two ends");
        let (reader, mut writer) = split(near);
        drop(reader);
        writer.write_all(b"hello").await.expect("it reads");
        writer.close().await.expect("it is there");
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.expect("it ends");
        assert_eq!(received, b"hello");
        far.write_all(b"hello").await.expect("it is still open");
        drop(writer);
        far.write_all(b"hello").await.expect_err("both are gone");

        let (near, mut far) = UnixStream::pair().expect("two ends");
        let (mut reader, writer) = split(near);
        drop(writer);
        far.write_all(b"hello").await.expect("it is still open");
        let mut received = [0; 5];
        reader.read_exact(&mut received).await.expect("it writes");
        let end = future::poll_once(far.read(&mut received)).await;
        assert!(end.is_none(), "a half that is dropped ends nothing");
        drop(reader);
        assert_eq!(far.read(&mut received).await.expect("an end"), 0);
    });
}

/// Sends a request to a server of `handler` on a stream over memory. Returns the answer.
fn served(handler: impl AsyncFn(Split) -> io::Result<()> + Copy) -> io::Result<Vec<u8>> {
    let ex = smol::LocalExecutor::new();
    let (near, far) = memory::pair(16);
    let listener = Once::new(over(far));
    let mut near = over(near);
    let client = async move {
        near.writer.write_all(b"hello").await?;
        near.writer.flush().await?;
        let mut received = Vec::new();
        near.reader
            .read_to_end(&mut received)
            .await
            .map(|_| received)
    };
    let server = serve(&ex, listener, async move |c| handler(c).await);
    let both = future::zip(client, server);
    let (received, report) = smol::block_on(ex.run(both));
    report.expect("it serves");
    received
}

#[test]
fn unflushed_bytes_of_a_handler_are_flushed_and_the_stream_ended() {
    let received = served(async |mut c: Split| {
        let mut asked = [0; 5];
        c.reader.read_exact(&mut asked).await?;
        c.writer.write_all(&asked.to_ascii_uppercase()).await
    });
    assert_eq!(received.expect("an end in order"), b"HELLO");
}

#[test]
fn a_peer_that_is_gone_is_no_error_of_the_end() {
    let ex = Executor::new();
    let (near, far) = receipts(16);
    drop(near);
    let handler = async |mut c: Split| c.reader.read(&mut [0]).await.map(drop);
    let report = ex.block_on(serve(&ex, Once::new(far), handler));
    let ended = report.expect("it serves").stats.ended;
    assert_eq!(ended[Reason::Eof], 1, "{ended:?}");
}

#[test]
fn a_panic_resets_the_stream_beneath() {
    let received = served(async |mut c: Split| {
        c.reader.read_exact(&mut [0; 5]).await?;
        c.writer.write_all(b"HE").await?;
        panic!("in the middle");
    });
    let error = received.expect_err("cut short");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// The reader waits in another task when the connection is aborted.
#[test]
fn an_abort_wakes_halves_in_other_tasks() {
    let ex = Executor::new();
    let (near, far) = memory::pair(16);
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let (sender, receiver) = smol::channel::bounded(1);
    let tasks = ex.clone();
    let handler = async move |mut c: Split| {
        let (waiting, sender) = (shutdown.clone(), sender.clone());
        let task = async move {
            waiting.abort();
            let read = c.reader.read(&mut [0; 5]).await;
            let _ = sender.send(read).await;
        };
        tasks.spawn(task).detach();
        c.writer.write_all(&[0; 100]).await
    };
    let client = over(near);
    let (report, read) = ex.block_on(async {
        let served = server.serve(&ex, Once::new(over(far)), handler).await;
        (served.expect("it serves"), receiver.recv().await)
    });
    assert_eq!((report.finished, report.aborted), (0, 1));
    let error = read.expect("it was woken").expect_err("a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    drop(client);
}
