//! The socket of a connection, for code that uses the descriptor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use futures_lite::AsyncWriteExt;

use super::{Chunk, Connection};
#[cfg(target_os = "linux")]
use super::{Flag, SocketGuard};

/// The lowest number of a returned descriptor: those below are the standard streams.
const FIRST_FD: i32 = 3;

impl Connection {
    /// Returns true if [`into_socket`](Self::into_socket) works: both halves are the connection's
    /// own stream socket, without a layer such as TLS above it.
    ///
    /// # Examples
    ///
    /// ```
    /// let (near, _far) = halves::listener::memory::pair(64);
    /// assert!(!near.erase().is_socket());
    /// ```
    #[must_use]
    pub fn is_socket(&self) -> bool {
        let record = self.peer.record();
        let halves = [self.reader.socket(), self.writer.socket()];
        record.is_socket() && halves.iter().all(|half| Arc::ptr_eq(half.owner(), record))
    }

    /// Converts the connection to its socket, and the bytes that were read ahead, for code that
    /// uses a descriptor, such as a child process.
    ///
    /// Written bytes are flushed first. The descriptor is a duplicate, at least 3 and closed on
    /// exec. It is in non-blocking mode, unless the socket was inherited.
    ///
    /// A server keeps the connection with its limits, until the handler returns. It then ends the
    /// stream in order, also if other processes have the socket open: it shuts the socket down, and
    /// discards what is not read. [`Handle::kill`](crate::Handle::kill), the drain and the deadlines
    /// act on the socket as before. On Linux, the bytes and the times of a TCP connection are those
    /// of the kernel from now on: received bytes count before they are read, but one less may count
    /// after a reset by the peer. On other sockets, and
    /// on other systems, later bytes do not count, and the connection seems idle. The
    /// [minimum rate](crate::Timeouts::min_rate) does not apply.
    ///
    /// Not cancel-safe: a cancelled call drops the halves.
    ///
    /// # Errors
    ///
    /// * [`Unsupported`](io::ErrorKind::Unsupported) if [`is_socket`](Self::is_socket) returns
    ///   false.
    /// * Those of the flush, and of the system if no descriptor is left.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{bind, connect, Connection, Listener};
    /// use std::io::Write;
    /// use std::net::TcpStream;
    ///
    /// # smol::block_on(async {
    /// let mut listeners = bind("127.0.0.1:0").await?;
    /// let address = listeners.local_addrs()[0].to_string();
    /// let mut client = connect(address.as_str()).await?;
    /// let connection = listeners.accept().await?.expect("a client");
    /// let (socket, ahead) = connection.into_socket().await?;
    /// assert!(ahead.is_empty());
    /// TcpStream::from(socket).write_all(b"hello")?;
    /// assert_eq!(&*client.reader.read_chunk().await?, b"hello");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn into_socket(mut self) -> io::Result<(OwnedFd, Chunk)> {
        if !self.is_socket() {
            let what = "the connection is not a plain socket";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        self.writer.flush().await?;
        let (reader, record, mut ahead) = self.reader.into_parts();
        // A half is a handle, which keeps the socket open.
        let socket = rustix::io::fcntl_dupfd_cloexec(reader.socket().as_fd(), FIRST_FD)?;
        record.lend_socket();
        record.received(ahead.count(true));
        Ok((socket, ahead))
    }
}

#[cfg(target_os = "linux")]
impl<R: 'static, W: 'static> Connection<R, W> {
    /// Returns true if the connection is a stream socket without a layer, and only this process has
    /// it open.
    pub(crate) fn is_own_socket(&self) -> bool {
        let record = self.peer.record();
        let halves = [self.reader.plain_socket(), self.writer.plain_socket()];
        let is_own = |half: Option<&SocketGuard>| {
            half.is_some_and(|socket| Arc::ptr_eq(socket.owner(), record))
        };
        let flags = [Flag::SharedSocket, Flag::Anonymous, Flag::HasQueue];
        halves.into_iter().all(is_own)
            && record.link().is_none()
            && !flags.into_iter().any(|flag| record.flags.has(flag))
    }
}

impl<R, W> Connection<R, W> {
    /// Returns true if bytes are received but not yet read.
    pub(crate) fn has_read_ahead(&self) -> bool {
        self.reader.has_ahead()
    }
}
