//! A layer on a connection in use: a toy cipher, after a word in clear.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::future::{self, block_on};
use futures_lite::io::BufWriter;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use halves::Listener;
use halves::connection::{AnyRead, AnyWrite, WireReader, WireWriter};
use halves::listener::memory::pair;
use halves::{Connection, Executor, Once, Reason, bind, connect, serve};

use crate::support::harness::World;

/// Changes every byte by a key, which both ends send first.
struct Cipher<R, W> {
    reader: R,
    writer: W,
    key: u8,
}

async fn handshake<R, W>(mut reader: R, mut writer: W) -> io::Result<Cipher<R, W>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    writer.write_all(b"K").await?;
    writer.flush().await?;
    let mut key = [0];
    reader.read_exact(&mut key).await?;
    if key != *b"K" {
        return Err(io::Error::new(ErrorKind::InvalidData, "not the key"));
    }
    Ok(Cipher {
        reader,
        writer,
        key: key[0],
    })
}

impl<R: AsyncRead + Unpin, W: Unpin> AsyncRead for Cipher<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.reader).poll_read(cx, buf))?;
        let key = self.key;
        buf[..n].iter_mut().for_each(|byte| *byte ^= key);
        Poll::Ready(Ok(n))
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> AsyncWrite for Cipher<R, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let secret = secret(buf, self.key);
        Pin::new(&mut self.writer).poll_write(cx, &secret)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}

fn secret(bytes: &[u8], key: u8) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ key).collect()
}

/// Answers in clear until it is asked for the cipher, and in capital letters after that.
async fn handler(mut c: Connection) -> io::Result<()> {
    let mut writer = c.writer.buffered();
    while let Some(line) = c.reader.line().await? {
        if line == b"STARTTLS\n" {
            writer.write(b"go ahead\n")?;
            c.writer = writer.into_inner().await?;
            return answer(c.upgrade(handshake).await?.erase()).await;
        }
        writer.write(&line)?;
        writer.ready().await?;
    }
    writer.close().await
}

async fn answer(mut c: Connection) -> io::Result<()> {
    let mut writer = c.writer.buffered();
    while let Some(line) = c.reader.line().await? {
        writer.write(&line.to_ascii_uppercase())?;
        writer.ready().await?;
    }
    writer.close().await
}

/// Sends everything at once, so that the server reads the secret with the word before it.
async fn ask(mut client: Connection) -> io::Result<(Vec<u8>, u64)> {
    let question = [b"hi\nSTARTTLS\nK", &*secret(b"one\ntwo\n", b'K')].concat();
    client.writer.write_all(&question).await?;
    client.writer.close().await?;
    let mut received = Vec::new();
    client.reader.read_to_end(&mut received).await?;
    Ok((received, client.peer.bytes_in()))
}

fn check(received: &[u8]) {
    let expected = [b"hi\ngo ahead\nK", &*secret(b"ONE\nTWO\n", b'K')].concat();
    assert_eq!(received, expected);
}

#[test]
fn bytes_read_ahead_go_to_the_layer_and_written_bytes_are_sent_before_it() {
    let ex = Executor::new();
    let (near, far) = pair(1024);
    let (received, report) = ex.block_on(future::zip(
        ask(near.erase()),
        serve(&ex, Once::new(far.erase()), handler),
    ));
    check(&received.expect("an answer").0);
    assert_eq!(report.expect("it serves").stats.ended[Reason::Eof], 1);
}

#[test]
fn a_socket_is_upgraded_in_place() {
    let ex = Executor::new();
    ex.block_on(async {
        let mut listeners = bind("127.0.0.1:0").await.expect("a port");
        let address = listeners.local_addrs()[0].to_string();
        let (client, far) = future::zip(connect(address.as_str()), listeners.accept()).await;
        let far = far.expect("accepted").expect("one");
        let peer = far.peer.clone();
        let server = serve(&ex, Once::new(far), handler);
        let (received, report) = future::zip(ask(client.expect("connected")), server).await;
        check(&received.expect("an answer").0);
        assert_eq!(report.expect("it serves").stats.ended[Reason::Eof], 1);
        assert_ne!(peer.id(), 0, "it is the same peer");
    });
}

#[test]
fn a_client_is_upgraded_too() {
    let (near, far) = pair(1024);
    let both = async {
        let near = async {
            let mut near = near.erase();
            let mut writer = near.writer.buffered();
            writer.write(b"STARTTLS\n")?;
            near.writer = writer.into_inner().await?;
            assert_eq!(
                near.reader.line().await?.as_deref(),
                Some(&b"go ahead\n"[..])
            );
            let layer = |r: WireReader<AnyRead>, w: WireWriter<AnyWrite>| handshake(r, w);
            let mut near = near.upgrade(layer).await?;
            near.writer.write_all(b"hello\n").await?;
            near.writer.close().await?;
            let answer = near.reader.line().await?;
            assert_eq!(answer.as_deref(), Some(&b"HELLO\n"[..]));
            io::Result::Ok(())
        };
        future::try_zip(near, handler(far.erase())).await
    };
    block_on(both).expect("both are content");
}

/// The peer sends nothing before it has the answer.
#[test]
fn bytes_held_back_by_the_stream_are_sent_before_the_layer_begins() {
    let world = World::new();
    let (near, far) = pair(1024);
    let both = async move {
        let (reader, writer, peer) = near.into_parts();
        let mut near = Connection::from_parts(reader, BufWriter::new(writer), peer);
        near.writer.write_all(b"go ahead\n").await?;
        let upgrade = near.upgrade(async |mut reader, writer| {
            reader.read_exact(&mut [0]).await?;
            handshake(reader, writer).await
        });
        let peer = async {
            let (mut reader, mut writer) = (far.reader, far.writer);
            assert_eq!(reader.line().await?.as_deref(), Some(&b"go ahead\n"[..]));
            writer.write_all(b"KK").await
        };
        future::try_zip(upgrade, peer).await.map(drop)
    };
    world.now(both).expect("both are content");
}

#[test]
fn a_handshake_that_fails_ends_the_connection() {
    let (near, mut far) = pair(1024);
    let both = async {
        far.writer.write_all(b"X").await?;
        let error = near.upgrade(handshake).await.expect_err("no key");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(far.reader.exactly(1).await?, b"K");
        assert_eq!(far.reader.line().await?, None);
        io::Result::Ok(())
    };
    block_on(both).expect("it is received");
}
