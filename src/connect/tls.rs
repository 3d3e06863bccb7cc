//! TLS on an outgoing connection.

use std::io;

use super::{ConnectOptions, ConnectTimings};
use crate::address::Address;
use crate::error::Error;
use crate::tls::{Connector, TlsConnection};

impl ConnectOptions {
    pub(super) async fn connect_tls(
        &self,
        connector: &Connector,
        address: &Address,
        timings: &mut ConnectTimings,
    ) -> io::Result<TlsConnection> {
        let failed = |source| tls_error(address, source);
        let name = connector.name_at(address).map_err(failed)?;
        let connection = self.stream(address, timings).await?;
        let begin = self.clock.now();
        let connection = connector.handshake_as(connection, name).await;
        let connection = connection.map_err(failed)?;
        timings.tls = Some(self.clock.now() - begin);
        Ok(connection)
    }
}

impl Connector {
    /// Connects to an address, and does the handshake of a client.
    ///
    /// The server is asked for the name of
    /// [`ClientSettings::server_name`](crate::tls::ClientSettings::server_name), or else for the
    /// host in the address. [`ConnectOptions::tls`] does the same with a timeout.
    ///
    /// Cancel-safe: a dropped future leaves no connection behind.
    ///
    /// # Errors
    ///
    /// * Those of [`connect`](crate::connect).
    /// * [`Error::Tls`] with the errors of [`handshake`](Self::handshake), and with
    ///   [`InvalidInput`](io::ErrorKind::InvalidInput) if the address has no host and no name is set.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use futures_lite::AsyncWriteExt;
    /// use halves::tls::Connector;
    ///
    /// # smol::block_on(async {
    /// let mut connection = Connector::new()?.connect("example.org:443").await?;
    /// connection.writer.write_all(b"hello").await?;
    /// connection.writer.close().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn connect<A>(&self, address: A) -> io::Result<TlsConnection>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address = address.try_into().map_err(Error::from)?;
        let (options, mut timings) = (ConnectOptions::new(), ConnectTimings::default());
        options.connect_tls(self, &address, &mut timings).await
    }
}

pub(super) fn tls_error(address: &Address, source: io::Error) -> io::Error {
    let address = address.to_string();
    Error::Tls { address, source }.into()
}
