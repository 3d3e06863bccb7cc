//! A layer may end before its socket: the socket lingers until the kernel reports its end, and its
//! peer has to take the bytes that the layer has kept.

use std::future::{self, Future};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use halves::connection::{AnyRead, AnyWrite, WireReader, WireWriter};
use halves::{Connection, Endpoint, Listener, Listeners, Peer, Reader, Server, Writer, bind};

use crate::support::harness::sockets::{Family, Served, World, eventually, run};
use crate::support::place;

/// How long a drained handler waits for an idle client.
const QUIET_TIME: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(2);
const MOMENT: Duration = Duration::from_nanos(1);
/// More than the buffer of one socket, in bytes.
const ANSWER_BYTES: usize = 200_000;
/// More than the buffers of two sockets, in bytes.
const LARGE_ANSWER_BYTES: usize = 16 << 20;

/// A layer with input that ends after a number of bytes, regardless of the client. It keeps written
/// bytes until it is flushed or closed.
struct Layer {
    reader: WireReader<AnyRead>,
    writer: WireWriter<AnyWrite>,
    left: usize,
    kept: Vec<u8>,
}

impl Layer {
    fn over(
        (reader, writer): (WireReader<AnyRead>, WireWriter<AnyWrite>),
        left: usize,
    ) -> future::Ready<io::Result<Self>> {
        future::ready(Ok(Self {
            reader,
            writer,
            left,
            kept: Vec::new(),
        }))
    }
}

impl AsyncRead for Layer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let room = self.left.min(buf.len());
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let n = ready!(Pin::new(&mut self.reader).poll_read(cx, &mut buf[..room]))?;
        self.left -= n;
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for Layer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.kept.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.kept.is_empty() {
            let n = ready!(Pin::new(&mut this.writer).poll_write(cx, &this.kept))?;
            this.kept.drain(..n);
        }
        Pin::new(&mut this.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.writer).poll_close(cx)
    }
}

/// The way the input of the handler ends before that of the client.
#[derive(Clone, Copy, Debug)]
enum Way {
    Layer,
    /// A reader around that of the socket, with the same peer.
    Around,
    /// A reader around that of a layer with input that does not end by itself.
    AroundLayer,
}

/// Reads five bytes and the end, and answers.
async fn answer<R, W>(mut reader: Reader<R>, mut writer: Writer<W>, n: usize) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut asked = Vec::new();
    reader.read_to_end(&mut asked).await?;
    assert_eq!(asked, b"hello");
    writer.write_all(&vec![b'x'; n]).await
}

async fn handle(way: Way, c: Connection, n: usize) -> io::Result<()> {
    match way {
        Way::Layer => {
            let c = c.upgrade(|r, w| Layer::over((r, w), 5)).await?;
            answer(c.reader, c.writer, n).await
        }
        Way::Around => around(c, n).await,
        Way::AroundLayer => {
            let c = c.upgrade(|r, w| Layer::over((r, w), usize::MAX)).await?;
            around(c, n).await
        }
    }
}

async fn around<R, W>(c: Connection<R, W>, n: usize) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (reader, writer, peer) = c.into_parts();
    let c = Connection::from_parts(reader.take(5), writer, peer);
    answer(c.reader, c.writer, n).await
}

/// Listeners with connections that have another local name.
struct Renamed(Listeners);

impl Listener for Renamed {
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        let another = || Peer::new(Endpoint::Memory, Endpoint::Memory);
        let accepted = self.0.accept().await?;
        Ok(accepted.map(|connection| connection.with_peer(another())))
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        self.0.local_addrs()
    }
}

/// Serves on sockets with another name.
async fn serve_renamed<H, F>(world: &World, handler: H) -> Served
where
    H: FnOnce(Connection) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let dir = place::dir();
    let listeners = match world.family {
        Family::Tcp => bind("127.0.0.1:0").await,
        Family::Unix => bind(&*dir.path().join("socket")).await,
    };
    let listeners = listeners.expect("the address is free");
    let at = listeners.local_addrs().remove(0);
    let serve =
        async move |ex, server: Server| server.serve(&ex, Renamed(listeners), handler).await;
    world.serve_by(at, dir, Server::default(), serve)
}

/// Serves with a handler that leaves so many bytes in a layer.
async fn serve(world: &World, way: Way, renamed: bool, n: usize) -> Served {
    let handler = async move |c: Connection| handle(way, c, n).await;
    if renamed {
        serve_renamed(world, handler).await
    } else {
        world.serve(Server::default(), handler).await
    }
}

/// Both families, with their own name and with another one.
fn sockets() -> impl Iterator<Item = (Family, bool)> {
    let names = |family| [(family, false), (family, true)];
    [Family::Tcp, Family::Unix].into_iter().flat_map(names)
}

#[test]
fn input_after_the_end_of_a_layer_does_not_cut_the_answer() {
    for (family, renamed) in sockets() {
        for way in [Way::Layer, Way::Around, Way::AroundLayer] {
            run(family, async |world| {
                let served = serve(&world, way, renamed, ANSWER_BYTES).await;
                assert_whole(&world, &served).await;
            });
        }
    }
}

