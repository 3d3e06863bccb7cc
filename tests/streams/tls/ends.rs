//! The end of each direction: by `close_notify`, by the end of the stream alone, and with other
//! bytes after it.

use std::io::{self, ErrorKind};

use futures_lite::future::{self, block_on, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory;

use super::{Ends, VERSIONS};

#[test]
fn each_direction_ends_alone() -> io::Result<()> {
    for version in VERSIONS {
        let (near, far) = memory::pair(1000);
        let ends = Ends::new(version);
        let (mut client, mut server) = block_on(ends.shake_hands(near, far))?;
        block_on(async {
            client.writer.write_all(b"question").await?;
            client.writer.close().await?;
            client.writer.close().await?;
            let mut received = String::new();
            server.reader.read_to_string(&mut received).await?;
            assert_eq!(received, "question");
            assert_eq!(server.reader.read(&mut [0]).await?, 0);
            server.writer.write_all(b"answer").await?;
            server.writer.close().await?;
            received.clear();
            client.reader.read_to_string(&mut received).await?;
            assert_eq!(received, "answer");
            let late = client.writer.write(b"late").await.expect_err("closed");
            assert_eq!(late.kind(), ErrorKind::BrokenPipe);
            io::Result::Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn an_end_without_close_notify_is_an_error_that_stays() -> io::Result<()> {
    for version in VERSIONS {
        let (mut client, mut server) = block_on(Ends::new(version).with_client(1000))?;
        block_on(async {
            client.write_all(b"hello").await?;
            client.beneath.writer.close().await?;
            let mut received = [0; 100];
            assert_eq!(server.reader.read(&mut received).await?, 5);
            for _ in 0..2 {
                let error = server
                    .reader
                    .read(&mut received)
                    .await
                    .expect_err("truncated");
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            }
            // The other direction is open.
            server.writer.write_all(b"answer").await?;
            server.writer.flush().await?;
            client.read_exact(&mut received[..6]).await?;
            assert_eq!(&received[..6], b"answer");
            io::Result::Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_close_waits_until_everything_is_sent() -> io::Result<()> {
    let (mut client, mut server) = block_on(Ends::new(VERSIONS[1]).with_client(100))?;
    block_on(async {
        server.writer.write_all(&[7; 1000]).await?;
        let closed = {
            let mut close = Box::pin(server.writer.close());
            assert!(poll_once(&mut close).await.is_none(), "the pipe is full");
            let (closed, received) = future::zip(close, client.read_to_end()).await;
            assert_eq!(received?, [7; 1000]);
            closed
        };
        closed?;
        // A dropped close is continued by the next one.
        let (mut client, mut server) = Ends::new(VERSIONS[1]).with_client(100).await?;
        server.writer.write_all(&[7; 1000]).await?;
        assert!(poll_once(server.writer.close()).await.is_none());
        let (closed, received) = future::zip(server.writer.close(), client.read_to_end()).await;
        assert_eq!(received?, [7; 1000]);
        closed
    })
}
