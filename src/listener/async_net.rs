//! `Listener` for the listeners of async-net.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_net::TcpStream;
use async_net::unix::UnixStream;
use smol::Async;

use super::Listener;
use crate::address::ListenOptions;
use crate::connection::{Connection, Credentials, DiscardBudget, Endpoint, Linger, Link, Peer};
use crate::error::Error;
use crate::reactor::{reset, unsent_bytes};

/// Listeners of async-net can be served directly. Their backlog is 128 connections, as in `std`;
/// that of [`bind`](crate::bind) is 4,096.
impl Listener for async_net::TcpListener {
    type Reader = TcpStream;
    type Writer = TcpStream;

    async fn accept(&mut self) -> io::Result<Option<Connection<TcpStream, TcpStream>>> {
        // Accept returns the address even if the client has disconnected; getpeername would fail.
        let (stream, peer) = async_net::TcpListener::accept(self)
            .await
            .map_err(|source| accept_error(self.local_addr(), source))?;
        // Fails only if the client has disconnected; the handler sees that.
        let _ = ListenOptions::default().apply(&stream);
        let peer = Peer::new(peer.into(), self.local_addr()?.into());
        Ok(Some(connection(stream, peer)))
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        self.local_addr().map(Endpoint::from).into_iter().collect()
    }
}

/// Listeners of async-net can be served directly. [`bind`](crate::bind) also replaces stale files
/// and removes its own.
impl Listener for async_net::unix::UnixListener {
    type Reader = UnixStream;
    type Writer = UnixStream;

    async fn accept(&mut self) -> io::Result<Option<Connection<UnixStream, UnixStream>>> {
        let (stream, peer) = async_net::unix::UnixListener::accept(self)
            .await
            .map_err(|source| accept_error(self.local_addr(), source))?;
        let mut peer = Peer::new(peer.into(), self.local_addr()?.into());
        if let Some(credentials) = Credentials::of(stream.as_fd()) {
            peer = peer.with_credentials(credentials);
        }
        Ok(Some(connection(stream, peer)))
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        self.local_addr().map(Endpoint::from).into_iter().collect()
    }
}

/// Returns an error of accept with the address of the listener, if that is known.
fn accept_error(local: io::Result<impl Into<Endpoint>>, source: io::Error) -> Error {
    let address = local.map_or(Endpoint::Unknown, Into::into).to_string();
    Error::Accept { address, source }
}

fn connection<T, S>(stream: T, peer: Peer) -> Connection<T, T>
where
    T: Clone + Into<Arc<Async<S>>>,
    S: AsFd + Send + Sync + 'static,
    for<'a> &'a S: Read,
{
    let link = StreamLink {
        io: stream.clone().into(),
        discard: DiscardBudget::default(),
    };
    let peer = peer.with_link(Arc::new(link));
    // A clone for each half, as each clone has its own wakers.
    Connection::from_parts(stream.clone(), stream, peer)
}

struct StreamLink<S> {
    io: Arc<Async<S>>,
    discard: DiscardBudget,
}

impl<S: AsFd> Linger for StreamLink<S>
where
    for<'a> &'a S: Read,
{
    fn fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }

    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.io) > 1
    }

    fn stays_open(&self) -> bool {
        self.is_shared()
    }

    /// Always false: the halves do not read through this link. The kernel is asked for the end.
    fn is_read_ended(&self) -> bool {
        false
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.io.get_ref().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.io.poll_readable(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn discard(&self) -> &DiscardBudget {
        &self.discard
    }
}

impl<S: AsFd + Send + Sync> Link for StreamLink<S>
where
    for<'a> &'a S: Read,
{
    fn poll_linger(&self, cx: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
        self.linger(cx)
    }

    fn unsent(&self) -> Option<usize> {
        unsent_bytes(self.fd()).ok()
    }

    fn close(&self) {
        self.shut_down_if_open();
    }

    fn abort(&self) {
        reset(self.fd());
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd())
    }
}
