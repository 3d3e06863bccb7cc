//! A connection: two halves, the peer, and what is known of them.

mod close;
mod halves;
mod peer;
mod state;
mod stream;

use std::io;

use futures_lite::{AsyncRead, AsyncWrite};

pub use close::Link;
pub(crate) use close::{DiscardBudget, Linger, Ownership, SocketGuard};
pub use halves::{AnyRead, AnyWrite, Buffered, Chunk, Frames, ReadAhead, Reader, Writer};
pub use peer::{Credentials, Endpoint, Handshake, Peer, Phase, UnixName};
pub(crate) use state::{DeadlineCheck, Flag, Record, ServerContext, ServerHooks};
pub(crate) use stream::flush_on_close;
pub use stream::{ReadHalf, WriteHalf, split};

/// What a handler gets: two halves and who is at their other end.
///
/// The halves are plain [`AsyncRead`] and [`AsyncWrite`], whatever is beneath. They may be used at
/// the same time, moved to two tasks, and dropped in any order; the server keeps what it needs to
/// end the stream well (see [`Link`]).
///
/// `Connection` without parameters has erased halves, as [`bind`](crate::bind) gives them.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt, io::Cursor};
/// use halves::Connection;
///
/// # smol::block_on(async {
/// let Connection { mut reader, mut writer, .. } = Connection::new(&b"abc"[..], Cursor::new(vec![]));
/// let mut letters = String::new();
/// reader.read_to_string(&mut letters).await?;
/// writer.write_all(letters.to_uppercase().as_bytes()).await?;
/// assert_eq!(writer.peer().bytes_out(), 3);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Connection<R = AnyRead, W = AnyWrite> {
    /// What comes from the peer.
    pub reader: Reader<R>,
    /// What goes to the peer.
    pub writer: Writer<W>,
    /// Who the peer is, and what has passed so far.
    pub peer: Peer,
}

impl<R, W> Connection<R, W> {
    /// A connection of any two halves, with a peer of which nothing is known.
    ///
    /// The server can then neither close nor reset the stream: that happens when the handler
    /// closes its writer, and when the halves are dropped. [`erase`](Self::erase) and
    /// [`from_parts`](Self::from_parts) do better.
    ///
    /// # Examples
    ///
    /// ```
    /// let connection = halves::Connection::new(futures_lite::io::empty(), futures_lite::io::sink());
    /// assert_eq!(connection.peer.to_string(), "unknown");
    /// ```
    pub fn new(reader: R, writer: W) -> Self {
        Self::from_parts(reader, writer, Peer::default())
    }

    /// A connection of two halves and a peer, which may have a [`Link`].
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::io;
    /// use halves::{Connection, Endpoint, Peer};
    ///
    /// let peer = Peer::new(Endpoint::Memory, Endpoint::Memory);
    /// let connection = Connection::from_parts(io::empty(), io::sink(), peer);
    /// assert_eq!(connection.peer.to_string(), "memory");
    /// ```
    pub fn from_parts(reader: R, writer: W, peer: Peer) -> Self {
        Self::with_ahead((reader, Chunk::default()), writer, peer)
    }

    /// One of whose input something was read already.
    fn with_ahead((reader, ahead): (R, Chunk), writer: W, peer: Peer) -> Self {
        let record = peer.record();
        Self {
            reader: Reader::new(reader, record.clone(), ahead),
            writer: Writer::new(writer, record.clone()),
            peer,
        }
    }

