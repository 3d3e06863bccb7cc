//! Layers such as TLS: a connection over one stream, and the upgrade of a connection in use.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::split::SplitStream;
use super::{ReadHalf, WriteHalf, split};
use crate::connection::close::is_gone;
use crate::connection::{Connection, DiscardBudget, Link, Peer, WireReader, WireWriter};

impl<S> Connection<ReadHalf<S>, WriteHalf<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    /// Makes a connection from one stream that is both reader and writer, such as TLS over the
    /// halves of another connection. Pass the peer of that connection.
    ///
    /// The new connection has a [`Link`]. After the handler has ended, the link closes the stream,
    /// discards input until the peer ends its output, and then ends the underlying stream through
    /// the link of `peer`, if it has one. A reset goes to that link as well.
    ///
    /// If no server has the underlying connection yet, the new connection has a new peer, with the
    /// same addresses and settings. Its byte counters start at 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use halves::{Connection, Peer};
    ///
    /// # smol::block_on(async {
    /// let (near, far) = async_net::unix::UnixStream::pair()?;
    /// let mut near = Connection::from_stream(near, Peer::default());
    /// let mut far = Connection::from_stream(far, Peer::default());
    /// near.writer.write_all(b"hello").await?;
    /// near.writer.close().await?;
    /// let mut received = String::new();
    /// far.reader.read_to_string(&mut received).await?;
    /// assert_eq!(received, "hello");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn from_stream(stream: S, peer: Peer) -> Self {
        let (reader, writer) = split(stream);
        Self::layered(peer, |beneath| {
            let link = LayerLink {
                shared: writer.0.clone(),
                beneath,
                discard: DiscardBudget::default(),
            };
            (reader, writer, Arc::new(link))
        })
    }
}

impl<R, W> Connection<R, W> {
    /// Makes a connection from the halves of a layer above the connection of `peer`. `layer`
    /// receives the link that its own link ends after itself: `None` for the connection's own
    /// socket.
    pub(crate) fn layered(
        peer: Peer,
        layer: impl FnOnce(Option<Arc<dyn Link>>) -> (R, W, Arc<dyn Link>),
    ) -> Self {
        let (peer, beneath) = peer.above();
        let (reader, writer, link) = layer(beneath);
        peer.record().set_layer_link(link);
        Self::from_parts(reader, writer, peer)
    }
}

impl<R, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Adds a layer to this connection while it is in use. (In asyncio: `start_tls`.)
    ///
    /// Written bytes are flushed first. `layer` then receives the underlying halves, does its
    /// handshake, and returns a stream that is both reader and writer. The layer first reads the
    /// bytes that this connection has read ahead. The result is a connection as
    /// [`from_stream`](Self::from_stream) makes it, with the peer of this one. Meanwhile the
    /// connection is in a [handshake](Peer::handshake), with its deadline.
    ///
    /// Not cancel-safe: a cancelled call drops the connection.
    ///
    /// # Errors
    ///
    /// Those of the flush and of `layer`. The connection is dropped then, since the progress of the
    /// handshake is unknown.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    /// use std::io;
    /// # use futures_lite::{AsyncRead, AsyncWrite};
    /// # use halves::connection::{AnyRead, AnyWrite, WireReader, WireWriter};
    /// # type Secret = async_net::TcpStream;
    /// # async fn handshake(_: WireReader<AnyRead>, _: WireWriter<AnyWrite>) -> io::Result<Secret> {
    /// #     Err(io::ErrorKind::Unsupported.into())
    /// # }
    ///
    /// /// Starts in clear text, and switches to TLS when the client asks for it.
    /// async fn handler(mut c: Connection) -> io::Result<()> {
    ///     let mut writer = c.writer.buffered();
    ///     while let Some(line) = c.reader.line().await? {
    ///         if line == b"STARTTLS\n" {
    ///             writer.write(b"go ahead\n")?;
    ///             c.writer = writer.into_inner().await?;
    ///             return secretly(c.upgrade(handshake).await?.erase()).await;
    ///         }
    ///     }
    ///     writer.close().await
    /// }
    /// # async fn secretly(_: Connection) -> io::Result<()> { Ok(()) }
    /// ```
    pub async fn upgrade<S, F>(
        mut self,
        layer: impl FnOnce(WireReader<R>, WireWriter<W>) -> F,
    ) -> io::Result<Connection<ReadHalf<S>, WriteHalf<S>>>
    where
        F: Future<Output = io::Result<S>>,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.writer.flush().await?;
        let (reader, writer, peer) = self.into_parts();
        let _handshake = peer.handshake();
        let stream = layer(reader, writer).await?;
        Ok(Connection::from_stream(stream, peer))
    }
}

/// The server's link to a layer.
struct LayerLink<S> {
    shared: Arc<SplitStream<S>>,
    /// The link of the underlying stream, if there is one. `None` for the connection's own socket,
    /// which its guard ends after this link.
    beneath: Option<Arc<dyn Link>>,
    discard: DiscardBudget,
}

impl<S> LayerLink<S> {
    /// Returns true if a half still exists.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Link for LayerLink<S> {
    fn poll_linger(&self, cx: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
        let shared = &self.shared;
        if !shared.stream.is_gone() {
            match ready!(shared.poll_close(cx)) {
                Err(error) if !is_gone(&error) => return Poll::Ready(Err(error)),
                _ => {}
            }
            // If a task of the handler still has a half, the input belongs to that task.
            if self.is_shared() {
                return Poll::Ready(Ok(()));
            }
            // `_ended` may be the end of another reader around the half.
            if !shared.ended.load(Ordering::Acquire) {
                ready!(self.discard.poll(cx, |cx, buf| {
                    shared.poll_read(cx, |stream, cx| stream.poll_read(cx, buf))
                }));
            }
            // From here on only the link below uses the underlying stream.
            shared.stream.end();
        }
        match &self.beneath {
            // The end that was read is that of the layer.
            Some(link) => link.poll_linger(cx, false),
            None => Poll::Ready(Ok(())),
        }
    }

    fn is_flushed(&self) -> bool {
        let closed = self.shared.closed.load(Ordering::Acquire);
        let beneath = self.beneath.as_ref();
        closed && beneath.is_none_or(|link| link.is_flushed())
    }

    fn unsent(&self) -> Option<usize> {
        self.beneath.as_ref().and_then(|link| link.unsent())
    }

    fn abort(&self) {
        if let Some(link) = &self.beneath {
            link.abort();
        }
        self.shared.stream.abort();
        self.shared.waker.wake_by_ref();
    }

    fn ask_to_end(&self) -> bool {
        let beneath = self.beneath.as_ref();
        beneath.is_some_and(|link| link.ask_to_end())
    }

    fn close(&self) {
        if let Some(link) = &self.beneath {
            link.close();
        }
        self.shared.waker.wake_by_ref();
    }
}
