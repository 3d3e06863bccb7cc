//! Takes over sockets that are open already, as listeners or as connections.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, retry_on_intr};
use rustix::net::{SocketType, getpeername, sockopt};

use super::socket::{self, SocketListener};
use super::{Listeners, Once, inherited};
use crate::address::ListenOptions;
use crate::connection::{Connection, Endpoint, Ownership};
use crate::descriptor::FileId;

/// A stream socket that was taken over.
pub(super) enum Adopted {
    Listener(SocketListener),
    Connection(Connection),
}

/// Takes over an inherited connection.
pub(crate) fn inherited_connection(
    number: RawFd,
    options: &ListenOptions,
) -> io::Result<Connection> {
    match adopt(inherited::socket(number)?, options)? {
        Adopted::Connection(connection) => Ok(connection),
        Adopted::Listener(_) => {
            let message = "it is a socket that listens";
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

/// Takes over an open stream socket: a listener, or a connection, which is yielded once. Other
/// processes may share the socket.
///
/// A listener becomes non-blocking for all its owners, as there is no other way to accept without
/// waiting. Other owners must expect that, as systemd does. If another owner clears `O_NONBLOCK`,
/// it is set again before each accept; if it is cleared between that and the accept, the thread
/// waits for the next client. Only `TCP_NODELAY` changes on a connection. At the end a listener is
/// closed, not shut down, and the file of a Unix socket stays. A connection is ended for all its
/// owners. [`Listeners::own`] changes this for a listener, and
/// [`from_socket`](Listeners::from_socket) sets other options.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is not a stream socket, or neither listens
/// nor is connected; or the error of the system.
///
/// # Examples
///
/// ```
/// use halves::Listeners;
/// use std::{net::TcpListener, os::fd::OwnedFd};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let listeners = Listeners::try_from(OwnedFd::from(listener))?;
/// assert_eq!(listeners.local_addrs(), [address.into()]);
/// # std::io::Result::Ok(())
/// ```
impl TryFrom<OwnedFd> for Listeners {
    type Error = io::Error;

    fn try_from(socket: OwnedFd) -> io::Result<Self> {
        Self::from_socket(socket, &ListenOptions::default())
    }
}

impl Listeners {
    /// Takes over an open stream socket as
    /// [`try_from`](#impl-TryFrom<OwnedFd>-for-Listeners) does, with options for its connections.
    /// The backlog is set after [`own`](Self::own) only. A socket that is bound already keeps
    /// `reuse_port` and `v6_only`.
    ///
    /// # Errors
    ///
    /// Those of `try_from`. [`InvalidInput`](io::ErrorKind::InvalidInput) for options other than
    /// the default if the socket is not TCP.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Listeners, address::ListenOptions};
    /// use std::{net::TcpListener, os::fd::OwnedFd};
    ///
    /// let socket = OwnedFd::from(TcpListener::bind("127.0.0.1:0")?);
    /// let options = ListenOptions::default().keepalive(std::time::Duration::from_secs(30));
    /// let listeners = Listeners::from_socket(socket, &options)?;
    /// # drop(listeners);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn from_socket(socket: OwnedFd, options: &ListenOptions) -> io::Result<Self> {
        adopt(socket, options).map(Self::from)
    }
}

impl From<Adopted> for Listeners {
    fn from(adopted: Adopted) -> Self {
        match adopted {
            Adopted::Listener(listener) => Self::of(listener),
            Adopted::Connection(connection) => Once::new(connection).into(),
        }
    }
}

/// Takes over a socket, with options for its connections.
pub(super) fn adopt(socket: OwnedFd, options: &ListenOptions) -> io::Result<Adopted> {
    if !is_stream_socket(&socket)? {
        return Err(unfit("it is not a socket"));
    }
    let local = socket::local_endpoint(&socket)?;
    if *options != ListenOptions::default() && !matches!(*local, Endpoint::Inet(_)) {
        return Err(unfit("keepalive and nagle are for TCP"));
    }
    if sockopt::socket_acceptconn(&socket)? {
        ioctl_fionbio(&socket, true)?;
        let listener = SocketListener::shared(socket, local, options.clone());
        return Ok(Adopted::Listener(listener));
    }
    let peer = match getpeername(&socket) {
        Err(_) if !was_connected(&socket)? => {
            return Err(unfit("it neither listens nor is connected"));
        }
        // The peer has disconnected since.
        peer => peer.ok().flatten().map_or(Endpoint::Unknown, Endpoint::of),
    };
    // Fails only if the socket is not TCP or the peer has disconnected.
    let _ = options.apply(&socket);
    let connection = Connection::of_socket(socket, peer, local, Ownership::Shared);
    Ok(Adopted::Connection(connection))
}

/// Returns true if a socket without a peer had one before: its input has ended.
fn was_connected(socket: &OwnedFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    retry_on_intr(|| poll(&mut polled, Some(&Timespec::default())))?;
    Ok(polled[0].revents().contains(PollFlags::IN))
}

/// Returns true if two descriptors are one stream socket. A socket of another type is an error, as
/// it is not a stream of bytes.
pub(super) fn are_one_stream(one: impl AsFd, other: impl AsFd) -> io::Result<bool> {
    let are_sockets = [is_stream_socket(&one)?, is_stream_socket(&other)?] == [true, true];
    Ok(are_sockets && FileId::of(&one)? == FileId::of(&other)?)
}

/// Returns true for a stream socket, false if it is not a socket. Another socket type is an error.
fn is_stream_socket(fd: impl AsFd) -> io::Result<bool> {
    match sockopt::socket_type(&fd) {
        Ok(SocketType::STREAM) => Ok(true),
        Ok(_) => Err(unfit("it is not a stream socket")),
        Err(Errno::NOTSOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn unfit(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
