//! A layer, such as TLS, put on a connection that is in use.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::split::SplitStream;
use super::{ReadHalf, WriteHalf, split};
use crate::connection::close::is_gone;
use crate::connection::{Connection, DiscardBudget, Link, Peer, ReadAhead};

impl<S> Connection<ReadHalf<S>, WriteHalf<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    /// A connection of one stream that is both reader and writer, such as TLS over the halves of
    /// another connection, whose peer is then given on.
    ///
    /// It gets a [`Link`] that closes the stream when the handler has ended, reads and discards
    /// until the peer ends too, and then ends what is beneath, as far as the peer knows it; that is
    /// also how it is reset. Before a server has the connection, its peer is then another one, which
    /// counts from here on.
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
    /// let mut heard = String::new();
    /// far.reader.read_to_string(&mut heard).await?;
    /// assert_eq!(heard, "hello");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn from_stream(stream: S, peer: Peer) -> Self {
        let (reader, writer) = split(stream);
        let (peer, beneath) = peer.above();
        let link = LayerLink {
            shared: writer.0.clone(),
            beneath,
            discard: DiscardBudget::default(),
        };
        peer.record().set_layer_link(Arc::new(link));
        Self::from_parts(reader, writer, peer)
    }
}

impl<R, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Puts a layer on this connection, in place: what was written is flushed first, and what was
    /// read ahead is what the layer reads first. (asyncio's `start_tls`.)
    ///
    /// `layer` gets the halves beneath and does its handshake; what it returns is a stream that is
    /// both reader and writer. The connection of that is as
    /// [`from_stream`](Self::from_stream) makes it, with the same peer; it is ended as a whole.
    ///
    /// # Errors
    ///
    /// Those of the flush and of `layer`. The connection is dropped then, as nobody knows how far
    /// the handshake came; also when this is cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Connection;
    /// use std::io;
    /// # use futures_lite::{AsyncRead, AsyncWrite};
    /// # use halves::connection::{AnyRead, AnyWrite, ReadAhead, ReadHalf, WriteHalf};
    /// # type Secret = async_net::TcpStream;
    /// # async fn handshake(_: ReadAhead<AnyRead>, _: AnyWrite) -> io::Result<Secret> {
    /// #     Err(io::ErrorKind::Unsupported.into())
    /// # }
    ///
    /// /// Speaks in clear until the client wants a secret.
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
        layer: impl FnOnce(ReadAhead<R>, W) -> F,
    ) -> io::Result<Connection<ReadHalf<S>, WriteHalf<S>>>
    where
        F: Future<Output = io::Result<S>>,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.writer.flush().await?;
        let (reader, writer, peer) = self.into_parts();
        let stream = layer(reader, writer).await?;
        Ok(Connection::from_stream(stream, peer))
    }
}

/// The server's guard.
struct LayerLink<S> {
    shared: Arc<SplitStream<S>>,
    /// That on the stream beneath, if it is known, and not the connection's own socket: that one is
    /// ended after this.
    beneath: Option<Arc<dyn Link>>,
    discard: DiscardBudget,
}

impl<S> LayerLink<S> {
    /// Whether a half is still held by somebody.
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
            // Where a task of the handler's still has a half, what comes is that task's.
            if self.is_shared() {
                return Poll::Ready(Ok(()));
            }
            // A reader around the half may have ended by itself.
            if !shared.ended.load(Ordering::Acquire) {
                ready!(self.discard.poll(cx, |cx, buf| {
                    shared.poll_read(cx, |stream, cx| stream.poll_read(cx, buf))
                }));
            }
            // What is beneath is then its link's alone.
            shared.stream.end();
        }
        match &self.beneath {
            // What has ended is the layer.
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

    fn close(&self) {
        if let Some(link) = &self.beneath {
            link.close();
        }
        self.shared.waker.wake_by_ref();
    }
}
