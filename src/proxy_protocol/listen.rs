//! `ProxyListener`: marks the connections that begin with a header, and refuses the others.

use std::io;

use super::ProxyProtocol;
use crate::connection::{Connection, Endpoint};
use crate::listener::Listener;
use crate::reason::Reason;

/// A listener with connections that begin with a PROXY header, made by [`ProxyProtocol::listen`].
#[derive(Debug)]
pub struct ProxyListener<L> {
    listener: L,
    settings: ProxyProtocol,
}

impl<L> ProxyListener<L> {
    pub(super) fn new(listener: L, settings: ProxyProtocol) -> Self {
        Self { listener, settings }
    }

    /// Marks a connection by its listener and its source.
    fn mark<R, W>(&self, mut connection: Connection<R, W>) -> Connection<R, W> {
        if self.settings.is_exempt(connection.peer.listener()) {
            return connection;
        }
        if self.settings.trusts(&connection.peer.transport()) {
            connection.peer = connection.peer.anonymous();
        } else {
            // The server refuses a connection that has ended before it is admitted.
            connection.peer.record().close(Reason::ProxyHeader);
        }
        connection
    }
}

impl<L: Listener> Listener for ProxyListener<L> {
    type Reader = L::Reader;
    type Writer = L::Writer;

    async fn accept(&mut self) -> io::Result<Option<Connection<L::Reader, L::Writer>>> {
        let accepted = self.listener.accept().await?;
        Ok(accepted.map(|connection| self.mark(connection)))
    }

    fn stop(&mut self) {
        self.listener.stop();
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        self.listener.local_addrs()
    }
}
