//! A connection: a reader, a writer, the peer, and the state that they share.
//!
//! Each part imports only from `Connection` and from parts before it in this list: `close`,
//! `shared`, `endpoint`, `state`, `peer`, `halves`, `stream`, `wrapped`, `into_socket`.

mod close;
mod endpoint;
mod halves;
mod into_socket;
mod peer;
mod shared;
mod state;
mod stream;
mod wrapped;

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite};

use crate::reactor::Source;
pub use close::Link;
pub(crate) use close::{DiscardBudget, Linger, is_gone};
use endpoint::CompactEndpoint;
pub use endpoint::{Credentials, Endpoint, UnixName};
pub(crate) use halves::CHUNK_BYTES;
pub use halves::{
    AnyRead, AnyWrite, Buffered, Chunk, Frames, Reader, WireReader, WireWriter, Writer,
};
pub use peer::{Handshake, Peer};
#[cfg(feature = "tls")]
pub(crate) use shared::{SharedStream, WakerPair};
pub(crate) use state::{
    Carried, DeadlineCheck, Flag, Record, ServerContext, ServerHooks, SocketGuard,
};
pub use state::{Phase, Waits};
pub(crate) use stream::flush_on_close;
pub use stream::{Joined, ReadHalf, WriteHalf, split};
pub use wrapped::Wrapped;

/// A connection as the handler receives it: two halves and the peer.
///
/// The halves implement [`AsyncRead`] and [`AsyncWrite`] on every transport. They may be used at
/// the same time, moved to two tasks, and dropped in any order. The server keeps a [`Link`] to the
/// stream, with which it ends the stream in order.
///
/// `Connection` without type parameters has type-erased halves. The listeners of
/// [`bind`](crate::bind) yield such connections.
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
    /// The half that reads from the peer.
    pub reader: Reader<R>,
    /// The half that writes to the peer.
    pub writer: Writer<W>,
    /// The peer's address, and the traffic so far.
    pub peer: Peer,
}

/// The ownership of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// Only this process has the socket open.
    Ours,
    /// Other processes may have the socket open as well. Its options are left alone, and closing it
    /// here does not end the stream for the peer.
    Shared,
}

impl<R, W> Connection<R, W> {
    /// Makes a connection from any two halves. Its peer is [unknown](Endpoint::Unknown).
    ///
    /// Such a connection has no [`Link`], so the server can neither close nor reset the stream. The
    /// stream ends when the handler closes the writer, or when the halves are dropped. Connections
    /// made by [`erase`](Self::erase), or by [`from_parts`](Self::from_parts) with a peer that has
    /// a link, do not have this limit.
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

    /// Makes a connection from two halves and a peer, which may have a [`Link`].
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

    /// Makes a connection from halves and the bytes that are already read from the reader.
    fn with_ahead((reader, ahead): (R, Chunk), writer: W, peer: Peer) -> Self {
        let record = peer.record();
        Self {
            reader: Reader::new(reader, record.clone(), ahead),
            writer: Writer::new(writer, record.clone()),
            peer,
        }
    }

    /// Splits the connection into the underlying halves and the peer.
    ///
    /// Use this for a layer such as TLS, which makes a new connection from them with
    /// [`from_stream`](Self::from_stream) or [`from_parts`](Self::from_parts). The bytes of the
    /// returned halves count in [`Peer::bytes_in`] and [`Peer::bytes_out`], those of the new
    /// connection in [`Peer::payload_in`] and [`Peer::payload_out`]. The returned halves do not
    /// yield to other tasks. The reader first yields the bytes that the connection has read ahead.
    /// Bytes written so far are in the underlying stream; a flush of the layer flushes them, too.
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
    pub fn into_parts(self) -> (WireReader<R>, WireWriter<W>, Peer) {
        let (reader, record, ahead) = self.reader.into_parts();
        let (writer, _) = self.writer.into_parts();
        let record = record.add_layer().then_some(record);
        let reader = WireReader::new(ahead, reader, record.clone());
        (reader, WireWriter::new(writer, record), self.peer)
    }

