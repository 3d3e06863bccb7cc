//! One direction: from a reader to a writer.

use std::io;
use std::pin::pin;

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt, future};
use halves::{Reader, Writer};

/// The side of a direction that failed.
#[derive(Debug)]
pub(super) enum Broken {
    Source(io::Error),
    Sink(io::Error),
}

/// Copies until the source ends, then ends the sink. Calls `count` with the bytes of each piece
/// when the sink has accepted them.
pub(super) async fn pump<R, W>(
    source: &mut Reader<R>,
    sink: &mut Writer<W>,
    count: impl Fn(usize),
) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        let mut read = pin!(source.read_chunk_or_drain());
        let at_once = future::poll_once(read.as_mut()).await;
        if at_once.is_none() {
            sink.flush().await.map_err(Broken::Sink)?;
        }
        let read = match at_once {
            Some(read) => read,
            None => read.await,
        };
        let chunk = read.map_err(Broken::Source)?;
        if chunk.is_empty() {
            return sink.close().await.map_err(Broken::Sink);
        }
        sink.write_all(&chunk).await.map_err(Broken::Sink)?;
        count(chunk.len());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::ErrorKind;

    use futures_lite::AsyncReadExt;
    use futures_lite::io::{empty, repeat, sink};
    use halves::Connection;
    use halves::listener::memory;

    use super::*;

    #[test]
    fn bytes_and_the_end_are_passed_on() {
        let (mut near, mut middle) = memory::pair(1024);
        let (mut other, mut far) = memory::pair(1024);
        let counted = Cell::new(0);
        let received = smol::block_on(async {
            let pump = pump(&mut middle.reader, &mut other.writer, |bytes| {
                counted.set(counted.get() + bytes);
            });
            let ends = async {
                near.writer.write_all(b"hello").await?;
                // It is passed on although more may follow.
                let first = far.reader.exactly(5).await?;
                near.writer.write_all(&[b'x'; 1000]).await?;
                near.writer.close().await?;
                let mut rest = Vec::new();
                far.reader.read_to_end(&mut rest).await?;
                io::Result::Ok((first, rest))
            };
            let (pumped, received) = future::zip(pump, ends).await;
            pumped.expect("it is complete");
            received.expect("they are received")
        });
        assert_eq!(received, (b"hello".to_vec(), vec![b'x'; 1000]));
        assert_eq!(counted.get(), 1005);
    }

    #[test]
    fn the_side_that_fails_is_named() {
        smol::block_on(async {
            let (_near, middle) = memory::pair(64);
            middle.peer.abort();
            let mut source = middle.reader;
            let mut other = Connection::new(empty(), sink()).writer;
            let failed = pump(&mut source, &mut other, |_| {}).await;
            assert!(matches!(failed, Err(Broken::Source(_))), "{failed:?}");

            let (near, far) = memory::pair(64);
            drop(far);
            let mut source = Connection::new(repeat(b'x'), sink()).reader;
            let mut sink = near.writer;
            let failed = pump(&mut source, &mut sink, |_| {}).await;
            let Err(Broken::Sink(error)) = failed else {
                panic!("{failed:?}");
            };
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        });
    }
}
