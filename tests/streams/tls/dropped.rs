//! Reads and writes that are dropped in the middle, and writes that nothing flushes.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use fastrand::Rng;
use futures_lite::future::{self, block_on, poll_once};
use futures_lite::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use halves::listener::memory;
use halves::testing::pattern;
use halves::{Connection, Writer};

use super::{Client, Ends, Served, VERSIONS};
use crate::support::seed::seeds;

/// Writes all bytes, by writes of which those that are not ready at once are dropped.
async fn write_in_tries(server: &mut Served, rng: &mut Rng, bytes: &[u8]) -> io::Result<usize> {
    let (mut rest, mut dropped) = (bytes, 0);
    while !rest.is_empty() {
        let bytes = &rest[..rng.usize(1..=rest.len())];
        let (first, second) = bytes.split_at(rng.usize(..=bytes.len()));
        let slices = [io::IoSlice::new(first), io::IoSlice::new(second)];
        if let Some(written) = poll_once(server.writer.write_vectored(&slices)).await {
            rest = &rest[written?..];
        } else {
            dropped += 1;
            future::yield_now().await;
        }
    }
    server.writer.flush().await?;
    Ok(dropped)
}

#[test]
fn a_dropped_write_loses_no_bytes_and_doubles_none() -> io::Result<()> {
    let mut dropped = 0;
    for seed in seeds(10) {
        let mut rng = Rng::with_seed(seed);
        let version = VERSIONS[rng.usize(..2)];
        let (mut client, mut server) = block_on(Ends::new(version).with_client(2000))?;
        let sent = pattern(rng.usize(1..200_000));
        let mut received = vec![0; sent.len()];
        let write = write_in_tries(&mut server, &mut rng, &sent);
        let (tries, read) = block_on(future::zip(write, client.read_exact(&mut received)));
        read?;
        dropped += tries?;
        assert!(received == sent, "HALVES_SEED={seed}");
    }
    assert!(dropped > 0, "no write was dropped");
    Ok(())
}

/// Reads all bytes, by reads of which those that are not ready at once are dropped.
async fn read_in_tries(server: &mut Served, rng: &mut Rng, len: usize) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    while received.len() < len {
        let mut buf = vec![0; rng.usize(1..30_000)];
        match poll_once(server.reader.read(&mut buf)).await {
            Some(n) => received.extend_from_slice(&buf[..n?]),
            None => future::yield_now().await,
        }
    }
    Ok(received)
}

#[test]
fn a_dropped_read_loses_no_bytes() -> io::Result<()> {
    for seed in seeds(10) {
        let mut rng = Rng::with_seed(seed);
        let version = VERSIONS[rng.usize(..2)];
        let (mut client, mut server) = block_on(Ends::new(version).with_client(700))?;
        let sent = pattern(rng.usize(1..200_000));
        let read = read_in_tries(&mut server, &mut rng, sent.len());
        let (written, received) = block_on(future::zip(client.write_all(&sent), read));
        written?;
        assert!(received? == sent, "HALVES_SEED={seed}");
    }
    Ok(())
}

/// Reads `len` bytes, and then sends a word.
async fn read_then_ask(client: &mut Client, len: usize) -> io::Result<Vec<u8>> {
    let mut received = vec![0; len];
    client.read_exact(&mut received).await?;
    client.write_all(b"word").await?;
    Ok(received)
}

#[test]
fn a_reader_that_waits_sends_what_a_full_stream_has_left_of_a_write() -> io::Result<()> {
    let sent = pattern(10_000);
    let (mut client, mut server) = block_on(Ends::new(VERSIONS[1]).with_client(100))?;
    // A handler that writes its answer, and then waits for the next request.
    let serve = async {
        server.writer.write_all(&sent).await?;
        let mut word = [0; 4];
        server.reader.read_exact(&mut word).await?;
        assert_eq!(&word, b"word");
        io::Result::Ok(())
    };
    let (served, received) = block_on(future::zip(serve, read_then_ask(&mut client, sent.len())));
    served?;
    assert!(received? == sent);
    Ok(())
}

#[test]
fn a_reader_in_another_task_does_the_same() -> io::Result<()> {
    let sent = pattern(10_000);
    let (mut client, server) = block_on(Ends::new(VERSIONS[1]).with_client(100))?;
    let ex = smol::LocalExecutor::new();
    let (mut reader, mut writer) = (server.reader, server.writer);
    let reading = ex.spawn(async move {
        let mut word = [0; 4];
        reader.read_exact(&mut word).await.map(|()| word)
    });
    block_on(ex.run(async {
        // It waits already.
        while ex.try_tick() {}
        let (written, received) = future::zip(
            writer.write_all(&sent),
            read_then_ask(&mut client, sent.len()),
        )
        .await;
        written?;
        assert!(received? == sent);
        assert_eq!(reading.await?, *b"word");
        Ok(())
    }))
}

#[test]
fn an_error_of_the_stream_after_an_accepted_write_is_returned_by_the_next_call() -> io::Result<()> {
    let (client, mut server) = block_on(Ends::new(VERSIONS[1]).with_client(1000))?;
    drop(client);
    block_on(async {
        assert_eq!(server.writer.write(b"hello").await?, 5);
        let error = server.writer.flush().await.expect_err("the client is gone");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let error = server
            .writer
            .write(b"hello")
            .await
            .expect_err("it is still gone");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        Ok(())
    })
}

/// A writer of which one write fails when the flag is set.
struct FailsOnce<W>(Writer<W>, Arc<AtomicBool>);

impl<W: AsyncWrite + Unpin> AsyncWrite for FailsOnce<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.1.swap(false, Ordering::Relaxed) {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

#[test]
fn after_an_error_that_passes_no_bytes_are_lost() -> io::Result<()> {
    let fails = Arc::new(AtomicBool::new(false));
    let (near, far) = memory::pair(10_000);
    let far = Connection::new(far.reader, FailsOnce(far.writer, fails.clone()));
    let ends = Ends::new(VERSIONS[1]);
    let (mut client, mut server) = block_on(ends.shake_hands(near, far))?;
    block_on(async {
        fails.store(true, Ordering::Relaxed);
        server.writer.write_all(b"one").await?;
        let error = server.writer.write_all(b"not taken").await;
        assert_eq!(
            error.expect_err("it failed once").kind(),
            ErrorKind::TimedOut
        );
        server.writer.write_all(b"two").await?;
        server.writer.close().await?;
        let mut received = String::new();
        client.reader.read_to_string(&mut received).await?;
        assert_eq!(received, "onetwo");
        Ok(())
    })
}