    /// The halves as they are beneath, which neither count nor share the thread, and the peer: for
    /// a layer, such as TLS, that makes a connection of its own of them, by
    /// [`from_stream`](Self::from_stream) or [`from_parts`](Self::from_parts). The layer reads first
    /// what was read from the connection and not yielded; what was written is with the stream
    /// beneath, and flushed by the layer's flush.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::io::{BufReader, empty, sink};
    /// use halves::Connection;
    ///
    /// let (reader, writer, peer) = Connection::new(empty(), sink()).into_parts();
    /// let buffered = Connection::from_parts(BufReader::new(reader), writer, peer);
    /// # drop(buffered);
    /// ```
    pub fn into_parts(self) -> (ReadAhead<R>, W, Peer) {
        let (reader, _, ahead) = self.reader.into_parts();
        let (writer, _) = self.writer.into_parts();
        (ReadAhead::new(ahead, reader), writer, self.peer)
    }
}

impl<R, W> Connection<R, W> {
    /// The same halves, with another peer: for a listener that knows more of where a connection
    /// comes from. The new peer gets the [`Link`] and the credentials of the old one, unless it has
    /// its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Endpoint, Peer};
    /// use halves::listener::memory;
    ///
    /// let (near, _far) = memory::pair(64);
    /// let address: std::net::SocketAddr = "192.0.2.1:5".parse().unwrap();
    /// let near = near.with_peer(Peer::new(address.into(), Endpoint::Memory));
    /// assert_eq!(near.peer.to_string(), "192.0.2.1:5");
    /// ```
    #[must_use]
    pub fn with_peer(self, mut peer: Peer) -> Self {
        let (reader, old, mut ahead) = self.reader.into_parts();
        let (writer, _) = self.writer.into_parts();
        // The new peer has had none of it.
        ahead.count(false);
        peer.record().set_frame_limit(old.frame_limit());
        if old.flags.has(Flag::NoHalfClose) {
            peer.record().flags.set(Flag::NoHalfClose);
        }
        if peer.record().link().is_none()
            && let Some(link) = old.as_link()
        {
            peer.record().set_link(link);
        }
        if let (None, Some(credentials)) = (peer.credentials(), old.credentials()) {
            peer = peer.with_credentials(credentials);
        }
        Self::with_ahead((reader, ahead), writer, peer)
    }

    /// Names the real client of a connection whose listener promised one
    /// ([`Peer::anonymous`]): the step that reads it, such as a PROXY header, calls this. The
    /// rules and the limits per source are then applied to it, and it is who
    /// [`Peer::endpoint`] tells of.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) when the client is refused; the
    /// connection ends with that reason, and in order, whatever the handler then does.
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) when no name was expected: a stranger's
    /// word is never believed.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::AsyncReadExt;
    /// use halves::Connection;
    /// use std::{io, net::SocketAddr};
    ///
    /// /// The client says in six bytes who it speaks for.
    /// async fn handler(mut connection: Connection) -> io::Result<()> {
    ///     let mut real = [0; 6];
    ///     connection.reader.read_exact(&mut real).await?;
    ///     let [a, b, c, d, port @ ..] = real;
    ///     connection.identify(SocketAddr::from(([a, b, c, d], u16::from_be_bytes(port))))
    /// }
    /// ```
    pub fn identify(&self, real: impl Into<Endpoint>) -> io::Result<()> {
        self.peer.identify(real.into())
    }
}

impl<R, W> Connection<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    /// Hides the types of the halves, so that connections of several kinds can be served alike.
    ///
    /// If the peer has no [`Link`] yet, it gets one that flushes and closes the writer when the
    /// handler has ended, also when the handler forgot to.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::io;
    /// use halves::Connection;
    ///
    /// let connection: Connection = Connection::new(io::empty(), io::sink()).erase();
    /// # drop(connection);
    /// ```
    pub fn erase(self) -> Connection {
        let (reader, record, ahead) = self.reader.into_parts();
        let (writer, _) = self.writer.into_parts();
        let writer = if record.is_socket() || record.link().is_some() {
            AnyWrite::new(&record, writer)
        } else {
            let (writer, link) = flush_on_close(writer);
            record.set_link(link);
            AnyWrite::new(&record, writer)
        };
        let reader = AnyRead::new(&record, reader);
        Connection::with_ahead((reader, ahead), writer, self.peer)
    }
}
