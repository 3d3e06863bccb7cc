//! `LayeredListeners`: the listeners of a server with layers. Each service is compiled for this one
//! type, and not for every combination of layers.

use std::io;

use halves::connection::{AnyRead, AnyWrite};
use halves::proxy_protocol::{ProxyListener, ProxyProtocol};
use halves::{Connection, Endpoint, Listener, Listeners};

/// Listeners of connections that begin with a PROXY header, or that do not.
pub(super) enum LayeredListeners {
    Plain(Listeners),
    Proxy(ProxyListener<Listeners>),
}

impl LayeredListeners {
    pub(super) fn new(listeners: Listeners, proxy: Option<&ProxyProtocol>) -> Self {
        match proxy {
            Some(proxy) => Self::Proxy(proxy.listen(listeners)),
            None => Self::Plain(listeners),
        }
    }
}

impl Listener for LayeredListeners {
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
