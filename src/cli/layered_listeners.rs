//! `LayeredListeners`: the listeners of a server with layers. Each service is compiled for this one
//! type, and not for every combination of layers.

use std::io;
use std::os::fd::OwnedFd;

use halves::connection::{AnyRead, AnyWrite};
use halves::proxy_protocol::{ProxyListener, ProxyProtocol};
use halves::service::HandoverListener;
use halves::{Connection, Endpoint, Listener, Listeners};

/// Listeners of connections that begin with a PROXY header, or that do not, and the relays of the
/// process before.
pub(super) enum LayeredListeners {
    Clients(Clients),
    WithRelays(HandoverListener<Clients>),
}

/// Listeners of connections that begin with a PROXY header, or that do not.
pub(super) enum Clients {
    Plain(Listeners),
    Proxy(ProxyListener<Listeners>),
}

impl LayeredListeners {
    /// `relays` is the channel of the process before.
    pub(super) fn new(
        listeners: Listeners,
        proxy: Option<&ProxyProtocol>,
        relays: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let clients = match proxy {
            Some(proxy) => Clients::Proxy(proxy.listen(listeners)),
            None => Clients::Plain(listeners),
        };
        Ok(match relays {
            Some(channel) => Self::WithRelays(HandoverListener::new(clients, channel)?),
            None => Self::Clients(clients),
        })
    }
}

impl Listener for LayeredListeners {
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        match self {
            Self::Clients(listeners) => listeners.accept().await,
            Self::WithRelays(listeners) => listeners.accept().await,
        }
    }

    fn stop(&mut self) {
        match self {
            Self::Clients(listeners) => listeners.stop(),
            Self::WithRelays(listeners) => listeners.stop(),
        }
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        match self {
            Self::Clients(listeners) => listeners.local_addrs(),
            Self::WithRelays(listeners) => listeners.local_addrs(),
        }
    }
}

impl Listener for Clients {
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        match self {
            Self::Plain(listeners) => listeners.accept().await,
            Self::Proxy(listeners) => listeners.accept().await,
        }
    }

    fn stop(&mut self) {
        match self {
            Self::Plain(listeners) => listeners.stop(),
            Self::Proxy(listeners) => listeners.stop(),
        }
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        match self {
            Self::Plain(listeners) => listeners.local_addrs(),
            Self::Proxy(listeners) => listeners.local_addrs(),
        }
    }
}