    /// Puts halves around those of this connection, beneath its counters. `map` receives the bytes that are
    /// read ahead, too, which stay where they are.
    #[cfg(feature = "testing")]
    pub(crate) fn map_halves<R2, W2>(
        self,
        map: impl FnOnce(R, &[u8], W) -> (R2, W2),
    ) -> Connection<R2, W2> {
        let (reader, record, ahead) = self.reader.into_parts();
        let (writer, writer_record) = self.writer.into_parts();
        let (reader, writer) = map(reader, &ahead, writer);
        Connection {
            reader: Reader::new(reader, record, ahead),
            writer: Writer::new(writer, writer_record),
            peer: self.peer,
        }
    }
}

impl<R, W> Connection<R, W> {
    /// Replaces the peer and keeps the halves.
    ///
    /// Use this in a listener that knows more about the origin of a connection. The new peer takes
    /// over the [`Link`], the credentials and the extensions of the old one, unless it has its own,
    /// and the index of the listener. If the old one is [anonymous](Peer::anonymous), or refused by a
    /// listener, so is the new one.
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
        // The bytes read ahead are not yet counted for the new peer.
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
        if old.context().is_none() {
            peer = peer.marked_as(&old);
        }
        peer.record().set_listener(old.listener());
        peer.record().copy_extensions(&old);
        if let (None, Some(credentials)) = (peer.credentials(), old.credentials()) {
            peer = peer.with_credentials(credentials);
        }
        Self::with_ahead((reader, ahead), writer, peer)
    }

    /// Sets the address of the real client, after the listener has called [`Peer::anonymous`].
    ///
    /// The code that reads the address, for example from a PROXY header, calls this. The server
    /// then applies its rules and its limits per source to the address, and [`Peer::endpoint`]
    /// returns it.
    ///
    /// # Errors
    ///
    /// * [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) if the client is refused. The
    ///   connection then ends in order, with the reason of the refusal, whatever the handler returns.
    /// * [`InvalidInput`](std::io::ErrorKind::InvalidInput) if the listener did not call
    ///   [`Peer::anonymous`], or the address is already set. An address from an untrusted sender is
    ///   never accepted.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::AsyncReadExt;
    /// use halves::Connection;
    /// use std::{io, net::SocketAddr};
    ///
    /// /// Reads the real client's IPv4 address and port, six bytes in front of the stream.
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

impl Connection {
    /// Makes a connection from a stream socket. The socket is connected or, unless it is a Unix
    /// socket, connecting.
    pub(crate) fn of_socket(
        socket: OwnedFd,
        remote: Endpoint,
        local: Arc<Endpoint>,
        ownership: Ownership,
    ) -> Self {
        let credentials = match *local {
            Endpoint::Unix(_) => Credentials::of(socket.as_fd()),
            _ => None,
        };
        let remote = CompactEndpoint::new(remote, credentials);
        let source = match *local {
            Endpoint::Inet(_) => Source::trusted(socket),
            _ => Source::new(socket),
        };
        let record = Record::of_socket(source, remote, local);
        if ownership == Ownership::Shared {
            record.flags.set(Flag::SharedSocket);
        }
        let guard = SocketGuard::first(Arc::new(record));
        let peer = Peer::of(guard.owner());
        let (reader, writer) = (AnyRead::of(guard.clone()), AnyWrite::of(guard));
        Self::from_parts(reader, writer, peer)
    }

    /// Waits until the socket is connected. Fails with the error of the connect.
    pub(crate) async fn established(self) -> io::Result<Self> {
        let guard = SocketGuard::of(self.peer.record());
        poll_fn(|cx| guard.poll_connected(cx)).await?;
        Ok(self)
    }
}

impl<R, W> Connection<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    /// Erases the types of the halves, so that one handler type serves connections of several kinds.
    ///
    /// A peer without a [`Link`] gets one that flushes and closes the writer after the handler has
    /// ended, even if the handler did not close it.
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
