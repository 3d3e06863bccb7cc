//! Stream sockets of any family, and what accepts on them.

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
use rustix::net::Shutdown;
use rustix::net::{AddressFamily, SocketFlags, SocketType, getsockname};

use super::several::Accept;
use super::unix::SocketFile;
use crate::address::ListenOptions;
use crate::connection::{Connection, Endpoint, Ownership};
use crate::error::Error;
use crate::reactor::Socket;

/// A socket that listens.
pub(super) struct SocketListener {
    socket: Socket,
    /// Shared with what is accepted.
    local: Arc<Endpoint>,
    /// Set on each connection that a listener of others accepts; those of ours inherit them.
    options: Option<ListenOptions>,
    /// Goes with it.
    file: Option<SocketFile>,
    stopped: bool,
}

impl SocketListener {
    /// Begins to listen on a socket of ours that is bound.
    pub(super) fn open(
        socket: OwnedFd,
        backlog: u32,
        file: Option<SocketFile>,
    ) -> io::Result<Self> {
        rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(Self {
            local: local(&socket)?,
            socket: Socket::new(socket),
            options: None,
            file,
            stopped: false,
        })
    }

    /// Takes over one that listens at `local`, and is non-blocking.
    pub(super) fn shared(socket: OwnedFd, local: Arc<Endpoint>, options: ListenOptions) -> Self {
        Self {
            local,
            socket: Socket::new(socket),
            options: Some(options),
            file: None,
            stopped: false,
        }
    }

    /// Whether other processes may have the socket, too.
    fn is_shared(&self) -> bool {
        self.options.is_some()
    }

    /// The port of TCP; 0 for any other socket.
    pub(super) fn port(&self) -> u16 {
        self.local.socket_addr().map_or(0, |local| local.port())
    }
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        // Before the socket: as long as somebody listens, nobody takes it for one left behind.
        drop(self.file.take());
    }
}

impl Accept for SocketListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        let shared = self.is_shared();
        let (socket, peer) = match ready!(self.socket.poll_accept(cx, shared)) {
            // A Unix socket that was shut down, and has no more connections.
            Err(error) if self.stopped && Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                return Poll::Ready(Ok(None));
            }
            accepted => accepted.map_err(|source| Error::Accept {
                address: self.local.to_string(),
                source,
            })?,
        };
        if let Some(options) = &self.options {
            // Refused only by what is not TCP, and where the client has gone.
            let _ = options.apply(&socket);
        }
        // When the client is gone already, nothing else knows its address.
        let peer = peer.map_or(Endpoint::Unknown, Endpoint::of);
        let local = self.local.clone();
        let connection = Connection::of_socket(socket, peer, local, Ownership::Ours);
        Poll::Ready(Ok(Some(connection)))
    }

    fn local(&self) -> Endpoint {
        Endpoint::clone(&self.local)
    }

    fn look_again(&self) {
        self.socket.look_again();
    }

    fn stop(&mut self) {
        drop(self.file.take());
        if !self.is_shared() {
            refuse(&self.socket, &self.local);
        }
        self.stopped = true;
    }
}

/// Has the system refuse new clients of a socket that listens. Those that have connected, or are
/// about to, are still accepted: closing the socket would reset them. Only for a socket that no
/// other process accepts on. Where the system cannot do so, nothing changes.
#[cfg(target_os = "linux")]
fn refuse(socket: impl AsFd, local: &Endpoint) {
    match local {
        Endpoint::Unix(_) => drop(rustix::net::shutdown(socket, Shutdown::Read)),
        // A listener that is bound to one interface gets no packets from others. Handshakes that
        // have begun are found without it. (Not where the address is of one interface already,
        // unless with CAP_NET_RAW.)
        _ => drop(BoundInterface.set(&socket, &NO_INTERFACE)),
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse(_: impl AsFd, _: &Endpoint) {}

/// The number of the interface to whose packets a socket is limited.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
struct BoundInterface;

/// One that no interface has: they are numbered from 1.
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

/// A non-blocking stream socket.
pub(super) fn stream(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(family, SocketType::STREAM, flags, None)
}

/// What the system calls our end of a socket.
pub(super) fn local(socket: impl AsFd) -> io::Result<Arc<Endpoint>> {
    Ok(Arc::new(Endpoint::of(getsockname(socket)?)))
}
