//! Sockets that are there already, whoever made them: what they are is asked of the system.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::fstat;
use rustix::io::{Errno, ioctl_fionbio, retry_on_intr};
use rustix::net::{SocketType, getpeername, sockopt};

use super::socket::{self, SocketListener};
use super::{Listeners, Once};
use crate::address::ListenOptions;
use crate::connection::{Connection, Endpoint, Ownership};

/// What a stream socket that is there already is.
pub(super) enum Given {
    Listener(SocketListener),
    Connection(Connection),
}

/// A stream socket that is there already: one that listens, or else a connection, which is yielded
/// once. Others may have it open as well.
///
/// A listener is made non-blocking for all who share it, as there is no other way to accept from
/// it without waiting; other owners have to be ready for that, as systemd is. Where another owner clears
/// `O_NONBLOCK`, it is set again before each accept; if that happens between this and the accept, the thread
/// waits for the next client. A connection is left
/// as it is, but for `TCP_NODELAY`. At the end a listener is closed, not shut down, and a Unix socket's file is not
/// removed; a connection is ended for all who share it.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for what is no stream socket, and for one that neither
/// listens nor is connected; and what the system says.
///
/// # Examples
///
/// ```
/// use halves::Listeners;
/// use std::{net::TcpListener, os::fd::OwnedFd};
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let at = listener.local_addr()?;
/// let listeners = Listeners::try_from(OwnedFd::from(listener))?;
/// assert_eq!(listeners.local_addrs(), [at.into()]);
/// # std::io::Result::Ok(())
/// ```
impl TryFrom<OwnedFd> for Listeners {
    type Error = io::Error;

    fn try_from(socket: OwnedFd) -> io::Result<Self> {
        given(socket, &ListenOptions::default()).map(Self::from)
    }
}

impl From<Given> for Listeners {
    fn from(given: Given) -> Self {
        match given {
            Given::Listener(listener) => Self::of(listener),
            Given::Connection(connection) => Once::new(connection).into(),
        }
    }
}

/// The socket as it is, with options for its connections.
pub(super) fn given(socket: OwnedFd, options: &ListenOptions) -> io::Result<Given> {
    if !is_stream_socket(&socket)? {
        return Err(unfit("it is not a socket"));
    }
    let local = socket::local(&socket)?;
    if *options != ListenOptions::default() && !matches!(*local, Endpoint::Inet(_)) {
        return Err(unfit("keepalive and nagle are for TCP"));
    }
    if sockopt::socket_acceptconn(&socket)? {
        ioctl_fionbio(&socket, true)?;
        let listener = SocketListener::shared(socket, local, options.clone());
        return Ok(Given::Listener(listener));
    }
    let peer = match getpeername(&socket) {
        Err(_) if !was_connected(&socket)? => {
            return Err(unfit("it neither listens nor is connected"));
        }
        // A client that has gone already is nothing unusual.
        peer => peer.ok().flatten().map_or(Endpoint::Unknown, Endpoint::of),
    };
    // Refused only by what is not TCP, and where the client has gone.
    let _ = options.apply(&socket);
    let connection = Connection::of_socket(socket, peer, local, Ownership::Shared);
    Ok(Given::Connection(connection))
}

/// Whether a socket without a peer once had one: its input has ended then.
fn was_connected(socket: &OwnedFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(socket, PollFlags::IN)];
    retry_on_intr(|| poll(&mut polled, Some(&Timespec::default())))?;
    Ok(polled[0].revents().contains(PollFlags::IN))
}

/// Whether two descriptors are of one stream socket. A socket of any other type is an error, as it
/// is no stream of bytes.
pub(super) fn are_one_stream(one: impl AsFd, other: impl AsFd) -> io::Result<bool> {
    let are_sockets = [is_stream_socket(&one)?, is_stream_socket(&other)?] == [true, true];
    let [one, other] = [fstat(&one)?, fstat(&other)?];
    Ok(are_sockets && (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Whether it is a stream socket, and not something else than a socket.
fn is_stream_socket(fd: impl AsFd) -> io::Result<bool> {
    match sockopt::socket_type(&fd) {
        Ok(SocketType::STREAM) => Ok(true),
        Ok(_) => Err(unfit("it is not a stream socket")),
        Err(Errno::NOTSOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn unfit(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}