#[test]
fn input_after_the_end_of_a_layer_does_not_cut_the_answer_with_async_net() {
    run(Family::Tcp, async |world| {
        let listener = async_net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let at = listener.local_addr().expect("an address").into();
        let dir = place::dir();
        let handler = async |c: Connection<_, _>| around(c, ANSWER_BYTES).await;
        let serve = async move |ex, server: Server| server.serve(&ex, listener, handler).await;
        let served = world.serve_by(at, dir, Server::default(), serve);
        assert_whole(&world, &served).await;
    });
}

/// A client that sends more than the handler reads receives the whole answer.
async fn assert_whole(world: &World, served: &Served) {
    let client = served.connect();
    client.send(b"hello, and more than the layer reads");
    // The server has done all it can without the client.
    world.settle().await;
    let (received, end) = client.rest().await;
    assert_eq!(received.len(), ANSWER_BYTES, "{end:?}");
    end.expect("an orderly end");
    drop(client);
    assert_eq!(served.until_closed().await, ["closed 1 eof"]);
}

#[test]
fn a_client_that_takes_none_of_the_bytes_in_a_layer_is_reset() {
    for (family, renamed) in sockets() {
        run(family, async |world| {
            let served = serve(&world, Way::Layer, renamed, LARGE_ANSWER_BYTES).await;
            let client = served.connect();
            client.send(b"hello");
            world.settle().await;
            // Acknowledgements that come late count as progress, which happens at most twice.
            let mut events = Vec::new();
            for _ in 0..5 {
                world.pass(LINGER).await;
                events.extend(served.events());
            }
            assert_eq!(
                events,
                ["closed 1 error: timed out"],
                "{family:?} {renamed}"
            );
            assert!(client.rest().await.0.len() < LARGE_ANSWER_BYTES);
        });
    }
}

#[test]
fn a_client_that_takes_some_of_the_bytes_in_a_layer_is_waited_for() {
    for (family, renamed) in sockets() {
        run(family, async |world| {
            let served = serve(&world, Way::Layer, renamed, LARGE_ANSWER_BYTES).await;
            let client = served.connect();
            client.send(b"hello");
            let mut received = 0;
            while received < LARGE_ANSWER_BYTES {
                // The layer fills the room at once.
                received += client
                    .take((LARGE_ANSWER_BYTES - received).min(LARGE_ANSWER_BYTES / 8))
                    .await
                    .len();
                world.pass(LINGER - MOMENT).await;
            }
            let (rest, end) = client.rest().await;
            assert!(rest.is_empty() && end.is_ok());
            drop(client);
            assert_eq!(served.until_closed().await, ["closed 1 eof"]);
        });
    }
}

/// A handler that answers after a drain, through a layer.
async fn answer_drained(c: Connection) -> io::Result<()> {
    let mut c = c.upgrade(|r, w| Layer::over((r, w), usize::MAX)).await?;
    let mut buf = [0; 64];
    while c.reader.read_or_drain(&mut buf).await? > 0 {}
    c.writer.write_all(&vec![b'x'; ANSWER_BYTES]).await
}

#[test]
fn late_input_of_a_drained_client_does_not_cut_the_answer() {
    for (family, renamed) in sockets() {
        run(family, async |world| {
            let served = if renamed {
                serve_renamed(&world, answer_drained).await
            } else {
                world.serve(Server::default(), answer_drained).await
            };
            let client = served.connect();
            client.send(b"hello");
            let connections = || served.handle.connections();
            let read = || connections().first().is_some_and(|c| c.bytes_in == 5);
            eventually(|| read().then_some(())).await;
            served.shutdown.drain();
            world.pass(QUIET_TIME).await;
            client.send(b"more");
            world.settle().await;
            let (received, end) = client.rest().await;
            assert_eq!(
                received.len(),
                ANSWER_BYTES,
                "{family:?} {renamed}: {end:?}"
            );
            end.expect("an orderly end");
            drop(client);
            let closed = served.until_closed().await;
            assert_eq!(closed[..2], ["draining 1 within 30s", "closed 1 drained"]);
        });
    }
}

/// A handler that writes nothing after a drain.
async fn leave_drained(c: Connection) -> io::Result<()> {
    let mut c = c.upgrade(|r, w| Layer::over((r, w), usize::MAX)).await?;
    c.reader.read_or_drain(&mut [0]).await.map(drop)
}

#[test]
fn a_layer_without_bytes_for_a_drained_client_does_not_linger() {
    run(Family::Unix, async |world| {
        let served = world.serve(Server::default(), leave_drained).await;
        let client = served.connect();
        let connections = || served.handle.connections();
        eventually(|| (!connections().is_empty()).then_some(())).await;
        served.shutdown.drain();
        world.pass(QUIET_TIME).await;
        let closed = served.until_closed().await;
        assert_eq!(closed[..2], ["draining 1 within 30s", "closed 1 drained"]);
        drop(client);
    });
}
