//! TLS as a layer on streams of every kind.

mod answers;
mod check;
mod conforming;
mod dropped;
mod duplex;
mod ends;
mod failing;
mod kept;
mod served;

use std::io;

use futures_lite::future;
use halves::listener::memory::{self, PipeReader, PipeWriter};
use halves::tls::TlsConnection;

use crate::support::forger;
use crate::support::tls_ends::{Ends, VERSIONS};
use crate::support::tls_peer::{self, TlsPeer};

pub(crate) type Client = TlsPeer<PipeReader, PipeWriter>;
pub(crate) type Served = TlsConnection<PipeReader, PipeWriter>;

impl Ends {
    /// A client with the buffered connection of rustls, and a server, over pipes of `bound` bytes.
    pub(crate) async fn with_client(&self, bound: usize) -> io::Result<(Client, Served)> {
        let (near, far) = memory::pair(bound);
        let mut client = self.peer(near);
        let accept = self.acceptor.accept(far);
        let ((), server) = future::try_zip(client.shake_hands(), accept).await?;
        Ok((client, server))
    }
}
