//! A layer, such as TLS, put on a connection that is in use.

use std::future::Future;
use std::io;

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{Connection, ReadAhead, ReadHalf, WriteHalf};

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
