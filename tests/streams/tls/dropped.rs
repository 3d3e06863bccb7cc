//! Writes that nothing flushes, and errors of the stream between calls.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_lite::future::{self, block_on};
use futures_lite::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use halves::listener::memory;
use halves::testing::pattern;
use halves::{Connection, Writer};

use super::{Client, Ends, VERSIONS};

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
