//! Stream sockets of any family, and the listener on one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

#[cfg(target_os = "linux")]
use nix::{
    libc,
    sys::socket::{SetSockOpt, sockopt::SetStruct},
};
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::net::Shutdown as ShutdownHow;
use rustix::net::{AddressFamily, SocketFlags, SocketType, getsockname};

use super::listeners::DynListener;
use super::share::{SocketRef, Tenure};
use super::unix::SocketFile;
use crate::address::ListenOptions;
use crate::connection::{Connection, Endpoint, Ownership};
use crate::error::Error;
use crate::reactor::Socket;

/// A listener on one stream socket.
pub(super) struct SocketListener {
    socket: Socket,
    /// Shared with the accepted connections.
    local: Arc<Endpoint>,
    /// Options to set on each accepted connection, for a socket that other processes may share.
    /// Connections of a socket that belongs to this process inherit theirs.
    options: Option<ListenOptions>,
    /// The options of a socket that was made one of this process, until the next accept.
    new_options: Option<ListenOptions>,
    tenure: Arc<Tenure>,
}

impl SocketListener {
    /// Starts to listen on a bound socket that no other process shares.
    pub(super) fn open(socket: OwnedFd, backlog: u32) -> io::Result<Self> {
        Self::open_with_file(socket, backlog, None)
    }

    /// As [`open`](Self::open), for a Unix socket with a file.
    pub(super) fn open_with_file(
        socket: OwnedFd,
        backlog: u32,
        file: Option<SocketFile>,
    ) -> io::Result<Self> {
        listen(&socket, backlog)?;
        Ok(Self {
            local: local_endpoint(&socket)?,
            socket: Socket::new(socket),
            options: None,
            new_options: None,
            tenure: Arc::new(Tenure::owned(file)),
        })
    }

    /// Takes over a non-blocking socket that listens on `local`.
    pub(super) fn shared(socket: OwnedFd, local: Arc<Endpoint>, options: ListenOptions) -> Self {
        Self {
            local,
            socket: Socket::new(socket),
            options: Some(options),
            new_options: None,
            tenure: Arc::new(Tenure::shared()),
        }
    }

    /// Returns true for the error of a Unix socket that was stopped and has no more connections.
    fn is_shut_down(&self, error: &io::Error) -> bool {
        Errno::from_io_error(error) == Some(Errno::INVAL) && self.tenure.lock().is_stopped()
    }

    fn failed(&self, source: io::Error) -> Error {
        let address = self.local.to_string();
        Error::Accept { address, source }
    }

    /// Sets the options of the socket, with its backlog.
    fn set(&self, options: &ListenOptions) -> io::Result<()> {
        if let Endpoint::Inet(_) = *self.local {
            options.replace(&self.socket)?;
        }
        Ok(listen(&self.socket, options.backlog)?)
    }

    /// Returns the TCP port, or 0 for another family.
    pub(super) fn port(&self) -> u16 {
        self.local.socket_addr().map_or(0, |local| local.port())
    }
}

impl DynListener for SocketListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        if !self.tenure.lock().begin_accept() {
            return Poll::Ready(Ok(None));
        }
        if let Some(options) = self.new_options.take() {
            self.set(&options).map_err(|error| self.failed(error))?;
        }
        let polled = self.socket.poll_accept(cx, self.options.is_some());
        if polled.is_pending() && self.tenure.lock().is_disowned() {
            // Disowned before the waker was registered.
            return Poll::Ready(Ok(None));
        }
        let (socket, peer) = match ready!(polled) {
            Err(error) if self.is_shut_down(&error) => return Poll::Ready(Ok(None)),
            accepted => accepted.map_err(|error| self.failed(error))?,
        };
        if let Some(options) = &self.options {
            // Fails only if the socket is not TCP or the client has disconnected.
            let _ = options.apply(&socket);
        }
        // Accept returns the address even if the client has disconnected; getpeername would fail.
        let peer = peer.map_or(Endpoint::Unknown, Endpoint::of);
        let local = self.local.clone();
        let connection = Connection::of_socket(socket, peer, local, Ownership::Ours);
        Poll::Ready(Ok(Some(connection)))
    }

    fn local(&self) -> Endpoint {
        Endpoint::clone(&self.local)
    }

    fn assume_readable(&self) {
        self.socket.assume_readable();
    }

    fn stop(&mut self) {
        self.new_options = None;
        let refuse = || refuse_clients(&self.socket, &self.local);
        self.tenure.lock().stop(refuse);
    }

    fn own(&mut self) -> io::Result<()> {
        let Some(options) = self.options.take() else {
            return Ok(());
        };
        let file = SocketFile::of(&self.local)?;
        self.tenure.lock().own(file);
        self.new_options = Some(options);
        Ok(())
    }

    fn share(&self, index: usize) -> Option<SocketRef> {
        Some(SocketRef {
            index,
            local: self.local.clone(),
            source: self.socket.owner().clone(),
            tenure: self.tenure.clone(),
        })
    }
}

impl Drop for SocketListener {
    /// Removes the file before the socket is closed: without a listening socket the file would
    /// count as stale.
    fn drop(&mut self) {
        self.tenure.lock().end();
    }
}

fn listen(socket: impl AsFd, backlog: u32) -> rustix::io::Result<()> {
    rustix::net::listen(socket, i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// Makes the kernel refuse new clients of a listening socket. Clients that have connected, or are
/// connecting, can still be accepted; closing the socket would reset them. For a socket that no
/// other process accepts on. Does nothing if the system has no way to do so.
#[cfg(target_os = "linux")]
fn refuse_clients(socket: impl AsFd, local: &Endpoint) {
    match local {
        Endpoint::Unix(_) => drop(rustix::net::shutdown(socket, ShutdownHow::Read)),
        // A listener bound to one interface gets no packets from others, so one bound to no
        // existing interface gets none. Handshakes under way are not affected. (This needs
        // CAP_NET_RAW if the socket is bound to an interface already.)
        _ => drop(BoundInterface.set(&socket, &NO_INTERFACE)),
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_clients(_: impl AsFd, _: &Endpoint) {}

/// Socket option: the index of the only interface that the socket receives packets from.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
struct BoundInterface;

/// An interface index that no interface has: indexes count from 1.
#[cfg(target_os = "linux")]
const NO_INTERFACE: i32 = i32::MAX;

#[cfg(target_os = "linux")]
nix::setsockopt_impl!(
    BoundInterface,
    libc::SOL_SOCKET,
    libc::SO_BINDTOIFINDEX,
    i32,
    SetStruct<'_, i32>
);

/// Opens a non-blocking stream socket.
pub(crate) fn stream(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(family, SocketType::STREAM, flags, None)
}

/// Returns the local address of a socket.
pub(crate) fn local_endpoint(socket: impl AsFd) -> io::Result<Arc<Endpoint>> {
    Ok(Arc::new(Endpoint::of(getsockname(socket)?)))
}
